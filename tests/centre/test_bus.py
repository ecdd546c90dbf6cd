"""The line's socket: what is published arrives, requests are answered, nobody slow or hostile holds it up."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from centre.bus import BEHIND, Client, Publisher
from crm.errors import BadInput, CentreError

PATIENCE = 5


async def next_of(events: AsyncIterator[Any]) -> Any:
    return await asyncio.wait_for(anext(events), PATIENCE)


async def answer(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if request["do"] == "refuse":
        raise BadInput("seat.offline", seat=request["seat"])
    if request["do"] == "break":
        raise RuntimeError("a fault of ours")
    if request["do"] == "hang":
        await asyncio.Event().wait()
    return {"seen": request["seat"]} if "seat" in request else None


@asynccontextmanager
async def publisher(path: Path) -> AsyncIterator[Publisher]:
    one = Publisher(path)
    one.snapshot = lambda: {"event": "snapshot", "at": "now"}
    one.answer = answer
    await one.start()
    try:
        yield one
    finally:
        await one.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Deeper than a socket's own name may be long."""
    return tmp_path / ("deep" * 20) / ("deeper" * 10) / "line.sock"


async def test_a_subscriber_gets_the_snapshot_first_and_then_each_event_in_order(path: Path) -> None:
    async with publisher(path) as line, aclosing(Client(path).events()) as events:
        assert await next_of(events) == {"event": "snapshot", "at": "now"}
        for number in range(3):
            line.publish({"event": "seat", "seat": str(number), "text": "Київ\n"})
        assert [(await next_of(events))["seat"] for _ in range(3)] == ["0", "1", "2"]


async def test_only_this_user_may_connect(path: Path) -> None:
    async with publisher(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600  # noqa: ASYNC240
        assert [entry.name for entry in path.parent.iterdir()] == ["line.sock"]


async def test_a_client_waits_for_a_line_that_starts_later_and_comes_back_to_one_that_restarts(path: Path) -> None:
    path.parent.mkdir(parents=True)
    async with aclosing(Client(path).events()) as events:
        assert await next_of(events) == {"event": "lost"}
        for _ in range(2):
            async with publisher(path):
                assert (await next_of(events))["event"] == "snapshot"
            assert await next_of(events) == {"event": "lost"}


async def test_the_socket_of_a_killed_line_is_taken_over_and_that_of_a_living_one_is_not(path: Path) -> None:
    async with publisher(path):
        with pytest.raises(FileExistsError):
            await Publisher(path).start()
        left = path.with_name("left.sock")
        path.rename(left)  # noqa: ASYNC240
    async with publisher(left), aclosing(Client(left).events()) as events:
        assert (await next_of(events))["event"] == "snapshot"


@asynccontextmanager
async def connected(path: Path, patience: float = PATIENCE) -> AsyncIterator[Client]:
    """A client with somebody reading its events."""
    client = Client(path, patience)
    heard = asyncio.Event()

    async def listen() -> None:
        async with aclosing(client.events()) as events:
            async for _ in events:
                heard.set()

    listening = asyncio.create_task(listen())
    await asyncio.wait_for(heard.wait(), PATIENCE)
    try:
        yield client
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_a_request_is_answered_or_refused_by_the_lines_own_error_id(path: Path) -> None:
    async with publisher(path), connected(path) as client:
        assert await client.request("login", seat="101") == {"seen": "101"}
        assert await client.request("changed") == {}
        with pytest.raises(CentreError) as refused:
            await client.request("refuse", seat="101")
        assert (refused.value.id, refused.value.details) == ("seat.offline", {"seat": "101"})
        with pytest.raises(CentreError, match=r"line\.failed"):
            await client.request("break")
        assert await client.request("login", seat="102") == {"seen": "102"}


async def test_requests_that_wait_do_not_hold_up_others_and_end_in_time(path: Path) -> None:
    async with publisher(path), connected(path, patience=0.5) as client:
        hanging = asyncio.create_task(client.request("hang"))
        assert await client.request("login", seat="101") == {"seen": "101"}
        with pytest.raises(CentreError, match=r"line\.unanswered"):
            await hanging


async def test_a_line_that_dies_answers_nobody_for_ever(path: Path) -> None:
    async with publisher(path) as line, connected(path) as client:
        hanging = asyncio.create_task(client.request("hang"))
        await client.request("login", seat="101")
        await line.close()
        with pytest.raises(CentreError, match=r"line\.unanswered"):
            await asyncio.wait_for(hanging, PATIENCE)
        with pytest.raises(CentreError, match=r"line\.unreachable"):
            await client.request("login", seat="101")


@asynccontextmanager
async def stranger(path: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that nothing of ours is behind."""
    folder = os.open(path.parent, os.O_PATH)
    reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)
    await reader.readline()
    yield reader, writer
    writer.transport.abort()


async def test_a_subscriber_that_does_not_read_is_cut_off_and_the_others_hear_everything(path: Path) -> None:
    async with publisher(path) as line, aclosing(Client(path).events()) as events, stranger(path) as (reader, _):
        await next_of(events)
        told = 2 * BEHIND // 10_000 + 100
        for number in range(told):
            line.publish({"event": "seat", "number": number, "padding": "x" * 10_000})
            assert (await next_of(events))["number"] == number
        heard = 0
        with suppress(ConnectionError):
            while await asyncio.wait_for(reader.readline(), PATIENCE):
                heard += 1
        assert 0 < heard < told


@pytest.mark.parametrize("line", [b"\xff\xfe\n", b"[]\n", b"{}\n", b'{"do": 5}\n', b"null\n", b'{"do":"\n'])
async def test_what_is_no_request_is_refused_and_the_connection_lives(path: Path, line: bytes) -> None:
    async with publisher(path), stranger(path) as (reader, writer):
        writer.write(line + b'{"id": 1, "do": "login", "seat": "101"}\n')
        replies = [json.loads(await asyncio.wait_for(reader.readline(), PATIENCE)) for _ in range(2)]
        assert {reply["reply"]: reply["ok"] for reply in replies} == {None: False, 1: True}
