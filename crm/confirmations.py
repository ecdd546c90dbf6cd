"""Confirmation callbacks: one open callback a citizen, its questions, its attempts.

A callback goes due → calling → due again, or done, or given up. Whatever the resident says of an
appeal is kept, also when it comes too late to change anything.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Integer,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from crm import (
    appeals,
    calls,
    campaign_rules,
    campaigns,
    citizens,
    clock,
    history,
    life,
    questions,
    ringing,
    texts,
)
from crm.appeals import Appeal
from crm.confirmation_rules import Mode, Next, Reached, Result, Rules, left_open, next_step, spent, window_of
from crm.errors import BadInput, NotFound
from crm.life import Action, Evidence, State
from crm.schema import (
    appeal,
    appeal_event,
    attempt,
    call,
    callback,
    callback_appeal,
    campaign,
    citizen,
    citizen_phone,
    subject,
)
from crm.store import Statement


@dataclass(frozen=True, slots=True)
class Question:
    """One appeal that the citizen is to be asked about."""

    appeal_id: int
    number: int
    subject_uk: str
    subject_en: str
    text: str
    tries: int


@dataclass(frozen=True, slots=True)
class Due:
    """A callback that may be placed now. ``e164`` is "" when no number is left: claim it all the same,
    that gives it up. ``campaign_id``: of the campaign that has taken it, if one has."""

    callback_id: int
    mode: Mode
    due_at: dt.datetime
    citizen_id: int
    citizen: str
    language: str
    e164: str
    campaign_id: int | None
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call out. Its id is the channel's id."""

    id: str
    callback_id: int
    citizen_id: int
    e164: str
    mode: Mode
    seat: str | None
    staff_id: int | None
    language: str
    placed_at: dt.datetime
    answered_at: dt.datetime | None
    linkedid: str


@dataclass(frozen=True, slots=True)
class Pending:
    """What a citizen who calls in can be asked: the appeals that await his word, then unconfirmed ones."""

    citizen_id: int
    citizen: str
    callback_id: int | None
    questions: tuple[Question, ...]


_QUESTION = (appeal.c.id, appeal.c.number, subject.c.name_uk, subject.c.name_en, appeal.c.text)
_ATTEMPT: Select[Any] = (
    select(attempt.c.id, attempt.c.callback_id, attempt.c.citizen_id, attempt.c.e164, attempt.c.mode, attempt.c.seat,
           attempt.c.staff_id, citizen.c.language, attempt.c.placed_at, attempt.c.answered_at, attempt.c.linkedid,
           attempt.c.ended_at)
    .join(citizen, attempt.c.citizen_id == citizen.c.id)
)  # fmt: skip
# Coalesced, the state is no way in: SQLite would read all that awaits anybody's word.
_PENDING = Statement(
    select(citizen.c.id.label("citizen_id"), citizen.c.name, callback.c.id.label("callback_id"), appeal.c.state,
           *_QUESTION, func.coalesce(callback_appeal.c.tries, 0))
    .select_from(citizen_phone).join(citizen).join(appeal, appeal.c.citizen_id == citizen.c.id).join(subject)
    .join(callback, (callback.c.citizen_id == citizen.c.id) & callback.c.ended_at.is_(None), isouter=True)
    .join(callback_appeal, (callback_appeal.c.callback_id == callback.c.id)
          & (callback_appeal.c.appeal_id == appeal.c.id), isouter=True)
    .where(citizen_phone.c.e164 == bindparam("e164"), citizen_phone.c.wrong.is_(False),
           func.coalesce(appeal.c.state, "").in_([State.AWAITING.value, State.UNCONFIRMED.value]))
    .order_by(appeal.c.state, citizen_phone.c.last_used_at.desc(), citizen.c.id, appeal.c.id)
)  # fmt: skip  # "awaiting" sorts before "unconfirmed"


# Statements are made once: that takes several times as long as running them.
_CALLBACK = Statement(update(callback).where(callback.c.id == bindparam("of")))
_ATTEMPTED = Statement(update(attempt).where(attempt.c.id == bindparam("of")))
_PLACE = Statement(insert(attempt).inline())
_COUNT_TRY = Statement(update(callback_appeal).values(tries=callback_appeal.c.tries + 1).where(
    callback_appeal.c.callback_id == bindparam("callback"), callback_appeal.c.result == ""))  # fmt: skip
