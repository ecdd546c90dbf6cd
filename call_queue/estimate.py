"""How long a caller will wait: pure, from what the last minutes taught.

The caller in place n goes when n places have become free before him. With s seats busy, a call taking 1/μ seconds
(wrap-up included) and each who waits giving up at the rate θ, the place with k others before it moves at sμ + kθ: the
wait is a sum of such steps, its mean Σ 1/(sμ + kθ), its variance the sum of their squares. That is the wait that stands
behind Erlang A (behind Erlang C when nobody gives up).

No formula knows the day. So each word is held against what came of it: by how many *spreads* a wait was longer than
its mean is its score, and what is said next is the mean plus the scores' lower and upper quantile, times the spread.
Whoever hung up, took a callback or waits still has waited *at least* so long; such scores count as Kaplan and Meier
count them.
The upper quantile itself moves (adaptive conformal inference): up after each who waited beyond what he was told, down
after each who did not, so that ``AIM`` of the callers are served within the upper end, also on a day like no other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

CALLS = 40  # the latest of them tell how long one takes
HALF = 20  # calls, after which one counts half
WAITS = 60  # the latest of them tell how right we are, and how readily people leave
ENOUGH = 8  # calls lately, to know how long one takes
LONGEST_S = 86_400.0  # nobody speaks for longer than a day: a clock was set
TOO_WIDE_S = 1800.0  # a range of half an hour tells nobody anything
AIM = 0.8  # of the callers are served within the upper end
LEAST = 0.1  # of them sooner than the lower one
STEP = 0.03  # that the upper quantile moves by
LEVELS = (0.5, 0.97)  # between which it moves
DOUBT = 0.15  # of the mean: what the day may do to a formula
# What we believe before there is any experience, and against few cases.
BELIEVED = tuple(NormalDist().inv_cdf((n + 0.5) / 12) for n in range(12))


class End(StrEnum):
    """How a wait ended."""

    SERVED = "served"
    LEFT = "left"  # hung up: those behind him moved on
    PROMISED = "promised"  # took a callback: his place waits on
    WAITING = "waiting"  # it has not


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds. To be announced only if ``confident``. ``mean_s``, ``spread_s``: the formula's, before experience."""

    low_s: float
    high_s: float
    confident: bool
    mean_s: float = 0.0
    spread_s: float = 0.0


UNKNOWN = Estimate(0.0, 0.0, False)


@dataclass(frozen=True, slots=True)
class Waited:
    """A wait of ``waited_s`` seconds, which ended at the second ``at_s`` (one that lasts: now), and what was estimated
    as it began."""

    at_s: float
    waited_s: float
    end: End
    estimate: Estimate = UNKNOWN


@dataclass(frozen=True, slots=True)
class Learnt:
    """``handled_s``: seconds of a call, None: nobody knows. ``leaving``: of one who waits, a second. ``low``, ``high``:
    in spreads from the mean; infinite: too few have been served to tell. ``known``: enough to be said."""

    handled_s: float | None
    leaving: float
    low: float
    high: float
    known: bool

    def wait(self, position: int, seats: int, free: int) -> Estimate:
        """For the caller in place ``position`` (1 is next) of a queue with ``seats`` that take its calls, ``free`` of
        them idle. A place farther back is never told less."""
        if seats <= 0 or self.handled_s is None:
            return UNKNOWN
        mean = variance = low = high = spread = 0.0
        for before in range(max(1, position) - max(0, free)):
            step = 1.0 / (seats / self.handled_s + before * self.leaving) if self.handled_s else 0.0
            mean += step
            variance += step * step
            spread = math.sqrt(variance + (DOUBT * mean) ** 2)
            low = max(low, mean + self.low * spread)
            high = max(high, mean + self.high * spread) if spread else high
        if high == math.inf:
            return Estimate(0.0, 0.0, False, mean, spread)
        low = min(low, high)
        return Estimate(low, high, self.known and high - low <= TOO_WIDE_S, mean, spread)


def learn(handled_s: Sequence[float], waits: Sequence[Waited] = ()) -> Learnt:
    """``handled_s``: how long the latest calls took (talk, hold and wrap-up), oldest first. ``waits``: the latest that
    ended, in the order in which they did, and those that last."""
    taken = [seconds for seconds in handled_s if 0 <= seconds <= LONGEST_S]
    weights = [0.5 ** (age / HALF) for age in range(len(taken) - 1, -1, -1)]
    one = sum(s * weight for s, weight in zip(taken, weights, strict=True)) / sum(weights) if taken else None
    judged = [wait for wait in waits if wait.estimate.spread_s > 0]
    scores = [((wait.waited_s - wait.estimate.mean_s) / wait.estimate.spread_s, wait.end is End.SERVED)
              for wait in judged]  # fmt: skip
    low, high = _quantiles([*scores, *((score, True) for score in BELIEVED)], (LEAST, _level(judged)))
    return Learnt(one, _leaving(waits), low, high, len(taken) >= ENOUGH)


def estimate(position: int, seats: int, free: int, handled_s: Sequence[float],
             waits: Sequence[Waited] = ()) -> Estimate:  # fmt: skip
    """``learn`` and ``Learnt.wait`` in one."""
    return learn(handled_s, waits).wait(position, seats, free)


def _leaving(waits: Sequence[Waited]) -> float:
    """How many give up in a second of one's waiting, since the first of these waits ended; less of it tells nothing."""
    since = waits[0].at_s if waits else 0.0
    stood = sum(max(0.0, min(wait.waited_s, wait.at_s - since)) for wait in waits)
    return sum(wait.end is End.LEFT for wait in waits[1:]) / stood if stood >= 1 else 0.0


def _level(waits: Iterable[Waited]) -> float:
    """Which quantile to say so that ``AIM`` of the callers are served within it, by what came of the latest."""
    level = AIM
    for wait in waits:
        if wait.estimate.confident and wait.waited_s > wait.estimate.high_s:
            level += STEP * AIM
        elif wait.estimate.confident and wait.end is End.SERVED:
            level -= STEP * (1 - AIM)
        level = min(max(level, LEVELS[0]), LEVELS[1])
    return level


def _quantiles(scores: Sequence[tuple[float, bool]], levels: Sequence[float]) -> list[float]:
    """Of scores, each exact or (False) at least so much, by Kaplan and Meier; infinite where they cannot tell."""
    found = [math.inf] * len(levels)
    longer, left = 1.0, len(scores)  # the share of those that are more than this, and how many are
    for score, exact in sorted(scores, key=lambda one: (one[0], not one[1])):
        if exact:
            longer *= 1 - 1 / left
            found = [score if at == math.inf and 1 - longer >= level - 1e-9 else at
                     for at, level in zip(found, levels, strict=True)]  # fmt: skip
        left -= 1
    return found
