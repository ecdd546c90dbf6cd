"""The reference and the programmes at the pages, and what an operator has at hand in a call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from centre.demo.browser import Page
from crm import appeals, calls, knowledge, programmes
from crm.knowledge import ContactKind
from crm.life import Action, State
from crm.people import Role
from crm.schema import consultation, edit_log
from tests.web.conftest import LINKEDID, Desk, Site

CARD = f"/calls/{LINKEDID}"
YEAR = datetime.now(UTC).year + 1


def article(site: Site, title: str = "Запах газу", **given: Any) -> int:
    values = {"title_en": "A smell of gas", "body_uk": "Перекрити газ, відчинити вікна, телефонувати 104.",
              "body_en": "", "keywords": "витік", "subject_id": None, "active": True, "source": "Зразок",
              "staff_id": None, "now": datetime.now(UTC)}  # fmt: skip
    with site.db.write() as conn:
        return knowledge.save_article(conn, None, None, title_uk=title, **{**values, **given})


def bulletin(site: Site, text: str, hours: float = 1, **where: int) -> int:
    now = datetime.now(UTC)
    place: dict[str, int | None] = {"building_id": None, "network_id": None, "district_id": None, **where}
    with site.db.write() as conn:
        return knowledge.save_bulletin(
            conn, None, None, text_uk=text, text_en="", starts_at=now - timedelta(hours=1),
            ends_at=now + timedelta(hours=hours), staff_id=None, now=now, **place)  # fmt: skip


def contact(site: Site, name: str, phone: str) -> int:
    with site.db.write() as conn:
        return knowledge.save_contact(conn, None, None, name_uk=name, name_en="", kind=ContactKind.EMERGENCY,
                                      phone=phone, hours="", district_id=None, keywords="", active=True, staff_id=None,
                                      now=datetime.now(UTC))  # fmt: skip


def programme(site: Site, building: str = "Бандери 10", year: int = YEAR, **given: Any) -> int:
    now = datetime.now(UTC)
    values = {"name_en": "Hot water", "about_uk": "Мережі замінять.", "about_en": "The pipes will be replaced.",
              "ground": "рішення № 1", "subject_id": None, "active": True, "staff_id": None, "now": now}  # fmt: skip
    with site.db.write() as conn:
        id = programmes.save(conn, None, None, name_uk="Гаряча вода", **{**values, **given})
        programmes.put_building(conn, id, site.city.buildings[building], year, staff_id=None, now=now)
    return id


def outcome(site: Site) -> str:
    with site.db.read() as conn:
        call = calls.get(conn, LINKEDID)
    assert call is not None
    return call.outcome


def given(site: Site) -> list[tuple[str, int]]:
    with site.db.read() as conn:
        return [(row.kind, row.record_id) for row in conn.execute(select(consultation))]


async def answer_by(desk: Desk, programme_id: int, page: Page, **typed: str) -> Page:
    """Presses the programme's button beside the form of the call, which sends that form."""
    path = f"{CARD}/appeals"
    assert f'name="programme" value="{programme_id}"' in page.html
    fields = page.form(path, typed).fields
    answer = await desk.post(path, **{**fields, **typed, "programme": str(programme_id)})
    assert answer.status_code == 303
    return await desk.open(answer.headers["location"])


# ── in a call ──
async def test_the_card_shows_at_once_what_holds_at_the_address_and_what_is_promised(site: Site) -> None:
    bulletin(site, "Воду вимкнено до вечора", building_id=site.city.buildings["Бандери 10"])
    bulletin(site, "Інший будинок", building_id=site.city.buildings["Хрещатик 22"])
    programme(site)
    site.appeal()  # the caller lives there
    site.calling()
    page = await (await site.person(Role.OPERATOR)).open(CARD)
    assert "Воду вимкнено до вечора" in page.text
    assert "Інший будинок" not in page.text
    assert f"у програмі «Гаряча вода», рік виконання — {YEAR}. Мережі замінять. Підстава: рішення № 1." in page.text
    assert "Відповісти за програмою" in page.text


