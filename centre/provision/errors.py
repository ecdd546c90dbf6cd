"""The one error of this package, and the progress lines."""

from __future__ import annotations

import sys


class ProvisionError(Exception):
    """Something the project needs could not be had. The text is one sentence with the remedy, meant to be shown."""


def say(line: str) -> None:
    """One progress line on stderr, so that stdout stays for results."""
    print(line, file=sys.stderr, flush=True)
