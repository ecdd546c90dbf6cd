"""Whole numbers of times and amounts, in SQL, alike on both databases."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Integer, case, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from crm.periods import Period


class ceiling(FunctionElement[int]):  # as SQL's own functions are written
    """``ceiling(x)``: the least whole number that is not less than x, which is not negative."""

    type = Integer()
    inherit_cache = True


class epoch(FunctionElement[int]):
    """``epoch(x)``: a moment as whole seconds since 1970."""

    type = Integer()
    inherit_cache = True


@compiles(ceiling, "sqlite")
def _ceiling_sqlite(element: ceiling, compiler: Any, **kw: Any) -> str:
    x = compiler.process(element.clauses, **kw)
    return f"CAST({x} AS INTEGER) + ({x} > CAST({x} AS INTEGER))"  # its own ceil() is not built in everywhere


@compiles(ceiling, "postgresql")
def _ceiling_postgresql(element: ceiling, compiler: Any, **kw: Any) -> str:
    return f"CAST(ceil({compiler.process(element.clauses, **kw)}) AS INTEGER)"


@compiles(epoch, "sqlite")
def _epoch_sqlite(element: epoch, compiler: Any, **kw: Any) -> str:
    # Cut before it is read: SQLite would round up the last half of a millisecond.
    return f"CAST(strftime('%s', substr({compiler.process(element.clauses, **kw)}, 1, 19)) AS INTEGER)"


@compiles(epoch, "postgresql")
def _epoch_postgresql(element: epoch, compiler: Any, **kw: Any) -> str:
    return f"CAST(floor(date_part('epoch', {compiler.process(element.clauses, **kw)})) AS BIGINT)"


def kyiv(moment: ColumnElement[Any], period: Period) -> ColumnElement[int]:
    """What Kyiv's clock showed at a moment of the period, in seconds since 1970 began there."""
    *earlier, (_, last) = period.offsets()
    offset: ColumnElement[int] = literal_column(str(last), Integer)
    if earlier:
        offset = case(*((moment < until, literal_column(str(ahead), Integer)) for until, ahead in earlier),
                      else_=offset)  # fmt: skip
    return epoch(moment) + offset
