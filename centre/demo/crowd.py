"""`./1551 demo --crowd`: a district calls at once, and the centre has too few seats for it.

Real calls by SIPp to a real Asterisk, in minutes instead of hours. Some live where the heating has failed: they hear
it at once, and join the incident by a key. Some take a callback, hang up, and are called in their turn. Some wait, some
give up. The people and their habits are those of the benchmark's simulation (``bench.callers``), each deciding as he
was drawn; so in the end what happened stands beside what was foreseen for the same people, and beside what a plain
queue would have done with them. What was foreseen is a check: the command fails where what happened is farther from it
than ``TOLERANCE``, for then the simulation, or the centre, is not what it is thought to be.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import math
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from random import Random

from sqlalchemy import select

from bench.callers import Caller as Person
from bench.callers import Chance, Habits
from bench.simulation import FIFO, OURS, QUEUE, Discipline, Hearing, Scenario, Simulation
from centre.demo.people import Desk, Operator, Worker
from centre.demo.stage import Stage
from centre.phones import Caller, Exchange, Media, PhoneError, SeatPhone
from centre.texts import sentence, terminal_language
from crm import citizens, promise_rules, promises, schema
from crm.people import Role
from crm.promise_rules import State

BURST_S = 60.0  # in which everybody calls
TALK_S = 12.0  # on average: a conversation of four minutes, twenty times as fast
HABITS = Habits(talk_s=TALK_S, ring_s=0.5, wrap_up_s=1.0, patience_s=45.0, redials=0.0, emergency=0.0,
                privileged=0.0, english=0.0, social=0.0, away=0.0, hidden=0.0, accepts=0.7, picks_up=1.0,
                pick_up_s=0.5, called_patience=math.inf, joins=0.8)  # fmt: skip
SETTINGS = {"promise_after": 8, "promise_left": 10, "promise_again": 60, "promise_abandoned": 5, "promise_retry": 10,
            "promise_ring": 10, "promise_from": "00:00", "promise_to": "24:00"}  # fmt: skip
RULES = promise_rules.Rules(after_s=8, left_s=10, again_s=60, abandoned_s=5, retry_s=10, ring_s=10, call_from=0,
                            call_to=24 * 60)  # fmt: skip  # SETTINGS, as the rules have them
NEAR = 0.4  # of the callers live where the incident is
INCIDENT_S = 15.5  # after the first call it is opened
LOOK_S = 5.0  # between two looks at the wallboard
LONGEST_S = 420.0
REPLICAS = 20  # simulations of the same people, of which the foreseen is the mean
END_S, HALF_HOURS = 1800.0, 48  # a simulation's
ANNOUNCED_S = 2.5  # from an incident's opening until its words are sound
SILENCE_S = 5.0  # after which who presses no key has declined the offer
KEY_S = 0.4  # to recognise a prompt, press a key, and be understood
SEAT = "seat"
PIECE = 1600  # bytes heard before, that may hold the beginning of what is recognised
TRIES = 3
STREET, BUILDING, SUBJECT = "Русанівська набережна", "12", "Немає опалення"


@dataclass(slots=True)
class Outcome:
    """What became of the crowd. Seconds. ``held_s``: how long one waited with the receiver in his hand, on average;
    ``p95_s``: of the same, nineteen of twenty less than that."""

    called: float = 0
    served: float = 0  # spoke to an operator, sooner or later
    joined: float = 0  # needed none: told of the incident, and counted
    promised: float = 0
    kept: float = 0
    forgotten: float = 0  # waited, and neither served, nor joined, nor to be called
    held_s: float = 0
    p95_s: float = 0
    over_s: float = 0  # until a seat took the last one


# What happened may differ so much from what was foreseen: by so many, or by such a share of it.
TOLERANCE = {"served": (3.0, 0.1), "joined": (1.0, 0.1), "promised": (4.0, 0.3), "kept": (4.0, 0.3),
             "forgotten": (0.0, 0.0), "held_s": (4.0, 0.25), "p95_s": (10.0, 0.25), "over_s": (15.0, 0.2)}  # fmt: skip


def unforeseen(happened: Outcome, foreseen: Outcome) -> list[str]:
    """The figures that are farther apart than they may be."""
    return [name for name, (by, share) in TOLERANCE.items()
            if abs(getattr(happened, name) - getattr(foreseen, name)) > max(by, share * getattr(foreseen, name))]


async def run(*, calls: int, seats: int, as_json: bool, say: Callable[[str], None]) -> int:
    """The process's exit code: 0 only if nobody was forgotten, every promise was kept, and all was as foreseen."""
    began, language = time.monotonic(), terminal_language()
    people = crowd(calls, seed=1551)
    async with Stage(seats, say, **SETTINGS) as stage:
        happened = await asyncio.wait_for(
            _Crowd(stage, people, lambda key, **values: say(sentence(f"crowd.{key}", language, **values))).burst(),
            LONGEST_S)  # fmt: skip
        prompts = Prompts(stage)
    foreseen, plain, queue = (foresee(people, seats, how, prompts) for how in (OURS, FIFO, QUEUE))
    off = unforeseen(happened, foreseen)
    columns = {"happened": happened, "foreseen": foreseen, "queue": queue, "plain": plain}
    if as_json:
        print(json.dumps({**{name: asdict(one) for name, one in columns.items()}, "unforeseen": off,
                          "duration_s": round(time.monotonic() - began, 1)}), flush=True)  # fmt: skip
    else:
        print(table(columns, off, language), flush=True)
    return 0 if not off and not happened.forgotten and happened.kept == happened.promised and happened.joined else 1


