"""Anything that people, machines and accidents may do, in any order: what must hold holds after each step."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from crm import appeals, citizens, confirmations, deadlines, law, life, rulebook
from crm.clock import KYIV
from crm.confirmation_rules import Mode, Reached, Result, Rules
from crm.deadlines import Event, Tell
from crm.errors import BadInput, CentreError, IllegalAction
from crm.life import Action, Evidence, State
from crm.schema import appeal, attempt, callback, callback_appeal
from crm.store import Database
from tests.crm.conftest import PHONE, SECOND_PHONE, City, found_city

BY_HAND = sorted(set(Action) - {Action.REGISTER, Action.ASK, Action.HEAR})


class Centre(RuleBasedStateMachine):
    """One citizen with two telephones, several appeals, and time that passes."""

    db: Database

    @initialize(auto=st.booleans(), tries=st.integers(1, 3))
    def start(self, auto: bool, tries: int) -> None:
        self.block = self.db.write()
        self.city: City = found_city(self.block.__enter__())
        self.city.rules = Rules(tries=tries, call_from=0, call_to=1440)
        citizens.add_phone(self.city.conn, self.city.citizen, SECOND_PHONE, self.city.now - dt.timedelta(days=1))
        citizens.set_consent(self.city.conn, self.city.citizen, auto)
        for event in Event:
            deadlines.add_rule(self.city.conn, event, 1, Tell.DEPARTMENT, now=self.city.now, staff_id=None)
        self.calls = 0
        self.attempts: list[str] = []

    def teardown(self) -> None:
        if hasattr(self, "block"):
            self.city.conn.rollback()
            self.block.__exit__(None, None, None)

    def one(self, which: int) -> appeals.Appeal | None:
        ids = self.city.conn.execute(select(appeal.c.id).order_by(appeal.c.id)).scalars().all()
        return appeals.get(self.city.conn, ids[which % len(ids)]) if ids else None

    @rule()
    def register(self) -> None:
        self.city.registered()

    @rule(which=st.integers(0, 5))
    def execute(self, which: int) -> None:
        chosen = self.one(which)
        if chosen is not None:
            with suppress(IllegalAction):
                self.city.execute(chosen.id)

    @rule(which=st.integers(0, 5), action=st.sampled_from(BY_HAND), evidence=st.booleans(), note=st.booleans())
    def act(self, which: int, action: Action, evidence: bool, note: bool) -> None:
        chosen = self.one(which)
        if chosen is None:
            return
        self.calls += 1
        given: dict[str, Any] = {
            "note": "Підстава" if note else "",
            "department_id": self.city.police if action is Action.FORWARD else self.city.roads,
            "until": self.city.now + dt.timedelta(days=2),
            "evidence": Evidence(f"17.{self.calls}", key="1") if evidence else None}  # fmt: skip
        with suppress(IllegalAction, BadInput):
            after = appeals.act(self.city.conn, chosen.id, action, now=self.city.now, **given)
            assert after.state is not State.CLOSED or evidence
            return
        assert appeals.get(self.city.conn, chosen.id) == chosen  # a refusal changes nothing

    @rule(seat=st.sampled_from([None, "101"]))
    def claim(self, seat: str | None) -> None:
        for due in self.city.due():
            with suppress(BadInput):
                made = confirmations.claim(self.city.conn, due.callback_id, now=self.city.now, rules=self.city.rules,
                                           seat=seat)  # fmt: skip
                if made is not None:
                    assert made.e164 in (PHONE, SECOND_PHONE)
                    assert made.mode is (Mode.LIVE if seat else Mode.AUTO)
                    self.attempts.append(made.id)

    @rule(reached=st.sampled_from(Reached), which=st.integers(0, 3))
    def finish(self, reached: Reached, which: int) -> None:
        if self.attempts:  # an old one too: it must change nothing
            confirmations.finish(self.city.conn, self.attempts[-1 - which % len(self.attempts)], reached,
                                 self.city.now, rules=self.city.rules)  # fmt: skip

    @rule(which=st.integers(0, 5), result=st.sampled_from(Result), in_attempt=st.booleans())
    def answer(self, which: int, result: Result, in_attempt: bool) -> None:
        chosen = self.one(which)
        if chosen is None:
            return
        before = len(appeals.history(self.city.conn, chosen.id))
        self.calls += 1
        attempt_id = self.attempts[-1] if in_attempt and self.attempts else None
        after = self.city.say(chosen, result, attempt_id=attempt_id, linkedid=f"17.{self.calls}")
        assert len(appeals.history(self.city.conn, chosen.id)) == before + 1  # a word is never lost
        if chosen.state in (State.AWAITING, State.UNCONFIRMED):
            assert (after.state is State.CLOSED) == (result is Result.SOLVED)

    @rule(hours=st.integers(1, 60))
    def wait(self, hours: int) -> None:
        self.city.later(hours=hours)
        appeals.resume_planned(self.city.conn, self.city.now)
        self.watch()

    @rule(days=st.integers(-20, 20))
    def the_clock_jumps(self, days: int) -> None:
        self.city.later(days=days)
        self.watch()

    def watch(self) -> None:
        """What is late for a working day is called so, each deadline once."""
        deadlines.watch(self.city.conn, self.city.now)
        calendar = rulebook.current(self.city.conn).calendar
        for row in self.city.conn.execute(select(appeal)):
            due = row.due_at.astimezone(KYIV).date()
            told = [line.evidence for line in appeals.history(self.city.conn, row.id) if "event" in line.evidence]
            assert len({(each["event"], each["of"]) for each in told}) == len(told)
            if row.state in life.OPEN and row.lead_id is None and self.city.now >= law.end_of(calendar.shift(due, 1)):
                assert any(each["event"] == "overdue" and each["of"] == due.isoformat() for each in told)

    @rule()
    def unreachable(self) -> None:
        citizens.do_not_call(self.city.conn, self.city.citizen)

    @rule(e164=st.sampled_from([PHONE, SECOND_PHONE]))
    def another_telephone(self, e164: str) -> None:
        citizens.add_phone(self.city.conn, self.city.citizen, e164, self.city.now)

    @invariant()
    def everything_holds(self) -> None:
        if not hasattr(self, "city"):
            return
        conn = self.city.conn
        awaiting = set()
        for row in conn.execute(select(appeal)):
            lines = appeals.history(conn, row.id)
            assert life.replay([line.action for line in lines]) == (State(row.state), row.returns)
            assert [line.from_state for line in lines[1:]] == [line.to_state for line in lines[:-1]]
            assert row.version == sum("event" not in line.evidence for line in lines)  # being watched is no change
            assert (row.ended_at is not None) == (row.state in life.ENDED)
            if row.state == State.CLOSED:
                word = next(line for line in reversed(lines) if line.to_state is not line.from_state)
                assert word.action is Action.CONFIRM
                assert word.evidence["linkedid"]
                assert word.evidence.get("key") or word.evidence.get("staff_id")
            if row.state == State.AWAITING:
                awaiting.add(row.id)
        opened = conn.execute(select(callback).where(callback.c.ended_at.is_(None))).all()
        assert len(opened) <= 1
        asked = conn.execute(select(callback_appeal.c.appeal_id).join(callback)
                             .where(callback.c.ended_at.is_(None), callback_appeal.c.result == "")).scalars().all()
        assert set(asked) == awaiting  # everybody who is to be asked will be, and about nothing else
        assert bool(opened) == bool(awaiting)
        live = conn.execute(select(attempt).where(attempt.c.ended_at.is_(None))).all()
        assert len(live) <= 1
        for row in opened:
            assert (row.state == "calling") == any(a.callback_id == row.id for a in live)
            assert row.state in ("due", "calling")


def test_whatever_happens(db: Database) -> None:
    class Here(Centre):
        pass

    Here.db = db
    run_state_machine_as_test(Here, settings=settings(
        max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)))  # fmt: skip


def test_errors_carry_a_stable_id_and_no_personal_data() -> None:
    error = CentreError("appeal.stale")
    assert (error.id, str(error)) == ("appeal.stale", "appeal.stale")
    assert str(BadInput("text.too_long", longest=5)) == "text.too_long {'longest': 5}"
