"""A real Asterisk on free ports for the scenarios, without our own processes.

Prompts are short noises, each its own, so that a test can tell by the bytes which one was heard. One Asterisk with the
default settings serves most scenarios (``exchange``); ``exchanges`` starts others.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from call_queue import order
from centre.asterisk import Asterisk
from centre.phones import Callee, Caller, SeatPhone, free_port
from centre.settings import Secrets, Settings, load, load_secrets
from crm.calls import Skill
from ivr.prompts import LANGUAGES, texts, tones

SECOND = 8000
LIMIT = 30  # seconds for whatever should happen soon
_calls = count(1)


def noise(name: str, seconds: float = 0.6) -> bytes:
    """A sound that no other name has."""
    block = hashlib.shake_256(name.encode()).digest(int(SECOND * seconds))
    return bytes(0x40 | (byte & 0xBF) for byte in block)  # quiet enough not to be clipped anywhere


class Ami:
    """What Asterisk tells the user ``line``, raw: each event is the list of its lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.events: list[list[str]] = []

    async def wait(self, name: str, **headers: str) -> list[str]:
        """The first event of that name with these headers, already told or still to come."""
        wanted = {f"Event: {name}", *(f"{key}: {value}" for key, value in headers.items())}
        seen = 0
        async with asyncio.timeout(LIMIT):
            while True:
                for event in self.events[seen:]:
                    if wanted <= set(event):
                        return event
                seen = len(self.events)
                await self.read()

    async def ask(self, action: str, **headers: str) -> list[str]:
        """What is answered to an action."""
        me = f"ActionID: t{next(_calls)}"
        lines = [f"Action: {action}", me, *(f"{key}: {value}" for key, value in headers.items())]
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
        async with asyncio.timeout(LIMIT):
            while True:
                await self.read()
                if me in self.events[-1] and self.events[-1][0].startswith("Response:"):
                    return self.events.pop()

    async def read(self) -> None:
        block = (await self._reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace")
        self.events.append(block.strip("\r\n").split("\r\n"))


class Wire(asyncio.DatagramProtocol):
    """SIP as bytes, for what no proper telephone sends."""

    def __init__(self, server: tuple[str, int], host: str) -> None:
        self._server, self.host = server, host
        self._received: asyncio.Queue[bytes] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport

    @property
    def port(self) -> int:
        port: int = self.transport.get_extra_info("sockname")[1]
        return port

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: object) -> None:
        self._received.put_nowait(data)

    def request(self, method: str, user: str = "1551", *, sender: bytes = b"<sip:0441234567@127.0.0.1>",
                to: bytes = b"", call: str = "", cseq: int = 1, headers: Sequence[bytes] = (),
                body: bytes = b"") -> bytes:  # fmt: skip
        """A whole request. ``call``: its Call-ID, by default a new one. ``to``: the whole To, else who is dialled."""
        uri = f"sip:{user}@{self._server[0]}:{self._server[1]}".encode()
        lines = [
            method.encode() + b" " + uri + b" SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{next(_calls)}".encode(),
            b"From: " + sender + b";tag=us", b"To: " + (to or b"<" + uri + b">"),
            f"Call-ID: {call or f'wire-{next(_calls)}'}".encode(), f"CSeq: {cseq} {method}".encode(),
            f"Contact: <sip:phone@{self.host}:{self.port}>".encode(), b"Max-Forwards: 70", *headers,
            *([b"Content-Type: application/sdp"] if body else []), f"Content-Length: {len(body)}".encode(),
        ]  # fmt: skip
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def send(self, request: bytes) -> None:
        self.transport.sendto(request, self._server)

    async def ask(self, request: bytes) -> bytes:
        """The final answer to a request."""
        while not self._received.empty():
            self._received.get_nowait()
        async with asyncio.timeout(LIMIT):
            self.send(request)
            while not re.match(rb"SIP/2.0 [2-6]", answer := await self._received.get()):
                pass
        return answer


