"""What a browser is told, which forms are taken, and that nothing typed becomes markup."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from centre.demo.browser import Page
from crm.people import Role
from tests.web.conftest import BASE, LINKEDID, Desk, Site
from web import forms
from web.app import PAGES
from web.forms import MAX_BODY
from web.security import HEADERS

HOSTILE = ("</textarea></script><script>alert(1)</script><img src=x onerror=alert(1)> \" onfocus=\"alert(1) ' "
           "{{7*7}} {n}")  # fmt: skip


async def test_every_answer_carries_the_headers_and_no_page_has_a_script_a_style_or_a_secret_of_its_own(
    site: Site,
) -> None:
    """Every page of the table, whoever may open it."""
    desks = [await site.person(role) for role in (Role.SUPERVISOR, Role.CONTROL, Role.ADMINISTRATOR)]
    site.calling()
    others = ("/nothing", "/healthz", "/metrics", "/static/app.css", "/events%00", f"/calls/{LINKEDID}")
    for path in (*others, *(re.sub(r"\{\w+\}", "999999", page.path) for page in PAGES if page.method == "GET")):
        for desk in desks:
            answer = await desk.http.get(path)
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path
            if answer.headers["content-type"].startswith("text/html"):
                html = answer.text
                assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html), path
                assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", html)), path
                assert not re.search(r'(?:href|src|action)="[^"]*(?:csrf|token|secret|password=)', html), path
            if answer.status_code == 200:
                break


async def test_pages_are_not_kept_and_static_files_are(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    page = await desk.http.get("/live")
    assert page.headers["cache-control"] == "no-store"
    for file in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text):
        answer = await desk.http.get(file)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert (await desk.http.get("/static/..%2fapp.py")).status_code == 404


@pytest.mark.parametrize("csrf", ["", "guess", "ї"])
async def test_a_form_without_the_token_is_not_taken(site: Site, csrf: str) -> None:
    desk = await site.person(Role.OPERATOR)
    answer = await desk.http.post("/seat", data={"csrf": csrf, "seat": "101"})
    assert (answer.status_code, site.line.did("login")) == (403, [])


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "http://1551.test.evil.test", "http://1551.test:8080"])
async def test_a_form_of_another_site_is_not_taken_whatever_its_token(site: Site, origin: str) -> None:
    desk = await site.person(Role.OPERATOR)
    page = await desk.open("/seat")
    fields = page.form("/seat", {}).fields
    answer = await desk.http.post("/seat", data=fields | {"seat": "101"}, headers={"Origin": origin})
    assert (answer.status_code, site.line.did("login")) == (403, [])
    answer = await desk.http.post("/seat", data=fields | {"seat": "101"}, headers={"Origin": BASE})
    assert answer.status_code == 200


async def test_another_persons_token_is_not_taken(site: Site) -> None:
    one, other = await site.person(Role.OPERATOR), await site.person(Role.SUPERVISOR)
    stolen = (await other.open("/seat")).form("/seat", {}).fields["csrf"]
    answer = await one.http.post("/seat", data={"csrf": stolen, "seat": "101"})
    assert (answer.status_code, site.line.did("login")) == (403, [])


async def test_what_was_typed_outlives_the_session(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    site.calling()
    page = await desk.open(f"/calls/{LINKEDID}")
    path = f"/calls/{LINKEDID}/appeals"
    desk.http.cookies.delete("session")
    typed = {"name": "Олена", "address": "Хрещатик 22", "subject": "Опалення", "text": "Дуже\nдовгий \"текст\""}
    lost = await desk.submit(page, path, **typed)
    assert lost.status == 403
    assert "не втрачено" in lost.text
    await desk.sign_in("operator")  # in another tab
    fresh = await desk.submit(lost, path)
    assert fresh.status == 403, "the page that was shown before signing in has no token of this session"
    saved = await desk.submit(fresh, path)
    assert "saved=26000001" in saved.url
    appeal = await desk.open("/appeals/26000001")
    assert "Дуже" in appeal.text
    assert "довгий \"текст\"" in appeal.text


async def test_passwords_are_never_shown_again(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    page = await desk.open("/account")
    desk.http.cookies.delete("session")
    answer = await desk.submit(page, "/account", password="таємне гасло", new_password="інше гасло 1",
                               repeat_password="x")  # fmt: skip
    assert answer.status == 403
    assert "гасло" not in answer.html


async def test_too_big_a_form_is_refused_and_said_so(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    answer = await desk.post("/seat", seat="1" * (MAX_BODY + 1))
    assert (answer.status_code, "завелика" in answer.text) == (422, True)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"seat=%FF", b"a=1&" * 1000, b"\x00", b"=", b"%", "seat=ї".encode()])
async def test_hostile_bytes_are_answered_with_a_sentence(site: Site, body: bytes) -> None:
    desk = await site.person(Role.OPERATOR)
    answer = await desk.http.post("/seat", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code in (403, 422)
    assert "problem" in answer.text


async def test_a_form_of_another_kind_is_refused(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain"):
        answer = await desk.http.post("/seat", content=b'{"seat": "101"}', headers={"Content-Type": kind})
        assert answer.status_code == 422, kind


@pytest.mark.parametrize("path", ["/appeals/0", "/appeals/-1", "/appeals/99999999999999999999", "/appeals/١",
                                  "/appeals/a", "/recordings/1e9", "/calls/x%0d%0ay", "/calls/%00",
                                  "/calls/" + "9" * 300,
                                  "/confirmations/attempts/%27"])  # fmt: skip
async def test_addresses_nobody_gave_out_lead_nowhere(site: Site, path: str) -> None:
    desk = await site.person(Role.SUPERVISOR)
    assert (await desk.open(path)).status == 404


@pytest.mark.parametrize("query", ["number=0", "state=nonsense", "department=-1", "before=zzz", "number=%FF",
                                   "subject=1;2"])  # fmt: skip
async def test_filters_nobody_gave_out_are_told_or_ignored(site: Site, query: str) -> None:
    desk = await site.person(Role.SUPERVISOR)
    assert (await desk.open(f"/appeals?{query}")).status in (200, 422)


async def test_nothing_typed_becomes_markup(site: Site) -> None:
    desk = await site.person(Role.SUPERVISOR)
    site.calling()
    path = f"/calls/{LINKEDID}/appeals"
    fields = {"name": HOSTILE, "phone": HOSTILE, "address": HOSTILE, "flat": HOSTILE, "place": HOSTILE, "text": HOSTILE}
    page = await desk.submit(await desk.open(f"/calls/{LINKEDID}"), path, **fields)
    assert page.status == 422
    saved = await desk.submit(await desk.open(f"/calls/{LINKEDID}"), path, name=HOSTILE[:190], place=HOSTILE[:190],
                              flat=HOSTILE[:19], text=HOSTILE, subject="Опалення")  # fmt: skip
    assert "saved=" in saved.url, saved.text
    await desk.submit(await desk.open("/appeals/26000001"), "/appeals/26000001", action="assign", note=HOSTILE)
    pages = [page, saved] + [await desk.open(p) for p in (
        "/appeals/26000001", "/appeals", f"/calls/{LINKEDID}", f"/appeals?number={HOSTILE[:5]}", f"/?next={HOSTILE}")]
    for shown in pages:
        assert "<script>alert" not in shown.html
        assert "<img src=x" not in shown.html
        assert not re.search(r'<[^>]*"\s*onfocus=', shown.html)
    assert "{{7*7}}" in saved.text


@pytest.fixture
async def operator(site: Site) -> Desk:
    return await site.person(Role.OPERATOR)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(typed=st.text(st.characters(codec="utf-8"), max_size=200))
async def test_any_text_comes_back_as_it_was_typed(operator: Desk, site: Site, typed: str) -> None:
    """A half-filled form, whatever is in it."""
    site.calling()
    answer = await operator.post(f"/calls/{LINKEDID}/appeals", name=typed, text=typed)
    assert answer.status_code == 422
    again = Page.read(answer).form(f"/calls/{LINKEDID}/appeals", {}).fields
    assert again["name"].split() == forms.clean(typed).split()
    assert again["text"].strip() == forms.clean(typed)
