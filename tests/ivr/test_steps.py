"""What a caller gets for what he is and what he presses; each step against a real database."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Connection, select

from centre.settings import Settings
from crm import appeals, calls, citizens, confirmations, people
from crm.calls import Priority
from crm.confirmation_rules import Reached
from crm.errors import CentreError
from crm.life import Action, State
from crm.schema import attempt as attempts
from crm.schema import callback
from ivr import agi, prompts
from ivr.steps import Steps
from tests.ivr.conftest import LINKEDID, NOON, PHONE, STRANGER, City


@dataclass
class Wait:
    low_s: float = 180
    high_s: float = 300
    confident: bool = True


@dataclass
class Slice:
    queue: str = "city"
    prio: int = 383_483_647
    seconds: int = 45
    place: int | None = 2
    wait: Wait = field(default_factory=Wait)
    offer: bool = False


class Room:
    """A waiting room of the test's making: what it says next, and what it was told of the caller."""

    def __init__(self) -> None:
        self.slice = Slice()
        self.entered: dict[str, Any] = {}
        self.waited: tuple[int, dt.datetime | None, bool] | None = None

    def enter(self, linkedid: str, now: dt.datetime, **how: Any) -> Slice:
        self.entered = how
        return self.slice

    def again(self, linkedid: str, now: dt.datetime, prio: int, since: dt.datetime | None = None, *,
              may_be_offered: bool = True) -> Slice:  # fmt: skip
        self.waited = prio, since, may_be_offered
        return self.slice


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def centre(city: City, room: Room) -> Callable[..., Steps]:
    def make(now: dt.datetime = NOON, **settings: object) -> Steps:
        given = {"opens": "08:00", "closes": "20:00", "closed_days": ["2026-12-31"], **settings}
        return Steps(city.db, city.writer, Settings(**given), room, lambda: now)  # type: ignore[arg-type]

    return make


@pytest.fixture
def steps(centre: Callable[..., Steps]) -> Steps:
    return centre()


async def ask(steps: Steps, step: str, *args: object) -> dict[str, str]:
    """As the dialplan does: what cannot be set or said is a fault of the step."""
    set_ = await steps.by_name()[step](["" if arg is None else str(arg) for arg in args], {})
    agi.set_variables(set_)
    for language in prompts.LANGUAGES:
        unknown = set(set_.get("SAY", "").split("&")) - {""} - set(prompts.texts(language))
        assert not unknown, "asked to say what nobody has recorded"
    return set_


def heard(set_: dict[str, str]) -> str:
    """What a Ukrainian hears."""
    return " ".join(prompts.texts("uk")[name] for name in set_["SAY"].split("&") if name)


def call(city: City, linkedid: str = LINKEDID) -> calls.Call:
    city.writer.submit(lambda conn: None).result(10)  # after what was not waited for
    with city.db.read() as conn:
        found = calls.get(conn, linkedid)
    assert found is not None
    return found


# ── arrival ──
async def test_a_stranger_gets_the_menu_in_ukrainian_and_is_stored(steps: Steps, city: City) -> None:
    set_ = await ask(steps, "arrival", LINKEDID, "mobile", "0509998877")
    assert set_ == {"CALL_LANG": "uk", "CALL_STAGE": "menu", "CALL_PENDING": "", "CALL_RATE": "1"}
    stored = call(city)
    assert (stored.origin, stored.caller, stored.arrived_at, stored.direction) == ("mobile", STRANGER, NOON, "in")


async def test_a_citizen_is_spoken_to_in_his_language(steps: Steps, city: City) -> None:
    city.write(lambda conn: citizens.update(conn, city.citizen, language="en"))
    assert (await ask(steps, "arrival", LINKEDID, "landline", PHONE))["CALL_LANG"] == "en"
    assert call(city).language == "en"


@pytest.mark.parametrize("now", [NOON.replace(hour=5, minute=59), NOON.replace(hour=18),
                                 NOON.replace(month=12, day=31)])
async def test_outside_hours_it_is_closed(centre: Callable[..., Steps], city: City, now: dt.datetime) -> None:
    assert (await ask(centre(now), "arrival", LINKEDID, "mobile", PHONE))["CALL_STAGE"] == "closed"
    assert call(city).choice == "closed"


