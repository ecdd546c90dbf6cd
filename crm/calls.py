"""Calls, from arrival to what they were about; each known by its linkedid."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, insert, select, update

from crm import citizens, texts
from crm.errors import BadInput, NotFound
from crm.parts import part
from crm.schema import appeal_call, call, call_event, taken
from crm.schema import seat_event as seat_events
from crm.store import Statement, insert_or_ignore, insert_row

ORIGINS = ("landline", "mobile", "seat", "centre")
UNKNOWN_ORIGIN = "unknown"  # of a call first heard of in its middle; mended when its arrival is told


class Queue(StrEnum):
    """Where a call waits for a person."""

    CITY = "city"  # residents who call
    FEEDBACK = "feedback"  # residents whom we call, and who ask for a person
    OFFICIAL = "official"  # of the city's, those who have agreed to speak with an official


# In a call's history: the caller was asked whether he wants to speak with an official, and said yes.
ASKED, AGREED = "asked", "agreed"


class Priority(StrEnum):
    """Who is served before those who came a little earlier (``call_queue.order``)."""

    EMERGENCY = "emergency"  # by his own key: a burst pipe, gas, a lift with people in it
    PRIVILEGED = "privileged"  # of a category that the law puts first
    ORDINARY = "ordinary"


class Skill(StrEnum):
    """What a seat must be able to, of what not every seat is."""

    ENGLISH = "en"
    SOCIAL = "social"  # benefits, veterans, displaced persons


class Direction(StrEnum):
    """Who called whom."""

    IN = "in"
    OUT = "out"


class EndCause(StrEnum):
    """Why a call ended."""

    COMPLETED = "completed"  # spoke to a person
    ABANDONED = "abandoned"  # hung up in the queue
    TIMEOUT = "timeout"  # nobody came in queue_timeout
    IVR = "ivr"  # served or hung up before the queue
    CLOSED = "closed"  # came outside opening hours
    PROMISED = "promised"  # took a callback instead of waiting
    LOST = "lost"  # Asterisk or a trunk died under it
    UNREACHED = "unreached"  # ours, out, and not answered


class Outcome(StrEnum):
    """What an answered call was."""

    APPEAL = "appeal"
    CONSULTED = "consulted"
    ABOUT_APPEAL = "about_appeal"  # about one registered before
    REPORTED = "reported"  # of an emergency, by somebody who gave no name
    CONFIRMED = "confirmed"  # a confirmation: the answers, or its attempt, say how it went
    WRONG_NUMBER = "wrong_number"
    SILENT = "silent"
    PRANK = "prank"
    TRANSFERRED = "transferred"  # to another service


@dataclass(frozen=True, slots=True)
class Arrived:
    """``new`` is False when the call was already known."""

    linkedid: str
    new: bool
    language: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call's record; ``wait_s``, ``talk_s`` and ``hold_s`` in seconds, None until known."""

    id: int
    linkedid: str
    direction: Direction
    origin: str
    caller: str
    citizen_id: int | None
    language: str
    choice: str
    arrived_at: dt.datetime
    queued_at: dt.datetime | None
    queue: str | None
    position: int | None
    told_wait_s: int | None
    told_low_s: int | None
    priority: str
    skill: str
    answered_at: dt.datetime | None
    ended_at: dt.datetime | None
    seat: str | None
    staff_id: int | None
    wait_s: float | None
    talk_s: float | None
    hold_s: float
    end_cause: str
    source: str
    outcome: str


_FIELDS = tuple(Call.__dataclass_fields__)
_CALL = select(*(call.c[name] for name in _FIELDS))
_BY_LINKEDID = _CALL.where(call.c.linkedid == bindparam("linkedid"))
_STORED = select(call.c.language, call.c.origin, call.c.caller).where(call.c.linkedid == bindparam("linkedid"))
_UPDATE = update(call).where(call.c.linkedid == bindparam("of"))
# Said by nobody: what is said of it follows from what was done, and no person's word is in its history.
_BY_A_PERSON = exists().where(call_event.c.linkedid == call.c.linkedid, call_event.c.kind == "settled")
_UNSAID = Statement(_UPDATE.where((call.c.outcome == "")
                                  | (call.c.outcome == Outcome.CONSULTED.value) & ~_BY_A_PERSON))  # fmt: skip
