"""Files of a message that still lie at the service which brought it: a photo, a voice left by telephone.

Each is fetched once, after its message has been taken, and is then deleted there where that can be asked. Whoever
fetches it may die at any moment: what was not kept is due.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, select, update

from crm import attachments, messages, texts
from crm.attachments import Stored
from crm.life import Action
from crm.schema import message, remote_file
from crm.store import insert_or_ignore
from crm.telling import pause_s

LAST_TRY = 72  # after three days


class State(StrEnum):
    DUE = "due"
    KEPT = "kept"  # we have it; the service shall not
    DONE = "done"  # it has none any more
    LOST = "lost"  # we could not get it


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """``path``: at the service; which host that is, is not the file's to say. Of Facebook's the whole address, which is
    looked at before it is asked."""

    id: int
    message_id: int
    path: str
    name: str
    state: State
    tries: int


def expect(conn: Connection, message_id: int, files: Sequence[tuple[str, str]], now: dt.datetime) -> None:
    """Files (path, name) that are to be fetched; expected again, they are fetched once."""
    for path, name in files:
        insert_or_ignore(conn, remote_file, {"message_id": message_id, "path": path, "name": name, "due_at": now})


def due(conn: Connection, now: dt.datetime, *, channels: Collection[str], limit: int = 20) -> list[RemoteFile]:
    """To be fetched or to be deleted at the service now, the longest due first. ``channels``: of what came by these."""
    f = remote_file.c
    rows = conn.execute(
        select(f.id, f.message_id, f.path, f.name, f.state, f.tries).join(message, f.message_id == message.c.id)
        .where(f.state.in_([State.DUE.value, State.KEPT.value]), f.due_at <= now, message.c.channel.in_(channels))
        .order_by(f.due_at, f.id).limit(limit)
    ).all()  # fmt: skip
    return [RemoteFile(row[0], row[1], row[2], row[3], State(row[4]), row[5]) for row in rows]


def kept(conn: Connection, its: RemoteFile, stored: Stored, now: dt.datetime) -> None:
    """It is on the disk: it is its message's, and of the appeals that the message belongs to meanwhile."""
    if not _changed(conn, its, state=State.KEPT.value, due_at=now, tries=0, error=""):
        return
    messages.add_files(conn, its.message_id, [stored])
    for appeal_id in messages.became(messages.held(conn, its.message_id)):
        attachments.add(conn, appeal_id, stored, now=now, action=Action.HEAR.value, staff_id=None)


def done(conn: Connection, its: RemoteFile) -> None:
    """The service has deleted it."""
    _changed(conn, its, state=State.DONE.value, error="")


def failed(conn: Connection, its: RemoteFile, error: str, now: dt.datetime) -> bool:
    """It is tried again after a pause that grows; whether it is at all."""
    tries = its.tries + 1
    if tries >= LAST_TRY:
        return False
    again = now + dt.timedelta(seconds=pause_s(tries))
    _changed(conn, its, tries=tries, error=texts.remark(error), due_at=again)
    return True


def lost(conn: Connection, its: RemoteFile, error: str, words: str) -> None:
    """It cannot be had: ``words`` say so under what the message says, for whoever reads it."""
    if _changed(conn, its, state=State.LOST.value, error=texts.remark(error)):
        before = messages.held(conn, its.message_id).text
        conn.execute(update(message).where(message.c.id == its.message_id).values(text=f"{before}\n{words}".strip()))


def _changed(conn: Connection, its: RemoteFile, **values: Any) -> bool:
    """False if somebody else has changed it meanwhile."""
    own = (remote_file.c.id == its.id, remote_file.c.state == its.state.value)
    return conn.execute(update(remote_file).where(*own).values(values)).rowcount == 1
