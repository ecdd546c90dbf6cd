"""A resident calls, is told his place, is answered, put on hold, hangs up: every part of it is on record, once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from crm import schema
from crm.calls import EndCause
from recordings import State


async def test_a_call_is_answered_recorded_and_written_down(centre: Any) -> None:
    exchange = centre.exchange
    voice, resident = exchange.voice("operator"), exchange.voice("resident")
    async with exchange.seat() as seat:
        seat.media.speak(voice)
        await centre.log_in()
        async with exchange.caller("0671112233", host="127.0.0.2") as caller:
            await caller.media.hear(exchange.prompt("greeting"))
            caller.media.speak(resident)
            await exchange.to_queue(caller)
            await caller.media.hear(exchange.prompt("queue-youarenext"))
            ringing = await centre.event("ringing", seat="101")
            assert ringing["caller"] == "+380671112233"
            await caller.media.hear(exchange.says("operator"))
            await seat.media.hear(exchange.says("resident"))
            await centre.seat_is("talking")
            for _ in range(50):  # a second of talk
                await caller.media.more()
            await caller.hang_up()
        call = await centre.call_of("+380671112233", lambda call: call.ended_at)
    assert (call.origin, call.end_cause, call.seat, call.staff_id) == ("mobile", EndCause.COMPLETED, "101", 1)
    assert call.position == 1
    assert 0 < call.wait_s < 30
    assert call.talk_s > 0
    assert centre.kinds(call.linkedid) == ["queued", "rang", "answered", "ended"]
    recording = select(schema.recording).where(schema.recording.c.linkedid == call.linkedid)
    row = await centre.on_record(lambda conn: conn.execute(recording).one(), lambda row: row.state == State.OK)
    assert row.duration_s > 0.5
    assert len(row.sha256) == 64
