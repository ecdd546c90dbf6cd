"""What every answer carries and every question must pass: headers, the body's limit, origin and CSRF.

No script and no style is inline, no page may be framed but by our own desk, nothing is loaded from elsewhere. A form is
taken only from our own pages: its ``csrf`` field must match the session's, or, before there is a
session, the one derived from the ``entry`` cookie; and ``Origin``, when sent, must be ours.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crm.errors import BadInput

POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
          "connect-src 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'self'; "
          "base-uri 'none'")  # fmt: skip
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self), payment=(), usb=()",
}
HTTPS_FOR = "max-age=31536000"  # over HTTPS: the browser is not to come without it for a year


class Headers:
    """Adds ``HEADERS`` to every answer, and ``no-store`` to those that do not say how long they keep."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = HTTPS_FOR
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, guarded)


async def body_of(request: Request, most: int) -> bytes:
    """The request's body. BadInput ``form.too_big`` as soon as it is known to be longer than ``most`` bytes."""
    if int(request.headers.get("content-length") or 0) > most:
        raise BadInput("form.too_big")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise BadInput("form.too_big")
    return bytes(body)


def is_https(request: HTTPConnection) -> bool:
    """Whether it came over TLS, to us or to the web server before us."""
    return request.url.scheme in ("https", "wss")


def own_origin(request: HTTPConnection) -> bool | None:
    """Whether the browser says that the page which asks is ours; None when it says nothing."""
    origin = request.headers.get("origin")
    if origin is None:
        return None
    return origin != "null" and urlsplit(origin).netloc == request.headers.get("host")


def entry_csrf(secret: str, entry: str) -> str:
    """The CSRF token of somebody without a session, from the random cookie he was given."""
    return seal(secret, "entry", entry)


def seal(secret: str, purpose: str, *said: str) -> str:
    """64 digits that only who has the secret can put to these words, for this purpose."""
    return sealed(secret, purpose, *said).hex()


def sealed(secret: str, purpose: str, *said: str) -> bytes:
    """The same as 32 bytes."""
    words = "\0".join((purpose, *said)).encode("utf-8", "replace")
    return hmac.new(secret.encode(), words, hashlib.sha256).digest()


def same(one: str, other: str) -> bool:
    """Equal, and not both empty; takes the same time wherever they differ."""
    return bool(one) and hmac.compare_digest(one.encode(), other.encode())
