"""The card of a call: whom it may be from, what it still lacks, an appeal that goes on; and, in a real browser, an
appeal written by keys alone, and what was typed being there after the browser has died."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect
from sqlalchemy import select, update

from centre.provision import ensure
from crm import appeals, calls, citizens, knowledge, schema
from crm.calls import Outcome
from crm.knowledge import ContactKind
from crm.life import Action
from crm.notices import Kind, Way
from crm.people import Role
from tests.web.conftest import CALLER, LINKEDID, PASSWORD, Site, at_seat, snapshot
from tests.web.test_browser import CARD, QUIET, Screens, at_a_seat, browser, choose_subject, ring, screens, suggestions

__all__ = ["browser", "screens"]  # fixtures of the real browser

TYPED = {"name": "Олена Шевчук", "phone": "044 123 45 67", "address": "Бандери 10", "text": "Батареї ледь теплі."}


def receipts(site: Site) -> list[tuple[str, str]]:
    with site.db.read() as conn:
        n = schema.notice.c
        rows = conn.execute(select(n.way, n.state).where(n.kind == Kind.RECEIPT.value).order_by(n.id))
        return [(row.way, row.state) for row in rows]


# ── without a browser ──
async def test_who_it_is_said_with_the_ground_and_taken_into_the_form_only_when_sure(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.appeal()
    site.calling()
    page = await desk.open(CARD)
    assert "єдиний запис із цим номером" in page.text
    assert page.form(f"{CARD}/appeals", {}).fields["name"] == "Олена Шевчук"
    with site.db.write() as conn:
        petro = citizens.add(conn, now=datetime.now(UTC), name="Петро Шевчук", phones=[CALLER], email="p@example.com")
    page = await desk.open(CARD)
    assert page.text.count("номер спільний") == 2
    assert page.form(f"{CARD}/appeals", {}).fields["name"] == ""
    page = await desk.open(f"{CARD}?who={petro}")
    fields = page.form(f"{CARD}/appeals", {}).fields
    assert (fields["name"], fields["email"]) == ("Петро Шевчук", "p@example.com")
    assert (await desk.open(f"{CARD}?who=999")).form(f"{CARD}/appeals", {}).fields["name"] == ""


async def test_the_receipt_goes_by_the_way_he_chose_which_is_remembered(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    subject = {"subject": str(site.city.subjects["Опалення"])}
    page = await desk.submit(await desk.open(CARD), f"{CARD}/appeals", **TYPED | subject | {"receipt": "email"})
    assert (page.status, "Запишіть електронну адресу" in page.text) == (422, True)
    page = await desk.submit(page, f"{CARD}/appeals", email="olena at home")
    assert (page.status, "не схоже на електронну адресу" in page.text) == (422, True)
    page = await desk.submit(page, f"{CARD}/appeals", receipt="sms", email="", phone="")
    assert (page.status, "Для SMS потрібен номер" in page.text) == (422, True)
    page = await desk.submit(page, f"{CARD}/appeals", receipt="email", email="olena@example.com", phone=TYPED["phone"])
    assert "saved=26000001" in page.url
    fields = page.form(f"{CARD}/appeals", {}).fields
    assert (fields["receipt"], fields["email"]) == ("email", "olena@example.com")
    await desk.submit(page, f"{CARD}/appeals", **subject | {"text": "І води немає", "receipt": "sms"})
    assert receipts(site) == [(Way.EMAIL, "due"), (Way.SMS, "due")]
    feedback = await site.person(Role.FEEDBACK)
    page = await feedback.open("/notices")
    assert "номер і код звернення: 26000002" in page.text
    assert "SMS +380 44 123 4567: не налаштовано" in page.text


async def test_a_call_about_an_appeal_that_there_is_stands_in_both_histories_once(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    number = site.appeal()
    site.calling()
    page = await desk.open(CARD)
    assert (await desk.submit(page, f"{CARD}/spoken", number=str(number), note="")).status == 422
    answer = await desk.submit(page, f"{CARD}/spoken", number=str(number), note="Стало зовсім холодно")
    assert "Сказане записано" in answer.text
    assert 'data-appeal="26000001"' in answer.html
    await desk.submit(page, f"{CARD}/spoken", number=str(number), note="Стало зовсім холодно")
    with site.db.read() as conn:
        found = appeals.by_number(conn, number)
        assert found is not None
        said = [line for line in appeals.history(conn, found.id) if line.action is Action.HEAR]
        call = calls.get(conn, LINKEDID)
    assert [(line.note, line.evidence["linkedid"]) for line in said] == [("Стало зовсім холодно", LINKEDID)]
    assert call is not None
    assert call.outcome == Outcome.ABOUT_APPEAL
    assert LINKEDID in (await desk.open(f"/appeals/{number}")).html
    other = site.appeal(phone="+380671112233", name="Сусід")
    lost = await desk.submit(page, f"{CARD}/spoken", number="26999999", note="Про сусідове")
    fields = lost.form(f"{CARD}/spoken", {"number": "26999999"}).fields
    assert (lost.status, fields["note"].strip()) == (422, "Про сусідове")
    told = await desk.submit(lost, f"{CARD}/spoken", number=str(other), note="Про сусідове")
    assert f'data-appeal="{other}"' in told.html


async def test_what_a_call_lacks_is_told_until_it_is_there(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    number = site.appeal(executed=True)
    site.calling()
    site.hang_up()
    page = await desk.open(CARD)
    assert "Немає підсумку дзвінка" in page.text
    assert f"Не спитано про № {number}" in page.text
    page = await desk.submit(page, f"{CARD}/answer", number=str(number), result="solved")
    page = await desk.submit(page, f"{CARD}/appeals", **TYPED | {
        "name": "Марія", "phone": "", "subject": str(site.city.subjects["Опалення"])})  # fmt: skip
    assert "Немає номера, щоб перепитати про № 26000002" in page.text
    with site.db.write() as conn:
        maria = calls.get(conn, LINKEDID)
        assert maria is not None
        assert maria.citizen_id is not None
        citizens.add_phone(conn, maria.citizen_id, "+380671112233", datetime.now(UTC))
    assert "Усе записано." in (await desk.http.get(f"{CARD}/lacking")).text


async def test_dispatchers_of_the_subject_are_at_hand_and_own_calls_are_called_back(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    with site.db.write() as conn:
        for name, kind, number in (("Опалення: диспетчер", ContactKind.DISPATCHER, "044 000-10-01, дод. 5"),
                                   ("Опалення: приймальня", ContactKind.OFFICE, "044 000-10-02")):  # fmt: skip
            knowledge.save_contact(conn, None, None, name_uk=name, name_en="", kind=kind, phone=number, hours="",
                                   district_id=None, keywords="", active=True, staff_id=None,
                                   now=datetime.now(UTC))  # fmt: skip
    site.calling(staff="operator")
    page = await desk.open(CARD)
    for number in ("101", "102", "103", "104", "112"):
        assert f'data-dial="{number}"' in page.html
    assert f'data-dial="{CALLER}"' not in page.html, "they are still speaking"
    found = await desk.http.get("/knowledge/answers", params={
        "linkedid": LINKEDID, "subject": str(site.city.subjects["Опалення"])})  # fmt: skip
    assert 'data-dial="0440001001"' in found.text
    assert "приймальня" not in found.text
    site.hang_up()
    assert f'data-dial="{CALLER}"' in (await desk.open(CARD)).html
    other = await site.person(Role.OPERATOR, "another")
    assert f'data-dial="{CALLER}"' not in (await other.open(CARD)).html


# ── in a real browser ──
@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What a browser shows does not depend on the database."""
    return sqlite_url


