"""The control desk's lists: what the city still owes, each found along an index.

An appeal that is merged with another is watched with that one, unless its own applicant returned it.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from crm import appeals, law, life
from crm.appeals import AppealLine
from crm.clock import KYIV
from crm.life import State
from crm.parts import part
from crm.schema import appeal

MOST_COUNTED = 1000  # more is not counted, only said to be more


class Watched(StrEnum):
    """A list."""

    OVERDUE = "overdue"
    DUE_TODAY = "due_today"
    CONTROL = "control"  # returned twice: the desk decides
    UNACKNOWLEDGED = "unacknowledged"
    EXTENDED = "extended"
    PERSONAL = "personal"  # under an official's personal control, and not ended
    UNCONFIRMED = "unconfirmed"  # nobody could be asked


_c = appeal.c
_OPEN = _c.state.in_(sorted(state.value for state in life.OPEN))
_ALONE = or_(_c.lead_id.is_(None), _c.state == State.RETURNED.value)


def _where(which: Watched, now: dt.datetime, official_id: int | None) -> ColumnElement[bool]:
    match which:
        case Watched.OVERDUE:
            return and_(_OPEN, _c.due_at < now, _ALONE)
        case Watched.DUE_TODAY:
            return and_(_OPEN, _c.due_at.between(now, law.end_of(now.astimezone(KYIV).date())), _ALONE)
        case Watched.CONTROL:
            return _c.state == State.CONTROL.value
        case Watched.UNACKNOWLEDGED:
            waiting = _c.state.in_([State.ASSIGNED.value, State.RETURNED.value])
            return and_(waiting, _c.acknowledged_at.is_(None), _ALONE)
        case Watched.EXTENDED:
            return and_(_OPEN, _c.extended_at.is_not(None), _ALONE)
        case Watched.PERSONAL:
            whose = _c.official_id.is_not(None) if official_id is None else _c.official_id == official_id
            return and_(whose, _c.ended_at.is_(None))
        case Watched.UNCONFIRMED:
            return _c.state == State.UNCONFIRMED.value


def counts(conn: Connection, now: dt.datetime, *, official_id: int | None = None,
           department_id: int | None = None) -> dict[Watched, int]:  # fmt: skip
    """How long each list is, MOST_COUNTED at the most. ``official_id``: whose personal control; None: anybody's."""
    found = {}
    for which in Watched:
        some = select(_c.id).where(*_conditions(which, now, official_id, department_id)).limit(MOST_COUNTED)
        found[which] = int(conn.execute(select(func.count()).select_from(some.subquery())).scalar_one())
    return found


def listed(conn: Connection, which: Watched, now: dt.datetime, *, official_id: int | None = None,
           department_id: int | None = None, limit: int = 50,
           after_id: int | None = None) -> list[AppealLine]:  # fmt: skip
    """A part of a list, the nearest deadline first; ``after_id``: after which appeal it begins."""
    ids = select(_c.id).where(*_conditions(which, now, official_id, department_id))
    return appeals.lines(conn, conn.execute(part(conn, ids, _c.due_at, limit, after_id)).scalars().all())


def _conditions(which: Watched, now: dt.datetime, official_id: int | None, department_id: int | None) -> list[Any]:
    where: list[Any] = [_where(which, now, official_id)]
    if department_id is not None:
        where.append(_c.department_id == department_id)
    return where
