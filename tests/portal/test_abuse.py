"""What somebody may try who means no good: to fill the disk, to hold up the others, to read the log."""

from __future__ import annotations

import errno
import io
import logging
import shutil
from collections import namedtuple
from datetime import timedelta

import anyio
import pytest
from sqlalchemy.exc import OperationalError

from crm import attachments, stages
from tests.pictures import JPEG, PDF
from tests.portal.conftest import FILED, Portal
from tests.portal.test_filing import opened
from web import forms
from web.portal import follow


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
