"""The wallboard, and the supervisor's switches on it: a surge, an air alert."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from crm import surges
from crm.errors import BadInput, CentreError
from crm.surges import Kind
from web.live import VIEWS
from web.visit import Visit, status_of


def show(visit: Visit) -> Response:
    """The whole board as it is now; the page's script then keeps it so."""
    return _page(visit)


def switch(visit: Visit) -> Response:
    """On or off; the line does the rest within a second, or when it is back."""
    try:
        kind, to = Kind(visit.path("kind")), visit.form["to"]
    except ValueError:
        raise BadInput("surge.unknown") from None
    if to not in ("on", "off"):
        raise BadInput("surge.unknown")
    try:
        with visit.db.write() as conn:
            if to == "on":
                surges.switch_on(conn, kind, now=visit.now, staff_id=visit.person.id, reason=visit.form["reason"])
            else:
                surges.switch_off(conn, kind, now=visit.now, staff_id=visit.person.id)
    except CentreError as error:
        return _page(visit, error)
    visit.poke_line("surge")
    return visit.go(f"/wall?done=surge_{to}")


def history(visit: Visit) -> Response:
    """Who switched what, when and why."""
    with visit.db.read() as conn:
        return visit.page("wall_history.html", past=surges.history(conn))


def _page(visit: Visit, problem: CentreError | None = None) -> Response:
    return visit.page("wall.html", status=status_of(problem) if problem else HTTPStatus.OK, problem=problem,
                      parts=VIEWS["wall"], kinds=tuple(Kind), **visit.parts.hub.values())  # fmt: skip
