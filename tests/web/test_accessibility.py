"""Every page of the console in a real browser: nothing that axe finds wrong by WCAG 2.2 AA, nothing too wide, on a
small screen, on a telephone and enlarged; what a keyboard alone needs. The table of the pages says which there are.

`SCREENS=docs/screens ./1551 test tests/web/test_accessibility.py` draws each of them there.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from centre.settings import Settings
from crm.people import PERMISSIONS, Role
from crm.store import Database
from tests.web import filled
from tests.web.conftest import FakeLine, at_seat, serving, snapshot, waiting
from tests.web.filled import NOW, RINGS, Filled
from tests.web.looking import HIGH, SCREEN, axe, draw, wrong_with
from tests.web.test_browser import browser as browser
from tests.web.test_wall import TODAY
from web import create_app, visit
from web.app import PAGES

# What is no page: files, and parts of pages that their scripts ask for.
PARTS = {"/attachments/{id}", "/announcements/{language}/{mark}", "/addresses", "/addresses/history",
         "/knowledge/found", "/knowledge/answers", "/knowledge/addresses", "/calls/{linkedid}/lacking",
         "/privacy/citizens/{id}/data", "/recordings/audio/{ticket}", "/messages/part",
         "/messages/files/{id}"}  # fmt: skip
WHOLE = [page for page in PAGES if page.method == "GET" and page.path not in PARTS]
# Who looks at a page that several may open: whoever may do most there.
BEFORE = (Role.SUPERVISOR, Role.ADMINISTRATOR, Role.CONTROL, Role.FEEDBACK, Role.OPERATOR)
AT_A_SEAT = ("/seat", "/desk")
IN_ENGLISH = ("/appeals", "/calls/{linkedid}", "/control", "/messages/{id}", "/reports", "/sign-in")


@dataclass
class Centre:
    """Where it is served, and what stands in it."""

    base: str
    line: FakeLine
    filled: Filled

    async def context(self, browser: Browser, role: Role | None, **more: Any) -> BrowserContext:
        """A browser of that role's person, signed in; None: of nobody."""
        context = await browser.new_context(viewport={"width": SCREEN, "height": HIGH}, base_url=self.base,
                                            locale="uk-UA", timezone_id="Europe/Kyiv", **more)  # fmt: skip
        context.set_default_timeout(30_000)
        if role is not None:
            token, _ = self.filled.session(role)
            await context.add_cookies([{"name": visit.SESSION, "value": token, "url": self.base}])
        return context


@pytest.fixture
async def centre(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Centre]:
    """An ordinary forenoon: a month on record, callers waiting, one at seat 101."""
    monkeypatch.setenv("CENTRE_SETTINGS", str(tmp_path / "none.toml"))
    for most in ("web.lists.SIZE", "web.pages.reports.LISTED"):  # what is looked at once need not be at each row
        monkeypatch.setattr(most, 15)
    settings, db, line = Settings(var=tmp_path, seat_count=6, require_totp=False), Database(sqlite_url), FakeLine()
    made = filled.fill(db, settings)
    app = create_app(settings, db, line, secret="a test's secret", clock=lambda: NOW)
    ago = [(NOW - timedelta(seconds=seconds)).isoformat() for seconds in (15, 40, 95, 220)]
    staff = [made.staff[role].id for role in (Role.OFFICIAL, Role.FEEDBACK, Role.OPERATOR, Role.SUPERVISOR)]
    async with app.router.lifespan_context(app), serving(app) as base:
        await line.say(snapshot(
            at=NOW.isoformat(), today=TODAY, promised={"waiting": 4, "calling": 1, "next": 3},
            waiting=[waiting(linkedid="2.1", since=ago[2]),
                     waiting("+380671112233", linkedid="2.2", position=2, since=ago[0])],
            seats=[at_seat("ringing", staff_id=staff[0], since=ago[0], linkedid=RINGS),
                   at_seat("talking", "102", staff_id=staff[1], since=ago[3]),
                   at_seat("free", "103", staff_id=staff[2], since=ago[1]),
                   at_seat("paused", "104", staff_id=staff[3], since=ago[2], reason="paperwork")],
            callbacks={"due": 41, "calling": 2}))  # fmt: skip
        yield Centre(base, line, made)
    db.close()


