"""One person's data: all of it given out, or erased so that nobody finds him and every figure stays as it was.

Erasing takes who he is, how he is reached, where in the house he lives, and every word of his or about him: the texts
of his appeals and letters, the notes in their histories, what was corrected, what he was told. His recordings and the
files of his appeals and letters are marked in the same transaction and removed after it; a run that was killed in
between leaves the marks, and ``remove_files`` and ``recordings.erase`` go on from them. What happened when, in which
state, subject, district and building an appeal stands, that a call or a letter came and how long it waited, stays: it
is nobody's any more, and reports must not change.

Others are not erased with him: who shares his telephone, and who complained of the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, or_, select, union, update
from sqlalchemy import false as never

from crm import appeals, attachments, citizens, notices, people, phones, texts, webhooks
from crm.edits import log_edit
from crm.errors import BadInput, NotFound
from crm.life import OPEN, Action, State
from crm.messages import State as Written
from crm.promise_rules import State as Promised
from crm.remote_files import State as Remote
from crm.schema import (
    access_log,
    appeal,
    appeal_call,
    appeal_event,
    attachment,
    attempt,
    building,
    call,
    callback,
    citizen,
    citizen_address,
    citizen_phone,
    delivery,
    department,
    incident_caller,
    incident_report,
    listening,
    message,
    message_file,
    notice,
    promise,
    rating,
    recording,
    remote_file,
    silenced,
    staff,
    stopped,
    street,
    subject,
)
from crm.store import Database
from crm.supervision import Ear

ERASED = "erasing"  # a recording's state until its file is gone (recordings.files.State)
# The law bids the city answer these (art. 14, 15, 18): while it does, it must know whom.
UNDER_WAY = OPEN | {State.EXECUTED, State.AWAITING, State.PLANNED}


@dataclass(frozen=True, slots=True)
class Look:
    """A line of the access log. ``what``: appeal, citizen, call…; ``key``: the record's id."""

    id: int
    at: dt.datetime
    staff_id: int
    staff: str
    role: str
    what: str
    key: str
    why: str


# ── whose ────────────────────────────────────────────────────────────────────────────────────
def find(conn: Connection, said: str) -> list[citizens.Citizen]:
    """Whoever is known by a telephone number, a number of an appeal, or the number of his own card."""
    if e164 := phones.parse_phone(said):
        found = citizens.by_phone(conn, e164)
        if found:
            return found
    digits = "".join(said.split())
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        return []
    his = appeals.by_number(conn, int(digits))
    ids = {id for id in (his.citizen_id if his else None, int(digits)) if id}
    known = conn.scalars(select(citizen.c.id).where(citizen.c.id.in_(ids)).order_by(citizen.c.id)).all()
    return [citizens.get(conn, id) for id in known]


def _appeals_of(citizen_id: int) -> Select[Any]:
    return select(appeal.c.id).where(appeal.c.citizen_id == citizen_id)


def _own_phones(citizen_id: int) -> Select[Any]:
    """His numbers that nobody else is known at."""
    other = citizen_phone.alias()
    shared = exists().where(other.c.e164 == citizen_phone.c.e164, other.c.citizen_id != citizen_id)
    return select(citizen_phone.c.e164).where(citizen_phone.c.citizen_id == citizen_id, ~shared)


def _own_addresses(citizen_id: int) -> Select[Any]:
    """Where he writes from that is nobody else's: numbers, letter boxes, conversations."""
    a, c, other = citizen_address.c, citizen.c, citizen_address.alias()
    boxes = select(a.address).where(a.citizen_id == citizen_id, ~exists().where(
        other.c.channel == a.channel, other.c.address == a.address, other.c.citizen_id != citizen_id))
    shared = exists().where(other.c.channel == "email", other.c.address == func.lower(c.email),
                            other.c.citizen_id != citizen_id)  # fmt: skip
    box = and_(c.id == citizen_id, c.email != "", ~shared)
    return select(union(_own_phones(citizen_id), boxes, select(c.email).where(box),
                        select(func.lower(c.email)).where(box)).subquery().c[0])  # fmt: skip


