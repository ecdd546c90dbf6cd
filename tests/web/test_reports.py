"""Reports at the pages: each figure opens to as many appeals as it says, files say the same, words count right."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import openpyxl
import pytest
from sqlalchemy import insert, update

from centre.demo.browser import Page
from crm import appeals, calls, citizens, people, visits
from crm.calls import EndCause
from crm.clock import KYIV
from crm.life import Action, Evidence
from crm.people import PERMISSIONS, Permission, Role
from crm.periods import day_of
from crm.schema import appeal, department, subject
from tests.web.conftest import Desk, Site
from web.pages.reports import VIEWS
from web.tables import Cell, Grouped, Table, to_csv, to_xlsx
from web.texts import texts

SUBJECTS = ("Опалення", "Холодна вода")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """How figures are shown does not depend on the database; what they are is tried on both in tests/crm."""
    return sqlite_url


def fill(site: Site) -> dict[str, str]:
    """A few days of this month's appeals: closed, returned, late, open; the days as an address says them."""
    now = datetime.now(UTC)
    with site.db.write() as conn:
        operator = people.add_staff(conn, login="o.one", name="Оксана Коваль", password_hash="-", role=Role.OPERATOR)
        whose = citizens.add(conn, now=now, name="Олена Шевчук", phones=["+380441234567"])
        for n in range(24):
            at = now - timedelta(hours=n)
            made = appeals.register(
                conn, now=at, citizen_id=whose, subject_id=site.city.subjects[SUBJECTS[n % 3 == 0]], text="Немає води",
                building_id=site.city.buildings["Бандери 10"] if n % 4 else None, channel=("phone", "web")[n % 2],
                staff_id=operator if n % 5 else None)  # fmt: skip
            if n % 2:
                appeals.act(conn, made.id, Action.EXECUTE, now=at + timedelta(minutes=30 * n), note="Зроблено")
            if n % 4 == 1:
                appeals.act(conn, made.id, Action.CONFIRM, now=now, evidence=Evidence("1.1", key="1"))
            if n % 4 == 3:
                appeals.act(conn, made.id, Action.NOT_SOLVED, now=now, evidence=Evidence("1.1", key="2"))
            if n % 6 == 5:
                conn.execute(update(appeal).where(appeal.c.id == made.id).values(repeat_of=1))
            if n == 2:
                conn.execute(update(appeal).where(appeal.c.id == made.id).values(due_at=at))
            calls.arrived(conn, f"c.{n}", at=at, origin="mobile")
            calls.queued(conn, f"c.{n}", at, "city", 1)
            if n % 6:
                calls.answered(conn, f"c.{n}", "101", at + timedelta(seconds=n), operator)
            calls.ended(conn, f"c.{n}", at + timedelta(seconds=200), EndCause.COMPLETED if n % 6 else
                        EndCause.ABANDONED, wait_s=float(n), talk_s=100.0 if n % 6 else None)  # fmt: skip
    return {"from": f"{(now - timedelta(days=1)).astimezone(KYIV):%Y-%m-%d}", "to": f"{now.astimezone(KYIV):%Y-%m-%d}"}


def query(days: dict[str, str], **more: str) -> str:
    return "?" + "&".join(f"{name}={value}" for name, value in {**days, **more}.items())


def opening(page: Page) -> Iterator[tuple[str, str]]:
    """(address, figure) of each figure that opens."""
    for link, text in page.links:
        if link.startswith("/reports/appeals"):
            yield link, text.strip()


async def test_each_figure_opens_to_as_many_appeals_as_it_says(site: Site) -> None:
    days, desk = fill(site), await site.person(Role.CONTROL)
    seen: set[tuple[str, str]] = set()
    for view in VIEWS.keys() - {"calls", "ratings", "public"}:
        page = await desk.open(VIEWS[view] + query(days))
        links = set(opening(page))
        assert view == "callbacks" or links, view
        for link, figure in links - seen:
            behind = await desk.http.get(link)
            assert behind.status_code == 200, link
            assert re.search(f'<b id="count">{figure} ', behind.text), (view, link, figure)
            assert behind.text.count("<tr>") - 1 == int(figure), link
        seen |= links
    assert len(seen) > 60


