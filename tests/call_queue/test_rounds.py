"""Rounds end when they are told to, whatever else happens at that moment."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from call_queue.rounds import Rounds


class Idle(Rounds):
    async def _pass(self) -> None:
        pass


async def test_poked_and_cancelled_at_once_they_end() -> None:
    rounds = Idle(cast(Any, None), cast(Any, None))
    running = asyncio.create_task(rounds.run())
    await asyncio.sleep(0)  # it waits to be poked
    await asyncio.sleep(0)
    rounds.poke()
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=5)
    assert done, "who cancels it would wait for ever"
    with pytest.raises(asyncio.CancelledError):
        running.result()
