"""What other programs send, whatever protocol they speak: who they are, in which language they are answered; and how
what they file is taken, once."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection
from starlette.datastructures import UploadFile
from starlette.requests import Request

from crm import api_keys, appeals, attachments, rates, reception, texts
from crm.api_keys import Key
from crm.attachments import Stored
from crm.errors import BadInput, CentreError, NotAllowed
from crm.filing import Filing
from crm.rates import HOUR, Limits
from crm.reception import Received
from web import forms, security
from web.forms import Form
from web.texts import LANGUAGES
from web.visit import Parts

log = logging.getLogger(__name__)

IDEMPOTENCY_KEY = r"^[A-Za-z0-9_-]{16,64}$"  # an UUID, say: nobody may guess another's
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")  # programs do not always escape what they should
_TAG = re.compile(r"\s*([A-Za-z]{2})(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q=([01](?:\.[0-9]{1,3})?))?\s*")


def language_of(request: Request) -> str:
    """The one of ours that the program wants most (``Accept-Language``); Ukrainian where it says nothing."""
    tags = [_TAG.fullmatch(part) for part in request.headers.get("accept-language", "")[:200].split(",")]
    wanted = [(float(tag[2] or 1), tag[1].lower()) for tag in tags if tag and tag[1].lower() in LANGUAGES]
    return max(wanted, key=lambda one: one[0], default=(0, LANGUAGES[0]))[1]


async def form_of(request: Request) -> Form:
    """What was posted as a form, with its files; whoever called it closes it. BadInput ``api.form`` for what is none,
    ``form.too_big``, ``form.too_many_files``, ``form.busy``."""
    kind = request.headers.get("content-type", "")
    try:
        if not forms.is_multipart(kind):
            body = await security.body_of(request, forms.MAX_BODY)
            return forms.parse(_BEYOND_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], body), kind)
        form = await forms.parse_files(request, forms.MAX_UPLOAD)
        if form.unread is not None:
            await form.close()
            raise form.unread
    except BadInput as error:
        raise (BadInput("api.form") if error.id == "form.unreadable" else error) from None
    return form


def store(parts: Parts, key: Key, files: Sequence[UploadFile], now: datetime) -> list[Stored]:
    """Puts them on the disk, whatever comes of them then. Slow: not in a transaction. BadInput ``api_key.spent`` for
    more files an hour than its appeals can have, and as ``attachments.store``; CentreError ``api.no_room`` where the
    disk takes no more."""
    with parts.db.write() as conn:
        for _ in files:
            if rates.count(conn, rates.key(parts.secret, "key files", str(key.id)), now, HOUR) > _files_hourly(key):
                raise BadInput("api_key.spent", seconds=rates.again_in_s(now, HOUR))
    try:
        return [attachments.store(parts.settings.attachments, file.filename or "", file.file) for file in files]
    except OSError as error:
        log.error("a program's file was not kept: %s", error)
        raise CentreError("api.no_room") from None


def _files_hourly(key: Key) -> int:
    return key.hourly_cap * attachments.MOST


def key_of(conn: Connection, key: str) -> Key:
    """Whose key it is. NotAllowed ``api_key.none``, ``api_key.wrong``."""
    if not key:
        raise NotAllowed("api_key.none")
    if (its := api_keys.of(conn, key)) is None:
        raise NotAllowed("api_key.wrong")
    return its


def receive(conn: Connection, parts: Parts, key: Key, its: Filing, *, marks: Sequence[str], source: str,
            limits: Limits, now: datetime, incomplete: bool = False) -> Received:  # fmt: skip
    """Files or holds it (``reception.receive``), once and within the key's number an hour. ``marks``: by any of them it
    may have been taken already; by the first it is from now on.

    BadInput ``api_key.spent``; ``api_key.reused`` where something else was sent under this mark.
    """
    for mark in marks:
        if (known := reception.taken(conn, its.channel, f"{key.id}:{mark}")) is not None:
            # Who guesses the mark of another's filing hears nothing of it.
            if reception.words_of(conn, known) != texts.text(its.text, appeals.LONGEST_TEXT):
                raise BadInput("api_key.reused")
            return known
    api_keys.spend(conn, key, parts.secret, now)
    return reception.receive(conn, its, external_id=f"{key.id}:{marks[0]}", source=source, secret=parts.secret,
                             limits=limits, now=now, incomplete=incomplete)  # fmt: skip


def digest(content: Iterable[tuple[str, str]]) -> str:
    """Of all that was sent, in whatever order."""
    said = "\0".join(f"{name}\0{value}" for name, value in sorted(content))
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()
