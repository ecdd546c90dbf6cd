"""Two are promised a call and there is one seat: each gets it, in the order of their turns, by one call each."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from centre.phones import Exchange
from crm import calls, promises
from crm.promise_rules import Reason, State

FIRST, SECOND = "+380671112233", "+380442223344"


async def test_each_gets_the_seat_in_his_turn(centre: Any) -> None:
    exchange = centre.exchange
    await centre.stop_line()

    def make(conn: Connection) -> None:
        now = datetime.now(UTC)
        for phone, minutes in ((SECOND, 3), (FIRST, 9)):
            promises.make(conn, e164=phone, reason=Reason.WAITING, now=now, since=now - timedelta(minutes=minutes),
                          rules=centre.settings.promise_rules)  # fmt: skip

    centre.write(make)
    await centre.start_line()
    async with exchange.seat() as seat, centre.behind_trunk(Exchange(centre.landline_port)) as phones:
        seat.media.speak(exchange.voice("operator"))
        await centre.log_in()
        talking: dict[str, Any] = {}
        async with asyncio.timeout(60):
            async for number, media in phones.calls(60):
                media.speak(exchange.voice("citizen"))  # the seat's telephone speaks to whom it hears
                await media.hear(exchange.prompt("promised-greeting"))
                talking[number] = media
                if len(talking) == 2:
                    break
        for media in talking.values():
            await media.hear(exchange.prompt("promised-keys"))
            await media.press("1")
        await talking[FIRST].hear(exchange.says("operator"))
        assert not talking[SECOND].has_heard(exchange.says("operator"))
        seat.hang_up()
        await talking[SECOND].hear(exchange.says("operator"))
        seat.hang_up()
        for phone in (FIRST, SECOND):
            await centre.promise(phone, lambda kept: kept.state is State.KEPT)
        assert sorted(phones.called()) == sorted([FIRST, SECOND])
    first, second = (centre.read(lambda conn, phone=phone: calls.get(conn, centre.attempts(phone)[0].id))
                     for phone in (FIRST, SECOND))  # fmt: skip
    assert first.answered_at < second.answered_at
