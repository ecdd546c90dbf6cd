"""The real Asterisk with our line beside it, a process of its own that a test may kill, stop and start again.

The web's part is played by the test: it asks over the line's socket, as the pages do, and reads the records.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import product
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, select

from centre.bus import Client, Message
from centre.settings import ROOT
from crm import addresses, appeals, calls, citizens, departments, people, promises, schema, seed
from crm.appeals import Appeal, Registered
from crm.calls import Queue
from crm.errors import CentreError
from crm.life import Action
from crm.store import Database, migrate

T = TypeVar("T")
PATIENCE = 30


class Centre:
    """An exchange, its database, its line, and what the web hears of it."""

    def __init__(self, exchange: Any) -> None:
        self.exchange, self.settings = exchange, exchange.settings
        # Residents may be called at whatever hour the tests run.
        self.change(call_from="00:00", call_to="24:00", promise_from="00:00", promise_to="24:00")
        self.db = Database(self.settings.database_url)
        self.told: list[Message] = []
        self.bus = Client(self.settings.line_socket)
        self._process: asyncio.subprocess.Process | None = None
        self._news = asyncio.Condition()

    # ── the line ──
    def change(self, **settings: object) -> None:
        """What the next line that is started will have."""
        self.settings = self.settings.model_copy(update=settings)

    async def start_line(self) -> None:
        """Returns when it hears Asterisk."""
        given = {name: getattr(self.settings, name) for name in self.settings.model_fields_set}
        env = {f"CENTRE_{name.upper()}": value if isinstance(value, str) else json.dumps(value, default=str).strip('"')
               for name, value in given.items()}  # fmt: skip
        self.told.clear()
        with (self.settings.var / "line.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "centre", "line", cwd=ROOT, env=os.environ | env, stderr=log,
                stdin=asyncio.subprocess.DEVNULL)  # fmt: skip
        await self.snapshot(lambda s: s["line"]["ami"])

    def signal_line(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def kill_line(self) -> None:
        """As a power cut would."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop_line(self) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        return await asyncio.wait_for(self._process.wait(), PATIENCE)

    def line_log(self) -> str:
        return (self.settings.var / "line.log").read_text(errors="replace")

    # ── what the web hears and asks ──
    async def listen(self) -> None:
        async for event in self.bus.events():
            async with self._news:
                self.told.append(event)
                self._news.notify_all()

    async def snapshot(self, wanted: Callable[[Message], bool]) -> Message:
        """The latest snapshot, when it is one that ``wanted`` accepts."""
        def latest() -> Message | None:
            lost = [at for at, event in enumerate(self.told) if event["event"] == "lost"]
            found = [e for e in self.told[lost[-1] if lost else 0 :] if e["event"] == "snapshot"]
            return found[-1] if found and wanted(found[-1]) else None

        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: latest() is not None)
            found = latest()
            assert found is not None
            return found

    async def event(self, name: str, **fields: object) -> Message:
        """The first event of that name with these fields."""
        def found() -> list[Message]:
            return [e for e in self.told if e["event"] == name and all(e.get(k) == v for k, v in fields.items())]

        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: bool(found()))
            return found()[0]

    async def seat_is(self, state: str, seat: str = "101") -> None:
        await self.snapshot(lambda s: {one["seat"]: one["state"] for one in s["seats"]}[seat] == state)

    async def log_in(self, seat: str = "101", staff_id: int = 1, queues: tuple[str, ...] = ("city",),
                     skills: tuple[str, ...] = (), phone: str = "desk") -> None:  # fmt: skip
        """As soon as the line has heard that the telephone is registered."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await self.bus.request("login", seat=seat, staff_id=staff_id, queues=list(queues),
                                           skills=list(skills), phone=phone)  # fmt: skip
                    break
                except CentreError as error:
                    if error.id != "seat.offline":
                        raise
                    await asyncio.sleep(0.05)
        await self.seat_is("free", seat)

    # ── the records ──
    def read(self, fn: Callable[[Connection], T]) -> T:
        with self.db.read() as conn:
            return fn(conn)

    def write(self, fn: Callable[[Connection], T]) -> T:
        with self.db.write() as conn:
            return fn(conn)

    async def on_record(self, fn: Callable[[Connection], T], true: Callable[[T], object]) -> T:
        """What ``fn`` reads, when it is so. The record has no event to wait for."""
        found = self.read(fn)
        try:
            async with asyncio.timeout(PATIENCE):
                while not true(found):
                    await asyncio.sleep(0.05)
                    found = self.read(fn)
        except TimeoutError:
            raise AssertionError(f"on record is {found!r}") from None
        return found

    async def call_of(self, caller: str, true: Callable[[calls.Call], object] = lambda call: True) -> calls.Call:
        """The latest call from that number, when it is so."""
        def latest(conn: Connection) -> calls.Call | None:
            return next((call for call in calls.recent(conn) if call.caller == caller), None)

        found = await self.on_record(latest, lambda call: call is not None and true(call))
        assert found is not None
        return found

    @asynccontextmanager
    async def behind_trunk(self, phones: Any) -> AsyncIterator[Any]:
        """These telephones answer what is called through the landline trunk, and it is known to be up; afterwards it is
        known to be down, so that no question of Asterisk's from between two tests is answered in the next."""
        async with phones:
            await self.trunk_is("ok")
            yield phones
        await self.trunk_is("down")

    @property
    def landline_port(self) -> int:
        """Where calls out arrive."""
        return int(self.settings.landline_host.rpartition(":")[2])

    async def trunk_is(self, state: str, name: str = "landline") -> None:
        """Asks the trunk at once, where Asterisk would in its turn, and waits until it is known to be so; asks again
        where the answer to an earlier question came last."""
        for left in reversed(range(3)):
            await asyncio.to_thread(self.exchange.asterisk.rx, f"pjsip qualify trunk-{name}")
            try:
                async with asyncio.timeout(PATIENCE / 3):
                    await self.snapshot(lambda s: {each["name"]: each["state"] for each in s["trunks"]}[name] == state)
                return
            except TimeoutError:
                if not left:
                    raise

    def kinds(self, linkedid: str) -> list[str]:
        """What happened to a call, in order."""
        event = schema.call_event
        found = select(event.c.kind).where(event.c.linkedid == linkedid).order_by(event.c.at, event.c.id)
        return self.read(lambda conn: list(conn.scalars(found)))

    def appeal(self, phone: str, *, auto: bool = True, execute: bool = True) -> Registered:
        """A citizen's appeal, reported as executed: his confirmation is due."""
        def make(conn: Connection) -> Registered:
            now = datetime.now(UTC)
            known = citizens.by_phone(conn, phone)
            citizen_id = known[0].id if known else citizens.add(
                conn, now=now, name=f"Мешканець {phone}", phones=[phone], auto_confirm=auto)  # fmt: skip
            subject = next(s for s in departments.subjects(conn) if s.parent_id is not None)
            building = addresses.suggest(conn, "Хрещатик", 1)[0]
            made = appeals.register(conn, now=now, citizen_id=citizen_id, building_id=building.id, channel="phone",
                                    subject_id=subject.id, text="Немає гарячої води", staff_id=None)  # fmt: skip
            if execute:
                appeals.act(conn, made.id, Action.EXECUTE, now=now, note="Воду подано")
            return made

        return self.write(make)

    async def appeal_is(self, made: Registered, state: str) -> Appeal:
        return await self.on_record(lambda conn: appeals.get(conn, made.id), lambda appeal: appeal.state == state)

    async def callback_is(self, true: Callable[[Any], object]) -> Any:
        """The one callback, when it is so."""
        return await self.on_record(lambda conn: conn.execute(select(schema.callback)).one(), true)

    async def promise(self, phone: str, true: Callable[[promises.Promise], object] = bool) -> promises.Promise:
        """What that number was promised last, when it is so."""
        def latest(conn: Connection) -> promises.Promise | None:
            newest = select(schema.promise.c.id).where(schema.promise.c.e164 == phone)
            found = conn.scalar(newest.order_by(schema.promise.c.id.desc()).limit(1))
            return None if found is None else promises.get(conn, found)

        found = await self.on_record(latest, lambda kept: kept is not None and true(kept))
        assert found is not None
        return found

    def attempts(self, phone: str) -> list[Any]:
        """To keep what that number was promised, in order."""
        a = schema.attempt.c
        ours = select(schema.attempt).where(a.e164 == phone, a.promise_id.is_not(None)).order_by(a.placed_at)
        return self.read(lambda conn: list(conn.execute(ours)))

    async def attempt(self, phone: str, true: Callable[[Any], object] = lambda row: True, count: int = 1) -> Any:
        """The latest of ``count`` attempts to call that number, when it is so."""
        row = select(schema.attempt).where(schema.attempt.c.e164 == phone).order_by(schema.attempt.c.placed_at)
        found = await self.on_record(lambda conn: conn.execute(row).all(),
                                     lambda rows: len(rows) == count and true(rows[-1]))  # fmt: skip
        return found[-1]


