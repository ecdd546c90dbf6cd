"""What the tracker makes of the real Asterisk's events, in the order in which they really come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from call_queue import events as ev
from call_queue import reconcile
from call_queue import tracker as t
from call_queue.ami import Ami, Answer, Raw, Stream
from call_queue.tracker import Tracker
from crm.calls import EndCause

LIMIT = 30  # seconds for whatever should happen soon


class Follow:
    """A tracker that hears everything; ``told`` is what came of it."""

    def __init__(self, exchange: Any) -> None:
        seats = {exchange.interface(number): number for number in exchange.secrets.seats}
        trunks = {"PJSIP/trunk-landline": "landline", "PJSIP/trunk-mobile": "mobile"}
        self.tracker = Tracker(seats, trunks, 0, exchange.settings.short_number)
        self.stream = Stream()
        self.told: list[t.Change] = []
        self.changed = asyncio.Event()

    async def run(self) -> None:
        while True:
            for item in await self.stream.take():
                if isinstance(item, Raw) and (event := ev.read(item.at, item.headers)):
                    self.told += self.tracker.apply(event)
                elif isinstance(item, Answer):
                    self.told += reconcile.apply(self.tracker, item)
            self.changed.set()

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT):
            while not true():
                self.changed.clear()
                await self.changed.wait()

    async def hear(self, kind: type[t.Change], count: int = 1) -> None:
        await self.until(lambda: len(self.of(kind)) >= count)

    def of(self, *kinds: type[t.Change]) -> list[Any]:
        return [change for change in self.told if isinstance(change, kinds)]

    def story(self) -> list[tuple[str, ...]]:
        """The calls' changes after their arrival, without times."""
        changes = [change for change in self.of(t.CallChange) if not isinstance(change, t.Arrived)]
        return [(type(change).__name__, *(str(getattr(change, name)) for name in ("seat", "to", "cause")
                                          if hasattr(change, name))) for change in changes]  # fmt: skip

    def state(self, number: str) -> str:
        return self.tracker.seats[number].told[0].value


@pytest.fixture
async def follow(exchange: Any) -> AsyncIterator[Follow]:
    follow = Follow(exchange)
    ami = Ami("127.0.0.1", exchange.settings.ami_port, "line", exchange.secrets.ami_line, follow.stream,
              wanted=ev.READERS)  # fmt: skip
    ami.start()
    async with asyncio.timeout(LIMIT):
        await ami.wait_up()
    reconcile.ask(ami)
    following = asyncio.create_task(follow.run())
    yield follow
    following.cancel()
    await asyncio.wait([following])
    await ami.close()
    assert not follow.tracker.calls
    assert not follow.tracker.waiting()


@asynccontextmanager
async def conversation(exchange: Any, follow: Follow) -> AsyncIterator[Any]:
    """A citizen who talks with the seat 101, which alone is logged in."""
    with exchange.logged_in("101"):
        async with exchange.caller("0441112233") as caller:
            await exchange.to_queue(caller)
            await follow.hear(t.Answered)
            yield caller


BEGINNING = [("Entered",), ("Rang", "101"), ("Answered", "101")]


async def test_a_conversation_with_a_hold(exchange: Any, follow: Follow) -> None:
    async with exchange.seat("101") as seat, conversation(exchange, follow) as caller:
        assert follow.state("101") == "talking"
        seat.hold()
        await follow.until(lambda: follow.state("101") == "hold")
        seat.resume()
        await follow.hear(t.Held)
        assert follow.state("101") == "talking"
        await caller.hang_up()
        await follow.hear(t.Ended)
        await follow.until(lambda: follow.state("101") in ("free", "out"))
    assert follow.story() == [*BEGINNING, ("Held", "101"), ("Ended", "completed")]
    [ended] = follow.of(t.Ended)
    assert ended.talk_s > 0
    assert ended.hold_s > 0


async def test_who_hangs_up_in_the_queue_gave_up(exchange: Any, follow: Follow) -> None:
    async with exchange.caller("0441112233") as caller:
        await exchange.to_queue(caller)
        await follow.hear(t.Entered)
        assert [place for _, place in follow.tracker.waiting("city")] == [1]
        await caller.hang_up()
        await follow.hear(t.Ended)
    assert follow.story() == [("Entered",), ("Ended", "abandoned")]


