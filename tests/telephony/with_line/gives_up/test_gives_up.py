"""A caller who hides his number waits, is seen waiting, gives up: his wait is on record, and that he gave up."""

from __future__ import annotations

from typing import Any

from crm.calls import EndCause


async def test_two_wait_in_order_and_one_gives_up(centre: Any) -> None:
    exchange = centre.exchange
    async with exchange.caller("anonymous") as first, exchange.caller("0671112233") as second:
        await exchange.to_queue(first)
        await first.media.hear(exchange.prompt("queue-youarenext"))
        await exchange.to_queue(second)
        for name in ("queue-thereare", "digits/2", "queue-callswaiting"):
            await second.media.hear(exchange.prompt(name))
        both = await centre.snapshot(lambda s: len(s["waiting"]) == 2)
        assert [(w["caller"], w["position"]) for w in both["waiting"]] == [("", 1), ("+380671112233", 2)]
        await first.hang_up()
        left = await centre.snapshot(lambda s: len(s["waiting"]) == 1)
        assert [(w["caller"], w["position"]) for w in left["waiting"]] == [("+380671112233", 1)]
        await second.hang_up()
    hidden = await centre.call_of("", lambda call: call.ended_at)
    call = await centre.call_of("+380671112233", lambda call: call.ended_at)
    assert {hidden.end_cause, call.end_cause} == {EndCause.ABANDONED}
    assert (call.position, call.answered_at, call.talk_s) == (2, None, None)
    assert hidden.wait_s > 0
