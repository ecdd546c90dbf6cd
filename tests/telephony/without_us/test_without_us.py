"""With our processes dead, hung or talking nonsense, a caller hears the greeting at once and reaches a seat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()  # until Asterisk gives up
    writer.close()


async def _nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe\n" * 3)
    await writer.drain()
    writer.close()


async def _slams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@asynccontextmanager
async def fastagi(port: int, fault: Any) -> AsyncIterator[None]:
    """What answers in our place; None: nobody."""
    if fault is None:
        yield
        return
    server = await asyncio.start_server(fault, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


@pytest.mark.parametrize("fault", [None, _silent, _nonsense, _slams], ids=["refused", "hung", "nonsense", "slammed"])
async def test_a_caller_hears_the_greeting_and_reaches_a_seat(exchange: Any, fault: Any) -> None:
    voice = exchange.prompt("confirm-live-greeting").read_bytes()
    async with fastagi(exchange.settings.agi_port, fault), exchange.seat() as seat:
        exchange.log_in()
        seat.media.speak(voice)
        try:
            async with exchange.caller("0441112233") as caller:
                await caller.media.hear(exchange.prompt("greeting"), timeout=3)
                caller.media.speak(exchange.prompt("ask-number").read_bytes())
                await caller.media.hear(exchange.prompt("menu"), timeout=10)
                await caller.media.press("0")
                await caller.media.hear(exchange.prompt("confirm-live-greeting"), timeout=30)
                await seat.media.hear(exchange.prompt("ask-number"), timeout=10)
                await caller.hang_up()
                await exchange.idle()
        finally:
            exchange.log_out()
    kinds = [call["kind"] for call in exchange.spooled()]
    assert kinds == ["arrived", "queued", "recording", "ended"]
    first, *_, last = exchange.spooled()
    assert first["caller"] == "0441112233"
    assert first["origin"] == "landline"
    assert {call["linkedid"] for call in exchange.spooled()} == {first["linkedid"]}
    recording = exchange.settings.recordings / last["file"]
    assert recording.stat().st_size > 44, "the conversation was recorded"
    assert recording.stat().st_mode & 0o777 == 0o600
