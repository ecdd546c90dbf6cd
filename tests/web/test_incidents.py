"""Incidents at the pages, and what an operator is shown of them and of repeats while he writes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from centre.demo.browser import Page
from crm import appeals, calls, citizens, incidents, networks, repeats, schema
from crm.calls import Outcome
from crm.incidents import State as Stage
from crm.life import Action, Evidence, State
from crm.people import Role
from tests.web.conftest import LINKEDID, Desk, Site

CARD = f"/calls/{LINKEDID}"
FORM = f"{CARD}/appeals"
TYPED = {"name": "Олена Шевчук", "address": "Бандери 10", "subject": "Опалення", "text": "Батареї ледь теплі."}


def burst(site: Site, people: int = 3, *, rule: bool = True) -> list[int]:
    """The numbers of so many neighbours' appeals."""
    made = [site.appeal(name=f"Сусід {n}", phone=f"+38044300000{n}", text="Холодні батареї") for n in range(people)]
    if rule:
        with site.db.write() as conn:
            for number in made:
                found = appeals.by_number(conn, number)
                assert found is not None
                incidents.registered(conn, found.id, now=datetime.now(UTC))
    return made


def opened(site: Site, people: int = 3) -> int:
    burst(site, people)
    now = datetime.now(UTC)
    with site.db.write() as conn:
        (found,) = incidents.listed(conn, [Stage.PROPOSED])
        incidents.begin(conn, found.id, cause="Прорвало трубу", expected_at=now + timedelta(hours=3), now=now,
                        staff_id=None)  # fmt: skip
    return found.id


def stage(site: Site, incident_id: int) -> incidents.Incident:
    with site.db.read() as conn:
        return incidents.get(conn, incident_id)


def appeal(site: Site, number: int) -> appeals.Appeal:
    with site.db.read() as conn:
        found = appeals.by_number(conn, number)
    assert found is not None
    return found


async def already(desk: Desk, page: Page, **typed: str) -> str:
    """What the page's script is answered for a form filled in so, as text."""
    form = page.form(FORM, typed)
    values = {**form.fields, **{name: form.options.get(name, {}).get(value, value) for name, value in typed.items()}}
    answer = await desk.http.post(f"{CARD}/already", data=values, headers={"Origin": str(desk.http.base_url)})
    assert answer.status_code == 200, answer.text
    assert "<html" not in answer.text
    return answer.text


