"""The line: the process between Asterisk and the records.

It answers FastAGI, listens to AMI, places the callbacks, indexes recordings and reads back what
Asterisk had to do without it. Everything is built here, once, and handed to each other; what each
part does is in its own package.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from call_queue import events as ev
from call_queue import live, order, reconcile, recorder
from call_queue import tracker as t
from call_queue.ami import Ami, Stream
from call_queue.browsers import Browsers
from call_queue.calling_out import call_out
from call_queue.dialler import Dialler
from call_queue.estimate import CALLS
from call_queue.follower import Follower
from call_queue.listening import Listening
from call_queue.officials import Officials
from call_queue.outbound import Outbound
from call_queue.promiser import Promiser
from call_queue.queue_log import Reader
from call_queue.recorder import Recorder
from call_queue.returning import Returning
from call_queue.room import WaitingRoom
from call_queue.seats import Seats
from call_queue.surging import Surging
from call_queue.tracker import Tracker
from centre import child
from centre.bus import Message, Publisher
from centre.settings import Secrets, Settings
from crm import (
    announcements,
    appeals,
    attachments,
    calls,
    clock,
    deadlines,
    incident_callers,
    incidents,
    privacy,
    staffing,
    today,
)
from crm.errors import BadInput
from crm.sign_in import Phone
from crm.store import Database, Writer
from crm.supervision import Ear
from ivr.announcer import Announcer
from ivr.dial_steps import DialSteps
from ivr.incident_steps import IncidentSteps
from ivr.official_steps import OfficialSteps
from ivr.promise_steps import PromiseSteps
from ivr.rating_steps import RatingSteps
from ivr.server import FastAgi
from ivr.spool import Spool
from ivr.spy_steps import SpySteps
from ivr.steps import Steps
from recordings import Keeper, announced

LOCAL = "127.0.0.1"  # AMI and FastAGI never leave this machine
TOLD_S = 0.1  # changes that come closer together are told to the web as one snapshot
SPOOL_S = 1.0
QUEUE_LOG_S = 5.0
TODAY_S = 5.0
AHEAD_S = 300.0
SEATS_S = 300.0
EXPECTED_DAYS = 3  # a promise is not valid for longer
PLANNED_S = 60.0
INCIDENTS_S = 5.0
BETWEEN_S = 0.2  # while an incident's appeals are executed: others write too
WATCH_S = 60.0
ERASE_S = 3600.0
LATELY_H = 3  # of the calls by which the first waits after a start are judged

log = logging.getLogger(__name__)


def run(settings: Settings, secrets: Secrets) -> int:
    """Until SIGTERM or SIGINT; the process's exit code."""
    return child.run("line", partial(_run, settings, secrets))


