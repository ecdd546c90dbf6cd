"""The wallboard: the same for everybody who looks, rendered once; and the supervisor's switches on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from call_queue import live, order
from crm import surges
from crm.people import Role
from crm.surges import Kind
from crm.today import Today
from tests.call_queue.conftest import Exchange
from tests.web.conftest import FakeLine, Site, at_seat, snapshot, waiting
from tests.web.test_live import no_heartbeat as no_heartbeat
from tests.web.test_live import watching
from web.live import Hub, Proposal, Viewer, parse

WALL = "/events?view=wall"
TODAY: dict[str, Any] = {"offered": 1204, "abandoned": 60, "within_s": 20, "service_level": 0.815, "calibration": 0.873,
         "error_s": 41.0, "promised": 37, "kept": 30, "late": 2}  # fmt: skip
NONE_YET = TODAY | {"offered": 0, "abandoned": 0, "service_level": None, "calibration": None, "error_s": None,
                    "promised": 0, "kept": 0, "late": 0}  # fmt: skip


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).replace("\N{NO-BREAK SPACE}", " ")


def switched(*kinds: str, by: str = "Людина supervisor", reason: str = "", proposal: Any = None) -> dict[str, Any]:
    since = (datetime.now(UTC) - timedelta(minutes=3)).isoformat()
    return {"on": {kind: {"since": since, "by": by, "reason": reason} for kind in kinds}, "proposal": proposal}


def on_record(site: Site) -> set[Kind]:
    with site.db.read() as conn:
        return set(surges.on(conn))


async def test_the_board_without_a_script(site: Site) -> None:
    desk = await site.person(Role.ANALYST)
    await site.line.say(snapshot(
        waiting=[waiting(), waiting(linkedid="2.2", position=2)], today=TODAY,
        promised={"waiting": 4, "calling": 1, "next": 3},
        seats=[at_seat("free"), at_seat("talking", "102"), at_seat("talking", "103"), at_seat("out", "104")],
        ahead=[{"at": "2026-03-05T08:30:00+00:00", "calls": 12, "seats": 5}], serving=3,
        surge=switched("alert", reason="сирена", proposal={"on": True, "signs": ["arrivals", "longest"]})))  # fmt: skip
    page = await desk.open("/wall")
    text = plain(page.html)
    for said in ("Чекають на лінії 2", "Чекають на наш дзвінок 4 перший із них — 3-й у черзі", "81,5 %",
                 "стали в чергу: 1 204", "Не дочекалися 60 5,0 %",
                 "виконано 30 обіцяно: 37 · із запізненням: 2", "87,3 %", "похибка 0:41",
                 "Зараз на роботі: 3 10:30 5 місць 12 дзвінків", "Вільне 1", "Розмова 2", "Повітряна тривога",
                 "Людина supervisor", "сирена",
                 "дзвінків більше, ніж можуть прийняти місця, хтось чекає надто довго"):  # fmt: skip
        assert said in text, said
    assert "Не на зміні" not in text
    assert "0441234567"[-4:] not in text, "nobody's number is on a wall"
    assert "Оголосити тривогу" not in text, "an analyst switches nothing"


async def test_it_is_rendered_as_often_for_two_hundred_viewers_as_for_one() -> None:
    """And not at all for one more who comes: what is rendered is counted, for a time would tell of this machine."""
    rendered: list[str] = []

    def render(template: str, language: str, values: Any) -> str:
        rendered.append(template)
        return f"{template} {values.get('snapshot')}"

    line = FakeLine()
    hub = Hub(line, render, dict)
    running = asyncio.create_task(hub.run())

    async def watch() -> Any:
        viewer = Viewer("uk", 1, None, "wall", lambda: None)
        stream = hub.stream(viewer, datetime.now(UTC) + timedelta(hours=1))
        while "event: call" not in (await anext(stream)).decode():  # all that is so now
            pass
        return stream

    async def costs() -> list[str]:
        rendered.clear()
        await line.say(snapshot(today=TODAY))
        return [template for template in rendered if "wall" in template]

    streams = [await watch()]
    one = await costs()
    rendered.clear()
    streams += [await watch() for _ in range(199)]
    assert not [template for template in rendered if "wall" in template]
    assert hub.watching == 200
    assert await costs() == one
    for stream in streams:
        assert "event: live" in (await anext(stream)).decode(), "and everybody is told"
        await stream.aclose()
    running.cancel()


def test_what_the_line_tells_is_what_the_board_reads() -> None:
    """The line's own message, over the wire: three wait, one of them and one more are owed a call."""
    exchange = Exchange()
    exchange.log_in("101")
    for uid in ("17.1", "17.2", "17.3"):
        exchange.arrive(uid)
        exchange.join(uid)
    now = datetime.now(UTC)
    line = [order.Waiting("17.1", now), order.Waiting("promise:1", now, live=False, calling=True),
            order.Waiting("17.2", now), order.Waiting("promise:2", now, live=False)]  # fmt: skip
    message = live.snapshot(exchange.tracker, {"101": 7}, at=now, ami=True, due=2, calling=1, line=line,
                            surge=switched("alert", reason="сирена", proposal={"on": False, "signs": []}), today=TODAY)
    read = parse(json.loads(json.dumps(message)))
    assert (len(read.waiting), read.promised, read.promised_next) == (3, 2, 4)
    assert (read.callbacks_due, read.callbacks_calling, read.today) == (2, 1, Today(**TODAY))
    assert (read.switches["alert"].reason, read.proposal) == ("сирена", Proposal(False, ()))
    quiet = parse(json.loads(json.dumps(
        live.snapshot(exchange.tracker, {}, at=now, ami=False, due=0, calling=0))))  # fmt: skip
    assert (quiet.promised, quiet.promised_next, quiet.switches) == (0, None, {})
    assert (quiet.proposal, quiet.today) == (None, None)


