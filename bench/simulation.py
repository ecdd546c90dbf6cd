"""A contact centre in simulated time: callers, seats, promised calls, and between them the policy as it runs live.

Who is next, where a caller waits, whom to call, what to offer and what to say of the wait is asked of
``call_queue.order``, ``call_queue.estimate`` and ``crm.promise_rules``; what stands here is only what Asterisk, the
telephones and the people do. Seconds are counted from the first midnight in Kyiv.
"""

from __future__ import annotations

import datetime as dt
import heapq
import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

from bench.callers import DAY, Caller, Chance, Habits
from call_queue import order, surge_rules
from call_queue.estimate import CALLS, UNKNOWN, WAITS, End, Estimate, Learnt, Waited, learn
from call_queue.room import NEAR, NEAR_S, SHORTEST_S, SLICE_S
from crm import promise_rules
from crm.calls import Priority, Queue, Skill
from crm.clock import KYIV, in_window
from crm.confirmation_rules import Reached
from crm.promise_rules import Reason, State

MIDNIGHT = dt.datetime(2026, 1, 12, tzinfo=KYIV).astimezone(dt.UTC)  # a Monday in winter
LEARNT_S = 10.0  # for so long what was learnt is used again: as good, and quicker to simulate
LEARNT_FAR_S = 600.0  # by those who stand far behind
RING_S = 15.0  # queues.conf: a seat that does not pick up
LOOK_S = 15.0  # so often the load is measured
SURGE_S = 120.0  # a supervisor thinks about a proposal
FAR = 100  # places, from which on the estimate is asked for in round numbers


@dataclass(frozen=True, slots=True)
class Discipline:
    """``turn``: by what the callers are ordered, of (when he came, his priority). ``poll_s``: at most so long a caller
    who waits takes to see that a seat is free (app_queue looks once a second). ``retry_s``: after a ring that nobody
    answered. ``ours``: skills, callbacks and incidents too."""

    name: str
    turn: Callable[[dt.datetime, Priority], dt.datetime]
    poll_s: float = 0.0
    retry_s: float = 0.0
    ours: bool = False


RULES, OFFERS, SURGES = order.Rules(), promise_rules.Rules(), surge_rules.Rules()
STRICT = {Priority.EMERGENCY: dt.timedelta(days=2000), Priority.PRIVILEGED: dt.timedelta(days=1000),
          Priority.ORDINARY: dt.timedelta()}  # fmt: skip
FIFO = Discipline("fifo", lambda since, _: since)
QUEUE = Discipline("queue", lambda since, priority: since - STRICT[priority], poll_s=1.0, retry_s=5.0)
OURS = Discipline("ours", lambda since, priority: order.turn(since, priority, RULES), poll_s=1.0, retry_s=1.0,
                  ours=True)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hearing:
    """For how many seconds a caller listens to us, and stands in no queue though he has his place. What callers hear
    under any discipline alike is left out unless a scenario says otherwise: it is no rule's."""

    connecting: float = 0.0  # that he waits now, and where
    where: float = 0.0  # he stands, after each slice
    wait: float = 0.0  # and how long he will wait, when it can be told
    offer: float = 12.0  # of a callback, until he has pressed the key
    declined: float = 0.0  # what follows if he does not
    number: float = 10.0  # that he confirms: then it is promised
    by_when: float = 10.0  # then he has hung up
    called: float = 8.0  # who it is and why, until he has pressed the key


@dataclass(frozen=True, slots=True)
class Scenario:
    """``plan``: seats by half-hour of the day. ``alert``: from when to when nobody sits. ``incident``: when who lives
    there is told of it. The supervisor does what a surge's proposal says once it has stood for ``thinks_s``."""

    name: str
    callers: Sequence[Caller]
    plan: Sequence[int]
    end: float
    habits: Habits = field(default_factory=Habits)
    skilled: bool = True
    alert: tuple[float, float] = (math.inf, math.inf)
    incident: tuple[float, float] = (math.inf, math.inf)
    thinks_s: float = SURGE_S
    hearing: Hearing = Hearing()


