"""SIPp as a resident who calls, a resident who is called, and a seat's telephone."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import socket
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from centre import provision
from centre.phones.media import Media

LONGEST = 300  # seconds that any phone may live: every load stops by itself
_numbers = itertools.count(1)
_templates = Environment(loader=FileSystemLoader(Path(__file__).parent / "scenarios"), undefined=StrictUndefined,
                         autoescape=False, trim_blocks=False)  # noqa: S701  SIP, not HTML


class PhoneError(AssertionError):
    """SIPp says that the call did not go as a telephone expects; the message has its words."""


def free_port(host: str = "127.0.0.1", kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


class _Sipp:
    """One SIPp process with one scenario, in a folder of its own."""

    def __init__(self, scenario: str, server: tuple[str, int], host: str, port: int | None, calls: int, **values: Any):
        self.host, self.port = host, port or free_port(host)
        self.server = server
        self._folder = tempfile.TemporaryDirectory(prefix="phone-")
        self._path = Path(self._folder.name)
        (self._path / "scenario.xml").write_text(_templates.get_template(f"{scenario}.xml.j2").render(**values))
        self.call_id = f"{os.getpid()}-{next(_numbers)}-%u@{host}"
        tool = provision.ensure("sipp")
        self._argv = tool.argv(
            "-sf", self._path / "scenario.xml", "-i", host, "-p", str(self.port), "-m", str(calls), "-nostdin", "-aa",
            "-timeout", f"{LONGEST}s", "-cid_str", self.call_id, "-trace_err", "-error_file", self._path / "errors",
            "-trace_logs", "-log_file", self._path / "log", "-trace_msg", "-message_file", self._path / "messages",
        )  # fmt: skip
        self._env = tool.env()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *arguments: str) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._argv, *arguments, ":".join(map(str, self.server)), env=self._env, cwd=self._path,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL)  # fmt: skip

    async def wait(self, timeout: float = 60) -> None:
        """Waits for SIPp to have done its calls. PhoneError if one of them went wrong."""
        assert self._process is not None
        try:
            code = await asyncio.wait_for(self._process.wait(), timeout)
        except TimeoutError:
            raise PhoneError(f"the call did not end in {timeout:g} s\n{self.messages()[-1500:]}") from None
        if code:
            raise PhoneError(f"SIPp ended with {code}: {self._read('errors')[-800:]}\n{self.messages()[-1500:]}")

    def messages(self) -> str:
        """Every SIP message that went over the wire."""
        return self._read("messages")

    def log(self) -> list[str]:
        return self._read("log").splitlines()

    def cue(self, call_id: str, what: str = "bye", *headers: str) -> None:
        """Tells SIPp what to do in that call: a MESSAGE within it, which no scenario takes for anything else."""
        message = (f"MESSAGE sip:phone@{self.host}:{self.port} SIP/2.0\r\n"
                   f"Via: SIP/2.0/UDP {self.host}:9;branch=z9hG4bKcue\r\nFrom: <sip:cue@{self.host}>;tag=cue\r\n"
                   f"To: <sip:phone@{self.host}>\r\nCall-ID: {call_id}\r\n"
                   "CSeq: 9 MESSAGE\r\n" + "".join(f"{header}\r\n" for header in (f"Subject: {what}", *headers))
                   + "Content-Length: 0\r\n\r\n")  # fmt: skip
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((self.host, 0))
            sender.sendto(message.encode(), (self.host, self.port))

    async def kill(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._folder.cleanup()

    def _read(self, name: str) -> str:
        path = self._path / name
        return path.read_text(errors="replace") if path.exists() else ""


class _Phone:
    """A telephone: its SIPp and its media. Leaving the context ends both."""

    media: Media
    _sipp: _Sipp

    async def __aexit__(self, *exception: object) -> None:
        self.media.close()
        await self._sipp.kill()

    async def vanish(self) -> None:
        """As when its computer has crashed: it says nothing more, and leaves its ports to nobody else meanwhile."""
        await self._sipp.kill()

    def messages(self) -> str:
        return self._sipp.messages()

    def _other_media(self) -> tuple[str, int] | None:
        """Where the other side's latest SDP says that it hears."""
        said = re.findall(r"^c=IN IP4 (\S+).*?^m=audio (\d+) ", self.messages(), re.MULTILINE | re.DOTALL)
        theirs = [(host, int(port)) for host, port in said if int(port) != self.media.port]
        return theirs[-1] if theirs else None


class Caller(_Phone):
    """A resident who calls. ``async with Caller(server, number="0671234567", host="127.0.0.2") as phone``.

    ``sender``: the whole From, for hostile ones. ``headers``: more header lines. ``secret``: a seat's, whose SIP name
    is then ``number``.
    """

    def __init__(self, server: tuple[str, int], number: str, *, dial: str = "1551", host: str = "127.0.0.1",
                 sender: str = "", headers: Sequence[str] = (), secret: str = "") -> None:  # fmt: skip
        self._server, self._dial, self._host, self._headers = server, dial, host, headers
        self._from = sender or f"<sip:{number}@{host}>"
        self._user, self._secret = number, secret

    async def __aenter__(self) -> Self:
        self.media = await Media.open(self._host)
        self._sipp = _Sipp("caller", self._server, self._host, None, 1, media_ip=self._host,
                           media_port=self.media.port, headers=self._headers, user=self._user, secret=self._secret,
                           **{"from": self._from})  # fmt: skip
        await self._sipp.start("-s", self._dial)
        self.media.look_up = self._other_media
        return self

    async def hang_up(self) -> None:
        """Puts the receiver down, and waits until the other side has taken it."""
        self._sipp.cue(self._sipp.call_id.replace("%u", "1"))
        await self._sipp.wait(15)

    def dialogue(self) -> str:
        """The call as a Replaces header names it to the side that it was made to: whoever takes it over says so."""
        tags = r"^ACK .*?^From:[^\n]*;tag=([^\n;]+)$.*?^To:[^\n]*;tag=([^\n;]+)$"
        ours, theirs = re.findall(tags, self.messages(), re.MULTILINE | re.DOTALL)[-1]
        return f"{self._sipp.call_id.replace('%u', '1')};to-tag={theirs};from-tag={ours}"

    async def ended(self, timeout: float = 60) -> None:
        """Waits until the other side has hung up. PhoneError if it does not, or not properly."""
        await self._sipp.wait(timeout)


