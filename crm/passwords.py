"""Passwords: which are taken, and how they are kept. Length is asked for, no kinds of characters: only what everybody
tries first is refused."""

from __future__ import annotations

import functools
import itertools
import re
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from crm.errors import BadInput

SHORTEST = 10
LONGEST = 200  # hashing more costs time that a stranger could make us spend
FEW = 3  # different characters, or fewer, are no password

# The letters of those tried first, whatever digits and signs are among them.
_COMMON = frozenset({
    "password", "passwort", "passwrd", "psswrd", "admin", "administrator", "root", "login", "welcome", "letmein",
    "change", "changeme", "default", "secret", "master", "guest", "test", "qwerty", "qwertyuiop", "qazwsx", "qazwsxedc",
    "asdfgh", "asdfghjkl", "zxcvbn", "zxcvbnm", "iloveyou", "sunshine", "princess", "football", "dragon", "monkey",
    "kyiv", "kiev", "kyivcity", "ukraine", "ukraina", "slavaukraini", "contactcenter", "contactcentre", "callcenter",
    "callcentre", "operator", "supervisor", "пароль", "парольпароль", "адмін", "адміністратор", "йцукен", "йцукенгшщз",
    "йцукенгшщзх", "йцукенгшщзхї", "фівапролдж", "фівапролджє", "ячсмить", "ячсмитьбю", "київ", "україна",
    "славаукраїні", "героямслава", "оператор", "операторка", "контактцентр", "змінипароль", "секрет", "привіт",
    "кохання", "сонечко", "динамо", "динамокиїв", "коханий", "наталія", "оксана", "олександр",
})  # fmt: skip
_hasher = PasswordHasher()


def one_time() -> str:
    """A new one, to be told once and changed at the first sign-in. 96 random bits: nobody guesses it."""
    return secrets.token_urlsafe(12)


def chosen(password: str, *, login: str, name: str) -> str:
    """The hash of a password that a person has chosen, as ``hashed``.

    BadInput ``password.length``; ``password.own`` for one that is his login or name with digits and signs,
    ``password.common`` for one of those that everybody tries first.
    """
    _must_fit(password)
    folded = password.casefold()
    letters = rest = re.sub(r"[\W\d_]+", "", folded)
    for word in sorted(re.split(r"[\W\d_]+", f"{login} {name}".casefold()), key=len, reverse=True):
        rest = rest.replace(word, "")
    if letters and not rest:
        raise BadInput("password.own")
    if letters in _COMMON or len(set(folded)) <= FEW or _is_row(folded):
        raise BadInput("password.common")
    return hashed(password)


def hashed(password: str) -> str:
    """Argon2id. Slow on purpose: not on an event loop, not in a transaction.

    BadInput ``password.length`` for one that is shorter than SHORTEST or longer than LONGEST.
    """
    _must_fit(password)
    return _hasher.hash(_bytes(password))


def matches(kept: str, password: str) -> bool:
    """Whether ``kept`` is this password's hash; "" is nobody's, and takes as long to find out."""
    try:
        return _hasher.verify(kept or _nobodys(), _bytes(password[:LONGEST]))
    except (VerificationError, InvalidHashError):
        return False


def _must_fit(password: str) -> None:
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadInput("password.length", shortest=SHORTEST, longest=LONGEST)


def _is_row(text: str) -> bool:
    """Characters one after another: 1234567890, abcdefghij, 9876543210."""
    steps = {ord(b) - ord(a) for a, b in itertools.pairwise(text)}
    return steps <= {1, -9} or steps <= {-1, 9}


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


@functools.cache
def _nobodys() -> str:
    return _hasher.hash(secrets.token_bytes(16))
