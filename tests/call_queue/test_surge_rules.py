"""When a surge is proposed: never to and fro, and never by a handful of callers; how promised callbacks return."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from call_queue.surge_rules import Load, Proposal, Rules, Sign, proposed, returned

RULES = Rules()
# Ten seats, three minutes a call: 300 s take 16.7 callers.
CALM = Load(arrived=12, ended=12, abandoned=0, seats=10, handled_s=180.0, longest_s=20.0)
BUSY = replace(CALM, arrived=18, abandoned=2, longest_s=150.0)  # between the bounds
MUCH = replace(CALM, arrived=60, abandoned=5, longest_s=400.0)
loads = st.builds(Load, st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 40),
                  st.none() | st.floats(1, 900), st.floats(0, 3600))  # fmt: skip


@pytest.mark.parametrize(("load", "signs"), [
    (CALM, ()), (BUSY, ()), (MUCH, {Sign.ARRIVALS, Sign.LONGEST, Sign.ABANDONED}),
    (replace(CALM, arrived=25), {Sign.ARRIVALS}),
    (replace(CALM, arrived=12, seats=0), {Sign.ARRIVALS}),
    (replace(CALM, longest_s=301.0), {Sign.LONGEST}),
    (replace(CALM, abandoned=4), {Sign.ABANDONED}),
    (replace(CALM, arrived=9, seats=0, ended=9, abandoned=9), ()),  # too few to take a share of
    (replace(CALM, arrived=25, handled_s=None), ()),
])  # fmt: skip
def test_it_is_proposed_by_its_signs(load: Load, signs: set[Sign]) -> None:
    found = proposed(load, False, None, RULES)
    assert set(found.signs if found else ()) == set(signs)
    assert found is None or found.on


def test_its_end_is_proposed_when_it_is_calm() -> None:
    assert proposed(MUCH, True, None, RULES) is None
    assert proposed(BUSY, True, None, RULES) is None
    assert proposed(CALM, True, None, RULES) == Proposal(False)


def test_between_the_bounds_it_stays_as_it_is() -> None:
    on = proposed(MUCH, False, None, RULES)
    assert on is not None
    assert proposed(BUSY, False, on, RULES) is not None
    assert proposed(BUSY, False, None, RULES) is None
    off = proposed(CALM, True, None, RULES)
    assert proposed(BUSY, True, off, RULES) == off
    assert proposed(MUCH, True, off, RULES) is None
    assert proposed(BUSY, True, on, RULES) is None, "what was proposed has been done"


@given(loads, st.booleans())
def test_what_has_been_done_is_not_taken_back_at_once(load: Load, on: bool) -> None:
    """Of one and the same load: whoever follows a proposal is not proposed the contrary."""
    first = proposed(load, on, None, RULES)
    if first is not None:
        assert first.on is not on
        assert proposed(load, first.on, first, RULES) is None


@given(st.lists(st.sampled_from([CALM, BUSY, MUCH]), min_size=1, max_size=30), st.booleans())
def test_it_comes_and_goes_only_over_the_whole_band(day: list[Load], on: bool) -> None:
    """It takes a bound to make a proposal, and the other one to withdraw it."""
    before, told = None, []
    for load in day:
        before = proposed(load, on, before, RULES)
        told.append(before is not None)
    makes, ends = (CALM, MUCH) if on else (MUCH, CALM)
    is_on, expected = False, []
    for load in day:
        is_on = True if load == makes else False if load == ends else is_on
        expected.append(is_on)
    assert told == expected


@given(st.floats(0, 599.9), st.integers(1, 60))
def test_callbacks_return_ever_faster_and_then_all(since_s: float, seats: int) -> None:
    now, later = returned(since_s, seats, RULES), returned(min(since_s + 60, 599.9), seats, RULES)
    assert now is not None
    assert later is not None
    assert 1 <= now <= later
    assert now <= 1 + seats * since_s / 60, "never more than one a minute and seat"
    assert returned(600, seats, RULES) is None


def test_callbacks_return_as_the_rule_says() -> None:
    """Of 20 seats: one at once, 4 in the first minute, 20 a minute in the end."""
    placed = [returned(60.0 * minute, 20, RULES) or 0 for minute in range(10)]
    each = [after - before for before, after in pairwise(placed)]
    assert placed[0] == 1
    assert 4 <= each[0] <= 5
    assert 17 <= each[-1] <= 20
    assert each == sorted(each) or max(abs(a - b) for a, b in zip(each, sorted(each), strict=True)) <= 1
    assert returned(0, 0, RULES) == 1
