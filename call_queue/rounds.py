"""Whoever places calls goes his rounds: at least every few seconds, and at once when something has changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from sqlalchemy import Connection

from crm.errors import CentreError
from crm.store import Database, Writer

PASS_S = 5.0  # at least so often it is looked what has come due

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Rounds:
    """``run`` does ``_pass`` for ever; what a round begins, ``close`` waits for."""

    every_s = PASS_S

    def __init__(self, db: Database, writer: Writer) -> None:
        self._db, self._writer = db, writer
        self._poked = asyncio.Event()
        self._placing: set[asyncio.Task[Any]] = set()

    def poke(self) -> None:
        """Something has changed: look at once."""
        self._poked.set()

    async def run(self) -> None:
        while True:
            self._poked.clear()
            try:
                await self._pass()
            except Exception:  # the database away, most likely: the next pass finds out
                _log.exception("%s: a round failed", type(self).__name__)
            try:
                # Not wait_for: poked and cancelled at the same moment, it would go on as if nobody had cancelled it.
                async with asyncio.timeout(self.every_s):
                    await self._poked.wait()
            except TimeoutError:
                continue

    async def _pass(self) -> None:
        raise NotImplementedError

    async def _to_the_end(self, placing: Coroutine[Any, Any, T]) -> T:
        """Whoever waits for it may go away meanwhile: what is claimed is dialled."""
        task = asyncio.create_task(placing)
        self._placing.add(task)
        task.add_done_callback(self._placing.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Waits for the calls that are being placed at this moment; nobody may ask for another one."""
        if self._placing:
            await asyncio.wait(self._placing)

    # ── the database ──
    def _submit(self, fn: Callable[[Connection], object]) -> None:
        """Writes it; the next round, begun at once, sees it."""
        loop = asyncio.get_running_loop()
        try:
            written = self._writer.submit(fn)
        except CentreError as error:  # when the database is back the attempt is found open, and ended
            _log.error("what became of a call out was not kept: %s", error)
            return

        def done(future: object) -> None:
            if error := written.exception():
                _log.error("what became of a call out was not kept: %s", error)
            loop.call_soon_threadsafe(self.poke)

        written.add_done_callback(done)

    async def _read(self, fn: Callable[[Connection], T]) -> T:
        def read() -> T:
            with self._db.read() as conn:
                return fn(conn)

        return await asyncio.to_thread(read)

    async def _write(self, fn: Callable[[Connection], T]) -> T:
        return await asyncio.shield(asyncio.wrap_future(self._writer.submit(fn)))
