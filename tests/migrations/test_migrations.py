"""The tables that the migrations make are the tables that the code has, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from pytest_alembic.tests import (  # noqa: F401  # collected from here, on both databases
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)
from sqlalchemy import Engine, NullPool, create_engine, inspect, make_url, text
from sqlalchemy.exc import DBAPIError

from crm import schema, store
from crm.store import Database
from tests.crm.conftest import found_city
from tests.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a database without any table; on SQLite not even its folder exists."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'not' / 'there' / 'yet' / '1551.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def alembic_config() -> Config:
    return store.alembic_config()


@pytest.fixture
def alembic_engine(empty_url: str) -> Iterator[Engine]:
    url = make_url(empty_url)
    if url.get_backend_name() == "sqlite":
        Path(url.database or "").parent.mkdir(parents=True)
    else:
        url = url.set(drivername="postgresql+psycopg")
    engine = create_engine(url, poolclass=NullPool)
    yield engine
    engine.dispose()


def test_from_nothing_to_the_newest(empty_url: str) -> None:
    assert not store.is_current(empty_url)
    store.migrate(empty_url)
    assert store.is_current(empty_url)
    store.migrate(empty_url)  # again: nothing to do
    config = store.alembic_config()
    engine = create_engine(store._url(empty_url), poolclass=NullPool)
    with engine.connect() as conn:
        config.attributes["connection"] = conn
        command.check(config)
        assert set(inspect(conn).get_table_names()) == {*schema.metadata.tables, "alembic_version"}
    engine.dispose()


def test_two_processes_that_start_together_migrate_once(empty_url: str) -> None:
    errors: list[Exception] = []

    def start() -> None:
        try:
            store.migrate(empty_url)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert store.is_current(empty_url)


@pytest.mark.parametrize("table", schema.HISTORY)
@pytest.mark.parametrize("statement", ["UPDATE {0} SET at = '2001-01-01 00:00:00'", "DELETE FROM {0}"])
def test_the_database_refuses_to_change_history(db: Database, table: str, statement: str) -> None:
    with db.write() as conn:
        if table == "appeal_event":  # looked at row by row, for its notes may be erased: there must be one
            found_city(conn).registered()
        elif db.is_sqlite:  # all its triggers look at rows
            conn.execute(text("PRAGMA defer_foreign_keys = ON"))
            columns = [c for c in schema.metadata.tables[table].columns if not c.nullable]
            values = {c.name: "2026-01-01 00:00:00" if c.name == "at" else "1" for c in columns}
            names = ", ".join(values)
            marks = ", ".join(f":{name}" for name in values)
            conn.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), values)
        savepoint = conn.begin_nested()
        with pytest.raises(DBAPIError, match="history is only added to"):
            conn.execute(text(statement.format(table)))
        savepoint.rollback()
        conn.rollback()


def test_only_the_words_of_an_appeals_history_may_be_erased(db: Database) -> None:
    event = schema.appeal_event
    with db.write() as conn:
        city = found_city(conn)
        city.execute(city.registered().id)
        before = [dict(row) for row in conn.execute(event.select().order_by(event.c.id)).mappings()]
        assert any(row["note"] for row in before)
        conn.execute(event.update().values(note=""))
        after = [dict(row) for row in conn.execute(event.select().order_by(event.c.id)).mappings()]
        assert after == [row | {"note": ""} for row in before]
        for forbidden in ({"note": "other words"}, {"note": "", "action": "assign"}, {"evidence": {"key": "1"}}):
            savepoint = conn.begin_nested()
            with pytest.raises(DBAPIError, match="history is only added to"):
                conn.execute(event.update().values(forbidden))
            savepoint.rollback()
