"""How long a WAV file speaks, told from its first bytes and its size. Pure: reads no file.

MixMonitor writes the sizes into the header when it closes the file (Asterisk 22.10.1, tried): until then, and
for ever after a crash, both say 0, and the sound is all that follows. A call in which nobody spoke
leaves 44 finished bytes.
Format: RIFF, "Multimedia Programming Interface and Data Specifications 1.0" (IBM, Microsoft, 1991).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEAD = 4096  # bytes: as much of a file as `parse` needs to see
PCM = 1
ENDLESS = 0xFFFFFFFF
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")


class NotWav(ValueError):
    """These bytes do not begin a WAV file of PCM samples."""


@dataclass(frozen=True, slots=True)
class Wav:
    """What a header says, and what is really there. Sizes in bytes.

    ``declared`` is None while the header is unfinished.
    """

    rate: int
    frame: int  # bytes of one sample of all channels
    data_at: int
    declared: int | None
    present: int

    @property
    def duration_s(self) -> float:
        """Seconds that can be heard, which is less than was declared when the file was cut short."""
        return self.present // self.frame / self.rate

    @property
    def truncated(self) -> bool:
        """Less is there than the finished header promised."""
        return self.declared is not None and self.present < self.declared


def parse(head: bytes, size: int) -> Wav:
    """Reads the header of a file of ``size`` bytes that begins with ``head`` (its first ``HEAD`` bytes, or all of it).

    Raises:
        NotWav: it is something else, not PCM, or its sound does not begin within ``head``.
    """
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise NotWav("no RIFF/WAVE header")
    whole = _CHUNK.unpack_from(head)[1]
    sound: tuple[int, int] | None = None
    at = 12
    while at + _CHUNK.size <= len(head):
        name, length = _CHUNK.unpack_from(head, at)
        at += _CHUNK.size
        if name == b"data":
            if sound is None:
                raise NotWav("the sound comes before its format")
            rate, frame = sound
            there = max(0, size - at)
            if length == ENDLESS or (length == 0 and whole != size - _CHUNK.size):
                return Wav(rate, frame, at, None, there)
            return Wav(rate, frame, at, length, min(length, there))
        if name == b"fmt ":
            sound = _format(head[at : at + length])
        at += length + length % 2  # chunks begin at even places
    raise NotWav("no sound in it")


def finished(wav: Wav, size: int) -> tuple[tuple[int, bytes], ...]:
    """What to write, and where, so that the unfinished header of a file of ``size`` bytes tells its real sizes."""
    most = 0xFFFFFFFE
    return (4, struct.pack("<I", min(size - 8, most))), (wav.data_at - 4, struct.pack("<I", min(wav.present, most)))


def _format(chunk: bytes) -> tuple[int, int]:
    """(samples a second, bytes of a frame)."""
    if len(chunk) < _FORMAT.size:
        raise NotWav("the format is cut short")
    coding, channels, rate, _, frame, bits = _FORMAT.unpack_from(chunk)
    if coding != PCM:
        raise NotWav(f"coding {coding} is not PCM")
    if not rate or not channels or bits not in (8, 16, 24, 32) or frame != channels * bits // 8:
        raise NotWav("the format contradicts itself")
    return rate, frame
