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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import ProvisionError, say
from .files import locked, write_whole
from .sources import choose_mirror

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
    and finished downloads of a killed run are used again.

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
    with locked(tools / "debian.lock"):
        if (tree / MANIFEST).exists() and not renew:
            return tree
        _need_programs()
        log = tools / "log" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        staging = tools / "staging" / tree.name
        archive = Archive(choose_mirror(), suite, KEYRING)
        apt = PrivateApt(tools / "apt", staging, archive, log)
        say(f"{name}: reading the package lists of Debian {suite}…")
        apt.update()
        debs = apt.download(name, packages)
        say(f"{name}: unpacking {len(debs)} packages…")
        fresh = staging / "tree"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for deb in debs:
            _logged(["dpkg-deb", "-x", str(deb), str(fresh)], log, dict(os.environ), f"unpack {deb.name}")
        versions = dict(sorted(deb.name.replace("%3a", ":").split("_")[:2] for deb in debs))
        write_whole(fresh / MANIFEST, json.dumps({"suite": suite, "packages": versions}, indent=1))
        if tree.exists():
            tree.rename(staging / "old")
        fresh.rename(tree)
        shutil.rmtree(staging, ignore_errors=True)
    return tree


class PrivateApt:
    """One archive seen through an apt that shares nothing with the machine's but the way to the network."""

    def __init__(self, state: Path, staging: Path, archive: Archive, log: Path) -> None:
        """`state` keeps the package lists between uses; `staging` takes the downloads."""
        self._log = log
        self._archives = staging / "archives"
        lists = state / f"lists-{archive.suite}"
        for folder in (lists / "partial", self._archives / "partial", state / "log"):
            folder.mkdir(parents=True, exist_ok=True)
        sources = staging / "sources.list"
        sources.write_text(archive.source())
        status = staging / "status"
        status.write_text("")
        # Read before anything else: it keeps the machine's own hooks and options out, all but its way to the network.
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
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::Etc::trusted": archive.keyring,
            "Dir::Etc::trustedparts": "/dev/null",
            "Dir::Log": state / "log",
            # As root, apt would download as the user _apt, who may not enter our folders.
            "APT::Sandbox::User": "root",
            "APT::Architectures": _architecture(),
            "APT::Install-Recommends": "false",
            "APT::Get::Assume-Yes": "true",
            "Acquire::Check-Valid-Until": "false",  # mirrors lag
            "Acquire::Retries": "5",
            "Acquire::Languages": "none",
            "Acquire::GzipIndexes": "true",
            "Acquire::PDiffs": "false",
        }
        self._command = ["apt-get", "-q"]
        for key, value in options.items():
            self._command += ["-o", f"{key}={value}"]
        self._environment = os.environ | {"APT_CONFIG": str(config), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}

    def update(self) -> None:
        """Fetch the package lists; those that have not changed are not fetched again."""
        self._run(["-o", "APT::Update::Error-Mode=any", "update"], "read the package lists")

    def download(self, name: str, packages: Sequence[str]) -> list[Path]:
        """Fetch `packages` with all they depend on; the .deb files.

        Files of an earlier try that no longer belong are removed, so what is returned is one consistent set.
        """
        plan = self._run(["--print-uris", "install", *packages], "work out the packages")
        wanted = dict(re.findall(r"^'\S+' (\S+\.deb) (\d+) ", plan, re.M))
        if not wanted:
            raise ProvisionError(f"apt found nothing to fetch for {name}: read {self._log}.")
        for stale in self._archives.glob("*.deb"):
            if stale.name not in wanted:
                stale.unlink()
        size = sum(map(int, wanted.values())) / 1e6
        say(f"{name}: fetching {len(wanted)} packages, {size:.0f} MB…")
        self._run(["--download-only", "install", *packages], "fetch the packages")
        return [self._archives / deb for deb in wanted]

    def _run(self, arguments: list[str], doing: str) -> str:
        return _logged([*self._command, *arguments], self._log, self._environment, doing)


def _need_programs() -> None:
    missing = [program for program in ("apt-get", "apt-config", "dpkg", "dpkg-deb") if shutil.which(program) is None]
    if missing:
        raise ProvisionError(
            f"This system has no {' and no '.join(missing)}: use a Debian or Ubuntu machine, "
            "or install the program itself so that it is found on PATH."
        )


def _architecture() -> str:
    return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()


def _network_options() -> str:
    """The machine's proxies, certificates and address family, as lines for an apt configuration file."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    return "".join(
        f"{line}\n" for line in dump.splitlines() if re.match(r"Acquire::(https?|Force\w+|Check-Date)\b", line)
    )


def _logged(command: Sequence[str], log: Path, environment: dict[str, str], doing: str) -> str:
    """Run one step, all it prints going to `log`; what it printed on stdout.

    Raises:
        ProvisionError: it failed.
    """
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    with log.open("a") as output:
        output.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith(("E:", "dpkg-deb: error"))]
        reason = said[0] if said else f"{command[0]} ended with {done.returncode}"
        raise ProvisionError(f"Could not {doing} ({reason}): check the network and {log}, then run again.")
    return done.stdout
