"""How far an appeal has come, in its applicant's words: what is told of each history, and what never is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crm import life, stages
from crm.appeals import Appeal, Event
from crm.attachments import Attachment
from crm.errors import IllegalAction
from crm.life import Action, State
from crm.stages import Awaited, Stage, Step

AT = dt.datetime(2026, 3, 5, 12, tzinfo=dt.UTC)
NAMES = {1: "Київтеплоенерго", 2: "Київводоканал"}
NUMBER = 26000123


def appeal(state: State = State.ASSIGNED, **more: Any) -> Appeal:
    values = dict.fromkeys((each.name for each in fields(Appeal)), None)
    return Appeal(**{**values, "number": NUMBER, "state": state, "due_at": AT, **more})  # type: ignore[arg-type]


def told(*did: Action | tuple[Action, dict[str, Any]], files: Sequence[Attachment] = (), **more: Any) -> list[Stage]:
    """Of a history in which this was done, an hour after one another."""
    events, state, returns = [], State.REGISTERED, 0
    for hour, each in enumerate((Action.REGISTER, *did)):
        action, said = each if isinstance(each, tuple) else (each, {})
        before = state
        if hour:
            state, returns = life.after(state, action, returns)
        kept = {"staff": "Людина", "staff_id": 7, "department_id": 1, "note": "", "evidence": {}, **said}
        events.append(Event(hour, AT + dt.timedelta(hours=hour), action, before, state, **kept))
    return stages.timeline(appeal(state, **more), events, NAMES, files)


def steps(*did: Any) -> list[Step]:
    return [each.step for each in told(*did)]


def test_a_whole_life() -> None:
    assert steps(
        Action.ASSIGN, Action.ACKNOWLEDGE, Action.START, Action.WARN, Action.EXTEND, Action.EXECUTE, Action.ASK,
        Action.NOT_SOLVED, Action.START, Action.EXECUTE, Action.ASK, Action.NOT_SOLVED, Action.ASSIGN, Action.EXECUTE,
        Action.ASK, Action.GIVE_UP, Action.CONFIRM,
    ) == [
        Step.RECEIVED, Step.PASSED, Step.ACCEPTED, Step.EXTENDED, Step.DONE, Step.ASKED, Step.RETURNED, Step.ACCEPTED,
        Step.DONE, Step.ASKED, Step.CONTROL, Step.PASSED, Step.DONE, Step.ASKED, Step.UNREACHED, Step.CLOSED,
    ]  # fmt: skip


def test_what_is_passed_to_where_it_is_already_is_not_told_twice() -> None:
    again = (Action.ASSIGN, {"department_id": 1})
    other = (Action.ASSIGN, {"department_id": 2})
    assert [(each.step, each.department) for each in told(again, Action.ACKNOWLEDGE, again, other)] == [
        (Step.RECEIVED, ""), (Step.PASSED, NAMES[1]), (Step.ACCEPTED, NAMES[1]), (Step.PASSED, NAMES[2])]  # fmt: skip


def test_the_citys_answers_are_told_with_their_files_and_its_own_notes_are_not() -> None:
    act = Attachment(5, 1, "execute", "Людина", "акт.pdf", "application/pdf", 9, "aa", AT + dt.timedelta(hours=2))
    letter = Attachment(6, 1, "assign", "Людина", "лист.pdf", "application/pdf", 9, "bb", AT + dt.timedelta(hours=1))
    found = told((Action.ASSIGN, {"note": "знову цей скандаліст"}), (Action.EXECUTE, {"note": "Відрегульовано."}),
                 files=(act, letter))  # fmt: skip
    assert [(each.words, each.files) for each in found] == [("", ()), ("", ()), ("Відрегульовано.", (act,))]


def test_his_own_words_are_told_and_nobody_elses() -> None:
    own, others = {"written": f"web:{stages.mark(NUMBER, 'x')}"}, {"written": "email:<1@a>"}
    another = {"written": f"web:{NUMBER}9:x"}
    heard = {"linkedid": "1.1", "staff_id": 7}
    found = told(
        Action.ASSIGN, (Action.HEAR, {"note": "моє", "evidence": own}),
        (Action.HEAR, {"note": "чуже", "evidence": others}), (Action.HEAR, {"note": "чуже", "evidence": another}),
        (Action.HEAR, {"note": "чуже", "evidence": heard}),
        Action.EXECUTE, Action.ASK,
        (Action.NOT_SOLVED, {"note": "холодно", "evidence": {"written": "sms:SM1", "result": "not_solved"}}),
        Action.EXECUTE, Action.ASK,
        (Action.NOT_SOLVED, {"note": "кричав", "evidence": {**heard, "result": "not_solved"}}),
    )  # fmt: skip
    assert [each.words for each in found if each.words] == ["моє", "холодно"]


def test_terms_and_plans_have_their_days() -> None:
    until = AT + dt.timedelta(days=30)
    found = told(Action.ASSIGN, (Action.EXTEND, {"note": "Чекаємо труби.", "evidence": {"until": until.isoformat()}}),
                 (Action.PLAN, {"note": "Навесні."}), Action.RESUME, (Action.PLAN, {"note": "Восени."}),
                 planned_for=until)  # fmt: skip
    assert [(each.step, each.until) for each in found[2:]] == [
        (Step.EXTENDED, until), (Step.PLANNED, None), (Step.RESUMED, None), (Step.PLANNED, until)]  # fmt: skip


def test_what_is_awaited_and_by_when() -> None:
    planned = AT + dt.timedelta(days=90)
    assert stages.awaited(appeal(State.IN_WORK)) == (Awaited.WORK, AT)
    assert stages.awaited(appeal(State.PLANNED, planned_for=planned)) == (Awaited.DATE, planned)
    assert stages.awaited(appeal(State.UNCONFIRMED)) == (Awaited.WORD, None)
    assert stages.awaited(appeal(State.CLOSED)) == (Awaited.NOTHING, None)


@given(st.lists(st.sampled_from([each for each in Action if each is not Action.REGISTER]), max_size=25))
def test_of_any_history_nothing_of_the_staff_is_told_and_time_goes_on(actions: list[Action]) -> None:
    did, state, returns = [], State.REGISTERED, 0
    for action in actions:
        try:
            state, returns = life.after(state, action, returns)
        except IllegalAction:
            continue
        note = "відповідь" if action in life.ANSWERS else "нотатка"
        did.append((action, {"note": note, "evidence": {"staff_id": 7, "linkedid": "1.1"}}))
    found = told(*did)
    assert [each.at for each in found] == sorted(each.at for each in found)
    assert {each.words for each in found} <= {"", "відповідь"}
    assert found[0].step is Step.RECEIVED
