"""Calls and seats from events alone: whole calls, strange ones, and what is left after a loss."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from call_queue import events as ev
from call_queue import order
from call_queue import tracker as t
from call_queue.tracker import SeatState, Tracker, TrunkState
from crm.calls import Direction, EndCause
from tests.call_queue.conftest import INTERFACES, LANDLINE, MOBILE, SEATS, Exchange, at, tracker

A, B = "17.1", "17.2"


# ── a whole call ──
def test_a_call_from_its_first_ring_to_its_end(exchange: Exchange) -> None:
    exchange.log_in("101", "102", "103")
    exchange.later(1).arrive(A)
    exchange.later(9).join(A, position=1)
    exchange.later(5).ring(A, "101", "17.11")
    assert exchange.seat("101") == ("ringing", A, "")
    exchange.later(15).silent(A, "101", "17.11")
    exchange.later(1).ring(A, "102", "17.12")
    exchange.later(4).answer(A, "102", "17.12")
    assert exchange.seat("102") == ("talking", A, "")
    exchange.later(20).hold(A, "102", "17.12")
    assert exchange.seat("102") == ("hold", A, "")
    exchange.later(10).unhold(A, "102", "17.12")
    exchange.later(30).apply(ev.Transferred(at(exchange.now), A, A, INTERFACES["102"], "103", False))
    exchange.done(A, "102", "17.12", "transfer")
    assert exchange.seat("102") == ("wrapup", "", "")
    exchange.apply(ev.ChannelBegan(at(exchange.now), "17.13", A, INTERFACES["103"], "1551", "s"))
    exchange.later(3).apply(ev.Device(at(exchange.now), INTERFACES["103"], "INUSE"))
    exchange.bridge("17.13", A, INTERFACES["103"])
    assert exchange.seat("103") == ("talking", A, "")
    exchange.later(40).end("17.13", INTERFACES["103"], A)
    exchange.apply(ev.Device(at(exchange.now), INTERFACES["103"], "NOT_INUSE"))
    exchange.end(A)
    assert exchange.of(t.CallChange) == [
        t.Arrived(at(1), A, "+380671234567", "mobile", Direction.IN),
        t.Entered(at(10), A, "city", 1),
        t.Rang(at(15), A, "101", "+380671234567"),
        t.Silent(at(30), A, "101"),
        t.Rang(at(31), A, "102", "+380671234567"),
        t.Answered(at(35), A, "102", 25.0),
        t.Held(at(65), A, "102", 10.0),
        t.Transferred(at(95), A, "102", "103"),
        t.Answered(at(98), A, "103", 25.0),
        t.Ended(at(138), A, EndCause.COMPLETED, 25.0, 93.0, 10.0),
    ]
    assert exchange.seat("103") == ("wrapup", "", "")
    assert not exchange.tracker.calls


@pytest.mark.parametrize("declined", [True, False])
def test_a_seat_that_rang_in_vain_is_told(exchange: Exchange, declined: bool) -> None:
    """Its channel ends before Asterisk says so when it declines, and after when it is silent."""
    exchange.log_in("101")
    exchange.arrive(A)
    exchange.join(A)
    exchange.ring(A, "101", "17.11")
    tells = [lambda: exchange.apply(ev.SeatSilent(at(15), A, A, "city", "101", INTERFACES["101"])),
             lambda: exchange.end("17.11", INTERFACES["101"], A)]  # fmt: skip
    for tell in reversed(tells) if declined else tells:
        tell()
    exchange.apply(ev.Device(at(15), INTERFACES["101"], "NOT_INUSE"))
    assert exchange.of(t.Silent) == [t.Silent(at(15), A, "101")]
    assert exchange.tracker.calls[A].queue == "city"
    assert exchange.seat("101") == ("free", "", "")


def test_the_seat_that_answers_is_not_free_in_between(exchange: Exchange) -> None:
    exchange.log_in("101")
    exchange.arrive(A)
    exchange.join(A)
    exchange.ring(A, "101", "17.11")
    exchange.answer(A, "101", "17.11")
    assert [change.state for change in exchange.of(t.SeatChanged)] == [
        SeatState.FREE, SeatState.RINGING, SeatState.TALKING]  # fmt: skip


def test_who_hangs_up_on_hold_was_on_hold_to_the_end(exchange: Exchange) -> None:
    exchange.arrive(A)
    exchange.join(A)
    exchange.ring(A, "101", "17.11")
    exchange.later(10).answer(A, "101", "17.11")
    exchange.later(20).hold(A, "101", "17.11")
    exchange.later(15).hang_up(A)
    exchange.done(A, "101", "17.11")
    exchange.end(A)
    assert exchange.of(t.Held, t.Ended) == [
        t.Held(at(45), A, "101", 15.0), t.Ended(at(45), A, EndCause.COMPLETED, 10.0, 20.0, 15.0)]  # fmt: skip


@pytest.mark.parametrize("target_is_bridged_first", [True, False])
def test_an_attended_transfer(exchange: Exchange, target_is_bridged_first: bool) -> None:
    """101 holds the caller, calls 102 on a second line, and connects the two; bridges are told before or after."""
    exchange.log_in("101", "102")
    exchange.arrive(A)
    exchange.join(A)
    exchange.ring(A, "101", "17.11")
    exchange.later(10).answer(A, "101", "17.11")
    exchange.later(10).hold(A, "101", "17.11")
    exchange.apply(ev.ChannelBegan(at(20), "17.21", "17.21", INTERFACES["101"], "101", "102"))
    exchange.apply(ev.ChannelBegan(at(20), "17.22", "17.21", INTERFACES["102"], "101", "s"))
    exchange.later(5).apply(ev.Device(at(25), INTERFACES["102"], "INUSE"))
    exchange.bridge("17.21", "17.21", INTERFACES["101"])
    exchange.bridge("17.22", "17.21", INTERFACES["102"])
    exchange.apply(ev.Held(at(25), "17.21", "17.21", INTERFACES["101"]))
    exchange.apply(ev.Unheld(at(25), "17.21", "17.21", INTERFACES["101"]))
    assert exchange.seat("101") == ("hold", A, ""), "on another line he held and took back another"
    assert exchange.seat("102") == ("talking", "", ""), "with a colleague, in no call of a citizen's"
    exchange.later(5)
    given_away = ev.Transferred(at(30), A, A, INTERFACES["101"], INTERFACES["102"], True)
    if target_is_bridged_first:
        exchange.bridge("17.22", A, INTERFACES["102"])
        exchange.apply(given_away)
    else:
        exchange.apply(given_away)
        exchange.bridge("17.22", A, INTERFACES["102"])
    for leg, linkedid in (("17.11", A), ("17.21", "17.21")):
        exchange.end(leg, INTERFACES["101"], linkedid)
    exchange.apply(ev.Device(at(30), INTERFACES["101"], "NOT_INUSE"))
    assert exchange.seat("101") == ("wrapup", "", "")
    assert exchange.seat("102") == ("talking", A, "")
    exchange.later(20).end("17.22", INTERFACES["102"], A)
    exchange.end(A)
    assert exchange.of(t.Transferred) == [t.Transferred(at(30), A, "101", "102")]
    assert [(change.seat, change.at) for change in exchange.of(t.Answered)] == [("101", at(10)), ("102", at(30))]
    assert exchange.of(t.Ended) == [t.Ended(at(50), A, EndCause.COMPLETED, 10.0, 30.0, 10.0)]


def test_a_call_passed_back_to_the_queue_waits_again(exchange: Exchange) -> None:
    exchange.log_in("101")
    exchange.arrive(A)
    exchange.join(A)
    exchange.ring(A, "101", "17.11")
    exchange.later(10).answer(A, "101", "17.11")
    exchange.later(20).apply(ev.Transferred(at(30), A, A, INTERFACES["101"], "1551", False))
    exchange.done(A, "101", "17.11", "transfer")
    exchange.later(1).join(A, position=1)
    assert [call.linkedid for call, _ in exchange.tracker.waiting("city")] == [A]
    exchange.later(9).ring(A, "101", "17.12")
    exchange.later(5).answer(A, "101", "17.12")
    assert exchange.seat("101") == ("talking", A, "")
    assert not exchange.tracker.waiting()
    exchange.later(15).done(A, "101", "17.12")
    exchange.end(A)
    assert [change.at for change in exchange.of(t.Answered)] == [at(10), at(45)]
    assert exchange.of(t.Ended) == [t.Ended(at(60), A, EndCause.COMPLETED, 10.0, 36.0, 0.0)], "14 s of it in the queue"


def talking(exchange: Exchange, number: str = "101", leg: str = "17.11") -> None:
    exchange.log_in("101", "102")
    exchange.arrive(A)
    exchange.join(A)
    exchange.ring(A, number, leg)
    exchange.answer(A, number, leg)


def test_a_seat_left_alone_on_the_line_has_no_call(exchange: Exchange) -> None:
    """The citizen's channel ended before the seat's."""
    talking(exchange)
    exchange.later(10).end(A)
    assert exchange.seat("101")[1] == ""
    exchange.end("17.11", INTERFACES["101"], A)
    exchange.apply(ev.Device(at(10), INTERFACES["101"], "NOT_INUSE"))
    assert exchange.seat("101") == ("wrapup", "", "")
    assert [change.talk_s for change in exchange.of(t.Ended)] == [10.0]


def test_a_seat_that_asks_the_short_number_on_another_line(exchange: Exchange) -> None:
    """Its other line is a call of its own, known to us: what it holds there is not the citizen."""
    talking(exchange)
    exchange.apply(ev.ChannelBegan(at(5), B, B, INTERFACES["101"], "101", "1551"))
    exchange.hold(B, "101", B)
    assert exchange.seat("101") == ("talking", A, "")
    exchange.hold(A, "101", "17.11")
    assert exchange.seat("101") == ("hold", A, "")
    exchange.unhold(B, "101", B)
    assert exchange.seat("101") == ("hold", A, "")


def test_a_transfer_to_nobody_of_ours_is_told_once(exchange: Exchange) -> None:
    talking(exchange)
    given_away = ev.Transferred(at(30), A, A, INTERFACES["101"], "0441234567", False)
    exchange.apply(given_away)
    exchange.apply(given_away)
    assert exchange.of(t.Transferred) == [t.Transferred(at(30), A, "101", "0441234567")]


def test_a_hold_ends_when_another_seat_takes_the_call(exchange: Exchange) -> None:
    talking(exchange)
    exchange.later(10).hold(A, "101", "17.11")
    exchange.later(5).bridge("17.12", A, INTERFACES["102"])
    assert exchange.of(t.Held, t.Answered)[1:] == [t.Held(at(15), A, "101", 5.0), t.Answered(at(15), A, "102", 0.0)]
    exchange.later(20).end(A)
    assert exchange.of(t.Ended) == [t.Ended(at(35), A, EndCause.COMPLETED, 0.0, 30.0, 5.0)]


# ── how a call ends ──
def test_abandoned(exchange: Exchange) -> None:
    exchange.arrive(A)
    exchange.later(10).join(A)
    exchange.ring(A, "101", "17.11")
    exchange.later(40).hang_up(A)
    exchange.abandon(A)
    exchange.end("17.11", INTERFACES["101"], A)
    exchange.end(A)
    assert exchange.of(t.Ended) == [t.Ended(at(50), A, EndCause.ABANDONED, 40.0, None, None)]
    assert exchange.seat("101")[1] == ""


def test_who_hangs_up_between_two_slices_has_given_up(exchange: Exchange) -> None:
    exchange.arrive(A)
    exchange.join(A)
    exchange.later(60).abandon(A)
    assert [place for _, place in exchange.tracker.waiting("city")] == [1], "he still waits"
    exchange.later(5).hang_up(A)
    exchange.end(A)
    assert exchange.of(t.Ended) == [t.Ended(at(65), A, EndCause.ABANDONED, 65.0, None, None)]
    assert not exchange.tracker.waiting()


def test_who_hangs_up_while_he_is_told_his_place_has_given_up(exchange: Exchange) -> None:
    """He has not been in a queue of Asterisk's yet; the room has given him his turn."""
    exchange.arrive(A)
    exchange.tracker.calls[A].turn = at(0)
    exchange.later(6).end(A)
    assert exchange.of(t.Ended) == [t.Ended(at(6), A, EndCause.ABANDONED, None, None, None)]
    exchange.arrive(B)
    exchange.later(6).end(B)
    assert exchange.of(t.Ended)[-1].cause is EndCause.IVR


