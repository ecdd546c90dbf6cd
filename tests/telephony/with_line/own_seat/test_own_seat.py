"""Who spoke with an operator lately is brought to the same one, if that one is free; if not, to whoever is."""

from __future__ import annotations

from typing import Any

HOME = "+380671112233"


async def test_the_one_who_knows_him(centre: Any) -> None:
    exchange = centre.exchange
    async with exchange.seat("101") as first, exchange.seat("102") as second:
        first.media.speak(exchange.voice("first"))
        second.media.speak(exchange.voice("second"))
        await centre.log_in("102", 2)
        async with exchange.caller(HOME) as caller:
            await exchange.to_queue(caller)
            await caller.media.hear(exchange.says("second"))
            await caller.hang_up()
        await centre.call_of(HOME, lambda call: call.ended_at)
        await centre.log_in("101", 1)
        for _ in range(2):  # in turn, the other one would be rung
            await centre.seat_is("free", "102")
            async with exchange.caller(HOME) as caller:
                await exchange.to_queue(caller)
                await caller.media.hear(exchange.says("second"))
                await caller.hang_up()
        assert first.called() == []
        await centre.bus.request("pause", seat="102", reason="lunch")
        await centre.seat_is("paused", "102")
        async with exchange.caller(HOME) as caller:
            await exchange.to_queue(caller)
            await caller.media.hear(exchange.says("first"))
            await caller.hang_up()
