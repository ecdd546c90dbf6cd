"""The centre's people: who they are, what their roles may do, a new password for who has lost his."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from crm import departments, passwords, people, sign_in
from crm.calls import Skill
from crm.errors import CentreError
from crm.people import PERMISSIONS, Edit, Permission, Role, Staff
from web.pages.account import lines_of
from web.texts import LANGUAGES
from web.visit import Visit, status_of

NAME_MOST = 200


def listed(visit: Visit) -> Response:
    return _list(visit)


def add(visit: Visit) -> Response:
    """A new account; its password is shown this once."""
    values = _said(visit)
    login = visit.form.text("login", 60, required=True)
    if visit.form.problems:
        return _list(visit)
    password = passwords.one_time()
    hashed = passwords.hashed(password)
    try:
        with visit.db.write() as conn:
            staff_id = people.add_staff(conn, login=login, password_hash=hashed, by=Edit(visit.now, visit.person.id),
                                        **values)  # fmt: skip
            person = people.get(conn, staff_id)
    except CentreError as error:
        return _list(visit, error)
    return visit.page("people/password.html", person=person, password=password)


def show(visit: Visit) -> Response:
    return _one(visit)


def change(visit: Visit) -> Response:
    values = _said(visit)
    if visit.form.problems:
        return _one(visit)
    staff_id = visit.number("id")
    try:
        with _ending(visit, staff_id) as conn:
            people.change(conn, staff_id, {**values, "active": visit.form.ticked("active")},
                          Edit(visit.now, visit.person.id))  # fmt: skip
    except CentreError as error:
        return _one(visit, error)
    return visit.go("/people?done=people")


def new_password(visit: Visit) -> Response:
    """For who has lost his: shown this once, and all his sessions end."""
    staff_id = visit.number("id")
    password = passwords.one_time()
    hashed = passwords.hashed(password)
    with _ending(visit, staff_id) as conn:
        people.give_password(conn, staff_id, hashed, Edit(visit.now, visit.person.id))
        person = people.get(conn, staff_id)
    return visit.page("people/password.html", person=person, password=password)


def take_second_factor(visit: Visit) -> Response:
    """For who has lost his telephone: all his sessions end, and at the next sign-in he sets up another."""
    staff_id = visit.number("id")
    with _ending(visit, staff_id) as conn:
        people.take_second_factor(conn, staff_id, Edit(visit.now, visit.person.id))
    return visit.go(f"/people/{staff_id}?done=people")


def end_sessions(visit: Visit) -> Response:
    """One of this person's sign-ins, or all of them."""
    staff_id = visit.number("id")
    with _ending(visit, staff_id) as conn:
        sign_in.end(conn, staff_id, mark=visit.form["session"])
    return visit.go(f"/people/{staff_id}?done=sessions")


@contextmanager
def _ending(visit: Visit, staff_id: int) -> Iterator[Connection]:
    """A transaction that may end sessions of this person: whose seat that was is logged out, once it is written."""
    with visit.db.write() as conn:
        before = sign_in.open_sessions(conn, staff_id, visit.now)
        yield conn
        left = sign_in.open_sessions(conn, staff_id, visit.now)
    visit.signed_out(staff_id, [session for session in before if session not in left])


def permissions(visit: Visit) -> Response:
    """The table by which the program decides."""
    return visit.page("people/permissions.html", roles=tuple(Role), permissions=tuple(Permission), table=PERMISSIONS)


def _said(visit: Visit) -> dict[str, Any]:
    form = visit.form
    role = form.choice("role", frozenset(Role), required=True)
    return {"name": form.text("name", NAME_MOST), "role": Role(role) if role else None,
            "department_id": form.number("department"), "email": form.text("email", NAME_MOST),
            "skills": [skill for skill in Skill if form.ticked(f"skill_{skill}")],
            "language": form.choice("language", frozenset(LANGUAGES)) or LANGUAGES[0]}  # fmt: skip


def _list(visit: Visit, problem: CentreError | None = None) -> Response:
    """Those whom the address asks for, by words of the name, the login or the address, and by role."""
    words, role = visit.query.text("text", NAME_MOST).casefold().split(), visit.query["role"]
    with visit.db.read() as conn:
        known, staff = departments.departments(conn), people.staff(conn)
    bad = visit.form.problems or problem
    return visit.page("people/people.html", status=status_of(problem) if problem else 422 if bad else 200,
                      staff=sorted((person for person in staff if role in ("", person.role) and _has(person, words)),
                                   key=lambda person: (not person.active, person.name.casefold())),
                      departments=known, names={each.id: each.name for each in known}, problem=problem,
                      typed=bool(bad), roles=tuple(Role), languages=LANGUAGES, skills=tuple(Skill))  # fmt: skip


def _has(person: Staff, words: Sequence[str]) -> bool:
    said = f"{person.name} {person.login} {person.email}".casefold()
    return all(word in said for word in words)


def _one(visit: Visit, problem: CentreError | None = None) -> Response:
    with visit.db.read() as conn:
        person, known = people.get(conn, visit.number("id")), departments.departments(conn)
    bad = bool(visit.form.problems or problem)
    return visit.page("people/person.html", status=status_of(problem) if problem else 422 if bad else 200,
                      person=person, shown=visit.form if bad else _as_form(person), departments=known, problem=problem,
                      roles=tuple(Role), languages=LANGUAGES, skills=tuple(Skill),
                      lines=lines_of(visit, person.id))  # fmt: skip


def _as_form(person: Staff) -> dict[str, str]:
    return {"name": person.name, "role": person.role.value, "department": str(person.department_id or ""),
            "email": person.email, "language": person.language, "active": "1" if person.active else "",
            **{f"skill_{skill}": "1" if skill in person.skills else "" for skill in Skill}}  # fmt: skip
