"""Signing in and out, one's password, the language of the pages."""

from __future__ import annotations

import logging
from http import HTTPStatus

from starlette.responses import Response

from crm import people
from crm.errors import BadInput, CentreError, NotAllowed
from crm.people import Permission
from web.texts import LANGUAGES
from web.visit import LANGUAGE, SESSION, Visit

log = logging.getLogger(__name__)

YEAR = 365 * 24 * 3600
PASSWORD_MOST = 200


def home(visit: Visit) -> Response:
    """Where this person's work is."""
    if visit.can(Permission.TAKE_CALLS):
        return visit.go("/seat")
    return visit.go("/live" if visit.can(Permission.SEE_LIVE) else "/appeals")


def ask(visit: Visit) -> Response:
    if visit.session is not None:
        return visit.go("/")
    return visit.page("sign_in.html", next=visit.query["next"])


def sign_in(visit: Visit) -> Response:
    form, next = visit.form, visit.form["next"]
    login, password = form.text("login", 60, required=True), form.text("password", PASSWORD_MOST, required=True)
    if form.problems:
        return visit.again("sign_in.html", next=next)
    client = visit.request.client
    try:
        session = people.sign_in(visit.db, login, password, now=visit.now, source=client.host if client else "",
                                 hours=visit.parts.settings.session_hours)  # fmt: skip
    except NotAllowed as error:
        # Whether a login exists, and so whether it must wait, is not told to those who do not know its password.
        problem = NotAllowed("sign_in.wrong") if error.id == "sign_in.wait" else error
        return visit.page("sign_in.html", status=HTTPStatus.FORBIDDEN, next=next, problem=problem)
    response = visit.go(visit.own_address(next))
    visit.set_cookie(response, SESSION, session.token, seconds=visit.parts.settings.session_hours * 3600)
    return response


def sign_out(visit: Visit) -> Response:
    """Ends the session. Who sat at a seat leaves it: no call may ring where nobody is."""
    if visit.seat is not None:
        try:
            visit.ask_line("logout", seat=visit.seat)
        except CentreError as error:
            log.warning("seat %s was not logged out when its person signed out: %s", visit.seat, error)
    with visit.db.write() as conn:
        people.sign_out(conn, visit.request.cookies[SESSION])
    visit.moved(visit.seat)
    response = visit.go("/sign-in")
    response.delete_cookie(SESSION)
    return response


def choose_language(visit: Visit) -> Response:
    language = visit.form["language"]
    if language not in LANGUAGES:
        raise BadInput("form.no_language")
    response = visit.go(visit.own_address(visit.form["back"]))
    visit.set_cookie(response, LANGUAGE, language, seconds=YEAR)
    return response


def show(visit: Visit) -> Response:
    return visit.page("account.html")


def change_password(visit: Visit) -> Response:
    """Needs the present password. All of the person's sessions end, this one too."""
    form = visit.form
    password = form.text("password", PASSWORD_MOST, required=True)
    new = form.text("new_password", PASSWORD_MOST, required=True)
    if new != form["repeat_password"]:
        form.wrong("repeat_password", BadInput("form.passwords_differ"))
    if form.problems:
        return visit.again("account.html")
    client = visit.request.client
    try:
        people.sign_in(visit.db, visit.person.login, password, now=visit.now, source=client.host if client else "")
        hashed = people.hash_password(new)
    except NotAllowed as error:
        return visit.page("account.html", status=HTTPStatus.FORBIDDEN, problem=error)
    except CentreError as error:
        return visit.again("account.html", problem=error)
    with visit.db.write() as conn:
        people.set_password(conn, visit.person.id, hashed)
    visit.moved(visit.seat)
    response = visit.go("/sign-in?done=password")
    response.delete_cookie(SESSION)
    return response
