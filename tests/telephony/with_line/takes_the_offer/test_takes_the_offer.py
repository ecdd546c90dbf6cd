"""A caller takes a callback by key instead of waiting, and is served before who came later and waited on the line."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from centre.phones import Exchange
from crm import calls
from crm.calls import EndCause
from crm.periods import day_of
from crm.promise_rules import Reason, State

FIRST, PATIENT, TALKING = "+380671112233", "+380442223344", "+380443334455"
SOON = {"promise_after": 0, "promise_left": 0, "promise_again": 600}  # the offer comes before the first wait


async def takes_it(centre: Any, caller: Any) -> None:
    """As a caller hears it: the offer, his number in pairs, by when; then he is bidden farewell."""
    prompt, media = centre.exchange.prompt, caller.media
    await media.hear(prompt("offer"))
    await media.press("1")
    await media.hear(prompt("promise-number-keys"))
    await media.press("1")
    await media.hear(prompt("goodbye"))
    await caller.ended()


async def answered_at(centre: Any, linkedid: str) -> Any:
    call = await centre.on_record(lambda conn: calls.get(conn, linkedid), lambda call: call and call.answered_at)
    return call.answered_at


async def test_the_promised_is_served_before_who_came_later(centre: Any) -> None:
    exchange = centre.exchange
    await centre.stop_line()
    centre.change(**SOON)
    await centre.start_line()
    async with (exchange.seat() as seat, centre.behind_trunk(Exchange(centre.landline_port)) as phones,
                exchange.caller(TALKING) as talking):  # fmt: skip
        seat.media.speak(exchange.voice("operator"))
        await centre.log_in()
        await exchange.to_queue(talking)  # and stays: the seat is his
        await talking.media.hear(exchange.says("operator"))
        async with exchange.caller(FIRST) as first:
            await exchange.to_queue(first)
            await takes_it(centre, first)
        made = await centre.promise(FIRST)
        assert made.told_at > datetime.now(UTC), "told by when, and that is to come"
        async with exchange.caller(PATIENT) as patient:
            await exchange.to_queue(patient)
            await patient.media.hear(exchange.prompt("offer"))  # and waits
            number, media = await asyncio.wait_for(anext(phones.calls()), 30)
            assert number == FIRST, "the seat is about to be free: he is called ahead"
            media.speak(exchange.voice("citizen"))  # the seat's telephone speaks to whom it hears
            await media.hear(exchange.prompt("promised-asked"))
            await media.press("1")
            await media.hear(exchange.prompt("connecting"))
            await exchange.queued(2)
            await talking.hang_up()
            await centre.event("ringing", caller=FIRST)  # the seat sees who it is
            await media.hear(exchange.says("operator"))
            seat.hang_up()
            await patient.media.hear(exchange.says("operator"))
            await patient.hang_up()
    kept = await centre.promise(FIRST, lambda kept: kept.state is State.KEPT)
    (ours,) = centre.attempts(FIRST)
    his = await centre.call_of(PATIENT, lambda call: call.ended_at)
    assert await answered_at(centre, ours.id) < his.answered_at
    assert kept.turn < his.queued_at
    asked = await centre.on_record(lambda conn: calls.get(conn, kept.linkedid), lambda call: call.ended_at)
    assert asked.end_cause == EndCause.PROMISED, "he did not give up"
    assert asked.answered_at is None


async def test_another_number_is_keyed_in_and_called(centre: Any) -> None:
    """His own is hidden; what he keys is said back to him, and a wrong one is asked for again."""
    exchange, prompt = centre.exchange, centre.exchange.prompt
    await centre.stop_line()
    centre.change(**SOON)
    await centre.start_line()
    async with exchange.caller("anonymous") as caller:
        await exchange.to_queue(caller)
        await caller.media.hear(prompt("offer"))
        await caller.media.press("1")
        await caller.media.hear(prompt("promise-ask-number"))
        await caller.media.press("112#")
        await caller.media.hear(prompt("promise-wrong-number"))
        await caller.media.press("0671112233#")
        await caller.media.hear(prompt("number-33"))
        await caller.media.hear(prompt("promise-number-keys"))
        await caller.media.press("1")
        await caller.media.hear(prompt("goodbye"))
        await caller.ended()
    assert (await centre.promise(FIRST)).language == "uk"


async def test_who_comes_when_it_is_closed_is_promised_a_call_for_when_it_opens(centre: Any) -> None:
    exchange, prompt = centre.exchange, centre.exchange.prompt
    await centre.stop_line()
    days = (day_of(datetime.now(UTC)) + timedelta(days=n) for n in (0, 1))  # the test may run over midnight
    centre.change(closed_days=[day.isoformat() for day in days])
    await centre.start_line()
    async with exchange.caller(FIRST) as caller:
        await caller.media.hear(prompt("closed-offer"))
        await caller.media.press("1")
        await caller.media.hear(prompt("promise-number-keys"))
        await caller.media.press("1")
        await caller.media.hear(prompt("goodbye"))
        await caller.ended()
    kept = await centre.promise(FIRST)
    assert kept.reason is Reason.CLOSED
    assert kept.told_at > datetime.now(UTC) + timedelta(days=1), "not before it opens"
    assert (await centre.call_of(FIRST, lambda call: call.ended_at)).end_cause == EndCause.CLOSED


async def test_who_gives_up_is_called_back(centre: Any) -> None:
    """He was not asked; that we call him he learns when we do."""
    exchange = centre.exchange
    await centre.stop_line()
    centre.change(promise_abandoned=1, promise_after=600)
    await centre.start_line()
    async with exchange.seat() as seat, centre.behind_trunk(Exchange(centre.landline_port)) as phones:
        seat.media.speak(exchange.voice("operator"))
        await centre.log_in()
        await centre.bus.request("pause", seat="101", reason="break")
        async with exchange.caller(FIRST) as caller:
            await exchange.to_queue(caller)
            await exchange.queued(1)
            await centre.on_record(lambda conn: calls.recent(conn)[0], lambda call: call.queued_at and (
                datetime.now(UTC) - call.queued_at).total_seconds() > 2)  # fmt: skip
            await caller.hang_up()
        await centre.promise(FIRST, lambda kept: kept.state is State.WAITING)
        assert phones.called() == [], "nobody is there to speak with him"
        await centre.bus.request("unpause", seat="101")
        _, media = await asyncio.wait_for(anext(phones.calls()), 30)
        await media.hear(exchange.prompt("promised-abandoned"))
        await media.hear(exchange.says("operator"), timeout=60)  # pressing nothing
        await centre.promise(FIRST, lambda kept: kept.state is State.KEPT)
        seat.hang_up()