async def test_who_is_to_confirm_is_offered_it(steps: Steps, city: City) -> None:
    city.executed()
    assert (await ask(steps, "arrival", LINKEDID, "mobile", PHONE))["CALL_PENDING"] == "1"
    assert (await ask(steps, "arrival", "1764000000.2", "mobile", STRANGER))["CALL_PENDING"] == ""


@pytest.mark.parametrize("caller", ["", "anonymous", "${EVIL}", "' OR 1=1 --", "+" * 5000, "101", "\ufffd\ufffd"])
async def test_a_caller_id_that_is_none_is_served_as_nobody(steps: Steps, city: City, caller: str) -> None:
    assert (await ask(steps, "arrival", LINKEDID, "mobile", caller))["CALL_STAGE"] == "menu"
    assert call(city).caller == ""


async def test_too_many_arguments_are_a_fault(steps: Steps) -> None:
    with pytest.raises(CentreError):
        await ask(steps, "arrival", LINKEDID, "mobile", PHONE, "x")


# ── the state of my appeals ──
async def test_state_by_caller_id(steps: Steps, city: City) -> None:
    registered = city.registered()
    await ask(steps, "arrival", LINKEDID, "mobile", PHONE)
    set_ = await ask(steps, "status", LINKEDID, PHONE, "", "")
    assert set_["STATUS_ASK"] == ""
    said = heard(set_)
    assert said.startswith("Стан ваших звернень. Звернення номер")
    assert "передано виконавцю" in said
    assert "термін виконання – до дев'ятого грудня" in said, "15 days from 24 November, the last day included"
    assert len(str(registered.number)) == 8
    assert call(city).choice == "status"


async def test_open_ones_first_three_at_most(steps: Steps, city: City) -> None:
    old_and_open = city.registered()
    for _ in range(3):
        city.executed()
    set_ = await ask(steps, "status", LINKEDID, PHONE, "", "")
    said = set_["SAY"].split("&")
    assert said.count("appeal-number") == 3
    assert said.index("state-assigned") < said.index("state-awaiting")
    assert said[-1] == "state-more"
    assert city.state(old_and_open) is State.ASSIGNED


async def test_the_longest_answer_fits(steps: Steps, city: City) -> None:
    for _ in range(5):
        city.registered()
    assert (await ask(steps, "status", LINKEDID, PHONE, "", ""))["SAY"].count("due-by") == 3


async def test_an_unknown_caller_is_asked_for_number_and_code(steps: Steps, city: City) -> None:
    registered = city.registered()
    assert (await ask(steps, "status", LINKEDID, STRANGER, "", ""))["STATUS_ASK"] == "1"
    set_ = await ask(steps, "status", LINKEDID, STRANGER, registered.number, registered.code)
    assert set_["STATUS_ASK"] == ""
    assert "передано виконавцю" in heard(set_)


async def test_three_wrong_codes_and_no_more_in_this_call(steps: Steps, city: City) -> None:
    registered = city.registered()
    wrong = f"{(int(registered.code) + 1) % 10_000:04}"
    asked = [await ask(steps, "status", LINKEDID, "", registered.number, wrong) for _ in range(3)]
    assert [set_["STATUS_ASK"] for set_ in asked] == ["1", "1", ""]
    assert all("не знайдено" in heard(set_) for set_ in asked)
    assert ["ще раз" in heard(set_) for set_ in asked] == [True, True, False]  # nor is he told to try again
    assert "не знайдено" in heard(await ask(steps, "status", LINKEDID, "", registered.number, registered.code))
    other_call = await ask(steps, "status", "1764000000.2", "", registered.number, registered.code)
    assert "передано виконавцю" in heard(other_call)


@pytest.mark.parametrize(("number", "code"), [("26000001", ""), ("", "1234"), ("0", "0"), ("9" * 500, "1"),
                                              ("26000001'", "1 OR"), ("²²", "²²²²")])
async def test_what_is_no_number_is_wrong(steps: Steps, city: City, number: str, code: str) -> None:
    city.registered()
    assert "не знайдено" in heard(await ask(steps, "status", LINKEDID, PHONE, number, code))


