"""What Twilio calls: an SMS has come, one was delivered, somebody has dialled the mobile number."""

from __future__ import annotations

from starlette.routing import BaseRoute

from web.visit import Parts


def routes(parts: Parts) -> list[BaseRoute]:
    """Its addresses."""
    return []
