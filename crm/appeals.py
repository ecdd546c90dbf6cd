"""Appeals: registered, moved through their life, looked up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from crm.life import Action, Evidence, State

CODE_TRIES = 10  # wrong codes before an appeal cannot be asked about by number any more


@dataclass(frozen=True, slots=True)
class Registered:
    """What the citizen is told: the number and the code with which a machine will tell its state."""

    id: int
    number: int
    code: str
    due_at: dt.datetime
    department_id: int


@dataclass(frozen=True, slots=True)
class Appeal:
    id: int
    number: int
    code: str
    citizen_id: int | None
    building_id: int | None
    flat: str
    place: str
    subject_id: int
    subject_uk: str
    subject_en: str
    text: str
    channel: str
    state: State
    department_id: int
    department: str
    returns: int
    registered_at: dt.datetime
    due_at: dt.datetime
    planned_for: dt.datetime | None
    executed_at: dt.datetime | None
    ended_at: dt.datetime | None
    version: int  # given back to ``act``, so that nobody overwrites what he has not seen


@dataclass(frozen=True, slots=True)
class AppealLine:
    """An appeal in a list. ``answer``: the last thing that was written about it, "" if nothing."""

    id: int
    number: int
    state: State
    subject_uk: str
    subject_en: str
    text: str
    channel: str
    department_id: int
    department: str
    citizen_id: int | None
    citizen: str
    building_id: int | None
    street: str
    building: str
    flat: str
    place: str
    returns: int
    registered_at: dt.datetime
    due_at: dt.datetime
    planned_for: dt.datetime | None
    executed_at: dt.datetime | None
    answer: str
    answered_at: dt.datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class Event:
    """One line of an appeal's history."""

    id: int
    at: dt.datetime
    action: Action
    from_state: State
    to_state: State
    staff_id: int | None
    staff: str
    department_id: int | None
    note: str
    evidence: dict[str, Any]


def register(conn: Connection, *, now: dt.datetime, citizen_id: int | None, building_id: int | None, subject_id: int,
             text: str, channel: str, staff_id: int | None, flat: str = "", place: str = "", linkedid: str = "",
             department_id: int | None = None) -> Registered:
    """Registers an appeal and assigns it to its subject's department (or ``department_id``): two events.

    ``channel``: phone, web, email, facebook, sms, mobile. With ``linkedid``, the call is linked to it
    and, if answered, settled as an appeal. BadInput for an empty or too long text, NotFound for an
    unknown subject, building, citizen or department.
    """
    raise NotImplementedError


def act(conn: Connection, appeal_id: int, action: Action, *, now: dt.datetime, staff_id: int | None = None,
        department_id: int | None = None, note: str = "", until: dt.datetime | None = None,
        evidence: Evidence | None = None, version: int | None = None) -> Appeal:
    """The one way to change an appeal's state.

    ASSIGN needs ``department_id``, PLAN ``until``; EXPLAIN, REFUSE… a ``note``; CONFIRM and
    NOT_SOLVED ``evidence``. EXECUTE also schedules the confirmation. IllegalAction if the state does
    not allow it, Stale if ``version`` is not the appeal's, BadInput for what is missing.
    """
    raise NotImplementedError


def get(conn: Connection, appeal_id: int) -> Appeal:
    """NotFound if there is none."""
    raise NotImplementedError


def by_number(conn: Connection, number: int) -> Appeal | None:
    raise NotImplementedError


def by_number_and_code(conn: Connection, number: str, code: str, now: dt.datetime) -> Appeal | None:
    """The appeal for a caller who keyed in its number and code; None if either is wrong.

    Counts failures (so it needs a writing connection) and says None for ever after CODE_TRIES in a
    row. Anything may be given: what is not digits is simply wrong.
    """
    raise NotImplementedError


def history(conn: Connection, appeal_id: int) -> list[Event]:
    """All of it, oldest first."""
    raise NotImplementedError


def of_caller(conn: Connection, e164: str, limit: int = 20) -> list[AppealLine]:
    """The appeals of whoever is known at this number, or called from it, newest first; one query."""
    raise NotImplementedError


def of_building(conn: Connection, building_id: int, limit: int = 20) -> list[AppealLine]:
    """The building's appeals by anyone, newest first; one query."""
    raise NotImplementedError


def search(conn: Connection, *, states: Collection[State] = (), department_id: int | None = None,
           subject_id: int | None = None, citizen_id: int | None = None, building_id: int | None = None,
           overdue_at: dt.datetime | None = None, number: int | None = None, limit: int = 50,
           before_id: int | None = None) -> list[AppealLine]:
    """Appeals that match all that is given, newest first; ``before_id`` continues a list.

    ``overdue_at``: still open with the deadline before it.
    """
    raise NotImplementedError


def for_department(conn: Connection, department_id: int, limit: int = 50) -> list[AppealLine]:
    """What the department has to act on (assigned, in work, returned), nearest deadline first."""
    raise NotImplementedError


def resume_planned(conn: Connection, now: dt.datetime) -> list[int]:
    """Brings the planned appeals whose date has come back to their departments: their ids."""
    raise NotImplementedError
