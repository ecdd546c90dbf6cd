"""A seat's browser registers with the password that its page has just asked for, and with no other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect

from crm.errors import CentreError


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@asynccontextmanager
async def registers(exchange: Any, user: str, password: str) -> AsyncIterator[bool]:
    """Whether it could, as JsSIP would over the WebSocket; until the block ends."""
    address = f"ws://127.0.0.1:{exchange.settings.asterisk_http_port}/ws"
    async with connect(address, subprotocols=["sip"], local_addr=(exchange.settings.browsers_from, 0)) as socket:  # type: ignore[list-item]
        async def ask(branch: str, *headers: str) -> str:
            name = f"<sip:{user}@1551>"
            await socket.send("\r\n".join((
                "REGISTER sip:1551 SIP/2.0", f"Via: SIP/2.0/WS here.invalid;branch=z9hG4bK{branch}",
                f"From: {name};tag=us", f"To: {name}", f"Call-ID: {md5(password)}", f"CSeq: {branch} REGISTER",
                f"Contact: <sip:{user}@here.invalid;transport=ws>", "Max-Forwards: 70", *headers, "Content-Length: 0",
                "", "")))  # fmt: skip
            return str(await socket.recv())

        challenge = dict(re.findall(r'(realm|nonce|opaque)="([^"]*)"', await ask("1")))
        key = ":".join((md5(f"{user}:{challenge['realm']}:{password}"), challenge["nonce"], "00000001", "us", "auth",
                        md5("REGISTER:sip:1551")))  # fmt: skip
        answer = await ask("2", f'Authorization: Digest username="{user}", uri="sip:1551", cnonce="us", qop=auth, '
                           f'nc=00000001, algorithm=MD5, response="{md5(key)}", '
                           + ", ".join(f'{name}="{value}"' for name, value in challenge.items()))  # fmt: skip
        yield answer.startswith("SIP/2.0 200 ")


async def lets_in(exchange: Any, given: dict[str, Any]) -> bool:
    async with registers(exchange, given["user"], given["password"]) as registered:
        return registered


async def test_browser_phone(exchange: Any, centre: Any) -> None:
    first = await centre.bus.request("phone", seat="101", staff_id=1)
    assert first["user"] == exchange.secrets.seats["101"].browser_user
    assert not first["returning"]
    assert await lets_in(exchange, first)
    second = await centre.bus.request("phone", seat="101", staff_id=1)
    assert not await lets_in(exchange, first)
    assert await lets_in(exchange, second)
    await centre.bus.request("logout", seat="101")
    assert not await lets_in(exchange, second)
    with pytest.raises(CentreError, match=r"seat\.unknown"):
        await centre.bus.request("phone", seat="999", staff_id=1)
    for password in (first["password"], second["password"]):
        assert password not in centre.line_log()
        assert password not in (exchange.settings.asterisk / "log" / "messages").read_text()


async def test_the_member_is_the_telephone_that_was_said(exchange: Any, centre: Any) -> None:
    given = await centre.bus.request("phone", seat="101", staff_id=1)
    browser, desk = exchange.secrets.seats["101"].browser_interface, exchange.interface()

    def members() -> set[str]:
        shown = "".join(exchange.asterisk.rx(f"queue show {queue}") for queue in ("city", "seat-101", "city-en"))
        return {interface for interface in (browser, desk) if f"({interface})" in shown}

    async with registers(exchange, given["user"], given["password"]), exchange.seat() as seat:
        await centre.log_in(phone="browser")
        await exchange.until(lambda: members() == {browser})
        await centre.log_in(phone="desk")
        await exchange.until(lambda: members() == {desk})
        await centre.log_in(phone="browser", skills=("en",))
        async with seat.dials("*10") as call:
            await call.ended()
        await exchange.until(lambda: members() == {desk})
        await centre.seat_is("free")
