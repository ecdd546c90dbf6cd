"""The recordings' folder: ``<2 hex>/<32 hex>.wav``, folders 0700, files 0600, names that tell nothing.

A path comes from a telephone exchange, a spool or a restored database, so it is parsed before it is
used, and no symbolic link is ever followed below the folder. These functions block: they read disks.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from io import BufferedRandom
from pathlib import Path

from crm.errors import BadInput
from recordings import wav

NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{32}\.wav", re.ASCII)
SETTLING = 60.0  # seconds: an unfinished file written to more recently may still be Asterisk's
_FOLDER = re.compile(r"[0-9a-f]{2}", re.ASCII)


class State(StrEnum):
    """What is known of a recording."""

    OPEN = "open"  # announced; the call goes on, or Asterisk has not closed the file yet
    OK = "ok"
    DAMAGED = "damaged"  # no sound in it, cut short, or not what was indexed
    MISSING = "missing"  # announced and not there
    ERASING = "erasing"  # to be removed: of somebody who asked to be forgotten
    EXPIRED = "expired"  # removed after its time, or since somebody asked to be forgotten


@dataclass(frozen=True, slots=True)
class Examined:
    """What one file turned out to be. ``why`` says in English what is wrong with it, for the log."""

    state: State
    duration_s: float | None = None
    bytes: int | None = None
    sha256: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A file with a recording's name, as the folder lists it."""

    bytes: int
    modified: float  # seconds since the epoch


def checked(path: str) -> str:
    """``path`` if it is a recording's name; BadInput ``recording.bad_path`` otherwise."""
    if not isinstance(path, str) or not NAME.fullmatch(path):
        raise BadInput("recording.bad_path")
    return path


def prepare(folder: Path) -> None:
    """Makes the folder, and makes it ours alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)


def examine(folder: Path, path: str, now: float) -> Examined:
    """Reads the whole file: its length, size and SHA-256. Closes it to others, and finishes a crash's header.

    Asterisk keeps the end of a recording in memory until it closes the file, a moment after the call: a
    fresh file without a finished header is `State.OPEN` still, and left as it is.

    Args:
        now: seconds since the epoch.

    Raises:
        BadInput: ``path`` is no recording's name.
        OSError: the disk, not the file, is at fault; nothing is known then.
    """
    try:
        descriptor = _open(folder, path, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return Examined(State.MISSING, why="not there")
    except _NotOurs as error:
        return Examined(State.DAMAGED, why=str(error))
    with os.fdopen(descriptor, "r+b") as file:
        status = os.fstat(descriptor)
        size, fresh = status.st_size, abs(now - status.st_mtime) < SETTLING
        os.fchmod(descriptor, 0o600)
        if fresh and size == 0:
            return Examined(State.OPEN)
        try:
            sound = wav.parse(file.read(wav.HEAD), size)
        except wav.NotWav as error:
            return Examined(State.DAMAGED, None, size, _digest(file), str(error))
        if sound.declared is None:
            if fresh:
                return Examined(State.OPEN)
            for at, what in wav.finished(sound, size):  # so that players can play it
                file.seek(at)
                file.write(what)
            file.flush()
        digest = _digest(file)
    if sound.truncated:
        return Examined(State.DAMAGED, sound.duration_s, size, digest, f"{sound.declared} bytes of sound declared")
    return Examined(State.OK, sound.duration_s, size, digest)


def remove(folder: Path, path: str) -> bool:
    """Removes the file; False if it was not there. BadInput for a path that is no recording's name."""
    try:
        with _parent(folder, checked(path)) as (parent, name):
            os.unlink(name, dir_fd=parent)
            os.fsync(parent)  # it must be gone before anybody writes that it is
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def present(folder: Path, path: str) -> bool:
    """Whether a plain file of ours is there under that name. BadInput for a path that is no recording's name."""
    try:
        os.close(_open(folder, path, os.O_RDONLY))
    except (FileNotFoundError, NotADirectoryError, _NotOurs):
        return False
    return True


def listing(folder: Path) -> tuple[dict[str, Found], list[str]]:
    """Every recording in the folder by its path, and the names of all that does not belong there."""
    found: dict[str, Found] = {}
    strangers: list[str] = []
    with os.scandir(folder) as outer:
        for entry in outer:
            if not _FOLDER.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False):
                strangers.append(entry.name)
                continue
            with os.scandir(entry.path) as inner:
                for file in inner:
                    path = f"{entry.name}/{file.name}"
                    if not NAME.fullmatch(path) or not file.is_file(follow_symlinks=False):
                        strangers.append(path)
                        continue
                    with contextlib.suppress(FileNotFoundError):  # retention was quicker
                        status = file.stat(follow_symlinks=False)
                        found[path] = Found(status.st_size, status.st_mtime)
    return found, sorted(strangers)


def exposed(folder: Path, paths: Collection[str]) -> list[str]:
    """What others than its owner may open, of these recordings, their folders and the folder itself (".")."""
    names = {".", *paths, *(path.partition("/")[0] for path in paths)}
    loose = []
    for name in sorted(names):
        with contextlib.suppress(FileNotFoundError):
            if stat.S_IMODE((folder / name).lstat().st_mode) & 0o077:
                loose.append(name)
    return loose


class _NotOurs(OSError):
    """Something stands under a recording's name that is no plain file, or lies behind a link."""


@contextlib.contextmanager
def _parent(folder: Path, path: str) -> Iterator[tuple[int, str]]:
    """(open descriptor of the file's folder, the file's name)."""
    directory, _, name = path.partition("/")
    if (folder / directory).is_symlink():
        raise _NotOurs(f"{directory} is a symbolic link")
    descriptor = os.open(folder / directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)


def _open(folder: Path, path: str, flags: int) -> int:
    with _parent(folder, checked(path)) as (parent, name):
        if not stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise _NotOurs("not a plain file")
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)


def _digest(file: BufferedRandom) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
