"""The law's days: the worked ones, ten years of them counted another way, and what always holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import appeals, calendar, law, law_settings, rulebook
from crm.calendar import Calendar, Day
from crm.clock import KYIV
from crm.errors import BadInput, NotFound
from crm.law import ALLOWED, Privilege, Terms
from crm.life import Action, Evidence, State
from crm.schema import citizen
from tests.crm.conftest import NOON, City

NO_DAYS_OFF = Calendar()  # but Saturdays and Sundays
# A calendar with all that there is: holidays on weekdays and on a Sunday, in a row, and Saturdays that are worked.
EVENTFUL = Calendar({
    **{dt.date(year, *day): False for year in range(2024, 2037)
       for day in ((1, 1), (3, 8), (5, 1), (5, 2), (5, 3), (5, 4), (8, 24), (12, 25), (12, 31))},
    **{dt.date(year, 5, 9): True for year in range(2024, 2037)},
})  # fmt: skip

DATES = st.dates(dt.date(2024, 1, 1), dt.date(2036, 12, 31))
CALENDARS = st.dictionaries(DATES, st.booleans(), max_size=60).map(Calendar)
INSTANTS = st.integers(1_704_100_000, 2_114_000_000).map(lambda s: dt.datetime.fromtimestamp(s, dt.UTC))


def at(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=KYIV)  # type: ignore[arg-type,misc]


def day_of(end: dt.datetime) -> dt.date:
    """Of an end of a term, which is always the day's last second in Kyiv."""
    local = end.astimezone(KYIV)
    assert local.time() == dt.time(23, 59, 59)
    return local.date()


# ── the worked dates ──
MONDAY = at(2026, 9, 7, 9, 30)


@pytest.mark.parametrize(("end", "expected"), [
    (law.due(MONDAY, 15, NO_DAYS_OFF), (2026, 9, 22)),
    (law.due(MONDAY, None, NO_DAYS_OFF), (2026, 10, 7)),
    (law.latest(MONDAY, NO_DAYS_OFF), (2026, 10, 22)),
    (law.defective_by(MONDAY, NO_DAYS_OFF), (2026, 9, 17)),
    (law.forward_by(MONDAY, NO_DAYS_OFF), (2026, 9, 14)),  # five days end on Saturday the 12th
    (law.due(at(2026, 1, 31, 12, 0), None, NO_DAYS_OFF), (2026, 3, 2)),  # Saturday the 28th of February
    (law.due(at(2028, 1, 31, 12, 0), None, NO_DAYS_OFF), (2028, 2, 29)),
    (law.due(at(2026, 12, 15, 12, 0), None, NO_DAYS_OFF), (2027, 1, 15)),
    (law.due(at(2026, 2, 1, 12, 0), 30, NO_DAYS_OFF), (2026, 3, 2)),  # a month is the most: the 1st is a Sunday
])  # fmt: skip
def test_the_worked_dates(end: dt.datetime, expected: tuple[int, int, int]) -> None:
    assert day_of(end) == dt.date(*expected)


@pytest.mark.parametrize(("terms", "end", "expected"), [
    (Terms(ends_move=False), lambda t: law.forward_by(MONDAY, NO_DAYS_OFF, t), (2026, 9, 12)),
    (Terms(forward_working=True), lambda t: law.forward_by(MONDAY, NO_DAYS_OFF, t), (2026, 9, 14)),
    (Terms(forward_working=True), lambda t: law.forward_by(at(2026, 9, 9, 9, 0), NO_DAYS_OFF, t), (2026, 9, 16)),
    (Terms(forward_days=3), lambda t: law.forward_by(MONDAY, NO_DAYS_OFF, t), (2026, 9, 10)),
    (Terms(), lambda t: law.latest(at(2026, 9, 9, 9, 0), NO_DAYS_OFF, t), (2026, 10, 26)),  # from Saturday the 24th
    (Terms(longest_moves=False), lambda t: law.latest(at(2026, 9, 9, 9, 0), NO_DAYS_OFF, t), (2026, 10, 24)),
    (Terms(longest_days=40), lambda t: law.latest(MONDAY, NO_DAYS_OFF, t), (2026, 10, 19)),  # from Saturday the 17th
    (Terms(defective_days=5), lambda t: law.defective_by(MONDAY, NO_DAYS_OFF, t), (2026, 9, 14)),
])  # fmt: skip
def test_what_the_city_may_choose(terms: Terms, end: Callable[[Terms], dt.datetime], expected: Any) -> None:
    assert day_of(end(terms)) == dt.date(*expected)


