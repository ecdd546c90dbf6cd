"""When a callback instead of waiting is offered, and when, and how often, it is then called. Pure.

Seconds; minutes after midnight in Kyiv.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from crm import clock
from crm.confirmation_rules import Reached


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
    margin: float = 1.5  # what is said of the time is the estimate's upper end, so many times


def offer_in(waited_s: float, left_s: float | None, *, at_once: bool, declined_s: float | None,
             rules: Rules) -> float | None:
    """In how many seconds a caller is to be offered a callback: 0 now; None: not before more is known.

    ``left_s``: how long he will wait still, None when nobody can tell: then time alone decides. ``at_once``: the
    supervisor wants it offered to everybody as he comes. ``declined_s``: so long ago he did not take it.
    """
    if left_s is not None and left_s < rules.left_s and not at_once:
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


def told_by(now: dt.datetime, wait_s: float, rules: Rules) -> dt.datetime:
    """By when we say that we shall call whom we expect to reach in ``wait_s``. Only the hours for calling count: who is
    promised a call at night stands in the morning behind all who were before him."""
    at, left = first_due(now, rules), dt.timedelta(seconds=wait_s * rules.margin)
    while rules.call_from != rules.call_to:
        closes = clock.next_in_window(at, rules.call_to, rules.call_from)
        if closes - at > left:
            break
        at, left = clock.next_in_window(closes, rules.call_from, rules.call_to), left - (closes - at)
    return at + left


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
