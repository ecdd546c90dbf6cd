"""The menu without any process of ours: keys are taken, and whatever is pressed, or nothing, leads to the queue."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


async def queued(exchange: Any, press: str) -> float:
    """A caller who presses these keys in the menu reaches the queue; how long it took from the menu on, in seconds."""
    loop = asyncio.get_running_loop()
    async with exchange.caller() as caller:
        await caller.media.hear(exchange.prompt("menu"))
        began = loop.time()
        if press:
            await caller.media.press(press)
        await caller.media.hear(exchange.prompt("connecting"))
        took = loop.time() - began
        await caller.media.hear(exchange.prompt("thanks-waiting"))  # as the music on hold
        await caller.hang_up()
    return took


async def test_silence_and_every_key_lead_to_the_queue(exchange: Any) -> None:
    """2 and 3 too: there is nobody who could tell the state of appeals, or take an answer."""
    took = await asyncio.gather(*(queued(exchange, key) for key in ("", *"012345678*#")))
    silent, *pressed = took
    assert silent > 4, "a caller has time to think"
    assert max(pressed) < 4, "a key is taken at once"
    await exchange.idle()
    assert [one["stage"] for one in exchange.spooled() if one["kind"] == "ended"] == ["queue"] * len(took)


async def test_a_key_is_taken_while_the_menu_is_read(exchange: Any) -> None:
    """The menu is a long noise here: its end is not heard."""
    prompt = exchange.prompt("menu")
    short = prompt.read_bytes()
    begins, ends = exchange.voice("menu-begins"), exchange.voice("menu-ends")
    try:
        prompt.write_bytes(begins + bytes([0xD5]) * 8000 * 10 + ends)
        async with exchange.caller() as caller:
            await caller.media.hear(exchange.says("menu-begins"))
            await caller.media.press("1")
            await caller.media.hear(exchange.prompt("connecting"), timeout=8)
            assert not caller.media.has_heard(exchange.says("menu-ends"))
            await caller.hang_up()
    finally:
        prompt.write_bytes(short)


async def test_nine_changes_the_language_and_back(exchange: Any) -> None:
    async with exchange.caller() as caller:
        for language in ("en", "uk", "en"):
            await caller.media.hear(exchange.prompt("menu", "uk" if language == "en" else "en"))
            caller.media.forget()
            await caller.media.press("9")
            await caller.media.hear(exchange.prompt("language-changed", language))
        await caller.media.hear(exchange.prompt("menu", "en"))
        await caller.media.press("1")
        await caller.media.hear(exchange.prompt("connecting", "en"))
        await caller.hang_up()
        await exchange.idle()
    assert exchange.spooled()[-1]["language"] == "en"


async def test_asterisk_alone_serves_in_order_of_coming(exchange: Any) -> None:
    """By the clock, which is what we would go by too; nobody tells them their places."""
    async with exchange.caller("0441110001") as one, exchange.caller("0441110002") as two, \
            exchange.caller("0441110003") as three, exchange.seat("101") as seat:  # fmt: skip
        for waiting, caller in enumerate((one, two, three), 1):
            await exchange.to_queue(caller)
            await exchange.queued(waiting)
        seat.media.speak(exchange.voice("seat"))
        with exchange.logged_in("101"):
            for caller, behind in ((one, (two, three)), (two, (three,)), (three, ())):
                await caller.media.hear(exchange.says("seat"))
                assert not any(other.media.has_heard(exchange.says("seat")) for other in behind)
                await caller.hang_up()


@pytest.mark.parametrize("at", ["greeting", "menu", "queue"])
async def test_who_hangs_up_leaves_nothing_behind(exchange: Any, at: str) -> None:
    """No channel stays, and the spool tells how far he came."""
    async with exchange.caller("0441112233") as caller:
        if at == "queue":
            await exchange.to_queue(caller)
            await exchange.queued(1)
        else:
            await caller.media.hear(exchange.prompt(at))
        await caller.hang_up()
        await exchange.idle()
    *before, ended = exchange.spooled()
    assert (ended["kind"], ended["caller"], ended["origin"], ended["stage"]) == (
        "ended", "0441112233", "landline", "queue" if at == "queue" else "ivr")  # fmt: skip
    told = {"greeting": [], "menu": ["arrived"], "queue": ["arrived", "queued", "recording"]}
    assert [one["kind"] for one in before] == told[at]
    assert {one["linkedid"] for one in before} <= {ended["linkedid"]}
