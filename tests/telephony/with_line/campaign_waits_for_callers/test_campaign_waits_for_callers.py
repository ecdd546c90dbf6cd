"""Whoever waits on the line comes first: a campaign calls nobody meanwhile, and goes on by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from centre.phones import Exchange
from crm import campaigns, schema
from crm.campaign_rules import Mode, Step, Terms

HOME = "+380442223344"


async def test_it_waits_and_goes_on(centre: Any) -> None:
    exchange = centre.exchange
    await centre.stop_line()
    centre.change(callback_inbound_wait=0)
    await centre.start_line()

    def start(conn: Connection) -> None:
        now = datetime.now(UTC)
        made = campaigns.save(conn, None, None, Terms("Гаряча вода", Mode.PROGRESSIVE), staff_id=1, now=now)
        campaigns.step(conn, made, Step.START, version=1, staff_id=1, now=now)

    async with exchange.seat() as seat, centre.behind_trunk(Exchange(centre.landline_port)) as phones:
        seat.media.speak(exchange.voice("feedback"))
        async with exchange.caller("0671112233", host="127.0.0.2") as caller:
            await exchange.to_queue(caller)
            await exchange.queued(1)
            await centre.snapshot(lambda s: len(s["waiting"]) == 1)
            centre.appeal(HOME, auto=False)
            centre.write(start)
            await centre.log_in(staff_id=2, queues=("feedback",))
            await centre.bus.request("changed")
            await centre.snapshot(lambda s: s["callbacks"] == {"due": 1, "calling": 0})  # a whole round has been gone
            assert centre.read(lambda conn: conn.execute(select(schema.attempt)).all()) == []
            taken = centre.read(lambda conn: conn.scalar(select(schema.callback.c.campaign_id)))
            assert taken == 1, "it has taken him all the same"
            await caller.hang_up()
        async for number, resident in phones.calls(60):
            assert number == HOME
            resident.speak(exchange.voice("resident"))
            await resident.hear(exchange.says("feedback"))
            break
        await centre.attempt(HOME, lambda row: row.answered_at)
        seat.hang_up()
        await centre.call_of(HOME, lambda call: call.ended_at)