def test_whom_the_dialplan_hangs_up_on_has_not(exchange: Exchange) -> None:
    """Joined an incident, say; of a callback taken instead the record tells."""
    exchange.arrive(A)
    exchange.join(A)
    exchange.later(60).abandon(A)
    exchange.later(5).end(A)
    assert exchange.of(t.Ended) == [t.Ended(at(65), A, EndCause.TIMEOUT, 65.0, None, None)]


def test_slices_are_one_wait(exchange: Exchange) -> None:
    exchange.arrive(A)
    exchange.join(A, "city-en")
    exchange.later(60).abandon(A, "city-en")
    exchange.later(3).join(A, "city", position=1)
    exchange.later(30).hang_up(A)
    exchange.abandon(A)
    exchange.end(A)
    assert exchange.of(t.CallChange)[1:] == [
        t.Entered(at(0), A, "city", None), t.Ended(at(93), A, EndCause.ABANDONED, 93.0, None, None)]  # fmt: skip


def test_who_was_passed_back_waits_from_then_until_a_seat_takes_him(exchange: Exchange) -> None:
    """What he hears between two slices is no conversation."""
    talking(exchange)
    exchange.later(20).apply(ev.Transferred(at(20), A, A, INTERFACES["101"], "1551", False))
    exchange.done(A, "101", "17.11", "transfer")
    exchange.join(A)
    exchange.later(45).abandon(A)
    exchange.later(5).join(A)
    exchange.later(10).ring(A, "102", "17.12")
    exchange.answer(A, "102", "17.12")
    exchange.later(7).done(A, "102", "17.12")
    exchange.end(A)
    assert [type(change) for change in exchange.of(t.Entered, t.Ended)] == [t.Entered, t.Entered, t.Ended]
    assert exchange.of(t.Ended) == [t.Ended(at(87), A, EndCause.COMPLETED, 0.0, 27.0, 0.0)]


