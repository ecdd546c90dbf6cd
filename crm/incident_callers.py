"""Who joined an incident by a key: counted once a number, and told when it is over.

A citizen who is known and whose building is in it has an appeal as well, whose own confirmation asks him. Everybody
else is promised a call when the incident is closed, which asks whether it is over for him; what he says is kept here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select, update

from crm import appeals, calls, citizens, incidents, life, promises, texts
from crm.confirmation_rules import Result
from crm.errors import BadInput, IllegalAction, NotFound
from crm.incidents import Incident, State
from crm.promise_rules import Reason, Rules
from crm.schema import appeal, citizen_phone, incident, incident_caller, network_building
from crm.store import insert_row

AT_ONCE = 50  # promised in one transaction


@dataclass(frozen=True, slots=True)
class Joined:
    """``number``: of his appeal, None when he has none. ``reachable``: he can be told when it is over."""

    number: int | None
    reachable: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """How many callers joined; of those without an appeal: how many are being asked, and what they said."""

    callers: int
    with_appeal: int
    asked: int
    solved: int
    not_solved: int


@dataclass(frozen=True, slots=True)
class Caller:
    """``number``: of his appeal. ``result``: solved, not_solved, "" until he has said."""

    e164: str
    at: dt.datetime
    linkedid: str
    number: int | None
    asked_at: dt.datetime | None
    result: str


_c = incident_caller.c


# ── he presses the key ──
def join(conn: Connection, incident_id: int, *, e164: str, linkedid: str, language: str, now: dt.datetime) -> Joined:
    """Counts a caller; told again, nothing changes. The call must be on record.

    NotFound for no such incident; IllegalAction unless it is open, or was at ``now`` if that has passed.
    """
    linkedid = texts.linkedid(linkedid)
    same = _c.e164 == e164 if e164 else (_c.e164 == "") & (_c.linkedid == linkedid)
    found = incidents.get(conn, incident_id)
    known = conn.execute(select(_c.id, appeal.c.number).join_from(incident_caller, appeal, isouter=True)
                         .where(_c.incident_id == incident_id, same)).first()  # fmt: skip
    if known is not None:
        return Joined(known.number, bool(e164))
    is_open = found.state is State.OPEN
    if not is_open and (found.closed_at is None or now >= found.closed_at):
        raise IllegalAction("incident.illegal_action", state=found.state)
    his = _appeal(conn, found, e164, linkedid, now) if e164 and is_open else None
    insert_row(conn, incident_caller, {"incident_id": incident_id, "e164": e164, "linkedid": linkedid, "at": now,
                                       "language": language, "appeal_id": his[0] if his else None})  # fmt: skip
    calls.add_event(conn, linkedid, now, calls.JOINED, data={"incident": incident_id})
    return Joined(his[1] if his else None, bool(e164))


def _appeal(conn: Connection, found: Incident, e164: str, linkedid: str, now: dt.datetime) -> tuple[int, int] | None:
    """(id, number) of the appeal by which a known citizen is in the incident, registered if he has none yet."""
    whose = _at_its_place(conn, found, e164)
    if whose is None:
        return None
    citizen_id, building_id, flat = whose
    there = conn.execute(select(appeal.c.id, appeal.c.number).where(
        appeal.c.incident_id == found.id, appeal.c.citizen_id == citizen_id).limit(1)).first()  # fmt: skip
    if there is not None:
        return there.id, there.number
    speaking = incidents.outside(conn, found.id, citizen_id)
    if speaking:
        incidents.join(conn, found.id, speaking[0].id, now=now)
        return speaking[0].id, speaking[0].number
    savepoint = conn.begin_nested()
    try:
        # What he says by the key is what the incident is: its subject.
        made = appeals.register(conn, now=now, citizen_id=citizen_id, building_id=building_id, flat=flat,
                                subject_id=found.subject_id, text=found.subject_uk, channel="phone", staff_id=None,
                                linkedid=linkedid)  # fmt: skip
        incidents.join(conn, found.id, made.id, now=now)
        savepoint.commit()
    except (BadInput, NotFound):  # a subject that is not chosen any more: he is counted all the same
        savepoint.rollback()
        return None
    return made.id, made.number


def _at_its_place(conn: Connection, found: Incident, e164: str) -> tuple[int, int, str] | None:
    """(citizen's id, building's id, flat) of somebody at this number whose building, or whose open appeal's, the
    incident is at."""
    place = {found.building_id} if found.building_id is not None else set(conn.scalars(
        select(network_building.c.building_id).where(network_building.c.network_id == found.network_id)))  # fmt: skip
    for each in citizens.by_phone(conn, e164):
        if each.building_id in place and each.building_id is not None:
            return each.id, each.building_id, each.flat
    rows = conn.execute(
        select(appeal.c.citizen_id, appeal.c.building_id, appeal.c.flat)
        .join_from(appeal, citizen_phone, citizen_phone.c.citizen_id == appeal.c.citizen_id)
        .where(citizen_phone.c.e164 == e164, citizen_phone.c.wrong.is_(False),
               appeal.c.state.in_([state.value for state in life.OPEN]))
        .order_by(appeal.c.registered_at.desc()))  # fmt: skip
    return next(((row[0], row[1], row[2]) for row in rows if row[1] in place), None)


# ── when it is over ──
_UNASKED = (
    select(_c.id, _c.e164, _c.language, _c.incident_id)
    .join_from(incident_caller, incident, _c.incident_id == incident.c.id)
    .where(_c.asked_at.is_(None), _c.appeal_id.is_(None), _c.e164 != "",
           incident.c.state.in_([State.CLOSING.value, State.CLOSED.value]))
    .order_by(_c.id).limit(AT_ONCE)
)  # fmt: skip


def carry_on(conn: Connection, now: dt.datetime, rules: Rules) -> bool:
    """Promises calls to some of those who joined incidents that are over and have no appeal, in this transaction.
    False when nobody was left. As ``incidents.carry_on``: whoever is interrupted goes on where he was."""
    rows = conn.execute(_UNASKED.with_for_update(skip_locked=True, of=incident_caller)).all()
    for row in rows:
        promises.make(conn, e164=row.e164, reason=Reason.INCIDENT, now=now, rules=rules, language=row.language,
                      incident_id=row.incident_id)  # fmt: skip
        conn.execute(update(incident_caller).where(_c.id == row.id).values(asked_at=now))
    return bool(rows)


def said(conn: Connection, incident_id: int, e164: str, result: Result) -> None:
    """Keeps what a caller said when he was asked whether it is over for him. Whoever had not joined is nobody's."""
    conn.execute(update(incident_caller).where(_c.incident_id == incident_id, _c.e164 == e164)
                 .values(result=result.value))  # fmt: skip


