"""What is kept of one person is given out whole, and erased so that nobody finds him and no figure changes."""

from __future__ import annotations

import datetime as dt
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import JSON, ColumnElement, Connection, String, Table, and_, func, insert, or_, select

import recordings
from crm import (
    appeals,
    attachments,
    calls,
    citizens,
    incidents,
    messages,
    notices,
    people,
    privacy,
    promises,
    remote_files,
    schema,
)
from crm.appeals import Correction
from crm.calls import EndCause
from crm.confirmation_rules import Reached, Result
from crm.errors import BadInput, NotFound
from crm.law import Kind
from crm.life import Action
from crm.notices import Way
from crm.promise_rules import Reason, Rules
from crm.store import Database, insert_row
from tests.crm.conftest import NOON, PHONE, SECOND_PHONE, found_city
from tests.killing import killed
from tests.pictures import JPEG, picture

NAME, SISTER = "Марія Іваненко", "Софія Іваненко"
SECRETS = (NAME, PHONE, PHONE[1:], "maria@example.org", "кв. сорок сім", "У Марії холодно", "Марія просила",
           "марія-акт.jpg")  # fmt: skip


@dataclass
class Life:
    """A person with all that the centre can keep of her, and her sister at one of her telephones."""

    db: Database
    folder: Path
    maria: int = 0
    sister: int = 0
    appeal: int = 0
    sisters: int = 0
    operator: int = 0

    @property
    def recordings(self) -> Path:
        return self.folder / "recordings"

    @property
    def attachments(self) -> Path:
        return self.folder / "attachments"

    def files(self) -> set[str]:
        return {path.name for path in self.folder.rglob("*") if path.is_file()}

    def finish(self) -> None:
        privacy.remove_files(self.db, self.attachments)
        recordings.erase(self.db, self.recordings)


def recorded(conn: Connection, life: Life, linkedid: str, mark: str) -> None:
    path = f"{mark * 2}/{mark * 32}.wav"
    (life.recordings / path).parent.mkdir(parents=True, exist_ok=True)
    (life.recordings / path).write_bytes(b"RIFF" + mark.encode())
    conn.execute(insert(schema.recording), {"linkedid": linkedid, "path": path, "started_at": NOON, "state": "ok"})


def called(conn: Connection, linkedid: str, caller: str) -> None:
    calls.arrived(conn, linkedid, at=NOON, origin="mobile", caller=caller)
    calls.queued(conn, linkedid, NOON, "city", 1, None)
    calls.answered(conn, linkedid, "101", NOON + dt.timedelta(seconds=30), None)


def over(conn: Connection, linkedid: str) -> None:
    calls.ended(conn, linkedid, NOON + dt.timedelta(minutes=3), EndCause.COMPLETED, talk_s=150.0)


@pytest.fixture
def life(db: Database, tmp_path: Path) -> Life:
    its = Life(db, tmp_path / "kept")
    stored = [attachments.store(its.attachments, name, file) for name, file in (
        ("марія-акт.jpg", io.BytesIO(JPEG)), ("спільний.jpg", io.BytesIO(picture("JPEG", "blue"))))]  # fmt: skip
    with db.write() as conn:
        city = found_city(conn)
        its.maria, its.operator = city.citizen, city.operator
        citizens.update(conn, its.maria, name=NAME, flat="47")
        conn.execute(schema.citizen.update().where(schema.citizen.c.id == its.maria).values(
            email="maria@example.org", privilege="veteran"))
        citizens.add_phone(conn, its.maria, SECOND_PHONE, NOON)
        its.sister = citizens.add(conn, now=NOON, name=SISTER, phones=[SECOND_PHONE], building_id=city.building)
        for linkedid, caller in (("1.1", PHONE), ("1.2", SECOND_PHONE), ("1.3", SECOND_PHONE), ("1.4", PHONE)):
            called(conn, linkedid, caller)
        hers = city.registered(linkedid="1.1", text="У Марії холодно", flat="кв. сорок сім")
        city.registered(linkedid="1.2", text="У Марії холодно знову")
        theirs = city.registered(its.sister, linkedid="1.3", text="У Софії теж холодно")
        its.appeal, its.sisters = hers.id, theirs.id
        for linkedid in ("1.1", "1.2", "1.3", "1.4"):
            over(conn, linkedid)
        for mark, linkedid in zip("abcd", ("1.1", "1.2", "1.3", "1.4"), strict=True):
            recorded(conn, its, linkedid, mark)
        attachments.add(conn, hers.id, stored[0], now=NOON, action="register", staff_id=None)
        for appeal_id in (hers.id, theirs.id):
            attachments.add(conn, appeal_id, stored[1], now=NOON, action="register", staff_id=None)
        appeals.act(conn, hers.id, Action.CORRECT, now=NOON, note="Марія просила", staff_id=city.operator,
                    correction=Correction(city.no_heating, Kind.APPLICATION, city.building, "47"))
        city.execute(hers.id)
        attempt = city.claim()
        answered = city.get(hers)
        city.say(answered, Result.SOLVED, attempt, note="Марія просила подякувати")
        city.finish(attempt, Reached.ANSWERED)
        people.log_access(conn, staff_id=city.operator, what="appeal", subject_key=str(hers.id), now=NOON)
        people.log_access(conn, staff_id=city.operator, what="citizen", subject_key=str(its.maria), now=NOON)
    return its


