"""What must be told: kept with what it tells of, told once, and not told when it holds no longer."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from crm import appeals, citizens, notices, repeats
from crm.confirmation_rules import Result
from crm.errors import BadInput, NotFound
from crm.life import Action, State
from crm.notices import Audience, Kind, Receipt
from crm.schema import citizen, department, notice
from crm.store import insert_row
from tests.crm.conftest import City

MAILBOX = "heat@example.org"


def told(city: City, appeal_id: int) -> list[tuple[Kind, str]]:
    return [(one.kind, one.state) for one in notices.of_appeal(city.conn, appeal_id)]


def act(city: City, made: appeals.Registered, action: Action, **more: object) -> appeals.Appeal:
    return appeals.act(city.conn, made.id, action, now=city.now, note="Підстава", **more)  # type: ignore[arg-type]


def give_addresses(city: City, citizens_too: bool = False) -> None:
    city.conn.execute(update(department).where(department.c.id == city.heating).values(email=MAILBOX))
    if citizens_too:
        city.conn.execute(update(citizen).values(email="maria@example.org"))


def letters(city: City, digest_s: float = 0) -> list[notices.Mail]:
    notices.clear(city.conn, city.now)
    notices.gather(city.conn, city.now, digest_s)
    return notices.mails(city.conn, city.now)


# ── who hears of what ──
def test_passed_to_work_means_told(city: City) -> None:
    made = city.registered()
    assert told(city, made.id) == [(Kind.ASSIGNED, "due")]
    act(city, made, Action.ASSIGN, department_id=city.roads)
    whom = city.conn.execute(select(notice.c.department_id).order_by(notice.c.id)).scalars().all()
    assert whom == [city.heating, city.roads]


def test_each_passing_is_told_and_each_once(city: City) -> None:
    made = city.registered()
    act(city, made, Action.PLAN, until=city.now + dt.timedelta(days=3))
    city.later(days=4)
    appeals.resume_planned(city.conn, city.now)
    city.execute(made.id)
    city.say(city.get(made), Result.NOT_SOLVED)
    assert told(city, made.id) == [(Kind.ASSIGNED, "due"), (Kind.ASSIGNED, "due"), (Kind.RETURNED, "due")]


def test_what_was_returned_twice_is_the_control_desks_and_told_to_no_department(city: City) -> None:
    made = city.registered()
    for _ in range(2):
        city.execute(made.id)
        city.later(hours=1)
        city.say(city.get(made), Result.NOT_SOLVED, linkedid=f"17{city.now.timestamp():.0f}.1")
    assert city.get(made).state is State.CONTROL
    assert [kind for kind, _ in told(city, made.id)] == [Kind.ASSIGNED, Kind.RETURNED]


def test_a_return_takes_the_acknowledgement_away(city: City) -> None:
    made = city.registered()
    act(city, made, Action.ACKNOWLEDGE)
    assert city.get(made).acknowledged_at == city.now
    city.execute(made.id)
    city.say(city.get(made), Result.NOT_SOLVED)
    assert (city.get(made).state, city.get(made).acknowledged_at) == (State.RETURNED, None)


@pytest.mark.parametrize(("action", "kind"), [
    (Action.EXTEND, Kind.EXTENDED), (Action.FORWARD, Kind.FORWARDED), (Action.FIND_DEFECTIVE, Kind.DEFECTIVE),
])  # fmt: skip
def test_the_applicant_is_told_what_the_law_says_that_he_must_be(city: City, action: Action, kind: Kind) -> None:
    made, nameless = city.registered(), city.registered(citizen_id=None)
    until = city.now + dt.timedelta(days=30) if action is Action.EXTEND else None
    for each in (made, nameless):
        appeals.act(city.conn, each.id, Action.TAKE_CONTROL, now=city.now, note="Не йому", official_id=city.operator)
        act(city, each, action, until=until, department_id=city.police)
        appeals.act(city.conn, each.id, Action.REPRIMAND, now=city.now, note="І це теж")
    assert [told_kind for told_kind, _ in told(city, made.id)] == [
        Kind.ASSIGNED, Kind.CONTROL, kind, Kind.REPRIMAND]  # fmt: skip
    assert kind not in [told_kind for told_kind, _ in told(city, nameless.id)]
    (one,) = notices.to_tell(city.conn, by_mail=False)
    assert (one.kind, one.number, one.citizen, one.note) == (kind, made.number, "Марія Іваненко", "Підстава")
    assert ("until" in one.data) == (action is Action.EXTEND)


def test_each_co_complainant_is_told_where_it_was_sent(city: City) -> None:
    lead, other = city.registered(), city.registered()
    repeats.merge(city.conn, other.id, lead.id, now=city.now)
    act(city, lead, Action.FORWARD, department_id=city.police)
    assert {one.number for one in notices.to_tell(city.conn, by_mail=False)} == {lead.number, other.number}


def test_a_reprimand_goes_to_whom_it_is_for_though_another_has_the_appeal_now(city: City) -> None:
    made = city.registered()
    act(city, made, Action.ASSIGN, department_id=city.roads)
    act(city, made, Action.REPRIMAND, department_id=city.heating)
    last = notices.of_appeal(city.conn, made.id)[-1]
    assert (last.kind, last.to) == (Kind.REPRIMAND, "Київтеплоенерго")


def test_the_same_is_told_once(city: City) -> None:
    said = {"key": "x", "kind": Kind.OVERDUE, "audience": Audience.DEPARTMENT, "now": city.now,
            "department_id": city.heating}  # fmt: skip
    assert [notices.tell(city.conn, **said) for _ in range(2)] == [True, False]  # type: ignore[arg-type]
    assert city.conn.execute(select(func.count()).select_from(notice)).scalar_one() == 1


# ── letters ──
def test_a_department_gets_one_letter_for_all_once_the_oldest_has_waited(city: City) -> None:
    give_addresses(city)
    first = city.registered()
    city.later(minutes=10)
    second = city.registered()
    assert letters(city, digest_s=900) == []
    city.later(minutes=5)
    (mail,) = letters(city, digest_s=900)
    assert (mail.email, mail.name, mail.audience) == (MAILBOX, "Київтеплоенерго", Audience.DEPARTMENT)
    assert [(line.kind, line.number, line.street) for line in mail.lines] == [
        (Kind.ASSIGNED, made.number, "проспект Степана Бандери") for made in (first, second)]
    city.registered()
    assert letters(city, digest_s=900) == [mail], "what comes later goes into another: this one is settled"
    notices.sent(city.conn, mail.id, city.now)
    assert letters(city, digest_s=900) == []
    assert [one.sent_at for one in notices.of_appeal(city.conn, first.id)] == [city.now]


def test_a_letter_is_not_endless_and_none_is_cut(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "MOST", 3)
    monkeypatch.setattr(notices, "GATHERED", 8)
    give_addresses(city)
    for _ in range(10):
        city.registered()
    counts = []
    while found := letters(city):
        for mail in found:
            counts.append(len(mail.lines))
            notices.sent(city.conn, mail.id, city.now)
    assert (sum(counts), max(counts)) == (10, 3)
    put = city.conn.execute(select(func.count(notice.c.id)).group_by(notice.c.mail)).scalars().all()
    assert sorted(counts) == sorted(put), "each went out with all that it was to carry"


@pytest.mark.parametrize("action", [Action.ACKNOWLEDGE, Action.START, Action.EXECUTE, Action.ASSIGN, Action.WITHDRAW])
def test_what_holds_no_longer_is_told_to_nobody(city: City, action: Action) -> None:
    give_addresses(city)
    made, stays = city.registered(), city.registered()
    act(city, made, action, department_id=city.roads)
    (mail,) = letters(city)
    assert [line.number for line in mail.lines] == [stays.number]


def test_who_has_no_address_gets_no_letter_and_an_applicant_is_told_by_telephone(city: City) -> None:
    made = city.registered()
    act(city, made, Action.EXTEND, until=city.now + dt.timedelta(days=30))
    assert letters(city) == []
    assert told(city, made.id) == [(Kind.ASSIGNED, "void"), (Kind.EXTENDED, "due")]
    (one,) = notices.to_tell(city.conn, by_mail=True)
    for _ in range(2):
        notices.told(city.conn, one.id, staff_id=city.operator, now=city.now)
    assert notices.to_tell(city.conn, by_mail=True) == []
    assert told(city, made.id)[1] == (Kind.EXTENDED, "told")
    with pytest.raises(NotFound):
        notices.told(city.conn, 999, staff_id=city.operator, now=city.now)


def test_an_applicant_with_an_address_gets_his_own_letter_at_once(city: City) -> None:
    give_addresses(city, citizens_too=True)
    for _ in range(2):
        act(city, city.registered(), Action.FIND_DEFECTIVE)
    found = [mail for mail in letters(city, digest_s=900) if mail.audience is Audience.CITIZEN]
    assert [(mail.email, len(mail.lines), mail.lines[0].note) for mail in found] == [
        ("maria@example.org", 1, "Підстава")] * 2
    assert notices.to_tell(city.conn, by_mail=True) == []
    assert len(notices.to_tell(city.conn, by_mail=False)) == 2, "without a mail server a person tells them too"


def test_what_was_not_taken_is_tried_later_and_at_last_no_more(city: City) -> None:
    give_addresses(city)
    city.registered()
    (mail,) = letters(city)
    tries = 0
    while True:
        notices.failed(city.conn, mail, "451 зачекайте\r\nBcc: x", city.now)
        tries += 1
        assert notices.mails(city.conn, city.now) == []
        city.later(seconds=notices.pause_s(tries))
        again = notices.mails(city.conn, city.now)
        if not again:
            break
        (mail,) = again
        assert mail.tries == tries
        assert notices.post(city.conn).error == "451 зачекайте Bcc: x"
    assert tries == notices.LAST_TRY


@given(st.integers(1, 10_000))
def test_pauses_grow_to_an_hour(tries: int) -> None:
    assert 60 <= notices.pause_s(tries) <= notices.pause_s(tries + 1) <= notices.LONGEST_PAUSE_S


def test_the_control_desk_sees_how_the_mail_stands(city: City) -> None:
    insert_row(city.conn, department, {"name": "Закрита служба", "active": False})
    city.conn.execute(update(department).where(department.c.id == city.police).values(email="police@example.org"))
    give_addresses(city)
    city.registered()
    post = notices.post(city.conn)
    assert (post.waiting, post.failing, post.oldest, post.silent) == (1, 0, city.now, ["Київавтодор"])


# ── the receipt ──
def test_a_receipt_goes_by_the_way_that_the_applicant_chose_and_the_way_is_remembered(city: City) -> None:
    citizens.update(city.conn, city.citizen, email="olena@example.com")
    assert notices.chosen_receipt(city.conn, city.citizen) is Receipt.SAID
    numbers: dict[Receipt, int] = {}
    for minute, by in enumerate(Receipt):
        made = city.registered(now=city.now + dt.timedelta(minutes=minute))
        numbers[by] = made.number
        for _ in range(2):  # told again, nothing changes
            notices.receipt(city.conn, appeal_id=made.id, citizen_id=city.citizen, by=by, staff_id=city.operator,
                            now=city.now)  # fmt: skip
        assert notices.chosen_receipt(city.conn, city.citizen) is by
    sent = [line for mail in letters(city) if mail.audience is Audience.CITIZEN for line in mail.lines]
    assert [(line.kind, line.number) for line in sent] == [(Kind.RECEIPT, numbers[Receipt.EMAIL])]
    assert [one.number for one in notices.to_tell(city.conn, by_mail=True)] == [numbers[Receipt.SMS]]


def test_an_address_that_is_none_is_refused(city: City) -> None:
    with pytest.raises(BadInput):
        citizens.update(city.conn, city.citizen, email="olena at home")
