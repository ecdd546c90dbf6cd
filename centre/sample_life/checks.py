"""What must hold after a month of life, whatever happened in it: counted anew from the rows alone."""

from __future__ import annotations

from collections import Counter
from itertools import groupby, pairwise
from typing import Any

from sqlalchemy import Connection, select

from crm import life
from crm.errors import IllegalAction
from crm.life import Action, State
from crm.report import Report
from crm.schema import appeal, appeal_event, attempt, callback, callback_appeal, notice


def violations(conn: Connection, report: Report) -> dict[str, int]:
    """How often each thing that must not be is so; 0 for all of them, or something is wrong. ``report``: over a period
    in which all that is on record happened."""
    rows = {row.id: row for row in conn.execute(select(appeal.c.id, appeal.c.state, appeal.c.returns, appeal.c.ended_at,
                                                       appeal.c.first_executed_at))}  # fmt: skip
    found: Counter[str] = Counter(dict.fromkeys(("history", "closed_without_evidence", "ended", "executed"), 0))
    actions: Counter[Action] = Counter()
    confirmed = 0
    e = appeal_event.c
    lines = conn.execute(select(e.appeal_id, e.action, e.at, e.from_state, e.to_state, e.evidence)
                         .order_by(e.appeal_id, e.id).execution_options(yield_per=5000))  # fmt: skip
    for appeal_id, its in groupby(lines, key=lambda line: line.appeal_id):
        row = rows.pop(appeal_id)
        history = list(its)
        done = [Action(line.action) for line in history]
        actions.update(done)
        confirmed += row.state == State.CLOSED
        found["history"] += not _replays(done, history, row)
        found["closed_without_evidence"] += row.state == State.CLOSED and not _resident_said(history)
        found["ended"] += (row.ended_at is not None) != (row.state in life.ENDED)
        reports = [line.at for line in history if line.action in (Action.EXECUTE, Action.ANSWER)]
        found["executed"] += row.first_executed_at != (reports[0] if reports else None)
    found["without_history"] = len(rows)
    found["called_twice_at_once"] = _overlaps(conn)
    found["not_to_be_asked"] = _not_to_be_asked(conn)
    found["department_not_told"] = _not_told(conn, actions)
    counted = {"registered": actions[Action.REGISTER], "confirmed": actions[Action.CONFIRM],
               "returned": actions[Action.NOT_SOLVED], "unconfirmed": actions[Action.GIVE_UP],
               "executed": actions[Action.EXECUTE] + actions[Action.ANSWER]}  # fmt: skip
    found["figures"] = sum(report.happened[name] != number for name, number in counted.items())
    found["figures"] += report.cohort["confirmed"] != confirmed
    return dict(found)


def _replays(done: list[Action], history: list[Any], row: Any) -> bool:
    try:
        replayed = life.replay(done)
    except IllegalAction:
        return False
    joined = all(line.to_state == after.from_state for line, after in pairwise(history))
    return joined and replayed == (State(row.state), row.returns)


def _resident_said(history: list[Any]) -> bool:
    """What closed it is a word of his: the call, and the key that he pressed or the person who heard him."""
    closing = next(line for line in reversed(history) if line.to_state != line.from_state)
    said = closing.evidence
    heard = bool(said.get("key") or said.get("staff_id"))
    return closing.action == Action.CONFIRM and bool(said.get("linkedid")) and heard


def _overlaps(conn: Connection) -> int:
    """Attempts that began while the same citizen was being called."""
    a = attempt.c
    twice, until, whom = 0, None, None
    for row in conn.execute(select(a.citizen_id, a.placed_at, a.ended_at).order_by(a.citizen_id, a.placed_at)):
        twice += row.citizen_id == whom and (until is None or row.placed_at < until)
        until, whom = row.ended_at, row.citizen_id
    return twice


def _not_to_be_asked(conn: Connection) -> int:
    """Appeals that await the resident's word and are in no open callback, or are in one and do not await it."""
    awaiting = set(conn.execute(select(appeal.c.id).where(appeal.c.state == State.AWAITING.value)).scalars())
    asked = conn.execute(select(callback_appeal.c.appeal_id).join(callback)
                         .where(callback.c.ended_at.is_(None), callback_appeal.c.result == "")).scalars()  # fmt: skip
    return len(awaiting ^ set(asked))


def _not_told(conn: Connection, actions: Counter[Action]) -> int:
    """What was passed to work without a notice to whoever must act."""
    told = conn.execute(select(notice.c.appeal_id).where(notice.c.kind == "assigned")).scalars().all()
    return actions[Action.ASSIGN] + actions[Action.RESUME] + actions[Action.COMPLETE] - len(told)
