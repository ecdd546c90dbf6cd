"""How many messages of the network an SMS is: 160 letters of GSM's own alphabet, or 70 of any other, and fewer of each
once there are several. Ukrainian letters are of the other kind, and one of them makes the whole SMS so.

3GPP TS 23.038 (alphabets) and 23.040 (the seven or six bytes that a part of several loses). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

# 3GPP TS 23.038, 6.2.1 and 6.2.1.1: each of the second takes the room of two.
_BASIC = frozenset("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
                   "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà")  # fmt: skip
_EXTENDED = frozenset("\f^{}\\[~]|€")


class Alphabet(StrEnum):
    GSM_7 = "GSM-7"
    UCS_2 = "UCS-2"


# Units that fit: into one alone, into each of several.
ROOM = {Alphabet.GSM_7: (160, 153), Alphabet.UCS_2: (70, 67)}


@dataclass(frozen=True, slots=True)
class Segments:
    """``units``: septets, or halves of UTF-16; ``count``: what is paid for."""

    alphabet: Alphabet
    units: int
    count: int


def segments(text: str) -> Segments:
    """Of a text as it is sent. An empty one is one."""
    plain = all(letter in _BASIC or letter in _EXTENDED for letter in text)
    alphabet = Alphabet.GSM_7 if plain else Alphabet.UCS_2
    sizes = [1 + (letter in _EXTENDED if plain else ord(letter) > 0xFFFF) for letter in text]
    units, (alone, each) = sum(sizes), ROOM[alphabet]
    return Segments(alphabet, units, 1 if units <= alone else _parts(sizes, each))


def _parts(sizes: Iterable[int], room: int) -> int:
    """How many are filled, no letter being cut in two."""
    count, left = 1, room
    for size in sizes:
        if size > left:
            count, left = count + 1, room
        left -= size
    return count
