"""Recordings while the centre runs: measured after each call, compared with the folder, gone in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path

from crm.store import Database
from recordings import library
from recordings.files import State

AGAIN_S = (0.2, 1.0, 5.0, 70.0)  # Asterisk closes the file a moment after the call; a file that nobody closes settles
SWEEP_S = 3600.0

log = logging.getLogger(__name__)


class Keeper:
    """``live``: the linkedids of the calls that go on, whose recordings still grow; None while nobody knows."""

    def __init__(self, db: Database, folder: Path, days: int, live: Callable[[], Collection[str] | None]) -> None:
        self._db, self._folder, self._days, self._live = db, folder, days, live
        self._measuring: set[asyncio.Task[None]] = set()

    def ended(self, linkedid: str) -> None:
        """A call is over, and that it was recorded is on the disk: its recording is measured soon."""
        task = asyncio.create_task(self._measure(linkedid))
        self._measuring.add(task)
        task.add_done_callback(self._measuring.discard)

    async def _measure(self, linkedid: str) -> None:
        for pause in AGAIN_S:
            await asyncio.sleep(pause)
            try:
                found = await asyncio.to_thread(library.index, self._db, self._folder, linkedid, datetime.now(UTC))
            except Exception:  # the disk or the database: the sweep looks again
                log.exception("the recording of %s was not measured", linkedid)
                return
            if all(one.found.state is not State.OPEN for one in found):
                return

    async def run(self) -> None:
        """Retention and a sweep as soon as the live calls are known, then every hour, until cancelled."""
        try:
            while True:
                live = self._live()
                if live is not None:
                    await asyncio.to_thread(self._look_through, live)
                await asyncio.sleep(SWEEP_S if live is not None else 1.0)
        finally:
            for task in self._measuring:
                task.cancel()

    def _look_through(self, live: Collection[str]) -> None:
        try:
            library.retention(self._db, self._folder, datetime.now(UTC), self._days)
            library.sweep(self._db, self._folder, datetime.now(UTC), live)
        except Exception:  # the disk or the database: looked through again in an hour
            log.exception("recordings were not looked through")
