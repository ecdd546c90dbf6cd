"""Appeals: found, read, reported by their department; and no error costs anybody what he has typed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from centre.demo.browser import Page
from crm import appeals, confirmations
from crm.confirmation_rules import Result
from crm.errors import CentreError
from crm.life import Action, State
from crm.people import Role
from tests.web.conftest import CALLER, Desk, Site

TYPED = "Довгий, ретельно написаний текст: «стояк» & <кран>."


def found(page: Page) -> list[str]:
    return re.findall(r'<td><a href="/appeals/(\d+)"', page.html)


def state_of(site: Site, number: int) -> State:
    with site.db.read() as conn:
        appeal = appeals.by_number(conn, number)
    assert appeal is not None
    return appeal.state


async def act(desk: Desk, number: int, action: str, **fields: str) -> Page:
    return await desk.submit(await desk.open(f"/appeals/{number}"), f"/appeals/{number}", action=action, **fields)


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
    more = next(address for address, label in page.links if "Раніші" in label)
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
