"""The workplace of who calls residents back, in a real browser: a shift's work with the hands on the keyboard."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from playwright.async_api import Page, expect

from crm import confirmations
from crm.campaign_rules import Mode
from crm.confirmation_rules import Reached
from crm.life import State
from crm.people import Role
from tests.web.conftest import Site, at_seat, snapshot
from tests.web.test_browser import TELEPHONE, Screens, fits, listening
from tests.web.test_browser import browser as browser
from tests.web.test_browser import database_url as database_url
from tests.web.test_browser import screens as screens
from tests.web.test_campaigns import SECOND, started
from tests.web.test_confirmations import recording_about, state_of

REMAINS = "У ванній досі холодно."


async def at_work(served: Site, screens: Screens, path: str) -> Page:
    """One of the feedback staff at seat 101, on that page."""
    await served.line.say(snapshot(seats=[at_seat("free")]))
    page = await screens.open("/seat", login="feedback")
    await page.get_by_role("button", name="Почати роботу").click()
    await expect(page.get_by_role("button", name="Завершити роботу")).to_be_visible()
    await page.goto(path)
    await listening(served)
    return page


def claimed(served: Site) -> str:
    """The attempt that the line places for the seat."""
    now, rules = datetime.now(UTC), served.app.state.parts.rules
    with served.db.write() as conn:
        due = confirmations.due(conn, now, None, 1, rules)[0]
        placed = confirmations.claim(conn, due.callback_id, now=now, rules=rules, seat="101",
                                     staff_id=served.staff["feedback"])  # fmt: skip
    assert placed is not None
    return placed.id


async def test_a_call_is_made_heard_and_written_down_by_keys_alone(served: Site, screens: Screens) -> None:
    served.hire(Role.FEEDBACK)
    first = served.appeal(executed=True)
    second = served.appeal(executed=True, subject="Холодна вода", text="Іржава вода.")
    third = served.appeal(executed=True, name="Петро", phone=SECOND)
    recording_about(served, first, "1767000000.9")
    started(served, Mode.PREVIEW)
    page = await at_work(served, screens, "/confirmations")
    await expect(page.get_by_role("button", name="Зателефонувати").first).to_be_enabled()
    attempt = claimed(served)
    served.line.reply = {"attempt": attempt}
    await page.goto("/confirmations/attempts/" + attempt)
    await listening(served)

    # A recording beside the form, at the speed that is chosen once.
    await page.keyboard.press("9")
    audio = page.locator("audio")
    await expect(page.get_by_label("Швидкість")).to_be_visible()
    await page.get_by_label("Швидкість").select_option("1.5")
    assert await audio.evaluate("audio => audio.playbackRate") == 1.5
    await audio.evaluate("audio => audio.pause()")
    await page.get_by_role("heading", level=1).click()
    was = await audio.evaluate("audio => audio.currentTime")
    await page.keyboard.press("ArrowRight")
    assert await audio.evaluate("audio => audio.currentTime") == pytest.approx(was + 5, abs=0.5)
    await page.keyboard.press("ArrowLeft")
    assert await audio.evaluate("audio => audio.currentTime") == pytest.approx(was, abs=0.5)

    # The first is solved, the second is not; what is typed survives a reload.
    await page.keyboard.press("1")
    await page.keyboard.press("3")
    note = page.locator(f"#note-{second}")
    await expect(note).to_be_focused()
    await page.keyboard.type(REMAINS + " 12")
    await page.reload()
    await listening(served)
    await expect(note).to_have_value(REMAINS + " 12")
    await expect(page.locator(f'[name="result-{first}"][value="solved"]')).to_be_checked()
    await page.get_by_role("button", name="Прослухати").press("Enter")
    await expect(page.get_by_label("Швидкість")).to_have_value("1.5")
    assert await page.locator("audio").evaluate("audio => audio.playbackRate") == 1.5
    await note.press("Enter")
    await page.wait_for_url("**done=result")
    assert (state_of(served, first), state_of(served, second)) == (State.CLOSED, State.RETURNED)

    # The next one is there; whom nobody answers for, the network tells, and the screen with no reload.
    await expect(page.locator("#next")).to_contain_text(f"№ {third}")
    await page.keyboard.press("2")
    await expect(page.locator("#next")).to_have_count(0)
    attempt = claimed(served)
    await page.goto("/confirmations/attempts/" + attempt)
    await listening(served)
    await served.line.say(snapshot(seats=[at_seat("talking", linkedid=attempt)]))
    await expect(page.locator("#place")).to_contain_text("Розмова")
    with served.db.write() as conn:
        confirmations.finish(conn, attempt, Reached.NO_ANSWER, datetime.now(UTC), rules=served.app.state.parts.rules)
    await served.line.say(snapshot(seats=[at_seat("free")]))
    await expect(page.locator("#came")).to_contain_text("Наступна спроба")

    # Who speaks to his machine turns the keys off, and they stay so.
    await page.get_by_label("Клавіші-цифри").uncheck()
    await page.reload()
    await page.keyboard.press("4")
    await page.keyboard.press("6")
    await expect(page.get_by_label("зайнято")).not_to_be_checked()
    await page.set_viewport_size({"width": TELEPHONE, "height": 844})
    await fits(page)