def test_served_by_the_machine(exchange: Exchange) -> None:
    exchange.arrive(A, LANDLINE)
    exchange.later(30).hang_up(A)
    exchange.end(A, LANDLINE)
    assert exchange.of(t.CallChange) == [
        t.Arrived(at(0), A, "+380671234567", "landline", Direction.IN),
        t.Ended(at(30), A, EndCause.IVR, None, None, None)]  # fmt: skip


@pytest.mark.parametrize("caller", ["", "anonymous", "x\r\nAction: Command", "${SHELL(id)}"])
def test_a_caller_without_a_number(exchange: Exchange, caller: str) -> None:
    exchange.arrive(A, caller=caller)
    assert exchange.of(t.Arrived)[0].caller == ""


def test_what_is_no_call_of_ours_is_none(exchange: Exchange) -> None:
    exchange.arrive(A, "PJSIP/stranger")
    exchange.apply(ev.ChannelBegan(at(0), "17.2", "17.2", INTERFACES["101"], "101", "102"))
    exchange.apply(ev.SeatAnswered(at(0), "17.2", "17.2", "city", "101", INTERFACES["101"]))
    exchange.apply(ev.SeatRang(at(0), "17.9", "17.9", "city", "101", INTERFACES["101"], "", "17.91"))
    exchange.end(A, "PJSIP/stranger")
    assert exchange.told == []


def test_a_seat_calls_the_short_number(exchange: Exchange) -> None:
    exchange.log_in("102")
    exchange.apply(ev.ChannelBegan(at(0), A, A, INTERFACES["101"], "101", "1551"))
    exchange.join(A)
    exchange.ring(A, "102", "17.12")
    exchange.answer(A, "102", "17.12")
    exchange.bridge(A, A, INTERFACES["101"])  # after a hold, say
    assert exchange.of(t.Arrived)[0].origin == "seat"
    assert [change.seat for change in exchange.of(t.Answered)] == ["102"], "he has not answered himself"


# ── who waits ──
def test_the_waiting_stand_in_their_order(exchange: Exchange) -> None:
    for uid in ("17.1", "17.2", "17.3", "17.4"):
        exchange.arrive(uid)
        exchange.later(1).join(uid, "city-social" if uid == "17.2" else "city")
    exchange.tracker.calls["17.4"].turn = at(-600)  # an emergency
    exchange.arrive("17.5")
    exchange.join("17.5", "feedback")
    places = [(call.linkedid, place) for call, place in exchange.tracker.waiting("city")]
    assert places == [("17.4", 1), ("17.1", 2), ("17.2", 3), ("17.3", 4)]
    exchange.abandon("17.1")
    exchange.end("17.4")
    assert [(call.linkedid, place) for call, place in exchange.tracker.waiting()] == [
        ("17.1", 1), ("17.2", 2), ("17.3", 3), ("17.5", 1)]  # fmt: skip


def test_a_caller_first_heard_of_in_the_queue(exchange: Exchange) -> None:
    exchange.join(A, position=2)
    assert exchange.of(t.Arrived)[0].origin == "unknown"
    assert [call.linkedid for call, _ in exchange.tracker.waiting()] == [A]


def test_what_comes_late_for_an_ended_call_brings_it_not_back(exchange: Exchange) -> None:
    exchange.arrive(A)
    exchange.end(A)
    told = len(exchange.told)
    exchange.arrive(A)
    exchange.join(A)
    assert len(exchange.told) == told
    assert (exchange.tracker.waiting(), exchange.tracker.calls_on(MOBILE)) == ([], 0)


# ── seats ──
def test_a_seats_day(exchange: Exchange) -> None:
    exchange.log_in("101")
    exchange.log_in("101", queue="feedback")
    exchange.log_in("101", paused=True, reason="обід")
    exchange.log_in("101", queue="feedback", paused=True, reason="обід")
    assert exchange.seat("101") == ("paused", "", "обід")
    exchange.log_in("101")
    exchange.log_in("101", queue="feedback")
    for queue in ("city", "feedback"):
        exchange.apply(ev.MemberRemoved(at(9), queue, "101", INTERFACES["101"]))
    told = [(change.kind, change.state.value, change.reason) for change in exchange.of(t.SeatChanged) if change.kind]
    assert told == [("login", "free", ""), ("pause", "paused", "обід"), ("unpause", "free", ""), ("logout", "out", "")]


