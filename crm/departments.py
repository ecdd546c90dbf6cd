"""The city's departments and utilities, and the subjects that lead to them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from crm.schema import department, subject


@dataclass(frozen=True, slots=True)
class Department:
    id: int
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Subject:
    """``parent_id`` is None for a group. ``term_days``: days to act in, from registration."""

    id: int
    parent_id: int | None
    name_uk: str
    name_en: str
    department_id: int
    term_days: int


def departments(conn: Connection) -> list[Department]:
    """All, by name."""
    columns = (department.c.id, department.c.name, department.c.email)
    return [Department(*row) for row in conn.execute(select(*columns).order_by(department.c.name))]


def subjects(conn: Connection) -> list[Subject]:
    """All, each group followed by its own."""
    group = func.coalesce(subject.c.parent_id, subject.c.id)
    rows = conn.execute(select(subject.c.id, subject.c.parent_id, subject.c.name_uk, subject.c.name_en,
                               subject.c.department_id, subject.c.term_days)
                        .order_by(group, subject.c.parent_id.is_not(None), subject.c.id))  # fmt: skip
    return [Subject(*row) for row in rows]
