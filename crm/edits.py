"""Who changed which rule, text or account of the centre, and from what to what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, text

from crm.schema import edit_log


def log_edit(conn: Connection, *, now: dt.datetime, staff_id: int | None, what: str, key: object,
             before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
    """Says that something was changed, in the transaction that changes it. Edits take turns: of two at once, the one
    that is committed last has the higher number, so that no reader of the last number misses one."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("LOCK TABLE edit_log IN SHARE ROW EXCLUSIVE MODE"))
    conn.execute(insert(edit_log), {"at": now, "staff_id": staff_id, "what": what, "record_key": str(key),
                                    "before": dict(before) if before else None,
                                    "after": dict(after) if after else None})  # fmt: skip
