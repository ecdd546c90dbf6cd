"""The control desk's page: its lists, what is done to many at once, how the mail stands; and telling by telephone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update

from centre.demo.browser import Page
from crm import appeals
from crm.control import Watched
from crm.life import Action
from crm.people import Role
from crm.schema import citizen, notice
from tests.web.conftest import Site


def found(page: Page) -> list[int]:
    return [int(number) for number in re.findall(r'<td><a href="/appeals/(\d+)"', page.html)]


def counts(page: Page) -> dict[str, str]:
    """What each list's link says."""
    return {which: re.sub(r"<[^>]*>", "", said) for which, said in
            re.findall(r'<a href="/control\?list=(\w+)[^>]*><b[^>]*>(.*?)</b>', page.html)}  # fmt: skip


def old(site: Site, **given: object) -> int:
    return site.appeal(at=datetime.now(UTC) - timedelta(days=40), **given)  # type: ignore[arg-type]


def its(site: Site, number: int) -> appeals.Appeal:
    with site.db.read() as conn:
        appeal = appeals.by_number(conn, number)
    assert appeal is not None
    return appeal


async def test_each_list_shows_its_own_and_counts_it(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    late, fresh = old(site), site.appeal(subject="Холодна вода")
    page = await desk.open("/control")
    assert found(page) == [late], "what is late comes first"
    assert counts(page).keys() == set(Watched)
    assert (counts(page)["overdue"], counts(page)["unacknowledged"], counts(page)["control"]) == ("1", "2", "0")
    assert found(await desk.open("/control?list=unacknowledged")) == [late, fresh]
    water = site.city.departments["Київводоканал"]
    page = await desk.open(f"/control?list=unacknowledged&of={water}")
    assert (found(page), counts(page)["overdue"]) == ([fresh], "0")
    for bad in ("list=x", "of=абв", "after=0", "after=999999999", "list=overdue&after=абв"):
        assert (await desk.open(f"/control?{bad}")).status == 200, bad


async def test_a_long_list_is_counted_to_an_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("crm.control", "web.pages.control"):
        monkeypatch.setattr(f"{module}.MOST_COUNTED", 2)
    for _ in range(3):
        site.appeal()
    page = await (await site.person(Role.CONTROL)).open("/control?list=unacknowledged")
    assert re.search(r"<b>1\+</b>\s+отримання не підтверджено", page.html)


async def test_it_opens_at_the_first_list_that_has_something(site: Site) -> None:
    desk, number = await site.person(Role.CONTROL), site.appeal()
    shown = await desk.open("/control")
    assert (found(shown), counts(shown)["overdue"]) == ([number], "0")
    assert 'href="/control?list=unacknowledged" aria-current="page"' in shown.html
    assert found(await desk.open("/control?list=overdue")) == [], "an empty one is shown to who asks for it"


async def test_an_official_sees_his_own_personal_control_and_does_nothing_to_many(site: Site) -> None:
    official, number, other = await site.person(Role.OFFICIAL), site.appeal(), site.appeal()
    site.hire(Role.OFFICIAL, "second")
    page = await official.submit(await official.open(f"/appeals/{number}"), f"/appeals/{number}", action="take_control",
                                 note="Обіцяв заявниці.")  # fmt: skip
    assert "Взято на особистий контроль: Людина official" in re.sub(r"\s+:", ":", page.text)
    with site.db.write() as conn:
        appeals.act(conn, its(site, other).id, Action.TAKE_CONTROL, now=datetime.now(UTC),
                    official_id=site.staff["second"])  # fmt: skip
    page = await official.open("/control?list=personal")
    assert found(page) == [number]
    assert "З позначеними" not in page.text
    assert (await official.post("/control", action="reprimand")).status_code == 403


async def test_many_are_reassigned_each_with_an_outcome_of_its_own(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    one, two, gone = old(site), old(site), old(site)
    page = await desk.open("/control")
    with site.db.write() as conn:
        appeals.act(conn, its(site, gone).id, Action.START, now=datetime.now(UTC))
    ticks = {f"n-{number}": page.form("/control", {"action": "assign"}).options[f"n-{number}"].popitem()[1]
             for number in (one, two, gone)}  # fmt: skip
    water = str(site.city.departments["Київводоканал"])
    page = await desk.submit(page, "/control", action="assign", department=water, note="Не того виконавця.", **ticks)
    said = re.sub(r"\s+", " ", page.text)
    assert f"№ {one} записано" in said
    assert f"№ {two} записано" in said
    assert f"№ {gone} Поки ви дивилися список, звернення змінив хтось інший" in said
    assert [its(site, number).department for number in (one, two, gone)] == [
        "Київводоканал", "Київводоканал", "Київтеплоенерго"]  # fmt: skip
    assert {"do": "changed", "what": "appeals"} in site.line.asked


async def test_a_bulk_action_says_what_it_lacks_and_keeps_what_was_ticked(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    number = old(site)
    page = await desk.open("/control")
    for fields, sentence in (
        ({"action": "assign", "note": "Так"}, "Оберіть виконавця"),
        ({"action": "extend", "note": "Так"}, "Вкажіть дату"),
        ({"action": "reprimand", "note": ""}, "Напишіть пояснення"),
    ):  # fmt: skip
        again = await desk.submit(page, "/control", **fields, **{f"n-{number}": "2"})
        assert (again.status, sentence in again.text) == (422, True), sentence
        assert again.form("/control", {"action": "assign"}).fields[f"n-{number}"] == "2"
    assert "Позначте хоча б одне" in (await desk.submit(page, "/control", action="reprimand", note="Так")).text
    assert its(site, number).version == 2


async def test_a_term_that_has_passed_is_not_extended_and_a_reprimand_is_given(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    number = old(site)
    page = await desk.open("/control")
    until = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"
    tick = {f"n-{number}": "2"}
    page = await desk.submit(page, "/control", action="extend", until=until, note="Чекаємо деталь.", **tick)
    assert "записано" not in page.text
    page = await desk.submit(page, "/control", action="reprimand", note="Прострочено.", **tick)
    assert "записано" in page.text
    assert "Винесено зауваження" in (await desk.open(f"/appeals/{number}")).text


async def test_a_supervisor_reassigns_and_does_not_reprimand(site: Site) -> None:
    desk = await site.person(Role.SUPERVISOR)
    number = old(site)
    page = await desk.open("/control")
    assert set(page.form("/control", {"action": "assign"}).options["action"].values()) == {"assign"}
    answer = await desk.post("/control", action="reprimand", note="Так", **{f"n-{number}": "2"})
    assert "Ваша роль не дає права" in answer.text
    assert its(site, number).version == 2


async def test_the_desk_sees_that_no_mail_goes_out(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    site.appeal()
    assert "Пошту не налаштовано, скажіть адміністратору: служби не отримують листів, чекає 1 повідомлення." in (
        await desk.open("/control")).text  # fmt: skip


async def test_an_applicant_is_told_by_telephone_and_marked_so(site: Site) -> None:
    desk, control = await site.person(Role.FEEDBACK), await site.person(Role.CONTROL)
    number = site.appeal()
    until = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
    await control.submit(await control.open(f"/appeals/{number}"), f"/appeals/{number}", action="extend", until=until,
                         note="Чекаємо деталь.")  # fmt: skip
    page = await desk.open("/notices")
    for shown in (f"№ {number}", "Олена Шевчук", "+380 44 123 4567", "строк розгляду продовжено", "Чекаємо деталь."):
        assert shown in page.text
    path = next(form.path for form in page.forms if form.path.startswith("/notices/"))
    page = await desk.submit(page, path)
    assert "заявникові повідомлено" in page.text
    assert "Повідомляти нікого" in page.text
    assert "переказано" in (await control.open(f"/appeals/{number}")).text


async def test_a_hostile_name_and_note_are_only_words(site: Site) -> None:
    desk = await site.person(Role.FEEDBACK)
    number = site.appeal()
    with site.db.write() as conn:
        conn.execute(update(citizen).values(name="<script>alert(1)</script>"))
        whose = its(site, number)
        conn.execute(insert(notice).values(key="x", kind="defective", audience="citizen", appeal_id=whose.id,
                                           citizen_id=whose.citizen_id, created_at=datetime.now(UTC),
                                           due_at=datetime.now(UTC), data={}))  # fmt: skip
    assert "<script>alert" not in (await desk.open("/notices")).html
