"""The words that are made of what is on record: hours, dates and addresses as a person would say them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.clock import KYIV
from crm.incidents import Incident, State
from ivr import announcing, prompts

NOW = dt.datetime(2026, 11, 24, 10, 0, tzinfo=dt.UTC)  # 12:00 in Kyiv
INCIDENT: dict[str, Any] = {
    "id": 1, "state": State.OPEN, "subject_id": 1, "subject_uk": "Немає гарячої води", "subject_en": "No hot water",
    "building_id": 1, "street": "проспект Степана Бандери", "building": "12-А", "network_id": None, "network_kind": "",
    "network": "", "place": "", "cause": "", "result": "", "expected_at": NOW.replace(hour=16, minute=30),
    "proposed_at": NOW.replace(hour=8, minute=7), "opened_at": NOW, "opened_by": "", "closed_at": None, "closed_by": "",
    "version": 1, "appeals": 0, "reports": 0,
}  # fmt: skip


def incident(**changed: Any) -> Incident:
    return Incident(**{**INCIDENT, **changed})


def kyiv(day: int, hour: int, minute: int = 0, month: int = 11) -> dt.datetime:
    return dt.datetime(2026, month, day, hour, minute, tzinfo=KYIV).astimezone(dt.UTC)


def test_the_whole() -> None:
    assert announcing.forms(incident(), NOW, "uk")[0] == (
        "Нам уже відомо про аварію. Проспект Степана Бандери, дванадцять А. Немає гарячої води. "
        "Триває з десятої години. Усунути мають сьогодні до вісімнадцятої години тридцяти хвилин.")
    assert announcing.forms(incident(), NOW, "en")[0] == (
        "We already know of this. [uk: проспект Степана Бандери, дванадцять А]. No hot water. "
        "It began at ten a m. It should be over today by six thirty p m.")


@pytest.mark.parametrize(("hour", "minute", "uk", "en"), [
    (0, 0, "опівночі", "midnight"), (0, 5, "нульової години п'яти хвилин", "twelve oh five a m"),
    (1, 0, "першої години", "one a m"), (3, 1, "третьої години однієї хвилини", "three oh one a m"),
    (10, 22, "десятої години двадцяти двох хвилин", "ten twenty-two a m"),
    (12, 0, "дванадцятої години", "noon"), (13, 40, "тринадцятої години сорока хвилин", "one forty p m"),
    (18, 30, "вісімнадцятої години тридцяти хвилин", "six thirty p m"),
    (20, 51, "двадцятої години п'ятдесяти однієї хвилини", "eight fifty-one p m"),
    (21, 11, "двадцять першої години одинадцяти хвилин", "nine eleven p m"),
    (23, 59, "двадцять третьої години п'ятдесяти дев'яти хвилин", "eleven fifty-nine p m"),
])  # fmt: skip
def test_hours(hour: int, minute: int, uk: str, en: str) -> None:
    assert announcing.time(hour, minute, "uk") == uk
    assert announcing.time(hour, minute, "en") == en


def test_every_minute_of_the_day_is_said_in_its_own_words() -> None:
    for language in prompts.LANGUAGES:
        said = {announcing.time(hour, minute, language) for hour in range(24) for minute in range(60)}
        assert len(said) == 1440
        letters = r"[а-щьюяєії' ]+" if language == "uk" else r"[a-z -]+"
        assert all(re.fullmatch(letters, each) for each in said)


def test_hours_are_the_feminine_of_the_ordinals() -> None:
    """Against the table of ordinals, which is another's."""
    for hour in range(1, 24):
        ordinal = prompts.ordinal(hour, "uk")
        ending = "ьої" if ordinal.endswith("ій") else "ої"
        assert prompts.hour_of(hour, "uk") == ordinal[:-2] + ending


@pytest.mark.parametrize(("at", "uk"), [
    (kyiv(24, 10), "Триває з десятої години."), (kyiv(24, 10, 19), "Триває з десятої години десяти хвилин."),
    (kyiv(24, 0, 3), "Триває з опівночі."),
    (kyiv(23, 23, 59), "Триває від учора, з двадцять третьої години п'ятдесяти хвилин."),
    (kyiv(21, 4), "Триває з двадцять першого листопада."), (kyiv(3, 4, month=10), "Триває з третього жовтня."),
])  # fmt: skip
def test_since(at: dt.datetime, uk: str) -> None:
    assert announcing.since(at, NOW, "uk") == uk


@pytest.mark.parametrize(("at", "uk"), [
    (kyiv(24, 18, 30), "Усунути мають сьогодні до вісімнадцятої години тридцяти хвилин."),
    (kyiv(25, 6), "Усунути мають завтра до шостої години."), (kyiv(25, 0), "Усунути мають сьогодні до опівночі."),
    (kyiv(26, 0), "Усунути мають завтра до опівночі."),
    (kyiv(27, 9), "Усунути мають до дев'ятої години двадцять сьомого листопада."),
    (kyiv(1, 0, month=12), "Усунути мають до опівночі тридцятого листопада."),
    (kyiv(24, 12), "Коли її усунуть, поки не відомо."), (None, "Коли її усунуть, поки не відомо."),
])  # fmt: skip
def test_until(at: dt.datetime | None, uk: str) -> None:
    assert announcing.until(at, NOW, "uk") == uk


@pytest.mark.parametrize(("written", "said"), [
    ("12-А", "дванадцять А"), ("7/9 к. 2", "сім дріб дев'ять корпус два"), ("14-16", "чотирнадцять тире шістнадцять"),
    ("2-4/7", "два тире чотири дріб сім"), ("148-А", "сто сорок вісім А"), ("201", "двісті один"),
    ("ЦТП № 12", "ЦТП номер дванадцять"), ("№512", "номер п'ятсот дванадцять"), ("[en: x]", "en: x"),
    ("2024", "двадцять двадцять чотири"), ("", ""),
])  # fmt: skip
def test_addresses(written: str, said: str) -> None:
    assert announcing.in_words(written, "uk") == said


def test_a_network_and_a_place_in_words() -> None:
    of = incident(building_id=None, street="", network_id=3, network_kind="heat", network="котельня № 5")
    assert announcing.name(of, "uk") == "Немає гарячої води, котельня номер п'ять"
    assert announcing.name(of, "en") == "No hot water, [uk: котельня номер п'ять]"
    assert announcing.place(incident(building_id=None, place="біля ринку, ряд 3"), "uk") == "біля ринку, ряд три"


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=20),
       st.timedeltas(dt.timedelta(), dt.timedelta(days=300)),
       st.none() | st.timedeltas(dt.timedelta(days=-2), dt.timedelta(days=400)))
def test_whatever_is_on_record_no_number_is_left_to_the_voice(
        subject: str, street: str, number: str, since: dt.timedelta, until: dt.timedelta | None) -> None:
    of = incident(subject_uk=subject, subject_en=subject, street=street, building=number, proposed_at=NOW - since,
                  expected_at=None if until is None else NOW + until)  # fmt: skip
    for language in prompts.LANGUAGES:
        for form in [*announcing.forms(of, NOW, language), announcing.name(of, language)]:
            assert not re.search(r"[0-9]", form)
            assert form.count("[") == form.count("]") <= 1
