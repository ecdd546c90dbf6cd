"""What callers are told before they ask: of an incident, those of its place; or everybody, of the whole city.

One announcement at a time of each incident, and one to everybody: the next ends the former. A supervisor's words, or,
where he wrote none, those made of what is on record (``ivr/announcer.py`` makes them, and every sound).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, or_, select, union, update

from crm import life, texts
from crm.edits import log_edit
from crm.errors import BadInput, IllegalAction, NotFound
from crm.incidents import State
from crm.schema import announcement, appeal, citizen, citizen_phone, incident, network_building, staff
from crm.store import Statement, insert_row

LONGEST = 600  # characters


@dataclass(frozen=True, slots=True)
class Announcement:
    """``texts``, ``sounds``: by language; "" for none. No text at all: nothing is said of the incident."""

    id: int
    incident_id: int | None
    texts: Mapping[str, str]
    sounds: Mapping[str, str]
    made_at: dt.datetime
    made_by: int | None  # None: made of what is on record
    maker: str

    @property
    def silent(self) -> bool:
        return not any(self.texts.values())


@dataclass(frozen=True, slots=True)
class News:
    """What a caller is to hear, and of which incident. ``sounds``: prompts' names by language."""

    id: int  # the announcement's: another one is news again
    incident_id: int
    sounds: Mapping[str, str]


_ANNOUNCEMENT: Select[Any] = (
    select(*(announcement.c[name] for name in ("id", "incident_id", "text_uk", "text_en", "sound_uk", "sound_en",
                                               "made_at", "made_by")), func.coalesce(staff.c.name, ""))
    .join_from(announcement, staff, announcement.c.made_by == staff.c.id, isouter=True)
    .where(announcement.c.ended_at.is_(None)).order_by(announcement.c.id)
)  # fmt: skip


def _announcement(row: Any) -> Announcement:
    return Announcement(row[0], row[1], {"uk": row[2], "en": row[3]}, {"uk": row[4], "en": row[5]}, *row[6:])


def live(conn: Connection) -> list[Announcement]:
    """All that hold now, the one to everybody among them."""
    return [_announcement(row) for row in conn.execute(_ANNOUNCEMENT)]


def of(conn: Connection, incident_id: int | None) -> Announcement | None:
    """An incident's; None: the one to everybody."""
    row = conn.execute(_ANNOUNCEMENT.where(announcement.c.incident_id == incident_id)).first()
    return _announcement(row) if row else None


# ── what a caller hears ──
_open = or_(*(appeal.c.state == state.value for state in sorted(life.OPEN)))
_at_number = (citizen_phone.c.e164 == bindparam("e164"), citizen_phone.c.wrong.is_(False))
_his = union(
    select(citizen.c.building_id).join(citizen_phone, citizen_phone.c.citizen_id == citizen.c.id)
    .where(*_at_number, citizen.c.building_id.is_not(None)),
    select(appeal.c.building_id).join(citizen_phone, citizen_phone.c.citizen_id == appeal.c.citizen_id)
    .where(*_at_number, appeal.c.building_id.is_not(None), _open),
)  # fmt: skip
_HIS = Statement(_his)
_ANY = Statement(select(announcement.c.id).where(
    announcement.c.ended_at.is_(None), announcement.c.incident_id.is_not(None), announcement.c.sound_uk != "").limit(1))
_his_buildings = select(_his.subquery().c.building_id)
_NEWS = Statement(
    select(announcement.c.id, announcement.c.incident_id, announcement.c.sound_uk, announcement.c.sound_en)
    .join_from(announcement, incident)
    .where(announcement.c.ended_at.is_(None), announcement.c.sound_uk != "", incident.c.state == State.OPEN.value,
           or_(incident.c.building_id.in_(_his_buildings), incident.c.network_id.in_(
               select(network_building.c.network_id).where(network_building.c.building_id.in_(_his_buildings)))))
    .order_by(incident.c.opened_at.desc(), announcement.c.id.desc())
)  # fmt: skip


def news(conn: Connection, e164: str) -> News | None:
    """What is announced of an open incident at a building of this number's: the latest. None for no number.

    A building is his where he lives, and where an open appeal of his is about. On most days nothing is announced, and
    then nothing is looked for.
    """
    rows = _NEWS(conn, {"e164": e164}) if e164 and _ANY(conn, {}) else ()
    return News(rows[0][0], rows[0][1], {"uk": rows[0][2], "en": rows[0][3]}) if rows else None


def leads_anywhere(conn: Connection, e164: str) -> bool:
    """Whether a building is known for this number."""
    return bool(e164 and _HIS(conn, {"e164": e164}))


