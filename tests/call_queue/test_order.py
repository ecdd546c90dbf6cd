"""Who is next: what is always so, whoever comes and whenever."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from call_queue import order
from call_queue.order import LATEST, Rules, Stay, Waiting
from crm.calls import Priority, Queue, Skill
from tests.call_queue.conftest import NOON, at

RULES = Rules()
LONGEST = max(RULES.head_start_s.values())
seconds = st.integers(0, 7200) | st.floats(0, 7200)


def comes(since: float, priority: Priority, promised: bool) -> tuple[dt.datetime, dt.datetime]:
    """When, and his turn."""
    return at(since), order.turn(at(since), priority, RULES, promised=promised)


comers = st.builds(comes, seconds, st.sampled_from(Priority), st.booleans())
waiting = st.builds(Waiting, st.integers(0, 10**6).map(str), seconds.map(at), live=st.booleans(), calling=st.booleans())
lines = st.lists(waiting, unique_by=lambda one: one.key).map(order.in_order)


@given(comers, comers)
def test_nobody_is_overtaken_by_one_who_came_more_than_the_head_start_later(
    first: tuple[dt.datetime, dt.datetime], later: tuple[dt.datetime, dt.datetime]
) -> None:
    if (later[0] - first[0]).total_seconds() > LONGEST:
        assert first[1] < later[1]


@given(seconds, seconds, st.sampled_from(Priority))
def test_of_one_priority_who_came_first_is_first(one: float, other: float, priority: Priority) -> None:
    assert (at(one) < at(other)) == (order.turn(at(one), priority, RULES) < order.turn(at(other), priority, RULES))


@given(seconds.map(at), st.sampled_from(Priority))
def test_whom_we_called_back_stands_no_farther_back_for_it(since: dt.datetime, priority: Priority) -> None:
    assert order.turn(since, priority, RULES, promised=True) <= order.turn(since, priority, RULES)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(Priority)), max_size=30), st.randoms())
def test_the_order_of_two_never_changes(came: list[tuple[int, Priority]], chance: object) -> None:
    """However many others come and go, and in whatever order we hear of them."""
    line = [Waiting(f"{number:02}", order.turn(at(since), priority, RULES))
            for number, (since, priority) in enumerate(came)]  # fmt: skip
    before = order.in_order(line)
    chance.shuffle(line)  # type: ignore[attr-defined]
    fewer = line[: len(line) // 2]
    assert order.in_order(line) == before
    assert order.in_order(fewer) == [one for one in before if one in fewer]


@given(st.integers(0, LATEST - 1))
def test_asterisk_gives_the_turn_back(turn: int) -> None:
    when = dt.datetime.fromtimestamp(turn, dt.UTC)
    assert order.turn_of(order.queue_prio(when)) == when
    assert 0 < order.queue_prio(when) <= LATEST


@given(seconds, seconds)
def test_the_earlier_turn_is_the_higher_priority(one: float, other: float) -> None:
    if int(at(one).timestamp()) != int(at(other).timestamp()):
        assert (one < other) == (order.queue_prio(at(one)) > order.queue_prio(at(other)))


@given(lines, st.integers(0, 20), st.integers(0, 400), st.floats(0, 3600))
def test_only_the_promised_are_called_and_each_in_his_turn(line: list[Waiting], free: int, busy: int,
                                                           handled_s: float) -> None:  # fmt: skip
    serving = free + busy
    called = order.to_call(line, free, serving, handled_s, RULES)
    owed = [one.key for one in line if not one.live and not one.calling]
    assert called == owed[: len(called)], "nobody is called before one who stands before him, nor twice"
    if called:
        before = line[: [one.key for one in line].index(called[-1])]
        expected = sum(1.0 if one.live else RULES.reached for one in before)
        assert expected < free + serving * RULES.lead_s / max(handled_s, 1), "of the seats that will be free"
    if free and line:
        assert line[0].live or line[0].calling or line[0].key in called, "a free seat waits for nobody"
    if not serving:
        assert not called


@given(lines, st.integers(0, 20), st.integers(0, 400), st.floats(0, 3600))
def test_who_is_being_called_keeps_his_seat(line: list[Waiting], free: int, busy: int, handled_s: float) -> None:
    """Looked at again while they are dialled, it is nobody else's turn."""
    called = order.to_call(line, free, free + busy, handled_s, RULES)
    now = [replace(one, calling=True) if one.key in called else one for one in line]
    assert order.to_call(now, free, free + busy, handled_s, RULES) == []


def test_more_are_called_than_seats_will_be_free_for_not_everybody_picks_up() -> None:
    owed = [Waiting(f"promise:{n}", at(n), live=False) for n in range(9)]
    assert len(order.to_call(owed, 0, 10, 100.0, replace(RULES, lead_s=30, reached=1.0))) == 3
    assert len(order.to_call(owed, 0, 10, 100.0, replace(RULES, lead_s=30, reached=0.75))) == 4
    assert len(order.to_call(owed, 0, 1, 100.0, replace(RULES, lead_s=30, reached=0.75))) == 1, "one seat is one seat"


@given(st.sets(st.sampled_from(Skill)), st.sampled_from(["", "101"]))
def test_every_stay_but_the_last_is_short_and_the_last_is_everybodys(skills: set[Skill], seat: str) -> None:
    stays = order.stays(skills, seat, RULES)
    assert stays[-1] == Stay(Queue.CITY, None)
    assert all(stay.seconds is not None and stay.seconds > 0 for stay in stays[:-1])
    assert {order.line_of(stay.queue) for stay in stays} == {Queue.CITY}
    assert [stay.queue for stay in stays[:-1]] == ["seat-101"] * bool(seat) + [
        order.skill_queue(skill) for skill in Skill if skill in skills]  # fmt: skip


def test_needing_a_skill_is_worth_as_much_as_it_is_waited_for_and_no_more() -> None:
    english, _, city = order.stays([Skill.ENGLISH, Skill.SOCIAL], "", RULES)
    now = at(0)
    assert order.is_fair(english, now, None), "nobody else waits"
    assert order.is_fair(english, now, at(-RULES.skill_s[Skill.ENGLISH]))
    assert not order.is_fair(english, now, at(-RULES.skill_s[Skill.ENGLISH] - 1)), "who would be passed over"
    assert order.is_fair(city, now, at(-86400))


def test_the_feedback_line_is_another() -> None:
    assert [order.line_of(queue) for queue in ("feedback", "city", "city-en", "seat-101")] == [
        "feedback", "city", "city", "city"]  # fmt: skip
    assert order.queues_of("101", ("feedback", "city"), ("social",)) == ["city", "seat-101", "city-social", "feedback"]
    assert order.queues_of("101", ("feedback",), tuple(Skill)) == ["feedback"]


def test_an_emergency_of_now_is_before_an_ordinary_call_of_almost_an_hour_ago() -> None:
    now = order.turn(NOON, Priority.EMERGENCY, RULES)
    assert now < order.turn(at(-3540), Priority.ORDINARY, RULES)
    assert now > order.turn(at(-3660), Priority.ORDINARY, RULES)
