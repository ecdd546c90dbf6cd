"""Confirmation callbacks on the line: which may be placed now, placed once each, and what became of them.

The rules are ``crm.confirmation_rules`` and ``crm.campaign_rules``; this is their hand on AMI (``outbound``).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sqlalchemy import Connection

from call_queue import events as ev
from call_queue import order
from call_queue import tracker as t
from call_queue.outbound import CAUSES, CallOut, Outbound, unanswered
from call_queue.rounds import Rounds
from crm import campaign_rules, campaigns, confirmations
from crm.calls import Queue
from crm.confirmation_rules import Mode, Next, Reached, Rules, forbidden
from crm.confirmations import Attempt
from crm.errors import BadInput, CentreError, NotFound
from crm.store import Database, Writer

LISTED = 100

_log = logging.getLogger(__name__)


class Dialler(Rounds):
    """Places what is due, for ever (``run``), and what a person asks for (``call``).

    ``staff``: who sits where, seat → staff_id. ``line``: everybody who waits for a seat of the city's. ``counted`` is
    told how many callbacks are due and how many on the line.
    """

    def __init__(self, db: Database, writer: Writer, outbound: Outbound, tracker: t.Tracker, rules: Rules, *,
                 own_number: str, seat_ring_s: int, staff: Mapping[str, int | None],
                 line: Callable[[], Sequence[order.Waiting]], counted: Callable[[int, int], None],
                 clock: Callable[[], dt.datetime]) -> None:  # fmt: skip
        super().__init__(db, writer)
        self._outbound, self._tracker, self._rules = outbound, tracker, rules
        self._own_number, self._seat_ring_s = own_number, seat_ring_s
        self._staff, self._line, self._counted, self._now = staff, line, counted, clock
        self._rung: dict[str, str] = {}  # attempt → the seat that was chosen for it, until it has picked up or not
        self._silent: dict[str, dt.datetime] = {}  # seats that did not pick up, until when they are left in peace

    # ── what is due ──
    async def _pass(self) -> None:
        """Ends what is over, places what may be placed, counts what there is."""
        now = self._now()
        if self._outbound.in_step:
            await self._end_the_left(now)
            await self._take_for_campaigns(now)
            await self._place_due(now)
            await self._ring_free_seats(now)
        due, calling = await self._read(lambda conn: confirmations.counts(conn, now))
        self._counted(due, calling)

    async def _end_the_left(self, now: dt.datetime) -> None:
        over = [one.id for one in await self._read(confirmations.open_attempts) if one.id not in self._tracker.calls]
        ending = (self._write(partial(_left, attempt_id, now, self._rules)) for attempt_id in over)
        for attempt_id, error in zip(over, await asyncio.gather(*ending, return_exceptions=True), strict=True):
            if isinstance(error, Exception):  # the others, and what is due, shall not wait for it
                _log.error("callback attempt %s was not ended: %s", attempt_id, error)

    async def _place_due(self, now: dt.datetime) -> None:
        automatic, live = await self._read(lambda conn: [
            confirmations.due(conn, now, mode, LISTED, self._rules) for mode in (Mode.AUTO, Mode.LIVE)])  # fmt: skip
        unreachable = [one for one in live if not one.e164]  # nobody need press a button to learn that
        for one in (*unreachable, *automatic):
            if one.e164 and await self._why_not(Mode.AUTO):
                return
            try:
                await self._to_the_end(self._place(one.callback_id))
            except (BadInput, NotFound) as error:  # somebody was quicker
                _log.info("callback %s was not placed: %s", one.callback_id, error)
            except CentreError:  # Asterisk does not take it, and that has been told: no other now
                return

    # ── campaigns ──
    async def _take_for_campaigns(self, now: dt.datetime) -> None:
        running = await self._read(campaigns.open_campaigns)
        if any(one.state is campaign_rules.State.RUNNING for one in running):
            await self._write(partial(campaigns.take, now=now))

    async def _ring_free_seats(self, now: dt.datetime) -> None:
        """The next call of the progressive campaigns for each free seat: its telephone rings first, with the appeal on
        its screen, and the citizen's once it has picked up. Each seat is reserved for exactly one."""
        seats = await self._free_seats(now)
        if not seats:
            return
        due = await self._read(partial(confirmations.due, now=now, mode=None, limit=LISTED, rules=self._rules,
                                       within=campaign_rules.Mode.PROGRESSIVE))  # fmt: skip
        for one in due:
            if not seats or await self._why_not(Mode.LIVE):
                return
            seat = seats.pop(0)
            try:
                await self._to_the_end(self._place(one.callback_id, seat, self._staff.get(seat), reserve=True))
            except (BadInput, NotFound) as error:  # somebody was quicker, with him or with the seat
                _log.info("callback %s was not placed at seat %s: %s", one.callback_id, seat, error)
                if error.id != "seat.on_call":
                    seats.insert(0, seat)
            except CentreError:  # Asterisk does not take it, and that has been told: no other now
                return

    async def _free_seats(self, now: dt.datetime) -> list[str]:
        """Seats that may be given a call now, who has waited for one longest first."""
        self._silent = {seat: until for seat, until in self._silent.items() if until > now}
        open_ones = {one.id: one.seat for one in await self._read(confirmations.open_attempts)}
        self._rung = {attempt_id: seat for attempt_id, seat in self._rung.items() if attempt_id in open_ones}
        at_work = set(open_ones.values())
        free = [seat for seat in self._tracker.seats.values()
                if self._is_free(seat) and seat.number not in at_work and seat.number not in self._silent]  # fmt: skip
        return [seat.number for seat in sorted(free, key=lambda seat: (seat.since or now, seat.number))]

    def _is_free(self, seat: t.Seat) -> bool:
        """Nobody is at it, nobody who waits is about to be given to it, and it takes such calls."""
        wanted = {call.line for call, _ in self._tracker.waiting()} | ({Queue.CITY.value} if self._line() else set())
        return (seat.told[0] is t.SeatState.FREE and not seat.calls and seat.takes(Queue.FEEDBACK)
                and not any(seat.takes(line) for line in wanted))  # fmt: skip

    async def _why_not(self, mode: Mode) -> str | None:
        now = self._now()
        waiting = [call.queued_at for call, _ in self._tracker.waiting(Queue.CITY) if call.queued_at]
        longest = (now - min(waiting)).total_seconds() if waiting else None
        placed, busy = await self._read(lambda conn: (
            confirmations.placed_last_hour(conn, now),
            sum(one.mode is Mode.AUTO for one in confirmations.open_attempts(conn))))  # fmt: skip
        if not self._outbound.ready:
            return "line.asterisk_away"
        return forbidden(mode=mode, inbound_longest_wait_s=longest, placed_last_hour=placed, lines_busy=busy,
                         trunk_ok=bool(self._outbound.trunk), rules=self._rules)  # fmt: skip

    # ── what a person asks for ──
    async def call(self, callback_id: int, seat: str, staff_id: int) -> Attempt | None:
        """Rings the seat, then the citizen. None when there was no number left, and it is given up.

        BadInput as ``confirmations.claim`` and ``forbidden`` say, "seat.unknown", "seat.on_call", "seat.offline";
        CentreError "line.asterisk_away" when nothing was done, "line.unanswered" when nobody knows.
        """
        if seat not in self._tracker.seats:
            raise BadInput("seat.unknown")
        if why_not := await self._why_not(Mode.LIVE):
            raise BadInput(why_not)
        if self._tracker.seats[seat].calls:
            raise BadInput("seat.on_call")
        if self._tracker.seats[seat].offline:
            raise BadInput("seat.offline")
        return await self._to_the_end(self._place(callback_id, seat, staff_id))

    # ── the call itself ──
    async def _place(self, callback_id: int, seat: str | None = None, staff_id: int | None = None, *,
                     reserve: bool = False) -> Attempt | None:  # fmt: skip
        attempt = await self._write(partial(confirmations.claim, callback_id=callback_id, now=self._now(),
                                            rules=self._rules, seat=seat, staff_id=staff_id,
                                            reserve=reserve))  # fmt: skip
        if attempt is None:
            return None
        if reserve and seat is not None:
            if not self._is_free(self._tracker.seats[seat]):  # it was given a call meanwhile
                await self._not_placed(attempt.id)
                raise BadInput("seat.on_call")
            self._rung[attempt.id] = seat
        await self._originate(attempt)
        return attempt

    async def _originate(self, attempt: Attempt) -> None:
        """Of a live call the seat is rung first, of an automatic one the citizen. CentreError as ``call``."""
        if attempt.seat is None:
            call = CallOut(attempt.id, attempt.e164, attempt.language, "callback-auto", self._rules.ring_s,
                           self._own_number)  # fmt: skip
        else:
            call = CallOut(attempt.id, attempt.e164, attempt.language, "callback-live", self._seat_ring_s,
                           attempt.e164, self._tracker.seats[attempt.seat].phone)  # fmt: skip
        await self._outbound.dial(call, partial(self._not_placed, attempt.id))

    def originated(self, event: ev.Originated) -> None:
        """An Originate failed. A live call's rings the seat; an automatic one's channel tells more when it hangs up,
        if there was one. A seat that we chose, and that did not pick up, is left in peace for a while."""
        chosen = self._rung.pop(event.action_id, None)
        if chosen is not None and not event.success:
            self._silent[chosen] = self._now() + dt.timedelta(seconds=self._rules.not_placed_s)
        if event.success or not event.action_id.startswith(t.CALLBACK):
            return
        self._end_unanswered(event.action_id, Mode.LIVE, Reached.NOT_PLACED)
        if event.action_id not in self._tracker.calls:
            self._end_unanswered(event.action_id, Mode.AUTO, Reached.FAILED)

    def hung_up(self, event: ev.ChannelEnded) -> None:
        """A channel of a callback's is gone. What the cause does not tell of a live one the dialplan spools."""
        attempt_id = event.linkedid
        if not attempt_id.startswith(t.CALLBACK):
            return
        if event.endpoint in self._tracker.trunks:
            self._end_unanswered(attempt_id, Mode.AUTO, unanswered(event.cause))
            if told := CAUSES.get(event.cause or 0):
                self._end_unanswered(attempt_id, Mode.LIVE, told)
        if event.uniqueid == attempt_id:
            self._submit(partial(_left, attempt_id, self._now(), self._rules))

    def _end_unanswered(self, attempt_id: str, mode: Mode, ended_as: Reached) -> None:
        now = self._now()

        def write(conn: Connection) -> None:
            if any(one.id == attempt_id and one.mode is mode and one.answered_at is None
                   for one in confirmations.open_attempts(conn)):  # fmt: skip
                confirmations.finish(conn, attempt_id, ended_as, now, rules=self._rules)

        self._submit(write)

    def picked_up(self, linkedid: str) -> None:
        """The citizen answered."""
        now = self._now()
        self._submit(lambda conn: confirmations.attempt_answered(conn, linkedid, now, linkedid))

    async def _not_placed(self, attempt_id: str) -> None:
        now = self._now()
        await self._write(lambda conn: confirmations.finish(conn, attempt_id, Reached.NOT_PLACED, now,
                                                            rules=self._rules))  # fmt: skip


def _left(attempt_id: str, now: dt.datetime, rules: Rules, conn: Connection) -> Next | None:
    return confirmations.left(conn, attempt_id, now, rules=rules)
