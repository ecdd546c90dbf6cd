"""The announced wait: what it may never be, and whether it comes true."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from call_queue.estimate import CALLS, ENOUGH, TOO_WIDE_S, WAITS, End, Estimate, Waited, estimate, learn

positions, seats = st.integers(1, 500), st.integers(1, 60)
handled = st.lists(st.floats(0, 3600), min_size=ENOUGH, max_size=40)
anything = st.lists(st.floats() | st.floats(0, 3600), max_size=40)
estimates = st.builds(lambda mean, spread, high: Estimate(0.0, mean * high, True, mean, mean * spread),
                      st.floats(0, 3600), st.floats(0, 1), st.floats(0, 4))  # fmt: skip
waited = st.lists(st.builds(Waited, st.floats(0, 3600), st.floats(0, 3600), st.sampled_from(End), estimates),
                  max_size=80)  # fmt: skip


@given(st.integers(-5, 500), st.integers(-5, 60), st.integers(-5, 60), anything, waited)
def test_it_is_a_range_of_seconds_whatever_goes_in(position: int, seats: int, free: int, handled_s: list[float],
                                                   waits: list[Waited]) -> None:  # fmt: skip
    wait = estimate(position, seats, free, handled_s, waits)
    assert 0 <= wait.low_s <= wait.high_s < math.inf
    assert 0 <= wait.mean_s < math.inf
    if wait.confident:
        assert wait.high_s - wait.low_s <= TOO_WIDE_S
        assert seats > 0
        assert sum(0 <= seconds <= 86_400 for seconds in handled_s) >= ENOUGH


@given(positions, seats, st.integers(0, 60), handled, waited)
def test_who_stands_farther_back_waits_no_less(position: int, seats: int, free: int, handled_s: list[float],
                                               waits: list[Waited]) -> None:  # fmt: skip
    nearer, farther = (estimate(place, seats, free, handled_s, waits) for place in (position, position + 1))
    assert nearer.low_s <= farther.low_s or farther.high_s == 0, "or there is no telling"
    assert nearer.mean_s <= farther.mean_s
    assert nearer.high_s <= farther.high_s or farther.high_s == 0


@given(positions, seats, st.integers(0, 60), handled, st.floats(1, 10))
def test_longer_calls_and_fewer_seats_make_no_shorter_wait(position: int, seats: int, free: int, handled_s: list[float],
                                                           longer: float) -> None:  # fmt: skip
    now = estimate(position, seats, free, handled_s)
    slow = 1 + 1e-9  # of rounding
    assert now.mean_s <= estimate(position, seats, free, [s * longer for s in handled_s]).mean_s * slow
    assert estimate(position, seats + 1, free, handled_s).mean_s <= now.mean_s * slow


@given(positions, handled)
def test_nobody_at_a_seat_is_no_wait_that_we_dare_to_tell(position: int, handled_s: list[float]) -> None:
    assert not estimate(position, 0, 0, handled_s).confident


@given(positions, seats, st.lists(st.floats(0, 3600), max_size=ENOUGH - 1))
def test_too_few_calls_are_no_ground(position: int, seats: int, handled_s: list[float]) -> None:
    assert not estimate(position, seats, 0, handled_s).confident


def test_a_free_seat_is_no_wait() -> None:
    wait = estimate(1, 3, 1, [180.0] * ENOUGH)
    assert (wait.low_s, wait.high_s, wait.confident) == (0, 0, True)
    assert estimate(3, 3, -2, [180.0] * ENOUGH) == estimate(3, 3, 0, [180.0] * ENOUGH)
    assert estimate(2, 3, 1, [180.0] * ENOUGH) == estimate(1, 3, 0, [180.0] * ENOUGH)


def test_a_range_of_half_an_hour_is_not_announced() -> None:
    assert estimate(10, 2, 0, [180.0] * ENOUGH).confident
    assert not estimate(100, 2, 0, [180.0] * ENOUGH).confident


def test_the_latest_calls_count_most() -> None:
    short, long = [100.0] * 20, [300.0] * 20
    assert estimate(5, 5, 0, short + long).mean_s > 200 > estimate(5, 5, 0, long + short).mean_s


def told(mean_s: float = 100.0, high_s: float = 150.0) -> Estimate:
    return Estimate(0.0, high_s, True, mean_s, mean_s / 2)


def test_those_ahead_who_leave_shorten_the_wait() -> None:
    """Of ten people who stand for a minute each, half hang up: θ is 1/120 s."""
    leave = [Waited(60.0 * n, 60.0, End.LEFT if n % 2 else End.SERVED) for n in range(11)]
    stay = [Waited(60.0 * n, 60.0, End.SERVED) for n in range(11)]
    keep = [Waited(60.0 * n, 60.0, End.PROMISED if n % 2 else End.SERVED) for n in range(11)]
    of = {name: estimate(10, 2, 0, [200.0] * ENOUGH, waits).mean_s
          for name, waits in (("leave", leave), ("stay", stay), ("keep", keep))}  # fmt: skip
    assert of["leave"] == pytest.approx(sum(1 / (2 / 200 + k * 5 / 600) for k in range(10)))
    assert of["stay"] == pytest.approx(10 * 100)
    assert of["keep"] == of["stay"], "a promised callback keeps its place"


def test_what_is_said_follows_what_came_true() -> None:
    """By the same formula: where everybody lately waited twice as long, more is said, and half as long, less."""
    of = {times: estimate(5, 5, 0, [100.0] * ENOUGH, [Waited(n, 100 * times, End.SERVED, told()) for n in range(50)])
          for times in (0.5, 1, 2)}  # fmt: skip
    assert of[0.5].high_s < of[1].high_s < of[2].high_s
    assert of[0.5].low_s < of[2].low_s
    assert len({wait.mean_s for wait in of.values()}) == 1


@pytest.mark.parametrize("end", [End.LEFT, End.PROMISED, End.WAITING])
def test_who_was_not_served_has_waited_at_least_so_long(end: End) -> None:
    """He makes the upper end no lower, wherever he gave up; nor does it fall because nobody was served."""
    served = [Waited(n, 100, End.SERVED, told()) for n in range(20)]
    said = learn([100.0] * ENOUGH, served).high
    assert learn([100.0] * ENOUGH, [*served, *[Waited(20, 1, end, told())] * 20]).high >= said
    assert learn([100.0] * ENOUGH, [*served, *[Waited(20, 400, end, told())] * 20]).high > said
    late = [Waited(n, 400, end, told()) for n in range(60)]
    assert not estimate(5, 5, 0, [100.0] * ENOUGH, late).confident, "so many wait beyond it that there is no telling"


def day(rate: Callable[[float], float], serving: int, handled: Callable[[float], float], patience: float,
        seconds: float) -> list[tuple[float, Waited]]:  # fmt: skip
    """What came of each caller's wait, and when he came: an M(t)/M/s+M queue that is told of by itself."""
    chance, order, free = random.Random(1551), count(), serving
    calls: deque[float] = deque(maxlen=CALLS)
    ended: deque[Waited] = deque(maxlen=WAITS)
    standing: dict[int, tuple[float, Estimate]] = {}
    due = [(0.0, next(order), "comes", 0.0)]
    found = []

    def over(who: int, at: float, end: End) -> None:
        since, said = standing.pop(who)
        ended.append(Waited(at, at - since, end, said))
        found.append((since, ended[-1]))

    while due[0][0] < seconds:
        at, who, what, took = heapq.heappop(due)
        if what == "comes":
            still = [Waited(at, at - since, End.WAITING, said) for since, said in standing.values()]
            said = estimate(len(standing) + 1, serving, free, list(calls), [*ended, *still])
            standing[who] = (at, said)
            heapq.heappush(due, (at + chance.expovariate(1 / patience), who, "leaves", 0.0))
            heapq.heappush(due, (at + chance.expovariate(rate(at)), next(order), "comes", 0.0))
        elif what == "ends":
            free += 1
            calls.append(took)
        elif who in standing:
            over(who, at, End.LEFT)
        while free and standing:
            over(min(standing), at, End.SERVED)
            free, took = free - 1, chance.expovariate(1 / handled(at))
            heapq.heappush(due, (at + took, next(order), "ends", took))
    return found


