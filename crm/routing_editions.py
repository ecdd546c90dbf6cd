"""Editions of the routing: one is live, the next is drafted from it, tried, and published in its place.

What was live is never changed: an appeal names the edition that routed it. Every change is in ``edit_log``.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, literal, select, update

from crm import routing, rulebook, texts
from crm.edits import log_edit
from crm.errors import BadInput, IllegalAction, NotFound, Stale
from crm.routing import Decision, Place, Rules
from crm.schema import (
    appeal,
    building,
    department,
    district,
    network,
    network_building,
    routing_rule,
    routing_version,
    street,
    subject,
)
from crm.store import insert_row

LONGEST_NOTE = 200


@dataclass(frozen=True, slots=True)
class Edition:
    """``state``: draft, live, retired, dropped. ``base_id``: what was live when it was drafted. ``rules``: how many."""

    id: int
    state: str
    base_id: int | None
    note: str
    made_by: int | None
    made_at: dt.datetime
    live_at: dt.datetime | None
    rules: int


@dataclass(frozen=True, slots=True)
class Line:
    """A rule as people read it: "" where it does not ask."""

    id: int
    subject_id: int | None
    subject_uk: str
    subject_en: str
    district_id: int | None
    district_uk: str
    district_en: str
    network_id: int | None
    network: str
    building_id: int | None
    street: str
    number: str
    department_id: int
    department: str


@dataclass(frozen=True, slots=True)
class Moved:
    """An appeal that the draft would give to somebody else than the live edition does."""

    number: int
    subject_id: int
    live: Decision
    draft: Decision


_EDITIONS: Select[Any] = (
    select(*(routing_version.c[name] for name in ("id", "state", "base_id", "note", "made_by", "made_at", "live_at")),
           select(func.count()).where(routing_rule.c.version_id == routing_version.c.id).scalar_subquery())
    .order_by(routing_version.c.id.desc())
)  # fmt: skip
_LIVE = select(routing_version.c.id).where(routing_version.c.state == "live")
_ALL_HELD = (select(routing_version.c.id).where(routing_version.c.state.in_(("draft", "live")))
             .order_by(routing_version.c.id).with_for_update())  # fmt: skip


def editions(conn: Connection, limit: int = 50) -> list[Edition]:
    """Newest first; those that were dropped are left out."""
    return [Edition(*row) for row in conn.execute(_EDITIONS.where(routing_version.c.state != "dropped").limit(limit))]


def get(conn: Connection, version_id: int) -> Edition:
    """NotFound if there is none."""
    row = conn.execute(_EDITIONS.where(routing_version.c.id == version_id)).one_or_none()
    if row is None:
        raise NotFound("routing.unknown")
    return Edition(*row)


def lines(conn: Connection, version_id: int) -> list[Line]:
    """The edition's rules: by subject, then by place."""
    r = routing_rule.c
    rows: Iterable[Any] = conn.execute(
        select(r.id, r.subject_id, *_said(subject.c.name_uk, subject.c.name_en),
               r.district_id, *_said(district.c.name_uk, district.c.name_en),
               r.network_id, *_said(network.c.name), r.building_id, *_said(street.c.name, building.c.number),
               r.department_id, department.c.name)
        .select_from(routing_rule).join(department)
        .join(subject, r.subject_id == subject.c.id, isouter=True)
        .join(district, r.district_id == district.c.id, isouter=True)
        .join(network, r.network_id == network.c.id, isouter=True)
        .join(building, r.building_id == building.c.id, isouter=True)
        .join(street, building.c.street_id == street.c.id, isouter=True)
        .where(r.version_id == version_id)
        .order_by(subject.c.name_uk, r.subject_id, district.c.name_uk, network.c.name, street.c.name, r.id)
    )  # fmt: skip
    return [Line(*row) for row in rows]


def _said(*columns: Any) -> Iterable[Any]:
    return (func.coalesce(column, "") for column in columns)


def draft(conn: Connection, *, note: str, now: dt.datetime, staff_id: int | None) -> int:
    """A new draft with the rules of the live edition; its id. BadInput for a note that is empty or too long."""
    note = texts.line(note, LONGEST_NOTE)
    if not note:
        raise BadInput("routing.needs_note")
    base_id = conn.execute(_LIVE).scalar()
    version_id = insert_row(conn, routing_version, {"state": "draft", "base_id": base_id, "note": note,
                                                    "made_by": staff_id, "made_at": now})  # fmt: skip
    columns = ("subject_id", "district_id", "network_id", "building_id", "department_id")
    conn.execute(insert(routing_rule).from_select(["version_id", *columns], select(
        literal(version_id), *(routing_rule.c[name] for name in columns))
        .where(routing_rule.c.version_id == base_id).order_by(routing_rule.c.id)))  # fmt: skip
    _log(conn, version_id, now, staff_id, None, {"state": "draft", "base_id": base_id, "note": note})
    return version_id


