"""The first sign-in and those after it: a password of one's own, the second factor, and one's open sign-ins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pyotp
import pytest
from sqlalchemy import select, update

from centre.settings import Settings
from crm import people, schema
from crm.people import Role
from tests.web.conftest import BASE, PASSWORD, Desk, Site, hashed
from tests.web.test_people import logged
from web import agents, known
from web.pages import account

OWN = "зовсім інші три слова"
SAFE = "https://1551.test"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"require_totp": True})


def newcomer(site: Site, role: Role) -> str:
    """The login of somebody with a password that he was given."""
    site.hire(role)
    with site.db.write() as conn:
        people.give_password(conn, site.staff[role], hashed(), people.Edit(datetime.now(UTC), None))
    return role.value


async def over_https(site: Site) -> Desk:
    return Desk(await site.desks.enter_async_context(httpx.AsyncClient(
        transport=httpx.ASGITransport(site.app), base_url=SAFE, follow_redirects=True, timeout=30)))  # fmt: skip


def code(secret: str, steps: int = 0) -> str:
    return str(pyotp.TOTP(secret).at(datetime.now(UTC) + timedelta(seconds=30 * steps)))


async def test_a_given_password_is_changed_before_anything_else_opens(site: Site) -> None:
    login = newcomer(site, Role.OPERATOR)
    desk = await site.stranger()
    page = await desk.submit(await desk.open("/calls?day=2026-11-24"), "/sign-in", login=login, password=PASSWORD)
    assert page.url == f"{BASE}/account?next=%2Fcalls%3Fday%3D2026-11-24"
    assert "Придумайте свій пароль" in page.text
    assert [link for link, _ in page.links if link.startswith("/") and link not in ("/", "/account")] == []
    assert (await desk.http.get("/events")).status_code == 403
    assert (await desk.post("/seat", seat="101")).headers["location"] == "/account"
    assert site.line.asked == []
    for new, said in (("operator-2026", "лише ваш логін"), ("йцукенгшщз", "пробують першим"), (PASSWORD, "той самий")):
        assert said in (await desk.submit(page, "/account", new_password=new, repeat_password=new)).text
    page = await desk.submit(page, "/account", new_password=OWN, repeat_password=OWN)
    assert (page.status, page.url) == (200, f"{BASE}/calls?day=2026-11-24")
    assert (await (await site.stranger()).sign_in(login, PASSWORD)).status == 403
    assert (await (await site.stranger()).sign_in(login, OWN)).url == f"{BASE}/seat", "an operator needs no more"


async def test_who_sees_much_signs_in_with_a_second_factor_and_an_administrator_takes_it_away(site: Site) -> None:
    login = newcomer(site, Role.SUPERVISOR)
    desk = await site.stranger()
    own, secret = await desk.sign_in_first(login, PASSWORD)
    assert len(secret) == 32
    assert (await desk.open("/live")).status == 200
    assert secret not in (await desk.open("/account")).html
    assert "двоетапний вхід" in (await desk.open("/account/second-factor")).text.lower()

    other = await site.stranger()
    asked = await other.sign_in(login, own)
    assert (asked.status, asked.url) == (200, f"{BASE}/sign-in")
    assert "/sign-in" in (await other.open("/live")).url, "the password alone opens nothing"
    assert own not in asked.html
    thief = await site.stranger()
    await thief.open("/sign-in")
    fields = asked.form("/sign-in/code", {}).fields
    csrf = (await thief.open("/sign-in")).form("/sign-in", {}).fields["csrf"]
    for proof in (fields["proof"], "", "1-9999999999.x", f"{site.staff[login]}-9999999999.{'0' * 64}"):
        answer = await thief.http.post("/sign-in/code", headers={"Origin": BASE}, data={
            "csrf": csrf, "next": "", "proof": proof, "code": code(secret, 1)})  # fmt: skip
        assert answer.status_code == 403, "the password was given in another browser, or never"
    wrong = await other.submit(asked, "/sign-in/code", code="000000" if code(secret) != "000000" else "000001")
    assert (wrong.status, "Код не підходить" in wrong.text) == (403, True)
    assert (await other.submit(wrong, "/sign-in/code", code=code(secret, 1))).url == f"{BASE}/seat"
    again = await site.stranger()
    page = await again.submit(await again.sign_in(login, own), "/sign-in/code", code=code(secret, 1))
    assert page.status == 403, "a code is taken once"

    admin = await site.stranger()
    await admin.sign_in_first(newcomer(site, Role.ADMINISTRATOR), PASSWORD)
    path = f"/people/{site.staff[login]}"
    assert secret not in (await admin.open(path)).html
    await admin.submit(await admin.open(path), f"{path}/second-factor")
    assert "/sign-in" in (await desk.open("/live")).url
    assert (site.staff["administrator"], {"second_factor": "taken"}) in logged(site, "staff")
    assert (await other.sign_in(login, own)).url == f"{BASE}/account/second-factor"


async def test_the_code_is_to_come_soon_after_the_password(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    login = newcomer(site, Role.SUPERVISOR)
    own, secret = await (await site.stranger()).sign_in_first(login, PASSWORD)
    monkeypatch.setattr(account, "CODE_WITHIN", timedelta(0))
    desk = await site.stranger()
    page = await desk.submit(await desk.sign_in(login, own), "/sign-in/code", code=code(secret, 1))
    assert (page.status, "ще раз" in page.text) == (403, True)


async def test_one_sees_and_ends_ones_own_sign_ins_and_an_administrator_anybodys(site: Site) -> None:
    first = await site.person(Role.OPERATOR)
    second, third = await site.stranger(), await site.stranger()
    third.http.headers["User-Agent"] = "Mozilla/5.0 (Windows NT 10.0; rv:130.0) Gecko/20100101 Firefox/130.0"
    for desk in (second, third):
        await desk.sign_in("operator")
    await second.submit(await second.open("/seat"), "/seat", seat="101")
    page = await first.open("/account")
    for known_by in ("Firefox 130, Windows", "127.0.0.1", "101", "цей вхід"):
        assert known_by in page.text
    marks = [button for form in page.forms for button in form.options.get("session", {})]
    assert len(set(marks)) == 3, "two others, and all of them"
    await first.submit(page, "/account/sessions", session=marks[0])
    assert "/sign-in" in (await third.open("/seat")).url, "the latest stands first"
    assert (await second.open("/seat")).url == f"{BASE}/seat"
    await first.submit(await first.open("/account"), "/account/sessions", session="")
    assert "/sign-in" in (await second.open("/seat")).url
    assert [asked["seat"] for asked in site.line.did("logout")] == ["101"], "no call rings where nobody is"
    assert (await first.open("/seat")).url == f"{BASE}/seat"

    admin = await site.stranger()
    await admin.sign_in_first(newcomer(site, Role.ADMINISTRATOR), PASSWORD)
    path = f"/people/{site.staff['operator']}"
    await admin.submit(await admin.open(path), f"{path}/sessions")
    assert "/sign-in" in (await first.open("/seat")).url
    assert "ніде не ввійшов" in (await admin.open(path)).text


async def test_over_https_cookies_are_this_hosts_and_https_stays(site: Site) -> None:
    newcomer(site, Role.OPERATOR)
    desk = await over_https(site)
    page = await desk.open("/sign-in")
    answer = await desk.http.post("/sign-in", follow_redirects=False, headers={"Origin": SAFE}, data={
        **page.form("/sign-in", {}).fields, "login": "operator", "password": PASSWORD})  # fmt: skip
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    cookies = answer.headers.get_list("set-cookie")
    assert {cookie.split("=")[0] for cookie in cookies} == {"__Host-session", "__Host-known"}
    for cookie in cookies:
        assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(cookie.split("; ")), cookie
        assert "domain" not in cookie.lower()
    assert (await desk.open("/account")).url == f"{SAFE}/account"
    assert "strict-transport-security" not in (await (await site.stranger()).http.get("/sign-in")).headers
    await desk.submit(await desk.open("/account"), "/sign-out")
    assert "__Host-session" not in desk.http.cookies


async def test_a_browser_that_is_known_does_not_wait_for_strangers(site: Site) -> None:
    """Its cookie names nobody, and nobody else can make one."""
    site.hire(Role.OPERATOR)
    desk = await site.stranger()
    await desk.sign_in("operator")
    cookie = desk.http.cookies["known"]
    assert "operator" not in cookie

    def place(secret: str, cookie: str, login: str) -> str:
        request = httpx.Request("GET", BASE)
        request.client = None  # type: ignore[attr-defined]
        return known.place(secret, request, cookie, login).browser  # type: ignore[arg-type]

    secret = site.app.state.parts.secret
    mark = cookie.split(".")[0]
    assert place(secret, cookie, " Operator ") == mark
    shared = known.remembering(secret, cookie, "second")
    assert {place(secret, shared, login) for login in ("operator", "second")} == {mark}
    for forged in (known.remembering("another secret", "", "operator"), mark, f"{mark}.", "..", "", "x" * 5000,
                   cookie.replace(mark, "0" * 32)):  # fmt: skip
        assert place(secret, forged, "operator") == ""
    assert place(secret, cookie, "second") == ""


async def test_a_session_that_is_used_goes_on(site: Site) -> None:
    desk = await site.person(Role.ANALYST)
    with site.db.write() as conn:  # almost over
        conn.execute(update(schema.session).values(expires_at=datetime.now(UTC) + timedelta(minutes=1)))
    assert (await desk.open("/live")).status == 200
    with site.db.read() as conn:
        until = conn.scalars(select(schema.session.c.expires_at)).one()
    left = until - datetime.now(UTC)
    assert timedelta(minutes=site.settings.session_idle_minutes - 1) < left <= timedelta(
        minutes=site.settings.session_idle_minutes)  # fmt: skip


@pytest.mark.parametrize(("agent", "short"), [
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 "
     "Edg/126.0.0.0", "Edge 126, Windows"),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
     "Chrome 140, Linux"),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
     "Mobile/15E148 Safari/604.1", "Safari 17, iOS"),
    ("curl/8.5", ""),
])  # fmt: skip
def test_browsers_by_their_names(agent: str, short: str) -> None:
    assert agents.short(agent) == short
