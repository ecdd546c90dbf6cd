"""A change of the rules as people read it: each field by its name, as it was and as it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from crm import addresses, departments, law, networks, people
from crm.edits import Edit
from crm.errors import NotFound
from web.render import line_of
from web.texts import Texts

_HIDDEN = frozenset({"rule", "base_id", "live"})  # numbers of rows that nobody knows them by
_YES_OR_NO = frozenset(name for name in law.ALLOWED if isinstance(getattr(law.Terms(), name), bool))
_KINDS = {"subject": "law.kind.", "department": "department_kind.", "network": "network."}
_WORDS = {"state": "edition_state.", "event": "escalation.event.", "tell": "escalation.tell."}


@dataclass(frozen=True, slots=True)
class Field:
    """In words; "" where nothing was, or is."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """``title``: of what was changed, "" where the fields say all."""

    edit: Edit
    staff: str
    title: str
    fields: list[Field]


def read(conn: Connection, edits: list[Edit], texts: Texts) -> list[Change]:
    """The edits with the names of all that they speak of."""
    staff = {person.id: person.name for person in people.staff(conn)}
    offices = {each.id: each.name for each in departments.departments(conn)}
    topics = {each.id: texts.either(each.name_uk, each.name_en) for each in departments.subjects(conn)}
    nets = {each.id: each.name for each in networks.networks(conn)}
    districts = {id: texts.either(uk, en) for id, uk, en in addresses.districts(conn)}
    known: Mapping[str, Mapping[int, str]] = {
        "department_id": offices, "superior_id": offices, "subject_id": topics, "parent_id": topics,
        "district_id": districts, "network_id": nets, "staff_id": staff}  # fmt: skip
    titles = {"subject": topics, "department": offices, "network": nets}

    def said(edit: Edit, name: str, value: Any) -> str:
        if name in known:
            return known[name].get(value, f"№ {value}") if value is not None else ""
        if name == "building_id":
            return _address(conn, value)
        if name == "term_days":
            return texts("rules.days", n=value) if value else texts("rules.month")
        if name == "working":
            return texts("rules.working" if value else "rules.day_off")
        if isinstance(value, bool) or (edit.what == "law_setting" and edit.key in _YES_OR_NO):
            return texts("rules.yes" if value else "rules.no")
        if name in ("kind", "state", "event", "tell"):
            return texts(f"{_KINDS[edit.what] if name == 'kind' else _WORDS[name]}{value}")
        return "" if value is None else str(value)

    def title(edit: Edit) -> str:
        match edit.what:
            case "calendar_day":
                return texts.day(dt.date.fromisoformat(edit.key))
            case "law_setting":
                return texts(f"law.terms.{edit.key}")
            case "routing":
                return texts("rules.edition", id=edit.key)
        # What changed many records at once names none.
        return titles.get(edit.what, {}).get(int(edit.key) if edit.key.isdigit() else 0, "")

    return [Change(edit, staff.get(edit.staff_id or 0, ""), title(edit), _fields(edit, said, texts)) for edit in edits]


def _fields(edit: Edit, said: Callable[[Edit, str, Any], str], texts: Texts) -> list[Field]:
    before, after = edit.before or {}, edit.after or {}
    found = []
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        if was == now or name in _HIDDEN:
            continue
        label = texts(f"rule_field.{name}")
        if name == "buildings":
            found.append(Field(label, str(len(was or ())), texts("rules.buildings", n=len(now or ()),
                         more=len({*(now or ())} - {*(was or ())}), fewer=len({*(was or ())} - {*(now or ())}))))
            continue
        field = Field(label, said(edit, name, was) if name in before else "",
                      said(edit, name, now) if name in after else "")  # fmt: skip
        if field.before or field.after:
            found.append(field)
    return found


def _address(conn: Connection, building_id: int | None) -> str:
    if building_id is None:
        return ""
    try:
        return line_of(addresses.find_building(conn, building_id))
    except NotFound:
        return f"№ {building_id}"
