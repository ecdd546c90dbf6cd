"""A callback instead of waiting, as the dialplan asks for it: key by key, against a real database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from centre.settings import Settings
from crm import calls, clock, incident_callers, incidents, promises
from crm.calls import EndCause, Priority
from crm.promise_rules import Reason, State
from crm.promises import Promise
from crm.schema import incident_caller
from ivr import agi, prompts, speech
from ivr.promise_steps import PromiseSteps
from ivr.spool import Kind, Spooled, apply
from ivr.steps import Steps
from tests.ivr.conftest import LINKEDID, NOON, PHONE, STRANGER, City
from tests.ivr.test_steps import Room

OWN = "0509998877"  # as STRANGER's is dialled


class Hall:
    """The steps of a centre that is open from eight to eight, at a time that passes when we say so."""

    def __init__(self, city: City, **settings: Any) -> None:
        self.city, self.now = city, NOON
        self.on_line, self.seats, self.changes = 5, 10.0, 0
        self.settings = Settings(opens="08:00", closes="20:00", **settings)
        self.promising = PromiseSteps(
            city.db, city.writer, self.settings, turn=lambda since, priority: since, before=lambda turn: self.on_line,
            handled_s=lambda: 240.0, seats=lambda at: self.seats, changed=self._changed,
            clock=lambda: self.now)  # fmt: skip

    def _changed(self) -> None:
        self.changes += 1

    async def ask(self, step: str, *args: object) -> dict[str, str]:
        set_ = await self.promising.by_name()[step]([str(arg) for arg in args], {})
        agi.set_variables(set_)
        for language in prompts.LANGUAGES:
            assert set(set_.get("SAY", "").split("&")) - {""} <= set(prompts.texts(language))
        return set_

    async def promise(self, number: str = "", key: str = "", *, caller: str = STRANGER,
                      stage: str = "queue") -> dict[str, str]:  # fmt: skip
        return await self.ask("promise", LINKEDID, caller, "uk", stage, number, key)

    async def arrives(self, caller: str = STRANGER) -> dict[str, str]:
        steps = Steps(self.city.db, self.city.writer, self.settings, Room(), lambda: self.now)
        set_ = await steps.arrival([LINKEDID, "mobile", caller], {})
        self.city.writer.submit(lambda conn: None).result(10)
        return set_

    async def waits(self, caller: str = STRANGER, minutes: float = 3, priority: Priority = Priority.ORDINARY) -> None:
        """He is in the queue, and has been for some minutes."""
        self.city.write(lambda conn: calls.arrived(conn, LINKEDID, at=self.now, origin="mobile", caller=caller))
        self.city.write(lambda conn: calls.queued(conn, LINKEDID, self.now, "city", priority=priority))
        self.now += dt.timedelta(minutes=minutes)

    def made(self, **given: Any) -> Promise:
        with self.city.db.write() as conn:
            made = promises.make(conn, **{"e164": STRANGER, "reason": Reason.WAITING, "now": self.now,
                                          "rules": self.settings.promise_rules, **given})  # fmt: skip
        assert made is not None
        return made

    def called(self, made: Promise) -> str:
        """The attempt's id: he has picked up."""
        with self.city.db.write() as conn:
            return promises.claim(conn, made.id, now=self.now, rules=self.settings.promise_rules).id

    async def promised(self, attempt_id: str, key: str = "") -> dict[str, str]:
        return await self.ask("promised", attempt_id, attempt_id, key)

    def open(self) -> list[Promise]:
        with self.city.db.read() as conn:
            return promises.open_ones(conn)

    def get(self, made: Promise) -> Promise:
        with self.city.db.read() as conn:
            return promises.get(conn, made.id)


@pytest.fixture
def hall(city: City) -> Hall:
    return Hall(city)


# ── promised ──
async def test_his_number_is_said_back_and_one_key_promises(hall: Hall) -> None:
    await hall.waits()
    set_ = await hall.promise()
    assert set_["SAY"] == "promise-number&number-05&number-09&number-99&number-88&number-77&promise-number-keys"
    assert (set_["PROMISE_NEXT"], set_["NUMBER"]) == ("key", OWN)
    assert hall.open() == []
    set_ = await hall.promise(OWN, "1")
    assert (set_["PROMISE_NEXT"], set_["SAY"]) == ("done", "promise-today&hour-13")  # 12:03, and a few before him
    (made,) = hall.open()
    assert (made.e164, made.reason, made.linkedid, made.since) == (STRANGER, Reason.WAITING, LINKEDID, NOON)
    assert made.told_at == dt.datetime(2026, 11, 24, 13, 0, tzinfo=clock.KYIV)
    assert hall.changes == 1


