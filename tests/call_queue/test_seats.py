"""Who sits at which seat, when Asterisk answers an action before its event tells what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

import pytest

from call_queue import events as ev
from call_queue.ami import Ami, AmiError, NotSent, Refused, Unanswered
from call_queue.browsers import Browsers
from call_queue.seats import Seats
from call_queue.tracker import SeatChanged
from crm.errors import BadInput, CentreError
from crm.sign_in import Phone
from tests.call_queue.conftest import BROWSERS, INTERFACES, LIMIT, PHONES, Exchange, at, until

ANNA, BORYS = 7, 8


class Switch:
    """Asterisk's side: ``queues`` as they are; the events come after the answers, ``mute`` ones never.

    ``history`` is what is kept of the seats: (seat, kind, who sat there then).
    """

    patience_s = float(LIMIT)

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.asked: list[tuple[str, str]] = []
        self.error: AmiError | None = None
        self.mute = False
        self.believed = True
        self.queues: set[tuple[str, str]] = set()  # (queue, interface)
        self.staff: dict[str, int | None] = {}
        self.history: list[tuple[str, str, int | None]] = []
        self.let_in_at: list[str] = []  # seats whose browser was given a new password
        self.seats = Seats(cast(Ami, self), exchange.tracker, PHONES, self.staff, lambda: self.believed,
                           cast(Browsers, self), self.bring_back)  # fmt: skip

    async def bring_back(self, number: str, legs: Collection[str]) -> bool:
        self.dead = set(legs)
        return bool(legs)

    async def let_in(self, number: str) -> tuple[str, str]:
        self.let_in_at.append(number)
        return f"seat{number}-b", f"password {len(self.let_in_at)}"

    async def ask(self, action: str, headers: Mapping[str, Any]) -> dict[str, str]:
        self.asked.append((action, headers.get("Queue", "")))
        if self.error is not None:
            raise self.error
        await asyncio.sleep(0)
        member = headers.get("Queue", ""), headers["Interface"]
        if action == "QueuePause":
            if not any(interface == member[1] for _, interface in self.queues):
                raise Refused("ami.refused")
        elif (action == "QueueAdd") == (member in self.queues):
            raise Refused("ami.refused")
        elif action == "QueueAdd":
            self.queues.add(member)
            self._later(lambda: self.exchange.log_in(headers["MemberName"], queue=member[0], interface=member[1],
                                                     paused=headers["Paused"] == "true"))  # fmt: skip
        else:
            self.queues.remove(member)
            self._later(lambda: self.exchange.apply(ev.MemberRemoved(at(0), member[0], "", member[1])))
        return {}

    def _later(self, happens: Callable[[], object]) -> None:
        if not self.mute:
            asyncio.get_running_loop().call_later(0.01, self.tell, happens)

    def tell(self, happens: Callable[[], object] = lambda: None) -> None:
        before = len(self.exchange.told)
        happens()
        for change in self.exchange.told[before:]:
            if isinstance(change, SeatChanged) and change.kind:
                self.history.append((change.seat, change.kind, self.staff.get(change.seat)))
            self.seats.take(change)

    async def told(self, lines: int) -> list[tuple[str, str, int | None]]:
        await until(lambda: len(self.history) >= lines)
        return self.history


@pytest.fixture
def switch(exchange: Exchange) -> Switch:
    for interface in INTERFACES.values():
        exchange.apply(ev.Device(at(0), interface, "NOT_INUSE"))
    return Switch(exchange)


async def test_who_logs_in_sits_there_until_he_logs_out(switch: Switch) -> None:
    await switch.seats.log_in("101", ANNA, ["feedback", "city", "secret"], ["en", "secret"])
    assert switch.asked == [("QueueAdd", queue) for queue in ("city", "seat-101", "city-en", "feedback")]
    assert await switch.told(1) == [("101", "login", ANNA)]
    await switch.seats.log_out("101")
    assert (switch.queues, switch.staff) == (set(), {})
    assert await switch.told(2) == [("101", "login", ANNA), ("101", "logout", ANNA)]


async def test_another_person_takes_a_seat_over_and_stays(switch: Switch) -> None:
    await switch.seats.log_in("101", ANNA, ["city"])
    await switch.told(1)
    await switch.seats.log_in("101", BORYS, ["city"])
    assert await switch.told(3) == [("101", "login", ANNA), ("101", "logout", ANNA), ("101", "login", BORYS)]
    assert switch.staff == {"101": BORYS}


async def test_who_leaves_and_comes_back_at_once_is_there(switch: Switch) -> None:
    await switch.seats.log_in("101", ANNA, ["city"])
    await switch.told(1)
    await switch.seats.log_out("101")
    await switch.seats.log_in("101", ANNA, ["city"])
    assert await switch.told(3) == [("101", "login", ANNA), ("101", "logout", ANNA), ("101", "login", ANNA)]
    assert switch.staff == {"101": ANNA}


async def test_other_queues_of_the_same_person_are_no_other_sitting(switch: Switch) -> None:
    await switch.seats.log_in("101", ANNA, ["city"])
    await switch.told(1)
    await switch.seats.log_in("101", ANNA, ["feedback"])
    assert switch.queues == {("feedback", INTERFACES["101"])}
    await switch.seats.log_out("101")
    assert await switch.told(2) == [("101", "login", ANNA), ("101", "logout", ANNA)]


async def test_other_skills_of_the_same_person_are_no_other_sitting(switch: Switch, exchange: Exchange) -> None:
    await switch.seats.log_in("101", ANNA, ["city"], ["en"])
    await until(lambda: exchange.tracker.seats["101"].queues == {"city", "seat-101", "city-en"})
    await switch.seats.log_in("101", ANNA, ["city"], ["social"])
    await until(lambda: exchange.tracker.seats["101"].queues == {"city", "seat-101", "city-social"})
    assert {queue for queue, _ in switch.queues} == {"city", "seat-101", "city-social"}
    await switch.seats.log_out("101")
    assert switch.queues == set()
    assert await switch.told(2) == [("101", "login", ANNA), ("101", "logout", ANNA)]


async def test_of_two_who_take_a_seat_together_the_last_one_has_it(switch: Switch) -> None:
    await asyncio.gather(*(switch.seats.log_in("101", who, ["city"]) for who in (ANNA, BORYS)))
    await switch.told(1)
    assert switch.queues == {("city", INTERFACES["101"]), ("seat-101", INTERFACES["101"])}
    assert switch.history[-1] == ("101", "login", switch.staff["101"])


async def test_a_speaking_person_is_not_put_out(switch: Switch, exchange: Exchange) -> None:
    await switch.seats.log_in("101", ANNA, ["city"])
    await switch.told(1)
    exchange.arrive("17.1")
    exchange.join("17.1")
    exchange.ring("17.1", "101", "17.11")
    exchange.answer("17.1", "101", "17.11")
    with pytest.raises(BadInput, match=r"seat\.on_call"):
        await switch.seats.log_in("101", BORYS, ["city"])
    await switch.seats.log_in("101", ANNA, ["city", "feedback"])  # he himself may
    assert switch.staff == {"101": ANNA}


async def test_a_leaving_that_nobody_hears_of_lets_nobody_in(switch: Switch) -> None:
    await switch.seats.log_in("101", ANNA, ["city"])
    await switch.told(1)
    switch.mute, switch.patience_s = True, 0.01
    with pytest.raises(CentreError, match=r"line\.unanswered"):
        await switch.seats.log_in("101", BORYS, ["city"])
    assert switch.staff == {"101": ANNA}


async def test_a_seat_changes_its_telephone_and_stays_paused(switch: Switch, exchange: Exchange) -> None:
    await switch.seats.log_in("101", ANNA, ["city"])
    await switch.told(1)
    switch.tell(lambda: exchange.log_in("101", paused=True, reason="lunch"))
    exchange.apply(ev.Device(at(0), BROWSERS["101"], "UNAVAILABLE"))
    with pytest.raises(BadInput, match=r"seat\.offline"):
        await switch.seats.log_in("101", ANNA, ["city"], phone=Phone.BROWSER)
    exchange.apply(ev.Device(at(0), BROWSERS["101"], "NOT_INUSE"))
    await switch.seats.log_in("101", ANNA, ["city"], phone=Phone.BROWSER)
    assert switch.queues == {("city", BROWSERS["101"]), ("seat-101", BROWSERS["101"])}
    assert ("QueuePause", "") in switch.asked
    seat = exchange.tracker.seats["101"]
    await until(lambda: not any(interface == INTERFACES["101"] for _, interface in seat.members))
    exchange.apply(ev.Device(at(0), INTERFACES["101"], "UNAVAILABLE"))
    assert (seat.phone, seat.offline) == (BROWSERS["101"], False)
    await switch.seats.log_out("101")
    assert await switch.told(3) == [("101", "login", ANNA), ("101", "pause", ANNA), ("101", "logout", ANNA)]


@pytest.mark.parametrize("refusal", ["seat.unknown", "seat.offline", "line.asterisk_away"])
async def test_what_cannot_be_is_refused_before_anything_is_asked(
    switch: Switch, exchange: Exchange, refusal: str
) -> None:
    exchange.apply(ev.Device(at(0), INTERFACES["102"], "UNAVAILABLE"))
    switch.believed = refusal != "line.asterisk_away"
    number = {"seat.unknown": "999", "seat.offline": "102"}.get(refusal, "101")
    with pytest.raises(CentreError, match=refusal):
        await switch.seats.log_in(number, ANNA, ["city"])
    assert (switch.asked, switch.staff) == ([], {})


@pytest.mark.parametrize(("error", "told"), [
    (NotSent("ami.not_connected"), "line.asterisk_away"), (Unanswered("ami.unanswered"), "line.unanswered"),
])  # fmt: skip
async def test_an_asterisk_that_is_away_is_told(switch: Switch, error: AmiError, told: str) -> None:
    switch.error = error
    with pytest.raises(CentreError, match=told):
        await switch.seats.log_in("101", ANNA, ["city"])
    with pytest.raises(CentreError, match=told):
        await switch.seats.log_out("101")


async def test_a_pause_is_for_a_seat_that_is_in_a_queue(switch: Switch) -> None:
    with pytest.raises(BadInput, match=r"seat\.not_in"):
        await switch.seats.pause("101", "lunch")
    await switch.seats.log_in("101", ANNA, ["city"])
    await switch.told(1)
    await switch.seats.pause("101", "lunch")
    await switch.seats.unpause("101")
    assert switch.asked[2:] == [("QueuePause", ""), ("QueuePause", "")]
    switch.queues.clear()  # taken out at this moment, and not heard of yet
    with pytest.raises(BadInput, match=r"seat\.not_in"):
        await switch.seats.pause("101", "lunch")
