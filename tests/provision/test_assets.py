"""The pages' bundled scripts: built once, anew when what they are made of changes, and never left half made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from centre.provision import ProvisionError
from centre.provision.assets import PACKAGES, SOURCES, ensure_assets, module
from centre.provision.work import Work


class Made:
    """A folder of sources, and what was done with it: nothing is really fetched or bundled."""

    def __init__(self, folder: Path) -> None:
        self.sources, self.tools = folder / "assets", folder / "tools"
        self.done: list[str] = []
        self.fails = ""
        (self.sources / "desk").mkdir(parents=True)
        for name in (*PACKAGES, "desk.js", "desk/phone.js"):
            (self.sources / name).write_text(name)

    def ensure(self) -> Path:
        return ensure_assets(self.sources, self.tools)

    def run(self, steps: Work, command: Sequence[str | Path], doing: str, **how: Any) -> str:
        self.done.append("fetch" if "ci" in command else "bundle")
        if self.done[-1] == self.fails:
            raise ProvisionError(f"Could not {doing}")
        if "bundle" in self.done[-1]:
            (out,) = (Path(word.partition("=")[2]) for word in map(str, command) if word.startswith("--outdir="))
            (entry,) = (Path(word) for word in map(str, command) if word.endswith("sources/desk.js"))
            (out / entry.name).write_text(entry.read_text() + (entry.parent / "desk/phone.js").read_text())
        return ""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    made = Made(tmp_path)
    monkeypatch.setattr(Work, "run", lambda *given, **how: made.run(*given, **how))
    return made


def test_built_once(made: Made) -> None:
    built = made.ensure()
    assert made.ensure() == built
    assert (built / "desk.js").read_text() == "desk.jsdesk/phone.js"
    assert made.done == ["fetch", "bundle"]
    assert module("axe-core/axe.min.js", made.sources, made.tools).parent.parent.name == "node_modules"


def test_built_anew_when_a_source_or_the_lock_changes(made: Made) -> None:
    first = made.ensure()
    (made.sources / "desk/phone.js").write_text("other")
    second = made.ensure()
    assert (second / "desk.js").read_text() == "desk.jsother"
    assert not first.exists(), "what was built before is of no use"
    (made.sources / "package-lock.json").write_text("other")
    made.ensure()
    assert made.done == ["fetch", "bundle", "bundle", "fetch", "bundle"]
    assert len(list(made.tools.glob("npm-*"))) == 1


@pytest.mark.parametrize("step", ["fetch", "bundle"])
def test_what_could_not_be_made_is_made_the_next_time(made: Made, step: str) -> None:
    made.fails = step
    with pytest.raises(ProvisionError, match=f"Could not {step} the"):
        made.ensure()
    made.fails = ""
    assert (made.ensure() / "desk.js").exists()


def test_no_registry_and_no_loose_version_is_named() -> None:
    """Where packages come from is each machine's matter; which ones is the project's."""
    assert "://" not in (SOURCES / "package-lock.json").read_text()
    assert not {"^", "~", "*"} & set((SOURCES / "package.json").read_text())