# ── the queue ──
async def test_he_hears_his_place_and_wait_and_is_on_the_disk(steps: Steps, city: City, room: Room) -> None:
    room.slice = Slice("city-en", 383_483_000, 120)
    set_ = await ask(steps, "enqueue", LINKEDID, "landline", PHONE, "uk", "queue")
    assert heard(set_) == "Ви другий у черзі. Очікування: орієнтовно від трьох до п'яти хвилин."
    assert {name: set_[name] for name in ("ASK", "QUEUE_NAME", "QUEUE_PRIO", "SLICE")} == {
        "ASK": "", "QUEUE_NAME": "city-en", "QUEUE_PRIO": "383483000", "SLICE": "120"}  # fmt: skip
    with city.db.read() as conn:  # at once: it was waited for
        stored = calls.get(conn, LINKEDID)
    assert stored is not None
    assert (stored.queue, stored.position, stored.told_wait_s, stored.told_low_s) == ("city", 2, 300, 180)
    assert (stored.queued_at, stored.caller, stored.choice) == (NOON, PHONE, "queue")
    assert (stored.priority, stored.skill) == ("ordinary", "")


@pytest.mark.parametrize(("language", "choice", "privilege", "priority", "skill"), [
    ("uk", "queue", "", Priority.ORDINARY, ""),
    ("uk", "emergency", "", Priority.EMERGENCY, ""),
    ("uk", "emergency", "combatant", Priority.EMERGENCY, ""),
    ("uk", "queue", "chornobyl", Priority.PRIVILEGED, ""),
    ("uk", "social", "", Priority.ORDINARY, "social"),
    ("en", "social", "large_family", Priority.PRIVILEGED, "en social"),
])  # fmt: skip
async def test_what_he_is_and_what_he_presses_is_his_priority_and_his_skill(
    steps: Steps, city: City, room: Room, language: str, choice: str, privilege: str, priority: Priority, skill: str
) -> None:
    city.write(lambda conn: citizens.update(conn, city.citizen, privilege=privilege))
    await ask(steps, "enqueue", LINKEDID, "mobile", PHONE, language, choice)
    assert (room.entered["priority"], room.entered["skills"]) == (priority, skill.split())
    stored = call(city)
    assert (stored.priority, stored.skill) == (priority, skill)
    await ask(steps, "enqueue", "1764000000.2", "mobile", STRANGER, "uk", "queue")
    assert room.entered["priority"] is Priority.ORDINARY, "a stranger is nobody's family"


@pytest.mark.parametrize(("days", "somebody", "known"), [(6.9, True, "anna"), (7.1, True, ""), (1, False, "borys")])
async def test_who_spoke_with_him_last_week_is_known(centre: Callable[..., Steps], city: City, room: Room, days: float,
                                                     somebody: bool, known: str) -> None:  # fmt: skip
    """Of the latest call whose operator is on record: by the seat's codes nobody knows who he is."""
    def spoke(conn: Connection) -> None:
        anna, borys = (people.add_staff(conn, login=name, name=name, password_hash="-", role=people.Role.OPERATOR)
                       for name in ("anna", "borys"))  # fmt: skip
        for number, (ago, who) in enumerate(((days, anna if somebody else None), (days + 0.01, borys))):
            before = NOON - dt.timedelta(days=ago)
            calls.arrived(conn, f"1763.{number}", at=before, origin="mobile", caller=PHONE)
            calls.answered(conn, f"1763.{number}", "101", before, who)
        calls.arrived(conn, "1763.9", at=NOON, origin="mobile", caller=PHONE)  # gave up just now

    city.write(spoke)
    with city.db.read() as conn:
        ids = {one.login: one.id for one in people.staff(conn)}
    await ask(centre(), "enqueue", LINKEDID, "mobile", PHONE, "uk", "queue")
    assert room.entered["known_to"] == (ids[known] if known else None)
    await ask(centre(), "enqueue", "1764000000.2", "mobile", STRANGER, "uk", "queue")
    assert room.entered["known_to"] is None


