"""The control desk: what is late, returned, not acknowledged; and what it does with many appeals at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from crm import appeals, control, departments, law, letters, life, people
from crm.control import MOST_COUNTED, Watched
from crm.errors import BadInput, CentreError, NotFound, Stale
from crm.life import Action
from crm.people import Role
from web.lists import as_file, listing, wants_file
from web.pages.appeals import NOTE_MOST, chosen, table_of
from web.visit import Visit

AT_ONCE = (Action.ASSIGN, Action.EXTEND, Action.REPRIMAND)  # what is done to many


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one of them. ``problem``: None when it was done."""

    number: int
    problem: CentreError | None


def show(visit: Visit) -> Response:
    return _page(visit, visit.query)


def act(visit: Visit) -> Response:
    """One action on each appeal that is ticked, with one reason; each by itself, so that one keeps no other back."""
    form = visit.form
    action = Action(form.choice("action", frozenset(AT_ONCE), required=True) or Action.ASSIGN)
    note = form.text("note", NOTE_MOST, required=True)
    department = form.number("department", required=action is Action.ASSIGN)
    until = form.day("until", required=action is Action.EXTEND)
    ticked = chosen(form)
    if not ticked:
        form.wrong("ticks", BadInput("form.no_ticks"))
    if form.problems:
        return _page(visit, form, problem=next(iter(form.problems.values())))
    values: dict[str, Any] = {
        "note": note, "department_id": department, "until": law.end_of(until) if until else None, "now": visit.now,
        "staff_id": visit.person.id}  # fmt: skip
    outcomes = [Outcome(number, _one(visit, number, version, action, values)) for number, version in ticked.items()]
    visit.poke_line("appeals")
    return _page(visit, form, outcomes=outcomes)


def _one(visit: Visit, number: int, version: int, action: Action, values: dict[str, Any]) -> CentreError | None:
    try:
        with visit.db.write() as conn:
            its = appeals.by_number(conn, number)
            if its is None:
                raise NotFound("appeal.unknown")
            if its.version != version:
                raise Stale("control.stale")
            people.require_action(visit.person, action, its.state, its.department_id)
            appeals.act(conn, its.id, action, version=version, **values)
    except CentreError as error:
        return error
    return None


def _page(visit: Visit, asked: Any, *, problem: CentreError | None = None,
          outcomes: list[Outcome] | None = None) -> Response:  # fmt: skip
    official = visit.person.id if visit.person.role is Role.OFFICIAL else None
    of = asked.number("of")
    with visit.db.read() as conn:
        counts = control.counts(conn, visit.now, official_id=official, department_id=of)
        which = (Watched(asked["list"]) if asked["list"] in set(Watched) else
                 next((each for each in Watched if counts[each]), Watched.OVERDUE))  # fmt: skip
        shown = listing(visit, ("list", "of"), lambda limit, after: control.listed(
            conn, which, visit.now, official_id=official, department_id=of, limit=limit, after_id=after), asked)
        known, post = departments.departments(conn), letters.post(conn)
    if wants_file(visit):
        return as_file(visit, f"control-{which}", table_of(visit.texts, shown.found),
                       *(("appeal", each.id) for each in shown.found))  # fmt: skip
    may = [action for action in AT_ONCE if visit.can(people.FOR_ACTION[action])]
    show = visit.again if problem else visit.page
    return show("control.html", form=asked, asked=asked, which=which, lists=tuple(Watched), counts=counts,
                most=MOST_COUNTED, list=shown, departments=known, of=of, post=post, may=may, after=asked["after"],
                mail=bool(visit.parts.settings.smtp_host), problem=problem, outcomes=outcomes,
                open=life.OPEN)  # fmt: skip