def crowd(calls: int, seed: int) -> list[Person]:
    """Who calls, in the order in which they do."""
    random = Random(seed)  # noqa: S311  no secrets
    sigma = HABITS.talk_spread
    ats = sorted(random.random() * BURST_S for _ in range(calls))
    return [Person(id, at, seed, near=random.random() < NEAR,
                   handled_s=HABITS.ring_s + random.lognormvariate(math.log(TALK_S) - sigma * sigma / 2, sigma)
                   + HABITS.wrap_up_s) for id, at in enumerate(ats)]  # fmt: skip


def number_of(person: Person) -> str:
    """His telephone's: a mobile."""
    return f"+38067{7000000 + person.id:07d}"


class _Crowd:
    """The live half."""

    def __init__(self, stage: Stage, people: Sequence[Person], say: Callable[..., None]) -> None:
        self.stage, self.people, self.say = stage, people, say
        self.by_number = {number_of(person): person for person in people}
        self.joined: set[int] = set()
        self.loop = asyncio.get_running_loop()

    async def burst(self) -> Outcome:
        stage = self.stage
        self._settle_in()
        async with contextlib.AsyncExitStack() as stack:
            exchange = await stack.enter_async_context(Exchange(stage.exchange_port, lines=len(self.people) + 100))
            phones = {}
            for seat in stage.settings.seats:
                known = stage.secrets.seats[seat]
                phones[seat] = await stack.enter_async_context(SeatPhone(stage.sip, known.sip_user, known.sip_secret))
                operator = Operator(stage, stage.hire(f"operator{seat}", Role.OPERATOR, f"Оператор {seat}"))
                stack.push_async_callback(operator.browser.close)
                await operator.sign_in()
                await operator.sit(seat)
            desk = Desk(stage, stage.hire("supervisor", Role.SUPERVISOR, "Старша зміни"))
            guest = Worker(stage, stage.hire("guest", Role.ANALYST, "Гість"))  # whoever runs the demo and wants to look
            for worker in (desk, guest):
                stack.push_async_callback(worker.browser.close)
                await worker.sign_in()
            self.say("begins", seats=len(phones), calls=len(self.people), seconds=f"{BURST_S:g}",
                     wall=f"{stage.web}/wall", login=guest.account.login, password=guest.account.password)  # fmt: skip
            self.began, began = self.loop.time(), self._now()
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(work) for work in (
                    self._seats_end_calls(phones), self._homes(exchange), self._wallboard(desk))]  # fmt: skip
                async with asyncio.TaskGroup() as acts:
                    acts.create_task(self._incident(desk))
                    for person in self.people:
                        acts.create_task(self._call(person))
                await self._all_is_kept()
                for one in beside:
                    one.cancel()
        return self._outcome(began)

    def _settle_in(self) -> None:
        """Those who live where the incident will be are known: they have complained before."""
        with self.stage.db.write() as conn:
            house = conn.scalar(
                select(schema.building.c.id).join(schema.street)
                .where(schema.street.c.name == STREET, schema.building.c.number == BUILDING))  # fmt: skip
            for person in self.people:
                if person.near:
                    citizens.add(conn, now=self._now(), name=f"Мешканець {person.id}", phones=[number_of(person)],
                                 building_id=house, flat=str(person.id + 1), auto_confirm=True)  # fmt: skip

    # ── the people at their telephones ──
    async def _call(self, person: Person) -> None:
        await asyncio.sleep(max(0.0, self.began + person.at - self.loop.time()))
        for _ in range(TRIES):
            async with Caller(self.stage.sip, number_of(person), host="127.0.0.2") as phone:
                try:
                    async with asyncio.timeout(15):
                        await self._first(phone.media, "greeting")
                except TimeoutError:  # his telephone got no line: two of them had one port
                    continue
                await self._at_the_telephone(person, phone)
                return
        raise PhoneError(f"{number_of(person)} got no line")

    async def _at_the_telephone(self, person: Person, phone: Caller) -> None:
        media = phone.media
        if await self._first(media, "incident-keys", "menu") == "incident-keys":
            if await self._joins(person, phone):
                return
        else:
            await media.press("1")
        patience = self.loop.time() + person.seconds(Chance.PATIENCE, HABITS.patience_s, 10)
        offers = 0
        while True:
            try:
                async with asyncio.timeout_at(patience):
                    heard = await self._first(media, SEAT, "offer", "incident-keys")
            except TimeoutError:
                await phone.hang_up()
                return
            if heard == SEAT:
                await self._talks(media, phone)
                return
            if heard == "incident-keys":
                if await self._joins(person, phone):
                    return
                continue
            offers += 1
            if person.draw(Chance.ACCEPT, offers) < HABITS.accepts:
                await media.press("1")
                await self._first(media, "promise-number-keys")
                await media.press("1")
                await phone.ended()
                return

    async def _joins(self, person: Person, phone: Caller) -> bool:
        """Told of the incident: by key 1 he joins it, and needs no operator; else he goes on to one."""
        if person.draw(Chance.JOIN, 1) >= HABITS.joins:
            await phone.media.press("0")
            return False
        await phone.media.press("1")
        await self._first(phone.media, "incident-joined")
        self.joined.add(person.id)
        await phone.hang_up()
        return True

    async def _talks(self, media: Media, phone: Caller | None) -> None:
        """Until the operator hangs up; then he says by a key how it was."""
        await self._first(media, "rate")
        await media.press("5")
        if phone:
            await phone.ended()

    async def _first(self, media: Media, *names: str) -> str:
        """Which of these prompts he hears first, from now on. SEAT: an operator's voice."""
        media.forget()
        while True:
            for _ in range(10):  # a search for every packet would be mostly in vain
                await media.more()
            for name in names:
                if media.has_heard(self.stage.seat_voice if name == SEAT else self.stage.prompt(name)):
                    return name
            media.forget(but=PIECE)  # and forty of them would search for ever longer

    async def _homes(self, exchange: Exchange) -> None:
        """Who was promised a call picks up and says that he still needs it."""
        async with asyncio.TaskGroup() as homes:
            async for _, media in exchange.calls():
                homes.create_task(self._at_home(media))

    async def _at_home(self, media: Media) -> None:
        await self._first(media, "promised-greeting")
        await media.press("1")
        await self._first(media, SEAT)
        await self._talks(media, None)

    # ── the centre's side ──
    async def _seats_end_calls(self, phones: dict[str, SeatPhone]) -> None:
        """Every conversation takes as long as its caller's matter does, and begins with the seat's word."""
        voice = self.stage.seat_voice.read_bytes()
        voice = voice[len(voice) // 2 :]  # by which it is recognised
        ending: set[str] = set()
        while True:
            for linkedid, caller, seat in await asyncio.to_thread(self._talking):
                if linkedid not in ending and caller in self.by_number:
                    ending.add(linkedid)
                    phones[seat].media.speak(voice)
                    person = self.by_number[caller]
                    talk_s = person.handled_s - HABITS.ring_s - HABITS.wrap_up_s
                    self.loop.call_later(talk_s, self._hang_up, phones[seat])
            await asyncio.sleep(0.2)  # the record has no event

    @staticmethod
    def _now() -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    @staticmethod
    def _hang_up(phone: SeatPhone) -> None:
        with contextlib.suppress(PhoneError):  # the caller was quicker
            phone.hang_up()

    def _talking(self) -> list[tuple[str, str, str]]:
        call = schema.call.c
        with self.stage.db.read() as conn:
            rows = conn.execute(select(call.linkedid, call.caller, call.seat)
                                .where(call.answered_at.is_not(None), call.ended_at.is_(None)))  # fmt: skip
            return [tuple(row) for row in rows]

    async def _incident(self, desk: Desk) -> None:
        await asyncio.sleep(max(0.0, self.began + INCIDENT_S - self.loop.time()))
        await desk.open_incident(f"{STREET}, {BUILDING}", SUBJECT, "Пошкоджено тепломережу.")
        self.say("opened", where=f"{STREET}, {BUILDING}")

    async def _wallboard(self, desk: Desk) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            page = await desk.browser.open("/wall")
            self.say("wall", seconds=f"{self.loop.time() - self.began:4.0f}", figures=_board(page.html))

    async def _all_is_kept(self) -> None:
        while await asyncio.to_thread(self._owed):  # noqa: ASYNC110  the record has no event
            await asyncio.sleep(0.5)

    def _owed(self) -> bool:
        with self.stage.db.read() as conn:
            return bool(promises.open_ones(conn)) or bool(self._talking())

    def _outcome(self, began: dt.datetime) -> Outcome:
        """From what is on record."""
        call, promise = schema.call.c, schema.promise.c
        held = dict.fromkeys(self.by_number, 0.0)
        served: dict[str, float] = {}  # when, from the first call on
        with self.stage.db.read() as conn:
            for row in conn.execute(select(call.caller, call.queued_at, call.answered_at, call.ended_at)
                                    .where(call.queued_at.is_not(None), call.caller.in_(held))):  # fmt: skip
                until = row.answered_at or row.ended_at or self._now()
                held[row.caller] += (until - row.queued_at).total_seconds()
                if row.answered_at:
                    served[row.caller] = (row.answered_at - began).total_seconds()
            states = {row.e164: row.state for row in conn.execute(select(promise.e164, promise.state))}
        joined = {number_of(person) for person in self.people if person.id in self.joined}
        waited = {number for number, seconds in held.items() if seconds >= RULES.abandoned_s}
        waits = sorted(held.values())
        return Outcome(called=len(self.people), served=len(served), joined=len(joined), promised=len(states),
                       kept=sum(state == State.KEPT for state in states.values()),
                       forgotten=len(waited - served.keys() - joined - states.keys()), held_s=statistics.fmean(waits),
                       p95_s=waits[int(0.95 * len(waits))], over_s=max(served.values(), default=0.0))  # fmt: skip


def _board(html: str) -> str:
    """The wallboard's figures, in a line."""
    said = []
    for name, value in re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html):
        if since := re.search(r'data-since="([^"]+)"', value):
            seconds = (dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(since[1])).total_seconds()
            value = f"{max(0.0, seconds):.0f} с"
        said.append(f"{name}: {value}")
    return " · ".join(said)


