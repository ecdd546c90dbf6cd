"""What the operator knows: articles, what holds today, whom to telephone; and that he told it.

Most calls want an answer, not an appeal. What was given in which call is counted, and says by itself what the call was.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, bindparam, func, or_, select

from crm import calls, edits, similar, texts
from crm.errors import BadInput, NotFound
from crm.schema import (
    article,
    building,
    bulletin,
    consultation,
    contact,
    district,
    network,
    network_building,
    programme,
    street,
)
from crm.store import insert_or_ignore

T = TypeVar("T")

TITLE_MOST, BODY_MOST, KEYWORDS_MOST, SOURCE_MOST = 200, 10_000, 400, 200
BULLETIN_MOST, PHONE_MOST, HOURS_MOST = 2000, 60, 100

BODY_WEIGHT = 0.6  # of a word that is found in an article's body only, against one of its title
LEAST_OF_BEST = 0.6  # what fits much worse than the best is not shown
SAME_SUBJECT = 0.2


class Kind(StrEnum):
    """What can be told in a call."""

    ARTICLE = "article"
    BULLETIN = "bulletin"
    CONTACT = "contact"
    PROGRAMME = "programme"


class ContactKind(StrEnum):
    """In the order in which they are listed."""

    EMERGENCY = "emergency"
    DISPATCHER = "dispatcher"
    OFFICE = "office"


_TABLES = {Kind.ARTICLE: article, Kind.BULLETIN: bulletin, Kind.CONTACT: contact, Kind.PROGRAMME: programme}
_ORDER = {kind.value: order for order, kind in enumerate(ContactKind)}


@dataclass(frozen=True, slots=True)
class Article:
    """``title_en`` and ``body_en``: "" until translated. ``source``: where it is from, or that it is a sample."""

    id: int
    title_uk: str
    title_en: str
    body_uk: str
    body_en: str
    keywords: str
    subject_id: int | None
    active: bool
    source: str
    updated_at: dt.datetime
    version: int


@dataclass(frozen=True, slots=True)
class Bulletin:
    """For one building, one network or one district; the whole city's with none of them."""

    id: int
    text_uk: str
    text_en: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    building_id: int | None
    network_id: int | None
    district_id: int | None
    version: int
    street: str
    number: str
    network: str
    district_uk: str
    district_en: str


@dataclass(frozen=True, slots=True)
class Contact:
    """``kind``: ContactKind. ``district_id`` is None for the whole city's."""

    id: int
    name_uk: str
    name_en: str
    kind: str
    phone: str
    hours: str
    district_id: int | None
    district_uk: str
    district_en: str
    keywords: str
    active: bool
    version: int


# ── search: by the beginnings of words, with typing errors forgiven ──
_ALIKE = str.maketrans("іїы", "иии")  # which of them is written is the commonest error of all


@lru_cache(maxsize=4096)
def _words(text: str) -> frozenset[str]:
    """The words of a text that tell something; of each paragraph, as far as ``similar`` reads."""
    return frozenset(word for part in text.splitlines() for word in similar.fold(part).translate(_ALIKE).split())


@lru_cache(maxsize=256)
def _parts(word: str) -> tuple[str, ...]:
    """Three letters each, with two spaces before the word, as in ``similar``."""
    padded = "  " + word
    return tuple(padded[i : i + 3] for i in range(len(word)))


def matches(typed: str, word: str) -> float:
    """How well a folded word fits what has been typed of it: 1 for its beginning, less with errors, 0 for another.

    One letter wrong spoils three parts: of a long word half may be wrong, of a short one the ending.
    """
    if word.startswith(typed):
        return 1.0
    if len(typed) < 4:
        return 0.0
    allowed, padded, missed = len(typed) // 2 if len(typed) > 5 else 1, "  " + word, 0
    for part in _parts(typed):
        if part not in padded:
            missed += 1
            if missed > allowed:
                return 0.0
    return 1 - missed / len(typed)