_BY_ID = _ATTEMPT.where(attempt.c.id == bindparam("id"))
_HELD = Statement(_BY_ID.with_for_update(of=attempt))
_RESERVED = Statement(select(attempt.c.id).where(attempt.c.seat == bindparam("seat"), attempt.c.ended_at.is_(None)))
_BUSY = Statement(select(attempt.c.id).where(attempt.c.citizen_id == bindparam("citizen"),
                                             attempt.c.ended_at.is_(None)))  # fmt: skip
_PLACED = Statement(select(func.count()).where(attempt.c.placed_at > bindparam("since"),
                                               attempt.c.promise_id.is_(None),
                                               attempt.c.outcome != Reached.NOT_PLACED.value))  # fmt: skip
_LAST_WORD = Statement(select(appeal_event.c.evidence).where(appeal_event.c.appeal_id == bindparam("appeal"))
                       .order_by(appeal_event.c.id.desc()).limit(1))  # fmt: skip
_ASKED = (
    select(callback_appeal.c.callback_id, *_QUESTION, callback_appeal.c.tries)
    .join(appeal, callback_appeal.c.appeal_id == appeal.c.id).join(subject)
    .where(callback_appeal.c.callback_id.in_(bindparam("callbacks", expanding=True)), callback_appeal.c.result == "")
    .order_by(appeal.c.id)
)  # fmt: skip


def _numbers(prefixes: Sequence[str]) -> ScalarSelect[Any]:
    """A citizen's usable number, the last used, for a query that already has ``citizen``."""
    allowed = or_(*(citizen_phone.c.e164.startswith(prefix, autoescape=True) for prefix in prefixes))
    return select(citizen_phone.c.e164).where(
        citizen_phone.c.citizen_id == citizen.c.id, citizen_phone.c.wrong.is_(False),
        citizen_phone.c.do_not_call.is_(False), citizen.c.do_not_call.is_(False), allowed,
    ).order_by(citizen_phone.c.last_used_at.desc(), citizen_phone.c.id).limit(1).correlate(citizen).scalar_subquery()


@cache
def _due(prefixes: tuple[str, ...], mode: Mode | None, within: campaign_rules.Mode | None,
         campaigns_call: bool) -> Select[Any]:  # fmt: skip
    minute: BindParameter[int] = bindparam("minute", type_=Integer)
    start = func.coalesce(citizen.c.call_from, bindparam("call_from", type_=Integer))
    end = func.coalesce(citizen.c.call_to, bindparam("call_to", type_=Integer))
    inside = or_(and_(start <= minute, minute < end), and_(start >= end, or_(start <= minute, minute < end)),
                 start == end)  # as clock.in_window
    asked_by = true() if mode is None else callback.c.mode == mode.value
    if mode is Mode.AUTO:
        asked_by = and_(asked_by, citizen.c.auto_confirm)
    e164 = func.coalesce(_numbers(prefixes), "")
    found: Select[Any] = (
        select(callback.c.id, callback.c.mode, callback.c.due_at, citizen.c.id, citizen.c.name, citizen.c.language,
               e164, callback.c.campaign_id)
        .where(callback.c.state == "due", callback.c.due_at <= bindparam("now"), inside, asked_by,
               or_(callback.c.created_at <= bindparam("reported"), callback.c.due_at > callback.c.created_at))
        .limit(bindparam("limit"))
    )  # fmt: skip
    longest_due = (callback.c.due_at, callback.c.id)
    whose = callback.join(citizen)
    if not campaigns_call:
        return found.select_from(whose).where(campaigns.free()).order_by(*longest_due)
    tried = (select(attempt.c.citizen_id, func.count().label("times"))
             .where(attempt.c.placed_at >= bindparam("midnight"), attempt.c.promise_id.is_(None),
                    attempt.c.outcome != Reached.NOT_PLACED.value).group_by(attempt.c.citizen_id)
             .subquery("tried"))  # fmt: skip
    taken = and_(campaign.c.id.in_(bindparam("calling", expanding=True)),
                 func.coalesce(tried.c.times, 0) < campaign.c.citizen_daily_cap)  # fmt: skip
    if within is not None:
        taken = and_(taken, campaign.c.mode == within.value)
    elif mode is Mode.AUTO:  # with no number left nobody is called: it is only given up
        taken = and_(taken, or_(campaign.c.mode == campaign_rules.Mode.AUTOMATIC.value, e164 == ""))
    return (
        found.select_from(whose.join(campaign, callback.c.campaign_id == campaign.c.id, isouter=True)
                          .join(tried, tried.c.citizen_id == citizen.c.id, isouter=True))
        .where(taken if within is not None else or_(campaigns.free(), taken))
        .order_by(case((campaigns.free(), None), else_=campaign.c.started_at).desc().nulls_last(),
                  case((campaigns.free(), None), else_=campaign.c.id).desc().nulls_last(), *longest_due)
    )  # fmt: skip