class Exchange:
    """A running Asterisk and what a test asks of it."""

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        self.settings, self.secrets = settings, secrets
        self.asterisk = Asterisk(settings, secrets)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.asterisk.prepare()
        mask = os.umask(0o077)
        self._process = subprocess.Popen(self.asterisk.argv(), env=self.asterisk.env(), stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)  # fmt: skip
        os.umask(mask)
        self.asterisk.wait_booted()

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(30)

    @property
    def sip(self) -> tuple[str, int]:
        return str(self.settings.sip_bind), self.settings.sip_port

    def caller(self, number: str = "+380441234567", **how: Any) -> Caller:
        return Caller(self.sip, number, **how)

    def seat(self, number: str = "101", **how: Any) -> SeatPhone:
        seat = self.secrets.seats[number]
        return SeatPhone(self.sip, seat.sip_user, seat.sip_secret, **how)

    def interface(self, number: str = "101") -> str:
        return self.secrets.seats[number].interface

    def prompt(self, name: str, language: str = "uk") -> Path:
        return self.settings.prompts / language / f"{name}.alaw"

    def voice(self, name: str) -> bytes:
        """What somebody says, known again by `says`."""
        sound = noise(name)
        (self.settings.var / f"{name}.alaw").write_bytes(sound)
        return sound

    def says(self, name: str) -> Path:
        return self.settings.var / f"{name}.alaw"

    def log_in(self, number: str = "101", queue: str = "city") -> None:
        """Puts the seat into the queue, as the star code does."""
        interface = self.interface(number)
        self.asterisk.rx(f"queue add member {interface} to {queue} penalty 0 as {number} state_interface {interface}")

    def log_out(self, number: str = "101", line: str = "city") -> None:
        for queue in order.queues_of(number, (line,), tuple(Skill)):
            self.asterisk.rx(f"queue remove member {self.interface(number)} from {queue}")

    @contextmanager
    def logged_in(self, *numbers: str) -> Iterator[None]:
        for number in numbers:
            self.log_in(number)
        try:
            yield
        finally:
            for number in numbers:
                self.log_out(number)

    async def to_queue(self, caller: Caller, key: str = "0", language: str = "uk") -> None:
        """Presses this key in the menu and hears that he is being connected. He speaks: a telephone here that hears
        nobody is silent, for it does not know where to."""
        if not caller.media.speaks:
            caller.media.speak(self.voice("citizen"))
        await caller.media.hear(self.prompt("menu", language))
        await caller.media.press(key)
        await caller.media.hear(self.prompt("connecting", language))

    def in_queue(self, queue: str = "city") -> list[str]:
        """The channels that wait there, in Asterisk's order."""
        shown = self.asterisk.rx(f"queue show {queue}")
        return re.findall(r"^ +\d+\. (\S+) \(wait: ", shown, re.MULTILINE)

    async def queued(self, wanted: int, queue: str = "city") -> None:
        """Waits until that many callers wait there."""
        await self.until(lambda: len(self.in_queue(queue)) == wanted)

    async def withdraw(self, channel: str, queue: str = "city") -> None:
        """Ends his slice of waiting, as its time would."""
        async with self.ami() as ami:
            assert "Response: Success" in await ami.ask("QueueWithdrawCaller", Queue=queue, Caller=channel)

    async def until(self, true: Callable[[], bool]) -> None:
        """Waits until Asterisk says so: for what it tells nobody by itself."""
        async with asyncio.timeout(LIMIT):
            while not await asyncio.to_thread(true):  # noqa: ASYNC110  Asterisk tells of it by no event
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def ami(self, user: str = "line") -> AsyncIterator[Ami]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.settings.ami_port, limit=1 << 20)
        try:
            await reader.readline()
            ami = Ami(reader, writer)
            secret = getattr(self.secrets, f"ami_{user}")
            assert "Response: Success" in await ami.ask("Login", Username=user, Secret=secret)
            yield ami
        finally:
            writer.close()

    @asynccontextmanager
    async def outside(self) -> AsyncIterator[Callee]:
        """A telephone behind the landline trunk, which is known to be up: nothing is dialled on one that is down."""
        host, port = self.settings.landline_host.split(":")
        async with Callee(int(port), host=host) as telephone:
            await asyncio.to_thread(self.asterisk.rx, "pjsip qualify trunk-landline")
            await self.until(lambda: " Avail " in self.asterisk.rx("pjsip show aor trunk-landline"))
            yield telephone

    @asynccontextmanager
    async def wire(self, host: str = "127.0.0.1") -> AsyncIterator[Wire]:
        loop = asyncio.get_running_loop()
        transport, wire = await loop.create_datagram_endpoint(lambda: Wire(self.sip, host), local_addr=(host, 0))
        try:
            yield wire
        finally:
            transport.close()

    def channels(self) -> int:
        counted = re.search(r"(\d+) active channel", self.asterisk.rx("core show channels count"))
        assert counted
        return int(counted[1])

    async def idle(self) -> None:
        """Waits until no channel is left. A channel that stays is a leak."""
        try:
            await self.until(lambda: self.channels() == 0)
        except TimeoutError:
            stayed = self.asterisk.rx("core show channels concise")
            self.asterisk.rx("channel request hangup all")  # the next test shall not suffer
            raise AssertionError(f"channels stayed: {stayed}") from None

    def spooled(self, caller: str | None = None) -> list[dict[str, Any]]:
        """What Asterisk wrote down for us, oldest first; of one caller, by the linkedid that he came with."""
        files = [json.loads(path.read_text()) for path in sorted(self.settings.spool.glob("*.json"))]
        if caller is None:
            return files
        ids = {one["linkedid"] for one in files if one.get("caller", "") == caller}
        return [one for one in files if one["linkedid"] in ids]

    def complaints(self) -> list[str]:
        """Warnings and errors of Asterisk's own log."""
        log = (self.settings.asterisk / "log" / "messages").read_text(errors="replace")
        return [line for line in log.splitlines() if re.search(r"\] (WARNING|ERROR)\[", line)]


