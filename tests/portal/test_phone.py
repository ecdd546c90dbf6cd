"""The residents' pages in a real browser: on a telephone with its script and without, and for everybody."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

from crm import attachments, incidents
from crm.life import Action, State
from tests.pictures import picture
from tests.portal.conftest import FILED, Portal
from tests.web.conftest import serving
from tests.web.looking import axe, draw, wrong_with
from tests.web.test_browser import browser as browser
from web import visit
from web.portal.app import PAGES

# What is no page: files, and what the pages' scripts ask for.
PARTS = {"/addresses", "/file/known", "/a/{token}/files/{id}", "/appeals.json", "/appeals.csv"}
WHOLE = [page.path for page in PAGES if page.method == "GET" and page.path not in PARTS]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2,
         "locale": "uk-UA", "timezone_id": "Europe/Kyiv"}  # fmt: skip


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What a browser shows does not depend on the database."""
    return sqlite_url


@pytest.fixture
async def served(portal: Portal) -> AsyncIterator[Portal]:
    """The same over real HTTP."""
    async with serving(portal.app) as portal.base:
        yield portal


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "яма.jpg"
    path.write_bytes(picture(colour="teal", size=(800, 600), place=True))
    return path


async def opened(portal: Portal, browser: Browser, complaints: list[str], **more: object) -> BrowserContext:
    """A telephone, and what it complains of."""
    context = await browser.new_context(**{**PHONE, **more}, base_url=portal.base)  # type: ignore[arg-type]
    context.set_default_timeout(30_000)
    context.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("request", lambda asked: asked.url.startswith(portal.base) or complaints.append(asked.url))
    return context


async def fits(page: Page) -> None:
    over = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over <= 0, f"{page.url} is {over} px too wide"


async def answer(page: Page) -> None:
    """Who he is, how he is told, and that he agrees."""
    await page.get_by_label("Опишіть своїми словами").fill(FILED["text"])
    await page.get_by_label("Прізвище та ім’я").fill(FILED["name"])
    await page.get_by_label("Телефон", exact=True).fill(FILED["phone"])
    await page.get_by_label("SMS на мій телефон").check()
    await page.get_by_label("Погоджуюся").check()


async def followed(page: Page) -> Locator:
    """From the receipt, by number and code, to the appeal's own page: its steps."""
    number, code = await page.locator(".numbers .digits").all_inner_texts()
    await fits(page)
    await page.goto("/follow")
    await page.get_by_label("Номер звернення").fill(number)
    await page.get_by_label("Код").fill(code)
    await page.get_by_role("button", name="Показати").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(number)
    await fits(page)
    return page.locator(".stages li")


async def test_on_a_telephone_from_the_photo_to_solved(served: Portal, browser: Browser, photo: Path) -> None:
    heat, home = served.city.subjects["Опалення"], served.city.buildings["Бандери 10"]
    with served.db.write() as conn:
        incident = incidents.declare(conn, subject_id=heat, cause="Прорив на теплотрасі.", now=served.now,
                                     staff_id=None, building_id=home)  # fmt: skip
    complaints: list[str] = []
    context = await opened(served, browser, complaints)
    page = await context.new_page()
    await page.goto("/")
    await fits(page)
    await page.get_by_role("main").get_by_role("link", name="Подати звернення").tap()

    await page.get_by_label("Опишіть своїми словами").fill("Чуже")  # who had the telephone before
    await page.reload()
    await page.get_by_role("button", name="Стерти й почати спочатку").tap()
    await expect(page.get_by_label("Опишіть своїми словами")).to_have_value("")
    await expect(page.get_by_text("Ми повернули те, що ви писали")).to_be_hidden()

    subject = page.locator("input").and_(page.get_by_label("Про що звернення"))  # the script's, once it is there
    await subject.fill("опал")
    await page.get_by_role("listbox", name="Знайдені теми").get_by_role("option", name="Опалення").tap()
    await page.get_by_label("Опишіть своїми словами").fill("Перша спроба")
    await page.reload()  # the telephone rang, the page is gone: what was typed is not
    await expect(page.get_by_label("Опишіть своїми словами")).to_have_value("Перша спроба")
    await expect(page.get_by_text("Ми повернули те, що ви писали")).to_be_visible()
    await expect(subject).to_have_value("Опалення")

    await page.get_by_label("Вулиця й будинок").fill("бандери 10")
    await page.get_by_role("listbox", name="Знайдені адреси").get_by_role("option").first.tap()
    await expect(page.locator("#known")).to_contain_text("Прорив на теплотрасі.")
    await page.get_by_label("Приєднати моє звернення до цієї аварії").check()
    await page.get_by_label("Фото та документи").set_input_files(photo)
    await expect(page.locator(".previews canvas")).to_be_visible()
    await answer(page)
    await fits(page)
    await page.get_by_role("button", name="Надіслати звернення").tap()
    await expect(page.get_by_role("heading", name="Звернення прийнято")).to_be_visible()
    await expect(page.get_by_role("button", name="Надрукувати")).to_be_visible()

    [its] = served.appeals()
    assert (its.text, its.incident_id, its.building_id) == (FILED["text"], incident, home)
    served.act(its, Action.EXECUTE, "Відрегульовано подачу.")
    steps = await followed(page)
    await expect(steps.first.get_by_role("img")).to_be_visible()
    await expect(steps.nth(-2)).to_contain_text("Відрегульовано подачу.")
    await page.get_by_role("button", name="Так, вирішено").tap()
    await expect(page.get_by_role("status")).to_contain_text("закрито за вашим словом")
    assert served.appeals()[0].state is State.CLOSED
    await page.goto("/file")
    await expect(page.get_by_label("Опишіть своїми словами")).to_have_value("")  # what was filed is no draft
    assert complaints == []
    await context.close()


