"""What applicants without an e-mail address must be told, and those whom we promised a call in vain: a person tells
them."""

from __future__ import annotations

from starlette.responses import Response

from crm import citizens, notices, promises
from web.visit import Visit

LISTED = 100


def to_tell(visit: Visit) -> Response:
    with visit.db.read() as conn:
        found = notices.to_tell(conn, there=visit.parts.settings.ways, limit=LISTED)
        unreached = promises.to_tell(conn, LISTED)
        phones = {one.citizen_id: citizens.get(conn, one.citizen_id).phones for one in found}
    visit.looked_at(*(("citizen", id) for id in phones), *(("promise", one.promise_id) for one in unreached),
                    why="notices")  # fmt: skip
    return visit.page("notices.html", found=found, phones=phones, unreached=unreached)


def told(visit: Visit) -> Response:
    with visit.db.write() as conn:
        notices.told(conn, visit.number("id"), staff_id=visit.person.id, now=visit.now)
    return visit.go("/notices?done=told")