async def test_his_call_ends_with_the_promise_not_as_one_who_gave_up(hall: Hall) -> None:
    await hall.waits()
    await hall.promise(OWN, "1")
    hall.city.write(lambda conn: calls.ended(conn, LINKEDID, hall.now, EndCause.ABANDONED, 180))
    with hall.city.db.read() as conn:
        his = calls.get(conn, LINKEDID)
    assert his is not None
    assert his.end_cause == EndCause.PROMISED


async def test_his_priority_goes_with_him(hall: Hall) -> None:
    await hall.waits(priority=Priority.EMERGENCY)
    await hall.promise(OWN, "1")
    (made,) = hall.open()
    assert made.priority is Priority.EMERGENCY


@pytest.mark.parametrize("caller", ["", "anonymous", "+48221234567", "101"])
async def test_who_cannot_be_called_at_his_own_number_is_asked_for_one(hall: Hall, caller: str) -> None:
    set_ = await hall.promise(caller=caller)
    assert (set_["SAY"], set_["PROMISE_NEXT"]) == ("promise-ask-number", "number")
    set_ = await hall.promise("0671112233", caller=caller)
    assert set_["PROMISE_NEXT"] == "key"
    await hall.promise("0671112233", "1", caller=caller)
    assert [one.e164 for one in hall.open()] == ["+380671112233"]


async def test_key_2_asks_for_another_number(hall: Hall) -> None:
    assert (await hall.promise(OWN, "2"))["PROMISE_NEXT"] == "number"


@pytest.mark.parametrize("wrong", [("112", ""), ("00380671112233445", ""), ("0048221234567", ""), ("", "none"),
                                   (OWN, "none"), (OWN, "7")])  # fmt: skip
@pytest.mark.parametrize("caller", [STRANGER, ""])
async def test_twice_wrong_is_back_to_the_queue(hall: Hall, caller: str, wrong: tuple[str, str]) -> None:
    assert (await hall.promise(*wrong, caller=caller))["PROMISE_NEXT"] == "number"
    assert (await hall.promise(*wrong, caller=caller))["PROMISE_NEXT"] == "back"
    assert hall.open() == []


async def test_somebody_elses_number_that_asked_for_silence_is_left_in_peace(hall: Hall) -> None:
    hall.city.write(lambda conn: promises.silence(conn, "+380671112233", NOON))
    set_ = await hall.promise("0671112233", "1")
    assert (set_["SAY"], set_["PROMISE_NEXT"]) == ("promise-refused", "back")
    assert hall.open() == []


async def test_one_who_asks_from_his_own_number_is_heard(hall: Hall) -> None:
    hall.city.write(lambda conn: promises.silence(conn, STRANGER, NOON))
    assert (await hall.promise(OWN, "1"))["PROMISE_NEXT"] == "done"


# ── by when ──
@pytest.mark.parametrize(("at", "on_line", "said"), [
    ((12, 0), 5, "сьогодні до тринадцятої години."),
    ((12, 0), 149, "сьогодні до чотирнадцятої години."),
    ((20, 30), 149, "завтра до дев'ятої години."),  # after nine nobody is called, and from eight on the rest counts
    ((23, 50), 5, "завтра до дев'ятої години."),
    ((12, 0), 3000, "Якщо не встигнемо, повідомимо вас про це."),
])  # fmt: skip
async def test_he_is_told_by_when_inside_the_hours(hall: Hall, at: tuple[int, int], on_line: int, said: str) -> None:
    hall.now, hall.on_line = dt.datetime(2026, 11, 24, *at, tzinfo=clock.KYIV), on_line
    set_ = await hall.promise(OWN, "1")
    assert " ".join(prompts.texts("uk")[name] for name in set_["SAY"].split("&")).endswith(said)


