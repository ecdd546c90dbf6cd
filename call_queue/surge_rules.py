"""When a surge is proposed to the supervisor, and how gently promised callbacks return after an alert. Pure.

Nothing here switches anything. Each sign of too much has an upper bound, at which the surge is proposed, and a lower
one, under which its end is: between the two what has been proposed stays so, and what has not does not begin.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Sign(StrEnum):
    ARRIVALS = "arrivals"  # callers, against what the seats can take meanwhile
    LONGEST = "longest"  # seconds that somebody waits now
    ABANDONED = "abandoned"  # the share of those who gave up, of all whose wait ended


@dataclass(frozen=True, slots=True)
class Load:
    """Of the last ``window_s`` seconds: how many callers came, and how many waits ended, of which how many unanswered;
    and now: the seats that take calls, how long one takes (None: unknown), the longest wait, in seconds."""

    arrived: int
    ended: int
    abandoned: int
    seats: int
    handled_s: float | None
    longest_s: float


@dataclass(frozen=True, slots=True)
class Rules:
    """``bounds``: of each sign, lower and upper."""

    window_s: int = 300
    bounds: dict[Sign, tuple[float, float]] = field(default_factory=lambda: {
        Sign.ARRIVALS: (0.9, 1.3), Sign.LONGEST: (60.0, 300.0), Sign.ABANDONED: (0.08, 0.25)})  # fmt: skip
    few: int = 10  # callers, from which no share is taken
    # after an alert: promised callbacks a minute and seat, at first and in the end
    return_s: int = 600
    return_from: float = 0.2
    return_to: float = 1.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """To switch it on, and by which signs; or off."""

    on: bool
    signs: tuple[Sign, ...] = ()


def proposed(load: Load, on: bool, before: Proposal | None, rules: Rules) -> Proposal | None:
    """What to propose while the surge is ``on`` or not; ``before``: what was the last time."""
    measured = _measured(load, rules)
    upper = tuple(sign for sign, value in measured.items() if value > rules.bounds[sign][1])
    lower = tuple(sign for sign, value in measured.items() if value > rules.bounds[sign][0])
    stays = before is not None and before.on is not on
    if not on:
        signs = upper or (lower if stays else ())
        return Proposal(True, signs) if signs else None
    return Proposal(False) if not lower or (stays and not upper) else None


def _measured(load: Load, rules: Rules) -> dict[Sign, float]:
    """What there is ground to measure."""
    measured = {Sign.LONGEST: load.longest_s}
    if load.arrived >= rules.few and load.handled_s is not None:
        capacity = load.seats * rules.window_s / max(1.0, load.handled_s)
        measured[Sign.ARRIVALS] = load.arrived / max(1.0, capacity)
    if load.ended >= rules.few:
        measured[Sign.ABANDONED] = load.abandoned / load.ended
    return measured


def returned(since_s: float, seats: int, rules: Rules) -> int | None:
    """How many promised callbacks may have been placed ``since_s`` seconds after an alert ended, for ``seats`` that
    take calls: one at once, then ever more a minute; None: as many as there are."""
    if since_s >= rules.return_s:
        return None
    gained = (rules.return_to - rules.return_from) * since_s / rules.return_s / 2
    return 1 + int(max(0, seats) * (rules.return_from + gained) * max(0.0, since_s) / 60)
