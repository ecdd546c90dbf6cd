"""An appeal is filed here: the form, what is known already of its place, the receipt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import replace as changed
from http import HTTPStatus
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from crm import addresses, attachments, departments, phones, reception, tokens
from crm.addresses import BuildingLine
from crm.errors import BadInput, CentreError
from crm.filing import Filing
from crm.notices import Way
from crm.reception import Received
from web import forms
from web.forms import Form
from web.places import building_of
from web.portal import kept, known
from web.portal.kept import Kept
from web.portal.known import Known
from web.portal.strangers import source_of, token
from web.texts import LANGUAGES, texts
from web.visit import LANGUAGE, Visit

WAYS = (Way.SMS, Way.EMAIL, Way.PHONE, Way.NOTHING)
TEXT_MOST, NAME_MOST, FLAT_MOST, PLACE_MOST, EMAIL_MOST, SPOT_MOST = 8000, 200, 20, 200, 200, 40
OTHER = "other"  # what a failure that is known already is not
TRAP = "middle_name_2"  # no person sees this field
YEAR_S = 365 * 24 * 3600
_ONCE = re.compile(r"[A-Za-z0-9_-]{16,40}")


@dataclass(frozen=True, slots=True)
class Shown:
    """What stands on the form beside what was typed. ``choices``: addresses that may be meant; ``known``: of the place;
    ``first``: it must be read before the appeal is taken; ``nameless``: he gave no name, and may say that it is so."""

    choices: tuple[BuildingLine, ...] = ()
    known: Known | None = None
    first: bool = False
    nameless: bool = False


def show(visit: Visit) -> Response:
    """The form, whose address may say what and where. Nothing else: a mark that somebody else has thought out would
    show him what is filed with it."""
    given = {name: visit.query[name] for name in ("subject", "address", "place")}
    return _page(changed(visit, form=Form(given)), Kept((), ""), Shown())


def about(visit: Visit) -> Response:
    """What is known of the address that has been typed, as a part of the form, for the page's script."""
    with visit.db.read() as conn:
        building, _ = building_of(conn, visit.query)
        found = known.at(conn, building, visit.query.number("subject"), visit.now)
    return visit.page("portal/known.html", known=found, inline=True, shown=Shown(known=found))


def file(visit: Visit) -> Response:
    """One showing of the form makes one appeal, however often it is sent. Whatever stands against it, the form comes
    back with all that was typed and all the files that could be taken."""
    return kept.answered(visit, _answer)


def _answer(visit: Visit, files: Kept) -> Response:
    try:
        return _file(visit, files)
    except CentreError as error:
        return _page(visit, files, Shown(), error)


def _file(visit: Visit, files: Kept) -> Response:
    form = visit.form
    with visit.db.read() as conn:
        building, choices = building_of(conn, form)
        found = known.at(conn, building, forms.whole(form["subject"]), visit.now)
    if form["language"] in LANGUAGES:
        form.problems.clear()
        return _in_language(visit, form["language"], files, Shown(tuple(choices), found))
    if form["do"] == "find":
        form.problems = {name: problem for name, problem in form.problems.items() if name == "address"}
        return _page(visit, files, Shown(tuple(choices), found))
    its = _read(visit, files, building, found)
    if its is None:
        nameless = not form["name"].strip()
        return _page(visit, files, Shown(tuple(choices), found, nameless=nameless))
    if not found.told(form["seen"]) or (found.incidents and form["join"] not in _joinable(found)):
        return _page(visit, files, Shown((), found, first=True))
    with visit.db.write() as conn:
        taken = _receive(conn, visit, its)
    if taken.appeal is not None:
        visit.poke_line("appeals")
    return visit.go(_after(visit, taken))


def _joinable(found: Known) -> set[str]:
    return {OTHER, *(str(one.id) for one in found.incidents)}


