"""Our process is killed between the promise and the call, between its being claimed and dialled, as his telephone
rings, and while he waits for a seat: exactly one call reaches the telephone, and he gets his seat."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection

from centre.phones import Exchange
from crm import promises
from crm.promise_rules import Reason, State

HOME = "+380671112233"
RINGS_MS = 6000


@pytest.mark.parametrize("killed", ["promised", "claimed", "ringing", "waiting"])
async def test_exactly_one_call_reaches_the_telephone(centre: Any, killed: str) -> None:
    exchange = centre.exchange
    rings_ms = RINGS_MS if killed == "ringing" else 300
    async with exchange.seat() as seat:
        seat.media.speak(exchange.voice("operator"))
        await centre.log_in()
        if killed == "waiting":
            await centre.bus.request("pause", seat="101", reason="break")
        await centre.kill_line()
        centre.change(promise_ring=20 if killed == "ringing" else 5, promise_retry=1)
        rules = centre.settings.promise_rules

        def make(conn: Connection) -> int:
            made = promises.make(conn, e164=HOME, reason=Reason.WAITING, now=datetime.now(UTC), rules=rules)
            assert made is not None
            return made.id

        promise_id = centre.write(make)
        if killed == "claimed":
            centre.write(lambda conn: promises.claim(conn, promise_id, now=datetime.now(UTC), rules=rules))
        await centre.start_line()
        phones = Exchange(centre.landline_port, ring_ms=rings_ms)
        async with centre.behind_trunk(phones):
            if killed == "ringing":
                await exchange.until(lambda: phones.called() == [HOME])
                await restarted(centre)
            if killed == "waiting":
                await centre.bus.request("unpause", seat="101")
            _, media = await asyncio.wait_for(anext(phones.calls()), 60)
            await media.hear(exchange.prompt("promised-keys"), timeout=60)
            if killed == "waiting":
                await centre.bus.request("pause", seat="101", reason="break")
                await media.press("1")
                await exchange.queued(1)
                await restarted(centre)
                await centre.bus.request("unpause", seat="101")
            else:
                await media.press("1")
            await media.hear(exchange.says("operator"))
            seat.hang_up()
            await centre.promise(HOME, lambda kept: kept.state is State.KEPT)
            last = await centre.on_record(lambda conn: centre.attempts(HOME)[-1], lambda row: row.ended_at)
            assert phones.called() == [HOME]
    assert last.outcome == "answered"


async def restarted(centre: Any) -> None:
    await centre.kill_line()
    await centre.start_line()
