"""What must be told to somebody: written in the transaction of what it tells of, sent later.

What follows from an action on an appeal is told by ``follow``, which ``history.move`` calls, and so by nothing else;
``tell`` is for whoever has something more to tell. Departments and people of the centre are told by letters that
gather many (``crm.letters``); residents one by one, each by his own way (``crm.telling``), from an outbox
(``crm.outbox``), or by a person.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, delete, exists, func, insert, or_, select, update

from crm import telling, texts
from crm.errors import BadInput, NotFound
from crm.life import TO_ACT, Action, State
from crm.schema import (
    appeal,
    appeal_event,
    callback,
    callback_appeal,
    citizen,
    citizen_phone,
    department,
    message,
    notice,
    staff,
    stopped,
    subject,
    taken,
)
from crm.store import Statement, insert_or_ignore
from crm.telling import FOLLOWS, MUST_HEAR, WRITTEN, Reach, Step, next_way
from crm.telling import Kind as Kind
from crm.telling import Way as Way


class Audience(StrEnum):
    DEPARTMENT = "department"
    STAFF = "staff"
    CITIZEN = "citizen"
    SENDER = "sender"  # of a message, whoever he is


# What a department is told by itself after an action.
TO_OFFICE: dict[Action, Kind] = {
    Action.ASSIGN: Kind.ASSIGNED, Action.RESUME: Kind.ASSIGNED, Action.COMPLETE: Kind.ASSIGNED,
    Action.SPLIT: Kind.ASSIGNED, Action.NOT_SOLVED: Kind.RETURNED, Action.REPRIMAND: Kind.REPRIMAND,
    Action.TAKE_CONTROL: Kind.CONTROL,
}  # fmt: skip
NEVER = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)  # when a machine tries what a person must tell
BAD = frozenset({"undelivered", "failed"})  # reports after which the next way is taken
_KEEP = Statement(insert(notice).inline())
_n = notice.c


def follow(conn: Connection, action: Action, state: State, *, appeal_id: int, version: int, department_id: int,
           passed_on: bool, citizen_id: int | None, now: dt.datetime, evidence: Mapping[str, Any],
           until: dt.datetime | None = None) -> None:  # fmt: skip
    """Keeps what ``action`` makes somebody be told: the department that the appeal now lies with to be acted on, the
    department that is reprimanded, the applicant if there is a name. ``version``: the appeal's, since. ``passed_on``:
    another department has it now. ``until``: for when it is planned."""
    key = f"{appeal_id}:{version}"
    if action in TO_OFFICE and (action is Action.REPRIMAND or state in TO_ACT):
        kind = TO_OFFICE[action]
        to = evidence.get("department_id", department_id) if kind is Kind.REPRIMAND else department_id
        _KEEP(conn, {"key": f"{kind.value}:{key}", "kind": kind.value, "audience": Audience.DEPARTMENT.value,
                     "appeal_id": appeal_id, "department_id": to, "data": {}, "created_at": now,
                     "due_at": now})  # fmt: skip
    if citizen_id is not None and action in FOLLOWS and (action is not Action.ASSIGN or passed_on):
        said = evidence.get("until") or (until.isoformat() if until else None)
        by_machine = "staff_id" not in evidence
        _to_applicant(conn, FOLLOWS[action], key, appeal_id, citizen_id, now, {"until": said} if said else {},
                      answered_at=evidence.get("written", "").partition(":")[0] if by_machine else "")  # fmt: skip


def tell(conn: Connection, *, key: str, kind: Kind, audience: Audience, now: dt.datetime,
         appeal_id: int | None = None, department_id: int | None = None, staff_id: int | None = None,
         data: Mapping[str, Any] | None = None) -> bool:  # fmt: skip
    """Keeps a notice to an office, or one that a person tells a resident; False if one with this ``key`` was kept
    before: it is told once."""
    by_person = audience is Audience.CITIZEN
    return insert_or_ignore(conn, notice, {
        "key": key, "kind": kind.value, "audience": audience.value, "appeal_id": appeal_id,
        "department_id": department_id, "staff_id": staff_id, "data": dict(data or {}), "created_at": now,
        "way": (Way.PHONE if by_person else Way.NONE).value, "due_at": NEVER if by_person else now})  # fmt: skip


def remind(conn: Connection, appeal_id: int, citizen_id: int, key: str, until: dt.datetime, now: dt.datetime) -> None:
    """Asks him again for his word, which is awaited ``until`` then; once for each ``key``."""
    _to_applicant(conn, Kind.REMINDED, f"{appeal_id}:{key}", appeal_id, citizen_id, now, {"until": until.isoformat()})


_RECEIVED = Statement(
    select(appeal.c.tell_by).where(appeal.c.citizen_id == bindparam("citizen"))
    .order_by(appeal.c.registered_at.desc(), appeal.c.id.desc()).limit(1)
)  # fmt: skip


def receipt(conn: Connection, *, appeal_id: int, citizen_id: int, staff_id: int | None, now: dt.datetime) -> None:
    """Keeps how the applicant gets the number and the code: by the way he chose; from a person, if he is to be called
    and somebody has filed it for him. Otherwise he has seen them on the screen, or heard them in the call."""
    reach = _reach(conn, appeal_id)
    said = reach.chosen not in WRITTEN and (reach.chosen is not Way.PHONE or staff_id is None)
    values: dict[str, Any] = {"state": "told", "sent_at": now, "staff_id": staff_id, "way": Way.NONE.value,
                              "address": ""} if said else {}  # fmt: skip
    _to_applicant(conn, Kind.RECEIPT, f"{appeal_id}", appeal_id, citizen_id, now, {}, reach, **values)


def chosen_way(conn: Connection, citizen_id: int) -> Way:
    """How he wanted to be told the last time that he filed an appeal."""
    return Way(_RECEIVED.value(conn, {"citizen": citizen_id}) or "")


# Of a message that came by this channel, the way back.
BACK = {"email": Way.EMAIL, "sms": Way.SMS, "facebook": Way.FACEBOOK}


def way_back(channel: str, address: str) -> Way | None:
    """By which way whoever wrote by this channel from this address is answered; who filled in a form, or spoke to a
    machine, at what he can be reached at. None if nobody can answer him."""
    if not address:
        return None
    return BACK.get(channel) or (Way.EMAIL if "@" in address else Way.SMS if address.startswith("+") else None)


def reply(conn: Connection, *, message_id: int, text: str, key: str, now: dt.datetime, staff_id: int | None = None,
          choices: Sequence[str] = ()) -> bool:  # fmt: skip
    """Keeps an answer to a message, to be sent back the way it came; False if one with this ``key`` was kept before.
    ``choices``: answers that are offered, where the way can show them. BadInput ``message.no_way`` where there is no
    way back; NotFound ``message.unknown``."""
    named = hashlib.sha256(key.encode()).hexdigest()[:40]  # a service's own names are of any length
    row = conn.execute(select(message.c.channel, message.c.address, message.c.citizen_id, message.c.appeal_id)
                       .where(message.c.id == message_id)).one_or_none()  # fmt: skip
    if row is None:
        raise NotFound("message.unknown")
    if (way := way_back(row.channel, row.address)) is None:
        raise BadInput("message.no_way")
    return insert_or_ignore(conn, notice, {
        "key": f"{Kind.REPLY.value}:{named}", "kind": Kind.REPLY.value, "audience": Audience.SENDER.value,
        "message_id": message_id, "citizen_id": row.citizen_id, "appeal_id": row.appeal_id, "staff_id": staff_id,
        "way": way.value, "address": row.address, "created_at": now, "due_at": now,
        "data": {"text": texts.text(text, 4000), **({"choices": list(choices)} if choices else {})}})  # fmt: skip


# ── by which way ─────────────────────────────────────────────────────────────────────────────
# He is called, and asked about it: nobody need tell him as well.
_called = exists().where(callback_appeal.c.appeal_id == appeal.c.id, callback_appeal.c.result == "",
                         callback.c.id == callback_appeal.c.callback_id, callback.c.ended_at.is_(None))  # fmt: skip
_phone = (select(citizen_phone.c.e164).where(
    citizen_phone.c.citizen_id == citizen.c.id, citizen_phone.c.wrong.is_(False),
    citizen_phone.c.do_not_call.is_(False), citizen.c.do_not_call.is_(False))
    .order_by(citizen_phone.c.last_used_at.desc(), citizen_phone.c.id).limit(1).scalar_subquery())  # fmt: skip
_REACH = Statement(
    select(appeal.c.tell_by, appeal.c.tell_to, func.coalesce(citizen.c.email, ""), func.coalesce(_phone, ""),
           _called.label("called"))
    .select_from(appeal.join(citizen, appeal.c.citizen_id == citizen.c.id, isouter=True))
    .where(appeal.c.id == bindparam("appeal"))
)  # fmt: skip
_STOPPED = Statement(select(stopped.c.at).where(stopped.c.way == bindparam("by"), stopped.c.address == bindparam("to")))
_HELD = select(_n.id, _n.kind, _n.audience, _n.appeal_id, _n.way, _n.address, _n.data, _n.state).with_for_update()
_PUT = update(notice).where(_n.id == bindparam("of"))


def _reach(conn: Connection, appeal_id: int) -> Reach:
    """NotFound for no such appeal."""
    for row in _REACH(conn, {"appeal": appeal_id}):
        return Reach(Way(row[0]), row[1], row[2], row[3], bool(row[4]))
    raise NotFound("appeal.unknown")


def _stopped(conn: Connection, reach: Reach) -> list[tuple[Way, str]]:
    return [(way, address) for way, address in telling.ways(reach) if is_stopped(conn, way, address)]


def is_stopped(conn: Connection, way: Way, address: str) -> bool:
    """Whether he wants nothing more there."""
    return bool(_STOPPED(conn, {"by": way.value, "to": address}))


def _to_applicant(conn: Connection, kind: Kind, key: str, appeal_id: int, citizen_id: int, now: dt.datetime,
                  data: Mapping[str, Any], reach: Reach | None = None, *, answered_at: str = "",
                  **values: Any) -> None:  # fmt: skip
    """Keeps it with the way that it takes first; nothing, if neither a machine nor a person would tell it.
    ``answered_at``: the channel in which a machine has taken his word, if it is of that."""
    reach = reach or _reach(conn, appeal_id)
    step = next_way(kind, reach, {}, _stopped(conn, reach))
    if kind is Kind.EXECUTED and step.way not in WRITTEN:  # he is about to be called, or nobody can reach him at all
        return
    if step.way in telling.WAKES and step.way == answered_at:  # that conversation has thanked him already
        return
    if step.way is not None or step.nobody or values:
        insert_or_ignore(conn, notice, {
            "key": f"{kind.value}:{key}", "kind": kind.value, "audience": Audience.CITIZEN.value,
            "appeal_id": appeal_id, "citizen_id": citizen_id, "created_at": now, **_taking(step, data, now),
            **values})  # fmt: skip


def _taking(step: Step, data: Mapping[str, Any], now: dt.datetime) -> dict[str, Any]:
    """What a notice keeps of the step that it takes next."""
    closed = {way.value: why for way, why in step.closed.items()}
    kept = {name: value for name, value in data.items() if name not in ("closed", "began", "body")}
    return {"way": (step.way or Way.NONE).value, "address": step.address, "due_at": now if step.address else NEVER,
            "data": {**kept, **({"closed": closed} if closed else {})},
            **({"state": "void", "error": step.nobody} if step.nobody else {})}  # fmt: skip


def is_asked_in_writing(conn: Connection, appeal_id: int) -> bool:
    """Whether its applicant is asked in writing: he is told in writing, or looks at the appeal's own page himself."""
    reach = _reach(conn, appeal_id)
    if reach.chosen is Way.NOTHING:
        return True
    return next_way(Kind.EXECUTED, reach, {}, _stopped(conn, reach)).way in WRITTEN


