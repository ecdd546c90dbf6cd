"""A conversation that gathers an appeal, one question after another. Pure: no database, no network, no clock.

It never keeps anybody from a person: "operator", anger, or three answers that it does not understand end it, and what
was gathered by then is handed over as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

from crm.phones import parse_phone

MOST_PHOTOS = 5
MISSES = 3  # answers not understood, after which a person takes over
MOST_CHOICES, LONGEST_CHOICE = 13, 20  # of Messenger's quick replies
NEAR, LISTED = 5, 11  # subjects and addresses that are offered at a time; two more answers stand beside them
LONGEST_NAME, LONGEST_PLACE, LONGEST_FLAT = 200, 200, 20


class Step(StrEnum):
    """What was asked last."""

    WORD = "word"  # is an appeal of his solved, or is it something else
    TEXT = "text"
    SUBJECT = "subject"
    PLACE = "place"
    PHOTO = "photo"
    NAME = "name"
    PHONE = "phone"
    CHECK = "check"  # is it right so


class Handed(StrEnum):
    """Why it ended."""

    COMPLETE = "complete"
    ASKED = "asked"  # he wants a person
    ANGRY = "angry"
    LOST = "lost"  # it did not understand him
    SILENT = "silent"
    LATE = "late"  # what he wrote came when he could not be answered any more


class Button(StrEnum):
    """Answers that mean the same at whatever they are offered. The key of their words."""

    OTHER = "other"
    NOT_LISTED = "not_listed"
    AS_WRITTEN = "as_written"
    GO_ON = "go_on"
    NO_PHONE = "no_phone"
    SEND = "send"
    AGAIN = "again"
    SOLVED = "solved"
    NOT_SOLVED = "not_solved"


@dataclass(frozen=True, slots=True)
class Choice:
    """A subject or a building that is offered."""

    id: int
    label: str


class City(Protocol):
    """What of the city it must know, in the language of the conversation."""

    def subjects(self, words: str) -> Sequence[Choice]:
        """The subjects that an appeal can be about whose names are nearest to these words, the nearest first."""
        ...

    def below(self, subject_id: int | None) -> Sequence[Choice]:
        """The subjects right below this one; below None the main ones."""
        ...

    def buildings(self, words: str) -> tuple[Sequence[Choice], bool]:
        """What an address may mean, and whether the first one is meant for certain."""
        ...

    def button(self, button: Button) -> str:
        """Its words."""
        ...


@dataclass(frozen=True, slots=True)
class Heard:
    """One message of his. ``place``: latitude and longitude that he shared; ``photos``: how many came with it."""

    text: str = ""
    photos: int = 0
    place: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Talk:
    """How far it has come. ``unclear``: what he wrote and was not understood; ``tree``: the subjects that are offered
    are those below another, not the nearest ones."""

    step: Step = Step.TEXT
    language: str = "uk"
    text: str = ""
    unclear: str = ""
    subject_id: int | None = None
    subject: str = ""
    building_id: int | None = None
    place: str = ""
    flat: str = ""
    at: tuple[float, float] | None = None
    photos: int = 0
    name: str = ""
    phone: str = ""
    misses: int = 0
    offered: tuple[Choice, ...] = ()
    tree: bool = False

    def kept(self) -> dict[str, Any]:
        """As JSON takes it, only what differs from a new one."""
        new = asdict(Talk())
        return {name: value for name, value in asdict(self).items() if value != new[name]}


def read(kept: Mapping[str, Any]) -> Talk:
    """What ``Talk.kept`` gave."""
    offered = tuple(Choice(each["id"], each["label"]) for each in kept.get("offered", ()))
    at = kept.get("at")
    return Talk(**{**kept, "step": Step(kept.get("step", Step.TEXT)), "offered": offered,
                   "at": (at[0], at[1]) if at else None})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sentence:
    """The key of a sentence and what fills it."""

    key: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """What follows from a message: where it stands, what is answered (one message: ``sentences``, then ``lines``, with
    ``choices`` to press), how many of the photos are taken, and why it is over, if it is."""

    talk: Talk
    sentences: tuple[Sentence, ...] = ()
    lines: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    photos: int = 0
    handed: Handed | None = None


_CYRILLIC, _LATIN = re.compile(r"[а-яґєії]", re.IGNORECASE), re.compile(r"[a-z]{2}", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]")
_GREETING = re.compile(
    r"(добр(ий|ого) (день|ранок|вечір|дня|ранку)|доброго вечора|вітаю|вітання|привіт\w*|здрастуйте|почати|меню|"
    r"слава україні|hello|hi|hey|good (morning|day|afternoon|evening)|start|get started|menu)",
    re.IGNORECASE)  # fmt: skip
_PERSON = re.compile(
    r"\b(оператор\w*|спеціаліст\w*|жив(а|у|ою|ій) людин\w+|з людиною|operator|human|real person|specialist)\b",
    re.IGNORECASE)  # fmt: skip
_SHORT_WISH = 40  # characters: in a longer text an operator is spoken of, not asked for
_ANGER = re.compile(
    r"знущаєтес|задовбал|дістали вже|тупий бот|тупа машина|дебіл|ідіот|кретин|дурн(ий|а) бот|\bбля|\bхуй|\bнахуй|"
    r"пизд|stupid bot|idiot|fuck|bullshit", re.IGNORECASE)  # fmt: skip
_FLAT = re.compile(r"[,\s]*\b(?:кв(?:артира|\.)?|flat|apt\.?|apartment)\s*№?\s*([\w/-]{1,10})\s*$", re.IGNORECASE)
_NOTHING = re.compile(r"(ні|нема|немає|не маю|нету|далі|пропустити|без фото|no|none|skip|next)", re.IGNORECASE)
_YES = re.compile(r"(так|да|вірно|правильно|все так|yes|ok|ок|right|correct|send)", re.IGNORECASE)
_ENDS = " \t\n.,!?;:)(…👋🙂😊🙏"


def language_of(text: str, otherwise: str = "uk") -> str:
    """In which language he is to be answered: Ukrainian for whoever writes in Cyrillic, English for Latin letters."""
    if _CYRILLIC.search(text):
        return "uk"
    return "en" if _LATIN.search(text) else otherwise


def wishes(text: str) -> Handed | None:
    """Whether he wants a person, or is past talking to a machine."""
    if len(text) <= _SHORT_WISH and _PERSON.search(text):
        return Handed.ASKED
    letters = _LETTERS.findall(text)
    shouted = len(letters) >= 10 and sum(letter.isupper() for letter in letters) > 0.8 * len(letters) and "!!" in text
    return Handed.ANGRY if shouted or _ANGER.search(text) else None


def begin(heard: Heard, city: City, language: str, *, asked: int | None = None) -> Turn:
    """His first message. ``asked``: the number of his appeal whose solution he is asked about: it may be about that."""
    talk, words = Talk(language=language), heard.text.strip()
    talk, taken = _more_photos(talk, heard)
    if heard.place:
        talk = _placed(talk, heard.place)
    if wish := wishes(words):
        return _over(_unclear(talk, words), wish, taken)
    if asked is not None and words:
        text = "" if _is(words, _GREETING) else words
        return replace(_ask(replace(talk, step=Step.WORD, text=text), city, Sentence("ask_word", {"number": asked})),
                       photos=taken)  # fmt: skip
    if not words or _is(words, _GREETING):
        return replace(_ask(_unclear(talk, words), city, Sentence("greeting")), photos=taken)
    return replace(_answer(talk, words, city, (Sentence("greeting"),)), photos=taken)


def hear(talk: Talk, heard: Heard, city: City) -> Turn:
    """His next message."""
    words = heard.text.strip()
    talk, taken = _more_photos(talk, heard)
    said: tuple[Sentence, ...] = ()
    if heard.photos:
        said = (Sentence("photo_taken" if taken else "photos_enough", {"count": talk.photos, "most": MOST_PHOTOS}),)
    if heard.place and talk.building_id is None:
        talk, said = _placed(talk, heard.place), (*said, Sentence("place_taken"))
    if wish := wishes(words):
        return _over(_unclear(talk, words), wish, taken)
    if not words:
        if not said:  # a sticker, a voice, a film
            return _miss(talk, "", city)
        if talk.step is Step.PLACE and talk.at is not None:
            talk = _next(talk)
        return replace(_ask(talk, city, *said), photos=taken)
    return replace(_answer(talk, words, city, said), photos=taken)


def add(talk: Talk, words: str) -> Talk:
    """What he wrote before he was asked what he was asked last: no answer to that, and yet not lost."""
    return replace(talk, text=_joined(talk.text, words))


def handed(talk: Talk) -> str:
    """All that he said in words, as a person reads it."""
    return _joined(talk.text, talk.unclear)


def said(talk: Talk) -> dict[str, str | int | float]:
    """What was gathered, as ``crm.messages.Incoming.said`` has it."""
    found: dict[str, str | int | float | None] = {
        "subject_id": talk.subject_id, "building_id": talk.building_id, "address": talk.place, "flat": talk.flat,
        "place": "" if talk.building_id else talk.place, "name": talk.name, "phone": talk.phone,
        "latitude": talk.at[0] if talk.at else None, "longitude": talk.at[1] if talk.at else None}  # fmt: skip
    return {name: value for name, value in found.items() if value not in (None, "")}


# ── answers ──────────────────────────────────────────────────────────────────────────────────
def _answer(talk: Talk, words: str, city: City, before: tuple[Sentence, ...] = ()) -> Turn:
    """``before``: what is said first, whatever comes then."""
    do = {Step.WORD: _about, Step.TEXT: _text, Step.SUBJECT: _subject, Step.PLACE: _place, Step.PHOTO: _photo,
          Step.NAME: _name, Step.PHONE: _phone, Step.CHECK: _check}[talk.step]  # fmt: skip
    turn = do(talk, words, city)
    return replace(turn, sentences=(*before, *turn.sentences)) if turn.handed is None else turn


def _about(talk: Talk, words: str, city: City) -> Turn:
    """His word itself is taken by whoever keeps it; what comes here is something else."""
    more = "" if _pressed(words, Button.OTHER, city) else words
    return _on(replace(talk, text=_joined(talk.text, more)), city)


def _text(talk: Talk, words: str, city: City) -> Turn:
    if len(_LETTERS.findall(words)) < 3:
        return _miss(talk, words, city)
    return _on(replace(talk, text=_joined(talk.text, words)), city)


def _subject(talk: Talk, words: str, city: City) -> Turn:
    if _pressed(words, Button.OTHER, city):
        main = () if talk.tree else tuple(city.below(None)[:LISTED])
        if main:
            return _ask(replace(talk, offered=main, tree=True), city)
        return _on(talk, city)
    chosen = _chosen(talk.offered, words)
    if chosen is None:
        near = tuple(city.subjects(words)[:NEAR])
        if near and near != talk.offered:
            return _ask(replace(talk, offered=near, tree=False, unclear=_joined(talk.unclear, words)), city)
        return _miss(talk, words, city)
    below = tuple(city.below(chosen.id)[:LISTED])
    if below:
        return _ask(replace(talk, offered=below, tree=True), city)
    return _on(replace(talk, subject_id=chosen.id, subject=chosen.label), city)


def _place(talk: Talk, words: str, city: City) -> Turn:
    if talk.place and (_pressed(words, Button.NOT_LISTED, city) or _pressed(words, Button.AS_WRITTEN, city)):
        return _on(replace(talk, offered=()), city)
    chosen = _chosen(talk.offered, words)
    if chosen is None:
        flat = _FLAT.search(words)
        talk = replace(talk, flat=flat[1][:LONGEST_FLAT] if flat else talk.flat)
        typed = (words[: flat.start()] if flat else words)[:LONGEST_PLACE].strip()
        found, certain = city.buildings(typed)
        talk = replace(talk, place=typed, offered=tuple(found[:NEAR]))
        if not certain:
            return _ask(talk, city) if found else _miss(talk, "", city)
        chosen = found[0]
    return _on(replace(talk, building_id=chosen.id, place=chosen.label), city)


def _photo(talk: Talk, words: str, city: City) -> Turn:
    if not (_pressed(words, Button.GO_ON, city) or _is(words, _NOTHING)):
        talk = replace(talk, text=_joined(talk.text, words))
    return _on(talk, city)


def _name(talk: Talk, words: str, city: City) -> Turn:
    name = " ".join(words.split())
    if len(_LETTERS.findall(name)) < 2 or len(name) > LONGEST_NAME or re.search(r"\d", name):
        return _miss(talk, words, city)
    return _on(replace(talk, name=name), city)


def _phone(talk: Talk, words: str, city: City) -> Turn:
    if _pressed(words, Button.NO_PHONE, city) or _is(words, _NOTHING):
        return _on(talk, city)
    if not (phone := parse_phone(words)):
        return _miss(talk, words, city)
    return _on(replace(talk, phone=phone), city)


def _check(talk: Talk, words: str, city: City) -> Turn:
    if _pressed(words, Button.SEND, city) or _is(words, _YES):
        return _over(replace(talk, unclear=""), Handed.COMPLETE, 0)
    if _pressed(words, Button.AGAIN, city):
        return _ask(Talk(language=talk.language, photos=talk.photos, misses=talk.misses), city)
    return _ask(replace(talk, text=_joined(talk.text, words)), city)


# ── questions ────────────────────────────────────────────────────────────────────────────────
def _on(talk: Talk, city: City) -> Turn:
    """The next question that has no answer yet."""
    talk = _next(talk)
    if talk.step is Step.SUBJECT:
        near = tuple(city.subjects(talk.text)[:NEAR])
        talk = replace(talk, offered=near or tuple(city.below(None)[:LISTED]), tree=not near)
        if not talk.offered:
            talk = _next(talk)
    return _ask(talk, city)


def _next(talk: Talk) -> Talk:
    steps = list(Step)
    after = steps[steps.index(talk.step) + 1 :]
    known = {Step.TEXT: bool(talk.text), Step.PLACE: talk.building_id is not None or talk.at is not None,
             Step.PHOTO: talk.photos > 0}  # fmt: skip
    return replace(talk, step=next(step for step in after if not known.get(step)), offered=(), tree=False)


def _ask(talk: Talk, city: City, *before: Sentence) -> Turn:
    """The question of its step. ``before``: what is said first; of Step.WORD it is the question itself."""
    values: dict[str, object] = {}
    buttons: tuple[Button, ...] = ()
    match talk.step:
        case Step.WORD:
            buttons = (Button.SOLVED, Button.NOT_SOLVED, Button.OTHER)
        case Step.SUBJECT:
            buttons = (Button.OTHER,)
        case Step.PLACE if talk.place:
            buttons = (Button.NOT_LISTED if talk.offered else Button.AS_WRITTEN,)
        case Step.PHOTO:
            buttons, values = (Button.GO_ON,), {"most": MOST_PHOTOS}
        case Step.PHONE:
            buttons = (Button.NO_PHONE,)
        case Step.CHECK:
            place = ", ".join(part for part in (talk.place, talk.flat) if part)
            buttons, values = (Button.SEND, Button.AGAIN), {
                "text": talk.text, "subject": talk.subject or "—", "place": place or "—", "photos": talk.photos,
                "name": talk.name or "—", "phone": talk.phone or "—"}  # fmt: skip
    key = "ask_which_place" if talk.step is Step.PLACE and talk.offered else f"ask_{talk.step.value}"
    question = () if talk.step is Step.WORD else (Sentence(key, values),)
    lines, titles = shown(talk.offered)
    return Turn(talk, (*before, *question), lines, (*titles, *(city.button(each) for each in buttons)))


def shown(offered: Sequence[Choice]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """How choices are offered: (lines to read, what is pressed). Names that are too long for what is pressed are
    numbered lines, and the numbers are pressed."""
    if all(len(each.label) <= LONGEST_CHOICE for each in offered):
        return (), tuple(each.label for each in offered)
    return (tuple(f"{i}. {each.label}" for i, each in enumerate(offered, 1)),
            tuple(str(i) for i in range(1, len(offered) + 1)))  # fmt: skip


def _miss(talk: Talk, words: str, city: City) -> Turn:
    """Not understood: asked again, and after the third time a person is."""
    talk = replace(_unclear(talk, words), misses=talk.misses + 1)
    if talk.misses >= MISSES:
        return _over(talk, Handed.LOST, 0)
    unknown = talk.step is Step.PLACE and talk.place
    return _ask(talk, city, Sentence("place_unknown" if unknown else "unclear"))


def _over(talk: Talk, why: Handed, photos: int) -> Turn:
    return Turn(talk, (Sentence(f"handed_{why.value}"),), photos=photos, handed=why)


# ── words ────────────────────────────────────────────────────────────────────────────────────
def _more_photos(talk: Talk, heard: Heard) -> tuple[Talk, int]:
    taken = min(heard.photos, MOST_PHOTOS - talk.photos)
    return replace(talk, photos=talk.photos + taken), taken


def _placed(talk: Talk, at: tuple[float, float]) -> Talk:
    return replace(talk, at=at, place=f"{at[0]:.5f}, {at[1]:.5f}", offered=())


def _unclear(talk: Talk, words: str) -> Talk:
    return replace(talk, unclear=_joined(talk.unclear, words))


def _joined(one: str, other: str) -> str:
    return "\n".join(part for part in (one, other) if part)


def _is(words: str, pattern: re.Pattern[str]) -> bool:
    """Whether they say this and nothing else."""
    return pattern.fullmatch(words.strip(_ENDS)) is not None


def _pressed(words: str, button: Button, city: City) -> bool:
    return words.strip(_ENDS).casefold() == city.button(button).casefold()


def _chosen(offered: Sequence[Choice], words: str) -> Choice | None:
    """Pressed, or typed: its name or its number."""
    typed = words.strip(_ENDS).casefold()
    by_number = {str(i): each for i, each in enumerate(offered, 1)}
    return by_number.get(typed) or next((each for each in offered if each.label.casefold() == typed), None)
