"""What must be told to somebody: written in the transaction of what it tells of, sent later.

What follows from an action on an appeal is told by ``follow``, which ``history.move`` calls, and so by nothing else;
``tell`` is for whoever has something more to tell. The mailer takes what is due and says how it went
(``centre.mailer``). An applicant without an e-mail address is told by telephone, by a person.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, delete, func, insert, or_, select, update

from crm import texts
from crm.errors import BadInput, NotFound
from crm.life import OPEN, TO_ACT, Action, State
from crm.schema import (
    appeal,
    appeal_event,
    building,
    citizen,
    department,
    message,
    notice,
    staff,
    stopped,
    street,
    subject,
)
from crm.store import Statement, insert_or_ignore


class Kind(StrEnum):
    """What is told."""

    ASSIGNED = "assigned"  # to the department: there is an appeal to act on
    RETURNED = "returned"  # to the department: the resident says that it is not solved
    WARNING = "warning"  # the deadline is near
    OVERDUE = "overdue"
    UNACKNOWLEDGED = "unacknowledged"  # nobody at the department has taken note of it
    REPRIMAND = "reprimand"
    CONTROL = "control"  # an official has it under personal control
    EXTENDED = "extended"  # to the applicant: it takes longer, and why
    FORWARDED = "forwarded"  # to the applicant: to whom it was sent on
    DEFECTIVE = "defective"  # to the applicant: what is missing
    RECEIPT = "receipt"  # to the applicant: the number and the code of his appeal
    REPLY = "reply"  # to whoever wrote: what a specialist, or a conversation, answers
    UNREACHED = "unreached"  # to whom a call was promised: we could not reach him (crm.promises)


class Audience(StrEnum):
    DEPARTMENT = "department"
    STAFF = "staff"
    CITIZEN = "citizen"
    SENDER = "sender"  # of a message, whoever he is


class Way(StrEnum):
    """How an applicant is told of an appeal; what he chose when it was filed stands in ``appeal.tell_by``."""

    NONE = ""  # he has not said: by e-mail if we know one, else by a person
    EMAIL = "email"
    SMS = "sms"
    FACEBOOK = "facebook"
    PHONE = "phone"  # a person calls
    NOTHING = "nothing"  # he looks on the site himself


class Receipt(StrEnum):
    """By which way an applicant wants the number and the code of his appeal."""

    SAID = "said"  # he has heard them in the call, and that is enough
    EMAIL = "email"
    SMS = "sms"


# What follows from an action by itself.
FOLLOWS: dict[Action, Kind] = {
    Action.ASSIGN: Kind.ASSIGNED, Action.RESUME: Kind.ASSIGNED, Action.COMPLETE: Kind.ASSIGNED,
    Action.SPLIT: Kind.ASSIGNED, Action.NOT_SOLVED: Kind.RETURNED, Action.REPRIMAND: Kind.REPRIMAND,
    Action.TAKE_CONTROL: Kind.CONTROL, Action.EXTEND: Kind.EXTENDED, Action.FORWARD: Kind.FORWARDED,
    Action.FIND_DEFECTIVE: Kind.DEFECTIVE,
}  # fmt: skip
TO_CITIZEN = frozenset({Kind.EXTENDED, Kind.FORWARDED, Kind.DEFECTIVE})
_KEEP = Statement(insert(notice).inline())
_n = notice.c


def follow(conn: Connection, action: Action, state: State, *, appeal_id: int, version: int, department_id: int,
           citizen_id: int | None, now: dt.datetime, evidence: Mapping[str, Any]) -> None:  # fmt: skip
    """Keeps what ``action`` makes somebody be told, if anything: the department that the appeal now lies with to be
    acted on, the department that is reprimanded, the applicant if there is a name. ``version``: the appeal's, since."""
    kind = FOLLOWS.get(action)
    if kind is None:
        return
    to: dict[str, Any] = {"audience": Audience.DEPARTMENT.value, "department_id": department_id, "citizen_id": None}
    if kind in TO_CITIZEN:
        if citizen_id is None:
            return
        to = {"audience": Audience.CITIZEN.value, "department_id": None, "citizen_id": citizen_id}
    elif kind is Kind.REPRIMAND:
        to["department_id"] = evidence.get("department_id", department_id)
    elif state not in TO_ACT:
        return
    data = {"until": evidence["until"]} if "until" in evidence else {}
    _KEEP(conn, {"key": f"{kind.value}:{appeal_id}:{version}", "kind": kind.value, "appeal_id": appeal_id,
                         "data": data, "created_at": now, "due_at": now, **to})  # fmt: skip


