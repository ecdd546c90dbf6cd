"""The API of the city's mobile app and of whoever else files appeals: JSON, described by OpenAPI.

What it takes and gives stands in ``api_shapes``; how it is used, in docs/channels/api.md. Whoever files shows a key;
what is an applicant's own opens by its number and code, which never stand in an address.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount

from crm import (
    addresses,
    attachments,
    confirmations,
    departments,
    messages,
    phones,
    public,
    rates,
    stages,
    tokens,
)
from crm import appeals as records
from crm.addresses import BuildingLine
from crm.api_keys import Key
from crm.appeals import Appeal
from crm.appeals import Registered as Made
from crm.confirmation_rules import Result
from crm.departments import is_email
from crm.errors import BadInput, CentreError, NotAllowed, NotFound, Stale
from crm.filing import Filing
from crm.life import Action, State
from crm.messages import Held as Reason
from crm.messages import Incoming
from crm.notices import Way
from crm.rates import HOUR
from web import forms, security
from web.forms import Form
from web.portal import api_shapes as shapes
from web.portal import known, programs, strangers
from web.portal.api_shapes import Id, NewAppeal, Stage
from web.texts import Texts, texts
from web.visit import Parts, poke_line

log = logging.getLogger(__name__)

PREFIX = "/api/v1"
SUGGESTIONS, MOST = 10, 100
DAYS, MOST_DAYS = 30, 92  # of the public list: it walks back by time
OWN_HOURLY = 60  # what applicants at one address add and answer

_STATUS = {
    "api_key.none": HTTPStatus.UNAUTHORIZED, "api_key.wrong": HTTPStatus.UNAUTHORIZED,
    "api_key.spent": HTTPStatus.TOO_MANY_REQUESTS, "code.guessed": HTTPStatus.TOO_MANY_REQUESTS,
    "code.tried": HTTPStatus.TOO_MANY_REQUESTS, "api.too_often": HTTPStatus.TOO_MANY_REQUESTS,
    "filing.flood": HTTPStatus.TOO_MANY_REQUESTS,
    "api_key.reused": HTTPStatus.CONFLICT,
    "api.form": HTTPStatus.BAD_REQUEST, "api.unreadable": HTTPStatus.BAD_REQUEST,
    "api.content_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "form.too_big": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "database.away": HTTPStatus.SERVICE_UNAVAILABLE, "api.no_room": HTTPStatus.SERVICE_UNAVAILABLE,
    "form.busy": HTTPStatus.SERVICE_UNAVAILABLE,
}  # fmt: skip
# What a validator finds → our sentence of it; anything else is "wrong".
FIELD = {"missing": "missing", "string_too_short": "missing", "extra_forbidden": "unknown", "string_too_long": "long",
         "literal_error": "choice", "enum": "choice", "string_pattern_mismatch": "form"}  # fmt: skip
RETRY_S = 30  # while the database is away, or the disk full

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. ``now`` is the same time for all that it does."""

    request: Request
    parts: Parts
    now: datetime
    texts: Texts

    @property
    def source(self) -> str:
        return strangers.source_of(self.request)


@dataclass(frozen=True, slots=True)
class Sent:
    """A body: of JSON, or a form with photos."""

    json: bytes
    form: Form | None