def with_phrases(site: Site) -> None:
    with site.db.write() as conn:
        conn.execute(update(schema.subject).where(schema.subject.c.name_uk == "Холодна вода")
                     .values(phrases="Води немає з __.\nНемає в усьому будинку."))  # fmt: skip


async def places(page: Page) -> list[float]:
    """How high each field of the form stands."""
    fields = "#appeal input:not([type=hidden]), #text, #save"
    found: list[float] = await page.evaluate(
        f"[...document.querySelectorAll('{fields}')].map(field => field.getBoundingClientRect().top)")
    return found


async def test_an_appeal_is_written_by_keys_alone_from_ring_to_number(served: Site, screens: Screens) -> None:
    with_phrases(served)
    page = await at_a_seat(served, screens)
    await ring(served)
    await page.wait_for_url(f"**{CARD}")
    await expect(page.get_by_label("Прізвище, ім’я, по батькові")).to_be_focused()
    await expect(page.get_by_role("button", name="Зареєструвати звернення")).to_be_in_viewport()
    before, keys = await places(page), page.keyboard
    await keys.type("Олена Шевчук")
    await keys.press("Alt+A")
    await keys.type("бандери 10")
    await expect(suggestions(page)).to_have_count(2)
    await keys.press("ArrowDown")
    await keys.press("ArrowDown")
    await expect(page.locator("[role=option][aria-selected=true]")).to_contain_text("10-А")
    await keys.press("ArrowUp")
    await keys.press("Enter")
    await expect(page.get_by_label("Адреса")).to_have_value("проспект Степана Бандери, 10")
    await keys.press("Tab")
    await expect(page.get_by_label("Квартира")).to_be_focused()
    await keys.type("5")
    await keys.press("Alt+KeyT")
    await keys.type("во")  # the second word
    await expect(page.locator("[role=option][aria-selected=true]")).to_contain_text("Холодна вода")
    await keys.press("Enter")
    await expect(page.get_by_role("combobox", name="Тема")).to_have_value("Холодна вода")
    await keys.press("Alt+S")
    await expect(page.get_by_role("group", name="Фрази теми").get_by_role("button")).to_have_count(2)
    await keys.press("Alt+1")
    await keys.type("учора")  # in place of the gap
    await keys.press("End")
    await keys.press("Alt+2")
    text = page.get_by_label("Суть звернення")
    await expect(text).to_have_value("Води немає з учора. Немає в усьому будинку.")
    await expect(text).to_be_focused()
    await expect(page.locator("#known")).to_contain_text("Схожих звернень немає")
    await served.line.say(snapshot(seats=[at_seat("ringing", linkedid="4.4")]))
    await expect(page.locator("#call")).to_contain_text("Дзвонить")
    assert await places(page) == before, "nothing moves under his hands"
    await served.line.say(snapshot(seats=[at_seat("talking")]))
    await expect(page.locator("#call")).to_be_empty()
    await keys.press("F1")
    await expect(page.get_by_role("dialog", name="Клавіші картки")).to_be_visible()
    await keys.press("Escape")
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "where the keys are is seen"
    await keys.press("F3")
    await expect(page.get_by_label("Що відповісти")).to_be_focused()
    await keys.press("Control+Enter")
    await page.wait_for_url("**saved=26000001**")
    await expect(page.locator("[data-appeal]")).to_be_in_viewport()
    with served.db.read() as conn:
        appeal = appeals.by_number(conn, 26000001)
    assert appeal is not None
    assert (appeal.building_id, appeal.subject_uk) == (served.city.buildings["Бандери 10"], "Холодна вода")
    assert (appeal.flat, appeal.text) == ("5", "Води немає з учора. Немає в усьому будинку.")