async def test_without_a_script_what_is_asked_is_found_and_what_is_typed_stays(site: Site) -> None:
    id, phone = article(site), contact(site, "Газова служба", "104")
    article(site, "Не працює ліфт", body_uk="Викликати майстра.")
    site.calling()
    desk = await site.person(Role.OPERATOR)
    page = await desk.open(CARD)
    once = page.form(f"{CARD}/appeals", {}).fields["once"]
    typed = {"once": once, "name": "Олена Шевчук", "text": "Пахне газом", "address": "Хрещатик 22", "ask": "запх газу"}
    found = await desk.post(f"{CARD}/appeals", do="find", **typed)
    for expected in ("Перекрити газ", "104", "Олена Шевчук", "Пахне газом", f'value="article-{id}"'):
        assert expected in found.text, expected
    assert "Викликати майстра" not in found.text
    for _ in range(2):
        told = await desk.post(f"{CARD}/given", given=f"article-{id}", **typed)
        assert told.status_code == 200
        for expected in ("✓", "Пахне газом", once, f'value="contact-{phone}"'):
            assert expected in told.text, expected
        assert f'value="article-{id}"' not in told.text
    assert given(site) == [("article", id)]
    assert outcome(site) == "consulted"


async def test_the_scripts_part_follows_the_address_the_subject_and_what_is_asked(site: Site) -> None:
    article(site, "Як міряти тепло", subject_id=site.city.subjects["Опалення"])
    bulletin(site, "Ремонт на Хрещатику", building_id=site.city.buildings["Хрещатик 22"])
    site.calling()
    desk = await site.person(Role.OPERATOR)
    base = {"linkedid": LINKEDID, "ask": "", "address": "", "building": "", "building_for": "", "subject": ""}

    async def part(**asked: str) -> str:
        answer = await desk.http.get("/knowledge/answers", params={**base, **asked})
        assert answer.status_code == 200
        assert "<html" not in answer.text
        return answer.text

    assert "Як міряти тепло" not in await part()
    assert "Як міряти тепло" in await part(subject=str(site.city.subjects["Опалення"]))
    assert "Ремонт на Хрещатику" in await part(address="Хрещатик 22")
    assert "Ремонт на Хрещатику" not in await part(address="Бандери 10")
    assert "Нічого не знайдено" in await part(ask="жирафа")
    for text in ("%", "'; DROP TABLE article --", "\x00", "<script>", "х" * 5000, "(", "🙂"):
        assert "<script>" not in await part(ask=text, address=text, subject=text[:20]), text


async def test_the_caller_is_answered_in_his_language_and_the_record_in_ukrainian(site: Site) -> None:
    id = programme(site)
    site.appeal()
    site.calling()
    with site.db.write() as conn:
        calls.choose(conn, LINKEDID, datetime.now(UTC), "queue", "en")
    desk = await site.person(Role.OPERATOR)
    page = await desk.open(CARD)
    assert f"in the programme “Hot water”, to be done in {YEAR}. The pipes will be replaced." in page.text
    await answer_by(desk, id, page, subject=str(site.city.subjects["Опалення"]), text="No hot water")
    with site.db.read() as conn:
        made = appeals.by_number(conn, 26000002)
        assert made is not None
        note = next(e for e in appeals.history(conn, made.id) if e.action is Action.ANSWER).note
    assert note.startswith("Ваш будинок — у програмі «Гаряча вода»")


async def test_one_button_registers_and_answers_and_the_resident_is_still_asked(site: Site) -> None:
    id = programme(site)
    site.calling()
    desk = await site.person(Role.OPERATOR)
    page = await desk.open(CARD)
    typed = {"name": "Олена Шевчук", "address": "Бандери 10", "text": "Немає гарячої води",
             "subject": str(site.city.subjects["Опалення"])}  # fmt: skip
    page = await desk.submit(page, f"{CARD}/appeals", do="find", **typed)
    page = await answer_by(desk, id, page, **typed)
    assert "чекає підтвердження" in page.text
    with site.db.read() as conn:
        made = appeals.by_number(conn, 26000001)
        assert made is not None
        assert made.state is State.AWAITING
        told = next(e for e in appeals.history(conn, made.id) if e.action is Action.ANSWER)
    assert told.evidence == {"programme": id, "year": YEAR}
    assert (told.staff_id, "Підстава: рішення № 1" in told.note) == (site.staff["operator"], True)
    assert outcome(site) == "appeal"
    assert site.line.did("changed")[-1]["what"] == "callbacks"


