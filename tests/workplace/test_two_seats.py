"""Two browsers as seats, a citizen on the line: from the ringing to the end, with what each of them hears."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import expect

from tests.workplace.conftest import CITIZEN, LIMIT, Workplace, ended_well, loudness, tone

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLENA, TARAS = 440, 600  # their voices
CALLER = "+380441234567"


async def hears(caller: Any, hertz: int) -> None:
    """Waits until the caller hears this voice, from now on."""
    caller.media.forget()
    async with asyncio.timeout(LIMIT):
        while len(caller.media.heard) < 1600 or loudness(bytes(caller.media.heard[-1600:]), hertz) < 0.4:
            await caller.media.more()


async def hears_nobody(caller: Any) -> None:
    """Waits until neither of the seats is heard."""
    async with asyncio.timeout(LIMIT):
        while True:
            caller.media.forget()
            while len(caller.media.heard) < 1600:
                await caller.media.more()
            if max(loudness(bytes(caller.media.heard), voice) for voice in (OLENA, TARAS)) < 0.05:
                return


async def test_from_ring_to_transfer(workplace: Workplace) -> None:
    """Answer, mute, hold, ask the other seat, all three, connect them; the telephone is free and the call's record whole."""
    olena = await workplace.sit(OLENA, "olena", "101")
    taras = await workplace.sit(TARAS, "taras", "102")
    await taras.page.get_by_role("button", name="Налаштування телефону").click()
    await taras.page.get_by_label("Відповідати самому").check()
    await workplace.centre.bus.request("pause", seat="102", reason="break")
    await workplace.centre.seat_is("paused", "102")
    async with workplace.exchange.caller(CALLER) as caller:
        await workplace.exchange.to_queue(caller)
        await olena.is_("ringing")
        await expect(olena.page.locator("#whom")).to_have_text("+380 44 123 45 67")
        await expect(olena.frame.get_by_label("Прізвище")).to_be_focused()
        caller.media.speak(tone(CITIZEN))
        await olena.press("F2")  # pressed in the page, where the keyboard is
        await olena.is_("talking")
        await hears(caller, OLENA)
        await olena.hears(CITIZEN)

        await olena.press("F8")
        await hears_nobody(caller)
        await expect(olena.page.get_by_text("вас не чують")).to_be_visible()
        await olena.press("F8")
        await hears(caller, OLENA)
        await olena.press("F9")
        await olena.is_("held")
        await workplace.centre.seat_is("hold", "101")
        await hears_nobody(caller)
        await olena.press("F9")
        await olena.is_("talking")
        await hears(caller, OLENA)

        await olena.press("Shift+F2")
        await olena.page.keyboard.type("102")
        await olena.press("Enter")
        await taras.is_("talking")
        await olena.is_("asking")
        await olena.hears(TARAS)
        await hears_nobody(caller)
        await olena.press("F10")
        await olena.is_("three")
        await hears(caller, TARAS)
        await hears(caller, OLENA)
        await taras.hears(CITIZEN)
        await olena.press("F2")
        await olena.is_("ready")
        await hears(caller, TARAS)
        await taras.hears(CITIZEN)
        await workplace.centre.seat_is("talking", "102")
        await caller.hang_up()
        await taras.is_("ready")
    assert ended_well(workplace.complaints) == []
