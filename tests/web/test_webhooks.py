"""The webhooks' pages: one is made and its secret shown once; what waits is seen, sent again or left out."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from crm import appeals, webhooks
from crm.life import Action
from crm.people import Role
from tests.web.conftest import Desk, Site

URL = "https://heating.city.ua/1551"


async def made(desk: Desk, **changed: str) -> tuple[str, str]:
    """The address of its page, and its secret."""
    page = await desk.open("/rules/webhooks/new")
    page = await desk.submit(page, "/rules/webhooks/new", **{"name": "Диспетчерська", "url": URL, **changed})
    found = re.search(r'href="(/rules/webhooks/\d+)"', page.html)
    secret = re.search(r'<code class="big key">([^<]+)</code>', page.html)
    assert found, page.text
    assert secret, page.text
    return found[1], secret[1]


async def test_one_is_made_and_its_secret_shown_once(site: Site) -> None:
    desk = await site.person(Role.ADMINISTRATOR)
    assert "Вебхуків ще немає." in (await desk.open("/rules/webhooks")).text
    at, secret = await made(desk, department="Київтеплоенерго")
    page = await desk.open(at)
    assert secret not in page.html
    assert page.form(at, {}).fields["url"] == URL
    assert "Київтеплоенерго" in (await desk.open("/rules/webhooks")).text
    page = await desk.submit(page, f"{at}/act", do="secret")
    other = re.search(r'<code class="big key">([^<]+)</code>', page.html)
    assert other is not None
    assert other[1] != secret
    page = await desk.open(at)
    assert other[1] not in page.html
    assert "новий секрет" in page.text
    with site.db.read() as conn:
        (its,) = webhooks.listed(conn)
    assert its.department_id == site.city.departments["Київтеплоенерго"]


async def test_what_is_wrong_is_said_and_what_was_typed_is_kept(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    for url, said in (("http://heating.city.ua/", "https://"), ("https://10.0.0.7/", "внутрішній мережі")):
        page = await desk.submit(await desk.open("/rules/webhooks/new"), "/rules/webhooks/new", name="А", url=url)
        assert (page.status, said in page.text) == (422, True)
        assert page.form("/rules/webhooks/new", {}).fields["url"] == url
    at, _ = await made(desk)
    page = await desk.open(at)
    await desk.submit(page, at, name="Інша")
    page = await desk.submit(page, at, name="Ще інша")
    assert page.status == 409, "somebody saved it first"
    assert (await desk.open("/rules/webhooks/999")).status == 404


async def test_what_waits_is_seen_and_sent_again_or_left_out(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    at, _ = await made(desk)
    site.appeal()
    now = datetime.now(UTC)
    with site.db.write() as conn:
        (first,) = webhooks.due(conn, now, each=9)
        appeals.act(conn, first.appeal_id, Action.START, now=now)
        webhooks.failed(conn, first, "HTTP 503 <b>ремонт</b>", now, away=True)
    page = await desk.open(at)
    assert "Чекають 2 повідомлення" in page.text
    assert "HTTP 503 <b>ремонт</b>" in page.text, "shown as it is, not as HTML"
    page = await desk.submit(page, f"{at}/act", do="again")
    assert "надсилаємо зараз" in page.text
    with site.db.read() as conn:
        assert [each.id for each in webhooks.due(conn, datetime.now(UTC), each=9)] == [first.id]
    page = await desk.submit(page, f"{at}/act", delivery=str(first.id), do="leave_out")
    assert "Чекає 1 повідомлення" in page.text
    assert f"пропущено повідомлення {first.body['id']}" in page.text
    with site.db.read() as conn:
        assert [each.body["action"] for each in webhooks.due(conn, datetime.now(UTC), each=9)] == ["start"]


async def test_one_that_is_switched_off_is_told_nothing(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    at, _ = await made(desk)
    form = (await desk.open(at)).form(at, {})
    answer = await desk.post(at, **{**form.fields, "active": ""})
    assert answer.status_code == 303
    assert "вимкнено" in (await desk.open("/rules/webhooks")).text
    site.appeal()
    with site.db.read() as conn:
        assert webhooks.standing(conn, int(at.rpartition("/")[2])).waiting == 0
