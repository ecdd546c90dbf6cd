"""Callbacks as they are placed: committed first, dialled once, and ended by whoever knows how, on both databases."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from sqlalchemy import Connection, select

from call_queue import events as ev
from call_queue import order
from call_queue.ami import Ami, AmiError, NotSent, Refused, Unanswered
from call_queue.dialler import Dialler
from call_queue.outbound import Outbound
from call_queue.tracker import TrunkState
from crm import calls, campaign_rules, campaigns, citizens, confirmations
from crm.confirmation_rules import Reached, Result, Rules
from crm.confirmations import Attempt
from crm.errors import BadInput, CentreError
from crm.schema import attempt, callback, callback_appeal
from crm.store import Database, Writer
from tests.call_queue.conftest import INTERFACES, LANDLINE, LIMIT, MOBILE, NOON, Exchange, until
from tests.crm.conftest import PHONE, City, found_city

HOMES = ("+380441112233", "+380442223344", "+380443334455")


class Centre:
    """A dialler between a city's records and an AMI that only writes down what it is asked."""

    up = True

    def __init__(self, db: Database, exchange: Exchange) -> None:
        self.db, self.exchange, self.writer = db, exchange, Writer(db)
        self.now = NOON
        self.believed = True
        self.rules = Rules()
        self.asked: list[dict[str, Any]] = []
        self.error: AmiError | None = None
        self.answer: asyncio.Event | None = None  # until then Asterisk says nothing
        self.line: list[order.Waiting] = []  # who waits for a seat of the city's
        self.counted: tuple[int, int] | None = None
        self._passed = asyncio.Event()
        with db.write() as conn:
            self.city = found_city(conn)
        self.dialler = self.made()

    def made(self) -> Dialler:
        out = Outbound(cast(Ami, self), self.exchange.tracker, [LANDLINE, MOBILE], lambda: self.believed)
        return Dialler(self.db, self.writer, out, self.exchange.tracker, self.rules,
                       own_number="1551", seat_ring_s=15, staff={"101": self.city.operator}, line=lambda: self.line,
                       counted=self._counted, clock=lambda: self.now)  # fmt: skip

    async def ask(self, action: str, headers: Mapping[str, Any], *, action_id: str) -> dict[str, str]:
        assert (action, headers["ChannelId"]) == ("Originate", action_id)
        with self.db.read() as conn:
            on_record = {one.id for one in confirmations.open_attempts(conn)}
        assert action_id in on_record, "dialled before it was committed"
        self.asked.append(dict(headers))
        if self.answer is not None:
            await self.answer.wait()
        if self.error is not None:
            raise self.error
        return {}

    def _counted(self, due: int, calling: int) -> None:
        self.counted = due, calling
        self._passed.set()

    # ── what happens ──
    def due(self, *phones: str, auto: bool = True) -> None:
        """Each of these citizens awaits a call."""
        def make(city: City) -> None:
            for phone in phones:
                city.executed(citizens.add(city.conn, now=self.now, name=phone, phones=[phone], auto_confirm=auto))

        with self.db.write() as conn:
            make(replace(self.city, conn=conn, now=self.now))

    async def look(self) -> None:
        """The dialler begins and has looked once."""
        self._passed.clear()
        running = asyncio.create_task(self.dialler.run())
        await asyncio.wait_for(self._passed.wait(), LIMIT)
        running.cancel()
        await asyncio.wait([running])
        await self.written()

    async def written(self) -> None:
        await asyncio.wrap_future(self.writer.submit(lambda conn: None))

    async def call(self, seat: str = "101") -> Attempt | None:
        return await self.dialler.call(self.callback().id, seat, self.city.operator)

    def began(self, attempt_id: str, endpoint: str = LANDLINE) -> None:
        self.exchange.apply(ev.ChannelBegan(self.now, attempt_id, attempt_id, endpoint, "1551", "s"))

    async def hung_up(self, attempt_id: str, cause: int, endpoint: str = LANDLINE) -> None:
        event = ev.ChannelEnded(self.now, attempt_id, attempt_id, endpoint, cause)
        self.exchange.apply(event)
        self.dialler.hung_up(event)
        await self.written()

    async def originate_failed(self, attempt_id: str) -> None:
        self.dialler.originated(ev.Originated(self.now, attempt_id, attempt_id, False, 0))
        await self.written()

    def campaign(self, mode: campaign_rules.Mode = campaign_rules.Mode.PROGRESSIVE, **terms: Any) -> int:
        """Started now; of all that is due."""
        with self.db.write() as conn:
            made = campaigns.save(conn, None, None, campaign_rules.Terms("Тепло", mode, **terms), staff_id=None,
                                  now=self.now)  # fmt: skip
        self.step(made, campaign_rules.Step.START)
        return made

    def step(self, campaign_id: int, what: campaign_rules.Step) -> None:
        with self.db.write() as conn:
            seen = campaigns.get(conn, campaign_id)
            campaigns.step(conn, campaign_id, what, version=seen.version, staff_id=None, now=self.now)

    def sits(self, *numbers: str, queues: Sequence[str] = ("feedback",)) -> None:
        for queue in queues:
            self.exchange.log_in(*numbers, queue=queue)

    def later(self, **by: float) -> None:
        self.now += dt.timedelta(**by)

    # ── what is on record ──
    def rows(self, query: Any) -> list[Any]:
        with self.db.read() as conn:
            return list(conn.execute(query))

    def attempts(self) -> list[Any]:
        return self.rows(select(attempt).order_by(attempt.c.placed_at, attempt.c.e164))

    def callback(self) -> Any:
        return self.rows(select(callback).order_by(callback.c.id))[0]

    def outcomes(self) -> list[str]:
        return [one.outcome for one in self.attempts()]

    def tries(self) -> list[int]:
        return [row.tries for row in self.rows(select(callback_appeal.c.tries))]


