"""Every page tried by every role, as the table in ``web.app`` allows or denies it, and by strangers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.routing import Route

from centre.settings import Settings
from crm.life import Action
from crm.people import FOR_ACTION, PERMISSIONS, Permission, Role
from crm.store import Database
from tests.web import filled
from tests.web.conftest import BASE, FakeLine, Site
from tests.web.filled import Filled
from web import create_app
from web.app import PAGES
from web.visit import SESSION

# What is open to everybody without a sign-in: a new route must be put into one list or the other.
OPEN = {"/healthz", "/metrics", "/static/{name}", "/sign-in", "/sign-in/code", "/language"}
DENIED = "Ваша роль не дає права"


def test_the_roles_of_the_table_meet_every_page() -> None:
    """No page is for nobody, none but the open ones and those about oneself is for everybody."""
    for page in PAGES:
        roles = {role for role in Role if page.needs and set(page.needs) & PERMISSIONS[role]}
        if page.needs:
            assert roles, page.path
            assert roles < set(Role), page.path


def test_every_route_is_known(site: Site) -> None:
    routed = {route.path for route in site.app.routes if isinstance(route, Route)}
    assert routed == {page.path for page in PAGES} | OPEN | {"/events"}
    assert {page.path for page in PAGES if page.needs is None} <= OPEN


@pytest.fixture
async def centre(settings: Settings, sqlite_url: str) -> AsyncIterator[tuple[Filled, FakeLine, httpx.AsyncClient]]:
    """A centre where every address has something behind it, and a browser."""
    db, line = Database(sqlite_url), FakeLine()
    made = filled.fill(db, settings)
    app = create_app(settings, db, line, secret="a test's secret", clock=lambda: filled.NOW)
    async with app.router.lifespan_context(app), httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=BASE, headers={"Origin": BASE}) as browser:  # fmt: skip
        yield made, line, browser
    db.close()


async def test_each_role_opens_its_pages_and_no_other(
        centre: tuple[Filled, FakeLine, httpx.AsyncClient]) -> None:  # fmt: skip
    """Each page with each role: as the table says, with something behind the address; no form is taken without the
    mark of the page that it was on, from nobody."""
    made, line, browser = centre
    line.reply = {"spoken": {}}
    wrong = []
    for role in Role:
        token, csrf = made.session(role)
        browser.cookies.set(SESSION, token)
        for page in PAGES:
            if not page.needs:
                continue
            address, allowed = made.address(page.path), bool(set(page.needs) & PERMISSIONS[role])
            if page.method == "POST":
                unmarked = await browser.post(address, data={"csrf": "guess"})
                if unmarked.status_code != 403 or line.asked:
                    wrong.append(f"{role} {page.method} {page.path} without its mark: {unmarked.status_code}")
                answer = await browser.post(address, data={"csrf": csrf})
                line.asked.clear()
            else:
                answer = await browser.get(address)
            denied = answer.status_code == 403 and DENIED in answer.text
            if denied is allowed or answer.status_code == 500:  # a page may still refuse what is another person's
                wrong.append(f"{role} {page.method} {page.path}: {answer.status_code}")
    assert wrong == []


async def test_strangers_are_shown_the_way_in_and_change_nothing(
        centre: tuple[Filled, FakeLine, httpx.AsyncClient]) -> None:  # fmt: skip
    made, line, browser = centre
    for page in PAGES:
        if page.needs is None:
            continue
        address = made.address(page.path)
        if page.method == "GET":
            answer = await browser.get(address)
            assert answer.status_code == 303, page.path
            assert answer.headers["location"].startswith("/sign-in"), page.path
        else:
            assert (await browser.post(address, data={"csrf": "guess"})).status_code == 403, page.path
    assert (await browser.get("/events")).status_code == 403
    assert line.asked == []


async def test_the_menu_shows_only_what_opens(site: Site) -> None:
    for role in Role:
        desk = await site.person(role)
        page = await desk.open("/account")
        for link, _ in page.links:
            if link.startswith("/") and link != "/":
                assert (await desk.open(link)).status == 200, f"{role} {link}"


async def test_an_executor_sees_his_departments_appeals_only(site: Site) -> None:
    operator = await site.person(Role.OPERATOR)
    site.calling()
    for subject in ("Опалення", "Холодна вода"):
        page = await operator.open("/calls/1767000000.1")
        await operator.submit(page, "/calls/1767000000.1/appeals", name="Олена", address="Хрещатик 22", subject=subject,
                              text=f"Про {subject}")  # fmt: skip
    heat = await site.person(Role.EXECUTOR)
    water = await site.person(Role.EXECUTOR, "water", "Київводоканал")
    heating = site.city.departments["Київтеплоенерго"]
    for desk, own, other in ((heat, "26000001", "26000002"), (water, "26000002", "26000001")):
        for path in ("/appeals", "/appeals?state=assigned", f"/appeals?department={heating}&overdue="):
            page = await desk.open(path)
            assert (own in page.text, other in page.text) == (True, False), path
        assert (await desk.open(f"/appeals/{own}")).status == 200
        assert (await desk.open(f"/appeals/{other}")).status == 404
        answer = await desk.post(f"/appeals/{other}", action="execute", note="Зроблено", version="1")
        assert answer.status_code == 404


@pytest.mark.parametrize("role", [role for role in Role if Permission.SEE_APPEALS in PERMISSIONS[role]])
async def test_an_appeals_page_offers_a_role_its_actions_and_takes_no_other(site: Site, role: Role) -> None:
    desk, number = await site.person(role), site.appeal()
    page = await desk.open(f"/appeals/{number}")
    offered = {form.fields["action"] for form in page.forms if "action" in form.names}
    mine = {action for action, permission in FOR_ACTION.items() if permission in PERMISSIONS[role]}
    assert offered <= mine
    for action in set(Action) - offered - (mine & {Action.JOIN}):  # there is no incident to join
        answer = await desk.post(f"/appeals/{number}", action=action, note="Так", version="2", number=str(number),
                                 department="1", until="2030-01-01")  # fmt: skip
        assert answer.status_code in (403, 409), action
    assert (await desk.open(f"/appeals/{number}")).html.count("<li><span class=\"when\">") == 2, "nothing was done"
