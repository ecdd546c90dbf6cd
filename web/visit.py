"""One request to one page: who asks, what was sent, what may be done, and how it is answered.

``Page`` is a row of the table in ``web.app``: address, permission, function. The function is
synchronous and runs in a thread, so that the database never holds up the event loop. What goes
wrong is a ``CentreError``, and its sentence is shown with what to do.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote, urlencode

import anyio
import anyio.from_thread
import anyio.to_thread
from sqlalchemy.exc import DBAPIError
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from centre.settings import Settings
from crm import attachments, people, sign_in
from crm.attachments import Attachment
from crm.confirmation_rules import Rules
from crm.errors import BadInput, CentreError, IllegalAction, NotAllowed, NotFound, Stale
from crm.inbox import File
from crm.people import Owed, Permission, Staff
from crm.sign_in import Lasting, OpenSession, Session
from crm.store import Database
from web import forms, security
from web.forms import Form
from web.handed import Handed
from web.live import Hub
from web.render import Renderer
from web.texts import LANGUAGES, Texts, texts
from web.tickets import Tickets

log = logging.getLogger(__name__)

SESSION, ENTRY, LANGUAGE, KNOWN = "session", "entry", "language", "known"  # cookies
Changed = Literal["callbacks", "appeals", "announcements", "surge"]
STATUS: dict[type[CentreError], HTTPStatus] = {
    BadInput: HTTPStatus.UNPROCESSABLE_ENTITY, NotFound: HTTPStatus.NOT_FOUND, Stale: HTTPStatus.CONFLICT,
    IllegalAction: HTTPStatus.CONFLICT, NotAllowed: HTTPStatus.FORBIDDEN,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pages work with. ``secret`` signs what is given to people without a session; ``templates``: the folder
    of this application's own problem.html, resume.html and plain.html."""

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
    templates: str = ""
    reading: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(2))

    @property
    def lasting(self) -> Lasting:
        return Lasting(self.settings.session_hours, self.settings.session_idle_minutes)


@dataclass(frozen=True, slots=True)
class Page:
    """A route. ``needs``: any one of these lets a person in; empty: everybody who is signed in; None: anybody."""

    method: Literal["GET", "POST"]
    path: str
    answer: Callable[[Visit], Response]
    needs: tuple[Permission, ...] | None = ()
    slow: bool = False  # hashes a password or takes photos: a few at a time, and never in the way of other pages
    files: bool = False  # its form may bring files
    reads: bool = False  # through much, now and then: two at a time, however many ask
    owing: tuple[Owed, ...] = ()  # opens also to who has this to do first


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
    def owes(self) -> Owed | None:
        """What this person must do first; until then nothing else opens."""
        return owed(self.parts, self.session)

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
        return self.session is not None and not self.owes and people.may(self.person.role, Permission(permission))

    def ask_line(self, do: str, **fields: object) -> dict[str, Any]:
        """A request to the line, from this thread. CentreError when it refuses or cannot be reached."""
        return ask_line(self.parts, do, **fields)

    def poke_line(self, what: Changed) -> None:
        """Tells the line that something changed in the database. It finds out by itself later if it is away."""
        poke_line(self.parts, what)

    def moved(self, seat: str | None) -> None:
        """This person has signed out, or sits elsewhere (now at ``seat``): what was open for him there must end."""
        anyio.from_thread.run_sync(self.parts.hub.recheck, self.person.id, seat)

    def signed_out(self, staff_id: int, ended: Sequence[OpenSession]) -> None:
        """Sessions of this person have ended: what was open for them ends, and no call may ring where nobody is."""
        for seat in {session.seat for session in ended}:
            if seat is not None:
                try:
                    self.ask_line("logout", seat=seat)
                except CentreError as error:
                    log.warning("seat %s was not logged out when its person's session ended: %s", seat, error)
            anyio.from_thread.run_sync(self.parts.hub.recheck, staff_id, seat)

    def looked_at(self, *whose: tuple[str, object], why: str = "") -> None:
        """Keeps in the log that this person looked at this data: (what, record's id) each."""
        with self.db.write() as conn:
            people.log_looks(conn, whose, staff_id=self.person.id, now=self.now, why=why)

    def page(self, template: str, *, status: int = HTTPStatus.OK, **values: object) -> Response:
        """A page; cookies that the browser lacks are set with it."""
        html = self.parts.renderer(template, self.texts.language, {"visit": self, "form": self.form, **values})
        response = HTMLResponse(html, status)
        if self.session is None and self.cookie(ENTRY) != self.entry:
            self.set_cookie(response, ENTRY, self.entry)
        return response

    def again(self, template: str, **values: object) -> Response:
        """The form once more, with what was typed and with what is wrong."""
        return self.page(template, status=HTTPStatus.UNPROCESSABLE_ENTITY, **values)

    def stored(self, its: Attachment | File, shown: frozenset[str] = attachments.IMAGES) -> Response:
        """A file that was put on the disk (``crm.attachments``): one of the kinds ``shown`` to be looked at, any other
        only to be saved: nothing of it is run here. NotFound ``attachment.missing``."""
        path = attachments.place(self.parts.settings.attachments, its.sha256)
        if not path.is_file():
            raise NotFound("attachment.missing")
        return FileResponse(path, media_type=its.media_type, filename=its.name,
                            content_disposition_type="inline" if its.media_type in shown else "attachment")  # fmt: skip

    def go(self, address: str) -> Response:
        """After a form was taken: see there."""
        return RedirectResponse(address, HTTPStatus.SEE_OTHER)

    def cookie(self, name: str) -> str:
        """What the browser has of ours under this name; "" for nothing."""
        return cookie(self.request, name)

    def set_cookie(self, response: Response, name: str, value: str, *, seconds: int | None = None) -> None:
        response.set_cookie(_named(self.request, name), value, max_age=seconds, httponly=True, samesite="lax",
                            secure=security.is_https(self.request))  # fmt: skip

    def drop_cookie(self, response: Response, name: str) -> None:
        self.set_cookie(response, name, "", seconds=0)

    def own_address(self, address: str, otherwise: str = "/") -> str:
        """``address`` if it is a page of ours, never another site's."""
        plain = address.startswith("/") and not address.startswith(("//", "/\\")) and "\n" not in address
        return quote(address, safe="/?&=%+-._~:,") if plain else otherwise


