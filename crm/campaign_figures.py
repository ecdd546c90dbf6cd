"""A campaign in figures: what it would take on and how long that lasts, what it has done, and the appeals behind each.

Appeals are counted; where citizens are (one is called of all his appeals at once) it is said so.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, distinct, exists, func, literal_column, or_, select, true

from crm import campaigns
from crm.campaign_rules import CALL_S, Mode, Pace, Terms, days_needed, forecast_end
from crm.campaigns import Campaign
from crm.confirmation_rules import Mode as AskedBy
from crm.confirmation_rules import Reached, Result, Rules
from crm.figures import DAY, EPOCH, Behind
from crm.life import Action
from crm.people import Role
from crm.periods import Period, day_of
from crm.questions import GIVEN_UP, GONE
from crm.schema import appeal, appeal_event, attempt, callback, callback_appeal, staff
from crm.wholes import epoch, kyiv

LATELY_DAYS = 14  # by which the pace of our calls is judged
LONGEST_CALL_S = 900  # of those: who left his form open longer did something else
SHOWN_DAYS = 31

_result = callback_appeal.c.result


def _called(since: dt.datetime, *, reached: bool = False) -> ColumnElement[bool]:
    """In the campaign; what was tried before it took the callback is not its own."""
    how = attempt.c.answered_at.is_not(None) if reached else attempt.c.outcome != Reached.NOT_PLACED.value
    return and_(callback_appeal.c.tries > 0, exists().where(attempt.c.callback_id == callback.c.id,
                                                            attempt.c.placed_at >= since, how))  # fmt: skip


# Of the appeals that a campaign asks about, since it was started. Each is in one of those from "solved" on.
FIGURES: dict[str, Callable[[dt.datetime], ColumnElement[bool]]] = {
    "planned": lambda since: true(),
    "called": _called,
    "reached": lambda since: _called(since, reached=True),
    "solved": lambda since: _result == Result.SOLVED.value,
    "not_solved": lambda since: _result.in_([Result.PARTLY.value, Result.NOT_SOLVED.value]),
    "unreached": lambda since: or_(_result == GIVEN_UP, and_(_result == "", callback.c.ended_at.is_not(None))),
    "gone": lambda since: _result == GONE,
    "left": lambda since: and_(_result == "", callback.c.ended_at.is_(None)),
}
PARTS = ("solved", "not_solved", "unreached", "gone", "left")
# What of an appeal's history is the end of asking, as the days count it.
ENDS = {"solved": Action.CONFIRM, "not_solved": Action.NOT_SOLVED, "unreached": Action.GIVE_UP}


# ── before it starts ─────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Plan:
    """What it would take on now. ``by``: appeals by department, subject and district (ids; None for no district).
    ``days``: of calling, with so many ``at_once``; None when it would never end."""

    citizens: int
    appeals: int
    by: Mapping[str, Mapping[int | None, int]]
    pace: Pace
    at_once: int
    days: int | None


def plan(conn: Connection, terms: Terms, now: dt.datetime, rules: Rules, at_once: int | None = None) -> Plan:
    """The dry run: nothing is taken. ``at_once``: seats that call, None for as many as there are feedback people; a
    machine has its lines."""
    theirs = and_(callback.c.state == "due", campaigns.free(), campaigns.matches(terms, now))
    asks = select(callback_appeal.c.appeal_id).join_from(callback_appeal, callback).where(theirs, _result == "")
    citizens = conn.execute(select(func.count()).select_from(callback).where(theirs)).scalar_one()
    by = {name: {row[0]: row[1] for row in conn.execute(
        select(column, func.count()).where(appeal.c.id.in_(asks)).group_by(column))}
        for name, column in (("department", appeal.c.department_id), ("subject", appeal.c.subject_id),
                             ("district", appeal.c.district_id))}  # fmt: skip
    of_pace = pace(conn, terms.mode, now)
    workers = rules.lines if terms.mode is Mode.AUTOMATIC else at_once or feedback_people(conn)
    return Plan(citizens, sum(by["department"].values()), by, of_pace, workers,
                days_needed(citizens, terms, workers, of_pace, rules))  # fmt: skip


def feedback_people(conn: Connection) -> int:
    """Who calls residents back; one at least."""
    count = select(func.count()).where(staff.c.role == Role.FEEDBACK.value, staff.c.active)
    return max(1, conn.execute(count).scalar_one())


def pace(conn: Connection, mode: Mode, now: dt.datetime) -> Pace:
    """What the calls of the last LATELY_DAYS have taken, from placing one to its result; and how many of them each
    citizen needed who was done with."""
    a, since = attempt.c, now - dt.timedelta(days=LATELY_DAYS)
    asked_by = AskedBy.AUTO if mode is Mode.AUTOMATIC else AskedBy.LIVE
    took = epoch(a.ended_at) - epoch(a.placed_at)
    placed = (a.placed_at >= since, a.promise_id.is_(None), a.outcome != Reached.NOT_PLACED.value)
    mean = conn.execute(select(func.avg(took)).where(*placed, a.mode == asked_by.value, a.ended_at.is_not(None),
                                                     took <= LONGEST_CALL_S)).scalar()  # fmt: skip
    ended = select(callback.c.id).where(callback.c.ended_at >= since, callback.c.created_at >= since)
    tries, citizens = conn.execute(select(func.count(), func.count(distinct(a.callback_id)))
                                   .where(*placed, a.callback_id.in_(ended))).one()  # fmt: skip
    return Pace(max(1.0, float(mean)) if mean is not None else CALL_S, tries / citizens if citizens else 1.0)


# ── while it runs, and after ─────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Progress:
    """``counts``: of FIGURES. ``citizens``, ``citizens_left``: whom it has taken, and with whom it is not done.
    ``days``: calls placed and reached, appeals by ENDS; of the latest SHOWN_DAYS those on which something was.
    ``end``: the day on which it will be over or was ended, None when nobody can tell."""

    counts: Counter[str]
    citizens: int
    citizens_left: int
    days: Mapping[dt.date, Counter[str]]
    end: dt.date | None

    @property
    def share(self) -> float | None:
        """Of the appeals, how many are done with."""
        planned = self.counts["planned"]
        return (planned - self.counts["left"]) / planned if planned else None


def progress(conn: Connection, one: Campaign, now: dt.datetime, rules: Rules) -> Progress:
    """Of a campaign that has been started."""
    since = one.started_at or now
    asked = callback_appeal.c.appeal_id
    row = conn.execute(select(*(func.count(distinct(asked)).filter(condition(since)) for condition in FIGURES.values()))
                       .join_from(callback_appeal, callback).where(callback.c.campaign_id == one.id)).one()  # fmt: skip
    counts = Counter(dict(zip(FIGURES, row, strict=True)))
    open_ = callback.c.ended_at.is_(None)
    citizens, left = conn.execute(select(func.count(), func.count().filter(open_))
                                  .where(callback.c.campaign_id == one.id)).one()  # fmt: skip
    days, done = _days(conn, one, since, now), _done_by_day(conn, one, since, now)
    planned = None
    if one.is_open:
        of_pace = pace(conn, one.terms.mode, now)
        at_once = rules.lines if one.terms.mode is Mode.AUTOMATIC else feedback_people(conn)
        planned = days_needed(left, one.terms, at_once, of_pace, rules)
    end = forecast_end(left, done, planned, day_of(now)) if one.is_open else one.ended_at and day_of(one.ended_at)
    return Progress(counts, citizens, left, days, end)


def shares_done(conn: Connection) -> dict[int, tuple[int, int]]:
    """Of every campaign: citizens taken, and of them those that it is done with."""
    rows = conn.execute(select(callback.c.campaign_id, func.count(), func.count(callback.c.ended_at))
                        .where(callback.c.campaign_id.is_not(None)).group_by(callback.c.campaign_id))  # fmt: skip
    return {row[0]: (row[1], row[2]) for row in rows}


def _shown(since: dt.datetime, now: dt.datetime) -> Period:
    today = day_of(now)
    return Period(max(day_of(since), today - dt.timedelta(days=SHOWN_DAYS - 1)), today)


def _by_day(conn: Connection, period: Period, moment: ColumnElement[Any], *conditions: ColumnElement[bool],
            kind: ColumnElement[Any] | None = None, joined: Any) -> list[Any]:  # fmt: skip
    """(day, kind, how many) of what happened in the period."""
    day = (kyiv(moment, period) // DAY).label("day")
    of = literal_column("''") if kind is None else kind
    found = (select(day, of.label("kind"), func.count()).select_from(joined)
             .where(moment >= period.start, moment < period.end, *conditions)
             .group_by(literal_column("day"), literal_column("kind")))  # fmt: skip
    return [(EPOCH + dt.timedelta(days=row[0]), row[1], row[2]) for row in conn.execute(found)]


def _days(conn: Connection, one: Campaign, since: dt.datetime, now: dt.datetime) -> dict[dt.date, Counter[str]]:
    period, a, e = _shown(since, now), attempt.c, appeal_event.c
    of_it = callback.c.campaign_id == one.id
    days: dict[dt.date, Counter[str]] = {}
    calls = attempt.join(callback)
    placed = (of_it, a.placed_at >= since, a.outcome != Reached.NOT_PLACED.value)
    for day, _, count in _by_day(conn, period, a.placed_at, *placed, joined=calls):
        days.setdefault(day, Counter())["placed"] += count
    for day, _, count in _by_day(conn, period, a.placed_at, *placed, a.answered_at.is_not(None), joined=calls):
        days.setdefault(day, Counter())["reached"] += count
    named = {action.value: name for name, action in ENDS.items()}
    asked = appeal_event.join(callback_appeal, callback_appeal.c.appeal_id == e.appeal_id).join(
        callback, callback.c.id == callback_appeal.c.callback_id)  # fmt: skip
    within = (of_it, e.action.in_(sorted(named)), e.at >= callback.c.created_at,
              or_(callback.c.ended_at.is_(None), e.at <= callback.c.ended_at))  # fmt: skip
    for day, action, count in _by_day(conn, period, e.at, *within, kind=e.action, joined=asked):
        days.setdefault(day, Counter())[named[action]] += count
    return dict(sorted(days.items(), reverse=True))


def _done_by_day(conn: Connection, one: Campaign, since: dt.datetime, now: dt.datetime) -> dict[dt.date, int]:
    """With how many citizens it was done on each day on which it called anybody."""
    period, done = _shown(since, now), {}
    for day, _, _ in _by_day(conn, period, attempt.c.placed_at, callback.c.campaign_id == one.id,
                             joined=attempt.join(callback)):  # fmt: skip
        done[day] = 0
    for day, _, count in _by_day(conn, period, callback.c.ended_at, callback.c.campaign_id == one.id, joined=callback):
        done[day] = done.get(day, 0) + count
    return done


def behind(one: Campaign, figure: str, now: dt.datetime) -> Behind:
    """The appeals that a figure counted. KeyError for one that is not of FIGURES."""
    asked = (select(callback_appeal.c.appeal_id).join_from(callback_appeal, callback)
             .where(callback.c.campaign_id == one.id, FIGURES[figure](one.started_at or now)))  # fmt: skip
    return Behind((appeal.c.id.in_(asked),))