# ── what there is ──
def figures(conn: Connection, incident_id: int) -> Figures:
    def many(of: object) -> object:
        return func.coalesce(func.sum(case((of, 1), else_=0)), 0)  # type: ignore[arg-type]

    row = conn.execute(select(
        func.count(), many(_c.appeal_id.is_not(None)), many(_c.asked_at.is_not(None)),  # type: ignore[call-overload]
        many(_c.result == Result.SOLVED.value), many(_c.result == Result.NOT_SOLVED.value))
        .where(_c.incident_id == incident_id)).one()  # fmt: skip
    return Figures(*map(int, row))


def without_appeal(conn: Connection, incident_ids: Collection[int]) -> dict[int, int]:
    """How many callers of each of these joined without one; only where some did."""
    rows = conn.execute(select(_c.incident_id, func.count()).where(
        _c.incident_id.in_(incident_ids), _c.appeal_id.is_(None)).group_by(_c.incident_id))  # fmt: skip
    return {row[0]: row[1] for row in rows}


def not_over(conn: Connection, incident_ids: Collection[int]) -> dict[int, int]:
    """How many of each incident's callers said that it is not over for them; whose callers said so."""
    rows = conn.execute(select(_c.incident_id, func.count()).where(
        _c.incident_id.in_(incident_ids), _c.result == Result.NOT_SOLVED.value).group_by(_c.incident_id))  # fmt: skip
    return {row[0]: row[1] for row in rows}


def callers(conn: Connection, incident_id: int, limit: int = 50) -> list[Caller]:
    """Those for whom it is not over first, then the latest."""
    rows = conn.execute(
        select(_c.e164, _c.at, _c.linkedid, appeal.c.number, _c.asked_at, _c.result)
        .join_from(incident_caller, appeal, isouter=True).where(_c.incident_id == incident_id)
        .order_by((_c.result == Result.NOT_SOLVED.value).desc(), _c.id.desc()).limit(limit))  # fmt: skip
    return [Caller(*row) for row in rows]
