"""The prompts made into sound: spoken by espeak-ng, or a person's recording where there is one.

Each is made once for this checkout, under the hash of all that it is made of, in a cache that every ``var`` folder
links from: a second centre (the demo's, a test's) has its prompts within a second. The files are read-only, for
what is written into one would be heard in every centre.

    var/prompts/<language>/<name>.wav      8 kHz, 16 bit: what Asterisk finds for any codec
                          …/<name>.wav16   16 kHz, for wideband telephones
                          …/<name>.alaw    8 kHz A-law: the trunks' own, played without transcoding
    var/voice/<language>/<name>.wav        a recording, which replaces the spoken one

What a supervisor has just written is spoken while the centre runs (``speak``), into ``announcements/`` beside them.
"""

from __future__ import annotations

import fcntl
import filecmp
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from xml.sax.saxutils import escape

from centre import provision
from centre.provision import ProvisionError
from centre.settings import ROOT, Settings
from centre.texts import terminal_language
from ivr.prompts import LANGUAGES, building, texts, tones

FORMATS = ("wav", "wav16", "alaw")
DRAFT = ".draft-"
CACHE = ROOT / "var" / "prompts-cache"
RECIPE = 1  # raised whenever sounds are made in another way than before, so that all are made anew
SPEAK = ("-m", "-s", "165")  # SSML; words a minute: brisk, and still easy to follow
# What comes before the first sound of 0.5 % (−46 dB) is cut off, and all if there is none.
AUDIBLE = ("silence", "1", "0.02", "0.5%")
# Peaks at −3 dB, and at either end a tenth of a second of silence.
TRIM = ("norm", "-3", *AUDIBLE, "reverse", *AUDIBLE, "reverse", "pad", "0.1", "0.1", "norm", "-3")
WORKERS = 2
PROGRESS_S = 3.0
PATIENCE_S = 60.0  # for one program on one prompt
SHORTEST_S, LONGEST_S = 0.3, 120.0  # of a recording, when it is trimmed
READ_S = 600.0  # of a recording before that: a file of hours shall not fill the disk
NOT_VOICES = "moh"  # var/voice/moh is music, and Asterisk's affair
ANNOUNCEMENTS = "announcements"
SAID = "said"  # the three files of one


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
        recipe = (RECIPE, self.language, source, SPEAK, TRIM)
        return hashlib.sha256(repr(recipe).encode()).hexdigest()[:32]

    @property
    def cached(self) -> Path:
        """The folder with the sound's three files, named by their formats. It is there whole or not at all."""
        return CACHE / self.made_of


def build(settings: Settings, say: Callable[[str], None]) -> None:
    """Makes the prompts that are missing or whose text or recording has changed; the others are left alone.

    ``say`` gets progress every few seconds and a sentence about each recording that cannot be used.
    ProvisionError, with a sentence for the user, if espeak-ng or sox cannot be had or fail on a text of ours; what
    was published before stays.
    """
    language = terminal_language()
    wanted = {(prompt.language, prompt.name): prompt for prompt in _spoken()}
    spoken = {prompt.made_of for prompt in wanted.values()}
    with _alone(lambda: say(building("waiting", language))):
        _make({prompt.made_of: prompt for prompt in wanted.values() if not prompt.cached.exists()}.values(),
              lambda done, all_: say(building("progress", language, done=done, all=all_)))  # fmt: skip
        for recording in _recordings(settings.var / "voice"):
            if (recording.language, recording.name) not in wanted:
                say(building("unknown", language, file=recording.source))
            elif _usable(recording):
                wanted[recording.language, recording.name] = recording
            else:
                say(building("damaged", language, file=recording.source, longest=int(LONGEST_S)))
        _publish(wanted.values(), settings.prompts)
        _forget_all_but(spoken | {prompt.made_of for prompt in wanted.values()})


def _spoken() -> Iterator[Prompt]:
    for language in LANGUAGES:
        yield from (Prompt(language, name, text) for name, text in texts(language).items())
        yield from (Prompt(language, name, tone) for name, tone in tones().items())