def tell(conn: Connection, *, key: str, kind: Kind, audience: Audience, now: dt.datetime,
         appeal_id: int | None = None, department_id: int | None = None, staff_id: int | None = None,
         citizen_id: int | None = None, data: Mapping[str, Any] | None = None) -> bool:
    """Keeps a notice to be sent; False if one with this ``key`` was kept before: it is told once."""
    return insert_or_ignore(conn, notice, {
        "key": key, "kind": kind.value, "audience": audience.value, "appeal_id": appeal_id,
        "department_id": department_id, "staff_id": staff_id, "citizen_id": citizen_id, "data": dict(data or {}),
        "created_at": now, "due_at": now})  # fmt: skip


_CHOSEN = Statement(
    select(notice.c.data).join(appeal, notice.c.appeal_id == appeal.c.id)
    .where(appeal.c.citizen_id == bindparam("citizen"), notice.c.kind == Kind.RECEIPT.value)
    .order_by(appeal.c.registered_at.desc(), notice.c.id.desc()).limit(1)
)  # fmt: skip


def receipt(conn: Connection, *, appeal_id: int, citizen_id: int, by: Receipt, staff_id: int | None,
            now: dt.datetime) -> None:  # fmt: skip
    """Keeps how the applicant gets the number and the code; what he was told in the call needs no sending."""
    said = by is Receipt.SAID
    insert_or_ignore(conn, notice, {
        "key": f"{Kind.RECEIPT.value}:{appeal_id}", "kind": Kind.RECEIPT.value, "audience": Audience.CITIZEN.value,
        "appeal_id": appeal_id, "citizen_id": citizen_id, "data": {"by": by.value}, "created_at": now, "due_at": now,
        "state": "told" if said else "due", "sent_at": now if said else None,
        "staff_id": staff_id if said else None})  # fmt: skip


def registered(conn: Connection, *, appeal_id: int, citizen_id: int, way: Way, staff_id: int | None,
               now: dt.datetime) -> None:  # fmt: skip
    """The same for what was filed in writing: whoever is told by no machine has seen the number on the screen."""
    by = Receipt(way.value) if way.value in set(Receipt) else Receipt.SAID
    receipt(conn, appeal_id=appeal_id, citizen_id=citizen_id, by=by, staff_id=staff_id, now=now)


# Of a message that came by this channel, the way back.
BACK = {"email": Way.EMAIL, "sms": Way.SMS, "facebook": Way.FACEBOOK}


def reply(conn: Connection, *, message_id: int, text: str, key: str, now: dt.datetime, staff_id: int | None = None,
          choices: Sequence[str] = ()) -> bool:  # fmt: skip
    """Keeps an answer to a message, to be sent back the way it came; False if one with this ``key`` was kept before.
    ``choices``: answers that are offered, where the way can show them. BadInput ``message.no_way`` where there is no
    way back; NotFound ``message.unknown``."""
    row = conn.execute(select(message.c.channel, message.c.address, message.c.citizen_id, message.c.appeal_id)
                       .where(message.c.id == message_id)).one_or_none()  # fmt: skip
    if row is None:
        raise NotFound("message.unknown")
    if row.channel not in BACK or not row.address:
        raise BadInput("message.no_way")
    return insert_or_ignore(conn, notice, {
        "key": f"{Kind.REPLY.value}:{key}"[:80], "kind": Kind.REPLY.value, "audience": Audience.SENDER.value,
        "message_id": message_id, "citizen_id": row.citizen_id, "appeal_id": row.appeal_id, "staff_id": staff_id,
        "way": BACK[row.channel].value, "address": row.address, "created_at": now, "due_at": now,
        "data": {"text": texts.text(text, 4000), **({"choices": list(choices)} if choices else {})}})  # fmt: skip