def rank(text: str, records: Iterable[T], headings: Callable[[T], str], body: Callable[[T], str] = lambda _: "",
         bonus: Callable[[T], float] = lambda _: 0.0) -> list[T]:
    """Those that fit ``text``, the best first; none for a text that tells nothing.

    ``bonus`` is added to the score (0 to 1) of what fits.
    """
    texts_of = [(_words(headings(record)), _words(body(record)), record) for record in records]
    everything = frozenset().union(*(words for heading, rest, _ in texts_of for words in (heading, rest)))
    fits = [{word: fit for word in everything if (fit := matches(typed, word))}
            for typed in sorted(_words(text[: similar.LONGEST]))]  # fmt: skip
    found: list[tuple[float, int, T]] = []
    for order, (heading, rest, record) in enumerate(texts_of):
        fit = sum(max(_best(known, heading), BODY_WEIGHT * _best(known, rest)) for known in fits)
        if fit:
            found.append((-fit / len(fits) - bonus(record), order, record))
    least = LEAST_OF_BEST * min((score for score, _, _ in found), default=0.0)
    return [record for score, _, record in sorted(found, key=lambda each: each[:2]) if score <= least]


def _best(fits: Mapping[str, float], words: frozenset[str]) -> float:
    """The best fit of any of the words."""
    return max((fits[word] for word in words.intersection(fits)), default=0.0)


_ARTICLES: Select[Any] = select(*(article.c[name] for name in Article.__dataclass_fields__)).order_by(
    article.c.title_uk, article.c.id)  # fmt: skip


def search(conn: Connection, text: str, *, subjects: Sequence[int] = (), limit: int = 10) -> list[Article]:
    """Active articles that fit ``text``, the best first; with no text, those of ``subjects``.

    ``subjects``: what the appeal is about, with the groups above it: articles of these come first.
    """
    known = [Article(*row) for row in conn.execute(_ARTICLES.where(article.c.active))]
    if not text.strip():
        return [each for each in known if each.subject_id in subjects][:limit]
    return rank(text, known, lambda a: f"{a.title_uk}\n{a.title_en}\n{a.keywords}",
                lambda a: f"{a.body_uk}\n{a.body_en}",
                lambda a: SAME_SUBJECT if a.subject_id in subjects else 0.0)[:limit]  # fmt: skip


def articles(conn: Connection, *, withdrawn: bool = False) -> list[Article]:
    """All by title, those withdrawn too if asked for."""
    return [Article(*row) for row in conn.execute(_ARTICLES if withdrawn else _ARTICLES.where(article.c.active))]


def article_of(conn: Connection, article_id: int) -> Article:
    """NotFound if there is none."""
    row = conn.execute(_ARTICLES.where(article.c.id == article_id)).one_or_none()
    if row is None:
        raise NotFound("knowledge.unknown")
    return Article(*row)


def save_article(conn: Connection, article_id: int | None, version: int | None, *, title_uk: str, title_en: str,
                 body_uk: str, body_en: str, keywords: str, subject_id: int | None, active: bool, source: str,
                 staff_id: int | None, now: dt.datetime) -> int:  # fmt: skip
    """Adds one (``article_id`` None) or changes it as it was seen: its id. BadInput without a Ukrainian title or body;
    NotFound, Stale as ``edits.save``."""
    values = {"title_uk": texts.line(title_uk, TITLE_MOST), "title_en": texts.line(title_en, TITLE_MOST),
              "body_uk": texts.text(body_uk, BODY_MOST), "body_en": texts.text(body_en, BODY_MOST),
              "keywords": texts.line(keywords, KEYWORDS_MOST), "subject_id": subject_id, "active": active,
              "source": texts.line(source, SOURCE_MOST), "updated_at": now, "updated_by": staff_id}  # fmt: skip
    if not values["title_uk"] or not values["body_uk"]:
        raise BadInput("knowledge.empty")
    return edits.save(conn, article, article_id, version, values, now=now, staff_id=staff_id)


