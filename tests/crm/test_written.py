"""The resident's word in writing: who is asked so, how long it is awaited, and what it ends."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, update

from crm import appeals, citizens, confirmations, deadlines, notices, written
from crm.confirmation_rules import Next, Reached, Result
from crm.life import Action, State
from crm.notices import Kind, Way
from crm.schema import citizen_phone, notice
from tests.crm.conftest import PHONE, SECOND_PHONE, City

EMAIL = "maria@example.org"
DAYS = 14


def without_telephone(city: City) -> None:
    city.conn.execute(update(citizen_phone).values(wrong=True))


def watch(city: City) -> None:
    deadlines.watch(city.conn, city.now, DAYS)


def asked(city: City, appeal_id: int) -> list[Kind]:
    return [one.kind for one in notices.of_appeal(city.conn, appeal_id) if one.audience == "citizen"]


def word(city: City, made: appeals.Registered, result: Result, of: str = "web:1") -> appeals.Appeal:
    return city.say(city.get(made), result, linkedid="", staff_id=None, written=of)


def executed(city: City, by: str = "email", to: str = EMAIL) -> appeals.Registered:
    made = city.registered(tell_by=by, tell_to=to)
    city.execute(made.id)
    return made


# ── asked in writing alone ──
@pytest.mark.parametrize(("by", "to"), [("email", EMAIL), ("sms", PHONE), ("facebook", "771:9"), ("", "")])
def test_who_cannot_be_called_is_asked_in_writing_reminded_once_and_given_up(city: City, by: str, to: str) -> None:
    without_telephone(city)
    if not by:
        citizens.update(city.conn, city.citizen, email=EMAIL)
    made = executed(city, by, to)
    assert (city.get(made).state, city.due()) == (State.AWAITING, [])
    watch(city)
    assert asked(city, made.id) == [Kind.EXECUTED]
    city.later(days=6, hours=23)
    watch(city)
    assert asked(city, made.id) == [Kind.EXECUTED]
    for _ in range(3):
        city.later(days=2, hours=6)
        watch(city)
        assert asked(city, made.id) == [Kind.EXECUTED, Kind.REMINDED]
    until = city.conn.execute(select(notice.c.data).where(notice.c.kind == "reminded")).scalar_one()["until"]
    city.now = dt.datetime.fromisoformat(until)
    for _ in range(2):
        watch(city)
    assert asked(city, made.id) == [Kind.EXECUTED, Kind.REMINDED, Kind.CONFIRM]
    last = appeals.history(city.conn, made.id)[-1]
    assert (last.action, last.evidence, city.get(made).state) == (
        Action.GIVE_UP, {"reached": "no_answer"}, State.UNCONFIRMED)  # fmt: skip
    assert word(city, made, Result.SOLVED).state is State.CLOSED, "he may still say it"


def test_a_word_in_time_ends_the_waiting(city: City) -> None:
    without_telephone(city)
    made, returned = executed(city), executed(city)
    assert word(city, made, Result.SOLVED).state is State.CLOSED
    assert word(city, returned, Result.NOT_SOLVED).state is State.RETURNED
    for _ in range(3):
        city.later(days=8)
        watch(city)
    assert Kind.REMINDED not in asked(city, made.id) + asked(city, returned.id)
    city.execute(returned.id)
    watch(city)
    city.later(days=8)
    watch(city)
    assert asked(city, returned.id)[-2:] == [Kind.EXECUTED, Kind.REMINDED], "of each report he is asked anew"


@pytest.mark.parametrize(("by", "to"), [("", ""), ("phone", PHONE)])
def test_who_can_be_asked_in_no_way_is_unconfirmed_at_once(city: City, by: str, to: str) -> None:
    without_telephone(city)
    made = executed(city, by, to)
    assert (city.get(made).state, asked(city, made.id)) == (State.UNCONFIRMED, [])


def test_who_looks_himself_is_waited_for_and_reminded_of_nothing(city: City) -> None:
    without_telephone(city)
    made = executed(city, "nothing", "")
    assert (city.get(made).state, asked(city, made.id)) == (State.AWAITING, [])
    for _ in range(4):
        city.later(days=5)
        watch(city)
    assert (city.get(made).state, asked(city, made.id)) == (State.UNCONFIRMED, [])


def test_nor_is_he_waited_for_who_wants_nothing_more_there(city: City) -> None:
    without_telephone(city)
    notices.stop(city.conn, Way.EMAIL, EMAIL, city.now)
    assert city.get(executed(city)).state is State.UNCONFIRMED


# ── called, and told in writing too ──
def test_a_word_in_writing_ends_the_callback(city: City) -> None:
    made, other = executed(city), executed(city)
    (due,) = city.due()
    assert [question.appeal_id for question in due.questions] == [made.id, other.id]
    word(city, made, Result.SOLVED)
    (due,) = city.due()
    assert [question.appeal_id for question in due.questions] == [other.id]
    word(city, other, Result.NOT_SOLVED)
    assert city.due() == []


def test_also_while_he_is_being_called(city: City) -> None:
    made = executed(city)
    attempt = city.claim()
    assert word(city, made, Result.SOLVED).state is State.CLOSED
    assert confirmations.questions_of(city.conn, attempt.callback_id) == []
    assert city.say(city.get(made), Result.SOLVED, attempt).state is State.CLOSED, "he says it on the telephone too"
    assert city.finish(attempt, Reached.ANSWERED) is Next.DONE
    city.later(days=1)
    assert (city.due(), asked(city, made.id)) == ([], [Kind.EXECUTED, Kind.CLOSED])


def test_whom_nobody_reached_is_asked_in_writing_once_more(city: City) -> None:
    made = executed(city)
    for _ in range(city.rules.tries):
        city.finish(city.claim(), Reached.NO_ANSWER)
        city.later(days=1)
    assert city.get(made).state is State.UNCONFIRMED
    for _ in range(3):
        city.later(days=8)
        watch(city)
    assert asked(city, made.id) == [Kind.EXECUTED, Kind.CONFIRM]


# ── what is asked of whoever has this address ──
def numbers(conn: Connection, address: str) -> list[int]:
    return [one.number for one in written.awaiting(conn, address)]


def test_he_is_asked_at_the_number_that_is_told_the_last_executed_first(city: City) -> None:
    first = executed(city, "sms", PHONE)
    city.later(hours=1)
    second = executed(city, "sms", PHONE)
    executed(city, "sms", SECOND_PHONE)
    assert numbers(city.conn, PHONE) == [second.number, first.number]
    word(city, second, Result.SOLVED)
    assert numbers(city.conn, PHONE) == [first.number]
    assert numbers(city.conn, "") == []


def test_where_the_question_went_instead_he_is_asked_too_and_nowhere_else(city: City) -> None:
    made = executed(city)
    assert (numbers(city.conn, PHONE), numbers(city.conn, EMAIL)) == ([], [made.number])
    its = city.conn.execute(select(notice.c.id).where(notice.c.kind == "executed")).scalar_one()
    notices.close_way(city.conn, its, "550", city.now)
    assert numbers(city.conn, PHONE) == [], "it has not gone out"
    city.conn.execute(update(notice).where(notice.c.id == its).values(state="sent"))
    assert numbers(city.conn, PHONE) == [made.number]
    citizens.mark_wrong_number(city.conn, city.citizen, PHONE)
    assert numbers(city.conn, PHONE) == [], "it is somebody else's"


def test_it_is_found_by_indexes(city: City) -> None:
    """With five million appeals nothing is read through: by the address, by the number, by what he was told."""
    sqlite = city.conn.dialect.name == "sqlite"
    if not sqlite:
        city.conn.exec_driver_sql("SET LOCAL enable_seqscan = off")  # with so few rows it would
    steps: list[str] = []

    def explained(conn: Connection, cursor: Any, statement: str, values: Any, *_: object) -> None:
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{statement}", values)
        steps.extend(str(row[-1]) for row in cursor.fetchall())

    event.listen(city.conn, "before_cursor_execute", explained)
    numbers(city.conn, PHONE)
    event.remove(city.conn, "before_cursor_execute", explained)
    plan = "\n".join(steps)
    assert steps
    assert not re.search(r"(SCAN|Seq Scan on) (appeal|notice|citizen_phone)", plan), plan
    assert "ix_appeal_tell_to" in plan
    assert "ix_notice_citizen_id" in plan or "ix_notice_appeal_id" in plan
