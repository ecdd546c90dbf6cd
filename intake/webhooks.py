"""Delivers what departments' own systems are told (``crm.webhooks``): an HTTP POST each, signed.

At least once: who is killed between the answer and our commit delivers it again, by the same id. In order for each
appeal and webhook, since the next is sent only after the one before was taken. A system that is away rests, and none
waits for another's.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import hmac
import json
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from crm import webhooks
from crm.store import Database
from crm.webhooks import Delivery

TIMEOUT_S = 15.0  # for all of it: a name looked up, a connection, an answer
AT_A_TIME, EACH = 8, 4  # deliveries, and of them to one system
READ_MOST, LISTENS_S = 4096, 2.0  # bytes of an answer, and seconds that they may take
ERROR_MOST = 160  # characters of it that are kept
ROUNDS = 50  # in one run, so that others have their turn

log = logging.getLogger(__name__)


def signature(secret: str, body: bytes, at: int) -> str:
    """``X-1551-Signature``: when it was signed (seconds since 1970), and the HMAC-SHA256 of that and the body."""
    made = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={made}"


def body_of(its: Mapping[str, Any]) -> bytes:
    """As it is sent, and signed."""
    return json.dumps(its, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of a delivery. ``error``: "" if it was taken. ``away``: nobody was there; ``gone``: nor will be."""

    error: str = ""
    away: bool = False
    gone: bool = False


class _Refused(Exception):
    """Nothing is sent there."""


class Deliverer:
    """``private``: addresses within the city's own networks may be told too. ``trusted``: for HTTPS, else the usual
    authorities."""

    def __init__(self, db: Database, *, private: bool = False, trusted: ssl.SSLContext | None = None,
                 timeout_s: float = TIMEOUT_S,
                 clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:  # fmt: skip
        self._db, self._private, self._timeout_s, self._clock = db, private, timeout_s, clock
        self._trusted = trusted or ssl.create_default_context()
        self._rests: dict[int, tuple[int, dt.datetime]] = {}  # webhook → failures one after another, until when

    def run(self) -> int:
        """Delivers what is due, until there is no more; how many were taken. Blocking."""
        with self._db.read() as conn:
            if not webhooks.due(conn, self._clock(), each=1, but=self._resting()):
                return 0
        return asyncio.run(self._run())

    async def _run(self) -> int:
        taken = 0
        limits = httpx.Limits(max_connections=AT_A_TIME, max_keepalive_connections=AT_A_TIME)
        async with httpx.AsyncClient(verify=self._trusted, trust_env=False, follow_redirects=False, limits=limits,
                                     timeout=self._timeout_s) as client:  # fmt: skip
            for _ in range(ROUNDS):
                found = await asyncio.to_thread(self._due)
                if not found:
                    break
                turns = asyncio.Semaphore(AT_A_TIME)
                taken += sum(await asyncio.gather(*(self._one(client, each, turns) for each in found)))
        return taken

    def _due(self) -> list[Delivery]:
        with self._db.read() as conn:
            return webhooks.due(conn, self._clock(), each=EACH, but=self._resting())

    def _resting(self) -> set[int]:
        return {id for id, (_, until) in self._rests.items() if until > self._clock()}

    async def _one(self, client: httpx.AsyncClient, its: Delivery, turns: asyncio.Semaphore) -> bool:
        async with turns:
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer = await self._send(client, its)
            except TimeoutError:
                answer = _Answer("timeout", away=True)
        await asyncio.to_thread(self._keep, its, answer)
        return not answer.error

    async def _send(self, client: httpx.AsyncClient, its: Delivery) -> _Answer:
        body = body_of(its.body)
        try:
            url = await self._where(its.url)
            at = urlsplit(its.url)
            headers = {"Host": at.netloc, "Content-Type": "application/json", "User-Agent": "1551",
                       "Accept-Encoding": "identity", "X-1551-Event": str(its.body.get("id", "")),
                       "X-1551-Signature": signature(its.secret, body, int(self._clock().timestamp()))}  # fmt: skip
            # The certificate must be the name's, not the address's that is called.
            async with client.stream("POST", url, content=body, headers=headers,
                                     extensions={"sni_hostname": at.hostname}) as response:  # fmt: skip
                said = await _beginning(response)
        except _Refused as error:
            return _Answer(str(error))
        except (httpx.HTTPError, OSError, httpx.InvalidURL) as error:
            return _Answer(str(error) or type(error).__name__, away=True)
        return _read(response.status_code, said)

    async def _where(self, url: str) -> str:
        """The same with the address of the network that is called, looked up and looked at just now."""
        at = urlsplit(url)
        host, port = at.hostname or "", at.port or (443 if at.scheme == "https" else 80)
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(each[4][0]) for each in found]
        allowed = addresses if self._private else [each for each in addresses if webhooks.is_public(each)]
        if not allowed or (at.scheme != "https" and not self._private):
            raise _Refused("private")
        there = f"[{allowed[0]}]" if ":" in allowed[0] else allowed[0]
        asked = f"{at.path or '/'}{f'?{at.query}' if at.query else ''}"
        return f"{at.scheme}://{there}:{port}{asked}"

    def _keep(self, its: Delivery, answer: _Answer) -> None:
        now = self._clock()
        with self._db.write() as conn:
            if not answer.error:
                webhooks.delivered(conn, its, now)
            else:
                webhooks.failed(conn, its, answer.error, now, away=answer.away)
            if answer.gone:
                webhooks.gone(conn, its.webhook_id, now)
        if not answer.away:
            self._rests.pop(its.webhook_id, None)
            return
        failures, until = self._rests.get(its.webhook_id, (0, now))
        if until <= now:  # those that were under way at the same time are one failure
            pause = dt.timedelta(seconds=webhooks.pause_s(failures + 1, away=True))
            self._rests[its.webhook_id] = failures + 1, now + pause
            log.warning("webhook %d is away: %s", its.webhook_id, answer.error)


async def _beginning(response: httpx.Response) -> bytes:
    """Of what was said with the answer. That it was given is enough: nobody waits for an endless one."""
    said = b""
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(LISTENS_S):
            async for chunk in response.aiter_raw():
                said += chunk
                if len(said) >= READ_MOST:
                    break
    return said


def _read(status: int, said: bytes) -> _Answer:
    if 200 <= status < 300:
        return _Answer()
    words = " ".join(said.decode("utf-8", "replace").split())[:ERROR_MOST]
    return _Answer(f"HTTP {status} {words}".strip(), away=status >= 500 or status == 429, gone=status == 410)
