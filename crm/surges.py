"""The supervisor's switches for the worst days: a surge of calls, an air alert. What follows is the line's to do
(``call_queue.surging``); here is who switched what, when and why. One of a kind is on at a time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select, update

from crm import texts
from crm.edits import log_edit
from crm.errors import IllegalAction
from crm.schema import attempt, seat_event, staff, surge
from crm.store import Statement, insert_or_ignore


class Kind(StrEnum):
    SURGE = "surge"  # more callers than the seats can take
    ALERT = "alert"  # the air-raid siren: the operators go to the shelter


@dataclass(frozen=True, slots=True)
class Surge:
    """From when to when, who switched it (staff_id and name), and why. ``ended_at`` is None while it is on."""

    id: int
    kind: Kind
    began_at: dt.datetime
    began_by: int | None
    beginner: str
    reason: str
    ended_at: dt.datetime | None
    ended_by: int | None
    ender: str


@dataclass(frozen=True, slots=True)
class Effects:
    """What callers notice. ``announced``: what everybody is told as he comes, a prompt by language."""

    surge: bool = False
    alert: bool = False
    announced: Mapping[str, str] = field(default_factory=dict)

    @property
    def at_once(self) -> bool:
        """A callback is offered to everybody as he comes."""
        return self.surge or self.alert


_ender = staff.alias("ender")
_SURGE: Select[Any] = (
    select(surge.c.id, surge.c.kind, surge.c.began_at, surge.c.began_by, func.coalesce(staff.c.name, ""),
           surge.c.reason, surge.c.ended_at, surge.c.ended_by, func.coalesce(_ender.c.name, ""))
    .join(staff, surge.c.began_by == staff.c.id, isouter=True)
    .join(_ender, surge.c.ended_by == _ender.c.id, isouter=True)
)  # fmt: skip
_ON = _SURGE.where(surge.c.ended_at.is_(None))
_SWITCH_OFF = Statement(update(surge).where(surge.c.kind == bindparam("of"), surge.c.ended_at.is_(None))
                        .returning(surge.c.id))  # fmt: skip
_LAST_ENDED = Statement(select(func.max(surge.c.ended_at)).where(surge.c.kind == bindparam("kind")))
_PLACED = Statement(select(func.count()).where(attempt.c.placed_at >= bindparam("since"),
                                               attempt.c.promise_id.is_not(None)))  # fmt: skip


def _surge(row: Any) -> Surge:
    return Surge(row[0], Kind(row[1]), *row[2:])


def on(conn: Connection) -> dict[Kind, Surge]:
    """What is on now."""
    return {found.kind: found for found in map(_surge, conn.execute(_ON))}


def switch_on(conn: Connection, kind: Kind, *, now: dt.datetime, staff_id: int, reason: str = "") -> None:
    """IllegalAction "surge.is_on" if it is."""
    values = {"kind": kind.value, "began_at": now, "began_by": staff_id, "reason": texts.line(reason, 200)}
    if not insert_or_ignore(conn, surge, values):
        raise IllegalAction("surge.is_on")
    log_edit(conn, now=now, staff_id=staff_id, what="surge", key=kind, before=None,
             after={"on": True, "reason": values["reason"]})  # fmt: skip


def switch_off(conn: Connection, kind: Kind, *, now: dt.datetime, staff_id: int) -> None:
    """IllegalAction "surge.is_off" if it is."""
    if not _SWITCH_OFF(conn, {"of": kind.value, "ended_at": now, "ended_by": staff_id}):
        raise IllegalAction("surge.is_off")
    log_edit(conn, now=now, staff_id=staff_id, what="surge", key=kind, before={"on": True}, after={"on": False})


def history(conn: Connection, limit: int = 100) -> list[Surge]:
    """The latest first."""
    return [_surge(row) for row in conn.execute(_SURGE.order_by(surge.c.began_at.desc(), surge.c.id.desc())
                                                .limit(limit))]  # fmt: skip


# ── what the line must know after a restart ──────────────────────────────────────────────────
def last_ended(conn: Connection, kind: Kind) -> dt.datetime | None:
    """When it was switched off the last time; None: never."""
    ended: dt.datetime | None = _LAST_ENDED.value(conn, {"kind": kind.value})
    return ended


def paused_since(conn: Connection, reason: str, since: dt.datetime) -> set[str]:
    """The seats that have been paused for this reason."""
    e = seat_event.c
    return set(conn.scalars(select(e.seat).where(e.at >= since, e.kind == "pause", e.reason == reason)))


def promised_calls_since(conn: Connection, since: dt.datetime) -> int:
    """How many promised callbacks have been placed."""
    return _PLACED.value(conn, {"since": since}) or 0
