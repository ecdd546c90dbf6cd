"""What the dialplan asks us during a call, one method a step (`docs/call.md`, 2 to 4 and 7).

A step reads, decides by a pure function, writes, and gives channel variables. It knows nothing of
sockets: whatever it raises, the FastAGI server leaves the dialplan alone, and that serves the caller
by itself.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from centre.settings import Settings
from crm import announcements, appeals, calls, citizens, clock, confirmations, life, promises
from crm.announcements import News
from crm.appeals import Appeal, AppealLine
from crm.calls import Direction, Priority, Queue, Skill
from crm.confirmation_rules import Reached, Result
from crm.confirmations import Pending, Question
from crm.errors import BadInput
from crm.phones import parse_phone
from crm.promise_rules import ASKED_FOR, Reason
from crm.promises import Promise
from crm.store import Database, Writer
from crm.surges import Effects
from ivr import speech
from ivr.announcer import Announcer
from ivr.server import Step

T = TypeVar("T")
Variables = dict[str, str]

SOON_S = 0.25  # for what nobody waits for: written together with other calls'
TOLD = 3  # appeals that one call is told of
WRONG_CODES = 3  # a call's tries of number and code
CALLS_KEPT = 1000  # calls whose wrong codes are remembered
LATELY = dt.timedelta(days=7)  # who spoke with him since then is asked first, if he is free
ANSWERS = {"1": Result.SOLVED, "2": Result.NOT_SOLVED}
PERSON = "0"
WITHDRAWN = "WITHDRAW"  # a queue's status: we have ended his slice, for there is news
OFFERED = ("landline", "mobile")  # to whom a callback may be offered: not to whom we have called, nor to a seat

_log = logging.getLogger(__name__)


class Estimate(Protocol):
    """How long the next caller will wait, between ``low_s`` and ``high_s`` seconds."""

    @property
    def low_s(self) -> float: ...
    @property
    def high_s(self) -> float: ...
    @property
    def confident(self) -> bool: ...


class Slice(Protocol):
    """Where he waits until he asks again, ``seconds`` at most; his place, from 1, None when nobody can tell; his wait;
    and whether he is to be offered a callback first."""

    @property
    def queue(self) -> str: ...
    @property
    def prio(self) -> int: ...
    @property
    def seconds(self) -> int: ...
    @property
    def place(self) -> int | None: ...
    @property
    def wait(self) -> Estimate: ...
    @property
    def offer(self) -> bool: ...


class WaitingRoom(Protocol):
    """Who waits now, and who is next (``call_queue.room``)."""

    def enter(self, linkedid: str, now: dt.datetime, *, priority: Priority = ..., skills: Collection[Skill] = ...,
              known_to: int | None = ..., since: dt.datetime | None = ..., promised: bool = ...,
              may_be_offered: bool = ...) -> Slice: ...  # fmt: skip

    def again(self, linkedid: str, now: dt.datetime, prio: int, since: dt.datetime | None = ..., *,
              may_be_offered: bool = ...) -> Slice: ...  # fmt: skip


class Records:
    """Where steps read and write."""

    def __init__(self, db: Database, writer: Writer) -> None:
        self._db = db
        self._writer = writer

    async def _read(self, fn: Callable[[Connection], T]) -> T:
        """A file answers at once; a server may hang, and nobody else shall wait for it."""
        return self._read_now(fn) if self._db.is_sqlite else await asyncio.to_thread(self._read_now, fn)

    def _read_now(self, fn: Callable[[Connection], T]) -> T:
        with self._db.read() as conn:
            return fn(conn)

    async def _write(self, fn: Callable[[Connection], T]) -> T:
        """Durably. When our time is over the write is not taken back: the dialplan spools what it
        believes lost, and told twice it counts once."""
        return await asyncio.shield(asyncio.wrap_future(self._writer.submit(fn)))


class Steps(Records):
    """The steps, by the names that the dialplan calls them."""

    def __init__(self, db: Database, writer: Writer, settings: Settings, waiting_room: WaitingRoom,
                 clock: Callable[[], dt.datetime], effects: Callable[[], Effects] = Effects, *,
                 announcer: Announcer | None = None,
                 ask: Callable[[str, str], Awaitable[Variables]] | None = None) -> None:  # fmt: skip
        super().__init__(db, writer)
        self._announcer = announcer or Announcer(db, writer, settings.prompts, clock)
        self._effects, self._ask = effects, ask  # ask: what else a caller who was called out is asked
        self._settings = settings
        self._rules = settings.callback_rules
        self._waiting_room = waiting_room
        self._now = clock
        self._wrong: OrderedDict[str, int] = OrderedDict()

    def by_name(self) -> dict[str, Step]:
        """For ``FastAgi``."""
        return {"arrival": self.arrival, "status": self.status, "enqueue": self.enqueue, "waiting": self.waiting,
                "confirm": self.confirm}  # fmt: skip

    async def arrival(self, args: list[str], environment: Mapping[str, str]) -> Variables:
        """linkedid, origin, caller → CALL_LANG, CALL_STAGE, CALL_PENDING; CALL_RATE: how it was is to be asked;
        CALL_SAY: what everybody is told, and that he is promised a call; CALL_OFFER: he may ask for one now that it is
        closed; CALL_INCIDENT, INCIDENT_SAY and INCIDENT_OTHER (in the other language): his building is in an open
        incident; CHOICE_…: no building is known, and there are incidents to choose from."""
        linkedid, origin, caller = exactly(args, 3)
        now, e164 = self._now(), parse_phone(caller)
        known, pending, at_home, lost, promised = await self._read(lambda conn: (
            *self._look_up(conn, e164), promises.open_of(conn, e164)))  # fmt: skip
        language = known or "uk"
        is_open = self._is_open(now)

        def write(conn: Connection) -> None:
            _arrived(conn, linkedid, now, origin, e164, language)
            if not is_open:
                calls.choose(conn, linkedid, now, "closed")

        # Not waited for: the caller hears the menu sooner, and nothing is lost if we die now, for AMI
        # and `enqueue` tell of the same call again.
        _tell_of_failure(self._writer.submit(write, SOON_S))
        said = {"CALL_LANG": language, "CALL_STAGE": "menu" if is_open else "closed",
                "CALL_PENDING": "1" if pending else "",
                "CALL_RATE": "1" if self._settings.rate_calls else ""}  # fmt: skip
        reason = promised.reason if promised else None
        news = [*told_to_all(self._effects(), language), *told_of_promise(reason, is_open)]
        if news:
            said["CALL_SAY"] = speech.play(news)
        if not is_open and origin in OFFERED and reason not in ASKED_FOR:
            said["CALL_OFFER"] = "1"
        choose = lost and is_open
        said |= self._announcer.offer(language) if choose else self._announcer.tell(linkedid, at_home, language)
        return said

    def _look_up(self, conn: Connection, e164: str) -> tuple[str, Pending | None, News | None, bool]:
        """The caller's language, "" for a stranger; what he is to be asked; what he is to hear of his building; whether
        no building is known while there are incidents to choose from. Of a stranger there is nothing on record."""
        language, choices = citizens.language_of(conn, e164), bool(self._announcer.choices)
        if not language:
            return "", None, None, choices
        return (language, confirmations.pending_for(conn, e164), announcements.news(conn, e164),
                choices and not announcements.leads_anywhere(conn, e164))  # fmt: skip

    async def status(self, args: list[str], environment: Mapping[str, str]) -> Variables:
        """linkedid, caller, number, code → SAY, STATUS_ASK. By caller ID when nothing was keyed in."""
        linkedid, caller, number, code = exactly(args, 4)
        now = self._now()
        if not number and not code:
            e164 = parse_phone(caller)
            if self._is_open(now):  # else it stays on record as one that came when we were closed
                _tell_of_failure(self._writer.submit(lambda conn: calls.choose(conn, linkedid, now, "status"), SOON_S))
            return status_of(await self._read(lambda conn: appeals.of_caller(conn, e164)))
        wrong = self._wrong.get(linkedid, 0)
        if wrong >= WRONG_CODES:
            return status_unknown(wrong)
        found = await self._write(lambda conn: appeals.by_number_and_code(conn, number, code, now))
        if found is not None:
            return status_of([found])
        self._wrong[linkedid] = wrong + 1
        self._wrong.move_to_end(linkedid)
        if len(self._wrong) > CALLS_KEPT:
            self._wrong.popitem(last=False)
        return status_unknown(wrong + 1)

    async def enqueue(self, args: list[str], environment: Mapping[str, str]) -> Variables:
        """linkedid, origin, caller, language, choice → SAY (his place, his wait), ASK, QUEUE_NAME, QUEUE_PRIO, SLICE.

        Returns when it is on the disk: Asterisk does not remember who waited.
        """
        linkedid, origin, caller, language, choice = exactly(args, 5)
        now, e164 = self._now(), parse_phone(caller)
        if language not in citizens.LANGUAGES:
            raise BadInput("ivr.language")
        who, promised = await self._read(lambda conn: (_who_calls(conn, e164, now), _promised(conn, linkedid, e164)))
        priority, skills = wanted(choice, language, who)
        since = None
        if promised:  # he has waited before
            priority, since = min(priority, promised.priority, key=list(Priority).index), promised.since
            skills = [skill for skill in Skill if skill in skills or skill in promised.skill.split()]
        slice_ = self._waiting_room.enter(linkedid, now, priority=priority, skills=skills, known_to=who.known_to,
                                          since=since, promised=origin == "centre" and promised is not None,
                                          may_be_offered=origin in OFFERED)  # fmt: skip

        def write(conn: Connection) -> None:
            if promised and origin != "centre":
                promises.meet(conn, promised.id, linkedid, now)
            _arrived(conn, linkedid, now, origin, e164, language)
            calls.stays(conn, linkedid, now)
            low_s, high_s = told(slice_.wait)
            calls.queued(conn, linkedid, now, Queue.CITY, slice_.place, high_s, told_low_s=low_s, priority=priority,
                         skills=skills, choice=choice, language=language)  # fmt: skip

        await self._write(write)
        return {"SAY": speech.play(place_and_wait(slice_)), **_next_slice(slice_),
                "QUEUE_PRIO": str(slice_.prio)}  # fmt: skip

    async def waiting(self, args: list[str], environment: Mapping[str, str]) -> Variables:
        """linkedid, caller, language, QUEUE_PRIO, QUEUESTATUS → SAY, ASK, QUEUE_NAME, SLICE, CALL_INCIDENT and
        INCIDENT_SAY, OFFICIAL_SAY. He has waited a slice, or there is news for him, or a seat has passed him back."""
        linkedid, caller, language, prio, status = exactly(args, 5)
        now, e164 = self._now(), parse_phone(caller)
        if not re.fullmatch(r"[0-9]{1,10}", prio):
            raise BadInput("ivr.arguments")
        call, news = await self._read(lambda conn: (calls.get(conn, linkedid), announcements.news(conn, e164)))
        _tell_of_failure(self._writer.submit(lambda conn: calls.stays(conn, linkedid, now), SOON_S))
        incident = self._announcer.tell(linkedid, news, language)
        slice_ = self._waiting_room.again(linkedid, now, int(prio), call.queued_at if call else None,
                                          may_be_offered=not incident and (call is None or call.origin in OFFERED))
        if incident:
            return {"SAY": "", **_next_slice(slice_), "ASK": "incident", **incident}
        if self._ask and status == WITHDRAWN and (question := await self._ask(linkedid, language)):
            return {"SAY": "", **_next_slice(slice_), **question}
        alert = self._effects().alert and (slice_.offer or status == WITHDRAWN)
        said = ["alert"] if alert else place_and_wait(slice_) or ["thanks-waiting"]
        return {"SAY": speech.play(said), **_next_slice(slice_)}

    async def confirm(self, args: list[str], environment: Mapping[str, str]) -> Variables:
        """linkedid, caller, attempt, appeal, key → SAY, APPEAL, CONFIRM_NEXT.

        ``attempt`` is empty when the citizen called us. ``key``: empty to be asked the first question,
        then what he pressed for ``appeal``; anything but 0, 1 and 2 is no answer. Returns when what he
        said is on the disk.
        """
        linkedid, caller, attempt_id, number, key = exactly(args, 5)
        if attempt_id:
            return await self._write(lambda conn: self._called_back(conn, linkedid, attempt_id, number, key))
        e164 = parse_phone(caller)
        if key not in ANSWERS:
            return call_asked(await self._read(lambda conn: confirmations.pending_for(conn, e164)), key)
        return await self._write(lambda conn: self._calls_us(conn, linkedid, e164, number, key))

    def _called_back(self, conn: Connection, linkedid: str, attempt_id: str, number: str, key: str) -> Variables:
        now = self._now()
        known = (attempt for attempt in confirmations.open_attempts(conn) if attempt.id == attempt_id)
        attempt = next(known, None)
        if attempt is None:  # over already: there is nothing to ask about
            return _next("done")
        calls.arrived(conn, linkedid, at=now, origin="centre", caller=attempt.e164, language=attempt.language,
                      direction=Direction.OUT)  # fmt: skip
        confirmations.attempt_answered(conn, attempt_id, now, linkedid)
        if key in ANSWERS:
            confirmations.answer(conn, number=whole(number), result=ANSWERS[key], now=now, linkedid=linkedid,
                                 attempt_id=attempt_id, key=key)  # fmt: skip
        variables, reached = callback_asked(confirmations.questions_of(conn, attempt.callback_id), key)
        if reached is not None:
            confirmations.finish(conn, attempt_id, reached, now, rules=self._rules, linkedid=linkedid)
        return variables

    def _calls_us(self, conn: Connection, linkedid: str, e164: str, number: str, key: str) -> Variables:
        now = self._now()
        pending = confirmations.pending_for(conn, e164)
        # Not among them any more: somebody took his answer meanwhile, or it is told us twice.
        if pending is not None and whole(number) in {question.number for question in pending.questions}:
            confirmations.answer(conn, number=whole(number), result=ANSWERS[key], now=now, linkedid=linkedid,
                                 citizen_id=pending.citizen_id, key=key)  # fmt: skip
            pending = confirmations.pending_for(conn, e164)
        return call_asked(pending, key)

    def _is_open(self, now: dt.datetime) -> bool:
        settings = self._settings
        return clock.is_open(now, settings.opens, settings.closes, settings.closed_days)


@dataclass(frozen=True, slots=True)
class Caller:
    """``privileged``: by the law, of those who share the number anybody. ``known_to``: the staff_id of who spoke with
    him lately."""

    privileged: bool
    known_to: int | None


# ── decisions ────────────────────────────────────────────────────────────────────────────────
def status_of(found: Sequence[Appeal | AppealLine]) -> Variables:
    """What is said of a caller's appeals, newest first: the open ones before the others, a few of them."""
    if not found:
        return {"SAY": speech.play(["no-appeals"]), "STATUS_ASK": "1"}
    open_first = sorted(found, key=lambda one: one.state not in life.OPEN)
    said = ["state-intro", *(name for one in open_first[:TOLD] for name in _status(one))]
    more = ["state-more"] if len(found) > TOLD else []
    return {"SAY": speech.play(said + more), "STATUS_ASK": ""}


