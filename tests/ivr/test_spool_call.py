"""The script that Asterisk starts itself, run as Asterisk runs it: by its first line, spoken to over its stdin."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr import spool, spool_call

LIMIT = 30
UNIQUEID = "1764000000.17"
CALL = {
    "CHANNEL(linkedid)": "1764000000.16", "ORIGIN": "mobile", "CALLER": "+380501112233", "CHANNEL(language)": "uk",
    "CHOICE": "queue", "STAGE": "queue", "RECORDING": "ab/ab012345678901234567890123456789.wav",
    "ATTEMPT": "cb-0123456789abcdef01234567", "OUTCOME": "ANSWER", "APPEAL": "26000123", "KEY": "1",
    "CALL_INCIDENT": "12", "QUEUESTATUS": "CONTINUE",
}  # fmt: skip
WRITTEN = {
    "linkedid": "1764000000.16", "origin": "mobile", "caller": "+380501112233", "language": "uk", "choice": "queue",
    "stage": "queue", "file": "ab/ab012345678901234567890123456789.wav", "attempt": "cb-0123456789abcdef01234567",
    "outcome": "ANSWER", "appeal": "26000123", "key": "1", "incident": "12", "queue_status": "CONTINUE",
}  # fmt: skip


class Asterisk:
    """The other end of one run of the script."""

    def __init__(self, script: Path, kind: str, folder: Path, *before: str) -> None:
        self.process = subprocess.Popen([*before, script, kind, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, cwd="/", env={"PATH": os.defpath})  # fmt: skip
        self.kind, self.folder = kind, folder

    def tell(self, *lines: str | bytes) -> None:
        assert self.process.stdin
        for line in lines:
            self.process.stdin.write((line if isinstance(line, bytes) else line.encode()) + b"\n")
        self.process.stdin.flush()

    def begin(self, **more: str | bytes) -> None:
        """What Asterisk opens with."""
        self.tell("agi_request: spool_call.py", "agi_channel: PJSIP/trunk-mobile-00000010", "agi_language: uk",
                  f"agi_uniqueid: {UNIQUEID}", "agi_callerid: +380501112233", "agi_enhanced: 0.0",
                  f"agi_arg_1: {self.kind}", f"agi_arg_2: {self.folder}",
                  *(f"{name}: ".encode() + (value if isinstance(value, bytes) else value.encode())
                    for name, value in more.items()), "")  # fmt: skip

    def asked(self) -> str | None:
        """The variable that the script asks for; None when it has ended."""
        assert self.process.stdout
        line = self.process.stdout.readline().decode()
        if not line:
            return None
        asked = re.fullmatch(r'GET FULL VARIABLE "?\$\{([A-Z_]+(?:\([a-z]+\))?)\}"?\n', line)
        assert asked, line
        return asked[1]

    def answer(self, variables: dict[str, str | bytes], most: int = 100) -> None:
        """Answers until the script has ended, or ``most`` times."""
        for _ in range(most):
            name = self.asked()
            if name is None:
                return
            value = variables.get(name)
            if value is None:
                self.tell("200 result=0")
            else:
                self.tell(b"200 result=1 (" + (value if isinstance(value, bytes) else value.encode()) + b")")

    def end(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(LIMIT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


Run = Callable[..., Asterisk]


@pytest.fixture
def run(script: Path, folder: Path) -> Iterator[Run]:
    """Starts the script, in ``folder`` if no other is named."""
    started: list[Asterisk] = []

    def start(kind: str = "ended", into: Path = folder, *before: str) -> Asterisk:
        started.append(Asterisk(script, kind, into, *before))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``centre.asterisk`` puts it beside Asterisk."""
    file = tmp_path_factory.mktemp("agi") / "spool_call.py"
    file.write_text(f"#!{sys.executable}\n" + Path(spool_call.__file__).read_text())
    file.chmod(stat.S_IRWXU)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "spool"
    path.mkdir()
    yield path
    assert not list(path.glob(".*")), "a draft stayed"


def written(folder: Path) -> dict[str, Any]:
    (file,) = folder.iterdir()
    found: dict[str, Any] = json.loads(file.read_bytes())
    assert file.name == f"{found['at']:.6f}-{found['uniqueid']}-{found['kind']}.json"
    return found


@pytest.mark.parametrize("kind", spool.Kind)
def test_one_whole_file_with_what_it_was_told(run: Run, folder: Path, kind: spool.Kind) -> None:
    before = time.time()
    asterisk = run(kind.value)
    asterisk.begin()
    asterisk.answer(CALL)
    assert asterisk.end() == 0
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = written(folder)
    assert before <= found.pop("at") <= time.time()
    assert found == {"kind": kind.value, "uniqueid": UNIQUEID, **WRITTEN}
    read = spool.parse(file.read_bytes())
    assert (read.kind, read.linkedid, read.caller, read.key) == (kind, "1764000000.16", "+380501112233", "1")
    assert spool._NAME.fullmatch(file.name), "the reader knows it"


def test_what_the_call_does_not_have_is_not_written(run: Run, folder: Path) -> None:
    asterisk = run("arrived")
    asterisk.begin()
    asterisk.answer({"CHANNEL(linkedid)": "1764000000.16", "ORIGIN": "landline", "CALLER": ""})
    assert asterisk.end() == 0
    found = written(folder)
    del found["at"]
    assert found == {"kind": "arrived", "uniqueid": UNIQUEID, "linkedid": "1764000000.16", "origin": "landline"}


def some_of_it(folder: Path, told: int) -> None:
    found = written(folder)
    del found["at"]
    assert found == {"kind": "ended", "uniqueid": UNIQUEID, **dict(list(WRITTEN.items())[:told])}


