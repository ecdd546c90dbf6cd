"""The desk's telephone at the server: who is given one, whom its WebSocket lets in, and when that ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.server import serve

import web.sip_proxy
from centre.phones import free_port
from centre.settings import Settings
from crm.errors import BadInput
from crm.people import Role
from tests.web.conftest import Desk, Site, at_seat, snapshot
from web.sip_proxy import MOST

LIMIT = 30
GIVEN = {"user": "seat101-abc-b", "password": "only this once", "returning": False}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What is tried here does not depend on the database."""
    return sqlite_url


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CENTRE_SETTINGS", str(tmp_path / "none.toml"))
    return Settings(var=tmp_path, seat_count=4, require_totp=False,
                    asterisk_http_port=free_port(kind=socket.SOCK_STREAM))  # fmt: skip


@pytest.fixture
async def asterisk(settings: Settings) -> AsyncIterator[list[Any]]:
    """What stands where Asterisk's WebSocket is: it answers each message with the same; from where it was reached."""
    reached: list[Any] = []

    async def answer(connection: Any) -> None:
        reached.append((connection.remote_address[0], connection.request.path, connection.subprotocol))
        async for message in connection:
            await connection.send(message)

    async with serve(answer, "127.0.0.1", settings.asterisk_http_port, subprotocols=["sip"], max_size=None):  # type: ignore[list-item]
        yield reached


async def seated(site: Site, login: str = "operator", seat: str = "101", phone: str = "browser") -> Desk:
    site.line.reply = dict(GIVEN)
    if login not in site.staff:
        site.hire(Role.OPERATOR, login)
    desk = await site.stranger()
    await desk.sign_in(login)
    await desk.submit(await desk.open("/seat"), "/seat", seat=seat, phone=phone)
    return desk


@contextlib.asynccontextmanager
async def speaking(site: Site, desk: Desk, *, origin: str | None = "", **how: Any) -> AsyncIterator[Any]:
    """The desk's WebSocket, as its page opens it."""
    cookies = "; ".join(f"{name}={value}" for name, value in desk.http.cookies.items())
    async with websockets.connect(site.base.replace("http", "ws") + "/ws", **{
        "subprotocols": ["sip"], "origin": site.base if origin == "" else origin, "proxy": None,
        "additional_headers": {"Cookie": cookies}, "max_size": None} | how) as connection:  # fmt: skip
        yield connection


async def refuses(site: Site, desk: Desk, **how: Any) -> bool:
    try:
        async with speaking(site, desk, **how):
            return False
    except websockets.InvalidStatus as refusal:
        return refusal.response.status_code == 403


async def ends(connection: Any) -> None:
    async with asyncio.timeout(LIMIT):
        await connection.wait_closed()


async def test_a_telephone_for_who_sits_there(served: Site) -> None:
    served.hire(Role.OPERATOR)
    nobody = await served.stranger()
    await nobody.sign_in("operator")
    assert (await nobody.post("/desk/phone")).json()["id"] == "form.no_seat"
    page = await nobody.open("/desk")
    assert page.url.endswith("/seat"), "a seat first"
    desk = await seated(served)
    page = await desk.open("/desk")
    assert "місце 101" in page.text
    assert served.line.did("login") == [], "its telephone is not there yet"
    given = await desk.post("/desk/phone")
    assert given.json() == GIVEN | {"domain": "1551.invalid"}
    assert given.headers["cache-control"] == "no-store"
    assert served.line.did("phone")[-1] == {"do": "phone", "seat": "101", "staff_id": served.staff["operator"]}
    assert (await desk.post("/desk/ready")).json() == {}
    assert served.line.did("login")[-1]["phone"] == "browser"
    served.line.refusal = BadInput("seat.offline")
    refused = await desk.post("/desk/ready")
    assert (refused.status_code, refused.json()["id"]) == (422, "seat.offline")
    assert "не на зв’язку" in refused.json()["sentence"]
    served.line.refusal = None
    assert (await desk.http.post("/desk/phone", data={"csrf": "guessed"})).status_code == 403
    assert (await desk.http.get("/desk/phone")).status_code == 405
    by_desk = await seated(served, "other", "102", "desk")
    assert (await by_desk.post("/desk/phone")).status_code == 422
    await served.line.say(snapshot(seats=[at_seat("talking", staff_id=served.staff["operator"])]))
    page = await by_desk.submit(await by_desk.open("/seat"), "/seat/leave")
    page = await by_desk.submit(page, "/seat", seat="101", phone="browser")
    assert "зараз розмовляють" in page.text
    assert (await desk.post("/desk/phone")).status_code == 200, "he sits there still"


async def test_whom_the_socket_lets_in_and_when_it_ends(served: Site, asterisk: list[Any],
                                                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(web.sip_proxy, "LOOK_S", 1000.0)  # what must happen at once must not pass for it in a while
    stranger = await served.stranger()
    assert await refuses(served, stranger)
    desk = await seated(served)
    assert await refuses(served, desk, origin="http://elsewhere.test")
    assert await refuses(served, desk, origin=None)
    assert await refuses(served, desk, subprotocols=None)
    assert await refuses(served, await seated(served, "other", "102", "desk"))
    assert asterisk == []
    async with speaking(served, desk) as connection:
        await connection.send("REGISTER")
        assert await connection.recv() == "REGISTER"
        assert asterisk == [(served.settings.browsers_from, "/ws", "sip")]
        async with speaking(served, desk) as newer:
            await ends(connection)
            await newer.send("x" * (MOST - 1))
            assert len(await newer.recv()) == MOST - 1
            await newer.send("x" * (MOST + 1))
            await ends(newer)
    async with speaking(served, desk) as connection:
        await connection.send(b"\0")
        await ends(connection)
    async with speaking(served, desk) as connection:
        await desk.submit(await desk.open("/seat"), "/seat/leave")
        await ends(connection)
    assert await refuses(served, desk)
    await desk.submit(await desk.open("/seat"), "/seat", seat="103", phone="browser")
    async with speaking(served, desk) as connection:
        await desk.submit(await desk.open("/account"), "/sign-out")
        await ends(connection)
    desk = await seated(served)
    async with speaking(served, desk) as connection:
        await seated(served, "third")  # somebody takes the seat
        await ends(connection)


async def test_a_page_that_is_gone_is_missed_in_mid_call(served: Site, asterisk: list[Any],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(web.sip_proxy, "GRACE_S", 0.2)
    desk = await seated(served)
    lost = asyncio.Event()
    ask = served.line.request

    async def asked(do: str, **fields: object) -> dict[str, Any]:
        if do == "phone_lost":
            lost.set()
        return await ask(do, **fields)

    monkeypatch.setattr(served.line, "request", asked)
    await served.line.say(snapshot(seats=[at_seat("free")]))
    async with speaking(served, desk):
        pass
    await asyncio.sleep(0.5)  # nothing happens, and that has no event
    assert not lost.is_set(), "nobody was on the line"
    await served.line.say(snapshot(seats=[at_seat("talking")]))
    async with speaking(served, desk):
        pass
    async with speaking(served, desk) as connection:
        await connection.send("REGISTER")
        await connection.recv()
        await asyncio.sleep(0.5)
        assert not lost.is_set(), "the page has come back"
    async with asyncio.timeout(LIMIT):
        await lost.wait()
    assert served.line.did("phone_lost") == [{"do": "phone_lost", "seat": "101"}]


async def test_without_asterisk_the_socket_is_refused(served: Site) -> None:
    assert await refuses(served, await seated(served))