class Unfit(Exception):
    """What is wrong with which fields, in plain words."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(str(sorted(fields)))
        self.fields = fields


def _ask(request: Request) -> Ask:
    parts: Parts = request.app.state.parts
    return Ask(request, parts, parts.clock(), texts(programs.language_of(request)))


async def _sent(request: Request) -> AsyncIterator[Sent]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        yield Sent(await security.body_of(request, forms.MAX_BODY), None)
    elif kind == "multipart/form-data":
        form = await programs.form_of(request)
        slow = request.app.state.parts.slow if form.files else contextlib.nullcontext()
        try:
            async with slow:  # photos hold up each other, and nobody else
                yield Sent(b"", form)
        finally:
            await form.close()
    else:
        raise BadInput("api.content_type")


Asked = Annotated[Ask, Depends(_ask)]
Body = Annotated[Sent, Depends(_sent)]
ApiKey = Annotated[str | None, Security(APIKeyHeader(
    name="X-API-Key", scheme_name="key", auto_error=False, description="Given by the contact centre."))]
Mark = Annotated[str, Header(alias="Idempotency-Key", pattern=programs.IDEMPOTENCY_KEY, description=(
    "A new random one (an UUID) for each thing that is sent: with the same one, nothing is done twice."))]


def _fails(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """What an operation may answer besides, for the document."""
    said: dict[int | str, dict[str, Any]] = {}
    for status in (*statuses, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE):
        said[status.value] = {"model": shapes.Failure, "description": status.phrase}
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            said[status.value]["headers"] = {"Retry-After": {
                "description": "Seconds until it can be tried again.", "schema": {"type": "integer"}}}  # fmt: skip
    return said


_BODY = _fails(HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
_WRITES = {**_BODY, **_fails(HTTPStatus.UNAUTHORIZED, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)}
_OWN = {**_BODY, **_fails(HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS)}


def _body(shape: type[BaseModel], *, photos: bool = False) -> dict[str, Any]:
    """What is sent, for the document: it is read by ourselves, so that nothing beyond a bound ever is."""
    content = {"application/json": {"schema": shape.model_json_schema()}}
    if photos:
        content["multipart/form-data"] = {"schema": shapes.form_schema(shape)}
    return {"requestBody": {"required": True, "content": content}}


router = APIRouter()


def routes(parts: Parts) -> list[BaseRoute]:
    """Its addresses, and ``openapi.json``, which describes them."""
    app = FastAPI(
        title="1551", version="1", docs_url=None, redoc_url=None,
        description="Appeals to the city: filed, followed, answered. Errors are all of one shape, in the language of "
                    "Accept-Language (uk, en).")  # fmt: skip
    app.state.parts = parts
    app.include_router(router)
    for kind in (CentreError, DBAPIError, Unfit, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _failed)
    return [Mount(PREFIX, app=app)]


# ── what goes wrong ──
def _failed(request: Request, error: Exception) -> Response:
    t = texts(programs.language_of(request))
    match error:
        case Unfit():
            return _failure(422, BadInput("api.fields"), t, error.fields)
        case RequestValidationError():
            return _failure(422, BadInput("api.fields"), t, _fields(error.errors(), t))
        case CentreError():
            return _failure(_status(error), error, t)
        case DBAPIError():
            log.error("the database failed at %s %s: %s", request.method, request.url.path, error.orig)
            return _failure(HTTPStatus.SERVICE_UNAVAILABLE, CentreError("database.away"), t)
        case HTTPException():
            return _failure(error.status_code, NotFound("api.address"), t, headers=dict(error.headers or {}))
        case _:
            return _failure(HTTPStatus.INTERNAL_SERVER_ERROR, CentreError("page.failed"), t)


def _failure(status: int, error: CentreError, t: Texts, fields: dict[str, str] | None = None,
             headers: dict[str, str] | None = None) -> Response:  # fmt: skip
    said = shapes.Failure(error=shapes.Problem(id=error.id, message=t.error(error), fields=fields))
    response = JSONResponse(said.model_dump(exclude_none=True), status, headers)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "X-API-Key"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        response.headers["Retry-After"] = str(error.details.get("seconds", RETRY_S))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_S)
    return response


def _status(error: CentreError) -> HTTPStatus:
    if error.id in _STATUS:
        return _STATUS[error.id]
    kinds = {NotFound: HTTPStatus.NOT_FOUND, NotAllowed: HTTPStatus.FORBIDDEN, Stale: HTTPStatus.CONFLICT}
    return next((status for kind, status in kinds.items() if isinstance(error, kind)),
                HTTPStatus.UNPROCESSABLE_ENTITY)  # fmt: skip


def _fields(found: Any, t: Texts) -> dict[str, str]:
    """What a validator found, by the field's name, the first of each."""
    said: dict[str, str] = {}
    for each in found:
        name = ".".join(str(part) for part in each["loc"] if part not in ("query", "path", "header", "body"))
        kind = FIELD.get(each["type"], "wrong")
        said.setdefault(name[:60], t(f"api.field.{kind}", longest=each.get("ctx", {}).get("max_length", "")))
    return said


