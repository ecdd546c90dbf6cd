"""What is filed by somebody at a page or by a program of somebody else's: taken once, registered at once where nothing
speaks against it, and else left to a person. Nothing is lost: what is held is a message like any other.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select, update

from crm import appeals, filing, messages, rates
from crm.appeals import Registered
from crm.filing import Filing
from crm.messages import Held, Incoming, State
from crm.schema import message

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
ALIKE = 3  # the same words from more places than so many in a day are somebody's campaign: a person looks
LINKS = 3  # as many make it an advertisement
_LINK = re.compile(r"https?://|www\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many a person may file: from one address an hour, from one telephone or e-mail address a day."""

    hourly: int
    daily: int


@dataclass(frozen=True, slots=True)
class Received:
    """``appeal``: None while a person has not looked at it. ``reason``: why one must."""

    message_id: int
    appeal: Registered | None
    reason: Held | None


def receive(conn: Connection, its: Filing, *, external_id: str, source: str, secret: str, limits: Limits,
            now: dt.datetime, suspect: bool = False) -> Received:  # fmt: skip
    """Files it, or holds it. ``external_id``: the mark of this filing in its channel: what is sent twice is filed once,
    and answered alike. ``source``: where it comes from (an address of the network), of which a digest is kept for two
    days. ``suspect``: the form itself looks as if no person had filled it in.

    BadInput as ``filing.file``; a filing without a name is held, for the law does not consider it as it is.
    """
    if (known := _known(conn, its.channel, external_id)) is not None:
        return known
    reason = Held.ADVERT if suspect else _against(conn, its, source, secret, limits, now)
    nameless = not its.name.strip()
    if reason is None and not nameless:
        made, kept = _register(conn, its, external_id, now)
        return Received(kept, made, None)
    if its.building_id is None and not its.place.strip():
        raise filing.no_place()
    reason = reason or Held.NAMELESS
    message_id = messages.take(conn, replace(_incoming(its, external_id, now), text=its.text, files=its.files,
                                             said=_said(its), reason=reason))  # fmt: skip
    assert message_id is not None  # noqa: S101  # asked above, in this transaction
    return Received(message_id, None, reason)


def _register(conn: Connection, its: Filing, external_id: str, now: dt.datetime) -> tuple[Registered, int]:
    """Its message is only the mark that it was taken: what it says stands in the appeal."""
    message_id = messages.take(conn, replace(_incoming(its, external_id, now), state=State.DONE))
    assert message_id is not None  # noqa: S101
    made = filing.file(conn, its, now=now)
    conn.execute(update(message).where(message.c.id == message_id).values(appeal_id=made.id, done_at=now))
    return made, message_id


def _known(conn: Connection, channel: str, external_id: str) -> Received | None:
    row = conn.execute(select(message.c.id, message.c.appeal_id, message.c.reason).where(
        message.c.channel == channel, message.c.external_id == external_id)).one_or_none()  # fmt: skip
    if row is None:
        return None
    if row.appeal_id is None:
        return Received(row.id, None, Held(row.reason) if row.reason else None)
    its = appeals.get(conn, row.appeal_id)
    return Received(row.id, Registered(its.id, its.number, its.code, its.due_at, its.department_id), None)


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
    by_person = max((rates.count(conn, rates.key(secret, "filer", contact), now, DAY)
                     for contact in (its.phone, its.email) if contact), default=0)  # fmt: skip
    alike = rates.count(conn, rates.key(secret, "words", " ".join(its.text.split()).casefold()), now, DAY)
    if len(_LINK.findall(its.text)) >= LINKS:
        return Held.ADVERT
    if from_there > limits.hourly or by_person > limits.daily or alike > ALIKE:
        return Held.RATE
    return None