async def test_those_whom_we_owe_a_call_come_before_him_who_asks_later(hall: Hall) -> None:
    """Two hours' work of one seat."""
    for number in range(25):
        hall.made(e164=f"+38067{number:07}", reason=Reason.ABANDONED)
    hall.on_line, hall.seats, hall.now = 0, 1, hall.now + dt.timedelta(seconds=1)
    assert (await hall.promise(OWN, "1"))["SAY"] == "promise-today&hour-15"
    hall.made(e164="+380671112233", turn=hall.now - dt.timedelta(days=1))  # an earlier turn, that he has kept
    assert (await hall.promise("0671112233", "1"))["SAY"] == "promise-today&hour-13"


async def test_when_closed_he_is_called_when_it_opens(hall: Hall) -> None:
    hall.now = dt.datetime(2026, 11, 24, 21, 0, tzinfo=clock.KYIV)
    await hall.arrives()
    set_ = await hall.promise(OWN, "1", stage="closed")
    assert set_["SAY"] == "promise-tomorrow&hour-9"  # it opens at eight
    (made,) = hall.open()
    assert made.reason is Reason.CLOSED
    assert made.due_at == dt.datetime(2026, 11, 25, 8, tzinfo=clock.KYIV)


async def test_closed_for_days_it_is_kept_when_it_opens_and_valid_from_then(city: City) -> None:
    hall = Hall(city, closed_days=["2026-11-24", "2026-11-25", "2026-11-26"])
    set_ = await hall.promise(OWN, "1", stage="closed")
    assert set_["SAY"] == "promise-later&day-27&month-11&promise-until&hour-9"
    (made,) = hall.open()
    assert made.due_at == dt.datetime(2026, 11, 27, 8, tzinfo=clock.KYIV)
    assert made.expires_at > made.told_at > made.due_at  # type: ignore[operator]


@pytest.mark.parametrize(("told_at", "said"), [
    ((2026, 11, 24, 18), ["promise-today", "hour-18"]),
    ((2026, 11, 25, 0), ["promise-today", "hour-24"]),
    ((2026, 11, 25, 9), ["promise-tomorrow", "hour-9"]),
    ((2026, 11, 27, 9), ["promise-later", "day-27", "month-11", "promise-until", "hour-9"]),
])  # fmt: skip
def test_the_hour_in_words(told_at: tuple[int, int, int, int], said: list[str]) -> None:
    assert speech.by(dt.datetime(*told_at, tzinfo=clock.KYIV), NOON) == said


# ── he calls again ──
async def test_who_is_promised_a_call_hears_of_it_as_he_calls(hall: Hall) -> None:
    assert "CALL_SAY" not in await hall.arrives()
    hall.made()
    assert (await hall.arrives())["CALL_SAY"] == "promised-already"
    assert "CALL_SAY" not in await hall.arrives(PHONE)


async def test_who_gave_up_was_promised_nothing_and_is_not_told_so(hall: Hall) -> None:
    hall.made(reason=Reason.ABANDONED)
    assert (await hall.arrives())["CALL_SAY"] == "promised-place-kept"


async def test_when_closed_a_callback_is_offered_but_not_twice(hall: Hall) -> None:
    hall.now = dt.datetime(2026, 11, 24, 21, 0, tzinfo=clock.KYIV)
    set_ = await hall.arrives()
    assert (set_["CALL_STAGE"], set_["CALL_OFFER"]) == ("closed", "1")
    hall.made(reason=Reason.CLOSED)
    set_ = await hall.arrives()
    assert set_["CALL_SAY"] == "promised-already-closed"
    assert "CALL_OFFER" not in set_


# ── kept ──
@pytest.mark.parametrize(("reason", "why"), [(Reason.WAITING, "Ви просили вам зателефонувати."),
                                             (Reason.CLOSED, "Ви просили вам зателефонувати."),
                                             (Reason.ABANDONED, "не дочекалися відповіді")])  # fmt: skip
async def test_called_he_hears_who_and_why(hall: Hall, reason: Reason, why: str) -> None:
    attempt_id = hall.called(hall.made(reason=reason))
    set_ = await hall.promised(attempt_id)
    assert set_["PROMISED_NEXT"] == "ask"
    said = " ".join(prompts.texts("uk")[name] for name in set_["SAY"].split("&"))
    assert said.startswith("Добрий день. Це п'ятнадцять п'ятдесят один")
    assert why in said
    assert "Розмова записується." in said


