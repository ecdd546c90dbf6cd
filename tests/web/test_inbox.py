"""The online specialists' desk: each deed on a message, twice and by two at once, with hostile words, by keys alone."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect
from sqlalchemy import select, update

from centre.demo.browser import Page
from crm import answer_templates, appeals, attachments, citizens, inbox, messages, notices, schema
from crm.attachments import Stored
from crm.life import Action
from crm.life import State as AppealState
from crm.messages import Held, Incoming, State
from crm.people import Role
from tests.web.conftest import CALLER, Desk, Site
from tests.web.filled import PNG
from tests.web.test_browser import Screens, browser, screens, suggestions

__all__ = ["browser", "screens"]  # fixtures of the real browser

LETTER = "olena@example.com"
TYPED = {"name": "Олена Шевчук", "address": "Бандери 10", "text": "Батареї ледь теплі."}
HOSTILE = "<script>alert(1)</script>\u202e\"' onload=x {{ 7*7 }} {name}"


def come(site: Site, id: str = "1", **more: object) -> int:
    its = Incoming(channel="email", external_id=id, address=LETTER, text="Батареї ледь теплі.", title="Холодно",
                   received_at=datetime.now(UTC) - timedelta(minutes=30), name="Олена Шевчук")  # fmt: skip
    with site.db.write() as conn:
        taken = messages.take(conn, replace(its, **more))  # type: ignore[arg-type]
    assert taken is not None
    return taken


def awaiting(site: Site) -> int:
    """The number of the caller's appeal, which is told by SMS and awaits his word."""
    number = site.appeal(executed=True)
    with site.db.write() as conn:
        conn.execute(update(schema.appeal).values(tell_by="sms", tell_to=CALLER))
    return number


def now_of(site: Site, id: int) -> inbox.Message:
    with site.db.read() as conn:
        return inbox.get(conn, id)


def photo(site: Site, name: str = "яма.png") -> Stored:
    return attachments.store(site.settings.attachments, name, io.BytesIO(PNG))


def subject(site: Site, name: str = "Опалення") -> dict[str, str]:
    return {"subject": str(site.city.subjects[name])}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """tests/crm tries what is kept on both."""
    return sqlite_url


@pytest.fixture
async def desk(site: Site) -> Desk:
    return await site.person(Role.ONLINE)


async def do(desk: Desk, page: Page, id: int, what: str, **said: str) -> Page:
    return await desk.submit(page, f"/messages/{id}", do=what, **said)


# ── the list ──
async def test_the_inbox_shows_what_waits_from_whom_since_when_and_who_has_it(site: Site, desk: Desk) -> None:
    page = await desk.open("/")
    assert page.url.endswith("/messages"), "where this person's work is"
    assert "Тут порожньо" in page.text
    late, early = come(site, "1", files=[photo(site)]), come(site, "2", channel="sms", address=CALLER, title="", text=
                                                            "У під’їзді запах газу", name="")  # fmt: skip
    come(site, "3", reason=Held.RATE)
    await do(desk, await desk.open(f"/messages/{late}"), late, "claim")
    page = await desk.open("/messages")
    assert page.text.index("Спершу це") < page.text.index("запах газу") < page.text.index("Холодно")
    assert page.html.count(f'href="/messages/{early}"') == 1
    assert "Людина online" in page.text
    assert "Забагато звідти" not in page.text
    for view, id, other in (("mine", late, early), ("free", early, late), ("held", 3, early)):
        page = await desk.open(f"/messages?view={view}")
        assert (f"/messages/{id}\"" in page.html, f"/messages/{other}\"" in page.html) == (True, False), view
    assert "Холодно" not in (await desk.open("/messages?channel=sms&view=waiting")).text
    assert (await desk.open("/messages?view=none")).status == 422
    part = (await desk.http.get("/messages/part?channel=sms")).text
    assert "запах газу" in part
    assert "<html" not in part


