"""The staffing page: what is needed and what if, the plan by ranges, what really was, the file; who may do what."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from centre.settings import Settings
from crm import calls, erlang, staffing
from crm.calls import EndCause
from crm.clock import KYIV
from crm.people import Role
from crm.schema import edit_log, seat_event, shift
from crm.store import Database
from tests.web.conftest import Desk, FakeLine, Site, build_city
from web import create_app

NOW = datetime(2026, 3, 18, 13, 10, tzinfo=UTC)  # a Wednesday, 15:10 in Kyiv
TODAY = date(2026, 3, 18)


@pytest.fixture
async def site(db: Database, settings: Settings) -> AsyncIterator[Site]:
    """The pages at NOW, for what is asked is of days and half-hours."""
    app = create_app(settings, db, FakeLine(), secret="a test's secret", clock=lambda: NOW)
    with db.write() as conn:
        city = build_city(conn)
    async with app.router.lifespan_context(app), contextlib.AsyncExitStack() as desks:
        yield Site(app, db, FakeLine(), city, settings, desks)


def fill(site: Site, weeks: int = 6) -> None:
    """Every Wednesday at ten 60 calls of 230 seconds, at half past ten 30; every tenth gives up after a minute."""
    with site.db.write() as conn:
        for week in range(weeks + 1):
            day = datetime(2026, 3, 18, 10, tzinfo=KYIV) - timedelta(weeks=week)
            for n in range(90):
                at = (day + timedelta(seconds=30 * n)).astimezone(UTC)
                linkedid = f"{week}.{n}"
                calls.arrived(conn, linkedid, at=at, origin="mobile")
                calls.queued(conn, linkedid, at, "city", 1)
                if n % 10:
                    calls.answered(conn, linkedid, "101", at + timedelta(seconds=10), None)
                calls.ended(conn, linkedid, at + timedelta(seconds=240), EndCause.COMPLETED if n % 10 else
                            EndCause.ABANDONED, wait_s=10.0 if n % 10 else 60.0, talk_s=230.0 if n % 10 else None)
        conn.execute(insert(seat_event), [
            {"seat": f"10{n}", "at": datetime(2026, 3, 18, 10, tzinfo=KYIV), "kind": "login"} for n in range(5)])


async def file(desk: Desk, query: str = "") -> dict[str, list[str]]:
    """The table as CSV, by its first column."""
    answer = await desk.http.get(f"/staffing?file=csv{query}")
    assert answer.headers["content-disposition"] == 'attachment; filename="1551-staffing-2026-03-18.csv"'
    text = answer.content.decode("utf-8-sig")
    return {row[0]: row[1:] for row in csv.reader(io.StringIO(text))}


async def test_the_forecast_and_what_was(site: Site) -> None:
    fill(site)
    desk = await site.person(Role.ANALYST)
    page = await desk.open("/staffing")
    assert page.status == 200
    assert "Прогноз спирається на 6 таких самих днів." in page.html
    assert "Найдавнішому 6 тижнів" in page.html
    assert "готовий чекати 2:30" in page.html
    assert "помилялися на 0,0 % дзвінків" in page.html, "each Wednesday was as the last"
    found = await file(desk)
    ten = found["10:00"]
    assert ten[0] == "60"
    # 60 calls of 240 s in half an hour are 8 erlangs; whoever waits has 150 s of patience.
    needed = erlang.seats_needed(60 / 1800, 240.0, 150.0, erlang.Target())
    assert int(ten[1]) == needed == 10
    assert int(ten[2]) == 12, "nine of ten on the list are there"
    assert ten[3:7] == ["", "", "", ""], "nothing is planned"
    assert ten[7:] == ["60", "230.0", "5.0", "0.9"]
    assert found["03:00"][:3] == ["0", "0", "0"]
    assert found["16:00"][9] == "", "of what has not come yet there is nothing"


async def test_what_if_is_in_the_address(site: Site) -> None:
    fill(site)
    desk = await site.person(Role.ANALYST)
    twice = await file(desk, "&load=200&absent=0")
    assert twice["10:00"][0] == "120"
    assert int(twice["10:00"][1]) == int(twice["10:00"][2]) > 16
    few = await file(desk, "&seats=5&absent=0")
    assert few["10:00"][3] == "5"
    expected = erlang.Leaving(60 / 1800, 240.0, 5, 150.0)
    assert float(few["10:00"][5]) == pytest.approx(expected.within(20), abs=1e-4)
    assert float(few["10:00"][6]) == pytest.approx(expected.occupancy, abs=1e-4)
    assert float(few["10:30"][5]) > float(few["10:00"][5])
    page = await desk.open("/staffing?load=200&absent=0&day=2026-03-25")
    form = next(form for form in page.forms if form.path == "/staffing")
    assert (form.fields["load"], form.fields["absent"], form.fields["day"]) == ("200", "0", "2026-03-25")
    assert 'href="/staffing?day=2026-03-26&amp;load=200&amp;absent=0"' in page.html, "the next day keeps the question"


@pytest.mark.parametrize("bad", ["load=0", "load=x", "share=101", "day=завтра", "day=2999-01-01", "absent=91",
                                 "handled=9999999999", "within=-1", "load=1000&handled=7200&occupancy=10"])
async def test_nonsense_is_told_and_the_page_stands(site: Site, bad: str) -> None:
    fill(site, weeks=2)
    desk = await site.person(Role.ANALYST)
    page = await desk.open(f"/staffing?{bad}")
    assert page.status == 422
    assert 'class="problem"' in page.html
    assert "10:30" in page.html


async def test_a_range_is_planned_and_the_log_says_by_whom(site: Site) -> None:
    fill(site)
    desk = await site.person(Role.SUPERVISOR)
    page = await desk.submit(await desk.open("/staffing"), "/staffing", start="09:30", end="11:00",
                             planned="7", do="plan")
    assert page.status == 200
    found = await file(desk)
    assert [found[at][3] for at in ("09:00", "09:30", "10:00", "10:30", "11:00")] == ["", "7", "7", "7", ""]
    assert found["10:00"][4] == "5", "twelve on the list are needed"
    assert 0 < float(found["10:00"][5]) < 0.9
    await desk.submit(page, "/staffing", start="00:00", end="24:00", do="need")
    found = await file(desk)
    assert found["10:00"][2:5] == ["12", "12", "0"]
    assert found["03:00"][3] == "0"
    with site.db.read() as conn:
        logged = conn.execute(select(edit_log).where(edit_log.c.what == "shift").order_by(edit_log.c.id)).all()
        assert conn.execute(select(shift.c.seats).where(shift.c.day == TODAY, shift.c.minute == 600)).scalar_one() == 12
    assert [each.record_key for each in logged] == ["2026-03-18", "2026-03-18"]
    assert (logged[0].before, logged[0].after) == (None, {"09:30": 7, "10:00": 7, "10:30": 7})
    assert logged[1].before["10:00"] == 7
    assert all(each.staff_id for each in logged)


@pytest.mark.parametrize("bad", [{"start": "11:00", "end": "09:30"}, {"planned": "-1"}, {"planned": ""},
                                 {"planned": "1001"}, {"start": "9"}, {"planned": "٣"}])
async def test_what_cannot_be_planned_is_told(site: Site, bad: dict[str, str]) -> None:
    desk = await site.person(Role.SUPERVISOR)
    answer = await desk.post("/staffing", **{"day": "2026-03-18", "start": "09:30", "end": "11:00", "planned": "7",
                                             "do": "plan", **bad})
    assert answer.status_code == 422
    assert 'class="problem"' in answer.text
    with site.db.read() as conn:
        assert staffing.plan(conn, TODAY) == {}


async def test_who_only_reads_has_no_form_to_plan_with(site: Site) -> None:
    desk = await site.person(Role.ANALYST)
    page = await desk.open("/staffing")
    assert 'id="plan"' not in page.html
    assert "Історії дзвінків за такі дні ще немає" in page.html
    assert (await desk.post("/staffing", day="2026-03-18")).status_code == 403
