"""What the line tells the web, and what the web asks of the line: JSON lines over a Unix socket.

A subscriber first receives ``{"event": "snapshot", …}``, then each event as it happens, without
polling. A request is ``{"id": 7, "do": "pause", …}`` and is answered by ``{"reply": 7, "ok": true, …}``
or ``{"reply": 7, "ok": false, "error": "seat.offline", "details": {…}}``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from crm.errors import BadInput, CentreError

LONGEST = 1 << 20  # bytes of a line
BEHIND = 1 << 20  # bytes that a subscriber may be behind before he is cut off; he comes back to a fresh snapshot
PATIENCE = 10.0  # seconds that a request may take
RETRY = (0.1, 2.0)  # seconds: first and longest pause of a client that cannot connect

Message = dict[str, Any]
Handler = Callable[[Message], Awaitable[Mapping[str, Any] | None]]

_log = logging.getLogger(__name__)


class Publisher:
    """The line's side: tells every subscriber, and answers their requests.

    ``snapshot`` gives the whole state, for newcomers. ``answer`` gets a request's fields and returns
    what the reply adds to ``ok``; a CentreError becomes the reply's error. Set both before ``start``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.snapshot: Callable[[], Message] = dict
        self.answer: Handler = _nobody
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listens, readable by this user alone. OSError if another line listens there."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self.path.with_suffix(f".{os.getpid()}")
        with socket.socket(socket.AF_UNIX) as listener, _short(self.path) as short:
            if self.path.is_socket():
                with socket.socket(socket.AF_UNIX) as probe:
                    if probe.connect_ex(short) == 0:  # else a line that was killed left it behind
                        raise FileExistsError(f"another line listens at {self.path}")
            listener.bind(str(Path(short).with_name(draft.name)))
            draft.chmod(0o600)
            draft.rename(self.path)  # at no moment may anybody else connect
            self._server = await asyncio.start_unix_server(self._serve, sock=listener.dup(), limit=LONGEST)

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self.path.unlink(missing_ok=True)
        for writer in list(self._writers):
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def publish(self, event: Mapping[str, Any]) -> None:
        """Tells every subscriber, at once. Who is too far behind is cut off, and holds up nobody."""
        line = _line(event)
        for writer in list(self._writers):
            writer.write(line)
            if writer.transport.get_write_buffer_size() > BEHIND:
                _log.warning("a subscriber of the line is too slow and is cut off")
                self._writers.discard(writer)
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._tasks.add(task)
        writer.write(_line(self.snapshot()))
        self._writers.add(writer)
        answers: set[asyncio.Task[None]] = set()
        try:
            while line := await reader.readline():
                one = asyncio.create_task(self._answer(line, writer))
                answers.add(one)
                one.add_done_callback(answers.discard)
        except (OSError, ValueError):  # gone, or a line without an end
            pass
        except asyncio.CancelledError:  # closing: asyncio would report a cancelled handler as a fault
            pass
        finally:
            for one in answers:
                one.cancel()
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        request: Any = None
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or not isinstance(request.get("do"), str):
                raise BadInput("line.bad_request")
            reply = {"ok": True, **(await self.answer(request) or {})}
        except CentreError as error:
            reply = {"ok": False, "error": error.id, "details": error.details}
        except ValueError:
            reply = {"ok": False, "error": "line.bad_request", "details": {}}
        except Exception:
            _log.exception("a request to the line failed")
            reply = {"ok": False, "error": "line.failed", "details": {}}
        number = request.get("id") if isinstance(request, dict) else None
        writer.write(_line({"reply": number, **reply}))


class Client:
    """The web's side: one connection, made again whenever it breaks.

    ``events`` is for one reader at a time; ``request`` for any number, while somebody reads ``events``.
    """

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        self._path = path
        self._patience = patience
        self._ids = itertools.count(1)
        self._writer: asyncio.StreamWriter | None = None
        self._replies: dict[int, asyncio.Future[Message]] = {}

    async def events(self) -> AsyncIterator[Message]:
        """Every event from now on, for ever: a snapshot after each connection, ``{"event": "lost"}`` when
        it breaks, or when the first one fails."""
        pause, told = RETRY[0], False
        while True:
            try:
                with _short(self._path) as short:
                    reader, self._writer = await asyncio.open_unix_connection(short, limit=LONGEST)
                pause, told = RETRY[0], False
                while line := await reader.readline():
                    message = json.loads(line)
                    if "reply" in message:
                        self._replied(message)
                    else:
                        yield message
            except (OSError, ValueError) as error:
                if not told:
                    _log.warning("the line cannot be heard: %s", error)
            finally:
                self._hang_up()
            if not told:
                told = True
                yield {"event": "lost"}
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY[1])

    async def request(self, do: str, **fields: object) -> Message:
        """The line's answer. CentreError with the line's own error id; "line.unreachable" when it cannot be
        asked, "line.unanswered" when it was and nobody knows what came of it."""
        if self._writer is None:
            raise CentreError("line.unreachable")
        number = next(self._ids)
        reply = self._replies[number] = asyncio.get_running_loop().create_future()
        self._writer.write(_line({"id": number, "do": do, **fields}))
        try:
            async with asyncio.timeout(self._patience):
                message = await reply
        except TimeoutError:
            raise CentreError("line.unanswered") from None
        finally:
            self._replies.pop(number, None)
        if not message.get("ok"):
            details = message.get("details")
            raise CentreError(str(message.get("error")), **(details if isinstance(details, dict) else {}))
        return {key: value for key, value in message.items() if key not in ("reply", "ok")}

    def _replied(self, message: Message) -> None:
        waiting = self._replies.get(message["reply"]) if isinstance(message["reply"], int) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None
        for waiting in self._replies.values():
            if not waiting.done():
                waiting.set_exception(CentreError("line.unanswered"))


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Another name of the same socket: a socket's own may have 107 bytes only, wherever the folder lies."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


async def _nobody(request: Message) -> None:
    raise BadInput("line.bad_request")


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, default=str).encode(errors="replace") + b"\n"
