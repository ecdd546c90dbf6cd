"""The pages with a database of their own, a small city, and a line that does what the test says.

``Desk`` is a person at the pages: it fills in the forms that are really there (``centre.demo.browser``).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import Connection, insert
from starlette.applications import Starlette

from centre.demo.browser import Browser, Page
from centre.settings import Settings
from crm import addresses, appeals, calls, citizens, passwords, people, schema
from crm.calls import EndCause
from crm.errors import BadInput
from crm.life import Action
from crm.people import Role
from crm.store import Database
from web import create_app
from web.sip_proxy import MOST

BASE = "http://1551.test"
PASSWORD = "дев'ять з половиною"
CALLER = "+380441234567"
LINKEDID = "1767000000.1"


@cache
def hashed() -> str:
    return passwords.hashed(PASSWORD)


class FakeLine:
    """The line's side of ``web.live.Line``: ``say`` is what it tells, ``asked`` what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.reply: dict[str, Any] = {}
        self.refusal: Exception | None = None
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        while True:
            yield await self._events.get()
            self._events.task_done()

    async def request(self, do: str, **fields: object) -> dict[str, Any]:
        self.asked.append({"do": do, **fields})
        if self.refusal is not None:
            raise self.refusal
        return self.reply

    async def say(self, event: dict[str, Any]) -> None:
        """Returns when the web has taken it."""
        self._events.put_nowait(event)
        await asyncio.wait_for(self._events.join(), 5)

    def did(self, do: str) -> list[dict[str, Any]]:
        return [asked for asked in self.asked if asked["do"] == do]


def snapshot(**changed: Any) -> dict[str, Any]:
    """A snapshot as the contract has it, of a quiet centre."""
    return {"event": "snapshot", "at": datetime.now(UTC).isoformat(), "waiting": [], "seats": [],
            "trunks": [{"name": "landline", "state": "ok", "calls": 0}, {"name": "mobile", "state": "ok", "calls": 0}],
            "line": {"ami": True}, "callbacks": {"due": 0, "calling": 0},
            "promised": {"waiting": 0, "calling": 0, "next": None}, "surge": {"on": {}, "proposal": None},
            "today": None, "ahead": [], "serving": 0} | changed  # fmt: skip


def waiting(caller: str = CALLER, **changed: Any) -> dict[str, Any]:
    return {"linkedid": LINKEDID, "caller": caller, "origin": "mobile", "queue": "city", "position": 1,
            "since": (datetime.now(UTC) - timedelta(seconds=65)).isoformat()} | changed  # fmt: skip


def at_seat(state: str, seat: str = "101", **changed: Any) -> dict[str, Any]:
    on_call = state in ("ringing", "talking", "hold")
    return {"seat": seat, "staff_id": None, "state": state, "since": datetime.now(UTC).isoformat(),
            "linkedid": LINKEDID if on_call else "", "reason": "", "lines": [] if state == "out" else ["city"],
            "skills": [], "heard": None} | changed  # fmt: skip


class Desk(Browser):
    """A person at the pages, who also reads error pages."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._base, self._client = str(client.base_url).rstrip("/"), client

    @staticmethod
    def _page(response: httpx.Response) -> Page:
        return Page.read(response)

    @property
    def http(self) -> httpx.AsyncClient:
        return self._client

    async def sign_in(self, login: str, password: str = PASSWORD) -> Page:
        return await self.submit(await self.open("/sign-in"), "/sign-in", login=login, password=password)

    async def post(self, path: str, **fields: str) -> httpx.Response:
        """Any fields, from our own page's origin, with the right CSRF token, without a form."""
        page = await self.open("/account")
        form = next(f for f in page.forms if f.path == "/sign-out")
        return await self._client.post(path, data={"csrf": form.fields["csrf"], **fields}, follow_redirects=False,
                                       headers={"Origin": self._base})  # fmt: skip


@dataclass
class City:
    """What the tests' small city has."""

    departments: dict[str, int] = field(default_factory=dict)
    subjects: dict[str, int] = field(default_factory=dict)
    buildings: dict[str, int] = field(default_factory=dict)


def build_city(conn: Connection) -> City:
    def add(table: Any, **values: object) -> int:
        return int(conn.execute(insert(table).values(**values).returning(table.c.id)).scalar_one())

    city = City()
    for name in ("Київтеплоенерго", "Київводоканал"):
        city.departments[name] = add(schema.department, name=name)
    heat, water = city.departments.values()
    group = add(schema.subject, name_uk="Житло", name_en="Housing", department_id=heat)
    for uk, en, department in (("Опалення", "Heating", heat), ("Холодна вода", "Cold water", water)):
        city.subjects[uk] = add(schema.subject, parent_id=group, name_uk=uk, name_en=en, department_id=department,
                                term_days=15)  # fmt: skip
    district = addresses.add_district(conn, "Шевченківський район", "Shevchenkivskyi district")
    bandery = addresses.add_street(conn, "проспект Степана Бандери", ["Московський проспект"])
    khreshchatyk = addresses.add_street(conn, "вулиця Хрещатик")
    for street, number, label in ((bandery, "10", "Бандери 10"), (bandery, "10-А", "Бандери 10-А"),
                                  (khreshchatyk, "22", "Хрещатик 22")):  # fmt: skip
        city.buildings[label] = addresses.add_building(conn, street, number, district)
    return city