def withdraw(life: Life) -> None:
    """What is still dealt with."""
    with life.db.write() as conn:
        for line in appeals.search(conn, citizen_id=life.maria):
            if line.state in privacy.UNDER_WAY:
                appeals.act(conn, line.id, Action.WITHDRAW, now=NOON, note="Марія просила", staff_id=life.operator)


def erase(life: Life) -> bool:
    with life.db.write() as conn:
        return privacy.erase(conn, life.maria, reason="Заява № 7 від 24.11.2026", now=NOON, staff_id=life.operator)


def everything_in(db: Database) -> str:
    """Every value of every table."""
    with db.read() as conn:
        rows = (row for table in schema.metadata.sorted_tables for row in conn.execute(select(table)))
        return "\n".join(str(list(row)) for row in rows)


def figures(db: Database) -> dict[str, list[tuple[object, ...]]]:
    """Counts of all that a report can ask."""
    a, c, e, t, r = schema.appeal.c, schema.call.c, schema.appeal_event.c, schema.attempt.c, schema.recording.c
    groups = {
        "appeals": (a.state, a.subject_id, a.district_id, a.building_id, a.department_id, a.channel, a.kind, a.priority,
                    a.returns, a.registered_at, a.due_at, a.executed_at, a.ended_at, a.repeat_of),
        "history": (e.appeal_id, e.action, e.from_state, e.to_state, e.at, e.staff_id),
        "calls": (c.direction, c.origin, c.arrived_at, c.queued_at, c.answered_at, c.ended_at, c.wait_s, c.talk_s,
                  c.end_cause, c.outcome, c.staff_id),
        "attempts": (t.mode, t.placed_at, t.outcome), "recorded": (r.started_at, r.linkedid),
    }  # fmt: skip
    with db.read() as conn:
        found = {name: sorted((tuple(row) for row in conn.execute(select(*columns, func.count()).group_by(*columns))),
                              key=str) for name, columns in groups.items()}  # fmt: skip
        for table in (schema.citizen, schema.appeal, schema.call, schema.call_event, schema.callback_appeal):
            found[table.name] = [(conn.execute(select(func.count()).select_from(table)).scalar_one(),)]
        return found


# ── given out ────────────────────────────────────────────────────────────────────────────────
def test_all_that_is_kept_is_given_out_and_nothing_of_others(life: Life) -> None:
    with life.db.read() as conn:
        data = privacy.everything(conn, life.maria)
    text = json.dumps(data, ensure_ascii=False)
    for secret in (NAME, PHONE, SECOND_PHONE, "maria@example.org", "У Марії холодно", "Марія просила", "марія-акт.jpg"):
        assert secret in text, secret
    assert "Софі" not in text
    assert [each["number"] for each in data["appeals"]] == [26000001, 26000002]
    assert [line["action"] for line in data["appeals"][0]["history"]][:2] == ["register", "assign"]
    assert {each["linkedid"] for each in data["calls"]} == {"1.1", "1.2", "1.4"}
    assert {each["linkedid"] for each in data["recordings"]} == {"1.1", "1.2", "1.4"}
    assert [each["what"] for each in data["looks"]] == ["citizen", "appeal"]
    assert len(data["callbacks"]) == 1


