"""Messages to the city's page: taken once in whatever order they come, handed over, and answered within the window."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from centre.outside.facebook import Facebook
from centre.texts import sentence
from centre.words import Words
from crm import appeals, attachments, conversations, filing, inbox, messages, outbox, remote_files, schema, tokens
from crm.filing import Filing
from crm.life import State
from crm.notices import Way
from crm.store import Database
from intake.couriers import Outgoing, Refused, Sent
from intake.facebook import conversation, fetching, incoming, talks
from intake.facebook.conversation import Button, Handed
from intake.facebook.courier import LONGEST, FacebookCourier, split
from intake.facebook.fetching import Files
from intake.facebook.incoming import CHANNEL, Event
from intake.facebook.talks import Talks
from intake.sending import Sending
from tests.crm.conftest import NOON, City, found_city
from tests.pictures import picture

PSID, OTHER = "24000000000000001", "24000000000000002"


def say(key: str, language: str, /, **values: object) -> str:
    return sentence(f"facebook.{key}", language, **values)


@dataclass
class Outside:
    """Facebook, and a way to send by it."""

    fake: Facebook
    api: str
    now: datetime = NOON

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)

    def last_heard(self, psid: str) -> datetime | None:
        times = [each["timestamp"] for each in self.fake.said if each["sender"]["id"] == psid]
        return datetime.fromtimestamp(max(times) / 1000, UTC) if times else None

    def courier(self, **changed: Any) -> FacebookCourier:
        values: dict[str, Any] = {"api": self.api, "page": self.fake.page, "token": self.fake.token,
                                  "secret": self.fake.secret, "last_heard": self.last_heard,
                                  "clock": lambda: self.now}  # fmt: skip
        return FacebookCourier(**{**values, **changed})

    def outgoing(self, text: str = "Звернення зареєстровано", psid: str = PSID, **changed: Any) -> Outgoing:
        return Outgoing(**{"id": 1, "way": Way.FACEBOOK, "address": psid, "text": text, "language": "uk",
                           "began_at": self.now, **changed})  # fmt: skip


@dataclass(kw_only=True)
class Page(Outside):
    """The city's page as we have it, and the people who write to it."""

    db: Database
    city: City
    talks: Talks
    folder: Path
    taken: list[bool] = field(default_factory=list)

    def last_in_records(self, psid: str) -> datetime | None:
        with self.db.read() as conn:
            return conversations.last_heard(conn, CHANNEL, psid)

    def came(self, *written: dict[str, Any]) -> None:
        """What was written comes to us."""
        body = {"object": "page", "entry": [{"id": self.fake.page, "messaging": [each]} for each in written]}
        for event in incoming.events(body, self.fake.page):
            with self.db.write() as conn:
                self.taken.append(self.talks.take(conn, event, self.now))

    def say(self, *texts: str, psid: str = PSID, **given: Any) -> None:
        """He writes these, one after another."""
        for text in texts:
            self.later(seconds=20)
            self.came(self.fake.write(psid, text, **given))

    def rows(self, *states: messages.State) -> list[Any]:
        with self.db.read() as conn:
            return list(conn.execute(select(schema.message).where(schema.message.c.state.in_(states))
                                     .order_by(schema.message.c.id)))  # fmt: skip

    @property
    def handed(self) -> list[Any]:
        return self.rows(messages.State.NEW)

    def answers(self) -> list[str]:
        """What is to be sent, oldest first."""
        with self.db.read() as conn:
            kept = select(schema.notice.c.data).where(schema.notice.c.kind == "reply").order_by(schema.notice.c.id)
            return [row.data["text"] for row in conn.execute(kept)]

    def register(self, message_id: int) -> appeals.Registered:
        """A specialist does."""
        with self.db.write() as conn:
            its = inbox.get(conn, message_id)
            return filing.file(conn, Filing(
                channel="facebook", name=its.said.get("name") or "Олена Шевчук", subject_id=self.city.no_heating,
                text=its.text, building_id=self.city.building, facebook=PSID, tell_by=Way.FACEBOOK,
                message_id=message_id), now=self.now, staff_id=self.city.operator)  # fmt: skip

    def awaits(self, number_of: appeals.Registered) -> None:
        """The department says that it is done."""
        with self.db.write() as conn:
            appeals.act(conn, number_of.id, appeals.Action.EXECUTE, now=self.now, note="Відновили")

    def state(self, its: appeals.Registered) -> State:
        with self.db.read() as conn:
            return appeals.get(conn, its.id).state


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[Facebook, str]]:
    fake = Facebook()
    api = fake.start()
    yield fake, api
    fake.stop()


