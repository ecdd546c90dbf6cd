"""Open311 GeoReport v2 as programs see it: by the specification, and with a client that exists."""

from __future__ import annotations

import asyncio
import importlib
import io
import itertools
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from crm import api_keys, attachments, filing, schema
from crm.filing import Filing
from crm.law import Kind
from crm.life import Action
from tests.portal.programs import BEGAN, EITHER, Office, over_http, photo
from tests.portal.programs import http as http
from tests.portal.programs import office as office
from web.portal import open311, sparks

V2 = "/open311/v2"
REQUEST = ["service_request_id", "status", "status_notes", "service_name", "service_code", "description",
           "agency_responsible", "service_notice", "requested_datetime", "updated_datetime", "expected_datetime",
           "address", "address_id", "zipcode", "lat", "long", "media_url"]  # fmt: skip
TEXT = "Батареї холодні вже третій день, у квартирі немовля."
PERSONAL = ("Батареї", "немовля", "Олена", "Шевчук", "0671112233", "380671112233", "olena@", "41-Б", "22")


def form(office: Office, key: str, **changed: str) -> dict[str, str]:
    """What a client posts, without what is ""."""
    said = {"api_key": key, "service_code": str(office.city.subjects["Опалення"]),
            "address_string": "вулиця Хрещатик, 22", "first_name": "Олена", "last_name": "Шевчук",
            "phone": "067 111 22 33", "description": TEXT}  # fmt: skip
    return {name: value for name, value in {**said, **changed}.items() if value}


async def filed(http: httpx.AsyncClient, office: Office, key: str, **changed: str) -> str:
    """Its number."""
    answer = await http.post(f"{V2}/requests.json", data=form(office, key, **changed))
    assert answer.status_code == 200, answer.text
    number: str = answer.json()[0]["service_request_id"]
    return number


def tree(answer: httpx.Response) -> ElementTree.Element:
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert answer.content.lower().startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    return ElementTree.fromstring(answer.content)


async def refused(http: httpx.AsyncClient, said: dict[str, str], status: int, *words: str) -> None:
    answer = await http.post(f"{V2}/requests.json", data=said)
    assert answer.status_code == status, answer.text
    errors = answer.json()
    assert errors[0].keys() == {"code", "description"}
    assert status in [error["code"] for error in errors]
    for word in words:
        assert any(word in error["description"] for error in errors), (word, errors)


# ── what there is ──
async def test_a_client_finds_the_endpoint_and_what_it_speaks(office: Office, http: httpx.AsyncClient) -> None:
    said = (await http.get("/open311/discovery.json")).json()
    assert list(said) == ["changeset", "contact", "key_service", "endpoints"]
    assert "1551" in said["contact"]
    assert said["endpoints"] == [{
        "specification": "http://wiki.open311.org/GeoReport_v2", "url": "https://1551.example.ua/open311/v2",
        "changeset": said["changeset"], "type": "production", "formats": ["text/xml", "application/json"]}]
    root = tree(await http.get("/open311/discovery.xml"))
    assert root.tag == "discovery"
    assert [each.text for each in root.findall("endpoints/endpoint/formats/format")] == ["text/xml", "application/json"]
    assert root.findtext("endpoints/endpoint/url") == said["endpoints"][0]["url"]


