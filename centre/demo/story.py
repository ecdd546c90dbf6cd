"""`./1551 demo`: the story, act by act. It comes true on the wire, or it fails and says where.

1. The administrator brings in a file of houses: tried first, and a bad row put right. The control desk drafts a rule of
   whose work is what, tries it, and publishes it.
2. Residents call: by landline and mobile, some with no key or a wrong one; the first as many as there
   are seats are answered, one more waits, is seen waiting, and hangs up; the others are served.
   Meanwhile one asks for the state of an appeal by keys, from another telephone, and then a person what he wants to
   know: he is told it, and that was the call.
3. The control desk merges two neighbours' appeals, gives one more time, opens an incident; an official takes one
   appeal under his personal control.
4. One appeal is answered from a city programme, the incident is closed, departments acknowledge and report execution
   with a photo, and the centre calls every resident back, each of the merged ones too: a machine by consent, a person
   otherwise. One says "not solved": the appeal goes back, is executed again, and he is called again.
5. Beside all that, eight more come by every other way, one by each (``centre.demo.written``): the portal, mail, SMS, a
   voice left by telephone, Facebook, Open311, the app, a reception. Their appeals are executed with the others. Each
   says by his own way, or called back where there is none, that it is solved; one says "not solved" first.
6. An analyst reads the report of it. One resident is given all that is kept of him, and asks to be forgotten: he is,
   and the report stays as it was. What is on record is held against what was done.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from centre.demo.browser import Page
from centre.demo.people import (
    Administrator,
    Analyst,
    Applicant,
    Desk,
    Executor,
    Feedback,
    Operator,
    Resident,
    Specialist,
    StoryError,
    Watcher,
    Worker,
    Writer,
    ask,
    call_in,
    cast,
    hang_up_waiting,
    inquirer,
    pick_up,
    writers,
)
from centre.demo.stage import Outside, Stage
from centre.demo.written import Written
from centre.phones import Exchange, SeatPhone
from crm import addresses, appeals, departments, life, schema
from crm.calls import Outcome
from crm.clock import KYIV
from crm.confirmation_rules import Mode, Result
from crm.life import Action, State
from crm.people import Role

LONGEST_ACT = 240.0  # seconds
LONGEST_STORY = 480.0  # of what goes on beside all acts
WHOLE_CAST = 10  # residents: then all of the story is told
GIVES_UP = "+380631112299"
PROOF = Path(__file__).parent / "proof.png"
# What the control desk makes of the residents' appeals, by name.
NEIGHBOURS = ("Олена Шевчук", "Ірина Ткаченко")
TAKES_LONGER, WATCHED, SUFFERS = "Петро Лисенко", "Ганна Коваленко", "Микола Бондаренко"
PROMISED = "Людмила Савченко"  # the roof of her house is in a programme of the sample data
FORGOTTEN = "Василь Кравченко"
# What the administrator brings in: at the first of these houses somebody will complain of a kiosk.
HOUSES = """район;вулиця;будинок
Шевченківський район;вулиця Хрещатик;22
{};вулиця Хрещатик;24
"""
DISTRICT, MISTYPED = "Шевченківський район", "Шевченкивський район"
# And whose work it is from now on, in that district.
KIOSKS, KIOSK_AT = "Незаконний кіоск", "вулиця Хрещатик, 22"
THEIR_NEW = "Департамент територіального контролю міста Києва"


async def run(*, calls: int, seats: int, as_json: bool, say: Callable[[str], None]) -> int:
    """The process's exit code: 0 only if all of it came true."""
    if calls < 5 or seats < 2 or calls - 3 < seats:
        say("The story needs at least 2 seats and at least 3 calls more than seats.")
        return 2
    started, who_write = time.monotonic(), writers()
    async with contextlib.AsyncExitStack() as stack:
        outside = stack.enter_context(Outside([who.email for who in who_write.values() if who.email]))
        # Who hangs up in this story is not called back.
        stage = await stack.enter_async_context(Stage(seats, say, promise_abandoned=0, **outside.settings))
        try:
            await _Story(stage, cast(calls - 2), Written(stage, outside, who_write, say), say).tell()
            report = await asyncio.to_thread(_report, stage, time.monotonic() - started)
            _check(report, calls, who_write)
        except (Exception, asyncio.CancelledError) as error:
            causes = "\n".join(f"  {type(one).__name__}: {one}" for one in _causes(error))
            say(f"The story did not come true:\n{causes}\n"
                f"The centre's last words:\n{stage.log.read_text(errors='replace')[-4000:]}\n"
                f"The mail servers' last words:\n{outside.mail.log()[-1000:]}")
            if not isinstance(error, AssertionError | TimeoutError | ExceptionGroup):
                raise
            return 1
    print(json.dumps(report) if as_json else _table(report), flush=True)
    return 0


