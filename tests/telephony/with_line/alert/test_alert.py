"""An air alert: every seat is paused once, callers hear why and are offered a callback at once; its end returns exactly
the seats that it paused, though our process is killed before it has done either."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from crm import surges
from crm.surges import Kind


def switch(centre: Any, to: str) -> None:
    """On record, as the page does; the line is not told."""
    do = surges.switch_on if to == "on" else surges.switch_off
    centre.write(lambda conn: do(conn, Kind.ALERT, now=datetime.now(UTC), staff_id=1))


def paused(centre: Any) -> dict[str, str]:
    """Why Asterisk has each seat on a pause."""
    shown = centre.exchange.asterisk.rx("queue show city")
    return dict(re.findall(r"^\s*(\d+) \(.*\(paused:(\w+)", shown, re.MULTILINE))


async def paused_are(centre: Any, expected: dict[str, str]) -> None:
    await centre.exchange.until(lambda: paused(centre) == expected)


async def test_the_seats_go_to_the_shelter_and_return(centre: Any) -> None:
    exchange, prompt = centre.exchange, centre.exchange.prompt
    async with (exchange.seat() as seat, exchange.seat("102"), exchange.caller("0441000001") as talking,
                exchange.caller("0441000002") as waiting):  # fmt: skip
        seat.media.speak(exchange.voice("operator"))
        await centre.log_in("102")
        await centre.bus.request("pause", seat="102", reason="break")
        await centre.seat_is("paused", "102")
        await centre.log_in()
        await exchange.to_queue(talking)
        await talking.media.hear(exchange.says("operator"))
        await exchange.to_queue(waiting)
        await exchange.queued(1)

        switch(centre, "on")
        await centre.kill_line()  # it may have done some of it, or nothing
        await centre.start_line()
        await paused_are(centre, {"101": "alert", "102": "break"})
        for name in ("alert", "offer"):
            await waiting.media.hear(prompt(name), timeout=20)
        async with exchange.caller("0671112233") as new:
            for name in ("greeting-short", "alert"):
                await new.media.hear(prompt(name))
            await exchange.to_queue(new)
            await new.media.hear(prompt("offer"), timeout=10)
            await new.hang_up()
        await talking.hang_up()
        await centre.seat_is("paused")
        await exchange.queued(1)  # nobody takes him

        await centre.kill_line()
        switch(centre, "off")
        await centre.start_line()
        await paused_are(centre, {"102": "break"})
        await waiting.media.hear(exchange.says("operator"))
        await waiting.hang_up()


async def test_who_takes_calls_again_by_himself_is_left_alone(centre: Any) -> None:
    exchange = centre.exchange
    async with exchange.seat(), exchange.seat("102"), exchange.seat("103"):
        await centre.log_in()
        await centre.log_in("102")
        switch(centre, "on")
        await paused_are(centre, {"101": "alert", "102": "alert"})
        await centre.seat_is("paused")
        await centre.bus.request("unpause", seat="101")
        await centre.seat_is("free")
        await centre.kill_line()
        await centre.start_line()
        exchange.log_in("103")  # who comes in the middle of it is paused as well, and so a round has been made
        await paused_are(centre, {"102": "alert", "103": "alert"})
        switch(centre, "off")
        await paused_are(centre, {})
