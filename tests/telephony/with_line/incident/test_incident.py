"""Who calls from a building in an open incident hears of it before the menu, and one key joins it; who waits hears of
it when it is opened; who calls from nowhere known chooses it by key. When it is over, everybody is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from crm import addresses, announcements, appeals, calls, citizens, departments, incident_callers, incidents, schema
from crm.calls import EndCause
from crm.life import State

HOME, NEIGHBOUR, STRANGER = "+380442223344", "+380442223355", "+380671112233"


def now() -> datetime:
    return datetime.now(UTC)


def resident(centre: Any, phone: str) -> None:
    def make(conn: Any) -> None:
        building = addresses.suggest(conn, "Хрещатик", 1)[0]
        citizens.add(conn, now=now(), name=f"Мешканець {phone}", phones=[phone], building_id=building.id, flat="7")

    centre.write(make)


async def opened(centre: Any, joined: int = 0) -> int:
    """An incident at the residents' building, opened as the desk does; so many strangers have joined it."""
    def make(conn: Any) -> int:
        building = addresses.suggest(conn, "Хрещатик", 1)[0]
        subject = next(s for s in departments.subjects(conn) if s.name_uk == "Немає гарячої води")
        made = incidents.declare(conn, subject_id=subject.id, cause="Прорвало трубу", building_id=building.id,
                                 now=now(), staff_id=1, expected_at=now() + timedelta(hours=3))  # fmt: skip
        for n in range(joined):
            calls.arrived(conn, f"1.{n}", at=now(), origin="mobile", caller=f"+3805011100{n:02}")
            incident_callers.join(conn, made, e164=f"+3805011100{n:02}", linkedid=f"1.{n}", language="uk", now=now())
        return made

    made = int(centre.write(make))
    await centre.bus.request("changed", what="announcements")
    return made


async def sound(centre: Any, incident_id: int) -> Path:
    """What is said of it, as soon as it is made."""
    said = await centre.on_record(lambda conn: announcements.of(conn, incident_id), lambda found: found is not None)
    path = centre.exchange.prompt(said.sounds["uk"])
    assert path.stat().st_size <= 20 * 8000
    return Path(path)


async def says(centre: Any, incident_id: int) -> Path:
    """A supervisor's own words, made and announced as the page does it: the sound."""
    words = {"uk": "Вода о шостій."}
    made = (await centre.bus.request("speak", words=words))["spoken"]["uk"]
    assert made["seconds"] < 3
    centre.write(lambda conn: announcements.announce(
        conn, incident_id, words, {"uk": made["sound"]}, now=now(), staff_id=1))  # fmt: skip
    await centre.bus.request("changed", what="announcements")
    return Path(centre.exchange.prompt(made["sound"]))


async def joined(centre: Any, phone: str) -> Any:
    row = select(schema.incident_caller).where(schema.incident_caller.c.e164 == phone)
    return await centre.on_record(lambda conn: conn.execute(row).one_or_none(), lambda found: found is not None)


async def test_a_resident_hears_it_at_once_and_one_key_joins_it(centre: Any) -> None:
    exchange = centre.exchange
    resident(centre, HOME)
    incident_id = await opened(centre)
    words = await sound(centre, incident_id)
    async with exchange.caller("0442223344") as caller:
        await caller.media.hear(words)
        assert not caller.media.has_heard(exchange.prompt("menu"))
        await caller.media.press("1")  # whoever knows the key need not hear it out
        await caller.media.hear(exchange.prompt("incident-registered"))
        await caller.media.hear(exchange.prompt("incident-joined"))
        await caller.media.hear(exchange.prompt("goodbye"))
        await caller.ended()
    row = await joined(centre, HOME)
    his = centre.read(lambda conn: appeals.get(conn, row.appeal_id))
    assert (his.incident_id, his.channel, his.flat, his.state) == (incident_id, "phone", "7", State.ASSIGNED)
    call = await centre.call_of(HOME, lambda call: call.ended_at)
    assert (call.end_cause, call.outcome) == (EndCause.IVR, "appeal")

    words = await says(centre, incident_id)
    async with exchange.caller("0442223344") as again:  # he is in already, hears the new words, and wants a person
        await again.media.hear(words)
        await again.media.hear(exchange.prompt("incident-keys"))
        await again.media.press("0")
        await again.media.hear(exchange.prompt("connecting"))
        await exchange.queued(1)
        await again.hang_up()

    centre.write(lambda conn: incidents.close(conn, incident_id, result="Трубу замінено", now=now(), staff_id=1))
    await centre.on_record(lambda conn: appeals.get(conn, row.appeal_id), lambda found: found.state is State.AWAITING)
    await centre.callback_is(lambda due: due.state == "due")


async def test_who_waits_hears_of_it_as_it_is_opened_and_stays(centre: Any) -> None:
    exchange = centre.exchange
    resident(centre, HOME)
    async with exchange.caller("0442223344") as caller, exchange.caller("0671112233") as other:
        await exchange.to_queue(caller)
        await exchange.to_queue(other)
        await exchange.queued(2)
        await caller.media.hear(await says(centre, await opened(centre)))
        await caller.media.hear(exchange.prompt("incident-keys"))
        await caller.media.press("1")
        await caller.media.hear(exchange.prompt("incident-registered"))
        await caller.media.hear(exchange.prompt("incident-joined"))
        await caller.media.press("0")
        await exchange.queued(2)
        assert not other.media.has_heard(exchange.prompt("incident-keys")), "it is not at his building"
        await other.hang_up()
        await caller.hang_up()
    assert (await joined(centre, HOME)).appeal_id is not None


async def test_a_stranger_chooses_it_by_key_and_is_asked_when_it_is_over(centre: Any) -> None:
    exchange = centre.exchange
    incident_id = await opened(centre, joined=10)
    words = await says(centre, incident_id)
    async with exchange.caller("0671112233") as caller:
        await caller.media.hear(exchange.prompt("choice-intro"))
        await caller.media.hear(exchange.prompt("choice-1"))
        await caller.media.press("1")
        await caller.media.hear(words)
        await caller.media.press("1")
        await caller.media.hear(exchange.prompt("incident-counted"))
        await caller.media.hear(exchange.prompt("incident-joined"))
        await caller.hang_up()
    assert (await joined(centre, STRANGER)).appeal_id is None
    centre.write(lambda conn: incidents.close(conn, incident_id, result="Трубу замінено", now=now(), staff_id=1))
    promised = select(schema.promise.c.e164, schema.promise.c.incident_id, schema.promise.c.reason)
    rows = await centre.on_record(lambda conn: conn.execute(promised).all(), lambda rows: len(rows) == 11)
    assert (STRANGER, incident_id, "incident") in [tuple(row) for row in rows]


async def test_the_key_is_kept_while_the_line_is_away(centre: Any) -> None:
    exchange = centre.exchange
    resident(centre, NEIGHBOUR)
    incident_id = await opened(centre)
    words = await says(centre, incident_id)
    async with exchange.caller("0442223355") as caller:
        await caller.media.hear(words)
        await centre.kill_line()
        await caller.media.press("1")
        await caller.media.hear(exchange.prompt("incident-joined"))
        await caller.hang_up()
    await centre.start_line()
    row = await joined(centre, NEIGHBOUR)
    assert row.incident_id == incident_id
    assert centre.read(lambda conn: appeals.get(conn, row.appeal_id)).incident_id == incident_id