def delivered(conn: Connection, sent_ref: str, what: str, now: dt.datetime) -> None:
    """What a service reports of a notice that it took: "delivered", "undelivered", "failed". A worse report never takes
    the place of "delivered", in whatever order they come; one of what we do not know is nothing."""
    its = and_(_n.sent_ref == sent_ref, _n.delivered != "delivered")
    conn.execute(update(notice).where(its).values(delivered=what))


def stop(conn: Connection, way: Way, address: str, now: dt.datetime) -> None:
    """He wants nothing more by this way."""
    insert_or_ignore(conn, stopped, {"way": way.value, "address": address, "at": now})


def go_on(conn: Connection, way: Way, address: str) -> None:
    """He does again."""
    conn.execute(delete(stopped).where(stopped.c.way == way.value, stopped.c.address == address))


def chosen_receipt(conn: Connection, citizen_id: int) -> Receipt:
    """How he wanted it the last time."""
    for row in _CHOSEN(conn, {"citizen": citizen_id}):
        if row.data.get("by") in set(Receipt):  # nothing is left in it of who has been erased
            return Receipt(row.data["by"])
    return Receipt.SAID


# ── what is sent ─────────────────────────────────────────────────────────────────────────────
MOST = 200  # notices that one letter carries; the next ones come in another
GATHERED = 2000  # notices that are looked at in one go
LAST_TRY = 48
LONGEST_PAUSE_S = 3600


@dataclass(frozen=True, slots=True)
class Line:
    """One notice in a letter. ``note``: the words of the action that it tells of, "" if there were none.
    ``registered_at`` … are the appeal's; it stands as it does now."""

    kind: Kind
    number: int
    subject_uk: str
    subject_en: str
    street: str
    building: str
    flat: str
    place: str
    registered_at: dt.datetime
    due_at: dt.datetime
    data: Mapping[str, Any]
    note: str
    code: str


@dataclass(frozen=True, slots=True)
class Mail:
    """A letter: what it carries was settled before it was first sent, so that a second copy says that it is one."""

    id: str
    audience: Audience
    name: str
    email: str
    language: str
    tries: int
    lines: tuple[Line, ...]


_DUE = and_(_n.state == "due", _n.due_at <= bindparam("now"))
_email = func.coalesce(department.c.email, staff.c.email, citizen.c.email, "")
_TO = (notice.join(department, _n.department_id == department.c.id, isouter=True)
       .join(staff, and_(_n.staff_id == staff.c.id, _n.audience == Audience.STAFF.value), isouter=True)
       .join(citizen, _n.citizen_id == citizen.c.id, isouter=True))  # fmt: skip
# He has no address, or wants it by SMS, which a person sends as long as no machine does.
_BY_PERSON = or_(citizen.c.email == "", func.coalesce(_n.data["by"].as_string(), "") == Receipt.SMS.value)
# What was told to act on, and has been taken note of, done or given to another since: that is told to nobody.
_OVER = select(_n.id).join(appeal, _n.appeal_id == appeal.c.id).where(
    _DUE, _n.mail == "",
    or_(and_(_n.kind.in_([Kind.ASSIGNED.value, Kind.RETURNED.value, Kind.UNACKNOWLEDGED.value]),
             or_(appeal.c.acknowledged_at.is_not(None), appeal.c.state.not_in([state.value for state in TO_ACT]))),
        and_(_n.kind.in_([Kind.ASSIGNED.value, Kind.RETURNED.value]), appeal.c.department_id != _n.department_id),
        and_(_n.kind.in_([Kind.WARNING.value, Kind.OVERDUE.value]),
             appeal.c.state.not_in([state.value for state in OPEN]))),
).limit(bindparam("limit"))  # fmt: skip
_LOOSE = (select(_n.id, _n.audience, _n.department_id, _n.staff_id, _n.citizen_id, _n.created_at,
                 _email.label("email")).select_from(_TO)
          .where(_DUE, _n.mail == "", or_(_n.audience != Audience.CITIZEN.value, ~_BY_PERSON))
          .order_by(_n.due_at, _n.id).limit(bindparam("limit")))  # fmt: skip
