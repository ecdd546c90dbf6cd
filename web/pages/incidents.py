"""Incidents: proposed by the rule, opened and closed by a person; what joined them, what was said without a name."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from crm import departments, incidents, life, networks
from crm.clock import KYIV
from crm.errors import BadInput, CentreError
from crm.incidents import LIVE, State
from crm.people import Permission
from web.forms import Form
from web.places import building_of
from web.visit import Visit, status_of

PAGE = 50
NOTE_MOST, PLACE_MOST = 4000, 200
NOW, PAST = (*LIVE, State.CLOSING), (State.CLOSED, State.DISMISSED)
SCOPES = frozenset(("building", *networks.KINDS))
DO = frozenset(("open", "amend", "close", "dismiss", "gather", "leave"))


def listed(visit: Visit) -> Response:
    """What goes on now; with ``past``, what is over, the latest first."""
    return _list(visit)


def declare(visit: Visit) -> Response:
    """Opens an incident that the rule has not proposed."""
    form = visit.form
    subject = form.number("subject", required=True)
    scope = form.choice("scope", SCOPES, required=True)
    cause = form.text("cause", NOTE_MOST)
    expected, place = form.moment("expected"), form.text("place", PLACE_MOST)
    if not cause:
        form.wrong("cause", BadInput("incident.no_cause"))
    with visit.db.read() as conn:
        building, _ = building_of(conn, form)
        network_id = _network(conn, form, building.id, scope) if building and scope in networks.KINDS else None
    if building is None and not place:
        form.wrong("address", BadInput("incident.no_place"))
    if form.problems or subject is None:
        return _list(visit)
    try:
        with visit.db.write() as conn:
            made = incidents.declare(
                conn, subject_id=subject, building_id=building.id if building and network_id is None else None,
                network_id=network_id, place="" if building else place, cause=cause, expected_at=expected,
                now=visit.now, staff_id=visit.person.id)  # fmt: skip
    except CentreError as error:
        return _list(visit, error)
    return visit.go(f"/incidents/{made}?done=incident")


def show(visit: Visit) -> Response:
    return _page(visit, visit.number("id"))


def act(visit: Visit) -> Response:
    """What a person does about an incident, on the version that he has seen."""
    form, incident_id = visit.form, visit.number("id")
    do = form.choice("do", DO, required=True)
    version, expected = form.number("version", required=True), form.moment("expected")
    note, appeal = form.text("note", NOTE_MOST), form.number("appeal", required=do == "leave")
    said: dict[str, Any] = {"now": visit.now, "staff_id": visit.person.id}
    if form.problems:
        return _page(visit, incident_id, next(iter(form.problems.values())))
    try:
        with visit.db.write() as conn:
            match do:
                case "open":
                    incidents.begin(conn, incident_id, cause=note, expected_at=expected, version=version, **said)
                case "amend":
                    incidents.amend(conn, incident_id, cause=note, expected_at=expected, version=version, **said)
                case "close":
                    incidents.close(conn, incident_id, result=note, version=version, **said)
                case "dismiss":
                    incidents.dismiss(conn, incident_id, reason=note, version=version, **said)
                case "gather":
                    incidents.gather(conn, incident_id, **said)
                case "leave" if appeal is not None:
                    incidents.leave(conn, appeal, **said)
    except CentreError as error:
        return _page(visit, incident_id, error)
    visit.poke_line("callbacks" if do == "close" else "appeals")
    return visit.go(f"/incidents/{incident_id}?done=incident")


def _list(visit: Visit, problem: CentreError | None = None) -> Response:
    past, before = visit.query.ticked("past"), visit.query.number("before")
    with visit.db.read() as conn:
        found = incidents.listed(conn, PAST if past else NOW, limit=PAGE, before_id=before)
        may = visit.can(Permission.MANAGE_INCIDENTS)
        subjects = departments.subjects(conn) if may else []
        choices = building_of(conn, Form(visit.form))[1] if visit.form["address"] else []
    show = visit.again if problem or visit.form.problems else visit.page
    more = found[-1].id if len(found) == PAGE else None
    return show("incidents.html", found=found, past=past, more=more, subjects=subjects, choices=choices,
                kinds=networks.KINDS, typed=visit.form, problem=problem)  # fmt: skip


def _page(visit: Visit, incident_id: int, problem: CentreError | None = None) -> Response:
    with visit.db.read() as conn:
        found = incidents.get(conn, incident_id)
        own = visit.person.department_id
        values: dict[str, Any] = {
            "lines": incidents.appeals_of(conn, found.id, department_id=own), "said": incidents.reports(conn, found.id),
            "outside": incidents.outside(conn, found.id) if found.state in LIVE and own is None else [],
            "left": incidents.left(conn, found) if found.state is State.CLOSING else 0,
        }  # fmt: skip
    visit.looked_at(("incident", found.id))
    return visit.page("incident.html", status=status_of(problem) if problem else HTTPStatus.OK, incident=found,
                      problem=problem, typed=visit.form, may=visit.can(Permission.MANAGE_INCIDENTS), open=life.OPEN,
                      local=_local, **values)  # fmt: skip


def _network(conn: Connection, form: Form, building_id: int, kind: str) -> int | None:
    """The building's network of this kind; a problem of the form where it is on none."""
    found = [each.id for each in networks.of_building(conn, building_id) if each.kind == kind]
    if not found:
        form.wrong("scope", BadInput("incident.no_network"))
        return None
    return found[0]


def _local(at: datetime | None) -> str:
    """As a browser takes it."""
    return at.astimezone(KYIV).strftime("%Y-%m-%dT%H:%M") if at else ""
