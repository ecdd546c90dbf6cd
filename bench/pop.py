"""`./1551 bench pop`: how soon after a seat begins to ring can the page of the ringing call be filled?

Measured from the moment at which ``AgentCalled`` is written to the line's socket to the moment at which another
process reads from the records what the page reads: the call, its caller, and that it rang at this seat. The line is the
real process (`./1551 line`), with everything that it does; the database is SQLite that syncs every commit.

Asterisk's part is played by ``bench/peer.py``: it writes the events of a real call at the very distances at which
Asterisk wrote them, 20 calls a second, and asks FastAGI's arrival and enqueue of each call where the dialplan asks
them. So the moment of writing is known exactly, which a real Asterisk does not tell (its own time stamp is taken
before the event is queued for each listener), and the two cores of a small machine measure the line and not SIPp.

p50_ms, p99_ms          AgentCalled written → readable on another connection, in another process (aim: p99 50)
told_p50_ms, told_p99_ms   AgentCalled written → the event "ringing" heard on the line's socket, as the web hears it
missed                  calls whose ringing was never told, or never on record
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from sqlalchemy import select

from bench.measure import centre_of_its_own, environment, percentile, report, running
from bench.peer import PeerProcess, Plan
from centre.bus import Client
from centre.settings import Settings
from crm import calls
from crm.schema import call_event
from crm.store import Database

CALLS_S = 20  # a second
SEATS = 60  # each rings and talks for two seconds
LOOK_S = 0.0005  # between two looks at the records
PATIENCE_S = 20.0


class Desk:
    """What an operator's page does when its seat rings, for all seats: hears of it, and reads the call."""

    def __init__(self, settings: Settings) -> None:
        self._bus = Client(settings.line_socket)
        self._db = Database(settings.database_url)
        self._reading: set[asyncio.Task[None]] = set()
        self.told: dict[str, float] = {}  # linkedid → when, by the monotonic clock
        self.readable: dict[str, float] = {}
        self.in_step = asyncio.Event()  # the line hears Asterisk

    async def listen(self) -> None:
        async for event in self._bus.events():
            if event["event"] == "ringing":
                self.told[event["linkedid"]] = time.monotonic()
                reading = asyncio.create_task(self._read(event["linkedid"], event["seat"]))
                self._reading.add(reading)
                reading.add_done_callback(self._reading.discard)
            elif event["event"] == "snapshot" and event["line"]["ami"]:
                self.in_step.set()

    async def _read(self, linkedid: str, seat: str) -> None:
        rang = select(call_event.c.id).where(call_event.c.linkedid == linkedid, call_event.c.kind == "rang",
                                             call_event.c.seat == seat)  # fmt: skip
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            with self._db.read() as conn:
                known = calls.get(conn, linkedid)
                if known is not None and known.caller and conn.execute(rang).first() is not None:
                    self.readable[linkedid] = time.monotonic()
                    return
            await asyncio.sleep(LOOK_S)

    async def finished(self) -> None:
        while self._reading:
            await asyncio.wait(set(self._reading))


async def measure(settings: Settings, peer: PeerProcess, plan: Plan) -> dict[str, object]:
    desk = Desk(settings)
    listening = asyncio.create_task(desk.listen())
    await asyncio.wait_for(desk.in_step.wait(), PATIENCE_S)
    peer.play(plan)
    played = await asyncio.to_thread(peer.played)
    await desk.finished()
    listening.cancel()
    told = [(desk.told[one] - at) * 1000 for one, at in played.called.items() if one in desk.told]
    readable = [(desk.readable[one] - at) * 1000 for one, at in played.called.items() if one in desk.readable]
    return {
        "p50_ms": round(percentile(readable, 0.5), 2),
        "p99_ms": round(percentile(readable, 0.99), 2),
        "max_ms": round(max(readable), 2),
        "told_p50_ms": round(percentile(told, 0.5), 2),
        "told_p99_ms": round(percentile(told, 0.99), 2),
        "missed": len(played.called) - len(readable),
        "calls": played.calls,
        "calls_s": round(played.calls / plan.seconds, 1),
        "disconnects": played.disconnects,
        "steps_refused": played.steps_refused,
    }  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="1551 bench pop", description="From a seat's ringing to the record readable")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=50)
    args = parser.parse_args(arguments)
    with centre_of_its_own(seat_count=SEATS, wrap_up=0) as (settings, secrets):
        peer = PeerProcess({seat.number: seat.interface for seat in secrets.seats.values()}, settings.ami_port,
                           settings.agi_port)  # fmt: skip
        try:
            with running([sys.executable, "-m", "centre", "line"], settings.var / "line.log",
                         lambda: settings.line_socket.exists(), environment(settings)):  # fmt: skip
                report(asyncio.run(measure(settings, peer, Plan(CALLS_S, args.seconds))), args.json)
        finally:
            peer.close()
    return 0
