"""Each figure recomputed from the raw history a second way, in plain Python, over lives that chance has made.

What happened is read from ``appeal_event`` and ``call_event`` alone; of an appeal only what no event tells (what it is
about, where, its deadline) is read from the appeal.
"""

from __future__ import annotations

import datetime as dt
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select

from crm import addresses, appeals, call_figures, calls, citizens, confirmations, figures, report
from crm.call_figures import Calls
from crm.calls import EndCause, Outcome
from crm.clock import KYIV
from crm.confirmation_rules import Reached, Result, Rules
from crm.errors import BadInput, CentreError
from crm.figures import BY_CALLBACK, COHORT, FLOW, NOBODY, NOW, Cut, Tally
from crm.life import Action, Evidence
from crm.people import Role, add_staff
from crm.periods import Period, month_of, week_of
from crm.schema import appeal, appeal_event, attempt, call, call_event, consultation, department, seat_event, subject
from crm.store import Database, insert_row
from tests.conftest import PostgresServer

# Kyiv's clocks go back in the night to 25 October: that day has 25 hours, and the month has two offsets.
START, OCTOBER = dt.datetime(2026, 9, 20, 6, tzinfo=dt.UTC), month_of(dt.date(2026, 10, 1))
PERIODS = (OCTOBER, week_of(dt.date(2026, 10, 25)), Period(dt.date(2026, 10, 25), dt.date(2026, 10, 25)))
STEPS = 900


