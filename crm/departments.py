"""The city's departments and utilities, and the subjects that lead to them: read, and edited by the city.

Nothing is deleted: a subject or a department that is not wanted any more is made inactive, and the appeals that name
it live on. Every change is in ``edit_log``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, func, select, update

from crm import life, texts
from crm.edits import log_edit
from crm.errors import BadInput, NotFound
from crm.law import Kind
from crm.schema import appeal, department, subject
from crm.store import insert_row

KINDS = ("city", "utility", "district", "outside")
MOST_DAYS = 30  # a longer term than the law's month is none
MOST_PHRASES, PHRASE_MOST = 9, 200  # as many as there are keys for them
_EMAIL = re.compile(r"[^\s@,;<>\"]+@[^\s@,;<>\"]+\.[^\s@,;<>\"]+")


@dataclass(frozen=True, slots=True)
class Department:
    """``kind``: city, utility, district or outside (its competence). ``superior_id``: who gets complaints about it.
    ``is_desk``: takes what no rule routes."""

    id: int
    name: str
    email: str
    phone: str
    kind: str
    superior_id: int | None
    is_desk: bool
    active: bool


@dataclass(frozen=True, slots=True)
class Subject:
    """``parent_id`` is None at the top. ``term_days``: days to act in, from registration; None for a month.
    ``kind``: crm.law.Kind, where the appeal itself says nothing else. ``group_uk``, ``group_en``: the names above
    it, "" at the top. ``leaf``: nothing is below it. ``offered``: it and all above it are active. ``phrases``: for the
    text of an appeal, one a line."""

    id: int
    parent_id: int | None
    name_uk: str
    name_en: str
    department_id: int
    term_days: int | None
    kind: str
    active: bool
    depth: int
    leaf: bool
    offered: bool
    group_uk: str
    group_en: str
    phrases: str


def departments(conn: Connection) -> list[Department]:
    """All, by name."""
    columns = [department.c[name] for name in Department.__dataclass_fields__]
    return [Department(*row) for row in conn.execute(select(*columns).order_by(department.c.name))]


def subjects(conn: Connection) -> list[Subject]:
    """The tree, each followed by all below it; within a group those with nothing below them first."""
    rows = conn.execute(select(subject.c.id, subject.c.parent_id, subject.c.name_uk, subject.c.name_en,
                               subject.c.department_id, subject.c.term_days, subject.c.kind, subject.c.active,
                               subject.c.phrases)
                        .order_by(subject.c.id)).all()  # fmt: skip
    below: dict[int | None, list[Any]] = {}
    for row in rows:
        below.setdefault(row.parent_id, []).append(row)

    def walk(row: Any, depth: int, open: bool, uk: str, en: str) -> Iterator[Subject]:
        offered = open and row.active
        yield Subject(row.id, row.parent_id, row.name_uk, row.name_en, row.department_id, row.term_days, row.kind,
                      row.active, depth, row.id not in below, offered, uk, en, row.phrases)  # fmt: skip
        for child in sorted(below.get(row.id, ()), key=lambda child: child.id in below):
            yield from walk(child, depth + 1, offered, _under(uk, row.name_uk), _under(en, row.name_en))

    return [each for row in below.get(None, ()) for each in walk(row, 0, True, "", "")]


def _under(above: str, name: str) -> str:
    return f"{above} › {name}" if above else name


def save_subject(conn: Connection, subject_id: int | None, *, name_uk: str, name_en: str, parent_id: int | None,
                 department_id: int, term_days: int | None, kind: str, active: bool, now: dt.datetime,
                 staff_id: int | None, phrases: str | None = None) -> int:  # fmt: skip
    """Adds a subject (``subject_id`` None) or changes it, its place in the tree too; its id. ``phrases``: None leaves
    them.

    BadInput for a name that is empty or that another has at that place, for a subject under itself, a term of no days
    or of more than MOST_DAYS, more or longer phrases than there may be, a kind of none, a department that is outside
    the city; NotFound for what there is not.
    """
    before = None if subject_id is None else _row(conn, subject, subject_id)
    values = {"parent_id": parent_id, "name_uk": texts.line(name_uk, 120), "name_en": texts.line(name_en, 120),
              "department_id": department_id, "term_days": term_days, "kind": kind, "active": active}  # fmt: skip
    if phrases is not None:
        values["phrases"] = _phrases(phrases)
    if not values["name_uk"] or not values["name_en"]:
        raise BadInput("subject.no_name")
    if term_days is not None and not 1 <= term_days <= MOST_DAYS:
        raise BadInput("subject.term", most=MOST_DAYS)
    if kind not in set(Kind):
        raise BadInput("subject.kind")
    if _row(conn, department, department_id)["kind"] == "outside":
        raise BadInput("subject.outside")
    _must_not_circle(conn, subject, "parent_id", subject_id, parent_id)
    named = select(subject.c.id).where(subject.c.parent_id.is_not_distinct_from(parent_id),
                                       subject.c.name_uk == values["name_uk"])  # fmt: skip
    if set(conn.scalars(named)) - {subject_id}:
        raise BadInput("subject.name_taken")
    return _save(conn, subject, subject_id, before, values, now, staff_id)


def _phrases(said: str) -> str:
    lines = [" ".join(line.split()) for line in texts.text(said, len(said)).splitlines()]
    kept = [line for line in lines if line]
    if len(kept) > MOST_PHRASES or any(len(line) > PHRASE_MOST for line in kept):
        raise BadInput("subject.phrases", most=MOST_PHRASES, longest=PHRASE_MOST)
    return "\n".join(kept)


def save_department(conn: Connection, department_id: int | None, *, name: str, email: str, phone: str, kind: str,
                    superior_id: int | None, is_desk: bool, active: bool, now: dt.datetime,
                    staff_id: int | None) -> int:  # fmt: skip
    """Adds a department (``department_id`` None) or changes it; its id.

    BadInput for a name that is empty or taken, an address that is none, a kind of none, a department above itself, a
    desk outside the city, and for the last desk that works: what no rule routes must fall to somebody.
    """
    before = None if department_id is None else _row(conn, department, department_id)
    values = {"name": texts.line(name, 200), "email": texts.line(email, 200), "phone": texts.line(phone, 40),
              "kind": kind, "superior_id": superior_id, "is_desk": is_desk, "active": active}  # fmt: skip
    if not values["name"]:
        raise BadInput("department.no_name")
    if values["email"] and not is_email(str(values["email"])):
        raise BadInput("department.email")
    if kind not in KINDS:
        raise BadInput("department.kind")
    if is_desk and kind == "outside":
        raise BadInput("department.outside_desk")
    _must_not_circle(conn, department, "superior_id", department_id, superior_id)
    named = select(department.c.id).where(department.c.name == values["name"])
    if set(conn.scalars(named)) - {department_id}:
        raise BadInput("department.name_taken")
    if before is not None and before["is_desk"] and before["active"] and not (is_desk and active):
        desks = select(department.c.id).where(department.c.is_desk, department.c.active)
        if set(conn.scalars(desks)) <= {department_id}:
            raise BadInput("department.last_desk")
    return _save(conn, department, department_id, before, values, now, staff_id)


def is_email(address: str) -> bool:
    """Whether letters can be sent there, as far as its form tells."""
    return _EMAIL.fullmatch(address) is not None


def open_appeals(conn: Connection) -> Mapping[int, int]:
    """How many open appeals lie with each department that has any."""
    rows = conn.execute(select(appeal.c.department_id, func.count())
                        .where(appeal.c.state.in_([state.value for state in life.OPEN]))
                        .group_by(appeal.c.department_id))  # fmt: skip
    return {row[0]: row[1] for row in rows}


def _row(conn: Connection, table: Table, id: int) -> Mapping[str, Any]:
    row = conn.execute(select(table).where(table.c.id == id)).one_or_none()
    if row is None:
        raise NotFound(f"{table.name}.unknown")
    return row._asdict()


def _must_not_circle(conn: Connection, table: Table, above: str, id: int | None, above_id: int | None) -> None:
    """All rows are held until the transaction ends: two moves at once could close a circle that neither sees."""
    rows = conn.execute(select(table.c.id, table.c[above]).order_by(table.c.id).with_for_update())
    ups: dict[int, int | None] = {row[0]: row[1] for row in rows}
    if above_id is not None and above_id not in ups:
        raise NotFound(f"{table.name}.unknown")
    at, passed = above_id, set[int]()
    while at is not None and at not in passed:
        if at == id:
            raise BadInput(f"{table.name}.circle")
        passed.add(at)
        at = ups[at]


def _save(conn: Connection, table: Table, id: int | None, before: Mapping[str, Any] | None, values: Mapping[str, Any],
          now: dt.datetime, staff_id: int | None) -> int:  # fmt: skip
    if before is None or id is None:
        id = insert_row(conn, table, values)
    else:
        conn.execute(update(table).where(table.c.id == id).values(values))
    was = None if before is None else {name: before[name] for name in values}
    if was != values:
        log_edit(conn, now=now, staff_id=staff_id, what=table.name, key=id, before=was, after=values)
    return id