_LAST_SPOKE = Statement(
    select(call.c.staff_id)
    .where(call.c.caller == bindparam("caller"), call.c.arrived_at > bindparam("since"),
           call.c.answered_at.is_not(None), call.c.staff_id.is_not(None))
    .order_by(call.c.arrived_at.desc()).limit(1)
)  # fmt: skip
_EVENT = insert(call_event)
PROMISED, JOINED = "promised", "joined"  # lines of a call's history (crm.promises, crm.incident_callers)
STAYED = "stayed"  # another one: he has joined, and waits on
RETURNING = "returning"  # another one: its seat's telephone was lost, and it is brought back to it
_SERVED = {PROMISED: EndCause.PROMISED, JOINED: EndCause.IVR}  # who has been, and then leaves the queue, how
_HOW = Statement(select(call_event.c.kind).where(
    call_event.c.linkedid == bindparam("linkedid"), call_event.c.kind.in_([*_SERVED, STAYED]))
    .order_by(call_event.c.id.desc()).limit(1))  # fmt: skip


def arrived(conn: Connection, linkedid: str, *, at: dt.datetime, origin: str, caller: str = "", language: str = "",
            direction: Direction = Direction.IN, source: str = "live") -> Arrived:
    """Stores a call, once, however often it is told.

    ``origin``: landline, mobile, seat or centre. ``caller``: E.164 or "". ``language``: "" takes the
    caller's last one, else Ukrainian. BadInput for a linkedid that Asterisk would not make.
    """
    texts.linkedid(linkedid)
    if origin not in (*ORIGINS, UNKNOWN_ORIGIN):
        raise BadInput("call.origin")
    language = language or citizens.language_of(conn, caller) or "uk"
    new = insert_or_ignore(conn, call, {"linkedid": linkedid, "direction": direction.value, "origin": origin,
                                        "caller": caller, "language": language, "arrived_at": at, "source": source})
    if new:
        return Arrived(linkedid, True, language)
    stored = conn.execute(_STORED, {"linkedid": linkedid}).one()
    mended: dict[str, Any] = {}
    if caller and not stored.caller:  # Asterisk tells of a call before it has read the number
        mended = {"caller": caller, "language": language}
    if origin != UNKNOWN_ORIGIN and stored.origin == UNKNOWN_ORIGIN:
        mended = {"origin": origin, "caller": caller or stored.caller, "language": language,
                  "direction": direction.value, "arrived_at": at}  # fmt: skip
    if mended:
        _set(conn, linkedid, **mended)
    return Arrived(linkedid, False, mended.get("language", stored.language))


def _set(conn: Connection, linkedid: str, **values: Any) -> bool:
    """Whether there is such a call. One statement, whose columns are ``values``: it is not made anew each time."""
    return conn.execute(_UPDATE, {"of": linkedid, **values}).rowcount == 1


def get(conn: Connection, linkedid: str) -> Call | None:
    """None if there is none."""
    row = conn.execute(_BY_LINKEDID, {"linkedid": linkedid}).one_or_none()
    return None if row is None else _call(row)


def _call(row: Row[Any]) -> Call:
    fields = dict(zip(_FIELDS, row, strict=True))
    return Call(**{**fields, "direction": Direction(fields["direction"])})


def _known(conn: Connection, linkedid: str, at: dt.datetime) -> Call:
    """The call; one that is heard of in its middle is stored now, so that nothing of it is lost."""
    known = get(conn, linkedid)
    if known is None:
        arrived(conn, linkedid, at=at, origin=UNKNOWN_ORIGIN)
        known = get(conn, linkedid)
        assert known is not None  # noqa: S101  # inserted just now
    return known


def choose(conn: Connection, linkedid: str, at: dt.datetime, choice: str, language: str = "") -> None:
    """What was chosen in the menu: queue, status, confirm, closed. ``language``: "" leaves it."""
    values = {"choice": texts.line(choice, 10), **({"language": language} if language else {})}
    if not _set(conn, linkedid, **values):
        _known(conn, linkedid, at)
        _set(conn, linkedid, **values)


def queued(conn: Connection, linkedid: str, at: dt.datetime, queue: str, position: int | None = None,
           told_wait_s: int | None = None, *, told_low_s: int | None = None, priority: Priority = Priority.ORDINARY,
           skills: Iterable[Skill] = (), choice: str = "", language: str = "") -> None:
    """Entered the queue; told again, the first time and place stay. ``choice``, ``language``: as ``choose``."""
    known = _known(conn, linkedid, at)
    values: dict[str, Any] = {"choice": texts.line(choice, 10)} if choice else {}
    if language:
        values["language"] = language
    if known.queued_at is None:
        values = {"choice": known.choice or "queue", **values, "queued_at": at, "queue": queue, "position": position,
                  "told_wait_s": told_wait_s, "told_low_s": told_low_s, "priority": priority.value,
                  "skill": " ".join(skills)}  # fmt: skip
        add_event(conn, linkedid, at, "queued", data={"queue": queue, "position": position})
    elif known.position is None and position is not None:
        values["position"] = position
    if values:
        _set(conn, linkedid, **values)


