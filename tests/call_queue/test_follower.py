"""The one consumer of what AMI says: faults, losses and comparisons."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from call_queue import events as ev
from call_queue import reconcile
from call_queue.ami import Ami, Answer, Denied, Down, Gap, NotSent, Raw, Stream, Up
from call_queue.follower import Follower
from call_queue.recorder import Recorder
from call_queue.tracker import Arrived, Change, SeatChanged, SeatState
from tests.call_queue.conftest import MOBILE, NOON, Exchange, until

A, B = "1764000000.1", "1764000000.2"


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Heard:
    """A follower that runs, what it asked Asterisk for, and what it passed on."""

    user = "line"

    def __init__(self, exchange: Exchange) -> None:
        self.tracker = exchange.tracker
        self.stream = Stream()
        self.asked: list[tuple[str, dt.datetime]] = []
        self.up = True
        self.changes: list[Change] = []
        self.events: list[ev.Event] = []
        self.compared: list[tuple[set[str], dt.datetime]] = []
        self.lost = 0
        self.follower = Follower(
            self.stream, cast(Ami, self), self.tracker, cast(Recorder, self), changed=self._changed,
            heard=self.events.append, compared=lambda *what: self.compared.append(what), lost=self._lost)  # fmt: skip

    def ask_in_stream(self, action: str) -> None:
        if not self.up:
            raise NotSent("ami.not_connected")
        self.asked.append((action, now()))

    def take(self, change: Change) -> Future[object] | None:
        """The recorder's part: one caller's record makes trouble."""
        if isinstance(change, Arrived) and change.linkedid == B:
            raise RuntimeError("a fault of ours")
        return None

    def _changed(self, change: Change, kept: Future[object] | None) -> None:
        self.changes.append(change)

    def _lost(self) -> None:
        self.lost += 1

    def answers(self, *channels: str, to: int = -1) -> None:
        """To the comparison that was asked for last, or to an earlier one."""
        items = tuple({"Event": "CoreShowChannel", "Uniqueid": uid, "Linkedid": uid, "Channel": f"{MOBILE}-00000001",
                       "ChannelState": "6", "Duration": "00:01:00"} for uid in channels)  # fmt: skip
        for action, asked_at in [*batched(self.asked)][to]:
            self.stream.put(Answer(now(), action, True, items if action == "CoreShowChannels" else (), asked_at))

    async def arrives(self, uid: str) -> None:
        """Returns when all that came before it has been applied, too."""
        self.stream.put(Raw(now(), {"Event": "Newchannel", "Uniqueid": uid, "Linkedid": uid, "Exten": "1551",
                                    "Channel": f"{MOBILE}-0000000a", "CallerIDNum": "0671234567"}))  # fmt: skip
        await until(lambda: uid in self.tracker.calls)

    async def in_step(self, *channels: str) -> None:
        await self.asks(Up(now(), "line"))
        self.answers(*channels)
        await until(lambda: self.follower.in_step)

    async def asks(self, news: Up | Gap) -> None:
        asked = len(self.asked)
        self.stream.put(news)
        await until(lambda: len(self.asked) == asked + len(reconcile.LISTS))


def batched(asked: list[tuple[str, dt.datetime]]) -> list[list[tuple[str, dt.datetime]]]:
    count = len(reconcile.LISTS)
    return [asked[at : at + count] for at in range(0, len(asked), count)]


@asynccontextmanager
async def running(exchange: Exchange) -> AsyncIterator[Heard]:
    one = Heard(exchange)
    following = asyncio.create_task(one.follower.run())
    yield one
    assert not following.done(), "whatever came, it goes on"
    following.cancel()
    await asyncio.wait([following])


@pytest.fixture
async def heard(exchange: Exchange) -> AsyncIterator[Heard]:
    async with running(exchange) as one:
        yield one


async def test_what_cannot_be_applied_does_not_end_the_rest(heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    heard.stream.put(cast(Any, Raw(now(), cast(Any, None))))
    await heard.arrives(B)
    await heard.arrives(A)
    assert [change.linkedid for change in heard.changes if isinstance(change, Arrived)] == [A]
    assert [record.message.partition(":")[0] for record in caplog.records] == ["not applied"] * 2


async def test_it_is_in_step_once_it_has_compared_and_until_the_connection_is_lost(heard: Heard) -> None:
    assert not heard.follower.in_step
    await heard.in_step(A)
    assert [action for action, _ in heard.asked] == list(reconcile.LISTS)
    assert heard.compared == [({A}, heard.asked[-1][1])]
    heard.stream.put(Down(now(), "originate"))  # the other user's
    await heard.arrives("1764000000.3")
    assert (heard.follower.in_step, heard.lost) == (True, 0)
    heard.stream.put(Down(now(), "line"))
    heard.stream.put(Denied(now(), "line"))
    await heard.arrives("1764000000.4")
    assert (heard.follower.in_step, heard.lost) == (False, 1)
    await heard.in_step(A)


async def test_after_a_gap_nothing_is_certain_until_it_was_compared_anew(heard: Heard) -> None:
    await heard.in_step(A)
    await heard.asks(Gap(now()))
    assert (heard.follower.in_step, heard.lost) == (False, 1)
    heard.answers(A)
    await until(lambda: heard.follower.in_step)


async def test_the_answer_to_an_older_question_does_not_count(heard: Heard) -> None:
    """Two comparisons under way: the first one's list knows nothing of who came since."""
    await heard.asks(Up(now(), "line"))
    first = heard.asked[-1][1]
    await heard.asks(Gap(now()))
    heard.answers(A, to=0)
    await heard.arrives("1764000000.3")
    assert not heard.follower.in_step
    assert heard.compared == [({A}, first)], "and nobody is buried who came after it was asked"
    heard.answers(A, "1764000000.3")
    await until(lambda: heard.follower.in_step)


async def test_a_refused_list_leaves_it_uncertain_and_says_so(heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    await heard.asks(Up(now(), "line"))
    heard.stream.put(Answer(now(), "QueueStatus", False, (), now()))
    heard.answers(A)
    await heard.arrives("1764000000.3")
    assert not heard.follower.in_step
    assert "Asterisk refuses QueueStatus" in caplog.text


async def test_lost_again_before_it_could_ask(heard: Heard) -> None:
    heard.up = False
    heard.stream.put(Up(now(), "line"))
    await heard.arrives(A)
    assert (heard.asked, heard.follower.in_step) == ([], False)


async def test_wrap_up_ends_by_time_with_nothing_else_happening() -> None:
    exchange = Exchange(wrap_up_s=0.3)
    exchange.later((now() - NOON).total_seconds()).log_in("101")
    exchange.arrive(A)
    exchange.join(A)
    exchange.ring(A, "101", "17.11")
    exchange.answer(A, "101", "17.11")
    exchange.done(A, "101", "17.11")
    assert exchange.seat("101") == ("wrapup", "", "")
    async with running(exchange) as heard:
        await until(lambda: exchange.seat("101") == ("free", "", ""))
        assert [change.state for change in heard.changes if isinstance(change, SeatChanged)] == [SeatState.FREE]
