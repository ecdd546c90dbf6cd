"""The pages in a real browser: what happens with no reload, by keys alone, on a wide screen and on a telephone.

One browser of these tests' own, on a page server of their own; nothing leaves loopback.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from centre.provision import ensure
from crm import appeals, calls, campaigns, confirmations, incidents, promises
from crm.calls import Outcome, Priority
from crm.campaign_rules import Mode, Step, Terms
from crm.confirmation_rules import Result
from crm.people import Role
from crm.promise_rules import Reason, Rules
from tests.web.conftest import CALLER, LINKEDID, PASSWORD, Site, at_seat, snapshot, waiting

# Chromium of its own accord looks for updates, for how fast the network is, for what might be worth opening.
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-domain-reliability",
         "--disable-sync", "--no-first-run", "--no-pings",
         "--disable-features=OptimizationHints,MediaRouter")  # fmt: skip
WIDE, TELEPHONE = 1280, 390
CARD = f"/calls/{LINKEDID}"
TEXT = "Батареї ледь теплі.\nУ кімнаті 14 °C, дитина хворіє."

expect.set_options(timeout=30_000)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What a browser shows does not depend on the database."""
    return sqlite_url


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=ensure("chromium").executable, args=QUIET)
        yield browser
        await browser.close()


class Screens:
    """Opens screens, and gathers what they complain of: errors of scripts, and what the policy of the pages forbids."""

    def __init__(self, site: Site, browser: Browser) -> None:
        self._site, self._browser = site, browser
        self.complaints: list[str] = []

    async def open(self, path: str = "/", *, width: int = WIDE, login: str = "") -> Page:
        context = await self._browser.new_context(viewport={"width": width, "height": 844}, base_url=self._site.base)
        context.set_default_timeout(30_000)
        page = await context.new_page()
        page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(self._site.base) or self.complaints.append(asked.url))
        await page.goto("/sign-in")
        if login:
            await page.get_by_label("Логін").fill(login)
            await page.get_by_label("Пароль").fill(PASSWORD)
            await page.get_by_role("button", name="Увійти").click()
            await page.wait_for_url(lambda url: "sign-in" not in url)
        await page.goto(path)
        return page


@pytest.fixture
async def screens(served: Site, browser: Browser) -> AsyncIterator[Screens]:
    screens = Screens(served, browser)
    yield screens
    # A refused form is answered with its status, which the browser also puts onto the console.
    assert [said for said in screens.complaints if "Failed to load resource" not in said or "422" not in said] == []
    for context in browser.contexts:
        await context.close()


async def at_a_seat(served: Site, screens: Screens, path: str = "/seat", width: int = WIDE) -> Page:
    """An operator at seat 101, where it is quiet."""
    if "operator" not in served.staff:
        served.hire(Role.OPERATOR)
    await served.line.say(snapshot(seats=[at_seat("free")]))
    page = await screens.open("/seat", width=width, login="operator")
    await page.get_by_role("button", name="Почати роботу").click()
    await expect(page.get_by_role("button", name="Завершити роботу")).to_be_visible()
    await page.goto(path)
    await listening(served)
    return page


async def listening(served: Site) -> None:
    """Returns when the page is told what happens."""
    while not served.app.state.parts.hub.watching:
        await served.line.say({"event": "tick"})


async def ring(served: Site, caller: str = CALLER, linkedid: str = LINKEDID) -> None:
    await served.line.say({"event": "ringing", "seat": "101", "linkedid": linkedid, "caller": caller,
                           "at": datetime.now(UTC).isoformat()})  # fmt: skip


