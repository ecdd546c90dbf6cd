"""The centre's people: accounts, roles and what each may do, looks at personal data. Signing in is ``crm.sign_in``."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select, update

from crm import departments, life, texts
from crm.calls import Skill
from crm.edits import log_edit
from crm.errors import BadInput, NotAllowed, NotFound
from crm.life import Action, State
from crm.schema import access_log, department, sign_in_failure
from crm.schema import session as sessions
from crm.schema import staff as accounts
from crm.store import insert_row

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{1,59}")


class Role(StrEnum):
    OPERATOR = "operator"
    ONLINE = "online"  # answers what comes in writing
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
    EXECUTE = "execute"  # start, report, explain, plan: an executor his own department's only
    DECIDE = "decide"  # refuse, find defective, forward, and what was returned twice
    TAKE_WORD = "take_word"  # write down what the resident says of an appeal, or that he withdraws it
    CALL_BACK = "call_back"
    ANSWER_MESSAGES = "answer_messages"  # what comes in writing: the inbox, and appeals that come by hand
    LISTEN = "listen"  # to recordings
    LISTEN_LIVE = "listen_live"  # to a conversation as it goes on, and to speak in it
    DOWNLOAD_RECORDINGS = "download_recordings"  # take a copy of one out of the centre
    EXPORT = "export"  # take a list out of the centre as a file: an executor his own department's only
    SEE_REPORTS = "see_reports"
    MANAGE_SEATS = "manage_seats"
    MANAGE_PEOPLE = "manage_people"
    WATCH = "watch"  # the control desk's lists: what is late, returned, extended, not acknowledged
    TAKE_CONTROL = "take_control"  # put an appeal under personal control
    MANAGE_INCIDENTS = "manage_incidents"
    SEE_KNOWLEDGE = "see_knowledge"  # articles, today's bulletins, the directory, programmes
    EDIT_KNOWLEDGE = "edit_knowledge"
    EDIT_RULES = "edit_rules"  # subjects, departments, routing, calendar
    IMPORT = "import"  # addresses, departments, programmes, people, old appeals from files
    PRIVACY = "privacy"  # export and erase one person's data, read who looked at it


_LISTENERS = frozenset({Permission.SEE_LIVE, Permission.SEE_APPEALS, Permission.LISTEN})
_ON_THE_PHONE = frozenset({Permission.SEE_LIVE, Permission.TAKE_CALLS, Permission.SEE_APPEALS, Permission.REGISTER,
                           Permission.SETTLE_CALLS, Permission.TAKE_WORD, Permission.SEE_KNOWLEDGE})  # fmt: skip
_DESK = frozenset({Permission.ASSIGN, Permission.WATCH, Permission.MANAGE_INCIDENTS, Permission.SEE_REPORTS,
                   Permission.SEE_KNOWLEDGE, Permission.EDIT_KNOWLEDGE, Permission.TAKE_CONTROL})  # fmt: skip

# The whole of who may do what. What a role is not given here it may not do.
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.OPERATOR: _ON_THE_PHONE,
    Role.ONLINE: frozenset({Permission.SEE_APPEALS, Permission.REGISTER, Permission.TAKE_WORD,
                            Permission.SEE_KNOWLEDGE, Permission.ANSWER_MESSAGES}),
    Role.FEEDBACK: _ON_THE_PHONE | {Permission.CALL_BACK},
    Role.CONTROL: _LISTENERS | _DESK | {Permission.DECIDE, Permission.EXECUTE, Permission.EDIT_RULES,
                                              Permission.EXPORT},
    Role.EXECUTOR: frozenset({Permission.SEE_APPEALS, Permission.EXECUTE, Permission.EXPORT}),
    Role.ANALYST: frozenset({Permission.SEE_LIVE, Permission.SEE_REPORTS, Permission.SEE_KNOWLEDGE}),
    Role.SUPERVISOR: _ON_THE_PHONE | _LISTENERS | _DESK | {Permission.CALL_BACK, Permission.MANAGE_SEATS,
                                                               Permission.ANSWER_MESSAGES, Permission.LISTEN_LIVE,
                                                               Permission.DOWNLOAD_RECORDINGS, Permission.EXPORT},
    Role.OFFICIAL: _ON_THE_PHONE | {Permission.SEE_REPORTS, Permission.WATCH, Permission.TAKE_CONTROL},
    Role.ADMINISTRATOR: frozenset({Permission.SEE_LIVE, Permission.MANAGE_SEATS, Permission.MANAGE_PEOPLE,
                                   Permission.EDIT_RULES, Permission.IMPORT, Permission.PRIVACY,
                                   Permission.SEE_KNOWLEDGE, Permission.EXPORT}),
}  # fmt: skip

# What shows, or changes, much at a time. Who may any of it signs in with a second factor; others may. A department's
# own list, as a file too, is not much: its executors are many, and see nothing else.
MUCH = frozenset({Permission.LISTEN, Permission.LISTEN_LIVE, Permission.DOWNLOAD_RECORDINGS, Permission.WATCH,
                  Permission.MANAGE_SEATS, Permission.MANAGE_PEOPLE, Permission.EDIT_RULES, Permission.IMPORT,
                  Permission.PRIVACY})  # fmt: skip

# What a person does to an appeal, and what it takes. The rest (ask, give up, resume, hear, warn, escalate)
# nobody does by hand: it follows from what happens.
FOR_ACTION: dict[Action, Permission] = {
    Action.REGISTER: Permission.REGISTER,
    Action.ASSIGN: Permission.ASSIGN,
    Action.START: Permission.EXECUTE,
    Action.EXECUTE: Permission.EXECUTE,
    Action.EXPLAIN: Permission.EXECUTE,
    Action.PLAN: Permission.EXECUTE,
    Action.REFUSE: Permission.DECIDE,
    Action.FIND_DEFECTIVE: Permission.DECIDE,
    Action.FORWARD: Permission.DECIDE,
    Action.CONFIRM: Permission.TAKE_WORD,
    Action.NOT_SOLVED: Permission.TAKE_WORD,
    Action.WITHDRAW: Permission.TAKE_WORD,
    Action.ANSWER: Permission.REGISTER,
    Action.COMPLETE: Permission.REGISTER,
    Action.ACKNOWLEDGE: Permission.EXECUTE,
    Action.EXTEND: Permission.DECIDE,
    Action.CORRECT: Permission.ASSIGN,
    Action.REPRIMAND: Permission.DECIDE,
    Action.TAKE_CONTROL: Permission.TAKE_CONTROL,
    Action.LEAVE_CONTROL: Permission.TAKE_CONTROL,
    Action.LINK: Permission.REGISTER,
    Action.MERGE: Permission.ASSIGN,
    Action.SPLIT: Permission.ASSIGN,
    Action.JOIN: Permission.MANAGE_INCIDENTS,
}


class Owed(StrEnum):
    """What is still to be done at a first sign-in."""

    PASSWORD = "password"  # noqa: S105  his own instead of the one that he was given
    SECOND_FACTOR = "second_factor"


@dataclass(frozen=True, slots=True)
class Staff:
    """An account. ``department_id``: an executor's."""

    id: int
    login: str
    name: str
    role: Role
    department_id: int | None
    language: str
    active: bool
    email: str = ""
    skills: tuple[Skill, ...] = ()  # what not every seat can do
    password_given: bool = False  # by another: he has to choose his own
    second_factor: bool = False  # whether he has one


