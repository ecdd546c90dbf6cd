"""City programmes: which building is to be done in which year, and appeals answered from that.

A resident whose building stands in a programme is told so at once, with the ground. It is the city's word that nothing
else will be done till then, so he is asked as of any other answer whether he takes it for a solution.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from crm import appeals, edits, texts
from crm.addresses import BuildingLine
from crm.appeals import Appeal
from crm.clock import KYIV
from crm.errors import BadInput, NotFound
from crm.life import Action
from crm.schema import building, district, programme, programme_building, street

NAME_MOST, ABOUT_MOST, GROUND_MOST, NOTE_MOST = 200, 2000, 300, 200
FIRST_YEAR, LAST_YEAR = 2000, 2100
MOST_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Programme:
    """``about_uk``, ``about_en``: what the resident is told. ``ground``: the decision by which it runs."""

    id: int
    name_uk: str
    name_en: str
    about_uk: str
    about_en: str
    ground: str
    subject_id: int | None
    active: bool
    version: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A building's place in a programme. ``note``: what is said of this building."""

    programme: Programme
    year: int
    note: str

    def ahead(self, now: dt.datetime) -> bool:
        """Whether its year is this one or to come: only then is it an answer."""
        return self.year >= now.astimezone(KYIV).year


@dataclass(frozen=True, slots=True)
class Extent:
    """A programme in a list. ``first``, ``last``: its buildings' years, None while it has none."""

    programme: Programme
    buildings: int
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """A building in a programme's list."""

    building: BuildingLine
    year: int
    note: str


_COLUMNS = tuple(programme.c[name] for name in Programme.__dataclass_fields__)
_WIDE = len(_COLUMNS)
_OF_BUILDING: Select[Any] = (
    select(*_COLUMNS, programme_building.c.year, programme_building.c.note).join(programme_building)
    .where(programme_building.c.building_id == bindparam("building"), programme.c.active)
    .order_by(programme_building.c.year, programme.c.name_uk)
)  # fmt: skip


def of_building(conn: Connection, building_id: int) -> list[Entry]:
    """The active programmes that the building is in, the nearest year first; one query."""
    rows = conn.execute(_OF_BUILDING, {"building": building_id})
    return [Entry(Programme(*row[:_WIDE]), row.year, row.note) for row in rows]


def answer(conn: Connection, appeal_id: int, programme_id: int, tell: Callable[[Entry], str], *,
           staff_id: int | None, now: dt.datetime, version: int | None = None) -> Appeal:  # fmt: skip
    """Answers an appeal from a programme that its building is in; the applicant is then asked as of any other.

    ``tell`` makes the text that he is told, with its ground. BadInput if the building is not in the programme or its
    year has passed; IllegalAction, Stale as ``appeals.act``.
    """
    of = appeals.get(conn, appeal_id)
    entries = of_building(conn, of.building_id) if of.building_id is not None else []
    entry = next((each for each in entries if each.programme.id == programme_id), None)
    if entry is None:
        raise BadInput("programme.not_in_it")
    if not entry.ahead(now):
        raise BadInput("programme.year_passed", year=entry.year)
    return appeals.act(conn, appeal_id, Action.ANSWER, now=now, staff_id=staff_id, note=tell(entry), version=version,
                       ground={"programme": programme_id, "year": entry.year})  # fmt: skip


def programmes(conn: Connection, *, ended: bool = True) -> list[Extent]:
    """All by name; without those that run no more if ``ended`` is False."""
    b = programme_building.c
    rows = conn.execute(
        select(*_COLUMNS, func.count(b.building_id), func.min(b.year), func.max(b.year))
        .join(programme_building, isouter=True).group_by(*_COLUMNS).order_by(programme.c.name_uk)
    )  # fmt: skip
    found = [Extent(Programme(*row[:_WIDE]), *row[_WIDE:]) for row in rows]
    return [each for each in found if ended or each.programme.active]


def get(conn: Connection, programme_id: int) -> Programme:
    """NotFound if there is none."""
    row = conn.execute(select(*_COLUMNS).where(programme.c.id == programme_id)).one_or_none()
    if row is None:
        raise NotFound("programme.unknown")
    return Programme(*row)