def kept(waits: list[Waited]) -> float:
    """The share that was served within the upper end, of those told who were or waited longer."""
    in_time = sum(w.end is End.SERVED and w.waited_s <= w.estimate.high_s for w in waits if w.estimate.confident)
    too_long = sum(w.waited_s > w.estimate.high_s for w in waits if w.estimate.confident)
    return in_time / (in_time + too_long)


@pytest.mark.parametrize(("rate", "patience"), [(0.098, 300.0), (0.13, 600.0)])
def test_four_in_five_are_served_within_what_was_said(rate: float, patience: float) -> None:
    """At a load that the seats can take, and above it."""
    waits = [wait for _, wait in day(lambda at: rate, 20, lambda at: 200.0, patience, 20_000) if wait.estimate.mean_s]
    assert 0.68 < kept(waits) < 0.9
    served = [wait for wait in waits if wait.end is End.SERVED]
    mean = sum(wait.waited_s for wait in served) / len(served)
    assert sum(wait.estimate.mean_s for wait in served) / len(served) == pytest.approx(mean, rel=0.15)
    assert sum(wait.waited_s < wait.estimate.low_s for wait in served) / len(served) < 0.25
    assert sum(wait.estimate.confident for wait in waits) / len(waits) > 0.9, "hardly anybody is told nothing"


