"""Recordings while the centre runs: measured after the call, looked through once the live calls are known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from crm.schema import recording
from crm.store import Database
from recordings import State, announced, files, keeper
from recordings.keeper import Keeper
from tests.recordings.test_files import put
from tests.recordings.test_wav import unfinished, written

LIMIT = 30  # seconds for whatever should happen soon
CALL, OTHER = "1764000000.17", "1764000000.18"


class Kept:
    """A keeper and its folder; ``live`` are the calls that go on."""

    def __init__(self, db: Database, folder: Path) -> None:
        files.prepare(folder)
        self.db, self.folder = db, folder
        self.live: set[str] | None = set()
        self.keeper = Keeper(db, folder, 30, lambda: self.live)

    def record(self, number: int, data: bytes, linkedid: str = CALL, days_ago: float = 0) -> str:
        path = f"ab/{number:032x}.wav"
        put(self.folder, path, data)
        with self.db.write() as conn:
            announced(conn, linkedid, path, datetime.now(UTC) - timedelta(days=days_ago))
        return path

    def states(self) -> dict[str, str]:
        with self.db.read() as conn:
            return {row.path: row.state for row in conn.execute(select(recording))}

    async def until(self, true: Callable[[dict[str, str]], bool]) -> None:
        """The record has no event to wait for."""
        async with asyncio.timeout(LIMIT):
            while not true(self.states()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.keeper.run())
        yield
        assert not running.done(), "whatever came, it goes on"
        running.cancel()
        await asyncio.wait([running])


@pytest.fixture
def kept(db: Database, tmp_path: Path) -> Kept:
    return Kept(db, tmp_path / "recordings")


async def test_it_is_measured_soon_after_the_call_and_no_other_is(kept: Kept) -> None:
    mine, other = kept.record(1, written(3.0)), kept.record(2, written(3.0), OTHER)
    kept.keeper.ended(CALL)
    await kept.until(lambda states: states[mine] == State.OK)
    assert kept.states()[other] == State.OPEN


async def test_a_file_that_is_closed_a_moment_later_is_looked_at_again(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = asyncio.Event()
    loop, index = asyncio.get_running_loop(), keeper.library.index

    def look(*args: object) -> object:
        found = index(*args)  # type: ignore[arg-type]
        loop.call_soon_threadsafe(looked.set)
        return found

    monkeypatch.setattr(keeper.library, "index", look)
    path = kept.record(1, unfinished(written(3.0)))
    kept.keeper.ended(CALL)
    await asyncio.wait_for(looked.wait(), LIMIT)
    assert kept.states()[path] == State.OPEN
    put(kept.folder, path, written(3.0))
    await kept.until(lambda states: states[path] == State.OK)


async def test_nothing_is_looked_through_before_the_live_calls_are_known(kept: Kept) -> None:
    """What a crash left is indexed, what is too old is removed; the recording of a call that goes on grows on."""
    left, live = kept.record(1, written(3.0)), kept.record(2, written(3.0), OTHER)
    old = kept.record(3, written(3.0), days_ago=31)
    kept.live = None
    async with kept.running():
        await asyncio.sleep(0)  # it has looked once
        assert set(kept.states().values()) == {State.OPEN}
        kept.live = {OTHER}
        await kept.until(lambda states: states[left] == State.OK)
    assert kept.states() == {left: State.OK, live: State.OPEN, old: State.EXPIRED}
    assert not (kept.folder / old).exists()


async def test_a_disk_that_fails_is_tried_again(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper, "SWEEP_S", 0.05)
    path = kept.record(1, written(3.0))
    away = kept.folder.rename(kept.folder.with_name("away"))
    kept.folder.write_text("no folder")
    async with kept.running():
        async with asyncio.timeout(LIMIT):
            while not caplog.records:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        kept.folder.unlink()
        away.rename(kept.folder)
        await kept.until(lambda states: states[path] == State.OK)
