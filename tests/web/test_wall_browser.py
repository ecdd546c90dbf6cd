"""The wallboard in a real browser: told anew with no reload, and its switches follow what it says."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from crm.people import Role
from tests.web.conftest import Site, at_seat, snapshot, waiting
from tests.web.test_browser import TELEPHONE, WIDE, Screens, fits, listening
from tests.web.test_browser import browser as browser
from tests.web.test_browser import database_url as database_url
from tests.web.test_browser import screens as screens
from tests.web.test_wall import TODAY, switched

WALL = 1920


@pytest.mark.parametrize("width", [WALL, WIDE, TELEPHONE])
async def test_it_keeps_itself_and_fits(served: Site, screens: Screens, width: int) -> None:
    served.hire(Role.SUPERVISOR)
    page = await screens.open("/wall", width=width, login="supervisor")
    await page.evaluate("window.sameDocument = true")
    on = page.get_by_role("button", name="Оголосити тривогу")
    off = page.get_by_role("button", name="Відбій тривоги")
    await expect(on).to_be_visible()
    await expect(off).to_be_hidden()
    await listening(served)
    await served.line.say(snapshot(waiting=[waiting()], seats=[at_seat("talking"), at_seat("free", "102")], today=TODAY,
                                   surge=switched("alert", "surge", reason="сирена")))  # fmt: skip
    await expect(page.get_by_text("Повітряна тривога з ")).to_be_visible()
    await expect(page.get_by_text("81,5 %")).to_be_visible()
    await expect(off).to_be_visible()
    await expect(on).to_be_hidden()
    await fits(page)
    await served.line.say(snapshot())
    await expect(on).to_be_visible()
    await expect(page.get_by_text("81,5 %")).to_be_hidden()
    assert await page.evaluate("window.sameDocument"), "with no reload"
