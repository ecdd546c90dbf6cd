"""The live view, and the seat where somebody sits: log in, pause, go on, log out."""

from __future__ import annotations

from starlette.responses import Response

from crm import calls, people
from crm.errors import BadInput
from crm.people import Permission
from web.live import PARTS
from web.visit import SESSION, Visit

PAUSES = ("break", "lunch", "training", "technical", "paperwork")
QUEUES = {Permission.TAKE_CALLS: "city", Permission.CALL_BACK: "feedback"}


def live(visit: Visit) -> Response:
    """The whole view as it is now; the page's script then keeps it so."""
    return visit.page("live.html", parts=PARTS, **visit.parts.hub.values())


def seat(visit: Visit) -> Response:
    """One's own place: which seat, its state, the call at it, and one's calls that nobody has settled."""
    snapshot = visit.parts.hub.snapshot
    with visit.db.read() as conn:
        mine = [call for call in calls.unsettled(conn) if call.staff_id == visit.person.id]
    return visit.page(
        "seat.html", pauses=PAUSES, unsettled=mine, hub=visit.parts.hub,
        seats=visit.parts.settings.seats, at=snapshot.seat(visit.seat) if snapshot else None,
        taken={s.seat for s in snapshot.seats if s.staff_id not in (None, visit.person.id)} if snapshot else set(),
    )  # fmt: skip


def sit(visit: Visit) -> Response:
    """Takes a seat: the line logs it into the queues of this person's work, then the session remembers it."""
    number = visit.form["seat"]
    if number not in visit.parts.settings.seats:
        raise BadInput("form.no_seat")
    queues = [queue for permission, queue in QUEUES.items() if visit.can(permission)]
    visit.ask_line("login", seat=number, staff_id=visit.person.id, queues=queues)
    _sit(visit, number)
    return visit.go("/seat?done=seat")


def leave(visit: Visit) -> Response:
    visit.ask_line("logout", seat=_own(visit))
    _sit(visit, None)
    return visit.go("/seat?done=left")


def pause(visit: Visit) -> Response:
    reason = visit.form["reason"]
    if reason not in PAUSES:
        raise BadInput("form.no_reason")
    visit.ask_line("pause", seat=_own(visit), reason=reason)
    return visit.go("/seat?done=paused")


def unpause(visit: Visit) -> Response:
    visit.ask_line("unpause", seat=_own(visit))
    return visit.go("/seat?done=unpaused")


def _own(visit: Visit) -> str:
    if visit.seat is None:
        raise BadInput("form.no_seat")
    return visit.seat


def _sit(visit: Visit, number: str | None) -> None:
    with visit.db.write() as conn:
        people.sit(conn, visit.request.cookies[SESSION], number)
