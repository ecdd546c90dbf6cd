"""One key joins an incident: once a number, with an appeal where a citizen and his building are known; everybody is
asked when it is over."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from crm import appeals, calls, incident_callers, incidents, networks, promises
from crm.calls import EndCause
from crm.confirmation_rules import Result
from crm.edits import log_edit
from crm.errors import IllegalAction, NotFound
from crm.incident_callers import Figures, Joined
from crm.life import State
from crm.promise_rules import Reason, Rules
from crm.schema import appeal, incident_caller, promise, subject
from tests.crm.conftest import NOON, PHONE, SECOND_PHONE, City
from tests.crm.test_announcements import opened

RULES = Rules(call_from=0, call_to=1440)


def join(city: City, incident_id: int, e164: str = PHONE, linkedid: str = "1.1") -> Joined:
    calls.arrived(city.conn, linkedid, at=city.now, origin="mobile", caller=e164)
    return incident_callers.join(city.conn, incident_id, e164=e164, linkedid=linkedid, language="uk", now=city.now)


def close(city: City, incident_id: int) -> None:
    incidents.close(city.conn, incident_id, result="Замінили", now=city.now, staff_id=city.operator)


def rows(city: City) -> int:
    return int(city.conn.execute(select(func.count()).select_from(incident_caller)).scalar_one())


# ── he presses the key ──
def test_a_known_citizen_of_the_building_has_an_appeal_that_is_in_it(city: City) -> None:
    incident_id = opened(city)
    made = join(city, incident_id)
    assert made.number is not None
    his = appeals.by_number(city.conn, made.number)
    assert his is not None
    assert (his.citizen_id, his.building_id, his.subject_id, his.channel, his.incident_id, his.state) == (
        city.citizen, city.building, city.no_heating, "phone", incident_id, State.ASSIGNED)  # fmt: skip
    call = calls.get(city.conn, "1.1")
    assert call is not None
    assert call.outcome == calls.Outcome.APPEAL


def test_told_again_or_calling_again_nothing_changes(city: City) -> None:
    incident_id = opened(city)
    first = join(city, incident_id)
    assert join(city, incident_id) == join(city, incident_id, linkedid="1.2") == first
    assert rows(city) == 1
    assert city.conn.execute(select(func.count()).select_from(appeal)).scalar_one() == 1


def test_the_appeal_that_he_has_there_already_is_his(city: City) -> None:
    incident_id = opened(city)
    joined = city.registered()
    incidents.join(city.conn, incident_id, joined.id, now=city.now)
    assert join(city, incident_id).number == joined.number


def test_an_open_appeal_that_speaks_of_it_joins_with_him(city: City) -> None:
    incident_id = opened(city)
    speaking = city.registered()
    assert join(city, incident_id).number == speaking.number
    assert appeals.get(city.conn, speaking.id).incident_id == incident_id


def test_who_is_known_by_an_appeal_at_the_building_has_one_more_of_this(city: City) -> None:
    incident_id = opened(city, city.other_building)
    other = city.conn.execute(subject.insert().values(
        name_uk="Яма", name_en="Pothole", department_id=city.roads, term_days=30).returning(subject.c.id)).scalar_one()
    city.registered(building_id=city.other_building, subject_id=other, flat="5")
    made = join(city, incident_id)
    assert made.number is not None
    his = appeals.by_number(city.conn, made.number)
    assert his is not None
    assert (his.building_id, his.flat, his.subject_id) == (city.other_building, "5", city.no_heating)


def test_a_networks_resident_has_one_too(city: City) -> None:
    network = networks.add(city.conn, "heat", "Котельня", now=NOON)
    networks.put(city.conn, network, [city.building], now=NOON)
    assert join(city, opened(city, network_id=network)).number is not None


@pytest.mark.parametrize("e164", [SECOND_PHONE, ""])
def test_everybody_else_is_counted(city: City, e164: str) -> None:
    incident_id = opened(city)
    assert join(city, incident_id, e164) == Joined(None, reachable=bool(e164))
    join(city, incident_id, e164, "1.2")
    assert rows(city) == (1 if e164 else 2), "once a number; of those without one, once a call"
    assert incident_callers.without_appeal(city.conn, [incident_id]) == {incident_id: rows(city)}


def test_a_citizen_from_elsewhere_is_counted(city: City) -> None:
    assert join(city, opened(city, city.other_building)).number is None


def test_a_subject_that_is_not_chosen_any_more_does_not_stand_in_the_way(city: City) -> None:
    incident_id = opened(city)
    city.conn.execute(update(subject).values(active=False))
    log_edit(city.conn, now=NOON, staff_id=None, what="subject", key=city.no_heating, before=None, after=None)
    assert join(city, incident_id) == Joined(None, reachable=True)
    assert rows(city) == 1


def test_what_is_over_cannot_be_joined_but_a_key_pressed_before_counts(city: City) -> None:
    incident_id, before = opened(city), city.now
    city.later(minutes=5)
    close(city, incident_id)
    with pytest.raises(IllegalAction):
        join(city, incident_id)
    with pytest.raises(NotFound):
        join(city, 999)
    city.now = before
    assert join(city, incident_id) == Joined(None, reachable=True)


def test_who_joined_and_left_the_queue_did_not_give_up(city: City) -> None:
    incident_id = opened(city)
    for linkedid, joins in (("1.1", True), ("1.2", False)):
        calls.arrived(city.conn, linkedid, at=city.now, origin="mobile", caller=SECOND_PHONE)
        calls.queued(city.conn, linkedid, city.now, calls.Queue.CITY, 3, None)
        if joins:
            join(city, incident_id, SECOND_PHONE, linkedid)
        calls.ended(city.conn, linkedid, city.now, EndCause.ABANDONED)
    ends = [calls.get(city.conn, linkedid).end_cause for linkedid in ("1.1", "1.2")]  # type: ignore[union-attr]
    assert ends == [EndCause.IVR, EndCause.ABANDONED]


# ── when it is over ──
def test_everybody_without_an_appeal_is_promised_a_call_a_few_at_a_time(city: City) -> None:
    incident_id = opened(city)
    join(city, incident_id)  # he has an appeal
    join(city, incident_id, "", "1.2")  # he cannot be called
    many = incident_callers.AT_ONCE + 7
    for n in range(many):
        join(city, incident_id, f"+3805000{n:05}", f"2.{n}")
    assert not incident_callers.carry_on(city.conn, city.now, RULES), "it is not over"
    close(city, incident_id)
    assert incident_callers.carry_on(city.conn, city.now, RULES)
    assert len(promises.open_ones(city.conn)) == incident_callers.AT_ONCE
    assert incident_callers.carry_on(city.conn, city.now, RULES)
    assert not incident_callers.carry_on(city.conn, city.now, RULES)
    owed = promises.open_ones(city.conn)
    assert len(owed) == many
    assert {(each.reason, each.incident_id) for each in owed} == {(Reason.INCIDENT, incident_id)}
    assert PHONE not in {each.e164 for each in owed}


def test_who_does_not_want_to_be_called_is_not(city: City) -> None:
    incident_id = opened(city)
    join(city, incident_id, SECOND_PHONE)
    promises.silence(city.conn, SECOND_PHONE, city.now)
    close(city, incident_id)
    assert incident_callers.carry_on(city.conn, city.now, RULES)
    assert not incident_callers.carry_on(city.conn, city.now, RULES)
    assert city.conn.execute(select(promise)).all() == []


def test_of_an_incident_that_was_none_nobody_is_asked(city: City) -> None:
    incident_id = opened(city)
    join(city, incident_id, SECOND_PHONE)
    incidents.dismiss(city.conn, incident_id, reason="Помилка", now=city.now, staff_id=city.operator)
    assert not incident_callers.carry_on(city.conn, city.now, RULES)


def test_what_they_say_is_counted_and_those_for_whom_it_is_not_over_come_first(city: City) -> None:
    incident_id = opened(city)
    numbers = [f"+38050000000{n}" for n in range(4)]
    for n, e164 in enumerate(numbers):
        join(city, incident_id, e164, f"1.{n}")
    join(city, incident_id, PHONE, "1.9")
    close(city, incident_id)
    incident_callers.carry_on(city.conn, city.now, RULES)
    incident_callers.said(city.conn, incident_id, numbers[0], Result.NOT_SOLVED)
    incident_callers.said(city.conn, incident_id, numbers[1], Result.SOLVED)
    incident_callers.said(city.conn, incident_id, "+380509999999", Result.NOT_SOLVED)
    assert incident_callers.figures(city.conn, incident_id) == Figures(5, 1, 4, 1, 1)
    assert incident_callers.not_over(city.conn, [incident_id, 999]) == {incident_id: 1}
    listed = incident_callers.callers(city.conn, incident_id)
    assert listed[0].e164 == numbers[0]
    assert [each.number is not None for each in listed].count(True) == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([PHONE, SECOND_PHONE, "+380500000001", ""]), max_size=12))
def test_however_often_they_call_each_number_is_one(city: City, said: list[str]) -> None:
    savepoint = city.conn.begin_nested()
    incident_id = opened(city)
    for n, e164 in enumerate(said):
        join(city, incident_id, e164, f"3.{n}")
        join(city, incident_id, e164, f"3.{n}")
    figures = incident_callers.figures(city.conn, incident_id)
    assert figures.callers == len(set(said) - {""}) + said.count("")
    assert figures.with_appeal == (PHONE in said)
    savepoint.rollback()


def test_an_appeals_own_confirmation_asks_who_has_one(city: City) -> None:
    incident_id = opened(city)
    number = join(city, incident_id).number
    close(city, incident_id)
    assert number is not None
    his = appeals.by_number(city.conn, number)
    assert his is not None
    assert his.state is State.AWAITING
    assert [each.citizen_id for each in city.due()] == [city.citizen]
