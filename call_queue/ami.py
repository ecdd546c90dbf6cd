"""AMI: panoramisk's Manager, with everything that it forgives and should not put right here.

What Asterisk says arrives, in its order, in one bounded ``Stream`` with one consumer: events as raw
headers, the answers to lists that were asked for, and the connection's own ups and downs. Nothing
of ours runs inside panoramisk's callbacks, so no fault of ours can drop the connection, and a slow
consumer is told of a gap (and rereads the state) instead of being cut by Asterisk.

A silent peer is noticed by its unanswered ping; an action has a time limit; an action whose answer
was lost with the connection is never sent again; a wrong password is said and tried again ever more
slowly; what is written is refused if it holds a line's end.

AmiError
├── NotSent      it was not sent: nothing happened
├── Refused      Asterisk said no: nothing happened
└── Unanswered   the answer is missing: it may have happened or not
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from panoramisk import Manager
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.message import Message

from crm.errors import BadInput, CentreError

GREETING = b"Asterisk Call Manager/"
LONGEST = 1 << 20  # bytes of one message; Asterisk's own are a few thousand at most
LONGEST_GREETING = 256  # bytes
LONGEST_LINE = 1024  # bytes, its end included: Asterisk throws away an action that has a longer one, or more of them
MOST_LINES = 128
_END = b"\r\n\r\n"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_ENDS = re.compile(rb"[\r\n\0]")
_PLAIN = re.compile(r"[\w+.:@/-]{0,200}")

_log = logging.getLogger(__name__)

Headers = dict[str, str]


class AmiError(CentreError):
    """An action did not go as asked."""


class NotSent(AmiError):
    """There was no connection: nothing happened."""


class Refused(AmiError):
    """Asterisk said no, and why: ``details["reason"]``. Nothing happened."""


class Unanswered(AmiError):
    """Sent, and no answer came: nobody knows whether it happened."""


# ── what goes out ────────────────────────────────────────────────────────────────────────────
def serialize(headers: Iterable[tuple[str, object]]) -> bytes:
    """An action as it goes over the wire; a list or tuple becomes one header for each of its items.

    The only place where headers are written. BadInput "ami.bad_header" for a name that is not one,
    for a value with CR, LF or NUL, or that is neither text nor a number, and for more than Asterisk reads.
    """
    lines: list[bytes] = []
    for name, value in headers:
        if not _NAME.fullmatch(name):
            raise BadInput("ami.bad_header", header=name[:64])
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(item, bool) or not isinstance(item, (str, int)):
                raise BadInput("ami.bad_header", header=name)
            try:
                line = f"{name}: {item!s}".encode()
            except ValueError:  # half of a surrogate pair; a number of thousands of digits
                raise BadInput("ami.bad_header", header=name) from None
            if len(line) + 2 > LONGEST_LINE or len(lines) == MOST_LINES or _ENDS.search(line):
                raise BadInput("ami.bad_header", header=name)
            lines.append(line + b"\r\n")
    return b"".join(lines) + b"\r\n"


def variable(name: str, value: str) -> str:
    """``NAME=value`` for an Originate's Variable header. A comma there would begin another variable,
    so only plain values are taken. BadInput "ami.bad_variable"."""
    if not _VARIABLE.fullmatch(name) or not _PLAIN.fullmatch(value):
        raise BadInput("ami.bad_variable", variable=name[:64])
    return f"{name}={value}"


# ── what comes in ────────────────────────────────────────────────────────────────────────────
def parse(message: bytes) -> Headers:
    """The headers of one message. Never fails: what is not a header is left out, of a repeated one
    the first counts (Asterisk's own come before anybody's text), bad UTF-8 becomes U+FFFD."""
    lines = message.decode("utf-8", "replace").split("\r\n")
    try:
        pairs = [line.split(": ", 1) for line in lines]
        headers = dict(pairs)  # a line without ": " raises ValueError
        if len(headers) == len(pairs):
            return headers
    except ValueError:
        pairs = [pair if len(pair) == 2 else [pair[0][:-1], ""]
                 for pair in pairs if len(pair) == 2 or pair[0].endswith(":")]  # fmt: skip
    return {pair[0]: pair[1] for pair in reversed(pairs)}


@dataclass(frozen=True, slots=True)
class Raw:
    """An event as it came. ``at``: when it was read, UTC."""

    at: dt.datetime
    headers: Headers


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer to an action sent by ``Ami.ask_in_stream``; ``ok`` is False if it was refused."""

    at: dt.datetime
    action: str
    ok: bool
    items: tuple[Headers, ...]
    asked_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Up:
    """Logged in, and Asterisk has booted: ask it how things stand."""

    at: dt.datetime
    user: str