# ── what people do ──
def announce(conn: Connection, incident_id: int | None, words: Mapping[str, str], sounds: Mapping[str, str], *,
             now: dt.datetime, staff_id: int | None) -> int:  # fmt: skip
    """Says so from now on, in place of what was said: the announcement's id. ``words`` and their ``sounds``: by
    language; there must be Ukrainian ones, and each has its sound.

    BadInput ``announcement.no_text``, ``announcement.no_sound``, ``text.too_long``; NotFound, and IllegalAction for an
    incident that is not open.
    """
    cleaned = {language: clean(words.get(language, "")) for language in ("uk", "en")}
    if not cleaned["uk"]:
        raise BadInput("announcement.no_text")
    if any(text and not sounds.get(language) for language, text in cleaned.items()):
        raise BadInput("announcement.no_sound")
    return _say(conn, incident_id, cleaned, sounds, now, staff_id)


def hush(conn: Connection, incident_id: int, *, now: dt.datetime, staff_id: int | None) -> None:
    """Nothing more is said of it, until words are written or taken of what is on record again. As ``announce``."""
    _say(conn, incident_id, {"uk": "", "en": ""}, {}, now, staff_id)


def retire(conn: Connection, incident_id: int | None, *, now: dt.datetime, staff_id: int | None) -> bool:
    """Takes back what was said: of an incident, what is on record is said instead. False if nothing was said."""
    before = of(conn, incident_id)
    if before is None:
        return False
    _end(conn, incident_id, now, staff_id)
    if before.made_by is not None:
        log_edit(conn, now=now, staff_id=staff_id, what="announcement", key=incident_id or "city",
                 before=_plain(before.texts), after=None)  # fmt: skip
    return True


def clean(words: str) -> str:
    """As it is spoken and kept: one line. BadInput ``text.too_long``."""
    return texts.line(words, LONGEST)


# ── what is made of what is on record ──
def by_default(conn: Connection, incident_id: int, words: Mapping[str, str], sounds: Mapping[str, str],
               now: dt.datetime) -> bool:  # fmt: skip
    """What is said of an open incident of which nobody has written anything. False if somebody has meanwhile, or it is
    over."""
    before = of(conn, incident_id)
    if (before is not None and before.made_by is not None) or not _is_open(conn, incident_id):
        return False
    _end(conn, incident_id, now, None)
    _insert(conn, incident_id, words, sounds, now, None)
    return True


def spoken(conn: Connection, announcement_id: int, sounds: Mapping[str, str]) -> None:
    """The words are what they were, and have these sounds now."""
    conn.execute(update(announcement).where(announcement.c.id == announcement_id)
                 .values({f"sound_{language}": sound for language, sound in sounds.items()}))  # fmt: skip


def end_those_over(conn: Connection, now: dt.datetime) -> None:
    """Ends what is said of incidents that are not open any more."""
    over = select(incident.c.id).where(incident.c.id == announcement.c.incident_id,
                                       incident.c.state != State.OPEN.value)  # fmt: skip
    conn.execute(update(announcement).where(announcement.c.ended_at.is_(None), over.exists()).values(ended_at=now))


# ── within ──
def _say(conn: Connection, incident_id: int | None, words: Mapping[str, str], sounds: Mapping[str, str],
         now: dt.datetime, staff_id: int | None) -> int:  # fmt: skip
    if incident_id is not None and not _is_open(conn, incident_id):
        raise IllegalAction("announcement.not_open")
    before = of(conn, incident_id)
    _end(conn, incident_id, now, staff_id)
    made = _insert(conn, incident_id, words, sounds, now, staff_id)
    log_edit(conn, now=now, staff_id=staff_id, what="announcement", key=incident_id or "city",
             before=_plain(before.texts) if before else None, after=_plain(words))  # fmt: skip
    return made


def _is_open(conn: Connection, incident_id: int) -> bool:
    """Its row is held, so that two do not speak of it at once."""
    state = conn.execute(select(incident.c.state).where(incident.c.id == incident_id).with_for_update()).scalar()
    if state is None:
        raise NotFound("incident.unknown")
    return bool(state == State.OPEN.value)


def _end(conn: Connection, incident_id: int | None, now: dt.datetime, staff_id: int | None) -> None:
    conn.execute(update(announcement)
                 .where(announcement.c.incident_id == incident_id, announcement.c.ended_at.is_(None))
                 .values(ended_at=now, ended_by=staff_id))  # fmt: skip


def _insert(conn: Connection, incident_id: int | None, words: Mapping[str, str], sounds: Mapping[str, str],
            now: dt.datetime, staff_id: int | None) -> int:  # fmt: skip
    return insert_row(conn, announcement, {
        "incident_id": incident_id, "text_uk": words["uk"], "text_en": words["en"], "made_at": now, "made_by": staff_id,
        "sound_uk": sounds.get("uk", ""), "sound_en": sounds.get("en", "")})  # fmt: skip


def _plain(words: Mapping[str, str]) -> dict[str, str]:
    return {f"text_{language}": text for language, text in words.items()}
