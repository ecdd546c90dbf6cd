"""A seat's page is gone in mid-call: the citizen hears a word and is brought back; it is one call and one recording."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from centre.phones import Callee
from crm import schema
from crm.calls import EndCause
from recordings import State

CITIZEN = "+380671112233"


async def lost(centre: Any, seat: str = "101") -> bool:
    """The page that comes next asks for the telephone, twice: whoever is impatient reloads again."""
    replies = [await centre.bus.request("phone", seat=seat, staff_id=1) for _ in range(2)]
    assert replies[0]["returning"] == replies[1]["returning"]
    return bool(replies[0]["returning"])


async def recorded(centre: Any, linkedid: str) -> list[Any]:
    """The call's recordings, when they have been measured."""
    rows = select(schema.recording).where(schema.recording.c.linkedid == linkedid)
    found: list[Any] = await centre.on_record(lambda conn: conn.execute(rows).all(),
                                              lambda rows: rows and rows[-1].state == State.OK)  # fmt: skip
    return found


async def test_he_is_brought_back_to_the_same_seat(centre: Any) -> None:
    """From hold, too. Then the seat does not come back at all, and another one serves him."""
    exchange = centre.exchange
    async with exchange.caller(CITIZEN, host="127.0.0.2") as caller, exchange.seat() as seat:
        seat.media.speak(exchange.voice("first"))
        await centre.log_in()
        await exchange.to_queue(caller)
        await caller.media.hear(exchange.says("first"))
        seat.hold()
        await centre.seat_is("hold")
        async with exchange.seat() as again, exchange.seat("102") as other:
            await seat.vanish()
            caller.media.forget()
            assert await lost(centre)
            again.media.speak(exchange.voice("again"))
            await caller.media.hear(exchange.prompt("seat-lost"))
            await caller.media.hear(exchange.says("again"))
            await again.media.hear(exchange.says("citizen"))
            await centre.seat_is("talking")
            first = await centre.call_of(CITIZEN)
            assert (first.seat, first.ended_at) == ("101", None)
            assert len(again.called()) == 1
            await centre.bus.request("logout", seat="101")
            other.media.speak(exchange.voice("other"))
            await centre.log_in("102", staff_id=2)
            await again.vanish()
            caller.media.forget()
            assert await lost(centre)
            await caller.media.hear(exchange.prompt("seat-lost"))
            await caller.media.hear(exchange.says("other"))
            await caller.hang_up()
            call = await centre.call_of(CITIZEN, lambda call: call.ended_at)
    assert (call.seat, call.end_cause) == ("102", EndCause.COMPLETED)
    assert [kind for kind in centre.kinds(call.linkedid) if kind not in ("rang", "held")] == [
        "queued", "answered", "returning", "returning", "answered", "ended"]  # fmt: skip
    assert call.wait_s == first.wait_s
    assert [row.state for row in await recorded(centre, call.linkedid)] == [State.OK]
    assert not await lost(centre, "102")  # it has ended
    await exchange.idle()


async def test_whom_we_called_comes_back_as_well(centre: Any) -> None:
    exchange, home = centre.exchange, "+380442223344"
    centre.appeal(home, auto=False)
    async with centre.behind_trunk(Callee(centre.landline_port)) as phone, exchange.seat() as seat:
        phone.media.speak(exchange.voice("resident"))
        seat.media.speak(exchange.voice("feedback"))
        await centre.log_in(staff_id=1, queues=("feedback",))
        callback = centre.read(lambda conn: conn.execute(select(schema.callback)).one())
        placed = await centre.bus.request("call", callback_id=callback.id, seat="101", staff_id=1)
        await phone.media.hear(exchange.says("feedback"))
        await centre.seat_is("talking")
        async with exchange.seat() as again:
            await seat.vanish()
            assert await lost(centre)
            again.media.speak(exchange.voice("again"))
            await phone.media.hear(exchange.prompt("seat-lost"))
            await phone.media.hear(exchange.says("again"))
            await again.media.hear(exchange.says("resident"))
            await centre.seat_is("talking")
            again.hang_up()
            call = await centre.call_of(home, lambda call: call.ended_at)
    assert (call.linkedid, call.seat, call.end_cause) == (placed["attempt"], "101", EndCause.COMPLETED)
    kinds = centre.kinds(call.linkedid)
    assert kinds.count("answered") == kinds.count("ended") == kinds.count("returning") == 1
    assert [row.state for row in await recorded(centre, call.linkedid)] == [State.OK]
    await exchange.idle()
