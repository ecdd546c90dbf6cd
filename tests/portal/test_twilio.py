"""What Twilio calls, as it calls it: signed, twice, late, out of order; and what the resident gets for it."""

from __future__ import annotations

import datetime as dt
import random
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from centre.outside.twilio import FakeTwilio, Hook
from centre.settings import Settings
from crm import appeals, citizens, notices, remote_files
from crm.appeals import Appeal
from crm.life import Action, State
from crm.schema import appeal_event, citizen, message, notice
from crm.store import Database
from crm.telling import Way
from tests.crm.conftest import NOON, City, found_city
from tests.web.conftest import FakeLine
from web.portal.app import create_portal

ACCOUNT, TOKEN, NUMBER = "AC" + "0" * 32, "a token", "+380891234567"
PORTAL, MARIA, OTHER = "https://1551.city.example", "+380671112233", "+380501112233"
SIP = "sips:1551@sip.city.example"


@dataclass
class Place:
    """The portal, the city behind it and the Twilio that calls it. ``now`` is the time everywhere."""

    db: Database
    city: City
    settings: Settings
    now: dt.datetime = NOON
    twilio: FakeTwilio = field(init=False)
    http: TestClient = field(init=False)

    def sms(self, text: str, sender: str = MARIA, **more: Any) -> Hook:
        """One that has come and is answered by nothing but an empty document."""
        hook = self.twilio.sms(sender, text, **more)
        self.deliver(hook)
        return hook

    def deliver(self, *hooks: Hook) -> None:
        for hook in hooks:
            answer = hook.send(self.http)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/xml")
            assert answer.text.endswith("<Response />")

    def awaiting(self, address: str = MARIA) -> Appeal:
        """An appeal whose applicant is told at that number, and is asked now."""
        with self.db.write() as conn:
            self.city.conn, self.city.now = conn, self.now
            made = self.city.registered(tell_by="sms", tell_to=address)
            self.city.execute(made.id)
            return appeals.get(conn, made.id)

    def state(self, its: Appeal) -> State:
        with self.db.read() as conn:
            return appeals.get(conn, its.id).state

    def notes(self, its: Appeal, action: Action) -> list[str]:
        with self.db.read() as conn:
            return list(conn.scalars(select(appeal_event.c.note).where(
                appeal_event.c.appeal_id == its.id, appeal_event.c.action == action.value)))  # fmt: skip

    def messages(self) -> list[Any]:
        with self.db.read() as conn:
            return list(conn.execute(select(message).order_by(message.c.id)))

    def answers(self) -> list[str]:
        """What was answered, oldest first."""
        with self.db.read() as conn:
            return [row.data["text"] for row in conn.execute(
                select(notice).where(notice.c.kind == "reply").order_by(notice.c.id))]  # fmt: skip

    def expected(self) -> list[remote_files.RemoteFile]:
        with self.db.read() as conn:
            return remote_files.due(conn, self.now, channels=["sms", "phone"])


def settings(tmp_path: Path, db: Database, **more: Any) -> Settings:
    values: dict[str, Any] = {
        "twilio_account": ACCOUNT, "twilio_token": TOKEN, "twilio_number": NUMBER, "twilio_sip": SIP,
        "portal_address": PORTAL}  # fmt: skip
    return Settings(var=tmp_path, database=str(db.url.render_as_string(hide_password=False)), **values | more)


