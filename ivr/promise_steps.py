"""What the dialplan asks us of a callback instead of waiting: as it is promised, and as he is called."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from centre.settings import Settings
from crm import calls, clock, incident_callers, promise_rules, promises
from crm.calls import Direction, Priority
from crm.confirmation_rules import Reached, Result
from crm.phones import may_call, parse_phone
from crm.promise_rules import USUAL_S, Reason
from crm.promises import Promise
from crm.store import Database, Writer
from ivr import speech
from ivr.server import Step
from ivr.steps import Records, Variables, exactly

YES, NO, SILENCE, NONE = "1", "2", "3", "none"
WRONG = 2  # answers that were none, or numbers that cannot be called: back to the queue
CALLS_KEPT = 1000  # calls whose wrong answers are remembered


class PromiseSteps(Records):
    """``turn``: the moment that decides who is next. ``before``: how many are on the telephone whose turn is earlier.
    ``handled_s``: how long a call takes, None when nobody knows. ``seats``: how many will serve then. ``changed``: is
    told that there is a promise more, or less."""

    def __init__(self, db: Database, writer: Writer, settings: Settings, *, turn: promises.Turn,
                 before: Callable[[dt.datetime], int], handled_s: Callable[[], float | None],
                 seats: Callable[[dt.datetime], float], changed: Callable[[], None],
                 clock: Callable[[], dt.datetime]) -> None:  # fmt: skip
        super().__init__(db, writer)
        self._settings, self._rules = settings, settings.promise_rules
        self._turn, self._before, self._handled_s, self._seats = turn, before, handled_s, seats
        self._changed, self._now = changed, clock
        self._wrong: OrderedDict[str, int] = OrderedDict()

    def by_name(self) -> dict[str, Step]:
        """For ``FastAgi``."""
        return {"promise": self.promise, "promised": self.promised}

    # ── promised ──
    async def promise(self, args: list[str], environment: Mapping[str, str]) -> Variables:
        """linkedid, caller, language, stage, number, key → SAY, PROMISE_NEXT, NUMBER.

        ``number``: what he is to be called at, digits, once it has been said or keyed in; ``key``: what he pressed when
        it was said to him. He is told of the promise when it is on the disk.
        """
        linkedid, caller, language, stage, number, key = exactly(args, 6)
        e164 = self._callable(number or caller)
        if key == YES and e164:
            return await self._make(linkedid, parse_phone(caller), e164, language, stage)
        if key == NO or not (number or key or e164):  # another one; or his own is hidden, or foreign
            return _ask_number("promise-ask-number")
        if e164 and not key:
            said = ["promise-number", *speech.phone(e164), "promise-number-keys"]
            return {"SAY": speech.play(said), "PROMISE_NEXT": "key", "NUMBER": speech.national(e164)}
        if self._wrong_again(linkedid) >= WRONG:
            return {"SAY": "", "PROMISE_NEXT": "back"}
        return _ask_number("promise-wrong-number")

    def _callable(self, said: str) -> str:
        """The number, if it may be called and can be said to him; else ""."""
        e164 = parse_phone(said)
        return e164 if may_call(e164, self._settings.callback_prefixes) and speech.phone(e164) else ""

    def _wrong_again(self, linkedid: str) -> int:
        self._wrong[linkedid] = self._wrong.get(linkedid, 0) + 1
        self._wrong.move_to_end(linkedid)
        if len(self._wrong) > CALLS_KEPT:
            self._wrong.popitem(last=False)
        return self._wrong[linkedid]

    async def _make(self, linkedid: str, own: str, e164: str, language: str, stage: str) -> Variables:
        now, settings = self._now(), self._settings
        reason = Reason.CLOSED if stage == "closed" else Reason.WAITING
        his, priority, since, turn, before = await self._read(lambda conn: self._place(conn, linkedid, e164, now))
        opens = now
        if reason is Reason.CLOSED:
            opens = clock.next_open(now, settings.opens, settings.closes, settings.closed_days)
        told_at = promise_rules.told_by(opens, before + self._before(turn), self._handled_s() or USUAL_S, self._seats,
                                        self._rules)  # fmt: skip

        def write(conn: Connection) -> Promise | None:
            if e164 != own and promises.is_silenced(conn, e164):  # somebody else's, who asked for silence
                return None
            return promises.make(conn, e164=e164, reason=reason, now=now, rules=self._rules, linkedid=linkedid,
                                 language=language, since=since, turn=turn, told_at=told_at, opens=opens,
                                 priority=priority, skill=his.skill if his else "")  # fmt: skip

        if await self._write(write) is None:
            return {"SAY": "promise-refused", "PROMISE_NEXT": "back"}
        self._changed()
        return {"SAY": speech.play(speech.by(told_at, now)), "PROMISE_NEXT": "done"}

    def _place(self, conn: Connection, linkedid: str, e164: str, now: dt.datetime) -> tuple[
            calls.Call | None, Priority, dt.datetime, dt.datetime, int]:  # fmt: skip
        """His call; by which priority and since when he waits, his turn, and how many of the promised come before."""
        his, kept = calls.get(conn, linkedid), promises.open_of(conn, e164)
        priority, since = Priority(his.priority) if his else Priority.ORDINARY, (his and his.queued_at) or now
        turn = self._turn(since, priority)
        turn = min(turn, kept.turn) if kept else turn
        return his, priority, since, turn, promises.before(conn, turn)

    # ── kept ──
    async def promised(self, args: list[str], environment: Mapping[str, str]) -> Variables:
        """linkedid, attempt, key → SAY, PROMISED_NEXT. He has picked up: he is told why, and brought to a seat unless
        he says otherwise."""
        linkedid, attempt_id, key = exactly(args, 3)
        said = await self._write(lambda conn: self._called(conn, linkedid, attempt_id, key))
        self._changed()
        return said

    def _called(self, conn: Connection, linkedid: str, attempt_id: str, key: str) -> Variables:
        now = self._now()
        kept = promises.of_attempt(conn, attempt_id)
        if kept is None or kept.ended_at is not None:  # withdrawn this moment: he is on the line all the same
            return _next("queue")
        calls.arrived(conn, linkedid, at=now, origin="centre", caller=kept.e164, language=kept.language,
                      direction=Direction.OUT)  # fmt: skip
        promises.answered(conn, attempt_id, now)
        if key == SILENCE:
            promises.finish(conn, attempt_id, Reached.DO_NOT_CALL, now, rules=self._rules)
            return _next("done", "promised-silenced")
        if kept.reason is Reason.INCIDENT:
            return self._asked(conn, kept, attempt_id, key, now)
        if key == NO:
            promises.finish(conn, attempt_id, Reached.ANSWERED, now, rules=self._rules)
            return _next("done", "promised-withdrawn")
        return _next("queue") if key else _next("ask", *greeting(kept.reason))

    def _asked(self, conn: Connection, kept: Promise, attempt_id: str, key: str, now: dt.datetime) -> Variables:
        """Is it over for him? Nobody is brought to a seat who does not ask: it may be a machine that picked up."""
        if not key:
            return _next("ask", *greeting(kept.reason))
        if key == NONE:
            promises.finish(conn, attempt_id, Reached.NO_KEY, now, rules=self._rules)
            return _next("done")
        if key in (YES, NO) and kept.incident_id is not None:
            incident_callers.said(conn, kept.incident_id, kept.e164, Result.SOLVED if key == YES else Result.NOT_SOLVED)
        if key != YES:
            return _next("queue")
        promises.keep(conn, kept.id, now)
        promises.finish(conn, attempt_id, Reached.ANSWERED, now, rules=self._rules)
        return _next("done", "promised-incident-thanks")


def greeting(reason: Reason) -> Sequence[str]:
    """Who calls, why, and what he may press."""
    why = {Reason.WAITING: "promised-asked", Reason.CLOSED: "promised-asked", Reason.ABANDONED: "promised-abandoned",
           Reason.INCIDENT: "promised-incident"}[reason]  # fmt: skip
    return "promised-greeting", why, "promised-incident-keys" if reason is Reason.INCIDENT else "promised-keys"


def _ask_number(prompt: str) -> Variables:
    return {"SAY": prompt, "PROMISE_NEXT": "number", "NUMBER": ""}


def _next(what: str, *said: str) -> Variables:
    return {"SAY": speech.play(said), "PROMISED_NEXT": what}