def test_a_person_is_found_by_telephone_appeal_and_card(life: Life) -> None:
    with life.db.read() as conn:
        for said in ("044 123-45-67", "26000001", str(life.maria)):
            assert [each.id for each in privacy.find(conn, said)] == [life.maria], said
        assert {each.id for each in privacy.find(conn, SECOND_PHONE)} == {life.maria, life.sister}
        for said in ("", "Марія", "0" * 50, "\0", "999999999", "²"):
            assert privacy.find(conn, said) == [], said


# ── erased ───────────────────────────────────────────────────────────────────────────────────
def test_nothing_names_her_afterwards_and_no_figure_has_changed(life: Life) -> None:
    withdraw(life)
    before = figures(life.db)
    assert all(secret in everything_in(life.db) for secret in SECRETS)
    assert erase(life)
    life.finish()
    left = everything_in(life.db)
    assert [secret for secret in SECRETS if secret in left] == []
    assert figures(life.db) == before
    with life.db.write() as conn:
        assert privacy.find(conn, PHONE) == []
        assert citizens.get(conn, life.maria).name == ""
        assert appeals.by_number_and_code(conn, "26000001", appeals.get(conn, life.appeal).code, NOON) is None


def test_her_sister_keeps_what_is_hers(life: Life) -> None:
    withdraw(life)
    erase(life)
    life.finish()
    with life.db.read() as conn:
        sister = citizens.get(conn, life.sister)
        assert (sister.name, [phone.e164 for phone in sister.phones]) == (SISTER, [SECOND_PHONE])
        assert appeals.get(conn, life.sisters).text == "У Софії теж холодно"
        callers = {row.linkedid: row.caller for row in conn.execute(select(schema.call))}
        assert {linkedid: callers[linkedid] for linkedid in ("1.1", "1.2", "1.3", "1.4")} == {
            "1.1": "", "1.2": "", "1.3": SECOND_PHONE, "1.4": ""}  # fmt: skip
        states = {row.linkedid: row.state for row in conn.execute(select(schema.recording))}
        assert states == {"1.1": "expired", "1.2": "expired", "1.3": "ok", "1.4": "expired"}
        [kept] = attachments.of_appeal(conn, life.sisters)
    assert life.files() == {"c" * 32 + ".wav", kept.sha256}


def test_what_is_still_dealt_with_is_not_erased(life: Life) -> None:
    with pytest.raises(BadInput) as refused:
        erase(life)
    assert (refused.value.id, refused.value.details) == ("privacy.open_appeals", {"numbers": "26000002"})
    assert all(secret in everything_in(life.db) for secret in SECRETS)


def test_nobody_is_erased_while_on_the_telephone(life: Life) -> None:
    withdraw(life)
    with life.db.write() as conn:
        called(conn, "1.9", PHONE)
    with pytest.raises(BadInput) as refused:
        erase(life)
    assert refused.value.id == "privacy.calling"


def test_erasing_needs_a_reason_and_somebody(life: Life) -> None:
    for citizen_id, reason, error in ((life.maria, " \n", BadInput), (999_999, "Заява", NotFound)):
        with life.db.write() as conn, pytest.raises(error):
            privacy.erase(conn, citizen_id, reason=reason, now=NOON, staff_id=None)