def rang(conn: Connection, linkedid: str, seat: str, at: dt.datetime) -> None:
    """Rang at a seat."""
    _known(conn, linkedid, at)
    add_event(conn, linkedid, at, "rang", seat)


def answered(conn: Connection, linkedid: str, seat: str, at: dt.datetime, staff_id: int | None = None) -> None:
    """A seat took it. The first answer ends the wait, the last one's seat and person are kept."""
    known = _known(conn, linkedid, at)
    waited = (at - known.queued_at).total_seconds() if known.queued_at else None
    _set(conn, linkedid, answered_at=known.answered_at or at, seat=seat,
         staff_id=staff_id if staff_id is not None else known.staff_id,
         wait_s=known.wait_s if known.wait_s is not None else waited and max(0.0, waited))
    add_event(conn, linkedid, at, "answered", seat, {} if staff_id is None else {"staff_id": staff_id})


def held(conn: Connection, linkedid: str, at: dt.datetime, seat: str, seconds: float) -> None:
    """Adds to the time on hold."""
    _known(conn, linkedid, at)
    conn.execute(_UPDATE.values(hold_s=call.c.hold_s + max(0.0, seconds)), {"of": linkedid})
    add_event(conn, linkedid, at, "held", seat, {"seconds": round(seconds, 3)})


def transferred(conn: Connection, linkedid: str, at: dt.datetime, seat: str, to: str) -> None:
    """Passed on by ``seat``."""
    _known(conn, linkedid, at)
    add_event(conn, linkedid, at, "transferred", seat, {"to": texts.line(to, 80)})


def stays(conn: Connection, linkedid: str, at: dt.datetime) -> None:
    """He waits in the queue; if he has joined an incident before, on from then: that has not served him."""
    if _HOW.value(conn, {"linkedid": linkedid}) == JOINED:
        add_event(conn, linkedid, at, STAYED)


def ended(conn: Connection, linkedid: str, at: dt.datetime, cause: EndCause, wait_s: float | None = None,
          talk_s: float | None = None, hold_s: float | None = None) -> None:
    """Ended, once: told again (by the spool, by queue_log), it fills in only what was missing, and
    says better what was only known as lost. Who took a callback, or joined an incident, did not give up."""
    known = _known(conn, linkedid, at)
    left = known.queued_at is not None and known.answered_at is None and cause is not EndCause.COMPLETED
    if left:
        cause = _SERVED.get(_HOW.value(conn, {"linkedid": linkedid}), cause)
    if cause is EndCause.ABANDONED and wait_s is None and known.queued_at:  # before he was in any queue of Asterisk's
        wait_s = max(0.0, (at - known.queued_at).total_seconds())
    _set(conn, linkedid, ended_at=known.ended_at or at,
         end_cause=cause.value if known.end_cause in ("", EndCause.LOST) else known.end_cause,
         wait_s=known.wait_s if known.wait_s is not None else wait_s,
         talk_s=known.talk_s if known.talk_s is not None else talk_s, hold_s=known.hold_s or hold_s or 0.0)
    if known.ended_at is None:
        add_event(conn, linkedid, at, "ended", known.seat or "", {"cause": cause.value})


def add_event(conn: Connection, linkedid: str, at: dt.datetime, kind: str, seat: str = "",
              data: Mapping[str, Any] | None = None) -> None:
    """Anything else worth a line in the call's history."""
    conn.execute(_EVENT, {"linkedid": texts.linkedid(linkedid), "at": at, "kind": kind, "seat": seat,
                          "data": dict(data or {})})  # fmt: skip


def has_event(conn: Connection, linkedid: str, kind: str) -> bool:
    """Whether there is such a line in the call's history."""
    e = call_event.c
    return conn.execute(select(e.id).where(e.linkedid == linkedid, e.kind == kind).limit(1)).first() is not None


def set_citizen(conn: Connection, linkedid: str, citizen_id: int) -> None:
    """Somebody said who called. NotFound for an unknown call."""
    if not _set(conn, linkedid, citizen_id=citizen_id):
        raise NotFound("call.unknown")


