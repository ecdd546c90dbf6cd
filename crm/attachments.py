"""Photos, acts and letters that belong to an appeal: what was done is shown, not only said.

A file lies under its SHA-256, so that the same one sent twice is kept once; it is on the disk before a row names it.
What it is is read from its bytes, whatever its name says; only what nobody can run is taken. A photo is drawn anew
(``crm.photos``): it is kept without where and by whom it was taken, and the place is told apart.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from sqlalchemy import Connection, select

from crm import photos, texts
from crm.errors import BadInput, NotFound
from crm.schema import attachment, message_file, staff
from crm.store import Database, insert_row

LARGEST = 25 * 1024 * 1024  # bytes, as it comes
MOST = 5  # files at a time
LONGEST_NAME = 200
CHUNK = 256 * 1024
SPARED = 1024**3  # bytes of the disk that files leave to the records: without these nothing goes on
UNNAMED = dt.timedelta(days=1)  # after which a file without a row belongs to nothing

# How a file of each kind begins.
_BEGINNINGS = {
    b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"%PDF-": "application/pdf",
    b"ID3": "audio/mpeg", b"\xff\xfb": "audio/mpeg", b"\xff\xf3": "audio/mpeg", b"\xff\xf2": "audio/mpeg",
}  # fmt: skip
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1"})  # the brands that telephones write
IMAGES = frozenset({"image/jpeg", "image/png"})  # what a photo of any kind is kept as
AUDIO = frozenset({"audio/wav", "audio/mpeg"})  # a voice left by telephone: taken only where it is asked for
TAKEN = frozenset({*photos.KINDS, "application/pdf"})


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is safely on the disk. ``place``: where a photo was taken (latitude, longitude), as it said itself
    before that was taken off it."""

    name: str
    media_type: str
    bytes: int
    sha256: str
    place: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """``action``: with which it came. ``staff``: who sent it, "" for nobody of the centre."""

    id: int
    appeal_id: int
    action: str
    staff: str
    name: str
    media_type: str
    bytes: int
    sha256: str
    at: dt.datetime


def sniff(head: bytes) -> str:
    """The media type by how the file begins (sixteen bytes suffice); "" for what is never taken."""
    if head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"WAVE"):
        return "image/webp" if head[8:12] == b"WEBP" else "audio/wav"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        return "image/heic"
    return next((kind for beginning, kind in _BEGINNINGS.items() if head.startswith(beginning)), "")


def place(folder: Path, sha256: str) -> Path:
    """Where the file with this digest lies."""
    return folder / sha256[:2] / sha256


def store(folder: Path, name: str, file: BinaryIO, *, also: Container[str] = ()) -> Stored:
    """Puts a file on the disk, durably; one that is there already stays. ``also``: kinds that are taken besides photos
    and PDF (``AUDIO``). Slow, and heavy for a large photo: in a thread, and not in a transaction.

    BadInput ``attachment.empty``, ``attachment.kind`` (neither a photo nor PDF), ``attachment.too_big``,
    ``attachment.bomb`` and ``attachment.broken`` (``photos.clean``); OSError of a disk that takes no more.
    """
    head = file.read(16)
    if not head:
        raise BadInput("attachment.empty")
    media_type, plain, taken_at = sniff(head), _name(name), None
    if media_type not in TAKEN and media_type not in also:
        raise BadInput("attachment.kind")
    chunks = _bounded(head, file)
    if media_type in photos.KINDS:
        photo = photos.clean(b"".join(chunks), media_type)
        if photo.media_type != media_type:
            plain = f"{PurePath(plain).stem[4 - LONGEST_NAME :]}.jpg"
        chunks, media_type, taken_at = iter([photo.data]), photo.media_type, photo.place
    sha256, size = _keep(folder, chunks)
    return Stored(plain, media_type, size, sha256, taken_at)


