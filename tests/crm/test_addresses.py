"""A street by what was typed: mistyped, it is offered, and never taken for granted."""

from __future__ import annotations

import pytest

from crm import addresses
from tests.crm.conftest import City


@pytest.fixture
def streets(city: City) -> City:
    district = addresses.add_district(city.conn, "Печерський", "Pecherskyi")
    for name, old in (("вулиця Хрещатик", []), ("Харківське шосе", []),
                      ("вулиця Велика Васильківська", ["Червоноармійська вулиця"])):  # fmt: skip
        street = addresses.add_street(city.conn, name, old)
        addresses.add_building(city.conn, street, "36", district)
        addresses.add_building(city.conn, street, "8", district)
    return city


@pytest.mark.parametrize(("typed", "street"), [
    ("Хрищатик 36", "вулиця Хрещатик"), ("вул. Хрещатік, 36", "вулиця Хрещатик"),
    ("Харкивске шосе 36", "Харківське шосе"),
    ("Велика Василькивська 36", "вулиця Велика Васильківська"),
    ("Червоноармейська 36", "вулиця Велика Васильківська"),
])  # fmt: skip
def test_a_mistyped_street_is_offered_by_any_of_its_names(streets: City, typed: str, street: str) -> None:
    assert addresses.suggest(streets.conn, typed) == []
    found = addresses.mistyped(streets.conn, typed)
    assert (found[0].street, found[0].number) == (street, "36")


@pytest.mark.parametrize("typed", ["", "36", "вулиця", "Зоряна 36", "x' OR 1=1 --", "Хрищатик 99"])
def test_what_is_like_no_street_finds_none(streets: City, typed: str) -> None:
    assert addresses.mistyped(streets.conn, typed) == []
