"""The announced wait: what it may never be, and whether it comes true."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from call_queue.estimate import ENOUGH, TOO_WIDE_S, estimate

positions, seats = st.integers(1, 500), st.integers(1, 60)
handled = st.lists(st.floats(0, 3600), min_size=ENOUGH, max_size=40)
anything = st.lists(st.floats() | st.floats(0, 3600), max_size=40)


@given(st.integers(-5, 500), st.integers(-5, 60), st.integers(-5, 60), anything)
def test_it_is_a_range_of_seconds_whatever_goes_in(position: int, seats: int, free: int,
                                                   handled_s: list[float]) -> None:  # fmt: skip
    wait = estimate(position, seats, free, handled_s)
    assert 0 <= wait.low_s <= wait.mean_s <= wait.high_s < math.inf
    if wait.confident:
        assert wait.high_s <= TOO_WIDE_S
        assert seats > 0
        assert sum(0 <= seconds <= 86_400 for seconds in handled_s) >= ENOUGH


@given(positions, seats, st.integers(0, 60), handled)
def test_who_stands_farther_back_waits_no_less(position: int, seats: int, free: int, handled_s: list[float]) -> None:
    nearer, farther = (estimate(place, seats, free, handled_s) for place in (position, position + 1))
    assert nearer.low_s <= farther.low_s
    assert nearer.mean_s <= farther.mean_s
    assert nearer.high_s <= farther.high_s


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


def test_half_an_hour_is_not_announced() -> None:
    assert estimate(10, 2, 0, [180.0] * ENOUGH).confident
    assert not estimate(40, 2, 0, [180.0] * ENOUGH).confident


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
    inside = sum(wait.low_s <= one <= wait.high_s for one in waits) / len(waits)
    assert 0.6 < inside < 0.9, "about two callers in three"


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