def ask_line(parts: Parts, do: str, **fields: object) -> dict[str, Any]:
    """``Visit.ask_line``, for what is no page."""

    async def ask() -> dict[str, Any]:
        return await parts.hub.ask(do, **fields)

    return anyio.from_thread.run(ask)


def poke_line(parts: Parts, what: Changed) -> None:
    """``Visit.poke_line``, for what is no page."""
    try:
        ask_line(parts, "changed", what=what)
    except CentreError as error:
        log.info("the line was not told of changed %s: %s", what, error)


async def answer(page: Page, parts: Parts, request: Request) -> Response:
    """Reads what was sent and lets the page's function answer in a thread."""
    body, form, unread = b"", None, None
    if page.method == "POST":
        try:
            if page.files and forms.is_multipart(request.headers.get("content-type", "")):
                form = await forms.parse_files(request, await _most(page, parts, request))
                unread = form.unread
            else:
                body = await security.body_of(request, forms.MAX_BODY)
        except BadInput as error:
            unread = error
    # A form that brings no files is as quick as any page: it does not wait for those that do.
    slow = page.slow and (not page.files or (form is not None and form.files))
    limiter = parts.reading if page.reads else parts.slow if slow else None
    try:
        return await anyio.to_thread.run_sync(_answer, page, parts, request, body, form, unread, limiter=limiter)
    finally:
        if form is not None:
            await form.close()


async def _most(page: Page, parts: Parts, request: Request) -> int:
    """How many bytes a form with files may have: a stranger's none, but where pages are for strangers."""
    if page.needs is None:
        return forms.MAX_UPLOAD
    try:
        known = await anyio.to_thread.run_sync(session_of, parts, request, parts.clock())
    except DBAPIError:  # the page will say so
        known = None
    return forms.MAX_UPLOAD if known is not None else forms.MAX_BODY


