"""The catalogue: its grammar against another's tables, its letters, and that exactly what is played exists."""

from __future__ import annotations

import ast
import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from call_queue import surging
from centre.settings import Settings, load_secrets
from crm.clock import KYIV
from crm.life import State
from dialplans import Places, render
from intake.twilio import voice
from ivr import prompts, speech, steps
from ivr.prompts import LANGUAGES, texts, tones

TABLE = (Path(__file__).parent / "numerals_uk.txt").read_text().splitlines()
NUMBERS = [line.split("; ") for line in TABLE if not line.startswith("#")]


@pytest.mark.parametrize(("number", "cardinal", "ordinal", "genitive", "minutes"), NUMBERS, ids=[n[0] for n in NUMBERS])
def test_ukrainian_numbers(number: str, cardinal: str, ordinal: str, genitive: str, minutes: str) -> None:
    n = int(number)
    assert prompts.cardinal(n, "uk") == cardinal
    assert prompts.ordinal(n, "uk") == ordinal
    assert prompts.ordinal_of(n, "uk") == genitive
    assert prompts.minutes(n, "uk") == minutes


@pytest.mark.parametrize(("number", "cardinal", "ordinal"), [
    (0, "zero", "zeroth"), (1, "one", "first"), (2, "two", "second"), (3, "three", "third"), (5, "five", "fifth"),
    (8, "eight", "eighth"), (9, "nine", "ninth"), (12, "twelve", "twelfth"), (13, "thirteen", "thirteenth"),
    (14, "fourteen", "fourteenth"), (15, "fifteen", "fifteenth"), (18, "eighteen", "eighteenth"),
    (20, "twenty", "twentieth"), (21, "twenty-one", "twenty-first"), (32, "thirty-two", "thirty-second"),
    (40, "forty", "fortieth"), (43, "forty-three", "forty-third"), (50, "fifty", "fiftieth"),
    (90, "ninety", "ninetieth"), (99, "ninety-nine", "ninety-ninth"),
])  # fmt: skip
def test_english_numbers(number: int, cardinal: str, ordinal: str) -> None:
    assert prompts.cardinal(number, "en") == cardinal
    assert prompts.ordinal(number, "en") == prompts.ordinal_of(number, "en") == ordinal


def test_english_minutes() -> None:
    assert [prompts.minutes(n, "en") for n in (1, 2, 21)] == ["one minute", "two minutes", "twenty-one minutes"]


MONTHS = {
    "uk": "січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня",
    "en": "January February March April May June July August September October November December",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_months(language: str) -> None:
    assert [texts(language)[f"month-{month}"] for month in range(1, 13)] == MONTHS[language].split()


# What is after "від" and "до", by the minutes.
GENITIVE = {1: "однієї", 2: "двох", 3: "трьох", 5: "п'яти", 10: "десяти", 15: "п'ятнадцяти", 20: "двадцяти",
            30: "тридцяти", 45: "сорока п'яти", 60: "шістдесяти"}  # fmt: skip


def test_ranges() -> None:
    ranges = {name: text for name, text in texts("uk").items() if "-to-" in name}
    assert len(ranges) == 45
    for name, text in ranges.items():
        low, high = map(int, name.removeprefix("wait-").split("-to-"))
        assert text == f"Очікування: орієнтовно від {GENITIVE[low]} до {GENITIVE[high]} хвилин."


# ── letters ──


def test_both_languages_say_the_same_things() -> None:
    assert texts("uk").keys() == texts("en").keys()
    assert not texts("uk").keys() & tones().keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_whole(language: str) -> None:
    for name, text in texts(language).items():
        assert text == text.strip() != "", name
        assert not re.search(r"[{}<>&\n]|  | [,.?]", text), name


def test_letters_are_of_the_language() -> None:
    """No Latin letter that looks like a Cyrillic one, no Russian one, no digit for the voice to read its own way."""
    for name, text in texts("uk").items():
        assert not re.search(r"[A-Za-zыэёъЫЭЁЪ0-9]", re.sub(r"\[en: [^]]*\]", "", text)), name
    for name, text in texts("en").items():
        assert not re.search(r"[^\x00-\x7f]|[0-9]", re.sub(r"\[uk: [^]]*\]", "", text)), name


@pytest.mark.parametrize("name", ["greeting", "confirm-auto-greeting"])
def test_the_recording_is_announced(name: str) -> None:
    assert "Розмова записується." in texts("uk")[name]
    assert "This call is recorded." in texts("en")[name]


@pytest.mark.parametrize("name", ["menu", "menu-pending"])
def test_who_does_not_understand_the_menu_hears_how_to_change_it(name: str) -> None:
    assert "[en: For English, press nine.]" in texts("uk")[name]
    assert "[uk: Українською" in texts("en")[name]


def test_keys_that_are_told_are_the_dialplans() -> None:
    for name, keys in {"menu": "один два нуль", "menu-pending": "один два три нуль", "closed": "два",
                       "confirm-answer-keys": "один два нуль"}.items():  # fmt: skip
        told = re.findall(r"(?:натисніть|–) (нуль|один|два|три)\b", texts("uk")[name])
        assert told == keys.split(), name


def test_what_building_says_in_the_terminal() -> None:
    for language in LANGUAGES:
        assert "3" in prompts.building("progress", language, done=3, all=7)
        for key in ("waiting", "failed", "damaged", "unknown"):
            assert prompts.building(key, language, prompt="uk/x", why="y", file="z", longest=120)


# ── what is played, and what is not ──


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    var = tmp_path_factory.mktemp("var")
    settings = Settings(var=var)
    return render(settings, load_secrets(settings), Places(modules=var, spool_script=var / "spool_call.py"))


# By the steps, or the surge.
SAID = ("${SAY}", "${CALL_SAY}", "${INCIDENT_SAY}", "${CHOICE_SAY}", "${OFFICIAL_SAY}", "${GREETING}")


def dialplan_plays(extensions: str) -> Iterator[str]:
    """Every name given to ``Playback()`` and ``Read()``; what stands in a variable comes from elsewhere."""
    for said in re.findall(r"\b(?:Playback\(|Read\(\w+,)(\$\{IF\(.*?\)\}|[^,()]*)[,)]", extensions):
        choice = re.fullmatch(r"\$\{IF\(\$\[[^]]*\]\?([\w-]+):([\w-]+)\)\}", said)
        yield from choice.groups() if choice else (name for name in said.split("&") if name not in SAID)
    yield from re.findall(r"^GREETING = (\S+)$", extensions, re.MULTILINE)


def steps_say() -> Iterator[str]:
    for module in (*Path(steps.__file__).parent.glob("*.py"), Path(surging.__file__)):
        constants = (node.value for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Constant))
        yield from (value for value in constants if isinstance(value, str) and value in texts("uk"))


