"""The supervisor's switches on record: one of a kind at a time, who, when and why; and the day so far."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import insert

from crm import calls, edits, people, surges, today
from crm.calls import EndCause
from crm.errors import IllegalAction
from crm.people import Role
from crm.schema import attempt, promise
from crm.surges import Effects, Kind
from tests.crm.conftest import NOON, City


def switch(city: City, kind: Kind, to: str, reason: str = "") -> None:
    if to == "on":
        surges.switch_on(city.conn, kind, now=city.now, staff_id=city.operator, reason=reason)
    else:
        surges.switch_off(city.conn, kind, now=city.now, staff_id=city.operator)


def test_each_is_on_or_off_by_itself(city: City) -> None:
    switch(city, Kind.SURGE, "on", "  Аварія на   Подолі ")
    city.later(minutes=5)
    switch(city, Kind.ALERT, "on")
    on = surges.on(city.conn)
    assert set(on) == set(Kind)
    assert (on[Kind.SURGE].began_at, on[Kind.SURGE].beginner, on[Kind.SURGE].reason) == (
        NOON, "Оксана Коваль", "Аварія на Подолі")  # fmt: skip
    city.later(minutes=5)
    switch(city, Kind.ALERT, "off")
    assert set(surges.on(city.conn)) == {Kind.SURGE}
    assert surges.last_ended(city.conn, Kind.ALERT) == city.now
    assert surges.last_ended(city.conn, Kind.SURGE) is None


def test_twice_is_refused_and_then_it_may_be_again(city: City) -> None:
    with pytest.raises(IllegalAction, match=r"surge\.is_off"):
        switch(city, Kind.SURGE, "off")
    switch(city, Kind.SURGE, "on", "перша")
    with pytest.raises(IllegalAction, match=r"surge\.is_on"):
        switch(city, Kind.SURGE, "on", "друга")
    city.later(hours=1)
    switch(city, Kind.SURGE, "off")
    city.later(hours=1)
    switch(city, Kind.SURGE, "on", "третя")
    past = surges.history(city.conn)
    assert [one.reason for one in past] == ["третя", "перша"]
    assert past[0].ended_at is None
    assert (past[1].ended_at, past[1].ender) == (NOON + dt.timedelta(hours=1), "Оксана Коваль")


def test_each_switch_is_in_the_log_of_changes(city: City) -> None:
    switch(city, Kind.ALERT, "on", "сирена")
    switch(city, Kind.ALERT, "off")
    off, on = edits.recent(city.conn, ["surge"], 10)
    assert (on.key, on.staff_id, on.after) == ("alert", city.operator, {"on": True, "reason": "сирена"})
    assert (off.key, off.before, off.after) == ("alert", {"on": True}, {"on": False})


def test_what_callers_notice() -> None:
    assert not Effects().at_once
    assert Effects(surge=True).at_once
    assert Effects(alert=True).at_once


def test_what_the_line_must_know_after_a_restart(city: City) -> None:
    calls.seat_event(city.conn, "101", NOON - dt.timedelta(minutes=1), "pause", reason="alert")  # of the last one
    for seat, kind, reason in (("102", "pause", "alert"), ("103", "pause", "break"), ("104", "login", "")):
        calls.seat_event(city.conn, seat, NOON, kind, reason=reason)
    assert surges.paused_since(city.conn, "alert", NOON) == {"102"}
    kept = city.conn.execute(insert(promise).values(
        e164="+380441112233", reason="waiting", state="waiting", since=NOON, turn=NOON, made_at=NOON, expires_at=NOON,
        due_at=NOON).returning(promise.c.id)).scalar_one()  # fmt: skip
    for id, at in (("pr-1", NOON - dt.timedelta(seconds=1)), ("pr-2", NOON)):
        city.conn.execute(insert(attempt).values(id=id, promise_id=kept, e164="+380441112233", mode="auto",
                                                 placed_at=at, ended_at=at))  # fmt: skip
    assert surges.promised_calls_since(city.conn, NOON) == 1


def test_the_day_so_far_is_this_days_in_kyiv(city: City) -> None:
    """Yesterday's call, five minutes before midnight in Kyiv, is not of it."""
    midnight = dt.datetime(2026, 11, 23, 22, 0, tzinfo=dt.UTC)
    for n, (at, waited, said) in enumerate([
        (midnight - dt.timedelta(minutes=5), 1, 60), (midnight, 10, 60), (NOON, 90, 60), (NOON, 100, None),
    ]):  # fmt: skip
        came = f"1764.{n}"
        calls.arrived(city.conn, came, at=at, origin="mobile")
        calls.queued(city.conn, came, at, "city", 1, said, told_low_s=0)
        calls.answered(city.conn, came, "101", at + dt.timedelta(seconds=waited), city.operator)
    calls.arrived(city.conn, "1764.9", at=NOON, origin="mobile")
    calls.queued(city.conn, "1764.9", NOON, "city", 1)
    calls.ended(city.conn, "1764.9", NOON + dt.timedelta(seconds=30), EndCause.ABANDONED, wait_s=30.0)
    for number, state, told_at, called_at in (
        ("1", "kept", NOON, NOON - dt.timedelta(minutes=1)), ("2", "kept", NOON, NOON + dt.timedelta(minutes=1)),
        ("3", "waiting", NOON - dt.timedelta(minutes=1), None), ("4", "waiting", NOON + dt.timedelta(minutes=5), None),
    ):  # fmt: skip
        city.conn.execute(insert(promise).values(
            e164=f"+38044000000{number}", reason="waiting", state=state, since=NOON, turn=NOON, made_at=NOON,
            told_at=told_at, called_at=called_at, expires_at=NOON, due_at=NOON,
            ended_at=NOON if state == "kept" else None))  # fmt: skip
    found = today.so_far(city.conn, NOON, 20)
    assert (found.offered, found.abandoned, found.service_level) == (4, 1, 0.25)
    assert (found.calibration, found.error_s) == (0.5, 40.0), "20 s and 60 s from the middle of what was said"
    assert (found.promised, found.kept, found.late) == (4, 2, 2)


def test_a_quiet_morning_has_no_shares(city: City) -> None:
    found = today.so_far(city.conn, NOON, 20)
    assert (found.offered, found.service_level, found.calibration, found.error_s) == (0, None, None, None)


def test_two_who_switch_at_once(city: City) -> None:
    """Whoever is second is told so, and the first one's reason stays."""
    other = people.add_staff(city.conn, login="s.bondar", name="Степан Бондар", password_hash="-",
                             role=Role.SUPERVISOR)  # fmt: skip
    switch(city, Kind.SURGE, "on", "моя")
    with pytest.raises(IllegalAction):
        surges.switch_on(city.conn, Kind.SURGE, now=city.now, staff_id=other, reason="його")
    assert surges.on(city.conn)[Kind.SURGE].reason == "моя"
