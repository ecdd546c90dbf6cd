"""The state machine: what it names can happen, nothing else can, and only the resident's word closes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import life
from crm.errors import BadInput, IllegalAction
from crm.life import (
    ENDED,
    NEEDS_EVIDENCE,
    NEEDS_NOTE,
    OPEN,
    RETURNS_BEFORE_CONTROL,
    SOLVED,
    TRANSITIONS,
    Action,
    Evidence,
    State,
    after,
    check_evidence,
    possible,
    replay,
)
from crm.people import FOR_ACTION

# Written out by hand, so that a slip in the table is seen: state → what can be done in it, and where it leads.
EXPECTED = {
    "registered": "assign>assigned explain>explained plan>planned refuse>refused find_defective>defective "
                  "forward>forwarded withdraw>withdrawn"
                  " answer>executed",
    "assigned": "assign>assigned start>in_work execute>executed explain>explained plan>planned refuse>refused "
                "find_defective>defective forward>forwarded withdraw>withdrawn"
                " answer>executed acknowledge>assigned",
    "in_work": "assign>assigned execute>executed explain>explained plan>planned refuse>refused forward>forwarded "
               "withdraw>withdrawn"
               " answer>executed",
    "executed": "ask>awaiting withdraw>withdrawn",
    "awaiting": "confirm>closed not_solved>returned give_up>unconfirmed withdraw>withdrawn",
    "closed": "not_solved>returned",
    "returned": "assign>assigned start>in_work execute>executed explain>explained plan>planned refuse>refused "
                "forward>forwarded withdraw>withdrawn"
                " answer>executed acknowledge>returned",
    "control": "assign>assigned explain>explained plan>planned refuse>refused forward>forwarded withdraw>withdrawn"
               " answer>executed",
    "unconfirmed": "confirm>closed not_solved>returned withdraw>withdrawn",
    "explained": "", "planned": "resume>assigned withdraw>withdrawn", "refused": "", "defective": "complete>assigned",
    "forwarded": "",
    "withdrawn": "",
}  # fmt: skip


# What leaves an appeal where it stands.
ANYWHERE = {"hear", "reprimand", "take_control", "leave_control", "link"}
WHILE_OPEN = {"extend", "correct", "merge", "split", "join", "warn", "escalate"}


@pytest.mark.parametrize("state", State)
def test_every_transition_is_the_expected_one_or_refused(state: State) -> None:
    stays = ANYWHERE | (WHILE_OPEN if state in OPEN else set())
    expected = dict(pair.split(">") for pair in EXPECTED[state].split()) | dict.fromkeys(stays, state.value)
    assert {action.value for action in possible(state)} == expected.keys()
    for action in Action:
        if action.value in expected:
            assert after(state, action, 0)[0] == expected[action], action
        else:
            with pytest.raises(IllegalAction):
                after(state, action, 0)


def test_the_second_return_goes_to_the_control_desk() -> None:
    assert after(State.AWAITING, Action.NOT_SOLVED, 0) == (State.RETURNED, 1)
    assert after(State.AWAITING, Action.NOT_SOLVED, 1) == (State.CONTROL, 2)
    assert after(State.CLOSED, Action.NOT_SOLVED, 2) == (State.CONTROL, 3)


@given(st.lists(st.sampled_from(sorted(set(Action) - {Action.REGISTER})), max_size=60))
def test_whatever_is_tried_only_evidence_closes_and_history_replays(tried: list[Action]) -> None:
    state, returns, done = State.REGISTERED, 0, [Action.REGISTER]
    for action in tried:
        before = state
        try:
            state, returns = after(state, action, returns)
        except IllegalAction:
            continue
        done.append(action)
        if state in SOLVED and before not in SOLVED:
            assert action in NEEDS_EVIDENCE
        assert (state is State.CONTROL) <= (returns >= RETURNS_BEFORE_CONTROL)
    assert replay(done) == (state, returns)


def test_solved_is_reached_by_confirmation_alone() -> None:
    assert [action for action, (_, target) in TRANSITIONS.items() if target in SOLVED] == [Action.CONFIRM]
    assert SOLVED < ENDED


@pytest.mark.parametrize("actions", [[], [Action.ASSIGN], [Action.REGISTER, Action.REGISTER],
                                     [Action.REGISTER, Action.CONFIRM]])  # fmt: skip
def test_a_history_that_could_not_have_happened_is_refused(actions: list[Action]) -> None:
    with pytest.raises(IllegalAction):
        replay(actions)


@pytest.mark.parametrize("evidence", [None, Evidence(""), Evidence("1.1"), Evidence("", key="1"), Evidence("", "", 5)])
def test_half_evidence_is_none(evidence: Evidence | None) -> None:
    with pytest.raises(BadInput):
        check_evidence(evidence)


@pytest.mark.parametrize("evidence", [Evidence("1.1", key="1"), Evidence("1.1", staff_id=5)])
def test_evidence_is_a_call_and_who_heard(evidence: Evidence) -> None:
    assert check_evidence(evidence) is evidence


def test_the_table_in_the_documentation_is_the_codes() -> None:
    text = (Path(life.__file__).parent.parent / "docs" / "appeal.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+) \| ([^|]*) \| ([^|]*) \| ([^|]*) \| ([^|]*) ?\|$", text, re.MULTILINE)
    told = {row[0]: tuple(cell.strip() for cell in row[1:]) for row in rows if row[0] in set(Action)}
    words = {"open": OPEN, "any": frozenset(State), "–": frozenset[State]()}
    for action, (allowed, target) in TRANSITIONS.items():
        states, leads, permission, needs = told[action]
        in_words = frozenset(
            state for word in states.split(", ") for state in words.get(word) or ({State(word)} if word != "–" else ())
        )
        assert in_words == allowed, action
        assert leads == (target.value if target else "–"), action
        assert permission == FOR_ACTION.get(action, "the centre"), action
        must = [name for name, those in (("note", NEEDS_NOTE), ("evidence", NEEDS_EVIDENCE)) if action in those]
        assert needs == ", ".join(must), action
