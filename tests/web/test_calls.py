"""The call's card: what it shows, the appeal that is written there, what a call was."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sqlalchemy import func, select

from crm import addresses, appeals, calls, citizens, schema
from crm.calls import Outcome
from crm.life import Action
from crm.people import Role
from tests.web.conftest import CALLER, LINKEDID, Desk, Site, at_seat, snapshot

CARD = f"/calls/{LINKEDID}"
TYPED = {"name": "Олена Шевчук", "address": "Московський проспект 10", "flat": "41", "subject": "Опалення",
         "text": "Батареї ледь теплі."}  # fmt: skip


def count(site: Site, table: object) -> int:
    with site.db.read() as conn:
        return conn.scalar(select(func.count()).select_from(table)) or 0  # type: ignore[arg-type]


async def write(desk: Desk, **changed: str) -> object:
    return await desk.submit(await desk.open(CARD), f"{CARD}/appeals", **TYPED | changed)


async def test_an_appeal_is_written_and_its_number_and_code_are_shown(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling(staff="operator")
    page = await desk.submit(await desk.open(CARD), f"{CARD}/appeals", **TYPED, consent="on")
    assert "saved=26000001" in page.url
    code = re.search(r'data-code="(\d{4})"', page.html)
    with site.db.read() as conn:
        appeal = appeals.by_number(conn, 26000001)
        assert appeal is not None
        assert code is not None
        assert code[1] == appeal.code
        by_old_name = site.city.buildings["Бандери 10"]
        assert (appeal.building_id, appeal.flat) == (by_old_name, "41")
        assert appeal.department == "Київтеплоенерго"
        assert appeal.citizen_id is not None
        citizen = citizens.get(conn, appeal.citizen_id)
        assert (citizen.name, citizen.auto_confirm) == ("Олена Шевчук", True)
        assert [phone.e164 for phone in citizen.phones] == [CALLER]
        call = calls.get(conn, LINKEDID)
        assert call is not None
        assert (call.outcome, call.citizen_id) == (Outcome.APPEAL, citizen.id)
    assert "Олена Шевчук" in (await desk.open(CARD)).text
    assert site.line.did("changed")


async def test_one_call_brings_several_appeals_of_one_citizen(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    await write(desk)
    page = await desk.open(CARD)
    form = page.form(f"{CARD}/appeals", {}).fields
    known = (form["name"], form["flat"], form["text"].strip())
    assert known == ("Олена Шевчук", "41", ""), "what is known is there already"
    page = await desk.submit(page, f"{CARD}/appeals", subject="Холодна вода", text="Іржава вода.")
    assert "saved=26000002" in page.url
    assert set(re.findall(r'data-appeal="(\d+)"', page.html)) == {"26000001", "26000002"}
    assert count(site, schema.citizen) == 1


async def test_a_form_sent_twice_makes_one_appeal(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    page = await desk.open(CARD)
    for _ in range(3):
        answer = await desk.submit(page, f"{CARD}/appeals", **TYPED)
        assert answer.status == 200
    assert "вже збережено" in answer.text
    assert "26000001" in answer.text
    assert count(site, schema.appeal) == 1


async def test_a_half_filled_form_comes_back_with_what_to_do(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    page = await desk.submit(await desk.open(CARD), f"{CARD}/appeals", name="", phone="абв", text="Суть", flat="1" * 21)
    assert page.status == 422
    for sentence in ("як звати заявника", "не схоже на номер", "Оберіть тему", "Вкажіть адресу", "не більш як 20"):
        assert sentence in page.text
    fields = page.form(f"{CARD}/appeals", {}).fields
    assert (fields["phone"], fields["text"].strip()) == ("абв", "Суть")
    assert count(site, schema.appeal) == 0


async def test_an_ambiguous_address_is_chosen_from_a_list(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    page = await desk.submit(await desk.open(CARD), f"{CARD}/appeals", **TYPED | {"address": "бандери"})
    assert page.status == 422
    assert "оберіть одну" in page.text
    chosen = str(site.city.buildings["Бандери 10-А"])
    page = await desk.submit(page, f"{CARD}/appeals", building=chosen)
    assert "saved=" in page.url
    with site.db.read() as conn:
        assert conn.scalar(select(schema.appeal.c.building_id)) == int(chosen)


async def test_a_choice_of_another_address_is_not_kept(site: Site) -> None:
    """The list was shown for "бандери", then something else was typed."""
    desk = await site.person(Role.OPERATOR)
    site.calling()
    page = await desk.submit(await desk.open(CARD), f"{CARD}/appeals", **TYPED | {"address": "бандери"})
    await desk.submit(page, f"{CARD}/appeals", building=str(site.city.buildings["Бандери 10-А"]), address="Хрещатик 22")
    with site.db.read() as conn:
        assert conn.scalar(select(schema.appeal.c.building_id)) == site.city.buildings["Хрещатик 22"]


async def test_an_address_is_found_without_a_script(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    page = await desk.submit(await desk.open(CARD), f"{CARD}/appeals", address="хрещ", text="Не згубити", do="find")
    assert page.status == 200
    fields = page.form(f"{CARD}/appeals", {}).fields
    assert (fields["address"], fields["text"].strip()) == ("вулиця Хрещатик, 22", "Не згубити")
    assert count(site, schema.appeal) == 0


async def test_an_unknown_place_may_be_told_in_words(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    page = await desk.submit(await desk.open(CARD), f"{CARD}/appeals", **TYPED | {"address": "нема такої 7"})
    assert "немає" in page.text
    page = await desk.submit(page, f"{CARD}/appeals", address="", place="зупинка «Почайна», ліворуч")
    assert "saved=" in page.url


async def test_the_card_has_the_callers_and_the_neighbours_appeals(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    now = datetime.now(UTC)
    with site.db.write() as conn:
        def appeal(phone: str, building: str, text: str) -> int:
            who = citizens.add(conn, now=now, name=f"Заявник {phone}", phones=[phone],
                               building_id=site.city.buildings[building])  # fmt: skip
            made = appeals.register(conn, now=now, citizen_id=who, building_id=site.city.buildings[building],
                                    subject_id=site.city.subjects["Опалення"], text=text, channel="web",
                                    staff_id=None)  # fmt: skip
            return made.id

        appeal(CALLER, "Бандери 10", "Моє власне")
        neighbour = appeal("+380441112233", "Бандери 10", "Сусідське")
        appeal("+380441112234", "Хрещатик 22", "Чуже")
        appeals.act(conn, neighbour, Action.EXPLAIN, now=now, staff_id=site.staff["operator"],
                    note="Будинок у програмі міста.")  # fmt: skip
    site.calling()
    page = await desk.open(CARD)
    assert "Моє власне" in page.text
    assert "Сусідське" in page.text
    assert "Будинок у програмі міста." in page.text
    assert "Чуже" not in page.text
    assert "Заявник +380441112233" not in page.text, "a neighbour's name is nobody's business"


async def test_looks_at_personal_data_are_on_record(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    await write(desk)
    await desk.open(CARD)
    await desk.open("/appeals/26000001")
    with site.db.read() as conn:
        looked = {tuple(row) for row in conn.execute(select(schema.access_log.c.staff_id, schema.access_log.c.what,
                                                            schema.access_log.c.subject_key))}  # fmt: skip
        appeal_id = conn.scalar(select(schema.appeal.c.id))
    me = site.staff["operator"]
    building = str(site.city.buildings["Бандери 10"])
    assert {(me, "call", LINKEDID), (me, "building", building), (me, "appeal", str(appeal_id))} <= looked


async def test_an_answered_call_stays_unsettled_until_somebody_says_what_it_was(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling(staff="operator")
    for path in ("/calls/unsettled", "/seat"):
        assert CARD not in (await desk.open(path)).html, f"{path}: they are still speaking"
    assert "триває" in (await desk.open("/calls")).text
    site.hang_up()
    for path in ("/calls/unsettled", "/seat"):
        assert CARD in (await desk.open(path)).html, path
    assert "потрібен підсумок" in (await desk.open("/calls")).text
    page = await desk.submit(await desk.open(CARD), f"{CARD}/outcome", outcome="consulted")
    assert "надано інформацію" in page.text
    for path in ("/calls/unsettled", "/seat"):
        assert CARD not in (await desk.open(path)).html, path
    answer = await desk.post(f"{CARD}/outcome", outcome="appeal")
    assert answer.status_code == 422, "what follows from what was done nobody says"


async def test_a_call_with_a_hidden_number_is_served(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling(caller="")
    page = await desk.open(CARD)
    assert "Номер прихований" in page.text
    page = await desk.submit(page, f"{CARD}/appeals", **TYPED | {"phone": "044 765 43 21"})
    assert "saved=" in page.url
    with site.db.read() as conn:
        assert [citizen.name for citizen in citizens.by_phone(conn, "+380447654321")] == ["Олена Шевчук"]


async def test_a_call_that_rings_before_it_is_on_record_has_its_card(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    assert (await desk.open(CARD)).status == 404
    await site.line.say(snapshot(seats=[at_seat("out")]))
    await site.line.say({"event": "ringing", "seat": "101", "linkedid": LINKEDID, "caller": CALLER,
                         "at": datetime.now(UTC).isoformat()})  # fmt: skip
    page = await desk.open(CARD)
    assert page.status == 200
    assert "+380 44 123 4567" in page.text


async def test_an_appeal_written_before_the_call_is_on_record_is_the_calls_all_the_same(site: Site) -> None:
    """The line told the seat first and writes the call later: who is quicker must make no difference."""
    desk = await site.person(Role.OPERATOR)
    await site.line.say(snapshot(seats=[at_seat("ringing")]))
    await site.line.say({"event": "ringing", "seat": "101", "linkedid": LINKEDID, "caller": CALLER,
                         "at": datetime.now(UTC).isoformat()})  # fmt: skip
    page = await desk.open(CARD)
    await site.line.say(snapshot())  # the line has forgotten it meanwhile: what was typed is taken
    page = await desk.submit(page, f"{CARD}/appeals", **TYPED)
    assert "saved=26000001" in page.url
    assert 'data-code="' in page.html
    site.calling(staff="operator")
    site.hang_up()
    with site.db.read() as conn:
        call = calls.get(conn, LINKEDID)
    assert call is not None
    assert (call.origin, call.caller, call.outcome) == ("mobile", CALLER, Outcome.APPEAL)
    assert CARD not in (await desk.open("/calls/unsettled")).html


async def test_a_mistake_in_the_form_of_a_forgotten_call_costs_nothing(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    await site.line.say(snapshot(seats=[at_seat("talking")]))
    page = await desk.open(CARD)
    await site.line.say({"event": "lost"})
    await site.line.say(snapshot())
    page = await desk.submit(page, f"{CARD}/appeals", **TYPED | {"subject": ""})
    assert (page.status, page.form(f"{CARD}/appeals", {}).fields["text"].strip()) == (422, TYPED["text"])


async def test_the_outcome_of_a_call_that_nobody_has_answered_yet_is_refused_on_its_card(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    with site.db.write() as conn:
        calls.arrived(conn, LINKEDID, at=datetime.now(UTC), origin="mobile", caller=CALLER)
    page = await desk.submit(await desk.open(CARD), f"{CARD}/outcome", outcome="silent")
    assert (page.status, "ніхто не відповів" in page.text, "+380 44 123 4567" in page.text) == (422, True, True)


async def test_who_named_himself_behind_a_hidden_number_is_known_for_the_rest_of_the_call(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.appeal(text="Торішнє", phone="+380447654321")
    site.calling(caller="")
    assert "Торішнє" not in (await desk.open(CARD)).text
    await write(desk, phone="044 765 43 21", name="Олена  Шевчук")
    page = await desk.open(CARD)
    assert "Торішнє" in page.text
    assert count(site, schema.citizen) == 1, "two spaces in a name are no other person"


async def test_what_stands_under_the_caller_has_one_line_under_the_building(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.appeal(text="Моє власне")
    site.appeal(text="Сусідське", phone="+380441112233", name="Сусід")
    site.calling()
    history = await desk.http.get("/addresses/history", params={"address": "Бандери 10", "linkedid": LINKEDID})
    for html in ((await desk.open(CARD)).html, history.text):
        building = html[html.index("Звернення щодо будинку"):]
        assert "цього абонента" in building
        assert "Моє власне" not in building
        assert "Сусідське" in building


async def test_the_callers_word_that_cannot_be_taken_is_still_there(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    number = site.appeal(executed=True)
    site.calling()
    page = await desk.submit(await desk.open(CARD), f"{CARD}/answer", number=str(number), result="partly", note="")
    form = page.form(f"{CARD}/answer", {"number": str(number)})
    assert (page.status, form.fields["result"]) == (422, "partly")
    page = await desk.submit(page, f"{CARD}/answer", number=str(number), note="д" * 4001)
    assert page.status == 422
    assert page.form(f"{CARD}/answer", {"number": str(number)}).fields["note"] == "д" * 4001


async def test_a_suggested_building_is_that_building_whatever_its_street_is_called(site: Site) -> None:
    """Another district may have a street of the same name: the text alone would not tell which."""
    desk = await site.person(Role.OPERATOR)
    with site.db.write() as conn:
        street = addresses.add_street(conn, "вулиця Івана Хрещатика")
        addresses.add_building(conn, street, "22", addresses.add_district(conn, "Дарницький район", "Darnytskyi"))
    site.calling()
    (found,) = [one for one in (await desk.http.get("/addresses", params={"q": "хрещатик 22"})).json()
                if one["value"] == "вулиця Хрещатик, 22"]  # fmt: skip
    assert found["id"] == site.city.buildings["Хрещатик 22"]
    form = (await desk.open(CARD)).form(f"{CARD}/appeals", {}).fields
    sent = form | TYPED | {"subject": str(site.city.subjects["Опалення"]), "address": found["value"],
                           "building": str(found["id"]), "building_for": found["value"]}  # fmt: skip
    del sent["csrf"]
    answer = await desk.post(f"{CARD}/appeals", **sent)
    assert answer.status_code == 303, answer.text
    answer = await desk.post(f"{CARD}/appeals", **sent | {"building": "999", "once": "another"})
    told = "Таких адрес кілька" in answer.text
    assert (answer.status_code, told) == (422, True), "it is gone: looked for by what is written"


async def test_a_pending_confirmation_is_asked_in_the_citizens_own_call(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    await write(desk)
    executor, path = await site.person(Role.EXECUTOR), "/appeals/26000001"
    await executor.submit(await executor.open(path), path, action="execute", note="Зроблено")
    site.calling(linkedid="1767000001.5")
    card = "/calls/1767000001.5"
    page = await desk.open(card)
    assert "Спитайте, чи вирішено" in page.text
    page = await desk.submit(page, f"{card}/answer", number="26000001", result="not_solved")
    assert page.status == 422
    assert "що лишилося" in page.text
    page = await desk.submit(page, f"{card}/answer", number="26000001", result="not_solved", note="Досі холодно")
    assert "записано" in page.text
    assert "Спитайте" not in page.text
    shown = await desk.open("/appeals/26000001")
    assert "повернуто виконавцю" in shown.text
    assert "1767000001.5" in shown.text, "the evidence"


async def test_nobody_answers_for_somebody_elses_appeal(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    await write(desk)
    executor, path = await site.person(Role.EXECUTOR), "/appeals/26000001"
    await executor.submit(await executor.open(path), path, action="execute", note="Зроблено")
    site.calling(caller="+380449999999", linkedid="1767000002.1")
    answer = await desk.post("/calls/1767000002.1/answer", number="26000001", result="solved")
    assert answer.status_code == 422
    assert "іншої людини" in answer.text


async def test_suggestions_know_old_names_and_hostile_text(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    found = (await desk.http.get("/addresses", params={"q": "москов 10"})).json()
    assert [one["value"] for one in found] == ["проспект Степана Бандери, 10", "проспект Степана Бандери, 10-А"]
    assert "Московський" in found[0]["label"]
    for text in ("", "%", "_", "'; DROP TABLE street --", "\x00", "(", "х" * 150):
        assert (await desk.http.get("/addresses", params={"q": text})).status_code == 200, text
    part = await desk.http.get("/addresses/history", params={"address": "Хрещатик 22", "linkedid": LINKEDID})
    assert "вулиця Хрещатик, 22" in part.text
    assert "<html" not in part.text


async def test_a_mistyped_street_is_asked_about_and_never_taken_for_granted(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    page = await desk.submit(await desk.open(CARD), f"{CARD}/appeals", address="Хрищатик 22", do="find")
    assert "Можливо, це одна з адрес нижче" in page.text
    assert "вулиця Хрещатик, 22" in page.text
    assert page.form(f"{CARD}/appeals", {}).fields.get("building", "") == ""
