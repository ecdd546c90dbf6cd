"""The database: many readers, one writer.

SQLite in WAL mode, foreign keys on, every writing transaction a BEGIN IMMEDIATE (a deferred one
that reads and then writes loses to "database is locked"); or PostgreSQL by URL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


class Database:
    """Connections to one database, kept open. Threads may share it."""

    def __init__(self, url: str) -> None:
        raise NotImplementedError

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A held connection that cannot write; each statement sees what is committed by then."""
        raise NotImplementedError

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed at the end of the block, rolled back if it raises."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Writer:
    """One thread that writes for a whole process, many functions a transaction.

    A future is resolved only after the durable commit. Each function runs in a savepoint: when one
    raises, only its own future fails. When the database is locked or the connection is lost, the
    batch is tried again, never applied twice: so a function may run more than once, and must have
    no effect but through its connection.
    """

    def __init__(self, db: Database) -> None:
        raise NotImplementedError

    def submit(self, fn: Callable[[Connection], T]) -> Future[T]:
        """From asyncio: ``await asyncio.wrap_future(writer.submit(fn))``."""
        raise NotImplementedError

    def close(self) -> None:
        """Writes what was submitted, then ends the thread."""
        raise NotImplementedError


def migrate(url: str) -> None:
    """Brings the database up to the newest revision, making it (and its folder) if need be."""
    raise NotImplementedError


def current(url: str) -> str:
    """The database's revision; "" when it has none."""
    raise NotImplementedError


def is_current(url: str) -> bool:
    """Whether the database is at the newest revision."""
    raise NotImplementedError