@pytest.fixture
def centre(db: Database, exchange: Exchange) -> Iterator[Centre]:
    one = Centre(db, exchange)
    yield one
    one.writer.close()


# ── by a machine ──
async def test_it_is_committed_then_dialled_and_never_twice(centre: Centre) -> None:
    centre.due(HOMES[0])
    await centre.look()
    (placed,) = centre.attempts()
    (asked,) = centre.asked
    assert asked == {
        "Channel": f"PJSIP/{HOMES[0]}@trunk-landline", "Context": "callback-auto", "Exten": "s", "Priority": 1,
        "ChannelId": placed.id, "Timeout": 40_000, "CallerID": "1551", "Async": "true",
        "Variable": [f"ATTEMPT={placed.id}", f"CITIZEN_NUMBER={HOMES[0]}", "CALL_LANG=uk", "TRUNK=trunk-landline"],
    }  # fmt: skip
    assert centre.counted == (0, 1)
    centre.began(placed.id)
    for seconds in (5, 60, 3600):  # it is on the line, however long
        centre.later(seconds=seconds)
        await centre.look()
    assert (len(centre.asked), centre.outcomes()) == (1, [""])


@pytest.mark.parametrize(("cause", "outcome", "again_s"), [
    (17, "busy", 1800), (19, "no_answer", 7200), (16, "no_answer", 7200), (34, "failed", 7200), (0, "failed", 7200),
])  # fmt: skip
async def test_who_was_not_reached_is_tried_again_by_the_cause(
    centre: Centre, cause: int, outcome: str, again_s: int
) -> None:
    centre.due(HOMES[0])
    await centre.look()
    (placed,) = centre.attempts()
    centre.began(placed.id)
    centre.later(seconds=20)
    await centre.hung_up(placed.id, cause)
    await centre.originate_failed(placed.id)  # told afterwards, it changes nothing
    assert centre.outcomes() == [outcome]
    assert (centre.callback().state, centre.callback().due_at - centre.now) == ("due", dt.timedelta(seconds=again_s))
    await centre.look()
    assert len(centre.asked) == 1
    centre.later(seconds=again_s)
    await centre.look()
    assert len(centre.asked) == 2


async def test_a_channel_that_never_was_is_a_failure_of_the_network(centre: Centre) -> None:
    centre.due(HOMES[0])
    await centre.look()
    await centre.originate_failed(centre.attempts()[0].id)
    assert (centre.outcomes(), centre.tries()) == (["failed"], [1])


@pytest.mark.parametrize(("queued", "outcome"), [(False, "no_key"), (True, "person")])
async def test_who_picked_up_and_pressed_nothing_is_called_by_a_person(
    centre: Centre, queued: bool, outcome: str
) -> None:
    centre.due(HOMES[0])
    await centre.look()
    (placed,) = centre.attempts()
    centre.began(placed.id)
    centre.dialler.picked_up(placed.id)
    if queued:
        def enters(conn: Connection) -> None:
            calls.queued(conn, placed.id, centre.now, "city")

        await asyncio.wrap_future(centre.writer.submit(enters))
    await centre.hung_up(placed.id, 16)
    assert (centre.outcomes(), centre.callback().mode) == ([outcome], "live")


