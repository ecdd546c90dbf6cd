"""Outside opening hours a caller hears so, can still ask for the state of his appeals, and never waits in vain."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from crm.calls import EndCause
from crm.clock import KYIV


async def test_hears_that_it_is_closed_and_the_state_of_his_appeals(centre: Any) -> None:
    exchange = centre.exchange
    await centre.stop_line()
    days = (datetime.now(KYIV) + timedelta(days=n) for n in (0, 1))  # the test may run over midnight
    centre.change(closed_days=[day.date().isoformat() for day in days])
    await centre.start_line()
    centre.appeal("+380442223344", execute=False)
    async with exchange.caller("0442223344") as caller:
        await caller.media.hear(exchange.prompt("closed-offer"))
        await caller.media.press("2")
        await caller.media.hear(exchange.prompt("state-assigned"))
        await caller.media.hear(exchange.prompt("goodbye"))
        await caller.ended()
    call = await centre.call_of("+380442223344", lambda call: call.ended_at)
    assert (call.end_cause, call.queued_at) == (EndCause.CLOSED, None)
