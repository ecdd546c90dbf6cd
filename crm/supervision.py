"""What a supervisor does with other people's seats, on record: who, when, with whose seat, and why. Who sits there is
told of it; so is he, unless the centre has decided otherwise, that he is heard.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, select

from crm import edits, people, texts
from crm.edits import log_edit
from crm.errors import BadInput
from crm.schema import seat_event, staff

LONGEST_WHY = 200
SEAT = "seat"  # in the log of edits
DAY = dt.timedelta(days=1)
NEWS = dt.timedelta(minutes=15)  # that he was moved, or put out, is no news any more


class Deed(StrEnum):
    MOVED = "moved"  # to other lines or skills
    PAUSED = "paused"
    UNPAUSED = "unpaused"
    PUT_OUT = "put_out"


class Ear(StrEnum):
    """How a supervisor takes part in a conversation of a seat's."""

    LISTEN = "listen"  # hears both, is heard by nobody
    WHISPER = "whisper"  # is heard by the seat alone
    BARGE = "barge"  # is heard by both


@dataclass(frozen=True, slots=True)
class Act:
    """``by``: the supervisor's name, "" when his account is gone; ``whose``: the staff_id of who sat there. ``to``: of
    a move, the ``lines`` and ``skills``; of a pause, its ``reason``."""

    at: dt.datetime
    seat: str
    deed: Deed
    by: str
    whose: int | None
    why: str
    to: Mapping[str, Any]


def why_given(text: str) -> str:
    """The reason, cleaned. BadInput "supervision.no_why", "text.too_long"."""
    if not (why := texts.line(text, LONGEST_WHY)):
        raise BadInput("supervision.no_why")
    return why


def did(conn: Connection, deed: Deed, seat: str, *, whose: int | None, why: str, now: dt.datetime, staff_id: int,
        before: Mapping[str, Any] | None = None, to: Mapping[str, Any] | None = None) -> None:  # fmt: skip
    """Puts it on record; ``why`` as ``why_given``."""
    log_edit(conn, now=now, staff_id=staff_id, what=SEAT, key=seat, before=before,
             after={"did": deed.value, "whose": whose, "why": why, **(to or {})})  # fmt: skip


def hears(conn: Connection, linkedid: str, ear: Ear, *, why: str, now: dt.datetime, staff_id: int) -> None:
    """That he is about to hear this call is in the log of looks at personal data."""
    people.log_access(conn, staff_id=staff_id, what=f"call_{ear}", subject_key=linkedid, now=now, why=why)


def of_seat(conn: Connection, seat: str, limit: int = 20) -> list[Act]:
    """The latest first."""
    found = edits.recent(conn, (SEAT,), limit, key=seat)
    by = conn.execute(select(staff.c.id, staff.c.name).where(staff.c.id.in_({edit.staff_id for edit in found})))
    names = {row.id: row.name for row in by}
    return [_act(edit, names) for edit in found]


def _act(edit: edits.Edit, names: Mapping[int, str]) -> Act:
    after = dict(edit.after or {})
    deed, whose, why = Deed(after.pop("did")), after.pop("whose"), after.pop("why")
    return Act(edit.at, edit.key, deed, names.get(edit.staff_id or 0, ""), whose, why, after)


def done_to(conn: Connection, staff_id: int, seats: Collection[str], now: dt.datetime) -> Act | None:
    """The last that was done with the seat of this person since he sat down there; None when there is nothing he is to
    be told: nothing was done, or it is no news, or has been undone, by a supervisor or by himself."""
    e = seat_event.c
    sat = conn.execute(select(e.seat, e.at).where(e.seat.in_(seats), e.at >= now - DAY, e.kind == "login",
                                                  e.staff_id == staff_id)
                       .order_by(e.at.desc(), e.id.desc()).limit(1)).one_or_none()  # fmt: skip
    if sat is None:
        return None
    act = next(iter(of_seat(conn, sat.seat, 1)), None)
    if act is None or act.whose != staff_id or act.at < sat.at or act.deed is Deed.UNPAUSED:
        return None
    if act.deed is Deed.PAUSED:
        on = select(e.id).where(e.seat == sat.seat, e.at > act.at, e.kind.in_(("unpause", "logout")))
        return None if conn.execute(on.limit(1)).first() else act
    return act if now < act.at + NEWS else None