def buildings(conn: Connection, programme_id: int, limit: int = MOST_SHOWN) -> list[Line]:
    """Its list, by year and address."""
    rows = conn.execute(
        select(building.c.id, street.c.name, building.c.number, district.c.id, district.c.name_uk, district.c.name_en,
               programme_building.c.year, programme_building.c.note)
        .select_from(programme_building).join(building).join(street)
        .join(district, building.c.district_id == district.c.id)
        .where(programme_building.c.programme_id == programme_id)
        .order_by(programme_building.c.year, street.c.name, func.length(building.c.folded), building.c.folded)
        .limit(limit)
    )  # fmt: skip
    return [Line(BuildingLine(*row[:6]), row.year, row.note) for row in rows]


def save(conn: Connection, programme_id: int | None, version: int | None, *, name_uk: str, name_en: str, about_uk: str,
         about_en: str, ground: str, subject_id: int | None, active: bool, staff_id: int | None,
         now: dt.datetime) -> int:  # fmt: skip
    """Adds one (``programme_id`` None) or changes it as it was seen: its id.

    BadInput without a name or a ground, or for a name that another has; NotFound, Stale as ``edits.save``.
    """
    values = {"name_uk": texts.line(name_uk, NAME_MOST), "name_en": texts.line(name_en, NAME_MOST),
              "about_uk": texts.text(about_uk, ABOUT_MOST), "about_en": texts.text(about_en, ABOUT_MOST),
              "ground": texts.line(ground, GROUND_MOST), "subject_id": subject_id, "active": active}  # fmt: skip
    if not values["name_uk"] or not values["ground"]:
        raise BadInput("programme.empty")
    same = select(programme.c.id).where(programme.c.name_uk == values["name_uk"])
    if conn.execute(same).scalar() not in (None, programme_id):
        raise BadInput("programme.known")
    return edits.save(conn, programme, programme_id, version, values, now=now, staff_id=staff_id)


def put_building(conn: Connection, programme_id: int, building_id: int, year: int, note: str = "", *,
                 staff_id: int | None, now: dt.datetime) -> None:  # fmt: skip
    """Puts a building into a programme, or moves it to another year. BadInput for a year that cannot be meant,
    NotFound for an unknown programme or building."""
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise BadInput("programme.year", first=FIRST_YEAR, last=LAST_YEAR)
    get(conn, programme_id)
    if conn.execute(select(1).where(building.c.id == building_id)).first() is None:
        raise NotFound("building.unknown")
    key = {"programme_id": programme_id, "building_id": building_id}
    values = {"year": year, "note": texts.line(note, NOTE_MOST)}
    before = _line(conn, programme_id, building_id)
    dialect: Any = sqlite if conn.dialect.name == "sqlite" else postgresql
    put = dialect.insert(programme_building).values(**key, **values)
    conn.execute(put.on_conflict_do_update(index_elements=list(key), set_=values))
    edits.log_edit(conn, now=now, staff_id=staff_id, what="programme_building", key=f"{programme_id}:{building_id}",
                   before=before, after=values)  # fmt: skip


def take_building(conn: Connection, programme_id: int, building_id: int, *, staff_id: int | None,
                  now: dt.datetime) -> None:  # fmt: skip
    """Takes a building out; one that is not in it is out already."""
    before = _line(conn, programme_id, building_id)
    if before is not None:
        conn.execute(delete(programme_building).filter_by(programme_id=programme_id, building_id=building_id))
        edits.log_edit(conn, now=now, staff_id=staff_id, what="programme_building",
                       key=f"{programme_id}:{building_id}", before=before, after=None)  # fmt: skip


def _line(conn: Connection, programme_id: int, building_id: int) -> dict[str, Any] | None:
    kept = select(programme_building.c.year, programme_building.c.note)
    row = conn.execute(kept.filter_by(programme_id=programme_id, building_id=building_id)).mappings().one_or_none()
    return None if row is None else dict(row)
