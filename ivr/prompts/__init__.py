"""The texts of every prompt in both languages: ``catalogue.toml``, numbers put into words by ``numerals.toml``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any

from babel import Locale

LANGUAGES = ("uk", "en")


@cache
def texts(language: str) -> Mapping[str, str]:
    """Prompt's name → what it says: ``{"greeting": "Добрий день. …", "wait-1": "Очікування: …", …}``."""
    catalogue = _read("catalogue.toml")
    said = {name: prompt[language] for name, prompt in catalogue["prompts"].items()}
    for family, rule in catalogue["families"].items():
        stem = family if family.endswith("/") else f"{family}-"
        for number in range(rule["from"], rule["to"] + 1):
            said[f"{stem}{number:0{rule.get('width', 1)}d}"] = _filled(rule[language], number, language)
    for family, rule in catalogue["ranges"].items():
        words = _numerals(language)["bounds"]
        for low, high in combinations(rule["bounds"], 2):
            said[f"{family}-{low}-to-{high}"] = rule[language].format(low=words[str(low)], high=words[str(high)])
    return MappingProxyType(said)


@cache
def tones() -> Mapping[str, Mapping[str, float]]:
    """Prompt's name → ``hertz`` and ``seconds`` of the ones that are no speech, the same in every language."""
    found: dict[str, dict[str, float]] = _read("catalogue.toml")["tones"]
    return MappingProxyType(found)


def building(key: str, language: str, /, **values: object) -> str:
    """What is said in the terminal while the prompts are built."""
    return str(_read("catalogue.toml")["building"][key][language]).format(**values)


@cache
def bounds(family: str) -> tuple[int, ...]:
    """The ends that the family's ranges may have, ascending."""
    return tuple(_read("catalogue.toml")["ranges"][family]["bounds"])


def cardinal(number: int, language: str) -> str:
    """21 → "двадцять один". Numbers of 0…999."""
    return _cardinal(number, _numerals(language), {})


def ordinal(number: int, language: str) -> str:
    """21 → "двадцять перший". Numbers of 0…99."""
    words = _numerals(language)
    if number < 20:
        return str(words["ordinal"][number])
    tens, unit = divmod(number, 10)
    if not unit:
        return str(words["ordinal_tens"][tens - 2])
    return f"{words['tens'][tens - 2]}{words['join']}{words['ordinal'][unit]}"


def ordinal_of(number: int, language: str) -> str:
    """The genitive: 21 → "двадцять першого"."""
    word = ordinal(number, language)
    for ending, genitive in _numerals(language)["genitive"].items():
        if word.endswith(ending):
            return word.removesuffix(ending) + str(genitive)
    return word


def minutes(number: int, language: str) -> str:
    """21 → "двадцять одна хвилина", 22 → "двадцять дві хвилини", 25 → "двадцять п'ять хвилин"."""
    words = _numerals(language)
    form = words["minute"][Locale(language).plural_form(number)]
    return f"{_cardinal(number, words, words['feminine'])} {form}"


def hour_of(hour: int, language: str) -> str:
    """The genitive of an hour: 21 → "двадцять першої"; English has twelve."""
    return str(_numerals(language)["hours_of"][hour])


def minutes_of(number: int, language: str) -> str:
    """The genitive: 21 → "двадцяти однієї хвилини", 35 → "тридцяти п'яти хвилин". Numbers of 0…59."""
    words = _numerals(language)
    said = words["minutes_of"][number if number < 20 else number % 10]
    if number >= 20:
        tens = words["tens_of"][number // 10 - 2]
        said = f"{tens}{words['join']}{words['minutes_of'][number % 10].split()[-1]}" if number % 10 else tens
    return f"{said}{words['minute_of'][Locale(language).plural_form(number)]}"


def announcements(language: str) -> Mapping[str, Any]:
    """The templates of what is said of an incident (``ivr/announcing.py``)."""
    found: dict[str, Any] = _read("announcements.toml")[language]
    return found


def _filled(template: str, number: int, language: str) -> str:
    """The template with its place, whichever it has, said of the number."""
    spoken: dict[str, Callable[[], str]] = {
        "cardinal": lambda: cardinal(number, language),
        "ordinal": lambda: ordinal(number, language),
        "ordinal_of": lambda: ordinal_of(number, language),
        "minutes": lambda: minutes(number, language),
        "pair": lambda: " ".join(cardinal(part, language) for part in ([0, number] if number < 10 else [number])),
        "until": lambda: str(_numerals(language)["hours_until"][number]),
        "month": lambda: str(_numerals(language)["months"][number - 1]),
    }
    return re.sub(r"\{(\w+)\}", lambda place: spoken[place[1]](), template)


def _cardinal(number: int, words: Mapping[str, Any], instead: Mapping[str, str]) -> str:
    """``instead``: units that another gender says otherwise, by the digit."""
    if number >= 100:
        hundreds = str(words["hundreds"][number // 100 - 1])
        return f"{hundreds} {_cardinal(number % 100, words, instead)}" if number % 100 else hundreds
    unit = number if number < 20 else number % 10
    said = str(instead.get(str(unit), words["cardinal"][unit]))
    if number < 20:
        return said
    tens = str(words["tens"][number // 10 - 2])
    return f"{tens}{words['join']}{said}" if unit else tens


@cache
def _numerals(language: str) -> Mapping[str, Any]:
    found: dict[str, Any] = _read("numerals.toml")[language]
    return found


@cache
def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / name).read_text("utf-8"))
