"""The city's departments and utilities, and the subjects that lead to them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection


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
    raise NotImplementedError


def subjects(conn: Connection) -> list[Subject]:
    """All, each group followed by its own."""
    raise NotImplementedError
