"""Who was promised a call and waits for it, in the order in which they are called; how today's promises were kept."""

from __future__ import annotations

from starlette.responses import Response

from crm import promises
from crm.errors import CentreError
from crm.people import Permission
from crm.periods import Period, day_of
from web.visit import Visit, status_of

LISTED = 200
REASON_MOST = 200


def listed(visit: Visit) -> Response:
    return _list(visit)


def withdraw(visit: Visit) -> Response:
    """A person ends one, and says why."""
    reason = visit.form.text("reason", REASON_MOST)
    try:
        with visit.db.write() as conn:
            promises.withdraw(conn, visit.number("id"), reason=reason, staff_id=visit.person.id, now=visit.now)
    except CentreError as error:
        return _list(visit, error)
    visit.poke_line("callbacks")
    return visit.go("/promises?done=promise_withdrawn")


def _list(visit: Visit, problem: CentreError | None = None) -> Response:
    """Numbers in full for those who may see whom we serve; that they looked is kept."""
    with visit.db.read() as conn:
        found = promises.open_ones(conn)
        today = promises.kept_since(conn, Period(day_of(visit.now), day_of(visit.now)).start)
    shown, whole = found[:LISTED], visit.can(Permission.SEE_APPEALS)
    if whole and shown:
        visit.looked_at(*(("promise", one.id) for one in shown), why="promises")
    return visit.page("promises.html", found=shown, more=len(found) - len(shown), today=today, whole=whole,
                      problem=problem, status=status_of(problem) if problem else 200)  # fmt: skip