def suggestions(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Знайдені адреси").get_by_role("option")


async def choose_subject(page: Page, typed: str, name: str) -> None:
    field = page.get_by_role("combobox", name="Тема")
    await field.fill(typed)
    await page.get_by_role("listbox", name="Знайдені теми").get_by_role("option", name=name).click()
    await expect(field).to_have_value(name)


async def fits(page: Page) -> None:
    over = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over <= 0, f"{page.url} is {over} px too wide"


async def test_the_live_view_keeps_itself_with_no_reload(served: Site, screens: Screens) -> None:
    served.hire(Role.SUPERVISOR)
    page = await screens.open("/live", login="supervisor")
    await page.evaluate("window.sameDocument = true")
    await expect(page.get_by_text("Ніхто не чекає.")).to_be_visible()
    await listening(served)
    await served.line.say(snapshot(waiting=[waiting()], seats=[at_seat("talking")]))
    row = page.get_by_role("row", name="+380 44 ••• 45 67")
    await expect(row.locator("time")).to_have_text(re.compile(r"1:0[5-9]|1:[1-5]\d"))
    before = await row.locator("time").text_content()
    await expect(row.locator("time")).not_to_have_text(before or "")  # the clock runs
    await expect(page.get_by_role("list").get_by_text("Розмова")).to_be_visible()
    trunks, alarm = [{"name": "landline", "state": "down", "calls": 0}], page.locator("#live-line")
    await served.line.say(snapshot(trunks=trunks))
    await expect(alarm).to_contain_text("Аварія")
    await served.line.say({"event": "lost"})
    await expect(alarm).to_contain_text("Немає зв’язку з лінією")
    await served.line.say(snapshot())
    await expect(alarm).to_be_empty()
    assert await page.evaluate("window.sameDocument")


async def test_a_ringing_call_opens_its_card_which_becomes_an_appeal(served: Site, screens: Screens) -> None:
    """The whole of an operator's work, and nothing of the call is on record yet when it begins."""
    page = await at_a_seat(served, screens)
    await ring(served)
    await page.wait_for_url(f"**{CARD}")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("+380 44 123 4567")
    await page.get_by_label("Прізвище, ім’я, по батькові").fill("Олена Шевчук")
    address = page.get_by_role("combobox", name="Адреса")
    await address.press_sequentially("москов")
    await expect(suggestions(page)).to_have_count(2)
    await expect(suggestions(page).first).to_contain_text("колишня назва: Московський проспект")
    await suggestions(page).filter(has_text="10-А").click()
    await expect(address).to_have_value("проспект Степана Бандери, 10-А")
    await expect(suggestions(page)).to_have_count(0)
    await expect(page.get_by_role("heading", name="Звернення щодо будинку")).to_contain_text("10-А")
    await page.get_by_label("Квартира").fill("41")
    await choose_subject(page, "опа", "Опалення")
    await page.get_by_label("Суть звернення").fill(TEXT)
    await page.get_by_role("button", name="Зареєструвати звернення").click()
    await page.wait_for_url("**saved=26000001**")
    with served.db.read() as conn:
        appeal = appeals.by_number(conn, 26000001)
        assert appeal is not None
        assert (appeal.text, appeal.flat) == (TEXT, "41")
        assert appeal.building_id == served.city.buildings["Бандери 10-А"]
    for told in (page.locator("[data-appeal]"), page.locator("[data-code]")):
        await expect(told).to_be_in_viewport()
        size = await told.evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
        assert size >= 32, "to be read out at arm's length"
    await expect(page.locator("[data-code]")).to_have_text(appeal.code)
    await expect(page.get_by_label("Суть звернення")).to_have_value("")
    with served.db.write() as conn:  # the line's record comes late, and completes what was written
        calls.arrived(conn, LINKEDID, at=datetime.now(UTC), origin="mobile", caller=CALLER)
        call = calls.get(conn, LINKEDID)
    assert call is not None
    assert (call.outcome, call.origin, call.caller) == (Outcome.APPEAL, "mobile", CALLER)


async def test_a_call_that_goes_elsewhere_is_left_alone(served: Site, screens: Screens) -> None:
    page = await at_a_seat(served, screens)
    await served.line.say(snapshot(seats=[at_seat("free"), at_seat("ringing", "102", linkedid="4.4")]))
    await served.line.say(snapshot(seats=[at_seat("paused", reason="lunch")]))
    await expect(page.locator("#place")).to_contain_text("обід")
    assert page.url.endswith("/seat")
    await expect(page.locator("#call")).to_be_empty()


async def test_nothing_typed_is_thrown_away(served: Site, screens: Screens) -> None:
    """Not by a call that rings, nor by another form of the page, a reload, or a form that is refused."""
    served.calling(linkedid="3.3")
    page = await at_a_seat(served, screens, "/calls/3.3")
    text = page.get_by_label("Суть звернення")
    await text.fill(TEXT)
    await ring(served)
    banner = page.get_by_role("link", name="Відкрити картку")
    await expect(banner).to_be_in_viewport()
    await expect(page.locator("#call")).to_contain_text("+380 44 123 4567")
    assert page.url.endswith("/calls/3.3"), "he goes there when he is ready"
    await expect(text).to_have_value(TEXT)
    await banner.click()
    await page.wait_for_url(f"**{CARD}")
    await expect(page.get_by_label("Суть звернення")).to_have_value("")
    await page.goto("/calls/3.3")
    await expect(text).to_have_value(TEXT)
    await page.keyboard.press("Alt+O")
    await page.keyboard.press("1")
    await page.wait_for_url("**done=settled")
    await expect(text).to_have_value(TEXT)
    await page.get_by_label("Прізвище, ім’я, по батькові").fill("Олена Шевчук")
    await choose_subject(page, "опа", "Опалення")
    await page.get_by_role("button", name="Зареєструвати звернення").click()
    await expect(page.get_by_text("Вкажіть адресу або опишіть місце словами")).to_be_visible()
    await expect(page.get_by_label("Адреса")).to_be_focused()
    await expect(text).to_have_value(TEXT)
    await page.get_by_label("Місце словами").fill("зупинка «Почайна»")
    await page.get_by_role("button", name="Зареєструвати звернення").click()
    await page.wait_for_url("**saved=26000001**")
    await page.reload()
    await expect(text).to_have_value("")


def an_incident(served: Site, cause: str) -> int:
    """Under way at 10, Bandery: no heating."""
    now = datetime.now(UTC)
    with served.db.write() as conn:
        return incidents.declare(conn, subject_id=served.city.subjects["Опалення"], cause=cause, now=now, staff_id=None,
                                 building_id=served.city.buildings["Бандери 10"],
                                 expected_at=now + timedelta(hours=2))  # fmt: skip


async def test_what_is_already_known_appears_while_it_is_typed(served: Site, screens: Screens) -> None:
    first = served.appeal(text="У кімнаті 14 градусів")
    served.calling()
    page = await at_a_seat(served, screens, CARD)
    await expect(page.locator("#known")).to_contain_text("Щойно буде адреса")
    an_incident(served, "Прорвало трубу")
    await choose_subject(page, "хо", "Холодна вода")
    await expect(page.locator("#known")).to_contain_text("Прорвало трубу")
    await expect(page.get_by_label("Приєднати звернення до цієї аварії")).to_be_visible()
    await page.get_by_label("Суть звернення").press_sequentially("Ледь 14 градусів у кімнаті")
    await page.get_by_label("це повторне").check()
    await choose_subject(page, "опа", "Опалення")
    apart = page.get_by_label("Ні, це окремий випадок")
    await apart.check()
    await page.get_by_label("Суть звернення").press_sequentially(", холодно")
    await expect(apart).to_be_checked()
    await expect(page.get_by_label("це повторне")).to_be_checked()
    await page.get_by_role("button", name="Зареєструвати звернення").click()
    await page.wait_for_url("**saved=26000002**")
    with served.db.read() as conn:
        one, two = appeals.by_number(conn, first), appeals.by_number(conn, 26000002)
    assert one is not None
    assert two is not None
    assert (two.repeat_of, two.incident_id) == (one.id, None)


async def test_the_skip_link_is_the_first_that_the_keys_reach(served: Site, screens: Screens) -> None:
    served.hire(Role.OPERATOR)
    page = await screens.open("/appeals", login="operator")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="До змісту сторінки")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Номер")).to_be_focused()


