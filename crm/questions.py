"""The questions that a citizen's open callback carries: one for each appeal that awaits his word."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection, bindparam, exists, insert, select, update

from crm import history, notices
from crm.confirmation_rules import Mode, Reached, word_by
from crm.life import Action, State
from crm.schema import callback, callback_appeal, citizen, citizen_phone
from crm.store import Statement, insert_or_ignore

GIVEN_UP = "given_up"  # nobody could be reached
GONE = "gone"  # the appeal went another way meanwhile

_OPEN = Statement(select(callback.c.id).where(callback.c.citizen_id == bindparam("citizen"),
                                              callback.c.ended_at.is_(None)))  # fmt: skip
_REACHABLE = Statement(select(citizen.c.auto_confirm).where(
    citizen.c.id == bindparam("citizen"), citizen.c.do_not_call.is_(False),
    exists().where(citizen_phone.c.citizen_id == citizen.c.id, citizen_phone.c.wrong.is_(False),
                   citizen_phone.c.do_not_call.is_(False))).with_for_update(of=citizen))  # fmt: skip
_OPENED = Statement(insert(callback).returning(callback.c.id))
_CALLBACK = Statement(update(callback).where(callback.c.id == bindparam("of")))
_QUESTION = Statement(update(callback_appeal).where(callback_appeal.c.callback_id == bindparam("of"),
                                                    callback_appeal.c.appeal_id == bindparam("about")))  # fmt: skip
_ANSWERED = Statement(update(callback_appeal).where(
    callback_appeal.c.appeal_id == bindparam("about"), callback_appeal.c.result == "",
    callback_appeal.c.callback_id.in_(select(callback.c.id).where(callback.c.ended_at.is_(None))),
).returning(callback_appeal.c.callback_id))  # fmt: skip
_UNANSWERED = Statement(select(callback_appeal.c.appeal_id, callback_appeal.c.tries).where(
    callback_appeal.c.callback_id == bindparam("callback"), callback_appeal.c.result == "",
).order_by(callback_appeal.c.appeal_id))  # fmt: skip


def ask(conn: Connection, before: history.Standing, now: dt.datetime) -> history.Standing:
    """Schedules the confirmation of an executed appeal: it joins the citizen's open callback, or opens one.

    With nobody to call (no citizen, no usable number, do not call) he is asked in writing alone, where he is told in
    writing, and ``wait`` sees to it that nobody waits for ever; else it is unconfirmed at once. The citizen is held
    until the transaction ends: of two appeals of his that are executed at once, the second finds the first's callback.
    """
    consent = None if before.citizen_id is None else _REACHABLE.value(conn, {"citizen": before.citizen_id})
    written = consent is None and before.citizen_id is not None and notices.is_asked_in_writing(conn, before.id)
    awaiting = history.move(conn, before, Action.ASK, now=now, watch_at=now if written else None)
    if written:
        return awaiting
    if consent is None:
        return history.move(conn, awaiting, Action.GIVE_UP, now=now, evidence={"reached": "no_contact"})
    callback_id = _open_callback(conn, before.citizen_id, Mode.AUTO if consent else Mode.LIVE, now)
    values = {"callback_id": callback_id, "appeal_id": before.id}
    if not insert_or_ignore(conn, callback_appeal, values):  # asked before in this callback, returned, done again
        _QUESTION(conn, {"of": callback_id, "about": before.id, "result": "", "tries": 0})
    return awaiting


def _open_callback(conn: Connection, citizen_id: int | None, mode: Mode, now: dt.datetime) -> int:
    known = _OPEN.value(conn, {"citizen": citizen_id})
    if known is not None:
        return int(known)
    return int(_OPENED.value(conn, {"citizen_id": citizen_id, "mode": mode.value, "state": "due", "due_at": now,
                                    "created_at": now}))  # fmt: skip


def wait(conn: Connection, appeal_id: int, executed_at: dt.datetime, now: dt.datetime, days: int) -> dt.datetime | None:
    """Whoever is asked in writing alone is reminded once, half-way through ``days``; after them it is unconfirmed. When
    to look again; None for never."""
    half, end = word_by(executed_at, days)
    before = history.standing(conn, appeal_id)
    if before.state is not State.AWAITING or before.citizen_id is None:
        return None
    if now >= end:
        history.move(conn, before, Action.GIVE_UP, now=now, evidence={"reached": Reached.NO_ANSWER.value})
        return None
    if now < half:
        return half
    notices.remind(conn, appeal_id, before.citizen_id, f"{int(executed_at.timestamp())}", end, now)
    return end


def answered(conn: Connection, appeal_id: int, result: str, now: dt.datetime) -> None:
    """This appeal need not be asked about any more; the callback ends with its last question."""
    asked = _ANSWERED.value(conn, {"about": appeal_id, "result": result})
    if asked is not None and not open_tries(conn, asked):
        end(conn, asked, "done", now)


def end(conn: Connection, callback_id: int, state: str, now: dt.datetime) -> None:
    """``state``: done, or given_up."""
    _CALLBACK(conn, {"of": callback_id, "state": state, "ended_at": now})


def open_tries(conn: Connection, callback_id: int) -> dict[int, int]:
    """The appeals of a callback that have no answer yet, and how often each has been tried."""
    return {row.appeal_id: row.tries for row in _UNANSWERED(conn, {"callback": callback_id})}


def not_tried(conn: Connection, callback_id: int) -> None:
    """Takes back the try that claiming the callback counted."""
    conn.execute(update(callback_appeal).values(tries=callback_appeal.c.tries - 1)
                 .where(callback_appeal.c.callback_id == callback_id, callback_appeal.c.result == "",
                        callback_appeal.c.tries > 0))  # fmt: skip


def give_up(conn: Connection, callback_id: int, appeal_id: int, reached: str, attempt: str, now: dt.datetime) -> None:
    """Nobody could be reached about this appeal: it is unconfirmed."""
    _QUESTION(conn, {"of": callback_id, "about": appeal_id, "result": GIVEN_UP})
    before = history.standing(conn, appeal_id)
    if before.state is State.AWAITING:
        evidence = {"reached": reached, **({"attempt": attempt} if attempt else {})}
        history.move(conn, before, Action.GIVE_UP, now=now, evidence=evidence)
