"""A scripted Asterisk that speaks AMI byte by byte as Asterisk 22 does, and a small exchange for the tracker."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeVar

import pytest

from call_queue import ami
from call_queue import events as ev
from call_queue.ami import Ami, Stream
from call_queue.tracker import Change, Tracker
from crm.sign_in import Phone

LIMIT = 30  # seconds for whatever should happen soon
NOON = dt.datetime(2026, 11, 24, 10, 0, tzinfo=dt.UTC)  # a Tuesday, 12:00 in Kyiv
SEATS = {"PJSIP/seat101-k3": "101", "PJSIP/seat102-p8": "102", "PJSIP/seat103-w1": "103"}
INTERFACES = {number: interface for interface, number in SEATS.items()}
BROWSERS = {number: f"{interface}-b" for number, interface in INTERFACES.items()}
PHONES = {number: {Phone.DESK: INTERFACES[number], Phone.BROWSER: BROWSERS[number]} for number in INTERFACES}
LANDLINE, MOBILE = "PJSIP/trunk-landline", "PJSIP/trunk-mobile"
I = TypeVar("I")  # noqa: E741


def at(seconds: float) -> dt.datetime:
    return NOON + dt.timedelta(seconds=seconds)


def message(*headers: tuple[str, str]) -> bytes:
    """As Asterisk writes it: "Name: value", also when the value is empty."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode() + b"\r\n"


def event(name: str, **headers: str) -> bytes:
    return message(("Event", name), ("Privilege", "call,all"), *headers.items())


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not true():  # noqa: ASYNC110  # what is asked tells nobody by itself
            await asyncio.sleep(0.005)


async def take(stream: Stream, kind: type[I]) -> tuple[I, list[ami.Item]]:
    """The next item of that kind, and what came before it; nothing is taken that came after."""
    before: list[ami.Item] = []
    async with asyncio.timeout(LIMIT):
        while True:
            [item] = await stream.take(1)
            if isinstance(item, kind):
                return item, before
            before.append(item)


