"""When a callback is offered and when it is called: a table, and what holds for every case."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from crm import clock, promise_rules
from crm.confirmation_rules import Reached
from crm.promise_rules import Rules, State, Step, after_call, became_of, offer_in
from tests.crm.conftest import NOON

RULES = Rules()
EVENING = dt.datetime(2026, 11, 24, 20, 58, tzinfo=clock.KYIV)
moments = st.integers(0, 366 * 24 * 60).map(lambda minutes: NOON + dt.timedelta(minutes=minutes))
rules = st.builds(Rules, call_from=st.integers(0, 720), call_to=st.integers(721, 1440), tries=st.integers(1, 5),
                  retry_s=st.integers(1, 7200))  # fmt: skip
IN_VAIN = [Reached.BUSY, Reached.NO_ANSWER, Reached.FAILED, Reached.NO_KEY, Reached.PERSON, Reached.UNKNOWN]


def test_it_is_offered_after_a_while_to_who_has_a_while_to_wait_still() -> None:
    def offered(waited: float, left: float | None, at_once: bool = False,
                declined: float | None = None) -> float | None:  # fmt: skip
        return offer_in(waited, left, at_once=at_once, declined_s=declined, rules=RULES)

    assert offered(0, 300) == 60, "not at arrival"
    assert offered(60, 300) == 0
    assert offered(60, 30) is None, "he is about to be served"
    assert offered(60, None) == 0, "nobody can tell: time alone decides"
    assert offered(0, 60, at_once=True) == 0
    assert offered(0, 20, at_once=True) is None, "a seat is free for him before he has heard it"
    assert offered(100, 300, declined=40) == 200, "who did not take it is asked again, not at once"


@given(st.floats(0, 7200), st.none() | st.floats(0, 7200), st.booleans(), st.none() | st.floats(0, 7200))
def test_an_offer_never_comes_before_its_time(waited: float, left: float | None, at_once: bool,
                                              declined: float | None) -> None:  # fmt: skip
    """Waiting until it is to be asked, he is asked."""
    wait = offer_in(waited, left, at_once=at_once, declined_s=declined, rules=RULES)
    if wait is not None:
        assert wait >= 0
        assert at_once or waited + wait >= RULES.after_s
        later = None if declined is None else declined + wait
        again = offer_in(waited + wait, left, at_once=at_once, declined_s=later, rules=RULES)
        assert again is not None
        assert again < 1e-6


@given(moments, st.sampled_from(list(Reached)), st.integers(1, 6), rules)
def test_nobody_is_called_outside_the_hours_and_tries_end(now: dt.datetime, reached: Reached, tries: int,
                                                          rules: Rules) -> None:  # fmt: skip
    step = after_call(reached, tries, now, rules)
    assert (step.at is None) == (step.state is not State.WAITING)
    if step.at is not None and reached is not Reached.NOT_PLACED:
        assert clock.in_window(step.at, rules.call_from, rules.call_to)
        assert step.at >= now + dt.timedelta(seconds=rules.retry_s)
    if reached in IN_VAIN:
        assert (step.state is State.UNREACHED) == (tries >= rules.tries)
    due = promise_rules.first_due(now, rules)
    assert due >= now
    assert clock.in_window(due, rules.call_from, rules.call_to)


@given(st.lists(st.sampled_from(IN_VAIN), min_size=5, max_size=5), rules)
def test_who_is_never_reached_is_called_as_often_as_the_rules_say(ends: list[Reached], rules: Rules) -> None:
    now, tries, state = NOON, 0, State.WAITING
    for reached in ends:
        if state is State.WAITING:
            tries += 1
            step = after_call(reached, tries, now, rules)
            now, state = step.at or now, step.state
    assert (tries, state) == (rules.tries, State.UNREACHED)


def test_the_evenings_last_try_goes_over_to_the_morning() -> None:
    step = after_call(Reached.NO_ANSWER, 1, EVENING, RULES)
    assert step.at is not None
    assert step.at.astimezone(clock.KYIV) == dt.datetime(2026, 11, 25, 8, 0, tzinfo=clock.KYIV)


def test_what_he_says_ends_it() -> None:
    assert after_call(Reached.DO_NOT_CALL, 1, NOON, RULES) == Step(State.WITHDRAWN)
    assert after_call(Reached.ANSWERED, 1, NOON, RULES) == Step(State.WITHDRAWN)
    assert after_call(Reached.NOT_PLACED, 9, NOON, RULES) == Step(State.WAITING, NOON), "nobody called him"


@given(st.booleans(), st.booleans(), st.booleans(), st.none() | st.floats(0, 100), st.floats(0, 600))
def test_a_call_that_is_over_comes_to_something(picked_up: bool, queued: bool, seated: bool, lost_s: float | None,
                                                placed_s: float) -> None:  # fmt: skip
    """At once when it is known how, and in the end however little is known."""
    def came(later_s: float) -> Reached | None:
        now = NOON + dt.timedelta(seconds=later_s)
        return became_of(placed_at=NOON - dt.timedelta(seconds=placed_s), picked_up=picked_up, queued=queued,
                         seated=seated, lost_at=None if lost_s is None else NOON - dt.timedelta(seconds=lost_s),
                         now=now, rules=RULES)  # fmt: skip

    if seated:
        assert came(0) is Reached.ANSWERED
    if picked_up and lost_s is None:
        assert came(0) in (Reached.ANSWERED, Reached.PERSON, Reached.NO_KEY)
    assert came(2 * RULES.ring_s + promise_rules.LATE_S + 1) is not None


@given(st.integers(0, 2 * 24 * 60), st.integers(0, 3000), st.lists(st.integers(0, 30), min_size=48, max_size=48), rules)
def test_by_the_hour_he_is_told_those_before_him_can_have_been_served(minute: int, before: int, plan: list[int],
                                                                      rules: Rules) -> None:  # fmt: skip
    """Walked minute by minute, in the hours for calling alone; and nobody is told an hour after it is over."""
    def seats(at: dt.datetime) -> int:
        return plan[clock.minutes_of_day(at) // 30]

    now = NOON + dt.timedelta(minutes=minute)
    told = promise_rules.told_by(now, before, 240.0, seats, rules)
    ends = promise_rules.first_due(now, rules) + dt.timedelta(seconds=rules.valid_s)
    walked = (now + dt.timedelta(minutes=n) for n in range(int(((told or ends) - now).total_seconds() // 60) + 1))
    served = sum(min(seats(at) / 4, rules.hourly_cap / 60) for at in walked
                 if clock.in_window(at, rules.call_from, rules.call_to))  # fmt: skip
    if told is None:
        assert served < (before + 1) * rules.margin + 2 * 30 * 30 / 4, "nor would he have been called by then"
    else:
        assert now < told <= ends
        assert (told.minute, told.second) == (0, 0)
        assert served >= before


def told(now: tuple[int, int], before: int, seats: int = 10, **rules: int) -> str | None:
    """The hour that one is told on the twelfth, "13 09:00" the next day's; a call takes four minutes."""
    at = dt.datetime(2026, 1, 12, *now, tzinfo=clock.KYIV)
    by = promise_rules.told_by(at, before, 240, lambda at: seats, Rules(**rules))
    return by and f"{by.astimezone(clock.KYIV):%d %H:%M}"


def test_the_place_and_the_seats_tell_the_hour_and_only_hours_for_calling_count() -> None:
    assert told((12, 0), 5) == "12 13:00"
    assert told((12, 0), 149) == "12 14:00"  # ten seats take a hundred and fifty in an hour, and he is told more
    assert told((12, 56), 5) == "12 14:00", "not in four minutes, however near his turn"
    assert told((20, 30), 149) == "13 09:00", "and the rest in the morning"
    assert told((2, 0), 5) == "12 09:00", "at night nobody is called"
    assert told((2, 0), 149) == "12 10:00"


def test_who_cannot_be_called_in_time_is_told_no_hour() -> None:
    assert told((12, 0), 3000) is None, "two days' work"
    assert told((12, 0), 5, seats=0) is None, "nobody sits"
    assert told((12, 0), 3000, seats=1000, hourly_cap=100) is None, "nor can so many be called"
    assert told((20, 0), 3, valid_s=600) is None
