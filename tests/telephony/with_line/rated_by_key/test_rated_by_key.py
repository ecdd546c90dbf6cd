"""The seat hangs up first; who is still there says by a key how it was, and it is the operator's who spoke."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, select

from crm import ratings, schema

CALLER = "+380671112233"


def score(conn: Connection) -> Any:
    return conn.execute(select(schema.rating)).one_or_none()


async def talk(exchange: Any, seat: Any, caller: Any) -> None:
    seat.media.speak(exchange.voice("operator"))
    await exchange.to_queue(caller)
    await caller.media.hear(exchange.says("operator"))


async def test_it_is_kept_and_tied_to_the_operator(centre: Any) -> None:
    exchange = centre.exchange
    async with exchange.seat() as seat:
        await centre.log_in()
        async with exchange.caller("0671112233", host="127.0.0.2") as caller:
            await talk(exchange, seat, caller)
            await centre.seat_is("talking")
            seat.hang_up()
            await caller.media.hear(exchange.prompt("rate"))
            await caller.media.press("4")
            await caller.media.hear(exchange.prompt("rate-thanks"))
            row = await centre.on_record(score, bool)
            await caller.ended()
    call = await centre.call_of(CALLER, lambda call: call.ended_at)
    assert (row.linkedid, row.score, row.seat, row.staff_id) == (call.linkedid, 4, "101", 1)
    assert call.end_cause == "completed"


@pytest.mark.parametrize("key", ["9", ""])
async def test_no_answer_is_no_score(centre: Any, key: str) -> None:
    exchange = centre.exchange
    async with exchange.seat() as seat:
        await centre.log_in()
        async with exchange.caller("0671112233", host="127.0.0.2") as caller:
            await talk(exchange, seat, caller)
            seat.hang_up()
            await caller.media.hear(exchange.prompt("rate"))
            if key:
                await caller.media.press(key)
            await caller.media.hear(exchange.prompt("goodbye"))
            await caller.ended()
    await centre.call_of(CALLER, lambda call: call.ended_at)
    assert centre.read(score) is None


async def test_it_is_kept_while_we_are_away(centre: Any) -> None:
    exchange = centre.exchange
    async with exchange.seat() as seat:
        await centre.log_in()
        async with exchange.caller("0671112233", host="127.0.0.2") as caller:
            await talk(exchange, seat, caller)
            await centre.call_of(CALLER, lambda call: call.answered_at)
            await centre.kill_line()
            seat.hang_up()
            await caller.media.hear(exchange.prompt("rate"))
            await caller.media.press("5")
            await caller.media.hear(exchange.prompt("rate-thanks"))
            await caller.ended()
        await centre.start_line()
        row = await centre.on_record(score, bool)
    assert (row.score, row.seat, row.staff_id) == (5, "101", 1)
    assert centre.read(lambda conn: ratings.of_person(conn, 1, row.at.replace(hour=0), row.at)).counts == {5: 1}


async def test_it_is_not_asked_when_the_centre_does_not_want_to(centre: Any) -> None:
    exchange = centre.exchange
    await centre.stop_line()
    centre.change(rate_calls=False)
    await centre.start_line()
    async with exchange.seat() as seat:
        await centre.log_in()
        async with exchange.caller("0671112233", host="127.0.0.2") as caller:
            await talk(exchange, seat, caller)
            seat.hang_up()
            await caller.media.hear(exchange.prompt("goodbye"))
            assert not caller.media.has_heard(exchange.prompt("rate"))
            await caller.ended()
