"""An Asterisk that only speaks AMI, at any rate: real calls' events, byte for byte, and its patience with slow readers.

``one_call.ami`` is what Asterisk 22.10.1 told our AMI user of one real call (rendered configuration, its event filters
in force): a citizen from the landline trunk is queued, rings at a seat, talks, and hangs up. Of these events about a
third are none of ours. What differs from call to call stands there as ``@name@``, times as seconds since the first.
"""

from __future__ import annotations

import itertools
import multiprocessing
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

WRITE_TIMEOUT_MS = 100  # Asterisk's default: a session that cannot be written to for so long is cut
EVENTS = Path(__file__).with_name("one_call.ami").read_text().removesuffix("\n\n").split("\n\n")
OFFSETS = [float(event.split("Timestamp: +", 1)[1].split("\n", 1)[0]) for event in EVENTS]
QUEUE = "city"
NAMES = [event[len("Event: ") : event.index("\n")] for event in EVENTS]
CALLED = NAMES.index("AgentCalled")
# The dialplan's two questions of each call: the greeting has begun; recording is about to.
STEP_BEFORE = {NAMES.index("DeviceStateChange"): ("arrival",),
               NAMES.index("MixMonitorStart"): ("enqueue", "uk", "queue")}  # fmt: skip
_CALL = "\n\n".join(EVENTS)


class Due(NamedTuple):
    """One event of a call, the ``number``-th of ``EVENTS``. ``at``: seconds since the beginning."""

    at: float
    linkedid: str
    caller: str
    number: int
    data: bytes


@dataclass
class Played:
    """How it went. ``called``: linkedid → when its AgentCalled was written, by the monotonic clock."""

    events: int = 0
    calls: int = 0
    seconds: float = 0.0
    ended_at: float = 0.0  # by the monotonic clock, which all processes share
    disconnects: int = 0
    unheard: int = 0  # events while nobody was connected
    steps_refused: int = 0  # FastAGI's, or answered wrongly
    late_s: float = 0.0  # by how much the worst event missed its time: this process's own fault, or a blocked socket
    called: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """``calls``: how many begin in a second. ``lanes``: how many go on at a time, their events at one even pace;
    0: every call's events at the very distances at which they were captured."""

    calls: float
    seconds: float
    lanes: int = 0


# ── the calls ──
def one_call(number: int, seat: str, interface: str) -> Iterator[tuple[str, str, int, bytes]]:
    """A call's events: linkedid, caller, which one, bytes."""
    began = 1_795_559_184 + number // 1000
    uid, caller, unique = f"{began}.{number * 2}", f"+38044{number % 10_000_000:07d}", f"{number:032x}"
    text = _CALL
    for name, value in {
        "uid": uid, "leg": f"{began}.{number * 2 + 1}", "serial": f"{number % 0xFFFFFFF:07x}", "seat": interface,
        "number": seat, "caller": caller, "file": f"{unique[-2:]}/{unique}.wav",
        "bridge": f"{unique[:8]}-{unique[8:12]}-{unique[12:16]}-{unique[16:20]}-{unique[20:]}",
    }.items():  # fmt: skip
        text = text.replace(f"@{name}@", value)
    for at, (event, offset) in enumerate(zip(text.split("\n\n"), OFFSETS, strict=True)):
        event = event.replace(f": +{offset:.6f}", f": {began + offset:.6f}", 1)
        yield uid, caller, at, event.replace("\n", "\r\n").encode() + b"\r\n\r\n"


