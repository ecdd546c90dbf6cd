"""Whom a seat may call, besides the callbacks that the centre places itself.

The rule (``allowed``) is pure. What is on record for it: the directory's and the departments' numbers, with whom a
person has spoken, and how many such calls there were in the last hour.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, func, select

from crm import calls
from crm.phones import may_call, parse_phone
from crm.schema import call, call_event, contact, department

DIALLED = "dialled"  # a line of a call's history: {"to", "staff_id"}
SPOKE_WITHIN = dt.timedelta(days=1)


class Whom(StrEnum):
    """Why he may be called."""

    EMERGENCY = "emergency"
    SERVICE = "service"  # in the directory, or a department
    CALLER = "caller"  # with whom this person spoke lately


@dataclass(frozen=True, slots=True)
class Rules:
    """``emergency``: numbers that may always be called. ``prefixes``: under which everybody else's must be.
    ``hourly_cap``: of the centre's, emergencies apart."""

    emergency: tuple[str, ...]
    prefixes: tuple[str, ...]
    hourly_cap: int


def allowed(wanted: str, *, rules: Rules, services: Collection[str], spoken_with: Collection[str],
            placed_last_hour: int) -> tuple[Whom, str] | None:  # fmt: skip
    """Why this may be dialled, and the number as it is: one of ``rules.emergency``, or E.164. None: it may not.

    ``wanted``: as it was dialled. ``services``, ``spoken_with``: E.164.
    """
    if wanted in rules.emergency:
        return Whom.EMERGENCY, wanted
    e164 = parse_phone(wanted)
    if not may_call(e164, rules.prefixes) or placed_last_hour >= rules.hourly_cap:
        return None
    if e164 in services:
        return Whom.SERVICE, e164
    return (Whom.CALLER, e164) if e164 in spoken_with else None


def services(conn: Connection) -> set[str]:
    """E.164 of the directory's and the departments' telephones."""
    listed = [*conn.scalars(select(contact.c.phone).where(contact.c.active)), *conn.scalars(select(department.c.phone))]
    return {e164 for phone in listed if (e164 := parse_phone(phone))}


def spoken_with(conn: Connection, staff_id: int | None, now: dt.datetime) -> set[str]:
    """E.164 of whom this person has spoken with lately."""
    spoke = select(call.c.caller).where(call.c.staff_id == staff_id, call.c.arrived_at > now - SPOKE_WITHIN,
                                        call.c.answered_at.is_not(None), call.c.caller != "")  # fmt: skip
    return set(conn.scalars(spoke)) if staff_id is not None else set()


def placed_last_hour(conn: Connection, now: dt.datetime) -> int:
    since = now - dt.timedelta(hours=1)
    counted = select(func.count()).where(call_event.c.kind == DIALLED, call_event.c.at > since)
    return conn.execute(counted).scalar_one()


def decide(conn: Connection, wanted: str, *, staff_id: int | None, rules: Rules,
           now: dt.datetime) -> tuple[Whom, str] | None:  # fmt: skip
    """``allowed``, by what is on record."""
    return allowed(wanted, rules=rules, services=services(conn), spoken_with=spoken_with(conn, staff_id, now),
                   placed_last_hour=placed_last_hour(conn, now))  # fmt: skip


def keep(conn: Connection, linkedid: str, whom: Whom, number: str, *, seat: str, staff_id: int | None,
         now: dt.datetime) -> None:  # fmt: skip
    """Who called whom, and when: in the history of the call, a new one unless a citizen is being transferred. A call to
    a service needs no word on what it was about."""
    if calls.get(conn, linkedid) is None:
        calls.arrived(conn, linkedid, at=now, origin="centre", caller=parse_phone(number),
                      direction=calls.Direction.OUT)  # fmt: skip
        if whom is not Whom.CALLER:
            calls.settle_by_itself(conn, linkedid, calls.Outcome.TRANSFERRED, staff_id, now)
    calls.add_event(conn, linkedid, now, DIALLED, seat, {"to": number, "staff_id": staff_id})
