"""A surge is switched on while callers wait: who comes then is greeted shortly and offered a callback at once, whatever
of us or of Asterisk is restarted meanwhile. Switched off, the usual greeting is heard again, and no offer."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from crm import surges
from crm.surges import Kind


async def greets_with(centre: Any, name: str) -> None:
    exchange = centre.exchange
    await exchange.until(lambda: f"GREETING={name}\n" in exchange.asterisk.rx("dialplan show globals") + "\n")


async def switch(centre: Any, kind: Kind, to: str) -> None:
    """As the page does."""
    do = surges.switch_on if to == "on" else surges.switch_off
    centre.write(lambda conn: do(conn, kind, now=datetime.now(UTC), staff_id=1))
    await centre.bus.request("changed", what="surge")


async def test_on_and_off_under_load(centre: Any) -> None:
    exchange, prompt = centre.exchange, centre.exchange.prompt
    async with exchange.seat() as seat, AsyncExitStack() as load:
        seat.media.speak(exchange.voice("operator"))
        await centre.log_in()
        callers = [await load.enter_async_context(exchange.caller(f"044100000{n}")) for n in range(4)]
        for caller in callers:  # one is spoken with, three wait
            await exchange.to_queue(caller)
        await exchange.queued(3)
        await switch(centre, Kind.SURGE, "on")
        on = await centre.snapshot(lambda s: s["surge"]["on"])
        assert on["surge"]["on"]["surge"]["by"] == "operator"
        await greets_with(centre, "greeting-short")
        async with exchange.caller("0671112233") as late:
            await late.media.hear(prompt("greeting-short"))
            await exchange.to_queue(late)
            await late.media.hear(prompt("offer"), timeout=10)
            assert not late.media.has_heard(prompt("greeting"))
            await late.hang_up()
        await centre.kill_line()
        exchange.asterisk.rx("dialplan set global GREETING greeting")
        await centre.start_line()
        await greets_with(centre, "greeting-short")
        await switch(centre, Kind.SURGE, "off")
        await greets_with(centre, "greeting")
        async with exchange.caller("0671112244") as later:
            await later.media.hear(prompt("greeting"))
            await exchange.to_queue(later)
            await exchange.queued(4)
            assert not later.media.has_heard(prompt("offer"))
            assert not later.media.has_heard(prompt("greeting-short"))
            await later.hang_up()
        for caller in callers:
            await caller.hang_up()


async def test_asterisk_that_has_forgotten_is_told_again(centre: Any) -> None:
    await switch(centre, Kind.SURGE, "on")
    await greets_with(centre, "greeting-short")
    centre.exchange.stop()
    centre.exchange.start()
    await greets_with(centre, "greeting-short")
    await switch(centre, Kind.SURGE, "off")
    await greets_with(centre, "greeting")
