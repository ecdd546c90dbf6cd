"""An official sits down: the next who waits is asked, once; silence leaves him where he stood, and the next one's yes
brings him to the official, before an operator is free. Afterwards who has been asked is served in his turn.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from crm import calls, people
from crm.people import Role
from tests.telephony.conftest import noise

FIRST, SECOND, URGENT, TALKING = "+380671112233", "+380442223344", "+380443334455", "+380445556677"
NAME = "Ірина Коваль, заступниця міського голови"


def question(centre: Any, language: str) -> Any:
    """What is played: a noise where the machine would speak, put there before the line needs it."""
    from ivr import build_prompts
    from ivr.official_steps import words

    prompt = build_prompts.Prompt(language, build_prompts.ANNOUNCEMENTS, words(NAME)[language])
    folder = centre.settings.prompts / language / build_prompts.ANNOUNCEMENTS / prompt.made_of
    folder.mkdir(parents=True, exist_ok=True)
    sound = folder / f"{build_prompts.SAID}.alaw"
    sound.write_bytes(noise(f"official {language}", 1.2))
    return sound


async def test_by_consent(centre: Any) -> None:
    exchange = centre.exchange
    official_id = centre.write(lambda conn: people.add_staff(conn, login="iryna", name=NAME, password_hash="-",
                                                             role=Role.OFFICIAL))  # fmt: skip
    asked = {language: question(centre, language) for language in ("uk", "en")}["uk"]
    async with (exchange.seat("101") as operator, exchange.seat("102") as official, exchange.caller(TALKING) as talking,
                exchange.caller(FIRST) as first, exchange.caller(URGENT) as urgent):  # fmt: skip
        operator.media.speak(exchange.voice("operator"))
        official.media.speak(exchange.voice("official"))
        await centre.log_in("101")
        await exchange.to_queue(talking)
        await talking.media.hear(exchange.says("operator"))
        await exchange.to_queue(urgent, key="4")
        await exchange.to_queue(first)
        await exchange.queued(2)
        urgent_channel, first_channel = exchange.in_queue()
        await centre.log_in("102", official_id, queues=("official",))

        await first.media.hear(asked)  # and he presses nothing
        await first.media.hear(exchange.prompt("offer-declined"))
        await exchange.until(lambda: exchange.in_queue() == [urgent_channel, first_channel])  # where he stood
        async with exchange.caller(SECOND) as second:
            await exchange.to_queue(second)
            await second.media.hear(asked)
            await second.media.press("1")
            rang = await centre.event("ringing", seat="102")
            assert rang["caller"] == SECOND, "the official's screen shows who it is"
            await second.media.hear(exchange.says("official"))
            assert exchange.in_queue() == [urgent_channel, first_channel]
            assert not urgent.media.has_heard(asked), "who has an emergency is not asked"
            first.media.forget()
            official.hang_up()
            await second.media.hear(exchange.prompt("goodbye"))
        await centre.seat_is("free", "102")

        await talking.hang_up()
        await urgent.media.hear(exchange.says("operator"))
        await urgent.hang_up()
        await first.media.hear(exchange.says("operator"))
        assert not first.media.has_heard(asked), "nobody is asked twice"
        await first.hang_up()

    call = await centre.call_of(SECOND, lambda call: call.ended_at)
    assert (call.seat, call.staff_id) == ("102", official_id)
    assert centre.kinds(call.linkedid).count(calls.AGREED) == 1
    his = await centre.call_of(FIRST, lambda call: call.ended_at)
    assert (his.seat, centre.kinds(his.linkedid).count(calls.ASKED)) == ("101", 1)
    assert his.queued_at < call.queued_at < datetime.now(UTC)