@dataclass
class Life:
    """A small city whose people do what they may, at times that chance says."""

    conn: Connection
    chance: random.Random
    now: dt.datetime = START
    ids: list[int] = field(default_factory=list)
    calls: int = 0
    ringing: int = 0

    def live(self) -> None:
        self.found()
        doings = (self.register, self.register, self.act, self.act, self.act, self.call_back, self.call_back,
                  self.calls_in, self.speak_again, self.sit)  # fmt: skip
        for _ in range(STEPS):
            self.now += dt.timedelta(seconds=self.chance.expovariate(1 / 6000))
            self.chance.choice(doings)()

    def found(self) -> None:
        conn = self.conn
        self.departments = [insert_row(conn, department, {"name": f"Служба {n}", "is_desk": n == 0}) for n in range(3)]
        self.outside = insert_row(conn, department, {"name": "Суд", "kind": "outside"})
        self.subjects: list[int] = []
        for parent in (None, None, 0, 0, 1, 2):  # a tree of three levels
            n = len(self.subjects)
            self.subjects.append(insert_row(conn, subject, {
                "parent_id": None if parent is None else self.subjects[parent], "name_uk": f"Тема {n}",
                "name_en": f"Subject {n}", "department_id": self.departments[n % 3], "term_days": [None, 1, 5][n % 3]}))
        self.districts = [addresses.add_district(conn, f"Район {n}", f"District {n}") for n in range(2)]
        street = addresses.add_street(conn, "вулиця Хрещатик")
        self.buildings = [addresses.add_building(conn, street, str(n), self.districts[n % 2]) for n in range(1, 5)]
        self.staff = [add_staff(conn, login=f"o{n}", name=f"Оператор {n}", password_hash="-", role=Role.OPERATOR)
                      for n in range(3)]
        self.citizens = [citizens.add(conn, now=self.now, name=f"Заявник {n}", phones=[f"+38044000000{n}"])
                         for n in range(8)]
        for citizen in self.citizens[:4]:
            citizens.set_consent(conn, citizen, True)  # fmt: skip

    def register(self) -> None:
        chance = self.chance
        made = appeals.register(
            self.conn, now=self.now, citizen_id=chance.choice([None, *self.citizens]), text="Немає води",
            building_id=chance.choice([None, *self.buildings]), subject_id=chance.choice(self.subjects),
            district_id=chance.choice([None, *self.districts]), channel=chance.choice(appeals.CHANNELS[:3]),
            staff_id=chance.choice([None, *self.staff]))  # fmt: skip
        self.ids.append(made.id)
        if len(self.ids) > 1 and chance.random() < 0.2:
            self.conn.execute(appeal.update().where(appeal.c.id == made.id).values(repeat_of=self.ids[0]))

    def act(self) -> None:
        actions = [Action.START, *[Action.EXTEND] * 3, Action.EXPLAIN, Action.PLAN, Action.REFUSE,
                   Action.FIND_DEFECTIVE, Action.FORWARD, Action.WITHDRAW, Action.ASSIGN, Action.REPRIMAND,
                   Action.ANSWER, Action.ACKNOWLEDGE, *[Action.EXECUTE] * 9]  # fmt: skip
        action = self.chance.choice(actions)
        to = self.outside if action is Action.FORWARD else self.chance.choice(self.departments)
        if self.ids:
            with suppress(CentreError):
                appeals.act(self.conn, self.chance.choice(self.ids), action, now=self.now, staff_id=self.staff[0],
                            note="Підстава", department_id=to,
                            until=self.now + dt.timedelta(days=self.chance.randint(5, 40)))  # fmt: skip

    def call_back(self) -> None:
        rules = Rules(call_from=0, call_to=1440, tries=2)
        for due in confirmations.due(self.conn, self.now, None, 100, rules)[-1:]:
            seat = self.chance.choice([None, "101"]) if due.mode == "auto" else "101"
            with suppress(BadInput):
                made = confirmations.claim(self.conn, due.callback_id, now=self.now, rules=rules, seat=seat)
                if made is None:
                    return
                reached = self.chance.choice([Reached.ANSWERED, Reached.ANSWERED, Reached.NO_ANSWER, Reached.BUSY,
                                              Reached.NOT_PLACED])  # fmt: skip
                if reached is Reached.ANSWERED:
                    confirmations.attempt_answered(self.conn, made.id, self.now, made.id)
                    for question in due.questions:
                        confirmations.answer(self.conn, number=question.number, result=self.chance.choice(list(Result)),
                                             now=self.now, attempt_id=made.id, staff_id=self.staff[1])  # fmt: skip
                if reached is Reached.NO_ANSWER and self.ringing < 2 and self.now > OCTOBER.start:
                    self.ringing += 1  # it rings still
                else:
                    confirmations.finish(self.conn, made.id, reached, self.now, rules=rules)

    def speak_again(self) -> None:
        """A resident calls of his own accord and says something of an appeal."""
        if self.ids:
            with suppress(CentreError):
                word = self.chance.choice([Action.CONFIRM, Action.NOT_SOLVED])
                appeals.act(self.conn, self.chance.choice(self.ids), word, now=self.now,
                            evidence=Evidence(f"1.{len(self.ids)}", key="1"))  # fmt: skip

    def calls_in(self) -> None:
        for _ in range(4):
            self.now += dt.timedelta(seconds=self.chance.random() * 60)
            self.call()

    def call(self) -> None:
        chance, conn = self.chance, self.conn
        self.calls += 1
        linkedid, at = f"1764.{self.calls}", self.now
        ours = chance.random() < 0.15

        def later(mean: float) -> dt.datetime:
            return at + dt.timedelta(seconds=chance.choice([mean, chance.expovariate(1 / mean)]))

        calls.arrived(conn, linkedid, at=at, origin="mobile",
                      direction=calls.Direction.OUT if ours else calls.Direction.IN)  # fmt: skip
        if chance.random() < 0.2:
            calls.ended(conn, linkedid, later(9), chance.choice([EndCause.CLOSED, EndCause.IVR]))
            return
        said = chance.choice([(None, None), (0, 10), (60, 60), (0, 25)])
        calls.queued(conn, linkedid, at, "city", 1, said[1], told_low_s=said[0])
        fate = chance.choice(["answered"] * 4 + ["abandoned", "abandoned", "promised", "timeout", "lost", "waiting"])
        at = later(5 if fate == "abandoned" else 20)
        if fate == "answered":
            calls.answered(conn, linkedid, "101", at, self.staff[0])
            at = later(200)
            talk = (at - calls_answered(conn, linkedid)).total_seconds()
            if chance.random() < 0.9:
                calls.held(conn, linkedid, at, "101", 7.5)
                calls.ended(conn, linkedid, at, EndCause.COMPLETED, talk_s=talk - 7.5)
                if chance.random() < 0.5:
                    calls.settle(conn, linkedid, Outcome.CONSULTED, self.staff[0], at)
                    conn.execute(insert(consultation), {"linkedid": linkedid, "kind": chance.choice(["article",
                                 "contact"]), "record_id": 1, "at": at})  # fmt: skip
        elif fate != "waiting":
            cause = {"abandoned": EndCause.ABANDONED, "promised": EndCause.PROMISED, "timeout": EndCause.TIMEOUT,
                     "lost": EndCause.LOST}[fate]  # fmt: skip
            calls.ended(conn, linkedid, at, cause, wait_s=(at - self.now).total_seconds())

    def sit(self) -> None:
        calls.seat_event(self.conn, self.chance.choice(["101", "102", "103"]), self.now,
                         self.chance.choice(["login", "logout", "pause", "unpause"]))  # fmt: skip


