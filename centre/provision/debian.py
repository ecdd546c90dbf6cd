"""Debian packages unpacked into a folder of ours: no root, no container, nothing of the system touched.

A private apt (its own state, cache and sources, and an empty list of installed packages, so that the C library
comes too) fetches and checks the packages; ``dpkg-deb -x`` unpacks them. No maintainer script runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .sources import MIRROR_SETTING, choose_mirror
from .work import ProvisionError, Work, say, work, write_whole

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITE = "forky"

# Written last: a tree without it was not finished.
MANIFEST = "unpacked.json"


@dataclass(frozen=True)
class Archive:
    """A package archive: where it is, which suite of it, and who may sign it."""

    uri: str
    suite: str
    keyring: Path
    components: tuple[str, ...] = ("main",)

    def source(self) -> str:
        return f"deb {self.uri} {self.suite} {' '.join(self.components)}\n"


def unpack(name: str, packages: Sequence[str], tools: Path, *, suite: str = SUITE, renew: bool = False) -> Path:
    """The folder into which `packages` and all they depend on are unpacked, fetching them unless it is there.

    Safe against a second run at the same time and against being killed: the folder appears whole, by a rename,
    and what a killed run had downloaded is used again.

    Args:
        name: what the folder is called after.
        tools: the folder that holds it (``var/tools``).
        renew: fetch again even if there is one, for newer packages.

    Raises:
        ProvisionError: with the remedy and the log's path.
    """
    recipe = hashlib.sha256("\0".join([suite, *packages]).encode()).hexdigest()[:8]
    tree = tools / f"{name}-{recipe}"
    if (tree / MANIFEST).exists() and not renew:
        return tree
    _need_programs()
    with work(tools / "debian.lock", tools / "log" / f"{name}.log") as steps:
        if (tree / MANIFEST).exists() and not renew:
            return tree
        staging = tools / "staging" / tree.name
        staging.mkdir(parents=True, exist_ok=True)
        archive = Archive(choose_mirror(), suite, KEYRING if KEYRING.exists() else _fetched_keyring(tools, steps))
        apt = PrivateApt(tools / "apt" / suite, staging, steps, archive)
        say(f"{name}: reading the package lists of Debian {suite}…")
        apt.update()
        debs = apt.download(name, packages)
        say(f"{name}: unpacking {len(debs)} packages…")
        fresh = staging / "tree"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        for deb in debs:
            steps.run(["dpkg-deb", "-x", deb, fresh], f"unpack {deb.name}")
        versions = dict(sorted(deb.name.replace("%3a", ":").split("_")[:2] for deb in debs))
        write_whole(fresh / MANIFEST, json.dumps({"suite": suite, "packages": versions}, indent=1))
        replaced = staging / "replaced"
        shutil.rmtree(replaced, ignore_errors=True)
        if tree.exists():
            tree.rename(replaced)
        fresh.rename(tree)
        shutil.rmtree(staging)
    return tree


class PrivateApt:
    """An apt that shares nothing with the machine's but the way to the network."""

    def __init__(self, state: Path, staging: Path, steps: Work, archive: Archive | None) -> None:
        """
        Args:
            state: keeps the package lists between uses.
            staging: takes the downloads.
            archive: where packages come from; None for the machine's own sources and keys.
        """
        self._steps = steps
        self._archives = staging / "archives"
        self._nothing = staging / "nothing"
        lists = state / "lists"
        for folder in (lists / "partial", self._archives / "partial", self._nothing / "partial"):
            folder.mkdir(parents=True, exist_ok=True)
        status = staging / "status"
        status.write_text("")
        # Read before anything else: it keeps the machine's hooks and options out, all but its way to the network.
        config = staging / "apt.conf"
        config.write_text('Dir::Etc::main "/dev/null";\nDir::Etc::parts "/dev/null";\n' + _network_options())
        options = {
            "Dir::State": state,
            "Dir::State::lists": lists,
            "Dir::State::status": status,
            "Dir::Cache": staging,
            "Dir::Cache::archives": self._archives,
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "Dir::Log": state,
            # As root, apt would download as the user _apt, who may not enter our folders.
            "APT::Sandbox::User": "root",
            "APT::Architectures": _output("dpkg", "--print-architecture").strip(),
            "APT::Install-Recommends": "false",
            "APT::Get::Assume-Yes": "true",
            "Acquire::Check-Valid-Until": "false",  # mirrors lag
            "Acquire::Retries": "5",
            "Acquire::Languages": "none",
            "Acquire::GzipIndexes": "true",
            "Acquire::PDiffs": "false",
        }
        if archive:
            sources = staging / "sources.list"
            sources.write_text(archive.source())
            options |= {
                "Dir::Etc::sourcelist": sources,
                "Dir::Etc::sourceparts": "/dev/null",
                "Dir::Etc::preferences": "/dev/null",
                "Dir::Etc::preferencesparts": "/dev/null",
                "Dir::Etc::trusted": archive.keyring,
                "Dir::Etc::trustedparts": "/dev/null",
                # Otherwise apt goes on with the lists it had when an archive is unsigned or unreachable. The machine's
                # own sources may well name an archive that fails.
                "APT::Update::Error-Mode": "any",
            }
        self._command = ["apt-get", "-q"]
        for key, value in options.items():
            self._command += ["-o", f"{key}={value}"]
        self._environment = os.environ | {"APT_CONFIG": str(config), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}

    def update(self) -> None:
        """Fetch the package lists; those that have not changed are not fetched again."""
        try:
            self._run("read the package lists", "update")
        except ProvisionError as error:
            if "NO_PUBKEY" in str(error) or "is not signed" in str(error):
                raise ProvisionError(
                    f"{error} If this machine's Debian keyring is old, update its package debian-archive-keyring."
                ) from error
            raise ProvisionError(f"{error} {MIRROR_SETTING} names another mirror.") from error

    def download(self, name: str, packages: Sequence[str]) -> list[Path]:
        """Fetch `packages` with all they depend on; the .deb files.

        What a killed run had fetched is used again, unless the archive has moved on.
        """
        # apt leaves out what it already has: so it is asked with an empty folder.
        empty = f"Dir::Cache::archives={self._nothing}"
        plan = self._run(f"find {name}", "-o", empty, "--print-uris", "install", *packages)
        sizes = {file: int(size) for file, size in re.findall(r"^'\S+' (\S+\.deb) (\d+) ", plan, re.M)}
        total = sum(sizes.values())

        def progress() -> str:
            have = sum(file.stat().st_size for file in self._archives.rglob("*.deb*") if file.exists())
            return f"{name}: {have / 1e6:.0f} of {total / 1e6:.0f} MB…"

        say(f"{name}: fetching {len(sizes)} packages, {total / 1e6:.0f} MB…")
        self._run(f"fetch {name}", "--download-only", "install", *packages, progress=progress)
        return [self._archives / file for file in sizes]

    def _run(self, doing: str, *arguments: str, progress: Callable[[], str] | None = None) -> str:
        return self._steps.run([*self._command, *arguments], doing, environment=self._environment, progress=progress)


