"""What Asterisk wrote down while we were away becomes records, each file once, whatever lies in the folder."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from crm import calls, citizens, confirmations
from crm.calls import Call, Direction, EndCause
from crm.confirmation_rules import Mode
from crm.confirmations import claim, due
from crm.errors import BadInput
from crm.life import State
from crm.schema import appeal_event, callback, metadata, rating
from crm.schema import attempt as attempts
from crm.schema import recording as recordings
from crm.schema import taken as ledger
from crm.store import Database, Writer
from ivr import spool
from ivr.spool import Kind, Report, Spool, parse
from recordings.library import announced
from tests.ivr.conftest import LINKEDID, NOON, PHONE, STRANGER, City

FILE = "ab/ab012345678901234567890123456789.wav"


# Of what never reaches the database, one is enough.
ON_ONE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Folder:
    """The spool's folder, filled as ``spool_call.py`` does, and emptied."""

    def __init__(self, path: Path, city: City) -> None:
        self.path = path
        self.city = city
        self._written = 0

    def write(self, kind: str, *, after_s: float = 0, name: str = "", **said: object) -> Path:
        at = NOON.timestamp() + after_s
        self._written += 1
        name = name or f"{at + self._written / 1e6:.6f}-{LINKEDID}-{kind}.json"
        told = {"kind": kind, "at": at, "uniqueid": LINKEDID, "linkedid": LINKEDID, "origin": "mobile",
                "caller": PHONE, "language": "uk", **said}  # fmt: skip
        return self.put(name, json.dumps({key: value for key, value in told.items() if value is not None}))

    def put(self, name: str, content: str | bytes) -> Path:
        file = self.path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def spool(self, now: dt.datetime = NOON, writer: Writer | None = None) -> Spool:
        return Spool(self.path, writer or self.city.writer, self.city.rules, announced, lambda: now)

    def take(self, now: dt.datetime = NOON) -> Report:
        return self.spool(now).take()

    def left(self) -> set[str]:
        return {file.name for file in self.path.iterdir()} - {"bad"}

    def bad(self) -> set[str]:
        folder = self.path / "bad"
        return {file.name for file in folder.iterdir()} if folder.exists() else set()


@pytest.fixture
def folder(tmp_path: Path, city: City) -> Folder:
    path = tmp_path / "spool"
    path.mkdir()
    return Folder(path, city)


def call(city: City, linkedid: str = LINKEDID) -> Call | None:
    with city.db.read() as conn:
        return calls.get(conn, linkedid)


def records(city: City) -> dict[str, list[Any]]:
    """Everything on record, but the ledger itself."""
    with city.db.read() as conn:
        return {table.name: conn.execute(select(table).order_by(*table.primary_key)).all()
                for table in metadata.sorted_tables if table.name not in ("taken", "writer_mark")}  # fmt: skip


def attempt_of(city: City, attempt_id: str) -> Any:
    with city.db.read() as conn:
        return conn.execute(select(attempts).where(attempts.c.id == attempt_id)).one()


def evidence(city: City, appeal_id: int) -> dict[str, Any]:
    with city.db.read() as conn:
        found = conn.execute(select(appeal_event.c.evidence).where(appeal_event.c.appeal_id == appeal_id)
                             .order_by(appeal_event.c.id.desc()).limit(1)).scalar_one()  # fmt: skip
    return dict(found)


def at(seconds: float) -> dt.datetime:
    return NOON + dt.timedelta(seconds=seconds)


# ── the six kinds ──


def test_a_call_that_arrived(folder: Folder, city: City) -> None:
    folder.write("arrived", origin="landline", caller="0441234567", language="en")
    assert folder.take() == Report(taken=1)
    made = call(city)
    assert made is not None
    assert (made.arrived_at, made.origin, made.caller, made.language) == (NOON, "landline", PHONE, "en")
    assert (made.direction, made.source) == (Direction.IN, "spool")
    assert made.queued_at is None
    assert folder.left() == folder.bad() == set()


def test_a_caller_who_entered_the_queue(folder: Folder, city: City) -> None:
    folder.write("queued", choice="status", after_s=5)
    assert folder.take().taken == 1
    made = call(city)
    assert made is not None
    assert (made.arrived_at, made.queued_at, made.queue, made.choice) == (at(5), at(5), "city", "status")
    assert made.position is None