async def _run(settings: Settings, secrets: Secrets, stop: asyncio.Event) -> int:
    db = Database(settings.database_url)
    writer = Writer(db)
    try:
        async with Line(settings, secrets, db, writer) as line:
            log.info("the line is up")
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait([stopping, line.working], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if line.working.done():
                line.working.result()  # a part has failed for good: say why, and be started again
        return 0
    finally:
        writer.close()
        db.close()


class Line:
    """All parts, running while the block lasts. ``working`` ends only when one of them has failed."""

    working: asyncio.Task[None]

    def __init__(self, settings: Settings, secrets: Secrets, db: Database, writer: Writer) -> None:
        self._settings, self._db, self._writer = settings, db, writer
        seats = [secrets.seats[number] for number in settings.seats]
        phones = {seat.number: {Phone.DESK: seat.interface, Phone.BROWSER: seat.browser_interface} for seat in seats}
        trunks = {"PJSIP/trunk-landline": "landline", "PJSIP/trunk-mobile": "mobile"}
        self.tracker = Tracker({one: number for number, both in phones.items() for one in both.values()}, trunks,
                               settings.wrap_up, settings.short_number)  # fmt: skip
        with db.read() as conn:
            self._staff = recorder.sitting(conn)
            handled = calls.handled_s(conn, _now() - timedelta(hours=LATELY_H), CALLS)
        self._callbacks = (0, 0)
        self._today: today.Today | None = None
        self._ahead: list[staffing.Ahead] = []
        self._expected: Mapping[tuple[date, int], float] = {}
        self._telling: asyncio.TimerHandle | None = None
        self.publisher = Publisher(settings.line_socket)
        self.publisher.snapshot, self.publisher.answer = self._snapshot, self._answer

        self.stream = Stream()
        self.ami = Ami(LOCAL, settings.ami_port, "line", secrets.ami_line, self.stream, wanted=ev.READERS)
        self._dialling = Ami(LOCAL, settings.ami_port, "originate", secrets.ami_originate, self.stream,
                             waits_for_boot=False)  # fmt: skip
        self.recorder = Recorder(writer, self.publisher.publish, self._staff)
        self.follower = Follower(self.stream, self.ami, self.tracker, self.recorder, changed=self._changed,
                                 heard=self._heard, compared=self._compared, lost=self._tell_soon)  # fmt: skip
        turns = settings.turns
        self._room = WaitingRoom(self.tracker, self._in_step, settings.wrap_up, handled, staff=self._staff,
                                 promises=lambda: self._promiser.waiting(), rules=turns,
                                 at_once=lambda: self._surging.effects.at_once,
                                 offers=settings.promise_rules)  # fmt: skip
        self._browsers = Browsers({seat.number: seat.browser_user for seat in seats}, settings.asterisk_http_port,
                                  secrets.ari)  # fmt: skip
        self._returning = Returning(self.ami, self.tracker, writer, _now)
        self._seats = Seats(self.ami, self.tracker, phones, self._staff, self._in_step, self._browsers,
                            self._returning.bring_back)  # fmt: skip
        out = [name for name, origin in trunks.items() if settings.dial_out in ("both", origin)]
        outbound = Outbound(self._dialling, self.tracker, out, self._in_step)
        self._dialler = Dialler(
            db, writer, outbound, self.tracker, settings.callback_rules, own_number=settings.short_number,
            seat_ring_s=settings.ring_timeout, staff=self._staff, line=self._room.line, counted=self._count,
            clock=_now)  # fmt: skip
        self._promiser = Promiser(
            db, writer, outbound, self.tracker, settings.promise_rules, turns, prefixes=settings.callback_prefixes,
            own_number=settings.short_number, line=self._room.line,
            lines=lambda: self._surging.lines(settings.promise_rules.lines),
            handled_s=lambda: self._room.learnt(_now()).handled_s, clock=_now)  # fmt: skip
        promised = PromiseSteps(
            db, writer, settings, turn=lambda since, priority: order.turn(since, priority, turns),
            before=self._room.before, handled_s=lambda: self._room.learnt(_now()).handled_s, seats=self._seats_at,
            changed=self._promiser.poke, clock=_now)  # fmt: skip
        self._surging = Surging(
            db, writer, self.ami, self.tracker, self._seats, in_step=self._in_step,
            handled_s=lambda: self._room.learnt(_now()).handled_s, changed=self._tell_soon, clock=_now,
            rules=settings.surge_rules)  # fmt: skip
        self._announcer = Announcer(db, writer, settings.prompts, _now, changed=self._tell_the_waiting)
        self._officials = Officials(
            db, writer, self.ami, self.tracker, staff=self._staff, line=self._room.line,
            handled_s=lambda: self._room.learnt(_now()).handled_s, can_be_named=lambda who: official.can_be_named(who),
            in_step=self._in_step, clock=_now)  # fmt: skip
        official = OfficialSteps(db, writer, self._announcer, self._officials, settings.ring_timeout, _now)
        steps = Steps(db, writer, settings, self._room, _now, lambda: self._surging.effects, announcer=self._announcer,
                      ask=official.ask)  # fmt: skip
        joining, rating = IncidentSteps(db, writer, _now), RatingSteps(db, writer, _now)
        # The browser's channels are called as the desk's are, and more.
        self._listening = Listening(self._dialling, writer, self.tracker,
                                    {seat.number: seat.interface for seat in seats}, self._tell_soon, _now)  # fmt: skip
        spying = SpySteps(self._listening.allowed)
        dialling = DialSteps(
            db, writer, settings.dial_rules, seat_of=lambda who: who if who in phones else self.tracker.seat_of(who),
            staff=self._staff, trunk=lambda: outbound.trunk, clock=_now)  # fmt: skip
        answered = (steps, promised, joining, rating, dialling, spying, official)
        self.agi = FastAgi({name: step for part in answered for name, step in part.by_name().items()},
                           settings.agi_timeout)  # fmt: skip
        self._spool = Spool(settings.spool, writer, settings.callback_rules, announced, _now)
        self._queue_log = Reader(settings.asterisk / "log", db, writer, self.tracker.linkedid_of,
                                 self._promiser.gave_up)  # fmt: skip
        self._keeper = Keeper(db, settings.recordings, settings.recording_days, self._live_calls)

    async def __aenter__(self) -> Line:
        await self.publisher.start()
        await self.agi.start(LOCAL, self._settings.agi_port)
        self.ami.start()
        self._dialling.start()
        self.working = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *exception: object) -> None:
        """What callers are asked first: the dialplan then goes on alone while the rest is put away. A callback
        that has been claimed is still dialled."""
        await self.agi.stop()
        await self.publisher.close()
        self.working.cancel()
        await asyncio.wait([self.working])
        self._announcer.close()
        await self._dialler.close()
        await self._promiser.close()
        await self.ami.close()
        await self._dialling.close()
        await self._browsers.close()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as parts:
            for part in (self.follower.run(), self._dialler.run(), self._promiser.run(), self._surging.run(),
                         self._officials.run(), self._announcer.run(), self._keeper.run(),
                         self._spool.keep_taking(SPOOL_S), _every(QUEUE_LOG_S, self._read_queue_log),
                         _every(TODAY_S, self._count_today), _every(AHEAD_S, self._look_ahead),
                         _every(SEATS_S, self._expect_seats),
                         _every(PLANNED_S, self._resume_planned), _every(INCIDENTS_S, self._execute_incidents),
                         _every(WATCH_S, self._watch_deadlines),
                         _every(ERASE_S, self._erase_files)):  # fmt: skip
                parts.create_task(part)

    # ── what Asterisk tells ──
    def _heard(self, event: ev.Event) -> None:
        self._listening.heard(event)
        match event:
            case ev.Originated():
                self._dialler.originated(event)
                self._promiser.originated(event)
            case ev.ChannelEnded():
                self._dialler.hung_up(event)
                self._promiser.hung_up(event)
            case ev.Said(at=at, name="Recording", fields=said):
                linkedid, path = said.get("Linkedid", ""), said.get("File", "")
                _tell_of_failure(self._writer.submit(lambda conn: announced(conn, linkedid, path, at)))

    def _changed(self, change: t.Change, kept: Future[object] | None) -> None:
        self._tell_soon()
        self._room.take(change)
        self._seats.take(change)
        self._returning.take(change)
        self._surging.take(change)
        self._officials.take(change)
        self._promiser.take(change)
        match change:
            case t.Ended(linkedid=linkedid):
                self._measure(linkedid, kept)
            case t.PickedUp(linkedid=linkedid) if linkedid.startswith(t.CALLBACK):
                self._dialler.picked_up(linkedid)
            case t.SeatChanged(state=t.SeatState.FREE):
                self._dialler.poke()

    def _measure(self, linkedid: str, kept: Future[object] | None) -> None:
        """Once the call's end is on the disk, for then what was said of its recording is too."""
        if kept is not None:
            loop = asyncio.get_running_loop()
            kept.add_done_callback(lambda _: loop.call_soon_threadsafe(self._keeper.ended, linkedid))

    def _compared(self, alive: set[str], asked_at: datetime) -> None:
        self._listening.compared(alive)
        self._stand_up()
        _tell_of_failure(self._writer.submit(lambda conn: reconcile.bury(conn, alive, asked_at, _now())))
        self._dialler.poke()
        self._promiser.poke()
        self._surging.asterisk_is_back()
        self._tell_soon()

    def _stand_up(self) -> None:
        """Who, by the records, sits at a seat that is in no queue has left it while nobody listened."""
        for number in list(self._staff):
            if number not in self.tracker.seats or not self.tracker.seats[number].queues:
                left = t.SeatChanged(_now(), number, t.SeatState.OUT, "", "", "logout")
                self._changed(left, self.recorder.take(left))

    def _in_step(self) -> bool:
        return self.follower.in_step

    def _live_calls(self) -> set[str] | None:
        return set(self.tracker.calls) if self._in_step() else None

    # ── what the web is told, and asks ──
    def _snapshot(self) -> Message:
        due, calling = self._callbacks
        return live.snapshot(self.tracker, self._staff, at=_now(), ami=self._in_step(), due=due, calling=calling,
                             line=self._room.line(), surge=self._surging.told(),
                             today=asdict(self._today) if self._today else None,
                             ahead=[asdict(half) for half in self._ahead], heard=self._listening.of)  # fmt: skip

    def _tell_soon(self) -> None:
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(TOLD_S, self._tell)

    def _tell(self) -> None:
        self._telling = None
        self.publisher.publish(self._snapshot())

    def _count(self, due: int, calling: int) -> None:
        if (due, calling) != self._callbacks:
            self._callbacks = due, calling
            self._tell_soon()

    async def _answer(self, request: Message) -> Mapping[str, Any] | None:
        asked = _REQUESTS.get(request["do"])
        if asked is None:
            raise BadInput("line.bad_request")
        try:
            return await asked(self, request)
        except (KeyError, TypeError, ValueError):
            log.exception("a request was not understood: %.200r", request)
            raise BadInput("line.bad_request") from None

    async def _log_in(self, request: Message) -> None:
        await self._seats.log_in(str(request["seat"]), int(request["staff_id"]), list(request["queues"]),
                                 list(request.get("skills", ())), Phone(request.get("phone", Phone.DESK)))  # fmt: skip
        self._tell_soon()  # who sits there may be all that has changed

    async def _log_out(self, request: Message) -> None:
        await self._seats.log_out(str(request["seat"]))
        self._tell_soon()

    async def _phone(self, request: Message) -> Mapping[str, Any]:
        user, password, returning = await self._seats.phone(str(request["seat"]), int(request["staff_id"]))
        return {"user": user, "password": password, "returning": returning}

    async def _phone_lost(self, request: Message) -> None:
        await self._seats.phone_lost(str(request["seat"]))

    async def _move(self, request: Message) -> None:
        await self._seats.move(str(request["seat"]), list(request["queues"]), list(request["skills"]))
        self._tell_soon()

    async def _listen(self, request: Message) -> None:
        await self._listening.hear(str(request["seat"]), Ear(request["ear"]), keys=bool(request["keys"]),
                                   own=str(request["own"]), staff_id=int(request["staff_id"]),
                                   why=str(request["why"]))  # fmt: skip

    async def _pause(self, request: Message) -> None:
        await self._seats.pause(str(request["seat"]), str(request["reason"]))

    async def _unpause(self, request: Message) -> None:
        await self._seats.unpause(str(request["seat"]))

    async def _call(self, request: Message) -> Mapping[str, Any]:
        placed = await self._dialler.call(int(request["callback_id"]), str(request["seat"]), int(request["staff_id"]))
        self._dialler.poke()
        return {"attempt": placed.id if placed else None}

    async def _speak(self, request: Message) -> Mapping[str, Any]:
        made = await self._announcer.speak({str(name): str(text) for name, text in dict(request["words"]).items()})
        return {"spoken": {language: {"sound": each.name, "seconds": each.seconds} for language, each in made.items()}}

    async def _changed_on_record(self, request: Message) -> None:
        self._dialler.poke()
        self._announcer.poke()
        self._promiser.poke()
        self._surging.poke()

    # ── now and then ──
    async def _read_queue_log(self) -> None:
        await asyncio.to_thread(self._queue_log.catch_up, _now())

    async def _erase_files(self) -> None:
        """What the page that erased somebody could not remove any more (recordings: ``Keeper``), and what came with a
        form that was not saved."""
        await asyncio.to_thread(privacy.remove_files, self._db, self._settings.attachments)
        await asyncio.to_thread(attachments.sweep, self._db, self._settings.attachments, _now())

    async def _count_today(self) -> None:
        def so_far() -> today.Today:
            with self._db.read() as conn:
                return today.so_far(conn, _now(), self._settings.service_level)

        if (counted := await asyncio.to_thread(so_far)) != self._today:
            self._today = counted
            self._tell_soon()

    async def _expect_seats(self) -> None:
        def expected() -> Mapping[tuple[date, int], float]:
            with self._db.read() as conn:
                return staffing.expected(conn, _now().astimezone(clock.KYIV).date(), EXPECTED_DAYS, _now())

        self._expected = await asyncio.to_thread(expected)

    def _seats_at(self, at: datetime) -> float:
        """How many serve now, or will: one at least, while we are open."""
        settings, serving, local = self._settings, self.tracker.serving(calls.Queue.CITY), at.astimezone(clock.KYIV)
        if not clock.is_open(at, settings.opens, settings.closes, settings.closed_days):
            return 0.0
        if at - _now() < timedelta(minutes=30):
            return serving
        return self._expected.get((local.date(), clock.minutes_of_day(at) // 30 * 30), max(serving, 1))

    async def _look_ahead(self) -> None:
        def found() -> list[staffing.Ahead]:
            with self._db.read() as conn:
                return staffing.ahead(conn, _now(), self._settings.wrap_up)

        self._ahead = await asyncio.to_thread(found)
        self._tell_soon()

    async def _resume_planned(self) -> None:
        await asyncio.wrap_future(self._writer.submit(lambda conn: appeals.resume_planned(conn, _now())))

    async def _execute_incidents(self) -> None:
        more = True
        while more:
            more = await asyncio.wrap_future(self._writer.submit(lambda conn: incidents.carry_on(conn, _now())))
            await asyncio.sleep(BETWEEN_S)

        more = True
        while more:
            more = await asyncio.wrap_future(self._writer.submit(
                lambda conn: incident_callers.carry_on(conn, _now(), self._settings.promise_rules)))  # fmt: skip
            await asyncio.sleep(BETWEEN_S)

    async def _tell_the_waiting(self) -> None:
        """Whoever waits and whose building is in what is announced now hears it at once."""
        def concerned() -> list[t.Call]:
            with self._db.read() as conn:
                return [call for call, _ in waiting
                        if self._announcer.is_news(call.linkedid, announcements.news(conn, call.caller))]  # fmt: skip

        waiting = self.tracker.waiting(calls.Queue.CITY)
        await call_out(self.ami, await asyncio.to_thread(concerned), "incident")

    async def _watch_deadlines(self) -> None:
        looked = deadlines.BATCH
        while looked == deadlines.BATCH:
            looked = await asyncio.wrap_future(self._writer.submit(
                lambda conn: deadlines.watch(conn, _now(), self._settings.written_days)))  # fmt: skip


# What the web may ask (``centre/bus.py``): ``do`` → the method.
_REQUESTS: dict[str, Callable[[Line, Message], Awaitable[Mapping[str, Any] | None]]] = {
    "login": Line._log_in,
    "logout": Line._log_out,
    "phone": Line._phone,
    "phone_lost": Line._phone_lost,
    "move": Line._move,
    "listen": Line._listen,
    "pause": Line._pause,
    "unpause": Line._unpause,
    "call": Line._call,
    "changed": Line._changed_on_record,
    "speak": Line._speak,
}


async def _every(seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Does it at once and then again and again; a failure is logged, and tried again in its turn."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s failed", work.__name__.strip("_"))
        await asyncio.sleep(seconds)


def _tell_of_failure(kept: Future[Any]) -> None:
    def tell(done: Future[Any]) -> None:
        if error := done.exception():
            log.error("not kept: %s", error)

    kept.add_done_callback(tell)


def _now() -> datetime:
    return datetime.now(UTC)
