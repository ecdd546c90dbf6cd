"""What the processes that `./1551 up` starts with a loop of their own have in common: the line and the post."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable

import uvloop


def run(name: str, main: Callable[[asyncio.Event], Awaitable[int]]) -> int:
    """``main``'s exit code; its event is set at SIGTERM or SIGINT. What is written is this user's alone."""
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {name} %(levelname)s %(name)s: %(message)s")
    for client in ("httpx", "twilio.http_client"):  # they tell of each request, to whom and what
        logging.getLogger(client).setLevel(logging.WARNING)

    async def until_told() -> int:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        return await main(stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(until_told())