def test_a_recording(folder: Folder, city: City) -> None:
    folder.write("recording", file=FILE)
    assert folder.take().taken == 1
    with city.db.read() as conn:
        (made,) = conn.execute(select(recordings.c.linkedid, recordings.c.path, recordings.c.started_at)).all()
    assert tuple(made) == (LINKEDID, FILE, NOON)


@ON_ONE
@pytest.mark.parametrize(("outcome", "reached"), [
    ("BUSY", "busy"), ("NOANSWER", "no_answer"), ("CONGESTION", "failed"), ("CHANUNAVAIL", "failed"),
    ("REFUSED", "failed"), ("NOTDIALLED", "not_placed"), ("CANCEL", "unknown"), ("", "unknown"),
    ("<nonsense>", "unknown"),
])  # fmt: skip
def test_a_callback_that_was_not_answered(folder: Folder, city: City, outcome: str, reached: str) -> None:
    attempt = live_attempt(city)
    folder.write("attempt", attempt=attempt, outcome=outcome, origin="centre", after_s=30)
    assert folder.take().taken == 1
    ended = attempt_of(city, attempt)
    assert (ended.outcome, ended.ended_at, ended.answered_at) == (reached, at(30), None)
    with city.db.read() as conn:
        assert conn.execute(select(callback.c.state)).scalar_one() == "due", "he is called again"


def test_a_callback_that_was_answered_is_ended_by_a_persons_form_alone(folder: Folder, city: City) -> None:
    attempt = live_attempt(city)
    folder.write("attempt", attempt=attempt, outcome="ANSWER", origin="centre", after_s=30)
    folder.write("ended", attempt=attempt, outcome="ANSWER", origin="centre", stage="ivr", after_s=31)
    assert folder.take().taken == 2
    answered = attempt_of(city, attempt)
    assert (answered.answered_at, answered.ended_at, answered.linkedid) == (at(30), None, LINKEDID)


def live_attempt(city: City) -> str:
    city.executed()
    with city.db.write() as conn:
        attempt = claim(conn, due(conn, NOON, Mode.AUTO, 1, city.rules)[0].callback_id, now=NOON, rules=city.rules,
                        seat="101")  # fmt: skip
    assert attempt is not None
    assert attempt.mode is Mode.LIVE
    return attempt.id


@pytest.mark.parametrize(("key", "state"), [("1", State.CLOSED), ("2", State.RETURNED)])
def test_an_answer_in_a_callback_counts_with_its_evidence(folder: Folder, city: City, key: str, state: State) -> None:
    appeal = city.executed()
    attempt = city.called_back()
    folder.write("answer", attempt=attempt.id, appeal=str(appeal.number), key=key, origin="centre", after_s=20)
    folder.write("ended", attempt=attempt.id, origin="centre", stage="queue", after_s=60)
    assert folder.take() == Report(taken=2)
    assert city.state(appeal) is state
    found = evidence(city, appeal.id)
    assert (found["linkedid"], found["key"], found["attempt"]) == (LINKEDID, key, attempt.id)
    assert attempt_of(city, attempt.id).ended_at == at(60)


@pytest.mark.parametrize(("key", "state"), [("1", State.CLOSED), ("2", State.RETURNED)])
def test_an_answer_in_his_own_call_counts_with_its_evidence(folder: Folder, city: City, key: str, state: State) -> None:
    appeal = city.executed()
    folder.write("answer", appeal=str(appeal.number), key=key)
    assert folder.take() == Report(taken=1)
    assert city.state(appeal) is state
    found = evidence(city, appeal.id)
    assert (found["linkedid"], found["key"]) == (LINKEDID, key)


@ON_ONE
@pytest.mark.parametrize("key", ["", "0", "3", "none", "*"])
def test_no_other_key_is_an_answer(folder: Folder, city: City, key: str) -> None:
    appeal = city.executed()
    before = records(city)
    folder.write("answer", appeal=str(appeal.number), key=key)
    assert folder.take() == Report(taken=1)
    assert records(city) == before


def test_nobody_answers_for_somebody_else(folder: Folder, city: City) -> None:
    appeal = city.executed()
    folder.write("answer", appeal=str(appeal.number), key="1", caller=STRANGER)
    assert folder.take().bad == []
    assert city.state(appeal) is State.AWAITING
    other = "+380671112233"
    with city.db.write() as conn:
        neighbour = citizens.add(conn, now=NOON, name="Петро Коваль", phones=[other], auto_confirm=True)
    city.executed(neighbour)
    folder.write("answer", appeal=str(appeal.number), key="1", caller=other)
    assert len(folder.take().bad) == 1
    assert city.state(appeal) is State.AWAITING