def _status(one: Appeal | AppealLine) -> list[str]:
    said = ["appeal-number", *speech.number(one.number), *speech.state(one.state)]
    if one.state in life.OPEN:
        said += ["due-by", *speech.date(one.due_at.astimezone(clock.KYIV).date())]
    return said


def status_unknown(wrong: int) -> Variables:
    """After the ``wrong``-th number and code that do not match."""
    if wrong < WRONG_CODES:
        return {"SAY": speech.play(["wrong-number-or-code"]), "STATUS_ASK": "1"}
    return {"SAY": speech.play(["wrong-number-or-code-again"]), "STATUS_ASK": ""}


def wanted(choice: str, language: str, who: Caller) -> tuple[Priority, list[Skill]]:
    """What follows from what he is and what he pressed."""
    priority = (Priority.EMERGENCY if choice == "emergency" else Priority.PRIVILEGED if who.privileged
                else Priority.ORDINARY)  # fmt: skip
    asked = {Skill.ENGLISH: language == "en", Skill.SOCIAL: choice == "social"}
    return priority, [skill for skill in Skill if asked[skill]]


def told_to_all(effects: Effects, language: str) -> list[str]:
    """What everybody hears as he comes."""
    city = effects.announced.get(language, "")
    return [*(["alert"] if effects.alert else []), *([city] if city else [])]


