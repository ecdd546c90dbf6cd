"""An attempt to reach a resident as the person who calls sees it: what has come of it, and what each ending of it would
lead to by the rules, before he says which it was."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from crm import citizens, phones, questions
from crm.confirmation_rules import Mode, Reached, Rules, Step, next_step, window_of
from crm.errors import NotFound
from crm.life import State
from crm.schema import appeal, appeal_event, attempt, callback, department


@dataclass(frozen=True, slots=True)
class Fate:
    """An appeal that the attempt moved: to which state, and the department that it lies with now."""

    number: int
    state: State
    department: str


@dataclass(frozen=True, slots=True)
class Came:
    """``reached``: None while the attempt goes on. ``again_at``: when the citizen is called next; None for never, and
    while he is being called."""

    reached: Reached | None
    fates: tuple[Fate, ...]
    again_at: dt.datetime | None


def came_of(conn: Connection, attempt_id: str) -> Came:
    """NotFound for no such attempt of a confirmation."""
    row = conn.execute(select(attempt.c.outcome, attempt.c.placed_at, attempt.c.citizen_id, callback.c.state,
                              callback.c.due_at)
                       .join(callback).where(attempt.c.id == attempt_id)).one_or_none()  # fmt: skip
    if row is None:
        raise NotFound("attempt.unknown")
    moved = conn.execute(
        select(appeal.c.number, appeal_event.c.to_state, department.c.name)
        .select_from(appeal_event).join(appeal, appeal.c.id == appeal_event.c.appeal_id)
        .join(department, department.c.id == appeal.c.department_id)
        .where(appeal.c.citizen_id == row.citizen_id, appeal_event.c.at >= row.placed_at,
               appeal_event.c.evidence["attempt"].as_string() == attempt_id)
        .order_by(appeal_event.c.id)
    )  # fmt: skip
    last = {each.number: Fate(each.number, State(each.to_state), each.name) for each in moved}  # his last word counts
    return Came(Reached(row.outcome) if row.outcome else None, tuple(last.values()),
                row.due_at if row.state == "due" else None)  # fmt: skip


def ahead(conn: Connection, attempt_id: str, endings: Iterable[Reached], now: dt.datetime,
          rules: Rules) -> dict[Reached, Step]:  # fmt: skip
    """What follows if the attempt ends so now and nothing more is answered in it. NotFound for no such attempt."""
    a = attempt.c
    row = conn.execute(select(a.callback_id, a.citizen_id, a.e164, a.mode)
                       .where(a.id == attempt_id, a.callback_id.is_not(None))).one_or_none()  # fmt: skip
    if row is None:
        raise NotFound("attempt.unknown")
    his = citizens.get(conn, row.citizen_id)
    others = [phone for phone in his.phones if phone.e164 != row.e164 and not (phone.wrong or phone.do_not_call)
              and phones.may_call(phone.e164, rules.prefixes)]  # fmt: skip
    tries = questions.open_tries(conn, row.callback_id).values()
    return {reached: next_step(reached, mode=Mode(row.mode), unanswered=tries, now=now, rules=rules,
                               other_contact=bool(others) and not his.do_not_call,
                               window=window_of(his.call_from, his.call_to, rules)) for reached in endings}  # fmt: skip