async def test_a_long_inbox_goes_on_and_is_taken_as_a_file_by_who_may(site: Site, desk: Desk) -> None:
    for n in range(60):
        come(site, f"{n}", received_at=datetime.now(UTC) - timedelta(hours=100 - n), title=f"Лист {n:02}")
    page = await desk.open("/messages")
    assert ("Лист 49" in page.text, "Лист 50" in page.text) == (True, False)
    further = next(link for link, label in page.links if "after=" in link and label.startswith("Далі"))
    page = await desk.open(further)
    assert ("Лист 49" in page.text, "Лист 59" in page.text) == (False, True)
    assert (await desk.http.get("/messages?file=csv")).status_code == 403
    supervisor = await site.person(Role.SUPERVISOR)
    file = (await supervisor.http.get("/messages?file=csv")).content.decode("utf-8-sig")
    assert file.count("\n") >= 60
    assert "Батареї" not in file


# ── whose work it is ──
async def test_two_specialists_never_work_on_the_same_message(site: Site, desk: Desk) -> None:
    other = await site.person(Role.ONLINE, "other")
    first, second = come(site, "1"), come(site, "2")
    pages = [await each.open("/messages") for each in (desk, other)]
    taken = [(await each.submit(page, "/messages/next")).url for each, page in zip((desk, other), pages, strict=True)]
    assert [url.rpartition("/")[2] for url in taken] == [str(first), str(second)]
    assert "Нічиїх повідомлень немає" in (await other.submit(pages[1], "/messages/next")).text
    page = await other.open(f"/messages/{first}")
    assert "Працює: Людина online" in page.text
    assert [form for form in page.forms if form.path == f"/messages/{first}"] == []
    refused = await other.post(f"/messages/{first}", do="spam", version="2", mark="m")
    assert (refused.status_code, "працює інший фахівець" in refused.text) == (409, True)
    with site.db.write() as conn:
        conn.execute(update(schema.message).values(claimed_at=datetime.now(UTC) - timedelta(minutes=11)))
    page = await other.open(f"/messages/{first}")
    assert "Давно нічого не робить" in page.text
    assert (await do(other, page, first, "claim", why="")).status == 422
    page = await do(other, await other.open(f"/messages/{first}"), first, "claim", why="він на обіді")
    assert "Це ваше" in page.text
    still = await desk.post(f"/messages/{first}/still")
    assert "перебрав інший фахівець" in still.text
    assert "перебрав" not in (await other.post(f"/messages/{first}/still")).text


async def test_what_was_seen_too_long_ago_is_told_and_what_was_typed_stays(site: Site, desk: Desk) -> None:
    id = come(site)
    other = await site.person(Role.ONLINE, "other")
    page = await desk.open(f"/messages/{id}")
    theirs = await do(other, await other.open(f"/messages/{id}"), id, "claim")
    await do(other, theirs, id, "release")
    refused = await do(desk, page, id, "reply", reply="Довга відповідь")
    assert (refused.status, "це повідомлення змінилося" in refused.text) == (409, True)
    assert refused.form(f"/messages/{id}", {"reply": ""}).fields["reply"].strip() == "Довга відповідь"
    refused = await desk.submit(page, f"/messages/{id}/appeals", **TYPED | subject(site) | {"text": "Довга суть"})
    assert (refused.status, "Довга суть" in refused.html) == (409, True)
    done = await desk.submit(refused, f"/messages/{id}/appeals")
    assert "saved=26000001" in done.url


