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
        """All of it, with the hours."""
        tally = self.cube.total()
        tally.hours = sum(self.hours.values(), Counter())
        return tally

    @property
    def happened(self) -> Counter[str]:
        return sum(self.flow.values(), Counter())

    @property
    def departments(self) -> dict[int, Tally]:
        """The cohort by the department that it lies with, and those that have only what lies there."""
        tallies = {key: tally for (key,), tally in self.cube.by("department").items()}
        for key in self.lying:
            tallies.setdefault(key, Tally())
        for key, tally in tallies.items():
            tally.hours = self.hours.get(key, Counter())
        return tallies


def report(conn: Connection, period: Period, now: dt.datetime) -> Report:
    """A dozen queries, each over the period's part of an index."""
    return Report(
        period=period, cube=figures.cube(conn, period), hours=figures.hours(conn, period, "department"),
        flow=figures.flow(conn, period), before=figures.registered(conn, period.before()),
        lying=figures.now_by_department(conn, now), calls=call_figures.total(
            call_figures.calls(conn, period, "period").values()), callbacks=call_figures.callbacks(conn, period),
        by_callback=figures.by_callback(conn, period), consultations=call_figures.consultations(conn, period),
    )  # fmt: skip
