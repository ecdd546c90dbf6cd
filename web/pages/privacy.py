"""One person's data, for himself: shown, given out, erased; and who looked at whose."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

import recordings
from crm import appeals, people, privacy
from crm.errors import BadInput, CentreError
from web.lists import as_file, listing, wants_file
from web.tables import Cell, Table
from web.texts import Texts
from web.visit import Visit, status_of

SAID_MOST = 60
REASON_MOST = 200
BY = frozenset({"citizen", "appeal", "staff"})


def search(visit: Visit) -> Response:
    """Who it may be, by name: a telephone may be a family's."""
    said = visit.query.text("said", SAID_MOST)
    found = []
    if said:
        with visit.db.read() as conn:
            found = privacy.find(conn, said)
        visit.looked_at(*(("citizen", each.id) for each in found))
    return visit.page("privacy/search.html", said=said, found=found)


def show(visit: Visit) -> Response:
    return _card(visit)


def download(visit: Visit) -> Response:
    """The same for a machine: JSON."""
    citizen_id = visit.number("id")
    with visit.db.read() as conn:
        data = privacy.everything(conn, citizen_id)
    visit.looked_at(("citizen", citizen_id), why="export")
    text = json.dumps(data, ensure_ascii=False, indent=1)
    return Response(text, media_type="application/json",
                    headers={"Content-Disposition": f'attachment; filename="1551-{citizen_id}.json"'})  # fmt: skip


def erase(visit: Visit) -> Response:
    """For ever: the rows at once, the files after them."""
    form, citizen_id = visit.form, visit.number("id")
    reason = form.text("reason", REASON_MOST)
    if not form.ticked("sure"):
        form.wrong("sure", BadInput("form.no_sure"))
    if form.problems:
        return _card(visit)
    try:
        with visit.db.write() as conn:
            privacy.erase(conn, citizen_id, reason=reason, now=visit.now, staff_id=visit.person.id)
    except CentreError as error:
        return _card(visit, error)
    privacy.remove_files(visit.db, visit.parts.settings.attachments)
    recordings.erase(visit.db, visit.parts.settings.recordings)
    return visit.go(f"/privacy/citizens/{citizen_id}?done=erased")


def log(visit: Visit) -> Response:
    """Who looked at one person's data, at an appeal, or what one of the centre's people looked at."""
    by, key = visit.query.choice("by", BY), visit.query.text("key", SAID_MOST)
    with visit.db.read() as conn:
        shown = listing(visit, ("by", "key"), lambda limit, after: _looks(conn, by, key, limit, after))
        found = shown.found
        of_appeals = sorted({int(look.key) for look in found if look.what == "appeal"})
        numbers = {str(line.id): line.number for line in appeals.lines(conn, of_appeals)}
    if wants_file(visit):
        return as_file(visit, "access-log", _table(visit.texts, found, numbers))
    return visit.page("privacy/log.html", by=by or "citizen", key=key, list=shown, numbers=numbers)


def _table(t: Texts, found: Sequence[privacy.Look], numbers: Mapping[str, int]) -> Table:
    """``numbers``: of the appeals, by what the log calls them."""
    return Table(t("privacy.log_title"), tuple(t(f"privacy.{name}") for name in ("when", "who", "what", "why")), tuple(
        (Cell(t.moment(look.at)), Cell(f"{look.staff} ({t(f'role.{look.role}')})"),
         Cell(f"{t(f'look.{look.what}') if f'look.{look.what}' in t else look.what} "
              f"{numbers.get(look.key, look.key) if look.what == 'appeal' else look.key}"),
         Cell(look.why)) for look in found))  # fmt: skip


def _looks(conn: Connection, by: str, key: str, limit: int, after: int | None) -> list[privacy.Look]:
    part: dict[str, Any] = {"limit": limit, "after_id": after}
    number = int(key) if key.isascii() and key.isdigit() and len(key) < 10 else 0
    if not key:
        return privacy.looks(conn, **part)
    if by == "staff":
        person = people.by_login(conn, key)
        return privacy.looks(conn, staff_id=person.id, **part) if person else []
    if by == "appeal":
        appeal = appeals.by_number(conn, number)
        return privacy.looks(conn, appeal_id=appeal.id, **part) if appeal else []
    return privacy.looks_at(conn, number, **part)


def _card(visit: Visit, problem: CentreError | None = None) -> Response:
    citizen_id = visit.number("id")
    with visit.db.read() as conn:
        data = privacy.everything(conn, citizen_id)
    visit.looked_at(("citizen", citizen_id))
    bad = bool(visit.form.problems or problem)
    return visit.page("privacy/citizen.html", status=status_of(problem) if problem else 422 if bad else 200, data=data,
                      problem=problem)  # fmt: skip
