"""What waits in writing: in which order, whose work it is, what becomes of it; who it may be from; answers kept."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from crm import answer_templates, appeals, attachments, citizens, filing, inbox, messages, notices, recognised
from crm.attachments import Stored
from crm.errors import BadInput, NotFound, Stale
from crm.filing import Filing
from crm.inbox import Act, Closed, View, Wanted, Why
from crm.life import Action
from crm.messages import Held, Incoming, State
from crm.people import Role, add_staff
from crm.recognised import Ground, Sender
from crm.schema import edit_log, notice
from crm.store import Database
from tests.crm.conftest import NOON, PHONE, City, found_city

LETTER = "olena@example.com"
PHOTO = Stored("яма.jpg", "image/jpeg", 1000, "a" * 64, (50.45, 30.52))


def come(city: City, id: str = "1", *, minutes: int = 0, channel: str = "email", address: str = LETTER,
         **more: object) -> int:  # fmt: skip
    """A message that came ``minutes`` before now."""
    its = Incoming(channel=channel, external_id=id, address=address, text="Батареї холодні.",
                   received_at=city.now - dt.timedelta(minutes=minutes))  # fmt: skip
    taken = messages.take(city.conn, replace(its, **more))  # type: ignore[arg-type]
    assert taken is not None
    return taken


def by(city: City, message_id: int, staff_id: int | None = None) -> Act:
    """On the version that it has now."""
    return Act(staff_id or city.operator, city.now, inbox.get(city.conn, message_id).version)


def other_of(city: City) -> int:
    return add_staff(city.conn, login="lesia", name="Леся", password_hash="-", role=Role.ONLINE)


def ids(city: City, view: View, **more: object) -> list[int]:
    wanted = Wanted(view=view, whose=city.operator, **more)  # type: ignore[arg-type]
    return [line.id for line in inbox.find(city.conn, wanted, limit=50)]


def registered(city: City, message_id: int, **more: object) -> appeals.Registered:
    its = Filing(channel="email", name="Олена Шевчук", subject_id=city.no_heating, text="Холодно",
                 building_id=city.building, email=LETTER, message_id=message_id)  # fmt: skip
    return filing.file(city.conn, replace(its, **more), now=city.now, staff_id=city.operator)  # type: ignore[arg-type]


# ── lists ──
def test_what_waits_is_listed_oldest_first_and_each_in_its_view(city: City) -> None:
    late, early = come(city, "1", minutes=5), come(city, "2", minutes=50, channel="sms", address=PHONE)
    held = come(city, "3", minutes=90, reason=Held.ADVERT)
    going = come(city, "4", state=State.GATHERING, channel="facebook", address="77")
    assert ids(city, View.WAITING) == [early, late]
    assert (ids(city, View.HELD), ids(city, View.HELD, reason="rate"), ids(city, View.GOING)) == ([held], [], [going])
    inbox.claim(city.conn, early, by(city, early))
    assert (ids(city, View.WAITING), ids(city, View.FREE), ids(city, View.MINE)) == ([early, late], [late], [early])
    inbox.spam(city.conn, late, by(city, late))
    inbox.close(city.conn, early, by(city, early), Closed.THANKS)
    assert (ids(city, View.WAITING), ids(city, View.SPAM), ids(city, View.DONE)) == ([], [late], [early])
    assert inbox.counts(city.conn, city.operator) == {View.WAITING: 0, View.FREE: 0, View.MINE: 0, View.HELD: 1,
                                                      View.GOING: 1}  # fmt: skip


def test_a_list_is_narrowed_by_channel_and_time_and_goes_on_after_any_record(city: City) -> None:
    all = [come(city, f"{n}", minutes=100 - n) for n in range(7)]
    sms = come(city, "s", minutes=50, channel="sms", address=PHONE)
    assert ids(city, View.WAITING, channel="sms") == [sms]
    assert ids(city, View.WAITING, since=city.now - dt.timedelta(minutes=60)) == [sms]
    assert ids(city, View.WAITING, until=city.now - dt.timedelta(minutes=98)) == all[:2]
    parts, after = [], None
    while some := inbox.find(city.conn, Wanted(), limit=3, after_id=after):
        parts += [line.id for line in some]
        after = some[-1].id
    assert parts == [*all, sms]
    for each in all:
        inbox.spam(city.conn, each, by(city, each))
    assert [line.id for line in inbox.find(city.conn, Wanted(view=View.SPAM), limit=3, after_id=all[4])] == all[3:0:-1]


def test_danger_and_privilege_come_first_and_are_taken_first(city: City) -> None:
    come(city, "1", minutes=300)
    veteran = citizens.add(city.conn, now=city.now, name="Ветеран", phones=["+380500000001"], privilege="war_veteran")
    citizens.add_address(city.conn, veteran, "email", "Veteran@example.com", city.now)
    privileged = come(city, "2", minutes=20, address="veteran@example.com")
    gas = come(city, "3", minutes=1, channel="sms", address=PHONE, text="У під’їзді запах газу")
    first = inbox.first(city.conn, Wanted())
    assert [(line.id, line.danger, line.privileged) for line in first] == [
        (gas, True, False), (privileged, False, True)]  # fmt: skip
    other = other_of(city)
    taken = [inbox.next_free(city.conn, who, city.now) for who in (city.operator, other, city.operator, other)]
    assert taken[:2] == [gas, privileged]
    assert taken[3] is None
    assert inbox.first(city.conn, Wanted()) == []


@pytest.mark.parametrize(("text", "expected"), [
    ("На сходах ЗАПАХ ГАЗУ", True), ("Обірваний дріт лежить на тротуарі", True), ("Бабуся застрягла в ліфті", True),
    ("There is smoke in the cellar", True), ("Прорвало трубу", True), ("Немає газу другий день", False),
    ("Не вивозять сміття", False), ("Прошу пофарбувати лавку", False), ("", False),
])  # fmt: skip
def test_what_cannot_wait(text: str, expected: bool) -> None:
    assert inbox.danger(text) is expected


# ── whose work it is ──
def test_nobody_works_on_what_another_has_until_he_has_left_it(city: City) -> None:
    its, other = come(city), other_of(city)
    seen = by(city, its, other)
    inbox.claim(city.conn, its, by(city, its))
    for deed in (inbox.claim, inbox.spam, inbox.release, inbox.ordinary, inbox.working):
        with pytest.raises(Stale, match=r"message\.claimed"):
            deed(city.conn, its, seen)
    inbox.claim(city.conn, its, by(city, its))  # his own a second time: nothing
    assert inbox.still(city.conn, its, other, city.now) is True
    city.later(minutes=9)
    assert inbox.still(city.conn, its, city.operator, city.now) is False
    city.later(minutes=9)
    with pytest.raises(Stale, match=r"message\.claimed"):
        inbox.claim(city.conn, its, by(city, its, other), why="він пішов")
    city.later(minutes=1)
    with pytest.raises(BadInput, match=r"message\.no_why"):
        inbox.claim(city.conn, its, by(city, its, other))
    inbox.claim(city.conn, its, by(city, its, other), why="він пішов")
    assert (inbox.get(city.conn, its).staff, inbox.still(city.conn, its, city.operator, city.now)) == ("Леся", True)
    said = city.conn.execute(select(edit_log.c.after).where(edit_log.c.what == "message")).scalar_one()
    assert said == {"staff_id": other, "why": "він пішов"}
    inbox.claim(city.conn, its, by(city, its), why="терміново", at_once=True)
    inbox.release(city.conn, its, by(city, its))
    assert ids(city, View.FREE) == [its]


def test_of_two_who_take_it_at_once_one_has_it(db: Database) -> None:
    with db.write() as conn:
        city = found_city(conn)
        its, other = come(city), other_of(city)
    seen = [Act(who, NOON, 1) for who in (city.operator, other)]
    with db.write() as conn:
        inbox.claim(conn, its, seen[0])
    with pytest.raises(Stale), db.write() as conn:
        inbox.claim(conn, its, seen[1])
    with db.write() as conn:
        inbox.close(conn, its, Act(city.operator, NOON, 2), Closed.NOTHING)
    with pytest.raises(Stale, match=r"message\.over"), db.write() as conn:
        inbox.spam(conn, its, Act(city.operator, NOON, 2))
    with db.read() as conn:
        assert inbox.get(conn, its).state is State.DONE


def test_a_change_that_was_not_seen_is_told(city: City) -> None:
    its = come(city)
    seen = by(city, its)
    inbox.claim(city.conn, its, seen)
    for deed in (inbox.spam, inbox.release, inbox.working):
        with pytest.raises(Stale, match=r"message\.stale"):
            deed(city.conn, its, seen)
    with pytest.raises(NotFound):
        inbox.claim(city.conn, 999, seen)


def test_a_conversation_that_goes_on_is_only_read_until_a_person_takes_it(city: City) -> None:
    its = come(city, channel="facebook", address="77", state=State.GATHERING)
    with pytest.raises(Stale):
        inbox.spam(city.conn, its, by(city, its))
    inbox.claim(city.conn, its, by(city, its))
    assert (inbox.get(city.conn, its).state, ids(city, View.MINE)) == (State.NEW, [its])


def test_a_part_of_a_conversation_is_no_message(city: City) -> None:
    its = come(city, channel="facebook", address="77", state=State.PART)
    with pytest.raises(NotFound):
        inbox.get(city.conn, its)
    with pytest.raises(NotFound):
        inbox.claim(city.conn, its, Act(city.operator, city.now, 1))


# ── what becomes of it ──
def test_an_appeal_of_it_has_its_files_its_time_and_its_applicant(city: City) -> None:
    its = come(city, files=[PHOTO], minutes=600)
    inbox.working(city.conn, its, by(city, its))
    made = registered(city, its, received_at=city.now - dt.timedelta(days=3))
    found = inbox.get(city.conn, its)
    assert (found.state, found.appeals, found.staff_id) == (State.DONE, [made.id], city.operator)
    assert found.citizen_id == appeals.get(city.conn, made.id).citizen_id
    assert [file.name for file in attachments.of_appeal(city.conn, made.id)] == ["яма.jpg"]
    usual = registered(city, come(city, "2"))
    assert made.due_at < usual.due_at, "counted from when it came"


def test_a_letter_of_two_problems_becomes_two_appeals_and_stays_one_message(city: City) -> None:
    its = come(city, files=[PHOTO])
    made = [registered(city, its) for _ in range(2)]
    assert inbox.get(city.conn, its).appeals == [each.id for each in made]
    assert all(len(attachments.of_appeal(city.conn, each.id)) == 1 for each in made)
    inbox.working(city.conn, its, by(city, its))
    third = registered(city, its)
    messages.belongs(city.conn, its, third.id, now=city.now, staff_id=None, action=Action.REGISTER)
    assert inbox.get(city.conn, its).appeals == [*(each.id for each in made), third.id]


def test_added_to_an_appeal_its_words_stand_in_the_history_once(city: City) -> None:
    made, its = city.registered(), come(city, files=[PHOTO])
    inbox.add_to(city.conn, its, made.number, by(city, its))
    inbox.add_to(city.conn, its, made.number, by(city, its))
    heard = [line for line in appeals.history(city.conn, made.id) if line.action is Action.HEAR]
    assert [(line.note, line.staff_id) for line in heard] == [("Батареї холодні.", city.operator)]
    assert [file.name for file in attachments.of_appeal(city.conn, made.id)] == ["яма.jpg"]
    assert inbox.get(city.conn, its).citizen_id is None, "a neighbour may have written it"
    with pytest.raises(NotFound, match=r"appeal\.unknown"):
        inbox.add_to(city.conn, its, 1, by(city, its))


def test_messages_of_one_matter_go_together(city: City) -> None:
    first, second, third = (come(city, f"{n}", text=f"Частина {n}", files=[replace(PHOTO, sha256=f"{n}" * 64)])
                            for n in (1, 2, 3))  # fmt: skip
    inbox.join(city.conn, third, second, by(city, third))
    inbox.join(city.conn, second, first, by(city, second))
    assert (ids(city, View.WAITING), inbox.get(city.conn, first).joined) == ([first], [second, third])
    assert [said.text for said in inbox.conversation(city.conn, inbox.get(city.conn, first))] == [
        "Частина 1", "Частина 2", "Частина 3"]  # fmt: skip
    made = city.registered()
    inbox.add_to(city.conn, first, made.number, by(city, first))
    notes = [line.note for line in appeals.history(city.conn, made.id) if line.action is Action.HEAR]
    assert notes == ["Частина 1", "Частина 2", "Частина 3"]
    assert len(attachments.of_appeal(city.conn, made.id)) == 3
    assert inbox.get(city.conn, third).appeals == [made.id]
    late = come(city, "4", text="Ще одне")
    inbox.join(city.conn, late, second, by(city, late))
    assert inbox.get(city.conn, late).appeals == [made.id], "it belongs to the first one's appeal"


def test_what_cannot_be_joined(city: City) -> None:
    one, other = come(city, "1"), come(city, "2")
    with pytest.raises(BadInput, match=r"message\.itself"):
        inbox.join(city.conn, one, one, by(city, one))
    inbox.spam(city.conn, other, by(city, other))
    with pytest.raises(BadInput, match=r"message\.joined_over"):
        inbox.join(city.conn, one, other, by(city, one))
    with pytest.raises(NotFound):
        inbox.join(city.conn, one, 999, by(city, one))


def test_what_was_done_by_mistake_is_open_again(city: City) -> None:
    one, other = come(city, "1"), come(city, "2", reason=Held.ADVERT)
    inbox.join(city.conn, one, other, by(city, one))
    inbox.reopen(city.conn, one, by(city, one))
    assert (inbox.get(city.conn, other).joined, inbox.get(city.conn, one).into) == ([], None)
    inbox.spam(city.conn, other, by(city, other))
    inbox.reopen(city.conn, other, by(city, other))
    with pytest.raises(BadInput, match=r"message\.no_note"):
        inbox.close(city.conn, other, by(city, other), Closed.OTHER)
    inbox.close(city.conn, other, by(city, other), Closed.OTHER, "помилилися містом")
    found = inbox.get(city.conn, other)
    assert (found.closed, found.note, found.reason) == (Closed.OTHER, "помилилися містом", "")
    inbox.reopen(city.conn, other, by(city, other))
    assert (ids(city, View.MINE), inbox.get(city.conn, other).closed) == ([one, other], "")
    with pytest.raises(Stale):
        inbox.reopen(city.conn, other, by(city, other))
    registered(city, one)
    with pytest.raises(BadInput, match=r"message\.is_appeal"):
        inbox.reopen(city.conn, one, by(city, one))


def test_an_answer_goes_back_the_way_it_came_once_and_stands_in_the_conversation(city: City) -> None:
    its = come(city, minutes=10)
    inbox.answer(city.conn, its, by(city, its), text="Як вас звати?", key="1", done=False)
    inbox.answer(city.conn, its, by(city, its), text="Як вас звати?", key="1", done=False)
    assert (ids(city, View.MINE), inbox.get(city.conn, its).open) == ([its], True)
    inbox.answer(city.conn, its, by(city, its), text="Дякуємо!", key="2", done=True)
    rows = city.conn.execute(select(notice.c.way, notice.c.address).where(notice.c.message_id == its)).all()
    assert [tuple(row) for row in rows] == [("email", LETTER)] * 2
    assert [(said.ours, said.text) for said in inbox.conversation(city.conn, inbox.get(city.conn, its))] == [
        (False, "Батареї холодні."), (True, "Як вас звати?"), (True, "Дякуємо!")]  # fmt: skip
    assert inbox.get(city.conn, its).state is State.DONE
    form = come(city, "f", channel="web", address=LETTER)
    inbox.answer(city.conn, form, by(city, form), text="Де це?", key="3", done=True)
    nobody = come(city, "n", channel="paper", address="")
    with pytest.raises(BadInput, match=r"message\.no_way"):
        inbox.answer(city.conn, nobody, by(city, nobody), text="Де це?", key="4", done=True)
    with pytest.raises(BadInput, match=r"message\.no_text"):
        inbox.answer(city.conn, form, by(city, form), text=" ", key="5", done=True)


def test_what_was_taken_as_done_never_waits(city: City) -> None:
    come(city, "1", state=State.DONE)
    come(city, "2", state=State.SPAM)
    assert ids(city, View.WAITING) == []
    assert all(inbox.get(city.conn, id).done_at == city.now for id in (1, 2))


# ── what it may belong to ──
def test_the_appeal_that_it_names_comes_first_then_what_was_written_of_then_what_is_open(city: City) -> None:
    named, own, done = city.registered(None), city.registered(), city.registered()
    appeals.act(city.conn, done.id, Action.WITHDRAW, now=city.now, note="Передумав")
    before = come(city, "0", minutes=100)
    old = registered(city, before)
    its = come(city, "1", said={"number": named.number, "phone": PHONE, "name": "Марія Іваненко"})
    people = recognised.of(city.conn, Sender(channel="email", address=LETTER, name="Марія Іваненко", phone=PHONE))
    offers = inbox.offers(city.conn, inbox.get(city.conn, its), people)
    assert [(offer.line.number, offer.why) for offer in offers] == [
        (named.number, Why.NUMBER), (old.number, Why.BEFORE), (own.number, Why.OPEN)]  # fmt: skip
    inbox.add_to(city.conn, its, named.number, by(city, its))
    assert named.number not in [each.line.number for each in inbox.offers(city.conn, inbox.get(city.conn, its), people)]
    odd = come(city, "2", address="x@example.com", said={"number": 10**30})
    assert inbox.offers(city.conn, inbox.get(city.conn, odd), []) == []


# ── who it is ──
def who(city: City, **said: object) -> list[tuple[str, Ground]]:
    sender = Sender(**{"channel": "email", "address": LETTER, **said})  # type: ignore[arg-type]
    return [(one.citizen.name, one.ground) for one in recognised.of(city.conn, sender)]


def test_who_writes_is_known_by_all_his_numbers_and_addresses_with_the_ground(city: City) -> None:
    assert who(city) == []
    olena = citizens.add(city.conn, now=city.now, name="Шевчук Олена Іванівна", phones=["+380500000001"], email=LETTER)
    assert who(city) == [("Шевчук Олена Іванівна", Ground.ADDRESS)], "anybody can write a From"
    assert who(city, name="Олена Шевчук") == [("Шевчук Олена Іванівна", Ground.NAMED)]
    assert who(city, channel="sms", address="+380500000001") == [("Шевчук Олена Іванівна", Ground.OWN)]
    assert who(city, channel="web", address="", phone="+380500000001") == [("Шевчук Олена Іванівна", Ground.ADDRESS)]
    citizens.add(city.conn, now=city.now, name="Петро Шевчук", phones=["+380500000001"])
    assert {ground for _, ground in who(city, channel="sms", address="+380500000001")} == {Ground.SHARED}
    citizens.add_address(city.conn, olena, "facebook", "777", city.now)
    assert who(city, channel="facebook", address="777") == [("Шевчук Олена Іванівна", Ground.OWN)]
    assert who(city, channel="email", address="777") == []
    assert who(city, address="new@example.com", citizen_id=olena) == [("Шевчук Олена Іванівна", Ground.SAID)]
    assert [ground.certain for ground in (Ground.SAID, Ground.NAMED, Ground.OWN, Ground.SHARED, Ground.ADDRESS,
                                          Ground.WRITTEN, Ground.PLACE)] == [True] * 3 + [False] * 4  # fmt: skip


def test_who_wrote_from_there_before_or_lives_there_by_this_name_may_be_meant(city: City) -> None:
    its = come(city, address="work@example.com")
    registered(city, its, name="Марія Іваненко", email="", phone=PHONE)
    assert who(city, address="work@example.com") == [("Марія Іваненко", Ground.WRITTEN)]
    found = who(city, address="new@example.com", name="Іваненко Марія", building_id=city.building)
    assert found == [("Марія Іваненко", Ground.PLACE)]
    assert who(city, address="new@example.com", name="Марія", building_id=city.building) == []


def test_a_new_telephone_makes_nobody_another_person(city: City) -> None:
    one = registered(city, come(city, "1"))
    other = registered(city, come(city, "2"), phone="+380500000009")
    third = registered(city, come(city, "3"), email="", citizen_id=appeals.get(city.conn, one.id).citizen_id)
    whose = {appeals.get(city.conn, each.id).citizen_id for each in (one, other, third)}
    assert len(whose) == 1
    assert [phone.e164 for phone in citizens.get(city.conn, whose.pop() or 0).phones] == ["+380500000009"]


@given(st.text(max_size=80), st.text(max_size=80))
def test_names_that_may_be_one_persons(one: str, other: str) -> None:
    assert recognised.alike(one, other) == recognised.alike(other, one)
    assert recognised.alike("Шевчук Олена", "олена іванівна шевчук")
    assert not recognised.alike("Олена", "Олена Шевчук")
    assert not recognised.alike(one, "")


# ── answers kept ──
def test_an_answer_is_kept_once_by_its_name_and_filled_in(city: City) -> None:
    def save(id: int | None, version: int | None, **said: object) -> int:
        values = {"name": "Ім’я", "text_uk": "Добрий день, {name}! № {number}.", "text_en": "", "active": True, **said}
        return answer_templates.save(city.conn, id, version, **values, now=city.now, staff_id=None)  # type: ignore[arg-type]

    made = save(None, None)
    for said, error in (({}, "known"), ({"name": ""}, "empty"), ({"name": "Інше", "text_uk": " "}, "empty"),
                        ({"name": "Інше", "text_en": "{phone}"}, "gap")):  # fmt: skip
        with pytest.raises(BadInput, match=f"answer_template.{error}"):
            save(None, None, **said)
    one = answer_templates.get(city.conn, made)
    assert answer_templates.filled(one.text_uk, name="Олено", number=26000001) == "Добрий день, Олено! № 26000001."
    assert answer_templates.filled(one.text_uk) == one.text_uk, "what is not known is seen"
    save(made, one.version, active=False)
    with pytest.raises(Stale):
        save(made, one.version, active=True)
    assert (answer_templates.listed(city.conn), len(answer_templates.listed(city.conn, withdrawn=True))) == ([], 1)
    with pytest.raises(NotFound):
        answer_templates.get(city.conn, 999)


@given(st.text(max_size=200), st.text(max_size=40))
def test_what_is_typed_into_a_template_or_a_name_is_only_text(text: str, name: str) -> None:
    filled = answer_templates.filled(text, name=name)
    if "{" not in text:
        assert filled == text


@pytest.mark.parametrize(("channel", "address", "way"), [
    ("email", LETTER, "email"), ("web", LETTER, "email"), ("web", PHONE, "sms"), ("facebook", "777", "facebook"),
    ("phone", PHONE, "sms"), ("open311", "", None), ("paper", "Київ", None),
])  # fmt: skip
def test_the_way_back(channel: str, address: str, way: str | None) -> None:
    assert notices.way_back(channel, address) == way