def test_what_was_promised_to_her_is_forgotten_and_her_sisters_promise_is_kept(life: Life) -> None:
    with life.db.write() as conn:
        its = incidents.declare(conn, subject_id=appeals.get(conn, life.appeal).subject_id, cause="Аварія", now=NOON,
                                building_id=citizens.get(conn, life.maria).building_id, staff_id=None)  # fmt: skip
        conn.execute(insert(schema.incident_caller), [
            {"incident_id": its, "e164": e164, "linkedid": linkedid, "at": NOON}
            for e164, linkedid in ((PHONE, "1.4"), (SECOND_PHONE, "1.3"))])  # fmt: skip
        hers, theirs = (promises.make(conn, e164=e164, reason=Reason.WAITING, now=NOON, rules=Rules(),
                                      linkedid=linkedid) for e164, linkedid in ((PHONE, "1.4"), (SECOND_PHONE, "1.3")))
        assert hers is not None
        assert theirs is not None
        conn.execute(insert(schema.attempt), {"id": "pr-1", "promise_id": hers.id, "e164": PHONE, "mode": "auto",
                                              "placed_at": NOON, "linkedid": "1.5"})  # fmt: skip
        recorded(conn, life, "1.5", "e")
        conn.execute(insert(schema.silenced), {"e164": PHONE, "at": NOON})
    withdraw(life)
    with life.db.read() as conn:
        data = privacy.everything(conn, life.maria)
    assert [(each["e164"], each["reason"]) for each in data["promises"]] == [(PHONE, "waiting")]
    assert [each["e164"] for each in data["joined"] + data["silenced"]] == [PHONE, PHONE]
    assert "1.5" in {each["linkedid"] for each in data["recordings"]}
    with pytest.raises(BadInput, match=r"privacy\.calling"):
        erase(life)
    with life.db.write() as conn:
        conn.execute(schema.attempt.update().where(schema.attempt.c.id == "pr-1").values(ended_at=NOON))
    assert erase(life)
    life.finish()
    left = everything_in(life.db)
    assert [secret for secret in SECRETS if secret in left] == []
    assert "e" * 32 + ".wav" not in life.files()
    with life.db.read() as conn:
        kept = {row.id: (row.e164, row.state) for row in conn.execute(select(schema.promise))}
        assert kept == {hers.id: ("", "withdrawn"), theirs.id: (SECOND_PHONE, "waiting")}
        assert conn.scalars(select(schema.incident_caller.c.e164).order_by(schema.incident_caller.c.id)).all() == [
            "", SECOND_PHONE]  # fmt: skip


def test_it_is_done_once_and_a_killed_run_is_finished_by_the_next(life: Life) -> None:
    withdraw(life)
    assert erase(life)
    everything = life.files()
    assert len(everything) == 6  # the process died here: all files are there
    recordings.sweep(life.db, life.recordings, NOON, ())  # and the hourly look does not take the marks away
    assert not erase(life)
    (life.recordings / f"aa/{'a' * 32}.wav").unlink()  # or it died between a file and its row
    life.finish()
    assert len(life.files()) == 2
    life.finish()
    assert len(life.files()) == 2
    with life.db.read() as conn:
        assert conn.execute(select(func.count()).where(schema.recording.c.state == "erasing")).scalar_one() == 0


def test_retention_finishes_it_too(life: Life) -> None:
    withdraw(life)
    erase(life)
    assert len(recordings.retention(life.db, life.recordings, NOON, 180)) == 3


def test_a_marked_recording_is_not_heard(life: Life) -> None:
    withdraw(life)
    erase(life)
    with life.db.write() as conn:
        marked = conn.execute(select(schema.recording.c.id).where(schema.recording.c.linkedid == "1.1")).scalar_one()
        with pytest.raises(NotFound):
            recordings.open_for_listening(conn, life.recordings, marked, life.operator, "цікаво", NOON)


def test_history_lets_go_of_words_only(life: Life) -> None:
    """The database refuses any other change of a line of history, whoever asks."""
    e = schema.appeal_event
    for values in ({"note": "інше"}, {"action": "confirm"}, {"note": "", "evidence": {"x": 1}}):
        with pytest.raises(Exception, match="history is only added to"), life.db.write() as conn:
            conn.execute(e.update().where(e.c.appeal_id == life.appeal, e.c.action == "correct").values(values))
    confirmed = e.update().where(e.c.appeal_id == life.appeal, e.c.action == "confirm").values(note="", evidence={})
    with pytest.raises(Exception, match="history is only added to"), life.db.write() as conn:
        conn.execute(confirmed)


def test_looks_are_told_by_appeal_and_by_who_looked(life: Life) -> None:
    with life.db.read() as conn:
        assert [look.key for look in privacy.looks(conn, appeal_id=life.appeal)] == [str(life.appeal)]
        assert len(privacy.looks(conn, staff_id=life.operator)) == 2
        assert privacy.looks(conn, staff_id=life.operator + 99) == []


