"""The centre as it is at this moment, as the web is told it. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from call_queue.tracker import Tracker, trunk_name


def snapshot(tracker: Tracker, staff: Mapping[str, int | None], *, at: dt.datetime, ami: bool, due: int,
             calling: int) -> dict[str, Any]:  # fmt: skip
    """Who waits, every seat and who sits there (``staff``: seat → staff_id), the trunks, the callbacks.

    ``ami``: whether Asterisk is heard and what is told can be believed.
    """
    return {
        "event": "snapshot",
        "at": at.isoformat(),
        "waiting": [{"linkedid": call.linkedid, "caller": call.caller, "origin": call.origin, "queue": call.line,
                     "position": place, "since": (call.queued_at or call.began_at).isoformat()}
                    for call, place in tracker.waiting()],
        "seats": [{"seat": seat.number, "staff_id": staff.get(seat.number), "state": seat.told[0].value,
                   "linkedid": seat.told[1], "reason": seat.told[2],
                   "since": seat.since.isoformat() if seat.since else None} for seat in tracker.seats.values()],
        "trunks": [{"name": trunk_name(trunk.endpoint), "state": trunk.state.value,
                    "calls": tracker.calls_on(trunk.endpoint)} for trunk in tracker.trunks.values()],
        "line": {"ami": ami},
        "callbacks": {"due": due, "calling": calling},
    }  # fmt: skip
