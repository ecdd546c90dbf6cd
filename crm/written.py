"""The resident's word in writing: which of his appeals he is asked about at an address or a number of his."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, union

from crm.life import State
from crm.schema import appeal, citizen_phone, notice, subject
from crm.store import Statement
from crm.telling import ASKS

MOST = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """An appeal that awaits its applicant's word, or was left unconfirmed."""

    number: int
    citizen_id: int
    subject_uk: str
    subject_en: str


# By the partial index of addresses: neither database uses it unless it is said that there is one. Whoever was told at a
# number that is his besides (his letter did not reach him, say) is found by the number, and by what was sent to him.
_told_there = (
    select(appeal.c.id).join(notice, notice.c.appeal_id == appeal.c.id)
    .join(citizen_phone, citizen_phone.c.citizen_id == notice.c.citizen_id)
    .where(citizen_phone.c.e164 == bindparam("address"), citizen_phone.c.wrong.is_(False),
           notice.c.citizen_id.is_not(None), notice.c.citizen_id == appeal.c.citizen_id,
           notice.c.address == bindparam("address"), notice.c.state.in_(["sending", "sent"]),
           notice.c.kind.in_([kind.value for kind in ASKS]))
)  # fmt: skip
_chosen = select(appeal.c.id).where(appeal.c.tell_to == bindparam("address"), appeal.c.tell_to != "")
_ASKED = Statement(
    select(appeal.c.number, appeal.c.citizen_id, subject.c.name_uk, subject.c.name_en).join(subject)
    .where(appeal.c.id.in_(union(_chosen, _told_there)), appeal.c.citizen_id.is_not(None),
           appeal.c.state.in_([State.AWAITING.value, State.UNCONFIRMED.value]))
    .order_by(appeal.c.executed_at.desc(), appeal.c.id.desc()).limit(MOST)
)  # fmt: skip


def awaiting(conn: Connection, address: str) -> list[Asked]:
    """Of those who are told at this address or number, the last executed first."""
    return [Asked(*row) for row in _ASKED(conn, {"address": address})] if address else []