class Callee(_Phone):
    """A telephone that is called, one call after the other: ``answer`` 200 takes it, 486 is busy."""

    def __init__(self, port: int | None = None, *, host: str = "127.0.0.1", ring_ms: int = 300,
                 answer: int = 200) -> None:  # fmt: skip
        self.host, self.port = host, port or free_port(host)
        self._ring_ms, self._answer = ring_ms, answer
        self._cues: Counter[str] = Counter()  # by Call-ID

    async def __aenter__(self) -> Self:
        self.media = await Media.open(self.host)
        await self._listen(str(self.media.port), self.media.port)
        self.media.look_up = self._other_media
        return self

    def called(self) -> list[str]:
        """The numbers that were called here, one for each call, in order."""
        return [line.split()[1] for line in self._calls()]

    def hang_up(self) -> None:
        """Puts the receiver down in the latest call."""
        self._cue("bye")

    def hold(self) -> None:
        """Puts the other side of the latest call on hold."""
        self._cue("hold")

    def resume(self) -> None:
        self._cue("resume")

    def transfer(self, to: str, replaces: str = "") -> None:
        """Gives the latest call away to a number; to ``replaces``, a `Caller.dialogue`, in whose place it comes."""
        replaced = f"?Replaces={quote(replaces, safe='')}" if replaces else ""
        self._cue("refer", f"Refer-To: <sip:{to}@{self.host}{replaced}>")

    def _cue(self, what: str, *headers: str) -> None:
        """Waits for SIPp to have done with what was before, be it the answer: it takes a cue in between for a fault."""
        call_id = self._calls()[-1].split()[2]
        self._cues[call_id] += 1
        end = time.monotonic() + 5
        while self._sipp.log().count(f"talking {call_id}") < self._cues[call_id]:
            if time.monotonic() > end:
                raise PhoneError(f"the latest call is not in conversation: it cannot {what}")
            time.sleep(0.005)  # another process's file; the other side's answer does not need us
        self._sipp.cue(call_id, what, *headers)

    def _calls(self) -> list[str]:
        return [line for line in self._sipp.log() if line.startswith("called ")]

    async def _listen(self, media_port: str, first_media: int) -> None:
        self._sipp = _Sipp("callee", (self.host, 9), self.host, self.port, 1000, media_ip=self.host,
                           media_port=media_port, ring_ms=self._ring_ms, answer=self._answer)  # fmt: skip
        await self._sipp.start("-mp", str(first_media))


class Exchange(Callee):
    """Many telephones behind one address: each call has audio of its own. A trunk's OPTIONS, which SIPp counts as
    calls, take one of the ``lines`` each.

    ``async for number, media in exchange.calls():`` yields each call once its audio has begun.
    """

    def __init__(self, port: int | None = None, *, lines: int = 120, host: str = "127.0.0.1",
                 ring_ms: int = 300) -> None:  # fmt: skip
        super().__init__(port, host=host, ring_ms=ring_ms)
        self._lines = lines

    async def __aenter__(self) -> Self:
        self._row = await Media.open_row(self._lines, self.host)
        self.media = self._row[0]
        await self._listen("[auto_media_port]", self.media.port)
        return self

    async def __aexit__(self, *exception: object) -> None:
        for media in self._row[1:]:
            media.close()
        await super().__aexit__(*exception)

    async def calls(self, within: float | None = None) -> AsyncIterator[tuple[str, Media]]:
        """Each answered call: the number that was dialled, and its audio. TimeoutError, with the numbers that were
        dialled so far, when there is no next one in ``within`` seconds."""
        waiting = {asyncio.ensure_future(media.more()): at for at, media in enumerate(self._row)}
        try:
            while waiting:
                heard, _ = await asyncio.wait(waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED)
                if not heard:
                    raise TimeoutError(f"no other call in {within:g} s; called were {self.called()}")
                for first in heard:
                    at = waiting.pop(first)
                    dialled = {int(number): name for _, name, _, number in map(str.split, self._calls())}
                    if at + 1 in dialled:
                        yield dialled[at + 1], self._row[at]
                    else:  # somebody's who had this port before, and is not told yet that it is over
                        waiting[asyncio.ensure_future(self._row[at].more())] = at
        finally:
            for task in waiting:
                task.cancel()


class SeatPhone(Callee):
    """A seat's telephone: signs in, then answers what rings."""

    def __init__(self, server: tuple[str, int], user: str, secret: str, *, host: str = "127.0.0.1",
                 ring_ms: int = 300, answer: int = 200) -> None:  # fmt: skip
        super().__init__(host=host, ring_ms=ring_ms, answer=answer)
        self._server, self._user, self._secret = server, user, secret

    def dials(self, number: str) -> Caller:
        """A call from this seat."""
        return Caller(self._server, self._user, dial=number, host=self.host, secret=self._secret)

    async def __aenter__(self) -> Self:
        registration = _Sipp("register", self._server, self.host, self.port, 1, user=self._user, secret=self._secret)
        await registration.start()
        try:
            await registration.wait(15)
        finally:
            await registration.kill()
        return await super().__aenter__()