@dataclass(frozen=True, slots=True)
class Edit:
    """Who changes an account, and when. ``staff_id``: None at the command line."""

    now: dt.datetime
    staff_id: int | None


def may(role: Role, permission: Permission) -> bool:
    """Whether the role has the permission."""
    return permission in PERMISSIONS[role]


def owed(staff: Staff, *, second_factor: bool) -> Owed | None:
    """What this person must do before anything else opens to him; None when nothing is left.

    Args:
        second_factor: whether one is asked of those who may see or change ``MUCH``.
    """
    if staff.password_given:
        return Owed.PASSWORD
    if second_factor and not staff.second_factor and PERMISSIONS[staff.role] & MUCH:
        return Owed.SECOND_FACTOR
    return None


def actions_for(staff: Staff, state: State, department_id: int) -> tuple[Action, ...]:
    """What this person may do to an appeal in ``state`` that lies with ``department_id``.

    An executor acts on his own department's appeals; on what was returned twice only those who
    may decide act, and the resident himself by withdrawing it.
    """
    return tuple(action for action in life.possible(state) if _may_act(staff, action, state, department_id))


def require_action(staff: Staff, action: Action, state: State, department_id: int) -> None:
    """NotAllowed unless this person may do this to an appeal in ``state`` of ``department_id``."""
    if not _may_act(staff, action, state, department_id):
        raise NotAllowed("not_allowed", action=action.value)


