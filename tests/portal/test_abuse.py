"""What somebody may try who means no good: to fill the disk, to hold up the others, to read the log."""

from __future__ import annotations

import errno
import io
import logging
import shutil
from collections import namedtuple
from datetime import timedelta

import anyio
import httpx
import pytest
from sqlalchemy.exc import OperationalError

from crm import attachments, public_figures, stages
from tests.pictures import JPEG, PDF
from tests.portal.conftest import FILED, Portal
from tests.portal.programs import Office
from tests.portal.programs import http as http
from tests.portal.programs import office as office
from tests.portal.test_api import API, headers, said
from tests.portal.test_filing import opened
from web import forms
from web.portal import follow, public


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """None of it depends on the database."""
    return sqlite_url


async def test_who_sends_no_photo_does_not_wait_for_those_who_do(portal: Portal) -> None:
    resident, page = await opened(portal)
    async with portal.app.state.parts.slow:
        with anyio.fail_after(5):
            await portal.app.state.parts.slow.acquire_on_behalf_of("another")
            page = await resident.fill(page, "/file", **FILED)
    assert "/receipt" in page.url, page.text


async def test_a_seal_does_not_stand_in_the_log(
    portal: Portal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    its = portal.file()
    resident = await portal.resident()
    page = await resident.open(portal.address(its))

    def away(*args: object, **more: object) -> None:
        raise OperationalError("", None, Exception("away"))

    monkeypatch.setattr(stages, "timeline", away)
    with caplog.at_level(logging.DEBUG):
        await resident.open(portal.address(its))
        monkeypatch.setattr(follow, "_own", away)
        await resident.fill(page, f"{portal.address(its)}/add", note="Ще й гарячої води немає.")
    assert "away" in caplog.text
    assert portal.address(its).rpartition("-")[2] not in "".join(
        record.getMessage() for record in caplog.records if not record.name.startswith("http"))


async def test_a_photo_of_a_form_that_comes_back_again_and_again_is_there_at_the_end(portal: Portal) -> None:
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", [("тепло.jpg", JPEG)], **{**FILED, "consent": ""})
    for _ in range(3):
        portal.now += timedelta(hours=11)
        page = await resident.fill(page, "/file", **{**FILED, "consent": ""})
        attachments.sweep(portal.db, portal.settings.attachments, portal.now)
    page = await resident.fill(page, "/file", **FILED)
    with portal.db.read() as conn:
        assert [each.name for each in attachments.of_appeal(conn, portal.appeals()[0].id)] == ["тепло.jpg"]


async def test_files_leave_room_for_the_records(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or whoever sends photos of forms that he never finishes stops the whole centre."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, attachments.SPARED - 1))
    with pytest.raises(OSError, match="for the records") as error:
        attachments.store(portal.settings.attachments, "акт.pdf", io.BytesIO(PDF))
    assert error.value.errno == errno.ENOSPC
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", [("акт.pdf", PDF)], **FILED)
    assert "зберегти не вдалося" in page.text
    page = await resident.fill(page, "/file", **FILED)
    assert "/receipt" in page.url


async def test_forms_with_files_have_so_much_room_together(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "ROOM", forms.Room(2000 + len(PDF)))
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", [("акт.pdf", PDF + b" " * 4000)], **FILED)
    assert "надсилають дуже багато файлів" in page.text
    assert FILED["text"] in page.text  # comes back, to be sent by one press
    for _ in range(3):  # what was answered holds nothing
        page = await resident.open("/file")
        page = await resident.fill(page, "/file", [("акт.pdf", PDF)], **{**FILED, "consent": ""})
        assert "✓ акт.pdf" in page.text
    assert forms.ROOM.held == 0


async def test_a_key_brings_no_more_files_than_its_appeals_can_have(office: Office, http: httpx.AsyncClient) -> None:
    """Also those of which no appeal comes: a key that is built into an app is nobody's secret."""
    key, folder = office.key(cap=1), office.settings.attachments
    answers = []
    for n in range(4):
        files = [("photos", (f"{i}.pdf", PDF + bytes([n, i]))) for i in range(3)]
        fields = {name: str(value) for name, value in said(office, text=f"Холодно {n}").items()}
        answers.append(await http.post(f"{API}/appeals", data=fields, files=files, headers=headers(key)))
    assert [each.status_code for each in answers] == [201, 429, 429, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert len(list(folder.glob("??/*"))) <= 5


async def test_programs_with_photos_wait_for_each_other_and_others_do_not(
    office: Office, http: httpx.AsyncClient
) -> None:
    slow, key = office.app.state.parts.slow, office.key()
    fields = {name: str(value) for name, value in said(office).items()}
    for one in range(slow.total_tokens):
        await slow.acquire_on_behalf_of(one)
    async with anyio.create_task_group() as group:
        answers = []

        async def send() -> None:
            answers.append(await http.post(f"{API}/appeals", data=fields, files=[("photos", ("a.pdf", PDF))],
                                           headers=headers(key)))  # fmt: skip

        group.start_soon(send)
        while not slow.statistics().tasks_waiting:  # noqa: ASYNC110  # nobody tells of it
            await anyio.sleep(0.01)
        assert (await http.post(f"{API}/appeals", json=said(office), headers=headers(key))).status_code == 201
        assert answers == []
        slow.release_on_behalf_of(0)
    assert answers[0].status_code == 201


async def test_many_lists_do_not_have_the_figures_made_anew(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is quick to make, and anybody can think out as many as he likes; a year of figures is not quick."""
    monkeypatch.setattr(public.Made, "MOST", 16)
    made, month = [], public_figures.month
    monkeypatch.setattr(public_figures, "month", lambda *args: made.append(args) or month(*args))
    resident = await portal.resident()
    await resident.open("/figures")
    known = len(made)
    for n in range(1, 20):
        await resident.open(f"/appeals?after={n}")
    await resident.open("/figures")
    assert (known, len(made)) == (12, 12)
