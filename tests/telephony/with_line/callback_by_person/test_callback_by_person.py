"""Feedback staff call a resident from a seat: seat first, then resident; the outcome is what they write."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from centre.phones import Callee
from crm import schema
from crm.errors import CentreError

HOME = "+380442223344"


def home(centre: Any, **how: Any) -> Any:
    return centre.behind_trunk(Callee(centre.landline_port, **how))


def callback(centre: Any) -> Any:
    return centre.read(lambda conn: conn.execute(select(schema.callback)).one())


async def test_they_speak_and_it_is_recorded(centre: Any) -> None:
    exchange = centre.exchange
    centre.appeal(HOME, auto=False)
    async with exchange.seat() as seat, home(centre) as phone:
        seat.media.speak(exchange.voice("feedback"))
        phone.media.speak(exchange.voice("resident"))
        await centre.log_in(staff_id=2, queues=("city", "feedback"))
        placed = await centre.bus.request("call", callback_id=callback(centre).id, seat="101", staff_id=2)
        await seat.media.hear(exchange.prompt("confirm-live-greeting"))
        await phone.media.hear(exchange.says("feedback"))
        await seat.media.hear(exchange.says("resident"))
        attempt = await centre.attempt(HOME, lambda row: row.answered_at)
        assert (attempt.id, attempt.mode, attempt.staff_id, attempt.ended_at) == (placed["attempt"], "live", 2, None)
        with pytest.raises(CentreError, match=r"callback\.calling|seat\.on_call"):
            await centre.bus.request("call", callback_id=callback(centre).id, seat="101", staff_id=2)
        seat.hang_up()
        call = await centre.call_of(HOME, lambda call: call.ended_at)
        assert call.talk_s > 0
        assert (call.seat, call.staff_id, call.direction) == ("101", 2, "out")
        rows = select(schema.recording).where(schema.recording.c.linkedid == attempt.id)
        await centre.on_record(lambda conn: conn.execute(rows).one(), lambda row: row.state == "ok")
    # The call is over; what was said is still to be written down, and until then nobody else calls him.
    assert (await centre.attempt(HOME)).ended_at is None


async def test_busy_is_told_by_the_network(centre: Any) -> None:
    exchange = centre.exchange
    centre.appeal(HOME, auto=False)
    async with exchange.seat() as seat, home(centre, answer=486):
        await centre.log_in(staff_id=2)
        await centre.bus.request("call", callback_id=callback(centre).id, seat="101", staff_id=2)
        await seat.media.hear(exchange.prompt("call-failed"))
        attempt = await centre.attempt(HOME, lambda row: row.ended_at)
    assert attempt.outcome == "busy"


async def test_a_seat_that_does_not_pick_up_costs_the_resident_no_try(centre: Any) -> None:
    exchange = centre.exchange
    centre.appeal(HOME, auto=False)
    async with exchange.seat(answer=486), home(centre) as phone:
        await centre.log_in(staff_id=2)
        await centre.bus.request("call", callback_id=callback(centre).id, seat="101", staff_id=2)
        attempt = await centre.attempt(HOME, lambda row: row.ended_at)
        assert phone.called() == []
    assert attempt.outcome == "not_placed"
    tries = select(schema.callback_appeal.c.tries)
    assert centre.read(lambda conn: conn.execute(tries).scalar_one()) == 0
    assert callback(centre).state == "due"


async def test_a_seat_that_hangs_up_before_he_is_called_costs_him_no_try(centre: Any) -> None:
    exchange = centre.exchange
    centre.appeal(HOME, auto=False)
    async with exchange.seat() as seat, home(centre) as phone:
        await centre.log_in(staff_id=2)
        await centre.bus.request("call", callback_id=callback(centre).id, seat="101", staff_id=2)
        recording = select(schema.recording)  # the seat has picked up, and hears to whom it will be connected
        await centre.on_record(lambda conn: conn.execute(recording).first(), lambda row: row is not None)
        seat.hang_up()
        attempt = await centre.attempt(HOME, lambda row: row.ended_at)
        assert phone.called() == []
    assert attempt.outcome == "not_placed"
    assert callback(centre).state == "due"