async def test_callers_who_wait_come_first(centre: Centre) -> None:
    centre.due(HOMES[0])
    centre.exchange.now = -61  # he has waited longer than the threshold
    centre.exchange.arrive("17.1")
    centre.exchange.join("17.1")
    await centre.look()
    assert (centre.asked, centre.counted) == ([], (1, 0))
    with pytest.raises(BadInput, match=r"callback\.inbound_first"):
        await centre.call()
    centre.exchange.end("17.1")
    await centre.look()
    assert len(centre.asked) == 1


async def test_no_more_than_the_hours_cap_and_the_lines(centre: Centre) -> None:
    centre.rules = Rules(hourly_cap=2, lines=1)
    centre.dialler = centre.made()
    centre.due(*HOMES)
    await centre.look()
    assert [one.e164 for one in centre.attempts()] == [HOMES[0]], "one line"
    await centre.originate_failed(centre.attempts()[0].id)
    await centre.look()
    await centre.originate_failed(centre.attempts()[1].id)
    await centre.look()
    assert len(centre.asked) == 2, "two an hour"
    centre.later(hours=1)
    await centre.look()
    assert [one.e164 for one in centre.attempts()] == [*HOMES]


@pytest.mark.parametrize("why", ["trunks", "ami", "out of step"])
async def test_nothing_is_placed_when_it_cannot_be(centre: Centre, why: str) -> None:
    centre.due(HOMES[0])
    trunks = centre.exchange.tracker.trunks
    match why:
        case "trunks":
            trunks[LANDLINE].state = trunks[MOBILE].state = TrunkState.DOWN
        case "ami":
            centre.up = False
        case "out of step":
            centre.believed = False
    await centre.look()
    with pytest.raises(CentreError, match=r"callback\.trunk_down" if why == "trunks" else r"line\.asterisk_away"):
        await centre.call()
    assert (centre.asked, centre.attempts(), centre.counted) == ([], [], (1, 0))
    centre.up = centre.believed = True
    trunks[MOBILE].state = TrunkState.OK
    await centre.look()
    assert [asked["Channel"].partition("@")[2] for asked in centre.asked] == [
        "trunk-mobile" if why == "trunks" else "trunk-landline"]  # fmt: skip


@pytest.mark.parametrize("error", [NotSent("ami.not_connected"), Refused("ami.refused", reason="no")])
async def test_what_asterisk_does_not_take_costs_no_try_and_the_others_wait(centre: Centre, error: AmiError) -> None:
    centre.rules = Rules(hourly_cap=len(HOMES))
    centre.dialler = centre.made()
    centre.due(*HOMES)
    centre.error = error
    await centre.look()
    assert (centre.outcomes(), centre.tries()) == (["not_placed"], [0, 0, 0])
    centre.error = None
    centre.later(seconds=60)
    await centre.look()
    assert len(centre.asked) == 4


async def test_an_unknown_outcome_waits_out_the_ring_time(centre: Centre) -> None:
    centre.due(HOMES[0])
    centre.error = Unanswered("ami.unanswered")
    await centre.look()
    centre.error = None
    for seconds in (0, 30, 51):
        assert centre.outcomes() == [""]
        centre.later(seconds=seconds)
        await centre.look()
    assert (centre.outcomes(), centre.tries()) == (["unknown"], [1])
    centre.later(hours=2)
    await centre.look()
    assert len(centre.asked) == 2


async def test_what_a_crash_left_is_ended_by_the_next_line(centre: Centre) -> None:
    """Committed and perhaps dialled: while its channel lives it goes on; then it waits out the ring time."""
    centre.due(HOMES[0])

    def claim(conn: Connection) -> None:
        confirmations.claim(conn, centre.callback().id, now=centre.now, rules=centre.rules)

    with centre.db.write() as conn:
        claim(conn)
    (placed,) = centre.attempts()
    centre.began(placed.id)
    centre.later(minutes=5)
    await centre.look()
    assert centre.outcomes() == [""]
    centre.exchange.end(placed.id, LANDLINE)  # not heard of by the dialler
    await centre.look()
    assert (centre.outcomes(), centre.asked) == (["unknown"], [])


