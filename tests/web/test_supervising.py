"""A supervisor and other people's seats: moved, paused, put out, heard; each on record, and told to who sits there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from crm import calls, edits, schema
from crm.errors import BadInput
from crm.people import Role
from tests.web.conftest import LINKEDID, Desk, Site, at_seat, snapshot
from tests.web.test_live import no_heartbeat as no_heartbeat
from tests.web.test_live import watching
from tests.web.test_wall import plain

SEAT = "/live/seats/101"


async def seated(site: Site, *, state: str = "free", **more: Any) -> Desk:
    """An operator at 101, as the line and the seats' journal have it."""
    desk = await site.person(Role.OPERATOR)
    await desk.submit(await desk.open("/seat"), "/seat", seat="101")
    with site.db.write() as conn:
        calls.seat_event(conn, "101", datetime.now(UTC) - timedelta(minutes=1), "login", site.staff["operator"])
    await site.line.say(snapshot(seats=[at_seat(state, staff_id=site.staff["operator"], **more)]))
    site.line.asked.clear()
    return desk


def on_record(site: Site) -> list[edits.Edit]:
    with site.db.read() as conn:
        return edits.recent(conn, ("seat",), 10, key="101")


async def test_moved_paused_and_put_out(served: Site) -> None:
    operator = await seated(served)
    boss = await served.person(Role.SUPERVISOR)
    page = await boss.open(SEAT)
    async with watching(operator, "/events") as stream:
        page = await boss.submit(page, f"{SEAT}/move",
                                 **{"line-feedback": "on", "skill-en": "on", "why-moved": "черга"})  # fmt: skip
        assert "Місце переведено." in page.text
        told = await stream.until("told", lambda told: bool(told["html"]))
        assert "Вас переведено до інших черг. Людина supervisor" in plain(told["html"])
        await boss.submit(page, f"{SEAT}/pause", reason="training", **{"why-paused": "інструктаж"})
        told = await stream.until("told", lambda told: "паузу" in told["html"])
        assert "Причина: інструктаж." in plain(told["html"])
    assert served.line.did("move") == [{"do": "move", "seat": "101", "queues": ["city", "feedback"], "skills": ["en"]}]
    assert served.line.did("pause") == [{"do": "pause", "seat": "101", "reason": "training"}]
    await served.line.say(snapshot(seats=[at_seat("paused", staff_id=served.staff["operator"], reason="training")]))
    assert "інструктаж" in (await operator.open("/seat")).text, "without a script too"
    with served.db.write() as conn:  # he goes on by himself
        calls.seat_event(conn, "101", datetime.now(UTC), "unpause", served.staff["operator"])
    assert "інструктаж" not in (await operator.open("/seat")).text

    page = await boss.open(SEAT)
    page = await boss.submit(page, f"{SEAT}/out", **{"why-put_out": " "})
    assert "Вкажіть причину." in page.text
    assert served.line.did("logout") == []
    await boss.submit(page, f"{SEAT}/out", **{"why-put_out": "кінець зміни"})
    assert served.line.did("logout") == [{"do": "logout", "seat": "101"}]
    page = await operator.open("/seat")
    assert "Вас виведено з роботи" in page.text
    assert "кінець зміни" in page.text
    assert "Оберіть своє місце" in page.text, "he sits nowhere"

    made = [(edit.staff_id, (edit.after or {})["did"], (edit.after or {})["whose"]) for edit in on_record(served)]
    by, whose = served.staff["supervisor"], served.staff["operator"]
    assert made == [(by, did, whose) for did in ("put_out", "paused", "moved")]
    page = await boss.open(SEAT)
    for said in ("виведено з роботи", "поставлено на паузу", "навчання", "кінець зміни", "Людина supervisor"):
        assert said in page.text