def test_days_are_kyivs() -> None:
    late = dt.datetime(2026, 11, 23, 22, 30, tzinfo=dt.UTC)  # half past midnight of the 24th in Kyiv
    assert law.due(late, 15, NO_DAYS_OFF) == at(2026, 12, 9, 23, 59, 59)
    assert law.due(at(2026, 3, 28, 12, 0), 2, NO_DAYS_OFF) == at(2026, 3, 30, 23, 59, 59)  # a day of 23 hours is a day
    assert law.due(at(2026, 10, 24, 23, 59), 2, NO_DAYS_OFF) == at(2026, 10, 26, 23, 59, 59)  # and so is one of 25


# ── ten years of dates, counted by walking from day to day ──
def walk(start: dt.date, days: int) -> dt.date:
    """One day after another: no addition of more than one."""
    for _ in range(days):
        start = dt.date.fromordinal(start.toordinal() + 1)
    return start


def same_day_next_month(start: dt.date) -> dt.date:
    """Walks to the first day of a month, and on to the day of the same number, or as far as that month goes."""
    day = walk(start, 1)
    while day.day != 1:
        day = walk(day, 1)
    while day.day != start.day and walk(day, 1).month == day.month:
        day = walk(day, 1)
    return day


def off(day: dt.date, calendar: Calendar) -> bool:
    said = dict(calendar.said)
    return not said[day] if day in said else day.isoweekday() in (6, 7)


def expected_end(day: dt.date, calendar: Calendar) -> dt.date:
    while off(day, calendar):
        day = walk(day, 1)
    return day


@pytest.mark.parametrize("calendar", [NO_DAYS_OFF, EVENTFUL], ids=["weekends", "eventful"])
def test_ten_years_of_dates_are_as_another_count_has_them(calendar: Calendar) -> None:
    day, last = dt.date(2026, 1, 1), dt.date(2035, 12, 31)
    while day <= last:
        came = dt.datetime.combine(day, dt.time(day.day % 24, 17), KYIV)
        assert day_of(law.due(came, 15, calendar)) == expected_end(walk(day, 15), calendar)
        assert day_of(law.due(came, None, calendar)) == expected_end(same_day_next_month(day), calendar)
        assert day_of(law.latest(came, calendar)) == expected_end(walk(day, 45), calendar)
        assert day_of(law.defective_by(came, calendar)) == expected_end(walk(day, 10), calendar)
        assert day_of(law.forward_by(came, calendar)) == expected_end(walk(day, 5), calendar)
        day = walk(day, 1)


# ── what always holds ──
@given(INSTANTS, st.none() | st.integers(1, 60), CALENDARS)
def test_a_term_ends_on_a_working_day_and_is_never_short(came: dt.datetime, days: int | None, cal: Calendar) -> None:
    end = law.due(came, days, cal)
    assert cal.is_working(day_of(end))
    shortest = 28 if days is None else min(days, 28)
    assert day_of(end) >= came.astimezone(KYIV).date() + dt.timedelta(shortest)
    assert law.due(came, days, cal, Terms(ends_move=False)) <= end <= law.due(came, None, cal)


@given(INSTANTS, INSTANTS, CALENDARS)
def test_who_comes_later_is_due_no_earlier(one: dt.datetime, other: dt.datetime, cal: Calendar) -> None:
    earlier, later = sorted((one, other))
    for end in (law.latest, law.defective_by, law.forward_by):
        assert end(earlier, cal) <= end(later, cal)
    for days in (None, 1, 15):
        assert law.due(earlier, days, cal) <= law.due(later, days, cal)


@given(INSTANTS, CALENDARS)
def test_the_terms_stand_in_the_laws_order(came: dt.datetime, cal: Calendar) -> None:
    assert law.forward_by(came, cal) <= law.defective_by(came, cal) <= law.due(came, 15, cal)
    assert law.due(came, 15, cal) <= law.due(came, None, cal) <= law.latest(came, cal)


