"""The API of the mobile app: what it documents it does, once, and tells nobody what is another's."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from sqlalchemy import select, update

from crm import appeals, attachments, confirmations, incidents, schema
from crm.confirmation_rules import Result
from crm.life import Action, State
from tests.portal.programs import BEGAN, EITHER, Office, over_http, photo
from tests.portal.programs import http as http
from tests.portal.programs import office as office

API = "/api/v1"
TEXT = "Батареї холодні вже третій день."


def said(office: Office, **changed: Any) -> dict[str, Any]:
    its = {"subject_id": office.city.subjects["Опалення"], "text": TEXT, "name": "Олена Шевчук",
           "phone": "067 111 22 33", "building_id": office.city.buildings["Бандери 10"], "flat": "41"}  # fmt: skip
    return {**its, **changed}


def headers(key: str, mark: str = "", **more: str) -> dict[str, str]:
    return {"X-API-Key": key, "Idempotency-Key": mark or str(uuid4()), **more}


async def filed(http: httpx.AsyncClient, office: Office, key: str, mark: str = "", **changed: Any) -> dict[str, Any]:
    answer = await http.post(f"{API}/appeals", json=said(office, **changed), headers=headers(key, mark))
    assert answer.status_code == 201, answer.text
    its: dict[str, Any] = answer.json()
    return its


def own(its: dict[str, Any]) -> dict[str, Any]:
    return {"number": its["number"], "code": its["code"]}


async def status(http: httpx.AsyncClient, its: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post(f"{API}/appeals/status", json=own(its))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def problem(answer: httpx.Response, status: int) -> str:
    """The id of what is wrong, told in the one shape of all errors."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert error.keys() - {"fields"} == {"id", "message"}
    assert error["message"]
    id: str = error["id"]
    return id


# ── filing ──
@EITHER
async def test_an_appeal_is_filed_with_number_code_and_page(office: Office, http: httpx.AsyncClient) -> None:
    body = said(office, email="Olena@A.UA", tell_by="email", auto_confirm=True)
    answer = await http.post(f"{API}/appeals", json=body, headers=headers(office.key()))
    its = office.only()
    assert answer.status_code == 201
    assert answer.json().keys() == {"number", "code", "due_at", "page"}
    assert (answer.json()["number"], answer.json()["code"]) == (its.number, its.code)
    assert re.fullmatch(rf"https://1551\.example\.ua/a/{its.number}-[a-z2-7]{{16}}", answer.json()["page"])
    assert (its.channel, its.text, its.flat) == ("mobile", TEXT, "41")
    with office.db.read() as conn:
        row = conn.execute(select(schema.citizen.c.name, schema.citizen.c.auto_confirm, schema.appeal.c.tell_to)
                           .join(schema.appeal)).one()  # fmt: skip
    assert tuple(row) == ("Олена Шевчук", True, "olena@a.ua")
    assert office.line.did("changed") == [{"do": "changed", "what": "appeals"}]


