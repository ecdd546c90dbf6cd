"""Takes what Asterisk wrote down while we were away (`ivr/spool_call.py`), each file once.

A file's name goes into the ledger ``taken`` in the transaction that applies it; the file is deleted
after the commit. Killed in between, we find the name in the ledger and only delete. What was told
live already (by AMI, by a step whose answer came too late) changes nothing a second time.

What no trying again can mend is moved into ``bad/`` and reported; when it is the database that
fails, the file stays for the next time.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import re
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError

from crm import calls, confirmations, incident_callers, promises, ratings, texts
from crm.calls import Direction, EndCause, Queue
from crm.confirmation_rules import Mode, Reached, Rules
from crm.errors import BadInput, CentreError, IllegalAction
from crm.phones import parse_phone
from crm.store import Writer
from ivr.steps import ANSWERS

SOURCE = "spool"  # in the ledger, and of a call's record
LARGEST = 64 * 1024  # bytes of a file; those of spool_call.py have a few hundred
LONGEST = 200  # characters of a value
BATCH = 500  # files that are read before they are written
BAD = "bad"  # the folder, inside the spool, of what cannot be taken
OLD_DRAFT_S = 3600  # Asterisk died while it was writing
_NAME = re.compile(r"[0-9]{1,11}\.[0-9]{6}-[A-Za-z0-9._:-]{1,64}-[a-z]{1,20}\.json", re.ASCII)
_EARLIEST, _LATEST = 1_500_000_000, 4_000_000_000  # 2017 and 2096: a clock that was never set is no time

Announced = Callable[[Connection, str, str, dt.datetime], object]
"""Puts a recording on record: its call's linkedid, its path in the recordings' folder, when it began."""

_log = logging.getLogger(__name__)


class Kind(StrEnum):
    """At which point of the dialplan the file was written."""

    ARRIVED = "arrived"
    QUEUED = "queued"
    RECORDING = "recording"
    ATTEMPT = "attempt"  # a live callback's Dial() is over
    ANSWER = "answer"  # a key, after the question whether it is solved
    JOIN = "join"  # the key by which he joins an incident
    RATING = "rating"  # the key by which he says how the conversation was
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Spooled:
    """One file. Texts are "" where the call did not have them; ``outcome`` is a DIALSTATUS."""

    kind: Kind
    at: dt.datetime
    linkedid: str
    origin: str = ""
    caller: str = ""  # E.164
    language: str = ""
    choice: str = ""
    stage: str = ""
    file: str = ""
    attempt: str = ""
    outcome: str = ""
    appeal: str = ""
    key: str = ""
    incident: str = ""
    rating: str = ""


@dataclass(slots=True)
class Report:
    """What became of the files: applied now, applied earlier, moved to ``bad/``, left for the next time."""

    taken: int = 0
    repeated: int = 0
    bad: list[str] = field(default_factory=list)
    left: int = 0


class Spool:
    """Reads ``folder`` and applies it through ``writer``.

    ``announced`` is the recordings' part, given by the wiring.
    """

    def __init__(self, folder: Path, writer: Writer, rules: Rules, announced: Announced,
                 clock: Callable[[], dt.datetime]) -> None:  # fmt: skip
        self._folder = folder
        self._writer = writer
        self._rules = rules
        self._announced = announced
        self._now = clock

    async def keep_taking(self, every_s: float) -> None:
        """Takes what is there now, and again every ``every_s`` seconds, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.take)
            except OSError as error:
                _log.error("the spool cannot be read: %s", error)
            await asyncio.sleep(every_s)

    def take(self) -> Report:
        """Takes every file that is there, oldest first. Blocking: use a thread. OSError if there is no folder."""
        report = Report()
        self._put_away_old_drafts(report)
        there = (found.name for found in self._folder.iterdir())
        names = sorted(name for name in there if not name.startswith(".") and name != BAD)
        for at in range(0, len(names), BATCH):
            if not self._take(names[at : at + BATCH], report):
                break  # the database is away: the rest would fail too
        return report

    def _take(self, names: Sequence[str], report: Report) -> bool:
        """Whether the database took them."""
        written: list[tuple[str, Future[bool]]] = []
        left = report.left
        for name in names:
            try:
                spooled = parse(self._read(name))
            except BadInput as error:
                self._set_aside(name, error, report)
            except FileNotFoundError:
                continue
            except OSError as error:
                _log.error("spool: %r cannot be read, and waits: %s", name, error)
            else:
                try:
                    written.append((name, self._writer.submit(self._application(name, spooled))))
                except CentreError as error:  # it is closing, or has far too much to do
                    report.left += 1
                    _log.warning("spool: %r waits: %s", name, error)
        for name, future in written:
            try:
                new = future.result()
            except DBAPIError as error:
                if isinstance(error, DataError):
                    self._set_aside(name, error, report)
                    continue
                report.left += 1
                _log.warning("spool: %r waits, the database cannot be written to: %s", name, error)
            except Exception as error:
                self._set_aside(name, error, report)
            else:
                report.taken += new
                report.repeated += not new
                (self._folder / name).unlink(missing_ok=True)
        return report.left == left

    def _application(self, name: str, spooled: Spooled) -> Callable[[Connection], bool]:
        def take_once(conn: Connection) -> bool:
            if not calls.taken_once(conn, SOURCE, name, self._now()):
                return False
            apply(conn, spooled, self._rules, self._announced)
            return True

        return take_once

    def _read(self, name: str) -> bytes:
        """BadInput for what is not a file of ours."""
        if not _NAME.fullmatch(name):
            raise BadInput("spool.name")
        path = self._folder / name
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            raise BadInput("spool.not_a_file")
        return path.read_bytes()

    def _set_aside(self, name: str, error: Exception, report: Report) -> None:
        """Out of the way and kept: somebody may mend it and put it back."""
        _log.error("spool: %r is moved to bad/: %s", name, error, exc_info=not isinstance(error, CentreError))
        report.bad.append(name)
        bad = self._folder / BAD
        try:
            bad.mkdir(mode=0o700, exist_ok=True)
            (self._folder / name).rename(_free(bad / name))
        except OSError as failure:  # the good ones shall be taken all the same
            _log.error("spool: %r cannot be moved: %s", name, failure)

    def _put_away_old_drafts(self, report: Report) -> None:
        for draft in self._folder.glob(".*.json.*"):
            with suppress(FileNotFoundError):  # it is complete, just now
                if self._now().timestamp() - draft.lstat().st_mtime > OLD_DRAFT_S:
                    self._set_aside(draft.name, BadInput("spool.cut_off"), report)


