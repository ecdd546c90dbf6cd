"""What callers hear in a surge and in an alert; and that what is kept of their wait is what was said."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centre.settings import Settings
from crm.surges import Effects
from ivr import speech
from ivr.steps import Steps, told
from tests.ivr.conftest import LINKEDID, NOON, City
from tests.ivr.test_steps import Room, Wait, ask, call

CALM, SURGE, ALERT = Effects(), Effects(surge=True), Effects(alert=True)


def steps(city: City, room: Room, effects: Effects) -> Steps:
    return Steps(city.db, city.writer, Settings(), room, lambda: NOON, lambda: effects)


@pytest.mark.parametrize(("effects", "said"), [
    (CALM, ""), (SURGE, ""), (ALERT, "alert"),
    (dataclasses.replace(SURGE, announced={"uk": "menu", "en": ""}), "menu"),
    (dataclasses.replace(ALERT, announced={"uk": "menu", "en": ""}), "alert&menu"),
    (dataclasses.replace(CALM, announced={"uk": "", "en": "menu"}), ""),
])  # fmt: skip
async def test_what_everybody_hears_as_he_comes(city: City, effects: Effects, said: str) -> None:
    set_ = await ask(steps(city, Room(), effects), "arrival", LINKEDID, "mobile", "0509998877")
    assert set_.get("CALL_SAY", "") == said


@pytest.mark.parametrize(("effects", "offer", "status", "alert"), [
    (ALERT, True, "TIMEOUT", True), (ALERT, False, "WITHDRAW", True), (ALERT, False, "TIMEOUT", False),
    (SURGE, True, "TIMEOUT", False), (CALM, False, "WITHDRAW", False),
])  # fmt: skip
async def test_who_waits_hears_of_the_alert_with_the_offer(city: City, effects: Effects, offer: bool, status: str,
                                                           alert: bool) -> None:  # fmt: skip
    room = Room()
    room.slice.offer = offer
    set_ = await ask(steps(city, room, effects), "waiting", LINKEDID, "0509998877", "uk", 1764000000, status)
    assert (set_["SAY"] == "alert", set_["ASK"]) == (alert, "offer" if offer else "")


async def test_what_was_said_is_kept_to_be_judged_by(city: City) -> None:
    room = Room()
    room.slice.wait = Wait(100, 200)  # "from one to five minutes"
    set_ = await ask(steps(city, room, CALM), "enqueue", LINKEDID, "mobile", "0509998877", "uk", "queue")
    assert "wait-1-to-5" in set_["SAY"]
    assert call(city).told_wait_s == 300


seconds = st.floats(0, 7200)


@given(seconds, seconds)
def test_what_is_kept_holds_what_was_estimated(one: float, other: float) -> None:
    """The words are never narrower than the estimate, but that "less than a minute" is a whole one."""
    low_s, high_s = sorted((one, other))
    kept_low, kept_high = told(Wait(low_s, high_s))
    assert kept_low is not None
    (name,) = speech.wait(low_s, high_s)
    if kept_high is None:
        assert name == "wait-over"
        assert high_s > kept_low
        return
    assert high_s <= kept_high
    if name == "wait-less":
        assert (kept_low, kept_high) == (0, 60)
    elif kept_low == kept_high:
        assert name == f"wait-{kept_high // 60}"
    else:
        assert name == f"wait-{kept_low // 60}-to-{kept_high // 60}"
        assert kept_low <= max(60, low_s)


def test_what_is_not_said_is_not_kept() -> None:
    assert told(Wait(100, 200, confident=False)) == (None, None)
