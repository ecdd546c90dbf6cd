"""How far an appeal has come, as its applicant understands it: the history in plain steps. Pure.

What is told here the applicant may know: the city's answers with their files, what he has said himself, which
department has the appeal and by when. Never who of the staff did anything, what they wrote to each other, or what
somebody else wrote of the same matter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from crm.appeals import Appeal, Event
from crm.attachments import Attachment
from crm.life import ANSWERS, Action, State


class Step(StrEnum):
    """What happened."""

    RECEIVED = "received"
    PASSED = "passed"  # to a department
    ACCEPTED = "accepted"  # the department has seen that it has it
    JOINED = "joined"  # a known failure, with which it is done
    EXTENDED = "extended"
    DONE = "done"  # says the department
    ANSWERED = "answered"  # from what the city has decided already
    ASKED = "asked"  # whether it is solved
    UNREACHED = "unreached"  # nobody could be asked
    CLOSED = "closed"  # the applicant said: solved
    RETURNED = "returned"  # the applicant said: not solved
    CONTROL = "control"  # the second time: the control desk decides
    ADDED = "added"  # the applicant wrote more
    EXPLAINED = "explained"
    PLANNED = "planned"
    RESUMED = "resumed"
    REFUSED = "refused"
    DEFECTIVE = "defective"  # something is missing
    COMPLETED = "completed"  # and has come
    FORWARDED = "forwarded"  # to whom the city does not command
    WITHDRAWN = "withdrawn"


class Awaited(StrEnum):
    """What is to happen next."""

    DECISION = "decision"  # the control desk says who acts
    WORK = "work"  # the department acts
    WORD = "word"  # the applicant says whether it is solved
    DATE = "date"  # a planned work's
    MORE = "more"  # the applicant says what is missing
    OTHERS = "others"  # whom it was forwarded to answers
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step. ``department``: to whom it was passed, or who says this; "" where that is nobody's. ``words``: what the
    city answers, or the applicant wrote. ``until``: the new term, or the planned day. ``files``: what came with it."""

    step: Step
    at: dt.datetime
    department: str = ""
    words: str = ""
    until: dt.datetime | None = None
    files: tuple[Attachment, ...] = ()


_STEPS = {
    Action.REGISTER: Step.RECEIVED, Action.ASSIGN: Step.PASSED, Action.ACKNOWLEDGE: Step.ACCEPTED,
    Action.START: Step.ACCEPTED, Action.JOIN: Step.JOINED, Action.EXTEND: Step.EXTENDED, Action.EXECUTE: Step.DONE,
    Action.ANSWER: Step.ANSWERED, Action.ASK: Step.ASKED, Action.GIVE_UP: Step.UNREACHED, Action.CONFIRM: Step.CLOSED,
    Action.NOT_SOLVED: Step.RETURNED, Action.HEAR: Step.ADDED, Action.EXPLAIN: Step.EXPLAINED,
    Action.PLAN: Step.PLANNED, Action.RESUME: Step.RESUMED, Action.REFUSE: Step.REFUSED,
    Action.FIND_DEFECTIVE: Step.DEFECTIVE, Action.COMPLETE: Step.COMPLETED, Action.FORWARD: Step.FORWARDED,
    Action.WITHDRAW: Step.WITHDRAWN,
}  # fmt: skip
# Of these it matters who has it, or who says it.
_NAMED = frozenset({Step.PASSED, Step.ACCEPTED, Step.DONE, Step.ANSWERED, Step.EXPLAINED, Step.PLANNED, Step.RESUMED,
                    Step.EXTENDED, Step.RETURNED, Step.COMPLETED, Step.FORWARDED})  # fmt: skip
