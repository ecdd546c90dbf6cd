"""Files that came with a form which has to come back: no browser fills a file's field again, so they are kept at once,
and the form names them in sealed words that only we can make."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from crm import attachments, rates
from crm.attachments import Stored
from crm.errors import BadInput, CentreError
from crm.rates import HOUR
from web import security
from web.forms import Form
from web.portal.strangers import source_of
from web.visit import Parts, Visit

LASTS = timedelta(hours=12)  # since the form came last: well before ``attachments.sweep`` takes what no row names
FILES_HOURLY = 120  # from one address, whether an appeal came of them or not: they take room
FIELD, DROP = "kept", "drop-"  # the form's fields: what is kept; and with the beginning of a digest, what to leave out

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """``sealed``: the form's hidden field. ``problems``: what was not taken, by its name, and why."""

    files: tuple[Stored, ...]
    sealed: str
    problems: tuple[tuple[str, CentreError], ...] = ()

    @property
    def place(self) -> tuple[float, float] | None:
        """Where the first photo that says so was taken."""
        return next((its.place for its in self.files if its.place), None)


def answered(visit: Visit, answer: Callable[[Visit, Kept], Response]) -> Response:
    """The answer to a form with files: whatever fails, what has come goes back with it."""
    kept = take(visit)
    form = Form({**visit.form, FIELD: kept.sealed})
    visit = replace(visit, form=form)
    try:
        return answer(visit, kept)
    except DBAPIError as error:
        log.error("the database failed at a form with files: %s", error.orig)
        return visit.page("portal/resume.html", status=HTTPStatus.SERVICE_UNAVAILABLE,
                          problem=CentreError("database.away"))  # fmt: skip


def take(visit: Visit) -> Kept:
    """The form's files: those that were kept before and have not been dropped, and those that came now, on the disk."""
    folder, problems = visit.parts.settings.attachments, list[tuple[str, CentreError]]()
    files = {its.sha256: its for its in opened(visit.parts.secret, visit.form[FIELD], folder, visit.now)
             if not visit.form.ticked(f"{DROP}{its.sha256[:16]}")}  # fmt: skip
    for file in visit.form.files:
        name = file.filename or "—"
        try:
            if len(files) >= attachments.MOST:
                raise BadInput("portal.too_many_files", most=attachments.MOST)
            _count(visit)
            stored = attachments.store(folder, name, file.file)
            files[stored.sha256] = stored
        except OSError as error:  # the disk is full, or will not be written to: an appeal can do without a photo
            log.error("a resident's file was not kept: %s", error)
            problems.append((name, CentreError("portal.no_room")))
        except CentreError as error:
            problems.append((name, error))
    return Kept(tuple(files.values()), sealed(visit.parts, files, visit.now), tuple(problems))


def sealed(parts: Parts, files: Mapping[str, Stored], now: datetime) -> str:
    """One word for each file."""
    return " ".join(_word(parts.secret, its, now) for its in files.values())


def opened(secret: str, words: str, folder: Path, now: datetime) -> list[Stored]:
    """The files that they name: of what we did not seal, or long ago, or is there no more, nothing."""
    found = []
    for word in words.split()[: attachments.MOST]:
        said, _, seal = word.partition(".")
        if not security.same(security.seal(secret, "kept", said)[:32], seal):
            continue
        name, media_type, size, sha256, place, at = json.loads(base64.urlsafe_b64decode(said))
        if now - datetime.fromisoformat(at) < LASTS and attachments.renew(folder, sha256, now):
            found.append(Stored(name, media_type, size, sha256, None if place is None else (place[0], place[1])))
    return found


def _word(secret: str, its: Stored, now: datetime) -> str:
    about = [its.name, its.media_type, its.bytes, its.sha256, its.place, now.isoformat()]
    said = base64.urlsafe_b64encode(json.dumps(about).encode()).decode()
    return f"{said}.{security.seal(secret, 'kept', said)[:32]}"


def _count(visit: Visit) -> None:
    """BadInput ``portal.many_files`` for one too many from this address. While the database is away nobody can count,
    and what somebody has sent is worth more."""
    try:
        with visit.db.write() as conn:
            mark = rates.key(visit.parts.secret, "files", source_of(visit.request))
            if rates.count(conn, mark, visit.now, HOUR) > FILES_HOURLY:
                raise BadInput("portal.many_files")
    except DBAPIError as error:
        log.warning("files were not counted: %s", error.orig)
