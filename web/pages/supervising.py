"""A seat in a supervisor's hands: to other queues, on a pause, out; and the conversation that it speaks, heard.

What the line has done is then put on record, and told to who sits there; a look is on record first (``call_queue``).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from crm import sign_in, supervision
from crm.calls import Queue, Skill
from crm.errors import BadInput, CentreError, NotFound
from crm.supervision import Deed, Ear
from web import live
from web.pages.line import PAUSES
from web.visit import Visit, status_of

LINES = (Queue.CITY, Queue.FEEDBACK)  # those that a seat may be moved to; an official's stays one


def show(visit: Visit) -> Response:
    return _page(visit)


def move(visit: Visit) -> Response:
    """To the lines and skills that are ticked, and no others."""
    at = _at(visit)
    may = {*LINES, *at.lines}
    lines = [line for line in Queue if line in may and visit.form.ticked(f"line-{line}")]
    skills = [skill for skill in Skill if visit.form.ticked(f"skill-{skill}")]
    if not lines:
        return _page(visit, BadInput("supervision.no_line"))
    return _did(visit, Deed.MOVED, "move", {"queues": lines, "skills": skills},
                before={"lines": list(at.lines), "skills": list(at.skills)}, to={"lines": lines, "skills": skills})


def pause(visit: Visit) -> Response:
    reason = visit.form["reason"]
    if reason not in PAUSES:
        return _page(visit, BadInput("form.no_reason"))
    return _did(visit, Deed.PAUSED, "pause", {"reason": reason}, to={"reason": reason}, needs_why=True)


def unpause(visit: Visit) -> Response:
    return _did(visit, Deed.UNPAUSED, "unpause", {})


def put_out(visit: Visit) -> Response:
    """Out of every queue; who sat there sits nowhere."""
    return _did(visit, Deed.PUT_OUT, "logout", {}, needs_why=True)


def listen(visit: Visit) -> Response:
    """Rings the supervisor's own seat, if he says why."""
    try:
        try:
            ear = Ear(visit.form["ear"])
        except ValueError:
            raise BadInput("supervision.no_ear") from None
        if visit.seat is None:
            raise BadInput("supervision.needs_seat")
        visit.ask_line("listen", seat=_at(visit).seat, own=visit.seat, ear=ear, keys=visit.form.ticked("keys"),
                       staff_id=visit.person.id, why=supervision.why_given(visit.form["why"]))  # fmt: skip
    except CentreError as error:
        return _page(visit, error)
    return visit.go(f"/live/seats/{visit.path('seat')}?done=hearing")


def _did(visit: Visit, deed: Deed, do: str, fields: dict[str, object], *, needs_why: bool = False,
         before: dict[str, Any] | None = None, to: dict[str, Any] | None = None) -> Response:  # fmt: skip
    """Asks the line, then says so on record and to who sits there; the page with what is wrong otherwise."""
    at = _at(visit)
    try:
        given = visit.form[f"why-{deed}"]
        why = supervision.why_given(given) if given or needs_why else ""
        visit.ask_line(do, seat=at.seat, **fields)
    except CentreError as error:
        return _page(visit, error)
    with visit.db.write() as conn:
        supervision.did(conn, deed, at.seat, whose=at.staff_id, why=why, now=visit.now, staff_id=visit.person.id,
                        before=before, to=to)  # fmt: skip
        if deed is Deed.PUT_OUT:
            sign_in.stand_up(conn, at.seat)
    visit.moved(at.seat)
    return visit.go(f"/live/seats/{at.seat}?done={deed}")


def _at(visit: Visit) -> live.Seat:
    """The seat of the address as it is now. NotFound for none of ours; one that the line has told nothing of is out."""
    number, snapshot = visit.path("seat"), visit.parts.hub.snapshot
    if number not in visit.parts.settings.seats:
        raise NotFound("seat.unknown")
    return (snapshot.seat(number) if snapshot else None) or live.Seat(number, None, "out", None, "", "")


def _page(visit: Visit, problem: CentreError | None = None) -> Response:
    at = _at(visit)
    with visit.db.read() as conn:
        acts = supervision.of_seat(conn, at.seat)
    return visit.page("supervising/seat.html", status=status_of(problem) if problem else HTTPStatus.OK, problem=problem,
                      at=at, acts=acts, pauses=PAUSES, lines=[line for line in Queue if line in {*LINES, *at.lines}],
                      skills=tuple(Skill), ears=tuple(Ear), **visit.parts.hub.values())  # fmt: skip
