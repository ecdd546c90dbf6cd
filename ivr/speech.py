"""What a caller is told, as prompts to be played one after the other. Pure; the words are in ``ivr/prompts/``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date as Date
from datetime import datetime, timedelta
from math import ceil, floor

from crm.clock import KYIV
from crm.life import State
from ivr.prompts import bounds

PLACES = 50  # that are said; then "не ближче ніж п'ятдесят перший"
NUMBERS = 10**8  # an appeal's number has eight digits


def wait(low_s: float | None, high_s: float | None) -> list[str]:
    """The wait in whole minutes: "орієнтовно чотири хвилини", rounded up; "від двох до п'яти хвилин".

    The two ends in seconds, in either order; None when nobody can tell, and then nothing is said. A range is widened
    to the nearest ends that are spoken, never narrowed, but that the least that is said of is a minute.
    """
    if low_s is None or high_s is None:
        return []
    low, high = wait_said(low_s, high_s)
    if high is None:
        return ["wait-over"]
    if low == 0:
        return ["wait-less"]
    return [f"wait-{high}" if low == high else f"wait-{low}-to-{high}"]


def wait_said(low_s: float, high_s: float) -> tuple[int, int | None]:
    """The ends, in minutes, of what ``wait`` says: (0, 1) is less than a minute; None: no upper end is said."""
    low_s, high_s = sorted((low_s, high_s))
    ends = bounds("wait")
    if high_s > ends[-1] * 60:
        return ends[-1], None
    if high_s < 60:
        return 0, 1
    if max(1, ceil(low_s / 60)) == (high := ceil(high_s / 60)):
        return high, high
    low = max(ends[0], floor(low_s / 60))
    return max(end for end in ends if end <= low), min(end for end in ends if end >= high)


def place(of: int) -> list[str]:
    """Where he stands in the queue: "Ви", "другий", "у черзі"."""
    if of <= 1:
        return ["queue-youarenext"]
    return ["queue-thereare", f"digits/{of}" if of <= PLACES else "digits/many", "queue-callswaiting"]


def number(appeal: int) -> list[str]:
    """An appeal's number in pairs: 26000123 → 26, 00, 01, 23. ValueError if it has more than eight digits."""
    if not 0 <= appeal < NUMBERS:
        raise ValueError(f"{appeal} is no appeal's number")
    digits = f"{appeal:08d}"
    return [f"number-{digits[at:at + 2]}" for at in range(0, 8, 2)]


def state(of: State) -> list[str]:
    """Where an appeal stands: "передано виконавцю"."""
    return [f"state-{of.value}"]


def date(day: Date) -> list[str]:
    """The day and the month, as after "до": "двадцять другого", "липня"."""
    return [f"day-{day.day}", f"month-{day.month}"]


def phone(e164: str) -> list[str]:
    """A Ukrainian number as it is dialled, in pairs: 06, 71, 11, 22, 33. Nothing of another: that cannot be said so."""
    digits = national(e164)
    return [f"number-{digits[at:at + 2]}" for at in range(0, len(digits), 2)]


def national(e164: str) -> str:
    """0671112233 of "+380671112233"; "" of a foreign number."""
    return e164.removeprefix("+38") if e164.startswith("+380") and len(e164) == 13 else ""


def by(told_at: datetime | None, now: datetime) -> list[str]:
    """By when we shall call: "сьогодні до", "вісімнадцятої години". A full hour; midnight ends its day. None: that
    nobody can tell, but in his turn."""
    if told_at is None:
        return ["promise-in-turn"]
    last = (told_at - timedelta(seconds=1)).astimezone(KYIV)
    days = (last.date() - now.astimezone(KYIV).date()).days
    hour = f"hour-{last.hour + 1}"
    if days > 1:
        return ["promise-later", *date(last.date()), "promise-until", hour]
    return ["promise-tomorrow" if days else "promise-today", hour]


def play(names: Iterable[str]) -> str:
    """What ``Playback()`` takes: ``a&b&c``."""
    return "&".join(names)
