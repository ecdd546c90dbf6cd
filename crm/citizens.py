"""Citizens and how to reach them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Phone:
    """``wrong``: somebody else answered there. ``do_not_call``: asked not to be called there."""

    e164: str
    wrong: bool
    do_not_call: bool


@dataclass(frozen=True, slots=True)
class Citizen:
    """``call_from``, ``call_to``: minutes after midnight in Kyiv, None for the centre's own window."""

    id: int
    name: str
    building_id: int | None
    flat: str
    language: str
    auto_confirm: bool
    do_not_call: bool
    call_from: int | None
    call_to: int | None
    phones: tuple[Phone, ...]  # last used first


def get(conn: Connection, citizen_id: int) -> Citizen:
    """NotFound if there is none."""
    raise NotImplementedError


def by_phone(conn: Connection, e164: str) -> list[Citizen]:
    """Everybody known at this number (a family may share one), last used first; one query."""
    raise NotImplementedError


def language_of(conn: Connection, e164: str) -> str:
    """The language of whoever used this number last; "" for a stranger."""
    raise NotImplementedError


def add(conn: Connection, *, now: dt.datetime, name: str, phones: Sequence[str] = (), building_id: int | None = None,
        flat: str = "", language: str = "uk", auto_confirm: bool = False) -> int:
    """The new citizen's id. ``phones``: E.164, as parse_phone gives them."""
    raise NotImplementedError


def update(conn: Connection, citizen_id: int, *, name: str | None = None, building_id: int | None = None,
           flat: str | None = None, language: str | None = None) -> None:
    """Changes what is not None."""
    raise NotImplementedError


def add_phone(conn: Connection, citizen_id: int, e164: str, now: dt.datetime) -> None:
    """Adds the number, or says that it was used just now and is right after all."""
    raise NotImplementedError


def set_consent(conn: Connection, citizen_id: int, auto_confirm: bool) -> None:
    """Whether a machine may ask this citizen."""
    raise NotImplementedError


def set_call_window(conn: Connection, citizen_id: int, call_from: int | None, call_to: int | None) -> None:
    """When he may be called, minutes after midnight in Kyiv; None, None for the centre's own window."""
    raise NotImplementedError


def do_not_call(conn: Connection, citizen_id: int, e164: str = "") -> None:
    """Never to be called again: at this number, or (with none) at all."""
    raise NotImplementedError


def mark_wrong_number(conn: Connection, citizen_id: int, e164: str) -> None:
    """Somebody else answers at this number."""
    raise NotImplementedError
