"""The city's sample data: districts, streets and their old names, departments, subjects, rules, networks,
what an operator knows, programmes.

People are not among it: an account with a known password would be a way in.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select, update

from crm import addresses
from crm.edits import log_edit
from crm.schema import (
    building,
    department,
    district,
    edit_log,
    escalation,
    network,
    network_building,
    routing_rule,
    routing_version,
    street,
    subject,
)
from crm.seed import knowledge
from crm.store import insert_or_ignore, insert_row


def load_seed(conn: Connection, now: dt.datetime) -> None:
    """Adds what is missing; what is there already stays as it is. The same files are read in once only: what the city
    has renamed or taken away since does not come back."""
    files = {path.name: path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.toml"))}
    mark = hashlib.sha256(b"\0".join(files.values())).hexdigest()
    if conn.execute(select(1).where(edit_log.c.what == "seed", edit_log.c.record_key == mark)).first() is not None:
        return
    data = {name: tomllib.loads(text.decode()) for name, text in files.items()}
    _city(conn, data["city.toml"])
    _departments(conn, data["departments.toml"])
    _routes(conn, data["departments.toml"], now)
    _networks(conn, data["networks.toml"])
    knowledge.load(conn, data["knowledge.toml"], data["programmes.toml"], now)
    _law(conn, data["law.toml"])
    log_edit(conn, now=now, staff_id=None, what="seed", key=mark, before=None, after=None)


def _city(conn: Connection, city: dict[str, Any]) -> None:
    districts = {row["uk"]: addresses.add_district(conn, row["uk"], row["en"]) for row in city["districts"]}
    for row in city["streets"]:
        street_id = addresses.add_street(conn, row["name"], row.get("old", ()))
        for number in row["buildings"]:
            addresses.add_building(conn, street_id, number, districts[row["district"]])


def _departments(conn: Connection, data: dict[str, Any]) -> None:
    bodies = [*data["departments"], *_of_districts(data["districts"])]
    added = {row["name"] for row in bodies if insert_or_ignore(conn, department, {
        "name": row["name"], "kind": row.get("kind", "city"), "is_desk": row["name"] == data["desk"]})}  # fmt: skip
    ids = {row.name: row.id for row in conn.execute(select(department.c.name, department.c.id))}
    for row in bodies:
        if row["name"] in added and "superior" in row:
            conn.execute(update(department).where(department.c.id == ids[row["name"]])
                         .values(superior_id=ids[row["superior"]]))  # fmt: skip
    known = {row.name_uk: row.id for row in conn.execute(select(subject.c.name_uk, subject.c.id))}
    _subjects(conn, data, data["subjects"], None, "", ids, known)


def _of_districts(districts: Iterable[dict[str, str]]) -> Iterator[dict[str, str]]:
    for row in districts:
        yield {"name": row["administration"], "kind": "district",
               "superior": "Виконавчий орган Київської міської ради (КМДА)"}  # fmt: skip
        yield {"name": row["management"], "kind": "utility", "superior": row["administration"]}


def _subjects(conn: Connection, data: dict[str, Any], rows: Iterable[dict[str, Any]], parent_id: int | None,
              above: str, departments: dict[str, int], known: dict[str, int]) -> None:  # fmt: skip
    """A subject without a department has the one ``above`` it."""
    for row in rows:
        responsible = row.get("department", above)
        if row["uk"] not in known:
            known[row["uk"]] = insert_row(conn, subject, {
                "parent_id": parent_id, "name_uk": row["uk"], "name_en": row["en"],
                "department_id": departments[responsible], "term_days": row.get("days"),
                "kind": row.get("kind", "application"),
                "phrases": "\n".join(data["phrases"].get(row["uk"], ()))})  # fmt: skip
        _subjects(conn, data, row.get("below", ()), known[row["uk"]], responsible, departments, known)


def _routes(conn: Connection, data: dict[str, Any], now: dt.datetime) -> None:
    """The first edition of the rules, live; none where the city has one."""
    if conn.execute(select(1).select_from(routing_version)).first() is not None:
        return
    departments = {row.name: row.id for row in conn.execute(select(department.c.name, department.c.id))}
    districts = {row.name_uk: row.id for row in conn.execute(select(district.c.name_uk, district.c.id))}
    subjects = {row.name_uk: row.id for row in conn.execute(select(subject.c.name_uk, subject.c.id))}
    version_id = insert_row(conn, routing_version, {"state": "live", "note": "Зразок: правила за районами",
                                                    "made_at": now, "live_at": now})  # fmt: skip
    conn.execute(insert(routing_rule), [
        {"version_id": version_id, "subject_id": subjects[name], "district_id": districts[row["name"]],
         "department_id": departments[row[route["to"]]]}
        for route in data["routes"] for name in route["subjects"] for row in data["districts"]])  # fmt: skip


def _networks(conn: Connection, data: dict[str, Any]) -> None:
    rows = conn.execute(select(street.c.name, building.c.number, building.c.id).join(street))
    buildings = {(row.name, row.number): row.id for row in rows}
    for row in data["networks"]:
        if insert_or_ignore(conn, network, {"kind": row["kind"], "name": row["name"]}):
            network_id = conn.execute(select(network.c.id).filter_by(kind=row["kind"], name=row["name"])).scalar_one()
            conn.execute(insert(network_building), [
                {"network_id": network_id, "building_id": buildings[part["street"], number]}
                for part in row["buildings"] for number in part["numbers"]])  # fmt: skip


def _law(conn: Connection, data: dict[str, Any]) -> None:
    """Who is told of deadlines; left as it is where the city has said it."""
    if conn.execute(select(1).select_from(escalation)).first() is None:
        conn.execute(insert(escalation), data["escalation"])
