"""Signing in and out, what a session is, and what a stranger may not learn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from crm import guessing, people, schema, sign_in
from crm.guessing import Place
from crm.people import Role
from tests.web.conftest import BASE, PASSWORD, Site


async def test_signs_in_and_out(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    assert (await desk.open("/live")).status == 200
    page = await desk.submit(await desk.open("/live"), "/sign-out")
    assert page.url.endswith("/sign-in")
    assert (await desk.open("/live")).url.endswith("/sign-in?next=%2Flive")


async def test_goes_on_where_it_wanted_to(site: Site) -> None:
    site.hire(Role.OPERATOR)
    desk = await site.stranger()
    asked = await desk.open("/appeals?state=assigned")
    page = await desk.submit(asked, "/sign-in", login="operator", password=PASSWORD)
    assert page.url == f"{BASE}/appeals?state=assigned"


@pytest.mark.parametrize("elsewhere", ["https://evil.test/", "//evil.test/", "/\\evil.test", "javascript:alert(1)",
                                       "\r\nX: y"])  # fmt: skip
async def test_never_leads_to_another_site(site: Site, elsewhere: str) -> None:
    site.hire(Role.OPERATOR)
    desk = await site.stranger()
    page = await desk.open("/sign-in")
    answer = await desk.http.post("/sign-in", follow_redirects=False, headers={"Origin": BASE}, data={
        "csrf": page.form("/sign-in", {}).fields["csrf"], "login": "operator", "password": PASSWORD,
        "next": elsewhere})  # fmt: skip
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_says_the_same_of_a_wrong_password_and_of_nobody(site: Site) -> None:
    site.hire(Role.OPERATOR)
    desk = await site.stranger()
    said = {(page.status, page.form("/sign-in", {}).fields["login"] and page.text.replace(login, ""))
            for login in ("operator", "nobody")
            for page in [await desk.sign_in(login, "not the password")]}  # fmt: skip
    assert len(said) == 1
    assert next(iter(said))[0] == 403


async def test_many_failures_lock_out_only_where_they_came_from_and_say_nothing_more(site: Site) -> None:
    site.hire(Role.OPERATOR)
    desk = await site.stranger()
    pages = [await desk.sign_in("operator", "not the password") for _ in range(guessing.FREE_HERE + 1)]
    assert len({page.text for page in pages}) == 1
    assert (await desk.sign_in("operator")).status == 403, "the right password, too soon"
    sign_in.prove_password(site.db, "operator", PASSWORD, now=datetime.now(UTC), place=Place("192.0.2.1"))


async def test_the_cookie_is_the_browsers_alone_and_the_table_has_its_hash(site: Site) -> None:
    site.hire(Role.OPERATOR)
    desk = await site.stranger()
    page = await desk.open("/sign-in")
    answer = await desk.http.post("/sign-in", follow_redirects=False, headers={"Origin": BASE}, data={
        **page.form("/sign-in", {}).fields, "login": "operator", "password": PASSWORD})  # fmt: skip
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie, "plain http on loopback"
    token = desk.http.cookies["session"]
    with site.db.read() as conn:
        kept = conn.scalars(select(schema.session.c.token_sha256)).one()
    assert token not in kept
    assert len(kept) == 64


async def test_a_session_ends_with_its_time_and_with_the_account(site: Site) -> None:
    first, second = await site.person(Role.OPERATOR), await site.person(Role.SUPERVISOR)
    with site.db.write() as conn:
        conn.execute(update(schema.session).where(schema.session.c.staff_id == site.staff["operator"])
                     .values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))  # fmt: skip
        people.set_active(conn, site.staff["supervisor"], False)
    for desk in (first, second):
        assert "/sign-in" in (await desk.open("/live")).url


async def test_a_new_password_ends_every_session(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    other = await site.stranger()
    await other.sign_in("operator")
    new = {"new_password": "нове гасло довге", "repeat_password": "нове гасло довге"}
    page = await desk.submit(await desk.open("/account"), "/account", password="not it at all", **new)
    assert page.status == 403
    page = await desk.submit(await desk.open("/account"), "/account", password=PASSWORD, new_password="коротке",
                             repeat_password="коротке")  # fmt: skip
    assert (page.status, "10" in page.text) == (422, True)
    page = await desk.submit(await desk.open("/account"), "/account", password=PASSWORD, **new)
    assert "Пароль змінено" in page.text
    assert "/sign-in" in (await other.open("/live")).url
    assert (await desk.open("/live")).status == 200, "who has changed it goes on"
    desk = await site.stranger()
    assert (await desk.sign_in("operator", "нове гасло довге")).status == 200


async def test_the_language_is_chosen_before_signing_in_and_stays(site: Site) -> None:
    site.hire(Role.OPERATOR)
    desk = await site.stranger()
    page = await desk.open("/sign-in")
    assert "Пароль" in page.text
    page = await desk.submit(page, "/language", language="en")
    assert page.url == f"{BASE}/sign-in"
    assert "Password" in page.text
    assert "My seat" in (await desk.sign_in("operator")).text


async def test_everybody_comes_home_to_his_own_work(site: Site) -> None:
    for role, home in ((Role.OPERATOR, "/seat"), (Role.CONTROL, "/live"), (Role.EXECUTOR, "/appeals")):
        desk = await site.person(role)
        assert (await desk.open("/")).url == BASE + home
