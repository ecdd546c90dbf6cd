"""Who speaks English waits for a seat that does, and goes before who came a little earlier there; when none is left
that does, he stands in the city's queue by his own turn, and everybody takes him."""

from __future__ import annotations

from typing import Any

UKRAINIAN, ENGLISH = "+380441110001", "+380441110002"


async def english(exchange: Any, caller: Any) -> None:
    await caller.media.hear(exchange.prompt("menu"))
    caller.media.speak(exchange.voice("citizen"))
    await caller.media.press("9")
    await exchange.to_queue(caller, language="en")


async def test_skill_queue_then_city(centre: Any) -> None:
    exchange = centre.exchange
    async with exchange.seat("101") as bilingual, exchange.seat("102") as other:
        bilingual.media.speak(exchange.voice("bilingual"))
        other.media.speak(exchange.voice("other"))
        await centre.log_in("101", 1, skills=("en",))
        await centre.log_in("102", 2)
        async with exchange.caller("0441110008") as busy, exchange.caller("0441110009") as busy_too:
            await exchange.to_queue(busy)
            await exchange.to_queue(busy_too)
            await centre.seat_is("talking", "101")
            await centre.seat_is("talking", "102")
            async with exchange.caller(UKRAINIAN) as ukrainian, exchange.caller(ENGLISH) as foreigner:
                await exchange.to_queue(ukrainian)
                await exchange.queued(1)
                await english(exchange, foreigner)
                await exchange.queued(1, "city-en")
                line = await centre.snapshot(lambda s: len(s["waiting"]) == 2)
                assert [(one["caller"], one["queue"]) for one in line["waiting"]] == [
                    (UKRAINIAN, "city"), (ENGLISH, "city")], "one line, and each in his turn"  # fmt: skip

                # The seat that speaks English is free first: its own skill before who came earlier.
                await busy.hang_up()
                await busy_too.hang_up()
                await foreigner.media.hear(exchange.says("bilingual"))
                await ukrainian.media.hear(exchange.says("other"))

                async with exchange.caller("0441110007") as next_one, exchange.caller("0441110006") as second:
                    await english(exchange, next_one)
                    await exchange.queued(1, "city-en")
                    await exchange.to_queue(second)
                    await exchange.queued(1)
                    # Nobody speaks English any more: his slice over, he stands before who came later.
                    await centre.bus.request("pause", seat="101", reason="lunch")
                    await foreigner.hang_up()
                    await centre.seat_is("paused", "101")
                    [channel] = exchange.in_queue("city-en")
                    await exchange.withdraw(channel, "city-en")
                    await exchange.queued(2)
                    assert exchange.in_queue()[0] == channel
                    await ukrainian.hang_up()
                    await next_one.media.hear(exchange.says("other"))
                    assert not second.media.has_heard(exchange.says("other"))
                    await next_one.hang_up()
                    await second.media.hear(exchange.says("other"))
                    await second.hang_up()
    call = await centre.call_of(ENGLISH, lambda call: call.ended_at)
    assert (call.seat, call.language, call.skill, call.queue) == ("101", "en", "en", "city")