def add_rule(conn: Connection, version_id: int, *, department_id: int, subject_id: int | None = None,
             district_id: int | None = None, network_id: int | None = None, building_id: int | None = None,
             now: dt.datetime, staff_id: int | None) -> int:  # fmt: skip
    """A rule of a draft; its id. IllegalAction if the edition is no draft; NotFound for what there is not; BadInput
    for a rule that asks nothing, one that the draft has, and a department that is outside the city or inactive."""
    _must_be_draft(conn, version_id)
    asked = {"subject_id": subject_id, "district_id": district_id, "network_id": network_id,
             "building_id": building_id}  # fmt: skip
    if not any(asked.values()):
        raise BadInput("routing.empty_rule")
    for table, given in ((subject, subject_id), (district, district_id), (network, network_id),
                         (building, building_id)):  # fmt: skip
        if given is not None and conn.execute(select(1).where(table.c.id == given)).first() is None:
            raise NotFound(f"{table.name}.unknown")
    taker = conn.execute(select(department.c.kind, department.c.active)
                         .where(department.c.id == department_id)).one_or_none()  # fmt: skip
    if taker is None:
        raise NotFound("department.unknown")
    if not taker.active or taker.kind == "outside":
        raise BadInput("routing.cannot_take")
    same = [routing_rule.c[name].is_not_distinct_from(value) for name, value in asked.items()]
    if conn.execute(select(1).where(routing_rule.c.version_id == version_id, *same)).first() is not None:
        raise BadInput("routing.same_rule")
    values = {**asked, "department_id": department_id}
    rule_id = insert_row(conn, routing_rule, {"version_id": version_id, **values})
    _log(conn, version_id, now, staff_id, None, {"rule": rule_id, **values})
    return rule_id


def drop_rule(conn: Connection, version_id: int, rule_id: int, *, now: dt.datetime, staff_id: int | None) -> None:
    """Takes a rule out of a draft. IllegalAction if the edition is no draft, NotFound for a rule that is not its."""
    _must_be_draft(conn, version_id)
    its = (routing_rule.c.id == rule_id, routing_rule.c.version_id == version_id)
    row = conn.execute(select(routing_rule).where(*its)).mappings().one_or_none()
    if row is None:
        raise NotFound("routing.unknown_rule")
    conn.execute(delete(routing_rule).where(*its))
    _log(conn, version_id, now, staff_id, {"rule": rule_id, **{name: row[name] for name in (
        "subject_id", "district_id", "network_id", "building_id", "department_id")}}, None)  # fmt: skip


def publish(conn: Connection, version_id: int, *, now: dt.datetime, staff_id: int | None) -> None:
    """The draft becomes the live edition and the one that was live is retired, both or neither.

    IllegalAction if it is no draft; Stale if another edition has gone live since it was drafted: nobody's rules are
    undone unseen.
    """
    conn.execute(_ALL_HELD)  # two who publish take turns, the first edition of all too
    edition = _must_be_draft(conn, version_id)
    live = conn.execute(_LIVE).scalar()
    if live != edition.base_id:
        raise Stale("routing.stale")
    if live is not None:
        _set_state(conn, live, "retired")
    _set_state(conn, version_id, "live", live_at=now)
    _log(conn, version_id, now, staff_id, {"state": "draft", "live": live}, {"state": "live"})


def drop(conn: Connection, version_id: int, *, now: dt.datetime, staff_id: int | None) -> None:
    """Gives a draft up; it stays on record. IllegalAction if it is no draft."""
    _must_be_draft(conn, version_id)
    _set_state(conn, version_id, "dropped")
    _log(conn, version_id, now, staff_id, {"state": "draft"}, {"state": "dropped"})


def _must_be_draft(conn: Connection, version_id: int) -> Edition:
    """Held until the transaction ends, so that nobody edits what another publishes at the same moment."""
    conn.execute(select(routing_version.c.id).where(routing_version.c.id == version_id).with_for_update())
    edition = get(conn, version_id)
    if edition.state != "draft":
        raise IllegalAction("routing.not_a_draft")
    return edition


def _set_state(conn: Connection, version_id: int, state: str, **values: object) -> None:
    conn.execute(update(routing_version).where(routing_version.c.id == version_id).values(state=state, **values))


def _log(conn: Connection, version_id: int, now: dt.datetime, staff_id: int | None, before: Mapping[str, Any] | None,
         after: Mapping[str, Any] | None) -> None:  # fmt: skip
    log_edit(conn, now=now, staff_id=staff_id, what="routing", key=version_id, before=before, after=after)


def compare(conn: Connection, version_id: int, last: int = 1000) -> tuple[int, list[Moved]]:
    """How many of the last appeals were tried, and those that this edition would give to somebody else than the live
    one does, newest first."""
    live, other = rulebook.read(conn).routing, rulebook.read(conn, version_id=version_id).routing
    a = appeal.c
    rows = conn.execute(select(a.number, a.subject_id, a.building_id, a.district_id, a.against_id)
                        .order_by(a.id.desc()).limit(last)).all()  # fmt: skip
    networks = _networks(conn, {row.building_id for row in rows if row.building_id}, live, other)
    moved = []
    for row in rows:
        place = Place(row.building_id, row.district_id, frozenset(networks.get(row.building_id, ())))
        now, then = (routing.decide(rules, row.subject_id, place, row.against_id) for rules in (live, other))
        if now.department_id != then.department_id:
            moved.append(Moved(row.number, row.subject_id, now, then))
    return len(rows), moved


def _networks(conn: Connection, buildings: set[int], *editions: Rules) -> Mapping[int, list[int]]:
    """Building → its networks; nothing where no rule asks for them."""
    found: dict[int, list[int]] = defaultdict(list)
    if any(rules.by_network for rules in editions):
        for row in conn.execute(select(network_building).where(network_building.c.building_id.in_(buildings))):
            found[row.building_id].append(row.network_id)
    return found
