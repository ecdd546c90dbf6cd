"""A burst proposes an incident once; a person opens it; appeals join; closing executes them all and asks everybody."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from crm import appeals, calls, citizens, incidents, networks
from crm.confirmation_rules import Result
from crm.errors import BadInput, IllegalAction, NotFound, Stale
from crm.incidents import Complaint, Incident, Place, Rules, burst
from crm.incidents import State as Stage
from crm.life import Action, Evidence, State
from crm.schema import appeal, callback, edit_log, incident, subject
from crm.store import Database, insert_row
from tests.crm.conftest import NOON, City, found_city

RULES = Rules()
HOUR = dt.timedelta(hours=1)


# ── the rule ──
def complaints(people: int, *, building: int = 1, ago: float = 0) -> list[Complaint]:
    return [Complaint(1000 * building + n, building, NOON - dt.timedelta(minutes=ago)) for n in range(people)]


@given(st.integers(0, 10), st.floats(0, 300))
def test_a_building_is_proposed_by_so_many_within_so_long(people: int, ago: float) -> None:
    expected = Place(1) if people >= RULES.building and ago < RULES.building_minutes else None
    assert burst(RULES, 1, complaints(people, ago=ago), {}, NOON) == expected


@given(st.integers(0, 6), st.integers(0, 6), st.floats(0, 300))
def test_a_network_is_proposed_by_several_buildings(here: int, there: int, ago: float) -> None:
    of = complaints(here, ago=ago) + complaints(there, building=2, ago=ago)
    wide = here and there and here + there >= RULES.network and ago < RULES.network_minutes
    own = here >= RULES.building and ago < RULES.building_minutes
    assert burst(RULES, 1, complaints(here, ago=ago), {7: of}, NOON) == (
        Place(network_id=7) if wide else Place(1) if own else None)  # fmt: skip


@given(st.integers(0, 20))
def test_one_person_is_one_however_often_he_complains(times: int) -> None:
    assert burst(RULES, 1, [Complaint(5, 1, NOON)] * times, {}, NOON) is None
    unnamed = [Complaint(None, 1, NOON)] * times
    assert (burst(RULES, 1, unnamed, {}, NOON) is not None) is (times >= RULES.building)


def test_the_network_that_most_complain_on_is_named() -> None:
    few, many = complaints(3) + complaints(2, building=2), complaints(3) + complaints(9, building=3)
    assert burst(RULES, 1, complaints(3), {4: few, 9: many}, NOON) == Place(network_id=9)
    assert burst(RULES, 1, complaints(3), {4: few, 9: few}, NOON) == Place(network_id=4), "always the same one"


def test_what_is_dated_in_the_future_counts_for_nothing() -> None:
    assert burst(RULES, 1, complaints(9, ago=-5), {}, NOON) is None


# ── at registration ──
def person(city: City, n: int) -> int:
    return citizens.add(city.conn, now=city.now, name=f"Мешканець {n}", phones=[f"+3804411{n:05}"])


def complain(city: City, n: int, *, apart: bool = False, **given: object) -> appeals.Registered:
    made = city.registered(person(city, n), **given)
    incidents.registered(city.conn, made.id, now=city.now, staff_id=city.operator, apart=apart)
    return made


def only(city: City) -> Incident:
    (found,) = incidents.listed(city.conn, tuple(Stage))
    return found


def opened(city: City, people: int = 3) -> tuple[Incident, list[appeals.Registered]]:
    made = [complain(city, n) for n in range(people)]
    incidents.begin(city.conn, only(city).id, cause="Прорвало трубу", expected_at=city.now + HOUR, now=city.now,
                    staff_id=city.operator)  # fmt: skip
    return only(city), made


def test_a_burst_from_one_building_proposes_one_incident(city: City) -> None:
    for n in range(RULES.building - 1):
        complain(city, n)
    assert incidents.listed(city.conn, tuple(Stage)) == []
    for n in range(RULES.building, 9):
        complain(city, n)
    found = only(city)
    assert (found.state, found.building_id, found.subject_id, found.appeals) == (
        Stage.PROPOSED, city.building, city.no_heating, 0)  # fmt: skip
    assert incidents.at(city.conn, city.building) == [found]
    assert incidents.at(city.conn, city.other_building) == []


def test_a_burst_over_a_network_takes_the_place_of_its_buildings_proposals(city: City) -> None:
    boiler = networks.add(city.conn, "heat", "Котельня № 1", now=city.now)
    networks.put(city.conn, boiler, [city.building, city.other_building], now=city.now)
    for n in range(3):
        complain(city, n)
    assert only(city).building_id == city.building
    for n in range(3, 6):
        complain(city, n, building_id=city.other_building)
    found = [(each.network_id, each.building_id, each.state) for each in incidents.listed(city.conn, tuple(Stage))]
    assert found == [(boiler, None, Stage.PROPOSED), (None, city.building, Stage.DISMISSED)]


def test_a_network_is_proposed_when_its_buildings_complain_one_by_one(city: City) -> None:
    boiler = networks.add(city.conn, "heat", "Котельня № 1", now=city.now)
    networks.put(city.conn, boiler, [city.building, city.other_building], now=city.now)
    for n in range(5):
        complain(city, n, building_id=(city.building, city.other_building)[n % 2])
    (network,) = incidents.listed(city.conn, [Stage.PROPOSED])
    assert (network.network_id, network.building_id, network.network) == (boiler, None, "Котельня № 1")
    assert incidents.at(city.conn, city.other_building) == [network]


def test_another_branch_of_subjects_is_another_matter(city: City) -> None:
    housing = insert_row(city.conn, subject, {"name_uk": "Житло", "name_en": "Housing", "department_id": city.roads})
    lifts, heat = (insert_row(city.conn, subject, {"name_uk": name, "name_en": name, "department_id": city.roads,
                                                   "parent_id": housing}) for name in ("Ліфти", "Тепло"))  # fmt: skip
    cold = insert_row(city.conn, subject, {"name_uk": "Холодно", "name_en": "Cold", "department_id": city.roads,
                                           "parent_id": heat})  # fmt: skip
    for n, chosen in enumerate((lifts, heat, lifts, cold)):
        complain(city, n, subject_id=chosen)
    assert incidents.listed(city.conn, tuple(Stage)) == []
    complain(city, 9, subject_id=cold)
    assert only(city).subject_id == heat


def test_what_has_no_building_proposes_nothing(city: City) -> None:
    for n in range(9):
        complain(city, n, building_id=None, place="біля фонтана")
    assert incidents.listed(city.conn, tuple(Stage)) == []


def test_what_was_dismissed_is_counted_anew(city: City) -> None:
    for n in range(3):
        complain(city, n)
    incidents.dismiss(city.conn, only(city).id, reason="Різні несправності", now=city.now, staff_id=city.operator)
    city.later(minutes=1)
    for n in range(3, 5):
        complain(city, n)
    assert only(city).state is Stage.DISMISSED
    complain(city, 5)
    assert [each.state for each in incidents.listed(city.conn, tuple(Stage))] == [Stage.PROPOSED, Stage.DISMISSED]


def test_two_operators_propose_one_incident(db: Database) -> None:
    """Both see the third appeal at once."""
    with db.write() as conn:
        city = found_city(conn)
        for n in range(2):
            complain(city, n)

    def third(n: int) -> None:
        with db.write() as conn:
            complain(replace(city, conn=conn), n)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(third, range(10, 18)))
    with db.read() as conn:
        assert len(incidents.listed(conn, tuple(Stage))) == 1


# ── opened and joined ──
def test_opening_takes_the_appeals_that_proposed_it(city: City) -> None:
    earlier = complain(city, 50)
    city.later(hours=20)
    elsewhere = complain(city, 51, building_id=city.other_building)
    found, made = opened(city)
    assert (found.state, found.cause, found.appeals) == (Stage.OPEN, "Прорвало трубу", 4)
    assert found.opened_by == "Оксана Коваль"
    for one in (*made, earlier):
        assert city.get(one).incident_id == found.id
    assert city.get(elsewhere).incident_id is None
    line = appeals.history(city.conn, made[0].id)[-1]
    assert (line.action, line.evidence) == (Action.JOIN, {"incident": found.id})


def test_a_new_appeal_joins_by_itself_unless_it_is_another_matter(city: City) -> None:
    found, _ = opened(city)
    joined, apart = complain(city, 10), complain(city, 11, apart=True)
    assert (city.get(joined).incident_id, city.get(apart).incident_id) == (found.id, None)
    assert incidents.fits(city.conn, found, city.no_heating)
    roofs = insert_row(city.conn, subject, {"name_uk": "Дах", "name_en": "Roof", "department_id": city.roads})
    assert not incidents.fits(city.conn, found, roofs)
    assert not incidents.fits(city.conn, found, None)
    assert city.get(complain(city, 12, subject_id=roofs)).incident_id is None
    assert [line.number for line in incidents.outside(city.conn, found.id)] == [apart.number]
    assert incidents.gather(city.conn, found.id, now=city.now, staff_id=city.operator) == 1
    incidents.leave(city.conn, apart.id, now=city.now, staff_id=city.operator)
    line = appeals.history(city.conn, apart.id)[-1]
    assert (city.get(apart).incident_id, line.action, line.evidence) == (None, Action.SPLIT, {"incident": found.id})
    with pytest.raises(BadInput, match=r"incident\.not_joined"):
        incidents.leave(city.conn, apart.id, now=city.now)


def test_what_cannot_join_does_not(city: City) -> None:
    found, made = opened(city)
    other = incidents.declare(city.conn, subject_id=city.no_heating, building_id=city.other_building, cause="Інша",
                              now=city.now, staff_id=city.operator)  # fmt: skip
    with pytest.raises(BadInput, match=r"incident\.joined"):
        incidents.join(city.conn, other, made[0].id, now=city.now)
    lines = len(appeals.history(city.conn, made[0].id))
    incidents.join(city.conn, found.id, made[0].id, now=city.now)
    assert len(appeals.history(city.conn, made[0].id)) == lines, "said twice, done once"
    with pytest.raises(IllegalAction):
        incidents.join(city.conn, found.id, city.executed().id, now=city.now)
    with pytest.raises(NotFound):
        incidents.join(city.conn, 999_999, made[0].id, now=city.now)
    incidents.close(city.conn, other, result="Полагоджено", now=city.now, staff_id=city.operator)
    with pytest.raises(IllegalAction):
        incidents.join(city.conn, other, city.registered().id, now=city.now)


def test_one_is_declared_where_nobody_proposed_it_and_only_once(city: City) -> None:
    say: dict[str, Any] = {"cause": "Аварія", "now": city.now, "staff_id": city.operator}
    made = incidents.declare(city.conn, subject_id=city.no_heating, building_id=city.building, **say)
    with pytest.raises(BadInput, match=r"incident\.already"):
        incidents.declare(city.conn, subject_id=city.no_heating, building_id=city.building, **say)
    incidents.close(city.conn, made, result="Усе", now=city.now, staff_id=None)
    assert incidents.declare(city.conn, subject_id=city.no_heating, building_id=city.building, **say) != made
    words = incidents.declare(city.conn, subject_id=city.no_heating, place="вся Оболонь", **say)
    assert incidents.get(city.conn, words).place == "вся Оболонь"
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({}, BadInput), ({"network_id": 999_999}, NotFound), ({"building_id": 999_999}, NotFound)]
    for place, problem in wrong:
        with pytest.raises(problem):
            incidents.declare(city.conn, subject_id=city.no_heating, **place, **say)


def test_declaring_what_was_proposed_opens_that(city: City) -> None:
    for n in range(3):
        complain(city, n)
    made = incidents.declare(city.conn, subject_id=city.no_heating, building_id=city.building, cause="Аварія",
                             now=city.now, staff_id=city.operator)  # fmt: skip
    assert (only(city).id, only(city).state, only(city).appeals) == (made, Stage.OPEN, 3)


def test_what_is_known_of_it_changes_and_who_changed_it_is_kept(city: City) -> None:
    found, _ = opened(city)
    later = city.now + 5 * HOUR
    incidents.amend(city.conn, found.id, cause="Насос", expected_at=later, now=city.now, staff_id=city.operator,
                    version=found.version)  # fmt: skip
    assert (only(city).cause, only(city).expected_at) == ("Насос", later)
    logged = city.conn.execute(select(edit_log).where(edit_log.c.what == "incident").order_by(edit_log.c.id)).all()
    assert [(row.staff_id, row.after.get("cause")) for row in logged] == [
        (city.operator, "Прорвало трубу"), (city.operator, "Насос")]  # fmt: skip
    assert logged[-1].before["cause"] == "Прорвало трубу"


def test_who_has_not_seen_the_latest_is_told(city: City) -> None:
    found, _ = opened(city)
    incidents.amend(city.conn, found.id, cause="Насос", expected_at=None, now=city.now, staff_id=city.operator)
    say: dict[str, Any] = {"now": city.now, "staff_id": city.operator, "version": found.version}
    with pytest.raises(Stale):
        incidents.amend(city.conn, found.id, cause="Труба", expected_at=None, **say)
    with pytest.raises(Stale):
        incidents.close(city.conn, found.id, result="Усе", **say)
    with pytest.raises(Stale):
        incidents.dismiss(city.conn, found.id, reason="Ні", **say)
    assert only(city).cause == "Насос"


def test_what_is_missing_or_out_of_turn_is_refused(city: City) -> None:
    found, _ = opened(city)
    say: dict[str, Any] = {"now": city.now, "staff_id": city.operator}
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: incidents.begin(city.conn, found.id, cause="Ще раз", **say), "incident.illegal_action"),
        (lambda: incidents.amend(city.conn, found.id, cause=" ", expected_at=None, **say), "incident.no_cause"),
        (lambda: incidents.amend(city.conn, found.id, cause="Х", expected_at=city.now, **say), "incident.past"),
        (lambda: incidents.close(city.conn, found.id, result="", **say), "incident.no_result"),
        (lambda: incidents.dismiss(city.conn, found.id, reason="", **say), "incident.no_reason"),
        (lambda: incidents.get(city.conn, 999_999), "incident.unknown"),
    ]
    for act, problem in refused:
        with pytest.raises((BadInput, IllegalAction, NotFound), match=problem.replace(".", r"\.")):
            act()
    assert only(city).state is Stage.OPEN


# ── closed ──
def test_closing_executes_all_and_asks_everybody(city: City) -> None:
    found, made = opened(city, 4)
    withdrawn = made[3]
    appeals.act(city.conn, withdrawn.id, Action.WITHDRAW, now=city.now, note="Сам", evidence=Evidence("1.1", key="1"))
    incidents.close(city.conn, found.id, result="Трубу замінено", now=city.now, staff_id=city.operator)
    closed = only(city)
    assert (closed.state, closed.result, closed.closed_by) == (Stage.CLOSED, "Трубу замінено", "Оксана Коваль")
    assert [city.get(one).state for one in made] == [*[State.AWAITING] * 3, State.WITHDRAWN]
    assert len(city.due()) == 3, "each of them is called back"
    line = next(line for line in appeals.history(city.conn, made[0].id) if line.action is Action.EXECUTE)
    assert (line.note, line.staff_id) == ("Трубу замінено", city.operator)
    city.say(city.get(made[0]), Result.NOT_SOLVED)
    assert [city.get(one).state for one in made[:3]] == [State.RETURNED, State.AWAITING, State.AWAITING]
    assert not incidents.carry_on(city.conn, city.now)
    assert city.get(made[0]).state is State.RETURNED, "his alone came back, and is not executed by the same word again"


def test_many_are_executed_a_few_at_a_time_and_whoever_is_interrupted_goes_on(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incidents, "EXECUTED_AT_ONCE", 2)
    found, made = opened(city, 7)
    city.later(hours=1)
    incidents.close(city.conn, found.id, result="Усе", now=city.now, staff_id=city.operator)
    assert only(city).state is Stage.CLOSING
    assert incidents.left(city.conn, only(city)) == 5
    city.say(city.get(made[0]), Result.NOT_SOLVED)  # before the others are even executed
    city.later(hours=-3)  # and the clock is set back
    assert incidents.carry_on(city.conn, city.now)
    city.say(city.get(made[2]), Result.NOT_SOLVED, linkedid="17.2")
    rounds = 1
    while incidents.carry_on(city.conn, city.now):
        rounds += 1
        assert rounds < 10
    assert rounds == 3
    assert only(city).state is Stage.CLOSED
    returned = {made[0].id, made[2].id}
    for one in made:
        assert city.get(one).state is (State.RETURNED if one.id in returned else State.AWAITING)
    assert len(city.conn.execute(select(callback.c.id).where(callback.c.ended_at.is_(None))).all()) == 5


def test_what_cannot_be_executed_stays_with_whom_it_is(city: City) -> None:
    """Returned twice: the control desk decides on it, whatever incident it belongs to."""
    found, (first, *_) = opened(city)
    for n in range(2):
        city.execute(first.id)
        city.say(city.get(first), Result.NOT_SOLVED, linkedid=f"17.{n}")
    assert city.get(first).state is State.CONTROL
    incidents.close(city.conn, found.id, result="Усе", now=city.now, staff_id=city.operator)
    assert (only(city).state, city.get(first).state) == (Stage.CLOSED, State.CONTROL)


def test_one_that_was_returned_before_is_executed_with_the_incident(city: City) -> None:
    first = city.executed()
    city.say(first, Result.NOT_SOLVED)
    city.later(minutes=5)
    found, _ = opened(city)
    assert city.get(first).incident_id == found.id
    incidents.close(city.conn, found.id, result="Усе", now=city.now, staff_id=city.operator)
    assert city.get(first).state is State.AWAITING


def test_the_dismissed_leaves_its_appeals_as_they_were(city: City) -> None:
    found, made = opened(city)
    incidents.dismiss(city.conn, found.id, reason="Помилка", now=city.now, staff_id=city.operator)
    assert (only(city).state, only(city).result) == (Stage.DISMISSED, "Помилка")
    assert {city.get(one).state for one in made} == {State.ASSIGNED}
    assert [line.number for line in appeals.for_department(city.conn, city.heating)] == [one.number for one in made]


# ── without a name ──
def test_an_anonymous_emergency_is_kept_and_proposes_an_incident_by_itself(city: City) -> None:
    calls.arrived(city.conn, "17.1", at=city.now, origin="mobile")
    say: dict[str, Any] = {"subject_id": city.no_heating, "now": city.now, "staff_id": city.operator}
    made = incidents.report(city.conn, building_id=city.building, text="Окріп у підвалі", linkedid="17.1", **say)
    again = incidents.report(city.conn, building_id=city.building, text="Пара з підвалу", **say)
    assert made == again
    assert (only(city).state, only(city).reports, only(city).appeals) == (Stage.PROPOSED, 2, 0)
    assert [each.text for each in incidents.reports(city.conn, made)] == ["Окріп у підвалі", "Пара з підвалу"]
    call = calls.get(city.conn, "17.1")
    assert call is not None
    assert call.outcome == calls.Outcome.REPORTED
    assert city.conn.execute(select(appeal.c.id)).first() is None, "no name, no appeal"
    words = incidents.report(city.conn, place="сквер, біля фонтана", text="Провалля", **say)
    assert incidents.get(city.conn, words).place == "сквер, біля фонтана"


def test_an_emergency_without_a_place_or_a_word_is_refused(city: City) -> None:
    say: dict[str, Any] = {"subject_id": city.no_heating, "now": city.now, "staff_id": city.operator}
    with pytest.raises(BadInput, match=r"incident\.no_place"):
        incidents.report(city.conn, text="Пожежа", **say)
    with pytest.raises(BadInput, match=r"incident\.no_text"):
        incidents.report(city.conn, text=" ", building_id=city.building, **say)
    with pytest.raises(NotFound):
        incidents.report(city.conn, text="Пожежа", building_id=999_999, **say)
    assert city.conn.execute(select(incident.c.id)).first() is None
