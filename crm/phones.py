"""Telephone numbers: parsed once from hostile text into E.164, or into nothing."""

from __future__ import annotations

from collections.abc import Iterable


def parse_phone(raw: str | bytes | None) -> str:
    """E.164 ("+380441234567") of what a trunk, a form or a file gave; "" when it is no number.

    Takes 0441234567, 380…, +380…, 00380…, seven digits of a Kyiv landline, and foreign numbers
    with their plus; spaces, hyphens, dots and brackets are ignored, anything else makes it "".
    """
    raise NotImplementedError


def display(e164: str) -> str:
    """For people: "+380 44 123 4567"; "" stays ""."""
    raise NotImplementedError


def may_call(e164: str, prefixes: Iterable[str]) -> bool:
    """Whether the centre may call this number: it begins with one of ``prefixes`` ("+380")."""
    raise NotImplementedError
