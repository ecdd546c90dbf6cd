"""The city edits its rules: what is saved is so from the next appeal on, what is wrong is said and kept in the form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from crm import appeals, calendar, deadlines, departments, law_settings, networks, routing_editions
from crm.clock import KYIV
from crm.people import Role
from crm.schema import department, edit_log
from tests.web.conftest import Site

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def subject_ids(site: Site) -> dict[str, int]:
    with site.db.read() as conn:
        return {each.name_uk: each.id for each in departments.subjects(conn)}


async def test_a_subject_is_added_moved_and_made_inactive_and_the_calls_form_follows(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    page = await desk.open("/rules/subjects/new")
    page = await desk.submit(page, "/rules/subjects", name_uk="Гаряча вода", name_en="Hot water", parent="Житло",
                             department="Київтеплоенерго", days="15", kind="Скарга", phrases="Тече з __.")  # fmt: skip
    assert "Зміну збережено." in page.text
    made = subject_ids(site)["Гаряча вода"]
    await site.person(Role.OPERATOR)
    operator = await site.stranger()
    await operator.sign_in("operator")
    card = f"/calls/{site.calling()}"
    page = await operator.open(card)
    assert 'data-phrases="Тече з __."' in page.html
    offered = page.form(f"{card}/appeals", {}).options["subject"]
    assert set(offered) >= {"Гаряча вода", "Опалення"}
    assert "Житло" not in offered  # a group is the name above them

    page = await desk.open(f"/rules/subjects/{made}")
    form = page.form(f"/rules/subjects/{made}", {})
    assert (form.fields["days"], form.fields["active"], form.fields["phrases"].strip()) == ("15", "1", "Тече з __.")
    sent = {**form.fields, "active": ""}
    answer = await desk.post(f"/rules/subjects/{made}", **sent)
    assert answer.status_code == 303
    offered = (await operator.open(card)).form(f"{card}/appeals", {}).options["subject"]
    assert "Гаряча вода" not in offered
    assert "Гаряча вода" in (await desk.open("/appeals")).form("/appeals", {}).options["subject"]  # its appeals live on
    assert "нечинна" in (await desk.open("/rules/subjects")).text


async def test_what_is_wrong_is_said_and_what_was_typed_is_kept(site: Site) -> None:
    desk = await site.person(Role.ADMINISTRATOR)
    ids = subject_ids(site)
    page = await desk.open(f"/rules/subjects/{ids['Житло']}")
    page = await desk.submit(page, f"/rules/subjects/{ids['Житло']}", name_uk="Оселя", parent="Опалення")
    assert (page.status, "Тема не може належати до самої себе" in page.text) == (422, True)
    assert page.form(f"/rules/subjects/{ids['Житло']}", {}).fields["name_uk"] == "Оселя"
    page = await desk.submit(await desk.open("/rules/departments/new"), "/rules/departments", name="Нова служба",
                             email="не адреса")  # fmt: skip
    assert (page.status, "не схоже на адресу" in page.text) == (422, True)
    assert page.form("/rules/departments", {}).fields["email"] == "не адреса"
    for path in ("/rules/subjects/999", "/rules/departments/999", "/rules/routing/999"):
        assert (await desk.open(path)).status == 404
    assert subject_ids(site) == ids


async def test_a_department_gets_its_address_its_superior_and_the_unrouted(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    site.appeal()
    heat = site.city.departments["Київтеплоенерго"]
    page = await desk.open(f"/rules/departments/{heat}")
    assert "У виконавця 1 відкрите звернення." in page.text
    page = await desk.submit(page, f"/rules/departments/{heat}", email="heat@example.org", desk="1",
                             superior="Київводоканал")  # fmt: skip
    assert "heat@example.org" in page.text
    page = await desk.submit(await desk.open(f"/rules/departments/{heat}"), f"/rules/departments/{heat}",
                             kind="Поза повноваженнями міста")  # fmt: skip
    assert "Нерозподілене може приймати лише міська служба." in page.text
    with site.db.read() as conn:
        row = conn.execute(select(department).where(department.c.id == heat)).one()
        logged = conn.execute(select(edit_log.c.staff_id, edit_log.c.after)).all()
    assert (row.email, row.is_desk, row.kind) == ("heat@example.org", True, "city")
    assert row.superior_id == site.city.departments["Київводоканал"]
    assert [(line.staff_id, line.after["email"]) for line in logged] == [(site.staff["control"], "heat@example.org")]


async def test_an_edition_is_drafted_tried_compared_and_put_into_force(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    number = site.appeal()
    page = await desk.submit(await desk.open("/rules/routing"), "/rules/routing", note="Опалення — водоканалу")
    draft = page.url.rpartition("/")[2]
    here = f"/rules/routing/{draft}"
    assert "чернетка" in page.text
    page = await desk.submit(page, here, do="add", subject="Опалення", address="Хрещатик 22",
                             department="Київводоканал")  # fmt: skip
    assert "До іншого виконавця пішли б 0." in page.text
    page = await desk.submit(page, here, do="add", subject="Опалення", district="Шевченківський район",
                             department="Київводоканал")  # fmt: skip
    assert f"{number}" in page.text
    assert "До іншого виконавця пішло б 1." in page.text

    heating = subject_ids(site)["Опалення"]
    tried = (await desk.open(f"{here}?subject={heating}&address=Хрещатик 22")).text
    assert "За правилом: Опалення · вулиця Хрещатик, 22 → Київводоканал" in tried
    assert "Опалення · Шевченківський район → Київводоканал: є правило з вужчим місцем" in tried
    assert "15 днів" in tried
    tried = (await desk.open(f"/rules/routing?subject={heating}&address=Хрещатик 22")).text
    assert "Правила для цього немає: відповідає виконавець теми." in tried

    page = await desk.submit(await desk.open(here), here, do="publish")
    assert "Нова редакція чинна." in page.text
    again = site.appeal(text="Знову холодно")
    with site.db.read() as conn:
        made = appeals.by_number(conn, again)
        assert made is not None
        assert made.department == "Київводоканал"
        assert [each.state for each in routing_editions.editions(conn)] == ["live"]
    answer = await desk.post(here, do="take", rule="1")
    assert answer.status_code == 409
    assert "Змінювати можна лише чернетку." in answer.text


async def test_an_address_that_may_be_several_is_asked_about(site: Site) -> None:
    desk = await site.person(Role.ADMINISTRATOR)
    heating = subject_ids(site)["Опалення"]
    page = await desk.open(f"/rules/routing?subject={heating}&address=Бандери")
    options = page.form("/rules/routing", {"subject": str(heating)}).options
    assert len(options["building"]) == 2
    assert page.status == 422
    page = await desk.open(f"/rules/routing?subject={heating}&address=Ніде 5&district=999&against=999")
    assert page.status == 422


async def test_days_terms_and_warnings_are_the_citys(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    year = datetime.now(KYIV).year
    page = await desk.submit(await desk.open("/rules/calendar"), "/rules/calendar", day=f"{year}-08-24",
                             working="вихідний", name="День Незалежності", do="say")  # fmt: skip
    assert "День Незалежності" in page.text
    page = await desk.submit(await desk.open("/rules/law"), "/rules/law", name="forward_days", value="3")
    assert "Зміну збережено." in page.text
    page = await desk.submit(await desk.open("/rules/law"), "/rules/law", name="forward_days", value="6")
    assert "Закон дозволяє тут значення від 1 до 5." in page.text
    page = await desk.submit(await desk.open("/rules/escalation"), "/rules/escalation", days="0", do="add",
                             event="Строк минув: робочих днів після строку", tell="Контрольній службі")  # fmt: skip
    assert "Робочих днів після строку: 0" in page.text
    with site.db.read() as conn:
        assert [(each.name, each.working) for each in calendar.days(conn, year)] == [("День Незалежності", False)]
        assert law_settings.load(conn).forward_days == 3
        rule, = deadlines.rules(conn)
    assert (rule.event, rule.days, rule.tell) == (deadlines.Event.OVERDUE, 0, deadlines.Tell.CONTROL)
    page = await desk.submit(page, "/rules/escalation", rule=str(rule.id), do="remove")
    assert "Робочих днів після строку: 0" not in page.text
    page = await desk.submit(await desk.open(f"/rules/calendar?year={year}"), "/rules/calendar", day=f"{year}-08-24",
                             do="unsay")  # fmt: skip
    assert "На цей рік винятків немає." in page.text
    overview = (await desk.open("/rules")).text.replace("\u202f", " ")
    for said in (f"День календаря: 24 серпня {year} р. вилучено день: вихідний назва: День Незалежності",
                 "Скільки днів є, щоб переслати звернення за належністю (ст. 7) змінено значення: 5 → 3",
                 "Попередження додано подія: Строк минув робочих днів: 0 кому: Контрольній службі", "Людина control"):
        assert said in overview


async def test_the_overview_tells_each_change_from_what_to_what(site: Site) -> None:
    desk, city = await site.person(Role.CONTROL), site.city
    heat, water = city.departments.values()
    who: dict[str, Any] = {"now": datetime.now(UTC), "staff_id": None}
    with site.db.write() as conn:
        its = next(each for each in departments.subjects(conn) if each.name_uk == "Опалення")
        departments.save_subject(conn, its.id, name_uk="Опалення", name_en="Heating", parent_id=its.parent_id,
                                 department_id=water, term_days=None, kind="complaint", active=False,
                                 **who)  # fmt: skip
        boiler = networks.add(conn, "heat", "Котельня № 1", **who)
        networks.put(conn, boiler, list(city.buildings.values()), **who)
        networks.put(conn, boiler, list(city.buildings.values())[:1], **who)
        edition = routing_editions.draft(conn, note="Своя котельня", **who)
        rule = routing_editions.add_rule(conn, edition, department_id=heat, network_id=boiler,
                                         building_id=city.buildings["Бандери 10-А"], **who)  # fmt: skip
        routing_editions.drop_rule(conn, edition, rule, **who)
    page = (await desk.open("/rules")).text
    for told in (
        "Тема: Опалення змінено виконавець: Київтеплоенерго → Київводоканал строк: 15 днів → один місяць "
        "вид: Заява (клопотання) → Скарга діє: так → ні",
        "Мережа: Котельня № 1 додано вид: мережа опалення назва: Котельня № 1",
        "Мережа: Котельня № 1 змінено будинків: 3 → 1 (додано 0, вилучено 2)",
        f"Розподіл: Редакція правил № {edition} додано стан: чернетка примітка: Своя котельня",
        "вилучено мережа: Котельня № 1 будинок: проспект Степана Бандери, 10-А виконавець: Київтеплоенерго",
    ):  # fmt: skip
        assert told in page, (told, page)


async def test_a_rule_for_one_of_several_buildings_asks_which(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    page = await desk.submit(await desk.open("/rules/routing"), "/rules/routing", note="Один будинок")
    here = f"/rules/routing/{page.url.rpartition('/')[2]}"
    said = {"do": "add", "subject": "Опалення", "department": "Київводоканал"}
    page = await desk.submit(page, here, **said, address="Бандери")
    assert page.status == 422
    page = await desk.submit(page, here, **said, building=str(site.city.buildings["Бандери 10-А"]))
    assert "проспект Степана Бандери, 10-А" in page.text
