"""Kyiv's time of day, the city's calendar, and deadlines. Pure; UTC in and out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from zoneinfo import ZoneInfo

KYIV = ZoneInfo("Europe/Kyiv")


def minutes(clock: str) -> int:
    """Minutes after midnight of "HH:MM"; "24:00" is 1440."""
    raise NotImplementedError


def minutes_of_day(now: dt.datetime) -> int:
    """Minutes after midnight in Kyiv."""
    raise NotImplementedError


def is_open(now: dt.datetime, opens: str, closes: str, closed_days: Collection[str] = ()) -> bool:
    """Whether the centre answers: "HH:MM" in Kyiv, over midnight when ``closes`` is before ``opens``.

    ``closed_days``: "2026-12-31", or "12-25" for every year.
    """
    raise NotImplementedError


def in_window(now: dt.datetime, start: int, end: int) -> bool:
    """Whether Kyiv's time of day is within [start, end), minutes after midnight."""
    raise NotImplementedError


def next_in_window(at: dt.datetime, start: int, end: int) -> dt.datetime:
    """``at`` itself if it is within the window, else the next time the window opens."""
    raise NotImplementedError


def due(registered_at: dt.datetime, term_days: int) -> dt.datetime:
    """The end of the Kyiv day that is ``term_days`` after the day of registration."""
    raise NotImplementedError
