"""Two browsers as seats, a citizen on the line: from the ringing to the end, with what each of them hears."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import expect

from centre.phones import Callee
from tests.workplace.conftest import CITIZEN, LIMIT, Seat, Workplace, ended_well, loudness, tone

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
    """Answer, mute, hold, ask the police, ask the other seat, all three, connect them; the call's record is whole."""
    olena, taras = await workplace.sit(OLENA, "olena", "201"), await workplace.sit(TARAS, "taras", "202")
    await taras.page.get_by_role("button", name="Налаштування телефону").click()
    await taras.page.get_by_label("Відповідати самому").check()
    await taras.press("Escape")
    await workplace.centre.bus.request("pause", seat="202", reason="break")
    await workplace.centre.seat_is("paused", "202")
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
        begun = await olena.counted()

        await olena.press("F8")
        await hears_nobody(caller)
        await expect(olena.page.get_by_text("вас не чують")).to_be_visible()
        await olena.press("F8")
        await hears(caller, OLENA)
        await olena.press("F9")
        await olena.is_("held")
        await workplace.centre.seat_is("hold", "201")
        await hears_nobody(caller)
        await olena.press("F9")
        await olena.is_("talking")
        await hears(caller, OLENA)
        counted = await olena.counted()
        assert all(counted[way] > begun[way] + 25 for way in ("received", "sent")), (begun, counted)

        async with workplace.centre.behind_trunk(Callee(workplace.centre.landline_port)) as police:
            await olena.frame.locator('[data-dial="102"]').click()  # a key of the page's
            await olena.is_("asking")
            await expect(olena.page.locator("#whom")).to_have_text("102 Поліція")
            assert police.called() == ["102"]
            await hears(police, OLENA)
            await olena.press("Shift+F2")
            for key in "15*":  # as a menu of theirs may ask
                await olena.page.get_by_label("Клавіші").get_by_role("button", name=key, exact=True).click()
            async with asyncio.timeout(LIMIT):
                while police.media.keys != "15*":
                    await police.media.more()
            assert caller.media.keys == ""
            await olena.press("Escape")
            await olena.press("F4")
            await olena.is_("talking")
            await hears(caller, OLENA)

        await olena.press("Shift+F2")
        await olena.page.keyboard.type("202")
        await olena.press("Enter")
        await taras.is_("talking")
        await olena.is_("asking")
        await olena.hears(TARAS)
        await hears_nobody(caller)
        await olena.press("F10")
        await olena.is_("three")
        await hears(caller, TARAS)
        await hears(caller, OLENA)
        await taras.hears(CITIZEN, OLENA)
        await olena.hears(CITIZEN, TARAS)
        await olena.press("F2")
        await olena.is_("ready")
        await hears(caller, TARAS)
        await taras.hears(CITIZEN)
        await workplace.centre.seat_is("talking", "202")
        await caller.hang_up()
        await taras.is_("ready")
    call = await workplace.centre.call_of(CALLER, lambda call: call.ended_at)
    assert {"held", "transferred"} <= set(workplace.centre.kinds(call.linkedid)), workplace.centre.kinds(call.linkedid)
    assert ended_well(workplace.complaints) == []


async def test_a_page_that_is_reloaded_keeps_the_citizen(workplace: Workplace) -> None:
    """He hears a word, and the same seat answers by itself; a restart of our pages alone he does not notice."""
    olena = workplace.seats["201"]
    async with workplace.exchange.caller(CALLER) as caller:
        await workplace.exchange.to_queue(caller)
        await olena.is_("ringing")
        caller.media.speak(tone(CITIZEN))
        await olena.answer()
        await hears(caller, OLENA)
        card = olena.page.url

        await workplace.kill_web()
        await expect(olena.page.get_by_text("розмова триває")).to_be_visible()
        await hears(caller, OLENA)
        await workplace.start_web()
        await expect(olena.page.get_by_text("розмова триває")).to_be_hidden()
        await hears(caller, OLENA)
        await olena.press("F9")
        await olena.is_("held")
        await olena.press("F9")
        await olena.is_("talking")

        await olena.page.reload()
        await caller.media.hear(workplace.exchange.prompt("seat-lost"))
        await olena.is_("talking")
        await hears(caller, OLENA)
        await olena.hears(CITIZEN)
        assert olena.page.url == card

        await olena.press("Shift+F2")  # given away unasked
        await olena.page.keyboard.type("202")
        await olena.page.get_by_role("button", name="Передати без розмови").click()
        await olena.is_("ready")
        await hears(caller, TARAS)
        await workplace.seats["202"].press("F4")
        await caller.ended()
        await workplace.seats["202"].is_("ready")
    assert ended_well(workplace.complaints) == []


async def test_without_a_microphone_and_out_again(workplace: Workplace) -> None:
    """What keeps the telephone from working is said, and mended by one key; whoever leaves takes it with him."""
    page = await workplace.page(TARAS, "third")
    await page.add_init_script("""const plain = navigator.mediaDevices.getUserMedia;
        navigator.mediaDevices.getUserMedia = (how) => localStorage.allowed ? plain(how)
          : Promise.reject(new DOMException("", "NotAllowedError"));""")
    await workplace.choose(page, "203")
    await expect(page.get_by_role("alert")).to_contain_text("Браузер не дозволив мікрофон")
    await workplace.centre.seat_is("out", "203")
    await page.evaluate("localStorage.allowed = true")
    await page.get_by_role("button", name="Спробувати ще раз").click()
    third = Seat(page, "203")
    await third.is_("ready")
    await workplace.centre.seat_is("free", "203")
    await expect(page.get_by_role("alert")).to_be_hidden()

    await third.frame.get_by_role("button", name="English").click()
    await expect(page.locator("#place")).to_contain_text("Free")  # the bar speaks it, too
    await third.is_("ready")
    other = await page.context.new_page()
    await other.goto("/desk")
    await expect(other.get_by_role("alert")).to_contain_text("open in another tab")
    await page.close()
    third = Seat(other, "203")
    await third.is_("ready")
    await third.frame.get_by_role("button", name="End work").click()
    await other.wait_for_url("**/seat?done=left")
    await workplace.centre.seat_is("out", "203")
    await workplace.choose(other, "203", "This browser", "Seat", "Start work")
    await third.is_("ready")
    await third.frame.get_by_role("button", name="Sign out").click()
    await other.wait_for_url("**/sign-in**")
    await workplace.centre.seat_is("out", "203")
    assert ended_well(workplace.complaints) == []
