"""Campaigns over what is due, on both databases."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from crm import campaign_figures, campaigns, citizens, confirmations, edits
from crm.addresses import add_building, add_district, add_street
from crm.appeals import Appeal
from crm.campaign_figures import FIGURES, PARTS
from crm.campaign_rules import Mode, State, Step, Terms
from crm.confirmation_rules import Mode as AskedBy
from crm.confirmation_rules import Reached, Result, Rules
from crm.errors import BadInput, IllegalAction, NotFound, Stale
from crm.life import State as AppealState
from crm.schema import attempt, callback, subject
from crm.store import Database, insert_row
from tests.crm.conftest import NOON, City, found_city


def citizen(city: City, number: int, *, consent: bool = False) -> int:
    return citizens.add(city.conn, now=city.now, name=f"Мешканець {number}", phones=[f"+38044100{number:04}"],
                        auto_confirm=consent)  # fmt: skip


def started(city: City, name: str = "Тепло", mode: Mode = Mode.PREVIEW, **terms: Any) -> campaigns.Campaign:
    made = campaigns.save(city.conn, None, None, Terms(name, mode, **terms), staff_id=city.operator, now=city.now)
    step(city, made, Step.START)
    campaigns.take(city.conn, city.now)
    return campaigns.get(city.conn, made)


def step(city: City, id: int, what: Step) -> State:
    seen = campaigns.get(city.conn, id)
    return campaigns.step(city.conn, id, what, version=seen.version, staff_id=city.operator, now=city.now)


def in_campaign(city: City, id: int | None) -> list[str]:
    """Names of those whom it has, in their order."""
    found = select(callback.c.citizen_id).where(callback.c.campaign_id == id).order_by(callback.c.id)
    return [citizens.get(city.conn, row[0]).name for row in city.conn.execute(found)]


def names(found: list[confirmations.Due]) -> list[str]:
    return [each.citizen for each in found]


def within(city: City, mode: Mode) -> list[str]:
    return names(confirmations.due(city.conn, city.now, None, 10, city.rules, within=mode))


# ── which it takes ──
def test_it_takes_what_matches_and_leaves_the_rest_as_it_was(city: City) -> None:
    lifts = insert_row(city.conn, subject, {"name_uk": "Ліфти", "name_en": "Lifts", "department_id": city.roads,
                                            "parent_id": None})  # fmt: skip
    stuck = insert_row(city.conn, subject, {"name_uk": "Ліфт стоїть", "name_en": "Lift stuck", "parent_id": lifts,
                                            "department_id": city.roads})  # fmt: skip
    elsewhere = add_building(city.conn, add_street(city.conn, "вулиця Хрещатик"), "1",
                             add_district(city.conn, "Шевченківський", "Shevchenkivskyi"))  # fmt: skip
    city.executed()  # Марія: heating, Оболонський
    for number, given in enumerate([{"subject_id": stuck}, {"building_id": elsewhere}]):
        city.execute(city.registered(citizen(city, number), **given).id)
    everybody = {"Марія Іваненко", "Мешканець 0", "Мешканець 1"}
    expected: list[tuple[dict[str, Any], set[str]]] = [
        ({}, everybody), ({"department_id": city.roads}, {"Мешканець 0"}), ({"subject_id": lifts}, {"Мешканець 0"}),
        ({"subject_id": city.no_heating}, {"Марія Іваненко", "Мешканець 1"}),
        ({"district_id": 2}, {"Мешканець 1"}), ({"district_id": 1, "department_id": city.heating}, {"Марія Іваненко"}),
        ({"older_days": 1}, set()),
    ]  # fmt: skip
    for terms, taken in expected:
        one = started(city, **terms)
        assert set(in_campaign(city, one.id)) == taken, terms
        assert set(names(city.due())) == everybody, "who is in none goes on as before"
        city.conn.execute(update(callback).values(campaign_id=None))
        step(city, one.id, Step.END)


def test_the_age_of_a_report_is_counted_in_whole_days(city: City) -> None:
    city.executed()
    one = started(city, older_days=3)
    city.later(days=3, seconds=-1)
    campaigns.take(city.conn, city.now)
    assert in_campaign(city, one.id) == []
    city.later(seconds=1)
    campaigns.take(city.conn, city.now)
    assert in_campaign(city, one.id) == ["Марія Іваненко"]


def test_the_one_started_last_takes_first_and_is_called_first(city: City) -> None:
    city.executed()
    older = started(city, "Усе")
    city.later(minutes=1)
    city.executed(citizen(city, 1))
    newer = started(city, "Тепло", department_id=city.heating)
    assert (in_campaign(city, older.id), in_campaign(city, newer.id)) == (["Марія Іваненко"], ["Мешканець 1"])
    city.later(minutes=1)
    city.executed(citizen(city, 2))
    step(city, newer.id, Step.PAUSE)
    assert names(city.due()) == ["Марія Іваненко", "Мешканець 2"], "the paused one is silent"
    campaigns.take(city.conn, city.now)
    assert in_campaign(city, older.id) == ["Марія Іваненко", "Мешканець 2"], "a paused one takes nothing"
    step(city, newer.id, Step.RESUME)
    assert names(city.due()) == ["Мешканець 1", "Марія Іваненко", "Мешканець 2"]


def test_started_in_the_same_moment_the_later_made_takes(city: City) -> None:
    city.executed()
    both = [campaigns.save(city.conn, None, None, Terms(name, Mode.PREVIEW), staff_id=None, now=city.now)
            for name in ("Перша", "Друга")]  # fmt: skip
    for id in both:
        step(city, id, Step.START)
    campaigns.take(city.conn, city.now)
    assert [in_campaign(city, id) for id in both] == [[], ["Марія Іваненко"]]


def test_what_an_ended_one_leaves_goes_on_and_may_be_taken_again(city: City) -> None:
    city.executed()
    first = started(city)
    step(city, first.id, Step.END)
    assert names(city.due()) == ["Марія Іваненко"]
    assert city.claim().citizen_id == city.citizen, "with no campaign's terms"
    city.finish(confirmations.open_attempts(city.conn)[0], Reached.NO_ANSWER)
    second = started(city, "Далі")
    assert (in_campaign(city, first.id), in_campaign(city, second.id)) == ([], ["Марія Іваненко"])


def test_a_machine_asks_only_those_who_consented_and_a_person_whom_it_did_not_understand(city: City) -> None:
    for number, consent in ((1, True), (2, False)):
        city.executed(citizen(city, number, consent=consent))
    one = started(city, mode=Mode.AUTOMATIC)
    assert in_campaign(city, one.id) == ["Мешканець 1"]
    assert names(city.due(AskedBy.AUTO)) == within(city, Mode.AUTOMATIC) == ["Мешканець 1"]
    placed = city.claim(seat=None)
    assert placed.mode is AskedBy.AUTO
    city.finish(placed, Reached.NO_KEY)
    city.later(hours=1)
    assert city.due(AskedBy.AUTO) == []
    assert names(city.due()) == ["Мешканець 1", "Мешканець 2"], "a person calls him"


def test_consent_withdrawn_after_it_was_scheduled_is_kept(city: City) -> None:
    willing = citizen(city, 1, consent=True)
    city.executed(willing)
    assert names(city.due(AskedBy.AUTO)) == ["Мешканець 1"]
    citizens.set_consent(city.conn, willing, False)
    assert city.due(AskedBy.AUTO) == []
    with pytest.raises(BadInput, match="needs_seat"):
        city.claim(seat=None)


@pytest.mark.parametrize("mode", [Mode.PREVIEW, Mode.PROGRESSIVE])
def test_what_persons_are_to_call_no_machine_calls(city: City, mode: Mode) -> None:
    city.executed(citizen(city, 1, consent=True))
    started(city, mode=mode)
    assert city.due(AskedBy.AUTO) == []
    assert within(city, mode) == ["Мешканець 1"]
    with pytest.raises(BadInput, match="needs_seat"):
        city.claim(seat=None)
    assert city.claim().mode is AskedBy.LIVE


def test_with_no_number_left_it_is_given_up_in_any_campaign(city: City) -> None:
    willing = citizen(city, 1, consent=True)
    done = city.executed(willing)
    started(city)
    citizens.mark_wrong_number(city.conn, willing, "+380441000001")
    (due,) = city.due(AskedBy.AUTO)
    assert confirmations.claim(city.conn, due.callback_id, now=city.now, rules=city.rules) is None
    assert city.get(done).state is AppealState.UNCONFIRMED


# ── on its terms ──
def test_hours_and_caps_hold_whoever_calls(city: City) -> None:
    for number in range(3):
        city.executed(citizen(city, number))
    one = started(city, call_from=11 * 60, call_to=13 * 60, daily_cap=2)
    (first, *_) = city.due()
    for hour, may in ((10, False), (11, True), (12, True), (13, False)):
        now = dt.datetime(2026, 11, 25, hour - 2, 30 if may else 0, tzinfo=dt.UTC)
        assert bool(confirmations.due(city.conn, now, None, 10, city.rules)) == may
        if not may:
            with pytest.raises(BadInput, match=r"campaign\.outside_hours"):
                confirmations.claim(city.conn, first.callback_id, now=now, rules=city.rules, seat="101")
    city.finish(city.claim(), Reached.NOT_PLACED)  # his telephone never rang
    for _ in range(2):
        city.finish(city.claim(), Reached.NO_ANSWER)
    assert city.due() == []
    (left,) = city.conn.scalars(select(callback.c.id).where(callback.c.due_at <= city.now))
    with pytest.raises(BadInput, match=r"campaign\.daily_cap"):
        confirmations.claim(city.conn, left, now=city.now, rules=city.rules, seat="101")
    city.later(days=1)
    assert len(city.due()) == 3, "a new day"
    assert campaigns.placed_today(city.conn, city.now) == {}
    assert one.terms.daily_cap == 2


def test_a_citizen_is_not_called_oftener_a_day_whichever_campaign_asks(city: City) -> None:
    city.rules = replace(city.rules, retry_s=60)
    done = city.executed()
    city.finish(city.claim(), Reached.NO_ANSWER)  # in none
    first = started(city, citizen_daily_cap=2)
    city.later(minutes=5)
    city.finish(city.claim(), Reached.NO_ANSWER)
    city.later(minutes=5)
    assert city.due() == []
    (id,) = city.conn.scalars(select(callback.c.id))
    with pytest.raises(BadInput, match=r"campaign\.citizen_cap"):
        confirmations.claim(city.conn, id, now=city.now, rules=city.rules, seat="101")
    step(city, first.id, Step.END)
    started(city, "Інша", citizen_daily_cap=2)
    assert city.due() == []
    city.later(days=1)
    assert names(city.due()) == ["Марія Іваненко"]
    assert city.get(done).state is AppealState.AWAITING


def test_nobody_of_a_paused_one_is_called(city: City) -> None:
    city.executed()
    one = started(city, mode=Mode.PROGRESSIVE)
    (due,) = city.due()
    step(city, one.id, Step.PAUSE)
    assert (city.due(), within(city, Mode.PROGRESSIVE)) == ([], [])
    with pytest.raises(BadInput, match=r"campaign\.not_running"):
        confirmations.claim(city.conn, due.callback_id, now=city.now, rules=city.rules, seat="101")


def test_a_seat_is_reserved_for_one_and_only_when_it_has_nothing_to_write_down(city: City) -> None:
    for number in (1, 2):
        city.executed(citizen(city, number))
    started(city, mode=Mode.PROGRESSIVE)

    def reserve(seat: str) -> confirmations.Attempt | None:
        first = confirmations.due(city.conn, city.now, None, 1, city.rules, within=Mode.PROGRESSIVE)[0]
        return confirmations.claim(city.conn, first.callback_id, now=city.now, rules=city.rules, seat=seat,
                                   reserve=True)  # fmt: skip

    placed = reserve("101")
    assert placed is not None
    with pytest.raises(BadInput, match=r"seat\.on_call"):
        reserve("101")
    assert reserve("102") is not None
    city.finish(placed, Reached.NO_ANSWER)
    city.executed(citizen(city, 3))
    campaigns.take(city.conn, city.now)
    assert reserve("101") is not None


# ── its course ──
def test_who_did_what_and_when_is_in_the_log(city: City) -> None:
    one = started(city)
    city.later(minutes=5)
    step(city, one.id, Step.PAUSE)
    now = campaigns.get(city.conn, one.id)
    campaigns.save(city.conn, one.id, now.version, replace(one.terms, daily_cap=50), staff_id=city.operator,
                   now=city.now)  # fmt: skip
    lines = campaigns.history(city.conn, one.id)
    assert [(line.staff_id, line.after) for line in lines[:2]] == [
        (city.operator, {"daily_cap": 50}), (city.operator, {"state": "paused"})]  # fmt: skip
    assert lines[0].at == NOON + dt.timedelta(minutes=5)
    assert len(lines) == 4
    assert edits.recent(city.conn, {"campaign"}, 10, key=one.id + 1) == []


def test_only_what_may_follow_and_only_as_it_was_seen(city: City) -> None:
    one = started(city)
    with pytest.raises(IllegalAction, match="not_now"):
        step(city, one.id, Step.START)
    with pytest.raises(IllegalAction, match="not_editable"):
        campaigns.save(city.conn, one.id, one.version, one.terms, staff_id=None, now=city.now)
    with pytest.raises(Stale):
        campaigns.step(city.conn, one.id, Step.PAUSE, version=1, staff_id=None, now=city.now)
    with pytest.raises(NotFound, match="campaign"):
        campaigns.get(city.conn, 99)
    for wrong in ("department_id", "subject_id", "district_id"):
        of_none = Terms("Тепло", Mode.PREVIEW, **{wrong: 99})
        with pytest.raises(NotFound):
            campaigns.save(city.conn, None, None, of_none, staff_id=None, now=city.now)


# ── in figures ──
def counted(city: City, one: campaigns.Campaign) -> Counter[str]:
    found = campaign_figures.progress(city.conn, campaigns.get(city.conn, one.id), city.now, city.rules)
    for figure in FIGURES:  # each opens to exactly its appeals
        assert campaign_figures.behind(one, figure, city.now).count(city.conn) == found.counts[figure]
    assert sum(found.counts[part] for part in PARTS) == found.counts["planned"]
    return +found.counts


def test_progress_is_what_became_of_the_appeals(city: City) -> None:
    done: list[Appeal] = [city.executed(citizen(city, number)) for number in range(6)]
    one = started(city)
    assert counted(city, one) == {"planned": 6, "left": 6}
    city.say(done[0], Result.SOLVED, city.claim())
    city.finish(confirmations.open_attempts(city.conn)[0], Reached.ANSWERED)
    for which, result in ((1, Result.NOT_SOLVED), (2, Result.PARTLY)):
        placed = city.claim()
        confirmations.attempt_answered(city.conn, placed.id, city.now)
        city.say(done[which], result, placed)
        city.finish(placed, Reached.ANSWERED)
    city.finish(city.claim(), Reached.WRONG_NUMBER)
    city.finish(city.claim(), Reached.NOT_PLACED)
    city.say(done[5], Result.SOLVED)  # he called himself
    assert counted(city, one) == {"planned": 6, "called": 4, "reached": 2, "solved": 2, "not_solved": 2,
                                  "unreached": 1, "left": 1}  # fmt: skip
    found = campaign_figures.progress(city.conn, one, city.now, city.rules)
    assert (found.citizens, found.citizens_left, found.share) == (6, 1, 5 / 6)
    assert found.days == {dt.date(2026, 11, 24): Counter(placed=4, reached=2, solved=2, not_solved=2, unreached=1)}
    assert found.end == dt.date(2026, 11, 24)
    city.later(days=1)
    step(city, one.id, Step.END)
    ended = campaign_figures.progress(city.conn, campaigns.get(city.conn, one.id), city.now, city.rules)
    assert (ended.end, ended.counts["left"]) == (dt.date(2026, 11, 25), 1)


def test_tried_before_it_was_taken_is_not_called_by_it(city: City) -> None:
    city.executed()
    city.finish(city.claim(), Reached.NO_ANSWER)
    city.later(hours=3)
    one = started(city, citizen_daily_cap=4)
    assert counted(city, one) == {"planned": 1, "left": 1}
    city.finish(city.claim(), Reached.NO_ANSWER)
    assert counted(city, one) == {"planned": 1, "called": 1, "left": 1}


def test_the_plan_takes_nothing_and_says_how_many_which_and_how_long(city: City) -> None:
    city.executed()
    city.executed()
    city.execute(city.registered(citizen(city, 1), building_id=None, place="Поділ").id)
    terms = Terms("Тепло", Mode.PREVIEW, daily_cap=1, citizen_daily_cap=4)
    plan = campaign_figures.plan(city.conn, terms, city.now, city.rules)
    assert (plan.citizens, plan.appeals, plan.days, plan.at_once) == (2, 3, 2, 1)
    assert plan.by == {"department": {city.heating: 3}, "subject": {city.no_heating: 3}, "district": {1: 2, None: 1}}
    assert in_campaign(city, None) == ["Марія Іваненко", "Мешканець 1"]
    started(city, "Інша", district_id=1)
    assert campaign_figures.plan(city.conn, terms, city.now, city.rules).citizens == 1, "the other one has hers"


def test_the_pace_is_that_of_our_own_calls(city: City) -> None:
    assert campaign_figures.pace(city.conn, Mode.PREVIEW, city.now).tries == 1.0
    done = city.executed()
    placed = city.claim()
    city.later(seconds=30)
    city.finish(placed, Reached.BUSY)
    city.later(hours=1)
    placed = city.claim()
    city.later(seconds=90)
    city.say(done, Result.SOLVED, placed)
    city.finish(placed, Reached.ANSWERED)
    pace = campaign_figures.pace(city.conn, Mode.PREVIEW, city.now)
    assert (pace.call_s, pace.tries) == (60.0, 2.0)


# ── two lines at once ──
def test_two_lines_never_call_one_citizen_twice(db: Database) -> None:
    """Two claimers, each with its own connection: in every round both see the same one due, and claim it at once."""
    rules, many, cap = Rules(hourly_cap=10_000), 12, 9
    with db.write() as conn:
        city = found_city(conn)
        for number in range(many):
            city.executed(citizen(city, number))
        one = campaigns.save(conn, None, None, Terms("Усе", Mode.PROGRESSIVE, daily_cap=cap), staff_id=None,
                             now=NOON)  # fmt: skip
        campaigns.step(conn, one, Step.START, version=1, staff_id=None, now=NOON)
    together = threading.Barrier(2, timeout=60)

    def line(name: str) -> Counter[str]:
        came_to: Counter[str] = Counter()
        for seat in range(many + 1):
            with db.write() as conn:
                campaigns.take(conn, NOON)
            together.wait()
            with db.read() as conn:
                found = confirmations.due(conn, NOON, None, 1, rules, within=Mode.PROGRESSIVE)
            together.wait()
            if not found:
                return came_to
            try:
                with db.write() as conn:
                    confirmations.claim(conn, found[0].callback_id, now=NOON, rules=rules, seat=f"{name}{seat}",
                                        reserve=True)  # fmt: skip
                came_to["claimed"] += 1
            except BadInput as error:
                came_to[error.id] += 1
            together.wait()
        return came_to

    with ThreadPoolExecutor(2) as lines:
        first, second = lines.map(line, ("1", "2"))
    came_to = first + second
    assert came_to.pop("claimed") == cap, "and no more than that"
    assert came_to.keys() <= {"callback.calling", "callback.not_open", "campaign.daily_cap"}
    assert came_to.total() == cap, "in every round the other one was refused"
    with db.read() as conn:
        called = Counter(conn.scalars(select(attempt.c.citizen_id)))
    assert (len(called), called.total()) == (cap, cap)


def test_two_lines_never_reserve_one_seat_twice(db: Database) -> None:
    with db.write() as conn:
        city = found_city(conn)
        for number in range(2):
            city.executed(citizen(city, number))
        one = campaigns.save(conn, None, None, Terms("Усе", Mode.PROGRESSIVE), staff_id=None, now=NOON)
        campaigns.step(conn, one, Step.START, version=1, staff_id=None, now=NOON)
        campaigns.take(conn, NOON)
        ids = [each.callback_id for each in confirmations.due(conn, NOON, None, 2, Rules(), within=Mode.PROGRESSIVE)]
    begin = threading.Barrier(2)

    def line(id: int) -> bool:
        begin.wait()
        try:
            with db.write() as conn:
                return confirmations.claim(conn, id, now=NOON, rules=Rules(), seat="101", reserve=True) is not None
        except BadInput:
            return False

    with ThreadPoolExecutor(2) as lines:
        assert sorted(lines.map(line, ids)) == [False, True]
