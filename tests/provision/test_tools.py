"""Finding a program on this machine, and passing over one that would not do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from centre.provision import RECIPES, ProvisionError, Tool, debian, tools
from centre.provision.chromium import launcher
from centre.provision.tools import Recipe, find, numbers, version_in

ROOT = Path(__file__).resolve().parents[2]

RECIPE = Recipe(
    name="server",
    program="sbin/made-up-server",
    packages=("made-up",),
    minimum=(22, 10, 1),
    version_option="-V",
    directories={"modules": ("lib/*/modules", "lib/modules")},
    contents={"modules": ("app_queue.so",)},
)


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("Asterisk 22.10.1+dfsg+~cs6.17.60671434-1", "22.10.1"),
        ("Asterisk certified/20.7-cert5", "20.7"),
        ("Asterisk GIT-master-1a2b3c4", None),
        ("\n SIPp v3.8.0-TLS-SCTP-PCAP.\n", "3.8.0"),
        ("eSpeak NG text-to-speech: 1.52.0  Data at: /usr/lib/espeak-ng-data", "1.52.0"),
        ("sox:      SoX v14.4.2", "14.4.2"),
        ("Chromium 142.0.7444.59 built on Debian", "142.0.7444.59"),
        ("error: no version", None),
        ("", None),
    ],
)
def test_version_of_what_programs_print(printed: str, version: str | None) -> None:
    assert version_in(printed) == version


def test_versions_compare_by_number() -> None:
    assert numbers("22.9.9") < numbers("22.10") < numbers("22.10.1") < numbers("22.10.1.1") < numbers("23.0.0")


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the made-up server is installed, its folder on PATH and no other."""
    (tmp_path / "sbin").mkdir()
    (tmp_path / "lib/here/modules").mkdir(parents=True)
    (tmp_path / "lib/here/modules/app_queue.so").touch()
    monkeypatch.setenv("PATH", str(tmp_path / "sbin"))
    return tmp_path


def install(prefix: Path, script: str) -> None:
    program = prefix / RECIPE.program
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_suitable_one_is_used(prefix: Path) -> None:
    install(prefix, 'echo "Server 22.10.1"')
    tool = find(RECIPE)
    assert tool is not None
    assert tool.argv("-x", Path("/p")) == [str(prefix / RECIPE.program), "-x", "/p"]
    assert tool.version == "22.10.1"
    assert tool.directories == {"modules": prefix / "lib/here/modules"}


def test_one_behind_a_link_is_found_with_its_folders(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(prefix, "echo 23.1.0")
    elsewhere = prefix / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "made-up-server").symlink_to(prefix / RECIPE.program)
    monkeypatch.setenv("PATH", str(elsewhere))
    tool = find(RECIPE)
    assert tool is not None
    assert tool.directories["modules"] == prefix / "lib/here/modules"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 22.9.0", "its version is 22.9.0 and 22.10.1 or newer is needed"),
        ("echo unable to start >&2; exit 127", "does not tell its version (unable to start)"),
        ("exit 3", "does not tell its version (exit code 3)"),
    ],
)
def test_an_unsuitable_one_is_passed_over_aloud(
    prefix: Path, capsys: pytest.CaptureFixture[str], script: str, reason: str
) -> None:
    install(prefix, script)
    assert find(RECIPE) is None
    assert reason in capsys.readouterr().err


def test_one_that_lacks_modules_is_passed_over(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(prefix, "echo 22.10.1")
    (prefix / "lib/here/modules/app_queue.so").unlink()
    assert find(RECIPE) is None
    assert "app_queue.so" in capsys.readouterr().err


def test_none_at_all(prefix: Path) -> None:
    assert find(RECIPE) is None


def test_a_spoilt_tree_says_what_to_remove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "server-0"
    (tree / "usr/lib64").mkdir(parents=True)
    (tree / "usr/lib64/ld-linux-x86-64.so.2").write_text("truncated")
    monkeypatch.setattr(debian, "unpack", lambda *arguments, **options: tree)
    with pytest.raises(ProvisionError, match=f"{tree} is of no use, .*: remove that folder and run again"):
        tools.unpacked(RECIPE, tmp_path)


def test_a_tools_environment_adds_to_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "1")
    tool = Tool("t", "1.0", ("t",), {"DATA": "/d"})
    assert tool.env()["OURS"] == "1"
    assert tool.env({"LANG": "C"}) == {"LANG": "C", "DATA": "/d"}


def test_command_line_prints_one_object() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "centre.provision", "sox"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    sox = json.loads(done.stdout)["sox"]
    assert subprocess.run([*sox["prefix"], "--version"], env=sox["environment"]).returncode == 0


def test_command_line_refuses_an_unknown_name() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "centre.provision", "nonesuch"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "nonesuch" in done.stderr


def test_recipes_are_known_by_their_names() -> None:
    assert {"asterisk", "sipp", "espeak-ng", "sox", "chromium", "exim", "dovecot"} == set(RECIPES)


def test_chromiums_launcher_comes_back_through_itself(tmp_path: Path) -> None:
    """Paths with a space and a quote; written once; written anew where the folder was moved."""
    prefix = tmp_path / "it's a place" / "usr"
    (prefix / "lib/chromium").mkdir(parents=True)
    (prefix / "loader").write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    (prefix / "loader").chmod(0o755)
    words = [str(prefix / "loader"), "--library-path", "/l", str(prefix / "lib/chromium/chromium")]
    script = launcher(prefix, words)
    printed = subprocess.run([script, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[:3] == words[1:]
    assert f"--browser-subprocess-path={script}" in printed
    assert printed[-1] == "--version"
    written = script.stat().st_mtime_ns
    assert launcher(prefix, words) == script
    assert script.stat().st_mtime_ns == written
    moved = prefix.parent.rename(tmp_path / "moved") / "usr"
    again = launcher(moved, [word.replace("it's a place", "moved") for word in words])
    assert "it's" not in again.read_text()


def test_an_executable_is_one_file() -> None:
    assert Tool("t", "1.0", ("/bin/t",)).executable == "/bin/t"
    with pytest.raises(ValueError, match="unpack"):
        _ = Tool("t", "1.0", ("/lib/loader", "/bin/t")).executable
