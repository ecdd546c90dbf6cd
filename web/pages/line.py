"""The live view, and the seat where somebody sits: log in, pause, go on, log out."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from starlette.responses import Response

from crm import calls, people, ratings
from crm.calls import Queue
from crm.errors import BadInput, CentreError
from crm.people import Permission
from crm.periods import Period, day_of
from crm.suppression import LEAST
from web.live import VIEWS
from web.visit import SESSION, Visit, status_of

OWN_DAYS = 30  # of what callers said, one's own mean
PAUSES = ("break", "lunch", "training", "technical", "paperwork")
QUEUES = {Permission.TAKE_CALLS: Queue.CITY, Permission.CALL_BACK: Queue.FEEDBACK}


def live(visit: Visit) -> Response:
    """The whole view as it is now; the page's script then keeps it so."""
    return visit.page("live.html", parts=VIEWS["live"], **visit.parts.hub.values())


def seat(visit: Visit) -> Response:
    """One's own place: which seat, its state, the call at it, and one's calls that nobody has settled."""
    return _page(visit)


def sit(visit: Visit) -> Response:
    """Takes a seat: the line logs it into the queues of this person's work, then the session remembers it."""
    number = visit.form["seat"]
    if number not in visit.parts.settings.seats:
        raise BadInput("form.no_seat")
    queues = [queue for permission, queue in QUEUES.items() if visit.can(permission)]
    return _asked(visit, "seat", "login", seat=number, staff_id=visit.person.id, queues=queues,
                  skills=list(visit.person.skills), sits=number)  # fmt: skip


def leave(visit: Visit) -> Response:
    return _asked(visit, "left", "logout", seat=_own(visit), sits=None)


def pause(visit: Visit) -> Response:
    reason = visit.form["reason"]
    if reason not in PAUSES:
        raise BadInput("form.no_reason")
    return _asked(visit, "paused", "pause", seat=_own(visit), sits=visit.seat, reason=reason)


def unpause(visit: Visit) -> Response:
    return _asked(visit, "unpaused", "unpause", seat=_own(visit), sits=visit.seat)


def _own(visit: Visit) -> str:
    if visit.seat is None:
        raise BadInput("form.no_seat")
    return visit.seat


def _asked(visit: Visit, done: str, do: str, *, seat: str, sits: str | None, **fields: object) -> Response:
    """Asks the line, then remembers where the person ``sits``; the seat's page with the line's refusal otherwise."""
    try:
        visit.ask_line(do, seat=seat, **fields)
    except CentreError as error:
        return _page(visit, error)
    with visit.db.write() as conn:
        people.sit(conn, visit.request.cookies[SESSION], sits)
    visit.moved(sits or visit.seat)
    return visit.go(f"/seat?done={done}")


def _page(visit: Visit, problem: CentreError | None = None) -> Response:
    snapshot = visit.parts.hub.snapshot
    with visit.db.read() as conn:
        mine = calls.unsettled(conn, staff_id=visit.person.id)
        since = Period(day_of(visit.now) - timedelta(days=OWN_DAYS - 1), day_of(visit.now)).start
        said = ratings.of_person(conn, visit.person.id, since, visit.now)
    taken = {s.seat for s in snapshot.seats if s.staff_id not in (None, visit.person.id)} if snapshot else set()
    seats = visit.parts.settings.seats
    return visit.page(
        "seat.html", status=status_of(problem) if problem else HTTPStatus.OK, problem=problem, pauses=PAUSES,
        unsettled=mine, said=said, own_days=OWN_DAYS, least=LEAST,
        hub=visit.parts.hub, at=snapshot.seat(visit.seat) if snapshot else None, seats=seats,
        taken=taken,
        first=visit.form["seat"] or visit.seat or next((seat for seat in seats if seat not in taken), ""),
    )  # fmt: skip
