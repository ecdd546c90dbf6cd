"""Appeals: registered, moved through their life, looked up."""

from __future__ import annotations

import datetime as dt
import hmac
import re
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, literal_column, select, union, update
from sqlalchemy.dialects import postgresql, sqlite

from crm import calls, clock, law, life, questions, routing, rulebook, texts
from crm import history as records
from crm.errors import BadInput, NotFound, Stale
from crm.law import Kind
from crm.life import Action, Evidence, State
from crm.parts import part
from crm.schema import (
    appeal,
    appeal_call,
    appeal_counter,
    appeal_event,
    building,
    call,
    citizen,
    citizen_phone,
    department,
    district,
    incident,
    staff,
    street,
    subject,
)
from crm.store import Statement, insert_row

# visit: a personal reception; tv: read out on television, or sent to a programme; paper: a letter by post.
CHANNELS = ("phone", "web", "email", "facebook", "sms", "mobile", "open311", "visit", "tv", "paper")
LONGEST_TEXT = 20_000
LONGEST_NOTE = 4_000
CODE_TRIES = 10  # wrong codes before an appeal cannot be asked about by number any more


@dataclass(frozen=True, slots=True)
class Registered:
    """What the citizen is told: the number and the code with which a machine will tell its state."""

    id: int
    number: int
    code: str
    due_at: dt.datetime
    department_id: int


@dataclass(frozen=True, slots=True)
class Appeal:
    """An appeal as it stands."""

    id: int
    number: int
    code: str
    citizen_id: int | None
    building_id: int | None
    flat: str
    place: str
    subject_id: int
    subject_uk: str
    subject_en: str
    text: str
    channel: str
    state: State
    department_id: int
    department: str
    returns: int
    registered_at: dt.datetime
    due_at: dt.datetime
    planned_for: dt.datetime | None
    executed_at: dt.datetime | None
    ended_at: dt.datetime | None
    kind: str  # crm.law.Kind
    against_id: int | None  # the department complained of
    district_id: int | None
    priority: bool
    repeat_of: int | None
    lead_id: int | None
    incident_id: int | None
    official_id: int | None  # who has it under personal control
    acknowledged_at: dt.datetime | None
    extended_at: dt.datetime | None
    version: int  # given back to ``act``, so that nobody overwrites what he has not seen


class AppealLine(NamedTuple):
    """An appeal in a list. ``answer``: the last thing that was answered to it, "" if nothing.

    A tuple, which is made in a quarter of a frozen dataclass's time: there are many, while somebody speaks.
    """

    id: int
    number: int
    state: State
    subject_uk: str
    subject_en: str
    text: str
    channel: str
    department_id: int
    department: str
    citizen_id: int | None
    citizen: str
    building_id: int | None
    street: str
    building: str
    flat: str
    place: str
    returns: int
    registered_at: dt.datetime
    due_at: dt.datetime
    planned_for: dt.datetime | None
    executed_at: dt.datetime | None
    answer: str
    answered_at: dt.datetime | None
    priority: bool
    acknowledged_at: dt.datetime | None
    extended_at: dt.datetime | None
    lead_id: int | None
    incident_id: int | None
    official_id: int | None
    version: int


@dataclass(frozen=True, slots=True)
class Correction:
    """What an appeal is about, and where, as it should have been written down: all of it, changed or not.

    ``district_id``: of a place in words; a building has its own. ``against_id``: a complaint's only."""

    subject_id: int
    kind: Kind
    building_id: int | None = None
    flat: str = ""
    place: str = ""
    district_id: int | None = None
    against_id: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of an appeal's history."""

    id: int
    at: dt.datetime
    action: Action
    from_state: State
    to_state: State
    staff_id: int | None
    staff: str
    department_id: int | None
    note: str
    evidence: dict[str, Any]