def close_way(conn: Connection, notice_id: int, why: str, now: dt.datetime) -> None:
    """The way by which it went, or was to go, is closed to it: it takes the next one, goes to a person, or is over. An
    answer to a message has no other way. ``why``: "stopped", what was reported, or the service's words."""
    row = conn.execute(_HELD.where(_n.id == notice_id)).one()
    why = texts.remark(why)
    if row.audience != Audience.CITIZEN or row.appeal_id is None:
        conn.execute(_PUT, {"of": notice_id, "state": "void", "error": why})
        return
    reach = _reach(conn, row.appeal_id)
    closed = {Way(way): was for way, was in row.data.get("closed", {}).items()} | {Way(row.way): why}
    step = next_way(Kind(row.kind), reach, closed, _stopped(conn, reach))
    conn.execute(_PUT, {"of": notice_id, "state": "void" if step.way is None else "due", "error": why, "tries": 0,
                        "sent_at": None, "sent_ref": "", "delivered": "", "mail": "",
                        **_taking(step, row.data, now)})  # fmt: skip


_no_phone = ~exists().where(citizen.c.id == _n.citizen_id, _phone.is_not(None))
_UNREACHABLE = update(notice).values(state="void", way=Way.NONE.value, error=telling.NO_PHONE).where(
    _n.state == "due", _n.due_at == NEVER, _n.way == Way.PHONE.value, _n.audience == Audience.CITIZEN.value,
    _n.appeal_id.is_not(None), _no_phone)  # fmt: skip

