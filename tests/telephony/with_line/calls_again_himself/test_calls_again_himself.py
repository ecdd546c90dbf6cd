"""Whom we promised a call calls again himself: he hears that his place is kept, stands in it, is not called too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from centre.phones import Exchange
from crm import promises
from crm.promise_rules import Reason, State

HOME, PATIENT = "+380671112233", "+380442223344"


async def test_he_takes_his_own_place(centre: Any) -> None:
    exchange = centre.exchange
    await centre.stop_line()

    def make(conn: Connection) -> None:
        since = datetime.now(UTC) - timedelta(minutes=5)
        promises.make(conn, e164=HOME, reason=Reason.WAITING, now=datetime.now(UTC), since=since,
                      rules=centre.settings.promise_rules)  # fmt: skip

    centre.write(make)
    await centre.start_line()
    async with exchange.seat() as seat, centre.behind_trunk(Exchange(centre.landline_port)) as phones:
        seat.media.speak(exchange.voice("operator"))
        async with exchange.caller(PATIENT) as patient:
            await exchange.to_queue(patient)
            await exchange.queued(1)
            async with exchange.caller(HOME) as caller:
                await caller.media.hear(exchange.prompt("promised-already"))
                await exchange.to_queue(caller)
                await exchange.queued(2)
                await centre.promise(HOME, lambda kept: kept.met_by)
                await centre.log_in()
                await caller.media.hear(exchange.says("operator"))  # before who came before this call of his
                assert not patient.media.has_heard(exchange.says("operator"))
                await caller.hang_up()
            await patient.media.hear(exchange.says("operator"))
            await patient.hang_up()
        await centre.promise(HOME, lambda kept: kept.state is State.KEPT)
        assert phones.called() == []
    assert centre.attempts(HOME) == []


async def test_if_he_hangs_up_he_is_called_after_all(centre: Any) -> None:
    exchange = centre.exchange
    await centre.stop_line()
    centre.write(lambda conn: promises.make(conn, e164=HOME, reason=Reason.WAITING, now=datetime.now(UTC),
                                            rules=centre.settings.promise_rules))  # fmt: skip
    await centre.start_line()
    async with exchange.seat() as seat, centre.behind_trunk(Exchange(centre.landline_port)) as phones:
        seat.media.speak(exchange.voice("operator"))
        async with exchange.caller(HOME) as caller:
            await exchange.to_queue(caller)
            await exchange.queued(1)
            await caller.hang_up()
        await centre.promise(HOME, lambda kept: not kept.met_by)
        await centre.log_in()
        async for _, media in phones.calls(60):
            await media.hear(exchange.prompt("promised-keys"))
            await media.press("1")
            await media.hear(exchange.says("operator"))
            break
        await centre.promise(HOME, lambda kept: kept.state is State.KEPT)
        seat.hang_up()
        assert phones.called() == [HOME]
