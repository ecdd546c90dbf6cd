"""Asterisk's own queue_log, read back into records: what happened in the queue while we were away.

``time|uniqueid|queue|member|EVENT|data…``, whole seconds, no linkedid: a caller's uniqueid is his
call's linkedid here, since his channel is its first. Every line is taken once, in order, over
rotation and restarts: the ledger keeps how far each file (known by its inode and first line) was read,
in the transaction that keeps what was read. A line only fills in what live tracking did not.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DataError

from call_queue.events import ident, number, text
from call_queue.order import line_of
from crm import calls
from crm.calls import EndCause
from crm.errors import CentreError
from crm.schema import call_event, taken
from crm.store import Database, Writer

SOURCE = "queue_log"
CHUNK = 200  # lines a transaction: the live records wait for no more
FIRST = 4096  # bytes of a file's first line by which it is known
SETTLE = dt.timedelta(seconds=5)  # a line younger than this may be overtaken by the live record of the same

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    at: dt.datetime
    uniqueid: str
    queue: str
    member: str
    event: str
    data: tuple[str, ...]

    def number(self, index: int) -> int | None:
        return number(self.data[index]) if index < len(self.data) else None


def parse(raw: bytes) -> Line | None:
    """One line; None for what is not one of a call's."""
    fields = raw.decode("utf-8", "replace").rstrip("\r\n").split("|")
    if len(fields) < 5:
        return None
    at, uniqueid = _epoch(fields[0]), ident(fields[1])
    if at is None or not uniqueid or uniqueid == "NONE":
        return None
    return Line(dt.datetime.fromtimestamp(at, dt.UTC), uniqueid, line_of(text(fields[2])), text(fields[3]), fields[4],
                tuple(fields[5:]))  # fmt: skip


def _epoch(field: str) -> int | None:
    return int(field) if field.isascii() and field.isdigit() and len(field) == 10 else None


# ── what a line means ────────────────────────────────────────────────────────────────────────
def _entered(conn: Connection, line: Line, known: calls.Call | None) -> None:
    if known is None or known.queued_at is None:
        calls.queued(conn, line.uniqueid, line.at, line.queue, line.number(2))


def _connected(conn: Connection, line: Line, known: calls.Call | None) -> None:
    if known is None or known.answered_at is None:
        calls.answered(conn, line.uniqueid, line.member, line.at)


def _completed(conn: Connection, line: Line, known: calls.Call | None) -> None:
    """COMPLETECALLER and COMPLETEAGENT: waited, talked. A call that was brought back to its seat goes on without the
    queue, and its own end is told by others."""
    returned = select(call_event.c.id).where(call_event.c.linkedid == line.uniqueid,
                                             call_event.c.kind == calls.RETURNING)  # fmt: skip
    if known and known.ended_at is None and conn.execute(returned).first():
        return
    _end(conn, line, known, EndCause.COMPLETED, wait=line.number(0), talk=line.number(1))


def _abandoned(conn: Connection, line: Line, known: calls.Call | None) -> None:
    if known is None or known.answered_at is None:
        _end(conn, line, known, EndCause.ABANDONED, wait=_waited(line, known, 2))


def _timed_out(conn: Connection, line: Line, known: calls.Call | None, index: int = 2) -> None:
    """A slice of his wait is over. Who is not seen in the queue again hung up while he was told where he stood."""
    if known is not None and known.end_cause == EndCause.LOST:
        _end(conn, line, known, EndCause.ABANDONED, wait=_waited(line, known, index))


def _waited(line: Line, known: calls.Call | None, index: int) -> float | None:
    """Seconds, of all the slices; the line itself knows of the last one only."""
    since = known.queued_at if known else None
    return max(0.0, (line.at - since).total_seconds()) if since else line.number(index)


def _pressed_a_key(conn: Connection, line: Line, known: calls.Call | None) -> None:
    """The key stands before the rest."""
    _timed_out(conn, line, known, index=3)


def _end(conn: Connection, line: Line, known: calls.Call | None, cause: EndCause, *, wait: float | None,
         talk: int | None = None) -> None:  # fmt: skip
    if known is None or known.ended_at is None or known.end_cause == EndCause.LOST:
        calls.ended(conn, line.uniqueid, line.at, cause, wait, talk)


def _transferred(conn: Connection, line: Line, known: calls.Call | None) -> None:
    """The queue has done with it; the call itself goes on. BLINDTRANSFER says where to, ATTENDEDTRANSFER how."""
    same = select(call_event.c.id).where(call_event.c.linkedid == line.uniqueid, call_event.c.seat == line.member,
                                         call_event.c.kind == "transferred")  # fmt: skip
    open_end = known is None or known.ended_at is None or known.end_cause == EndCause.LOST
    if open_end and conn.execute(same).first() is None:
        calls.transferred(conn, line.uniqueid, line.at, line.member, text(line.data[0]) if line.data else "")


