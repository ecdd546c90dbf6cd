"""The pages' application: every address, who may open it, and the parts that it works with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import anyio
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from centre.settings import Settings
from crm import people, supervision
from crm.people import Owed, Permission
from crm.sign_in import Session
from crm.store import Database
from web import health, visit
from web.live import VIEWS, Hub, Line, Viewer
from web.pages import (
    account,
    answers,
    api_keys,
    appeal_form,
    appeals,
    attempts,
    calls,
    campaigns,
    card,
    confirmations,
    control,
    desk,
    imports,
    inbox,
    incidents,
    knowledge,
    line,
    notices,
    privacy,
    programmes,
    promises,
    recordings,
    reports,
    rules,
    staffing,
    supervising,
    wall,
    webhooks,
)
from web.pages import people as people_pages
from web.render import Renderer
from web.routes import failed, route, unknown
from web.security import Headers
from web.sip_proxy import SipProxy
from web.tickets import Tickets
from web.visit import Page, Parts

P = Permission
SIT = (P.TAKE_CALLS, P.CALL_BACK)
EDIT = (P.EDIT_KNOWLEDGE, P.EDIT_RULES)

# Every page: who may open it is decided here and nowhere else. What a person sees of it (his
# department's appeals only, the actions of his role) is the page's own.
PAGES = (
    Page("GET", "/", account.home),
    Page("GET", "/sign-in", account.ask, None),
    Page("POST", "/sign-in", account.enter, None, slow=True),
    Page("POST", "/sign-in/code", account.enter_code, None, slow=True),
    Page("POST", "/sign-out", account.leave, owing=tuple(Owed)),
    Page("POST", "/language", account.choose_language, None),
    Page("GET", "/account", account.show, owing=(Owed.PASSWORD,)),
    Page("POST", "/account", account.change_password, slow=True, owing=(Owed.PASSWORD,)),
    Page("GET", "/account/second-factor", account.set_up, owing=(Owed.SECOND_FACTOR,)),
    Page("POST", "/account/second-factor", account.enrol, owing=(Owed.SECOND_FACTOR,)),
    Page("POST", "/account/sessions", account.end_sessions),
    Page("GET", "/live", line.live, (P.SEE_LIVE,)),
    Page("GET", "/live/seats/{seat}", supervising.show, (P.MANAGE_SEATS,)),
    Page("POST", "/live/seats/{seat}/move", supervising.move, (P.MANAGE_SEATS,)),
    Page("POST", "/live/seats/{seat}/pause", supervising.pause, (P.MANAGE_SEATS,)),
    Page("POST", "/live/seats/{seat}/unpause", supervising.unpause, (P.MANAGE_SEATS,)),
    Page("POST", "/live/seats/{seat}/out", supervising.put_out, (P.MANAGE_SEATS,)),
    Page("POST", "/live/seats/{seat}/listen", supervising.listen, (P.LISTEN_LIVE,)),
    Page("GET", "/wall", wall.show, (P.SEE_LIVE,)),
    Page("GET", "/wall/history", wall.history, (P.SEE_LIVE,)),
    Page("POST", "/wall/{kind}", wall.switch, (P.MANAGE_SEATS,)),
    Page("GET", "/seat", line.seat, SIT),
    Page("POST", "/seat", line.sit, SIT),
    Page("POST", "/seat/leave", line.leave, SIT),
    Page("POST", "/seat/pause", line.pause, SIT),
    Page("POST", "/seat/unpause", line.unpause, SIT),
    Page("GET", "/desk", desk.show, SIT),
    Page("POST", "/desk/phone", desk.phone, SIT),
    Page("POST", "/desk/ready", desk.ready, SIT),
    Page("GET", "/calls", calls.recent, (P.SETTLE_CALLS,)),
    Page("GET", "/calls/unsettled", calls.unsettled, (P.SETTLE_CALLS,)),
    Page("GET", "/calls/{linkedid}", card.show, (P.TAKE_CALLS, P.SETTLE_CALLS, P.LISTEN)),
    Page("POST", "/calls/{linkedid}/appeals", card.register, (P.REGISTER,)),
    Page("POST", "/calls/{linkedid}/already", card.already, (P.REGISTER,)),
    Page("POST", "/calls/{linkedid}/outcome", card.settle, (P.SETTLE_CALLS,)),
    Page("POST", "/calls/{linkedid}/answer", card.answer, (P.TAKE_WORD,)),
    Page("POST", "/calls/{linkedid}/given", card.given, (P.REGISTER,)),
    Page("POST", "/calls/{linkedid}/spoken", card.spoken_of, (P.REGISTER,)),
    Page("GET", "/calls/{linkedid}/lacking", card.lacking, (P.SETTLE_CALLS,)),
    Page("GET", "/addresses", appeal_form.suggest, (P.REGISTER, P.EDIT_RULES)),
    Page("GET", "/addresses/history", card.building, (P.REGISTER,)),
    Page("GET", "/appeals", appeals.search, (P.SEE_APPEALS,)),
    Page("GET", "/appeals/print", appeals.print_list, (P.SEE_APPEALS,)),
    Page("POST", "/appeals/acknowledge", appeals.acknowledge, (P.EXECUTE,)),
    Page("GET", "/appeals/{number}", appeals.show, (P.SEE_APPEALS,)),
    Page("POST", "/appeals/{number}", appeals.act, (P.ASSIGN, P.EXECUTE, P.DECIDE, P.TAKE_WORD, P.TAKE_CONTROL,
                                                    P.REGISTER, P.MANAGE_INCIDENTS), files=True),
    Page("POST", "/appeals/{number}/programme", programmes.answer, (P.REGISTER,)),
    Page("GET", "/attachments/{id}", appeals.attachment, (P.SEE_APPEALS,)),
    Page("GET", "/messages", inbox.listed, (P.ANSWER_MESSAGES,)),
    Page("GET", "/messages/part", inbox.part, (P.ANSWER_MESSAGES,)),
    Page("POST", "/messages/next", inbox.take_next, (P.ANSWER_MESSAGES,)),
    Page("GET", "/messages/new", inbox.by_hand, (P.ANSWER_MESSAGES,)),
    Page("POST", "/messages/new", inbox.record, (P.ANSWER_MESSAGES,), files=True),
    Page("POST", "/messages/new/already", inbox.hand_already, (P.ANSWER_MESSAGES,)),
    Page("GET", "/messages/files/{id}", inbox.file, (P.ANSWER_MESSAGES,)),
    Page("GET", "/messages/{id}", inbox.show, (P.ANSWER_MESSAGES,)),
    Page("POST", "/messages/{id}", inbox.act, (P.ANSWER_MESSAGES,)),
    Page("POST", "/messages/{id}/appeals", inbox.register, (P.ANSWER_MESSAGES,)),
    Page("POST", "/messages/{id}/already", inbox.already, (P.ANSWER_MESSAGES,)),
    Page("POST", "/messages/{id}/still", inbox.still, (P.ANSWER_MESSAGES,)),
    Page("GET", "/incidents", incidents.listed, (P.SEE_APPEALS,)),
    Page("POST", "/incidents", incidents.declare, (P.MANAGE_INCIDENTS,)),
    Page("GET", "/incidents/{id}", incidents.show, (P.SEE_APPEALS,)),
    Page("POST", "/incidents/{id}", incidents.act, (P.MANAGE_INCIDENTS,)),
    Page("POST", "/incidents/{id}/announcement", incidents.announce, (P.MANAGE_INCIDENTS,)),
    Page("GET", "/announcements/{language}/{mark}", incidents.hear, (P.MANAGE_INCIDENTS,)),
    Page("GET", "/control", control.show, (P.WATCH,)),
    Page("POST", "/control", control.act, (P.ASSIGN, P.DECIDE)),
    Page("GET", "/campaigns", campaigns.listed, (P.CALL_BACK, P.MANAGE_SEATS)),
    Page("GET", "/campaigns/{id}", campaigns.show, (P.CALL_BACK, P.MANAGE_SEATS)),
    Page("POST", "/campaigns/{id}", campaigns.save, (P.MANAGE_SEATS,)),
    Page("GET", "/campaigns/{id}/edit", campaigns.edit, (P.MANAGE_SEATS,)),
    Page("POST", "/campaigns/{id}/step", campaigns.act, (P.MANAGE_SEATS,)),
    Page("GET", "/campaigns/{id}/appeals", campaigns.behind, (P.CALL_BACK, P.MANAGE_SEATS)),
    Page("GET", "/promises", promises.listed, (P.SEE_LIVE,)),
    Page("POST", "/promises/{id}", promises.withdraw, (P.MANAGE_SEATS,)),
    Page("GET", "/notices", notices.to_tell, (P.CALL_BACK,)),
    Page("POST", "/notices/{id}", notices.told, (P.CALL_BACK,)),
    Page("GET", "/confirmations", confirmations.due, (P.CALL_BACK,)),
    Page("POST", "/confirmations/{callback_id}/later", confirmations.another, (P.CALL_BACK,)),
    Page("POST", "/confirmations/{callback_id}/call", confirmations.call, (P.CALL_BACK,)),
    Page("GET", "/confirmations/attempts/{attempt_id}", attempts.show, (P.CALL_BACK,)),
    Page("POST", "/confirmations/attempts/{attempt_id}", attempts.result, (P.CALL_BACK,)),
    Page("POST", "/confirmations/attempts/{attempt_id}/recordings/{id}", attempts.listen, (P.CALL_BACK,)),
    Page("GET", "/knowledge", knowledge.show, (P.SEE_KNOWLEDGE,)),
    Page("GET", "/knowledge/found", knowledge.found, (P.SEE_KNOWLEDGE,)),
    Page("GET", "/knowledge/answers", answers.part, (P.REGISTER,)),
    Page("GET", "/knowledge/addresses", appeal_form.suggest, EDIT),
    Page("GET", "/knowledge/{kind}/{id}", knowledge.edit, (P.EDIT_KNOWLEDGE,)),
    Page("POST", "/knowledge/{kind}/{id}", knowledge.save, (P.EDIT_KNOWLEDGE,)),
    Page("GET", "/programmes", programmes.listed, (P.SEE_KNOWLEDGE,)),
    Page("GET", "/programmes/{id}", programmes.show, (P.SEE_KNOWLEDGE,)),
    Page("POST", "/programmes/{id}", programmes.save, EDIT),
    Page("POST", "/programmes/{id}/buildings", programmes.buildings, EDIT),
    Page("GET", "/rules", rules.overview, (P.EDIT_RULES,)),
    Page("GET", "/rules/subjects", rules.subjects, (P.EDIT_RULES,)),
    Page("POST", "/rules/subjects", rules.add_subject, (P.EDIT_RULES,)),
    Page("GET", "/rules/subjects/new", rules.new_subject, (P.EDIT_RULES,)),
    Page("GET", "/rules/subjects/{id}", rules.subject, (P.EDIT_RULES,)),
    Page("POST", "/rules/subjects/{id}", rules.change_subject, (P.EDIT_RULES,)),
    Page("GET", "/rules/departments", rules.all_departments, (P.EDIT_RULES,)),
    Page("POST", "/rules/departments", rules.add_department, (P.EDIT_RULES,)),
    Page("GET", "/rules/departments/new", rules.new_department, (P.EDIT_RULES,)),
    Page("GET", "/rules/departments/{id}", rules.department, (P.EDIT_RULES,)),
    Page("POST", "/rules/departments/{id}", rules.change_department, (P.EDIT_RULES,)),
    Page("GET", "/rules/routing", rules.live, (P.EDIT_RULES,)),
    Page("POST", "/rules/routing", rules.make_draft, (P.EDIT_RULES,)),
    Page("GET", "/rules/routing/{id}", rules.edition, (P.EDIT_RULES,)),
    Page("POST", "/rules/routing/{id}", rules.change_edition, (P.EDIT_RULES,)),
    Page("GET", "/rules/calendar", rules.days, (P.EDIT_RULES,)),
    Page("POST", "/rules/calendar", rules.change_days, (P.EDIT_RULES,)),
    Page("GET", "/rules/law", rules.terms, (P.EDIT_RULES,)),
    Page("POST", "/rules/law", rules.change_terms, (P.EDIT_RULES,)),
    Page("GET", "/rules/escalation", rules.escalation, (P.EDIT_RULES,)),
    Page("POST", "/rules/escalation", rules.change_escalation, (P.EDIT_RULES,)),
    Page("GET", "/rules/keys", api_keys.listed, (P.EDIT_RULES,)),
    Page("GET", "/rules/keys/{id}", api_keys.show, (P.EDIT_RULES,)),
    Page("POST", "/rules/keys/{id}", api_keys.save, (P.EDIT_RULES,)),
    Page("GET", "/rules/webhooks", webhooks.listed, (P.EDIT_RULES,)),
    Page("GET", "/rules/webhooks/{id}", webhooks.show, (P.EDIT_RULES,)),
    Page("POST", "/rules/webhooks/{id}", webhooks.save, (P.EDIT_RULES,)),
    Page("POST", "/rules/webhooks/{id}/act", webhooks.act, (P.EDIT_RULES,)),
    Page("GET", "/staffing", staffing.show, (P.SEE_REPORTS, P.MANAGE_SEATS)),
    Page("POST", "/staffing", staffing.save, (P.MANAGE_SEATS,)),
    Page("GET", "/reports", reports.overview, (P.SEE_REPORTS,)),
    Page("GET", "/reports/scorecard", reports.scorecard, (P.SEE_REPORTS,)),
    Page("GET", "/reports/by/{dimension}", reports.by, (P.SEE_REPORTS,)),
    Page("GET", "/reports/crossed/{across}", reports.crossed, (P.SEE_REPORTS,)),
    Page("GET", "/reports/calls", reports.calls, (P.SEE_REPORTS,)),
    Page("GET", "/reports/callbacks", reports.callbacks, (P.SEE_REPORTS,)),
    Page("GET", "/reports/ratings", reports.rated, (P.SEE_REPORTS,)),
    Page("GET", "/reports/repeats", reports.repeats, (P.SEE_REPORTS,)),
    Page("GET", "/reports/public", reports.public, (P.SEE_REPORTS,)),
    Page("GET", "/reports/formulas", reports.formulas, (P.SEE_REPORTS,)),
    Page("GET", "/reports/appeals", reports.behind, (P.SEE_REPORTS,)),
    Page("GET", "/people", people_pages.listed, (P.MANAGE_PEOPLE,)),
    Page("POST", "/people", people_pages.add, (P.MANAGE_PEOPLE,), slow=True),
    Page("GET", "/people/permissions", people_pages.permissions, (P.MANAGE_PEOPLE,)),
    Page("GET", "/people/{id}", people_pages.show, (P.MANAGE_PEOPLE,)),
    Page("POST", "/people/{id}", people_pages.change, (P.MANAGE_PEOPLE,)),
    Page("POST", "/people/{id}/password", people_pages.new_password, (P.MANAGE_PEOPLE,), slow=True),
    Page("POST", "/people/{id}/second-factor", people_pages.take_second_factor, (P.MANAGE_PEOPLE,)),
    Page("POST", "/people/{id}/sessions", people_pages.end_sessions, (P.MANAGE_PEOPLE,)),
    Page("GET", "/import", imports.ask, (P.IMPORT,)),
    Page("POST", "/import", imports.check, (P.IMPORT,), slow=True, files=True),
    Page("POST", "/import/{ticket}", imports.load, (P.IMPORT,), slow=True),
    Page("GET", "/privacy", privacy.search, (P.PRIVACY,)),
    Page("GET", "/privacy/log", privacy.log, (P.PRIVACY,)),
    Page("GET", "/privacy/citizens/{id}", privacy.show, (P.PRIVACY,)),
    Page("POST", "/privacy/citizens/{id}", privacy.erase, (P.PRIVACY,)),
    Page("GET", "/privacy/citizens/{id}/data", privacy.download, (P.PRIVACY,)),
    Page("GET", "/recordings", recordings.listed, (P.LISTEN,)),
    Page("GET", "/recordings/{id}", recordings.ask, (P.LISTEN,)),
    Page("POST", "/recordings/{id}", recordings.listen, (P.LISTEN,)),
    Page("POST", "/recordings/{id}/copy", recordings.copy, (P.DOWNLOAD_RECORDINGS,)),
    Page("GET", "/recordings/audio/{ticket}", recordings.audio, (P.LISTEN, P.CALL_BACK)),
)


def create_app(settings: Settings, db: Database, line: Line, *, secret: str,
               clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Starlette:  # fmt: skip
    """The application, of parts that the caller made and closes. ``app.state.parts`` has them.

    Args:
        line: the socket of the line (``centre.bus``), read while the application runs.
        secret: signs what people without a session are given; the same after a restart.
    """
    renderer = Renderer()

    def names() -> dict[int, str]:
        with db.read() as conn:
            return {person.id: person.name for person in people.staff(conn)}

    parts = Parts(settings=settings, rules=settings.callback_rules, db=db,
                  hub=Hub(line, renderer, names, settings.listening_is_shown), renderer=renderer,
                  tickets=Tickets(), secret=secret, slow=anyio.CapacityLimiter(2), clock=clock)  # fmt: skip
    measured = health.Measured(parts)
    sip = SipProxy(parts)
    parts.hub.rechecks.append(sip.recheck)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(part.run()) for part in (parts.hub, sip)]
            yield
            parts.hub.close()
            for task in running:
                task.cancel()

    async def events(request: Request) -> Response:
        return await _events(parts, request)

    app = Starlette(
        routes=[
            Route("/healthz", measured.healthz),
            Route("/metrics", measured.metrics),
            Route("/static/{name}", renderer.serve_static),
            Route("/events", events),
            WebSocketRoute("/ws", sip.connect),
            *(route(page, parts) for page in PAGES),
        ],
        middleware=[Middleware(Headers)],
        exception_handlers={HTTPException: unknown(parts), Exception: failed(parts)},
        lifespan=lifespan,
    )
    app.state.parts = parts
    return app


async def _events(parts: Parts, request: Request) -> Response:
    """The stream of one browser: its seat's calls, and with ``?view=`` the live view or the wallboard."""
    now = parts.clock()
    session = await run_in_threadpool(visit.session_of, parts, request, now)
    view = request.query_params.get("view", "")
    shows = P.MANAGE_SEATS if view == "led" else P.SEE_LIVE
    if session is None or (view and (view not in VIEWS or not people.may(session.staff.role, shows))):
        return Response(status_code=403)

    def lasts() -> Session | None:
        try:
            now = visit.session_of(parts, request, parts.clock())
            if now is not None and view:  # who watches is there
                visit.used(parts, request, now, parts.clock())
            return now
        except DBAPIError:  # nobody can tell now: it is asked again later, and calls are shown until then
            return session

    def told() -> supervision.Act | None:
        try:
            with parts.db.read() as conn:
                return supervision.done_to(conn, session.staff.id, parts.settings.seats, parts.clock())
        except DBAPIError:  # his own page says it, when it can be read again
            return None

    viewer = Viewer(visit.language_of(request, session), session.staff.id, session.seat, view, lasts, told)
    return StreamingResponse(parts.hub.stream(viewer, session.expires_at), media_type="text/event-stream",
                             headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})  # fmt: skip
