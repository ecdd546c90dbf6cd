"""Buildings fed by one boiler house, substation or pump, or that share a lift shaft or a staircase."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select

from crm import texts
from crm.edits import log_edit
from crm.errors import BadInput, NotFound
from crm.schema import building, network, network_building
from crm.store import Statement, insert_row

KINDS = ("heat", "water", "power", "lift", "stairs")


@dataclass(frozen=True, slots=True)
class Network:
    id: int
    kind: str  # of KINDS
    name: str


_OF_BUILDING = Statement(
    select(network.c.id, network.c.kind, network.c.name).join(network_building)
    .where(network_building.c.building_id == bindparam("building")).order_by(network.c.id))  # fmt: skip


def of_building(conn: Connection, building_id: int) -> list[Network]:
    """Those that the building is on."""
    return [Network(*row) for row in _OF_BUILDING(conn, {"building": building_id})]


def networks(conn: Connection) -> list[Network]:
    """All, by kind and name."""
    rows = conn.execute(select(network.c.id, network.c.kind, network.c.name).order_by(network.c.kind, network.c.name))
    return [Network(*row) for row in rows]


def get(conn: Connection, network_id: int) -> Network:
    """NotFound if there is none."""
    row = conn.execute(select(network.c.id, network.c.kind, network.c.name).where(network.c.id == network_id)).first()
    if row is None:
        raise NotFound("network.unknown")
    return Network(*row)


def add(conn: Connection, kind: str, name: str, *, now: dt.datetime, staff_id: int | None = None) -> int:
    """The network's id, a known one's too. BadInput for a kind of nothing, or no name."""
    name = texts.line(name, 120)
    if kind not in KINDS:
        raise BadInput("network.kind")
    if not name:
        raise BadInput("network.no_name")
    known = conn.execute(select(network.c.id).where(network.c.kind == kind, network.c.name == name)).scalar()
    if known is not None:
        return int(known)
    made = insert_row(conn, network, {"kind": kind, "name": name})
    log_edit(conn, now=now, staff_id=staff_id, what="network", key=made, before=None,
             after={"kind": kind, "name": name})  # fmt: skip
    return made


def put(conn: Connection, network_id: int, building_ids: Collection[int], *, now: dt.datetime,
        staff_id: int | None = None) -> None:  # fmt: skip
    """Says which buildings it has: these and no others. NotFound for no such network or building."""
    get(conn, network_id)
    wanted = set(building_ids)
    if wanted - set(conn.execute(select(building.c.id).where(building.c.id.in_(wanted))).scalars()):
        raise NotFound("building.unknown")
    on_it = network_building.c.network_id == network_id
    had = set(conn.execute(select(network_building.c.building_id).where(on_it)).scalars())
    if had - wanted:
        conn.execute(delete(network_building).where(on_it, network_building.c.building_id.in_(had - wanted)))
    if wanted - had:
        conn.execute(insert(network_building),
                     [{"network_id": network_id, "building_id": each} for each in sorted(wanted - had)])
    if wanted != had:
        log_edit(conn, now=now, staff_id=staff_id, what="network", key=network_id,
                 before={"buildings": sorted(had)}, after={"buildings": sorted(wanted)})  # fmt: skip
