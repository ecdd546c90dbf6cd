"""Photos and voices that still lie at Twilio, and SMS that it could not bring: each once, whatever happens."""

from __future__ import annotations

import datetime as dt
import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from sqlalchemy import select, update

from centre.outside.twilio import FakeTwilio, Fault
from centre.texts import section
from crm import appeals, attachments, by_sms, messages, remote_files
from crm.attachments import Stored
from crm.life import Action, State
from crm.messages import Incoming
from crm.schema import appeal_event, message, remote_file
from crm.store import Database
from intake.twilio.fetching import CHANNELS, Files, Missed
from intake.twilio.incoming import recorded, texted
from tests.crm.conftest import NOON, City, found_city

ACCOUNT, TOKEN, NUMBER = "AC" + "0" * 32, "a token", "+380891234567"
PORTAL, MARIA = "https://1551.city.example", "+380671112233"
say = section("by_sms")
VOICE = b"RIFF\x24\x08\x00\x00WAVEfmt " + bytes(range(256)) * 8


def photo() -> bytes:
    file = BytesIO()
    Image.new("RGB", (64, 48), "orange").save(file, "JPEG")
    return file.getvalue()


@dataclass
class Post:
    db: Database
    city: City
    folder: Path
    now: dt.datetime = NOON
    twilio: FakeTwilio = field(init=False)

    def files(self) -> Files:
        """A new one, as after a restart."""
        return Files(self.db, self.folder, ACCOUNT, TOKEN, self.twilio.api, say=say, clock=lambda: self.now)

    def missed(self) -> Missed:
        return Missed(self.db, ACCOUNT, TOKEN, self.twilio.api, NUMBER, say=say, secret="a secret", daily=10,
                      clock=lambda: self.now)  # fmt: skip

    def mms(self, *content: bytes, media_type: str = "image/jpeg") -> int:
        """An MMS that our portal has taken: its message's id."""
        hook = self.twilio.sms(MARIA, "Яма", media=[(media_type, each) for each in content])
        fields = dict(httpx.QueryParams(hook.body))
        with self.db.write() as conn:
            by_sms.receive(conn, texted(fields, ACCOUNT), now=self.now, say=say, secret="a secret", daily=10)
            return int(conn.execute(select(message.c.id).order_by(message.c.id.desc()).limit(1)).scalar_one())

    def voice(self, content: bytes = VOICE) -> int:
        sid = "RE" + f"{len(self.twilio.recordings):032x}"
        self.twilio.recordings[sid] = content
        its = recorded({"AccountSid": ACCOUNT, "RecordingSid": sid, "RecordingDuration": "5"}, ACCOUNT)
        assert its is not None
        with self.db.write() as conn:
            message_id = messages.take(conn, Incoming(channel="phone", external_id=sid, address=MARIA, text="Голос",
                                                      received_at=self.now))  # fmt: skip
            assert message_id is not None
            remote_files.expect(conn, message_id, [(its.path, "voice.wav")], self.now)
        return message_id

    def of(self, message_id: int) -> list[Stored]:
        with self.db.read() as conn:
            return messages.files_of(conn, message_id)

    def text(self, message_id: int) -> str:
        with self.db.read() as conn:
            return str(conn.execute(select(message.c.text).where(message.c.id == message_id)).scalar_one())

    def states(self) -> list[str]:
        with self.db.read() as conn:
            return list(conn.scalars(select(remote_file.c.state).order_by(remote_file.c.id)))

    def later(self, **by: float) -> None:
        self.now += dt.timedelta(**by)


@pytest.fixture
def post(db: Database, tmp_path: Path) -> Iterator[Post]:
    with db.write() as conn:
        city = found_city(conn)
    its = Post(db, city, tmp_path / "attachments")
    its.twilio = FakeTwilio(ACCOUNT, TOKEN, NUMBER, PORTAL, clock=lambda: its.now)
    with its.twilio:
        yield its


