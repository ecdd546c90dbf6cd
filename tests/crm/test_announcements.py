"""What is announced of an incident reaches its place's callers and nobody else; the next words end the former."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from crm import announcements, appeals, citizens, incidents, networks
from crm.errors import BadInput, IllegalAction, NotFound
from crm.life import Action
from crm.schema import announcement, edit_log
from tests.crm.conftest import NOON, PHONE, SECOND_PHONE, City

WORDS = {"uk": "Прорвало трубу, воду дадуть о шостій.", "en": "A main has burst."}
SOUNDS = {"uk": "announcements/aa/said", "en": "announcements/bb/said"}


def opened(city: City, building_id: int | None = None, **place: object) -> int:
    given = place or {"building_id": building_id or city.building}
    return incidents.declare(city.conn, subject_id=city.no_heating, cause="Прорвало трубу", now=city.now,
                             staff_id=city.operator, **given)  # type: ignore[arg-type]  # fmt: skip


def say(city: City, incident_id: int | None, **words: str) -> int:
    return announcements.announce(city.conn, incident_id, {**WORDS, **words}, SOUNDS, now=city.now,
                                  staff_id=city.operator)  # fmt: skip


def heard(city: City, e164: str = PHONE) -> int | None:
    found = announcements.news(city.conn, e164)
    return found.incident_id if found else None


# ── who hears it ──
def test_who_lives_there_hears_it(city: City) -> None:
    incident_id = opened(city)
    assert heard(city) is None, "nothing is said yet"
    say(city, incident_id)
    assert heard(city) == incident_id
    assert announcements.news(city.conn, PHONE).sounds == SOUNDS  # type: ignore[union-attr]
    assert heard(city, SECOND_PHONE) is None
    assert heard(city, "") is None


def test_who_has_an_open_appeal_there_hears_it_until_it_is_over(city: City) -> None:
    incident_id = opened(city, city.other_building)
    say(city, incident_id)
    assert heard(city) is None
    made = city.registered(building_id=city.other_building)
    assert heard(city) == incident_id
    appeals.act(city.conn, made.id, Action.WITHDRAW, now=city.now, note="Передумав")
    assert heard(city) is None


def test_a_networks_buildings_hear_it(city: City) -> None:
    network = networks.add(city.conn, "heat", "Котельня", now=NOON)
    networks.put(city.conn, network, [city.other_building], now=NOON)
    incident_id = opened(city, network_id=network)
    say(city, incident_id)
    assert heard(city) is None
    networks.put(city.conn, network, [city.building, city.other_building], now=NOON)
    assert heard(city) == incident_id


def test_a_number_that_is_somebody_elses_hears_nothing(city: City) -> None:
    say(city, opened(city))
    citizens.mark_wrong_number(city.conn, city.citizen, PHONE)
    assert heard(city) is None
    assert not announcements.leads_anywhere(city.conn, PHONE)


def test_which_numbers_lead_anywhere(city: City) -> None:
    assert announcements.leads_anywhere(city.conn, PHONE)
    assert not announcements.leads_anywhere(city.conn, SECOND_PHONE)
    assert not announcements.leads_anywhere(city.conn, "")


def test_of_two_the_one_opened_last_is_heard(city: City) -> None:
    network = networks.add(city.conn, "heat", "Котельня", now=NOON)
    networks.put(city.conn, network, [city.building], now=NOON)
    first = opened(city)
    city.later(minutes=5)
    second = opened(city, network_id=network)
    say(city, second)
    say(city, first)
    assert heard(city) == second


def test_when_it_is_over_nobody_hears_it(city: City) -> None:
    incident_id = opened(city)
    say(city, incident_id)
    incidents.close(city.conn, incident_id, result="Замінили", now=city.now, staff_id=city.operator)
    assert heard(city) is None, "at once, before anybody tidies up"
    announcements.end_those_over(city.conn, city.now)
    assert announcements.live(city.conn) == []
    with pytest.raises(IllegalAction):
        say(city, incident_id)


# ── what is said ──
def test_new_words_end_the_former_and_the_change_is_on_record(city: City) -> None:
    incident_id = opened(city)
    first, second = say(city, incident_id), say(city, incident_id, uk="Воду дадуть завтра.")
    assert first != second, "news again"
    kept = announcements.of(city.conn, incident_id)
    assert kept is not None
    assert (kept.id, kept.texts["uk"], kept.made_by) == (second, "Воду дадуть завтра.", city.operator)
    assert city.conn.execute(select(func.count()).select_from(announcement)).scalar_one() == 2
    edits = city.conn.execute(select(edit_log.c.before, edit_log.c.after).where(
        edit_log.c.what == "announcement").order_by(edit_log.c.id)).all()  # fmt: skip
    assert [(row.before or {}).get("text_uk") for row in edits] == [None, WORDS["uk"]]
    assert edits[1].after["text_uk"] == "Воду дадуть завтра."


def test_what_is_made_of_the_record_gives_way_to_a_person_and_comes_back(city: City) -> None:
    incident_id = opened(city)
    assert announcements.by_default(city.conn, incident_id, WORDS, SOUNDS, city.now)
    assert announcements.of(city.conn, incident_id).made_by is None  # type: ignore[union-attr]
    say(city, incident_id, uk="Своїми словами.")
    assert not announcements.by_default(city.conn, incident_id, WORDS, SOUNDS, city.now)
    assert announcements.retire(city.conn, incident_id, now=city.now, staff_id=city.operator)
    assert heard(city) is None
    assert announcements.by_default(city.conn, incident_id, WORDS, SOUNDS, city.now)
    assert heard(city) == incident_id


def test_silence_is_kept_until_somebody_speaks(city: City) -> None:
    incident_id = opened(city)
    announcements.hush(city.conn, incident_id, now=city.now, staff_id=city.operator)
    assert announcements.of(city.conn, incident_id).silent  # type: ignore[union-attr]
    assert not announcements.by_default(city.conn, incident_id, WORDS, SOUNDS, city.now)
    assert heard(city) is None
    say(city, incident_id)
    assert heard(city) == incident_id


def test_what_is_said_to_everybody_stands_apart(city: City) -> None:
    incident_id = opened(city)
    say(city, None)
    assert announcements.of(city.conn, None).texts == WORDS  # type: ignore[union-attr]
    assert heard(city) is None
    say(city, incident_id)
    assert announcements.retire(city.conn, None, now=city.now, staff_id=city.operator)
    assert not announcements.retire(city.conn, None, now=city.now, staff_id=city.operator)
    assert [each.incident_id for each in announcements.live(city.conn)] == [incident_id]


@pytest.mark.parametrize(("words", "sounds", "why"), [
    ({"uk": " ", "en": "x"}, SOUNDS, "announcement.no_text"), ({"uk": "x" * 601}, SOUNDS, "text.too_long"),
    (WORDS, {"uk": "announcements/aa/said"}, "announcement.no_sound"), (WORDS, {}, "announcement.no_sound"),
])  # fmt: skip
def test_what_cannot_be_said_is_refused(city: City, words: dict[str, str], sounds: dict[str, str], why: str) -> None:
    incident_id = opened(city)
    with pytest.raises(BadInput) as refused:
        announcements.announce(city.conn, incident_id, words, sounds, now=city.now, staff_id=city.operator)
    assert refused.value.id == why
    with pytest.raises(NotFound):
        say(city, 999)
