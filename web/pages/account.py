"""Signing in and out, one's password, one's second factor and sign-ins, the language of the pages."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

import segno
from starlette.responses import Response

from crm import people, second_factor, sign_in
from crm.errors import BadInput, CentreError, NotAllowed
from crm.guessing import Place
from crm.people import Owed, Permission, Staff
from crm.sign_in import OpenSession
from web import agents, known, security
from web.texts import LANGUAGES
from web.visit import KNOWN, LANGUAGE, SESSION, Visit, status_of

YEAR = 365 * 24 * 3600
PASSWORD_MOST = 200
CODE_MOST = 20
CODE_WITHIN = timedelta(minutes=5)  # of the password


def home(visit: Visit) -> Response:
    """Where this person's work is."""
    if visit.can(Permission.TAKE_CALLS):
        return visit.go("/seat")
    if visit.can(Permission.SEE_LIVE):
        return visit.go("/live")
    return visit.go("/messages" if visit.can(Permission.ANSWER_MESSAGES) else "/appeals")


# ── signing in and out ───────────────────────────────────────────────────────────────────────
def ask(visit: Visit) -> Response:
    if visit.session is not None:
        return visit.go("/")
    return visit.page("sign_in.html", next=visit.query["next"])


def enter(visit: Visit) -> Response:
    """The password. Who has a second factor is asked for its code before there is a session."""
    form, next = visit.form, visit.form["next"]
    login, password = form.text("login", 60, required=True), form.text("password", PASSWORD_MOST, required=True)
    if form.problems:
        return visit.again("sign_in.html", next=next)
    try:
        person = sign_in.prove_password(visit.db, login, password, place=_place(visit, login), now=visit.now)
    except NotAllowed as error:
        return visit.page("sign_in.html", status=HTTPStatus.FORBIDDEN, next=next, problem=error)
    if person.second_factor:
        return visit.page("sign_in_code.html", next=next, proof=_proof(visit, person))
    return _begin(visit, person, next)


def enter_code(visit: Visit) -> Response:
    """The code of the second factor, after the password."""
    form, next = visit.form, visit.form["next"]
    if (staff_id := _proven(visit)) is None:
        return visit.page("sign_in.html", status=HTTPStatus.FORBIDDEN, next=next, problem=NotAllowed("sign_in.late"))
    code = form.text("code", CODE_MOST, required=True)
    if form.problems:
        return visit.again("sign_in_code.html", next=next, proof=form["proof"])
    with visit.db.read() as conn:
        login = people.get(conn, staff_id).login
    try:
        person = sign_in.prove_code(visit.db, staff_id, code, place=_place(visit, login), now=visit.now)
    except NotAllowed as error:
        return visit.page("sign_in_code.html", status=HTTPStatus.FORBIDDEN, next=next, proof=form["proof"],
                          problem=error)  # fmt: skip
    return _begin(visit, person, next)


def _proof(visit: Visit, person: Staff) -> str:
    """That this browser has just given this person's password. It is good nowhere else, and for a short while."""
    said = f"{person.id}-{int((visit.now + CODE_WITHIN).timestamp())}"
    return f"{said}.{_sealed(visit, said)}"


def _proven(visit: Visit) -> int | None:
    """Whose password has been given, by the form's proof; None for one that is over or not ours."""
    said, _, seal = visit.form["proof"].partition(".")
    if not security.same(seal, _sealed(visit, said)):
        return None
    staff_id, until = map(int, said.split("-"))
    return staff_id if visit.now.timestamp() < until else None


def _sealed(visit: Visit, said: str) -> str:
    return security.seal(visit.parts.secret, "password", said, visit.entry)


def _begin(visit: Visit, person: Staff, next: str) -> Response:
    cookie = visit.cookie(KNOWN)
    with visit.db.write() as conn:
        session = sign_in.begin(conn, person, place=_place(visit, person.login), now=visit.now,
                                agent=visit.request.headers.get("user-agent", ""),
                                lasting=visit.parts.lasting)  # fmt: skip
    response = visit.go(visit.own_address(next))
    visit.set_cookie(response, SESSION, session.token, seconds=visit.parts.settings.session_hours * 3600)
    visit.set_cookie(response, KNOWN, known.remembering(visit.parts.secret, cookie, person.login), seconds=YEAR)
    return response


def _place(visit: Visit, login: str) -> Place:
    return known.place(visit.parts.secret, visit.request, visit.cookie(KNOWN), login)


def leave(visit: Visit) -> Response:
    """Ends the session."""
    with visit.db.write() as conn:
        ended = sign_in.end(conn, visit.person.id, mark=sign_in.mark_of(visit.cookie(SESSION)))
    visit.signed_out(visit.person.id, ended)
    response = visit.go("/sign-in")
    visit.drop_cookie(response, SESSION)
    return response


