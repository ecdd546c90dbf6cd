"""The database: many readers, one writer.

SQLite in WAL mode, foreign keys on, every writing transaction a BEGIN IMMEDIATE (a deferred one
that reads and then writes loses to "database is locked"); or PostgreSQL by URL.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import time
import uuid
from collections import deque, namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    URL,
    Connection,
    Dialect,
    Engine,
    NullPool,
    Table,
    create_engine,
    event,
    insert,
    make_url,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError

from crm import schema
from crm.errors import CentreError

T = TypeVar("T")

CACHE_KIB = 65536  # of SQLite's pages, each connection: of a large database it holds what every look-up passes through
BUSY_S = 5  # how long the database itself waits for another process's transaction
PATIENCE_S = 30.0  # how long a batch is tried again while the database is locked or gone
BATCH = 256  # functions a transaction
BACKLOG = 100_000  # functions waiting; beyond it the database is gone for good
IDLE_S = 5.0  # a PostgreSQL connection unused for longer is tried before it is used

# PostgreSQL: deadlock, serialization failure, lock not available, server shutting down or starting.
_TRY_AGAIN = frozenset({"40P01", "40001", "55P03", "57P01", "57P02", "57P03", "53300"})

_log = logging.getLogger(__name__)


class Database:
    """Connections to one database, kept open. Threads may share it.

    ``url``: ``sqlite:////path/1551.db`` or ``postgresql://…``.
    """

    def __init__(self, url: str) -> None:
        self.url = _url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._writing = create_engine(self.url, **_connect_args(self.url, read_only=False))
        self._reading = create_engine(self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT",
                                      **_connect_args(self.url, read_only=True))  # fmt: skip
        if self.is_sqlite:
            _prepare_sqlite(self._writing, read_only=False)
            _prepare_sqlite(self._reading, read_only=True)
        self._turn = threading.Lock()  # SQLite has one writer: threads queue here, not in its busy handler
        self._idle: list[tuple[Connection, float]] = []  # readers, the last used at the end
        self._closed = False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A held connection that cannot write; each statement sees what is committed by then."""
        conn = self._reader()
        try:
            yield conn
        finally:
            if conn.invalidated or self._closed:
                conn.close()
            else:
                self._idle.append((conn, time.monotonic()))

    def _reader(self) -> Connection:
        while True:
            try:
                conn, used = self._idle.pop()
            except IndexError:
                return self._reading.connect()
            if self.is_sqlite or time.monotonic() - used < IDLE_S:
                return conn
            try:
                conn.exec_driver_sql("SELECT 1")
                return conn
            except DBAPIError:  # the server was restarted meanwhile
                conn.close()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed at the end of the block, rolled back if it raises."""
        if not self.is_sqlite:
            with self._writing.begin() as conn:
                yield conn
            return
        with self._turn, self._writing.begin() as conn:
            yield conn

    def drop_writers(self) -> None:
        """Forgets the writing connections: the server went away under one of them."""
        self._writing.dispose()

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop()[0].close()
        self._reading.dispose()
        self._writing.dispose()


class _Work(Generic[T]):
    """A submitted function, its future, and what it gave in the transaction that is under way."""

    __slots__ = ("error", "fn", "future", "result")

    def __init__(self, fn: Callable[[Connection], T]) -> None:
        self.fn = fn
        self.future: Future[T] = Future()
        self.result: T | None = None
        self.error: Exception | None = None

    def run(self, conn: Connection) -> None:
        """In the hope that it does not raise: what it raises spoils the whole transaction."""
        self.error = None
        self.result = self.fn(conn)

    def run_apart(self, conn: Connection) -> None:
        """In a savepoint: what it raises is its own affair."""
        self.result, self.error = None, None
        savepoint = conn.begin_nested()
        try:
            self.result = self.fn(conn)
            savepoint.commit()
        except Exception as error:
            if _worth_another_try(error):
                raise
            savepoint.rollback()
            self.error = error

    def resolve(self) -> None:
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # T itself, unless fn raised


class Writer:
    """One thread that writes for a whole process, many functions a transaction.

    A future is resolved only after the durable commit. When a function raises, only its own future
    fails: the batch is rolled back and run again, each function in a savepoint. When the database is
    locked or the connection is lost, the batch is tried again, never applied twice. So a function may
    run more than once, and must have no effect but through its connection.
    """

    def __init__(self, db: Database, patience_s: float = PATIENCE_S) -> None:
        self._db = db
        self._patience_s = patience_s
        self._works: deque[_Work[Any]] = deque()
        self._due = math.inf  # when the first of them must be written, by the monotonic clock
        self._changed = threading.Condition()  # guards both, and ``_closed``
        self._closed = False
        self._id = uuid.uuid4().hex
        self._batch = 0
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[[Connection], T], within_s: float = 0.0) -> Future[T]:
        """From asyncio: ``await asyncio.wrap_future(writer.submit(fn))``.

        ``within_s``: how long it may wait for company, when nobody waits for it. Many functions in one
        transaction cost a fraction of as many transactions; the order is kept whatever they allow.
        CentreError "store.overloaded" at once when nothing has been written for very long.
        """
        work, due = _Work(fn), time.monotonic() + within_s
        with self._changed:
            if self._closed:
                raise CentreError("store.closed")
            if len(self._works) >= BACKLOG:
                raise CentreError("store.overloaded")
            self._works.append(work)
            if due < self._due:
                self._due = due
                self._changed.notify()
        return work.future

    def close(self) -> None:
        """Writes what was submitted, then ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while taken := self._take():
            works = [work for work in taken if work.future.set_running_or_notify_cancel()]
            if works:
                self._write(works)
        if self._batch and not self._db.is_sqlite:
            self._forget()

    def _take(self) -> list[_Work[Any]]:
        """The next batch when it is due; empty when there is nothing more to come."""
        with self._changed:
            while not self._closed and (left := self._due - time.monotonic()) > 0:
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
            batch = [self._works.popleft() for _ in range(min(BATCH, len(self._works)))]
            if not self._works:  # else they have waited long enough
                self._due = math.inf
            return batch

    def _write(self, works: list[_Work[Any]]) -> None:
        """One durable transaction, tried until it is known to be done or patience ends."""
        self._batch += 1
        started = time.monotonic()
        pause, run = 0.0, _Work.run
        while True:
            try:
                with self._db.write() as conn:
                    if self._open_batch(conn):
                        for work in works:
                            run(work, conn)
                    elif not pause:
                        raise RuntimeError("a batch cannot be committed before it was tried")
                break
            except Exception as error:
                if run is _Work.run and not _worth_another_try(error):
                    run = _Work.run_apart
                    continue
                if not _worth_another_try(error) or time.monotonic() - started > self._patience_s:
                    _log.error("a batch of %d was not written: %s", len(works), error)
                    for work in works:
                        work.future.set_exception(error)
                    return
                _log.warning("the database cannot be written to, trying again: %s", error)
                if not self._db.is_sqlite:
                    self._db.drop_writers()
                pause = min(1.0, pause * 2 or 0.02)
                time.sleep(pause)
        for work in works:
            work.resolve()

    def _open_batch(self, conn: Connection) -> bool:
        """False if this very batch is committed already.

        A connection lost during COMMIT leaves it open whether PostgreSQL took it. So each batch
        begins by moving this writer's own row on to the batch's number: that waits until the
        server has done with the lost transaction, and moves nothing if it was committed.
        SQLite, in this process, always says what became of a COMMIT.
        """
        if self._db.is_sqlite:
            return True
        mark = schema.writer_mark
        own = postgresql.insert(mark).values(writer=self._id, batch=self._batch)
        moved = own.on_conflict_do_update(index_elements=[mark.c.writer], set_={"batch": self._batch},
                                          where=mark.c.batch < self._batch)  # fmt: skip
        return conn.execute(moved.returning(mark.c.batch)).first() is not None

    def _forget(self) -> None:
        mark = schema.writer_mark
        try:
            with self._db.write() as conn:
                conn.execute(mark.delete().where(mark.c.writer == self._id))
        except DBAPIError as error:  # a row that stays harms nobody
            _log.warning("the writer's mark stays behind: %s", error)


