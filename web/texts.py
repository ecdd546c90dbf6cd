"""Every sentence a page shows, from ``locale/<language>/*.toml``; and how times and numbers are written.

A key is the path to its sentence (``live.waiting``). A sentence that counts is a table of plural
forms (``one``, ``few``, ``many``, ``other``), chosen by ``n``. ``error.<id>`` answers a ``CentreError``.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time

from crm.errors import CentreError

log = logging.getLogger(__name__)

LANGUAGES = ("uk", "en")  # the first one is everybody's until he chooses
KYIV = ZoneInfo("Europe/Kyiv")
_PLURALS = frozenset({"zero", "one", "two", "few", "many", "other"})


class Texts:
    """One language: ``texts("live.waiting", n=3)`` → "3 чекають". KeyError for a key the catalogue lacks."""

    def __init__(self, language: str, sentences: Mapping[str, str | Mapping[str, str]]) -> None:
        self.language = language
        self.sentences = sentences
        self._locale = Locale(language)

    def __call__(self, key: str, /, **values: Any) -> str:
        sentence = self.sentences[key]
        if not isinstance(sentence, str):
            sentence = sentence[self._locale.plural_form(values["n"])]
        return sentence.format(**values)

    def error(self, error: CentreError) -> str:
        """What went wrong and what to do about it; a general sentence for an id that has none yet."""
        try:
            return self(f"error.{error.id}", **error.details)
        except KeyError:
            log.error("no sentence for the error %s with %s", error.id, sorted(error.details))
            return self("error.error")

    def either(self, uk: str, en: str) -> str:
        """What is kept in both languages; in Ukrainian where nobody has translated it yet."""
        return en if self.language == "en" and en else uk

    def __contains__(self, key: str) -> bool:
        return key in self.sentences

    def time(self, at: datetime | None) -> str:
        """14:05:09 in Kyiv; a dash for nothing."""
        return format_time(at, "HH:mm:ss", tzinfo=KYIV, locale=self._locale) if at else "—"

    def clock(self, at: datetime | None) -> str:
        """14:05 in Kyiv; a dash for nothing."""
        return format_time(at, "HH:mm", tzinfo=KYIV, locale=self._locale) if at else "—"

    def moment(self, at: datetime | None) -> str:
        """5 бер. 2026 р., 14:05 in Kyiv; a dash for nothing."""
        return format_datetime(at, self("format.moment"), tzinfo=KYIV, locale=self._locale) if at else "—"

    def short_day(self, at: datetime | None) -> str:
        """24.11.2026 in Kyiv, for a table; a dash for nothing."""
        return format_datetime(at, self("format.date"), tzinfo=KYIV, locale=self._locale) if at else "—"

    def day(self, at: datetime | date | None) -> str:
        """5 березня 2026 р. in Kyiv, for a sentence; a dash for nothing."""
        if isinstance(at, datetime):
            at = at.astimezone(KYIV).date()
        return format_date(at, "long", locale=self._locale) if at else "—"

    def soon(self, at: datetime | None, now: datetime) -> str:
        """сьогодні о 14:05, завтра о 10:00 in Kyiv; a later one as ``moment``; a dash for nothing."""
        if at is None:
            return "—"
        days = (at.astimezone(KYIV).date() - now.astimezone(KYIV).date()).days
        if days not in (0, 1):
            return self.moment(at)
        return self(("format.today", "format.tomorrow")[days], time=format_time(at, "HH:mm", KYIV, self._locale))

    def lasting(self, seconds: float | timedelta | None) -> str:
        """3:05, or 1:03:05; a dash for nothing. The script of the page writes it the same way."""
        if seconds is None:
            return "—"
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        minutes, second = divmod(max(0, int(seconds)), 60)
        hours, minute = divmod(minutes, 60)
        return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


@cache
def texts(language: str) -> Texts:
    """The catalogue of a language of ``LANGUAGES``."""
    sentences: dict[str, str | Mapping[str, str]] = {}
    for path in sorted((Path(__file__).parent / "locale" / language).glob("*.toml")):
        for key, sentence in _flat("", tomllib.loads(path.read_text("utf-8"))):
            if key in sentences:
                raise ValueError(f"{key} is in two catalogues, the second of which is {path}")
            sentences[key] = sentence
    return Texts(language, sentences)


def _flat(prefix: str, table: Mapping[str, Any]) -> list[tuple[str, str | Mapping[str, str]]]:
    found: list[tuple[str, str | Mapping[str, str]]] = []
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, str) or value.keys() <= _PLURALS:
            found.append((key, value))
        else:
            found += _flat(f"{key}.", value)
    return found