# ── the same people, foreseen ────────────────────────────────────────────────────────────────
class Prompts:
    """How long what the stage's callers hear takes, in seconds."""

    def __init__(self, stage: Stage) -> None:
        self._folder = stage.prompt("greeting").parent
        with stage.db.read() as conn:
            sound = conn.scalars(select(schema.announcement.c.sound_uk)).first()
        self.incident_s = self.seconds(str(sound))
        self.greeting_s = self.seconds("greeting")
        self.told_s, self.menu_s = self.incident_s + self.until("incident-keys"), self.until("menu")
        self.hearing = Hearing(
            connecting=self.seconds("connecting", "queue-thereare", "digits/2", "queue-callswaiting"),
            where=self.seconds("queue-thereare", "digits/2", "queue-callswaiting"), wait=self.seconds("wait-1-to-2"),
            offer=self.until("offer"), declined=self.rest("offer") + SILENCE_S + self.seconds("offer-declined"),
            number=self.seconds("promise-number", *(f"number-{pair}" for pair in ("06", "77", "00", "00", "12")))
            + self.until("promise-number-keys"),
            by_when=self.seconds("promise-today", "hour-12", "goodbye"),
            called=self.until("promised-greeting"))  # fmt: skip

    def seconds(self, *names: str) -> float:
        """Of them all."""
        return sum((self._folder / f"{name}.alaw").stat().st_size for name in names) / 8000

    def until(self, name: str) -> float:
        """Until it is recognised, and a key is pressed: soon after its middle."""
        return self.seconds(name) / 2 + KEY_S

    def rest(self, name: str) -> float:
        """Of it, when a key could have been pressed."""
        return self.seconds(name) - self.until(name)

    def waiting(self, person: Person) -> Person:
        """He, as he comes to the queue: once he has heard who we are, and of his building, or the menu."""
        told = person.near and person.at + self.greeting_s >= INCIDENT_S + ANNOUNCED_S
        heard_s = self.told_s if told else self.menu_s
        return replace(person, near=told, at=person.at + self.greeting_s + heard_s)