@cache
def _claimed(prefixes: tuple[str, ...]) -> Statement:
    """A callback, held, and whom it calls where."""
    return Statement(
        select(callback.c.state, callback.c.mode, callback.c.campaign_id, citizen.c.id, citizen.c.call_from,
               citizen.c.call_to, citizen.c.language, citizen.c.auto_confirm, _numbers(prefixes).label("e164"))
        .join(citizen).where(callback.c.id == bindparam("id")).with_for_update(of=callback)
    )  # fmt: skip


def due(conn: Connection, now: dt.datetime, mode: Mode | None, limit: int, rules: Rules, *,
        within: campaign_rules.Mode | None = None) -> list[Due]:  # fmt: skip
    """Callbacks that may be placed at ``now``, each inside its citizen's hours: those of the campaign that was started
    last first, those of no campaign last, each longest due first.

    ``mode``: None for both; AUTO: those that a machine may ask. ``within``: only those of campaigns of that mode.
    """
    calling = [campaign_id for campaign_id, why_not in campaigns.calling(conn, now, rules).items() if why_not is None]
    if within is not None and not calling:
        return []
    rows: list[Any] = list(conn.execute(_due(rules.prefixes, mode, within, bool(calling)), {
        "minute": clock.minutes_of_day(now), "call_from": rules.call_from, "call_to": rules.call_to, "now": now,
        "reported": now - dt.timedelta(seconds=rules.first_s), "limit": limit,
        **({"calling": calling, "midnight": campaigns.midnight(now)} if calling else {})}))  # fmt: skip
    asked = _questions(conn, [row[0] for row in rows])
    return [Due(row[0], Mode(row[1]), row[2], row[3], row[4], row[5], row[6], row[7], tuple(asked[row[0]]))
            for row in rows]  # fmt: skip


def _questions(conn: Connection, callback_ids: Sequence[int]) -> dict[int, list[Question]]:
    """The unanswered questions of each callback, one query for all."""
    asked: dict[int, list[Question]] = defaultdict(list)
    for row in conn.execute(_ASKED, {"callbacks": callback_ids}) if callback_ids else ():
        asked[row[0]].append(Question(*row[1:]))
    return asked


def questions_of(conn: Connection, callback_id: int) -> list[Question]:
    """The callback's appeals that have no answer yet."""
    return _questions(conn, [callback_id])[callback_id]


def claim(conn: Connection, callback_id: int, *, now: dt.datetime, rules: Rules, seat: str | None = None,
          staff_id: int | None = None, reserve: bool = False) -> Attempt | None:  # fmt: skip
    """Takes a callback for calling: commit this before dialling. With a seat it is a live call. ``reserve``: the seat
    has not asked for it, and must have no other call to make or to write down.

    None when there is no number left to call, and the appeals are unconfirmed now. BadInput
    "callback.not_open", "callback.calling" (the citizen is being called), "callback.needs_seat",
    "callback.outside_hours", "callback.hourly_cap", "seat.on_call" (the one to be reserved), and why its campaign does
    not call him; NotFound for no such callback.
    """
    if reserve:
        campaigns.take_turns(conn)
        if _RESERVED(conn, {"seat": seat}):
            raise BadInput("seat.on_call")
    its = campaigns.holder(conn, callback_id)
    rows = _claimed(rules.prefixes)(conn, {"id": callback_id})
    if not rows:
        raise NotFound("callback.unknown")
    row = rows[0]
    if _BUSY(conn, {"citizen": row.id}):
        raise BadInput("callback.calling")
    if row.state != "due" or row.campaign_id != (its.id if its else None):  # a campaign has taken it just now
        raise BadInput("callback.not_open")
    if row.e164 is None:
        _end(conn, callback_id, Next.GIVE_UP, "no_contact", "", now)
        return None
    by_person = its is not None and its.is_open and its.terms.mode is not campaign_rules.Mode.AUTOMATIC
    if seat is None and (row.mode == Mode.LIVE or not row.auto_confirm or by_person):
        raise BadInput("callback.needs_seat")
    if its is not None:
        campaigns.check(conn, its, row.id, now, rules)
    if not clock.in_window(now, *window_of(row.call_from, row.call_to, rules)):
        raise BadInput("callback.outside_hours")
    if placed_last_hour(conn, now) >= rules.hourly_cap:
        raise BadInput("callback.hourly_cap")
    if ringing.is_rung(conn, row.e164):  # at this number somebody else may be called, or what we promised is kept
        raise BadInput("callback.calling")
    attempt_id = f"cb-{secrets.token_hex(12)}"
    mode = Mode.AUTO if seat is None else Mode.LIVE
    _PLACE(conn, {"id": attempt_id, "callback_id": callback_id, "citizen_id": row.id, "e164": row.e164,
                  "mode": mode.value, "seat": seat, "staff_id": staff_id, "placed_at": now})  # fmt: skip
    _CALLBACK(conn, {"of": callback_id, "state": "calling"})
    _COUNT_TRY(conn, {"callback": callback_id})
    return Attempt(attempt_id, callback_id, row.id, row.e164, mode, seat, staff_id, row.language, now, None, "")


