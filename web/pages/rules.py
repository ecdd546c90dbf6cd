"""The rules that the city edits: subjects, departments, routing, calendar, terms by law, who is told of lateness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from crm import (
    addresses,
    calendar,
    deadlines,
    departments,
    edits,
    law,
    law_settings,
    networks,
    people,
    routing,
    routing_editions,
    rulebook,
)
from crm.addresses import BuildingLine
from crm.clock import KYIV
from crm.deadlines import Event, Tell
from crm.errors import BadInput, CentreError, NotFound
from crm.law import Kind
from crm.routing import Explained
from crm.routing_editions import Edition
from web import changes
from web.forms import Form
from web.places import building_of
from web.visit import Visit, status_of

EDITED = ("subject", "department", "routing", "calendar_day", "law_setting", "escalation", "network")
RECENT = 30
COMPARED = 1000  # appeals that a draft is tried on
NAME_MOST, EMAIL_MOST, PHONE_MOST, NOTE_MOST = 200, 200, 40, 200


def overview(visit: Visit) -> Response:
    """What was changed lately, by whom, from what to what."""
    with visit.db.read() as conn:
        recent = changes.read(conn, edits.recent(conn, EDITED, RECENT), visit.texts)
    return visit.page("rules/overview.html", recent=recent)


# ── subjects ──
def subjects(visit: Visit) -> Response:
    with visit.db.read() as conn:
        found, names = departments.subjects(conn), _names(conn)
    return visit.page("rules/subjects.html", subjects=found, names=names)


def new_subject(visit: Visit) -> Response:
    filled = {"parent": visit.query["parent"], "kind": Kind.APPLICATION.value, "active": "1"}
    return _subject_page(visit, None, Form(filled))


def subject(visit: Visit) -> Response:
    its = _subject(visit)
    return _subject_page(visit, its, Form({
        "name_uk": its.name_uk, "name_en": its.name_en, "parent": str(its.parent_id or ""),
        "department": str(its.department_id), "days": str(its.term_days or ""), "kind": its.kind,
        "phrases": its.phrases,
        "active": "1" if its.active else ""}))  # fmt: skip


def add_subject(visit: Visit) -> Response:
    return _save_subject(visit, None)


def change_subject(visit: Visit) -> Response:
    return _save_subject(visit, _subject(visit))


def _save_subject(visit: Visit, its: departments.Subject | None) -> Response:
    form = visit.form
    values: dict[str, Any] = {
        "name_uk": form.text("name_uk", 120), "name_en": form.text("name_en", 120), "parent_id": form.number("parent"),
        "department_id": form.number("department", required=True), "term_days": form.number("days"),
        "kind": form["kind"], "phrases": form["phrases"], "active": form.ticked("active"),
    }  # fmt: skip
    return _do(visit, lambda conn: departments.save_subject(
        conn, its.id if its else None, **values, now=visit.now, staff_id=visit.person.id),
        "/rules/subjects?done=rules", lambda problem: _subject_page(visit, its, form, problem))  # fmt: skip


def _subject(visit: Visit) -> departments.Subject:
    with visit.db.read() as conn:
        found = {each.id: each for each in departments.subjects(conn)}
    if (id := visit.number("id")) not in found:
        raise NotFound("subject.unknown")
    return found[id]


def _subject_page(visit: Visit, its: departments.Subject | None, filled: Form,
                  problem: CentreError | None = None) -> Response:  # fmt: skip
    with visit.db.read() as conn:
        tree = departments.subjects(conn)
        takers = [(d.id, d.name) for d in departments.departments(conn) if d.kind != "outside"]
    return _form(visit, "rules/subject.html", problem, its=its, filled=filled, subjects=tree, takers=takers,
                 kinds=tuple(Kind))  # fmt: skip


# ── departments ──
def all_departments(visit: Visit) -> Response:
    with visit.db.read() as conn:
        found, open_appeals = departments.departments(conn), departments.open_appeals(conn)
    return visit.page("rules/departments.html", departments=found, names={d.id: d.name for d in found},
                      kinds=departments.KINDS, open_appeals=open_appeals)  # fmt: skip


def new_department(visit: Visit) -> Response:
    return _department_page(visit, None, Form({"kind": "city", "active": "1"}))


def department(visit: Visit) -> Response:
    its = _department(visit)
    return _department_page(visit, its, Form({
        "name": its.name, "email": its.email, "phone": its.phone, "kind": its.kind,
        "superior": str(its.superior_id or ""), "desk": "1" if its.is_desk else "",
        "active": "1" if its.active else ""}))  # fmt: skip


def add_department(visit: Visit) -> Response:
    return _save_department(visit, None)


def change_department(visit: Visit) -> Response:
    return _save_department(visit, _department(visit))


def _save_department(visit: Visit, its: departments.Department | None) -> Response:
    form = visit.form
    values: dict[str, Any] = {
        "name": form.text("name", NAME_MOST), "email": form.text("email", EMAIL_MOST),
        "phone": form.text("phone", PHONE_MOST), "kind": form["kind"], "superior_id": form.number("superior"),
        "is_desk": form.ticked("desk"), "active": form.ticked("active"),
    }  # fmt: skip
    return _do(visit, lambda conn: departments.save_department(
        conn, its.id if its else None, **values, now=visit.now, staff_id=visit.person.id),
        "/rules/departments?done=rules", lambda problem: _department_page(visit, its, form, problem))  # fmt: skip


def _department(visit: Visit) -> departments.Department:
    with visit.db.read() as conn:
        found = {each.id: each for each in departments.departments(conn)}
    if (id := visit.number("id")) not in found:
        raise NotFound("department.unknown")
    return found[id]


def _department_page(visit: Visit, its: departments.Department | None, filled: Form,
                     problem: CentreError | None = None) -> Response:  # fmt: skip
    with visit.db.read() as conn:
        others = [(d.id, d.name) for d in departments.departments(conn) if its is None or d.id != its.id]
        lying = departments.open_appeals(conn).get(its.id, 0) if its else 0
    return _form(visit, "rules/department.html", problem, its=its, filled=filled, others=others,
                 kinds=departments.KINDS, lying=lying)  # fmt: skip


# ── routing ──
def live(visit: Visit) -> Response:
    """The edition in force, and those before and after it."""
    return _edition_page(visit, None)


def edition(visit: Visit) -> Response:
    return _edition_page(visit, visit.number("id"))


def make_draft(visit: Visit) -> Response:
    note = visit.form.text("note", NOTE_MOST)
    made: list[int] = []
    return _do(visit, lambda conn: made.append(routing_editions.draft(conn, note=note, now=visit.now,
                                                                      staff_id=visit.person.id)),
               lambda: f"/rules/routing/{made[0]}", lambda problem: _edition_page(visit, None, problem))  # fmt: skip


def change_edition(visit: Visit) -> Response:
    """A rule added to a draft or taken out of it; the draft published, or given up."""
    form, id = visit.form, visit.number("id")
    who: dict[str, Any] = {"now": visit.now, "staff_id": visit.person.id}
    here = f"/rules/routing/{id}"

    def add(conn: Connection) -> None:
        building, _ = building_of(conn, form)
        values: dict[str, Any] = {
            "department_id": form.number("department", required=True), "subject_id": form.number("subject"),
            "district_id": form.number("district"), "network_id": form.number("network")}  # fmt: skip
        _raise_first(form)
        routing_editions.add_rule(conn, id, building_id=building.id if building else None, **values, **who)

    def take(conn: Connection) -> None:
        rule = form.number("rule", required=True)
        _raise_first(form)
        routing_editions.drop_rule(conn, id, rule or 0, **who)

    actions: dict[str, tuple[Callable[[Connection], object], str]] = {
        "add": (add, f"{here}?done=rules#rules"), "take": (take, f"{here}?done=rules#rules"),
        "publish": (lambda conn: routing_editions.publish(conn, id, **who), "/rules/routing?done=published"),
        "drop": (lambda conn: routing_editions.drop(conn, id, **who), "/rules/routing?done=dropped"),
    }  # fmt: skip
    if form["do"] not in actions:
        raise BadInput("form.unreadable")
    do, then = actions[form["do"]]
    return _do(visit, do, then, lambda problem: _edition_page(visit, id, problem))


@dataclass(frozen=True, slots=True)
class Tried:
    """What would happen to an appeal under one edition. ``networks``: the building's, by name."""

    explained: Explained
    term_days: int | None
    kind: str
    due_at: datetime
    building: BuildingLine | None
    networks: list[str]