def _messages_of(conn: Connection, citizen_id: int) -> list[int]:
    """What he wrote: said to be his, of his appeals, or from his own address and of nobody else's."""
    m, his_appeals = message.c, _appeals_of(citizen_id)
    nobodys = and_(m.citizen_id.is_(None), or_(m.appeal_id.is_(None), m.appeal_id.in_(his_appeals)))
    return list(conn.scalars(select(union(
        select(m.id).where(m.citizen_id == citizen_id),
        select(m.id).where(m.appeal_id.in_(his_appeals), nobodys),
        select(m.id).where(m.channel.in_(appeals.CHANNELS), m.address.in_(_own_addresses(citizen_id)), nobodys),
    ).subquery().c[0])))  # fmt: skip


def _calls_of(conn: Connection, citizen_id: int) -> list[str]:
    """The linkedids of his calls: said to be his; from his own telephone or about his appeals, and about nobody
    else's; and those that the centre made to him."""
    his = list(conn.scalars(_said_or_known(citizen_id)))
    promised = attempt.c.promise_id.in_(_promises_of(citizen_id, his))
    kept = select(attempt.c.id, attempt.c.linkedid).where(promised)
    return list(dict.fromkeys((*his, *(id for row in conn.execute(kept) for id in row if id))))


def _promises_of(citizen_id: int, his_calls: Sequence[str]) -> Select[Any]:
    """Callbacks that were promised to his own numbers, or in his calls."""
    return select(promise.c.id).where(or_(promise.c.e164.in_(_own_phones(citizen_id)),
                                          promise.c.linkedid.in_(his_calls)))  # fmt: skip


def _said_or_known(citizen_id: int) -> Select[Any]:
    theirs, other = appeal_call.alias(), appeal.alias()
    nobodys = and_(call.c.citizen_id.is_(None), ~exists().where(
        theirs.c.linkedid == call.c.linkedid, other.c.id == theirs.c.appeal_id, other.c.citizen_id != citizen_id))
    about_his = select(appeal_call.c.linkedid).where(appeal_call.c.appeal_id.in_(_appeals_of(citizen_id)))
    return select(union(
        select(call.c.linkedid).where(call.c.citizen_id == citizen_id),
        select(call.c.linkedid).where(call.c.linkedid.in_(about_his), nobodys),
        select(call.c.linkedid).where(call.c.caller.in_(_own_phones(citizen_id)), nobodys),
        select(attempt.c.linkedid).where(attempt.c.citizen_id == citizen_id, attempt.c.linkedid != ""),
        select(attempt.c.id).where(attempt.c.citizen_id == citizen_id),
    ).subquery().c[0])  # fmt: skip


