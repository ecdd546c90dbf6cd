"""How many seats a day needs, by half-hour; the plan, and what really was.

The forecast of a half-hour is the mean of the same half-hour on earlier days of the same kind, of which one that is
``HALF_WEEKS`` older counts half. A kind is a weekday; a day off on a weekday is a kind of its own, and a weekend day
that is worked instead is another. Calls are those that waited for a person; one who gives up and calls again counts
twice, as at the seats. A half-hour is named by its minute after midnight in Kyiv: 0, 30… 1410.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import Connection, delete, func, insert, literal_column, select

from crm import calendar, call_figures
from crm.calendar import SATURDAY, Calendar
from crm.calls import Direction, EndCause
from crm.clock import KYIV
from crm.edits import log_edit
from crm.erlang import Target, line, seats_needed
from crm.errors import BadInput
from crm.periods import Period
from crm.schema import call, shift
from crm.wholes import kyiv

DAY_S, HALF_S = 86_400, 1800
HALVES = tuple(range(0, 1440, 30))
HALF_WEEKS = 4.0
DAYS_USED = 12  # of the same kind: three months of a weekday
BACK = 4  # days that the forecast is tried on
LONGEST_BACK = 400  # days, in which they are looked for
MOST_SEATS = 1000
MOST_ABSENT = 0.9


class Kind(StrEnum):
    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"
    DAY_OFF = "day_off"  # on what would be a working day
    WORKED = "worked"  # instead of another


# What is taken for the days of a kind that there have been none of.
LIKE = {Kind.DAY_OFF: Kind.SUNDAY, Kind.WORKED: Kind.FRIDAY}


def kind_of(day: dt.date, calendar: Calendar) -> Kind:
    weekend = day.weekday() >= SATURDAY
    if calendar.is_working(day) is not weekend:
        return list(Kind)[day.weekday()]
    return Kind.WORKED if weekend else Kind.DAY_OFF


@dataclass(frozen=True, slots=True)
class Half:
    """What a half-hour was: calls that waited for a person, how many were answered (``handled``), sums in seconds of
    handling (talk and hold) and of waiting, and how many gave up."""

    calls: int = 0
    handled: int = 0
    handled_s: float = 0.0
    wait_s: float = 0.0
    gave_up: int = 0


@dataclass(frozen=True, slots=True)
class Past:
    """A day of history."""

    day: dt.date
    halves: Mapping[int, Half]

    @property
    def calls(self) -> int:
        return sum(half.calls for half in self.halves.values())


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of ``day``: ``calls`` in each half-hour of HALVES. ``kind``: of the days that it rests on, ``days`` of them, the
    oldest ``weeks`` weeks ago. ``handled_s``: what a call costs a seat, wrap-up included; ``patience_s``: the mean,
    None: nobody gave up. ``error``: by which share of the calls earlier forecasts like this were off, half-hour by
    half-hour, and ``day_error`` over a whole day; None: too few days to try."""

    day: dt.date
    kind: Kind
    days: int
    weeks: int
    calls: tuple[float, ...]
    handled_s: float | None
    patience_s: float | None
    error: float | None
    day_error: float | None


