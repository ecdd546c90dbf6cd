"""Who may do what to an appeal: each role with each action, as allowed and as denied."""

from __future__ import annotations

from itertools import product

import pytest

from crm import life, people
from crm.errors import NotAllowed
from crm.life import Action, State
from crm.people import Role, Staff

HEAT, WATER = 1, 2

_WORD = {"confirm", "not_solved", "withdraw"}
_DESK = {"assign", "correct", "merge", "split", "join", "take_control", "leave_control"}
_PHONE = {"register", "answer", "complete", "link"} | _WORD
# Written down a second time, by hand: a permission that wanders off is noticed here.
MAY = {
    Role.OPERATOR: _PHONE,
    Role.ONLINE: _PHONE,
    Role.FEEDBACK: _PHONE,
    Role.CONTROL: _DESK | {"start", "execute", "explain", "plan", "acknowledge", "refuse", "find_defective", "forward",
                           "extend", "reprimand"},
    Role.EXECUTOR: {"start", "execute", "explain", "plan", "acknowledge"},
    Role.ANALYST: set[str](),
    Role.SUPERVISOR: _PHONE | _DESK,
    Role.OFFICIAL: _PHONE | {"take_control", "leave_control"},
    Role.ADMINISTRATOR: set[str](),
}  # fmt: skip
BY_NOBODY = {"ask", "give_up", "resume", "hear", "warn", "escalate"}


def person(role: Role, *, active: bool = True) -> Staff:
    return Staff(1, "x", "X", role, HEAT if role is Role.EXECUTOR else None, "uk", active)


def test_every_action_is_somebodys_or_nobodys() -> None:
    assert set().union(*MAY.values()) | BY_NOBODY == set(Action)
    assert MAY.keys() == set(Role)


@pytest.mark.parametrize("role", Role)
def test_a_role_does_its_actions_and_no_other(role: Role) -> None:
    for action, state in product(Action, State):
        allowed = action in MAY[role] and (state is not State.CONTROL or role is Role.CONTROL or action in _WORD)
        if allowed:
            people.require_action(person(role), action, state, HEAT)
        else:
            with pytest.raises(NotAllowed):
                people.require_action(person(role), action, state, HEAT)
        offered = people.actions_for(person(role), state, HEAT)
        assert (action in offered) == (allowed and action in life.possible(state)), (action, state)
        with pytest.raises(NotAllowed):
            people.require_action(person(role, active=False), action, state, HEAT)


def test_an_executor_does_nothing_to_another_departments_appeal() -> None:
    for action, state in product(Action, State):
        with pytest.raises(NotAllowed):
            people.require_action(person(Role.EXECUTOR), action, state, WATER)


def test_an_executor_closes_nothing() -> None:
    """Whatever he does, in whatever order, the appeal does not become closed: only the resident's word does that."""
    closing = {action for action, (_, target) in life.TRANSITIONS.items() if target is State.CLOSED}
    assert closing == {Action.CONFIRM}
    assert not closing & {Action(action) for action in MAY[Role.EXECUTOR]}
