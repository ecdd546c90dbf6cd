"""An appeal's state and its history change together, here and nowhere else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from crm import life, notices, webhooks
from crm.errors import NotFound, Stale
from crm.life import Action, Evidence, State
from crm.schema import appeal, appeal_event
from crm.store import Statement


@dataclass(frozen=True, slots=True)
class Standing:
    """What a change of state depends on, as it was read in this transaction."""

    id: int
    number: int
    state: State
    returns: int
    version: int
    citizen_id: int | None
    subject_id: int
    department_id: int
    lead_id: int | None = None
    acknowledged_at: dt.datetime | None = None
    first_executed_at: dt.datetime | None = None


_KEPT = frozenset(Standing.__dataclass_fields__)
_STANDING = select(appeal.c.id, appeal.c.number, appeal.c.state, appeal.c.returns, appeal.c.version,
                   appeal.c.citizen_id, appeal.c.subject_id, appeal.c.department_id, appeal.c.lead_id,
                   appeal.c.acknowledged_at, appeal.c.first_executed_at).with_for_update()  # fmt: skip
_BY_ID = Statement(_STANDING.where(appeal.c.id == bindparam("id")))
_BY_NUMBER = Statement(_STANDING.where(appeal.c.number == bindparam("number")))
_MOVE = Statement(update(appeal).where(appeal.c.id == bindparam("of"), appeal.c.version == bindparam("seen"))
                  .returning(appeal.c.id))  # fmt: skip
_ADD = Statement(insert(appeal_event).inline())


def standing(conn: Connection, appeal_id: int) -> Standing:
    """The appeal, held against other writers until the transaction ends. NotFound if there is none."""
    return _standing(conn, _BY_ID, id=appeal_id)


def standing_by_number(conn: Connection, number: int) -> Standing:
    """The same, by the number that people know."""
    return _standing(conn, _BY_NUMBER, number=number)


def _standing(conn: Connection, query: Statement, **key: int) -> Standing:
    for row in query(conn, key):
        return Standing(row[0], row[1], State(row[2]), *row[3:])
    raise NotFound("appeal.unknown")


def move(conn: Connection, before: Standing, action: Action, *, now: dt.datetime, staff_id: int | None = None,
         note: str = "", evidence: Mapping[str, Any] | None = None, **changes: Any) -> Standing:
    """Does ``action``: the new state, its line of history, what somebody must be told of it (``notices.follow``,
    ``webhooks.tell``), and ``changes`` to other columns (plain values, no SQL).

    IllegalAction as ``life.after``; Stale if the appeal changed since ``before`` was read. What an
    action must bring with it is the caller's to check, except that CONFIRM, NOT_SOLVED and HEAR
    never pass without evidence.
    """
    state, returns = life.after(before.state, action, before.returns)
    if action in life.NEEDS_EVIDENCE:
        _must_be_evidence(evidence or {})
    values = {"of": before.id, "seen": before.version, "state": state.value, "returns": returns,
              "version": before.version + 1, "watch_at": now if state in life.OPEN else None, **changes}  # fmt: skip
    if state is not before.state:
        values["ended_at"] = now if state in life.ENDED else None
    if not _MOVE(conn, values):
        raise Stale("appeal.stale")
    after = replace(before, state=state, returns=returns, version=before.version + 1,
                    **{name: value for name, value in changes.items() if name in _KEPT})  # fmt: skip
    add(conn, before.id, action, before.state, state, now=now, staff_id=staff_id, department_id=after.department_id,
        note=note, evidence=evidence)
    notices.follow(conn, action, state, appeal_id=before.id, version=after.version, department_id=after.department_id,
                   passed_on=after.department_id != before.department_id, citizen_id=before.citizen_id, now=now,
                   evidence=evidence or {}, until=changes.get("planned_for"))
    webhooks.tell(conn, before.id, action, before.state, state, version=after.version,
                  department_id=after.department_id, left_id=before.department_id, now=now, note=note)  # fmt: skip
    return after


def add(conn: Connection, appeal_id: int, action: Action, from_state: State, to_state: State, *, now: dt.datetime,
        staff_id: int | None, department_id: int, note: str = "", evidence: Mapping[str, Any] | None = None) -> None:
    """A line of history by itself: only a registration has no ``move``."""
    _ADD(conn, {
        "appeal_id": appeal_id, "at": now, "action": action.value, "from_state": from_state.value,
        "to_state": to_state.value, "staff_id": staff_id, "department_id": department_id, "note": note,
        "evidence": dict(evidence or {})})  # fmt: skip


def evidence_of(evidence: Evidence, result: str = "") -> dict[str, Any]:
    """As it is kept: what is known of linkedid, key, staff_id, attempt, written, result."""
    known = {"linkedid": evidence.linkedid, "key": evidence.key, "staff_id": evidence.staff_id,
             "attempt": evidence.attempt, "written": evidence.written, "result": result}  # fmt: skip
    return {name: value for name, value in known.items() if value not in ("", None)}


def _must_be_evidence(kept: Mapping[str, Any]) -> None:
    life.check_evidence(Evidence(kept.get("linkedid", ""), kept.get("key", ""), kept.get("staff_id"),
                                 written=kept.get("written", "")))  # fmt: skip