# ── given out ────────────────────────────────────────────────────────────────────────────────
def everything(conn: Connection, citizen_id: int) -> dict[str, Any]:
    """All that is kept of a person, as JSON takes it: times ISO 8601 in UTC. NotFound for nobody."""
    c, a, e = citizen.c, appeal.c, appeal_event.c
    his_appeals, his_calls = _appeals_of(citizen_id), _calls_of(conn, citizen_id)
    own_phones, his_messages = _own_phones(citizen_id), _messages_of(conn, citizen_id)
    m, n = message.c, notice.c
    of_calls = recording.c.linkedid.in_(his_calls)
    person = _rows(conn, select(
        *(c[name] for name in ("id", "name", "flat", "language", "auto_confirm", "do_not_call", "call_from", "call_to",
                               "created_at", "email", "privilege", "erased_at")),
        street.c.name.label("street"), building.c.number.label("building"))
        .select_from(citizen).join(building, c.building_id == building.c.id, isouter=True)
        .join(street, building.c.street_id == street.c.id, isouter=True).where(c.id == citizen_id))  # fmt: skip
    if not person:
        raise NotFound("citizen.unknown")
    found = _rows(conn, select(
        a.id, a.number, a.old_number, a.registered_at, a.state, subject.c.name_uk.label("subject"),
        subject.c.name_en.label("subject_en"), a.text, a.channel, a.kind, department.c.name.label("department"),
        street.c.name.label("street"), building.c.number.label("building"), a.flat, a.place, a.due_at, a.executed_at,
        a.ended_at, a.returns, a.received_at, a.tell_by, a.tell_to)
        .select_from(appeal).join(subject, a.subject_id == subject.c.id)
        .join(department, a.department_id == department.c.id)
        .join(building, a.building_id == building.c.id, isouter=True)
        .join(street, building.c.street_id == street.c.id, isouter=True)
        .where(a.citizen_id == citizen_id).order_by(a.id))  # fmt: skip
    history = _rows(conn, select(e.appeal_id, e.at, e.action, e.from_state, e.to_state, staff.c.name.label("staff"),
                                 e.note, e.evidence)
                    .select_from(appeal_event).join(staff, e.staff_id == staff.c.id, isouter=True)
                    .where(e.appeal_id.in_(his_appeals)).order_by(e.id))  # fmt: skip
    for each in found:
        each["history"] = [line for line in history if line["appeal_id"] == each["id"]]
    return {
        "person": person[0],
        "phones": _rows(conn, select(*(citizen_phone.c[name] for name in ("e164", "wrong", "do_not_call",
                                                                          "last_used_at")))
                        .where(citizen_phone.c.citizen_id == citizen_id).order_by(citizen_phone.c.id)),
        "addresses": _rows(conn, select(*(citizen_address.c[name] for name in ("channel", "address", "last_used_at")))
                           .where(citizen_address.c.citizen_id == citizen_id).order_by(citizen_address.c.id)),
        "stopped": _rows(conn, select(stopped.c.way, stopped.c.address, stopped.c.at)
                         .where(stopped.c.address.in_(_own_addresses(citizen_id)))),
        "messages": _rows(conn, select(*(m[name] for name in (
            "id", "channel", "external_id", "address", "name", "title", "text", "language", "data", "state",
            "received_at", "done_at")), appeal.c.number.label("appeal"))
            .join(appeal, m.appeal_id == appeal.c.id, isouter=True).where(m.id.in_(his_messages)).order_by(m.id)),
        "message_files": _rows(conn, select(*(message_file.c[name] for name in (
            "message_id", "name", "media_type", "bytes", "latitude", "longitude")))
            .where(message_file.c.message_id.in_(his_messages)).order_by(message_file.c.id)),
        "told_to_departments": _rows(conn, select(delivery.c.created_at, delivery.c.sent_at, delivery.c.body)
                                     .where(delivery.c.appeal_id.in_(his_appeals)).order_by(delivery.c.id)),
        "appeals": found,
        "attachments": _rows(conn, select(appeal.c.number.label("appeal"), *(attachment.c[name] for name in (
            "name", "media_type", "bytes", "at"))).join(appeal).where(a.citizen_id == citizen_id)
            .order_by(attachment.c.id)),
        "calls": _rows(conn, select(*(call.c[name] for name in (
            "linkedid", "direction", "origin", "caller", "language", "arrived_at", "answered_at", "ended_at", "wait_s",
            "talk_s", "outcome"))).where(call.c.linkedid.in_(his_calls)).order_by(call.c.arrived_at)),
        "callbacks": _rows(conn, select(*(attempt.c[name] for name in (
            "id", "e164", "mode", "placed_at", "answered_at", "ended_at", "outcome")))
            .where(attempt.c.citizen_id == citizen_id).order_by(attempt.c.placed_at)),
        "promises": _rows(conn, select(*(promise.c[name] for name in (
            "e164", "reason", "state", "made_at", "told_at", "called_at", "ended_at")))
            .where(promise.c.id.in_(_promises_of(citizen_id, his_calls))).order_by(promise.c.id)),
        "joined": _rows(conn, select(*(incident_caller.c[name] for name in ("incident_id", "e164", "at", "result")))
                        .where(or_(incident_caller.c.e164.in_(own_phones), incident_caller.c.linkedid.in_(his_calls)))
                        .order_by(incident_caller.c.id)),
        "silenced": _rows(conn, select(silenced.c.e164, silenced.c.at).where(silenced.c.e164.in_(own_phones))),
        "ratings": _rows(conn, select(rating.c.linkedid, rating.c.score, rating.c.at)
                         .where(rating.c.linkedid.in_(his_calls)).order_by(rating.c.at)),
        "recordings": _rows(conn, select(recording.c.id, recording.c.linkedid, recording.c.started_at,
                                         recording.c.duration_s, recording.c.state)
                            .where(of_calls).order_by(recording.c.started_at)),
        "notices": _rows(conn, select(*(n[name] for name in (
            "kind", "way", "address", "state", "created_at", "sent_at", "delivered", "data")))
            .where(_notices_of(citizen_id, his_messages)).order_by(n.id)),
        "looks": [{"at": each.at.isoformat(), "staff": each.staff, "what": each.what, "key": each.key, "why": each.why}
                  for each in looks_at(conn, citizen_id)],
        "listened": _rows(conn, select(listening.c.at, staff.c.name.label("staff"), listening.c.recording_id,
                                       listening.c.reason)
                          .select_from(listening).join(staff, listening.c.staff_id == staff.c.id)
                          .join(recording, listening.c.recording_id == recording.c.id)
                          .where(of_calls).order_by(listening.c.id)),
    }  # fmt: skip


