"""What an SMS means by itself: a word is a word only when it stands alone."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crm.by_sms import Meaning, Opt, read
from crm.confirmation_rules import Result

YES, NO, NOTHING = Result.SOLVED, Result.NOT_SOLVED, Meaning()


@pytest.mark.parametrize("text", ["1", " 1 ", "1.", "«1»", "1!", "Так", "ТАК.", "так\n", "Вирішено", "solved", "Tak"])
def test_solved(text: str) -> None:
    assert read(text) == Meaning(result=YES)


@pytest.mark.parametrize("text", ["2", "2.", "Ні", "НІ!", "нi", "no", "Не вирішено", "не   вирішено."])
def test_not_solved(text: str) -> None:
    assert read(text) == Meaning(result=NO)


@pytest.mark.parametrize(("text", "result"), [
    ("26000123 1", YES), ("26000123: 2", NO), ("№26000123 – так", YES), ("1 26000123", YES), ("ні, № 26000123.", NO),
    ("26000123 не вирішено", NO), ("26000123\n1", YES),
])  # fmt: skip
def test_with_an_appeals_number(text: str, result: Result) -> None:
    assert read(text) == Meaning(result=result, number=26000123)


@pytest.mark.parametrize("text", [
    "", "3", "11", "12", "1 під’їзд без світла", "2 години немає води", "Ні світла, ні води", "так не годиться",
    "2600012341", "260001231", "26000123", "26000123 дякую", "1 2", "0671112233", "стоп-кран не працює",
    "2, 3 поверх без опалення", "1." * 40, "-" * 60, " " * 60, "!" * 2000,
])  # fmt: skip
def test_what_is_a_message(text: str) -> None:
    assert read(text) == NOTHING


@pytest.mark.parametrize("text", ["STOP", "stop.", "Unsubscribe", "END", "quit", "cancel"])
def test_a_word_that_twilio_answers_itself(text: str) -> None:
    assert read(text) == Meaning(Opt.STOP, answered=True)


@pytest.mark.parametrize("text", ["СТОП", "стоп!", "Стoп", "cтоп", "відписатися"])
def test_our_own_word_for_it(text: str) -> None:
    assert read(text) == Meaning(Opt.STOP, answered=False)


def test_he_wants_sms_again() -> None:
    assert read("START") == Meaning(Opt.GO_ON, answered=True)
    assert read("Старт") == Meaning(Opt.GO_ON, answered=False)
    # To Twilio that is START; to our question it is an answer.
    assert read("Yes") == Meaning(Opt.GO_ON, answered=True, result=YES)


def test_what_the_service_has_understood_is_not_understood_anew() -> None:
    assert read("баста", Opt.STOP) == Meaning(Opt.STOP, answered=True)
    assert read("1", Opt.STOP) == Meaning(Opt.STOP, answered=True)


@given(st.text(max_size=100))
@example("1" * 60)
@example("- " * 30 + "260001")
def test_any_text_is_read(text: str) -> None:
    meant = read(text)
    assert meant.number is None or meant.result is not None
    if len(text) > 60:
        assert meant == NOTHING
