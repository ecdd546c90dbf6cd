"""What is backed up comes back, row for row and byte for byte, on either database; a bad file changes nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import resource
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from centre import rows
from centre.backup import MANIFEST, UNFINISHED, backup, restore
from centre.settings import Settings, load_secrets
from crm import attachments
from crm.errors import BadInput, CentreError
from crm.schema import call, call_event, citizen, department, metadata, recording, subject, taken
from crm.store import Database, current, is_current
from recordings import State, announced, index

NOW = datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC)
Rows = dict[str, list[tuple[Any, ...]]]


def centre(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A centre with something of everything."""
    settings = Settings(var=folder, database=url)
    settings.recordings.mkdir(parents=True)
    settings.spool.mkdir()
    (settings.var / "tls").mkdir(mode=0o700)
    (settings.var / "tls" / "ca-key.pem").write_text("what signs the pages' certificates")
    (settings.var / "voice" / "uk").mkdir(parents=True)
    (settings.var / "voice" / "uk" / "greeting.wav").write_bytes(b"RIFF-the-mayor-herself")
    (settings.spool / "1764000000.9.json").write_text('{"linkedid": "1764000000.9"}')
    (settings.var / "settings.toml").write_text('opens = "08:00"  # за Києвом\n')
    monkeypatch.setenv("CENTRE_SETTINGS", str(settings.var / "settings.toml"))
    load_secrets(settings)
    attachments.store(settings.attachments, "акт.pdf", io.BytesIO(b"%PDF-1.7 done"))
    db = Database(url)
    with db.write() as conn:
        conn.execute(insert(citizen), [
            {"name": "Їжак О'Ґава \\ \"лапки\" \u2028 \n", "created_at": NOW, "call_from": 0},
            {"name": "", "created_at": NOW - timedelta(days=9), "call_from": None},
        ])  # fmt: skip
        conn.execute(insert(department).values(name="Київтеплоенерго"))
        unit = conn.execute(select(department.c.id)).scalar_one()
        names = {"department_id": unit, "name_en": "x"}
        low = conn.execute(insert(subject).values(name_uk="Гаряча вода", **names).returning(subject.c.id)).scalar_one()
        high = conn.execute(insert(subject).values(name_uk="Житло", **names).returning(subject.c.id)).scalar_one()
        # The parent was added after its child: no order of rows alone restores this.
        conn.execute(update(subject).where(subject.c.id == low).values(parent_id=high))
        conn.execute(insert(call).values(linkedid="a", origin="mobile", arrived_at=NOW, wait_s=0.1 + 0.2))
        conn.execute(insert(call_event), [{"linkedid": "a", "at": NOW, "kind": "rang", "data": {"місця": [101, None]}}])
        conn.execute(insert(taken).values(source="spool", key="x", at=NOW))
    for number in range(3):
        add_recording(settings, db, number)
    db.close()
    return settings


def add_recording(settings: Settings, db: Database, number: int) -> None:
    path = f"{number:02x}/{number:032x}.wav"
    with db.write() as conn:
        announced(conn, f"call-{number}", path, NOW)
    file = settings.recordings / path
    file.parent.mkdir(mode=0o700, exist_ok=True)
    sound = number.to_bytes(2, "big") * 4000
    size = len(sound)
    file.write_bytes(struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", size + 36, b"WAVEfmt ", 16, 1, 1, 8000, 16000, 2, 16,
                                 b"data", size) + sound)  # fmt: skip
    assert [one.found.state for one in index(db, settings.recordings, f"call-{number}", NOW)] == [State.OK]


def all_rows(url: str) -> Rows:
    db = Database(url)
    with db.read() as conn:
        found = {name: sorted(map(tuple, conn.execute(select(table))), key=repr)
                 for name, table in metadata.tables.items()}  # fmt: skip
    db.close()
    return found