def calls_answered(conn: Connection, linkedid: str) -> dt.datetime:
    known = calls.get(conn, linkedid)
    assert known is not None
    assert known.answered_at is not None
    return known.answered_at


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """One life on each database, made once: the tests only read it."""
    postgres: PostgresServer | None = None
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("life") / "1551.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        name, url = "", f"sqlite:///{path}"
    else:
        postgres = request.getfixturevalue("postgres")
        name = postgres.create(postgres.template)
        url = postgres.url(name)
    db = Database(url)
    with db.write() as conn:
        made = Life(conn, random.Random(1551))  # the same life each time
        made.live()
    with db.read() as conn:
        made.conn = conn
        yield made
    db.close()
    if postgres is not None:
        postgres.drop(name)


def within(at: dt.datetime, period: Period) -> bool:
    return period.first <= at.astimezone(KYIV).date() <= period.last


# ── appeals, from their histories ──
@dataclass
class Told:
    """An appeal as its history tells it."""

    row: Any
    events: list[Any]

    @property
    def registered_at(self) -> dt.datetime:
        return self.events[0].at

    @property
    def executed_at(self) -> dt.datetime | None:
        return next((e.at for e in self.events if e.action in ("execute", "answer")), None)

    @property
    def state(self) -> str:
        return self.events[-1].to_state

    @property
    def hours(self) -> int | None:
        done = self.executed_at
        return None if done is None else (int(done.timestamp()) - int(self.registered_at.timestamp())) // 3600

    def figures(self) -> set[str]:
        """The figures of the cohort that count it."""
        found = {"registered"}
        if self.executed_at is not None:
            found.add("executed")
            if self.executed_at <= self.row.due_at:
                found.add("on_time")
        if any(e.action == "not_solved" for e in self.events):
            found.add("returned")
        if self.row.repeat_of is not None:
            found.add("repeated")
        grouped = {"executed": "awaiting", "closed": "confirmed", **dict.fromkeys(
            ("registered", "assigned", "in_work", "returned", "control"), "open")}  # fmt: skip
        return found | {grouped.get(self.state, self.state)}


def told(conn: Connection) -> list[Told]:
    events = conn.execute(select(appeal_event).order_by(appeal_event.c.id)).all()
    rows = conn.execute(select(appeal)).all()
    return [Told(row, [e for e in events if e.appeal_id == row.id]) for row in rows]


def tally(histories: list[Told]) -> Tally:
    made = Tally()
    for one in histories:
        made.counts.update(one.figures())
        if one.hours is not None:
            made.hours[one.hours] += 1
    return made


def same(one: Tally, other: Tally) -> bool:
    return +one.counts == +other.counts and one.hours == other.hours


KEYS: dict[str, Callable[[Told], Any]] = {
    "subject": lambda one: one.row.subject_id, "district": lambda one: one.row.district_id,
    "department": lambda one: one.events[-1].department_id, "channel": lambda one: one.row.channel,
}  # fmt: skip


@pytest.mark.parametrize("period", PERIODS, ids=str)
def test_the_cohort_is_what_the_histories_tell(life: Life, period: Period) -> None:
    cohort = [one for one in told(life.conn) if within(one.registered_at, period)]
    assert period is not OCTOBER or len(cohort) > 60
    cube = figures.cube(life.conn, period)
    for dimension, key in KEYS.items():
        hours = figures.hours(life.conn, period, dimension)
        got = {k: Tally(t.counts, hours.get(k, Counter())) for (k,), t in cube.by(dimension).items()}
        assert got.keys() == {key(one) for one in cohort}
        for value, counted in got.items():
            assert same(counted, tally([one for one in cohort if key(one) == value])), (dimension, value)
        assert same(report.whole(cube, hours), tally(cohort))
    crossed = cube.by("subject", "channel")
    for (topic, channel), counted in crossed.items():
        mine = [one for one in cohort if one.row.subject_id == topic and one.row.channel == channel]
        assert +counted.counts == +tally(mine).counts
    operators = figures.by_operator(life.conn, period)
    for who in [None, *life.staff]:
        mine = [one for one in cohort if one.events[0].staff_id == who]
        assert +operators.get(who, Tally()).counts == +tally(mine).counts
    assert figures.registered(life.conn, period) == len(cohort)
    whole = cube.total()
    standing = tuple(COHORT)[tuple(COHORT).index("open"):]
    assert sum(whole[name] for name in standing) == whole["registered"]


