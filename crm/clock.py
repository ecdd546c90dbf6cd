"""Kyiv's time of day, and the hours in which the centre answers. Pure; UTC in and out."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection
from zoneinfo import ZoneInfo

from crm.errors import BadInput

KYIV = ZoneInfo("Europe/Kyiv")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")


def minutes(clock: str) -> int:
    """Minutes after midnight of "HH:MM"; "24:00" is 1440. BadInput for anything else."""
    if not _CLOCK.fullmatch(clock):
        raise BadInput("clock.malformed")
    return int(clock[:2]) * 60 + int(clock[3:])


def minutes_of_day(now: dt.datetime) -> int:
    """Minutes after midnight in Kyiv."""
    local = now.astimezone(KYIV)
    return local.hour * 60 + local.minute


def is_open(now: dt.datetime, opens: str, closes: str, closed_days: Collection[str] = ()) -> bool:
    """Whether the centre answers: "HH:MM" in Kyiv, over midnight when ``closes`` is before ``opens``.

    ``closed_days``: "2026-12-31", or "12-25" for every year.
    """
    day = now.astimezone(KYIV).date().isoformat()
    return day not in closed_days and day[5:] not in closed_days and in_window(now, minutes(opens), minutes(closes))


def next_open(now: dt.datetime, opens: str, closes: str, closed_days: Collection[str] = ()) -> dt.datetime:
    """``now`` itself if the centre answers, else when it does so next (as ``is_open``); within a year."""
    at = now
    for _ in range(366):
        at = next_in_window(at, minutes(opens), minutes(closes))
        if is_open(at, opens, closes, closed_days):
            return at
        at = _at_minute(at.astimezone(KYIV).date() + dt.timedelta(days=1), 0)
    return now


def full_hour(at: dt.datetime) -> dt.datetime:
    """The first full hour that is not before it."""
    whole = at.replace(minute=0, second=0, microsecond=0)
    return whole if whole == at else whole + dt.timedelta(hours=1)


def in_window(now: dt.datetime, start: int, end: int) -> bool:
    """Whether Kyiv's time of day is within [start, end), minutes after midnight; over midnight when
    ``end`` is before ``start``, the whole day when they are equal."""
    minute = minutes_of_day(now)
    if start < end:
        return start <= minute < end
    return start == end or minute >= start or minute < end


def next_in_window(at: dt.datetime, start: int, end: int) -> dt.datetime:
    """``at`` itself if it is within the window, else the next time the window opens."""
    if in_window(at, start, end):
        return at
    local = at.astimezone(KYIV)
    opening = _at_minute(local.date(), start)
    return opening if opening > at else _at_minute(local.date() + dt.timedelta(days=1), start)


def _at_minute(day: dt.date, minute: int) -> dt.datetime:
    """That minute of the wall clock in Kyiv; 1440 is the next midnight. A time that the clocks
    skip is the moment after the skip."""
    day += dt.timedelta(days=minute // 1440)
    wall = dt.datetime.combine(day, dt.time(minute % 1440 // 60, minute % 60), KYIV)
    return wall.astimezone(dt.UTC)