async def test_the_services_are_the_subjects_that_an_appeal_can_be_about(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    heating = str(office.city.subjects["Опалення"])
    found = (await http.get(f"{V2}/services.json?jurisdiction_id=kyiv.ua", headers={"Accept-Language": "en"})).json()
    assert found[0] == {"service_code": heating, "service_name": "Heating", "description": "Housing: Heating",
                        "metadata": True, "type": "realtime", "keywords": "Опалення, Heating", "group": "Housing"}
    with office.db.write() as conn:
        conn.execute(update(schema.subject).where(schema.subject.c.id == int(heating)).values(active=False))
    root = tree(await http.get(f"{V2}/services.xml"))
    assert (root.tag, [each.tag for each in root], [each.findtext("service_name") for each in root]) == (
        "services", ["service"], ["Холодна вода"])
    assert [each.tag for each in root[0]] == list(found[0])
    assert root[0].findtext("metadata") == "true"
    assert (await http.get(f"{V2}/services/{heating}.json")).status_code == 404


async def test_the_definition_asks_for_the_flat_and_no_more(office: Office, http: httpx.AsyncClient) -> None:
    address = f"{V2}/services/{office.city.subjects['Опалення']}"
    said = (await http.get(f"{address}.json")).json()
    assert said["service_code"] == str(office.city.subjects["Опалення"])
    [attribute] = said["attributes"]
    assert list(attribute) == ["variable", "code", "datatype", "required", "datatype_description", "order",
                               "description", "values"]
    assert (attribute["code"], attribute["required"], attribute["order"]) == ("FLAT", False, 1)
    root = tree(await http.get(f"{address}.xml"))
    assert root.tag == "service_definition"
    assert root.findtext("attributes/attribute/required") == "false"


# ── filing ──
@EITHER
async def test_a_request_becomes_an_appeal_of_its_channel(office: Office, http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{V2}/requests.json", data=form(
        office, office.key("open311"), email="Olena@Example.UA", **{"attribute[FLAT]": "41-Б"}))
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    [said] = answer.json()
    its = office.only()
    assert list(said) == ["service_request_id", "service_notice", "account_id"]
    assert said["service_request_id"] == str(its.number)
    assert its.code in said["service_notice"]
    assert (its.channel, its.text, its.flat, its.building_id) == (
        "open311", TEXT, "41-Б", office.city.buildings["Хрещатик 22"])
    with office.db.read() as conn:
        row = conn.execute(select(schema.citizen.c.name, schema.citizen.c.email, schema.citizen_phone.c.e164,
                                  schema.appeal.c.tell_by, schema.appeal.c.tell_to)
                           .join(schema.citizen_phone).join(schema.appeal)).one()  # fmt: skip
    assert tuple(row) == ("Олена Шевчук", "olena@example.ua", "+380671112233", "email", "olena@example.ua")
    assert office.line.did("changed") == [{"do": "changed", "what": "appeals"}]


async def test_a_program_that_does_not_escape_its_letters_is_understood(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    body = "&".join(f"{name}={value}" for name, value in form(office, office.key()).items()).encode()
    answer = await http.post(f"{V2}/requests.json", content=body,
                             headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})
    assert answer.status_code == 200, answer.text
    assert office.only().text == TEXT


async def test_the_same_in_xml(office: Office, http: httpx.AsyncClient) -> None:
    root = tree(await http.post(f"{V2}/requests.xml", data=form(office, office.key())))
    assert root.tag == "service_requests"
    assert [each.tag for each in root] == ["request"]
    assert [each.tag for each in root[0]] == ["service_request_id", "service_notice", "account_id"]
    assert root.findtext("request/service_request_id") == str(office.only().number)


