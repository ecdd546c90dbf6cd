"""The city's departments and utilities, and the subjects that lead to them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

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
    ``kind``: crm.law.Kind, where the appeal itself says nothing else."""

    id: int
    parent_id: int | None
    name_uk: str
    name_en: str
    department_id: int
    term_days: int | None
    kind: str
    active: bool


def departments(conn: Connection) -> list[Department]:
    """All, by name."""
    columns = [department.c[name] for name in Department.__dataclass_fields__]
    return [Department(*row) for row in conn.execute(select(*columns).order_by(department.c.name))]


def subjects(conn: Connection) -> list[Subject]:
    """All, each group followed by its own."""
    group = func.coalesce(subject.c.parent_id, subject.c.id)
    rows = conn.execute(select(subject.c.id, subject.c.parent_id, subject.c.name_uk, subject.c.name_en,
                               subject.c.department_id, subject.c.term_days, subject.c.kind, subject.c.active)
                        .order_by(group, subject.c.parent_id.is_not(None), subject.c.id))  # fmt: skip
    return [Subject(*row) for row in rows]