# With these it lies with somebody anew.
_PASSES = (Step.PASSED, Step.RESUMED, Step.COMPLETED, Step.RETURNED, Step.CONTROL)
_OWN_PAGES = ("web", "mobile", "open311")  # the portal's, and a program's that was shown the code
_WORD = frozenset({Action.CONFIRM, Action.NOT_SOLVED, Action.HEAR})
_AWAITED = {
    State.REGISTERED: Awaited.DECISION, State.CONTROL: Awaited.DECISION, State.ASSIGNED: Awaited.WORK,
    State.IN_WORK: Awaited.WORK, State.RETURNED: Awaited.WORK, State.EXECUTED: Awaited.WORD,
    State.AWAITING: Awaited.WORD, State.UNCONFIRMED: Awaited.WORD, State.PLANNED: Awaited.DATE,
    State.DEFECTIVE: Awaited.MORE, State.FORWARDED: Awaited.OTHERS,
}  # fmt: skip


def mark(number: int, once: str) -> str:
    """What the applicant writes of his appeal on its own page, or with its code, is named by it
    (``message.external_id``), and so known to be his: only who has the one or the other can write there."""
    return f"{number}:{once}"


def timeline(its: Appeal, events: Sequence[Event], departments: Mapping[int, str],
             files: Sequence[Attachment] = ()) -> list[Stage]:  # fmt: skip
    """The steps, oldest first. ``events``: all of its history (``appeals.history``); ``departments``: the name of each
    by its id; ``files``: the appeal's (``attachments.of_appeal``)."""
    told: list[Stage] = []
    for event in events:
        step = _STEPS.get(event.action)
        if step is None or (event.action is Action.HEAR and not _own(its, event)):
            continue
        if step is Step.RETURNED and event.to_state is State.CONTROL:
            step = Step.CONTROL
        said = event.action in ANSWERS or _own(its, event)
        came = files if said or event.action is Action.REGISTER else ()
        stage = Stage(step, event.at, departments.get(event.department_id or 0, "") if step in _NAMED else "",
                      event.note if said else "", _until(event),
                      tuple(each for each in came if each.at == event.at and each.action == event.action))  # fmt: skip
        if not _again(told, stage):
            told.append(stage)
    # Only the last plan's day is known: what was planned before it came to nothing.
    last = max((at for at, stage in enumerate(told) if stage.step is Step.PLANNED), default=None)
    if last is not None:
        told[last] = replace(told[last], until=its.planned_for)
    return told


def awaited(its: Appeal) -> tuple[Awaited, dt.datetime | None]:
    """What is to happen next, and by when it must, where a term says so."""
    what = _AWAITED.get(its.state, Awaited.NOTHING)
    by = {Awaited.DECISION: its.due_at, Awaited.WORK: its.due_at, Awaited.DATE: its.planned_for}
    return what, by.get(what)


def _own(its: Appeal, event: Event) -> bool:
    """Whether the words are what the applicant wrote himself: his answer, which he had to prove to be his
    (``confirmations.answer``), or what was added on the appeal's own page. What was heard in a call is an operator's
    note, and what a person added from a letter may be anybody's."""
    channel, _, name = str(event.evidence.get("written", "")).partition(":")
    proved = "result" in event.evidence or (channel in _OWN_PAGES and name.startswith(mark(its.number, "")))
    return event.action in _WORD and bool(channel) and proved


def _until(event: Event) -> dt.datetime | None:
    """The term that an extension gives."""
    until = event.evidence.get("until") if event.action is Action.EXTEND else None
    return dt.datetime.fromisoformat(until) if until else None


def _again(told: Sequence[Stage], stage: Stage) -> bool:
    """Whether it tells nothing new: it was accepted already, or is passed to where it is."""
    last = [each for each in reversed(told) if each.step in (*_PASSES, Step.ACCEPTED)]
    if not last or stage.step not in (Step.PASSED, Step.ACCEPTED):
        return False
    if stage.step is Step.ACCEPTED:
        return last[0].step is Step.ACCEPTED
    return next(each for each in last if each.step in _PASSES).department == stage.department
