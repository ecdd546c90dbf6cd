"""Promised callbacks: a place in the queue without a telephone in the hand, one open for a number.

A promise goes waiting → calling → waiting again, or kept (a seat has spoken with him), withdrawn, unreached, expired.
If he calls again himself, his call has *met* it: it takes his place in the queue, and he is not called meanwhile.
What became of a call is read from its record, whoever wrote that: AMI, the spool, queue_log (``settle``).
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, delete, func, insert, or_, select, update

from crm import calls, clock, notices, ringing, texts
from crm.calls import EndCause, Priority
from crm.confirmation_rules import Mode, Reached
from crm.edits import log_edit
from crm.errors import BadInput, NotFound
from crm.phones import may_call
from crm.promise_rules import ASKED_FOR, Reason, Rules, State, Step, after_call, became_of, first_due
from crm.schema import attempt, call, call_event, citizen, citizen_phone, notice, promise, silenced
from crm.store import Statement, insert_or_ignore

ATTEMPT = "pr-"  # how the ids of our attempts begin, and so of their calls
MET = "met_promise"  # the line of his own call's history that has taken a promise's place


@dataclass(frozen=True, slots=True)
class Promise:
    """``since``: when he began to wait; ``turn``: the moment that decides who is next. ``told_at``: by when we said we
    would call, None if nothing was said. ``met_by``: his own call, that has his place. ``called_at``: first."""

    id: int
    e164: str
    reason: Reason
    state: State
    linkedid: str
    language: str
    priority: Priority
    skill: str
    incident_id: int | None
    since: dt.datetime
    turn: dt.datetime
    made_at: dt.datetime
    told_at: dt.datetime | None
    expires_at: dt.datetime
    due_at: dt.datetime
    tries: int
    met_by: str
    called_at: dt.datetime | None
    ended_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call out. Its id is the channel's id."""

    id: str
    promise_id: int
    e164: str
    language: str
    placed_at: dt.datetime
    answered_at: dt.datetime | None


Turn = Callable[[dt.datetime, Priority], dt.datetime]  # the moment that decides who is next: call_queue.order.turn

_p = promise.c
_FIELDS = tuple(Promise.__dataclass_fields__)
_PROMISE: Select[Any] = select(*(_p[name] for name in _FIELDS))
_OPEN = _PROMISE.where(_p.ended_at.is_(None)).order_by(_p.turn, _p.id)
_OPEN_OF = Statement(_OPEN.where(_p.e164 == bindparam("e164")))
_BEFORE = Statement(select(func.count()).where(
    _p.ended_at.is_(None), _p.met_by == "", _p.reason != Reason.INCIDENT.value, _p.turn < bindparam("turn")))
_HELD = Statement(_PROMISE.where(_p.id == bindparam("id")).with_for_update())
_HELD_OPEN = Statement(_PROMISE.where(_p.e164 == bindparam("e164"), _p.ended_at.is_(None)).with_for_update())
_PUT = update(promise).where(_p.id == bindparam("of"))
_ATTEMPT: Select[Any] = select(attempt.c.id, attempt.c.promise_id, attempt.c.e164, _p.language, attempt.c.placed_at,
                               attempt.c.answered_at).join(promise)  # fmt: skip
_ATTEMPT_HELD = Statement(select(attempt).where(attempt.c.id == bindparam("id"), attempt.c.promise_id.is_not(None))
                          .with_for_update())  # fmt: skip
_ATTEMPTED = Statement(update(attempt).where(attempt.c.id == bindparam("of")))
_PLACE = Statement(insert(attempt).inline())
_PLACED = Statement(select(func.count()).where(
    attempt.c.placed_at > bindparam("since"), attempt.c.promise_id.is_not(None),
    attempt.c.outcome != Reached.NOT_PLACED.value))  # fmt: skip
