"""Nobody is lost with a page: who speaks with a seat whose telephone has gone is brought back to the same seat.

His channel is taken out of the dead leg (context ``seat-lost``): he hears a word, the seat rings, and if nobody comes
he stands in the queue by his turn. The recording is his channel's and goes on; so does the record.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection
from concurrent.futures import Future

from call_queue.ami import Ami, Refused
from call_queue.seats import reached
from call_queue.tracker import Answered, Change, Ended, Entered, Tracker
from crm import calls
from crm.store import Writer

CONTEXT = "seat-lost"

_log = logging.getLogger(__name__)


class Returning:
    """Fed with the tracker's changes."""

    def __init__(self, ami: Ami, tracker: Tracker, writer: Writer, clock: Callable[[], dt.datetime]) -> None:
        self._ami, self._tracker, self._writer, self._now = ami, tracker, writer, clock
        self._coming: dict[str, str] = {}  # seat → the linkedid that is being brought back to it
        self._dead: set[str] = set()  # legs that were hung up here; their end may not have been heard yet

    def take(self, change: Change) -> None:
        """A seat has him, or the queue, or he has gone."""
        if isinstance(change, Answered | Entered | Ended):
            self._coming = {seat: linkedid for seat, linkedid in self._coming.items() if linkedid != change.linkedid}

    async def bring_back(self, number: str, legs: Collection[str]) -> bool:
        """Whether a call is being brought back to the seat. ``legs``: the seat's channels that are dead, by uniqueid;
        they are hung up. Asked again, it does again what is still to be done. CentreError as ``reached``."""
        dying = [leg for leg in legs if leg not in self._dead]
        seat = self._tracker.seats[number]
        call = self._tracker.calls.get(seat.talking or self._coming.get(number, ""))
        self._dead &= set(seat.calls)
        if call and any(seat.calls.get(leg) == call.linkedid for leg in dying):
            citizen = self._tracker.citizen_of(call)
            if citizen and await self._done("Redirect", Channel=citizen, Context=CONTEXT, Exten=number, Priority="1"):
                self._coming[number] = call.linkedid
                self._tell(call.linkedid, number)
        for leg in dying:
            await self._done("Hangup", Channel=leg, Cause="16")
            self._dead.add(leg)
        return number in self._coming

    async def _done(self, action: str, **headers: str) -> bool:
        """False when that channel has just ended."""
        try:
            await reached(self._ami.ask(action, headers))
        except Refused:
            return False
        return True

    def _tell(self, linkedid: str, number: str) -> None:
        now = self._now()
        self._writer.submit(lambda conn: calls.add_event(conn, linkedid, now, calls.RETURNING, number)
                            ).add_done_callback(_say_if_lost)  # fmt: skip


def _say_if_lost(kept: Future[None]) -> None:
    if error := kept.exception():
        _log.error("not kept, that a call was brought back to its seat: %s", error)