@pytest.mark.parametrize("key", ["1", "none", "0", "9"])
async def test_one_or_nothing_leads_to_a_seat(hall: Hall, key: str) -> None:
    made = hall.made()
    assert (await hall.promised(hall.called(made), key))["PROMISED_NEXT"] == "queue"
    assert hall.get(made).state is State.CALLING, "kept is what a seat answers"


async def test_two_is_not_needed_any_more(hall: Hall) -> None:
    made = hall.made()
    set_ = await hall.promised(hall.called(made), "2")
    assert (set_["PROMISED_NEXT"], set_["SAY"]) == ("done", "promised-withdrawn")
    assert hall.get(made).state is State.WITHDRAWN


async def test_three_is_do_not_call_again(hall: Hall) -> None:
    made = hall.made()
    assert (await hall.promised(hall.called(made), "3"))["SAY"] == "promised-silenced"
    assert hall.get(made).state is State.WITHDRAWN
    with hall.city.db.read() as conn:
        assert promises.is_silenced(conn, STRANGER)


async def test_what_is_over_meanwhile_still_leads_to_a_seat(hall: Hall) -> None:
    """He has picked up: he is not hung up on."""
    made = hall.made()
    attempt_id = hall.called(made)
    hall.city.write(lambda conn: promises.keep(conn, made.id, hall.now))
    assert (await hall.promised(attempt_id, "2"))["PROMISED_NEXT"] == "queue"
    assert (await hall.promised("pr-unheard-of"))["PROMISED_NEXT"] == "queue"


# ── is it over for him? ──
@pytest.fixture
def joined(hall: Hall) -> Callable[[], tuple[Promise, int]]:
    """A caller who joined an incident, and is to be asked."""
    def make() -> tuple[Promise, int]:
        with hall.city.db.write() as conn:
            calls.arrived(conn, LINKEDID, at=NOON, origin="mobile", caller=STRANGER)
            incident_id = incidents.declare(conn, subject_id=hall.city.no_heating, building_id=hall.city.building,
                                            cause="Прорвало трубу", now=NOON, staff_id=None)  # fmt: skip
            incident_callers.join(conn, incident_id, e164=STRANGER, linkedid=LINKEDID, language="uk", now=NOON)
        return hall.made(reason=Reason.INCIDENT, incident_id=incident_id), incident_id

    return make


def said_of_it(hall: Hall) -> str:
    with hall.city.db.read() as conn:
        return str(conn.execute(select(incident_caller.c.result)).scalar_one())


@pytest.mark.parametrize(("key", "next_", "state", "result"), [
    ("1", "done", State.KEPT, "solved"),
    ("2", "queue", State.CALLING, "not_solved"),
    ("0", "queue", State.CALLING, ""),
    ("none", "done", State.WAITING, ""),  # a machine may have picked up: nobody is brought to a seat
    ("3", "done", State.WITHDRAWN, ""),
])  # fmt: skip
async def test_of_an_incident_he_is_asked_whether_it_is_over(hall: Hall, joined: Any, key: str, next_: str,
                                                             state: State, result: str) -> None:  # fmt: skip
    made, _ = joined()
    attempt_id = hall.called(made)
    set_ = await hall.promised(attempt_id)
    assert set_["SAY"] == "promised-greeting&promised-incident&promised-incident-keys"
    assert (await hall.promised(attempt_id, key))["PROMISED_NEXT"] == next_
    assert (hall.get(made).state, said_of_it(hall)) == (state, result)


# ── alone ──
def test_what_the_dialplan_spooled_of_our_call_says_that_he_picked_up(hall: Hall) -> None:
    made = hall.made()
    attempt_id = hall.called(made)
    spooled = Spooled(Kind.ENDED, hall.now, attempt_id, origin="centre", caller=STRANGER, attempt=attempt_id,
                      stage="queue")  # fmt: skip

    def taken(conn: Any) -> None:
        apply(conn, spooled, hall.city.rules, lambda *args: None)

    hall.city.write(taken)
    hall.city.write(taken)
    with hall.city.db.read() as conn:
        (open_one,) = promises.open_attempts(conn)
        his = calls.get(conn, attempt_id)
    assert open_one.answered_at == hall.now
    assert his is not None
    assert his.end_cause == EndCause.LOST, "until queue_log tells better"
