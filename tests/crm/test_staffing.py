"""Staffing: the forecast recomputed from the drawn calls alone, the kinds of days, the plan, what seats come to."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from crm import calls, erlang, staffing
from crm.calendar import Calendar
from crm.clock import KYIV
from crm.errors import BadInput
from crm.schema import call
from crm.staffing import HALVES, Half, Kind, Past, What
from crm.store import Database

TODAY = date(2026, 4, 20)  # a Monday; the clocks went forward on 29 March
HOLIDAYS = {date(2026, 3, 9): False, date(2026, 4, 13): False, date(2026, 4, 11): True}


def fill(db: Database, first: date, last: date) -> list[tuple[datetime, float, float | None]]:
    """Calls at random by Kyiv's clock: (when, wait, talk; None: gave up), some at midnight's edges."""
    random, drawn = Random(4), []
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        for _ in range(random.randrange(20, 60)):
            minute = random.choice((0, 29, 30, 599, 600, 1439, random.randrange(1440)))
            at = datetime.combine(day, time(minute // 60, minute % 60, random.randrange(60)), KYIV).astimezone(UTC)
            drawn.append((at, random.random() * 100, None if random.random() < 0.2 else random.random() * 500))
    with db.write() as conn:
        conn.execute(insert(call), [
            {"linkedid": f"1.{n}", "origin": "mobile", "arrived_at": at, "queued_at": at, "wait_s": wait,
             "talk_s": talk, "hold_s": 5.0 if talk else 0.0, "end_cause": "completed" if talk else "abandoned"}
            for n, (at, wait, talk) in enumerate(drawn)])  # fmt: skip
        conn.execute(insert(call), [  # none of these needs a seat of the city's
            {"linkedid": "2.1", "origin": "mobile", "arrived_at": drawn[-1][0], "queued_at": None},
            {"linkedid": "2.2", "origin": "centre", "direction": "out", "arrived_at": drawn[-1][0],
             "queued_at": drawn[-1][0]}])  # fmt: skip
    return drawn


@pytest.mark.parametrize("day", [date(2026, 4, 20), date(2026, 4, 22), date(2026, 5, 25), date(2026, 3, 30)])
def test_the_forecast_is_the_weighted_mean_of_such_days(db: Database, day: date) -> None:
    drawn = fill(db, date(2026, 1, 5), date(2026, 4, 20))
    calendar = Calendar(HOLIDAYS)
    with db.read() as conn:
        kind, past = staffing.past_days(conn, day, calendar, TODAY)
    found = staffing.forecast(day, kind, past, 10.0)
    such = [each for n in range(1, 120) if (each := min(day, TODAY) - timedelta(days=n)).weekday() == day.weekday()
            and each not in HOLIDAYS and each >= date(2026, 1, 5)]  # fmt: skip
    assert kind is list(Kind)[day.weekday()]
    assert [each.day for each in past[:12]] == such[:12]
    local = [at.astimezone(KYIV) for at, _, _ in drawn]
    counted = Counter((at.date(), at.hour * 60 + at.minute // 30 * 30) for at in local)
    weights = [2 ** (-(day - each).days / 28) for each in such[:12]]
    for minute, expected in zip(HALVES, found.calls, strict=True):
        mean = sum(w * counted[each, minute] for w, each in zip(weights, such[:12], strict=True)) / sum(weights)
        assert expected == pytest.approx(mean), minute
    mine = [(wait, talk) for at, wait, talk in drawn if at.astimezone(KYIV).date() in such[:12]]
    talks = [talk + 5.0 for _, talk in mine if talk is not None]
    assert found.handled_s == pytest.approx(sum(talks) / len(talks) + 10)
    assert found.patience_s == pytest.approx(sum(wait for wait, _ in mine) / (len(mine) - len(talks)))
    assert found.days == min(12, len(such))
    assert found.weeks == math.ceil((day - such[:12][-1]).days / 7)
    assert found.error is not None
    assert found.day_error is not None
    assert found.day_error <= found.error + 1e-9, "over a whole day errors cancel"


def test_kinds_of_days(db: Database) -> None:
    calendar = Calendar(HOLIDAYS)
    assert staffing.kind_of(date(2026, 4, 20), calendar) is Kind.MONDAY
    assert staffing.kind_of(date(2026, 4, 13), calendar) is Kind.DAY_OFF
    assert staffing.kind_of(date(2026, 4, 11), calendar) is Kind.WORKED
    assert staffing.kind_of(date(2026, 4, 12), calendar) is Kind.SUNDAY
    fill(db, date(2026, 4, 6), date(2026, 4, 19))
    with db.read() as conn:
        kind, past = staffing.past_days(conn, date(2026, 5, 1), Calendar({**HOLIDAYS, date(2026, 5, 1): False}), TODAY)
        assert (kind, [each.day for each in past]) == (Kind.DAY_OFF, [date(2026, 4, 13)]), "what there has been"
        kind, past = staffing.past_days(conn, date(2026, 4, 13), calendar, TODAY)
        assert (kind, [each.day for each in past]) == (Kind.SUNDAY, [date(2026, 4, 12)]), "else as on a Sunday"
        assert staffing.past_days(conn, date(2026, 4, 7), calendar, TODAY) == (Kind.TUESDAY, [])
    assert staffing.forecast(date(2026, 4, 7), Kind.TUESDAY, [], 10.0).handled_s is None


def test_an_error_is_what_such_a_forecast_was_off_by() -> None:
    days = [Past(TODAY - timedelta(weeks=n), {600: Half(calls=count)}) for n, count in ((1, 30), (2, 10))]
    found = staffing.forecast(TODAY, Kind.MONDAY, days, 0.0)
    assert found.error == found.day_error == pytest.approx(20 / 30), "ten were expected, and thirty came"
    assert staffing.forecast(TODAY, Kind.MONDAY, days[:1], 0.0).error is None


@given(st.lists(st.floats(0, 400), min_size=48, max_size=48), st.floats(0, 0.5), st.floats(0.5, 3))
def test_seats_are_erlangs(calls: list[float], absent: float, load: float) -> None:
    what = What(200.0, 120.0, load=load, absent=absent)
    for need, expected in zip(staffing.needs(calls[:6] + [0.0] * 42, {}, what), calls, strict=False):
        assert need.seats == erlang.seats_needed(need.calls / 1800, 200.0, 120.0, what.target)
        assert (1 - absent) * need.listed >= need.seats - 1e-6
        assert (1 - absent) * (need.listed - 1) < need.seats
        assert need.minute >= 180 or need.calls == pytest.approx(expected * load)
        assert need.service is None, "nothing is planned"


def test_what_comes_of_the_plan() -> None:
    calls = [0.0] * 20 + [60.0] + [0.0] * 27
    what = What(240.0, 150.0, absent=0.1)
    need = staffing.needs(calls, {600: 10}, what)[20]
    real = erlang.Leaving(60 / 1800, 240.0, 9, 150.0)
    assert (need.given, need.service, need.occupancy) == (10, real.within(20), real.occupancy)
    fixed = staffing.needs(calls, {600: 10}, What(240.0, 150.0, seats=3))
    assert {each.given for each in fixed} == {3}
    assert fixed[20].service == erlang.Leaving(60 / 1800, 240.0, 3, 150.0).within(20)
    assert fixed[0].service is None, "of no calls no share is answered"


def test_a_plan_is_put_and_changed(db: Database) -> None:
    now = datetime.now(UTC)
    with db.write() as conn:
        assert staffing.put(conn, TODAY, {600: 5, 630: 6}, now=now, staff_id=None) == 2
        assert staffing.put(conn, TODAY, {600: 5, 630: 0}, now=now, staff_id=None) == 1, "only what differs"
        assert staffing.put(conn, TODAY, {600: 5}, now=now, staff_id=None) == 0
        assert staffing.plan(conn, TODAY) == {600: 5, 630: 0}
        assert staffing.plan(conn, TODAY + timedelta(days=1)) == {}
        for bad in ({601: 5}, {1440: 5}, {600: -1}, {600: 1001}):
            with pytest.raises(BadInput, match=r"staffing\.no_such"):
                staffing.put(conn, TODAY, bad, now=now, staff_id=None)
    assert staffing.between(570, 660) == [570, 600, 630]
    with pytest.raises(BadInput, match="backwards"):
        staffing.between(600, 600)


def test_the_seats_to_come_are_those_planned_and_else_those_of_a_week_before(db: Database) -> None:
    monday, now = date(2026, 1, 12), datetime(2026, 1, 12, 12, tzinfo=KYIV)
    with db.write() as conn:
        for seat, until in (("101", 12), ("102", 10)):  # a week before, from nine on
            calls.seat_event(conn, seat, datetime(2026, 1, 5, 9, tzinfo=KYIV), "login")
            calls.seat_event(conn, seat, datetime(2026, 1, 5, until, tzinfo=KYIV), "logout")
        staffing.put(conn, monday, {600: 7}, now=now, staff_id=None)
        found = staffing.expected(conn, monday, 2, now)
    assert found == {(monday, 540): 2, (monday, 570): 2, (monday, 600): 7, (monday, 630): 1, (monday, 660): 1,
                     (monday, 690): 1}  # fmt: skip


def test_the_next_half_hours_are_the_forecasts_over_midnight_too(db: Database) -> None:
    now = datetime.combine(TODAY, time(22, 50), KYIV)
    with db.read() as conn:
        assert staffing.ahead(conn, now, 10.0) == [], "no history, no forecast"
    fill(db, date(2026, 1, 5), TODAY - timedelta(days=1))
    with db.read() as conn:
        found = staffing.ahead(conn, now, 10.0)
        needed = []
        for day in (TODAY, TODAY + timedelta(days=1)):
            told = staffing.forecast(day, *staffing.past_days(conn, day, Calendar({}), TODAY), 10.0)
            needed.append(staffing.needs(told.calls, {}, What(told.handled_s or 0, told.patience_s)))
    clock = [half.at.astimezone(KYIV) for half in found]
    halves = [(at.day - TODAY.day, at.hour, at.minute) for at in clock]
    assert halves == [(0, 22, 30), (0, 23, 0), (0, 23, 30), (1, 0, 0)]
    assert [half.seats for half in found] == [needed[0][n].seats for n in (45, 46, 47)] + [needed[1][0].seats]
    assert sum(half.calls for half in found) > 0
