"""The rules in force, read once and kept until somebody edits them.

Whoever changes a subject, a department, the calendar, a term, a network or the routing says so in ``edit_log`` in
the same transaction (``log_edit``): the log's last line tells whether what was read is still so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, bindparam, func, select

from crm import calendar, law_settings
from crm.calendar import Calendar
from crm.edits import log_edit as log_edit
from crm.errors import NotFound
from crm.law import Terms
from crm.routing import Office, Place, Rule, Rules
from crm.schema import building, department, edit_log, network_building, routing_rule, routing_version, subject
from crm.store import Statement


@dataclass(frozen=True, slots=True)
class Topic:
    """What registering must know of a subject. ``term_days``: None is a month. ``active``: with all above it."""

    department_id: int
    kind: str
    term_days: int | None
    active: bool


@dataclass(frozen=True, slots=True)
class Rulebook:
    stamp: int  # the edit after which it was read
    calendar: Calendar
    terms: Terms
    topics: Mapping[int, Topic]
    routing: Rules

    def topic(self, subject_id: int) -> Topic:
        """NotFound for a subject that there is not."""
        if subject_id not in self.topics:
            raise NotFound("subject.unknown")
        return self.topics[subject_id]


_STAMP = Statement(select(func.max(edit_log.c.id)))
_read: WeakKeyDictionary[Engine, Rulebook] = WeakKeyDictionary()


def current(conn: Connection, subject_id: int | None = None) -> Rulebook:
    """The rules in force. With ``subject_id``, read anew if they do not know it: it may have been added just now."""
    stamp = _STAMP.value(conn, {}) or 0
    kept = _read.get(conn.engine)
    if kept is None or kept.stamp != stamp or (subject_id is not None and subject_id not in kept.topics):
        kept = _read[conn.engine] = read(conn, stamp)
    return kept


def read(conn: Connection, stamp: int = 0, version_id: int | None = None) -> Rulebook:
    """The rules with this edition of the routing: the live one, or (to try a draft) ``version_id``."""
    s, d, r = subject.c, department.c, routing_rule.c
    rows = conn.execute(select(s.id, s.parent_id, s.department_id, s.kind, s.term_days, s.active)).all()
    parents, active = {row.id: row.parent_id for row in rows}, {row.id: row.active for row in rows}
    chains = {row.id: _chain(row.id, parents) for row in rows}
    offices = conn.execute(select(d.id, d.superior_id, d.active, d.is_desk, d.kind == "outside")).all()
    if version_id is None:
        version_id = conn.execute(select(routing_version.c.id).where(routing_version.c.state == "live")).scalar()
    rules = conn.execute(select(r.id, r.subject_id, r.district_id, r.network_id, r.building_id, r.department_id)
                         .where(r.version_id == version_id).order_by(r.id)).all()  # fmt: skip
    return Rulebook(
        stamp, calendar.load(conn), law_settings.load(conn),
        {row.id: Topic(row.department_id, row.kind, row.term_days, all(active[id] for id in chains[row.id]))
         for row in rows},
        Rules([Rule(*row) for row in rules], {row.id: Office(*row) for row in offices},
              chains, {row.id: row.department_id for row in rows}, version_id),
    )  # fmt: skip


def _chain(subject_id: int, parents: Mapping[int, int | None]) -> tuple[int, ...]:
    """The subject and those above it; one that is its own ancestor ends where it begins again."""
    chain: list[int] = []
    at: int | None = subject_id
    while at is not None and at not in chain:
        chain.append(at)
        at = parents.get(at)
    return tuple(chain)


_DISTRICT = Statement(select(building.c.district_id).where(building.c.id == bindparam("building")))


def place(conn: Connection, rules: Rules, building_id: int | None, district_id: int | None = None) -> Place:
    """Where a building is; its networks only if a rule asks for them. NotFound for an unknown building."""
    if building_id is None:
        return Place(None, district_id)
    its_district = _DISTRICT.value(conn, {"building": building_id})
    if its_district is None:
        raise NotFound("building.unknown")
    networks: frozenset[int] = frozenset()
    if rules.by_network:
        networks = frozenset(conn.execute(select(network_building.c.network_id)
                                          .where(network_building.c.building_id == building_id)).scalars())  # fmt: skip
    return Place(building_id, its_district, networks)