async def test_no_wait_is_promised_when_we_are_not_sure(steps: Steps, city: City, room: Room) -> None:
    room.slice.wait = Wait(confident=False)
    assert heard(await ask(steps, "enqueue", LINKEDID, "landline", PHONE, "uk", "queue")) == "Ви другий у черзі."
    assert (call(city).told_wait_s, call(city).told_low_s) == (None, None)


async def test_who_is_first_hears_it(steps: Steps, room: Room) -> None:
    room.slice = Slice(place=1, wait=Wait(confident=False))
    set_ = await ask(steps, "enqueue", LINKEDID, "landline", PHONE, "uk", "queue")
    assert heard(set_) == "Ви перший у черзі. Оператор незабаром вам відповість."


async def test_no_place_is_told_when_nobody_knows_it(steps: Steps, city: City, room: Room) -> None:
    room.slice = Slice(place=None, wait=Wait(confident=False))
    assert heard(await ask(steps, "enqueue", LINKEDID, "landline", PHONE, "uk", "queue")) == ""
    assert call(city).position is None


async def test_a_long_queue_can_be_said(steps: Steps, room: Room) -> None:
    room.slice = Slice(place=5000, wait=Wait(9000, 90_000))
    said = heard(await ask(steps, "enqueue", LINKEDID, "landline", PHONE, "uk", "queue"))
    assert said.startswith("Ви не ближче ніж п'ятдесят перший у черзі.")


async def test_between_two_slices_he_hears_where_he_stands(steps: Steps, room: Room) -> None:
    await ask(steps, "enqueue", LINKEDID, "mobile", PHONE, "uk", "queue")
    room.slice = Slice("city", 383_483_000, 45, 7, Wait(60, 120))
    set_ = await ask(steps, "waiting", LINKEDID, PHONE, "uk", "383483000", "TIMEOUT")
    assert heard(set_) == "Ви сьомий у черзі. Очікування: орієнтовно від однієї до двох хвилин."
    assert (set_["ASK"], set_["QUEUE_NAME"], set_["SLICE"]) == ("", "city", "45")
    assert room.waited == (383_483_000, NOON, True)
    room.slice = Slice(place=None, wait=Wait(confident=False), offer=True)
    set_ = await ask(steps, "waiting", LINKEDID, PHONE, "uk", "383483000", "")
    assert heard(set_) == "Дякуємо за очікування. Оператор відповість вам, щойно звільниться."
    assert set_["ASK"] == "offer"


@pytest.mark.parametrize("prio", ["", "x", "-1", "1" * 11, "${EVIL}"])
async def test_a_place_that_is_none_is_left_to_the_dialplan(steps: Steps, prio: str) -> None:
    with pytest.raises(CentreError):
        await ask(steps, "waiting", LINKEDID, PHONE, "uk", prio, "TIMEOUT")


async def test_whom_we_did_not_meet_before_waits_on(steps: Steps, room: Room) -> None:
    """The database was away when he entered: his call is not on record yet."""
    await ask(steps, "waiting", LINKEDID, PHONE, "uk", "383483000", "TIMEOUT")
    assert room.waited == (383_483_000, None, True)


@pytest.mark.parametrize(("origin", "offered"), [("landline", True), ("mobile", True), ("seat", False)])
async def test_a_callback_is_offered_to_residents_only(steps: Steps, room: Room, origin: str, offered: bool) -> None:
    await ask(steps, "enqueue", LINKEDID, origin, PHONE, "uk", "queue")
    assert room.entered["may_be_offered"] is offered
    await ask(steps, "waiting", LINKEDID, PHONE, "uk", "383483000", "TIMEOUT")
    assert room.waited == (383_483_000, NOON, offered)


async def test_entering_again_keeps_the_first_time(centre: Callable[..., Steps], city: City) -> None:
    await ask(centre(), "enqueue", LINKEDID, "landline", PHONE, "en", "status")
    await ask(centre(NOON + dt.timedelta(minutes=5)), "enqueue", LINKEDID, "landline", PHONE, "en", "queue")
    stored = call(city)
    assert (stored.arrived_at, stored.queued_at, stored.language) == (NOON, NOON, "en")


