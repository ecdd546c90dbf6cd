"""The address that Facebook calls: verified, signed, bounded; kept before it is acknowledged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event, func, select

from centre import doctor
from centre.outside.facebook import Facebook
from centre.settings import Settings
from crm import schema
from crm.messages import State
from crm.store import Database
from intake.facebook.incoming import LARGEST_BODY
from tests.crm.conftest import found_city
from web.portal.app import create_portal

PSID = "24000000000000001"


class NoLine:
    """The line is nothing to this address."""

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        await asyncio.Event().wait()
        yield {}

    async def request(self, do: str, **fields: object) -> dict[str, Any]:
        return {}


@dataclass
class Portal:
    db: Database
    fake: Facebook
    http: httpx.AsyncClient

    async def call(self, *events: dict[str, Any], **changed: str | bytes) -> httpx.Response:
        body = json.dumps({"object": "page", "entry": [{"id": self.fake.page, "messaging": [each]} for each in events]})
        headers = self.fake.headers(body.encode())
        return await self.http.post("/facebook", content=body.encode(), headers=[*({**headers, **changed}).items()])  # type: ignore[arg-type]

    def count(self, state: State) -> int:
        with self.db.read() as conn:
            its = select(func.count()).select_from(schema.message).where(schema.message.c.state == state.value)
            return int(conn.execute(its).scalar_one())


@pytest.fixture(scope="module")
def fake() -> Iterator[Facebook]:
    its = Facebook()
    its.start()
    yield its
    its.stop()


def settings_of(fake: Facebook, var: Path) -> Settings:
    return Settings.model_validate({
        "var": var, "facebook_page": fake.page, "facebook_token": fake.token, "facebook_secret": fake.secret,
        "facebook_verify": fake.verify, "portal_address": "https://1551.test"})  # fmt: skip


@pytest.fixture
async def portal(db: Database, fake: Facebook, tmp_path: Path) -> AsyncIterator[Portal]:
    with db.write() as conn:
        found_city(conn)
    app = create_portal(settings_of(fake, tmp_path), db, NoLine(), secret="s")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://1551.test") as http:
        yield Portal(db, fake, http)


async def test_the_address_is_verified_by_our_word(portal: Portal) -> None:
    asked = {"hub.mode": "subscribe", "hub.verify_token": portal.fake.verify, "hub.challenge": "1158201444"}
    answer = await portal.http.get("/facebook", params=asked)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")
    for wrong in ({"hub.verify_token": "other"}, {"hub.verify_token": ""}, {"hub.mode": "unsubscribe"}):
        assert (await portal.http.get("/facebook", params={**asked, **wrong})).status_code == 403
    assert (await portal.http.get("/facebook")).status_code == 403


async def test_only_what_is_signed_by_the_app_is_taken(portal: Portal) -> None:
    its = portal.fake.write(PSID, "Немає опалення вдома")
    for wrong in (b"", b"sha256=", b"sha1=" + b"0" * 40, b"sha256=" + b"0" * 64, "sha256=ї".encode()):
        answer = await portal.call(its, **{"X-Hub-Signature-256": wrong})
        assert answer.status_code == 403
    assert portal.count(State.PART) == 0
    assert (await portal.call(its)).status_code == 200
    assert portal.count(State.PART) == portal.count(State.GATHERING) == 1


async def test_many_in_one_call_and_the_same_again_at_once(portal: Portal) -> None:
    its = [portal.fake.write(PSID, "Немає опалення вдома"), portal.fake.write("24000000000000002", "Яма на дорозі"),
           portal.fake.write(PSID, "Оператор")]  # fmt: skip
    answers = await asyncio.gather(*(portal.call(*its) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert (portal.count(State.PART), portal.count(State.NEW), portal.count(State.GATHERING)) == (3, 1, 1)


async def test_what_is_no_message_is_acknowledged_and_what_is_no_json_refused(portal: Portal) -> None:
    for body, status in ((b"{}", 200), (b"[]", 200), (b'{"object": "page", "entry": 7}', 200), (b"<xml>", 400),
                         (b"[" * 100_000, 400), (b"\xff", 400), (b" " * (LARGEST_BODY + 1), 413)):  # fmt: skip
        answer = await portal.http.post("/facebook", content=body, headers=portal.fake.headers(body))
        assert answer.status_code == status, body[:20]
    assert portal.count(State.PART) == 0


async def test_what_cannot_be_kept_now_is_not_acknowledged_and_comes_again(portal: Portal) -> None:
    its = [portal.fake.write(PSID, "Немає опалення вдома"), portal.fake.write("24000000000000002", "Яма на дорозі")]

    def full(conn: Any, cursor: Any, statement: str, given: Any, *_: object) -> None:
        if "INSERT INTO message" in statement and "24000000000000002" in str(given):
            raise OSError("the disk is full")

    event.listen(portal.db._writing, "before_cursor_execute", full)
    try:
        assert (await portal.call(*its)).status_code == 503
    finally:
        event.remove(portal.db._writing, "before_cursor_execute", full)
    assert portal.count(State.GATHERING) == 1, "the other one is there"
    assert (await portal.call(*its)).status_code == 200
    assert portal.count(State.GATHERING) == 2


def test_the_doctor_says_whether_it_is_on_and_the_token_is_taken(fake: Facebook, tmp_path: Path) -> None:
    def says(**changed: str) -> set[str]:
        its = settings_of(fake, tmp_path).model_copy(update={"facebook_api": fake.api, **changed})
        return {remark.id for remark in doctor.facebook(its)}

    nobody = {"portal_address": "http://127.0.0.1:1"}
    assert says(**nobody) == {"facebook.unreachable", "facebook.open"}
    assert says(**nobody, facebook_page="7") == {"facebook.unreachable", "facebook.open", "facebook.refused"}
    assert says(facebook_page="") == {"facebook.off"}


async def test_with_no_page_there_is_no_such_address(db: Database, tmp_path: Path) -> None:
    app = create_portal(Settings(var=tmp_path), db, NoLine(), secret="s")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://1551.test") as http:
        assert (await http.get("/facebook")).status_code == 404
        assert (await http.post("/facebook", content=b"{}")).status_code == 404