class Statement:
    """A statement that runs many times in a call or in an appeal's life, with named parameters.

    It is made once and goes to the driver itself: SQLAlchemy takes longer over a simple one than the database does.
    Its values and its rows are turned as SQLAlchemy would turn them, what goes wrong is raised as its own errors, and
    who listens for statements hears of it. No ``IN`` of values to be given, no defaults of Python's.
    """

    def __init__(self, statement: Any) -> None:
        self._statement = statement
        self._made: dict[tuple[str, frozenset[str]], _Made] = {}

    def __call__(self, conn: Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        """The rows, their columns by name too; none of a statement that gives none."""
        key = conn.dialect.name, frozenset(values)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = _Made(self._statement, values, conn.dialect)
        return made.run(conn, values)

    def value(self, conn: Connection, values: Mapping[str, Any]) -> Any:
        """The first row's first column, None if there is no row."""
        rows = self(conn, values)
        return rows[0][0] if rows else None


class _Made:
    """A statement made for one kind of database, to be given values of the same names as these."""

    def __init__(self, statement: Any, values: Mapping[str, Any], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=list(values))
        state = compiled.construct_expanded_state(values)
        order = state.positiontup or list(state.parameters)
        if nowhere := values.keys() - order:  # an IN to be given, too: it has as many places as there are values
            raise ValueError(f"no place in the statement for {', '.join(nowhere)}")
        turned, fixed = {**compiled._bind_processors, **state.processors}, state.parameters
        self._sql = state.statement
        # For each place: the value's name and how it is turned, or what always stands there.
        self._places = [(name, turned.get(name), None) if name in values else
                        (None, None, turned[name](fixed[name]) if name in turned else fixed[name])
                        for name in order]  # fmt: skip
        self._names = None if compiled.positional else order
        columns = compiled._result_columns
        self._row: Any = None
        if columns:
            names_of: Any = namedtuple  # mypy would have the names stand here
            self._row = names_of("Row", [column.keyname for column in columns], rename=True)._make
        self._types = [column.type for column in columns]
        self._turned: list[tuple[int, Any]] | None = None  # the columns that are turned, and how

    def run(self, conn: Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        given: Any = [fixed if name is None else values[name] if turn is None else turn(values[name])
                      for name, turn, fixed in self._places]  # fmt: skip
        given = tuple(given) if self._names is None else dict(zip(self._names, given, strict=True))
        try:
            cursor = conn.connection.cursor()
            if conn._has_events or conn.engine._has_events:
                conn.dispatch.before_cursor_execute(conn, cursor, self._sql, given, None, False)
            cursor.execute(self._sql, given)
            if self._row is None:
                return ()
            rows = cursor.fetchall()
        except conn.dialect.loaded_dbapi.Error as error:
            conn._handle_dbapi_exception(error, self._sql, given, None, None)
        if self._turned is None:  # what kind of number a column holds, PostgreSQL says with the first answer
            turns = [kind._cached_result_processor(conn.dialect, column[1])
                     for kind, column in zip(self._types, cursor.description, strict=True)]  # fmt: skip
            self._turned = [(at, turn) for at, turn in enumerate(turns) if turn is not None]
        if not self._turned:
            return [self._row(row) for row in rows]
        return [self._row(_turn(list(row), self._turned)) for row in rows]


def _turn(row: list[Any], turned: list[tuple[int, Any]]) -> list[Any]:
    for at, turn in turned:
        row[at] = turn(row[at])
    return row


def insert_row(conn: Connection, table: Table, values: Mapping[str, Any]) -> int:
    """Inserts one row: its id."""
    return int(_insert_row(table)(conn, values)[0][0])


@cache
def _insert_row(table: Table) -> Statement:
    return Statement(insert(table).returning(table.c.id))


def insert_or_ignore(conn: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Whether the row was new: one that exists already, by any unique key, is left alone."""
    return bool(_insert_or_ignore(conn.dialect.name, table)(conn, values))


@cache
def _insert_or_ignore(dialect_name: str, table: Table) -> Statement:
    dialect: Any = sqlite if dialect_name == "sqlite" else postgresql
    # Asked by RETURNING: after an INSERT the drivers do not agree on the row count.
    return Statement(dialect.insert(table).on_conflict_do_nothing().returning(*table.primary_key))


def migrate(url: str) -> None:
    """Brings the database up to the newest revision, making it (and its folder) if need be."""
    with _engine(url, make=True) as engine, engine.begin() as conn:
        if conn.dialect.name == "postgresql":  # two processes that start together take turns, however long they are
            conn.execute(text("SET LOCAL lock_timeout = 0"))
            conn.execute(text("SELECT pg_advisory_xact_lock(1551)"))
        config = alembic_config()
        config.attributes["connection"] = conn
        command.upgrade(config, "head")


def current(url: str) -> str:
    """The database's revision; "" when it has none."""
    if make_url(url).get_backend_name() == "sqlite" and not Path(make_url(url).database or "").exists():
        return ""
    with _engine(url) as engine, engine.connect() as conn:
        return MigrationContext.configure(conn).get_current_revision() or ""


def is_current(url: str) -> bool:
    """Whether the database is at the newest revision."""
    return current(url) == ScriptDirectory.from_config(alembic_config()).get_current_head()


def alembic_config() -> Config:
    """Alembic's configuration; ``attributes["connection"]`` is the caller's to set."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _engine(url: str, make: bool = False) -> Iterator[Engine]:
    """A short-lived engine whose transactions on SQLite are real ones, for DDL too."""
    parsed = _url(url)
    if make and parsed.get_backend_name() == "sqlite":
        Path(parsed.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, poolclass=NullPool, **_connect_args(parsed, read_only=False))
    if parsed.get_backend_name() == "sqlite":
        _prepare_sqlite(engine, read_only=False)
    try:
        yield engine
    finally:
        engine.dispose()


def _url(url: str) -> URL:
    """The URL with the driver we ship. ValueError for another database, or SQLite in memory."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite+pysqlite")
    raise ValueError("the database must be sqlite:///<file> or postgresql://<host>/<name>")


def _connect_args(url: URL, *, read_only: bool) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY_S, "check_same_thread": False}}
    own = "default_transaction_read_only=on" if read_only else f"lock_timeout={BUSY_S * 1000:.0f}ms"
    return {"connect_args": {"options": f"-c timezone=UTC -c {own}", "connect_timeout": 5, "application_name": "1551"}}


def _prepare_sqlite(engine: Engine, *, read_only: bool) -> None:
    """Durable commits, foreign keys, and our own BEGIN instead of sqlite3's late one."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: object) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={BUSY_S * 1000}")
        _to_wal(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON", f"cache_size={-CACHE_KIB}",
                       f"query_only={'ON' if read_only else 'OFF'}"):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}")

    if not read_only:

        @event.listens_for(engine, "begin")
        def _begin(conn: Connection) -> None:
            conn.exec_driver_sql("BEGIN IMMEDIATE")


def _to_wal(connection: Any) -> None:
    """For good, in the file. Of several who open a new file at once SQLite refuses all but one, and does not wait."""
    end = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.02)


def _worth_another_try(error: Exception) -> bool:
    """Whether the same statements may succeed later: locked, deadlocked, or the server is away."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _TRY_AGAIN:
        return True
    if not isinstance(error, OperationalError):
        return False
    message = str(error.orig)
    return "database is locked" in message or "connect" in message
