"""Calling residents back: who is due, the call that the line places, and what the form of its result records."""

from __future__ import annotations

import re
import wave
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from centre.demo.browser import Page
from crm import appeals, attachments, calls, citizens, clock, confirmations, schema
from crm.attachments import Stored
from crm.confirmation_rules import Reached
from crm.errors import BadInput, CentreError
from crm.life import Action, State
from crm.people import Role
from recordings import library
from tests.web.conftest import CALLER, Desk, Site
from web.texts import texts

SECOND = "+380671112233"
NOTE = "У дальній кімнаті досі холодно, «стояк» & кран."


@pytest.fixture
async def desk(site: Site) -> Desk:
    """One of the feedback staff, at seat 101."""
    desk = await site.person(Role.FEEDBACK)
    await desk.submit(await desk.open("/seat"), "/seat", seat="101")
    return desk


def callback_of(site: Site, number: int) -> int:
    with site.db.read() as conn:
        found = conn.scalars(select(schema.callback_appeal.c.callback_id).join(schema.appeal)
                             .where(schema.appeal.c.number == number)).all()  # fmt: skip
    return max(found)


def place(site: Site, number: int) -> str:
    """What the line does when it is asked for a call: the attempt on record, and its id."""
    with site.db.write() as conn:
        attempt = confirmations.claim(conn, callback_of(site, number), now=datetime.now(UTC),
                                      rules=site.settings.callback_rules, seat="101",
                                      staff_id=site.staff["feedback"])  # fmt: skip
    assert attempt is not None
    return attempt.id


async def form_of(site: Site, desk: Desk, number: int) -> tuple[str, Page]:
    path = f"/confirmations/attempts/{place(site, number)}"
    return path, await desk.open(path)


def state_of(site: Site, number: int) -> State:
    with site.db.read() as conn:
        appeal = appeals.by_number(conn, number)
    assert appeal is not None
    return appeal.state


def recording_about(site: Site, number: int, linkedid: str) -> int:
    """Of a call that was about the appeal: its recording, a moment of silence."""
    name = f"ab/{number:032x}.wav"
    path = site.settings.recordings / name
    path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000 * 30))
    now = datetime.now(UTC)
    with site.db.write() as conn:
        its = appeals.by_number(conn, number)
        assert its is not None
        calls.arrived(conn, linkedid, at=now, origin="mobile", caller=CALLER)
        calls.about(conn, linkedid, its.id, calls.Outcome.APPEAL, None, now)
        made = library.announced(conn, linkedid, name, now)
    library.index(site.db, site.settings.recordings, linkedid, now)
    return made


def outcome_of(site: Site, path: str) -> str:
    with site.db.read() as conn:
        return conn.execute(select(schema.attempt.c.outcome)
                            .where(schema.attempt.c.id == path.rpartition("/")[2])).scalar_one()  # fmt: skip


# ── who is due ──
async def test_those_who_are_due_are_listed_once_each_with_all_their_appeals(site: Site, desk: Desk) -> None:
    numbers = [site.appeal(executed=True), site.appeal(executed=True, subject="Холодна вода")]
    site.appeal(phone=SECOND, name="Степан Кравець")
    page = await desk.open("/confirmations")
    assert page.text.count("Олена Шевчук") == 1
    for number in numbers:
        assert f"№ {number}" in page.text
    assert "Степан Кравець" not in page.text, "nothing of his was done yet"
    assert "+380 44 ••• 45 67" in page.text, "the number is told to who calls it"
    assert len([form for form in page.forms if form.path.endswith("/call")]) == 1


async def test_nobody_is_due_outside_his_hours(site: Site, desk: Desk) -> None:
    site.appeal(executed=True)
    half_a_day_off = min((clock.minutes_of_day(datetime.now(UTC)) + 720) % 1440, 1380)
    with site.db.write() as conn:
        whose = citizens.by_phone(conn, CALLER)[0].id
        citizens.set_call_window(conn, whose, half_a_day_off, half_a_day_off + 60)
    assert "Зараз телефонувати нікому" in (await desk.open("/confirmations")).text


