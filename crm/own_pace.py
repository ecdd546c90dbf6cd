"""The day so far of those who call residents back: each one's own, and what is usual among them.

For the person himself: nobody is shown anybody else's, and a median of few would be somebody's.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from statistics import median

from sqlalchemy import Connection, distinct, func, select

from crm.campaigns import midnight
from crm.confirmation_rules import Reached
from crm.life import Action
from crm.schema import appeal_event, attempt
from crm.wholes import epoch

LEAST = 3  # people: of fewer no median is told
SPAN_S = 1800  # of such spans those count for the pace in which somebody called: a break is no slowness


@dataclass(frozen=True, slots=True)
class Day:
    """Since midnight in Kyiv. ``called``, ``reached``: calls placed, and those in which the citizen's telephone was
    picked up. ``solved``, ``returned``: appeals, by what was said in one's own calls. ``spans``: see SPAN_S."""

    called: int = 0
    reached: int = 0
    solved: int = 0
    returned: int = 0
    spans: int = 0

    @property
    def an_hour(self) -> float | None:
        """Calls in an hour of calling; None before the first."""
        return self.called * 3600 / (self.spans * SPAN_S) if self.spans else None


@dataclass(frozen=True, slots=True)
class OwnPace:
    """``usual``: the median of the paces of all who called today, calls an hour; None for fewer than LEAST of them."""

    mine: Day
    usual: float | None


def today(conn: Connection, staff_id: int, now: dt.datetime) -> OwnPace:
    days = by_person(conn, now)
    paces = [day.an_hour for day in days.values() if day.an_hour is not None]
    return OwnPace(days.get(staff_id, Day()), median(paces) if len(paces) >= LEAST else None)


def by_person(conn: Connection, now: dt.datetime) -> dict[int, Day]:
    """By staff_id, of those who have called anybody today."""
    a, e, since = attempt.c, appeal_event.c, midnight(now)
    words: dict[tuple[int, str], int] = {
        (row[0], row[1]): row[2] for row in conn.execute(
            select(e.staff_id, e.action, func.count())
            .where(e.action.in_([Action.CONFIRM.value, Action.NOT_SOLVED.value]), e.at >= since, e.at <= now,
                   e.staff_id.is_not(None), e.evidence["attempt"].as_string().is_not(None))
            .group_by(e.staff_id, e.action))}  # fmt: skip
    calls = conn.execute(
        select(a.staff_id, func.count(), func.count(a.answered_at), func.count(distinct(epoch(a.placed_at) // SPAN_S)))
        .where(a.placed_at >= since, a.placed_at <= now, a.staff_id.is_not(None), a.promise_id.is_(None),
               a.outcome != Reached.NOT_PLACED.value)
        .group_by(a.staff_id))  # fmt: skip
    return {row[0]: Day(row[1], row[2], words.get((row[0], Action.CONFIRM.value), 0),
                        words.get((row[0], Action.NOT_SOLVED.value), 0), row[3]) for row in calls}  # fmt: skip
