"""How long a caller will wait: pure, from what the seats have just done.

The caller in place n goes when n calls in front of him, his own turn included, have been taken off
the seats' hands. With every one of s seats busy and a call taking h seconds on average (wrap-up
included), that is the n-th event of a stream of s/h a second: its mean is n·h/s, and, as calls
last about exponentially, its spread a gamma distribution's. This is what stands behind Erlang C.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

ENOUGH = 8  # calls lately, to know how long one takes
LONGEST_S = 86_400.0  # nobody speaks for longer than a day: a clock was set
TOO_WIDE_S = 1800.0  # a range of half an hour tells nobody anything
SPREAD = 1.0  # standard deviations on either side: about two callers in three fall inside


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds. To be announced only if ``confident``."""

    low_s: float
    high_s: float
    confident: bool

    @property
    def mean_s(self) -> float:
        return (self.low_s + self.high_s) / 2


def estimate(position: int, seats: int, free: int, handled_s: Sequence[float]) -> Estimate:
    """For the caller in place ``position`` (1 is next) of a queue with ``seats`` that take its calls, ``free``
    of them idle, where the latest calls took ``handled_s`` seconds each (talk, hold and wrap-up).

    With nobody at a seat, or too few calls to judge by, it is not confident.
    """
    taken = [seconds for seconds in handled_s if 0 <= seconds <= LONGEST_S]
    known = len(taken) >= ENOUGH
    ahead = max(1, position) - max(0, free)
    if seats <= 0 or not taken:
        return Estimate(0.0, 0.0, False)
    if ahead <= 0:
        return Estimate(0.0, 0.0, known)
    one = sum(taken) / len(taken) / seats
    mean, spread = ahead * one, math.sqrt(ahead) * one * SPREAD
    high = mean + spread
    return Estimate(mean - spread, high, known and high <= TOO_WIDE_S)