_said = (select(appeal_event.c.note).where(
    appeal_event.c.appeal_id == _n.appeal_id, appeal_event.c.at == _n.created_at, appeal_event.c.note != "",
    or_(*(and_(appeal_event.c.action == action.value, _n.kind == kind.value) for action, kind in FOLLOWS.items())),
).order_by(appeal_event.c.id.desc()).limit(1).scalar_subquery())  # fmt: skip
_IN_MAILS: Select[Any] = (
    select(_n.mail, _n.audience, func.coalesce(department.c.name, staff.c.name, citizen.c.name, "").label("name"),
           _email.label("email"), func.coalesce(staff.c.language, citizen.c.language, "uk").label("language"), _n.tries,
           _n.kind, appeal.c.number, subject.c.name_uk, subject.c.name_en, func.coalesce(street.c.name, ""),
           func.coalesce(building.c.number, ""), appeal.c.flat, appeal.c.place, appeal.c.registered_at,
           appeal.c.due_at, _n.data, func.coalesce(_said, ""), appeal.c.code)
    .select_from(_TO.join(appeal, _n.appeal_id == appeal.c.id).join(subject, appeal.c.subject_id == subject.c.id)
                 .join(building, appeal.c.building_id == building.c.id, isouter=True)
                 .join(street, building.c.street_id == street.c.id, isouter=True))
    .where(_DUE, _n.mail != "").order_by(_n.due_at, _n.mail, _n.id).limit(bindparam("limit"))
)  # fmt: skip
_OF_MAIL = update(notice).where(_n.mail == bindparam("of"), _n.state == "due")
_PUT = update(notice).where(_n.id == bindparam("of"))


def clear(conn: Connection, now: dt.datetime) -> int:
    """Ends what holds no longer and has not been put into a letter yet; how many."""
    ids = list(conn.execute(_OVER, {"now": now, "limit": GATHERED}).scalars())
    if ids:
        conn.execute(_PUT, [{"of": id, "state": "void"} for id in ids])
    return len(ids)


def gather(conn: Connection, now: dt.datetime, digest_s: float) -> int:
    """Puts what is due into letters, and says how many: to the applicant one for each notice, to a department or a
    person of the centre one for all, once the oldest of them has waited for ``digest_s``. Who has no address gets
    none; an applicant without one stays to be told by telephone."""
    loose: dict[tuple[Any, ...], list[Any]] = {}
    for row in conn.execute(_LOOSE, {"now": now, "limit": GATHERED}):
        alone = row.id if row.audience == Audience.CITIZEN else None
        loose.setdefault((row.audience, row.department_id, row.staff_id, row.citizen_id, alone), []).append(row)
    put: list[dict[str, Any]] = []
    letters = 0
    for (audience, *_), rows in loose.items():
        if not rows[0].email:
            put += [{"of": row.id, "state": "void", "mail": "", "error": "no_address", "due_at": now} for row in rows]
        elif audience == Audience.CITIZEN or now - rows[0].created_at >= dt.timedelta(seconds=digest_s):
            for first in range(0, len(rows), MOST):
                letter, letters = secrets.token_hex(16), letters + 1
                put += [{"of": row.id, "state": "due", "mail": letter, "error": "", "due_at": now}
                        for row in rows[first : first + MOST]]  # fmt: skip
    if put:
        conn.execute(_PUT, put)
    return letters


def mails(conn: Connection, now: dt.datetime) -> list[Mail]:
    """Letters that may be sent now, the longest due first."""
    letters: dict[str, list[Any]] = {}
    rows = conn.execute(_IN_MAILS, {"now": now, "limit": GATHERED}).all()
    for row in rows:
        letters.setdefault(row[0], []).append(row)
    if len(rows) == GATHERED and len(letters) > 1:
        letters.popitem()  # it may go on beyond what was read
    return [Mail(id, Audience(its[0].audience), its[0].name, its[0].email, its[0].language, its[0].tries,
                 tuple(Line(Kind(row[6]), *row[7:]) for row in its)) for id, its in letters.items()]  # fmt: skip


def sent(conn: Connection, mail_id: str, now: dt.datetime) -> None:
    """The letter has been taken by the mail server."""
    conn.execute(_OF_MAIL, {"of": mail_id, "state": "sent", "sent_at": now, "error": ""})


