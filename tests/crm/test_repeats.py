"""What is known already is found, with the reason; repeats are linked, merged appeals executed together and each
applicant asked."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select

from crm import addresses, appeals, calls, citizens, incidents, life, networks, repeats
from crm.confirmation_rules import Result
from crm.errors import BadInput, IllegalAction, NotFound, Stale
from crm.life import Action, Evidence, State
from crm.repeats import Known, Reason
from crm.schema import appeal, subject
from crm.store import insert_row
from tests.crm.conftest import PHONE, SECOND_PHONE, City


def neighbour(city: City, name: str = "Петро Сусіда", phone: str = "+380442223344") -> int:
    return citizens.add(city.conn, now=city.now, name=name, phones=[phone], building_id=city.building)


def tree(city: City) -> dict[str, int]:
    """Housing: heating (no heating, lukewarm), lifts."""
    housing = insert_row(city.conn, subject, {"name_uk": "Житло", "name_en": "Housing", "department_id": city.heating})
    ids: dict[str, int] = {}
    for name, above in (("Опалення", None), ("Ледь тепло", "Опалення"), ("Холодно", "Опалення"), ("Ліфти", None)):
        ids[name] = insert_row(city.conn, subject, {
            "name_uk": name, "name_en": name, "department_id": city.heating, "term_days": 15,
            "parent_id": ids[above] if above else housing})  # fmt: skip
    return ids


def find(city: City, **given: object) -> list[Known]:
    return repeats.known(city.conn, now=city.now, **given)  # type: ignore[arg-type]


def numbers(found: list[Known]) -> list[int]:
    return [known.line.number for known in found]


# ── what is already known ──
def test_the_callers_own_come_with_his_telephone_and_with_his_name(city: City) -> None:
    his = city.registered(text="Холодні батареї")
    city.registered(neighbour(city), building_id=city.other_building)
    for asked in ({"e164": PHONE}, {"citizen_id": city.citizen}):
        (known,) = find(city, **asked)
        assert (known.line.number, known.reasons) == (his.number, (Reason.CITIZEN,))
    assert find(city, e164=SECOND_PHONE) == []
    assert find(city) == []


def test_what_was_registered_unnamed_in_a_call_from_the_number_is_the_callers(city: City) -> None:
    calls.arrived(city.conn, "17.1", at=city.now, origin="mobile", caller=SECOND_PHONE)
    unnamed = city.registered(None, linkedid="17.1")
    assert numbers(find(city, e164=SECOND_PHONE)) == [unnamed.number]


def test_each_is_shown_once_with_every_reason(city: City) -> None:
    made = city.registered(text="Немає опалення")
    (known,) = find(city, e164=PHONE, building_id=city.building, text="без опалення третій день")
    assert known.line.number == made.number
    assert known.reasons == (Reason.CITIZEN, Reason.BUILDING, Reason.SIMILAR)
    assert known.nearness > repeats.NEAR


def test_the_subject_and_the_text_narrow_what_is_of_the_building(city: City) -> None:
    ids = tree(city)
    lukewarm = city.registered(neighbour(city), subject_id=ids["Ледь тепло"], text="Батареї ледь теплі")
    lift = city.registered(neighbour(city, "Інша"), subject_id=ids["Ліфти"], text="Застряг у ліфті")
    assert numbers(find(city, building_id=city.building)) == [lift.number, lukewarm.number], "nothing typed: all"
    assert numbers(find(city, building_id=city.building, subject_id=ids["Холодно"])) == [lukewarm.number]
    assert numbers(find(city, building_id=city.building, text="ліфт зупинився")) == [lift.number]
    assert find(city, building_id=city.building, text="Гавкають собаки") == []
    assert numbers(find(city, building_id=city.building, subject_id=999_999)) == [lift.number, lukewarm.number]


def test_open_ones_come_first_then_the_nearest(city: City) -> None:
    ended = city.registered(text="Немає опалення")
    appeals.act(city.conn, ended.id, Action.EXPLAIN, now=city.now, note="Планова перерва")
    near = city.registered(text="Опалення немає")
    city.later(hours=1)
    other = city.registered(text="Батарея протікає на підлогу")
    found = find(city, building_id=city.building, subject_id=city.no_heating, text="Немає опалення")
    assert numbers(found) == [near.number, other.number, ended.number]


def test_neighbours_on_one_network_are_known_lately(city: City) -> None:
    boiler = networks.add(city.conn, "heat", "Котельня № 1", now=city.now)
    made = city.registered(neighbour(city), building_id=city.other_building, text="Холодно")
    asked = {"building_id": city.building, "subject_id": city.no_heating}
    assert find(city, **asked) == [], "not on one network yet"
    networks.put(city.conn, boiler, [city.building, city.other_building], now=city.now)
    (known,) = find(city, **asked)
    assert (known.line.number, known.reasons) == (made.number, (Reason.NETWORK,))
    assert find(city, building_id=city.building) == [], "with nothing typed, the neighbours say nothing"
    city.later(days=repeats.NETWORK_DAYS, seconds=1)
    assert find(city, **asked) == [], "that was another failure"


def test_what_is_near_in_meaning_is_found_in_the_district_and_no_further(city: City) -> None:
    far = addresses.add_building(city.conn, addresses.add_street(city.conn, "вулиця Хрещатик"), "1",
                                 addresses.add_district(city.conn, "Печерський", "Pecherskyi"))  # fmt: skip
    somebody = neighbour(city)
    here = city.registered(somebody, building_id=city.other_building, text="Дерево впало на дорогу біля школи")
    there = city.registered(somebody, building_id=far, text="Дерево впало на дорогу біля школи")
    in_words = city.registered(somebody, building_id=None, place="біля школи", text="На дорогу впало дерево")
    asked = "впало деревo на дорогу, біля школи"
    found = find(city, building_id=city.building, text=asked)
    assert set(numbers(found)) == {here.number, in_words.number}
    assert {known.reasons for known in found} == {(Reason.SIMILAR,)}
    assert set(numbers(find(city, text=asked))) == {here.number, there.number, in_words.number}, "no place said yet"


def test_what_joined_an_incident_that_is_shown_says_nothing_more_but_to_whose_it_is(city: City) -> None:
    his, theirs = city.registered(), city.registered(neighbour(city))
    broken = incidents.declare(city.conn, subject_id=city.no_heating, building_id=city.building, cause="Аварія",
                               now=city.now, staff_id=None)  # fmt: skip
    asked = {"e164": PHONE, "building_id": city.building, "subject_id": city.no_heating}
    assert numbers(find(city, **asked)) == [his.number, theirs.number]
    assert numbers(find(city, **asked, shown={broken})) == [his.number]


def test_how_often_it_was_repeated_is_told(city: City) -> None:
    first = city.registered()
    for _ in range(3):
        repeats.link(city.conn, city.registered().id, first.id, now=city.now)
    found = {known.line.number: known.repeats for known in find(city, e164=PHONE)}
    assert found[first.number] == 3
    assert sum(found.values()) == 3


@pytest.mark.parametrize("text", ["", "%", "'; DROP TABLE appeal --", "\x00", "ї" * 20_000, "немає"])
def test_any_text_may_be_typed(city: City, text: str) -> None:
    city.registered()
    find(city, e164=PHONE, building_id=city.building, subject_id=city.no_heating, text=text)


def test_how_many_are_read_has_a_bound_and_each_is_found_along_an_index(city: City) -> None:
    """However many there are: so says the plan of every query that is made."""
    made = city.registered()
    row = city.conn.execute(select(appeal).where(appeal.c.id == made.id)).one()._asdict()
    city.conn.execute(appeal.insert(), [
        {**row, "id": made.id + n, "number": made.number + n, "registered_at": city.now + dt.timedelta(seconds=n)}
        for n in range(1, 600)])  # fmt: skip
    boiler = networks.add(city.conn, "heat", "Котельня № 1", now=city.now)
    networks.put(city.conn, boiler, [city.building, city.other_building], now=city.now)
    find(city, subject_id=city.no_heating)  # the rules are read once
    asked: list[tuple[str, Any]] = []
    event.listen(city.conn, "before_cursor_execute", lambda c, cu, sql, values, *_: asked.append((sql, values)))
    found = find(city, e164=PHONE, building_id=city.building, subject_id=city.no_heating, text="опалення")
    assert len(found) == 8
    assert len(asked) <= 8
    if city.conn.dialect.name == "sqlite":
        for sql, values in tuple(asked):
            plan = [str(step[3]) for step in city.conn.exec_driver_sql("EXPLAIN QUERY PLAN " + sql, values)]
            whole = [step for step in plan if step.startswith("SCAN appeal") and "INDEX" not in step]
            assert whole == [], sql


# ── repeats ──
def test_a_repeat_is_linked_to_the_first_and_counted_on_it(city: City) -> None:
    first, second, third = city.registered(), city.registered(), city.registered()
    repeats.link(city.conn, third.id, second.id, now=city.now, staff_id=city.operator)
    linked = repeats.link(city.conn, second.id, first.id, now=city.now, staff_id=city.operator)
    assert linked.repeat_of == first.id
    assert repeats.of(city.conn, first.id) == [second.number, third.number]
    assert repeats.of(city.conn, second.id) == []
    line = appeals.history(city.conn, second.id)[-1]
    assert (line.action, line.evidence, line.staff_id) == (Action.LINK, {"repeat_of": first.number}, city.operator)
    fourth = city.registered()
    assert repeats.link(city.conn, fourth.id, third.id, now=city.now).repeat_of == first.id, "no chains"
    lines = len(appeals.history(city.conn, fourth.id))
    repeats.link(city.conn, fourth.id, first.id, now=city.now)
    assert len(appeals.history(city.conn, fourth.id)) == lines, "said twice, done once"


def test_what_cannot_be_a_repeat_is_refused(city: City) -> None:
    first, theirs, second = city.registered(), city.registered(neighbour(city)), city.registered()
    for one, other, problem in ((first, first, "repeat.itself"), (first, second, "repeat.later"),
                                (second, theirs, "repeat.other_person")):  # fmt: skip
        with pytest.raises(BadInput, match=problem):
            repeats.link(city.conn, one.id, other.id, now=city.now)
    with pytest.raises(BadInput, match=r"repeat\.other_person"):
        repeats.link(city.conn, city.registered(None).id, first.id, now=city.now)
    with pytest.raises(NotFound):
        repeats.link(city.conn, second.id, 999_999, now=city.now)


def test_a_circle_cannot_be_linked(city: City) -> None:
    first, second = city.registered(), city.registered()
    repeats.link(city.conn, second.id, first.id, now=city.now)
    with pytest.raises(BadInput, match=r"repeat\.itself"):
        repeats.link(city.conn, first.id, second.id, now=city.now)


def test_who_gives_another_form_of_his_name_at_the_same_telephone_is_the_same_person(city: City) -> None:
    first = city.registered()
    again = citizens.add(city.conn, now=city.now, name="Іваненко М. П.", phones=[PHONE])
    assert repeats.link(city.conn, city.registered(again).id, first.id, now=city.now).repeat_of == first.id


@given(st.sampled_from(State), st.booleans())
def test_a_repeat_is_refused_only_when_the_first_was_resolved_on_its_merits(state: State, same: bool) -> None:
    assert life.may_refuse_repeat(state, same_citizen=same) is (same and state in ("closed", "explained"))


def test_refusing_a_repeat_needs_the_laws_ground(city: City) -> None:
    first, second = city.executed(), city.registered()
    repeats.link(city.conn, second.id, first.id, now=city.now)

    def refuse() -> State:
        return appeals.act(city.conn, second.id, Action.REFUSE, now=city.now, note="Повторне, перше вирішено").state

    with pytest.raises(BadInput, match=r"repeat\.not_resolved"):
        refuse()  # executed, not confirmed
    city.say(first, Result.SOLVED)
    assert refuse() is State.REFUSED


def test_a_repeat_of_what_another_asked_is_not_refused_on_his_answer(city: City) -> None:
    """Two of one family, at one telephone: what was solved for the one is not said of the other's."""
    again = citizens.add(city.conn, now=city.now, name="Петро Іваненко", phones=[PHONE])
    first, second, unnamed = city.executed(), city.registered(again), city.registered(None)
    city.say(first, Result.SOLVED)
    repeats.link(city.conn, second.id, first.id, now=city.now)
    city.conn.execute(appeal.update().where(appeal.c.id == unnamed.id).values(repeat_of=first.id))
    for one in (second, unnamed):
        with pytest.raises(BadInput, match=r"repeat\.not_resolved"):
            appeals.act(city.conn, one.id, Action.REFUSE, now=city.now, note="Повторне")