async def test_a_callbacks_call_does_not_take_the_form_of_its_answers_away(served: Site, screens: Screens) -> None:
    served.hire(Role.FEEDBACK)
    number = served.appeal(executed=True)
    await served.line.say(snapshot(seats=[at_seat("free")]))
    page = await screens.open("/seat", login="feedback")
    await page.get_by_role("button", name="Почати роботу").click()
    await expect(page.get_by_role("button", name="Завершити роботу")).to_be_visible()
    with served.db.write() as conn:
        due = confirmations.due(conn, datetime.now(UTC), None, 1, served.settings.callback_rules)
        attempt = confirmations.claim(conn, due[0].callback_id, now=datetime.now(UTC), seat="101",
                                      rules=served.settings.callback_rules,
                                      staff_id=served.staff["feedback"])  # fmt: skip
    assert attempt is not None
    form = f"/confirmations/attempts/{attempt.id}"
    await listening(served)
    await served.line.say(snapshot(seats=[at_seat("ringing", linkedid=attempt.id)]))
    await page.wait_for_url(f"**{form}")
    await served.line.say(snapshot(seats=[at_seat("talking", linkedid=attempt.id)]))
    await page.get_by_label("не вирішено").check()
    await page.get_by_label("Що лишилося зробити").fill("Досі холодно")
    await page.get_by_role("button", name="Записати").click()
    await page.wait_for_url("**done=result")
    with served.db.read() as conn:
        appeal = appeals.by_number(conn, number)
    assert appeal is not None
    assert appeal.state == "returned"