def _may_act(staff: Staff, action: Action, state: State, department_id: int) -> bool:
    permission = FOR_ACTION.get(action)
    if permission is None or not staff.active or not may(staff.role, permission):
        return False
    if state is State.CONTROL and permission is not Permission.TAKE_WORD and not may(staff.role, Permission.DECIDE):
        return False
    return staff.role is not Role.EXECUTOR or staff.department_id == department_id


def add_staff(conn: Connection, *, login: str, name: str, password_hash: str, role: Role,
              department_id: int | None = None, language: str = "uk", email: str = "", skills: Iterable[str] = (),
              password_given: bool = True, by: Edit | None = None) -> int:
    """The new account's id. ``by``: who adds it, for the log; None for the centre itself. ``password_given``: whether
    another knows the password.

    BadInput for a login that is taken or is not letters a–z, digits and . _ -, for an executor
    without a department, and for anybody else with one.
    """
    login = login.strip().lower()
    if not _LOGIN.fullmatch(login):
        raise BadInput("staff.login")
    if by_login(conn, login) is not None:
        raise BadInput("staff.login_taken")
    values = _checked(conn, {"name": name, "role": role.value, "department_id": department_id, "language": language,
                             "email": email, "skills": " ".join(skills)})  # fmt: skip
    staff_id = insert_row(conn, accounts, {"login": login, "password_hash": password_hash,
                                           "password_given": password_given, **values})  # fmt: skip
    if by is not None:
        _log(conn, by, staff_id, None, {"login": login, **values})
    return staff_id


def change(conn: Connection, staff_id: int, values: Mapping[str, Any], by: Edit) -> bool:
    """Changes any of name, role, department_id, email, language, skills and active; whether anything differed.

    Whoever may do something else from now on, or nothing, is signed out. BadInput as ``add_staff``, and for the last
    administrator that works: somebody must be able to let people in. NotFound for no such account.
    """
    row = conn.execute(select(*(accounts.c[name] for name in _CHANGES))
                       .where(accounts.c.id == staff_id).with_for_update()).one_or_none()  # fmt: skip
    if row is None:
        raise NotFound("staff.unknown")
    was = row._asdict()
    given = {**values, "skills": " ".join(values["skills"])} if "skills" in values else values
    wanted = _checked(conn, {**was, **given})
    after = {name: value for name, value in wanted.items() if value != was[name]}
    if not after:
        return False
    administrator = (was["role"], was["active"]) == (Role.ADMINISTRATOR.value, True)
    if administrator and (wanted["role"], wanted["active"]) != (Role.ADMINISTRATOR.value, True):
        working = select(accounts.c.id).where(accounts.c.role == Role.ADMINISTRATOR.value, accounts.c.active)
        if set(conn.scalars(working.with_for_update())) <= {staff_id}:
            raise BadInput("staff.last_administrator")
    _change(conn, staff_id, **after)
    if after.keys() & {"role", "department_id", "active"}:
        conn.execute(delete(sessions).where(sessions.c.staff_id == staff_id))
    _log(conn, by, staff_id, {name: was[name] for name in after}, after)
    return True


_CHANGES = ("name", "role", "department_id", "email", "language", "skills", "active")


