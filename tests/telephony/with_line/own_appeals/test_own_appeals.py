"""A resident hears the state of his appeals by keys: by his telephone's number, or by an appeal's number and code."""

from __future__ import annotations

from typing import Any

from crm.calls import EndCause


async def test_from_another_telephone_by_number_and_code(centre: Any) -> None:
    exchange = centre.exchange
    made = centre.appeal("+380442223344", execute=False)
    async with exchange.caller("0671112233") as caller:
        await caller.media.hear(exchange.prompt("menu"))
        await caller.media.press("2")
        await caller.media.hear(exchange.prompt("no-appeals"))
        wrong = f"{(int(made.code) + 1) % 10000:04}"
        for code, answer in ((wrong, "wrong-number-or-code"), (made.code, "state-assigned")):
            caller.media.forget()
            await caller.media.hear(exchange.prompt("ask-number"))
            await caller.media.press(str(made.number))
            await caller.media.hear(exchange.prompt("ask-code"))
            await caller.media.press(code)
            await caller.media.hear(exchange.prompt(answer))
        await caller.media.hear(exchange.prompt("due-by"))
        await caller.hang_up()
    call = await centre.call_of("+380671112233", lambda call: call.ended_at)
    assert (call.choice, call.end_cause, call.queued_at) == ("status", EndCause.IVR, None)


async def test_from_his_own_telephone_without_asking(centre: Any) -> None:
    exchange = centre.exchange
    centre.appeal("+380442223344", execute=False)
    centre.appeal("+380442223344")
    async with exchange.caller("0442223344") as caller:
        await caller.media.hear(exchange.prompt("menu-pending"))
        await caller.media.press("2")
        await caller.media.hear(exchange.prompt("state-assigned"))
        await caller.media.hear(exchange.prompt("state-awaiting"))
        await caller.hang_up()