@pytest.fixture
def outside(service: tuple[Facebook, str]) -> Iterator[Outside]:
    fake, api = service
    for kept in (fake.sent, fake.said, fake.wrong, fake.refuse, fake.fetched):
        kept.clear()
    fake.files.clear()
    fake.lists_messages = True
    its = Outside(fake, api)
    fake.clock = lambda: its.now
    yield its
    assert fake.wrong == [], "what we sent breaks the contract"


@pytest.fixture
def page(db: Database, outside: Outside, tmp_path: Path) -> Page:
    with db.write() as conn:
        city = found_city(conn)
    its = Page(outside.fake, outside.api, db=db, city=city, folder=tmp_path / "attachments",
               talks=Talks(say, portal="https://1551.test", secret="s"))  # fmt: skip
    outside.fake.clock = lambda: its.now
    return its


WHOLE = ("Добрий день", "Другий день немає опалення", "Немає опалення", "Бандери 12-а, кв 5", "Далі", "Олена Шевчук",
         "067 111 22 33", "Передати")  # fmt: skip


# ── what comes ──
def test_a_conversation_ends_on_a_specialists_screen_with_all_that_was_said(page: Page) -> None:
    page.say(*WHOLE[:-1])
    assert page.handed == []
    assert [row.state for row in page.rows(messages.State.GATHERING)] == ["gathering"]
    page.say(WHOLE[-1])
    (row,) = page.handed
    assert (row.text, row.name, row.address) == ("Другий день немає опалення", "Олена Шевчук", PSID)
    assert row.data == {"subject_id": page.city.no_heating, "building_id": page.city.building, "flat": "5",
                        "address": "проспект Степана Бандери, 12-А", "name": "Олена Шевчук",
                        "phone": "+380671112233", "tell_by": "facebook", "tell_to": PSID}  # fmt: skip
    assert row.received_at.replace(tzinfo=UTC) == NOON + timedelta(seconds=20), "when he first wrote"
    assert page.answers()[0].startswith("Добрий день! Це міський контактний центр 1551")
    assert page.answers()[-1] == say("handed_complete", "uk")
    assert len(page.answers()) == len(WHOLE)
    with page.db.read() as conn:
        assert conversations.last_heard(conn, CHANNEL, PSID) == page.now
        assert conversations.last_heard(conn, CHANNEL, OTHER) is None
        assert [line.id for line in inbox.find(conn, inbox.Wanted(), limit=9)] == [row.id]
        assert inbox.find(conn, inbox.Wanted(view=inbox.View.GOING), limit=9) == []
        assert inbox.find(conn, inbox.Wanted(view=inbox.View.DONE), limit=9) == []


def test_what_comes_five_times_is_taken_once(page: Page) -> None:
    written = [page.fake.write(PSID, text, at=page.now + timedelta(seconds=after)) for after, text in enumerate(WHOLE)]
    page.later(minutes=1)
    for _ in range(5):
        page.came(*written)
    page.later(days=7)
    page.came(*written)
    assert page.taken == [True] * 8 + [False] * 40
    assert len(page.handed) == 1
    assert len(page.answers()) == len(WHOLE)


def test_what_overtakes_another_message_loses_nothing(page: Page) -> None:
    first = page.fake.write(PSID, "Величезна яма", at=page.now)
    page.say("Біля школи № 5 на дорозі яма")
    page.say("Інше", "Інше")
    page.came(first)
    (row,) = page.rows(messages.State.GATHERING)
    assert row.text == "Біля школи № 5 на дорозі яма\nВеличезна яма"
    assert row.data["talk"]["step"] == "place", "the question stands"
    assert len(page.answers()) == 3, "and is not asked again"


