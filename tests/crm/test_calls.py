"""Calls: stored once however often they are told, and settled by what they were."""

from __future__ import annotations

import datetime as dt

import pytest

from crm import calls, citizens
from crm.calls import EndCause, Outcome
from crm.errors import BadInput, NotFound
from tests.crm.conftest import NOON, PHONE, City


def at(seconds: float) -> dt.datetime:
    return NOON + dt.timedelta(seconds=seconds)


def get(city: City, linkedid: str = "17.1") -> calls.Call:
    call = calls.get(city.conn, linkedid)
    assert call is not None
    return call


def test_a_call_from_arrival_to_its_end(city: City) -> None:
    arrived = calls.arrived(city.conn, "17.1", at=at(0), origin="mobile", caller=PHONE)
    assert (arrived.new, arrived.language) == (True, "uk")
    calls.choose(city.conn, "17.1", at(5), "queue", "en")
    calls.queued(city.conn, "17.1", at(6), "city", 2, told_wait_s=240)
    calls.rang(city.conn, "17.1", "101", at(60))
    calls.rang(city.conn, "17.1", "102", at(75))
    calls.answered(city.conn, "17.1", "102", at(80), city.operator)
    calls.held(city.conn, "17.1", at(100), "102", 12.5)
    calls.held(city.conn, "17.1", at(130), "102", 2.5)
    calls.transferred(city.conn, "17.1", at(140), "102", "103")
    calls.answered(city.conn, "17.1", "103", at(145))
    calls.ended(city.conn, "17.1", at(200), EndCause.COMPLETED, talk_s=120)
    call = get(city)
    assert (call.queued_at, call.position, call.told_wait_s, call.choice, call.language) == (
        at(6), 2, 240, "queue", "en")
    assert (call.answered_at, call.wait_s, call.seat, call.staff_id) == (at(80), 74, "103", city.operator)
    assert (call.hold_s, call.talk_s, call.end_cause, call.ended_at) == (15, 120, "completed", at(200))


def test_a_known_callers_language_is_remembered(city: City) -> None:
    citizens.update(city.conn, city.citizen, language="en")
    assert calls.arrived(city.conn, "17.1", at=at(0), origin="landline", caller=PHONE).language == "en"
    assert calls.arrived(city.conn, "17.2", at=at(0), origin="landline", caller="").language == "uk"


def test_the_number_may_be_told_later(city: City) -> None:
    """Asterisk tells of a call before it has read who calls."""
    calls.arrived(city.conn, "17.1", at=at(0), origin="mobile")
    calls.arrived(city.conn, "17.1", at=at(1), origin="mobile", caller=PHONE)
    calls.arrived(city.conn, "17.1", at=at(2), origin="mobile", caller="+380509999999")
    assert get(city).caller == PHONE


def test_what_is_told_twice_is_stored_once(city: City) -> None:
    assert calls.arrived(city.conn, "17.1", at=at(0), origin="mobile", caller=PHONE).new
    assert not calls.arrived(city.conn, "17.1", at=at(9), origin="landline", caller="", source="spool").new
    calls.queued(city.conn, "17.1", at(1), "city", 1)
    calls.queued(city.conn, "17.1", at(2), "city", 5)
    calls.ended(city.conn, "17.1", at(30), EndCause.ABANDONED, wait_s=29)
    calls.ended(city.conn, "17.1", at(99), EndCause.COMPLETED, wait_s=98, talk_s=7)
    call = get(city)
    assert (call.arrived_at, call.origin, call.position, call.queued_at) == (at(0), "mobile", 1, at(1))
    assert (call.ended_at, call.end_cause, call.wait_s) == (at(30), "abandoned", 29)
    assert [c.linkedid for c in calls.recent(city.conn)] == ["17.1"]
    calls.arrived(city.conn, "17.2", at=at(0), origin="mobile")
    assert [c.linkedid for c in calls.recent(city.conn)] == ["17.2", "17.1"]
    assert [c.linkedid for c in calls.recent(city.conn, after_id=get(city, "17.2").id)] == ["17.1"]
    assert [c.linkedid for c in calls.recent(city.conn, caller=PHONE, between=(at(0), at(1)), end_cause="abandoned")
            ] == ["17.1"]  # fmt: skip
    assert calls.recent(city.conn, between=(at(1), at(2))) == []


def test_a_call_first_heard_of_in_its_middle_is_kept_and_mended_by_its_arrival(city: City) -> None:
    calls.answered(city.conn, "17.1", "101", at(20), city.operator)
    assert get(city).origin == "unknown"
    calls.arrived(city.conn, "17.1", at=at(0), origin="landline", caller=PHONE, source="spool")
    call = get(city)
    assert (call.origin, call.caller, call.arrived_at, call.answered_at) == ("landline", PHONE, at(0), at(20))


def test_a_lost_call_is_said_better_when_more_is_known(city: City) -> None:
    calls.arrived(city.conn, "17.1", at=at(0), origin="mobile")
    calls.ended(city.conn, "17.1", at(50), EndCause.LOST)
    calls.ended(city.conn, "17.1", at(40), EndCause.ABANDONED, wait_s=31)
    call = get(city)
    assert (call.end_cause, call.wait_s, call.ended_at) == ("abandoned", 31, at(50))