def _recordings(folder: Path) -> Iterator[Prompt]:
    """Every file there, also one that belongs to no prompt: whoever put it there is to be told."""
    for file in sorted(folder.absolute().rglob("*")):
        language, *names = file.relative_to(folder.absolute()).parts
        if file.is_dir() or language == NOT_VOICES or file.name.startswith("."):
            continue
        yield Prompt(language, "/".join(names).removesuffix(".wav") if file.suffix == ".wav" else file.name, file)


@dataclass(frozen=True, slots=True)
class Spoken:
    """``name``: as Asterisk plays it."""

    name: str
    seconds: float


def speak(text: str, language: str, prompts: Path) -> Spoken:
    """A sound for this text, made now unless it is there. Blocking; ProvisionError as ``build``.

    Its files are there together or not at all, in a folder named by all that they are made of: another text is another
    sound, and who listens to the old one hears it to its end.
    """
    folder = prompts / language / ANNOUNCEMENTS
    folder.mkdir(parents=True, exist_ok=True)
    prompt = Prompt(language, ANNOUNCEMENTS, text)
    made = folder / prompt.made_of
    if made.exists():
        os.utime(made)  # it is wanted still: ``forget``
    else:
        for left in folder.glob(f"{DRAFT}*"):
            if time.time() - left.stat().st_mtime > PATIENCE_S:  # by one that was killed
                shutil.rmtree(left, ignore_errors=True)
        _synthesise(prompt, made, f"{SAID}.")
    return Spoken(f"{ANNOUNCEMENTS}/{prompt.made_of}/{SAID}", (made / f"{SAID}.alaw").stat().st_size / 8000)


def forget(prompts: Path, kept: Collection[str], older_s: float) -> None:
    """Removes what was spoken that long ago, but for the sounds ``kept``."""
    for made in prompts.glob(f"*/{ANNOUNCEMENTS}/*"):
        if f"{ANNOUNCEMENTS}/{made.name}/{SAID}" not in kept and time.time() - made.stat().st_mtime > older_s:
            shutil.rmtree(made, ignore_errors=True)


# ── made, each once ──────────────────────────────────────────────────────────────────────────


def _make(prompts: Collection[Prompt], progress: Callable[[int, int], None]) -> None:
    if not prompts:
        return
    for program in ("espeak-ng", "sox"):
        _tool(program)  # fetched once, not by two threads
    told = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as pool:
        running = [pool.submit(_synthesise, prompt, prompt.cached) for prompt in prompts]
        try:
            for done, one in enumerate(as_completed(running), start=1):
                one.result()
                if time.monotonic() - told > PROGRESS_S:
                    told = time.monotonic()
                    progress(done, len(prompts))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _synthesise(prompt: Prompt, made: Path, stem: str = "") -> None:
    """Into the folder ``made``. ProvisionError if it fails."""
    try:
        with _draft(made, stem) as draft:
            if isinstance(prompt.source, str):
                speech = draft / "speech"
                _run("espeak-ng", *SPEAK, "-v", prompt.language, "-w", speech, "--", _ssml(prompt.source))
                _formats(draft, ("-t", "wav", speech), TRIM)
            elif isinstance(prompt.source, Mapping):
                tone = ("synth", str(prompt.source["seconds"]), "sine", str(prompt.source["hertz"]))
                _formats(draft, ("-n", "-r", "16000", "-c", "1"), (*tone, "fade", "0.02", "0", "0.02", "norm", "-9"))
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise ProvisionError(building("failed", terminal_language(), prompt=f"{prompt.language}/{prompt.name}",
                                      why=" ".join(said.split())[-300:])) from error  # fmt: skip