async def test_a_server_that_restarts_is_found_again(served: Site, screens: Screens) -> None:
    """The stream breaks; the page says so only if it lasts, and comes back by itself."""
    served.hire(Role.SUPERVISOR)
    page = await screens.open("/live", login="supervisor")
    await listening(served)
    served.app.state.parts.hub.close()
    await listening(served)
    await served.line.say(snapshot(waiting=[waiting()]))
    await expect(page.get_by_role("row", name="+380 44 ••• 45 67")).to_be_visible()
    await expect(page.locator("#lost")).to_be_hidden()


@pytest.mark.parametrize("width", [WIDE, TELEPHONE])
async def test_every_page_fits(served: Site, screens: Screens, width: int) -> None:
    """No page is wider than its screen, with long words in it, and none complains."""
    served.hire(Role.SUPERVISOR)
    long = "Довженко-Верхньодніпровська Святослава Володимирівна"
    served.calling(staff="supervisor")
    number = served.appeal(name=long, text="Надзвичайно" * 20, executed=True)
    served.appeal(text="Слово " * 200)
    with served.db.write() as conn:
        confirmations.answer(conn, number=number, result=Result.NOT_SOLVED, now=datetime.now(UTC), key="2",
                             linkedid=LINKEDID, note="н" * 300)  # fmt: skip
    served.appeal(name=long, subject="Холодна вода", executed=True)
    broken = an_incident(served, long * 3)
    served.hang_up()
    with served.db.write() as conn:
        for phone in (CALLER, "+380671112233"):
            promises.make(conn, e164=phone, reason=Reason.CLOSED, priority=Priority.PRIVILEGED, language="en",
                          now=datetime.now(UTC), told_at=datetime.now(UTC), rules=Rules())  # fmt: skip
        campaign = campaigns.save(conn, None, None, Terms(long, Mode.PREVIEW), staff_id=None, now=datetime.now(UTC))
        campaigns.step(conn, campaign, Step.START, version=1, staff_id=None, now=datetime.now(UTC))
        campaigns.take(conn, datetime.now(UTC))
    mine = served.staff["supervisor"]
    await served.line.say(snapshot(
        waiting=[waiting(), waiting("", linkedid="6.6")], trunks=[{"name": "mobile", "state": "down", "calls": 0}],
        seats=[at_seat("paused", staff_id=mine, reason="paperwork"), at_seat("offline", "102"), at_seat("hold", "103")],
    ))  # fmt: skip
    page = await screens.open(width=width, login="supervisor")
    for path in ("/live", "/seat", "/calls", "/calls/unsettled", CARD, "/appeals", f"/appeals/{number}",
                 "/confirmations", "/campaigns", f"/campaigns/{campaign}", "/campaigns/new",
                 f"/campaigns/{campaign}/appeals?figure=left", "/reports/ratings", "/promises", "/incidents",
                 f"/incidents/{broken}", "/account", "/sign-in"):  # fmt: skip
        await page.goto(path)
        await expect(page.get_by_role("main")).to_be_visible()
        await fits(page)
    await page.goto(CARD)
    await page.get_by_role("button", name="English").click()
    await expect(page.get_by_role("button", name="Register the appeal")).to_be_visible()
    await fits(page)


async def test_the_pages_work_without_a_script(served: Site, browser: Browser) -> None:
    served.hire(Role.OPERATOR)
    served.calling()
    context = await browser.new_context(java_script_enabled=False, base_url=served.base)
    page = await context.new_page()
    await page.goto(CARD)
    await page.get_by_label("Логін").fill("operator")
    await page.get_by_label("Пароль").fill(PASSWORD)
    await page.get_by_role("button", name="Увійти").click()
    await page.get_by_label("Прізвище, ім’я, по батькові").fill("Олена Шевчук")
    await page.get_by_label("Адреса").fill("бандери")
    await page.get_by_label("Суть звернення").fill(TEXT)
    await page.get_by_label("Тема").select_option(label="Опалення")
    await page.get_by_role("button", name="Знайти").click()
    await page.get_by_label("проспект Степана Бандери, 10-А").check()
    await page.get_by_role("button", name="Зареєструвати звернення").click()
    await expect(page.locator("[data-appeal]")).to_have_text("26000001")
    await context.close()