@pytest.mark.parametrize("told", [0, 1, 4, 11])
def test_hung_up_in_the_midst(run: Run, folder: Path, told: int) -> None:
    """What comes after HANGUP answers the question before: nothing may be taken for another variable's value."""
    asterisk = run()
    asterisk.begin()
    asterisk.answer(CALL, told)
    asked = asterisk.asked()
    assert asked
    asterisk.tell("HANGUP", f"200 result=1 ({CALL[asked]})", *["200 result=1 (wrong)"] * 12)
    assert asterisk.end() == 0
    some_of_it(folder, told)


@pytest.mark.parametrize("told", [0, 5])
def test_cut_off_in_the_midst(run: Run, folder: Path, told: int) -> None:
    asterisk = run()
    asterisk.begin()
    asterisk.answer(CALL, told)
    assert asterisk.asked()
    assert asterisk.process.stdin
    asterisk.process.stdin.close()
    assert asterisk.end() == 0
    some_of_it(folder, told)


def test_asterisks_hangup_signal_does_not_lose_the_call(run: Run, folder: Path) -> None:
    asterisk = run()
    asterisk.begin()
    asterisk.answer(CALL, 3)
    asked = asterisk.asked()
    assert asked
    asterisk.process.send_signal(signal.SIGHUP)
    asterisk.tell(f"200 result=1 ({CALL[asked]})")
    assert asterisk.end() == 0
    some_of_it(folder, 4)


@pytest.mark.parametrize("line", ["510 Invalid or unknown command", "520-Invalid command syntax\n520 End", "nonsense",
                                  "200 result=-1", "500 result=1 (x)"])  # fmt: skip
def test_a_refusal_ends_the_asking_and_not_the_writing(run: Run, folder: Path, line: str) -> None:
    asterisk = run()
    asterisk.begin()
    asterisk.answer(CALL, 2)
    assert asterisk.asked()
    asterisk.tell(line)
    assert asterisk.process.stdin
    asterisk.answer(CALL)
    assert asterisk.end() == 0
    some_of_it(folder, 2)


@pytest.mark.parametrize("value", [b"\xff\xfe\xc3", b"caf\xe9", "Київ".encode(), b'") (x="y" a=b', b"\x01\x7f\x1b[2J",
                                   b"${SHELL(id)}", b"'; DROP TABLE call; --", b"hangup", b"x" * 5000])  # fmt: skip
def test_hostile_values_are_kept_as_a_file_that_can_be_read(run: Run, folder: Path, value: bytes) -> None:
    asterisk = run()
    asterisk.begin(agi_calleridname=value, agi_dnid=value)
    asterisk.answer({**CALL, "QUEUESTATUS": value})
    assert asterisk.end() == 0
    found = written(folder)
    assert {name: found[name] for name in WRITTEN if name != "queue_status"} == {
        name: said for name, said in WRITTEN.items() if name != "queue_status"}  # fmt: skip
    (file,) = folder.iterdir()
    assert spool.parse(file.read_bytes()).linkedid == "1764000000.16"


@given(st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"]), max_size=100))
@settings(max_examples=12, deadline=None)
def test_any_value_is_kept(script: Path, value: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        asterisk = Asterisk(script, "ended", Path(name))
        try:
            asterisk.begin()
            asterisk.answer({**CALL, "CHOICE": value, "QUEUESTATUS": value})
            assert asterisk.end() == 0
        finally:
            asterisk.close()
        found = written(Path(name))
    assert found["linkedid"] == WRITTEN["linkedid"]
    assert all(str(said).isprintable() for said in found.values())


def test_a_folder_that_is_not_there_ends_it_at_once(run: Run, tmp_path: Path) -> None:
    asterisk = run(into=tmp_path / "nowhere")
    asterisk.begin()
    asterisk.answer(CALL)
    assert asterisk.end() != 0
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_is_none_ends_it_at_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("x")
    asterisk = run(into=tmp_path / "note")
    asterisk.begin()
    asterisk.answer(CALL)
    assert asterisk.end() != 0
    assert (tmp_path / "note").read_text() == "x"


def test_a_full_disk_leaves_nothing_half(run: Run, folder: Path) -> None:
    asterisk = run("ended", folder, "sh", "-c", 'ulimit -f 0; exec "$0" "$@"')
    asterisk.begin()
    asterisk.answer(CALL)
    assert asterisk.end() != 0
    assert list(folder.iterdir()) == []


def test_killed_before_it_knows_anything_it_leaves_nothing(run: Run, folder: Path) -> None:
    asterisk = run()
    asterisk.begin()
    assert asterisk.asked()
    asterisk.process.kill()
    assert asterisk.end() == -signal.SIGKILL
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("opening", [[], ["agi_request: x"], ["agi_uniqueid: 1.1", "agi_arg_1: ended"], ["nonsense"],
                                     ["agi_arg_1: ../../x", "agi_arg_2: {folder}", "agi_uniqueid: 1.1"],
                                     ["agi_arg_1: ended", "agi_arg_2: {folder}", "agi_uniqueid: ../../x"]])  # fmt: skip
def test_an_opening_that_is_none_ends_it_and_writes_nothing(run: Run, folder: Path, opening: list[str]) -> None:
    asterisk = run()
    asterisk.tell(*(line.format(folder=folder) for line in opening), "")
    asterisk.answer(CALL)
    assert asterisk.end() != 0
    assert list(folder.iterdir()) == []
    assert list(folder.parent.iterdir()) == [folder]
