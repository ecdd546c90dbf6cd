"""The centre's people and one person's data, as an administrator meets them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from sqlalchemy import select

from crm import appeals, citizens, people, phones, promises, schema
from crm.life import Action
from crm.people import PERMISSIONS, Permission, Role
from crm.promise_rules import Reason, Rules
from tests.web.conftest import CALLER, Site


def logged(site: Site, what: str) -> list[tuple[object, object]]:
    """(who, what after) of the edits of one kind, as text."""
    e = schema.edit_log.c
    with site.db.read() as conn:
        return [(row.staff_id, row.after) for row in conn.execute(select(e.staff_id, e.after).where(e.what == what))]


def given_in(text: str) -> str:
    """The password that a page shows."""
    return text.split("Одноразовий пароль")[-1].split()[0]


async def test_somebody_is_added_with_a_password_that_is_shown_once(site: Site) -> None:
    admin = await site.person(Role.ADMINISTRATOR)
    page = await admin.open("/people")
    made = await admin.submit(page, "/people", login="o.koval", name="Оксана Коваль", role="operator", language="uk")
    password = given_in(made.text)
    assert password not in (await admin.open("/people")).text
    assert "Оксана Коваль" in (await admin.open("/people")).text
    newcomer = await site.stranger()
    assert (await newcomer.sign_in("o.koval", password)).status == 200
    [(who, after)] = logged(site, "staff")
    assert who == site.staff["administrator"]
    assert password not in str(after)


async def test_what_is_wrong_is_told_and_what_was_typed_stays(site: Site) -> None:
    admin = await site.person(Role.ADMINISTRATOR)
    for fields, said in (
        ({"login": "Їжак", "name": "Н", "role": "operator"}, "Логін складається"),
        ({"login": "administrator", "name": "Новий", "role": "operator"}, "Такий логін уже є"),
        ({"login": "new", "name": "Новий", "role": "executor"}, "Служба потрібна виконавцеві"),
        ({"login": "new", "name": "", "role": "operator"}, "Вкажіть ім’я"),
        ({"login": "new", "name": "Новий", "role": "king"}, "Оберіть роль"),
        ({"login": "new", "name": "Новий", "role": "operator", "email": "нікуди"}, "електронної пошти"),
    ):
        answer = await admin.post("/people", **fields)
        assert answer.status_code == 422
        assert said in answer.text
        assert f'value="{fields["login"]}"' in answer.text


async def test_a_new_role_holds_at_once_and_signs_out(site: Site) -> None:
    admin = await site.person(Role.ADMINISTRATOR)
    operator = await site.person(Role.OPERATOR)
    path = f"/people/{site.staff['operator']}"
    page = await admin.open(path)
    await admin.submit(page, path, role="analyst")
    assert (await operator.http.get("/seat", follow_redirects=False)).headers["location"].startswith("/sign-in")
    await operator.sign_in("operator")
    assert (await operator.open("/seat")).status == 403
    assert (await operator.open("/reports")).status == 200


async def test_nobody_signs_in_who_was_switched_off(site: Site) -> None:
    admin = await site.person(Role.ADMINISTRATOR)
    operator = await site.person(Role.OPERATOR)
    path = f"/people/{site.staff['operator']}"
    answer = await admin.post(path, name="Людина operator", role="operator")
    assert answer.status_code == 303
    assert (await operator.http.get("/seat", follow_redirects=False)).status_code == 303
    assert (await operator.sign_in("operator")).status == 403


async def test_a_lost_password_is_replaced_and_its_sessions_end(site: Site) -> None:
    admin = await site.person(Role.ADMINISTRATOR)
    operator = await site.person(Role.OPERATOR)
    path = f"/people/{site.staff['operator']}"
    given = await admin.submit(await admin.open(path), f"{path}/password")
    password = given_in(given.text)
    assert (await operator.http.get("/seat", follow_redirects=False)).status_code == 303
    assert (await operator.sign_in("operator")).status == 403
    assert (await operator.sign_in("operator", password)).status == 200
    assert logged(site, "staff") == [(site.staff["administrator"], {"password": "new"})]


async def test_what_somebody_can_do_is_kept_and_goes_with_him_to_his_seat(site: Site) -> None:
    admin = await site.person(Role.ADMINISTRATOR)
    operator = await site.person(Role.OPERATOR)
    path = f"/people/{site.staff['operator']}"
    assert 'name="skill_social" value="1">' in (await admin.open(path)).html
    await admin.submit(await admin.open(path), path, skill_social="1")
    page = (await admin.open(path)).html
    assert 'name="skill_social" value="1" checked' in page
    assert 'name="skill_en" value="1">' in page
    assert logged(site, "staff") == [(site.staff["administrator"], {"skills": "social"})]
    await operator.submit(await operator.open("/seat"), "/seat", seat="101")
    assert [asked["skills"] for asked in site.line.did("login")] == [["social"]]
    assert (await admin.post(path, name="Людина", role="operator", active="1")).status_code == 303
    assert "checked" not in (await admin.open(path)).html.split("Що вміє")[1].split("</fieldset>")[0]


async def test_the_last_administrator_stays(site: Site) -> None:
    admin = await site.person(Role.ADMINISTRATOR)
    path = f"/people/{site.staff['administrator']}"
    for fields in ({"role": "analyst", "active": "1"}, {"role": "administrator"}):
        answer = await admin.post(path, name="Я", **fields)
        assert answer.status_code == 422
        assert "останній адміністратор" in answer.text
    site.hire(Role.ADMINISTRATOR, "second")
    assert (await admin.post(path, name="Я", role="analyst", active="1")).status_code == 303


async def test_the_table_of_permissions_is_the_one_that_decides(site: Site) -> None:
    admin = await site.person(Role.ADMINISTRATOR)
    page = (await admin.open("/people/permissions")).text
    assert page.split().count("так") == sum(len(given) for given in PERMISSIONS.values())


# ── one person's data ────────────────────────────────────────────────────────────────────────
async def test_a_person_is_found_given_out_and_erased(site: Site) -> None:
    admin = await site.person(Role.ADMINISTRATOR)
    number = site.appeal(text="Моя таємниця")
    with site.db.write() as conn:
        [citizen] = citizens.by_phone(conn, CALLER)
        promises.make(conn, e164=CALLER, reason=Reason.WAITING, now=datetime.now(UTC), rules=Rules())
    path = f"/privacy/citizens/{citizen.id}"
    for said in ("044 123 45 67", str(number)):
        assert path in [link for link, _ in (await admin.open(f"/privacy?said={said}")).links]
    page = await admin.open(path)
    for known in ("Олена Шевчук", "Моя таємниця", str(number), "Зареєстровано", "Обіцяні дзвінки"):
        assert known in page.text
    data = await admin.http.get(f"{path}/data")
    assert data.headers["content-disposition"] == f'attachment; filename="1551-{citizen.id}.json"'
    assert json.loads(data.text)["appeals"][0]["text"] == "Моя таємниця"

    assert (await admin.post(path, reason="Заява № 1")).status_code == 422  # not sure
    refused = await admin.post(path, reason="Заява № 1", sure="1")
    assert refused.status_code == 422
    assert str(number) in refused.text  # still dealt with
    with site.db.write() as conn:
        its = appeals.by_number(conn, number)
        assert its is not None
        appeals.act(conn, its.id, Action.WITHDRAW, now=datetime.now(UTC), note="Більше не треба")
    assert (await admin.post(path, reason=" ", sure="1")).status_code == 422
    gone = await admin.submit(await admin.open(path), path, reason="Заява № 1", sure="1")
    assert gone.status == 200
    assert phones.display(CALLER) in page.text
    for secret in ("Олена", "таємниця", "Більше не треба", phones.display(CALLER)):
        assert secret not in gone.text
    assert (await admin.open("/privacy?said=044 123 45 67")).status == 200


async def test_who_looked_is_told_by_person_appeal_and_staff(site: Site) -> None:
    admin = await site.person(Role.ADMINISTRATOR)
    control = await site.person(Role.CONTROL)
    number = site.appeal()
    other = site.appeal(name="Інша", phone="+380671112233")
    await control.open(f"/appeals/{number}")
    with site.db.read() as conn:
        [citizen] = citizens.by_phone(conn, CALLER)
    for query in ("", f"?by=citizen&key={citizen.id}", f"?by=appeal&key={number}", "?by=staff&key=control"):
        assert "Людина control" in (await admin.open(f"/privacy/log{query}")).text, query
    for query in ("?by=citizen&key=999", f"?by=appeal&key={other}", "?by=staff&key=nobody", "?by=appeal&key=їжак"):
        assert "Людина control" not in (await admin.open(f"/privacy/log{query}")).text, query


async def test_looking_at_a_person_is_itself_on_the_log(site: Site) -> None:
    admin = await site.person(Role.ADMINISTRATOR)
    site.appeal()
    with site.db.read() as conn:
        [citizen] = citizens.by_phone(conn, CALLER)
    await admin.open(f"/privacy/citizens/{citizen.id}")
    with site.db.read() as conn:
        looks = conn.execute(select(schema.access_log.c.staff_id, schema.access_log.c.what)).all()
    assert looks == [(site.staff["administrator"], "citizen")]
    assert people.may(Role.ADMINISTRATOR, Permission.PRIVACY)