def tree(folder: Path) -> dict[str, str]:
    """Every file below, with its SHA-256: what must be the same afterwards."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()}  # fmt: skip


def make(settings: Settings, out: Path) -> Path:
    db = Database(settings.database_url)
    try:
        return backup(settings, db, out)
    finally:
        db.close()


@pytest.fixture
def settings(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return centre(tmp_path / "var", database_url, monkeypatch)


@pytest.fixture
def on_sqlite(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return centre(tmp_path / "var", sqlite_url, monkeypatch)


@pytest.fixture
def saved(on_sqlite: Settings, tmp_path: Path) -> Path:
    return make(on_sqlite, tmp_path / "saved.tar.gz")


@pytest.fixture(params=["sqlite", "postgresql"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """An empty place to restore into, with an empty database of each kind."""
    if request.param == "sqlite":
        yield Settings(var=tmp_path / "new" / "var", database="")
        return
    server = request.getfixturevalue("postgres")
    name = server.create()
    yield Settings(var=tmp_path / "new" / "var", database=server.url(name))
    server.drop(name)


@pytest.fixture
def empty(tmp_path: Path) -> Settings:
    return Settings(var=tmp_path / "new" / "var", database="")


def test_all_of_it_comes_back_on_either_database(settings: Settings, elsewhere: Settings, tmp_path: Path) -> None:
    before = all_rows(settings.database_url)
    file = make(settings, tmp_path / "saved.tar.gz")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    done = restore(file, elsewhere)
    after = all_rows(elsewhere.database_url)
    assert after == before
    assert done.rows == sum(map(len, before.values()))
    assert done.recordings == 3
    assert is_current(elsewhere.database_url)
    for name in ("recordings", "attachments", "voice", "spool", "tls"):
        assert tree(elsewhere.var / name) == tree(settings.var / name) != {}
    for name in ("secrets.json", "settings.toml"):
        assert (elsewhere.var / name).read_bytes() == (settings.var / name).read_bytes()
    for path in elsewhere.var.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    # The next row gets a number of its own.
    db = Database(elsewhere.database_url)
    with db.write() as conn:
        conn.execute(insert(citizen).values(name="наступний", created_at=NOW))
    db.close()


def test_taken_while_the_centre_writes_it_is_of_one_moment(settings: Settings, empty: Settings, tmp_path: Path) -> None:
    """Each call is written with one event, in one transaction: in no backup is there one without the other."""
    db = Database(settings.database_url)
    stop, wrote = threading.Event(), threading.Event()

    def write() -> None:
        number = 10
        while not stop.is_set():
            with db.write() as conn:
                conn.execute(insert(call).values(linkedid=f"w{number}", origin="mobile", arrived_at=NOW))
                conn.execute(insert(call_event).values(linkedid=f"w{number}", at=NOW, kind="arrived"))
            if number < 60:
                add_recording(settings, db, number)
            number += 1
            if number == 15:
                wrote.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert wrote.wait(30)
        file = make(settings, tmp_path / "saved.tar.gz")
    finally:
        stop.set()
        writer.join()
        db.close()
    restore(file, empty)
    restored = Database(empty.database_url)
    with restored.read() as conn:
        calls = set(conn.scalars(select(call.c.linkedid).where(call.c.linkedid.like("w%"))))
        events = set(conn.scalars(select(call_event.c.linkedid).where(call_event.c.linkedid.like("w%"))))
        recordings = conn.execute(select(recording).where(recording.c.state == State.OK)).all()
    restored.close()
    assert calls == events
    assert len(calls) >= 5
    for row in recordings:
        assert hashlib.sha256((empty.recordings / row.path).read_bytes()).hexdigest() == row.sha256


def test_a_place_in_use_is_not_overwritten_unless_forced(settings: Settings, tmp_path: Path) -> None:
    file = make(settings, tmp_path / "saved.tar.gz")
    before = all_rows(settings.database_url)
    db = Database(settings.database_url)
    with db.write() as conn:
        conn.execute(insert(citizen).values(name="після копії", created_at=NOW))
    db.close()
    add = settings.recordings / "ff" / ("f" * 32 + ".wav")
    add.parent.mkdir()
    add.write_bytes(b"later")
    now = tree(settings.var), all_rows(settings.database_url)
    with pytest.raises(BadInput, match=r"restore\.occupied"):
        restore(file, settings)
    assert (tree(settings.var), all_rows(settings.database_url)) == now
    done = restore(file, settings, force=True)
    assert all_rows(settings.database_url) == before
    assert not add.exists()
    (kept,) = [path for path in done.replaced if path.name.startswith("recordings.replaced-")]
    assert (kept / "ff" / add.name).read_bytes() == b"later"
    assert not (settings.var / UNFINISHED).exists()


def test_nothing_is_restored_under_a_running_centre(on_sqlite: Settings, saved: Path) -> None:
    on_sqlite.line_socket.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(str(on_sqlite.line_socket))
        line.listen()
        with pytest.raises(BadInput, match=r"restore\.running"):
            restore(saved, on_sqlite, force=True)


def refused(file: Path, place: Settings, error: str) -> None:
    """The backup is refused, and no trace of it is left."""
    with pytest.raises(BadInput) as caught:
        restore(file, place)
    assert caught.value.id == error
    assert current(place.database_url) == ""
    assert not place.var.parent.exists()


def test_no_backup_is_a_sentence(tmp_path: Path, empty: Settings) -> None:
    refused(tmp_path / "none.tar.gz", empty, "backup.unreadable")


@pytest.mark.parametrize("damage", [
    lambda data: b"",
    lambda data: b"this is no archive",
    lambda data: data[: len(data) // 2],
    lambda data: data[:200] + bytes(50) + data[250:],
    lambda data: gzip.compress(gzip.decompress(data)[:4096]),
    lambda data: gzip.compress(gzip.decompress(data).replace("Київтеплоенерго".encode(), "Київтеплоенергэ".encode())),
])  # fmt: skip
def test_a_damaged_backup_changes_nothing(saved: Path, empty: Settings, damage: Callable[[bytes], bytes]) -> None:
    saved.write_bytes(damage(saved.read_bytes()))
    refused(saved, empty, "backup.damaged")


def rewritten(file: Path, name: str, content: bytes) -> Path:
    """The backup with one other content and a manifest that agrees: what a clever hand would make.

    The name ``also`` changes the manifest itself.
    """
    with tarfile.open(file) as tar:
        contents = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    manifest = json.loads(contents.pop(MANIFEST))
    contents[name] = content
    manifest |= json.loads(contents.pop("also", b"{}"))
    manifest["members"] = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                           for name, data in contents.items()}  # fmt: skip
    with tarfile.open(file, "w:gz") as tar:
        for name, data in {**contents, MANIFEST: json.dumps(manifest).encode()}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file


def hostile_members() -> Iterator[tarfile.TarInfo]:
    for name in ("../evil", "/etc/evil", "recordings/../../evil", "secrets.json/../../evil", "rows/x.000000.jsonl/y",
                 "voice/../evil", "voice/uk/.hidden", "spool/a\nb", "recordings/zz/x.wav", "bin/asterisk",
                 "voice/" + "a" * 101):
        yield tarfile.TarInfo(name)  # fmt: skip
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
        info = tarfile.TarInfo("settings.toml")
        info.type, info.linkname = kind, "/etc/passwd"
        yield info


@pytest.mark.parametrize("info", list(hostile_members()), ids=lambda info: f"{info.name!r}-{info.type!r}")
def test_a_hostile_member_is_refused(tmp_path: Path, empty: Settings, info: tarfile.TarInfo) -> None:
    file = tmp_path / "hostile.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        tar.addfile(info)
    refused(file, empty, "backup.hostile")


def test_a_member_given_twice_is_refused(tmp_path: Path, empty: Settings) -> None:
    file = tmp_path / "twice.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("settings.toml"))
        tar.addfile(tarfile.TarInfo("settings.toml"))
    refused(file, empty, "backup.hostile")


PHONES = "rows/citizen_phone.000000.jsonl"
PHONE = '["id", "citizen_id", "e164", "wrong", "do_not_call", "last_used_at"]\n[1, %s, "+380", false, false, %s]\n'


@pytest.mark.parametrize(("name", "content", "error"), [
    ("also", '{"format": 2}', "backup.newer"),
    ("also", '{"revision": "from-the-future"}', "backup.newer"),
    ("rows/nowhere.000000.jsonl", '["id"]\n[1]\n', "backup.damaged"),  # no such table
    ("rows/call.000000.jsonl", '["id"]\n[1]\n', "backup.damaged"),  # not its columns
    ("rows/call.000000.jsonl", "{}", "backup.damaged"),
    ("rows/call.000000.jsonl", "\x00", "backup.damaged"),
    (PHONES, PHONE % (1, '"never"'), "backup.damaged"),
    (PHONES, PHONE % (999, '"2026-01-01T00:00:00+00:00"'), "backup.damaged"),  # of no citizen
])  # fmt: skip
def test_contents_that_make_no_sense_are_refused(
    saved: Path, elsewhere: Settings, name: str, content: str, error: str
) -> None:
    refused(rewritten(saved, name, content.encode()), elsewhere, error)


def run_child(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=Path(__file__).parents[2], capture_output=True,
                          text=True, timeout=60, check=False)  # fmt: skip


def test_a_full_disk_leaves_no_half_backup(on_sqlite: Settings, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: to the program both are a write that fails."""
    out = tmp_path / "out"
    out.mkdir()
    (on_sqlite.var / "voice" / "uk" / "menu.wav").write_bytes(os.urandom(300_000))
    code = ("import resource, sys; from pathlib import Path; from centre.backup import backup; "
            "from centre.settings import Settings; from crm.store import Database; from crm.errors import CentreError\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
            "settings = Settings(var=Path(sys.argv[1]), database=sys.argv[2])\n"
            "try:\n    backup(settings, Database(settings.database_url), Path(sys.argv[3]))\n"
            "except CentreError as error:\n    print(error.id)\n")  # fmt: skip
    done = run_child(code, str(on_sqlite.var), on_sqlite.database_url, str(out))
    assert done.stdout == "backup.not_written\n", done.stderr
    assert list(out.iterdir()) == []