def _edition_page(visit: Visit, id: int | None, problem: CentreError | None = None) -> Response:
    with visit.db.read() as conn:
        known = routing_editions.editions(conn)
        its: Edition | None = (routing_editions.get(conn, id) if id is not None
                               else next((each for each in known if each.state == "live"), None))  # fmt: skip
        draft = its is not None and its.state == "draft"
        tried, why_not = _try(conn, visit, its)
        values: dict[str, Any] = {
            "editions": known, "lines": routing_editions.lines(conn, its.id) if its else [],
            "tried": tried, "choices": building_of(conn, visit.query)[1],
            "choices_for_rule": building_of(conn, visit.form)[1],
            "moved": routing_editions.compare(conn, its.id, COMPARED) if its and draft else None,
            "subjects": departments.subjects(conn), "names": _names(conn),
            "takers": [(d.id, d.name) for d in departments.departments(conn) if d.active and d.kind != "outside"],
            "districts": _districts(conn, visit),
            "networks": [(each.id, each.name) for each in networks.networks(conn)],
            "staff": {person.id: person.name for person in people.staff(conn)},
        }  # fmt: skip
    return _form(visit, "rules/edition.html", problem or why_not, its=its, draft=draft,
                 subject_names=_subject_names(visit, values["subjects"]), **values)  # fmt: skip


