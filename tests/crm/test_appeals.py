"""Appeals: registered, moved, looked up; on both databases."""

from __future__ import annotations

import datetime as dt
import re
import threading
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from crm import appeals, calls, citizens, life
from crm.errors import BadInput, IllegalAction, NotFound, Stale
from crm.life import Action, Evidence, State
from crm.people import Role, add_staff
from crm.schema import appeal as appeal_table
from crm.schema import appeal_counter
from crm.store import Database, Writer
from tests.crm.conftest import NOON, PHONE, City, found_city

HEARD = Evidence("1764000000.1", staff_id=1)


def test_a_registration_is_assigned_at_once_and_both_stand_in_the_history(city: City) -> None:
    made = city.registered()
    assert made.number == 26000001
    assert re.fullmatch(r"[0-9]{4}", made.code)
    assert made.department_id == city.heating
    assert made.due_at == dt.datetime(2026, 12, 9, 21, 59, 59, tzinfo=dt.UTC)  # the end of the fifteenth day in Kyiv
    assert city.get(made).state is State.ASSIGNED
    lines = appeals.history(city.conn, made.id)
    assert [(line.action, line.to_state, line.staff) for line in lines] == [
        (Action.REGISTER, State.REGISTERED, "Оксана Коваль"), (Action.ASSIGN, State.ASSIGNED, "Оксана Коваль")]


def test_numbers_follow_each_other_and_begin_anew_with_kyivs_year(city: City) -> None:
    assert [city.registered().number for _ in range(3)] == [26000001, 26000002, 26000003]
    city.now = dt.datetime(2026, 12, 31, 22, 30, tzinfo=dt.UTC)  # half past midnight of 2027 in Kyiv
    assert city.registered().number == 27000001


def test_the_millionth_appeal_of_a_year_does_not_take_next_years_number(city: City) -> None:
    city.registered()
    city.conn.execute(update(appeal_counter).values(last=999_999))
    assert city.registered().number == 261000000


def test_codes_are_not_all_alike(city: City) -> None:
    assert len({city.registered().code for _ in range(20)}) > 1


@pytest.mark.parametrize(("given", "error"), [
    ({"text": " \n\x00"}, "appeal.no_text"),
    ({"text": "х" * 20_001}, "text.too_long"),
    ({"channel": "pigeon"}, "appeal.channel"),
    ({"flat": "5" * 21}, "text.too_long"),
    ({"linkedid": "1.1\r\nAction: Originate"}, "linkedid.malformed"),
])  # fmt: skip
def test_bad_input_is_refused_with_its_reason(city: City, given: dict[str, Any], error: str) -> None:
    with pytest.raises(BadInput, match=re.escape(error)):
        city.registered(**given)


@pytest.mark.parametrize("given", [{"subject_id": 999}, {"building_id": 999}, {"citizen_id": 999},
                                   {"department_id": 999}])  # fmt: skip
def test_what_does_not_exist_is_not_found(city: City, given: dict[str, Any]) -> None:
    with pytest.raises(NotFound):
        city.registered(**given)


@pytest.mark.parametrize("text", ["'; DROP TABLE appeal; --", "<script>alert(1)</script>", "${SHELL(id)}", "🔥" * 500])
def test_hostile_text_is_kept_as_it_is(city: City, text: str) -> None:
    assert city.get(city.registered(text=text)).text == text


def test_an_anonymous_emergency_is_kept(city: City) -> None:
    made = city.registered(citizen_id=None, building_id=None, place="ріг Хрещатика")
    assert city.get(made).place == "ріг Хрещатика"


# ── its life ──
def test_a_department_reports_and_the_resident_is_to_be_asked(city: City) -> None:
    made = city.registered()
    appeals.act(city.conn, made.id, Action.START, now=city.now)
    done = city.execute(made.id)
    assert (done.state, done.executed_at, done.ended_at) == (State.AWAITING, city.now, None)
    assert [line.action for line in appeals.history(city.conn, made.id)][-3:] == [
        Action.START, Action.EXECUTE, Action.ASK]


