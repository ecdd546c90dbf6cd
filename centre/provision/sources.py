"""Which Debian mirror to use: whatever this machine's own apt already uses."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from .work import ProvisionError

MIRROR_SETTING = "CENTRE_DEBIAN_MIRROR"

# Where a system that is not Debian keeps its knowledge of Debian's mirrors (python-apt, debootstrap).
KNOWLEDGE = (
    "usr/share/python-apt/templates/Debian.info",
    "usr/share/debootstrap/scripts/sid",
)


def choose_mirror(root: Path = Path("/")) -> str:
    """The URI of a Debian archive, without a trailing slash.

    In this order: the setting ``CENTRE_DEBIAN_MIRROR``, this machine's apt sources, what it ships about Debian.

    Raises:
        ProvisionError: none of them names one.
    """
    setting = os.environ.get(MIRROR_SETTING, "").strip()
    if setting:
        if urlsplit(setting).scheme not in ("http", "https") or re.search(r"\s|[\[\]\"]", setting):
            raise ProvisionError(f"{MIRROR_SETTING} is not an http or https address: {setting!r}.")
        return setting.rstrip("/")
    for uri in archive_uris(root):
        if is_debian_archive(uri):
            return uri.rstrip("/")
    for name in KNOWLEDGE:
        for uri in re.findall(r"https?://[\w.:-]+/debian(?=/?(?:[\s\"']|$))", _read(root / name)):
            return str(uri)
    raise ProvisionError(
        f"This machine's apt sources name no Debian archive: set {MIRROR_SETTING} to the address of a Debian mirror."
    )


def is_debian_archive(uri: str) -> bool:
    """Whether this is the main archive, not security, not another distribution's."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path.rstrip("/").endswith("/debian")


def archive_uris(root: Path = Path("/")) -> Iterator[str]:
    """Every archive URI in this machine's apt sources, both formats, in apt's order; what cannot be read is skipped."""
    folder = root / "etc/apt/sources.list.d"
    yield from _resolved(one_line_uris(_read(root / "etc/apt/sources.list")), root)
    for path in sorted(folder.glob("*")):
        if path.suffix == ".list":
            yield from _resolved(one_line_uris(_read(path)), root)
        elif path.suffix == ".sources":
            yield from _resolved(deb822_uris(_read(path)), root)


def one_line_uris(text: str) -> Iterator[str]:
    """URIs of the ``deb [option=value …] URI suite component…`` lines of `text`."""
    for line in text.splitlines():
        line = line.split("#", 1)[0]
        if match := re.match(r"\s*deb\s+(?:\[[^\]]*\]\s*)?([^\s\[\]]+)\s+\S", line):
            yield match[1]


def deb822_uris(text: str) -> Iterator[str]:
    """URIs of the enabled stanzas of `text` with binary packages (``Types: deb``)."""
    for stanza in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t"):
                if name:
                    fields[name] += " " + line.strip()
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "without", "off", "disable", "0"):
            continue
        if "deb" in fields.get("types", "").split():
            yield from fields.get("uris", "").split()


def _resolved(uris: Iterable[str], root: Path) -> Iterator[str]:
    """Replace ``mirror+file:`` (how cloud images name a list of mirrors) by the addresses in that file."""
    for uri in uris:
        if uri.startswith("mirror+file:"):
            name = "/" + uri.removeprefix("mirror+file:").lstrip("/")
            for line in _read(root / name.lstrip("/")).splitlines():
                words = line.split("#", 1)[0].split()
                if words:
                    yield words[0]
        else:
            yield uri


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