def _usable(recording: Prompt) -> bool:
    """Whether it is a sound that can be played; it is in the cache then."""
    assert isinstance(recording.source, Path)  # noqa: S101
    if not recording.source.is_file():  # a pipe would be waited for
        return False
    try:
        if recording.cached.exists():
            return True
        with _draft(recording.cached) as draft:
            _formats(draft, ("-t", "wav", recording.source), ("trim", "0", str(READ_S), *AUDIBLE, *TRIM))
            if not SHORTEST_S < (draft / "alaw").stat().st_size / 8000 <= LONGEST_S:
                raise _Unusable
    except (_Unusable, subprocess.SubprocessError, OSError):
        return False
    return True


class _Unusable(Exception):
    """Silent, or too long."""


@contextmanager
def _draft(made: Path, stem: str = "") -> Iterator[Path]:
    """A folder for the three files, which is ``made`` when the block has ended well, and is gone otherwise. ``stem``
    comes before their names then."""
    folder = Path(tempfile.mkdtemp(prefix=DRAFT, dir=made.parent))
    try:
        yield folder
        for file in list(folder.iterdir()):
            if file.name in FORMATS:
                _keep(file.rename(folder / f"{stem}{file.name}"))
            else:
                file.unlink()
        folder.rename(made)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(file: Path) -> None:
    """On the disk, or the power's failing would leave empty sounds in a cache that is believed."""
    with file.open("rb") as written:
        os.fsync(written.fileno())
    file.chmod(0o444)


def _formats(draft: Path, source: tuple[str | Path, ...], effects: tuple[str, ...]) -> None:
    """The three files in ``draft``, of what sox reads as ``source``."""
    mono = ("-c", "1", "-t")
    _run("sox", "-D", *source, *mono, "wav", "-b", "16", draft / "wav16", "remix", "-", "rate", "16000", *effects)
    _run("sox", "-D", "-t", "wav", draft / "wav16", *mono, "wav", draft / "wav", "rate", "8000")
    _run("sox", "-D", "-t", "wav", draft / "wav", *mono, "raw", "-e", "a-law", "-b", "8", draft / "alaw")


def _ssml(text: str) -> str:
    """What espeak-ng reads: "[en: …]" in that voice. An apostrophe in a word makes it pause; the letter ʼ does not."""
    spoken = re.sub(r"(?<=[^\W\da-zA-Z])'(?=\w)", "\u02bc", escape(text))
    return re.sub(r"\[(\w\w): ([^]]*)\]", r'<voice xml:lang="\1">\2</voice>', f"<speak>{spoken}</speak>")


@cache
def _tool(name: str) -> provision.Tool:
    return provision.ensure(name)


def _run(program: str, *arguments: str | Path) -> None:
    """CalledProcessError or TimeoutExpired if it fails."""
    tool = _tool(program)
    subprocess.run(tool.argv(*arguments), env=tool.env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE, text=True, errors="replace", timeout=PATIENCE_S, check=True)  # fmt: skip


# ── the cache, and what is published from it ─────────────────────────────────────────────────


@contextmanager
def _alone(when_it_takes_long: Callable[[], None]) -> Iterator[None]:
    """One process at a time in the cache; what one that was killed has left there is cleared away."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            when_it_takes_long()
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in CACHE.glob(f"{DRAFT}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _publish(prompts: Iterable[Prompt], folder: Path) -> None:
    """Puts each into ``folder``, whole or not at all; what else lies there goes, but what the line has spoken."""
    expected = set()
    for prompt in prompts:
        for format_ in FORMATS:
            target = folder / prompt.language / f"{prompt.name}.{format_}"
            expected.add(target)
            _link(prompt.cached / format_, target)
    for found in list(folder.rglob("*")):
        spoken = found.relative_to(folder).parts[1:2] == (ANNOUNCEMENTS,)
        if found not in expected and not found.is_dir() and not spoken:
            found.unlink()


def _link(source: Path, target: Path) -> None:
    if target.exists() and filecmp.cmp(source, target):  # the very file, or a copy of its size and time
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        draft.hardlink_to(source)
    except OSError:  # another disk
        shutil.copy2(source, draft)
    draft.replace(target)


def _forget_all_but(kept: set[str]) -> None:
    for folder in CACHE.iterdir():
        if folder.is_dir() and folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)