def settle(conn: Connection, linkedid: str, outcome: Outcome, staff_id: int | None, now: dt.datetime) -> None:
    """Says what an answered call was; said again, the later word counts and both are in its history.

    NotFound for an unknown call, BadInput for one that nobody answered.
    """
    known = get(conn, linkedid)
    if known is None:
        raise NotFound("call.unknown")
    if known.answered_at is None:
        raise BadInput("call.not_answered")
    _set(conn, linkedid, outcome=outcome.value, outcome_by=staff_id, outcome_at=now)
    add_event(conn, linkedid, now, "settled", data={"outcome": outcome.value, "staff_id": staff_id})


def about(conn: Connection, linkedid: str, appeal_id: int, outcome: Outcome, staff_id: int | None,
          now: dt.datetime) -> None:
    """The call was about this appeal; that also says what the call was, unless somebody has said so."""
    insert_or_ignore(conn, appeal_call, {"appeal_id": appeal_id, "linkedid": texts.linkedid(linkedid)})
    settle_by_itself(conn, linkedid, outcome, staff_id, now)


def settle_by_itself(conn: Connection, linkedid: str, outcome: Outcome, staff_id: int | None, now: dt.datetime) -> None:
    """Says what a call was where it follows from what was done in it; never over a person's word.

    That information was given gives way: the same call may bring an appeal after it.
    """
    _UNSAID(conn, {"of": linkedid, "outcome": outcome.value, "outcome_by": staff_id, "outcome_at": now})


def unsettled(conn: Connection, limit: int = 100, *, staff_id: int | None = None,
              after_id: int | None = None) -> list[Call]:  # fmt: skip
    """Answered calls (this person's, if given), over, that nobody has said anything of yet, oldest first; ``after_id``
    continues the list."""
    query = _CALL.where(call.c.answered_at.is_not(None), call.c.ended_at.is_not(None), call.c.outcome == "")
    if staff_id is not None:
        query = query.where(call.c.staff_id == staff_id)
    return [_call(row) for row in conn.execute(part(conn, query, call.c.answered_at, limit, after_id))]


def last_spoke(conn: Connection, caller: str, since: dt.datetime) -> int | None:
    """The staff_id of who spoke last, after ``since``, with whoever called from this number (E.164)."""
    staff_id: int | None = _LAST_SPOKE.value(conn, {"caller": caller, "since": since})
    return staff_id


def unended(conn: Connection) -> list[Call]:
    """Calls with no end, for reconciling with the live channels."""
    return [_call(row) for row in conn.execute(_CALL.where(call.c.ended_at.is_(None)).order_by(call.c.arrived_at))]


def handled_s(conn: Connection, since: dt.datetime, limit: int) -> list[float]:
    """How long the latest calls of those that arrived after ``since`` took at a seat, talk and hold, oldest first."""
    done = select(call.c.talk_s + call.c.hold_s).where(call.c.arrived_at > since, call.c.talk_s.is_not(None))
    return list(conn.execute(done.order_by(call.c.arrived_at.desc()).limit(limit)).scalars())[::-1]


def recent(conn: Connection, limit: int = 50, *, after_id: int | None = None,
           between: tuple[dt.datetime, dt.datetime] | None = None, caller: str = "", seat: str = "", outcome: str = "",
           end_cause: str = "") -> list[Call]:  # fmt: skip
    """Calls that match all that is given, newest first; ``after_id`` continues a list. ``between``: arrived from the
    first moment on and before the second."""
    query = _CALL
    for column, value in {"caller": caller, "seat": seat, "outcome": outcome, "end_cause": end_cause}.items():
        if value:
            query = query.where(call.c[column] == value)
    if between is not None:
        query = query.where(call.c.arrived_at >= between[0], call.c.arrived_at < between[1])
    return [_call(row) for row in conn.execute(part(conn, query, call.c.arrived_at, limit, after_id, newest=True))]


def appeals_of(conn: Connection, linkedid: str) -> list[int]:
    """The ids of the appeals that the call was about."""
    about_it = select(appeal_call.c.appeal_id).where(appeal_call.c.linkedid == linkedid)
    return list(conn.execute(about_it.order_by(appeal_call.c.appeal_id)).scalars())


def seat_event(conn: Connection, seat: str, at: dt.datetime, kind: str, staff_id: int | None = None,
               reason: str = "") -> None:
    """login, logout, pause or unpause of a seat."""
    insert_row(conn, seat_events, {"seat": seat, "at": at, "kind": kind, "staff_id": staff_id,
                                   "reason": texts.line(reason, 60)})


def taken_once(conn: Connection, source: str, key: str, now: dt.datetime) -> bool:
    """True the first time this line of the spool or of queue_log is taken, and never again."""
    return insert_or_ignore(conn, taken, {"source": source, "key": key, "at": now})
