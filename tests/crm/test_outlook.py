"""What an attempt has come to, and what each ending would lead to: told before it is said, and as it then happens."""

from __future__ import annotations

import datetime as dt

import pytest

from crm import citizens, confirmations, outlook
from crm.confirmation_rules import Next, Reached, Result, Step
from crm.errors import NotFound
from crm.life import State
from crm.outlook import Came, Fate
from tests.crm.conftest import SECOND_PHONE, City

SAID = (Reached.ANSWERED, Reached.NO_ANSWER, Reached.BUSY, Reached.WRONG_NUMBER, Reached.DO_NOT_CALL)


def ahead(city: City, attempt: confirmations.Attempt) -> dict[Reached, Step]:
    return outlook.ahead(city.conn, attempt.id, SAID, city.now, city.rules)


def test_each_ending_is_told_with_when_he_is_called_again(city: City) -> None:
    city.executed()
    attempt = city.claim()
    told = ahead(city, attempt)
    assert told[Reached.NO_ANSWER] == Step(Next.RETRY, city.now + dt.timedelta(hours=2))
    assert told[Reached.BUSY] == Step(Next.RETRY, city.now + dt.timedelta(minutes=30))
    assert (told[Reached.WRONG_NUMBER], told[Reached.DO_NOT_CALL]) == (Step(Next.GIVE_UP), Step(Next.GIVE_UP))
    citizens.add_phone(city.conn, city.citizen, "+12025550123", city.now)
    assert ahead(city, attempt)[Reached.WRONG_NUMBER] == Step(Next.GIVE_UP), "that one may not be called"
    citizens.add_phone(city.conn, city.citizen, SECOND_PHONE, city.now)
    assert ahead(city, attempt)[Reached.WRONG_NUMBER] == Step(Next.OTHER_CONTACT, city.now)


@pytest.mark.parametrize("reached", SAID)
def test_what_was_told_happens(city: City, reached: Reached) -> None:
    city.executed()
    attempt = city.claim()
    told = ahead(city, attempt)[reached]
    assert outlook.came_of(city.conn, attempt.id) == Came(None, (), None)
    assert city.finish(attempt, reached) == told.next
    came = outlook.came_of(city.conn, attempt.id)
    assert (came.reached, came.again_at) == (reached, told.at)
    assert [fate.state for fate in came.fates] == ([State.UNCONFIRMED] if told.next is Next.GIVE_UP else [])


def test_the_appeals_that_it_moved_are_told_by_where_they_went(city: City) -> None:
    first, second, third = city.executed(), city.executed(), city.executed()
    attempt = city.claim()
    city.say(first, Result.NOT_SOLVED, attempt)
    city.say(second, Result.SOLVED, attempt)
    city.finish(attempt, Reached.ANSWERED)
    came = outlook.came_of(city.conn, attempt.id)
    department = city.get(first).department
    assert came.fates == (Fate(first.number, State.RETURNED, department), Fate(second.number, State.CLOSED, department))
    assert came.again_at == city.now + dt.timedelta(minutes=30), "the third has not been spoken of"
    city.later(days=1)
    again = city.claim()
    city.say(third, Result.SOLVED, again)
    city.finish(again, Reached.ANSWERED)
    assert outlook.came_of(city.conn, again.id).fates == (Fate(third.number, State.CLOSED, department),)
    with pytest.raises(NotFound):
        outlook.came_of(city.conn, "cb-0")
    with pytest.raises(NotFound):
        outlook.ahead(city.conn, "cb-0", SAID, city.now, city.rules)
