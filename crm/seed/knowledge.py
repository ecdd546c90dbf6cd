"""The sample articles, answers, directory and programmes. What is there already, by its Ukrainian name, stays."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Connection, insert, select

from crm.schema import (
    answer_template,
    article,
    building,
    contact,
    district,
    programme,
    programme_building,
    street,
    subject,
)
from crm.store import insert_or_ignore, insert_row

SOURCE = "Зразок: перед роботою замінюється текстом міста"


def load(conn: Connection, knowledge: dict[str, Any], programmes: dict[str, Any], now: dt.datetime) -> None:
    """After the districts, the buildings and the subjects."""
    subjects = {row.name_uk: row.id for row in conn.execute(select(subject.c.name_uk, subject.c.id))}
    known = set(conn.execute(select(article.c.title_uk)).scalars())
    for row in knowledge["articles"]:
        if row["uk"] not in known:
            conn.execute(insert(article), {
                "title_uk": row["uk"], "title_en": row["en"], "body_uk": row["body_uk"].strip(),
                "body_en": row["body_en"].strip(), "keywords": row["keywords"],
                "subject_id": subjects[row["subject"]] if "subject" in row else None, "source": SOURCE,
                "updated_at": now})  # fmt: skip
    for row in knowledge["replies"]:
        insert_or_ignore(conn, answer_template, {"name": row["name"], "text_uk": row["uk"].strip(),
                                                 "text_en": row["en"].strip()})  # fmt: skip
    _contacts(conn, knowledge)
    _programmes(conn, programmes, subjects)


def _contacts(conn: Connection, data: dict[str, Any]) -> None:
    districts = conn.execute(select(district.c.id).order_by(district.c.name_uk)).scalars()
    each = data["dispatchers"]
    rows = [*data["contacts"], *({**each, "kind": "dispatcher", "phone": each["phone"].format(order=order),
                                  "district_id": id} for order, id in enumerate(districts, 1))]  # fmt: skip
    known = {(row.name_uk, row.district_id) for row in conn.execute(select(contact.c.name_uk, contact.c.district_id))}
    for row in rows:
        if (row["uk"], row.get("district_id")) not in known:
            conn.execute(insert(contact), {
                "name_uk": row["uk"], "name_en": row["en"], "kind": row["kind"], "phone": row["phone"],
                "hours": row.get("hours", ""), "district_id": row.get("district_id"),
                "keywords": row["keywords"]})  # fmt: skip


def _programmes(conn: Connection, data: dict[str, Any], subjects: dict[str, int]) -> None:
    rows = conn.execute(select(street.c.name, building.c.number, building.c.id).join(street))
    buildings = {(row.name, row.number): row.id for row in rows}
    known = set(conn.execute(select(programme.c.name_uk)).scalars())
    for row in data["programmes"]:
        if row["uk"] in known:
            continue
        programme_id = insert_row(conn, programme, {
            "name_uk": row["uk"], "name_en": row["en"], "about_uk": row["about_uk"], "about_en": row["about_en"],
            "ground": row["ground"], "subject_id": subjects[row["subject"]]})  # fmt: skip
        conn.execute(insert(programme_building), [
            {"programme_id": programme_id, "building_id": buildings[part["street"], number], "year": year}
            for part in row["buildings"] for number, year in part["years"].items()])  # fmt: skip
