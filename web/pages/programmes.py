"""City programmes: their buildings and years, and an appeal answered from one."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from crm import appeals, departments, people, programmes
from crm.errors import BadInput, CentreError, NotFound
from crm.life import Action
from crm.people import Permission
from web.forms import Form
from web.pages.answers import told_for_record
from web.places import building_of
from web.visit import Visit, status_of

NEW = "new"


def listed(visit: Visit) -> Response:
    with visit.db.read() as conn:
        found = programmes.programmes(conn, ended=_edits(visit))
    return visit.page("programmes/list.html", found=found, edits=_edits(visit))


def show(visit: Visit) -> Response:
    """A programme with its buildings; with the forms that change it, for whoever may."""
    return _page(visit)


def save(visit: Visit) -> Response:
    """The programme itself, as it was seen."""
    form, id = visit.form, _id(visit)
    name, ground = (form.text("name_uk", programmes.NAME_MOST, required=True),
                    form.text("ground", programmes.GROUND_MOST, required=True))  # fmt: skip
    name_en, subject = form.text("name_en", programmes.NAME_MOST), form.number("subject")
    about, about_en = form.text("about_uk", programmes.ABOUT_MOST), form.text("about_en", programmes.ABOUT_MOST)
    version = form.number("seen", required=id is not None)
    if form.problems:
        return _page(visit, typed=form)
    try:
        with visit.db.write() as conn:
            saved = programmes.save(conn, id, version, name_uk=name, name_en=name_en, about_uk=about,
                                    about_en=about_en, ground=ground, subject_id=subject, active=form.ticked("active"),
                                    staff_id=visit.person.id, now=visit.now)  # fmt: skip
    except NotFound:
        raise
    except CentreError as error:
        return _page(visit, typed=form, problem=error)
    return visit.go(f"/programmes/{saved}?done=saved")


def buildings(visit: Visit) -> Response:
    """A building put in, moved to another year, or (with ``take``) taken out."""
    form, id = visit.form, visit.number("id")
    taken = form.number("take")
    year = None if taken else form.number("year", required=True)
    note = form.text("note", programmes.NOTE_MOST)
    with visit.db.write() as conn:
        if taken:
            programmes.take_building(conn, id, taken, staff_id=visit.person.id, now=visit.now)
            return visit.go(f"/programmes/{id}?done=saved")
        building, choices = building_of(conn, form)
        if not form["address"]:
            form.wrong("address", BadInput("form.no_building"))
    problem: CentreError | None = None
    if building is not None and year is not None and not form.problems:
        try:
            with visit.db.write() as conn:
                programmes.put_building(conn, id, building.id, year, note, staff_id=visit.person.id, now=visit.now)
            return visit.go(f"/programmes/{id}?done=saved")
        except NotFound:
            raise
        except CentreError as error:
            problem = error
    return _page(visit, problem=problem, choices=choices, again=True)


def answer(visit: Visit) -> Response:
    """An appeal that is under way, answered from a programme, as it was seen."""
    form = visit.form
    programme, version = form.number("programme", required=True), form.number("version", required=True)
    with visit.db.read() as conn:
        appeal = appeals.by_number(conn, visit.number("number"))
    if appeal is None:
        raise NotFound("appeal.unknown")
    people.require_action(visit.person, Action.ANSWER, appeal.state, appeal.department_id)
    if programme is None or version is None:
        raise next(iter(form.problems.values()))
    with visit.db.write() as conn:
        programmes.answer(conn, appeal.id, programme, told_for_record, staff_id=visit.person.id, now=visit.now,
                          version=version)  # fmt: skip
    visit.poke_line("callbacks")
    return visit.go(f"/appeals/{appeal.number}?done=acted")


def _id(visit: Visit) -> int | None:
    return None if visit.path("id") == NEW else visit.number("id")


def _edits(visit: Visit) -> bool:
    return visit.can(Permission.EDIT_KNOWLEDGE) or visit.can(Permission.EDIT_RULES)


def _page(visit: Visit, *, typed: Form | None = None, problem: CentreError | None = None, choices: Any = (),
          again: bool = False) -> Response:  # fmt: skip
    id = _id(visit)
    if id is None and not _edits(visit):
        raise NotFound("page.unknown")
    with visit.db.read() as conn:
        programme = None if id is None else programmes.get(conn, id)
        lines = [] if id is None else programmes.buildings(conn, id)
        subjects = departments.subjects(conn)
    if typed is None:
        known = {} if programme is None else {name: getattr(programme, name) for name in (
            "name_uk", "name_en", "about_uk", "about_en", "ground")}  # fmt: skip
        typed = Form({**known, "active": "on" if programme is None or programme.active else "",
                      "subject": str(programme.subject_id or "") if programme else "",
                      "seen": str(programme.version) if programme else ""})  # fmt: skip
    wrong = HTTPStatus.UNPROCESSABLE_ENTITY if again or visit.form.problems else HTTPStatus.OK
    return visit.page("programmes/show.html", status=status_of(problem) if problem else wrong, id=visit.path("id"),
                      programme=programme, lines=lines, subjects=subjects, filled=typed, problem=problem,
                      choices=choices, edits=_edits(visit), most=programmes.MOST_SHOWN)  # fmt: skip
