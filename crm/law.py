"""The law on citizens' appeals, as far as it counts days. Pure; days are Kyiv's, times UTC.

The law is Ukraine's «Про звернення громадян» (No. 393/96-ВР); ``docs/law.md`` has a line for each rule here.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from crm.calendar import Calendar
from crm.clock import KYIV


class Kind(StrEnum):
    """What an appeal is by law (art. 3)."""

    APPLICATION = "application"  # заява (клопотання)
    COMPLAINT = "complaint"  # скарга
    PROPOSAL = "proposal"  # пропозиція (зауваження)


@dataclass(frozen=True, slots=True)
class Terms:
    """Days by the law, and where its text leaves a choice, the city's."""

    defective_days: int = 10  # art. 5: back to the applicant, with what is missing
    forward_days: int = 5  # art. 7: to whom it concerns, when it is outside the city's competence
    longest_days: int = 45  # art. 20: the end of every extension
    ends_move: bool = True  # an end on a day off moves to the next working day


def due(registered_at: dt.datetime, term_days: int | None, calendar: Calendar, terms: Terms = Terms()) -> dt.datetime:
    """The last moment to answer in: ``term_days`` after the Kyiv day of registration, or (None) a month."""
    start = _day(registered_at)
    return _end(_month_after(start) if term_days is None else start + dt.timedelta(days=term_days), calendar, terms)


def latest(registered_at: dt.datetime, calendar: Calendar, terms: Terms = Terms()) -> dt.datetime:
    """The last moment that an extension may reach."""
    return _end(_day(registered_at) + dt.timedelta(days=terms.longest_days), calendar, terms)


def end_of(day: dt.date) -> dt.datetime:
    """The last second of the Kyiv day."""
    return dt.datetime.combine(day, dt.time(23, 59, 59), KYIV).astimezone(dt.UTC)


def _end(day: dt.date, calendar: Calendar, terms: Terms) -> dt.datetime:
    return end_of(calendar.next_working(day) if terms.ends_move else day)


def _month_after(day: dt.date) -> dt.date:
    """The same day of the next month, or that month's last."""
    year, month = divmod(day.year * 12 + day.month, 12)
    first_after = dt.date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    return min(dt.date(year, month + 1, 1) + dt.timedelta(days=day.day - 1), first_after - dt.timedelta(days=1))


def _day(at: dt.datetime) -> dt.date:
    return at.astimezone(KYIV).date()