# ── what came in writing, and what was told ──────────────────────────────────────────────────
MAILBOX, PSID = "maria@letters.example", "7715551"
# Tables in which nothing of a resident's stands: the city's own, the staff's, counts and digests.
OF_NOBODY = {
    "access_log", "announcement", "answer_template", "api_key", "appeal_counter", "article", "building", "bulletin",
    "calendar_day", "call_event", "callback", "callback_appeal", "campaign", "consultation", "contact", "department",
    "district", "edit_log", "escalation", "incident", "law_setting", "listening", "network", "network_building",
    "programme", "programme_building", "rate_count", "routing_rule", "routing_version", "seat_event", "session",
    "shift", "sign_in_failure", "staff", "street", "street_name", "subject", "surge", "taken", "visit_count", "webhook",
    "writer_mark",
}  # fmt: skip
# What the tests above look at, row by row.
ELSEWHERE = {"appeal_call", "appeal_event", "attempt", "call", "citizen_phone", "incident_caller", "incident_report",
             "promise", "rating", "recording", "silenced"}  # fmt: skip
# Columns that name nobody, whatever stands in them: states, kinds, and names that services made.
NAMELESS = {
    "appeal": {"channel", "code", "kind", "old_number", "state", "tell_by"}, "attachment": {"action", "media_type",
    "sha256"}, "citizen": {"language"}, "citizen_address": {"channel"}, "delivery": {"state"},
    "message": {"channel", "external_id", "language", "reason", "state"}, "message_file": {"media_type", "sha256"},
    "notice": {"audience", "delivered", "key", "kind", "mail", "sent_ref", "state", "way"},
    "remote_file": {"path", "state"}, "stopped": {"way"},
}  # fmt: skip


def came(conn: Connection, external_id: str, channel: str, address: str, **more: object) -> int:
    """A message, and that it is done with."""
    message_id = messages.take(conn, messages.Incoming(
        channel=channel, external_id=external_id, address=address, received_at=NOON,
        **{"text": "Прошу прибрати сніг", "state": messages.State.DONE, **more}))  # type: ignore[arg-type]  # fmt: skip
    assert message_id is not None
    return message_id


@pytest.fixture
def written(life: Life) -> list[int]:
    """Her messages: from her box, her conversation, her telephone, and one of her appeal from nobody knows where; then
    one of her sister's, from a box that both are known by. All told back, stopped, passed on."""
    with life.db.write() as conn:
        for whose in (life.maria, life.sister):
            citizens.add_address(conn, whose, "email", "home@example.org", NOON)
        citizens.add_address(conn, life.maria, "email", MAILBOX, NOON)
        citizens.add_address(conn, life.maria, "facebook", PSID, NOON)
        photo = attachments.store(life.attachments, "марія-фото.jpg", io.BytesIO(picture("JPEG", "green")))
        shared = attachments.store(life.attachments, "спільне.jpg", io.BytesIO(picture("JPEG", "red")))
        hers = [came(conn, "1", "email", MAILBOX, files=[replace(photo, place=(50.45, 30.52)), shared]),
                came(conn, "2", "facebook", PSID), came(conn, "3", "sms", PHONE), came(conn, "4", "web", "")]
        messages.belongs(conn, hers[3], life.appeal, now=NOON, staff_id=None, action=Action.HEAR)
        theirs = came(conn, "5", "email", "home@example.org", files=[shared], text="Софіїн лист")
        remote_files.expect(conn, hers[2], [("/Media/ME1", "марія-ммс.jpg")], NOON)
        for message_id in (*hers[:3], theirs):
            notices.reply(conn, message_id=message_id, text="Відповідь для Марії", key=str(message_id), now=NOON)
        for way, address in ((Way.SMS, PHONE), (Way.EMAIL, MAILBOX), (Way.EMAIL, "home@example.org")):
            notices.stop(conn, way, address, NOON)
        conn.execute(schema.appeal.update().where(schema.appeal.c.id == life.appeal).values(tell_to=MAILBOX))
        hook = insert_row(conn, schema.webhook, {"name": "Тепло", "url": "https://x.example", "secret": "s"})
        for appeal_id, name in ((life.appeal, NAME), (life.sisters, SISTER)):
            conn.execute(insert(schema.delivery), {"webhook_id": hook, "appeal_id": appeal_id, "created_at": NOON,
                                                   "due_at": NOON, "body": {"applicant": name}})  # fmt: skip
        return hers


