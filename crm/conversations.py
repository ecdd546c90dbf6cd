"""Messages that come one by one and are one conversation: each taken once, one conversation open for each who writes.

What comes is a row of ``message`` that is shown in no list (``messages.State.PART``); the conversation is a row of its
own, which nobody need look at while it goes on (GATHERING), and a specialist's work from then on.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select, update

from crm import texts
from crm.messages import LONGEST_TEXT, State
from crm.schema import message
from crm.store import Statement, insert_or_ignore, insert_row

TALK = "talk:"  # how the names of conversations begin
_LONGEST_ID = 150

_m = message.c
_TURN = select(func.pg_advisory_xact_lock(func.hashtext(bindparam("address"))))
_LAST = Statement(select(func.max(_m.received_at)).where(_m.channel == bindparam("channel"),
                                                         _m.address == bindparam("address")))  # fmt: skip
_TALKS: Select[Any] = select(_m.id, _m.state, _m.text, _m.language, _m.data, _m.appeal_id, _m.staff_id, _m.received_at,
                             _m.address, _m.done_at).where(_m.external_id.startswith(TALK))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Conversation:
    """As it stands. ``staff_id``: whose work it is."""

    id: int
    state: State
    text: str
    language: str
    data: Mapping[str, Any]
    appeal_id: int | None
    staff_id: int | None
    received_at: dt.datetime
    address: str
    done_at: dt.datetime | None


def heard(conn: Connection, channel: str, external_id: str, address: str, text: str, at: dt.datetime) -> int | None:
    """Keeps the words of a message: its id; None if it was taken before. Until the transaction ends, whatever else
    comes from this address waits."""
    _take_turns(conn, channel, address)
    its = name(external_id)
    new = insert_or_ignore(conn, message, {
        "channel": channel, "external_id": its, "address": address, "text": _words(text), "language": "uk", "data": {},
        "state": State.PART.value, "received_at": at, "done_at": at})  # fmt: skip
    if not new:
        return None
    return int(conn.execute(select(_m.id).where(_m.channel == channel, _m.external_id == its)).scalar_one())


def last_heard(conn: Connection, channel: str, address: str) -> dt.datetime | None:
    """When somebody wrote last."""
    at: dt.datetime | None = _LAST.value(conn, {"channel": channel, "address": address})
    return at


def open_one(conn: Connection, channel: str, address: str) -> Conversation | None:
    """His conversation that goes on, or waits for a specialist or to be ended by one; it, and whatever comes from this
    address, is held until the transaction ends."""
    _take_turns(conn, channel, address)
    return _first(conn, _TALKS.where(_m.channel == channel, _m.address == address, _m.done_at.is_(None),
                                     _m.state.in_([State.GATHERING.value, State.NEW.value])))  # fmt: skip


def lately(conn: Connection, channel: str, address: str, since: dt.datetime) -> Conversation | None:
    """His last conversation, if it has become an appeal, or been added to one, since then."""
    last = _first(conn, _TALKS.where(_m.channel == channel, _m.address == address))
    became = last is not None and last.appeal_id is not None and last.done_at is not None and last.done_at >= since
    return last if became else None


def gathering(conn: Connection, channel: str) -> list[str]:
    """From which addresses there are conversations that go on, the oldest first."""
    found = select(_m.address).where(_m.done_at.is_(None), _m.state == State.GATHERING.value, _m.channel == channel)
    return list(conn.scalars(found.order_by(_m.received_at, _m.id)))


def begin(conn: Connection, channel: str, external_id: str, address: str, language: str, at: dt.datetime) -> int:
    """A new one, with the message of that name; its id."""
    return insert_row(conn, message, {
        "channel": channel, "external_id": TALK + name(external_id), "address": address, "text": "",
        "language": language, "data": {}, "state": State.GATHERING.value, "received_at": at})  # fmt: skip


def keep(conn: Connection, conversation_id: int, *, text: str, called: str, data: Mapping[str, Any],
         over: bool) -> None:  # fmt: skip
    """How far it has come, so that a specialist who takes it now has all of it; ``over``: it is his. ``called``: his
    name. ``data``: of the keys of ``messages.Incoming.said``, and while it goes on, what is its own."""
    _change(conn, conversation_id, text=_words(text), name=texts.line(called[:200], 200), data=dict(data),
            state=(State.NEW if over else State.GATHERING).value)  # fmt: skip


def language(conn: Connection, message_id: int) -> str:
    """In which it is answered."""
    return str(conn.execute(select(_m.language).where(_m.id == message_id)).scalar_one())


def add(conn: Connection, its: Conversation, words: str) -> bool:
    """More words, once it was handed over: who has it open sees that it has changed. False if it has no room."""
    text = "\n".join(part for part in (its.text, _words(words)) if part)
    if len(text) > LONGEST_TEXT:
        return False
    _change(conn, its.id, text=text)
    return True


def _take_turns(conn: Connection, channel: str, address: str) -> None:
    if conn.dialect.name == "postgresql":  # SQLite has one writer
        conn.execute(_TURN, {"address": f"{channel}:{address}"})


def _first(conn: Connection, query: Select[Any]) -> Conversation | None:
    row = conn.execute(query.order_by(_m.received_at.desc(), _m.id.desc()).limit(1).with_for_update()).one_or_none()
    return _conversation(row) if row is not None else None


def _conversation(row: Any) -> Conversation:
    return Conversation(row[0], State(row[1]), *row[2:])


def _change(conn: Connection, id: int, **values: Any) -> None:
    conn.execute(update(message).where(_m.id == id).values(**values, version=_m.version + 1))


def _words(text: str) -> str:
    return texts.text(text[:LONGEST_TEXT], LONGEST_TEXT)


def name(external_id: str) -> str:
    """Short enough to stand in a longer name; a longer one by its digest."""
    plain = texts.line(external_id[:1000], 1000)
    return plain if len(plain) <= _LONGEST_ID else hashlib.sha256(plain.encode()).hexdigest()
