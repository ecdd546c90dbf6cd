"""The figures of a period, each a question to the appeals or to their history, and the appeals behind each.

Two views. The **cohort**: the appeals registered in the period, as they stand now (``COHORT``). The **flow**: what
happened in the period, whenever the appeals were registered (``FLOW``). What lies with the departments at this moment
is a third, small one (``NOW``). A figure's condition stands here once: it counts, and it finds what was counted.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal_column, select, true

from crm import life
from crm.life import Action, State
from crm.periods import Period
from crm.schema import appeal, appeal_event, department, district, subject
from crm.wholes import epoch, kyiv

HOUR, DAY = 3600, 86400
EPOCH = dt.date(1970, 1, 1)


def _in(*states: State) -> ColumnElement[bool]:
    return appeal.c.state.in_([state.value for state in states])


# Of the appeals registered in the period. Those from "open" on say where they stand: each appeal is in one of them.
COHORT: dict[str, ColumnElement[bool]] = {
    "registered": true(),
    "executed": appeal.c.first_executed_at.is_not(None),
    "on_time": appeal.c.first_executed_at <= appeal.c.due_at,
    "returned": appeal.c.returns > 0,
    "repeated": appeal.c.repeat_of.is_not(None),
    "open": _in(*life.OPEN),
    "awaiting": _in(State.EXECUTED, State.AWAITING),
    "confirmed": _in(State.CLOSED),
    **{state.value: _in(state) for state in (State.UNCONFIRMED, State.EXPLAINED, State.PLANNED, State.REFUSED,
                                             State.DEFECTIVE, State.FORWARDED, State.WITHDRAWN)},
}  # fmt: skip

# What a share is a share of; of "registered" where nothing is said.
BASE = {"on_time": "executed", "returned": "executed", "confirmed": "executed", "unconfirmed": "executed"}

# What was done in the period.
FLOW: dict[str, tuple[Action, ...]] = {
    "registered": (Action.REGISTER,),
    "executed": (Action.EXECUTE, Action.ANSWER),
    "confirmed": (Action.CONFIRM,),
    "returned": (Action.NOT_SOLVED,),
    "unconfirmed": (Action.GIVE_UP,),
    "explained": (Action.EXPLAIN,),
    "planned": (Action.PLAN,),
    "refused": (Action.REFUSE,),
    "defective": (Action.FIND_DEFECTIVE,),
    "forwarded": (Action.FORWARD,),
    "withdrawn": (Action.WITHDRAW,),
    "extended": (Action.EXTEND,),
    "reprimanded": (Action.REPRIMAND,),
}
# Of these, what came of our own calls to the residents.
BY_CALLBACK = ("confirmed", "returned", "unconfirmed")

# What lies with the departments at this moment, whenever it was registered.
NOW: dict[str, Callable[[dt.datetime], ColumnElement[bool]]] = {
    "overdue": lambda now: and_(_in(*life.OPEN), appeal.c.due_at < now),
    "unacknowledged": lambda now: and_(_in(State.ASSIGNED, State.RETURNED), appeal.c.acknowledged_at.is_(None)),
}

DIMENSIONS = ("subject", "district", "department", "channel")  # of the cube, in this order
_COLUMNS = (appeal.c.subject_id, appeal.c.district_id, appeal.c.department_id, appeal.c.channel)
OPERATOR = "operator"  # who wrote the appeal down, from its history

Key = int | str | None


@dataclass(slots=True)
class Tally:
    """How many of each figure, and how many were first reported executed after each number of whole hours."""

    counts: Counter[str] = field(default_factory=Counter)
    hours: Counter[int] = field(default_factory=Counter)

    def __getitem__(self, figure: str) -> int:
        return self.counts[figure]

    def share(self, figure: str) -> float | None:
        """Of what BASE says; None of nothing."""
        base = self.counts[BASE.get(figure, "registered")]
        return self.counts[figure] / base if base else None

    def percentile(self, percent: int) -> int | None:
        """Whole hours within which ``percent`` of the executed were reported executed; None of nothing."""
        return percentile(self.hours, percent)


def percentile(histogram: Mapping[int, int], percent: int) -> int | None:
    """The least value that at least ``percent`` of all do not exceed (the nearest rank); None of nothing."""
    total, below = sum(histogram.values()), 0
    for value in sorted(histogram):
        below += histogram[value]
        if below * 100 >= total * percent:
            return value
    return None


def together(tallies: Iterable[Tally]) -> Tally:
    """Their sum."""
    whole = Tally()
    for tally in tallies:
        whole.counts += tally.counts
        whole.hours += tally.hours
    return whole


@dataclass(frozen=True, slots=True)
class Cube:
    """The cohort, counted by all of DIMENSIONS at once: what any table or crossing of them is added up from."""

    cells: Mapping[tuple[Key, ...], tuple[int, ...]]  # in the order of COHORT

    def by(self, *dimensions: str, name: Callable[..., Any] = lambda *key: key) -> dict[Any, Tally]:
        """The tallies of each key, a tuple; ``name`` may lead several keys to one, or (with None) out of the table."""
        places = [DIMENSIONS.index(dimension) for dimension in dimensions]
        sums: dict[Any, list[int]] = {}
        for cell, counts in self.cells.items():
            named = name(*(cell[place] for place in places))
            if named is not None:
                known = sums.setdefault(named, [0] * len(counts))
                for place, count in enumerate(counts):
                    known[place] += count
        return {key: Tally(Counter(dict(zip(COHORT, counts, strict=True)))) for key, counts in sums.items()}

    def total(self) -> Tally:
        return self.by(name=lambda: "all").get("all", Tally())


def _registered_in(period: Period) -> ColumnElement[bool]:
    return and_(appeal.c.registered_at >= period.start, appeal.c.registered_at < period.end)


_ALL = true()
_COUNTS = [func.count().filter(condition) for condition in COHORT.values()]


def cube(conn: Connection, period: Period, among: ColumnElement[bool] = _ALL) -> Cube:
    """The whole cohort in one query over the period's part of an index; ``among``: only these appeals of it."""
    found = select(*_COLUMNS, *_COUNTS).where(_registered_in(period), among).group_by(*_COLUMNS)
    return Cube({tuple(row[:4]): tuple(row[4:]) for row in conn.execute(found)})