@ON_ONE
@pytest.mark.parametrize(("said", "cause"), [
    ({"stage": "ivr"}, EndCause.IVR), ({}, EndCause.IVR), ({"stage": "closed"}, EndCause.CLOSED),
    ({"stage": "queue"}, EndCause.LOST), ({"outcome": "ANSWER", "stage": "ivr"}, EndCause.COMPLETED),
    ({"outcome": "BUSY", "stage": "ivr"}, EndCause.UNREACHED),
])  # fmt: skip
def test_a_call_that_ended(folder: Folder, city: City, said: dict[str, str], cause: EndCause) -> None:
    folder.write("ended", after_s=40, **said)
    assert folder.take().taken == 1
    made = call(city)
    assert made is not None
    assert (made.ended_at, made.end_cause) == (at(40), cause.value)


@pytest.mark.parametrize(("stage", "reached"), [("ivr", "no_key"), ("queue", "person")])
def test_an_automatic_callback_that_ended(folder: Folder, city: City, stage: str, reached: str) -> None:
    appeal = city.executed()
    attempt = city.called_back()
    folder.write("ended", attempt=attempt.id, origin="centre", stage=stage, after_s=40)
    assert folder.take().taken == 1
    assert attempt_of(city, attempt.id).outcome == reached
    assert city.state(appeal) is State.AWAITING, "no key is never an outcome"
    made = call(city)
    assert made is not None
    assert made.direction is Direction.OUT


def test_a_whole_call_in_its_order_whatever_the_folder_lists_first(folder: Folder, city: City) -> None:
    folder.write("ended", after_s=90, stage="queue")
    folder.write("recording", after_s=8, file=FILE)
    folder.write("queued", after_s=7, choice="queue")
    folder.write("arrived", after_s=0)
    assert folder.take() == Report(taken=4)
    made = call(city)
    assert made is not None
    assert (made.arrived_at, made.queued_at, made.ended_at) == (NOON, at(7), at(90))


@ON_ONE
def test_a_call_whose_linkedid_was_not_had_any_more_is_known_by_its_own_id(folder: Folder, city: City) -> None:
    folder.write("arrived", linkedid=None)
    assert folder.take().taken == 1
    assert call(city) is not None


# ── once ──


@pytest.mark.parametrize("kind", ["arrived", "queued", "recording", "answer", "ended"])
def test_killed_between_the_commit_and_the_deleting_it_is_taken_once(folder: Folder, city: City, kind: str) -> None:
    appeal = city.executed()
    file = folder.write(kind, file=FILE, appeal=str(appeal.number), key="2", stage="queue")
    kept = file.read_bytes()
    assert folder.take() == Report(taken=1)
    after = records(city)
    file.write_bytes(kept)  # as the kill left it
    assert folder.take() == Report(repeated=1)
    assert records(city) == after
    assert folder.left() == folder.bad() == set()


def test_an_attempt_is_taken_once(folder: Folder, city: City) -> None:
    file = folder.write("attempt", attempt=live_attempt(city), outcome="BUSY", origin="centre")
    kept = file.read_bytes()
    assert folder.take().taken == 1
    after = records(city)
    file.write_bytes(kept)
    assert folder.take() == Report(repeated=1)
    assert records(city) == after


def test_what_was_told_live_already_changes_nothing(folder: Folder, city: City) -> None:
    """Our answer came too late for the dialplan: it spooled what we have on record."""
    appeal = city.executed()
    city.write(lambda conn: calls.arrived(conn, LINKEDID, at=NOON, origin="mobile", caller=PHONE, language="uk"))
    city.write(lambda conn: calls.choose(conn, LINKEDID, at(3), "queue", "uk"))
    city.write(lambda conn: calls.queued(conn, LINKEDID, at(3), "city", 4, 300))
    city.write(lambda conn: announced(conn, LINKEDID, FILE, at(4)))
    city.write(lambda conn: calls.answered(conn, LINKEDID, "101", at(20)))
    city.write(lambda conn: confirmations.answer(conn, number=appeal.number, result=confirmations.Result.SOLVED,
                                                 now=at(2), linkedid=LINKEDID, citizen_id=city.citizen, key="1"))
    city.write(lambda conn: calls.ended(conn, LINKEDID, at(80), EndCause.COMPLETED, talk_s=60))
    before = records(city)
    folder.write("arrived", after_s=3)
    folder.write("answer", after_s=4, appeal=str(appeal.number), key="1")
    folder.write("queued", after_s=6, choice="queue")
    folder.write("recording", after_s=7, file=FILE)
    folder.write("ended", after_s=81, stage="queue")
    assert folder.take() == Report(taken=5)
    assert records(city) == before