async def test_before_anything_is_known(site: Site) -> None:
    desk = await site.person(Role.SUPERVISOR)
    await site.line.say(snapshot(today=NONE_YET))
    assert "Відповіли за 20 с —" in plain((await desk.open("/wall")).html)
    await site.line.say({"event": "lost"})
    assert "Немає зв’язку з лінією" in (await desk.open("/wall")).html


async def test_it_is_rendered_once_for_all_and_only_what_changed_is_sent(served: Site,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """However many look: one rendering of each part, the same bytes, nothing sent when nothing changed."""
    desk = await served.person(Role.SUPERVISOR)
    hub = served.app.state.parts.hub
    rendered, render = [], hub._render

    def counting(template: str, language: str, values: Mapping[str, object]) -> str:
        rendered.append(template)
        return str(render(template, language, values))

    monkeypatch.setattr(hub, "_render", counting)
    async with contextlib.AsyncExitStack() as streams:
        viewers = [await streams.enter_async_context(watching(desk, WALL)) for _ in range(20)]
        first = viewers[0].all[0][1]
        assert set(first) == {"line", "wall-state", "wall-numbers", "wall-seats", "wall-ahead"}
        rendered.clear()
        await served.line.say(snapshot(today=TODAY))
        told = [await viewer.until("live", lambda told: "wall-numbers" in told) for viewer in viewers]
        assert all(set(one) == {"wall-numbers"} for one in told)
        assert len({one["wall-numbers"] for one in told}) == 1
        assert sorted(rendered) == sorted(f"live/{part}.html" for part in first)
        await served.line.say(snapshot(today=TODAY))
        await served.line.say(snapshot(today=TODAY, surge=switched("surge")))
        told = [await viewer.until("live", lambda told: True) for viewer in viewers]
        assert all(set(one) == {"wall-state"} for one in told), "the snapshot before was no news"


async def test_an_unknown_view_is_none(served: Site) -> None:
    desk = await served.person(Role.SUPERVISOR)
    assert (await desk.http.get("/events?view=other")).status_code == 403


@pytest.mark.parametrize("kind", Kind)
async def test_a_switch_is_on_record_and_the_line_is_told(site: Site, kind: Kind) -> None:
    desk = await site.person(Role.SUPERVISOR)
    page = await desk.submit(await desk.open("/wall"), f"/wall/{kind}", to="on", reason="Аварія на Подолі")
    assert "Увімкнено." in page.text
    assert on_record(site) == {kind}
    assert site.line.did("changed")[-1] == {"do": "changed", "what": "surge"}
    past = plain((await desk.open("/wall/history")).html)
    for said in ("Людина supervisor", "Аварія на Подолі", "триває"):
        assert said in past
    page = await desk.submit(await desk.open("/wall"), f"/wall/{kind}", to="off")
    assert "Вимкнено." in page.text
    assert on_record(site) == set()
    assert "триває" not in (await desk.open("/wall/history")).text
    assert len(site.line.did("changed")) == 2


async def test_of_two_who_switch_at_once_the_second_is_told(site: Site) -> None:
    desk = await site.person(Role.SUPERVISOR)
    await desk.post("/wall/surge", to="on", reason="перша")
    answer = await desk.post("/wall/surge", to="on", reason="друга")
    assert answer.status_code == 409
    assert "вже ввімкнув" in answer.text
    assert "друга" in answer.text, "what he typed is not lost"
    with site.db.read() as conn:
        assert surges.on(conn)[Kind.SURGE].reason == "перша"


@pytest.mark.parametrize(("path", "to"), [("/wall/flood", "on"), ("/wall/surge", ""), ("/wall/surge", "maybe")])
async def test_no_other_switch(site: Site, path: str, to: str) -> None:
    desk = await site.person(Role.SUPERVISOR)
    answer = await desk.post(path, to=to)
    assert answer.status_code == 422
    assert "Такого перемикача немає" in answer.text
    assert on_record(site) == set()
    assert site.line.did("changed") == []


async def test_a_line_that_is_away_finds_out_later(site: Site, refused: Any) -> None:
    desk = await site.person(Role.SUPERVISOR)
    site.line.refusal = refused("line.unreachable")
    assert (await desk.post("/wall/alert", to="on")).status_code == 303
    assert on_record(site) == {Kind.ALERT}
