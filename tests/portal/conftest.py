"""The portal with a database of its own, the tests' small city, and residents who fill in the forms that are there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from centre.demo.browser import Page
from centre.settings import Settings
from crm import appeals, reception, tokens
from crm.appeals import Appeal
from crm.filing import Filing
from crm.life import Action
from crm.notices import Way
from crm.rates import Limits
from crm.store import Database
from tests.web.conftest import City, Desk, FakeLine, build_city
from web.portal.app import create_portal

BASE = "http://portal.test"
SECRET = "a portal's test's secret"
NAME, PHONE = "Марія Коваль", "+380671112233"
FILED = {"subject": "Опалення", "text": "Батареї ледь теплі.", "address": "Бандери 10", "name": NAME,
         "phone": "067 111 22 33", "tell_by": "sms", "consent": "1"}  # fmt: skip
File = tuple[str, bytes]


class Resident(Desk):
    """Somebody at the portal's pages, who may also send several files."""

    async def fill(self, page: Page, path: str, files: Sequence[File] = (), button: Mapping[str, str] | None = None,
                   **answers: str) -> Page:  # fmt: skip
        """Sends the form that goes to ``path``, in parts if it may bring files. ``button``: one of the form
        that stands elsewhere on the page."""
        form = page.form(path, answers)
        values = {**form.fields, **{name: form.options.get(name, {}).get(answer, answer)
                                    for name, answer in answers.items()}, **(button or {})}  # fmt: skip
        parts = [("files", (name, data)) for name, data in files] or [("files", ("", b""))] * len(form.files) or None
        return self._page(await self.http.post(path, data=values, files=parts, headers={"Origin": self._base}))


@dataclass
class Portal:
    """The application at work. ``now`` is the time that it goes by."""

    app: Starlette
    db: Database
    line: FakeLine
    city: City
    settings: Settings
    clients: contextlib.AsyncExitStack
    base: str = BASE
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def resident(self, address: str = "127.0.0.1", **cookies: str) -> Resident:
        """A browser of its own, at this address of the network."""
        transport = httpx.ASGITransport(self.app, client=(address, 5000)) if self.base == BASE else None
        client = httpx.AsyncClient(transport=transport, base_url=self.base, follow_redirects=True, timeout=30,
                                   cookies=cookies)  # fmt: skip
        return Resident(await self.clients.enter_async_context(client))

    def file(self, *, text: str = "Батареї ледь теплі.", tell_to: str = PHONE) -> Appeal:
        """An appeal that came by the portal."""
        with self.db.write() as conn:
            its = Filing(channel="web", name=NAME, subject_id=self.city.subjects["Опалення"], text=text, phone=tell_to,
                         building_id=self.city.buildings["Бандери 10"], flat="41", tell_by=Way.SMS)  # fmt: skip
            taken = reception.receive(conn, its, external_id=f"file-{text}", source="a test", secret=SECRET,
                                      limits=Limits(100, 100, 100), now=self.now)  # fmt: skip
            assert taken.appeal is not None
            return appeals.get(conn, taken.appeal.id)

    def act(self, its: Appeal, action: Action, note: str = "", **more: object) -> Appeal:
        """The city does something with it, an hour later."""
        self.now += timedelta(hours=1)
        with self.db.write() as conn:
            return appeals.act(conn, its.id, action, now=self.now, note=note, **more)  # type: ignore[arg-type]

    def appeals(self) -> list[Appeal]:
        """All on record, oldest first."""
        with self.db.read() as conn:
            return [appeals.get(conn, line.id) for line in reversed(appeals.search(conn))]

    def address(self, its: Appeal) -> str:
        return f"/a/{tokens.together(SECRET, its.number)}"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CENTRE_SETTINGS", str(tmp_path / "none.toml"))
    return Settings(var=tmp_path)


@pytest.fixture
async def portal(db: Database, settings: Settings) -> AsyncIterator[Portal]:
    line = FakeLine()
    app = create_portal(settings, db, line, secret=SECRET, clock=lambda: made.now)
    with db.write() as conn:
        city = build_city(conn)
    async with app.router.lifespan_context(app), contextlib.AsyncExitStack() as clients:
        made = Portal(app, db, line, city, settings, clients)
        yield made