# ── the forecast: pure ───────────────────────────────────────────────────────────────────────
def forecast(day: dt.date, kind: Kind, past: Sequence[Past], wrap_up_s: float) -> Forecast:
    """``past``: days of this kind, the latest first; DAYS_USED of them count, those before are for trying."""
    used = past[:DAYS_USED]
    halves = [half for each in used for half in each.halves.values()]
    gave_up, handled = sum(half.gave_up for half in halves), sum(half.handled for half in halves)
    errors = [_error(past[at + 1 : at + 1 + DAYS_USED], past[at]) for at in range(min(BACK, len(past) - 1))
              if past[at].calls]  # fmt: skip
    return Forecast(
        day, kind, len(used), max(((day - each.day).days + 6) // 7 for each in used) if used else 0,
        calls_expected(day, used), sum(half.handled_s for half in halves) / handled + wrap_up_s if handled else None,
        sum(half.wait_s for half in halves) / gave_up if gave_up else None,  # exponential, and most were served before
        sum(by_half for by_half, _ in errors) / len(errors) if errors else None,
        sum(whole for _, whole in errors) / len(errors) if errors else None)  # fmt: skip


def calls_expected(day: dt.date, past: Iterable[Past]) -> tuple[float, ...]:
    """The weighted mean of each half-hour."""
    weights = {each.day: 0.5 ** ((day - each.day).days / 7 / HALF_WEEKS) for each in past}
    whole, known = sum(weights.values()), {each.day: each.halves for each in past}
    return tuple(sum(weight * known[at].get(half, Half()).calls for at, weight in weights.items()) / whole
                 if whole else 0.0 for half in HALVES)  # fmt: skip


def _error(before: Sequence[Past], real: Past) -> tuple[float, float]:
    """As shares of the day's calls: by half-hour, and of the day."""
    expected = calls_expected(real.day, before)
    off = sum(abs(calls - real.halves.get(half, Half()).calls) for half, calls in zip(HALVES, expected, strict=True))
    return off / real.calls, abs(sum(expected) - real.calls) / real.calls


# ── seats: pure ──────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class What:
    """What if: ``load`` times the calls, each ``handled_s``; ``absent``: the share of those on the list who are not at
    their seats. ``seats``: how many sit in every half-hour, None: as planned."""

    handled_s: float
    patience_s: float | None
    load: float = 1.0
    target: Target = field(default_factory=Target)
    absent: float = 0.0
    seats: int | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """``seats`` at work, ``listed`` on the list so that as many are; and what comes of the ``given`` ones (on the list;
    None: nothing is planned): service level and occupancy."""

    minute: int
    calls: float
    seats: int
    listed: int
    given: int | None
    service: float | None
    occupancy: float | None


def needs(calls: Sequence[float], plan: Mapping[int, int], what: What) -> list[Need]:
    """Of each half-hour."""
    found = []
    for minute, expected in zip(HALVES, calls, strict=True):
        rate = expected * what.load / HALF_S
        seats = seats_needed(rate, what.handled_s, what.patience_s, what.target)
        given = plan.get(minute) if what.seats is None else what.seats
        made = None
        if given is not None and rate:
            made = line(rate, what.handled_s, int(given * (1 - what.absent) + 1e-9), what.patience_s)
        found.append(Need(minute, rate * HALF_S, seats, math.ceil(seats / (1 - what.absent) - 1e-9), given,
                          made.within(what.target.within_s) if made else None,
                          made.occupancy if made else None))  # fmt: skip
    return found


# ── what was ─────────────────────────────────────────────────────────────────────────────────
def past_days(conn: Connection, day: dt.date, calendar: Calendar, today: dt.date) -> tuple[Kind, list[Past]]:
    """The days that a forecast of ``day`` rests on, and of which kind they are: those before it that are over by
    ``today``, the latest first. Days without a single call are no days of the centre's."""
    kind, end = kind_of(day, calendar), min(day, today)
    for looked in (kind, LIKE.get(kind)):
        if looked is None:
            break
        alike = (at for at in (end - dt.timedelta(days=ago) for ago in range(1, LONGEST_BACK))
                 if kind_of(at, calendar) is looked)  # fmt: skip
        found: list[Past] = []
        empty = 0
        for at in alike:
            halves = _halves(conn, at)
            empty = 0 if halves else empty + 1
            if halves:
                found.append(Past(at, halves))
            if len(found) == DAYS_USED + BACK or empty > BACK:
                break
        if found:
            return looked, found
    return kind, []


def _halves(conn: Connection, day: dt.date) -> dict[int, Half]:
    """One query over the day's part of an index."""
    c, period = call.c, Period(day, day)
    half = (kyiv(c.arrived_at, period) % DAY_S // HALF_S).label("half")
    rows = conn.execute(
        select(half, func.count(), func.count(c.talk_s), func.sum(c.talk_s + c.hold_s), func.sum(c.wait_s),
               func.count().filter(c.end_cause == EndCause.ABANDONED.value))
        .where(c.arrived_at >= period.start, c.arrived_at < period.end, c.direction == Direction.IN.value,
               c.queued_at.is_not(None))
        .group_by(literal_column("half"))
    )  # fmt: skip
    return {int(at) * 30: Half(calls, handled, float(handled_s or 0.0), float(wait_s or 0.0), gave_up)
            for at, calls, handled, handled_s, wait_s, gave_up in rows}  # fmt: skip


# ── the plan ─────────────────────────────────────────────────────────────────────────────────
def plan(conn: Connection, day: dt.date) -> dict[int, int]:
    """Seats that are to be taken, by half-hour; those for which nothing is planned are missing."""
    found = select(shift.c.minute, shift.c.seats).where(shift.c.day == day).order_by(shift.c.minute)
    return {row.minute: row.seats for row in conn.execute(found)}


def expected(conn: Connection, first: dt.date, days: int, now: dt.datetime) -> dict[tuple[dt.date, int], float]:
    """Seats that will serve in each half-hour of these days, as far as is known: those that are planned; where nothing
    is, as many as sat a week before; where nobody did, it is missing."""
    found: dict[tuple[dt.date, int], float] = {}
    for day in (first + dt.timedelta(days=ahead) for ahead in range(days)):
        before = day - dt.timedelta(days=7)
        sat = call_figures.seats(conn, Period(before, before), now, "half_hour")
        found |= {(day, minute): (each.staffed_s - each.paused_s) / HALF_S for minute, each in sat.items()}
        found |= {(day, minute): float(seats) for minute, seats in plan(conn, day).items()}
    return found


@dataclass(frozen=True, slots=True)
class Ahead:
    """A half-hour that is to come: when it begins (the first one has begun), calls expected, seats needed at work."""

    at: dt.datetime
    calls: int
    seats: int


def ahead(conn: Connection, now: dt.datetime, wrap_up_s: float, halves: int = 4) -> list[Ahead]:
    """What the next half-hours need, this one first; nothing while there is no history to tell it from."""
    began = now.astimezone(KYIV).replace(second=0, microsecond=0)
    began -= dt.timedelta(minutes=began.minute % 30)
    city, found, days = calendar.load(conn), [], dict[dt.date, list[Need]]()
    for at in (began.astimezone(dt.UTC) + dt.timedelta(minutes=30 * n) for n in range(halves)):
        local = at.astimezone(KYIV)
        if (day := local.date()) not in days:
            kind, past = past_days(conn, day, city, began.date())
            told = forecast(day, kind, past, wrap_up_s)
            if told.handled_s is None:
                return []
            days[day] = needs(told.calls, {}, What(told.handled_s, told.patience_s))
        need = days[day][(local.hour * 60 + local.minute) // 30]
        found.append(Ahead(at, round(need.calls), need.seats))
    return found


def put(conn: Connection, day: dt.date, seats: Mapping[int, int], *, now: dt.datetime, staff_id: int | None) -> int:
    """Plans so many seats for each of these half-hours of the day, and says so in the log; how many were changed.

    BadInput "staffing.no_such_half", "staffing.no_such_seats".
    """
    if set(seats) - set(HALVES):
        raise BadInput("staffing.no_such_half")
    if any(not 0 <= count <= MOST_SEATS for count in seats.values()):
        raise BadInput("staffing.no_such_seats")
    before = plan(conn, day)
    changed = {minute: count for minute, count in sorted(seats.items()) if before.get(minute) != count}
    if changed:
        conn.execute(delete(shift).where(shift.c.day == day, shift.c.minute.in_(changed)))
        conn.execute(insert(shift), [{"day": day, "minute": minute, "seats": count}
                                     for minute, count in changed.items()])  # fmt: skip
        log_edit(conn, now=now, staff_id=staff_id, what="shift", key=day,
                 before=_named({minute: before[minute] for minute in changed if minute in before}),
                 after=_named(changed))  # fmt: skip
    return len(changed)


def _named(seats: Mapping[int, int]) -> dict[str, int]:
    return {clock_of(minute): count for minute, count in seats.items()}


def clock_of(minute: int) -> str:
    """08:30; the day's end is 24:00."""
    return f"{minute // 60:02}:{minute % 60:02}"


def between(start: int, end: int) -> list[int]:
    """The half-hours from ``start`` to ``end``, minutes after midnight. BadInput "staffing.backwards" for none."""
    if not start < end:
        raise BadInput("staffing.backwards")
    return [minute for minute in HALVES if start <= minute < end]