# ── what holds today ──
_BULLETINS: Select[Any] = (
    select(*(bulletin.c[name] for name in ("id", "text_uk", "text_en", "starts_at", "ends_at", "building_id",
                                           "network_id", "district_id", "version")),
           func.coalesce(street.c.name, ""), func.coalesce(building.c.number, ""), func.coalesce(network.c.name, ""),
           func.coalesce(district.c.name_uk, ""), func.coalesce(district.c.name_en, ""))
    .select_from(bulletin)
    .join(building, bulletin.c.building_id == building.c.id, isouter=True)
    .join(street, building.c.street_id == street.c.id, isouter=True)
    .join(network, bulletin.c.network_id == network.c.id, isouter=True)
    .join(district, bulletin.c.district_id == district.c.id, isouter=True)
    .order_by(bulletin.c.starts_at, bulletin.c.id)
)  # fmt: skip
_NOT_OVER = _BULLETINS.where(bulletin.c.ends_at > bindparam("now"))
_citywide = bulletin.c.building_id.is_(None) & bulletin.c.network_id.is_(None) & bulletin.c.district_id.is_(None)
_OF_CITY = _NOT_OVER.where(bulletin.c.starts_at <= bindparam("now"), _citywide)
_AT_BUILDING = _NOT_OVER.where(bulletin.c.starts_at <= bindparam("now"), or_(
    _citywide, bulletin.c.building_id == bindparam("building"),
    bulletin.c.network_id.in_(select(network_building.c.network_id)
                              .where(network_building.c.building_id == bindparam("building"))),
    bulletin.c.district_id == (select(building.c.district_id).where(building.c.id == bindparam("building"))
                               .correlate(None).scalar_subquery()),
))  # fmt: skip


def bulletins(conn: Connection, now: dt.datetime) -> list[Bulletin]:
    """Those in force and those to come, the earliest first."""
    return [Bulletin(*row) for row in conn.execute(_NOT_OVER, {"now": now})]


def bulletins_at(conn: Connection, building_id: int | None, now: dt.datetime) -> list[Bulletin]:
    """What is in force now for a building: its own, its networks', its district's, the city's. Without a building, the
    city's only."""
    rows = (conn.execute(_OF_CITY, {"now": now}) if building_id is None
            else conn.execute(_AT_BUILDING, {"now": now, "building": building_id}))  # fmt: skip
    return sorted((Bulletin(*row) for row in rows), key=_width)


def _width(held: Bulletin) -> int:
    """The narrower, the nearer to who asks."""
    narrow = (held.building_id, held.network_id, held.district_id)
    return next((width for width, place in enumerate(narrow) if place is not None), len(narrow))


def bulletin_of(conn: Connection, bulletin_id: int) -> Bulletin:
    """NotFound if there is none."""
    row = conn.execute(_BULLETINS.where(bulletin.c.id == bulletin_id)).one_or_none()
    if row is None:
        raise NotFound("knowledge.unknown")
    return Bulletin(*row)


def save_bulletin(conn: Connection, bulletin_id: int | None, version: int | None, *, text_uk: str, text_en: str,
                  starts_at: dt.datetime, ends_at: dt.datetime, building_id: int | None, network_id: int | None,
                  district_id: int | None, staff_id: int | None, now: dt.datetime) -> int:  # fmt: skip
    """Adds one (``bulletin_id`` None) or changes it as it was seen: its id. One that is to hold no longer ends now.

    BadInput without a Ukrainian text, for an end that is not after the beginning and for more than one place.
    """
    values = {"text_uk": texts.text(text_uk, BULLETIN_MOST), "text_en": texts.text(text_en, BULLETIN_MOST),
              "starts_at": starts_at, "ends_at": ends_at, "building_id": building_id, "network_id": network_id,
              "district_id": district_id}  # fmt: skip
    if not values["text_uk"]:
        raise BadInput("knowledge.empty")
    if ends_at <= starts_at:
        raise BadInput("bulletin.ends_first")
    if sum(place is not None for place in (building_id, network_id, district_id)) > 1:
        raise BadInput("bulletin.one_place")
    if bulletin_id is None:
        values |= {"made_by": staff_id, "created_at": now}
    return edits.save(conn, bulletin, bulletin_id, version, values, now=now, staff_id=staff_id)


# ── whom to telephone ──
_CONTACTS: Select[Any] = (
    select(*(contact.c[name] for name in ("id", "name_uk", "name_en", "kind", "phone", "hours", "district_id")),
           func.coalesce(district.c.name_uk, ""), func.coalesce(district.c.name_en, ""),
           *(contact.c[name] for name in ("keywords", "active", "version")))
    .select_from(contact).join(district, contact.c.district_id == district.c.id, isouter=True)
)  # fmt: skip


