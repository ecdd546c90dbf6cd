"""A supervisor moves a seat, paused or speaking, and it stays so; he hears its conversation by his own telephone: both
sides, unheard; then he whispers; then, as his reason covers it, he speaks to both by a key. With no reason, and with no
decision on record, he hears nothing.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from centre.phones.media import FRAME
from crm import calls, people, schema
from crm.errors import CentreError
from crm.people import Role

CITIZEN = "+380671112233"
ALIKE = 0.4  # of a frame and what was said: two voices at once are 0.7 alike to each, strangers 0.1
FRAMES = 5  # that must be alike


def _sample(code: int) -> int:
    """A-law."""
    code ^= 0x55
    segment, value = (code >> 4) & 7, ((code & 15) << 4) + 8
    value = value + 0x100 << segment - 1 if segment else value
    return value if code & 0x80 else -value


LINEAR = [_sample(code) for code in range(256)]


def frames_of(sound: bytes) -> list[list[int]]:
    return [[LINEAR[byte] for byte in sound[at : at + FRAME]] for at in range(0, len(sound) - FRAME + 1, FRAME)]


def alike(one: list[int], other: list[int]) -> bool:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product > ALIKE * (sum(a * a for a in one) * sum(b * b for b in other)) ** 0.5 > 0


def has_in_it(media: Any, sound: bytes) -> bool:
    """Whether somebody who says this is heard, alone or among others."""
    said = frames_of(sound)
    heard = frames_of(bytes(media.heard[-50 * FRAME :]))
    return sum(any(alike(one, frame) for frame in said) for one in heard) >= FRAMES


async def hears(media: Any, sound: bytes) -> None:
    media.forget()
    async with asyncio.timeout(30):
        while not has_in_it(media, sound):
            for _ in range(2 * FRAMES):
                await media.more()


async def does_not_hear(media: Any, sound: bytes) -> None:
    """In a second of what he hears."""
    media.forget()
    async with asyncio.timeout(30):
        while len(media.heard) < 50 * FRAME:
            await media.more()
    assert not has_in_it(media, sound)


async def test_moves_hears_whispers_and_speaks(centre: Any) -> None:
    exchange, line = centre.exchange, centre.bus.request
    boss_id = centre.write(lambda conn: people.add_staff(conn, login="boss", name="Керівниця", password_hash="-",
                                                         role=Role.SUPERVISOR))  # fmt: skip
    theirs = {name: exchange.voice(name) for name in ("operator", "boss", "citizen")}

    async def hear(ear: str, *, keys: bool = False, why: str = "Скарга на тон розмови") -> None:
        await line("listen", seat="101", own="102", ear=ear, keys=keys, staff_id=boss_id, why=why)

    async def heard_is(ear: str | None) -> None:
        def so(told: Any) -> bool:
            heard = next(one["heard"] for one in told["seats"] if one["seat"] == "101")
            return heard is None if ear is None else heard == {"by": boss_id, "ear": ear}
        await centre.snapshot(so)

    async def seat_serves(lines: list[str], skills: list[str], paused: str) -> None:
        wanted = {"lines": lines, "skills": skills, "reason": paused}
        await centre.snapshot(lambda told: any(wanted.items() <= one.items() for one in told["seats"]
                                               if one["seat"] == "101"))  # fmt: skip

    async with exchange.seat("101") as operator, exchange.seat("102") as boss, exchange.caller(CITIZEN) as citizen:
        operator.media.speak(theirs["operator"])
        boss.media.speak(theirs["boss"])
        await centre.log_in()
        await line("pause", seat="101", reason="training")
        await centre.seat_is("paused")
        await line("move", seat="101", queues=["city", "feedback"], skills=["en"])
        await seat_serves(["city", "feedback"], ["en"], "training")
        await line("move", seat="101", queues=["feedback"], skills=[])
        await seat_serves(["feedback"], [], "training")  # paused still, in what it has just come into
        await line("unpause", seat="101")
        await line("move", seat="101", queues=["city"], skills=[])
        await seat_serves(["city"], [], "")
        with pytest.raises(CentreError, match=r"supervision\.no_call"):
            await hear("listen")
        await exchange.to_queue(citizen)
        await citizen.media.hear(exchange.says("operator"))
        await centre.seat_is("talking")
        await line("move", seat="101", queues=["feedback"], skills=[])
        await seat_serves(["feedback"], [], "")  # and he speaks on
        with pytest.raises(CentreError, match=r"supervision\.no_why"):
            await hear("listen", why=" ")

        # Asterisk told by somebody else to ring him: nothing is on record, so he hears nothing.
        async with exchange.ami("originate") as ami:
            asked = await ami.ask("Originate", Channel=exchange.interface("102"), Context="spy", Exten="s",
                                  Priority="1", Async="true", ChannelId="spy-101-listen-102-1-0123")  # fmt: skip
            assert "Response: Success" in asked
        await exchange.until(lambda: "may not hear" in centre.line_log())
        await exchange.until(lambda: exchange.channels() == 2)
        assert not boss.media.heard

        await hear("listen")
        await hears(boss.media, theirs["operator"])
        await hears(boss.media, theirs["citizen"])
        await heard_is("listen")
        await boss.media.press("6")  # his reason does not cover it
        await does_not_hear(operator.media, theirs["boss"])
        await does_not_hear(citizen.media, theirs["boss"])
        await hears(operator.media, theirs["citizen"])
        boss.hang_up()
        await heard_is(None)

        await hear("whisper")
        await hears(operator.media, theirs["boss"])
        await does_not_hear(citizen.media, theirs["boss"])
        boss.hang_up()
        await heard_is(None)

        await hear("listen", keys=True)
        await hears(boss.media, theirs["citizen"])
        await does_not_hear(operator.media, theirs["boss"])
        await boss.media.press("5")
        await hears(operator.media, theirs["boss"])
        await does_not_hear(citizen.media, theirs["boss"])
        await boss.media.press("6")
        await hears(citizen.media, theirs["boss"])
        await citizen.hang_up()
        await heard_is(None)  # it is over with the conversation

    call = await centre.call_of(CITIZEN, lambda call: call.ended_at)
    look = schema.access_log.c
    logged = centre.read(lambda conn: conn.execute(select(look.what, look.staff_id, look.subject_key, look.why)
                                                   .order_by(look.id)).all())  # fmt: skip
    assert logged == [(f"call_{ear}", boss_id, call.linkedid, "Скарга на тон розмови")
                      for ear in ("listen", "whisper", "barge")]  # fmt: skip
    kept = centre.read(calls.recent)  # other tests' too, out of Asterisk's own log
    assert not [one for one in kept if one.linkedid.startswith("spy") or one.origin == "seat"], "his leg is no call"
    assert call.seat == "101"
    assert call.arrived_at < datetime.now(UTC)