# ── an appeal out of it ──
async def test_an_appeal_is_registered_once_from_what_the_message_says(site: Site, desk: Desk) -> None:
    with site.db.write() as conn:
        citizens.add(conn, now=datetime.now(UTC), name="Шевчук Олена Іванівна", phones=[CALLER], email=LETTER,
                     building_id=site.city.buildings["Бандери 10"], flat="41", privilege="disability")  # fmt: skip
    id = come(site, files=[photo(site)], received_at=datetime.now(UTC) - timedelta(days=4))
    page = await desk.open(f"/messages/{id}")
    assert "це ім’я записано за цією адресою" in page.text
    form = page.form(f"/messages/{id}/appeals", {})
    assert {name: form.fields[name].strip() for name in ("name", "address", "flat", "email", "tell_by", "text")} == {
        "name": "Шевчук Олена Іванівна", "address": "проспект Степана Бандери, 10", "flat": "41", "email": LETTER,
        "tell_by": "email", "text": "Батареї ледь теплі."}  # fmt: skip
    wrong = await desk.submit(page, f"/messages/{id}/appeals", **subject(site), email="", tell_by="email")
    assert (wrong.status, "Запишіть електронну адресу" in wrong.text) == (422, True)
    wrong = await desk.submit(wrong, f"/messages/{id}/appeals", phone="", tell_by="sms")
    assert (wrong.status, "потрібен номер телефону" in wrong.text) == (422, True)
    for _ in range(2):
        saved = await desk.submit(page, f"/messages/{id}/appeals", **subject(site))
    assert "Це вже зроблено" in saved.text
    its = now_of(site, id)
    with site.db.read() as conn:
        [appeal_id] = its.appeals
        made = appeals.get(conn, appeal_id)
        files = attachments.of_appeal(conn, appeal_id)
        told = conn.execute(select(schema.appeal.c.tell_by, schema.appeal.c.tell_to, schema.appeal.c.received_at)).one()
    assert (made.channel, made.priority, [file.name for file in files]) == ("email", True, ["яма.png"])
    assert (told.tell_by, told.tell_to, told.received_at) == ("email", LETTER, its.received_at)
    assert site.line.did("changed") == [{"do": "changed", "what": "appeals"}]
    page = await desk.open(f"/messages/{id}?saved={made.number}")
    assert 'data-code="' in page.html
    assert "Ще одне звернення з цього повідомлення" in page.text
    another = await desk.submit(page, f"/messages/{id}/appeals", **subject(site, "Холодна вода"), text="І води немає")
    assert another.html.count('data-appeal="') == 2


async def test_what_the_message_says_of_place_and_of_him_fills_the_form(site: Site, desk: Desk) -> None:
    building = site.city.buildings["Хрещатик 22"]
    id = come(site, channel="web", address="", name="", said={
        "name": "Петро", "phone": CALLER, "building_id": building, "flat": "7", "subject_id":
        site.city.subjects["Опалення"], "tell_by": "sms", "latitude": 50.4, "longitude": 30.6})  # fmt: skip
    page = await desk.open(f"/messages/{id}")
    form = page.form(f"/messages/{id}/appeals", {})
    assert (form.fields["name"], form.fields["phone"], form.fields["address"], form.fields["flat"]) == (
        "Петро", "+380 44 123 4567", "вулиця Хрещатик, 22", "7")  # fmt: skip
    assert (form.fields["subject"], form.fields["tell_by"]) == (str(site.city.subjects["Опалення"]), "sms")
    assert 'data-place="50.40000, 30.60000"' in page.html
    assert "saved=" in (await desk.submit(page, f"/messages/{id}/appeals")).url


async def test_an_emergency_of_who_gives_no_name_is_reported_without_an_applicant(site: Site, desk: Desk) -> None:
    id = come(site, channel="web", address="", name="", reason=Held.NAMELESS, text="Прорвало трубу")
    page = await desk.open(f"/messages/{id}")
    assert "Анонімних звернень закон не розглядає" in page.text
    page = await desk.submit(page, f"/messages/{id}/appeals", do="report", address="Бандери 10", **subject(site))
    assert "передано як аварію" in page.text
    assert now_of(site, id).appeals == []
    with site.db.read() as conn:
        assert conn.execute(select(schema.incident_report.c.text)).scalar_one() == "Прорвало трубу"


