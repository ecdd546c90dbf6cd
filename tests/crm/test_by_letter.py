"""What a letter does: it belongs to the appeal whose seal it bears, or waits for a specialist; machines are not
answered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from centre.texts import section
from crm import appeals, attachments, by_letter, messages, tokens
from crm.attachments import Stored
from crm.by_letter import Mailed, Refusal, word
from crm.confirmation_rules import Result
from crm.errors import BadInput
from crm.life import State
from crm.messages import Held
from crm.notices import Kind
from crm.schema import appeal_event, message, notice
from tests.crm.conftest import City

SECRET = "a secret"
MARIA = "maria@example.ua"
SAY = section("by_letter")
PHOTO = Stored("фото.jpg", "image/jpeg", 3, "a" * 64, place=(50.45, 30.52))


def receive(city: City, **given_: Any) -> bool:
    its: dict[str, Any] = {"id": "<1@example.ua>", "digest": "d", "sender": MARIA, "received_at": city.now,
                           "name": "Марія", "subject": "Вода", "text": "Немає води"}  # fmt: skip
    return by_letter.receive(city.conn, Mailed(**{**its, **given_}), now=city.now, say=SAY, secret=SECRET, daily=3)


def kept(city: City) -> list[Any]:
    return list(city.conn.execute(select(message).order_by(message.c.id)))


def answers(city: City) -> list[str]:
    rows = city.conn.execute(select(notice.c.data, notice.c.address, notice.c.way)
                             .where(notice.c.kind == Kind.REPLY.value).order_by(notice.c.id)).all()  # fmt: skip
    assert {(row.address, row.way) for row in rows} <= {(MARIA, "email")}
    return [row.data["text"] for row in rows]


def sealed(number: int) -> str:
    return f"Re: звернення [{tokens.together(SECRET, number)}]"


def heard(city: City, appeal_id: int) -> list[tuple[str, str]]:
    rows = city.conn.execute(select(appeal_event.c.action, appeal_event.c.note).where(
        appeal_event.c.appeal_id == appeal_id).order_by(appeal_event.c.id))  # fmt: skip
    return [(row.action, row.note) for row in rows if row.action in ("hear", "confirm", "not_solved")]


# ── a new one ──
def test_a_letter_waits_for_a_specialist_with_all_it_says(city: City) -> None:
    assert receive(city, files=[PHOTO])
    [row] = kept(city)
    assert (row.channel, row.external_id, row.address, row.name, row.title, row.text, row.state, row.reason) == (
        "email", "<1@example.ua>", MARIA, "Марія", "Вода", "Немає води", "new", "")  # fmt: skip
    assert row.data == {"name": "Марія", "email": MARIA, "tell_by": "email", "tell_to": MARIA, "latitude": 50.45,
                        "longitude": 30.52}  # fmt: skip
    assert messages.files_of(city.conn, row.id) == [PHOTO]
    [answer] = answers(city)
    assert "зареєструє звернення" in answer


def test_a_letter_is_taken_and_answered_once(city: City) -> None:
    assert [receive(city), receive(city), receive(city, digest="e")] == [True, False, False]
    assert (len(kept(city)), len(answers(city))) == (1, 1)


def test_two_letters_that_bear_one_name_are_both_kept_once(city: City) -> None:
    taken = [receive(city), receive(city, text="Є вода", digest="e"), receive(city, text="Є вода", digest="e"),
             receive(city, files=[PHOTO], digest="f"), receive(city)]  # fmt: skip
    assert taken == [True, True, False, True, False]
    assert [row.text for row in kept(city)] == ["Немає води", "Є вода", "Немає води"]


def test_a_number_without_a_seal_is_only_offered(city: City) -> None:
    made = city.registered()
    receive(city, numbers=[99000001, made.number])
    [row] = kept(city)
    assert (row.data["number"], row.appeal_id, row.state) == (made.number, None, "new")
    assert heard(city, made.id) == []


def test_who_writes_much_is_looked_at_last_and_answered_no_more(city: City) -> None:
    for count in range(12):
        receive(city, id=f"<{count}@example.ua>")
    assert [row.reason for row in kept(city)] == [""] * 3 + [Held.RATE.value] * 9
    assert len(answers(city)) == 3
    city.later(days=1)
    receive(city, id="<13@example.ua>")
    assert kept(city)[-1].reason == ""


def test_answers_to_one_address_end_whatever_it_writes_of(city: City) -> None:
    """Two machines that answer each other."""
    made = city.registered()
    for count in range(by_letter.ANSWERS_DAILY + 4):
        receive(city, id=f"<{count}@example.ua>", mentions=sealed(made.number))
    assert len(answers(city)) == by_letter.ANSWERS_DAILY
    assert len(heard(city, made.id)) == by_letter.ANSWERS_DAILY + 4, "all of them are added"


def test_what_came_long_ago_is_not_answered_by_a_machine(city: City) -> None:
    receive(city, received_at=city.now - timedelta(days=30))
    assert (len(kept(city)), answers(city)) == (1, [])


@pytest.mark.parametrize(("given_", "reason"), [
    ({"automatic": True, "answerable": False}, "automatic"), ({"suspect": True}, "advert"),
    ({"answerable": False}, ""), ({"sender": "", "answerable": False}, ""),
])  # fmt: skip
def test_machines_and_advertisements_are_kept_and_never_answered(city: City, given_: dict[str, Any],
                                                                 reason: str) -> None:  # fmt: skip
    receive(city, refused=[Refusal("x.exe", BadInput("attachment.kind"))], **given_)
    assert [row.reason for row in kept(city)] == [reason]
    assert answers(city) == []


def test_what_could_not_be_taken_is_named_with_why(city: City) -> None:
    refused = [Refusal(name, BadInput(f"attachment.{why}", **details)) for name, why, details in (
        ("win.exe", "kind", {}), ("b.png", "bomb", {"megapixels": 50}), ("v.pdf", "too_big", {"megabytes": 25}),
        ("c.jpg", "broken", {}), ("e", "empty", {}))]  # fmt: skip
    receive(city, refused=refused, too_many=2)
    [answer] = answers(city)
    for line in ("– win.exe: це не фото", "– b.png: у фото забагато точок, приймаємо щонайбільше 50",
                 "– v.pdf: файл більший за 25", "– c.jpg: фото не відкривається",
                 "– e: файл порожній", "– ще файлів: 2"):  # fmt: skip
        assert line in answer
    receive(city, id="<2@x>", refused=refused * 50, language="en")
    assert "more files: 240" in answers(city)[1]


def test_one_that_is_too_big_is_held_and_answered(city: City) -> None:
    receive(city, too_big=48, text="")
    [row] = kept(city)
    assert (row.state, row.reason) == ("new", "")
    assert "48 МБ" in row.text
    assert "48 МБ" in answers(city)[0]


# ── of an appeal ──
def test_a_sealed_letter_is_added_to_its_appeal_at_once(city: City) -> None:
    made = city.registered()
    receive(city, mentions=sealed(made.number), files=[PHOTO])
    [row] = kept(city)
    assert (row.state, row.appeal_id) == ("done", made.id)
    assert heard(city, made.id) == [("hear", "Немає води")]
    assert [a.sha256 for a in attachments.of_appeal(city.conn, made.id)] == [PHOTO.sha256]
    assert appeals.get(city.conn, made.id).state is State.ASSIGNED, "nothing of its state changes"
    assert f"додано до звернення № {made.number}" in answers(city)[0]


def test_a_wrong_seal_and_a_machines_letter_add_nothing(city: City) -> None:
    made = city.registered()
    receive(city, mentions=f"[{made.number}-{'a' * 16}]")
    receive(city, id="<2@x>", mentions=f"[{tokens.together('another secret', made.number)}]")
    receive(city, id="<3@x>", mentions=sealed(made.number), automatic=True, answerable=False)
    receive(city, id="<4@x>", mentions=sealed(99000001))
    assert heard(city, made.id) == []
    assert [row.appeal_id for row in kept(city)] == [None] * 4


@pytest.mark.parametrize(("text", "state", "action"), [
    ("Вирішено", State.CLOSED, "confirm"), ("Так, вирішено. Дякую!\nМарія", State.CLOSED, "confirm"),
    ("Не вирішено, вода досі іржава", State.RETURNED, "not_solved"), ("Solved, thank you", State.CLOSED, "confirm"),
    ("Вирішено лише частково", State.AWAITING, "hear"), ("Коли буде вирішено?", State.AWAITING, "hear"),
])  # fmt: skip
def test_clear_words_with_the_seal_are_his_word(city: City, text: str, state: State, action: str) -> None:
    its = city.executed()
    receive(city, text=text, mentions=sealed(its.number), sender="any@where.ua")
    assert appeals.get(city.conn, its.id).state is state
    assert heard(city, its.id)[-1] == (action, text)
    [row] = kept(city)
    assert (row.state, row.appeal_id) == ("done", its.id)
    evidence = city.conn.execute(select(appeal_event.c.evidence).where(
        appeal_event.c.appeal_id == its.id).order_by(appeal_event.c.id.desc()).limit(1)).scalar_one()  # fmt: skip
    assert evidence["written"] == "email:<1@example.ua>"


def test_his_word_twice_counts_once_and_without_a_question_it_is_only_added(city: City) -> None:
    its = city.executed()
    for count in range(2):
        receive(city, id=f"<{count}@x>", text="Не вирішено", mentions=sealed(its.number))
    assert [action for action, _ in heard(city, its.id)] == ["not_solved", "hear"]
    assert appeals.get(city.conn, its.id).returns == 1


def test_without_the_seal_his_word_changes_nothing(city: City) -> None:
    its = city.executed()
    receive(city, text="Вирішено", numbers=[its.number])
    assert appeals.get(city.conn, its.id).state is State.AWAITING


@pytest.mark.parametrize(("text", "said"), [
    ("вирішено!", Result.SOLVED), ("«Вирішено»", Result.SOLVED), ("Решено", Result.SOLVED),
    ("не решено", Result.NOT_SOLVED), ("Ні, не вирішено", Result.NOT_SOLVED), ("НЕВИРІШЕНО", Result.NOT_SOLVED),
    ("Not solved: no water", Result.NOT_SOLVED),
    ("вирішено, але не до кінця", None), ("Вирішено?", None), ("питання вирішено", None),
    ("вирішеного нічого немає", None),
    ("вирішено " + "дякую " * 100, None), ("", None), ("Не вирішуйте без мене", None),
])  # fmt: skip
def test_only_clear_words_are_a_word(text: str, said: Result | None) -> None:
    assert word(text) is said


@given(st.text(max_size=400))
def test_a_word_is_found_or_not(text: str) -> None:
    assert word(text) in (None, Result.SOLVED, Result.NOT_SOLVED)
    assert word(f"щодо {text}") is None


# ── what comes back ──
def test_a_letter_of_ours_that_came_back_is_told_of_as_undelivered(city: City) -> None:
    receive(city)
    ref = "<26000001-abc.5@city.test>"
    city.conn.execute(notice.update().values(state="sent", sent_ref=ref, sent_at=city.now))
    receive(city, id="<2@x>", sender="mailer-daemon@x.ua", automatic=True, answerable=False, returned=["<o@x>", ref])
    row = city.conn.execute(select(notice)).one()
    assert (row.state, row.error) == ("void", "failed")
    assert [row.reason for row in kept(city)] == ["", "automatic"]