_APPEAL: Select[Any] = (
    select(*(appeal.c[name] for name in ("id", "number", "code", "citizen_id", "building_id", "flat", "place",
                                         "subject_id")),
           subject.c.name_uk, subject.c.name_en, appeal.c.text, appeal.c.channel, appeal.c.state,
           appeal.c.department_id, department.c.name, appeal.c.returns, appeal.c.registered_at, appeal.c.due_at,
           appeal.c.planned_for, appeal.c.executed_at, appeal.c.ended_at,
           *(appeal.c[name] for name in ("kind", "against_id", "district_id", "priority", "repeat_of", "lead_id",
                                         "incident_id", "official_id", "acknowledged_at", "extended_at")),
           appeal.c.version)
    .select_from(appeal).join(subject).join(department, appeal.c.department_id == department.c.id)
)  # fmt: skip
_BY_ID = Statement(_APPEAL.where(appeal.c.id == bindparam("id")))
_BY_NUMBER = Statement(_APPEAL.where(appeal.c.number == bindparam("number")))

_noted = appeal_event.alias("noted")
_answer = appeal_event.alias("answer")
_last_answer = select(func.max(_noted.c.id)).where(
    _noted.c.appeal_id == appeal.c.id, _noted.c.note != literal_column("''"),  # as its index has it
    _noted.c.action.in_([action.value for action in life.ANSWERS])).scalar_subquery()  # fmt: skip
_LINES: Select[Any] = (
    select(appeal.c.id, appeal.c.number, appeal.c.state, subject.c.name_uk, subject.c.name_en, appeal.c.text,
           appeal.c.channel, appeal.c.department_id, department.c.name, appeal.c.citizen_id,
           func.coalesce(citizen.c.name, ""), appeal.c.building_id, func.coalesce(street.c.name, ""),
           func.coalesce(building.c.number, ""), appeal.c.flat, appeal.c.place, appeal.c.returns,
           appeal.c.registered_at, appeal.c.due_at, appeal.c.planned_for, appeal.c.executed_at,
           func.coalesce(_answer.c.note, ""), _answer.c.at, appeal.c.priority, appeal.c.acknowledged_at,
           appeal.c.extended_at, appeal.c.lead_id, appeal.c.incident_id, appeal.c.official_id, appeal.c.version)
    .select_from(appeal).join(subject).join(department, appeal.c.department_id == department.c.id)
    .join(citizen, appeal.c.citizen_id == citizen.c.id, isouter=True)
    .join(building, appeal.c.building_id == building.c.id, isouter=True)
    .join(street, building.c.street_id == street.c.id, isouter=True)
    .join(_answer, isouter=True, onclause=_answer.c.id == _last_answer)
)  # fmt: skip
_NEWEST = (appeal.c.registered_at.desc(), appeal.c.id.desc())
_BY_IDS = _LINES.where(appeal.c.id.in_(bindparam("ids", expanding=True)))
_OF_CALLER = Statement(_LINES.where(appeal.c.id.in_(union(
    select(appeal.c.id).join(citizen_phone, appeal.c.citizen_id == citizen_phone.c.citizen_id)
    .where(citizen_phone.c.e164 == bindparam("e164"), citizen_phone.c.wrong.is_(False)),
    # Registered in a call from this number without saying whose it is.
    select(appeal.c.id).join(appeal_call).join(call, call.c.linkedid == appeal_call.c.linkedid)
    .where(call.c.caller == bindparam("e164"), appeal.c.citizen_id.is_(None)),
))).order_by(*_NEWEST).limit(bindparam("limit")))  # fmt: skip


@cache
def _of_building(limit: int) -> Statement:
    """How many is written into it: of a building there are hundreds, and PostgreSQL, not knowing that few are wanted,
    would make a new plan each time, which takes longer than the search."""
    newest = _LINES.where(appeal.c.building_id == bindparam("building")).order_by(*_NEWEST)
    return Statement(newest.limit(literal_column(str(limit))))


_PRIVILEGE = Statement(select(citizen.c.privilege).where(citizen.c.id == bindparam("citizen")))