# ── it belongs to what there is ──
async def test_the_senders_open_appeal_is_offered_and_takes_the_message_once(site: Site, desk: Desk) -> None:
    number = site.appeal()
    id = come(site, files=[photo(site)], said={"number": number})
    page = await desk.open(f"/messages/{id}")
    assert page.text.index("Можливо, це про звернення, яке вже є") < page.text.index("Нове звернення")
    for _ in range(2):
        done = await do(desk, page, id, "add", number=str(number))
    assert "Це вже зроблено" in done.text
    with site.db.read() as conn:
        its = appeals.by_number(conn, number)
        assert its is not None
        heard = [line for line in appeals.history(conn, its.id) if line.action is Action.HEAR]
        assert [file.name for file in attachments.of_appeal(conn, its.id)] == ["яма.png"]
    assert [line.note for line in heard] == ["Батареї ледь теплі."]
    other = come(site, "2")
    page = await desk.open(f"/messages/{other}")
    assert "про нього писали раніше" in page.text
    lost = await desk.post(f"/messages/{other}", do="add", number="26999999", version="1", mark="x")
    assert (lost.status_code, "Такого звернення немає" in lost.text) == (404, True)


@pytest.mark.parametrize(("do_", "becomes", "kept"), [
    ("solved", AppealState.CLOSED, "Так, усе гаразд"),
    ("not_solved", AppealState.RETURNED, "У спальні холодно"),
])  # fmt: skip
async def test_the_word_that_he_has_written_is_taken_by_who_reads_it_once(
        site: Site, desk: Desk, do_: str, becomes: AppealState, kept: str) -> None:  # fmt: skip
    number = awaiting(site)
    id = come(site, channel="sms", external_id="SM1", address=CALLER, title="", text="Так, усе гаразд")
    page = await desk.open(f"/messages/{id}")
    form = next(form for form in page.forms if "remains" in form.fields)
    assert form.fields["remains"].strip() == "Так, усе гаразд", "his own words need not be typed again"
    if do_ == "not_solved":
        assert (await do(desk, page, id, do_, number=str(number), remains=" ")).status == 422
    for _ in range(2):
        done = await do(desk, page, id, do_, number=str(number), remains="У спальні холодно")
    assert "Це вже зроблено" in done.text
    with site.db.read() as conn:
        its = appeals.by_number(conn, number)
        assert its is not None
        (word,) = [line for line in appeals.history(conn, its.id) if line.evidence.get("result")]
        told = [one.kind for one in notices.of_appeal(conn, its.id) if one.audience is notices.Audience.CITIZEN]
    assert its.state is becomes
    assert (word.note, word.evidence["result"], word.evidence["written"]) == (kept, do_, "sms:SM1")
    assert word.staff == "Людина online"
    assert told[-1] is (notices.Kind.CLOSED if do_ == "solved" else notices.Kind.SENT_BACK), "nobody has told him yet"
    assert (now_of(site, id).state, now_of(site, id).appeals) == (State.DONE, [its.id])


async def test_the_word_of_a_stranger_or_of_what_nobody_asks_is_not_taken(site: Site, desk: Desk) -> None:
    """All numbers are public: that a letter names one says nothing of who has written it."""
    number, unasked = awaiting(site), site.appeal()
    id = come(site, address="stranger@example.com", name="Хтось", said={"number": number})
    page = await desk.open(f"/messages/{id}")
    assert f"№ {number}" in page.text
    assert "Пише: вирішено" not in page.text
    own = come(site, "2", channel="sms", address=CALLER)
    for message, named in ((id, number), (own, unasked)):
        answer = await desk.post(f"/messages/{message}", do="solved", number=str(named), version="1", mark=f"m{named}")
        assert (answer.status_code, "не чекає на слово цього відправника" in answer.text) == (422, True)
    with site.db.read() as conn:
        assert [its.state for its in appeals.search(conn)] == [AppealState.ASSIGNED, AppealState.AWAITING]


async def test_two_messages_of_one_matter_are_one(site: Site, desk: Desk) -> None:
    first, second = come(site, "1"), come(site, "2", text="Додаю адресу: Бандери 10")
    page = await desk.open(f"/messages/{second}")
    assert "Цей відправник написав іще" in page.text
    page = await do(desk, page, second, "join", into=str(first))
    assert "Іде разом із" in page.text
    page = await desk.open(f"/messages/{first}")
    assert "Додаю адресу" in page.form(f"/messages/{first}/appeals", {}).fields["text"]
    await desk.submit(page, f"/messages/{first}/appeals", **subject(site), address="Бандери 10")
    assert now_of(site, second).appeals == now_of(site, first).appeals != []


