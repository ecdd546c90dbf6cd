"""Promised callbacks on record: made once a number, called once at a time, kept, met, over; on both databases."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, update

from crm import calls, citizens, clock, confirmations, notices, promises
from crm.calls import Direction, EndCause, Priority
from crm.confirmation_rules import Reached
from crm.errors import BadInput, CentreError, NotFound
from crm.promise_rules import Reason, Rules, State
from crm.promises import Attempt, Promise
from crm.schema import attempt, callback, promise
from crm.store import Database
from tests.crm.conftest import NOON, PHONE, SECOND_PHONE, City, found_city

STRANGER = "+380509998877"
CALL, LATER_CALL = "1764000000.1", "1764000000.2"


@dataclass
class Records:
    """Promises in one transaction, at a time that passes when we say so."""

    conn: Connection
    city: City
    rules: Rules = field(default_factory=Rules)
    now: dt.datetime = NOON

    def make(self, e164: str = STRANGER, reason: Reason = Reason.WAITING, **given: Any) -> Promise:
        made = promises.make(self.conn, e164=e164, reason=reason, now=self.now, rules=self.rules, **given)
        assert made is not None
        return made

    def claim(self, one: Promise) -> Attempt:
        return promises.claim(self.conn, one.id, now=self.now, rules=self.rules)

    def finish(self, one: Attempt, reached: Reached) -> None:
        promises.finish(self.conn, one.id, reached, self.now, rules=self.rules)

    def settle(self, *on_line: str) -> None:
        promises.settle(self.conn, self.now, rules=self.rules, on_line=on_line)

    def get(self, one: Promise) -> Promise:
        return promises.get(self.conn, one.id)

    def attempt(self, one: Attempt) -> Any:
        return self.conn.execute(select(attempt).where(attempt.c.id == one.id)).one()

    def call(self, linkedid: str, caller: str = STRANGER, *, waited_s: float | None = None, seated: bool = False,
             end: EndCause | None = None, direction: Direction = Direction.IN, origin: str = "mobile") -> None:
        """On record: it came, waited, a seat took it, it ended."""
        calls.arrived(self.conn, linkedid, at=self.now, origin=origin, caller=caller, direction=direction)
        if waited_s is not None:
            calls.queued(self.conn, linkedid, self.now, "city")
            self.later(seconds=waited_s)
        if seated:
            calls.answered(self.conn, linkedid, "101", self.now)
        if end:
            calls.ended(self.conn, linkedid, self.now, end, waited_s)

    def abandoned(self, linkedid: str = CALL) -> Promise | None:
        def turn(since: dt.datetime, priority: Priority) -> dt.datetime:
            return since

        return promises.abandoned(self.conn, linkedid, self.now, turn=turn, rules=self.rules, prefixes=["+380"])

    def later(self, **by: float) -> None:
        self.now += dt.timedelta(**by)


@pytest.fixture
def records(db: Database) -> Iterator[Records]:
    with db.write() as conn:
        yield Records(conn, found_city(conn))


# ── made ──
def test_a_second_promise_of_a_number_meets_the_first_and_keeps_its_turn(records: Records) -> None:
    first = records.make(turn=NOON - dt.timedelta(minutes=5), since=NOON - dt.timedelta(minutes=5))
    records.later(minutes=10)
    told = records.now + dt.timedelta(hours=1)
    second = records.make(told_at=told)
    assert second.id == first.id
    assert second.turn == first.turn
    assert second.told_at == told, "what he was told last is what we owe"
    assert len(promises.open_ones(records.conn)) == 1


def test_they_are_called_in_the_order_of_their_turns(records: Records) -> None:
    late = records.make(PHONE, turn=NOON - dt.timedelta(minutes=1))
    early = records.make(SECOND_PHONE, turn=NOON - dt.timedelta(minutes=9))
    assert [one.id for one in promises.open_ones(records.conn)] == [early.id, late.id]


def test_outside_the_hours_it_is_due_when_they_begin(records: Records) -> None:
    records.now = dt.datetime(2026, 11, 24, 23, 0, tzinfo=clock.KYIV)
    made = records.make(reason=Reason.CLOSED)
    assert made.due_at == dt.datetime(2026, 11, 25, 8, 0, tzinfo=clock.KYIV)
    with pytest.raises(BadInput, match=r"promise\.not_due"):
        records.claim(made)


def test_without_a_number_nothing_is_promised(records: Records) -> None:
    with pytest.raises(BadInput):
        records.make("")


# ── who gave up ──
def test_who_gives_up_after_a_while_is_promised_a_call_and_stands_where_he_stood(records: Records) -> None:
    records.call(CALL, waited_s=30, end=EndCause.ABANDONED)
    made = records.abandoned()
    assert made is not None
    assert (made.reason, made.since, made.e164, made.told_at) == (Reason.ABANDONED, NOON, STRANGER, None)


@pytest.mark.parametrize("why_not", ["soon", "answered", "took_it", "hidden", "foreign", "seat", "silenced", "off",
                                     "do_not_call"])
def test_not_everybody_who_gives_up_is_called(records: Records, why_not: str) -> None:
    waited, end = (9.0 if why_not == "soon" else 30.0), EndCause.ABANDONED
    caller = {"hidden": "", "foreign": "+48221234567", "do_not_call": PHONE}.get(why_not, STRANGER)
    if why_not == "silenced":
        promises.silence(records.conn, STRANGER, NOON)
    if why_not == "do_not_call":
        citizens.do_not_call(records.conn, records.city.citizen, PHONE)
    if why_not == "off":
        records.rules = Rules(abandoned_s=0)
    if why_not == "answered":
        end = EndCause.COMPLETED
    records.call(CALL, caller, waited_s=waited, origin="seat" if why_not == "seat" else "mobile",
                 seated=why_not == "answered")  # fmt: skip
    if why_not == "took_it":
        records.make(linkedid=CALL)
    calls.ended(records.conn, CALL, records.now, end, waited)
    assert records.abandoned() is None


def test_the_call_of_who_takes_a_callback_ends_with_that(records: Records) -> None:
    records.call(CALL, waited_s=70)
    records.make(linkedid=CALL)
    calls.ended(records.conn, CALL, records.now, EndCause.ABANDONED, 70)
    his = calls.get(records.conn, CALL)
    assert his is not None
    assert his.end_cause == EndCause.PROMISED


# ── called ──
def test_called_he_is_not_called_again_while_the_attempt_is_open(records: Records) -> None:
    made = records.make()
    placed = records.claim(made)
    assert placed.id.startswith("pr-")
    assert records.get(made).state is State.CALLING
    with pytest.raises(BadInput, match=r"promise\.not_open"):
        records.claim(made)


def test_not_reached_he_is_tried_again_and_in_the_end_told(records: Records) -> None:
    made = records.make()
    for tries in range(1, records.rules.tries + 1):
        records.finish(records.claim(made), Reached.NO_ANSWER)
        assert records.get(made).tries == tries
        records.later(seconds=records.rules.retry_s)
    over = records.get(made)
    assert over.state is State.UNREACHED
    assert over.ended_at is not None
    (told,) = promises.to_tell(records.conn)
    assert told.e164 == STRANGER
    notices.told(records.conn, told.id, staff_id=records.city.operator, now=records.now)
    assert promises.to_tell(records.conn) == []


def test_a_call_that_nobody_placed_is_no_try(records: Records) -> None:
    made = records.make()
    records.finish(records.claim(made), Reached.NOT_PLACED)
    assert (records.get(made).tries, records.get(made).state) == (0, State.WAITING)
    records.claim(made)  # at once


def test_the_hourly_cap_is_its_own(records: Records) -> None:
    records.rules = Rules(hourly_cap=1)
    records.finish(records.claim(records.make()), Reached.BUSY)
    with pytest.raises(BadInput, match=r"callback\.hourly_cap"):
        records.claim(records.make(SECOND_PHONE))
    assert confirmations.placed_last_hour(records.conn, records.now) == 0


def test_a_number_that_a_confirmation_rings_is_not_rung_by_a_promise_nor_the_other_way_round(records: Records) -> None:
    city, made = records.city, records.make(PHONE)
    city.executed()
    ringing = records.claim(made)
    with pytest.raises(BadInput, match=r"callback\.calling"):
        city.claim()
    records.finish(ringing, Reached.NO_ANSWER)
    confirming = city.claim()
    records.later(seconds=records.rules.retry_s)
    with pytest.raises(BadInput, match=r"callback\.calling"):
        records.claim(made)
    calls.arrived(records.conn, confirming.id, at=NOON, origin="centre", caller=PHONE, direction=Direction.OUT)
    calls.ended(records.conn, confirming.id, records.now, EndCause.COMPLETED)
    records.claim(made)  # the call is over, though nobody has written down yet what came of it
    assert [one.id for one in confirmations.open_attempts(records.conn)] == [confirming.id]


# ── what came of a call ──
def test_kept_is_what_a_seat_answered(records: Records) -> None:
    made = records.make()
    placed = records.claim(made)
    records.call(placed.id, direction=Direction.OUT, origin="centre", waited_s=5)
    promises.answered(records.conn, placed.id, records.now)
    records.settle(placed.id)
    assert records.get(made).state is State.CALLING, "he is in the queue"
    calls.answered(records.conn, placed.id, "101", records.now)
    records.settle(placed.id)
    assert records.get(made).state is State.KEPT
    calls.ended(records.conn, placed.id, records.now, EndCause.COMPLETED)
    records.settle()
    assert records.attempt(placed).outcome == Reached.ANSWERED
    assert records.get(made).state is State.KEPT


def test_who_hangs_up_before_a_seat_has_him_is_called_again(records: Records) -> None:
    made = records.make()
    placed = records.claim(made)
    promises.answered(records.conn, placed.id, records.now)
    records.call(placed.id, direction=Direction.OUT, origin="centre", waited_s=5, end=EndCause.ABANDONED)
    records.settle()
    assert (records.get(made).state, records.attempt(placed).outcome) == (State.WAITING, Reached.PERSON)


def test_a_call_that_was_lost_waits_for_queue_log(records: Records) -> None:
    """A seat may have had him while nobody watched: then he is not called again."""
    made = records.make()
    placed = records.claim(made)
    promises.answered(records.conn, placed.id, records.now)
    records.call(placed.id, direction=Direction.OUT, origin="centre", waited_s=5, end=EndCause.LOST)
    records.settle()
    assert records.attempt(placed).ended_at is None
    calls.answered(records.conn, placed.id, "101", records.now)
    records.settle()
    assert (records.get(made).state, records.attempt(placed).outcome) == (State.KEPT, Reached.ANSWERED)


def test_an_attempt_that_was_never_dialled_is_over_when_it_can_ring_no_longer(records: Records) -> None:
    made = records.make()
    placed = records.claim(made)
    records.settle()
    assert records.attempt(placed).ended_at is None
    records.later(seconds=2 * records.rules.ring_s + 1)
    records.settle(placed.id)
    assert records.attempt(placed).ended_at is None, "it is on the line"
    records.settle()
    assert (records.attempt(placed).outcome, records.get(made).state) == (Reached.UNKNOWN, State.WAITING)


# ── he calls himself ──
def test_his_own_call_takes_his_place_and_he_is_not_called_meanwhile(records: Records) -> None:
    made = records.make()
    records.call(CALL, waited_s=5)
    assert promises.meet(records.conn, made.id, CALL, records.now)
    with pytest.raises(BadInput, match=r"promise\.met"):
        records.claim(made)
    records.settle(CALL)
    assert records.get(made).met_by == CALL


def test_a_seat_that_answers_his_own_call_keeps_the_promise(records: Records) -> None:
    made = records.make()
    records.call(CALL, waited_s=5)
    promises.meet(records.conn, made.id, CALL, records.now)
    calls.answered(records.conn, CALL, "101", records.now)
    records.settle(CALL)
    assert records.get(made).state is State.KEPT
    assert not promises.meet(records.conn, made.id, LATER_CALL, records.now)


def test_if_he_hangs_up_the_promise_is_free_again(records: Records) -> None:
    made = records.make()
    records.call(CALL, waited_s=5)
    promises.meet(records.conn, made.id, CALL, records.now)
    calls.ended(records.conn, CALL, records.now, EndCause.ABANDONED, 5)
    records.settle()
    assert records.get(made).met_by == ""
    records.claim(made)


def test_he_calls_us_as_we_call_him(records: Records) -> None:
    """Our call finds his line busy: that is no failure, and he is not told that he was not reached."""
    records.rules = Rules(tries=1)
    made = records.make()
    placed = records.claim(made)
    promises.meet(records.conn, made.id, CALL, records.now)
    records.finish(placed, Reached.BUSY)
    assert records.get(made).state is State.WAITING
    assert promises.to_tell(records.conn) == []


# ── over ──
def test_what_is_not_kept_in_its_time_expires_and_he_is_told(records: Records) -> None:
    made, met = records.make(), records.make(SECOND_PHONE)
    promises.meet(records.conn, met.id, CALL, records.now)
    records.later(seconds=records.rules.valid_s)
    assert promises.expire(records.conn, records.now) == 1
    assert records.get(made).state is State.EXPIRED
    assert records.get(met).state is State.WAITING, "he is on the line"
    assert [one.e164 for one in promises.to_tell(records.conn)] == [STRANGER]


def test_a_number_that_asked_for_silence_is_promised_nothing_until_it_asks(records: Records) -> None:
    made = records.make()
    records.finish(records.claim(made), Reached.DO_NOT_CALL)
    assert records.get(made).state is State.WITHDRAWN
    assert promises.is_silenced(records.conn, STRANGER)
    for reason in (Reason.ABANDONED, Reason.INCIDENT):
        assert promises.make(records.conn, e164=STRANGER, reason=reason, now=NOON, rules=records.rules) is None
    records.make()
    assert not promises.is_silenced(records.conn, STRANGER)


def test_silence_ends_what_is_open(records: Records) -> None:
    made = records.make()
    promises.silence(records.conn, STRANGER, NOON)
    assert records.get(made).state is State.WITHDRAWN


def test_a_person_may_end_one_and_says_why(records: Records) -> None:
    made, staff = records.make(), records.city.operator
    with pytest.raises(BadInput, match=r"promise\.no_reason"):
        promises.withdraw(records.conn, made.id, reason=" ", staff_id=staff, now=NOON)
    promises.withdraw(records.conn, made.id, reason="помилковий номер", staff_id=staff, now=NOON)
    assert records.get(made).state is State.WITHDRAWN
    with pytest.raises(BadInput, match=r"promise\.not_open"):
        promises.withdraw(records.conn, made.id, reason="ще раз", staff_id=staff, now=NOON)
    with pytest.raises(NotFound):
        promises.withdraw(records.conn, 999, reason="нема", staff_id=staff, now=NOON)


def test_figures(records: Records) -> None:
    kept, late, unreached = (records.make(f"+38050111223{n}", told_at=NOON) for n in range(3))
    for one in (kept, late):
        records.claim(one)
        promises.keep(records.conn, one.id, records.now)
        records.later(hours=1)
    records.rules = Rules(tries=1)
    records.finish(records.claim(unreached), Reached.NO_ANSWER)
    made = promises.kept_since(records.conn, NOON)
    assert (made.made, made.kept, made.late, made.unreached, made.expired) == (3, 2, 1, 1, 0)


# ── two of us ──
def test_two_instances_never_dial_one_citizen(postgres_url: str) -> None:
    """Two processes claim what rings one number, a promise and a confirmation, at the same moment, again and again."""
    dbs = [Database(postgres_url), Database(postgres_url)]
    try:
        with dbs[0].write() as conn:
            city = found_city(conn)
            city.executed()
            made = promises.make(conn, e164=PHONE, reason=Reason.WAITING, now=NOON, rules=Rules())
            assert made is not None
        callback_id = city_callback(dbs[0])
        won = {"promise": 0, "confirmation": 0}
        for _ in range(20):
            ready = threading.Barrier(2)
            at_once: list[str] = []

            def rings(db: Database, which: str, ready: threading.Barrier = ready,
                      at_once: list[str] = at_once) -> None:  # fmt: skip
                with db.write() as conn:
                    ready.wait()
                    try:
                        if which == "promise":
                            promises.claim(conn, made.id, now=NOON, rules=Rules())
                        else:
                            confirmations.claim(conn, callback_id, now=NOON, rules=city.rules, seat="101")
                        at_once.append(which)
                    except CentreError:
                        conn.rollback()

            both = [threading.Thread(target=rings, args=(db, which)) for db, which in zip(dbs, won, strict=True)]
            for one in both:
                one.start()
            for one in both:
                one.join(30)
            with dbs[0].write() as conn:
                assert len(at_once) == 1, "one of them, and only one"
                assert conn.execute(select(func.count()).where(attempt.c.ended_at.is_(None))).scalar() == 1
                won[at_once[0]] += 1
                again(conn, made.id, callback_id)
    finally:
        for db in dbs:
            db.close()


def city_callback(db: Database) -> int:
    with db.read() as conn:
        return int(conn.execute(select(callback.c.id)).scalar_one())


def again(conn: Connection, promise_id: int, callback_id: int) -> None:
    """As if nobody had called yet."""
    conn.execute(update(attempt).values(ended_at=NOON, outcome="not_placed"))
    conn.execute(update(promise).where(promise.c.id == promise_id).values(state="waiting"))
    conn.execute(update(callback).where(callback.c.id == callback_id).values(state="due"))


def test_two_who_promise_one_number_at_once_make_one_promise(postgres_url: str) -> None:
    dbs = [Database(postgres_url), Database(postgres_url)]
    ready = threading.Barrier(2)

    def make(db: Database, minutes: int) -> None:
        with db.write() as conn:
            ready.wait()
            promises.make(conn, e164=STRANGER, reason=Reason.WAITING, now=NOON, rules=Rules(),
                          turn=NOON - dt.timedelta(minutes=minutes))  # fmt: skip

    both = [threading.Thread(target=make, args=(db, at)) for at, db in enumerate(dbs)]
    for one in both:
        one.start()
    for one in both:
        one.join(30)
    with dbs[0].read() as conn:
        (made,) = promises.open_ones(conn)
    for db in dbs:
        db.close()
    assert made.turn == NOON - dt.timedelta(minutes=1)
