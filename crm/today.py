"""The day so far, as the wallboard shows it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection

from crm import call_figures, promises
from crm.call_figures import Calls
from crm.periods import Period, day_of


@dataclass(frozen=True, slots=True)
class Today:
    """Counts of the calls that came since midnight in Kyiv, and of the callbacks promised since; shares from 0 to 1,
    None of nothing. ``service_level``: answered within ``within_s``; ``calibration``: served within what was said."""

    offered: int
    abandoned: int
    within_s: int
    service_level: float | None
    calibration: float | None
    error_s: float | None
    promised: int
    kept: int
    late: int


def so_far(conn: Connection, now: dt.datetime, within_s: int) -> Today:
    """The day's part of an index or two is read. ``late``: called later than was said, or still to be called."""
    day = Period(day_of(now), day_of(now))
    calls = next(iter(call_figures.calls(conn, day, "period").values()), Calls())
    made = promises.kept_since(conn, day.start)
    overdue = sum(one.told_at is not None and one.called_at is None and one.told_at < now and one.made_at >= day.start
                  for one in promises.open_ones(conn))  # fmt: skip
    return Today(calls["offered"], calls["abandoned"], within_s, calls.service_level(within_s), calls.calibration,
                 calls.mean_error_s, made.made, made.kept, made.late + overdue)  # fmt: skip