def test_photos_are_fetched_once_and_deleted_there(post: Post) -> None:
    message_id = post.mms(photo(), photo())
    assert post.files().run() == 2
    assert [(its.name, its.media_type) for its in post.of(message_id)] == [
        ("mms-1.jpg", "image/jpeg"), ("mms-2.jpg", "image/jpeg")]  # fmt: skip
    for its in post.of(message_id):
        assert attachments.place(post.folder, its.sha256).stat().st_size == its.bytes
    assert post.files().run() == 0
    assert (post.states(), post.twilio.media) == (["done", "done"], {})
    assert post.files().run() == 0
    assert sum(asked.startswith("DELETE") for asked in post.twilio.asked) == 2


def test_a_voice_is_kept_as_it_was_left(post: Post) -> None:
    message_id = post.voice()
    post.files().run()
    (its,) = post.of(message_id)
    assert (its.name, its.media_type) == ("voice.wav", "audio/wav")
    assert attachments.place(post.folder, its.sha256).read_bytes() == VOICE
    post.files().run()
    assert post.twilio.recordings == {}


def test_what_was_made_an_appeal_meanwhile_gets_it_too(post: Post) -> None:
    message_id = post.mms(photo())
    with post.db.write() as conn:
        post.city.conn = conn
        made = post.city.registered()
        messages.belongs(conn, message_id, made.id, now=post.now, staff_id=None, action=Action.REGISTER)
    post.files().run()
    with post.db.read() as conn:
        assert [each.name for each in attachments.of_appeal(conn, made.id)] == ["mms-1.jpg"]


@pytest.mark.parametrize("fault", [Fault(), Fault(503, 20503), Fault(429, 20429), Fault(404, 20404)])
def test_what_could_not_be_fetched_is_tried_again_after_pauses_that_grow(post: Post, fault: Fault) -> None:
    message_id = post.voice()
    tried = []
    for _ in range(4):
        post.twilio.faults.append(fault)
        while post.twilio.faults:
            post.files().run()
            post.later(seconds=30)
        tried.append(post.now)
    pauses = [(after - before).total_seconds() for before, after in pairwise(tried)]
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1]
    post.later(hours=1)
    assert post.files().run() == 1
    assert len(post.of(message_id)) == 1