def register(conn: Connection, *, now: dt.datetime, citizen_id: int | None, building_id: int | None, subject_id: int,
             text: str, channel: str, staff_id: int | None, flat: str = "", place: str = "", linkedid: str = "",
             department_id: int | None = None, district_id: int | None = None, kind: Kind | None = None,
             against_id: int | None = None, incident_id: int | None = None, received_at: dt.datetime | None = None,
             tell_by: str = "", tell_to: str = "") -> Registered:  # fmt: skip
    """Registers an appeal and assigns it to whom the rules say (or to ``department_id``): two events.

    ``channel``: one of CHANNELS. ``district_id``: for a place in words. ``kind``: the subject's, unless given.
    ``against_id``: the department that a complaint is about: neither it nor one below it gets it. ``received_at``: when
    it came, if that was before: from then the law's days are counted. ``tell_by``, ``tell_to``: by which way
    (``notices.Way``), and at which address of his, the applicant is told of this appeal. With ``linkedid``,
    the call is linked to it and settled as an appeal. BadInput for an empty or too long text, a subject that is not
    chosen any more, a department that would judge itself; NotFound for an unknown subject, building, district,
    citizen, department or incident.
    """
    text = texts.text(text, LONGEST_TEXT)
    if not text:
        raise BadInput("appeal.no_text")
    if channel not in CHANNELS:
        raise BadInput("appeal.channel")
    book = rulebook.current(conn, subject_id)
    topic = book.topic(subject_id)
    if not topic.active:
        raise BadInput("subject.inactive")
    place_of = rulebook.place(conn, book.routing, building_id, district_id)
    for table, given in ((district, district_id), (department, department_id), (department, against_id),
                         (incident, incident_id)):  # fmt: skip
        if given is not None and conn.execute(select(1).where(table.c.id == given)).first() is None:
            raise NotFound(f"{table.name}.unknown")
    priority = False
    if citizen_id is not None:
        privilege = _PRIVILEGE.value(conn, {"citizen": citizen_id})
        if privilege is None:
            raise NotFound("citizen.unknown")
        priority = privilege != ""
    if department_id is not None and routing.judges_itself(book.routing, department_id, against_id):
        raise BadInput("appeal.against_itself")
    if department_id is None:
        department_id = routing.decide(book.routing, subject_id, place_of, against_id).department_id
    due_at = law.due(received_at or now, topic.term_days, book.calendar, book.terms)
    code = f"{secrets.randbelow(10_000):04}"
    number = next_number(conn, now)
    appeal_id = insert_row(conn, appeal, {
        "number": number, "code": code, "citizen_id": citizen_id, "building_id": building_id,
        "flat": texts.line(flat, 20), "place": texts.line(place, 200), "subject_id": subject_id, "text": text,
        "channel": channel, "state": State.REGISTERED.value, "department_id": department_id, "registered_at": now,
        "due_at": due_at, "kind": kind.value if kind else topic.kind, "against_id": against_id,
        "district_id": place_of.district_id, "priority": priority, "incident_id": incident_id,
        "routed_by": book.routing.version_id, "received_at": received_at, "tell_by": tell_by,
        "tell_to": tell_to})  # fmt: skip
    records.add(conn, appeal_id, Action.REGISTER, State.REGISTERED, State.REGISTERED, now=now, staff_id=staff_id,
                department_id=department_id)
    registered = records.Standing(appeal_id, number, State.REGISTERED, 0, 1, citizen_id, subject_id, department_id)
    records.move(conn, registered, Action.ASSIGN, now=now, staff_id=staff_id, department_id=department_id)
    if linkedid:
        calls.about(conn, linkedid, appeal_id, calls.Outcome.APPEAL, staff_id, now)
    return Registered(appeal_id, number, code, due_at, department_id)


def next_number(conn: Connection, now: dt.datetime) -> int:
    """Two digits of Kyiv's year, then six (or, in a very busy year, seven) of the order in it.

    The counter's row is locked until the transaction ends: two registrations take turns.
    """
    year = now.astimezone(clock.KYIV).year % 100
    order = _following(conn.dialect.name).value(conn, {"year": year, "last": 1})
    return int(f"{year}{order:06}")


@cache
def _following(dialect_name: str) -> Statement:
    dialect: Any = sqlite if dialect_name == "sqlite" else postgresql
    following = dialect.insert(appeal_counter).on_conflict_do_update(
        index_elements=["year"], set_={"last": appeal_counter.c.last + 1})  # fmt: skip
    return Statement(following.returning(appeal_counter.c.last))


