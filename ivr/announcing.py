"""What is said of an incident of which nobody has written anything: words, of what is on record. Pure.

The words are in ``ivr/prompts/``; numbers are put into them as words, so that no voice reads them in its own way.
"""

from __future__ import annotations

import datetime as dt
import re

from crm.clock import KYIV
from crm.incidents import Incident
from ivr import prompts

SINCE_STEP = 10  # minutes: nobody noticed it to the minute
_NUMBER = re.compile(r"\d+")
_HYPHEN = re.compile(r"(?<=\d)-(?=[^\W\d])")  # 12-А
_SIGN = re.compile(r"(?<=\d)\s*([/-])\s*(?=\d)")  # 7/9, 14-16


def forms(of: Incident, now: dt.datetime, language: str) -> list[str]:
    """The fullest first: whoever has it spoken takes the first that is short enough."""
    said = prompts.announcements(language)
    where = place(of, language)
    told = {"place": where[:1].upper() + where[1:], "subject": _subject(of, language),
            "since": since(of.proposed_at, now, language), "until": until(of.expected_at, now, language)}  # fmt: skip
    return [form.format(**told).strip() for form in said["forms"]]


def name(of: Incident, language: str) -> str:
    """By which a caller chooses it among others: he hears the whole of it then."""
    said = prompts.announcements(language)["name"]
    where = in_words(of.street or of.network or of.place, "uk")
    return str(said).format(subject=_subject(of, language), where=where)


def place(of: Incident, language: str) -> str:
    """A building by its address, a network by its kind and name, or what was said. Streets have no English names."""
    said = prompts.announcements(language)
    if of.building_id is not None:
        return str(said["address"]).format(street=in_words(of.street, "uk"), number=in_words(of.building, "uk"))
    if of.network_id is not None:
        return str(said["network"]).format(kind=said["kinds"][of.network_kind], name=in_words(of.network, "uk"))
    return str(said["words"]).format(place=in_words(of.place, "uk"))


def since(at: dt.datetime, now: dt.datetime, language: str) -> str:
    """ "Триває з десятої години двадцяти хвилин.", "Триває від учора, з…", "Триває з двадцять першого листопада." """
    local, today = at.astimezone(KYIV), now.astimezone(KYIV).date()
    said = prompts.announcements(language)["since"]
    days = (today - local.date()).days
    form = said["today" if days <= 0 else "yesterday" if days == 1 else "date"]
    return str(form).format(time=time(local.hour, local.minute // SINCE_STEP * SINCE_STEP, language),
                            date=date(local.date(), language))  # fmt: skip


def until(at: dt.datetime | None, now: dt.datetime, language: str) -> str:
    """ "Усунути мають сьогодні до вісімнадцятої години тридцяти хвилин."; what has passed is not promised again."""
    said = prompts.announcements(language)["until"]
    if at is None or at <= now:
        return str(said["unknown"])
    local, today = at.astimezone(KYIV), now.astimezone(KYIV).date()
    day = local.date()
    if (local.hour, local.minute) == (0, 0):  # the midnight that ends a day
        day -= dt.timedelta(days=1)
    days = (day - today).days
    form = said["today" if days <= 0 else "tomorrow" if days == 1 else "date"]
    return str(form).format(time=time(local.hour, local.minute, language), date=date(day, language))


def time(hour: int, minute: int, language: str) -> str:
    """As after "з" and "до": "вісімнадцятої години тридцяти хвилин", "опівночі"."""
    said = prompts.announcements(language)["time"]
    if not minute and str(hour) in said["named"]:
        return str(said["named"][str(hour)])
    return str(said["full" if minute else "whole"]).format(
        hour=prompts.hour_of(hour, language), minutes=prompts.minutes_of(minute, language),
        half=said["halves"][hour // 12]).strip()  # fmt: skip


def date(day: dt.date, language: str) -> str:
    """As after "з" and "до": "двадцять п'ятого листопада"."""
    said = prompts.texts(language)
    return f"{said[f'day-{day.day}']} {said[f'month-{day.month}']}"


def in_words(text: str, language: str) -> str:
    """Numbers and signs of an address or a name as words: "12-А" → "дванадцять А", "7/9 к. 2" → "сім дріб дев'ять
    корпус два"."""
    signs = prompts.announcements(language)["signs"]
    text = text.replace("[", "").replace("]", "")
    text = _SIGN.sub(lambda found: f" {signs[found[1]]} ", _HYPHEN.sub(" ", text))
    for sign in ("№", "к."):
        text = re.sub(rf"(?<!\w){re.escape(sign)}\s*(?=\d)", f" {signs[sign]} ", text)
    return " ".join(_NUMBER.sub(lambda found: f" {_number(found[0], language)} ", text).split())


def _number(digits: str, language: str) -> str:
    """A number of a street or a house as one; a longer one, which is no quantity, by its pairs of digits."""
    if len(digits) <= 3:
        return prompts.cardinal(int(digits), language)
    pairs = [digits[at : at + 2] for at in range(0, len(digits), 2)]
    return " ".join(prompts.cardinal(int(pair), language) for pair in pairs)


def _subject(of: Incident, language: str) -> str:
    text = of.subject_uk if language == "uk" else of.subject_en
    return in_words(text, language)
