"""A seat calls the services, and whom it was cut off from, and gives citizens to them; nobody else is dialled."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from centre.phones import Callee
from crm import schema
from crm.calls import EndCause

CITIZEN, OFFICE, STRANGER = "+380671112233", "+380440001001", "+380501234567"


def outgoing(conn: Connection) -> list[Any]:
    """The calls that seats have made, in order."""
    call = schema.call
    return list(conn.execute(select(call).where(call.c.direction == "out").order_by(call.c.arrived_at)))


async def test_whom_a_seat_may_call(centre: Any) -> None:
    exchange = centre.exchange
    async with exchange.seat() as seat, centre.behind_trunk(Callee(centre.landline_port)) as outside:
        seat.media.speak(exchange.voice("operator"))
        outside.media.speak(exchange.voice("service"))
        await centre.log_in()
        async with exchange.caller(CITIZEN, host="127.0.0.2") as caller:
            await exchange.to_queue(caller)
            await caller.media.hear(exchange.says("operator"))
            seat.hold()
            await centre.seat_is("hold")
            async with seat.dials("0102") as asking:
                asking.media.speak(exchange.voice("asking"))
                await asking.media.hear(exchange.says("service"))
                await outside.media.hear(exchange.says("asking"))
                await centre.on_record(outgoing, lambda rows: rows and rows[-1].answered_at)
                await centre.seat_is("hold")
                seat.transfer("0102", replaces=asking.dialogue())
                await caller.media.hear(exchange.says("service"))
                await outside.media.hear(exchange.says("citizen"))
                await asking.ended()
            await centre.seat_is("free")
            outside.hang_up()
            await caller.media.hear(exchange.prompt("rate"))
            await caller.hang_up()
        call = await centre.call_of(CITIZEN, lambda call: call.ended_at)
        assert (call.seat, call.end_cause) == ("101", EndCause.COMPLETED)
        assert "transferred" in centre.kinds(call.linkedid)
        [service] = await centre.on_record(outgoing, lambda rows: rows[-1].ended_at)
        assert (service.seat, service.staff_id, service.outcome) == ("101", 1, "transferred")
        assert "dialled" in centre.kinds(service.linkedid)

        async with exchange.caller(CITIZEN, host="127.0.0.2") as caller:
            await exchange.to_queue(caller)
            await caller.media.hear(exchange.says("operator"))
            seat.transfer(OFFICE)
            await caller.media.hear(exchange.says("service"))
            await caller.hang_up()
        await centre.call_of(CITIZEN, lambda call: call.ended_at)

        for dialled in (STRANGER, "0501234567"):
            async with seat.dials(dialled) as refused:
                await refused.media.hear(exchange.prompt("dial-refused"))
                await refused.ended()
        for dialled in (OFFICE, CITIZEN, "0671112233"):
            async with seat.dials(dialled) as allowed:
                allowed.media.speak(exchange.voice("asking"))
                await allowed.media.hear(exchange.says("service"))
                await allowed.hang_up()
            await centre.on_record(outgoing, lambda rows: all(row.ended_at for row in rows))
        assert outside.called() == ["102", OFFICE, OFFICE, CITIZEN, CITIZEN]
        call, recording = schema.call.c, schema.recording.c
        recorded = select(call.caller).where(call.linkedid == recording.linkedid, call.direction == "out")
        assert centre.read(lambda conn: conn.scalars(recorded).all()) == [CITIZEN, CITIZEN]