@pytest.mark.parametrize("evidence", [None, Evidence(""), Evidence("1.1"), Evidence("", staff_id=1)])
def test_nothing_closes_without_evidence(city: City, evidence: Evidence | None) -> None:
    done = city.executed()
    with pytest.raises(BadInput, match=r"appeal\.no_evidence"):
        appeals.act(city.conn, done.id, Action.CONFIRM, now=city.now, evidence=evidence)
    assert city.get(done) == done


def test_the_evidence_of_a_closing_is_kept(city: City) -> None:
    done = city.executed()
    closed = appeals.act(city.conn, done.id, Action.CONFIRM, now=city.now, evidence=HEARD, staff_id=city.operator)
    assert (closed.state, closed.ended_at) == (State.CLOSED, city.now)
    assert appeals.history(city.conn, done.id)[-1].evidence == {"linkedid": "1764000000.1", "staff_id": 1}
    assert city.due() == []


@pytest.mark.parametrize("action", sorted(life.NEEDS_NOTE))
def test_an_ending_that_is_not_a_solution_says_why(city: City, action: Action) -> None:
    made = city.registered()
    until = city.now + dt.timedelta(days=30) if action in (Action.PLAN, Action.EXTEND) else None
    if action is Action.COMPLETE:
        appeals.act(city.conn, made.id, Action.FIND_DEFECTIVE, now=city.now, note="Немає адреси")
    with pytest.raises(BadInput, match=r"appeal\.needs_note"):
        appeals.act(city.conn, made.id, action, now=city.now, note="  ", until=until)
    ended = appeals.act(city.conn, made.id, action, now=city.now, note="Підстава", until=until,
                        department_id=city.police if action is Action.FORWARD else None)  # fmt: skip
    assert ended.state not in life.SOLVED
    assert [line.note for line in appeals.history(city.conn, made.id) if line.action is action] == ["Підстава"]


def test_an_illegal_action_is_refused_and_changes_nothing(city: City) -> None:
    made = city.registered()
    before = city.get(made)
    for action in set(Action) - set(life.possible(before.state)):
        with pytest.raises(IllegalAction):
            appeals.act(city.conn, made.id, action, now=city.now, note="x", evidence=HEARD, department_id=city.roads)
    assert city.get(made) == before
    assert len(appeals.history(city.conn, made.id)) == 2


def test_nobody_overwrites_what_he_has_not_seen(city: City) -> None:
    seen = city.get(city.registered())
    appeals.act(city.conn, seen.id, Action.START, now=city.now, version=seen.version)
    with pytest.raises(Stale):
        appeals.act(city.conn, seen.id, Action.EXPLAIN, now=city.now, note="Запізно", version=seen.version)


def test_another_department_may_be_given_it(city: City) -> None:
    made = city.registered()
    with pytest.raises(BadInput, match="needs_department"):
        appeals.act(city.conn, made.id, Action.ASSIGN, now=city.now)
    with pytest.raises(NotFound):
        appeals.act(city.conn, made.id, Action.ASSIGN, now=city.now, department_id=999)
    moved = appeals.act(city.conn, made.id, Action.ASSIGN, now=city.now, department_id=city.roads)
    assert (moved.department, moved.state) == ("Київавтодор", State.ASSIGNED)
    assert [line.number for line in appeals.for_department(city.conn, city.roads)] == [made.number]
    assert appeals.for_department(city.conn, city.heating) == []


def test_a_planned_appeal_comes_back_on_its_date_and_its_term_begins_anew(city: City) -> None:
    made = city.registered()
    with pytest.raises(BadInput, match="needs_date"):
        appeals.act(city.conn, made.id, Action.PLAN, now=city.now, note="У програмі", until=city.now)
    until = city.now + dt.timedelta(days=100)
    appeals.act(city.conn, made.id, Action.PLAN, now=city.now, note="У програмі", until=until)
    assert appeals.resume_planned(city.conn, until - dt.timedelta(seconds=1)) == []
    assert appeals.resume_planned(city.conn, until) == [made.id]
    back = city.get(made)
    assert (back.state, back.planned_for) == (State.ASSIGNED, None)
    assert back.due_at > until + dt.timedelta(days=14)
    assert appeals.resume_planned(city.conn, until) == []


