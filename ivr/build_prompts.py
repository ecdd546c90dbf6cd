"""The prompts made into sound: spoken by espeak-ng, or a person's recording where there is one.

Each is made once for this checkout, under the hash of all that it is made of, in a cache that every ``var`` folder
links from: a second centre (the demo's, a test's) has its prompts within a second.

    var/prompts/<language>/<name>.wav      8 kHz, 16 bit: what Asterisk finds for any codec
                          …/<name>.wav16   16 kHz, for wideband telephones
                          …/<name>.alaw    8 kHz A-law: the trunks' own, played without transcoding
    var/voice/<language>/<name>.wav        a recording, which replaces the spoken one
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.sax.saxutils import escape

from centre import provision
from centre.settings import ROOT, Settings
from centre.texts import terminal_language
from ivr.prompts import LANGUAGES, building, texts, tones

FORMATS = ("wav", "wav16", "alaw")
CACHE = ROOT / "var" / "prompts-cache"
SPEAK = ("-m", "-s", "165")  # SSML; words a minute: brisk, and still easy to follow
# Peaks at −3 dB; silence is what then lies under 0.5 %, and a tenth of a second of it is left at either end.
TRIM = ("norm", "-3", "silence", "1", "0.02", "0.5%", "reverse", "silence", "1", "0.02", "0.5%", "reverse",
        "pad", "0.1", "0.1", "norm", "-3")  # fmt: skip
WORKERS = 2
PROGRESS_S = 3.0
PATIENCE_S = 60.0  # for one program on one prompt
SHORTEST_S, LONGEST_S = 0.3, 120.0


@dataclass(frozen=True)
class Prompt:
    """One sound to be made, of a text, of a tone's numbers, or of a recording."""

    language: str
    name: str
    source: str | Mapping[str, float] | Path

    @cached_property
    def made_of(self) -> str:
        """A hash of everything that the sound depends on."""
        source: object = self.source
        if isinstance(source, Path):
            with source.open("rb") as file:
                source = hashlib.file_digest(file, "sha256").digest()
        recipe = (self.language, source, SPEAK, TRIM)
        return hashlib.sha256(repr(recipe).encode()).hexdigest()[:32]

    @property
    def cached(self) -> Path:
        """The folder with the sound's three files, named by their formats. It is there whole or not at all."""
        return CACHE / self.made_of


def build(settings: Settings, say: Callable[[str], None]) -> None:
    """Makes the prompts that are missing or whose text or recording has changed; the others are left alone.

    ``say`` gets progress every few seconds and a sentence about each recording that cannot be used.
    ProvisionError if espeak-ng or sox cannot be had; CalledProcessError if they fail on a text of ours.
    """
    language = terminal_language()
    wanted = {(prompt.language, prompt.name): prompt for prompt in _spoken()}
    with _alone():
        _make([prompt for prompt in wanted.values() if not prompt.cached.exists()],
              lambda done, all_: say(building("progress", language, done=done, all=all_)))  # fmt: skip
        spoken = {prompt.made_of for prompt in wanted.values()}
        for recording in _recordings(settings):
            if (recording.language, recording.name) not in wanted:
                say(building("unknown", language, file=recording.source))
            elif recording.cached.exists() or _convert(recording):
                wanted[recording.language, recording.name] = recording
            else:
                say(building("damaged", language, file=recording.source, longest=int(LONGEST_S)))
        _publish(wanted.values(), settings.prompts)
        _forget_all_but(spoken | {prompt.made_of for prompt in wanted.values()})


def _spoken() -> Iterator[Prompt]:
    for language in LANGUAGES:
        for name, source in {**texts(language), **tones()}.items():
            yield Prompt(language, name, source)


def _recordings(settings: Settings) -> Iterator[Prompt]:
    for language in LANGUAGES:
        folder = settings.var.absolute() / "voice" / language
        for file in sorted(folder.rglob("*.wav")):
            yield Prompt(language, file.relative_to(folder).with_suffix("").as_posix(), file)


# ── made, each once ──────────────────────────────────────────────────────────────────────────


def _make(prompts: list[Prompt], progress: Callable[[int, int], None]) -> None:
    if not prompts:
        return
    for tool in ("espeak-ng", "sox"):
        provision.ensure(tool)  # fetched once, not by two threads
    told = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as pool:
        running = [pool.submit(_synthesise, prompt) for prompt in prompts]
        try:
            for done, one in enumerate(as_completed(running), start=1):
                one.result()
                if time.monotonic() - told > PROGRESS_S:
                    told = time.monotonic()
                    progress(done, len(prompts))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _synthesise(prompt: Prompt) -> None:
    with _draft(prompt) as draft:
        if isinstance(prompt.source, str):
            _run("espeak-ng", *SPEAK, "-v", prompt.language, "-w", draft / "raw", "--", _ssml(prompt.source))
            _formats(draft, ("-t", "wav", draft / "raw"), TRIM)
        elif isinstance(prompt.source, Mapping):
            tone = ("synth", str(prompt.source["seconds"]), "sine", str(prompt.source["hertz"]))
            _formats(draft, ("-n", "-r", "16000", "-c", "1"), (*tone, "fade", "0.02", "0", "0.02", "norm", "-9"))


def _convert(recording: Prompt) -> bool:
    """Whether the recording could be used."""
    with _draft(recording) as draft:
        assert isinstance(recording.source, Path)
        try:
            _formats(draft, ("-t", "wav", recording.source), ("trim", "0", str(LONGEST_S + 1), *TRIM))
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return False
        seconds = (draft / "alaw").stat().st_size / 8000
        if usable := SHORTEST_S < seconds < LONGEST_S:
            draft.rename
        return usable


def _formats(draft: Path, source: tuple[str | Path, ...], effects: tuple[str, ...]) -> None:
    """The three files in ``draft``, of what sox reads as ``source``."""
    mono = ("-c", "1", "-t")
    _run("sox", "-D", *source, *mono, "wav", "-b", "16", draft / "wav16", "remix", "-", "rate", "16000", *effects)
    _run("sox", "-D", "-t", "wav", draft / "wav16", *mono, "wav", draft / "wav", "rate", "8000", "norm", "-3")
    _run("sox", "-D", "-t", "wav", draft / "wav", *mono, "raw", "-e", "a-law", "-b", "8", draft / "alaw")
