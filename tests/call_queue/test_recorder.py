"""What changed becomes records, on both databases; and what the web hears of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import select

from call_queue import events as ev
from call_queue import tracker as t
from call_queue.recorder import Recorder, sitting, told
from call_queue.tracker import SeatState
from crm import calls, people
from crm.calls import Direction, EndCause
from crm.schema import call_event, seat_event
from crm.store import Database, Writer
from tests.call_queue.conftest import INTERFACES, LIMIT, Exchange, at

A = "1764000000.1"


class Kept:
    """A recorder, and what came of it."""

    def __init__(self, db: Database, writer: Writer) -> None:
        self.db, self.writer = db, writer
        self.published: list[Mapping[str, Any]] = []
        self.staff: dict[str, int | None] = {}
        self.recorder = Recorder(writer, self.published.append, self.staff)

    def take(self, *changes: t.Change) -> None:
        for change in changes:
            kept = self.recorder.take(change)
            if kept is not None:
                kept.exception(LIMIT)

    def call(self, linkedid: str = A) -> calls.Call:
        with self.db.read() as conn:
            call = calls.get(conn, linkedid)
        assert call is not None
        return call

    def history(self, linkedid: str = A) -> list[tuple[str, str]]:
        with self.db.read() as conn:
            rows = conn.execute(select(call_event.c.kind, call_event.c.seat).where(call_event.c.linkedid == linkedid)
                                .order_by(call_event.c.at, call_event.c.id))  # fmt: skip
            return [(row.kind, row.seat) for row in rows]

    def seats_history(self) -> list[tuple[str, str, int | None, str]]:
        with self.db.read() as conn:
            rows = conn.execute(select(seat_event).order_by(seat_event.c.at, seat_event.c.id))
            return [(row.seat, row.kind, row.staff_id, row.reason) for row in rows]


@pytest.fixture
def kept(db: Database) -> Iterator[Kept]:
    writer = Writer(db)
    yield Kept(db, writer)
    writer.close()


def whole_call(exchange: Exchange) -> list[t.Change]:
    exchange.log_in("101", "102")
    exchange.later(1).arrive(A)
    exchange.later(9).join(A, position=1)
    exchange.later(5).ring(A, "101", "17.11")
    exchange.later(15).silent(A, "101", "17.11")
    exchange.ring(A, "102", "17.12")
    exchange.later(4).answer(A, "102", "17.12")
    exchange.later(20).hold(A, "102", "17.12")
    exchange.later(10).unhold(A, "102", "17.12")
    exchange.later(5).hold(A, "102", "17.12")
    exchange.later(2).unhold(A, "102", "17.12")
    exchange.later(20).apply(ev.Transferred(at(exchange.now), A, A, INTERFACES["102"], "103", False))
    exchange.done(A, "102", "17.12", "transfer")
    exchange.bridge("17.13", A, INTERFACES["103"])
    exchange.later(40).end(A)
    return exchange.told


def test_a_whole_call_becomes_its_record(kept: Kept, exchange: Exchange) -> None:
    with kept.db.write() as conn:
        kept.staff["102"] = people.add_staff(conn, login="o.koval", name="Оксана Коваль", password_hash="-",
                                             role=people.Role.OPERATOR)  # fmt: skip
    kept.take(*whole_call(exchange))
    call = kept.call()
    assert (call.direction, call.origin) == (Direction.IN, "mobile")
    assert (call.caller, call.arrived_at) == ("+380671234567", at(1))
    assert (call.queue, call.queued_at, call.position) == ("city", at(10), 1)
    assert (call.answered_at, call.seat, call.staff_id) == (at(34), "103", kept.staff["102"])
    assert (call.ended_at, call.end_cause, call.source) == (at(131), "completed", "live")
    assert (call.wait_s, call.talk_s, call.hold_s) == (24.0, 85.0, 12.0)
    assert kept.history() == [
        ("queued", ""), ("rang", "101"), ("silent", "101"), ("rang", "102"), ("answered", "102"), ("held", "102"),
        ("held", "102"), ("transferred", "102"), ("answered", "103"), ("ended", "103")]  # fmt: skip
    assert kept.recorder.failed == 0


def test_what_is_told_twice_counts_once(kept: Kept, exchange: Exchange) -> None:
    for change in whole_call(exchange):
        kept.take(change, change)
    once, history, seats = kept.call(), kept.history(), kept.seats_history()
    assert (once.talk_s, once.hold_s, len(history)) == (85.0, 12.0, 10)
    assert [(seat, kind) for seat, kind, _, _ in seats] == [("101", "login"), ("102", "login")]
    kept.take(*[change for change in exchange.told if not isinstance(change, t.Answered)])  # read again after a loss
    assert (kept.call(), kept.history(), kept.seats_history()) == (once, history, seats)


def test_a_new_line_that_finds_a_call_under_way_says_nothing_twice(kept: Kept, exchange: Exchange) -> None:
    """Our process began anew: another tracker tells again what the last one told."""
    changes = whole_call(exchange)
    before = [change for change in changes if change.at < at(60)]
    kept.take(*before)
    kept.take(t.Arrived(at(2), A, "", "unknown", Direction.IN), t.Entered(at(11), A, "city", None),
              t.Answered(at(50), A, "102", 20.0), t.Ended(at(90), A, EndCause.COMPLETED, 39.0, 40.0, 0.0))  # fmt: skip
    call = kept.call()
    assert (call.arrived_at, call.origin, call.queued_at, call.answered_at) == (at(1), "mobile", at(10), at(34))
    assert (call.wait_s, call.position, call.ended_at) == (24.0, 1, at(90))
    assert kept.history().count(("answered", "102")) == 1


@pytest.mark.parametrize(("cause", "kept_as"), [(EndCause.IVR, "closed"), (EndCause.ABANDONED, "abandoned")])
def test_outside_opening_hours(kept: Kept, cause: EndCause, kept_as: str) -> None:
    kept.take(t.Arrived(at(0), A, "", "mobile", Direction.IN))
    kept.writer.submit(lambda conn: calls.choose(conn, A, at(1), "closed")).result(LIMIT)
    kept.take(t.Ended(at(9), A, cause, None, None, None))
    assert kept.call().end_cause == kept_as


def test_nobody_served_him_and_he_did_not_hang_up(kept: Kept) -> None:
    kept.take(t.Arrived(at(0), A, "", "mobile", Direction.IN), t.Entered(at(1), A, "city", 1),
              t.Ended(at(65), A, EndCause.TIMEOUT, 60.0, None, None))  # fmt: skip
    assert kept.history() == [("queued", ""), ("ended", "")]
    assert (kept.call().end_cause, kept.call().wait_s, kept.call().talk_s) == ("timeout", 60.0, None)


def test_a_write_that_fails_is_counted_and_stops_nothing(kept: Kept) -> None:
    kept.take(t.Arrived(at(0), "not an id!", "", "mobile", Direction.IN), t.Arrived(at(0), A, "", "mars", Direction.IN),
              t.Arrived(at(0), "1764000000.2", "", "mobile", Direction.IN))  # fmt: skip
    assert kept.recorder.failed == 2
    assert kept.call("1764000000.2").origin == "mobile"


def test_with_the_writer_gone_it_is_counted_and_still_told(kept: Kept) -> None:
    kept.writer.close()
    assert kept.recorder.take(t.Answered(at(0), A, "101", 1.0)) is None
    assert kept.recorder.failed == 1
    assert kept.published == [{"event": "answered", "seat": "101", "linkedid": A, "at": at(0).isoformat()}]


def test_what_only_passes_is_not_kept(kept: Kept) -> None:
    for change in (t.SeatChanged(at(0), "101", SeatState.RINGING, A, ""),
                   t.TrunkChanged(at(0), "PJSIP/trunk-mobile", t.TrunkState.DOWN)):  # fmt: skip
        assert kept.recorder.take(change) is None
    assert kept.published == []  # the next snapshot says it


def test_a_seats_history_over_days(kept: Kept) -> None:
    def seat(second: int, kind: str, reason: str = "") -> t.SeatChanged:
        return t.SeatChanged(at(second), "101", SeatState.FREE, "", reason, kind)

    kept.take(seat(0, "logout"), seat(1, "unpause"))  # nothing came before
    kept.take(seat(2, "login"), seat(3, "login"), seat(4, "pause", "обід"), seat(5, "pause", "обід"), seat(6, "logout"))
    kept.take(seat(7, "login"), seat(8, "unpause"), seat(9, "pause", "обід"), seat(10, "unpause"), seat(11, "unpause"))
    assert [(kind, reason) for _, kind, _, reason in kept.seats_history()] == [
        ("login", ""), ("pause", "обід"), ("logout", ""),
        ("login", ""), ("pause", "обід"), ("unpause", "")]  # fmt: skip


def test_who_sits_where(kept: Kept) -> None:
    with kept.db.write() as conn:
        me = people.add_staff(conn, login="o.koval", name="Оксана", password_hash="-", role=people.Role.OPERATOR)
    kept.staff.update({"101": me, "102": me})
    for second, seat, kind in ((0, "101", "login"), (0, "102", "login"), (0, "103", "login"), (5, "102", "logout")):
        kept.take(t.SeatChanged(at(second), seat, SeatState.FREE, "", "", kind))
    with kept.db.read() as conn:
        assert sitting(conn) == {"101": me, "103": None}


@pytest.mark.parametrize(("change", "expected"), [
    (t.Rang(at(0), A, "101", "+380671234567"),
     {"event": "ringing", "seat": "101", "linkedid": A, "caller": "+380671234567"}),
    (t.Ended(at(0), A, EndCause.ABANDONED, 1.0, None, None), {"event": "ended", "linkedid": A, "cause": "abandoned"}),
])  # fmt: skip
def test_what_the_web_hears(change: t.Change, expected: dict[str, str]) -> None:
    assert told(change) == {**expected, "at": at(0).isoformat()}
