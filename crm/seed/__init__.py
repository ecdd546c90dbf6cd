"""The city's sample data: districts, streets and their old names, departments, subjects.

People are not among it: an account with a known password would be a way in.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from crm import addresses, rulebook
from crm.schema import department, subject
from crm.store import insert_or_ignore, insert_row


def load_seed(conn: Connection, now: dt.datetime) -> None:
    """Adds what is missing; what is there already stays as it is."""
    _city(conn, _read("city.toml"))
    _departments(conn, _read("departments.toml"))
    rulebook.log_edit(conn, now=now, staff_id=None, what="seed", key="", before=None, after=None)


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))


def _city(conn: Connection, city: dict[str, Any]) -> None:
    districts = {row["uk"]: addresses.add_district(conn, row["uk"], row["en"]) for row in city["districts"]}
    for row in city["streets"]:
        street_id = addresses.add_street(conn, row["name"], row.get("old", ()))
        for number in row["buildings"]:
            addresses.add_building(conn, street_id, number, districts[row["district"]])


def _departments(conn: Connection, data: dict[str, Any]) -> None:
    for name in data["departments"]:
        insert_or_ignore(conn, department, {"name": name})
    ids = {row.name: row.id for row in conn.execute(select(department.c.name, department.c.id))}
    for group in data["groups"]:
        parent_id = _subject(conn, None, group, ids[group["department"]])
        for row in group["subjects"]:
            _subject(conn, parent_id, row, ids[row.get("department", group["department"])])


def _subject(conn: Connection, parent_id: int | None, row: dict[str, Any], department_id: int) -> int:
    known = conn.execute(select(subject.c.id).where(subject.c.parent_id.is_not_distinct_from(parent_id),
                                                    subject.c.name_uk == row["uk"])).scalar()  # fmt: skip
    if known is not None:
        return int(known)
    return insert_row(conn, subject, {"parent_id": parent_id, "name_uk": row["uk"], "name_en": row["en"],
                                      "department_id": department_id, "term_days": row.get("days")})  # fmt: skip
