"""Confirmation callbacks on the line: which may be placed now, placed once each, and what became of them.

An attempt is committed before it is dialled, and its id is the channel's: a second Originate of it is refused by
Asterisk while the channel lives, and after a crash what is on record tells what may have been dialled.
The rules are ``crm.confirmation_rules``; this is their hand on AMI.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from call_queue import events as ev
from call_queue import tracker as t
from call_queue.ami import Ami, NotSent, Refused, Unanswered, variable
from crm import confirmations
from crm.confirmation_rules import Mode, Next, Reached, Rules, forbidden
from crm.confirmations import Attempt
from crm.errors import BadInput, CentreError
from crm.store import Database, Writer

PASS_S = 5.0  # at least so often it is looked what has come due
LISTED = 100

T = TypeVar("T")

# How a call that nobody answered ended, by the Q.850 cause of its channel's hangup: neither Originate's own answer nor
# DialEnd can be relied on to tell busy from no answer. 16: we gave up after the ring time. Not here: the network said no.
_CAUSES = {16: Reached.NO_ANSWER, 17: Reached.BUSY, 18: Reached.NO_ANSWER, 19: Reached.NO_ANSWER, 20: Reached.NO_ANSWER}

_log = logging.getLogger(__name__)


class Dialler:
    """Places what is due, for ever (``run``), and what a person asks for (``call``).

    ``ami``: the user who may originate. ``trunks``: those that calls out may take, best first, "PJSIP/trunk-landline".
    ``in_step``: whether the tracker can be believed; nothing is placed while it cannot. ``counted`` is told how many
    callbacks are due and how many on the line.
    """

    def __init__(self, db: Database, writer: Writer, ami: Ami, tracker: t.Tracker, rules: Rules, *,
                 interfaces: Mapping[str, str], trunks: Collection[str], own_number: str, seat_ring_s: int,
                 in_step: Callable[[], bool], counted: Callable[[int, int], None],
                 clock: Callable[[], dt.datetime]) -> None:  # fmt: skip
        self._db, self._writer, self._ami, self._tracker, self._rules = db, writer, ami, tracker, rules
        self._interfaces, self._trunks, self._own_number = interfaces, tuple(trunks), own_number
        self._seat_ring_s = seat_ring_s
        self._in_step, self._counted, self._now = in_step, counted, clock
        self._poked = asyncio.Event()

    # ── what is due ──
    def poke(self) -> None:
        """Something has changed: look at once."""
        self._poked.set()

    async def run(self) -> None:
        while True:
            self._poked.clear()
            try:
                await self._pass()
            except Exception:  # the database away, most likely: the next pass finds out
                _log.exception("callbacks were not looked at")
            try:
                await asyncio.wait_for(self._poked.wait(), PASS_S)
            except TimeoutError:
                continue

    async def _pass(self) -> None:
        """Ends what is over, places what may be placed, counts what there is."""
        now = self._now()
        if self._in_step():
            await self._end_the_left(now)
            await self._place_due(now)
        due, calling = await self._read(lambda conn: confirmations.counts(conn, now))
        self._counted(due, calling)

    async def _end_the_left(self, now: dt.datetime) -> None:
        for attempt in await self._read(confirmations.open_attempts):
            if attempt.id not in self._tracker.calls:
                await self._write(partial(_left, attempt.id, now, self._rules))

    async def _place_due(self, now: dt.datetime) -> None:
        rules = self._rules
        automatic, live = await self._read(lambda conn: [
            confirmations.due(conn, now, mode, LISTED, rules) for mode in (Mode.AUTO, Mode.LIVE)])  # fmt: skip
        for one in live:
            if not one.e164:  # nobody need press a button to learn that there is no number left
                await self._write(partial(_claim, one.callback_id, now, rules, None, None))
        for one in automatic:
            if await self._why_not(Mode.AUTO):
                return
            try:
                attempt = await self._write(partial(_claim, one.callback_id, now, rules, None, None))
            except CentreError as error:  # somebody was quicker
                _log.info("callback %s was not claimed: %s", one.callback_id, error)
                continue
            if attempt is not None:
                await self._originate(attempt, f"PJSIP/{attempt.e164}@{self._trunk()}", "callback-auto",
                                      self._rules.ring_s, self._own_number)  # fmt: skip

    async def _why_not(self, mode: Mode) -> str | None:
        waiting = [call.queued_at for call, _ in self._tracker.waiting("city") if call.queued_at]
        longest = (self._now() - min(waiting)).total_seconds() if waiting else None
        placed = await self._read(lambda conn: confirmations.placed_last_hour(conn, self._now()))
        busy = await self._read(lambda conn: sum(a.mode is Mode.AUTO for a in confirmations.open_attempts(conn)))
        if not self._ami.up:
            return "line.asterisk_away"
        return forbidden(mode=mode, inbound_longest_wait_s=longest, placed_last_hour=placed, lines_busy=busy,
                         trunk_ok=bool(self._trunk()), rules=self._rules)  # fmt: skip

    def _trunk(self) -> str:
        """The endpoint that the next call takes; "" when all of them are down."""
        up = (name for name in self._trunks if self._tracker.trunks[name].state is not t.TrunkState.DOWN)
        return next(up, "").removeprefix("PJSIP/")

    # ── what a person asks for ──
    async def call(self, callback_id: int, seat: str, staff_id: int) -> Attempt | None:
        """Rings the seat, then the citizen. None when there was no number left, and it is given up.

        BadInput as ``confirmations.claim`` and ``forbidden`` say, "seat.unknown", "seat.on_call"; CentreError
        "line.asterisk_away" when nothing was done, "line.unanswered" when nobody knows.
        """
        if seat not in self._interfaces:
            raise BadInput("seat.unknown")
        if self._tracker.seats[seat].calls:
            raise BadInput("seat.on_call")
        why_not = await self._why_not(Mode.LIVE)
        if why_not:
            raise BadInput(why_not)
        attempt = await self._write(partial(_claim, callback_id, self._now(), self._rules, seat, staff_id))
        if attempt is not None:
            error = await self._originate(attempt, self._interfaces[seat], "callback-live", self._seat_ring_s,
                                          attempt.e164)  # fmt: skip
            if error is not None:
                raise error
        return attempt

    # ── the call itself ──
    async def _originate(self, attempt: Attempt, channel: str, context: str, ring_s: int,
                         shown: str) -> CentreError | None:  # fmt: skip
        """Dials, once. What Asterisk did not even begin is ended at once; the error that says why."""
        asking = self._ami.ask("Originate", {
            "Channel": channel, "Context": context, "Exten": "s", "Priority": 1, "ChannelId": attempt.id,
            "Timeout": ring_s * 1000, "CallerID": shown, "Async": "true",
            "Variable": [variable("ATTEMPT", attempt.id), variable("CITIZEN_NUMBER", attempt.e164),
                         variable("CALL_LANG", attempt.language), variable("TRUNK", self._trunk())],
        }, action_id=attempt.id)  # fmt: skip
        try:
            await asking
        except (NotSent, Refused) as error:
            _log.warning("callback attempt %s was not placed: %s", attempt.id, error)
            await self._finish(attempt.id, Reached.NOT_PLACED)
            return CentreError("line.asterisk_away")
        except Unanswered as error:
            _log.warning("callback attempt %s may have been placed: %s", attempt.id, error)
            return CentreError("line.unanswered")
        return None

    def originated(self, event: ev.Originated) -> None:
        """An Originate failed. A live call's rings the seat; an automatic one's channel tells more when it hangs up,
        if there was one."""
        if event.success or not event.action_id.startswith(t.CALLBACK):
            return
        self._end_unanswered(event.action_id, Mode.LIVE, Reached.NOT_PLACED)
        if event.action_id not in self._tracker.calls:
            self._end_unanswered(event.action_id, Mode.AUTO, Reached.FAILED)

    def hung_up(self, event: ev.ChannelEnded) -> None:
        """A callback's own channel is gone. Of a live one, which is the seat's, the dialplan spools how it ended."""
        if event.uniqueid.startswith(t.CALLBACK):
            self._end_unanswered(event.uniqueid, Mode.AUTO, _CAUSES.get(event.cause or 0, Reached.FAILED))
            self._submit(partial(_left, event.uniqueid, self._now(), self._rules))

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

    async def _finish(self, attempt_id: str, ended_as: Reached) -> None:
        now = self._now()
        await self._write(lambda conn: confirmations.finish(conn, attempt_id, ended_as, now, rules=self._rules))

    # ── the database ──
    def _submit(self, fn: Callable[[Connection], object]) -> None:
        written = self._writer.submit(fn)
        loop = asyncio.get_running_loop()

        def done(future: object) -> None:
            if error := written.exception():
                _log.error("what became of a callback was not kept: %s", error)
            loop.call_soon_threadsafe(self.poke)

        written.add_done_callback(done)

    async def _read(self, fn: Callable[[Connection], T]) -> T:
        def read() -> T:
            with self._db.read() as conn:
                return fn(conn)

        return await asyncio.to_thread(read)

    async def _write(self, fn: Callable[[Connection], T]) -> T:
        return await asyncio.shield(asyncio.wrap_future(self._writer.submit(fn)))


def _claim(callback_id: int, now: dt.datetime, rules: Rules, seat: str | None, staff_id: int | None,
           conn: Connection) -> Attempt | None:  # fmt: skip
    return confirmations.claim(conn, callback_id, now=now, rules=rules, seat=seat, staff_id=staff_id)


def _left(attempt_id: str, now: dt.datetime, rules: Rules, conn: Connection) -> Next | None:
    return confirmations.left(conn, attempt_id, now, rules=rules)