# action → figure, said anew.
HAPPENED = {
    "register": "registered", "execute": "executed", "answer": "executed", "confirm": "confirmed",
    "not_solved": "returned", "give_up": "unconfirmed", "explain": "explained", "plan": "planned", "refuse": "refused",
    "find_defective": "defective", "forward": "forwarded", "withdraw": "withdrawn", "extend": "extended",
    "reprimand": "reprimanded"}  # fmt: skip


@pytest.mark.parametrize("period", PERIODS, ids=str)
def test_the_flow_is_what_was_written_in_the_period(life: Life, period: Period) -> None:
    expected: dict[dt.date, Counter[str]] = {day: Counter() for day in period.each_day()}
    called: Counter[str] = Counter()
    for one in told(life.conn):
        for event in one.events:
            name = HAPPENED.get(event.action)
            if name is not None and within(event.at, period):
                expected[event.at.astimezone(KYIV).date()][name] += 1
                if name in BY_CALLBACK and event.evidence.get("attempt"):
                    called[name] += 1
    assert figures.flow(life.conn, period) == expected
    assert figures.by_callback(life.conn, period) == called
    if period == OCTOBER:
        happened = sum(expected.values(), Counter())
        assert all(happened[name] for name in FLOW), [name for name in FLOW if not happened[name]]
        assert all(called[name] for name in BY_CALLBACK)
        assert called["confirmed"] + called["returned"] < happened["confirmed"] + happened["returned"]


