"""Plain charts, worked out here and drawn as SVG by ``charts.html``; the table beside one says it in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from web.tables import Grouped, Table
from web.texts import Texts

WIDTH = 640  # of the drawing of lines, in its units
WIDE, LABELS, ROW, LEFT_FOR_NUMBER = 760, 350, 22, 70  # of bars
HIGH, FOOT, SIDE, RIGHT = 180, 22, 56, 24  # of lines
MOST_BARS = 15


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    number: str
    y: int
    width: float


@dataclass(frozen=True, slots=True)
class Bars:
    title: str
    height: int
    bars: tuple[Bar, ...]
    width: int = WIDE
    labels: int = LABELS  # where the bars begin


@dataclass(frozen=True, slots=True)
class Lines:
    """``lines``: (name, points as SVG has them) each. ``marks``: (x, words) below it, ``steps``: (y, words) beside."""

    title: str
    height: int
    lines: tuple[tuple[str, str], ...]
    marks: tuple[tuple[float, str], ...]
    steps: tuple[tuple[float, str], ...]


def bars(table: Table, column: int, t: Texts) -> Bars | None:
    """One bar for each row but the totals, the first MOST_BARS; None where there is nothing to compare."""
    rows = [row for row in (table.rows[:-1] if table.totals else table.rows) if isinstance(row[column].value, int)]
    most = max((float(row[column].value or 0) for row in rows), default=0)
    if len(rows) < 2 or not most:
        return None
    room = WIDE - LABELS - LEFT_FOR_NUMBER
    drawn = [Bar(_short(str(row[0].value)), row[column].shown(t), place * ROW,
                 round(room * float(row[column].value or 0) / most, 1)) for place, row in enumerate(rows[:MOST_BARS])]
    return Bars(f"{table.title}: {table.columns[column]}", len(drawn) * ROW, tuple(drawn))  # fmt: skip


def _short(label: str) -> str:
    """Its beginning and its end, for the same service of each district differs in its last words."""
    return label if len(label) <= 46 else f"{label[:16].rstrip()}…{label[-29:].lstrip()}"


def lines(title: str, marks: Sequence[str], series: Sequence[tuple[str, Sequence[int]]], t: Texts) -> Lines | None:
    """``series``: a number for each mark; None with fewer than two marks or nothing above nought."""
    most = max((max(values, default=0) for _, values in series), default=0)
    if len(marks) < 2 or not most:
        return None
    top = _round_up(most)
    across = (WIDTH - SIDE - RIGHT) / (len(marks) - 1)
    every = -(-len(marks) // 8)

    def points(values: Sequence[int]) -> str:
        return " ".join(f"{SIDE + place * across:.1f},{HIGH - value * (HIGH - 8) / top:.1f}"
                        for place, value in enumerate(values))  # fmt: skip

    return Lines(
        title, HIGH + FOOT, tuple((name, points(values)) for name, values in series),
        tuple((SIDE + place * across, mark) for place, mark in enumerate(marks) if place % every == 0),
        tuple((HIGH - part * (HIGH - 8) / 4, f"{Grouped(top * part // 4, t.language)}") for part in range(5)),
    )  # fmt: skip


def _round_up(most: int) -> int:
    """The least of 4, 8, 20, 40, 80, 200… that is not below: the steps of a scale are round then."""
    size = 4
    while True:
        for factor in (1, 2, 5):
            if size * factor >= most:
                return size * factor
        size *= 10
