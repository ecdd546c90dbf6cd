"""The private apt: whole trees only, whatever kills it, and nothing unsigned."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from centre.provision import ProvisionError, debian
from centre.provision.sources import MIRROR_SETTING

ROOT = Path(__file__).resolve().parents[2]

# Stand-ins that keep a diary; each "package" is one file.
APT_GET = """#!/bin/sh
for word; do
  case $word in
    Dir::Cache::archives=*) archives=${word#*=} ;;
    update) echo update >> DIARY ;;
    --print-uris)
      echo "'http://m/one' one_1%3a1.0_all.deb 3 SHA256:x"
      echo "'http://m/two' two_2.0_all.deb 3 SHA256:y" ;;
    --download-only)
      echo fetch >> DIARY
      echo one > $archives/one_1%3a1.0_all.deb
      echo two > $archives/two_2.0_all.deb ;;
  esac
done
"""
DPKG_DEB = """#!/bin/sh
name=$(basename "$2")
echo "unpack $name" >> DIARY
mkdir -p "$3/usr"
cp "$2" "$3/usr/${name%%_*}"
case $name in two*) if [ -e KILL ]; then rm KILL; kill -9 $PPID; fi ;; esac
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    """A folder of programs to put on PATH, with the file ``diary`` beside them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {
        "apt-get": APT_GET,
        "dpkg-deb": DPKG_DEB,
        "dpkg": "#!/bin/sh\necho amd64\n",
        "apt-config": "#!/bin/sh\n",
    }.items():
        path = folder / name
        path.write_text(text.replace("DIARY", str(folder / "diary")).replace("KILL", str(folder / "kill")))
        path.chmod(0o755)
    return folder


def start(stand_ins: Path, tools: Path) -> subprocess.Popen[str]:
    """Unpack two packages in a process of its own."""
    program = (
        "import sys; from pathlib import Path; from centre.provision import debian; "
        "debian.KEYRING = Path('/'); print(debian.unpack('thing', ['one', 'two'], Path(sys.argv[1])))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, str(tools)],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{stand_ins}:{os.environ['PATH']}", MIRROR_SETTING: "http://127.0.0.1/debian"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Path:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return Path(out.strip())


def check_whole(tree: Path) -> None:
    assert (tree / "usr/one").read_text() == "one\n"
    assert (tree / "usr/two").read_text() == "two\n"
    manifest = json.loads((tree / debian.MANIFEST).read_text())
    assert manifest["packages"] == {"one": "1:1.0", "two": "2.0"}


def test_killed_half_way_is_redone(stand_ins: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    (stand_ins / "kill").touch()
    killed = start(stand_ins, tools)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not list(tools.glob("thing-*")), "half a tree was left under its final name"
    check_whole(finish(start(stand_ins, tools)))
    assert not list((tools / "staging").iterdir()), "downloads were left behind"


def test_two_at_once_do_it_once(stand_ins: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    first, second = start(stand_ins, tools), start(stand_ins, tools)
    tree = finish(first)
    assert finish(second) == tree
    check_whole(tree)
    assert (stand_ins / "diary").read_text().splitlines().count("fetch") == 1


def test_once_there_nothing_is_run(stand_ins: Path, tmp_path: Path) -> None:
    tree = finish(start(stand_ins, tmp_path / "tools"))
    before = (stand_ins / "diary").read_text()
    assert finish(start(stand_ins, tmp_path / "tools")) == tree
    assert (stand_ins / "diary").read_text() == before


def test_a_failing_step_names_its_log(stand_ins: Path, tmp_path: Path) -> None:
    (stand_ins / "dpkg-deb").write_text("#!/bin/sh\necho 'dpkg-deb: error: No space left on device' >&2\nexit 2\n")
    process = start(stand_ins, tmp_path / "tools")
    _, err = process.communicate(timeout=60)
    log = tmp_path / "tools/log/thing.log"
    assert process.returncode == 1
    assert "No space left on device" in err.splitlines()[-1]
    assert str(log) in err.splitlines()[-1]
    assert "No space left on device" in log.read_text()
    assert not list((tmp_path / "tools").glob("thing-*"))


def test_a_machine_whose_own_apt_is_broken(stand_ins: Path, tmp_path: Path) -> None:
    (stand_ins / "apt-config").write_text("#!/bin/sh\necho 'E: Syntax error /etc/apt/apt.conf:1' >&2\nexit 100\n")
    process = start(stand_ins, tmp_path / "tools")
    _, err = process.communicate(timeout=60)
    assert "`apt-config dump` fails (E: Syntax error /etc/apt/apt.conf:1): mend" in err.splitlines()[-1]


def test_only_the_way_to_the_network_is_taken_over(stand_ins: Path, tmp_path: Path) -> None:
    """The machine's hooks run commands on the machine's own files: not from here."""
    (stand_ins / "apt-config").write_text(
        """#!/bin/sh
echo 'Acquire::http::Proxy "http://proxy.example:3128";'
echo 'Acquire::ForceIPv4 "true";'
echo 'Acquire::AllowInsecureRepositories "1";'
echo 'APT::Update::Post-Invoke:: "rm -rf /var/cache/apt";'
"""
    )
    (stand_ins / "apt-get").write_text(f'#!/bin/sh\ncat "$APT_CONFIG" > {stand_ins}/config\nexit 1\n')
    start(stand_ins, tmp_path / "tools").communicate(timeout=60)
    assert (stand_ins / "config").read_text().splitlines() == [
        'Dir::Etc::main "/dev/null";',
        'Dir::Etc::parts "/dev/null";',
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::ForceIPv4 "true";',
    ]


def test_a_system_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProvisionError, match=r"no apt-get and no .*dpkg-deb: use a Debian or Ubuntu machine, or"):
        debian.unpack("thing", ["one"], tmp_path)


def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "tools").write_text("in the way")
    with pytest.raises(ProvisionError, match="Cannot write"):
        debian.unpack("thing", ["one"], tmp_path / "tools")


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """An archive on loopback: its folder and its address."""
    folder = tmp_path / "archive"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.skipif(not debian.KEYRING.exists(), reason="needs Debian's apt and keyring")
def test_an_unsigned_archive_is_refused(
    tmp_path: Path, archive: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the machine's real apt: a mirror that anyone could have put there gives us nothing."""
    folder, address = archive
    release = folder / "dists" / debian.SUITE / "Release"
    release.parent.mkdir(parents=True)
    release.write_text(
        f"Origin: Debian\nSuite: {debian.SUITE}\nCodename: {debian.SUITE}\nDate: Mon, 01 Jan 2024 00:00:00 UTC\n"
        "Components: main\nArchitectures: all amd64 arm64\nSHA256:\n"
    )
    monkeypatch.setenv(MIRROR_SETTING, address)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ProvisionError, match="not signed"):
        debian.unpack("thing", ["hello"], tmp_path / "tools")
    assert not list((tmp_path / "tools").glob("thing-*"))
