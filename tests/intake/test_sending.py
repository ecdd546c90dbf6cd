"""What goes out to residents: each notice once, whatever the services say, report or forget, and whoever is killed."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, update

from centre.words import Words
from crm import appeals, citizens, letters, messages, notices, outbox, telling, tokens
from crm.clock import KYIV
from crm.confirmation_rules import Result
from crm.life import Action
from crm.messages import Incoming
from crm.notices import Kind, Way
from crm.schema import notice
from crm.store import Database
from intake.couriers import Outgoing, Refused, Sent
from intake.mail.smtp import EmailCourier, Server
from intake.sending import Sending
from tests.crm.conftest import NOON, PHONE, City, found_city
from tests.killing import killed
from tests.mail_server import MailServer, mail_server

SECRET, PORTAL, EMAIL, FROM = "secret", "https://1551.kyiv.ua", "maria@example.org", "1551@kyiv.example"
WORDS = Words(PORTAL, True, SECRET)
WINDOW = (9 * 60, 20 * 60)
NIGHT = dt.datetime(2026, 11, 24, 20, 0, tzinfo=dt.UTC)  # 22:00 in Kyiv


@dataclass
class Service:
    """What carries, as a test wants it: ``says`` the answers to come (then it takes all), ``went`` what it took."""

    way: Way = Way.SMS
    says: list[Sent | Refused] = field(default_factory=list)
    finds: Sent | Refused | None = None
    went: list[Outgoing] = field(default_factory=list)

    def send(self, its: Outgoing) -> Sent | Refused:
        answer = self.says.pop(0) if self.says else Sent(f"{self.way}-{its.id}-{len(self.went)}")
        if isinstance(answer, Sent):
            self.went.append(its)
        return answer

    def find(self, its: Outgoing) -> Sent | Refused | None:
        return self.finds


@dataclass
class Office:
    """The records, a clock, and one round by a way."""

    db: Database
    city: City
    now: dt.datetime = NOON

    def run(self, courier: Any) -> int:
        return Sending(self.db, courier, WORDS, WINDOW, lambda: self.now).run()

    def registered(self, way: Way, to: str) -> appeals.Registered:
        with self.db.write() as conn:
            self.city.conn, self.city.now = conn, self.now
            return self.city.registered(tell_by=way.value, tell_to=to)

    def act(self, made: appeals.Registered, action: Action, note: str = "Пояснення\nслужби", **more: Any) -> None:
        with self.db.write() as conn:
            appeals.act(conn, made.id, action, now=self.now, note=note, **more)

    def states(self) -> list[tuple[str, str]]:
        """Way and state of what applicants are told, or whoever wrote."""
        with self.db.read() as conn:
            rows = conn.execute(select(notice.c.way, notice.c.state).where(
                notice.c.audience.in_(["citizen", "sender"])).order_by(notice.c.id))  # fmt: skip
            return [(row.way, row.state) for row in rows]

    def reports(self, ref: str, what: str) -> None:
        with self.db.write() as conn:
            notices.delivered(conn, ref, what, self.now)


def opened(db: Database) -> Office:
    with db.write() as conn:
        return Office(db, found_city(conn))


@pytest.fixture
def office(db: Database) -> Office:
    return opened(db)


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    with mail_server() as its:
        yield its


@pytest.fixture
def post(server: MailServer) -> EmailCourier:
    server.taken.clear()
    server.refusal, server.answer = "", "250 OK"
    return EmailCourier(Server("127.0.0.1", server.port, "none", "", "", FROM), "mailbox@kyiv.example", lambda: NOON)


# ── one way ──
def test_it_is_sent_once_with_its_own_words(office: Office) -> None:
    made = office.registered(Way.SMS, PHONE)
    office.act(made, Action.EXECUTE)
    sms = Service()
    assert [office.run(sms), office.run(sms)] == [1, 0]
    (its,) = sms.went
    link = f"{PORTAL}/a/{tokens.together(SECRET, made.number)}"
    assert (its.address, its.language, its.began_at, its.heading) == (PHONE, "uk", NOON, None)
    assert its.text == f"15-51: «Немає опалення»: чи вирішено? Надішліть 1 – так, 2 – ні. {link}"
    assert its.choices == ("Вирішено", "Не вирішено")
    assert office.states() == [("sms", "sent")]
    with office.db.read() as conn:
        kept = conn.execute(select(notice).where(notice.c.way == "sms")).one()
    assert (kept.sent_ref, kept.sent_at, kept.data) == (f"sms-{its.id}-0", NOON, {}), "what was sent is not kept twice"


def test_what_the_service_does_not_take_now_it_takes_later_with_the_same_words(office: Office) -> None:
    office.act(made := office.registered(Way.SMS, PHONE), Action.EXPLAIN)
    office.act(office.registered(Way.SMS, "+380509876543"), Action.EXPLAIN)
    sms = Service(says=[Refused("429", again=True)])
    assert office.run(sms) == 0, "it takes nothing just now"
    assert office.run(sms) == 1
    assert [its.address for its in sms.went] == ["+380509876543"], "the others do not wait for it"
    with office.db.write() as conn:  # what is told stays as it was first said
        citizens.update(conn, office.city.citizen, language="en")
    office.now += dt.timedelta(seconds=60)
    assert office.run(sms) == 1
    assert sms.went[1].text.startswith("15-51: на звернення")
    assert (sms.went[1].began_at, str(made.number) in sms.went[1].text) == (NOON, True)


def test_at_last_the_way_is_closed_to_it(office: Office) -> None:
    office.act(office.registered(Way.SMS, PHONE), Action.EXPLAIN)
    sms = Service(says=[Refused("500", again=True)] * outbox.LAST_TRY)
    for _ in range(outbox.LAST_TRY):
        office.run(sms)
        office.now += dt.timedelta(days=1)
    assert office.states() == [("phone", "due")]


def test_it_waits_for_the_morning_and_an_answer_in_a_conversation_does_not(office: Office) -> None:
    office.now = NIGHT
    office.act(office.registered(Way.SMS, PHONE), Action.EXPLAIN)
    with office.db.write() as conn:
        message = messages.take(conn, Incoming(channel="sms", external_id="SM1", address=PHONE, text="стоп",
                                               received_at=NIGHT))  # fmt: skip
        assert message is not None
        notices.reply(conn, message_id=message, text="Більше не писатимемо.", key="1", now=NIGHT)
        notices.reply(conn, message_id=message, text="Спеціаліст відповів уночі.", key="2", now=NIGHT,
                      staff_id=office.city.operator)  # fmt: skip
    sms = Service()
    assert office.run(sms) == 1
    assert [its.text for its in sms.went] == ["Більше не писатимемо."]
    office.now = dt.datetime(2026, 11, 25, 6, 59, 59, tzinfo=dt.UTC)
    assert office.run(sms) == 0
    office.now += dt.timedelta(seconds=1)
    assert office.run(sms) == 2


def test_what_was_answered_meanwhile_is_not_asked_any_more(office: Office) -> None:
    office.now = NIGHT
    made, other = office.registered(Way.SMS, PHONE), office.registered(Way.SMS, PHONE)
    for each in (made, other):
        office.act(each, Action.EXECUTE)
    with office.db.write() as conn:
        office.city.conn = conn
        office.city.say(office.city.get(made), Result.SOLVED, linkedid="", staff_id=None, written="web:1")
    office.now += dt.timedelta(hours=12)
    sms = Service()
    assert office.run(sms) == 2
    assert [str(other.number) in its.text or "закрито" in its.text for its in sms.went] == [True, True]
    assert office.states() == [("sms", "void"), ("sms", "sent"), ("sms", "sent")]


def test_after_his_stop_nothing_goes_there_but_the_answer_to_it(office: Office) -> None:
    office.act(office.registered(Way.SMS, PHONE), Action.EXPLAIN)
    with office.db.write() as conn:
        message = messages.take(conn, Incoming(channel="sms", external_id="SM1", address=PHONE, text="стоп",
                                               received_at=office.now))  # fmt: skip
        assert message is not None
        notices.reply(conn, message_id=message, text="Більше не писатимемо.", key="1", now=office.now)
        notices.stop(conn, Way.SMS, PHONE, office.now)
        notices.reply(conn, message_id=message, text="Ще одне.", key="2", now=office.now + dt.timedelta(seconds=1))
    office.now += dt.timedelta(seconds=2)
    sms = Service()
    office.run(sms)
    assert [its.text for its in sms.went] == ["Більше не писатимемо."]
    assert office.states() == [("phone", "due"), ("sms", "sent"), ("sms", "void")]


def test_a_look_when_nothing_is_due_reads_through_nothing(office: Office) -> None:
    """Every two seconds, by each way, beside all that was ever told and all that waits for a person."""
    sqlite, steps = office.db.is_sqlite, []

    def explained(conn: Any, cursor: Any, statement: str, values: Any, *_: object) -> None:
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{statement}", values)
        steps.extend(str(row[-1]) for row in cursor.fetchall())

    with office.db.write() as conn:
        if not sqlite:
            conn.exec_driver_sql("SET LOCAL enable_seqscan = off")  # with so few rows it would
        event.listen(conn, "before_cursor_execute", explained)
        for awake in (True, False):
            outbox.is_due(conn, Way.SMS, office.now, awake=awake)
        event.remove(conn, "before_cursor_execute", explained)
    plan = "\n".join(steps)
    assert not re.search(r"(SCAN|Seq Scan on) (notice|appeal|stopped)(?! USING INDEX)", plan), plan
    assert "ix_notice_due" in plan
    assert "ix_notice_sending" in plan


# ── the next way ──
def test_refused_for_good_it_goes_by_letter_and_then_to_a_person_who_sees_why(
        office: Office, server: MailServer, post: EmailCourier) -> None:  # fmt: skip
    with office.db.write() as conn:
        citizens.update(conn, office.city.citizen, email=EMAIL)
    office.act(office.registered(Way.SMS, PHONE), Action.EXPLAIN)
    office.run(Service(says=[Refused("21614 не мобільний", again=False)]))
    assert office.states() == [("email", "due")]
    server.refusal = "maria"
    office.run(post)
    assert (office.states(), server.taken) == ([("phone", "due")], [])
    with office.db.read() as conn:
        (one,) = notices.to_tell(conn, there=telling.WRITTEN)
    assert one.closed["sms"] == "21614 не мобільний"
    assert one.closed["email"].startswith("550 5.1.1")


def test_a_bad_report_that_comes_before_our_own_commit_is_not_lost(office: Office) -> None:
    office.act(office.registered(Way.SMS, PHONE), Action.EXPLAIN)

    class Hasty(Service):
        def send(self, its: Outgoing) -> Sent | Refused:
            office.reports("SM7", "undelivered")
            return Sent("SM7")

    office.run(Hasty())
    assert office.states() == [("phone", "due")]


def test_an_answer_has_no_other_way(office: Office) -> None:
    with office.db.write() as conn:
        message = messages.take(conn, Incoming(channel="facebook", external_id="m1", address="771", text="Вітаю",
                                               received_at=office.now))  # fmt: skip
        assert message is not None
        notices.reply(conn, message_id=message, text="Вітаємо!", key="1", now=office.now, choices=["Так", "Ні"])
    page = Service(Way.FACEBOOK, says=[Refused("window", again=False)])
    office.run(page)
    assert office.states() == [("facebook", "void")]


# ── letters ──
def test_a_letter_says_what_it_is_and_shows_a_way_back(office: Office, server: MailServer, post: EmailCourier) -> None:
    made = office.registered(Way.EMAIL, EMAIL)
    office.act(made, Action.EXECUTE, note="Замінили стояк\r\nBcc: x@example.org")
    assert office.run(post) == 1
    ((to, said),) = server.taken
    token = tokens.together(SECRET, made.number)
    assert (to, said["To"], said["From"]) == ([EMAIL], f"Марія Іваненко <{EMAIL}>", f"Контакт-центр 15-51 <{FROM}>")
    assert said["Subject"] == f"15-51: ваше звернення № {made.number} [{token}]"
    assert said["Message-ID"].startswith(f"<{token}.")
    assert said["Message-ID"].endswith("@kyiv.example>")
    assert (said["Reply-To"], said["Auto-Submitted"]) == ("mailbox@kyiv.example", "auto-generated")
    body = said.get_content().replace("\r\n", "\n")
    assert "Відповідь виконавця: Замінили стояк\nBcc: x@example.org\n" in body
    assert f"{PORTAL}/a/{token}" in body
    assert "одним словом: «вирішено» чи «не вирішено»" in body
    assert "Якщо ви відповісте на цей лист" in body
    with office.db.read() as conn:
        assert conn.execute(select(notice.c.sent_ref).where(notice.c.way == "email")).scalar_one() == said["Message-ID"]


def test_a_letter_is_in_his_language_and_a_receipt_has_number_and_code(
        office: Office, server: MailServer, post: EmailCourier) -> None:  # fmt: skip
    with office.db.write() as conn:
        citizens.update(conn, office.city.citizen, language="en")
    made = office.registered(Way.EMAIL, EMAIL)
    with office.db.write() as conn:
        notices.receipt(conn, appeal_id=made.id, citizen_id=office.city.citizen, staff_id=None, now=office.now)
    office.run(post)
    ((_, said),) = server.taken
    body = said.get_content().replace("\r\n", "\n")
    assert said["Subject"].startswith(f"15-51: your appeal № {made.number} [")
    assert f"Number: {made.number}\nCode: {made.code}\n" in body
    assert "It is with: Київтеплоенерго. It is to be considered by 09.12.2026." in body


@pytest.mark.parametrize("by_person", [True, False])
def test_an_answer_stands_in_the_conversation_that_it_answers(
        office: Office, server: MailServer, post: EmailCourier, by_person: bool) -> None:  # fmt: skip
    made = office.registered(Way.EMAIL, EMAIL)
    with office.db.write() as conn:
        message = messages.take(conn, Incoming(channel="email", external_id="<abc@mail.example>", address=EMAIL,
                                               title="Яма\r\nBcc: y@example.org", text="Де?", name="Марія",
                                               received_at=NOON))  # fmt: skip
        assert message is not None
        messages.belongs(conn, message, made.id, now=NOON, staff_id=None, action=Action.HEAR)
        notices.reply(conn, message_id=message, text="Уточніть, будь ласка, адресу.", key="1", now=NOON,
                      staff_id=office.city.operator if by_person else None)  # fmt: skip
    assert office.run(post) == 1
    ((_, said),) = server.taken
    assert said["Subject"] == f"Re: Яма Bcc: y@example.org [{tokens.together(SECRET, made.number)}]"
    assert (said["In-Reply-To"], said["References"]) == ("<abc@mail.example>",) * 2
    assert said["Auto-Submitted"] == (None if by_person else "auto-replied")
    assert said.get_content().replace("\r\n", "\n") == (
        "Уточніть, будь ласка, адресу.\n\n-- \nКонтакт-центр міста, телефон 15-51\n")  # fmt: skip


def test_a_server_that_is_down_or_busy_loses_nothing(office: Office, server: MailServer, post: EmailCourier) -> None:
    office.act(office.registered(Way.EMAIL, EMAIL), Action.EXPLAIN)
    away = EmailCourier(Server("127.0.0.1", 1, "none", "", "", FROM), "", lambda: NOON)
    assert office.run(away) == 0
    office.now += dt.timedelta(minutes=1)
    server.answer = "451 4.3.0 пізніше"
    assert office.run(post) == 0
    office.now += dt.timedelta(minutes=2)
    server.answer = "250 OK"
    assert office.run(post) == 1


# ── killed ──
def sms_of(way: Way, folder: Path) -> Service:
    """One whose messages are files: what went out is there whatever becomes of us."""

    class Files(Service):
        def send(self, its: Outgoing) -> Sent | Refused:
            (folder / f"{its.id}-{len(list(folder.iterdir()))}").write_text(its.text)
            return Sent(f"ref-{its.id}")

        def find(self, its: Outgoing) -> Sent | Refused | None:
            return Sent(f"ref-{its.id}") if list(folder.glob(f"{its.id}-*")) else None

    return Files(way)


def one_round(url: str, folder: Path, at: str) -> None:
    now = dt.datetime.fromisoformat(at)
    Sending(Database(url), sms_of(Way.SMS, folder), WORDS, WINDOW, lambda: now).run()


def test_killed_at_any_moment_each_goes_out_once(office: Office, tmp_path: Path) -> None:
    """A process of its own, killed before each of its statements and commits in turn; the next one goes on."""
    for _ in range(2):
        office.act(office.registered(Way.SMS, PHONE), Action.EXPLAIN)
    went = tmp_path / "went"
    went.mkdir()
    url, at = office.db.url.render_as_string(hide_password=False), 1
    while killed(at, one_round, url, went, office.now.isoformat()):
        at += 1
        office.now += outbox.PATIENCE
    assert at > 5, "between the claim and its commit, the sending and its commit"
    office.now += outbox.PATIENCE
    one_round(url, went, office.now.isoformat())
    with office.db.read() as conn:
        ids = conn.execute(select(notice.c.id).where(notice.c.way == "sms")).scalars().all()
    assert Counter(path.name.partition("-")[0] for path in went.iterdir()) == {str(id): 1 for id in ids}
    assert office.states() == [("sms", "sent")] * 2


@pytest.mark.parametrize(("found", "state", "went"), [
    (Sent("SM9"), ("sms", "sent"), 0), (None, ("sms", "sent"), 1), (Refused("?", again=True), ("sms", "sending"), 0),
    (Refused("window", again=False), ("phone", "due"), 0),
])  # fmt: skip
def test_what_was_left_half_sent_is_looked_for(office: Office, found: Sent | Refused | None, state: tuple[str, str],
                                               went: int) -> None:  # fmt: skip
    office.act(office.registered(Way.SMS, PHONE), Action.EXPLAIN)
    with office.db.write() as conn:
        assert outbox.claim(conn, Way.SMS, office.now, WORDS, awake=True) is not None
    sms = Service(finds=found)
    assert office.run(sms) == 0, "it may be going out just now"
    office.now += outbox.PATIENCE
    office.run(sms)
    assert (office.states(), len(sms.went)) == ([state], went)
    if state[1] == "sending":
        sms.finds = None
        office.now += dt.timedelta(hours=1)
        office.run(sms)
        assert (office.states(), len(sms.went)) == ([("sms", "sent")], 1)


# ── anything, in any order ──
ANSWERS = st.sampled_from(["sent", "again", "never", "killed before", "killed after", "in doubt"])
DEEDS = st.lists(st.tuples(st.sampled_from(["sms", "email", "report", "stop", "solved", "settle"]), ANSWERS,
                           st.integers(0, 20)), max_size=25)  # fmt: skip


class Died(BaseException):
    """As by kill -9: nothing after it is done."""


@dataclass
class Chaotic:
    """A service that answers as it is told, and knows what it has taken. ``refs``: by its own names."""

    way: Way
    answer: str = "sent"
    went: Counter[int] = field(default_factory=Counter)
    hours: set[int] = field(default_factory=set)
    refs: list[str] = field(default_factory=list)
    now: dt.datetime = NOON

    def send(self, its: Outgoing) -> Sent | Refused:
        if self.answer == "killed before":
            raise Died
        if self.answer == "again":
            return Refused("429", again=True)
        if self.answer == "never":
            return Refused("404", again=False)
        self.went[its.id] += 1
        self.hours.add(self.now.astimezone(KYIV).hour)
        self.refs.append(f"{self.way}:{its.id}")
        if self.answer == "killed after":
            raise Died
        return Sent(self.refs[-1])

    def find(self, its: Outgoing) -> Sent | Refused | None:
        if self.answer == "in doubt":
            return Refused("?", again=True)
        return Sent(f"{self.way}:{its.id}") if self.went[its.id] else None


@settings(max_examples=60, deadline=None)
@given(DEEDS, st.sampled_from([Way.SMS, Way.EMAIL]), st.integers(0, 23))
@example([("sms", "killed after", 0), ("sms", "sent", 3), ("report", "never", 0), ("email", "sent", 0)], Way.SMS, 12)
def test_whatever_happens_each_goes_by_each_way_once_and_comes_to_an_end(
        sqlite_template: Path, deeds: list[tuple[str, str, int]], chosen: Way, hour: int) -> None:  # fmt: skip
    with TemporaryDirectory() as folder:
        shutil.copy(sqlite_template, f"{folder}/1551.db")
        db = Database(f"sqlite:///{folder}/1551.db")
        try:
            anything(db, deeds, chosen, hour)
        finally:
            db.close()


def anything(db: Database, deeds: list[tuple[str, str, int]], chosen: Way, hour: int) -> None:
    with db.write() as conn:
        city = found_city(conn)
        citizens.update(conn, city.citizen, email=EMAIL)
        city.conn, city.now = conn, NOON.replace(hour=hour)
        made = [city.registered(tell_by=chosen.value, tell_to=PHONE if chosen is Way.SMS else EMAIL) for _ in range(2)]
        conn.execute(update(notice).values(state="void"))
        appeals.act(conn, made[0].id, Action.EXPLAIN, now=city.now, note="Так")
        city.execute(made[1].id)
    office = Office(db, city, city.now)
    services = {"sms": Chaotic(Way.SMS), "email": Chaotic(Way.EMAIL)}
    for deed, answer, quarters in [*deeds, *[("sms", "sent", 28), ("email", "sent", 28)] * 8]:
        office.now += dt.timedelta(minutes=15 * quarters)
        if deed in services:
            services[deed].answer, services[deed].now = answer, office.now
            try:
                office.run(services[deed])
            except Died:
                office.now += outbox.PATIENCE
        elif deed == "report":
            for ref in [ref for each in services.values() for ref in each.refs][-1:]:
                office.reports(ref, "undelivered" if answer in ("again", "never") else "delivered")
        elif deed == "stop":
            with db.write() as conn:
                notices.stop(conn, Way.SMS, PHONE, office.now)
        elif deed == "settle":
            with db.write() as conn:
                notices.settle(conn, office.now, [Way.EMAIL] if answer == "sent" else [Way.EMAIL, Way.SMS])
        elif deed == "solved":
            with db.write() as conn:
                city.conn, city.now = conn, office.now
                city.say(city.get(made[1]), Result.SOLVED, linkedid="", staff_id=None, written="web:1")
                letters.clear(conn, office.now)
    for each in services.values():
        assert all(times == 1 for times in each.went.values()), "never two of one"
    assert services["sms"].hours <= set(range(9, 20)), "nobody was woken"
    with db.read() as conn:
        ends = conn.execute(select(notice.c.way, notice.c.state, notice.c.kind, notice.c.data).where(
            notice.c.audience == "citizen")).all()  # fmt: skip
    for end in ends:
        assert end.state in ("sent", "void") or (end.way, end.state) == ("phone", "due"), (end, json.dumps(end.data))
    assert [end.state for end in ends if end.kind == Kind.EXPLAINED.value] != ["void"], "the law has him told of this"
