"""`./1551 calls|appeals|seats --json`: what is on record, for scripts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table, select

from centre.settings import Settings, load_secrets
from crm import schema
from crm.store import Database


def calls(settings: Settings, limit: int) -> list[dict[str, Any]]:
    """Calls, newest first; times in UTC, waits and talks in seconds."""
    return _rows(settings, schema.call, limit)


def appeals(settings: Settings, limit: int) -> list[dict[str, Any]]:
    """Appeals, newest first, without their codes: those are the residents'."""
    return _rows(settings, schema.appeal, limit, hidden=("code", "code_failures"))


def seats(settings: Settings, limit: int) -> list[dict[str, Any]]:
    """Each seat's SIP name and the latest thing that happened to it; the password is in var/secrets.json."""
    secrets = load_secrets(settings)
    event = schema.seat_event
    db = Database(settings.database_url)
    try:
        with db.read() as conn:
            latest = {row.seat: row for row in conn.execute(select(event).order_by(event.c.id))}
    finally:
        db.close()
    return [{"seat": number, "sip_user": secrets.seats[number].sip_user,
             "last": latest[number].kind if number in latest else None,
             "at": latest[number].at.isoformat() if number in latest else None,
             "reason": latest[number].reason if number in latest else ""}
            for number in settings.seats[:limit]]  # fmt: skip


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as columns of text."""
    if not rows:
        return "(nothing)"
    names = list(rows[0])
    cells = [names, *([str(row[name] if row[name] is not None else "")[:40] for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                     for line in cells)  # fmt: skip


def _rows(settings: Settings, table: Table, limit: int, hidden: Sequence[str] = ()) -> list[dict[str, Any]]:
    columns = [column for column in table.c if column.name not in hidden]
    db = Database(settings.database_url)
    try:
        with db.read() as conn:
            rows = conn.execute(select(*columns).order_by(table.c.id.desc()).limit(limit)).mappings().all()
    finally:
        db.close()
    return [{name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in row.items()}
            for row in rows]  # fmt: skip
