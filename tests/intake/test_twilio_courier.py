"""SMS against a Twilio that keeps to its documents: each goes out once, whatever happens to the answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from sqlalchemy import select

from centre.outside.twilio import FakeTwilio, Fault
from crm import messages, notices
from crm.messages import Incoming
from crm.outbox import Going
from crm.schema import notice
from crm.store import Database
from crm.telling import Way
from intake.couriers import Outgoing, Refused, Sent
from intake.segments import segments
from intake.sending import Sending
from intake.twilio import courier as module
from intake.twilio.courier import SmsCourier

ACCOUNT, TOKEN, NUMBER = "AC" + "0" * 32, "a token", "+380891234567"
PORTAL, MARIA = "https://1551.city.example", "+380671112233"
NOW = dt.datetime(2026, 11, 24, 10, tzinfo=dt.UTC)
LONG = "Звернення № 26000123 виконано: опалення відновлено. Чи вирішено питання? Надішліть 1 – так, 2 – ні. 1551"


@dataclass
class Office:
    """The courier and who it speaks with. ``now`` is the time there and here."""

    now: dt.datetime = NOW
    stopped: list[str] = field(default_factory=list)
    twilio: FakeTwilio = field(init=False)

    def courier(self, token: str = TOKEN, api: str = "") -> SmsCourier:
        """A new one, as after a restart."""
        return SmsCourier(ACCOUNT, token, NUMBER, api or self.twilio.api, PORTAL, stopped=self.stopped.append,
                          clock=lambda: self.now)  # fmt: skip

    def texts(self) -> list[str]:
        return [its["body"] for its in self.twilio.outgoing()]


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setattr(module, "TIMEOUT_S", 5.0)
    its = Office()
    its.twilio = FakeTwilio(ACCOUNT, TOKEN, NUMBER, PORTAL, clock=lambda: its.now)
    with its.twilio:
        yield its


def sms(text: str = LONG, address: str = MARIA, began_at: dt.datetime = NOW) -> Outgoing:
    return Outgoing(1, Way.SMS, address, text, "uk", began_at)


def test_it_goes_out_whole_and_asks_to_be_told_what_becomes_of_it(office: Office) -> None:
    answer = office.courier().send(sms())
    (its,) = office.twilio.outgoing()
    assert answer == Sent(its["sid"])
    assert (its["to"], its["from"], its["body"]) == (MARIA, NUMBER, LONG)
    assert its["callback"] == f"{PORTAL}/twilio/status"
    assert segments(LONG).count == 2


@pytest.mark.parametrize("fault", [Fault(takes=True), Fault(500, 20500, takes=True), Fault(503, 20503, takes=True)])
def test_the_answer_is_lost_and_the_sms_is_not_sent_again(office: Office, fault: Fault) -> None:
    office.twilio.faults.append(fault)
    answer = office.courier().send(sms())
    (its,) = office.twilio.outgoing()
    assert answer == Sent(its["sid"])


@pytest.mark.parametrize("fault", [Fault(), Fault(500, 20500), Fault(429, 20429)])
def test_what_was_not_taken_goes_out_the_next_time_once(office: Office, fault: Fault) -> None:
    office.twilio.faults.append(fault)
    answer = office.courier().send(sms())
    assert isinstance(answer, Refused)
    assert answer.again
    assert office.texts() == []
    office.now += dt.timedelta(seconds=90)
    assert isinstance(office.courier().send(sms()), Sent)
    assert isinstance(office.courier().send(sms()), Sent)
    assert office.texts() == [LONG]


def test_the_answer_and_the_search_are_lost_both(office: Office) -> None:
    """Nobody can tell now; before it is sent again it is looked for."""
    office.twilio.faults.extend([Fault(takes=True), Fault(503, 20503)])
    assert isinstance(office.courier().send(sms()), Refused)
    office.now += dt.timedelta(seconds=90)
    office.twilio.faults.append(Fault())
    assert office.courier().send(sms()) == Refused("ConnectionError", again=True)
    office.now += dt.timedelta(hours=20)
    (its,) = office.twilio.outgoing()
    assert office.courier().send(sms()) == Sent(its["sid"])
    assert office.texts() == [LONG]


def test_killed_between_the_sending_and_our_commit(office: Office) -> None:
    office.courier().send(sms())
    office.now += dt.timedelta(minutes=3)
    (its,) = office.twilio.outgoing()
    assert office.courier().find(sms()) == Sent(its["sid"])


def test_killed_before_the_sending(office: Office) -> None:
    courier = office.courier()
    assert courier.find(sms()) == Refused("not_settled", again=True)  # it may still be on its way there
    office.now += dt.timedelta(minutes=3)
    assert courier.find(sms()) is None


def test_another_sms_is_not_taken_for_this_one(office: Office) -> None:
    courier = office.courier()
    courier.send(sms("Інше"))
    courier.send(sms(address="+380501112233"))
    office.twilio.sms(MARIA, LONG)  # his own, to us
    office.now += dt.timedelta(hours=5)
    assert courier.find(sms(began_at=office.now - dt.timedelta(minutes=2))) is None
    assert courier.find(sms()) is None
    courier.send(sms(began_at=office.now))
    tomorrow = office.now = office.now + dt.timedelta(days=1)
    office.now += dt.timedelta(minutes=2)
    assert courier.find(sms(began_at=tomorrow)) is None  # the same words of yesterday are another notice's


def test_who_has_written_stop_to_twilio(office: Office) -> None:
    office.twilio.stopped.add(MARIA)
    answer = office.courier().send(sms())
    assert isinstance(answer, Refused)
    assert not answer.again
    assert office.stopped == [MARIA]


@pytest.mark.parametrize("address", ["+380441234567", "1551"])
def test_a_number_that_takes_no_sms_is_not_tried_again(office: Office, address: str) -> None:
    office.twilio.landlines.add("+380441234567")
    answer = office.courier().send(sms(address=address))
    assert isinstance(answer, Refused)
    assert not answer.again
    assert address not in answer.error
    assert office.stopped == []


def test_what_is_ours_to_mend_waits(office: Office) -> None:
    wrong, away = office.courier("another token"), office.courier(api="http://127.0.0.1:9")
    for answer in (wrong.send(sms()), away.send(sms()), wrong.find(sms()), away.find(sms())):
        assert isinstance(answer, Refused)
        assert answer.again
    office.twilio.number = "+380890000000"
    mine = office.courier().send(sms())
    assert isinstance(mine, Refused)
    assert mine.again
    assert "21606" in mine.error


def test_a_text_that_twilio_does_not_take_is_not_cut(office: Office) -> None:
    assert isinstance(office.courier().send(sms("ж" * 1600)), Sent)
    assert office.courier().send(sms("ж" * 1601)) == Refused("too_long", again=False)
    assert office.texts() == ["ж" * 1600]


def test_the_first_sending_does_not_search(office: Office) -> None:
    office.courier().send(replace(sms(), began_at=NOW - dt.timedelta(seconds=3)))  # the commit took so long
    assert [asked.split()[0] for asked in office.twilio.asked] == ["POST"]


# ── in the post ──────────────────────────────────────────────────────────────────────────────
class Plain:
    """Sentences of no catalogue."""

    def text(self, its: Going) -> str:
        return str(its.data["text"])

    def ref(self, its: Going) -> str:
        return ""

    def heading(self, its: Going) -> None:
        return None

    def choices(self, its: Going) -> tuple[str, ...]:
        return ()


@dataclass
class Answering:
    """Somebody wrote, and is answered by what is in the outbox."""

    db: Database
    office: Office
    asked: int = 0

    def answer(self, text: str = "Дякуємо") -> None:
        self.asked += 1
        with self.db.write() as conn:
            came = Incoming(channel="sms", external_id=f"SM{self.asked}", address=MARIA, text="?",
                            received_at=self.office.now)  # fmt: skip
            message_id = messages.take(conn, came)
            assert message_id is not None
            notices.reply(conn, message_id=message_id, text=text, key=str(self.asked), now=self.office.now)

    def run(self, courier: SmsCourier | None = None) -> None:
        Sending(self.db, courier or self.office.courier(), Plain(), (0, 1440), lambda: self.office.now).run()

    def states(self) -> list[str]:
        with self.db.read() as conn:
            return list(conn.scalars(select(notice.c.state).order_by(notice.c.id)))


@pytest.fixture
def answering(db: Database, office: Office) -> Answering:
    return Answering(db, office)


@pytest.mark.parametrize("sent", [True, False])
def test_killed_in_the_midst_it_goes_out_once(answering: Answering, sent: bool) -> None:
    class Dying(SmsCourier):
        def send(self, its: Outgoing) -> Sent | Refused:
            if sent:
                super().send(its)
            raise KeyboardInterrupt  # nothing of ours runs after it, as after kill -9

    office = answering.office
    answering.answer()
    dying = Dying(ACCOUNT, TOKEN, NUMBER, office.twilio.api, PORTAL, stopped=office.stopped.append)
    with pytest.raises(KeyboardInterrupt):
        answering.run(dying)
    assert answering.states() == ["sending"]
    for _ in range(3):
        office.now += dt.timedelta(minutes=3)
        answering.run()
    assert (office.texts(), answering.states()) == (["Дякуємо"], ["sent"])


def test_who_has_stopped_gets_the_answer_to_that_and_nothing_more(answering: Answering) -> None:
    answering.answer("Більше не надсилатимемо")
    with answering.db.write() as conn:
        notices.stop(conn, Way.SMS, MARIA, answering.office.now)
    answering.office.now += dt.timedelta(seconds=5)
    answering.answer("Дякуємо")
    answering.run()
    assert answering.office.texts() == ["Більше не надсилатимемо"]
    assert answering.states() == ["sent", "void"]


def test_what_became_of_it_is_known_by_its_name(answering: Answering) -> None:
    answering.answer()
    answering.run()
    (its,) = answering.office.twilio.outgoing()
    with answering.db.write() as conn:
        notices.delivered(conn, its["sid"], "delivered", answering.office.now)
        assert conn.execute(select(notice.c.delivered)).scalar_one() == "delivered"


def test_a_report_that_is_faster_than_our_commit(answering: Answering) -> None:
    class Slow(SmsCourier):
        def send(self, its: Outgoing) -> Sent | Refused:
            answer = super().send(its)
            assert isinstance(answer, Sent)
            with answering.db.write() as conn:
                notices.delivered(conn, answer.ref, "failed", office.now)
            return answer

    office = answering.office
    answering.answer()
    answering.run(Slow(ACCOUNT, TOKEN, NUMBER, office.twilio.api, PORTAL, stopped=office.stopped.append))
    assert answering.states() == ["void"]  # an answer has no other way