# ── neither ──
async def test_spam_done_and_undone(site: Site, desk: Desk) -> None:
    id = come(site, reason=Held.ADVERT)
    page = await desk.open(f"/messages/{id}")
    assert "Схоже на рекламу" in page.text
    page = await do(desk, page, id, "spam")
    assert now_of(site, id).state is State.SPAM
    page = await do(desk, page, id, "reopen")
    assert (now_of(site, id).state, now_of(site, id).reason) == (State.NEW, "")
    wrong = await do(desk, page, id, "close", closed="other")
    assert (wrong.status, "Напишіть, чому" in wrong.text) == (422, True)
    assert (await desk.post(f"/messages/{id}", do="close", closed="", version="4", mark="z")).status_code == 422
    for _ in range(2):
        done = await do(desk, page, id, "close", closed="thanks")
    assert "Це вже зроблено" in done.text
    page = await desk.open(f"/messages/{id}")
    assert "подяка" in page.text
    await do(desk, page, id, "reopen")
    held = come(site, "2", reason=Held.AUTOMATIC)
    await do(desk, await desk.open(f"/messages/{held}"), held, "ordinary")
    assert now_of(site, held).reason == ""
    assert (await desk.post(f"/messages/{id}", do="burn", version="1", mark="y")).status_code == 422
    assert (await desk.open("/messages/999")).status == 404


async def test_an_answer_from_a_template_goes_back_once(site: Site, desk: Desk) -> None:
    control = await site.person(Role.CONTROL)
    page = await control.submit(await control.open("/knowledge/replies/new"), "/knowledge/replies/new",
                                name="Ім’я", text_uk="Доброго дня, {name}! Як вас звати?")  # fmt: skip
    assert "Ім’я" in page.text
    wrong = await control.submit(await control.open("/knowledge/replies/new"), "/knowledge/replies/new",
                                 name="Ім’я", text_uk="Інше")  # fmt: skip
    assert "Шаблон із такою назвою вже є" in wrong.text
    with site.db.read() as conn:
        [template] = answer_templates.listed(conn)
    id = come(site)
    page = await desk.open(f"/messages/{id}")
    page = await desk.submit(page, f"/messages/{id}", template=str(template.id))
    filled = page.form(f"/messages/{id}", {"reply": ""}).fields["reply"].strip()
    assert filled == "Доброго дня, Олена Шевчук! Як вас звати?"
    for _ in range(2):
        done = await do(desk, page, id, "reply", reply=filled, waits="on")
    assert "Це вже зроблено" in done.text
    assert now_of(site, id).open
    assert done.text.count("буде надіслано") == 1
    await do(desk, await desk.open(f"/messages/{id}"), id, "reply", reply="Дякуємо!")
    assert not now_of(site, id).open
    with site.db.read() as conn:
        n = schema.notice.c
        assert conn.execute(select(n.address).where(n.kind == "reply")).scalars().all() == [LETTER] * 2
    paper = come(site, "p", channel="paper", address="")
    assert "Цим каналом відповісти не можна" in (await desk.open(f"/messages/{paper}")).text


async def test_a_conversation_that_goes_on_is_read_and_may_be_taken_over(site: Site, desk: Desk) -> None:
    id = come(site, channel="facebook", address="777", state=State.GATHERING)
    page = await desk.open(f"/messages/{id}")
    assert "Розмова триває" in page.text
    assert [form.options for form in page.forms if form.path == f"/messages/{id}"] == [{"do": {"claim": "claim"}}]
    page = await do(desk, page, id, "claim")
    assert (now_of(site, id).state, "Це ваше" in page.text) == (State.NEW, True)


