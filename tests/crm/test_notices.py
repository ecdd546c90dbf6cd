"""What must be told: kept with what it tells of, told once, by the right way, and by a person where there is none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import pytest
from sqlalchemy import func, select, update

from crm import appeals, citizens, notices, repeats
from crm.confirmation_rules import Result
from crm.errors import BadInput, NotFound
from crm.life import TRANSITIONS, Action, State
from crm.notices import Audience, Kind, Way
from crm.schema import citizen, notice
from crm.telling import FOLLOWS, HOLDS
from tests.crm.conftest import PHONE, City

EMAIL = "maria@example.org"
EVERY = frozenset({Way.EMAIL, Way.SMS, Way.FACEBOOK})


def told(city: City, appeal_id: int, audience: Collection[Audience] = tuple(Audience)) -> list[tuple[Kind, str]]:
    return [(one.kind, one.state) for one in notices.of_appeal(city.conn, appeal_id) if one.audience in audience]


def to_him(city: City, made: appeals.Registered) -> list[tuple[Kind, Way, str]]:
    """What the applicant is told of it, by which way, and how far that has come."""
    return [(one.kind, one.way, one.state) for one in notices.of_appeal(city.conn, made.id)
            if one.audience is Audience.CITIZEN]  # fmt: skip


def act(city: City, made: appeals.Registered, action: Action, **more: object) -> appeals.Appeal:
    return appeals.act(city.conn, made.id, action, now=city.now, note="Підстава", **more)  # type: ignore[arg-type]


def by_email(city: City) -> appeals.Registered:
    return city.registered(tell_by="email", tell_to=EMAIL)


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
    assert told(city, made.id, [Audience.DEPARTMENT]) == [
        (Kind.ASSIGNED, "due"), (Kind.ASSIGNED, "due"), (Kind.RETURNED, "due")]  # fmt: skip


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
    (one,) = notices.to_tell(city.conn, there=())
    assert (one.kind, one.number, one.citizen, one.note) == (kind, made.number, "Марія Іваненко", "Підстава")
    assert ("until" in one.data) == (action is Action.EXTEND)


def test_each_co_complainant_is_told_where_it_was_sent(city: City) -> None:
    lead, other = city.registered(), city.registered()
    repeats.merge(city.conn, other.id, lead.id, now=city.now)
    act(city, lead, Action.FORWARD, department_id=city.police)
    assert {one.number for one in notices.to_tell(city.conn, there=())} == {lead.number, other.number}


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


# ── what he is told, by his own way ──
def test_he_is_told_of_every_step_and_of_every_ending_and_once(city: City) -> None:
    """One appeal through everything that can be done to it."""
    made = by_email(city)
    notices.receipt(city.conn, appeal_id=made.id, citizen_id=city.citizen, staff_id=None, now=city.now)
    steps: list[tuple[Action, dict[str, object]]] = [
        (Action.ACKNOWLEDGE, {}), (Action.ASSIGN, {"department_id": city.heating}),
        (Action.ASSIGN, {"department_id": city.roads}), (Action.EXTEND, {"until": city.now + dt.timedelta(days=30)}),
        (Action.PLAN, {"until": city.now + dt.timedelta(days=40)}), (Action.RESUME, {}), (Action.EXECUTE, {}),
    ]  # fmt: skip
    for action, more in steps:
        city.later(minutes=1)
        act(city, made, action, **more)
    city.say(city.get(made), Result.NOT_SOLVED)
    city.later(minutes=1)
    city.execute(made.id)
    act(city, made, Action.GIVE_UP)
    city.say(city.get(made), Result.SOLVED, linkedid="1764000000.2")
    assert to_him(city, made) == [(kind, Way.EMAIL, "due") for kind in (
        Kind.RECEIPT, Kind.REASSIGNED, Kind.EXTENDED, Kind.PLANNED, Kind.RESUMED, Kind.EXECUTED, Kind.SENT_BACK,
        Kind.EXECUTED, Kind.CONFIRM, Kind.CLOSED)]  # fmt: skip
    for action, kind, more in (
            (Action.EXPLAIN, Kind.EXPLAINED, {}), (Action.REFUSE, Kind.REFUSED, {}),
            (Action.FIND_DEFECTIVE, Kind.DEFECTIVE, {}), (Action.WITHDRAW, Kind.WITHDRAWN, {}),
            (Action.FORWARD, Kind.FORWARDED, {"department_id": city.police})):  # fmt: skip
        other = by_email(city)
        act(city, other, action, **more)
        assert to_him(city, other) == [(kind, Way.EMAIL, "due")], action


def test_no_action_that_changes_the_state_is_kept_from_him() -> None:
    """START, EXECUTE and ANSWER: taken up without a word; told with the question that follows at once."""
    changing = {action for action, (_, state) in TRANSITIONS.items() if state is not None}
    assert changing - set(FOLLOWS) == {Action.REGISTER, Action.START, Action.EXECUTE, Action.ANSWER}
    assert set(HOLDS) <= set(FOLLOWS.values()) | {Kind.REMINDED}


@pytest.mark.parametrize(("way", "to", "takes"), [
    ("email", EMAIL, Way.EMAIL), ("sms", PHONE, Way.SMS), ("facebook", "771:9", Way.FACEBOOK),
    ("phone", PHONE, Way.PHONE), ("", "", Way.PHONE), ("nothing", "", None),
])  # fmt: skip
def test_it_goes_by_the_way_he_chose(city: City, way: str, to: str, takes: Way | None) -> None:
    made = city.registered(tell_by=way, tell_to=to)
    act(city, made, Action.EXTEND, until=city.now + dt.timedelta(days=30))
    assert to_him(city, made) == ([(Kind.EXTENDED, takes, "due")] if takes else [])
    assert [one.number for one in notices.to_tell(city.conn, there=EVERY)] == [made.number] * (takes is Way.PHONE)


def test_who_has_not_said_is_written_to_if_we_know_an_address(city: City) -> None:
    citizens.update(city.conn, city.citizen, email=EMAIL)
    made = city.registered()
    act(city, made, Action.EXPLAIN)
    assert to_him(city, made) == [(Kind.EXPLAINED, Way.EMAIL, "due")]
    assert notices.to_tell(city.conn, there=EVERY) == []
    assert len(notices.to_tell(city.conn, there=())) == 1, "without a mail server a person tells them"


def test_whoever_is_called_and_asked_anyway_is_called_for_nothing_else(city: City) -> None:
    made = city.registered()
    city.execute(made.id)
    city.say(city.get(made), Result.NOT_SOLVED)
    city.later(minutes=1)
    city.execute(made.id)
    city.say(city.get(made), Result.SOLVED, linkedid="1764000000.3")
    assert to_him(city, made) == []


def test_a_person_tells_him_and_it_is_done(city: City) -> None:
    made = city.registered()
    act(city, made, Action.EXTEND, until=city.now + dt.timedelta(days=30))
    (one,) = notices.to_tell(city.conn, there=EVERY)
    assert (one.kind, one.number, one.citizen, one.note) == (
        Kind.EXTENDED, made.number, "Марія Іваненко", "Підстава")  # fmt: skip
    for _ in range(2):
        notices.told(city.conn, one.id, staff_id=city.operator, now=city.now)
    assert notices.to_tell(city.conn, there=EVERY) == []
    assert told(city, made.id, [Audience.CITIZEN]) == [(Kind.EXTENDED, "told")]
    with pytest.raises(NotFound):
        notices.told(city.conn, 999, staff_id=city.operator, now=city.now)


@pytest.mark.parametrize(("written", "thanked"), [
    ("sms:SM1", []), ("web:x", [Kind.CLOSED]), ("email:x", [Kind.CLOSED]),
])  # fmt: skip
def test_what_a_conversation_has_thanked_for_is_not_thanked_for_again(city: City, written: str,
                                                                      thanked: list[Kind]) -> None:  # fmt: skip
    made = city.registered(tell_by="sms", tell_to=PHONE)
    city.execute(made.id)
    city.say(city.get(made), Result.SOLVED, linkedid="", staff_id=None, written=written)
    assert [kind for kind, *_ in to_him(city, made)] == [Kind.EXECUTED, *thanked]


# ── the receipt ──
def test_a_receipt_goes_by_the_way_that_he_chose_and_the_way_is_remembered(city: City) -> None:
    assert notices.chosen_way(city.conn, city.citizen) is Way.NONE
    for minute, (way, to, state, by_whom) in enumerate((
            ("", "", "told", city.operator), ("email", EMAIL, "due", None), ("sms", PHONE, "due", None),
            ("nothing", "", "told", None), ("phone", PHONE, "told", None), ("phone", PHONE, "due", city.operator))):
        made = city.registered(now=city.now + dt.timedelta(minutes=minute), tell_by=way, tell_to=to)
        for _ in range(2):  # told again, nothing changes
            notices.receipt(city.conn, appeal_id=made.id, citizen_id=city.citizen, staff_id=by_whom, now=city.now)
        assert told(city, made.id, [Audience.CITIZEN]) == [(Kind.RECEIPT, state)]
        assert notices.chosen_way(city.conn, city.citizen) is Way(way)
    assert [one.number for one in notices.to_tell(city.conn, there=EVERY)] == [made.number], "who is to be called"
    assert len(notices.to_tell(city.conn, there=[Way.EMAIL])) == 2, "with no SMS, who wants one too"


def test_an_address_that_is_none_is_refused(city: City) -> None:
    with pytest.raises(BadInput):
        citizens.update(city.conn, city.citizen, email="olena at home")


# ── another way ──
def notice_of(city: City, made: appeals.Registered, kind: Kind) -> int:
    found: int = city.conn.execute(select(notice.c.id).where(
        notice.c.appeal_id == made.id, notice.c.kind == kind.value)).scalar_one()  # fmt: skip
    return found


def sent_as(city: City, notice_id: int, ref: str) -> None:
    city.conn.execute(update(notice).where(notice.c.id == notice_id).values(state="sent", sent_ref=ref))


def test_what_was_not_delivered_takes_the_next_way_and_at_last_a_persons(city: City) -> None:
    made = city.registered(tell_by="sms", tell_to=PHONE)
    citizens.update(city.conn, city.citizen, email=EMAIL)
    act(city, made, Action.EXPLAIN)
    its = notice_of(city, made, Kind.EXPLAINED)
    sent_as(city, its, "SM1")
    for _ in range(2):
        notices.delivered(city.conn, "SM1", "undelivered", city.now)
    assert to_him(city, made) == [(Kind.EXPLAINED, Way.EMAIL, "due")]
    sent_as(city, its, "<1@x>")
    notices.delivered(city.conn, "SM1", "failed", city.now)  # late, and of the way that is closed already
    assert to_him(city, made) == [(Kind.EXPLAINED, Way.EMAIL, "sent")]
    notices.delivered(city.conn, "<1@x>", "failed", city.now)
    (one,) = notices.to_tell(city.conn, there=EVERY)
    assert (one.way, dict(one.closed)) == (Way.PHONE, {"sms": "undelivered", "email": "failed"})


def test_what_was_delivered_stays_so_in_whatever_order_it_is_reported(city: City) -> None:
    made = by_email(city)
    act(city, made, Action.EXPLAIN)
    sent_as(city, notice_of(city, made, Kind.EXPLAINED), "<1@x>")
    for what in ("delivered", "undelivered", "failed", "delivered"):
        notices.delivered(city.conn, "<1@x>", what, city.now)
        notices.delivered(city.conn, "", what, city.now)
        notices.delivered(city.conn, "nobody's", what, city.now)
    assert [(one.state, one.delivered) for one in notices.of_appeal(city.conn, made.id)][-1] == ("sent", "delivered")


def test_a_courtesy_that_cannot_be_written_is_not_worth_a_call(city: City) -> None:
    made = city.registered(tell_by="email", tell_to=EMAIL)
    act(city, made, Action.ASSIGN, department_id=city.roads)
    notices.close_way(city.conn, notice_of(city, made, Kind.REASSIGNED), "550 немає", city.now)
    assert to_him(city, made) == [(Kind.REASSIGNED, Way.SMS, "due")]
    notices.close_way(city.conn, notice_of(city, made, Kind.REASSIGNED), "stopped", city.now)
    assert to_him(city, made) == [(Kind.REASSIGNED, Way.NONE, "void")]


def test_nobody_is_to_call_who_has_no_telephone(city: City) -> None:
    """And the appeal's page says why he was not told."""
    alone = citizens.add(city.conn, now=city.now, name="Іван Мельник", email=EMAIL)
    written = city.registered(alone, tell_by="email", tell_to=EMAIL)
    act(city, written, Action.EXPLAIN)
    assert notices.to_tell(city.conn, there=()) == [], "it waits until letters can be sent"
    notices.close_way(city.conn, notice_of(city, written, Kind.EXPLAINED), "550 немає", city.now)
    unreachable = citizens.add(city.conn, now=city.now, name="Петро Бойко")
    from_nowhere = city.registered(unreachable)
    act(city, from_nowhere, Action.EXPLAIN)
    city.execute(city.registered(unreachable).id)
    called = city.registered()
    act(city, called, Action.EXPLAIN)
    assert [one.number for one in notices.to_tell(city.conn, there=EVERY)] == [called.number]
    citizens.mark_wrong_number(city.conn, city.citizen, PHONE)
    notices.settle(city.conn, city.now, EVERY)
    assert notices.to_tell(city.conn, there=EVERY) == []
    for made in (written, from_nowhere, called):
        assert to_him(city, made) == [(Kind.EXPLAINED, Way.NONE, "void")]
        assert notices.of_appeal(city.conn, made.id)[-1].error == "no_phone"


