"""Calls, from arrival to what they were about; each known by its linkedid."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


class EndCause(StrEnum):
    """Why a call ended."""

    COMPLETED = "completed"  # spoke to a person
    ABANDONED = "abandoned"  # hung up in the queue
    TIMEOUT = "timeout"  # nobody came in queue_timeout
    IVR = "ivr"  # served or hung up before the queue
    CLOSED = "closed"  # came outside opening hours
    LOST = "lost"  # Asterisk or a trunk died under it
    UNREACHED = "unreached"  # ours, out, and not answered


class Outcome(StrEnum):
    """What an answered call was."""

    APPEAL = "appeal"
    CONSULTED = "consulted"
    ABOUT_APPEAL = "about_appeal"  # about one registered before
    CONFIRMED = "confirmed"  # a confirmation's answers were taken
    WRONG_NUMBER = "wrong_number"
    SILENT = "silent"
    PRANK = "prank"
    TRANSFERRED = "transferred"  # to another service


@dataclass(frozen=True, slots=True)
class Arrived:
    """``new`` is False when the call was already known."""

    id: int
    linkedid: str
    new: bool
    language: str


@dataclass(frozen=True, slots=True)
class Call:
    id: int
    linkedid: str
    direction: Direction
    origin: str
    caller: str
    citizen_id: int | None
    language: str
    choice: str
    arrived_at: dt.datetime
    queued_at: dt.datetime | None
    queue: str | None
    position: int | None
    told_wait_s: int | None
    answered_at: dt.datetime | None
    ended_at: dt.datetime | None
    seat: str | None
    staff_id: int | None
    wait_s: float | None
    talk_s: float | None
    hold_s: float
    end_cause: str
    source: str
    outcome: str


def arrived(conn: Connection, linkedid: str, *, at: dt.datetime, origin: str, caller: str = "", language: str = "",
            direction: Direction = Direction.IN, source: str = "live") -> Arrived:
    """Stores a call, once, however often it is told. ``caller``: E.164 or "". ``language``: "" takes
    the caller's last one, else Ukrainian. BadInput for a linkedid that Asterisk would not make."""
    raise NotImplementedError


def get(conn: Connection, linkedid: str) -> Call | None:
    raise NotImplementedError


def choose(conn: Connection, linkedid: str, at: dt.datetime, choice: str, language: str = "") -> None:
    """What was chosen in the menu: queue, status, confirm, closed."""
    raise NotImplementedError


def queued(conn: Connection, linkedid: str, at: dt.datetime, queue: str, position: int | None = None,
           told_wait_s: int | None = None) -> None:
    """Entered the queue; told again, the first time and place stay."""
    raise NotImplementedError


def rang(conn: Connection, linkedid: str, seat: str, at: dt.datetime) -> None:
    raise NotImplementedError


def answered(conn: Connection, linkedid: str, seat: str, at: dt.datetime, staff_id: int | None = None) -> None:
    """A seat took it. The first answer ends the wait, the last one's seat and person are kept."""
    raise NotImplementedError


def held(conn: Connection, linkedid: str, at: dt.datetime, seat: str, seconds: float) -> None:
    """Adds to the time on hold."""
    raise NotImplementedError


def transferred(conn: Connection, linkedid: str, at: dt.datetime, seat: str, to: str) -> None:
    raise NotImplementedError


def ended(conn: Connection, linkedid: str, at: dt.datetime, cause: EndCause, wait_s: float | None = None,
          talk_s: float | None = None, hold_s: float | None = None) -> None:
    """Ended, once: told again (by the spool, by queue_log), it fills in only what was missing."""
    raise NotImplementedError


def add_event(conn: Connection, linkedid: str, at: dt.datetime, kind: str, seat: str = "",
              data: Mapping[str, Any] | None = None) -> None:
    """Anything else worth a line in the call's history."""
    raise NotImplementedError


def set_citizen(conn: Connection, linkedid: str, citizen_id: int) -> None:
    """Somebody said who called."""
    raise NotImplementedError


def settle(conn: Connection, linkedid: str, outcome: Outcome, staff_id: int | None, now: dt.datetime) -> None:
    """Says what an answered call was."""
    raise NotImplementedError


def unsettled(conn: Connection, limit: int = 100) -> list[Call]:
    """Answered calls that nobody has said anything of yet, oldest first."""
    raise NotImplementedError


def unended(conn: Connection) -> list[Call]:
    """Calls with no end, for reconciling with the live channels."""
    raise NotImplementedError


def recent(conn: Connection, limit: int = 50) -> list[Call]:
    """Newest first."""
    raise NotImplementedError


def appeals_of(conn: Connection, linkedid: str) -> list[int]:
    """The ids of the appeals that the call was about."""
    raise NotImplementedError


def seat_event(conn: Connection, seat: str, at: dt.datetime, kind: str, staff_id: int | None = None,
               reason: str = "") -> None:
    """login, logout, pause or unpause of a seat."""
    raise NotImplementedError


def taken_once(conn: Connection, source: str, key: str, now: dt.datetime) -> bool:
    """True the first time this line of the spool or of queue_log is taken, and never again."""
    raise NotImplementedError
