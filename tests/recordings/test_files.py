"""Below the recordings' folder nothing is opened but plain files of ours, whatever a path or a link says."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.errors import BadInput
from recordings import files
from recordings.files import State
from tests.recordings.test_wav import unfinished, written

PATH = "ab/" + "0" * 31 + "f.wav"
LATER = 2e10  # long after any file of these tests was written


def put(folder: Path, path: str, data: bytes) -> Path:
    file = folder / path
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_bytes(data)
    file.chmod(0o600)
    return file


HOSTILE = [
    "", "/etc/passwd", "../../etc/passwd", f"ab/../{PATH}", f"/{PATH}", f"{PATH}\n", f"{PATH}\0", PATH.upper(),
    f"./{PATH}", "ab//" + "0" * 32 + ".wav", "аb/" + "0" * 32 + ".wav", "ab/" + "٠" * 32 + ".wav", PATH + "/x",
    b"ab/x", None,
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_is_refused_everywhere(tmp_path: Path, path: str) -> None:
    for use in (lambda: files.examine(tmp_path, path, LATER), lambda: files.remove(tmp_path, path),
                lambda: files.present(tmp_path, path)):  # fmt: skip
        with pytest.raises(BadInput, match=r"recording\.bad_path"):
            use()


@given(st.text())
def test_only_names_that_we_give_are_names(path: str) -> None:
    with pytest.raises(BadInput):
        files.checked(path)


def test_a_good_recording_is_measured(tmp_path: Path) -> None:
    data = written(1.5)
    put(tmp_path, PATH, data)
    found = files.examine(tmp_path, PATH, LATER)
    assert (found.state, found.duration_s, found.bytes) == (State.OK, 1.5, len(data))
    assert found.sha256 == hashlib.sha256(data).hexdigest()


def test_what_a_crash_left_can_be_played_and_its_hash_is_of_what_is_played(tmp_path: Path) -> None:
    file = put(tmp_path, PATH, unfinished(written(1)))
    found = files.examine(tmp_path, PATH, LATER)
    assert (found.state, found.duration_s) == (State.OK, 1.0)
    assert file.read_bytes() == written(1)
    assert found.sha256 == hashlib.sha256(written(1)).hexdigest()


@pytest.mark.parametrize("data", [b"", unfinished(written(1))[:8044]])
def test_a_file_that_asterisk_still_writes_is_left_alone(tmp_path: Path, data: bytes) -> None:
    file = put(tmp_path, PATH, data)
    assert files.examine(tmp_path, PATH, file.stat().st_mtime + 1).state is State.OPEN
    assert file.read_bytes() == data


@pytest.mark.parametrize("data", [b"", b"not sound at all", written(1)[:5000]])
def test_a_damaged_recording_is_called_so(tmp_path: Path, data: bytes) -> None:
    put(tmp_path, PATH, data)
    found = files.examine(tmp_path, PATH, LATER)
    assert (found.state, found.bytes) == (State.DAMAGED, len(data))
    assert found.why


def test_a_missing_recording_is_called_so(tmp_path: Path) -> None:
    assert files.examine(tmp_path, PATH, LATER).state is State.MISSING


def test_links_are_not_followed(tmp_path: Path) -> None:
    folder, secret = tmp_path / "recordings", tmp_path / "secret"
    outside = put(secret, PATH, written(1))
    (folder / "ab").mkdir(parents=True)
    (folder / PATH).symlink_to(outside)
    (folder / "cd").symlink_to(secret / "ab")
    through = "cd" + PATH[2:]
    for path in (PATH, through):
        assert files.examine(folder, path, LATER).state is State.DAMAGED
        assert not files.present(folder, path)
    assert files.listing(folder) == ({}, [PATH, "cd"])


def test_removing_a_link_removes_no_file_behind_it(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    outside = put(tmp_path / "secret", PATH, written(1))
    (folder / "ab").mkdir(parents=True)
    (folder / PATH).symlink_to(outside)
    assert files.remove(folder, PATH)
    assert outside.exists()
    assert not files.remove(folder, PATH)


def test_what_others_may_open_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    files.prepare(folder)
    file = put(folder, PATH, written(0))
    assert files.exposed(folder, [PATH]) == []
    file.chmod(0o640)
    file.parent.chmod(0o711)
    folder.chmod(0o755)
    assert files.exposed(folder, [PATH]) == [".", "ab", PATH]
    files.examine(folder, PATH, LATER)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
