"""What people at the pages do with a seat, done to Asterisk's queues; what came of it is heard as events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence

from call_queue import order
from call_queue.ami import Ami, Headers, NotSent, Refused, Unanswered
from call_queue.browsers import Browsers
from call_queue.tracker import Change, Seat, SeatChanged, Tracker
from crm.calls import Queue, Skill
from crm.errors import BadInput, CentreError

_log = logging.getLogger(__name__)


class Seats:
    """``interfaces``: seat → "PJSIP/…". ``staff``: who sits where, seat → staff_id; kept here and read by others.
    ``in_step``: whether the tracker can be believed. Fed with the tracker's changes."""

    def __init__(self, ami: Ami, tracker: Tracker, interfaces: Mapping[str, str],
                 staff: MutableMapping[str, int | None], in_step: Callable[[], bool],
                 browsers: Browsers) -> None:  # fmt: skip
        self._ami, self._tracker, self._interfaces, self._staff = ami, tracker, interfaces, staff
        self._in_step, self._browsers = in_step, browsers
        self._turn = {number: asyncio.Lock() for number in interfaces}  # two who take one seat do so one by one
        self._left = {number: asyncio.Event() for number in interfaces}  # set when the seat leaves its last queue

    def take(self, change: Change) -> None:
        """Who has logged out, by whatever way, sits there no more."""
        match change:
            case SeatChanged(kind="logout", seat=number):
                self._staff.pop(number, None)
                if number in self._left:
                    self._left[number].set()

    async def phone(self, number: str, staff_id: int) -> tuple[str, str]:
        """(user, password) of the seat's browser, for this person's page and no other. BadInput "seat.unknown",
        "seat.on_call" (somebody else's, and he is speaking); CentreError as ``reached``."""
        seat = self._seat(number)
        async with self._turn[number]:
            if (seat.talking or seat.calls) and self._staff.get(number, staff_id) != staff_id:
                raise BadInput("seat.on_call")
            return await self._browsers.let_in(number)

    async def log_in(self, number: str, staff_id: int, lines: Sequence[str], skills: Sequence[str] = ()) -> None:
        """To serve these lines (crm.calls.Queue), and no others, with these skills. BadInput "seat.unknown",
        "seat.offline" (its telephone is not registered), "seat.on_call" (somebody else's, and he is speaking); AMI's
        own errors as ``reached``."""
        self._seat(number)
        async with self._turn[number]:
            await self._log_in(number, staff_id, order.queues_of(number, lines, skills))

    async def _log_in(self, number: str, staff_id: int, wanted: Sequence[str]) -> None:
        seat = self._seat(number)
        if not self._in_step():
            raise CentreError("line.asterisk_away")
        if seat.offline:
            raise BadInput("seat.offline")
        if seat.queues and self._staff.get(number) != staff_id:
            if seat.talking or seat.calls:
                raise BadInput("seat.on_call")
            await self._put_out(number)
        self._staff[number] = staff_id
        for queue in wanted:
            await self._ask_idly("QueueAdd", {"Queue": queue, "Interface": self._interfaces[number], "Penalty": 0,
                                              "Paused": "false", "MemberName": number,
                                              "StateInterface": self._interfaces[number]})  # fmt: skip
        for queue in sorted(seat.queues - set(wanted)):  # last: in no queue for a moment, he would be logged out
            await self._remove(number, queue)

    async def _put_out(self, number: str) -> None:
        """Returns when it has been heard that nobody sits there: what is heard later would put out the next one."""
        self._left[number].clear()
        for queue in order.queues_of(number, tuple(Queue), tuple(Skill)):
            await self._remove(number, queue)
        if not self._tracker.seats[number].queues:  # it was in none, or that has been heard already
            self._staff.pop(number, None)
            return
        try:
            async with asyncio.timeout(self._ami.patience_s):
                await self._left[number].wait()
        except TimeoutError:
            raise CentreError("line.unanswered") from None

    async def log_out(self, number: str) -> None:
        """Out of every queue. A call that is on goes on."""
        self._seat(number)
        async with self._turn[number]:
            await self._put_out(number)
            try:
                await self._browsers.let_in(number)  # nobody, for nobody is told the new password
            except CentreError as error:
                _log.warning("seat %s has logged out, and its browser may register still: %s", number, error)

    async def pause(self, number: str, reason: str) -> None:
        """In every queue. BadInput "seat.not_in" for a seat that is in none."""
        await self._set_pause(number, "true", reason)

    async def unpause(self, number: str) -> None:
        await self._set_pause(number, "false", "")

    async def _set_pause(self, number: str, paused: str, reason: str) -> None:
        if not self._seat(number).queues:
            raise BadInput("seat.not_in")
        headers = {"Interface": self._interfaces[number], "Paused": paused, **({"Reason": reason} if reason else {})}
        try:
            await reached(self._ami.ask("QueuePause", headers))
        except Refused:  # he has been taken out meanwhile
            raise BadInput("seat.not_in") from None

    async def _remove(self, number: str, queue: str) -> None:
        await self._ask_idly("QueueRemove", {"Queue": queue, "Interface": self._interfaces[number]})

    async def _ask_idly(self, action: str, headers: Mapping[str, object]) -> None:
        """Refused means here that it is so already: he is in the queue, or out of it."""
        try:
            await reached(self._ami.ask(action, headers))
        except Refused:
            return

    def _seat(self, number: str) -> Seat:
        if number not in self._interfaces:
            raise BadInput("seat.unknown")
        return self._tracker.seats[number]


async def reached(asking: Awaitable[Headers]) -> Headers:
    """An AMI action in the words that people are told: CentreError "line.asterisk_away" when nothing was
    done, "line.unanswered" when nobody knows. Refused is passed on."""
    try:
        return await asking
    except NotSent:
        raise CentreError("line.asterisk_away") from None
    except Unanswered:
        raise CentreError("line.unanswered") from None