_SILENCED = Statement(select(silenced.c.e164).where(silenced.c.e164 == bindparam("e164")))
_CALL = (call.c.answered_at.label("seated_at"), call.c.queued_at, call.c.ended_at.label("over_at"), call.c.end_cause)
_CALLED: Select[Any] = (
    select(attempt.c.id, attempt.c.promise_id, attempt.c.placed_at, attempt.c.answered_at, *_CALL)
    .join(call, call.c.linkedid == attempt.c.id, isouter=True)
    .where(attempt.c.ended_at.is_(None), attempt.c.promise_id.is_not(None)).order_by(attempt.c.placed_at)
)  # fmt: skip
_MET: Select[Any] = (
    select(_p.id, _p.met_by, *_CALL).join(call, call.c.linkedid == _p.met_by, isouter=True)
    .where(_p.ended_at.is_(None), _p.met_by != "").order_by(_p.id)
)  # fmt: skip


def _promise(row: Any) -> Promise:
    fields = dict(zip(_FIELDS, row, strict=True))
    return Promise(**{**fields, "reason": Reason(fields["reason"]), "state": State(fields["state"]),
                      "priority": Priority(fields["priority"])})  # fmt: skip


# ── made ─────────────────────────────────────────────────────────────────────────────────────
def make(conn: Connection, *, e164: str, reason: Reason, now: dt.datetime, rules: Rules, linkedid: str = "",
         language: str = "uk", since: dt.datetime | None = None, turn: dt.datetime | None = None,
         told_at: dt.datetime | None = None, priority: Priority = Priority.ORDINARY, skill: str = "",
         incident_id: int | None = None, opens: dt.datetime | None = None) -> Promise | None:  # fmt: skip
    """Promises this number a call. One that is promised a call already keeps the earlier turn.

    ``since``, ``turn``: now, when nothing is given. ``opens``: when it can be kept first, if not now. None for a number
    that asked not to be called, unless somebody now asks for it (``ASKED_FOR``): then its last word counts. BadInput
    "phone.malformed" without a number.
    """
    if not e164:
        raise BadInput("phone.malformed")
    if reason in ASKED_FOR:
        conn.execute(delete(silenced).where(silenced.c.e164 == e164))
    elif is_silenced(conn, e164):
        return None
    since = since or now
    turn = turn or since
    fresh: dict[str, Any] = {
        "e164": e164, "reason": reason.value, "state": State.WAITING.value, "linkedid": linkedid, "language": language,
        "priority": priority.value, "skill": skill, "incident_id": incident_id, "since": since, "turn": turn,
        "made_at": now, "told_at": told_at, "due_at": first_due(opens or now, rules),
        "expires_at": first_due(opens or now, rules) + dt.timedelta(seconds=rules.valid_s)}  # fmt: skip
    while not (rows := _HELD_OPEN(conn, {"e164": e164})):
        insert_or_ignore(conn, promise, fresh)  # or another one has, just now
    kept = _promise(rows[0])
    meant: dict[str, Any] = {"turn": min(kept.turn, turn), "since": min(kept.since, since)}
    if reason in ASKED_FOR or kept.reason is Reason.INCIDENT:
        meant |= {name: fresh[name] for name in ("reason", "linkedid", "language", "told_at", "due_at", "expires_at")}
        meant |= {"incident_id": incident_id or kept.incident_id,
                  "priority": min(kept.priority, priority, key=list(Priority).index).value}  # fmt: skip
    conn.execute(_PUT, {"of": kept.id, **meant})
    if linkedid and reason in ASKED_FOR:
        calls.add_event(conn, linkedid, now, calls.PROMISED, data={"promise": kept.id})
    return get(conn, kept.id)


def abandoned(conn: Connection, linkedid: str, now: dt.datetime, *, turn: Turn, rules: Rules,
              prefixes: Collection[str]) -> Promise | None:  # fmt: skip
    """Promises a call to who has just given up waiting in this call, if by the rules he gets one."""
    his = calls.get(conn, linkedid)
    if his is None or his.end_cause != EndCause.ABANDONED or his.queued_at is None or his.ended_at is None:
        return None
    waited = (his.ended_at - his.queued_at).total_seconds()
    resident = his.direction is calls.Direction.IN and his.origin in ("landline", "mobile")
    if not (resident and rules.abandoned_s and waited >= rules.abandoned_s and may_call(his.caller, prefixes)):
        return None
    if _asked_for_silence(conn, his.caller):
        return None
    priority = Priority(his.priority)
    return make(conn, e164=his.caller, reason=Reason.ABANDONED, now=now, rules=rules, linkedid=linkedid,
                language=his.language, since=his.queued_at, turn=turn(his.queued_at, priority),
                priority=priority, skill=his.skill)  # fmt: skip


