"""The centre as it is at this moment, as the web is told it. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from call_queue import order
from call_queue.listening import Hearing
from call_queue.tracker import Tracker, trunk_name
from crm.calls import Queue


def snapshot(tracker: Tracker, staff: Mapping[str, int | None], *, at: dt.datetime, ami: bool, due: int,
             calling: int, line: Sequence[order.Waiting] = (), surge: Mapping[str, Any] | None = None,
             today: Mapping[str, Any] | None = None, ahead: Sequence[Mapping[str, Any]] = (),
             heard: Callable[[str], Hearing | None] = lambda seat: None) -> dict[str, Any]:  # fmt: skip
    """Who waits, every seat and who sits there (``staff``: seat → staff_id), the trunks, the callbacks; how many of the
    ``line`` (everybody who waits, in order) are owed a call, and in which place the first is who is not being called;
    what is switched on and proposed (``call_queue.surging``), the day's figures (``crm.today``) and the
    next half-hours' needs (``ahead``: ``crm.staffing.Ahead``); who hears a seat (``heard``).

    ``ami``: whether Asterisk is heard and what is told can be believed.
    """
    promised = [(place, one) for place, one in enumerate(line, 1) if not one.live]
    return {
        "event": "snapshot",
        "at": at.isoformat(),
        "waiting": [{"linkedid": call.linkedid, "caller": call.caller, "origin": call.origin, "queue": call.line,
                     "position": place, "since": (call.queued_at or call.began_at).isoformat()}
                    for call, place in tracker.waiting()],
        "seats": [{"seat": seat.number, "staff_id": staff.get(seat.number), "state": seat.told[0].value,
                   "linkedid": seat.told[1], "reason": seat.told[2],
                   "since": seat.since.isoformat() if seat.since else None,
                   "lines": order.lines_of(seat.number, seat.queues), "skills": order.skills_of(seat.queues),
                   "heard": _heard(heard(seat.number))} for seat in tracker.seats.values()],
        "trunks": [{"name": trunk_name(trunk.endpoint), "state": trunk.state.value,
                    "calls": tracker.calls_on(trunk.endpoint)} for trunk in tracker.trunks.values()],
        "line": {"ami": ami},
        "callbacks": {"due": due, "calling": calling},
        "promised": {"waiting": len(promised), "calling": sum(one.calling for _, one in promised),
                     "next": next((place for place, one in promised if not one.calling), None)},
        "surge": surge or {"on": {}, "proposal": None},
        "today": today,
        "ahead": list(ahead),
        "serving": tracker.serving(Queue.CITY),
    }  # fmt: skip


def _heard(hearing: Hearing | None) -> dict[str, Any] | None:
    """By whom (staff_id), and how he began to."""
    return {"by": hearing.by, "ear": hearing.ear.value} if hearing else None