def choose_language(visit: Visit) -> Response:
    language = visit.form["language"]
    if language not in LANGUAGES:
        raise BadInput("form.no_language")
    response = visit.go(visit.own_address(visit.form["back"]))
    visit.set_cookie(response, LANGUAGE, language, seconds=YEAR)
    return response


# ── one's own account ────────────────────────────────────────────────────────────────────────
def show(visit: Visit) -> Response:
    return _account(visit)


def change_password(visit: Visit) -> Response:
    """Needs the present password, but of who has just come in with one that he was given. His other sessions end, and
    this one goes on under a new token."""
    form, given = visit.form, visit.owes is Owed.PASSWORD
    present = form.text("password", PASSWORD_MOST, required=not given)
    new = form.text("new_password", PASSWORD_MOST, required=True)
    if new != form["repeat_password"]:
        form.wrong("repeat_password", BadInput("form.passwords_differ"))
    if form.problems:
        return _account(visit)
    try:
        if not given:
            login = visit.person.login
            sign_in.prove_password(visit.db, login, present, place=_place(visit, login), now=visit.now)
        sign_in.change_password(visit.db, visit.person, new, now=visit.now)
    except CentreError as error:
        return _account(visit, error)
    return _afresh(visit, "password")


def set_up(visit: Visit) -> Response:
    """The second factor: a picture for the application on the telephone, and the same to be typed."""
    return visit.go("/account") if visit.person.second_factor else _second_factor(visit)


def enrol(visit: Visit) -> Response:
    """Takes the second factor once its first code shows that the application has it."""
    code = visit.form.text("code", CODE_MOST, required=True)
    if visit.form.problems:
        return _second_factor(visit)
    try:
        with visit.db.write() as conn:
            sign_in.enrol(conn, visit.person.id, _secret(visit), code, now=visit.now)
    except CentreError as error:
        return _second_factor(visit, error)
    return _afresh(visit, "second_factor")


def end_sessions(visit: Visit) -> Response:
    """One of the person's other sign-ins, or all the others."""
    own = visit.cookie(SESSION)
    with visit.db.write() as conn:
        ended = sign_in.end(conn, visit.person.id, mark=visit.form["session"], but=own)
    visit.signed_out(visit.person.id, ended)
    return visit.go("/account?done=sessions")


def lines_of(visit: Visit, staff_id: int) -> list[tuple[OpenSession, str, bool]]:
    """A person's open sign-ins as pages show them: each with its browser's name and whether it is this very one."""
    with visit.db.read() as conn:
        lines = sign_in.open_sessions(conn, staff_id, visit.now)
    own = sign_in.mark_of(visit.cookie(SESSION))
    return [(line, agents.short(line.agent), line.mark == own) for line in lines]


def _account(visit: Visit, problem: CentreError | None = None) -> Response:
    bad = bool(visit.form.problems or problem)
    return visit.page("account.html", status=status_of(problem) if problem else 422 if bad else 200,
                      problem=problem, next=visit.form["next"] or visit.query["next"],
                      lines=lines_of(visit, visit.person.id))  # fmt: skip


def _second_factor(visit: Visit, problem: CentreError | None = None) -> Response:
    secret, bad = _secret(visit), bool(visit.form.problems or problem)
    picture = segno.make(second_factor.address(secret, visit.person.login), error="m")
    return visit.page("second_factor.html", status=status_of(problem) if problem else 422 if bad else 200,
                      problem=problem, next=visit.form["next"] or visit.query["next"], secret=secret,
                      picture=picture.svg_inline(scale=5, border=4, light="#fff", svgclass=None,
                                                 lineclass=None))  # fmt: skip


def _secret(visit: Visit) -> str:
    """What is offered in this session as a second factor: the same each time, and kept only once it is taken."""
    return second_factor.secret_of(security.sealed(visit.parts.secret, "second factor", visit.csrf))


def _afresh(visit: Visit, done: str) -> Response:
    """After what proves a person has changed: his other sessions end, and this one goes on under a new token; at a
    first sign-in to where he wanted, or to what is still owed."""
    with visit.db.write() as conn:
        ended = sign_in.end(conn, visit.person.id, but=visit.cookie(SESSION))
        token = sign_in.renewed(conn, visit.cookie(SESSION))
    visit.signed_out(visit.person.id, ended)
    response = visit.go(visit.own_address(visit.form["next"], "/" if visit.owes else f"/account?done={done}"))
    visit.set_cookie(response, SESSION, token, seconds=visit.parts.settings.session_hours * 3600)
    return response
