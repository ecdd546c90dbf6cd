"""What the pages read that no rule of ``crm`` stands behind: a join for a list, a count for a gauge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from crm.appeals import Appeal
from crm.errors import NotFound
from crm.schema import appeal, appeal_call, attempt, callback, citizen, recording


@dataclass(frozen=True, slots=True)
class Recording:
    """A call's recording; ``state``: open, ok, damaged, missing, expired."""

    id: int
    linkedid: str
    started_at: datetime
    state: str
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class LiveAttempt:
    """A callback's call with its citizen, ended or not. ``outcome``: "" until it has one."""

    id: str
    callback_id: int
    citizen_id: int
    citizen: str
    e164: str
    staff_id: int | None
    placed_at: datetime
    outcome: str
    linkedid: str


def recordings_of(conn: Connection, linkedid: str) -> list[Recording]:
    """Oldest first."""
    columns = (recording.c.id, recording.c.linkedid, recording.c.started_at, recording.c.state, recording.c.duration_s)
    rows = conn.execute(select(*columns).where(recording.c.linkedid == linkedid).order_by(recording.c.id))
    return [Recording(*row) for row in rows]


def recording_of(conn: Connection, recording_id: int) -> Recording:
    """NotFound ``recording.unknown``."""
    columns = (recording.c.id, recording.c.linkedid, recording.c.started_at, recording.c.state, recording.c.duration_s)
    row = conn.execute(select(*columns).where(recording.c.id == recording_id)).one_or_none()
    if row is None:
        raise NotFound("recording.unknown")
    return Recording(*row)


def attempt_of(conn: Connection, attempt_id: str) -> LiveAttempt:
    """NotFound ``attempt.unknown``."""
    row = conn.execute(
        select(attempt.c.id, attempt.c.callback_id, callback.c.citizen_id, citizen.c.name, attempt.c.e164,
               attempt.c.staff_id, attempt.c.placed_at, attempt.c.outcome, attempt.c.linkedid)
        .join(callback, callback.c.id == attempt.c.callback_id)
        .join(citizen, citizen.c.id == callback.c.citizen_id)
        .where(attempt.c.id == attempt_id)
    ).one_or_none()  # fmt: skip
    if row is None:
        raise NotFound("attempt.unknown")
    return LiveAttempt(*row)


def calls_of_appeal(conn: Connection, appeal_id: int) -> list[str]:
    """The linkedids of the calls that an appeal came by or was spoken of in."""
    return list(conn.scalars(select(appeal_call.c.linkedid).where(appeal_call.c.appeal_id == appeal_id)))


def appeals_by_state(conn: Connection) -> dict[str, int]:
    """How many appeals stand where. Reads one whole index: for a gauge, not for a page."""
    return {row.state: row.n for row in conn.execute(select(appeal.c.state, func.count().label("n"))
                                                     .group_by(appeal.c.state))}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Around:
    """The appeals that one stands together with, by their numbers. ``lead`` and ``repeat_of``: 0 for none."""

    repeat_of: int
    repeats: list[int]
    lead: int
    merged: list[int]


def around(conn: Connection, its: Appeal) -> Around:
    """What it repeats and what repeats it; with which it is merged, and what is merged with it."""
    def numbers(where: ColumnElement[bool]) -> list[int]:
        return list(conn.scalars(select(appeal.c.number).where(where).order_by(appeal.c.id)))

    def number(appeal_id: int | None) -> int:
        return numbers(appeal.c.id == appeal_id)[0] if appeal_id is not None else 0

    return Around(number(its.repeat_of), numbers(appeal.c.repeat_of == its.id), number(its.lead_id),
                  numbers(appeal.c.lead_id == its.id))  # fmt: skip