def test_an_attempt_that_ended_live_changes_nothing(folder: Folder, city: City) -> None:
    attempt = live_attempt(city)
    city.write(lambda conn: confirmations.finish(conn, attempt, confirmations.Reached.NO_ANSWER, at(40),
                                                 rules=city.rules, linkedid=LINKEDID))  # fmt: skip
    before = records(city)
    folder.write("attempt", attempt=attempt, outcome="NOANSWER", origin="centre", after_s=41)
    assert folder.take().taken == 1
    assert records(city) == before


# ── what is no file of ours ──


def symlink(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def dangling(path: Path) -> None:
    path.symlink_to("/nowhere")


def directory(path: Path) -> None:
    path.mkdir()


def unix_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # its path may have 107 bytes
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def huge(path: Path) -> None:
    call_ = {"kind": "arrived", "at": NOON.timestamp(), "linkedid": "1764000000.2"}
    path.write_text(json.dumps(call_) + " " * spool.LARGEST)


NAME = f"{NOON.timestamp():.6f}-{LINKEDID}-arrived.json"


@ON_ONE
@pytest.mark.filterwarnings("ignore:.*unclosed.*socket:ResourceWarning")
@pytest.mark.parametrize("make", [symlink, dangling, directory, os.mkfifo, unix_socket, huge])
def test_what_is_not_a_file_of_ours_is_put_aside(folder: Folder, city: City, make: Callable[[Path], None]) -> None:
    make(folder.path / NAME)
    folder.write("arrived", after_s=1)
    assert folder.take() == Report(taken=1, bad=[NAME])
    assert folder.bad() == {NAME}
    assert folder.left() == set()
    assert os.path.lexists(folder.path / "bad" / NAME), "and kept"


@ON_ONE
@pytest.mark.parametrize("content", [
    b"", b"{", b"\xff\xfe\x00", b"null", b"[]", b'"x"', b"1", b"{}", b"[" * 60000, b"\x00" * 1000, b'{"kind": []}',
    b'{"kind": "arrived", "at": NaN}', b'{"kind": "arrived", "at": "now"}', b'{"kind": {}, "at": 1764000000}',
    b'{"kind": "arrived", "at": 1e999}', b'{"at": ' + b"9" * 5000 + b"}",
])  # fmt: skip
def test_what_is_damaged_is_put_aside(folder: Folder, content: bytes) -> None:
    folder.put(NAME, content)
    assert folder.take() == Report(bad=[NAME])
    assert (folder.path / "bad" / NAME).read_bytes() == content


@ON_ONE
@pytest.mark.parametrize("said", [
    {"kind": "shutdown"}, {"kind": None}, {"kind": "ARRIVED"}, {"at": 0}, {"at": 1e12}, {"at": None}, {"at": "1"},
    {"linkedid": "a b"}, {"linkedid": "x\r\nAction: Originate"}, {"linkedid": "${EVIL}"}, {"linkedid": "x" * 65},
    {"linkedid": None, "uniqueid": None}, {"linkedid": 5}, {"choice": "x\r\ny"}, {"choice": "queue\n"},
    {"choice": "c" * 201}, {"origin": "a\x00b"}, {"caller": ["+380"]}, {"stage": "\ud800"}, {"language": {"x": "y"}},
])  # fmt: skip
def test_hostile_fields_are_put_aside(folder: Folder, city: City, said: dict[str, object]) -> None:
    before = records(city)
    folder.put(NAME, json.dumps({"kind": "queued", "at": NOON.timestamp(), "linkedid": LINKEDID, **said}))
    assert folder.take() == Report(bad=[NAME])
    assert records(city) == before


@pytest.mark.parametrize(("kind", "said"), [
    ("recording", {"file": "../../etc/passwd"}), ("recording", {"file": ""}), ("recording", {"file": "/etc/shadow"}),
    ("attempt", {"attempt": "cb-unknown", "outcome": "BUSY"}), ("attempt", {"outcome": "BUSY"}),
    ("attempt", {"attempt": "' OR 1=1 --", "outcome": "ANSWER"}), ("answer", {"key": "1", "appeal": "x"}),
    ("answer", {"key": "1", "appeal": "999999999", "attempt": "cb-unknown"}), ("queued", {"choice": "c" * 11}),
])  # fmt: skip
def test_what_contradicts_the_records_is_put_aside(folder: Folder, city: City, kind: str,
                                                   said: dict[str, object]) -> None:  # fmt: skip
    before = records(city)
    file = folder.write(kind, **said)
    good = folder.write("arrived", after_s=1, linkedid="1764000000.2")
    assert folder.take() == Report(taken=1, bad=[file.name])
    assert not good.exists()
    city.write(lambda conn: None)
    after = records(city)
    assert {name: rows for name, rows in after.items() if name != "call"} == {
        name: rows for name, rows in before.items() if name != "call"}  # fmt: skip
    assert call(city) is None, "half of it would be worse than nothing"


@ON_ONE
@pytest.mark.parametrize("caller", ["anonymous", "'; DROP TABLE call; --", "${SHELL(rm -rf /)}", "&PJSIP/101",
                                    "9" * 60])  # fmt: skip
def test_a_caller_who_is_none_is_kept_as_nobody(folder: Folder, city: City, caller: str) -> None:
    folder.write("queued", caller=caller, origin="&PJSIP/101", language="ru")
    assert folder.take() == Report(taken=1)
    made = call(city)
    assert made is not None
    assert (made.caller, made.origin, made.language) == ("", "unknown", "uk")


@ON_ONE
@pytest.mark.parametrize("name", ["notes.txt", "1764000000.000000-x-arrived.json~", "x.json", "1.5-x-arrived.json",
                                  "1764000000.000000-a b-arrived.json", "1764000000.000000-x-ARRIVED.json",
                                  "1764000000.000000-x-arrived.json\n", "ЖЖЖ.json"])  # fmt: skip
def test_a_name_that_is_not_ours_is_put_aside(folder: Folder, name: str) -> None:
    folder.put(name, json.dumps({"kind": "arrived", "at": NOON.timestamp(), "linkedid": LINKEDID}))
    assert folder.take() == Report(bad=[name])
    assert folder.bad() == {name}


@ON_ONE
def test_a_name_of_broken_letters(folder: Folder) -> None:
    (folder.path / os.fsdecode(b"\xff\xfe.json")).write_text("{}")
    assert len(folder.take().bad) == 1
    assert folder.left() == set()


@ON_ONE
def test_put_aside_beside_one_of_the_same_name(folder: Folder) -> None:
    for _ in range(3):
        folder.put(NAME, "{")
        assert folder.take().bad == [NAME]
    assert folder.bad() == {NAME, f"{NAME}.1", f"{NAME}.2"}


@ON_ONE
def test_what_cannot_be_moved_stops_nobody(folder: Folder, city: City) -> None:
    (folder.path / "bad").write_text("somebody's note")
    folder.put(NAME, "{")
    folder.write("arrived", after_s=1)
    assert folder.take() == Report(taken=1, bad=[NAME])
    assert folder.left() == {NAME}
    assert call(city) is not None


@ON_ONE
def test_a_draft_is_left_alone_until_it_is_old(folder: Folder) -> None:
    draft = folder.put(f".{NAME}.4711", '{"kind": "arr')
    assert folder.take(dt.datetime.now(dt.UTC)) == Report()
    assert draft.exists()
    assert folder.take(dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)).bad == [draft.name]
    assert folder.bad() == {draft.name}


