"""The city's departments and utilities, and the subjects that lead to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from crm.schema import department, subject


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
    it, "" at the top. ``leaf``: nothing is below it. ``offered``: it and all above it are active."""

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


def departments(conn: Connection) -> list[Department]:
    """All, by name."""
    columns = [department.c[name] for name in Department.__dataclass_fields__]
    return [Department(*row) for row in conn.execute(select(*columns).order_by(department.c.name))]


def subjects(conn: Connection) -> list[Subject]:
    """The tree, each followed by all below it; within a group those with nothing below them first."""
    rows = conn.execute(select(subject.c.id, subject.c.parent_id, subject.c.name_uk, subject.c.name_en,
                               subject.c.department_id, subject.c.term_days, subject.c.kind, subject.c.active)
                        .order_by(subject.c.id)).all()  # fmt: skip
    below: dict[int | None, list[Any]] = {}
    for row in rows:
        below.setdefault(row.parent_id, []).append(row)

    def walk(row: Any, depth: int, open: bool, uk: str, en: str) -> Iterator[Subject]:
        offered = open and row.active
        yield Subject(row.id, row.parent_id, row.name_uk, row.name_en, row.department_id, row.term_days, row.kind,
                      row.active, depth, row.id not in below, offered, uk, en)  # fmt: skip
        for child in sorted(below.get(row.id, ()), key=lambda child: child.id in below):
            yield from walk(child, depth + 1, offered, _under(uk, row.name_uk), _under(en, row.name_en))

    return [each for row in below.get(None, ()) for each in walk(row, 0, True, "", "")]


def _under(above: str, name: str) -> str:
    return f"{above} › {name}" if above else name