def foresee(people: Sequence[Person], seats: int, how: Discipline, prompts: Prompts) -> Outcome:
    """What becomes of the same people under a discipline: the mean of simulations that differ in Asterisk's chance."""
    waiting = sorted(map(prompts.waiting, people), key=lambda person: person.at)
    scenario = Scenario("crowd", waiting, [seats] * HALF_HOURS, END_S, HABITS, skilled=False, incident=(0.0, math.inf),
                        thinks_s=math.inf, hearing=prompts.hearing)  # fmt: skip
    runs = [_foreseen(Simulation(scenario, how, seed, offers=RULES).run()) for seed in range(REPLICAS)]
    return Outcome(**{one.name: statistics.fmean(getattr(run, one.name) for run in runs) for one in fields(Outcome)})


def _foreseen(done: Simulation) -> Outcome:
    waits = sorted(person.held_s for person in done.people)
    promised = [person.promise for person in done.people if person.promise is not None]
    lost = [person for person in done.people
            if person.served_at is None and not person.joined and person.promise is None and not person.at_once]
    return Outcome(called=len(done.people), served=sum(person.served_at is not None for person in done.people),
                   joined=sum(person.joined for person in done.people), promised=len(promised),
                   kept=sum(one.state is State.KEPT for one in promised), forgotten=len(lost),
                   held_s=statistics.fmean(waits), p95_s=waits[int(0.95 * len(waits))],
                   over_s=max((person.served_at or 0.0 for person in done.people), default=0.0))  # fmt: skip


def table(columns: dict[str, Outcome], off: Sequence[str], language: str) -> str:
    """One line a figure, one column each; below, whether all came as it was foreseen."""
    def told(key: str, **values: object) -> str:
        return sentence(f"crowd.{key}", language, **values)

    names = [one.name for one in fields(Outcome)]
    rows = [("", *(told(f"column.{name}") for name in columns)),
            *((told(f"figure.{name}"), *(f"{getattr(outcome, name):.0f}" for outcome in columns.values()))
              for name in names)]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [row[0].ljust(widths[0]) + "".join(cell.rjust(width + 3) for cell, width in zip(
        row[1:], widths[1:], strict=True)) for row in rows]  # fmt: skip
    said = told("unforeseen", figures="; ".join(told(f"figure.{name}") for name in off)) if off else told("foreseen")
    return "\n".join(["", *lines, "", said])
