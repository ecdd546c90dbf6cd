"""What may be published of a table: small cells are left out, and enough others that none can be worked out. Pure.

A table with its totals is a circulation: what a row's cells carry out of it the row's total carries in, and so on with
the columns. With some of it left out, a reader can move what is hidden along any cycle of hidden cells and totals, and
the table still adds up; what lies on no such cycle he can compute. So each small cell is given a cycle along which it
could be larger, and is told from no other number that could stand there.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

LEAST = 5  # fewer than so many people are not shown; none at all are

R = TypeVar("R", bound=Hashable)
Q = TypeVar("Q", bound=Hashable)
C = TypeVar("C", bound=Hashable)

Place = tuple[str, object]  # a sum that must come out: of a row, of a column, of all
Arc = tuple[Place, Place]


@dataclass(frozen=True, slots=True)
class Published(Generic[R, C]):
    """Numbers, None for what is left out."""

    cells: Mapping[tuple[R, C], int | None]
    rows: Mapping[R, int | None]
    columns: Mapping[C, int | None]
    total: int | None


def publish(cells: Mapping[tuple[R, C], int], least: int = LEAST) -> Published[R, C]:
    """The table with its totals, as it may be shown. A cell that is not given is a nought."""
    first = _Table.of(cells)
    arcs = first.arcs() | {_column(column): value for column, value in first.columns.items()} | first.whole()
    return first.published(arcs, _hidden(arcs, least))


def publish_both(one: Mapping[tuple[R, C], int], other: Mapping[tuple[Q, C], int],
                 least: int = LEAST) -> tuple[Published[R, C], Published[Q, C]]:  # fmt: skip
    """Two tables of the same things in the same columns (by subject, by district), as both may be shown: what is left
    out of one cannot be worked out of the other. ValueError if their columns have not the same totals."""
    first, second = _Table.of(one), _Table.of(other, again=True)
    if first.columns != second.columns:
        raise ValueError("two tables of different things")
    between = {_column(column, again=True): value for column, value in first.columns.items()}
    arcs = first.arcs() | between | second.arcs() | first.whole()
    hidden = _hidden(arcs, least)
    return first.published(arcs, hidden, both=True), second.published(arcs, hidden, both=True)


_ALL_ROWS, _ALL_COLUMNS = ("all rows", None), ("all columns", None)


def _column(column: object, *, again: bool = False) -> Arc:
    """A column's total leads out of the table, or into the second one, in which everything flows the other way."""
    return ("column", column), ("column again", column) if again else _ALL_ROWS


@dataclass(frozen=True, slots=True)
class _Table(Generic[R, C]):
    cells: Mapping[tuple[R, C], int]
    rows: Mapping[R, int]
    columns: Mapping[C, int]
    again: bool

    @classmethod
    def of(cls, cells: Mapping[tuple[R, C], int], *, again: bool = False) -> _Table[R, C]:
        rows: dict[R, int] = {}
        columns: dict[C, int] = {}
        for (row, column), value in cells.items():
            rows[row] = rows.get(row, 0) + value
            columns[column] = columns.get(column, 0) + value
        return cls(cells, rows, columns, again)

    def cell(self, row: R, column: C) -> Arc:
        return (("column again", column), ("row again", row)) if self.again else (("row", row), ("column", column))

    def row(self, row: R) -> Arc:
        return (("row again", row), _ALL_ROWS) if self.again else (_ALL_COLUMNS, ("row", row))

    def arcs(self) -> dict[Arc, int]:
        """Its cells and its rows' totals."""
        return {self.cell(row, column): value for (row, column), value in self.cells.items()} | {
            self.row(row): value for row, value in self.rows.items()}  # fmt: skip

    def whole(self) -> dict[Arc, int]:
        return {(_ALL_ROWS, _ALL_COLUMNS): sum(self.rows.values())}

    def published(self, arcs: Mapping[Arc, int], hidden: set[Arc], *, both: bool = False) -> Published[R, C]:
        def shown(arc: Arc) -> int | None:
            return None if arc in hidden else arcs[arc]

        return Published(
            {key: shown(self.cell(*key)) for key in self.cells}, {row: shown(self.row(row)) for row in self.rows},
            {column: shown(_column(column, again=both)) for column in self.columns},
            shown((_ALL_ROWS, _ALL_COLUMNS)))  # fmt: skip


def _hidden(arcs: Mapping[Arc, int], least: int) -> set[Arc]:
    """The small ones, and for each a cycle along which it could be ``least`` or more."""
    small = sorted((arc for arc, value in arcs.items() if 0 < value < least), key=lambda arc: (arcs[arc], str(arc)))
    hidden = set(small)
    for arc in small:
        hidden.update(_cheapest_way_back(arcs, hidden, arc, least - arcs[arc]))
    return hidden


def _cheapest_way_back(arcs: Mapping[Arc, int], hidden: set[Arc], small: Arc, more: int) -> set[Arc]:
    """The arcs of the cycle through ``small`` that leaves out the least besides what is hidden already.

    Along an arc the flow may grow by ``more``, against it shrink by as much and still be one at least: a reader knows
    that what is left out is no nought. There is always a cycle: what flows must come back.
    """
    leads: dict[Place, list[tuple[Place, Arc]]] = {}
    for arc, value in arcs.items():
        if value > 0 and arc != small:
            leads.setdefault(arc[0], []).append((arc[1], arc))
            if value > more:
                leads.setdefault(arc[1], []).append((arc[0], arc))
    start, goal = small[1], small[0]
    came: dict[Place, tuple[Place, Arc]] = {}
    best: dict[Place, int] = {start: 0}
    queue: list[tuple[int, int, Place]] = [(0, 0, start)]
    pushed = 0
    while queue:
        cost, _, place = heapq.heappop(queue)
        if place == goal:
            break
        if cost > best[place]:
            continue
        for following, arc in leads.get(place, ()):
            whole = cost + (0 if arc in hidden else arcs[arc])
            if whole < best.get(following, whole + 1):
                best[following], came[following], pushed = whole, (place, arc), pushed + 1
                heapq.heappush(queue, (whole, pushed, following))
    return set(_path(came, start, goal))


def _path(came: Mapping[Place, tuple[Place, Arc]], start: Place, goal: Place) -> Iterator[Arc]:
    while goal != start:
        goal, arc = came[goal]
        yield arc
