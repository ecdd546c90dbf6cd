"""Open311 GeoReport v2, for the programs that speak it: https://wiki.open311.org/GeoReport_v2

What they read of others' appeals is what everybody may see (``crm.public``). Where we differ from the letter of the
specification, and why, stands in docs/channels/open311.md.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TypeVar

import anyio
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from crm import addresses, departments, edits, phones, public
from crm.addresses import BuildingLine
from crm.clock import KYIV
from crm.departments import Subject, is_email
from crm.errors import BadInput, CentreError, NotAllowed, NotFound
from crm.filing import Filing
from crm.messages import Held
from crm.notices import Way
from crm.public import PublicAppeal
from crm.rates import HOUR
from crm.reception import Received
from web import forms
from web.forms import Form
from web.places import SUGGESTIONS
from web.portal import programs, sparks, strangers
from web.portal.sparks import Value
from web.texts import LANGUAGES, Texts, texts
from web.visit import Parts, poke_line

T = TypeVar("T")

log = logging.getLogger(__name__)

SPAN = timedelta(days=90)
MOST = 1000  # requests in an answer
LONGEST = 4000  # letters of a description, says the specification
SPECIFICATION = "http://wiki.open311.org/GeoReport_v2"
SINCE = "2026-11-30T00:00:00+02:00"  # nothing has been changed since there is this interface
FLAT = "FLAT"
PLACE_MOST, NAME_MOST, FLAT_MOST, URL_MOST = 200, 200, 20, 500
_URL = re.compile(r"https?://[!-~]+")
_ATTRIBUTE = re.compile(r"attribute\[([^\]]*)\](?:\[\])?")

# The specification has 400 for whatever cannot be done; what a program should wait for says so.
_LATER = {"api_key.spent": HTTPStatus.TOO_MANY_REQUESTS, "filing.flood": HTTPStatus.TOO_MANY_REQUESTS,
          "database.away": HTTPStatus.SERVICE_UNAVAILABLE,
          "api.no_room": HTTPStatus.SERVICE_UNAVAILABLE, "form.busy": HTTPStatus.SERVICE_UNAVAILABLE}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. ``notation``: json or xml. ``query``: after the question mark. ``form``: what was posted."""

    request: Request
    parts: Parts
    now: datetime
    texts: Texts
    notation: str
    query: Form = field(default_factory=lambda: Form({}))
    form: Form = field(default_factory=lambda: Form({}))

    def part(self, name: str) -> str:
        """Of the address, cleaned."""
        return forms.clean(str(self.request.path_params[name]))

    def answer(self, root: str, value: Value, status: int = HTTPStatus.OK) -> Response:
        return Response(sparks.write(root, value, self.notation), status, media_type=sparks.TYPES[self.notation])

    def refuse(self, errors: Sequence[CentreError]) -> Response:
        """What was wrong, all of it, in the order in which it was found."""
        status = max(_status(error) for error in errors)
        said: Value = [{"code": _status(error).value, "description": self.texts.error(error)} for error in errors]
        response = self.answer("errors", said, status)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            response.headers["Retry-After"] = str(errors[0].details["seconds"])
        return response


Answer = Callable[[Ask], Response]


class Wrong(Exception):
    """Several things at once."""

    def __init__(self, errors: Sequence[CentreError]) -> None:
        super().__init__(*errors)
        self.errors = errors


def routes(parts: Parts) -> list[BaseRoute]:
    """Its addresses. What is none of them is answered in its own way too."""

    def to(path: str, answer: Answer, post: Answer | None = None) -> Route:
        async def endpoint(request: Request) -> Response:
            return await _answer(parts, request, post if request.method == "POST" and post else answer)

        return Route(path, endpoint, methods=["GET", "POST"] if post else ["GET"])

    return [Mount("/open311", routes=[
        to("/discovery.{format}", discovery),
        to("/v2/discovery.{format}", discovery),  # where some clients look for it
        to("/v2/services.{format}", services),
        to("/v2/services/{code}.{format}", definition),
        to("/v2/requests.{format}", requests, create),
        to("/v2/requests/{id}.{format}", request_of),
        to("/v2/tokens/{token}.{format}", token),
        to("/{rest:path}", nothing, nothing),
    ])]  # fmt: skip