@pytest.mark.parametrize("what", ["arrivals", "calls"])
def test_a_day_that_jumps_is_followed(what: str) -> None:
    """Four times as many callers from one moment on, or calls that take twice as long: no formula was told so."""
    jump = 5000
    waits = day(lambda at: 0.09 if what == "calls" or at < jump else 0.36, 20,
                lambda at: 400.0 if what == "calls" and at >= jump else 200.0, 600.0, 12_000)  # fmt: skip
    assert kept([wait for since, wait in waits if since >= jump]) > 0.62
    assert kept([wait for since, wait in waits if since >= jump + 1200]) > 0.65


@pytest.mark.parametrize(("position", "busy"), [(1, 1), (3, 4), (10, 6), (20, 30)])
def test_it_comes_true_in_a_simulation(position: int, busy: int) -> None:
    """Every seat is busy, calls last exponentially, the first ``position`` to end let the caller through."""
    chance, mean_s, waits = random.Random(1551), 200.0, []
    for _ in range(4000):
        ends = sorted(chance.expovariate(1 / mean_s) for _ in range(busy))
        for _ in range(position):
            now = ends.pop(0)
            ends.append(now + chance.expovariate(1 / mean_s))
            ends.sort()
        waits.append(now)
    wait = estimate(position, busy, 0, [mean_s] * ENOUGH)
    assert wait.mean_s == pytest.approx(sum(waits) / len(waits), rel=0.06)
    assert 0.75 < sum(one <= wait.high_s for one in waits) / len(waits) < 0.92, "about four callers in five"
    assert sum(one < wait.low_s for one in waits) / len(waits) < 0.15, "about nine callers in ten"


def erlang_c(seats: int, load: float) -> float:
    """The chance of waiting at all, for ``load`` erlangs."""
    terms = [load**n / math.factorial(n) for n in range(seats)]
    last = load**seats / math.factorial(seats) * seats / (seats - load)
    return last / (sum(terms) + last)


@pytest.mark.parametrize(("busy", "load"), [(5, 4.0), (12, 10.5), (40, 36.0)])
def test_averaged_over_the_queue_it_is_erlangs_wait(busy: int, load: float) -> None:
    """In an M/M/s queue n callers are before one who must wait with chance (1 - r)·rⁿ, r = load/seats; the
    estimates for their places, so weighed, are Erlang C's mean wait."""
    mean_s, r = 180.0, load / busy
    handled_s = [mean_s] * ENOUGH
    ours = sum((1 - r) * r**n * estimate(n + 1, busy, 0, handled_s).mean_s for n in range(2000))
    assert erlang_c(busy, load) * ours == pytest.approx(erlang_c(busy, load) * mean_s / (busy - load), rel=1e-6)
