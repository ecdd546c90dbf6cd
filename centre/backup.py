"""One file that holds the centre: rows, recordings, attachments, the calls still spooled, settings, secrets,
certificates made here, dropped-in voices.

A gzipped tar, 0600. Its last member, the manifest, tells every other one's size and SHA-256; without it the
file is not whole. The rows are JSON lines (`centre.rows`), the same for SQLite and PostgreSQL, so that a backup of
one restores into the other. Taken while the centre runs: the rows are of one moment; the spool is read
before it, the recordings and attachments after it, so that nothing falls between them.

Restoring verifies everything first, in a folder of its own, and then renames it into place; what stood there is
kept beside it as ``<name>.replaced-<time>``.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import socket
import tarfile
import tempfile
import tomllib
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ValidationError
from sqlalchemy import URL, Connection
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from centre import rows
from centre.settings import Settings, settings_file
from crm.attachments import sync_folder
from crm.errors import BadInput, CentreError
from crm.schema import metadata
from crm.store import Database
from recordings.files import NAME as RECORDING

FORMAT = 1
MANIFEST = "manifest.json"
UNFINISHED = "restore-unfinished"  # stands in the centre's folder while things are renamed
LARGEST_MANIFEST = 256 * 1024 * 1024  # bytes; a recording takes some 150 of them
CHUNK = 1024 * 1024

# What may be in a backup, and nothing else: no absolute path, no "..", no hidden name can match.
_MEMBER = re.compile(
    r"manifest\.json|settings\.toml|secrets\.json"
    r"|rows/[a-z][a-z0-9_]{0,62}\.\d{6}\.jsonl"
    rf"|recordings/{RECORDING.pattern}"
    r"|attachments/[0-9a-f]{2}/[0-9a-f]{64}"
    r"|(spool|voice|tls)(/\w[\w.-]{0,99}){1,3}",
    re.ASCII,
)


class Member(BaseModel):
    """What the manifest says of a member."""

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What is in the file, and what it was made from."""

    format: int
    made_at: datetime
    revision: str
    members: dict[str, Member]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore put in place. ``settings_left`` is where the backup's settings lie when they name another
    database than the one restored into, and so were not put in force.
    """

    made_at: datetime
    rows: int
    recordings: int
    settings_left: Path | None
    replaced: list[Path]


# ── making one ───────────────────────────────────────────────────────────────────────────────
def backup(settings: Settings, db: Database, out: Path | None = None) -> Path:
    """Writes a backup while the centre runs; its path. The file appears whole or not at all.

    Args:
        out: a file, or a folder to put one into; by default ``<var>/backups``.

    Raises:
        BadInput: ``backup.no_database``: there is nothing to back up yet.
        CentreError: ``backup.not_written`` with the system's reason (disk full, no right to write).
    """
    now = datetime.now(UTC)
    out = out or settings.var / "backups"
    if out.is_dir() or out == settings.var / "backups":
        out = out / f"1551-{now:%Y%m%dT%H%M%SZ}.tar.gz"
    draft = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            # Speech hardly shrinks: the lightest compression is for the rows.
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as tar:
                _fill(_Writer(tar), settings, db, now)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(out)
        sync_folder(out.parent)
    except (OSError, SQLAlchemyError) as error:
        raise CentreError("backup.not_written", file=str(out), reason=_reason(error)) from error
    finally:
        draft.unlink(missing_ok=True)
    return out


@dataclass
class _Writer:
    tar: tarfile.TarFile
    members: dict[str, Member] = field(default_factory=dict)

    def add(self, name: str, file: IO[bytes], size: int, modified: float) -> None:
        """One member of exactly ``size`` bytes, though the file may grow meanwhile."""
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size, int(modified), 0o600
        reader = _Hashing(file)
        self.tar.addfile(info, reader)
        self.members[name] = Member(bytes=size, sha256=reader.sha256.hexdigest())

    def add_file(self, name: str, path: Path) -> None:
        """A file as long as it is now; nothing if it is no plain file, or has just gone."""
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
        except OSError as error:
            if isinstance(error, FileNotFoundError) or path.is_symlink():
                return
            raise
        with file:
            status = os.fstat(file.fileno())
            self.add(name, file, status.st_size, status.st_mtime)


class _Hashing:
    """A file that remembers the SHA-256 of what was read from it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.sha256.update(data)
        return data


def _fill(into: _Writer, settings: Settings, db: Database, now: datetime) -> None:
    # A call that leaves the spool meanwhile has become rows; one that is in both is taken once (the table `taken`).
    _add_folder(into, "spool", settings.spool)
    with rows.snapshot(db.url) as conn:
        revision = rows.revision(conn)
        if not revision:
            raise BadInput("backup.no_database")
        for name, part in rows.dump(conn):
            into.add(f"rows/{name}", io.BytesIO(part), len(part), now.timestamp())
    _add_folder(into, "recordings", settings.recordings)
    _add_folder(into, "attachments", settings.attachments)
    _add_folder(into, "voice", settings.var / "voice")
    _add_folder(into, "tls", settings.tls)
    into.add_file("settings.toml", settings_file())
    into.add_file("secrets.json", settings.var / "secrets.json")
    manifest = Manifest(format=FORMAT, made_at=now, revision=revision, members=into.members)
    data = manifest.model_dump_json().encode()
    into.add(MANIFEST, io.BytesIO(data), len(data), now.timestamp())


