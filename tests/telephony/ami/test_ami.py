"""Our AMI connections against the real Asterisk: what they may do, what they may not, and what reaches them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from call_queue import events as ev
from call_queue import reconcile
from call_queue.ami import LONGEST_LINE, MOST_LINES, Ami, Answer, Raw, Refused, Stream, Up

LIMIT = 30  # seconds for whatever should happen soon
NOISE = ("VarSet", "Newexten", "RTCPSent", "RTCPReceived")
Connect = Callable[..., Any]


@pytest.fixture
def connect(exchange: Any) -> Connect:
    @asynccontextmanager
    async def start(user: str, **how: Any) -> AsyncIterator[Ami]:
        secret = {"line": exchange.secrets.ami_line, "originate": exchange.secrets.ami_originate}[user]
        ami = Ami("127.0.0.1", exchange.settings.ami_port, user, secret, Stream(), **how)
        ami.start()
        try:
            async with asyncio.timeout(LIMIT):
                await ami.wait_up()
            yield ami
        finally:
            await ami.close()

    return start


async def heard(stream: Stream, wanted: Callable[[Any], bool]) -> list[Any]:
    """Everything up to the first item that is wanted."""
    items: list[Any] = []
    async with asyncio.timeout(LIMIT):
        while not items or not wanted(items[-1]):
            items += await stream.take(1)
    return items


def named(item: Any, event: str) -> bool:
    return isinstance(item, Raw) and item.headers["Event"] == event


async def test_it_comes_up_and_hears_how_things_stand(exchange: Any, connect: Connect) -> None:
    with exchange.logged_in("101"):
        async with connect("line", wanted=ev.READERS) as ami, exchange.caller() as caller:
            assert isinstance((await heard(ami.stream, lambda item: isinstance(item, Up)))[-1], Up)
            await exchange.to_queue(caller)
            await exchange.queued(1)
            reconcile.ask(ami)
            answers = {}
            for action in reconcile.LISTS:
                found = await heard(ami.stream, lambda item, action=action: isinstance(item, Answer))
                assert (found[-1].action, found[-1].ok) == (action, True)
                answers[action] = [event for item in found[-1].items
                                   if (event := ev.read_listed(found[-1].at, item)) is not None]  # fmt: skip
            [waiting] = [one for one in answers["QueueStatus"] if isinstance(one, ev.Waiting)]
            [member] = [one for one in answers["QueueStatus"] if isinstance(one, ev.Member)]
            [channel] = [one for one in answers["CoreShowChannels"] if isinstance(one, ev.LiveChannel)]
            assert (waiting.queue, waiting.position, waiting.uniqueid) == ("city", 1, channel.uniqueid)
            assert (member.queue, member.member, member.interface) == ("city", "101", exchange.interface())
            assert (channel.endpoint, channel.linkedid, channel.up) == ("PJSIP/trunk-landline", channel.uniqueid, True)
            assert channel.application == "Queue"
            assert any(isinstance(one, ev.Device) for one in answers["DeviceStateList"])
            await caller.hang_up()
            ended = await heard(ami.stream, lambda item: named(item, "Hangup"))
            names = [item.headers["Event"] for item in ended if isinstance(item, Raw)]
            assert names.index("HangupRequest") < names.index("QueueCallerAbandon") < names.index("Hangup")


@pytest.mark.parametrize(("action", "headers"), [
    ("Command", {"Command": "core show version"}), ("Originate", {"Channel": "Local/s@menu", "Application": "Hangup"}),
    ("UpdateConfig", {"SrcFilename": "manager.conf", "DstFilename": "manager.conf"}),
    ("GetConfig", {"Filename": "pjsip.conf"}), ("ModuleLoad", {"LoadType": "reload"}),
    ("DBPut", {"Family": "a", "Key": "b", "Val": "c"}), ("Filter", {"Operation": "Add"}),
    ("MixMonitor", {"Channel": "x"}),
])  # fmt: skip
async def test_the_line_may_not(connect: Connect, action: str, headers: dict[str, str]) -> None:
    async with connect("line", wanted=ev.READERS) as ami:
        with pytest.raises(Refused) as refused:
            await ami.ask(action, headers)
        assert refused.value.details["reason"] == "Permission denied"
        assert (ami.up, ami.lost) == (True, 0)


@pytest.mark.parametrize(("action", "headers"), [
    ("QueuePause", {"Interface": "PJSIP/x", "Paused": "true"}), ("QueueAdd", {"Queue": "city", "Interface": "PJSIP/x"}),
    ("Hangup", {"Channel": "/.*/"}), ("Redirect", {"Channel": "x", "Context": "menu", "Exten": "s", "Priority": "1"}),
    ("Command", {"Command": "core show version"}), ("CoreShowChannels", {}),
])  # fmt: skip
async def test_who_places_calls_may_do_nothing_else(connect: Connect, action: str, headers: dict[str, str]) -> None:
    async with connect("originate", waits_for_boot=False) as ami:
        with pytest.raises(Refused) as refused:
            await ami.ask(action, headers)
        assert refused.value.details["reason"] == "Permission denied"


async def test_an_originate_that_fails_is_told_by_its_id(exchange: Any, connect: Connect) -> None:
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(connect("line", wanted=ev.READERS))
        placing = await stack.enter_async_context(connect("originate", waits_for_boot=False))
        answer = await placing.ask("Originate", {
            "Channel": "PJSIP/nobody", "Context": "callback-auto", "Exten": "s", "Priority": 1,
            "ChannelId": "cb-test-1", "Async": "true"}, action_id="cb-test-1")  # fmt: skip
        assert answer["Message"] == "Originate successfully queued"
        told = await heard(line.stream, lambda item: named(item, "OriginateResponse"))
        event = ev.read(told[-1].at, told[-1].headers)
        assert isinstance(event, ev.Originated)
        assert (event.action_id, event.success) == ("cb-test-1", False)
        assert (placing.up, placing.lost) == (True, 0)


async def test_asterisk_keeps_the_noise_to_itself(exchange: Any, connect: Connect) -> None:
    """Asked for here, and filtered by manager.conf: a whole call with its media makes none of it."""
    async with connect("line", wanted={*ev.READERS, *NOISE}) as ami:
        async with exchange.caller() as caller:
            await caller.media.hear(exchange.prompt("menu"))
            await caller.hang_up()
            await exchange.idle()
        items = await heard(ami.stream, lambda item: named(item, "Hangup"))
    names = {item.headers["Event"] for item in items if isinstance(item, Raw)}
    assert {"Newchannel", "Hangup"} <= names
    assert not names & set(NOISE)


async def test_as_much_as_we_write_is_read(connect: Connect) -> None:
    """The longest line that the serializer lets through, and the most of them."""
    async with connect("line", wanted=ev.READERS) as ami:
        assert "CoreCurrentCalls" in await ami.ask("CoreStatus", {"X-Pad": "x" * (LONGEST_LINE - len("X-Pad: \r\n"))})
        many = [""] * (MOST_LINES - 2)  # Action and ActionID
        assert "CoreCurrentCalls" in await ami.ask("CoreStatus", {"X-Pad": many})
