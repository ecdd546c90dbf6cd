"""The figures of a month that everybody may see: by subject and by district, where its appeals stand now.

They count what the public list has (``public.may_be_shown``), and nothing else. What is small is left out, and as much
beside it that nobody works it out, of the two tables together (``suppression.publish_both``). The share and the days
are made of nothing but what is shown, or of as many as may be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from crm import figures, public, suppression
from crm.figures import Key, Tally
from crm.periods import Period
from crm.suppression import LEAST, Published

# Where the appeals stand; each is in one. Of crm.figures.COHORT.
STANDING: dict[str, tuple[str, ...]] = {
    "in_work": ("open", "planned"),
    "awaiting": ("awaiting",),  # executed, says the department; the resident is being asked
    "confirmed": ("confirmed",),  # solved, says the resident
    "unconfirmed": ("unconfirmed",),  # nobody was reached
    "otherwise": ("explained", "refused", "defective", "forwarded", "withdrawn"),
}
ASKED = ("awaiting", "confirmed", "unconfirmed")
DAY_H = 24


@dataclass(frozen=True, slots=True)
class Line:
    """None: left out. ``days``: within so many whole days half of the executed were first reported executed; None of
    fewer than LEAST."""

    registered: int | None
    standing: Mapping[str, int | None]
    days: int | None

    @property
    def share(self) -> float | None:
        """Of what the departments reported executed, and no resident denied: how much residents confirmed."""
        asked = [count for name in ASKED if (count := self.standing[name]) is not None]
        whole = sum(asked) if len(asked) == len(ASKED) else 0
        return (self.standing["confirmed"] or 0) / whole if whole else None


@dataclass(frozen=True, slots=True)
class Month:
    """``subjects``: by the topmost subject; ``districts``: None of none."""

    subjects: Mapping[Key, Line]
    districts: Mapping[Key, Line]
    whole: Line


def month(conn: Connection, period: Period, top: Callable[[int], int | None]) -> Month:
    """The public appeals registered in a whole month, as they stand now. ``top``: a subject's topmost.

    ValueError for another period: two that differ by a day would tell of that day.
    """
    if not period.is_month:
        raise ValueError("not a month")
    shown = public.may_be_shown()
    cube = figures.cube(conn, period, shown)
    of_subjects = cube.by("subject", name=top)
    of_districts = {key: tally for (key,), tally in cube.by("district").items()}
    for subject, hours in figures.hours(conn, period, "subject", shown).items():
        of_subjects[top(int(subject or 0))].hours += hours
    for district, hours in figures.hours(conn, period, "district", shown).items():
        of_districts[district].hours += hours
    subjects, districts = suppression.publish_both(_cells(of_subjects), _cells(of_districts))
    whole = Line(subjects.total, _named(subjects.columns),
                 _days(figures.together(of_subjects.values())))  # fmt: skip
    return Month(_lines(of_subjects, subjects), _lines(of_districts, districts), whole)


def _cells(tallies: Mapping[Key, Tally]) -> dict[tuple[Key, str], int]:
    return {(key, name): sum(tally[figure] for figure in of) for key, tally in tallies.items()
            for name, of in STANDING.items()}  # fmt: skip


def _lines(tallies: Mapping[Key, Tally], shown: Published[Key, str]) -> dict[Key, Line]:
    return {key: Line(shown.rows[key], {name: shown.cells[key, name] for name in STANDING}, _days(tally))
            for key, tally in tallies.items()}  # fmt: skip


def _named(columns: Mapping[str, int | None]) -> dict[str, int | None]:
    return {name: columns.get(name, 0) for name in STANDING}


def _days(tally: Tally) -> int | None:
    hours = tally.percentile(50)
    return None if hours is None or sum(tally.hours.values()) < LEAST else hours // DAY_H + 1
