"""Kyiv's addresses: a street by any of its names, a building in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class BuildingLine:
    """A building, as a list shows it. ``old_name``: the street's old name, when it was found by that."""

    id: int
    street: str
    number: str
    district_id: int
    district_uk: str
    district_en: str
    old_name: str = ""


def fold(text: str) -> str:
    """A street's name as it is compared: lower case, one kind of apostrophe, no "вул." or "проспект"."""
    raise NotImplementedError


def suggest(conn: Connection, text: str, limit: int = 10) -> list[BuildingLine]:
    """Buildings for what an operator has typed so far: the beginning of any word of any name of the
    street, then the beginning of the number ("бандери 1", "Московський просп 12")."""
    raise NotImplementedError


def find_building(conn: Connection, building_id: int) -> BuildingLine:
    """NotFound if there is none."""
    raise NotImplementedError


def districts(conn: Connection) -> list[tuple[int, str, str]]:
    """(id, Ukrainian name, English name), by name."""
    raise NotImplementedError


def add_district(conn: Connection, name_uk: str, name_en: str) -> int:
    raise NotImplementedError


def add_street(conn: Connection, name: str, old_names: Sequence[str] = ()) -> int:
    raise NotImplementedError


def add_building(conn: Connection, street_id: int, number: str, district_id: int) -> int:
    """The building's id, a known one's too."""
    raise NotImplementedError