async def test_the_line_is_asked_for_the_call_and_the_form_opens(site: Site, desk: Desk) -> None:
    number = site.appeal(executed=True)
    path = f"/confirmations/{callback_of(site, number)}/call"
    page = await desk.open("/confirmations")
    site.line.reply = {"attempt": place(site, number)}
    shown = await desk.submit(page, path)
    assert site.line.did("call") == [{"do": "call", "callback_id": callback_of(site, number), "seat": "101",
                                      "staff_id": site.staff["feedback"]}]  # fmt: skip
    for told in ("Олена Шевчук", "+380 44 123 4567", "Батареї ледь теплі.", "Відрегульовано подачу.", "Бандери, 10"):
        assert told in shown.text
    assert "Мої дзвінки без результату" in (await desk.open("/confirmations")).text
    with site.db.read() as conn:
        looked = conn.execute(select(schema.access_log.c.staff_id).where(schema.access_log.c.what == "citizen")).all()
    assert looked


@pytest.mark.parametrize(("error", "status", "sentence"), [
    (BadInput("callback.inbound_first"), 422, "Зараз у черзі довго чекають"),
    (BadInput("callback.calling"), 422, "вже телефонують"),
    (CentreError("line.asterisk_away"), 503, "АТС не відповідає"),
    (CentreError("line.unanswered"), 503, "невідомо, чи дію виконано"),
])  # fmt: skip
async def test_why_no_call_is_placed_is_told_on_the_list(site: Site, desk: Desk, error: CentreError, status: int,
                                                        sentence: str) -> None:  # fmt: skip
    number = site.appeal(executed=True)
    site.line.refusal = error
    page = await desk.submit(await desk.open("/confirmations"), f"/confirmations/{callback_of(site, number)}/call")
    assert (page.status, sentence in page.text, f"№ {number}" in page.text) == (status, True, True)


async def test_who_sits_nowhere_is_told_to_take_a_seat(site: Site) -> None:
    desk = await site.person(Role.SUPERVISOR)
    number = site.appeal(executed=True)
    page = await desk.open("/confirmations")
    assert "спершу займіть місце" in page.text
    page = await desk.submit(page, f"/confirmations/{callback_of(site, number)}/call")
    assert (page.status, f"№ {number}" in page.text, site.line.did("call")) == (422, True, [])


async def test_no_number_left_is_told(site: Site, desk: Desk) -> None:
    number = site.appeal(executed=True)
    site.line.reply = {"attempt": None}
    page = await desk.submit(await desk.open("/confirmations"), f"/confirmations/{callback_of(site, number)}/call")
    assert "не лишилося придатного номера" in page.text


# ── what came of it ──
async def test_solved_closes_the_appeal_with_its_evidence(site: Site, desk: Desk) -> None:
    number = site.appeal(executed=True)
    path, page = await form_of(site, desk, number)
    page = await desk.submit(page, path, **{f"result-{number}": "solved"})
    assert "Результат записано" in page.text
    assert (state_of(site, number), outcome_of(site, path)) == (State.CLOSED, Reached.ANSWERED)
    assert {"do": "changed", "what": "callbacks"} in site.line.asked
    history = await desk.open(f"/appeals/{number}")
    assert f"Зі слів заявника: дзвінок {path.rpartition('/')[2]}" in history.text
    assert "Мої дзвінки без результату" not in (await desk.open("/confirmations")).text


@pytest.mark.parametrize("result", ["partly", "not_solved"])
async def test_what_is_not_wholly_solved_needs_what_remains(site: Site, desk: Desk, result: str) -> None:
    number = site.appeal(executed=True)
    path, page = await form_of(site, desk, number)
    page = await desk.submit(page, path, **{f"result-{number}": result})
    assert (page.status, "що лишилося зробити" in page.text) == (422, True)
    assert state_of(site, number) is State.AWAITING
    assert page.form(path, {}).fields[f"result-{number}"] == result, "the answer is still marked"
    await desk.submit(page, path, **{f"note-{number}": NOTE})
    assert state_of(site, number) is State.RETURNED
    assert NOTE in (await desk.open(f"/appeals/{number}")).text