def test_one_login_however_many_queues(exchange: Exchange) -> None:
    for queue in ("city", "seat-101", "city-en"):
        exchange.log_in("101", queue=queue)
    exchange.log_in("102")
    assert [exchange.tracker.serving(line) for line in ("city", "city-en", "city-social")] == [2, 1, 0]
    assert exchange.tracker.free("seat-101") == 1
    for queue in ("city", "city-en", "seat-101"):
        assert exchange.seat("101") == ("free", "", "")
        exchange.apply(ev.MemberRemoved(at(9), queue, "101", INTERFACES["101"]))
    assert [change.kind for change in exchange.of(t.SeatChanged) if change.seat == "101"] == ["login", "logout"]


@pytest.mark.parametrize(("status", "state"), [(1, "free"), (5, "offline"), (4, "offline"), (0, "free"), (99, "free"),
                                               (None, "free"), (2, "talking"), (6, "free")])  # fmt: skip
def test_a_seats_telephone(exchange: Exchange, status: int | None, state: str) -> None:
    """6 (ringing) without a call of ours is nothing yet."""
    exchange.log_in("101", status=status)
    assert exchange.seat("101")[0] == state
    assert exchange.tracker.serving("city") == (state in ("free", "talking"))
    assert exchange.tracker.free("city") == (state == "free")


def test_wrap_up_ends_by_time(exchange: Exchange) -> None:
    exchange.log_in("101")
    exchange.arrive(A)
    exchange.join(A)
    exchange.ring(A, "101", "17.11")
    exchange.answer(A, "101", "17.11")
    assert exchange.tracker.next_tick() is None
    exchange.later(60).done(A, "101", "17.11")
    assert exchange.seat("101")[0] == "wrapup"
    assert exchange.tracker.next_tick() == at(70)
    assert exchange.later(9.9).tick() == []
    assert exchange.tracker.free("city") == 0
    assert exchange.later(0.1).tick() == [t.SeatChanged(at(70), "101", SeatState.FREE, "", "")]
    assert exchange.tick() == []
    assert exchange.tracker.free("city") == 1


def test_no_wrap_up_where_there_is_none() -> None:
    exchange = Exchange(wrap_up_s=0)
    exchange.log_in("101")
    exchange.arrive(A)
    exchange.join(A)
    exchange.ring(A, "101", "17.11")
    exchange.answer(A, "101", "17.11")
    exchange.done(A, "101", "17.11")
    assert exchange.seat("101")[0] == "free"


def test_the_number_comes_after_the_call(exchange: Exchange) -> None:
    """The dialplan reads it; AMI has told of the channel before."""
    exchange.arrive(A, caller="anonymous")
    exchange.apply(ev.CallerKnown(at(0), A, A, MOBILE, "0671234567"))
    exchange.apply(ev.CallerKnown(at(1), A, A, MOBILE, "0509999999"))
    assert exchange.tracker.calls[A].caller == "+380671234567"


# ── callbacks and trunks ──
def test_a_live_callback(exchange: Exchange) -> None:
    """Its own channel is the seat's; the citizen is dialled by it."""
    exchange.log_in("101", queue="feedback")
    exchange.apply(ev.ChannelBegan(at(0), "cb-1", "cb-1", INTERFACES["101"], "1551", "s"))
    exchange.apply(ev.Device(at(0), INTERFACES["101"], "RINGING"))
    assert exchange.seat("101") == ("ringing", "cb-1", "")
    exchange.apply(ev.ChannelAnswered(at(3), "cb-1", "cb-1", INTERFACES["101"]))
    exchange.apply(ev.Device(at(3), INTERFACES["101"], "INUSE"))
    assert not exchange.of(t.PickedUp), "the seat is no citizen"
    exchange.apply(ev.ChannelBegan(at(4), "17.5", "cb-1", MOBILE, "1551", "s"))
    exchange.apply(ev.Dialled(at(12), "cb-1", MOBILE, "ANSWER"))
    assert exchange.tracker.calls_on(MOBILE) == 1
    exchange.now = 50
    exchange.end("17.5", MOBILE, "cb-1")
    exchange.end("cb-1", INTERFACES["101"])
    assert exchange.of(t.CallChange) == [
        t.Arrived(at(0), "cb-1", "", "centre", Direction.OUT),
        t.PickedUp(at(12), "cb-1"),
        t.Answered(at(12), "cb-1", "101", None),
        t.Ended(at(50), "cb-1", EndCause.COMPLETED, None, 38.0, 0.0),
    ]


@pytest.mark.parametrize("status", ["NOANSWER", "BUSY", "CANCEL", "CHANUNAVAIL"])
def test_a_live_callback_that_nobody_answers(exchange: Exchange, status: str) -> None:
    exchange.apply(ev.ChannelBegan(at(0), "cb-1", "cb-1", INTERFACES["101"], "1551", "s"))
    exchange.apply(ev.ChannelAnswered(at(3), "cb-1", "cb-1", INTERFACES["101"]))
    exchange.apply(ev.Dialled(at(12), "cb-1", MOBILE, status))
    exchange.end("cb-1", INTERFACES["101"])
    assert [change.cause for change in exchange.of(t.Ended)] == [EndCause.UNREACHED]


def test_an_automatic_callback(exchange: Exchange) -> None:
    exchange.apply(ev.ChannelBegan(at(0), "cb-2", "cb-2", MOBILE, "1551", "s"))
    exchange.apply(ev.ChannelAnswered(at(8), "cb-2", "cb-2", MOBILE))
    exchange.now = 30
    exchange.end("cb-2")
    assert exchange.of(t.CallChange) == [
        t.Arrived(at(0), "cb-2", "", "centre", Direction.OUT), t.PickedUp(at(8), "cb-2"),
        t.Ended(at(30), "cb-2", EndCause.COMPLETED, None, None, None)]  # fmt: skip


