"""Appeals: found, read, reported by their department; and no error costs anybody what he has typed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from centre.demo.browser import Page
from crm import appeals, attachments, confirmations, incidents
from crm.confirmation_rules import Result
from crm.errors import CentreError
from crm.life import Action, State
from crm.people import Role
from crm.schema import access_log, attachment, department
from crm.store import insert_row
from tests.pictures import JPEG, PDF
from tests.web.conftest import CALLER, Desk, Site

TYPED = "Довгий, ретельно написаний текст: «стояк» & <кран>."


def found(page: Page) -> list[str]:
    return re.findall(r'<td><a href="/appeals/(\d+)"', page.html)


def state_of(site: Site, number: int) -> State:
    with site.db.read() as conn:
        appeal = appeals.by_number(conn, number)
    assert appeal is not None
    return appeal.state


async def act(desk: Desk, of: int, action: str, /, **fields: str) -> Page:
    return await desk.submit(await desk.open(f"/appeals/{of}"), f"/appeals/{of}", action=action, **fields)


# ── found ──
async def test_appeals_are_found_by_number_state_subject_department_and_delay(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    late = site.appeal(at=datetime.now(UTC) - timedelta(days=60))
    water = site.appeal(subject="Холодна вода")
    done = site.appeal(executed=True)
    heat = site.city.departments["Київтеплоенерго"]
    for query, expected in (
        ("", [done, water, late]), (f"number={water}", [water]), (f"number=+26+000+00{water % 10}", [water]),
        ("state=awaiting", [done]), (f"subject={site.city.subjects['Холодна вода']}", [water]),
        (f"department={heat}", [done, late]), ("overdue=1", [late]), (f"department={heat}&state=assigned", [late]),
        ("number=27000001", []), ("state=closed", []),
    ):  # fmt: skip
        page = await desk.open(f"/appeals?{query}")
        assert found(page) == [str(number) for number in expected], query
    assert "Таких звернень немає" in page.text


@pytest.mark.parametrize("number", ["абв", "2600000О", "-1", "0"])
async def test_a_number_that_cannot_be_one_finds_nothing_and_is_told(site: Site, number: str) -> None:
    """Rather than everything, among which a tired eye looks for it."""
    desk = await site.person(Role.OPERATOR)
    site.appeal()
    page = await desk.submit(await desk.open("/appeals"), "/appeals", number=number)
    assert (page.status, found(page)) == (422, [])
    assert "лише з цифр" in page.text
    assert page.form("/appeals", {}).fields["number"] == number


async def test_a_long_list_goes_on(site: Site) -> None:
    desk = await site.person(Role.SUPERVISOR)
    numbers = [site.appeal(subject="Холодна вода") for _ in range(51)]
    site.appeal()
    page = await desk.open(f"/appeals?subject={site.city.subjects['Холодна вода']}")
    seen = found(page)
    assert len(seen) == 50
    more = next(address for address, label in page.links if "Далі" in label)
    seen += found(await desk.open(more))
    assert seen == [str(number) for number in reversed(numbers)]


async def test_an_executor_starts_with_his_own_work_and_finds_no_other(site: Site) -> None:
    desk = await site.person(Role.EXECUTOR)
    later = site.appeal(at=datetime.now(UTC) - timedelta(days=1))
    sooner = site.appeal(at=datetime.now(UTC) - timedelta(days=5))
    done = site.appeal(executed=True)
    water = site.appeal(subject="Холодна вода")
    assert found(await desk.open("/appeals")) == [str(sooner), str(later)], "nearest deadline first, what is to be done"
    assert found(await desk.open("/appeals?state=awaiting")) == [str(done)]
    for query in (f"number={water}", f"department={site.city.departments['Київводоканал']}&number={water}"):
        assert found(await desk.open(f"/appeals?{query}")) == []


# ── acted upon ──
async def test_a_report_of_execution_closes_nothing_and_asks_the_resident(site: Site) -> None:
    desk = await site.person(Role.EXECUTOR)
    number = site.appeal()
    page = await act(desk, number, "execute", note="Замінено насос.")
    assert "Зміну записано" in page.text
    for shown in ("Виконавець повідомив про виконання", "Замінено насос.", "Людина executor", "чекає підтвердження"):
        assert shown in page.text
    assert state_of(site, number) is State.AWAITING
    assert {"do": "changed", "what": "callbacks"} in site.line.asked
    feedback = await site.person(Role.FEEDBACK)
    assert f"№ {number}" in (await feedback.open("/confirmations")).text


async def test_the_line_being_away_does_not_stop_a_report(site: Site) -> None:
    desk = await site.person(Role.EXECUTOR)
    number = site.appeal()
    site.line.refusal = CentreError("line.unreachable")
    assert "Зміну записано" in (await act(desk, number, "execute", note="Зроблено")).text


async def test_nobody_overwrites_what_he_has_not_seen(site: Site) -> None:
    one, other = await site.person(Role.EXECUTOR), await site.person(Role.EXECUTOR, "second")
    number = site.appeal()
    old = await one.open(f"/appeals/{number}")
    await act(other, number, "start")
    page = await one.submit(old, f"/appeals/{number}", action="execute", note=TYPED)
    assert page.status == 409
    assert "змінив хтось інший" in page.text
    assert "Взято в роботу" in page.text, "what has changed is there to be read"
    assert state_of(site, number) is State.IN_WORK
    page = await one.submit(page, f"/appeals/{number}", action="execute")
    assert TYPED in page.text
    assert state_of(site, number) is State.AWAITING


@pytest.mark.parametrize(("action", "fields", "sentence"), [
    ("explain", {"note": ""}, "Напишіть пояснення"),
    ("plan", {"note": TYPED, "until": ""}, "Вкажіть дату"),
    ("plan", {"note": TYPED, "until": "2020-01-01"}, "ще не настала"),
    ("plan", {"note": TYPED, "until": "завтра"}, "Вкажіть дату"),
    ("plan", {"note": TYPED, "until": "0001-01-01"}, "ще не настала"),
    ("assign", {"note": TYPED, "department": "999"}, "Такого виконавця немає"),
    ("assign", {"note": TYPED, "department": "абв"}, "Оберіть виконавця"),
    ("refuse", {"note": TYPED * 100}, "не більш як 4000"),
])  # fmt: skip
async def test_every_error_keeps_what_was_typed(site: Site, action: str, fields: dict[str, str], sentence: str) -> None:
    desk = await site.person(Role.CONTROL)
    number = site.appeal()
    page = await act(desk, number, action, **fields)
    assert page.status in (404, 422)
    assert sentence in page.text
    again = page.form(f"/appeals/{number}", {"action": action})
    assert {name: again.fields[name].strip() for name in fields if name != "department"} == {
        name: value for name, value in fields.items() if name != "department"}  # fmt: skip
    assert re.search(rf'<details name="action" open>\s*<summary>[^<]*</summary>\s*<form id="act-{action}"', page.html)
    assert state_of(site, number) is State.ASSIGNED


async def test_a_failing_database_gives_back_what_was_typed_and_takes_it_later(site: Site) -> None:
    desk = await site.person(Role.EXECUTOR)
    number = site.appeal()
    page = await desk.open(f"/appeals/{number}")
    with site.db.write() as conn:
        conn.exec_driver_sql("ALTER TABLE session RENAME TO session_away")
    failed = await desk.submit(page, f"/appeals/{number}", action="execute", note=TYPED)
    assert failed.status == 503
    assert "нічого не збережено" in failed.text
    assert TYPED in failed.text
    with site.db.write() as conn:
        conn.exec_driver_sql("ALTER TABLE session_away RENAME TO session")
    page = await desk.submit(failed, f"/appeals/{number}")
    assert "Зміну записано" in page.text
    assert TYPED in page.text


async def test_only_what_may_be_done_is_offered_and_nothing_else_is_taken(site: Site) -> None:
    desk = await site.person(Role.EXECUTOR)
    number = site.appeal()
    page = await desk.open(f"/appeals/{number}")
    offered = {form.fields["action"] for form in page.forms if "action" in form.names}
    assert offered == {"acknowledge", "start", "execute", "explain", "plan"}
    for action in ("assign", "refuse", "confirm", "not_solved", "withdraw", "ask", "hear", "nonsense", ""):
        answer = await desk.post(f"/appeals/{number}", action=action, note="так", version="2", department="1")
        assert answer.status_code == 409, action
    assert state_of(site, number) is State.ASSIGNED


async def test_a_second_return_is_for_the_control_desk(site: Site) -> None:
    executor, control = await site.person(Role.EXECUTOR), await site.person(Role.CONTROL)
    number = site.appeal()
    for n in (1, 2):
        with site.db.write() as conn:
            appeal = appeals.by_number(conn, number)
            assert appeal is not None
            appeals.act(conn, appeal.id, Action.EXECUTE, now=datetime.now(UTC), note="Готово")
            confirmations.answer(conn, number=number, result=Result.NOT_SOLVED, now=datetime.now(UTC), key="2",
                                 linkedid=f"1767000000.{n}", note="Досі холодно")  # fmt: skip
    page = await executor.open(f"/appeals/{number}")
    assert "на контролі" in page.text
    assert "повернуто 2 рази" in page.text
    assert "Зараз із цим зверненням ви нічого зробити не можете" in page.text
    assert "натиснуто 2" in page.text, "on what ground"
    page = await act(control, number, "assign", department="Київводоканал", note="Перевірити тиск.")
    assert "Передано виконавцю: Київводоканал" in re.sub(r"\s+:", ":", page.text)
    assert (await executor.open(f"/appeals/{number}")).status == 404, "it is another department's now"


async def test_an_answer_is_shown_to_the_next_operator_and_a_residents_word_is_not_one(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    number = site.appeal(executed=True)
    with site.db.write() as conn:
        confirmations.answer(conn, number=number, result=Result.NOT_SOLVED, now=datetime.now(UTC), key="2",
                             linkedid="1767000000.9", note="Досі холодно")  # fmt: skip
    page = await desk.open(f"/calls/{site.calling(CALLER)}")
    assert "Відрегульовано подачу." in page.text
    assert "Досі холодно" not in page.text


@pytest.mark.parametrize("channel", appeals.CHANNELS)
async def test_an_appeal_of_every_channel_is_shown(site: Site, channel: str) -> None:
    desk = await site.person(Role.SUPERVISOR)
    with site.db.write() as conn:
        made = appeals.register(conn, now=datetime.now(UTC), citizen_id=None, building_id=None, text="Текст",
                                subject_id=site.city.subjects["Опалення"], channel=channel, staff_id=None)  # fmt: skip
    assert (await desk.open(f"/appeals/{made.number}")).status == 200


# ── what the page can do beside ──
async def test_every_action_that_is_offered_has_a_form_that_works(site: Site) -> None:
    """By the control desk and the supervisor, each on an appeal of its own."""
    control, supervisor = await site.person(Role.CONTROL), await site.person(Role.SUPERVISOR)
    site.hire(Role.OFFICIAL)
    with site.db.write() as conn:
        police = insert_row(conn, department, {"name": "Поліція", "kind": "outside"})
        burst = incidents.declare(conn, subject_id=site.city.subjects["Опалення"], cause="Порив", staff_id=None,
                                  now=datetime.now(UTC), building_id=site.city.buildings["Хрещатик 22"])  # fmt: skip
    soon = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
    earlier = site.appeal(at=datetime.now(UTC) - timedelta(days=1))
    given: dict[str, dict[str, str]] = {
        "assign": {"department": "Київводоканал"}, "plan": {"until": soon}, "extend": {"until": soon},
        "reprimand": {}, "take_control": {"official": "Людина official"}, "link": {"number": str(earlier)},
        "merge": {"number": str(earlier)}, "join": {"incident": str(burst)}, "forward": {"department": str(police)},
        "correct": {"subject": str(site.city.subjects["Холодна вода"]), "kind": "complaint"},
    }  # fmt: skip
    tried = set()
    for desk in (control, supervisor):
        page = await desk.open(f"/appeals/{site.appeal()}")
        for action in sorted({form.fields["action"] for form in page.forms if "action" in form.names}):
            number = site.appeal()
            page = await desk.open(f"/appeals/{number}")
            note = {"note": "Підстава"} if "note" in page.form(f"/appeals/{number}", {"action": action}).names else {}
            page = await desk.submit(page, f"/appeals/{number}", action=action, **note, **given.get(action, {}))
            assert "Зміну записано" in page.text, (action, page.text[:1500])
            tried.add(action)
    assert tried >= given.keys() | {"acknowledge", "execute", "explain", "refuse", "find_defective", "withdraw"}


async def test_a_defective_one_is_completed_and_goes_back_to_work(site: Site) -> None:
    control, operator = await site.person(Role.CONTROL), await site.person(Role.OPERATOR)
    number = site.appeal()
    await act(control, number, "find_defective", note="Немає адреси.")
    page = await act(operator, number, "complete", note="Хрещатик, 22.")
    assert state_of(site, number) is State.ASSIGNED
    assert "Хрещатик, 22." in page.text
    assert "бракує відомостей" in page.text, "whom it was told"


async def test_the_page_shows_what_the_appeal_stands_together_with(site: Site) -> None:
    desk = await site.person(Role.SUPERVISOR)
    first, second, third = (site.appeal(at=datetime.now(UTC) - timedelta(days=days)) for days in (3, 2, 1))
    await act(desk, second, "link", number=str(first))
    page = await act(desk, third, "merge", number=f"{first}"[:2] + " " + f"{first}"[2:])
    assert f"Виконується разом із № {first}" in re.sub(r"\s+", " ", page.text)
    page = await desk.open(f"/appeals/{first}")
    text = re.sub(r"\s+", " ", page.text)
    assert f"Повторні до нього № {second}" in text
    assert f"Об’єднані з ним № {third}" in text
    page = await act(desk, third, "split")
    assert "Виконується разом із" not in page.text


async def test_a_correction_offers_whom_the_rules_name_now(site: Site) -> None:
    desk = await site.person(Role.SUPERVISOR)
    number = site.appeal()
    page = await act(desk, number, "correct", subject=str(site.city.subjects["Холодна вода"]), note="Ідеться про воду.")
    assert "було — Опалення" in page.text
    assert "За правилами відповідає Київводоканал." in page.text
    assert page.form(f"/appeals/{number}", {"action": "assign"}).fields["department"] == str(
        site.city.departments["Київводоканал"])  # fmt: skip
    typed = {"address": "вулиця Такої Немає, 5"}
    page = await act(desk, number, "correct", **typed)
    assert (page.status, page.form(f"/appeals/{number}", {"action": "correct"}).fields["address"]) == (
        422, typed["address"])  # fmt: skip


async def test_lists_are_narrowed_by_words_district_channel_kind_and_neighbours(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    leak = site.appeal(text="Тече стояк у підвалі", subject="Холодна вода")
    cold = site.appeal(name="Інша Людина", phone="+380671112233")
    district = next(iter(re.findall(r'<option value="(\d+)">Шевченківський', (await desk.open("/appeals")).html)))
    for query, expected in (
        ("text=СТОЯК", [leak]), ("text=інша+людина", [cold]), (f"district={district}", [cold, leak]),
        ("channel=phone", [cold, leak]), ("channel=web", []), ("kind=complaint", []), ("priority=1", []),
        (f"near={leak}&of=citizen", [leak]), (f"near={leak}&of=building", [cold, leak]),
    ):  # fmt: skip
        page = await desk.open(f"/appeals?{query}")
        assert found(page) == [str(number) for number in expected], query
    for query in ("channel=pigeon", "kind=x", "near=1&of=citizen", f"near={leak}&of=x", "district=абв"):
        page = await desk.open(f"/appeals?{query}")
        assert (page.status in (404, 422), found(page)) == (True, []), query


# ── a department's own ──
async def test_an_executor_acknowledges_one_and_then_all_that_he_has_seen(site: Site) -> None:
    desk = await site.person(Role.EXECUTOR)
    one, two = site.appeal(), site.appeal()
    page = await act(desk, one, "acknowledge")
    assert "Отримання підтверджено" in page.text
    assert "acknowledge" not in {form.fields.get("action") for form in page.forms}
    page = await desk.open("/appeals")
    assert "Підтвердити отримання 1 нового звернення" in page.text
    later = site.appeal()
    page = await desk.submit(page, "/appeals/acknowledge")
    assert "Отримання підтверджено." in page.text
    with site.db.read() as conn:
        known = {number: its.acknowledged_at is not None for number in (one, two, later)
                 if (its := appeals.by_number(conn, number))}  # fmt: skip
    assert known == {one: True, two: True, later: False}, "what he has not seen he has not acknowledged"


async def test_another_departments_appeal_is_not_acknowledged_whatever_is_sent(site: Site) -> None:
    desk = await site.person(Role.EXECUTOR)
    water = site.appeal(subject="Холодна вода")
    answer = await desk.post("/appeals/acknowledge", **{f"n-{water}": "2"})
    assert answer.status_code == 403
    with site.db.read() as conn:
        its = appeals.by_number(conn, water)
    assert its is not None
    assert its.acknowledged_at is None


async def test_the_list_to_print_has_what_a_crew_needs_and_is_the_departments_own(site: Site) -> None:
    desk, control = await site.person(Role.EXECUTOR), await site.person(Role.CONTROL)
    number, water = site.appeal(), site.appeal(subject="Холодна вода")
    page = await desk.open(f"/appeals/print?department={site.city.departments['Київводоканал']}")
    for shown in (str(number), "Бандери, 10, кв.\xa041", "Олена Шевчук", "+380 44 123 4567", "Київтеплоенерго"):
        assert shown in page.text, shown
    assert str(water) not in page.text
    page = await control.open(f"/appeals/print?department={site.city.departments['Київводоканал']}")
    assert (str(number) in page.text, str(water) in page.text) == (False, True)
    assert (await control.open("/appeals/print")).status == 422
    assert (await control.open("/appeals/print?department=99")).status == 404
    with site.db.read() as conn:
        seen = conn.execute(select(access_log.c.staff_id, access_log.c.what, access_log.c.why)).all()
    assert (site.staff["executor"], "appeal", "print") in [tuple(row) for row in seen]


# ── proof ──
async def send(desk: Desk, number: int, files: list[tuple[str, bytes]], **fields: str) -> Page:
    """The form of a report with files, as a browser sends it."""
    form = (await desk.open(f"/appeals/{number}")).form(f"/appeals/{number}", {"action": "execute"})
    sent = [("files", (name, data, "application/octet-stream")) for name, data in files]
    return Page.read(await desk.http.post(
        f"/appeals/{number}", data={**form.fields, "note": "Замінено.", **fields}, files=sent,
        headers={"Origin": site_of(desk)}))  # fmt: skip


def site_of(desk: Desk) -> str:
    return str(desk.http.base_url).rstrip("/")


async def test_a_report_comes_with_its_proof(site: Site) -> None:
    desk, operator = await site.person(Role.EXECUTOR), await site.person(Role.OPERATOR)
    number = site.appeal()
    page = await send(desk, number, [("до й після.jpg", JPEG), ("акт.pdf", PDF), ("той самий.jpg", JPEG)])
    assert "Зміну записано" in page.text
    assert state_of(site, number) is State.AWAITING
    page = await operator.open(f"/appeals/{number}")
    links = [(address, label) for address, label in page.links if address.startswith("/attachments/")]
    assert [label for _, label in links] == ["до й після.jpg", "акт.pdf"]
    for (address, _), begins, kind, shown in zip(links, (b"\xff\xd8\xff", PDF), ("image/jpeg", "application/pdf"),
                                                 ("inline", "attachment"), strict=True):  # fmt: skip
        answer = await operator.http.get(address)
        assert (answer.content[: len(begins)], answer.headers["content-type"]) == (begins, kind)
        assert answer.headers["content-disposition"].startswith(shown)
        assert answer.headers["x-content-type-options"] == "nosniff"
    stranger = await site.person(Role.EXECUTOR, "water", "Київводоканал")
    assert (await stranger.http.get(links[0][0])).status_code == 404


@pytest.mark.parametrize(("files", "sentence"), [
    ([("page.html", b"<script>alert(1)</script>")], "Приймаємо лише фото"),
    ([("photo.jpg", b"")], "Файл порожній"),
    ([(f"{n}.jpg", JPEG) for n in range(6)], "Забагато файлів"),
    ([("big.pdf", PDF.ljust(attachments.LARGEST + 1, b" "))], "щонайбільше 25 МБ"),
])  # fmt: skip
async def test_what_is_no_proof_is_refused_and_reports_nothing(site: Site, files: list[tuple[str, bytes]],
                                                               sentence: str) -> None:  # fmt: skip
    desk = await site.person(Role.EXECUTOR)
    number = site.appeal()
    page = await send(desk, number, files)
    assert page.status == 422
    assert sentence in page.text
    assert state_of(site, number) is State.ASSIGNED
    with site.db.read() as conn:
        assert conn.execute(select(func.count()).select_from(attachment)).scalar_one() == 0


async def test_who_is_not_signed_in_sends_no_files(site: Site) -> None:
    stranger = await site.stranger()
    number = site.appeal()
    photo = ("x.jpg", JPEG.ljust(200_000, b"x"), "image/jpeg")
    answer = await stranger.http.post(f"/appeals/{number}", data={"action": "execute"}, files=[("files", photo)],
                                      headers={"Origin": site.base})  # fmt: skip
    assert answer.status_code == 422
    assert not site.settings.attachments.exists()


async def test_a_form_cut_short_is_told_and_does_nothing(site: Site) -> None:
    desk = await site.person(Role.EXECUTOR)
    number = site.appeal()
    for kind, body in (
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=\"a"),
        ("multipart/form-data", b"--x--"), ("multipart/form-data; boundary=x", b"nonsense"),
    ):  # fmt: skip
        answer = await desk.http.post(f"/appeals/{number}", content=body, headers={
            "Content-Type": kind, "Origin": site.base})  # fmt: skip
        assert answer.status_code in (403, 422), kind
    assert state_of(site, number) is State.ASSIGNED