@EITHER
async def test_with_the_same_mark_it_is_filed_once_however_often_it_is_sent(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    key, mark = office.key(), str(uuid4())
    answers = await asyncio.gather(*(filed(http, office, key, mark) for _ in range(5)))
    assert all(each == answers[0] for each in answers)
    assert office.count() == 1
    other = await http.post(f"{API}/appeals", json=said(office, text="Інше"), headers=headers(key, mark))
    assert problem(other, 409) == "api_key.reused"
    assert str(answers[0]["code"]) not in other.text


async def test_photos_come_as_a_form(office: Office, http: httpx.AsyncClient) -> None:
    fields = {name: str(value) for name, value in said(office, auto_confirm="true", place="").items()}
    answer = await http.post(f"{API}/appeals", data=fields, headers=headers(office.key()), files=[
        ("photos", ("під’їзд.jpg", photo(), "image/jpeg")), ("photos", ("b.png", photo("blue", "PNG"), "image/png"))])
    assert answer.status_code == 201, answer.text
    with office.db.read() as conn:
        kept = attachments.of_appeal(conn, office.only().id)
    assert [(each.name, each.media_type) for each in kept] == [("під’їзд.jpg", "image/jpeg"), ("b.png", "image/png")]


async def test_what_is_no_photo_or_too_many_is_refused(office: Office, http: httpx.AsyncClient) -> None:
    fields, key = {name: str(value) for name, value in said(office).items()}, office.key()
    for body, id in ((b"<script>", "attachment.kind"), (b"", "attachment.empty"), (photo()[:99], "attachment.broken")):
        answer = await http.post(f"{API}/appeals", data=fields, headers=headers(key), files={"photos": ("a.jpg", body)})
        assert problem(answer, 422) == id
    six = [("photos", (f"{n}.jpg", photo())) for n in range(6)]
    answer = await http.post(f"{API}/appeals", data=fields, headers=headers(key), files=six)
    assert problem(answer, 422) == "form.too_many_files"
    assert office.count() == office.count(schema.message) == 0


async def test_while_the_disk_takes_no_more_nothing_is_half_filed(
        office: Office, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    fields, sent = {name: str(value) for name, value in said(office).items()}, {"photos": ("a.jpg", photo())}
    head = headers(office.key())
    with monkeypatch.context() as patch:
        patch.setattr("crm.attachments.os.link", full)
        answer = await http.post(f"{API}/appeals", data=fields, headers=head, files=sent)
        assert problem(answer, 503) == "api.no_room"
        assert int(answer.headers["retry-after"]) > 0
    assert office.count() == 0
    answer = await http.post(f"{API}/appeals", data=fields, headers=head, files=sent)
    assert answer.status_code == 201


async def test_whoever_joins_a_known_failure_is_a_part_of_it(office: Office, http: httpx.AsyncClient) -> None:
    home = office.city.buildings["Бандери 10"]
    with office.db.write() as conn:
        known = incidents.declare(conn, subject_id=office.city.subjects["Опалення"], cause="Прорив на вводі",
                                  building_id=home, now=BEGAN, staff_id=None)  # fmt: skip
    at = (await http.get(f"{API}/buildings/{home}")).json()
    assert [(each["id"], each["cause"]) for each in at["incidents"]] == [(known, "Прорив на вводі")]
    key = office.key()
    joined = await filed(http, office, key, incident_id=known, subject_id=office.city.subjects["Холодна вода"])
    apart = await filed(http, office, key, apart=True, text="Інша біда")
    assert [office.get(each["number"]).incident_id for each in (joined, apart)] == [known, None]
    elsewhere = said(office, incident_id=known, building_id=office.city.buildings["Хрещатик 22"])
    answer = await http.post(f"{API}/appeals", json=elsewhere, headers=headers(key))
    assert answer.json()["error"]["fields"].keys() == {"incident_id"}


async def test_what_is_wrong_is_said_field_by_field_in_the_language_asked_for(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    head = headers(office.key(), **{"Accept-Language": "en"})
    body = {"subject_id": "seven", "text": "", "flat": "4" * 21, "language": "fr", "colour": 1, "building_id": 0}
    answer = await http.post(f"{API}/appeals", json=body, headers=head)
    assert problem(answer, 422) == "api.fields"
    assert answer.json()["error"]["fields"] == {
        "subject_id": "No such value can stand here: see its type and bounds in the description.",
        "text": "This field is needed.", "flat": "Too long: at most 20 characters fit here.",
        "language": "Only one of the values in the description can stand here.", "colour": "There is no such field.",
        "building_id": "No such value can stand here: see its type and bounds in the description."}
    for changed, fields in (({"phone": "none"}, {"phone"}), ({"email": "nobody"}, {"email"})):
        answer = await http.post(f"{API}/appeals", json=said(office, **changed), headers=head)
        assert answer.json()["error"]["fields"].keys() == fields
    for changed, id in (({"subject_id": 9999}, "subject.unknown"), ({"building_id": 9999}, "building.unknown"),
                        ({"building_id": None}, "filing.no_place"), ({"tell_by": "email"}, "filing.no_way"),
                        ({"text": " \u0000 "}, "appeal.no_text")):  # fmt: skip
        answer = await http.post(f"{API}/appeals", json=said(office, **changed), headers=head)
        assert problem(answer, 422) == id
    assert office.count() == 0


async def test_nobody_files_without_a_key_or_a_mark(office: Office, http: httpx.AsyncClient) -> None:
    key = office.key()
    for head, id in (({"Idempotency-Key": str(uuid4())}, "api_key.none"), (headers("x" * 43), "api_key.wrong")):
        answer = await http.post(f"{API}/appeals", json=said(office), headers=head)
        assert problem(answer, 401) == id
    for head in ({"X-API-Key": key}, headers(key, "short"), headers(key, "with spaces, and long")):
        answer = await http.post(f"{API}/appeals", json=said(office), headers=head)
        assert answer.json()["error"]["fields"].keys() == {"Idempotency-Key"}
        assert answer.status_code == 422


async def test_bodies_that_are_none(office: Office, http: httpx.AsyncClient) -> None:
    head = headers(office.key())
    for content, kind, status, id in (
            (b"{", "application/json", 400, "api.unreadable"), (b"\xff", "application/json", 400, "api.unreadable"),
            (b'{"text": "\\ud800"}', "application/json", 400, "api.unreadable"),
            (b"[]", "application/json", 422, "api.fields"),
            (b"[" * 60_000, "application/json", 400, "api.unreadable"),
            (b" " * 70_000, "application/json", 413, "form.too_big"), (b"<a/>", "text/xml", 415, "api.content_type"),
            (b"a=b", "application/x-www-form-urlencoded", 415, "api.content_type"),
            (b"broken", "multipart/form-data; boundary=x", 400, "api.form"),
            (b"broken", "multipart/form-data", 400, "api.form")):  # fmt: skip
        answer = await http.post(f"{API}/appeals", content=content, headers={**head, "Content-Type": kind})
        assert (answer.status_code, answer.json()["error"]["id"]) == (status, id), content[:20]


async def test_beyond_its_number_an_hour_a_program_waits(office: Office, http: httpx.AsyncClient) -> None:
    key = office.key(cap=1)
    await filed(http, office, key)
    answer = await http.post(f"{API}/appeals", json=said(office, text="Ще"), headers=headers(key))
    assert problem(answer, 429) == "api_key.spent"
    assert answer.headers["retry-after"] == str(55 * 60)


# ── held ──
@EITHER
async def test_one_address_that_files_too_much_is_left_to_a_person_and_loses_nothing(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    key = office.key()
    for n in range(20):
        await filed(http, office, key, text=f"Холодно {n}", phone=f"06711122{n:02}")
    head = headers(key)
    answer, again = [await http.post(f"{API}/appeals", json=said(office, text="Ще"), headers=head) for _ in range(2)]
    assert (answer.status_code, answer.json().keys()) == (202, {"token", "message"})
    assert (again.status_code, again.json()) == (202, answer.json())
    token = answer.json()["token"]
    assert (await http.post(f"{API}/held", json={"token": token})).json() == {"waits": True, "appeal": None}
    with office.db.write() as conn:
        other = conn.execute(select(schema.appeal.c.id).limit(1)).scalar_one()
        its = schema.message.c.done_at.is_(None)
        conn.execute(update(schema.message).where(its).values(appeal_id=other, done_at=office.clock.now, state="done"))
        conn.execute(update(schema.appeal).where(schema.appeal.c.id == other).values(
            registered_at=BEGAN.replace(year=2025)))  # fmt: skip
    became = (await http.post(f"{API}/held", json={"token": token})).json()
    assert became == {"waits": False, "appeal": None}, "it was added to another's, whose code is nobody else's"
    assert problem(await http.post(f"{API}/held", json={"token": f"{token}0"}), 404) == "message.unknown"


# ── what is an applicant's own ──
@EITHER
async def test_the_way_of_an_appeal_from_the_app_to_its_confirmation(office: Office, http: httpx.AsyncClient) -> None:
    key = office.key()
    its = await filed(http, office, key)
    office.clock.later(hours=1)
    answer = await http.post(f"{API}/appeals/words", headers=headers(key), data={**own(its), "text": "Ось фото"},
                             files={"photos": ("a.jpg", photo(), "image/jpeg")})  # fmt: skip
    assert answer.status_code == 200, answer.text
    office.clock.later(days=1)
    office.act(its["number"], Action.EXECUTE)
    found = await status(http, its)
    assert (found["stage"], found["awaited"], found["answerable"]) == ("executed", "word", True)
    assert [(step["step"], step["words"]) for step in found["steps"]] == [
        ("received", ""), ("passed", ""), ("added", "Ось фото"), ("done", "Відрегулювали подачу."), ("asked", "")]
    assert [file["name"] for step in found["steps"] for file in step["files"]] == ["a.jpg"]
    head = headers(key)
    told = {**own(its), "result": "not_solved", "text": "Досі холодно"}
    for _ in range(2):
        answer = await http.post(f"{API}/appeals/answer", json=told, headers=head)
        assert (answer.status_code, answer.json()["stage"]) == (200, "in_work")
    last = (await status(http, its))["steps"][-1]
    assert (last["step"], last["department"], last["words"]) == ("returned", "Київтеплоенерго", "Досі холодно")
    office.clock.later(days=1)
    office.act(its["number"], Action.EXECUTE)
    answer = await http.post(f"{API}/appeals/answer", json={**own(its), "result": "solved"}, headers=headers(key))
    assert answer.json()["stage"] == "solved"
    again = await http.post(f"{API}/appeals/answer", json=told, headers=head)
    assert again.json()["stage"] == "solved", "a late repetition of an old word brings nothing back"
    evidence = [event.evidence for event in _history(office) if event.action in (Action.CONFIRM, Action.NOT_SOLVED)]
    assert [each["written"].startswith("mobile:") for each in evidence] == [True, True]
    assert office.line.did("changed")[-1] == {"do": "changed", "what": "callbacks"}


def _history(office: Office) -> list[appeals.Event]:
    with office.db.read() as conn:
        return appeals.history(conn, office.only().id)


async def test_words_sent_twice_stand_once(office: Office, http: httpx.AsyncClient) -> None:
    key = office.key()
    its, head = await filed(http, office, key), headers(key)
    for _ in range(2):
        answer = await http.post(f"{API}/appeals/words", json={**own(its), "text": "Ще й гуде"}, headers=head)
        assert answer.status_code == 200
    assert [event.note for event in _history(office) if event.action is Action.HEAR] == ["Ще й гуде"]
    empty = await http.post(f"{API}/appeals/words", json=own(its), headers=headers(key))
    assert empty.json()["error"]["fields"].keys() == {"text"}


async def test_words_about_what_nobody_has_any_more_wait_for_a_person(office: Office, http: httpx.AsyncClient) -> None:
    key = office.key()
    its = await filed(http, office, key)
    office.act(its["number"], Action.FIND_DEFECTIVE, "Вкажіть, який під’їзд.")
    answer = await http.post(f"{API}/appeals/words", json={**own(its), "text": "Другий"}, headers=headers(key))
    assert (answer.status_code, answer.json()["awaited"]) == (200, "more")
    with office.db.read() as conn:
        waits = conn.execute(select(schema.message.c.text, schema.message.c.data).where(
            schema.message.c.done_at.is_(None))).one()  # fmt: skip
    assert tuple(waits) == ("Другий", {"number": its["number"]})


async def test_a_word_that_comes_before_the_department_s_is_kept_and_closes_nothing(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    key = office.key()
    its = await filed(http, office, key)
    assert (await status(http, its))["answerable"] is False
    answer = await http.post(f"{API}/appeals/answer", json={**own(its), "result": "solved"}, headers=headers(key))
    assert (answer.status_code, answer.json()["stage"]) == (200, "accepted")
    assert office.only().state is State.ASSIGNED


async def test_what_others_wrote_of_it_is_not_the_applicant_s_to_read(office: Office, http: httpx.AsyncClient) -> None:
    its = await filed(http, office, office.key())
    with office.db.write() as conn:
        clerk = conn.execute(schema.staff.insert().values(
            login="clerk", name="Ірина", password_hash="-", role="operator").returning(schema.staff.c.id)).scalar_one()
        confirmations.answer(conn, number=its["number"], result=Result.SOLVED, now=BEGAN, staff_id=clerk,
                             linkedid="1767.1", note="сусідка каже, що п’є")  # fmt: skip
    office.act(its["number"], Action.REPRIMAND, "Ганьба")
    said = json.dumps(await status(http, its), ensure_ascii=False)
    assert "п’є" not in said
    assert "Ганьба" not in said


@EITHER
async def test_who_guesses_codes_is_stopped_by_the_appeal_and_by_his_address(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    its = await filed(http, office, office.key())
    wrong = {"number": its["number"], "code": "0000" if its["code"] != "0000" else "0001"}
    unknown = {"number": 26999999, "code": "1234"}
    answers = [await http.post(f"{API}/appeals/status", json=each) for each in (wrong, unknown)]
    assert answers[0].json() == answers[1].json(), "whether there is such a number is not told"
    for _ in range(9):
        await http.post(f"{API}/appeals/status", json=wrong)
    answer = await http.post(f"{API}/appeals/status", json=own(its))
    assert problem(answer, 429) == "code.tried"
    office.clock.later(seconds=int(answer.headers["Retry-After"]))
    assert (await http.post(f"{API}/appeals/status", json=own(its))).status_code == 200
    for number in range(31):
        answer = await http.post(f"{API}/appeals/status", json={**unknown, "number": 26999000 + number})
    assert problem(answer, 429) == "code.guessed"
    office.clock.later(hours=1)
    assert problem(await http.post(f"{API}/appeals/status", json=unknown), 404) == "api.appeal"


async def test_with_a_key_alone_nobody_touches_another_s_appeal(office: Office, http: httpx.AsyncClient) -> None:
    key = office.key()
    its = await filed(http, office, key)
    stranger = {"number": its["number"], "code": "0000" if its["code"] != "0000" else "0001"}
    for path, more in (("words", {"text": "Зламано"}), ("answer", {"result": "solved"})):
        answer = await http.post(f"{API}/appeals/{path}", json={**stranger, **more}, headers=headers(key))
        assert problem(answer, 404) == "api.appeal"
        answer = await http.post(f"{API}/appeals/{path}", json={**own(its), **more}, headers=headers("none"))
        assert problem(answer, 401) == "api_key.wrong"
    assert len(_history(office)) == 2


# ── what everybody may see ──
async def test_the_public_list_says_nothing_of_whose_it_is(office: Office, http: httpx.AsyncClient) -> None:
    key = office.key()
    first = await filed(http, office, key, email="olena@a.ua")
    second = await filed(http, office, key, text="Немає води", subject_id=office.city.subjects["Холодна вода"])
    answer = await http.get(f"{API}/appeals?limit=1", headers={"Accept-Language": "en"})
    [its] = answer.json()["appeals"]
    assert (its["number"], its["subject"], its["stage"], its["open"]) == (
        second["number"], "Cold water", "accepted", True)
    assert answer.json()["before"] == second["number"]
    rest = (await http.get(f"{API}/appeals?before={second['number']}")).json()
    assert [each["number"] for each in rest["appeals"]] == [first["number"]]
    assert rest["before"] is None
    every = answer.text + json.dumps(rest, ensure_ascii=False)
    assert [word for word in ("Батареї", "Шевчук", "067", "olena", first["code"], '"41"', "Бандери, 10")
            if word in every.replace(str(first["number"]), "")] == []  # fmt: skip
    for query, numbers in ((f"subject_id={office.city.subjects['Опалення']}", [first["number"]]), ("stage=solved", []),
                           ("days=1", [second["number"], first["number"]])):  # fmt: skip
        found = (await http.get(f"{API}/appeals?{query}")).json()["appeals"]
        assert [each["number"] for each in found] == numbers, query


async def test_what_a_form_needs_is_there(office: Office, http: httpx.AsyncClient) -> None:
    subjects = (await http.get(f"{API}/subjects")).json()["subjects"]
    assert [(each["name"], each["group"], each["days"]) for each in subjects] == [
        ("Опалення", "Житло", 15), ("Холодна вода", "Житло", 15)]
    [district] = (await http.get(f"{API}/districts", headers={"Accept-Language": "en"})).json()["districts"]
    assert district["name"] == "Shevchenkivskyi district"
    found = (await http.get(f"{API}/addresses", params={"q": "московський 10"})).json()["addresses"]
    assert [(each["street"], each["number"], each["old_name"]) for each in found] == [
        ("проспект Степана Бандери", "10", "Московський проспект"),
        ("проспект Степана Бандери", "10-А", "Московський проспект")]
    assert problem(await http.get(f"{API}/buildings/9999"), 404) == "building.unknown"


async def test_addresses_that_there_are_not_and_what_every_answer_carries(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    for answer, status_code in ((await http.get(f"{API}/none"), 404), (await http.put(f"{API}/subjects"), 405)):
        assert problem(answer, status_code) == "api.address"
    for page in ("docs", "redoc", "docs/oauth2-redirect"):
        assert (await http.get(f"{API}/{page}")).status_code == 404, "nothing is loaded from elsewhere"
    answer = await http.get(f"{API}/openapi.json")
    assert answer.json()["servers"] == [{"url": API}]
    assert (answer.headers["x-content-type-options"], answer.headers["cache-control"]) == ("nosniff", "no-store")


async def test_while_the_database_is_away_a_program_is_told_to_come_again(
        office: Office, http: httpx.AsyncClient) -> None:  # fmt: skip
    with office.db.write() as conn:
        conn.exec_driver_sql("ALTER TABLE api_key RENAME TO away")
    answer = await http.post(f"{API}/appeals", json=said(office), headers=headers("x" * 43))
    assert problem(answer, 503) == "database.away"
    assert answer.headers["retry-after"] == "30"


# ── by its own document ──
CHECKS = [not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
          checks.response_headers_conformance, checks.response_schema_conformance, checks.negative_data_rejection,
          checks.ignored_auth, checks.missing_required_header]  # fmt: skip


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    with over_http(tmp_path_factory.mktemp("api")) as (office, address):
        key = office.key(cap=100_000)
        made, held = (httpx.post(f"{address}{API}/appeals", json=said(office, name=name), headers=headers(key)).json()
                      for name in ("Олена Шевчук", ""))  # fmt: skip
        document = httpx.get(f"{address}{API}/openapi.json").json()
        _narrow(document, {"subject_id": [*office.city.subjects.values()], "phone": ["", "0671112233"],
                           "building_id": [*office.city.buildings.values()], "email": ["o@city.ua"],
                           "number": [made["number"]], "code": [made["code"]], "incident_id": [None],
                           "token": [held["token"]],
                           "id": [*office.city.buildings.values()]})  # fmt: skip
        its = schemathesis.openapi.from_dict(document)
        its.config.update(base_url=f"{address}{API}")
        its.config.generation.with_security_parameters = False  # the right key is given with each case
        yield its, key


def _narrow(document: Any, among: dict[str, list[Any]]) -> None:
    """What is sent under these names is one of those that there are: or else nearly everything would be unknown."""
    match document:
        case {"name": str(name), "schema": dict(), "in": "path"} if name in among:
            document["schema"] |= {"enum": among[name]}
        case {"properties": dict(properties), "additionalProperties": False}:  # of what is sent
            for name in properties.keys() & among.keys():
                properties[name] = {"enum": among[name]}
        case dict():
            for each in document.values():
                _narrow(each, among)
        case list():
            for each in document:
                _narrow(each, among)


FITTING, UNFIT = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


@pytest.mark.parametrize("mode", [FITTING, UNFIT])
def test_it_does_what_its_document_says(documented: tuple[Any, str], mode: GenerationMode) -> None:
    """Every operation, with what its document allows, and with what it does not."""
    document, key = documented
    succeeded = set()
    for found in document.get_all_operations():
        operation = found.ok()
        if mode is UNFIT and operation.label in ("GET /subjects", "GET /districts"):  # they take nothing
            continue

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def run(case: schemathesis.Case) -> None:
            if case.call_and_validate(headers={"X-API-Key": key}, checks=CHECKS).status_code < 300:
                succeeded.add(case.operation.label)

        run()
    assert mode is UNFIT or len(succeeded) == 10, succeeded