def test_who_joined_an_incident_is_served_unless_he_waits_on(city: City) -> None:
    for linkedid, stays in (("17.1", False), ("17.2", True), ("17.3", True)):
        calls.arrived(city.conn, linkedid, at=at(0), origin="mobile", caller=PHONE)
        calls.queued(city.conn, linkedid, at(1), "city", 1)
        calls.add_event(city.conn, linkedid, at(20), calls.JOINED)
        for _ in range(2 if stays else 0):  # between any two slices
            calls.stays(city.conn, linkedid, at(30))
    calls.add_event(city.conn, "17.3", at(40), calls.PROMISED)
    for linkedid in ("17.1", "17.2", "17.3"):
        calls.ended(city.conn, linkedid, at(50), EndCause.ABANDONED, wait_s=49)
    assert [get(city, linkedid).end_cause for linkedid in ("17.1", "17.2", "17.3")] == ["ivr", "abandoned", "promised"]


def test_who_gives_up_before_he_is_in_a_queue_of_asterisks_has_waited_all_the_same(city: City) -> None:
    calls.queued(city.conn, "17.1", at(5), "city", 1)
    calls.ended(city.conn, "17.1", at(12), EndCause.ABANDONED)
    assert get(city).wait_s == 7


def test_a_clock_that_jumps_back_gives_no_negative_wait(city: City) -> None:
    calls.queued(city.conn, "17.1", at(60), "city", 1)
    calls.answered(city.conn, "17.1", "101", at(0))
    assert get(city).wait_s == 0


@pytest.mark.parametrize("linkedid", ["", "x" * 65, "17.1\r\nAction: Originate", "${EXTEN}"])
def test_an_id_that_asterisk_would_not_make_is_refused(city: City, linkedid: str) -> None:
    with pytest.raises(BadInput):
        calls.arrived(city.conn, linkedid, at=NOON, origin="mobile")
    with pytest.raises(BadInput):
        calls.ended(city.conn, linkedid, NOON, EndCause.LOST)
    with pytest.raises(BadInput):
        calls.add_event(city.conn, linkedid, NOON, "note")


def test_an_answered_call_is_unsettled_until_somebody_says_what_it_was(city: City) -> None:
    for linkedid, answered in (("17.1", True), ("17.2", True), ("17.3", False)):
        calls.arrived(city.conn, linkedid, at=at(0), origin="mobile")
        if answered:
            calls.answered(city.conn, linkedid, "101", at(10))
        calls.ended(city.conn, linkedid, at(20), EndCause.COMPLETED if answered else EndCause.ABANDONED)
    assert [call.linkedid for call in calls.unsettled(city.conn)] == ["17.1", "17.2"]
    calls.settle(city.conn, "17.1", Outcome.CONSULTED, city.operator, at(30))
    assert [call.linkedid for call in calls.unsettled(city.conn)] == ["17.2"]
    assert get(city).outcome == "consulted"
    with pytest.raises(BadInput, match="not_answered"):
        calls.settle(city.conn, "17.3", Outcome.SILENT, city.operator, at(30))
    with pytest.raises(NotFound):
        calls.settle(city.conn, "17.9", Outcome.SILENT, city.operator, at(30))


def test_what_follows_by_itself_never_overrules_a_person(city: City) -> None:
    calls.answered(city.conn, "17.1", "101", at(10))
    calls.settle(city.conn, "17.1", Outcome.PRANK, city.operator, at(30))
    city.registered(linkedid="17.1")
    assert get(city).outcome == "prank"


def test_calls_without_an_end(city: City) -> None:
    calls.arrived(city.conn, "17.1", at=at(0), origin="mobile")
    calls.arrived(city.conn, "17.2", at=at(1), origin="mobile")
    calls.ended(city.conn, "17.1", at(9), EndCause.IVR)
    assert [call.linkedid for call in calls.unended(city.conn)] == ["17.2"]


def test_a_line_of_the_spool_is_taken_once(city: City) -> None:
    assert calls.taken_once(city.conn, "spool", "1764000000.1", NOON)
    assert not calls.taken_once(city.conn, "spool", "1764000000.1", at(60))
    assert calls.taken_once(city.conn, "queue_log", "1764000000.1", NOON)
    assert calls.get(city.conn, "1764000000.1") is None


def test_who_called_is_said_by_a_person(city: City) -> None:
    calls.arrived(city.conn, "17.1", at=NOON, origin="mobile", caller=PHONE)
    assert get(city).citizen_id is None
    calls.set_citizen(city.conn, "17.1", city.citizen)
    assert get(city).citizen_id == city.citizen
    with pytest.raises(NotFound):
        calls.set_citizen(city.conn, "17.9", city.citizen)


def test_a_seats_day(city: City) -> None:
    calls.seat_event(city.conn, "101", NOON, "login", city.operator)
    with pytest.raises(BadInput):
        calls.seat_event(city.conn, "101", NOON, "pause", city.operator, "п" * 61)
