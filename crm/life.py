"""The life of an appeal: an explicit state machine, pure.

    registered → assigned → in_work → executed → awaiting → closed
                     ↑                               │
                     └── returned ←──── not solved ──┤
                          control ←─ the second time ┤
                      unconfirmed ←── N tries later ─┘

Executed is the department's word; only the resident's own closes. ``explained``, ``planned``,
``refused``, ``defective``, ``forwarded`` and ``withdrawn`` are honest endings that do not count
as solved. The whole table is ``TRANSITIONS``; what it does not name cannot happen, and an appeal's
state is always what its history replays to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from crm.errors import BadInput, IllegalAction

RETURNS_BEFORE_CONTROL = 2


class State(StrEnum):
    """Where an appeal stands."""

    REGISTERED = "registered"
    ASSIGNED = "assigned"
    IN_WORK = "in_work"
    EXECUTED = "executed"
    AWAITING = "awaiting"  # the resident is to be asked
    CLOSED = "closed"  # the resident said: solved
    RETURNED = "returned"  # the resident said: not solved; back with the same department
    CONTROL = "control"  # returned twice: the control desk decides
    UNCONFIRMED = "unconfirmed"  # nobody could be reached
    EXPLAINED = "explained"
    PLANNED = "planned"  # comes back on its date
    REFUSED = "refused"
    DEFECTIVE = "defective"
    FORWARDED = "forwarded"  # outside the city's competence
    WITHDRAWN = "withdrawn"


class Action(StrEnum):
    """What can be done to an appeal, by whom it may be done being another table."""

    REGISTER = "register"  # the first line of every history
    ASSIGN = "assign"
    START = "start"
    EXECUTE = "execute"
    ASK = "ask"  # a confirmation was scheduled
    CONFIRM = "confirm"
    NOT_SOLVED = "not_solved"  # partly solved is not solved
    GIVE_UP = "give_up"
    EXPLAIN = "explain"
    PLAN = "plan"
    RESUME = "resume"  # a planned one's date has come
    REFUSE = "refuse"
    FIND_DEFECTIVE = "find_defective"
    FORWARD = "forward"
    WITHDRAW = "withdraw"
    HEAR = "hear"  # the resident's word when it changes nothing any more: kept all the same
    ANSWER = "answer"  # from what the city has decided already (a programme): its word, so confirmed as any other
    COMPLETE = "complete"  # what was missing in a defective one has come
    ACKNOWLEDGE = "acknowledge"  # the department has seen that it has it
    EXTEND = "extend"
    CORRECT = "correct"  # its subject or its place was written down wrong
    REPRIMAND = "reprimand"
    TAKE_CONTROL = "take_control"  # an official watches over it himself
    LEAVE_CONTROL = "leave_control"
    LINK = "link"  # it repeats an earlier one
    MERGE = "merge"  # it is executed with another, and its applicant asked all the same
    SPLIT = "split"  # and is its own again
    JOIN = "join"  # an incident
    WARN = "warn"  # the deadline is near
    ESCALATE = "escalate"  # it has passed, or nobody acknowledged


@dataclass(frozen=True, slots=True)
class Evidence:
    """On what ground the resident's word was taken.

    ``linkedid``: the call in which it was said. ``key``: the digit pressed, when a machine asked.
    ``staff_id``: who heard it, when a person did. ``attempt``: the callback's attempt, if it was one.
    ``written``: where it was written, instead of a call: "web:…", "sms:…", "email:…", "facebook:…", each with the
    channel's own id of what came, so that the same word told twice is one.
    """

    linkedid: str
    key: str = ""
    staff_id: int | None = None
    attempt: str = ""
    written: str = ""


# What somebody in the city still has to act on: there a passed deadline matters.
OPEN = frozenset({State.REGISTERED, State.ASSIGNED, State.IN_WORK, State.RETURNED, State.CONTROL})
_ASKED = frozenset({State.AWAITING, State.UNCONFIRMED, State.CLOSED})

# action → (the states it may be done in, the state it leads to; None: it stays)
TRANSITIONS: dict[Action, tuple[frozenset[State], State | None]] = {
    Action.REGISTER: (frozenset(), State.REGISTERED),
    Action.ASSIGN: (OPEN, State.ASSIGNED),
    Action.START: (frozenset({State.ASSIGNED, State.RETURNED}), State.IN_WORK),
    Action.EXECUTE: (frozenset({State.ASSIGNED, State.IN_WORK, State.RETURNED}), State.EXECUTED),
    Action.ASK: (frozenset({State.EXECUTED}), State.AWAITING),
    Action.CONFIRM: (frozenset({State.AWAITING, State.UNCONFIRMED}), State.CLOSED),
    Action.NOT_SOLVED: (_ASKED, State.RETURNED),
    Action.GIVE_UP: (frozenset({State.AWAITING}), State.UNCONFIRMED),
    Action.EXPLAIN: (OPEN, State.EXPLAINED),
    Action.PLAN: (OPEN, State.PLANNED),
    Action.RESUME: (frozenset({State.PLANNED}), State.ASSIGNED),
    Action.REFUSE: (OPEN, State.REFUSED),
    Action.FIND_DEFECTIVE: (frozenset({State.REGISTERED, State.ASSIGNED}), State.DEFECTIVE),
    Action.FORWARD: (OPEN, State.FORWARDED),
    Action.WITHDRAW: (OPEN | {State.EXECUTED, State.AWAITING, State.UNCONFIRMED, State.PLANNED}, State.WITHDRAWN),
    Action.HEAR: (frozenset(State), None),
    Action.ANSWER: (OPEN, State.EXECUTED),
    Action.COMPLETE: (frozenset({State.DEFECTIVE}), State.ASSIGNED),
    Action.ACKNOWLEDGE: (frozenset({State.ASSIGNED, State.RETURNED}), None),
    Action.EXTEND: (OPEN, None),
    Action.CORRECT: (OPEN, None),
    Action.REPRIMAND: (frozenset(State), None),
    Action.TAKE_CONTROL: (frozenset(State), None),
    Action.LEAVE_CONTROL: (frozenset(State), None),
    Action.LINK: (frozenset(State), None),
    Action.MERGE: (OPEN, None),
    Action.SPLIT: (OPEN, None),
    Action.JOIN: (OPEN, None),
    Action.WARN: (OPEN, None),
    Action.ESCALATE: (OPEN, None),
}

# What cannot be done without saying why, and what without the resident's own word.
NEEDS_NOTE = frozenset({Action.EXPLAIN, Action.PLAN, Action.REFUSE, Action.FIND_DEFECTIVE, Action.FORWARD,
                        Action.WITHDRAW, Action.ANSWER, Action.COMPLETE, Action.EXTEND, Action.REPRIMAND})  # fmt: skip
NEEDS_EVIDENCE = frozenset({Action.CONFIRM, Action.NOT_SOLVED, Action.HEAR})

# What is an answer to the resident, and is shown to the next operator as such.
ANSWERS = frozenset({Action.EXECUTE, Action.ANSWER, Action.EXPLAIN, Action.PLAN, Action.REFUSE, Action.FIND_DEFECTIVE,
                     Action.FORWARD, Action.EXTEND})  # fmt: skip

# From where the law's days are counted, and when it was last passed to somebody to act on.
BEGINS_TERM = frozenset({Action.REGISTER, Action.RESUME, Action.COMPLETE})
PASSES = frozenset({Action.ASSIGN, Action.NOT_SOLVED, Action.RESUME, Action.COMPLETE})

SOLVED = frozenset({State.CLOSED})
# On its merits: the resident has said so himself, or was told how things are by law.
RESOLVED = frozenset({State.CLOSED, State.EXPLAINED})
TO_ACT = frozenset({State.ASSIGNED, State.IN_WORK, State.RETURNED})  # what lies with a department
ENDED = frozenset({State.CLOSED, State.UNCONFIRMED, State.EXPLAINED, State.REFUSED, State.DEFECTIVE, State.FORWARDED,
                   State.WITHDRAWN})  # fmt: skip

MOST = frozenset({State.CLOSED, State.UNCONFIRMED, State.EXPLAINED})  # where nearly all appeals of the past are


def after(state: State, action: Action, returns: int) -> tuple[State, int]:
    """The state that ``action`` leads to, and how often the appeal has then been returned.

    A second return leads to the control desk instead of the department. IllegalAction if the
    action cannot be done in ``state``.
    """
    allowed, target = TRANSITIONS[action]
    if state not in allowed:
        raise IllegalAction("appeal.illegal_action", state=state.value, action=action.value)
    if action is Action.NOT_SOLVED:
        returns += 1
        if returns >= RETURNS_BEFORE_CONTROL:
            target = State.CONTROL
    return target or state, returns


def replay(actions: Iterable[Action]) -> tuple[State, int]:
    """The state and the number of returns that a history leads to: REGISTER first, then the rest.

    IllegalAction if it could not have happened.
    """
    actions = iter(actions)
    if next(actions, None) is not Action.REGISTER:
        raise IllegalAction("appeal.no_registration")
    state, returns = State.REGISTERED, 0
    for action in actions:
        state, returns = after(state, action, returns)
    return state, returns


def may_refuse_repeat(first: State, *, same_citizen: bool) -> bool:
    """Whether the law lets a repeat be left unconsidered (art. 8): the same person's, whose first was resolved on its
    merits. One that was executed, yet not confirmed by him, is not: by asking again he says that it is not solved."""
    return same_citizen and first in RESOLVED


def possible(state: State) -> tuple[Action, ...]:
    """The actions that can be done in ``state``, in the order of their declaration."""
    return tuple(action for action, (allowed, _) in TRANSITIONS.items() if state in allowed)


def check_evidence(evidence: Evidence | None) -> Evidence:
    """BadInput unless it names a call and who or what heard the resident's word in it, or where he wrote it."""
    if evidence is not None and evidence.written and not evidence.linkedid:
        return evidence
    if evidence is None or not evidence.linkedid or not (evidence.key or evidence.staff_id is not None):
        raise BadInput("appeal.no_evidence")
    return evidence
