"""What comes in writing: taken once, kept before it is acknowledged, and seen by a person until something is done.

A message is a letter, an SMS, a finished conversation on Facebook, a voice left by telephone, or a form of the portal
or of another program that cannot be an appeal by itself. It becomes an appeal (``crm.filing``), is added to one, is
answered, or is nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, select, update

from crm import attachments, history, texts
from crm.attachments import Stored
from crm.errors import NotFound
from crm.life import Action, Evidence
from crm.schema import appeal, message, message_file
from crm.store import insert_or_ignore

LONGEST_TEXT = 20_000
# What specialists add to a message's data beside what was ``said``: the ids joined to it, into which it was joined,
# what else it became beside ``appeal_id``.
JOINED, INTO, ALSO = "joined", "into", "also"


class State(StrEnum):
    GATHERING = "gathering"  # a conversation goes on: nobody need look yet
    NEW = "new"  # somebody must
    DONE = "done"  # it is an appeal, belongs to one, or has been answered
    SPAM = "spam"
    PART = "part"  # of a conversation, which is a message itself: nobody need ever look at it alone


ENDED = frozenset({State.DONE, State.SPAM})


class Held(StrEnum):
    """Why a person looks at what would otherwise be an appeal by itself, or looks at it last."""

    RATE = "rate"  # there came too many from there
    ADVERT = "advert"  # it looks like one
    NAMELESS = "nameless"  # the law does not consider it; an emergency is looked after all the same
    AUTOMATIC = "automatic"  # a machine's answer or a letter that came back


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """What has come. ``external_id``: the channel's own name of it, by which it is taken once. ``address``: from whom:
    an e-mail address in lower case, a number in E.164, Facebook's id; "" for who gave none.

    ``said``: what else is known, for the form that a specialist fills in, of these keys alone: subject_id, building_id,
    address (as written), flat, place, name, phone, email, tell_by, tell_to, number (of the appeal that it names),
    latitude, longitude.
    """

    channel: str
    external_id: str
    address: str
    text: str
    received_at: dt.datetime
    name: str = ""
    title: str = ""
    language: str = "uk"
    said: Mapping[str, str | int | float] = field(default_factory=dict)
    files: Sequence[Stored] = ()
    state: State = State.NEW
    reason: Held | None = None


def take(conn: Connection, its: Incoming) -> int | None:
    """Keeps it with its files, which are on the disk already: its id; None for one that was taken before."""
    external_id = texts.line(its.external_id[:1000], 1000)[:200]
    new = insert_or_ignore(conn, message, {
        "channel": its.channel, "external_id": external_id, "address": texts.line(its.address[:200], 200),
        "name": texts.line(its.name[:200], 200), "title": texts.line(its.title[:300], 300),
        "text": texts.text(its.text[:LONGEST_TEXT], LONGEST_TEXT), "language": its.language, "data": _clean(its.said),
        "state": its.state.value, "reason": its.reason.value if its.reason else "", "received_at": its.received_at,
        "done_at": its.received_at if its.state in ENDED else None,
    })  # fmt: skip
    if not new:
        return None
    own = (message.c.channel == its.channel, message.c.external_id == external_id)
    message_id = conn.execute(select(message.c.id).where(*own)).scalar_one()
    add_files(conn, message_id, its.files)
    return int(message_id)


def _clean(said: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    return {key: texts.line(value[:1000], 1000) if isinstance(value, str) else value for key, value in said.items()}


def add_files(conn: Connection, message_id: int, files: Sequence[Stored]) -> None:
    """Files that came with it, or after it."""
    for its in files:
        latitude, longitude = its.place or (None, None)
        conn.execute(insert(message_file), {
            "message_id": message_id, "name": its.name, "media_type": its.media_type, "bytes": its.bytes,
            "sha256": its.sha256, "latitude": latitude, "longitude": longitude})  # fmt: skip


def files_of(conn: Connection, message_id: int) -> list[Stored]:
    """In the order in which they came."""
    f = message_file.c
    rows = conn.execute(select(f.name, f.media_type, f.bytes, f.sha256, f.latitude, f.longitude)
                        .where(f.message_id == message_id).order_by(f.id))  # fmt: skip
    return [Stored(*row[:4], place=None if row[4] is None else (row[4], row[5])) for row in rows]


def add_to(conn: Connection, message_id: int, appeal_id: int, *, now: dt.datetime, staff_id: int | None) -> None:
    """It belongs to an appeal that there is: its words, and those of what is joined to it, stand in the history, its
    files with the appeal, and nothing of the appeal's state changes. Added again, nothing happens. NotFound for no such
    message or appeal."""
    row = held(conn, message_id)
    if appeal_id in became(row):
        return
    standing = history.standing(conn, appeal_id)
    for each in (row, *(held(conn, id) for id in row.data.get(JOINED, ()))):
        said = history.evidence_of(Evidence("", staff_id=staff_id, written=f"{each.channel}:{each.external_id}"))
        standing = history.move(conn, standing, Action.HEAR, now=now, staff_id=staff_id, evidence=said,
                                note=(each.text or each.title)[:4000])  # fmt: skip
    belongs(conn, message_id, appeal_id, now=now, staff_id=staff_id, action=Action.HEAR)


def belongs(conn: Connection, message_id: int, appeal_id: int, *, now: dt.datetime, staff_id: int | None,
            action: Action) -> None:  # fmt: skip
    """Says which appeal it has become or is of: its files are that appeal's, with those of what is joined to it, and
    nobody need look at it any more. Several may come of one: the first is its ``appeal_id``. What was registered says
    whose it is. NotFound ``message.unknown``."""
    row = held(conn, message_id)
    for stored in files_of(conn, message_id):
        attachments.add(conn, appeal_id, stored, now=now, action=action.value, staff_id=staff_id)
    values: dict[str, Any] = {"state": State.DONE.value, "done_at": row.done_at or now, "version": row.version + 1}
    if row.appeal_id is None:
        values["appeal_id"] = appeal_id
    elif appeal_id not in became(row):
        values["data"] = {**row.data, ALSO: [*row.data.get(ALSO, ()), appeal_id]}
    if action is Action.REGISTER and row.citizen_id is None:
        values["citizen_id"] = conn.execute(select(appeal.c.citizen_id).where(appeal.c.id == appeal_id)).scalar()
    conn.execute(update(message).where(message.c.id == message_id).values(values))
    for id in row.data.get(JOINED, ()):
        belongs(conn, id, appeal_id, now=now, staff_id=staff_id, action=action)


def became(row: Any) -> list[int]:
    """The ids of the appeals that a message (its row) became or belongs to, the first one first."""
    return [] if row.appeal_id is None else [row.appeal_id, *row.data.get(ALSO, ())]


def held(conn: Connection, message_id: int) -> Any:
    """Its row, until the transaction ends. NotFound ``message.unknown``."""
    row = conn.execute(select(message).where(message.c.id == message_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound("message.unknown")
    return row
