"""What is published of a table tells no small number: another table, with a larger one there, looks the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crm.suppression import LEAST, Published, publish, publish_both

Cells = dict[tuple[int, int], int]
SMALL = range(1, LEAST)


@st.composite
def tables(draw: st.DrawFn) -> Cells:
    """Up to 3 × 3, of noughts, small and large numbers."""
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    number = st.one_of(st.just(0), st.sampled_from(SMALL), st.integers(LEAST, 12))
    return {(row, column): draw(number) for row in range(rows) for column in range(columns)}


def sums(cells: Mapping[tuple[int, int], int], place: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for key, value in cells.items():
        found[key[place]] = found.get(key[place], 0) + value
    return found


def looks_the_same(cells: Cells, shown: Published[int, int]) -> bool:
    """Whether a table, published with the same things left out, would be this publication; what is left out is no
    nought, as readers know."""
    told = [*zip(cells.values(), shown.cells.values(), strict=True),
            *((total, shown.rows[row]) for row, total in sums(cells, 0).items()),
            *((total, shown.columns[column]) for column, total in sums(cells, 1).items()),
            (sum(cells.values()), shown.total)]  # fmt: skip
    return all(value > 0 if published is None else value == published for value, published in told)


def others(shown: Published[int, int], fixed: tuple[int, int], value: int) -> Iterator[Cells]:
    """Every table of numbers up to a bound that looks like this publication and has ``value`` at ``fixed``; a second
    way: numbers are tried, cell by cell, as long as the totals that are shown are not passed."""
    keys = list(shown.cells)
    bound = value + 30

    def fill(place: int, made: Cells) -> Iterator[Cells]:
        if place == len(keys):
            if looks_the_same(made, shown):
                yield dict(made)
            return
        key = keys[place]
        published = shown.cells[key]
        row, column = key
        in_row = sum(v for k, v in made.items() if k[0] == row)
        in_column = sum(v for k, v in made.items() if k[1] == column)
        rest = [total - so_far for total, so_far in ((shown.rows[row], in_row), (shown.columns[column], in_column),
                (shown.total, sum(made.values()))) if total is not None]  # fmt: skip
        most = min([bound, *rest])
        # The last cell of a row or a column whose total is shown can only be what is left.
        left = [total - so_far for total, so_far, last in (
            (shown.rows[row], in_row, all(k[0] != row for k in keys[place + 1:])),
            (shown.columns[column], in_column, all(k[1] != column for k in keys[place + 1:])))
            if total is not None and last]  # fmt: skip
        tried = [value] if key == fixed else [published] if published is not None else left[:1] or range(1, most + 1)
        for number in tried:
            if 0 <= number <= most and all(number == needed for needed in left):
                yield from fill(place + 1, {**made, key: number})

    yield from fill(0, {})


def could_be(shown: Published[int, int], key: tuple[int, int], value: int) -> bool:
    return next(others(shown, key, value), None) is not None


@given(tables())
@example({(0, 0): 3, (0, 1): 9, (1, 0): 8, (1, 1): 7})
@example({(0, 0): 1, (0, 1): 0, (1, 0): 0, (1, 1): 7})
@example({(0, 0): 1})
def test_no_small_number_is_shown_or_can_be_worked_out(cells: Cells) -> None:
    shown = publish(cells)
    for value in (*shown.cells.values(), *shown.rows.values(), *shown.columns.values(), shown.total):
        assert value not in SMALL
    assert looks_the_same(cells, shown), "what is shown is true"
    for key, value in cells.items():
        if value in SMALL:
            assert any(could_be(shown, key, other) for other in range(LEAST, LEAST + 4)), (key, shown)


@given(tables())
def test_noughts_and_what_is_far_from_small_numbers_stay(cells: Cells) -> None:
    shown = publish(cells)
    assert all(shown.cells[key] == 0 for key, value in cells.items() if value == 0)
    if not any(value in SMALL for value in (*cells.values(), *sums(cells, 0).values(), *sums(cells, 1).values())):
        assert dict(shown.cells) == cells


def test_the_cheapest_others_are_left_out() -> None:
    shown = publish({("a", 1): 3, ("a", 2): 100, ("a", 3): 20, ("b", 1): 30, ("b", 2): 200, ("b", 3): 40})
    assert {key for key, value in shown.cells.items() if value is None} == {("a", 1), ("a", 3), ("b", 1), ("b", 3)}
    assert None not in (*shown.rows.values(), *shown.columns.values(), shown.total)


def test_two_ones_beside_each_other_are_not_told_by_their_sum() -> None:
    """Left out alone they would be: none is a nought, so of a sum of two each is one."""
    cells = {(row, column): 1 if row == 0 and column < 2 else 20 for row in range(3) for column in range(3)}
    shown = publish(cells)
    assert could_be(shown, (0, 0), LEAST)
    assert could_be(shown, (0, 1), LEAST)


@st.composite
def tables_of_the_same(draw: st.DrawFn) -> tuple[Cells, Cells]:
    """Two of 2 × 2: what the first one's columns hold, divided among other rows."""
    number = st.one_of(st.just(0), st.sampled_from(SMALL), st.integers(LEAST, 12))
    one = {(row, column): draw(number) for row in range(2) for column in range(2)}
    other: Cells = {}
    for column, total in sums(one, 1).items():
        other[0, column] = draw(st.integers(0, total))
        other[1, column] = total - other[0, column]
    return one, other


@given(tables_of_the_same())
@example(({(0, 0): 3, (0, 1): 9, (1, 0): 8, (1, 1): 7}, {(0, 0): 5, (0, 1): 8, (1, 0): 6, (1, 1): 8}))
def test_nothing_small_is_worked_out_of_two_tables_of_the_same(both: tuple[Cells, Cells]) -> None:
    shown = publish_both(*both)
    assert shown[0].columns == shown[1].columns
    assert shown[0].total == shown[1].total
    for at, cells in enumerate(both):
        mine, its = shown[at], shown[1 - at]
        assert looks_the_same(cells, mine)
        for key, value in cells.items():
            if value in SMALL:
                assert mine.cells[key] is None
                could_be = (made for other in range(LEAST, LEAST + 4) for made in others(mine, key, other))
                assert any(_fits(its, made) for made in could_be), (key, shown)


def _fits(its: Published[int, int], made: Cells) -> bool:
    """Whether the other table can have the columns' totals that this one has."""
    with_totals = replace(its, columns=sums(made, 1), total=sum(made.values()))
    return next(others(with_totals, (-1, -1), LEAST), None) is not None


def test_two_tables_of_different_things_are_refused() -> None:
    with pytest.raises(ValueError, match="different"):
        publish_both({("a", 1): 7}, {("b", 1): 8})