async def _answer(parts: Parts, request: Request, answer: Answer) -> Response:
    form, unread = Form({}), None
    if request.method == "POST":
        try:
            form = await programs.form_of(request)
        except BadInput as error:
            unread = error
    limiter = parts.slow if form.files else None  # photos hold up each other, and nobody else
    try:
        return await anyio.to_thread.run_sync(_in_thread, parts, request, answer, form, unread, limiter=limiter)
    finally:
        await form.close()


def _in_thread(parts: Parts, request: Request, answer: Answer, form: Form, unread: BadInput | None) -> Response:
    notation = str(request.path_params.get("format", "xml"))
    known = notation in sparks.TYPES
    ask = Ask(request, parts, parts.clock(), texts(programs.language_of(request)), notation if known else "xml",
              form=form)  # fmt: skip
    try:
        ask = Ask(request, parts, ask.now, ask.texts, ask.notation, forms.query(request.scope["query_string"]), form)
        if not known:
            raise BadInput("open311.format")
        if unread is not None:
            raise unread
        return answer(ask)
    except Wrong as wrong:
        return ask.refuse(wrong.errors)
    except CentreError as error:
        return ask.refuse([error])
    except DBAPIError as error:
        log.error("the database failed at %s %s: %s", request.method, request.scope["route"].path, error.orig)
        return ask.refuse([CentreError("database.away")])


def _status(error: CentreError) -> HTTPStatus:
    if error.id in _LATER:
        return _LATER[error.id]
    kinds = {NotFound: HTTPStatus.NOT_FOUND, NotAllowed: HTTPStatus.FORBIDDEN}
    return next((status for kind, status in kinds.items() if isinstance(error, kind)), HTTPStatus.BAD_REQUEST)


def nothing(ask: Ask) -> Response:
    """An address that there is not, or one without ``.json`` or ``.xml``."""
    raise NotFound("open311.address")


# ── what there is ──
def discovery(ask: Ask) -> Response:
    with ask.parts.db.read() as conn:
        last = edits.recent(conn, ("subject",), 1)
    settings, changed = ask.parts.settings, _moment(last[0].at) if last else SINCE
    ways = ask.texts("georeport.contact", number=settings.short_number), settings.mail_from
    return ask.answer("discovery", {
        "changeset": changed, "contact": " · ".join(filter(None, ways)),
        "key_service": ask.texts("georeport.key_service", number=settings.short_number),
        "endpoints": [{"specification": SPECIFICATION, "url": f"{settings.portal_url}/open311/v2",
                       "changeset": changed, "type": "production", "formats": ["text/xml", "application/json"]}],
    })  # fmt: skip


def services(ask: Ask) -> Response:
    """The subjects that an appeal can be about."""
    t = ask.texts
    with ask.parts.db.read() as conn:
        found = [s for s in departments.subjects(conn) if s.offered and s.leaf]
    return ask.answer("services", [{
        "service_code": str(s.id), "service_name": t.either(s.name_uk, s.name_en), "description": _about(s, t),
        "metadata": True, "type": "realtime", "keywords": ", ".join(filter(None, (s.name_uk, s.name_en))),
        "group": t.either(s.group_uk, s.group_en) or None} for s in found])  # fmt: skip


def _about(its: Subject, t: Texts) -> str:
    group, name = t.either(its.group_uk, its.group_en), t.either(its.name_uk, its.name_en)
    return f"{group}: {name}" if group else name


def definition(ask: Ask) -> Response:
    """What is asked besides: the flat, which nobody has to say."""
    with ask.parts.db.read() as conn:
        its = _service(conn, ask.part("code"))
    return ask.answer("service_definition", {"service_code": str(its.id), "attributes": [{
        "variable": True, "code": FLAT, "datatype": "string", "required": False,
        "datatype_description": None, "order": 1, "description": ask.texts("georeport.flat"), "values": None,
    }]})  # fmt: skip