@dataclass(slots=True)
class Person:
    """What has become of a caller."""

    caller: Caller
    calls: int = 0
    offers: int = 0
    served_at: float | None = None
    joined: bool = False
    on_line: bool = False
    refused: bool = False  # a callback, for he would not say his number
    hung_up: bool = False
    at_once: bool = False  # hung up before the rules take it for waiting, the last time
    held_s: float = 0.0  # with the receiver in his hand
    over_at: float = 0.0  # his last conversation
    promise: Promise | None = None


@dataclass(slots=True)
class Promise:
    person: Person
    key: str
    reason: Reason
    since: float
    turn: dt.datetime
    made_at: float
    told_at: float | None
    due: float
    expires_at: float
    tries: int = 0
    state: State = State.WAITING
    met: bool = False
    called_at: float | None = None
    in_line: bool = False


class Where(StrEnum):
    WAITING = "waiting"
    LISTENS = "listens"  # to us, and is in no queue
    RUNG = "rung"  # a seat is ringing for him
    GONE = "gone"


@dataclass(slots=True)
class Call:
    """One call on the line."""

    person: Person
    key: str
    since: float
    turn: dt.datetime
    entered: float
    leaves_at: float
    stays: list[order.Stay]
    estimate: Estimate
    promise: Promise | None = None  # that it keeps
    where: Where = Where.WAITING
    queue: str = Queue.CITY.value  # where he waits, or would
    offered_at: float | None = None
    starved: bool = False
    rung: bool = False


@dataclass(slots=True)
class Seat:
    number: int
    queues: tuple[str, ...]
    on: bool = False
    busy: bool = False
    since: float = 0.0  # it has been staffed


