"""Campaigns of confirmation calls: their terms, their course, and how long one takes. Pure."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from enum import StrEnum

from crm import clock
from crm.confirmation_rules import Rules
from crm.errors import BadInput, IllegalAction

NAME_MOST = 200
OLDEST_DAYS, MOST_CALLS, MOST_TRIES = 365, 100_000, 10
CALL_S = 120.0  # what a call takes until we have measured it: ringing, asking, writing down


class Mode(StrEnum):
    """Who asks, and who starts the call."""

    PREVIEW = "preview"  # a person, who sees the next one and calls when he is ready
    PROGRESSIVE = "progressive"  # a person: the centre rings a free seat, and the citizen once it has picked up
    AUTOMATIC = "automatic"  # a machine, by the citizen's consent


class State(StrEnum):
    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"


OPEN = frozenset({State.RUNNING, State.PAUSED})  # what is in such a one is called on its terms only
EDITABLE = frozenset({State.DRAFT, State.PAUSED})


class Step(StrEnum):
    """What a supervisor does with a campaign."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    END = "end"


STEPS: dict[State, dict[Step, State]] = {
    State.DRAFT: {Step.START: State.RUNNING, Step.END: State.DONE},
    State.RUNNING: {Step.PAUSE: State.PAUSED, Step.END: State.DONE},
    State.PAUSED: {Step.RESUME: State.RUNNING, Step.END: State.DONE},
    State.DONE: {},
}


def after(state: State, step: Step) -> State:
    """Where the step leads. IllegalAction "campaign.not_now"."""
    if step not in STEPS[state]:
        raise IllegalAction("campaign.not_now")
    return STEPS[state][step]


@dataclass(frozen=True, slots=True)
class Terms:
    """Which confirmations (None: of any), and on what terms. ``older_days``: reported executed so long ago at least.
    Hours in minutes after midnight in Kyiv, both None for the centre's; caps in calls a day."""

    name: str
    mode: Mode
    department_id: int | None = None
    subject_id: int | None = None
    district_id: int | None = None
    older_days: int = 0
    call_from: int | None = None
    call_to: int | None = None
    daily_cap: int | None = None
    citizen_daily_cap: int = 2

    def __post_init__(self) -> None:
        if not self.name:
            raise BadInput("campaign.no_name")
        if (self.call_from is None) != (self.call_to is None) or (
                self.call_from is not None and not 0 <= self.call_from < (self.call_to or 0) <= 1440):  # fmt: skip
            raise BadInput("campaign.hours")
        if not 0 <= self.older_days <= OLDEST_DAYS:
            raise BadInput("campaign.older_days", most=OLDEST_DAYS)
        if self.daily_cap is not None and not 1 <= self.daily_cap <= MOST_CALLS:
            raise BadInput("campaign.cap", most=MOST_CALLS)
        if not 1 <= self.citizen_daily_cap <= MOST_TRIES:
            raise BadInput("campaign.citizen_cap_bounds", most=MOST_TRIES)

    def window(self, rules: Rules) -> tuple[int, int]:
        """Its hours within those of the centre; the same minute twice when they have none in common."""
        if self.call_from is None or self.call_to is None:
            return rules.call_from, rules.call_to
        if rules.call_from >= rules.call_to:  # the centre calls over midnight, or all day
            return self.call_from, self.call_to
        start = max(self.call_from, rules.call_from)
        return start, max(start, min(self.call_to, rules.call_to))


def may_not_call(terms: Terms, state: State, *, placed_today: int, now: dt.datetime, rules: Rules) -> str | None:
    """Why the campaign calls nobody now, as a stable id; None when it may. ``placed_today``: its calls since
    Kyiv's midnight."""
    if state is not State.RUNNING:
        return "campaign.not_running"
    start, end = terms.window(rules)
    own = terms.call_from is not None
    if (own and start == end) or not clock.in_window(now, start, end):
        return "campaign.outside_hours"
    if terms.daily_cap is not None and placed_today >= terms.daily_cap:
        return "campaign.daily_cap"
    return None


def may_not_call_him(terms: Terms, *, tried_today: int) -> str | None:
    """Why this citizen is not called any more today. ``tried_today``: how often he was, in whatever campaign, and
    out of any."""
    return "campaign.citizen_cap" if tried_today >= terms.citizen_daily_cap else None


# ── how long it takes ────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Pace:
    """What our own calls have been like lately. ``tries``: calls for each citizen who was done with."""

    call_s: float = CALL_S
    tries: float = 1.0


def calls_a_day(terms: Terms, at_once: int, pace: Pace, rules: Rules) -> int:
    """As many as the hours, the caps and ``at_once`` (seats, or lines of the machine) allow; 0 for none."""
    start, end = terms.window(rules)
    minutes = end - start if end > start else 0 if terms.call_from is not None else end - start + 1440
    most = min(rules.hourly_cap * minutes // 60, math.floor(at_once * minutes * 60 / pace.call_s))
    return most if terms.daily_cap is None else min(most, terms.daily_cap)


def days_needed(citizens: int, terms: Terms, at_once: int, pace: Pace, rules: Rules) -> int | None:
    """Days of calling until all have answered or been given up; None when it would never end.

    Among many somebody never answers: he is tried as often as the rules say, no oftener a day than the terms allow.
    """
    if not citizens:
        return 0
    a_day = calls_a_day(terms, at_once, pace, rules)
    if not a_day:
        return None
    return max(math.ceil(citizens * pace.tries / a_day), math.ceil(rules.tries / terms.citizen_daily_cap))


def forecast_end(left: int, done_by_day: dict[dt.date, int], planned_days: int | None,
                 today: dt.date) -> dt.date | None:  # fmt: skip
    """The last day, at the pace of the whole days that have been (those with calls), of today if there is no other;
    before any citizen is done with, as planned. None when nobody can tell."""
    if not left:
        return today
    whole = {day: done for day, done in done_by_day.items() if day < today} or done_by_day
    done = sum(whole.values())
    days = math.ceil(left * len(whole) / done) if done else planned_days
    return None if days is None else today + dt.timedelta(days=max(days, 1) - 1)