def _service(conn: Connection, code: str) -> Subject:
    id = forms.whole(code)
    found = next((s for s in departments.subjects(conn) if s.id == id and s.offered and s.leaf), None)
    if found is None:
        raise NotFound("open311.service")
    return found


# ── what was filed ──
def requests(ask: Ask) -> Response:
    """Those that the query asks for, newest first. Numbers given outdo all else."""
    with ask.parts.db.read() as conn:
        if ask.query["service_request_id"]:
            numbers = _numbers(ask.query["service_request_id"])
            found = public.requests(conn, numbers=numbers, limit=MOST) if numbers else []
        else:
            found = _matching(conn, ask)
    return ask.answer("service_requests", [_request(ask.texts, each) for each in found])


def _matching(conn: Connection, ask: Ask) -> list[PublicAppeal]:
    query = ask.query
    since, until = _span(query, ask.now)
    page, size = _whole(query, "page", 1), min(_whole(query, "page_size", MOST), MOST)
    asked = frozenset(_listed(query["status"]))
    if not asked <= {"open", "closed"}:
        raise BadInput("open311.status")
    codes, last = _numbers(query["service_code"]), min(page * size, MOST)
    if (query["service_code"] and not codes) or (page - 1) * size >= MOST:
        return []
    is_open = "open" in asked if len(asked) == 1 else None
    return public.requests(conn, subject_ids=codes, since=since, until=until, is_open=is_open,
                           limit=last)[(page - 1) * size :]  # fmt: skip


def _span(query: Form, now: datetime) -> tuple[datetime, datetime]:
    """From when, and before when. BadInput ``open311.date``, ``open311.span``."""
    start, end = _date(query["start_date"]), _date(query["end_date"])
    until = end or (min(start + SPAN, now) if start else now)
    since = start or until - SPAN
    if not timedelta(0) <= until - since <= SPAN:
        raise BadInput("open311.span", days=SPAN.days)
    return since, until + timedelta(seconds=1)  # the last second is asked for too


def _date(said: str) -> datetime | None:
    """As W3C's note has it, with its zone; its + may have come as a space."""
    if not said:
        return None
    try:
        at = datetime.fromisoformat(said.replace(" ", "+"))
    except ValueError:
        raise BadInput("open311.date") from None
    if at.tzinfo is None or not 2000 <= at.year < 2100:
        raise BadInput("open311.date")
    return at.astimezone(UTC).replace(microsecond=0)


def _listed(said: str) -> list[str]:
    return [each.strip() for each in said.split(",") if each.strip()]


def _numbers(said: str) -> list[int]:
    """What of a list can be a number of ours: what cannot is not found."""
    return [number for each in _listed(said)[:MOST] if (number := forms.whole(each)) is not None]


def _whole(query: Form, name: str, otherwise: int) -> int:
    value = forms.whole(query[name]) if query[name] else otherwise
    if value is None:
        raise BadInput("open311.page")
    return value


def request_of(ask: Ask) -> Response:
    number = forms.whole(ask.part("id"))
    with ask.parts.db.read() as conn:
        its = public.request(conn, number) if number is not None else None
    if its is None:
        raise NotFound("open311.request")
    return ask.answer("service_requests", [_request(ask.texts, its)])


def _request(t: Texts, its: PublicAppeal) -> Value:
    """What everybody may see of it. Where it is exactly, and what was written, nobody may."""
    where = ", ".join(filter(None, (its.street, t.either(its.district_uk, its.district_en))))
    name = t.either(its.subject_uk, its.subject_en)
    return {
        "service_request_id": str(its.number), "status": "open" if its.is_open else "closed",
        "status_notes": t(f"georeport.stage.{its.stage}"), "service_name": name, "service_code": str(its.subject_id),
        "description": name, "agency_responsible": its.department, "service_notice": None,
        "requested_datetime": _moment(its.registered_at), "updated_datetime": _moment(its.updated_at),
        "expected_datetime": _moment(its.due_at), "address": where or None, "address_id": None, "zipcode": None,
        "lat": None, "long": None, "media_url": None,
    }  # fmt: skip


