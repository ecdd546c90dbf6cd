"""What callers are told of an incident, at its page: written, heard, announced, taken back; and who joined it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from crm import announcements, calls, edits, incident_callers, incidents, privacy
from crm.announcements import Announcement
from crm.confirmation_rules import Result
from crm.errors import BadInput, CentreError
from crm.people import Role
from tests.web.conftest import LINKEDID, Site
from tests.web.test_incidents import opened

UK, EN = "a" * 32, "b" * 32
SPOKEN = {"uk": {"sound": f"announcements/{UK}/said", "seconds": 7.4},
          "en": {"sound": f"announcements/{EN}/said", "seconds": 5.2}}  # fmt: skip
OTHER = {"uk": {"sound": f"announcements/{'c' * 32}/said", "seconds": 9.0}}
WORDS = {"text_uk": "Тепло дадуть о шостій вечора.", "text_en": "There will be heat at six."}


def said(site: Site, incident_id: int) -> Announcement | None:
    with site.db.read() as conn:
        return announcements.of(conn, incident_id)


def by_default(site: Site, incident_id: int) -> None:
    with site.db.write() as conn:
        announcements.by_default(conn, incident_id, {"uk": "Нам уже відомо.", "en": "We know."},
                                 {language: str(each["sound"]) for language, each in SPOKEN.items()},
                                 datetime.now(UTC))  # fmt: skip


async def test_words_are_heard_before_they_are_announced(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    incident_id = opened(site)
    path = f"/incidents/{incident_id}"
    page = await desk.open(path)
    assert "Повідомлення готується" in page.text
    by_default(site, incident_id)
    page = await desk.open(path)
    assert "Нам уже відомо." in page.text
    assert "Складено з того, що відомо" in page.text
    assert f'src="/announcements/uk/{UK}"' in page.html
    assert "Оголосити" not in page.text, "he has heard nothing yet"
    site.line.reply = {"spoken": SPOKEN}
    page = await desk.submit(page, f"{path}/announcement", do="listen", **WORDS)
    assert "7 секунд" in page.text
    assert f'src="/announcements/en/{EN}"' in page.html
    assert said(site, incident_id).made_by is None, "callers hear the old words still"  # type: ignore[union-attr]
    page = await desk.submit(page, f"{path}/announcement", do="live")
    assert "Збережено" in page.text
    kept = said(site, incident_id)
    assert kept is not None
    assert kept.texts == {"uk": WORDS["text_uk"], "en": WORDS["text_en"]}
    assert kept.sounds == {language: each["sound"] for language, each in SPOKEN.items()}
    assert site.line.did("changed")[-1]["what"] == "announcements"
    with site.db.read() as conn:
        (edit,) = edits.recent(conn, ["announcement"], 5)
    assert (edit.staff_id, (edit.before or {})["text_uk"], (edit.after or {})["text_uk"]) == (
        site.staff["control"], "Нам уже відомо.", WORDS["text_uk"])  # fmt: skip


async def test_words_changed_after_he_listened_are_spoken_to_him_once_more(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    incident_id = opened(site)
    path = f"/incidents/{incident_id}"
    site.line.reply = {"spoken": SPOKEN}
    page = await desk.submit(await desk.open(path), f"{path}/announcement", do="listen", **WORDS)
    site.line.reply = {"spoken": OTHER}
    page = await desk.submit(page, f"{path}/announcement", do="live", text_uk="Тепла не буде до завтра.", text_en="")
    assert said(site, incident_id) is None
    assert "9 секунд" in page.text
    page = await desk.submit(page, f"{path}/announcement", do="live")
    assert said(site, incident_id).texts["uk"] == "Тепла не буде до завтра."  # type: ignore[union-attr]


async def test_nothing_is_said_and_what_is_on_record_again(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    incident_id = opened(site)
    path = f"/incidents/{incident_id}"
    by_default(site, incident_id)
    page = await desk.submit(await desk.open(path), f"{path}/announcement", do="hush")
    assert "нічого не кажуть" in page.text
    assert said(site, incident_id).silent  # type: ignore[union-attr]
    page = await desk.submit(page, f"{path}/announcement", do="default")
    assert said(site, incident_id) is None
    assert "Повідомлення готується" in page.text, "the line makes it now"


@pytest.mark.parametrize(("refusal", "told"), [
    (BadInput("announcement.too_long", seconds=31, most=20), "Це звучить 31 с, а можна щонайбільше 20 с."),
    (CentreError("announcement.not_spoken", why="espeak-ng"), "Озвучити слова не вдалося (espeak-ng)."),
    (CentreError("line.unreachable"), ""),
])  # fmt: skip
async def test_what_cannot_be_spoken_is_told_and_what_was_typed_stays(site: Site, refusal: CentreError,
                                                                      told: str) -> None:  # fmt: skip
    desk = await site.person(Role.CONTROL)
    path = f"/incidents/{opened(site)}"
    page = await desk.open(path)
    site.line.refusal = refusal
    page = await desk.submit(page, f"{path}/announcement", do="listen", **WORDS)
    assert page.status >= 400
    assert told in page.text
    assert page.form(f"{path}/announcement", {"text_uk": ""}).fields["text_uk"].strip() == WORDS["text_uk"]


async def test_the_sound_is_played_and_nothing_else_of_the_disk(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    folder = site.settings.prompts / "uk" / "announcements" / UK
    folder.mkdir(parents=True)
    (folder / "said.wav").write_bytes(b"RIFF")
    (site.settings.prompts / "uk" / "greeting.wav").write_bytes(b"RIFF")
    answer = await desk.http.get(f"/announcements/uk/{UK}")
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "audio/wav", b"RIFF")
    for wrong in (f"uk/{EN}", f"xx/{UK}", "uk/greeting", "uk/..%2f..%2fgreeting", f"uk/{UK}x"):
        assert (await desk.http.get(f"/announcements/{wrong}")).status_code == 404, wrong


async def test_who_may_not_manage_incidents_reads_the_words_and_no_numbers(site: Site) -> None:
    incident_id = opened(site)
    by_default(site, incident_id)
    joined(site, incident_id)
    desk = await site.person(Role.OPERATOR)
    page = await desk.open(f"/incidents/{incident_id}")
    assert "Нам уже відомо." in page.text
    assert "Телефоном приєдналися 2 абоненти" in page.text
    assert "50 111" not in page.text
    with site.db.read() as conn:
        assert {look.what for look in privacy.looks(conn, staff_id=site.staff["operator"])} == {"incident"}
    assert "/announcements/" not in page.html
    assert (await desk.post(f"/incidents/{incident_id}/announcement", do="hush")).status_code == 403
    assert (await desk.http.get(f"/announcements/uk/{UK}")).status_code == 403


def joined(site: Site, incident_id: int) -> None:
    with site.db.write() as conn:
        for n, e164 in enumerate(("+380501112233", "+380501112244")):
            calls.arrived(conn, f"{LINKEDID}{n}", at=datetime.now(UTC), origin="mobile", caller=e164)
            incident_callers.join(conn, incident_id, e164=e164, linkedid=f"{LINKEDID}{n}", language="uk",
                                  now=datetime.now(UTC))  # fmt: skip


async def test_after_it_is_over_who_says_that_it_is_not_is_seen_first(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    incident_id = opened(site)
    joined(site, incident_id)
    page = await desk.open(f"/incidents/{incident_id}")
    assert "+380 50 111 2233" in page.text
    with site.db.read() as conn:
        looks = {(look.what, look.key) for look in privacy.looks(conn, staff_id=site.staff["control"])}
    assert {("call", f"{LINKEDID}0"), ("call", f"{LINKEDID}1")} <= looks, "whose numbers he saw"
    with site.db.write() as conn:
        incidents.close(conn, incident_id, result="Замінили", now=datetime.now(UTC), staff_id=None)
        incident_callers.carry_on(conn, datetime.now(UTC), site.settings.promise_rules)
        incident_callers.said(conn, incident_id, "+380501112233", Result.NOT_SOLVED)
    page = await desk.open(f"/incidents/{incident_id}")
    assert "запитуємо – 2" in page.text
    assert "не усунуто в 1" in page.text
    assert page.text.index("50 111 2233") < page.text.index("50 111 2244")
    assert "не усунуто в 1" in (await desk.open("/incidents?past=1")).text
