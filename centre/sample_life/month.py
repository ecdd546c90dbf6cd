"""A month of generated life, through the code that serves: residents call and write, departments act each by its habit,
deadlines are watched, residents are called back. Time is simulated, everything else is real.

The same seed gives the same figures; what is drawn from ``secrets`` (codes, ids of attempts) decides nothing.
"""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
import math
import tomllib
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from sqlalchemy import Connection, bindparam, insert, select, update

from centre.sample_life.city import SampleAppeal, SampleCity, houses, phrases, residents
from centre.sample_life.phone import Call, calls_of, moments, seats_for
from crm import (
    appeals,
    calls,
    citizens,
    clock,
    confirmations,
    deadlines,
    incidents,
    law,
    people,
    repeats,
    rulebook,
    seed,
)
from crm.confirmation_rules import Mode, Reached, Result, Rules
from crm.edits import log_edit
from crm.errors import BadInput, IllegalAction
from crm.life import Action, State
from crm.people import Role
from crm.schema import building, call, citizen, department, network, network_building
from crm.store import Database, insert_row

CALLS_AN_APPEAL = 2.3  # Kyiv's: most residents only want an answer
PEOPLE_AN_APPEAL = 0.6  # residents who could appeal, for each appeal of the month
HOUSES, NETWORK_HOUSES = 1200, 12
RULES = Rules(hourly_cap=1500, lines=30, first_s=1800)
TICK_S = 300  # between two looks at whom to call back; also how long a person's callback takes, with what he writes
WATCH_H = (1, 9, 13, 17)  # when the deadlines are looked at
WORK_H = (8, 18)  # of a department, on the city's working days

# How an attempt to call a resident ends, of a hundred.
REACHED = {Reached.ANSWERED: 62, Reached.NO_ANSWER: 24, Reached.BUSY: 7, Reached.FAILED: 3, Reached.WRONG_NUMBER: 1.5,
           Reached.DO_NOT_CALL: 0.5, Reached.PERSON: 1, Reached.NO_KEY: 1}  # fmt: skip
PARTLY, WITHDRAWS, DEFECTIVE, TAKES_CONTROL, INCIDENT_DONE = 0.2, 0.006, 0.02, 0.002, 0.93

_DAY = dt.timedelta(days=1)
_PRIVILEGED = update(citizen).where(citizen.c.id == bindparam("of"))

@dataclass(frozen=True, slots=True)
class Habit:
    """As in habits.toml."""

    acknowledges: float
    acknowledge_h: float
    starts: float
    reports: float
    report_h: float
    honest: float
    extends: float
    explains: float = 0.0
    plans: float = 0.0


@dataclass(slots=True)
class _Case:
    """What the city does not know of an appeal: whether it is really done."""

    id: int
    number: int
    citizen_id: int
    subject_id: int
    department_id: int
    returned: int = 0
    done: bool = False


