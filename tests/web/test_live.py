"""What open pages are told while it happens: over real HTTP, each stream read as a browser reads it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

import web.live
from crm import people, schema
from crm.people import Role
from tests.web.conftest import CALLER, LINKEDID, Desk, Site, at_seat, snapshot, waiting

LIVE = "/events?view=live"
LIMIT = 30  # seconds
Told = dict[str, str]


@pytest.fixture(autouse=True)
def no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """What must happen at once must not pass for it by happening in a while."""
    monkeypatch.setattr(web.live, "HEARTBEAT", 1000.0)


class Stream:
    """One open stream; ``all``: everything that it has told, as it came."""

    def __init__(self, events: AsyncIterator[tuple[str, Told]]) -> None:
        self._events = events
        self.all: list[tuple[str, Told]] = []

    async def until(self, name: str, holds: Callable[[Told], bool]) -> Told:
        """The next event of that name of which this holds."""
        async with asyncio.timeout(LIMIT):
            async for event, data in self._events:
                self.all.append((event, data))
                if event == name and holds(data):
                    return data
        raise AssertionError(f"the stream ended without it: {self.all}")

    async def ended(self) -> None:
        """Returns when the server ends it."""
        async with asyncio.timeout(LIMIT):
            async for told in self._events:
                self.all.append(told)


@contextlib.asynccontextmanager
async def watching(desk: Desk, path: str = LIVE) -> AsyncIterator[Stream]:
    """A stream that has told what is so now."""
    events = desk.events(path)
    stream = Stream(events)
    try:
        await stream.until("call", lambda told: True)
        yield stream
    finally:
        await events.aclose()  # type: ignore[attr-defined]


def ringing(seat: str = "101", linkedid: str = LINKEDID, caller: str = CALLER) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat()
    return {"event": "ringing", "seat": seat, "linkedid": linkedid, "caller": caller, "at": at}


def plain(html: str) -> str:
    return re.sub(r"<[^>]*>", " ", html)


def digits(html: str) -> str:
    return re.sub(r"\D", "", plain(html))


async def sit(site: Site, login: str, seat: str) -> Desk:
    desk = await site.person(Role.OPERATOR, login)
    page = await desk.submit(await desk.open("/seat"), "/seat", seat=seat)
    assert page.status == 200
    return desk


async def test_the_first_thing_told_is_all_that_is_so(served: Site) -> None:
    desk = await served.person(Role.SUPERVISOR)
    await served.line.say(snapshot(waiting=[waiting()]))
    async with watching(desk) as stream:
        (name, told), *_ = stream.all
        assert (name, set(told)) == ("live", set(web.live.VIEWS["live"]))
        assert "45 67" in plain(told["waiting"])
        assert "45 67" in (await desk.open("/live")).text, "also without a script"


async def test_who_waits_is_told_when_he_comes_and_when_he_goes(served: Site) -> None:
    desk = await served.person(Role.ANALYST)
    async with watching(desk) as stream:
        since = (datetime.now(UTC) - timedelta(seconds=65)).isoformat()
        hidden = waiting("", linkedid="2.2", position=2, origin="landline")
        await served.line.say(snapshot(waiting=[waiting(since=since), hidden]))
        told = await stream.until("live", lambda told: "45 67" in plain(told.get("waiting", "")))
        assert since in told["waiting"], "the clock that the page lets run"
        assert "мобільний телефон" in told["waiting"]
        assert "Номер прихований" in told["waiting"]
        assert digits(told["counts"]).startswith("2")
        await served.line.say(snapshot())
        told = await stream.until("live", lambda told: "waiting" in told)
        assert "Ніхто не чекає" in told["waiting"]


async def test_a_number_is_never_told_whole_but_to_its_own_seat(served: Site) -> None:
    desk = await served.person(Role.SUPERVISOR)
    async with watching(desk) as stream:
        await served.line.say(snapshot(waiting=[waiting()], seats=[at_seat("free")]))
        await served.line.say(ringing())
        await served.line.say(snapshot(seats=[at_seat("talking")]))
        await stream.until("live", lambda told: "Розмова" in told.get("seats", ""))
    for name, told in stream.all:
        for html in told.values():
            assert CALLER[4:] not in re.sub(r"\D", "", html), name


async def test_seats_are_told_with_who_sits_there_and_only_what_changed_is_sent(served: Site) -> None:
    desk = await served.person(Role.SUPERVISOR)
    async with watching(desk) as stream:
        mine = served.staff["supervisor"]
        await served.line.say(snapshot(seats=[at_seat("paused", staff_id=mine, reason="lunch"), at_seat("out", "102")]))
        told = await stream.until("live", lambda told: "seats" in told)
        assert "Людина supervisor" in told["seats"]
        assert "обід" in told["seats"]
        assert ">102<" not in told["seats"], "nobody is there"
        assert not {"waiting", "trunks", "line"} & told.keys(), "nothing of it changed"


async def test_a_trunk_that_is_down_raises_the_alarm_until_it_works(served: Site) -> None:
    desk = await served.person(Role.SUPERVISOR)
    trunks = [{"name": "landline", "state": "ok", "calls": 1}, {"name": "mobile", "state": "down", "calls": 0}]
    async with watching(desk) as stream:
        await served.line.say(snapshot(trunks=trunks))
        told = await stream.until("live", lambda told: "line" in told)
        assert "Аварія" in told["line"]
        assert "Мобільний" in told["line"]
        assert "Міський" not in told["line"]
        assert "не працює" in told["trunks"]
        assert "Аварія" in (await desk.open("/live")).text, "also without a script"
        await served.line.say(snapshot())
        told = await stream.until("live", lambda told: "line" in told)
        assert not plain(told["line"]).strip()


async def test_a_lost_line_raises_the_alarm_and_recovers(served: Site) -> None:
    desk = await served.person(Role.SUPERVISOR)
    async with watching(desk) as stream:
        await served.line.say({"event": "lost"})
        told = await stream.until("live", lambda told: "line" in told)
        assert "Немає зв’язку з лінією" in told["line"]
        assert "Останні дані" in told["line"], "how old is what is shown"
        assert "Немає зв’язку з лінією" in (await desk.open("/live")).text
        await served.line.say(snapshot())
        told = await stream.until("live", lambda told: "line" in told)
        assert not plain(told["line"]).strip()
        await served.line.say(snapshot(line={"ami": False}))
        told = await stream.until("live", lambda told: "line" in told)
        assert "АТС не відповідає" in told["line"]


async def test_an_event_that_cannot_be_read_blinds_nobody(served: Site, caplog: pytest.LogCaptureFixture) -> None:
    desk = await served.person(Role.SUPERVISOR)
    async with watching(desk) as stream:
        for broken in ({}, {"at": 7}, {"at": "yesterday"}):
            await served.line.say({"event": "snapshot", **broken})
            await served.line.say({"event": "ringing", **broken})
        await served.line.say(snapshot(waiting=[waiting()]))
        await stream.until("live", lambda told: "45 67" in told.get("waiting", ""))
    assert "was not taken" in caplog.text


async def test_a_slow_browser_is_cut_off_and_holds_up_nobody(served: Site) -> None:
    """It asks for the live view and then reads nothing: neither memory nor the others pay for it."""
    desk = await served.person(Role.SUPERVISOR)
    host, port = served.base.removeprefix("http://").split(":")
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect((host, int(port)))
    with slow:
        session = desk.http.cookies["session"]
        slow.sendall(f"GET {LIVE} HTTP/1.1\r\nHost: x\r\nCookie: session={session}\r\n\r\n".encode())
        hub = served.app.state.parts.hub
        async with watching(desk) as stream:
            crowd = [waiting(linkedid=f"9.{i}", position=i) for i in range(150)]
            cut_off = 0
            for n in range(1, 20 * web.live.BACKLOG):
                crowd = [*crowd[1:], waiting(linkedid=f"9.{n}", position=n)]
                await served.line.say(snapshot(waiting=crowd, callbacks={"due": n, "calling": 0}))
                await stream.until("live", lambda told, n=n: f"<dd>{n}</dd>" in told.get("counts", ""))
                stream.all.clear()
                if n > 1 and hub.watching == 1:
                    cut_off = n
                    break
            assert cut_off > web.live.BACKLOG, "it may lag a little, and no more"
            slow.settimeout(LIMIT)
            await asyncio.to_thread(_read_to_the_end, slow)


def _read_to_the_end(browser: socket.socket) -> None:
    """What was on its way comes, then the end of the answer."""
    tail = b""
    while not tail.endswith(b"0\r\n\r\n"):
        more = browser.recv(1 << 20)
        assert more, "cut off in the middle of an answer"
        tail = (tail + more)[-16:]


async def test_a_seats_call_goes_to_that_seat_alone(served: Site) -> None:
    one, other = await sit(served, "first", "101"), await sit(served, "second", "102")
    await served.line.say(snapshot(seats=[at_seat("free"), at_seat("free", "102")]))
    async with watching(one, "/events") as here, watching(other, "/events") as there:
        await served.line.say(ringing())
        told = await here.until("call", lambda told: told["linkedid"] == LINKEDID)
        assert "+380 44 123 4567" in told["html"]
        assert (told["state"], told["card"]) == ("ringing", f"/calls/{LINKEDID}")
        await served.line.say(ringing("102", "5.5", ""))
        told = await there.until("call", lambda told: told["linkedid"] != "")
        assert told["linkedid"] == "5.5"
        assert "Номер прихований" in told["html"]
        await served.line.say(snapshot(seats=[at_seat("wrapup"), at_seat("ringing", "102", linkedid="5.5")]))
        told = await here.until("call", lambda told: told["linkedid"] == "")
        assert (told["html"], "Після розмови" in told["place"]) == ("", True)
    assert CALLER[-4:] not in "".join(str(told) for _, told in there.all)


async def test_the_call_of_a_callback_leads_to_the_form_of_its_answers(served: Site) -> None:
    desk = await sit(served, "first", "101")
    async with watching(desk, "/events") as stream:
        await served.line.say(snapshot(seats=[at_seat("talking", linkedid="cb-0123abcd")]))
        told = await stream.until("call", lambda told: told["linkedid"] != "")
        assert told["card"] == "/confirmations/attempts/cb-0123abcd"
        assert "Номер прихований" not in told["html"], "nothing is known of a number, which does not make it hidden"


async def test_the_stream_ends_with_the_session(served: Site) -> None:
    desk = await served.person(Role.OPERATOR)
    with served.db.write() as conn:
        conn.execute(update(schema.session).values(expires_at=datetime.now(UTC) + timedelta(seconds=2)))
    async with watching(desk) as stream:
        await stream.ended()
    assert (await desk.http.get("/events")).status_code == 403


async def test_the_stream_ends_when_its_person_signs_out_in_another_tab(served: Site) -> None:
    desk = await sit(served, "first", "101")
    async with watching(desk) as stream:
        await desk.submit(await desk.open("/account"), "/sign-out")
        await stream.ended()
    assert served.line.did("logout") == [{"do": "logout", "seat": "101"}], "no call rings at a seat that nobody sits at"


async def test_who_sits_down_takes_the_seats_calls_with_him(served: Site) -> None:
    before = await sit(served, "first", "101")
    async with watching(before, "/events") as stream:
        await sit(served, "second", "101")
        await stream.ended()
    await served.line.say(snapshot(seats=[at_seat("free")]))
    async with watching(before, LIVE) as stream:  # he comes back, and sits nowhere
        await served.line.say(ringing())
        await served.line.say(snapshot(seats=[at_seat("talking")]))
        await stream.until("live", lambda told: "Розмова" in told.get("seats", ""))
    assert {told["linkedid"] for name, told in stream.all if name == "call"} == {""}


async def test_a_closed_account_is_told_nothing_more(served: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.live, "HEARTBEAT", 0.1)
    desk = await served.person(Role.OPERATOR)
    async with watching(desk) as stream:
        with served.db.write() as conn:
            people.set_active(conn, served.staff["operator"], False)
        await stream.ended()


async def test_the_live_view_is_for_those_who_may_see_it(served: Site) -> None:
    executor, stranger = await served.person(Role.EXECUTOR), await served.stranger()
    assert (await executor.http.get(LIVE)).status_code == 403
    assert (await stranger.http.get("/events")).status_code == 403
    assert (await stranger.http.get(LIVE)).status_code == 403