def _add_folder(into: _Writer, name: str, folder: Path) -> None:
    for directory, below, files in os.walk(folder):  # symbolic links to folders are not entered
        below.sort()
        for file in sorted(files):
            path = Path(directory) / file
            member = f"{name}/{path.relative_to(folder).as_posix()}"
            if _MEMBER.fullmatch(member):
                into.add_file(member, path)


# ── restoring one ────────────────────────────────────────────────────────────────────────────
def restore(file: Path, settings: Settings, *, force: bool = False) -> Restored:
    """Puts a backup in place, and brings its rows to this version's schema. Nothing is changed unless all is well.

    Args:
        settings: of the centre restored into: its folder, and the database's URL.
        force: replace what is there. Files are kept beside their place; PostgreSQL's old rows are not.

    Raises:
        BadInput: ``restore.running``, ``restore.occupied``; ``backup.unreadable``, ``backup.damaged``,
            ``backup.hostile`` or ``backup.newer``: the file is at fault.
        CentreError: ``restore.not_written`` with the system's reason.
    """
    running = running_parts(settings)
    if running:
        raise BadInput("restore.running", part=", ".join(running))
    url = Database(settings.database_url).url
    if not force and _occupied(settings, url):
        raise BadInput("restore.occupied", place=str(settings.var))
    made = [folder for folder in (settings.var, *settings.var.parents) if not folder.exists()]
    try:
        settings.var.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (settings.var / UNFINISHED).exists():
            for left in settings.var.glob(".restore-*"):
                shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=settings.var, prefix=".restore-") as staging:
            return _restore(file, settings, url, Path(staging))
    except (OSError, SQLAlchemyError) as error:
        raise CentreError("restore.not_written", place=str(settings.var), reason=_reason(error)) from error
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # it is not empty: we succeeded
                folder.rmdir()


def running_parts(settings: Settings) -> list[str]:
    """Which parts of the centre run on this folder: ``asterisk``, ``line``."""
    sockets = {"asterisk": settings.asterisk / "run" / "asterisk.ctl", "line": settings.line_socket}
    return [name for name, path in sockets.items() if _answers(path)]


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except OSError:  # not there, nobody behind it, or a path too long for a socket
            return False
    return True


def _occupied(settings: Settings, url: URL) -> bool:
    if url.get_backend_name() == "sqlite":
        if Path(url.database or "").exists():
            return True
    else:
        with rows.snapshot(url) as conn:
            if _ours(conn, ()):
                return True
    places = (settings.recordings, settings.attachments, settings.spool, settings.var / "voice")
    return (settings.var / "settings.toml").exists() or any(p.is_dir() and any(p.iterdir()) for p in places)


def _restore(file: Path, settings: Settings, url: URL, staging: Path) -> Restored:
    manifest = _unpack(file, staging)
    if not rows.known_revision(manifest.revision):
        raise BadInput("backup.newer")
    var = settings.var
    left = var / "settings.toml.restored" if _names_another_place(staging / "settings.toml", settings, url) else None
    with _Swap(var / UNFINISHED, datetime.now(UTC)) as swap, contextlib.ExitStack() as folders:
        for name in ("recordings", "attachments", "spool", "voice", "tls"):
            swap.put(staging / name, var / name)
        for name, place in (("secrets.json", var / "secrets.json"), ("settings.toml", left or var / "settings.toml")):
            if name in manifest.members:
                swap.put(staging / name, place)
        if url.get_backend_name() == "sqlite":
            place = Path(url.database or "")
            place.parent.mkdir(parents=True, exist_ok=True)
            beside = folders.enter_context(tempfile.TemporaryDirectory(dir=place.parent, prefix=".restore-"))
            fresh = Path(beside) / "db"
            with rows.transaction(URL.create("sqlite+pysqlite", database=str(fresh))) as conn:
                count = _load(conn, manifest, staging)
            fresh.chmod(0o600)
            swap.put(fresh, place)
            for suffix in ("-wal", "-shm"):  # they belong to the file that goes
                swap.put(Path(f"{fresh}{suffix}"), Path(f"{place}{suffix}"))
            swap.do()
        else:
            with rows.transaction(url) as conn:
                rows.drop(conn, _ours(conn, _tables(manifest)))
                count = _load(conn, manifest, staging)
                swap.do()  # before the commit, which is the last thing that can fail, and undone if it does
    recordings = sum(name.startswith("recordings/") for name in manifest.members)
    return Restored(manifest.made_at, count, recordings, left, swap.aside)


