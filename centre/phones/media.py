"""One end of a call's audio: A-law over RTP, keys by RFC 4733.

Prompts are played in the trunk's codec with no transcoding, so what is heard is, byte for byte,
what lies in the prompt's ``.alaw`` file: recognising a prompt is a search for a piece of it.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import cast

FRAME = 160  # bytes and samples of A-law in 20 ms
ALAW, EVENT = 8, 101  # RTP payload types
KEYS = {digit: code for code, digit in enumerate("0123456789*#")}
PIECE = 800  # bytes of a prompt (100 ms) that must be found, whole
LOUD = 64  # different values in a piece that is sound; every prompt has the same silence between its words


@cache
def _pieces(prompt: Path, made_at: int) -> list[bytes]:
    """By which it is recognised, as long as it is not made anew."""
    sound = prompt.read_bytes()
    pieces = (sound[at:at + PIECE] for at in range(len(sound) // 2, len(sound) - PIECE, PIECE))
    return [piece for piece in pieces if len(set(piece)) > LOUD]


class Media(asyncio.DatagramProtocol):
    """A UDP socket that hears, speaks, and presses keys and is told them. Open it with ``await Media.open(host)``."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.keys = ""  # that the other side has pressed
        self._latest_key = b""  # its timestamp: each key is told in several packets
        self.packets = 0
        self._remote: tuple[str, int] | None = None
        self.look_up: Callable[[], tuple[str, int] | None] = lambda: None  # where the other side says that it hears
        self._progress = asyncio.Event()
        self._transport: asyncio.DatagramTransport
        self._sequence = random.randrange(1 << 15)
        self._timestamp = random.randrange(1 << 30)
        self._source = random.randrange(1 << 32)
        self._speaking: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, host: str = "127.0.0.1", port: int = 0) -> Media:
        """A socket on ``port`` of ``host``, or on a free even one. OSError when it is taken."""
        loop = asyncio.get_running_loop()
        while True:
            transport, media = await loop.create_datagram_endpoint(cls, local_addr=(host, port))
            if media.port % 2 == 0:
                return media
            transport.close()

    @classmethod
    async def open_row(cls, count: int, host: str = "127.0.0.1", step: int = 4) -> list[Media]:
        """``count`` sockets whose ports lie ``step`` apart, as SIPp counts them."""
        while True:
            row = [await cls.open(host)]
            try:
                for _ in range(1, count):
                    row.append(await cls.open(host, row[-1].port + step))
            except (OSError, OverflowError):
                for media in row:
                    media.close()
            else:
                return row

    @property
    def port(self) -> int:
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if len(data) < 12 or data[0] >> 6 != 2:
            return
        self._remote = address
        kind, body = data[1] & 0x7F, data[12 + 4 * (data[0] & 0x0F):]
        if kind == ALAW:
            self.packets += 1
            self.heard += body
        elif kind == EVENT and body and body[0] < len(KEYS) and data[4:8] != self._latest_key:
            self._latest_key = data[4:8]
            self.keys += list(KEYS)[body[0]]
        self._progress.set()

    def forget(self, but: int = 0) -> None:
        """What was heard so far is not to be searched again, ``but`` for so many bytes."""
        del self.heard[: len(self.heard) - but]

    def has_heard(self, prompt: Path) -> bool:
        """Whether any loud piece from the second half of the prompt's ``.alaw`` file was heard: prompts of a
        kind begin alike."""
        return any(piece in self.heard for piece in _pieces(prompt, prompt.stat().st_mtime_ns))

    async def hear(self, prompt: Path, timeout: float = 30) -> None:
        """Waits until the prompt was heard. TimeoutError says which was not, and how much was."""
        try:
            async with asyncio.timeout(timeout):
                while not self.has_heard(prompt):
                    for _ in range(10):  # 200 ms: a search for every packet would be mostly in vain
                        await self.more()
        except TimeoutError:
            raise TimeoutError(f"{prompt.name} was not heard in {timeout:g} s; {self.packets} packets were") from None

    async def more(self) -> None:
        """Waits for the next packet."""
        self._progress.clear()
        await self._progress.wait()

    def speak(self, sound: bytes) -> None:
        """Says A-law, in real time and again and again, in place of what it said so far; until ``close``, once it is
        known where to: from ``look_up``, or from what is heard."""
        if self._speaking:
            self._speaking.cancel()
        self._remote = self.look_up() or self._remote  # in another call it is elsewhere
        self._speaking = asyncio.get_running_loop().create_task(self._speak(sound))

    @property
    def speaks(self) -> bool:
        return self._speaking is not None

    async def press(self, keys: str) -> None:
        """Presses keys as a telephone does: 80 ms each, a pause between them."""
        for key in keys:
            code, at = KEYS[key], self._timestamp + FRAME  # one event, one timestamp
            for step in range(1, 8):
                over = step > 4  # the end is sent three times, as the RFC asks
                length = min(step, 4) * FRAME
                self._send(EVENT, struct.pack("!BBH", code, (0x80 if over else 0) | 10, length), at, marker=step == 1)
                await asyncio.sleep(0.02)
            self._timestamp = at + 10 * FRAME
            await asyncio.sleep(0.1)

    def close(self) -> None:
        if self._speaking:
            self._speaking.cancel()
        self._transport.close()

    async def _speak(self, sound: bytes) -> None:
        loop = asyncio.get_running_loop()
        while self._remote is None:
            self._remote = self.look_up()
            await asyncio.sleep(0 if self._remote else 0.1)
        frames = [sound[at:at + FRAME].ljust(FRAME, b"\xd5") for at in range(0, len(sound), FRAME)]
        start, sent = loop.time(), 0
        while True:
            self._timestamp += FRAME
            self._send(ALAW, frames[sent % len(frames)], self._timestamp)
            sent += 1
            await asyncio.sleep(max(0, start + sent * 0.02 - loop.time()))

    def _send(self, kind: int, payload: bytes, timestamp: int, *, marker: bool = False) -> None:
        if self._remote is None or self._transport.is_closing():
            return
        self._sequence = (self._sequence + 1) & 0xFFFF
        header = struct.pack("!BBHII", 0x80, (0x80 if marker else 0) | kind, self._sequence,
                             timestamp & 0xFFFFFFFF, self._source)  # fmt: skip
        self._transport.sendto(header + payload, self._remote)
