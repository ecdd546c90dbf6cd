"""An appeal followed at the portal: who may open it, what it tells, what its applicant adds and says."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from crm import appeals, attachments, messages, schema, tokens
from crm.life import Action, State
from crm.stages import Awaited, Step
from tests.pictures import JPEG, PDF
from tests.portal.conftest import Portal
from web.portal import strangers
from web.texts import texts


def photos(html: str) -> set[str]:
    return set(re.findall(r'<img src="([^"]+)"', html))


async def test_number_and_code_open_the_appeal(portal: Portal) -> None:
    its = portal.file()
    resident = await portal.resident()
    page = await resident.submit(await resident.open("/follow"), "/follow", number=f" {its.number} ", code=its.code)
    assert page.url.endswith(portal.address(its))
    for told in ("Звернення прийнято", "Передано виконавцю: Київтеплоенерго", "Батареї ледь теплі.", "Бандери, 10"):
        assert told in page.text


async def test_a_wrong_code_says_the_same_whatever_is_wrong(portal: Portal) -> None:
    its = portal.file()
    number, wrong = str(its.number), f"{(int(its.code) + 1) % 10_000:04}"
    resident = await portal.resident()
    page = await resident.open("/follow")
    told = set()
    for tried in ((number, wrong), ("26999999", "1234"), ("двері", "ключ"), ("", ""), (number, "１２３４")):
        answer = await resident.fill(page, "/follow", number=tried[0], code=tried[1])
        assert (answer.status, "Батареї" in answer.text) == (422, False), tried
        told.add(answer.text)
    assert len(told) == 1
    assert "не збігаються" in told.pop()


async def test_after_ten_wrong_codes_the_right_one_opens_nothing_that_day(portal: Portal) -> None:
    """Numbers are public: a stranger may not shut an appeal to its applicant for ever."""
    portal.now = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    its = portal.file()
    wrong = f"{(int(its.code) + 1) % 10_000:04}"
    for attempt in range(appeals.CODE_TRIES):
        resident = await portal.resident(f"203.0.113.{attempt}")
        await resident.fill(await resident.open("/follow"), "/follow", number=str(its.number), code=wrong)
    resident = await portal.resident("203.0.113.99")
    page = await resident.fill(await resident.open("/follow"), "/follow", number=str(its.number), code=its.code)
    assert (page.status, "25.11, 02:00" in page.text) == (429, True)
    assert (await resident.open(portal.address(its))).status == 200  # who has its address is nobody who guesses
    with portal.db.write() as conn:
        assert appeals.by_number_and_code(conn, str(its.number), its.code, portal.now), "on the telephone it opens"
    portal.now = datetime(2026, 11, 25, 0, 0, 1, tzinfo=UTC)
    page = await resident.fill(await resident.open("/follow"), "/follow", number=str(its.number), code=its.code)
    assert page.url.endswith(portal.address(its))


async def test_what_the_telephone_has_locked_opens_in_writing_and_a_right_code_is_no_wrong_one(portal: Portal) -> None:
    its = portal.file()
    with portal.db.write() as conn:
        for _ in range(appeals.CODE_TRIES):
            appeals.by_number_and_code(conn, str(its.number), f"{(int(its.code) + 1) % 10_000:04}", portal.now)
        assert appeals.by_number_and_code(conn, str(its.number), its.code, portal.now) is None
    resident = await portal.resident()
    for _ in range(appeals.CODE_TRIES + 1):
        page = await resident.open("/follow")
        page = await resident.fill(page, "/follow", number=str(its.number), code=its.code)
        assert page.url.endswith(portal.address(its))
    with portal.db.write() as conn:
        conn.execute(schema.citizen.update().values(erased_at=portal.now))
    page = await resident.fill(await resident.open("/follow"), "/follow", number=str(its.number), code=its.code)
    assert page.status == 422, "whoever was erased has no appeal any more"


async def test_who_guesses_at_many_appeals_is_stopped_and_others_are_not(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "WRONG_CODES", 3)
    its, resident = portal.file(), await portal.resident("203.0.113.7")
    page = await resident.open("/follow")
    for number in range(3):
        await resident.fill(page, "/follow", number=str(26_900_000 + number), code="1234")
    right = {"number": str(its.number), "code": its.code}
    assert (await resident.fill(page, "/follow", **right)).status == 429
    other = await portal.resident("203.0.113.8")
    assert (await other.fill(await other.open("/follow"), "/follow", **right)).status == 200
    portal.now += timedelta(hours=1)
    assert (await resident.fill(page, "/follow", **right)).status == 200


async def test_a_forged_address_opens_nothing(portal: Portal) -> None:
    its, resident = portal.file(), await portal.resident()
    n, forged = its.number, f"{its.number}-{tokens.of('another secret', its.number)}"
    for path in (f"/a/{n}-aaaaaaaaaaaaaaaa", f"/a/{n}", f"/a/{forged}", "/a/x", "/a/%00", f"/a/{forged}/receipt",
                 f"/a/{forged}/files/1", f"/m/1-{'0' * 32}", "/m/x", "/m/1"):  # fmt: skip
        page = await resident.open(path)
        assert page.status == 404, path
        assert its.code not in page.text


async def test_what_the_city_did_is_told_and_what_it_says_among_itself_is_not(portal: Portal) -> None:
    its = portal.file()
    portal.act(its, Action.ACKNOWLEDGE, note="")
    portal.act(its, Action.REPRIMAND, note="внутрішня нотатка")
    its = portal.act(its, Action.EXECUTE, note="Відрегульовано подачу.")
    stored = attachments.store(portal.settings.attachments, "після.jpg", io.BytesIO(JPEG))
    with portal.db.write() as conn:
        attachments.add(conn, its.id, stored, now=portal.now, action=Action.EXECUTE.value, staff_id=None)
        hidden = attachments.add(conn, its.id, stored, now=portal.now, action=Action.ASSIGN.value, staff_id=None)
    resident = await portal.resident()
    page = await resident.open(portal.address(its))
    assert "Відрегульовано подачу." in page.text
    assert "внутрішня" not in page.text
    [photo] = photos(page.html)
    answer = await resident.http.get(photo)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert (await resident.http.get(f"{portal.address(its)}/files/{hidden}")).status_code == 404


async def test_words_and_photos_are_added_once_and_seen_by_the_staff(portal: Portal) -> None:
    its, resident = portal.file(), await portal.resident()
    page = await resident.open(portal.address(its))
    for _ in range(2):
        done = await resident.fill(page, f"{portal.address(its)}/add", [("ще.jpg", JPEG), ("акт.pdf", PDF)],
                                   note="Стало гірше.")  # fmt: skip
        assert "Додано" in done.text
    assert done.text.count("Стало гірше.") == 1
    with portal.db.read() as conn:
        heard = [each for each in appeals.history(conn, its.id) if each.action is Action.HEAR]
        assert [each.note for each in heard] == ["Стало гірше."]
        assert [each.name for each in attachments.of_appeal(conn, its.id)] == ["ще.jpg", "акт.pdf"]
    assert portal.appeals()[0].state is State.ASSIGNED


async def test_what_is_added_to_an_appeal_that_has_ended_waits_for_a_person(portal: Portal) -> None:
    its, resident = portal.file(), await portal.resident()
    portal.act(its, Action.REFUSE, note="Немає підстав.")
    page = await resident.fill(await resident.open(portal.address(its)), f"{portal.address(its)}/add", note="Є!")
    assert "прочитає наш фахівець" in page.text
    m = schema.message.c
    with portal.db.read() as conn:
        [row] = conn.execute(select(m.id, m.text, m.data).where(m.state == messages.State.NEW.value)).all()
    assert (row.text, row.data) == ("Є!", {"number": its.number})
    with portal.db.write() as conn:  # the person sees that it belongs there
        messages.add_to(conn, row.id, its.id, now=portal.now, staff_id=None)
    assert "Є!" in (await resident.open(portal.address(its))).text


async def test_nothing_added_and_too_much_added_are_said(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    its, resident = portal.file(), await portal.resident()
    path = f"{portal.address(its)}/add"
    page = await resident.fill(await resident.open(portal.address(its)), path)
    assert "Напишіть щось" in page.text
    monkeypatch.setattr("web.portal.follow.ADDED_HOURLY", 1)
    await resident.fill(page, path, note="раз")
    page = await resident.fill(await resident.open(portal.address(its)), path, note="два")
    assert page.status == 422
    assert page.form(path, {}).fields["note"] == "два"


async def test_solved_closes_it_and_not_solved_returns_it_with_a_photo(portal: Portal) -> None:
    its, resident = portal.file(), await portal.resident()
    word = f"{portal.address(its)}/word"
    assert not [form for form in (await resident.open(portal.address(its))).forms if form.path == word]
    portal.act(its, Action.EXECUTE, note="Зроблено.")
    page = await resident.open(portal.address(its))
    assert "Тепер ваше слово" in page.text
    refused = await resident.fill(page, word, result="not_solved", note="", kept="")
    assert "Напишіть, що лишилося" in refused.text
    for _ in range(2):
        page = await resident.fill(refused, word, [("холодно.jpg", JPEG)], result="not_solved", note="Досі 14 °C.")
        assert "не вирішено" in page.text
    [now] = portal.appeals()
    assert (now.state, now.returns) == (State.RETURNED, 1)
    assert "Досі 14 °C." in page.text
    assert len(photos(page.html)) == 1
    portal.act(its, Action.EXECUTE, note="Тепер зроблено.")
    page = await resident.submit(await resident.open(portal.address(its)), word, result="solved")
    assert "закрито за вашим словом" in page.text
    assert portal.appeals()[0].state is State.CLOSED
    assert {"do": "changed", "what": "callbacks"} in portal.line.did("changed")
    # It has come back: what was closed can still be returned, and not be closed once more.
    forms = [form for form in page.forms if form.path == word]
    assert [set(form.options["result"]) for form in forms] == [{"not_solved"}]


async def test_a_word_that_nobody_awaits_changes_nothing(portal: Portal) -> None:
    its, resident = portal.file(), await portal.resident()
    portal.act(its, Action.EXECUTE, note="Зроблено.")
    page = await resident.open(portal.address(its))
    portal.act(its, Action.WITHDRAW, note="Сам.")
    page = await resident.fill(page, f"{portal.address(its)}/word", result="solved")
    assert page.status in (409, 422)
    assert portal.appeals()[0].state is State.WITHDRAWN


async def test_no_word_is_taken_by_get_or_from_another_site(portal: Portal) -> None:
    its, resident = portal.file(), await portal.resident()
    portal.act(its, Action.EXECUTE, note="Зроблено.")
    word = f"{portal.address(its)}/word"
    form: Any = next(f for f in (await resident.open(portal.address(its))).forms if f.path == word)
    said = {**form.fields, "result": "solved"}
    assert (await resident.http.get(word, params=said)).status_code == 405
    assert (await resident.http.post(word, data=said, headers={"Origin": "https://else.where"})).status_code == 403
    assert (await resident.http.post(word, data={**said, "csrf": "x"})).status_code == 403
    assert portal.appeals()[0].state is State.AWAITING


def test_every_step_has_its_words_in_both_languages() -> None:
    for language in ("uk", "en"):
        for step in Step:
            assert "{" not in texts(language)(f"portal.step.{step}", department="X", day="Y")
        for what in Awaited:
            assert "{" not in texts(language)(f"portal.awaited.{what}", department="X", day="Y")
