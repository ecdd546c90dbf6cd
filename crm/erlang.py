"""Erlang's formulas: what so many seats make of so many calls. Pure.

The load ``a`` is in erlangs: calls a second times the seconds that one takes. Calls come at random (Poisson), take
exponentially long, are served in the order in which they came by ``n`` seats that are all alike, and:

``blocked``   B: whoever finds no seat free goes away at once.
``Patient``   C (M/M/n): everybody waits until he is served.
``Leaving``   A (M/M/n+M): a caller's patience is exponential too, and when it ends he hangs up.

Sources: A. K. Erlang 1917 (B, C); C. Palm 1943, and A. Mandelbaum and S. Zeltyn, "Service engineering in action: the
Palm/Erlang-A queue", 2007 (A). Everything is computed by recursion, or with logarithms of weights, so that hundreds of
seats and any load neither overflow nor cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from crm.errors import BadInput

NEGLIGIBLE = 40.0  # nats: e⁻⁴⁰ of the largest weight is nothing beside it
STEPS = 2000  # of an integral over what is not negligible
MOST_SEATS = 10_000


class Line(Protocol):
    """What can be said of a line of callers, shares from 0 to 1 and seconds."""

    @property
    def delayed(self) -> float:
        """The share that does not find a seat free."""

    @property
    def wait_s(self) -> float:
        """The mean wait of everybody, those who give up included; infinite if the line only grows."""

    @property
    def abandoned(self) -> float:
        """The share that gives up."""

    @property
    def occupancy(self) -> float:
        """The share of the seats' time in which they are busy."""

    def within(self, seconds: float) -> float:
        """The service level: the share of all callers that is answered within so many seconds."""


def blocked(seats: int, load: float) -> float:
    """Erlang B, by B(0) = 1, B(n) = a·B(n−1) / (n + a·B(n−1))."""
    share = 1.0
    for n in range(1, seats + 1):
        share = load * share / (n + load * share)
    return share


@dataclass(frozen=True)
class Patient:
    """Erlang C. ``calls_s``: calls a second. ``handled_s``: how long a seat is busy with one, seconds."""

    calls_s: float
    handled_s: float
    seats: int

    @property
    def load(self) -> float:
        return self.calls_s * self.handled_s

    @cached_property
    def delayed(self) -> float:
        """C = n·B / (n − a·(1 − B)); 1 once the load is as much as the seats or more."""
        if self.load >= self.seats:
            return 1.0
        b = blocked(self.seats, self.load)
        return self.seats * b / (self.seats - self.load * (1 - b))

    @property
    def wait_s(self) -> float:
        """C·h / (n − a)."""
        return math.inf if self.load >= self.seats else self.delayed * self.handled_s / (self.seats - self.load)

    @property
    def abandoned(self) -> float:
        return 0.0

    @property
    def occupancy(self) -> float:
        return min(1.0, self.load / self.seats) if self.seats else 1.0

    def within(self, seconds: float) -> float:
        """1 − C·e^(−(n − a)·t/h)."""
        if self.load >= self.seats:
            return 0.0
        return 1 - self.delayed * math.exp(-(self.seats - self.load) * seconds / self.handled_s)