async def test_a_promise_to_another_building_registers_nothing_and_loses_nothing(site: Site) -> None:
    id = programme(site)
    site.calling()
    desk = await site.person(Role.OPERATOR)
    page = await desk.open(CARD)
    once = page.form(f"{CARD}/appeals", {}).fields["once"]
    subject = str(site.city.subjects["Опалення"])
    answer = await desk.post(f"{CARD}/appeals", programme=str(id), once=once, name="Олена", address="Хрещатик 22",
                             subject=subject, text="Немає води")  # fmt: skip
    assert answer.status_code == 422
    assert "Цього будинку немає в чинній програмі" in answer.text
    assert "Немає води" in answer.text
    with site.db.read() as conn:
        assert appeals.by_number(conn, 26000001) is None


async def test_nonsense_is_not_counted(site: Site) -> None:
    id = article(site)
    site.calling()
    desk = await site.person(Role.OPERATOR)
    for what, status in (("", 422), ("article-", 422), (f"person-{id}", 422), ("article-999", 404), ("article-x", 422)):
        assert (await desk.post(f"{CARD}/given", given=what)).status_code == status, what
    assert given(site) == []
    assert outcome(site) == ""


async def test_an_appeal_under_way_is_answered_from_a_programme_on_its_page(site: Site) -> None:
    id, number = programme(site), site.appeal()
    path = f"/appeals/{number}/programme"
    analyst = await site.person(Role.EXECUTOR)
    assert "Відповісти за програмою" not in (await analyst.open(f"/appeals/{number}")).text
    assert (await analyst.post(path, programme=str(id), version="2")).status_code == 403
    desk = await site.person(Role.OPERATOR)
    page = await desk.open(f"/appeals/{number}")
    stale = await desk.post(path, programme=str(id), version="1")
    assert stale.status_code == 409
    page = await desk.submit(page, path, programme=str(id))
    assert "чекає підтвердження" in page.text
    assert "Підстава: рішення № 1" in page.text


# ── the reference ──
async def test_the_reference_is_searched_and_shows_what_holds_today(site: Site) -> None:
    article(site)
    article(site, "Не працює ліфт")
    contact(site, "Газова служба", "104")
    bulletin(site, "Вулицю перекрито")
    desk = await site.person(Role.ANALYST)
    page = await desk.open("/knowledge")
    for expected in ("Запах газу", "Не працює ліфт", "104", "Вулицю перекрито", "усе місто"):
        assert expected in page.text, expected
    assert "Змінити" not in page.text
    found = await desk.open("/knowledge?q=запху+газу")
    assert ("Запах газу" in found.text, "Не працює ліфт" in found.text) == (True, False)
    part = await desk.http.get("/knowledge/found", params={"q": "ліфт"})
    assert ("Не працює ліфт" in part.text, "<html" in part.text) == (True, False)
    assert (await desk.http.get("/knowledge/articles/new")).status_code == 403


