"""Open311 GeoReport v2, for the programs that speak it."""

from __future__ import annotations

from starlette.routing import BaseRoute

from web.visit import Parts


def routes(parts: Parts) -> list[BaseRoute]:
    """Its addresses."""
    return []
