"""One request to one page: who asks, what was sent, what may be done, and how it is answered.

``Page`` is a row of the table in ``web.app``: address, permission, function. The function is
synchronous and runs in a thread, so that the database never holds up the event loop. What goes
wrong is a ``CentreError``, and its sentence is shown with what to do.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote, urlencode

import anyio
import anyio.from_thread
import anyio.to_thread
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from centre.settings import Settings
from crm import people
from crm.confirmation_rules import Rules
from crm.errors import BadInput, CentreError, IllegalAction, NotAllowed, NotFound, Stale
from crm.people import Permission, Session, Staff
from crm.store import Database
from web import forms, security
from web.forms import Form
from web.handed import Handed
from web.live import Hub
from web.render import Renderer
from web.texts import LANGUAGES, Texts, texts
from web.tickets import Tickets

log = logging.getLogger(__name__)

SESSION, ENTRY, LANGUAGE = "session", "entry", "language"  # cookies
STATUS: dict[type[CentreError], HTTPStatus] = {
    BadInput: HTTPStatus.UNPROCESSABLE_ENTITY, NotFound: HTTPStatus.NOT_FOUND, Stale: HTTPStatus.CONFLICT,
    IllegalAction: HTTPStatus.CONFLICT, NotAllowed: HTTPStatus.FORBIDDEN,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pages work with. ``secret`` signs what is given to people without a session."""

    settings: Settings
    rules: Rules
    db: Database
    hub: Hub
    renderer: Renderer
    tickets: Tickets
    secret: str
    slow: anyio.CapacityLimiter
    clock: Callable[[], datetime]
    handed: Handed = field(default_factory=Handed)


@dataclass(frozen=True, slots=True)
class Page:
    """A route. ``needs``: any one of these lets a person in; empty: everybody who is signed in; None: anybody."""

    method: Literal["GET", "POST"]
    path: str
    answer: Callable[[Visit], Response]
    needs: tuple[Permission, ...] | None = ()
    slow: bool = False  # hashes a password: a few at a time, and never in the way of other pages
    files: bool = False  # its form may bring files


@dataclass(frozen=True, slots=True)
class Visit:
    """One request. ``now`` is the same time for all that it does."""

    request: Request
    parts: Parts
    now: datetime
    texts: Texts
    session: Session | None
    entry: str  # the random cookie of a browser that has no session
    query: Form = field(default_factory=lambda: Form({}))  # after the address's question mark
    form: Form = field(default_factory=lambda: Form({}))  # what was posted

    @property
    def person(self) -> Staff:
        """Who is signed in. NotAllowed ``sign_in.needed`` when nobody is."""
        if self.session is None:
            raise NotAllowed("sign_in.needed")
        return self.session.staff

    @property
    def seat(self) -> str | None:
        return self.session.seat if self.session is not None else None

    @property
    def csrf(self) -> str:
        return self.session.csrf if self.session is not None else security.entry_csrf(self.parts.secret, self.entry)

    @property
    def db(self) -> Database:
        return self.parts.db

    def path(self, name: str) -> str:
        """A part of the address, cleaned."""
        return forms.clean(str(self.request.path_params[name]))

    def number(self, name: str) -> int:
        """A part of the address that is a record's number. NotFound if it cannot be one."""
        if (number := forms.whole(self.path(name))) is None:
            raise NotFound("page.unknown")
        return number

    def can(self, permission: Permission | str) -> bool:
        return self.session is not None and people.may(self.session.staff.role, Permission(permission))

    def ask_line(self, do: str, **fields: object) -> dict[str, Any]:
        """A request to the line, from this thread. CentreError when it refuses or cannot be reached."""

        async def ask() -> dict[str, Any]:
            return await self.parts.hub.ask(do, **fields)

        return anyio.from_thread.run(ask)

    def poke_line(self, what: Literal["callbacks", "appeals", "announcements", "surge"]) -> None:
        """Tells the line that something changed in the database. It finds out by itself later if it is away."""
        try:
            self.ask_line("changed", what=what)
        except CentreError as error:
            log.info("the line was not told of changed %s: %s", what, error)

    def moved(self, seat: str | None) -> None:
        """This person has signed out, or sits elsewhere (now at ``seat``): streams that told him more must end."""
        anyio.from_thread.run_sync(self.parts.hub.recheck, self.person.id, seat)

    def looked_at(self, *whose: tuple[str, object], why: str = "") -> None:
        """Keeps in the log that this person looked at this data: (what, record's id) each."""
        with self.db.write() as conn:
            for what, key in whose:
                people.log_access(conn, staff_id=self.person.id, what=what, subject_key=str(key), now=self.now, why=why)

    def page(self, template: str, *, status: int = HTTPStatus.OK, **values: object) -> Response:
        """A page; cookies that the browser lacks are set with it."""
        html = self.parts.renderer(template, self.texts.language, {"visit": self, "form": self.form, **values})
        response = HTMLResponse(html, status)
        if self.session is None and self.request.cookies.get(ENTRY) != self.entry:
            self.set_cookie(response, ENTRY, self.entry)
        return response

    def again(self, template: str, **values: object) -> Response:
        """The form once more, with what was typed and with what is wrong."""
        return self.page(template, status=HTTPStatus.UNPROCESSABLE_ENTITY, **values)

    def go(self, address: str) -> Response:
        """After a form was taken: see there."""
        return RedirectResponse(address, HTTPStatus.SEE_OTHER)

    def set_cookie(self, response: Response, name: str, value: str, *, seconds: int | None = None) -> None:
        response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="lax",
                            secure=self.request.url.scheme == "https")  # fmt: skip

    def own_address(self, address: str, otherwise: str = "/") -> str:
        """``address`` if it is a page of ours, never another site's."""
        plain = address.startswith("/") and not address.startswith(("//", "/\\")) and "\n" not in address
        return quote(address, safe="/?&=%+-._~:,") if plain else otherwise


