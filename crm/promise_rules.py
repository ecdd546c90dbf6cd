"""When a callback instead of waiting is offered, and when, and how often, it is then called. Pure.

Seconds; minutes after midnight in Kyiv.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from crm import clock
from crm.confirmation_rules import Reached

USUAL_S = 180.0  # a call, while nobody knows


class Reason(StrEnum):
    WAITING = "waiting"  # he was offered it in the queue, and took it
    ABANDONED = "abandoned"  # he hung up in the queue
    CLOSED = "closed"  # he came when nobody was there
    INCIDENT = "incident"  # he joined an incident, and it is over: he is asked whether it is for him


ASKED_FOR = frozenset({Reason.WAITING, Reason.CLOSED})  # by himself: of the rest nobody said anything to him


class State(StrEnum):
    WAITING = "waiting"
    CALLING = "calling"
    KEPT = "kept"  # he has spoken to a seat; of an incident: he has said how it is
    WITHDRAWN = "withdrawn"  # he said that it is not needed any more
    UNREACHED = "unreached"  # called as often as the rules say
    EXPIRED = "expired"  # not called in its time


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide."""

    after_s: int = 60  # he has waited so long
    left_s: int = 90  # and will wait that long still
    heard_s: int = 30  # to hear the offer and say yes: who is served sooner is asked in no surge either
    again_s: int = 240  # who did not take it is asked again
    abandoned_s: int = 10  # who gave up after so long is called back; 0: nobody is
    call_from: int = 8 * 60
    call_to: int = 21 * 60
    tries: int = 3
    retry_s: int = 300
    valid_s: int = 24 * 3600
    ring_s: int = 30
    lines: int = 10  # promised callbacks that ring at a time
    hourly_cap: int = 1200
    margin: float = 1.25  # so many times as long as his place and the seats come to, he is told, ...
    least_s: int = 300  # ... and that much later


def offer_in(waited_s: float, left_s: float | None, *, at_once: bool, declined_s: float | None,
             rules: Rules) -> float | None:
    """In how many seconds a caller is to be offered a callback: 0 now; None: not before more is known.

    ``left_s``: how long he will wait still, None when nobody can tell: then time alone decides. ``at_once``: the
    supervisor wants it offered to everybody as he comes, but for whom a seat will be free before he has heard it.
    ``declined_s``: so long ago he did not take it.
    """
    if left_s is not None and left_s < (rules.heard_s if at_once else rules.left_s):
        return None
    threshold = 0.0 if at_once else float(rules.after_s)
    wait = max(0.0, threshold - waited_s)
    return wait if declined_s is None else max(wait, rules.again_s - declined_s)


@dataclass(frozen=True, slots=True)
class Step:
    """What follows a call: waiting again not before ``at``, or an end."""

    state: State
    at: dt.datetime | None = None


LATE_S = 15  # until queue_log has told what became of a call that nobody watched


def told_by(now: dt.datetime, before: int, handled_s: float, seats: Callable[[dt.datetime], float],
            rules: Rules) -> dt.datetime | None:  # fmt: skip
    """By when we say that we shall call one before whom so many stand: a full hour; None: he cannot be told any, for as
    far as is known his turn does not come before what he is promised is over.

    ``seats``: how many will serve in the half-hour that begins then (or at ``now``), each one a call in ``handled_s``.
    Nobody who comes later is served before him, but for a head start: so his place and the seats tell, however little
    can be told of a wait on the telephone. Only the hours for calling count.
    """
    left = (before + 1) * rules.margin
    at = first_due(now, rules)
    ends = at + dt.timedelta(seconds=rules.valid_s)
    at = first_due(at + dt.timedelta(seconds=rules.least_s), rules)
    while at < ends:
        closes = ends if rules.call_from == rules.call_to else clock.next_in_window(at, rules.call_to, rules.call_from)
        until = min(_half_hour_after(at), closes, ends)
        a_second = min(seats(at) / max(handled_s, 1.0), rules.hourly_cap / 3600)
        takes = left / a_second if a_second else math.inf
        if takes <= (until - at).total_seconds():
            told = clock.full_hour(at + dt.timedelta(seconds=takes))
            return told if told <= ends else None
        left -= a_second * (until - at).total_seconds()
        at = first_due(until, rules)
    return None


def _half_hour_after(at: dt.datetime) -> dt.datetime:
    whole = at.replace(minute=at.minute // 30 * 30, second=0, microsecond=0)
    return whole + dt.timedelta(minutes=30)


def first_due(now: dt.datetime, rules: Rules) -> dt.datetime:
    """Not called before."""
    return clock.next_in_window(now, rules.call_from, rules.call_to)


def after_call(reached: Reached, tries: int, now: dt.datetime, rules: Rules) -> Step:
    """What follows the ``tries``-th call that did not bring him to a seat."""
    match reached:
        case Reached.DO_NOT_CALL | Reached.ANSWERED:  # he said so himself
            return Step(State.WITHDRAWN)
        case Reached.WRONG_NUMBER:
            return Step(State.UNREACHED)
        case Reached.NOT_PLACED:  # nobody called him
            return Step(State.WAITING, now)
    if tries >= rules.tries:
        return Step(State.UNREACHED)
    soon = now + dt.timedelta(seconds=rules.retry_s)
    return Step(State.WAITING, clock.next_in_window(soon, rules.call_from, rules.call_to))


def became_of(*, placed_at: dt.datetime, picked_up: bool, queued: bool, seated: bool, lost_at: dt.datetime | None,
              now: dt.datetime, rules: Rules) -> Reached | None:
    """What a call came to that is on no line any more; None while somebody may still tell better.

    ``seated``: a seat spoke with him. ``lost_at``: it ended and nobody saw how. The network's word on a call that was
    not picked up may be late by the ring time.
    """
    if seated:
        return Reached.ANSWERED
    if lost_at is not None and now - lost_at < dt.timedelta(seconds=LATE_S):
        return None
    if picked_up:
        return Reached.PERSON if queued else Reached.NO_KEY
    return Reached.UNKNOWN if now - placed_at > dt.timedelta(seconds=2 * rules.ring_s) else None