def place_and_wait(slice_: Slice) -> list[str]:
    """What a caller hears of where he stands: neither place nor wait when we are not sure of it."""
    wait = slice_.wait
    return [*(speech.place(slice_.place) if slice_.place is not None else []),
            *(speech.wait(wait.low_s, wait.high_s) if wait.confident else [])]  # fmt: skip


def told(wait: Estimate) -> tuple[int | None, int | None]:
    """The two ends of what is said of it, in seconds, as it is kept to be judged by; None: none is said."""
    if not wait.confident:
        return None, None
    low, high = speech.wait_said(wait.low_s, wait.high_s)
    return low * 60, None if high is None else high * 60


def _next_slice(slice_: Slice) -> Variables:
    return {"ASK": "offer" if slice_.offer else "", "QUEUE_NAME": slice_.queue, "SLICE": str(slice_.seconds)}


def told_of_promise(reason: Reason | None, is_open: bool) -> list[str]:
    """What who is promised a call hears as he calls himself. Who gave up was told of none: only his place is kept."""
    if reason in ASKED_FOR:
        return ["promised-already" if is_open else "promised-already-closed"]
    return ["promised-place-kept"] if reason is Reason.ABANDONED and is_open else []


def callback_asked(left: Sequence[Question], key: str) -> tuple[Variables, Reached | None]:
    """What follows in a callback after ``key``, and how the attempt ended if this is its end.

    Who asks for a person stays on the line: his attempt ends with the call, and until then nobody else calls him.
    """
    if key == PERSON:
        return _next("person", ["confirm-person"]), None
    if key and key not in ANSWERS:
        return _next("done"), Reached.NO_KEY
    if not left:
        return _next("done", _thanks(key)), Reached.ANSWERED
    return _ask(left[0], key), None