def test_a_full_disk_while_restoring_changes_nothing(on_sqlite: Settings, saved: Path) -> None:
    before = tree(on_sqlite.var), all_rows(on_sqlite.database_url)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # the recordings fit, the database does not
    try:
        with pytest.raises(CentreError, match=r"restore\.not_written"):
            restore(saved, on_sqlite, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tree(on_sqlite.var), all_rows(on_sqlite.database_url)) == before


def test_a_rename_that_fails_is_undone_with_all_before_it(settings: Settings, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    file = make(settings, tmp_path / "saved.tar.gz")
    before = tree(settings.var), all_rows(settings.database_url)
    rename, count = Path.rename, 0

    def sometimes(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == 5:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", sometimes)
    with pytest.raises(CentreError, match=r"restore\.not_written"):
        restore(file, settings, force=True)
    assert count > 5
    assert (tree(settings.var), all_rows(settings.database_url)) == before


def test_a_power_cut_amid_the_renames_is_noticed_and_the_restore_can_be_done_again(
    on_sqlite: Settings, saved: Path
) -> None:
    before = all_rows(on_sqlite.database_url)
    wanted = tree(on_sqlite.recordings)
    code = ("import os, sys; from pathlib import Path\n"
            "from centre.backup import restore; from centre.settings import Settings\n"
            "rename, calls = Path.rename, []\n"
            "def dies(self, target):\n"
            "    calls.append(target)\n    os._exit(9) if len(calls) == 4 else rename(self, target)\n"
            "Path.rename = dies\n"
            "settings = Settings(var=Path(sys.argv[1]), database=sys.argv[2])\n"
            "restore(Path(sys.argv[3]), settings, force=True)\n")  # fmt: skip
    done = run_child(code, str(on_sqlite.var), on_sqlite.database_url, str(saved))
    assert done.returncode == 9, done.stderr
    assert (on_sqlite.var / UNFINISHED).exists()
    restore(saved, on_sqlite, force=True)
    assert all_rows(on_sqlite.database_url) == before
    assert tree(on_sqlite.recordings) == wanted
    assert not (on_sqlite.var / UNFINISHED).exists()
    assert not list(on_sqlite.var.glob(".*"))


def test_settings_that_name_another_database_are_kept_but_not_put_in_force(
    on_sqlite: Settings, empty: Settings, tmp_path: Path
) -> None:
    said = 'database = "postgresql://centre@db.example/1551"\n'
    (on_sqlite.var / "settings.toml").write_text(said)
    done = restore(make(on_sqlite, tmp_path / "saved.tar.gz"), empty)
    assert not (empty.var / "settings.toml").exists()
    assert done.settings_left is not None
    assert done.settings_left.read_text() == said


def test_a_backup_of_nothing_is_refused(empty: Settings, tmp_path: Path) -> None:
    empty.var.mkdir(parents=True)
    with pytest.raises(BadInput, match=r"backup\.no_database"):
        make(empty, tmp_path / "saved.tar.gz")
    assert list(tmp_path.glob("*.tar.gz")) == []
    assert list(tmp_path.glob(".*")) == []


def test_links_lead_no_foreign_file_into_a_backup(on_sqlite: Settings, tmp_path: Path) -> None:
    (on_sqlite.var / "voice" / "uk" / "menu.wav").symlink_to("/etc/passwd")
    (on_sqlite.var / "voice" / "en").symlink_to("/etc")
    with tarfile.open(make(on_sqlite, tmp_path / "saved.tar.gz")) as tar:
        assert [n for n in tar.getnames() if n.startswith("voice/")] == ["voice/uk/greeting.wav"]


def test_many_rows_are_cut_into_parts_and_all_come_back(on_sqlite: Settings, empty: Settings, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(rows, "PART", 2000)
    monkeypatch.setattr(rows, "BATCH", 7)
    db = Database(on_sqlite.database_url)
    with db.write() as conn:
        conn.execute(insert(citizen), [{"name": f"мешканець {n}", "created_at": NOW} for n in range(500)])
    db.close()
    file = make(on_sqlite, tmp_path / "saved.tar.gz")
    with tarfile.open(file) as tar:
        assert sum(name.startswith("rows/citizen.") for name in tar.getnames()) > 3
    restore(file, empty)
    assert all_rows(empty.database_url) == all_rows(on_sqlite.database_url)
    assert current(empty.database_url) == current(on_sqlite.database_url)
