"""Text from outside, made fit to be kept: the one place where it is cleaned.

Control characters (NUL is refused by PostgreSQL), halves of surrogate pairs and direction overrides
go, letters are brought to NFC, length is bounded. Escaping for HTML, SQL or Asterisk is not done
here: that belongs to where the text is used.
"""

from __future__ import annotations

import re
import unicodedata

from crm.errors import BadInput

# Invisible characters that turn the direction of what follows: a name could disguise another.
_OVERRIDES = dict.fromkeys(map(ord, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"))
_LINKEDID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


def line(value: str, longest: int) -> str:
    """One line, its spaces single. BadInput "text.too_long" beyond ``longest`` characters."""
    return _bounded(" ".join(_clean(value).split()), longest)


def text(value: str, longest: int) -> str:
    """Several lines; line ends become "\\n". BadInput "text.too_long" beyond ``longest`` characters."""
    return _bounded("\n".join(part.rstrip() for part in _clean(value).splitlines()).strip(), longest)


def remark(value: str) -> str:
    """What somebody, or something, says of a failure, as it is kept beside it: a line of 200 characters at most."""
    return line(value[:1000], 1000)[:200]


def linkedid(value: str) -> str:
    """A call's id as Asterisk makes them. BadInput "linkedid.malformed" for anything else."""
    if not _LINKEDID.fullmatch(value):
        raise BadInput("linkedid.malformed")
    return value


def _clean(value: str) -> str:
    kept = (c for c in value.translate(_OVERRIDES) if c in "\n\r\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    return unicodedata.normalize("NFC", "".join(kept))


def _bounded(value: str, longest: int) -> str:
    if len(value) > longest:
        raise BadInput("text.too_long", longest=longest)
    return value
