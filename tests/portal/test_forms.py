"""The portal's forms whatever is done to them: what is missing, refused, forged or cut off, in the wrong language."""

from __future__ import annotations

import errno
import re
from typing import Any, BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from crm import attachments, knowledge, programmes, rates, reception
from crm.attachments import Stored
from tests.pictures import BANDERA, JPEG, PDF, PNG, picture
from tests.portal.conftest import FILED, Portal
from tests.portal.test_filing import opened
from tests.web.conftest import serving
from web.portal import kept


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """None of it depends on the database."""
    return sqlite_url


@pytest.mark.parametrize(("missing", "told"), [
    ({"subject": ""}, "Оберіть тему"), ({"text": ""}, "суть звернення"), ({"address": ""}, "опишіть місце словами"),
    ({"name": ""}, "анонімні"), ({"phone": ""}, "інакше відповісти вам нікуди"), ({"phone": "двері"}, "номер"),
    ({"email": "двері"}, "пошт"), ({"tell_by": ""}, "Оберіть, як повідомляти"), ({"consent": ""}, "Без згоди"),
    ({"tell_by": "email"}, "потрібна електронна пошта"), ({"tell_by": "facebook"}, "Оберіть, як повідомляти"),
    ({"subject": "999999"}, "Такої теми немає"), ({"address": "Хрищатик 22"}, "Можливо, це одна з адрес"),
    ({"address": "Бандери"}, "Таких адрес кілька"), ({"address": "Ніде 7"}, "немає"),
])  # fmt: skip
async def test_what_is_missing_is_said_and_nothing_is_lost(portal: Portal, missing: dict[str, str], told: str) -> None:
    resident, page = await opened(portal)
    answers = {**FILED, "subject": str(portal.city.subjects["Опалення"]), **missing}
    page = await resident.fill(page, "/file", [("тепло.jpg", JPEG)], **answers)
    assert page.status == 422
    assert told in page.text
    form = page.form("/file", {})
    for name in ("text", "address", "phone", "name"):
        assert form.fields[name] == answers[name], name
    assert "✓ тепло.jpg" in page.text
    page = await resident.fill(page, "/file", **FILED, email="")  # without choosing the photo again
    assert "/receipt" in page.url, page.text
    with portal.db.read() as conn:
        [photo] = attachments.of_appeal(conn, portal.appeals()[0].id)
    assert photo.name == "тепло.jpg"


async def test_a_place_in_words_will_do_with_the_address_that_nobody_knows(portal: Portal) -> None:
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", **{**FILED, "address": "Нова вулиця 7", "place": "за школою",
                                                 "district": "Шевченківський район"})  # fmt: skip
    [its] = portal.appeals()
    assert (its.building_id, its.place) == (None, "Нова вулиця 7; за школою")
    assert its.district_id is not None


async def test_an_unknown_address_is_offered_as_a_place_in_words(portal: Portal) -> None:
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", **{**FILED, "address": "Зовсім інша 7"})
    assert page.form("/file", {}).fields["place"] == "Зовсім інша 7"


async def test_one_of_the_addresses_that_may_be_meant_is_chosen(portal: Portal) -> None:
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", **{**FILED, "address": "Бандери", "do": "find"})
    choices = page.form("/file", {}).options["building"]
    assert set(map(int, choices)) == {portal.city.buildings["Бандери 10"], portal.city.buildings["Бандери 10-А"]}
    wanted = str(portal.city.buildings["Бандери 10-А"])
    page = await resident.fill(page, "/file", **{**FILED, "address": "Бандери", "building": wanted})
    [its] = portal.appeals()
    assert its.building_id == int(wanted)


async def test_a_photo_says_where_it_was_taken_and_that_is_offered_as_the_place(portal: Portal) -> None:
    resident, page = await opened(portal)
    answers = {**FILED, "address": ""}
    page = await resident.fill(page, "/file", [("яма.jpg", picture(place=True))], **answers)
    spot = f"{BANDERA[0]:.5f}, {BANDERA[1]:.5f}"
    assert spot in page.text
    page = await resident.fill(page, "/file", spot=spot, **answers)
    [its] = portal.appeals()
    assert spot in its.place


