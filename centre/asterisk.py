"""Our Asterisk: its folder prepared, its files rendered, started as a child, spoken to by ``-rx``."""

from __future__ import annotations

import json
import secrets as random
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import ivr.spool_call
from centre import provision
from centre.settings import Secrets, Settings
from dialplans import Places, render, write

PAUSE_S = 10  # between two times that a caller hears that he is waiting
A_LAW_SILENCE = b"\xd5"
FOLDERS = ("etc", "lib", "lib/keys", "data", "agi", "spool", "run", "log")


class Asterisk:
    """``Asterisk(settings, secrets)``; ``prepare()``, then run ``argv()`` with ``env()`` under umask 077."""

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        self._settings, self._secrets = settings, secrets
        self._tool = provision.ensure("asterisk")
        self._home = settings.asterisk

    @property
    def version(self) -> str:
        return self._tool.version

    def prepare(self) -> None:
        """Folders, links and rendered files. Idempotent; what Asterisk keeps itself is left alone."""
        for name in FOLDERS:
            (self._home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        for byte in range(256):  # MixMonitor makes no folders
            (self._settings.recordings / f"{byte:02x}").mkdir(parents=True, exist_ok=True, mode=0o700)
        self._settings.spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        _link(self._home / "data" / "documentation", self._tool.directories["data"] / "documentation")
        _link(self._home / "data" / "sounds", self._settings.prompts)
        (self._home / "data" / "moh").mkdir(exist_ok=True)
        _music(self._settings, self._home / "data" / "moh")
        self._script.write_text(f"#!{sys.executable}\n" + Path(ivr.spool_call.__file__).read_text())
        self._script.chmod(stat.S_IRWXU)
        self._lock_browsers()
        self._render()

    def argv(self) -> list[str]:
        """In the foreground, until SIGTERM."""
        return self._tool.argv("-C", self._home / "etc" / "asterisk.conf", "-f")

    def env(self) -> dict[str, str]:
        return self._tool.env()

    def rx(self, command: str, timeout: float = 15) -> str:
        """What Asterisk's console answers. RuntimeError, with Asterisk's words, when it is not running."""
        argv = self._tool.argv("-C", self._home / "etc" / "asterisk.conf", "-rx", command)
        done = subprocess.run(argv, env=self.env(), capture_output=True, text=True, errors="replace", timeout=timeout)
        if done.returncode:
            raise RuntimeError((done.stdout + done.stderr).strip() or f"asterisk -rx ended with {done.returncode}")
        return done.stdout.rstrip("\n")

    def wait_booted(self, timeout: float = 30) -> None:
        """Returns once Asterisk takes calls. TimeoutError if it does not come up."""
        end = time.monotonic() + timeout
        while True:
            try:
                self.rx("core waitfullybooted")
                return
            except (RuntimeError, subprocess.TimeoutExpired):
                if time.monotonic() > end:
                    log = self._home / "log" / "messages"
                    raise TimeoutError(f"Asterisk did not start in {timeout:g} s: see {log}") from None
                time.sleep(0.05)  # its control socket is not there yet: nothing to wait on

    def reload(self) -> list[str]:
        """Renders anew and reloads what changed, dropping no call: the names of the changed files.

        Where SIP listens (addresses, ports, TLS) is taken at the next start only: PJSIP keeps its transports.
        """
        changed = self._render()
        if changed:
            self.rx("core reload")
        return changed

    @property
    def _script(self) -> Path:
        return self._home / "agi" / "spool_call.py"

    def _lock_browsers(self) -> None:
        """Each seat's browser has a password that nobody knows until it is given one: with none at all Asterisk answers
        otherwise than to a name that does not exist."""
        users = [self._secrets.seats[number].browser_user for number in self._settings.seats]
        with closing(sqlite3.connect(self._home / "lib" / "astdb.sqlite3")) as db, db:
            db.execute("CREATE TABLE IF NOT EXISTS astdb (key VARCHAR(256), value VARCHAR(256), PRIMARY KEY(key))")
            db.executemany("INSERT OR IGNORE INTO astdb VALUES (?, ?)", [
                (f"/browsers/auth/{user}", json.dumps({"auth_type": "userpass", "username": user,
                                                       "password": random.token_urlsafe(24)})) for user in users])

    def _render(self) -> list[str]:
        places = Places(modules=self._tool.directories["modules"], spool_script=self._script)
        return write(render(self._settings, self._secrets, places), self._home / "etc")


def _link(at: Path, to: Path) -> None:
    if at.is_symlink() and at.readlink() == to:
        return
    if at.is_symlink():
        at.unlink()
    at.symlink_to(to)


def _music(settings: Settings, folder: Path) -> None:
    """Music on hold: the city's own, dropped into ``var/voice/moh``, else now and then the word that one is waiting."""
    own = settings.var / "voice" / "moh"
    if own.is_dir():
        sounds = {sound.name: sound.read_bytes() for sound in own.iterdir()}
    else:
        word = settings.prompts / "uk" / "thanks-waiting.alaw"
        sounds = {"waiting.alaw": word.read_bytes() + A_LAW_SILENCE * PAUSE_S * 8000} if word.exists() else {}
    for old in folder.iterdir():
        if old.name not in sounds:
            old.unlink()
    for name, sound in sounds.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != sound:
            path.write_bytes(sound)