def test_what_comes_a_week_late_is_a_persons(page: Page) -> None:
    late = page.fake.write(PSID, "Другий день немає опалення", at=page.now)
    page.later(days=7)
    page.came(late)
    (row,) = page.handed
    assert (row.text, row.received_at.replace(tzinfo=UTC)) == ("Другий день немає опалення", NOON)
    assert page.answers() == [], "he could not be answered"


def test_who_writes_at_night_is_answered_at_night(page: Page) -> None:
    page.say("Немає опалення вдома")
    with page.db.read() as conn:
        assert outbox.is_due(conn, Way.FACEBOOK, page.now, awake=False)


def test_the_whole_way_there_and_back(page: Page) -> None:
    """By the outbox that all ways have: what the conversation asks is what he gets, and what he presses is his answer.
    A notice whose window is over takes the next way."""
    sending = Sending(page.db, page.courier(last_heard=page.last_in_records), Words("https://1551.test", False, "s"),
                      (540, 1200), lambda: page.now)  # fmt: skip
    page.say("Немає опалення вдома")
    assert sending.run() == 1
    (asked,) = page.fake.got(PSID)
    assert asked.choices == ("Немає опалення", "Інше")
    page.later(seconds=20)
    page.came(page.fake.press(PSID, "Немає опалення"))
    assert sending.run() == 1
    assert page.fake.got(PSID)[1].text == say("ask_place", "uk")
    assert sending.run() == 0
    page.say("Бандери 12-А")
    page.later(days=2)
    assert sending.run() == 0
    with page.db.read() as conn:
        late = conn.execute(select(schema.notice.c.state, schema.notice.c.error)
                            .order_by(schema.notice.c.id.desc()).limit(1)).one()  # fmt: skip
    assert (late.state, late.error) == ("void", "window"), "an answer has no other way"


def test_two_people_have_two_conversations(page: Page) -> None:
    page.say("Немає опалення вдома")
    page.say("Яма на дорозі", psid=OTHER)
    assert [row.address for row in page.rows(messages.State.GATHERING)] == [PSID, OTHER]


def test_after_half_an_hour_of_silence_a_person_goes_on(page: Page) -> None:
    page.say("Немає опалення вдома", "1")
    page.later(minutes=29)
    with page.db.write() as conn:
        assert page.talks.silent(conn, page.now) == 0
    page.later(minutes=2)
    with page.db.write() as conn:
        assert page.talks.silent(conn, page.now) == 1
        assert page.talks.silent(conn, page.now) == 0
    (row,) = page.handed
    assert (row.text, row.data["subject_id"]) == ("Немає опалення вдома", page.city.no_heating)
    assert page.answers()[-1] == say("handed_silent", "uk")


def test_what_is_written_after_it_was_handed_over_is_added_to_it(page: Page) -> None:
    page.say("Прорвало трубу", "Оператор", "Вода вже в підвалі")
    (row,) = page.handed
    assert row.text == "Прорвало трубу\nОператор\nВода вже в підвалі"
    assert page.answers()[-1] == say("added", "uk")
    with page.db.write() as conn:
        inbox.claim(conn, row.id, inbox.Act(page.city.operator, page.now, row.version))
    before = len(page.answers())
    page.say("Дякую")
    assert page.handed[0].text.endswith("Дякую")
    assert len(page.answers()) == before, "whoever works on it answers himself"
    assert page.handed[0].version > row.version, "and sees that something was added"


def test_a_specialist_who_takes_it_in_the_midst_has_what_was_gathered(page: Page) -> None:
    page.say(*WHOLE[:4])
    (row,) = page.rows(messages.State.GATHERING)
    with page.db.write() as conn:
        inbox.claim(conn, row.id, inbox.Act(page.city.operator, page.now, row.version))
    page.say("Мене звати Олена")
    (row,) = page.handed
    assert row.data["building_id"] == page.city.building
    assert row.text.endswith("Другий день немає опалення\nДобрий день\nМене звати Олена")