def test_he_wants_nothing_more_there_and_then_he_does_again(city: City) -> None:
    notices.stop(city.conn, Way.SMS, PHONE, city.now)
    notices.stop(city.conn, Way.SMS, PHONE, city.now)
    made = city.registered(tell_by="sms", tell_to=PHONE)
    act(city, made, Action.EXTEND, until=city.now + dt.timedelta(days=30))
    (one,) = notices.to_tell(city.conn, there=EVERY)
    assert dict(one.closed) == {"sms": "stopped"}
    notices.go_on(city.conn, Way.SMS, PHONE)
    act(city, made, Action.EXPLAIN)
    assert to_him(city, made)[-1] == (Kind.EXPLAINED, Way.SMS, "due")


def test_what_nothing_serves_takes_a_way_that_there_is_or_waits(city: City) -> None:
    made, alone = city.registered(tell_by="sms", tell_to=PHONE), city.registered(tell_by="facebook", tell_to="1")
    city.conn.execute(update(citizen).values(email=EMAIL))
    city.conn.execute(update(notice).values(state="void"))
    for each in (made, alone):
        act(city, each, Action.EXPLAIN)
    assert notices.settle(city.conn, city.now, [Way.SMS, Way.FACEBOOK]) == 0
    kept_before = notice.c.id == notice_of(city, made, Kind.EXPLAINED)
    city.conn.execute(update(notice).where(kept_before).values(way=""))
    assert notices.settle(city.conn, city.now, [Way.EMAIL]) == 2, "what was kept before there were ways, too"
    assert [*to_him(city, made), *to_him(city, alone)] == [(Kind.EXPLAINED, Way.EMAIL, "due")] * 2
    assert notices.settle(city.conn, city.now, ()) == 0
    assert len(notices.to_tell(city.conn, there=())) == 2, "a person may tell them meanwhile"
    city.later(hours=1)
    assert notices.settle(city.conn, city.now, [Way.EMAIL]) == 0
    assert notices.to_tell(city.conn, there=[Way.EMAIL]) == []


def test_a_reminder_is_sent_once_for_each_report(city: City) -> None:
    made = by_email(city)
    city.execute(made.id)
    for key in ("1", "1", "2"):
        notices.remind(city.conn, made.id, city.citizen, key, city.now, city.now)
    assert [kind for kind, *_ in to_him(city, made)] == [Kind.EXECUTED, Kind.REMINDED, Kind.REMINDED]


def test_the_kinds_fit_where_they_are_kept() -> None:
    assert max(map(len, Kind)) <= notice.c.kind.type.length  # type: ignore[attr-defined]
