"""What a department's own system is told, in the transaction of what it tells of, and what nobody is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select

from crm import appeals, edits, privacy, schema, webhooks
from crm.errors import BadInput, NotFound, Stale
from crm.life import Action
from crm.schema import delivery
from crm.store import insert_row
from crm.webhooks import Delivery
from tests.crm.conftest import PHONE, City

URL = "https://heating.city.ua/1551?town=kyiv"


def hook(city: City, name: str = "АСУ", department_id: int | None = None, url: str = URL) -> int:
    return webhooks.add(city.conn, name=name, url=url, department_id=department_id, private=False, now=city.now,
                        staff_id=city.operator)[0]  # fmt: skip


def told(city: City, webhook_id: int) -> list[dict[str, Any]]:
    rows = city.conn.execute(select(delivery.c.body).where(delivery.c.webhook_id == webhook_id).order_by(delivery.c.id))
    return [row.body for row in rows]


def due(city: City) -> list[Delivery]:
    return webhooks.due(city.conn, city.now, each=9)


def test_whom_it_lies_with_is_told_what_is_to_be_done(city: City) -> None:
    its = hook(city, department_id=city.heating)
    made = city.registered(flat="5")
    (body,) = told(city, its)
    assert body == {
        "id": f"{made.number}-2", "at": "2026-11-24T10:00:00+00:00", "number": made.number, "action": "assign",
        "from": "registered", "to": "assigned", "department": {"id": city.heating, "name": "Київтеплоенерго"},
        "subject": {"id": city.no_heating, "name_uk": "Немає опалення", "name_en": "No heating"},
        "kind": "application", "priority": False, "registered_at": "2026-11-24T10:00:00+00:00",
        "due_at": made.due_at.isoformat(timespec="seconds"), "note": "", "text": "Немає опалення",
        "address": {"district": "Оболонський", "street": "проспект Степана Бандери", "building": "12-А", "flat": "5",
                    "place": ""},
        "applicant": {"name": "Марія Іваненко", "phones": [PHONE]},
    }  # fmt: skip


def test_its_whole_life_is_told_in_order_and_the_code_never(city: City) -> None:
    its = hook(city, department_id=city.heating)
    made = city.registered()
    city.execute(made.id)
    said = told(city, its)
    assert [body["action"] for body in said] == ["assign", "execute", "ask"]
    assert [body["id"] for body in said] == [f"{made.number}-{version}" for version in (2, 3, 4)]
    assert said[1]["note"] == "Відновили"
    for body in said[1:]:
        assert body.keys().isdisjoint({"text", "applicant"}), "it need not be told again"
    for body in said:
        assert not any(made.code == each for each in _values(body)), "the code is the applicant's"


def _values(body: Any) -> list[str]:
    if isinstance(body, dict):
        return [each for value in body.values() for each in _values(value)]
    return [each for value in body for each in _values(value)] if isinstance(body, list) else [str(body)]


def test_only_those_whose_appeal_it_is_hear_of_it(city: City) -> None:
    above = insert_row(city.conn, schema.department, {"name": "Департамент"})
    city.conn.execute(schema.department.update().where(schema.department.c.id == city.heating)
                      .values(superior_id=above))  # fmt: skip
    edits.log_edit(city.conn, now=city.now, staff_id=None, what="department", key=city.heating, before=None, after=None)
    mine, over, all, roads = (hook(city, str(id), id) for id in (city.heating, above, None, city.roads))
    city.registered()
    assert [len(told(city, id)) for id in (mine, over, all, roads)] == [1, 1, 1, 0]


def test_who_had_it_hears_that_it_is_gone_and_no_more_of_it(city: City) -> None:
    heating, roads = hook(city, "h", city.heating), hook(city, "r", city.roads)
    made = city.registered()
    appeals.act(city.conn, made.id, Action.ASSIGN, now=city.now, department_id=city.roads)
    appeals.act(city.conn, made.id, Action.START, now=city.now)
    assert told(city, heating)[1:] == [{
        "id": f"{made.number}-3", "at": "2026-11-24T10:00:00+00:00", "number": made.number, "action": "assign",
        "from": "assigned", "to": "assigned", "department": {"id": city.roads, "name": "Київавтодор"}}]  # fmt: skip
    assert [body["action"] for body in told(city, roads)] == ["assign", "start"]
    assert told(city, roads)[0]["text"] == "Немає опалення"


def test_what_is_switched_off_is_told_nothing(city: City) -> None:
    its = hook(city)
    city.registered()
    webhooks.change(city.conn, its, 1, name="АСУ", url=URL, department_id=None, active=False, private=False,
                    now=city.now, staff_id=None)  # fmt: skip
    city.registered()
    assert len(told(city, its)) == 1
    assert due(city) == [], "and what waits, waits"
    webhooks.change(city.conn, its, 2, name="АСУ", url=URL, department_id=None, active=True, private=False,
                    now=city.now, staff_id=None)  # fmt: skip
    assert len(due(city)) == 1


def test_what_is_rolled_back_was_never_told(city: City) -> None:
    its = hook(city)
    savepoint = city.conn.begin_nested()
    city.registered()
    savepoint.rollback()
    assert told(city, its) == []


def test_of_an_appeal_only_the_first_is_due_and_of_another_too(city: City) -> None:
    hook(city)
    city.execute(city.registered().id)
    city.registered()
    first, other = due(city)
    assert [each.body["action"] for each in (first, other)] == ["assign", "assign"]
    webhooks.failed(city.conn, first, "HTTP 500", city.now, away=True)
    assert due(city) == [other], "the later ones of the first wait for it"
    webhooks.delivered(city.conn, other, city.now)
    city.later(seconds=10)
    (again,) = due(city)
    assert (again.id, again.tries) == (first.id, 1)
    webhooks.delivered(city.conn, again, city.now)
    assert [each.body["action"] for each in due(city)] == ["execute"]


def test_what_was_delivered_keeps_no_word_of_it(city: City) -> None:
    its = hook(city)
    made = city.registered()
    webhooks.delivered(city.conn, due(city)[0], city.now)
    assert told(city, its) == [{"id": f"{made.number}-2", "at": "2026-11-24T10:00:00+00:00", "number": made.number,
                                "action": "assign"}]  # fmt: skip
    webhooks.failed(city.conn, Delivery(1, its, made.id, {}, 0, "", ""), "late", city.now, away=True)
    assert due(city) == [], "once taken, never again"
    city.later(days=8)
    assert webhooks.forget(city.conn, city.now) == 1


def test_pauses_grow_to_a_day_and_never_end() -> None:
    refused = [webhooks.pause_s(tries, away=False) for tries in range(1, 40)]
    away = [webhooks.pause_s(tries, away=True) for tries in range(1, 40)]
    assert refused == sorted(refused)
    assert (refused[0], refused[-1], away[-1]) == (10, 86400, 3600)


def test_who_looks_sees_what_waits_and_why(city: City) -> None:
    its = hook(city)
    made = city.execute(city.registered().id)
    webhooks.failed(city.conn, due(city)[0], "HTTP 500 no room", city.now, away=False)
    standing = webhooks.standing(city.conn, its)
    assert (standing.waiting, standing.failing, standing.error) == (3, 1, "HTTP 500 no room")
    waiting = webhooks.waiting(city.conn, its, 2)
    assert [(each.appeal, each.action, each.tries) for each in waiting] == [
        (made.number, "assign", 1), (made.number, "execute", 0)]  # fmt: skip
    assert webhooks.again(city.conn, its, city.now) == 1
    assert len(due(city)) == 1
    webhooks.leave_out(city.conn, its, waiting[0].id, city.now, city.operator)
    assert [each.body["action"] for each in due(city)] == ["execute"], "what comes after it need not wait"
    with pytest.raises(NotFound):
        webhooks.leave_out(city.conn, its, waiting[0].id, city.now, city.operator)


def test_a_secret_is_shown_once_and_stands_in_no_log(city: City) -> None:
    its, secret = webhooks.add(city.conn, name="АСУ", url=URL, department_id=None, private=False, now=city.now,
                               staff_id=None)  # fmt: skip
    other = webhooks.new_secret(city.conn, its, now=city.now, staff_id=None)
    city.registered()
    assert secret != other == due(city)[0].secret
    logged = str(edits.recent(city.conn, ["webhook"], 9))
    assert URL in logged
    assert secret not in logged
    assert other not in logged


def test_a_system_that_is_no_more_is_switched_off_once(city: City) -> None:
    its = hook(city)
    webhooks.gone(city.conn, its, city.now)
    webhooks.gone(city.conn, its, city.now)
    assert not webhooks.get(city.conn, its).active
    assert [each.after for each in edits.recent(city.conn, ["webhook"], 9)][:1] == [{"active": False}]
    assert len(edits.recent(city.conn, ["webhook"], 9)) == 2


def test_two_who_change_it_at_once(city: City) -> None:
    its = hook(city)
    values: dict[str, Any] = {"url": URL, "department_id": None, "active": True, "private": False, "now": city.now,
                              "staff_id": None}  # fmt: skip
    webhooks.change(city.conn, its, 1, name="А", **values)
    with pytest.raises(Stale):
        webhooks.change(city.conn, its, 1, name="Б", **values)
    hook(city, "Б")
    with pytest.raises(BadInput, match=r"webhook.name_taken"):
        webhooks.change(city.conn, its, 2, name="Б", **values)
    with pytest.raises(BadInput, match=r"webhook.no_name"):
        hook(city, " ")
    with pytest.raises(NotFound):
        webhooks.get(city.conn, 999)


@pytest.mark.parametrize(("url", "id"), [
    ("http://heating.city.ua/", "webhook.url"), ("ftp://heating.city.ua/", "webhook.url"), ("", "webhook.url"),
    ("https://", "webhook.url"), ("https://user:word@heating.city.ua/", "webhook.url"),
    ("https://heating.city.ua/#a", "webhook.url"), ("https://heating.city.ua:99999/", "webhook.url"),
    ("https://опалення.укр/", "webhook.url"), ("https://a b/", "webhook.url"), ("https://[::1/", "webhook.url"),
    ("https://a_b.ua\\@x/", "webhook.url"), ("https://localhost/", "webhook.private"),
    ("https://127.0.0.1/", "webhook.private"), ("https://10.1.2.3:8443/", "webhook.private"),
    ("https://[::1]/", "webhook.private"), ("https://[::ffff:10.0.0.1]/", "webhook.private"),
    ("https://169.254.169.254/latest", "webhook.private"), ("https://[fd00::1]/", "webhook.private"),
    ("https://[64:ff9b::7f00:1]/", "webhook.private"), ("https://db.internal/", "webhook.private"),
    ("https://0.0.0.0/", "webhook.private"), ("https://224.0.0.1/", "webhook.private"),
])  # fmt: skip
def test_only_addresses_outside_and_by_https_may_be_told(url: str, id: str) -> None:
    with pytest.raises(BadInput, match=id):
        webhooks.check_url(url, private=False)
    if id == "webhook.private":
        webhooks.check_url(url, private=True)


@pytest.mark.parametrize("url", [URL, "https://93.184.216.34:8443/x", "https://[2606:2800:220:1::1]/", "https://a.ua"])
def test_an_ordinary_address_may(url: str) -> None:
    webhooks.check_url(url, private=False)
    webhooks.check_url("http://10.0.0.1/", private=True)


@given(st.ip_addresses(v=4), st.sampled_from(["{}", "::ffff:{}"]))
def test_no_private_address_is_called_however_it_is_written(at: Any, written: str) -> None:
    public = webhooks.is_public(written.format(at))
    assert not public or (at.is_global and not at.is_multicast)


def test_whoever_is_erased_is_told_of_no_more(city: City) -> None:
    """What waits for a system that is away must not outlast what we keep ourselves."""
    its = hook(city)
    made = city.registered()
    appeals.act(city.conn, made.id, Action.EXPLAIN, now=city.now, note="Марії Іваненко пояснено")
    city.conn.execute(insert(delivery), {"webhook_id": its, "appeal_id": made.id, "body": {"id": "1", "text": "Марія"},
                                         "state": "sent", "created_at": city.now, "due_at": city.now})  # fmt: skip
    privacy.erase(city.conn, city.citizen, reason="заява № 1", now=city.now + timedelta(days=1), staff_id=None)
    assert "Іваненко" not in str(told(city, its))
    assert "Марія" not in str(told(city, its))
    assert due(city) == []
