"""The centre calls a resident who lets a machine ask: 1 closes, 2 returns, no key or 0 leads to a person, and who is
not reached is tried again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select

from centre.phones import Callee, Exchange, Media
from crm import appeals, confirmations, schema
from crm.confirmations import Attempt

HOME = "+380442223344"


def homes(centre: Any, **how: Any) -> Any:
    """Every telephone of the city, behind the trunk."""
    phones = Callee(centre.landline_port, **how) if "answer" in how else Exchange(centre.landline_port, **how)
    return centre.behind_trunk(phones)


async def called(phones: Any) -> tuple[str, Media]:
    """The first call: the number that was dialled, and its audio."""
    return await asyncio.wait_for(anext(phones.calls()), 30)


async def test_his_key_closes_or_returns_each_of_his_appeals(centre: Any) -> None:
    """One call asks about all of them; the key and the call are the closing's evidence; 1551 is shown."""
    prompt = centre.exchange.prompt
    async with homes(centre) as phones:
        solved, not_solved = centre.appeal(HOME), centre.appeal(HOME)
        await centre.bus.request("changed", what="callbacks")
        number, media = await called(phones)
        assert number == HOME
        for key, thanks in (("1", "confirm-thanks-solved"), ("2", "confirm-thanks-not-solved")):
            await media.hear(prompt("confirm-question"))
            await media.hear(prompt("confirm-answer-keys"))
            media.forget()
            await media.press(key)
            await media.hear(prompt(thanks))
        await centre.appeal_is(solved, "closed")
        await centre.appeal_is(not_solved, "returned")
        attempt = await centre.attempt(HOME, lambda row: row.ended_at)
        assert "1551" in next(line for line in phones.messages().splitlines() if line.startswith("From:"))
    assert (attempt.outcome, attempt.mode) == ("answered", "auto")
    closing = centre.read(lambda conn: appeals.history(conn, solved.id))[-1]
    assert closing.evidence == {"linkedid": attempt.id, "key": "1", "attempt": attempt.id, "result": "solved"}
    call = await centre.call_of(HOME, lambda call: call.ended_at)
    assert (call.direction, call.origin, call.outcome) == ("out", "centre", "confirmed")


async def test_no_key_leads_to_a_person_never_to_an_outcome(centre: Any) -> None:
    prompt = centre.exchange.prompt
    async with homes(centre) as phones:
        made = centre.appeal(HOME)
        await centre.bus.request("changed", what="callbacks")
        _, media = await called(phones)
        await media.hear(prompt("confirm-answer-keys"))
        await media.hear(prompt("goodbye"), timeout=60)
        attempt = await centre.attempt(HOME, lambda row: row.ended_at)
    assert attempt.outcome == "no_key"
    assert centre.read(lambda conn: appeals.get(conn, made.id)).state == "awaiting"
    await centre.callback_is(lambda row: row.mode == "live")


async def test_key_0_brings_him_to_a_person_and_nobody_calls_him_meanwhile(centre: Any) -> None:
    exchange = centre.exchange
    voice = exchange.voice("operator")
    async with exchange.seat() as seat, homes(centre) as phones:
        seat.media.speak(voice)
        await centre.log_in()
        centre.appeal(HOME)
        await centre.bus.request("changed", what="callbacks")
        _, media = await called(phones)
        await media.hear(exchange.prompt("confirm-answer-keys"))
        await media.press("0")
        await media.hear(exchange.says("operator"))
        attempt = await centre.attempt(HOME)
        assert attempt.ended_at is None
        seat.hang_up()
        ended = await centre.attempt(HOME, lambda row: row.ended_at)
        assert ended.outcome == "person"
        callback = await centre.callback_is(lambda row: row.state == "due")
        assert callback.mode == "live"


@pytest.mark.parametrize(("answer", "outcome", "again_s"), [
    (486, "busy", 1800), (480, "no_answer", 7200), (404, "failed", 7200)])  # fmt: skip
async def test_who_is_not_reached_is_tried_again_by_the_cause(centre: Any, answer: int, outcome: str,
                                                              again_s: int) -> None:  # fmt: skip
    async with homes(centre, answer=answer):
        made = centre.appeal(HOME)
        await centre.bus.request("changed", what="callbacks")
        attempt = await centre.attempt(HOME, lambda row: row.ended_at)
        callback = await centre.callback_is(lambda row: row.state == "due")
    assert attempt.outcome == outcome
    assert again_s <= (callback.due_at - attempt.ended_at).total_seconds() + 1
    assert centre.read(lambda conn: appeals.get(conn, made.id)).state == "awaiting"


async def test_an_attempt_committed_and_never_dialled_is_over_when_it_can_ring_no_longer(centre: Any) -> None:
    """What a crash between the two leaves behind."""
    await centre.kill_line()
    made = centre.appeal(HOME)

    def claim(conn: Connection) -> Attempt | None:
        long_ago = datetime.now(UTC) - timedelta(minutes=5)
        callback_id = conn.execute(select(schema.callback.c.id)).scalar_one()
        return confirmations.claim(conn, callback_id, now=long_ago, rules=centre.settings.callback_rules)

    centre.write(claim)
    await centre.start_line()
    attempt = await centre.attempt(HOME, lambda row: row.ended_at)
    assert attempt.outcome == "unknown"
    assert centre.read(lambda conn: appeals.get(conn, made.id)).state == "awaiting"
