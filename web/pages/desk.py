"""The desk: one page that keeps the telephone, with the other pages in a frame below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse, Response

from crm.errors import BadInput, CentreError
from crm.sign_in import Phone
from web.pages.line import log_in
from web.visit import Visit, status_of

DOMAIN = "1551.invalid"  # a seat's address is a name at our own exchange, whatever that is reached by
PAD = "123456789*0#"
_SAY = "desk.say."


def show(visit: Visit) -> Response:
    """For who sits at a seat and speaks by the page; anybody else chooses a seat first."""
    if visit.seat is None or visit.session is None or visit.session.phone is not Phone.BROWSER:
        return visit.go("/seat")
    words = {key.removeprefix(_SAY): said for key, said in visit.texts.sentences.items() if key.startswith(_SAY)}
    return visit.page("desk.html", words=words, services=services(visit), pad=PAD)


def services(visit: Visit) -> dict[str, str]:
    """The numbers of the emergency services, each with its name; "" where the catalogue has none."""
    numbers = visit.parts.settings.emergency_numbers
    return {number: visit.texts(key) if (key := f"desk.service.{number}") in visit.texts else "" for number in numbers}


def phone(visit: Visit) -> Response:
    """What the page's telephone signs in with, this time only: ``user``, ``password``, ``domain``; and whether a call
    is being brought back (``returning``)."""
    def given() -> dict[str, Any]:
        reply = visit.ask_line("phone", seat=_own(visit), staff_id=visit.person.id)
        return {name: reply[name] for name in ("user", "password", "returning")} | {"domain": DOMAIN}

    return _json(visit, given)


def ready(visit: Visit) -> Response:
    """The telephone has signed in: the seat takes its place in the queues."""
    def logged_in() -> dict[str, Any]:
        log_in(visit, _own(visit), Phone.BROWSER)
        return {}

    return _json(visit, logged_in)


def _own(visit: Visit) -> str:
    if visit.seat is None or visit.session is None or visit.session.phone is not Phone.BROWSER:
        raise BadInput("form.no_seat")
    return visit.seat


def _json(visit: Visit, answer: Callable[[], dict[str, Any]]) -> Response:
    """For the page's script: what was asked, or the refusal in words."""
    try:
        return JSONResponse(answer())
    except CentreError as error:
        return JSONResponse({"id": error.id, "sentence": visit.texts.error(error)}, status_of(error))
