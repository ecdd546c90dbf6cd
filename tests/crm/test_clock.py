"""Kyiv's hours, also when the clocks change."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import clock
from crm.clock import KYIV
from crm.errors import BadInput

INSTANTS = st.integers(1_700_000_000, 1_900_000_000).map(lambda s: dt.datetime.fromtimestamp(s, dt.UTC))
MINUTES = st.integers(0, 1440)


def kyiv(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=KYIV)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(("at", "expected"), [((7, 59), False), ((8, 0), True), ((19, 59), True), ((20, 0), False)])
def test_open_from_the_first_minute_to_before_the_last(at: tuple[int, int], expected: bool) -> None:
    assert clock.is_open(kyiv(2026, 7, 1, *at), "08:00", "20:00") is expected


def test_closed_days_once_and_every_year() -> None:
    new_year = kyiv(2027, 1, 1, 0, 30)  # still the last year in UTC
    assert clock.is_open(new_year, "00:00", "24:00")
    assert not clock.is_open(new_year, "00:00", "24:00", ["2027-01-01"])
    assert not clock.is_open(new_year, "00:00", "24:00", ["01-01"])
    assert clock.is_open(new_year, "00:00", "24:00", ["2026-12-31", "12-31"])


def test_over_midnight() -> None:
    assert clock.is_open(kyiv(2026, 7, 1, 23, 0), "22:00", "06:00")
    assert clock.is_open(kyiv(2026, 7, 1, 5, 59), "22:00", "06:00")
    assert not clock.is_open(kyiv(2026, 7, 1, 12, 0), "22:00", "06:00")


@pytest.mark.parametrize("text", ["", "8:00", "24:01", "12:60", "-1:00", "12:00\n", "１２:00"])
def test_a_malformed_time_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        clock.minutes(text)


@given(INSTANTS, MINUTES, MINUTES)
def test_the_next_time_in_a_window_is_soon_and_inside(at: dt.datetime, start: int, end: int) -> None:
    following = clock.next_in_window(at, start, end)
    assert at <= following <= at + dt.timedelta(hours=26)
    if (start < 1440 and end - start >= 90) or end < start < 1440:
        # A window of an hour and a half or more opens also on the night whose clocks skip an hour.
        assert clock.in_window(following, start, end) or following.astimezone(KYIV).hour in (3, 4)


@pytest.mark.parametrize(("at", "expected"), [
    (kyiv(2026, 3, 28, 21, 0), kyiv(2026, 3, 29, 9, 0)),  # the clocks go forward in that night
    (kyiv(2026, 10, 24, 21, 0), kyiv(2026, 10, 25, 9, 0)),  # and back in this one
    (kyiv(2026, 7, 1, 8, 0), kyiv(2026, 7, 1, 9, 0)),
    (kyiv(2026, 7, 1, 10, 0), kyiv(2026, 7, 1, 10, 0)),
])  # fmt: skip
def test_the_window_opens_by_the_wall_clock(at: dt.datetime, expected: dt.datetime) -> None:
    assert clock.next_in_window(at, 540, 1200) == expected.astimezone(dt.UTC)
