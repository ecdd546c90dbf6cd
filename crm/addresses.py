"""Kyiv's addresses: a street by any of its names, a building in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, case, func, insert, literal, or_, select

from crm import similar, texts
from crm.errors import BadInput, NotFound
from crm.schema import building, district, street, street_name
from crm.store import insert_row

_LONGEST = 120
_NEAR, _NEAREST = 0.4, 3  # how alike a mistyped name must be, and how many streets it may mean
_APOSTROPHES = str.maketrans(dict.fromkeys("’ʼ‘`´′ʹ\u02bc\u0060", "'") | {"ґ": "г", "—": "-", "–": "-"})
_KINDS = frozenset((
    "вул", "вулиця", "ул", "улица", "просп", "проспект", "бул", "бульв", "бульвар", "пров", "провулок", "пл", "площа",
    "шосе", "наб", "набережна", "узвіз", "алея", "проїзд", "туп", "тупик", "майдан", "street", "avenue",
))  # fmt: skip
_WORD = re.compile(r"[^\s.,;:()\"«»№#]+")


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
    """A street's name as it is compared: lower case, one kind of apostrophe, ґ as г, hyphens as spaces,
    without "вул." or "проспект" (unless nothing else is left)."""
    words = _words(text)
    return " ".join([word for word in words if word not in _KINDS] or words)


# The kinds of streets as they are written in full; what is not here (майдан, шосе) is written one way only.
_IN_FULL = {"вул": "вулиця", "ул": "вулиця", "улица": "вулиця", "street": "вулиця", "просп": "проспект",
            "avenue": "проспект", "бул": "бульвар", "бульв": "бульвар", "пров": "провулок", "пл": "площа",
            "наб": "набережна", "туп": "тупик"}  # fmt: skip


def kind_of(text: str) -> str:
    """What kind of street a name says that it is, in full: "вулиця" of "вул. Хрещатик"; "" where it says nothing."""
    kinds = [word for word in _words(text) if word in _KINDS]
    return _IN_FULL.get(kinds[0], kinds[0]) if kinds else ""


def _words(text: str) -> list[str]:
    plain = texts.line(text, _LONGEST).lower().translate(_APOSTROPHES)
    plain = re.sub(r"\b(пр-т|пр-кт|просп-т)\b", "проспект", plain)
    plain = re.sub(r"\bб-р\b", "бульвар", plain)
    return [part for word in _WORD.findall(plain) for part in _parts(word)]


def _parts(word: str) -> list[str]:
    """"нижній-вал" are two words, "12-а" is one number."""
    return [word] if word[0].isdigit() else [part for part in word.split("-") if part]


def fold_number(number: str) -> str:
    """A building's number as it is compared: "12-А" and "12 а" are "12а", "7/9 к. 2" is "7/9к2"."""
    plain = re.sub(r"корпус|корп", "к", texts.line(number, _LONGEST).lower())
    return re.sub(r"[\s.,-]", "", plain)


def suggest(conn: Connection, text: str, limit: int = 10) -> list[BuildingLine]:
    """Buildings for what an operator has typed so far: the beginning of any word of any name of the
    street, then the beginning of the number ("бандери 1", "Московський просп 12")."""
    conditions = []
    for name, number in _readings(text):
        of_words = [(literal(" ") + street_name.c.folded).contains(" " + word, autoescape=True) for word in name]
        conditions.append(and_(*of_words, building.c.folded.startswith(number, autoescape=True)))
    return _of_streets(conn, conditions, limit)


def mistyped(conn: Connection, text: str, limit: int = 10) -> list[BuildingLine]:
    """Buildings that may be meant where ``suggest`` finds none: of the streets whose names are nearest to what is
    written ("Хрищатик 36"). Which of them is meant is never taken for granted."""
    conditions = []
    names = conn.execute(select(street_name.c.id, street_name.c.folded)).all()
    whole_then_first = _readings(text)[:2]  # the first number ends a name that is not written as any street's is
    for name, number in whole_then_first[-1:]:
        written = similar.trigrams(" ".join(name))
        near = [(similar.nearness(written, similar.trigrams(row.folded)), row.id) for row in names]
        ids = [id for nearness, id in sorted(near, reverse=True)[:_NEAREST] if nearness >= _NEAR]
        conditions.append(and_(street_name.c.id.in_(ids), building.c.folded.startswith(number, autoescape=True)))
    return _of_streets(conn, conditions, limit)


