"""What callers say of a conversation, and its figures computed a second way, on both databases."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from crm import appeals, calls, ratings
from crm.calls import Direction
from crm.clock import KYIV
from crm.errors import BadInput, NotFound
from crm.life import OPEN, Action, State
from crm.people import Role, add_staff
from crm.periods import Period
from crm.ratings import FATES, SCORES, Scores
from crm.schema import appeal, appeal_call, call, rating
from tests.crm.conftest import NOON, City

DAY = dt.date(2026, 11, 24)


def spoken(city: City, linkedid: str = "17.1", *, at: dt.datetime | None = None, staff_id: int | None = -1,
           direction: Direction = Direction.IN) -> str:  # fmt: skip
    at = at or city.now
    calls.arrived(city.conn, linkedid, at=at, origin="mobile", caller="+380671112233", direction=direction)
    who = city.operator if staff_id == -1 else staff_id
    calls.answered(city.conn, linkedid, "101", at + dt.timedelta(seconds=20), who)
    return linkedid


def test_one_score_a_call_tied_to_who_spoke(city: City) -> None:
    spoken(city)
    assert ratings.keep(city.conn, "17.1", 4, city.now)
    assert not ratings.keep(city.conn, "17.1", 1, city.now), "told twice it counts once, and the first stays"
    row = city.conn.execute(select(rating)).one()
    assert (row.linkedid, row.score, row.seat, row.staff_id, row.at) == ("17.1", 4, "101", city.operator, NOON)


def test_what_is_no_score_of_no_call(city: City) -> None:
    spoken(city)
    for wrong in (0, 6, -1):
        with pytest.raises(BadInput, match=r"rating\.score"):
            ratings.keep(city.conn, "17.1", wrong, city.now)
    for key in ("", "0", "6", "none", "1 ", "²", "15"):
        with pytest.raises(BadInput, match=r"rating\.score"):
            ratings.score_of(key)
    with pytest.raises(NotFound, match="call"):
        ratings.keep(city.conn, "17.9", 5, city.now)
    assert [ratings.score_of(key) for key in "12345"] == list(SCORES)


def test_who_spoke_may_be_known_later(city: City) -> None:
    calls.arrived(city.conn, "17.1", at=NOON, origin="mobile")
    ratings.keep(city.conn, "17.1", 5, NOON)  # out of the spool, before queue_log has been read
    calls.answered(city.conn, "17.1", "101", NOON, city.operator)
    assert ratings.of_person(city.conn, city.operator, NOON, NOON + dt.timedelta(days=1)).counts == {5: 1}
    assert ratings.scores(city.conn, Period(DAY, DAY), "operator").keys() == {city.operator}


def test_only_conversations_of_who_called_us_are_asked_about(city: City) -> None:
    spoken(city, "17.1")
    spoken(city, "cb-1", direction=Direction.OUT)
    calls.arrived(city.conn, "17.2", at=NOON, origin="mobile")
    assert ratings.scores(city.conn, Period(DAY, DAY)) == {DAY: Scores(1)}


# ── figures, computed a second way: call by call, in Python ──
def fate(row: Any) -> str:
    if row.returns:
        return "returned"
    if row.state in {state.value for state in OPEN}:
        return "open"
    return {"closed": "confirmed", "unconfirmed": "unconfirmed", "executed": "awaiting",
            "awaiting": "awaiting"}.get(row.state, "otherwise")  # fmt: skip


def month(city: City) -> None:
    """Calls of a month over the change of the clocks, of two operators and of nobody known, about none to three
    appeals that stand everywhere."""
    dice = random.Random(1551)
    other = add_staff(city.conn, login="i.bondar", name="Іван Бондар", password_hash="-", role=Role.OPERATOR)
    made = [city.registered().id for _ in range(14)]
    for number, state in enumerate(State):
        which = made[number % len(made)]
        moved = {"state": state.value, "returns": int(state is State.RETURNED)}
        city.conn.execute(update(appeal).where(appeal.c.id == which).values(**moved))
    for number in range(150):
        at = dt.datetime(2026, 10, 10, tzinfo=KYIV).astimezone(dt.UTC) + dt.timedelta(hours=5 * number)
        linkedid = spoken(city, f"17.{number}", at=at, staff_id=dice.choice([city.operator, other, None]))
        if dice.random() < 0.6:
            ratings.keep(city.conn, linkedid, dice.choice(SCORES), at)
        for which in dice.sample(made, dice.randrange(4)):
            city.conn.execute(insert(appeal_call), {"appeal_id": which, "linkedid": linkedid})


def test_every_figure_is_what_counting_by_hand_comes_to(city: City) -> None:
    month(city)
    period = Period(dt.date(2026, 10, 15), dt.date(2026, 11, 5))
    said = {row.linkedid: row.score for row in city.conn.execute(select(rating))}
    about: dict[str, list[Any]] = defaultdict(list)
    for row in city.conn.execute(select(appeal_call.c.linkedid, appeal).join(appeal)):
        about[row.linkedid].append(row)
    rows = [row for row in city.conn.execute(select(call))
            if period.first <= row.arrived_at.astimezone(KYIV).date() <= period.last and row.answered_at]  # fmt: skip

    def counted(keys: Callable[[Any], list[Hashable]]) -> dict[Hashable, Scores]:
        found: dict[Hashable, Scores] = defaultdict(Scores)
        for row in rows:
            for key in keys(row):
                found[key].spoken += 1
                if row.linkedid in said:
                    found[key].counts[said[row.linkedid]] += 1
        return dict(found)

    def day(row: Any) -> list[Hashable]:
        return [row.arrived_at.astimezone(KYIV).date()]

    expected: dict[str, Callable[[Any], list[Hashable]]] = {
        "period": lambda row: [period.first], "day": day, "operator": lambda row: [row.staff_id],
        "subject": lambda row: [one.subject_id for one in about[row.linkedid]],
        "fate": lambda row: [fate(one) for one in about[row.linkedid]]}  # fmt: skip
    for by, keys in expected.items():
        found = ratings.scores(city.conn, period, by)  # type: ignore[arg-type]
        by_hand = counted(keys)
        assert {key: each for key, each in found.items() if each.spoken} == by_hand, by
    assert set(ratings.scores(city.conn, period, "fate")) == set(FATES)
    assert len(ratings.scores(city.conn, period, "day")) == period.days
    (whole,) = ratings.scores(city.conn, period).values()
    listed = [said[row.linkedid] for row in rows if row.linkedid in said]
    assert whole.mean == pytest.approx(sum(listed) / len(listed))
    assert whole.rate == len(listed) / len(rows)
    assert sum(whole.share(score) or 0 for score in SCORES) == pytest.approx(1)
    assert ratings.together(ratings.scores(city.conn, period, "day").values()) == whole


def test_of_nothing_there_is_no_mean() -> None:
    assert (Scores().mean, Scores().rate, Scores().share(5)) == (None, None, None)


def test_an_appeal_that_moves_on_takes_its_scores_along(city: City) -> None:
    registered = city.registered(linkedid=spoken(city))
    ratings.keep(city.conn, "17.1", 2, city.now)
    assert set(ratings.scores(city.conn, Period(DAY, DAY), "fate")) == {"open"}
    appeals.act(city.conn, registered.id, Action.EXECUTE, now=city.now, note="Відновили")
    assert set(ratings.scores(city.conn, Period(DAY, DAY), "fate")) == {"awaiting"}
    assert city.conn.scalar(select(func.count()).select_from(appeal_call)) == 1