async def test_an_address_is_read_as_people_and_as_the_specification_write_it(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    """Which building is meant is never guessed: what is not plainly one is kept in words."""
    key = office.key()
    for n, (said, label) in enumerate((
            ("22, вулиця Хрещатик, Київ", "Хрещатик 22"), ("10-а, Московський проспект, Київ", "Бандери 10-А"),
            ("22 Хрещатик", "Хрещатик 22"), ("просп. Бандери 10", "Бандери 10"), ("Хрещатик 2", None),
            ("біля парку", None), ("Бандери", None))):  # fmt: skip
        its = office.get(await filed(http, office, key, address_string=said, description=f"Холодно {n}"))
        assert (its.building_id, its.place) == ((office.city.buildings[label], "") if label else (None, said))


async def test_a_place_may_be_a_building_of_ours_or_a_point_on_the_map(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    key, home = office.key(), office.city.buildings["Бандери 10"]
    await filed(http, office, key, address_string="", address_id=str(home))
    assert office.only().building_id == home
    [held] = (await http.post(f"{V2}/requests.json", data=form(
        office, key, address_string="", lat="50.45012", long="30.52341"))).json()
    assert "token" in held, "the law wants an address"
    with office.db.read() as conn:
        kept = conn.execute(select(schema.message.c.data).where(schema.message.c.done_at.is_(None))).scalar_one()
    assert kept["place"] == "50.45012, 30.52341"
    number = await filed(http, office, key, address_string="біля парку", lat="50.45012", long="30.52341")
    assert office.get(number).place == "біля парку (50.45012, 30.52341)"


async def test_what_is_wrong_is_said_at_once_and_in_the_language_asked_for(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    key = office.key()
    answer = await http.post(f"{V2}/requests.xml", headers={"Accept-Language": "en-GB, uk;q=0.5"}, data={
        "api_key": key, "phone": "none", "email": "nobody", "lat": "91", "long": "30", "attribute[WHAT]": "x"})
    root = tree(answer)
    assert (answer.status_code, root.tag) == (400, "errors")
    assert [error.findtext("code") for error in root.findall("error")] == ["400"] * 5
    said = [error.findtext("description") or "" for error in root.findall("error")]
    assert [any(word in each for each in said) for word in (
        "service_code", "lat and long", "WHAT", "telephone", "e-mail")] == [True] * 5  # fmt: skip
    assert office.count() == 0


async def test_what_a_client_may_not_send_is_refused_by_the_numbers_of_the_specification(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    key = office.key()
    right = form(office, key)
    await refused(http, {**right, "api_key": ""}, 403, "ключа")
    await refused(http, {**right, "api_key": "x" * 43}, 403, "вимкнений")
    await refused(http, {**right, "service_code": "99999"}, 404, "service_code")
    await refused(http, {**right, "service_code": ""}, 400, "service_code")
    await refused(http, {**right, "address_string": ""}, 400, "address_string")
    await refused(http, {**right, "address_id": "77777"}, 400, "address_id")
    await refused(http, {**right, "lat": "50"}, 400, "lat")
    await refused(http, {**right, "lat": "nan", "long": "inf"}, 400, "lat")
    await refused(http, {**right, "description": "а" * 4001}, 400, "4000")
    await refused(http, {**right, "media_url": "file:///etc/passwd"}, 400, "media_url")
    await refused(http, {**right, "media_url": "https://a.ua/ x"}, 400, "media_url")
    await refused(http, {**right, "attribute[FLAT]": "4" * 21}, 400, "20")
    assert office.count() == 0


async def test_a_key_that_is_switched_off_files_nothing(office: Office, http: httpx.AsyncClient) -> None:
    key = office.key()
    with office.db.write() as conn:
        its = api_keys.keys(conn)[0]
        api_keys.change(conn, its.id, its.version, name=its.name, channel=its.channel, hourly_cap=its.hourly_cap,
                        active=False, now=BEGAN, staff_id=None)  # fmt: skip
    await refused(http, form(office, key), 403)


# ── once, and not too often ──
@EITHER
async def test_the_same_words_are_one_appeal_and_so_are_those_under_one_mark(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    key = office.key()
    first = await filed(http, office, key)
    office.clock.later(minutes=56)  # in the next hour of the clock
    assert await filed(http, office, key) == first
    assert await filed(http, office, key, jurisdiction_id="kyiv.ua") == first
    office.clock.later(hours=2)
    assert await filed(http, office, key) != first
    mark = {"Idempotency-Key": "0b7d9f0e-1c7e-4c7e-9d52-0d5d0e3c2a11"}
    said = [await http.post(f"{V2}/requests.json", headers=mark, data=form(office, key, description="Тече кран"))
            for _ in range(2)]  # fmt: skip
    assert said[0].json() == said[1].json()
    other = await http.post(f"{V2}/requests.json", headers=mark, data=form(office, key, description="Інше"))
    assert other.status_code == 400
    assert office.count() == 3


async def test_another_program_that_says_the_same_is_another(office: Office, http: httpx.AsyncClient) -> None:
    one, two = office.key(name="а"), office.key(name="б")
    assert await filed(http, office, one) != await filed(http, office, two)


@EITHER
async def test_sent_many_times_at_once_it_is_filed_once(office: Office, http: httpx.AsyncClient) -> None:
    key = office.key()
    assert len({*await asyncio.gather(*(filed(http, office, key) for _ in range(5)))}) == 1
    assert office.count() == 1


async def test_beyond_its_number_an_hour_a_program_is_told_to_wait(office: Office, http: httpx.AsyncClient) -> None:
    key = office.key(cap=2)
    first, _ = [await filed(http, office, key, description=f"Холодно {n}") for n in range(2)]
    answer = await http.post(f"{V2}/requests.json", data=form(office, key, description="Ще"))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, str(55 * 60))
    assert await filed(http, office, key, description="Холодно 0") == first, "what was taken is answered all the same"
    office.clock.later(minutes=55)
    await filed(http, office, key, description="Ще")


async def test_one_telephone_behind_a_program_cannot_flood_us(office: Office, http: httpx.AsyncClient) -> None:
    """Beyond the bound a person looks first; another's is nothing to do with it."""
    key = office.key()
    sent = [(await http.post(f"{V2}/requests.json", data=form(
        office, key, device_id="a", phone="", email=f"{n}@a.ua", description=f"Холодно {n}"))).json()[0]
        for n in range(21)]  # fmt: skip
    assert [("token" in said) for said in sent] == [False] * 20 + [True]
    await filed(http, office, key, device_id="b", phone="", description="Холодно")


# ── held ──
@EITHER
async def test_who_gives_no_name_gets_a_token_and_the_number_once_there_is_one(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    answer = await http.post(f"{V2}/requests.json", data=form(office, office.key(), last_name=""))
    [said] = answer.json()
    assert list(said) == ["token", "service_notice", "account_id"]
    assert "закон" in said["service_notice"]
    address = f"{V2}/tokens/{said['token']}"
    assert (await http.get(f"{address}.json")).json() == [{"service_request_id": None, "token": said["token"]}]
    with office.db.write() as conn:
        message_id = conn.execute(select(schema.message.c.id)).scalar_one()
        made = filing.file(conn, Filing(
            channel="open311", name="Олена Шевчук", subject_id=office.city.subjects["Опалення"], text=TEXT,
            place="Хрещатик, 22", message_id=message_id), now=office.clock.now)  # fmt: skip
    assert (await http.get(f"{address}.json")).json() == [
        {"service_request_id": str(made.number), "token": said["token"]}]
    root = tree(await http.get(f"{address}.xml"))
    assert [each.tag for each in root[0]] == ["service_request_id", "token"]


async def test_a_token_that_is_not_ours_opens_nothing(office: Office, http: httpx.AsyncClient) -> None:
    [said] = (await http.post(f"{V2}/requests.json", data=form(office, office.key(), first_name=""))).json()
    id, _, seal = said["token"].partition("-")
    for token in (f"{int(id) + 1}-{seal}", id, f"{id}-", "x", f"{id}-{seal[:-1]}{'0' if seal[-1] != '0' else '1'}"):
        assert (await http.get(f"{V2}/tokens/{token}.json")).status_code == 404, token


async def test_what_a_person_has_looked_at_and_put_aside_has_no_number(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    [said] = (await http.post(f"{V2}/requests.json", data=form(office, office.key(), first_name=""))).json()
    with office.db.write() as conn:
        conn.execute(update(schema.message).values(state="spam", done_at=office.clock.now))
    assert (await http.get(f"{V2}/tokens/{said['token']}.json")).status_code == 404


# ── pictures ──
async def test_photos_come_with_the_request(office: Office, http: httpx.AsyncClient) -> None:
    """The way FixMyStreet and ``three`` send them: a form with files."""
    key = office.key()
    both = [("media", ("a.jpg", photo(), "image/jpeg")), ("media", ("b.png", photo("blue", "PNG"), "x/y"))]
    answers = [await http.post(f"{V2}/requests.json", data=form(office, key), files=both) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    with office.db.read() as conn:
        kept = attachments.of_appeal(conn, office.only().id)
    assert [(each.name, each.media_type) for each in kept] == [("a.jpg", "image/jpeg"), ("b.png", "image/png")]
    assert all(attachments.place(office.settings.attachments, each.sha256).is_file() for each in kept)


async def test_what_is_no_photo_is_refused_with_words(office: Office, http: httpx.AsyncClient) -> None:
    key = office.key()
    for body in (b"<svg onload=alert(1)>", b"", photo()[:30]):
        answer = await http.post(f"{V2}/requests.json", data=form(office, key),
                                 files=[("media", ("a.jpg", body, "image/jpeg"))])  # fmt: skip
        assert answer.status_code == 400, body
    assert office.count() == 0


async def test_where_a_photo_is_said_to_be_is_written_down_and_not_visited(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    await filed(http, office, office.key(), media_url="http://169.254.169.254/latest/meta-data")
    assert office.only().text == f"{TEXT}\nЗаявник вказав, де фото: http://169.254.169.254/latest/meta-data"


# ── what everybody reads ──
@EITHER
async def test_a_request_is_shown_with_all_its_fields_and_nothing_of_whose_it_is(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    office.widen()
    number = await filed(http, office, office.key("open311"), email="olena@a.ua", **{"attribute[FLAT]": "41-Б"})
    answer = await http.get(f"{V2}/requests/{number}.json")
    [said] = answer.json()
    assert list(said) == REQUEST
    assert said == {
        "service_request_id": number, "status": "open", "status_notes": "Прийнято і передано відповідальним.",
        "service_name": "Опалення", "service_code": str(office.city.subjects["Опалення"]), "description": "Опалення",
        "agency_responsible": "Київтеплоенерго", "service_notice": None,
        "requested_datetime": "2026-11-24T12:05:00+02:00", "updated_datetime": "2026-11-24T12:05:00+02:00",
        "expected_datetime": said["expected_datetime"], "address": "вулиця Хрещатик, Шевченківський район",
        "address_id": None, "zipcode": None, "lat": None, "long": None, "media_url": None}
    assert datetime.fromisoformat(said["expected_datetime"]) > BEGAN
    root = tree(await http.get(f"{V2}/requests/{number}.xml"))
    assert [each.tag for each in root[0]] == REQUEST
    listed = (await http.get(f"{V2}/requests.xml")).text + (await http.get(f"{V2}/requests.json")).text
    for each in (answer.text, listed):
        # The number of the year stands in every date and number of an appeal.
        assert [word for word in PERSONAL if word in each.replace(number, "")] == []


async def test_a_request_is_closed_when_the_appeal_has_ended_and_not_before(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    number = await filed(http, office, office.key())
    office.clock.later(days=1)
    office.act(int(number), Action.EXECUTE)
    [said] = (await http.get(f"{V2}/requests/{number}.json")).json()
    assert (said["status"], said["updated_datetime"]) == ("open", "2026-11-25T12:05:00+02:00")
    assert "заявник ще" in said["status_notes"]
    office.clock.later(days=1)
    office.act(int(number), Action.WITHDRAW)
    [said] = (await http.get(f"{V2}/requests/{number}.json")).json()
    assert (said["status"], said["updated_datetime"]) == ("closed", "2026-11-26T12:05:00+02:00")


async def test_a_complaint_about_somebody_is_shown_to_nobody(office: Office, http: httpx.AsyncClient) -> None:
    number = await filed(http, office, office.key())
    office.set(int(number), kind=Kind.COMPLAINT.value)
    assert (await http.get(f"{V2}/requests/{number}.json")).status_code == 404
    assert (await http.get(f"{V2}/requests.json?service_request_id={number}")).json() == []


async def listed(http: httpx.AsyncClient, query: str) -> list[str]:
    answer = await http.get(f"{V2}/requests.json?{query}")
    assert answer.status_code == 200, answer.text
    return [each["service_request_id"] for each in answer.json()]


@EITHER
async def test_every_filter_of_the_specification(office: Office, http: httpx.AsyncClient) -> None:
    key, water = office.key(), str(office.city.subjects["Холодна вода"])
    old = await filed(http, office, key, description="Давно")
    office.clock.later(days=100)
    one = await filed(http, office, key, description="Перше")
    office.clock.later(days=1)
    two = await filed(http, office, key, description="Друге", service_code=water)
    office.act(int(two), Action.REFUSE)
    heat = str(office.city.subjects["Опалення"])
    assert await listed(http, "") == [two, one], "the last ninety days"
    assert await listed(http, "status=open") == [one]
    assert await listed(http, "status=closed") == [two]
    assert await listed(http, "status=open,closed") == [two, one]
    assert await listed(http, f"service_code={heat}") == [one]
    assert await listed(http, f"service_code={heat},{water}") == [two, one]
    assert await listed(http, "service_code=none") == await listed(http, "service_request_id=none") == []
    assert await listed(http, f"service_request_id={old},{two}, 5,x&status=open&service_code={heat}") == [two, old], \
        "numbers outdo all else"  # fmt: skip
    assert await listed(http, "start_date=2026-11-24T00:00:00Z") == [old], "ninety days from then"
    assert await listed(http, "end_date=2026-11-24T12:05:00%2B02:00") == [old], "until then, it too"
    assert await listed(http, "end_date=2026-11-24T12:05:00+02:00") == [old], "a plus that came as a space"
    assert await listed(http, "end_date=2026-11-24T10:04:59Z") == []
    assert await listed(http, "start_date=2027-03-04T10:05:00Z&end_date=2027-03-05T00:00:00Z") == [one]
    assert await listed(http, "page_size=1") == [two]
    assert await listed(http, "page_size=1&page=2") == [one]
    assert await listed(http, "page_size=1&page=3") == await listed(http, "page=2") == []
    assert await listed(http, "start_date=&status=&service_code=&service_request_id=&page=") == [two, one]


REFUSED = (
    "start_date=2026-11-24", "start_date=2026-11-24T00:00:00", "end_date=yesterday", "status=pending",
    "start_date=2026-01-01T00:00:00Z&end_date=2026-06-01T00:00:00Z", "page=0", "page=x", "page_size=-1",
    "start_date=2026-12-01T00:00:00Z&end_date=2026-11-01T00:00:00Z", "start_date=0001-01-01T00:00:00%2B14:00",
    "start_date=9999-12-31T23:59:59Z", "end_date=0001-01-01T00:00:00Z", "status=%FF",
)  # fmt: skip


async def test_a_query_that_cannot_be_meant_is_refused(office: Office, http: httpx.AsyncClient) -> None:
    for query in REFUSED:
        answer = await http.get(f"{V2}/requests.json?{query}")
        assert (answer.status_code, answer.json()[0]["code"]) == (400, 400), query


# ── what strangers try ──
async def test_an_address_without_its_notation_is_answered_in_xml(office: Office, http: httpx.AsyncClient) -> None:
    for path, status in ((f"{V2}/services", 404), (f"{V2}/services.yaml", 400), ("/open311", 404),
                         (f"{V2}/x.json", 404), (f"{V2}/requests/1.json", 404), (f"{V2}/requests/%00.json", 404)):
        answer = await http.get(path, follow_redirects=True)
        assert answer.status_code == status, path
        said = answer.json() if "json" in answer.headers["content-type"] else tree(answer).findtext("error/code")
        assert str(status) in str(said)


BODIES = (
    (b"api_key=%ff%fe", "application/x-www-form-urlencoded"), (b"{}", "application/json"),
    (b"<x/>", "text/xml"), (b"a=b&" * 300, "application/x-www-form-urlencoded"),
    (b"--x\r\nbroken", "multipart/form-data; boundary=x"), (b"--x", "multipart/form-data"), (b"", ""),
    (b"a" * 70_000, "application/x-www-form-urlencoded"),
)  # fmt: skip


async def test_a_body_that_is_no_form_is_refused(office: Office, http: httpx.AsyncClient) -> None:
    for content, kind in BODIES:
        answer = await http.post(f"{V2}/requests.xml", content=content, headers={"Content-Type": kind} if kind else {})
        assert answer.status_code in (400, 403), content[:20]
        assert tree(answer).tag == "errors"


async def test_the_answers_carry_the_headers_of_every_answer(office: Office, http: httpx.AsyncClient) -> None:
    for answer in (await http.get(f"{V2}/services.json"), await http.get(f"{V2}/none.json")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


async def test_while_the_database_is_away_a_client_is_told_to_come_again(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    with office.db.write() as conn:
        conn.exec_driver_sql("ALTER TABLE api_key RENAME TO away")
    answer = await http.post(f"{V2}/requests.json", data=form(office, "x" * 43))
    assert (answer.status_code, answer.json()[0]["code"]) == (503, 503)


# ── parsers and notations ──
@given(st.text(max_size=300))
def test_any_words_are_read_as_some_address(said: str) -> None:
    assert said in open311.readings(said)


@given(st.text(max_size=60))
def test_any_date_is_one_or_refused(said: str) -> None:
    try:
        at = open311._date(said)
    except open311.BadInput:
        return
    assert at is None or at.tzinfo is not None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda each: st.dictionaries(
    st.sampled_from(["description", "address", "lat"]), each)))  # fmt: skip
def test_whatever_it_says_both_notations_can_be_read(value: Any) -> None:
    assert json.loads(sparks.write("request", value, "json")) is not NotImplemented
    assert ElementTree.fromstring(sparks.write("request", value, "xml")).tag == "request"


# ── a client that exists ──
@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, str]]:
    with over_http(tmp_path_factory.mktemp("open311")) as made:
        yield made


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package as it is published. It was written for Python 2, whose name for ``filter`` it is lent; its reading of
    XML is past such help."""
    monkeypatch.setattr(itertools, "ifilter", filter, raising=False)
    return importlib.import_module("three.core")


def test_the_client_three_finds_files_and_follows(served: tuple[Office, str], three: Any) -> None:
    office, address = served
    client = three.Three(f"{address}/open311/v2", api_key=office.key("open311"), jurisdiction="kyiv.ua")
    assert client.discovery()["endpoints"][0]["specification"].endswith("GeoReport_v2")
    service = client.services()[0]
    assert client.services(service["service_code"])["attributes"][0]["code"] == "FLAT"
    [made] = client.post(service["service_code"], address="22, вулиця Хрещатик, Київ", name="Олена Шевчук",
                         phone="0671112233", description=TEXT, media=io.BytesIO(photo()))  # fmt: skip
    its = office.only()
    assert made["service_request_id"] == str(its.number)
    with office.db.read() as conn:
        assert len(attachments.of_appeal(conn, its.id)) == 1
    [found] = client.request(made["service_request_id"])
    assert (found["status"], found["service_name"]) == ("open", "Опалення")
    day = BEGAN.strftime("%m-%d-%Y")
    following = (BEGAN + timedelta(days=1)).strftime("%m-%d-%Y")
    assert [each["service_request_id"] for each in client.requests(start=day, end=following)] == [str(its.number)]
    assert client.requests(service["service_code"], count=1, status="closed") == []
    [held] = client.post(service["service_code"], address="біля парку", first_name="Олена", description="Темно")
    assert client.token(held["token"]) == [{"service_request_id": None, "token": held["token"]}]
    refused = three.Three(f"{address}/open311/v2", api_key="none").post(service["service_code"], address="x")
    assert refused[0]["code"] == 403


def test_the_client_three_gets_xml_that_can_be_read(served: tuple[Office, str], three: Any) -> None:
    client = three.Three(f"{served[1]}/open311/v2", format="xml")
    root = ElementTree.fromstring(client.get("services", convert=False))
    assert [each.findtext("type") for each in root] == ["realtime", "realtime"]
