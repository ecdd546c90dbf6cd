"""What must be told to somebody: written in the transaction of what it tells of, sent later.

What follows from an action on an appeal is told by ``follow``, which ``history.move`` calls, and so by nothing else;
``tell`` is for whoever has something more to tell. The mailer takes what is due and says how it went
(``centre.mailer``). An applicant without an e-mail address is told by telephone, by a person.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert

from crm.life import TO_ACT, Action, State
from crm.schema import notice
from crm.store import insert_or_ignore


class Kind(StrEnum):
    """What is told."""

    ASSIGNED = "assigned"  # to the department: there is an appeal to act on
    RETURNED = "returned"  # to the department: the resident says that it is not solved
    WARNING = "warning"  # the deadline is near
    OVERDUE = "overdue"
    UNACKNOWLEDGED = "unacknowledged"  # nobody at the department has taken note of it
    REPRIMAND = "reprimand"
    CONTROL = "control"  # an official has it under personal control
    EXTENDED = "extended"  # to the applicant: it takes longer, and why
    FORWARDED = "forwarded"  # to the applicant: to whom it was sent on
    DEFECTIVE = "defective"  # to the applicant: what is missing


class Audience(StrEnum):
    DEPARTMENT = "department"
    STAFF = "staff"
    CITIZEN = "citizen"


# What follows from an action by itself.
FOLLOWS: dict[Action, Kind] = {
    Action.ASSIGN: Kind.ASSIGNED, Action.RESUME: Kind.ASSIGNED, Action.COMPLETE: Kind.ASSIGNED,
    Action.SPLIT: Kind.ASSIGNED, Action.NOT_SOLVED: Kind.RETURNED, Action.REPRIMAND: Kind.REPRIMAND,
    Action.TAKE_CONTROL: Kind.CONTROL, Action.EXTEND: Kind.EXTENDED, Action.FORWARD: Kind.FORWARDED,
    Action.FIND_DEFECTIVE: Kind.DEFECTIVE,
}  # fmt: skip
TO_CITIZEN = frozenset({Kind.EXTENDED, Kind.FORWARDED, Kind.DEFECTIVE})
_KEEP = insert(notice)


def follow(conn: Connection, action: Action, state: State, *, appeal_id: int, version: int, department_id: int,
           citizen_id: int | None, now: dt.datetime, evidence: Mapping[str, Any]) -> None:  # fmt: skip
    """Keeps what ``action`` makes somebody be told, if anything: the department that the appeal now lies with to be
    acted on, the department that is reprimanded, the applicant if there is a name. ``version``: the appeal's, since."""
    kind = FOLLOWS.get(action)
    if kind is None:
        return
    to: dict[str, Any] = {"audience": Audience.DEPARTMENT.value, "department_id": department_id, "citizen_id": None}
    if kind in TO_CITIZEN:
        if citizen_id is None:
            return
        to = {"audience": Audience.CITIZEN.value, "department_id": None, "citizen_id": citizen_id}
    elif kind is Kind.REPRIMAND:
        to["department_id"] = evidence.get("department_id", department_id)
    elif state not in TO_ACT:
        return
    conn.execute(_KEEP, {
        "key": f"{kind.value}:{appeal_id}:{version}", "kind": kind.value, "appeal_id": appeal_id, **to,
        "data": {"until": evidence["until"]} if "until" in evidence else {}, "created_at": now, "due_at": now})  # fmt: skip


def tell(conn: Connection, *, key: str, kind: Kind, audience: Audience, now: dt.datetime,
         appeal_id: int | None = None, department_id: int | None = None, staff_id: int | None = None,
         citizen_id: int | None = None, data: Mapping[str, Any] | None = None) -> bool:
    """Keeps a notice to be sent; False if one with this ``key`` was kept before: it is told once."""
    return insert_or_ignore(conn, notice, {
        "key": key, "kind": kind.value, "audience": audience.value, "appeal_id": appeal_id,
        "department_id": department_id, "staff_id": staff_id, "citizen_id": citizen_id, "data": dict(data or {}),
        "created_at": now, "due_at": now})  # fmt: skip