def _parsed(shape: type[M], sent: Sent, t: Texts) -> M:
    """Unfit; BadInput ``api.unreadable`` for what is no JSON."""
    try:
        if sent.form is None:
            return shape.model_validate_json(sent.json, strict=True)
        return shape.model_validate({name: value for name, value in sent.form.items() if value})
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=True)
        if any(each["type"] == "json_invalid" for each in found):
            raise BadInput("api.unreadable") from None
        raise Unfit(_fields(found, t)) from None


def _unfit(t: Texts, field: str, error: CentreError) -> Unfit:
    return Unfit({field: t.error(error)})


# ── what an appeal can be about, and where ──
@router.get("/subjects", responses=_fails())
def subjects(ask: Asked) -> shapes.Subjects:
    """What an appeal can be about, in the order in which it is offered."""
    t = ask.texts
    with ask.parts.db.read() as conn:
        found = [s for s in departments.subjects(conn) if s.offered and s.leaf]
    return shapes.Subjects(subjects=[shapes.Subject(
        id=s.id, name=t.either(s.name_uk, s.name_en), group=t.either(s.group_uk, s.group_en), days=s.term_days)
        for s in found])  # fmt: skip


@router.get("/districts", responses=_fails())
def districts(ask: Asked) -> shapes.Districts:
    with ask.parts.db.read() as conn:
        found = addresses.districts(conn)
    return shapes.Districts(districts=[shapes.District(id=id, name=ask.texts.either(uk, en)) for id, uk, en in found])


@router.get("/addresses", responses=_fails())
def suggest(ask: Asked, q: Annotated[str, Query(min_length=2, max_length=120, description=(
        "What has been typed so far: the beginning of any word of a street, then of the number."))],
        ) -> shapes.Addresses:  # fmt: skip
    """Buildings that may be meant, of streets by any of their names, old ones too."""
    with ask.parts.db.read() as conn:
        found = addresses.suggest(conn, forms.clean(q), SUGGESTIONS)
    return shapes.Addresses(addresses=[_building(ask.texts, each) for each in found])


@router.get("/buildings/{id}", responses=_fails(HTTPStatus.NOT_FOUND))
def at_building(ask: Asked, id: Annotated[Id, Path()]) -> shapes.AtBuilding:
    """A building, with the failures that are known there: whoever suffers from one need only join it."""
    with ask.parts.db.read() as conn:
        building, declared = addresses.find_building(conn, id), known.incidents_at(conn, id)
    return shapes.AtBuilding(building=_building(ask.texts, building), incidents=[shapes.Incident(
        id=each.id, subject_id=each.subject_id, subject=ask.texts.either(each.subject_uk, each.subject_en),
        cause=each.cause, since=each.opened_at or each.proposed_at, expected_at=each.expected_at)
        for each in declared])  # fmt: skip


def _building(t: Texts, its: BuildingLine) -> shapes.Building:
    return shapes.Building(id=its.id, street=its.street, number=its.number, district_id=its.district_id,
                           district=t.either(its.district_uk, its.district_en), old_name=its.old_name)  # fmt: skip


# ── filing ──
@router.post("/appeals", status_code=201, openapi_extra=_body(NewAppeal, photos=True), response_model=shapes.Registered,
             responses={202: {"model": shapes.Held, "description": "Held: a person looks at it first"}, **_WRITES})
def create(ask: Asked, key: ApiKey, mark: Mark, sent: Body) -> Response:
    """An appeal, as JSON, or as a form with photos (``photos``, five at most)."""
    its, parts, t = _parsed(NewAppeal, sent, ask.texts), ask.parts, ask.texts
    with parts.db.read() as conn:
        who = programs.key_of(conn, key or "")
    stored = programs.store(parts, who, sent.form.files if sent.form else (), ask.now)
    filing = _filing(t, its, who, files=stored)
    try:
        with parts.db.write() as conn:
            if its.incident_id is not None and its.incident_id not in [
                    each.id for each in known.incidents_at(conn, its.building_id or 0)]:
                raise _unfit(t, "incident_id", NotFound("incident.unknown"))
            taken = programs.receive(conn, parts, who, filing, marks=[mark], source=ask.source,
                                     limits=parts.settings.filing_limits, now=ask.now)  # fmt: skip
    except NotFound as error:  # what it names, not what it is
        raise BadInput(error.id) from None
    if taken.appeal is None:
        said = "georeport.nameless" if taken.reason is Reason.NAMELESS else "georeport.held"
        return _json(shapes.Held(token=strangers.token(parts, taken.message_id), message=t(said)), 202)
    poke_line(parts, "appeals")
    return _json(_made(parts, taken.appeal), 201)


