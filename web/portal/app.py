"""The portal's application: every address that the public reaches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import anyio
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from centre.settings import Settings
from crm.store import Database
from crm.visits import Visits
from web import health, visited
from web.live import Hub, Line
from web.portal import api, facebook, open311, pages, public, twilio
from web.render import Renderer
from web.routes import failed, route, unknown
from web.security import Headers
from web.tickets import Tickets
from web.visit import Page, Parts

log = logging.getLogger(__name__)

# Every page of the residents'. Nobody signs in here: what is a person's own opens by the number with its code, or by
# the sealed address that he was sent.
PAGES: tuple[Page, ...] = pages.PAGES + public.PAGES


def create_portal(settings: Settings, db: Database, line: Line, *, secret: str,
                  clock: Callable[[], datetime] = lambda: datetime.now(UTC),
                  ahead: bool = False) -> Starlette:  # fmt: skip
    """The application, of parts that the caller made and closes. ``app.state.parts`` has them.

    Args:
        line: the socket of the line (``centre.bus``), which is told of what has changed.
        secret: seals numbers and signs what strangers are given; the console's.
        ahead: the figures are made at the start, before anybody asks for them.
    """
    renderer = Renderer()
    parts = Parts(settings=settings, rules=settings.callback_rules, db=db,
                  hub=Hub(line, renderer, dict, listening_is_shown=False), renderer=renderer, tickets=Tickets(),
                  secret=secret, slow=anyio.CapacityLimiter(2), clock=clock, templates="portal/")  # fmt: skip

    visits = Visits(db)

    async def healthz(request: Request) -> Response:
        """200 while appeals can be kept; that the line is away is nothing to the portal."""
        well = await run_in_threadpool(health.answers, db)
        return JSONResponse({"status": "ok" if well else "failing", "database": well}, 200 if well else 503)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async def listen() -> None:
            """The connection by which the line is told is held by reading it; what it says is the console's."""
            async for _ in line.events():
                pass

        async def make_figures() -> None:
            """One month after another, beside at most one who asks for them already."""
            for month in public.months_of(now := clock()):
                try:
                    await anyio.to_thread.run_sync(public.tell, db, month, now, limiter=parts.reading)
                except DBAPIError as error:  # they are made when somebody asks
                    log.warning("the figures of %s were not made: %s", month.first, error.orig)

        tasks = [listen(), visited.keep(visits), *([make_figures()] if ahead else [])]
        running = [asyncio.create_task(each) for each in tasks]
        yield
        for task in running:
            task.cancel()
        await asyncio.wait(running)

    others: list[BaseRoute] = [*open311.routes(parts), *api.routes(parts), *twilio.routes(parts),
                               *facebook.routes(parts)]  # fmt: skip
    app = Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/static/{name}", renderer.serve_static),
            *others,
            *(route(page, parts) for page in PAGES),
        ],
        middleware=[Middleware(Headers), Middleware(visited.Counted, visits=visits, clock=clock)],
        exception_handlers={HTTPException: unknown(parts), Exception: failed(parts)},
        lifespan=lifespan,
    )
    app.state.parts = parts
    return app
