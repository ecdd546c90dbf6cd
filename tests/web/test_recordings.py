"""Hearing a recording: only with a reason, only who may, and every listening on record before the first sound."""

from __future__ import annotations

import re
import wave
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from centre.demo.browser import Page
from crm import appeals, calls, schema
from crm.clock import KYIV
from crm.people import Role
from recordings import library
from recordings.files import State
from tests.web.conftest import CALLER, LINKEDID, Desk, Site
from web.tickets import TICKET_LASTS, Tickets

NAME = "ab/" + "0123456789abcdef" * 2 + ".wav"
REASON = "Скарга мешканки на тон розмови"


@pytest.fixture
def recording(site: Site) -> int:
    """Two seconds of a call that is over, indexed."""
    site.calling()
    site.hang_up()
    path = site.settings.recordings / NAME
    path.parent.mkdir(parents=True, mode=0o700)
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(range(256)) * 125)
    with site.db.write() as conn:
        made = library.announced(conn, LINKEDID, NAME, datetime.now(UTC))
    (indexed,) = library.index(site.db, site.settings.recordings, LINKEDID, datetime.now(UTC))
    assert indexed.found.state is State.OK, indexed
    return made


def file_of(site: Site) -> Path:
    return site.settings.recordings / NAME


def listenings(site: Site) -> list[tuple[int, int, str]]:
    with site.db.read() as conn:
        rows = conn.execute(select(schema.listening.c.recording_id, schema.listening.c.staff_id,
                                   schema.listening.c.reason))  # fmt: skip
        return [tuple(row) for row in rows]


def copies(site: Site) -> list[tuple[int, str, str]]:
    with site.db.read() as conn:
        log = schema.access_log.c
        rows = conn.execute(select(log.staff_id, log.subject_key, log.why).where(log.what == library.COPY))
        return [tuple(row) for row in rows]


def set_state(site: Site, state: State) -> None:
    with site.db.write() as conn:
        conn.execute(update(schema.recording).values(state=state))


def player(page: Page) -> str:
    address = re.search(r'<audio[^>]* src="([^"]+)"', page.html)
    return address[1] if address else ""


async def listen(desk: Desk, recording: int, reason: str = REASON) -> Page:
    path = f"/recordings/{recording}"
    return await desk.submit(await desk.open(path), path, reason=reason)


async def test_a_recording_is_heard_with_a_reason_that_is_on_record(site: Site, recording: int) -> None:
    desk = await site.person(Role.SUPERVISOR)
    card = await desk.open(f"/calls/{LINKEDID}")
    assert (f"/recordings/{recording}", "Прослухати") in card.links
    assert "0:02" in card.text
    page = await listen(desk, recording)
    assert listenings(site) == [(recording, site.staff["supervisor"], REASON)], "before the first sound"
    sound = await desk.http.get(player(page))
    assert (sound.status_code, sound.headers["content-type"]) == (200, "audio/wav")
    assert sound.content == file_of(site).read_bytes()
    assert sound.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("reason", ["", "   ", "\n\u202e"])
async def test_without_a_reason_there_is_no_sound(site: Site, recording: int, reason: str) -> None:
    desk = await site.person(Role.CONTROL)
    page = await listen(desk, recording, reason)
    assert (page.status, player(page), listenings(site)) == (422, "", [])
    assert "навіщо ви слухаєте" in page.text


async def test_too_long_a_reason_is_told_and_kept(site: Site, recording: int) -> None:
    desk = await site.person(Role.CONTROL)
    page = await listen(desk, recording, "дуже " * 50)
    assert (page.status, listenings(site)) == (422, [])
    assert page.form(f"/recordings/{recording}", {}).fields["reason"] == ("дуже " * 50).strip()


async def test_a_ticket_is_good_for_the_person_it_was_given_to(site: Site, recording: int) -> None:
    desk, other = await site.person(Role.SUPERVISOR), await site.person(Role.CONTROL)
    operator, stranger = await site.person(Role.OPERATOR), await site.stranger()
    address = player(await listen(desk, recording))
    assert (await other.http.get(address)).status_code == 404, "he too may listen, when he has said why"
    assert (await operator.http.get(address)).status_code == 403
    assert "/sign-in" in str((await stranger.http.get(address)).url)
    another = address[:-1] + ("-" if address.endswith("_") else "_")
    assert (await desk.http.get(another)).status_code == 404
    assert (await desk.http.get(address)).status_code == 200


def test_a_ticket_is_good_for_a_while() -> None:
    tickets, now = Tickets(), datetime.now(UTC)
    mark = tickets.give(Path("a.wav"), 1, now)
    assert tickets.path(mark, 1, now + TICKET_LASTS * 0.99) == Path("a.wav")
    for staff, at in ((1, now + TICKET_LASTS), (2, now)):
        with pytest.raises(library.NotFound):
            tickets.path(mark, staff, at)


async def test_the_player_may_ask_for_a_part(site: Site, recording: int) -> None:
    desk = await site.person(Role.SUPERVISOR)
    address = player(await listen(desk, recording))
    whole = file_of(site).read_bytes()
    for asked, part in (("bytes=0-99", whole[:100]), ("bytes=100-", whole[100:]), ("bytes=-50", whole[-50:])):
        answer = await desk.http.get(address, headers={"Range": asked})
        assert (answer.status_code, answer.content) == (206, part), asked
        assert answer.headers["content-range"].endswith(f"/{len(whole)}")
    answer = await desk.http.get(address, headers={"Range": f"bytes={len(whole)}-"})
    assert answer.status_code == 416
    assert len(listenings(site)) == 1, "one listening, however often the player asks"


