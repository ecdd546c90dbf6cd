"""The database and its one writer: acknowledged means kept, once, whatever dies or is locked."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from pathlib import Path

import pytest
from sqlalchemy import Connection, bindparam, event, func, insert, make_url, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from crm.errors import CentreError
from crm.schema import call, department, edit_log, staff
from crm.store import Database, Statement, Writer, insert_row

NOW = dt.datetime(2026, 11, 24, 10, 0, tzinfo=dt.UTC)
ROOT = Path(__file__).parent.parent.parent


def add(conn: Connection, name: str) -> str:
    conn.execute(insert(department), {"name": name})
    return name


def names(db: Database) -> list[str]:
    with db.read() as conn:
        return list(conn.execute(select(department.c.name).order_by(department.c.id)).scalars())


@pytest.fixture
def writer(db: Database) -> Iterator[Writer]:
    writer = Writer(db)
    yield writer
    writer.close()


class Held:
    """Holds the writer's thread inside one function until it is let go, so that others gather behind it."""

    def __init__(self, writer: Writer) -> None:
        self._inside, self._go = threading.Event(), threading.Event()
        self.future = writer.submit(self._hold)
        assert self._inside.wait(10)

    def _hold(self, conn: Connection) -> None:
        self._inside.set()
        assert self._go.wait(10)

    def let_go(self) -> None:
        self._go.set()
        self.future.result(10)


def test_a_write_is_seen_by_readers_once_it_is_acknowledged(db: Database, writer: Writer) -> None:
    assert writer.submit(lambda conn: add(conn, "Київводоканал")).result(10) == "Київводоканал"
    assert names(db) == ["Київводоканал"]


