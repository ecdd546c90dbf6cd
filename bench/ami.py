"""`./1551 bench ami`: does the line keep up with 10,000 AMI events a second, typed, applied and kept?

The peer is a process of ours that writes the events of real calls (``bench/peer.py``), each by a write of its own, and
cuts a connection that cannot be written to for 100 ms, as Asterisk does by default. The reader is what the line has:
``Ami``, ``Stream``, ``Follower``, ``Tracker`` and ``Recorder`` on uvloop in one process, with the batching writer and a
SQLite database that syncs every commit. 10,000 events a second are 256 whole calls a second, nine times the number of
calls that a city of Kyiv's size has in a day's busiest minute; 39 events a call, 6 of which become records.

sustained_events_s  events read, typed and applied, a second, from the first one written to the last one applied
disconnects         how often the peer had to cut us
gaps                events that found the stream full and were dropped (the line would then ask for everything anew)
applied_p99_ms      from an event's being written to its being applied, over every call's AgentCalled; also p50, max
kept_s              the last record, from its event's being applied to its being durable
cpu                 seconds of CPU a second that the reader took, its database writer included
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import uvloop
from sqlalchemy import func, select

from bench.measure import centre_of_its_own, cpu_s, percentile, report
from bench.peer import EVENTS, PeerProcess, Plan, Played
from call_queue import events as ev
from call_queue import tracker as t
from call_queue.ami import Ami, Stream
from call_queue.follower import Follower
from call_queue.recorder import Recorder
from centre.settings import Secrets, Settings
from crm.schema import call
from crm.store import Database, Writer

SEATS = 100
PATIENCE_S = 60.0  # for what is left to be applied and kept


class Reader:
    """The line's AMI side, and when it last had something to do."""

    def __init__(self, settings: Settings, secrets: Secrets, db: Database, port: int) -> None:
        seats = {seat.interface: seat.number for seat in secrets.seats.values()}
        self.writer = Writer(db)
        self.tracker = t.Tracker(seats, {"PJSIP/trunk-landline": "landline", "PJSIP/trunk-mobile": "mobile"},
                                 settings.wrap_up)  # fmt: skip
        self.stream = Stream()
        self.ami = Ami("127.0.0.1", port, "line", secrets.ami_line, self.stream, wanted=ev.READERS)
        self.recorder = Recorder(self.writer, lambda event: None, {})
        self.follower = Follower(self.stream, self.ami, self.tracker, self.recorder, changed=self._changed,
                                 heard=self._heard, compared=lambda alive, asked_at: None)  # fmt: skip
        self.typed = self.ended = 0
        self.applied_at = 0.0
        self.rang_at: dict[str, float] = {}  # linkedid → when it was applied that a seat rings
        self._last: Future[object] | None = None

    def _heard(self, event: ev.Event) -> None:
        self.typed += 1
        self.applied_at = time.monotonic()

    def _changed(self, change: t.Change, kept: Future[object] | None) -> None:
        if isinstance(change, t.Rang):
            self.rang_at[change.linkedid] = time.monotonic()
        self.ended += isinstance(change, t.Ended)
        self._last = kept or self._last

    async def all_ended(self, calls: int) -> None:
        while self.ended < calls:  # noqa: ASYNC110  # one look at the end, against a signal for each of the calls
            await asyncio.sleep(0.005)

    async def kept(self) -> None:
        """When all that was applied is durable."""
        if self._last is not None:
            await asyncio.wrap_future(self._last)


async def measure(settings: Settings, secrets: Secrets, peer: PeerProcess, plan: Plan) -> dict[str, Any]:
    db = Database(settings.database_url)
    reader = Reader(settings, secrets, db, peer.port)
    following = asyncio.create_task(reader.follower.run())
    try:
        reader.ami.start()
        await asyncio.wait_for(reader.ami.wait_up(), PATIENCE_S)
        cpu = cpu_s(os.getpid())
        peer.play(plan)
        played: Played = await asyncio.to_thread(peer.played)
        if not played.disconnects:
            await asyncio.wait_for(reader.all_ended(played.calls), PATIENCE_S)
        await asyncio.wait_for(reader.kept(), PATIENCE_S)
        kept_at = time.monotonic()
        cpu = cpu_s(os.getpid()) - cpu
        waits = [(reader.rang_at[one] - at) * 1000 for one, at in played.called.items() if one in reader.rang_at]
        with db.read() as conn:
            on_record = conn.execute(select(func.count()).where(call.c.ended_at.is_not(None))).scalar_one()
        return {
            "sustained_events_s": round((played.events - played.unheard) /
                                        (played.seconds + max(0.0, reader.applied_at - played.ended_at)), 1),
            "disconnects": played.disconnects,
            "gaps": reader.stream.dropped,
            "seconds": round(played.seconds, 1),
            "events": played.events,
            "events_typed": reader.typed,
            "calls": played.calls,
            "calls_applied": reader.ended,
            "calls_on_record": on_record,
            "not_kept": reader.recorder.failed,
            "applied_p50_ms": round(percentile(waits, 0.5), 2),
            "applied_p99_ms": round(percentile(waits, 0.99), 2),
            "applied_max_ms": round(max(waits), 2),
            "kept_s": round(kept_at - reader.applied_at, 2),
            "cpu": round(cpu / (kept_at - played.ended_at + played.seconds), 3),
            "peer_late_ms": round(played.late_s * 1000, 1),
            "includes": "Ami, Stream, Follower, Tracker, Recorder, Writer on SQLite; no pages, no FastAGI",
        }  # fmt: skip
    finally:
        following.cancel()
        await reader.ami.close()
        reader.writer.close()
        db.close()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="1551 bench ami", description="10,000 AMI events a second, typed and applied")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=10_000, help="events a second")
    args = parser.parse_args(arguments)
    with centre_of_its_own(seat_count=SEATS, wrap_up=0) as (settings, secrets):
        peer = PeerProcess({seat.number: seat.interface for seat in secrets.seats.values()})
        try:
            plan = Plan(args.rate / len(EVENTS), args.seconds, lanes=SEATS)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                report(runner.run(measure(settings, secrets, peer, plan)), args.json)
        finally:
            peer.close()
    return 0