async def test_who_hangs_up_in_the_menu_does_not(exchange: Any, follow: Follow) -> None:
    async with exchange.caller("0441112233") as caller:
        await caller.media.hear(exchange.prompt("menu"))
        await caller.hang_up()
        await follow.hear(t.Ended)
    assert [change.cause for change in follow.of(t.Ended)] == [EndCause.IVR]


@pytest.mark.parametrize("how", [{"ring_ms": 60_000}, {"answer": 486}], ids=["silent", "declined"])
async def test_a_seat_that_does_not_take_the_call(exchange: Any, follow: Follow, how: dict[str, int]) -> None:
    async with exchange.seat("101", **how), exchange.caller("0441112233") as caller:
        with exchange.logged_in("101"):
            await exchange.to_queue(caller)
            await follow.hear(t.Silent)
        await caller.hang_up()
        await follow.hear(t.Ended)
    assert follow.story()[:3] == [("Entered",), ("Rang", "101"), ("Silent", "101")]
    assert follow.of(t.Ended)[0].cause is EndCause.ABANDONED


async def test_a_blind_transfer_to_another_seat(exchange: Any, follow: Follow) -> None:
    async with exchange.seat("101") as seat, exchange.seat("102") as other, conversation(exchange, follow):
        seat.transfer("102")
        await follow.hear(t.Answered, 2)
        assert follow.state("102") == "talking"
        await follow.until(lambda: follow.state("101") == "free")
        other.hang_up()
        await follow.hear(t.Ended)
    assert follow.story() == [*BEGINNING, ("Transferred", "101", "102"), ("Answered", "102"), ("Ended", "completed")]


async def test_an_attended_transfer(exchange: Any, follow: Follow) -> None:
    async with exchange.seat("101") as seat, exchange.seat("102") as other, conversation(exchange, follow):
        seat.hold()
        await follow.until(lambda: follow.state("101") == "hold")
        async with seat.dials("102") as consultation:
            await follow.until(lambda: follow.state("102") == "talking")
            assert follow.state("101") == "hold"
            await exchange.until(lambda: "\nACK " in other.messages())
            seat.transfer("102", replaces=consultation.dialogue())
            await follow.hear(t.Transferred)
            await follow.hear(t.Answered, 2)
            await consultation.ended()
        await follow.until(lambda: follow.state("101") == "free")
        [call] = follow.tracker.calls.values()
        assert follow.tracker.seats["102"].told[:2] == ("talking", call.linkedid)
        other.hang_up()
        await follow.hear(t.Ended)
    story = follow.story()
    assert story[:3] == BEGINNING
    assert sorted(story[3:]) == sorted([("Held", "101"), ("Transferred", "101", "102"), ("Answered", "102"),
                                        ("Ended", "completed")])  # fmt: skip
    assert story[-1] == ("Ended", "completed")


async def test_a_transfer_back_to_the_queue(exchange: Any, follow: Follow) -> None:
    async with exchange.seat("101") as seat, conversation(exchange, follow) as caller:
        seat.transfer("1551")
        await follow.hear(t.Answered, 2)
        assert follow.state("101") == "talking"
        await caller.hang_up()
        await follow.hear(t.Ended)
    assert follow.story() == [*BEGINNING, ("Transferred", "101", "1551"), ("Entered",), ("Rang", "101"),
                              ("Answered", "101"), ("Ended", "completed")]  # fmt: skip


async def test_a_conversation_found_after_a_loss(exchange: Any, follow: Follow) -> None:
    """Another tracker, that begins amid it, believes the same."""
    late = Follow(exchange)
    async with exchange.seat("101"), conversation(exchange, follow) as caller:
        ami = Ami("127.0.0.1", exchange.settings.ami_port, "line", exchange.secrets.ami_line, late.stream,
                  wanted=ev.READERS)  # fmt: skip
        ami.start()
        async with asyncio.timeout(LIMIT):
            await ami.wait_up()
        reconcile.ask(ami)
        following = asyncio.create_task(late.run())
        await late.hear(t.Answered)
        await late.until(lambda: late.state("101") == "talking")
        assert set(late.tracker.calls) == set(follow.tracker.calls)
        assert late.tracker.seats["101"].told == follow.tracker.seats["101"].told
        await caller.hang_up()
        await late.hear(t.Ended)
        following.cancel()
        await asyncio.wait([following])
        await ami.close()
    assert late.story() == [("Answered", "101"), ("Ended", "completed")]
