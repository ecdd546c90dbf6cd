"""Asterisk's queue_log: each line once, whatever happens to the file or to us, and only what is missing."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from call_queue.queue_log import CHUNK, SETTLE, SOURCE, Reader, parse, take
from crm import calls
from crm.calls import EndCause
from crm.schema import call_event, taken
from crm.store import Database, Writer
from tests.call_queue.conftest import LIMIT, at

A = "1764000000.1"
LATE = at(3600)


def line(seconds: float, uid: str, event: str, *data: object, queue: str = "city", member: str = "NONE") -> bytes:
    """As Asterisk writes it."""
    fields = (int(at(seconds).timestamp()), uid, queue, member, event, *data)
    return "|".join(map(str, fields)).encode() + b"\n"


START = line(0, "NONE", "QUEUESTART", "", queue="NONE")
JOINED = line(10, A, "ENTERQUEUE", "", "+380671234567", 2)
CONNECTED = line(40, A, "CONNECT", 30, "1764000000.2", 5, member="101")
COMPLETED = line(100, A, "COMPLETECALLER", 30, 60, 2, member="101")
CALL = JOINED + CONNECTED + COMPLETED


class Log:
    def __init__(self, folder: Path, db: Database) -> None:
        self.folder, self.db = folder, db
        self.path = folder / "queue_log"
        self.writer = Writer(db)

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def catch_up(self, now: dt.datetime = LATE) -> int:
        """By a reader of its own: nothing is remembered but what is on record."""
        return Reader(self.folder, self.db, self.writer).catch_up(now)

    def call(self, linkedid: str = A) -> calls.Call | None:
        with self.db.read() as conn:
            return calls.get(conn, linkedid)

    def events(self, kind: str) -> int:
        with self.db.read() as conn:
            of_kind = select(func.count()).select_from(call_event).where(call_event.c.kind == kind)
            return conn.execute(of_kind).scalar_one()


@pytest.fixture
def log(db: Database, tmp_path: Path) -> Iterator[Log]:
    folder = tmp_path / "log"
    folder.mkdir()
    one = Log(folder, db)
    yield one
    one.writer.close()


# ── what is filled in ──
def test_whom_it_has_done_with_may_have_been_brought_back_to_his_seat(log: Log) -> None:
    """And be known by another channel than the call's first."""
    log.write(CALL)
    with log.db.write() as conn:
        calls.arrived(conn, "cb-1", at=at(0), origin="centre", direction=calls.Direction.OUT)
        calls.answered(conn, "cb-1", "101", at(40))
        calls.add_event(conn, "cb-1", at(100), calls.RETURNING, "101")
    Reader(log.folder, log.db, log.writer, {A: "cb-1"}.get).catch_up(LATE)  # type: ignore[arg-type]
    assert log.call() is None
    call = log.call("cb-1")
    assert call is not None
    assert call.queued_at == at(10)
    assert call.ended_at is None


def test_a_call_that_nobody_saw(log: Log) -> None:
    log.write(START + CALL)
    assert log.catch_up() == 3
    call = log.call()
    assert call is not None
    assert (call.origin, call.arrived_at) == ("unknown", at(10))
    assert (call.queued_at, call.queue, call.position) == (at(10), "city", 2)
    assert (call.answered_at, call.seat, call.ended_at, call.end_cause) == (at(40), "101", at(100), "completed")
    assert (call.wait_s, call.talk_s) == (30, 60)


def test_who_gave_up_unseen_is_told_of_once(log: Log) -> None:
    told: list[tuple[str, dt.datetime]] = []
    with log.db.write() as conn:
        calls.queued(conn, "17.2", at(10), "city", 1)
        calls.ended(conn, "17.2", at(30), EndCause.ABANDONED)  # that was seen
    log.write(START + JOINED + line(30, "17.2", "ABANDON", 1, 1, 20) + line(50, A, "ABANDON", 1, 2, 40))
    for _ in range(2):
        Reader(log.folder, log.db, log.writer, gave_up=lambda conn, linkedid, when: told.append((linkedid, when))
               ).catch_up(LATE)  # fmt: skip
    assert told == [(A, at(50))]


def test_a_caller_who_gave_up(log: Log) -> None:
    log.write(START + JOINED + line(50, A, "ABANDON", 1, 2, 40))
    log.catch_up()
    call = log.call()
    assert call is not None
    assert (call.end_cause, call.wait_s, call.answered_at, call.ended_at) == ("abandoned", 40, None, at(50))


@pytest.mark.parametrize(("event", "data"), [("EXITWITHTIMEOUT", (1, 2, 60)), ("EXITWITHKEY", (1, 1, 2, 60)),
                                             ("WITHDRAW", (1, 2, 60, ""))])  # fmt: skip
def test_who_left_the_queue_is_still_on_the_line(log: Log, event: str, data: tuple[object, ...]) -> None:
    log.write(START + JOINED + line(70, A, event, *data))
    log.catch_up()
    call = log.call()
    assert call is not None
    assert call.ended_at is None


