"""Lists: their pages and their order, the same as a file, and who may have one."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from openpyxl import load_workbook

from crm import calls, privacy
from crm.calls import Outcome
from crm.people import Role
from tests.web.conftest import LINKEDID, Site
from web import lists
from web.app import PAGES


def rows(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))[1:]


async def test_the_nearest_deadline_first_page_by_page_and_the_same_as_a_file(
        site: Site, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(lists, "SIZE", 2)
    now = datetime.now(UTC)
    days = {site.appeal(at=now - timedelta(days=day), text="=1+1"): day for day in (3, 9, 1, 7, 5)}
    soonest = [str(number) for number in sorted(days, key=lambda each: -days[each])]
    desk = await site.person(Role.CONTROL)
    page, seen = await desk.open("/appeals?order=due"), []
    while True:
        seen += [label for address, label in page.links if address == f"/appeals/{label}"]
        onward = [address for address, label in page.links if "Далі" in label]
        if not onward:
            break
        page = await desk.open(onward[0])
    assert seen == soonest
    assert any(address == "/appeals?order=due" and "На початок" in label for address, label in page.links)

    told = await desk.http.get("/appeals?order=due&file=csv")
    assert [row[0] for row in rows(told.content)] == soonest, "all of it, not the page"
    assert rows(told.content)[0][4] == "'=1+1", "no formula"
    assert "Олена Шевчук" not in told.content.decode()
    book = load_workbook(io.BytesIO((await desk.http.get("/control?list=unacknowledged&file=xlsx")).content))
    assert [str(row[0].value) for row in list(book.worksheets[0].rows)[1:]] == soonest
    monkeypatch.setattr(lists, "MOST", 2)
    cut = rows((await desk.http.get("/appeals?order=due&file=csv")).content)
    assert [row[0] for row in cut[:2]] == soonest[:2]
    assert "лише початок списку, рядків: 2" in cut[2][0]
    with site.db.read() as conn:
        looks = privacy.looks(conn, staff_id=site.staff["control"])
    assert {(look.what, look.why) for look in looks if look.why} == {("file", "export"), ("appeal", "export")}
    assert len([look for look in looks if look.what == "appeal" and look.why == "export"]) == 12


async def test_a_file_is_given_by_right_and_to_a_department_its_own(site: Site) -> None:
    heat, water = site.appeal(), site.appeal(subject="Холодна вода")
    operator = await site.person(Role.OPERATOR)
    refused = await operator.http.get("/appeals?file=csv")
    assert (refused.status_code, "не дає права вивантажувати" in refused.text) == (403, True)
    assert "CSV" not in (await operator.open("/appeals")).text
    executor = await site.person(Role.EXECUTOR)
    for address in ("/appeals?file=csv", f"/appeals?number={water}&file=csv", "/appeals?state=assigned&file=csv"):
        numbers = [row[0] for row in rows((await executor.http.get(address)).content)]
        assert numbers in ([str(heat)], []), address


async def test_every_list_that_offers_a_file_gives_it(site: Site) -> None:
    desks = [await site.person(Role.SUPERVISOR), await site.person(Role.ADMINISTRATOR)]
    site.appeal()
    offered = 0
    for desk in desks:
        for page in PAGES:
            if page.method == "GET" and "{" not in page.path and (answer := await desk.open(page.path)).status == 200:
                for address in {address for address, label in answer.links if label == "CSV" and "file=csv" in address}:
                    given = await desk.http.get(f"{page.path}{address}" if address.startswith("?") else address)
                    assert given.headers["content-type"].startswith("text/csv"), address
                    offered += 1
    assert offered > 10


async def test_calls_are_found_by_what_they_were(site: Site) -> None:
    desk = await site.person(Role.SUPERVISOR)
    for linkedid in ("1.1", "1.2"):
        site.calling(linkedid=linkedid)
        site.hang_up(linkedid)
    with site.db.write() as conn:
        calls.settle(conn, "1.1", Outcome.SILENT, None, datetime.now(UTC))
        calls.arrived(conn, "1.3", at=datetime.now(UTC) - timedelta(days=50), origin="mobile", caller="+380501112233")

    async def found(query: str) -> list[str]:
        return [address for address, _ in (await desk.open(f"/calls?{query}")).links if address.startswith("/calls/1.")]

    assert await found("") == ["/calls/1.2", "/calls/1.1"]
    assert await found("outcome=silent") == ["/calls/1.1"]
    assert await found("seat=102") == []
    assert await found("phone=050+111+22+33&from=2000-01-01") == []
    day = (datetime.now(UTC) - timedelta(days=51)).date()
    assert await found(f"phone=050+111+22+33&from={day}") == ["/calls/1.3"]
    for wrong, sentence in (("from=2026-02-31", "має бути датою"), ("outcome=x", "Оберіть підсумок"),
                            ("phone=1", "номер"), ("from=2026-03-02&to=2026-03-01", "раніше"),
                            ("after=0", "Такої сторінки")):  # fmt: skip
        page = await desk.open(f"/calls?{wrong}")
        assert (page.status, sentence in page.text) == (422, True), wrong
    masked = rows((await desk.http.get("/calls?outcome=silent&file=csv")).content)
    assert masked[0][1] == "'+380 44 ••• 45 67", "no formula either"
    assert LINKEDID not in str(masked)


async def test_people_are_found_by_name_and_role(site: Site) -> None:
    for role in (Role.OPERATOR, Role.EXECUTOR):
        site.hire(role)
    desk = await site.person(Role.ADMINISTRATOR)

    async def found(query: str) -> list[str]:
        page = await desk.open(f"/people?{query}")
        return [label.removeprefix("Людина ") for _, label in page.links if label.startswith("Людина ")][1:]

    assert await found("") == ["administrator", "executor", "operator"]
    assert await found("role=executor") == ["executor"]
    assert await found("text=людина OPER") == ["operator"]
    assert await found("text=людина&role=analyst") == []
