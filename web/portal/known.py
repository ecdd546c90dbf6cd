"""What the city knows already of a place and a subject: said before an appeal is filed, for it may be the answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from crm import incidents, knowledge, programmes, rulebook
from crm.addresses import BuildingLine
from crm.incidents import Incident
from crm.knowledge import Article, Bulletin
from crm.programmes import Entry

ARTICLES = 3


@dataclass(frozen=True, slots=True)
class Known:
    """``incidents``: failures that a person has declared, of the building and its networks. ``mark``: names all that
    bears upon this building, so that it is told once."""

    incidents: list[Incident]
    promises: list[Entry]
    bulletins: list[Bulletin]
    articles: list[Article]

    @property
    def mark(self) -> str:
        ids = [*(f"i{one.id}" for one in self.incidents), *(f"p{one.programme.id}" for one in self.promises),
               *(f"b{one.id}" for one in self.bulletins)]  # fmt: skip
        return " ".join(ids)

    def told(self, seen: str) -> bool:
        """Whether all of it was on a form with this mark."""
        return set(self.mark.split()) <= set(seen.split())


def incidents_at(conn: Connection, building_id: int) -> list[Incident]:
    """The failures of the building and its networks that a person has declared."""
    return [one for one in incidents.at(conn, building_id) if one.state is incidents.State.OPEN]


def at(conn: Connection, building: BuildingLine | None, subject_id: int | None, now: datetime) -> Known:
    """With no building, what is said of the subject alone."""
    chain = rulebook.current(conn).routing.chains.get(subject_id, ()) if subject_id else ()
    articles = knowledge.search(conn, "", subjects=chain, limit=ARTICLES) if chain else []
    if building is None:
        return Known([], [], [], articles)
    return Known(
        incidents_at(conn, building.id),
        [one for one in programmes.of_building(conn, building.id)
         if one.ahead(now) and one.programme.subject_id in (None, *chain)],
        [one for one in knowledge.bulletins_at(conn, building.id, now)
         if one.building_id or one.network_id or one.district_id],
        articles)  # fmt: skip
