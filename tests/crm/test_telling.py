"""By which way a resident is told, when, and what instead."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import telling
from crm.clock import KYIV
from crm.telling import MUST_HEAR, WRITTEN, Kind, Reach, Way

NINE_TO_EIGHT = (9 * 60, 20 * 60)
REACHES = st.builds(Reach, st.sampled_from(Way), st.sampled_from(["", "his"]), st.sampled_from(["", "e@x.ua"]),
                    st.sampled_from(["", "+380671234567"]), st.booleans())  # fmt: skip


@pytest.mark.parametrize(("reach", "order"), [
    (Reach(Way.EMAIL, "his", "e@x.ua", "+1"), [(Way.EMAIL, "his"), (Way.SMS, "+1")]),
    (Reach(Way.SMS, "his", "e@x.ua", "+1"), [(Way.SMS, "his"), (Way.EMAIL, "e@x.ua")]),
    (Reach(Way.FACEBOOK, "his", "e@x.ua", "+1"), [(Way.FACEBOOK, "his"), (Way.EMAIL, "e@x.ua"), (Way.SMS, "+1")]),
    (Reach(Way.NONE, "", "e@x.ua", "+1"), [(Way.EMAIL, "e@x.ua")]),
    (Reach(Way.PHONE, "his", "e@x.ua", "+1"), []),
    (Reach(Way.NOTHING, "", "e@x.ua", "+1"), []),
])  # fmt: skip
def test_what_he_chose_comes_first_and_then_what_else_we_know(reach: Reach, order: list[tuple[Way, str]]) -> None:
    assert telling.ways(reach) == order


@given(st.sampled_from(Kind), REACHES, st.sets(st.sampled_from(sorted(WRITTEN))))
def test_each_way_is_taken_once_and_then_a_person_or_nobody(kind: Kind, reach: Reach, stopped: set[Way]) -> None:
    closed: dict[Way, str] = {}
    taken: list[Way] = []
    stops = [(way, address) for way, address in telling.ways(reach) if way in stopped]
    while (step := telling.next_way(kind, reach, closed, stops)).way in WRITTEN:
        assert step.way is not None
        assert step.address
        taken.append(step.way)
        closed = {**step.closed, step.way: "550"}
    assert taken == [way for way, _ in telling.ways(reach) if way not in stopped]
    assert set(step.closed) == {way for way, _ in telling.ways(reach)}, "it is said why a person must tell it"
    asked_anyway = kind is Kind.EXECUTED and not reach.called
    by_person = (kind in MUST_HEAR or asked_anyway) and reach.chosen is not Way.NOTHING
    assert (step.way is Way.PHONE) == (by_person and bool(reach.phone)), "nobody calls who has no telephone"
    assert (step.nobody == telling.NO_PHONE) == (by_person and not reach.phone)


CLOCKS_SET = [dt.datetime(2026, 10, 25, 1, tzinfo=dt.UTC), dt.datetime(2027, 3, 28, 1, tzinfo=dt.UTC)]


@given(st.sampled_from(CLOCKS_SET), st.integers(-2 * 1440, 2 * 1440))
def test_a_telephone_sounds_by_day_only_also_when_the_clocks_are_set(at: dt.datetime, minutes: int) -> None:
    now = at + dt.timedelta(minutes=minutes)
    by_day = 9 <= now.astimezone(KYIV).hour < 20
    for way in (Way.SMS, Way.FACEBOOK):
        assert telling.may_go(way, now, NINE_TO_EIGHT) is by_day
        assert telling.may_go(way, now, NINE_TO_EIGHT, at_once=True)
    assert telling.may_go(Way.EMAIL, now, NINE_TO_EIGHT), "a letter wakes nobody"
