"""Recordings on record: announced while the call goes on, indexed after it, heard with a reason, gone in time.

The order that survives a crash is the same everywhere: files are read or removed first, and then the
row says so. A row that a crash left behind the truth is mended by the next `sweep` or `retention`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from crm import people, texts
from crm.errors import BadInput, NotFound
from crm.schema import listening, recording
from crm.store import Database
from recordings import files
from recordings.files import Examined, Found, State

log = logging.getLogger(__name__)

UNTOUCHED = timedelta(hours=1)  # a file that nobody announced and nobody wrote to for so long is an orphan
LONGEST_REASON = 200
_LEFT = (State.ERASING, State.EXPIRED)  # nobody is to hear or to measure these
COPY = "recording_copy"  # what the access log calls a recording that somebody took away with him


@dataclass(frozen=True, slots=True)
class Indexed:
    """A recording that was looked at: what it was on record, and what was found."""

    id: int
    linkedid: str  # "" for an orphan
    path: str
    was: State
    found: Examined


@dataclass(frozen=True, slots=True)
class Report:
    """What a `sweep` found. Paths are relative to the recordings' folder."""

    indexed: list[Indexed] = field(default_factory=list)  # what was still open
    missing: list[str] = field(default_factory=list)  # newly so
    damaged: list[str] = field(default_factory=list)  # newly so
    orphans: list[str] = field(default_factory=list)  # files that nobody announced: now on record, without a call
    strangers: list[str] = field(default_factory=list)  # what does not belong into the folder; left alone
    exposed: list[str] = field(default_factory=list)  # others than the centre could open these


def announced(conn: Connection, linkedid: str, path: str, started_at: datetime) -> int:
    """Puts a recording that has begun on record; the recording's id. Being told twice is being told once.

    Args:
        path: relative to the recordings' folder, ``<2 hex>/<32 hex>.wav``.

    Raises:
        BadInput: ``recording.bad_path``, ``linkedid.malformed``, or ``recording.taken`` when another call's
            recording has that name.
    """
    files.checked(path)
    texts.linkedid(linkedid)
    known = conn.execute(select(recording.c.id, recording.c.linkedid).where(recording.c.path == path)).one_or_none()
    if known is None:
        added = conn.execute(insert(recording).values(linkedid=linkedid, path=path, started_at=started_at,
                                                      state=State.OPEN).returning(recording.c.id))  # fmt: skip
        return int(added.scalar_one())
    if known.linkedid not in ("", linkedid):
        raise BadInput("recording.taken")
    if not known.linkedid:  # it had been found as an orphan before the spool told whose it is
        conn.execute(update(recording).where(recording.c.id == known.id).values(linkedid=linkedid))
    return int(known.id)


def index(db: Database, folder: Path, linkedid: str, now: datetime) -> list[Indexed]:
    """Looks at the recordings of a call that has ended, and says on record what they are. Blocking: use a thread.

    Asterisk closes the file a moment after the call's end. What is found `State.OPEN` it has not closed yet:
    ask again later, or leave it to the next `sweep`. No transaction is open while files are read.
    """
    with db.read() as conn:
        rows = conn.execute(select(recording).where(recording.c.linkedid == linkedid,
                                                    recording.c.state == State.OPEN)).all()  # fmt: skip
    return _examine(db, folder, rows, now)


def sweep(db: Database, folder: Path, now: datetime, live: Collection[str]) -> Report:
    """Compares the folder with the record, and mends the record. For the start, and now and then. Blocking.

    What a crash left open is indexed, files that vanished or changed are marked (and marked well again
    when they are back), files that nobody announced get a row without a call. No file is removed.

    Args:
        live: linkedids of the calls that go on, as Asterisk says: their recordings still grow.
    """
    files.prepare(folder)
    found, strangers = files.listing(folder)
    exposed = files.exposed(folder, found)
    for name in exposed:
        (folder / name).chmod(0o600 if name in found else 0o700)
    with db.read() as conn:
        known = set(conn.scalars(select(recording.c.path)))
    written = {path: datetime.fromtimestamp(file.modified, UTC) for path, file in found.items() if path not in known}
    orphans = {path: at for path, at in written.items() if now - at > UNTOUCHED}
    if orphans:
        _adopt(db, orphans)
    with db.read() as conn:
        rows = conn.execute(select(recording).where(recording.c.state.not_in(_LEFT))).all()
    suspect = [row for row in rows if row.linkedid not in live and not _as_recorded(row, found)]
    looked_at = _examine(db, folder, suspect, now)
    changed = [one for one in looked_at if one.found.state is not one.was]
    report = Report(
        indexed=[one for one in changed if one.was is State.OPEN],
        missing=[one.path for one in changed if one.found.state is State.MISSING],
        damaged=[one.path for one in changed if one.found.state is State.DAMAGED],
        orphans=sorted(orphans), strangers=strangers, exposed=exposed,
    )  # fmt: skip
    for kind in ("orphans", "strangers", "exposed"):
        for name in getattr(report, kind):
            log.warning("recordings: %s: %r", kind, name)
    return report