def test_what_is_written_within_a_day_of_the_appeal_belongs_to_it(page: Page) -> None:
    page.say(*WHOLE)
    made = page.register(page.handed[0].id)
    page.say("Уже відновили, дякую")
    with page.db.read() as conn:
        history = appeals.history(conn, made.id)
    assert (history[-1].action.value, history[-1].note) == ("hear", "Уже відновили, дякую")
    assert history[-1].evidence["written"].startswith("facebook:m_")
    assert page.handed == []
    page.later(days=1)
    page.say("Тепер не світить ліхтар")
    (row,) = page.rows(messages.State.GATHERING)
    assert row.text == "Тепер не світить ліхтар"


# ── his word ──
@pytest.mark.parametrize(("words", "becomes"), [
    ("1", State.CLOSED), ("Вирішено!", State.CLOSED), ("2", State.RETURNED), ("не вирішено", State.RETURNED),
])  # fmt: skip
def test_his_word_in_the_conversation_that_is_told_of_the_appeal_counts(page: Page, words: str, becomes: State) -> None:
    page.say(*WHOLE)
    made = page.register(page.handed[0].id)
    page.awaits(made)
    written = page.fake.write(PSID, words)
    for _ in range(3):
        page.came(written)
    assert page.state(made) is becomes
    key = "solved" if becomes is State.CLOSED else "not_solved"
    assert page.answers()[-1] == say(key, "uk", number=made.number)
    with page.db.read() as conn:
        words_of_his = [each for each in appeals.history(conn, made.id) if each.evidence.get("result")]
    assert [each.evidence["written"] for each in words_of_his] == [f"facebook:{written['message']['mid']}"]


def test_nobody_elses_word_counts(page: Page) -> None:
    page.say(*WHOLE)
    made = page.register(page.handed[0].id)
    page.awaits(made)
    page.say("1", "вирішено", psid=OTHER)
    assert page.state(made) is State.AWAITING


def test_a_number_in_a_conversation_is_a_choice_of_it(page: Page) -> None:
    page.say(*WHOLE)
    made = page.register(page.handed[0].id)
    page.later(days=2)
    page.awaits(made)
    page.say("Яма на дорозі біля школи")
    assert "№ " in page.answers()[-1], "it may be about that"
    page.say("Інше", "1")
    assert page.state(made) is State.AWAITING
    assert page.rows(messages.State.GATHERING)[0].text == "Яма на дорозі біля школи"
    page.say("Вирішено")
    assert page.state(made) is State.CLOSED, "the word itself is one at any time"


def test_what_he_wrote_before_he_said_not_solved_is_kept_with_it(page: Page) -> None:
    page.say(*WHOLE)
    made = page.register(page.handed[0].id)
    page.awaits(made)
    page.say("Батареї досі холодні", "Не вирішено")
    assert page.state(made) is State.RETURNED
    with page.db.read() as conn:
        assert appeals.history(conn, made.id)[-1].note == "Батареї досі холодні"
    assert page.handed == page.rows(messages.State.GATHERING) == []


def test_who_has_several_says_it_on_the_page_of_the_one_he_means(page: Page) -> None:
    page.say(*WHOLE)
    first = page.register(page.handed[0].id)
    page.later(days=2)
    page.say(*WHOLE)
    second = page.register(page.handed[0].id)
    for each in (first, second):
        page.awaits(each)
    page.say("1")
    assert [page.state(each) for each in (first, second)] == [State.AWAITING] * 2
    for each in (first, second):
        assert f"https://1551.test/a/{tokens.together('s', each.number)}" in page.answers()[-1]


@given(st.text(max_size=12))
def test_only_the_word_itself_is_a_word(text: str) -> None:
    plain = text.strip().strip(".!,;: ").casefold()
    assert (talks.word_of(text) is None) or " ".join(plain.split()) in talks._WORDS


def test_the_buttons_say_his_word() -> None:
    for language in ("uk", "en"):
        for button in (Button.SOLVED, Button.NOT_SOLVED):
            for words in (say(f"button.{button.value}", language), sentence(f"mail.choice.{button.value}", language)):
                result = talks.word_of(words)
                assert result is not None
                assert result.value == button.value
    for button in Button:
        for language in ("uk", "en"):
            assert len(say(f"button.{button.value}", language)) <= conversation.LONGEST_CHOICE


