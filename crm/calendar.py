"""The city's calendar: which days are worked. Monday to Friday, but for what the city has said otherwise."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select, update

from crm import texts
from crm.edits import log_edit
from crm.errors import NotFound
from crm.schema import calendar_day

SATURDAY = 5
LONGEST_NAME = 120


@dataclass(frozen=True, slots=True)
class Calendar:
    """``said``: day → whether it is worked, for the days that are not as their weekday."""

    said: Mapping[dt.date, bool] = field(default_factory=dict)

    def is_working(self, day: dt.date) -> bool:
        return self.said.get(day, day.weekday() < SATURDAY)

    def next_working(self, day: dt.date) -> dt.date:
        """``day`` itself if it is worked, else the first after it that is."""
        while not self.is_working(day):
            day += dt.timedelta(days=1)
        return day

    def shift(self, day: dt.date, working_days: int) -> dt.date:
        """That many working days after ``day``, or before it where negative; 0 is ``day`` itself."""
        step = dt.timedelta(days=1 if working_days > 0 else -1)
        for _ in range(abs(working_days)):
            day += step
            while not self.is_working(day):
                day += step
        return day


@dataclass(frozen=True, slots=True)
class Day:
    """What the city has said of a day."""

    day: dt.date
    working: bool
    name: str


def load(conn: Connection) -> Calendar:
    """As the city has it now."""
    return Calendar({row.day: row.working for row in conn.execute(select(calendar_day.c.day, calendar_day.c.working))})


def days(conn: Connection, year: int) -> list[Day]:
    """What is said of the year's days, in their order."""
    c = calendar_day.c
    rows = conn.execute(select(c.day, c.working, c.name).order_by(c.day)
                        .where(c.day.between(dt.date(year, 1, 1), dt.date(year, 12, 31))))  # fmt: skip
    return [Day(*row) for row in rows]


def say(conn: Connection, day: dt.date, working: bool, name: str, *, now: dt.datetime, staff_id: int | None) -> None:
    """Says whether the day is worked, whatever was said of it before. What was promised by the old calendar stays
    promised: deadlines are told to people. BadInput for a name that is too long."""
    said = {"working": working, "name": texts.line(name, LONGEST_NAME)}
    before = _said(conn, day)
    change = insert(calendar_day).values(day=day) if before is None else update(calendar_day).filter_by(day=day)
    conn.execute(change.values(said))
    log_edit(conn, now=now, staff_id=staff_id, what="calendar_day", key=day, before=before, after=said)


def unsay(conn: Connection, day: dt.date, *, now: dt.datetime, staff_id: int | None) -> None:
    """The day is again as its weekday. NotFound if nothing was said of it."""
    before = _said(conn, day)
    if before is None:
        raise NotFound("calendar.unknown")
    conn.execute(delete(calendar_day).where(calendar_day.c.day == day))
    log_edit(conn, now=now, staff_id=staff_id, what="calendar_day", key=day, before=before, after=None)


def _said(conn: Connection, day: dt.date) -> dict[str, object] | None:
    c = calendar_day.c
    row = conn.execute(select(c.working, c.name).where(c.day == day)).one_or_none()
    return None if row is None else {"working": row.working, "name": row.name}
