"""What the city publishes: nothing of whose an appeal is, whatever is asked for; and visits that are nobody's."""

from __future__ import annotations

import asyncio
import csv
import io
import threading
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest
from sqlalchemy import String, select, update
from sqlalchemy.exc import OperationalError

from centre.demo.browser import Page
from centre.settings import Settings
from crm import public_figures, schema, visits
from crm.life import Action
from crm.periods import Period
from crm.schema import appeal, visit_count
from crm.store import Database
from crm.suppression import LEAST
from crm.visits import Visits
from tests.portal.conftest import BASE, Portal
from tests.web.conftest import FakeLine
from web.portal import public
from web.portal.app import create_portal
from web.portal.public import Made

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
MORNING = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)

# Columns of words that name nobody: codes, and what is published of an appeal.
CODES = {
    "citizen": {"language", "privilege"}, "citizen_phone": set(), "citizen_address": {"channel"},
    "appeal": {"channel", "state", "kind", "tell_by"}, "building": set(), "attachment": {"action", "sha256"},
    "message": {"channel", "external_id", "language", "state", "reason"}, "message_file": {"sha256"},
    "staff": {"password_hash", "role", "language"}, "notice": {"key", "kind", "audience", "state", "way", "delivered"},
}  # fmt: skip


@pytest.fixture
async def open_to_all(portal: Portal) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who follows no redirection and has no cookie."""
    portal.now = MORNING
    async with httpx.AsyncClient(transport=httpx.ASGITransport(portal.app), base_url=BASE) as client:
        yield client


def planted(portal: Portal) -> str:
    """A sign of its own, which stands nowhere else, into every personal column of every record; these signs. A new
    column of words is planted too, unless somebody says above that it names nobody."""
    signs: list[str] = []
    with portal.db.write() as conn:
        for name, codes in CODES.items():
            table = schema.metadata.tables[name]
            columns = [column for column in table.c if isinstance(column.type, String) and column.name not in codes]
            for id in conn.execute(select(table.c.id)).scalars().all():
                values = {column: chr(0x4E00 + len(signs) + at) for at, column in enumerate(columns)}
                conn.execute(update(table).where(table.c.id == id).values(values))
                signs += values.values()
    return "".join(signs)


async def test_nothing_personal_is_ever_shown(portal: Portal, open_to_all: httpx.AsyncClient) -> None:
    numbers = []
    for n in range(LEAST):
        its = portal.file(text=f"Особисте {n}", tell_to=f"+38067111220{n}")
        portal.act(its, Action.ACKNOWLEDGE)
        portal.act(its, Action.EXECUTE, "Особиста примітка")
        numbers.append(its.number)
    with portal.db.write() as conn:
        made = conn.execute(select(appeal.c.id).order_by(appeal.c.id)).scalars().first()
        conn.execute(schema.attachment.insert().values(
            appeal_id=made, name="x", media_type="x", bytes=1, sha256="a" * 64, at=portal.now))  # fmt: skip
    secret = [*planted(portal), "Особист"]
    assert len(secret) > 100
    seen = ""
    for address in ("/appeals", f"/appeals?number={numbers[0]}", "/appeals.json", "/appeals.csv", "/figures",
                    "/figures?file=csv", *(f"/appeals/{number}" for number in numbers)):  # fmt: skip
        for language in ("uk", "en"):
            answer = await open_to_all.get(address, headers={"Cookie": f"language={language}"})
            assert answer.status_code == 200, address
            seen += answer.text
            assert [word for word in secret if word in answer.text] == [], address
    assert all(str(number) in seen for number in numbers)
    assert "Опалення" in seen
    assert "Heating" in seen


async def test_a_complaint_is_not_told_from_nothing(portal: Portal) -> None:
    its, other = portal.file(), portal.file(text="Скарга")
    with portal.db.write() as conn:
        conn.execute(update(appeal).where(appeal.c.id == other.id).values(kind="complaint"))
    resident = await portal.resident()
    hidden, nothing = await resident.open(f"/appeals/{other.number}"), await resident.open("/appeals/26999999")
    assert hidden.status == nothing.status == 404
    assert hidden.text == nothing.text
    assert (await resident.open(f"/appeals/{its.number}")).status == 200
    found = (await resident.http.get("/appeals.json")).json()["appeals"]
    assert [each["number"] for each in found] == [its.number]


def numbers_in(page: Page) -> list[int]:
    """Of the appeals that a page leads to."""
    return [int(link.removeprefix("/appeals/")) for link, _ in page.links if link.startswith("/appeals/")]


async def test_the_list_goes_on_page_by_page_without_a_script(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "LISTED", 2)
    portal.now = MORNING
    numbers = [portal.file(text=f"Немає тепла {n}").number for n in range(5)]
    resident = await portal.resident()
    page = await resident.submit(await resident.open("/appeals"), "/appeals", subject="Житло", stage="прийнято")
    found = numbers_in(page)
    while following := [link for link, _ in page.links if "after=" in link]:
        page = await resident.open(following[0])
        assert "stage=accepted" in page.url
        found += numbers_in(page)
    assert found == numbers[::-1]
    page = await resident.submit(page, "/appeals", stage="відкликано")
    assert numbers_in(page) == []
    page = await resident.submit(page, "/appeals", stage="відкликано", number=str(numbers[0]))
    assert numbers_in(page) == numbers[:1], "who knows the number needs no more"


async def test_files_are_bounded_and_go_on(portal: Portal, open_to_all: httpx.AsyncClient,
                                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(public, "OF_JSON", 2)
    monkeypatch.setattr(public, "OF_CSV", 2)
    numbers = [portal.file(text=f"Немає тепла {n}").number for n in range(5)]
    with portal.db.write() as conn:
        conn.execute(update(schema.department).where(schema.department.c.id == 1).values(name='=HYPERLINK("//evil")'))
    found: list[dict[str, Any]] = []
    address: str | None = "/appeals.json?stage=accepted"
    while address:
        answer = await open_to_all.get(address)
        assert "entry" not in answer.headers.get("set-cookie", "")
        found += answer.json()["appeals"]
        address = answer.json()["next"]
    assert [each["number"] for each in found] == numbers[::-1]
    assert found[0]["registered_at"] == "2026-11-24T10:00:00+02:00"
    assert found[0]["subject"] == {"uk": "Опалення", "en": "Heating"}
    assert (found[0]["stage"], found[0]["open"], found[0]["street"]) == ("accepted", True, None)

    rows: list[dict[str, str]] = []
    following = "/appeals.csv?stage=accepted"
    while following:
        answer = await open_to_all.get(following)
        rows += csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
        following = answer.headers.get("link", "").partition("<")[2].partition(">")[0]
    assert [int(row["number"]) for row in rows] == numbers[::-1]
    assert rows[0]["department"].startswith("'="), "no formula for a spreadsheet"


HOSTILE = (
    "subject=99999", "subject=-1", "subject=1e9", "subject=" + "9" * 400, "district=%27%20OR%201=1--", "stage=control",
    "stage=%00", "stage=registered", "from=2026-99-99", "from=0001-01-01&to=0001-01-01", "to=0001-01-01",
    "to=9999-12-31", "from=9999-12-31", "from=2026-11-20&to=2026-11-01", "from=2020-01-01&to=2026-11-01",
    "number=abc", "number=99999999999999999999", "after=0", "after=99999999", "after=x", "%ff=%fe", "subject=%ff",
    "a=1&" * 300, "&&&==&", "month=2026-13", "month=" + "x" * 5000, "month=1999-01", "file=exe", "file=../../etc",
    "from=2026-11-01T00:00", f"stage={quote('<script>alert(1)</script>')}",
)  # fmt: skip


async def test_whatever_an_address_says_is_answered_in_words(portal: Portal, open_to_all: httpx.AsyncClient) -> None:
    its = portal.file()
    for path in ("/appeals", "/appeals.json", "/appeals.csv", "/figures"):
        for asked in HOSTILE:
            answer = await open_to_all.get(f"{path}?{asked}")
            assert answer.status_code in (200, 404, 422), (path, asked, answer.status_code)
            assert "<script>alert" not in answer.text
    for path in ("0", "-1", "x", "9" * 30, "%00", f"{its.number}.0", f"%D9%A2{its.number}"):
        assert (await open_to_all.get(f"/appeals/{path}")).status_code == 404, path
    wrong = await open_to_all.get("/appeals.json?from=2026-11-20&to=2026-11-01")
    assert wrong.json()["error"] == "period.backwards"
    for asked in ("subject=99999", "stage=control", "from=2026-99-99"):
        assert str(its.number) not in (await open_to_all.get(f"/appeals?{asked}")).text, "what is wrong finds nothing"


async def test_figures_leave_out_what_is_small(portal: Portal) -> None:
    portal.now = MORNING
    for n in range(LEAST + 2):
        its = portal.file(text=f"Немає тепла {n}", tell_to=f"+3806711122{n:02}")
        if n < LEAST - 1:
            portal.act(its, Action.EXECUTE, "Відновили")
    resident = await portal.resident()
    answer = await resident.http.get("/figures?file=csv")
    rows = [row for row in csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))) if row and row[0] == "Житло"]
    assert rows == [["Житло", str(LEAST + 2), "…", "…", "0", "0", "0", "…", ""]], "no median of four"
    page = await resident.open("/figures")
    assert "листопад 2026" in page.text
    assert [link for link, _ in page.links if "csv" in link] == ["/figures?month=2026-11&file=csv"]
    assert (await resident.http.get("/figures?month=2026-10")).status_code == 200
    assert (await resident.http.get("/figures?month=2025-11")).status_code == 404, "as many months as are shown"


async def test_a_crowd_at_the_figures_counts_them_once(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Period] = []
    real = public.public_figures.month
    monkeypatch.setattr(public.public_figures, "month",
                        lambda conn, period, top: counted.append(period) or real(conn, period, top))  # fmt: skip
    resident, other = await portal.resident(), await portal.resident(language="en")
    for _ in range(3):
        await resident.open("/figures")
        await other.open("/figures?month=" + f"{portal.now:%Y-%m}")
    assert len(counted) == len(set(counted)) == public.MONTHS
    portal.now += timedelta(minutes=11)
    await resident.open("/figures")
    assert len(counted) == public.MONTHS + 2, "this month and the last are counted anew"


async def test_a_crowd_before_the_figures_are_made_leaves_the_other_pages_their_threads(
        db: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """They are made at the start; who asks meanwhile waits, two threads at the most."""
    began, may_end, working = threading.Event(), threading.Event(), Counter[str]()
    real = public.public_figures.month

    def slowly(*given: Any) -> public_figures.Month:
        working["made"] += 1
        began.set()
        assert may_end.wait(10)
        return real(*given)

    monkeypatch.setattr(public.public_figures, "month", slowly)
    app = create_portal(settings, db, FakeLine(), secret="s", clock=lambda: MORNING, ahead=True)
    async with app.router.lifespan_context(app), httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=BASE) as client:  # fmt: skip
        await anyio.to_thread.run_sync(began.wait, 10)
        crowd = [asyncio.create_task(client.get("/figures")) for _ in range(60)]
        while app.state.parts.reading.statistics().tasks_waiting < len(crowd) - 1:  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.01)
        assert app.state.parts.reading.statistics().borrowed_tokens == 2
        assert (await client.get("/appeals")).status_code == 200
        may_end.set()
        assert {answer.status_code for answer in await asyncio.gather(*crowd)} == {200}
    assert working["made"] == public.MONTHS


def test_while_one_makes_it_anew_the_others_have_the_old() -> None:
    made, began, may_end = Made(), threading.Event(), threading.Event()
    lasts, now = timedelta(minutes=1), MORNING
    assert made.get("x", lasts, now, lambda: "old") == "old"
    found: list[str] = []

    def slowly() -> str:
        began.set()
        assert may_end.wait(10)
        return "new"

    later = now + timedelta(minutes=2)
    maker = threading.Thread(target=lambda: found.append(made.get("x", lasts, later, slowly)))
    maker.start()
    assert began.wait(10)
    assert made.get("x", lasts, later, lambda: "never") == "old"
    may_end.set()
    maker.join(10)
    assert found == ["new"]
    assert made.get("x", lasts, later, lambda: "never") == "new"


def test_of_those_who_ask_first_one_makes_it_and_a_failure_is_only_his() -> None:
    made, began, may_end = Made(), threading.Event(), threading.Event()
    found: list[object] = []

    def ask(make: Any) -> None:
        try:
            found.append(made.get("x", timedelta(minutes=1), MORNING, make))
        except ZeroDivisionError as error:
            found.append(error)

    def fails() -> str:
        began.set()
        assert may_end.wait(10)
        raise ZeroDivisionError

    threads = [threading.Thread(target=ask, args=(fails,))]
    threads[0].start()
    assert began.wait(10)
    threads += [threading.Thread(target=ask, args=(lambda: "made",)) for _ in range(3)]
    for thread in threads[1:]:
        thread.start()
    may_end.set()
    for thread in threads:
        thread.join(10)
    assert [each for each in found if each != "made"] == [each for each in found if isinstance(each, Exception)]
    assert found.count("made") == 3


# ── visits ──
async def test_pages_are_counted_and_nobody_is(db: Database, settings: Settings) -> None:
    app = create_portal(settings, db, FakeLine(), secret="s", clock=lambda: MORNING)
    person = {"User-Agent": BROWSER}
    async with app.router.lifespan_context(app), httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=("198.51.100.77", 1)), base_url=BASE) as client:  # fmt: skip
        for path in ("/appeals", "/appeals", "/appeals/1", "/appeals.json", "/appeals.csv", "/healthz",
                     "/static/portal.css", "/nothing"):  # fmt: skip
            await client.get(path, headers=person)
        await client.get("/figures", headers={**person, "Cookie": "language=en"})
        await client.head("/appeals", headers=person)
        await client.get("/appeals", headers={**person, "Sec-Purpose": "prefetch"})
        for program in ("", "curl/8.5.0", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"):
            await client.get("/appeals", headers={"User-Agent": program})
    with db.read() as conn:
        kept = conn.execute(select(visit_count).order_by(visit_count.c.page)).all()
        assert [tuple(row) for row in kept] == [(date(2026, 11, 24), "/appeals", "uk", 2),
                                                (date(2026, 11, 24), "/figures", "en", 1)]  # fmt: skip
        said = " ".join(str(row) for table in schema.metadata.sorted_tables for row in conn.execute(select(table)))
    assert "198.51.100.77" not in said
    assert "Firefox" not in said


def test_what_was_counted_adds_up_and_outlives_a_database_that_is_away(db: Database,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    day, counting = date(2026, 11, 24), Visits(db)
    counting.seen(day, "/", "uk")
    counting.flush()
    counting.seen(day, "/", "uk")
    counting.seen(day, "/", "en")

    def away(*given: object) -> None:
        raise OperationalError("x", None, Exception("gone"))

    with monkeypatch.context() as broken:
        broken.setattr(visits, "add", away)
        counting.flush()
    counting.seen(day - timedelta(days=40), "/law", "uk")
    counting.flush()
    counting.flush()
    with db.read() as conn:
        assert visits.by_page(conn, Period(day, day)) == {"/": 3}
        assert visits.by_page(conn, Period(day - timedelta(days=60), day)) == {"/": 3, "/law": 1}


@pytest.mark.parametrize(("agent", "program"), [
    (BROWSER, False), ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
                       " Version/17.5 Mobile/15E148 Safari/604.1", False),
    ("Mozilla/5.0 (Linux; Android 14; CUBOT NOTE 50) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari/537.36", False),
    ("", True), ("python-requests/2.32", True), ("facebookexternalhit/1.1", True), ("WhatsApp/2.24", True),
    ("TelegramBot (like TwitterBot)", True),
    ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", True),
])  # fmt: skip
def test_programs_that_say_so_are_no_visitors(agent: str, program: bool) -> None:
    assert visits.is_program(agent) is program