def test_a_block_that_raises_writes_nothing(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.write() as conn:
        add(conn, "half"), 1 // 0
    assert names(db) == []


def test_readers_cannot_write(db: Database) -> None:
    with db.read() as conn, pytest.raises(DBAPIError):
        add(conn, "by a reader")
    with db.read() as conn:
        conn.execute(select(1))
    assert names(db) == []


def test_foreign_keys_are_kept(db: Database) -> None:
    with pytest.raises(IntegrityError), db.write() as conn:
        conn.execute(text("INSERT INTO citizen_phone (citizen_id, e164, last_used_at) "
                          "VALUES (12345, '+380441234567', '2026-01-01 00:00:00')"))


def test_one_failure_in_a_batch_fails_alone(db: Database, writer: Writer) -> None:
    held = Held(writer)
    futures = [writer.submit(lambda conn, name=name: add(conn, name)) for name in ("a", "b", "b", "c")]
    broken = writer.submit(lambda conn: [add(conn, "half"), 1 // 0])
    last = writer.submit(lambda conn: add(conn, "d"))
    held.let_go()
    wait([*futures, broken, last], 10)
    assert [f.exception() is None for f in futures] == [True, True, False, True]
    assert isinstance(futures[2].exception(), IntegrityError)
    assert isinstance(broken.exception(), ZeroDivisionError)
    assert names(db) == ["a", "b", "c", "d"]


def test_a_cancelled_write_is_not_made(db: Database, writer: Writer) -> None:
    held = Held(writer)
    unwanted = writer.submit(lambda conn: add(conn, "unwanted"))
    assert unwanted.cancel()
    held.let_go()
    writer.submit(lambda conn: add(conn, "wanted")).result(10)
    assert names(db) == ["wanted"]


def test_a_patient_write_is_made_with_the_next_and_before_it(db: Database, writer: Writer) -> None:
    patient = writer.submit(lambda conn: add(conn, "patient"), within_s=60)
    urgent = writer.submit(lambda conn: add(conn, "urgent"))
    assert (patient.result(10), urgent.result(10)) == ("patient", "urgent")
    assert names(db) == ["patient", "urgent"]


def test_a_patient_write_is_made_when_its_time_has_come(db: Database, writer: Writer) -> None:
    later = writer.submit(lambda conn: add(conn, "later"), within_s=60)
    soon = writer.submit(lambda conn: add(conn, "soon"), within_s=0.05)
    assert (later.result(10), soon.result(10)) == ("later", "soon")
    assert names(db) == ["later", "soon"]


def test_closing_does_not_wait_for_the_patient(db: Database) -> None:
    writer = Writer(db)
    patient = writer.submit(lambda conn: add(conn, "patient"), within_s=60)
    writer.close()
    assert patient.done()
    assert names(db) == ["patient"]


def test_closing_writes_what_was_submitted_and_takes_no_more(db: Database) -> None:
    writer = Writer(db)
    futures = [writer.submit(lambda conn, i=i: add(conn, f"d{i}")) for i in range(300)]
    writer.close()
    assert all(future.done() for future in futures)
    assert len(names(db)) == 300
    with pytest.raises(CentreError, match=r"store\.closed"):
        writer.submit(lambda conn: None)
    writer.close()


def test_many_threads_write_through_one_writer(db: Database, writer: Writer) -> None:
    futures: list[Future[str]] = []

    def submit(thread: int) -> None:
        futures.extend(writer.submit(lambda conn, i=i: add(conn, f"{thread}-{i}")) for i in range(50))

    threads = [threading.Thread(target=submit, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    wait(futures, 20)
    assert sorted(names(db)) == sorted(f"{t}-{i}" for t in range(4) for i in range(50))


CHILD = """
import sys
from sqlalchemy import insert
from crm.schema import department, edit_log, staff
from crm.store import Database, Statement, Writer, insert_row
prefix, count, url = sys.argv[1], int(sys.argv[2]), sys.argv[3]
writer = Writer(Database(url))
for i in range(count):
    writer.submit(lambda conn, i=i: conn.execute(insert(department), {"name": f"{prefix}{i}"})).result()
    print(f"{prefix}{i}", flush=True)
sys.stdin.read()
"""


def child(prefix: str, count: int, url: str) -> subprocess.Popen[str]:
    """A process that writes one by one, says each name once it is acknowledged, and then waits."""
    return subprocess.Popen([sys.executable, "-c", CHILD, prefix, str(count), url], cwd=ROOT, text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_what_was_acknowledged_survives_a_kill(db: Database, database_url: str) -> None:
    process = child("k", 100_000, database_url)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(25)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.wait(10)
    with contextlib.suppress(BrokenPipeError):
        process.communicate()
    kept = names(db)
    assert kept[: len(acknowledged)] == acknowledged
    assert len(kept) <= len(acknowledged) + 1  # at most the one that it could not say any more


def test_two_processes_that_contend_lose_and_double_nothing(db: Database, database_url: str, writer: Writer) -> None:
    processes = [child(prefix, 60, database_url) for prefix in ("a", "b")]
    futures = [writer.submit(lambda conn, i=i: add(conn, f"c{i}")) for i in range(60)]
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert len(output.split()) == 60
        assert process.returncode == 0
    wait(futures, 60)
    assert sorted(names(db)) == sorted(f"{p}{i}" for p in "abc" for i in range(60))


def test_a_locked_sqlite_is_waited_for(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm.store.BUSY_S", 0)  # SQLite itself does not wait: the writer has to
    db, other = Database(sqlite_url), Database(sqlite_url)
    writer, tried = Writer(db), threading.Event()
    monkeypatch.setattr("crm.store._log.warning", lambda *a: tried.set())
    with other.write() as conn:
        add(conn, "the other's")
        future = writer.submit(lambda conn: add(conn, "ours"))
        assert tried.wait(10)
        assert not future.done()
    future.result(10)
    assert names(db) == ["the other's", "ours"]
    writer.close()
    db.close()
    other.close()


def test_patience_ends_with_an_error_and_the_writer_lives_on(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm.store.BUSY_S", 0)
    db, other = Database(sqlite_url), Database(sqlite_url)
    writer = Writer(db, patience_s=0.05)
    with other.write(), pytest.raises(DBAPIError, match="locked"):
        writer.submit(lambda conn: add(conn, "never")).result(10)
    writer.submit(lambda conn: add(conn, "later")).result(10)
    assert names(db) == ["later"]
    writer.close()
    db.close()
    other.close()


def test_a_lock_that_is_never_let_go_does_not_hold_the_writer_for_ever(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm.store.BUSY_S", 0.05)
    db, other = Database(postgres_url), Database(postgres_url)
    writer = Writer(db, patience_s=0.1)
    with other.write() as conn:
        conn.execute(text("LOCK TABLE department IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            writer.submit(lambda conn: add(conn, "never")).result(20)
    writer.submit(lambda conn: add(conn, "later")).result(10)
    assert names(db) == ["later"]
    writer.close()
    db.close()
    other.close()


def test_a_lost_server_connection_is_replaced(postgres_url: str) -> None:
    db, other = Database(postgres_url), Database(postgres_url)
    writer = Writer(db)
    lost = iter([True, False])

    def lose_it_once(conn: Connection) -> str:
        name = add(conn, "kept")
        if next(lost):
            with other.write() as killer:
                backend = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
                killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
        return name

    first = writer.submit(lose_it_once)
    assert first.result(20) == "kept"
    writer.submit(lambda conn: add(conn, "after")).result(20)
    assert names(other) == ["kept", "after"]
    writer.close()
    db.close()
    other.close()


def test_a_reader_whose_server_went_away_is_replaced(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm.store.IDLE_S", -1.0)
    db, other = Database(postgres_url), Database(postgres_url)
    assert names(db) == []
    with other.write() as conn:
        conn.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                          "WHERE pid <> pg_backend_pid() AND datname = current_database()"))
    assert names(db) == []
    db.close()
    other.close()


class CutAtCommit:
    """Stands between a client and PostgreSQL; of the first COMMIT it lets the server's answer never arrive."""

    def __init__(self, target: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="1551-cut-"))
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self.cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                committing = threading.Event()
                threading.Thread(target=self._up, args=(client, server, committing), daemon=True).start()
                threading.Thread(target=self._down, args=(server, client, committing), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, committing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if b"COMMIT" in data and not self.cut.is_set():
                    committing.set()
                server.sendall(data)
        server.close()

    def _down(self, server: socket.socket, client: socket.socket, committing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if committing.is_set() and not self.cut.is_set():
                    self.cut.set()
                    break  # the server has committed; nobody hears it
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
        client.close()
        server.close()

    def close(self) -> None:
        self._listener.close()
        shutil.rmtree(self.folder)


def test_a_commit_whose_answer_is_lost_is_not_made_twice(postgres_url: str) -> None:
    url = make_url(postgres_url)
    folder = url.query["host"]
    proxy = CutAtCommit(f"{folder}/.s.PGSQL.5432")
    straight = Database(postgres_url)
    db = Database(url.set(query={"host": str(proxy.folder)}).render_as_string(hide_password=False))
    with straight.write() as conn:
        conn.execute(text("ALTER TABLE department DROP CONSTRAINT uq_department_name"))  # a second one could be made
    writer = Writer(db)
    assert writer.submit(lambda conn: add(conn, "once")).result(20) == "once"
    assert proxy.cut.is_set()
    assert names(straight) == ["once"]
    assert writer.submit(lambda conn: add(conn, "next")).result(20) == "next"
    assert names(straight) == ["once", "next"]
    writer.close()
    with straight.read() as conn:  # and no mark of this writer stays behind
        assert conn.execute(select(func.count()).select_from(text("writer_mark"))).scalar_one() == 0
    db.close()
    straight.close()
    proxy.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "oracle://x"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite:///<file> or postgresql://"):
        Database(url)


def test_sqlite_is_durable(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    with db.write() as conn:
        pragmas = {p: conn.exec_driver_sql(f"PRAGMA {p}").scalar() for p in
                   ("journal_mode", "synchronous", "foreign_keys")}  # fmt: skip
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    db.close()


def test_a_statement_gives_what_sqlalchemy_gives(db: Database) -> None:
    given = {"at": NOW, "staff_id": None, "what": "article", "record_key": "1", "before": None, "after": {"a": ["є"]}}
    columns = (edit_log.c.at, edit_log.c.what, edit_log.c.before, edit_log.c.after, staff.c.active)
    joined = select(*columns).join(staff, edit_log.c.staff_id == staff.c.id, isouter=True)
    with db.write() as conn:
        [(made,)] = Statement(insert(edit_log).returning(edit_log.c.id))(conn, given)
        insert_row(conn, staff, {"login": "a", "name": "А", "password_hash": "-", "role": "operator", "active": True})
        query = joined.where(edit_log.c.id == bindparam("id"), edit_log.c.what.in_(["article", "term"]))
        [row] = Statement(query)(conn, {"id": made})
        assert tuple(row) == tuple(conn.execute(query, {"id": made}).one())
        assert (row.at, row.after) == (NOW, {"a": ["є"]})
        assert Statement(select(staff.c.active)).value(conn, {}) is True
        assert Statement(query).value(conn, {"id": made + 1}) is None
        ended = insert(call).values(linkedid="1.1", direction="in", origin="mobile", caller="", arrived_at=NOW)
        [row] = Statement(ended.returning(call.c.talk_s, call.c.hold_s))(conn, {"talk_s": 1.5})
        assert (row.talk_s, row.hold_s) == (1.5, 0.0)
        renamed = Statement(update(staff).where(staff.c.login == bindparam("who")))
        assert list(renamed(conn, {"who": "a", "name": "Б"})) == []  # each set of names has a statement of its own
        assert list(renamed(conn, {"who": "a", "active": False})) == []
        assert tuple(conn.execute(select(staff.c.name, staff.c.active)).one()) == ("Б", False)


def test_a_statement_is_heard_by_who_listens(db: Database) -> None:
    with db.read() as conn:
        heard: list[tuple[str, object]] = []
        event.listen(conn, "before_cursor_execute", lambda *args: heard.append((args[2], args[3])))
        Statement(select(staff.c.name).where(staff.c.login == bindparam("who")))(conn, {"who": "a"})
        conn.execute(select(staff.c.name).where(staff.c.login == bindparam("who")), {"who": "a"})
    assert heard[0] == heard[1]


def test_a_statement_refuses_what_has_no_place_in_it(db: Database) -> None:
    """As many values as there are have as many places: the next call would be given those of the first."""
    several = Statement(select(staff.c.name).where(staff.c.id.in_(bindparam("ids", expanding=True))))
    with db.read() as conn, pytest.raises(ValueError, match="ids"):
        several(conn, {"ids": [1, 2]})


def test_what_is_read_is_in_utc_wherever_the_server_is(postgres_url: str) -> None:
    db = Database(postgres_url)
    with db.write() as conn:
        conn.execute(text(f"ALTER DATABASE {make_url(postgres_url).database} SET timezone = 'Europe/Kyiv'"))
    db.drop_writers()
    with db.write() as conn:
        insert_row(conn, edit_log, {"at": NOW, "staff_id": None, "what": "", "record_key": "", "before": None,
                                    "after": None})  # fmt: skip
        at, same = Statement(select(edit_log.c.at)).value(conn, {}), conn.execute(select(edit_log.c.at)).scalar_one()
    assert (at, at.tzinfo, same.tzinfo) == (NOW, dt.UTC, dt.UTC)
    db.close()


def test_a_statement_whose_server_went_away(postgres_url: str) -> None:
    """Its reader is not used again, and what the writer was about is done on another connection."""
    db, other = Database(postgres_url), Database(postgres_url)
    named = Statement(select(department.c.name))

    def end(conn: Connection) -> None:
        backend = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with other.write() as killer:
            killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})

    with db.read() as conn:
        end(conn)
        with pytest.raises(DBAPIError) as lost:
            named(conn, {})
    assert lost.value.connection_invalidated
    with db.read() as conn:
        assert named(conn, {}) == []
    writer, left = Writer(db), [1]

    def lose_it_once(conn: Connection) -> int:
        if left:
            left.pop()
            end(conn)
        return insert_row(conn, department, {"name": "kept"})

    assert writer.submit(lose_it_once).result(20)
    assert names(db) == ["kept"]
    writer.close()
    db.close()
    other.close()


def test_what_goes_wrong_in_a_statement_is_an_error_of_sqlalchemys(db: Database) -> None:
    with pytest.raises(IntegrityError), db.write() as conn:
        Statement(insert(staff).inline())(conn, {"login": "a", "name": "А", "password_hash": "-", "role": None})
