"""The length of a recording is told rightly, or it is refused; no bytes make the parser do anything else."""

from __future__ import annotations

import io
import struct
import wave

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recordings import wav


def written(seconds: float, rate: int = 8000, channels: int = 1, width: int = 2) -> bytes:
    """A whole WAV file, by the standard library."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(bytes(round(seconds * rate) * channels * width))
    return out.getvalue()


def unfinished(data: bytes) -> bytes:
    """What Asterisk 22.10.1 leaves when it is killed: both sizes 0."""
    return data[:4] + bytes(4) + data[8:40] + bytes(4) + data[44:]


@given(st.floats(0, 3), st.sampled_from([8000, 16000]), st.sampled_from([1, 2]), st.sampled_from([1, 2, 4]))
def test_a_finished_file_is_as_long_as_it_was_written(seconds: float, rate: int, channels: int, width: int) -> None:
    data = written(seconds, rate, channels, width)
    sound = wav.parse(data[: wav.HEAD], len(data))
    assert sound.duration_s == round(seconds * rate) / rate
    assert not sound.truncated
    assert sound.declared is not None


@given(st.integers(0, 20000))
def test_a_file_cut_short_says_so_and_how_much_is_left(kept: int) -> None:
    data = written(1)[: 44 + kept]
    sound = wav.parse(data[: wav.HEAD], len(data))
    assert sound.duration_s == min(kept, 16000) // 2 / 8000
    assert sound.truncated is (kept < 16000)


@given(st.integers(1, 20000))
def test_the_header_of_a_crash_is_measured_by_the_file_and_can_be_finished(sound_bytes: int) -> None:
    data = bytearray(unfinished(written(2))[: 44 + sound_bytes])
    sound = wav.parse(bytes(data[: wav.HEAD]), len(data))
    assert (sound.declared, sound.duration_s) == (None, sound_bytes // 2 / 8000)
    for at, what in wav.finished(sound, len(data)):
        data[at : at + len(what)] = what
    again = wav.parse(bytes(data[: wav.HEAD]), len(data))
    assert (again.declared, again.duration_s) == (sound_bytes, sound.duration_s)
    with wave.open(io.BytesIO(bytes(data))) as file:
        assert file.getnframes() == sound_bytes // 2


def test_a_call_in_which_nobody_spoke_is_finished_and_empty() -> None:
    data = written(0)
    assert len(data) == 44
    sound = wav.parse(data, len(data))
    assert (sound.declared, sound.duration_s, sound.truncated) == (0, 0.0, False)


def test_chunks_before_the_sound_are_passed_over() -> None:
    plain = written(1)
    data = plain[:12] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + plain[12:]
    assert wav.parse(data[: wav.HEAD], len(data)).duration_s == 1.0


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda rest: written(0)[:36] + rest), st.integers(0, 2**40))
@example(b"RIFF\xff\xff\xff\xffWAVE" + b"fmt " + b"\xff\xff\xff\xff", 44)
@example(b"RIFF\0\0\0\0WAVE" + b"\0\0\0\0" * 40, 172)
def test_hostile_bytes_are_measured_or_refused(head: bytes, more: int) -> None:
    size = len(head) + more
    try:
        sound = wav.parse(head, size)
    except wav.NotWav:
        return
    assert 0 <= sound.present <= size
    assert 0 <= sound.duration_s <= size


@pytest.mark.parametrize("change", [
    lambda d: d[:20] + struct.pack("<H", 6) + d[22:],  # A-law, which no browser plays by this header
    lambda d: d[:24] + bytes(4) + d[28:],  # no samples a second: a division by zero
    lambda d: d[:32] + bytes(2) + d[34:],  # no bytes a sample
    lambda d: d[:12] + b"data" + struct.pack("<I", 10) + bytes(10) + d[12:],  # sound before its format
    lambda d: b"RIFX" + d[4:],
    lambda d: d[:30],
    lambda d: b"",
])  # fmt: skip
def test_what_is_no_pcm_is_refused(change) -> None:  # type: ignore[no-untyped-def]
    data = change(written(1))
    with pytest.raises(wav.NotWav):
        wav.parse(data[: wav.HEAD], len(data))