def call_asked(pending: Pending | None, key: str) -> Variables:
    """What follows in a citizen's own call after ``key``."""
    if key and key not in ANSWERS:
        return _next("person", ["confirm-person"])
    if pending is None:
        return _next("done", _thanks(key))
    return _ask(pending.questions[0], key)


def _ask(question: Question, key: str) -> Variables:
    thanks = _thanks(key) if key else []
    said = [*thanks, "appeal-number", *speech.number(question.number), "confirm-question"]
    return {"SAY": speech.play(said), "APPEAL": str(question.number), "CONFIRM_NEXT": "ask"}


def _thanks(key: str) -> list[str]:
    """For the answer that he has just given; with none there was nothing to ask."""
    if not key:
        return ["confirm-none"]
    return ["confirm-thanks-solved" if ANSWERS[key] is Result.SOLVED else "confirm-thanks-not-solved"]


def _next(what: str, said: Sequence[str] = ()) -> Variables:
    return {"SAY": speech.play(said), "APPEAL": "", "CONFIRM_NEXT": what}


# ── small things ─────────────────────────────────────────────────────────────────────────────
def exactly(args: list[str], count: int) -> list[str]:
    """The dialplan gives every step as many as the longest one has: those at the end are empty."""
    if any(args[count:]):
        raise BadInput("ivr.arguments")
    return args[:count] + [""] * (count - len(args))


def whole(digits: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", digits):
        raise BadInput("ivr.appeal_number")
    return int(digits)


def _who_calls(conn: Connection, e164: str, now: dt.datetime) -> Caller:
    if not e164:
        return Caller(False, None)
    return Caller(citizens.is_privileged(conn, e164), calls.last_spoke(conn, e164, now - LATELY))


def _promised(conn: Connection, linkedid: str, e164: str) -> Promise | None:
    """What this call of ours keeps, or his own one meets. Whom we only meant to ask has not waited."""
    if linkedid.startswith(promises.ATTEMPT):
        return promises.of_attempt(conn, linkedid)
    his = promises.open_of(conn, e164)
    return his if his and his.reason is not Reason.INCIDENT else None


def _arrived(conn: Connection, linkedid: str, now: dt.datetime, origin: str, e164: str, language: str) -> None:
    direction = Direction.OUT if origin == "centre" else Direction.IN
    calls.arrived(conn, linkedid, at=now, origin=origin, caller=e164, language=language, direction=direction)


def _tell_of_failure(written: Future[None]) -> None:
    def tell(done: Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            _log.error("a call's record was not written: %s", error)

    written.add_done_callback(tell)