SETTLED = 200  # notices that are looked at in one go
SETTLE_AGAIN = dt.timedelta(hours=1)


def settle(conn: Connection, now: dt.datetime, there: Collection[Way]) -> int:
    """Gives what is due by a way that nothing serves another one of those that are ``there``; how many. Where there is
    none it stays: a person may tell it, until the way is set up. What a person was to tell who has no number of his any
    more is over."""
    conn.execute(_UNREACHABLE)
    waits = and_(_n.state == "due", _n.due_at <= now, _n.audience == Audience.CITIZEN.value, _n.appeal_id.is_not(None),
                 _n.way.not_in([way.value for way in there]))  # fmt: skip
    moved = 0
    for row in conn.execute(_HELD.where(waits).order_by(_n.due_at, _n.id).limit(SETTLED)).all():
        reach = _reach(conn, row.appeal_id)
        closed = {Way(way): why for way, why in row.data.get("closed", {}).items()}
        stops = _stopped(conn, reach)
        step = next_way(Kind(row.kind), reach, closed | dict.fromkeys(WRITTEN - set(there), "off"), stops)
        if step.way not in there:
            step = next_way(Kind(row.kind), reach, closed, stops)
            if step.nobody:
                conn.execute(_PUT, {"of": row.id, **_taking(step, row.data, now)})
                continue
            again = {"due_at": NEVER if step.way is Way.PHONE else now + SETTLE_AGAIN}
            conn.execute(_PUT, {"of": row.id, **({"way": step.way.value, "address": step.address} if step.way else {}),
                                **again})  # fmt: skip
            continue
        conn.execute(_PUT, {"of": row.id, **_taking(step, row.data, now)})
        moved += 1
    return moved