@asynccontextmanager
async def running_centre(exchange: Any) -> AsyncIterator[Centre]:
    settings = exchange.settings
    settings.line_socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for leftover in (*settings.spool.glob("*.json"), *settings.var.glob("1551.db*")):
        leftover.unlink()
    migrate(settings.database_url)
    centre = Centre(exchange)
    centre.write(lambda conn: seed.load_seed(conn, datetime.now(UTC)))
    for login, role in (("operator", people.Role.OPERATOR), ("feedback", people.Role.FEEDBACK)):
        centre.write(lambda conn, login=login, role=role: people.add_staff(  # type: ignore[misc]
            conn, login=login, name=login, password_hash="-", role=role))  # fmt: skip
    listening = asyncio.create_task(centre.listen())
    try:
        await centre.start_line()
        yield centre
    finally:
        code = await centre.stop_line()
        listening.cancel()
        centre.db.close()
        for seat, queue in product(settings.seats, Queue):  # Asterisk remembers them, and others use it too
            exchange.log_out(seat, queue)
    assert code in (0, -signal.SIGKILL), centre.line_log()[-3000:]


@pytest.fixture
async def centre(exchange: Any) -> AsyncIterator[Centre]:
    """The shared Asterisk with a line and a database of this test's own."""
    async with running_centre(exchange) as centre:
        yield centre


