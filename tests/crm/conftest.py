"""A small city: one district, two buildings, two departments, a subject, and people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Connection

from crm import addresses, appeals, citizens, confirmations
from crm.appeals import Appeal
from crm.confirmation_rules import Mode, Reached, Result, Rules
from crm.confirmations import Attempt
from crm.life import Action
from crm.people import Role, add_staff
from crm.schema import department, subject
from crm.store import Database, insert_row

NOON = dt.datetime(2026, 11, 24, 10, 0, tzinfo=dt.UTC)  # a Tuesday, 12:00 in Kyiv
PHONE, SECOND_PHONE = "+380441234567", "+380671234567"


@dataclass
class City:
    """Ids of what is there, and short ways to the situations that tests begin with."""

    conn: Connection
    building: int
    other_building: int
    heating: int  # departments
    roads: int
    no_heating: int  # a subject of 15 days, heating's
    operator: int
    citizen: int
    police: int = 0  # outside the city's competence
    rules: Rules = field(default_factory=Rules)
    now: dt.datetime = NOON

    def registered(self, citizen_id: int | None = -1, **given: object) -> appeals.Registered:
        values: dict[str, object] = {
            "now": self.now, "citizen_id": self.citizen if citizen_id == -1 else citizen_id,
            "building_id": self.building, "subject_id": self.no_heating, "text": "Немає опалення",
            "channel": "phone", "staff_id": self.operator}  # fmt: skip
        return appeals.register(self.conn, **{**values, **given})  # type: ignore[arg-type]

    def executed(self, citizen_id: int | None = -1) -> Appeal:
        return self.execute(self.registered(citizen_id).id)

    def execute(self, appeal_id: int) -> Appeal:
        return appeals.act(self.conn, appeal_id, Action.EXECUTE, now=self.now, note="Відновили")

    def get(self, appeal: Appeal | appeals.Registered) -> Appeal:
        return appeals.get(self.conn, appeal.id)

    def due(self, mode: Mode | None = None) -> list[confirmations.Due]:
        return confirmations.due(self.conn, self.now, mode, 10, self.rules)

    def claim(self, seat: str | None = "101") -> Attempt:
        """Of the callback that is due first."""
        attempt = confirmations.claim(self.conn, self.due()[0].callback_id, now=self.now, rules=self.rules, seat=seat)
        assert attempt is not None
        return attempt

    def say(self, appeal: Appeal, result: Result, attempt: Attempt | None = None, **given: object) -> Appeal:
        values: dict[str, object] = {"attempt_id": attempt.id} if attempt else {"linkedid": "1764000000.1"}
        return confirmations.answer(self.conn, number=appeal.number, result=result, now=self.now,
                                    **{"staff_id": self.operator, **values, **given})  # type: ignore[arg-type]  # fmt: skip

    def finish(self, attempt: Attempt, reached: Reached) -> str | None:
        return confirmations.finish(self.conn, attempt.id, reached, self.now, rules=self.rules)

    def later(self, **by: float) -> None:
        self.now += dt.timedelta(**by)


def found_city(conn: Connection) -> City:
    district = addresses.add_district(conn, "Оболонський", "Obolonskyi")
    street = addresses.add_street(conn, "проспект Степана Бандери", ["Московський проспект"])
    heating = insert_row(conn, department, {"name": "Київтеплоенерго"})
    roads = insert_row(conn, department, {"name": "Київавтодор"})
    building = addresses.add_building(conn, street, "12-А", district)
    return City(
        conn, building, addresses.add_building(conn, street, "14", district), heating, roads,
        insert_row(conn, subject, {"name_uk": "Немає опалення", "name_en": "No heating", "department_id": heating,
                                   "term_days": 15}),
        add_staff(conn, login="o.koval", name="Оксана Коваль", password_hash="-", role=Role.OPERATOR),
        citizens.add(conn, now=NOON, name="Марія Іваненко", phones=[PHONE], building_id=building),
        insert_row(conn, department, {"name": "Поліція", "kind": "outside"}),
    )  # fmt: skip


@pytest.fixture
def city(db: Database) -> Iterator[City]:
    """In one transaction, on each database."""
    with db.write() as conn:
        yield found_city(conn)