@pytest.mark.parametrize("reached", [Reached.NO_ANSWER, Reached.BUSY])
async def test_who_was_not_reached_is_called_again_later(site: Site, desk: Desk, reached: Reached) -> None:
    number = site.appeal(executed=True)
    path, page = await form_of(site, desk, number)
    await desk.submit(page, path, reached=reached)
    assert (state_of(site, number), outcome_of(site, path)) == (State.AWAITING, reached)
    assert "Зараз телефонувати нікому" in (await desk.open("/confirmations")).text
    with site.db.write() as conn:
        conn.execute(update(schema.callback).values(due_at=datetime.now(UTC)))
    assert "1 спроба" in (await desk.open("/confirmations")).text


async def test_a_wrong_number_is_never_called_again_and_another_one_is(site: Site, desk: Desk) -> None:
    number = site.appeal(executed=True)
    with site.db.write() as conn:
        whose = citizens.by_phone(conn, CALLER)[0].id
        citizens.add_phone(conn, whose, SECOND, datetime.now(UTC) - timedelta(days=9))
    path, page = await form_of(site, desk, number)
    await desk.submit(page, path, reached="wrong_number")
    listed = (await desk.open("/confirmations")).text
    assert "22 33" in listed
    assert "45 67" not in listed
    path, page = await form_of(site, desk, number)
    await desk.submit(page, path, reached="wrong_number")
    assert state_of(site, number) is State.UNCONFIRMED, "no number is left"
    assert "(чужий номер)" in (await desk.open(f"/appeals/{number}")).text


async def test_who_asks_not_to_be_called_is_not_and_his_answer_counts(site: Site, desk: Desk) -> None:
    one, other = site.appeal(executed=True), site.appeal(executed=True, subject="Холодна вода")
    path, page = await form_of(site, desk, one)
    await desk.submit(page, path, reached="do_not_call", **{f"result-{one}": "solved"})
    assert (state_of(site, one), state_of(site, other)) == (State.CLOSED, State.UNCONFIRMED)
    with site.db.read() as conn:
        assert [phone.do_not_call for phone in citizens.by_phone(conn, CALLER)[0].phones] == [True]


async def test_several_appeals_are_asked_in_one_call_and_what_was_not_asked_stays_due(site: Site, desk: Desk) -> None:
    one, other = site.appeal(executed=True), site.appeal(executed=True, subject="Холодна вода")
    path, page = await form_of(site, desk, one)
    fields = {f"result-{one}": "solved", f"result-{other}": "partly"}
    page = await desk.submit(page, path, **fields)
    assert (page.status, state_of(site, one)) == (422, State.AWAITING), "all of it or nothing"
    again = page.form(path, {}).fields
    assert {name: again[name] for name in fields} == fields
    with site.db.write() as conn:
        conn.execute(update(schema.callback).values(due_at=datetime.now(UTC)))
    await desk.submit(page, path, **{f"note-{other}": NOTE})
    assert (state_of(site, one), state_of(site, other)) == (State.CLOSED, State.RETURNED)


async def test_an_answer_of_nobody_is_not_taken(site: Site, desk: Desk) -> None:
    """Marked by habit, and then the line was busy: one of the two is wrong, and only a person knows which."""
    number = site.appeal(executed=True)
    path, page = await form_of(site, desk, number)
    page = await desk.submit(page, path, reached="busy", **{f"result-{number}": "solved"})
    assert (page.status, "Перевірте, чим закінчився дзвінок" in page.text) == (422, True)
    assert (state_of(site, number), outcome_of(site, path)) == (State.AWAITING, "")
    page = await desk.submit(page, path, reached="answered")
    assert state_of(site, number) is State.CLOSED


@pytest.mark.parametrize("fields", [{}, {"reached": "unknown"}, {"reached": "answered"}])
async def test_a_result_that_says_nothing_is_not_taken(site: Site, desk: Desk, fields: dict[str, str]) -> None:
    number = site.appeal(executed=True)
    path, _ = await form_of(site, desk, number)
    answer = await desk.post(path, **fields, **{f"note-{number}": NOTE})
    assert answer.status_code == 422
    assert Page.read(answer).form(path, {}).fields[f"note-{number}"] == NOTE
    assert (state_of(site, number), outcome_of(site, path)) == (State.AWAITING, "")