def act(conn: Connection, appeal_id: int, action: Action, *, now: dt.datetime, staff_id: int | None = None,
        department_id: int | None = None, note: str = "", until: dt.datetime | None = None,
        official_id: int | None = None, correction: Correction | None = None, evidence: Evidence | None = None,
        ground: Mapping[str, Any] | None = None, version: int | None = None) -> Appeal:  # fmt: skip
    """The one way to change an appeal's state.

    ASSIGN needs ``department_id``, and FORWARD one that is outside the city; PLAN and EXTEND ``until``, TAKE_CONTROL
    ``official_id``, CORRECT ``correction``; EXPLAIN, REFUSE… a ``note``; CONFIRM and NOT_SOLVED ``evidence``. A repeat
    is refused only if the first was resolved on its merits (BadInput ``repeat.not_resolved``). REPRIMAND is for
    ``department_id``, or whom the appeal lies with. EXECUTE and ANSWER also schedule the confirmation, and what is
    answered is answered to those merged with the appeal too. Who must hear of it is told (``crm.notices``).
    ``ground``: more for the line of history: what an answer stands on. IllegalAction if the state does not allow it,
    Stale if ``version`` is not the appeal's, BadInput for what is missing.
    """
    before = records.standing(conn, appeal_id)
    if version is not None and version != before.version:
        raise Stale("appeal.stale")
    life.after(before.state, action, before.returns)  # said first: whatever else is missing, this cannot be done
    note = texts.text(note, LONGEST_NOTE)
    if action in life.NEEDS_NOTE and not note:
        raise BadInput("appeal.needs_note")
    changes = _changes(conn, before, action, now, department_id, until, official_id, correction)
    kept = (records.evidence_of(life.check_evidence(evidence)) if action in life.NEEDS_EVIDENCE
            else _ground(conn, before, action, now, department_id, changes))  # fmt: skip
    done = records.move(conn, before, action, now=now, staff_id=staff_id, note=note,
                        evidence={**kept, **(ground or {})}, **changes)  # fmt: skip
    if done.state is State.EXECUTED:
        questions.ask(conn, done, now)
    elif before.state is State.AWAITING and done.state is not State.AWAITING:
        results = {Action.CONFIRM: "solved", Action.NOT_SOLVED: "not_solved", Action.GIVE_UP: questions.GIVEN_UP}
        questions.answered(conn, appeal_id, results.get(action, questions.GONE), now)
    if before.state in life.OPEN and done.state not in life.OPEN:
        _with_merged(conn, before, action, now=now, staff_id=staff_id, note=note, until=until,
                     department_id=department_id)  # fmt: skip
    if evidence is not None and evidence.linkedid and action in life.NEEDS_EVIDENCE:
        calls.about(conn, evidence.linkedid, appeal_id, calls.Outcome.CONFIRMED, staff_id, now)
    return get(conn, appeal_id)


def _changes(conn: Connection, before: records.Standing, action: Action, now: dt.datetime,
             department_id: int | None, until: dt.datetime | None, official_id: int | None,
             correction: Correction | None = None) -> dict[str, Any]:  # fmt: skip
    """What an action changes beside the state."""
    match action:
        case Action.ASSIGN:
            if department_id is None:
                raise BadInput("appeal.needs_department")
            _must_take(conn, before.id, department_id, outside=False)
            return {"department_id": department_id, "acknowledged_at": None}
        case Action.REFUSE:
            _must_be_resolved(conn, before.id)
        case Action.FORWARD:
            if department_id is None:
                raise BadInput("appeal.needs_outside")
            _must_take(conn, before.id, department_id, outside=True)
            return {"department_id": department_id, "acknowledged_at": None}
        case Action.START | Action.ACKNOWLEDGE:
            return {"acknowledged_at": before.acknowledged_at or now}
        case Action.EXECUTE | Action.ANSWER:
            return {"executed_at": now, "first_executed_at": before.first_executed_at or now}
        case Action.NOT_SOLVED:
            return {"acknowledged_at": None}
        case Action.EXTEND:
            return {"extended_at": now, "due_at": _extended(conn, before, until, now)}
        case Action.TAKE_CONTROL:
            if official_id is None or conn.execute(select(1).where(staff.c.id == official_id)).first() is None:
                raise BadInput("appeal.needs_official")
            return {"official_id": official_id}
        case Action.LEAVE_CONTROL:
            return {"official_id": None}
        case Action.CORRECT:
            if correction is None:
                raise BadInput("appeal.needs_correction")
            return _corrected(conn, before.id, correction)
        case Action.PLAN:
            if until is None or until <= now:
                raise BadInput("appeal.needs_date")
            return {"planned_for": until}
        case Action.RESUME | Action.COMPLETE:  # the term begins anew
            book = rulebook.current(conn, before.subject_id)
            due_at = law.due(now, book.topic(before.subject_id).term_days, book.calendar, book.terms)
            return {"planned_for": None, "due_at": due_at, "acknowledged_at": None}
    return {}


