"""Who is responsible: the narrowest rule, and whatever the rules are, somebody who can take the appeal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.errors import BadInput
from crm.routing import Decision, Lost, Office, Place, Reason, Rule, Rules, Unable, decide, explain, unable

HOUSING, HEATING, NO_HEATING, LIFTS = 1, 2, 3, 4  # subjects; each of the first three above the next
CITY, UTILITIES, HEAT, OBOLON, MANAGER, DESK, POLICE = 10, 11, 12, 13, 14, 15, 16  # departments
DISTRICT, OTHER_DISTRICT = 20, 21
BUILDING, NETWORK = 30, 40
THERE = Place(BUILDING, DISTRICT, frozenset({NETWORK}))

OFFICES = [
    Office(CITY, None, True), Office(UTILITIES, CITY, True), Office(HEAT, UTILITIES, True),
    Office(OBOLON, CITY, True), Office(MANAGER, OBOLON, True), Office(DESK, CITY, True, is_desk=True),
    Office(POLICE, None, True, outside=True),
]  # fmt: skip


def city(*rules: Rule, **changed: Office) -> Rules:
    """The rules, with everything in its place; ``changed``: offices that are not as above."""
    offices = {office.id: office for office in [*OFFICES, *changed.values()]}
    chains = {HOUSING: (HOUSING,), HEATING: (HEATING, HOUSING), NO_HEATING: (NO_HEATING, HEATING, HOUSING),
              LIFTS: (LIFTS, HOUSING)}  # fmt: skip
    return Rules(rules, offices, chains, {HOUSING: UTILITIES, HEATING: HEAT, NO_HEATING: HEAT, LIFTS: UTILITIES})


def rule(id: int, department_id: int, *, subject: int | None = None, district: int | None = None,
         network: int | None = None, building: int | None = None) -> Rule:  # fmt: skip
    return Rule(id, subject, district, network, building, department_id)


def test_where_no_rule_fits_the_subjects_own_department_is_responsible() -> None:
    rules = city(rule(1, MANAGER, subject=LIFTS), rule(2, MANAGER, district=OTHER_DISTRICT))
    assert decide(rules, NO_HEATING, THERE) == Decision(HEAT, Reason.SUBJECT)
    assert decide(rules, NO_HEATING, Place()) == Decision(HEAT, Reason.SUBJECT)


def test_the_narrowest_place_wins_whatever_the_subject() -> None:
    by_building = rule(4, MANAGER, subject=HOUSING, building=BUILDING)
    by_network = rule(3, UTILITIES, subject=NO_HEATING, network=NETWORK)
    by_district = rule(2, OBOLON, subject=NO_HEATING, district=DISTRICT)
    anywhere = rule(1, DESK, subject=NO_HEATING)
    rules = [anywhere, by_district, by_network, by_building]
    for fewer in range(4, 0, -1):
        assert decide(city(*rules[:fewer]), NO_HEATING, THERE).rule == rules[fewer - 1]
    assert decide(city(*rules), NO_HEATING, Place(99, DISTRICT)).rule == by_district
    assert decide(city(*rules), NO_HEATING, Place(None, OTHER_DISTRICT)).rule == anywhere


def test_at_one_place_the_narrowest_subject_wins_and_then_the_older_rule() -> None:
    all_subjects = rule(1, OBOLON, district=DISTRICT)
    group = rule(2, UTILITIES, subject=HOUSING, district=DISTRICT)
    branch = rule(3, HEAT, subject=HEATING, district=DISTRICT)
    again = rule(4, DESK, subject=HEATING, district=DISTRICT)
    explained = explain(city(again, all_subjects, group, branch), NO_HEATING, THERE)
    assert explained.decision == Decision(HEAT, Reason.RULE, branch)
    assert explained.lost == ((again, Lost.LATER), (group, Lost.SUBJECT), (all_subjects, Lost.SUBJECT))
    assert decide(city(all_subjects, group, branch), LIFTS, THERE).rule == group


def test_what_lost_to_a_narrower_place_says_so() -> None:
    best, other = rule(1, MANAGER, building=BUILDING), rule(2, HEAT, subject=NO_HEATING, district=DISTRICT)
    assert explain(city(best, other), NO_HEATING, THERE).lost == ((other, Lost.PLACE),)


@pytest.mark.parametrize(("against", "taker"), [(HEAT, UTILITIES), (UTILITIES, CITY), (MANAGER, HEAT), (CITY, DESK)])
def test_a_complaint_goes_above_whom_it_is_about(against: int, taker: int) -> None:
    rules = city() if against != CITY else city(desk=Office(DESK, None, True, is_desk=True))
    assert decide(rules, NO_HEATING, THERE, against).department_id == taker


def test_a_complaint_about_a_superior_never_goes_to_those_under_it() -> None:
    rules = city(rule(1, MANAGER, subject=HOUSING, district=DISTRICT))
    explained = explain(rules, NO_HEATING, THERE, OBOLON)
    assert explained.decision == Decision(CITY, Reason.SUPERIOR, rules.rules[0])
    assert explained.passed == ((MANAGER, Unable.UNDER), (OBOLON, Unable.AGAINST))


def test_a_complaint_about_the_desk_goes_above_it() -> None:
    rules = replace(city(), own={NO_HEATING: DESK})
    assert decide(rules, NO_HEATING, THERE, DESK) == Decision(CITY, Reason.SUPERIOR)


def test_who_works_no_more_is_passed_over_for_his_superior_and_then_for_the_desk() -> None:
    closed = Office(HEAT, UTILITIES, False)
    assert decide(city(heat=closed), NO_HEATING, THERE) == Decision(UTILITIES, Reason.SUPERIOR)
    rules = city(heat=closed, utilities=Office(UTILITIES, None, False))
    explained = explain(rules, NO_HEATING, THERE)
    assert explained.decision == Decision(DESK, Reason.DESK)
    assert explained.passed == ((HEAT, Unable.INACTIVE), (UTILITIES, Unable.INACTIVE))


@pytest.mark.parametrize("department", [POLICE, 999])
def test_what_a_rule_gives_to_nobody_of_the_citys_falls_to_the_desk(department: int) -> None:
    assert decide(city(rule(1, department)), NO_HEATING, THERE).department_id == DESK


def test_the_one_department_of_the_city_is_not_told_to_judge_itself() -> None:
    alone = Rules((), {HEAT: Office(HEAT, None, True)}, {HEATING: (HEATING,)}, {HEATING: HEAT})
    with pytest.raises(BadInput, match=r"routing\.nobody"):
        decide(alone, HEATING, Place(), HEAT)


def test_an_unknown_subject_is_an_error() -> None:
    with pytest.raises(KeyError):
        decide(city(), 999, THERE)


# ── whatever the rules are ──
IDS = st.integers(1, 6)
MAYBE = st.none() | IDS
OFFICE = st.builds(Office, IDS, MAYBE, st.booleans(), st.booleans(), st.booleans())
RULE = st.builds(Rule, st.integers(1, 50), MAYBE, MAYBE, MAYBE, MAYBE, IDS)
PLACE = st.builds(Place, MAYBE, MAYBE, st.frozensets(IDS, max_size=3))


@st.composite
def anything(draw: st.DrawFn) -> Rules:
    """Rules, offices and subjects of six each, superiors in circles and departments that there are not among them."""
    offices = {office.id: office for office in draw(st.lists(OFFICE, min_size=1))}
    above = {id: draw(st.lists(IDS, max_size=3, unique=True)) for id in range(1, 7)}
    chains = {id: (id, *(each for each in above[id] if each != id)) for id in above}
    return Rules(draw(st.lists(RULE, max_size=12, unique_by=lambda rule: rule.id)), offices, chains,
                 {id: draw(IDS) for id in range(1, 7)})  # fmt: skip


def superiors(rules: Rules, id: int) -> set[int]:
    """The department and all above it, one step after another until there is nobody new."""
    found: set[int] = set()
    following = {id}
    while following - found:
        found |= following
        following = {up for each in following if (office := rules.offices.get(each)) and (up := office.superior_id)}
    return found


@given(anything(), IDS, PLACE, MAYBE)
def test_somebody_can_always_take_it(rules: Rules, subject: int, place: Place, against: int | None) -> None:
    working = {o.id for o in rules.offices.values() if o.active and not o.outside}
    judges = {id for id in working if against not in superiors(rules, id)}
    try:
        explained = explain(rules, subject, place, against)
    except BadInput:
        assert working <= {against}
        return
    decision = explained.decision
    assert decision.department_id != against
    assert decision.department_id in (judges or working)
    if decision.reason in (Reason.RULE, Reason.SUBJECT):
        assert explained.passed == ()
    assert all(rule != decision.rule for rule, _ in explained.lost)


@given(anything(), IDS, PLACE, MAYBE)
def test_the_order_of_the_rules_and_what_does_not_fit_change_nothing(
    rules: Rules, subject: int, place: Place, against: int | None
) -> None:
    def outcome(of: Rules) -> object:
        try:
            return explain(of, subject, place, against)
        except BadInput as error:
            return error.id

    elsewhere = Rule(0, None, None, None, 99, 1)
    assert outcome(replace(rules, rules=[elsewhere, *reversed(rules.rules)])) == outcome(rules)


@given(anything(), IDS, PLACE)
def test_a_rule_for_the_very_building_and_subject_beats_all_others(rules: Rules, subject: int, place: Place) -> None:
    taker = next((id for id in rules.offices if unable(rules, id) is None), None)
    if taker is None or place.building_id is None:
        return
    best = Rule(0, subject, None, None, place.building_id, taker)
    assert decide(replace(rules, rules=[*rules.rules, best]), subject, place) == Decision(taker, Reason.RULE, best)
