"""Appeals: found, read whole, and acted upon by departments and the control desk."""

from __future__ import annotations

from datetime import datetime, time
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from crm import addresses, appeals, citizens, departments, life, people
from crm.appeals import Appeal
from crm.citizens import Citizen
from crm.clock import KYIV
from crm.errors import CentreError, IllegalAction, NotFound
from crm.life import Action, State
from crm.people import Staff
from web import forms, reads
from web.visit import Visit, status_of

PAGE = 50
NOTE_MOST = 4000
# The resident's own word: taken where it is heard, in a call, and so by no form on the appeal's page.
WORD = frozenset({Action.CONFIRM, Action.NOT_SOLVED})


def search(visit: Visit) -> Response:
    """Appeals by what the address says; with nothing said, an executor's own work, nearest deadline first."""
    asked, scope = visit.query, visit.person.department_id
    number, subject, before = asked.number("number"), asked.number("subject"), asked.number("before")
    department = scope or asked.number("department")
    state, overdue = asked.choice("state", frozenset(State)), asked.ticked("overdue")
    filtered = any((number, subject, before, state, overdue))
    with visit.db.read() as conn:
        if asked.problems:  # what cannot be looked for finds nothing, rather than everything
            found = []
        elif scope is not None and not filtered:
            found = appeals.for_department(conn, scope, PAGE)
        else:
            found = appeals.search(conn, states=[State(state)] if state else (), department_id=department,
                                   subject_id=subject, overdue_at=visit.now if overdue else None, number=number,
                                   limit=PAGE, before_id=before)  # fmt: skip
        lists: dict[str, Any] = {"departments": departments.departments(conn), "subjects": departments.subjects(conn)}
    kept = {name: asked[name] for name in ("number", "state", "department", "subject", "overdue") if asked[name]}
    searched = filtered or scope is None
    more = {**kept, "before": str(found[-1].id)} if searched and len(found) == PAGE else {}
    show = visit.again if asked.problems else visit.page
    return show("appeals.html", form=asked, found=found, asked=asked, states=tuple(State), open=life.OPEN, kept=kept,
                more=more, **lists)  # fmt: skip


def show(visit: Visit) -> Response:
    return _page(visit, _appeal(visit), forms.Form({}))


def act(visit: Visit) -> Response:
    """One action on an appeal, on the version that the person has seen."""
    form, appeal = visit.form, _appeal(visit)
    action = form["action"]
    if action not in possible(visit.person, appeal):
        return _page(visit, appeal, form, IllegalAction("appeal.illegal_action", state=appeal.state, action=action))
    note = form.text("note", NOTE_MOST, required=action in life.NEEDS_NOTE)
    department = form.number("department", required=action == Action.ASSIGN)
    until = form.day("until", required=action == Action.PLAN)
    version = form.number("version", required=True)
    if form.problems:
        return _page(visit, appeal, form, next(iter(form.problems.values())))
    try:
        with visit.db.write() as conn:
            appeals.act(conn, appeal.id, Action(action), now=visit.now, staff_id=visit.person.id,
                        department_id=department, note=note, version=version,
                        until=datetime.combine(until, time(8), KYIV) if until else None)  # fmt: skip
    except CentreError as error:
        return _page(visit, _appeal(visit), form, error)
    visit.poke_line("callbacks" if action == Action.EXECUTE else "appeals")
    return visit.go(f"/appeals/{appeal.number}?done=acted")


def possible(person: Staff, appeal: Appeal) -> tuple[Action, ...]:
    """What this person may do to the appeal on its page."""
    return tuple(a for a in people.actions_for(person, appeal.state, appeal.department_id) if a not in WORD)


def _appeal(visit: Visit) -> Appeal:
    """The appeal of the address. NotFound also for another department's: it is not said that it exists."""
    with visit.db.read() as conn:
        appeal = appeals.by_number(conn, visit.number("number"))
    if appeal is None or visit.person.department_id not in (None, appeal.department_id):
        raise NotFound("appeal.unknown")
    return appeal


def _page(visit: Visit, appeal: Appeal, typed: forms.Form, problem: CentreError | None = None) -> Response:
    with visit.db.read() as conn:
        building = addresses.find_building(conn, appeal.building_id) if appeal.building_id else None
        citizen: Citizen | None = citizens.get(conn, appeal.citizen_id) if appeal.citizen_id else None
        values: dict[str, Any] = {
            "history": appeals.history(conn, appeal.id), "calls": reads.calls_of_appeal(conn, appeal.id),
            "departments": (known := departments.departments(conn)), "names": {d.id: d.name for d in known},
        }  # fmt: skip
    visit.looked_at(("appeal", appeal.id))
    return visit.page("appeal.html", status=status_of(problem) if problem else HTTPStatus.OK, appeal=appeal,
                      citizen=citizen, building=building, actions=possible(visit.person, appeal), typed=typed,
                      problem=problem, needs_note=life.NEEDS_NOTE, open=life.OPEN, **values)  # fmt: skip
