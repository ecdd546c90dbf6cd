"""Letters to departments and people of the centre: many notices in one, once, and not what holds no longer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from crm import letters, notices, telling
from crm.life import Action
from crm.notices import Kind
from crm.schema import department, notice
from crm.store import insert_row
from tests.crm.conftest import City
from tests.crm.test_notices import act

MAILBOX = "heat@example.org"


def give_address(city: City) -> None:
    city.conn.execute(update(department).where(department.c.id == city.heating).values(email=MAILBOX))


def gathered(city: City, digest_s: float = 0) -> list[letters.Mail]:
    letters.clear(city.conn, city.now)
    letters.gather(city.conn, city.now, digest_s)
    return letters.mails(city.conn, city.now)


def test_a_department_gets_one_letter_for_all_once_the_oldest_has_waited(city: City) -> None:
    give_address(city)
    first = city.registered()
    city.later(minutes=10)
    second = city.registered()
    assert gathered(city, digest_s=900) == []
    city.later(minutes=5)
    (mail,) = gathered(city, digest_s=900)
    assert (mail.email, mail.name) == (MAILBOX, "Київтеплоенерго")
    assert [(line.kind, line.number, line.street) for line in mail.lines] == [
        (Kind.ASSIGNED, made.number, "проспект Степана Бандери") for made in (first, second)]
    city.registered()
    assert gathered(city, digest_s=900) == [mail], "what comes later goes into another: this one is settled"
    letters.sent(city.conn, mail.id, city.now)
    assert gathered(city, digest_s=900) == []
    assert [one.sent_at for one in notices.of_appeal(city.conn, first.id)] == [city.now]


def test_a_letter_is_not_endless_and_none_is_cut(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "MOST", 3)
    monkeypatch.setattr(letters, "GATHERED", 8)
    give_address(city)
    for _ in range(10):
        city.registered()
    counts = []
    while found := gathered(city):
        for mail in found:
            counts.append(len(mail.lines))
            letters.sent(city.conn, mail.id, city.now)
    assert (sum(counts), max(counts)) == (10, 3)
    put = city.conn.execute(select(func.count(notice.c.id)).group_by(notice.c.mail)).scalars().all()
    assert sorted(counts) == sorted(put), "each went out with all that it was to carry"


@pytest.mark.parametrize("action", [Action.ACKNOWLEDGE, Action.START, Action.EXECUTE, Action.ASSIGN, Action.WITHDRAW])
def test_what_holds_no_longer_is_told_to_nobody(city: City, action: Action) -> None:
    give_address(city)
    made, stays = city.registered(), city.registered()
    act(city, made, action, department_id=city.roads)
    (mail,) = gathered(city)
    assert [line.number for line in mail.lines] == [stays.number]


def test_what_was_not_taken_is_tried_later_and_at_last_no_more(city: City) -> None:
    give_address(city)
    city.registered()
    (mail,) = gathered(city)
    tries = 0
    while True:
        letters.failed(city.conn, mail, "451 зачекайте\r\nBcc: x", city.now)
        tries += 1
        assert letters.mails(city.conn, city.now) == []
        city.later(seconds=telling.pause_s(tries))
        again = letters.mails(city.conn, city.now)
        if not again:
            break
        (mail,) = again
        assert mail.tries == tries
        assert letters.post(city.conn).error == "451 зачекайте Bcc: x"
    assert tries == letters.LAST_TRY


@given(st.integers(1, 10_000))
def test_pauses_grow_to_an_hour(tries: int) -> None:
    assert 60 <= telling.pause_s(tries) <= telling.pause_s(tries + 1) <= telling.LONGEST_PAUSE_S


def test_the_control_desk_sees_how_the_mail_stands(city: City) -> None:
    insert_row(city.conn, department, {"name": "Закрита служба", "active": False})
    city.conn.execute(update(department).where(department.c.id == city.police).values(email="police@example.org"))
    give_address(city)
    city.registered()
    post = letters.post(city.conn)
    assert (post.waiting, post.failing, post.oldest, post.silent) == (1, 0, city.now, ["Київавтодор"])
