"""A recording's life on record, on both databases: what a crash, a hostile path or a lost file do to it."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from crm.errors import BadInput, NotFound
from crm.schema import listening, recording, staff
from crm.store import Database
from recordings import State, announced, files, index, open_for_listening, retention, sweep
from recordings.library import Indexed
from tests.recordings.test_files import HOSTILE, put
from tests.recordings.test_wav import unfinished, written

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=3)
CALL = "1764000000.17"


def name(number: int) -> str:
    return f"ab/{number:032x}.wav"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files.prepare(tmp_path / "recordings")
    return tmp_path / "recordings"


def announce(db: Database, path: str, linkedid: str = CALL, at: datetime = LONG_AGO) -> int:
    with db.write() as conn:
        return announced(conn, linkedid, path, at)


def record(db: Database, folder: Path, number: int, data: bytes, linkedid: str = CALL, at: datetime = LONG_AGO) -> int:
    """A recording announced and written, as old as its call."""
    file = put(folder, name(number), data)
    os.utime(file, (at.timestamp(), at.timestamp()))
    return announce(db, name(number), linkedid, at)


def state(db: Database, id: int) -> State:
    with db.read() as conn:
        return State(conn.execute(select(recording.c.state).where(recording.c.id == id)).scalar_one())


def states(found: list[Indexed]) -> dict[str, State]:
    return {one.path: one.found.state for one in found}


def test_told_by_the_event_and_by_the_spool_it_is_one_recording(db: Database) -> None:
    assert announce(db, name(1)) == announce(db, name(1), at=NOW)
    with db.read() as conn:
        (row,) = conn.execute(select(recording)).all()
    assert (row.linkedid, row.state, row.started_at) == (CALL, "open", LONG_AGO)


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_is_not_put_on_record(sqlite_url: str, path: str) -> None:
    db = Database(sqlite_url)
    with pytest.raises(BadInput, match=r"recording\.bad_path"):
        announce(db, path)
    with db.read() as conn:
        assert conn.execute(select(recording)).all() == []
    db.close()


@pytest.mark.parametrize("linkedid", ["", "a b", "x\r\nAction: Command", "1" * 65, "канал"])
def test_a_hostile_linkedid_is_not_put_on_record(sqlite_url: str, linkedid: str) -> None:
    db = Database(sqlite_url)
    with pytest.raises(BadInput, match=r"linkedid\.malformed"):
        announce(db, name(1), linkedid)
    db.close()


def test_a_call_cannot_claim_another_calls_recording(db: Database) -> None:
    announce(db, name(1), CALL)
    with pytest.raises(BadInput, match=r"recording\.taken"):
        announce(db, name(1), "1764000000.99")


def test_after_the_call_its_recordings_are_measured_and_no_others(db: Database, folder: Path) -> None:
    data = written(2)
    good = record(db, folder, 1, data)
    cut = record(db, folder, 2, data[:9000])
    gone = announce(db, name(3))
    others = record(db, folder, 4, data, linkedid="1764000000.99")
    assert states(index(db, folder, CALL, NOW)) == {
        name(1): State.OK, name(2): State.DAMAGED, name(3): State.MISSING}  # fmt: skip
    with db.read() as conn:
        row = conn.execute(select(recording).where(recording.c.id == good)).one()
    assert (row.duration_s, row.bytes, row.sha256) == (2.0, len(data), hashlib.sha256(data).hexdigest())
    assert [state(db, id) for id in (cut, gone, others)] == [State.DAMAGED, State.MISSING, State.OPEN]


def test_what_asterisk_has_not_closed_yet_stays_open_until_the_sweep(db: Database, folder: Path) -> None:
    id = record(db, folder, 1, unfinished(written(1)), at=NOW)
    assert states(index(db, folder, CALL, NOW)) == {name(1): State.OPEN}
    report = sweep(db, folder, NOW + timedelta(minutes=10), live=())
    assert states(report.indexed) == {name(1): State.OK}
    assert state(db, id) is State.OK


def test_after_a_crash_the_sweep_indexes_what_was_left_open_and_not_what_grows(db: Database, folder: Path) -> None:
    over = record(db, folder, 1, unfinished(written(1)))
    lost = announce(db, name(2))
    growing = record(db, folder, 3, unfinished(written(1)), linkedid="1764000000.99")
    report = sweep(db, folder, NOW, live={"1764000000.99"})
    assert states(report.indexed) == {name(1): State.OK, name(2): State.MISSING}
    assert report.missing == [name(2)]
    assert [state(db, id) for id in (over, lost, growing)] == [State.OK, State.MISSING, State.OPEN]


def test_lost_and_changed_files_are_reported_once_and_known_when_they_are_back(db: Database, folder: Path) -> None:
    data = written(1)
    lost, changed = record(db, folder, 1, data), record(db, folder, 2, data)
    index(db, folder, CALL, NOW)
    (folder / name(1)).unlink()
    put(folder, name(2), written(2))
    report = sweep(db, folder, NOW, live=())
    assert (report.missing, report.damaged) == ([name(1)], [name(2)])
    assert [state(db, id) for id in (lost, changed)] == [State.MISSING, State.DAMAGED]
    again = sweep(db, folder, NOW, live=())
    assert (again.missing, again.damaged) == ([], [])
    put(folder, name(1), data)
    put(folder, name(2), data)
    sweep(db, folder, NOW, live=())
    assert [state(db, id) for id in (lost, changed)] == [State.OK, State.OK]


def test_a_file_that_nobody_announced_is_put_on_record_and_finds_its_call_later(db: Database, folder: Path) -> None:
    file = put(folder, name(1), written(1))
    fresh = put(folder, name(2), written(1))
    os.utime(file, (LONG_AGO.timestamp(),) * 2)
    os.utime(fresh, (NOW.timestamp() - 5,) * 2)  # may be announced any moment
    report = sweep(db, folder, NOW, live=())
    assert report.orphans == [name(1)]
    with db.read() as conn:
        (row,) = conn.execute(select(recording)).all()
    assert (row.path, row.linkedid, row.state, row.started_at) == (name(1), "", "ok", LONG_AGO)
    assert sweep(db, folder, NOW, live=()).orphans == []
    assert announce(db, name(1)) == row.id
    with db.read() as conn:
        assert conn.execute(select(recording.c.linkedid)).scalar_one() == CALL


def test_the_sweep_removes_nothing_and_closes_what_others_could_open(db: Database, folder: Path) -> None:
    (folder / "notes.txt").write_text("somebody's")
    (folder / "zz").mkdir()
    file = put(folder, name(1), written(1))
    file.chmod(0o644)
    file.parent.chmod(0o755)
    report = sweep(db, folder, NOW, live=())
    assert report.strangers == ["notes.txt", "zz"]
    assert report.exposed == ["ab", name(1)]
    assert files.exposed(folder, [name(1)]) == []
    assert (folder / "notes.txt").read_text() == "somebody's"
    assert file.exists()


def test_retention_removes_what_is_old_and_only_that(db: Database, folder: Path) -> None:
    old = record(db, folder, 1, written(1), at=NOW - timedelta(days=180, seconds=1))
    young = record(db, folder, 2, written(1), at=NOW - timedelta(days=179))
    assert retention(db, folder, NOW, 180) == [name(1)]
    assert not (folder / name(1)).exists()
    assert (folder / name(2)).exists()
    assert (state(db, old), state(db, young)) == (State.EXPIRED, State.OPEN)
    assert retention(db, folder, NOW, 180) == []
    assert sweep(db, folder, NOW, live=()).missing == []


def test_retention_killed_between_file_and_row_is_finished_by_the_next(
    db: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = record(db, folder, 1, written(1), at=NOW - timedelta(days=200))
    with monkeypatch.context() as patch:
        patch.setattr(Database, "write", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            retention(db, folder, NOW, 180)
    assert not (folder / name(1)).exists()
    assert state(db, old) is State.OPEN
    assert retention(db, folder, NOW, 180) == [name(1)]
    assert state(db, old) is State.EXPIRED


def test_a_file_that_cannot_be_removed_is_not_called_expired(db: Database, folder: Path) -> None:
    (folder / name(1)).mkdir(parents=True)  # unlink refuses a folder, whoever asks
    old = announce(db, name(1), at=NOW - timedelta(days=200))
    assert retention(db, folder, NOW, 180) == []
    assert state(db, old) is State.OPEN


@pytest.fixture
def listener(db: Database) -> int:
    with db.write() as conn:
        return int(conn.execute(insert(staff).values(login="o", name="Ольга", password_hash="", role="supervisor")
                                .returning(staff.c.id)).scalar_one())  # fmt: skip


def test_listening_is_logged_with_who_and_why(db: Database, folder: Path, listener: int) -> None:
    id = record(db, folder, 1, written(1))
    index(db, folder, CALL, NOW)
    with db.write() as conn:
        path = open_for_listening(conn, folder, id, listener, "  скарга\nна оператора ", NOW)
    assert path.read_bytes() == written(1)
    with db.read() as conn:
        (row,) = conn.execute(select(listening)).all()
    assert (row.recording_id, row.staff_id, row.at, row.reason) == (id, listener, NOW, "скарга на оператора")


@pytest.mark.parametrize("reason", ["", " \t\n", "x" * 201])
def test_without_a_reason_nobody_listens(db: Database, folder: Path, listener: int, reason: str) -> None:
    id = record(db, folder, 1, written(1))
    index(db, folder, CALL, NOW)
    with pytest.raises(BadInput), db.write() as conn:
        open_for_listening(conn, folder, id, listener, reason, NOW)
    with db.read() as conn:
        assert conn.execute(select(listening)).all() == []


def test_what_is_not_there_to_be_heard_is_refused_and_not_logged(db: Database, folder: Path, listener: int) -> None:
    growing = record(db, folder, 1, written(1))
    expired = record(db, folder, 2, written(1), at=NOW - timedelta(days=200))
    retention(db, folder, NOW, 180)
    put(folder, name(2), written(1))  # even if somebody puts it back
    lost = announce(db, name(3))
    link = record(db, folder, 4, written(1))
    index(db, folder, CALL, NOW)
    with db.write() as conn:
        conn.execute(recording.update().where(recording.c.id == growing).values(state="open"))
    (folder / name(4)).unlink()
    (folder / name(4)).symlink_to("/etc/passwd")
    for id, error in ((growing, "recording.open"), (expired, "recording.expired"), (lost, "recording.missing"),
                      (link, "recording.missing"), (10**6, "recording.unknown")):  # fmt: skip
        with pytest.raises(NotFound) as refused, db.write() as conn:
            open_for_listening(conn, folder, id, listener, "перевірка", NOW)
        assert refused.value.id == error
    with db.read() as conn:
        assert conn.execute(select(listening)).all() == []


def test_a_row_with_a_hostile_path_opens_nothing(db: Database, folder: Path, listener: int) -> None:
    (folder.parent / "secret").write_text("x")
    with db.write() as conn:
        id = conn.execute(insert(recording).values(linkedid=CALL, path="../secret", started_at=LONG_AGO, state="ok")
                          .returning(recording.c.id)).scalar_one()  # fmt: skip
    with pytest.raises(BadInput), db.write() as conn:
        open_for_listening(conn, folder, id, listener, "перевірка", NOW)
    assert retention(db, folder, NOW + timedelta(days=999), 180) == []
    assert (folder.parent / "secret").exists()