def who(page: visit.Page) -> Role | None:
    """Who looks at it; None for one that is open to everybody."""
    if page.path in AT_A_SEAT:
        return Role.OPERATOR
    if page.path.startswith("/messages"):  # whose work it is, and not who watches over it
        return Role.ONLINE
    return None if page.needs is None else next(
        role for role in BEFORE if not page.needs or set(page.needs) & PERMISSIONS[role])


async def test_every_page_is_for_everybody(centre: Centre, browser: Browser) -> None:
    """All of them in one browser, in a tab of each role; what is wrong with which is told at the end, together."""
    by_tab: dict[tuple[Role | None, str], list[str]] = defaultdict(list)
    for page in WHOLE:
        for language in ("uk", "en") if page.path in IN_ENGLISH else ("uk",):
            by_tab[who(page), language].append(page.path)
    wrong: list[str] = []

    async def look(tab: Page, path: str, language: str) -> None:
        said = f"{language} {path}"
        try:
            address = centre.filled.address(path)
        except KeyError:
            wrong.append(f"{said}: a new page, of which tests/web/filled.py must say how to open it")
            return
        answer = await tab.goto(address)
        if answer is None or answer.status != 200 or not (path == "/" or answer.url.endswith(address)):
            wrong.append(f"{said}: {answer and (answer.status, answer.url)}")
            return
        if await tab.evaluate("document.documentElement.lang") != language:
            wrong.append(f"{said}: another language")
        if language == "uk":
            await draw(tab, path)
        wrong.extend(f"{said} {each}" for each in await wrong_with(tab))

    async def look_at(paths: list[str], role: Role | None, language: str) -> None:
        context = await centre.context(browser, role, reduced_motion="reduce")
        await context.add_cookies([{"name": visit.LANGUAGE, "value": language, "url": centre.base}])
        await context.add_init_script(axe())
        tab = await context.new_page()
        for path in paths:
            await tab.set_viewport_size({"width": SCREEN, "height": HIGH})
            await look(tab, path, language)

    await asyncio.gather(*(look_at(paths, *tab) for tab, paths in by_tab.items()))
    assert wrong == [], "\n".join(wrong)


async def test_a_list_by_keys_alone(centre: Centre, browser: Browser) -> None:
    page = await (await centre.context(browser, Role.SUPERVISOR)).new_page()
    await page.goto("/appeals?state=closed")
    rows = page.locator("table[data-list] > tbody > tr")
    numbers = await rows.locator("td:first-child a").all_inner_texts()
    here = page.locator(":focus")

    await page.keyboard.press("Tab")
    await expect(here).to_have_text("До змісту сторінки")
    await expect(here).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()

    for key in ("j", "j", "j", "k"):
        await page.keyboard.press(key)
    await expect(here).to_have_text(numbers[1])
    await page.keyboard.press("ArrowDown")
    await expect(here).to_have_text(numbers[2])
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(rf"/appeals/{numbers[2]}$"))
    await page.go_back()
    await expect(here).to_have_text(numbers[2])

    await page.keyboard.press("n")
    await expect(page).to_have_url(re.compile(r"after=\d+"))
    assert numbers[0] not in await rows.locator("td:first-child a").all_inner_texts()
    await page.keyboard.press("p")
    await expect(rows.first).to_contain_text(numbers[0])
    await page.keyboard.press("/")
    await expect(page.get_by_label("Номер")).to_be_focused()
    await page.keyboard.type("njk?")
    await expect(page.get_by_label("Номер")).to_have_value("njk?")

    await page.locator("main").focus()
    await page.keyboard.press("?")
    legend = page.get_by_role("dialog", name="Клавіші")
    await legend.get_by_label("Клавіші-літери працюють").uncheck()
    await page.keyboard.press("Escape")
    await expect(legend).to_be_hidden()
    await page.locator("main").focus()
    await page.keyboard.press("j")
    await expect(page.locator("main")).to_be_focused()

    group = page.locator("nav details", has=page.get_by_text("Дзвінки", exact=True)).first
    await group.locator("summary").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(here).to_have_text("Дзвінки")
    await page.keyboard.press("Escape")
    await expect(group.get_by_role("link").first).to_be_hidden()
    await expect(group.locator("summary")).to_be_focused()
