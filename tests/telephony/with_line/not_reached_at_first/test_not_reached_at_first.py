"""Whom we promised a call does not pick up: he is called again; never reached, it is said so and he is to be told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from centre.phones import Callee, Exchange
from crm import promises
from crm.promise_rules import Reason, State

HOME = "+380671112233"


async def promised(centre: Any, **settings: Any) -> None:
    """A promise is on record as the line begins, and a seat is free."""
    await centre.stop_line()
    centre.change(**settings)
    rules = centre.settings.promise_rules

    def make(conn: Connection) -> None:
        promises.make(conn, e164=HOME, reason=Reason.WAITING, now=datetime.now(UTC), rules=rules)

    centre.write(make)
    await centre.start_line()
    await centre.log_in()


async def test_he_is_called_again(centre: Any) -> None:
    exchange = centre.exchange
    async with exchange.seat() as seat:
        seat.media.speak(exchange.voice("operator"))
        await promised(centre, promise_retry=1, promise_tries=10)
        async with centre.behind_trunk(Callee(centre.landline_port, answer=480)):
            await centre.promise(HOME, lambda kept: kept.tries and kept.state is State.WAITING)
        async with centre.behind_trunk(Exchange(centre.landline_port)) as phones:
            _, media = await asyncio.wait_for(anext(phones.calls()), 30)
            await media.hear(exchange.prompt("promised-keys"))
            await media.press("1")
            await media.hear(exchange.says("operator"))
            seat.hang_up()
            await centre.promise(HOME, lambda kept: kept.state is State.KEPT)
    *vain, last = await centre.on_record(lambda conn: centre.attempts(HOME), lambda rows: rows[-1].ended_at)
    assert {one.outcome for one in vain} <= {"no_answer", "failed"}  # failed: as the trunk went down
    assert vain[0].outcome == "no_answer"
    assert last.outcome == "answered"


async def test_never_reached_he_is_to_be_told(centre: Any) -> None:
    exchange = centre.exchange
    async with exchange.seat(), centre.behind_trunk(Callee(centre.landline_port, answer=486)) as phones:
        await promised(centre, promise_retry=1, promise_tries=2)
        await centre.promise(HOME, lambda kept: kept.state is State.UNREACHED)
        assert phones.called() == [HOME, HOME]
    assert [one.e164 for one in centre.read(promises.to_tell)] == [HOME]


async def test_a_key_says_that_he_is_not_to_be_called(centre: Any) -> None:
    exchange = centre.exchange
    async with exchange.seat(), centre.behind_trunk(Exchange(centre.landline_port)) as phones:
        await promised(centre)
        _, media = await asyncio.wait_for(anext(phones.calls()), 30)
        await media.hear(exchange.prompt("promised-keys"))
        await media.press("3")
        await media.hear(exchange.prompt("promised-silenced"))
        await centre.promise(HOME, lambda kept: kept.state is State.WITHDRAWN)
    assert centre.read(lambda conn: promises.is_silenced(conn, HOME))
