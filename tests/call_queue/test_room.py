"""Where a caller waits next, for how long, and what he is told; against a tracker that hears an exchange."""

from __future__ import annotations

import datetime as dt

import pytest

from call_queue import events as ev
from call_queue import order
from call_queue.order import Waiting
from call_queue.room import NEAR_S, SLICE_S, Slice, WaitingRoom
from crm import promise_rules
from crm.calls import Priority, Skill
from tests.call_queue.conftest import INTERFACES, NOON, Exchange, at

A, B, C, D = "17.1", "17.2", "17.3", "17.4"
ANNA, BORYS = 7, 8
RULES = order.Rules()
OFFERS = promise_rules.Rules(after_s=60, left_s=90, again_s=240)


class Room(WaitingRoom):
    """Told all that the exchange has told, and what time it is there."""

    def __init__(self, exchange: Exchange) -> None:
        self.believed, self.surge = True, False
        self.promised: list[Waiting] = []
        self.sits: dict[str, int | None] = {}
        self._exchange, self._heard = exchange, 0
        super().__init__(exchange.tracker, lambda: self.believed, 10, [50.0] * 20, staff=self.sits,
                         promises=lambda: self.promised, at_once=lambda: self.surge, offers=OFFERS)  # fmt: skip

    @property
    def now(self) -> dt.datetime:
        for change in self._exchange.told[self._heard :]:
            self.take(change)
        self._heard = len(self._exchange.told)
        return at(self._exchange.now)

    def comes(self, uid: str, priority: Priority = Priority.ORDINARY, *skills: Skill, known_to: int | None = None,
              since: dt.datetime | None = None, promised: bool = False) -> Slice:  # fmt: skip
        """He has pressed his key, and enters the queue that he is told."""
        if uid not in self._exchange.tracker.calls:
            self._exchange.arrive(uid)
        got = self.enter(uid, self.now, priority=priority, skills=skills, known_to=known_to, since=since,
                         promised=promised)  # fmt: skip
        self._exchange.join(uid, got.queue)
        return got

    def comes_again(self, uid: str, after_s: float, prio: int = 0, since: dt.datetime | None = None) -> Slice:
        """His slice is over after so many seconds, and he enters the next one."""
        self._exchange.later(after_s)
        call = self._exchange.tracker.calls.get(uid)
        if call and call.queue:
            self._exchange.abandon(uid, call.queue)
        got = self.again(uid, self.now, prio, since)
        self._exchange.join(uid, got.queue)
        return got

    def places(self) -> list[str]:
        return [one.key for one in self.line()]


@pytest.fixture
def room(exchange: Exchange) -> Room:
    return Room(exchange)


def logs_in(exchange: Exchange, number: str, *skills: str) -> None:
    for queue in order.queues_of(number, ("city",), skills):
        exchange.log_in(number, queue=queue)


def speaks(exchange: Exchange, uid: str, number: str, leg: str) -> None:
    queue = exchange.tracker.calls[uid].queue
    exchange.ring(uid, number, leg, queue)
    exchange.answer(uid, number, leg, queue)


# ── the line ──
def test_of_two_who_come_together_one_is_second(room: Room, exchange: Exchange) -> None:
    for uid in (A, B, C):
        exchange.arrive(uid)
    assert [room.enter(uid, room.now).place for uid in (A, B, A)] == [1, 2, 1]
    exchange.later(1).join(B)
    exchange.join(A)
    assert room.enter(C, room.now).place == 3


def test_who_hangs_up_takes_no_place(room: Room, exchange: Exchange) -> None:
    room.comes(A)
    exchange.arrive(B)
    exchange.later(1)
    room.enter(B, room.now)  # hears his place
    exchange.end(A)
    exchange.end(B)
    assert room.comes(C).place == 1


def test_who_had_hung_up_when_he_asked_takes_none_for_ever(room: Room, exchange: Exchange) -> None:
    """His hangup was heard over AMI before his question over FastAGI."""
    exchange.arrive(A)
    exchange.end(A)
    room.enter(A, room.now)
    assert room.comes(B).place == 1
    assert room.places() == [B]


def test_an_emergency_is_before_those_who_came_up_to_ten_minutes_earlier(room: Room, exchange: Exchange) -> None:
    room.comes(A)
    exchange.later(100)
    room.comes(B)
    exchange.later(RULES.head_start_s[Priority.EMERGENCY] - 50)
    assert room.comes(C, Priority.EMERGENCY).place == 2
    exchange.later(1)
    assert room.comes(D, Priority.PRIVILEGED).place == 4
    assert room.places() == [A, C, B, D]
    assert sorted((A, B, C, D), key=lambda uid: -room.comes_again(uid, 1).prio) == [A, C, B, D], "so has Asterisk them"


