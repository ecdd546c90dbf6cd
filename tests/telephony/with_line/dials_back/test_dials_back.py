"""A resident who calls by himself while we wait for his word is asked then, and is not called any more."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from crm import appeals, schema


async def test_key_3_closes_what_awaits_his_word(centre: Any) -> None:
    exchange = centre.exchange
    made = centre.appeal("+380442223344", auto=False)
    async with exchange.caller("0442223344") as caller:
        await caller.media.hear(exchange.prompt("menu-pending"))
        await caller.media.press("3")
        await caller.media.hear(exchange.prompt("confirm-answer-keys"))
        await caller.media.press("1")
        await caller.media.hear(exchange.prompt("confirm-thanks-solved"))
        await caller.hang_up()
    await centre.appeal_is(made, "closed")
    closing = centre.read(lambda conn: appeals.history(conn, made.id))[-1]
    call = await centre.call_of("+380442223344", lambda call: call.ended_at)
    assert (closing.evidence["key"], closing.evidence["linkedid"]) == ("1", call.linkedid)
    assert centre.read(lambda conn: conn.execute(select(schema.callback.c.state)).scalar_one()) == "done"
