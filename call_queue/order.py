"""Who is next. Pure; the same code orders the live queue and the simulated one.

Everybody has a *turn*: the moment at which he began to wait, less the head start of his priority. The earliest turn is
next. As a turn never changes, nor does the order of two who wait: nobody can be overtaken by one who came more than
the longest head start after him, so nobody starves, and no place is ever computed anew. A promised callback keeps the
turn of the call it was made in, and stands in one line with those who hold the telephone.

``Queue()`` knows live channels only and orders them by an integer, the higher first: ``queue_prio`` is the turn as it
takes it, so that it keeps our order by itself, also while we are away, and after any leaving and coming back.

What not every seat can do (``Skill``) needs a queue of its own there, for a caller cannot be tied to some of a queue's
seats without stopping those behind him. Such a queue is served first by the seats that it shares with the city's
(``weight``), and a caller stays in it for a bounded time: then he stands in the city's queue, by the same turn, where
every seat takes him. Nor does he stand in it while somebody waits for any seat whose turn is longer before his than
that (``is_fair``): needing a skill is worth a head start of ``skill_s``, only at seats that have it, and no more
however long the line is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from crm.calls import Priority, Queue, Skill

LATEST = 2**31 - 1  # what Asterisk's priorities reach to, and the last second that they can name: in 2038


@dataclass(frozen=True, slots=True)
class Rules:
    """Seconds."""

    head_start_s: Mapping[Priority, int] = field(
        default_factory=lambda: {Priority.EMERGENCY: 3600, Priority.PRIVILEGED: 180, Priority.ORDINARY: 0})
    promised_s: int = 60  # of one whom we have called back, and who would else wait twice
    skill_s: Mapping[Skill, int] = field(default_factory=lambda: {Skill.ENGLISH: 300, Skill.SOCIAL: 60})
    own_seat_s: int = 8  # for the seat that spoke with him last
    lead_s: int = 35  # from dialling somebody until he is on the line
    reached: float = 0.75  # of those who are called


@dataclass(frozen=True, slots=True)
class Waiting:
    """One who waits. ``key``: a call's linkedid, or "promise:12". ``live``: he is on the line; one whom we are
    calling just now is not yet, and ``calling``."""

    key: str
    turn: dt.datetime
    live: bool = True
    calling: bool = False


@dataclass(frozen=True, slots=True)
class Stay:
    """For how long a caller waits in one of Asterisk's queues; None: until he is served."""

    queue: str
    seconds: int | None


def turn(since: dt.datetime, priority: Priority, rules: Rules, *, promised: bool = False) -> dt.datetime:
    """The moment that decides who is next, of one who has waited ``since`` then."""
    head_start = max(rules.head_start_s[priority], rules.promised_s if promised else 0)
    return since - dt.timedelta(seconds=head_start)


def queue_prio(turn: dt.datetime) -> int:
    """The turn as QUEUE_PRIO: whole seconds, within which who comes first is first."""
    return LATEST - int(turn.timestamp())


def turn_of(queue_prio: int) -> dt.datetime:
    """The turn of one whom Asterisk says is waiting."""
    return dt.datetime.fromtimestamp(LATEST - queue_prio, dt.UTC)


def in_order(waiting: Iterable[Waiting]) -> list[Waiting]:
    """The next one first."""
    return sorted(waiting, key=lambda one: (one.turn, one.key))


def stays(skills: Collection[Skill], own_seat: str, rules: Rules) -> list[Stay]:
    """Where a caller waits, one after the other. ``skills``: those that he needs and some seat has now. ``own_seat``:
    the one that spoke with him last, if it could take him at once, else ""."""
    own = [Stay(seat_queue(own_seat), rules.own_seat_s)] if own_seat else []
    skilled = [Stay(skill_queue(skill), rules.skill_s[skill]) for skill in Skill if skill in skills]
    return [*own, *skilled, Stay(Queue.CITY, None)]


def is_fair(stay: Stay, turn: dt.datetime, first: dt.datetime | None) -> bool:
    """Whether one with this turn may stay where some seats take him before those who wait for any seat. ``first``: the
    earliest turn of these, None: there are none."""
    return stay.seconds is None or first is None or (turn - first).total_seconds() <= stay.seconds


def line_of(queue: str) -> str:
    """The line of those who wait in one of Asterisk's queues: the city's is in several."""
    return Queue.CITY.value if queue.startswith((f"{Queue.CITY}-", "seat-")) else queue


def skill_queue(skill: Skill) -> str:
    return f"{Queue.CITY}-{skill}"


def seat_queue(seat: str) -> str:
    """The queue of one seat alone."""
    return f"seat-{seat}"


def queues_of(seat: str, lines: Collection[str], skills: Collection[str]) -> list[str]:
    """Asterisk's queues that a seat is in, of those who serve these lines and have these skills. An official's seat is
    in its own alone: nobody is brought to him who has not agreed to it (``call_queue.officials``)."""
    of_line = {Queue.CITY: [Queue.CITY.value, seat_queue(seat), *(skill_queue(one) for one in Skill if one in skills)],
               Queue.OFFICIAL: [seat_queue(seat)]}  # fmt: skip
    return list(dict.fromkeys(queue for line in Queue if line in lines for queue in of_line.get(line, [line.value])))


def lines_of(seat: str, queues: Collection[str]) -> list[Queue]:
    """The lines that a seat serves that is in these queues."""
    own = {Queue.OFFICIAL} if seat_queue(seat) in queues and Queue.CITY not in queues else set()
    return [line for line in Queue if line in queues or line in own]


def skills_of(queues: Collection[str]) -> list[Skill]:
    """The skills that a seat is taken for that is in these queues."""
    return [skill for skill in Skill if skill_queue(skill) in queues]


def to_call(line: Sequence[Waiting], free: int, serving: int, handled_s: float, rules: Rules) -> list[str]:
    """Whom of the promised to call now, the next one first.

    ``line``: those who wait, in order. ``free`` of the ``serving`` seats are idle, and a call takes ``handled_s`` on
    average. Dialling takes ``lead_s``, and of those who are called ``reached`` pick up: so many are called that, with
    those who are on the line before them, as many as seats will be free by then are there to be expected.
    """
    coming = free + serving * rules.lead_s / max(handled_s, 1.0)
    called = []
    for one in line:
        if coming <= 0:
            break
        coming -= 1.0 if one.live else rules.reached
        if not (one.live or one.calling):
            called.append(one.key)
    return called
