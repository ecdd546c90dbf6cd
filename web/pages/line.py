"""The live view, and the seat where somebody sits: log in, pause, go on, log out."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from starlette.responses import Response

from crm import calls, ratings, sign_in, supervision
from crm.calls import Queue
from crm.errors import BadInput, CentreError
from crm.people import Permission, Role
from crm.periods import Period, day_of
from crm.sign_in import Phone
from crm.suppression import LEAST
from web.live import ON_CALL, VIEWS
from web.visit import SESSION, Visit, status_of

OWN_DAYS = 30  # of what callers said, one's own mean
PAUSES = ("break", "lunch", "training", "technical", "paperwork")
QUEUES = {Permission.TAKE_CALLS: Queue.CITY, Permission.CALL_BACK: Queue.FEEDBACK}


def live(visit: Visit) -> Response:
    """The whole view as it is now; the page's script then keeps it so."""
    view = "led" if visit.can(Permission.MANAGE_SEATS) else "live"
    return visit.page("live.html", view=view, parts=VIEWS[view], **visit.parts.hub.values())


def seat(visit: Visit) -> Response:
    """One's own place: which seat, its state, the call at it, and one's calls that nobody has settled."""
    return _page(visit)


def sit(visit: Visit) -> Response:
    """Takes a seat. By a desk telephone the line logs it into the queues of this person's work at once; by the browser
    it does when the desk's telephone is there (``web.pages.desk``), and until then nobody sits there."""
    number, phone = visit.form["seat"], _phone(visit)
    if number not in visit.parts.settings.seats:
        raise BadInput("form.no_seat")
    try:
        if phone is Phone.DESK:
            log_in(visit, number, phone)
        elif _speaks_there(visit, number):
            raise BadInput("seat.on_call")
        else:
            visit.ask_line("logout", seat=number)
    except CentreError as error:
        return _page(visit, error)
    _moved(visit, number, phone)
    return visit.go("/desk" if phone is Phone.BROWSER else "/seat?done=seat")


def log_in(visit: Visit, seat: str, phone: Phone) -> None:
    """Asks the line to log the seat into the queues of this person's work. CentreError when it refuses."""
    queues = [queue for permission, queue in QUEUES.items() if visit.can(permission)]
    if visit.person.role is Role.OFFICIAL:  # he is given those who have agreed to speak with him
        queues = [Queue.OFFICIAL]
    visit.ask_line("login", seat=seat, staff_id=visit.person.id, queues=queues, skills=list(visit.person.skills),
                   phone=phone)  # fmt: skip


def leave(visit: Visit) -> Response:
    """A call by a desk telephone goes on; one by the browser would end with the page."""
    state = visit.parts.hub.call_of(visit.seat)[2]
    if state and visit.session is not None and visit.session.phone is Phone.BROWSER:
        return _page(visit, BadInput("seat.on_call"))
    return _asked(visit, "left", "logout")


def pause(visit: Visit) -> Response:
    reason = visit.form["reason"]
    if reason not in PAUSES:
        raise BadInput("form.no_reason")
    return _asked(visit, "paused", "pause", reason=reason)


def unpause(visit: Visit) -> Response:
    return _asked(visit, "unpaused", "unpause")


def _asked(visit: Visit, done: str, do: str, **fields: object) -> Response:
    """Asks the line something of one's own seat; the seat's page with the line's refusal otherwise."""
    if visit.seat is None:
        raise BadInput("form.no_seat")
    try:
        visit.ask_line(do, seat=visit.seat, **fields)
    except CentreError as error:
        return _page(visit, error)
    if do == "logout":
        _moved(visit, None)
    return visit.go(f"/seat?done={done}")


def _moved(visit: Visit, seat: str | None, phone: Phone = Phone.DESK) -> None:
    """Remembers where the person sits; whoever sat there, and he himself elsewhere, is told no more of that seat."""
    with visit.db.write() as conn:
        sign_in.sit(conn, visit.cookie(SESSION), seat, phone)
    visit.moved(seat or visit.seat)


def _phone(visit: Visit) -> Phone:
    chosen = visit.form["phone"] or Phone.DESK
    if chosen not in set(Phone):
        raise BadInput("form.no_seat")
    return Phone(chosen)


def _speaks_there(visit: Visit, number: str) -> bool:
    """Whether somebody else has a call at that seat."""
    snapshot = visit.parts.hub.snapshot
    at = snapshot.seat(number) if snapshot is not None else None
    return at is not None and at.state in ON_CALL and at.staff_id not in (None, visit.person.id)


def _page(visit: Visit, problem: CentreError | None = None) -> Response:
    snapshot = visit.parts.hub.snapshot
    with visit.db.read() as conn:
        mine = calls.unsettled(conn, staff_id=visit.person.id)
        since = Period(day_of(visit.now) - timedelta(days=OWN_DAYS - 1), day_of(visit.now)).start
        said = ratings.of_person(conn, visit.person.id, since, visit.now)
        act = supervision.done_to(conn, visit.person.id, visit.parts.settings.seats, visit.now)
    taken = {s.seat for s in snapshot.seats if s.staff_id not in (None, visit.person.id)} if snapshot else set()
    seats = visit.parts.settings.seats
    return visit.page(
        "seat.html", status=status_of(problem) if problem else HTTPStatus.OK, problem=problem, pauses=PAUSES,
        unsettled=mine, said=said, act=act, own_days=OWN_DAYS, least=LEAST,
        hub=visit.parts.hub, at=snapshot.seat(visit.seat) if snapshot else None, seats=seats,
        taken=taken, phones=tuple(Phone), by=visit.form["phone"] or Phone.DESK,
        first=visit.form["seat"] or visit.seat or next((seat for seat in seats if seat not in taken), ""),
    )  # fmt: skip