def test_every_sentence_of_the_conversation_is_in_both_languages() -> None:
    for why in Handed:
        if why is not Handed.LATE:
            assert say(f"handed_{why.value}", "uk") != say(f"handed_{why.value}", "en")


# ── photos ──
def test_photos_are_fetched_once_and_belong_to_what_it_became(page: Page) -> None:
    page.fake.files = {"1.jpg": picture(), "2.jpg": picture(colour="green"), "3.jpg": picture(colour="blue")}
    page.say("Яма на дорозі біля школи", photos=["1.jpg", "2.jpg"])
    files = Files(page.db, page.folder, say, also=page.api.split("/")[2])
    assert files.fetch(page.now) == 2
    assert files.fetch(page.now) == 0
    (row,) = page.rows(messages.State.GATHERING)
    with page.db.read() as conn:
        kept = messages.files_of(conn, row.id)
    assert [each.name for each in kept] == ["1.jpg", "2.jpg"]
    page.say("Оператор")
    made = page.register(row.id)
    page.say("ось ще", photos=["3.jpg"])
    assert files.fetch(page.now) == 1, "one that comes after it was registered"
    with page.db.read() as conn:
        found = appeals.get(conn, made.id)
        attached = conn.scalars(select(schema.attachment.c.name).where(schema.attachment.c.appeal_id == found.id)).all()
    assert sorted(attached) == ["1.jpg", "2.jpg", "3.jpg"]
    assert sorted(page.fake.fetched) == ["1.jpg", "2.jpg", "3.jpg"]


def test_a_photo_that_is_not_there_yet_is_asked_for_again(page: Page) -> None:
    page.say("Яма на дорозі біля школи", photos=["1.jpg"])
    files = Files(page.db, page.folder, say, also=page.api.split("/")[2])
    assert files.fetch(page.now) == 0
    page.fake.files["1.jpg"] = picture()
    assert files.fetch(page.now) == 0, "not at once"
    page.later(minutes=1)
    assert files.fetch(page.now) == 1