def _answer(page: Page, parts: Parts, request: Request, body: bytes, form: Form | None,
            unread: BadInput | None) -> Response:  # fmt: skip
    entry = cookie(request, ENTRY) or secrets.token_urlsafe(24)
    visit = Visit(request, parts, parts.clock(), texts(language_of(request, None)), None, entry)
    try:
        visit = replace(visit, query=forms.query(request.scope["query_string"]))
        if page.method == "POST":
            visit = replace(visit, form=form if form is not None else
                            forms.parse(body, request.headers.get("content-type", "")))  # fmt: skip
    except BadInput as error:
        unread = unread or error
    try:
        session = _any_session(parts, request, visit.now)
        visit = replace(visit, session=session, texts=texts(language_of(request, session)))
        if unread is not None:
            raise unread
        if session is not None:
            used(parts, request, session, visit.now)
        return _refusal(visit, page) or page.answer(visit)
    except CentreError as error:
        return visit.page(f"{parts.templates}problem.html", status=status_of(error), problem=error)
    except DBAPIError as error:
        log.error("the database failed at %s %s: %s", page.method, page.path, error.orig)  # whose page is not told
        typed = page.method == "POST" and not page.slow  # a password is never shown again
        shown = "resume.html" if typed else "problem.html"
        return visit.page(f"{parts.templates}{shown}", status=HTTPStatus.SERVICE_UNAVAILABLE,
                          problem=CentreError("database.away"))  # fmt: skip


def status_of(error: CentreError) -> HTTPStatus:
    """What the error is in HTTP's terms. The line refuses without a kind: things are not so as to do it."""
    if error.id.startswith("line."):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return STATUS.get(type(error), HTTPStatus.CONFLICT)


def session_of(parts: Parts, request: HTTPConnection, now: datetime) -> Session | None:
    """The session of the request's cookie, if it is one that lasts and whose person has nothing to do first."""
    session = _any_session(parts, request, now)
    return None if owed(parts, session) else session


def owed(parts: Parts, session: Session | None) -> Owed | None:
    """What must be done first with this session."""
    return people.owed(session.staff, second_factor=parts.settings.require_totp) if session is not None else None


def used(parts: Parts, request: HTTPConnection, session: Session, now: datetime) -> None:
    """Moves the end of a session that ends when it is not used; what cannot be written now is at the next use."""
    if (until := parts.lasting.moved(session, now)) is None:
        return
    try:
        with parts.db.write() as conn:
            sign_in.lasts_until(conn, cookie(request, SESSION), until)
    except DBAPIError as error:
        log.warning("the end of a session was not moved: %s", error.orig)


def _any_session(parts: Parts, request: HTTPConnection, now: datetime) -> Session | None:
    token = cookie(request, SESSION)
    if not token:
        return None
    with parts.db.read() as conn:
        return sign_in.session(conn, token, now)


def cookie(request: HTTPConnection, name: str) -> str:
    """The request's cookie of ours; "" for none."""
    return request.cookies.get(_named(request, name), "")


def _named(request: HTTPConnection, name: str) -> str:
    """Over HTTPS a name that no page of another host, and none without HTTPS, can set."""
    return f"__Host-{name}" if security.is_https(request) else name


def _refusal(visit: Visit, page: Page) -> Response | None:
    """Why this visit may not go on, as a page; None when it may. NotAllowed for what no resending mends."""
    posting, own = page.method == "POST", security.own_origin(visit.request)
    signed_out = page.needs is not None and visit.session is None
    if posting and own is False:
        raise NotAllowed("form.foreign")
    if signed_out and not posting:
        return visit.go("/sign-in" + _next(visit))
    if page.needs is not None and visit.owes and visit.owes not in page.owing:
        return visit.go(_FIRST[visit.owes] + _next(visit))
    if page.needs and not signed_out and not any(visit.can(permission) for permission in page.needs):
        raise NotAllowed("page.not_yours")
    if posting and (signed_out or not security.same(visit.form["csrf"], visit.csrf)):
        if own is None or page.needs is None:
            raise NotAllowed("form.expired")
        # The session ended while somebody typed: what he typed comes back, to be sent again.
        return visit.page(f"{visit.parts.templates}resume.html", status=HTTPStatus.FORBIDDEN, problem=None)
    return None


_FIRST = {Owed.PASSWORD: "/account", Owed.SECOND_FACTOR: "/account/second-factor"}  # where what is owed is done


def _next(visit: Visit) -> str:
    """The end of an address that leads on to what was asked for."""
    url = visit.request.url
    asked = url.path + (f"?{url.query}" if url.query else "")
    return f"?{urlencode({'next': asked})}" if asked != "/" and visit.request.method == "GET" else ""


def language_of(request: Request, session: Session | None) -> str:
    chosen = cookie(request, LANGUAGE) or (session.staff.language if session is not None else "")
    return chosen if chosen in LANGUAGES else LANGUAGES[0]
