"""Who a call may be from, and on what ground that is thought: a number is no name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, bindparam, select

from crm import citizens
from crm.citizens import Citizen
from crm.schema import call
from crm.store import Statement

MOST = 4  # more people of one number are nobody's guess


class Ground(StrEnum):
    """Why this person, the surest first."""

    SAID = "said"  # in this call
    NUMBER = "number"  # nobody else is known at this number
    SHARED = "shared"  # he is one of several who are
    CALLED = "called"  # he called from it before, and gave another number to be reached at

    @property
    def certain(self) -> bool:
        return self in (Ground.SAID, Ground.NUMBER)


@dataclass(frozen=True, slots=True)
class Caller:
    """One whom the call may be from."""

    citizen: Citizen
    ground: Ground


_CALLED = Statement(select(call.c.citizen_id).where(call.c.caller == bindparam("e164"), call.c.citizen_id.is_not(None))
                    .order_by(call.c.arrived_at.desc()).limit(20))  # fmt: skip


def of(conn: Connection, e164: str, said: int | None = None) -> list[Caller]:
    """Whom a call from this number ("" if it is hidden) may be from, the likeliest first, each once. ``said``: who it
    is said to be from."""
    found = [] if said is None else [Caller(citizens.get(conn, said), Ground.SAID)]
    known = citizens.by_phone(conn, e164) if e164 else []
    found += [Caller(one, Ground.SHARED if len(known) > 1 else Ground.NUMBER) for one in known if one.id != said]
    if e164:
        ids = {one.citizen.id for one in found}
        before = dict.fromkeys(row.citizen_id for row in _CALLED(conn, {"e164": e164}))
        found += [Caller(citizens.get(conn, id), Ground.CALLED) for id in before if id not in ids]
    return found[:MOST]
