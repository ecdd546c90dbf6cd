"""Recordings found: by day, number, person, appeal, length and what came of the call. Nobody hears what is listed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from crm.calls import Outcome
from crm.parts import part
from crm.periods import Period
from crm.schema import appeal, appeal_call, call, recording, staff
from recordings.files import State


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that is given must hold. ``e164``: of whoever called or was called. ``staff_id``: who spoke last. ``number``:
    of an appeal that the call was about. ``shortest_s``, ``longest_s``: of the recording, both within."""

    period: Period | None = None
    e164: str = ""
    seat: str = ""
    staff_id: int | None = None
    number: int | None = None
    shortest_s: int | None = None
    longest_s: int | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A recording in a list. What is told of its call is "" or None while the call is not on record, as for a file that
    nobody announced. ``appeals``: the numbers of those that the call was about."""

    id: int
    linkedid: str
    started_at: datetime
    state: State
    appeals: tuple[int, ...]
    duration_s: float | None
    e164: str
    direction: str  # crm.calls.Direction
    seat: str
    staff: str
    outcome: str  # crm.calls.Outcome


def found(conn: Connection, wanted: Wanted, limit: int, after_id: int | None = None) -> list[Line]:
    """Newest first; ``after_id`` continues a list."""
    query = (
        select(recording.c.id, recording.c.linkedid, recording.c.started_at, recording.c.state, recording.c.duration_s,
               func.coalesce(call.c.caller, ""), func.coalesce(call.c.direction, ""), func.coalesce(call.c.seat, ""),
               func.coalesce(staff.c.name, ""), func.coalesce(call.c.outcome, ""))
        .select_from(recording).join(call, call.c.linkedid == recording.c.linkedid, isouter=True)
        .join(staff, staff.c.id == call.c.staff_id, isouter=True).where(*_conditions(conn, wanted))
    )  # fmt: skip
    rows: Sequence[Any] = conn.execute(part(conn, query, recording.c.started_at, limit, after_id, newest=True)).all()
    about = _about(conn, {row[1] for row in rows if row[1]})
    return [Line(row[0], row[1], row[2], State(row[3]), tuple(about[row[1]]), *row[4:]) for row in rows]


def _conditions(conn: Connection, wanted: Wanted) -> list[ColumnElement[bool]]:
    exact: list[tuple[ColumnElement[Any], object]] = [
        (call.c.caller, wanted.e164 or None), (call.c.seat, wanted.seat or None), (call.c.staff_id, wanted.staff_id),
        (call.c.outcome, wanted.outcome.value if wanted.outcome else None)]  # fmt: skip
    held = [column == value for column, value in exact if value is not None]
    if wanted.period is not None:
        held += [recording.c.started_at >= wanted.period.start, recording.c.started_at < wanted.period.end]
    if wanted.number is not None:
        # Read first: there are few, and by the newest recordings they would be looked for among all.
        its = conn.scalars(select(appeal_call.c.linkedid).join(appeal).where(appeal.c.number == wanted.number)).all()
        held.append(recording.c.linkedid.in_(its))
    if wanted.shortest_s is not None:
        held.append(recording.c.duration_s >= wanted.shortest_s)
    if wanted.longest_s is not None:
        held.append(recording.c.duration_s <= wanted.longest_s)
    return held


def _about(conn: Connection, linkedids: Iterable[str]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for row in conn.execute(select(appeal_call.c.linkedid, appeal.c.number).join(appeal)
                            .where(appeal_call.c.linkedid.in_(list(linkedids))).order_by(appeal.c.number)):  # fmt: skip
        numbers[row.linkedid].append(row.number)
    return numbers
