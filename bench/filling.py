"""A city's years in a database, by the fastest way in: 2,500 appeals a day up to ``NOW``, with people, houses, calls,
histories and attempts.

The indexes are dropped and made again as the migrations made them, foreign keys are not checked. Densities do not
depend on the size: two appeals and a half for each citizen, 417 for each building, as many open ones lately as a centre
has that keeps up. So a small database is a young city, and a look-up finds as much in it as in a large one.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import cache
from random import Random
from typing import Any

import psycopg
from sqlalchemy import make_url, select

from centre.sample_life import SampleCity, houses, residents
from crm import law, routing, rulebook
from crm.edits import log_edit
from crm.life import State
from crm.schema import appeal, appeal_counter, building, citizen, citizen_phone, network, network_building
from crm.store import Database, insert_row

NOW = dt.datetime(2026, 10, 31, 12, 0, tzinfo=dt.UTC)
A_DAY = 2500
PER_CITIZEN, PER_BUILDING = 2.5, 5_000_000 / 12_000
LATELY = dt.timedelta(days=20)  # of these half are open
LEFT = 0.002  # of the older ones
TABLES = ("citizen", "citizen_phone", "call", "appeal", "appeal_call", "appeal_event", "callback", "attempt")
WITH_IDS = ("citizen", "citizen_phone", "call", "appeal", "callback")
FED = 40  # buildings by one boiler house

# Of every appeal registered, passed on; of those reported executed, asked; of the closed, confirmed. In the order in
# which it happens to one.
_EVENTS = (
    ("register", "registered", "registered", "registered_at", "id > 0", "''", "'{}'"),
    ("assign", "registered", "assigned", "registered_at", "id > 0", "''", "'{}'"),
    ("execute", "assigned", "executed", "executed_at", "executed_at IS NOT NULL", "'Роботи виконано.'", "'{}'"),
    ("ask", "executed", "awaiting", "executed_at", "executed_at IS NOT NULL", "''", "'{}'"),
    ("confirm", "awaiting", "closed", "ended_at", "state = 'closed'", "''",
     """'{"linkedid": "1.' || id || '", "key": "1", "attempt": "cb-' || id || '"}'"""),
)  # fmt: skip


class Filling:
    """What one database is to hold; ``size``: its appeals."""

    def __init__(self, db: Database, size: int, number: int = 1) -> None:
        self.size, self.citizens = size, max(10, round(size / PER_CITIZEN))
        self._db, self._number = db, number
        self._random = Random(number)
        self.phones: list[str] = []
        self.buildings: list[int] = []
        self._orders: dict[int, int] = {}  # the last number of each year

    def fill(self) -> None:
        """All of it."""
        with self._db.write() as conn:
            count = max(5, round(self.size / PER_BUILDING))
            known = conn.execute(select(building.c.id, building.c.district_id).order_by(building.c.id)).all()[:count]
            more = [{"street_id": each.street_id, "district_id": each.district_id, "number": each.number,
                     "folded": each.folded} for each in houses(conn, count - len(known))]  # fmt: skip
            if more:
                conn.execute(building.insert(), more)
            rows = conn.execute(select(building.c.id, building.c.district_id).order_by(building.c.id)).all()
            self.buildings = [row.id for row in rows[:count]]
            self._district = {row.id: row.district_id for row in rows}
            for at in range(0, count, FED):  # one boiler house after another
                network_id = insert_row(conn, network, {"kind": "heat", "name": f"Котельня-зразок {at // FED + 1}"})
                conn.execute(network_building.insert(), [{"network_id": network_id, "building_id": id}
                                                         for id in self.buildings[at : at + FED]])  # fmt: skip
            log_edit(conn, now=NOW, staff_id=None, what="network", key="", before=None, after=None)
            self._city, self._book = SampleCity(conn, self._number), rulebook.current(conn)
        self._home = self._random.choices(self.buildings, k=self.citizens)
        with closing(_Sqlite(self._db) if self._db.is_sqlite else _Postgres(self._db)) as way:
            indexes = way.drop_indexes()
            way.load(citizen.name, ("id", "name", "building_id", "flat", "auto_confirm", "created_at"), self._people())
            way.load(citizen_phone.name, ("id", "citizen_id", "e164", "last_used_at"), (
                (id, id, e164, _text(NOW)) for id, e164 in enumerate(self.phones, 1)))  # fmt: skip
            way.load(appeal.name, _COLUMNS, self._appeals())
            way.load(appeal_counter.name, ("year", "last"), self._orders.items())
            for statement in self._derived():
                way.run(statement)
            for statement in indexes:
                way.run(statement)
            way.finish()

    def _people(self) -> Iterator[tuple[Any, ...]]:
        for id, (each, home) in enumerate(zip(residents(self._number, self.citizens), self._home, strict=True), 1):
            self.phones.append(each.e164)
            yield id, each.name, home, each.flat, each.auto_confirm, _text(NOW)

    def _appeals(self) -> Iterator[tuple[Any, ...]]:
        random, city = self._random.random, self._city
        step = dt.timedelta(days=1) / A_DAY
        first = NOW - step * self.size
        for id in range(1, self.size + 1):
            at = first + step * id
            drawn = city.appeal(at.month)
            who = int(self.citizens * random())
            home = self._home[who]
            topic = self._book.topics[drawn.subject_id]
            year = at.year % 100
            order = self._orders[year] = self._orders.get(year, 0) + 1
            executed = ended = None
            state = State.ASSIGNED
            if random() > (0.5 if at > NOW - LATELY else LEFT):
                executed = min(at + dt.timedelta(hours=2 + 200 * random()), NOW)
                ended = min(executed + dt.timedelta(hours=5), NOW)
                state = State.CLOSED if random() < 0.85 else State.UNCONFIRMED
            report = executed and _text(executed)
            due = _due(at.date(), topic.term_days, self)
            yield (id, year * 1_000_000 + order, "1551", who + 1, home, "1", drawn.subject_id, drawn.text,
                   drawn.channel, state.value, _department(drawn.subject_id, self._district[home], self), topic.kind,
                   self._district[home], random() < 0.06, _text(at), due, report, report, ended and _text(ended),
                   None if state is State.CLOSED else due)  # fmt: skip

    def _derived(self) -> Iterator[str]:
        """What can be made of the appeals by the database itself."""
        lately = _text(NOW - dt.timedelta(days=45))
        # Every second appeal by telephone…
        yield ("INSERT INTO call (id, linkedid, direction, origin, caller, arrived_at, queued_at, queue, answered_at, "
               "ended_at, seat, wait_s, talk_s, end_cause, outcome) SELECT id, '1.' || id, 'in', 'mobile', e164, "
               "registered_at, registered_at, 'city', registered_at, registered_at, '101', id % 40, 60 + id % 200, "
               "'completed', 'appeal' FROM (SELECT a.id, a.registered_at, p.e164 FROM appeal a JOIN citizen_phone p ON "
               "p.id = a.citizen_id WHERE a.id % 2 = 0) AS by_phone")  # fmt: skip
        yield "INSERT INTO appeal_call (appeal_id, linkedid) SELECT id, '1.' || id FROM appeal WHERE id % 2 = 0"
        for action, before, after, at, where, note, evidence in _EVENTS:
            kept = evidence if self._db.is_sqlite else f"CAST({evidence} AS json)"
            yield ("INSERT INTO appeal_event (appeal_id, at, action, from_state, to_state, department_id, note, "
                   f"evidence) SELECT id, {at}, '{action}', '{before}', '{after}', department_id, {note}, {kept} "
                   f"FROM appeal WHERE {where} ORDER BY id")  # fmt: skip
        # …and lately, who was called back.
        yield ("INSERT INTO callback (id, citizen_id, mode, state, due_at, created_at, ended_at) SELECT id, "
               "citizen_id, 'live', 'done', executed_at, executed_at, ended_at FROM appeal "
               f"WHERE ended_at > '{lately}'")  # fmt: skip
        yield ("INSERT INTO attempt (id, callback_id, citizen_id, e164, mode, placed_at, answered_at, ended_at, "
               "outcome) SELECT 'cb-' || id, id, citizen_id, '', 'live', executed_at, ended_at, ended_at, 'answered' "
               f"FROM appeal WHERE ended_at > '{lately}'")  # fmt: skip


_COLUMNS = ("id", "number", "code", "citizen_id", "building_id", "flat", "subject_id", "text", "channel", "state",
            "department_id", "kind", "district_id", "priority", "registered_at", "due_at", "first_executed_at",
            "executed_at", "ended_at", "watch_at")  # fmt: skip


@cache
def _due(day: dt.date, term_days: int | None, filling: Filling) -> str:
    at = dt.datetime.combine(day, dt.time(12), dt.UTC)
    return _text(law.due(at, term_days, filling._book.calendar, filling._book.terms))


@cache
def _department(subject_id: int, district_id: int, filling: Filling) -> int:
    place = routing.Place(None, district_id)
    return routing.decide(filling._book.routing, subject_id, place).department_id


def _text(at: dt.datetime) -> str:
    """As SQLAlchemy has SQLite keep it, and as PostgreSQL in UTC reads it."""
    return at.replace(tzinfo=None).isoformat(" ", "microseconds")


class _Sqlite:
    """Nothing is synced: the process that fills is not meant to survive a crash half done."""

    def __init__(self, db: Database) -> None:
        db.drop_writers()  # out of WAL only alone
        self._conn = sqlite3.connect(str(db.url.database), isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-262144", "temp_store=MEMORY"):
            self._conn.execute(f"PRAGMA {pragma}")

    def drop_indexes(self) -> list[str]:
        made = self._conn.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
                                  f"AND tbl_name IN ({', '.join('?' * len(TABLES))})", TABLES).fetchall()  # fmt: skip
        for name, _ in made:
            self._conn.execute(f'DROP INDEX "{name}"')
        return [sql for _, sql in made]

    def load(self, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        self._conn.execute("BEGIN")
        self._conn.executemany(f"INSERT INTO {table} ({', '.join(columns)}) "
                               f"VALUES ({', '.join('?' * len(columns))})", rows)  # fmt: skip
        self._conn.execute("COMMIT")

    def run(self, statement: str) -> None:
        self._conn.execute(statement)

    def finish(self) -> None:
        self._conn.execute("PRAGMA journal_mode=WAL")  # and no ANALYZE: a centre's is not analyzed either

    def close(self) -> None:
        self._conn.close()


class _Postgres:
    """As a superuser: foreign keys are triggers there, and rest meanwhile."""

    def __init__(self, db: Database) -> None:
        url = make_url(db.url).set(drivername="postgresql")
        self._conn = psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)
        for setting in ("timezone = 'UTC'", "session_replication_role = replica", "maintenance_work_mem = '1GB'",
                        "synchronous_commit = off"):  # fmt: skip
            self.run(f"SET {setting}")

    def drop_indexes(self) -> list[str]:
        made = self._conn.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY(%s) AND "
            "indexname NOT IN (SELECT conname FROM pg_constraint)", [list(TABLES)]).fetchall()  # fmt: skip
        for name, _ in made:
            self.run(f'DROP INDEX "{name}"')
        return [sql for _, sql in made]

    def load(self, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        with self._conn.cursor() as cursor, cursor.copy(
                f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()) as copy:  # fmt: skip
            for row in rows:
                copy.write_row(row)

    def run(self, statement: str) -> None:
        self._conn.execute(statement.encode())

    def finish(self) -> None:
        for table in WITH_IDS:  # what was loaded with its own ids must not be given out again
            self.run(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
        self.run("VACUUM (ANALYZE)")
        self.run("CHECKPOINT")

    def close(self) -> None:
        self._conn.close()
