"""What changed, kept and told: each ``Change`` becomes records in ``crm`` and an event on the line's socket.

Two tables: ``stored`` (what is written, in order, by the one batching writer) and ``told`` (what the
web hears at once, before it is on the disk).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from sqlalchemy import Connection, bindparam, select

from call_queue import tracker as t
from crm import calls
from crm.errors import CentreError
from crm.schema import call_event, seat_event
from crm.store import Writer

Store = Callable[[Connection], object]
_SAME = select(call_event.c.id).where(*(call_event.c[name] == bindparam(name)
                                        for name in ("linkedid", "at", "kind", "seat")))  # fmt: skip

SOON_S = 0.25  # for what no page waits for: written together with what comes next

_log = logging.getLogger(__name__)


class Recorder:
    """``publish``: the bus. ``staff``: who sits where, seat → staff_id; looked at when a change comes."""

    def __init__(self, writer: Writer, publish: Callable[[Mapping[str, Any]], None],
                 staff: Mapping[str, int | None]) -> None:  # fmt: skip
        self._writer = writer
        self._publish = publish
        self._staff = staff
        self.failed = 0  # changes that could not be kept

    def take(self, change: t.Change) -> Future[object] | None:
        """Tells and keeps it; the future, if there is anything to keep, is done when it is durable."""
        event = told(change)
        if event is not None:
            self._publish(event)
        store = stored(change, self._staff.get(getattr(change, "seat", "")))
        if store is None:
            return None
        try:
            kept = self._writer.submit(store, SOON_S if _unhurried(change) else 0.0)
        except CentreError as error:
            self._not_kept(change, error)
            return None
        kept.add_done_callback(lambda done: self._not_kept(change, done.exception()))
        return kept

    def _not_kept(self, change: t.Change, error: BaseException | None) -> None:
        if error is not None:
            self.failed += 1
            _log.error("not kept: %s of %s: %s", type(change).__name__, getattr(change, "linkedid", ""), error)


def _unhurried(change: t.Change) -> bool:
    """Whether the pages, told of it, read nothing of it from the records at once."""
    return isinstance(change, (t.Arrived, t.Entered)) or (isinstance(change, t.Ended) and change.talk_s is None)


def told(change: t.Change) -> dict[str, Any] | None:
    """The event that the web hears of it; None for what the next snapshot (``live.py``) says soon enough."""
    match change:
        case t.Rang():
            return {"event": "ringing", "seat": change.seat, "linkedid": change.linkedid, "caller": change.caller,
                    "at": change.at.isoformat()}  # fmt: skip
        case t.Answered():
            return {"event": "answered", "seat": change.seat, "linkedid": change.linkedid, "at": change.at.isoformat()}
        case t.Ended():
            return {"event": "ended", "linkedid": change.linkedid, "cause": change.cause.value,
                    "at": change.at.isoformat()}  # fmt: skip
    return None


def stored(change: t.Change, staff_id: int | None) -> Store | None:
    """What writes it. Each may be told twice (Asterisk repeats itself, and we ask again after a loss)."""
    match change:
        case t.Arrived(at, linkedid, caller, origin, direction):
            return lambda conn: calls.arrived(conn, linkedid, at=at, origin=origin, caller=caller, direction=direction)
        case t.Entered(at, linkedid, queue, position):
            return lambda conn: calls.queued(conn, linkedid, at, queue, position)
        case t.Rang(at, linkedid, seat):
            return _once(change, "rang", seat, lambda conn: calls.rang(conn, linkedid, seat, at))
        case t.Silent(at, linkedid, seat):
            return _once(change, "silent", seat, lambda conn: calls.add_event(conn, linkedid, at, "silent", seat))
        case t.Answered():
            return lambda conn: _answered(conn, change, staff_id)
        case t.Held(at, linkedid, seat, seconds):
            return _once(change, "held", seat, lambda conn: calls.held(conn, linkedid, at, seat, seconds))
        case t.Transferred(at, linkedid, seat, to):
            return _once(change, "transferred", seat, lambda conn: calls.transferred(conn, linkedid, at, seat, to))
        case t.Ended():
            return lambda conn: _ended(conn, change)
        case t.SeatChanged(kind=kind) if kind:
            return lambda conn: _seat(conn, change, staff_id)
    return None


def _once(change: t.CallChange, kind: str, seat: str, store: Store) -> Store:
    """``store``, unless that line is in the call's history already."""
    line = {"linkedid": change.linkedid, "at": change.at, "kind": kind, "seat": seat}
    return lambda conn: store(conn) if conn.execute(_SAME, line).first() is None else None


def _answered(conn: Connection, change: t.Answered, staff_id: int | None) -> None:
    known = calls.get(conn, change.linkedid)
    if known is None or known.answered_at is None or known.seat != change.seat:
        calls.answered(conn, change.linkedid, change.seat, change.at, staff_id)


def _ended(conn: Connection, change: t.Ended) -> None:
    known, cause = calls.get(conn, change.linkedid), change.cause
    if known is not None and known.choice == "closed" and cause is calls.EndCause.IVR:
        cause = calls.EndCause.CLOSED
    calls.ended(conn, change.linkedid, change.at, cause, change.wait_s, change.talk_s, change.hold_s)


# What begins and undoes what, in a seat's history: it is worth a line after one of these only.
_AFTER = {"login": ("", "logout"), "logout": ("login",),
          "pause": ("", "unpause", "logout"), "unpause": ("pause",)}  # fmt: skip
_KINDS = {"login": ("login", "logout"), "logout": ("login", "logout"),
          "pause": ("pause", "unpause", "logout"), "unpause": ("pause", "unpause", "logout")}  # fmt: skip


def _seat(conn: Connection, change: t.SeatChanged, staff_id: int | None) -> None:
    """A line of the seat's history, unless it only says again what the last one said."""
    last = conn.execute(
        select(seat_event.c.kind).where(seat_event.c.seat == change.seat, seat_event.c.kind.in_(_KINDS[change.kind]))
        .order_by(seat_event.c.at.desc(), seat_event.c.id.desc()).limit(1)
    ).scalar()  # fmt: skip
    if (last or "") in _AFTER[change.kind]:
        calls.seat_event(conn, change.seat, change.at, change.kind, staff_id, change.reason)


def sitting(conn: Connection) -> dict[str, int | None]:
    """Who sits where by the history: seat → staff_id, of the seats that are logged in."""
    rows = conn.execute(select(seat_event.c.seat, seat_event.c.kind, seat_event.c.staff_id)
                        .where(seat_event.c.kind.in_(("login", "logout"))).order_by(seat_event.c.at, seat_event.c.id))
    last = {row.seat: row for row in rows}
    return {seat: row.staff_id for seat, row in last.items() if row.kind == "login"}
