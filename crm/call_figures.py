"""The figures of the calls of a period: how long residents waited, who gave up, how busy the seats were.

A call belongs to the day and the half hour in which it arrived. Our own calls to residents are apart (``callbacks``).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Integer, case, func, literal_column, select

from crm.calls import Direction, EndCause, Outcome
from crm.clock import KYIV
from crm.confirmation_rules import Reached
from crm.figures import DAY, EPOCH, HOUR, percentile
from crm.periods import Period
from crm.schema import attempt, call, consultation, seat_event
from crm.wholes import ceiling, kyiv

SHORT_S = 5  # who hangs up sooner has hardly waited
SERVICE = (80, 20)  # the usual aim: so many percent of the offered answered within so many seconds
WITHIN_S = (10, 20, 30, 60, 120, 300)

By = Literal["period", "day", "hour", "half_hour"]
SPAN_S: dict[str, int] = {"hour": HOUR, "half_hour": HOUR // 2}

_by_a_person = call.c.answered_at.is_not(None)
_gave_up = call.c.end_cause == EndCause.ABANDONED.value

# What became of a call that came in: each has one fate. Those that entered the queue for a person were offered.
OFFERED = ("answered", "promised", "short", "abandoned", "timed_out", "lost", "waiting")
NOT_OFFERED = ("closed", "menu")
_FATE = case(
    (call.c.queued_at.is_(None), case((call.c.end_cause == EndCause.CLOSED.value, "closed"), else_="menu")),
    (_by_a_person, "answered"),
    (call.c.end_cause == EndCause.PROMISED.value, "promised"),
    (_gave_up & (call.c.wait_s < SHORT_S), "short"),
    (_gave_up, "abandoned"),
    (call.c.end_cause == EndCause.TIMEOUT.value, "timed_out"),
    (call.c.ended_at.is_(None), "waiting"),
    else_="lost",
)
# What was said of the wait, and came of it; who gave up before the upper end of it tells nothing.
TOLD = {
    "told": call.c.told_wait_s.is_not(None),
    "told_answered": _by_a_person & call.c.told_wait_s.is_not(None),
    "told_in_time": _by_a_person & (call.c.wait_s <= call.c.told_wait_s),
    "told_too_little": call.c.wait_s > call.c.told_wait_s,
}
_ERROR = func.abs(call.c.wait_s - (func.coalesce(call.c.told_low_s, 0) + call.c.told_wait_s) / 2.0)
# A count beside the fates: consulted was answered with information and no appeal, handled has ended.
COUNTS = (*OFFERED, *NOT_OFFERED, "arrived", "offered", "consulted", "handled", *TOLD)


@dataclass(slots=True)
class Calls:
    """The calls of one day, hour or period: COUNTS, and sums in seconds. ``abandoned`` has the short ones in it."""

    counts: Counter[str] = field(default_factory=Counter)
    waits: Counter[int] = field(default_factory=Counter)  # of the answered: seconds, rounded up → how many
    wait_s: float = 0.0  # of the answered
    longest_s: float = 0.0
    handled_s: float = 0.0  # talk and hold
    error_s: float = 0.0  # between the wait and the middle of what was said of it, of the answered

    def __getitem__(self, figure: str) -> int:
        return self.counts[figure]

    @property
    def mean_wait_s(self) -> float | None:
        return _over(self.wait_s, self["answered"])

    @property
    def p90_wait_s(self) -> int | None:
        """Seconds, rounded up."""
        return percentile(self.waits, 90)

    @property
    def mean_handled_s(self) -> float | None:
        """AHT."""
        return _over(self.handled_s, self["handled"])

    @property
    def abandonment(self) -> float | None:
        """With the short ones."""
        return _over(self["abandoned"], self["offered"])

    @property
    def abandonment_without_short(self) -> float | None:
        return _over(self["abandoned"] - self["short"], self["offered"] - self["short"])

    def service_level(self, seconds: int) -> float | None:
        """The share of the offered that was answered within so many seconds."""
        return _over(sum(count for wait, count in self.waits.items() if wait <= seconds), self["offered"])

    @property
    def calibration(self) -> float | None:
        """The share of those who were told their wait that was served within what was said."""
        return _over(self["told_in_time"], self["told_in_time"] + self["told_too_little"])

    @property
    def mean_error_s(self) -> float | None:
        return _over(self.error_s, self["told_answered"])

    def add(self, other: Calls) -> None:
        self.counts += other.counts
        self.waits += other.waits
        self.wait_s += other.wait_s
        self.longest_s = max(self.longest_s, other.longest_s)
        self.handled_s += other.handled_s
        self.error_s += other.error_s


def _over(part: float, all_of_it: float) -> float | None:
    return part / all_of_it if all_of_it else None


def calls(conn: Connection, period: Period, by: By) -> dict[Any, Calls]:
    """By day (a date), or by the hour or half hour of the day (minutes after midnight in Kyiv), each there is; or
    all of the period, under its first day.

    One query over the period's part of an index.
    """
    waited = ceiling(call.c.wait_s).label("waited")
    found = (
        select(_key(period, by).label("key"), _FATE.label("fate"), waited, func.count(), func.sum(call.c.wait_s),
               func.max(call.c.wait_s), func.count().filter(call.c.outcome == Outcome.CONSULTED.value),
               func.count(call.c.talk_s), func.sum(call.c.talk_s + call.c.hold_s),
               func.sum(_ERROR).filter(TOLD["told_answered"]), *(func.count().filter(said) for said in TOLD.values()))
        .where(call.c.arrived_at >= period.start, call.c.arrived_at < period.end,
               call.c.direction == Direction.IN.value)
        .group_by(*(literal_column(name) for name in ("key", "fate", "waited")))
    )  # fmt: skip
    each: dict[Any, Calls] = {}
    for number, *row in conn.execute(found):
        each.setdefault(_named(number, by), Calls()).add(_alike(*row))
    return dict(sorted(each.items()))


def _key(period: Period, by: By) -> ColumnElement[int]:
    if by == "period":
        return literal_column(str((period.first - EPOCH).days), Integer)
    local = kyiv(call.c.arrived_at, period)
    return local // DAY if by == "day" else local % DAY // SPAN_S[by]


def _alike(fate: str, waited: int | None, count: int, wait_s: float | None, longest_s: float | None, consulted: int,
           handled: int, handled_s: float | None, error_s: float | None, *told: int) -> Calls:
    """Calls of one fate that waited equally long."""
    counts = Counter({fate: count, "arrived": count, **dict(zip(TOLD, told, strict=True))})
    if fate in OFFERED:
        counts["offered"] = count
    if fate == "short":
        counts["abandoned"] = count
    if fate != "answered":
        return Calls(counts)
    counts += Counter(consulted=consulted, handled=handled)
    return Calls(counts, Counter({waited or 0: count}), wait_s or 0.0, longest_s or 0.0, handled_s or 0.0,
                 error_s or 0.0)  # fmt: skip


def total(each: Iterable[Calls]) -> Calls:
    """All of them together."""
    together = Calls()
    for one in each:
        together.add(one)
    return together


# ── the seats ────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Seats:
    """Seconds: staffed is logged in and not on a pause; busy is talk and hold, our own calls included."""

    staffed_s: float
    paused_s: float
    busy_s: float

    @property
    def occupancy(self) -> float | None:
        return _over(self.busy_s, self.staffed_s)


Span = tuple[dt.datetime, dt.datetime]


def staffed(events: Iterable[tuple[str, dt.datetime, str]], start: dt.datetime,
            end: dt.datetime) -> tuple[list[Span], list[Span]]:
    """When seats were staffed and when on a pause, within start and end, of (seat, when, kind) in order of time. Pure.

    A pause lasts until it is ended, the seat is left, or somebody logs in.
    """
    spans: dict[str, list[Span]] = {"in": [], "paused": []}
    at: dict[str, tuple[str, dt.datetime]] = {}

    def close(seat: str, until: dt.datetime) -> None:
        if seat in at:
            how, since = at.pop(seat)
            if max(since, start) < min(until, end):
                spans[how].append((max(since, start), min(until, end)))

    for seat, when, kind in events:
        was_in = seat in at
        close(seat, when)
        if kind == "login" or (kind in ("pause", "unpause") and was_in):
            at[seat] = ("paused" if kind == "pause" else "in", when)
    for seat in list(at):
        close(seat, end)
    return spans["in"], spans["paused"]


def seats(conn: Connection, period: Period, now: dt.datetime, by: By = "day") -> dict[Any, Seats]:
    """As ``calls``; of what has not come yet there is nothing."""
    end = min(period.end, now)
    spoke = (select(_key(period, by).label("key"), func.sum(call.c.talk_s + call.c.hold_s))
             .where(call.c.arrived_at >= period.start, call.c.arrived_at < period.end, call.c.talk_s.is_not(None),
                    call.c.seat.is_not(None))
             .group_by(literal_column("key")))  # fmt: skip
    busy = {_named(number, by): float(seconds) for number, seconds in conn.execute(spoke)}
    both = staffed(_seat_events(conn, period.start, end), period.start, end)
    sat, paused = (_divided(spans, period, by) for spans in both)
    return {key: Seats(sat[key], paused[key], busy.get(key, 0.0)) for key in sorted({*sat, *paused, *busy})}


def _named(number: int, by: By) -> Any:
    """What ``_key`` gave, as the figures' readers call it."""
    return number * SPAN_S[by] // 60 if by in SPAN_S else EPOCH + dt.timedelta(days=number)


