"""Calling residents back: who is due, who is next, and the call; what came of the last one, and of the day so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from sqlalchemy import Connection
from starlette.responses import Response

from crm import appeals, campaign_figures, campaigns, citizens, confirmations, outlook, own_pace
from crm.appeals import AppealLine
from crm.campaign_rules import Mode, State
from crm.campaigns import Campaign
from crm.confirmations import Due, Question
from crm.errors import BadInput, CentreError
from crm.outlook import Came
from crm.own_pace import OwnPace
from web import reads
from web.pages.campaigns import waits_for
from web.visit import Visit, status_of

LISTED = 100


@dataclass(frozen=True, slots=True)
class Shift:
    """``planned``: the calls an hour with which the forecast of a running campaign reckons; None while none runs in
    which people call."""

    pace: OwnPace
    planned: float | None


def due(visit: Visit) -> Response:
    """Callbacks that may be placed now, and those of this person that wait for their result; of the campaigns in which
    a person sees the next one before he calls, that one."""
    return _list(visit)


def another(visit: Visit) -> Response:
    """Not this one now: it is left to others."""
    visit.parts.handed.pass_over(visit.number("callback_id"), visit.person.id, visit.now)
    return visit.go("/confirmations")


def _list(visit: Visit, problem: CentreError | None = None) -> Response:
    with visit.db.read() as conn:
        found = confirmations.due(conn, visit.now, None, LISTED, visit.parts.rules)
        open_ = [a for a in confirmations.open_attempts(conn) if a.staff_id == visit.person.id]
        names = {a.citizen_id: citizens.get(conn, a.citizen_id).name for a in open_}
        running = [one for one in campaigns.open_campaigns(conn) if one.state is State.RUNNING]
        placed = campaigns.placed_today(conn, visit.now)
        following = None if open_ else _next(visit, conn, running)
        lines = lines_of(conn, following.questions) if following else {}
        came, done = _came(visit, conn), shift(visit, conn)
    if following:
        visit.looked_at(("citizen", following.citizen_id), why="/confirmations")
    return visit.page("confirmations.html", status=status_of(problem) if problem else HTTPStatus.OK, due=found,
                      mine=open_, names=names, problem=problem, running=running, next=following, lines=lines,
                      called={one.id: one.terms.name for one in running}, came=came, shift=done,
                      waits={one.id: waits_for(visit, one, placed.get(one.id, 0)) for one in running})  # fmt: skip


def _next(visit: Visit, conn: Connection, running: Sequence[Campaign]) -> Due | None:
    """Whom this person calls next in a campaign of preview: nobody else is shown the same one."""
    if not any(one.terms.mode is Mode.PREVIEW for one in running):
        return None
    due = confirmations.due(conn, visit.now, None, LISTED, visit.parts.rules, within=Mode.PREVIEW)
    chosen = visit.parts.handed.next([one.callback_id for one in due], visit.person.id, visit.now)
    return next((one for one in due if one.callback_id == chosen), None)


def _came(visit: Visit, conn: Connection) -> Came | None:
    """What came of the call whose result this person has just written down."""
    if not visit.query["of"]:
        return None
    one = reads.attempt_of(conn, visit.query["of"])
    return outlook.came_of(conn, one.id) if one.staff_id == visit.person.id else None


def shift(visit: Visit, conn: Connection) -> Shift:
    """This person's day so far, and what to hold it against."""
    by_people = [one for one in campaigns.open_campaigns(conn)
                 if one.state is State.RUNNING and one.terms.mode is not Mode.AUTOMATIC]  # fmt: skip
    planned = 3600 / campaign_figures.pace(conn, by_people[0].terms.mode, visit.now).call_s if by_people else None
    return Shift(own_pace.today(conn, visit.person.id, visit.now), planned)


def lines_of(conn: Connection, questions: Iterable[Question]) -> dict[int, AppealLine]:
    """Of each appeal that is asked about, by its number, what is to be seen of it."""
    return {q.number: line for q in questions for line in appeals.search(conn, number=q.number, limit=1)}


def call(visit: Visit) -> Response:
    """Asks the line to call: this person's seat first, then the resident. The line commits the attempt."""
    callback_id = visit.number("callback_id")
    if visit.seat is None:
        return _list(visit, BadInput("callback.needs_seat"))
    try:
        reply = visit.ask_line("call", callback_id=callback_id, seat=visit.seat, staff_id=visit.person.id)
    except CentreError as error:
        return _list(visit, error)
    if not reply.get("attempt"):  # there was no number left to call
        return visit.go("/confirmations?done=no_number")
    return visit.go(f"/confirmations/attempts/{reply['attempt']}")