# ── merged ──
def test_each_co_complainant_is_called_back_and_only_the_unsatisfied_ones_appeal_returns(city: City) -> None:
    people = [city.citizen, *(neighbour(city, f"Сусід {n}", f"+38044222000{n}") for n in range(3))]
    made = [city.registered(who) for who in people]
    for other in made[1:]:
        repeats.merge(city.conn, other.id, made[0].id, now=city.now, staff_id=city.operator)
    assert repeats.led_by(city.conn, made[0].id) == [other.id for other in made[1:]]
    assert [line.number for line in appeals.for_department(city.conn, city.heating)] == [made[0].number]
    city.execute(made[0].id)
    assert {city.get(one).state for one in made} == {State.AWAITING}
    assert {due.citizen_id: [q.number for q in due.questions] for due in city.due()} == {
        who: [one.number] for who, one in zip(people, made, strict=True)}  # fmt: skip
    results = (Result.SOLVED, Result.NOT_SOLVED, Result.SOLVED, Result.SOLVED)
    for n, (one, result) in enumerate(zip(made, results, strict=True)):
        city.say(city.get(one), result, linkedid=f"17.{n}")
    assert [city.get(one).state for one in made] == [State.CLOSED, State.RETURNED, State.CLOSED, State.CLOSED]
    assert [line.number for line in appeals.for_department(city.conn, city.heating)] == [made[1].number]
    city.execute(made[1].id)
    assert [city.get(one).state for one in made] == [State.CLOSED, State.AWAITING, State.CLOSED, State.CLOSED]


