"""Promised callbacks on the line: who is next is called when a seat is about to be free, once, and brought to it.

The rules are ``crm.promise_rules``, the order is ``call_queue.order``'s; this is their hand on AMI (``outbound``).
Promises are made and ended by others too (the dialplan's steps, a page, another process): the copy here is read again
at every change that we hear of, and every few seconds.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from call_queue import events as ev
from call_queue import order
from call_queue import tracker as t
from call_queue.outbound import CallOut, Outbound, unanswered
from call_queue.rounds import Rounds
from crm import clock, promises
from crm.calls import EndCause, Priority, Queue
from crm.confirmation_rules import Reached
from crm.errors import BadInput, CentreError, NotFound
from crm.promise_rules import USUAL_S, Reason, Rules, State
from crm.promises import ATTEMPT, Promise
from crm.store import Database, Writer

REST_S = 0.1  # after each look: much may change in a second

_log = logging.getLogger(__name__)


class Promiser(Rounds):
    """Keeps what is promised, for ever (``run``).

    ``line``: everybody who waits, in order (``waiting`` among them); ``handled_s``: how long a call takes now.
    ``lines``: how many may be called at a time.
    """

    def __init__(self, db: Database, writer: Writer, outbound: Outbound, tracker: t.Tracker, rules: Rules,
                 turns: order.Rules, *, prefixes: Collection[str], own_number: str,
                 line: Callable[[], Sequence[order.Waiting]], handled_s: Callable[[], float | None],
                 clock: Callable[[], dt.datetime], lines: Callable[[], int] | None = None) -> None:  # fmt: skip
        super().__init__(db, writer)
        self._outbound, self._tracker, self._rules, self._turns = outbound, tracker, rules, turns
        self._prefixes, self._own_number = tuple(prefixes), own_number
        self._line, self._handled_s, self._now = line, handled_s, clock
        self._lines = lines or (lambda: rules.lines)
        self._open: dict[int, Promise] = {}
        self._calling: dict[int, str] = {}  # promise → its open attempt

    # ── the line of those who wait ──
    def waiting(self) -> list[order.Waiting]:
        """Those who wait for a seat without a telephone in the hand, and may be called now or are being called. Who is
        on the line already, by our call or his own, is not among them."""
        now = self._now()
        if not clock.in_window(now, self._rules.call_from, self._rules.call_to):
            return []
        return [order.Waiting(_key(kept.id), kept.turn, live=False, calling=kept.state is State.CALLING)
                for kept in self._open.values() if self._waits(kept, now)]  # fmt: skip

    def _waits(self, kept: Promise, now: dt.datetime) -> bool:
        if kept.reason is Reason.INCIDENT or kept.met_by or kept.due_at > now:
            return False
        ours = self._tracker.calls.get(self._calling.get(kept.id, ""))
        return ours is None or not (ours.queued_at or ours.answered_at or ours.turn)

    # ── one round ──
    async def _pass(self) -> None:
        now = self._now()
        await self._look()
        if self._outbound.in_step:
            await self._end_the_left(now)
            await self._call_the_next(now)
        await asyncio.sleep(REST_S)

    async def _look(self) -> None:
        def read(conn: Connection) -> tuple[list[Promise], dict[int, str]]:
            return promises.open_ones(conn), {one.promise_id: one.id for one in promises.open_attempts(conn)}

        found, self._calling = await self._read(read)
        self._open = {kept.id: kept for kept in found}
        for promise_id, attempt_id in self._calling.items():
            if (ours := self._tracker.calls.get(attempt_id)) and promise_id in self._open:
                ours.caller = self._open[promise_id].e164  # who it is Asterisk does not tell of a call that we made

    async def _end_the_left(self, now: dt.datetime) -> None:
        """What a call came to that nobody told us of; what was not kept in its time."""
        on_line = frozenset(self._tracker.calls)
        called = [*self._calling.values(), *(kept.met_by for kept in self._open.values() if kept.met_by)]
        if set(called) - on_line or any(kept.expires_at <= now for kept in self._open.values()):
            await self._write(partial(promises.settle, now=now, rules=self._rules, on_line=on_line))
            await self._write(partial(promises.expire, now=now))
            await self._look()

    async def _call_the_next(self, now: dt.datetime) -> None:
        if not (self._open and self._outbound.ready and self._outbound.trunk):
            return
        serving, free = self._tracker.serving(Queue.CITY), self._tracker.free(Queue.CITY)
        due = order.to_call(self._line(), free, serving, self._handled_s() or USUAL_S, self._turns)
        # What a machine asks needs no seat: it takes the lines that are left.
        asked = [_key(kept.id) for kept in self._open.values()
                 if kept.reason is Reason.INCIDENT and kept.state is State.WAITING and kept.due_at <= now]  # fmt: skip
        for key in (*due, *asked):
            if self._ringing() >= self._lines():
                return
            kept = self._open.get(int(key.rpartition(":")[2]))
            if kept is None or self._on_line(kept.e164):
                continue
            try:
                await self._to_the_end(self._place(kept, now))
            except (BadInput, NotFound) as error:  # somebody was quicker, or it may not be called now
                _log.info("promise %s was not called: %s", kept.id, error)
            except CentreError:  # Asterisk does not take it, and that has been told: no other now
                return

    def _ringing(self) -> int:
        """Of our attempts, those that have not been answered, as far as is known."""
        calls = (self._tracker.calls.get(attempt_id) for attempt_id in self._calling.values())
        return sum(call is None or not call.picked_up for call in calls)

    def _on_line(self, e164: str) -> bool:
        """Whether he is calling us at this moment."""
        return any(call.caller == e164 for call in self._tracker.calls.values())

    async def _place(self, kept: Promise, now: dt.datetime) -> None:
        """Commits the attempt, then dials."""
        attempt = await self._write(partial(promises.claim, promise_id=kept.id, now=now, rules=self._rules))
        self._open[kept.id] = replace(kept, state=State.CALLING)
        self._calling[kept.id] = attempt.id
        call = CallOut(attempt.id, attempt.e164, attempt.language, "callback-promise", self._rules.ring_s,
                       self._own_number)  # fmt: skip
        await self._outbound.dial(call, partial(self._not_placed, attempt.id))

    async def _not_placed(self, attempt_id: str) -> None:
        now = self._now()
        await self._write(lambda conn: promises.finish(conn, attempt_id, Reached.NOT_PLACED, now, rules=self._rules))

    # ── what Asterisk tells ──
    def originated(self, event: ev.Originated) -> None:
        """An Originate failed. If there was a channel, that tells more when it hangs up."""
        if not event.success and event.action_id.startswith(ATTEMPT) and event.action_id not in self._tracker.calls:
            self._end_unanswered(event.action_id, Reached.FAILED)

    def hung_up(self, event: ev.ChannelEnded) -> None:
        """The citizen's channel of a call of ours is gone."""
        if event.linkedid.startswith(ATTEMPT) and event.uniqueid == event.linkedid:
            self._end_unanswered(event.linkedid, unanswered(event.cause))

    def take(self, change: t.Change) -> None:
        """What a change means to what is promised; its own record is written first."""
        match change:
            case t.Arrived(linkedid=linkedid) if linkedid.startswith(ATTEMPT):
                self.poke()
            case t.PickedUp(linkedid=linkedid) if linkedid.startswith(ATTEMPT):
                self._submit(lambda conn: promises.answered(conn, linkedid, change.at))
            case t.Answered(linkedid=linkedid):
                self._settle(linkedid)
            case t.Ended(linkedid=linkedid, cause=cause):
                self._settle(linkedid)
                if cause is EndCause.ABANDONED:
                    self._submit(lambda conn: self.gave_up(conn, linkedid, change.at))
            case t.SeatChanged() if self._open:
                self.poke()

    def _settle(self, linkedid: str) -> None:
        if linkedid.startswith(ATTEMPT) or any(kept.met_by == linkedid for kept in self._open.values()):
            now, on_line = self._now(), frozenset(self._tracker.calls)
            self._submit(lambda conn: promises.settle(conn, now, rules=self._rules, on_line=on_line, only=linkedid))

    def gave_up(self, conn: Connection, linkedid: str, at: dt.datetime) -> None:
        """He is called back, if by the rules he is."""
        promises.abandoned(conn, linkedid, at, turn=self._turn, rules=self._rules, prefixes=self._prefixes)

    def _turn(self, since: dt.datetime, priority: Priority) -> dt.datetime:
        return order.turn(since, priority, self._turns)

    def _end_unanswered(self, attempt_id: str, ended_as: Reached) -> None:
        now = self._now()

        def write(conn: Connection) -> None:
            if any(one.id == attempt_id and one.answered_at is None for one in promises.open_attempts(conn)):
                promises.finish(conn, attempt_id, ended_as, now, rules=self._rules)

        self._submit(write)


def _key(promise_id: int) -> str:
    return f"promise:{promise_id}"
