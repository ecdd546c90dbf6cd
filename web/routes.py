"""A page's address in an application, and what answers where there is no page, or where one has failed."""

from __future__ import annotations

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from crm.errors import NotFound
from web import visit
from web.texts import texts
from web.visit import Page, Parts


def route(page: Page, parts: Parts) -> Route:
    async def endpoint(request: Request) -> Response:
        return await visit.answer(page, parts, request)

    return Route(page.path, endpoint, methods=[page.method])


def unknown(parts: Parts) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return _plain(parts, request, "page.unknown", status)

    return answer


def failed(parts: Parts) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        return _plain(parts, request, "page.failed", 500)

    return answer


def _plain(parts: Parts, request: Request, id: str, status: int) -> Response:
    language = visit.language_of(request, None)
    sentence = texts(language).error(NotFound(id))
    return HTMLResponse(parts.renderer(f"{parts.templates}plain.html", language, {"sentence": sentence}), status)
