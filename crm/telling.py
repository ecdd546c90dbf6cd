"""What residents are told, by which way, when, and what instead where that way is closed. Pure.

Each notice goes by one way at a time, and by each way once: what he chose, then what else we know of him, and at last
a person tells what must be heard (``MUST_HEAR``). The rest is a courtesy that nobody is called for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from crm import clock
from crm.life import Action, State


class Kind(StrEnum):
    """What is told."""

    ASSIGNED = "assigned"  # to the department: there is an appeal to act on
    RETURNED = "returned"  # to the department: the resident says that it is not solved
    WARNING = "warning"  # the deadline is near
    OVERDUE = "overdue"
    UNACKNOWLEDGED = "unacknowledged"  # nobody at the department has taken note of it
    REPRIMAND = "reprimand"
    CONTROL = "control"  # an official has it under personal control
    # To the applicant:
    RECEIPT = "receipt"  # the number and the code of his appeal
    REASSIGNED = "reassigned"  # another department has it now
    EXTENDED = "extended"  # it takes longer, and why
    FORWARDED = "forwarded"  # to whom it was sent on
    DEFECTIVE = "defective"  # what is missing
    EXPLAINED = "explained"
    REFUSED = "refused"
    PLANNED = "planned"  # for when
    RESUMED = "resumed"  # its date has come, or what was missing
    WITHDRAWN = "withdrawn"
    EXECUTED = "executed"  # what the department says, and the question whether it is so
    REMINDED = "reminded"  # the question again, while his word is awaited in writing
    CONFIRM = "confirm"  # the question, after it was left unconfirmed
    CLOSED = "closed"  # by his own word
    SENT_BACK = "sent_back"  # by his own word too
    UNREACHED = "unreached"  # to whom a call was promised: we could not reach him (crm.promises)
    REPLY = "reply"  # to whoever wrote: what a specialist, or a conversation, answers


class Way(StrEnum):
    """How an applicant is told of an appeal; what he chose when it was filed stands in ``appeal.tell_by``."""

    NONE = ""  # he has not said: by e-mail if we know one, else by a person
    EMAIL = "email"
    SMS = "sms"
    FACEBOOK = "facebook"
    PHONE = "phone"  # a person calls
    NOTHING = "nothing"  # he looks on the site himself


NO_PHONE = "no_phone"  # a person would have to call him, and knows no number
WRITTEN = frozenset({Way.EMAIL, Way.SMS, Way.FACEBOOK})
WAKES = frozenset({Way.SMS, Way.FACEBOOK})  # a telephone sounds; a letter waits for its reader

# What the applicant is told by itself after an action. ASSIGN tells him only if another department has it now.
FOLLOWS: dict[Action, Kind] = {
    Action.ASSIGN: Kind.REASSIGNED, Action.EXTEND: Kind.EXTENDED, Action.FORWARD: Kind.FORWARDED,
    Action.FIND_DEFECTIVE: Kind.DEFECTIVE, Action.EXPLAIN: Kind.EXPLAINED, Action.REFUSE: Kind.REFUSED,
    Action.PLAN: Kind.PLANNED, Action.RESUME: Kind.RESUMED, Action.COMPLETE: Kind.RESUMED,
    Action.WITHDRAW: Kind.WITHDRAWN, Action.ASK: Kind.EXECUTED, Action.GIVE_UP: Kind.CONFIRM,
    Action.CONFIRM: Kind.CLOSED, Action.NOT_SOLVED: Kind.SENT_BACK,
}  # fmt: skip
# Whose words it passes on.
WORDS_OF: dict[Kind, tuple[Action, ...]] = {
    Kind.EXTENDED: (Action.EXTEND,), Kind.FORWARDED: (Action.FORWARD,), Kind.DEFECTIVE: (Action.FIND_DEFECTIVE,),
    Kind.EXPLAINED: (Action.EXPLAIN,), Kind.REFUSED: (Action.REFUSE,), Kind.PLANNED: (Action.PLAN,),
    Kind.EXECUTED: (Action.EXECUTE, Action.ANSWER),
}  # fmt: skip
ASKS = frozenset({Kind.EXECUTED, Kind.REMINDED, Kind.CONFIRM})  # solved, or not?
# The law has him told of these, whatever it takes; what was executed, unless he is called and asked about it anyway.
MUST_HEAR = frozenset({Kind.RECEIPT, Kind.EXTENDED, Kind.FORWARDED, Kind.DEFECTIVE, Kind.EXPLAINED, Kind.REFUSED,
                       Kind.PLANNED, Kind.UNREACHED})  # fmt: skip
# Only while the appeal stands so; afterwards it would be old news, or a question that he has answered.
HOLDS: dict[Kind, frozenset[State]] = {
    Kind.EXECUTED: frozenset({State.AWAITING, State.UNCONFIRMED}), Kind.REMINDED: frozenset({State.AWAITING}),
    Kind.CONFIRM: frozenset({State.UNCONFIRMED}), Kind.CLOSED: frozenset({State.CLOSED}),
}  # fmt: skip


class Say(Protocol):
    """A sentence of the catalogue by its key and language, its places filled."""

    def __call__(self, key: str, language: str, /, **values: object) -> str: ...


@dataclass(frozen=True, slots=True)
class Reach:
    """How an applicant can be told of an appeal. ``chosen``, ``to``: his choice for this appeal and his address for it;
    ``email``, ``phone``: what we know of him besides, "" for none. ``called``: a callback asks him about it."""

    chosen: Way
    to: str = ""
    email: str = ""
    phone: str = ""
    called: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What comes next of a notice. ``way``: PHONE for a person; None if nobody tells it. ``closed``: every way that is
    closed to it, and why: "stopped", or what was said of it. ``nobody``: why nobody tells what he must hear."""

    way: Way | None
    address: str = ""
    closed: Mapping[Way, str] = field(default_factory=dict)
    nobody: str = ""


