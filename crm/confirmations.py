"""Confirmation callbacks: one open callback a citizen, its questions, its attempts.

A callback goes due → calling → due again, or done, or given up. Whatever the resident says of an
appeal is kept, also when it comes too late to change anything.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection

from crm.appeals import Appeal
from crm.confirmation_rules import Mode, Next, Reached, Result, Rules


@dataclass(frozen=True, slots=True)
class Question:
    """One appeal that the citizen is to be asked about."""

    appeal_id: int
    number: int
    subject_uk: str
    subject_en: str
    text: str
    tries: int


@dataclass(frozen=True, slots=True)
class Due:
    """A callback that may be placed now."""

    callback_id: int
    mode: Mode
    due_at: dt.datetime
    citizen_id: int
    citizen: str
    language: str
    e164: str
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call out. Its id is the channel's id."""

    id: str
    callback_id: int
    citizen_id: int
    e164: str
    mode: Mode
    seat: str | None
    staff_id: int | None
    language: str
    placed_at: dt.datetime
    answered_at: dt.datetime | None
    linkedid: str


@dataclass(frozen=True, slots=True)
class Pending:
    """What a citizen who calls in can be asked: his open callback's appeals, then unconfirmed ones."""

    citizen_id: int
    citizen: str
    callback_id: int | None
    questions: tuple[Question, ...]


def schedule(conn: Connection, appeal_id: int, now: dt.datetime) -> int | None:
    """Asks for a confirmation of an executed appeal (``appeals.act`` does it for every EXECUTE).

    Joins the citizen's open callback, or opens one: its id. With nobody to call (no citizen, no
    usable number, do not call) the appeal is unconfirmed at once: None.
    """
    raise NotImplementedError


def due(conn: Connection, now: dt.datetime, mode: Mode | None, limit: int, rules: Rules) -> list[Due]:
    """Callbacks that may be placed at ``now``, each inside its citizen's hours, longest due first."""
    raise NotImplementedError


def claim(conn: Connection, callback_id: int, *, now: dt.datetime, rules: Rules, seat: str | None = None,
          staff_id: int | None = None) -> Attempt | None:
    """Takes a callback for calling: commit this before dialling. With a seat it is a live call.

    None when there is no number left to call, and the appeals are unconfirmed now. BadInput
    "callback.not_open", "callback.calling" (the citizen is being called), "callback.needs_seat",
    "callback.outside_hours", "callback.hourly_cap".
    """
    raise NotImplementedError


def attempt_answered(conn: Connection, attempt_id: str, now: dt.datetime, linkedid: str = "") -> None:
    """The citizen picked up."""
    raise NotImplementedError


def answer(conn: Connection, *, number: int, result: Result, now: dt.datetime, linkedid: str = "",
           attempt_id: str | None = None, citizen_id: int | None = None, key: str = "",
           staff_id: int | None = None, note: str = "") -> Appeal:
    """The resident's word on one appeal (by its number), in a callback or in a call of his own.

    Closes or returns an appeal that awaits it, is unconfirmed or closed; in any other state it
    changes nothing and is kept in the history. The same word told twice is taken once.
    ``citizen_id``: who is speaking; BadInput "confirmation.not_theirs" if the appeal is not his.
    BadInput without evidence (a call, and a key or a person who heard it).
    """
    raise NotImplementedError


def finish(conn: Connection, attempt_id: str, reached: Reached, now: dt.datetime, *, rules: Rules,
           linkedid: str = "") -> Next:
    """Ends an attempt and decides what follows. Told again, it changes nothing.

    Appeals that were not answered are tried again, or given up and unconfirmed.
    """
    raise NotImplementedError


def open_attempts(conn: Connection) -> list[Attempt]:
    """Attempts with no end, oldest first: on the line now, or left by a crash."""
    raise NotImplementedError


def placed_last_hour(conn: Connection, now: dt.datetime) -> int:
    raise NotImplementedError


def pending_for(conn: Connection, e164: str) -> Pending | None:
    """What the caller from this number is to be asked; None if nothing."""
    raise NotImplementedError


def questions_of(conn: Connection, callback_id: int) -> list[Question]:
    """The callback's appeals that have no answer yet."""
    raise NotImplementedError


def counts(conn: Connection, now: dt.datetime) -> tuple[int, int]:
    """(due now, being called)."""
    raise NotImplementedError
