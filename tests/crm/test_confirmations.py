"""Confirmation callbacks: their rows and rules, on both databases."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from sqlalchemy import event, insert, select, update
from sqlalchemy.exc import IntegrityError

from crm import appeals, calls, citizens, clock, confirmations
from crm.confirmation_rules import Mode, Next, Reached, Result
from crm.errors import BadInput, NotFound
from crm.life import Action, State
from crm.schema import attempt as attempts
from crm.schema import callback
from tests.crm.conftest import NOON, PHONE, SECOND_PHONE, City


def states(city: City, *made: appeals.Appeal) -> list[State]:
    return [city.get(appeal).state for appeal in made]


# ── when it is due ──
def test_an_execution_makes_a_callback_due(city: City) -> None:
    done = city.executed()
    (due,) = city.due()
    assert (due.citizen, due.e164, due.mode, due.language) == ("Марія Іваненко", PHONE, Mode.LIVE, "uk")
    assert [(q.number, q.subject_uk, q.text, q.tries) for q in due.questions] == [
        (done.number, "Немає опалення", "Немає опалення", 0)]
    assert confirmations.counts(city.conn, city.now) == (1, 0)


def test_several_appeals_of_one_citizen_are_one_call(city: City) -> None:
    first, second = city.executed(), city.executed()
    (due,) = city.due()
    assert [q.number for q in due.questions] == [first.number, second.number]
    attempt = city.claim()
    city.say(first, Result.SOLVED, attempt)
    city.say(second, Result.NOT_SOLVED, attempt)
    assert states(city, first, second) == [State.CLOSED, State.RETURNED]
    assert city.finish(attempt, Reached.ANSWERED) == Next.DONE
    assert city.due() == []


def test_a_machine_asks_only_by_consent(city: City) -> None:
    city.executed()
    assert [d.mode for d in city.due()] == [Mode.LIVE]
    other = citizens.add(city.conn, now=city.now, name="Петро", phones=["+380671112233"], auto_confirm=True)
    city.executed(other)
    assert [d.citizen for d in city.due(Mode.AUTO)] == ["Петро"]
    assert [d.citizen for d in city.due(Mode.LIVE)] == ["Марія Іваненко"]
    with pytest.raises(BadInput, match="needs_seat"):
        city.claim(seat=None)  # hers is due first


@pytest.mark.parametrize(("hour", "own", "due"), [
    (8, None, False), (9, None, True), (19, None, True), (20, None, False),
    (9, (600, 720), False), (10, (600, 720), True), (12, (600, 720), False), (21, (1200, 1320), True),
])  # fmt: skip
def test_only_inside_the_citizens_hours(city: City, hour: int, own: tuple[int, int] | None, due: bool) -> None:
    city.executed()
    if own:
        citizens.set_call_window(city.conn, city.citizen, *own)
    (waiting,) = confirmations.due(city.conn, NOON, None, 1, replace(city.rules, call_from=0, call_to=1440)) or [None]
    city.now = dt.datetime(2026, 11, 25, hour, 0, tzinfo=clock.KYIV)
    assert bool(city.due()) == due
    if not due and waiting is not None:
        with pytest.raises(BadInput, match="outside_hours"):
            confirmations.claim(city.conn, waiting.callback_id, now=city.now, rules=city.rules, seat="101")


def test_the_first_call_may_be_made_to_wait(city: City) -> None:
    city.executed()
    city.rules = replace(city.rules, first_s=3600)
    assert city.due() == []
    city.later(hours=1)
    assert len(city.due()) == 1


def test_only_allowed_destinations(city: City) -> None:
    abroad = citizens.add(city.conn, now=city.now, name="За кордоном", phones=["+12025550123"])
    done = city.executed(abroad)
    (due,) = city.due()
    assert due.e164 == ""
    assert confirmations.claim(city.conn, due.callback_id, now=city.now, rules=city.rules, seat="101") is None
    assert states(city, done) == [State.UNCONFIRMED]
    assert city.due() == []


def test_the_hourly_cap(city: City) -> None:
    city.rules = replace(city.rules, hourly_cap=1)
    city.executed()
    city.finish(city.claim(), Reached.NO_ANSWER)
    other = citizens.add(city.conn, now=city.now, name="Петро", phones=["+380671112233"])
    city.executed(other)
    with pytest.raises(BadInput, match="hourly_cap"):
        city.claim()
    city.later(hours=1)
    assert city.claim().citizen_id == other


@pytest.mark.parametrize("unreachable", ["nobody", "no telephone", "do not call", "wrong number", "not this number"])
def test_with_nobody_to_call_it_is_unconfirmed_at_once(city: City, unreachable: str) -> None:
    citizen_id: int | None = city.citizen
    match unreachable:
        case "nobody":
            citizen_id = None
        case "no telephone":
            citizen_id = citizens.add(city.conn, now=city.now, name="З пошти")
        case "do not call":
            citizens.do_not_call(city.conn, city.citizen)
        case "wrong number":
            citizens.mark_wrong_number(city.conn, city.citizen, PHONE)
        case "not this number":
            citizens.do_not_call(city.conn, city.citizen, PHONE)
    done = city.executed(citizen_id)
    assert states(city, done) == [State.UNCONFIRMED]
    assert city.due() == []
    assert appeals.history(city.conn, done.id)[-1].evidence == {"reached": "no_contact"}


def test_who_asked_not_to_be_called_while_it_was_due_is_not_called(city: City) -> None:
    done = city.executed()
    citizens.do_not_call(city.conn, city.citizen)
    (due,) = city.due()
    assert confirmations.claim(city.conn, due.callback_id, now=city.now, rules=city.rules, seat="101") is None
    assert states(city, done) == [State.UNCONFIRMED]


# ── never two calls ──
def test_a_claimed_callback_cannot_be_claimed_again(city: City) -> None:
    city.executed()
    (due,) = city.due()
    attempt = city.claim()
    assert attempt.id.startswith("cb-")
    assert len(attempt.id) <= 40
    assert city.due() == []
    with pytest.raises(BadInput, match=r"callback\.calling"):
        confirmations.claim(city.conn, due.callback_id, now=city.now, rules=city.rules, seat="102")
    assert confirmations.open_attempts(city.conn) == [attempt]
    with pytest.raises(NotFound):
        confirmations.claim(city.conn, 999, now=city.now, rules=city.rules, seat="102")


def test_a_new_execution_joins_the_open_callback_even_while_it_rings(city: City) -> None:
    first = city.executed()
    attempt = city.claim()
    second = city.executed()
    assert city.due() == []
    assert [q.number for q in confirmations.questions_of(city.conn, attempt.callback_id)] == [
        first.number, second.number]
    city.say(first, Result.SOLVED, attempt)
    assert city.finish(attempt, Reached.ANSWERED) == Next.RETRY  # the other was not asked about
    city.later(hours=1)
    assert [q.number for q in city.due()[0].questions] == [second.number]


def test_a_callback_that_opens_while_the_last_call_still_lasts_waits_for_its_end(city: City) -> None:
    first = city.executed()
    attempt = city.claim()
    city.say(first, Result.SOLVED, attempt)
    city.executed()  # a callback of its own: the first one is over, its call is not
    with pytest.raises(BadInput, match=r"callback\.calling"):
        city.claim()
    assert city.finish(attempt, Reached.ANSWERED) == Next.DONE
    assert city.claim().id != attempt.id


def test_the_database_itself_refuses_a_second_open_callback_and_attempt(city: City) -> None:
    city.executed()
    attempt = city.claim()
    for table in (callback, attempts):
        row = dict(city.conn.execute(select(table)).mappings().one()) | {"id": 99 if table is callback else "cb-99"}
        savepoint = city.conn.begin_nested()
        with pytest.raises(IntegrityError):
            city.conn.execute(insert(table), row)
        savepoint.rollback()
    assert confirmations.open_attempts(city.conn) == [attempt]


# ── the resident's word ──
def test_solved_closes_with_the_attempt_as_evidence(city: City) -> None:
    done = city.executed()
    attempt = city.claim()
    confirmations.attempt_answered(city.conn, attempt.id, city.now, "17.5")
    closed = city.say(done, Result.SOLVED, attempt, key="1", staff_id=None)
    assert (closed.state, closed.ended_at) == (State.CLOSED, city.now)
    assert appeals.history(city.conn, done.id)[-1].evidence == {
        "linkedid": "17.5", "key": "1", "attempt": attempt.id, "result": "solved"}


@pytest.mark.parametrize("result", [Result.PARTLY, Result.NOT_SOLVED])
def test_partly_and_not_solved_return_to_the_same_department(city: City, result: Result) -> None:
    done = city.executed()
    back = city.say(done, result, city.claim(), note="Ледь теплі")
    assert (back.state, back.department_id, back.returns, back.ended_at) == (State.RETURNED, city.heating, 1, None)
    line = appeals.history(city.conn, done.id)[-1]
    assert (line.note, line.evidence["result"]) == ("Ледь теплі", result)
    assert [a.number for a in appeals.for_department(city.conn, city.heating)] == [done.number]


def test_the_second_return_is_decided_by_the_control_desk(city: City) -> None:
    done = city.executed()
    attempt = city.claim()
    city.say(done, Result.NOT_SOLVED, attempt)
    city.finish(attempt, Reached.ANSWERED)
    city.execute(done.id)
    back = city.say(done, Result.NOT_SOLVED, city.claim())
    assert (back.state, back.returns) == (State.CONTROL, 2)


def test_returned_and_executed_again_within_one_callback_is_asked_again(city: City) -> None:
    first, second = city.executed(), city.executed()
    attempt = city.claim()
    city.say(first, Result.NOT_SOLVED, attempt)
    city.execute(first.id)
    assert {q.number: q.tries for q in confirmations.questions_of(city.conn, attempt.callback_id)} == {
        first.number: 0, second.number: 1}
    city.say(first, Result.SOLVED, attempt)
    city.say(second, Result.SOLVED, attempt)
    assert states(city, first, second) == [State.CLOSED, State.CLOSED]


def test_the_same_word_told_twice_is_taken_once(city: City) -> None:
    done = city.executed()
    attempt = city.claim()
    once = city.say(done, Result.NOT_SOLVED, attempt)
    assert city.say(done, Result.NOT_SOLVED, attempt) == once
    assert once.returns == 1


def test_a_corrected_word_counts(city: City) -> None:
    done = city.executed()
    attempt = city.claim()
    city.say(done, Result.SOLVED, attempt, key="1")
    assert city.say(done, Result.NOT_SOLVED, attempt, key="2").state is State.RETURNED


def test_evidence_is_needed(city: City) -> None:
    done = city.executed()
    attempt = city.claim()
    for given in ({"staff_id": None}, {"staff_id": city.operator, "attempt": None, "linkedid": ""}):
        with pytest.raises(BadInput, match="no_evidence"):
            confirmations.answer(city.conn, number=done.number, result=Result.SOLVED, now=city.now,
                                 attempt_id=attempt.id if "attempt" not in given else None,
                                 staff_id=given["staff_id"])  # type: ignore[arg-type]  # fmt: skip
    assert states(city, done) == [State.AWAITING]


def test_nobody_answers_for_another(city: City) -> None:
    done = city.executed()
    stranger = citizens.add(city.conn, now=city.now, name="Інший", phones=["+380671112233"])
    with pytest.raises(BadInput, match="not_theirs"):
        city.say(done, Result.SOLVED, citizen_id=stranger)
    attempt = city.claim()
    others = city.executed(stranger)
    with pytest.raises(BadInput, match="not_theirs"):
        city.say(others, Result.SOLVED, attempt)
    with pytest.raises(NotFound):
        confirmations.answer(city.conn, number=1, result=Result.SOLVED, now=city.now, linkedid="17.1", key="1")
    assert states(city, done, others) == [State.AWAITING, State.AWAITING]


def test_a_later_word_closes_or_returns_an_unconfirmed_appeal_and_reopens_a_closed_one(city: City) -> None:
    citizens.do_not_call(city.conn, city.citizen)
    first, second = city.executed(), city.executed()
    assert states(city, first, second) == [State.UNCONFIRMED, State.UNCONFIRMED]
    assert city.say(first, Result.SOLVED, linkedid="17.1").state is State.CLOSED
    assert city.say(second, Result.PARTLY, linkedid="17.1").state is State.RETURNED
    reopened = city.say(first, Result.NOT_SOLVED, linkedid="17.2")
    assert (reopened.state, reopened.ended_at) == (State.RETURNED, None)


@pytest.mark.parametrize("meanwhile", ["returned", "withdrawn", "explained"])
@pytest.mark.parametrize("result", Result)
def test_a_word_that_comes_too_late_changes_nothing_and_is_kept(city: City, meanwhile: str, result: Result) -> None:
    done = city.executed()
    attempt = city.claim()
    match meanwhile:
        case "returned":
            city.say(done, Result.NOT_SOLVED, linkedid="17.9")
        case "withdrawn":
            appeals.act(city.conn, done.id, Action.WITHDRAW, now=city.now, note="Заявник передумав")
        case "explained":
            city.say(done, Result.NOT_SOLVED, linkedid="17.9")
            appeals.act(city.conn, done.id, Action.EXPLAIN, now=city.now, note="Роз'яснено")
    before = city.get(done)
    after = city.say(done, result, attempt, key="1", note="Сказав пізно")
    assert after == replace(before, version=before.version + 1)
    line = appeals.history(city.conn, done.id)[-1]
    assert (line.action, line.evidence["result"], line.note) == (Action.HEAR, result, "Сказав пізно")
    assert city.finish(attempt, Reached.ANSWERED) == Next.DONE


def test_a_citizen_who_dials_back_meets_what_is_pending_and_is_not_called_again(city: City) -> None:
    first, second = city.executed(), city.executed()
    pending = confirmations.pending_for(city.conn, PHONE)
    assert pending is not None
    assert (pending.citizen_id, pending.citizen) == (city.citizen, "Марія Іваненко")
    assert [q.number for q in pending.questions] == [first.number, second.number]
    calls.arrived(city.conn, "17.1", at=city.now, origin="mobile", caller=PHONE)
    city.say(first, Result.SOLVED, linkedid="17.1", key="1", staff_id=None, citizen_id=pending.citizen_id)
    again = confirmations.pending_for(city.conn, PHONE)
    assert again is not None
    assert [q.number for q in again.questions] == [second.number]
    city.say(second, Result.SOLVED, linkedid="17.1", key="1", staff_id=None)
    assert confirmations.pending_for(city.conn, PHONE) is None
    assert city.due() == []
    call = calls.get(city.conn, "17.1")
    assert call is not None
    assert call.outcome == "confirmed"


def test_the_unconfirmed_are_pending_too_and_a_stranger_has_nothing(city: City) -> None:
    done = city.executed()
    city.rules = replace(city.rules, tries=1)
    city.finish(city.claim(), Reached.NO_ANSWER)
    pending = confirmations.pending_for(city.conn, PHONE)
    assert pending is not None
    assert (pending.callback_id, [q.number for q in pending.questions]) == (None, [done.number])
    assert confirmations.pending_for(city.conn, "+380509999999") is None
    assert confirmations.pending_for(city.conn, "") is None


def test_of_a_shared_telephone_one_citizen_is_asked_at_a_time(city: City) -> None:
    husband = citizens.add(city.conn, now=city.now - dt.timedelta(days=1), name="Іван", phones=[PHONE])
    his, hers = city.executed(husband), city.executed()
    pending = confirmations.pending_for(city.conn, PHONE)
    assert pending is not None
    assert [q.number for q in pending.questions] == [hers.number]  # she used it last
    city.say(hers, Result.SOLVED)
    pending = confirmations.pending_for(city.conn, PHONE)
    assert pending is not None
    assert [q.number for q in pending.questions] == [his.number]


def test_what_a_caller_is_to_be_asked_is_one_query(city: City) -> None:
    city.executed()
    seen: list[object] = []
    event.listen(city.conn, "before_cursor_execute", lambda *args: seen.append(args[2]))
    confirmations.pending_for(city.conn, PHONE)
    assert len(seen) == 1


# ── when nobody answers ──
def test_tries_run_out_and_the_appeal_is_unconfirmed(city: City) -> None:
    done = city.executed()
    for _ in range(city.rules.tries - 1):
        assert city.finish(city.claim(), Reached.NO_ANSWER) == Next.RETRY
        assert city.due() == []  # not at once
        city.later(days=1)
    assert city.finish(city.claim(), Reached.BUSY) == Next.GIVE_UP
    assert states(city, done) == [State.UNCONFIRMED]
    assert city.due() == []
    assert appeals.history(city.conn, done.id)[-1].evidence["reached"] == "busy"


def test_an_appeal_that_joined_later_has_all_its_tries(city: City) -> None:
    city.rules = replace(city.rules, tries=2)
    first = city.executed()
    city.finish(city.claim(), Reached.NO_ANSWER)
    second = city.executed()
    city.later(days=1)
    assert city.finish(city.claim(), Reached.NO_ANSWER) == Next.RETRY
    assert states(city, first, second) == [State.UNCONFIRMED, State.AWAITING]
    city.later(days=1)
    assert [q.number for q in city.due()[0].questions] == [second.number]
    assert city.finish(city.claim(), Reached.NO_ANSWER) == Next.GIVE_UP
    assert states(city, second) == [State.UNCONFIRMED]


def test_another_contact_then_unconfirmed(city: City) -> None:
    citizens.add_phone(city.conn, city.citizen, SECOND_PHONE, city.now - dt.timedelta(days=9))
    done = city.executed()
    attempt = city.claim()
    assert attempt.e164 == PHONE  # used last
    assert city.finish(attempt, Reached.WRONG_NUMBER) == Next.OTHER_CONTACT
    attempt = city.claim()
    assert attempt.e164 == SECOND_PHONE
    assert city.finish(attempt, Reached.WRONG_NUMBER) == Next.GIVE_UP
    assert states(city, done) == [State.UNCONFIRMED]
    assert all(phone.wrong for phone in citizens.get(city.conn, city.citizen).phones)


def test_who_asks_not_to_be_called_is_not_at_another_number_either_nor_is_anybody_at_his(city: City) -> None:
    citizens.add_phone(city.conn, city.citizen, SECOND_PHONE, city.now - dt.timedelta(days=9))
    neighbour = citizens.add(city.conn, now=city.now - dt.timedelta(days=1), name="Петро", phones=[PHONE])
    done = city.executed()
    attempt = city.claim()
    assert city.finish(attempt, Reached.DO_NOT_CALL) == Next.GIVE_UP
    assert states(city, done) == [State.UNCONFIRMED]
    last = appeals.history(city.conn, done.id)[-1]
    assert (last.action, last.evidence) == (Action.GIVE_UP, {"reached": "do_not_call", "attempt": attempt.id})
    assert states(city, city.executed(neighbour)) == [State.UNCONFIRMED], "the telephone is theirs in common"
    city.executed()
    assert [due.e164 for due in city.due()] == [SECOND_PHONE], "a new appeal of his is a new wish"


def test_a_call_that_was_not_placed_costs_no_try(city: City) -> None:
    city.rules = replace(city.rules, tries=1)
    done = city.executed()
    for _ in range(3):
        assert city.finish(city.claim(), Reached.NOT_PLACED) == Next.RETRY
    assert states(city, done) == [State.AWAITING]
    assert city.finish(city.claim(), Reached.NO_ANSWER) == Next.GIVE_UP


def test_what_a_crash_left_open_is_ended_once_nobody_else_will(city: City) -> None:
    city.executed()
    attempt = city.claim()
    assert confirmations.left(city.conn, attempt.id, city.now, rules=city.rules) is None
    later = city.now + dt.timedelta(seconds=81)
    assert confirmations.left(city.conn, attempt.id, later, rules=city.rules) == Next.RETRY
    assert confirmations.left(city.conn, attempt.id, later, rules=city.rules) is None
    assert confirmations.left(city.conn, "cb-nobody", later, rules=city.rules) is None


@pytest.mark.parametrize("reached", [Reached.NO_KEY, Reached.PERSON, Reached.ANSWERED])
def test_what_a_machine_did_not_hear_leads_to_a_person(city: City, reached: Reached) -> None:
    citizens.set_consent(city.conn, city.citizen, True)
    city.rules = replace(city.rules, tries=1)
    done = city.executed()
    attempt = city.claim(seat=None)
    assert attempt.mode is Mode.AUTO
    assert city.finish(attempt, reached) == Next.LIVE
    assert states(city, done) == [State.AWAITING]  # never an outcome
    city.later(hours=1)
    assert city.due(Mode.AUTO) == []
    assert city.claim(seat="101").mode is Mode.LIVE


def test_finishing_twice_changes_nothing(city: City) -> None:
    done = city.executed()
    attempt = city.claim()
    assert city.finish(attempt, Reached.BUSY) == Next.RETRY
    before = city.conn.execute(select(callback)).all(), city.conn.execute(select(attempts)).all()
    assert city.finish(attempt, Reached.WRONG_NUMBER) is None
    assert (city.conn.execute(select(callback)).all(), city.conn.execute(select(attempts)).all()) == before
    assert states(city, done) == [State.AWAITING]
    with pytest.raises(NotFound):
        confirmations.finish(city.conn, "cb-none", Reached.BUSY, city.now, rules=city.rules)


def test_an_attempt_left_by_a_crash_is_found_and_ended(city: City) -> None:
    done = city.executed()
    left = city.claim()
    assert confirmations.open_attempts(city.conn) == [left]
    assert city.finish(left, Reached.UNKNOWN) == Next.RETRY
    assert confirmations.open_attempts(city.conn) == []
    # The citizen had answered after all, and that was spooled: his word still counts.
    assert city.say(done, Result.SOLVED, left, key="1", staff_id=None).state is State.CLOSED
    assert city.due() == []


def test_a_callbacks_own_call_is_not_left_unsettled(city: City) -> None:
    city.executed()
    attempt = city.claim()
    calls.arrived(city.conn, "17.7", at=city.now, origin="centre", direction=calls.Direction.OUT)
    calls.answered(city.conn, "17.7", "101", city.now)
    calls.ended(city.conn, "17.7", city.now, calls.EndCause.COMPLETED)
    confirmations.finish(city.conn, attempt.id, Reached.WRONG_NUMBER, city.now, rules=city.rules, linkedid="17.7")
    assert calls.unsettled(city.conn) == []


def test_a_callback_whose_appeals_are_all_gone_is_over(city: City) -> None:
    done = city.executed()
    attempt = city.claim()
    appeals.act(city.conn, done.id, Action.WITHDRAW, now=city.now, note="Заявник передумав")
    assert city.finish(attempt, Reached.NO_ANSWER) == Next.DONE
    assert states(city, done) == [State.WITHDRAWN]


def test_who_waits_longest_is_first(city: City) -> None:
    other = citizens.add(city.conn, now=city.now, name="Петро", phones=["+380671112233"])
    city.executed(other)
    city.executed()
    city.conn.execute(update(callback).where(callback.c.citizen_id == city.citizen)
                      .values(due_at=city.now - dt.timedelta(hours=1)))  # fmt: skip
    assert [d.citizen for d in city.due()] == ["Марія Іваненко", "Петро"]
    assert [d.citizen for d in confirmations.due(city.conn, city.now, None, 1, city.rules)] == ["Марія Іваненко"]
