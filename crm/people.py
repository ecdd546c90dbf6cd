"""The centre's people: accounts, roles and what each may do, sign-ins, looks at personal data."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from crm.life import Action
from crm.store import Database


class Role(StrEnum):
    OPERATOR = "operator"
    FEEDBACK = "feedback"  # calls residents back
    CONTROL = "control"  # watches deadlines, decides on what was returned twice
    EXECUTOR = "executor"  # a department's
    ANALYST = "analyst"
    SUPERVISOR = "supervisor"
    OFFICIAL = "official"  # takes calls in person
    ADMINISTRATOR = "administrator"


class Permission(StrEnum):
    SEE_LIVE = "see_live"  # who waits, the seats, counts
    TAKE_CALLS = "take_calls"
    SEE_APPEALS = "see_appeals"  # with the citizen's name and address
    REGISTER = "register"
    SETTLE_CALLS = "settle_calls"
    ASSIGN = "assign"
    EXECUTE = "execute"  # start, report, explain, plan: a department's own appeals
    DECIDE = "decide"  # refuse, find defective, forward
    CALL_BACK = "call_back"
    WITHDRAW = "withdraw"
    LISTEN = "listen"  # to recordings
    SEE_REPORTS = "see_reports"
    MANAGE_SEATS = "manage_seats"
    MANAGE_PEOPLE = "manage_people"


@dataclass(frozen=True, slots=True)
class Staff:
    id: int
    login: str
    name: str
    role: Role
    department_id: int | None
    language: str
    active: bool


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in. ``token`` is for the cookie and is known only when it was made."""

    staff: Staff
    csrf: str
    seat: str | None
    expires_at: dt.datetime
    token: str = ""


def may(role: Role, permission: Permission) -> bool:
    raise NotImplementedError


def require(staff: Staff, permission: Permission) -> None:
    """NotAllowed unless the person's role allows it."""
    raise NotImplementedError


def permission_for(action: Action) -> Permission:
    """What a person needs in order to do this to an appeal."""
    raise NotImplementedError


def hash_password(password: str) -> str:
    """Slow on purpose: not on an event loop, not in a transaction. BadInput under 10 characters."""
    raise NotImplementedError


def add_staff(conn: Connection, *, login: str, name: str, password_hash: str, role: Role,
              department_id: int | None = None, language: str = "uk") -> int:
    """The new account's id. An executor needs a department. BadInput for a login that is taken."""
    raise NotImplementedError


def set_password(conn: Connection, staff_id: int, password_hash: str) -> None:
    """Ends the person's sessions too."""
    raise NotImplementedError


def set_active(conn: Connection, staff_id: int, active: bool) -> None:
    """Ends the person's sessions when no longer active."""
    raise NotImplementedError


def staff(conn: Connection) -> list[Staff]:
    """All, by login."""
    raise NotImplementedError


def get(conn: Connection, staff_id: int) -> Staff:
    """NotFound if there is none."""
    raise NotImplementedError


def by_login(conn: Connection, login: str) -> Staff | None:
    raise NotImplementedError


def sign_in(db: Database, login: str, password: str, *, now: dt.datetime, source: str = "",
            hours: int = 12) -> Session:
    """A session for the right password: reads, checks (slowly, with no transaction open), writes.

    NotAllowed "sign_in.wrong" for a wrong login or password alike, "sign_in.wait" (details: seconds)
    after several failures of this login from this ``source`` (the client's address); others, and
    the same person elsewhere, are not kept out by them.
    """
    raise NotImplementedError


def session(conn: Connection, token: str, now: dt.datetime) -> Session | None:
    """The session of a cookie's token; None if unknown, over, or its person is no longer active."""
    raise NotImplementedError


def sit(conn: Connection, token: str, seat: str | None) -> None:
    """Says at which seat this session's person sits."""
    raise NotImplementedError


def sign_out(conn: Connection, token: str) -> None:
    raise NotImplementedError


def log_access(conn: Connection, *, staff_id: int, what: str, subject_key: str, now: dt.datetime,
               why: str = "") -> None:
    """Who looked at whose data. ``what``: appeal, caller, building, recording."""
    raise NotImplementedError