def _try(conn: Connection, visit: Visit, its: Edition | None) -> tuple[Tried | None, CentreError | None]:
    """What the address asks: an appeal of this subject, at this place, about this department."""
    asked = visit.query
    if not asked["subject"]:
        return None, None
    book = rulebook.read(conn, version_id=its.id if its else None)
    subject_id, district, against = asked.number("subject"), asked.number("district"), asked.number("against")
    building, _ = building_of(conn, asked)
    if subject_id not in book.topics:
        asked.wrong("subject", BadInput("form.no_subject"))
    if asked.problems or subject_id is None:
        return None, next(iter(asked.problems.values()))
    topic = book.topic(subject_id)
    place = rulebook.place(conn, book.routing, building.id if building else None, district)
    try:
        explained = routing.explain(book.routing, subject_id, place, against)
    except CentreError as error:
        return None, error
    due_at = law.due(visit.now, topic.term_days, book.calendar, book.terms)
    its_networks = [each.name for each in networks.of_building(conn, building.id)] if building else []
    return Tried(explained, topic.term_days, topic.kind, due_at, building, its_networks), None


# ── calendar, terms, escalation ──
def days(visit: Visit, problem: CentreError | None = None) -> Response:
    """What the city has said of a year's days."""
    this = visit.now.astimezone(KYIV).year
    year = visit.query.number("year") or this
    year = year if 2000 <= year <= this + 10 else this
    with visit.db.read() as conn:
        said = calendar.days(conn, year)
    return _form(visit, "rules/calendar.html", problem, year=year, said=said)


def change_days(visit: Visit) -> Response:
    form = visit.form
    day, name = form.day("day", required=True), form.text("name", 120)
    who: dict[str, Any] = {"now": visit.now, "staff_id": visit.person.id}

    def do(conn: Connection) -> None:
        if day is not None:
            if form["do"] == "unsay":
                calendar.unsay(conn, day, **who)
            else:
                calendar.say(conn, day, form["working"] == "1", name, **who)

    return _do(visit, do, f"/rules/calendar?year={day.year if day else ''}&done=rules",
               lambda problem: days(visit, problem))  # fmt: skip


def terms(visit: Visit, problem: CentreError | None = None) -> Response:
    with visit.db.read() as conn:
        now = law_settings.load(conn)
    rows = [(name, int(getattr(now, name)), isinstance(getattr(now, name), bool), *law.ALLOWED[name])
            for name in law.ALLOWED]  # fmt: skip
    return _form(visit, "rules/law.html", problem, rows=rows)


def change_terms(visit: Visit) -> Response:
    form = visit.form
    name, value = form["name"], 0 if form["value"] == "0" else form.number("value", required=True)
    return _do(visit, lambda conn: law_settings.say(conn, name, value or 0, now=visit.now, staff_id=visit.person.id),
               "/rules/law?done=rules", lambda problem: terms(visit, problem))  # fmt: skip


def escalation(visit: Visit, problem: CentreError | None = None) -> Response:
    with visit.db.read() as conn:
        found, staff = deadlines.rules(conn), people.staff(conn)
    return _form(visit, "rules/escalation.html", problem, rules=found, staff={p.id: p.name for p in staff},
                 people=[(p.id, p.name) for p in staff if p.active], events=tuple(Event),
                 tells=tuple(Tell))  # fmt: skip


def change_escalation(visit: Visit) -> Response:
    form = visit.form
    who: dict[str, Any] = {"now": visit.now, "staff_id": visit.person.id}

    def do(conn: Connection) -> None:
        if form["do"] == "remove":
            rule = form.number("rule", required=True)
            _raise_first(form)
            deadlines.remove_rule(conn, rule or 0, **who)
            return
        event, tell = form.choice("event", frozenset(Event), required=True), form.choice("tell", frozenset(Tell),
                                                                                         required=True)  # fmt: skip
        passed, person = 0 if form["days"] == "0" else form.number("days", required=True), form.number("person")
        _raise_first(form)
        deadlines.add_rule(conn, Event(event), passed or 0, Tell(tell), person, **who)

    return _do(visit, do, "/rules/escalation?done=rules", lambda problem: escalation(visit, problem))


# ── in common ──
def _do(visit: Visit, do: Callable[[Connection], object], then: str | Callable[[], str],
        again: Callable[[CentreError], Response]) -> Response:  # fmt: skip
    """Does it in one transaction and goes ``then`` there; or shows the form ``again`` with what was wrong."""
    try:
        _raise_first(visit.form)
        with visit.db.write() as conn:
            do(conn)
    except CentreError as error:
        return again(error)
    return visit.go(then if isinstance(then, str) else then())


def _raise_first(form: Form) -> None:
    if form.problems:
        raise next(iter(form.problems.values()))


def _form(visit: Visit, template: str, problem: CentreError | None, **values: object) -> Response:
    return visit.page(template, status=status_of(problem) if problem else HTTPStatus.OK, problem=problem, **values)


def _names(conn: Connection) -> dict[int, str]:
    return {d.id: d.name for d in departments.departments(conn)}


def _districts(conn: Connection, visit: Visit) -> list[tuple[int, str]]:
    return [(id, uk if visit.texts.language == "uk" else en) for id, uk, en in addresses.districts(conn)]


def _subject_names(visit: Visit, tree: list[departments.Subject]) -> dict[int, str]:
    return {s.id: s.name_uk if visit.texts.language == "uk" else s.name_en for s in tree}