@pytest.fixture
def place(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("CENTRE_SETTINGS", str(tmp_path / "none.toml"))
    with db.write() as conn:
        city = found_city(conn)
    its = Place(db, city, settings(tmp_path, db))
    for language, name in (("uk", "leave-appeal"), ("en", "leave-appeal"), ("uk", "goodbye")):
        file = its.settings.prompts / language / f"{name}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(sound(f"{language}/{name}"))
    its.twilio = FakeTwilio(ACCOUNT, TOKEN, NUMBER, PORTAL, clock=lambda: its.now)
    with its.twilio:
        its.http = TestClient(create_portal(its.settings, db, FakeLine(), secret="a secret", clock=lambda: its.now))
        yield its


def sound(seed: str) -> bytes:
    """Half a second of noise, as WAV."""
    file = BytesIO()
    with wave.open(file, "wb") as its:
        its.setnchannels(1)
        its.setsampwidth(2)
        its.setframerate(8000)
        its.writeframes(random.Random(seed).randbytes(8000))
    return file.getvalue()


# ── who calls ────────────────────────────────────────────────────────────────────────────────
PATHS = ("/twilio/sms", "/twilio/status", "/twilio/voice", "/twilio/voice/after", "/twilio/voice/left",
         "/twilio/recording")  # fmt: skip


def test_without_an_account_there_is_nothing(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CENTRE_SETTINGS", str(tmp_path / "none.toml"))
    db = Database(sqlite_url)
    off = settings(tmp_path, db, twilio_account="", twilio_token="", twilio_number="")
    http = TestClient(create_portal(off, db, FakeLine(), secret="a secret"))
    assert [http.post(path).status_code for path in PATHS] == [404] * len(PATHS)
    assert http.get("/twilio/sound/uk/goodbye.wav").status_code == 404
    db.close()


def test_what_is_not_signed_changes_nothing(place: Place) -> None:
    its = place.awaiting()
    hook = place.twilio.sms(MARIA, "1")
    with FakeTwilio(ACCOUNT, "another token", NUMBER, PORTAL) as forger, \
            FakeTwilio("AC" + "1" * 32, TOKEN, NUMBER, PORTAL) as another:  # fmt: skip
        forged, elsewhere = forger.sms(MARIA, "1"), another.sms(MARIA, "1")
    unsigned = {name: value for name, value in hook.headers.items() if name != "X-Twilio-Signature"}
    for wrong in (
        forged, elsewhere, Hook(hook.url, hook.body, unsigned),
        Hook(hook.url, hook.body, {**unsigned, "X-Twilio-Signature": ""}),
        Hook(hook.url, hook.body.replace("Body=1", "Body=2"), hook.headers),
        Hook(hook.url, f"{hook.body}&Body=2", hook.headers), Hook(f"{hook.url}?to=me", hook.body, hook.headers),
        Hook(f"{PORTAL}/twilio/voice", hook.body, hook.headers),
        Hook(hook.url, "Body=%ff", hook.headers), Hook(hook.url, "", hook.headers),
        Hook(hook.url, "x" * 70_000, hook.headers), Hook(hook.url, "&".join("a=b" for _ in range(500)), hook.headers),
        place.twilio.hook("/twilio/sms", {"AccountSid": ACCOUNT, "From": MARIA, "Body": "1", "MessageSid": "SM1"}),
        place.twilio.hook("/twilio/sms", {"AccountSid": ACCOUNT, "MessageSid": "SM" + "0" * 32, "Body": "1"}),
    ):  # fmt: skip
        answer = wrong.send(place.http)
        assert (answer.status_code, answer.text) == (403, "forbidden")
    assert place.http.get(hook.url).status_code == 405
    assert (place.state(its), place.messages()) == (State.AWAITING, [])
    place.deliver(hook)
    assert place.state(its) is State.CLOSED


def test_it_is_acknowledged_once_it_is_kept(place: Place) -> None:
    its, hook = place.awaiting(), place.twilio.sms(MARIA, "1")
    with place.db.write() as conn:
        conn.exec_driver_sql("ALTER TABLE message RENAME TO message_away")
    assert hook.send(place.http).status_code == 503
    with place.db.write() as conn:
        conn.exec_driver_sql("ALTER TABLE message_away RENAME TO message")
    place.deliver(hook)
    assert place.state(its) is State.CLOSED


# ── the resident's word ──────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("text", ["1", "1.", "так"])
def test_one_closes(place: Place, text: str) -> None:
    its = place.awaiting()
    place.sms(text)
    assert place.state(its) is State.CLOSED
    (said,) = place.answers()
    assert str(its.number) in said
    (row,) = place.messages()
    assert (row.state, row.appeal_id, row.citizen_id) == ("done", its.id, place.city.citizen)


def test_five_times_is_once(place: Place) -> None:
    its, hook = place.awaiting(), place.twilio.sms(MARIA, "2")
    place.deliver(*[hook] * 5)
    assert place.state(its) is State.RETURNED
    assert len(place.answers()) == len(place.messages()) == 1
    assert len(place.notes(its, Action.NOT_SOLVED)) == 1


def test_two_returns_and_the_next_sms_says_what_remains(place: Place) -> None:
    its = place.awaiting()
    place.sms("Ні")
    assert place.state(its) is State.RETURNED
    place.now += dt.timedelta(hours=23)
    place.sms("Дві батареї холодні")
    assert place.notes(its, Action.HEAR) == ["Дві батареї холодні"]
    place.sms("А ще ліфт не працює")  # about something else, for all we know
    assert [row.state for row in place.messages()] == ["done", "done", "new"]
    assert place.state(its) is State.RETURNED
    assert len(place.answers()) == 3


def test_what_remains_is_not_waited_for_longer_than_a_day(place: Place) -> None:
    place.awaiting()
    place.sms("2")
    place.now += dt.timedelta(hours=25)
    place.sms("Дві батареї холодні")
    assert [row.state for row in place.messages()] == ["done", "new"]


def test_after_the_second_return_too(place: Place) -> None:
    its = place.awaiting()
    place.sms("2")
    with place.db.write() as conn:
        place.city.conn = conn
        place.city.execute(its.id)
    place.sms("2")
    assert place.state(its) is State.CONTROL


def test_several_are_told_apart_by_their_numbers(place: Place) -> None:
    one, other, strangers = place.awaiting(), place.awaiting(), place.awaiting(OTHER)
    place.sms("1")
    assert {place.state(each) for each in (one, other)} == {State.AWAITING}
    (said,) = place.answers()
    assert str(one.number) in said
    assert str(other.number) in said
    assert str(strangers.number) not in said
    place.sms(f"{one.number} 1")
    place.sms(f"2 {other.number}")
    assert (place.state(one), place.state(other)) == (State.CLOSED, State.RETURNED)


def test_nobody_answers_for_another(place: Place) -> None:
    its = place.awaiting(OTHER)
    place.sms(f"{its.number} 1")
    assert place.state(its) is State.AWAITING
    assert [row.state for row in place.messages()] == ["new"]


def test_out_of_order_and_a_week_late(place: Place) -> None:
    its = place.awaiting()
    first, second = place.twilio.sms(MARIA, "2"), place.twilio.sms(MARIA, "Дві батареї холодні")
    place.deliver(second, first, second, first)
    assert place.state(its) is State.RETURNED
    assert sorted(row.state for row in place.messages()) == ["done", "new"]  # the words are read by a person
    late = place.twilio.sms(MARIA, "1")
    with place.db.write() as conn:
        place.city.conn = conn
        place.city.execute(its.id)
    place.sms("1")
    place.now += dt.timedelta(days=7)
    history = len(place.notes(its, Action.CONFIRM))
    place.deliver(late, first)
    assert place.state(its) is State.CLOSED
    assert len(place.notes(its, Action.CONFIRM)) == history == 1


def test_in_his_language(place: Place) -> None:
    with place.db.write() as conn:
        conn.execute(update(citizen).values(language="en"))
        citizens.add_phone(conn, place.city.citizen, MARIA, NOON)
    its = place.awaiting()
    place.sms("yes")
    assert place.answers() == [f"Thank you! Appeal {its.number} is closed by your word. 1551"]


# ── everything else is read by a person ──────────────────────────────────────────────────────
def test_words_are_for_a_person_and_are_acknowledged_once_a_day(place: Place) -> None:
    place.sms("Немає води на Бандери 12")
    place.sms("І в сусідів теж")
    place.sms("Не працює ліфт", OTHER)
    rows = place.messages()
    assert [(row.channel, row.address, row.state, row.text) for row in rows] == [
        ("sms", MARIA, "new", "Немає води на Бандери 12"), ("sms", MARIA, "new", "І в сусідів теж"),
        ("sms", OTHER, "new", "Не працює ліфт")]  # fmt: skip
    assert rows[0].data == {"phone": MARIA}
    assert len(place.answers()) == 2
    place.now += dt.timedelta(days=1)
    place.sms("Досі немає води")
    assert len(place.answers()) == 3


def test_more_than_a_person_writes_are_looked_at_last(place: Place) -> None:
    for n in range(12):
        place.sms(f"Повідомлення {n}")
    assert [row.reason for row in place.messages()] == [""] * 10 + ["rate"] * 2
    assert len(place.answers()) == 1


def test_a_machine_that_answers_ours_is_not_answered_for_ever(place: Place) -> None:
    for _ in range(2):
        place.awaiting()
    for _ in range(30):
        place.sms("1")
    assert len(place.answers()) == 10
    assert len(place.messages()) == 30


@pytest.mark.parametrize("sender", ["MonoBank", "12345", "whatsapp:+380671112233", "+1", "'; DROP TABLE message;--"])
def test_whoever_has_no_number_is_kept_and_not_answered(place: Place, sender: str) -> None:
    place.sms("1", sender)
    (row,) = place.messages()
    assert (row.address, row.name, row.state, row.reason) == ("", sender, "new", "automatic")
    assert place.answers() == []


# ── STOP ─────────────────────────────────────────────────────────────────────────────────────
def stopped(place: Place) -> bool:
    with place.db.read() as conn:
        return notices.is_stopped(conn, Way.SMS, MARIA)


def test_our_word_is_answered_once_by_us(place: Place) -> None:
    place.sms("СТОП")
    assert stopped(place)
    assert place.answers() == ["Більше не надсилатимемо вам SMS. Щоб поновити, напишіть СТАРТ. 1551"]
    assert [row.state for row in place.messages()] == ["done"]
    place.sms("Старт")
    assert not stopped(place)
    assert len(place.answers()) == 2


@pytest.mark.parametrize(("text", "opt_out"), [("STOP", ""), ("Unsubscribe", ""), ("Баста", "STOP")])
def test_twilios_word_is_answered_by_twilio(place: Place, text: str, opt_out: str) -> None:
    place.sms(text, opt_out=opt_out)
    assert stopped(place)
    place.sms("START", opt_out="START" if opt_out else "")
    assert not stopped(place)
    assert place.answers() == []
    assert [row.state for row in place.messages()] == ["done", "done"]


def test_yes_goes_on_and_is_a_word(place: Place) -> None:
    its = place.awaiting()
    place.sms("STOP")
    place.sms("Yes")
    assert not stopped(place)
    assert place.state(its) is State.CLOSED


# ── photos ───────────────────────────────────────────────────────────────────────────────────
def test_photos_are_expected_once(place: Place) -> None:
    hook = place.sms("Яма", media=[("image/jpeg", b"-"), ("image/heic", b"-")])
    place.deliver(hook, hook)
    (row,) = place.messages()
    files = place.expected()
    assert [(each.message_id, each.name) for each in files] == [(row.id, "mms-1.jpg"), (row.id, "mms-2.heic")]
    assert all(each.path.startswith(f"/2010-04-01/Accounts/{ACCOUNT}/Messages/MM") for each in files)


def test_an_address_that_is_not_twilios_is_never_asked(place: Place) -> None:
    """Even one that is signed: only the name of the file is taken from it."""
    sid, media = "MM" + "a" * 32, "ME" + "b" * 32
    fields = {"AccountSid": ACCOUNT, "MessageSid": sid, "From": MARIA, "To": NUMBER, "Body": "Яма", "NumMedia": "4",
              "MediaUrl0": "http://127.0.0.1:5038/", "MediaUrl1": f"https://other.example/Media/{media}",
              "MediaUrl2": "file:///etc/passwd", "MediaUrl3": f"https://other.example/Media/{media}/../x"}  # fmt: skip
    place.deliver(place.twilio.hook("/twilio/sms", fields))
    assert [each.path for each in place.expected()] == [
        f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}/Media/{media}"]  # fmt: skip


# ── what became of ours ──────────────────────────────────────────────────────────────────────
def test_delivered_stays_delivered_in_whatever_order_it_is_told(place: Place) -> None:
    place.sms("Немає води")
    sid = "SM" + "c" * 32
    place.twilio.messages[sid] = {"to": MARIA, "callback": f"{PORTAL}/twilio/status", "date_sent": None}
    with place.db.write() as conn:
        conn.execute(update(notice).values(state="sent", sent_ref=sid))
    reports = [place.twilio.report(sid, status) for status in ("queued", "sent", "delivered", "undelivered")]
    for report in (reports[0], reports[2], *reports, *reversed(reports)):
        place.deliver(report)
    with place.db.read() as conn:
        assert conn.execute(select(notice.c.delivered, notice.c.state)).all() == [("delivered", "sent")]
    unknown = place.twilio.hook("/twilio/status", {"AccountSid": ACCOUNT, "MessageSid": "SM" + "d" * 32,
                                                   "MessageStatus": "failed"})  # fmt: skip
    place.deliver(unknown)


# ── voice ────────────────────────────────────────────────────────────────────────────────────
def test_a_caller_is_connected_with_our_trunk_as_himself(place: Place) -> None:
    heard = place.twilio.call(place.http, MARIA, trunk="completed")
    assert heard.dialled == [(SIP, MARIA)]
    assert (heard.played, heard.recording, heard.hung_up) == ([], "", True)


@pytest.mark.parametrize("trunk", ["busy", "no-answer", "failed"])
def test_where_nobody_is_a_voice_is_left(place: Place, trunk: str) -> None:
    heard = place.twilio.call(place.http, MARIA, trunk=trunk, voice=sound("voice"), seconds=72)
    assert heard.played == [sound("uk/leave-appeal"), sound("en/leave-appeal"), sound("uk/goodbye")]
    assert heard.beeped
    assert heard.hung_up
    place.deliver(*heard.hooks * 5)
    (row,) = place.messages()
    assert (row.channel, row.external_id, row.address, row.state) == ("phone", heard.recording, MARIA, "new")
    assert row.text == "Голосове звернення, 1:12. Запис додається файлом."
    assert [each.path for each in place.expected()] == [
        f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/{heard.recording}.wav"]  # fmt: skip
    assert place.answers() == []


def test_who_says_nothing_leaves_nothing(place: Place) -> None:
    heard = place.twilio.call(place.http, MARIA)
    assert len(heard.hooks) == 1
    place.deliver(*heard.hooks)
    assert place.messages() == []


@pytest.mark.parametrize("sender", ["+266696687", "anonymous", "client:somebody"])
def test_who_hides_his_number_is_heard_too(place: Place, sender: str) -> None:
    heard = place.twilio.call(place.http, sender, voice=sound("voice"), seconds=5)
    assert heard.dialled == [(SIP, sender)]  # what Twilio shows by itself: we claim nothing
    place.deliver(*heard.hooks)
    (row,) = place.messages()
    assert (row.address, row.data) == ("", {})


def test_without_a_trunk_he_leaves_his_voice_at_once(place: Place) -> None:
    object.__setattr__(place.settings, "twilio_sip", "")
    heard = place.twilio.call(place.http, MARIA, voice=sound("voice"), seconds=5)
    assert heard.dialled == []
    assert heard.recording


def test_who_left_a_voice_is_what_twilio_said_in_the_call(place: Place) -> None:
    """The number in the address that the recording is told at was signed by Twilio with it."""
    heard = place.twilio.call(place.http, MARIA, voice=sound("voice"), seconds=5)
    (hook,) = heard.hooks
    forged = Hook(hook.url.replace("380671112233", "380509999999"), hook.body, hook.headers)
    assert forged.send(place.http).status_code == 403
    assert place.messages() == []


def test_the_prompts_are_sounds_of_their_length(place: Place) -> None:
    answer = place.http.get("/twilio/sound/uk/leave-appeal.wav")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
    assert int(answer.headers["content-length"]) == len(sound("uk/leave-appeal")) == len(answer.content)
    assert "public" in answer.headers["cache-control"]
    for other in ("uk/greeting", "uk/..%2f..%2fsecrets", "en/goodbye", "de/goodbye"):
        assert place.http.get(f"/twilio/sound/{other}.wav").status_code == 404
