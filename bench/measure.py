"""What the benchmarks share: a centre's settings of their own, a process's CPU time, medians, and the report."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from centre.phones import free_port
from centre.settings import ROOT, Secrets, Settings, load, load_secrets
from crm import seed, store

READY_S = 30.0  # for a process of ours to come up
CPUCLOCK_SCHED = 2  # of <linux/posix-timers.h>: user and system, all threads, ended ones too


@contextmanager
def centre_of_its_own(**more: Any) -> Iterator[tuple[Settings, Secrets]]:
    """A folder with a fresh, seeded SQLite database, and free ports; all gone at the end."""
    tcp = socket.SOCK_STREAM
    with tempfile.TemporaryDirectory(prefix="1551-bench-", ignore_cleanup_errors=True) as folder:
        settings = load(**{
            "var": folder, "database": "", "sip_port": free_port(), "ami_port": free_port(kind=tcp),
            "agi_port": free_port(kind=tcp), "asterisk_http_port": free_port(kind=tcp),
            "landline_host": f"127.0.0.1:{free_port()}",
            "mobile_host": f"127.0.0.2:{free_port('127.0.0.2')}", **more,
        })  # fmt: skip
        for one in (settings.line_socket.parent, settings.spool, settings.recordings):
            one.mkdir(parents=True, mode=0o700)
        store.migrate(settings.database_url)
        db = store.Database(settings.database_url)
        with db.write() as conn:
            seed.load_seed(conn, datetime.now(UTC))
        db.close()
        yield settings, load_secrets(settings)


def environment(settings: Settings) -> dict[str, str]:
    """The environment in which another process has these settings."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    told = {name: value if isinstance(value, str) else json.dumps(value, default=str).strip('"')
            for name, value in given.items()}  # fmt: skip
    return os.environ | {f"CENTRE_{name.upper()}": value for name, value in told.items()}


@contextmanager
def running(argv: Sequence[str], log: Path, ready: Callable[[], bool], env: Mapping[str, str]) -> Iterator[int]:
    """A process, from ``ready`` on, as its id; ended at the end. RuntimeError, with what it said, if it dies."""
    with log.open("wb") as output:
        process = subprocess.Popen(argv, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def said() -> str:
        return log.read_text(errors="replace")[-2000:]

    try:
        until(ready, lambda: process.poll() is None)
        if process.poll() is not None:
            raise RuntimeError(f"{argv} ended with {process.returncode}: {said()}")
        yield process.pid
    except TimeoutError:
        raise RuntimeError(f"{argv} does not come up: {said()}") from None
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(true: Callable[[], bool], still: Callable[[], bool] = lambda: True, limit_s: float = READY_S) -> None:
    """Waits for what tells nobody by itself; returns when ``still`` is no more. TimeoutError."""
    end = time.monotonic() + limit_s
    while still() and not true():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def cpu_s(pid: int) -> float:
    """Seconds of CPU that the process has used, user and system, to the nanosecond (/proc/PID/stat counts in tens of
    milliseconds, which is as much as a few calls)."""
    return time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)


def percentile(values: Iterable[float], part: float) -> float:
    """The smallest value that at least ``part`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-part * len(ordered) // 1) - 1)]


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the ratios, round by round: what else the machine does disturbs both sides of a round alike."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def report(figures: Mapping[str, Any], as_json: bool) -> None:
    """One JSON object, or a short table."""
    if as_json:
        print(json.dumps(figures, ensure_ascii=False))
        return
    for name, value in figures.items():
        for at, line in enumerate(value if isinstance(value, list) else [value]):
            print(f"{name if not at else '':<24} {line}")