@dataclass(frozen=True)
class Leaving:
    """Erlang A. ``patience_s``: how long a caller waits on average before he gives up, seconds; the rest as Patient's.

    With j calls in the centre one ends at the rate r(j) = min(j, n)/h + max(0, j − n)/p, so that the share of the time
    with j of them is to that with j − 1 as calls_s to r(j).
    """

    calls_s: float
    handled_s: float
    seats: int
    patience_s: float

    @cached_property
    def _logs(self) -> list[float]:
        """Logarithms of the shares of the time with 0, 1, 2… calls in the centre: up to where they are negligible."""
        logs, highest = [0.0], 0.0
        while self.calls_s and (logs[-1] > highest - NEGLIGIBLE or len(logs) <= self.seats):
            logs.append(logs[-1] + math.log(self.calls_s / self._ends_s(len(logs))))
            highest = max(highest, logs[-1])
        whole = highest + math.log(math.fsum(math.exp(log - highest) for log in logs))
        return [log - whole for log in logs]

    def _ends_s(self, calls: int) -> float:
        """Calls that end a second, with so many of them in the centre."""
        return min(calls, self.seats) / self.handled_s + max(0, calls - self.seats) / self.patience_s

    @cached_property
    def delayed(self) -> float:
        """The share of the time in which every seat is busy, for whoever comes sees what there is on average."""
        return min(1.0, math.fsum(map(math.exp, self._logs[self.seats :])))

    @cached_property
    def wait_s(self) -> float:
        """Callers who wait, on average, over calls a second (Little)."""
        waiting = math.fsum(n * math.exp(log) for n, log in enumerate(self._logs[self.seats :]))
        return waiting / self.calls_s if self.calls_s else 0.0

    @property
    def abandoned(self) -> float:
        """Whoever waits leaves at the rate 1/p."""
        return min(1.0, self.wait_s / self.patience_s)

    @property
    def occupancy(self) -> float:
        return min(1.0, self.calls_s * self.handled_s * (1 - self.abandoned) / self.seats) if self.seats else 1.0

    def within(self, seconds: float) -> float:
        """Not delayed, or delayed by less than so long and than one's patience. Whoever comes would wait x seconds, had
        he all the patience, with the density calls_s · P(n − 1 in the centre) · e^(calls_s·p·(1 − e^(−x/p)) − nx/h)."""
        if not self.seats:
            return 0.0
        if not self.calls_s:
            return 1.0
        calls, patience, first = self.calls_s, self.patience_s, math.log(self.calls_s) + self._logs[self.seats - 1]
        rate = self.seats / self.handled_s + 1 / patience

        def density(x: float) -> float:
            return first - calls * patience * math.expm1(-x / patience) - rate * x

        peak = patience * math.log(calls / rate) if calls > rate else 0.0
        at_once = math.fsum(map(math.exp, self._logs[: self.seats]))
        return min(at_once + _integral(density, min(peak, seconds), seconds), 1 - self.abandoned)


def _integral(log: Callable[[float], float], peak: float, end: float) -> float:
    """Of e^log(x) from 0 to ``end``, where it rises to ``peak`` and falls after it. By Simpson's rule."""
    least = log(peak) - NEGLIGIBLE
    first, last = _where(log, least, peak, 0.0), _where(log, least, peak, end)
    step = (last - first) / STEPS
    inner = math.fsum((2 + 2 * (n % 2)) * math.exp(log(first + n * step)) for n in range(1, STEPS))
    return (math.exp(log(first)) + inner + math.exp(log(last))) * step / 3


def _where(log: Callable[[float], float], least: float, high: float, low: float) -> float:
    """Between ``high`` and ``low``, where it falls below ``least``; ``low`` if it does not."""
    if log(low) >= least:
        return low
    for _ in range(60):
        middle = (high + low) / 2
        high, low = (middle, low) if log(middle) >= least else (high, middle)
    return low


def line(calls_s: float, handled_s: float, seats: int, patience_s: float | None) -> Line:
    """``patience_s``: None if nobody gives up."""
    if patience_s is None:
        return Patient(calls_s, handled_s, seats)
    return Leaving(calls_s, handled_s, seats, patience_s)


@dataclass(frozen=True, slots=True)
class Target:
    """What is wanted: ``share`` of the callers answered within ``within_s``, and seats no busier than ``occupancy``."""

    share: float = 0.8
    within_s: float = 20
    occupancy: float = 0.85

    def met(self, by: Line) -> bool:
        return by.within(self.within_s) >= self.share and by.occupancy <= self.occupancy


def seats_needed(calls_s: float, handled_s: float, patience_s: float | None, target: Target) -> int:
    """The fewest seats that meet the target; none for no calls. BadInput "staffing.no_such_seats" when MOST_SEATS do
    not. (More seats never answer fewer in time, nor are they busier, so it is found by halving.)"""
    if not calls_s * handled_s:
        return 0
    least, enough = 0, max(1, math.ceil(calls_s * handled_s))
    while not target.met(line(calls_s, handled_s, enough, patience_s)):
        least, enough = enough, enough * 2
        if enough > MOST_SEATS:
            raise BadInput("staffing.no_such_seats")
    while enough - least > 1:
        middle = (least + enough) // 2
        met = target.met(line(calls_s, handled_s, middle, patience_s))
        least, enough = (least, middle) if met else (middle, enough)
    return enough