def _filing(t: Texts, its: NewAppeal, who: Key, files: list[attachments.Stored]) -> Filing:
    """Unfit for a telephone or an address that is none."""
    phone, email = phones.parse_phone(its.phone), its.email.strip().lower()
    if its.phone and not phone:
        raise _unfit(t, "phone", BadInput("phone.malformed"))
    if email and not is_email(email):
        raise _unfit(t, "email", BadInput("citizen.email"))
    return Filing(channel=who.channel, name=forms.clean(its.name), subject_id=its.subject_id, text=its.text,
                  phone=phone, email=email, language=its.language, building_id=its.building_id, flat=its.flat,
                  place=its.place, district_id=None if its.building_id else its.district_id,
                  tell_by=Way(its.tell_by), auto_confirm=its.auto_confirm, files=files, incident_id=its.incident_id,
                  apart=its.apart)  # fmt: skip


def _made(parts: Parts, its: Made) -> shapes.Registered:
    page = f"{parts.settings.portal_url}/a/{tokens.together(parts.secret, its.number)}"
    return shapes.Registered(number=its.number, code=its.code, due_at=its.due_at, page=page)


def _json(its: BaseModel, status: int) -> Response:
    return JSONResponse(its.model_dump(mode="json"), status)


@router.post("/held", openapi_extra=_body(shapes.Token), responses={**_BODY, **_fails(HTTPStatus.NOT_FOUND)})
def held(ask: Asked, sent: Body) -> shapes.Became:
    """What has become of an appeal that was held."""
    its = _parsed(shapes.Token, sent, ask.texts)
    with ask.parts.db.read() as conn:
        now = strangers.became(conn, ask.parts, its.token)
    return shapes.Became(waits=now.waits, appeal=_made(ask.parts, now.appeal) if now.appeal else None)


# ── what is an applicant's own ──
def _own(ask: Ask, its: shapes.Own) -> Appeal:
    """NotFound ``api.appeal`` where number or code is wrong; which of them is not said."""
    with ask.parts.db.write() as conn:  # what was tried in vain is kept: nothing is raised in here
        found = strangers.by_code(conn, ask.parts, its.number, its.code, ask.source, ask.now)
    if found is None:
        raise NotFound("api.appeal")
    return found


@router.post("/appeals/status", openapi_extra=_body(shapes.Own), responses=_OWN)
def status(ask: Asked, sent: Body) -> shapes.Status:
    """How far an appeal has come, for whoever has its code: every step, the city's answers, what he added himself."""
    return _stand(ask, _own(ask, _parsed(shapes.Own, sent, ask.texts)))


def _stand(ask: Ask, its: Appeal) -> shapes.Status:
    with ask.parts.db.read() as conn:
        its = records.get(conn, its.id)
        steps = strangers.steps(conn, its)
    awaited, by = stages.awaited(its)
    return shapes.Status(
        number=its.number, subject_id=its.subject_id, subject=ask.texts.either(its.subject_uk, its.subject_en),
        stage=public.stage_of(its.state), awaited=awaited, by=by, answerable=its.state in _ANSWERABLE,
        registered_at=its.registered_at, due_at=its.due_at, steps=[shapes.Passed(
            step=each.step, at=each.at, department=each.department, words=each.words, until=each.until,
            files=[shapes.File(name=file.name, media_type=file.media_type, bytes=file.bytes) for file in each.files])
            for each in steps])  # fmt: skip


_ANSWERABLE = frozenset({State.AWAITING, State.UNCONFIRMED, State.CLOSED})