# ── its files ──
async def test_photos_are_shown_a_voice_is_played_and_each_look_is_on_record(site: Site, desk: Desk) -> None:
    voice = photo(site, "голос.wav")
    pdf = attachments.store(site.settings.attachments, "лист.pdf", io.BytesIO(b"%PDF-1.4".ljust(64)))
    id = come(site, files=[replace(photo(site), place=(50.45, 30.52)), replace(voice, media_type="audio/wav"), pdf])
    page = await desk.open(f"/messages/{id}")
    assert page.html.count("<img ") == page.html.count("<audio ") == 1
    assert 'data-place="50.45000, 30.52000"' in page.html
    with site.db.read() as conn:
        files = inbox.files(conn, [id])
    for file, kind in zip(files, ("inline", "inline", "attachment"), strict=True):
        answer = await desk.http.get(f"/messages/files/{file.id}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, file.media_type)
        assert answer.headers["content-disposition"].startswith(kind)
    with site.db.read() as conn:
        looks = conn.execute(select(schema.access_log.c.what, schema.access_log.c.subject_key)).all()
    shown = {("message", str(id)), *(("message_file", str(file.id)) for file in files)}
    assert shown <= {tuple(look) for look in looks}
    operator = await site.person(Role.OPERATOR)
    assert (await operator.http.get(f"/messages/files/{files[0].id}")).status_code == 403
    assert (await desk.http.get("/messages/files/999")).status_code == 404
    attachments.remove(site.settings.attachments, files[2].sha256)
    assert (await desk.http.get(f"/messages/files/{files[2].id}")).status_code == 404


async def test_hostile_words_are_only_words(site: Site, desk: Desk) -> None:
    id = come(site, text=HOSTILE, title=HOSTILE, name=HOSTILE, address="<b>@example.com", said={
        "place": HOSTILE, "address": HOSTILE, "phone": HOSTILE, "subject_id": "x", "tell_by": HOSTILE})  # fmt: skip
    for path in ("/messages", f"/messages/{id}", f"/messages/{id}?who=x&saved=y"):
        page = await desk.open(path)
        assert page.status == 200, path
        assert "<script>alert" not in page.html
        assert "\u202e" not in page.html
        assert "{{ 7*7 }}" in page.html
    answer = await desk.post(f"/messages/{id}/already", text=HOSTILE, subject="x", address=HOSTILE, who="z")
    assert answer.status_code == 200


# ── by hand ──
async def test_a_letter_on_paper_counts_from_when_it_came(site: Site, desk: Desk, tmp_path: Path) -> None:
    scan = tmp_path / "лист.png"
    scan.write_bytes(PNG)
    page = await desk.open("/messages/new")
    said = {"channel": "paper", **TYPED, **subject(site), "tell_by": "nothing"}
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M}"
    wrong = await desk.submit(page, "/messages/new", **said, received=tomorrow)
    assert (wrong.status, "не могло надійти пізніше" in wrong.text) == (422, True)
    wrong = await desk.submit(page, "/messages/new", **said, received="")
    assert "Вкажіть день і час" in wrong.text
    for _ in range(2):
        done = await desk.submit(page, "/messages/new", **said, received="2026-01-12T09:30", files=scan)
    assert "Це вже зроблено" in done.text
    with site.db.read() as conn:
        [line] = inbox.find(conn, inbox.Wanted(view=inbox.View.DONE), limit=5)
        its = conn.execute(select(schema.appeal.c.channel, schema.appeal.c.received_at, schema.appeal.c.tell_by)).one()
    assert (line.files, its.channel, its.tell_by) == (1, "paper", "nothing")
    assert its.received_at == datetime(2026, 1, 12, 7, 30, tzinfo=UTC)
    page = await desk.open(f"/messages/{line.id}")
    assert f'data-appeal="{line.appeal}"' in page.html


async def test_a_letter_without_a_name_waits_among_what_is_held(site: Site, desk: Desk) -> None:
    page = await desk.open("/messages/new")
    assert (await desk.submit(page, "/messages/new", do="nameless", channel="paper", text="")).status == 422
    page = await desk.submit(page, "/messages/new", do="nameless", channel="paper", text="Приберіть сміття")
    assert "без імені закон його не розглядає" in page.text
    assert "Приберіть сміття" in (await desk.open("/messages?view=held&why=nameless")).text
    with site.db.read() as conn:
        assert conn.execute(select(schema.appeal.c.id)).first() is None
    page = await desk.open("/messages/new")
    nameless = await desk.submit(page, "/messages/new", **TYPED | subject(site) | {"name": ""})
    assert (nameless.status, "Запишіть, як звати" in nameless.text) == (422, True)


