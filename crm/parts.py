"""A part of a long list, by the record after which it begins: never by how many come before it, for these would all be
read anew for each part."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, Select, false, select, tuple_


def part(conn: Connection, query: Select[Any], by: Column[Any], limit: int, after_id: int | None, *,
         newest: bool = False) -> Select[Any]:  # fmt: skip
    """The query in the order of ``by``, then of the ids; ``newest``: the other way round. ``after_id``: the last record
    of the part before, whatever has become of it since; of one that is no more nothing comes after."""
    id = by.table.c.id
    if after_id is not None:
        place = conn.execute(select(by, id).where(id == after_id)).one_or_none()
        here = tuple_(by, id)
        query = query.where(false() if place is None else here < tuple(place) if newest else here > tuple(place))
    return query.order_by(*(each.desc() if newest else each for each in (by, id))).limit(limit)