async def answer(page: Page, parts: Parts, request: Request) -> Response:
    """Reads what was sent and lets the page's function answer in a thread."""
    body, form, unread = b"", None, None
    if page.method == "POST":
        try:
            if page.files and forms.is_multipart(request.headers.get("content-type", "")):
                form = await forms.parse_files(request, await _most(parts, request))
            else:
                body = await security.body_of(request, forms.MAX_BODY)
        except BadInput as error:
            unread = error
    limiter = parts.slow if page.slow else None
    try:
        return await anyio.to_thread.run_sync(_answer, page, parts, request, body, form, unread, limiter=limiter)
    finally:
        for file in form.files if form else ():
            await file.close()


async def _most(parts: Parts, request: Request) -> int:
    """How many bytes a form with files may have: a stranger's none."""
    try:
        known = await anyio.to_thread.run_sync(session_of, parts, request, parts.clock())
    except DBAPIError:  # the page will say so
        known = None
    return forms.MAX_UPLOAD if known is not None else forms.MAX_BODY


def _answer(page: Page, parts: Parts, request: Request, body: bytes, form: Form | None,
            unread: BadInput | None) -> Response:  # fmt: skip
    entry = request.cookies.get(ENTRY) or secrets.token_urlsafe(24)
    visit = Visit(request, parts, parts.clock(), texts(language_of(request, None)), None, entry)
    try:
        visit = replace(visit, query=forms.query(request.scope["query_string"]))
        if page.method == "POST":
            visit = replace(visit, form=form if form is not None else
                            forms.parse(body, request.headers.get("content-type", "")))  # fmt: skip
    except BadInput as error:
        unread = unread or error
    try:
        session = session_of(parts, request, visit.now)
        visit = replace(visit, session=session, texts=texts(language_of(request, session)))
        if unread is not None:
            raise unread
        return _refusal(visit, page) or page.answer(visit)
    except CentreError as error:
        return visit.page("problem.html", status=status_of(error), problem=error)
    except DBAPIError as error:
        log.error("the database failed at %s %s: %s", request.method, request.url.path, error.orig)
        typed = page.method == "POST" and not page.slow  # a password is never shown again
        return visit.page("resume.html" if typed else "problem.html", status=HTTPStatus.SERVICE_UNAVAILABLE,
                          problem=CentreError("database.away"))  # fmt: skip


def status_of(error: CentreError) -> HTTPStatus:
    """What the error is in HTTP's terms. The line refuses without a kind: things are not so as to do it."""
    if error.id.startswith("line."):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return STATUS.get(type(error), HTTPStatus.CONFLICT)


def session_of(parts: Parts, request: Request, now: datetime) -> Session | None:
    """The session of the request's cookie, if it is one that lasts."""
    token = request.cookies.get(SESSION, "")
    if not token:
        return None
    with parts.db.read() as conn:
        return people.session(conn, token, now)


def _refusal(visit: Visit, page: Page) -> Response | None:
    """Why this visit may not go on, as a page; None when it may. NotAllowed for what no resending mends."""
    posting, own = page.method == "POST", security.own_origin(visit.request)
    signed_out = page.needs is not None and visit.session is None
    if posting and own is False:
        raise NotAllowed("form.foreign")
    if signed_out and not posting:
        asked = visit.request.url.path + (f"?{visit.request.url.query}" if visit.request.url.query else "")
        return visit.go("/sign-in" + (f"?{urlencode({'next': asked})}" if asked != "/" else ""))
    if page.needs and not signed_out and not any(visit.can(permission) for permission in page.needs):
        raise NotAllowed("page.not_yours")
    if posting and (signed_out or not security.same(visit.form["csrf"], visit.csrf)):
        if own is None or page.needs is None:
            raise NotAllowed("form.expired")
        # The session ended while somebody typed: what he typed comes back, to be sent again.
        return visit.page("resume.html", status=HTTPStatus.FORBIDDEN, problem=None)
    return None


def language_of(request: Request, session: Session | None) -> str:
    chosen = request.cookies.get(LANGUAGE) or (session.staff.language if session is not None else "")
    return chosen if chosen in LANGUAGES else LANGUAGES[0]