def _divided(spans: Iterable[Span], period: Period, by: By) -> defaultdict[Any, float]:
    """Seconds by day, by hour…; every one of them begins and ends with a full hour or half hour of UTC."""
    step = dt.timedelta(seconds=SPAN_S.get(by, HOUR))
    seconds: defaultdict[Any, float] = defaultdict(float)
    for since, until in spans:
        while since < until:
            part = min(until, since + step - (since - period.start) % step)
            seconds[_called(since, period, by)] += (part - since).total_seconds()
            since = part
    return seconds


def _called(at: dt.datetime, period: Period, by: By) -> Any:
    local = at.astimezone(KYIV)
    minutes = SPAN_S.get(by, HOUR) // 60
    return period.first if by == "period" else local.date() if by == "day" else (
        (local.hour * 60 + local.minute) // minutes * minutes)  # fmt: skip


def seats_together(each: Iterable[Seats]) -> Seats:
    """Of several days."""
    days = list(each)
    return Seats(sum(day.staffed_s for day in days), sum(day.paused_s for day in days), sum(day.busy_s for day in days))


def _seat_events(conn: Connection, start: dt.datetime, end: dt.datetime) -> list[tuple[str, dt.datetime, str]]:
    """In order of time, for each seat from its last login or logout before ``start`` on."""
    e = seat_event.c
    # One step of an index for each seat, however many events there are.
    seat = select(func.min(e.seat).label("seat")).cte("seats", recursive=True)
    following = select(func.min(e.seat)).where(e.seat > seat.c.seat).scalar_subquery()
    seat = seat.union_all(select(following).where(seat.c.seat.is_not(None)))
    earlier = seat_event.alias("earlier")
    began = (select(func.max(earlier.c.at)).where(earlier.c.seat == seat.c.seat, earlier.c.at < start,
                                                  earlier.c.kind.in_(("login", "logout")))
             .scalar_subquery())  # fmt: skip
    found = (select(e.seat, e.at, e.kind).join_from(seat, seat_event, e.seat == seat.c.seat)
             .where(e.at >= func.coalesce(began, start), e.at < end).order_by(e.at, e.id))  # fmt: skip
    return [(row.seat, row.at, row.kind) for row in conn.execute(found)]


# ── our own calls to the residents, and what was told without an appeal ──────────────────────
@dataclass(frozen=True, slots=True)
class Callbacks:
    """``placed``: calls that a resident's telephone could ring for, reached: he picked up, unreached: he did not."""

    placed: int
    reached: int
    unreached: int
    by_machine: int


def callbacks(conn: Connection, period: Period) -> Callbacks:
    """Confirmation callbacks, by when they were placed; the rest of the placed are on the line now."""
    a = attempt.c
    reached, over = a.answered_at.is_not(None), a.ended_at.is_not(None)
    row = conn.execute(
        select(func.count(), func.count().filter(reached), func.count().filter(~reached, over),
               func.count().filter(a.mode == "auto"))
        .where(a.placed_at >= period.start, a.placed_at < period.end, a.promise_id.is_(None),
               a.outcome != Reached.NOT_PLACED.value)
    ).one()  # fmt: skip
    return Callbacks(*row)


def consultations(conn: Connection, period: Period) -> dict[str, int]:
    """How often each kind of answer was given from what the operator knows: article, bulletin, contact, programme."""
    c = consultation.c
    rows = conn.execute(select(c.kind, func.count()).where(c.at >= period.start, c.at < period.end).group_by(c.kind))
    return {row[0]: row[1] for row in rows}