def test_withdrawing_what_awaits_confirmation_ends_the_callback(city: City) -> None:
    done = city.executed()
    appeals.act(city.conn, done.id, Action.WITHDRAW, now=city.now, note="Заявник передумав")
    assert city.due() == []


# ── looking up ──
def statements(city: City) -> list[str]:
    """Every statement from now on."""
    seen: list[str] = []
    event.listen(city.conn, "before_cursor_execute", lambda *args: seen.append(args[2]))
    return seen


def test_the_callers_and_the_buildings_appeals_in_one_query_each(city: City) -> None:
    first = city.executed()
    neighbour = citizens.add(city.conn, now=city.now, name="Сусід", phones=["+380447654321"])
    city.later(hours=1)
    second = city.registered(citizen_id=neighbour)
    seen = statements(city)
    assert [line.number for line in appeals.of_caller(city.conn, PHONE)] == [first.number]
    assert len(seen) == 1
    lines = appeals.of_building(city.conn, city.building)
    assert len(seen) == 2
    assert [line.number for line in lines] == [second.number, first.number]  # newest first
    assert lines[1].answer == "Відновили"
    assert lines[1].answered_at == NOON
    assert (lines[1].citizen, lines[1].street, lines[1].building) == (
        "Марія Іваненко", "проспект Степана Бандери", "12-А")
    assert lines[1].subject_uk == "Немає опалення"
    assert [line.number for line in appeals.of_building(city.conn, city.building, limit=1)] == [second.number]
    assert appeals.of_building(city.conn, city.other_building) == []


def test_a_caller_nobody_named_still_has_his_appeals(city: City) -> None:
    calls.arrived(city.conn, "17.1", at=city.now, origin="mobile", caller="+380509999999")
    calls.arrived(city.conn, "17.2", at=city.now, origin="mobile", caller="+380508888888")
    unnamed = city.registered(citizen_id=None, linkedid="17.1")
    city.registered(linkedid="17.2")  # hers, called in from somebody else's telephone: not shown to him
    assert [line.number for line in appeals.of_caller(city.conn, "+380509999999")] == [unnamed.number]
    assert appeals.of_caller(city.conn, "+380508888888") == []
    assert appeals.of_caller(city.conn, "") == []


def test_who_has_got_a_wrong_number_sees_nobody_elses_appeals(city: City) -> None:
    city.registered()
    citizens.mark_wrong_number(city.conn, city.citizen, PHONE)
    assert appeals.of_caller(city.conn, PHONE) == []


def test_by_number_and_code(city: City) -> None:
    made = city.registered()
    found = appeals.by_number_and_code(city.conn, str(made.number), made.code, city.now)
    assert found is not None
    assert found.id == made.id
    assert appeals.by_number(city.conn, made.number) == found
    assert appeals.by_number(city.conn, 10**12) is None


@pytest.mark.parametrize(("number", "code"), [
    ("26000009", "0000"), ("", ""), ("26000001", ""), ("26000001' OR '1'='1", "0000"), ("２６０００００１", "0000"),
    ("-26000001", "0000"), ("9" * 500, "9" * 500), ("26000001\n", "1234"), ("26000001", "12345"),
])  # fmt: skip
def test_other_digits_find_nothing(city: City, number: str, code: str) -> None:
    city.registered()
    assert appeals.by_number_and_code(city.conn, number, code, city.now) is None


def test_guessing_a_code_ends_after_ten_wrong_ones(city: City) -> None:
    made = city.registered()
    wrong = f"{(int(made.code) + 1) % 10_000:04}"
    for _ in range(appeals.CODE_TRIES - 1):
        assert appeals.by_number_and_code(city.conn, str(made.number), wrong, city.now) is None
    assert appeals.by_number_and_code(city.conn, str(made.number), made.code, city.now)  # begins to count anew
    for _ in range(appeals.CODE_TRIES):
        assert appeals.by_number_and_code(city.conn, str(made.number), wrong, city.now) is None
    assert appeals.by_number_and_code(city.conn, str(made.number), made.code, city.now) is None


