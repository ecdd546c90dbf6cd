"""The conversation that gathers an appeal: what it asks, what it understands, and when it leaves off."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.messages import Incoming
from intake.facebook import conversation
from intake.facebook.conversation import (
    LONGEST_CHOICE,
    MISSES,
    MOST_CHOICES,
    MOST_PHOTOS,
    Button,
    Choice,
    Handed,
    Heard,
    Step,
    Talk,
    Turn,
)

HEATING, NO_HEATING, ROADS, POTHOLE, LONG = (
    Choice(1, "Опалення"), Choice(11, "Немає опалення"), Choice(2, "Дороги"), Choice(21, "Яма на дорозі"),
    Choice(22, "Дорожні знаки і розмітка проїзної частини"))  # fmt: skip
HOME = Choice(7, "проспект Степана Бандери, 12-А")
BUTTONS = {Button.OTHER: "Інше", Button.NOT_LISTED: "Немає в списку", Button.AS_WRITTEN: "Так, як написано",
           Button.GO_ON: "Далі", Button.NO_PHONE: "Без телефону", Button.SEND: "Передати",
           Button.AGAIN: "Почати спочатку", Button.SOLVED: "Вирішено", Button.NOT_SOLVED: "Не вирішено"}  # fmt: skip
# Which keys a specialist's form takes: of the words of the contract itself.
SAID = {"subject_id", "building_id", "address", "flat", "place", "name", "phone", "latitude", "longitude"}


class Kyiv:
    """Two groups of subjects and a building."""

    def subjects(self, words: str) -> Sequence[Choice]:
        return [NO_HEATING] if "опален" in words.lower() else [POTHOLE] if "яма" in words.lower() else []

    def below(self, subject_id: int | None) -> Sequence[Choice]:
        return {None: [HEATING, ROADS], 1: [NO_HEATING], 2: [POTHOLE, LONG]}.get(subject_id, [])

    def buildings(self, words: str) -> tuple[Sequence[Choice], bool]:
        if "Бандери" not in words:
            return [], False
        return ([HOME], True) if "12" in words else ([HOME, Choice(8, "проспект Степана Бандери, 14")], False)

    def button(self, button: Button) -> str:
        return BUTTONS[button]


def talked(*said: str | Heard) -> Turn:
    """After these messages."""
    turn: Turn | None = None
    for each in said:
        heard = Heard(each) if isinstance(each, str) else each
        if turn is None:
            turn = conversation.begin(heard, Kyiv(), conversation.language_of(heard.text))
        else:
            assert turn.handed is None, "it is over already"
            kept = json.loads(json.dumps(turn.talk.kept()))  # as the records give it back
            turn = conversation.hear(conversation.read(kept), heard, Kyiv())
    assert turn is not None
    return turn


def asks(turn: Turn) -> list[str]:
    return [each.key for each in turn.sentences]


WHOLE = ("Привіт", "Холодно, немає опалення", "Немає опалення", "Бандери 12-А, кв. 5", Heard(photos=2), "Далі",
         "Олена Шевчук", "067 111 22 33")  # fmt: skip


def test_it_gathers_an_appeal_and_shows_what_it_has_understood() -> None:
    turn = talked(*WHOLE)
    assert asks(turn) == ["ask_check"]
    shown = turn.sentences[0].values
    assert shown == {"text": "Холодно, немає опалення", "subject": "Немає опалення", "photos": 2,
                     "place": "проспект Степана Бандери, 12-А, 5", "name": "Олена Шевчук",
                     "phone": "+380671112233"}  # fmt: skip
    assert turn.choices == ("Передати", "Почати спочатку")
    done = talked(*WHOLE, "Передати")
    assert done.handed is Handed.COMPLETE
    assert asks(done) == ["handed_complete"]
    assert conversation.handed(done.talk) == "Холодно, немає опалення", "the greeting is no part of an appeal"
    assert conversation.said(done.talk) == {
        "subject_id": 11, "building_id": 7, "address": "проспект Степана Бандери, 12-А", "flat": "5",
        "name": "Олена Шевчук", "phone": "+380671112233"}  # fmt: skip


@pytest.mark.parametrize(("said", "question"), [
    ((), ["ask_text"]), ((WHOLE[1],), ["ask_subject"]), (WHOLE[1:3], ["ask_place"]), (WHOLE[1:4], ["ask_photo"]),
    (WHOLE[1:5], ["ask_photo"]), (WHOLE[1:6], ["ask_name"]), (WHOLE[1:7], ["ask_phone"]),
])  # fmt: skip
def test_each_question_follows_the_one_before(said: Sequence[str | Heard], question: list[str]) -> None:
    assert [key for key in asks(talked("Привіт", *said)) if not key.startswith(("greeting", "photo_"))] == question


def test_who_begins_with_the_matter_is_not_asked_for_it_again() -> None:
    turn = talked("Величезна яма на дорозі біля школи")
    assert asks(turn) == ["greeting", "ask_subject"]
    assert turn.choices == ("Яма на дорозі", "Інше")


def test_it_speaks_the_language_that_it_is_written_to_in() -> None:
    assert talked("Good morning").talk.language == "en"
    assert talked("Добрий ранок").talk.language == "uk"
    assert talked(Heard(photos=1)).talk.language == "uk"


def test_the_main_subjects_are_offered_to_who_wants_another_and_those_below_them_then() -> None:
    turn = talked("Яма на вулиці", "Інше")
    assert turn.choices == ("Опалення", "Дороги", "Інше")
    below = talked("Яма на вулиці", "Інше", "дороги")
    assert below.lines == ("1. Яма на дорозі", "2. Дорожні знаки і розмітка проїзної частини"), "too long to be pressed"
    assert below.choices == ("1", "2", "Інше")
    assert talked("Яма на вулиці", "Інше", "Дороги", "2").talk.subject_id == LONG.id
    none = talked("Яма на вулиці", "Інше", "Дороги", "Інше")
    assert none.talk.subject_id is None
    assert asks(none) == ["ask_place"], "a specialist will know"


def test_a_subject_that_is_typed_is_looked_for() -> None:
    turn = talked("Біда у нашому дворі", "щось із опаленням")
    assert turn.choices[0] == "Немає опалення"
    assert talked("Біда у нашому дворі", "щось із опаленням", "1").talk.subject_id == NO_HEATING.id


def test_of_several_addresses_he_says_which() -> None:
    turn = talked(*WHOLE[:3], "Бандери")
    assert asks(turn) == ["ask_which_place"]
    assert turn.choices == ("1", "2", "Немає в списку")
    assert talked(*WHOLE[:3], "Бандери", "2").talk.building_id == 8
    assert talked(*WHOLE[:3], "Бандери", "Бандери 12").talk.building_id == HOME.id, "typed anew"
    words = talked(*WHOLE[:3], "Бандери", "Немає в списку").talk
    assert (words.building_id, words.place) == (None, "Бандери")


def test_an_address_that_nobody_knows_may_stay_as_it_is() -> None:
    turn = talked(*WHOLE[:3], "біля озера")
    assert asks(turn) == ["place_unknown", "ask_place"]
    done = talked(*WHOLE[:3], "біля озера", "Так, як написано")
    assert conversation.said(done.talk)["place"] == "біля озера"
    assert asks(done) == ["ask_photo"]


def test_a_shared_place_needs_no_address_whenever_it_comes() -> None:
    here = Heard(place=(50.45012, 30.52342))
    for said in ((*WHOLE[:3], here), (WHOLE[0], here, *WHOLE[1:3])):
        turn = talked(*said)
        assert asks(turn)[-1] == "ask_photo", said
        assert conversation.said(turn.talk)["latitude"] == 50.45012
        assert conversation.said(turn.talk)["place"] == "50.45012, 30.52342"


def test_photos_are_taken_whenever_they_come_and_no_more_than_there_may_be() -> None:
    early = talked("Привіт", Heard(photos=3))
    assert (early.photos, asks(early)) == (3, ["photo_taken", "ask_text"])
    more = talked("Привіт", Heard(photos=3), Heard("Холодно, немає опалення", photos=4))
    assert more.photos == MOST_PHOTOS - 3
    assert asks(talked("Привіт", Heard(photos=5), Heard(photos=1)))[0] == "photos_enough"
    assert asks(talked("Привіт", Heard(photos=1), *WHOLE[1:4])) == ["ask_name"], "he knows how"


@pytest.mark.parametrize("words", ["Оператор!", "хочу з живою людиною", "Operator please", "покличте спеціаліста"])
@pytest.mark.parametrize("before", range(1, len(WHOLE)))
def test_who_wants_a_person_gets_one_at_any_moment(words: str, before: int) -> None:
    turn = talked(*WHOLE[:before], words)
    assert turn.handed is Handed.ASKED
    assert words in conversation.handed(turn.talk)
    if before > 1:
        assert "Холодно" in conversation.handed(turn.talk), "what was gathered goes along"


@pytest.mark.parametrize("words", ["Ви що, знущаєтесь?", "СКІЛЬКИ МОЖНА ЧЕКАТИ!!!", "stupid bot"])
def test_anger_is_not_talked_to(words: str) -> None:
    assert talked("Привіт", words).handed is Handed.ANGRY


@pytest.mark.parametrize("words", [
    "Після ремонту спеціаліст водоканалу залишив відкритий люк на тротуарі біля школи",
    "Кабель мобільного оператора обірвався і висить над дитячим майданчиком у дворі", "ЖЕК не відповідає",
])  # fmt: skip
def test_who_speaks_of_an_operator_does_not_ask_for_one(words: str) -> None:
    assert talked("Привіт", words).handed is None


def test_after_three_misunderstandings_a_person_takes_over_with_all_that_was_said() -> None:
    said = [*WHOLE[:7], "не скажу", "а навіщо вам?"]
    assert asks(talked(*said)) == ["unclear", "ask_phone"]
    turn = talked(*said, "???")
    assert turn.handed is Handed.LOST
    assert "а навіщо вам?" in conversation.handed(turn.talk)
    assert conversation.said(turn.talk)["building_id"] == HOME.id


def test_what_it_cannot_read_is_a_misunderstanding() -> None:
    assert talked(*["Привіт"] + [Heard()] * MISSES).handed is Handed.LOST  # type: ignore[list-item]


def test_what_is_written_at_the_end_is_added() -> None:
    turn = talked(*WHOLE, "І ще: у під'їзді теж холодно")
    assert asks(turn) == ["ask_check"]
    assert turn.talk.text.endswith("у під'їзді теж холодно")
    assert asks(talked(*WHOLE, "Почати спочатку")) == ["ask_text"]


def test_who_is_asked_for_his_word_may_write_of_something_else() -> None:
    turn = conversation.begin(Heard("Досі холодно"), Kyiv(), "uk", asked=26000123)
    assert turn.sentences[0].values == {"number": 26000123}
    assert turn.choices == ("Вирішено", "Не вирішено", "Інше")
    on = conversation.hear(turn.talk, Heard("Інше"), Kyiv())
    assert (on.talk.text, asks(on)) == ("Досі холодно", ["ask_subject"])


_heard = st.builds(Heard, st.text(max_size=40) | st.sampled_from([*BUTTONS.values(), *(
    each for each in WHOLE if isinstance(each, str)), "1", "2", "Бандери"]), st.integers(0, 9),
    st.none() | st.tuples(st.floats(-90, 90), st.floats(-180, 180)))  # fmt: skip


@given(st.lists(_heard, min_size=1, max_size=25))
def test_whatever_is_written_it_goes_on_or_is_over_and_what_it_offers_can_be_pressed(messages: list[Heard]) -> None:
    turn, photos, misses = None, 0, 0
    for heard in messages:
        before = turn.talk if turn else Talk()
        turn = (conversation.begin(heard, Kyiv(), "uk") if turn is None else
                conversation.hear(conversation.read(json.loads(json.dumps(before.kept()))), heard, Kyiv()))  # fmt: skip
        photos += turn.photos
        misses += turn.talk.misses > before.misses
        assert photos <= MOST_PHOTOS
        assert len(turn.choices) <= MOST_CHOICES
        assert all(0 < len(each) <= LONGEST_CHOICE for each in turn.choices)
        assert turn.sentences, "he is always answered"
        assert conversation.said(turn.talk).keys() <= SAID
        assert turn.talk.step in Step
        if turn.handed:
            assert not turn.choices
            break
        assert misses < MISSES
    assert Incoming.__doc__ is not None
    assert all(key in Incoming.__doc__ for key in SAID), "what a specialist's form takes"