@pytest.mark.parametrize("args", [
    ("", "mobile", PHONE, "uk", "queue"),
    ("x\ny", "mobile", PHONE, "uk", "queue"),
    (LINKEDID, "moon", PHONE, "uk", "queue"),
    (LINKEDID, "mobile", PHONE, "xx", "queue"),
    (LINKEDID, "mobile", PHONE, "uk", "q" * 500),
    (),
])  # fmt: skip
async def test_what_cannot_be_stored_is_left_to_the_dialplan(steps: Steps, city: City, args: tuple[str, ...]) -> None:
    with pytest.raises(CentreError):
        await ask(steps, "enqueue", *args)
    with city.db.read() as conn:
        assert calls.recent(conn) == []


async def test_a_database_that_does_not_answer_is_waited_for_only_so_long(steps: Steps, city: City) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    with city.db.write():  # nobody else can write
        if not city.db.is_sqlite:
            pytest.skip("PostgreSQL has more than one writer")
        entering = asyncio.create_task(ask(steps, "enqueue", LINKEDID, "mobile", PHONE, "uk", "queue"))
        loop.call_soon(asked.set)
        await asked.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(entering, 0.05)
        set_ = await asyncio.wait_for(ask(steps, "arrival", "1764000000.2", "mobile", PHONE), 5)
        assert set_["CALL_STAGE"] == "menu", "readers are not held up"
    assert call(city).queue == "city", "late, but not lost"


# ── "Is it solved?" in his own call ──
async def test_he_calls_us_and_answers_for_each(steps: Steps, city: City) -> None:
    first, second = city.executed(), city.executed()
    set_ = await ask(steps, "confirm", LINKEDID, PHONE, "", "", "")
    assert (set_["APPEAL"], set_["CONFIRM_NEXT"]) == (str(first.number), "ask")
    assert "Чи вирішено ваше питання?" in heard(set_)
    set_ = await ask(steps, "confirm", LINKEDID, PHONE, "", first.number, "1")
    assert (set_["APPEAL"], set_["CONFIRM_NEXT"]) == (str(second.number), "ask")
    assert heard(set_).startswith("Дякуємо.")
    set_ = await ask(steps, "confirm", LINKEDID, PHONE, "", second.number, "2")
    assert (set_["APPEAL"], set_["CONFIRM_NEXT"]) == ("", "done")
    assert (city.state(first), city.state(second)) == (State.CLOSED, State.RETURNED)
    with city.db.read() as conn:
        closing = appeals.history(conn, first.id)[-1]
        assert conn.execute(select(callback.c.state)).scalar() == "done", "nobody calls him about it any more"
    assert closing.action is Action.CONFIRM
    assert (closing.evidence["linkedid"], closing.evidence["key"]) == (LINKEDID, "1")


@pytest.mark.parametrize("key", ["0", "none", "5", "#", "11"])
async def test_what_is_no_answer_leads_to_a_person(steps: Steps, city: City, key: str) -> None:
    appeal = city.executed()
    set_ = await ask(steps, "confirm", LINKEDID, PHONE, "", appeal.number, key)
    assert set_["CONFIRM_NEXT"] == "person"
    assert city.state(appeal) is State.AWAITING


async def test_nothing_to_ask_about(steps: Steps, city: City) -> None:
    city.registered()
    assert (await ask(steps, "confirm", LINKEDID, PHONE, "", "", ""))["CONFIRM_NEXT"] == "done"
    assert (await ask(steps, "confirm", LINKEDID, "", "", "", ""))["CONFIRM_NEXT"] == "done"


async def test_nobody_answers_for_another(steps: Steps, city: City) -> None:
    appeal, other = city.executed(), city.registered()
    for caller, number in ((STRANGER, appeal.number), ("", appeal.number), (PHONE, other.number)):
        await ask(steps, "confirm", LINKEDID, caller, "", number, "1")
    assert (city.state(appeal), city.state(other)) == (State.AWAITING, State.ASSIGNED)


async def test_the_same_key_told_twice_counts_once(steps: Steps, city: City) -> None:
    appeal = city.executed()
    for _ in range(2):
        assert (await ask(steps, "confirm", LINKEDID, PHONE, "", appeal.number, "1"))["CONFIRM_NEXT"] == "done"
    with city.db.read() as conn:
        assert [event.action for event in appeals.history(conn, appeal.id)].count(Action.CONFIRM) == 1