def _must_take(conn: Connection, appeal_id: int, department_id: int, *, outside: bool) -> None:
    """NotFound for no department, or one that works no more; BadInput for one that is outside the city where it must
    not be, or is not where it must, and for one that would judge itself."""
    row = conn.execute(_TAKER, {"id": department_id}).first()
    if row is None or not row.active:
        raise NotFound("department.unknown")
    if (row.kind == "outside") is not outside:
        raise BadInput("appeal.needs_outside" if outside else "appeal.is_outside")
    against_id = conn.execute(_AGAINST, {"id": appeal_id}).scalar()
    if against_id is not None and routing.judges_itself(rulebook.current(conn).routing, department_id, against_id):
        raise BadInput("appeal.against_itself")


def _must_be_resolved(conn: Connection, appeal_id: int) -> None:
    """BadInput ``repeat.not_resolved`` for a repeat that the law does not let anybody refuse."""
    for row in conn.execute(_FIRST, {"id": appeal_id}):
        if not life.may_refuse_repeat(State(row.state), same_citizen=bool(row.same)):
            raise BadInput("repeat.not_resolved")


def _extended(conn: Connection, before: records.Standing, until: dt.datetime | None, now: dt.datetime) -> dt.datetime:
    """The new deadline: later than the old one, and no later than the law's end. What has passed is not extended,
    unless it was answered and the resident says that it is not solved. BadInput otherwise."""
    book, due_at = rulebook.current(conn), conn.execute(_DUE, {"id": before.id}).scalar_one()
    if until is None or until <= due_at:
        raise BadInput("appeal.needs_later_date")
    if until > law.latest(term_began(conn, before.id), book.calendar, book.terms):
        raise BadInput("appeal.too_late")
    if now > due_at and not before.returns and not book.terms.extend_late:
        raise BadInput("appeal.extended_late")
    return until


_CORRECTED = ("subject_id", "kind", "building_id", "flat", "place", "district_id", "against_id")


def _corrected(conn: Connection, appeal_id: int, correction: Correction) -> dict[str, Any]:
    """What a correction changes: with the subject the term too, counted from where it began; one that was extended,
    and told so to the applicant, does not become shorter. The department stays: ``responsible`` says who should have
    it now, and a person assigns it. BadInput if nothing changes."""
    its, book = get(conn, appeal_id), rulebook.current(conn, correction.subject_id)
    topic = book.topic(correction.subject_id)
    if correction.against_id is not None and not conn.execute(_ACTIVE, {"id": correction.against_id}).scalar():
        raise NotFound("department.unknown")
    where = rulebook.place(conn, book.routing, correction.building_id, correction.district_id)
    said = {
        "subject_id": correction.subject_id, "kind": correction.kind.value, "building_id": correction.building_id,
        "flat": texts.line(correction.flat, 20), "place": texts.line(correction.place, 200),
        "district_id": where.district_id,
        "against_id": correction.against_id if correction.kind is Kind.COMPLAINT else None,
    }  # fmt: skip
    changed: dict[str, Any] = {name: value for name, value in said.items() if value != getattr(its, name)}
    if not changed:
        raise BadInput("appeal.nothing_corrected")
    if "subject_id" in changed:
        due_at = law.due(term_began(conn, appeal_id), topic.term_days, book.calendar, book.terms)
        changed["due_at"] = max(due_at, its.due_at) if its.extended_at else due_at
    return changed


def responsible(conn: Connection, its: Appeal) -> int:
    """The department that the rules name for the appeal as it stands now."""
    book = rulebook.current(conn, its.subject_id)
    where = rulebook.place(conn, book.routing, its.building_id, its.district_id)
    return routing.decide(book.routing, its.subject_id, where, its.against_id).department_id


