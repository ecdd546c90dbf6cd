"""What shows that whoever writes of an appeal was told of it: its number with a seal that only the centre can make.

It stands in the address of the appeal's own page, in the subject of each letter and in its Message-ID.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

LENGTH = 16  # letters: eighty bits
_WITH_NUMBER = re.compile(rf"(?<![0-9])([0-9]{{6,9}})-([a-z2-7]{{{LENGTH}}})(?![a-z2-7])", re.IGNORECASE)


def of(secret: str, number: int) -> str:
    """The seal of an appeal's number: letters and digits that look alike in no case."""
    made = hmac.new(secret.encode(), f"appeal\0{number}".encode(), hashlib.sha256).digest()
    return base64.b32encode(made)[:LENGTH].decode().lower()


def together(secret: str, number: int) -> str:
    """The number with its seal, as it is written: "26000123-k3v5…"."""
    return f"{number}-{of(secret, number)}"


def fits(secret: str, number: int, token: str) -> bool:
    return hmac.compare_digest(of(secret, number), token.lower()[:200].encode("ascii", "replace").decode())


def find(secret: str, text: str) -> int | None:
    """The first number in a text that stands there with its seal."""
    return next((int(number) for number, token in _WITH_NUMBER.findall(text) if fits(secret, int(number), token)), None)
