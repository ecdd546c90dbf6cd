"""Whether the centre works, and how much it does: told to anybody, and of nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from centre.settings import Settings
from crm.people import Role
from crm.store import Database
from tests.web.conftest import CALLER, LINKEDID, FakeLine, Site, at_seat, snapshot, waiting
from web import create_app

WELL = {"status": "ok", "database": True, "line": True, "asterisk": True}


@pytest.fixture
def broken_database(site: Site) -> Iterator[None]:
    """The appeals cannot be read."""
    with site.db.write() as conn:
        conn.execute(text("ALTER TABLE appeal RENAME TO appeal_away"))
    yield
    with site.db.write() as conn:
        conn.execute(text("ALTER TABLE appeal_away RENAME TO appeal"))


async def measured(site: Site) -> dict[str, Metric]:
    answer = await (await site.stranger()).http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(found: dict[str, Metric], name: str, **labels: str) -> float:
    (one,) = [sample.value for sample in found[name].samples if sample.labels == labels]
    return one


async def test_all_is_well(site: Site) -> None:
    answer = await (await site.stranger()).http.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, WELL)


async def test_the_part_that_fails_is_named(site: Site) -> None:
    stranger = await site.stranger()
    await site.line.say(snapshot(line={"ami": False}))
    answer = await stranger.http.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, WELL | {"status": "failing", "asterisk": False})
    await site.line.say({"event": "lost"})
    answer = await stranger.http.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, WELL | {"status": "failing", "line": False, "asterisk": False})
    await site.line.say(snapshot())
    assert (await stranger.http.get("/healthz")).status_code == 200


@pytest.mark.parametrize("url", ["sqlite:///{}/nowhere/1551.db", "postgresql://postgres@/t?host={}/nowhere"])
async def test_an_unreachable_database_is_named(settings: Settings, tmp_path: Path, url: str) -> None:
    db, line = Database(url.format(tmp_path)), FakeLine()
    app = create_app(settings, db, line, secret="a test's secret")
    async with app.router.lifespan_context(app), httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://1551.test") as stranger:  # fmt: skip
        await line.say(snapshot())
        answer = await stranger.get("/healthz")
        assert (answer.status_code, answer.json()) == (503, WELL | {"status": "failing", "database": False})
        assert (await stranger.get("/metrics")).status_code == 200
        page = await stranger.get("/live", headers={"Cookie": "session=x"})
        assert (page.status_code, "База даних зараз недоступна" in page.text) == (503, True)
    db.close()


async def test_the_live_figures_are_those_of_the_line(site: Site) -> None:
    seats = [at_seat("talking"), at_seat("hold", "102", linkedid="7.7"), at_seat("free", "103"), at_seat("free", "104")]
    trunks = [{"name": "landline", "state": "ok", "calls": 1}, {"name": "mobile", "state": "down", "calls": 0}]
    await site.line.say(snapshot(waiting=[waiting(), waiting(linkedid="8.8")], seats=seats, trunks=trunks,
                                 callbacks={"due": 5, "calling": 2}))  # fmt: skip
    await site.line.say({"event": "answered", "seat": "101", "linkedid": LINKEDID, "at": datetime.now(UTC).isoformat()})
    for cause in ("completed", "completed", "abandoned"):
        now = datetime.now(UTC).isoformat()
        await site.line.say({"event": "ended", "linkedid": LINKEDID, "cause": cause, "at": now})
    found = await measured(site)
    assert value(found, "centre_line_reachable") == 1
    assert value(found, "centre_asterisk_connected") == 1
    assert value(found, "centre_calls_waiting") == 2
    assert value(found, "centre_calls_talking") == 2
    assert value(found, "centre_seats", state="free") == 2
    assert value(found, "centre_trunk_up", trunk="landline") == 1
    assert value(found, "centre_trunk_up", trunk="mobile") == 0
    assert value(found, "centre_callbacks_due") == 5
    assert value(found, "centre_callbacks_calling") == 2
    assert value(found, "centre_calls_answered") == 1
    assert value(found, "centre_calls_ended", cause="completed") == 2
    assert value(found, "centre_calls_ended", cause="abandoned") == 1
    assert 0 <= value(found, "centre_event_lag_seconds") < 30
    await site.line.say({"event": "lost"})
    found = await measured(site)
    assert value(found, "centre_line_reachable") == value(found, "centre_asterisk_connected") == 0


async def test_appeals_are_counted_by_state(site: Site) -> None:
    for executed in (True, False, False):
        site.appeal(executed=executed)
    found = await measured(site)
    assert value(found, "centre_appeals", state="assigned") == 2
    assert value(found, "centre_appeals", state="awaiting") == 1


async def test_the_rest_is_measured_when_the_database_is_away(site: Site, broken_database: None) -> None:
    found = await measured(site)
    assert value(found, "centre_line_reachable") == 1
    assert "centre_appeals" not in found


async def test_nothing_in_them_is_anybodys(site: Site) -> None:
    """Neither a number nor a name nor a word of an appeal, with a centre full of all three."""
    desk = await site.person(Role.OPERATOR)
    site.appeal(text="Цілком таємно")
    site.calling()
    await desk.open(f"/calls/{LINKEDID}")
    await site.line.say(snapshot(waiting=[waiting()], seats=[at_seat("talking", staff_id=site.staff["operator"])]))
    stranger = await site.stranger()
    for path in ("/metrics", "/healthz"):
        told = (await stranger.http.get(path)).text
        assert told.isascii(), path
        for secret in (CALLER, CALLER[4:], LINKEDID, "operator", "Олена"):
            assert secret not in told, (path, secret)
        assert not re.search(r"\d{7,}", re.sub(r"_created .*|\d+\.\d+(e[+-]?\d+)?", "", told)), path