async def test_what_the_line_refuses_is_not_on_record_and_nothing_typed_is_lost(site: Site) -> None:
    await seated(site)
    boss = await site.person(Role.SUPERVISOR)
    page = await boss.open(SEAT)
    nowhere = await boss.post(f"{SEAT}/move", **{"skill-en": "on"})
    assert "Залиште місцю хоча б одну чергу" in nowhere.text
    site.line.refusal = BadInput("seat.not_in")
    page = await boss.submit(page, f"{SEAT}/pause", reason="lunch", **{"why-paused": "обід о першій"})
    assert (page.status, "обід о першій" in page.html) == (422, True)
    assert on_record(site) == []
    assert (await boss.open("/live/seats/999")).status == 404


async def test_hearing_needs_a_reason_a_seat_and_the_right(site: Site) -> None:
    await seated(site, state="talking")
    boss = await site.person(Role.SUPERVISOR)
    wish = {"ear": "whisper", "why": "скарга", "keys": "on"}
    assert "спершу займіть місце" in (await boss.post(f"{SEAT}/listen", **wish)).text
    await boss.submit(await boss.open("/seat"), "/seat", seat="102")
    page = await boss.submit(await boss.open(SEAT), f"{SEAT}/listen", ear="whisper", why="")
    assert "Вкажіть причину." in page.text
    assert "Оберіть, як" in (await boss.post(f"{SEAT}/listen", ear="shout", why="скарга")).text
    assert site.line.did("listen") == []
    page = await boss.submit(await boss.open(SEAT), f"{SEAT}/listen", **wish)
    assert "Ваш телефон дзвонить." in page.text
    assert site.line.did("listen") == [{"do": "listen", "seat": "101", "own": "102", "ear": "whisper", "keys": True,
                                        "staff_id": site.staff["supervisor"], "why": "скарга"}]  # fmt: skip
    administrator = await site.person(Role.ADMINISTRATOR)
    assert f"{SEAT}/listen" not in (await administrator.open(SEAT)).html
    assert (await administrator.post(f"{SEAT}/listen", **wish)).status_code == 403


async def test_who_is_heard_sees_it(served: Site) -> None:
    operator = await seated(served)
    boss = served.hire(Role.SUPERVISOR)
    heard = snapshot(seats=[at_seat("talking", staff_id=served.staff["operator"], heard={"by": boss, "ear": "listen"})])
    async with watching(operator, "/events") as stream:
        await served.line.say(heard)
        told = await stream.until("call", lambda told: bool(told["heard"]))
        assert "Вашу розмову слухає Людина supervisor." in told["heard"]
        assert "Вашу розмову слухає" in (await operator.open("/account")).text
        await served.line.say(snapshot(seats=[at_seat("talking", staff_id=served.staff["operator"])]))
        await stream.until("call", lambda told: told["linkedid"] == LINKEDID and not told["heard"])
    served.app.state.parts.hub._listening_is_shown = False
    await served.line.say(heard)
    assert "Вашу розмову слухає" not in (await operator.open("/account")).text


async def test_the_live_view_leads_only_a_supervisor_to_the_seats(served: Site) -> None:
    operator, boss = await seated(served), await served.person(Role.SUPERVISOR)
    assert SEAT in (await boss.open("/live")).html
    assert SEAT not in (await operator.open("/live")).html
    assert (await operator.http.get("/events?view=led")).status_code == 403
    async with watching(boss, "/events?view=led") as stream:
        await served.line.say(snapshot(seats=[at_seat("hold")]))
        await stream.until("live", lambda told: SEAT in told.get("seats-led", ""))


async def test_an_official_is_given_callers_by_consent_and_takes_control_by_one_press(site: Site) -> None:
    official = await site.person(Role.OFFICIAL)
    await official.submit(await official.open("/seat"), "/seat", seat="101")
    assert site.line.did("login")[0]["queues"] == ["official"]
    card = f"/calls/{site.calling(staff='official')}"
    await official.submit(await official.open(card), f"{card}/appeals", name="Олена", address="Хрещатик 22",
                          subject="Опалення", text="Холодно")  # fmt: skip
    page = await official.open(card)
    page = await official.submit(page, "/appeals/26000001")
    assert "на особистому контролі" in page.text
    assert page.url.startswith(site.base + card), "and he is still at the card"
    with site.db.read() as conn:
        assert conn.scalar(select(schema.appeal.c.official_id)) == site.staff["official"]