def test_a_photo_for_which_there_is_no_room_holds_up_no_other_and_comes_later(
        page: Page, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    page.fake.files = {"1.jpg": picture(), "2.jpg": picture(colour="green")}
    page.say("Яма на дорозі біля школи", photos=["1.jpg", "2.jpg"])
    files, store = Files(page.db, page.folder, say, also=page.api.split("/")[2]), attachments.store

    def full(folder: Path, name: str, *given: Any, **also: Any) -> attachments.Stored:
        if name == "1.jpg":
            raise OSError(errno.ENOSPC, "No space left on device")
        return store(folder, name, *given, **also)

    with monkeypatch.context() as filling:
        filling.setattr(attachments, "store", full)
        assert files.fetch(page.now) == 1
    assert say("photo_lost", "uk") not in page.answers()
    assert files.fetch(page.now) == 0, "not at once"
    page.later(minutes=1)
    assert files.fetch(page.now) == 1


def test_what_is_no_photo_is_not_kept_and_he_is_told(page: Page) -> None:
    page.fake.files["1.jpg"] = b"<html>"
    page.say("Яма на дорозі біля школи", photos=["1.jpg"])
    assert Files(page.db, page.folder, say, also=page.api.split("/")[2]).fetch(page.now) == 0
    assert page.answers()[-1] == say("photo_lost", "uk")
    with page.db.read() as conn:
        assert remote_files.due(conn, page.now + timedelta(days=9), channels=["facebook"]) == []


@pytest.mark.parametrize("url", [
    "http://127.0.0.1:1552/healthz", "http://scontent.xx.fbcdn.net/1.jpg", "https://evil.com/fbcdn.net/1.jpg",
    "https://evilfbcdn.net/1.jpg", "https://a@scontent.xx.fbcdn.net/1.jpg", "https://x.fbcdn.net:8443/1.jpg",
    "file:///etc/passwd", "https://[::1]/1.jpg", "https://x.fbcdn.net.evil.com/1.jpg", "//x", "https://x:y:z/",
])  # fmt: skip
def test_nothing_is_fetched_from_elsewhere(url: str) -> None:
    assert not fetching.is_theirs(url, also="127.0.0.1:1")
    assert fetching.is_theirs("https://scontent.xx.fbcdn.net/v/1.jpg?oh=1")
    assert fetching.is_theirs("https://cdn.fbsbx.com/v/1.pdf")


def test_a_file_that_lies_elsewhere_is_not_asked_for(page: Page) -> None:
    page.say("Яма на дорозі біля школи", photos=["1.jpg"])
    page.fake.files["1.jpg"] = picture()
    assert Files(page.db, page.folder, say).fetch(page.now) == 0
    assert page.fake.fetched == []


# ── what the platform sends ──
def test_only_messages_to_our_own_page_are_read(outside: Outside) -> None:
    mine = outside.fake.write(PSID, "так")
    others: list[dict[str, Any]] = [
        {**mine, "recipient": {"id": "999"}}, {**mine, "sender": {"id": outside.fake.page}},
        {**mine, "message": {**mine["message"], "is_echo": True}}, {**mine, "message": {"text": "без mid"}},
        {key: value for key, value in mine.items() if key != "message"} | {"delivery": {"mids": ["m_1"]}},
        {key: value for key, value in mine.items() if key != "message"} | {"read": {"watermark": 1}},
        {**mine, "timestamp": "never"}, {**mine, "sender": {"id": "../1"}},
    ]  # fmt: skip
    comment = {"field": "feed", "value": {"item": "comment", "message": "ганьба"}}
    entry = [{"id": outside.fake.page, "messaging": [*others, mine]},
             {"id": outside.fake.page, "changes": [comment]}]  # fmt: skip
    found = incoming.events({"object": "page", "entry": entry}, outside.fake.page)
    assert [event.text for event in found] == ["так"]
    assert incoming.events({"object": "instagram", "entry": entry}, outside.fake.page) == []


def test_numbers_may_come_as_text_and_stickers_are_no_photos(outside: Outside) -> None:
    said = outside.fake.write(PSID, "")
    said["timestamp"] = str(said["timestamp"])
    said["message"]["attachments"] = [
        {"type": "image", "payload": {"url": "https://x.fbcdn.net/s.png", "sticker_id": 369239263222822}},
        {"type": "image", "payload": {"url": "https://x.fbcdn.net/1.jpg"}}, {"type": "audio", "payload": {"url": "u"}},
        {"type": "fallback", "title": "Новина", "url": "https://example.com/1"}]  # fmt: skip
    (event,) = incoming.events({"object": "page", "entry": [{"messaging": [said]}]}, outside.fake.page)
    assert event.files == ("https://x.fbcdn.net/1.jpg",)
    assert event.text == "Новина\nhttps://example.com/1"
    pressed = {"sender": {"id": PSID}, "recipient": {"id": outside.fake.page}, "timestamp": 1527459824000,
               "postback": {"mid": "m_1", "title": "Почати", "payload": "GET_STARTED"}}  # fmt: skip
    (event,) = incoming.events({"object": "page", "entry": [{"messaging": [pressed]}]}, outside.fake.page)
    assert (event.mid, event.text) == ("m_1", "")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([
        "object", "entry", "messaging", "message", "sender", "recipient", "id", "mid", "text", "timestamp", "postback",
        "attachments", "type", "payload", "url", "coordinates", "lat", "long", "quick_reply"]), inner, max_size=6),
    max_leaves=25)  # fmt: skip


@given(_json, st.dictionaries(st.sampled_from(["message", "postback", "timestamp", "attachments"]), _json))
def test_whatever_is_sent_is_read_or_left(sent: object, more: dict[str, object]) -> None:
    each = {"sender": {"id": "1"}, "recipient": {"id": "2"}, "timestamp": 1, "message": {"mid": "m", **more}, **more}
    for body in (sent, {"object": "page", "entry": sent}, {"object": "page", "entry": [{"messaging": [each]}]}):
        assert all(isinstance(event, Event) and event.mid for event in incoming.events(body, "2"))


