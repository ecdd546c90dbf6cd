"""A seat works without our pages: it logs in and out, pauses and comes back by the codes it dials."""

from __future__ import annotations

from typing import Any


def member(exchange: Any, number: str) -> str:
    """The seat's line in the queue as Asterisk shows it; "" when it is not logged in."""
    lines = exchange.asterisk.rx("queue show city").splitlines()
    return next((line.strip() for line in lines if line.strip().startswith(f"{number} (")), "")


async def dials(exchange: Any, seat: Any, code: str, *, beep: bool) -> None:
    async with seat.dials(code) as call:
        await call.ended()
        assert call.media.has_heard(exchange.prompt("beep")) is beep


async def test_codes(exchange: Any) -> None:
    async with exchange.seat("101") as seat, exchange.seat("102") as other:
        await dials(exchange, seat, "*12", beep=False)  # it cannot pause what is not logged in
        assert not member(exchange, "101")
        await dials(exchange, seat, "*10", beep=True)
        assert "paused" not in member(exchange, "101")
        assert exchange.interface("101") in member(exchange, "101")
        assert not member(exchange, "102")
        await dials(exchange, other, "*10", beep=True)
        await dials(exchange, seat, "*12", beep=True)
        assert "paused:break" in member(exchange, "101")
        assert "paused" not in member(exchange, "102")
        await dials(exchange, seat, "*13", beep=True)
        assert "paused" not in member(exchange, "101")
        await dials(exchange, seat, "*11", beep=True)
        assert not member(exchange, "101")
        assert member(exchange, "102")
        await dials(exchange, other, "*11", beep=True)
        assert not member(exchange, "102")


async def test_a_seat_calls_another(exchange: Any) -> None:
    async with exchange.seat("101") as seat, exchange.seat("102") as other:
        other.media.speak(exchange.voice("other"))
        async with seat.dials("102") as call:
            call.media.speak(exchange.voice("caller"))
            await call.media.hear(exchange.says("other"))
            await call.hang_up()
        assert 'From: "101" <sip:101@' in other.messages()
