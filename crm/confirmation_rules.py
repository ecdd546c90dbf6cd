"""When, whom and how often to call back. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from crm import clock


class Mode(StrEnum):
    LIVE = "live"  # a person of the feedback staff asks
    AUTO = "auto"  # a machine asks, by the citizen's consent


class Result(StrEnum):
    """What the resident says of one appeal."""

    SOLVED = "solved"
    PARTLY = "partly"  # returned, as not solved is
    NOT_SOLVED = "not_solved"


class Reached(StrEnum):
    """How an attempt to call ended."""

    ANSWERED = "answered"  # the applicant was asked (the answers themselves are told one by one)
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"  # the network said no
    WRONG_NUMBER = "wrong_number"
    DO_NOT_CALL = "do_not_call"
    NO_KEY = "no_key"  # the machine asked and heard nothing it understood
    PERSON = "person"  # key 0
    NOT_PLACED = "not_placed"  # his telephone never rang: the seat's was not picked up, or Asterisk did not call
    UNKNOWN = "unknown"  # we died while it rang


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide; seconds, and minutes after midnight in Kyiv."""

    tries: int = 4
    retry_s: int = 7200  # after no answer; ``soon_s`` when he was there
    first_s: int = 0  # from the department's report to the first call
    ring_s: int = 40
    call_from: int = 9 * 60
    call_to: int = 20 * 60
    hourly_cap: int = 400
    inbound_wait_s: int = 60  # no callback while somebody has waited longer
    lines: int = 4  # automatic ones at a time
    form_s: int = 4 * 3600  # how long a person may take to write down what came of his call
    not_placed_s: int = 60  # until a machine tries again what it could not place
    prefixes: tuple[str, ...] = ("+380",)

    @property
    def soon_s(self) -> int:
        """Until the next try when the line was busy or the citizen had picked up: he is about."""
        return self.retry_s // 4


class Next(StrEnum):
    DONE = "done"
    RETRY = "retry"  # in the same mode
    LIVE = "live"  # by a person
    OTHER_CONTACT = "other_contact"
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True)
class Step:
    """What follows an attempt; ``at`` is None for DONE and GIVE_UP."""

    next: Next
    at: dt.datetime | None = None


def next_step(reached: Reached, *, mode: Mode, unanswered: Collection[int], other_contact: bool, now: dt.datetime,
              window: tuple[int, int], rules: Rules) -> Step:
    """What follows an attempt that ended so.

    ``unanswered``: for each appeal still without an answer, how often it has been tried, this
    attempt included. ``other_contact``: another usable number is known. ``window``: the citizen's,
    minutes after midnight in Kyiv.
    """
    if not unanswered:
        return Step(Next.DONE)
    match reached:
        case Reached.DO_NOT_CALL:  # at another number he would be called all the same
            return Step(Next.GIVE_UP)
        case Reached.WRONG_NUMBER:
            if not other_contact:
                return Step(Next.GIVE_UP)
            return Step(Next.OTHER_CONTACT, clock.next_in_window(now, *window))
        case Reached.PERSON:
            return Step(Next.LIVE, clock.next_in_window(now, *window))
        case Reached.NOT_PLACED:  # nobody called him, so nothing was tried
            return Step(Next.RETRY, _after(rules.not_placed_s if mode is Mode.AUTO else 0, now, window))
        case Reached.NO_KEY | Reached.ANSWERED if mode is Mode.AUTO:
            # What a machine did not understand is asked by a person, whatever has been tried before.
            return Step(Next.LIVE, _after(rules.soon_s, now, window))
    if all(spent(tries, rules) for tries in unanswered):
        return Step(Next.GIVE_UP)
    soon = reached in (Reached.BUSY, Reached.ANSWERED, Reached.NO_KEY)
    return Step(Next.RETRY, _after(rules.soon_s if soon else rules.retry_s, now, window))


def _after(seconds: int, now: dt.datetime, window: tuple[int, int]) -> dt.datetime:
    return clock.next_in_window(now + dt.timedelta(seconds=seconds), *window)


def spent(tries: int, rules: Rules) -> bool:
    """Whether an appeal has had all its tries."""
    return tries >= rules.tries


def window_of(call_from: int | None, call_to: int | None, rules: Rules) -> tuple[int, int]:
    """A citizen's hours for being called: his own, else the centre's."""
    if call_from is None or call_to is None:
        return rules.call_from, rules.call_to
    return call_from, call_to


def word_by(asked_at: dt.datetime, days: int) -> tuple[dt.datetime, dt.datetime]:
    """Of a word that is asked for in writing alone: when he is reminded, and when nobody waits for it any more."""
    return asked_at + dt.timedelta(days=days) / 2, asked_at + dt.timedelta(days=days)


def left_open(*, mode: Mode, placed_at: dt.datetime, answered_at: dt.datetime | None, queued: bool,
              now: dt.datetime, rules: Rules) -> Reached | None:
    """What an attempt came to that is on no line any more and that nobody ended; None while somebody still may.

    ``queued``: its call went on into the queue, to a person. What a machine asked is over with the call; what
    a person asked he writes down afterwards; and the network's own word on a call that was not answered may be
    late by the ring time, twice, for a live one rings the seat first. A clock that was set back waits once more.
    """
    if answered_at is not None and mode is Mode.AUTO:
        return Reached.PERSON if queued else Reached.NO_KEY
    patience = rules.form_s if answered_at is not None else 2 * rules.ring_s
    return Reached.UNKNOWN if now - placed_at > dt.timedelta(seconds=patience) else None


def forbidden(*, mode: Mode, inbound_longest_wait_s: float | None, placed_last_hour: int, lines_busy: int,
              trunk_ok: bool, rules: Rules) -> str | None:
    """Why no callback may be placed now, as a stable id; None when one may.

    ``inbound_longest_wait_s``: how long the first in the city queue has waited, None if nobody
    waits. ``lines_busy``: automatic callbacks on the line now.
    """
    if not trunk_ok:
        return "callback.trunk_down"
    if inbound_longest_wait_s is not None and inbound_longest_wait_s > rules.inbound_wait_s:
        return "callback.inbound_first"
    if placed_last_hour >= rules.hourly_cap:
        return "callback.hourly_cap"
    if mode is Mode.AUTO and lines_busy >= rules.lines:
        return "callback.lines_busy"
    return None