def test_there_are_no_chains_of_merged_appeals(city: City) -> None:
    a, b, c, d = (city.registered() for _ in range(4))
    repeats.merge(city.conn, b.id, a.id, now=city.now)
    assert repeats.merge(city.conn, c.id, b.id, now=city.now).lead_id == a.id, "with its lead"
    assert repeats.merge(city.conn, a.id, d.id, now=city.now).lead_id == d.id
    assert repeats.led_by(city.conn, d.id) == [a.id, b.id, c.id], "all that it led come along"
    line = appeals.history(city.conn, c.id)[-1]
    assert (line.action, line.evidence) == (Action.MERGE, {"lead": d.number})
    lines = len(appeals.history(city.conn, c.id))
    repeats.merge(city.conn, c.id, b.id, now=city.now)
    assert len(appeals.history(city.conn, c.id)) == lines, "it is merged with that one already"


def test_one_that_is_executed_already_goes_along_too(city: City) -> None:
    a, b, c = (city.registered() for _ in range(3))
    repeats.merge(city.conn, b.id, a.id, now=city.now)
    city.execute(b.id)
    repeats.merge(city.conn, a.id, c.id, now=city.now)
    assert repeats.led_by(city.conn, c.id) == [a.id, b.id]
    city.say(city.get(b), Result.NOT_SOLVED)
    city.execute(c.id)
    assert {city.get(one).state for one in (a, b, c)} == {State.AWAITING}