async def test_one_that_cannot_be_ended_or_claimed_keeps_no_other(centre: Centre, caplog: Any) -> None:
    """A citizen with no number left is due for a live call while his last call's form is still open."""
    centre.due(HOMES[0], auto=False)
    (first,) = [one.callback_id for one in centre.rows(select(callback_appeal))]
    with centre.db.write() as conn:
        city = replace(centre.city, conn=conn)
        appeal_number = confirmations.questions_of(conn, first)[0].number
        claimed = confirmations.claim(conn, first, now=centre.now, rules=centre.rules, seat="101")
        assert claimed is not None
        confirmations.attempt_answered(conn, claimed.id, centre.now)
        confirmations.answer(conn, number=appeal_number, result=Result.SOLVED, now=centre.now,
                             attempt_id=claimed.id, staff_id=city.operator)  # fmt: skip
        city.executed(claimed.citizen_id)
        citizens.mark_wrong_number(conn, claimed.citizen_id, HOMES[0])
    centre.due(HOMES[1])
    await centre.look()
    assert [one.e164 for one in centre.attempts()] == [*HOMES[:2]]
    assert len(centre.asked) == 1
    centre.later(hours=5)  # nobody filled the form in
    await centre.look()
    await centre.look()
    assert [one.state for one in centre.rows(select(callback).order_by(callback.c.id))][:2] == ["done", "given_up"]


# ── by a person ──
async def test_a_persons_call_rings_the_seat_first(centre: Centre) -> None:
    centre.due(PHONE.replace("1234567", "7654321"), auto=False)
    await centre.look()
    assert centre.asked == [], "nobody pressed the button"
    placed = await centre.call()
    assert placed is not None
    (asked,) = centre.asked
    assert (asked["Channel"], asked["Context"], asked["Timeout"]) == (INTERFACES["101"], "callback-live", 15_000)
    assert (asked["CallerID"], asked["ChannelId"]) == (placed.e164, placed.id)
    with pytest.raises(BadInput, match=r"callback\.calling"):
        await centre.call("102")
    assert len(centre.asked) == 1


@pytest.mark.parametrize(("error", "told", "outcome"), [
    (NotSent("ami.not_connected"), "line.asterisk_away", "not_placed"),
    (Refused("ami.refused", reason="no"), "line.asterisk_away", "not_placed"),
    (Unanswered("ami.unanswered"), "line.unanswered", ""),
])  # fmt: skip
async def test_a_person_is_told_when_it_was_not_placed_or_nobody_knows(
    centre: Centre, error: AmiError, told: str, outcome: str
) -> None:
    centre.due(HOMES[0], auto=False)
    centre.error = error
    with pytest.raises(CentreError) as caught:
        await centre.call()
    assert (caught.value.id, centre.outcomes()) == (told, [outcome])
    assert centre.callback().state == ("due" if outcome else "calling")


async def test_a_seat_that_did_not_pick_up_costs_no_try(centre: Centre) -> None:
    centre.due(HOMES[0], auto=False)
    placed = await centre.call()
    assert placed is not None
    centre.began(placed.id, INTERFACES["101"])
    await centre.hung_up(placed.id, 19, INTERFACES["101"])
    await centre.originate_failed(placed.id)
    assert (centre.outcomes(), centre.tries(), centre.callback().due_at) == (["not_placed"], [0], centre.now)


@pytest.mark.parametrize(("cause", "outcome"), [(17, "busy"), (19, "no_answer"), (16, ""), (127, ""), (None, "")])
async def test_how_a_live_call_ended_is_told_by_the_residents_channel_or_spooled(centre: Centre, cause: int | None,
                                                                                 outcome: str) -> None:  # fmt: skip
    centre.due(HOMES[0], auto=False)
    placed = await centre.call()
    assert placed is not None
    centre.began(placed.id, INTERFACES["101"])
    centre.dialler.hung_up(ev.ChannelEnded(centre.now, "1767000000.9", placed.id, LANDLINE, cause))
    await centre.written()
    assert centre.outcomes() == [outcome]


async def test_a_form_that_nobody_fills_in_is_given_up_after_hours_and_he_is_due_again(centre: Centre) -> None:
    centre.due(HOMES[0], auto=False)
    placed = await centre.call()
    assert placed is not None
    centre.began(placed.id, INTERFACES["101"])
    centre.dialler.picked_up(placed.id)
    await centre.hung_up(placed.id, 16, INTERFACES["101"])
    centre.later(hours=3)
    await centre.look()
    assert centre.outcomes() == [""]
    centre.later(hours=1.1)
    await centre.look()
    assert (centre.outcomes(), centre.callback().state) == (["unknown"], "due")