def hers(life: Life, written: list[int]) -> dict[Table, ColumnElement[bool]]:
    """Which rows are hers."""
    s = schema
    return {
        s.appeal: s.appeal.c.citizen_id == life.maria,
        s.attachment: s.attachment.c.appeal_id == life.appeal, s.citizen: s.citizen.c.id == life.maria,
        s.citizen_address: and_(s.citizen_address.c.citizen_id == life.maria,
                                s.citizen_address.c.address != "home@example.org"),
        s.delivery: s.delivery.c.appeal_id == life.appeal, s.message: s.message.c.id.in_(written),
        s.message_file: s.message_file.c.message_id.in_(written),
        s.notice: or_(s.notice.c.citizen_id == life.maria, s.notice.c.message_id.in_(written)),
        s.remote_file: s.remote_file.c.message_id.in_(written),
        s.stopped: s.stopped.c.address.in_([PHONE, MAILBOX]),
    }  # fmt: skip


def test_every_column_that_can_name_her_lets_go_of_her(life: Life, written: list[int]) -> None:
    """Of each table of the schema it is said here whose it is. Whatever is not said to name nobody is filled with a
    word of its own, in her rows; none of the words is left."""
    withdraw(life)
    rows = hers(life, written)
    assert {table.name for table in schema.metadata.sorted_tables} == (
        {table.name for table in rows} | OF_NOBODY | ELSEWHERE), "a new table: whose is it?"  # fmt: skip
    planted = []
    with life.db.write() as conn:
        for table, mine in rows.items():
            assert conn.execute(select(func.count()).select_from(table).where(mine)).scalar_one(), table.name
            for column in table.columns:
                if column.foreign_keys or column.name in NAMELESS[table.name]:
                    continue
                if (table.name, column.name) in (("citizen_address", "address"), ("message", "address"),
                                                 ("stopped", "address")):  # by which they are found
                    continue
                word = f"w{len(planted)}.{table.name}.{column.name}"
                if isinstance(column.type, JSON):
                    planted.append(word)
                    conn.execute(table.update().where(mine).values({column.name: {"until": word}}))
                elif isinstance(column.type, String):
                    planted.append(word := word[: column.type.length or 100])
                    conn.execute(table.update().where(mine).values({column.name: word}))
    assert len(planted) >= 20
    before = everything_in(life.db)
    assert [word for word in planted if word not in before] == []
    assert erase(life)
    life.finish()
    left = everything_in(life.db)
    assert [word for word in (*planted, MAILBOX, PSID, "50.45", *SECRETS) if word in left] == []


def test_her_letters_are_given_out_and_erased_and_her_sisters_stay(life: Life, written: list[int]) -> None:
    withdraw(life)
    with life.db.read() as conn:
        data = privacy.everything(conn, life.maria)
    assert [each["id"] for each in data["messages"]] == written
    assert [each["name"] for each in data["message_files"]] == ["марія-фото.jpg", "спільне.jpg"]
    assert {(each["channel"], each["address"]) for each in data["addresses"]} == {
        ("email", "home@example.org"), ("email", MAILBOX), ("facebook", PSID)}  # fmt: skip
    assert {each["address"] for each in data["stopped"]} == {PHONE, MAILBOX}
    assert [each["data"]["text"] for each in data["notices"] if each["kind"] == "reply"] == ["Відповідь для Марії"] * 3
    assert next(each["body"]["applicant"] for each in data["told_to_departments"]) == NAME
    assert SISTER not in json.dumps(data, ensure_ascii=False)
    before = life.files()
    assert erase(life)
    life.finish()
    with life.db.read() as conn:
        m, f = schema.message.c, schema.message_file.c
        said = conn.execute(select(m.address, m.text).where(m.external_id == "5")).one()
        assert tuple(said) == ("home@example.org", "Софіїн лист")
        name, shared = conn.execute(select(f.name, f.sha256)).one()
        assert name == "спільне.jpg", "which she had sent too"
        theirs = attachments.of_appeal(conn, life.sisters)
        assert conn.scalars(select(schema.stopped.c.address)).all() == ["home@example.org"]
        assert conn.scalars(select(schema.remote_file.c.state)).all() == ["kept"], "it is only deleted where it lies"
        states = set(conn.scalars(select(schema.notice.c.state).where(schema.notice.c.citizen_id == life.maria)))
        assert states <= {"void", "sent", "told"}
        assert came_again(life, "1") is None
    left = {"c" * 32 + ".wav", shared, *(each.sha256 for each in theirs)}
    assert (life.files(), len(before) > len(left)) == (left, True), "what her sister said, has in her appeal, and sent"