def test_who_listens_to_us_keeps_his_place(room: Room, exchange: Exchange) -> None:
    for uid in (A, B, C):
        room.comes(uid)
        exchange.later(1)
    exchange.abandon(A)
    assert (room.comes_again(B, 40).place, room.comes_again(A, 1).place, room.comes_again(C, 1).place) == (2, 1, 3)


def test_the_promised_stand_in_the_same_line(room: Room, exchange: Exchange) -> None:
    room.comes(A)
    room.promised = [Waiting("promise:1", at(5), live=False), Waiting("promise:2", at(25), live=False)]
    exchange.later(10)
    assert room.comes(B).place == 3
    assert room.places() == [A, "promise:1", B, "promise:2"]


def test_who_is_called_back_has_the_place_that_he_was_promised(room: Room, exchange: Exchange) -> None:
    room.comes(A)
    exchange.later(600)
    room.comes(B)
    exchange.arrive(C)
    assert room.comes(C, since=at(30), promised=True).place == 1
    exchange.arrive(D)
    assert room.comes(D, since=at(100)).place == 3


def test_a_restarted_line_knows_everybodys_turn_again(exchange: Exchange) -> None:
    """From QueueStatus, and from what the dialplan kept."""
    prios = {A: order.queue_prio(at(-600)), B: order.queue_prio(at(-5)), C: order.queue_prio(at(-300))}
    began = Room(exchange)
    exchange.tracker.adopt_queues(NOON, [ev.Waiting(NOON, uid, "", "city", "", None, 10, prios[uid]) for uid in (A, B)])
    assert began.places() == [A, B]
    exchange.arrive(C)  # between two slices
    again = began.comes_again(C, 1, prios[C], at(-120))
    assert (again.place, again.prio, again.queue) == (2, prios[C], "city")
    assert began.comes_again(B, 1, prios[B]).prio == prios[B]


# ── where, and for how long ──
def test_whoever_is_about_to_be_served_is_left_alone(room: Room, exchange: Exchange) -> None:
    exchange.log_in("101")
    got = [room.comes(uid) for uid in (A, B, C)]
    assert [(one.place, one.seconds) for one in got] == [(1, NEAR_S), (2, NEAR_S), (3, SLICE_S)]


def test_nothing_is_told_while_nobody_can_tell(room: Room, exchange: Exchange) -> None:
    exchange.log_in("101", queue="city-en")
    room.believed = False
    got = room.comes(A, Priority.ORDINARY, Skill.ENGLISH)
    assert (got.place, got.wait.confident, got.queue, got.seconds) == (None, False, "city", SLICE_S)
    room.believed = True
    assert room.comes(B).place == 2


def test_a_skill_is_waited_for_so_long_and_then_everybody_may_take_him(room: Room, exchange: Exchange) -> None:
    logs_in(exchange, "101", "social")
    exchange.log_in("102")
    got = room.comes(A, Priority.ORDINARY, Skill.SOCIAL)
    assert (got.queue, got.seconds) == ("city-social", RULES.skill_s[Skill.SOCIAL])
    got = room.comes_again(A, 40)
    assert (got.queue, got.seconds) == ("city-social", 20)
    got = room.comes_again(A, 20)
    assert (got.queue, got.seconds, got.place) == ("city", NEAR_S, 1)
    assert room.comes_again(A, NEAR_S).queue == "city"


def test_in_a_long_line_a_skill_is_waited_for_only_when_his_turn_is_near(room: Room, exchange: Exchange) -> None:
    """Else everybody who needs none would be passed over for as long as it is long."""
    logs_in(exchange, "101", "social")
    room.promised = [Waiting("promise:1", at(-3600), live=False)]
    got = room.comes(A, Priority.ORDINARY, Skill.SOCIAL)
    assert (got.queue, got.place) == ("city", 2)
    assert room.comes_again(A, 100).queue == "city", "and that was none of the minute"
    room.promised = [Waiting("promise:1", at(-3600), live=False, calling=True)]
    got = room.comes_again(A, NEAR_S)
    assert (got.queue, got.seconds) == ("city-social", RULES.skill_s[Skill.SOCIAL]), "a seat is spoken for: none waits"
    room.comes(B, since=at(-900))
    assert room.comes_again(A, 10).queue == "city"


def test_how_many_on_the_telephone_stand_before_one(room: Room, exchange: Exchange) -> None:
    for uid in (A, B, C):
        room.comes(uid)
        exchange.later(10)
    room.promised = [Waiting("promise:1", at(5), live=False)]
    assert [room.before(at(seconds)) for seconds in (0, 15, 100)] == [0, 2, 3], "who is promised a call is on record"


def test_two_skills_one_after_the_other(room: Room, exchange: Exchange) -> None:
    logs_in(exchange, "101", "social", "en")
    queues = [room.comes(A, Priority.ORDINARY, *Skill).queue]
    queues += [room.comes_again(A, NEAR_S).queue for _ in range(4)]
    assert queues == ["city-en"] * 3 + ["city-social", "city"]


