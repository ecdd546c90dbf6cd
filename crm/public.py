"""What everybody may see of an appeal: what it is about, roughly where, how far it has come; nothing of whose it is.

Never its text, a note, a name, a number to call, a building, a flat, a place in words, a file. Its street only where
that leads to no house: where the street has fewer than ``suppression.LEAST`` buildings in its district, it is left out.
Complaints about persons and departments are not shown at all, nor what is left of an appeal whose applicant was erased.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, false, func, select, tuple_

from crm import life
from crm.law import Kind
from crm.life import State
from crm.schema import appeal, appeal_event, building, citizen, department, district, street, subject
from crm.suppression import LEAST

# How far it has come, in everybody's words; each state is in one.
STAGES: dict[str, frozenset[State]] = {
    "accepted": frozenset({State.REGISTERED, State.ASSIGNED}),
    "in_work": frozenset({State.IN_WORK, State.RETURNED, State.CONTROL}),
    "planned": frozenset({State.PLANNED}),
    "executed": frozenset({State.EXECUTED, State.AWAITING}),  # says the department; the resident has not yet
    "solved": frozenset({State.CLOSED}),  # says the resident
    "unconfirmed": frozenset({State.UNCONFIRMED}),
    "explained": frozenset({State.EXPLAINED}),
    "forwarded": frozenset({State.FORWARDED}),
    "refused": frozenset({State.REFUSED, State.DEFECTIVE}),
    "withdrawn": frozenset({State.WITHDRAWN}),
}
_STAGE_OF = {state: stage for stage, states in STAGES.items() for state in states}
OPEN = frozenset(State) - life.ENDED


class PublicAppeal(NamedTuple):
    """An appeal as everybody may see it. ``district_…``, ``street``: "" where there is none to show. ``updated_at``:
    when its state last changed."""

    number: int
    subject_id: int
    subject_uk: str
    subject_en: str
    district_id: int | None
    district_uk: str
    district_en: str
    street: str
    department: str
    channel: str
    state: State
    registered_at: dt.datetime
    updated_at: dt.datetime
    due_at: dt.datetime

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def stage(self) -> str:
        """One of STAGES."""
        return stage_of(self.state)


def stage_of(state: State) -> str:
    """One of STAGES."""
    return _STAGE_OF[state]


def _among_many() -> ColumnElement[bool]:
    """Whether the building's street has so many in the same district that it leads to none of them."""
    near = building.alias()
    same = near.c.street_id == building.c.street_id, near.c.district_id == building.c.district_id
    enough = select(near.c.id).where(*same).offset(LEAST - 1).limit(1)
    return enough.correlate(building).scalar_subquery().is_not(None)


_e = appeal_event.c
_UPDATED = (select(func.max(_e.at)).where(_e.appeal_id == appeal.c.id, _e.from_state != _e.to_state)
            .correlate(appeal).scalar_subquery())  # fmt: skip


def requests(conn: Connection, *, numbers: Collection[int] = (), subject_ids: Collection[int] = (),
             district_id: int | None = None, stage: str = "", is_open: bool | None = None,
             since: dt.datetime | None = None, until: dt.datetime | None = None, limit: int,
             after: int | None = None) -> list[PublicAppeal]:  # fmt: skip
    """What matches all that is given, newest first. ``since``, ``until``: registered from the one, before the other.
    ``stage``: one of STAGES. ``after``: the number of the last one of the part before.

    It walks back by the time of registration, so that something rare takes as long as the time in which it is looked
    for: a month of 75,000 appeals some 30 ms. Who lets strangers ask says ``since``.
    """
    a = appeal.c
    found = select(a.id, a.registered_at).where(may_be_shown())
    states = set(STAGES[stage]) if stage else set(State)
    if is_open is not None:
        states &= OPEN if is_open else life.ENDED
    for given, column in ((numbers, a.number), (subject_ids, a.subject_id)):
        if given:
            found = found.where(column.in_(sorted(given)))
    if district_id is not None:
        found = found.where(a.district_id == district_id)
    if len(states) < len(State):  # not by the state's index: most are in one, and all these would have to be sorted
        found = found.where(a.state.concat("").in_(sorted(state.value for state in states)))
    if since is not None:
        found = found.where(a.registered_at >= since)
    if until is not None:
        found = found.where(a.registered_at < until)
    if after is not None:
        last = conn.execute(select(a.registered_at, a.id).where(a.number == after)).one_or_none()
        found = found.where(false() if last is None else tuple_(a.registered_at, a.id) < tuple(last))
    found = found.order_by(a.registered_at.desc(), a.id.desc()).limit(limit)
    return [PublicAppeal._make((*row[:10], State(row[10]), *row[11:])) for row in conn.execute(_shown(found))]


def request(conn: Connection, number: int) -> PublicAppeal | None:
    """The one with this number; None if there is none, or none for everybody."""
    return next(iter(requests(conn, numbers=[number], limit=1)), None)


def may_be_shown() -> ColumnElement[bool]:
    """Which appeals everybody may see, and are counted in what is published: what is left out of the one and not of the
    other could be worked out by subtraction."""
    a = appeal.c
    erased_at = select(citizen.c.erased_at).where(citizen.c.id == a.citizen_id).scalar_subquery()
    return and_(a.kind != Kind.COMPLAINT.value, a.against_id.is_(None), erased_at.is_(None))


def _shown(found: Select[Any]) -> Select[Any]:
    """What is shown of those that were found: of no more than these is anything looked up."""
    a, part = appeal.c, found.subquery("part")
    return (
        select(a.number, a.subject_id, subject.c.name_uk, subject.c.name_en, a.district_id,
               func.coalesce(district.c.name_uk, ""), func.coalesce(district.c.name_en, ""),
               func.coalesce(street.c.name, ""), department.c.name, a.channel, a.state, a.registered_at,
               func.coalesce(_UPDATED, a.registered_at), a.due_at)
        .select_from(part).join(appeal, a.id == part.c.id)
        .join(subject, a.subject_id == subject.c.id).join(department, a.department_id == department.c.id)
        .join(district, a.district_id == district.c.id, isouter=True)
        .join(building, a.building_id == building.c.id, isouter=True)
        .join(street, and_(building.c.street_id == street.c.id, _among_many()), isouter=True)
        .order_by(part.c.registered_at.desc(), part.c.id.desc())
    )  # fmt: skip