def _notices_of(citizen_id: int, his_messages: Sequence[int]) -> ColumnElement[bool]:
    return or_(notice.c.citizen_id == citizen_id, notice.c.message_id.in_(his_messages))


def _rows(conn: Connection, query: Select[Any]) -> list[dict[str, Any]]:
    return [{name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in row.items()}
            for row in conn.execute(query).mappings()]  # fmt: skip


# ── who looked ───────────────────────────────────────────────────────────────────────────────
_l = access_log.c
_LOOKS: Select[Any] = (
    select(_l.id, _l.at, _l.staff_id, staff.c.name, staff.c.role, _l.what, _l.subject_key, _l.why)
    .select_from(access_log).join(staff, _l.staff_id == staff.c.id).order_by(_l.id.desc())
)  # fmt: skip


def looks_at(conn: Connection, citizen_id: int, *, limit: int | None = None, after_id: int | None = None,
             ) -> list[Look]:  # fmt: skip
    """Every look at his card, his appeals, his calls and their files, the newest first; ``after_id`` continues a
    list."""
    keys: dict[str, Iterable[object]] = {
        "citizen": [citizen_id], "appeal": conn.scalars(_appeals_of(citizen_id)),
        "call": _calls_of(conn, citizen_id),
        "attachment": conn.scalars(select(attachment.c.id).where(attachment.c.appeal_id.in_(_appeals_of(citizen_id)))),
        "recording_copy": conn.scalars(select(recording.c.id).where(
            recording.c.linkedid.in_(_calls_of(conn, citizen_id)))),
    }  # fmt: skip
    keys |= {f"call_{ear}": keys["call"] for ear in Ear}
    his = [and_(_l.what == what, _l.subject_key.in_([str(key) for key in found])) for what, found in keys.items()]
    return _looks(conn, _LOOKS.where(or_(never(), *his)), limit, after_id)


def looks(conn: Connection, *, appeal_id: int | None = None, staff_id: int | None = None,
          limit: int | None = None, after_id: int | None = None) -> list[Look]:  # fmt: skip
    """The newest looks at an appeal, or of one person of the centre, or all; ``after_id`` continues a list."""
    query = _LOOKS
    if appeal_id is not None:
        query = query.where(_l.what == "appeal", _l.subject_key == str(appeal_id))
    if staff_id is not None:
        query = query.where(_l.staff_id == staff_id)
    return _looks(conn, query, limit, after_id)


def _looks(conn: Connection, query: Select[Any], limit: int | None, after_id: int | None) -> list[Look]:
    if after_id is not None:
        query = query.where(_l.id < after_id)
    return [Look(*row) for row in conn.execute(query.limit(limit))]


