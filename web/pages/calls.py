"""Calls in lists: those of some days, and those that nobody has said anything of yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from starlette.responses import Response

from crm import calls, phones
from crm.calls import Call, EndCause, Outcome
from crm.errors import BadInput
from crm.periods import Period, day_of
from web.lists import Listing, as_file, listing, wants_file
from web.render import masked
from web.tables import Cell, Table
from web.texts import Texts
from web.visit import Visit

LATELY = timedelta(days=6)
FILTERS = ("from", "to", "phone", "seat", "outcome", "end_cause")


def recent(visit: Visit) -> Response:
    """The calls of some days (LATELY, if the address names none), by what the address says, newest first."""
    asked, today = visit.query, day_of(visit.now)
    first, last = asked.day("from"), asked.day("to")
    caller = phones.parse_phone(asked["phone"])
    if asked["phone"] and not caller:
        asked.wrong("phone", BadInput("phone.malformed"))
    period = Period(today, today)
    try:
        last = last or max(today, first or today)
        period = Period(first or last - LATELY, last)
    except BadInput as error:
        asked.wrong("from", error)
    wanted: dict[str, Any] = {
        "between": (period.start, period.end), "caller": caller, "seat": asked.text("seat", 20),
        "outcome": asked.choice("outcome", frozenset(Outcome)),
        "end_cause": asked.choice("end_cause", frozenset(EndCause))}  # fmt: skip
    with visit.db.read() as conn:
        shown = listing(visit, FILTERS, lambda limit, after: calls.recent(conn, limit, after_id=after, **wanted))
    return _calls(visit, shown, period)


def unsettled(visit: Visit) -> Response:
    """Answered calls of which nobody has said what they were."""
    with visit.db.read() as conn:
        shown = listing(visit, (), lambda limit, after: calls.unsettled(conn, limit, after_id=after))
    return _calls(visit, shown, None)


def _calls(visit: Visit, shown: Listing[Call], period: Period | None) -> Response:
    """``period``: None for those without an outcome."""
    if wants_file(visit):
        return as_file(visit, "calls", _table(visit.texts, shown.found))
    show = visit.again if visit.query.problems else visit.page
    return show("calls.html", list=shown, unsettled=period is None, period=period, form=visit.query, asked=visit.query,
                seats=visit.parts.settings.seats, outcomes=tuple(Outcome), end_causes=tuple(EndCause))  # fmt: skip


def _table(t: Texts, found: Sequence[Call]) -> Table:
    """As the page shows them, numbers masked."""
    names = ("arrived", "caller", "origin", "waited", "talked", "seat", "outcome")
    return Table(t("calls.title"), tuple(t(f"call.{name}") for name in names), tuple(
        (Cell(t.moment(call.arrived_at)), Cell(masked(call.caller) if call.caller else t("call.hidden")),
         Cell(t(f"origin.{call.origin}") if f"origin.{call.origin}" in t else call.origin),
         Cell(call.wait_s, "seconds"), Cell(call.talk_s, "seconds"), Cell(call.seat or ""),
         Cell(t(f"outcome.{call.outcome}") if call.outcome else t(f"end_cause.{call.end_cause}") if call.end_cause
              else t("calls.going_on"))) for call in found))  # fmt: skip