def _attempts(rows: Iterable[Any]) -> list[Attempt]:
    return [Attempt(row[0], row[1], row[2], row[3], Mode(row[4]), *row[5:11]) for row in rows]


def attempt_answered(conn: Connection, attempt_id: str, now: dt.datetime, linkedid: str = "") -> None:
    """The citizen picked up; told again, the first time stays. NotFound for no such attempt."""
    row = _held(conn, attempt_id)
    _ATTEMPTED(conn, {"of": attempt_id, "answered_at": row.answered_at or now,
                      "linkedid": texts.linkedid(linkedid) if linkedid else row.linkedid})  # fmt: skip


def _held(conn: Connection, attempt_id: str) -> Any:
    """Its row, until the transaction ends. NotFound if there is none."""
    for row in _HELD(conn, {"id": attempt_id}):
        return row
    raise NotFound("attempt.unknown")


def answer(conn: Connection, *, number: int, result: Result, now: dt.datetime, linkedid: str = "",
           attempt_id: str | None = None, citizen_id: int | None = None, key: str = "",
           staff_id: int | None = None, note: str = "", written: str = "") -> Appeal:
    """The resident's word on one appeal (by its number), in a callback, in a call of his own, or in writing.

    Closes or returns an appeal that awaits it, is unconfirmed or closed; in any other state it
    changes nothing and is kept in the history. The same word told twice is taken once.
    ``linkedid``: the call; a callback's own when empty. ``written``: where he wrote it instead (``life.Evidence``);
    that he has proved who he is, by the code, by a sealed address or by his own number, is the caller's to see to.
    ``citizen_id``: who is speaking; BadInput "confirmation.not_theirs" if the appeal is not his, or not the callback's
    citizen's. BadInput without evidence (a call, and a key or a person who heard it; or a writing).
    """
    before = history.standing_by_number(conn, number)
    if attempt_id:
        asked = conn.execute(_BY_ID, {"id": attempt_id}).one_or_none()
        if asked is None:
            raise NotFound("attempt.unknown")
        linkedid = linkedid or asked.linkedid or attempt_id
        if asked.citizen_id != before.citizen_id:
            raise BadInput("confirmation.not_theirs")
    if citizen_id is not None and citizen_id != before.citizen_id:
        raise BadInput("confirmation.not_theirs")
    if linkedid:
        texts.linkedid(linkedid)
    evidence = life.check_evidence(Evidence(linkedid, texts.line(key, 4), staff_id, attempt_id or "",
                                            texts.line(written, 220)))  # fmt: skip
    kept = history.evidence_of(evidence, result.value)
    if _last_word(conn, before.id) != kept:
        action = Action.CONFIRM if result is Result.SOLVED else Action.NOT_SOLVED
        if action not in life.possible(before.state):
            action = Action.HEAR
        returned = {"acknowledged_at": None} if action is Action.NOT_SOLVED else {}
        history.move(conn, before, action, now=now, staff_id=staff_id, note=texts.text(note, appeals.LONGEST_NOTE),
                     evidence=kept, **returned)
        questions.answered(conn, before.id, result.value, now)
        if linkedid:
            calls.about(conn, linkedid, before.id, calls.Outcome.CONFIRMED, staff_id, now)
    return appeals.get(conn, before.id)


def _last_word(conn: Connection, appeal_id: int) -> dict[str, Any] | None:
    """The evidence of the latest line of the appeal's history."""
    word: dict[str, Any] | None = _LAST_WORD.value(conn, {"appeal": appeal_id})
    return word


