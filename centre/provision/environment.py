"""The project's Python environment at ``var/tools/venv``, made with nothing but the standard library."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path

from . import debian
from .work import ProvisionError, Work, say, work, write_whole

# For pip, unless the machine's owner chose otherwise: a slow mirror is no reason to fail.
PATIENCE = {"PIP_RETRIES": "8", "PIP_DEFAULT_TIMEOUT": "60"}
# Settings for other uses of Python and pip, that would lead the packages elsewhere.
MISLEADING = ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")


def enter(root: str, arguments: list[str]) -> None:
    """Become ``python -m centre`` in the project's environment. Does not return."""
    try:
        python = ensure_environment(Path(root))
    except ProvisionError as error:
        sys.exit(f"1551: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    os.execv(python, [str(python), "-m", "centre", *arguments])


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
    marker = venv / "made-from"  # written last: without it a run was killed half-way
    wanted = f"{root}\n{_fingerprint(root)}"
    if _read(marker) == wanted and python.exists():
        return python
    with work(tools / "venv.lock", tools / "log" / "venv.log") as steps:
        made_from = _read(marker)
        if made_from == wanted and python.exists():
            return python
        # Scripts in an environment name its own path: it cannot be moved.
        if not python.exists() or made_from.partition("\n")[0] != str(root):
            say(f"making the Python environment {venv}…")
            shutil.rmtree(venv, ignore_errors=True)
            _make(venv, tools, steps)
        marker.unlink(missing_ok=True)
        say("installing the Python packages (half a minute or more)…")
        _python(steps, python, "-m", "pip", "install", "--no-input", "--editable", f"{root}[test]")
        write_whole(marker, wanted)
        say("the Python environment is ready")
    return python


def _fingerprint(root: Path) -> str:
    """Changes whenever the packages of an existing environment would no longer fit the repository."""
    digest = hashlib.sha256()
    for name in ("setup.cfg", "pyproject.toml"):
        digest.update((root / name).read_bytes())
    # An editable install maps top-level packages one by one: a new one needs installing.
    for package in sorted(root.glob("*/__init__.py")):
        digest.update(package.parent.name.encode())
    return digest.hexdigest()


def _read(marker: Path) -> str:
    try:
        return marker.read_text(encoding="utf-8")
    except OSError:
        return ""


def _make(venv: Path, tools: Path, steps: Work) -> None:
    """An environment that has pip."""
    # Not an environment's own Python: it may be the one just removed.
    base = Path(getattr(sys, "_base_executable", sys.executable))
    if importlib.util.find_spec("venv") is None:
        raise ProvisionError("This Python has no venv module: install it (Debian: apt-get install python3-venv).")
    # Debian's python3 without python3-venv has the module venv but not ensurepip.
    if importlib.util.find_spec("ensurepip") is not None:
        _python(steps, base, "-m", "venv", venv)
        return
    _python(steps, base, "-m", "venv", "--without-pip", venv)
    say("this Python comes without pip: taking Debian's…")
    tree = debian.unpack("pip", ["python3-pip-whl"], tools)
    wheels = sorted(tree.glob("usr/share/python-wheels/pip-*.whl"))
    if not wheels:
        raise ProvisionError("Debian's python3-pip-whl holds no pip: install python3-venv and run again.")
    # A wheel is a zip file that Python can run from: this pip installs itself.
    _python(steps, venv / "bin" / "python", wheels[-1] / "pip", "install", "--no-input", "--no-index", wheels[-1])


def _python(steps: Work, python: Path, *arguments: str | Path) -> None:
    def progress() -> str:
        lines = steps.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return f"… {lines[-1].strip()[:100]}"

    own = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    steps.run([python, "-I", *arguments], "make the Python environment", environment=PATIENCE | own, progress=progress)