def failed(conn: Connection, mail: Mail, error: str, now: dt.datetime) -> None:
    """It has not: it is tried again after a pause that grows, and at last no more."""
    tries = mail.tries + 1
    again = now + dt.timedelta(seconds=pause_s(tries))
    conn.execute(_OF_MAIL, {"of": mail.id, "state": "void" if tries >= LAST_TRY else "due", "tries": tries,
                            "error": texts.line(error[:1000], 1000)[:200], "due_at": again})  # fmt: skip


def pause_s(tries: int) -> float:
    """Seconds until the next try after so many."""
    return float(min(LONGEST_PAUSE_S, 60 * 2 ** min(tries - 1, 10)))


# ── what a person tells, and what is shown ───────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class ToTell:
    """What an applicant must hear from a person: he has no e-mail address, wants an SMS, or there is no mail."""

    id: int
    kind: Kind
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


@dataclass(frozen=True, slots=True)
class Told:
    """A notice of one appeal. ``to``: the department's or the person's name; "" for the applicant."""

    kind: Kind
    audience: Audience
    to: str
    state: str
    created_at: dt.datetime
    sent_at: dt.datetime | None
    error: str


_TO_TELL: Select[Any] = (
    select(_n.id, _n.kind, appeal.c.number, subject.c.name_uk, subject.c.name_en, citizen.c.id, citizen.c.name,
           citizen.c.language, _n.data, func.coalesce(_said, ""), _n.created_at, appeal.c.code)
    .select_from(notice.join(citizen, _n.citizen_id == citizen.c.id).join(appeal, _n.appeal_id == appeal.c.id)
                 .join(subject, appeal.c.subject_id == subject.c.id))
    .where(_n.state == "due", _n.audience == Audience.CITIZEN.value).order_by(_n.due_at, _n.id)
    .limit(bindparam("limit"))
)  # fmt: skip
_OF_APPEAL: Select[Any] = (
    select(_n.kind, _n.audience, func.coalesce(department.c.name, staff.c.name, ""), _n.state, _n.created_at,
           _n.sent_at, _n.error)
    .select_from(_TO).where(_n.appeal_id == bindparam("appeal")).order_by(_n.id)
)  # fmt: skip


def to_tell(conn: Connection, *, by_mail: bool, limit: int = 100) -> list[ToTell]:
    """What applicants must be told by a person, oldest first. ``by_mail``: whether those with an address get it by
    mail."""
    query = _TO_TELL.where(_BY_PERSON) if by_mail else _TO_TELL
    return [ToTell(row[0], Kind(row[1]), *row[2:]) for row in conn.execute(query, {"limit": limit})]


def told(conn: Connection, notice_id: int, *, staff_id: int, now: dt.datetime) -> None:
    """A person has told him. Told again, nothing changes. NotFound for no such notice."""
    its = (_n.id == notice_id, _n.audience == Audience.CITIZEN.value)
    row = conn.execute(select(_n.state).where(*its)).one_or_none()
    if row is None:
        raise NotFound("notice.unknown")
    if row.state == "due":
        conn.execute(_PUT, {"of": notice_id, "state": "told", "sent_at": now, "staff_id": staff_id})


def of_appeal(conn: Connection, appeal_id: int) -> list[Told]:
    """All that was told, or is to be, of an appeal; oldest first."""
    rows = conn.execute(_OF_APPEAL, {"appeal": appeal_id}).all()
    return [Told(Kind(row[0]), Audience(row[1]), *row[2:]) for row in rows]


@dataclass(frozen=True, slots=True)
class Post:
    """How the mail stands: what waits (of it tried in vain), since when, why not; departments that have no address."""

    waiting: int
    failing: int
    oldest: dt.datetime | None
    error: str
    silent: list[str]


def post(conn: Connection) -> Post:
    """For the control desk."""
    ours = and_(_n.state == "due", _n.audience != Audience.CITIZEN.value)
    waiting, failing, oldest = conn.execute(select(
        func.count(), func.count().filter(_n.error != ""), func.min(_n.created_at)).where(ours)).one()  # fmt: skip
    error = conn.execute(select(_n.error).where(ours, _n.error != "").order_by(_n.due_at).limit(1)).scalar()
    silent = select(department.c.name).where(department.c.active, department.c.email == "").order_by(department.c.name)
    return Post(waiting, failing, oldest, error or "", list(conn.execute(silent).scalars()))