def delivered(conn: Connection, sent_ref: str, what: str, now: dt.datetime) -> None:
    """What a service reports of a notice that it took: "delivered", "undelivered", "failed". After a bad report it
    takes the next way. A worse report never takes the place of "delivered", in whatever order they come; one of what we
    do not know is nothing."""
    if not sent_ref:
        return
    rows = conn.execute(select(_n.id, _n.delivered).where(_n.sent_ref == sent_ref, _n.sent_ref != "",
                                                          _n.state == "sent").with_for_update()).all()  # fmt: skip
    for row in rows:
        if what in BAD and row.delivered != "delivered":
            close_way(conn, row.id, what, now)
        elif what not in BAD:
            conn.execute(_PUT, {"of": row.id, "delivered": what[:12]})
    if not rows and what in BAD and conn.execute(select(_n.id).where(_n.state == "sending").limit(1)).first():
        # It was faster than our own commit, which asks for it (crm.outbox).
        insert_or_ignore(conn, taken, {"source": EARLY, "key": f"{sent_ref}"[:200], "at": now})


EARLY = "undelivered"


def stop(conn: Connection, way: Way, address: str, now: dt.datetime) -> None:
    """He wants nothing more by this way."""
    insert_or_ignore(conn, stopped, {"way": way.value, "address": address, "at": now})


def go_on(conn: Connection, way: Way, address: str) -> None:
    """He does again."""
    conn.execute(delete(stopped).where(stopped.c.way == way.value, stopped.c.address == address))