def evenly(plan: Plan, seats: Mapping[str, str]) -> Iterator[Due]:
    """``lanes`` calls at a time, one event of each in turn, each lane at another point of its call."""
    numbers, lane_seats = itertools.count(1), list(seats.items())
    total, pace = round(plan.calls * plan.seconds), plan.calls * len(EVENTS)
    lanes = deque(one_call(next(numbers), *lane_seats[at % len(lane_seats)]) for at in range(min(plan.lanes, total)))
    ahead = [at for at, _ in enumerate(lanes) for _ in range(at * len(EVENTS) // len(lanes))]
    sent = itertools.count()
    for at in ahead:
        yield Due(next(sent) / pace, *next(lanes[at]))
    begun, seat_of = len(lanes), {id(lane): lane_seats[at % len(lane_seats)] for at, lane in enumerate(lanes)}
    while lanes:
        lane = lanes.popleft()
        event = next(lane, None)
        if event is None:
            seat = seat_of.pop(id(lane))
            if begun == total:
                continue
            begun += 1
            lane = one_call(next(numbers), *seat)
            seat_of[id(lane)] = seat
            event = next(lane)
        lanes.append(lane)
        yield Due(next(sent) / pace, *event)


def as_captured(plan: Plan, seats: Mapping[str, str]) -> Iterator[Due]:
    """Calls begin evenly; each goes on as the real one did."""
    seat = itertools.cycle(seats.items())
    dues = [Due(number / plan.calls + offset, *event)
            for number in range(round(plan.calls * plan.seconds))
            for offset, event in zip(OFFSETS, one_call(number + 1, *next(seat)), strict=True)]  # fmt: skip
    return iter(sorted(dues, key=lambda due: due.at))


# ── AMI ──
class Peer:
    """Serves the user ``line`` the events of ``play``; any other user hears nothing but answers."""

    def __init__(self, seats: Mapping[str, str], port: int = 0, agi_port: int | None = None) -> None:
        self._seats, self._agi_port = seats, agi_port
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listening.getsockname()[1])
        self._line: socket.socket | None = None
        self._lock = threading.Lock()  # an answer is not written into the middle of an event
        self._compared = threading.Event()  # the reader has asked how things stand, and was told
        threading.Thread(target=self._accept, daemon=True).start()

    def play(self, plan: Plan) -> Played:
        """Everything that is due, when it is due; to nobody while the reader is cut off."""
        self._compared.wait(30)
        played, dues = Played(), (evenly if plan.lanes else as_captured)(plan, self._seats)
        steps: list[Future[None]] = []
        began = time.monotonic()
        with ThreadPoolExecutor(32) as dialplan:
            for due in dues:
                wait = began + due.at - time.monotonic()
                if wait > 0.001:
                    time.sleep(wait)
                else:
                    played.late_s = max(played.late_s, -wait)
                if self._agi_port and due.number in STEP_BEFORE:
                    steps.append(dialplan.submit(ask_agi, self._agi_port, due))
                if due.number == CALLED:
                    played.called[due.linkedid] = time.monotonic()
                self._tell(due.data, played)
                played.calls += due.number == 0
            played.ended_at = time.monotonic()
        played.seconds = played.ended_at - began
        played.steps_refused = sum(step.exception() is not None for step in steps)
        return played

    def _tell(self, data: bytes, played: Played) -> None:
        played.events += 1
        with self._lock:
            if self._line is None:
                played.unheard += 1
            elif not _written(self._line, data):
                played.disconnects += 1
                self._line.close()
                self._line = None

    def _accept(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.sendall(b"Asterisk Call Manager/11.0.0\r\n")
        unread = b""
        try:
            while data := connection.recv(65536):
                *actions, unread = (unread + data).split(b"\r\n\r\n")
                for action in actions:
                    headers = dict(line.split(": ", 1) for line in action.decode().split("\r\n"))
                    with self._lock:
                        connection.sendall(self._answer(headers))
                    if headers["Action"] == "Login" and headers["Username"] == "line":
                        self._line = connection
                    elif headers["Action"] == "CoreShowChannels":
                        self._compared.set()
        except OSError:  # gone
            pass
        finally:
            if self._line is connection:
                self._line = None

    def _answer(self, asked: Mapping[str, str]) -> bytes:
        def message(*lines: str) -> str:
            return "".join(f"{line}\r\n" for line in lines) + "\r\n"

        me = f"ActionID: {asked['ActionID']}"
        match asked["Action"]:
            case "Login":
                said = [message("Response: Success", me, "Message: Authentication accepted"),
                        message("Event: FullyBooted", "Privilege: system,all", "Uptime: 75", "LastReload: 75",
                                "Status: Fully Booted")]  # fmt: skip
            case "QueueStatus":
                said = self._listed(me, "QueueStatusComplete", [message(
                    "Event: QueueMember", me, f"Queue: {QUEUE}", f"Name: {number}", f"Location: {interface}",
                    f"StateInterface: {interface}", "Membership: dynamic", "Penalty: 0", "CallsTaken: 0", "LastCall: 0",
                    "LastPause: 0", "LoginTime: 1795559183", "InCall: 0", "Status: 1", "Paused: 0", "PausedReason: ",
                    "Wrapuptime: 0") for number, interface in self._seats.items()])  # fmt: skip
            case "CoreShowChannels" | "DeviceStateList" as name:
                said = self._listed(me, f"{name}Complete", [])
            case "Ping":
                said = [message("Response: Success", me, "Ping: Pong", f"Timestamp: {time.time():.6f}")]
            case _:
                said = [message("Response: Success", me)]
        return "".join(said).encode()

    def _listed(self, me: str, complete: str, items: list[str]) -> list[str]:
        return [f"Response: Success\r\n{me}\r\nEventList: start\r\nMessage: will follow\r\n\r\n", *items,
                f"Event: {complete}\r\n{me}\r\nEventList: Complete\r\nListItems: {len(items)}\r\n\r\n"]  # fmt: skip


def _written(connection: socket.socket, data: bytes) -> bool:
    """As Asterisk writes: all of it, waiting for the reader ``WRITE_TIMEOUT_MS`` in all, else False.

    The socket stays a blocking one, for another thread reads from it meanwhile.
    """
    deadline = 0.0
    while data:
        try:
            data = data[connection.send(data, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            deadline = deadline or time.monotonic() + WRITE_TIMEOUT_MS / 1000
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([], [connection], [], left)[1]:
                return False
        except OSError:
            return False
    return True


def ask_agi(port: int, due: Due) -> None:
    """One FastAGI question, as the dialplan's `step` asks it. RuntimeError if it is not answered rightly."""
    step, *more = STEP_BEFORE[due.number]
    given = [due.linkedid, "landline", due.caller, *more]
    lines = ["agi_network: yes", f"agi_network_script: {step}", f"agi_request: agi://127.0.0.1:{port}/{step}",
             *(f"agi_arg_{at}: {value}" for at, value in enumerate(given, 1))]  # fmt: skip
    with socket.create_connection(("127.0.0.1", port), 10) as asterisk:
        asterisk.sendall("".join(f"{line}\n" for line in lines).encode() + b"\n")
        answer = asterisk.recv(4096)
        if not answer.startswith(b'EXEC MSet "') or b"STEP_OK=1" not in answer:
            raise RuntimeError(f"{step} was answered by {answer!r}")
        asterisk.sendall(b"200 result=0\n")
        asterisk.recv(1)


class PeerProcess:
    """A `Peer` in a process of its own, so that it takes no time from what is measured."""

    def __init__(self, seats: Mapping[str, str], port: int = 0, agi_port: int | None = None) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._ours, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, dict(seats), port, agi_port), daemon=True)
        self._process.start()
        self.port: int = self._ours.recv()

    def play(self, plan: Plan) -> None:
        self._ours.send(plan)

    def played(self) -> Played:
        """Waits until all of it was."""
        outcome: Played = self._ours.recv()
        return outcome

    def close(self) -> None:
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection, seats: dict[str, str], port: int, agi_port: int | None) -> None:
    peer = Peer(seats, port, agi_port)
    pipe.send(peer.port)
    pipe.send(peer.play(pipe.recv()))
    pipe.recv()  # never comes: the connections stay open until we are ended