@pytest.mark.parametrize(("event", "data", "cause", "wait_s", "talk_s"), [
    ("COMPLETEAGENT", (30, 60, 2), "completed", 30, 60), ("COMPLETECALLER", (30, 60, 2), "completed", 30, 60),
    ("ABANDON", (1, 2, 20), "abandoned", 60, None), ("EXITWITHTIMEOUT", (1, 2, 20), "abandoned", 60, None),
    ("EXITWITHKEY", (9, 1, 2, 20), "abandoned", 60, None), ("WITHDRAW", (1, 2, 20, ""), "abandoned", 60, None),
])  # fmt: skip
def test_what_was_only_known_as_lost_is_said_better(log: Log, event: str, data: tuple[object, ...], cause: str,
                                                    wait_s: float, talk_s: float | None) -> None:  # fmt: skip
    """Of a wait in slices the line knows the last one only."""
    with log.db.write() as conn:
        calls.queued(conn, A, at(10), "city", 2)
        calls.ended(conn, A, at(500), EndCause.LOST)
    log.write(START + line(70, A, event, *data, member="101"))
    log.catch_up()
    call = log.call()
    assert call is not None
    assert (call.end_cause, call.wait_s, call.talk_s, call.ended_at) == (cause, wait_s, talk_s, at(500))


def test_a_wait_in_the_citys_queues_is_one(log: Log) -> None:
    """The seat's own, the skill's, the city's; then he hangs up between two slices."""
    own, skilled, city = ({"queue": queue} for queue in ("seat-101", "city-en", "city"))
    log.write(START + line(10, A, "ENTERQUEUE", "", "0671234567", 1, **own)
              + line(18, A, "EXITWITHTIMEOUT", 1, 1, 8, **own) + line(18, A, "ENTERQUEUE", "", "", 1, **skilled)
              + line(78, A, "WITHDRAW", 1, 1, 60, "", **skilled) + line(80, A, "ENTERQUEUE", "", "", 1, **city)
              + line(125, A, "EXITWITHTIMEOUT", 1, 1, 45, **city))  # fmt: skip
    with log.db.write() as conn:
        calls.ended(conn, A, at(130), EndCause.LOST)
    log.catch_up()
    call = log.call()
    assert call is not None
    assert (call.queue, call.queued_at, call.end_cause) == ("city", at(10), "abandoned")
    assert log.events("queued") == 1


def test_what_was_seen_live_stays(log: Log) -> None:
    with log.db.write() as conn:
        calls.arrived(conn, A, at=at(5.5), origin="mobile", caller="+380671234567")
        calls.queued(conn, A, at(10.4), "city", 1)
        calls.answered(conn, A, "102", at(40.25))
        calls.transferred(conn, A, at(60), "102", "103")
        calls.answered(conn, A, "103", at(61))
        calls.ended(conn, A, at(99.5), EndCause.COMPLETED, talk_s=59.25, hold_s=3.5)
    seen = log.call()
    log.write(START + CALL + line(60, A, "BLINDTRANSFER", "103", "transferred", 30, 20, 2, member="102")
              + line(101, A, "ABANDON", 1, 1, 5) + line(102, A, "EXITWITHTIMEOUT", 1, 1, 5))  # fmt: skip
    log.catch_up()
    assert log.call() == seen
    assert (log.events("transferred"), log.events("answered"), log.events("ended")) == (1, 2, 1)


def test_a_transfer_is_in_its_history_once_while_the_call_goes_on(log: Log) -> None:
    with log.db.write() as conn:
        calls.answered(conn, A, "101", at(40))
        calls.transferred(conn, A, at(60.3), "101", "103")
    transfer = line(60, A, "BLINDTRANSFER", "103", "transferred", 30, 20, 2, member="101")
    log.write(START + transfer + transfer.replace(A.encode(), b"1764000000.7"))
    log.catch_up()
    assert log.events("transferred") == 2, "one that was seen, one that was not"
    call = log.call()
    assert call is not None
    assert call.ended_at is None


# ── each line once ──
def count(log: Log) -> int:
    with log.db.read() as conn:
        return conn.execute(select(func.count()).select_from(taken).where(taken.c.source == SOURCE)).scalar_one()


def test_each_line_once_over_growth_rotation_and_restarts(log: Log) -> None:
    uids = [f"1764000000.{number}" for number in range(1, 9)]
    whole = [JOINED.replace(A.encode(), uid.encode()) for uid in uids]
    log.write(START + whole[0])
    assert log.catch_up() == 1
    assert log.catch_up() == 0
    log.write(whole[1])
    assert log.catch_up() == 1
    log.write(whole[2])
    log.path.rename(log.folder / "queue_log.0")  # Asterisk rotates before we have read all of it
    log.write(line(20, "NONE", "QUEUESTART", "", queue="NONE") + whole[3])
    assert log.catch_up() == 2
    assert log.catch_up() == 0
    (log.folder / "queue_log.0").rename(log.folder / "queue_log.1")
    log.path.rename(log.folder / "queue_log.0")
    log.write(line(30, "NONE", "CONFIGRELOAD", "", queue="NONE") + b"".join(whole[4:]))
    assert log.catch_up() == 4
    assert log.catch_up() == 0
    assert all(log.call(uid) for uid in uids)
    assert log.events("queued") == 8


