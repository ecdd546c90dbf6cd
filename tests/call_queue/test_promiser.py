"""Promised callbacks as they are placed: who is next, committed first, dialled once, one line with who waits on the
telephone; on both databases."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest
from sqlalchemy import select

from call_queue import events as ev
from call_queue import order
from call_queue.ami import Ami, AmiError, NotSent, Unanswered
from call_queue.outbound import Outbound
from call_queue.promiser import Promiser
from call_queue.recorder import Recorder
from call_queue.room import WaitingRoom
from call_queue.tracker import TrunkState
from crm import promises
from crm.confirmation_rules import Reached
from crm.promise_rules import Reason, Rules, State
from crm.promises import Promise
from crm.schema import attempt
from crm.store import Database, Writer
from tests.call_queue.conftest import LANDLINE, LIMIT, MOBILE, NOON, Exchange

HOMES = ("+380671112233", "+380672223344", "+380673334455")
CALL = "1764000000.1"


class Watched(Promiser):
    """Says when a round is over."""

    passed: asyncio.Event

    async def _pass(self) -> None:
        await super()._pass()
        self.passed.set()


class Centre:
    """A promiser and a waiting room between a database and an AMI that only writes down what it is asked."""

    up = True

    def __init__(self, db: Database, exchange: Exchange) -> None:
        self.db, self.exchange, self.writer = db, exchange, Writer(db)
        self.believed = True
        self.rules = Rules(lines=3)
        self.lines = 3
        self.asked: list[dict[str, Any]] = []
        self.error: AmiError | None = None
        self.recorder = Recorder(self.writer, lambda event: None, {})
        self.restarted()

    def restarted(self) -> None:
        """Another process, that knows what is on record and what Asterisk tells it."""
        tracker = self.exchange.tracker
        self.room = WaitingRoom(tracker, lambda: self.believed, 10, promises=lambda: self.promiser.waiting())
        out = Outbound(cast(Ami, self), tracker, [LANDLINE, MOBILE], lambda: self.believed)
        self.promiser = Watched(
            self.db, self.writer, out, tracker, self.rules, order.Rules(), prefixes=["+380"], own_number="1551",
            line=self.room.line, handled_s=lambda: 180.0, clock=lambda: self.now, lines=lambda: self.lines)  # fmt: skip
        self.promiser.passed = asyncio.Event()

    @property
    def now(self) -> dt.datetime:
        return NOON + dt.timedelta(seconds=self.exchange.now)

    async def ask(self, action: str, headers: Mapping[str, Any], *, action_id: str) -> dict[str, str]:
        assert (action, headers["ChannelId"]) == ("Originate", action_id)
        with self.db.read() as conn:
            on_record = {one.id for one in promises.open_attempts(conn)}
        assert action_id in on_record, "dialled before it was committed"
        self.asked.append(dict(headers))
        if self.error is not None:
            raise self.error
        return {}

    # ── what happens ──
    def promised(self, *phones: str, reason: Reason = Reason.WAITING) -> list[Promise]:
        """Each of these waits, the first one longest."""
        made = []
        with self.db.write() as conn:
            for minutes, phone in zip(range(len(phones), 0, -1), phones, strict=True):
                made.append(promises.make(conn, e164=phone, reason=reason, now=self.now, rules=self.rules,
                                          since=self.now - dt.timedelta(minutes=minutes)))  # fmt: skip
        return [one for one in made if one]

    async def look(self) -> None:
        """The promiser begins and has looked once."""
        self.promiser.passed.clear()
        running = asyncio.create_task(self.promiser.run())
        await asyncio.wait_for(self.promiser.passed.wait(), LIMIT)
        running.cancel()
        await asyncio.wait([running])
        await self.written()

    async def written(self) -> None:
        await asyncio.wrap_future(self.writer.submit(lambda conn: None))

    async def hear(self) -> None:
        """What the exchange told since is kept, and the promiser hears of it, as in the line."""
        for event in self.exchange.heard:
            match event:
                case ev.ChannelEnded():
                    self.promiser.hung_up(event)
                case ev.Originated():
                    self.promiser.originated(event)
        for change in self.exchange.told:
            self.recorder.take(change)
            self.promiser.take(change)
        self.exchange.heard.clear()
        self.exchange.told.clear()
        await self.written()

    async def rings(self, placed: Any) -> None:
        self.exchange.apply(ev.ChannelBegan(self.now, placed.id, placed.id, LANDLINE, "1551", "s"))
        await self.hear()

    async def picks_up(self, placed: Any) -> None:
        self.exchange.apply(ev.ChannelAnswered(self.now, placed.id, placed.id, LANDLINE))
        await self.hear()

    async def hangs_up(self, placed: Any, cause: int = 16) -> None:
        self.exchange.apply(ev.ChannelEnded(self.now, placed.id, placed.id, LANDLINE, cause))
        await self.hear()

    # ── what is on record ──
    def attempts(self) -> list[Any]:
        with self.db.read() as conn:
            return list(conn.execute(select(attempt).order_by(attempt.c.placed_at, attempt.c.e164)))

    def get(self, made: Promise) -> Promise:
        with self.db.read() as conn:
            return promises.get(conn, made.id)


@pytest.fixture
async def centre(db: Database, exchange: Exchange) -> AsyncIterator[Centre]:
    one = Centre(db, exchange)
    yield one
    one.writer.close()


@pytest.fixture
def seat(centre: Centre) -> None:
    """One seat, and it is free."""
    centre.exchange.log_in("101")


def dialled(centre: Centre) -> list[str]:
    return [headers["Channel"].removeprefix("PJSIP/").partition("@")[0] for headers in centre.asked]


# ── who, and when ──
async def test_who_has_waited_longest_is_called_and_brought_to_the_queue(centre: Centre, seat: None) -> None:
    centre.promised(*HOMES[:1])
    await centre.look()
    (placed,) = centre.attempts()
    (headers,) = centre.asked
    assert (headers["Channel"], headers["Context"]) == (f"PJSIP/{HOMES[0]}@trunk-landline", "callback-promise")
    assert headers["ChannelId"] == placed.id
    assert headers["CallerID"] == "1551"


async def test_nobody_is_called_while_nobody_can_speak_with_him(centre: Centre) -> None:
    centre.promised(*HOMES)
    await centre.look()
    assert centre.asked == []
    assert [one.key for one in centre.room.line() if not one.live], "they stand in the line all the same"


async def test_as_many_are_called_as_seats_will_be_free_the_longest_waiting_first(centre: Centre, seat: None) -> None:
    centre.promised(*HOMES)
    await centre.look()
    assert dialled(centre) == list(HOMES[:2]), "one seat is free, and one more may be soon"
    await centre.look()
    assert len(centre.asked) == 2, "they are being called: a seat each is spoken for"


async def test_who_waits_on_the_telephone_and_came_sooner_stands_before(centre: Centre) -> None:
    for uid in ("1764000000.8", "1764000000.9"):
        centre.exchange.arrive(uid)
        centre.exchange.join(uid)
    centre.exchange.later(600)
    centre.promised(HOMES[0])  # a minute ago
    centre.exchange.log_in("101")
    await centre.look()
    assert centre.asked == []
    assert [one.live for one in centre.room.line()] == [True, True, False]


@pytest.mark.parametrize("why", ["night", "out_of_step", "trunks_down", "limit", "on_the_line"])
async def test_nobody_is_called_when_it_must_not_be(centre: Centre, seat: None, why: str) -> None:
    centre.promised(HOMES[0])
    match why:
        case "night":
            centre.exchange.later(12 * 3600)
        case "out_of_step":
            centre.believed = False
        case "trunks_down":
            for name in (LANDLINE, MOBILE):
                centre.exchange.tracker.trunks[name].state = TrunkState.DOWN
        case "limit":
            centre.lines = 0
        case "on_the_line":
            centre.exchange.arrive(CALL, caller="0671112233")
    await centre.look()
    assert centre.asked == []


async def test_who_is_to_be_asked_by_the_machine_needs_no_seat_but_a_line(centre: Centre) -> None:
    centre.promised(*HOMES, reason=Reason.INCIDENT)
    centre.lines = 2
    await centre.look()
    assert dialled(centre) == list(HOMES[:2])
    assert centre.room.line() == []


# ── once ──
async def test_it_is_placed_once_however_often_we_look_and_begin_anew(centre: Centre, seat: None) -> None:
    centre.promised(HOMES[0])
    await centre.look()
    for _ in range(3):
        centre.restarted()
        await centre.look()
    assert len(centre.asked) == 1


async def test_what_asterisk_does_not_take_is_no_try_and_is_placed_later(centre: Centre, seat: None) -> None:
    made = centre.promised(*HOMES[:2])[0]
    centre.error = NotSent("gone")
    await centre.look()
    assert len(centre.asked) == 1, "and no other one meanwhile"
    assert (centre.get(made).tries, centre.get(made).state) == (0, State.WAITING)
    centre.error = None
    await centre.look()
    assert dialled(centre)[1:] == list(HOMES[:2])


async def test_what_may_have_been_dialled_is_not_dialled_again_while_it_may_ring(centre: Centre, seat: None) -> None:
    made = centre.promised(HOMES[0])[0]
    centre.error = Unanswered("late")
    await centre.look()
    centre.error = None
    await centre.look()
    assert len(centre.asked) == 1
    centre.exchange.later(2 * centre.rules.ring_s + 1)
    centre.restarted()
    await centre.look()
    assert (centre.attempts()[0].outcome, centre.get(made).state) == (Reached.UNKNOWN, State.WAITING)


async def test_a_call_that_lives_is_believed_after_a_restart(centre: Centre, seat: None) -> None:
    """Killed as it rings: the channel is there, and nobody else is called in his place."""
    centre.promised(HOMES[0])
    await centre.look()
    (placed,) = centre.attempts()
    await centre.rings(placed)
    centre.restarted()
    centre.exchange.later(10 * centre.rules.ring_s)
    await centre.look()
    assert centre.attempts()[0].ended_at is None
    assert centre.exchange.tracker.calls[placed.id].caller == HOMES[0], "the seat will see who it is"
    assert len(centre.asked) == 1


# ── what came of it ──
@pytest.mark.parametrize(("cause", "outcome"), [(17, Reached.BUSY), (19, Reached.NO_ANSWER), (16, Reached.NO_ANSWER),
                                                (34, Reached.FAILED)])  # fmt: skip
async def test_not_reached_he_waits_for_the_next_try(centre: Centre, seat: None, cause: int, outcome: Reached) -> None:
    made = centre.promised(HOMES[0])[0]
    await centre.look()
    (placed,) = centre.attempts()
    await centre.rings(placed)
    await centre.hangs_up(placed, cause)
    assert centre.attempts()[0].outcome == outcome
    assert centre.get(made).due_at == centre.now + dt.timedelta(seconds=centre.rules.retry_s)
    await centre.look()
    assert len(centre.asked) == 1
    assert centre.room.line() == [], "while he may not be called he keeps nobody waiting"


async def test_an_originate_that_failed_without_a_channel_is_over(centre: Centre, seat: None) -> None:
    centre.promised(HOMES[0])
    await centre.look()
    (placed,) = centre.attempts()
    centre.promiser.originated(ev.Originated(centre.now, placed.id, placed.id, False, 0))
    await centre.written()
    assert centre.attempts()[0].outcome == Reached.FAILED


async def test_a_seat_that_answers_keeps_the_promise(centre: Centre, seat: None) -> None:
    made = centre.promised(HOMES[0])[0]
    await centre.look()
    (placed,) = centre.attempts()
    await centre.rings(placed)
    assert [one.calling for one in centre.room.line()] == [True]
    await centre.picks_up(placed)
    assert centre.attempts()[0].answered_at is not None
    centre.room.enter(placed.id, centre.now, since=made.since, promised=True)
    assert [(one.key, one.live) for one in centre.room.line()] == [(placed.id, True)], "he stands in it once"
    centre.exchange.join(placed.id)
    centre.exchange.ring(placed.id, "101", "1764000000.77")
    centre.exchange.answer(placed.id, "101", "1764000000.77")
    await centre.hear()
    assert centre.get(made).state is State.KEPT
    await centre.hangs_up(placed)
    assert centre.attempts()[0].outcome == Reached.ANSWERED


async def test_who_gives_up_in_the_queue_is_promised_a_call_and_called(centre: Centre) -> None:
    centre.exchange.arrive(CALL, caller="0671112233")
    centre.exchange.join(CALL)
    await centre.hear()
    centre.exchange.later(60)
    centre.exchange.hang_up(CALL)
    centre.exchange.abandon(CALL)
    centre.exchange.end(CALL)
    await centre.hear()
    with centre.db.read() as conn:
        (made,) = promises.open_ones(conn)
    assert (made.e164, made.reason, made.since) == (HOMES[0], Reason.ABANDONED, NOON)
    centre.exchange.log_in("101")
    await centre.look()
    assert dialled(centre) == [HOMES[0]]


async def test_what_is_not_kept_in_its_time_is_over(centre: Centre) -> None:
    made = centre.promised(HOMES[0])[0]
    centre.exchange.later(centre.rules.valid_s)
    await centre.look()
    assert centre.get(made).state is State.EXPIRED
