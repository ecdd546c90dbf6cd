"""`./1551 bench crm`: are the records as quick with 5,000,000 appeals as with 100,000, and what does registering cost?

Both sizes are filled anew, on SQLite and on a PostgreSQL of its own (durable, 512 MB of buffers), and asked by turns in
one run, so that what else the machine does disturbs both alike; warm, keys at random, through SQLAlchemy as the pages
ask. A small database is a young city: as many appeals a citizen, a building and a day as in the large one. The report
is of the month that ends now, 77,500 appeals, in both. Of each figure for ``sqlite`` and ``postgresql``:

lookup_p99_ratio   5,000,000 to 100,000, the worst of caller (who is it, his appeals), call (all that a call asks of him
                   until he stands in the queue) and building (aim 1.5)
lookup_p99_ms      with 5,000,000, the worst of the three (aim 1)
search_p99_ms      what is known already, while a text is being typed (aim 50)
lists_p99_ms       a department's list, the control desk's, how long these are, and a rare state: the worst of them
month_report_s     every figure of the month's first page (aim 1)
register_ratio     appeals a second, registered through the writing thread and durable, against the same rows written by
                   bare SQL in transactions of as many
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from psycopg.types.json import Json
from sqlalchemy import Connection, select

from bench.filling import NOW, Filling
from bench.measure import percentile, report
from centre.sample_life import SampleAppeal, SampleCity
from crm import announcements, appeals, calls, citizens, confirmations, control, promises, repeats, seed, store
from crm.life import State
from crm.periods import month_of
from crm.report import report as month_report
from crm.schema import department
from crm.store import Database, Writer
from ivr.steps import LATELY
from tests.postgres import PostgresServer

SMALL = 100_000
DURABLE = {"shared_buffers": "512MB", "max_wal_size": "8GB", "effective_cache_size": "4GB"}
ROUNDS, KEYS = 5, 1000  # of each look-up in a round
SEARCHES, LISTS, REPORTS = 100, 50, 1  # in a round
REGISTERED = 1024  # in a round
WATCHED = list(control.Watched)
TYPED = (8, 20, 40)  # letters, when somebody looks what is known


class Side:
    """One database of one size, and whom to ask about."""

    def __init__(self, db: Database, size: int) -> None:
        self.db, self.size = db, size
        with db.write() as conn:
            seed.load_seed(conn, NOW)
        self.filling = Filling(db, size)
        started = time.monotonic()
        self.filling.fill()
        self.load_s = time.monotonic() - started
        self.random = Random(2)
        with db.read() as conn:
            self.departments = list(conn.execute(select(department.c.id)).scalars())
            self.city = SampleCity(conn, 3)
        self.took: dict[str, list[list[float]]] = defaultdict(list)  # what → rounds of milliseconds

    def ask(self, keys: int) -> None:
        """A round of everything."""
        phones, houses, random = self.filling.phones, self.filling.buildings, self.random
        month = month_of(NOW.date())
        with self.db.read() as conn:
            self._time("caller", keys, lambda: (citizens.by_phone(conn, (e164 := random.choice(phones))),
                                                appeals.of_caller(conn, e164)))  # fmt: skip
            self._time("call", keys, lambda: asked_in_a_call(conn, random.choice(phones)))
            self._time("building", keys, lambda: appeals.of_building(conn, random.choice(houses)))
            self._time("search", max(1, keys * SEARCHES // KEYS), lambda: self._search(conn))
            of_lists = max(1, keys * LISTS // KEYS)
            self._time("list_department", of_lists,
                       lambda: appeals.for_department(conn, random.choice(self.departments)))  # fmt: skip
            self._time("list_control", of_lists, lambda: control.listed(conn, random.choice(WATCHED), NOW))
            self._time("list_counts", max(1, of_lists // 10), lambda: control.counts(conn, NOW))
            self._time("list_state", of_lists, lambda: appeals.search(conn, states=[State.CONTROL, State.RETURNED]))
            self._time("month_report", REPORTS, lambda: month_report(conn, month, NOW))

    def _search(self, conn: Connection) -> object:
        at, house = self.random.randrange(len(self.filling.phones)), self.random.choice(self.filling.buildings)
        typed = self.city.appeal(10)
        return repeats.known(conn, e164=self.filling.phones[at], building_id=house, subject_id=typed.subject_id,
                             text=typed.text[: self.random.choice(TYPED)], now=NOW)  # fmt: skip

    def _time(self, what: str, count: int, ask: Callable[[], object]) -> None:
        ask()
        gc.disable()
        times = []
        for _ in range(count):
            started = time.perf_counter()
            ask()
            times.append((time.perf_counter() - started) * 1000)
        gc.enable()
        self.took[what].append(times)

    def p(self, what: str, part: float) -> float:
        """The median of the rounds' percentiles, in milliseconds."""
        return statistics.median(percentile(times, part) for times in self.took[what])


def asked_in_a_call(conn: Connection, e164: str) -> None:
    """What the steps ask of a caller until he stands in the queue (``ivr.steps``)."""
    citizens.language_of(conn, e164)
    confirmations.pending_for(conn, e164)
    announcements.news(conn, e164)
    announcements.leads_anywhere(conn, e164)
    promises.open_of(conn, e164)
    citizens.is_privileged(conn, e164)
    calls.last_spoke(conn, e164, NOW - LATELY)