class Month:
    """``days`` days from ``first`` on, about ``a_day`` appeals on each: fewer at weekends."""

    def __init__(self, db: Database, *, first: dt.date, days: int, a_day: int, number: int,
                 progress: Callable[[dt.date, int], None] = lambda day, count: None) -> None:  # fmt: skip
        self._db, self._a_day, self._progress = db, a_day, progress
        self.first, self.days = first, days
        self._random = Random(number)  # noqa: S311  # no secret
        self._number = number
        self._todo: list[tuple[dt.datetime, int, Callable[..., object], tuple[object, ...]]] = []
        self._order = itertools.count()
        self.now = _midnight(first)
        self.end = _midnight(first + dt.timedelta(days=days))
        self._cases: dict[int, _Case] = {}
        self._known: dict[int, int] = {}  # resident → citizen
        self._latest: dict[tuple[int, int], int] = {}  # (citizen, subject) → the first appeal on it
        self._linkedids = itertools.count(1)
        self._incidents: set[int] = set()
        self._begin()

    def _begin(self) -> None:
        with self._db.write() as conn:
            seed.load_seed(conn, self.now)
            conn.execute(insert(building), [
                {"street_id": each.street_id, "number": each.number, "folded": each.folded,
                 "district_id": each.district_id} for each in houses(conn, HOUSES)])  # fmt: skip
            self._city = SampleCity(conn, self._number)
            self._houses = list(conn.execute(select(building.c.id).order_by(building.c.id)).scalars())
            self._networks = [self._houses[at : at + NETWORK_HOUSES] for at in range(0, HOUSES, NETWORK_HOUSES)]
            for at, fed in enumerate(self._networks, 1):
                network_id = insert_row(conn, network, {"kind": "heat", "name": f"{phrases()['network']} {at}"})
                conn.execute(insert(network_building), [{"network_id": network_id, "building_id": id} for id in fed])
            log_edit(conn, now=self.now, staff_id=None, what="network", key=network_id, before=None, after=None)
            total = max(50, round(self._a_day * self.days * PEOPLE_AN_APPEAL))
            self._people = list(residents(self._number, total))
            self._home = self._random.choices(self._houses, k=total)
            self._at_home: defaultdict[int, list[int]] = defaultdict(list)
            for resident, house in enumerate(self._home):
                self._at_home[house].append(resident)
            self._calls_a_day = round(self._a_day * 1.15 * CALLS_AN_APPEAL)
            self._seats = seats_for(self._calls_a_day)
            self._operators = [self._hire(conn, f"operator{n + 1}", Role.OPERATOR) for n in range(self._seats)]
            self._feedback = [self._hire(conn, f"feedback{n + 1}", Role.FEEDBACK) for n in range(self._callers())]
            self._control = self._hire(conn, "control", Role.CONTROL)
            self._official = self._hire(conn, "official", Role.OFFICIAL)
            offices = conn.execute(select(department.c.id, department.c.kind, department.c.is_desk)
                                   .order_by(department.c.id)).all()  # fmt: skip
            self._outside = [row.id for row in offices if row.kind == "outside"]
            self._desks = {row.id for row in offices if row.is_desk}  # what lies there is outside the city's competence
            self._executors = {row.id: self._hire(conn, f"executor{row.id}", Role.EXECUTOR, row.id) for row in offices}
            self._book = rulebook.current(conn)
        self._habits: dict[int, Habit] = {}
        self._all_habits = [Habit(**one) for one in tomllib.loads(
            (Path(__file__).parent / "habits.toml").read_text("utf-8"))["habits"]]  # fmt: skip
        for day in range(self.days):
            self._at(_midnight(self.first + _DAY * day), self._day, self.first + _DAY * day)

    def _hire(self, conn: Connection, login: str, role: Role, department_id: int | None = None) -> int:
        """An account that nobody can sign in to."""
        names = phrases()["names"]["women" if self._random.random() < 0.7 else "men"]
        name = f"{self._random.choice(names['last'])} {self._random.choice(names['first'])}"
        return people.add_staff(conn, login=login, name=name, password_hash="-", role=role,  # noqa: S106
                                department_id=department_id)  # fmt: skip

    def _callers(self) -> int:
        """The feedback department: two attempts for each appeal, in its hours."""
        ticks = (RULES.call_to - RULES.call_from) * 60 / TICK_S
        return math.ceil(self._a_day * 1.6 / ticks) + 1

    # ── time ──
    def run(self) -> None:
        """All of it. One transaction for each hour of the city's."""
        while self._todo and self._todo[0][0] < self.end:
            until = self._todo[0][0].replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)
            with self._db.write() as conn:
                while self._todo and self._todo[0][0] < min(until, self.end):
                    self.now, _, do, given = heapq.heappop(self._todo)
                    with suppress(IllegalAction):  # it went another way meanwhile
                        do(conn, *given)
        self.now = self.end

    def _at(self, at: dt.datetime, do: Callable[..., object], *given: object) -> None:
        """``do`` gets a connection, then what is ``given``."""
        heapq.heappush(self._todo, (at, next(self._order), do, given))

    def _later(self, median_h: float, spread: float = 0.8) -> dt.datetime:
        """In about so many hours, when somebody is at work."""
        at = self.now + dt.timedelta(hours=median_h * self._random.lognormvariate(0, spread))
        local = at.astimezone(clock.KYIV)
        if self._book.calendar.is_working(local.date()) and WORK_H[0] <= local.hour < WORK_H[1]:
            return at
        day = local.date() if local.hour < WORK_H[0] else local.date() + _DAY
        opens = dt.datetime.combine(self._book.calendar.next_working(day), dt.time(WORK_H[0]), clock.KYIV)
        return opens + dt.timedelta(minutes=self._random.random() * 180)

    def _day(self, conn: Connection, day: dt.date) -> None:
        """What comes by itself on this day: calls, letters, looks at the deadlines and at whom to call back."""
        self._progress(day, len(self._cases))
        busy = 0.62 if day.weekday() >= 5 else 1.15
        drawn = [self._city.appeal(day.month) for _ in range(round(self._a_day * busy))]
        by_phone = [each for each in drawn if each.channel == "phone"]
        written = [each for each in drawn if each.channel != "phone"]
        begins = _midnight(day)
        day_calls = list(calls_of(self._random, begins, round(self._a_day * busy * CALLS_AN_APPEAL), self._seats))
        answered = [each for each in day_calls if each.answered_at is not None]
        about = dict(zip(self._random.sample(answered, min(len(by_phone), len(answered))), by_phone, strict=False))
        rows = []
        for each in day_calls:
            resident, linkedid = self._somebody(), f"{int(each.arrived_at.timestamp())}.{next(self._linkedids)}"
            rows.append(self._call_row(each, linkedid, self._people[resident].e164, each in about))
            if each in about:
                self._at(each.ended_at, self._appeal, resident, about[each], linkedid, self._operators[each.seat])
        # As the line has kept them when they are over: how it does so is tried with a real Asterisk, not here.
        conn.execute(insert(call), rows)
        for at, what in zip(moments(self._random, begins, len(written)), written, strict=True):
            self._at(at, self._appeal, self._somebody(), what, "", None)
        for _ in range(self._random.choice((0, 1, 1, 2))):
            self._burst(begins + dt.timedelta(hours=self._random.uniform(6, 20)))
        for seat in range(self._seats):
            calls.seat_event(conn, str(101 + seat), begins, "login", self._operators[seat])
            calls.seat_event(conn, str(101 + seat), begins + dt.timedelta(hours=23, minutes=59), "logout",
                             self._operators[seat])  # fmt: skip
        for hour in WATCH_H:
            self._at(begins + dt.timedelta(hours=hour), self._watch)
        opens = begins + dt.timedelta(minutes=RULES.call_from)
        for tick in range((RULES.call_to - RULES.call_from) * 60 // TICK_S):
            self._at(opens + dt.timedelta(seconds=tick * TICK_S), self._call_back)

    def _call_row(self, each: Call, linkedid: str, caller: str, brings_appeal: bool) -> dict[str, object]:
        answered, outcome = each.answered_at, ""
        if answered is not None and not brings_appeal:
            outcome = self._random.choices([o.value for o in (
                calls.Outcome.CONSULTED, calls.Outcome.ABOUT_APPEAL, calls.Outcome.TRANSFERRED, calls.Outcome.SILENT,
                calls.Outcome.WRONG_NUMBER, calls.Outcome.PRANK)], [72, 15, 5, 3, 3, 2])[0]  # fmt: skip
        person = None if answered is None else self._operators[each.seat]
        return {
            "linkedid": linkedid, "direction": "in", "origin": "landline" if caller[4:6] == "44" else "mobile",
            "caller": caller, "choice": "queue", "arrived_at": each.arrived_at, "queued_at": each.queued_at,
            "queue": "city", "answered_at": answered, "ended_at": each.ended_at,
            "seat": None if answered is None else str(101 + each.seat), "staff_id": person,
            "wait_s": ((answered or each.ended_at) - each.queued_at).total_seconds(),
            "talk_s": None if answered is None else (each.ended_at - answered).total_seconds(), "hold_s": 0.0,
            "end_cause": (calls.EndCause.ABANDONED if answered is None else calls.EndCause.COMPLETED).value,
            "outcome": outcome, "outcome_by": person if outcome else None,
            "outcome_at": each.ended_at if outcome else None}  # fmt: skip

    def _watch(self, conn: Connection) -> None:
        while deadlines.watch(conn, self.now) == deadlines.BATCH:
            pass
        for appeal_id in appeals.resume_planned(conn, self.now):
            self._passed(self._cases[appeal_id])

    # ── incidents ──
    def _burst(self, at: dt.datetime) -> None:
        """What a boiler house feeds goes cold, and those who live there write within the hour and a half."""
        fed = self._random.choice(self._networks)
        there = [resident for house in fed for resident in self._at_home[house]]
        subject_id = self._random.choice(self._city.failures)
        for resident in self._random.sample(there, min(len(there), self._random.randint(6, 30))):
            what = self._city.appeal(at.month, subject_id)
            self._at(at + dt.timedelta(minutes=self._random.uniform(0, 90)), self._appeal, resident,
                     replace(what, channel=self._random.choice(("web", "mobile"))), "", None)  # fmt: skip

    def _open_incident(self, conn: Connection, incident_id: int) -> None:
        ends = self.now + dt.timedelta(hours=self._random.uniform(3, 14))
        incidents.begin(conn, incident_id, cause=self._city.said("cause"), expected_at=ends, now=self.now,
                        staff_id=self._control)  # fmt: skip
        self._at(ends, self._close_incident, incident_id)

    def _close_incident(self, conn: Connection, incident_id: int) -> None:
        for line in incidents.appeals_of(conn, incident_id, limit=1000):
            self._cases[line.id].done = self._random.random() < INCIDENT_DONE
        incidents.close(conn, incident_id, result=self._city.said("repaired"), now=self.now, staff_id=self._control)
        while incidents.carry_on(conn, self.now):
            pass

    # ── residents ──
    def _somebody(self) -> int:
        """Some appeal more often than others."""
        return int(len(self._people) * self._random.random() ** 1.6)

    def _appeal(self, conn: Connection, resident: int, what: SampleAppeal, linkedid: str, staff_id: int | None) -> None:
        citizen_id = self._citizen(conn, resident)
        made = appeals.register(
            conn, now=self.now, citizen_id=citizen_id, building_id=self._home[resident],
            flat=self._people[resident].flat, subject_id=what.subject_id, text=what.text, channel=what.channel,
            staff_id=staff_id, linkedid=linkedid)  # fmt: skip
        case = self._cases[made.id] = _Case(made.id, made.number, citizen_id, what.subject_id, made.department_id)
        first = self._latest.setdefault((citizen_id, what.subject_id), case.id)
        if first != case.id:
            repeats.link(conn, case.id, first, now=self.now, staff_id=staff_id)
        incident_id = incidents.registered(conn, case.id, now=self.now, staff_id=staff_id)
        if incident_id is not None and incident_id not in self._incidents:
            self._incidents.add(incident_id)
            self._at(self.now + dt.timedelta(minutes=self._random.uniform(5, 25)), self._open_incident, incident_id)
        chance = self._random.random()
        if made.department_id in self._desks:
            self._at(self._later(40), self._act, case, Action.FORWARD, self._control, "forwarded", None,
                     self._random.choice(self._outside))  # fmt: skip
        elif what.channel in ("web", "email") and chance < DEFECTIVE:
            self._at(self._later(16), self._act, case, Action.FIND_DEFECTIVE, self._control, "defective")
            if chance < DEFECTIVE / 2:
                self._at(self._later(90), self._complete, case)
        else:
            self._passed(case, made.due_at)
        if self._random.random() < WITHDRAWS:
            self._at(self._later(60), self._act, case, Action.WITHDRAW, self._operators[0], "withdrawn")
        if self._random.random() < TAKES_CONTROL:
            self._at(self._later(20), self._take_control, case)

    def _citizen(self, conn: Connection, resident: int) -> int:
        """Known from an earlier appeal, or new."""
        known = self._known.get(resident)
        if known is None:
            who = self._people[resident]
            known = citizens.add(conn, now=self.now, name=who.name, phones=[who.e164], building_id=self._home[resident],
                                 flat=who.flat, auto_confirm=who.auto_confirm)  # fmt: skip
            if who.privileged:
                conn.execute(_PRIVILEGED, {"of": known, "privilege": "war"})
            self._known[resident] = known
        return known

    # ── departments and the control desk ──
    def _habit(self, department_id: int) -> Habit:
        """By turns, in the order in which the departments first get something to do."""
        return self._habits.setdefault(department_id, self._all_habits[len(self._habits) % len(self._all_habits)])

    def _passed(self, case: _Case, due_at: dt.datetime | None = None) -> None:
        """The department has it now: what it will do, as far as nothing comes between."""
        habit, executor = self._habit(case.department_id), self._executors[case.department_id]
        chance = self._random.random
        if chance() < habit.acknowledges:
            how = Action.START if chance() < habit.starts else Action.ACKNOWLEDGE
            self._at(self._later(habit.acknowledge_h), self._act, case, how, executor)
        if chance() > habit.reports:
            return
        at, how_far = self._later(habit.report_h), chance()
        if due_at is not None and at > due_at and chance() < habit.extends:
            self._at(due_at - _DAY, self._extend, case, at)
        if how_far < habit.explains:
            self._at(at, self._act, case, Action.EXPLAIN, executor, "explained")
        elif how_far < habit.explains + habit.plans:
            self._at(at, self._act, case, Action.PLAN, executor, "planned", at + _DAY * self._random.randint(15, 300))
        else:
            self._at(at, self._execute, case, habit.honest)

    def _act(self, conn: Connection, case: _Case, action: Action, staff_id: int, note: str = "",
             until: dt.datetime | None = None, department_id: int | None = None,
             official_id: int | None = None) -> None:  # fmt: skip
        said = self._city.said(note, case.subject_id) if note else ""
        appeals.act(conn, case.id, action, now=self.now, staff_id=staff_id, note=said, until=until,
                    department_id=department_id, official_id=official_id)  # fmt: skip

    def _execute(self, conn: Connection, case: _Case, honest: float) -> None:
        """Whether it is done only the resident knows; who was caught once does better."""
        self._act(conn, case, Action.EXECUTE, self._executors[case.department_id], "done")
        case.done = self._random.random() < (honest + 1) / 2 if case.returned else self._random.random() < honest

    def _extend(self, conn: Connection, case: _Case, until: dt.datetime) -> None:
        latest = law.latest(appeals.term_began(conn, case.id), self._book.calendar, self._book.terms)
        with suppress(BadInput):  # not later than it was, or too late
            self._act(conn, case, Action.EXTEND, self._control, "extended", min(until + 2 * _DAY, latest))

    def _complete(self, conn: Connection, case: _Case) -> None:
        self._act(conn, case, Action.COMPLETE, self._operators[0], "completed")
        self._passed(case)

    def _take_control(self, conn: Connection, case: _Case) -> None:
        self._act(conn, case, Action.TAKE_CONTROL, self._official, official_id=self._official)

    def _decide(self, conn: Connection, case: _Case) -> None:
        """Returned twice: the department is reprimanded and gets it once more, or the resident an explanation."""
        if case.returned > 2 and self._random.random() < 0.5:
            self._act(conn, case, Action.EXPLAIN, self._control, "explained")
            return
        self._act(conn, case, Action.ASSIGN, self._control, department_id=case.department_id)
        self._act(conn, case, Action.REPRIMAND, self._control, "reprimanded")
        self._passed(case)

    # ── confirmations ──
    def _call_back(self, conn: Connection) -> None:
        """Everybody of the feedback department takes the next; the machine takes as many as it has lines."""
        live = confirmations.due(conn, self.now, Mode.LIVE, len(self._feedback), RULES)
        machine = confirmations.due(conn, self.now, Mode.AUTO, RULES.lines, RULES)
        for person, due in zip(itertools.cycle(self._feedback), [*live, *machine], strict=False):
            seat = None if due.mode is Mode.AUTO else str(501 + self._feedback.index(person))
            attempt = confirmations.claim(conn, due.callback_id, now=self.now, rules=RULES, seat=seat,
                                          staff_id=person if seat else None)  # fmt: skip
            if attempt is not None:
                reached = self._random.choices(list(REACHED), list(REACHED.values()))[0]
                if attempt.mode is Mode.LIVE and reached in (Reached.PERSON, Reached.NO_KEY):
                    reached = Reached.ANSWERED
                rings = self.now + dt.timedelta(seconds=self._random.uniform(4, RULES.ring_s))
                self._at(rings, self._rang, attempt, reached)

    def _rang(self, conn: Connection, attempt: confirmations.Attempt, reached: Reached) -> None:
        if reached in (Reached.NO_ANSWER, Reached.BUSY, Reached.FAILED):
            confirmations.finish(conn, attempt.id, reached, self.now, rules=RULES)
            return
        linkedid = f"{int(self.now.timestamp())}.{next(self._linkedids)}"
        confirmations.attempt_answered(conn, attempt.id, self.now, linkedid)
        talks = self.now + dt.timedelta(seconds=self._random.uniform(20, 120))
        self._at(talks, self._asked, attempt, reached, linkedid)

    def _asked(self, conn: Connection, attempt: confirmations.Attempt, reached: Reached, linkedid: str) -> None:
        if reached is Reached.ANSWERED:
            for question in confirmations.questions_of(conn, attempt.callback_id):
                self._answer(conn, self._cases[question.appeal_id], attempt.staff_id, linkedid, attempt.id)
        confirmations.finish(conn, attempt.id, reached, self.now, rules=RULES, linkedid=linkedid)

    def _answer(self, conn: Connection, case: _Case, staff_id: int | None, linkedid: str, attempt_id: str) -> None:
        """The resident says how it is. A machine hears a key, a person writes down why it is not solved."""
        result = Result.SOLVED
        if not case.done:
            result = Result.PARTLY if self._random.random() < PARTLY else Result.NOT_SOLVED
        after = confirmations.answer(
            conn, number=case.number, result=result, now=self.now, linkedid=linkedid, attempt_id=attempt_id,
            staff_id=staff_id, key="" if staff_id else "1" if case.done else "2",
            note=self._city.said("not_solved") if staff_id and not case.done else "")  # fmt: skip
        if after.state is State.RETURNED:
            case.returned += 1
            self._passed(case)
        elif after.state is State.CONTROL:
            case.returned += 1
            self._at(self._later(10), self._decide, case)


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), clock.KYIV).astimezone(dt.UTC)