def came_again(life: Life, external_id: str) -> int | None:
    """A service that brings it once more brings nothing."""
    with life.db.write() as conn:
        return messages.take(conn, messages.Incoming(
            channel="email", external_id=external_id, address=MAILBOX, text="Прошу", received_at=NOON))  # fmt: skip


def test_what_she_wrote_and_nobody_has_read_is_dealt_with_first(life: Life) -> None:
    withdraw(life)
    with life.db.write() as conn:
        came(conn, "9", "sms", PHONE, state=messages.State.NEW)
    with pytest.raises(BadInput, match=r"privacy\.open_messages"):
        erase(life)


# ── killed ───────────────────────────────────────────────────────────────────────────────────
def at_the_page(url: str, folder: Path, citizen_id: int) -> None:
    db = Database(url)
    with db.write() as conn:
        privacy.erase(conn, citizen_id, reason="Заява № 7 від 24.11.2026", now=NOON, staff_id=None)
    privacy.remove_files(db, folder / "attachments")
    recordings.erase(db, folder / "recordings")


def by_the_line(url: str, folder: Path) -> None:
    """What is done now and then of its own accord."""
    db = Database(url)
    privacy.remove_files(db, folder / "attachments")
    recordings.retention(db, folder / "recordings", NOON, 180)


def marked(db: Database) -> set[str]:
    """The files that rows still say are to go, or belong to somebody."""
    a, r = schema.attachment.c, schema.recording.c
    with db.read() as conn:
        paths = conn.scalars(select(r.path).where(r.state != "expired")).all()
        return {*conn.scalars(select(a.sha256)), *(path.rpartition("/")[2] for path in paths)}


def test_killed_at_any_moment_she_is_erased_wholly_or_not_at_all_and_the_rest_is_done_later(life: Life) -> None:
    withdraw(life)
    before, files, url = figures(life.db), life.files(), life.db.url.render_as_string(hide_password=False)
    with life.db.read() as conn:
        [theirs] = attachments.of_appeal(conn, life.sisters)
    others = {"c" * 32 + ".wav", theirs.sha256}
    at = 1
    while killed(at, at_the_page, url, life.folder, life.maria) and NAME in (there := everything_in(life.db)):
        assert [secret for secret in SECRETS if secret not in there] == [], at
        assert (life.files(), figures(life.db)) == (files, before), at
        at += 1
    assert at > 15, "before every statement, and the commit"
    assert life.files() == files, "and after it"
    at = 1
    while killed(at, by_the_line, url, life.folder):
        there = everything_in(life.db)
        assert [secret for secret in SECRETS if secret in there] == [], at
        assert others <= life.files() <= marked(life.db), "what no row names would stay for ever"
        assert figures(life.db) == before, at
        at += 1
    assert at > 5
    assert (life.files(), figures(life.db)) == (others, before)
    with life.db.read() as conn:
        assert citizens.get(conn, life.sister).name == SISTER
        hers = select(func.count()).where(schema.attachment.c.appeal_id == life.appeal)
        assert conn.execute(hers).scalar_one() == 0
        recorded = conn.execute(select(schema.recording.c.linkedid, schema.recording.c.state)).all()
        assert {row.linkedid for row in recorded if row.state == "expired"} == {"1.1", "1.2", "1.4"}
