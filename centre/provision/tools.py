"""Programs the project runs but does not contain: found on this machine, or else unpacked from Debian."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import debian
from .work import ProvisionError, say

TOOLS = Path(__file__).resolve().parents[2] / "var" / "tools"

# An ordinary user's PATH lacks these on Debian, and servers live there.
SERVER_FOLDERS = ("/usr/local/sbin", "/usr/sbin")


@dataclass(frozen=True)
class Tool:
    """A program that runs here: ``subprocess.run(tool.argv("-V"), env=tool.env())``."""

    name: str
    version: str
    prefix: tuple[str, ...]  # the words before the program's own arguments
    environment: Mapping[str, str] = field(default_factory=dict)  # what it needs beside ours
    directories: Mapping[str, Path] = field(default_factory=dict)  # by the names its recipe gives them

    @property
    def executable(self) -> str:
        """The one file that is the program, for callers that take no command line (only some recipes give one)."""
        (file,) = self.prefix
        return file

    def argv(self, *arguments: str | Path) -> list[str]:
        """The whole command line."""
        return [*self.prefix, *map(str, arguments)]

    def env(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The whole environment: `base` (ours by default) with what the program needs."""
        return {**(os.environ if base is None else base), **self.environment}

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"directories": {name: str(path) for name, path in self.directories.items()}}


@dataclass(frozen=True)
class Recipe:
    """How to find or get one program. Patterns are relative to the prefix it is installed under (``/usr``)."""

    name: str
    program: str  # relative too: sbin/asterisk
    packages: tuple[str, ...]
    minimum: tuple[int, ...]
    version_option: str
    # Folders that users of the tool ask for: name → patterns, the first that holds all of `contents[name]`.
    directories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    contents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Variable → pattern, where an unpacked program must be told what it otherwise expects under /usr.
    environment: Mapping[str, str] = field(default_factory=dict)
    # What it may be called on this machine, best first; by default the program's own name.
    names: tuple[str, ...] = ()
    # Makes one file that starts the unpacked program: (prefix, command line) → that file.
    launcher: Callable[[Path, Sequence[str]], Path] | None = None


def find(recipe: Recipe) -> Tool | None:
    """The program as this machine has it, if it is suitable."""
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), *SERVER_FOLDERS]
    # What a snap holds sees only a part of the file system.
    search = os.pathsep.join(folder for folder in folders if not folder.startswith("/snap/"))
    names = recipe.names or (Path(recipe.program).name,)
    program = next(filter(None, (shutil.which(name, path=search) for name in names)), None)
    if program is None:
        return None
    try:
        return _described(recipe, (program,), Path(program).resolve().parent.parent, {})
    except ProvisionError as error:
        say(f"{program} is passed over: {error}")
        return None


def unpacked(recipe: Recipe, tools: Path = TOOLS, *, renew: bool = False) -> Tool:
    """The program as Debian has it, unpacked under `tools` on first use.

    Raises:
        ProvisionError: it cannot be had, or does not run.
    """
    tree = debian.unpack(recipe.name, recipe.packages, tools, renew=renew)
    prefix = tree / "usr"
    program = prefix / recipe.program
    loader = next(prefix.glob("lib*/ld-linux*.so.*"), None)
    if loader is None:
        raise ProvisionError(f"{tree} holds no program loader: remove that folder and run again.")
    # The program's own C library and loader: those of this machine may be older. ld.so.cache is this machine's, too.
    # libpulse and Dovecot name their private folders by the path that those have when installed.
    places = ("lib/*-linux-gnu*", "lib/*-linux-gnu*/pulseaudio", "lib/dovecot")
    libraries = [folder for place in places for folder in prefix.glob(place)]
    words: tuple[str, ...] = (
        str(loader),
        "--inhibit-cache",
        "--library-path",
        ":".join(map(str, libraries)),
        str(program),
    )
    if recipe.launcher:
        words = (str(recipe.launcher(prefix, words)),)
    environment = {name: str(_first(prefix, (pattern,), ())) for name, pattern in recipe.environment.items()}
    try:
        return _described(recipe, words, prefix, environment)
    except ProvisionError as error:
        raise ProvisionError(
            f"The {recipe.name} in {tree} is of no use, {error}: remove that folder and run again."
        ) from error


def _described(recipe: Recipe, words: tuple[str, ...], prefix: Path, environment: dict[str, str]) -> Tool:
    """The tool behind `words`, after running it for its version and looking for its folders.

    Raises:
        ProvisionError: it does not run, is too old, or lacks a folder.
    """
    try:
        done = subprocess.run(
            [*words, recipe.version_option],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProvisionError(f"it does not run ({error})") from error
    version = version_in(done.stdout)
    if version is None:
        said = " ".join(done.stdout.split())[:200] or f"exit code {done.returncode}"
        raise ProvisionError(f"it does not tell its version ({said})")
    if numbers(version) < recipe.minimum:
        raise ProvisionError(f"its version is {version} and {'.'.join(map(str, recipe.minimum))} or newer is needed")
    directories = {
        name: _first(prefix, patterns, recipe.contents.get(name, ())) for name, patterns in recipe.directories.items()
    }
    return Tool(recipe.name, version, words, environment, directories)


def _first(prefix: Path, patterns: tuple[str, ...], contents: tuple[str, ...]) -> Path:
    for pattern in patterns:
        for path in sorted(prefix.glob(pattern)):
            if all((path / name).exists() for name in contents):
                return path
    raise ProvisionError(
        f"no {' or '.join(patterns)} under {prefix}" + (f" holds {', '.join(contents)}" if contents else "")
    )


def version_in(text: str) -> str | None:
    """The first dotted number of what a program prints about itself: ``Asterisk 22.10.1+dfsg`` → ``22.10.1``."""
    match = re.search(r"(?<![\w.])v?(\d+(?:\.\d+)+)", text)
    return match[1] if match else None


def numbers(version: str) -> tuple[int, ...]:
    """Comparable: ``22.10.1`` → ``(22, 10, 1)``."""
    return tuple(map(int, version.split(".")))
