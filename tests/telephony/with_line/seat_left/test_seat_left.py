"""Who has left his seat while our process was away sits there no more when it is back; the next one is himself."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import select

from crm import schema


async def test_who_left_while_the_line_was_away_sits_there_no_more(centre: Any) -> None:
    exchange = centre.exchange
    async with exchange.seat():
        await centre.log_in(staff_id=1)
        await centre.kill_line()
        await asyncio.to_thread(exchange.log_out)
        await centre.start_line()
        await centre.snapshot(lambda s: {one["seat"]: one["staff_id"] for one in s["seats"]}["101"] is None)
        await centre.log_in(staff_id=2)
        history = select(schema.seat_event.c.kind, schema.seat_event.c.staff_id).order_by(schema.seat_event.c.id)
        rows = await centre.on_record(lambda conn: conn.execute(history).all(), lambda rows: len(rows) >= 3)
    assert [tuple(row) for row in rows] == [("login", 1), ("logout", 1), ("login", 2)]
