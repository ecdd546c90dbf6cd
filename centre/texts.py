"""What the command line says about the machine and about backups, from ``locale/<language>.toml``.

A key is the path to its sentence (``doctor.disk.low.text``); ``error.<id>`` answers a ``CentreError``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from crm.errors import CentreError
from crm.telling import Say

LANGUAGES = ("uk", "en")


def terminal_language(environment: Mapping[str, str] = os.environ) -> str:
    """``uk`` where the terminal's locale says so, else ``en``: a terminal of no locale may lack the letters."""
    said = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return "uk" if said.startswith("uk") else "en"


def sentence(key: str, language: str, /, **values: object) -> str:
    """The sentence with its places filled. KeyError for a key that the catalogue lacks."""
    found: Any = _catalogue(language)
    for name in key.split("."):
        found = found[name]
    return str(found).format(**values)


def section(name: str) -> Say:
    """The sentences of one part of the catalogue, for whoever knows no other."""

    def say(key: str, language: str, /, **values: object) -> str:
        return sentence(f"{name}.{key}", language, **values)

    return say


def of_error(error: CentreError, language: str) -> str:
    """What went wrong and what to do about it; the id itself where no sentence is known."""
    try:
        return sentence(f"error.{error.id}", language, **error.details)
    except (KeyError, TypeError):
        return str(error)


@cache
def _catalogue(language: str) -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "locale" / f"{language}.toml").read_text("utf-8"))
