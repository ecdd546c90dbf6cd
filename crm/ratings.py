"""What callers say of a conversation by one key when it is over, 1 (bad) to 5, and the figures of it.

A score is its call's: and so the seat's and the person's who spoke, and that of the appeals that it was about.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, func, literal_column, select

from crm import life
from crm.calls import Direction
from crm.errors import BadInput, NotFound
from crm.figures import DAY, EPOCH
from crm.life import State
from crm.periods import Period
from crm.schema import appeal, appeal_call, call, rating
from crm.store import Statement, insert_or_ignore
from crm.wholes import kyiv

SCORES = (1, 2, 3, 4, 5)

By = Literal["period", "day", "operator", "subject", "fate"]

_WHO = Statement(select(call.c.seat, call.c.staff_id).where(call.c.linkedid == bindparam("linkedid")))
_said_of = func.coalesce(rating.c.staff_id, call.c.staff_id)  # who spoke may be known only later: from queue_log


def score_of(key: str) -> int:
    """What he pressed. BadInput "rating.score" for what is none."""
    if key not in map(str, SCORES):
        raise BadInput("rating.score")
    return int(key)


def keep(conn: Connection, linkedid: str, score: int, now: dt.datetime) -> bool:
    """The score of a call, tied to who spoke last; False for one that has its own: the first stays.

    BadInput "rating.score"; NotFound for a call that is not on record.
    """
    if score not in SCORES:
        raise BadInput("rating.score")
    rows = _WHO(conn, {"linkedid": linkedid})
    if not rows:
        raise NotFound("call.unknown")
    return insert_or_ignore(conn, rating, {"linkedid": linkedid, "score": score, "seat": rows[0].seat or "",
                                           "staff_id": rows[0].staff_id, "at": now})  # fmt: skip


# ── figures ──────────────────────────────────────────────────────────────────────────────────
@dataclass(slots=True)
class Scores:
    """``spoken``: conversations after which it could be asked; ``counts``: score → how many said it."""

    spoken: int = 0
    counts: Counter[int] = field(default_factory=Counter)

    @property
    def rated(self) -> int:
        return self.counts.total()

    @property
    def mean(self) -> float | None:
        return sum(score * count for score, count in self.counts.items()) / self.rated if self.rated else None

    def share(self, score: int) -> float | None:
        """Of those who said any."""
        return self.counts[score] / self.rated if self.rated else None

    @property
    def rate(self) -> float | None:
        """How many of those who spoke said any."""
        return self.rated / self.spoken if self.spoken else None


# Where an appeal stands, as its caller sees it; the first that holds.
_FATES: tuple[tuple[ColumnElement[bool], str], ...] = (
    (appeal.c.returns > 0, "returned"),
    (appeal.c.state == State.CLOSED.value, "confirmed"),
    (appeal.c.state == State.UNCONFIRMED.value, "unconfirmed"),
    (appeal.c.state.in_([state.value for state in life.OPEN]), "open"),
    (appeal.c.state.in_([State.EXECUTED.value, State.AWAITING.value]), "awaiting"),
)
FATES = (*(name for _, name in _FATES), "otherwise")


def scores(conn: Connection, period: Period, by: By = "period") -> dict[Any, Scores]:
    """Of the calls that came in the period and were answered by a person, by the day in Kyiv, by who spoke (staff_id,
    None where nobody knows), or by the subject or the fate of what they were about: there a call counts once for each
    appeal of it. The key of "period" is the period's first day."""
    keys: dict[str, ColumnElement[Any]] = {
        "period": literal_column("0"), "day": kyiv(call.c.arrived_at, period) // DAY, "operator": _said_of,
        "subject": appeal.c.subject_id, "fate": case(*_FATES, else_="otherwise")}  # fmt: skip
    key = keys[by].label("key")
    said = [func.count().filter(rating.c.score == score) for score in SCORES]
    calls = call.join(rating, rating.c.linkedid == call.c.linkedid, isouter=True)
    if by in ("subject", "fate"):
        calls = calls.join(appeal_call, appeal_call.c.linkedid == call.c.linkedid).join(
            appeal, appeal.c.id == appeal_call.c.appeal_id)  # fmt: skip
    rows = conn.execute(select(key, func.count(), *said).select_from(calls)
                        .where(_spoken(period.start, period.end)).group_by(literal_column("key")))  # fmt: skip
    found = {row[0]: Scores(row[1], +Counter(dict(zip(SCORES, row[2:], strict=True)))) for row in rows}
    if by == "day":
        days = {EPOCH + dt.timedelta(days=number): each for number, each in found.items()}
        return {day: days.get(day, Scores()) for day in period.each_day()}
    return {period.first: found.get(0, Scores())} if by == "period" else found


def of_person(conn: Connection, staff_id: int, since: dt.datetime, now: dt.datetime) -> Scores:
    """What callers said of one who spoke with them."""
    said = [func.count().filter(rating.c.score == score) for score in SCORES]
    row = conn.execute(select(func.count(), *said)
                       .select_from(call.join(rating, rating.c.linkedid == call.c.linkedid, isouter=True))
                       .where(_spoken(since, now), _said_of == staff_id)).one()  # fmt: skip
    return Scores(row[0], +Counter(dict(zip(SCORES, row[1:], strict=True))))


def _spoken(start: dt.datetime, end: dt.datetime) -> ColumnElement[bool]:
    return and_(call.c.arrived_at >= start, call.c.arrived_at < end, call.c.direction == Direction.IN.value,
                call.c.answered_at.is_not(None))  # fmt: skip


def together(each: Iterable[Scores]) -> Scores:
    """Their sum."""
    whole = Scores()
    for one in each:
        whole.spoken += one.spoken
        whole.counts += one.counts
    return whole