@dataclass
class Site:
    """The application at work."""

    app: Starlette
    db: Database
    line: FakeLine
    city: City
    settings: Settings
    desks: contextlib.AsyncExitStack
    base: str = BASE
    staff: dict[str, int] = field(default_factory=dict)

    def hire(self, role: Role, login: str = "", department: str = "") -> int:
        """The person's id. An executor is the heating department's unless another is named."""
        login = login or role.value
        department = department or ("Київтеплоенерго" if role is Role.EXECUTOR else "")
        with self.db.write() as conn:
            self.staff[login] = people.add_staff(
                conn, login=login, name=f"Людина {login}", password_hash=hashed(), role=role,
                password_given=False,
                department_id=self.city.departments[department] if department else None,
            )  # fmt: skip
        return self.staff[login]

    async def stranger(self) -> Desk:
        """A browser that nobody has signed in with."""
        transport = httpx.ASGITransport(self.app) if self.base == BASE else None
        return Desk(await self.desks.enter_async_context(httpx.AsyncClient(
            transport=transport, base_url=self.base, follow_redirects=True, timeout=30)))  # fmt: skip

    async def person(self, role: Role, login: str = "", department: str = "") -> Desk:
        """Somebody of that role, signed in."""
        self.hire(role, login, department)
        desk = await self.stranger()
        page = await desk.sign_in(login or role.value)
        assert page.status == 200, page.text
        return desk

    def calling(self, caller: str = CALLER, linkedid: str = LINKEDID, staff: str = "") -> str:
        """A call on record that seat 101 has answered."""
        now = datetime.now(UTC)
        with self.db.write() as conn:
            calls.arrived(conn, linkedid, at=now - timedelta(seconds=90), origin="mobile", caller=caller)
            calls.queued(conn, linkedid, now - timedelta(seconds=80), "city", 1, None)
            calls.answered(conn, linkedid, "101", now - timedelta(seconds=20), self.staff.get(staff))
        return linkedid

    def appeal(self, *, text: str = "Батареї ледь теплі.", name: str = "Олена Шевчук", phone: str = CALLER,
               subject: str = "Опалення", at: datetime | None = None, executed: bool = False) -> int:  # fmt: skip
        """The number of an appeal on record, of whoever has that name and number; ``executed``: reported so."""
        now = at or datetime.now(UTC)
        home = self.city.buildings["Бандери 10"]
        with self.db.write() as conn:
            known = [citizen.id for citizen in citizens.by_phone(conn, phone) if citizen.name == name] if phone else []
            whose = known[0] if known else citizens.add(conn, now=now, name=name, phones=[phone] if phone else [],
                                                        building_id=home, flat="41")  # fmt: skip
            made = appeals.register(conn, now=now, citizen_id=whose, building_id=home, flat="41", text=text,
                                    subject_id=self.city.subjects[subject], channel="phone", staff_id=None)  # fmt: skip
            if executed:
                appeals.act(conn, made.id, Action.EXECUTE, now=now, note="Відрегульовано подачу.")
        return made.number

    def hang_up(self, linkedid: str = LINKEDID) -> None:
        """The conversation is over."""
        with self.db.write() as conn:
            calls.ended(conn, linkedid, datetime.now(UTC), EndCause.COMPLETED, talk_s=20.0)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CENTRE_SETTINGS", str(tmp_path / "none.toml"))
    return Settings(var=tmp_path, seat_count=4, call_from="00:00", call_to="24:00", require_totp=False)


@pytest.fixture
async def site(db: Database, settings: Settings) -> AsyncIterator[Site]:
    line = FakeLine()
    app = create_app(settings, db, line, secret="a test's secret")
    with db.write() as conn:
        city = build_city(conn)
    async with app.router.lifespan_context(app), contextlib.AsyncExitStack() as desks:
        await line.say(snapshot())
        yield Site(app, db, line, city, settings, desks)


@contextlib.asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """The address at which it is served over real HTTP, on a port of its own."""
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="websockets-sansio", ws_max_size=MOST,
                                           log_level="warning"))  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serves = asyncio.create_task(server.serve([listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        app.state.parts.hub.close()
        server.should_exit = True
        await asyncio.wait_for(serves, 30)


@pytest.fixture
async def served(site: Site) -> AsyncIterator[Site]:
    """The same over real HTTP, for what a client must see while it comes."""
    async with serving(site.app) as site.base:
        yield site


@pytest.fixture
def refused() -> Callable[[str], BadInput]:
    """A refusal of the line's, by its id."""
    return BadInput