def test_a_skill_that_nobody_here_has_is_not_waited_for(room: Room, exchange: Exchange) -> None:
    logs_in(exchange, "101", "en")
    exchange.log_in("101", queue="city-en", paused=True)
    assert room.comes(A, Priority.ORDINARY, Skill.ENGLISH).queue == "city"
    exchange.log_in("101", queue="city-en")
    assert room.comes(B, Priority.ORDINARY, Skill.ENGLISH).queue == "city-en"
    exchange.log_in("101", queue="city-en", paused=True)
    assert room.comes_again(B, 10).queue == "city", "nor any longer when the last one has gone"


def test_who_spoke_with_him_last_is_asked_first_when_he_is_free(room: Room, exchange: Exchange) -> None:
    logs_in(exchange, "101")
    logs_in(exchange, "102")
    room.sits.update({"101": ANNA, "102": BORYS})
    got = room.comes(A, known_to=BORYS)
    assert (got.queue, got.seconds) == ("seat-102", RULES.own_seat_s)
    assert room.comes_again(A, RULES.own_seat_s).queue == "city"
    speaks(exchange, A, "102", "17.11")
    assert room.comes(B, known_to=BORYS).queue == "city", "he speaks"
    assert room.comes(C, known_to=ANNA).queue == "city", "somebody stands before him"
    assert room.comes(D, known_to=99).queue == "city", "he is not here"


def test_who_is_passed_back_keeps_his_turn_and_goes_to_everybody(room: Room, exchange: Exchange) -> None:
    logs_in(exchange, "101", "social")
    first = room.comes(A, Priority.ORDINARY, Skill.SOCIAL)
    speaks(exchange, A, "101", "17.11")
    exchange.later(5)
    room.comes(B)
    exchange.later(10).done(A, "101", "17.11", "transfer")
    again = room.comes_again(A, 1, first.prio)
    assert (again.queue, again.prio, again.place) == ("city", first.prio, 1)


# ── the wait, and the offer ──
def test_the_wait_follows_the_calls_that_end(room: Room, exchange: Exchange) -> None:
    """A minute a call so far, with what the seat needs afterwards; then one of five minutes."""
    exchange.log_in("101")
    room.comes(A)
    speaks(exchange, A, "101", "17.11")
    before = room.comes(B).wait
    assert before.confident
    assert before.low_s < 60 < before.high_s
    exchange.later(290).done(A, "101", "17.11")
    exchange.end(A)
    speaks(exchange, B, "101", "17.12")
    assert room.comes(C).wait.mean_s > before.mean_s


def busy(room: Room, exchange: Exchange, callers: int) -> list[str]:
    """One seat, which speaks, and so many who wait for it."""
    exchange.log_in("101")
    room.comes("16.0")
    speaks(exchange, "16.0", "101", "16.1")
    uids = [f"17.{n}" for n in range(callers)]
    for uid in uids:
        room.comes(uid)
    return uids


def test_who_waits_long_is_offered_a_callback_and_asked_again_much_later(room: Room, exchange: Exchange) -> None:
    last = busy(room, exchange, 9)[-1]
    offered = {}
    got = room.comes_again(last, SLICE_S)
    for _ in range(12):
        offered[exchange.now] = got.offer
        got = room.comes_again(last, got.seconds)
    times = [when for when, offer in offered.items() if offer]
    assert times[0] == OFFERS.after_s, "neither sooner nor later"
    assert times[1] - times[0] == OFFERS.again_s


def test_who_is_served_soon_is_not_offered_any(room: Room, exchange: Exchange) -> None:
    first = busy(room, exchange, 1)[0]
    assert not any(room.comes_again(first, NEAR_S).offer for _ in range(5))


def test_in_a_surge_it_is_offered_as_he_comes_unless_a_seat_is_free(room: Room, exchange: Exchange) -> None:
    room.surge = True
    exchange.log_in("101", "102")
    assert not room.comes(D).offer
    speaks(exchange, D, "102", "17.41")
    busy(room, exchange, 3)
    assert room.comes("18.1").offer
    assert not room.comes_again("18.1", 1).offer


def test_whom_we_called_is_offered_no_other_call(room: Room, exchange: Exchange) -> None:
    busy(room, exchange, 9)
    exchange.arrive(D)
    got = room.enter(D, room.now, may_be_offered=False)
    for _ in range(9):
        exchange.join(D, got.queue)
        assert not got.offer
        got = room.comes_again(D, got.seconds)


def test_a_seat_that_is_gone_serves_nobody(room: Room, exchange: Exchange) -> None:
    logs_in(exchange, "101")
    room.sits["101"] = ANNA
    exchange.apply(ev.Device(at(0), INTERFACES["101"], "UNAVAILABLE"))
    got = room.comes(A, known_to=ANNA)
    assert (got.queue, got.wait.confident) == ("city", False)