def test_search_matches_all_that_is_given(city: City) -> None:
    here, there = city.registered(), city.registered(building_id=city.other_building)
    done = city.executed()

    def numbers(**given: Any) -> list[int]:
        return [line.number for line in appeals.search(city.conn, **given)]

    assert numbers() == [done.number, there.number, here.number]
    assert numbers(states=[State.ASSIGNED]) == [there.number, here.number]
    assert numbers(building_id=city.building, states=[State.ASSIGNED]) == [here.number]
    assert numbers(department_id=city.roads) == []
    assert numbers(limit=1) == [done.number]
    assert numbers(after_id=there.id) == [here.number]
    assert numbers(by_due=True) == [here.number, there.number]  # what awaits confirmation has no deadline to meet
    assert numbers(by_due=True, after_id=here.id) == [there.number]
    assert numbers(number=there.number) == [there.number]
    after = here.due_at + dt.timedelta(seconds=1)
    assert numbers(overdue_at=after) == [there.number, here.number]  # what awaits confirmation is not overdue
    assert numbers(overdue_at=city.now) == []


def test_a_department_sees_the_nearest_deadline_first(city: City) -> None:
    later = city.registered()
    city.now -= dt.timedelta(days=3)
    sooner = city.registered()
    city.executed()
    assert [line.number for line in appeals.for_department(city.conn, city.heating)] == [sooner.number, later.number]


def test_an_appeal_settles_its_call(city: City) -> None:
    calls.arrived(city.conn, "17.1", at=city.now, origin="landline", caller=PHONE)
    calls.answered(city.conn, "17.1", "101", city.now)
    calls.ended(city.conn, "17.1", city.now, calls.EndCause.COMPLETED)
    assert [call.linkedid for call in calls.unsettled(city.conn)] == ["17.1"]
    made = city.registered(linkedid="17.1")
    assert calls.unsettled(city.conn) == []
    assert calls.appeals_of(city.conn, "17.1") == [made.id]


# ── at the same time ──
def test_numbers_are_neither_doubled_nor_lost_by_writers_at_the_same_time(db: Database, database_url: str) -> None:
    with db.write() as conn:
        city = found_city(conn)
    databases = [Database(database_url) for _ in range(3)]
    writers = [Writer(database) for database in databases]
    futures = [
        writer.submit(lambda conn, i=i: appeals.register(
            conn, now=NOON, citizen_id=city.citizen, building_id=city.building, subject_id=city.no_heating,
            text=f"Звернення {i}", channel="web", staff_id=None))
        for i in range(20) for writer in writers
    ]  # fmt: skip
    numbers = [future.result(30).number for future in futures]
    assert sorted(numbers) == list(range(26000001, 26000061))
    with db.read() as conn:
        assert conn.execute(select(func.count()).select_from(appeal_table)).scalar_one() == 60
    for writer, database in zip(writers, databases, strict=True):
        writer.close()
        database.close()


def test_of_two_who_act_at_the_same_time_one_is_told_so(db: Database, database_url: str) -> None:
    with db.write() as conn:
        city = found_city(conn)
        add_staff(conn, login="v.bondar", name="Віктор", password_hash="-", role=Role.CONTROL)
        seen = city.get(city.registered())
    outcomes: list[str] = []
    together = threading.Barrier(4)

    def act() -> None:
        other = Database(database_url)
        together.wait(10)
        try:
            with other.write() as conn:
                appeals.act(conn, seen.id, Action.START, now=NOON, version=seen.version)
            outcomes.append("done")
        except (Stale, IllegalAction) as error:
            outcomes.append(error.id)
        other.close()

    threads = [threading.Thread(target=act) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["appeal.stale"] * 3 + ["done"]
    with db.read() as conn:
        assert len(appeals.history(conn, seen.id)) == 3