@given(DATES, st.integers(-30, 30), CALENDARS)
def test_working_days_are_counted_there_and_back(day: dt.date, days: int, cal: Calendar) -> None:
    day = cal.next_working(day)
    there = cal.shift(day, days)
    assert cal.is_working(there)
    assert cal.shift(there, -days) == day
    first, last = sorted((day, there))
    between = [cal.is_working(first + dt.timedelta(n)) for n in range((last - first).days)]
    assert sum(between) == abs(days)


def test_a_privilege_fits_where_it_is_kept() -> None:
    assert max(map(len, Privilege)) <= (citizen.c.privilege.type.length or 0)  # type: ignore[attr-defined]


# ── the calendar and the terms, as the city keeps them ──
def test_the_city_says_which_days_are_worked(city: City) -> None:
    friday, saturday = dt.date(2026, 12, 25), dt.date(2026, 12, 19)
    calendar.say(city.conn, friday, False, "Різдво  Христове", now=city.now, staff_id=city.operator)
    calendar.say(city.conn, saturday, True, "", now=city.now, staff_id=None)
    calendar.say(city.conn, dt.date(2027, 1, 1), False, "Новий рік", now=city.now, staff_id=None)
    assert calendar.days(city.conn, 2026) == [Day(saturday, True, ""), Day(friday, False, "Різдво Христове")]
    book = rulebook.current(city.conn)
    assert book.calendar.next_working(friday) == dt.date(2026, 12, 28)
    assert book.calendar.is_working(saturday)
    calendar.say(city.conn, friday, True, "", now=city.now, staff_id=None)  # said anew, kept once
    assert rulebook.current(city.conn).calendar.is_working(friday)
    calendar.unsay(city.conn, saturday, now=city.now, staff_id=None)
    assert calendar.days(city.conn, 2026) == [Day(friday, True, "")]
    assert not rulebook.current(city.conn).calendar.is_working(saturday)
    with pytest.raises(NotFound, match=r"calendar\.unknown"):
        calendar.unsay(city.conn, saturday, now=city.now, staff_id=None)
    with pytest.raises(BadInput, match=r"text\.too_long"):
        calendar.say(city.conn, saturday, True, "х" * 121, now=city.now, staff_id=None)


def test_a_registration_is_due_by_the_citys_calendar(city: City) -> None:
    assert day_of(city.registered().due_at) == dt.date(2026, 12, 9)
    calendar.say(city.conn, dt.date(2026, 12, 9), False, "", now=city.now, staff_id=None)
    assert day_of(city.registered().due_at) == dt.date(2026, 12, 10)
    law_settings.say(city.conn, "ends_move", 0, now=city.now, staff_id=None)
    assert day_of(city.registered().due_at) == dt.date(2026, 12, 9)


def test_the_city_says_its_terms_and_never_more_than_the_law(city: City) -> None:
    assert law_settings.load(city.conn) == Terms()
    law_settings.say(city.conn, "forward_days", 3, now=city.now, staff_id=city.operator)
    law_settings.say(city.conn, "longest_moves", 0, now=city.now, staff_id=city.operator)
    law_settings.say(city.conn, "forward_days", 4, now=city.now, staff_id=city.operator)
    assert rulebook.current(city.conn).terms == replace(Terms(), forward_days=4, longest_moves=False)
    for name, (least, most) in ALLOWED.items():
        for value in (least - 1, most + 1, 10**30):
            with pytest.raises(BadInput, match=r"law\.not_allowed"):
                law_settings.say(city.conn, name, value, now=city.now, staff_id=None)
    with pytest.raises(BadInput, match=r"law\.unknown"):
        law_settings.say(city.conn, "deadline", 1, now=city.now, staff_id=None)


# ── what depends on the days ──
def act(city: City, appeal_id: int, action: Action, **given: Any) -> appeals.Appeal:
    return appeals.act(city.conn, appeal_id, action, now=city.now, note="Підстава", **given)


