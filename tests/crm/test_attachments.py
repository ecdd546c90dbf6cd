"""Files of an appeal: known by their bytes, kept once, on the disk before any row names them."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import attachments
from crm.errors import BadInput, NotFound
from crm.life import Action
from crm.store import Database
from tests.crm.conftest import NOON, City, found_city
from tests.pictures import BANDERA, HEIC, JPEG, PDF, PNG, picture

WAV, MP3 = b"RIFF\x24\0\0\0WAVEfmt ", b"ID3\x04\0 voice"


def store(folder: Path, data: bytes, name: str = "фото.jpg") -> attachments.Stored:
    return attachments.store(folder, name, io.BytesIO(data))


@pytest.mark.parametrize(("data", "kind"), [(JPEG, "image/jpeg"), (PNG, "image/png"), (PDF, "application/pdf")])
def test_a_file_lies_under_its_digest_for_nobody_elses_eyes(tmp_path: Path, data: bytes, kind: str) -> None:
    stored = store(tmp_path / "files", data)
    path = attachments.place(tmp_path / "files", stored.sha256)
    kept = path.read_bytes()
    assert (stored.media_type, stored.bytes, stored.sha256) == (kind, len(kept), hashlib.sha256(kept).hexdigest())
    assert kept == data or kind != "application/pdf"
    for each in (path, path.parent, tmp_path / "files"):
        assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0


def test_the_same_file_is_kept_once_and_nothing_else_is_left(tmp_path: Path) -> None:
    stored = {store(tmp_path, JPEG, name).sha256 for name in ("a.jpg", "b.png", "c")}
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == list(stored)


@pytest.mark.parametrize(("data", "error"), [
    (b"", "empty"), (b"<html><script>alert(1)</script>", "kind"), (b"<svg onload='x'>", "kind"), (b"GIF89a", "kind"),
    (b"MZ\x90", "kind"), (b" %PDF-1.7", "kind"), (b"\0\0\0\x18ftypmp42\0\0\0\0", "kind"),
    (PDF.ljust(attachments.LARGEST + 1, b"x"), "too_big"), (JPEG.ljust(attachments.LARGEST + 1, b"x"), "too_big"),
    (WAV, "kind"), (MP3, "kind"), (JPEG[:200], "broken"),
])  # fmt: skip
def test_nothing_else_is_taken_and_nothing_of_it_stays(tmp_path: Path, data: bytes, error: str) -> None:
    with pytest.raises(BadInput, match=rf"attachment\.{error}"):
        store(tmp_path, data, "фото.jpg")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_largest_is_taken(tmp_path: Path) -> None:
    assert store(tmp_path, PDF.ljust(attachments.LARGEST, b"x")).bytes == attachments.LARGEST


@given(st.binary(max_size=40))
def test_what_a_file_is_depends_on_how_it_begins_alone(data: bytes) -> None:
    kind = attachments.sniff(data)
    assert kind in {"", *attachments.TAKEN, *attachments.AUDIO}
    assert attachments.sniff(data + b"<script>") == kind or len(data) < 12
    assert attachments.sniff(JPEG + data) == "image/jpeg"


@pytest.mark.parametrize(("data", "kind"), [
    (WAV, "audio/wav"), (MP3, "audio/mpeg"), (b"\xff\xfb\x90\x44", "audio/mpeg")])
def test_a_voice_is_taken_where_it_is_asked_for(tmp_path: Path, data: bytes, kind: str) -> None:
    stored = attachments.store(tmp_path, "голос", io.BytesIO(data), also=attachments.AUDIO)
    assert (stored.media_type, attachments.place(tmp_path, stored.sha256).read_bytes()) == (kind, data)


def test_where_a_photo_was_taken_is_told_and_does_not_stay_in_it(tmp_path: Path) -> None:
    stored = attachments.store(tmp_path, "IMG_0001.HEIC", io.BytesIO(picture("HEIF", place=True)))
    assert (stored.name, stored.media_type, stored.place) == ("IMG_0001.jpg", "image/jpeg", BANDERA)
    kept = attachments.place(tmp_path, stored.sha256).read_bytes()
    assert b"Exif" not in kept
    assert b"Maria" not in kept
    assert store(tmp_path, HEIC, "я" * 300).name == "я" * 196 + ".jpg"


@pytest.mark.parametrize(("given_", "kept"), [
    ("акт.pdf", "акт.pdf"), ("../../etc/passwd", "passwd"), ("C:\\Users\\фото.jpg", "фото.jpg"), ("", "—"),
    ("..", ".."), ("a\r\nSet-Cookie: x=1.png", "a Set-Cookie: x=1.png"), ("x" * 300 + ".png", "x" * 196 + ".png"),
    ("\u202egnp.exe", "gnp.exe"), ("фото/", "—"),
])  # fmt: skip
def test_a_name_is_only_a_name(tmp_path: Path, given_: str, kept: str) -> None:
    assert store(tmp_path, PNG, given_).name == kept


def test_a_row_names_who_sent_what_with_which_action(city: City, tmp_path: Path) -> None:
    made = city.registered()
    photo, act = store(tmp_path, JPEG), store(tmp_path, PDF, "акт.pdf")
    first = attachments.add(city.conn, made.id, photo, now=city.now, action=Action.EXECUTE, staff_id=city.operator)
    attachments.add(city.conn, made.id, act, now=city.now, action=Action.EXECUTE, staff_id=None)
    again = attachments.add(city.conn, made.id, photo, now=city.now, action=Action.EXECUTE, staff_id=city.operator)
    assert again == first
    assert [(a.name, a.staff, a.action) for a in attachments.of_appeal(city.conn, made.id)] == [
        ("фото.jpg", "Оксана Коваль", "execute"), ("акт.pdf", "", "execute")]
    assert attachments.get(city.conn, first).appeal_id == made.id
    with pytest.raises(NotFound):
        attachments.get(city.conn, 999)


def test_what_no_row_names_is_gone_after_a_day_and_the_rest_stays(db: Database, tmp_path: Path) -> None:
    """Of a form that was refused, and of a process that died while a file came."""
    kept, _, again = (store(tmp_path / "files", data) for data in (JPEG, PNG, PDF))
    with db.write() as conn:
        attachments.add(conn, found_city(conn).registered().id, kept, now=NOON, action="register", staff_id=None)
    (tmp_path / "files" / ".half").write_bytes(JPEG[:4])
    now = dt.datetime.now(dt.UTC)
    assert attachments.sweep(db, tmp_path / "files", now) == 0, "what is fresh may be being saved"
    for path in (tmp_path / "files").rglob("*"):
        os.utime(path, ((now - dt.timedelta(days=1, seconds=1)).timestamp(),) * 2)
    assert store(tmp_path / "files", PDF) == again, "it has come again just now"
    assert attachments.sweep(db, tmp_path / "files", now) == 2
    assert {path.name for path in (tmp_path / "files").rglob("*") if path.is_file()} == {kept.sha256, again.sha256}
    assert attachments.sweep(db, tmp_path / "nowhere", now) == 0