async def test_after_the_call_what_is_missing_is_a_list_of_ways_to_it(served: Site, screens: Screens) -> None:
    served.hire(Role.OPERATOR)
    served.calling(staff="operator")
    page = await at_a_seat(served, screens, CARD)
    await served.line.say(snapshot(seats=[at_seat("talking")]))
    text = page.get_by_label("Суть звернення")
    await text.fill("Води")
    served.hang_up()
    await served.line.say(snapshot(seats=[at_seat("wrapup")]))
    lacking = page.get_by_role("region", name="Після розмови")
    await expect(lacking).to_contain_text("Не збережено: Прізвище, ім’я, по батькові, Адреса, Тема")
    await expect(text).to_be_focused()
    await lacking.get_by_role("link", name="Тема").click()
    await expect(page.get_by_role("combobox", name="Тема")).to_be_focused()
    await choose_subject(page, "оп", "Опалення")
    await expect(lacking.get_by_role("link", name="Тема")).to_have_count(0)
    await lacking.get_by_role("link", name="Немає підсумку").click()
    await expect(page.get_by_label("Без звернення")).to_be_focused()
    await page.keyboard.press("Alt+Z")
    await page.wait_for_url("**/seat")


async def test_what_was_typed_outlives_the_browser_and_is_shown_to_nobody_else(served: Site, tmp_path: Path) -> None:
    served.hire(Role.OPERATOR)
    served.hire(Role.OPERATOR, "another")
    served.calling()

    async def begin(login: str, page: Page) -> None:
        await page.goto(f"{served.base}/sign-in")
        await page.get_by_label("Логін").fill(login)
        await page.get_by_label("Пароль").fill(PASSWORD)
        await page.get_by_role("button", name="Увійти").click()
        await page.wait_for_url(lambda url: "sign-in" not in url)
        await page.goto(f"{served.base}{CARD}")

    async with async_playwright() as playwright:
        how = {"executable_path": ensure("chromium").executable, "args": list(QUIET)}
        context = await playwright.chromium.launch_persistent_context(tmp_path / "profile", **how)  # type: ignore[arg-type]
        page = context.pages[0]
        await begin("operator", page)
        address = page.get_by_label("Адреса")
        await address.press_sequentially("бандери 10")
        await suggestions(page).filter(has_text="10-А").click()
        await choose_subject(page, "оп", "Опалення")
        await page.get_by_label("Суть звернення").fill("Батареї ледь теплі.")
        await context.close()

        context = await playwright.chromium.launch_persistent_context(tmp_path / "profile", **how)  # type: ignore[arg-type]
        page = context.pages[0]
        await context.clear_cookies()  # he never signed out
        await begin("another", page)
        await expect(page.get_by_label("Суть звернення")).to_have_value("")
        await page.get_by_role("button", name="Вийти").click()
        await begin("operator", page)
        await expect(page.get_by_label("Суть звернення")).to_have_value("Батареї ледь теплі.")
        await expect(page.get_by_role("combobox", name="Тема")).to_have_value("Опалення")
        await page.get_by_label("Прізвище, ім’я, по батькові").fill("Олена")
        await page.keyboard.press("Control+Enter")
        await page.wait_for_url("**saved=26000001**")
        with served.db.read() as conn:
            made = appeals.by_number(conn, 26000001)
        assert made is not None
        assert made.building_id == served.city.buildings["Бандери 10-А"], "the very one that was chosen"
        await page.get_by_label("Суть звернення").fill("І ще")
        await page.get_by_role("button", name="Вийти").click()
        await begin("operator", page)
        await expect(page.get_by_label("Суть звернення")).to_have_value("")
        await context.close()