def test_what_is_merged_lies_with_the_leads_department(city: City) -> None:
    lead, other = city.registered(), city.registered(department_id=city.roads)
    assert repeats.merge(city.conn, other.id, lead.id, now=city.now).department_id == city.heating


def test_what_cannot_be_merged_is_refused(city: City) -> None:
    a, b, ended = city.registered(), city.registered(), city.executed()
    with pytest.raises(BadInput, match=r"merge\.itself"):
        repeats.merge(city.conn, a.id, a.id, now=city.now)
    repeats.merge(city.conn, b.id, a.id, now=city.now)
    with pytest.raises(BadInput, match=r"merge\.itself"):
        repeats.merge(city.conn, a.id, b.id, now=city.now)
    for one, other in ((a, ended), (ended, a)):
        with pytest.raises(IllegalAction):
            repeats.merge(city.conn, one.id, other.id, now=city.now)
    with pytest.raises(Stale):
        repeats.merge(city.conn, a.id, city.registered().id, now=city.now, version=1)
    with pytest.raises(NotFound):
        repeats.merge(city.conn, a.id, 999_999, now=city.now)


def test_a_split_appeal_is_its_own_again(city: City) -> None:
    lead, other = city.registered(), city.registered(neighbour(city))
    with pytest.raises(BadInput, match=r"merge\.not_merged"):
        repeats.split(city.conn, other.id, now=city.now)
    repeats.merge(city.conn, other.id, lead.id, now=city.now)
    assert repeats.split(city.conn, other.id, now=city.now).lead_id is None
    city.execute(lead.id)
    assert city.get(other).state is State.ASSIGNED
    assert [line.number for line in appeals.for_department(city.conn, city.heating)] == [other.number]


