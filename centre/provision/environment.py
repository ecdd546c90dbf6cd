"""The project's Python environment at ``var/tools/venv``, made with nothing but the standard library."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import debian
from .errors import ProvisionError, say
from .files import locked, write_whole

# What is passed to pip unless the machine's owner chose otherwise: a slow mirror is no reason to fail.
PATIENCE = {"PIP_RETRIES": "8", "PIP_DEFAULT_TIMEOUT": "60"}


def ensure_environment(root: Path) -> Path:
    """The environment's Python, after making or bringing up to date what is not.

    Args:
        root: the repository.

    Raises:
        ProvisionError: it cannot be made; the sentence names the log.
    """
    tools = root / "var" / "tools"
    venv = tools / "venv"
    python = venv / "bin" / "python"
    marker = venv / "made-from"
    wanted = _fingerprint(root)
    if _made_from(marker) == wanted and python.exists():
        return python
    with locked(tools / "venv.lock"):
        made_from = _made_from(marker)
        if made_from == wanted and python.exists():
            return python
        log = tools / "log" / "venv.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        if made_from is None or not python.exists():
            # No marker: a run was killed half-way, and what it left cannot be trusted.
            say(f"making the Python environment {venv}…")
            shutil.rmtree(venv, ignore_errors=True)
            _make(venv, tools, log)
        marker.unlink(missing_ok=True)
        say("installing the Python packages (half a minute or more)…")
        _run([python, "-I", "-m", "pip", "install", "--no-input", "--editable", f"{root}[test]"], log)
        write_whole(marker, wanted)
        say("the Python environment is ready")
    return python


def _fingerprint(root: Path) -> str:
    """Changes whenever an existing environment would no longer fit the repository."""
    digest = hashlib.sha256(str(root).encode())  # scripts in the environment name its own path
    for name in ("setup.cfg", "pyproject.toml"):
        digest.update((root / name).read_bytes())
    # An editable install maps top-level packages one by one: a new one needs installing.
    for package in sorted(root.glob("*/__init__.py")):
        digest.update(package.parent.name.encode())
    return digest.hexdigest()


def _made_from(marker: Path) -> str | None:
    try:
        return marker.read_text()
    except OSError:
        return None


def _make(venv: Path, tools: Path, log: Path) -> None:
    if importlib.util.find_spec("venv") is None:
        raise ProvisionError("This Python has no venv module: install it (Debian: apt-get install python3-venv).")
    # Debian's python3 without python3-venv has the venv module but not ensurepip.
    if importlib.util.find_spec("ensurepip") is not None:
        _run([sys.executable, "-I", "-m", "venv", venv], log)
        return
    _run([sys.executable, "-I", "-m", "venv", "--without-pip", venv], log)
    say("this Python has no ensurepip: taking pip from Debian's python3-pip-whl…")
    tree = debian.unpack("pip", ["python3-pip-whl"], tools)
    wheels = sorted(tree.glob("usr/share/python-wheels/pip-*.whl"))
    if not wheels:
        raise ProvisionError("Debian's python3-pip-whl holds no pip: install python3-venv and run again.")
    # A wheel is a zip file that Python can run from: this pip installs itself.
    _run([venv / "bin" / "python", wheels[-1] / "pip", "install", "--no-input", wheels[-1]], log)


def _run(command: list[str | Path], log: Path) -> None:
    """Run one step, all it prints going to `log`."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")
    }
    with log.open("a") as output:
        done = subprocess.run(
            [str(word) for word in command],
            env=PATIENCE | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        last = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("ERROR")][-1:]
        reason = last[0].removeprefix("ERROR: ") if last else f"the step ended with {done.returncode}"
        raise ProvisionError(
            f"The Python environment could not be made ({reason}): check the network and pip's settings, "
            f"read {log}, and run again."
        )


def enter(root: str, arguments: list[str]) -> None:
    """Become ``python -m centre`` in the project's environment. Returns only by exiting."""
    try:
        python = ensure_environment(Path(root))
    except ProvisionError as error:
        sys.exit(f"1551: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    os.execv(python, [str(python), "-m", "centre", *arguments])