def _causes(error: BaseException) -> list[BaseException]:
    """The errors themselves, out of the groups that they were gathered in."""
    if isinstance(error, BaseExceptionGroup):
        return [cause for one in error.exceptions for cause in _causes(one)]
    return [error]


class _Story:
    def __init__(self, stage: Stage, residents: list[Resident], written: Written, say: Callable[[str], None]) -> None:
        self.stage, self.residents, self.written, self.say = stage, residents, written, say
        self.by_number = {resident.number: resident for resident in residents}
        # Whom the centre calls back: those who called, and whom nobody can write to.
        self.called: list[Applicant] = [*residents, *(who for who in written.writers.values() if who.is_called)]
        self.inquirer = inquirer()
        self.incident: Page | None = None
        self.picked_up: asyncio.Queue[Applicant] = asyncio.Queue()
        self.not_solved = next(r for r in residents if r.consents)
        self.not_solved.answers = ["2", "1"]
        self.voice = stage.prompt("ask-number").read_bytes()  # any speech will do for a resident's

    async def tell(self) -> None:
        stage = self.stage
        numbers = stage.settings.seats
        async with contextlib.AsyncExitStack() as phones:
            exchange = await phones.enter_async_context(Exchange(stage.exchange_port))
            voice = stage.seat_voice.read_bytes()
            at_seats = []
            for number in numbers:
                seat = stage.secrets.seats[number]
                phone = await phones.enter_async_context(SeatPhone(stage.sip, seat.sip_user, seat.sip_secret))
                phone.media.speak(voice)
                at_seats.append(phone)
            operators = [Operator(stage, stage.hire(f"operator{n}", Role.OPERATOR, f"Оператор {n}")) for n in numbers]
            watcher = Watcher(stage, stage.hire("supervisor", Role.SUPERVISOR, "Старша зміни"))
            feedback = Feedback(stage, stage.hire("feedback", Role.FEEDBACK, "Відділ зворотного зв'язку"))
            guest = Worker(stage, stage.hire("guest", Role.OPERATOR, "Гість"))  # who runs the demo may look on
            for worker in (*operators, watcher, feedback, guest):
                phones.push_async_callback(worker.browser.close)
                await worker.sign_in()
            for operator, number in zip(operators, numbers, strict=True):
                await operator.sit(number)
            self.say(f"{len(numbers)} seats have signed in their telephones and their people.")
            self.say(f"Look on at {stage.web}/live: sign in as {guest.account.login}, {guest.account.password}")
            administrator = Administrator(stage, stage.hire("administrator", Role.ADMINISTRATOR, "Адміністратор"))
            desk = Desk(stage, stage.hire("control", Role.CONTROL, "Відділ контролю"))
            specialist = Specialist(stage, stage.hire("online", Role.ONLINE, "Фахівець онлайн-звернень"))
            for worker in (administrator, desk, specialist):
                phones.push_async_callback(worker.browser.close)
                await worker.sign_in()
            await self._act("preparation", self._prepare(administrator, desk))
            beside = await phones.enter_async_context(asyncio.TaskGroup())
            written = beside.create_task(self._act(
                "written", self.written.play(specialist, feedback, administrator), LONGEST_STORY))  # fmt: skip
            executors = beside.create_task(self._hire_executors())
            may_write = asyncio.Event()
            at_work = _background(*(o.work(self.by_number, self.inquirer, may_write) for o in operators))
            async with at_work, asyncio.TaskGroup() as acts:
                acts.create_task(self._act("calls", self._calls(len(numbers), watcher, may_write)))
                acts.create_task(self._act("asking", self._ask()))
            await operators[-1].leave()
            await feedback.sit(numbers[-1])
            official = Worker(stage, stage.hire("official", Role.OFFICIAL, "Заступник голови"))
            phones.push_async_callback(official.browser.close)
            await official.sign_in()
            await self._act("control", self._watch_over(desk, official))
            async with _background(self._answer_callbacks(exchange)):
                await self._act("answers", self._answer_at_once(operators[0], desk))
                await self._act("callbacks", self._execute_and_confirm(
                    await executors, feedback, at_seats[-1]))  # fmt: skip
                await written
            analyst = Analyst(stage, stage.hire("analyst", Role.ANALYST, "Аналітик"))
            phones.push_async_callback(analyst.browser.close)
            await self._act("report", self._report_is_true(analyst))
            if self._plays(FORGOTTEN):
                await self._act("forgetting", self._forget(administrator, analyst))

    async def _act(self, name: str, act: Coroutine[Any, Any, None], longest: float = LONGEST_ACT) -> None:
        try:
            await asyncio.wait_for(act, longest)
        except TimeoutError as error:
            raise StoryError(f"{name}: not finished in time: {error or longest}") from error

    async def _calls(self, seats: int, watcher: Watcher, may_write: asyncio.Event) -> None:
        stage, first, rest = self.stage, self.residents[:seats], self.residents[seats:]
        all_talk = asyncio.Event()
        talking: list[Resident] = []

        def connected(who: Resident) -> None:
            talking.append(who)
            if len(talking) == len(first):
                all_talk.set()

        async with asyncio.TaskGroup() as on_line:
            for who in first:
                on_line.create_task(call_in(stage, who, self.voice, partial(connected, who)))
            await all_talk.wait()
            self.say(f"{len(first)} residents speak with the operators; one more calls, waits, and hangs up.")
            seen = asyncio.ensure_future(watcher.sees_waiting(GIVES_UP))
            await hang_up_waiting(stage, GIVES_UP, seen)
            may_write.set()
            self.say(f"The operators write the appeals; {len(rest)} more residents call.")
            for who in rest:
                on_line.create_task(call_in(stage, who, self.voice))
        self.say(f"{len(self.residents)} who called have their appeals registered; each was told a number and a code.")

    async def _prepare(self, administrator: Administrator, desk: Desk) -> None:
        """What the city changes before the residents call: they will meet both."""
        file = self.stage.settings.var / "houses.csv"
        file.write_text(HOUSES.format(MISTYPED))
        refused = await administrator.check("addresses", file)
        if "Такого району немає" not in refused.text or any(f.path.startswith("/import/") for f in refused.forms):
            raise StoryError(f"the bad row of the file is not told, or it could be loaded: {refused.text[:500]}")
        file.write_text(HOUSES.format(DISTRICT))
        checked = await administrator.check("addresses", file)
        if self._known(KIOSK_AT):
            raise StoryError("a file that was only checked has been loaded")
        await administrator.load(checked)
        if not self._known(KIOSK_AT):
            raise StoryError("the file was not loaded")
        self.say("A file of houses was tried, a bad row of it put right, and loaded.")
        tried = await desk.change_routing("Кіоски цього району", THEIR_NEW, KIOSKS, DISTRICT, KIOSK_AT)
        if tried != THEIR_NEW:
            raise StoryError(f"the draft of the rules gives kiosks to {tried}")
        self.say("A new edition of the rules was drafted, tried, and published.")

    def _known(self, address: str) -> bool:
        with self.stage.db.read() as conn:
            return len(addresses.suggest(conn, address)) == 1

    async def _ask(self) -> None:
        number, code = await asyncio.shield(self.residents[0].told)
        await ask(self.stage, self.inquirer, self.voice, number, code, "state-assigned", lambda: self.say(
            f"A resident asked for the state of {number} by keys and heard it, with no operator."))  # fmt: skip
        self.say(f"Then he asked an operator («{self.inquirer.asks}») and was told: no appeal, a consultation.")

    async def _watch_over(self, desk: Desk, official: Worker) -> None:
        """What the control desk and an official do with the appeals, where the residents of those are in the cast."""
        if self._plays(*NEIGHBOURS):
            first, second = (self._number(name) for name in NEIGHBOURS)
            await desk.act(second, "merge", number=first)
            self.say(f"The appeals of {' and '.join(NEIGHBOURS)} are one matter: merged, both will be called back.")
        if self._plays(TAKES_LONGER):
            until = datetime.now(KYIV).date() + timedelta(days=40)
            await desk.act(self._number(TAKES_LONGER), "extend", until=until.isoformat(),
                           note="Потрібне рішення суду про демонтаж.")  # fmt: skip
            self.say(f"{TAKES_LONGER}'s appeal takes longer, with a reason; that will be told.")
        if self._plays(WATCHED):
            await official.act(self._number(WATCHED), "take_control")
            self.say(f"An official has taken {WATCHED}'s appeal under his personal control.")
        if self._plays(SUFFERS):
            who = next(who for who in self.residents if who.name == SUFFERS)
            self.incident = await desk.open_incident(f"{who.street}, {who.building}", who.subject,
                                                     "Пошкоджено тепломережу.")  # fmt: skip
            self.say(f"{SUFFERS}'s house is without heating for a broken pipe: an incident is opened.")

    async def _answer_at_once(self, operator: Operator, desk: Desk) -> None:
        """What no department has to report: a programme answers, an incident is over."""
        if self._plays(PROMISED):
            number = self._number(PROMISED)
            await operator.answer_from_programme(number)
            self.say(f"{PROMISED}'s house is in a city programme: answered from it, with the ground.")
        if self.incident is not None:
            await desk.close_incident(self.incident, "Трубу замінено, тепло подано.")
            self.say("The incident is closed: its appeals are executed by that, and everybody will be asked.")
            await self._until(lambda: self._appeal_of(SUFFERS).state not in life.OPEN)

    async def _report_is_true(self, analyst: Analyst) -> None:
        await analyst.sign_in()
        told = await analyst.what_happened()
        made = len(self.residents) + len(self.written.writers)
        if not told.get("зареєстровано") == told.get("підтверджено заявником") == made:
            raise StoryError(f"the report tells of {told}, the story has {made} appeals")
        if self._plays(TAKES_LONGER) and self._appeal_of(TAKES_LONGER).department != THEIR_NEW:
            raise StoryError(f"the new rule was not kept: {self._appeal_of(TAKES_LONGER).department} has the kiosk")
        self.say(f"The report says so too: {made} registered, as many confirmed by the residents.")

    async def _forget(self, administrator: Administrator, analyst: Analyst) -> None:
        """Everything that is kept of one of them is given to him, then erased; what is counted stays."""
        who = next(who for who in self.residents if who.name == FORGOTTEN)
        before, card = await analyst.what_happened(), await administrator.find(who)
        kept = await administrator.give_out(card)
        texts, calls = [each["text"] for each in kept["appeals"]], {each["direction"] for each in kept["calls"]}
        if (kept["person"]["name"], texts, calls) != (who.name, [who.text], {"in", "out"}):
            raise StoryError(f"{who.name} was given {kept['person']['name']}, {texts}, calls {calls}")
        files = self._files_of(kept)
        if not files or not all(file.is_file() for file in files):
            raise StoryError(f"{who.name}'s recordings are not there: {files}")
        self.say(f"{who.name} was given all that is kept of him, and asks to be forgotten.")
        await administrator.forget(card, "Його заява")
        left = json.dumps(await administrator.give_out(card), ensure_ascii=False)
        if said := [each for each in (who.name, who.number, who.text) if each in left]:
            raise StoryError(f"still kept of who was forgotten: {said}")
        if there := [file for file in files if file.exists()]:
            raise StoryError(f"still there of who was forgotten: {there}")
        if (after := await analyst.what_happened()) != before:
            raise StoryError(f"the report told of {before}, and {after} without {who.name}")
        self.say("He is: no name, no number, no word, no recording; and the report is as it was.")

    def _files_of(self, kept: dict[str, Any]) -> list[Path]:
        """Of the recordings that somebody's data names."""
        ids = [each["id"] for each in kept["recordings"]]
        with self.stage.db.read() as conn:
            paths = conn.scalars(select(schema.recording.c.path).where(schema.recording.c.id.in_(ids))).all()
        return [self.stage.settings.recordings / path for path in paths]

    def _plays(self, *names: str) -> bool:
        """Whether all these residents are in the cast."""
        return set(names) <= {who.name for who in self.residents}

    def _number(self, name: str) -> str:
        return next(who.told.result()[0] for who in self.residents if who.name == name)

    def _appeal_of(self, name: str) -> appeals.Appeal:
        with self.stage.db.read() as conn:
            found = appeals.by_number(conn, int(self._number(name)))
        assert found is not None
        return found

    async def _answer_callbacks(self, exchange: Exchange) -> None:
        async with asyncio.TaskGroup() as homes:
            async for dialled, media in exchange.calls():
                who = next(each for each in self.called if each.number.endswith(dialled[-9:]))
                homes.create_task(self._pick_up(who, media))

    async def _pick_up(self, who: Applicant, media: Any) -> None:
        await pick_up(self.stage, who, media, self.voice)
        self.picked_up.put_nowait(who)
        if isinstance(who, Writer):
            self.say(f"{who.name} was called back about № {who.told.result()[0]} and pressed «solved».")

    async def _hire_executors(self) -> list[Executor]:
        """One at each department that has anything to do, once everybody has his number."""
        stage = self.stage
        everybody: list[Applicant] = [*self.residents, *self.written.writers.values()]
        await asyncio.gather(*(asyncio.shield(who.told) for who in everybody))
        with stage.db.read() as conn:
            names = [d.name for d in departments.departments(conn) if appeals.for_department(conn, d.id, 1)]
        # Making a password takes time, and those on the line must not wait for it.
        executors = [Executor(stage, await asyncio.to_thread(
            stage.hire, f"executor{at}", Role.EXECUTOR, f"Виконавець: {name}", name)) for at, name in enumerate(names)]
        await asyncio.gather(*(executor.sign_in() for executor in executors))
        return executors

    async def _execute_and_confirm(self, executors: list[Executor], feedback: Feedback, seat: SeatPhone) -> None:
        written = self.written
        try:
            executed = await self._execute(executors)
            written.executed.set()
            self.say(f"Departments report {len(executed)} appeals as executed; the centre calls or writes to all.")
            live = [who for who in self.called if not who.consents]
            machine = len(self.called) - len(live)
            for who in live:
                await feedback.call_back(who.name, self._spoken_to(who))
                seat.hang_up()
                self.say(f"{who.name} was called by a person and said: solved.")
            await self._until(lambda: self._answered_by_key() >= machine)
            await written.returned.wait()
            # «Not solved» has gone back to its department, which reports again; then he is asked again.
            not_solved = [self.not_solved.told.result()[0], written.not_solved.told.result()[0]]
            again = await self._execute(executors)
            if sorted(again) != sorted(not_solved):
                raise StoryError(f"«not solved» was said of {not_solved}, but the departments had {again} to do")
            self.say(f"{self.not_solved.name} said «not solved» too: both are executed again, and asked about again.")
            await self._until(lambda: self._answered_by_key() >= machine + 1)
        finally:
            for executor in executors:
                await executor.browser.close()

    @staticmethod
    async def _execute(executors: list[Executor]) -> list[str]:
        """Every department reports all that it has: the appeals' numbers."""
        done = await asyncio.gather(*(executor.execute_all(PROOF) for executor in executors))
        return [number for numbers in done for number in numbers]

    async def _spoken_to(self, who: Applicant) -> None:
        while await self.picked_up.get() is not who:
            pass

    def _answered_by_key(self) -> int:
        """How many answers machines have got."""
        with self.stage.db.read() as conn:
            asked, attempt = schema.callback_appeal.c, schema.attempt.c
            by_machine = select(attempt.callback_id).where(attempt.mode == Mode.AUTO)
            return conn.scalar(select(func.count()).where(asked.result != "", asked.callback_id.in_(by_machine))) or 0

    @staticmethod
    async def _until(true: Callable[[], bool]) -> None:
        while not await asyncio.to_thread(true):  # noqa: ASYNC110  the record has no event
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def _background(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs works beside the block: one that fails fails the block, and the block's end ends them."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        yield
        for task in tasks:
            task.cancel()


def _report(stage: Stage, duration: float) -> dict[str, Any]:
    """The contract's object, from what is on record."""
    from centre.asterisk import Asterisk

    with stage.db.read() as conn:
        call, attempt, appeal = schema.call, schema.attempt, schema.appeal
        edition, look, proof = schema.routing_version, schema.access_log, schema.attachment
        inbound = [dict(row) for row in conn.execute(select(call).where(call.c.direction == "in")).mappings()]
        waits = sorted(row["wait_s"] for row in inbound if row["wait_s"] is not None and row["answered_at"])
        states = Counter(conn.scalars(select(appeal.c.state)))
        events = Counter(conn.scalars(select(schema.appeal_event.c.action)))
        edits = Counter(conn.scalars(select(schema.edit_log.c.what)))
        attempts = [dict(row) for row in conn.execute(select(attempt)).mappings()]
        asked, called = schema.callback_appeal.c, select(attempt.c.callback_id)  # some answer in writing before that
        results = Counter(conn.scalars(select(asked.result).where(asked.callback_id.in_(called))))
        recordings = conn.scalar(select(func.count()).select_from(schema.recording).where(
            schema.recording.c.state == "ok", schema.recording.c.duration_s > 0))  # fmt: skip
        return {
            "asterisk_version": Asterisk(stage.settings, stage.secrets).version,
            "calls": {"offered": len(inbound), "answered": sum(row["answered_at"] is not None for row in inbound),
                      "abandoned": sum(row["end_cause"] == "abandoned" for row in inbound)},
            "wait_s": {"mean": round(statistics.fmean(waits), 2), "p50": round(statistics.median(waits), 2),
                       "p95": round(waits[min(len(waits) - 1, int(0.95 * len(waits)))], 2),
                       "max": round(waits[-1], 2)} if waits else {},
            "appeals": {"registered": _count(conn, appeal), "executed": events["execute"] + events["answer"],
                        "confirmed": events["confirm"], "returned": events["not_solved"],
                        "unconfirmed": states[State.UNCONFIRMED],
                        "closed": states[State.CLOSED]},
            "channels": _channels(conn),
            "callbacks": {"placed": len(attempts), "answered": sum(row["answered_at"] is not None for row in attempts),
                          "confirmed": results[Result.SOLVED], "not_solved": results[Result.NOT_SOLVED],
                          "unreached": sum(row["outcome"] in ("busy", "no_answer", "failed") for row in attempts)},
            "desk": {"merged": events["merge"], "extended": events["extend"], "controlled": events["take_control"],
                     "incident": events["join"], "programme": events["answer"],
                     "proofs": _count(conn, proof, proof.c.action == Action.EXECUTE),
                     "notices": _count(conn, schema.notice),
                     "consulted": sum(row["outcome"] == Outcome.CONSULTED for row in inbound),
                     "imported": edits["import"], "published": _count(conn, edition, edition.c.live_at.is_not(None),
                                                                      edition.c.made_by.is_not(None)),
                     "given_out": _count(conn, look, look.c.why == "export"),
                     "forgotten": _count(conn, schema.citizen, schema.citizen.c.erased_at.is_not(None))},
            "recordings": recordings,
            "duration_s": round(duration, 1),
        }  # fmt: skip


def _channels(conn: Connection) -> dict[str, dict[str, int]]:
    """By which way appeals came, and how many of those are closed. A voice that was left is a way of its own."""
    appeal, left = schema.appeal.c, select(schema.message.c.appeal_id).where(schema.message.c.channel == "phone")
    ways: dict[str, dict[str, int]] = {}
    for channel, state, voice in conn.execute(select(appeal.channel, appeal.state, appeal.id.in_(left))):
        its = ways.setdefault("voice" if voice else channel, {"registered": 0, "closed": 0})
        its["registered"] += 1
        its["closed"] += state == State.CLOSED
    return dict(sorted(ways.items()))


def _count(conn: Connection, table: Any, *where: Any) -> int:
    return conn.scalar(select(func.count()).select_from(table).where(*where)) or 0


def _check(report: dict[str, Any], calls: int, who_write: Mapping[str, Writer]) -> None:
    """StoryError unless the record tells what was done."""
    made = calls - 2
    whole, called = made + len(who_write), made + sum(who.is_called for who in who_write.values())
    expected = {
        "calls.offered": calls, "calls.answered": made + 1, "calls.abandoned": 1,
        "appeals.registered": whole, "appeals.executed": whole + 2, "appeals.confirmed": whole, "appeals.returned": 2,
        "appeals.unconfirmed": 0, "appeals.closed": whole,
        "callbacks.placed": called + 1, "callbacks.answered": called + 1, "callbacks.confirmed": called,
        "callbacks.not_solved": 1, "callbacks.unreached": 0, "desk.consulted": 1, "desk.imported": 1,
        "desk.published": 1, **{f"channels.{way}": {"registered": 1, "closed": 1} for way in who_write},
        "channels.phone": {"registered": made, "closed": made},
    }  # fmt: skip
    wrong = []
    for name, value in expected.items():
        part, key = name.split(".")
        if (its := report[part].get(key)) != value:
            wrong.append(f"{name} is {its}, the story has {value}")
    if made >= WHOLE_CAST:
        wrong += [f"desk.{name} never happened" for name, value in report["desk"].items() if not value]
    if report["recordings"] < made:
        wrong.append(f"{report['recordings']} recordings of {made} conversations")
    if wrong:
        raise StoryError("; ".join(wrong))


def _table(report: dict[str, Any]) -> str:
    lines = []
    for name, value in report.items():
        if isinstance(value, dict):
            lines.append(f"{name:<18}" + "   ".join(f"{key} {_cell(one)}" for key, one in value.items()))
        else:
            lines.append(f"{name:<18}{value}")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return "/".join(map(str, value.values())) if isinstance(value, dict) else str(value)