@pytest.mark.parametrize("action", [Action.EXPLAIN, Action.PLAN, Action.FORWARD, Action.ANSWER])
def test_what_is_answered_to_the_lead_is_answered_to_all(city: City, action: Action) -> None:
    lead, other = city.registered(), city.registered(neighbour(city))
    repeats.merge(city.conn, other.id, lead.id, now=city.now)
    appeals.act(city.conn, lead.id, action, now=city.now, note="Підстава", until=city.now + dt.timedelta(days=2),
                department_id=city.police)  # fmt: skip
    assert city.get(other).state is city.get(lead).state is not State.ASSIGNED
    line = appeals.history(city.conn, other.id)[-1 if action is not Action.ANSWER else -2]
    assert (line.action, line.note, line.evidence) == (action, "Підстава", {"lead": lead.number})


@pytest.mark.parametrize("action", [Action.WITHDRAW, Action.REFUSE, Action.FIND_DEFECTIVE])
def test_what_concerns_the_leads_applicant_alone_leaves_the_others_with_a_new_lead(city: City, action: Action) -> None:
    lead, second, third = city.registered(), city.registered(neighbour(city)), city.registered(neighbour(city, "Ще"))
    for other in (second, third):
        repeats.merge(city.conn, other.id, lead.id, now=city.now)
    appeals.act(city.conn, lead.id, action, now=city.now, note="На його прохання", evidence=Evidence("17.1", key="1"))
    assert (city.get(second).lead_id, city.get(third).lead_id) == (None, second.id)
    assert [line.number for line in appeals.for_department(city.conn, city.heating)] == [second.number]
    city.execute(second.id)
    assert {city.get(one).state for one in (second, third)} == {State.AWAITING}


# ── one appeal from several calls ──
def test_a_call_about_an_appeal_stands_in_both_histories_and_changes_no_state(city: City) -> None:
    made = city.registered()
    calls.arrived(city.conn, "17.1", at=city.now, origin="mobile", caller=PHONE)
    calls.answered(city.conn, "17.1", "101", city.now)
    with pytest.raises(BadInput):
        repeats.spoken_of(city.conn, made.id, "17.1", " ", now=city.now, staff_id=city.operator)
    after = repeats.spoken_of(city.conn, made.id, "17.1", "Холодно й далі", now=city.now, staff_id=city.operator)
    assert after.state is State.ASSIGNED
    line = appeals.history(city.conn, made.id)[-1]
    assert (line.action, line.note, line.evidence["linkedid"]) == (Action.HEAR, "Холодно й далі", "17.1")
    call = calls.get(city.conn, "17.1")
    assert call is not None
    assert (call.outcome, calls.appeals_of(city.conn, "17.1")) == (calls.Outcome.ABOUT_APPEAL, [made.id])