def _readings(text: str) -> list[tuple[list[str], str]]:
    """What is written as the words of a name, without its kind, and the beginning of a number. Digits may begin the
    number, or belong to the name ("8 Березня"): every reading is tried."""
    words = _words(text[:_LONGEST])
    numbers = [i for i in range(1, len(words)) if words[i][0].isdigit()]
    readings = [(words, "")] + [(words[:i], fold_number(" ".join(words[i:]))) for i in numbers]
    known = [([word for word in name if word not in _KINDS], number) for name, number in readings]
    return [(name, number) for name, number in known if name]


def _of_streets(conn: Connection, conditions: Sequence[ColumnElement[bool]], limit: int) -> list[BuildingLine]:
    if not conditions:
        return []
    by_current = func.max(case((street_name.c.current, 1), else_=0))
    found = (
        select(building.c.id, street.c.name, building.c.number, district.c.id, district.c.name_uk, district.c.name_en,
               case((by_current == 1, ""), else_=func.min(street_name.c.name)))
        .select_from(building).join(street).join(district, building.c.district_id == district.c.id)
        .join(street_name, street_name.c.street_id == street.c.id)
        .where(or_(*conditions))
        .group_by(building.c.id, street.c.name, building.c.number, building.c.folded, district.c.id, district.c.name_uk,
                  district.c.name_en)
        .order_by(street.c.name, func.length(building.c.folded), building.c.folded).limit(limit)
    )  # fmt: skip
    return [BuildingLine(*row) for row in conn.execute(found)]


def find_building(conn: Connection, building_id: int) -> BuildingLine:
    """NotFound if there is none."""
    row = conn.execute(
        select(building.c.id, street.c.name, building.c.number, district.c.id, district.c.name_uk, district.c.name_en)
        .select_from(building).join(street).join(district, building.c.district_id == district.c.id)
        .where(building.c.id == building_id)
    ).one_or_none()  # fmt: skip
    if row is None:
        raise NotFound("building.unknown")
    return BuildingLine(*row)


def districts(conn: Connection) -> list[tuple[int, str, str]]:
    """(id, Ukrainian name, English name), by name."""
    rows = conn.execute(select(district.c.id, district.c.name_uk, district.c.name_en).order_by(district.c.name_uk))
    return [(row[0], row[1], row[2]) for row in rows]


def add_district(conn: Connection, name_uk: str, name_en: str) -> int:
    """The district's id, a known one's too."""
    known = conn.execute(select(district.c.id).where(district.c.name_uk == name_uk)).scalar()
    if known is not None:
        return int(known)
    return insert_row(conn, district, {"name_uk": name_uk, "name_en": name_en})


def add_street(conn: Connection, name: str, old_names: Sequence[str] = ()) -> int:
    """The street's id, a known one's too; names that it did not have yet are added."""
    name = texts.line(name, _LONGEST)
    if not name:
        raise BadInput("street.no_name")
    street_id = conn.execute(select(street.c.id).where(street.c.name == name)).scalar()
    if street_id is None:
        street_id = insert_row(conn, street, {"name": name})
    known = set(conn.execute(select(street_name.c.name).where(street_name.c.street_id == street_id)).scalars())
    for each in (name, *(texts.line(old, _LONGEST) for old in old_names)):
        if each not in known:
            conn.execute(insert(street_name), {"street_id": street_id, "name": each, "folded": fold(each),
                                               "current": each == name})  # fmt: skip
    return int(street_id)


def add_building(conn: Connection, street_id: int, number: str, district_id: int) -> int:
    """The building's id, a known one's too. BadInput for a number with no digit in it."""
    number = texts.line(number, 20)
    if not re.search(r"[0-9]", number):
        raise BadInput("building.no_number")
    folded = fold_number(number)
    known = conn.execute(select(building.c.id).where(building.c.street_id == street_id, building.c.folded == folded))
    row = known.first()
    if row is not None:
        return int(row[0])
    return insert_row(conn, building, {"street_id": street_id, "number": number, "folded": folded,
                                       "district_id": district_id})  # fmt: skip
