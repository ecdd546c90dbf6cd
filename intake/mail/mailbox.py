"""The centre's mailbox by IMAP (RFC 9051, 2177, 6851): each letter is taken once, and then put aside.

What lies in the folder is to be taken; what has been taken lies in another one beside it. A letter is committed first
and put aside then: whoever is killed in between finds it again, and it is known. No number of a letter is remembered
from one connection to the next, so that a server may give them anew. What is too big stays where it is, flagged; what
could not be read goes into a folder of its own, and a person is told. The connection may break at any moment: it is
made again after pauses that grow.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from imapclient import DELETED, FLAGGED, SEEN, IMAPClient, SocketTimeout  # type: ignore[import-untyped]
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError  # type: ignore[import-untyped]
from sqlalchemy.exc import DBAPIError

TAKEN, UNREADABLE = "1551-taken", "1551-unreadable"  # folders
PIECE = 1024 * 1024  # bytes that are asked for at a time
HEAD = 64 * 1024  # bytes of a letter's head
CONNECT_S, ANSWER_S = 15.0, 60.0  # of patience
RENEW_S = 120.0  # servers end an IDLE after half an hour, and routers forget a silent connection sooner
LOOK_S = 1.0  # how soon an order to stop is seen
POLL_S = 30.0  # where the server does not tell of new letters
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
AT_ONCE = 50  # letters that are looked at in one go

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """``security``: "tls", "starttls" or "none" (this machine only). ``folder``: where letters come."""

    host: str
    port: int
    security: str
    user: str
    password: str
    folder: str = "INBOX"


class Taker(Protocol):
    """``intake.mail.arrivals.Arrivals``."""

    def take(self, data: bytes, received_at: datetime) -> bool: ...

    def too_big(self, head: bytes, size: int, received_at: datetime) -> bool: ...

    def unreadable(self, head: bytes, folder: str, received_at: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: tests are in a hurry."""

    renew: float = RENEW_S
    poll: float = POLL_S
    first_pause: float = FIRST_PAUSE_S
    longest_pause: float = LONGEST_PAUSE_S


def connect(account: Account, timeout: SocketTimeout = SocketTimeout(CONNECT_S, ANSWER_S)) -> IMAPClient:  # noqa: B008
    """Signed in. OSError or IMAPClientError (``LoginError`` is one) if that cannot be."""
    context = ssl.create_default_context()
    client = IMAPClient(account.host, account.port, ssl=account.security == "tls", ssl_context=context, timeout=timeout)
    try:
        if account.security == "starttls":
            client.starttls(context)
        client.login(account.user, account.password)
    except BaseException:
        with contextlib.suppress(Exception):
            client.shutdown()
        raise
    return client


def trouble(account: Account, patience: float) -> str:
    """Why letters cannot be fetched; "" if they can. ``patience``: seconds for each answer."""
    try:
        with connect(account, SocketTimeout(patience, patience)) as client:
            client.select_folder(account.folder, readonly=True)
    except (OSError, IMAPClientError) as error:
        return str(error) or type(error).__name__
    return ""


class NotNowError(Exception):
    """Letters are left that could not be taken: the disk, or the records, took no more."""


