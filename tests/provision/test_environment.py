"""The Python environment: made once, made anew when it cannot be trusted, and the command that leads there."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from centre.provision import ProvisionError, debian, environment
from centre.provision.environment import ensure_environment
from centre.provision.work import Work

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in words; nothing is really made or installed. `tmp_path` is a repository."""
    done: list[str] = []
    (tmp_path / "setup.cfg").write_text("[metadata]\n")
    (tmp_path / "pyproject.toml").write_text("")

    def make(venv: Path, tools: Path, steps: Work) -> None:
        done.append("make")
        (venv / "bin").mkdir(parents=True)
        (venv / "bin" / "python").touch()

    def python(steps: Work, python: Path, *arguments: str | Path) -> None:
        done.append(str(arguments[2]))

    monkeypatch.setattr(environment, "_make", make)
    monkeypatch.setattr(environment, "_python", python)
    return done


def test_made_once(tmp_path: Path, done: list[str]) -> None:
    assert ensure_environment(tmp_path) == tmp_path / "var/tools/venv/bin/python"
    ensure_environment(tmp_path)
    assert done == ["make", "install"]


def test_changed_requirements_are_installed_into_it(tmp_path: Path, done: list[str]) -> None:
    ensure_environment(tmp_path)
    (tmp_path / "setup.cfg").write_text("[metadata]\nname = other\n")
    ensure_environment(tmp_path)
    assert done == ["make", "install", "install"]


def test_a_new_package_is_installed(tmp_path: Path, done: list[str]) -> None:
    ensure_environment(tmp_path)
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "__init__.py").touch()
    ensure_environment(tmp_path)
    assert done == ["make", "install", "install"]


def test_one_left_half_made_is_made_anew(tmp_path: Path, done: list[str]) -> None:
    ensure_environment(tmp_path)
    (tmp_path / "var/tools/venv/made-from").unlink()
    (tmp_path / "var/tools/venv/leftover").touch()
    ensure_environment(tmp_path)
    assert done == ["make", "install"] * 2
    assert not (tmp_path / "var/tools/venv/leftover").exists()


def test_one_whose_python_is_gone_is_made_anew(tmp_path: Path, done: list[str]) -> None:
    python = ensure_environment(tmp_path)
    python.unlink()
    python.symlink_to("/nonexistent/python")
    ensure_environment(tmp_path)
    assert done == ["make", "install"] * 2


def test_a_moved_one_is_made_anew(tmp_path: Path, done: list[str]) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    for name in ("setup.cfg", "pyproject.toml"):
        (old / name).write_text("")
    ensure_environment(old)
    old.rename(new)
    ensure_environment(new)
    assert done == ["make", "install"] * 2


def test_a_failed_install_is_tried_again(tmp_path: Path, done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_environment(tmp_path)

    def refuse(*arguments: object) -> None:
        raise ProvisionError("no network")

    with monkeypatch.context() as patch:
        patch.setattr(environment, "_python", refuse)
        (tmp_path / "setup.cfg").write_text("changed")
        with pytest.raises(ProvisionError):
            ensure_environment(tmp_path)
    ensure_environment(tmp_path)
    assert done == ["make", "install"] * 2


def test_without_ensurepip_pip_comes_from_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "pip-0/usr/share/python-wheels/pip-26.2-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    wheel.touch()
    steps: list[tuple[str | Path, ...]] = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else name)
    monkeypatch.setattr(debian, "unpack", lambda name, packages, tools: tmp_path / "pip-0")
    monkeypatch.setattr(environment, "_python", lambda steps_, python, *arguments: steps.append((python, *arguments)))
    environment._make(tmp_path / "venv", tmp_path, Work(tmp_path / "log", 0))
    assert "--without-pip" in steps[0]
    assert steps[1][:3] == (tmp_path / "venv/bin/python", wheel / "pip", "install")


def test_the_command_fits_old_pythons() -> None:
    ast.parse((ROOT / "1551").read_text(), feature_version=(3, 6))


def old_python(path: str) -> subprocess.CompletedProcess[str]:
    """Run the command by a Python that believes to be 3.9."""
    program = (
        "import runpy, sys; sys.version_info = (3, 9, 2, 'final', 0); sys.argv = ['1551', '--help']; "
        f"runpy.run_path({str(ROOT / '1551')!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PATH": path}, capture_output=True, text=True
    )


def test_an_old_python_says_so_in_a_sentence(tmp_path: Path) -> None:
    done = old_python(str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("1551 needs Python 3.11 or newer and this is 3.9.2: install one")
    assert done.stderr.count("\n") == 1


def test_an_old_python_hands_over_to_a_newer_that_works(tmp_path: Path) -> None:
    for name, script in (("python3.13", "exit 127"), ("python3.12", 'echo "newer: $2"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    done = old_python(str(tmp_path))
    assert done.stdout.splitlines()[-1] == "newer: --help"


def test_the_package_needs_nothing_installed() -> None:
    """It runs before anything is: on the bare interpreter, no site-packages."""
    program = "import centre.provision.environment, centre.provision.__main__"
    subprocess.run([sys.executable, "-S", "-c", program], cwd=ROOT, check=True)