def ways(reach: Reach) -> list[tuple[Way, str]]:
    """The written ways to him with their addresses, in the order in which they are tried."""
    known = {Way.EMAIL: reach.email, Way.SMS: reach.phone}
    match reach.chosen:
        case Way.NOTHING | Way.PHONE:
            return []
        case Way.NONE:
            known = {Way.EMAIL: reach.email}
        case chosen:
            known = {chosen: reach.to, **{way: address for way, address in known.items() if way is not chosen}}
    return [(way, address) for way, address in known.items() if address]


def next_way(kind: Kind, reach: Reach, closed: Mapping[Way, str], stopped: Collection[tuple[Way, str]]) -> Step:
    """The first way to him that is open to this notice. ``stopped``: where he wants nothing more."""
    shut = dict(closed)
    for way, address in ways(reach):
        if (way, address) in stopped:
            shut.setdefault(way, "stopped")
        if way not in shut:
            return Step(way, address, shut)
    if not needs_person(kind, reach):
        return Step(None, "", shut)
    return Step(Way.PHONE, "", shut) if reach.phone else Step(None, "", shut, NO_PHONE)


def needs_person(kind: Kind, reach: Reach) -> bool:
    """Whether a person must tell it where nothing else does."""
    if reach.chosen is Way.NOTHING:
        return False
    return kind in MUST_HEAR or (kind is Kind.EXECUTED and not reach.called)


def may_go(way: Way, now: dt.datetime, window: tuple[int, int], *, at_once: bool = False) -> bool:
    """Whether it may be sent at this time of day. ``window``: minutes after midnight in Kyiv, from and to. ``at_once``:
    a conversation that he began goes on."""
    return way not in WAKES or at_once or clock.in_window(now, *window)


LONGEST_PAUSE_S = 3600


def pause_s(tries: int) -> float:
    """Seconds until the next try after so many."""
    return float(min(LONGEST_PAUSE_S, 60 * 2 ** min(tries - 1, 10)))
