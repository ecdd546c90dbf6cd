"""The form of an appeal, the same for a call and for what comes in writing: how it is read, what it offers, and what
is already known of what is being typed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection
from starlette.responses import JSONResponse, Response

from crm import addresses, departments, incidents, phones, repeats
from crm.addresses import BuildingLine
from crm.citizens import Citizen
from crm.errors import BadInput
from crm.filing import Filing
from crm.incidents import Incident
from crm.law import Kind, Privilege
from crm.notices import Way
from crm.repeats import Known, Reason
from web.forms import Form
from web.places import ADDRESS_MOST, SUGGESTIONS, building_of
from web.render import line_of
from web.visit import Visit

NAME_MOST, TEXT_MOST, FLAT_MOST, PLACE_MOST, EMAIL_MOST = 200, 8000, 20, 200, 200


@dataclass(frozen=True, slots=True)
class Written:
    """What was typed; worth anything only if the form has no problems. ``phone``: E.164, or ""."""

    name: str
    phone: str
    email: str
    subject_id: int
    text: str
    building: BuildingLine | None
    flat: str
    place: str
    kind: Kind | None
    against_id: int | None
    district_id: int | None
    privilege: str
    consents: bool
    repeat_of: int | None
    incident_id: int | None
    apart: bool
    mark: str

    @property
    def building_id(self) -> int | None:
        return self.building.id if self.building else None

    def filing(self, channel: str, way: Way) -> Filing:
        return Filing(
            channel=channel, name=self.name, subject_id=self.subject_id, text=self.text, phone=self.phone,
            email=self.email, building_id=self.building_id, flat=self.flat, place=self.place,
            district_id=self.district_id, kind=self.kind, against_id=self.against_id, privilege=self.privilege,
            auto_confirm=self.consents, tell_by=way, repeat_of=self.repeat_of, incident_id=self.incident_id,
            apart=self.apart)  # fmt: skip


def read(conn: Connection, form: Form, *, named: bool = True) -> Written:
    """What is wrong with it is the form's. ``named``: somebody must have given his name."""
    name = " ".join(form.text("name", NAME_MOST, required=True).split()) if named else ""
    phone = phones.parse_phone(form["phone"])
    if form["phone"] and not phone and named:
        form.wrong("phone", BadInput("phone.malformed"))
    email = form.text("email", EMAIL_MOST)
    if named and email and not departments.is_email(email):
        form.wrong("email", BadInput("citizen.email"))
    subject = form.number("subject", required=True)
    text = form.text("text", TEXT_MOST, required=True)
    flat, place = form.text("flat", FLAT_MOST), form.text("place", PLACE_MOST)
    kind = form.choice("kind", frozenset(Kind))
    privilege = form.choice("privilege", frozenset(Privilege))
    against, district = form.number("against"), form.number("district")
    if against is not None and (kind or Kind.COMPLAINT) != Kind.COMPLAINT:
        form.wrong("against", BadInput("form.against_no_complaint"))
    repeat_of, incident = form.number("repeat_of"), form.number("incident")
    mark = form.text("once", 40, required=True)
    building, _ = building_of(conn, form)
    if building is None and not place:
        form.wrong("address", BadInput("form.no_address"))
    return Written(name, phone, email, subject or 0, text, building, flat, place,
                   Kind(kind) if kind else Kind.COMPLAINT if against is not None else None, against, district,
                   privilege, form.ticked("consent"), repeat_of, incident, form.ticked("apart"), mark)  # fmt: skip


def offered(conn: Connection, filled: Form) -> dict[str, Any]:
    """What may be chosen in it, and the addresses that the typed one may mean, by their names in the template."""
    return {
        "subjects": departments.subjects(conn),
        "offices": [office for office in departments.departments(conn) if office.active],
        "districts": addresses.districts(conn),
        "choices": building_of(conn, Form(filled))[1] if filled["address"] else [],
        "kinds": tuple(Kind), "privileges": tuple(Privilege),
    }  # fmt: skip


def of_person(conn: Connection, who: Citizen) -> dict[str, str]:
    """What the form takes from a person's record."""
    home = addresses.find_building(conn, who.building_id) if who.building_id is not None else None
    return {"name": who.name, "address": line_of(home) if home else "", "flat": who.flat,
            "consent": "on" if who.auto_confirm else "", "privilege": who.privilege, "email": who.email}  # fmt: skip


def as_fill(fields: dict[str, str]) -> str:
    """For a button that fills them in by the page's script."""
    return json.dumps(fields, ensure_ascii=False)


# ── what is known already ──
@dataclass(frozen=True, slots=True)
class Already:
    """What bears upon the appeal that is being written. ``incidents``: of its place, each with whether it joins that
    one by itself. ``asked``: there was something to look for."""

    incidents: list[tuple[Incident, bool]] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    asked: bool = False


def already(visit: Visit, typed: Form, place: BuildingLine | None, *, why: str, citizen_id: int | None = None,
            e164: str = "", shown: Sequence[Reason] = (Reason.BUILDING,)) -> Already:  # fmt: skip
    """Looked for by what is typed. ``shown``: whose appeals the page has shown already; looks at others' are logged,
    with ``why``."""
    subject, text = typed.number("subject"), typed["text"][:TEXT_MOST]
    asked = subject is not None or bool(text)
    with visit.db.read() as conn:
        here = incidents.at(conn, place.id) if place else []
        joins = [(found, incidents.fits(conn, found, subject)) for found in here]
        known = repeats.known(conn, citizen_id=citizen_id, e164=e164, subject_id=subject,
                              building_id=place.id if place else None, text=text, now=visit.now,
                              shown={found.id for found in here}) if asked else []  # fmt: skip
    others = [("appeal", each.line.id) for each in known if not set(shown) & set(each.reasons)]
    if others:
        visit.looked_at(*others, why=why)
    return Already(joins, known, asked)


def suggest(visit: Visit) -> Response:
    """Addresses for what has been typed so far, for the page's script: [{"value", "label"}]."""
    text = visit.query.text("q", ADDRESS_MOST)
    with visit.db.read() as conn:
        found = addresses.suggest(conn, text, SUGGESTIONS) or addresses.mistyped(conn, text, SUGGESTIONS)
    return JSONResponse([{"id": b.id, "value": line_of(b), "label": _label(visit, b)} for b in found])


def _label(visit: Visit, building: BuildingLine) -> str:
    district = building.district_uk if visit.texts.language == "uk" else building.district_en
    if building.old_name:
        return visit.texts("call.once_named", district=district, old=building.old_name)
    return district
