"""Prompts spoken by the real espeak-ng and sox, from a small catalogue; what is published is whole, audible, and the
recording's where there is one."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from centre import provision
from centre.provision import ProvisionError
from centre.settings import ROOT, Settings
from ivr import build_prompts, prompts

CATALOGUE = {
    "uk": {"greeting": prompts.texts("uk")["greeting"], "digits/2": "другий", "again": "другий"},
    "en": {"greeting": prompts.texts("en")["greeting"], "digits/2": "second", "again": "second"},
}
TONES = {"beep": {"hertz": 800, "seconds": 0.4}}
EACH = {f"{language}/{name}" for language in CATALOGUE for name in (*CATALOGUE[language], "beep")}
LIMIT = 60


class Studio:
    """A ``var`` folder, its prompts, and what was said while they were built."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.said: list[str] = []

    def build(self) -> Studio:
        self.said.clear()
        build_prompts.build(Settings(var=self.var), self.said.append)
        return self

    def file(self, name: str, format_: str = "wav") -> Path:
        return self.var / "prompts" / f"{name}.{format_}"

    def bytes(self, name: str) -> list[bytes]:
        return [self.file(name, format_).read_bytes() for format_ in build_prompts.FORMATS]

    def published(self) -> set[str]:
        folder = self.var / "prompts"
        return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}

    def recording(self, name: str) -> Path:
        file = self.var / "voice" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


@pytest.fixture(autouse=True)
def _english_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.setenv(name, "C")


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """The texts, to be changed by a test."""
    said = {language: dict(texts) for language, texts in CATALOGUE.items()}
    monkeypatch.setattr(build_prompts, "texts", said.__getitem__)
    monkeypatch.setattr(build_prompts, "tones", lambda: TONES)
    return said


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the small catalogue in it."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_prompts, "CACHE", cache)
        patch.setattr(build_prompts, "texts", CATALOGUE.__getitem__)
        patch.setattr(build_prompts, "tones", lambda: TONES)
        Studio(tmp_path_factory.mktemp("var")).build()
    return cache