def test_more_than_a_chunk(log: Log) -> None:
    many = [JOINED.replace(A.encode(), f"1764000000.{number}".encode()) for number in range(CHUNK * 2 + 5)]
    log.write(START + b"".join(many))
    assert log.catch_up() == len(many)
    assert log.catch_up() == 0
    assert count(log) == 3


def test_killed_between_the_lines_and_their_mark(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost or doubled: the mark stands in the transaction of the lines."""
    log.write(START + CALL)

    def dies(conn: object, lines: list[bytes], *others: object) -> int:
        take(conn, lines)  # type: ignore[arg-type]
        raise KeyError("killed")

    monkeypatch.setattr("call_queue.queue_log.take", dies)
    with pytest.raises(KeyError):
        log.catch_up()
    assert (log.call(), count(log)) == (None, 0)
    monkeypatch.undo()
    assert log.catch_up() == 3
    assert log.catch_up() == 0
    assert log.events("answered") == 1


def test_a_restored_copy_changes_no_record(log: Log) -> None:
    log.write(START + CALL)
    log.catch_up()
    seen = log.call()
    shutil.copy(log.path, log.folder / "queue_log.restored")
    log.catch_up()
    assert log.call() == seen
    assert (log.events("queued"), log.events("answered"), log.events("ended")) == (1, 1, 1)


def test_a_line_that_is_half_written_waits(log: Log) -> None:
    log.write(START + JOINED + CONNECTED[:-20])
    assert log.catch_up() == 1
    log.write(CONNECTED[-20:])
    assert log.catch_up() == 1
    call = log.call()
    assert call is not None
    assert call.answered_at == at(40)


def test_an_empty_log_and_none(log: Log) -> None:
    assert log.catch_up() == 0
    log.write(b"")
    assert log.catch_up() == 0
    log.write(START[:5])
    assert log.catch_up() == 0


def test_a_line_settles_before_it_is_read(log: Log) -> None:
    """The live record of the same is on its way."""
    log.write(START + JOINED)
    assert log.catch_up(at(10) + SETTLE / 2) == 0
    assert log.catch_up(at(10) + SETTLE) == 1


def test_a_clock_that_was_ahead_stops_nothing(log: Log) -> None:
    ahead = line(10**7, "1764000000.9", "ENTERQUEUE", "", "", 1)
    log.write(START + ahead + JOINED)
    assert log.catch_up() == 2


@pytest.mark.parametrize("damaged", [
    b"\n", b"garbage\n", b"\xff\xfe|\x00|||\n", b"1764000000|../../etc|city|NONE|ENTERQUEUE|||1\n",
    b"99999|1764000000.9|city|NONE|ENTERQUEUE|||1\n", b"1764000000|1764000000.9|city|NONE\n",
    line(10, "1764000000.9", "ENTERQUEUE", "", "", 1, queue="q" * 150),
    line(10, "1764000000.9", "CONNECT", 1, "", 1, member="m" * 150),
    line(10, "1764000000.9", "BLINDTRANSFER", "9" * 150, member="101"),
    line(10, "1764000000.9", "WHATEVER", 1), b"|" * 100_000 + b"\n",
], ids=range(11))  # fmt: skip
def test_damaged_lines_are_passed_over(log: Log, damaged: bytes) -> None:
    log.write(START + damaged + JOINED + damaged + CONNECTED)
    log.catch_up()
    call = log.call()
    assert call is not None
    assert (call.queued_at, call.answered_at) == (at(10), at(40))
    assert log.catch_up() == 0


def test_a_damaged_beginning_hides_nothing(log: Log) -> None:
    log.write(b"\x00" * 10_000 + b"\n" + CALL)
    assert log.catch_up() == 3
    assert log.catch_up() == 0


# ── one line ──
field = st.binary(max_size=12) | st.sampled_from([b"1764000000", b"1764000000.1", b"city", b"CONNECT", b"NONE"])


@given(st.binary() | st.lists(field, max_size=8).map(b"|".join))
def test_any_bytes_can_be_parsed(raw: bytes) -> None:
    one = parse(raw)
    if one is not None:
        assert len(one.queue) <= 200
        assert len(one.member) <= 200
        for index in range(9):
            number = one.number(index)
            assert number is None or 0 <= number < 10**9


def test_a_line() -> None:
    one = parse(CONNECTED)
    assert one is not None
    assert (one.at, one.uniqueid, one.queue, one.member, one.event) == (at(40), A, "city", "101", "CONNECT")
    assert [one.number(index) for index in (0, 1, 2, 9)] == [30, None, 5, None]
    assert parse(START) is None


def test_the_writer_is_waited_for(log: Log) -> None:
    log.write(START + JOINED)
    log.catch_up()
    assert log.writer.submit(lambda conn: calls.get(conn, A)).result(LIMIT) is not None