def directory(conn: Connection, text: str = "", *, building_id: int | None = None,
              withdrawn: bool = False) -> list[Contact]:  # fmt: skip
    """Emergency services, then dispatchers, then offices, each by name; with ``text``, those that fit it.

    With ``building_id``, other districts' are left out.
    """
    query = _CONTACTS if withdrawn else _CONTACTS.where(contact.c.active)
    if building_id is not None:
        its = select(building.c.district_id).where(building.c.id == building_id).scalar_subquery()
        query = query.where(or_(contact.c.district_id.is_(None), contact.c.district_id == its))
    known = sorted((Contact(*row) for row in conn.execute(query)),
                   key=lambda c: (_ORDER.get(c.kind, len(_ORDER)), c.name_uk, c.id))  # fmt: skip
    if not text.strip():
        return known
    return rank(text, known, lambda c: f"{c.name_uk}\n{c.name_en}\n{c.keywords}\n{c.phone}",
                lambda c: f"{c.district_uk}\n{c.district_en}")  # fmt: skip


def contact_of(conn: Connection, contact_id: int) -> Contact:
    """NotFound if there is none."""
    row = conn.execute(_CONTACTS.where(contact.c.id == contact_id)).one_or_none()
    if row is None:
        raise NotFound("knowledge.unknown")
    return Contact(*row)


def save_contact(conn: Connection, contact_id: int | None, version: int | None, *, name_uk: str, name_en: str,
                 kind: ContactKind, phone: str, hours: str, district_id: int | None, keywords: str, active: bool,
                 staff_id: int | None, now: dt.datetime) -> int:  # fmt: skip
    """Adds one (``contact_id`` None) or changes it as it was seen: its id. BadInput without a name or a telephone."""
    values = {"name_uk": texts.line(name_uk, TITLE_MOST), "name_en": texts.line(name_en, TITLE_MOST),
              "kind": kind.value, "phone": texts.line(phone, PHONE_MOST), "hours": texts.line(hours, HOURS_MOST),
              "district_id": district_id, "keywords": texts.line(keywords, KEYWORDS_MOST),
              "active": active}  # fmt: skip
    if not values["name_uk"] or not values["phone"]:
        raise BadInput("knowledge.empty")
    return edits.save(conn, contact, contact_id, version, values, now=now, staff_id=staff_id)


# ── information given ──
def given(conn: Connection, linkedid: str, kind: Kind, record_id: int, staff_id: int | None,
          now: dt.datetime) -> bool:  # fmt: skip
    """This was told in this call: counted once, however often it is said; whether it was new.

    The call was then a consultation, unless an appeal came of it or a person says otherwise. NotFound for what there is
    not, BadInput for what is no call's id.
    """
    table = _TABLES[kind]
    if conn.execute(select(1).where(table.c.id == record_id)).first() is None:
        raise NotFound("knowledge.unknown")
    new = insert_or_ignore(conn, consultation, {"linkedid": texts.linkedid(linkedid), "kind": kind.value,
                                                "record_id": record_id, "staff_id": staff_id, "at": now})  # fmt: skip
    if new:
        calls.settle_by_itself(conn, linkedid, calls.Outcome.CONSULTED, staff_id, now)
    return new


def given_in(conn: Connection, linkedid: str) -> frozenset[tuple[str, int]]:
    """What was told in a call: (Kind, record's id) each."""
    told = select(consultation.c.kind, consultation.c.record_id).where(consultation.c.linkedid == linkedid)
    return frozenset((row.kind, row.record_id) for row in conn.execute(told))


def times_given(conn: Connection, since: dt.datetime) -> dict[tuple[str, int], int]:
    """How often each was told since then."""
    counted = (select(consultation.c.kind, consultation.c.record_id, func.count().label("n"))
               .where(consultation.c.at >= since).group_by(consultation.c.kind, consultation.c.record_id))  # fmt: skip
    return {(row.kind, row.record_id): row.n for row in conn.execute(counted)}
