"""What Facebook calls: somebody has written to the city's page.

Every call is signed by the app's secret over the body, byte by byte. What has come is kept before it is acknowledged;
where the records cannot be reached the answer is 503, and Facebook brings it again: of that, what is kept already is
taken no second time.
"""

from __future__ import annotations

import json
import logging

import anyio.to_thread
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from centre.texts import section
from crm.errors import BadInput
from intake.facebook import incoming
from intake.facebook.incoming import Event
from intake.facebook.talks import Talks
from web import security
from web.visit import Parts

log = logging.getLogger(__name__)


def routes(parts: Parts) -> list[BaseRoute]:
    """Its address; none without a page."""
    its = parts.settings
    if not its.facebook_page:
        return []
    secret, word = its.facebook_secret.get_secret_value(), its.facebook_verify.get_secret_value()
    talks = Talks(section("facebook"), portal=its.portal_address, secret=parts.secret)

    async def verify(request: Request) -> Response:
        """That the address is ours, asked when it is entered at Facebook."""
        asked = request.query_params
        if asked.get("hub.mode") != "subscribe" or not security.same(asked.get("hub.verify_token", ""), word):
            return PlainTextResponse("forbidden", 403)
        return PlainTextResponse(asked.get("hub.challenge", "")[:200])

    async def came(request: Request) -> Response:
        try:
            body = await security.body_of(request, incoming.LARGEST_BODY)
        except BadInput:
            return PlainTextResponse("too large", 413)
        if not incoming.is_signed(secret, body, request.headers.get("x-hub-signature-256", "")):
            return PlainTextResponse("forbidden", 403)
        try:
            sent = json.loads(body)
        except (ValueError, RecursionError):
            return PlainTextResponse("not JSON", 400)
        found = incoming.events(sent, its.facebook_page)
        kept = await anyio.to_thread.run_sync(_take, parts, talks, found)
        return PlainTextResponse("ok") if kept else PlainTextResponse("not kept", 503)

    return [Route("/facebook", verify, methods=["GET"]), Route("/facebook", came, methods=["POST"])]


def _take(parts: Parts, talks: Talks, found: list[Event]) -> bool:
    """Each by itself, so that one that cannot be kept holds up no other; whether all were kept."""
    kept = True
    for event in found:
        try:
            with parts.db.write() as conn:
                talks.take(conn, event, parts.clock())
        except DBAPIError as error:
            log.error("a message of Facebook's was not kept: %s", error.orig)
            return False
        except Exception:
            log.exception("a message of Facebook's was not understood")
            kept = False
    return kept