_ACTIVE = select(department.c.active).where(department.c.id == bindparam("id"))
_TAKER = select(department.c.kind, department.c.active).where(department.c.id == bindparam("id"))
_AGAINST = select(appeal.c.against_id).where(appeal.c.id == bindparam("id"))
_first = appeal.alias("first")  # which another repeats; of whom nobody knows who he is, it is nobody's
_FIRST = (select(_first.c.state, func.coalesce(_first.c.citizen_id == appeal.c.citizen_id, False).label("same"))
          .join(appeal, appeal.c.repeat_of == _first.c.id).where(appeal.c.id == bindparam("id")))  # fmt: skip
_DUE = select(appeal.c.due_at).where(appeal.c.id == bindparam("id"))
_BEGAN = (select(appeal_event.c.at).where(appeal_event.c.appeal_id == bindparam("id"),
                                          appeal_event.c.action.in_([action.value for action in life.BEGINS_TERM]))
          .order_by(appeal_event.c.id.desc()).limit(1))  # fmt: skip


def term_began(conn: Connection, appeal_id: int) -> dt.datetime:
    """From when the law's days are counted: since it was registered, came back on its date, or was completed."""
    began: dt.datetime = conn.execute(_BEGAN, {"id": appeal_id}).scalar_one()
    return began


def _ground(conn: Connection, before: records.Standing, action: Action, now: dt.datetime, department_id: int | None,
            changes: Mapping[str, Any]) -> dict[str, Any]:  # fmt: skip
    """What of an action its line of history keeps beside the note: the ids and days that it was about."""
    match action:
        case Action.FORWARD | Action.FIND_DEFECTIVE:
            return _lateness(conn, before.id, action, now)
        case Action.REPRIMAND:
            if department_id is not None and not conn.execute(_ACTIVE, {"id": department_id}).scalar():
                raise NotFound("department.unknown")
            return {"department_id": department_id or before.department_id}
        case Action.EXTEND:
            due_at: dt.datetime = conn.execute(_DUE, {"id": before.id}).scalar_one()
            return {"from": due_at.isoformat(), "until": changes["due_at"].isoformat()}
        case Action.TAKE_CONTROL:
            return {"official_id": changes["official_id"]}
        case Action.CORRECT:
            its = get(conn, before.id)
            return {name: getattr(its, name) for name in _CORRECTED if name in changes}  # as it was
    return {}


def _lateness(conn: Connection, appeal_id: int, action: Action, now: dt.datetime) -> dict[str, str]:
    """By when what is done now should have been, for its line of history; nothing when it is in time.

    What is outside the city's competence is sent on however late. A defective one is not returned any more, and
    must be looked into as it is (BadInput), unless the city allows it.
    """
    book, began = rulebook.current(conn), term_began(conn, appeal_id)
    by = (law.forward_by if action is Action.FORWARD else law.defective_by)(began, book.calendar, book.terms)
    if now <= by:
        return {}
    if action is Action.FIND_DEFECTIVE and not book.terms.defective_late:
        raise BadInput("appeal.defective_late")
    return {"late_since": by.isoformat()}


_MERGED = Statement(select(appeal.c.id).where(appeal.c.lead_id == bindparam("lead")).order_by(appeal.c.id))


# What is said of the question, and so to everybody who asked it; the rest concerns one applicant.
_FOR_ALL = life.ANSWERS - {Action.REFUSE, Action.FIND_DEFECTIVE, Action.EXTEND}


def _with_merged(conn: Connection, lead: records.Standing, action: Action, *, now: dt.datetime, staff_id: int | None,
                 note: str, until: dt.datetime | None, department_id: int | None) -> None:  # fmt: skip
    """What becomes of those merged with an appeal that nobody has to act on any more. An answer is theirs too, where
    a department has them, and after "executed" each applicant is asked for himself. Where only the lead's own
    applicant is done with (it was withdrawn, refused, defective), the oldest of them leads the others."""
    merged = [records.standing(conn, row.id) for row in _MERGED(conn, {"lead": lead.id})]
    said: dict[str, Any] = {"now": now, "staff_id": staff_id, "evidence": {"lead": lead.number}}
    if action in _FOR_ALL:
        for before in merged:
            if before.state in life.TO_ACT:
                changes = _changes(conn, before, action, now, department_id, until, None)
                done = records.move(conn, before, action, note=note, **said, **changes)
                if done.state is State.EXECUTED:
                    questions.ask(conn, done, now)
    elif still := [before for before in merged if before.state in life.OPEN]:
        first, *others = still
        records.move(conn, first, Action.SPLIT, lead_id=None, **said)
        for other in others:
            records.move(conn, other, Action.MERGE, lead_id=first.id, **{**said, "evidence": {"lead": first.number}})
        conn.execute(update(appeal).where(appeal.c.lead_id == lead.id).values(lead_id=first.id))