def _read(visit: Visit, files: Kept, building: BuildingLine | None, found: Known) -> Filing | None:
    """The filing that the form says; None, and the form's problems, if it says none."""
    form = visit.form
    subject, text = form.number("subject", required=True), form.text("text", TEXT_MOST, required=True)
    flat, place = form.text("flat", FLAT_MOST), _place(form, building)
    name = " ".join(form.text("name", NAME_MOST).split())
    if not name and not form.ticked("nameless"):
        form.wrong("name", BadInput("filing.no_name"))
    phone, email = _contacts(form, needed=bool(name))
    way = form.choice("tell_by", frozenset(WAYS), required=True)
    if way in (Way.SMS, Way.PHONE) and not phone:
        form.wrong("phone", BadInput("portal.way_needs_phone"))
    if way == Way.EMAIL and not email:
        form.wrong("email", BadInput("portal.way_needs_email"))
    if not form.ticked("consent"):
        form.wrong("consent", BadInput("portal.no_consent"))
    if files.problems:
        form.wrong("files", BadInput("portal.files_refused"))
    district = form.number("district")
    if form.problems or subject is None:
        return None
    joins = form["join"] if found.incidents and form["join"] in _joinable(found) else ""
    return Filing(
        channel="web", name=name, subject_id=subject, text=text, phone=phone, email=email,
        language=visit.texts.language, building_id=building.id if building else None, flat=flat, place=place,
        district_id=None if building else district, auto_confirm=form.ticked("auto_confirm"), tell_by=Way(way),
        files=files.files, incident_id=forms.whole(joins), apart=joins == OTHER)  # fmt: skip


def _place(form: Form, building: BuildingLine | None) -> str:
    """The place in words, or where a photo was taken. An address that nobody knows is a part of it, if there are words
    of his own besides."""
    place, address, spot = form.text("place", PLACE_MOST), form["address"], form.text("spot", SPOT_MOST)
    if building is None and spot and not place:
        place = texts(LANGUAGES[0])("portal.spot_place", spot=spot)  # for the record, which is in Ukrainian
    if building is None and place:
        form.problems.pop("address", None)
        together = place if not address or address in place else f"{address}; {place}"
        return together if len(together) <= PLACE_MOST else place
    if building is None and "address" not in form.problems:
        form.wrong("address", BadInput("filing.no_place"))
    return place


def _contacts(form: Form, *, needed: bool) -> tuple[str, str]:
    """(telephone, e-mail address), "" for none."""
    phone, email = phones.parse_phone(form["phone"]), form.text("email", EMAIL_MOST)
    if form["phone"] and not phone:
        form.wrong("phone", BadInput("phone.malformed"))
    if email and not departments.is_email(email):
        form.wrong("email", BadInput("citizen.email"))
    if needed and not form["phone"] and not email:
        form.wrong("phone", BadInput("portal.no_contact"))
    return phone, email.lower()


def _receive(conn: Connection, visit: Visit, its: Filing) -> Received:
    return reception.receive(
        conn, its, external_id=once_of(visit.form), source=source_of(visit.request), secret=visit.parts.secret,
        limits=visit.parts.settings.filing_limits, now=visit.now,
        suspect=bool(visit.form[TRAP]))  # fmt: skip


def once_of(form: Form) -> str:
    """The mark of this showing of a form; a new one in place of what we cannot have made."""
    return form["once"] if _ONCE.fullmatch(form["once"]) else forms.once()


def _after(visit: Visit, taken: Received) -> str:
    if taken.appeal is None:
        return f"/m/{token(visit.parts, taken.message_id)}?done=held"
    return f"/a/{tokens.together(visit.parts.secret, taken.appeal.number)}/receipt?done=filed"


def _in_language(visit: Visit, language: str, files: Kept, shown: Shown) -> Response:
    """The same form in the other language."""
    response = _page(changed(visit, texts=texts(language)), files, shown)
    visit.set_cookie(response, LANGUAGE, language, seconds=YEAR_S)
    return response


def _page(visit: Visit, files: Kept, shown: Shown, problem: CentreError | None = None) -> Response:
    form, status = visit.form, HTTPStatus.OK
    with visit.db.read() as conn:
        values: dict[str, Any] = {"subjects": departments.subjects(conn), "districts": addresses.districts(conn)}
    if problem is not None or form.problems:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
    response = visit.page(
        "portal/file.html", status=status, files=files, shown=shown, problem=problem, ways=WAYS, trap=TRAP,
        once=form["once"] or forms.once(), most=attachments.MOST, largest=attachments.LARGEST,
        most_bytes=forms.MAX_UPLOAD, **values)  # fmt: skip
    response.headers["Cache-Control"] = "private, no-cache"  # "back" in the browser finds what was typed
    return response