def test_an_automatic_callback_that_asks_for_a_person(exchange: Exchange) -> None:
    exchange.log_in("101")
    exchange.apply(ev.ChannelBegan(at(0), "cb-2", "cb-2", MOBILE, "1551", "s"))
    exchange.apply(ev.ChannelAnswered(at(8), "cb-2", "cb-2", MOBILE))
    exchange.later(20).join("cb-2")
    exchange.ring("cb-2", "101", "17.11")
    exchange.later(5).answer("cb-2", "101", "17.11")
    assert exchange.seat("101") == ("talking", "cb-2", "")
    exchange.later(5).done("cb-2", "101", "17.11")
    exchange.end("cb-2")
    assert exchange.of(t.Ended) == [t.Ended(at(30), "cb-2", EndCause.COMPLETED, 5.0, 5.0, 0.0)]


def test_an_automatic_callback_that_nobody_answers(exchange: Exchange) -> None:
    exchange.apply(ev.ChannelBegan(at(0), "cb-2", "cb-2", MOBILE, "1551", "s"))
    exchange.end("cb-2")
    assert [change.cause for change in exchange.of(t.Ended)] == [EndCause.UNREACHED]


def test_the_trunks(exchange: Exchange) -> None:
    assert {trunk.state for trunk in exchange.tracker.trunks.values()} == {TrunkState.UNKNOWN}
    for event in (ev.Contact(at(0), "trunk-mobile", True), ev.Contact(at(1), "trunk-mobile", True),
                  ev.Contact(at(2), "trunk-mobile", None), ev.Contact(at(3), "stranger", False),
                  ev.Device(at(4), MOBILE, "INUSE"), ev.Device(at(5), MOBILE, "UNAVAILABLE"),
                  ev.Contact(at(6), "trunk-mobile", False), ev.Device(at(7), LANDLINE, "NOT_INUSE")):  # fmt: skip
        exchange.apply(event)
    assert exchange.told == [
        t.TrunkChanged(at(0), MOBILE, TrunkState.OK), t.TrunkChanged(at(5), MOBILE, TrunkState.DOWN),
        t.TrunkChanged(at(7), LANDLINE, TrunkState.OK)]  # fmt: skip
    assert t.trunk_name(MOBILE) == "mobile"
    exchange.arrive(A)
    exchange.arrive(B, LANDLINE)
    assert (exchange.tracker.calls_on(MOBILE), exchange.tracker.calls_on(LANDLINE)) == (1, 1)
    exchange.end(A)
    assert exchange.tracker.calls_on(MOBILE) == 0


# ── whatever happens ──
def sound(one: Tracker) -> None:
    """What is always so."""
    lines: dict[str, list[str]] = {}
    for call, place in one.waiting():
        lines.setdefault(call.line, []).append(call.linkedid)
        assert place == len(lines[call.line])
    standing = sorted(itertools.chain(*lines.values()))
    assert standing == sorted(c.linkedid for c in one.calls.values() if c.sought)
    assert {c.linkedid for c in one.calls.values() if c.queue} <= set(standing), "who is in a queue waits"
    for linkedid, call in one.calls.items():
        assert call.linkedid == linkedid
        assert set(call.ringing) <= set(one.seats)
        assert call.hold_s >= 0
        assert call.wait_s is None or call.wait_s >= 0
    for seat in one.seats.values():
        for named in (seat.talking, seat.ringing, seat.told[1]):
            assert named == "" or named in one.calls, "a seat points at a call that does not exist"
        assert seat.talking or not seat.on_hold
        assert set(seat.paused) <= seat.queues
        assert seat.told == seat.now(one.calls)
    assert 0 <= one.free("city") <= one.serving("city") <= len(one.seats)


def sound_change(change: t.Change) -> None:
    for name in ("wait_s", "talk_s", "hold_s", "seconds"):
        value = getattr(change, name, None)
        assert value is None or value >= 0


times = st.integers(0, 60).map(at)
uids = st.sampled_from(["17.1", "17.2", "17.3", "cb-1", "cb-2"])
legs = st.sampled_from(["17.11", "17.12", "17.1", ""])
channels = uids | legs
endpoints = st.sampled_from([*SEATS, MOBILE, LANDLINE, "PJSIP/stranger", ""])
interfaces = st.sampled_from([*SEATS, "PJSIP/stranger", ""])
members = st.sampled_from([*SEATS.values(), "999", ""])
queues = st.sampled_from(["city", "city-en", "seat-101", "feedback"])
counts = st.none() | st.integers(0, 9)
texts = st.sampled_from(["", "0671234567", "102", "1551", "обід", *SEATS])
states = st.sampled_from(["NOT_INUSE", "INUSE", "RINGING", "ONHOLD", "UNAVAILABLE", "RINGINUSE", "?"])
events = st.one_of(
    st.builds(ev.ChannelBegan, times, channels, uids, endpoints, texts, texts),
    *(st.builds(kind, times, channels, uids, endpoints)
      for kind in (ev.ChannelAnswered, ev.HangupAsked, ev.Held, ev.Unheld, ev.Bridged)),
    st.builds(ev.ChannelEnded, times, channels, uids, endpoints, counts),
    st.builds(ev.Transferred, times, channels, uids, endpoints, texts, st.booleans()),
    st.builds(ev.CallerJoined, times, uids, uids, queues, texts, counts),
    *(st.builds(kind, times, uids, uids, queues) for kind in (ev.CallerLeft, ev.CallerAbandoned)),
    st.builds(ev.SeatRang, times, uids, uids, queues, members, interfaces, texts, legs),
    *(st.builds(kind, times, uids, uids, queues, members, interfaces) for kind in (ev.SeatAnswered, ev.SeatSilent)),
    st.builds(ev.SeatDone, times, uids, uids, queues, members, interfaces, texts),
    st.builds(ev.Member, times, queues, members, interfaces, st.booleans(), texts, counts),
    st.builds(ev.MemberRemoved, times, queues, members, interfaces),
    st.builds(ev.Device, times, endpoints, states),
    st.builds(ev.Contact, times, texts, st.none() | st.booleans()),
    st.builds(ev.Dialled, times, uids, endpoints, st.sampled_from(["ANSWER", "BUSY"])),
    st.builds(ev.Originated, times, uids, uids, st.booleans(), counts),
)  # fmt: skip
ages, bridges = st.integers(0, 60), st.sampled_from(["", "b1"])
listed_members = st.builds(ev.Member, times, queues, members, interfaces, st.booleans(), texts, counts)
listed_callers = st.builds(ev.Waiting, times, uids, st.just(""), queues, texts, counts, ages,
                           st.none() | st.integers(1, 10**9 - 1))  # fmt: skip
