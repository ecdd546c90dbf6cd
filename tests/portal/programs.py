"""The portal for programs that file appeals: a small city, a key each, and the applications' own clock."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from PIL import Image
from sqlalchemy import func, select, update
from starlette.applications import Starlette

from centre.settings import Settings
from crm import api_keys, appeals, schema
from crm.appeals import Appeal
from crm.life import Action
from crm.store import Database, migrate
from tests.web.conftest import City, FakeLine, build_city
from web.portal.app import create_portal

BASE = "http://1551.test"
BEGAN = datetime(2026, 11, 24, 10, 5, tzinfo=UTC)  # a Tuesday, 12:05 in Kyiv


class Clock:
    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> datetime:
        return self.now

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Office:
    """The application at work, and what a test looks at behind it."""

    app: Starlette
    db: Database
    city: City
    clock: Clock
    line: FakeLine
    settings: Settings

    def key(self, channel: str = "mobile", cap: int = 600, name: str = "Застосунок") -> str:
        with self.db.write() as conn:
            return api_keys.make(conn, name=name, channel=channel, hourly_cap=cap, now=self.clock.now,
                                 staff_id=None)[1]  # fmt: skip

    def only(self) -> Appeal:
        """The one appeal that there is."""
        with self.db.read() as conn:
            return appeals.get(conn, conn.execute(select(schema.appeal.c.id)).scalar_one())

    def get(self, number: int | str) -> Appeal:
        with self.db.read() as conn:
            its = appeals.by_number(conn, int(number))
        assert its is not None
        return its

    def count(self, table: Any = schema.appeal) -> int:
        with self.db.read() as conn:
            return conn.execute(select(func.count()).select_from(table)).scalar_one()

    def act(self, number: int, action: Action, note: str = "Відрегулювали подачу.") -> None:
        with self.db.write() as conn:
            appeals.act(conn, self.get(number).id, action, now=self.clock.now, note=note)

    def widen(self) -> None:
        """The street of «Хрещатик 22» gets so many buildings that it leads to none of them."""
        with self.db.write() as conn:
            street, district = conn.execute(select(schema.building.c.street_id, schema.building.c.district_id).where(
                schema.building.c.id == self.city.buildings["Хрещатик 22"])).one()  # fmt: skip
            for number in ("24", "26", "28", "30", "32"):
                conn.execute(schema.building.insert().values(street_id=street, number=number, folded=number,
                                                             district_id=district))  # fmt: skip

    def set(self, number: int, **values: object) -> None:
        with self.db.write() as conn:
            conn.execute(update(schema.appeal).where(schema.appeal.c.number == number).values(**values))


def open_office(db: Database, var: Path) -> Office:
    settings = Settings(var=var, portal_address="https://1551.example.ua", file_hourly=20, file_daily=10)
    line, clock = FakeLine(), Clock()
    app = create_portal(settings, db, line, secret="a test's secret", clock=clock)
    with db.write() as conn:
        city = build_city(conn)
    return Office(app, db, city, clock, line, settings)


# Where it matters what the database does.
EITHER = pytest.mark.parametrize("office", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def office(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """On SQLite, or as ``EITHER`` says."""
    monkeypatch.setenv("CENTRE_SETTINGS", str(tmp_path / "none.toml"))
    db = Database(request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url"))
    yield open_office(db, tmp_path)
    db.close()


@pytest.fixture
async def http(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    """A program."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(office.app, raise_app_exceptions=False),
                                 base_url=BASE) as client:  # fmt: skip
        yield client


@contextlib.contextmanager
def over_http(folder: Path) -> Iterator[tuple[Office, str]]:
    """The same on a database of its own, at an address where any client can reach it."""
    url = f"sqlite:///{folder / 'served.db'}"
    migrate(url)
    db = Database(url)
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listener:
        patch.setenv("CENTRE_SETTINGS", str(folder / "none.toml"))
        office = open_office(db, folder)
        server = uvicorn.Server(uvicorn.Config(office.app, lifespan="off", log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield office, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
            db.close()


def photo(colour: str = "red", kind: str = "JPEG") -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (60, 40), colour).save(made, kind)
    return made.getvalue()