def _moment(at: datetime) -> str:
    return at.astimezone(KYIV).isoformat(timespec="seconds")


# ── filing ──
def create(ask: Ask) -> Response:
    """An appeal, or a token where a person must look at it first."""
    form, parts = ask.form, ask.parts
    with parts.db.read() as conn:
        key = programs.key_of(conn, form["api_key"])
        said = _said(conn, ask)
    files = programs.store(parts, key, form.files, ask.now)
    its = replace(said.filing, channel=key.channel, language=ask.texts.language, files=files)
    device = form["device_id"] or form["account_id"]
    # One program files for many people: what it says of whose telephone it is, it is believed, within its own number.
    limits = parts.settings.filing_limits
    if not device:
        limits = replace(limits, hourly=key.hourly_cap)
    with parts.db.write() as conn:
        taken = programs.receive(conn, parts, key, its, marks=_marks(ask, [file.sha256 for file in files]),
                                 source=f"key {key.id} {device}", limits=limits, now=ask.now,
                                 incomplete=said.incomplete)  # fmt: skip
    if taken.appeal is not None:
        poke_line(parts, "appeals")
    return ask.answer("service_requests", [_taken(ask, taken)])


@dataclass(frozen=True, slots=True)
class Said:
    """What was posted. ``incomplete``: the law does not consider it: there is no surname, or no address in words."""

    filing: Filing
    incomplete: bool


def _said(conn: Connection, ask: Ask) -> Said:
    """Wrong, with all that is."""
    form, wrong = ask.form, list[CentreError]()
    its = _kept(wrong, lambda: _asked(conn, form["service_code"]))
    building, place = _kept(wrong, lambda: _where(conn, form)) or (None, "")
    flat = _kept(wrong, lambda: _flat(form)) or ""
    phone, email = phones.parse_phone(form["phone"]), form["email"].lower()
    if form["phone"] and not phone:
        wrong.append(BadInput("phone.malformed"))
    if email and not is_email(email):
        wrong.append(BadInput("citizen.email"))
    name = " ".join(f"{form['first_name']} {form['last_name']}".split())
    text = _kept(wrong, lambda: _text(ask)) or ""
    for value, most in ((name, NAME_MOST), (place, PLACE_MOST), (email, NAME_MOST)):
        if len(value) > most:
            wrong.append(BadInput("text.too_long", longest=most))
    if wrong or its is None:
        raise Wrong(wrong)
    filing = Filing(channel="", name=name, subject_id=its.id, text=text or its.name_uk, phone=phone, email=email,
                    building_id=building.id if building else None, flat=flat, place=place,
                    tell_by=Way.EMAIL if email else Way.NOTHING)  # fmt: skip
    return Said(filing, len(name.split()) < 2 or not (form["address_string"] or form["address_id"]))