_MEANINGS: dict[str, Callable[[Connection, Line, calls.Call | None], None]] = {
    "ENTERQUEUE": _entered,
    "CONNECT": _connected,
    "COMPLETECALLER": _completed,
    "COMPLETEAGENT": _completed,
    "ABANDON": _abandoned,
    "EXITWITHTIMEOUT": _timed_out,
    "EXITWITHKEY": _pressed_a_key,
    "WITHDRAW": _timed_out,
    "BLINDTRANSFER": _transferred,
    "ATTENDEDTRANSFER": _transferred,
}


GaveUp = Callable[[Connection, str, dt.datetime], None]  # a call, and when


def take(conn: Connection, lines: list[bytes], linkedid_of: Callable[[str], str] = lambda uniqueid: uniqueid,
         gave_up: GaveUp = lambda conn, linkedid, at: None) -> int:  # fmt: skip
    """Fills in what the lines tell and the records lack; how many of them mean something to us. ``gave_up``: is told of
    whom nobody saw do so."""
    understood = 0
    for raw in lines:
        line = parse(raw)
        meaning = _MEANINGS.get(line.event) if line else None
        if line and meaning:
            line = replace(line, uniqueid=linkedid_of(line.uniqueid))
            try:
                with conn.begin_nested():
                    known = calls.get(conn, line.uniqueid)
                    meaning(conn, line, known)
                    if _gave_up(calls.get(conn, line.uniqueid)) and not _gave_up(known):
                        gave_up(conn, line.uniqueid, line.at)
            except (CentreError, DataError) as error:  # damaged: longer than anything of ours
                _log.warning("a line of queue_log cannot be taken: %.200r: %s", raw, error)
            else:
                understood += 1
    return understood


def _gave_up(call: calls.Call | None) -> bool:
    return call is not None and call.end_cause == EndCause.ABANDONED


# ── which lines are new ──────────────────────────────────────────────────────────────────────
class Reader:
    """Reads ``<folder>/queue_log`` and what it was rotated to. ``linkedid_of``: the call of a citizen's channel that
    was not its first, if that is known. ``gave_up``: as ``take``'s."""

    def __init__(self, folder: Path, db: Database, writer: Writer,
                 linkedid_of: Callable[[str], str] = lambda uniqueid: uniqueid,
                 gave_up: GaveUp = lambda conn, linkedid, at: None) -> None:  # fmt: skip
        self._folder, self._db, self._writer = folder, db, writer
        self._linkedid_of, self._gave_up = linkedid_of, gave_up

    def catch_up(self, now: dt.datetime) -> int:
        """Takes every new line older than a few seconds; how many meant something. Blocks: call it in a thread."""
        return sum(self._read(path, now) for path in sorted(self._folder.glob("queue_log*"), key=_age))

    def _read(self, path: Path, now: dt.datetime) -> int:
        understood = 0
        try:
            file = path.open("rb")
        except OSError as error:
            _log.warning("%s cannot be read: %s", path.name, error)
            return 0
        with file:
            identity = _identity(file)
            if identity is None:
                return 0
            with self._db.read() as conn:
                start = _position(conn, identity)
            file.seek(start)
            for lines, end in _chunks(file, start, now):
                understood += self._writer.submit(self._taking(identity, lines, end, now)).result()
        return understood

    def _taking(self, identity: str, lines: list[bytes], end: int, now: dt.datetime) -> Callable[[Connection], int]:
        def write(conn: Connection) -> int:
            if not calls.taken_once(conn, SOURCE, f"{identity}:{end:015d}", now):
                return 0
            return take(conn, lines, self._linkedid_of, self._gave_up)

        return write


def _identity(file: BinaryIO) -> str | None:
    """What stays the same while a file grows and is renamed; None while it has no whole line."""
    first = file.readline(FIRST)
    if not first.endswith(b"\n") and len(first) < FIRST:
        return None
    return f"{os.fstat(file.fileno()).st_ino}-{hashlib.sha256(first).hexdigest()[:24]}"


def _position(conn: Connection, identity: str) -> int:
    """How far the file has been read."""
    last = conn.execute(select(func.max(taken.c.key)).where(  # no range: ":" and ";" stand as the locale has them
        taken.c.source == SOURCE, taken.c.key.startswith(f"{identity}:"))).scalar()  # fmt: skip
    return int(last.rpartition(":")[2]) if last else 0


def _chunks(file: BinaryIO, start: int, now: dt.datetime) -> Iterator[tuple[list[bytes], int]]:
    """Whole lines that have settled, and where each chunk of them ends. Those from a future farther away than
    that are no younger: the clock was set back."""
    lines: list[bytes] = []
    end = start
    for raw in file:
        stamp = _epoch(raw[:10].decode("ascii", "replace"))
        young = stamp is not None and abs(now.timestamp() - stamp) < SETTLE.total_seconds()
        if not raw.endswith(b"\n") or young:
            break
        lines.append(raw)
        end += len(raw)
        if len(lines) == CHUNK:
            yield lines, end
            lines = []
    if lines:
        yield lines, end


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