@router.post("/appeals/words", openapi_extra=_body(shapes.Words, photos=True), responses={**_WRITES, **_OWN})
def add(ask: Asked, key: ApiKey, mark: Mark, sent: Body) -> shapes.Status:
    """Words, photos or both, added to an appeal. They change nothing of its state; whoever has it sees them. Of one
    that nobody in the city has any more, a specialist sees them first, and they are among the steps once he has."""
    said, parts = _parsed(shapes.Words, sent, ask.texts), ask.parts
    files = sent.form.files if sent.form else ()
    if not (said.text.strip() or files):
        raise _unfit(ask.texts, "text", BadInput("appeal.no_text"))
    who, its = _known_own(ask, key, said)
    stored = programs.store(parts, who, files, ask.now)
    with parts.db.write() as conn:
        _spend(conn, ask)
        strangers.add_words(conn, its, channel=who.channel, once=f"{who.id}:{mark}", text=forms.clean(said.text),
                            language=ask.texts.language, files=stored, now=ask.now)  # fmt: skip
    return _stand(ask, its)


@router.post("/appeals/answer", openapi_extra=_body(shapes.Answer), responses={**_WRITES, **_OWN})
def answer(ask: Asked, key: ApiKey, mark: Mark, sent: Body) -> shapes.Status:
    """The resident's word: solved, partly, not solved. It closes the appeal, or brings it back to the department. Where
    nothing is reported yet it changes nothing and is kept."""
    said = _parsed(shapes.Answer, sent, ask.texts)
    who, its = _known_own(ask, key, said)
    with ask.parts.db.write() as conn:
        _spend(conn, ask)
        taken = Incoming(channel=who.channel, external_id=f"{who.id}:answer:{mark}", address="", text="",
                         received_at=ask.now, state=messages.State.DONE)  # fmt: skip
        message_id = messages.take(conn, taken)
        if message_id is not None:
            confirmations.answer(conn, number=its.number, result=Result(said.result), now=ask.now, note=said.text,
                                 written=f"{who.channel}:{who.id}:{mark}")  # fmt: skip
            messages.belongs(conn, message_id, its.id, now=ask.now, staff_id=None, action=Action.HEAR)
    poke_line(ask.parts, "callbacks")
    return _stand(ask, its)


def _known_own(ask: Ask, key: str | None, its: shapes.Own) -> tuple[Key, Appeal]:
    """Whose program it is, and which appeal."""
    with ask.parts.db.read() as conn:
        who = programs.key_of(conn, key or "")
    return who, _own(ask, its)


def _spend(conn: Connection, ask: Ask) -> None:
    """BadInput ``api.too_often``."""
    if rates.count(conn, rates.key(ask.parts.secret, "own", ask.source), ask.now, HOUR) > OWN_HOURLY:
        raise BadInput("api.too_often", seconds=rates.again_in_s(ask.now, HOUR))


# ── what everybody may see ──
@router.get("/appeals", responses=_fails())
def public_list(ask: Asked, subject_id: Id | None = None, district_id: Id | None = None, stage: Stage | None = None,
                days: Annotated[int, Query(ge=1, le=MOST_DAYS)] = DAYS, before: Id | None = None,
                limit: Annotated[int, Query(ge=1, le=MOST)] = 20) -> shapes.PublicList:  # fmt: skip
    """Everybody's appeals of so many days, newest first, with nothing in them of whose they are. Complaints about
    persons and departments are not among them."""
    t = ask.texts
    with ask.parts.db.read() as conn:
        found = public.requests(conn, subject_ids=[subject_id] if subject_id else [], district_id=district_id,
                                stage=stage or "", since=ask.now - timedelta(days=days), after=before,
                                limit=limit)  # fmt: skip
    return shapes.PublicList(appeals=[shapes.Public(
        number=a.number, subject_id=a.subject_id, subject=t.either(a.subject_uk, a.subject_en),
        district_id=a.district_id, district=t.either(a.district_uk, a.district_en), street=a.street,
        department=a.department, stage=a.stage, open=a.is_open, registered_at=a.registered_at,
        updated_at=a.updated_at, due_at=a.due_at) for a in found],
        before=found[-1].number if len(found) == limit else None)  # fmt: skip