# ── "Is it solved?" when we call him ──
def outcome(city: City, attempt_id: str) -> tuple[str | None, str]:
    """(how the attempt ended, the callback's state)"""
    with city.db.read() as conn:
        ended = conn.execute(select(attempts.c.outcome).where(attempts.c.id == attempt_id)).scalar()
        return ended, conn.execute(select(callback.c.state)).scalar_one()


async def test_called_back_he_answers_for_each(steps: Steps, city: City) -> None:
    first, second = city.executed(), city.executed()
    attempt = city.called_back()
    set_ = await ask(steps, "confirm", LINKEDID, PHONE, attempt.id, "", "")
    assert (set_["APPEAL"], set_["CONFIRM_NEXT"]) == (str(first.number), "ask")
    with city.db.read() as conn:
        assert confirmations.open_attempts(conn)[0].answered_at == NOON
    await ask(steps, "confirm", LINKEDID, PHONE, attempt.id, first.number, "1")
    set_ = await ask(steps, "confirm", LINKEDID, PHONE, attempt.id, second.number, "2")
    assert set_["CONFIRM_NEXT"] == "done"
    assert (city.state(first), city.state(second)) == (State.CLOSED, State.RETURNED)
    assert outcome(city, attempt.id) == (Reached.ANSWERED, "done")
    stored = call(city)
    assert (stored.direction, stored.origin, stored.outcome) == ("out", "centre", calls.Outcome.CONFIRMED)
    with city.db.read() as conn:
        assert appeals.history(conn, first.id)[-1].evidence["attempt"] == attempt.id


@pytest.mark.parametrize("key", ["none", "7"])
async def test_called_back_and_no_answer_a_person_calls(steps: Steps, city: City, key: str) -> None:
    answered, not_answered = city.executed(), city.executed()
    attempt = city.called_back()
    await ask(steps, "confirm", LINKEDID, PHONE, attempt.id, "", "")
    await ask(steps, "confirm", LINKEDID, PHONE, attempt.id, answered.number, "1")
    set_ = await ask(steps, "confirm", LINKEDID, PHONE, attempt.id, not_answered.number, key)
    assert set_["CONFIRM_NEXT"] == "done"
    assert (city.state(answered), city.state(not_answered)) == (State.CLOSED, State.AWAITING), "never an outcome"
    assert outcome(city, attempt.id) == (Reached.NO_KEY, "due")
    with city.db.read() as conn:
        assert conn.execute(select(callback.c.mode)).scalar() == "live"


async def test_called_back_who_asks_for_a_person_is_called_by_nobody_else_meanwhile(steps: Steps, city: City) -> None:
    appeal = city.executed()
    attempt = city.called_back()
    await ask(steps, "confirm", LINKEDID, PHONE, attempt.id, "", "")
    set_ = await ask(steps, "confirm", LINKEDID, PHONE, attempt.id, appeal.number, "0")
    assert set_["CONFIRM_NEXT"] == "person"
    assert city.state(appeal) is State.AWAITING, "never an outcome"
    assert outcome(city, attempt.id) == ("", "calling")


async def test_an_attempt_that_is_over_asks_nothing(steps: Steps, city: City) -> None:
    appeal = city.executed()
    attempt = city.called_back()
    city.write(lambda conn: confirmations.finish(conn, attempt.id, Reached.NO_ANSWER, NOON, rules=city.rules))
    for attempt_id in (attempt.id, "cb-unknown"):
        assert (await ask(steps, "confirm", LINKEDID, PHONE, attempt_id, "", ""))["CONFIRM_NEXT"] == "done"
    assert city.state(appeal) is State.AWAITING


async def test_called_back_nobody_answers_for_another(steps: Steps, city: City) -> None:
    def add(conn: Connection) -> None:
        citizens.add(conn, now=NOON, name="Інша", phones=[STRANGER])

    city.write(add)
    city.executed()
    others = city.executed(citizen_id=city.citizen + 1)
    attempt = city.called_back()
    with pytest.raises(CentreError):
        await ask(steps, "confirm", LINKEDID, PHONE, attempt.id, others.number, "1")
    assert city.state(others) is State.AWAITING