def finish(conn: Connection, attempt_id: str, reached: Reached, now: dt.datetime, *, rules: Rules,
           linkedid: str = "") -> Next | None:
    """Ends an attempt and decides what follows; None when it had ended already: nothing changes.

    Appeals that were not answered are tried again, or given up and unconfirmed. NotFound for no
    such attempt.
    """
    row = _held(conn, attempt_id)
    if row.ended_at is not None:
        return None
    linkedid = linkedid or row.linkedid or attempt_id
    _ATTEMPTED(conn, {"of": attempt_id, "ended_at": now, "outcome": reached.value,
                      "linkedid": texts.linkedid(linkedid)})  # fmt: skip
    calls.settle_by_itself(conn, linkedid, calls.Outcome.CONFIRMED, row.staff_id, now)
    if reached is Reached.WRONG_NUMBER:
        citizens.mark_wrong_number(conn, row.citizen_id, row.e164)
    elif reached is Reached.DO_NOT_CALL:
        citizens.do_not_call(conn, row.citizen_id, row.e164)
    held = _claimed(rules.prefixes)(conn, {"id": row.callback_id})[0]
    if held.state != "calling":  # his last answer ended it during the call
        return Next.DONE
    if reached is Reached.NOT_PLACED:
        questions.not_tried(conn, row.callback_id)
    unanswered = questions.open_tries(conn, row.callback_id)
    step = next_step(reached, mode=Mode(row.mode), unanswered=unanswered.values(), now=now, rules=rules,
                     other_contact=held.e164 is not None, window=window_of(held.call_from, held.call_to, rules))
    if step.at is None:
        _end(conn, row.callback_id, step.next, reached.value, attempt_id, now)
        return step.next
    if step.next is Next.RETRY:  # an appeal that joined later may have tries left when others have none
        for appeal_id in (appeal_id for appeal_id, tries in unanswered.items() if spent(tries, rules)):
            questions.give_up(conn, row.callback_id, appeal_id, reached.value, attempt_id, now)
    changes = {"state": "due", "due_at": step.at, **({"mode": Mode.LIVE.value} if step.next is Next.LIVE else {})}
    _CALLBACK(conn, {"of": row.callback_id, **changes})
    return step.next


def left(conn: Connection, attempt_id: str, now: dt.datetime, *, rules: Rules) -> Next | None:
    """The attempt is on no line any more: ends it if by the rules nobody else will (``left_open``), as ``finish``.

    None when nothing changed, for an unknown attempt too.
    """
    row = conn.execute(_ATTEMPT.add_columns(call.c.queued_at).join(call, call.c.linkedid == attempt.c.id, isouter=True)
                       .where(attempt.c.id == attempt_id, attempt.c.ended_at.is_(None))).one_or_none()  # fmt: skip
    if row is None:
        return None
    reached = left_open(mode=Mode(row.mode), placed_at=row.placed_at, answered_at=row.answered_at,
                        queued=row.queued_at is not None, now=now, rules=rules)  # fmt: skip
    return finish(conn, attempt_id, reached, now, rules=rules) if reached else None


def _end(conn: Connection, callback_id: int, how: Next, reached: str, attempt_id: str, now: dt.datetime) -> None:
    """Ends a callback: done, or given up with all the appeals that are still unanswered."""
    for appeal_id in questions.open_tries(conn, callback_id):
        questions.give_up(conn, callback_id, appeal_id, reached, attempt_id, now)
    questions.end(conn, callback_id, "done" if how is Next.DONE else "given_up", now)


def open_attempts(conn: Connection) -> list[Attempt]:
    """Attempts with no end, oldest first: on the line now, or left by a crash."""
    return _attempts(conn.execute(_ATTEMPT.where(attempt.c.ended_at.is_(None)).order_by(attempt.c.placed_at)))


def placed_last_hour(conn: Connection, now: dt.datetime) -> int:
    """How many attempts were placed in the hour before ``now``; not those that Asterisk did not take."""
    return int(_PLACED.value(conn, {"since": now - dt.timedelta(hours=1)}))


def pending_for(conn: Connection, e164: str) -> Pending | None:
    """What the caller from this number is to be asked; None if nothing. One query.

    Of a shared number, whoever has something awaiting his word comes first; then who used it last.
    """
    rows = _PENDING(conn, {"e164": e164}) if e164 else []
    if not rows:
        return None
    first = rows[0]
    asked = [row for row in rows if row.citizen_id == first.citizen_id]
    return Pending(first.citizen_id, first.name, first.callback_id, tuple(Question(*row[4:]) for row in asked))


def counts(conn: Connection, now: dt.datetime) -> tuple[int, int]:
    """(due now, being called)."""
    states = select(func.count()).select_from(callback)
    waiting = conn.execute(states.where(callback.c.state == "due", callback.c.due_at <= now)).scalar_one()
    calling = conn.execute(states.where(callback.c.state == "calling")).scalar_one()
    return int(waiting), int(calling)
