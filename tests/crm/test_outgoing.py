"""Whom a seat may call: emergencies always, services, and with whom its person has spoken lately."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import insert, select

from crm import calls, outgoing, people
from crm.outgoing import Rules, Whom, allowed
from crm.people import Role
from crm.schema import call_event, contact, department
from crm.store import Database

NOW = dt.datetime(2026, 11, 24, 10, tzinfo=dt.UTC)
RULES = Rules(("102", "112"), ("+380",), 3)
OFFICE, CALLER = "+380440001001", "+380671112233"


@pytest.mark.parametrize(("wanted", "placed", "found"), [
    ("102", 99, (Whom.EMERGENCY, "102")), ("103", 0, None), ("044 000-10-01", 0, (Whom.SERVICE, OFFICE)),
    ("0671112233", 0, (Whom.CALLER, CALLER)), ("380671112233", 2, (Whom.CALLER, CALLER)),
    ("0671112233", 3, None), (OFFICE, 3, None), ("+380501234567", 0, None), ("+48123456789", 0, None),
    ("", 0, None), ("102&PJSIP/x", 0, None), ("*10", 0, None),
])  # fmt: skip
def test_allowed(wanted: str, placed: int, found: tuple[Whom, str] | None) -> None:
    known = {"services": {OFFICE, "+48123456789"}, "spoken_with": {CALLER}}
    assert allowed(wanted, rules=RULES, placed_last_hour=placed, **known) == found


def test_what_is_on_record_decides(db: Database) -> None:
    with db.write() as conn:
        staff = people.add_staff(conn, login="anna", name="Ганна Кравець", password_hash="-", role=Role.OPERATOR)
        conn.execute(insert(contact).values(name_uk="Жек", name_en="Office", kind="office", phone="044 000-10-01"))
        conn.execute(insert(department).values(name="Водоканал", phone="0440002002, приймальня"))
        conn.execute(insert(department).values(name="Київтепло", phone="044 000 30 03"))
        for linkedid, caller, ago in (("1.1", CALLER, 2), ("1.2", "+380671112244", 30)):
            at = NOW - dt.timedelta(hours=ago)
            calls.arrived(conn, linkedid, at=at, origin="mobile", caller=caller)
            calls.answered(conn, linkedid, "101", at, staff)

        def may(wanted: str, who: int | None = staff) -> Whom | None:
            found = outgoing.decide(conn, wanted, staff_id=who, rules=RULES, now=NOW)
            return found[0] if found else None

        assert [may(one) for one in (OFFICE, "+380440003003", "+380440002002")] == [Whom.SERVICE, Whom.SERVICE, None]
        assert [may(CALLER), may(CALLER, None), may("+380671112244")] == [Whom.CALLER, None, None]
        for at in range(3):
            outgoing.keep(conn, f"2.{at}", Whom.SERVICE, OFFICE, seat="101", staff_id=staff, now=NOW)
        assert [may(OFFICE), may(CALLER), may("112")] == [None, None, Whom.EMERGENCY]
        outgoing.keep(conn, "1.1", Whom.EMERGENCY, "112", seat="101", staff_id=staff, now=NOW)  # a citizen's own call
        call = calls.get(conn, "2.0")
        assert call is not None
        assert (call.direction, call.caller, call.outcome) == ("out", OFFICE, "transferred")
        assert calls.get(conn, "1.1").outcome == ""  # type: ignore[union-attr]
        told = conn.scalars(select(call_event.c.data).where(call_event.c.kind == outgoing.DIALLED)).all()
        assert told[-1] == {"to": "112", "staff_id": staff}