def _asked_for_silence(conn: Connection, e164: str) -> bool:
    """Whether who is known at this number has said that he is not to be called."""
    asked = (select(citizen_phone.c.id).join(citizen)
             .where(citizen_phone.c.e164 == e164, or_(citizen_phone.c.do_not_call, citizen.c.do_not_call)).limit(1))
    return conn.execute(asked).first() is not None


# ── read ─────────────────────────────────────────────────────────────────────────────────────
def get(conn: Connection, promise_id: int) -> Promise:
    """NotFound "promise.unknown"."""
    row = conn.execute(_PROMISE.where(_p.id == promise_id)).one_or_none()
    if row is None:
        raise NotFound("promise.unknown")
    return _promise(row)


def open_ones(conn: Connection) -> list[Promise]:
    """All that are not over, in the order of their turns."""
    return [_promise(row) for row in conn.execute(_OPEN)]


def open_of(conn: Connection, e164: str) -> Promise | None:
    """What this number is promised."""
    rows = _OPEN_OF(conn, {"e164": e164}) if e164 else ()
    return _promise(rows[0]) if rows else None


def before(conn: Connection, turn: dt.datetime) -> int:
    """How many who wait to be called have an earlier turn; not those who are on the telephone themselves."""
    return int(_BEFORE.value(conn, {"turn": turn}))


def of_attempt(conn: Connection, attempt_id: str) -> Promise | None:
    """What this call of ours is to keep."""
    row = conn.execute(_PROMISE.join(attempt, attempt.c.promise_id == _p.id)
                       .where(attempt.c.id == attempt_id)).one_or_none()  # fmt: skip
    return None if row is None else _promise(row)


def of_call(conn: Connection, linkedid: str) -> Promise | None:
    """What this call keeps: ours to him, or his own that has met it."""
    if linkedid.startswith(ATTEMPT):
        return of_attempt(conn, linkedid)
    said = conn.scalar(select(call_event.c.data).where(call_event.c.linkedid == linkedid, call_event.c.kind == MET)
                       .order_by(call_event.c.id.desc()).limit(1))  # fmt: skip
    return get(conn, int(said["promise"])) if said else None


def is_silenced(conn: Connection, e164: str) -> bool:
    return bool(_SILENCED(conn, {"e164": e164}))


def open_attempts(conn: Connection) -> list[Attempt]:
    """Attempts with no end, oldest first: on the line now, or left by a crash."""
    rows = conn.execute(_ATTEMPT.where(attempt.c.ended_at.is_(None)).order_by(attempt.c.placed_at))
    return [Attempt(*row) for row in rows]


def placed_last_hour(conn: Connection, now: dt.datetime) -> int:
    """How many attempts were placed in the hour before ``now``; not those that Asterisk did not take."""
    return int(_PLACED.value(conn, {"since": now - dt.timedelta(hours=1)}))


# ── called ───────────────────────────────────────────────────────────────────────────────────
def claim(conn: Connection, promise_id: int, *, now: dt.datetime, rules: Rules) -> Attempt:
    """Takes a promise for calling: commit this before dialling.

    BadInput "promise.not_open", "promise.met" (he is on the line himself), "promise.not_due" (hours, or a try just
    failed), "callback.hourly_cap", "callback.calling" (his telephone is being rung); NotFound for no such promise.
    """
    kept = _held(conn, promise_id)
    if kept.state is not State.WAITING or kept.expires_at <= now:
        raise BadInput("promise.not_open")
    if kept.met_by:
        raise BadInput("promise.met")
    if kept.due_at > now or not clock.in_window(now, rules.call_from, rules.call_to):
        raise BadInput("promise.not_due")
    if placed_last_hour(conn, now) >= rules.hourly_cap:
        raise BadInput("callback.hourly_cap")
    if ringing.is_rung(conn, kept.e164):
        raise BadInput("callback.calling")
    attempt_id = f"{ATTEMPT}{secrets.token_hex(12)}"
    _PLACE(conn, {"id": attempt_id, "promise_id": promise_id, "e164": kept.e164, "mode": Mode.AUTO.value,
                  "placed_at": now})  # fmt: skip
    conn.execute(_PUT, {"of": promise_id, "state": State.CALLING.value, "tries": kept.tries + 1,
                        "called_at": kept.called_at or now})  # fmt: skip
    return Attempt(attempt_id, promise_id, kept.e164, kept.language, now, None)


