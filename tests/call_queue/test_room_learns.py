"""What the room says of a wait follows what came of what it said."""

from __future__ import annotations

import pytest

from call_queue.estimate import End, Estimate
from tests.call_queue.conftest import Exchange
from tests.call_queue.test_room import Room, speaks


@pytest.fixture
def room(exchange: Exchange) -> Room:
    exchange.log_in("101")
    room = Room(exchange)
    room.comes("16.0")
    speaks(exchange, "16.0", "101", "16.1")
    return room


def ended(room: Room) -> list[tuple[float, End, Estimate]]:
    assert room.now
    return [(wait.waited_s, wait.end, wait.estimate) for wait in room._waits][1:]  # without who met a free seat


def test_the_first_word_counts_and_how_it_ended(room: Room, exchange: Exchange) -> None:
    """Served, gone, and gone so late that he is called back in his place: the wait from the first word on."""
    served, gone, called_back = (room.comes(uid).wait for uid in ("17.1", "17.2", "17.3"))
    assert served.confident
    assert served.high_s < called_back.high_s
    exchange.later(5)
    exchange.end("17.2")
    room.comes_again("17.1", 60)
    speaks(exchange, "17.1", "101", "17.11")
    exchange.later(10)
    exchange.end("17.3")
    exchange.end("17.1")
    assert ended(room) == [(5.0, End.LEFT, gone), (65.0, End.SERVED, served), (75.0, End.PROMISED, called_back)]


def test_who_takes_a_callback_did_not_leave(room: Room, exchange: Exchange) -> None:
    room.comes("17.1")
    exchange.later(3).abandon("17.1")  # the dialplan asks us, promises, and hangs up
    exchange.end("17.1")
    ((waited_s, end, _),) = ended(room)
    assert (waited_s, end) == (3.0, End.PROMISED)


def test_more_is_said_when_everybody_waits_longer_than_was_said(room: Room, exchange: Exchange) -> None:
    """Nobody is served; they are still there when they should have been long since."""
    before = room.comes("17.1").wait
    for n in range(2, 12):
        room.comes(f"17.{n}")
    exchange.later(3 * 60 * 10)
    for n in range(2, 12):
        exchange.end(f"17.{n}")
    after = room.comes("18.1").wait
    assert room.learnt(room.now).high > 2
    assert not after.confident or after.high_s > before.high_s
