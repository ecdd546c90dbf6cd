"""What people at the pages do with a seat, done to Asterisk's queues; what came of it is heard as events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence

from call_queue import order
from call_queue.ami import Ami, Headers, NotSent, Refused, Unanswered
from call_queue.browsers import Browsers
from call_queue.tracker import Change, Seat, SeatChanged, Tracker
from crm.calls import Queue, Skill
from crm.errors import BadInput, CentreError
from crm.sign_in import Phone

_log = logging.getLogger(__name__)


class Seats:
    """``phones``: seat → each of its telephones as "PJSIP/…". ``staff``: who sits where, seat → staff_id; kept here and
    read by others. ``in_step``: whether the tracker can be believed.
    ``bring_back``: ``Returning.bring_back``. Fed with the tracker's changes."""

    def __init__(self, ami: Ami, tracker: Tracker, phones: Mapping[str, Mapping[Phone, str]],
                 staff: MutableMapping[str, int | None], in_step: Callable[[], bool], browsers: Browsers,
                 bring_back: Callable[[str, Collection[str]], Awaitable[bool]]) -> None:  # fmt: skip
        self._ami, self._tracker, self._phones, self._staff = ami, tracker, phones, staff
        self._in_step, self._browsers, self._bring_back = in_step, browsers, bring_back
        self._turn = {number: asyncio.Lock() for number in phones}  # two who take one seat do so one by one
        self._left = {number: asyncio.Event() for number in phones}  # set when the seat leaves its last queue

    def take(self, change: Change) -> None:
        """Who has logged out, by whatever way, sits there no more."""
        match change:
            case SeatChanged(kind="logout", seat=number):
                self._staff.pop(number, None)
                if number in self._left:
                    self._left[number].set()

    async def phone(self, number: str, staff_id: int) -> tuple[str, str, bool]:
        """(user, password) of the seat's browser, for this person's new page and no other, and whether a call that he
        had is being brought back to it (``call_queue.returning``). BadInput "seat.unknown", "seat.on_call" (somebody
        else's, and he is speaking); CentreError as ``reached``."""
        seat = self._seat(number)
        async with self._turn[number]:
            if not self._in_step():
                raise CentreError("line.asterisk_away")
            if (seat.talking or seat.calls) and self._staff.get(number, staff_id) != staff_id:
                raise BadInput("seat.on_call")
            user, password = await self._browsers.let_in(number)
            return user, password, await self._bring_back(number, list(seat.calls))

    async def phone_lost(self, number: str) -> None:
        """The seat's page has gone, and has not come back. Errors as ``phone``."""
        self._seat(number)
        async with self._turn[number]:
            if not self._in_step():
                raise CentreError("line.asterisk_away")
            await self._bring_back(number, self._tracker.legs(number, self._phones[number][Phone.BROWSER]))

    async def log_in(self, number: str, staff_id: int, lines: Sequence[str], skills: Sequence[str] = (),
                     phone: Phone = Phone.DESK) -> None:  # fmt: skip
        """To serve these lines (crm.calls.Queue), and no others, with these skills, by this telephone and not by the
        other. BadInput "seat.unknown", "seat.offline" (the telephone is not registered), "seat.on_call" (somebody
        else's, and he is speaking); AMI's own errors as ``reached``."""
        self._seat(number)
        async with self._turn[number]:
            await self._log_in(number, staff_id, order.queues_of(number, lines, skills), phone)

    async def move(self, number: str, lines: Sequence[str], skills: Sequence[str] = ()) -> None:
        """Whoever sits there serves these lines from now on, with these skills: what he speaks he goes on with, and a
        pause lasts. BadInput "seat.unknown", "seat.not_in"; else as ``log_in``."""
        seat = self._seat(number)
        async with self._turn[number]:
            if not seat.queues:
                raise BadInput("seat.not_in")
            phone = next(phone for phone, interface in self._phones[number].items() if interface == seat.phone)
            await self._log_in(number, self._staff.get(number), order.queues_of(number, lines, skills), phone)

    async def _log_in(self, number: str, staff_id: int | None, wanted: Sequence[str], phone: Phone) -> None:
        seat, interface = self._seat(number), self._phones[number][phone]
        if not self._in_step():
            raise CentreError("line.asterisk_away")
        if seat.absent(interface):
            raise BadInput("seat.offline")
        if seat.queues and self._staff.get(number) != staff_id:
            if seat.talking or seat.calls:
                raise BadInput("seat.on_call")
            await self._put_out(number)
        self._staff[number] = staff_id
        before, paused = sorted(seat.members), next(iter(seat.paused.values()), None)
        for queue in wanted:
            await self._ask_idly("QueueAdd", {"Queue": queue, "Interface": interface, "Penalty": 0,
                                              "Paused": "false" if paused is None else "true", "MemberName": number,
                                              "StateInterface": interface})  # fmt: skip
        if paused is not None:  # a queue that he has just come into does not know why
            await self._ask_idly("QueuePause", {"Interface": interface, "Paused": "true", "Reason": paused})
        for queue, member in before:  # last: in no queue for a moment, he would be logged out
            if queue not in wanted or member != interface:
                await self._remove(queue, member)
        if phone is Phone.DESK:
            await self._shut_out(number)

    async def _put_out(self, number: str) -> None:
        """Returns when it has been heard that nobody sits there: what is heard later would put out the next one."""
        self._left[number].clear()
        for queue in order.queues_of(number, tuple(Queue), tuple(Skill)):
            for interface in self._phones[number].values():
                await self._remove(queue, interface)
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
            await self._shut_out(number)

    async def _shut_out(self, number: str) -> None:
        """Lets nobody register by the browser: nobody is told its new password."""
        try:
            await self._browsers.let_in(number)
        except CentreError as error:
            _log.warning("nobody speaks by seat %s's browser any more, and it may register still: %s", number, error)

    async def pause(self, number: str, reason: str) -> None:
        """In every queue. BadInput "seat.not_in" for a seat that is in none."""
        await self._set_pause(number, "true", reason)

    async def unpause(self, number: str) -> None:
        await self._set_pause(number, "false", "")

    async def _set_pause(self, number: str, paused: str, reason: str) -> None:
        seat = self._seat(number)
        if not seat.queues:
            raise BadInput("seat.not_in")
        headers = {"Interface": seat.phone, "Paused": paused, **({"Reason": reason} if reason else {})}
        try:
            await reached(self._ami.ask("QueuePause", headers))
        except Refused:  # he has been taken out meanwhile
            raise BadInput("seat.not_in") from None

    async def _remove(self, queue: str, interface: str) -> None:
        await self._ask_idly("QueueRemove", {"Queue": queue, "Interface": interface})

    async def _ask_idly(self, action: str, headers: Mapping[str, object]) -> None:
        """Refused means here that it is so already: he is in the queue, or out of it."""
        try:
            await reached(self._ami.ask(action, headers))
        except Refused:
            return

    def _seat(self, number: str) -> Seat:
        if number not in self._phones:
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