def _held(conn: Connection, promise_id: int) -> Promise:
    """It, until the transaction ends. NotFound "promise.unknown"."""
    for row in _HELD(conn, {"id": promise_id}):
        return _promise(row)
    raise NotFound("promise.unknown")


def _attempt_held(conn: Connection, attempt_id: str) -> Any:
    for row in _ATTEMPT_HELD(conn, {"id": attempt_id}):
        return row
    raise NotFound("attempt.unknown")


def answered(conn: Connection, attempt_id: str, now: dt.datetime) -> None:
    """He picked up; told again, the first time stays. NotFound for no such attempt."""
    row = _attempt_held(conn, attempt_id)
    _ATTEMPTED(conn, {"of": attempt_id, "answered_at": row.answered_at or now, "linkedid": attempt_id})


def finish(conn: Connection, attempt_id: str, reached: Reached, now: dt.datetime, *, rules: Rules) -> Step | None:
    """Ends an attempt and decides what follows; None when nothing does: it had ended already, or the promise has.

    NotFound for no such attempt.
    """
    row = _attempt_held(conn, attempt_id)
    if row.ended_at is not None:
        return None
    _ATTEMPTED(conn, {"of": attempt_id, "ended_at": now, "outcome": reached.value, "linkedid": attempt_id})
    kept = _held(conn, row.promise_id)
    if kept.state is not State.CALLING:
        return None
    step = after_call(reached, kept.tries, now, rules)
    if kept.met_by:  # our call came while he was calling us
        step = Step(State.WAITING, now)
    elif step.at is not None and step.at >= kept.expires_at:
        step = Step(State.UNREACHED)
    if step.at is None:
        _end(conn, kept, step.state, now)
    else:
        tries = kept.tries - (reached is Reached.NOT_PLACED)  # nobody called him
        conn.execute(_PUT, {"of": kept.id, "state": step.state.value, "due_at": step.at, "tries": tries})
    if reached is Reached.DO_NOT_CALL:
        silence(conn, kept.e164, now)
    return step


def _end(conn: Connection, kept: Promise, state: State, now: dt.datetime) -> None:
    """Ends it; whom we did not reach is told, in the same transaction."""
    conn.execute(_PUT, {"of": kept.id, "state": state.value, "ended_at": now})
    if state in (State.UNREACHED, State.EXPIRED):
        notices.tell(conn, key=f"promise:{kept.id}", kind=notices.Kind.UNREACHED, audience=notices.Audience.CITIZEN,
                     now=now, data={"promise": kept.id})  # fmt: skip


def keep(conn: Connection, promise_id: int, now: dt.datetime) -> None:
    """He has what he was promised: he has spoken to a seat, or said how it is. What is over stays as it is."""
    kept = _held(conn, promise_id)
    if kept.ended_at is None:
        _end(conn, kept, State.KEPT, now)


def settle(conn: Connection, now: dt.datetime, *, rules: Rules, on_line: Collection[str], only: str = "") -> None:
    """Of every call that keeps a promise, ours or his own: what came of it, as its record says.

    ``on_line``: the calls that live now. ``only``: look at this call alone.
    """
    for row in conn.execute(_CALLED.where(attempt.c.id == only) if only else _CALLED).all():
        if row.seated_at is not None:
            keep(conn, row.promise_id, row.seated_at)
        if row.id not in on_line and (reached := became_of(
                placed_at=row.placed_at, picked_up=row.answered_at is not None, queued=row.queued_at is not None,
                seated=row.seated_at is not None, lost_at=_lost_at(row), now=now, rules=rules)):  # fmt: skip
            finish(conn, row.id, reached, now, rules=rules)
    for row in conn.execute(_MET.where(_p.met_by == only) if only else _MET).all():
        if row.seated_at is not None:
            keep(conn, row.id, row.seated_at)
        elif row.met_by not in on_line and became_of(
                placed_at=now, picked_up=True, queued=True, seated=False, lost_at=_lost_at(row), now=now,
                rules=rules):  # fmt: skip
            conn.execute(_PUT, {"of": row.id, "met_by": ""})