class Simulation:
    """One scenario under one discipline; ``run`` once, then read what came of it."""

    def __init__(self, scenario: Scenario, discipline: Discipline, seed: int = 0,
                 offers: promise_rules.Rules = OFFERS) -> None:  # fmt: skip
        self.scenario, self.how, self.habits, self._offers = scenario, discipline, scenario.habits, offers
        self.now, self._events, self._n = 0.0, list[tuple[float, int, Callable[..., None], tuple[Any, ...]]](), 0
        self._random = Random(seed)
        self.people = [Person(caller) for caller in scenario.callers]
        self.promises: list[Promise] = []
        self.waits: list[float] = []  # of each call, until a seat took it or it was given up
        self.delayed = self.hung_up = self.calls = self.starved = self.passed = self.calls_out = 0
        self.busy_s = self.staffed_s = self.held_s = self.surge_s = 0.0
        self._line: list[order.Waiting] = []
        self._promised: list[dt.datetime] = []  # the turns of all whom we owe a call, called now or not
        self._queues: dict[str, list[tuple[dt.datetime, str, Call]]] = {Queue.CITY.value: []}
        skills = list(Skill) if discipline.ours and scenario.skilled else []
        for skill in skills:
            self._queues[order.skill_queue(skill)] = []
        self._seats = [Seat(n, (*(order.skill_queue(skill) for skill in skills if _can(n, skill)), Queue.CITY.value))
                       for n in range(max(scenario.plan))]  # fmt: skip
        self._serving = 0
        self._idle: deque[Seat] = deque()
        self._handled: deque[float] = deque(maxlen=CALLS)
        self._ended: deque[Waited] = deque(maxlen=WAITS)
        self._on_line: dict[str, Call] = {}
        self._learnt: tuple[float, Learnt | None] = (-math.inf, None)
        self._estimates: dict[tuple[int, int, int], tuple[float, Estimate]] = {}
        self._came, self._left = deque[float](), deque[tuple[float, bool]]()  # lately
        self._surge, self._proposed_at = False, 0.0
        self._proposal: surge_rules.Proposal | None = None
        self._returned = 0  # promised callbacks placed since the alert
        self._ringing = 0
        self._placed: deque[float] = deque()

    # ── time ──
    def _at(self, when: float, do: Callable[..., None], *what: Any) -> None:
        self._n += 1
        heapq.heappush(self._events, (when, self._n, do, what))

    def run(self) -> Simulation:
        end, events = self.scenario.end, self._events
        for half in range(math.ceil(end / 1800)):
            self._at(half * 1800.0, self._planned)
        for edge in self.scenario.alert:
            if edge < end:
                self._at(edge, self._planned)
        if self.how.ours:
            for day in range(math.ceil(end / DAY)):
                self._at(day * DAY + self._offers.call_to * 60.0, self._hours_over)
            self._at(LOOK_S, self._look_at_the_load)
        comes = iter(self.people)
        self._next(comes)
        while events and events[0][0] < end:
            self.now, _, do, what = heapq.heappop(events)
            do(*what)
        self.now = end
        for seat in self._seats:
            if seat.on or seat.busy:
                self.staffed_s += end - seat.since
        return self

    def _next(self, people: Iterable[Person]) -> None:
        """The next one calls."""
        person = next(people, None)  # type: ignore[call-overload]
        if person is not None:
            self._at(person.caller.at, self._first, person, people)

    def _first(self, person: Person, people: Iterable[Person]) -> None:
        self._calls(person)
        self._next(people)

    # ── seats ──
    def _planned(self) -> None:
        """A half-hour begins, or a pause: so many seats are to be taken."""
        start, until = self.scenario.alert
        plan = 0 if start <= self.now < until else self.scenario.plan[int(self.now % DAY // 1800)]
        for seat in self._seats:
            wanted = seat.number < plan
            if wanted and not seat.on:
                seat.on = True
                if not seat.busy:
                    seat.since = self.now
                    self._freed(seat)
            elif seat.on and not wanted:
                seat.on = False
                if not seat.busy:
                    self._idle.remove(seat)
                    self.staffed_s += self.now - seat.since
        self._serving = plan

    def _freed(self, seat: Seat) -> None:
        self._idle.append(seat)
        if any(self._queues[queue] for queue in seat.queues):
            if self.how.poll_s:
                self._at(self.now + self._random.random() * self.how.poll_s, self._match)
            else:
                self._match()
        self._call_out()

    def _match(self) -> None:
        """Free seats take those who wait for them."""
        for seat in list(self._idle):
            for queue in seat.queues:
                if waiting := self._queues[queue]:
                    call = waiting.pop(0)[2]
                    self._idle.remove(seat)
                    self._ring(call, seat)
                    break

    def _ring(self, call: Call, seat: Seat) -> None:
        seat.busy, call.where = True, Where.RUNG
        caller = call.person.caller
        if caller.away and not call.rung:
            call.rung = True
            self._at(self.now + RING_S, self._not_answered, call, seat)
            self.busy_s += RING_S
            return
        waited = self.now - call.entered
        self._look_who_starves(call)
        self._over(call, End.SERVED)
        if waited > 0:
            self.delayed += 1
        call.person.served_at, call.person.over_at = self.now, self.now + caller.handled_s
        if call.promise:
            self._is_over(call.promise, State.KEPT)
        self.busy_s += min(caller.handled_s, self.scenario.end - self.now)
        self._at(self.now + caller.handled_s, self._served, seat, caller.handled_s)

    def _look_who_starves(self, call: Call) -> None:
        """Whoever waits on the line, and came longer before than any head start reaches; and whether anybody does who
        is promised a call that is due."""
        if self.how.ours or self.how is QUEUE:
            longest = max(RULES.head_start_s.values())
            owed = next((one.turn for one in self._line if not (one.live or one.calling)), None)
            self.passed += owed is not None and (call.turn - owed).total_seconds() > longest
            for queue in self._queues.values():
                for _, _, other in queue:
                    if not other.starved and other.since < call.since - longest:
                        other.starved = True
                        self.starved += 1

    def _not_answered(self, call: Call, seat: Seat) -> None:
        self._leave_seat(seat)
        self._at(self.now + self.how.retry_s, self._back, call)

    def _served(self, seat: Seat, seconds: float) -> None:
        self._handled.append(seconds)
        self._leave_seat(seat)

    def _leave_seat(self, seat: Seat) -> None:
        seat.busy = False
        if seat.on:
            self._freed(seat)
        else:
            self.staffed_s += self.now - seat.since

    # ── a call ──
    def _calls(self, person: Person) -> None:
        """He dials."""
        person.calls += 1
        if person.served_at is not None or person.on_line:  # we had called him meanwhile
            return
        start, until = self.scenario.incident
        if self.how.ours and person.caller.near and start <= self.now < until \
                and person.caller.draw(Chance.JOIN, person.calls) < self.habits.joins:  # fmt: skip
            person.joined = True
            return
        promise = person.promise
        if promise and promise.state is State.CALLING:  # his telephone is ringing, or he is on the line
            return
        self.calls += 1
        if promise and promise.state is State.WAITING:
            promise.met = True
            self._out_of_line(promise)
            self._enter(person, promise.since, promise.turn, promise)
        else:
            self._enter(person, self.now, self.how.turn(_instant(self.now), person.caller.priority), None)

    def _enter(self, person: Person, since: float, turn: dt.datetime, promise: Promise | None) -> None:
        self._n += 1
        skills = [person.caller.skill] if person.caller.skill and len(self._queues) > 1 else []
        patience = self.habits.patience_s * (self.habits.called_patience if promise and not promise.met else 1.0)
        leaves_at = self.now + (person.caller.seconds(Chance.PATIENCE, patience, person.calls * 10 + (
            promise.tries if promise else 0)) if patience < math.inf else math.inf)  # fmt: skip
        person.on_line = True
        stays = order.stays(skills, "", RULES) if self.how.ours else [order.Stay(Queue.CITY.value, None)]
        call = Call(person, f"{self._n:09}", since, turn, self.now, leaves_at, stays, UNKNOWN, promise)
        if self.how.ours:
            self._on_line[call.key] = call
            self._came.append(self.now)
            insort(self._line, order.Waiting(call.key, turn), key=_place)
            call.estimate = self._estimate(call)
        if leaves_at < math.inf:
            self._at(leaves_at, self._gives_up, call)
        self._listens(call, self.scenario.hearing.connecting)

    def _listens(self, call: Call, seconds: float) -> None:
        """To us, for so long; then he is offered a callback, or waits a slice."""
        offer, slice_s = self._slice(call) if self.how.ours else (False, math.inf)
        if offer:
            call.offered_at = self.now
        if seconds and self.how.ours and self._estimate(call).confident:
            seconds += self.scenario.hearing.wait
        if seconds:
            call.where = Where.LISTENS
            self._at(self.now + seconds, self._has_listened, call, offer, slice_s)
        else:
            self._has_listened(call, offer, slice_s)

    def _has_listened(self, call: Call, offer: bool, slice_s: float) -> None:
        if call.where is Where.GONE:
            return
        if offer:
            call.where = Where.LISTENS
            self._at(self.now + self.scenario.hearing.offer, self._asked, call, slice_s)
            return
        self._back(call)
        if slice_s < math.inf:
            self._at(self.now + slice_s, self._look, call)

    def _wait(self, call: Call) -> None:
        """He stands in the queue that his stay names, from now on."""
        call.where = Where.WAITING
        stay = self._stay(call)
        call.queue = stay.queue
        queue = self._queues[stay.queue]
        if not queue:
            for seat in self._idle:
                if stay.queue in seat.queues:
                    self._idle.remove(seat)
                    self._ring(call, seat)
                    return
        insort(queue, (call.turn, call.key, call))
        if stay.seconds is not None:
            self._at(self.now + stay.seconds, self._stayed, call, stay)

    def _stay(self, call: Call) -> order.Stay:
        """Where he waits by now."""
        if call.stays[0].seconds is None:
            return call.stays[0]
        first = next((one.turn for one in self._line if one.key != call.key and not one.calling and (
            not one.live or self._on_line[one.key].queue == Queue.CITY)), None)  # fmt: skip
        return call.stays[0 if order.is_fair(call.stays[0], call.turn, first) else -1]

    def _stayed(self, call: Call, stay: order.Stay) -> None:
        """His time in a skill's queue is over: where every seat takes him."""
        if call.stays[0] is not stay or call.queue != stay.queue:
            return
        if call.where is Where.WAITING:
            self._out_of_queue(call)
            del call.stays[0]
            self._wait(call)
        elif call.where is Where.LISTENS:
            del call.stays[0]

    def _back(self, call: Call) -> None:
        """From a ring that nobody answered, or from our question."""
        if call.where is Where.GONE:
            return
        if self.now >= call.leaves_at:
            call.where = Where.WAITING
            self._gives_up(call)
        else:
            self._wait(call)

    def _gives_up(self, call: Call) -> None:
        if call.where is Where.GONE or call.where is Where.RUNG or self.now < call.leaves_at:
            return
        person, waited = call.person, self.now - call.entered
        self.hung_up += 1
        person.hung_up = True
        person.at_once = waited < self._offers.abandoned_s
        keeps = self.how.ours and not person.at_once and not person.caller.hidden
        self._out_of_queue(call)
        self._over(call, End.PROMISED if call.promise or keeps else End.LEFT, hung_up=True)
        if call.promise:  # that we had called him for, or that he had met
            self._after(call.promise, Reached.PERSON)
        elif keeps:
            self._promise(call, Reason.ABANDONED)
        if person.caller.draw(Chance.REDIAL, person.calls) < self.habits.redials:
            later = person.caller.seconds(Chance.REDIAL_S, self.habits.redial_s, person.calls)
            self._at(self.now + later, self._calls, person)

    def _over(self, call: Call, how: End, *, hung_up: bool = False) -> None:
        """His wait on the line has ended; PROMISED: his place waits on."""
        waited = self.now - call.entered
        call.where = Where.GONE
        call.person.on_line = False
        self.held_s += waited
        call.person.held_s += waited
        if how is not End.PROMISED or hung_up:
            self.waits.append(waited)
        if self.how.ours:
            del self._on_line[call.key]
            del self._line[self._index(call.turn, call.key)]
            if how is End.SERVED or hung_up:
                self._left.append((self.now, hung_up))
            self._ended.append(Waited(self.now, waited, how, call.estimate))

    def _out_of_queue(self, call: Call) -> None:
        queue = self._queues[call.queue]
        at = bisect_left(queue, (call.turn, call.key))
        if at < len(queue) and queue[at][2] is call:
            del queue[at]

    # ── the line, and what is said ──
    def _index(self, turn: dt.datetime, key: str) -> int:
        return bisect_left(self._line, (turn, key), key=_place)

    def _estimate(self, call: Call) -> Estimate:
        """As the room does it, with what was learnt in the last seconds."""
        place, free = 1 + self._index(call.turn, call.key), len(self._idle)
        if place > FAR:
            place += -place % (10 ** (len(str(place)) - 2))
        at, found = self._estimates.get((place, self._serving, free), (-math.inf, UNKNOWN))
        if self.now - at >= (LEARNT_FAR_S if place > FAR else LEARNT_S):
            found = self._what_is_learnt(call).wait(place, self._serving, free)
            self._estimates[place, self._serving, free] = self.now, found
        return found

    def _what_is_learnt(self, call: Call) -> Learnt:
        at, learnt = self._learnt
        if learnt is None or self.now - at >= LEARNT_S:
            lasting = [Waited(self.now, self.now - one.entered, End.WAITING, one.estimate)
                       for one in self._on_line.values() if one is not call]  # fmt: skip
            learnt = learn(list(self._handled), [*self._ended, *lasting])
            self._learnt = self.now, learnt
        return learnt

    def _slice(self, call: Call) -> tuple[bool, float]:
        """Whether he is to be offered a callback, and for how long he waits then."""
        wait = self._estimate(call)
        start, until = self.scenario.alert
        at_once = self._surge or start <= self.now < until
        declined_s = self.now - call.offered_at if call.offered_at is not None else None
        offer_in = None if call.promise else promise_rules.offer_in(
            self.now - call.since, wait.mean_s if wait.confident else None, at_once=at_once, declined_s=declined_s,
            rules=self._offers)  # fmt: skip
        slice_s = float(NEAR_S if self._index(call.turn, call.key) < NEAR else SLICE_S)
        return offer_in == 0, slice_s if not offer_in else min(slice_s, max(offer_in, SHORTEST_S))

    def _look(self, call: Call) -> None:
        """A slice is over."""
        if call.where is Where.RUNG:
            self._at(self.now + SLICE_S, self._look, call)
        elif call.where is Where.WAITING:
            self._out_of_queue(call)
            self._listens(call, self.scenario.hearing.where)

    def _asked(self, call: Call, slice_s: float) -> None:
        """He has heard the offer."""
        if call.where is Where.GONE:
            return
        person, hearing = call.person, self.scenario.hearing
        person.offers += 1
        takes = person.caller.draw(Chance.ACCEPT, person.offers) < self.habits.accepts
        if takes and person.caller.hidden and person.caller.draw(Chance.REFUSE) < self.habits.refuses:
            takes, person.refused = False, True
        if takes:
            call.leaves_at = math.inf
            self._at(self.now + hearing.number, self._is_promised, call)
        else:
            self._at(self.now + hearing.declined, self._has_listened, call, False, slice_s)

    def _is_promised(self, call: Call) -> None:
        told_at = self._told_at(call.turn)
        self._over(call, End.PROMISED)
        call.person.held_s += self.scenario.hearing.by_when
        self._promise(call, Reason.WAITING, told_at)

    # ── promises ──
    def _told_at(self, turn: dt.datetime) -> float | None:
        """By when we say that we shall call who has this turn."""
        before = sum(other.promise is None and other.turn < turn for other in self._on_line.values())
        before += bisect_left(self._promised, turn)
        told_at = promise_rules.told_by(_instant(self.now), before, self._mean_handled_s(), self._seats_at,
                                        self._offers)  # fmt: skip
        return None if told_at is None else _second(told_at)

    def _seats_at(self, at: dt.datetime) -> float:
        """That will serve then, as far as is known: now as many as do, later as many as are planned."""
        second = _second(at)
        return self._serving if second // 1800 <= self.now // 1800 else self.scenario.plan[int(second % DAY // 1800)]

    def _promise(self, call: Call, reason: Reason, told_at: float | None = None) -> None:
        """``told_at``: by when we say that we shall call, None: of no time."""
        hangs_up = self.now if call.person.hung_up else self.now + self.scenario.hearing.by_when
        due = _second(promise_rules.first_due(_instant(hangs_up), self._offers))
        promise = Promise(call.person, f"promise:{len(self.promises):09}", reason, call.since, call.turn, self.now,
                          told_at, due, due + self._offers.valid_s)  # fmt: skip
        call.person.promise = promise
        self.promises.append(promise)
        insort(self._promised, promise.turn)
        self._at(promise.expires_at, self._expires, promise)
        self._wait_to_be_called(promise)

    def _wait_to_be_called(self, promise: Promise) -> None:
        if promise.due > self.now:
            self._at(promise.due, self._is_due, promise, promise.due)
        else:
            self._is_due(promise, promise.due)

    def _is_due(self, promise: Promise, due: float) -> None:
        if promise.state is State.WAITING and not promise.met and not promise.in_line and promise.due == due:
            insort(self._line, order.Waiting(promise.key, promise.turn, live=False), key=_place)
            promise.in_line = True
            self._call_out()

    def _out_of_line(self, promise: Promise) -> None:
        if promise.in_line:
            del self._line[self._index(promise.turn, promise.key)]
            promise.in_line = False

    def _hours_over(self) -> None:
        """Nobody is called any more today."""
        due = _second(promise_rules.first_due(_instant(self.now), self._offers))
        for promise in self.promises:
            if promise.in_line and promise.state is State.WAITING:
                promise.in_line, promise.due = False, due
                self._at(due, self._is_due, promise, due)
        self._line = [one for one in self._line if one.live or one.calling]

    def _call_out(self) -> None:
        """A round: whom of the promised do we call now?"""
        if not self._line or not in_window(_instant(self.now), self._offers.call_from, self._offers.call_to):
            return
        while self._placed and self._placed[0] <= self.now - 3600:
            self._placed.popleft()
        lines = self._lines()
        for key in order.to_call(self._line, len(self._idle), self._serving, self._mean_handled_s(), RULES):
            if self._ringing >= lines or len(self._placed) >= self._offers.hourly_cap:
                return
            self._rings_out(self.promises[int(key.partition(":")[2])])
            lines = self._lines()

    def _lines(self) -> int:
        """After an alert the promised return as the seats do."""
        most, since = self._offers.lines, self.now - self.scenario.alert[1]
        allowed = surge_rules.returned(since, self._serving, SURGES) if since >= 0 else None
        return most if allowed is None else min(most, self._ringing + max(0, allowed - self._returned))

    def _look_at_the_load(self) -> None:
        since = self.now - SURGES.window_s
        while self._came and self._came[0] < since:
            self._came.popleft()
        while self._left and self._left[0][0] < since:
            self._left.popleft()
        longest = max((self.now - call.entered for call in self._on_line.values()), default=0.0)
        load = surge_rules.Load(len(self._came), len(self._left), sum(vain for _, vain in self._left), self._serving,
                                self._mean_handled_s(), longest)  # fmt: skip
        proposal = surge_rules.proposed(load, self._surge, self._proposal, SURGES)
        if (proposal and proposal.on) != (self._proposal and self._proposal.on):
            self._proposed_at = self.now
        self._proposal = proposal
        if proposal and self.now - self._proposed_at >= self.scenario.thinks_s:
            self._surge = proposal.on
        self.surge_s += LOOK_S * self._surge
        self._at(self.now + LOOK_S, self._look_at_the_load)

    def _mean_handled_s(self) -> float:
        return sum(self._handled) / len(self._handled) if self._handled else self.habits.handled_s

    def _rings_out(self, promise: Promise) -> None:
        promise.state, promise.tries = State.CALLING, promise.tries + 1
        promise.called_at = self.now if promise.called_at is None else promise.called_at
        self._line[self._index(promise.turn, promise.key)] = order.Waiting(
            promise.key, promise.turn, live=False, calling=True)  # fmt: skip
        self._ringing += 1
        self.calls_out += 1
        self._placed.append(self.now)
        self._returned += self.now >= self.scenario.alert[1]
        person = promise.person.caller
        after = person.seconds(Chance.PICK_UP_S, self.habits.pick_up_s, promise.tries)
        if person.draw(Chance.PICK_UP, promise.tries) < self.habits.picks_up and after < self._offers.ring_s:
            self._at(self.now + after, self._picks_up, promise)
        else:
            self._at(self.now + self._offers.ring_s, self._no_answer, promise)

    def _picks_up(self, promise: Promise) -> None:
        self._ringing -= 1
        self._at(self.now + self.scenario.hearing.called, self._comes_back, promise)
        self._call_out()

    def _comes_back(self, promise: Promise) -> None:
        """Whom we have called waits for a seat, in his place."""
        self._out_of_line(promise)
        turn = order.turn(_instant(promise.since), promise.person.caller.priority, RULES, promised=True)
        self._enter(promise.person, promise.since, min(turn, promise.turn), promise)

    def _no_answer(self, promise: Promise) -> None:
        self._ringing -= 1
        self._out_of_line(promise)
        self._after(promise, Reached.NO_ANSWER)
        self._call_out()

    def _after(self, promise: Promise, reached: Reached) -> None:
        """A call that brought him to no seat."""
        if promise.met:  # his own: he has his place again
            promise.met, promise.due = False, _second(promise_rules.first_due(_instant(self.now), self._offers))
            self._wait_to_be_called(promise)
            return
        step = promise_rules.after_call(reached, promise.tries, _instant(self.now), self._offers)
        if step.at is None:
            self._is_over(promise, step.state)
        elif _second(step.at) >= promise.expires_at:
            self._is_over(promise, State.UNREACHED)
        else:
            promise.state, promise.due = step.state, _second(step.at)
            self._wait_to_be_called(promise)

    def _expires(self, promise: Promise) -> None:
        if promise.state is State.WAITING and not promise.met:
            self._out_of_line(promise)
            self._is_over(promise, State.UNREACHED if promise.tries else State.EXPIRED)

    def _is_over(self, promise: Promise, state: State) -> None:
        promise.state = state
        del self._promised[bisect_left(self._promised, promise.turn)]


def _can(seat: int, skill: Skill) -> bool:
    """Three seats of ten speak English, every other one knows the social matters."""
    return seat % 10 in (0, 3, 7) if skill is Skill.ENGLISH else seat % 2 == 0


def _place(one: order.Waiting) -> tuple[dt.datetime, str]:
    return one.turn, one.key


def _instant(second: float) -> dt.datetime:
    return MIDNIGHT + dt.timedelta(seconds=second)


def _second(instant: dt.datetime) -> float:
    return (instant - MIDNIGHT).total_seconds()
