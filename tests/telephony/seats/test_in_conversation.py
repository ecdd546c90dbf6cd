"""In conversation a seat holds and transfers by SIP: the citizen is kept, and one recording goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any


@asynccontextmanager
async def conversation(exchange: Any, seat: Any) -> AsyncIterator[Any]:
    """A citizen who talks with the seat 101, which alone is logged in; "citizen" and "first" are what they say."""
    seat.media.speak(exchange.voice("first"))
    with exchange.logged_in("101"):
        async with exchange.caller("0441112233") as caller:
            await exchange.to_queue(caller)
            await caller.media.hear(exchange.says("first"))
            await seat.media.hear(exchange.says("citizen"))
            yield caller


def recordings(exchange: Any) -> list[Path]:
    return sorted(exchange.settings.recordings.rglob("*.wav"))


def size(file: Path) -> int:
    return file.stat().st_size


async def grows(exchange: Any, file: Path) -> None:
    before = size(file)
    await exchange.until(lambda: size(file) > before)


async def test_hold(exchange: Any) -> None:
    async with exchange.ami() as ami, exchange.seat("101") as seat, conversation(exchange, seat) as caller:
        seat.hold()
        event = await ami.wait("Hold")
        assert f"Channel: {exchange.interface()}-" in "\n".join(event)
        caller.media.forget()
        await caller.media.hear(exchange.prompt("thanks-waiting"))
        seat.resume()
        await ami.wait("Unhold")
        caller.media.forget()
        await caller.media.hear(exchange.says("first"))
        await caller.hang_up()


async def test_blind_transfer_to_another_seat(exchange: Any) -> None:
    before = recordings(exchange)
    async with exchange.seat("101") as seat, exchange.seat("102") as other, conversation(exchange, seat) as caller:
        [file] = set(recordings(exchange)) - set(before)
        other.media.speak(exchange.voice("second"))
        seat.transfer("102")
        await caller.media.hear(exchange.says("second"))
        await other.media.hear(exchange.says("citizen"))
        await grows(exchange, file)
        other.hang_up()
        await caller.media.hear(exchange.prompt("goodbye"))
        await caller.ended()
        await exchange.idle()
    assert [file] == sorted(set(recordings(exchange)) - set(before))
    assert [one["kind"] for one in exchange.spooled()] == ["arrived", "queued", "recording", "ended"]
    assert file.as_posix().endswith(exchange.spooled()[-1]["file"])


async def test_blind_transfer_to_nobody_leads_back_to_the_queue(exchange: Any) -> None:
    async with exchange.seat("101") as seat, conversation(exchange, seat) as caller:
        seat.transfer("103")  # which is not signed in
        await caller.media.hear(exchange.prompt("apology"))
        caller.media.forget()
        await caller.media.hear(exchange.says("first"))
        assert len(seat.called()) == 2
        await caller.hang_up()


async def test_blind_transfer_back_to_the_queue(exchange: Any) -> None:
    async with exchange.seat("101") as seat, conversation(exchange, seat) as caller:
        exchange.log_out("101")
        seat.transfer("1551")
        await exchange.queued(1)
        await caller.hang_up()


async def test_a_citizen_is_not_transferred_to_a_code_or_outside(exchange: Any) -> None:
    """A code would log the citizen's trunk in as a seat."""
    for to in ("*10", "102001", "to102"):
        async with exchange.seat("101") as seat, conversation(exchange, seat) as caller:
            seat.transfer(to)
            await exchange.until(lambda seat=seat: "\nSIP/2.0 404 Not Found\n" in seat.messages())

            caller.media.forget()
            await caller.media.hear(exchange.says("first"))
            await caller.hang_up()


async def test_blind_transfer_to_an_emergency_service_and_to_nobody_else(exchange: Any) -> None:
    """Also when we are away. Whoever may not be called is not, and the citizen goes back to the queue."""
    async with (exchange.seat("101") as seat, exchange.outside() as outside,
                conversation(exchange, seat) as caller):  # fmt: skip
        outside.media.speak(exchange.voice("service"))
        seat.transfer("+380441234567")
        await caller.media.hear(exchange.prompt("apology"))
        caller.media.forget()
        await caller.media.hear(exchange.says("first"))
        assert outside.called() == []
        seat.transfer("0102")
        await caller.media.hear(exchange.says("service"))
        await outside.media.hear(exchange.says("citizen"))
        assert outside.called() == ["102"]
        outside.hang_up()
        await caller.media.hear(exchange.prompt("goodbye"))
        await caller.ended()


async def test_attended_transfer(exchange: Any) -> None:
    before = recordings(exchange)
    async with exchange.seat("101") as seat, exchange.seat("102") as other, conversation(exchange, seat) as caller:
        [file] = set(recordings(exchange)) - set(before)
        seat.hold()
        other.media.speak(exchange.voice("second"))
        async with seat.dials("102") as consultation:
            consultation.media.speak(exchange.voice("asking"))
            await consultation.media.hear(exchange.says("second"))
            assert not caller.media.has_heard(exchange.says("second"))
            seat.transfer("102", replaces=consultation.dialogue())
            await caller.media.hear(exchange.says("second"))
            await other.media.hear(exchange.says("citizen"))
            await consultation.ended()
        await grows(exchange, file)
        other.hang_up()
        await caller.media.hear(exchange.prompt("goodbye"))
        await caller.ended()
        await exchange.idle()
    assert [file] == sorted(set(recordings(exchange)) - set(before))
