"""Appeals: found, read whole, and acted upon by departments and the control desk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from http import HTTPStatus
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from crm import (
    addresses,
    appeals,
    attachments,
    citizens,
    departments,
    incidents,
    law,
    life,
    notices,
    people,
    programmes,
    repeats,
    rulebook,
)
from crm.appeals import Appeal, AppealLine, Correction
from crm.citizens import Citizen
from crm.clock import KYIV
from crm.errors import BadInput, CentreError, IllegalAction, NotFound, Stale
from crm.law import Kind
from crm.life import Action, State
from crm.people import Permission, Role, Staff
from web import forms, reads
from web.lists import SIZE, as_file, listing, wants_file
from web.pages.answers import Promise, told
from web.places import building_of
from web.tables import Cell, Table
from web.texts import Texts
from web.visit import Visit, status_of

ORDERS = ("newest", "due")
NOTE_MOST = 4000
PLACE_MOST, FLAT_MOST = 200, 20
# The resident's own word: taken where it is heard, in a call, and so by no form on the appeal's page.
WORD = frozenset({Action.CONFIRM, Action.NOT_SOLVED})
# What each action's form asks for beside the note, in this order; and what asks for no note.
FIELDS: Mapping[Action, tuple[str, ...]] = {
    Action.ASSIGN: ("department",), Action.FORWARD: ("department",), Action.PLAN: ("until",), Action.EXTEND: ("until",),
    Action.REPRIMAND: ("department",), Action.TAKE_CONTROL: ("official",), Action.LINK: ("number",),
    Action.MERGE: ("number",), Action.JOIN: ("incident",),
    Action.CORRECT: ("subject", "kind", "against", "address", "flat", "place", "district"),
}  # fmt: skip
WORDLESS = frozenset({Action.START, Action.ACKNOWLEDGE, Action.LINK, Action.MERGE, Action.SPLIT, Action.JOIN})
WITH_FILES = frozenset({Action.EXECUTE, Action.EXPLAIN, Action.PLAN, Action.COMPLETE})  # a photo, an act, a letter
ELSEWHERE = frozenset({Action.ANSWER})  # by a form of its own: from a programme
TO_ACKNOWLEDGE = life.TRANSITIONS[Action.ACKNOWLEDGE][0]
FILTERS = ("number", "state", "department", "subject", "overdue", "text", "channel", "kind", "district", "priority",
           "near", "of", "order")  # fmt: skip
TEXT_MOST = 100
PRINTED = 200
TICK = "n-"  # and an appeal's number: a tick whose value is the version that was seen


def search(visit: Visit) -> Response:
    """Appeals by what the address says; with nothing said, an executor's own work, nearest deadline first."""
    asked, scope = visit.query, visit.person.department_id
    number, near = asked.number("number"), asked.number("near")
    order = asked.choice("order", frozenset(ORDERS)) or ORDERS[0]
    text = asked.text("text", TEXT_MOST)
    searched = scope is None or any(asked[name] for name in (*FILTERS, "after"))
    with visit.db.read() as conn:
        wanted: dict[str, Any] = {
            "number": number, "department_id": scope or asked.number("department"),
            "subject_id": asked.number("subject"), "district_id": asked.number("district"),
            "states": [State(asked["state"])] if asked.choice("state", frozenset(State)) else (),
            "channel": asked.choice("channel", frozenset(appeals.CHANNELS)) or None,
            "kind": Kind(asked["kind"]) if asked.choice("kind", frozenset(Kind)) else None,
            "priority": True if asked.ticked("priority") else None,
            "overdue_at": visit.now if asked.ticked("overdue") else None, "by_due": order == "due",
        }  # fmt: skip
        if near is not None:
            wanted |= _like(conn, visit, near, asked.choice("of", frozenset({"citizen", "building"}), required=True))
        unread = False

        def find(limit: int, after: int | None) -> list[AppealLine]:
            nonlocal unread
            if scope is not None and not searched:
                return appeals.for_department(conn, scope, limit if wants_file(visit) else SIZE)
            found, unread = appeals.search_text(conn, text, limit=limit, after_id=after, **wanted)
            return found

        shown = listing(visit, FILTERS, find)
        if wants_file(visit):
            return as_file(visit, "appeals", table_of(visit.texts, shown.found),
                           *(("appeal", each.id) for each in shown.found))  # fmt: skip
        uk = visit.texts.language == "uk"
        lists: dict[str, Any] = {
            "departments": [(d.id, d.name) for d in departments.departments(conn)],
            "subjects": departments.subjects(conn),
            "districts": [(id, name_uk if uk else name_en) for id, name_uk, name_en in addresses.districts(conn)],
        }  # fmt: skip
    new = [] if scope is None else [
        each for each in shown.found if each.state in TO_ACKNOWLEDGE and each.acknowledged_at is None]
    show = visit.again if asked.problems else visit.page
    return show("appeals.html", form=asked, list=shown, asked=asked, states=tuple(State), open=life.OPEN,
                order=order if searched else "", channels=appeals.CHANNELS, kinds=tuple(Kind), unread=unread, new=new,
                **lists)  # fmt: skip