# ── files ──
@pytest.mark.parametrize(("name", "data", "told"), [
    ("вірус.exe", b"MZ" + bytes(100), "лише фото"), ("порожній.jpg", b"", "порожній"),
    ("битий.jpg", JPEG[: len(JPEG) // 2], "не відкривається"),
])  # fmt: skip
async def test_a_refused_file_is_named_and_the_others_and_the_words_stay(
    portal: Portal, name: str, data: bytes, told: str
) -> None:
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", [("добрий.png", PNG), (name, data)], **FILED)
    assert page.status == 422
    assert f"«{name}»" in page.text
    assert told in page.text
    assert "✓ добрий.png" in page.text
    assert page.form("/file", {}).fields["text"] == FILED["text"]
    page = await resident.fill(page, "/file", [("акт.pdf", PDF)], **FILED)
    with portal.db.read() as conn:
        found = attachments.of_appeal(conn, portal.appeals()[0].id)
    assert [each.name for each in found] == ["добрий.png", "акт.pdf"]


async def test_a_kept_file_can_be_left_out(portal: Portal) -> None:
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", [("зайвий.jpg", JPEG), ("добрий.png", PNG)], **{**FILED, "consent": ""})
    [drop, _] = re.findall(r'name="(drop-[0-9a-f]+)"', page.html)
    page = await resident.fill(page, "/file", **{**FILED, drop: "1"})
    with portal.db.read() as conn:
        assert [each.name for each in attachments.of_appeal(conn, portal.appeals()[0].id)] == ["добрий.png"]


async def test_a_disk_that_is_full_loses_no_words_and_keeps_no_half(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = attachments.store

    def full(folder: Any, name: str, file: BinaryIO, **more: Any) -> Stored:
        if name == "друге.jpg":
            raise OSError(errno.ENOSPC, "No space left on device")
        return store(folder, name, file, **more)

    monkeypatch.setattr(attachments, "store", full)
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", [("перше.png", PNG), ("друге.jpg", JPEG)], **FILED)
    assert page.status == 422
    assert "зберегти не вдалося" in page.text
    assert page.form("/file", {}).fields["text"] == FILED["text"]
    assert portal.appeals() == []
    page = await resident.fill(page, "/file", **FILED)
    with portal.db.read() as conn:
        assert [each.name for each in attachments.of_appeal(conn, portal.appeals()[0].id)] == ["перше.png"]
    assert len([path for path in portal.settings.attachments.rglob("*") if path.is_file()]) == 1


async def test_more_files_than_are_taken_cost_no_words(portal: Portal) -> None:
    resident, page = await opened(portal)
    many = [(f"{n}.jpg", picture(colour=colour)) for n, colour in enumerate(
        ("red", "blue", "green", "black", "white", "yellow"))]  # fmt: skip
    page = await resident.fill(page, "/file", many, **FILED)
    assert page.status == 422
    assert FILED["text"] in page.text
    page = await resident.submit(page, "/file")  # "send again": with what had come before the files
    assert "/receipt" in page.url, page.text
    assert portal.appeals()[0].text == FILED["text"]


async def test_files_of_one_address_are_bounded_and_its_words_are_not(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "FILES_HOURLY", 1)
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", [("1.jpg", JPEG), ("2.png", PNG)], **FILED)
    assert "забагато файлів" in page.text
    page = await resident.fill(page, "/file", **FILED)
    assert "/receipt" in page.url


async def test_sealed_files_are_worth_nothing_when_forged_old_or_gone(portal: Portal) -> None:
    folder = portal.settings.attachments
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", [("1.jpg", JPEG)], **{**FILED, "consent": ""})
    sealed = page.form("/file", {}).fields["kept"]
    parts = portal.app.state.parts
    [its] = kept.opened(parts.secret, sealed, folder, portal.now)
    said, _, seal = sealed.partition(".")
    for forged in (f"{said}.{'0' * 32}", f"{said[:-4]}AAAA.{seal}", said, ".", "🙂.🙂", sealed[:-1]):
        assert kept.opened(parts.secret, forged, folder, portal.now) == []
    assert kept.opened("another secret", sealed, folder, portal.now) == []
    assert kept.opened(parts.secret, sealed, folder, portal.now + kept.LASTS) == []
    attachments.remove(folder, its.sha256)
    assert kept.opened(parts.secret, sealed, folder, portal.now) == []


# ── what is not a person's doing ──
async def test_a_form_that_came_too_late_or_met_no_database_is_sent_again_by_one_press(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident, page = await opened(portal)
    resident.http.cookies.clear()
    page = await resident.fill(page, "/file", **FILED)
    assert page.status == 403
    assert FILED["text"] in page.text

    def away(*args: object, **more: object) -> None:
        raise OperationalError("", {}, Exception("gone"))

    with monkeypatch.context() as broken:
        broken.setattr(reception, "receive", away)
        page = await resident.fill(await resident.open("/file"), "/file", [("тепло.jpg", JPEG)], **FILED)
    assert page.status == 503
    assert FILED["text"] in page.text
    page = await resident.submit(page, "/file")
    assert "/receipt" in page.url, page.text
    with portal.db.read() as conn:
        assert [each.name for each in attachments.of_appeal(conn, portal.appeals()[0].id)] == ["тепло.jpg"]


async def test_the_whole_database_is_away(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    resident, page = await opened(portal)

    def away(*args: object) -> None:
        raise OperationalError("", {}, Exception("gone"))

    monkeypatch.setattr(type(portal.db), "read", away)
    monkeypatch.setattr(type(portal.db), "write", away)
    for path in ("/", "/law", "/follow"):  # what needs none is there
        assert (await resident.open(path)).status == 200
    assert (await resident.open("/file")).status == 503
    page = await resident.fill(page, "/file", [("тепло.jpg", JPEG)], **FILED)
    assert page.status == 503
    assert FILED["text"] in page.text
    monkeypatch.undo()
    page = await resident.submit(page, "/file")
    assert "/receipt" in page.url
    with portal.db.read() as conn:
        assert len(attachments.of_appeal(conn, portal.appeals()[0].id)) == 1


async def test_no_form_is_taken_from_another_site_and_nothing_is_done_by_get(portal: Portal) -> None:
    resident, page = await opened(portal)
    fields = {**page.form("/file", {}).fields, **FILED}
    answer = await resident.http.post("/file", data=fields, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert (await resident.http.get("/file", params=fields)).status_code == 200
    assert portal.appeals() == []


async def test_the_language_changes_with_all_that_was_typed(portal: Portal) -> None:
    resident, page = await opened(portal)
    assert '<button class="quiet" form="file" formnovalidate name="language" value="en"' in page.html
    page = await resident.fill(page, "/file", [("тепло.jpg", JPEG)], {"language": "en"}, **FILED)
    assert "File an appeal" in page.text
    assert page.form("/file", {}).fields["text"] == FILED["text"]
    assert "✓ тепло.jpg" in page.text
    assert portal.appeals() == []
    assert "What happened" in (await resident.open("/file")).text
    page = await resident.fill(page, "/file", **{**FILED, "subject": "Heating"})
    assert "The appeal is received" in page.text


async def test_what_is_hostile_is_shown_as_text(portal: Portal) -> None:
    nasty = '<script>alert(1)</script>"\'{{7*7}}'
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", **{**FILED, "name": nasty, "text": nasty, "address": nasty})
    assert "<script>alert" not in page.html
    assert page.form("/file", {}).fields["text"] == nasty
    page = await resident.open(f"/file?address={nasty}&subject={nasty}&building=-1&once=..%2F")
    assert page.status == 200
    assert "<script>alert" not in page.html


async def test_a_link_fills_in_what_and_where_and_nothing_else(portal: Portal) -> None:
    resident, heat = await portal.resident(), str(portal.city.subjects["Опалення"])
    page = await resident.open(f"/file?subject={heat}&address=Бандери 10&once={'a' * 22}&text=чуже&kept=x&consent=1")
    fields = page.form("/file", {}).fields
    assert (fields["subject"], fields["address"]) == (heat, "Бандери 10")
    assert (fields["text"], fields["kept"], "consent" in fields) == ("", "", False)
    assert fields["once"] != "a" * 22


async def test_behind_a_web_server_it_is_the_residents_address_that_counts(portal: Portal) -> None:
    portal.settings.__dict__["file_hourly"] = 1
    async with serving(portal.app) as portal.base:
        reached = []
        for address, text in (("203.0.113.7", "Раз."), ("203.0.113.8", "Два."), ("203.0.113.7", "Три.")):
            resident = await portal.resident()
            resident.http.headers["X-Forwarded-For"] = address
            page = await resident.fill(await resident.open("/file"), "/file", **{**FILED, "text": text})
            reached.append(page.url.removeprefix(portal.base)[:3])
        plain, sealed = [(await resident.http.get("/", headers={"X-Forwarded-Proto": scheme})).headers
                         for scheme in ("http", "https")]  # fmt: skip
    assert "Strict-Transport-Security" in sealed
    assert "Strict-Transport-Security" not in plain
    assert reached == ["/a/", "/a/", "/m/"]


# ── what is known of a place ──
async def test_programmes_and_answers_are_told_before_and_once(portal: Portal) -> None:
    heat, home = portal.city.subjects["Опалення"], portal.city.buildings["Бандери 10"]
    with portal.db.write() as conn:
        saved = programmes.save(conn, None, None, name_uk="Утеплення", name_en="Insulation",
                                about_uk="Будинок утеплять.", about_en="", ground="Рішення № 5", subject_id=heat,
                                active=True, staff_id=None, now=portal.now)  # fmt: skip
        programmes.put_building(conn, saved, home, portal.now.year + 1, staff_id=None, now=portal.now)
        knowledge.save_article(conn, None, None, title_uk="Коли вмикають тепло", title_en="", body_uk="З 15 жовтня.",
                               body_en="", keywords="", subject_id=heat, active=True, source="", staff_id=None,
                               now=portal.now)  # fmt: skip
    resident, page = await opened(portal)
    part = await resident.open(f"/file/known?address=Бандери 10&subject={heat}")
    assert "Будинок утеплять." in part.text
    assert "З 15 жовтня." in part.text
    page = await resident.fill(page, "/file", **FILED)
    assert "Рішення № 5" in page.text
    page = await resident.fill(page, "/file", **FILED)
    assert "/receipt" in page.url
    water = await resident.open(f"/file/known?address=Бандери 10&subject={portal.city.subjects['Холодна вода']}")
    assert "Будинок утеплять." not in water.text


async def test_addresses_are_suggested_to_anybody(portal: Portal) -> None:
    resident = await portal.resident()
    found = (await resident.http.get("/addresses", params={"q": "бандери 10"})).json()
    assert [each["value"] for each in found] == ["проспект Степана Бандери, 10", "проспект Степана Бандери, 10-А"]


# ── anything at all ──
_FIELDS = st.sampled_from(["subject", "text", "address", "building", "building_for", "place", "flat", "name", "phone",
                           "email", "tell_by", "consent", "once", "kept", "seen", "join", "spot", "district", "do",
                           "language", "nameless", "middle_name_2", "csrf", "files"])  # fmt: skip
_VALUES = st.one_of(st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")), st.binary(max_size=60),
                    st.sampled_from([b"1", b"999999999999", b"find", b"en", b"\xff\xfe", b"\r\n--x--\r\n"]))
_PART = st.tuples(_FIELDS, st.sampled_from([None, "а.jpg", "..\\x", 'q"']), _VALUES)


def body_of(parts: list[tuple[str, str | None, bytes]], cut: int) -> bytes:
    body = b"".join(b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (
        name.encode(), b"" if file is None else b'; filename="%b"' % file.encode(), value)
        for name, file, value in parts) + b"--x--\r\n"  # fmt: skip
    return body[: len(body) - cut]


async def test_whatever_is_sent_in_parts_is_answered_and_never_with_an_error_of_ours(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "count", lambda *_: 1)
    resident, page = await opened(portal)
    csrf = page.form("/file", {}).fields["csrf"]
    bodies: list[bytes] = []

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(_PART, max_size=8), st.integers(0, 12))
    def drawn(parts: list[tuple[str, str | None, bytes]], cut: int) -> None:
        bodies.append(body_of([("csrf", None, csrf.encode()), *parts], cut))

    drawn()
    for body in bodies:
        answer = await resident.http.post("/file", content=body, headers={
            "Content-Type": "multipart/form-data; boundary=x", "Origin": "http://portal.test"})  # fmt: skip
        assert answer.status_code in (200, 403, 404, 422), (answer.status_code, body)