async def test_each_level_of_the_subjects_adds_up(site: Site) -> None:
    days, desk = fill(site), await site.person(Role.ANALYST)
    group = next(iter(site.city.subjects.values())) - 1
    top = await desk.open("/reports/by/subject" + query(days))
    assert "Житло" in top.text
    assert "Опалення" not in top.text
    below = await desk.open("/reports/by/subject" + query(days, under=str(group)))
    numbers = {name: [int(figure) for link, figure in opening(page) if "figure=registered" in link]
               for name, page in (("top", top), ("below", below))}  # fmt: skip
    assert numbers == {"top": [24, 24], "below": [16, 8, 24]}


async def test_what_stands_behind_a_figure_names_nobody(site: Site) -> None:
    """An analyst, who may not see whose an appeal is, sees that it is there and cannot open it."""
    days = fill(site)
    assert Permission.SEE_APPEALS not in PERMISSIONS[Role.ANALYST]
    address = "/reports/appeals" + query(days, figure="registered")
    for role, opens in ((Role.ANALYST, False), (Role.CONTROL, True)):
        page = await (await site.person(role)).http.get(address)
        assert "26000001" in page.text
        assert ('href="/appeals/26000001"' in page.text) is opens
        for personal in ("Шевчук", "Немає води", "Бандери", "380"):
            assert personal not in page.text


async def test_a_long_list_goes_on_to_its_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.pages.reports.LISTED", 10)
    days, desk = fill(site), await site.person(Role.CONTROL)
    for more in ({"figure": "registered"}, {"figure": "registered", "view": "flow"}):
        page, seen = await desk.open("/reports/appeals" + query(days, **more)), set()
        while True:
            assert " 24 рядки " in page.text
            seen |= {link for link, _ in page.links if link.startswith("/appeals/")}
            onward = [link for link, _ in page.links if "before=" in link]
            if not onward:
                break
            page = await desk.open(onward[0])
        assert len(seen) == 24


async def test_the_report_is_told_in_words_with_the_right_numbers(site: Site) -> None:
    days, desk = fill(site), await site.person(Role.CONTROL)
    text = " ".join((await desk.open("/reports" + query(days))).text.split()).replace("\xa0", " ")
    for sentence in (
        "зареєстровано 24 звернення.", "Житло (100,0 %).", "Повторних — 4 звернення (16,7 %).",
        "Виконавці повідомили про виконання 12 звернень (50,0 % від зареєстрованих); у строк — 100,0 % виконаних.",
        "Половину виконано менш ніж за 6 годин, дев’ять із десяти — менш ніж за 11 годин.",
        "Самі заявники підтвердили вирішення 6 звернень — 50,0 % від виконаних.",
        "Повернуто як не вирішені — 6 звернень (50,0 %)", "На цю мить прострочено 1 звернення",
        "Надійшло 24 дзвінки, з них до оператора стали в чергу 24.",
        "Відповіли на 83,3 % цих дзвінків, за 20 секунд — на 70,8 %; не дочекалися 16,7 %.",
    ):
        assert sentence in text, sentence
    empty = await desk.open("/reports?from=2020-02-01&to=2020-02-29")
    assert "За лютий 2020 року звернень і дзвінків немає." in empty.text
    await desk.post("/language", language="en", back="/reports")
    assert "24 appeals were registered." in (await desk.open("/reports" + query(days))).text


async def test_files_say_what_the_page_says(site: Site) -> None:
    days, desk = fill(site), await site.person(Role.CONTROL)
    for view, address in VIEWS.items():
        answer = await desk.http.get(address + query(days, file="csv"))
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert f'filename="1551-{view}-' in answer.headers["content-disposition"]
        assert answer.content.startswith(b"\xef\xbb\xbf")
        lines = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
        book = await desk.http.get(address + query(days, file="xlsx"))
        sheets = openpyxl.load_workbook(io.BytesIO(book.content)).worksheets
        written = [[cell.value for cell in row] for sheet in sheets for row in sheet.iter_rows()]
        for row, cells in zip([line for line in lines if len(line) > 1], written, strict=True):
            for text, value in zip(row, cells, strict=True):
                if isinstance(value, int | float):
                    assert float(text) == pytest.approx(value)
                else:
                    assert text == (value or "")
    lines = (await desk.http.get("/reports/by/channel" + query(days, file="csv"))).text.splitlines()
    assert [line.split(",")[:4] for line in lines[1:]] == [
        ["на сайті", "12", "12", "1.0"], ["телефоном", "12", "0", "0.0"], ["Разом", "24", "12", "0.5"]]  # fmt: skip


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(beginning: str) -> None:
    attack = f'{beginning}HYPERLINK("http://x";A1)'
    table = Table(attack, (attack, "n"), ((Cell(attack), Cell(-5, "count")),))
    rows = list(csv.reader(io.StringIO(to_csv([table, table]).decode("utf-8-sig"), newline="")))
    assert {cell for row in rows for cell in row} == {f"'{attack}", "n", "-5"}
    data = to_xlsx([table])
    book = openpyxl.load_workbook(io.BytesIO(data))
    assert [cell.data_type for cell in book.worksheets[0][2]] == ["s", "n"]
    assert book.worksheets[0]["A2"].value.lstrip("\n\r\t") == attack.lstrip("\n\r\t")
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        assert b"<f>" not in parts.read("xl/worksheets/sheet1.xml")


