"""Texts that say the same are near whatever their case, apostrophes and mistypings; those that do not are far."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crm.similar import LONGEST, fold, nearness, trigrams

NEAR = 0.35  # as crm.repeats asks of the same place
LETTERS = "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя"
WORDS = st.text(LETTERS, min_size=5, max_size=12)
TEXTS = st.lists(WORDS, min_size=3, max_size=20).map(" ".join).filter(lambda text: len(fold(text).split()) >= 3)

ALIKE = [
    ("Немає опалення", "третій день без опалення, діти хворіють"),
    ("Батареї ледь теплі", "батареї ледве теплі, у кімнаті 14 градусів"),
    ("Не горить світло в під’їзді", "світла у підʼїзді немає"),
    ("Не горить світло в підїзді", "СВІТЛА У ПІД'ЇЗДІ НЕМАЄ"),
    ("Ліфт не працює у другому під'їзді", "не працює ліфт, другий підʼїзд"),
    ("Протікає дах над квартирою 36", "дах тече, заливає квартиру"),
    ("Ґанок зруйнований", "зруйновано ганок"),
    ("Не вивозять сміття", "сміття не вивозиться тиждень"),
    ("Немає гарячої води", "нема гаряої води вже тиждень"),
]
UNLIKE = [
    ("Немає гарячої води", "Немає холодної води"),
    ("Немає опалення", "Немає світла в під’їзді"),
    ("Не працює ліфт", "Не працює світлофор"),
    ("Добрий день! Прошу полагодити дах", "Добрий день! Прошу прибрати кіоск"),
    ("Яма на дорозі", "Собаки біля школи"),
    ("", "Немає опалення"),
    ("Немає", "Немає"),  # it says nothing of what there is not
]


def similarity(one: str, other: str) -> float:
    return nearness(trigrams(one), trigrams(other))


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_what_says_the_same_is_near(one: str, other: str) -> None:
    assert similarity(one, other) >= NEAR


@pytest.mark.parametrize(("one", "other"), UNLIKE)
def test_what_says_another_thing_is_far(one: str, other: str) -> None:
    assert similarity(one, other) < NEAR


@given(TEXTS)
def test_the_same_is_the_nearest(text: str) -> None:
    assert similarity(text, text) == pytest.approx(1)


@given(TEXTS, TEXTS)
def test_nearness_is_mutual_and_between_nothing_and_all(one: str, other: str) -> None:
    assert similarity(one, other) == similarity(other, one)
    assert -1e-9 <= similarity(one, other) <= 1 + 1e-9


@given(TEXTS, st.integers(0), st.sampled_from("'’ʼ‘`´"), st.sampled_from("'’ʼ‘`´"))
def test_an_apostrophe_is_an_apostrophe_and_may_be_left_out(text: str, at: int, one: str, other: str) -> None:
    at %= len(text)
    assert fold(text[:at] + one + text[at:]) == fold(text[:at] + other + text[at:]) == fold(text)


@given(TEXTS)
def test_case_and_ghe_with_upturn_make_no_difference(text: str) -> None:
    assert fold(text.upper()) == fold(text) == fold(text.replace("ґ", "г"))


@given(TEXTS, st.data())
def test_one_mistyping_leaves_it_near(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text) - 1))
    assume(text[at] != " ")
    typed = data.draw(st.sampled_from((text[:at] + text[at + 1 :], text[:at] + "ш" + text[at:],
                                       text[:at] + "ш" + text[at + 1 :])))  # fmt: skip
    assert similarity(text, typed) >= NEAR


@given(st.lists(st.text(LETTERS[:16], min_size=3, max_size=9), min_size=1, max_size=20),
       st.lists(st.text(LETTERS[16:], min_size=3, max_size=9), min_size=1, max_size=20))  # fmt: skip
def test_what_has_no_letters_in_common_is_unrelated(one: list[str], other: list[str]) -> None:
    assert similarity(" ".join(one), " ".join(other)) == 0


@given(st.text(max_size=2000) | st.text(string.printable, max_size=2000))
def test_anything_may_be_compared(text: str) -> None:
    similarity(text, "Немає опалення")
    assert fold("а" * LONGEST + text) == fold("а" * LONGEST), "a story's end costs nothing"