async def test_addresses_are_found_without_a_script_and_what_is_known_is_told(site: Site, desk: Desk) -> None:
    number = site.appeal()
    page = await desk.open("/messages/new")
    page = await desk.submit(page, "/messages/new", do="find", address="Бандери 10", text="Холодно")
    assert f"№ {number}" in page.text
    assert page.form("/messages/new", {}).fields["text"].strip() == "Холодно"
    id = come(site)
    page = await desk.open(f"/messages/{id}")
    page = await desk.submit(page, f"/messages/{id}/appeals", do="find", address="Бандери 10")
    assert (page.status, f"№ {number}" in page.text) == (200, True)
    for address in ("/messages/new/already", f"/messages/{id}/already"):
        found = await desk.post(address, address="Бандери 10", text="Батареї ледь теплі", **subject(site))
        assert f"№ {number}" in found.text
    history = await desk.http.get(f"/addresses/history?message={id}&address=Бандери 10")
    assert f"№ {number}" in history.text


# ── in a real browser ──
async def test_a_letter_is_dealt_with_by_keys_alone(served: Site, screens: Screens) -> None:
    served.hire(Role.ONLINE)
    with served.db.write() as conn:
        answer_templates.save(conn, None, None, name="Ім’я", text_uk="Як вас звати?", text_en="", active=True,
                              now=datetime.now(UTC), staff_id=None)  # fmt: skip
    first = come(served, "1", files=[replace(photo(served), place=(50.45, 30.52))])
    second = come(served, "2", channel="sms", address=CALLER, name="", title="", text="Хто ви?")
    page = await screens.open("/messages", login="online")
    keys = page.keyboard
    await keys.press("Alt+KeyZ")
    await page.wait_for_url(f"**/messages/{first}")
    await expect(page.get_by_text("Це ваше.")).to_be_visible()
    await keys.press("Alt+KeyA")
    await keys.type("бандери 10")
    await expect(suggestions(page)).to_have_count(2)
    await keys.press("ArrowDown")
    await keys.press("Enter")
    await keys.press("Alt+KeyT")
    await keys.type("опал")
    await keys.press("Enter")
    await keys.press("Alt+KeyG")
    await expect(page.get_by_label("Місце словами")).to_have_value("50.45000, 30.52000")
    await keys.press("Control+Enter")
    await expect(page.get_by_text("Звернення зареєстровано.")).to_be_visible()
    await keys.press("Alt+KeyZ")
    await page.wait_for_url(f"**/messages/{second}")
    await keys.press("1")
    reply = page.get_by_role("textbox", name="Відповідь")
    await expect(reply).to_have_value("Як вас звати?")
    await expect(reply).to_be_focused()
    await keys.press("End")
    await keys.type(" 1")
    await page.reload()
    await expect(reply).to_have_value("Як вас звати? 1")
    await keys.press("Alt+KeyR")
    await keys.press("Control+Enter")
    await expect(page.get_by_text("Відповідь буде надіслано.")).to_be_visible()
    assert now_of(served, second).appeals == []
    await keys.press("Alt+KeyZ")
    await expect(page.get_by_text("Нічиїх повідомлень немає.")).to_be_visible()
    await page.evaluate("setInterval(() => document.dispatchEvent(new Event('visibilitychange')), 50)")
    third = come(served, "3", title="Щойно")
    await expect(page.get_by_role("link", name="Щойно")).to_be_visible()
    await page.goto(f"/messages/{third}")
    await keys.press("Alt+KeyW")
    await expect(page.get_by_text("Повідомлення ваше.")).to_be_visible()
    await keys.press("Alt+KeyO")
    await keys.press("1")
    await expect(page.get_by_text("Закрито без відповіді.")).to_be_visible()
    assert now_of(served, third).closed == "thanks"