async def test_a_hostile_result_is_not_taken(site: Site, desk: Desk) -> None:
    number, other = site.appeal(executed=True), site.appeal(executed=True, phone=SECOND, name="Степан Кравець")
    path, _ = await form_of(site, desk, number)
    answer = await desk.post(path, reached="answered", **{f"result-{number}": "closed"})
    assert answer.status_code == 422
    answer = await desk.post(path, reached="answered", **{f"result-{other}": "solved"})
    assert answer.status_code == 422, "somebody else's appeal is no question of this call"
    assert (state_of(site, number), state_of(site, other)) == (State.AWAITING, State.AWAITING)


async def test_a_call_that_ended_by_itself_is_not_said_to_be_recorded_anew(site: Site, desk: Desk) -> None:
    """The network told that it never took place; a late "wrong number" must not pass for recorded."""
    number = site.appeal(executed=True)
    path, page = await form_of(site, desk, number)
    with site.db.write() as conn:
        confirmations.finish(conn, path.rpartition("/")[2], Reached.FAILED, datetime.now(UTC),
                             rules=site.settings.callback_rules)  # fmt: skip
    page = await desk.submit(page, path, reached="wrong_number")
    assert (page.status, "вже записано, нічого не змінено" in page.text) == (422, True)
    assert outcome_of(site, path) == Reached.FAILED
    page = await desk.submit(page, path, reached="answered", **{f"result-{number}": "solved"})
    assert state_of(site, number) is State.CLOSED, "his word counts all the same"


# ── the screen of a call ──
async def test_the_screen_has_all_that_is_known_and_what_each_ending_leads_to(site: Site, desk: Desk) -> None:
    before = site.appeal(subject="Холодна вода", text="Капає кран на кухні.")
    number = site.appeal(executed=True)
    with site.db.write() as conn:
        its = appeals.by_number(conn, number)
        assert its is not None
        for name, kind in (("фото.jpg", "image/jpeg"), ("акт.pdf", "application/pdf")):
            attachments.add(conn, its.id, Stored(name, kind, 3, "ab" * 32 if kind == "image/jpeg" else "cd" * 32),
                            now=datetime.now(UTC), action="execute", staff_id=None)  # fmt: skip
    _, page = await form_of(site, desk, number)
    for told in ("Батареї ледь теплі.", "Відрегульовано подачу.", "одразу повернеться: Київтеплоенерго", "акт.pdf",
                 f"№ {before}", "Капає кран на кухні.", "спроба 1 із 4", "Іншого номера немає",
                 "На цей номер більше не телефонуватимемо"):  # fmt: skip
        assert told in page.text, told
    assert re.search(r"не відповідає 5 Наступна спроба — (сьогодні|завтра) о \d\d:\d\d", page.text)
    assert re.search(r"Історія.*<b>" + texts("uk")("event.execute"), page.html, re.S)
    assert re.search(r'<img src="/attachments/\d+" alt="фото.jpg"', page.html)
    with site.db.read() as conn:
        looked = {tuple(row) for row in conn.execute(select(schema.access_log.c.what, schema.access_log.c.subject_key))}
    assert ("appeal", str(its.id)) in looked


async def test_who_returns_it_a_second_time_passes_it_to_the_control_desk(site: Site, desk: Desk) -> None:
    number = site.appeal(executed=True)
    path, page = await form_of(site, desk, number)
    page = await desk.submit(page, path, **{f"result-{number}": "not_solved", f"note-{number}": NOTE})
    assert f"№ {number}: повернуто виконавцеві: Київтеплоенерго" in page.text
    with site.db.write() as conn:
        its = appeals.by_number(conn, number)
        assert its is not None
        appeals.act(conn, its.id, Action.EXECUTE, now=datetime.now(UTC), note="Ще раз відрегульовано.")
    path, page = await form_of(site, desk, number)
    assert "одразу повернеться: відділ контролю" in page.text
    page = await desk.submit(page, path, **{f"result-{number}": "partly", f"note-{number}": NOTE})
    assert f"№ {number}: передано відділу контролю" in page.text
    told = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", page.html))
    assert {name: told[name] for name in ("дзвінків", "вирішено", "повернуто")} == {
        "дзвінків": "2", "вирішено": "0", "повернуто": "2"}  # fmt: skip


