"""What a caller is told: every name has its words in both languages, and a wait is never made to look shorter."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crm.life import State
from ivr import speech
from ivr.prompts import LANGUAGES, texts

HOUR = 3600
seconds = st.floats(min_value=0, max_value=2 * HOUR) | st.integers(0, 2 * HOUR)


def said(names: list[str], language: str = "uk") -> str:
    """KeyError for a prompt that does not exist, in either language."""
    spoken = {which: " ".join(texts(which)[name] for name in names) for which in LANGUAGES}
    return spoken[language]


@pytest.mark.parametrize(("low", "high", "heard"), [
    (200, 240, "Очікування: орієнтовно чотири хвилини."),
    (240, 240, "Очікування: орієнтовно чотири хвилини."),
    (240.5, 240.5, "Очікування: орієнтовно п'ять хвилин."),
    (60, 60, "Очікування: орієнтовно одна хвилина."),
    (0, 60, "Очікування: орієнтовно одна хвилина."),
    (0, 59.9, "Очікування: менше хвилини."),
    (0, 0, "Очікування: менше хвилини."),
    (120, 300, "Очікування: орієнтовно від двох до п'яти хвилин."),
    (300, 120, "Очікування: орієнтовно від двох до п'яти хвилин."),
    (61, 300, "Очікування: орієнтовно від однієї до п'яти хвилин."),
    (0, 61, "Очікування: орієнтовно від однієї до двох хвилин."),
    (7 * 60, 22 * 60, "Очікування: орієнтовно від п'яти до тридцяти хвилин."),
    (HOUR, HOUR, "Очікування: орієнтовно шістдесят хвилин."),
    (50 * 60, HOUR, "Очікування: орієнтовно від сорока п'яти до шістдесяти хвилин."),
    (60, HOUR + 1, "Зараз дуже багато дзвінків. Очікування може тривати понад годину."),
    (0, math.inf, "Зараз дуже багато дзвінків. Очікування може тривати понад годину."),
    (None, 60, ""), (60, None, ""), (None, None, ""),
])  # fmt: skip
def test_wait(low: float | None, high: float | None, heard: str) -> None:
    assert said(speech.wait(low, high)) == heard


@given(seconds, seconds)
@example(61, 300)
@example(119, 121)
@example(3599.999, 3600)
def test_a_range_is_widened_and_never_narrowed(one: float, other: float) -> None:
    low, high = sorted((one, other))
    (name,) = speech.wait(one, other)
    assert said([name])
    match name.removeprefix("wait-").split("-to-"):
        case ["less"]:
            assert high < 60
        case ["over"]:
            assert high > HOUR
        case [minutes]:  # "about": both ends are in that minute
            assert low <= int(minutes) * 60
            assert int(minutes) * 60 - 60 < high <= int(minutes) * 60
            assert low > int(minutes) * 60 - 60 or minutes == "1"
        case [least, most]:
            assert int(least) * 60 <= max(low, 60)
            assert high <= int(most) * 60


@given(st.integers(0, 99_999_999))
def test_a_number_is_said_in_pairs(number: int) -> None:
    names = speech.number(number)
    assert said(names)
    assert "".join(name.removeprefix("number-") for name in names) == f"{number:08d}"


def test_a_number_is_heard_digit_for_digit() -> None:
    assert said(speech.number(26_000_123)) == "двадцять шість нуль нуль нуль один двадцять три"
    assert said(speech.number(26_000_123), "en") == "twenty-six zero zero zero one twenty-three"


@pytest.mark.parametrize("number", [-1, 10**8])
def test_no_appeals_number(number: int) -> None:
    with pytest.raises(ValueError, match="no appeal's number"):
        speech.number(number)


@pytest.mark.parametrize("state", State)
def test_every_state_is_told(state: State) -> None:
    assert all(texts(language)[name].endswith(".") for language in LANGUAGES for name in speech.state(state))


@given(st.dates())
def test_every_date_is_told(day: dt.date) -> None:
    assert len(speech.date(day)) == 2
    assert said(speech.date(day))


def test_a_date_is_said_as_after_by() -> None:
    assert said(["due-by", *speech.date(dt.date(2026, 7, 22))]) == "термін виконання – до двадцять другого липня"
    assert said(["due-by", *speech.date(dt.date(2026, 7, 22))], "en") == "due by the twenty-second of July"
    assert said(speech.date(dt.date(2026, 3, 3))) == "третього березня"


def test_played_one_after_the_other() -> None:
    assert speech.play(["menu", "digits/2"]) == "menu&digits/2"
    assert speech.play([]) == ""
