"""Who changed which rule, text or account of the centre, and from what to what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, insert, select, text, update

from crm.errors import NotFound, Stale
from crm.schema import edit_log
from crm.store import insert_row


def log_edit(conn: Connection, *, now: dt.datetime, staff_id: int | None, what: str, key: object,
             before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
    """Says that something was changed, in the transaction that changes it. Edits take turns: of two at once, the one
    that is committed last has the higher number, so that no reader of the last number misses one."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("LOCK TABLE edit_log IN SHARE ROW EXCLUSIVE MODE"))
    conn.execute(insert(edit_log), {"at": now, "staff_id": staff_id, "what": what, "record_key": str(key),
                                    "before": dict(before) if before else None,
                                    "after": dict(after) if after else None})  # fmt: skip


def save(conn: Connection, table: Table, record_id: int | None, version: int | None, values: Mapping[str, Any], *,
         now: dt.datetime, staff_id: int | None) -> int:
    """Adds a record (``record_id`` None), or changes it as it was seen at ``version``, and says so in the log: its id.

    For a table with ``id`` and ``version``. NotFound, and Stale if somebody saved it after it was read.
    """
    if record_id is None:
        record_id = insert_row(conn, table, values)
        log_edit(conn, now=now, staff_id=staff_id, what=table.name, key=record_id, before=None, after=_plain(values))
        return record_id
    its = table.c.id == record_id
    before = conn.execute(select(table).where(its).with_for_update()).mappings().one_or_none()
    if before is None:
        raise NotFound("edit.unknown")
    if before["version"] != version:
        raise Stale("edit.stale")
    changed = {name: value for name, value in values.items() if before[name] != value}
    if changed:
        conn.execute(update(table).where(its).values(**changed, version=table.c.version + 1))
        log_edit(conn, now=now, staff_id=staff_id, what=table.name, key=record_id,
                 before=_plain({name: before[name] for name in changed}), after=_plain(changed))  # fmt: skip
    return record_id


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON takes it."""
    return {name: value.isoformat() if isinstance(value, dt.date) else value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Edit:
    """One change. ``before`` is None for what was added, ``after`` for what was taken away."""

    at: dt.datetime
    staff_id: int | None
    what: str
    key: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def recent(conn: Connection, what: Collection[str], limit: int, *, key: object = None) -> list[Edit]:
    """The latest changes of these, newest first; of one record with ``key``."""
    e = edit_log.c
    found = select(e.at, e.staff_id, e.what, e.record_key, e.before, e.after).where(e.what.in_(what))
    if key is not None:
        found = found.where(e.record_key == str(key))
    return [Edit(*row) for row in conn.execute(found.order_by(e.id.desc()).limit(limit))]