@pytest.fixture
def studio(catalogue: object, spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """With everything spoken already, in a cache of its own."""
    monkeypatch.setattr(build_prompts, "CACHE", tmp_path / "cache")
    shutil.copytree(spoken, tmp_path / "cache")
    return Studio(tmp_path / "var")


@pytest.fixture
def empty(catalogue: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """With nothing spoken yet."""
    monkeypatch.setattr(build_prompts, "CACHE", tmp_path / "cache")
    return Studio(tmp_path / "var")


def record(file: Path, seconds: float = 1.0, *, peak: float = 0.5, rate: int = 44100, channels: int = 2,
           hertz: float = 300) -> None:  # fmt: skip
    """A WAV file with a tone, as some program would save it."""
    block = b"".join(struct.pack("<h", round(32767 * peak * math.sin(2 * math.pi * hertz * at / rate))) * channels
                     for at in range(rate))  # fmt: skip
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        whole, rest = divmod(seconds, 1)
        sound.writeframes(block * int(whole) + block[: int(rest * rate) * 2 * channels])


@dataclass
class Sound:
    seconds: float
    peak: float
    rms: float


def sound(file: Path) -> Sound:
    """As sox hears it."""
    sox = provision.ensure("sox")
    raw = ("-t", "raw", "-r", "8000", "-e", "a-law", "-b", "8", "-c", "1")
    format_ = raw if file.suffix == ".alaw" else ("-t", "wav")
    heard = subprocess.run(sox.argv(*format_, file, "-n", "stat"), env=sox.env(), capture_output=True, text=True,
                           check=True).stderr  # fmt: skip

    def value(label: str) -> float:
        found = re.search(rf"^{label}:\s*(-?[\d.]+)$", heard, re.MULTILINE)
        assert found, heard
        return float(found[1])

    return Sound(value(r"Length \(seconds\)"), value("Maximum +amplitude"), value("RMS +amplitude"))


# ── spoken ──


def test_each_prompt_is_there_in_three_formats(studio: Studio) -> None:
    studio.build()
    assert studio.published() == {f"{name}.{format_}" for name in EACH for format_ in ("wav", "wav16", "alaw")}
    assert not studio.said


@pytest.mark.parametrize("name", sorted(EACH))
def test_it_has_the_rate_that_asterisk_expects_and_can_be_heard(studio: Studio, name: str) -> None:
    studio.build()
    lengths = []
    for format_, rate in (("wav", 8000), ("wav16", 16000)):
        with wave.open(str(studio.file(name, format_)), "rb") as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate, 1, 2)
            lengths.append(file.getnframes() / rate)
    lengths.append(studio.file(name, "alaw").stat().st_size / 8000)  # raw: no header
    assert max(lengths) - min(lengths) < 0.01
    for format_ in build_prompts.FORMATS:
        heard = sound(studio.file(name, format_))
        assert 0.3 < heard.seconds < 15
        assert 0.25 < heard.peak < 0.8, "loud enough, and not clipped"
        assert heard.rms > 0.03


def test_a_tone_is_no_louder_than_a_voice(studio: Studio) -> None:
    studio.build()
    tone, voice = sound(studio.file("uk/beep", "alaw")), sound(studio.file("uk/greeting", "alaw"))
    assert tone.seconds == pytest.approx(0.4, abs=0.01)
    assert tone.peak < voice.peak


@pytest.mark.parametrize("language", ["uk", "en"])
def test_the_greeting_is_neither_hurried_nor_long(studio: Studio, language: str) -> None:
    studio.build()
    assert 5 < sound(studio.file(f"{language}/greeting", "alaw")).seconds < 10


def test_the_voice_is_the_languages_own(studio: Studio) -> None:
    studio.build()
    assert studio.bytes("uk/digits/2") != studio.bytes("en/digits/2")


def test_what_espeak_is_given() -> None:
    ssml = build_prompts._ssml("П'ять & два. [en: Don't press <nine>.] З'єднуємо.")
    english = '<voice xml:lang="en">Don\'t press &lt;nine&gt;.</voice>'
    assert ssml == f"<speak>Пʼять &amp; два. {english} Зʼєднуємо.</speak>"


def test_files_cannot_be_written_into_by_mistake(studio: Studio) -> None:
    """A second name of the cache's file: what is written into it would be heard in every centre."""
    studio.build()
    assert studio.file("uk/greeting").stat().st_mode & 0o222 == 0


# ── made once ──


def test_nothing_is_made_twice(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.build()
    before = {name: studio.file(name).stat() for name in EACH}
    monkeypatch.setattr(build_prompts, "_run", pytest.fail)
    studio.build()
    assert {name: studio.file(name).stat() for name in EACH} == before
    other = Studio(studio.var.parent / "other").build()  # the demo's
    assert other.bytes("uk/greeting") == studio.bytes("uk/greeting")


def test_only_what_changed_is_made_anew(studio: Studio, catalogue: dict[str, dict[str, str]]) -> None:
    studio.build()
    before = {name: studio.file(name).stat().st_ino for name in EACH}
    old = studio.bytes("uk/digits/2")
    catalogue["uk"]["digits/2"] = "третій"
    studio.build()
    after = {name: studio.file(name).stat().st_ino for name in EACH}
    assert {name for name in EACH if before[name] != after[name]} == {"uk/digits/2"}
    assert studio.bytes("uk/digits/2") != old
    assert studio.bytes("uk/again") == old


def test_what_is_no_prompt_any_more_is_gone(studio: Studio, catalogue: dict[str, dict[str, str]]) -> None:
    studio.build()
    (studio.var / "prompts" / "uk" / ".greeting.wav.4711").write_text("left by a process that was killed")
    for texts in catalogue.values():
        del texts["digits/2"], texts["again"]
    studio.build()
    assert {name.partition(".")[0] for name in studio.published()} == EACH - {
        f"{language}/{name}" for language in ("uk", "en") for name in ("digits/2", "again")}  # fmt: skip
    kept = [folder for folder in build_prompts.CACHE.iterdir() if folder.is_dir()]
    assert len(kept) == len(EACH) - 4


def test_a_published_file_that_was_lost_or_spoilt_comes_back(studio: Studio) -> None:
    studio.build()
    whole = studio.bytes("uk/greeting")
    studio.file("uk/greeting", "alaw").unlink()
    studio.file("uk/greeting").unlink()
    studio.file("uk/greeting").write_bytes(b"half")
    assert studio.build().bytes("uk/greeting") == whole


def test_on_another_disk_they_are_copies(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_disk(self: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", other_disk)
    studio.build()
    inode = studio.file("uk/greeting").stat().st_ino
    assert studio.build().file("uk/greeting").stat().st_ino == inode, "copied once"
    assert {name.partition(".")[0] for name in studio.published()} == EACH


def test_when_espeak_fails_it_is_said_in_a_sentence_and_what_was_there_stays(
        studio: Studio, catalogue: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    before = studio.build().published()
    catalogue["uk"]["digits/2"] = "третій"
    failing = provision.Tool("espeak-ng", "1", ("sh", "-c", "echo 'no space left' >&2; exit 1"))
    real = build_prompts._tool
    monkeypatch.setattr(build_prompts, "_tool", lambda name: failing if name == "espeak-ng" else real(name))
    with pytest.raises(ProvisionError, match=r"The spoken prompt uk/digits/2 could not be made \(no space left\): "):
        studio.build()
    assert studio.published() == before
    assert not list(build_prompts.CACHE.glob(".draft-*"))


# ── recordings ──


def test_a_recording_replaces_the_voice_until_it_is_removed(studio: Studio) -> None:
    spoken = studio.build().bytes("uk/greeting")
    english = studio.bytes("en/greeting")
    record(studio.recording("uk/greeting.wav"), 2.0)
    studio.build()
    assert not studio.said
    for format_ in build_prompts.FORMATS:
        heard = sound(studio.file("uk/greeting", format_))
        assert heard.seconds == pytest.approx(2.2, abs=0.05)  # a tenth of a second of silence at either end
        assert heard.peak == pytest.approx(0.7, abs=0.02)
    assert studio.bytes("en/greeting") == english
    record(studio.recording("uk/greeting.wav"), 3.0)  # a better one
    assert sound(studio.build().file("uk/greeting")).seconds == pytest.approx(3.2, abs=0.05)
    studio.recording("uk/greeting.wav").unlink()
    assert studio.build().bytes("uk/greeting") == spoken
    assert len([folder for folder in build_prompts.CACHE.iterdir() if folder.is_dir()]) == len(EACH) - 2  # "again"


def test_a_recording_in_a_folder(studio: Studio) -> None:
    record(studio.recording("uk/digits/2.wav"), 1.0, channels=1, rate=8000)
    assert sound(studio.build().file("uk/digits/2")).seconds == pytest.approx(1.2, abs=0.05)


def test_a_quiet_recording_is_made_louder(studio: Studio) -> None:
    record(studio.recording("uk/greeting.wav"), peak=0.03)
    studio.build()
    assert not studio.said
    assert sound(studio.file("uk/greeting")).peak == pytest.approx(0.7, abs=0.02)


def not_sound(file: Path) -> None:
    file.write_text("This is not sound")


def nothing(file: Path) -> None:
    file.touch()


def cut_off(file: Path) -> None:
    record(file)
    file.write_bytes(file.read_bytes()[:30])


def silent(file: Path) -> None:
    record(file, peak=0)


def hiss(file: Path) -> None:
    record(file, peak=0.0005, hertz=3000)


def blip(file: Path) -> None:
    record(file, 0.03)


def too_long(file: Path) -> None:
    record(file, 130, rate=8000, channels=1)


def a_pipe(file: Path) -> None:
    os.mkfifo(file)


def a_link_to_nothing(file: Path) -> None:
    file.symlink_to(file.parent / "nowhere")


@pytest.mark.parametrize("spoil", [not_sound, nothing, cut_off, silent, hiss, blip, too_long, a_pipe,
                                   a_link_to_nothing])  # fmt: skip
def test_a_recording_of_no_use_is_named_and_the_voice_stays(studio: Studio, spoil: Callable[[Path], None]) -> None:
    spoken = studio.build().bytes("uk/greeting")
    file = studio.recording("uk/greeting.wav")
    spoil(file)
    record(studio.recording("uk/digits/2.wav"))
    studio.build()
    (sentence,) = studio.said
    assert sentence.startswith(f"The recording {file} is of no use")
    assert studio.bytes("uk/greeting") == spoken
    assert sound(studio.file("uk/digits/2")).seconds == pytest.approx(1.2, abs=0.05), "the good one beside it counts"
    assert not list(build_prompts.CACHE.glob(".draft-*"))


@pytest.mark.parametrize("name", ["uk/greting.wav", "uk/greeting.mp3", "uk/greeting.WAV", "ua/greeting.wav",
                                  "greeting.wav", "uk/digits/99.wav"])  # fmt: skip
def test_a_recording_that_belongs_to_no_prompt_is_named(studio: Studio, name: str) -> None:
    spoken = studio.build().bytes("uk/greeting")
    file = studio.recording(name)
    record(file)
    studio.build()
    (sentence,) = studio.said
    assert sentence.startswith(f"The recording {file} belongs to no prompt")
    assert studio.bytes("uk/greeting") == spoken


def test_music_and_hidden_files_are_no_business_of_ours(studio: Studio) -> None:
    for name in ("moh/vivaldi.wav", "uk/.DS_Store"):
        studio.recording(name).write_text("x")
    assert not studio.build().said


# ── processes ──

# A process that builds the small catalogue: the cache, the var folder, how often it tells.
PROCESS = """
import json, sys
from pathlib import Path
from centre.settings import Settings
from ivr import build_prompts as build
texts, tones, cache, var = json.loads(sys.argv[1])
build.texts, build.tones, build.CACHE, build.PROGRESS_S = texts.__getitem__, lambda: tones, Path(cache), 0
build.build(Settings(var=Path(var)), lambda line: print(line, flush=True))
"""


def process(studio: Studio, texts: dict[str, dict[str, str]] = CATALOGUE) -> subprocess.Popen[str]:
    given = json.dumps([texts, TONES, str(build_prompts.CACHE), str(studio.var)])
    return subprocess.Popen([sys.executable, "-c", PROCESS, given], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def whole(cache: Path) -> bool:
    """Whether everything that counts as made is complete."""
    made = [folder for folder in cache.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    return all({file.name for file in folder.iterdir() if file.stat().st_size > 2000} == set(build_prompts.FORMATS)
               for folder in made)  # fmt: skip


def test_two_processes_at_once(empty: Studio) -> None:
    other = Studio(empty.var.parent / "other")
    running = [process(empty), process(other), process(other)]
    said = [one.communicate(timeout=LIMIT)[0] for one in running]
    assert [one.returncode for one in running] == [0, 0, 0]
    assert sum("Spoken prompts: 1 of" in text for text in said) == 1, "one has made them for all"
    assert empty.published() == other.published()
    assert {name.partition(".")[0] for name in empty.published()} == EACH
    assert whole(build_prompts.CACHE)


def test_who_waits_for_another_process_is_told(studio: Studio) -> None:
    with (build_prompts.CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = process(studio)
        assert waiting.stdout
        assert waiting.stdout.readline() == "Another process is making the spoken prompts now; waiting for it.\n"
        assert not studio.var.exists()
        fcntl.flock(lock, fcntl.LOCK_UN)
        waiting.communicate(timeout=LIMIT)
    assert waiting.returncode == 0
    assert {name.partition(".")[0] for name in studio.published()} == EACH


def test_killed_in_the_midst_it_leaves_nothing_half(empty: Studio) -> None:
    many = {language: {**texts, **{f"more-{n}": f"{texts['again']} {n}" for n in range(20)}}
            for language, texts in CATALOGUE.items()}  # fmt: skip
    killed = process(empty, many)
    assert killed.stdout
    assert killed.stdout.readline().startswith("Spoken prompts: 1 of")
    killed.kill()
    killed.communicate(timeout=LIMIT)
    assert not empty.published(), "all are there, or none yet"
    assert whole(build_prompts.CACHE)
    again = process(empty, many)
    said = again.communicate(timeout=LIMIT)[0].splitlines()
    assert again.returncode == 0
    assert len(said) < 20 * 2 + len(EACH) - 2, "what was made before is not made again"
    assert len(empty.published()) == 3 * (len(EACH) + 2 * 20)
    assert whole(build_prompts.CACHE)
    assert not list(build_prompts.CACHE.glob(".draft-*"))