listed_channels = st.builds(ev.LiveChannel, times, channels, uids, endpoints, texts, texts, bridges, st.booleans(),
                            ages)  # fmt: skip
steps = st.one_of(
    events, st.tuples(st.just("queues"), times, st.lists(listed_members | listed_callers, max_size=6)),
    st.tuples(st.just("channels"), times, st.lists(listed_channels, max_size=6)),
    st.tuples(st.just("tick"), times, st.none()))  # fmt: skip


@settings(max_examples=300)
@given(st.lists(steps, max_size=40))
def test_no_sequence_of_events_upsets_it(sequence: list[object]) -> None:
    one, doing = tracker(), {"queues": "adopt_queues", "channels": "adopt_channels", "tick": "tick"}
    for step in sequence:
        if isinstance(step, ev.Event):
            changes = one.apply(step)
            sound(one)
            assert one.apply(step) == [], "the same once more is nothing new"
        else:
            assert isinstance(step, tuple)
            what, now, listed = step
            do: Callable[..., list[t.Change]] = getattr(one, doing[what])
            changes = do(now) if listed is None else do(now, listed)
        for change in changes:
            sound_change(change)
        sound(one)


class Stammering(Exchange):
    """Everything is told twice."""

    def apply(self, event: ev.Event) -> list[t.Change]:
        changes = super().apply(event)
        assert self.tracker.apply(event) == [], "the same once more is nothing new"
        return changes