# ── erased ───────────────────────────────────────────────────────────────────────────────────
def erase(conn: Connection, citizen_id: int, *, reason: str, now: dt.datetime, staff_id: int | None) -> bool:
    """Erases all that names him; False if it was done before. Commit, then ``remove_files`` and ``recordings.erase``.

    BadInput without a reason (his request's date and number), while an appeal of his is dealt with or something that he
    wrote waits, and while he is on the telephone; NotFound for nobody.
    """
    reason = texts.line(reason, 200)
    if not reason:
        raise BadInput("privacy.no_reason")
    row = conn.execute(select(citizen.c.erased_at).where(citizen.c.id == citizen_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound("citizen.unknown")
    if row.erased_at is not None:
        return False
    his_appeals, his_calls = list(conn.scalars(_appeals_of(citizen_id))), _calls_of(conn, citizen_id)
    promised = list(conn.scalars(_promises_of(citizen_id, his_calls)))
    his_messages = _messages_of(conn, citizen_id)
    _must_be_over(conn, citizen_id, his_calls, promised, his_messages)
    own_phones = list(conn.scalars(_own_phones(citizen_id)))
    _forget_messages(conn, citizen_id, his_messages)
    _forget_words(conn, his_appeals, his_calls)
    mine = or_(call.c.linkedid.in_(his_calls), call.c.caller.in_(own_phones))
    conn.execute(update(call).where(mine, call.c.caller != "").values(caller=""))
    tried = or_(attempt.c.citizen_id == citizen_id, attempt.c.promise_id.in_(promised))
    conn.execute(update(attempt).where(tried).values(e164=""))
    _forget_promises(conn, own_phones, his_calls, promised, now)
    conn.execute(update(recording).where(recording.c.linkedid.in_(his_calls), recording.c.state != "expired")
                 .values(state=ERASED))  # fmt: skip
    conn.execute(update(callback).where(callback.c.citizen_id == citizen_id, callback.c.ended_at.is_(None))
                 .values(state="given_up", ended_at=now))  # fmt: skip
    conn.execute(delete(citizen_phone).where(citizen_phone.c.citizen_id == citizen_id))
    conn.execute(update(citizen).where(citizen.c.id == citizen_id).values(
        name="", building_id=None, flat="", language="uk", auto_confirm=False, do_not_call=True, call_from=None,
        call_to=None, email="", privilege="", erased_at=now))  # fmt: skip
    log_edit(conn, now=now, staff_id=staff_id, what="citizen", key=citizen_id, before=None, after={"erased": reason})
    if staff_id is not None:
        people.log_access(conn, staff_id=staff_id, what="citizen", subject_key=str(citizen_id), now=now, why=reason)
    return True


def _forget_messages(conn: Connection, citizen_id: int, his_messages: Sequence[int]) -> None:
    """What he wrote, where he writes from, and what he was told there. That something came, and when, stays, with the
    channel's own name of it: so it is not taken a second time."""
    told = _notices_of(citizen_id, his_messages)
    conn.execute(update(notice).where(told, notice.c.state.in_(["due", "sending"])).values(state="void"))
    conn.execute(update(notice).where(told).values(data={}, error="", address=""))
    conn.execute(update(message).where(message.c.id.in_(his_messages)).values(
        citizen_id=citizen_id, address="", name="", title="", text="", data={}, version=message.c.version + 1))
    conn.execute(update(message_file).where(message_file.c.message_id.in_(his_messages))
                 .values(name="", latitude=None, longitude=None))  # fmt: skip
    r = remote_file.c  # what is not fetched yet is only deleted where it lies
    conn.execute(update(remote_file).where(r.message_id.in_(his_messages), r.state == Remote.DUE.value)
                 .values(state=Remote.KEPT.value))  # fmt: skip
    conn.execute(update(remote_file).where(r.message_id.in_(his_messages)).values(name="", error=""))
    conn.execute(delete(stopped).where(stopped.c.address.in_(_own_addresses(citizen_id))))
    conn.execute(delete(citizen_address).where(citizen_address.c.citizen_id == citizen_id))


def _forget_promises(conn: Connection, own_phones: Sequence[str], his_calls: Sequence[str], promised: Sequence[int],
                     now: dt.datetime) -> None:  # fmt: skip
    """What was promised to him and not kept is so no more; that it was promised, and how it ended, stays."""
    p, joined = promise.c, incident_caller.c
    conn.execute(update(promise).where(p.id.in_(promised), p.ended_at.is_(None))
                 .values(state=Promised.WITHDRAWN.value, ended_at=now))  # fmt: skip
    conn.execute(update(promise).where(p.id.in_(promised)).values(e164=""))
    conn.execute(update(notice).where(notice.c.kind == notices.Kind.UNREACHED.value, notice.c.state == "due",
                                      notice.c.data["promise"].as_integer().in_(promised)).values(state="void"))
    conn.execute(update(incident_caller).where(or_(joined.e164.in_(own_phones), joined.linkedid.in_(his_calls)))
                 .values(e164=""))  # fmt: skip
    conn.execute(delete(silenced).where(silenced.c.e164.in_(own_phones)))


def _must_be_over(conn: Connection, citizen_id: int, his_calls: Sequence[str], promised: Sequence[int],
                  his_messages: Sequence[int]) -> None:  # fmt: skip
    numbers = conn.scalars(select(appeal.c.number).where(
        appeal.c.citizen_id == citizen_id, appeal.c.state.in_([state.value for state in UNDER_WAY]))
        .order_by(appeal.c.number)).all()  # fmt: skip
    if numbers:
        raise BadInput("privacy.open_appeals", numbers=", ".join(map(str, numbers)))
    waits = message.c.state.in_([Written.NEW.value, Written.GATHERING.value])
    if conn.execute(select(1).where(message.c.id.in_(his_messages), waits)).first():
        raise BadInput("privacy.open_messages")
    speaking = select(1).where(call.c.linkedid.in_(his_calls), call.c.ended_at.is_(None))
    called = select(1).where(or_(attempt.c.citizen_id == citizen_id, attempt.c.promise_id.in_(promised)),
                             attempt.c.ended_at.is_(None))  # fmt: skip
    if conn.execute(speaking).first() or conn.execute(called).first():
        raise BadInput("privacy.calling")


def _forget_words(conn: Connection, his_appeals: Sequence[int], his_calls: Sequence[str]) -> None:
    """What he said and what was said of him. The machine does not tell his appeals' state any more either."""
    conn.execute(update(appeal).where(appeal.c.id.in_(his_appeals)).values(
        text="", flat="", place="", tell_to="", code_failures=appeals.CODE_TRIES,
        version=appeal.c.version + 1))  # fmt: skip
    of_his = appeal_event.c.appeal_id.in_(his_appeals)
    conn.execute(update(appeal_event).where(of_his, appeal_event.c.note != "").values(note=""))
    conn.execute(update(appeal_event).where(of_his, appeal_event.c.action == Action.CORRECT.value)
                 .values(note="", evidence={}))  # fmt: skip
    conn.execute(update(attachment).where(attachment.c.appeal_id.in_(his_appeals)).values(name=""))
    webhooks.unsay(conn, his_appeals)
    conn.execute(update(incident_report).where(incident_report.c.linkedid.in_(his_calls)).values(text=""))


def remove_files(db: Database, folder: Path) -> int:
    """Removes the files of appeals and messages whose author was erased, then their rows; how many. One that somebody
    else's has too stays for that. Blocking; what a crash left is removed by the next run."""
    a, f = attachment.c, message_file.c
    of_erased = select(citizen.c.id).where(citizen.c.erased_at.is_not(None))
    gone = {
        attachment: select(a.id, a.sha256).join(appeal, appeal.c.id == a.appeal_id)
        .where(appeal.c.citizen_id.in_(of_erased)),
        message_file: select(f.id, f.sha256).join(message, message.c.id == f.message_id)
        .where(message.c.citizen_id.in_(of_erased)),
    }  # fmt: skip
    with db.read() as conn:
        rows = {table: conn.execute(due).all() for table, due in gone.items()}
        files = {row.sha256 for found in rows.values() for row in found}
        kept = {sha256 for table, found in rows.items() for sha256 in conn.scalars(select(table.c.sha256).where(
            table.c.sha256.in_(files), table.c.id.not_in([row.id for row in found])))}  # fmt: skip
    for sha256 in files - kept:
        attachments.remove(folder, sha256)
    for table, found in rows.items():
        if found:
            with db.write() as conn:
                conn.execute(delete(table).where(table.c.id.in_([row.id for row in found])))
    return sum(map(len, rows.values()))
