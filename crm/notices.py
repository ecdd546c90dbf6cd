"""What must be told to somebody: written in the transaction of what it tells of, sent later, once.

``tell`` is for whoever has something to tell. Sending is the mailer's, which takes what is due and says how it went.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

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


def tell(conn: Connection, *, key: str, kind: Kind, audience: Audience, now: dt.datetime,
         appeal_id: int | None = None, department_id: int | None = None, staff_id: int | None = None,
         citizen_id: int | None = None, data: Mapping[str, Any] | None = None) -> bool:
    """Keeps a notice to be sent; False if one with this ``key`` was kept before: it is told once."""
    return insert_or_ignore(conn, notice, {
        "key": key, "kind": kind.value, "audience": audience.value, "appeal_id": appeal_id,
        "department_id": department_id, "staff_id": staff_id, "citizen_id": citizen_id, "data": dict(data or {}),
        "created_at": now, "due_at": now})  # fmt: skip
