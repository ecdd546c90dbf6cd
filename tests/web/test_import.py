"""A file sent to the pages: checked, shown, loaded as it was checked, by whom it was sent."""

from __future__ import annotations

import os
import time

import httpx

from crm import addresses
from crm.people import Role
from tests.web.conftest import BASE, Desk, Site

GOOD = "район;вулиця;будинок\nШевченківський район;вулиця Антоновича;5\n"
BAD = "район;вулиця;будинок\nШевченківський район;вулиця Антоновича;5\nНіякий;вулиця Антоновича;7\n"


async def send(desk: Desk, text: str, kind: str = "addresses") -> httpx.Response:
    form = next(f for f in (await desk.open("/import")).forms if f.path == "/import")
    return await desk.http.post("/import", headers={"Origin": BASE}, data={"csrf": form.fields["csrf"], "kind": kind},
                                files={"file": ("адреси.csv", text.encode(), "text/csv")})  # fmt: skip


def ticket(page: str) -> str:
    return page.split('action="/import/')[1].split('"')[0]


async def test_a_good_file_is_checked_then_loaded_once(site: Site) -> None:
    desk = await site.person(Role.ADMINISTRATOR)
    checked = await send(desk, GOOD)
    assert checked.status_code == 200
    assert "Файл перевірено" in checked.text
    with site.db.read() as conn:
        assert addresses.suggest(conn, "Антоновича 5") == []
    mark = ticket(checked.text)
    loaded = await desk.post(f"/import/{mark}", kind="addresses")
    assert "Файл завантажено" in loaded.text
    with site.db.read() as conn:
        assert len(addresses.suggest(conn, "Антоновича 5")) == 1
    again = await desk.post(f"/import/{mark}", kind="addresses")
    assert again.status_code == 404
    assert "Перевірте його ще раз" in again.text
    assert list((site.settings.var / "imports").iterdir()) == []


async def test_bad_rows_are_shown_with_what_to_do_and_cannot_be_loaded(site: Site) -> None:
    desk = await site.person(Role.ADMINISTRATOR)
    page = (await send(desk, BAD)).text
    for told in ("є рядки, які треба виправити", ">3</td>", "Такого району немає"):
        assert told in page
    assert 'action="/import/' not in page
    assert list((site.settings.var / "imports").iterdir()) == []


async def test_what_is_no_table_is_told(site: Site) -> None:
    desk = await site.person(Role.ADMINISTRATOR)
    for text, told in (("", "Файл порожній"), ("район\0", "Це не таблиця"), ("поверх\n1\n", "Невідомий заголовок")):
        answer = await send(desk, text)
        assert answer.status_code == 422
        assert told in answer.text
    assert (await send(desk, GOOD, kind="їжаки")).status_code == 422
    assert "Оберіть файл" in (await desk.post("/import", kind="addresses")).text


async def test_a_file_is_loaded_by_whom_it_was_sent(site: Site) -> None:
    desk = await site.person(Role.ADMINISTRATOR)
    other = await site.person(Role.ADMINISTRATOR, "second")
    mark = ticket((await send(desk, GOOD)).text)
    assert (await other.post(f"/import/{mark}", kind="addresses")).status_code == 404
    assert "завантажено" in (await desk.post(f"/import/{mark}", kind="addresses")).text


async def test_people_of_a_file_are_told_their_passwords_once(site: Site) -> None:
    desk = await site.person(Role.ADMINISTRATOR)
    mark = ticket((await send(desk, "логін;ім’я;роль\nm.bondar;Марко Бондар;оператор\n", kind="users")).text)
    loaded = (await desk.post(f"/import/{mark}", kind="users")).text
    password = loaded.split("<code>")[1].split("</code>")[0]
    newcomer = await site.stranger()
    assert (await newcomer.sign_in("m.bondar", password)).status == 200


async def test_files_that_nobody_came_back_for_are_removed(site: Site) -> None:
    desk = await site.person(Role.ADMINISTRATOR)
    await send(desk, GOOD)
    [left] = (site.settings.var / "imports").iterdir()
    assert left.stat().st_mode & 0o077 == 0
    os.utime(left, (time.time() - 4000,) * 2)
    await send(desk, GOOD)
    assert left not in list((site.settings.var / "imports").iterdir())
