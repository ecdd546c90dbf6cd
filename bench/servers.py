"""The FastAGI servers that `bench/ivr.py` compares, each a process: ``python -m bench.servers KIND``, settings from the
environment. Each says "ready" when it listens (a probe of its port would freeze panoramisk's for good).

ivr         ours: ``ivr.server.FastAgi`` with the real steps, the database and its writer, on uvloop, as in the line
panoramisk  panoramisk's own server doing the same steps with the same database: each variable set by a command of its
            own, as its documentation shows
bare        asyncio.start_server: reads the environment, answers one command, reads the answer, closes. No database
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import uvloop
from panoramisk import fast_agi

from call_queue.room import WaitingRoom
from call_queue.tracker import Tracker
from centre import settings as configuration
from centre.settings import Settings
from crm.store import Database, Writer
from ivr import agi
from ivr.server import FastAgi, Step
from ivr.steps import Steps

HOST = "127.0.0.1"
FIXED = {"CALL_LANG": "uk", "CALL_STAGE": "menu", "CALL_PENDING": "", "SAY": "", "STEP_OK": "1"}


def our_steps(settings: Settings) -> dict[str, Step]:
    """What the line answers with, on records of this centre; nobody waits, and no seat serves."""
    db = Database(settings.database_url)
    room = WaitingRoom(Tracker({}, {}, settings.wrap_up), lambda: False, settings.wrap_up)
    return Steps(db, Writer(db), settings, room, lambda: datetime.now(UTC)).by_name()


async def ivr(settings: Settings) -> None:
    await FastAgi(our_steps(settings), settings.agi_timeout).start(HOST, settings.agi_port)
    print("ready", flush=True)
    await asyncio.Event().wait()


async def panoramisk(settings: Settings) -> None:
    application = fast_agi.Application(loop=asyncio.get_running_loop())

    def endpoint(step: Step) -> Callable[[Any], Coroutine[Any, Any, None]]:
        async def answer(request: Any) -> None:
            variables = await step(agi.arguments(request.headers), request.headers)
            for name, value in {**variables, "STEP_OK": "1"}.items():
                await request.send_command(f'SET VARIABLE {name} "{value}"')

        return answer

    for name, step in our_steps(settings).items():
        application.add_route(name, endpoint(step))
    server = await asyncio.start_server(application.handler, HOST, settings.agi_port, backlog=512)
    print("ready", flush=True)
    await server.serve_forever()


async def bare(settings: Settings) -> None:
    command = agi.set_variables(FIXED).encode() + b"\n"

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\n\n")
        writer.write(command)
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(converse, HOST, settings.agi_port, backlog=512)
    print("ready", flush=True)
    await server.serve_forever()


def main(kind: str) -> None:
    os.umask(0o077)
    settings = configuration.load()
    serve = {"ivr": ivr, "panoramisk": panoramisk, "bare": bare}[kind]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if kind == "ivr" else None) as runner:
        runner.run(serve(settings))


if __name__ == "__main__":
    main(sys.argv[1])
