"""Every row of the database as JSON lines, the same for SQLite and PostgreSQL: dumped from one, loaded into either.

The tables are those of the database, not of this version's code: what an older schema holds is dumped
whole, and loaded into that schema before it is brought up to date. Search indexes (SQLite's virtual tables)
are not dumped: their triggers fill them again.

A part is ``<table>.<order>.jsonl``: a line of column names, then a line for each row. Times are ISO 8601, UTC.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from alembic import command
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    URL,
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    NullPool,
    Table,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)

from crm.store import alembic_config

REVISIONS = "alembic_version"
PART = 4_000_000  # characters of a part, about: what is held in memory at a time
BATCH = 1000


@contextlib.contextmanager
def snapshot(url: URL) -> Iterator[Connection]:
    """A connection that sees one moment of the database while others go on writing."""
    with _connected(url) as conn:
        if conn.dialect.name == "postgresql":
            conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with conn.begin():
            yield conn


@contextlib.contextmanager
def transaction(url: URL) -> Iterator[Connection]:
    """A connection whose work, tables made and dropped included, is kept whole or not at all."""
    with _connected(url) as conn, conn.begin():
        yield conn


def revision(conn: Connection) -> str:
    """The schema's revision; "" where there is none."""
    return MigrationContext.configure(conn).get_current_revision() or ""


def known_revision(name: str) -> bool:
    """Whether this version's migrations have it."""
    return name in {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}


def upgrade(conn: Connection, to: str = "head") -> None:
    """Runs the migrations within the connection's transaction."""
    config = alembic_config()
    config.attributes["connection"] = conn
    command.upgrade(config, to)


def tables(conn: Connection) -> list[str]:
    """The tables that hold rows of ours, those first that others refer to."""
    names = [name for name, _ in inspect(conn).get_sorted_table_and_fkc_names() if name and name != REVISIONS]
    if conn.dialect.name == "sqlite":
        ordinary = set(conn.scalars(text("SELECT name FROM pragma_table_list WHERE type = 'table'")))
        names = [name for name in names if name in ordinary]
    return names


def dump(conn: Connection) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every part. Times without a zone are UTC.

    Raises:
        TypeError: a column holds what JSON and this module do not know.
    """
    for name in tables(conn):
        table = _table(conn, name)
        rows = conn.execute(table.select().order_by(*table.primary_key.columns).execution_options(yield_per=BATCH))
        lines = (json.dumps(list(row), ensure_ascii=False, default=_encoded) for row in rows)
        head = json.dumps(list(table.c.keys()))
        for order, part in enumerate(_parts(lines)):
            yield f"{name}.{order:06}.jsonl", "\n".join([head, *part, ""]).encode()


def load(conn: Connection, parts: Callable[[str], Iterable[bytes]]) -> int:
    """Fills the empty tables; how many rows.

    Args:
        parts: the contents of a table's parts, in order.

    Raises:
        ValueError: a part is not what `dump` writes for these tables.
        sqlalchemy.exc.SQLAlchemyError: the rows contradict the schema.
    """
    count = 0
    for name in tables(conn):
        table = _table(conn, name)
        own = _columns_to_itself(conn, table)
        later = []
        for part in parts(name):
            for rows in _batches(_decoded_rows(table, part)):
                for row in rows:
                    # A row may refer to a later one of its own table: said once all are there.
                    late = {column: row[column] for column in own if row.get(column) is not None}
                    if late:
                        later.append(({c.name: row[c.name] for c in table.primary_key}, late))
                        row.update(dict.fromkeys(late))
                conn.execute(insert(table), rows)
                count += len(rows)
        for key, late in later:
            conn.execute(update(table).where(*(table.c[c] == v for c, v in key.items())).values(late))
        _advance_sequence(conn, table)
    if conn.dialect.name == "sqlite" and conn.execute(text("PRAGMA foreign_key_check")).first():
        raise ValueError("a row refers to one that is not there")
    return count


def drop(conn: Connection, names: Iterable[str]) -> None:
    """Drops these tables and the schema's revision. PostgreSQL only: an SQLite database is a file."""
    for name in [*names, REVISIONS]:
        conn.execute(text(f"DROP TABLE IF EXISTS {conn.dialect.identifier_preparer.quote(name)} CASCADE"))


@contextlib.contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    utc = {"options": "-c timezone=UTC"} if url.get_backend_name() == "postgresql" else {}
    engine = create_engine(url, poolclass=NullPool, connect_args=utc)
    if engine.dialect.name == "sqlite":
        # The driver would begin late and commit before DDL; here transactions begin when we say so.
        @event.listens_for(engine, "connect")
        def _(connection: Any, record: Any) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def _(conn: Connection) -> None:
            conn.exec_driver_sql("BEGIN")

    try:
        with engine.connect() as conn:
            yield conn
    finally:
        engine.dispose()


def _table(conn: Connection, name: str) -> Table:
    """The table as the database has it, with what is needed here only."""
    look = inspect(conn)
    key = set(look.get_pk_constraint(name)["constrained_columns"])
    columns = look.get_columns(name)
    for column in columns:
        if isinstance(column["type"], JSON):
            column["type"].none_as_null = True  # JSON's own null and no value look the same in a part
    return Table(name, MetaData(), *(Column(c["name"], c["type"], primary_key=c["name"] in key) for c in columns))


def _columns_to_itself(conn: Connection, table: Table) -> list[str]:
    keys = inspect(conn).get_foreign_keys(table.name)
    return [column for key in keys if key["referred_table"] == table.name for column in key["constrained_columns"]]


def _encoded(value: object) -> str:
    if isinstance(value, dt.datetime):
        value = value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not known to a backup")


def _parts(lines: Iterator[str]) -> Iterator[list[str]]:
    part: list[str] = []
    length = 0
    for line in lines:
        part.append(line)
        length += len(line)
        if length >= PART:
            yield part
            part, length = [], 0
    if part:
        yield part


def _decoded_rows(table: Table, part: bytes) -> Iterator[dict[str, Any]]:
    lines = iter(part.decode().split("\n"))
    head = json.loads(next(lines))
    if not isinstance(head, list) or set(head) != set(table.c.keys()) or len(head) != len(table.c):
        raise ValueError(f"{table.name} has other columns")
    times = [at for at, column in enumerate(head) if isinstance(table.c[column].type, DateTime)]
    for line in lines:
        if not line:
            continue
        row = json.loads(line)
        if not isinstance(row, list) or len(row) != len(head):
            raise ValueError(f"{table.name} has a row of another length")
        for at in times:
            if row[at] is not None:
                row[at] = dt.datetime.fromisoformat(row[at]).astimezone(dt.UTC)
        yield dict(zip(head, row, strict=True))


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _advance_sequence(conn: Connection, table: Table) -> None:
    """PostgreSQL: the next row's number comes after the loaded ones. SQLite looks for itself."""
    if conn.dialect.name != "postgresql":
        return
    for column in table.primary_key:
        if isinstance(column.type, Integer):
            quoted = conn.dialect.identifier_preparer.quote(table.name)
            sequence = conn.scalar(select(func.pg_get_serial_sequence(quoted, column.name)))
            last = conn.scalar(select(func.max(column)))
            if sequence and last is not None:
                conn.execute(select(func.setval(sequence, last)))
