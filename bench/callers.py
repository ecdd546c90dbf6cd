"""Who calls the simulated city, and how they behave: drawn once, by a seed, and the same for every discipline.

Everything that a caller may ever do is drawn for him alone (``Caller.draw``), whatever else happens: so disciplines are
compared on the same people (common random numbers), and a difference between them is theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from random import Random

from crm.calls import Priority, Skill

HALF_HOUR = 1800
DAY = 86_400
APPEALS, CALLS_AN_APPEAL = 2500, 2.3  # a day
# Of the day's calls, in tenths of a percent by hour: a morning's rise, the peak at ten, a second hill after work.
BY_HOUR = (9, 6, 4, 3, 4, 8, 18, 35, 62, 78, 82, 78, 70, 66, 68, 66, 63, 60, 58, 52, 44, 32, 21, 13)


@dataclass(frozen=True, slots=True)
class Habits:
    """Seconds and shares. What the city's callers and its seats are like: assumptions, and plausible ones."""

    talk_s: float = 230.0  # lognormal
    talk_spread: float = 0.8  # of its logarithm
    ring_s: float = 4.0  # until the seat picks up
    wrap_up_s: float = 10.0
    away: float = 0.01  # of the callers' first rings are not answered
    patience_s: float = 180.0  # exponential, anew in each call
    redials: float = 0.5  # of those who gave up, each time
    redial_s: float = 300.0  # later, on average
    emergency: float = 0.02
    privileged: float = 0.08
    english: float = 0.03
    social: float = 0.08
    accepts: float = 0.6  # a callback, each time that it is offered
    hidden: float = 0.04  # his number: he would have to say it
    refuses: float = 0.5  # of those: does not
    picks_up: float = 0.75  # a callback, each time
    pick_up_s: float = 8.0  # on average, and at most as long as it rings
    called_patience: float = 1.0  # of whom we have called: so many times as much
    joins: float = 0.6  # an incident that he is told of, by key

    @property
    def handled_s(self) -> float:
        """What a call costs a seat, on average."""
        return self.ring_s + self.talk_s + self.wrap_up_s


class Chance(IntEnum):
    """What is drawn for a caller, each from a stream of its own."""

    PATIENCE = 0
    REDIAL = 1
    REDIAL_S = 2
    ACCEPT = 3
    REFUSE = 4
    PICK_UP = 5
    PICK_UP_S = 6
    JOIN = 7
    LENGTH = 8
    KIND = 9


@dataclass(slots=True)
class Caller:
    """One person and his matter. ``at``: seconds after the first midnight. ``near``: lives where the incident is."""

    id: int
    at: float
    seed: int
    near: bool = False
    handled_s: float = 0.0
    away: bool = False
    hidden: bool = False
    priority: Priority = Priority.ORDINARY
    skill: Skill | None = None

    def draw(self, chance: Chance, time: int = 0) -> float:
        """From 0 to 1, always the same for the n-th time."""
        return Random(hash((self.seed, self.id, int(chance), time))).random()

    def seconds(self, chance: Chance, mean_s: float, time: int = 0) -> float:
        """Exponential."""
        return -mean_s * math.log(1 - self.draw(chance, time))


def rate(second: float) -> float:
    """Calls a second in the city's day: from hour to hour in a straight line, between the hours' middles."""
    hour = second % DAY / 3600 - 0.5
    before = math.floor(hour)
    share = BY_HOUR[before % 24] + (hour - before) * (BY_HOUR[(before + 1) % 24] - BY_HOUR[before % 24])
    return APPEALS * CALLS_AN_APPEAL * share / sum(BY_HOUR) / 3600


@dataclass(frozen=True, slots=True)
class Burst:
    """Calls on top of the others, all from one place, evenly over its time."""

    start: float
    seconds: float
    calls: int


def callers(seed: int, days: float, habits: Habits, *, times: Sequence[tuple[float, float]] = (),
            burst: Burst | None = None) -> list[Caller]:  # fmt: skip
    """In the order in which they first call. ``times``: (second from which on, how many times the usual), rising."""
    random = Random(seed)
    most = max(map(rate, range(0, DAY, 900))) * max((by for _, by in times), default=1.0)
    arrivals = [(at, False) for at in _thinned(random, most, days * DAY, times)]
    if burst:
        extra = Random(seed + 1)
        arrivals += [(burst.start + extra.random() * burst.seconds, True) for _ in range(burst.calls)]
    return [_caller(id, at, seed, near, habits) for id, (at, near) in enumerate(sorted(arrivals))]


def _thinned(random: Random, most: float, end: float, times: Sequence[tuple[float, float]]) -> Iterator[float]:
    """A Poisson process of a rate that changes, by thinning one of the highest."""
    edges = [*pairwise([*times, (math.inf, 0.0)])] if times else []
    at = random.expovariate(most)
    while at < end:
        by = next((by for (since, by), (until, _) in edges if since <= at < until), 1.0)
        if random.random() * most < rate(at) * by:
            yield at
        at += random.expovariate(most)


def _caller(id: int, at: float, seed: int, near: bool, habits: Habits) -> Caller:
    random = Random(hash((seed, id, int(Chance.KIND))))
    sigma = habits.talk_spread
    talk_s = random.lognormvariate(math.log(habits.talk_s) - sigma * sigma / 2, sigma)
    away, hidden, first, skilled = (random.random() for _ in range(4))
    priority = (Priority.EMERGENCY if first < habits.emergency else
                Priority.PRIVILEGED if first < habits.emergency + habits.privileged else Priority.ORDINARY)  # fmt: skip
    skill = (Skill.ENGLISH if skilled < habits.english else
             Skill.SOCIAL if skilled < habits.english + habits.social else None)  # fmt: skip
    return Caller(id, at, seed, near, habits.ring_s + talk_s + habits.wrap_up_s, away < habits.away,
                  hidden < habits.hidden, priority, skill)  # fmt: skip


def stationary(seed: int, calls: int, calls_s: float, handled_s: float, *, mirrored: bool = False) -> list[Caller]:
    """A textbook's callers: at one rate, each taking exponentially long. ``mirrored``: drawn from the opposite ends, so
    that what one half of such a pair has too much of, the other has too little (antithetic variates)."""
    random = Random(seed)
    made, at = [], 0.0
    for id in range(calls):
        one, other = random.random(), random.random()
        if mirrored:
            one, other = 1 - one, 1 - other
        at -= math.log(1 - one if one < 1 else 1e-300) / calls_s
        made.append(Caller(id, at, seed, handled_s=-handled_s * math.log(1 - other if other < 1 else 1e-300)))
    return made