async def test_a_hostile_name_of_a_department_stays_a_name(site: Site) -> None:
    with site.db.write() as conn:
        conn.execute(update(department).values(name="=cmd|'/c calc'!A1").where(department.c.name == "Київтеплоенерго"))
        conn.execute(update(subject).values(name_uk="<script>alert(1)</script>").where(subject.c.name_uk == "Житло"))
    days, desk = fill(site), await site.person(Role.CONTROL)
    lines = (await desk.http.get("/reports/by/department" + query(days, file="csv"))).text
    assert "\r\n'=cmd" in lines
    page = await desk.http.get("/reports" + query(days))
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text


async def test_what_is_published_is_a_whole_month_without_small_numbers(site: Site) -> None:
    days, desk = fill(site), await site.person(Role.ANALYST)
    with site.db.write() as conn:
        lone = conn.execute(insert(subject).values(name_uk="Шум", name_en="Noise", department_id=site.city.departments[
            "Київводоканал"]).returning(subject.c.id)).scalar_one()  # fmt: skip
        conn.execute(update(appeal).where(appeal.c.id == 1).values(subject_id=lone))
        conn.execute(update(appeal).values(registered_at=datetime.now(UTC)))
        visits.add(conn, {(day_of(datetime.now(UTC)), page, "uk"): 3 + n
                          for n, page in enumerate(("/appeals", "/appeals/{number}"))})  # fmt: skip
    answer = await desk.http.get("/reports/public" + query({"from": days["to"], "to": days["to"]}, file="csv"))
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))) if row}
    assert rows["Шум"] == [*["…" if value != "0" else "0" for value in rows["Шум"][:-1]], "…"]
    assert rows["Житло"][-1] == "…", "or the one would be worked out from the total"
    assert rows["Разом"][-1] == "24"
    assert rows["звернення до міста"] == ["7"], "how often the portal's pages were opened"
    first = datetime.now(UTC).astimezone(KYIV).strftime("%Y-%m-01")
    assert first in answer.headers["content-disposition"]


@pytest.mark.parametrize(("address", "says"), [
    ("/reports?from=yesterday", "Перший день періоду"), ("/reports?from=2026-02-02&to=2026-02-01", "раніше, ніж"),
    ("/reports?from=2020-01-01&to=2026-01-01", "щонайбільше 366"), ("/reports/calls?span=minute", "Оберіть зі списку"),
    ("/reports/crossed/channel?figure=x", "Такого показника"), ("/reports/appeals?figure=x", "Такого показника"),
    ("/reports/appeals?figure=registered&view=x", "Такого переліку"),
    ("/reports/appeals?figure=registered&subject=999", "тему"), ("/reports/by/subject?under=999", "теми немає"),
])  # fmt: skip
async def test_what_cannot_be_asked_for_is_said(site: Site, address: str, says: str) -> None:
    page = await (await site.person(Role.CONTROL)).open(address)
    assert page.status in (404, 422)
    assert says in page.text


async def test_every_page_in_both_languages_and_with_nothing_to_show(site: Site) -> None:
    desk: Desk = await site.person(Role.CONTROL)
    for language in ("en", "uk"):
        await desk.post("/language", language=language, back="/reports")
        for address in [*VIEWS.values(), "/reports/formulas", "/reports/calls?span=half_hour&seconds=45"]:
            page = await desk.open(address)
            assert page.status == 200, address
            assert texts(language)("reports.title") in page.text
    assert (await desk.open("/reports/by/nothing")).status == 404


def test_counts_are_grouped_in_sentences() -> None:
    sentence = texts("uk")("counted.appeals", n=Grouped(75_002, "uk"))
    assert sentence.replace("\xa0", " ") == "75 002 звернення"
    assert texts("en")("counted.appeals", n=Grouped(75_000, "en")) == "75,000 appeals"