class World:
    """An exchange whose truth is known: what it does is told in events, and how it stands in lists."""

    def __init__(self, chance: random.Random) -> None:
        self.exchange = Stammering()
        self.chance = chance
        self.ids = itertools.count(1)
        self.calls: dict[str, str] = {}  # linkedid → "", its line, or "talk"
        self.trunk: dict[str, str] = {}
        self.lines: dict[str, list[str]] = {"city": [], "feedback": []}  # who was first to enter stands first
        self.queues: dict[str, str] = {}  # who is in a queue now, and not between two slices
        self.entered: dict[str, float] = {}  # last
        self.first: dict[str, float] = {}
        self.trackers = [self.exchange.tracker]  # to whom the room tells whose turn it is
        self.rings: dict[str, tuple[str, str]] = {}  # linkedid → seat, leg
        self.talks: dict[str, tuple[str, str]] = {}
        self.paused: set[str] = set()
        self.exchange.log_in(*SEATS.values())
        self.exchange.log_in(*SEATS.values(), queue="feedback")

    @property
    def at_rest(self) -> list[str]:
        busy = {seat for seat, _ in (*self.rings.values(), *self.talks.values())}
        return [seat for seat in SEATS.values() if seat not in busy]

    @property
    def waiting(self) -> set[str]:
        """In a queue."""
        return set(self.queues)

    @property
    def between(self) -> list[str]:
        """Two slices."""
        return [uid for line in self.lines.values() for uid in line if uid not in self.queues]

    def step(self) -> None:
        self.exchange.later(self.chance.choice([1, 2, 7]))
        doable = [
            self.arrive, *([self.join] * 2 * any(state == "" for state in self.calls.values())),
            *([self.ring] * 3 * bool(self.at_rest and self.waiting - set(self.rings))),
            *([self.answer, self.answer, self.silent] * bool(self.rings)),
            *([self.hold, self.done, self.give_back, self.give_on] * bool(self.talks)),
            *([self.give_up, self.pause] * bool(self.calls)),
            *([self.slice_over] * bool(self.waiting - set(self.rings))),
            *([self.next_slice] * 2 * bool(self.between)),
        ]  # fmt: skip
        self.chance.choice(doable)()

    def arrive(self) -> None:
        uid = f"17.{next(self.ids)}"
        self.calls[uid], self.trunk[uid] = "", self.chance.choice([MOBILE, LANDLINE])
        self.exchange.arrive(uid, self.trunk[uid])

    def join(self) -> None:
        uid = self.chance.choice([uid for uid, state in self.calls.items() if state == ""])
        self._join(uid, self.chance.choice(["city", "city", "feedback"]))

    def _join(self, uid: str, line: str) -> None:
        self.first.setdefault(uid, self.exchange.now)
        self.lines[line] = sorted([*self.lines[line], uid], key=self.first.__getitem__)
        self.calls[uid] = line
        self._enter(uid)

    def _enter(self, uid: str) -> None:
        line = self.calls[uid]
        self.queues[uid] = self.chance.choice(["city", "city-en", "seat-101"]) if line == "city" else line
        self.entered[uid] = self.exchange.now
        self.exchange.join(uid, self.queues[uid])
        self.tell_turns()

    def tell_turns(self) -> None:
        for one in self.trackers:
            for uid in self.first:
                if uid in one.calls:
                    one.calls[uid].turn = at(self.first[uid])

    def ring(self) -> None:
        uid = self.chance.choice(sorted(self.waiting - set(self.rings)))
        seat, leg = self.chance.choice(self.at_rest), f"17.{next(self.ids)}"
        self.rings[uid] = seat, leg
        self.exchange.ring(uid, seat, leg, self.queues[uid])

    def silent(self) -> None:
        uid = self.chance.choice(sorted(self.rings))
        self.exchange.silent(uid, *self.rings.pop(uid), self.queues[uid])

    def answer(self) -> None:
        uid = self.chance.choice(sorted(self.rings))
        self.talks[uid] = self.rings.pop(uid)
        self.lines[self.calls[uid]].remove(uid)
        self.calls[uid] = "talk"
        self.exchange.answer(uid, *self.talks[uid], self.queues.pop(uid))

    def hold(self) -> None:
        uid = self.chance.choice(sorted(self.talks))
        self.exchange.hold(uid, *self.talks[uid])
        self.exchange.later(2).unhold(uid, *self.talks[uid])

    def done(self) -> None:
        uid = self.chance.choice(sorted(self.talks))
        self.exchange.done(uid, *self.talks.pop(uid))
        self.exchange.end(uid, self.trunk[uid])
        del self.calls[uid]

    def _given_away(self, uid: str, to: str) -> None:
        seat, leg = self.talks.pop(uid)
        self.exchange.apply(ev.Transferred(at(self.exchange.now), uid, uid, INTERFACES[seat], to, False))
        self.exchange.done(uid, seat, leg, "transfer")

    def give_back(self) -> None:
        uid = self.chance.choice(sorted(self.talks))
        self._given_away(uid, "1551")
        self._join(uid, "city")

    def give_on(self) -> None:
        uid = self.chance.choice(sorted(self.talks))
        if not self.at_rest:
            return
        seat, leg = self.chance.choice(self.at_rest), f"17.{next(self.ids)}"
        self._given_away(uid, seat)
        self.exchange.apply(ev.ChannelBegan(at(self.exchange.now), leg, uid, INTERFACES[seat], "1551", "s"))
        self.exchange.apply(ev.Device(at(self.exchange.now), INTERFACES[seat], "INUSE"))
        self.exchange.bridge(leg, uid, INTERFACES[seat])
        self.talks[uid] = seat, leg

    def give_up(self) -> None:
        """The caller hangs up, wherever he is."""
        uid = self.chance.choice(sorted(self.calls))
        self.exchange.hang_up(uid, self.trunk[uid])
        if uid in self.talks:
            self.exchange.done(uid, *self.talks.pop(uid))
        elif self.calls[uid]:
            self.lines[self.calls[uid]].remove(uid)
            if uid in self.queues:
                self.exchange.abandon(uid, self.queues.pop(uid))
            if uid in self.rings:
                seat, leg = self.rings.pop(uid)
                self.exchange.end(leg, INTERFACES[seat], uid)
                self.exchange.apply(ev.Device(at(self.exchange.now), INTERFACES[seat], "NOT_INUSE"))
        self.exchange.end(uid, self.trunk[uid])
        del self.calls[uid]

    def slice_over(self) -> None:
        uid = self.chance.choice(sorted(self.waiting - set(self.rings)))
        self.exchange.abandon(uid, self.queues.pop(uid))

    def next_slice(self) -> None:
        self._enter(self.chance.choice(self.between))

    def settle(self) -> None:
        """Nobody is between two slices."""
        for uid in self.between:
            self._enter(uid)

    def pause(self) -> None:
        seat = self.chance.choice(sorted(SEATS.values()))
        self.paused ^= {seat}
        for queue in self.lines:
            self.exchange.log_in(seat, queue=queue, paused=seat in self.paused, reason="break", status=None)

    # how it stands
    def devices(self) -> list[ev.Event]:
        states = {**dict.fromkeys(SEATS.values(), "NOT_INUSE"),
                  **{seat: "RINGING" for seat, _ in self.rings.values()},
                  **{seat: "INUSE" for seat, _ in self.talks.values()}}  # fmt: skip
        return [ev.Device(at(self.exchange.now), INTERFACES[seat], state) for seat, state in states.items()]

    def queue_status(self) -> list[ev.Event]:
        now = self.exchange.now
        reasons = dict.fromkeys(self.paused, "break")
        return [*(ev.Member(at(now), queue, seat, interface, seat in self.paused, reasons.get(seat, ""), None)
                  for queue in self.lines for interface, seat in SEATS.items()),
                *(ev.Waiting(at(now), uid, "", queue, "0671234567", None, int(now - self.entered[uid]),
                             order.queue_prio(at(self.first[uid]))) for uid, queue in self.queues.items())]  # fmt: skip

    def channels(self) -> list[ev.Event]:
        now = at(self.exchange.now)
        rows = [(uid, uid, self.trunk[uid], "b" * (uid in self.talks), True) for uid in self.calls]
        rows += [(leg, uid, INTERFACES[seat], "", False) for uid, (seat, leg) in self.rings.items()]
        rows += [(leg, uid, INTERFACES[seat], "b", True) for uid, (seat, leg) in self.talks.items()]
        self.chance.shuffle(rows)
        return [ev.LiveChannel(now, uid, linkedid, endpoint, "0671234567", "", bridge, is_up, 1)
                for uid, linkedid, endpoint, bridge, is_up in rows]  # fmt: skip

    def truth(self) -> dict[str, object]:
        return {
            "calls": set(self.calls), "waiting": {queue: line for queue, line in self.lines.items() if line},
            "talking": {seat: uid for uid, (seat, _) in self.talks.items()},
            "ringing": {seat: uid for uid, (seat, _) in self.rings.items()}, "paused": self.paused,
            "trunks": {trunk: sum(self.trunk[uid] == trunk for uid in self.calls) for trunk in (MOBILE, LANDLINE)},
        }  # fmt: skip


def believed(one: Tracker) -> dict[str, object]:
    waiting: dict[str, list[str]] = {}
    for call, _ in one.waiting():
        waiting.setdefault(call.line, []).append(call.linkedid)
    seats = one.seats.values()
    return {
        "calls": set(one.calls), "waiting": waiting,
        "talking": {seat.number: seat.told[1] for seat in seats if seat.told[0] in t.ON_CALL},
        "ringing": {seat.number: seat.told[1] for seat in seats if seat.told[0] is SeatState.RINGING},
        "paused": {seat.number for seat in seats if seat.paused},
        "trunks": {trunk: one.calls_on(trunk) for trunk in (MOBILE, LANDLINE)},
    }  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_it_knows_how_an_exchange_stands(seed: int, steps: int) -> None:
    world = World(random.Random(seed))
    for _ in range(steps):
        world.step()
        assert believed(world.exchange.tracker) == world.truth()
        sound(world.exchange.tracker)
    ended = [change.linkedid for change in world.exchange.of(t.Ended)]
    assert len(ended) == len(set(ended)), "nobody ends twice"
    assert EndCause.LOST not in {change.cause for change in world.exchange.of(t.Ended)}
    for change in world.exchange.told:
        sound_change(change)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([0.1, 0.5, 0.9, 1]), st.integers(0, 20))
