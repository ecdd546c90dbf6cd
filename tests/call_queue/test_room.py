"""The place and the wait that a caller is told before he is in the queue."""

from __future__ import annotations

import pytest

from call_queue.room import WaitingRoom
from tests.call_queue.conftest import Exchange

A, B, C = "17.1", "17.2", "17.3"


class Room(WaitingRoom):
    """Told all that the exchange has told."""

    def __init__(self, exchange: Exchange) -> None:
        self.believed = True
        self._exchange, self._heard = exchange, 0
        super().__init__(exchange.tracker, "city", lambda: self.believed, 10, [50.0] * 20)

    def place_of(self, linkedid: str) -> int | None:
        for change in self._exchange.told[self._heard :]:
            self.take(change)
        self._heard = len(self._exchange.told)
        return self.place(linkedid)[0]


@pytest.fixture
def room(exchange: Exchange) -> Room:
    exchange.log_in("101")
    for uid in (A, B, C):
        exchange.arrive(uid)
    return Room(exchange)


def test_of_two_who_come_together_one_is_second(room: Room, exchange: Exchange) -> None:
    assert [room.place_of(A), room.place_of(B), room.place_of(A)] == [1, 2, 2]
    exchange.join(B)
    exchange.join(A)
    assert room.place_of(C) == 3


def test_who_hangs_up_before_he_enters_takes_no_place(room: Room, exchange: Exchange) -> None:
    room.place_of(A)
    exchange.end(A)
    assert room.place_of(B) == 1


def test_who_had_hung_up_when_he_asked_takes_none_for_ever(room: Room, exchange: Exchange) -> None:
    """His hangup was heard over AMI before his question over FastAGI."""
    exchange.end(A)
    room.place_of(A)
    assert [room.place_of(B), room.place_of(C)] == [1, 2]


def test_nothing_is_told_while_nobody_can_tell(room: Room) -> None:
    room.believed = False
    place, wait = room.place(A)
    assert (place, wait.confident) == (None, False)
    room.believed = True
    assert room.place_of(B) == 1


def test_the_wait_follows_the_calls_that_end(room: Room, exchange: Exchange) -> None:
    """A minute a call so far, with what the seat needs afterwards; then one of two minutes."""
    exchange.join(A)
    exchange.ring(A, "101", "17.11")
    exchange.answer(A, "101", "17.11")
    before = room.place(B)[1]
    assert before.confident
    assert before.low_s < 60 < before.high_s
    exchange.later(110).done(A, "101", "17.11")
    exchange.end(A)
    room.place_of(B)
    exchange.join(B)
    exchange.ring(B, "101", "17.12")
    exchange.answer(B, "101", "17.12")
    assert room.place(C)[1].mean_s > before.mean_s