# ── what a person tells, and what is shown ───────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class ToTell:
    """What an applicant must hear from a person. ``way``: by which it would go if anything served it, PHONE for none;
    ``closed``: the ways that were tried or are barred, and why."""

    id: int
    kind: Kind
    way: Way
    number: int
    subject_uk: str
    subject_en: str
    citizen_id: int
    citizen: str
    language: str
    data: Mapping[str, Any]
    note: str
    created_at: dt.datetime
    code: str
    address: str

    @property
    def closed(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.data.get("closed", {})
        return found


@dataclass(frozen=True, slots=True)
class Told:
    """A notice of one appeal. ``to``: the department's or the person's name; "" for the applicant, who has ``way``.
    ``delivered``: what was reported of it since."""

    kind: Kind
    audience: Audience
    way: Way
    to: str
    state: str
    created_at: dt.datetime
    sent_at: dt.datetime | None
    error: str
    delivered: str


OFFICE = (notice.join(department, _n.department_id == department.c.id, isouter=True)
          .join(staff, and_(_n.staff_id == staff.c.id, _n.audience == Audience.STAFF.value), isouter=True))  # fmt: skip
# The words of the action that a notice tells of.
words_of = (select(appeal_event.c.note).where(
    appeal_event.c.appeal_id == _n.appeal_id, appeal_event.c.at == _n.created_at, appeal_event.c.note != "",
    or_(*(and_(appeal_event.c.action == action.value, _n.kind == kind.value)
          for kind, action in [*((kind, action) for action, kind in TO_OFFICE.items()),
                               *((kind, action) for kind, actions in telling.WORDS_OF.items() for action in actions)])),
).order_by(appeal_event.c.id.desc()).limit(1).scalar_subquery())  # fmt: skip
# What a notice asks or says of its appeal holds no longer.
over = or_(*(and_(_n.kind == kind.value, appeal.c.state.not_in([state.value for state in states]))
             for kind, states in telling.HOLDS.items()))  # fmt: skip
_TO_TELL: Select[Any] = (
    select(_n.id, _n.kind, _n.way, appeal.c.number, subject.c.name_uk, subject.c.name_en, citizen.c.id, citizen.c.name,
           citizen.c.language, _n.data, func.coalesce(words_of, ""), _n.created_at, appeal.c.code, _n.address)
    .select_from(notice.join(citizen, _n.citizen_id == citizen.c.id).join(appeal, _n.appeal_id == appeal.c.id)
                 .join(subject, appeal.c.subject_id == subject.c.id))
    .where(_n.state == "due", _n.audience == Audience.CITIZEN.value, _phone.is_not(None),
           or_(_n.kind.in_([kind.value for kind in MUST_HEAR]),
               and_(_n.kind == Kind.EXECUTED.value, ~_called,
                    appeal.c.state.in_([state.value for state in telling.HOLDS[Kind.EXECUTED]]))))
    .order_by(_n.created_at, _n.id)
)  # fmt: skip
_OF_APPEAL: Select[Any] = (
    select(_n.kind, _n.audience, _n.way, func.coalesce(department.c.name, staff.c.name, ""), _n.state, _n.created_at,
           _n.sent_at, _n.error, _n.delivered)
    .select_from(OFFICE).where(_n.appeal_id == bindparam("appeal")).order_by(_n.id)
)  # fmt: skip


def to_tell(conn: Connection, *, there: Collection[Way], limit: int = 100) -> list[ToTell]:
    """What applicants must be told by a person, oldest first: what has no other way, or none of those that are
    ``there``; of those who have a telephone."""
    rows = conn.execute(_TO_TELL.where(_n.way.not_in([way.value for way in there])).limit(limit))
    return [ToTell(row[0], Kind(row[1]), Way(row[2]), *row[3:]) for row in rows]


def told(conn: Connection, notice_id: int, *, staff_id: int, now: dt.datetime) -> None:
    """A person has told him. Told again, nothing changes. NotFound for no such notice."""
    its = (_n.id == notice_id, _n.audience == Audience.CITIZEN.value)
    row = conn.execute(select(_n.state).where(*its).with_for_update()).one_or_none()
    if row is None:
        raise NotFound("notice.unknown")
    if row.state == "due":
        conn.execute(_PUT, {"of": notice_id, "state": "told", "sent_at": now, "staff_id": staff_id})


def of_appeal(conn: Connection, appeal_id: int) -> list[Told]:
    """All that was told, or is to be, of an appeal; oldest first."""
    rows = conn.execute(_OF_APPEAL, {"appeal": appeal_id}).all()
    return [Told(Kind(row[0]), Audience(row[1]), Way(row[2]), *row[3:]) for row in rows]