# ── registering ──
def registered(side: Side, writer: Writer, count: int) -> tuple[float, list[int]]:
    """Appeals a second, and their ids."""
    random = side.random
    drawn = [(side.city.appeal(10), random.randrange(side.filling.citizens) + 1, random.choice(side.filling.buildings))
             for _ in range(count)]  # fmt: skip
    works = [partial(_register, what=what, who=who, house=house) for what, who, house in drawn]
    started = time.perf_counter()
    done = [future.result() for future in [writer.submit(work, 0.001) for work in works]]
    return count / (time.perf_counter() - started), [each.id for each in done]


def _register(conn: Connection, what: SampleAppeal, who: int, house: int) -> appeals.Registered:
    return appeals.register(conn, now=NOW, citizen_id=who, building_id=house, subject_id=what.subject_id,
                            text=what.text, channel="web", staff_id=None)  # fmt: skip


TABLES = {"appeal": "id", "appeal_event": "appeal_id", "notice": "appeal_id"}  # and what says whose a row is
SHIFT = 100_000_000  # between a row's own numbers and those of its copy


def written(side: Side, ids: Sequence[int]) -> float:
    """Appeals a second, when the rows of these are written once more by the driver alone: one statement for many rows,
    in transactions of as many appeals as the writing thread's."""
    with side.db.read() as conn:
        batches = [_copies(conn, ids[at : at + store.BATCH]) for at in range(0, len(ids), store.BATCH)]
    started = time.perf_counter()
    for batch in batches:
        with side.db.write() as conn:
            cursor = conn.connection.cursor()
            for statement, rows in batch:
                cursor.executemany(statement, rows)
    return len(ids) / (time.perf_counter() - started)


def _copies(conn: Connection, ids: Sequence[int]) -> list[tuple[str, list[list[Any]]]]:
    """A statement for each table, with its rows."""
    place = "?" if conn.dialect.name == "sqlite" else "%s"
    found = []
    for table, key in TABLES.items():
        cursor = conn.connection.cursor()
        cursor.execute(f"SELECT * FROM {table} WHERE {key} BETWEEN {min(ids)} AND {max(ids)} ORDER BY id")
        names = [column[0] for column in cursor.description]
        kept = [name for name in names if name != "id" or key == "id"]
        rows = [[_copy(name, value) for name, value in zip(names, row, strict=True) if name in kept]
                for row in cursor.fetchall()]  # fmt: skip
        found.append((f"INSERT INTO {table} ({', '.join(kept)}) VALUES ({', '.join([place] * len(kept))})", rows))
    return found


def _copy(name: str, value: Any) -> Any:
    if name in ("id", "number", "appeal_id"):
        return value + SHIFT
    if name == "key":
        return f"{value}:copy"
    return Json(value) if isinstance(value, dict) else value


# ── all of it ──
LOOKUPS, LISTS_OF = ("caller", "call", "building"), ("list_department", "list_control", "list_counts", "list_state")


def measure(kind: str, urls: Sequence[str], sizes: Sequence[int], rounds: int, keys: int) -> dict[str, Any]:
    """One kind of database, the small one and the large one by turns."""
    dbs = [Database(url) for url in urls]
    try:
        small, large = sides = [Side(db, size) for db, size in zip(dbs, sizes, strict=True)]
        ratios = []
        for side in sides:  # warm: what is asked of a running centre is in memory
            side.ask(3 * keys)
            side.took.clear()
        for _ in range(rounds):
            for side in sides:
                side.ask(keys)
        writer = Writer(large.db)
        for _ in range(rounds):
            ours, ids = registered(large, writer, min(REGISTERED, keys))
            ratios.append((ours, written(large, ids)))
        writer.close()
    finally:
        for db in dbs:
            db.close()
    return {
        "lookup_p99_ratio": round(max(large.p(what, 0.99) / small.p(what, 0.99) for what in LOOKUPS), 2),
        "lookup_p99_ms": round(max(large.p(what, 0.99) for what in LOOKUPS), 3),
        "search_p99_ms": round(large.p("search", 0.99), 1),
        "lists_p99_ms": round(max(large.p(what, 0.99) for what in LISTS_OF), 1),
        "month_report_s": round(large.p("month_report", 0.5) / 1000, 3),
        "register_ratio": round(statistics.median(ours / bare for ours, bare in ratios), 3),
        "registered_s": round(statistics.median(ours for ours, _ in ratios)),
        "bare_s": round(statistics.median(bare for _, bare in ratios)),
        "p50_p99_ms": {what: {str(side.size): [round(side.p(what, part), 3) for part in (0.5, 0.99)] for side in sides}
                       for what in large.took},
        "load_s": [round(side.load_s) for side in sides],
    }  # fmt: skip


@contextmanager
def databases(kind: str, count: int) -> Iterator[list[str]]:
    """So many fresh ones, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="1551-bench-") as folder, ExitStack() as stack:
        if kind == "sqlite":
            urls = [f"sqlite:///{Path(folder) / f'{at}.db'}" for at in range(count)]
            for url in urls:
                store.migrate(url)
        else:
            server = PostgresServer(DURABLE)
            stack.callback(server.stop)
            urls = [server.url(server.create(server.template)) for _ in range(count)]
        yield urls


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="1551 bench crm", description="The records with 5,000,000 appeals")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size", type=int, default=5_000_000, help="appeals in the large database")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--keys", type=int, default=KEYS, help="look-ups of a kind in a round")
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    args = parser.parse_args(arguments)
    figures: dict[str, Any] = {"appeals": args.size}
    for kind in [args.only] if args.only else ["sqlite", "postgresql"]:
        with databases(kind, 2) as urls:
            figures[kind] = measure(kind, urls, (min(SMALL, args.size // 2), args.size), args.rounds, args.keys)
    report(figures, args.json)
    return 0