def _like(conn: Connection, visit: Visit, number: int, of: str) -> dict[str, Any]:
    """The citizen or the building of the appeal with this number, which this person may see."""
    its = appeals.by_number(conn, number)
    if its is None or visit.person.department_id not in (None, its.department_id):
        raise NotFound("appeal.unknown")
    return {"citizen_id": its.citizen_id or 0} if of == "citizen" else {"building_id": its.building_id or 0}


def table_of(t: Texts, found: Sequence[AppealLine]) -> Table:
    """Of appeals, for a file: where and what, and not whose."""
    columns = ("appeal.number", "appeal.state", "appeal.subject", "appeal.where", "appeal.text", "appeal.department",
               "appeal.registered", "appeal.due", "appeal.executed")  # fmt: skip
    return Table(t("appeals.title"), tuple(map(t, columns)), tuple(
        (Cell(each.number, "text"), Cell(t(f"state.{each.state}")), Cell(t.either(each.subject_uk, each.subject_en)),
         Cell(_where(t, each)), Cell(each.text), Cell(each.department), Cell(t.short_day(each.registered_at)),
         Cell(t.short_day(each.due_at)), Cell(t.short_day(each.executed_at))) for each in found))  # fmt: skip


def _where(t: Texts, its: AppealLine) -> str:
    if not its.street:
        return its.place
    return f"{its.street}, {its.building}" + (f", {t('appeal.flat_short', flat=its.flat)}" if its.flat else "")


def print_list(visit: Visit) -> Response:
    """A department's work on paper: an executor's own, or (for the centre's people) the one that is asked for."""
    department = visit.person.department_id or visit.query.number("department", required=True)
    if department is None:
        raise next(iter(visit.query.problems.values()))
    with visit.db.read() as conn:
        name = next((d.name for d in departments.departments(conn) if d.id == department), None)
        if name is None:
            raise NotFound("department.unknown")
        found = appeals.for_department(conn, department, PRINTED)
        phones = {a.citizen_id: citizens.get(conn, a.citizen_id).phones for a in found if a.citizen_id is not None}
    visit.looked_at(*(("appeal", a.id) for a in found), why="print")
    return visit.page("print.html", department=name, found=found, phones=phones, cut=len(found) == PRINTED)


def acknowledge(visit: Visit) -> Response:
    """Those that the list showed as new: what has changed since is left to be looked at."""
    with visit.db.write() as conn:
        for number, version in chosen(visit.form).items():
            its = appeals.by_number(conn, number)
            if its is not None and its.version == version:
                people.require_action(visit.person, Action.ACKNOWLEDGE, its.state, its.department_id)
                appeals.act(conn, its.id, Action.ACKNOWLEDGE, now=visit.now, staff_id=visit.person.id, version=version)
    visit.poke_line("appeals")
    return visit.go("/appeals?done=acknowledged")


def chosen(form: forms.Form) -> dict[int, int]:
    """The appeals that a form's ticks name: number → the version that was seen."""
    ticks = {forms.whole(name.removeprefix(TICK)): forms.whole(value)
             for name, value in form.items() if name.startswith(TICK)}  # fmt: skip
    return {number: version for number, version in ticks.items() if number is not None and version is not None}


def show(visit: Visit) -> Response:
    return _page(visit, _appeal(visit), forms.Form({}))


