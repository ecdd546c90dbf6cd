"""The city's calendar: which days are worked. Monday to Friday, but for what the city has said otherwise."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from crm.schema import calendar_day

SATURDAY = 5


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


def load(conn: Connection) -> Calendar:
    """As the city has it now."""
    return Calendar({row.day: row.working for row in conn.execute(select(calendar_day.c.day, calendar_day.c.working))})
