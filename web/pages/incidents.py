"""Incidents: proposed by the rule, opened and closed by a person; what joined them, what was said without a name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from sqlalchemy import Connection
from starlette.responses import FileResponse, Response

from crm import announcements, departments, incident_callers, incidents, life, networks
from crm.clock import KYIV
from crm.errors import BadInput, CentreError, NotFound
from crm.incidents import LIVE, State
from crm.people import Permission
from web.forms import Form
from web.lists import as_file, listing, wants_file
from web.places import building_of
from web.tables import Cell, Table
from web.texts import Texts
from web.visit import Visit, status_of

NOTE_MOST, PLACE_MOST = 4000, 200
NOW, PAST = (*LIVE, State.CLOSING), (State.CLOSED, State.DISMISSED)
SCOPES = frozenset(("building", *networks.KINDS))
DO = frozenset(("open", "amend", "close", "dismiss", "gather", "leave"))
SAY = frozenset(("listen", "live", "hush", "default"))


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
    visit.poke_line("callbacks" if do == "close" else "announcements")
    return visit.go(f"/incidents/{incident_id}?done=incident")


# ── what its callers hear ──
def announce(visit: Visit) -> Response:
    """A supervisor's own words: heard by himself first, then by callers; or nothing, or what is on record again.

    What he has not heard does not go live: words changed since then are spoken to him once more.
    """
    form, incident_id = visit.form, visit.number("id")
    do = form.choice("do", SAY, required=True)
    words = {language: form.text(f"text_{language}", announcements.LONGEST) for language in ("uk", "en")}
    said: dict[str, Any] = {"now": visit.now, "staff_id": visit.person.id}
    if form.problems:
        return _page(visit, incident_id, next(iter(form.problems.values())))
    try:
        if do in ("listen", "live"):
            made: dict[str, Any] = visit.ask_line("speak", words=words)["spoken"]
            if do == "listen" or any(form[f"heard_{language}"] != each["sound"] for language, each in made.items()):
                return _page(visit, incident_id, listened=made)
            sounds = {language: str(each["sound"]) for language, each in made.items()}
        with visit.db.write() as conn:
            match do:
                case "live":
                    announcements.announce(conn, incident_id, words, sounds, **said)
                case "hush":
                    announcements.hush(conn, incident_id, **said)
                case "default":
                    announcements.retire(conn, incident_id, **said)
    except CentreError as error:
        return _page(visit, incident_id, error)
    visit.poke_line("announcements")
    return visit.go(f"/incidents/{incident_id}?done=announcement")


def hear(visit: Visit) -> Response:
    """The sound of what is said, or is about to be."""
    language, mark = visit.path("language"), visit.path("mark")
    if language not in ("uk", "en") or not re.fullmatch(r"[0-9a-f]{32}", mark):
        raise NotFound("announcement.no_sound")
    path = visit.parts.settings.prompts / language / "announcements" / mark / "said.wav"
    if not path.is_file():
        raise NotFound("announcement.no_sound")
    return FileResponse(path, media_type="audio/wav")


def _list(visit: Visit, problem: CentreError | None = None) -> Response:
    past = visit.query.ticked("past")
    with visit.db.read() as conn:
        shown = listing(visit, ("past",), lambda limit, after: incidents.listed(
            conn, PAST if past else NOW, limit=limit, after_id=after))
        if wants_file(visit):
            return as_file(visit, "incidents", _table(visit.texts, shown.found))
        not_over = incident_callers.not_over(conn, [each.id for each in shown.found])
        may = visit.can(Permission.MANAGE_INCIDENTS)
        subjects = departments.subjects(conn) if may else []
        choices = building_of(conn, Form(visit.form))[1] if visit.form["address"] else []
    show = visit.again if problem or visit.form.problems else visit.page
    return show("incidents.html", list=shown, not_over=not_over, past=past, subjects=subjects,
                choices=choices, kinds=networks.KINDS, typed=visit.form, problem=problem)  # fmt: skip


def _table(t: Texts, found: Sequence[incidents.Incident]) -> Table:
    names = ("state", "subject", "cause", "place", "since", "until", "appeals", "reports")
    return Table(t("incidents.title"), tuple(t(f"incidents.{name}") for name in names), tuple(
        (Cell(t(f"incident_state.{each.state}")), Cell(t.either(each.subject_uk, each.subject_en)), Cell(each.cause),
         Cell(each.network or (f"{each.street}, {each.building}" if each.building_id else each.place)),
         Cell(t.moment(each.proposed_at)), Cell(t.moment(each.expected_at)), Cell(each.appeals, "count"),
         Cell(each.reports, "count")) for each in found))  # fmt: skip


def _page(visit: Visit, incident_id: int, problem: CentreError | None = None,
          listened: Mapping[str, Any] | None = None) -> Response:  # fmt: skip
    may = visit.can(Permission.MANAGE_INCIDENTS)
    with visit.db.read() as conn:
        found = incidents.get(conn, incident_id)
        own = visit.person.department_id
        values: dict[str, Any] = {
            "lines": incidents.appeals_of(conn, found.id, department_id=own), "said": incidents.reports(conn, found.id),
            "outside": incidents.outside(conn, found.id) if found.state in LIVE and own is None else [],
            "left": incidents.left(conn, found) if found.state is State.CLOSING else 0,
            "announced": announcements.of(conn, found.id), "joined": incident_callers.figures(conn, found.id),
            "callers": incident_callers.callers(conn, found.id) if may else [],
        }  # fmt: skip
    visit.looked_at(("incident", found.id), *(("call", each.linkedid) for each in values["callers"] if each.linkedid))
    return visit.page("incident.html", status=status_of(problem) if problem else HTTPStatus.OK, incident=found,
                      problem=problem, typed=visit.form, may=may, open=life.OPEN, local=_local, listened=listened,
                      **values)  # fmt: skip


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
