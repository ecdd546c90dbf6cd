"""A city with a few appeals, on each database, and what a step is given there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Connection

from crm import addresses, appeals, citizens, life
from crm.appeals import Registered
from crm.confirmation_rules import Mode, Rules
from crm.confirmations import Attempt, claim, due
from crm.life import Action
from crm.schema import department, subject
from crm.store import Database, Writer, insert_row

NOON = dt.datetime(2026, 11, 24, 10, 0, tzinfo=dt.UTC)  # a Tuesday, 12:00 in Kyiv
PHONE, STRANGER = "+380441234567", "+380509998877"
LINKEDID = "1764000000.1"


@dataclass
class City:
    """One citizen, whom a machine may ask, and his appeals."""

    db: Database
    writer: Writer
    citizen: int
    building: int
    no_heating: int
    rules: Rules

    def write(self, fn: Callable[[Connection], object]) -> None:
        with self.db.write() as conn:
            fn(conn)

    def registered(self, citizen_id: int | None = None) -> Registered:
        with self.db.write() as conn:
            return appeals.register(conn, now=NOON, citizen_id=citizen_id or self.citizen, building_id=self.building,
                                    subject_id=self.no_heating, text="Немає опалення", channel="phone", staff_id=None)

    def executed(self, citizen_id: int | None = None) -> Registered:
        registered = self.registered(citizen_id)
        self.write(lambda conn: appeals.act(conn, registered.id, Action.EXECUTE, now=NOON, note="Відновили"))
        return registered

    def called_back(self) -> Attempt:
        with self.db.write() as conn:
            attempt = claim(conn, due(conn, NOON, Mode.AUTO, 1, self.rules)[0].callback_id, now=NOON, rules=self.rules)
        assert attempt is not None
        return attempt

    def state(self, appeal: Registered) -> life.State:
        with self.db.read() as conn:
            return appeals.get(conn, appeal.id).state


@pytest.fixture
def writer(db: Database) -> Iterator[Writer]:
    writer = Writer(db)
    yield writer
    writer.close()


@pytest.fixture
def city(db: Database, writer: Writer) -> City:
    with db.write() as conn:
        district = addresses.add_district(conn, "Оболонський", "Obolonskyi")
        street = addresses.add_street(conn, "проспект Степана Бандери", ["Московський проспект"])
        heating = insert_row(conn, department, {"name": "Київтеплоенерго"})
        no_heating = insert_row(conn, subject, {"name_uk": "Немає опалення", "name_en": "No heating",
                                                "department_id": heating, "term_days": 15})  # fmt: skip
        building = addresses.add_building(conn, street, "12-А", district)
        citizen = citizens.add(conn, now=NOON, name="Марія Іваненко", phones=[PHONE], auto_confirm=True)
    return City(db, writer, citizen, building, no_heating, Rules())