def test_an_extension_ends_by_the_forty_fifth_day(city: City) -> None:
    made = city.registered()  # on the 24th of November
    end = law.latest(NOON, NO_DAYS_OFF)
    assert day_of(end) == dt.date(2027, 1, 8)
    with pytest.raises(BadInput, match="too_late"):
        act(city, made.id, Action.EXTEND, until=end + dt.timedelta(seconds=1))
    with pytest.raises(BadInput, match="needs_later_date"):
        act(city, made.id, Action.EXTEND, until=made.due_at)
    extended = act(city, made.id, Action.EXTEND, until=end)
    assert (extended.due_at, extended.extended_at) == (end, city.now)


def test_what_has_passed_is_not_extended_unless_the_city_says_so(city: City) -> None:
    made = city.registered()
    until = made.due_at + dt.timedelta(days=3)
    city.now = made.due_at + dt.timedelta(seconds=1)
    with pytest.raises(BadInput, match="extended_late"):
        act(city, made.id, Action.EXTEND, until=until)
    law_settings.say(city.conn, "extend_late", 1, now=city.now, staff_id=None)
    assert act(city, made.id, Action.EXTEND, until=until).due_at == until


def test_what_was_answered_and_is_not_solved_may_have_more_time_after_its_deadline(city: City) -> None:
    done = city.executed()
    city.now = done.due_at + dt.timedelta(days=1)
    appeals.act(city.conn, done.id, Action.NOT_SOLVED, now=city.now, evidence=Evidence("1764000000.1", staff_id=1))
    assert city.get(done).due_at == done.due_at  # an answer that solved nothing has not ended the term
    until = law.latest(NOON, NO_DAYS_OFF)
    assert act(city, done.id, Action.EXTEND, until=until).due_at == until


def test_a_planned_one_has_all_its_days_again_and_may_be_extended(city: City) -> None:
    made = city.registered()
    act(city, made.id, Action.PLAN, until=city.now + dt.timedelta(days=200))
    city.later(days=200)
    appeals.resume_planned(city.conn, city.now)
    assert city.get(made).due_at == law.due(city.now, 15, NO_DAYS_OFF)
    end = law.latest(city.now, NO_DAYS_OFF)
    assert act(city, made.id, Action.EXTEND, until=end).due_at == end


def test_a_defective_one_goes_back_within_ten_days_or_is_looked_into(city: City) -> None:
    made, late = city.registered(), city.registered()
    city.now = law.defective_by(NOON, NO_DAYS_OFF)
    assert act(city, made.id, Action.FIND_DEFECTIVE).state is State.DEFECTIVE
    assert appeals.history(city.conn, made.id)[-1].evidence == {}
    city.later(seconds=1)
    with pytest.raises(BadInput, match="defective_late"):
        act(city, late.id, Action.FIND_DEFECTIVE)
    law_settings.say(city.conn, "defective_late", 1, now=city.now, staff_id=None)
    assert act(city, late.id, Action.FIND_DEFECTIVE).state is State.DEFECTIVE
    assert appeals.history(city.conn, late.id)[-1].evidence == {
        "late_since": law.defective_by(NOON, NO_DAYS_OFF).isoformat()}  # fmt: skip


def test_a_completed_one_begins_anew(city: City) -> None:
    made = city.registered()
    act(city, made.id, Action.FIND_DEFECTIVE)
    city.later(days=30)
    assert act(city, made.id, Action.COMPLETE).due_at == law.due(city.now, 15, NO_DAYS_OFF)
    city.later(days=9)
    assert act(city, made.id, Action.FIND_DEFECTIVE).state is State.DEFECTIVE


def test_what_is_forwarded_late_is_forwarded_and_its_history_says_so(city: City) -> None:
    made, late = city.registered(), city.registered()
    city.now = law.forward_by(NOON, NO_DAYS_OFF)
    act(city, made.id, Action.FORWARD, department_id=city.police)
    assert appeals.history(city.conn, made.id)[-1].evidence == {}
    city.later(days=2)
    assert act(city, late.id, Action.FORWARD, department_id=city.police).state is State.FORWARDED
    assert appeals.history(city.conn, late.id)[-1].evidence == {
        "late_since": law.forward_by(NOON, NO_DAYS_OFF).isoformat()}  # fmt: skip
