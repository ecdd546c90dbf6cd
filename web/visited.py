"""The visits of the portal: counted as its pages are answered, and shown as a table. Whose they are nobody knows
(``crm.visits``)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crm.periods import day_of
from crm.visits import FLUSHED_S, Visits, is_program
from web.tables import Cell, Table
from web.texts import Texts
from web.visit import language_of

# What the pages are for; any other is "visits.other".
PLACES = {
    "/": "visits.front", "/file": "visits.file", "/follow": "visits.follow", "/a/{token}": "visits.follow",
    "/appeals": "visits.appeals", "/appeals/{number}": "visits.appeals", "/figures": "visits.figures",
}  # fmt: skip


class Counted:
    """Middleware: counts the pages that people opened, as soon as they are being answered."""

    def __init__(self, app: ASGIApp, visits: Visits, clock: Callable[[], datetime]) -> None:
        self.app, self._visits, self._clock = app, visits, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200 and _is_page(message):
                self._count(scope)
            await send(message)

        await self.app(scope, receive, counted)

    def _count(self, scope: Scope) -> None:
        request = Request(scope)
        ahead = "prefetch" in request.headers.get("sec-purpose", "")  # that nobody has seen yet
        if not ahead and not is_program(request.headers.get("user-agent", "")):
            page: str = scope["route"].path  # as the program has it: a number or a seal is not in it
            self._visits.seen(day_of(self._clock()), page, language_of(request, None))


def _is_page(start: Message) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/html") for name, value in start["headers"])


async def keep(visits: Visits) -> None:
    """Takes what was counted to the records, again and again, and once more when it is cancelled."""
    try:
        while True:
            await asyncio.sleep(FLUSHED_S)
            await run_in_threadpool(visits.flush)
    finally:
        visits.flush()


def table(t: Texts, by_page: Mapping[str, int]) -> Table:
    """What people came for, the most first."""
    places: Counter[str] = Counter()
    for page, count in by_page.items():
        places[PLACES.get(page, "visits.other")] += count
    rows = [(Cell(t(place)), Cell(count, "count")) for place, count in places.most_common()]
    if rows:
        rows.append((Cell(t("visits.all")), Cell(places.total(), "count")))
    return Table(t("visits.title"), (t("visits.place"), t("visits.count")), tuple(rows), totals=bool(rows),
                 note=t("visits.hint"))  # fmt: skip
