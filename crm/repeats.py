"""What is already known while an appeal is being written, and appeals on one question held together.

An appeal *repeats* an earlier one of the same person on the same question: linked, and counted on the first. It is
refused only on the law's ground, which ``appeals.act`` asks for. Appeals of several people on one question are
*merged*: they are executed with the one that leads, and each applicant is called back for himself. A
call that goes on with an appeal is *about* it: one appeal may come by several.

Known is found without a search over everything: the person's own appeals, the building's, the latest of the buildings
on its networks and the latest of the city are each a bounded walk along an index, and only they are compared.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Integer, Select, bindparam, func, or_, select, union, update

from crm import appeals, calls, life, rulebook, similar, texts
from crm import history as records
from crm.appeals import Appeal, AppealLine
from crm.errors import BadInput, Stale
from crm.life import Action, Evidence
from crm.schema import appeal, appeal_call, building, call, citizen_phone, network_building

NEAR = 0.35  # how near a text must be that comes from the same person, building or network
ALIKE = 0.55  # and one from anywhere else in the district
OWN, OF_BUILDING, OF_NETWORK, OF_CITY = 30, 60, 150, 250  # appeals that are compared, the latest of each
NETWORK_DAYS = 7  # what failed longer ago on a network is another failure
NEIGHBOURS = 1000  # buildings of its networks that are asked


class Reason(StrEnum):
    """Why an appeal is shown, the strongest first."""

    CITIZEN = "citizen"  # the same person's, or from the same telephone
    BUILDING = "building"
    NETWORK = "network"  # of a building that is fed by the same boiler house, substation or pump
    SIMILAR = "similar"  # near in meaning, in the same district


_WEIGHT = {Reason.CITIZEN: 0.3, Reason.BUILDING: 0.2, Reason.NETWORK: 0.1, Reason.SIMILAR: 0.0}
_SAME_SUBJECT, _SAME_BRANCH = 0.3, 0.15


@dataclass(frozen=True, slots=True)
class Known:
    """An appeal that is known already. ``nearness``: of its text, 0 to 1. ``repeats``: how many repeat it."""

    line: AppealLine
    reasons: tuple[Reason, ...]
    nearness: float
    repeats: int


# ── what is already known ──
_SCORED = (appeal.c.id, appeal.c.subject_id, appeal.c.building_id, appeal.c.state, appeal.c.registered_at,
           appeal.c.incident_id, appeal.c.place,
           func.substr(appeal.c.text, 1, similar.LONGEST).label("text"))  # fmt: skip
_NEWEST = (appeal.c.registered_at.desc(), appeal.c.id.desc())
_OWN = select(*_SCORED).where(appeal.c.id.in_(union(
    select(appeal.c.id).where(appeal.c.citizen_id == bindparam("citizen")),
    select(appeal.c.id).join(citizen_phone, appeal.c.citizen_id == citizen_phone.c.citizen_id)
    .where(citizen_phone.c.e164 == bindparam("e164"), citizen_phone.c.wrong.is_(False)),
    # Registered in a call from this number without saying whose it is.
    select(appeal.c.id).join(appeal_call).join(call, call.c.linkedid == appeal_call.c.linkedid)
    .where(call.c.caller == bindparam("e164"), appeal.c.citizen_id.is_(None)),
))).order_by(*_NEWEST).limit(OWN)  # fmt: skip
_OF_BUILDING = (select(*_SCORED).where(appeal.c.building_id == bindparam("building"))
                .order_by(*_NEWEST).limit(OF_BUILDING))  # fmt: skip
_mine, _theirs = network_building.alias("mine"), network_building.alias("theirs")
_NEIGHBOURS = (select(_theirs.c.building_id).join(_mine, _theirs.c.network_id == _mine.c.network_id)
               .where(_mine.c.building_id == bindparam("building"), _theirs.c.building_id != bindparam("building"))
               .distinct().limit(NEIGHBOURS))  # fmt: skip
# Bounded before it is put in order: a walk over each building's latest, not over the city's until enough are found.
_lately = select(*_SCORED).where(
    appeal.c.building_id.in_(bindparam("buildings", expanding=True)), appeal.c.registered_at >= bindparam("since"),
).limit(2000).subquery()  # fmt: skip
_OF_NETWORK = select(_lately).order_by(_lately.c.registered_at.desc()).limit(OF_NETWORK)
_here = bindparam("building", type_=Integer)
_its_district = select(building.c.district_id).where(building.c.id == _here).scalar_subquery()
_latest = select(*_SCORED, appeal.c.district_id).order_by(*_NEWEST).limit(OF_CITY).subquery()
_OF_CITY: Select[Any] = select(*(_latest.c[column.name] for column in _SCORED)).where(
    or_(_here.is_(None), _latest.c.building_id.is_(None), _latest.c.district_id == _its_district))
_REPEATS = (select(appeal.c.repeat_of, func.count()).group_by(appeal.c.repeat_of)
            .where(appeal.c.repeat_of.in_(bindparam("ids", expanding=True))))  # fmt: skip


def known(conn: Connection, *, citizen_id: int | None = None, e164: str = "", building_id: int | None = None,
          subject_id: int | None = None, text: str = "", now: dt.datetime, shown: Collection[int] = (),
          limit: int = 8) -> list[Known]:  # fmt: skip
    """What bears upon an appeal that is being written, open ones first, then the nearest.

    Of the person and the building: what has the subject (or its branch) or is near in meaning; while neither subject
    nor text is there, all. Of the networks and the rest of the district only with one of them. ``e164``: where he
    calls from, "" if hidden. ``shown``: incidents that are shown, whose appeals say nothing more unless they are his
    own. An unknown subject is as none.
    """
    chains = rulebook.current(conn, subject_id).routing.chains
    branch_id = branch(chains[subject_id]) if subject_id is not None and subject_id in chains else None
    typed = similar.trigrams(text[: similar.LONGEST])
    asked = branch_id is not None or bool(typed)
    found: dict[Reason, Sequence[Any]] = {
        Reason.CITIZEN: conn.execute(_OWN, {"citizen": citizen_id, "e164": e164 or None}).all()
        if citizen_id is not None or e164 else (),
        Reason.BUILDING: conn.execute(_OF_BUILDING, {"building": building_id}).all() if building_id else (),
        Reason.NETWORK: _of_network(conn, building_id, now) if building_id and asked else (),
        Reason.SIMILAR: conn.execute(_OF_CITY, {"building": building_id}).all() if typed else (),
    }
    rows: dict[int, Any] = {}
    reasons: dict[int, list[Reason]] = {}
    for reason, candidates in found.items():
        for row in candidates:
            rows.setdefault(row.id, row)
            reasons.setdefault(row.id, []).append(reason)
    scored = []
    for row in rows.values():
        near = similar.nearness(typed, similar.trigrams(f"{row.text} {row.place}")) if typed else 0.0
        of_branch = branch_id is not None and branch_id in chains.get(row.subject_id, ())
        why = [r for r in reasons[row.id] if (near >= ALIKE if r is Reason.SIMILAR else
                                              not asked or of_branch or near >= NEAR)]  # fmt: skip
        if why and (row.incident_id not in shown or Reason.CITIZEN in why):
            score = (near + _WEIGHT[why[0]] + (_SAME_SUBJECT if row.subject_id == subject_id else
                                               _SAME_BRANCH if of_branch else 0.0))  # fmt: skip
            scored.append((row.state in life.ENDED, -score, -row.registered_at.timestamp(), -row.id, tuple(why), near))
    best = sorted(scored)[:limit]
    return _shown(conn, {-minus_id: (why, near) for _, _, _, minus_id, why, near in best})


def _of_network(conn: Connection, building_id: int, now: dt.datetime) -> Sequence[Any]:
    neighbours = conn.execute(_NEIGHBOURS, {"building": building_id}).scalars().all()
    if not neighbours:
        return ()
    since = now - dt.timedelta(days=NETWORK_DAYS)
    return conn.execute(_OF_NETWORK, {"buildings": neighbours, "since": since}).all()


def _shown(conn: Connection, best: dict[int, tuple[tuple[Reason, ...], float]]) -> list[Known]:
    if not best:
        return []
    repeats = {row[0]: row[1] for row in conn.execute(_REPEATS, {"ids": list(best)})}
    return [Known(line, *best[line.id], repeats.get(line.id, 0)) for line in appeals.lines(conn, list(best))]


def branch(chain: Sequence[int]) -> int:
    """What a subject is of, for failures: the one right below the topmost ("heating", not "housing")."""
    return chain[-2] if len(chain) > 1 else chain[0]


# ── repeats ──
def link(conn: Connection, appeal_id: int, repeat_of: int, *, now: dt.datetime, staff_id: int | None = None) -> Appeal:
    """Says that an appeal repeats an earlier one; of one that is a repeat itself, the first.

    BadInput ``repeat.itself``, ``repeat.later`` (the other came after it), ``repeat.other_person`` (neither the same
    citizen nor one with the same telephone); NotFound for an unknown appeal. Told again, nothing changes.
    """
    before, earlier = records.standing(conn, appeal_id), appeals.get(conn, repeat_of)
    if earlier.repeat_of is not None:
        earlier = appeals.get(conn, earlier.repeat_of)
    its = appeals.get(conn, appeal_id)
    if earlier.id == its.id:
        raise BadInput("repeat.itself")
    if (earlier.registered_at, earlier.id) > (its.registered_at, its.id):
        raise BadInput("repeat.later")
    if not _same_person(conn, its.citizen_id, earlier.citizen_id):
        raise BadInput("repeat.other_person")
    if its.repeat_of == earlier.id:
        return its
    records.move(conn, before, Action.LINK, now=now, staff_id=staff_id, evidence={"repeat_of": earlier.number},
                 repeat_of=earlier.id)  # fmt: skip
    # What repeated this one repeats the first.
    conn.execute(update(appeal).where(appeal.c.repeat_of == its.id).values(repeat_of=earlier.id))
    return appeals.get(conn, appeal_id)


def of(conn: Connection, appeal_id: int) -> list[int]:
    """The numbers of the appeals that repeat this one, oldest first."""
    numbers = select(appeal.c.number).where(appeal.c.repeat_of == appeal_id).order_by(appeal.c.id)
    return list(conn.execute(numbers).scalars())


def _same_person(conn: Connection, one: int | None, other: int | None) -> bool:
    """As far as the records can tell: a name is written down in many ways, a telephone in one."""
    if one is None or other is None:
        return False
    if one == other:
        return True
    phones = select(citizen_phone.c.e164).where(citizen_phone.c.wrong.is_(False))
    shared = phones.where(citizen_phone.c.citizen_id == one,
                          citizen_phone.c.e164.in_(phones.where(citizen_phone.c.citizen_id == other)))  # fmt: skip
    return conn.execute(shared).first() is not None


# ── appeals of several people on one question ──
def merge(conn: Connection, appeal_id: int, lead_id: int, *, now: dt.datetime, staff_id: int | None = None,
          version: int | None = None) -> Appeal:  # fmt: skip
    """Merges an appeal with another, both open: it lies with the other's department and is executed with it.

    With one that is merged itself, it is merged with its lead; those merged with this one go along: there are no
    chains. BadInput ``merge.itself``; IllegalAction if either is not open; Stale if ``version`` is not the appeal's.
    """
    lead = records.standing(conn, lead_id)
    if lead.lead_id is not None:
        lead = records.standing(conn, lead.lead_id)
    before = records.standing(conn, appeal_id)
    if version is not None and version != before.version:
        raise Stale("appeal.stale")
    if lead.id == before.id:
        raise BadInput("merge.itself")
    life.after(lead.state, Action.MERGE, lead.returns)
    if before.lead_id == lead.id:
        return appeals.get(conn, appeal_id)
    for each in (before, *(records.standing(conn, id) for id in led_by(conn, before.id))):
        if each is before or Action.MERGE in life.possible(each.state):
            records.move(conn, each, Action.MERGE, now=now, staff_id=staff_id, evidence={"lead": lead.number},
                         lead_id=lead.id, department_id=lead.department_id)  # fmt: skip
        else:  # executed meanwhile: nothing is done to it, but where it would return to has another name
            conn.execute(update(appeal).where(appeal.c.id == each.id).values(lead_id=lead.id))
    return appeals.get(conn, appeal_id)


def split(conn: Connection, appeal_id: int, *, now: dt.datetime, staff_id: int | None = None,
          version: int | None = None) -> Appeal:  # fmt: skip
    """A merged appeal is its own again. BadInput ``merge.not_merged``; IllegalAction unless it is open."""
    before = records.standing(conn, appeal_id)
    if version is not None and version != before.version:
        raise Stale("appeal.stale")
    if before.lead_id is None:
        raise BadInput("merge.not_merged")
    records.move(conn, before, Action.SPLIT, now=now, staff_id=staff_id,
                 evidence={"lead": appeals.get(conn, before.lead_id).number}, lead_id=None)  # fmt: skip
    return appeals.get(conn, appeal_id)


def led_by(conn: Connection, lead_id: int) -> list[int]:
    """The ids of the appeals merged with this one, oldest first."""
    return list(conn.execute(select(appeal.c.id).where(appeal.c.lead_id == lead_id).order_by(appeal.c.id)).scalars())


# ── one appeal from several calls ──
def spoken_of(conn: Connection, appeal_id: int, linkedid: str, note: str, *, now: dt.datetime,
              staff_id: int) -> Appeal:  # fmt: skip
    """The call goes on with an appeal that there is: what was said stands in both histories, and nothing of the
    appeal's state changes. BadInput without a note, and for what is no call's id; NotFound for no such appeal."""
    before, note = records.standing(conn, appeal_id), texts.text(note, appeals.LONGEST_NOTE)
    if not note:
        raise BadInput("appeal.needs_note")
    said = records.evidence_of(Evidence(texts.linkedid(linkedid), staff_id=staff_id))
    records.move(conn, before, Action.HEAR, now=now, staff_id=staff_id, note=note, evidence=said)
    calls.about(conn, linkedid, appeal_id, calls.Outcome.ABOUT_APPEAL, staff_id, now)
    calls.add_event(conn, linkedid, now, "about", data={"number": before.number, "staff_id": staff_id})
    return appeals.get(conn, appeal_id)