def test_after_a_loss_it_believes_what_is_so(seed: int, steps: int, lost: float, more: int) -> None:
    chance = random.Random(seed)
    world = World(chance)
    for _ in range(steps):
        world.step()
    world.settle()
    one = tracker()
    told = [change for event in world.exchange.heard if chance.random() >= lost for change in one.apply(event)]
    now = at(world.exchange.now)
    for device in world.devices():
        told += one.apply(device)
    told += one.adopt_queues(now, world.queue_status())
    sound(one)
    told += one.adopt_channels(now, world.channels())
    sound(one)
    assert believed(one) == world.truth()
    assert one.adopt_queues(now, world.queue_status()) + one.adopt_channels(now, world.channels()) == []
    # and from there on it follows
    heard = len(world.exchange.heard)
    for _ in range(more):
        world.step()
    for event in world.exchange.heard[heard:]:
        told += one.apply(event)
    world.trackers = [one]
    world.tell_turns()
    assert believed(one) == world.truth()
    for change in told:
        sound_change(change)


def test_after_a_loss_the_wait_is_counted_from_when_it_began(exchange: Exchange) -> None:
    waits = ev.Waiting(at(100), A, "", "city-en", "0671234567", 2, 61)
    [arrived, entered] = exchange.tracker.adopt_queues(at(100), [waits])
    assert arrived == t.Arrived(at(39), A, "+380671234567", "unknown", Direction.IN)
    assert entered == t.Entered(at(39), A, "city", None)
    [known] = exchange.tracker.adopt_channels(at(100), [
        ev.LiveChannel(at(100), A, A, LANDLINE, "0671234567", "Queue", "", True, 70)])  # fmt: skip
    assert known == t.Arrived(at(39), A, "+380671234567", "landline", Direction.IN)


def test_a_call_that_is_gone_after_a_loss_is_lost(exchange: Exchange) -> None:
    exchange.log_in("101")
    exchange.arrive(A)
    exchange.join(A)
    exchange.ring(A, "101", "17.11")
    exchange.later(10).answer(A, "101", "17.11")
    exchange.apply(ev.Device(at(40), INTERFACES["101"], "NOT_INUSE"))
    changes = exchange.tracker.adopt_channels(at(40), [])
    assert changes == [t.Ended(at(40), A, EndCause.LOST, 10.0, 30.0, 0.0),
                       t.SeatChanged(at(40), "101", SeatState.WRAPUP, "", "")]  # fmt: skip


def live(uid: str, linkedid: str, endpoint: str, bridge: str = "", up: bool = True) -> ev.LiveChannel:
    return ev.LiveChannel(at(60), uid, linkedid, endpoint, "0671234567", "", bridge, up, 5)


def test_after_a_loss_the_ringing_seat_is_told_whose_call_it_is(exchange: Exchange) -> None:
    exchange.log_in("101", "102")
    exchange.arrive(A)
    exchange.join(A)
    exchange.ring(A, "101", "17.11")  # that it fell silent is lost, and that 102 rings
    listed = [live(A, A, MOBILE), live("17.12", A, INTERFACES["102"], up=False)]
    changes = exchange.tracker.adopt_channels(at(60), listed)
    assert [change for change in changes if isinstance(change, t.Rang)] == [t.Rang(at(60), A, "102", "+380671234567")]
    exchange.apply(ev.Device(at(60), INTERFACES["101"], "NOT_INUSE"))
    assert exchange.seat("101") == ("free", "", "")
    assert exchange.seat("102") == ("ringing", A, "")


def test_after_a_loss_who_rings_for_one_does_not_talk_with_another(exchange: Exchange) -> None:
    talking(exchange)
    exchange.arrive(B)
    exchange.join(B)
    listed = [live(A, A, MOBILE, "b"), live("17.12", A, INTERFACES["102"], "b"),
              live(B, B, MOBILE), live("17.21", B, INTERFACES["101"], up=False)]  # fmt: skip
    exchange.tracker.adopt_channels(at(60), listed)
    assert exchange.seat("101") == ("ringing", B, "")
    assert exchange.seat("102") == ("talking", A, "")


def test_after_a_loss_the_same_seat_has_a_call_for_the_second_time(exchange: Exchange) -> None:
    talking(exchange)
    exchange.apply(ev.Transferred(at(30), A, A, INTERFACES["101"], "1551", False))
    exchange.done(A, "101", "17.11", "transfer")
    exchange.later(31).join(A)
    exchange.tracker.adopt_queues(at(60), [ev.Member(at(60), "city", "101", INTERFACES["101"], False, "", 2)])
    listed = [live(A, A, MOBILE, "b"), live("17.12", A, INTERFACES["101"], "b")]
    changes = exchange.tracker.adopt_channels(at(60), listed)
    assert [change for change in changes if isinstance(change, t.Answered)] == [t.Answered(at(55), A, "101", 0.0)]


def test_a_live_callback_found_after_a_loss(exchange: Exchange) -> None:
    exchange.log_in("101", queue="feedback", status=2)
    listed = [ev.LiveChannel(at(60), "cb-1", "cb-1", INTERFACES["101"], "1551", "Dial", "b", True, 40),
              ev.LiveChannel(at(60), "17.5", "cb-1", MOBILE, "+380671234567", "AppDial", "b", True, 30)]  # fmt: skip
    changes = exchange.tracker.adopt_channels(at(60), listed)
    kinds = [type(change) for change in changes if isinstance(change, t.CallChange)]
    assert kinds == [t.Arrived, t.PickedUp, t.Answered]
    assert exchange.seat("101") == ("talking", "cb-1", "")
    exchange.now = 90
    exchange.end("cb-1", INTERFACES["101"])
    assert exchange.of(t.Ended) == []
    exchange.end("17.5", MOBILE, "cb-1")
    assert [change.cause for change in exchange.of(t.Ended)] == [EndCause.COMPLETED]
