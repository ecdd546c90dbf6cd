"""The waiting room: everybody who waits for the city's seats stands in one line, those on the telephone and those to
whom we have promised a call. Who is on the telephone learns here where he waits next, how long, and where he stands.

A caller is in one of Asterisk's queues for a *slice* at a time, and then the dialplan asks again. Who is about to be
served is left alone: while he listens to us he is in no queue. Callers are served without any of this as well.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from call_queue import order
from call_queue import tracker as t
from call_queue.estimate import CALLS, UNKNOWN, WAITS, End, Estimate, Learnt, Waited, learn
from crm import promise_rules
from crm.calls import EndCause, Priority, Queue, Skill

SLICE_S = 45  # so often a caller hears where he stands
NEAR = 2  # who has one of the first so many places is left alone
NEAR_S = 120  # for so long
SHORTEST_S = 5  # a slice

# Those whom we owe a call now, also while we are calling them, but nobody who is on the telephone himself already.
Promises = Callable[[], Sequence[order.Waiting]]


@dataclass(frozen=True, slots=True)
class Slice:
    """He is in ``queue``, by ``prio``, for ``seconds``. ``place`` in the line: 1 is next, None when nobody can tell.
    ``offer``: he is to be offered a callback before it."""

    queue: str
    prio: int
    seconds: int
    place: int | None
    wait: Estimate
    offer: bool


@dataclass(slots=True)
class _Caller:
    """``stays``: where he is to wait, in the first since ``at``. ``queue``: where he waits now. ``offered_at``: when a
    callback was, last. ``came``: when he was told of his ``wait``; ``over``: that is behind him."""

    since: dt.datetime
    turn: dt.datetime
    stays: list[order.Stay]
    at: dt.datetime
    may_be_offered: bool
    came: dt.datetime
    queue: str = Queue.CITY.value
    wait: Estimate = UNKNOWN
    over: bool = False
    offered_at: dt.datetime | None = None

    def waited(self, at: dt.datetime, end: End) -> Waited:
        return Waited(at.timestamp(), max(0.0, (at - self.came).total_seconds()), end, self.wait)


class WaitingRoom:
    """Asked by the ``enqueue`` and ``waiting`` steps, fed with the tracker's changes.

    ``in_step``: whether the tracker can be believed. ``staff``: who sits where, seat → staff_id. ``handled_s``: how
    long the latest calls took, oldest first. ``at_once``: whether a callback is offered to everybody as he comes.
    """

    def __init__(self, tracker: t.Tracker, in_step: Callable[[], bool], wrap_up_s: float,
                 handled_s: Iterable[float] = (), *, staff: Mapping[str, int | None] | None = None,
                 promises: Promises = tuple, at_once: Callable[[], bool] = lambda: False,
                 rules: order.Rules | None = None, offers: promise_rules.Rules | None = None) -> None:  # fmt: skip
        self._tracker, self._in_step, self._wrap_up_s = tracker, in_step, wrap_up_s
        self._handled_s = deque((seconds + wrap_up_s for seconds in handled_s), CALLS)
        self._waits: deque[Waited] = deque(maxlen=WAITS)  # that are over, as they ended
        self._staff = {} if staff is None else staff
        self._promises, self._at_once = promises, at_once
        self._rules, self._offers = rules or order.Rules(), offers or promise_rules.Rules()
        self._callers: dict[str, _Caller] = {}

    # ── the line ──
    def line(self) -> list[order.Waiting]:
        """Everybody who waits, the next one first; also who listens to us between two slices, or before the first."""
        turns = {call.linkedid: call.turn or call.queued_at for call, _ in self._tracker.waiting(Queue.CITY)}
        for linkedid, caller in self._callers.items():
            call = self._tracker.calls.get(linkedid)
            if call and (call.sought or not call.answered_at):
                turns[linkedid] = caller.turn
        return order.in_order([*(order.Waiting(linkedid, turn) for linkedid, turn in turns.items() if turn),
                               *self._promises()])  # fmt: skip

    # ── one caller ──
    def enter(self, linkedid: str, now: dt.datetime, *, priority: Priority = Priority.ORDINARY,
              skills: Collection[Skill] = (), known_to: int | None = None, since: dt.datetime | None = None,
              promised: bool = False, may_be_offered: bool = True) -> Slice:  # fmt: skip
        """He begins to wait. ``skills``: that his seat should have. ``known_to``: the staff_id of who spoke with him
        last. ``since``, ``promised``: he has waited before, and we have called him back.

        He stands in the line from now on, so that of two who come together one is told that he is second.
        """
        believed = self._in_step()
        if believed:  # who hung up just before he asked is forgotten here
            self._callers = {one: caller for one, caller in self._callers.items() if one in self._tracker.calls}
        since = since or now
        turn = order.turn(since, priority, self._rules, promised=promised)
        served = [skill for skill in skills if believed and self._tracker.serving(order.skill_queue(skill))]
        own_seat = self._own_seat(known_to, turn) if believed else ""
        caller = _Caller(since, turn, order.stays(served, own_seat, self._rules), now, may_be_offered, now)
        self._callers[linkedid] = caller
        first = self._slice(linkedid, caller, now)
        caller.wait = first.wait
        return first

    def again(self, linkedid: str, now: dt.datetime, prio: int, since: dt.datetime | None = None, *,
              may_be_offered: bool = True) -> Slice:  # fmt: skip
        """His slice is over, or a seat has passed him back. ``prio``: what he entered the queue by, ``since``: when, as
        it is on record; for one whom we do not remember."""
        turn = order.turn_of(prio)
        caller = self._callers.get(linkedid)
        if caller is None:
            stays = order.stays((), "", self._rules)
            caller = self._callers[linkedid] = _Caller(since or turn, turn, stays, now, may_be_offered, now)
        if caller.queue != caller.stays[0].queue:  # which has yet to begin
            caller.at = now
        call = self._tracker.calls.get(linkedid)
        while caller.stays[0].seconds is not None and (
                self._left_of(caller, now) < 1 or (call and call.answered_at)
                or (self._in_step() and not self._tracker.serving(caller.stays[0].queue))):  # fmt: skip
            del caller.stays[0]
            caller.at = now
        return self._slice(linkedid, caller, now)

    def _slice(self, linkedid: str, caller: _Caller, now: dt.datetime) -> Slice:
        place, wait, seconds = None, UNKNOWN, float(SLICE_S)
        if call := self._tracker.calls.get(linkedid):
            call.turn = caller.turn
        if self._in_step():
            place = 1 + sum((one.turn, one.key) < (caller.turn, linkedid) for one in self.line() if one.key != linkedid)
            wait = self._estimate(place, now)
            seconds = NEAR_S if place <= NEAR else SLICE_S
        offer_in = self._offer_in(caller, wait, now)
        offer = offer_in == 0
        if offer:
            caller.offered_at = now
        elif offer_in is not None:
            seconds = min(seconds, offer_in)
        is_fair = order.is_fair(caller.stays[0], caller.turn, self._first_but(linkedid))
        stay = caller.stays[0 if is_fair else -1]
        if stay.seconds is not None:
            seconds = min(seconds, self._left_of(caller, now))
        caller.queue = stay.queue
        return Slice(stay.queue, order.queue_prio(caller.turn), max(SHORTEST_S, round(seconds)), place, wait, offer)

    def _first_but(self, linkedid: str) -> dt.datetime | None:
        """The earliest turn of the others who wait for any seat."""
        return next((one.turn for one in self.line() if one.key != linkedid and not one.calling and (
            one.key not in self._callers or self._callers[one.key].queue == Queue.CITY)), None)  # fmt: skip

    def _estimate(self, place: int, now: dt.datetime) -> Estimate:
        serving, free = self._tracker.serving(Queue.CITY), self._tracker.free(Queue.CITY)
        return self.learnt(now).wait(place, serving, free)

    def learnt(self, now: dt.datetime) -> Learnt:
        """What the last minutes taught of the calls and the waits."""
        last = [caller.waited(now, End.WAITING) for caller in self._callers.values() if not caller.over]
        return learn(self._handled_s, [*self._waits, *last])

    def _offer_in(self, caller: _Caller, wait: Estimate, now: dt.datetime) -> float | None:
        if not caller.may_be_offered:
            return None
        declined_s = (now - caller.offered_at).total_seconds() if caller.offered_at else None
        return promise_rules.offer_in((now - caller.since).total_seconds(), wait.mean_s if wait.confident else None,
                                      at_once=self._at_once(), declined_s=declined_s, rules=self._offers)  # fmt: skip

    def _own_seat(self, staff_id: int | None, turn: dt.datetime) -> str:
        """The seat of who spoke with him last, if it is free for him: nobody stands before him. An official's, which
        is in no other queue, is nobody's who has not been asked."""
        if staff_id is None or any(one.turn <= turn for one in self.line()):
            return ""
        return next((number for number, who in self._staff.items() if who == staff_id
                     and self._tracker.free(order.seat_queue(number))
                     and self._tracker.seats[number].takes(Queue.CITY)), "")  # fmt: skip

    @staticmethod
    def _left_of(caller: _Caller, now: dt.datetime) -> float:
        """Seconds of the stay that he is in."""
        return (caller.stays[0].seconds or 0) - (now - caller.at).total_seconds()

    def before(self, turn: dt.datetime) -> int:
        """How many are on the telephone whose turn is earlier."""
        return sum(one.live and one.turn < turn for one in self.line())

    def take(self, change: t.Change) -> None:
        """What the room learns from a change."""
        match change:
            case t.Answered(linkedid=linkedid):
                self._over(linkedid, change.at, End.SERVED)
            case t.Ended(linkedid=linkedid, cause=cause, talk_s=talk_s, hold_s=hold_s):
                self._over(linkedid, change.at, End.LEFT if cause is EndCause.ABANDONED else End.PROMISED)
                self._callers.pop(linkedid, None)
                if talk_s is not None:
                    self._handled_s.append(talk_s + (hold_s or 0.0) + self._wrap_up_s)

    def _over(self, linkedid: str, at: dt.datetime, end: End) -> None:
        """He waits no more. Who is called back for having given up keeps his place, as if he had been promised it."""
        caller = self._callers.get(linkedid)
        if caller is None or caller.over:
            return
        caller.over, waited = True, caller.waited(at, end)
        called_back = caller.may_be_offered and 0 < self._offers.abandoned_s <= waited.waited_s
        self._waits.append(caller.waited(at, End.PROMISED) if end is End.LEFT and called_back else waited)
