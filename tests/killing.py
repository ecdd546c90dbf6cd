"""A process of ours that is killed, as by ``kill -9``, right before one of its steps.

A step: a statement or a commit that it would send to its database, a file that it would remove. To kill it before each
of them in turn is to kill it at any moment, for all that anybody can see afterwards.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__, "centre.__main__", "centre.imports", "recordings"])


def killed(at: int, work: Callable[..., object], *args: object) -> bool:
    """Runs ``work`` in a process of its own and kills it before its step ``at`` (from 1 on); False if it lived to its
    end. ``work``: a function of a module, it is called by name."""
    process = _processes.Process(target=_run, args=(at, work, args))
    process.start()
    process.join(60)
    code = process.exitcode
    process.kill()
    assert code in (0, -signal.SIGKILL), f"neither done nor killed: {code}"
    return code != 0


def _run(at: int, work: Callable[..., object], args: tuple[object, ...]) -> None:
    left = at

    def step(*_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def connected(connection: Any, _: object) -> None:  # SQLite itself tells of each statement, COMMIT too
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(step)

    def sent(conn: Any, *_: object) -> None:
        if conn.dialect.name != "sqlite":
            step()

    event.listen(Engine, "connect", connected)
    event.listen(Engine, "before_cursor_execute", sent)
    event.listen(Engine, "commit", sent)
    sys.addaudithook(lambda name, _: step() if name == "os.remove" else None)
    work(*args)
