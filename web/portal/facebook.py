"""What Facebook calls: somebody has written to the city's page."""

from __future__ import annotations

from starlette.routing import BaseRoute

from web.visit import Parts


def routes(parts: Parts) -> list[BaseRoute]:
    """Its addresses."""
    return []