def parse(raw: bytes) -> Spooled:
    """BadInput "spool.damaged" for anything that ``spool_call.py`` would not write."""
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadInput("spool.damaged", why="not JSON") from None
    if not isinstance(said, dict):
        raise BadInput("spool.damaged", why="no object")
    at = said.get("at")
    if not isinstance(at, (int, float)) or not _EARLIEST <= at <= _LATEST:
        raise BadInput("spool.damaged", why="at")
    if said.get("kind") not in tuple(Kind):
        raise BadInput("spool.damaged", why="kind")
    names = [one.name for one in fields(Spooled) if one.name not in ("kind", "at", "linkedid", "caller")]
    values = {name: _text(said, name) for name in names}
    return Spooled(kind=Kind(said["kind"]), at=dt.datetime.fromtimestamp(at, dt.UTC),
                   linkedid=texts.linkedid(_text(said, "linkedid") or _text(said, "uniqueid")),
                   caller=parse_phone(_text(said, "caller")), **values)  # fmt: skip


def _text(said: dict[str, object], name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
        raise BadInput("spool.damaged", why=name)
    return value


def apply(conn: Connection, spooled: Spooled, rules: Rules, announced: Announced) -> None:
    """Makes records of one file. CentreError when they contradict what is on record."""
    match spooled.kind:
        case Kind.ARRIVED:
            _arrived(conn, spooled)
        case Kind.QUEUED:
            _arrived(conn, spooled)
            calls.choose(conn, spooled.linkedid, spooled.at, spooled.choice or "queue", _language(spooled))
            calls.queued(conn, spooled.linkedid, spooled.at, Queue.CITY)
        case Kind.RECORDING:
            announced(conn, spooled.linkedid, spooled.file, spooled.at)
        case Kind.ATTEMPT:
            _attempt_dialled(conn, spooled, rules)
        case Kind.ANSWER:
            _answered(conn, spooled)
        case Kind.JOIN:
            _joined(conn, spooled)
        case Kind.RATING:
            _arrived(conn, spooled)
            ratings.keep(conn, spooled.linkedid, ratings.score_of(spooled.rating), spooled.at)
        case Kind.ENDED:
            _ended(conn, spooled, rules)


def _arrived(conn: Connection, spooled: Spooled) -> None:
    origin = spooled.origin if spooled.origin in calls.ORIGINS else calls.UNKNOWN_ORIGIN
    direction = Direction.OUT if origin == "centre" else Direction.IN
    calls.arrived(conn, spooled.linkedid, at=spooled.at, origin=origin, caller=spooled.caller,
                  language=_language(spooled), direction=direction, source=SOURCE)  # fmt: skip


def _language(spooled: Spooled) -> str:
    return spooled.language if spooled.language in ("uk", "en") else ""


# DIALSTATUS → how the attempt ended. The dialplan's own are REFUSED, a number that the settings do not allow, and
# NOTDIALLED: the seat gave up before. Not here: ANSWER, whose outcome is a form's, and CANCEL (the seat gave up while
# it rang) with whatever else there is: unknown.
_REACHED = {
    "BUSY": Reached.BUSY, "NOANSWER": Reached.NO_ANSWER, "CONGESTION": Reached.FAILED,
    "CHANUNAVAIL": Reached.FAILED, "REFUSED": Reached.FAILED, "NOTDIALLED": Reached.NOT_PLACED,
}  # fmt: skip


def _attempt_dialled(conn: Connection, spooled: Spooled, rules: Rules) -> None:
    if spooled.outcome == "ANSWER":
        confirmations.attempt_answered(conn, spooled.attempt, spooled.at, spooled.linkedid)
    else:
        ended_as = _REACHED.get(spooled.outcome, Reached.UNKNOWN)
        confirmations.finish(conn, spooled.attempt, ended_as, spooled.at, rules=rules, linkedid=spooled.linkedid)


def _answered(conn: Connection, spooled: Spooled) -> None:
    """A key that says neither is nothing: a person asks."""
    result = ANSWERS.get(spooled.key)
    if result is None:
        return
    if not re.fullmatch(r"[0-9]{1,9}", spooled.appeal):
        raise BadInput("spool.damaged", why="appeal")
    citizen_id = None
    if not spooled.attempt:
        pending = confirmations.pending_for(conn, spooled.caller)
        if pending is None:  # somebody took his word meanwhile
            return
        citizen_id = pending.citizen_id
    confirmations.answer(conn, number=int(spooled.appeal), result=result, now=spooled.at, linkedid=spooled.linkedid,
                         attempt_id=spooled.attempt or None, citizen_id=citizen_id, key=spooled.key)  # fmt: skip


def _joined(conn: Connection, spooled: Spooled) -> None:
    """What was over when he pressed the key he cannot join."""
    if not re.fullmatch(r"[0-9]{1,9}", spooled.incident):
        raise BadInput("spool.damaged", why="incident")
    _arrived(conn, spooled)
    with suppress(IllegalAction):
        incident_callers.join(conn, int(spooled.incident), e164=spooled.caller, linkedid=spooled.linkedid,
                              language=_language(spooled) or "uk", now=spooled.at)  # fmt: skip


def _ended(conn: Connection, spooled: Spooled, rules: Rules) -> None:
    _arrived(conn, spooled)
    calls.ended(conn, spooled.linkedid, spooled.at, _cause(spooled))
    if spooled.attempt.startswith(promises.ATTEMPT):  # that he picked up is all we need: the call's record has the rest
        promises.answered(conn, spooled.attempt, spooled.at)
        return
    for attempt in confirmations.open_attempts(conn) if spooled.attempt else ():
        if attempt.id == spooled.attempt and attempt.mode is Mode.AUTO:  # a live one's end is a form's
            ended_as = Reached.PERSON if spooled.stage == "queue" else Reached.NO_KEY
            confirmations.finish(conn, attempt.id, ended_as, spooled.at, rules=rules, linkedid=spooled.linkedid)


def _cause(spooled: Spooled) -> EndCause:
    """Why the call ended, as far as the dialplan can know. LOST is mended by AMI or queue_log, which saw
    whether a seat had answered."""
    if spooled.stage == "closed":
        return EndCause.CLOSED
    if spooled.stage == "queue":
        return EndCause.LOST
    if spooled.outcome:
        return EndCause.COMPLETED if spooled.outcome == "ANSWER" else EndCause.UNREACHED
    return EndCause.IVR


def _free(path: Path) -> Path:
    """``path``, or the first beside it that does not exist yet."""
    tried, count = path, 0
    while tried.exists():
        count += 1
        tried = path.with_name(f"{path.name}.{count}")
    return tried
