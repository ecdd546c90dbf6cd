"""What every test may use: a database of its own, on SQLite and on a real PostgreSQL server.

Each worker of a run (pytest-xdist) has its own server and templates, so that none meets another.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm.store import Database, migrate
from tests.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "1551.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh, migrated SQLite database."""
    shutil.copy(sqlite_template, tmp_path / "1551.db")
    return f"sqlite:///{tmp_path / '1551.db'}"


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A fresh, migrated database on the real PostgreSQL server."""
    with postgres.lent() as name:
        yield postgres.url(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database, once of each kind."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """The same, open."""
    database = Database(database_url)
    yield database
    database.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The telephone's scenarios first: they are told in real time, and nobody shall wait for them alone at the end."""
    items.sort(key=lambda item: "telephony" not in item.path.parts)