def retention(db: Database, folder: Path, now: datetime, days: int) -> list[str]:
    """Removes every recording older than ``days`` and every one to be erased, then marks it expired; the paths.
    Blocking.

    After a crash between the two the file is gone and the row is not marked: the next run marks it.
    Run it before `sweep`, which would take such a file for a missing one.
    """
    old = (recording.c.started_at < now - timedelta(days=days)) & (recording.c.state != State.EXPIRED)
    return _remove(db, folder, old | (recording.c.state == State.ERASING))


def kept_until(started_at: datetime, days: int) -> datetime:
    """When `retention` removes a recording, an hour sooner or later."""
    return started_at + timedelta(days=days)


def erase(db: Database, folder: Path) -> list[str]:
    """Removes those of people who asked to be forgotten (``crm.privacy`` marks them) at once; the paths. Blocking."""
    return _remove(db, folder, recording.c.state == State.ERASING)


def _remove(db: Database, folder: Path, which: ColumnElement[bool]) -> list[str]:
    with db.read() as conn:
        old = conn.execute(select(recording.c.id, recording.c.path).where(which)).all()
    gone = []
    for row in old:
        try:
            files.remove(folder, row.path)
        except (OSError, BadInput) as error:
            log.error("recordings: %r is due to be removed and cannot be: %s", row.path, error)
        else:
            gone.append(row)
    with db.write() as conn:
        for row in gone:
            conn.execute(update(recording).where(recording.c.id == row.id).values(state=State.EXPIRED))
    return [row.path for row in gone]


def open_for_listening(conn: Connection, folder: Path, recording_id: int, staff_id: int, reason: str,
                       now: datetime) -> Path:  # fmt: skip
    """The file to play, after writing down who listens and why. Commit before the first byte is sent.

    Raises:
        BadInput: ``recording.no_reason`` or ``text.too_long``.
        NotFound: ``recording.unknown``, ``recording.open`` (the call goes on), ``recording.expired`` or
            ``recording.missing``.
    """
    reason = texts.line(reason, LONGEST_REASON)
    if not reason:
        raise BadInput("recording.no_reason")
    row = conn.execute(select(recording.c.path, recording.c.state).where(recording.c.id == recording_id)).one_or_none()
    if row is None:
        raise NotFound("recording.unknown")
    if row.state == State.OPEN:
        raise NotFound("recording.open")
    if row.state in _LEFT:
        raise NotFound("recording.expired")
    if not files.present(folder, row.path):
        raise NotFound("recording.missing")
    conn.execute(insert(listening).values(recording_id=recording_id, staff_id=staff_id, at=now, reason=reason))
    return folder / str(row.path)


def open_for_copying(conn: Connection, folder: Path, recording_id: int, staff_id: int, reason: str,
                     now: datetime) -> Path:  # fmt: skip
    """The file to give away: whoever has it may hear it, and that he took it is in the access log besides. As
    `open_for_listening`."""
    path = open_for_listening(conn, folder, recording_id, staff_id, reason, now)
    people.log_access(conn, staff_id=staff_id, what=COPY, subject_key=str(recording_id), now=now, why=reason)
    return path


def _adopt(db: Database, orphans: Mapping[str, datetime]) -> None:
    """Gives each orphan a row, dated by its last writing: it is then seen, and kept no longer than any other."""
    with db.write() as conn:
        known = set(conn.scalars(select(recording.c.path)))  # it may have been announced just now
        for path, written in orphans.items():
            if path not in known:
                conn.execute(insert(recording).values(linkedid="", path=path, started_at=written, state=State.OPEN))


def _as_recorded(row: Row[Any], found: Mapping[str, Found]) -> bool:
    """Whether the folder still shows what the row says. Open and damaged ones (there are few) are looked at anew."""
    file = found.get(row.path)
    if row.state == State.MISSING:
        return file is None
    return row.state == State.OK and file is not None and file.bytes == row.bytes


def _examine(db: Database, folder: Path, rows: Iterable[Row[Any]], now: datetime) -> list[Indexed]:
    results: list[Indexed] = []
    for row in rows:
        try:
            found = files.examine(folder, row.path, now.timestamp())
        except (OSError, BadInput) as error:  # the disk's fault, or a hostile row: nothing is said of the recording
            log.error("recordings: %r of call %s cannot be read: %s", row.path, row.linkedid, error)
            continue
        if row.sha256 and found.sha256 and found.sha256 != row.sha256:
            # What was indexed stays on record: it tells what is lost, and knows the file again if it comes back.
            found = Examined(State.DAMAGED, row.duration_s, row.bytes, row.sha256, "not what was indexed")
        if found.state in (State.DAMAGED, State.MISSING) and found.state != row.state:
            log.error("recordings: %s of call %s is %s: %s", row.path, row.linkedid, found.state, found.why)
        results.append(Indexed(row.id, row.linkedid, row.path, State(row.state), found))
    if results:
        with db.write() as conn:
            for one in results:
                conn.execute(update(recording).where(recording.c.id == one.id, recording.c.state.not_in(_LEFT))
                             .values(**_columns(one.found)))  # fmt: skip
    return results


def _columns(found: Examined) -> dict[str, object]:
    """What a row says of a file. A missing one keeps what was known of it."""
    if found.state is State.MISSING:
        return {"state": found.state}
    return {"state": found.state, "duration_s": found.duration_s, "bytes": found.bytes, "sha256": found.sha256}
