"""Deadlines watched: what the policy says, and that each is told once, to the right people, whatever happens."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, update

from crm import appeals, deadlines, law, life, seed
from crm.calendar import Calendar
from crm.clock import KYIV
from crm.deadlines import Alert, Event, Rule, Tell, Watched, alerts
from crm.errors import BadInput, NotFound
from crm.life import Action, Evidence, State
from crm.people import Role, add_staff, set_active
from crm.schema import appeal as appeal_table
from crm.schema import department, edit_log, notice, staff
from crm.store import Database
from tests.crm.conftest import NOON, City, found_city

WEEK = Calendar()  # Monday to Friday
MONDAY = dt.datetime(2026, 9, 7, 9, 30, tzinfo=KYIV)


def kyiv(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=KYIV)  # type: ignore[arg-type,misc]


def end(month: int, day: int) -> dt.datetime:
    return kyiv(2026, month, day, 23, 59, 59)


def watched(**given: Any) -> Watched:
    """Passed to work on Monday the 7th of September, due on Tuesday the 22nd."""
    values = {"state": State.ASSIGNED, "due_at": end(9, 22), "forward_by": end(9, 14), "passed_at": MONDAY}
    return Watched(**{**values, **given})


def rules(*said: tuple[Event, int] | tuple[Event, int, Tell]) -> list[Rule]:
    return [Rule(n, line[0], line[1], line[2] if len(line) > 2 else Tell.DEPARTMENT) for n, line in enumerate(said, 1)]


def moments(found: Collection[Alert]) -> list[dt.datetime]:
    return [alert.at for alert in found]


# ── the policy ──
@pytest.mark.parametrize(("event", "days", "given", "expected"), [
    (Event.WARNING, 1, {}, kyiv(2026, 9, 21, 0, 0)),
    (Event.WARNING, 2, {}, kyiv(2026, 9, 18, 0, 0)),  # over the weekend: Friday
    (Event.WARNING, 0, {}, kyiv(2026, 9, 22, 0, 0)),
    (Event.OVERDUE, 0, {}, end(9, 22)),
    (Event.OVERDUE, 4, {}, end(9, 28)),
    (Event.UNACKNOWLEDGED, 0, {}, end(9, 7)),
    (Event.UNACKNOWLEDGED, 1, {}, end(9, 8)),
    (Event.UNACKNOWLEDGED, 5, {}, end(9, 14)),
    (Event.UNROUTED, 2, {"at_desk": True}, kyiv(2026, 9, 10, 0, 0)),
    (Event.OVERDUE, 0, {"state": State.CONTROL}, end(9, 22)),
    (Event.UNACKNOWLEDGED, 1, {"state": State.RETURNED, "merged": True}, end(9, 8)),
])  # fmt: skip
def test_when_it_must_be_told(event: Event, days: int, given: dict[str, Any], expected: dt.datetime) -> None:
    assert moments(alerts(watched(**given), rules((event, days)), MONDAY, WEEK)) == [expected]


@pytest.mark.parametrize(("event", "days", "given"), [
    (Event.WARNING, 2, {"due_at": end(9, 9)}),  # whoever was given it on that day was told its deadline
    (Event.WARNING, 2, {"extended_at": kyiv(2026, 9, 18, 10, 0)}),
    (Event.UNACKNOWLEDGED, 0, {"acknowledged_at": MONDAY}),
    (Event.UNACKNOWLEDGED, 0, {"state": State.IN_WORK}),
    (Event.UNROUTED, 2, {}),  # somebody is responsible
    (Event.OVERDUE, 0, {"merged": True}),
    *((event, 1, {"state": state, "at_desk": True}) for event in Event for state in set(State) - life.OPEN),
])  # fmt: skip
def test_when_there_is_nothing_to_tell(event: Event, days: int, given: dict[str, Any]) -> None:
    assert alerts(watched(**given), rules((event, days)), MONDAY, WEEK) == []


def test_no_warning_of_what_has_passed() -> None:
    said = rules((Event.WARNING, 2), (Event.OVERDUE, 0))
    assert [alert.event for alert in alerts(watched(), said, end(9, 22), WEEK)] == [Event.WARNING, Event.OVERDUE]
    late = alerts(watched(), said, end(9, 22) + dt.timedelta(seconds=1), WEEK)
    assert [alert.event for alert in late] == [Event.OVERDUE]


def test_days_off_are_not_counted() -> None:
    friday_off = Calendar({dt.date(2026, 9, 18): False})
    assert moments(alerts(watched(), rules((Event.WARNING, 2)), MONDAY, friday_off)) == [kyiv(2026, 9, 17, 0, 0)]


def test_two_who_are_told_the_same_are_one_alert() -> None:
    said = rules((Event.OVERDUE, 0, Tell.DEPARTMENT), (Event.OVERDUE, 0, Tell.CONTROL))
    assert len(alerts(watched(), said, MONDAY, WEEK)) == 1


INSTANTS = st.integers(1_780_000_000, 1_800_000_000).map(lambda s: dt.datetime.fromtimestamp(s, dt.UTC))
WATCHED = st.builds(Watched, st.sampled_from(sorted(State)), INSTANTS, INSTANTS, INSTANTS, st.none() | INSTANTS,
                    st.none() | INSTANTS, st.booleans(), st.booleans())  # fmt: skip
RULES = st.lists(st.builds(Rule, st.integers(1, 9), st.sampled_from(list(Event)), st.integers(0, 9),
                           st.sampled_from(list(Tell))))  # fmt: skip
DAYS_OFF = st.dictionaries(st.dates(dt.date(2026, 5, 20), dt.date(2027, 2, 1)), st.booleans()).map(Calendar)


@given(WATCHED, RULES, INSTANTS, DAYS_OFF)
def test_alerts_come_in_order_and_each_once(it: Watched, said: list[Rule], now: dt.datetime, cal: Calendar) -> None:
    found = alerts(it, said, now, cal)
    assert moments(found) == sorted(moments(found))
    assert len({alert.told for alert in found}) == len(found)
    assert {(alert.event, alert.days) for alert in found} <= {(rule.event, rule.days) for rule in said}
    for alert in found:
        match alert.event:
            case Event.WARNING:
                assert it.passed_at < alert.at <= it.due_at
            case Event.OVERDUE:
                assert alert.at >= it.due_at
            case Event.UNACKNOWLEDGED:
                assert alert.at > it.passed_at
            case Event.UNROUTED:
                assert alert.at <= it.forward_by
    assert [a for a in alerts(it, said, now + dt.timedelta(days=400), cal) if a not in found] == []  # none comes later


# ── to whom ──
@pytest.fixture
def desk(city: City) -> dict[str, int]:
    """A city whose heating has a superior, with a control desk of three: one without an e-mail, one who left."""
    people: dict[str, int] = {}
    for login, email in (("v.bondar", "v.bondar@example.org"), ("t.sydorenko", ""), ("h.left", "h.left@example.org")):
        people[login] = add_staff(city.conn, login=login, name=login, password_hash="-", role=Role.CONTROL)
        city.conn.execute(update(staff).where(staff.c.id == people[login]).values(email=email))
    set_active(city.conn, people["h.left"], False)
    city.conn.execute(update(department).where(department.c.id == city.heating).values(superior_id=city.roads))
    return people


def say(city: City, event: Event, days: int, tell: Tell, person_id: int | None = None) -> int:
    return deadlines.add_rule(city.conn, event, days, tell, person_id, now=city.now, staff_id=city.operator)


def sweep(city: City) -> int:
    return deadlines.watch(city.conn, city.now)


def told(city: City) -> list[tuple[str, str, int | None]]:
    """(what, to whom, which), in order."""
    n = notice.c
    rows = city.conn.execute(select(n.kind, n.audience, func.coalesce(n.department_id, n.staff_id))
                             .where(n.kind.in_(("warning", "overdue", "unacknowledged"))).order_by(n.id))  # fmt: skip
    return [(kind, audience, whom) for kind, audience, whom in rows]


def lines(city: City, appeal_id: int) -> list[tuple[Action, dict[str, Any]]]:
    return [(line.action, dict(line.evidence)) for line in appeals.history(city.conn, appeal_id)
            if line.action in (Action.WARN, Action.ESCALATE)]  # fmt: skip


def test_each_is_told_in_its_turn_and_once(city: City, desk: dict[str, int]) -> None:
    say(city, Event.WARNING, 3, Tell.DEPARTMENT)
    say(city, Event.OVERDUE, 0, Tell.DEPARTMENT)
    say(city, Event.OVERDUE, 1, Tell.SUPERIOR)
    say(city, Event.OVERDUE, 3, Tell.CONTROL)
    say(city, Event.OVERDUE, 3, Tell.STAFF, desk["t.sydorenko"])
    made = city.registered()  # due on Wednesday the 9th of December
    version = city.get(made).version
    expected: list[tuple[str, str, int | None]] = []
    for day, more in ((3, []), (4, [("warning", "department", city.heating)]), (9, []),
                      (10, [("overdue", "department", city.heating)]), (11, [("overdue", "department", city.roads)]),
                      (14, []), (15, [("overdue", "staff", desk["v.bondar"]),
                                      ("overdue", "staff", desk["t.sydorenko"])]), (30, [])):  # fmt: skip
        city.now = kyiv(2026, 12, day, 8, 0)
        expected += more
        for _ in range(3):
            sweep(city)
        assert told(city) == expected, day
    of = {"of": "2026-12-09"}
    assert lines(city, made.id) == [
        (Action.WARN, {"event": "warning", "days": 3, **of, "told": ["department"]}),
        (Action.ESCALATE, {"event": "overdue", "days": 0, **of, "told": ["department"]}),
        (Action.ESCALATE, {"event": "overdue", "days": 1, **of, "told": ["superior"]}),
        (Action.ESCALATE, {"event": "overdue", "days": 3, **of, "told": ["control", "staff"]}),
    ]
    assert city.get(made).version == version  # nobody's page went stale by it
    history = appeals.history(city.conn, made.id)
    assert life.replay(line.action for line in history) == (State.ASSIGNED, 0)


def test_silence_is_told_until_somebody_acknowledges(city: City, desk: dict[str, int]) -> None:
    say(city, Event.UNACKNOWLEDGED, 1, Tell.DEPARTMENT)
    say(city, Event.UNACKNOWLEDGED, 2, Tell.SUPERIOR)
    silent, seen = city.registered(), city.registered()
    city.later(hours=3)
    appeals.act(city.conn, seen.id, Action.ACKNOWLEDGE, now=city.now)
    city.later(days=1)
    sweep(city)
    assert told(city) == []  # the whole of the next working day is theirs
    city.later(days=1)
    sweep(city)
    assert told(city) == [("unacknowledged", "department", city.heating)]
    city.later(days=1)
    sweep(city)
    assert told(city)[1:] == [("unacknowledged", "department", city.roads)]
    assert lines(city, seen.id) == []
    # Given to another department: its own days, told anew.
    appeals.act(city.conn, silent.id, Action.ASSIGN, now=city.now, department_id=city.roads)
    city.later(days=6)
    sweep(city)
    assert told(city)[2:] == [("unacknowledged", "department", city.roads),
                              ("unacknowledged", "staff", desk["v.bondar"])]  # fmt: skip  # nobody is above it


def test_who_has_it_under_personal_control_is_told(city: City) -> None:
    official = add_staff(city.conn, login="head", name="Голова", password_hash="-", role=Role.OFFICIAL)
    say(city, Event.OVERDUE, 0, Tell.OFFICIAL)
    watched_over, other = city.registered(), city.registered()
    appeals.act(city.conn, watched_over.id, Action.TAKE_CONTROL, now=city.now, official_id=official)
    city.now = city.get(other).due_at
    sweep(city)
    assert told(city) == [("overdue", "staff", official)]


def test_what_lies_with_the_desk_must_be_sent_on(city: City, desk: dict[str, int]) -> None:
    say(city, Event.UNROUTED, 2, Tell.CONTROL)
    city.conn.execute(update(department).where(department.c.id == city.roads).values(is_desk=True))
    city.conn.execute(insert(edit_log), {"at": city.now, "what": "department", "record_key": "2"})
    unrouted = city.registered(department_id=city.roads)  # on the 24th: to be sent on by Monday the 30th
    city.registered()
    city.now = kyiv(2026, 11, 25, 23, 59)
    sweep(city)
    assert told(city) == []
    city.now = kyiv(2026, 11, 26, 0, 0)
    sweep(city)
    assert told(city) == [("warning", "staff", desk["v.bondar"])]
    assert [action for action, _ in lines(city, unrouted.id)] == [Action.WARN]


def test_the_days_to_send_it_on_begin_anew_with_the_term(city: City, desk: dict[str, int]) -> None:
    say(city, Event.UNROUTED, 2, Tell.CONTROL)
    city.conn.execute(update(department).where(department.c.id == city.roads).values(is_desk=True))
    made = city.registered(department_id=city.roads)
    appeals.act(city.conn, made.id, Action.PLAN, now=city.now, note="У програмі",
                until=city.now + dt.timedelta(days=20))  # fmt: skip
    city.later(days=20)
    appeals.resume_planned(city.conn, city.now)  # on Monday the 14th of December: to be sent on by the 21st
    sweep(city)
    assert told(city) == []
    city.now = kyiv(2026, 12, 17, 8, 0)
    sweep(city)
    assert told(city) == [("warning", "staff", desk["v.bondar"])]


def test_a_superior_that_is_no_more_is_not_told(city: City, desk: dict[str, int]) -> None:
    city.conn.execute(update(department).where(department.c.id == city.roads).values(active=False))
    say(city, Event.OVERDUE, 0, Tell.SUPERIOR)
    made = city.registered()
    city.now = made.due_at
    sweep(city)
    assert told(city) == [("overdue", "staff", desk["v.bondar"])]


def test_who_is_told_for_two_reasons_is_told_once(city: City, desk: dict[str, int]) -> None:
    say(city, Event.OVERDUE, 0, Tell.CONTROL)
    say(city, Event.OVERDUE, 0, Tell.STAFF, desk["v.bondar"])
    made = city.registered()
    city.now = made.due_at
    sweep(city)
    assert told(city) == [("overdue", "staff", desk["v.bondar"])]


def test_where_nobody_can_be_told_the_history_still_says_so(city: City) -> None:
    say(city, Event.OVERDUE, 0, Tell.CONTROL)  # a control desk without people
    made = city.registered()
    city.now = made.due_at
    for _ in range(2):
        sweep(city)
    assert told(city) == []
    assert [action for action, _ in lines(city, made.id)] == [Action.ESCALATE]


# ── what changes meanwhile ──
def test_an_extended_one_is_warned_of_and_late_anew(city: City) -> None:
    say(city, Event.WARNING, 1, Tell.DEPARTMENT)
    say(city, Event.OVERDUE, 0, Tell.DEPARTMENT)
    made = city.registered()
    city.now = kyiv(2026, 12, 8, 9, 0)
    sweep(city)
    until = law.end_of(dt.date(2026, 12, 22))
    appeals.act(city.conn, made.id, Action.EXTEND, now=city.now, note="Чекаємо на труби", until=until)
    city.now = kyiv(2026, 12, 10, 9, 0)
    sweep(city)
    assert len(told(city)) == 1  # it is not late
    city.now = kyiv(2026, 12, 23, 9, 0)
    sweep(city)
    assert [kind for kind, *_ in told(city)] == ["warning", "overdue"]  # slept through the second warning: no use now


def test_what_is_done_or_planned_is_not_late(city: City) -> None:
    say(city, Event.OVERDUE, 0, Tell.DEPARTMENT)
    done, planned = city.executed(), city.registered()
    appeals.act(city.conn, planned.id, Action.PLAN, now=city.now, note="У програмі",
                until=city.now + dt.timedelta(days=300))  # fmt: skip
    city.later(days=40)
    sweep(city)
    assert told(city) == []
    # The resident says that it is not solved: late it was, and is.
    appeals.act(city.conn, done.id, Action.NOT_SOLVED, now=city.now, evidence=Evidence("1764000000.1", staff_id=1))
    sweep(city)
    assert told(city) == [("overdue", "department", city.heating)]


def test_a_new_rule_holds_for_what_is_open_already(city: City) -> None:
    made = city.registered()
    city.now = made.due_at + dt.timedelta(days=1)
    sweep(city)
    assert told(city) == []
    rule_id = say(city, Event.OVERDUE, 0, Tell.DEPARTMENT)
    sweep(city)
    assert len(told(city)) == 1
    deadlines.remove_rule(city.conn, rule_id, now=city.now, staff_id=None)
    assert deadlines.rules(city.conn) == []
    with pytest.raises(NotFound):
        deadlines.remove_rule(city.conn, rule_id, now=city.now, staff_id=None)


def test_a_clock_that_jumps_tells_nothing_twice(city: City) -> None:
    say(city, Event.WARNING, 3, Tell.DEPARTMENT)
    say(city, Event.OVERDUE, 0, Tell.DEPARTMENT)
    say(city, Event.UNACKNOWLEDGED, 1, Tell.DEPARTMENT)
    made = city.registered()
    for days in (10, -30, 11, 400, -400, 16, 0, 1000):
        city.now = NOON + dt.timedelta(days=days)
        sweep(city)
        if days == 11:  # a change asks for another look, by whatever clock
            appeals.act(city.conn, made.id, Action.REPRIMAND, now=city.now, note="Мовчать")
    assert sorted(kind for kind, *_ in told(city)) == ["overdue", "unacknowledged", "warning"]
    assert len(lines(city, made.id)) == 3


# ── the rules as the city says them ──
@pytest.mark.parametrize(("given", "error"), [
    ((Event.WARNING, -1, Tell.CONTROL), "escalation.days"), ((Event.WARNING, 10**9, Tell.CONTROL), "escalation.days"),
    ((Event.WARNING, 1, Tell.STAFF), "escalation.staff"), ((Event.WARNING, 1, Tell.CONTROL, 1), "escalation.staff"),
    ((Event.WARNING, 1, Tell.STAFF, 999), "escalation.staff"), ((Event.OVERDUE, 3, Tell.CONTROL), "escalation.known"),
])  # fmt: skip
def test_a_rule_that_makes_no_sense_is_refused(city: City, given: Any, error: str) -> None:
    say(city, Event.OVERDUE, 3, Tell.CONTROL)
    with pytest.raises(BadInput, match=error):
        say(city, *given)
    assert len(deadlines.rules(city.conn)) == 1


def test_the_sample_has_sensible_rules_and_does_not_overrule_the_city(db: Database) -> None:
    with db.write() as conn:
        seed.load_seed(conn, NOON)
        said = deadlines.rules(conn)
        assert {rule.event for rule in said} == set(Event)
        for rule in said[1:]:
            deadlines.remove_rule(conn, rule.id, now=NOON, staff_id=None)
        conn.execute(insert(edit_log), {"at": NOON, "what": "seed", "record_key": "another"})
        seed.load_seed(conn, NOON)
        assert deadlines.rules(conn) == said[:1]


# ── how it is done ──
def test_only_what_is_due_is_read(city: City) -> None:
    say(city, Event.WARNING, 3, Tell.DEPARTMENT)
    for _ in range(5):
        city.registered()
    assert sweep(city) == 5  # once after a change
    assert sweep(city) == 0
    city.now = kyiv(2026, 12, 4, 0, 0)
    assert sweep(city) == 5
    assert sweep(city) == 0
    assert city.conn.execute(select(func.count(appeal_table.c.watch_at))).scalar_one() == 0  # nothing more to tell


def test_what_is_due_is_found_by_its_index(city: City) -> None:
    compiled: Any = deadlines._DUE.compile(dialect=city.conn.dialect, compile_kwargs={"render_postcompile": True})
    values = compiled.construct_params({"now": "2026-12-04 00:00:00+00:00"})
    if city.conn.dialect.name == "sqlite":
        plan = city.conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", tuple(map(values.get, compiled.positiontup)))
    else:
        city.conn.exec_driver_sql("SET LOCAL enable_seqscan = off")  # of an empty table it thinks little
        plan = city.conn.exec_driver_sql(f"EXPLAIN {compiled}", values)
    assert "ix_appeal_watch_at" in str(plan.all())


def test_more_than_a_batch_is_told_in_turns(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    say(city, Event.OVERDUE, 0, Tell.DEPARTMENT)
    monkeypatch.setattr(deadlines, "_DUE", deadlines._DUE.limit(2))
    made = [city.registered() for _ in range(5)]
    city.now = made[0].due_at
    assert [sweep(city) for _ in range(4)] == [2, 2, 1, 0]
    assert len(told(city)) == 5


def test_what_is_being_changed_is_left_to_the_next_time(postgres_url: str) -> None:
    """On a server, where two write at once: what is executed meanwhile must not be called late after it."""
    db = Database(postgres_url)
    with db.write() as conn:
        city = found_city(conn)
        say(city, Event.OVERDUE, 0, Tell.DEPARTMENT)
        executed, late = city.registered(), city.registered()
    with db.write() as executing:
        appeals.act(executing, executed.id, Action.EXECUTE, now=late.due_at)
        with db.write() as conn:
            assert deadlines.watch(conn, late.due_at) == 1
    with db.write() as conn:
        deadlines.watch(conn, late.due_at)
        city.conn = conn
        assert (len(lines(city, late.id)), lines(city, executed.id)) == (1, [])
    db.close()


KILLED = """
import datetime as dt, sys, time
from crm import deadlines
from crm.store import Database
with Database(sys.argv[1]).write() as conn:
    assert deadlines.watch(conn, dt.datetime.fromisoformat(sys.argv[2])) == 1
    print("told", flush=True)
    time.sleep(600)
"""


def test_a_sweep_that_is_killed_has_told_nothing_and_the_next_tells_once(db: Database, database_url: str) -> None:
    with db.write() as conn:
        city = found_city(conn)
        say(city, Event.OVERDUE, 0, Tell.DEPARTMENT)
        made = city.registered()
    sweeper = subprocess.Popen([sys.executable, "-c", KILLED, database_url, made.due_at.isoformat()],
                               stdout=subprocess.PIPE)  # fmt: skip
    assert sweeper.stdout is not None
    with sweeper, sweeper.stdout:
        assert sweeper.stdout.readline() == b"told\n"
        os.kill(sweeper.pid, signal.SIGKILL)
    for _ in range(2):
        with db.write() as conn:
            deadlines.watch(conn, made.due_at)
    with db.read() as conn:
        city.conn = conn
        assert told(city) == [("overdue", "department", city.heating)]
        assert len(lines(city, made.id)) == 1