@dataclass(frozen=True, slots=True)
class Down:
    """The connection is lost, and is being tried again."""

    at: dt.datetime
    user: str


@dataclass(frozen=True, slots=True)
class Denied:
    """Asterisk does not know this user with this password. It is tried again, ever more slowly."""

    at: dt.datetime
    user: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Something did not fit here: what is believed must be compared with Asterisk again."""

    at: dt.datetime


Item = Raw | Answer | Up | Down | Denied | Gap


class Stream:
    """What came, in order, for one consumer. Bounded: events and answers that do not fit are dropped
    and counted, with a ``Gap`` in their place; news of the connection always fits."""

    def __init__(self, limit: int = 50_000) -> None:
        self._limit = limit
        self._items: deque[Item] = deque()
        self._some = asyncio.Event()
        self.dropped = 0

    def put(self, item: Item) -> None:
        if len(self._items) >= self._limit and isinstance(item, (Raw, Answer)):
            self.dropped += 1
            if not isinstance(self._items[-1], Gap):
                self._items.append(Gap(item.at))
            return
        self._items.append(item)
        self._some.set()

    async def take(self, most: int = 256) -> list[Item]:
        """What is there, at least one item and at most ``most``. Lets the loop turn each time, so that a
        flood keeps nobody from reading the socket."""
        if self._items:
            await asyncio.sleep(0)
        while not self._items:
            self._some.clear()
            await self._some.wait()
        return [self._items.popleft() for _ in range(min(most, len(self._items)))]


class Ami:
    """One AMI user's connection, kept up until closed.

    ``wanted``: the events' names that reach the stream; all others are dropped unread.
    ``waits_for_boot``: False for a user without the right to be told FullyBooted.
    ``ping_s``: a peer that leaves a ping unanswered for so long, and says nothing else, is given up.
    ``backoff_s``: first and longest pause before the connection is tried again.
    """

    def __init__(self, host: str, port: int, user: str, secret: str, stream: Stream, *,
                 wanted: Collection[str] = (), waits_for_boot: bool = True, ping_s: float = 5.0,
                 patience_s: float = 5.0, backoff_s: tuple[float, float] = (0.5, 30.0)) -> None:  # fmt: skip
        self.user = user
        self.stream = stream
        self.patience_s = patience_s
        self._up = asyncio.Event()
        self._manager = _Manager(
            self, frozenset(name.encode() for name in wanted), waits_for_boot, backoff_s,
            host=host, port=port, username=user, secret=secret, events="on" if wanted else "off",
            ping_s=ping_s, loop=asyncio.get_running_loop())  # fmt: skip

    @property
    def up(self) -> bool:
        return self._up.is_set()

    @property
    def lost(self) -> int:
        """How often the connection has broken."""
        return int(self._manager.lost)

    def start(self) -> None:
        """Begins to connect; ``Up`` in the stream tells that it did."""
        self._manager.connect()

    async def close(self) -> None:
        self._up.clear()
        await self._manager.shut()

    async def wait_up(self) -> None:
        await self._up.wait()

    async def ask(self, action: str, headers: Mapping[str, object] | None = None, *, action_id: str = "",
                  patience_s: float | None = None) -> Headers:
        """Asterisk's one answer to an action; further events (OriginateResponse) come in the stream.

        NotSent, Refused or Unanswered, each an AmiError; BadInput for headers that cannot be written.
        """
        sent = self._send(action, headers or {}, action_id, as_list=False)
        try:
            async with asyncio.timeout(patience_s or self.patience_s):
                message = await sent.future
        except TimeoutError:
            raise Unanswered("ami.unanswered", action=action) from None
        finally:
            self._manager.forget(sent)
        answer = dict(message.items())
        if not message.success:
            raise Refused("ami.refused", action=action, reason=answer.get("Message", "")[:200])
        return answer

    def ask_in_stream(self, action: str, headers: Mapping[str, object] | None = None) -> None:
        """Asks for a list. Its ``Answer`` comes in the stream at its place among the events, so that
        what happened later is applied later. If the connection breaks first, no answer comes."""
        asked_at = _now()
        sent = self._send(action, headers or {}, "", as_list=None)
        sent.in_stream, sent.asked_at = True, asked_at

    def _send(self, action: str, headers: Mapping[str, object], action_id: str, as_list: bool | None) -> Any:
        if not self.up:
            raise NotSent("ami.not_connected", action=action)
        made = Action({"Action": action, **headers, **({"ActionID": action_id} if action_id else {})}, as_list=as_list)
        made.in_stream = False
        self._manager.send_action(made, as_list=as_list)
        return made

    # ── the manager's news ──
    def _came_up(self) -> None:
        if not self.up:
            self._up.set()
            self.stream.put(Up(_now(), self.user))

    def _went_down(self) -> None:
        if self.up:
            self._up.clear()
            self.stream.put(Down(_now(), self.user))

    def _denied(self) -> None:
        self.stream.put(Denied(_now(), self.user))


class _Manager(Manager):  # type: ignore[misc]  # panoramisk ships no types
    """Connects, logs in, pings, connects again."""

    def __init__(self, ami: Ami, wanted: frozenset[bytes], waits_for_boot: bool, backoff_s: tuple[float, float],
                 **config: Any) -> None:  # fmt: skip
        super().__init__(log=logging.getLogger(f"{__name__}.{ami.user}"),
                         protocol_factory=lambda: _Protocol(self), **config)  # fmt: skip
        self.ami, self.wanted, self.waits_for_boot = ami, wanted, waits_for_boot
        self.ping_delay = self.ping_interval = config["ping_s"]
        self._backoff_s = backoff_s
        self.reconnect_timeout = backoff_s[0]
        self.lost = 0
        self.heard = False  # something, since the last ping
        self._ping: asyncio.Future[Any] | None = None
        self._booted = self._shut = False
        self._connecting: asyncio.Task[Any] | None = None

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        if self._shut:
            return None
        self._connecting = super().connect(*args, **kwargs)
        return self._connecting

    async def shut(self) -> None:
        self._shut = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
            await asyncio.sleep(0)  # connection_made is its callback
        self.close()

    def connection_made(self, connecting: Any) -> None:
        if connecting.cancelled():
            return
        if self.pinger is not None:
            self.pinger.cancel()
        self._ping, self._booted = None, False
        super().connection_made(connecting)
        if self.protocol is None or self.protocol.closed:
            self._slow_down()
        if self._shut:
            self.close()

    def login(self, future: Any) -> Any:
        if future.cancelled() or future.exception() is not None:  # lost before it was answered
            return False
        if super().login(future):
            self._ready()
        else:
            self.log.error("Asterisk refuses AMI user %r: his password in var/secrets.json is not the one in "
                           "manager.conf, or his address is not permitted. Render the configuration and reload it; "
                           "trying again in %.1f s", self.ami.user, self.reconnect_timeout)  # fmt: skip
            self.ami._denied()
        return self.authenticated

    def booted(self) -> None:
        self._booted = True
        self._ready()

    def _ready(self) -> None:
        if self.authenticated and (self._booted or not self.waits_for_boot):
            self.reconnect_timeout = self._backoff_s[0]
            self.ami._came_up()

    def ping(self) -> None:
        heard, self.heard = self.heard, False
        if self._ping is not None and not self._ping.done():
            if heard:  # we are behind: its answer stands after what we have not read yet
                self.pinger = self.loop.call_later(self.ping_interval, self.ping)
                return
            self.log.error("Asterisk has not answered AMI user %r for %.1f s: connecting again", self.ami.user,
                           self.ping_interval)  # fmt: skip
            self.protocol.transport.abort()
            return
        self.pinger = self.loop.call_later(self.ping_interval, self.ping)
        self._ping = self.protocol.send({"Action": "Ping"}, as_list=False)

    def connection_lost(self, error: Any) -> None:
        self.authenticated = False
        self.lost += 1
        self.ami._went_down()
        super().connection_lost(error)
        self._slow_down()

    def _slow_down(self) -> None:
        self.reconnect_timeout = min(self.reconnect_timeout * 2, self._backoff_s[1])

    def forget(self, action: Any) -> None:
        """A late answer to this action is nobody's."""
        if self.protocol is not None:
            self.protocol.responses.pop(action.id, None)


