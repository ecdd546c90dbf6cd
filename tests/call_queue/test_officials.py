"""Whom an official's question goes to, of those who wait; what a supervisor's channel says of itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from call_queue.listening import ALLOWED_S, Allowed, Hearing, Listening, hearing_of
from call_queue.officials import to_ask
from call_queue.order import Waiting, lines_of, queues_of, skills_of
from crm.calls import Queue, Skill
from crm.supervision import Ear

NOW = datetime(2026, 3, 5, 10, tzinfo=UTC)
LINE = [Waiting("a", NOW), Waiting("promise:1", NOW, live=False), Waiting("b", NOW), Waiting("c", NOW)]


@pytest.mark.parametrize(("free", "serving", "handled_s", "done", "asked"), [
    (0, 0, 180.0, (), "a"),  # nobody else would take him
    (0, 1, 180.0, (), "a"),  # one seat is hardly free before he has thought
    (0, 12, 180.0, (), "b"),  # one of twelve is: the first is about to be served; a promised call cannot be asked
    (1, 3, 180.0, (), "b"),
    (0, 48, 180.0, (), None),  # all of them are
    (0, 0, 180.0, ("a",), "b"),
    (0, 0, 180.0, ("a", "b", "c"), None),
    (0, 1, 0.0, (), None),
])  # fmt: skip
def test_the_next_who_is_not_about_to_be_served_is_asked(free: int, serving: int, handled_s: float,
                                                         done: tuple[str, ...], asked: str | None) -> None:
    assert to_ask(LINE, done, free=free, serving=serving, handled_s=handled_s) == asked


def test_an_officials_seat_is_in_its_own_queue_alone() -> None:
    assert queues_of("101", ["official"], ["en"]) == ["seat-101"]
    assert queues_of("101", ["city", "official"], ["en"]) == ["city", "seat-101", "city-en"]
    assert lines_of("101", ["seat-101"]) == [Queue.OFFICIAL]
    assert lines_of("101", ["city", "seat-101", "city-en", "feedback"]) == [Queue.CITY, Queue.FEEDBACK]
    assert (lines_of("101", []), skills_of(["city-en", "seat-101"])) == ([], [Skill.ENGLISH])


def test_a_channel_says_whom_it_hears() -> None:
    assert hearing_of("spy-101-whisper-102-7-0123") == Hearing("101", Ear.WHISPER, "102", 7)
    for other in ("spy-101-shout-102-7-0123", "spy-101-listen-102-x-0123", "cb-0123", "1767.1", "spy-101-listen-102"):
        assert hearing_of(other) is None, other


def test_who_may_hear_may_so_once_at_his_own_seat_and_for_a_minute() -> None:
    now = NOW
    nobody = cast(Any, None)
    listening = Listening(nobody, nobody, nobody, {}, lambda: None, lambda: now)
    channel, allowed = "spy-101-listen-102-7-0123", Allowed("PJSIP/seat101-0a", Ear.LISTEN, False,
                                                            NOW + timedelta(seconds=ALLOWED_S))  # fmt: skip
    listening._allowed = {channel: allowed}
    assert listening.allowed(channel, "103") is None
    listening._allowed = {channel: allowed}
    assert listening.allowed(channel, "102") == allowed
    assert listening.allowed(channel, "102") is None
    listening._allowed, now = {channel: allowed}, NOW + timedelta(seconds=ALLOWED_S)
    assert listening.allowed(channel, "102") is None
