"""What is proposed follows the calls as they come; what the web is told; how many promised callbacks may go out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from sqlalchemy import insert

from call_queue.ami import Ami, Unanswered
from call_queue.browsers import Browsers
from call_queue.seats import Seats
from call_queue.surge_rules import Proposal, Sign
from call_queue.surging import Surging
from crm import people, surges
from crm.people import Role
from crm.schema import announcement, attempt, promise
from crm.store import Database, Writer
from crm.surges import Effects, Kind
from tests.call_queue.conftest import INTERFACES, PHONES, Exchange, at

MOST = 10


class Centre:
    """An exchange that does what it is asked, unless it is ``away``."""

    def __init__(self, exchange: Exchange, db: Database, writer: Writer) -> None:
        self.exchange, self.db, self.away, self.told = exchange, db, False, 0
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        with db.write() as conn:
            self.boss = people.add_staff(conn, login="boss", name="Ганна Кравець", password_hash="-",
                                         role=Role.SUPERVISOR)  # fmt: skip
        ami = cast(Ami, self)
        seats = Seats(ami, exchange.tracker, PHONES, {}, lambda: True, cast(Browsers, None),
                      cast(Any, None))  # fmt: skip
        self.surging = Surging(db, writer, ami, exchange.tracker, seats, in_step=lambda: True, handled_s=lambda: 180.0,
                               changed=self.changed, clock=lambda: at(exchange.now))  # fmt: skip

    def changed(self) -> None:
        self.told += 1

    async def ask(self, action: str, headers: Mapping[str, Any]) -> dict[str, str]:
        if self.away:
            raise Unanswered("ami.unanswered")
        self.asked.append((action, headers))
        if action == "QueuePause":
            number = next(number for number, interface in INTERFACES.items() if interface == headers["Interface"])
            self.exchange.log_in(number, paused=headers["Paused"] == "true", reason=headers.get("Reason", ""))
        return {}

    async def round(self) -> None:
        heard = len(self.exchange.told)
        await self.surging._pass()
        for change in self.exchange.told[heard:]:
            self.surging.take(change)

    def switch(self, kind: Kind, to: str) -> None:
        with self.db.write() as conn:
            now = at(self.exchange.now)
            if to == "on":
                surges.switch_on(conn, kind, now=now, staff_id=self.boss, reason="сирена")
            else:
                surges.switch_off(conn, kind, now=now, staff_id=self.boss)

    def proposed(self) -> Proposal | None:
        return self.surging.proposal

    def greeted(self) -> list[str]:
        return [headers["Value"] for action, headers in self.asked if action == "Setvar"]

    def paused(self) -> set[str]:
        return {number for number, seat in self.exchange.tracker.seats.items() if seat.paused}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What is on record is tried on both databases with the records."""
    return sqlite_url


@pytest.fixture
def writer(db: Database) -> Iterator[Writer]:
    writer = Writer(db)
    yield writer
    writer.close()


@pytest.fixture
def centre(exchange: Exchange, db: Database, writer: Writer) -> Centre:
    return Centre(exchange, db, writer)


async def test_a_rush_is_proposed_and_its_end(centre: Centre, exchange: Exchange) -> None:
    """One seat; twelve come within a minute, and nobody is served. Six minutes later all have gone."""
    exchange.log_in("101")
    await centre.round()
    assert centre.proposed() is None
    for n in range(12):
        uid = f"17.{n}"
        before = len(exchange.told)
        exchange.arrive(uid)
        exchange.join(uid)
        exchange.later(5)
        for change in exchange.told[before:]:
            centre.surging.take(change)
    await centre.round()
    assert centre.proposed() == Proposal(True, (Sign.ARRIVALS,))
    assert centre.surging.told() == {"on": {}, "proposal": {"on": True, "signs": ["arrivals"]}}
    assert centre.told == 1, "the web is told of it, once"
    assert not centre.surging.effects.at_once, "nothing switches itself"
    centre.switch(Kind.SURGE, "on")
    await centre.round()
    assert centre.proposed() is None
    assert centre.surging.effects == Effects(surge=True)
    for n in range(12):
        exchange.end(f"17.{n}")
    exchange.later(360)
    await centre.round()
    assert centre.proposed() == Proposal(False)


async def test_what_is_on_is_told_with_who_and_why(centre: Centre) -> None:
    centre.switch(Kind.ALERT, "on")
    await centre.round()
    assert centre.surging.told()["on"] == {
        "alert": {"since": at(centre.exchange.now).isoformat(), "by": "Ганна Кравець", "reason": "сирена"}}  # fmt: skip


async def test_the_greeting_is_said_once_and_again_after_a_while(centre: Centre, exchange: Exchange) -> None:
    await centre.round()
    await centre.round()
    assert centre.greeted() == ["greeting"]
    centre.switch(Kind.SURGE, "on")
    await centre.round()
    exchange.later(31)
    await centre.round()
    centre.surging.asterisk_is_back()
    await centre.round()
    assert centre.greeted() == ["greeting"] + ["greeting-short"] * 3


async def test_an_asterisk_that_does_not_answer_is_asked_again(centre: Centre, exchange: Exchange) -> None:
    """Neither is a seat forgotten, nor is one that was paused by hand returned."""
    exchange.log_in("101")
    exchange.log_in("102", paused=True, reason="break")
    centre.away = True
    centre.switch(Kind.ALERT, "on")
    await centre.round()
    assert centre.paused() == {"102"}
    centre.away = False
    await centre.round()
    assert centre.paused() == {"101", "102"}
    centre.away = True
    centre.switch(Kind.ALERT, "off")
    await centre.round()
    assert centre.paused() == {"101", "102"}
    centre.away = False
    await centre.round()
    assert centre.paused() == {"102"}


async def test_promised_callbacks_return_little_by_little(centre: Centre, exchange: Exchange) -> None:
    """Two seats: one call at once, and as many more as the rule gains, of which those that were placed are spent."""
    for number in ("101", "102"):
        exchange.log_in(number)
    await centre.round()
    assert centre.surging.lines(MOST) == MOST
    centre.switch(Kind.ALERT, "on")
    exchange.later(600)
    centre.switch(Kind.ALERT, "off")
    await centre.round()
    assert centre.surging.lines(MOST) == 1
    now = at(exchange.now)
    with centre.db.write() as conn:
        kept = conn.execute(insert(promise).values(
            e164="+380441112233", reason="waiting", state="calling", since=now, turn=now, made_at=now, expires_at=now,
            due_at=now).returning(promise.c.id)).scalar_one()  # fmt: skip
        conn.execute(insert(attempt).values(id="pr-1", promise_id=kept, e164="+380441112233", mode="auto",
                                            placed_at=now))  # fmt: skip
    await centre.round()
    assert centre.surging.lines(MOST) == 0
    exchange.later(300)
    assert 1 <= centre.surging.lines(MOST) <= 6
    exchange.later(300)
    assert centre.surging.lines(MOST) == MOST


async def test_everybody_is_told_what_the_city_announces(centre: Centre) -> None:
    with centre.db.write() as conn:
        conn.execute(insert(announcement).values(text_uk="Немає світла", sound_uk="said/1",
                                                 made_at=dt.datetime.now(dt.UTC)))  # fmt: skip
    await centre.round()
    assert centre.surging.effects.announced["uk"] == "said/1"
