"""Telephone numbers: parsed once from hostile text into E.164, or into nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

import phonenumbers

_LONGEST = 40  # of what is worth reading: fifteen digits and their decoration
_DECORATION = re.compile(r"[ \t\u00a0().-]")
_DIGITS = re.compile(r"\+?[0-9]{5,18}")
_KYIV = "44"
_UKRAINIAN = re.compile(r"\+380[1-9][0-9]{8}")  # what nearly every caller's is: that needs no library


def parse_phone(raw: str | bytes | None) -> str:
    """E.164 ("+380441234567") of what a trunk, a form or a file gave; "" when it is no number.

    Takes 0441234567, 380…, +380…, 00380…, seven digits of a Kyiv landline, and foreign numbers
    with + or 00; spaces, hyphens, dots and brackets are ignored, anything else makes it "".
    """
    if isinstance(raw, bytes):
        raw = raw.decode("ascii", "replace")
    if not raw or len(raw) > _LONGEST:
        return ""
    digits = _DECORATION.sub("", raw)
    if not _DIGITS.fullmatch(digits):
        return ""
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    elif digits.startswith("380") and len(digits) == 12:
        digits = "+" + digits
    elif len(digits) == 7 and digits[0] != "0":
        digits = f"+380{_KYIV}{digits}"
    elif len(digits) == 10 and digits[0] == "0":
        digits = "+38" + digits
    if _UKRAINIAN.fullmatch(digits):
        return digits
    try:
        number = phonenumbers.parse(digits, "UA")
    except phonenumbers.NumberParseException:
        return ""
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return ""
    if number.country_code == 380 and not 100_000_000 <= (number.national_number or 0) <= 999_999_999:
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def display(e164: str) -> str:
    """For people: "+380 44 123 4567"; "" stays ""."""
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return e164
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def may_call(e164: str, prefixes: Iterable[str]) -> bool:
    """Whether the centre may call this number: it begins with one of ``prefixes`` ("+380")."""
    return bool(e164) and e164.startswith(tuple(prefixes))
