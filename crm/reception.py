"""What is filed by somebody at a page or by a program of somebody else's: taken once, registered at once where nothing
speaks against it, and else left to a person. Nothing is lost: what is held is a message like any other.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select, update

from crm import appeals, filing, messages, rates
from crm.appeals import Registered
from crm.errors import BadInput, NotFound
from crm.filing import Filing
from crm.messages import Held, Incoming, State
from crm.rates import DAY, HOUR, Limits
from crm.schema import appeal, message
from crm.telling import WRITTEN, Way

ALIKE = 3  # the same words of one place, or LONG ones of any, more often than so in a day: a person looks
LONG = 200  # letters: nobody writes as many alike by himself; "no water" a whole district does
LINKS = 3  # as many make it an advertisement
FLOOD = 50  # times what an address may file an hour: more is nobody's work to read, and is refused
_LINK = re.compile(r"https?://|www\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Received:
    """``appeal``: None while a person has not looked at it. ``reason``: why one must."""

    message_id: int
    appeal: Registered | None
    reason: Held | None


@dataclass(frozen=True, slots=True)
class Became:
    """What a held message is by now. ``waits``: nobody has decided yet. ``appeal``: that was made of it; None also
    where it was added to another's, answered, or is nothing."""

    waits: bool
    appeal: Registered | None


def receive(conn: Connection, its: Filing, *, external_id: str, source: str, secret: str, limits: Limits,
            now: dt.datetime, suspect: bool = False, incomplete: bool = False) -> Received:  # fmt: skip
    """Files it, or holds it. ``external_id``: the mark of this filing in its channel: what is sent twice is filed once,
    and answered alike. ``source``: where it comes from (an address of the network), of which a digest is kept for two
    days. ``suspect``: the form itself looks as if no person had filled it in. ``incomplete``: the law does not consider
    it as it is, and not for want of a name.

    BadInput as ``filing.file``, and ``filing.flood`` of an address that sends so much that no person could look at it;
    a filing without a name is held, for the law does not consider it as it is.
    """
    if (known := taken(conn, its.channel, external_id)) is not None:
        return known
    against = _against(conn, its, source, secret, limits, now)
    reason = Held.ADVERT if suspect else against
    if reason is None and its.name.strip() and not incomplete:
        return _register(conn, its, external_id, now)
    if its.building_id is None and not its.place.strip():
        raise filing.no_place()
    reason = reason or Held.NAMELESS
    message_id = messages.take(conn, replace(_incoming(its, external_id, now), text=its.text, files=its.files,
                                             said=_said(its), reason=reason))  # fmt: skip
    return _just_taken(conn, its, external_id) if message_id is None else Received(message_id, None, reason)


def _register(conn: Connection, its: Filing, external_id: str, now: dt.datetime) -> Received:
    """Its message is only the mark that it was taken: what it says stands in the appeal."""
    message_id = messages.take(conn, replace(_incoming(its, external_id, now), state=State.DONE))
    if message_id is None:
        return _just_taken(conn, its, external_id)
    made = filing.file(conn, its, now=now)
    conn.execute(update(message).where(message.c.id == message_id).values(appeal_id=made.id, done_at=now))
    return Received(message_id, made, None)


def _just_taken(conn: Connection, its: Filing, external_id: str) -> Received:
    """By another process, between our asking and our writing."""
    known = taken(conn, its.channel, external_id)
    assert known is not None  # noqa: S101
    return known


def taken(conn: Connection, channel: str, external_id: str) -> Received | None:
    """What is said to who sends this again; None for what is new."""
    for row in conn.execute(_TAKEN.where(message.c.channel == channel, message.c.external_id == external_id)):
        its = _became(conn, row).appeal
        return Received(row.id, its, Held(row.reason) if row.reason and its is None else None)
    return None


def became(conn: Connection, message_id: int) -> Became:
    """What is said to who sent a message that was held. NotFound ``message.unknown``."""
    for row in conn.execute(_TAKEN.where(message.c.id == message_id)):
        return _became(conn, row)
    raise NotFound("message.unknown")


def words_of(conn: Connection, known: Received) -> str:
    """What was sent: it stands in the message while a person has that, else in the appeal."""
    kept: str = conn.execute(select(message.c.text).where(message.c.id == known.message_id)).scalar_one()
    return kept if kept or known.appeal is None else appeals.get(conn, known.appeal.id).text


_TAKEN = select(message.c.id, message.c.reason, message.c.done_at, message.c.appeal_id, appeal.c.registered_at).join(
    appeal, message.c.appeal_id == appeal.c.id, isouter=True)  # fmt: skip


def _became(conn: Connection, row: Any) -> Became:
    """An appeal that was there before the message may be somebody else's: its code is not told to whoever wrote."""
    own = row.appeal_id is not None and row.registered_at == row.done_at
    return Became(row.done_at is None, _registered(conn, row.appeal_id) if own else None)


def _registered(conn: Connection, appeal_id: int) -> Registered:
    its = appeals.get(conn, appeal_id)
    return Registered(its.id, its.number, its.code, its.due_at, its.department_id)


def _incoming(its: Filing, external_id: str, now: dt.datetime) -> Incoming:
    return Incoming(channel=its.channel, external_id=external_id, address=its.email or its.phone, text="",
                    received_at=now, name=its.name, language=its.language)  # fmt: skip


def _said(its: Filing) -> dict[str, str | int | float]:
    said = {"subject_id": its.subject_id, "building_id": its.building_id, "flat": its.flat, "place": its.place,
            "name": its.name, "phone": its.phone, "email": its.email, "tell_by": its.tell_by.value,
            "tell_to": filing.address_of(its)}  # fmt: skip
    return {key: value for key, value in said.items() if value not in (None, "")}


def _against(conn: Connection, its: Filing, source: str, secret: str, limits: Limits, now: dt.datetime) -> Held | None:
    """What speaks against it. Everything is counted, whatever is found first."""
    from_there = rates.count(conn, rates.key(secret, "source", source), now, HOUR)
    if from_there > limits.hourly * FLOOD:
        raise BadInput("filing.flood", seconds=rates.again_in_s(now, HOUR))
    by_person = max((rates.count(conn, rates.key(secret, "filer", contact), now, DAY)
                     for contact in (its.phone, its.email) if contact), default=0)  # fmt: skip
    alike = rates.count(conn, rates.key(secret, "words", _likeness(its)), now, DAY)
    # What no letter can tell him goes by SMS too.
    may_sound = bool(its.phone) and its.tell_by in WRITTEN
    by_sms = rates.count(conn, rates.key(secret, "told", Way.SMS), now, DAY) if may_sound else 0
    if len(_LINK.findall(its.text)) >= LINKS:
        return Held.ADVERT
    if from_there > limits.hourly or by_person > limits.daily or alike > ALIKE or by_sms > limits.sms_daily:
        return Held.RATE
    return None


def _likeness(its: Filing) -> str:
    """What two filings have in common that are the same."""
    words = _folded(its.text)
    if len(words) >= LONG:
        return words
    return f"{its.building_id or _folded(its.place)}\0{words}"


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
