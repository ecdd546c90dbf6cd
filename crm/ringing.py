"""One telephone is rung by one of us at a time: by whom, the first to ask decides."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, select

from crm.schema import attempt, call
from crm.store import Statement

# An attempt whose call is over may still wait for what a person writes down: it rings nobody any more.
_RINGING = Statement(
    select(attempt.c.id).join(call, call.c.linkedid == attempt.c.id, isouter=True)
    .where(attempt.c.e164 == bindparam("e164"), attempt.c.ended_at.is_(None), call.c.ended_at.is_(None)).limit(1)
)  # fmt: skip
_TURN = select(func.pg_advisory_xact_lock(func.hashtext(bindparam("e164"))))


def is_rung(conn: Connection, e164: str) -> bool:
    """Whether an open attempt has this number on the line. Until this transaction ends nobody else is told, so that
    of two who ask at the same moment the second one sees what the first one has done."""
    if conn.dialect.name == "postgresql":  # SQLite has one writer
        conn.execute(_TURN, {"e164": e164})
    return bool(_RINGING(conn, {"e164": e164}))