@pytest.mark.parametrize("refusal", ["seat.unknown", "seat.on_call", "seat.offline"])
async def test_a_seat_that_cannot_call_is_refused_before_anything_is_claimed(centre: Centre, refusal: str) -> None:
    centre.due(HOMES[0], auto=False)
    centre.began("17.11", INTERFACES["101"])
    centre.exchange.apply(ev.Device(centre.now, INTERFACES["102"], "UNAVAILABLE"))
    with pytest.raises(BadInput) as caught:
        await centre.call({"seat.unknown": "999", "seat.on_call": "101", "seat.offline": "102"}[refusal])
    assert (caught.value.id, centre.attempts()) == (refusal, [])


async def test_with_no_number_left_it_is_given_up(centre: Centre) -> None:
    centre.due(HOMES[0], auto=False)
    with centre.db.write() as conn:
        citizens.do_not_call(conn, centre.callback().citizen_id)
    assert await centre.call() is None
    assert (centre.callback().state, centre.asked) == ("given_up", [])


async def test_what_is_claimed_is_dialled_though_the_asker_goes_away(centre: Centre) -> None:
    centre.due(HOMES[0], auto=False)
    centre.answer = asyncio.Event()
    asking = asyncio.create_task(centre.call())
    await until(lambda: bool(centre.attempts()))
    asking.cancel()
    await asyncio.wait([asking])
    closing = asyncio.create_task(centre.dialler.close())
    await until(lambda: bool(centre.asked))
    assert not closing.done(), "the line stops when it has been placed"
    centre.answer.set()
    await asyncio.wait_for(closing, LIMIT)
    assert (len(centre.asked), centre.outcomes()) == (1, [""])


# ── campaigns ──
async def test_a_free_seat_is_given_the_next_one_and_no_second_until_it_is_written_down(centre: Centre) -> None:
    centre.due(*HOMES, auto=False)
    centre.campaign()
    centre.sits("101")
    await centre.look()
    (placed,) = centre.attempts()
    (asked,) = centre.asked
    assert (asked["Channel"], asked["Context"], asked["Timeout"]) == (INTERFACES["101"], "callback-live", 15_000)
    assert (placed.seat, placed.staff_id, placed.e164) == ("101", centre.city.operator, HOMES[0])
    await centre.look()
    assert len(centre.asked) == 1, "reserved, though nothing has been heard of it yet"
    centre.began(placed.id, INTERFACES["101"])
    centre.dialler.picked_up(placed.id)
    await centre.hung_up(placed.id, 16, INTERFACES["101"])
    await centre.look()
    assert len(centre.asked) == 1, "what came of it is not written down yet"
    with centre.db.write() as conn:
        confirmations.finish(conn, placed.id, Reached.ANSWERED, centre.now, rules=centre.rules)
    await centre.look()
    assert [one.e164 for one in centre.attempts()] == [*HOMES[:2]]


async def test_each_free_seat_has_its_own_and_others_none(centre: Centre) -> None:
    centre.due(*HOMES, auto=False)
    centre.campaign()
    centre.sits("101", "102")
    centre.sits("103", queues=["city"])
    await centre.look()
    assert {(one.seat, one.e164) for one in centre.attempts()} == {("101", HOMES[0]), ("102", HOMES[1])}


@pytest.mark.parametrize("why", ["paused", "on a call", "ringing", "wrapping up", "out", "offline"])
async def test_a_seat_that_is_not_free_is_not_rung(centre: Centre, why: str) -> None:
    centre.due(HOMES[0], auto=False)
    centre.campaign()
    centre.sits("101")
    me, now = INTERFACES["101"], centre.now
    match why:
        case "paused":
            centre.exchange.apply(ev.Member(now, "feedback", "101", me, True, "lunch", 1))
        case "on a call":
            centre.exchange.apply(ev.Device(now, me, "INUSE"))
        case "ringing":
            centre.began("17.9", me)
        case "wrapping up":
            centre.exchange.tracker.seats["101"].wrap_until = now + dt.timedelta(seconds=10)
            centre.exchange.apply(ev.Device(now, me, "NOT_INUSE"))
        case "out":
            centre.exchange.apply(ev.MemberRemoved(now, "feedback", "101", me))
        case "offline":
            centre.exchange.apply(ev.Device(now, me, "UNAVAILABLE"))
    await centre.look()
    assert centre.asked == []