def act(visit: Visit) -> Response:
    """One action on an appeal, on the version that the person has seen."""
    form, appeal = visit.form, _appeal(visit)
    action = form["action"]
    if action not in possible(visit.person, appeal):
        return _page(visit, appeal, form, IllegalAction("appeal.illegal_action", state=appeal.state, action=action))
    try:
        sent = [attachments.store(visit.parts.settings.attachments, file.filename or "", file.file)
                for file in form.files if action in WITH_FILES]  # fmt: skip
        with visit.db.write() as conn:
            _do(conn, visit, appeal, Action(action))
            for stored in sent:
                attachments.add(conn, appeal.id, stored, now=visit.now, action=action, staff_id=visit.person.id)
    except CentreError as error:
        return _page(visit, _appeal(visit), form, error)
    visit.poke_line("callbacks" if action in (Action.EXECUTE, Action.ANSWER) else "appeals")
    with visit.db.read() as conn:
        mine = visit.person.department_id in (None, appeals.get(conn, appeal.id).department_id)
    here = visit.own_address(form["back"], f"/appeals/{appeal.number}")  # back: the card that it was done from
    return visit.go(f"{here}?done=acted" if mine else "/appeals?done=acted")


def _do(conn: Connection, visit: Visit, appeal: Appeal, action: Action) -> None:
    """What the form says. The first thing that is wrong with it is raised."""
    form, who = visit.form, visit.person
    note = "" if action in WORDLESS else form.text("note", NOTE_MOST, required=action in life.NEEDS_NOTE)
    version = form.number("version", required=True)
    asks = FIELDS.get(action, ())
    department = form.number("department", required=action is not Action.REPRIMAND) if "department" in asks else None
    until = form.day("until", required=True) if "until" in asks else None
    number = form.number("number", required=True) if "number" in asks else None
    incident = form.number("incident", required=True) if "incident" in asks else None
    official = form.number("official") if "official" in asks and who.role is not Role.OFFICIAL else who.id
    correction = _correction(conn, visit) if action is Action.CORRECT else None
    if form.problems:
        raise next(iter(form.problems.values()))
    common: dict[str, Any] = {"now": visit.now, "staff_id": who.id, "version": version}
    match action:
        case Action.LINK:
            repeats.link(conn, appeal.id, _other(conn, number), now=visit.now, staff_id=who.id)
        case Action.MERGE:
            repeats.merge(conn, appeal.id, _other(conn, number), **common)
        case Action.SPLIT:
            repeats.split(conn, appeal.id, **common)
        case Action.JOIN if incident is not None:
            if appeals.get(conn, appeal.id).version != version:
                raise Stale("appeal.stale")
            incidents.join(conn, incident, appeal.id, now=visit.now, staff_id=who.id)
        case _:
            # A term ends with its day, a plan begins with it.
            at = None if until is None else law.end_of(until) if action is Action.EXTEND else _morning(until)
            appeals.act(conn, appeal.id, action, department_id=department, note=note, until=at, official_id=official,
                        correction=correction, **common)  # fmt: skip


def _morning(day: Any) -> datetime:
    return datetime.combine(day, time(8), KYIV)


def _other(conn: Connection, number: int | None) -> int:
    """The id of the appeal with this number. NotFound ``appeal.unknown``."""
    found = appeals.by_number(conn, number or 0)
    if found is None:
        raise NotFound("appeal.unknown")
    return found.id


def _correction(conn: Connection, visit: Visit) -> Correction | None:
    """What the form says that the appeal should have been; its problems are the form's."""
    form = visit.form
    subject, kind = form.number("subject", required=True), form.choice("kind", frozenset(Kind), required=True)
    against, district = form.number("against"), form.number("district")
    flat, place = form.text("flat", FLAT_MOST), form.text("place", PLACE_MOST)
    building, _ = building_of(conn, form)
    if building is None and not place:
        form.wrong("address", BadInput("form.no_address"))
    if form.problems or subject is None:
        return None
    return Correction(subject, Kind(kind), building.id if building else None, flat, place,
                      None if building else district, against)  # fmt: skip


def attachment(visit: Visit) -> Response:
    """A file of an appeal that this person may see."""
    with visit.db.read() as conn:
        one = attachments.get(conn, visit.number("id"))
        if visit.person.department_id not in (None, appeals.get(conn, one.appeal_id).department_id):
            raise NotFound("attachment.unknown")
    answer = visit.stored(one)
    visit.looked_at(("attachment", one.id))
    return answer


