"""One failure that many suffer: proposed by a rule, opened by a person, its appeals executed together.

    proposed ──▶ open ──▶ closing ──▶ closed
        │          │
        └──────────┴──▶ dismissed

A *place* is a building, or a network of buildings. A new appeal of the place with the incident's subject joins an open
incident by itself, unless whoever registers it says that it is another matter. Closing says what was done; the joined
appeals are then executed a few in a transaction, here and by ``carry_on``, so that ten thousand of them hold up nobody,
and everybody who complained is called back. What somebody who gave no name said of an emergency is a *report*.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, or_, select, update

from crm import addresses, appeals, calls, life, networks, rulebook, texts
from crm import history as records
from crm.appeals import AppealLine
from crm.edits import log_edit
from crm.errors import BadInput, IllegalAction, NotFound, Stale
from crm.life import Action
from crm.repeats import branch
from crm.schema import appeal, building, incident, incident_report, network, network_building, staff, street, subject
from crm.store import Statement, insert_or_ignore, insert_row

EXECUTED_AT_ONCE = 50  # appeals executed in one transaction: less than a tenth of a second
GATHERED_AT_ONCE = 200
GATHERED_H = 24  # of what was registered so long before the first word of it
LONGEST = 4_000


class State(StrEnum):
    PROPOSED = "proposed"
    OPEN = "open"
    CLOSING = "closing"  # it is over; its appeals are being executed
    CLOSED = "closed"
    DISMISSED = "dismissed"  # no incident


LIVE = (State.PROPOSED, State.OPEN)


# ── the rule ──
@dataclass(frozen=True, slots=True)
class Rules:
    """How many applicants complain of one branch of subjects, within how long, before an incident is proposed."""

    building: int = 3  # from one building
    building_minutes: int = 60
    network: int = 5  # from one network
    network_buildings: int = 2  # and from so many of its buildings
    network_minutes: int = 120


@dataclass(frozen=True, slots=True)
class Complaint:
    """What the rule must know of an appeal. ``citizen_id``: None for one who gave no name, who counts each time."""

    citizen_id: int | None
    building_id: int
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Place:
    """One of the two."""

    building_id: int | None = None
    network_id: int | None = None


def burst(rules: Rules, building_id: int, own: Collection[Complaint], by_network: Mapping[int, Collection[Complaint]],
          now: dt.datetime) -> Place | None:  # fmt: skip
    """Where an incident is to be proposed, if anywhere: on the network that most complain on, else in the building.

    ``own``: of one branch of subjects, from the building; ``by_network``: from each of its networks, it included.
    """

    def applicants(of: Collection[Complaint], minutes: int) -> tuple[int, int]:
        """(applicants, buildings)."""
        lately = [each for each in of if now - dt.timedelta(minutes=minutes) < each.at <= now]
        named = {each.citizen_id for each in lately if each.citizen_id is not None}
        return (len(named) + sum(each.citizen_id is None for each in lately),
                len({each.building_id for each in lately}))  # fmt: skip

    heard = {id: applicants(of, rules.network_minutes) for id, of in by_network.items()}
    wide = [(many, -id) for id, (many, buildings) in heard.items()
            if many >= rules.network and buildings >= rules.network_buildings]  # fmt: skip
    if wide:
        return Place(network_id=-max(wide)[1])
    return Place(building_id) if applicants(own, rules.building_minutes)[0] >= rules.building else None


# ── what there is ──
@dataclass(frozen=True, slots=True)
class Incident:
    """An incident as it stands. ``result``: what was done, or why it is none. ``appeals``, ``reports``: how many."""

    id: int
    state: State
    subject_id: int
    subject_uk: str
    subject_en: str
    building_id: int | None
    street: str
    building: str
    network_id: int | None
    network_kind: str
    network: str
    place: str
    cause: str
    result: str
    expected_at: dt.datetime | None
    proposed_at: dt.datetime
    opened_at: dt.datetime | None
    opened_by: str
    closed_at: dt.datetime | None
    closed_by: str
    version: int
    appeals: int
    reports: int


@dataclass(frozen=True, slots=True)
class Report:
    """What somebody without a name said."""

    at: dt.datetime
    text: str
    linkedid: str
    staff: str


_opener, _closer = staff.alias("opener"), staff.alias("closer")
_count_appeals = (select(func.count()).select_from(appeal).where(appeal.c.incident_id == incident.c.id)
                  .scalar_subquery())  # fmt: skip
_count_reports = (select(func.count()).select_from(incident_report)
                  .where(incident_report.c.incident_id == incident.c.id).scalar_subquery())  # fmt: skip
_INCIDENT: Select[Any] = (
    select(incident.c.id, incident.c.state, incident.c.subject_id, subject.c.name_uk, subject.c.name_en,
           incident.c.building_id, func.coalesce(street.c.name, ""), func.coalesce(building.c.number, ""),
           incident.c.network_id, func.coalesce(network.c.kind, ""), func.coalesce(network.c.name, ""),
           incident.c.place, incident.c.cause, incident.c.result, incident.c.expected_at, incident.c.proposed_at,
           incident.c.opened_at, func.coalesce(_opener.c.name, ""), incident.c.closed_at,
           func.coalesce(_closer.c.name, ""), incident.c.version, _count_appeals, _count_reports)
    .select_from(incident).join(subject)
    .join(building, incident.c.building_id == building.c.id, isouter=True)
    .join(street, building.c.street_id == street.c.id, isouter=True)
    .join(network, incident.c.network_id == network.c.id, isouter=True)
    .join(_opener, incident.c.opened_by == _opener.c.id, isouter=True)
    .join(_closer, incident.c.closed_by == _closer.c.id, isouter=True)
)  # fmt: skip
_BY_ID = _INCIDENT.where(incident.c.id == bindparam("id"))


def _incidents(rows: Any) -> list[Incident]:
    return [Incident(row[0], State(row[1]), *row[2:]) for row in rows]


def get(conn: Connection, incident_id: int) -> Incident:
    """NotFound if there is none."""
    found = _incidents(conn.execute(_BY_ID, {"id": incident_id}))
    if not found:
        raise NotFound("incident.unknown")
    return found[0]


def listed(conn: Connection, states: Collection[State], *, limit: int = 50, after_id: int | None = None,
           ) -> list[Incident]:  # fmt: skip
    """Those in these states, the latest first; ``after_id`` continues a list."""
    query = _INCIDENT.where(incident.c.state.in_([state.value for state in states]))
    if after_id is not None:
        query = query.where(incident.c.id < after_id)
    return _incidents(conn.execute(query.order_by(incident.c.id.desc()).limit(limit)))


def at(conn: Connection, building_id: int) -> list[Incident]:
    """Those of a building and of its networks that are open, then those that are only proposed."""
    here = _of_place(building_id, [each.id for each in networks.of_building(conn, building_id)])
    live = incident.c.state.in_([state.value for state in LIVE])
    return _incidents(conn.execute(_INCIDENT.where(here, live).order_by(incident.c.state, incident.c.id)))


def fits(conn: Connection, found: Incident, subject_id: int | None) -> bool:
    """Whether an appeal of the place with this subject joins it by itself."""
    chains = rulebook.current(conn, subject_id).routing.chains
    return found.state is State.OPEN and subject_id is not None and found.subject_id in chains.get(subject_id, ())


def reports(conn: Connection, incident_id: int) -> list[Report]:
    """Oldest first."""
    r = incident_report.c
    rows = conn.execute(select(r.at, r.text, r.linkedid, func.coalesce(staff.c.name, ""))
                        .join_from(incident_report, staff, r.staff_id == staff.c.id, isouter=True)
                        .where(r.incident_id == incident_id).order_by(r.id))  # fmt: skip
    return [Report(*row) for row in rows]


def appeals_of(conn: Connection, incident_id: int, *, department_id: int | None = None, limit: int = 50,
               ) -> list[AppealLine]:  # fmt: skip
    """The appeals that joined it (a department's own, if given), the latest first."""
    ids = select(appeal.c.id).where(appeal.c.incident_id == incident_id)
    if department_id is not None:
        ids = ids.where(appeal.c.department_id == department_id)
    return appeals.lines(conn, conn.execute(ids.order_by(appeal.c.id.desc()).limit(limit)).scalars().all())


def _of_place(building_id: int, network_ids: Sequence[int]) -> Any:
    return or_(incident.c.building_id == building_id, incident.c.network_id.in_(network_ids))


# ── when an appeal is registered ──
_REGISTERED = Statement(select(appeal.c.building_id, appeal.c.subject_id, appeal.c.incident_id)
                        .where(appeal.c.id == bindparam("id")))  # fmt: skip
_LATELY = (appeal.c.registered_at > bindparam("since"), appeal.c.incident_id.is_(None),
           appeal.c.subject_id.in_(bindparam("subjects", expanding=True)))  # fmt: skip
_COMPLAINT = (appeal.c.citizen_id, appeal.c.building_id, appeal.c.registered_at)
_FROM_BUILDING = select(*_COMPLAINT).where(appeal.c.building_id == bindparam("building"), *_LATELY).limit(200)
_FROM_NETWORKS: Select[Any] = (
    select(network_building.c.network_id, *_COMPLAINT)
    .join_from(network_building, appeal, appeal.c.building_id == network_building.c.building_id)
    .where(network_building.c.network_id.in_(bindparam("networks", expanding=True)), *_LATELY).limit(500)
)  # fmt: skip
_ITS_NETWORKS = select(network_building.c.network_id).where(network_building.c.building_id == bindparam("building"))
_AT_PLACE = Statement(
    select(incident.c.id, incident.c.state, incident.c.subject_id, incident.c.closed_at)
    .where(or_(incident.c.building_id == bindparam("building"), incident.c.network_id.in_(_ITS_NETWORKS)),
           or_(*(incident.c.state == state.value for state in LIVE), incident.c.closed_at > bindparam("since")))
    .order_by(incident.c.id)
)  # fmt: skip


def registered(conn: Connection, appeal_id: int, *, now: dt.datetime, staff_id: int | None = None, apart: bool = False,
               rules: Rules = Rules()) -> int | None:  # fmt: skip
    """What a new appeal means for the incidents of its place: it joins an open one (unless it is ``apart``, another
    matter), or is one of so many that an incident is proposed. The incident's id, or None.

    In the transaction of the registration, or the next. One proposal or incident at a time for a place and a branch
    of subjects; what was closed or dismissed is counted anew from then on.
    """
    [its] = _REGISTERED(conn, {"id": appeal_id})
    if its.building_id is None or its.incident_id is not None:
        return None
    chains = rulebook.current(conn, its.subject_id).routing.chains
    its_chain = chains[its.subject_id]
    its_branch = branch(its_chain)
    ids = [each.id for each in networks.of_building(conn, its.building_id)]
    since = now - dt.timedelta(minutes=max(rules.building_minutes, rules.network_minutes))
    known = [row for row in _AT_PLACE(conn, {"building": its.building_id, "since": since})
             if branch(chains[row.subject_id]) == its_branch]  # fmt: skip
    live = [row for row in known if row.state in LIVE]
    if live:
        opened = [row.id for row in live if row.state == State.OPEN and row.subject_id in its_chain]
        if not opened or apart:
            return None
        join(conn, opened[0], appeal_id, now=now, staff_id=staff_id)
        return int(opened[0])
    asked = {"building": its.building_id, "networks": ids,
             "since": max([since, *(row.closed_at for row in known if row.closed_at is not None)]),
             "subjects": [id for id, chain in chains.items() if its_branch in chain]}  # fmt: skip
    by_network: dict[int, list[Complaint]] = {}
    for row in conn.execute(_FROM_NETWORKS, asked) if ids else ():
        by_network.setdefault(row[0], []).append(Complaint(*row[1:]))
    # Its own building is on each of its networks.
    own = ([each for each in by_network.get(ids[0], ()) if each.building_id == its.building_id] if ids
           else [Complaint(*row) for row in conn.execute(_FROM_BUILDING, asked)])  # fmt: skip
    where = burst(rules, its.building_id, own, by_network, now)
    return None if where is None else _propose(conn, where, its_branch, now)


def _propose(conn: Connection, where: Place, subject_id: int, now: dt.datetime) -> int:
    """The proposal's id, or that of the one under way. What was proposed for a building of the network is a part of it
    now."""
    insert_or_ignore(conn, incident, {"state": State.PROPOSED.value, "subject_id": subject_id, "proposed_at": now,
                                      "building_id": where.building_id, "network_id": where.network_id})  # fmt: skip
    same = [incident.c.subject_id == subject_id, incident.c.state.in_([state.value for state in LIVE])]
    if where.network_id is not None:
        on_it = select(network_building.c.building_id).where(network_building.c.network_id == where.network_id)
        conn.execute(update(incident).values(state=State.DISMISSED.value, closed_at=now, version=incident.c.version + 1)
                     .where(incident.c.subject_id == subject_id, incident.c.state == State.PROPOSED.value,
                            incident.c.building_id.in_(on_it)))  # fmt: skip
        same.append(incident.c.network_id == where.network_id)
    else:
        same.append(incident.c.building_id == where.building_id)
    return int(conn.execute(select(incident.c.id).where(*same)).scalar_one())


# ── what people do ──
def declare(conn: Connection, *, subject_id: int, cause: str, now: dt.datetime, staff_id: int | None,
            building_id: int | None = None, network_id: int | None = None, place: str = "",
            expected_at: dt.datetime | None = None) -> int:  # fmt: skip
    """Opens an incident that nobody has proposed (or the one proposed for this place and subject): its id.

    BadInput ``incident.no_place``, ``incident.already`` (one is open), and as ``begin``.
    """
    place = texts.line(place, 200)
    if building_id is None and network_id is None and not place:
        raise BadInput("incident.no_place")
    rulebook.current(conn, subject_id).topic(subject_id)
    if network_id is not None:
        networks.get(conn, network_id)
        building_id = None
    elif building_id is not None:
        addresses.find_building(conn, building_id)
    if building_id is None and network_id is None:
        made = insert_row(conn, incident, {"state": State.PROPOSED.value, "subject_id": subject_id,
                                           "proposed_at": now, "place": place})  # fmt: skip
    else:
        made = _propose(conn, Place(building_id, network_id), subject_id, now)
    if _held(conn, made).state != State.PROPOSED:
        raise BadInput("incident.already")
    begin(conn, made, cause=cause, expected_at=expected_at, now=now, staff_id=staff_id)
    return made


def begin(conn: Connection, incident_id: int, *, cause: str, now: dt.datetime, staff_id: int | None,
          expected_at: dt.datetime | None = None, version: int | None = None) -> int:  # fmt: skip
    """Opens what was proposed; the open appeals of the place that speak of it join: how many (``gather``).

    BadInput ``incident.no_cause``, ``incident.past`` (``expected_at`` is not later than now); IllegalAction unless it
    is proposed; Stale.
    """
    before = _held(conn, incident_id, version, State.PROPOSED)
    changes = {**_checked(cause, expected_at, now), "state": State.OPEN.value, "opened_at": now, "opened_by": staff_id}
    _change(conn, before, changes, now, staff_id)
    return gather(conn, incident_id, now=now, staff_id=staff_id)


def amend(conn: Connection, incident_id: int, *, cause: str, expected_at: dt.datetime | None, now: dt.datetime,
          staff_id: int | None, version: int | None = None) -> None:  # fmt: skip
    """Says anew what is known of an open one. As ``begin``."""
    _change(conn, _held(conn, incident_id, version, State.OPEN), _checked(cause, expected_at, now), now, staff_id)


def gather(conn: Connection, incident_id: int, *, now: dt.datetime, staff_id: int | None) -> int:
    """The open appeals of the place that speak of it and have not joined yet do so: how many, the latest first, at
    most GATHERED_AT_ONCE. IllegalAction unless it is open."""
    found = _held(conn, incident_id, None, State.OPEN)
    ids = conn.execute(_outside(conn, found).order_by(appeal.c.id.desc()).limit(GATHERED_AT_ONCE)).scalars().all()
    for appeal_id in reversed(ids):
        join(conn, incident_id, appeal_id, now=now, staff_id=staff_id)
    return len(ids)


def outside(conn: Connection, incident_id: int, citizen_id: int | None = None) -> list[AppealLine]:
    """What ``gather`` would join (a citizen's own, if given), the latest first."""
    found = conn.execute(select(incident).where(incident.c.id == incident_id)).one_or_none()
    if found is None:
        raise NotFound("incident.unknown")
    ids = _outside(conn, found).order_by(appeal.c.id.desc()).limit(GATHERED_AT_ONCE)
    if citizen_id is not None:
        ids = ids.where(appeal.c.citizen_id == citizen_id)
    return appeals.lines(conn, conn.execute(ids).scalars().all())


def _outside(conn: Connection, found: Any) -> Select[Any]:
    chains = rulebook.current(conn, found.subject_id).routing.chains
    of_place = appeal.c.building_id == found.building_id
    if found.network_id is not None:
        of_place = appeal.c.building_id.in_(select(network_building.c.building_id)
                                            .where(network_building.c.network_id == found.network_id))  # fmt: skip
    return select(appeal.c.id).where(
        of_place, appeal.c.registered_at > found.proposed_at - dt.timedelta(hours=GATHERED_H),
        appeal.c.incident_id.is_(None), appeal.c.state.in_([state.value for state in life.OPEN]),
        appeal.c.subject_id.in_([id for id, chain in chains.items() if found.subject_id in chain]))  # fmt: skip


def join(conn: Connection, incident_id: int, appeal_id: int, *, now: dt.datetime, staff_id: int | None = None) -> None:
    """An open appeal joins an open incident. IllegalAction if either is not open, BadInput ``incident.joined`` if the
    appeal belongs to another; told again, nothing changes."""
    state = conn.execute(select(incident.c.state).where(incident.c.id == incident_id).with_for_update(read=True))
    _must_be(state.scalar(), State.OPEN)
    before = records.standing(conn, appeal_id)
    joined = conn.execute(select(appeal.c.incident_id).where(appeal.c.id == appeal_id)).scalar()
    if joined == incident_id:
        return
    if joined is not None:
        raise BadInput("incident.joined")
    records.move(conn, before, Action.JOIN, now=now, staff_id=staff_id, evidence={"incident": incident_id},
                 incident_id=incident_id)  # fmt: skip


def leave(conn: Connection, appeal_id: int, *, now: dt.datetime, staff_id: int | None = None) -> None:
    """It is another matter after all. BadInput ``incident.not_joined``; IllegalAction unless the appeal is open."""
    joined = conn.execute(select(appeal.c.incident_id).where(appeal.c.id == appeal_id)).scalar()
    if joined is None:
        raise BadInput("incident.not_joined")
    records.move(conn, records.standing(conn, appeal_id), Action.SPLIT, now=now, staff_id=staff_id,
                 evidence={"incident": joined}, incident_id=None)  # fmt: skip


def close(conn: Connection, incident_id: int, *, result: str, now: dt.datetime, staff_id: int | None,
          version: int | None = None) -> None:  # fmt: skip
    """It is over: its appeals are executed with ``result``, the first of them at once, the others by ``carry_on``.

    BadInput ``incident.no_result``; IllegalAction unless it is open; Stale.
    """
    result = texts.text(result, LONGEST)
    if not result:
        raise BadInput("incident.no_result")
    before = _held(conn, incident_id, version, State.OPEN)
    changes = {"state": State.CLOSING.value, "result": result, "closed_at": now, "closed_by": staff_id}
    _change(conn, before, changes, now, staff_id)
    carry_on(conn, now, incident_id)


def dismiss(conn: Connection, incident_id: int, *, reason: str, now: dt.datetime, staff_id: int | None,
            version: int | None = None) -> None:  # fmt: skip
    """It was none. What joined it goes on by itself: nothing was done to it. BadInput ``incident.no_reason``;
    IllegalAction for one that is over; Stale."""
    reason = texts.text(reason, LONGEST)
    if not reason:
        raise BadInput("incident.no_reason")
    before = _held(conn, incident_id, version, *LIVE)
    changes = {"state": State.DISMISSED.value, "result": reason, "closed_at": now, "closed_by": staff_id}
    _change(conn, before, changes, now, staff_id)


def report(conn: Connection, *, subject_id: int, text: str, now: dt.datetime, staff_id: int | None,
           building_id: int | None = None, place: str = "", linkedid: str = "") -> int:  # fmt: skip
    """Keeps what somebody without a name says of an emergency, with the incident of its place, which one such report
    is enough to propose: its id. The call is settled as such.

    BadInput ``incident.no_place``, ``incident.no_text``; NotFound for an unknown subject.
    """
    text, place = texts.text(text, LONGEST), texts.line(place, 200)
    if not text:
        raise BadInput("incident.no_text")
    if building_id is None and not place:
        raise BadInput("incident.no_place")
    book = rulebook.current(conn, subject_id)
    book.topic(subject_id)
    chains = book.routing.chains
    its_branch = branch(chains[subject_id])
    if building_id is not None:
        addresses.find_building(conn, building_id)
        known = [each.id for each in at(conn, building_id) if branch(chains[each.subject_id]) == its_branch]
        incident_id = known[0] if known else _propose(conn, Place(building_id), its_branch, now)
    else:
        incident_id = insert_row(conn, incident, {"state": State.PROPOSED.value, "subject_id": its_branch,
                                                  "proposed_at": now, "place": place})  # fmt: skip
    insert_row(conn, incident_report, {"incident_id": incident_id, "at": now, "linkedid": linkedid,
                                       "staff_id": staff_id, "text": text})  # fmt: skip
    if linkedid:
        calls.settle_by_itself(conn, texts.linkedid(linkedid), calls.Outcome.REPORTED, staff_id, now)
    return incident_id


# ── when it is over ──
_LEFT = select(appeal.c.id).where(
    appeal.c.incident_id == bindparam("incident"), appeal.c.state.in_([state.value for state in life.TO_ACT]),
    # One that came back since, because its applicant says that it is not solved, is not executed a second time.
    or_(appeal.c.executed_at.is_(None), appeal.c.executed_at < bindparam("closed_at")),
).order_by(appeal.c.id)  # fmt: skip


def carry_on(conn: Connection, now: dt.datetime, incident_id: int | None = None) -> bool:
    """Executes some of the appeals of an incident that is over (the oldest such, unless one is given), each with its
    confirmation, in this transaction. False when no incident was waiting for it.

    Whoever calls it until it says False has done all; who is interrupted goes on where he was.
    """
    over = select(incident.c.id, incident.c.result, incident.c.closed_at, incident.c.closed_by).where(
        incident.c.state == State.CLOSING.value)  # fmt: skip
    if incident_id is not None:
        over = over.where(incident.c.id == incident_id)
    found = conn.execute(over.order_by(incident.c.id).limit(1)).one_or_none()
    if found is None:
        return False
    asked = {"incident": found.id, "closed_at": found.closed_at}
    # What somebody else is writing at this moment is left for the next time.
    ids = conn.execute(_LEFT.limit(EXECUTED_AT_ONCE).with_for_update(skip_locked=True), asked).scalars().all()
    at = max(now, found.closed_at)  # a clock that was set back must not make it seem executed before
    for appeal_id in ids:
        if records.standing(conn, appeal_id).state in life.TO_ACT:  # not with its lead just now
            appeals.act(conn, appeal_id, Action.EXECUTE, now=at, staff_id=found.closed_by, note=found.result)
    if conn.execute(_LEFT.limit(1), asked).first() is None:
        conn.execute(update(incident).where(incident.c.id == found.id, incident.c.state == State.CLOSING.value)
                     .values(state=State.CLOSED.value, version=incident.c.version + 1))  # fmt: skip
    return True


def left(conn: Connection, found: Incident) -> int:
    """How many appeals of one that is closing are still to be executed."""
    waiting = select(func.count()).select_from(_LEFT.order_by(None).subquery())
    return int(conn.execute(waiting, {"incident": found.id, "closed_at": found.closed_at}).scalar_one())


# ── within ──
def _held(conn: Connection, incident_id: int, version: int | None = None, *states: State) -> Any:
    """The row, held until the transaction ends. NotFound, Stale; IllegalAction unless it is in one of ``states``."""
    row = conn.execute(select(incident).where(incident.c.id == incident_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound("incident.unknown")
    if version is not None and version != row.version:
        raise Stale("incident.stale")
    if states:
        _must_be(row.state, *states)
    return row


def _must_be(state: str | None, *states: State) -> None:
    if state is None:
        raise NotFound("incident.unknown")
    if state not in states:
        raise IllegalAction("incident.illegal_action", state=state)


def _checked(cause: str, expected_at: dt.datetime | None, now: dt.datetime) -> dict[str, Any]:
    cause = texts.text(cause, LONGEST)
    if not cause:
        raise BadInput("incident.no_cause")
    if expected_at is not None and expected_at <= now:
        raise BadInput("incident.past")
    return {"cause": cause, "expected_at": expected_at}


def _change(conn: Connection, before: Any, changes: Mapping[str, Any], now: dt.datetime, staff_id: int | None) -> None:
    conn.execute(update(incident).where(incident.c.id == before.id).values(**changes, version=before.version + 1))

    def plain(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in values.items()}

    log_edit(conn, now=now, staff_id=staff_id, what="incident", key=before.id,
             before=plain({name: before._mapping[name] for name in changes}), after=plain(changes))
