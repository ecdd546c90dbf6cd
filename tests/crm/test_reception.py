"""What is filed in writing: once, by whom it says, and held for a person where something speaks against it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from crm import appeals, citizens, filing, messages, reception, schema
from crm.errors import BadInput, NotFound
from crm.filing import Filing
from crm.messages import Held
from crm.notices import Way
from crm.rates import Limits
from crm.reception import Became, Received
from tests.crm.conftest import City

LIMITS = Limits(hourly=3, daily=2, sms_daily=4)


def a_filing(city: City, **changed: object) -> Filing:
    its = Filing(channel="web", name="Олена Шевчук", phone="+380671112233", subject_id=city.no_heating,
                 building_id=city.building, text="Холодно в квартирі")  # fmt: skip
    return replace(its, **changed)  # type: ignore[arg-type]


def received(city: City, its: Filing, mark: str = "1", source: str = "203.0.113.7", **changed: bool) -> Received:
    return reception.receive(city.conn, its, external_id=mark, source=source, secret="s", limits=LIMITS, now=city.now,
                             **changed)  # fmt: skip


def test_the_same_form_is_filed_once_and_answered_alike(city: City) -> None:
    first, again = received(city, a_filing(city)), received(city, a_filing(city))
    assert first.appeal is not None
    assert first == again
    assert city.conn.scalar(select(func.count()).select_from(schema.appeal)) == 1


def test_who_says_the_name_and_number_of_a_known_person_is_that_person_and_changes_nothing(city: City) -> None:
    known = citizens.add(city.conn, now=city.now, name="Олена Шевчук", phones=["+380671112233"], email="o@city.ua")
    made = received(city, a_filing(city, email="thief@evil.ua", tell_by=Way.EMAIL)).appeal
    assert made is not None
    its = appeals.get(city.conn, made.id)
    assert its.citizen_id == known
    assert citizens.get(city.conn, known).email == "o@city.ua"
    assert citizens.by_address(city.conn, "email", "thief@evil.ua") == []  # or his letters would be hers
    other = received(city, a_filing(city, name="Іван Шевчук"), "2").appeal
    assert other is not None
    assert appeals.get(city.conn, other.id).citizen_id != known


def test_a_number_is_not_spoken_to_in_the_language_of_who_wrote_it_into_a_form(city: City) -> None:
    known = citizens.add(city.conn, now=city.now, name="Олена Шевчук", phones=["+380671112233"])
    city.now += timedelta(hours=1)
    received(city, a_filing(city, name="John Smith", language="en"))
    assert citizens.language_of(city.conn, "+380671112233") == "uk"
    assert citizens.by_phone(city.conn, "+380671112233")[0].id == known


def test_who_is_not_to_be_called_is_not_called_because_a_form_names_his_number(city: City) -> None:
    known = citizens.add(city.conn, now=city.now, name="Олена Шевчук", phones=["+380671112233"])
    citizens.do_not_call(city.conn, known, "+380671112233")
    city.now += timedelta(hours=1)
    received(city, a_filing(city, name="Хтось Інший", auto_confirm=True))
    there = [phone for one in citizens.by_phone(city.conn, "+380671112233") for phone in one.phones]
    assert [phone.do_not_call for phone in there] == [True, True]


def test_an_address_with_another_telephone_is_nobody_we_know(city: City) -> None:
    """Or else his calls would go to whoever filed it."""
    known = citizens.add(city.conn, now=city.now, name="Олена Шевчук", phones=["+380671112233"], email="o@city.ua")
    made = received(city, a_filing(city, phone="+380509998877", email="o@city.ua")).appeal
    assert made is not None
    assert appeals.get(city.conn, made.id).citizen_id != known
    assert [phone.e164 for phone in citizens.get(city.conn, known).phones] == ["+380671112233"]


@pytest.mark.parametrize(("changed", "suspect", "reason"), [
    ({"name": " "}, False, Held.NAMELESS),
    ({"text": "Дешево http://a.ua http://b.ua www.c.ua"}, False, Held.ADVERT),
    ({}, True, Held.ADVERT),
])  # fmt: skip
def test_what_speaks_against_it_leaves_it_to_a_person_whole(
    city: City, changed: dict[str, str], suspect: bool, reason: Held
) -> None:
    its = a_filing(city, **changed)
    held = received(city, its, suspect=suspect)
    assert (held.appeal, held.reason) == (None, reason)
    row = city.conn.execute(select(schema.message)).one()
    assert (row.text, row.data["building_id"], row.done_at) == (its.text, its.building_id, None)
    assert received(city, its, suspect=suspect) == held


def test_what_lacks_something_besides_a_name_is_left_to_a_person_too(city: City) -> None:
    assert received(city, a_filing(city), incomplete=True).reason is Held.NAMELESS


def test_too_many_are_left_to_a_person_and_an_hour_later_it_goes_on(city: City) -> None:
    reasons = [received(city, a_filing(city, phone=f"+38067111220{n}", text=f"Холодно {n}"), str(n)).reason
               for n in range(5)]  # fmt: skip
    assert reasons == [None, None, None, Held.RATE, Held.RATE]
    city.now += timedelta(hours=1)
    assert received(city, a_filing(city, text="Ще одне"), "later").reason is None


def test_a_flood_from_one_address_is_not_kept_for_people_to_read(city: City) -> None:
    """What a person is to look at must be so little that he can: who sends so much is no resident, whatever he says."""
    def one(n: int) -> Received:
        return received(city, a_filing(city, phone=f"+38067111{n:04}", text=f"Холодно {n}"), f"mark-{n}")

    sent = LIMITS.hourly * reception.FLOOD
    for n in range(sent):
        one(n)
    with pytest.raises(BadInput, match=r"filing\.flood") as refused:
        one(sent)
    assert 0 < refused.value.details["seconds"] <= 3600
    assert city.conn.scalar(select(func.count()).select_from(schema.message)) == sent
    city.now += timedelta(hours=1)
    assert received(city, a_filing(city, text="Ще одне"), "later").reason is None


def test_one_telephone_files_so_many_a_day_from_wherever(city: City) -> None:
    reasons = [received(city, a_filing(city, text=f"Холодно {n}"), str(n), f"203.0.113.{n}").reason for n in range(3)]
    assert reasons == [None, None, Held.RATE]


@pytest.mark.parametrize(("text", "where", "held"), [
    ("Немає води", "elsewhere", False), ("Немає води", "here", True), ("Немає  ВОДИ", "here", True),
    ("Вимагаємо! " * 30, "elsewhere", True),
])  # fmt: skip
def test_an_outage_is_no_campaign(city: City, text: str, where: str, held: bool) -> None:
    """Many who write "no water" in a few words, each of his own place, are heard; the same of one place, or whole pages
    alike, somebody hands round."""
    def one(n: int) -> Held | None:
        place: dict[str, object] = {"building_id": None, "place": f"двір {n if where == 'elsewhere' else 0}"}
        its = a_filing(city, phone=f"+38067111{n:04}", text=text if n else text.lower(), **place)
        return received(city, its, str(n), f"203.0.113.{n}").reason

    assert [one(n) for n in range(5)] == [None] * 3 + [Held.RATE if held else None] * 2
    at_home = [received(city, a_filing(city, phone=f"+38067222{n:04}", text=text, building_id=building),
                        f"home-{n}", f"198.51.100.{n}").reason
               for n, building in enumerate((city.building, city.other_building))]  # fmt: skip
    assert at_home == [Held.RATE if held and where == "elsewhere" else None] * 2


def test_forms_make_us_send_so_many_sms_a_day_to_whomever_and_from_wherever(city: City) -> None:
    """Nobody has shown that the number is his, and each one is paid for."""
    def one(n: int, **changed: object) -> Held | None:
        its = a_filing(city, phone=f"+38067111{n:04}", name=f"Хтось {n}", text=f"Холодно {n}", **changed)
        return received(city, its, str(n), f"203.0.113.{n}").reason

    assert [one(n, tell_by=Way.SMS) for n in range(6)] == [None] * 4 + [Held.RATE] * 2
    sent = select(func.count()).select_from(schema.notice).where(schema.notice.c.way == "sms")
    assert city.conn.scalar(sent) == 4
    assert [one(7), one(8, tell_by=Way.PHONE)] == [None] * 2
    assert one(9, tell_by=Way.EMAIL, email="none@nowhere.example") is Held.RATE  # or the next way would be an SMS
    assert received(city, a_filing(city, phone="", email="o@city.ua", tell_by=Way.EMAIL), "e", "::1").reason is None
    city.now += timedelta(days=1)
    assert one(10, tell_by=Way.SMS) is None


def test_who_sent_what_was_held_hears_of_his_own_appeal_and_of_no_other(city: City) -> None:
    """What he sends again, too, tells him no code of an appeal that it was only added to."""
    other, nameless = city.registered(), a_filing(city, name="")
    for n, filed in enumerate((True, False)):
        held = received(city, nameless, str(n))
        assert reception.became(city.conn, held.message_id) == Became(True, None)
        city.now += timedelta(minutes=5)
        if filed:
            made = filing.file(city.conn, a_filing(city, message_id=held.message_id), now=city.now,
                               staff_id=city.operator)  # fmt: skip
        else:
            messages.add_to(city.conn, held.message_id, other.id, now=city.now, staff_id=city.operator)
        told = made if filed else None
        assert reception.became(city.conn, held.message_id) == Became(False, told)
        assert received(city, nameless, str(n)).appeal == told
    with pytest.raises(NotFound):
        reception.became(city.conn, 999)


def test_a_form_that_lacks_something_is_refused_and_nothing_is_kept(city: City) -> None:
    for changed, id in (({"building_id": None}, "no_place"), ({"phone": "", "tell_by": Way.SMS}, "no_way")):
        with pytest.raises(BadInput, match=id):
            received(city, a_filing(city, **changed), id)


def test_a_message_is_taken_once_and_belongs_to_an_appeal_with_its_files(city: City) -> None:
    made = received(city, a_filing(city)).appeal
    assert made is not None
    its = messages.Incoming(channel="email", external_id="<1@a.ua>", address="o@city.ua", text="Ось фото",
                            received_at=city.now)  # fmt: skip
    message_id = messages.take(city.conn, its)
    assert message_id is not None
    assert messages.take(city.conn, its) is None
    for _ in range(2):
        messages.add_to(city.conn, message_id, made.id, now=city.now, staff_id=None)
    heard = [event for event in appeals.history(city.conn, made.id) if event.note == "Ось фото"]
    assert [event.evidence["written"] for event in heard] == ["email:<1@a.ua>"]
