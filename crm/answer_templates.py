"""What a specialist answers often: kept once, filled in with the name and the number of whoever is answered."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from sqlalchemy import Connection, select

from crm import edits, texts
from crm.errors import BadInput, NotFound
from crm.schema import answer_template

NAME_MOST, TEXT_MOST = 120, 2000
GAPS = ("name", "number")  # what is filled in, as it stands in a text: {name}
_GAP = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """``text_en``: "" until translated."""

    id: int
    name: str
    text_uk: str
    text_en: str
    active: bool
    version: int


_t = answer_template.c
_ALL = select(_t.id, _t.name, _t.text_uk, _t.text_en, _t.active, _t.version).order_by(_t.name, _t.id)


def listed(conn: Connection, *, withdrawn: bool = False) -> list[Template]:
    """By name; ``withdrawn``: with those that are offered no more."""
    return [Template(*row) for row in conn.execute(_ALL if withdrawn else _ALL.where(_t.active))]


def get(conn: Connection, template_id: int) -> Template:
    """NotFound ``edit.unknown``."""
    row = conn.execute(_ALL.where(_t.id == template_id)).one_or_none()
    if row is None:
        raise NotFound("edit.unknown")
    return Template(*row)


def save(conn: Connection, template_id: int | None, version: int | None, *, name: str, text_uk: str, text_en: str,
         active: bool, now: dt.datetime, staff_id: int | None) -> int:  # fmt: skip
    """Adds one, or changes it as it was seen: its id. BadInput ``answer_template.empty`` without a name or a Ukrainian
    text, ``answer_template.known`` for a name that another has, ``answer_template.gap`` for one that nothing fills."""
    name = texts.line(name, NAME_MOST)
    values = {"name": name, "text_uk": texts.text(text_uk, TEXT_MOST), "text_en": texts.text(text_en, TEXT_MOST),
              "active": active}  # fmt: skip
    if not name or not values["text_uk"]:
        raise BadInput("answer_template.empty")
    for gap in _GAP.findall(f"{text_uk}{text_en}"):
        if gap not in GAPS:
            raise BadInput("answer_template.gap", gap=f"{{{gap}}}", known=", ".join(f"{{{each}}}" for each in GAPS))
    if conn.execute(select(1).where(_t.name == name, _t.id != (template_id or 0))).first() is not None:
        raise BadInput("answer_template.known")
    return edits.save(conn, answer_template, template_id, version, values, now=now, staff_id=staff_id)


def filled(text: str, *, name: str = "", number: int | None = None) -> str:
    """The text with its gaps filled; one that nothing is known for stays, to be seen."""
    known = {"name": name, "number": str(number or "")}
    return _GAP.sub(lambda gap: known.get(gap[1]) or gap[0], text)