def get(conn: Connection, appeal_id: int) -> Appeal:
    """NotFound if there is none."""
    for row in _BY_ID(conn, {"id": appeal_id}):
        return _appeal(row)
    raise NotFound("appeal.unknown")


def by_number(conn: Connection, number: int) -> Appeal | None:
    """None if there is none."""
    rows = _BY_NUMBER(conn, {"number": number}) if 0 < number < 2**31 else ()
    return _appeal(rows[0]) if rows else None


def _appeal(row: Any) -> Appeal:
    fields: list[Any] = list(row)
    fields[_STATE] = State(fields[_STATE])
    return Appeal(*fields)


_STATE = list(Appeal.__dataclass_fields__).index("state")


def by_number_and_code(conn: Connection, number: str, code: str, now: dt.datetime) -> Appeal | None:
    """The appeal for a caller who keyed in its number and code; None if either is wrong.

    Counts failures (so it needs a writing connection) and says None for ever after CODE_TRIES in a
    row on the telephone: an operator can still be asked. Anything may be given: what is not digits is simply wrong.
    """
    if not re.fullmatch(r"[0-9]{8,9}", number) or not re.fullmatch(r"[0-9]{4}", code):
        return None
    found = by_number(conn, int(number))
    if found is None:
        return None
    its = appeal.c.id == found.id
    failures = conn.execute(select(appeal.c.code_failures).where(its).with_for_update()).scalar_one()
    if failures >= CODE_TRIES:
        return None
    right = hmac.compare_digest(found.code, code)
    if failures or not right:
        conn.execute(update(appeal).where(its).values(code_failures=0 if right else failures + 1))
    return found if right else None


def by_code(conn: Connection, number: int, code: str) -> Appeal | None:
    """The appeal for who asks in writing and knows its code; None if number or code is wrong, or its applicant was
    erased. Nothing is counted: how often somebody may try is the caller's to see to."""
    found = by_number(conn, number)
    if found is None or not hmac.compare_digest(found.code.encode(), code.encode("utf-8", "replace")):
        return None
    erased = select(citizen.c.id).where(citizen.c.id == found.citizen_id, citizen.c.erased_at.is_not(None))
    return None if conn.execute(erased).first() else found


def history(conn: Connection, appeal_id: int) -> list[Event]:
    """All of it, oldest first."""
    e = appeal_event.c
    lines: Select[Any] = (
        select(e.id, e.at, e.action, e.from_state, e.to_state, e.staff_id, func.coalesce(staff.c.name, ""),
               e.department_id, e.note, e.evidence)
        .join(staff, e.staff_id == staff.c.id, isouter=True).where(e.appeal_id == appeal_id).order_by(e.id)
    )  # fmt: skip
    rows: Iterable[Any] = conn.execute(lines)
    return [Event(r[0], r[1], Action(r[2]), State(r[3]), State(r[4]), *r[5:]) for r in rows]


def of_caller(conn: Connection, e164: str, limit: int = 20) -> list[AppealLine]:
    """The appeals of whoever is known at this number, or called from it unnamed, newest first; one query."""
    return _lines(_OF_CALLER(conn, {"e164": e164, "limit": limit})) if e164 else []


def of_building(conn: Connection, building_id: int, limit: int = 20) -> list[AppealLine]:
    """The building's appeals by anyone, newest first; one query."""
    return _lines(_of_building(limit)(conn, {"building": building_id}))


def lines(conn: Connection, ids: Sequence[int]) -> list[AppealLine]:
    """These, in this order; one query."""
    found = {line.id: line for line in _lines(conn.execute(_BY_IDS, {"ids": list(ids)}))} if ids else {}
    return [found[appeal_id] for appeal_id in ids if appeal_id in found]