def speech_says() -> Iterator[str]:
    ends = range(0, 3700, 20)
    for low in ends:
        for high in ends[low // 20 :]:
            yield from speech.wait(low, high)
    for place in range(1, 100):
        yield from speech.place(place)
    for n in range(100):
        yield from speech.number(n * 1_000_000)
    for state in State:
        yield from speech.state(state)
    noon = dt.datetime(2026, 11, 24, 12, tzinfo=KYIV)
    for quarters in range(2 * 24 * 4):
        yield from speech.by(noon + dt.timedelta(minutes=15 * quarters), noon)
    yield from (f"choice-{key}" for key in range(1, 4))
    yield from (f"day-{day}" for day in range(1, 32))
    yield from (f"month-{month}" for month in range(1, 13))


def test_what_the_dialplan_plays_exists(rendered: dict[str, str]) -> None:
    exist = texts("uk").keys() | tones().keys()
    extensions = rendered["extensions.conf"]
    played = list(dialplan_plays(extensions))
    assert {"greeting", "menu", "menu-pending", "closed", "apology", "beep"} <= set(played), "the parser of this test"
    # Each is understood: none hides behind a way of writing that the parser does not know.
    said = "|".join(re.escape(name) for name in SAID)
    known = rf"\b(?:Playback\(|Read\(\w+,)(?:(?:{said}|[\w/-]+)(?:&[\w/-]+)*[,)]|\$\{{IF\()"
    assert len(re.findall(r"\bPlayback\(|\bRead\(", extensions)) == len(re.findall(known, extensions))
    assert not set(played) - exist


def test_nothing_else_of_asterisks_own_is_played(rendered: dict[str, str]) -> None:
    """Its sounds are not there: an application that plays them would be silent, with a warning in the log."""
    speaking = r"\b(Say\w+|Back[Gg]round|Voice[Mm]ail|ControlPlayback|Record|Directory|Echo|Page|ConfBridge)\("
    assert not re.search(speaking, rendered["extensions.conf"])
    announced = re.findall(r"^[a-z-]*announce.*|^queue-.*", rendered["queues.conf"], re.MULTILINE)
    assert announced == ["announce-frequency = 0"]


def test_no_prompt_is_never_played(rendered: dict[str, str]) -> None:
    by_twilio = {name for _, name in voice.SOUNDS}
    played = {*dialplan_plays(rendered["extensions.conf"]), *steps_say(), *speech_says(), *by_twilio}
    assert sorted((texts("uk").keys() | tones().keys()) - played) == []
