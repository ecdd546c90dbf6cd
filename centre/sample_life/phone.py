"""A day of generated calls: when residents ring, how long they wait for so many seats, what came of it. Pure."""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from random import Random

# How many of a hundred calls come in each hour of Kyiv's day.
HOURS = (1, 0.6, 0.4, 0.3, 0.4, 0.8, 2, 4, 7, 8.5, 8.5, 7.5, 6.5, 6, 6, 5.5, 5.5, 6, 6.5, 6, 4.5, 3, 2, 1.5)
TALK_S, WRITE_S = 160, 15
PATIENCE_S = 240
BUSIEST = 0.087  # of the day's calls, in an hour
SPARE = 1.08  # seats above what the busiest hour needs if nobody ever waited


@dataclass(frozen=True, slots=True)
class Call:
    """``answered_at`` is None for one that was given up in the queue, ``seat`` counts from 0."""

    arrived_at: dt.datetime
    queued_at: dt.datetime
    answered_at: dt.datetime | None
    ended_at: dt.datetime
    seat: int


def seats_for(calls: int) -> int:
    """Seats for so many calls a day."""
    return ceil(calls * BUSIEST / 3600 * (TALK_S + WRITE_S) * SPARE) + 1


def moments(random: Random, midnight: dt.datetime, count: int) -> list[dt.datetime]:
    """So many moments of the day that begins at ``midnight``, more by day than by night."""
    hours = random.choices(range(24), HOURS, k=count)
    return sorted(midnight + dt.timedelta(seconds=(hour + random.random()) * 3600) for hour in hours)


def calls_of(random: Random, midnight: dt.datetime, count: int, seats: int) -> Iterator[Call]:
    """The day's calls in the order in which they are answered: first come, first served."""
    free = [(midnight, seat) for seat in range(seats)]
    for arrived in moments(random, midnight, count):
        queued = arrived + dt.timedelta(seconds=random.uniform(12, 30))
        at, seat = free[0]
        gives_up = queued + dt.timedelta(seconds=random.expovariate(1 / PATIENCE_S))
        if gives_up < at:
            yield Call(arrived, queued, None, gives_up, -1)
            continue
        answered = max(at, queued) + dt.timedelta(seconds=random.uniform(2, 5))
        ended = answered + dt.timedelta(seconds=20 + random.expovariate(1 / (TALK_S - 20)))
        heapq.heapreplace(free, (ended + dt.timedelta(seconds=WRITE_S), seat))
        yield Call(arrived, queued, answered, ended, seat)
