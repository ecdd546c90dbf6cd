"""The API of the city's mobile app and of whoever else files appeals: JSON, described by OpenAPI."""

from __future__ import annotations

from starlette.routing import BaseRoute

from web.visit import Parts


def routes(parts: Parts) -> list[BaseRoute]:
    """Its addresses."""
    return []