def _lost_at(row: Any) -> dt.datetime | None:
    """Since when the call is over and nobody knows how: queue_log may tell, in a moment."""
    return row.over_at if row.end_cause == EndCause.LOST else None


def meet(conn: Connection, promise_id: int, linkedid: str, now: dt.datetime) -> bool:
    """His own call takes the promise's place in the queue; whether it was still open."""
    kept = _held(conn, promise_id)
    if kept.ended_at is not None:
        return False
    if kept.met_by != linkedid:
        conn.execute(_PUT, {"of": promise_id, "met_by": texts.linkedid(linkedid)})
        calls.add_event(conn, linkedid, now, MET, data={"promise": promise_id})
    return True


# ── over ─────────────────────────────────────────────────────────────────────────────────────
def expire(conn: Connection, now: dt.datetime) -> int:
    """Ends what was not kept in its time; how many. Not while he is on the line."""
    late = _OPEN.where(_p.expires_at <= now, _p.state == State.WAITING.value, _p.met_by == "").with_for_update()
    rows = [_promise(row) for row in conn.execute(late)]
    for kept in rows:
        _end(conn, kept, State.UNREACHED if kept.tries else State.EXPIRED, now)
    return len(rows)


def withdraw(conn: Connection, promise_id: int, *, reason: str, staff_id: int, now: dt.datetime) -> None:
    """A person ends it. BadInput "promise.no_reason"; "promise.not_open" when it is over, or he is being called."""
    reason = texts.line(reason, 200)
    kept = _held(conn, promise_id)
    if not reason:
        raise BadInput("promise.no_reason")
    if kept.state is not State.WAITING:
        raise BadInput("promise.not_open")
    _end(conn, kept, State.WITHDRAWN, now)
    log_edit(conn, now=now, staff_id=staff_id, what="promise", key=promise_id, before={"state": kept.state.value},
             after={"state": State.WITHDRAWN.value, "reason": reason})  # fmt: skip


def silence(conn: Connection, e164: str, now: dt.datetime) -> None:
    """Nothing is promised to this number any more, unless it is asked for again."""
    insert_or_ignore(conn, silenced, {"e164": e164, "at": now})
    for row in _HELD_OPEN(conn, {"e164": e164}):
        _end(conn, _promise(row), State.WITHDRAWN, now)


# ── figures ──────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Kept:
    """Of the promises made since then: how many; kept (of them called later than was said: ``late``), not reached,
    not called in their time."""

    made: int
    kept: int
    late: int
    unreached: int
    expired: int


def kept_since(conn: Connection, since: dt.datetime) -> Kept:
    late = and_(_p.told_at.is_not(None), _p.called_at > _p.told_at)
    is_ = {state: _p.state == state.value for state in State}
    row = conn.execute(select(
        func.count(), func.count().filter(is_[State.KEPT]), func.count().filter(is_[State.KEPT], late),
        func.count().filter(is_[State.UNREACHED]), func.count().filter(is_[State.EXPIRED]),
    ).where(_p.made_at >= since)).one()  # fmt: skip
    return Kept(*row)


@dataclass(frozen=True, slots=True)
class ToTell:
    """Whom we promised a call and did not reach: to be told so. ``id``: the notice's."""

    id: int
    promise_id: int
    e164: str
    language: str
    made_at: dt.datetime
    created_at: dt.datetime


def to_tell(conn: Connection, limit: int = 100) -> list[ToTell]:
    """Oldest first."""
    rows = conn.execute(
        select(notice.c.id, _p.id, _p.e164, _p.language, _p.made_at, notice.c.created_at)
        .join(promise, _p.id == notice.c.data["promise"].as_integer())
        .where(notice.c.state == "due", notice.c.kind == notices.Kind.UNREACHED.value)
        .order_by(notice.c.due_at, notice.c.id).limit(limit))  # fmt: skip
    return [ToTell(*row) for row in rows]
