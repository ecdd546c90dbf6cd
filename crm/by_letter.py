"""What a letter does: it belongs to the appeal whose seal it bears, or it waits for a specialist.

"From" proves nothing: only the seal does, that we have told him. With it, clear words are his word on what was done.
Each letter is taken once, by its Message-ID; whatever is answered goes out as a notice, later, and a machine is
never answered.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from crm import appeals, confirmations, messages, notices, rates, texts, tokens
from crm.appeals import Appeal
from crm.attachments import Stored
from crm.confirmation_rules import Result
from crm.errors import BadInput
from crm.life import Action, State
from crm.messages import Held, Incoming
from crm.rates import DAY
from crm.schema import message
from crm.telling import Say, Way

CHANNEL = "email"
ANSWERS_DAILY = 5  # by a machine, to one address: more is another machine that answers ours
ANSWERED_FOR = dt.timedelta(days=3)  # what came earlier, and is only found now, is answered by a person
LONGEST_WORD = 300  # characters of a letter that says no more than that all is done
NAMED = 10  # files that an answer names

# Words at the beginning, as our letter asks for them, and their like.
_SOLVED = re.compile(r"\W*(?:(?:так|yes)\W+)?(?:вирішено|решено|solved|resolved)(?=\W|$)")
_NOT_SOLVED = re.compile(r"\W*(?:(?:ні|нет|no)\W+)?(?:не\s*вирішено|не\s*решено|not\s+(?:yet\s+)?(?:solved|resolved)"
                         r"|unsolved|unresolved)(?=\W|$)")  # fmt: skip
# After which it is not clear any more.
_BUT = re.compile(r"(?:^|\W)(?:не|ні|але|проте|однак|лише|тільки|частково|досі|знову|нет|но|not?|but|only|partly|still"
                  r"|again|yet|however)(?=\W|$)|\?")  # fmt: skip


# Why a file was not taken: the sentence that says so.
_WHY = {"attachment.empty": "empty", "attachment.kind": "kind", "attachment.broken": "broken",
        "attachment.bomb": "bomb", "attachment.too_big": "big"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that was not taken, and why."""

    name: str
    error: BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailed:
    """A letter that has come. ``id``: its Message-ID; ``digest``: of what it says; ``sender``: the address in lower
    case, "" for none; ``files``: on the disk; ``mentions``: where a seal may stand; ``numbers``: that look like an
    appeal's; ``automatic``, ``suspect``: a machine wrote it, it looks like an advertisement; ``answerable``: somebody
    may read an answer; ``returned``: Message-IDs of ours that could not be delivered; ``too_big``: megabytes of a
    letter that lies in the mailbox still, of which only the head is known."""

    id: str
    digest: str
    sender: str
    received_at: dt.datetime
    name: str = ""
    subject: str = ""
    text: str = ""
    language: str = "uk"
    files: Sequence[Stored] = ()
    refused: Sequence[Refusal] = ()
    too_many: int = 0
    mentions: str = ""
    numbers: Sequence[int] = ()
    automatic: bool = False
    suspect: bool = False
    answerable: bool = True
    returned: Sequence[str] = ()
    too_big: int = 0


def word(text: str) -> Result | None:
    """What he says of his appeal, if he says it plainly and at once."""
    plain = text.casefold()
    if _NOT_SOLVED.match(plain):
        return Result.NOT_SOLVED
    if len(plain) <= LONGEST_WORD and (found := _SOLVED.match(plain)) and not _BUT.search(plain[found.end() :]):
        return Result.SOLVED
    return None


def receive(conn: Connection, its: Mailed, *, now: dt.datetime, say: Say, secret: str, daily: int) -> bool:
    """Keeps it and does what it says; False for one that was taken before. ``secret``: of the seals and the counts;
    ``daily``: more than so many letters from an address in a day are looked at last."""
    about = None if its.automatic else _sealed(conn, secret, its.mentions)
    taken = _take(conn, its, about, say)
    if taken is None:
        return False
    message_id, external_id = taken
    for ref in its.returned:
        notices.delivered(conn, ref, "failed", now)
    if its.automatic:
        return True
    if about is not None:
        answer = _add(conn, its, message_id, external_id, about, now, say)
    elif its.suspect or _too_many(conn, its, message_id, now, secret, daily):
        answer = None
    else:
        answer = say("received", its.language)
    if its.too_big:
        answer = say("too_big", its.language, megabytes=its.too_big)
    if answer is not None and its.answerable and now - its.received_at < ANSWERED_FOR:
        _answer(conn, "\n\n".join(filter(None, (answer, _left_out(its, say)))), its.sender, message_id, external_id,
                now, secret)  # fmt: skip
    return True


