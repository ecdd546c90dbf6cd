"""What a cell of a file that is imported means: words, numbers, times, telephone numbers; or why it means nothing."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any

from crm import departments, phones, texts
from crm.clock import KYIV
from crm.errors import BadInput

FIRST_YEAR = 2000


def line(longest: int) -> Callable[[str], str]:
    return lambda cell: texts.line(cell, longest)


def text(longest: int) -> Callable[[str], str]:
    return lambda cell: texts.text(cell, longest)


def several(longest: int) -> Callable[[str], list[str]]:
    """Names with commas, semicolons or bars between them."""
    return lambda cell: [name for part in re.split(r"[,;|\n]", cell) if (name := texts.line(part, longest))]


def number(first: int, last: int) -> Callable[[str], int]:
    def parse(cell: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", cell, re.ASCII) or not first <= int(cell) <= last:
            raise BadInput("import.number", first=first, last=last)
        return int(cell)

    return parse


def one_of(words: Mapping[str, Any]) -> Callable[[str], Any]:
    """What a word stands for, whatever its case and apostrophes."""
    known = {folded(word): value for word, value in words.items()}

    def parse(cell: str) -> Any:
        if (word := folded(cell)) not in known:
            raise BadInput("import.word", known=", ".join(words))
        return known[word]

    return parse


YES_NO = {"так": True, "yes": True, "1": True, "true": True, "+": True, "ні": False, "no": False, "0": False,
           "false": False, "-": False}  # fmt: skip
_WRITTEN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:,? +(\d{1,2}):(\d{2})(?::(\d{2}))?)?", re.ASCII)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:\d{2})?)?", re.ASCII)
_SERIAL = re.compile(r"\d{5}(?:\.\d{1,12})?", re.ASCII)
_EXCEL = dt.datetime(1899, 12, 30, tzinfo=KYIV)


def moment(cell: str) -> dt.datetime:
    """UTC of 05.03.2024, 05.03.2024 14:30, 2024-03-05T14:30 (in Kyiv unless it says where), or the days since 1900 that
    a workbook counts. BadInput for what is none, and for a year that cannot be meant."""
    try:
        if found := _WRITTEN.fullmatch(cell):
            day, month, year, hour, minute, second = (int(part or 0) for part in found.groups())
            at = dt.datetime(year, month, day, hour, minute, second, tzinfo=KYIV)
        elif _ISO.fullmatch(cell):
            at = dt.datetime.fromisoformat(cell)
        elif _SERIAL.fullmatch(cell):
            at = _EXCEL + dt.timedelta(seconds=round(float(cell) * 86_400))
        else:
            raise ValueError
        at = (at if at.tzinfo else at.replace(tzinfo=KYIV)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise BadInput("import.date") from None
    if not FIRST_YEAR <= at.astimezone(KYIV).year <= 2099:
        raise BadInput("import.year", first=FIRST_YEAR)
    return at


def phone_numbers(cell: str) -> list[str]:
    found = [phones.parse_phone(part.strip()) for part in re.split(r"[,;|\n]", cell) if part.strip()]
    if not all(found) or len(found) > 5:
        raise BadInput("import.phone")
    return list(dict.fromkeys(found))


def email(cell: str) -> str:
    if not departments.is_email(address := texts.line(cell, 200)):
        raise BadInput("import.email")
    return address


def folded(name: str) -> str:
    """A heading or a word of a list as it is compared."""
    return " ".join(re.sub(r"[’ʼ`']", "'", name.replace("_", " ").replace("*", " ")).casefold().split())
