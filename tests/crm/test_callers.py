"""Who a call may be from: on what ground, and that nobody is shown twice."""

from __future__ import annotations

from datetime import timedelta

from crm import callers, calls, citizens
from crm.callers import Ground
from tests.crm.conftest import NOON as NOW
from tests.crm.conftest import City

HERE, OTHER = "+380440000001", "+380671112233"


def test_a_number_names_one_several_or_who_called_from_it_before(city: City) -> None:
    conn = city.conn
    assert callers.of(conn, HERE) == callers.of(conn, "") == []
    olena = citizens.add(conn, now=NOW, name="Олена", phones=[HERE])
    (only,) = callers.of(conn, HERE)
    assert (only.citizen.name, only.ground, only.ground.certain) == ("Олена", Ground.NUMBER, True)
    citizens.add(conn, now=NOW + timedelta(hours=1), name="Петро", phones=[HERE])
    maria = citizens.add(conn, now=NOW, name="Марія", phones=[OTHER])
    for at, linkedid in enumerate(("1767000000.1", "1767000000.2")):
        calls.arrived(conn, linkedid, at=NOW + timedelta(minutes=at), origin="landline", caller=HERE)
        calls.set_citizen(conn, linkedid, maria)
    found = [(one.citizen.name, one.ground, one.ground.certain) for one in callers.of(conn, HERE)]
    assert found == [("Петро", Ground.SHARED, False), ("Олена", Ground.SHARED, False), ("Марія", Ground.CALLED, False)]
    said = [(one.citizen.name, one.ground) for one in callers.of(conn, HERE, said=olena)]
    assert said == [("Олена", Ground.SAID), ("Петро", Ground.SHARED), ("Марія", Ground.CALLED)]
    assert [one.ground for one in callers.of(conn, "", said=maria)] == [Ground.SAID]
