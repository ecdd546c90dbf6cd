"""Asterisk alone gives each caller one free seat: the next when one does not answer, none two calls at once."""

from __future__ import annotations

import asyncio
from typing import Any


async def test_the_next_seat_rings_when_the_first_does_not_answer(exchange: Any) -> None:
    """Whichever is first in turn: every caller is answered, and the absent one is not rung again and again."""
    async with exchange.seat("101", ring_ms=60_000) as absent, exchange.seat("102") as present:
        present.media.speak(exchange.voice("present"))
        with exchange.logged_in("101", "102"):
            for _ in range(3):
                async with exchange.caller() as caller:
                    await exchange.to_queue(caller)
                    await caller.media.hear(exchange.says("present"))
                    await caller.hang_up()
        assert 1 <= len(absent.called()) <= 3
        assert len(present.called()) == 3
        assert "\nCANCEL " in absent.messages()


async def test_one_seat_never_gets_two_calls(exchange: Any) -> None:
    """Three wait when the seat logs in, and it takes a second to pick up: it rings for one of them at a time."""
    async with exchange.caller("0441110001") as one, exchange.caller("0441110002") as two, \
            exchange.caller("0441110003") as three, exchange.seat("101", ring_ms=1000) as seat:  # fmt: skip
        await asyncio.gather(*(exchange.to_queue(caller) for caller in (one, two, three)))
        await exchange.queued(3)
        seat.media.speak(exchange.voice("seat"))
        waiting = {asyncio.create_task(caller.media.hear(exchange.says("seat"))): caller
                   for caller in (one, two, three)}  # fmt: skip
        with exchange.logged_in("101"):
            for served in (1, 2, 3):
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                assert len(done) == 1
                assert len(seat.called()) == served
                answered = done.pop()
                await answered
                await waiting.pop(answered).hang_up()


async def test_landline_and_mobile_are_told_apart(exchange: Any) -> None:
    """Also who comes by Twilio, whose addresses are the mobile trunk's: his number is written with its plus there."""
    async with exchange.caller("0441110001") as landline, exchange.caller("0671110002", host="127.0.0.2") as mobile, \
            exchange.caller("+380671110003", host="127.0.0.2") as twilio:  # fmt: skip
        callers = (landline, mobile, twilio)
        await asyncio.gather(*(exchange.to_queue(caller) for caller in callers))
        await exchange.queued(3)
        for caller in callers:
            await caller.hang_up()
        await exchange.idle()
    origins = {one["caller"]: one["origin"] for one in exchange.spooled()}
    assert origins == {"0441110001": "landline", "0671110002": "mobile", "+380671110003": "mobile"}
