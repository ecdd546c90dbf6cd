"""Periods of whole days in Kyiv, which is how the city counts."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from crm.clock import KYIV
from crm.errors import BadInput

LONGEST_DAYS = 366
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """``first`` to ``last``, both within it. BadInput when it ends before it begins or is longer than LONGEST_DAYS."""

    first: dt.date
    last: dt.date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise BadInput("period.backwards")
        if self.days > LONGEST_DAYS:
            raise BadInput("period.too_long", longest=LONGEST_DAYS)

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def start(self) -> dt.datetime:
        """The first moment, UTC."""
        return _midnight(self.first)

    @property
    def end(self) -> dt.datetime:
        """The first moment after it, UTC."""
        return _midnight(self.last + _DAY)

    @property
    def is_month(self) -> bool:
        return self == month_of(self.first)

    def before(self) -> Period:
        """The month before a month; else as many days as it has, right before it."""
        last = self.first - _DAY
        return month_of(last) if self.is_month else Period(last - _DAY * (self.days - 1), last)

    def each_day(self) -> list[dt.date]:
        return [self.first + _DAY * n for n in range(self.days)]

    def offsets(self) -> list[tuple[dt.datetime | None, int]]:
        """How far Kyiv's clocks are ahead of UTC, in seconds: (until when, offset), the last one until None."""
        found: list[tuple[dt.datetime | None, int]] = []
        at, hour = self.start, dt.timedelta(hours=1)  # clocks are set at a full hour of UTC
        offset = _offset(at)
        for day in self.each_day():
            after = _midnight(day + _DAY)
            if _offset(after) == offset:
                continue
            at = _midnight(day)
            while _offset(at) == offset:
                at += hour
            found.append((at, offset))
            offset = _offset(at)
        return [*found, (None, offset)]


def day_of(now: dt.datetime) -> dt.date:
    """Kyiv's date."""
    return now.astimezone(KYIV).date()


def week_of(day: dt.date) -> Period:
    """Monday to Sunday."""
    monday = day - _DAY * day.weekday()
    return Period(monday, monday + _DAY * 6)


def month_of(day: dt.date) -> Period:
    first = day.replace(day=1)
    return Period(first, (first + _DAY * 31).replace(day=1) - _DAY)


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), KYIV).astimezone(dt.UTC)


def _offset(at: dt.datetime) -> int:
    ahead = at.astimezone(KYIV).utcoffset()
    assert ahead is not None  # noqa: S101  # KYIV is a zone
    return int(ahead.total_seconds())
