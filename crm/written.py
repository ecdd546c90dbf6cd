"""The resident's word in writing: which of his appeals he is asked about at an address or a number of his."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from crm.life import State
from crm.schema import appeal, subject
from crm.store import Statement

MOST = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """An appeal that awaits its applicant's word, or was left unconfirmed."""

    number: int
    citizen_id: int
    subject_uk: str
    subject_en: str


_ASKED = Statement(
    select(appeal.c.number, appeal.c.citizen_id, subject.c.name_uk, subject.c.name_en).join(subject)
    .where(appeal.c.tell_to == bindparam("address"), appeal.c.citizen_id.is_not(None),
           appeal.c.state.in_([State.AWAITING.value, State.UNCONFIRMED.value]))
    .order_by(appeal.c.executed_at.desc(), appeal.c.id.desc()).limit(MOST)
)  # fmt: skip


def awaiting(conn: Connection, address: str) -> list[Asked]:
    """Of those who are told at this address or number, the last executed first."""
    return [Asked(*row) for row in _ASKED(conn, {"address": address})] if address else []