def _unpack(file: Path, staging: Path) -> Manifest:
    """Everything in the file, written into ``staging`` and found to be what the manifest says."""
    seen: dict[str, Member] = {}
    try:
        with tarfile.open(file, "r:gz") as tar:
            for info in tar:
                if not info.isreg() or info.issparse() or not _MEMBER.fullmatch(info.name) or info.name in seen:
                    raise BadInput("backup.hostile", member=ascii(info.name[:200]))
                if info.name == MANIFEST and info.size > LARGEST_MANIFEST:
                    raise BadInput("backup.damaged", member=MANIFEST)
                source = tar.extractfile(info)
                assert source is not None  # noqa: S101  # a plain file has a content
                seen[info.name] = _write(source, info, staging)
    except FileNotFoundError as error:
        raise BadInput("backup.unreadable", file=str(file)) from error
    except (tarfile.TarError, EOFError, zlib.error, UnicodeError) as error:
        raise BadInput("backup.damaged", member="") from error
    except OSError as error:
        if error.errno is None:  # gzip's own: not its format, or a wrong checksum
            raise BadInput("backup.damaged", member="") from error
        raise
    seen.pop(MANIFEST, None)
    try:
        manifest = Manifest.model_validate_json((staging / MANIFEST).read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        raise BadInput("backup.damaged", member=MANIFEST) from error
    if manifest.format != FORMAT:
        raise BadInput("backup.newer")
    for name in sorted(manifest.members.keys() | seen.keys()):
        if manifest.members.get(name) != seen.get(name):
            raise BadInput("backup.damaged", member=name)
    return manifest


def _write(source: IO[bytes], info: tarfile.TarInfo, staging: Path) -> Member:
    place = staging / info.name
    for folder in reversed([folder for folder in place.parents if not folder.exists()]):
        folder.mkdir(mode=0o700)
    digest = hashlib.sha256()
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.utime(file.fileno(), (info.mtime, info.mtime))
    return Member(bytes=place.stat().st_size, sha256=digest.hexdigest())


def _tables(manifest: Manifest) -> set[str]:
    return {name.split("/")[1].split(".")[0] for name in manifest.members if name.startswith("rows/")}


def _ours(conn: Connection, others: Collection[str]) -> set[str]:
    """The tables of the database that are the centre's: another program's, in the same database, are not touched."""
    return {*metadata.tables, *others} & set(rows.tables(conn))


def _load(conn: Connection, manifest: Manifest, staging: Path) -> int:
    rows.upgrade(conn, manifest.revision)
    if not _tables(manifest) <= set(rows.tables(conn)):
        raise BadInput("backup.damaged", member="rows")

    def parts(table: str) -> Iterator[bytes]:
        for path in sorted((staging / "rows").glob(f"{table}.*.jsonl")):
            yield path.read_bytes()

    try:
        count = rows.load(conn, parts)
    except (ValueError, TypeError, IntegrityError, DataError, StatementError) as error:
        if isinstance(error, DBAPIError) and not isinstance(error, (IntegrityError, DataError)):
            raise
        raise BadInput("backup.damaged", member="rows") from error
    rows.upgrade(conn)
    return count


def _names_another_place(file: Path, settings: Settings, url: URL) -> bool:
    """Whether settings from a backup would, in force, leave aside what was just restored."""
    try:
        said = tomllib.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return False  # none; or ones that the next start refuses with a sentence of its own
    var, database = said.get("var"), said.get("database")
    if var and Path(str(var)).resolve() != settings.var.resolve():
        return True
    try:
        return bool(database) and Database(str(database)).url != url
    except (ValueError, ArgumentError):
        return True


@dataclass
class _Swap:
    """Renames that are all done or all undone. ``aside`` is where what stood there is kept."""

    marker: Path  # stands there while they are done, so that a power cut in the midst is noticed
    now: datetime
    pairs: list[tuple[Path, Path]] = field(default_factory=list)
    aside: list[Path] = field(default_factory=list)
    _done: list[tuple[Path, Path]] = field(default_factory=list)

    def put(self, fresh: Path, place: Path) -> None:
        """``fresh`` shall stand at ``place``; nothing shall, if there is no ``fresh``."""
        self.pairs.append((fresh, place))

    def do(self) -> None:
        os.sync()  # what is renamed must be on the disk before its name is
        self.marker.touch()
        sync_folder(self.marker.parent)
        for fresh, place in self.pairs:
            if os.path.lexists(place):
                kept = place.with_name(f"{place.name}.replaced-{self.now:%Y%m%dT%H%M%S.%f}")
                self._rename(place, kept)
                self.aside.append(kept)
            if fresh.exists():
                self._rename(fresh, place)
        for folder in {place.parent for _, place in self.pairs}:
            sync_folder(folder)

    def _rename(self, old: Path, new: Path) -> None:
        old.rename(new)
        self._done.append((old, new))

    def __enter__(self) -> _Swap:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for old, new in reversed(self._done):
                new.rename(old)
        self.marker.unlink(missing_ok=True)


def _reason(error: OSError | SQLAlchemyError) -> str:
    """The system's or the database's own words, without the statement and its values."""
    return str(getattr(error, "strerror", None) or getattr(error, "orig", None) or error).strip()
