"""Keys of other programs: who may file appeals by Open311 and by the API, how many an hour, and under which channel.

A key is shown once, when it is made; the table has its SHA-256 and its first letters. One that is built into an app for
telephones is nobody's secret: it bounds what comes from there and can be switched off.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select

from crm import edits, rates, texts
from crm.errors import BadInput, NotFound
from crm.rates import HOUR
from crm.schema import api_key
from crm.store import Statement, insert_row

CHANNELS = ("open311", "mobile")
NAME_MOST = 120
MOST_HOURLY = 100_000
SHOWN = 8  # of its letters, to tell it by


@dataclass(frozen=True, slots=True)
class Key:
    """``begins``: its first letters. ``channel``: of what it files. ``hourly_cap``: appeals an hour."""

    id: int
    name: str
    begins: str
    channel: str
    hourly_cap: int
    active: bool
    created_at: dt.datetime
    version: int


_KEY = select(*(api_key.c[name] for name in Key.__dataclass_fields__))
_BY_DIGEST = Statement(_KEY.where(api_key.c.sha256 == bindparam("sha256"), api_key.c.active))


def make(conn: Connection, *, name: str, channel: str, hourly_cap: int, now: dt.datetime,
         staff_id: int | None) -> tuple[int, str]:  # fmt: skip
    """A new key's id, and the key itself, which nobody can read again. BadInput ``api_key.no_name``,
    ``api_key.taken`` (another has this name), ``api_key.no_channel``, ``api_key.no_cap``."""
    key = secrets.token_urlsafe(32)
    values = {**_checked(conn, None, name, channel, hourly_cap), "begins": key[:SHOWN], "active": True}
    made = insert_row(conn, api_key, {**values, "sha256": _digest(key), "created_at": now})
    edits.log_edit(conn, now=now, staff_id=staff_id, what="api_key", key=made, before=None, after=values)
    return made, key


def change(conn: Connection, key_id: int, version: int, *, name: str, channel: str, hourly_cap: int, active: bool,
           now: dt.datetime, staff_id: int | None) -> None:  # fmt: skip
    """As it was seen at ``version``. NotFound, Stale, and BadInput as ``make``."""
    values = {**_checked(conn, key_id, name, channel, hourly_cap), "active": active}
    edits.save(conn, api_key, key_id, version, values, now=now, staff_id=staff_id)


def keys(conn: Connection) -> list[Key]:
    """All, by name."""
    return [Key(*row) for row in conn.execute(_KEY.order_by(api_key.c.name))]


def get(conn: Connection, key_id: int) -> Key:
    """NotFound ``api_key.unknown``."""
    row = conn.execute(_KEY.where(api_key.c.id == key_id)).one_or_none()
    if row is None:
        raise NotFound("api_key.unknown")
    return Key(*row)


def of(conn: Connection, key: str) -> Key | None:
    """Whose it is, if it is on; None for anything else."""
    rows = _BY_DIGEST(conn, {"sha256": _digest(key)}) if key else ()
    return Key(*rows[0]) if rows else None


def spend(conn: Connection, key: Key, secret: str, now: dt.datetime) -> None:
    """Counts one appeal more. BadInput ``api_key.spent`` beyond the key's own number an hour (of the clock's)."""
    if rates.count(conn, rates.key(secret, "key", str(key.id)), now, HOUR) > key.hourly_cap:
        raise BadInput("api_key.spent", seconds=rates.again_in_s(now, HOUR))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _checked(conn: Connection, key_id: int | None, name: str, channel: str, hourly_cap: int) -> dict[str, Any]:
    name = texts.line(name, NAME_MOST)
    if not name:
        raise BadInput("api_key.no_name")
    taken = conn.execute(select(api_key.c.id).where(api_key.c.name == name)).scalar()
    if taken not in (None, key_id):
        raise BadInput("api_key.taken")
    if channel not in CHANNELS:
        raise BadInput("api_key.no_channel")
    if not 1 <= hourly_cap <= MOST_HOURLY:
        raise BadInput("api_key.no_cap", most=MOST_HOURLY)
    return {"name": name, "channel": channel, "hourly_cap": hourly_cap}