def _bounded(head: bytes, file: BinaryIO) -> Iterator[bytes]:
    """The file whose head has been read. BadInput ``attachment.too_big`` at the first byte too many."""
    size, chunk = 0, head
    while chunk:
        size += len(chunk)
        if size > LARGEST:
            raise BadInput("attachment.too_big", megabytes=LARGEST // 1024**2)
        yield chunk
        chunk = file.read(CHUNK)


def _keep(folder: Path, chunks: Iterator[bytes]) -> tuple[str, int]:
    """Its digest and how many bytes it has, once it is safely there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if shutil.disk_usage(folder).free < SPARED:
        raise OSError(errno.ENOSPC, "what is left of the disk is for the records")
    digest, size = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".") as draft:
        for chunk in chunks:
            size += len(chunk)
            digest.update(chunk)
            draft.write(chunk)
        draft.flush()
        os.fsync(draft.fileno())
        at = place(folder, digest.hexdigest())
        at.parent.mkdir(exist_ok=True, mode=0o700)
        try:
            os.link(draft.name, at)
        except FileExistsError:  # the same one is there: anew, for ``sweep``
            os.utime(at)
        for changed in (at.parent, folder):
            sync_folder(changed)
    return digest.hexdigest(), size


def renew(folder: Path, sha256: str, now: dt.datetime) -> bool:
    """Keeps a file that no row names yet for another while; whether it is there."""
    try:
        os.utime(place(folder, sha256), (now.timestamp(), now.timestamp()))
    except FileNotFoundError:
        return False
    return True


def remove(folder: Path, sha256: str) -> None:
    """Takes a file off the disk, durably: it must be gone before its row is. One that is gone already is."""
    path = place(folder, sha256)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        sync_folder(path.parent)


def sweep(db: Database, folder: Path, now: dt.datetime) -> int:
    """Removes what no row names: a file whose form was refused, or whose process died while it was taken; how many.
    Blocking."""
    gone = 0
    for part in (folder, *(each for each in folder.glob("??") if each.is_dir())):
        old = _came_before(part, now - UNNAMED)
        if not old:
            continue
        with db.read() as conn:
            named = {sha256 for table in (attachment, message_file)
                     for sha256 in conn.scalars(select(table.c.sha256).where(table.c.sha256.in_(old)))}  # fmt: skip
        for name in old:
            if name not in named:
                (part / name).unlink(missing_ok=True)
                gone += 1
    return gone


def _came_before(folder: Path, at: dt.datetime) -> list[str]:
    """The names of its files that came before then."""
    found = []
    for path in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):  # a form's, just now
            if path.is_file() and path.stat().st_mtime < at.timestamp():
                found.append(path.name)
    return found


def _name(name: str) -> str:
    """As people see it: without folders, one line, not too long."""
    plain = texts.line(name.replace("\\", "/").rpartition("/")[2][-LONGEST_NAME:], LONGEST_NAME * 2)
    return plain[-LONGEST_NAME:].strip() or "—"


def sync_folder(folder: Path) -> None:
    """What was made, linked or renamed in the folder is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def add(conn: Connection, appeal_id: int, stored: Stored, *, now: dt.datetime, action: str,
        staff_id: int | None) -> int:  # fmt: skip
    """The row of a stored file; its id. The same file sent again with the same action has one."""
    a = attachment.c
    known = conn.execute(select(a.id).where(a.appeal_id == appeal_id, a.sha256 == stored.sha256,
                                            a.action == action)).scalar()  # fmt: skip
    if known is not None:
        return int(known)
    return insert_row(conn, attachment, {
        "appeal_id": appeal_id, "action": action, "staff_id": staff_id, "name": stored.name,
        "media_type": stored.media_type, "bytes": stored.bytes, "sha256": stored.sha256, "at": now})  # fmt: skip


_ATTACHMENT = select(attachment.c.id, attachment.c.appeal_id, attachment.c.action, staff.c.name, attachment.c.name,
                     attachment.c.media_type, attachment.c.bytes, attachment.c.sha256, attachment.c.at,
                     ).join(staff, attachment.c.staff_id == staff.c.id, isouter=True)  # fmt: skip


def of_appeal(conn: Connection, appeal_id: int) -> list[Attachment]:
    """Oldest first."""
    rows = conn.execute(_ATTACHMENT.where(attachment.c.appeal_id == appeal_id).order_by(attachment.c.id)).all()
    return [_attachment(row) for row in rows]


def get(conn: Connection, attachment_id: int) -> Attachment:
    """NotFound ``attachment.unknown``."""
    row = conn.execute(_ATTACHMENT.where(attachment.c.id == attachment_id)).one_or_none()
    if row is None:
        raise NotFound("attachment.unknown")
    return _attachment(row)


def _attachment(row: tuple[int, int, str, str | None, str, str, int, str, dt.datetime]) -> Attachment:
    return Attachment(row[0], row[1], row[2], row[3] or "", *row[4:])
