"""Recordings: found, heard with a reason, given away by right. Each is on record before the first byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Literal

from starlette.responses import FileResponse, Response

from crm import people, phones
from crm.calls import Outcome
from crm.clock import KYIV
from crm.errors import BadInput, NotFound
from crm.periods import Period, day_of
from recordings import library, search
from recordings.search import Line, Wanted
from web import reads
from web.forms import Form
from web.lists import as_file, listing, wants_file
from web.render import masked
from web.tables import Cell, Table
from web.texts import Texts
from web.visit import Visit

FILTERS = ("from", "to", "phone", "seat", "person", "number", "shortest", "longest", "outcome")
LONGEST_MINUTES = 600
LATELY = timedelta(days=30)


def listed(visit: Visit) -> Response:
    """What the address asks for, newest first; with no days, nor what leads to few, those of LATELY. Who is heard in
    them is not told."""
    asked, days = visit.query, visit.parts.settings.recording_days
    wanted = _wanted(asked, day_of(visit.now))
    with visit.db.read() as conn:
        shown = listing(visit, FILTERS, lambda limit, after: search.found(conn, wanted, limit, after))
        staff = [(person.id, person.name) for person in people.staff(conn)]
    until = {one.id: library.kept_until(one.started_at, days) for one in shown.found}
    if wants_file(visit):
        return as_file(visit, "recordings", _table(visit.texts, shown.found, until))
    show = visit.again if asked.problems else visit.page
    return show("recordings.html", form=asked, asked=asked, list=shown, period=wanted.period, until=until,
                outcomes=tuple(Outcome), seats=visit.parts.settings.seats,
                staff=sorted(staff, key=lambda each: each[1]))  # fmt: skip


def _table(t: Texts, found: Sequence[Line], until: Mapping[int, datetime]) -> Table:
    """As the page shows them, numbers masked."""
    columns = ("recordings.when", "recordings.lasts", "recordings.phone", "recordings.person", "call.outcome",
               "confirmations.questions", "recordings.kept")  # fmt: skip
    return Table(t("recordings.title"), tuple(t(name) for name in columns), tuple(
        (Cell(t.moment(one.started_at)), Cell(one.duration_s, "seconds"),
         Cell(masked(one.e164) if one.e164 else t("call.hidden" if one.direction else "recordings.no_call")),
         Cell(one.staff), Cell(t(f"outcome.{one.outcome}") if one.outcome else ""),
         Cell(" ".join(map(str, one.appeals))), Cell(t.short_day(until[one.id]))) for one in found))  # fmt: skip


def _wanted(asked: Form, today: date) -> Wanted:
    """What is wrong with it is the form's."""
    first, last = asked.day("from"), asked.day("to")
    period = None
    if first or last:
        try:
            period = Period(first or last, last or first)  # type: ignore[arg-type]  # one of them is there
        except BadInput as error:
            asked.wrong("from", error)
    e164 = phones.parse_phone(asked["phone"])
    if asked["phone"] and not e164:
        asked.wrong("phone", BadInput("phone.malformed"))
    number = asked.number("number")
    if not (asked["from"] or asked["to"] or e164 or number):
        period = Period(today - LATELY, today)
    shortest, longest = (_seconds(asked, name) for name in ("shortest", "longest"))
    outcome = asked.choice("outcome", frozenset(Outcome))
    return Wanted(period, e164, asked.text("seat", 20), asked.number("person"), number, shortest,
                  longest, Outcome(outcome) if outcome else None)  # fmt: skip


def _seconds(asked: Form, name: Literal["shortest", "longest"]) -> int | None:
    """Of minutes."""
    minutes = asked.number(name)
    if minutes is not None and minutes > LONGEST_MINUTES:
        asked.wrong(name, BadInput(f"form.no_{name}"))
        return None
    return None if minutes is None else minutes * 60


def ask(visit: Visit) -> Response:
    return _page(visit, None)


def listen(visit: Visit) -> Response:
    """Writes down who listens and why, then shows the player."""
    try:
        with visit.db.write() as conn:
            path = library.open_for_listening(conn, visit.parts.settings.recordings, visit.number("id"),
                                              visit.person.id, visit.form["reason"], visit.now)  # fmt: skip
    except BadInput as error:
        return _page(visit, None, error)
    return _page(visit, visit.parts.tickets.give(path, visit.person.id, visit.now))


def copy(visit: Visit) -> Response:
    """The file, to be kept: its name tells when the call was, and nobody's number."""
    id = visit.number("id")
    try:
        with visit.db.write() as conn:
            path = library.open_for_copying(conn, visit.parts.settings.recordings, id, visit.person.id,
                                            visit.form["reason"], visit.now)  # fmt: skip
            started_at = reads.recording_of(conn, id).started_at
    except BadInput as error:
        return _page(visit, None, error)
    return FileResponse(path, media_type="audio/wav",
                        filename=f"1551-{started_at.astimezone(KYIV):%Y-%m-%d-%H%M}-{id}.wav")  # fmt: skip


def audio(visit: Visit) -> Response:
    """The sound itself, whole or the range that the player asks for."""
    path = visit.parts.tickets.path(visit.path("ticket"), visit.person.id, visit.now)
    if not path.is_file():
        raise NotFound("recording.missing")
    return FileResponse(path, media_type="audio/wav")


def _page(visit: Visit, ticket: str | None, problem: BadInput | None = None) -> Response:
    with visit.db.read() as conn:
        recording = reads.recording_of(conn, visit.number("id"))
    show = visit.again if problem else visit.page
    return show("recording.html", recording=recording, ticket=ticket, problem=problem,
                until=library.kept_until(recording.started_at, visit.parts.settings.recording_days))  # fmt: skip