@pytest.mark.parametrize(("state", "sentence"), [
    (State.OPEN, "Розмова ще триває"), (State.EXPIRED, "строк його зберігання минув"),
])  # fmt: skip
async def test_what_cannot_be_heard_yet_or_any_more_is_told(site: Site, recording: int, state: State,
                                                           sentence: str) -> None:  # fmt: skip
    desk = await site.person(Role.SUPERVISOR)
    set_state(site, state)
    page = await listen(desk, recording)
    assert (page.status, sentence in page.text, listenings(site)) == (404, True, [])
    card = await desk.open(f"/calls/{LINKEDID}")
    assert f"/recordings/{recording}" not in card.html, "the card offers no such link"


async def test_a_missing_file_is_told_also_when_it_goes_while_somebody_listens(site: Site, recording: int) -> None:
    desk = await site.person(Role.SUPERVISOR)
    address = player(await listen(desk, recording))
    file_of(site).unlink()
    answer = await desk.http.get(address)
    assert (answer.status_code, "Файлу запису немає" in answer.text) == (404, True)
    page = await listen(desk, recording)
    assert (page.status, "Файлу запису немає" in page.text) == (404, True)


async def test_a_damaged_recording_may_be_heard(site: Site, recording: int) -> None:
    desk = await site.person(Role.SUPERVISOR)
    set_state(site, State.DAMAGED)
    assert "пошкоджений" in (await desk.open(f"/calls/{LINKEDID}")).text
    assert player(await listen(desk, recording))


async def test_a_range_is_sought_and_a_copy_is_a_right_of_its_own(site: Site, recording: int) -> None:
    desk, control = await site.person(Role.SUPERVISOR), await site.person(Role.CONTROL)
    page = await listen(desk, recording)
    part = await desk.http.get(player(page), headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, file_of(site).read_bytes()[1000:2000]), "so that players can seek"
    assert "Завантажити" not in (await control.open(f"/recordings/{recording}")).text
    path = f"/recordings/{recording}/copy"
    assert (await control.post(path, reason=REASON)).status_code == 403
    refused = await desk.post(path, reason=" ")
    assert (refused.status_code, copies(site), len(listenings(site))) == (422, [], 1)
    copy = await desk.post(path, reason="На вимогу суду 12/34")
    assert copy.content == file_of(site).read_bytes()
    assert re.fullmatch(r'attachment; filename="1551-[-0-9]+\.wav"', copy.headers["content-disposition"])
    assert copies(site) == [(site.staff["supervisor"], str(recording), "На вимогу суду 12/34")]
    assert listenings(site)[1:] == [(recording, site.staff["supervisor"], "На вимогу суду 12/34")]


async def test_it_is_found_by_whom_when_and_what_it_was_about(site: Site, recording: int) -> None:
    desk = await site.person(Role.SUPERVISOR)
    number, today = site.appeal(), datetime.now(KYIV).date()
    with site.db.write() as conn:
        its = appeals.by_number(conn, number)
        assert its is not None
        calls.about(conn, LINKEDID, its.id, calls.Outcome.APPEAL, site.staff["supervisor"], datetime.now(UTC))
    page = await desk.open("/recordings")
    until = today + timedelta(days=site.settings.recording_days)
    for told in ("0:02", "+380 44 ••• 45 67", "місце 101", "звернення", str(number), f"{until:%d.%m.%Y}"):
        assert told in page.text
    assert CALLER not in page.html
    link = (f"/recordings/{recording}", "Прослухати")
    yesterday = today - timedelta(days=1)
    for asked, is_found in ((f"number={number}", True), ("number=26999999", False), ("phone=044+123-45-67", True),
                            ("phone=%2B380671112233", False), (f"from={today}&to={today}", True),
                            (f"to={yesterday}", False), ("seat=101", True), ("seat=102", False), ("longest=1", True),
                            ("shortest=1", False), ("outcome=appeal", True), ("outcome=prank", False),
                            (f"person={site.staff['supervisor']}", False)):  # fmt: skip
        page = await desk.open(f"/recordings?{asked}")
        assert (page.status, link in page.links) == (200, is_found), asked
    for wrong in ("from=вчора", "phone=хтось", "number=x", "longest=9999", "outcome=%27",
                  f"from={today}&to={yesterday}"):  # fmt: skip
        page = await desk.open(f"/recordings?{wrong}")
        assert (page.status, link in page.links, 'class="wrong"' in page.html) == (422, False, True), wrong


async def test_more_follow_and_a_file_that_nobody_announced_is_among_them(site: Site, recording: int) -> None:
    desk, now = await site.person(Role.CONTROL), datetime.now(UTC)
    with site.db.write() as conn:
        conn.execute(insert(schema.recording), [
            {"linkedid": "", "path": f"cd/{n:032x}.wav", "started_at": now - timedelta(days=1, minutes=n),
             "state": State.DAMAGED.value} for n in range(50)])  # fmt: skip
    page = await desk.open("/recordings")
    assert page.text.count("дзвінка немає на обліку") == 49
    (more,) = [address for address, label in page.links if label.startswith("Далі")]
    rest = await desk.open(more)
    assert (rest.text.count("дзвінка немає на обліку"), f"/recordings/{recording}" in rest.html) == (1, False)


async def test_the_card_shows_recordings_to_those_who_may_listen(site: Site, recording: int) -> None:
    desk = await site.person(Role.OPERATOR)
    assert "/recordings/" not in (await desk.open(f"/calls/{LINKEDID}")).html
    assert (await desk.open(f"/recordings/{recording}")).status == 403