def registered(conn: Connection, period: Period) -> int:
    """How many; of an index alone."""
    return int(conn.execute(select(func.count(appeal.c.registered_at)).where(_registered_in(period))).scalar_one())


def hours(conn: Connection, period: Period, dimension: str,
          among: ColumnElement[bool] = _ALL) -> dict[Key, Counter[int]]:  # fmt: skip
    """Of the cohort: how many were first reported executed after so many whole hours, by a dimension. ``among``: as of
    ``cube``."""
    column = _COLUMNS[DIMENSIONS.index(dimension)]
    took = ((epoch(appeal.c.first_executed_at) - epoch(appeal.c.registered_at)) // HOUR).label("took")
    found = (select(column, took, func.count()).where(_registered_in(period), among, COHORT["executed"])
             .group_by(column, literal_column("took")))  # fmt: skip
    histograms: dict[Key, Counter[int]] = {}
    for key, whole_hours, count in conn.execute(found):
        histograms.setdefault(key, Counter())[whole_hours] = count
    return histograms


def by_operator(conn: Connection, period: Period) -> dict[int | None, Tally]:
    """The cohort by who wrote it down; None: nobody did, it came by itself."""
    e = appeal_event.c
    found = (select(e.staff_id, *_COUNTS).join_from(appeal_event, appeal, e.appeal_id == appeal.c.id)
             .where(_happened(period, (Action.REGISTER,)), _registered_in(period)).group_by(e.staff_id))  # fmt: skip
    return {row[0]: Tally(Counter(dict(zip(COHORT, row[1:], strict=True)))) for row in conn.execute(found)}


def _happened(period: Period, actions: Iterable[Action]) -> ColumnElement[bool]:
    e = appeal_event.c
    return and_(e.action.in_([action.value for action in actions]), e.at >= period.start, e.at < period.end)


_FLOW_OF = {action.value: name for name, actions in FLOW.items() for action in actions}


def flow(conn: Connection, period: Period) -> dict[dt.date, Counter[str]]:
    """How often each of FLOW happened, day by day of Kyiv; every day of the period is there."""
    day = (kyiv(appeal_event.c.at, period) // DAY).label("day")
    found = (select(appeal_event.c.action, day, func.count())
             .where(_happened(period, [Action(action) for action in _FLOW_OF]))
             .group_by(appeal_event.c.action, literal_column("day")))  # fmt: skip
    days: dict[dt.date, Counter[str]] = {day: Counter() for day in period.each_day()}
    for action, number, count in conn.execute(found):
        days[EPOCH + dt.timedelta(days=number)][_FLOW_OF[action]] += count
    return days


_ATTEMPT = appeal_event.c.evidence["attempt"].as_string()


def by_callback(conn: Connection, period: Period) -> Counter[str]:
    """Of BY_CALLBACK, what came of our own calls to the residents."""
    actions = [action for name in BY_CALLBACK for action in FLOW[name]]
    found = (select(appeal_event.c.action, func.count()).where(_happened(period, actions), _ATTEMPT.is_not(None))
             .group_by(appeal_event.c.action))  # fmt: skip
    return Counter({_FLOW_OF[action]: count for action, count in conn.execute(found)})


def now_by_department(conn: Connection, now: dt.datetime) -> dict[int, Counter[str]]:
    """What lies with each department at this moment, of NOW."""
    lying: dict[int, Counter[str]] = {}
    for name, condition in NOW.items():
        found = select(appeal.c.department_id, func.count()).where(condition(now)).group_by(appeal.c.department_id)
        for department_id, count in conn.execute(found):
            lying.setdefault(department_id, Counter())[name] = count
    return lying


@dataclass(frozen=True, slots=True)
class Repeats:
    building_id: int
    registered: int
    repeated: int

    @property
    def rate(self) -> float:
        return self.repeated / self.registered


def repeats(conn: Connection, period: Period, limit: int = 50) -> list[Repeats]:
    """The buildings with the most repeats in the cohort, those with most of them first."""
    repeated = func.count(appeal.c.repeat_of)
    found = (select(appeal.c.building_id, func.count(), repeated)
             .where(_registered_in(period), appeal.c.building_id.is_not(None))
             .group_by(appeal.c.building_id).having(repeated > 0)
             .order_by(repeated.desc(), func.count(), appeal.c.building_id).limit(limit))  # fmt: skip
    return [Repeats(*row) for row in conn.execute(found)]


# ── the appeals behind a figure ──────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Cut:
    """Which part of a figure. None: not cut so; NOBODY for a district or operator: of none."""

    subjects: frozenset[int] | None = None
    district: int | None = None
    department: int | None = None
    channel: str | None = None
    operator: int | None = None
    building: int | None = None


NOBODY = 0


@dataclass(frozen=True, slots=True)
class Line:
    """An appeal behind a figure, with nothing of whose it is. ``event_id``, ``at``: what happened, in the flow."""

    id: int
    number: int
    state: State
    subject_uk: str
    subject_en: str
    district_uk: str
    district_en: str
    department: str
    channel: str
    registered_at: dt.datetime
    due_at: dt.datetime
    first_executed_at: dt.datetime | None
    returns: int
    at: dt.datetime
    order: int  # by which the list goes on


_LINE = (appeal.c.id, appeal.c.number, appeal.c.state, subject.c.name_uk, subject.c.name_en,
         func.coalesce(district.c.name_uk, ""), func.coalesce(district.c.name_en, ""), department.c.name,
         appeal.c.channel, appeal.c.registered_at, appeal.c.due_at, appeal.c.first_executed_at,
         appeal.c.returns)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind one figure: ``count`` is the figure itself."""

    conditions: tuple[ColumnElement[bool], ...]
    events: bool = False

    def count(self, conn: Connection) -> int:
        """As the tables have it."""
        return int(conn.execute(self._from(select(func.count())).where(*self.conditions)).scalar_one())

    def lines(self, conn: Connection, limit: int, before: int | None = None) -> list[Line]:
        """Newest first; ``before``: the ``order`` of the last line that was shown."""
        order = appeal_event.c.id if self.events else appeal.c.id
        at = appeal_event.c.at if self.events else appeal.c.registered_at
        found = (self._from(select(*_LINE, at, order)).join(subject, appeal.c.subject_id == subject.c.id)
                 .join(department, appeal.c.department_id == department.c.id)
                 .join(district, appeal.c.district_id == district.c.id, isouter=True)
                 .where(*self.conditions).order_by(order.desc()).limit(limit))  # fmt: skip
        if before is not None:
            found = found.where(order < before)
        rows: Iterable[Any] = conn.execute(found)
        return [Line(row[0], row[1], State(row[2]), *row[3:]) for row in rows]

    def _from(self, query: Select[Any]) -> Select[Any]:
        return query.join_from(appeal_event, appeal, appeal_event.c.appeal_id == appeal.c.id) if self.events \
            else query.select_from(appeal)  # fmt: skip


def behind_cohort(figure: str, period: Period, cut: Cut = Cut()) -> Behind:
    """KeyError for a figure that is not of COHORT."""
    return Behind((_registered_in(period), COHORT[figure], *_cut(cut, period)))


def behind_flow(figure: str, period: Period, *, by_callback: bool = False) -> Behind:
    """KeyError for a figure that is not of FLOW."""
    only = (_ATTEMPT.is_not(None),) if by_callback else ()
    return Behind((_happened(period, FLOW[figure]), *only), events=True)


def behind_now(figure: str, now: dt.datetime, cut: Cut = Cut()) -> Behind:
    """KeyError for a figure that is not of NOW."""
    return Behind((NOW[figure](now), *_cut(cut, None)))


def _cut(cut: Cut, period: Period | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if cut.subjects is not None:
        found.append(appeal.c.subject_id.in_(sorted(cut.subjects)))
    for column, value in ((appeal.c.district_id, cut.district), (appeal.c.department_id, cut.department),
                          (appeal.c.channel, cut.channel), (appeal.c.building_id, cut.building)):  # fmt: skip
        if value is not None:
            found.append(column.is_(None) if value == NOBODY else column == value)
    if cut.operator is not None and period is not None:
        e = appeal_event.c
        who = e.staff_id.is_(None) if cut.operator == NOBODY else e.staff_id == cut.operator
        found.append(appeal.c.id.in_(select(e.appeal_id).where(_happened(period, (Action.REGISTER,)), who)))
    return found
