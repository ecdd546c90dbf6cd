"""The report of a period: every figure of its first page, read once. A month of 75,000 appeals takes well under 1 s."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from crm import call_figures, figures
from crm.call_figures import Callbacks, Calls
from crm.figures import Cube, Key, Tally
from crm.periods import Period


@dataclass(frozen=True, slots=True)
class Report:
    """``hours``: of the cohort, by department. ``flow``: day by day. ``before``: how many were registered in the
    period before it. ``lying``: what lies with each department at this moment."""

    period: Period
    cube: Cube
    hours: Mapping[Key, Counter[int]]
    flow: Mapping[dt.date, Counter[str]]
    before: int
    lying: Mapping[int, Counter[str]]
    calls: Calls
    callbacks: Callbacks
    by_callback: Counter[str]
    consultations: Mapping[str, int]

    @property
    def cohort(self) -> Tally:
        return whole(self.cube, self.hours)

    @property
    def happened(self) -> Counter[str]:
        """The flow of all days."""
        return sum(self.flow.values(), Counter())

    @property
    def departments(self) -> dict[Key, Tally]:
        return departments(self.cube, self.hours, self.lying)


def whole(cube: Cube, hours: Mapping[Key, Counter[int]]) -> Tally:
    """The whole cohort, with the hours of all."""
    return Tally(cube.total().counts, sum(hours.values(), Counter()))


def departments(cube: Cube, hours: Mapping[Key, Counter[int]], lying: Mapping[int, Counter[str]]) -> dict[Key, Tally]:
    """The cohort by the department that it lies with; those too that have only older ones lying there."""
    tallies = {key: Tally(tally.counts, hours.get(key, Counter())) for (key,), tally in cube.by("department").items()}
    return {key: Tally() for key in lying} | tallies


def report(conn: Connection, period: Period, now: dt.datetime) -> Report:
    """A dozen queries, each over the period's part of an index."""
    return Report(
        period=period, cube=figures.cube(conn, period), hours=figures.hours(conn, period, "department"),
        flow=figures.flow(conn, period), before=figures.registered(conn, period.before()),
        lying=figures.now_by_department(conn, now), calls=call_figures.total(
            call_figures.calls(conn, period, "period").values()), callbacks=call_figures.callbacks(conn, period),
        by_callback=figures.by_callback(conn, period), consultations=call_figures.consultations(conn, period),
    )  # fmt: skip