def _fetched_keyring(tools: Path, steps: Work) -> Path:
    """Debian's keyring out of the machine's own archive, on a system that is not Debian and does not have it."""
    keyring = tools / "debian-archive-keyring.gpg"
    if not keyring.exists():
        say("fetching the keyring of Debian's archive…")
        staging = tools / "staging" / "keyring"
        staging.mkdir(parents=True, exist_ok=True)
        apt = PrivateApt(tools / "apt" / "own", staging, steps, None)
        apt.update()
        for deb in apt.download("debian-archive-keyring", ["debian-archive-keyring"]):
            steps.run(["dpkg-deb", "-x", deb, staging / "tree"], f"unpack {deb.name}")
        shutil.copyfile(staging / "tree" / KEYRING.relative_to("/"), staging / KEYRING.name)
        (staging / KEYRING.name).replace(keyring)
        shutil.rmtree(staging)
        shutil.rmtree(tools / "apt" / "own")
    return keyring


def _need_programs() -> None:
    missing = [program for program in ("apt-get", "apt-config", "dpkg", "dpkg-deb") if shutil.which(program) is None]
    if missing:
        raise ProvisionError(
            f"This system has no {' and no '.join(missing)}: use a Debian or Ubuntu machine, "
            "or install the program itself so that it is found on PATH."
        )


def _network_options() -> str:
    """The machine's proxies, certificates and address family, as lines for an apt configuration file."""
    lines = _output("apt-config", "dump").splitlines()
    return "".join(f"{line}\n" for line in lines if re.match(r"Acquire::(https?|Force\w+|Check-Date)\b", line))


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise ProvisionError(
            f"`{' '.join(command)}` fails ({done.stderr.strip()}): mend this machine's apt and run again."
        )
    return done.stdout
