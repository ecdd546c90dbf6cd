"""Photos and documents that came with messages to the city's page, fetched from where the platform keeps them."""

from __future__ import annotations

import datetime as dt
import io
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from crm import attachments, conversations, remote_files
from crm.errors import BadInput
from crm.remote_files import RemoteFile
from crm.store import Database
from crm.telling import Say
from intake.facebook.incoming import CHANNEL
from intake.facebook.talks import reply

TIMEOUT_S = 20.0
# Where the platform keeps what people send.
FILES_AT = (".fbcdn.net", ".fbsbx.com")

log = logging.getLogger(__name__)


class Files:
    """Fetches photos and documents, each once, from the platform's own hosts alone. ``folder``: of attachments.
    ``also``: another host, with its port, that they may lie at: the platform's own API."""

    def __init__(self, db: Database, folder: Path, say: Say, *, also: str = "") -> None:
        self._db, self._folder, self._say, self._also = db, folder, say, also

    def fetch(self, now: dt.datetime) -> int:
        """All that is to be fetched now; how many were. Blocking."""
        with self._db.read() as conn:
            found = remote_files.due(conn, now, channels=[CHANNEL])
        if not found:
            return 0
        with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
            return sum(self._one(client, each, now) for each in found)

    def _one(self, client: httpx.Client, its: RemoteFile, now: dt.datetime) -> bool:
        stored = None
        if its.state is remote_files.State.DUE:
            try:
                stored = attachments.store(self._folder, its.name, io.BytesIO(self._body(client, its.path)))
            except (BadInput, httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # OSError: the disk takes no more
                log.warning("a file was not fetched: %s", error)
                self._failed(its, error, now)
                return False
        with self._db.write() as conn:
            if stored is not None:
                remote_files.kept(conn, its, stored, now)
            remote_files.done(conn, replace(its, state=remote_files.State.KEPT))  # the platform lets nobody delete it
        return stored is not None

    def _failed(self, its: RemoteFile, error: Exception, now: dt.datetime) -> None:
        with self._db.write() as conn:
            if isinstance(error, httpx.HTTPError | OSError) and remote_files.failed(conn, its, str(error), now):
                return
            language = conversations.language(conn, its.message_id)
            remote_files.lost(conn, its, str(error), self._say("file_lost", language, name=its.name))
            reply(conn, its.message_id, f"file:{its.id}", self._say("photo_lost", language), now)

    def _body(self, client: httpx.Client, url: str) -> bytes:
        """BadInput for what is not where the platform keeps files, or is too big."""
        if not is_theirs(url, also=self._also):
            raise BadInput("attachment.kind")
        with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
            if not response.is_success:
                raise httpx.HTTPError(f"the answer was {response.status_code}")
            body = b"".join(_bounded(response.iter_bytes()))
        return body


def is_theirs(url: str, *, also: str = "") -> bool:
    """Whether the platform keeps files there. ``also``: as ``Files`` has it."""
    try:
        at = urlsplit(url)
        port = at.port
    except ValueError:
        return False
    if also and at.netloc == also:
        return at.scheme in ("http", "https")
    host = f".{(at.hostname or '').lower()}"
    return at.scheme == "https" and port in (None, 443) and "@" not in at.netloc and host.endswith(FILES_AT)


def _bounded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > attachments.LARGEST:
            raise BadInput("attachment.too_big", megabytes=attachments.LARGEST // 1024**2)
        yield chunk