@ON_ONE
def test_no_folder_is_the_callers_affair(tmp_path: Path, city: City) -> None:
    with pytest.raises(FileNotFoundError):
        Folder(tmp_path / "nowhere", city).take()


# ── the database is away ──


@contextlib.contextmanager
def away(city: City, url: str) -> Iterator[None]:
    """The database takes nothing meanwhile: SQLite's file is locked, PostgreSQL lets nobody in."""
    if city.db.is_sqlite:
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
        return
    server, name = url.rsplit("@/", 1)[0], url.rsplit("@/", 1)[1].partition("?")[0]
    with psycopg.connect(f"{server}@/postgres?{url.partition('?')[2]}", autocommit=True) as other:
        other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        yield
        other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


@pytest.fixture
def hasty(city: City, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """A writer that soon gives up."""
    monkeypatch.setattr("crm.store.BUSY_S", 0)
    db = Database(database_url)
    writer = Writer(db, patience_s=0.1)
    yield writer
    writer.close()
    db.close()


def test_with_the_database_away_they_wait_for_the_next_time(folder: Folder, city: City, hasty: Writer,
                                                            database_url: str) -> None:  # fmt: skip
    for n in range(3):
        folder.write("arrived", after_s=n, linkedid=f"1764000000.{n}")
    waiting = folder.left()
    with away(city, database_url):
        report = folder.spool(writer=hasty).take()
    assert report == Report(left=3)
    assert folder.left() == waiting
    assert folder.bad() == set()
    assert folder.spool(writer=hasty).take() == Report(taken=3)
    assert folder.left() == set()


@ON_ONE
def test_a_writer_that_is_closed_leaves_them(folder: Folder, city: City) -> None:
    folder.write("arrived")
    closed = Writer(city.db)
    closed.close()
    assert folder.spool(writer=closed).take() == Report(left=1)
    assert folder.take() == Report(taken=1)


@ON_ONE
def test_many_are_taken_in_one_go(folder: Folder, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "BATCH", 10)
    for n in range(35):
        folder.write("arrived", after_s=n, linkedid=f"1764000000.{n}")
    folder.put("x", "")
    assert folder.take() == Report(taken=35, bad=["x"])


@ON_ONE
async def test_it_goes_on_taking(folder: Folder, city: City) -> None:
    taking = asyncio.create_task(folder.spool().keep_taking(0.01))
    try:
        for n in range(2):
            file = folder.write("arrived", linkedid=f"1764000000.{n}")
            async with asyncio.timeout(30):
                while file.exists():  # noqa: ASYNC110  # a folder tells nobody by itself
                    await asyncio.sleep(0.01)
    finally:
        taking.cancel()
        await asyncio.wait([taking])
    assert taking.cancelled()


# ── how the conversation was ──
def test_a_score_is_taken_once_with_the_call_itself(folder: Folder, city: City) -> None:
    """We were away all along: even the call is on record only by this file."""
    folder.write("rating", rating="5")
    folder.write("rating", rating="2")
    folder.write("ended", stage="queue")
    report = folder.take()
    assert (report.taken, report.bad) == (3, [])
    with city.db.read() as conn:
        assert [(row.linkedid, row.score) for row in conn.execute(select(rating))] == [(LINKEDID, 5)]


def test_a_file_with_no_score_is_set_aside(folder: Folder) -> None:
    folder.write("rating", rating="9")
    assert len(folder.take().bad) == 1


# ── parsing ──

anything = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)  # fmt: skip
names = st.sampled_from(["kind", "at", "linkedid", "uniqueid", "caller", "origin", "file", "attempt", "key", "stage"])
likely = st.sampled_from([*map(str, Kind), LINKEDID, PHONE, 1764000000, 1764000000.5, "1", ""])


