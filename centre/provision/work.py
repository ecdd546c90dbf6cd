"""How preparing is done: one process at a time, every step logged, failures said in one sentence."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# How often a long step says how far it is, in seconds.
HEARTBEAT = 10.0


class ProvisionError(Exception):
    """Something the project needs could not be had. The text is one sentence with the remedy, meant to be shown."""


def say(line: str) -> None:
    """One progress line on stderr, so that stdout stays for results."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Work:
    """Steps done under one lock, with one log."""

    log: Path
    lock: int

    def run(
        self,
        command: Sequence[str | Path],
        doing: str,
        *,
        environment: Mapping[str, str] | None = None,
        progress: Callable[[], str] | None = None,
    ) -> str:
        """Run one program, all it prints going to the log; what it printed.

        The program inherits the lock: should we be killed, the next run waits until the program, too, has ended.

        Args:
            doing: what the step is, after "could not".
            progress: asked now and then for a line to show.

        Raises:
            ProvisionError: it failed.
        """
        words = [str(word) for word in command]
        with self.log.open("ab") as log:
            log.write(f"$ {' '.join(words)}\n".encode())
            log.flush()
            start = log.tell()
            with subprocess.Popen(
                words,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(self.lock,),
            ) as program:
                while True:
                    try:
                        code = program.wait(HEARTBEAT)
                        break
                    except subprocess.TimeoutExpired:
                        if progress:
                            say(progress())
        with self.log.open("rb") as log:
            log.seek(start)
            printed = log.read().decode(errors="replace")
        if code:
            said = [line.strip() for line in printed.splitlines() if line.strip()]
            errors = [line for line in said if line.startswith(("E: ", "ERROR: ", "dpkg-deb: error"))]
            reason = [*errors, *said[-1:], f"{words[0]} ended with {code}"][0]
            raise ProvisionError(f"Could not {doing} ({reason}): check the network, read {self.log}, and run again.")
        return printed


@contextmanager
def work(lock: Path, log: Path) -> Iterator[Work]:
    """Hold the file `lock` against other processes, and begin `log` anew. The kernel drops the lock if we are killed.

    Raises:
        ProvisionError: the files cannot be written.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ProvisionError(f"Cannot write {lock} ({error.strerror}): run as the owner of that folder.") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run that is preparing the same…")
            fcntl.flock(handle, fcntl.LOCK_EX)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        yield Work(log, handle)
    except OSError as error:
        raise ProvisionError(f"Could not prepare {lock.parent} ({error}): mend that and run again.") from error
    finally:
        os.close(handle)


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Write `text` so that a reader sees the old file or the new one, never a part."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(mode)
    fresh.replace(path)