def _checked(conn: Connection, values: Mapping[str, Any]) -> dict[str, Any]:
    """An account's fields as they are kept; BadInput for what does not go together."""
    name, email = texts.line(values["name"], 200), texts.line(values["email"], 200)
    department_id = values["department_id"]
    if (values["role"] == Role.EXECUTOR) != (department_id is not None):
        raise BadInput("staff.department")
    their = select(1).where(department.c.id == department_id)
    if department_id is not None and conn.execute(their).first() is None:
        raise NotFound("department.unknown")
    if not name:
        raise BadInput("staff.name")
    if email and not departments.is_email(email):
        raise BadInput("staff.email")
    if not set(values["skills"].split()) <= set(Skill):
        raise BadInput("staff.skill")
    return {**values, "name": name, "email": email}


def _log(conn: Connection, by: Edit, staff_id: int, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
    log_edit(conn, now=by.now, staff_id=by.staff_id, what="staff", key=staff_id, before=before, after=after)


def give_password(conn: Connection, staff_id: int, password_hash: str, by: Edit) -> None:
    """A new one, to be changed at the first sign-in; ends his sessions, and his failures are forgotten."""
    _change(conn, staff_id, password_hash=password_hash, password_given=True)
    _afresh(conn, staff_id)
    _log(conn, by, staff_id, None, {"password": "new"})


def take_second_factor(conn: Connection, staff_id: int, by: Edit) -> None:
    """For who has lost his telephone: he sets up another at his next sign-in. Ends his sessions; his failures are
    forgotten."""
    _change(conn, staff_id, totp_secret="", totp_step=0)
    _afresh(conn, staff_id)
    _log(conn, by, staff_id, None, {"second_factor": "taken"})


def _afresh(conn: Connection, staff_id: int) -> None:
    for table in (sessions, sign_in_failure):
        conn.execute(delete(table).where(table.c.staff_id == staff_id))


def set_active(conn: Connection, staff_id: int, active: bool, by: Edit | None = None) -> None:
    """Ends the person's sessions when no longer active. ``by``: None for the centre itself, which is not logged."""
    _change(conn, staff_id, active=active)
    if not active:
        conn.execute(delete(sessions).where(sessions.c.staff_id == staff_id))
    if by is not None:
        _log(conn, by, staff_id, None, {"active": active})


def _change(conn: Connection, staff_id: int, **values: Any) -> None:
    if conn.execute(update(accounts).where(accounts.c.id == staff_id).values(values)).rowcount != 1:
        raise NotFound("staff.unknown")


STAFF: Select[Any] = select(*(accounts.c[name] for name in (
    "id", "login", "name", "role", "department_id", "language", "active", "email", "skills", "password_given")),
    (accounts.c.totp_secret != "").label("second_factor"))  # fmt: skip


def staff(conn: Connection) -> list[Staff]:
    """All, by login."""
    return [of_row(row) for row in conn.execute(STAFF.order_by(accounts.c.login))]


def get(conn: Connection, staff_id: int) -> Staff:
    """NotFound if there is none."""
    row = conn.execute(STAFF.where(accounts.c.id == staff_id)).one_or_none()
    if row is None:
        raise NotFound("staff.unknown")
    return of_row(row)


def by_login(conn: Connection, login: str) -> Staff | None:
    """None if there is none."""
    row = conn.execute(STAFF.where(accounts.c.login == login.strip().lower())).one_or_none()
    return None if row is None else of_row(row)


def of_row(row: Any) -> Staff:
    """A row of ``STAFF``."""
    return Staff(row.id, row.login, row.name, Role(row.role), row.department_id, row.language, row.active, row.email,
                 tuple(Skill(skill) for skill in row.skills.split()), row.password_given,
                 bool(row.second_factor))  # fmt: skip


def log_access(conn: Connection, *, staff_id: int, what: str, subject_key: str, now: dt.datetime,
               why: str = "") -> None:
    """Who looked at whose data. ``what``: appeal, caller, building, recording."""
    log_looks(conn, [(what, subject_key)], staff_id=staff_id, now=now, why=why)


def log_looks(conn: Connection, whose: Sequence[tuple[str, object]], *, staff_id: int, now: dt.datetime,
              why: str = "") -> None:
    """The same of many at once: (what, the record's id) each."""
    if whose:
        conn.execute(insert(access_log), [{"at": now, "staff_id": staff_id, "what": what, "subject_key": str(key),
                                           "why": texts.line(why, 200)} for what, key in whose])  # fmt: skip