async def test_articles_are_written_and_two_editors_do_not_overwrite_each_other(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    page = await desk.submit(await desk.open("/knowledge/articles/new"), "/knowledge/articles/new", title_uk="Субсидія",
                             body_uk="Призначає Пенсійний фонд.", keywords="пільги", subject="Опалення")  # fmt: skip
    assert "Субсидія" in page.text
    with site.db.read() as conn:
        saved = knowledge.articles(conn)[0]
    assert (saved.subject_id, saved.active) == (site.city.subjects["Опалення"], True)
    path = f"/knowledge/articles/{saved.id}"
    mine, theirs = await desk.open(path), await desk.open(path)
    await desk.submit(mine, path, title_uk="Субсидії та пільги")
    seen = theirs.form(path, {}).fields["seen"]
    answer = await desk.post(path, title_uk="Моє", body_uk="Мій текст, який шкода втратити", seen=seen)
    assert answer.status_code == 409
    assert "Мій текст, який шкода втратити" in answer.text
    with site.db.read() as conn:
        assert [a.title_uk for a in knowledge.articles(conn)] == ["Субсидії та пільги"]
        edits = conn.execute(select(edit_log.c.staff_id).where(edit_log.c.what == "article")).scalars().all()
    assert edits == [site.staff["control"]] * 2
    answer = await desk.post("/knowledge/articles/new", title_uk="", body_uk="")
    assert answer.status_code == 422
    assert "Вкажіть назву українською" in answer.text
    for wrong in ("/knowledge/articles/999", "/knowledge/people/new", "/knowledge/articles/x"):
        assert (await desk.http.get(wrong)).status_code == 404, wrong


async def test_bulletins_are_posted_by_kyivs_clock_and_for_one_place(site: Site) -> None:
    desk = await site.person(Role.SUPERVISOR)
    path = "/knowledge/bulletins/new"
    fields = {"text_uk": "Планове відключення", "starts": "2026-07-01T08:00", "ends": "2099-07-01T20:30",
              "address": "Бандери 10"}  # fmt: skip
    answer = await desk.post(path, **{**fields, "district": "1"})
    assert answer.status_code == 422
    assert "щось одне" in answer.text
    assert (await desk.post(path, **{**fields, "starts": "завтра"})).status_code == 422
    assert (await desk.post(path, **fields)).status_code == 303
    with site.db.read() as conn:
        held = knowledge.bulletins(conn, datetime(2026, 8, 1, tzinfo=UTC))[0]
    assert held.starts_at == datetime(2026, 7, 1, 5, tzinfo=UTC)  # summer time
    assert held.building_id == site.city.buildings["Бандери 10"]
    page = await desk.open(f"/knowledge/bulletins/{held.id}")
    kept = page.form(f"/knowledge/bulletins/{held.id}", {}).fields
    assert (kept["starts"], kept["ends"], kept["address"]) == (
        "2026-07-01T08:00", "2099-07-01T20:30", "проспект Степана Бандери, 10")  # fmt: skip
    await desk.submit(page, f"/knowledge/bulletins/{held.id}", ends="2026-07-02T10:00")
    with site.db.read() as conn:
        assert knowledge.bulletins(conn, datetime(2026, 8, 1, tzinfo=UTC)) == []


async def test_a_telephone_is_put_into_the_directory_and_withdrawn(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    new = "/knowledge/contacts/new"
    await desk.submit(await desk.open(new), new, name_uk="Поліція", phone="102", contact_kind="emergency")
    assert "102" in (await (await site.person(Role.OPERATOR)).open("/knowledge")).text
    with site.db.read() as conn:
        path = f"/knowledge/contacts/{knowledge.directory(conn)[0].id}"
    seen = (await desk.open(path)).form(path, {}).fields["seen"]
    assert (await desk.post(path, seen=seen, name_uk="Поліція", phone="102",
                            contact_kind="emergency")).status_code == 303  # fmt: skip
    with site.db.read() as conn:
        assert knowledge.directory(conn) == []


# ── the programmes ──
async def test_a_programme_is_made_and_its_list_kept(site: Site) -> None:
    desk = await site.person(Role.ADMINISTRATOR)
    page = await desk.submit(await desk.open("/programmes/new"), "/programmes/new", name_uk="Дахи",
                             ground="рішення № 2")  # fmt: skip
    with site.db.read() as conn:
        id = programmes.programmes(conn)[0].programme.id
    lists = f"/programmes/{id}/buildings"
    page = await desk.submit(page, lists, address="Бандери 10", year="2027", note="дах")
    assert "проспект Степана Бандери, 10" in page.text
    for wrong, sentence in (({"address": "Бандери 10", "year": "1900"}, "Вкажіть рік від 2000 до 2100"),
                            ({"address": "", "year": "2027"}, "Оберіть адресу зі списку"),
                            ({"address": "Немає такої 5", "year": "2027"}, "адрес")):  # fmt: skip
        answer = await desk.post(lists, **wrong)
        assert answer.status_code == 422, wrong
        assert sentence in answer.text, wrong
    reader = await site.person(Role.OPERATOR)
    page = await reader.open(f"/programmes/{id}")
    assert "2027" in page.text
    assert not any(form.path.startswith("/programmes") for form in page.forms)
    assert (await reader.post(lists, take=str(site.city.buildings["Бандери 10"]))).status_code == 403
    await desk.post(lists, take=str(site.city.buildings["Бандери 10"]))
    with site.db.read() as conn:
        assert programmes.buildings(conn, id) == []
    assert (await reader.http.get("/programmes/new")).status_code == 404
    assert "Дахи" in (await reader.open("/programmes")).text


@pytest.mark.parametrize("path", ["/programmes/999", "/programmes/x"])
async def test_there_is_no_such_programme(site: Site, path: str) -> None:
    desk = await site.person(Role.CONTROL)
    assert (await desk.http.get(path)).status_code == 404
    assert (await desk.post(path, name_uk="Дахи", ground="рішення", seen="1")).status_code == 404