# ── the list and an incident's page ──
async def test_the_rules_proposal_is_opened_changed_and_closed_by_the_desk(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    made = burst(site, 4)
    page = await desk.open("/incidents")
    assert "можлива аварія" in page.text
    assert "проспект Степана Бандери, 10" in page.text
    (path,) = {link for link, _ in page.links if re.fullmatch(r"/incidents/\d+", link)}
    page = await desk.open(path)
    assert "Ще 4 звернення з цього місця на цю тему не приєднано" in page.text
    page = await desk.submit(page, path, do="open", note="Прорвало трубу", expected="2099-01-05T18:30")
    assert "триває" in page.text
    assert "5 січ. 2099" in page.text
    assert "18:30" in page.text
    for number in made:
        assert str(number) in page.text
    page = await desk.submit(page, path, do="amend", note="Замінюють насос", expected="2099-01-06T09:00")
    assert "Замінюють насос" in page.text
    page = await desk.submit(page, path, do="close", note="Насос замінено")
    assert "завершено" in page.text
    assert {appeal(site, number).state for number in made} == {State.AWAITING}
    assert "Аварій немає." in (await desk.open("/incidents")).text
    assert path in (await desk.open("/incidents?past=1")).html


async def test_an_appeal_is_taken_out_and_the_rest_are_let_in(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    path = f"/incidents/{opened(site)}"
    (late,) = burst(site, 1, rule=False)
    page = await desk.submit(await desk.open(path), path, do="leave")
    assert "Ще 2 звернення з цього місця на цю тему не приєднано." in page.text
    page = await desk.submit(page, path, do="gather")
    assert "не приєднано" not in page.text
    assert appeal(site, late).incident_id is not None


async def test_what_is_no_incident_is_dismissed_with_the_reason(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    burst(site)
    (path,) = {link for link, _ in (await desk.open("/incidents")).links if re.fullmatch(r"/incidents/\d+", link)}
    page = await desk.submit(await desk.open(path), path, do="dismiss", note="Три різні квартири")
    assert "не підтвердилася" in page.text
    assert "Три різні квартири" in page.text


async def test_two_people_at_one_incident(site: Site) -> None:
    one, other = await site.person(Role.CONTROL), await site.person(Role.SUPERVISOR)
    path = f"/incidents/{opened(site)}"
    first, second = await one.open(path), await other.open(path)
    await one.submit(first, path, do="amend", note="Насос")
    page = await other.submit(second, path, do="close", note="Усе гаразд")
    assert (page.status, "змінив хтось інший" in page.text) == (409, True)
    assert "Усе гаразд" in page.html, "what was typed is still there"
    page = await other.submit(page, path, do="close", note="Усе гаразд")
    assert (page.status, stage(site, int(path.rsplit("/")[-1])).state) == (200, Stage.CLOSED)


async def test_one_is_declared_for_a_building_a_network_or_in_words(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    typed = {"subject": str(site.city.subjects["Опалення"]), "cause": "Зупинка котельні"}
    page = await desk.submit(await desk.open("/incidents"), "/incidents", **typed, scope="building", address="")
    assert (page.status, "Вкажіть адресу або опишіть місце" in page.text) == (422, True)
    assert page.form("/incidents", {}).fields["cause"].strip() == "Зупинка котельні"
    page = await desk.submit(page, "/incidents", **typed, scope="heat", address="Бандери 10")
    assert (page.status, "не належить до такої мережі" in page.text) == (422, True)
    with site.db.write() as conn:
        now = datetime.now(UTC)
        boiler = networks.add(conn, "heat", "Котельня № 1", now=now)
        networks.put(conn, boiler, site.city.buildings.values(), now=now)
    page = await desk.submit(page, "/incidents", **typed, scope="heat", address="Бандери 10")
    assert "мережа опалення «Котельня № 1»" in page.text
    page = await desk.submit(await desk.open("/incidents"), "/incidents", **typed, scope="heat", address="Хрещатик 22")
    assert "тут уже відкрито" in page.text
    page = await desk.submit(await desk.open("/incidents"), "/incidents", **typed, scope="building", address="",
                             place="уся Оболонь", expected="2099-01-05T18:30")  # fmt: skip
    assert "уся Оболонь" in page.text


@pytest.mark.parametrize("fields", [{}, {"do": "open"}, {"do": "sell"}, {"do": "close", "version": "1"},
                                    {"do": "leave", "version": "2", "appeal": "999999"},
                                    {"do": "amend", "version": "2", "note": "Х", "expected": "завтра"},
                                    {"do": "amend", "version": "2", "note": "Х", "expected": "2001-01-01T00:00"},
                                    {"do": "close", "version": "2", "note": "х" * 4001}])  # fmt: skip
async def test_what_is_wrong_changes_nothing(site: Site, fields: dict[str, str]) -> None:
    desk = await site.person(Role.CONTROL)
    made = opened(site)
    before = stage(site, made)
    answer = await desk.post(f"/incidents/{made}", **fields)
    assert 400 <= answer.status_code < 500, answer.text
    assert stage(site, made) == before


async def test_who_may_not_manage_incidents_sees_them_without_a_form(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    made = opened(site)
    page = await desk.open(f"/incidents/{made}")
    assert "Прорвало трубу" in page.text
    assert [form.path for form in page.forms if form.path.startswith("/incidents")] == []
    with site.db.read() as conn:
        looked = conn.execute(select(schema.access_log.c.subject_key)
                              .where(schema.access_log.c.what == "incident")).scalars().all()  # fmt: skip
    assert looked == [str(made)]


async def test_an_executor_sees_his_departments_appeals_only(site: Site) -> None:
    made = opened(site)
    heat = await site.person(Role.EXECUTOR)
    water = await site.person(Role.EXECUTOR, "water", "Київводоканал")
    assert "26000001" in (await heat.open(f"/incidents/{made}")).text
    page = await water.open(f"/incidents/{made}")
    assert (page.status, "26000001" in page.text) == (200, False)


# ── at the call ──
async def test_an_appeal_joins_the_open_incident_of_its_place(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    made = opened(site)
    site.calling()
    page = await desk.submit(await desk.open(CARD), FORM, **TYPED)
    assert "saved=" in page.url
    assert stage(site, made).appeals == 4


async def test_the_operator_says_that_it_is_another_matter(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    made = opened(site)
    site.calling()
    page = await desk.open(CARD)
    shown = await already(desk, page, **TYPED)
    assert "Звернення приєднається до цієї аварії" in shown
    assert "Прорвало трубу" in shown
    page = await desk.submit(page, FORM, **TYPED, do="find")
    page = await desk.submit(page, FORM, apart="1")
    assert "saved=" in page.url
    assert stage(site, made).appeals == 3


async def test_an_appeal_on_another_subject_joins_only_when_the_operator_says_so(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    made = opened(site)
    site.calling()
    typed = TYPED | {"subject": "Холодна вода"}
    page = await desk.submit(await desk.open(CARD), FORM, **typed, do="find")
    assert "Приєднати звернення до цієї аварії" in page.text
    page = await desk.submit(page, FORM, incident=str(made))
    assert (stage(site, made).appeals, "saved=" in page.url) == (4, True)


async def test_a_burst_of_calls_is_noticed(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    burst(site, 2)
    site.calling()
    await desk.submit(await desk.open(CARD), FORM, **TYPED)
    assert "можлива аварія" in (await desk.open("/incidents")).text


async def test_what_is_known_is_shown_with_the_reason_as_it_is_typed(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    mine = site.appeal(text="У кімнаті 14 градусів", executed=True)
    theirs = site.appeal(text="Батареї холодні", name="Сусід", phone="+380443000000")
    far = site.appeal(text="Іржава вода з крана", name="Інший", phone="+380443000001", subject="Холодна вода")
    site.calling()
    page = await desk.open(CARD)
    assert "Щойно буде адреса, тема або суть" in page.text, "nothing to look for yet"
    shown = await already(desk, page, **TYPED | {"text": "Ледь теплі батареї"})
    assert shown.index(str(theirs)) < shown.index(str(mine)) or "чекає" in shown
    assert "цього абонента" in shown
    assert "цього будинку" in shown
    assert str(far) not in shown
    assert "Відрегульовано подачу." in shown, "what was answered"
    assert "Сусід" not in shown, "a neighbour's name is nobody's business"
    assert "Схожих звернень немає." in await already(desk, page, **TYPED | {
        "address": "Хрещатик 22", "phone": "044 999 99 99", "subject": "", "text": "Гавкають собаки"})  # fmt: skip


async def test_a_look_at_strangers_appeals_is_on_record(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    with site.db.write() as conn:
        now = datetime.now(UTC)
        who = citizens.add(conn, now=now, name="Інша", phones=["+380443000009"])
        there = appeals.register(conn, now=now, citizen_id=who, building_id=site.city.buildings["Хрещатик 22"],
                                 subject_id=site.city.subjects["Опалення"], text="Дерево впало на дорогу",
                                 channel="web", staff_id=None)  # fmt: skip
    site.calling()
    shown = await already(desk, await desk.open(CARD), **TYPED | {"text": "На дорогу впало дерево"})
    assert "схоже за змістом" in shown
    with site.db.read() as conn:
        log = schema.access_log.c
        looked = conn.execute(select(log.what, log.subject_key, log.why)).all()
    assert ("appeal", str(there.id), LINKEDID) in [tuple(row) for row in looked]


async def test_a_repeat_is_linked_when_the_appeal_is_registered(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    first = site.appeal(name=TYPED["name"])
    site.calling()
    page = await desk.submit(await desk.open(CARD), FORM, **TYPED, do="find")
    assert "це повторне" in page.text
    page = await desk.submit(page, FORM, repeat_of=str(appeal(site, first).id))
    second = int(re.search(r"saved=(\d+)", page.url)[1])  # type: ignore[index]
    assert appeal(site, second).repeat_of == appeal(site, first).id
    assert "повторено 1 раз" in await already(desk, page, **TYPED)


async def test_a_repeat_is_refused_only_when_the_first_was_resolved(site: Site) -> None:
    first, second = site.appeal(executed=True), site.appeal()
    one, now = appeal(site, first), datetime.now(UTC)
    with site.db.write() as conn:
        repeats.link(conn, appeal(site, second).id, one.id, now=now)
    desk, path = await site.person(Role.CONTROL), f"/appeals/{second}"
    page = await desk.submit(await desk.open(path), path, action="refuse", note="Повторне")
    assert "вирішено по суті" in page.text
    assert appeal(site, second).state is State.ASSIGNED
    with site.db.write() as conn:
        appeals.act(conn, one.id, Action.CONFIRM, now=now, evidence=Evidence("17.1", key="1"))
    await desk.submit(await desk.open(path), path, action="refuse", note="Повторне")
    assert appeal(site, second).state is State.REFUSED


async def test_another_persons_appeal_is_no_repeat_and_nothing_typed_is_lost(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    theirs = site.appeal(name="Сусід", phone="+380443000000")
    site.calling()
    page = await desk.submit(await desk.open(CARD), FORM, **TYPED, do="find")
    assert f'value="{appeal(site, theirs).id}" form="appeal"' not in page.html, "only his own can be repeated"
    fields = {**page.form(FORM, {}).fields, "repeat_of": str(appeal(site, theirs).id)}
    del fields["csrf"]
    answer = await desk.post(FORM, **fields)
    assert (answer.status_code, "подала інша людина" in answer.text) == (422, True)
    assert TYPED["text"] in answer.text
    with site.db.read() as conn:
        assert len(conn.execute(select(schema.appeal.c.id)).all()) == 1


async def test_an_emergency_is_kept_without_a_name(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling(caller="")
    typed = {"name": "", "address": "Бандери 10", "subject": "Опалення", "text": "Окріп у підвалі"}
    page = await desk.open(CARD)
    page = await desk.submit(page, FORM, **typed | {"text": ""}, do="report")
    assert page.status == 422
    for _ in range(2):  # sent twice, kept once
        answer = await desk.submit(page, FORM, **typed, do="report")
        assert answer.status == 200
    with site.db.read() as conn:
        (found,) = incidents.listed(conn, tuple(Stage))
        assert (found.state, found.reports, found.appeals) == (Stage.PROPOSED, 1, 0)
        call = calls.get(conn, LINKEDID)
        assert call is not None
        assert (call.outcome, call.citizen_id) == (Outcome.REPORTED, None)
        assert conn.execute(select(schema.citizen.c.id)).first() is None
    page = await desk.open(f"/incidents/{found.id}")
    assert "Окріп у підвалі" in page.text


async def test_a_complaint_names_whom_it_is_about_and_never_goes_there(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    page = await desk.submit(await desk.open(CARD), FORM, **TYPED, against="Київводоканал", kind="Заява (клопотання)")
    assert (page.status, "подають лише скаргу" in page.text) == (422, True)
    page = await desk.submit(page, FORM, kind="", privilege="Ветеран праці")
    assert "saved=" in page.url
    made = appeal(site, 26000001)
    assert (made.kind, made.against_id, made.priority) == ("complaint", site.city.departments["Київводоканал"], True)
    assert made.citizen_id is not None
    with site.db.read() as conn:
        assert citizens.get(conn, made.citizen_id).privilege == "labour_veteran"
    site.calling(linkedid="1767000009.1")
    fields = (await desk.open("/calls/1767000009.1")).form("/calls/1767000009.1/appeals", {}).fields
    assert fields["privilege"] == "labour_veteran", "it is known from now on"


async def test_a_place_in_words_has_a_district(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    page = await desk.submit(await desk.open(CARD), FORM, **TYPED | {"address": ""}, place="сквер",
                             district="Шевченківський район")  # fmt: skip
    assert "saved=" in page.url
    assert appeal(site, 26000001).district_id is not None


@pytest.mark.parametrize("field", ["kind", "privilege", "against", "district", "repeat_of", "incident"])
async def test_a_choice_that_is_none_is_refused(site: Site, field: str) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    form = (await desk.open(CARD)).form(FORM, {}).fields
    del form["csrf"]
    typed = TYPED | {"subject": str(site.city.subjects["Опалення"])}
    for wrong in ("<script>", "999999"):
        answer = await desk.post(FORM, **form | typed | {field: wrong, "once": f"{field}{wrong}"})
        assert answer.status_code == 422, answer.text
        assert TYPED["text"] in answer.text
    with site.db.read() as conn:
        assert conn.execute(select(schema.appeal.c.id)).first() is None
