"""A progressive campaign: a free seat is rung first, the resident once it has picked up; what he says goes to the
appeal, and the next call comes when that is written down."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from centre.phones import Exchange
from crm import appeals, campaign_figures, campaigns, confirmations, schema
from crm.campaign_rules import Mode, Step, Terms
from crm.confirmation_rules import Reached, Result
from crm.life import State

FIRST, SECOND = "+380442223344", "+380443334455"


def started(conn: Connection) -> int:
    now = datetime.now(UTC)
    made = campaigns.save(conn, None, None, Terms("Гаряча вода", Mode.PROGRESSIVE), staff_id=1, now=now)
    campaigns.step(conn, made, Step.START, version=1, staff_id=1, now=now)
    return made


async def test_a_seat_first_then_the_resident_then_the_next(centre: Any) -> None:
    exchange, rules = centre.exchange, centre.settings.callback_rules
    first, second = (centre.appeal(phone, auto=False) for phone in (FIRST, SECOND))
    async with exchange.seat() as seat, centre.behind_trunk(Exchange(centre.landline_port)) as phones:
        seat.media.speak(exchange.voice("feedback"))
        await centre.log_in(staff_id=2, queues=("feedback",))
        campaign = centre.write(started)
        await centre.bus.request("changed")
        await seat.media.hear(exchange.prompt("confirm-live-greeting"))
        async for number, resident in phones.calls(60):
            assert number == FIRST, "who has waited longest"
            resident.speak(exchange.voice("resident"))
            await resident.hear(exchange.says("feedback"))
            break
        await seat.media.hear(exchange.says("resident"))
        attempt = await centre.attempt(FIRST, lambda row: row.answered_at)
        assert (attempt.mode, attempt.seat, attempt.staff_id) == ("live", "101", 2)
        await centre.snapshot(lambda s: ("101", attempt.id) in {(one["seat"], one["linkedid"]) for one in s["seats"]})
        seat.hang_up()
        await centre.call_of(FIRST, lambda call: call.ended_at)
        await centre.seat_is("free")
        await centre.bus.request("changed")
        await centre.snapshot(lambda s: s["callbacks"] == {"due": 1, "calling": 1})
        assert phones.called() == [FIRST], "the seat has something to write down"

        def written(conn: Connection) -> None:
            now = datetime.now(UTC)
            confirmations.answer(conn, number=first.number, result=Result.SOLVED, now=now, attempt_id=attempt.id,
                                 staff_id=2)  # fmt: skip
            confirmations.finish(conn, attempt.id, Reached.ANSWERED, now, rules=rules)

        centre.write(written)
        await centre.bus.request("changed")
        async for number, resident in phones.calls(60):
            if number == SECOND:
                resident.speak(exchange.voice("resident"))
                await resident.hear(exchange.says("feedback"))
                break
        await centre.attempt(SECOND, lambda row: row.answered_at)
        seat.hang_up()
        await centre.call_of(SECOND, lambda call: call.ended_at)
        assert phones.called() == [FIRST, SECOND], "each once"

    def counts(conn: Connection) -> dict[str, int]:
        one = campaigns.get(conn, campaign)
        return dict(+campaign_figures.progress(conn, one, datetime.now(UTC), rules).counts)

    assert centre.read(counts) == {"planned": 2, "called": 2, "reached": 2, "solved": 1, "left": 1}
    assert centre.read(lambda conn: appeals.get(conn, first.id)).state is State.CLOSED
    assert centre.read(lambda conn: appeals.get(conn, second.id)).state is State.AWAITING


async def test_a_seat_that_does_not_pick_up_costs_nobody_a_try_and_another_calls(centre: Any) -> None:
    exchange = centre.exchange
    centre.appeal(FIRST, auto=False)
    async with exchange.seat(answer=486), exchange.seat("102") as seat, \
            centre.behind_trunk(Exchange(centre.landline_port)) as phones:  # fmt: skip
        seat.media.speak(exchange.voice("feedback"))
        for number, staff_id in (("101", 1), ("102", 2)):
            await centre.log_in(number, staff_id=staff_id, queues=("feedback",))
        centre.write(started)
        await centre.bus.request("changed")
        async for _, resident in phones.calls(60):
            resident.speak(exchange.voice("resident"))
            await resident.hear(exchange.says("feedback"))
            break
        await centre.attempt(FIRST, lambda row: row.answered_at, count=2)
        seat.hang_up()
        await centre.call_of(FIRST, lambda call: call.ended_at)
        assert phones.called() == [FIRST]
    tries = select(schema.attempt.c.seat, schema.attempt.c.outcome).order_by(schema.attempt.c.placed_at)
    placed = centre.read(lambda conn: [tuple(row) for row in conn.execute(tries)])
    assert placed == [("101", "not_placed"), ("102", "")]
    assert centre.read(lambda conn: conn.scalar(select(schema.callback_appeal.c.tries))) == 1
