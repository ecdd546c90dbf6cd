"""A campaign's terms and its arithmetic."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.campaign_rules import (
    OPEN,
    STEPS,
    Mode,
    Pace,
    State,
    Step,
    Terms,
    after,
    calls_a_day,
    days_needed,
    forecast_end,
    may_not_call,
    may_not_call_him,
)
from crm.clock import KYIV, minutes_of_day
from crm.confirmation_rules import Rules
from crm.errors import BadInput, IllegalAction

RULES = Rules()
DAY = dt.date(2026, 11, 24)
minute = st.integers(0, 1439)


def hours(low: int = 0, high: int = 1440) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high - 1), st.integers(low + 1, high)).filter(lambda each: each[0] < each[1])


def at(minute_of_day: int) -> dt.datetime:
    return dt.datetime(2026, 11, 24, minute_of_day // 60, minute_of_day % 60, tzinfo=KYIV).astimezone(dt.UTC)


terms = st.builds(
    lambda window, cap, his: Terms("Тепло", Mode.PROGRESSIVE, call_from=window and window[0],
                                   call_to=window and window[1], daily_cap=cap, citizen_daily_cap=his),
    st.none() | hours(), st.none() | st.integers(1, 500), st.integers(1, 10))  # fmt: skip


@given(terms, hours(), minute, st.integers(0, 600), st.sampled_from(State))
def test_nobody_is_called_outside_the_hours_beyond_the_cap_or_when_it_does_not_run(
    each: Terms, centre: tuple[int, int], now: int, placed: int, state: State
) -> None:
    rules = replace(RULES, call_from=centre[0], call_to=centre[1])
    why = may_not_call(each, state, placed_today=placed, now=at(now), rules=rules)
    within = centre[0] <= minutes_of_day(at(now)) < centre[1]
    own = each.call_from is None or each.call_from <= now < (each.call_to or 0)
    allowed = state is State.RUNNING and within and own and (each.daily_cap is None or placed < each.daily_cap)
    assert (why is None) == allowed


@given(terms, st.integers(0, 20))
def test_a_citizen_is_never_called_oftener_a_day(each: Terms, tried: int) -> None:
    assert (may_not_call_him(each, tried_today=tried) is None) == (tried < each.citizen_daily_cap)


def test_a_centre_that_calls_all_day_leaves_a_campaign_its_own_hours() -> None:
    rules = replace(RULES, call_from=0, call_to=0)
    each = Terms("Ніч", Mode.PREVIEW, call_from=600, call_to=660)
    allowed = [m for m in range(1440)
               if may_not_call(each, State.RUNNING, placed_today=0, now=at(m), rules=rules) is None]  # fmt: skip
    assert allowed == list(range(600, 660))


@pytest.mark.parametrize("wrong", [
    {"name": ""}, {"call_from": 600}, {"call_to": 600}, {"call_from": 700, "call_to": 600},
    {"call_from": 600, "call_to": 600}, {"call_from": -1, "call_to": 600}, {"call_from": 600, "call_to": 1441},
    {"older_days": -1}, {"older_days": 366}, {"daily_cap": 0}, {"daily_cap": 100_001}, {"citizen_daily_cap": 0},
    {"citizen_daily_cap": 11},
])  # fmt: skip
def test_terms_that_cannot_be_meant(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="campaign"):
        replace(Terms("Тепло", Mode.PREVIEW), **wrong)  # type: ignore[arg-type]


@given(st.lists(st.sampled_from(Step), max_size=6))
def test_what_is_done_stays_done_and_a_draft_never_comes_back(steps: list[Step]) -> None:
    state = State.DRAFT
    for step in steps:
        try:
            state = after(state, step)
        except IllegalAction:
            assert step not in STEPS[state]
            continue
        assert state is not State.DRAFT
        assert (state is State.DONE) == (step is Step.END)
        assert (state in OPEN) == (step is not Step.END)


# ── how long it takes ──
@given(terms, st.integers(1, 40), st.floats(10, 900), st.floats(1, 6), st.integers(1, 5000))
def test_the_plan_is_what_calling_day_by_day_comes_to(
    each: Terms, seats: int, call_s: float, tries: float, citizens: int
) -> None:
    """Told by counting: so many calls a day until all that are needed are made."""
    pace = Pace(call_s, tries)
    start, end = each.window(RULES)
    a_day = calls_a_day(each, seats, pace, RULES)
    assert a_day <= min(each.daily_cap or a_day, RULES.hourly_cap * (end - start) // 60)
    assert a_day * call_s <= seats * (end - start) * 60 + 1e-6
    days = days_needed(citizens, each, seats, pace, RULES)
    if not a_day:
        assert days is None
        return
    assert days is not None
    assert days * a_day >= citizens * tries - 1e-6
    assert days * each.citizen_daily_cap >= RULES.tries
    fewer = days - 1
    assert fewer * a_day < citizens * tries or fewer * each.citizen_daily_cap < RULES.tries


def test_nobody_to_call_takes_no_day() -> None:
    assert days_needed(0, Terms("Тепло", Mode.PREVIEW, daily_cap=1), 1, Pace(), RULES) == 0


def test_hours_outside_the_centres_never_end() -> None:
    assert days_needed(5, Terms("Ніч", Mode.PREVIEW, call_from=60, call_to=120), 1, Pace(), RULES) is None


@given(st.lists(st.integers(0, 50), max_size=10), st.integers(0, 500), st.none() | st.integers(1, 99))
def test_the_forecast_keeps_the_pace_that_was(done: list[int], left: int, planned: int | None) -> None:
    """Told by walking on from today at the mean of the days before it."""
    by_day = {DAY - dt.timedelta(days=n): many for n, many in enumerate(done, 1)}
    end = forecast_end(left, by_day, planned, DAY)
    if not left:
        assert end == DAY
    elif sum(done):
        assert end is not None
        at_pace = itertools.accumulate(itertools.repeat(sum(done) / len(done)))
        needed = next(n for n, so_far in enumerate(at_pace, 1) if so_far >= left - 1e-6)
        assert abs((end - DAY).days + 1 - needed) <= 1  # floats
    else:
        assert end == (None if planned is None else DAY + dt.timedelta(days=planned - 1))


def test_the_first_day_is_judged_by_itself() -> None:
    assert forecast_end(30, {DAY: 10}, 9, DAY) == DAY + dt.timedelta(days=2)
    assert forecast_end(30, {DAY: 10, DAY - dt.timedelta(days=1): 30}, 9, DAY) == DAY