async def test_too_many_photos_are_told_before_they_travel(served: Portal, browser: Browser, tmp_path: Path) -> None:
    many = []
    for n in range(attachments.MOST + 1):
        many.append(tmp_path / f"{n}.jpg")
        many[-1].write_bytes(picture())
    complaints: list[str] = []
    context = await opened(served, browser, complaints)
    page = await context.new_page()
    await page.goto("/file")
    await page.get_by_label("Фото та документи").set_input_files(many)
    await expect(page.get_by_text(f"Щонайбільше файлів: {attachments.MOST}")).to_be_visible()
    await page.get_by_label("Фото та документи").set_input_files(many[1:])
    await expect(page.locator(".previews figure")).to_have_count(attachments.MOST)
    await expect(page.get_by_text("Щонайбільше файлів")).to_be_hidden()
    assert complaints == []
    await context.close()


async def test_without_a_script_from_the_photo_to_not_solved(served: Portal, browser: Browser, photo: Path) -> None:
    complaints: list[str] = []
    context = await opened(served, browser, complaints, java_script_enabled=False)
    page = await context.new_page()
    await page.goto("/file")
    await page.get_by_label("Про що звернення").select_option("Опалення")
    await page.get_by_label("Вулиця й будинок").fill("Бандери")
    await page.get_by_label("Фото та документи").set_input_files(photo)
    await page.get_by_role("button", name="Знайти адресу").tap()
    await page.get_by_role("group", name="Яка з цих адрес?").get_by_label("10-А").check()
    await expect(page.get_by_text("✓ яма.jpg")).to_be_visible()
    await answer(page)
    await page.get_by_label("Прізвище та ім’я").press("Enter")  # as the telephone's own "go" does
    await expect(page.get_by_role("heading", name="Звернення прийнято")).to_be_visible()
    [its] = served.appeals()
    assert its.building_id == served.city.buildings["Бандери 10-А"]
    served.act(its, Action.EXECUTE, "Зроблено.")
    steps = await followed(page)
    await expect(steps.first.get_by_role("img")).to_be_visible()
    await page.get_by_text("Ні, не вирішено").tap()
    await page.get_by_label("Що лишилося зробити?").fill("Досі холодно.")
    await page.get_by_role("button", name="Повернути виконавцю").tap()
    await expect(page.get_by_role("status")).to_contain_text("не вирішено")
    await expect(steps.last).to_contain_text("Досі холодно.")
    assert served.appeals()[0].state is State.RETURNED
    await context.close()


async def test_every_page_of_the_portal_is_for_everybody(served: Portal, browser: Browser) -> None:
    """In both languages; and the form as it comes back, with all that it may show."""
    its = served.file()
    served.act(served.file(text="Ліфт."), Action.EXECUTE, "Зроблено.")
    asked = served.appeals()[-1]
    with served.db.write() as conn:
        incidents.declare(conn, subject_id=served.city.subjects["Опалення"], cause="Прорив.", now=served.now,
                          staff_id=None, building_id=served.city.buildings["Хрещатик 22"],
                          expected_at=served.now + timedelta(hours=5))  # fmt: skip
    resident = await served.resident()
    held = await resident.fill(await resident.open("/file"), "/file", **{**FILED, "middle_name_2": "x"})
    known = {"/appeals/{number}": f"/appeals/{its.number}", "/a/{token}": served.address(asked),
             "/a/{token}/receipt": f"{served.address(its)}/receipt", "/m/{token}": held.url}  # fmt: skip
    addresses = [known.get(path, path) for path in WHOLE] + ["/nothing-here"]
    assert not [address for address in addresses if "{" in address], "a new page: say how it is opened"
    wrong: list[str] = []
    paths = [*WHOLE, "/nothing-here"]
    for language in ("uk", "en"):
        context = await browser.new_context(base_url=served.base, reduced_motion="reduce")
        await context.add_cookies([{"name": visit.LANGUAGE, "value": language, "url": served.base}])
        await context.add_init_script(axe())
        page = await context.new_page()
        for path, address in zip(paths, addresses, strict=True):
            await page.set_viewport_size(PHONE["viewport"])
            await page.goto(address)
            if language == "uk":
                await draw(page, path, "portal-")
            assert await page.evaluate("document.documentElement.lang") == language
            for part in await page.locator("details").all():
                await part.evaluate("part => part.open = true")
            wrong.extend(f"{language} {address} {each}" for each in await wrong_with(page))
        await page.goto("/file")
        await page.locator("#address").fill("Хрещатик 22")
        await page.evaluate("for (const field of document.querySelectorAll('[required]')) field.required = false")
        await page.locator("#file > button.main").click()
        await expect(page.locator("main [aria-invalid]")).not_to_have_count(0)
        assert re.search(r"Прорив\.", await page.locator("#known").inner_text())
        wrong.extend(f"{language} refused {each}" for each in await wrong_with(page))
        await context.close()
    assert wrong == [], "\n".join(wrong)
