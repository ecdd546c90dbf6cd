"""Our process is killed, or hangs, with a caller in the menu, in the queue, in conversation: he notices nothing, and
all of his call is on record once we are back, each thing once."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from crm.calls import EndCause

LINE_HUNG = 10  # seconds, at most, that a hung line may cost him


@pytest.fixture
async def operator(centre: Any) -> Any:
    """Seat 101, in the queue, whose voice is known."""
    exchange = centre.exchange
    async with exchange.seat() as seat:
        seat.media.speak(exchange.voice("operator"))
        await centre.log_in()
        yield seat
        exchange.log_out()


async def spoke(centre: Any, number: str) -> Any:
    """His call on record, whole."""
    call = await centre.call_of(number, lambda call: call.end_cause == EndCause.COMPLETED)
    assert call.seat == "101"
    assert call.answered_at is not None
    assert call.talk_s is not None
    kinds = centre.kinds(call.linkedid)
    assert sorted(set(kinds) - {"rang"}) == sorted(kind for kind in kinds if kind != "rang"), "each thing once"
    await centre.exchange.until(lambda: not centre.exchange.spooled())
    return call


@pytest.mark.parametrize("stage", ["menu", "queue", "conversation"])
async def test_killed(centre: Any, operator: Any, stage: str) -> None:
    exchange = centre.exchange
    if stage == "queue":
        await centre.bus.request("pause", seat="101", reason="break")
    async with exchange.caller("0671112233") as caller:
        await caller.media.hear(exchange.prompt("menu"))
        if stage == "menu":
            await centre.kill_line()
        await caller.media.press("0")
        await caller.media.hear(exchange.prompt("connecting"))
        if stage == "queue":
            await exchange.queued(1)
            await centre.kill_line()
            exchange.asterisk.rx(f"queue unpause member {exchange.interface()}")
        await caller.media.hear(exchange.says("operator"))
        if stage == "conversation":
            await centre.seat_is("talking")
            await centre.kill_line()
        await caller.hang_up()
        await exchange.idle()
    await centre.start_line()
    await spoke(centre, "+380671112233")


@pytest.mark.parametrize("stage", ["menu", "queue", "conversation"])
async def test_back_while_he_is_on_the_line(centre: Any, operator: Any, stage: str) -> None:
    """What we believe is rebuilt from Asterisk: who waits, who talks."""
    exchange = centre.exchange
    if stage == "queue":
        await centre.bus.request("pause", seat="101", reason="break")
    async with exchange.caller("0671112233") as caller:
        await caller.media.hear(exchange.prompt("greeting"))
        if stage == "menu":
            await centre.kill_line()
            await centre.start_line()
        await exchange.to_queue(caller)
        if stage == "queue":
            await exchange.queued(1)
            await centre.kill_line()
            await centre.start_line()
            await centre.snapshot(lambda s: [w["caller"] for w in s["waiting"]] == ["+380671112233"])
            await centre.seat_is("paused")
            await centre.bus.request("unpause", seat="101")
        await caller.media.hear(exchange.says("operator"))
        if stage == "conversation":
            await centre.seat_is("talking")
            await centre.kill_line()
            await centre.start_line()
        await centre.seat_is("talking")
        await caller.hang_up()
    call = await spoke(centre, "+380671112233")
    assert call.staff_id == 1


async def test_hung(centre: Any, operator: Any) -> None:
    """The kernel still accepts connections for a stopped process: the worst that FastAGI can do."""
    exchange = centre.exchange
    centre.signal_line(signal.SIGSTOP)
    try:
        async with exchange.caller("0671112233") as caller:
            await caller.media.hear(exchange.prompt("greeting"), timeout=3)
            await caller.media.hear(exchange.prompt("menu"), timeout=LINE_HUNG)
            await caller.media.press("0")
            await caller.media.hear(exchange.says("operator"))
            await caller.hang_up()
            await exchange.idle()
    finally:
        centre.signal_line(signal.SIGCONT)
    await spoke(centre, "+380671112233")
