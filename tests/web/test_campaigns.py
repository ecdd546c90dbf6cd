"""Campaigns at the pages: planned by a supervisor, worked in by the feedback staff, and how conversations are rated."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from crm import campaigns, confirmations, ratings, schema
from crm.campaign_rules import Mode, State, Step, Terms
from crm.confirmation_rules import Reached, Result
from crm.people import Role
from tests.web.conftest import CALLER, Desk, Site, at_seat, snapshot, waiting
from web.handed import LASTS, Handed

SECOND, THIRD = "+380671112233", "+380672223344"


def started(site: Site, mode: Mode = Mode.PREVIEW, **terms: object) -> int:
    now = datetime.now(UTC)
    with site.db.write() as conn:
        made = campaigns.save(conn, None, None, Terms("Тепло", mode, **terms), staff_id=None, now=now)  # type: ignore[arg-type]
        campaigns.step(conn, made, Step.START, version=1, staff_id=None, now=now)
        campaigns.take(conn, now)
    return made


def state_of(site: Site, id: int) -> State:
    with site.db.read() as conn:
        return campaigns.get(conn, id).state


async def feedback(site: Site, login: str = "feedback", seat: str = "101") -> Desk:
    desk = await site.person(Role.FEEDBACK, login)
    await desk.submit(await desk.open("/seat"), "/seat", seat=seat)
    return desk


# ── planned ──
async def test_a_supervisor_drafts_sees_the_plan_and_runs_it(site: Site) -> None:
    site.appeal(executed=True)
    site.appeal(executed=True, name="Петро", phone=SECOND)
    desk = await site.person(Role.SUPERVISOR)
    page = await desk.submit(await desk.open("/campaigns/new"), "/campaigns/new", name="Опалення, листопад",
                             mode="preview", subject=str(site.city.subjects["Опалення"]), call_from="10:00",
                             call_to="18:00", daily_cap="1")  # fmt: skip
    id = int(page.url.split("?")[0].rpartition("/")[2])
    assert "Опалення, листопад" in page.text
    assert "2 людини, 2 звернення" in page.text
    assert "Триватиме 2 дні." in page.text
    assert "10:00–18:00" in page.text
    with site.db.read() as conn:
        assert conn.scalars(select(schema.callback.c.campaign_id)).all() == [None, None], "the plan takes nobody"
    for do, state, said in (("start", State.RUNNING, "Кампанію розпочато"), ("pause", State.PAUSED, "призупинено"),
                            ("resume", State.RUNNING, "триває"), ("end", State.DONE, "завершено")):  # fmt: skip
        page = await desk.submit(page, f"/campaigns/{id}/step", do=do)
        assert said in page.text
        assert state_of(site, id) is state
        assert site.line.did("changed"), "the line looks at once"
    assert "Людина supervisor" in page.text
    assert re.search(r"складає чернетку", page.text)
    assert not [form for form in page.forms if form.path.endswith("/step")], "what is done is done"


async def test_it_is_changed_while_it_is_paused_and_as_it_was_seen(site: Site) -> None:
    id = started(site)
    desk = await site.person(Role.SUPERVISOR)
    page = await desk.open(f"/campaigns/{id}/edit")
    refused = await desk.submit(page, f"/campaigns/{id}", name="Інша")
    assert (refused.status, "коли кампанію призупинено" in refused.text) == (409, True)
    await desk.submit(await desk.open(f"/campaigns/{id}"), f"/campaigns/{id}/step", do="pause")
    stale = await desk.submit(page, f"/campaigns/{id}", name="Інша")
    assert stale.status == 409
    saved = await desk.submit(await desk.open(f"/campaigns/{id}/edit"), f"/campaigns/{id}", name="Інша", daily_cap="50")
    assert "Інша" in saved.text
    assert "змінює назву, обмеження на день" in " ".join(saved.text.split())


@pytest.mark.parametrize(("typed", "sentence"), [
    ({"name": ""}, "Назвіть кампанію"), ({"call_from": "10:00"}, "початок має бути раніше"),
    ({"call_from": "10:00", "call_to": "09:00"}, "початок має бути раніше"), ({"call_from": "опівдні"}, "початок"),
    ({"daily_cap": "0"}, "Вкажіть число дзвінків"), ({"citizen_daily_cap": "11"}, "від 1 до 10"),
    ({"older_days": "400"}, "від 0 до 365"), ({"mode": "loud"}, "Оберіть, хто питає"),
])  # fmt: skip
async def test_what_cannot_be_meant_comes_back_with_what_was_typed(
    site: Site, typed: dict[str, str], sentence: str
) -> None:
    desk = await site.person(Role.SUPERVISOR)
    fields = {"name": "Тепло <3", "mode": "preview", "citizen_daily_cap": "2", **typed}
    page = await desk.submit(await desk.open("/campaigns/new"), "/campaigns/new", **fields)
    assert (page.status, sentence in page.text) == (422, True)
    if fields["name"]:
        assert next(form for form in page.forms if form.path == "/campaigns/new").fields["name"] == "Тепло <3"
    with site.db.read() as conn:
        assert campaigns.listed(conn) == []


async def test_a_person_who_calls_sees_them_and_changes_none(site: Site) -> None:
    id = started(site)
    desk = await site.person(Role.FEEDBACK)
    page = await desk.open(f"/campaigns/{id}")
    assert (page.status, [form.path for form in page.forms if "campaign" in form.path]) == (200, [])
    assert (await desk.open("/campaigns/new")).status == 404
    assert "Нова кампанія" not in (await desk.open("/campaigns")).text
    assert (await desk.post(f"/campaigns/{id}/step", do="pause")).status_code == 403


# ── as it goes ──
async def test_every_figure_opens_its_appeals(site: Site) -> None:
    numbers = [site.appeal(executed=True), site.appeal(executed=True, name="Петро", phone=SECOND)]
    id = started(site)
    now, rules, operator = datetime.now(UTC), site.app.state.parts.rules, site.hire(Role.OPERATOR)
    with site.db.write() as conn:
        due = confirmations.due(conn, now, None, 1, rules)[0]
        placed = confirmations.claim(conn, due.callback_id, now=now, rules=rules, seat="101")
        assert placed is not None
        confirmations.attempt_answered(conn, placed.id, now, placed.id)
        confirmations.answer(conn, number=numbers[0], result=Result.NOT_SOLVED, now=now, attempt_id=placed.id,
                             staff_id=operator)  # fmt: skip
        confirmations.finish(conn, placed.id, Reached.ANSWERED, now, rules=rules)
    desk = await site.person(Role.SUPERVISOR)
    page = await desk.open(f"/campaigns/{id}")
    assert "У кампанії 2 людини; лишилася 1." in " ".join(page.text.split())
    expected = {"planned": 2, "called": 1, "reached": 1, "not_solved": 1, "left": 1}
    for figure in ("planned", "called", "reached", "solved", "not_solved", "unreached", "gone", "left"):
        listed = await desk.open(f"/campaigns/{id}/appeals?figure={figure}")
        many = expected.get(figure, 0)
        assert re.search(rf'id="count">{many} ', listed.html), figure
        assert sum(f"/appeals/{number}" in listed.html for number in numbers) == many
    assert (await desk.open(f"/campaigns/{id}/appeals?figure=nonsense")).status == 422
    assert (await desk.open("/campaigns/999/appeals?figure=left")).status == 404


async def test_it_says_that_it_waits_for_people_on_the_line(site: Site) -> None:
    id = started(site)
    desk = await feedback(site)
    await site.line.say(snapshot(waiting=[waiting(since=(datetime.now(UTC) - timedelta(seconds=61)).isoformat())]))
    for path in (f"/campaigns/{id}", "/campaigns", "/confirmations"):
        assert "чекає: на лінії люди" in (await desk.open(path)).text, path
    await site.line.say(snapshot(waiting=[waiting(since=datetime.now(UTC).isoformat())]))
    assert "чекає:" not in (await desk.open(f"/campaigns/{id}")).text


# ── preview: the next one, before the call ──
async def test_the_next_one_is_seen_before_the_call_and_by_nobody_else(site: Site) -> None:
    first = site.appeal(executed=True, text="Холодно у ванній")
    second = site.appeal(executed=True, name="Петро", phone=SECOND, text="Шумить кран")
    started(site)
    one, other = await feedback(site), await feedback(site, "feedback2", "102")
    site.line.reply = {"attempt": None}
    page, theirs = await one.open("/confirmations"), await other.open("/confirmations")
    mine, others = (re.search(r'id="next".*?</section>', each.html, re.S) for each in (page, theirs))
    assert mine
    assert others
    assert "Холодно у ванній" in mine[0]
    assert "Відрегульовано подачу" in mine[0]
    assert "Шумить кран" in others[0]
    again = await one.open("/confirmations")
    assert "Холодно у ванній" in again.text, "it stays his until he calls or passes it over"
    call = next(form for form in page.forms if form.path.endswith("/call"))
    await one.submit(page, call.path)
    assert site.line.did("call")[-1]["seat"] == "101"
    with site.db.read() as conn:
        looked = conn.execute(select(schema.access_log.c.what, schema.access_log.c.why)).all()
    assert ("citizen", "/confirmations") in [tuple(row) for row in looked]
    assert first != second


async def test_another_one_is_shown_when_he_passes_it_over(site: Site) -> None:
    site.appeal(executed=True, text="Холодно у ванній")
    site.appeal(executed=True, name="Петро", phone=SECOND, text="Шумить кран")
    started(site)
    desk = await feedback(site)
    page = await desk.open("/confirmations")
    later = next(form for form in page.forms if form.path.endswith("/later"))
    page = await desk.submit(page, later.path)
    section = re.search(r'id="next".*?</section>', page.html, re.S)
    assert section is not None
    assert "Шумить кран" in section[0]


async def test_who_has_a_result_to_write_down_is_shown_none(site: Site) -> None:
    site.appeal(executed=True)
    site.appeal(executed=True, name="Петро", phone=SECOND)
    started(site)
    desk = await feedback(site)
    now, rules = datetime.now(UTC), site.app.state.parts.rules
    with site.db.write() as conn:
        due = confirmations.due(conn, now, None, 1, rules)[0]
        confirmations.claim(conn, due.callback_id, now=now, rules=rules, seat="101", staff_id=site.staff["feedback"])
    page = await desk.open("/confirmations")
    assert 'id="next"' not in page.html
    assert "Записати результат" in page.text


async def test_in_progressive_mode_the_form_opens_by_ringing(site: Site) -> None:
    """The seat rings with the attempt's call: what its browser is told leads to the attempt's form."""
    site.appeal(executed=True)
    started(site, Mode.PROGRESSIVE)
    desk = await feedback(site)
    assert "щойно ваше місце вільне" in (await desk.open("/confirmations")).text
    now, rules = datetime.now(UTC), site.app.state.parts.rules
    with site.db.write() as conn:
        (due,) = confirmations.due(conn, now, None, 1, rules, within=Mode.PROGRESSIVE)
        placed = confirmations.claim(conn, due.callback_id, now=now, rules=rules, seat="101", reserve=True,
                                     staff_id=site.staff["feedback"])  # fmt: skip
    assert placed is not None
    await site.line.say(snapshot(seats=[at_seat("ringing", staff_id=site.staff["feedback"], linkedid=placed.id)]))
    page = await desk.open("/seat")
    assert f"/confirmations/attempts/{placed.id}" in page.html
    form = await desk.open(f"/confirmations/attempts/{placed.id}")
    assert "Батареї ледь теплі" in form.text


def test_one_is_on_one_screen_for_a_while() -> None:
    handed, now = Handed(), datetime(2026, 11, 24, tzinfo=UTC)
    assert [handed.next([1, 2, 3], who, now) for who in (7, 8, 7)] == [1, 2, 1]
    handed.pass_over(1, 7, now)
    assert handed.next([1, 2, 3], 7, now) == 3
    handed.pass_over(2, 7, now)  # another's: nothing
    assert handed.next([1, 2, 3], 8, now) == 2
    assert handed.next([1, 2, 3], 9, now) is None
    assert handed.next([1, 2, 3], 9, now + LASTS) == 1


# ── how conversations are rated ──
def rated(site: Site, scores: list[int | None], staff: str = "operator") -> None:
    for number, score in enumerate(scores):
        linkedid = site.calling(linkedid=f"1767000000.{number}", staff=staff)
        if score is not None:
            with site.db.write() as conn:
                ratings.keep(conn, linkedid, score, datetime.now(UTC))


async def test_the_report_counts_and_leaves_out_what_tells_of_one_caller(site: Site) -> None:
    site.hire(Role.OPERATOR)
    rated(site, [5, 4, 5, 3, 5, None])
    site.hire(Role.OPERATOR, "second")
    linkedid = site.calling(linkedid="1767000001.1", staff="second")
    with site.db.write() as conn:
        ratings.keep(conn, linkedid, 1, datetime.now(UTC))
    desk = await site.person(Role.ANALYST)
    page = await desk.open("/reports/ratings")
    assert page.status == 200
    answer = await desk.http.get("/reports/ratings?file=csv")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    by_name = {row[0]: row[1:] for row in rows if row}
    assert by_name["Людина operator"] == ["6", "5", "0.8333", "4.4", "0.0", "0.0", "0.2", "0.2", "0.6"]
    assert by_name["Людина second"] == ["1", "1", "1.0", *["…"] * 6]
    whole = next(row for row in rows if row and row[1:3] == ["7", "6"])
    assert whole[4] == "3.83"
    assert "3,83" in page.text
    assert (await desk.http.get("/reports/ratings?file=xlsx")).content[:2] == b"PK"
    formulas = await desk.open("/reports/formulas")
    assert 'id="mean_score"' in formulas.html


async def test_a_person_sees_his_own_and_nobody_elses(site: Site) -> None:
    site.hire(Role.OPERATOR, "second")
    desk = await site.person(Role.OPERATOR)
    assert "розмов із вами не оцінювали" in (await desk.open("/seat")).text
    rated(site, [5, 4], staff="operator")
    assert "2 оцінки Середню буде видно, коли оцінок стане щонайменше 5" in (await desk.open("/seat")).text
    rated(site, [5, 4, 4, 5, 4], staff="operator")
    linkedid = site.calling(linkedid="1767000001.1", caller=THIRD, staff="second")
    with site.db.write() as conn:
        ratings.keep(conn, linkedid, 1, datetime.now(UTC))
    page = await desk.open("/seat")
    assert "4,40" in page.text
    assert "5 оцінок" in page.text
    assert CALLER not in page.text
