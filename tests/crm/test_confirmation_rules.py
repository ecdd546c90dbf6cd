"""When to call back: a table of causes, and what holds for every case."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import clock
from crm.confirmation_rules import Mode, Next, Reached, Rules, forbidden, left_open, next_step, spent, window_of
from tests.crm.conftest import NOON

RULES = Rules(tries=3, retry_s=7200)
WINDOW = (540, 1200)


def after(reached: Reached, mode: Mode = Mode.LIVE, unanswered: tuple[int, ...] = (1,), other: bool = False,
          now: dt.datetime = NOON) -> tuple[Next, int | None]:
    """What follows, and in how many seconds."""
    step = next_step(reached, mode=mode, unanswered=unanswered, other_contact=other, now=now, window=WINDOW,
                     rules=RULES)  # fmt: skip
    return step.next, None if step.at is None else int((step.at - now).total_seconds())


@pytest.mark.parametrize(("reached", "mode", "expected"), [
    (Reached.BUSY, Mode.LIVE, (Next.RETRY, 1800)),  # he is at the telephone
    (Reached.NO_ANSWER, Mode.LIVE, (Next.RETRY, 7200)),
    (Reached.FAILED, Mode.LIVE, (Next.RETRY, 7200)),
    (Reached.UNKNOWN, Mode.LIVE, (Next.RETRY, 7200)),
    (Reached.NO_ANSWER, Mode.AUTO, (Next.RETRY, 7200)),
    (Reached.ANSWERED, Mode.LIVE, (Next.RETRY, 1800)),  # could not talk now
    (Reached.ANSWERED, Mode.AUTO, (Next.LIVE, 1800)),  # hung up between two questions
    (Reached.NO_KEY, Mode.AUTO, (Next.LIVE, 1800)),
    (Reached.PERSON, Mode.AUTO, (Next.LIVE, 0)),
    (Reached.NOT_PLACED, Mode.LIVE, (Next.RETRY, 0)),  # the seat did not pick up
    (Reached.NOT_PLACED, Mode.AUTO, (Next.RETRY, 60)),
    (Reached.WRONG_NUMBER, Mode.LIVE, (Next.GIVE_UP, None)),
    (Reached.DO_NOT_CALL, Mode.LIVE, (Next.GIVE_UP, None)),
])  # fmt: skip
def test_each_cause_has_its_rule(reached: Reached, mode: Mode, expected: tuple[Next, int | None]) -> None:
    assert after(reached, mode) == expected


def test_another_contact_is_called_when_there_is_one_unless_he_asked_not_to_be() -> None:
    assert after(Reached.WRONG_NUMBER, unanswered=(3,), other=True) == (Next.OTHER_CONTACT, 0)
    assert after(Reached.DO_NOT_CALL, unanswered=(1,), other=True) == (Next.GIVE_UP, None)


def test_tries_end_but_not_while_one_appeal_has_some_left() -> None:
    assert after(Reached.NO_ANSWER, unanswered=(3,)) == (Next.GIVE_UP, None)
    assert after(Reached.NO_ANSWER, unanswered=(3, 1)) == (Next.RETRY, 7200)
    assert after(Reached.BUSY, unanswered=(3, 4)) == (Next.GIVE_UP, None)


def test_a_retry_waits_for_the_citizens_hours() -> None:
    evening = dt.datetime(2026, 11, 24, 19, 30, tzinfo=clock.KYIV)
    assert after(Reached.NO_ANSWER, now=evening) == (Next.RETRY, int(13.5 * 3600))  # at nine in the morning


CASES = {
    "reached": st.sampled_from(Reached), "mode": st.sampled_from(Mode),
    "unanswered": st.lists(st.integers(0, 6), max_size=4), "other_contact": st.booleans(),
    "now": st.integers(1_760_000_000, 1_800_000_000).map(lambda s: dt.datetime.fromtimestamp(s, dt.UTC)),
}  # fmt: skip


@given(**CASES)
def test_in_every_case(reached: Reached, mode: Mode, unanswered: list[int], other_contact: bool,
                       now: dt.datetime) -> None:
    step = next_step(reached, mode=mode, unanswered=unanswered, other_contact=other_contact, now=now, window=WINDOW,
                     rules=RULES)  # fmt: skip
    assert (step.next is Next.DONE) == (not unanswered)
    if step.at is not None:
        assert step.at >= now
        assert clock.in_window(step.at, *WINDOW)
    if mode is Mode.AUTO and reached in (Reached.NO_KEY, Reached.PERSON) and unanswered:
        assert step.next is Next.LIVE  # never an outcome
    if step.next is Next.RETRY and reached is not Reached.NOT_PLACED:  # that was no try
        assert not all(spent(tries, RULES) for tries in unanswered)
    if unanswered and all(spent(tries, RULES) for tries in unanswered) and mode is Mode.LIVE and not other_contact:
        assert step.next in (Next.GIVE_UP, Next.LIVE) or reached is Reached.NOT_PLACED


def test_the_citizens_own_hours_come_first() -> None:
    assert window_of(None, None, RULES) == (540, 1200)
    assert window_of(600, 660, RULES) == (600, 660)


@pytest.mark.parametrize(("mode", "answered", "queued", "seconds", "ended_as"), [
    (Mode.AUTO, False, False, 80, None),  # it may still ring
    (Mode.AUTO, False, False, 81, Reached.UNKNOWN),
    (Mode.AUTO, False, False, -3600, None),  # the clock was set back
    (Mode.AUTO, True, False, 1, Reached.NO_KEY),
    (Mode.AUTO, True, True, 1, Reached.PERSON),
    (Mode.LIVE, False, False, 81, Reached.UNKNOWN),
    (Mode.LIVE, True, False, 81, None),  # he writes down what was said
    (Mode.LIVE, True, False, 4 * 3600, None),
    (Mode.LIVE, True, False, 4 * 3600 + 1, Reached.UNKNOWN),
])  # fmt: skip
def test_what_was_left_open(mode: Mode, answered: bool, queued: bool, seconds: int, ended_as: Reached | None) -> None:
    now = NOON + dt.timedelta(seconds=seconds)
    assert left_open(mode=mode, placed_at=NOON, answered_at=NOON if answered else None, queued=queued, now=now,
                     rules=RULES) is ended_as  # fmt: skip


@pytest.mark.parametrize(("changed", "reason"), [
    ({}, None),
    ({"inbound_longest_wait_s": 60.0}, None),
    ({"inbound_longest_wait_s": 60.1}, "callback.inbound_first"),
    ({"placed_last_hour": 400}, "callback.hourly_cap"),
    ({"lines_busy": 4}, "callback.lines_busy"),
    ({"lines_busy": 4, "mode": Mode.LIVE}, None),  # a seat dials one at a time by itself
    ({"trunk_ok": False}, "callback.trunk_down"),
])  # fmt: skip
def test_why_no_callback_may_be_placed(changed: dict[str, object], reason: str | None) -> None:
    now: dict[str, object] = {"mode": Mode.AUTO, "inbound_longest_wait_s": None, "placed_last_hour": 399,
                              "lines_busy": 3, "trunk_ok": True, "rules": RULES}  # fmt: skip
    assert forbidden(**{**now, **changed}) == reason  # type: ignore[arg-type]