def settings_for(var: Path, **more: Any) -> Settings:
    """Settings on free ports, with prompts that are noises."""
    tcp = socket.SOCK_STREAM
    settings = load(**{
        "var": var, "sip_port": free_port(), "ami_port": free_port(kind=tcp), "agi_port": free_port(kind=tcp),
        "asterisk_http_port": free_port(kind=tcp), "seat_count": 3, "landline_host": f"127.0.0.1:{free_port()}",
        "mobile_host": f"127.0.0.2:{free_port('127.0.0.2')}", "wrap_up": 0,
        # Asked by the tests alone: a question that was sent before the telephones were there would put it down later.
        "trunk_qualify": 3600, **more,
    })  # fmt: skip
    for language in LANGUAGES:
        for name in {**texts(language), **tones()}:
            path = settings.prompts / language / f"{name}.alaw"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(noise(f"{language}/{name}"))
    return settings


@pytest.fixture(scope="session")
def exchange_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_for(tmp_path_factory.mktemp("exchange"), ring_timeout=5)


@pytest.fixture(scope="session")
def running(exchange_settings: Settings) -> Iterator[Exchange]:
    exchange = Exchange(exchange_settings, load_secrets(exchange_settings))
    try:
        exchange.start()
        yield exchange
    finally:
        exchange.stop()


@pytest.fixture
async def exchange(running: Exchange) -> AsyncIterator[Exchange]:
    """The running Asterisk, with an empty spool before and no channel left after."""
    for path in running.settings.spool.glob("*.json"):
        path.unlink()
    yield running
    await running.idle()


@pytest.fixture(scope="module")
def exchanges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Exchange]]:
    """``exchanges(srtp=True, …)``: another Asterisk with these settings, until the module's end."""
    with ExitStack() as stack:

        def start(**more: Any) -> Exchange:
            settings = settings_for(tmp_path_factory.mktemp("exchange"), **more)
            exchange = Exchange(settings, load_secrets(settings))
            stack.callback(exchange.stop)
            exchange.start()
            return exchange

        yield start
