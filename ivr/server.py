"""The FastAGI server: Asterisk asks, a step decides, one command answers.

panoramisk's own server freezes at a port probe and waits for ever; this one takes its ``Request``
and nothing else of it. A conversation is one round trip: the environment comes, a step turns its
arguments into channel variables, one ``EXEC MSet`` sets them, and we close. All of it has
``timeout_s`` seconds. Whatever goes wrong, we close without having set ``STEP_OK``: the dialplan
clears it before it asks, and goes on alone when it stays empty.

AgiError
├── HungUp       the caller, or Asterisk, went away
└── Malformed    what came is not AGI, or refuses our command
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from panoramisk import fast_agi

from crm.errors import BadInput, CentreError
from ivr import agi

LARGEST = 16 * 1024  # bytes of an environment, or of a line; Asterisk's own are two thousand at most
_MOST_LINES = 100  # of one answer

Step = Callable[[list[str], Mapping[str, str]], Awaitable[dict[str, str]]]
"""The dialplan's arguments and AGI's environment → channel variables."""

_log = logging.getLogger(__name__)


class AgiError(CentreError):
    """A conversation that cannot go on."""


class HungUp(AgiError):
    """Nobody is there any more."""


class Malformed(AgiError):
    """What came cannot be understood."""


class Request(fast_agi.Request):  # type: ignore[misc]  # panoramisk ships no types
    """One conversation. Of panoramisk's commands it corrects the one that we use."""

    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send_command(self, command: str) -> agi.Answer:
        """Asterisk's final answer. BadInput for a command that would be two, HungUp, Malformed."""
        if any(end in command for end in "\r\n\0"):
            raise BadInput("agi.bad_command")
        self.writer.write(command.encode() + b"\n")
        await self.writer.drain()
        explaining = False  # "520-…", in many lines, how to use the command; "520 …" is the last
        for _ in range(_MOST_LINES):
            line = await self._line()
            if line == "HANGUP":
                raise HungUp("agi.hung_up")
            explaining = line.startswith("520-") or (explaining and not line.startswith("520 "))
            answer = None if explaining else agi.parse_answer(line)
            if answer is not None and answer.code != 100:
                return answer
        raise Malformed("agi.no_answer")

    async def _line(self) -> str:
        try:
            line = await self.reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            raise HungUp("agi.hung_up") from None
        except asyncio.LimitOverrunError:
            raise Malformed("agi.too_long") from None
        return line.decode("utf-8", "replace").rstrip("\r\n")


class FastAgi:
    """Serves ``steps`` by name: ``agi://host/arrival,…`` is the step "arrival"."""

    def __init__(self, steps: Mapping[str, Step], timeout_s: float) -> None:
        self._steps = steps
        self._timeout_s = timeout_s
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self.failures = 0  # steps that left the dialplan alone
        self.served = 0

    async def start(self, host: str, port: int) -> int:
        """The port listened on (another one than ``port`` if that is 0). OSError if it is taken."""
        self._server = await asyncio.start_server(self._converse, host, port, limit=LARGEST, backlog=512)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listens no more and breaks off what is under way; the dialplan goes on alone."""
        if self._server is None:
            return
        self._server.close()
        for conversation in self._conversations:
            conversation.cancel()
        if self._conversations:
            await asyncio.wait(self._conversations)
        await self._server.wait_closed()
        self._server = None

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.current_task()
        assert conversation is not None  # noqa: S101  # asyncio runs a handler in a task of its own
        self._conversations.add(conversation)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._serve(reader, writer)
        except asyncio.CancelledError:  # stopping: asyncio would report a cancelled handler as a fault
            pass
        except TimeoutError:
            self._failed("took longer than %s s", self._timeout_s)
        except (HungUp, OSError) as error:
            _log.info("FastAGI: left by Asterisk: %s", error)
        except CentreError as error:
            self._failed("%s", error)
        except Exception:
            self._failed("the step failed", trace=True)
        finally:
            self._conversations.discard(conversation)
            writer.close()

    def _failed(self, what: str, *values: object, trace: bool = False) -> None:
        self.failures += 1
        _log.error("FastAGI: " + what + "; the dialplan goes on alone", *values, exc_info=trace)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            block = await reader.readuntil(b"\n\n")
        except asyncio.IncompleteReadError as error:
            if error.partial.strip():
                raise Malformed("agi.bad_environment") from None
            return  # somebody looked whether the port is open
        except asyncio.LimitOverrunError:
            raise Malformed("agi.too_long") from None
        environment = agi.parse_environment(block)
        name = environment.get("agi_network_script", "")
        step = self._steps.get(name)
        if step is None:
            raise Malformed("agi.unknown_step", step=name[:32])
        variables = await step(agi.arguments(environment), environment)
        command = agi.set_variables({**variables, "STEP_OK": "1"})
        answer = await Request(self, environment, reader, writer).send_command(command)
        if answer != agi.Answer(200, 0):
            raise Malformed("agi.refused", code=answer.code)
        self.served += 1
