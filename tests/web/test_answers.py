"""What to answer, found and counted in a real browser with the hands on the keys; what is typed is not touched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from playwright.async_api import expect

from crm import knowledge
from crm.people import Role
from tests.web.conftest import LINKEDID, Site
from tests.web.test_browser import CARD, Screens, browser, database_url, screens, suggestions

__all__ = ["browser", "database_url", "screens"]  # fixtures


async def test_an_answer_is_found_and_counted_by_keys_alone(served: Site, screens: Screens) -> None:
    now = datetime.now(UTC)
    with served.db.write() as conn:
        article = knowledge.save_article(
            conn, None, None, title_uk="Запах газу", title_en="", body_uk="Перекрити газ.", body_en="", keywords="",
            subject_id=None, active=True, source="", staff_id=None, now=now)  # fmt: skip
        knowledge.save_bulletin(
            conn, None, None, text_uk="Воду вимкнено", text_en="", starts_at=now, ends_at=now + timedelta(hours=1),
            building_id=served.city.buildings["Бандери 10-А"], network_id=None, district_id=None, staff_id=None,
            now=now)  # fmt: skip
    served.hire(Role.OPERATOR)
    served.calling()
    page = await screens.open(CARD, login="operator")
    keys, answers = page.keyboard, page.locator("#answers")
    await page.get_by_label("Прізвище, ім’я, по батькові").fill("Олена Шевчук")
    await page.locator("#address").fill("бандери 10-А")
    await expect(suggestions(page)).to_have_count(1)
    await keys.press("ArrowDown")
    await keys.press("Enter")
    await expect(answers).to_contain_text("Воду вимкнено")  # as soon as the address is known
    await keys.press("F3")
    await keys.type("запх газу")
    await expect(answers).to_contain_text("Перекрити газ.")
    await keys.press("Enter")
    await expect(answers.locator(f'[value="article-{article}"]')).to_be_focused()
    await keys.press("Enter")
    await expect(answers.locator(".told-mark")).to_have_count(1)
    await expect(page.locator("#ask")).to_be_focused()
    await expect(page.get_by_label("Прізвище, ім’я, по батькові")).to_have_value("Олена Шевчук")
    with served.db.read() as conn:
        assert knowledge.given_in(conn, LINKEDID) == {("article", article)}
