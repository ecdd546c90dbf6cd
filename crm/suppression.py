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
    rows: dict[R, int] = {}
    columns: dict[C, int] = {}
    for (row, column), value in cells.items():
        rows[row] = rows.get(row, 0) + value
        columns[column] = columns.get(column, 0) + value
    all_rows, all_columns = ("all rows", None), ("all columns", None)
    arcs: dict[Arc, int] = {(("row", row), ("column", column)): value for (row, column), value in cells.items()}
    arcs |= {(all_columns, ("row", row)): value for row, value in rows.items()}
    arcs |= {(("column", column), all_rows): value for column, value in columns.items()}
    arcs[all_rows, all_columns] = sum(rows.values())
    hidden = _hidden(arcs, least)

    def shown(arc: Arc) -> int | None:
        return None if arc in hidden else arcs[arc]

    return Published(
        {(row, column): shown((("row", row), ("column", column))) for row, column in cells},
        {row: shown((all_columns, ("row", row))) for row in rows},
        {column: shown((("column", column), all_rows)) for column in columns},
        shown((all_rows, all_columns)))  # fmt: skip


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
