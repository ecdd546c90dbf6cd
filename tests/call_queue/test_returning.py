"""Who is brought back to a seat whose telephone is lost, when Asterisk answers an action before its events."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, cast

import pytest

from call_queue import events as ev
from call_queue.ami import Ami, NotSent, Refused
from call_queue.returning import Returning
from call_queue.tracker import Ended, Entered
from crm.calls import EndCause
from crm.errors import CentreError
from crm.store import Writer
from tests.call_queue.conftest import BROWSERS, INTERFACES, MOBILE, Exchange, at


class Asterisk:
    """Takes every action; ``error`` is what it says instead."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []  # action, channel
        self.error: Exception | None = None

    async def ask(self, action: str, headers: Mapping[str, Any]) -> dict[str, str]:
        if self.error:
            raise self.error
        self.asked.append((action, headers["Channel"]))
        if action == "Redirect":
            assert (headers["Context"], headers["Exten"]) == ("seat-lost", "101")
        return {}


@pytest.fixture
def asterisk() -> Asterisk:
    return Asterisk()


class Records:
    """Is told of each return, and keeps none."""

    def submit(self, fn: object) -> Future[None]:
        kept: Future[None] = Future()
        kept.set_result(None)
        return kept


@pytest.fixture
def returning(asterisk: Asterisk, exchange: Exchange) -> Returning:
    return Returning(cast(Ami, asterisk), exchange.tracker, cast(Writer, Records()), lambda: at(exchange.now))


def talks(exchange: Exchange) -> None:
    exchange.log_in("101")
    exchange.arrive("17.1")
    exchange.join("17.1")
    exchange.ring("17.1", "101", "17.11")
    exchange.answer("17.1", "101", "17.11")


async def test_once_however_often_it_is_asked(asterisk: Asterisk, exchange: Exchange, returning: Returning) -> None:
    talks(exchange)
    assert await returning.bring_back("101", ["17.11"])
    assert await returning.bring_back("101", ["17.11"])
    assert asterisk.asked == [("Redirect", "17.1"), ("Hangup", "17.11")]
    exchange.end("17.11", INTERFACES["101"], "17.1")
    assert await returning.bring_back("101", [])
    assert exchange.tracker.calls["17.1"].seat == "101"
    exchange.apply(ev.ChannelBegan(at(9), "17.12", "17.1", BROWSERS["101"], "", "s"))
    exchange.bridge("17.12", "17.1", BROWSERS["101"])
    returning.take(exchange.told[-2])
    assert exchange.seat("101")[:2] == ("talking", "17.1")
    assert await returning.bring_back("101", ["17.12"])  # and lost once more
    assert asterisk.asked[2:] == [("Redirect", "17.1"), ("Hangup", "17.12")]


@pytest.mark.parametrize("over", [Entered(at(9), "17.1", "city", None),
                                  Ended(at(9), "17.1", EndCause.COMPLETED, None, None, None)])  # fmt: skip
async def test_who_is_in_the_queue_or_gone_is_on_his_way_no_more(exchange: Exchange, returning: Returning,
                                                                 over: Entered | Ended) -> None:  # fmt: skip
    talks(exchange)
    assert await returning.bring_back("101", ["17.11"])
    exchange.end("17.11", INTERFACES["101"], "17.1")
    returning.take(over)
    assert not await returning.bring_back("101", [])


async def test_he_has_just_hung_up(asterisk: Asterisk, exchange: Exchange, returning: Returning) -> None:
    talks(exchange)
    asterisk.error = Refused("ami.refused", reason="Channel does not exist")
    assert not await returning.bring_back("101", ["17.11"])


async def test_with_asterisk_away_it_is_said_and_can_be_asked_again(asterisk: Asterisk, exchange: Exchange,
                                                                    returning: Returning) -> None:  # fmt: skip
    talks(exchange)
    asterisk.error = NotSent("ami.not_connected")
    with pytest.raises(CentreError, match=r"line\.asterisk_away"):
        await returning.bring_back("101", ["17.11"])
    asterisk.error = None
    assert await returning.bring_back("101", ["17.11"])
    assert asterisk.asked == [("Redirect", "17.1"), ("Hangup", "17.11")]


async def test_a_colleague_whom_the_seat_asks_is_hung_up_and_the_citizen_comes_back(
    asterisk: Asterisk, exchange: Exchange, returning: Returning
) -> None:
    talks(exchange)
    exchange.hold("17.1", "101", "17.11")
    exchange.apply(ev.ChannelBegan(at(5), "17.20", "17.20", INTERFACES["101"], "101", "102"))
    assert set(exchange.tracker.legs("101", INTERFACES["101"])) == {"17.11", "17.20"}
    assert exchange.tracker.legs("101", BROWSERS["101"]) == []
    assert await returning.bring_back("101", ["17.11", "17.20"])
    assert asterisk.asked == [("Redirect", "17.1"), ("Hangup", "17.11"), ("Hangup", "17.20")]


async def test_whom_we_called_is_known_by_his_own_channel(asterisk: Asterisk, exchange: Exchange,
                                                          returning: Returning) -> None:  # fmt: skip
    """The call's first channel is the seat's; it goes on without it."""
    exchange.apply(ev.ChannelBegan(at(0), "cb-1", "cb-1", INTERFACES["101"], "", "s"))
    exchange.apply(ev.ChannelBegan(at(1), "17.5", "cb-1", MOBILE, "", ""))
    exchange.apply(ev.Dialled(at(2), "cb-1", MOBILE, "ANSWER"))
    assert await returning.bring_back("101", ["cb-1"])
    assert asterisk.asked == [("Redirect", "17.5"), ("Hangup", "cb-1")]
    exchange.end("cb-1", INTERFACES["101"], "cb-1")
    exchange.apply(ev.CallerJoined(at(9), "17.5", "cb-1", "city", "", 1))
    assert [call.linkedid for call, _ in exchange.tracker.waiting()] == ["cb-1"]
    exchange.end("17.5", MOBILE, "cb-1")
    assert [change.linkedid for change in exchange.of(Ended)] == ["cb-1"]
    assert exchange.tracker.linkedid_of("17.5") == "cb-1"
