"""The way of a page's SIP to Asterisk: one WebSocket for a seat, and through it nothing else of Asterisk's HTTP.

Who may: a session that sits at a seat and speaks by its page, from our own origin. It ends when the session ends or
moves. A page that has gone while its seat talks, and has not come back in ``GRACE_S``, is told to the line, which
brings the citizen back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field

import websockets
from anyio import to_thread
from sqlalchemy.exc import DBAPIError
from starlette.websockets import WebSocket, WebSocketDisconnect

from crm import sign_in
from crm.errors import CentreError
from crm.sign_in import Phone, Session
from web import security, visit
from web.live import ON_CALL
from web.visit import Parts

log = logging.getLogger(__name__)

SUBPROTOCOL = "sip"
MOST = 64 * 1024  # bytes of a message; SIP with its SDP has some three thousand
SLOW_S = 10.0  # a side that has not taken a message in so long has gone
LOOK_S = 15.0  # how often it is asked whether the session lasts
GRACE_S = 6.0  # a page that is reloaded is back sooner
START_S = 15.0  # and so are all of them when we have been restarted
GOING_AWAY, NOT_ALLOWED, AWAY = 1001, 1008, 1013  # why a socket is closed


@dataclass(eq=False)
class _Open:
    """A seat's socket. ``doubted``: something has happened to the session, ask before it goes on."""

    staff_id: int
    seat: str
    doubted: asyncio.Event = field(default_factory=asyncio.Event)
    replaced: bool = False


class SipProxy:
    """``connect`` is the route ``/ws``. All of it belongs to the event loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._open: dict[str, _Open] = {}  # by seat
        self._missed: dict[str, asyncio.Task[None]] = {}  # by seat: waits for its page

    async def run(self) -> None:
        """Misses whoever had a socket before we were restarted, until he is back; then waits to be cancelled, and
        misses nobody any more."""
        def speaking() -> list[str]:
            try:
                with self._parts.db.read() as conn:
                    return sign_in.speaking_by_browser(conn, self._parts.clock())
            except DBAPIError as error:  # nobody can tell now; Asterisk ends a leg that nothing comes from, later
                log.warning("whose page spoke before we were started is not known: %s", error.orig)
                return []

        try:
            for seat in await to_thread.run_sync(speaking):
                self._miss(seat, START_S)
            await asyncio.Event().wait()
        finally:
            for task in self._missed.values():
                task.cancel()

    def recheck(self, staff_id: int, seat: str | None) -> None:
        """This person has signed out or moved: his socket, and that of who sat there, ask whether they may go on."""
        for one in self._open.values():
            if one.staff_id == staff_id or one.seat == seat:
                one.doubted.set()

    async def connect(self, socket: WebSocket) -> None:
        """One page's socket, from its question to its end."""
        session, speaks_sip = await self._session(socket), SUBPROTOCOL in socket.scope["subprotocols"]
        if session is None or session.seat is None or security.own_origin(socket) is not True or not speaks_sip:
            await socket.close(NOT_ALLOWED)  # before it was taken: the browser is answered 403
            return
        settings = self._parts.settings
        try:
            asterisk = await websockets.connect(
                f"ws://127.0.0.1:{settings.asterisk_http_port}/ws", subprotocols=[websockets.Subprotocol(SUBPROTOCOL)],
                local_addr=(settings.browsers_from, 0), proxy=None, max_size=MOST, compression=None, ping_interval=None,
                close_timeout=1, open_timeout=5, user_agent_header=None)  # fmt: skip
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            log.warning("Asterisk's WebSocket was not reached: %s", error)
            await socket.close(AWAY)
            return
        async with asterisk:
            await socket.accept(SUBPROTOCOL)
            await self._serve(socket, asterisk, session, _Open(session.staff.id, session.seat))

    async def _serve(self, socket: WebSocket, asterisk: websockets.ClientConnection, session: Session,
                     here: _Open) -> None:  # fmt: skip
        if former := self._open.get(here.seat):
            former.replaced = True
            former.doubted.set()
        self._open[here.seat] = here
        if missing := self._missed.pop(here.seat, None):
            missing.cancel()
        ways = [asyncio.create_task(way) for way in (
            _outward(socket, asterisk), _inward(asterisk, socket), self._watch(socket, here, session))]  # fmt: skip
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            if self._open.get(here.seat) is here:
                del self._open[here.seat]
                self._miss(here.seat, GRACE_S)
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it may be closed already
                await socket.close(GOING_AWAY)

    async def _watch(self, socket: WebSocket, here: _Open, session: Session) -> None:
        """Ends when the session has ended or moved, or the seat has another socket."""
        loop = asyncio.get_running_loop()
        end = loop.time() + (session.expires_at - self._parts.clock()).total_seconds()
        while not here.replaced and (left := end - loop.time()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_S, left)):
                    await here.doubted.wait()
            here.doubted.clear()
            try:
                now = await self._session(socket)
            except DBAPIError:  # nobody can tell now: it is asked again
                continue
            if now is None or (now.staff.id, now.seat) != (here.staff_id, here.seat):
                return

    async def _session(self, socket: WebSocket) -> Session | None:
        """Whose page it is, if he speaks by it."""
        session = await to_thread.run_sync(visit.session_of, self._parts, socket, self._parts.clock())
        speaks = session is not None and session.seat is not None and session.phone is Phone.BROWSER
        return session if speaks else None

    def _miss(self, seat: str, grace_s: float) -> None:
        async def wait() -> None:
            await asyncio.sleep(grace_s)
            snapshot = self._parts.hub.snapshot
            at = snapshot.seat(seat) if snapshot is not None else None
            if at is None or at.state not in ON_CALL:
                return
            try:
                await self._parts.hub.ask("phone_lost", seat=seat)
            except CentreError as error:
                log.warning("the line was not told that the page of seat %s has gone: %s", seat, error)

        def over(task: asyncio.Task[None]) -> None:
            if self._missed.get(seat) is task:
                del self._missed[seat]

        self._missed[seat] = asyncio.create_task(wait())
        self._missed[seat].add_done_callback(over)


async def _outward(socket: WebSocket, asterisk: websockets.ClientConnection) -> None:
    """From the page to Asterisk, until one of them has closed. Only text, as SIP is."""
    with contextlib.suppress(WebSocketDisconnect, KeyError, TimeoutError, websockets.ConnectionClosed):
        while True:
            message = await socket.receive_text()
            async with asyncio.timeout(SLOW_S):
                await asterisk.send(message)


async def _inward(asterisk: websockets.ClientConnection, socket: WebSocket) -> None:
    """From Asterisk to the page, until one of them has closed."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError, websockets.ConnectionClosed):
        while True:
            message = await asterisk.recv()
            text = message if isinstance(message, str) else message.decode()
            async with asyncio.timeout(SLOW_S):
                await socket.send_text(text)
