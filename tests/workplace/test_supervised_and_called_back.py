"""A supervisor at a browser whispers to an operator at another; a campaign rings a browser, then a citizen, whose word
closes the appeal."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.async_api import expect
from sqlalchemy import Connection, select

from centre.phones import Callee
from crm import appeals, campaigns, people, schema
from crm.campaign_rules import Mode, Step, Terms
from crm.life import State
from tests.workplace.conftest import CITIZEN, LIMIT, Workplace, ended_well, loudness, tone

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLENA, OTHER = 440, 600  # the voices of the operator, and of whoever is at the second browser
CALLER, RESIDENT = "+380441234567", "+380442223344"
WHY = "Скарга на тон розмови"
HALF_A_SECOND = 4000  # bytes of A-law


async def hears_only(media: Any, hertz: int, other: int) -> None:
    """Waits until half a second of what is heard has this voice in it, and sees to it that the other is not."""
    async with asyncio.timeout(LIMIT):
        while True:
            media.forget()
            while len(media.heard) < HALF_A_SECOND:
                await media.more()
            sound = bytes(media.heard[:HALF_A_SECOND])
            assert loudness(sound, other) < 0.05
            if loudness(sound, hertz) > 0.4:
                return


async def test_a_supervisor_whispers(workplace: Workplace) -> None:
    """He says why and how, his browser rings, and he is heard by the operator alone, who is told so."""
    centre = workplace.centre
    olena, iryna = await workplace.sit(OLENA, "olena", "201"), await workplace.sit(OTHER, "iryna", "202")
    await centre.bus.request("pause", seat="202", reason="break")  # she takes calls, too
    await centre.seat_is("paused", "202")
    async with workplace.exchange.caller(CALLER) as caller:
        caller.media.speak(tone(CITIZEN))
        await workplace.exchange.to_queue(caller)
        await olena.answer()
        await olena.hears(CITIZEN)

        await iryna.frame.get_by_text("Зміна", exact=True).click()
        await iryna.frame.get_by_role("link", name="Наживо", exact=True).click()
        await iryna.frame.get_by_role("link", name="201", exact=True).click()
        await iryna.frame.get_by_role("radio", name="Підказувати").check()
        await iryna.frame.get_by_label("Навіщо").fill(WHY)
        await iryna.press("Enter")
        await expect(iryna.frame.get_by_text("Ваш телефон дзвонить")).to_be_visible()
        await iryna.is_("ringing")
        await expect(olena.frame.locator("#heard")).to_be_empty()
        await iryna.answer()
        await iryna.hears(OLENA, CITIZEN)
        await olena.hears(OTHER, CITIZEN)
        await hears_only(caller.media, OLENA, OTHER)
        await expect(olena.frame.locator("#heard")).to_have_text(
            "Iryna слухає розмову й підказує вам: заявник цього не чує.")  # fmt: skip
        assert iryna.page.url.endswith("/live/seats/201?done=hearing"), "his leg has no card"

        await iryna.press("F4")
        await iryna.is_("ready")
        await expect(olena.frame.locator("#heard")).to_be_empty()
        await olena.hears(CITIZEN)
        await caller.hang_up()
        await olena.is_("ready")
    call = await centre.call_of(CALLER, lambda call: call.ended_at)
    look = schema.access_log.c
    logged = centre.read(lambda conn: conn.execute(select(look.staff_id, look.subject_key, look.why)
                                                   .where(look.what == "call_whisper")).all())  # fmt: skip
    iryna_id = centre.read(lambda conn: people.by_login(conn, "iryna").id)
    assert logged == [(iryna_id, call.linkedid, WHY)]
    assert ended_well(workplace.complaints) == []


def started(conn: Connection) -> None:
    now = datetime.now(UTC)
    made = campaigns.save(conn, None, None, Terms("Гаряча вода", Mode.PROGRESSIVE), staff_id=1, now=now)
    campaigns.step(conn, made, Step.START, version=1, staff_id=1, now=now)


async def test_a_campaign_rings_and_the_word_closes_the_appeal(workplace: Workplace) -> None:
    """The browser rings by itself, the citizen once it has answered; the call's screen is there; a digit ends it."""
    centre = workplace.centre
    appeal = centre.appeal(RESIDENT, auto=False)
    fedir = await workplace.sit(OTHER, "fedir", "203")
    async with centre.behind_trunk(Callee(centre.landline_port)) as resident:
        resident.media.speak(tone(CITIZEN))
        centre.write(started)
        await centre.bus.request("changed")
        await fedir.is_("ringing")
        assert resident.called() == []
        await fedir.page.get_by_role("button", name="Відповісти").click()
        await fedir.is_("talking")
        await hears_only(resident.media, OTHER, OLENA)
        await fedir.hears(CITIZEN)
        assert resident.called() == [RESIDENT]
        attempt = await centre.attempt(RESIDENT, lambda row: row.answered_at)
        await expect(fedir.frame.get_by_role("heading", level=1)).to_contain_text(f"Мешканець {RESIDENT}")
        assert fedir.page.url.endswith(f"#/confirmations/attempts/{attempt.id}")

        await fedir.page.get_by_role("button", name="Завершити").click()
        await fedir.is_("ready")
        # The keyboard is still in the bar, where he has just hung up.
        await fedir.press("1")
        await expect(fedir.frame.locator("[value=solved]")).to_be_checked()
        await fedir.press("Enter")
        await expect(fedir.frame.locator(".came")).to_contain_text("вирішено, звернення закрито")
    fedir_id, closed, history = centre.read(lambda conn: (
        people.by_login(conn, "fedir").id, appeals.get(conn, appeal.id), appeals.history(conn, appeal.id)))  # fmt: skip
    assert closed.state is State.CLOSED
    assert history[-1].evidence == {"linkedid": attempt.id, "attempt": attempt.id, "staff_id": fedir_id,
                                    "result": "solved"}  # fmt: skip
    assert (attempt.mode, attempt.seat, attempt.staff_id) == ("live", "203", fedir_id)
    assert ended_well(workplace.complaints) == []