def _kept(wrong: list[CentreError], ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except CentreError as error:
        wrong.append(error)
        return None


def _asked(conn: Connection, code: str) -> Subject:
    if not code:
        raise BadInput("open311.no_service")
    return _service(conn, code)


def _where(conn: Connection, form: Form) -> tuple[BuildingLine | None, str]:
    """The building that is meant, or the place in words. BadInput ``open311.no_place``, ``open311.coordinates``,
    ``open311.address_id``."""
    at, said = _coordinates(form), form["address_string"]
    if form["address_id"]:
        id = forms.whole(form["address_id"])
        with contextlib.suppress(NotFound):
            return addresses.find_building(conn, id or 0), ""
        raise BadInput("open311.address_id")
    if said and (building := meant(conn, said)) is not None:
        return building, ""
    if not (said or at):
        raise BadInput("open311.no_place")
    return None, f"{said} ({at})" if said and at else said or at


def _coordinates(form: Form) -> str:
    """As they can be put into any map; "" for none."""
    if not (form["lat"] or form["long"]):
        return ""
    try:
        lat, long = float(form["lat"]), float(form["long"])
    except ValueError:
        raise BadInput("open311.coordinates") from None
    if not (-90 <= lat <= 90 and -180 <= long <= 180):
        raise BadInput("open311.coordinates")
    return f"{lat:.5f}, {long:.5f}"


def meant(conn: Connection, said: str) -> BuildingLine | None:
    """The one building that an address means, written our way or as the specification has it, the number first:
    "10-А, проспект Степана Бандери, Київ". None where it may mean several, or none: then the words are kept."""
    for reading in readings(said):
        found = addresses.suggest(conn, reading, SUGGESTIONS)
        number = addresses.fold_number(reading)
        exact = [each for each in found if number.endswith(addresses.fold_number(each.number))]
        if len(exact) == 1:
            return exact[0]
    return None


def readings(said: str) -> list[str]:
    """How an address can be read: "street, number" each."""
    parts = [part.strip() for part in said.split(",") if part.strip()] or [said]
    first, second = parts[0], parts[1] if len(parts) > 1 else ""
    turned = re.sub(r"^([0-9][^\s]*)\s+(.+)$", r"\2, \1", first)
    return list(dict.fromkeys((said, f"{first}, {second}", f"{second}, {first}", turned)))


def _flat(form: Form) -> str:
    """BadInput ``open311.attribute`` for one that no definition has."""
    for name in form:
        if (attribute := _ATTRIBUTE.fullmatch(name)) and attribute[1] != FLAT:
            raise BadInput("open311.attribute", code=attribute[1][:40])
    flat = form[f"attribute[{FLAT}]"]
    if len(flat) > FLAT_MOST:
        raise BadInput("text.too_long", longest=FLAT_MOST)
    return flat


def _text(ask: Ask) -> str:
    """The words, and where a picture is said to be: nobody goes there for us, for it is a stranger's word."""
    text, url = ask.form["description"], ask.form["media_url"]
    if len(text) > LONGEST:
        raise BadInput("text.too_long", longest=LONGEST)
    if not url:
        return text
    if len(url) > URL_MOST or not _URL.fullmatch(url):
        raise BadInput("open311.media_url")
    return "\n".join(filter(None, (text, texts(LANGUAGES[0])("georeport.media", url=url))))


def _marks(ask: Ask, files: Sequence[str]) -> list[str]:
    """By its own mark, if the program gives one; else the same words in this hour or the last are the same filing."""
    if mark := ask.request.headers.get("idempotency-key", ""):
        if not re.fullmatch(programs.IDEMPOTENCY_KEY, mark):
            raise BadInput("open311.mark")
        return [mark]
    said = [(name, value) for name, value in ask.form.items() if name not in ("api_key", "jurisdiction_id") and value]
    content = programs.digest([*said, *(("media", sha256) for sha256 in files)])
    hour = int(ask.now.timestamp() // HOUR.total_seconds())
    return [f"{content}:{hour}", f"{content}:{hour - 1}"]


def _taken(ask: Ask, taken: Received) -> Value:
    if taken.appeal is None:
        why = "georeport.nameless" if taken.reason is Held.NAMELESS else "georeport.held"
        return {"token": strangers.token(ask.parts, taken.message_id), "service_notice": ask.texts(why),
                "account_id": None}  # fmt: skip
    its = taken.appeal
    return {"service_request_id": str(its.number), "service_notice": ask.texts(
        "georeport.registered", number=its.number, code=its.code, day=ask.texts.day(its.due_at)),
        "account_id": None}  # fmt: skip


def token(ask: Ask) -> Response:
    """The number of what was held, once it is an appeal; until then there is none."""
    with ask.parts.db.read() as conn:
        its = strangers.became(conn, ask.parts, ask.part("token"))
    if its.appeal is None and not its.waits:
        raise NotFound("open311.ended")
    return ask.answer("service_requests", [{"service_request_id": str(its.appeal.number) if its.appeal else None,
                                            "token": ask.part("token")}])  # fmt: skip
