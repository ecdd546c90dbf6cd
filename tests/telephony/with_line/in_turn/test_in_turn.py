"""Emergencies, the privileged, the patient and the ordinary come one after the other and are served by their turns:
nobody before one who came much earlier; and who has left the queue to hear us stands where he stood."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from call_queue import order
from crm import citizens, promises, schema
from crm.calls import Priority
from crm.promise_rules import Reason

FIRST, SECOND = "+380441110001", "+380441110002"
VETERAN, BURST_PIPE, PATIENT = "+380441110003", "+380441110004", "+380441110005"
CAME = (FIRST, SECOND, VETERAN, BURST_PIPE, PATIENT)
TURNS = (PATIENT, BURST_PIPE, VETERAN, FIRST, SECOND)


async def test_ageing_order_with_mixed_priorities(centre: Any) -> None:
    exchange, now = centre.exchange, datetime.now(UTC)
    longest = max(order.Rules().head_start_s.values())

    def known(conn: Connection) -> None:
        citizens.add(conn, now=now, name="Ветеран", phones=[VETERAN], privilege="war_veteran")
        promises.make(conn, e164=PATIENT, reason=Reason.WAITING, now=now, since=now - timedelta(seconds=longest + 60),
                      rules=centre.settings.promise_rules)  # fmt: skip

    await centre.stop_line()
    centre.write(known)
    await centre.start_line()
    async with AsyncExitStack() as phones, exchange.seat() as seat:
        seat.media.speak(exchange.voice("operator"))
        callers = {}
        for waiting, number in enumerate(CAME, 1):
            callers[number] = caller = await phones.enter_async_context(exchange.caller(number))
            await exchange.to_queue(caller, "4" if number == BURST_PIPE else "0")
            await exchange.queued(waiting)
        # As they came, behind who is promised a call.
        for number, said in ((FIRST, "digits/2"), (SECOND, "digits/3"), (VETERAN, "digits/2"), (BURST_PIPE, "digits/2"),
                             (PATIENT, "queue-youarenext")):  # fmt: skip
            await callers[number].media.hear(exchange.prompt(said))
        stand = await centre.snapshot(lambda s: len(s["waiting"]) == 5)
        assert [one["caller"] for one in stand["waiting"]] == list(TURNS)
        asterisks = exchange.in_queue()

        # The first one leaves to hear us, and comes back.
        await exchange.withdraw(asterisks[TURNS.index(FIRST)])
        await callers[FIRST].media.hear(exchange.prompt("digits/4"))
        stand = await centre.snapshot(lambda s: len(s["waiting"]) == 5)
        assert [one["caller"] for one in stand["waiting"]] == list(TURNS), "who listens still waits"
        await exchange.until(lambda: exchange.in_queue() == asterisks)

        await centre.log_in()
        for served, number in enumerate(TURNS, 1):
            await callers[number].media.hear(exchange.says("operator"))
            assert len(seat.called()) == served
            for later in TURNS[served:]:
                assert not callers[later].media.has_heard(exchange.says("operator"))
            await callers[number].hang_up()
    call = schema.call.c
    query = select(call.caller, call.priority).order_by(call.answered_at)
    rows = await centre.on_record(lambda conn: conn.execute(query.where(call.caller.in_(CAME))).all(),
                                  lambda rows: len(rows) == 5)  # fmt: skip
    assert [tuple(row) for row in rows] == [
        (PATIENT, Priority.ORDINARY), (BURST_PIPE, Priority.EMERGENCY), (VETERAN, Priority.PRIVILEGED),
        (FIRST, Priority.ORDINARY), (SECOND, Priority.ORDINARY)]  # fmt: skip
    waited = centre.read(lambda conn: conn.execute(select(call.wait_s).where(call.caller == FIRST)).scalar())
    slices = select(schema.call_event.c.id).join(schema.call, call.linkedid == schema.call_event.c.linkedid).where(
        schema.call_event.c.kind == "queued", call.caller == FIRST)  # fmt: skip
    assert waited > 0
    assert len(centre.read(lambda conn: conn.execute(slices).all())) == 1, "in two slices he waited once"