class Mailbox:
    """``run`` fetches letters until ``stop`` is called from another thread. ``largest``: bytes of a letter that is
    fetched."""

    def __init__(self, account: Account, taker: Taker, *, largest: int, pace: Pace = Pace()) -> None:
        self._account, self._taker, self._largest, self._pace = account, taker, largest, pace
        self._stop = threading.Event()
        self._client: IMAPClient | None = None
        self._failures = 0
        self._beside: dict[str, str] = {}  # the folders beside it, by their names
        self._left: set[int] = set()  # letters of this connection that cannot be put aside

    def stop(self) -> None:
        """At once, whatever is being waited for: what has not been taken is taken the next time."""
        self._stop.set()
        client = self._client
        if client is not None:
            with contextlib.suppress(OSError):
                client.socket().shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Blocking."""
        while not self._stop.is_set():
            try:
                with self._connected() as client:
                    self._attend(client)
            except Exception as error:
                if self._stop.is_set():
                    return
                self._failures += 1
                pause = min(self._pace.first_pause * 2 ** min(self._failures - 1, 20), self._pace.longest_pause)
                log.warning("the mailbox cannot be read, again in %.0f s: %s", pause, error or type(error).__name__)
                self._stop.wait(pause)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[IMAPClient]:
        client = self._client = connect(self._account)
        try:
            client.normalise_times = False
            client.select_folder(self._account.folder)
            self._beside, self._left = _folders(client), set()
            yield client
        finally:
            self._client = None
            with contextlib.suppress(Exception):  # it may be gone already
                client.shutdown()

    def _attend(self, client: IMAPClient) -> None:
        """Until the connection breaks or we are stopped."""
        tells = client.has_capability("IDLE")
        while not self._stop.is_set():
            _has_told(client)  # of what is looked for now
            self._round(client)
            self._failures = 0
            if _has_told(client):
                continue  # it came meanwhile, and of that we are not told again
            if tells:
                self._idle(client)
            else:
                self._stop.wait(self._pace.poll)
                client.noop()

    def _idle(self, client: IMAPClient) -> None:
        client.idle()
        until = time.monotonic() + self._pace.renew
        while not self._stop.is_set() and (began := time.monotonic()) < until:
            told = client.idle_check(timeout=LOOK_S)
            ended = not told and time.monotonic() - began < LOOK_S / 2  # nothing more can come: it does not say so
            if ended or any(b"EXISTS" in each or b"BYE" in each for each in told):
                break
        client.idle_done()

    def _round(self, client: IMAPClient) -> None:
        """Takes all that lies there. NotNowError if some of it could not be."""
        left = 0
        uids = [uid for uid in sorted(client.search(["UNDELETED"])) if uid not in self._left]
        for first in range(0, len(uids), AT_ONCE):
            known = client.fetch(uids[first : first + AT_ONCE], ["RFC822.SIZE", "INTERNALDATE", "FLAGS"])
            for uid, said in sorted(known.items()):
                if self._stop.is_set():
                    return
                left += not self._letter(client, uid, said)
        if left:
            raise NotNowError(f"{left} letters could not be taken now")

    def _letter(self, client: IMAPClient, uid: int, said: dict[bytes, Any]) -> bool:
        """Takes one; False if it could not be taken now."""
        size, at = int(said.get(b"RFC822.SIZE", 0)), said.get(b"INTERNALDATE") or datetime.now(UTC)
        too_big = size > self._largest
        if too_big and FLAGGED in said.get(b"FLAGS", ()):
            return True
        data = _piece(client, uid, 0, HEAD) if too_big else self._whole(client, uid)
        if data is None:
            return True  # somebody else has taken it away
        try:
            if too_big:
                self._taker.too_big(data, size, at)
            else:
                self._taker.take(data, at)
        except (OSError, DBAPIError) as error:
            log.warning("a letter is left for later: %s", error)
            return False
        except Exception:
            log.exception("a letter of %d bytes cannot be read", size)
            return self._give_up(client, uid, data[:HEAD], at)
        if too_big:
            client.add_flags([uid], [FLAGGED, SEEN])
        else:
            self._put_aside(client, uid, TAKEN)
        return True

    def _give_up(self, client: IMAPClient, uid: int, head: bytes, at: datetime) -> bool:
        """A person looks at what no machine can read."""
        try:
            self._taker.unreadable(head, self._beside[UNREADABLE], at)
        except (OSError, DBAPIError):
            return False
        self._put_aside(client, uid, UNREADABLE)
        return True

    def _whole(self, client: IMAPClient, uid: int) -> bytes | None:
        """A letter in pieces; None if it is gone. A server may be mistaken about its size."""
        data = bytearray()
        while (piece := _piece(client, uid, len(data), PIECE)) is not None:
            data += piece
            if len(piece) < PIECE or len(data) > 2 * self._largest:
                return bytes(data)
        return None

    def _put_aside(self, client: IMAPClient, uid: int, name: str) -> None:
        client.add_flags([uid], [SEEN])
        try:
            if client.has_capability("MOVE"):
                client.move([uid], self._beside[name])
                return
            client.copy([uid], self._beside[name])
            client.add_flags([uid], [DELETED])
            if client.has_capability("UIDPLUS"):
                client.uid_expunge([uid])
        except IMAPClientAbortError:
            raise
        except IMAPClientError as error:  # no room, or no right to: it is known, should it be found again
            log.error("a letter cannot be put into %s: %s", self._beside[name], error)
            self._left.add(uid)


def _has_told(client: IMAPClient) -> bool:
    """Whether the server has told of letters since this was asked last. A server tells once, in the answer to whatever
    it is asked, and only imaplib keeps that."""
    return bool(client._imap.response("EXISTS")[1] != [None])


def _folders(client: IMAPClient) -> dict[str, str]:
    """The folders beside it, made where they are missing, by their names: some servers have all of them in one."""
    spaces = client.namespace().personal if client.has_capability("NAMESPACE") else None
    prefix = spaces[0][0] if spaces else ""
    found = {}
    for name in (TAKEN, UNREADABLE):
        found[name] = f"{prefix}{name}"
        if not client.folder_exists(found[name]):
            client.create_folder(found[name])
            client.subscribe_folder(found[name])
    return found


def _piece(client: IMAPClient, uid: int, start: int, length: int) -> bytes | None:
    """So many bytes of a letter, without saying that it was read; None if it is gone."""
    its = client.fetch([uid], [f"BODY.PEEK[]<{start}.{length}>"]).get(uid)
    return None if its is None else its.get(f"BODY[]<{start}>".encode()) or b""
