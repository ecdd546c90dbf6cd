"""What applicants without an e-mail address must be told, and a person tells them."""

from __future__ import annotations

from starlette.responses import Response

from crm import citizens, notices
from web.visit import Visit

LISTED = 100


def to_tell(visit: Visit) -> Response:
    with visit.db.read() as conn:
        found = notices.to_tell(conn, by_mail=bool(visit.parts.settings.smtp_host), limit=LISTED)
        phones = {one.citizen_id: citizens.get(conn, one.citizen_id).phones for one in found}
    visit.looked_at(*(("citizen", id) for id in phones), why="notices")
    return visit.page("notices.html", found=found, phones=phones)


def told(visit: Visit) -> Response:
    with visit.db.write() as conn:
        notices.told(conn, visit.number("id"), staff_id=visit.person.id, now=visit.now)
    return visit.go("/notices?done=told")