def possible(person: Staff, appeal: Appeal) -> tuple[Action, ...]:
    """What this person may do to the appeal on its page."""
    without = {*WORD, *ELSEWHERE, Action.TAKE_CONTROL if appeal.official_id else Action.LEAVE_CONTROL}
    if appeal.lead_id is None:
        without.add(Action.SPLIT)
    if appeal.acknowledged_at is not None:
        without.add(Action.ACKNOWLEDGE)
    return tuple(a for a in people.actions_for(person, appeal.state, appeal.department_id) if a not in without)


def _appeal(visit: Visit) -> Appeal:
    """The appeal of the address. NotFound also for another department's: it is not said that it exists."""
    with visit.db.read() as conn:
        appeal = appeals.by_number(conn, visit.number("number"))
    if appeal is None or visit.person.department_id not in (None, appeal.department_id):
        raise NotFound("appeal.unknown")
    return appeal


def _promises(conn: Connection, visit: Visit, appeal: Appeal) -> list[Promise]:
    """The programmes that this person may answer the appeal from."""
    may = people.actions_for(visit.person, appeal.state, appeal.department_id)
    if appeal.building_id is None or Action.ANSWER not in may:
        return []
    entries = [entry for entry in programmes.of_building(conn, appeal.building_id) if entry.ahead(visit.now)]
    return [Promise(entry, told(entry, visit.texts), True) for entry in entries]


def _incident(visit: Visit, found: incidents.Incident) -> str:
    """A short name of an incident: what, and where."""
    where = found.network or (f"{found.street}, {found.building}" if found.building_id else found.place)
    return f"{visit.texts.either(found.subject_uk, found.subject_en)} · {where}"


def _page(visit: Visit, appeal: Appeal, typed: forms.Form, problem: CentreError | None = None) -> Response:
    actions, ukrainian = possible(visit.person, appeal), visit.texts.language == "uk"
    with visit.db.read() as conn:
        building = addresses.find_building(conn, appeal.building_id) if appeal.building_id else None
        citizen: Citizen | None = citizens.get(conn, appeal.citizen_id) if appeal.citizen_id else None
        known, subjects, staff = departments.departments(conn), departments.subjects(conn), people.staff(conn)
        book, began = rulebook.current(conn, appeal.subject_id), appeals.term_began(conn, appeal.id)
        values: dict[str, Any] = {
            "history": appeals.history(conn, appeal.id), "calls": reads.calls_of_appeal(conn, appeal.id),
            "files": attachments.of_appeal(conn, appeal.id),
            "names": {d.id: d.name for d in known}, "staff": {person.id: person.name for person in staff},
            "subjects": subjects, "subject_names": {s.id: s.name_uk if ukrainian else s.name_en for s in subjects},
            "choices": {
                "department": [(d.id, d.name) for d in known if d.active and d.kind != "outside"],
                "outside": [(d.id, d.name) for d in known if d.active and d.kind == "outside"],
                "incident": [(i.id, _incident(visit, i)) for i in incidents.listed(conn, [incidents.State.OPEN])],
                "official": [(p.id, p.name) for p in staff if p.active and people.may(p.role, Permission.TAKE_CONTROL)],
                "kind": [(kind, visit.texts(f"law.kind.{kind}")) for kind in Kind],
                "district": [(id, uk if ukrainian else en) for id, uk, en in addresses.districts(conn)],
            },
            "responsible": appeals.responsible(conn, appeal), "latest": law.latest(began, book.calendar, book.terms),
            "near": reads.around(conn, appeal), "told": notices.of_appeal(conn, appeal.id),
            "incident": _incident(visit, incidents.get(conn, appeal.incident_id)) if appeal.incident_id else "",
            "promises": _promises(conn, visit, appeal),
        }  # fmt: skip
        if appeal.state in life.TRANSITIONS[Action.FIND_DEFECTIVE][0]:
            values["defective_by"] = law.defective_by(began, book.calendar, book.terms)
            values["forward_by"] = law.forward_by(began, book.calendar, book.terms)
        else:
            values["defective_by"] = values["forward_by"] = None
    if not values["choices"]["incident"]:
        actions = tuple(action for action in actions if action is not Action.JOIN)
    visit.looked_at(("appeal", appeal.id))
    return visit.page("appeal.html", status=status_of(problem) if problem else HTTPStatus.OK, appeal=appeal,
                      citizen=citizen, building=building, actions=actions, typed=typed, problem=problem,
                      needs_note=life.NEEDS_NOTE, wordless=WORDLESS, with_files=WITH_FILES, fields=FIELDS,
                      open=life.OPEN, **values)  # fmt: skip
