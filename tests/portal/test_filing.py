"""Filing at the portal: what becomes an appeal, what a person looks at first, what is known already."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from crm import attachments, citizens, filing, incidents, messages, schema
from crm.filing import Filing
from crm.messages import Held, State
from tests.pictures import JPEG, PDF
from tests.portal.conftest import FILED, NAME, PHONE, Portal, Resident


async def opened(portal: Portal, address: str = "127.0.0.1") -> tuple[Resident, Any]:
    resident = await portal.resident(address)
    return resident, await resident.open("/file")


def held(portal: Portal) -> list[Any]:
    """Messages that wait for a person: (id, reason, text)."""
    m = schema.message.c
    with portal.db.read() as conn:
        return list(conn.execute(select(m.id, m.reason, m.text).where(m.state == State.NEW.value)))


async def test_an_appeal_with_a_photo_is_filed_and_its_receipt_shown(portal: Portal) -> None:
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", [("тепло.jpg", JPEG), ("акт.pdf", PDF)], **FILED, flat="41",
                               auto_confirm="1")  # fmt: skip
    [its] = portal.appeals()
    assert page.status == 200, page.text
    assert str(its.number) in page.text
    assert its.code in page.text
    assert "done=filed" in page.url  # the browser's draft is not needed any more
    assert (its.channel, its.building_id, its.flat) == ("web", portal.city.buildings["Бандери 10"], "41")
    with portal.db.read() as conn:
        who = citizens.get(conn, its.citizen_id or 0)
        files = attachments.of_appeal(conn, its.id)
        [told] = conn.execute(select(schema.appeal.c.tell_by, schema.appeal.c.tell_to)).all()
    assert (who.name, [each.e164 for each in who.phones], who.auto_confirm) == (NAME, [PHONE], True)
    assert [each.name for each in files] == ["тепло.jpg", "акт.pdf"]
    assert tuple(told) == ("sms", PHONE)
    assert portal.line.did("changed") == [{"do": "changed", "what": "appeals"}]


async def test_the_same_form_sent_twice_is_one_appeal_and_the_same_receipt(portal: Portal) -> None:
    resident, page = await opened(portal)
    first = await resident.fill(page, "/file", [("тепло.jpg", JPEG)], **FILED)
    second = await resident.fill(page, "/file", [("тепло.jpg", JPEG)], **FILED)
    assert first.url == second.url
    assert len(portal.appeals()) == 1
    third = await resident.fill(await resident.open("/file"), "/file", **FILED)
    assert third.url != first.url


@pytest.mark.parametrize(("changed", "reason"), [
    ({"middle_name_2": "Robot"}, Held.ADVERT), ({"text": "http://a http://b www.c"}, Held.ADVERT),
    ({"name": "", "nameless": "1"}, Held.NAMELESS),
])  # fmt: skip
async def test_what_a_person_must_look_at_is_kept_and_its_sender_told_so(
    portal: Portal, changed: dict[str, str], reason: Held
) -> None:
    resident, page = await opened(portal)
    if not changed.get("name", NAME):  # what only the form offers that came back without a name
        page = await resident.fill(page, "/file", [("тепло.jpg", JPEG)], **{**FILED, "name": ""})
        assert portal.appeals() == held(portal) == []
    page = await resident.fill(page, "/file", [("тепло.jpg", JPEG)], **{**FILED, **changed})
    assert page.status == 200
    assert "нічого не втрачено" in page.text
    [(message_id, why, text)] = held(portal)
    assert (why, text, portal.appeals()) == (reason, {**FILED, **changed}["text"], [])
    with portal.db.read() as conn:
        assert [each.name for each in messages.files_of(conn, message_id)] == ["тепло.jpg"]

    portal.now += timedelta(hours=3)  # a specialist makes an appeal of it
    with portal.db.write() as conn:
        made = filing.file(conn, Filing(
            channel="web", name=NAME, subject_id=portal.city.subjects["Опалення"], text=text, phone=PHONE,
            building_id=portal.city.buildings["Бандери 10"], message_id=message_id), now=portal.now)  # fmt: skip
    page = await resident.open(page.url)
    assert f"№ {made.number}" in page.text
    [receipt] = [address for address, _ in page.links if address.endswith("/receipt")]
    assert made.code in (await resident.open(receipt)).text


async def test_what_was_added_to_anothers_appeal_opens_nothing_of_it(portal: Portal) -> None:
    anothers = portal.file(text="Сусід скаржиться.")
    portal.now += timedelta(hours=1)
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", **{**FILED, "middle_name_2": "x"})
    [(message_id, *_)] = held(portal)
    with portal.db.write() as conn:
        messages.add_to(conn, message_id, anothers.id, now=portal.now, staff_id=None)
    page = await resident.open(page.url)
    assert "долучено до відомої справи" in page.text
    assert str(anothers.number) not in page.html
    assert "/a/" not in page.html


async def test_too_many_from_one_address_wait_for_a_person_and_others_do_not(portal: Portal) -> None:
    portal.settings.__dict__["file_hourly"] = 2
    for n in range(4):
        resident, page = await opened(portal, "203.0.113.7")
        await resident.fill(page, "/file", **{**FILED, "text": f"Батареї, під’їзд {n}."})
    assert (len(portal.appeals()), [why for _, why, _ in held(portal)]) == (2, [Held.RATE, Held.RATE])
    resident, page = await opened(portal, "203.0.113.8")
    page = await resident.fill(page, "/file", **{**FILED, "text": "Ліфт."})
    assert "/receipt" in page.url


@pytest.mark.parametrize("joins", [True, False])
async def test_a_known_failure_is_told_before_and_joined_by_one_button(portal: Portal, joins: bool) -> None:
    heat, home = portal.city.subjects["Опалення"], portal.city.buildings["Бандери 10"]
    with portal.db.write() as conn:
        incident = incidents.declare(conn, subject_id=heat, cause="Прорив на теплотрасі.", now=portal.now,
                                     staff_id=None, building_id=home)  # fmt: skip
    resident, page = await opened(portal)
    page = await resident.fill(page, "/file", [("тепло.jpg", JPEG)], **FILED)
    assert "Прорив на теплотрасі." in page.text
    assert "ще не надіслано" in page.text
    assert portal.appeals() == []
    page = await resident.fill(page, "/file", join=str(incident) if joins else "other", **FILED)
    assert "/receipt" in page.url, page.text
    [its] = portal.appeals()
    assert its.incident_id == (incident if joins else None)
    with portal.db.read() as conn:
        assert len(attachments.of_appeal(conn, its.id)) == 1


async def test_no_failure_of_another_place_is_joined(portal: Portal) -> None:
    with portal.db.write() as conn:
        incident = incidents.declare(conn, subject_id=portal.city.subjects["Опалення"], cause="Деінде.",
                                     now=portal.now, staff_id=None,
                                     building_id=portal.city.buildings["Хрещатик 22"])  # fmt: skip
    resident, page = await opened(portal)
    fields = {**page.form("/file", {}).fields, **FILED, "subject": str(portal.city.subjects["Опалення"]),
              "join": str(incident), "seen": f"i{incident}"}  # fmt: skip
    await resident.http.post("/file", data=fields)
    [its] = portal.appeals()
    assert its.incident_id is None