def test_a_file_for_which_there_is_no_room_holds_up_no_other_and_comes_later(
        post: Post, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    message_id, store = post.mms(photo(), photo()), attachments.store

    def full(folder: Path, name: str, *given: Any, **also: Any) -> Stored:
        if name == "mms-1.jpg":
            raise OSError(errno.ENOSPC, "No space left on device")
        return store(folder, name, *given, **also)

    with monkeypatch.context() as filling:
        filling.setattr(attachments, "store", full)
        assert post.files().run() == 1
        assert [its.name for its in post.of(message_id)] == ["mms-2.jpg"]
    assert post.files().run() == 0, "not at once"
    post.later(minutes=1)
    assert post.files().run() == 1
    assert {its.name for its in post.of(message_id)} == {"mms-1.jpg", "mms-2.jpg"}


def test_killed_before_the_commit(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is fetched again, and is there once."""
    message_id = post.voice()

    def die(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killing:
        killing.setattr(remote_files, "kept", die)
        with pytest.raises(KeyboardInterrupt):
            post.files().run()
    assert post.of(message_id) == []
    post.files().run()
    with monkeypatch.context() as killing:
        killing.setattr(remote_files, "done", die)
        with pytest.raises(KeyboardInterrupt):
            post.files().run()
    assert post.twilio.recordings == {}
    post.files().run()  # it is not there any more: that is what was wanted
    assert (post.states(), len(post.of(message_id))) == (["done"], 1)


def test_two_that_fetch_at_once_keep_it_once(post: Post) -> None:
    message_id = post.voice()
    with post.db.read() as conn:
        (its,) = remote_files.due(conn, post.now, channels=CHANNELS)
    post.files().run()
    stored = post.of(message_id)[0]
    with post.db.write() as conn:
        remote_files.kept(conn, its, stored, post.now)
    assert len(post.of(message_id)) == 1


@pytest.mark.parametrize(("media_type", "content"), [
    ("video/3gpp", b"\x00\x00\x00\x18ftyp3gp4"), ("text/x-vcard", b"BEGIN:VCARD"), ("image/jpeg", b"\xff\xd8\xff cut"),
])  # fmt: skip
def test_whoever_reads_it_is_told_of_a_file_that_is_not_taken(post: Post, media_type: str, content: bytes) -> None:
    message_id = post.mms(content, media_type=media_type)
    post.files().run()
    assert post.text(message_id).startswith("Яма\n[Файл mms-1.")
    assert post.states() == ["lost"]
    before = len(post.twilio.asked)
    post.later(days=10)
    post.files().run()
    assert len(post.twilio.asked) == before


def test_after_three_days_it_is_given_up(post: Post) -> None:
    message_id = post.voice()
    post.twilio.recordings.clear()
    with post.db.write() as conn:
        conn.execute(update(remote_file).values(tries=remote_files.LAST_TRY - 2))
    post.files().run()
    assert post.states() == ["due"]
    post.later(hours=1)
    post.files().run()
    assert post.states() == ["lost"]
    assert post.text(message_id) == "Голос\n[Файл voice.wav не вдалося отримати.]"


def test_our_password_goes_to_nobody_else(post: Post) -> None:
    """The fake refuses it where Twilio sends us on to; and we follow to no one but Twilio."""
    message_id = post.mms(photo())
    ours = post.files()
    assert ours._onward(f"{post.twilio.api}/x", "https://mms.twiliocdn.com/a?b=c") == "https://mms.twiliocdn.com/a?b=c"
    for elsewhere in ("https://other.example/x", "https://twiliocdn.com.other.example/x", "http://mms.twiliocdn.com/x",
                      "http://127.0.0.1:5038/", "http://169.254.169.254/", "file:///etc/passwd", "//other.example/x",
                      "https://127.0.0.1/", "https://mms.twiliocdn.com@other.example/"):  # fmt: skip
        with pytest.raises(Exception, match="redirect elsewhere"):
            ours._onward(f"{post.twilio.api}/x", elsewhere)
    assert ours.run() == 1
    assert len(post.of(message_id)) == 1


# ── SMS that Twilio could not bring ──────────────────────────────────────────────────────────
def test_what_came_while_the_portal_was_away_is_asked_for(post: Post) -> None:
    with post.db.write() as conn:
        post.city.conn = conn
        made = post.city.registered(tell_by="sms", tell_to=MARIA)
        post.city.execute(made.id)
    post.twilio.sms(MARIA, "2")
    post.later(minutes=1)
    post.twilio.sms(MARIA, "Дві батареї холодні", media=[("image/jpeg", photo())])
    post.later(hours=3)
    assert post.missed().run() == 2
    assert post.missed().run() == 0
    post.files().run()
    with post.db.read() as conn:
        assert appeals.get(conn, made.id).state is State.RETURNED
        heard = select(appeal_event.c.note).where(appeal_event.c.action == Action.HEAR.value)
        assert list(conn.scalars(heard)) == ["Дві батареї холодні"]
        assert len(attachments.of_appeal(conn, made.id)) == 1


def test_what_the_portal_has_taken_is_not_taken_again(post: Post) -> None:
    post.mms(photo())
    post.twilio.sms("MonoBank", "Код 1234")
    assert post.missed().run() == 1
    with post.db.read() as conn:
        rows: list[Any] = list(conn.execute(select(message.c.text, message.c.address).order_by(message.c.id)))
    assert rows == [("Яма", MARIA), ("Код 1234", "")]
