"""What somebody has written himself, without the letter that he answers and what his mail program adds.

Ukrainian, English and Russian programs mark it each in its own words. Where nothing would be left, all is kept; and so
is what he passes on: a forwarded letter is what he has to say. Pure.
"""

from __future__ import annotations

import re

LONGEST_LINE = 400  # characters: no mark is longer
LOOKED_AT = 4000  # lines

# "On Mon, 5 Jan 2026 at 10:00, … wrote:", "пн, 5 січ. 2026 р. о 10:00 … пише:", "05.01.2026, 10:00, … <…>:"
_SAID = r"(?:wrote|writes|пише|пишуть|(?:на)?писа(?:в|ла|ли|л)|написано|пишет)(?:\(а\))?"
_WHEN = r"(?:\d{1,2}[:.]\d{2}|\b20\d\d\b|\d{1,2}[./]\d{1,2}[./]\d{2,4})"
_ADDRESS = r"[^\s<>@\"]+@[^\s<>@\"]+"
_INTRODUCES = re.compile(rf"^\W{{0,4}}(?=.*{_WHEN})(?:.*\b{_SAID}\s*:|.*<?{_ADDRESS}>?\s*(?:{_SAID})?\s*:)\s*$",
                         re.IGNORECASE)  # fmt: skip
# "-----Original Message-----", and the same of others
_ORIGINAL = re.compile(
    r"^\W{0,4}-{2,}\s*(?:original (?:message|appointment)|reply message|(?:оригінальне|вихідне|початкове|первинне) "
    r"(?:повідомлення|лист)|оригінал (?:повідомлення|листа)|(?:исходное|оригинальное) (?:сообщение|письмо))\s*-{2,}\s*$"
    , re.IGNORECASE)  # fmt: skip
_FORWARDED = re.compile(
    r"^\W{0,4}(?:-{2,}\s*)?(?:(?:begin )?forwarded (?:message|by)\b.*|"
    r"(?:початок )?(?:переслан|пересилан|переадресован)\w* (?:повідомлен|лист)\w*.*|"
    r"(?:начало )?(?:переслан|пересылаем|переадресован)\w* (?:сообщен|письм)\w*.*)$", re.IGNORECASE)  # fmt: skip
# The lines of an old letter's head, as Outlook puts them before it.
_FROM = re.compile(r"^\W{0,4}(?:from|від кого|від|від користувача|от кого|от|отправитель|відправник)\s*:\s*\S",
                   re.IGNORECASE)  # fmt: skip
_HEAD = re.compile(r"^\W{0,4}(?:sent|date|to|cc|subject|надіслано|дата|кому|копія|тема|отправлено|копия|до)\s*:",
                   re.IGNORECASE)  # fmt: skip
_PASSED_ON = re.compile(r"^\s*(?:fwd?|пересл(?:ано)?|переслано|перес|пд)\s*:", re.IGNORECASE)
_RULE = re.compile(r"^\s*_{10,}\s*$")
_SIGNATURE = re.compile(r"^-- ?$")
_DEVICE = re.compile(
    r"^\W{0,4}(?:sent (?:from|with|via) .{2,60}|get outlook for .{2,30}|надіслано (?:з|із|через|за допомогою) .{2,60}|"
    r"відправлено (?:з|із|через|за допомогою) .{2,60}|отримати outlook для .{2,30}|завантаж(?:те|ити) outlook .{2,30}|"
    r"(?:отправлено|послано) (?:с|из|через|с помощью) .{2,60}|скачать outlook .{2,30}|"
    r"это письмо отправлено .{2,60}|цей лист надіслано .{2,60})$", re.IGNORECASE)  # fmt: skip


def own_words(text: str, subject: str = "") -> str:
    """``text``: of a letter, lines ended by "\\n". ``subject``: says whether the letter is passed on."""
    lines = text.split("\n")
    kept = _without_advertisement(_without_quote(lines[:LOOKED_AT], _PASSED_ON.match(subject) is not None))
    return "\n".join([*kept, *lines[LOOKED_AT:]]).strip() or text.strip()


def forwards(text: str) -> bool:
    """Whether it begins with the mark of a letter that is passed on."""
    return any(_FORWARDED.match(line[:LONGEST_LINE]) for line in text.strip().split("\n")[:3])


def _without_quote(lines: list[str], passed_on: bool) -> list[str]:
    kept: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if _FORWARDED.match(line[:LONGEST_LINE]):
            return [*kept, *(each.removeprefix(">").removeprefix(" ") for each in lines[at:])]
        if _ORIGINAL.match(line[:LONGEST_LINE]) or (not passed_on and _is_head(lines, at)):
            return kept[:-1] if kept and _RULE.match(kept[-1]) else kept
        if length := _introduction(lines, at):
            if not _follows_quoted(lines, at + length):
                return kept
            at += length
            continue
        if not line.startswith(">"):
            kept.append(line)
        at += 1
    return kept


def _introduction(lines: list[str], at: int) -> int:
    """How many lines introduce a quote here: long ones are broken. It is one if a quote follows, or if it says whose
    letter it is by his address: a person writes "о 10:00 майстер сказав:" too."""
    if not lines[at].strip() or not re.search(_WHEN, lines[at][:LONGEST_LINE]):
        return 0
    for length in (1, 2, 3):
        joined = " ".join(lines[at : at + length])[:LONGEST_LINE].strip()
        if joined.endswith(":"):
            known = re.search(_ADDRESS, joined) is not None or _follows_quoted(lines, at + length)
            return length if known and _INTRODUCES.match(joined) else 0
    return 0


def _follows_quoted(lines: list[str], at: int) -> bool:
    """Whether the next words are quoted, or there are none."""
    following = next((line for line in lines[at:] if line.strip()), ">")
    return following.startswith(">")


def _is_head(lines: list[str], at: int) -> bool:
    """Whether an old letter's head begins here: from whom, and two more of its lines soon after."""
    if not _FROM.match(lines[at][:LONGEST_LINE]):
        return False
    return sum(_HEAD.match(line[:LONGEST_LINE]) is not None for line in lines[at + 1 : at + 7]) >= 2


def _without_advertisement(lines: list[str]) -> list[str]:
    """Who signs says his name there, his telephone and where he lives: only the mark before it goes, and what the
    program says of itself."""
    kept = ["" if _SIGNATURE.match(line) else line for line in lines]
    while kept and (not kept[-1].strip() or _DEVICE.match(kept[-1][:LONGEST_LINE])):
        kept.pop()
    return kept