def _sealed(conn: Connection, secret: str, mentions: str) -> Appeal | None:
    number = tokens.find(secret, mentions)
    return appeals.by_number(conn, number) if number is not None else None


def _take(conn: Connection, its: Mailed, about: Appeal | None, say: Say) -> tuple[int, str] | None:
    """Its id, and by which name it was taken; None if it was before. Of two that bear one name and say something else,
    the second has its digest with it."""
    text = say("lies_in_mailbox", "uk", megabytes=its.too_big) if its.too_big else its.text
    text = texts.text(text[: messages.LONGEST_TEXT], messages.LONGEST_TEXT)
    for external_id in (its.id, f"{its.id}#{its.digest}"):
        message_id = messages.take(conn, Incoming(
            channel=CHANNEL, external_id=external_id, address=its.sender, name=its.name, title=its.subject, text=text,
            language=its.language, received_at=its.received_at, files=its.files, said=_said(conn, its, about),
            reason=Held.AUTOMATIC if its.automatic else Held.ADVERT if its.suspect else None))  # fmt: skip
        if message_id is not None:
            return message_id, external_id
        if _is_known(conn, external_id, its, text):
            return None
    return None


def _is_known(conn: Connection, external_id: str, its: Mailed, text: str) -> bool:
    """Whether what was taken by this name is this letter."""
    row = conn.execute(select(message.c.id, message.c.address, message.c.title, message.c.text).where(
        message.c.channel == CHANNEL, message.c.external_id == external_id)).one()  # fmt: skip
    files = [stored.sha256 for stored in messages.files_of(conn, row.id)]
    return (row.address, row.title, row.text, files) == (
        its.sender, its.subject, text, [stored.sha256 for stored in its.files])  # fmt: skip


def _said(conn: Connection, its: Mailed, about: Appeal | None) -> dict[str, str | int | float]:
    """What the letter says of him, of its appeal, and of the place: the first of its photos that knows one."""
    number = about.number if about else next((each for each in its.numbers if appeals.by_number(conn, each)), None)
    place = next((stored.place for stored in its.files if stored.place), None)
    said: dict[str, str | int | float] = {}
    if its.sender and not its.automatic:
        said |= {"name": its.name, "email": its.sender, "tell_by": Way.EMAIL.value, "tell_to": its.sender}
    if number is not None:
        said["number"] = number
    if place is not None:
        said |= {"latitude": place[0], "longitude": place[1]}
    return {key: value for key, value in said.items() if value != ""}


def _add(conn: Connection, its: Mailed, message_id: int, external_id: str, about: Appeal, now: dt.datetime,
         say: Say) -> str:  # fmt: skip
    """It is the appeal's; what to answer. His word is told as any other, by the way that he has chosen."""
    result = word(its.text) if about.state in (State.AWAITING, State.UNCONFIRMED) else None
    if result is None:
        messages.add_to(conn, message_id, about.id, now=now, staff_id=None)
        return say("added", its.language, number=about.number)
    confirmations.answer(conn, number=about.number, result=result, now=now, note=its.text[: appeals.LONGEST_NOTE],
                         written=f"{CHANNEL}:{external_id}")  # fmt: skip
    messages.belongs(conn, message_id, about.id, now=now, staff_id=None, action=Action.HEAR)
    return ""


def _too_many(conn: Connection, its: Mailed, message_id: int, now: dt.datetime, secret: str, daily: int) -> bool:
    """Whether there came too many from this address today: then it is looked at last."""
    if not its.sender or rates.count(conn, rates.key(secret, "letter", its.sender), now, DAY) <= daily:
        return False
    conn.execute(update(message).where(message.c.id == message_id).values(reason=Held.RATE.value))
    return True


def _left_out(its: Mailed, say: Say) -> str:
    """Which of his files were not taken, and why; "" if all were."""
    if not its.refused and not its.too_many:
        return ""
    lines = []
    for one in its.refused[:NAMED]:
        why = say(_WHY[one.error.id], its.language, **one.error.details)
        lines.append(say("file", its.language, name=one.name, why=why))
    more = its.too_many + len(its.refused[NAMED:])
    if more:
        lines.append(say("more_files", its.language, count=more))
    return "\n".join([say("left_out", its.language), *lines, "", say("taken", its.language)])


def _answer(conn: Connection, text: str, to: str, message_id: int, external_id: str, now: dt.datetime,
            secret: str) -> None:  # fmt: skip
    """Nothing where there is nothing to say, or once too much has been answered to this address today."""
    if text and rates.count(conn, rates.key(secret, "letter-answer", to), now, DAY) <= ANSWERS_DAILY:
        notices.reply(conn, message_id=message_id, key=f"{CHANNEL}:{external_id}", text=text, now=now)