def test_percentiles_are_the_nearest_rank_of_all_values(life: Life) -> None:
    cohort = [one for one in told(life.conn) if within(one.registered_at, OCTOBER)]
    values = sorted(one.hours for one in cohort if one.hours is not None)
    whole = report.whole(figures.cube(life.conn, OCTOBER), figures.hours(life.conn, OCTOBER, "channel"))
    for percent in (50, 90):
        rank = -(-len(values) * percent // 100)
        assert whole.percentile(percent) == values[rank - 1]


@given(st.lists(st.integers(0, 40), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[int], percent: int) -> None:
    found = figures.percentile(Counter(values), percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_nothing_has_no_percentile_and_no_share() -> None:
    assert Tally().percentile(50) is None
    assert Tally().share("confirmed") is None
    assert Calls().abandonment is None
    assert Calls().service_level(20) is None


def test_what_lies_with_the_departments_is_what_the_histories_end_in(life: Life) -> None:
    expected: dict[int, Counter[str]] = {}
    for one in told(life.conn):
        last = one.events[-1]
        lies = expected.setdefault(last.department_id, Counter())
        if "open" in one.figures() and one.row.due_at < life.now:
            lies["overdue"] += 1
        if one.state in ("assigned", "returned") and one.row.acknowledged_at is None:
            lies["unacknowledged"] += 1
    lying = figures.now_by_department(life.conn, life.now)
    assert {key: +counts for key, counts in expected.items() if +counts} == lying
    assert sum(lying.values(), Counter()).keys() == set(NOW)
    for key, counts in lying.items():
        for name in NOW:
            assert figures.behind_now(name, life.now, Cut(department=key)).count(life.conn) == counts[name]


def test_each_figure_opens_to_as_many_as_it_counts(life: Life) -> None:
    """The count, and the lines themselves, page by page."""
    cube = figures.cube(life.conn, OCTOBER)

    def lines(behind: figures.Behind) -> list[figures.Line]:
        found: list[figures.Line] = []
        while page := behind.lines(life.conn, 7, found[-1].order if found else None):
            found += page
        return found

    for name in COHORT:
        behind = figures.behind_cohort(name, OCTOBER)
        assert behind.count(life.conn) == cube.total()[name] == len({line.number for line in lines(behind)})
    for dimension in ("district", "department", "channel"):
        for (key,), counted in cube.by(dimension).items():
            cut = Cut(**{dimension: NOBODY if key is None else key})
            assert figures.behind_cohort("executed", OCTOBER, cut).count(life.conn) == counted["executed"]
    for (topic, channel), counted in cube.by("subject", "channel").items():
        cut = Cut(subjects=frozenset({topic}), channel=channel)
        assert figures.behind_cohort("registered", OCTOBER, cut).count(life.conn) == counted["registered"]
    for who, counted in figures.by_operator(life.conn, OCTOBER).items():
        cut = Cut(operator=who or NOBODY)
        assert figures.behind_cohort("registered", OCTOBER, cut).count(life.conn) == counted["registered"]
    happened: Counter[str] = sum(figures.flow(life.conn, OCTOBER).values(), Counter())
    for name in FLOW:
        behind = figures.behind_flow(name, OCTOBER)
        found = lines(behind)
        assert behind.count(life.conn) == happened[name] == len(found)
        assert all(within(line.at, OCTOBER) for line in found)
    for name, count in figures.by_callback(life.conn, OCTOBER).items():
        assert figures.behind_flow(name, OCTOBER, by_callback=True).count(life.conn) == count


def test_repeats_by_building(life: Life) -> None:
    cohort = [one for one in told(life.conn) if within(one.registered_at, OCTOBER)]
    expected = {}
    for building in life.buildings:
        mine = [one for one in cohort if one.row.building_id == building]
        if repeated := sum(one.row.repeat_of is not None for one in mine):
            expected[building] = (len(mine), repeated)
    found = figures.repeats(life.conn, OCTOBER)
    assert {each.building_id: (each.registered, each.repeated) for each in found} == expected
    assert [each.repeated for each in found] == sorted((each.repeated for each in found), reverse=True)
    for each in found:
        cut = Cut(building=each.building_id)
        assert figures.behind_cohort("repeated", OCTOBER, cut).count(life.conn) == each.repeated
    assert figures.repeats(life.conn, OCTOBER, 1) == found[:1]


# ── calls, from their events ──
@dataclass
class Heard:
    """A call as its events tell it."""

    row: Any
    events: list[Any]

    def at(self, kind: str) -> dt.datetime | None:
        return next((e.at for e in self.events if e.kind == kind), None)

    @property
    def cause(self) -> str:
        return next((e.data["cause"] for e in self.events if e.kind == "ended"), "")

    @property
    def wait_s(self) -> float:
        end = self.at("answered") or self.at("ended")
        began = self.at("queued")
        assert end is not None
        assert began is not None
        return (end - began).total_seconds()

    def fates(self) -> set[str]:
        if self.at("queued") is None:
            return {"arrived", "closed" if self.cause == "closed" else "menu"}
        found = {"arrived", "offered"} | self.told()
        if self.at("answered") is not None:
            found |= {"answered"} | ({"handled"} if self.at("ended") else set())
            return found | ({"consulted"} if any(e.kind == "settled" for e in self.events) else set())
        if self.cause == "abandoned":
            return found | {"abandoned"} | ({"short"} if self.wait_s < 5 else set())
        return found | {{"": "waiting", "timeout": "timed_out"}.get(self.cause, self.cause)}

    def told(self) -> set[str]:
        """What came of what was said of his wait."""
        said, answered = self.row.told_wait_s, self.at("answered") is not None
        if said is None:
            return set()
        found = {"told"} | ({"told_answered"} if answered else set())
        if (answered or self.cause) and self.wait_s > said:
            return found | {"told_too_little"}
        return found | ({"told_in_time"} if answered else set())


def heard(conn: Connection) -> list[Heard]:
    events = conn.execute(select(call_event).order_by(call_event.c.id)).all()
    return [Heard(row, [e for e in events if e.linkedid == row.linkedid]) for row in conn.execute(select(call))]


def check(counted: Calls, mine: list[Heard]) -> None:
    expected: Counter[str] = Counter()
    for one in mine:
        expected.update(one.fates())
    assert +counted.counts == expected
    waits = sorted(one.wait_s for one in mine if "answered" in one.fates())
    offered = expected["offered"]
    if offered:
        assert counted.service_level(20) == sum(wait <= 20 for wait in waits) / offered
        assert counted.abandonment == expected["abandoned"] / offered
    if offered > expected["short"]:
        assert counted.abandonment_without_short == (expected["abandoned"] - expected["short"]) / (
            offered - expected["short"])  # fmt: skip
    if waits:
        assert counted.mean_wait_s == pytest.approx(sum(waits) / len(waits))
        assert counted.longest_s == pytest.approx(waits[-1])
        ninth = waits[-(-len(waits) * 90 // 100) - 1]
        assert ninth <= (counted.p90_wait_s or 0) < ninth + 1
    if decided := expected["told_in_time"] + expected["told_too_little"]:
        assert counted.calibration == expected["told_in_time"] / decided
    errors = [abs(one.wait_s - (one.row.told_low_s + one.row.told_wait_s) / 2) for one in mine
              if "told_answered" in one.fates()]  # fmt: skip
    assert counted.mean_error_s == (pytest.approx(sum(errors) / len(errors)) if errors else None)
    spans = [(one.at("ended"), one.at("answered")) for one in mine if "handled" in one.fates()]
    if spans:
        handled = [(end - began).total_seconds() for end, began in spans if end and began]
        assert counted.mean_handled_s == pytest.approx(sum(handled) / len(handled))


@pytest.mark.parametrize("period", PERIODS, ids=str)
def test_calls_are_what_their_events_tell(life: Life, period: Period) -> None:
    came = [one for one in heard(life.conn) if within(one.row.arrived_at, period) and one.row.direction == "in"]
    by_day = call_figures.calls(life.conn, period, "day")
    by_half_hour = call_figures.calls(life.conn, period, "half_hour")
    by_hour = call_figures.calls(life.conn, period, "hour")
    (whole,) = call_figures.calls(life.conn, period, "period").values() or [Calls()]

    def minute(one: Heard) -> int:
        local = one.row.arrived_at.astimezone(KYIV)
        return int(local.hour * 60 + local.minute)

    check(whole, came)
    for day, counted in by_day.items():
        check(counted, [one for one in came if one.row.arrived_at.astimezone(KYIV).date() == day])
    for at, counted in by_half_hour.items():
        check(counted, [one for one in came if minute(one) // 30 * 30 == at])
    for at, counted in by_hour.items():
        check(counted, [one for one in came if minute(one) // 60 * 60 == at])
    for each in (by_day, by_hour, by_half_hour):
        assert call_figures.total(each.values())["arrived"] == len(came)
    if period == OCTOBER:
        expected: Counter[str] = Counter()
        for one in came:
            expected.update(one.fates())
        assert expected.keys() == set(call_figures.COUNTS), "each fate was met"


@pytest.mark.parametrize("period", PERIODS, ids=str)
def test_the_seats_are_what_their_journal_tells(life: Life, period: Period) -> None:
    """Each seat by itself, from one of its events to the next."""
    found = call_figures.seats(life.conn, period, life.now)
    journal = life.conn.execute(select(seat_event).order_by(seat_event.c.at, seat_event.c.id)).all()
    staffed = paused = 0.0
    spans: list[tuple[dt.datetime, dt.datetime]] = []
    for seat in ("101", "102", "103"):
        mine = [e for e in journal if e.seat == seat]
        logged_in, on_pause = False, False
        for event, following in zip(mine, [*mine[1:], None], strict=True):
            if event.kind in ("login", "logout"):
                logged_in, on_pause = event.kind == "login", False
            elif logged_in:
                on_pause = event.kind == "pause"
            since, until = max(event.at, period.start), min(following.at if following else life.now, period.end)
            seconds = max(0.0, (until - since).total_seconds())
            if logged_in:
                staffed, paused = (staffed, paused + seconds) if on_pause else (staffed + seconds, paused)
                spans += [(since, until)] if not on_pause else []
    together = call_figures.seats_together(found.values())
    assert together.staffed_s == pytest.approx(staffed)
    assert together.paused_s == pytest.approx(paused)
    spoken = [one for one in heard(life.conn) if within(one.row.arrived_at, period) and one.at("answered")]
    busy = sum((end - began).total_seconds() for one in spoken if (end := one.at("ended")) and (
        began := one.at("answered")))  # fmt: skip
    assert together.busy_s == pytest.approx(busy)
    for by, step in (("hour", 60), ("half_hour", 30)):
        divided = call_figures.seats(life.conn, period, life.now, by)  # type: ignore[arg-type]
        assert call_figures.seats_together(divided.values()).busy_s == pytest.approx(busy)
        expected: Counter[int] = Counter()
        at, half_hour = period.start, dt.timedelta(minutes=30)
        while at < period.end:
            local = at.astimezone(KYIV)
            expected[(local.hour * 60 + local.minute) // step * step] += sum(  # type: ignore[assignment]
                max(0.0, (min(until, at + half_hour) - max(since, at)).total_seconds()) for since, until in spans)
            at += half_hour
        assert {key: seats.staffed_s for key, seats in divided.items() if seats.staffed_s} == pytest.approx(+expected)
    longest = max((end - start for start, end in [(Period(d, d).start, Period(d, d).end) for d in found]),
                  default=dt.timedelta())  # fmt: skip
    assert all(day.staffed_s + day.paused_s <= 3 * longest.total_seconds() for day in found.values())


def test_callbacks_and_consultations(life: Life) -> None:
    rows = [row for row in life.conn.execute(select(attempt)) if within(row.placed_at, OCTOBER)
            and row.outcome != "not_placed"]  # fmt: skip
    made = call_figures.callbacks(life.conn, OCTOBER)
    assert made.placed == len(rows) > 5
    assert made.reached == sum(row.answered_at is not None for row in rows) > 0
    assert made.unreached == sum(row.outcome in ("no_answer", "busy") for row in rows) > 0
    assert made.placed > made.reached + made.unreached, "some ring still"
    assert made.by_machine == sum(row.mode == "auto" for row in rows)
    told_ = [row.kind for row in life.conn.execute(select(consultation)) if within(row.at, OCTOBER)]
    assert call_figures.consultations(life.conn, OCTOBER) == Counter(told_)


def test_the_report_has_the_same_figures(life: Life) -> None:
    made = report.report(life.conn, OCTOBER, life.now)
    cohort = [one for one in told(life.conn) if within(one.registered_at, OCTOBER)]
    assert same(made.cohort, tally(cohort))
    assert made.before == sum(within(one.registered_at, OCTOBER.before()) for one in told(life.conn))
    assert made.calls["arrived"] == sum(day["arrived"] for day in call_figures.calls(life.conn, OCTOBER,
                                                                                     "day").values())  # fmt: skip
    for key, counted in made.departments.items():
        assert same(counted, tally([one for one in cohort if one.events[-1].department_id == key]))
    assert made.departments.keys() >= made.lying.keys()
    assert made.happened == sum(made.flow.values(), Counter())


# ── periods ──
@given(st.dates(dt.date(2020, 1, 1), dt.date(2035, 1, 1)), st.integers(0, 365), st.data())
def test_a_moment_of_a_period_has_the_offset_of_kyivs_clocks(first: dt.date, more: int, data: st.DataObject) -> None:
    period = Period(first, first + dt.timedelta(days=more))
    at = data.draw(st.datetimes(period.start.replace(tzinfo=None), period.end.replace(tzinfo=None)
                                - dt.timedelta(microseconds=1))).replace(tzinfo=dt.UTC)  # fmt: skip
    assert within(at, period)
    offset = next(ahead for until, ahead in period.offsets() if until is None or at < until)
    assert at.astimezone(KYIV).utcoffset() == dt.timedelta(seconds=offset)
    assert len(period.offsets()) <= 4


def test_periods() -> None:
    assert Period(dt.date(2026, 10, 1), dt.date(2026, 10, 31)) == OCTOBER
    assert OCTOBER.is_month
    assert OCTOBER.before() == month_of(dt.date(2026, 9, 5))
    assert (OCTOBER.end - OCTOBER.start) == dt.timedelta(days=31, hours=1)
    year = Period(dt.date(2026, 1, 1), dt.date(2026, 12, 31))
    assert year.offsets() == [(dt.datetime(2026, 3, 29, 1, tzinfo=dt.UTC), 7200),
                              (dt.datetime(2026, 10, 25, 1, tzinfo=dt.UTC), 10800), (None, 7200)]  # fmt: skip
    week = week_of(dt.date(2026, 10, 25))
    assert (week.first, week.last) == (dt.date(2026, 10, 19), dt.date(2026, 10, 25))
    assert week.before() == week_of(dt.date(2026, 10, 18))
    for first, last, wrong in ((2, 1, "period.backwards"), (1, 368, "period.too_long")):
        day = dt.date(2026, 1, 1)
        with pytest.raises(BadInput) as refused:
            Period(day + dt.timedelta(days=first), day + dt.timedelta(days=last))
        assert refused.value.id == wrong
