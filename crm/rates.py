"""How often somebody did something lately: counted by a digest that names nobody, in spans that begin on the hour or
the day, and forgotten after it."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, update
from sqlalchemy.dialects import postgresql, sqlite

from crm.schema import rate_count

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
KEPT = 2 * DAY


@dataclass(frozen=True, slots=True)
class Limits:
    """How many a person may file: from one address an hour, from one telephone or e-mail address a day. ``sms_daily``:
    how many of all together may have us send SMS to a number that nobody has shown to be his."""

    hourly: int
    daily: int
    sms_daily: int


def key(secret: str, what: str, whose: str) -> str:
    """By what it is counted: "file" and an address, say. Nobody can tell the address from it without the secret."""
    return hmac.new(secret.encode(), f"rate\0{what}\0{whose}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def count(conn: Connection, key: str, now: dt.datetime, span: dt.timedelta) -> int:
    """Counts once more; how many it is in this span."""
    since = _began(now, span)
    dialect: Any = sqlite if conn.dialect.name == "sqlite" else postgresql
    counted = dialect.insert(rate_count).values(key=key, since=since, count=1).on_conflict_do_update(
        index_elements=["key", "since"], set_={"count": rate_count.c.count + 1}).returning(rate_count.c.count)
    return int(conn.execute(counted).scalar_one())


def take_back(conn: Connection, key: str, now: dt.datetime, span: dt.timedelta) -> None:
    """What was counted last is none of them."""
    its = (rate_count.c.key == key, rate_count.c.since == _began(now, span))
    conn.execute(update(rate_count).where(*its).values(count=rate_count.c.count - 1))


def again_in_s(now: dt.datetime, span: dt.timedelta) -> int:
    """Seconds until it is counted anew."""
    seconds = int(span.total_seconds())
    return seconds - int(now.timestamp()) % seconds


def _began(now: dt.datetime, span: dt.timedelta) -> dt.datetime:
    seconds = int(span.total_seconds())
    return dt.datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, dt.UTC)


def forget(conn: Connection, now: dt.datetime) -> int:
    """Drops what is over; how many rows."""
    return conn.execute(delete(rate_count).where(rate_count.c.since < now - KEPT)).rowcount