async def test_what_came_of_it_is_told_to_who_called_and_while_it_goes_on_nothing_is(site: Site, desk: Desk) -> None:
    number = site.appeal(executed=True)
    path, page = await form_of(site, desk, number)
    assert "data-ended" not in page.html
    assert "data-ended" not in (await desk.http.get(f"{path}?part=1")).text
    page = await desk.submit(page, path, reached="no_answer")
    assert "Дзвінок завершено: не відповідає" in page.text
    assert re.search(r"Наступна спроба — (сьогодні|завтра) о \d\d:\d\d", page.text)
    part = (await desk.http.get(f"{path}?part=1")).text
    assert ("не відповідає" in part, "<html" in part) == (True, False)
    other = await site.person(Role.FEEDBACK, "other")
    assert "Дзвінок завершено" not in (await other.open(f"/confirmations?of={path.rpartition('/')[2]}")).text


async def test_another_number_that_was_given_is_called_instead_of_the_wrong_one(site: Site, desk: Desk) -> None:
    number = site.appeal(executed=True)
    path, page = await form_of(site, desk, number)
    refused = await desk.submit(page, path, reached="wrong_number", phone="+1 202 555 01 23")
    assert (refused.status, state_of(site, number)) == (422, State.AWAITING)
    assert refused.form(path, {}).fields["phone"] == "+1 202 555 01 23"
    page = await desk.submit(refused, path, reached="wrong_number", phone="067 111 22 33")
    assert "Наступна спроба" in page.text
    assert "22 33" in page.text
    assert state_of(site, number) is State.AWAITING
    with site.db.read() as conn:
        edit = conn.execute(select(schema.edit_log.c.what, schema.edit_log.c.staff_id, schema.edit_log.c.after)).one()
    assert tuple(edit) == ("citizen", site.staff["feedback"], {"phone": "added"}), "and no number of his"


async def test_do_not_call_is_the_ground_in_the_history(site: Site, desk: Desk) -> None:
    number = site.appeal(executed=True)
    path, page = await form_of(site, desk, number)
    await desk.submit(page, path, reached="do_not_call")
    assert state_of(site, number) is State.UNCONFIRMED
    assert "Не підтверджено: просить більше не телефонувати" in (await desk.open(f"/appeals/{number}")).text


async def test_the_recordings_of_his_calls_are_heard_while_he_is_called_and_no_longer(site: Site, desk: Desk) -> None:
    number, stranger = site.appeal(executed=True), site.appeal(phone=SECOND, name="Степан Кравець")
    recorded = {each: recording_about(site, each, f"17670000{n}.1") for n, each in enumerate((number, stranger))}
    path, page = await form_of(site, desk, number)
    hear = f"{path}/recordings/{recorded[number]}"
    assert f"/recordings/{recorded[stranger]}" not in page.html
    part = await desk.post(hear, part="1")
    address = re.search(r'<audio[^>]* src="([^"]+)"', part.text)
    assert address is not None
    assert "<html" not in part.text
    sound = await desk.http.get(address[1], headers={"Range": "bytes=0-3"})
    assert (sound.status_code, sound.content) == (206, b"RIFF")
    page = await desk.submit(await desk.open(path), hear, do="hear", **{f"note-{number}": NOTE})
    assert page.form(path, {}).fields[f"note-{number}"] == NOTE, "what was typed comes back with the player"
    assert "<audio" in page.html
    with site.db.read() as conn:
        heard = conn.execute(select(schema.listening.c.recording_id, schema.listening.c.staff_id,
                                    schema.listening.c.reason)).all()  # fmt: skip
    assert [tuple(row) for row in heard] == [
        (recorded[number], site.staff["feedback"], f"Підтвердження звернення № {number}")] * 2  # fmt: skip
    assert (await desk.post(f"{path}/recordings/{recorded[stranger]}")).status_code == 404, "another's appeal"
    other = await site.person(Role.FEEDBACK, "other")
    assert (await other.post(hear)).status_code == 403, "another's call"
    await desk.submit(await desk.open(path), path, reached="no_answer")
    refused = await desk.post(hear)
    assert (refused.status_code, "лише поки ви телефонуєте" in refused.text) == (403, True)
    assert "data-hear" not in (await desk.open(path)).html


async def test_an_attempt_that_nobody_made_is_not_found(site: Site, desk: Desk) -> None:
    assert (await desk.open("/confirmations/attempts/cb-000000000000000000000000")).status == 404
