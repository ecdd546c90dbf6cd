"""The supervisor's switches, done to Asterisk: within a second, and again after a restart of us or of it.

What is to be so is on record (``crm.surges``), what is so is Asterisk's: each round brings the one to the other, and
may be broken off anywhere. An alert pauses each seat once; whoever then takes calls again, from the shelter, may. Its
end returns the seats that it paused, which Asterisk knows by the pause's reason, whoever has restarted meanwhile.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from call_queue import tracker as t
from call_queue.ami import Ami
from call_queue.calling_out import call_out
from call_queue.rounds import Rounds
from call_queue.seats import Seats, reached
from call_queue.surge_rules import Load, Proposal, Rules, proposed, returned
from crm import announcements, surges
from crm.calls import EndCause, Queue
from crm.errors import CentreError
from crm.store import Database, Writer
from crm.surges import Effects, Kind, Surge

ALERT = "alert"  # the reason of the alert's pauses, which no seat can give itself
GREETINGS = {False: "greeting", True: "greeting-short"}
GREET_S = 30  # so often it is said again: a reload of the dialplan forgets it

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Record:
    """What is on record. ``ended_at``: of the last alert; ``placed``: promised callbacks since."""

    on: Mapping[Kind, Surge]
    announced: Mapping[str, str]
    paused: frozenset[str]
    ended_at: dt.datetime | None
    placed: int


class Surging(Rounds):
    """``effects``: what callers notice now. ``handled_s``: how long a call takes, None when nobody knows. ``changed``:
    what the web is told of has. Fed with the tracker's changes."""

    every_s = 1.0

    def __init__(self, db: Database, writer: Writer, ami: Ami, tracker: t.Tracker, seats: Seats, *,
                 in_step: Callable[[], bool], handled_s: Callable[[], float | None], changed: Callable[[], None],
                 clock: Callable[[], dt.datetime], rules: Rules | None = None) -> None:  # fmt: skip
        super().__init__(db, writer)
        self._ami, self._tracker, self._seats, self._in_step = ami, tracker, seats, in_step
        self._handled_s, self._changed, self._now, self._rules = handled_s, changed, clock, rules or Rules()
        self.effects = Effects()
        self.proposal: Proposal | None = None
        self._record = _Record({}, {}, frozenset(), None, 0)
        self._greeting: tuple[str, dt.datetime] | None = None  # what Asterisk greets with, as we said it; and when
        self._paused: set[str] = set()  # by this alert
        self._told = 0  # the alert that those who waited have been told of
        self._came: deque[dt.datetime] = deque()
        self._ended: deque[tuple[dt.datetime, bool]] = deque()  # waits; whether in vain

    def asterisk_is_back(self) -> None:
        """It may have forgotten what we said."""
        self._greeting = None
        self.poke()

    async def _pass(self) -> None:
        now = self._now()
        await self._look(now)
        if self._in_step():
            await self._tried(self._greet(now))
            await self._tried(self._shelter())
        self._propose(now)

    @staticmethod
    async def _tried(doing: Awaitable[None]) -> None:
        try:
            await doing
        except CentreError as error:  # the next round tries again
            _log.warning("a surge or an alert is not done to Asterisk yet: %s", error)

    async def _look(self, now: dt.datetime) -> None:
        def read(conn: Connection) -> _Record:
            on, city = surges.on(conn), announcements.of(conn, None)
            alert, ended_at = on.get(Kind.ALERT), surges.last_ended(conn, Kind.ALERT)
            returning = ended_at is not None and (now - ended_at).total_seconds() < self._rules.return_s
            return _Record(on, city.sounds if city else {},
                           frozenset(surges.paused_since(conn, ALERT, alert.began_at)) if alert else frozenset(),
                           ended_at, surges.promised_calls_since(conn, ended_at) if ended_at and returning else 0)

        before, self._record = self._record.on, await self._read(read)
        self.effects = Effects(Kind.SURGE in self._record.on, Kind.ALERT in self._record.on, self._record.announced)
        if before != self._record.on:
            self._changed()

    # ── what Asterisk does ──
    async def _greet(self, now: dt.datetime) -> None:
        greeting = GREETINGS[self.effects.at_once]
        said = self._greeting
        if said and said[0] == greeting and (now - said[1]).total_seconds() < GREET_S:
            return
        await reached(self._ami.ask("Setvar", {"Variable": "GREETING", "Value": greeting}))
        self._greeting = greeting, now

    async def _shelter(self) -> None:
        """Pauses every seat, once an alert; returns them after it."""
        alert = self._record.on.get(Kind.ALERT)
        if alert is None:
            self._paused.clear()
            for number, seat in self._tracker.seats.items():
                if ALERT in seat.paused.values():
                    await self._seats.unpause(number)
            return
        self._paused |= self._record.paused
        for number, seat in self._tracker.seats.items():
            if seat.queues and number not in self._paused:
                if not seat.paused:
                    await self._seats.pause(number, ALERT)
                self._paused.add(number)
        if self._told != alert.id:
            self._told = alert.id
            await call_out(self._ami, [call for call, _ in self._tracker.waiting()], ALERT)

    # ── what is proposed ──
    def take(self, change: t.Change) -> None:
        match change:
            case t.Entered(at=at):
                self._came.append(at)
            case t.Answered(at=at, wait_s=wait_s) if wait_s is not None:
                self._ended.append((at, False))
            case t.Ended(at=at, cause=EndCause.ABANDONED):
                self._ended.append((at, True))

    def _propose(self, now: dt.datetime) -> None:
        since = now - dt.timedelta(seconds=self._rules.window_s)
        while self._came and self._came[0] < since:
            self._came.popleft()
        while self._ended and self._ended[0][0] < since:
            self._ended.popleft()
        waiting = [call.queued_at for call, _ in self._tracker.waiting(Queue.CITY) if call.queued_at]
        load = Load(len(self._came), len(self._ended), sum(in_vain for _, in_vain in self._ended),
                    self._tracker.serving(Queue.CITY), self._handled_s(),
                    max(((now - at).total_seconds() for at in waiting), default=0.0))  # fmt: skip
        before, self.proposal = self.proposal, proposed(load, self.effects.surge, self.proposal, self._rules)
        if before != self.proposal:
            self._changed()

    # ── what others ask ──
    def lines(self, most: int) -> int:
        """How many promised callbacks may be on their way at a time, ``most`` else: after an alert they return as the
        seats do. Those that ring are counted twice, for a moment."""
        ended_at = self._record.ended_at
        if ended_at is None or self.effects.alert:
            return most
        allowed = returned((self._now() - ended_at).total_seconds(), self._tracker.serving(Queue.CITY), self._rules)
        return most if allowed is None else min(most, max(0, allowed - self._record.placed))

    def told(self) -> dict[str, Any]:
        """As the web is told it: what is on, since when, by whom and why; what is proposed."""
        return {
            "on": {kind.value: {"since": one.began_at.isoformat(), "by": one.beginner, "reason": one.reason}
                   for kind, one in self._record.on.items()},
            "proposal": None if self.proposal is None else {
                "on": self.proposal.on, "signs": [sign.value for sign in self.proposal.signs]},
        }  # fmt: skip