class Session:
    """One connection to the scripted Asterisk."""

    def __init__(self, asterisk: FakeAsterisk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._asterisk, self._reader, self.writer = asterisk, reader, writer
        self.began = asyncio.get_running_loop().time()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def drop(self) -> None:
        self.writer.transport.abort()

    async def run(self) -> None:
        self.send(self._asterisk.greeting)
        try:
            while True:
                raw = await self._reader.readuntil(b"\r\n\r\n")
                headers = dict(line.split(": ", 1) for line in raw.decode().removesuffix("\r\n\r\n").split("\r\n"))
                self._asterisk.actions.append(headers)
                answer = self._asterisk.answers.get(headers["Action"])
                if answer is not None:
                    answer(self, headers)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.writer.close()


Answer = Callable[[Session, dict[str, str]], None]


def says(response: str, *more: tuple[str, str]) -> Answer:
    """An answer: its ActionID stands second, as Asterisk puts it."""

    def answer(session: Session, asked: dict[str, str]) -> None:
        session.send(message(("Response", response), ("ActionID", asked["ActionID"]), *more))

    return answer


def logs_in(session: Session, asked: dict[str, str]) -> None:
    if asked["Secret"] != "right":
        says("Error", ("Message", "Authentication failed"))(session, asked)
        session.writer.close()
        return
    says("Success", ("Message", "Authentication accepted"))(session, asked)
    session.send(message(("Event", "FullyBooted"), ("Privilege", "system,all"), ("Uptime", "75"), ("LastReload", "75"),
                         ("Status", "Fully Booted")))  # fmt: skip


class FakeAsterisk:
    """``answers``: Action → what is said to it; to any other nothing is."""

    def __init__(self) -> None:
        self.greeting = b"Asterisk Call Manager/11.0.0\r\n"
        self.answers: dict[str, Answer] = {
            "Login": logs_in,
            "Ping": says("Success", ("Ping", "Pong"), ("Timestamp", "1764000000.000001")),
            "CoreStatus": says("Success", ("CoreCurrentCalls", "0")),
        }
        self.actions: list[dict[str, str]] = []
        self.sessions: list[Session] = []
        self.port = 0

    @property
    def session(self) -> Session:
        return self.sessions[-1]

    def asked(self, action: str) -> list[dict[str, str]]:
        return [headers for headers in self.actions if headers["Action"] == action]

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions.append(Session(self, reader, writer))
        await self.session.run()


@pytest.fixture
async def asterisk() -> AsyncIterator[FakeAsterisk]:
    fake = FakeAsterisk()
    server = await asyncio.start_server(fake.connected, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    yield fake
    server.close()
    for session in fake.sessions:
        session.drop()
    await server.wait_closed()


@pytest.fixture
async def connect(asterisk: FakeAsterisk) -> AsyncIterator[Callable[..., Ami]]:
    """``connect(**how)``: a started connection to ``asterisk``, closed at the end."""
    made: list[Ami] = []

    def start(stream: Stream | None = None, secret: str = "right", **how: Any) -> Ami:
        how = {"wanted": ev.READERS, "backoff_s": (0.02, 0.2), **how}
        made.append(Ami("127.0.0.1", asterisk.port, "line", secret, stream or Stream(), **how))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        await one.close()


# ── for the tracker ──
def tracker(wrap_up_s: float = 10) -> Tracker:
    seats = {interface: number for number, both in PHONES.items() for interface in both.values()}
    return Tracker(seats, {LANDLINE: "landline", MOBILE: "mobile"}, wrap_up_s)


class Exchange:
    """Events of a small exchange, at ``now`` seconds, applied to a tracker; ``told`` is all that came of them."""

    def __init__(self, wrap_up_s: float = 10) -> None:
        self.tracker = tracker(wrap_up_s)
        self.now = 0.0
        self.told: list[Change] = []
        self.heard: list[ev.Event] = []

    def later(self, seconds: float) -> Exchange:
        self.now += seconds
        return self

    def apply(self, event: ev.Event) -> list[Change]:
        self.heard.append(event)
        changes = self.tracker.apply(event)
        self.told += changes
        return changes

    def tick(self) -> list[Change]:
        changes = self.tracker.tick(at(self.now))
        self.told += changes
        return changes

    def of(self, *kinds: type[I]) -> list[I]:
        return [change for change in self.told if isinstance(change, kinds)]

    def seat(self, number: str) -> tuple[str, str, str]:
        state, linkedid, reason = self.tracker.seats[number].told
        return state.value, linkedid, reason

    # what happens
    def log_in(self, *numbers: str, queue: str = "city", paused: bool = False, reason: str = "",
               status: int | None = 1, interface: str = "") -> None:  # fmt: skip
        for number in numbers:
            self.apply(ev.Member(at(self.now), queue, number, interface or INTERFACES[number], paused, reason, status))

    def arrive(self, uid: str, trunk: str = MOBILE, caller: str = "0671234567") -> None:
        self.apply(ev.ChannelBegan(at(self.now), uid, uid, trunk, caller, "1551"))

    def join(self, uid: str, queue: str = "city", position: int | None = None) -> None:
        self.apply(ev.CallerJoined(at(self.now), uid, uid, queue, "0671234567", position))

    def leave(self, uid: str, queue: str = "city") -> None:
        self.apply(ev.CallerLeft(at(self.now), uid, uid, queue))

    def abandon(self, uid: str, queue: str = "city") -> None:
        """What Asterisk tells when a waiting caller hangs up, times out or presses a key."""
        self.apply(ev.CallerAbandoned(at(self.now), uid, uid, queue))
        self.leave(uid, queue)

    def hang_up(self, uid: str, endpoint: str = MOBILE) -> None:
        self.apply(ev.HangupAsked(at(self.now), uid, uid, endpoint))

    def end(self, uid: str, endpoint: str = MOBILE, linkedid: str = "") -> None:
        self.apply(ev.ChannelEnded(at(self.now), uid, linkedid or uid, endpoint, 16))

    def ring(self, uid: str, number: str, leg: str, queue: str = "city") -> None:
        endpoint = INTERFACES[number]
        self.apply(ev.ChannelBegan(at(self.now), leg, uid, endpoint, "1551", "s"))
        self.apply(ev.Device(at(self.now), endpoint, "RINGING"))
        self.apply(ev.SeatRang(at(self.now), uid, uid, queue, number, endpoint, "0671234567", leg))

    def silent(self, uid: str, number: str, leg: str, queue: str = "city") -> None:
        endpoint = INTERFACES[number]
        self.apply(ev.ChannelEnded(at(self.now), leg, uid, endpoint, 19))
        self.apply(ev.SeatSilent(at(self.now), uid, uid, queue, number, endpoint))
        self.apply(ev.Device(at(self.now), endpoint, "NOT_INUSE"))

    def answer(self, uid: str, number: str, leg: str, queue: str = "city") -> None:
        endpoint = INTERFACES[number]
        self.apply(ev.Device(at(self.now), endpoint, "INUSE"))
        self.apply(ev.CallerLeft(at(self.now), uid, uid, queue))
        self.bridge(leg, uid, endpoint)
        self.bridge(uid, uid, MOBILE)
        self.apply(ev.SeatAnswered(at(self.now), uid, uid, queue, number, endpoint))

    def bridge(self, channel: str, linkedid: str, endpoint: str) -> None:
        self.apply(ev.Bridged(at(self.now), channel, linkedid, endpoint))

    def hold(self, uid: str, number: str, leg: str) -> None:
        self.apply(ev.Held(at(self.now), leg, uid, INTERFACES[number]))

    def unhold(self, uid: str, number: str, leg: str) -> None:
        self.apply(ev.Unheld(at(self.now), leg, uid, INTERFACES[number]))

    def done(self, uid: str, number: str, leg: str, reason: str = "caller", queue: str = "city") -> None:
        endpoint = INTERFACES[number]
        self.apply(ev.SeatDone(at(self.now), uid, uid, queue, number, endpoint, reason))
        self.apply(ev.ChannelEnded(at(self.now), leg, uid, endpoint, 16))
        self.apply(ev.Device(at(self.now), endpoint, "NOT_INUSE"))

    def apply_all(self, events: Iterable[ev.Event]) -> None:
        for one in events:
            self.apply(one)


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()