def only_bad_input(raw: bytes) -> None:
    try:
        made = parse(raw)
    except BadInput:
        return
    for value in (made.linkedid, made.origin, made.caller, made.language, made.choice, made.stage, made.file,
                  made.attempt, made.outcome, made.appeal, made.key):  # fmt: skip
        assert isinstance(value, str)
        assert value.isprintable()
    assert made.linkedid
    assert made.at.tzinfo is not None


@given(st.binary())
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    only_bad_input(raw)


@given(anything)
def test_no_json_breaks_the_parser(value: object) -> None:
    only_bad_input(json.dumps(value).encode())


@given(st.dictionaries(names, likely | anything))
def test_no_object_breaks_the_parser(value: dict[str, object]) -> None:
    only_bad_input(json.dumps(value).encode())


@given(st.dictionaries(names, anything))
def test_no_call_breaks_the_parser(value: dict[str, object]) -> None:
    only_bad_input(json.dumps({**value, "kind": "ended", "at": 1764000000, "linkedid": LINKEDID}).encode())


def test_the_ledger_grows_by_one_line_a_file(folder: Folder, city: City) -> None:
    folder.write("arrived")
    folder.write("ended", stage="ivr")
    folder.take()
    with city.db.read() as conn:
        lines = select(func.count()).select_from(ledger).where(ledger.c.source == "spool")
        assert conn.execute(lines).scalar_one() == 2
