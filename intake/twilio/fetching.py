"""What a message still has at Twilio is fetched: photos of an MMS, a voice (twilio.com/docs/messaging/api/
media-resource, /docs/voice/api/recording); and SMS that Twilio could not bring to us are asked for."""

from __future__ import annotations

import datetime as dt
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import httpx
from sqlalchemy import select

from crm import attachments, by_sms, remote_files
from crm.by_sms import Texted
from crm.errors import BadInput
from crm.remote_files import RemoteFile, State
from crm.schema import message
from crm.store import Database
from crm.telling import Say
from intake.twilio.courier import client
from intake.twilio.incoming import MOST_FILES, caller, media_name, root

CHANNELS = (by_sms.CHANNEL, "phone")
TIMEOUT_S = 30.0
HOPS = 3
# Where Twilio's API sends on who asks for a file; it is asked there without our password.
STORES = (".twilio.com", ".twiliocdn.com", ".amazonaws.com")
MISSED = dt.timedelta(days=2)  # how long an SMS may wait for our portal to be there again
MOST_MISSED = 1000

log = logging.getLogger(__name__)
Clock = Callable[[], dt.datetime]


class _NotThere(Exception):
    """The file is not where it is said to be, now."""


class Files:
    """``run`` does one round; for a thread of the post. ``folder``: of the attachments. ``say``: the words under a
    message whose file could not be had."""

    def __init__(self, db: Database, folder: Path, account: str, token: str, api: str, *, say: Say,
                 clock: Clock = lambda: dt.datetime.now(dt.UTC)) -> None:  # fmt: skip
        self._db, self._folder, self._api, self._say, self._clock = db, folder, api, say, clock
        self._password = (account, token)

    def run(self) -> int:
        """Fetches and deletes what is due; how many were fetched."""
        with self._db.read() as conn:
            due = remote_files.due(conn, self._clock(), channels=CHANNELS)
        fetched = 0
        if due:
            with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as http:
                for each in due:
                    try:
                        if each.state is State.DUE:
                            fetched += self._fetch(http, each)
                        else:
                            self._delete(http, each)
                    except (httpx.HTTPError, OSError) as error:  # a disk that takes no more holds up nothing else
                        self._failed(each, str(error) or type(error).__name__)
        return fetched

    def _fetch(self, http: httpx.Client, its: RemoteFile) -> bool:
        with tempfile.TemporaryFile() as file:
            try:
                self._download(http, self._api + its.path, file, self._password)
                file.seek(0)
                stored = attachments.store(self._folder, its.name, file, also=attachments.AUDIO)
            except _NotThere as error:
                self._failed(its, str(error))
                return False
            except BadInput as error:  # a film, a contact: no kind that is taken; or a file that nobody should open
                self._lost(its, error.id)
                return False
        with self._db.write() as conn:
            remote_files.kept(conn, its, stored, self._clock())
        return True

    def _download(self, http: httpx.Client, url: str, file: IO[bytes], password: tuple[str, str] | None,
                  hops: int = HOPS) -> None:  # fmt: skip
        """_NotThere for anything but the file."""
        with http.stream("GET", url, auth=password) as answer:
            onward = self._onward(url, answer.headers.get("location", "")) if answer.is_redirect else ""
            if not onward:
                if answer.status_code != httpx.codes.OK:
                    raise _NotThere(f"HTTP {answer.status_code}")
                for chunk in answer.iter_bytes():
                    file.write(chunk)
                    if file.tell() > attachments.LARGEST:  # ``store`` says so
                        return
        if onward:
            if not hops:
                raise _NotThere("redirects")
            self._download(http, onward, file, None, hops - 1)

    def _onward(self, url: str, location: str) -> str:
        """Where we are sent on to. _NotThere if that is not Twilio's own."""
        there, api = urlsplit(urljoin(url, location)), urlsplit(self._api)
        own = (there.scheme, there.netloc) == (api.scheme, api.netloc)
        store = there.scheme == "https" and f".{there.hostname or ''}".endswith(STORES)
        if not own and not store:
            raise _NotThere("redirect elsewhere")
        return there.geturl()

    def _delete(self, http: httpx.Client, its: RemoteFile) -> None:
        """A resident's photo and voice lie with us, and nowhere else."""
        record = f"{its.path.removesuffix('.wav')}.json"
        answer = http.delete(self._api + record, auth=self._password)
        if answer.status_code in (httpx.codes.NO_CONTENT, httpx.codes.NOT_FOUND):
            with self._db.write() as conn:
                remote_files.done(conn, its)
        else:
            self._failed(its, f"HTTP {answer.status_code}")

    def _failed(self, its: RemoteFile, error: str) -> None:
        with self._db.write() as conn:
            again = remote_files.failed(conn, its, error, self._clock())
        if not again:
            self._lost(its, error)

    def _lost(self, its: RemoteFile, error: str) -> None:
        """One that we have, and that Twilio would not delete, is nobody's loss but its own."""
        log.warning("a file of message %s at Twilio is given up: %s", its.message_id, error)
        words = "" if its.state is State.KEPT else self._say("file_lost", "uk", name=its.name)
        with self._db.write() as conn:
            remote_files.lost(conn, its, error, words)


class Missed:
    """SMS that came while our portal was away: Twilio keeps them, but does not bring them again. ``run`` does one
    round; for a thread of the post. ``secret``, ``daily``: as ``by_sms.receive``."""

    def __init__(self, db: Database, account: str, token: str, api: str, number: str, *, say: Say, secret: str,
                 daily: int, clock: Clock = lambda: dt.datetime.now(dt.UTC)) -> None:  # fmt: skip
        self._db, self._number, self._account, self._clock = db, number, account, clock
        self._client = client(account, token, api)
        self._say, self._secret, self._daily = say, secret, daily

    def run(self) -> int:
        """Takes those that we do not have, in the order in which they came; how many."""
        came = self._client.messages.list(
            to=self._number, date_sent_after=self._clock() - MISSED, limit=MOST_MISSED, page_size=MOST_MISSED)
        with self._db.read() as conn:
            mine = select(message.c.external_id).where(
                message.c.channel == by_sms.CHANNEL, message.c.external_id.in_([each.sid for each in came]))
            known = set(conn.scalars(mine))
        missing = [each for each in reversed(came) if each.direction == "inbound" and each.sid not in known]
        return sum(self._take(each) for each in missing)

    def _take(self, its: Any) -> bool:
        sid, said = str(its.sid), str(its.from_)
        files = []
        if int(its.num_media or 0):
            media = self._client.messages(sid).media.list(limit=MOST_FILES)
            files = [(f"{root(self._account)}/Messages/{sid}/Media/{each.sid}", media_name(n, each.content_type))
                     for n, each in enumerate(media)]  # fmt: skip
        texted = Texted(sid, caller(said), said, its.body or "", files=files)
        with self._db.write() as conn:
            return by_sms.receive(conn, texted, now=self._clock(), say=self._say, secret=self._secret,
                                  daily=self._daily)  # fmt: skip