class _Protocol(AMIProtocol):  # type: ignore[misc]
    """Cuts the bytes into messages, and each message's letters only when it is whole."""

    _tail = b""
    _greeted = False

    def __init__(self, manager: _Manager) -> None:
        self._manager = manager

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.factory = self._manager  # panoramisk sets it later, after bytes may have come

    def send(self, data: Any, as_list: bool | None = None) -> Any:
        action = data if isinstance(data, Action) else Action(data, as_list=as_list)
        action.as_list = as_list
        line = serialize(action.items())
        self.responses[action.id] = action
        self.transport.write(line)
        return action.future

    def data_received(self, data: bytes) -> None:
        self._manager.heard = True
        data = self._tail + data
        if not self._greeted:
            greeting, ended, data = data.partition(b"\r\n")
            if not greeting.startswith(GREETING[: len(greeting)]) or (ended and len(greeting) < len(GREETING)):
                self._give_up("what answers there is not Asterisk's AMI")
                return
            if not ended and len(greeting) > LONGEST_GREETING:
                self._give_up("a greeting without an end")
                return
            if not ended:
                self._tail = greeting
                return
            self._greeted = True
        *messages, self._tail = data.split(_END)
        now = _now()
        for message in messages:
            self._take(message, now)
        if len(self._tail) > LONGEST:
            self._give_up("a message without an end")

    def _take(self, message: bytes, now: dt.datetime) -> None:
        manager = self._manager
        message = message.lstrip(b"\r\n")
        if message.startswith(b"Event: ") and b"\r\nActionID: " not in message:
            name = message[7 : message.find(b"\r\n")] if b"\r\n" in message else message[7:]
            if name == b"FullyBooted":
                manager.booted()
            elif name in manager.wanted:
                manager.ami.stream.put(Raw(now, parse(message)))
            return
        headers = parse(message)
        action = self.responses.get(headers.get("ActionID", ""))
        if action is None or (action.as_list is False and "Event" in headers):  # what follows from it, not its answer
            if headers.get("Event", "").encode() in manager.wanted:
                manager.ami.stream.put(Raw(now, headers))
            return
        try:
            done = action.add_message(Message(headers))
        except Exception as error:  # an answer that panoramisk cannot understand is the action's fault alone
            _log.error("an answer to %s cannot be read: %r", action["Action"], error)
            done = True
            if not action.future.done():
                action.future.set_exception(Unanswered("ami.unanswered", action=action["Action"]))
        if done:
            self.responses.pop(action.id, None)
            if getattr(action, "in_stream", False):
                first, *items = (dict(response.items()) for response in action.responses)
                manager.ami.stream.put(Answer(now, action["Action"], first.get("Response") == "Success",
                                              tuple(items), action.asked_at))  # fmt: skip
        elif action.responses[0].get("EventList", "").lower() == "cancelled":
            self.responses.pop(action.id, None)

    def _give_up(self, why: str) -> None:
        self._tail = b""
        _log.error("AMI: %s: connecting again", why)
        self.transport.abort()

    def close(self) -> None:
        """Whoever still waits for an answer is told that none comes. Nothing is ever sent again."""
        for action in list(self.responses.values()):
            if not action.future.done():
                if action["Action"] in ("Login", "Ping") or getattr(action, "in_stream", False):
                    action.future.cancel()
                else:
                    action.future.set_exception(Unanswered("ami.unanswered", action=action["Action"]))
        self.responses.clear()
        super().close()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