def search(conn: Connection, *, states: Collection[State] = (), department_id: int | None = None,
           subject_id: int | None = None, citizen_id: int | None = None, building_id: int | None = None,
           overdue_at: dt.datetime | None = None, number: int | None = None, channel: str | None = None,
           district_id: int | None = None, kind: Kind | None = None, priority: bool | None = None, limit: int = 50,
           after_id: int | None = None, by_due: bool = False) -> list[AppealLine]:  # fmt: skip
    """Appeals that match all that is given, newest first; ``after_id`` continues a list.

    ``subject_id``: the subject with all below it. ``overdue_at``: still open with the deadline before it. ``by_due``:
    the nearest deadline first, of those that are still open.
    """
    query = select(appeal.c.id)
    exact = {"department_id": department_id, "citizen_id": citizen_id, "building_id": building_id, "number": number,
             "channel": channel, "district_id": district_id, "kind": kind, "priority": priority}  # fmt: skip
    for column, value in exact.items():
        if value is not None:
            query = query.where(appeal.c[column] == value)
    if subject_id is not None:
        chains = rulebook.current(conn, subject_id).routing.chains
        query = query.where(appeal.c.subject_id.in_([id for id, chain in chains.items() if subject_id in chain]))
    if states:
        query = query.where(appeal.c.state.in_([state.value for state in states]))
    if overdue_at is not None or by_due:
        query = query.where(appeal.c.state.in_([state.value for state in life.OPEN]))
    if overdue_at is not None:
        query = query.where(appeal.c.due_at < overdue_at)
    if by_due:
        query = part(conn, query, appeal.c.due_at, limit, after_id)
    else:
        if after_id is not None:
            query = query.where(appeal.c.id < after_id)
        # What few appeals are is found by its state; the newest of the many, by walking back from the last.
        few = overdue_at is not None or (states and not life.MOST & set(states))
        query = query.order_by((appeal.c.id + 0 if few else appeal.c.id).desc()).limit(limit)
    return lines(conn, conn.execute(query).scalars().all())


SEARCHED, SEARCHED_AT_ONCE = 4_000, 500  # appeals whose words are looked through


def search_text(conn: Connection, text: str, *, limit: int = 50, after_id: int | None = None,
                **wanted: Any) -> tuple[list[AppealLine], bool]:  # fmt: skip
    """``search`` with words that the text, the place or the applicant's name must have, however they are written:
    among the first SEARCHED that match the rest. Whether there are more that were not looked through."""
    words = text.casefold().split()
    if not words:
        return search(conn, limit=limit, after_id=after_id, **wanted), False
    found: list[AppealLine] = []
    for _ in range(0, SEARCHED, SEARCHED_AT_ONCE):
        some = search(conn, limit=SEARCHED_AT_ONCE, after_id=after_id, **wanted)
        for line in some:
            said = f"{line.text} {line.place} {line.citizen}".casefold()
            if all(word in said for word in words):
                found.append(line)
                if len(found) == limit:
                    return found, False
        if len(some) < SEARCHED_AT_ONCE:
            return found, False
        after_id = some[-1].id
    return found, True


def for_department(conn: Connection, department_id: int, limit: int = 50) -> list[AppealLine]:
    """What the department has to act on (assigned, in work, returned), privileged applicants first, then by the
    nearest deadline; not what is merged with another, unless its own applicant said that it is not solved."""
    to_act = appeal.c.state.in_([state.value for state in life.TO_ACT])
    alone = (appeal.c.lead_id.is_(None)) | (appeal.c.state == State.RETURNED.value)
    theirs = _LINES.where(appeal.c.department_id == department_id, to_act, alone)
    return _lines(conn.execute(theirs.order_by(appeal.c.priority.desc(), appeal.c.due_at, appeal.c.id).limit(limit)))


def _lines(rows: Iterable[Any]) -> list[AppealLine]:
    return [AppealLine(row[0], row[1], State(row[2]), *row[3:]) for row in rows]


def resume_planned(conn: Connection, now: dt.datetime) -> list[int]:
    """Brings the planned appeals whose date has come back to their departments: their ids.

    Their term begins anew.
    """
    due = select(appeal.c.id).where(appeal.c.state == State.PLANNED.value, appeal.c.planned_for <= now)
    ids = list(conn.execute(due.order_by(appeal.c.planned_for, appeal.c.id)).scalars())
    for appeal_id in ids:
        act(conn, appeal_id, Action.RESUME, now=now)
    return ids
