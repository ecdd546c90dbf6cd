"""How near two texts are in meaning, as far as their letters tell. Pure.

Ukrainian is inflected, and whoever writes while he listens mistypes: whole words seldom match, but most of their
three-letter parts do ("опалення", "опаленя" and "без опалення" share all but a few).
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

LONGEST = 600  # characters of a text that are compared: what it is about is said at its beginning
# The apostrophe in each of its shapes goes, so that a word written without it is the same; ґ is as often written г.
_FOLDED = str.maketrans(dict.fromkeys("'’ʼ‘`´′ʹ\"", "") | {"ґ": "г", "ё": "е"})
_WORD = re.compile(r"[^\W_]+")
# What every second appeal says, whatever it is about.
_EMPTY = frozenset((
    "будь", "ласка", "вже", "день", "добрий", "доброго", "дня", "дуже", "або", "але", "був", "була", "було", "вас",
    "весь", "відсутнє", "відсутній", "відсутня", "відсутні", "дайте", "для", "зробіть", "його", "коли", "нас", "нема",
    "немає", "під", "після", "поки", "працює", "працюють", "при", "про", "прохання", "просимо", "прошу", "раз",
    "скільки", "скоріше", "також", "тому", "цей", "цього", "через", "шановні", "щоб", "яка", "який", "яке", "які",
    "the", "and", "please", "for", "that", "this", "with", "there", "not", "working",
))  # fmt: skip


def fold(text: str) -> str:
    """The words that tell something, as they are compared: lower case, no apostrophes, ґ as г."""
    words = _WORD.findall(text[:LONGEST].lower().translate(_FOLDED))
    return " ".join([word for word in words if len(word) > 2 and word not in _EMPTY])


@lru_cache(maxsize=2048)
def trigrams(text: str) -> frozenset[int]:
    """The three-letter parts of its words, each word with two spaces before it: endings, which change with the case,
    weigh least. Their hashes, which are a third of their size. What is compared again with every word that is typed
    is kept."""
    return frozenset([hash(word[i : i + 3]) for word in _padded(fold(text)) for i in range(len(word) - 2)])


def _padded(folded: str) -> list[str]:
    return ["  " + word for word in folded.split()]


def nearness(one: frozenset[int], other: frozenset[int]) -> float:
    """From 0 (nothing in common) to 1 (the same): what they share, against the mean of what each has.

    The mean is the geometric one: a few words match a long story that has them all.
    """
    if not one or not other:
        return 0.0
    return len(one & other) / math.sqrt(len(one) * len(other))
