"""The law on citizens' appeals, as far as it counts days and ranks people. Pure; days are Kyiv's, times UTC.

The law is Ukraine's «Про звернення громадян» (No. 393/96-ВР); ``docs/law.md`` has a line for each rule here, with
its article. A term begins on the day after the appeal came and ends with the last second of its last day.
"""

from __future__ import annotations

import calendar as months
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from crm.calendar import Calendar
from crm.clock import KYIV


class Kind(StrEnum):
    """What an appeal is by law (art. 3)."""

    APPLICATION = "application"  # заява (клопотання)
    COMPLAINT = "complaint"  # скарга
    PROPOSAL = "proposal"  # пропозиція (зауваження)


class Privilege(StrEnum):
    """Whose appeals come first (art. 20, Decree 109/2008): at most one is kept of a person, and any will do."""

    WAR_DISABILITY = "war_disability"  # особа з інвалідністю внаслідок війни
    HERO = "hero"  # of Ukraine, of the Soviet Union, of Socialist Labour
    MOTHER_HEROINE = "mother_heroine"
    COMBATANT = "combatant"  # учасник бойових дій
    WAR_VETERAN = "war_veteran"  # any other veteran of war
    FALLEN_FAMILY = "fallen_family"  # of those who fell for Ukraine
    DISABILITY = "disability"
    CHORNOBYL = "chornobyl"  # who suffered there, or helped
    LARGE_FAMILY = "large_family"  # three children or more
    LONE_PARENT = "lone_parent"
    LABOUR_VETERAN = "labour_veteran"
    WAR_CHILD = "war_child"  # дитина війни
    OTHER = "other"  # another privilege that a law gives him


@dataclass(frozen=True, slots=True)
class Terms:
    """Days by the law, and where its text leaves a choice, the city's. The days may be made fewer, never more."""

    defective_days: int = 10  # art. 5: back to the applicant, with what is missing
    defective_late: bool = False  # whether it may still be returned after them, with a mark in its history
    forward_days: int = 5  # art. 7: to whom it concerns, when it is outside the city's competence
    forward_working: bool = False  # whether these are working days
    longest_days: int = 45  # art. 20: the end of every extension
    longest_moves: bool = True  # whether that end too moves from a day off
    extend_late: bool = False  # whether a term may be extended after it has passed
    ends_move: bool = True  # an end on a day off moves to the next working day

    @classmethod
    def of(cls, kept: Mapping[str, int]) -> Terms:
        """From what is kept by name; what is not a name of a term is passed over."""
        return cls(**{name: type(default)(kept[name]) for name, default in _DEFAULTS.items() if name in kept})


_DEFAULTS: dict[str, Any] = {name: field.default for name, field in Terms.__dataclass_fields__.items()}

# name → the least and the most that the city may say
ALLOWED = {name: (0, 1) if isinstance(default, bool) else (1, default) for name, default in _DEFAULTS.items()}


def due(registered_at: dt.datetime, term_days: int | None, calendar: Calendar, terms: Terms = Terms()) -> dt.datetime:
    """The last moment to answer in: ``term_days`` after the Kyiv day of registration, or (None) a month after it,
    and never later than that."""
    start = _day(registered_at)
    month = _month_after(start)
    return _end(month if term_days is None else min(month, start + dt.timedelta(term_days)), calendar, terms.ends_move)


def latest(registered_at: dt.datetime, calendar: Calendar, terms: Terms = Terms()) -> dt.datetime:
    """The last moment that an extension may reach."""
    day = _day(registered_at) + dt.timedelta(terms.longest_days)
    return _end(day, calendar, terms.ends_move and terms.longest_moves)


def defective_by(registered_at: dt.datetime, calendar: Calendar, terms: Terms = Terms()) -> dt.datetime:
    """The last moment to return what lacks a name, a residence or a substance."""
    return _end(_day(registered_at) + dt.timedelta(terms.defective_days), calendar, terms.ends_move)


def forward_by(registered_at: dt.datetime, calendar: Calendar, terms: Terms = Terms()) -> dt.datetime:
    """The last moment to send on what is outside the city's competence, and to tell the applicant so."""
    day = _day(registered_at)
    if terms.forward_working:
        return end_of(calendar.shift(day, terms.forward_days))
    return _end(day + dt.timedelta(terms.forward_days), calendar, terms.ends_move)


def start_of(day: dt.date) -> dt.datetime:
    """The first moment of the Kyiv day."""
    return dt.datetime.combine(day, dt.time(), KYIV).astimezone(dt.UTC)


def end_of(day: dt.date) -> dt.datetime:
    """The last second of the Kyiv day."""
    return dt.datetime.combine(day, dt.time(23, 59, 59), KYIV).astimezone(dt.UTC)


def _end(day: dt.date, calendar: Calendar, moves: bool) -> dt.datetime:
    return end_of(calendar.next_working(day) if moves else day)


def _month_after(day: dt.date) -> dt.date:
    """The same day of the next month, or that month's last."""
    year, month = day.year + day.month // 12, day.month % 12 + 1
    return dt.date(year, month, min(day.day, months.monthrange(year, month)[1]))


def _day(at: dt.datetime) -> dt.date:
    return at.astimezone(KYIV).date()