@pytest.mark.parametrize("who", ["caller", "promised"])
async def test_a_seat_is_left_to_who_waits_for_it(centre: Centre, who: str) -> None:
    """Long before he has waited so long that no callback is placed at all."""
    centre.due(*HOMES[:2], auto=False)
    centre.campaign()
    centre.sits("101", queues=["city", "feedback"])
    centre.sits("102")
    if who == "caller":
        centre.exchange.arrive("17.1")
        centre.exchange.join("17.1")
    else:
        centre.line = [order.Waiting("promise:1", centre.now, live=False)]
    await centre.look()
    assert [one.seat for one in centre.attempts()] == ["102"], "who takes none of the city's calls"


async def test_a_campaign_waits_while_callers_wait_and_goes_on_by_itself(centre: Centre) -> None:
    centre.due(HOMES[0], auto=False)
    centre.campaign()
    centre.sits("101")
    centre.exchange.now = -61
    centre.exchange.arrive("17.1")
    centre.exchange.join("17.1")
    await centre.look()
    assert centre.asked == []
    centre.exchange.end("17.1")
    await centre.look()
    assert len(centre.asked) == 1


async def test_a_seat_that_is_given_a_call_meanwhile_costs_no_try(centre: Centre) -> None:
    centre.due(HOMES[0], auto=False)
    centre.campaign()
    centre.sits("101")
    submit = centre.writer.submit

    def given_a_call(fn: Any, *more: Any) -> Any:
        """A caller is given to the seat while the attempt is being committed."""
        written = submit(fn, *more)
        if getattr(fn, "func", None) is confirmations.claim:
            centre.began("17.9", INTERFACES["101"])
        return written

    centre.writer.submit = given_a_call  # type: ignore[method-assign, assignment]
    await centre.look()
    assert (centre.asked, centre.outcomes(), centre.tries()) == ([], ["not_placed"], [0])
    assert centre.callback().state == "due"


async def test_a_seat_that_does_not_pick_up_is_left_in_peace_and_another_calls(centre: Centre) -> None:
    centre.due(HOMES[0], auto=False)
    centre.campaign()
    centre.sits("101")
    await centre.look()
    centre.began(centre.attempts()[0].id, INTERFACES["101"])
    await centre.hung_up(centre.attempts()[0].id, 19, INTERFACES["101"])
    await centre.originate_failed(centre.attempts()[0].id)
    assert (centre.outcomes(), centre.tries()) == (["not_placed"], [0])
    await centre.look()
    assert len(centre.asked) == 1
    centre.later(seconds=1)
    centre.sits("102")
    await centre.look()
    assert [one.seat for one in centre.attempts()] == ["101", "102"]
    await centre.originate_failed(centre.attempts()[1].id)
    centre.later(seconds=59)
    await centre.look()
    assert [one.seat for one in centre.attempts()] == ["101", "102", "101"]


async def test_a_machine_calls_for_automatic_ones_and_persons_campaigns_are_left_to_persons(centre: Centre) -> None:
    centre.due(HOMES[0])
    campaign = centre.campaign(campaign_rules.Mode.PREVIEW)
    centre.sits("101")
    await centre.look()
    await centre.look()
    assert centre.asked == [], "a person sees it first"
    centre.step(campaign, campaign_rules.Step.END)
    centre.campaign(campaign_rules.Mode.AUTOMATIC, daily_cap=1)
    centre.due(HOMES[1])
    await centre.look()
    assert [asked["Context"] for asked in centre.asked] == ["callback-auto"]
    await centre.look()
    assert len(centre.asked) == 1, "the day's cap"


async def test_a_paused_campaign_calls_nobody(centre: Centre) -> None:
    centre.due(HOMES[0])
    campaign = centre.campaign(campaign_rules.Mode.AUTOMATIC)
    with centre.db.write() as conn:
        campaigns.take(conn, centre.now)
    centre.step(campaign, campaign_rules.Step.PAUSE)
    await centre.look()
    assert centre.asked == []
    with pytest.raises(BadInput, match=r"campaign\.not_running"):
        await centre.call()
    centre.step(campaign, campaign_rules.Step.RESUME)
    await centre.look()
    assert len(centre.asked) == 1
