"""The browsers in which people have signed in before: a cookie that says so under our seal, and nothing is kept here.

It opens nothing. Whose browser it is does not wait because strangers guess at his account (``crm.guessing``).
"""

from __future__ import annotations

import secrets

from starlette.requests import Request

from crm.guessing import Place
from web import security

MOST = 20  # people of one browser, the latest: a seat's machine has many


def place(secret: str, request: Request, cookie: str, login: str) -> Place:
    """Where this login is being signed in."""
    mark, people = _read(cookie)
    known = any(security.same(_sealed(secret, mark, login), one) for one in people)
    return Place(request.client.host if request.client else "", mark if mark and known else "")


def remembering(secret: str, cookie: str, login: str) -> str:
    """The cookie with this person in it, the latest first."""
    mark, people = _read(cookie)
    mark = mark or secrets.token_hex(16)
    own = _sealed(secret, mark, login)
    return ".".join((mark, own, *[one for one in people if one != own][:MOST - 1]))


def _read(cookie: str) -> tuple[str, list[str]]:
    """(its mark, the seals of its people); what is not ours has no seal that holds."""
    mark, *people = cookie[:2000].split(".")
    return mark[:32], people[:MOST]


def _sealed(secret: str, mark: str, login: str) -> str:
    return security.seal(secret, "known", mark, login.strip().lower())[:32]