# ── what goes ──
def test_a_notice_goes_out_once_with_its_answers(outside: Outside) -> None:
    outside.fake.write(PSID, "Привіт")
    its = outside.outgoing(choices=("Вирішено", "Не вирішено", "Дорожні знаки і розмітка"))
    sent = outside.courier().send(its)
    (got,) = outside.fake.got(PSID)
    assert sent == Sent(got.mid)
    assert got.choices == ("Вирішено", "Не вирішено", "Дорожні знаки і роз…")
    assert got.payloads[2] == "Дорожні знаки і розмітка", "which comes back when it is pressed"
    assert outside.courier().check() == ""


@pytest.mark.parametrize(("hours", "goes"), [(23.9, True), (24, False), (24 * 7, False)])
def test_only_within_the_window(outside: Outside, hours: float, goes: bool) -> None:
    outside.fake.write(PSID, "Привіт")
    outside.later(hours=hours)
    answer = outside.courier().send(outside.outgoing())
    assert (answer == Refused("window", again=False)) is not goes
    assert len(outside.fake.got(PSID)) == goes
    assert outside.courier().send(outside.outgoing(psid=OTHER)) == Refused("window", again=False), "never wrote"


@pytest.mark.parametrize(("failure", "again", "error"), [
    ("window", False, "window"), ("away", False, "551"), ("token", True, "190"), ("rate", True, "613"),
    ("failing", True, "2 "), ("gateway", True, "HTTP 502"),
])  # fmt: skip
def test_what_the_platform_refuses_is_tried_again_or_another_way(outside: Outside, failure: str, again: bool,
                                                                 error: str) -> None:  # fmt: skip
    outside.fake.write(PSID, "Привіт")
    outside.fake.refuse.append(failure)
    answer = outside.courier().send(outside.outgoing())
    assert isinstance(answer, Refused)
    assert answer.again is again
    assert answer.error.startswith(error)
    assert outside.fake.got(PSID) == []
    assert isinstance(outside.courier().send(outside.outgoing()), Sent)


def test_what_was_taken_without_an_answer_is_found_and_not_sent_again(outside: Outside) -> None:
    outside.fake.write(PSID, "Привіт")
    outside.fake.refuse.append("dropped")
    its = outside.outgoing()
    sent = outside.courier().send(its)
    (got,) = outside.fake.got(PSID)
    assert sent == Sent(got.mid)
    assert outside.courier().find(its) == Sent(got.mid), "after a restart, too"
    assert outside.courier().find(outside.outgoing("Інше")) is None
    younger = outside.outgoing(began_at=outside.now + timedelta(hours=1))
    assert outside.courier().find(younger) is None, "an older one is another"


def test_where_conversations_may_not_be_read_it_is_not_sent_twice(outside: Outside) -> None:
    outside.fake.write(PSID, "Привіт")
    outside.fake.lists_messages = False
    outside.fake.refuse.append("dropped")
    answer = outside.courier().send(outside.outgoing())
    assert isinstance(answer, Refused)
    assert not answer.again
    assert len(outside.fake.got(PSID)) == 1


def test_nobody_there_is_tried_again(outside: Outside) -> None:
    outside.fake.write(PSID, "Привіт")
    answer = outside.courier(api="http://127.0.0.1:1/v25.0").send(outside.outgoing())
    assert isinstance(answer, Refused)
    assert answer.again


def test_of_a_long_text_only_what_is_left_is_sent_after_a_failure(outside: Outside) -> None:
    outside.fake.write(PSID, "Привіт")
    text = "\n\n".join(f"{number}. " + "слово " * 150 for number in range(4))
    outside.fake.refuse += ["", "failing"]
    courier = outside.courier()
    its = outside.outgoing(text, choices=("Далі",))
    assert isinstance(courier.send(its), Refused)
    assert isinstance(courier.send(its), Sent)
    got = outside.fake.got(PSID)
    assert [each.text for each in got] == split(text)
    assert [each.choices for each in got] == [(), ("Далі",)]


@given(st.text(alphabet="аб \n", max_size=7000).filter(str.strip))
def test_a_long_text_is_cut_between_words_and_loses_none(text: str) -> None:
    parts = split(text)
    assert all(0 < len(part) <= LONGEST for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_a_wrong_token_is_told_by_the_check(outside: Outside) -> None:
    assert "190" in outside.courier(token="old").check()
    assert outside.fake.page in outside.courier(page="7").check(), "another page's token"
