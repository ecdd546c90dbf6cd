"""The day of those who call residents back, counted a second way."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from statistics import median

from sqlalchemy import insert, select

from crm import citizens, confirmations, own_pace
from crm.confirmation_rules import Reached, Result
from crm.own_pace import Day, OwnPace
from crm.people import Role, add_staff
from crm.schema import appeal_event, attempt
from tests.crm.conftest import City


def hired(city: City, count: int) -> list[int]:
    return [add_staff(city.conn, login=f"f{n}", name=f"F {n}", password_hash="-", role=Role.FEEDBACK)
            for n in range(count)]  # fmt: skip


def test_a_day_of_calls_counted_a_second_way(city: City) -> None:
    chance, people = random.Random(7), hired(city, 4)
    city.now = dt.datetime(2026, 11, 24, 7, 3, tzinfo=dt.UTC)
    yesterday = city.now - dt.timedelta(days=1)
    city.conn.execute(insert(attempt).values(id="cb-old", e164="+380441112233", mode="live", staff_id=people[0],
                                             placed_at=yesterday, ended_at=yesterday, outcome="busy"))  # fmt: skip
    for n in range(40):
        whose = citizens.add(city.conn, now=city.now, name=f"С {n}", phones=[f"+38044200{n:04}"])
        asked = city.executed(whose)
        due = next(each for each in confirmations.due(city.conn, city.now, None, 50, city.rules)
                   if each.citizen_id == whose)
        who = chance.choice(people)
        placed = confirmations.claim(city.conn, due.callback_id, now=city.now, rules=city.rules, seat="101",
                                     staff_id=who)  # fmt: skip
        assert placed is not None
        city.later(minutes=chance.randrange(1, 9))
        reached = chance.choice([Reached.ANSWERED, Reached.ANSWERED, Reached.NO_ANSWER, Reached.NOT_PLACED])
        if reached is Reached.ANSWERED:
            confirmations.attempt_answered(city.conn, placed.id, city.now)
            city.say(asked, chance.choice(list(Result)), placed, staff_id=who)
        city.finish(placed, reached)
    found = own_pace.by_person(city.conn, city.now)

    rows = city.conn.execute(select(attempt)).mappings().all()
    events = city.conn.execute(select(appeal_event)).mappings().all()
    for who in people:
        mine = [row for row in rows if row["staff_id"] == who and row["placed_at"].date() == city.now.date()
                and row["outcome"] != "not_placed"]  # fmt: skip
        ids = {row["id"] for row in mine}
        said = Counter(event["action"] for event in events if event["evidence"].get("attempt") in ids)
        spans = {(row["placed_at"].hour, row["placed_at"].minute >= 30) for row in mine}
        assert found[who] == Day(len(mine), sum(row["answered_at"] is not None for row in mine), said["confirm"],
                                 said["not_solved"], len(spans))  # fmt: skip
        assert found[who].an_hour == len(mine) / (len(spans) * 0.5)
    assert sum(day.called for day in found.values()) < 40, "what was not placed is no call"
    own = own_pace.today(city.conn, people[0], city.now)
    assert (own.mine, own.usual) == (found[people[0]], median(day.an_hour or 0 for day in found.values()))


def test_a_median_of_few_would_be_somebodys(city: City) -> None:
    people = hired(city, 3)
    assert own_pace.today(city.conn, people[0], city.now) == OwnPace(Day(), None)
    for n, who in enumerate(people):
        assert own_pace.today(city.conn, people[0], city.now).usual is None
        city.conn.execute(insert(attempt).values(id=f"cb-{n}", e164="+380441112233", mode="live", staff_id=who,
                                                 placed_at=city.now, ended_at=city.now, outcome="busy"))  # fmt: skip
    assert own_pace.today(city.conn, people[0], city.now) == OwnPace(Day(1, 0, 0, 0, 1), 2.0)
