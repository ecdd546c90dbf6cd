"""An official takes calls himself: while his seat is free, the next of those who wait is asked whether he wants to
speak with him, one caller at a time and nobody twice.

His seat is in its own queue alone. Who says yes is brought there; who does not, or keeps silent, goes on where he
stood, and so does he whom the official does not answer after all.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import floor

from sqlalchemy import Connection

from call_queue import order
from call_queue import tracker as t
from call_queue.ami import Ami
from call_queue.calling_out import call_out
from call_queue.rounds import Rounds
from crm import calls
from crm.calls import Direction, Priority, Queue
from crm.errors import CentreError
from crm.store import Database, Writer

ASKED_S = 15  # out of his queue, to hear the question and think
OVER_S = 60.0  # then he is with the official, or back in the line, or gone
USUAL_S = 180.0  # a call, while nobody knows

_log = logging.getLogger(__name__)


def to_ask(line: Sequence[order.Waiting], done: Collection[str], *, free: int, serving: int,
           handled_s: float) -> str | None:  # fmt: skip
    """Whom to ask now, of those who wait (``line``, in order); None: nobody. ``done``: who is not to be asked.

    ``free`` of the ``serving`` seats are idle, and a call takes ``handled_s`` on average: as many as these take while
    somebody is being asked are about to be served, and are left alone.
    """
    about_to_be = floor(free + serving * ASKED_S / max(handled_s, 1.0))
    return next((one.key for one in line[about_to_be:] if one.live and one.key not in done), None)


@dataclass(frozen=True, slots=True)
class Question:
    """``staff_id``: the official, at ``seat``. ``agreed``: he has said yes."""

    linkedid: str
    seat: str
    staff_id: int
    over_at: dt.datetime
    agreed: bool = False


class Officials(Rounds):
    """``staff``: who sits where, seat → staff_id. ``line``: everybody who waits, in order. ``handled_s``: how long a
    call takes now. ``can_be_named``: whether callers can hear who it is."""

    def __init__(self, db: Database, writer: Writer, ami: Ami, tracker: t.Tracker, *,
                 staff: Mapping[str, int | None], line: Callable[[], Sequence[order.Waiting]],
                 handled_s: Callable[[], float | None], can_be_named: Callable[[int], Awaitable[bool]],
                 in_step: Callable[[], bool], clock: Callable[[], dt.datetime]) -> None:  # fmt: skip
        super().__init__(db, writer)
        self._ami, self._tracker, self._staff, self._in_step = ami, tracker, staff, in_step
        self._line, self._handled_s, self._can_be_named, self._now = line, handled_s, can_be_named, clock
        self._question: Question | None = None
        self._done: set[str] = set()  # calls that are not to be asked

    # ── one round ──
    async def _pass(self) -> None:
        now = self._now()
        if self._question and (self._question.over_at <= now or self._question.linkedid not in self._tracker.calls):
            self._question = None
        if self._question is not None or not self._in_step():
            return
        for seat in self._free():
            staff_id = self._staff.get(seat.number)
            if staff_id is None or not await self._can_be_named(staff_id):
                continue
            linkedid = await self._next()
            call = self._tracker.calls.get(linkedid or "")
            if call is None or not call.queue or call.ringing:
                return
            over_at = now + dt.timedelta(seconds=OVER_S)
            self._question = Question(call.linkedid, seat.number, staff_id, over_at)
            self._done.add(call.linkedid)
            try:
                await call_out(self._ami, [call], "official")
            except CentreError as error:
                _log.warning("nobody could be asked whether he wants to speak with an official: %s", error)
            return

    def _free(self) -> list[t.Seat]:
        return [seat for seat in self._tracker.seats.values() if seat.told[0] is t.SeatState.FREE and _is_own(seat)]

    async def _next(self) -> str | None:
        self._done.intersection_update(self._tracker.calls)
        while True:
            serving, free = self._tracker.serving(Queue.CITY), self._tracker.free(Queue.CITY)
            linkedid = to_ask(self._line(), self._done, free=free, serving=serving,
                              handled_s=self._handled_s() or USUAL_S)  # fmt: skip
            if linkedid is None or await self._read(partial(_may_be_asked, linkedid=linkedid)):
                return linkedid
            self._done.add(linkedid)

    # ── what the dialplan asks ──
    def question(self, linkedid: str) -> Question | None:
        """What this caller, who has been called out, is to be asked."""
        asked = self._question
        return asked if asked and asked.linkedid == linkedid and not asked.agreed else None

    def answered(self, linkedid: str, yes: bool) -> str | None:
        """The official's queue, if he said yes; "" if the official is not free any more; None if he said no."""
        asked = self.question(linkedid)
        if not yes or asked is None or asked.seat not in {seat.number for seat in self._free()}:
            self._over(linkedid)
            return "" if yes else None
        self._question = replace(asked, agreed=True)
        return order.seat_queue(asked.seat)

    def take(self, change: t.Change) -> None:
        match change:
            case t.Answered(linkedid=linkedid) | t.Ended(linkedid=linkedid):
                self._over(linkedid)
            case t.Entered() | t.SeatChanged():
                self.poke()

    def _over(self, linkedid: str) -> None:
        if self._question and self._question.linkedid == linkedid:
            self._question = None
        self.poke()


def _is_own(seat: t.Seat) -> bool:
    """Whether it is an official's: in its own queue alone."""
    return order.lines_of(seat.number, seat.queues) == [Queue.OFFICIAL]


def _may_be_asked(conn: Connection, linkedid: str) -> bool:
    """Not in an emergency, nor whom we have called, nor twice."""
    call = calls.get(conn, linkedid)
    return (call is not None and call.direction == Direction.IN and call.priority != Priority.EMERGENCY
            and not calls.has_event(conn, linkedid, calls.ASKED))  # fmt: skip
