"""Campaigns: which confirmations are called, how, when and how often; and their course, step by step.

A running campaign takes the callbacks that are due, match its terms and are in no open campaign; the one started last
takes first. What it has taken is called on its terms only, by whomever, until it is done; in a paused one nobody is
called. A callback that no campaign has taken goes on without.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, exists, func, or_, select, true, update

from crm import edits, texts
from crm.campaign_rules import (
    EDITABLE,
    NAME_MOST,
    OPEN,
    Mode,
    State,
    Step,
    Terms,
    after,
    may_not_call,
    may_not_call_him,
)
from crm.confirmation_rules import Mode as AskedBy
from crm.confirmation_rules import Reached, Rules
from crm.errors import BadInput, IllegalAction, NotFound
from crm.periods import Period, day_of
from crm.schema import appeal, attempt, callback, callback_appeal, campaign, citizen, department, district, subject
from crm.store import Statement

AT_ONCE = 500  # callbacks taken in one transaction

_TERMS = tuple(Terms.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Campaign:
    id: int
    state: State
    terms: Terms
    created_at: dt.datetime
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    version: int

    @property
    def is_open(self) -> bool:
        """Whether what it has taken is called on its terms only."""
        return self.state in OPEN


_COLUMNS = (campaign.c.id, campaign.c.state, campaign.c.created_at, campaign.c.started_at, campaign.c.ended_at,
            campaign.c.version, *(campaign.c[name] for name in _TERMS))  # fmt: skip
_ALL: Select[Any] = select(*_COLUMNS)
_BY_ID = _ALL.where(campaign.c.id == bindparam("id"))
_OPEN_ONES: Select[Any] = (_ALL.where(campaign.c.state.in_([state.value for state in OPEN]))
                           .order_by(campaign.c.started_at.desc(), campaign.c.id.desc()))  # fmt: skip
_HOLDER = _ALL.where(campaign.c.id == select(callback.c.campaign_id).where(callback.c.id == bindparam("callback"))
                     .scalar_subquery()).with_for_update()  # fmt: skip
_TRIED = Statement(select(func.count()).where(
    attempt.c.placed_at >= bindparam("since"), attempt.c.citizen_id == bindparam("citizen"),
    attempt.c.promise_id.is_(None), attempt.c.outcome != Reached.NOT_PLACED.value))  # fmt: skip
_PLACED = (select(callback.c.campaign_id, func.count()).join_from(attempt, callback)
           .where(attempt.c.placed_at >= bindparam("since"), callback.c.campaign_id.is_not(None),
                  attempt.c.outcome != Reached.NOT_PLACED.value).group_by(callback.c.campaign_id))  # fmt: skip


def _read(row: Row[Any]) -> Campaign:
    terms = {name: row._mapping[name] for name in _TERMS}
    return Campaign(row.id, State(row.state), Terms(**{**terms, "mode": Mode(terms["mode"])}), row.created_at,
                    row.started_at, row.ended_at, row.version)  # fmt: skip


def listed(conn: Connection) -> list[Campaign]:
    """Those that run or are paused, then drafts, then those done; the latest first."""
    found = [_read(row) for row in conn.execute(_ALL.order_by(campaign.c.id.desc()))]
    return sorted(found, key=lambda one: (not one.is_open, one.state is State.DONE))


def get(conn: Connection, campaign_id: int) -> Campaign:
    """NotFound if there is none."""
    row = conn.execute(_BY_ID, {"id": campaign_id}).one_or_none()
    if row is None:
        raise NotFound("campaign.unknown")
    return _read(row)


# ── made, and moved from state to state ──────────────────────────────────────────────────────
def terms_of(**values: Any) -> Terms:
    """Terms out of a form's fields. BadInput as ``Terms``."""
    return Terms(**{**values, "name": texts.line(values["name"], NAME_MOST), "mode": Mode(values["mode"])})


def save(conn: Connection, campaign_id: int | None, version: int | None, terms: Terms, *, staff_id: int | None,
         now: dt.datetime) -> int:  # fmt: skip
    """Drafts one (``campaign_id`` None), or changes a draft or a paused one as it was seen: its id. Whatever a paused
    one has taken it keeps.

    IllegalAction "campaign.not_editable"; NotFound for an unknown subject, department or district; Stale.
    """
    for table, key in ((department, terms.department_id), (subject, terms.subject_id), (district, terms.district_id)):
        if key is not None and conn.execute(select(1).where(table.c.id == key)).first() is None:
            raise NotFound(f"{table.name}.unknown")
    values: dict[str, Any] = {**asdict(terms), "mode": terms.mode.value}
    if campaign_id is None:
        values |= {"state": State.DRAFT.value, "created_at": now, "created_by": staff_id}
    elif get(conn, campaign_id).state not in EDITABLE:
        raise IllegalAction("campaign.not_editable")
    return edits.save(conn, campaign, campaign_id, version, values, now=now, staff_id=staff_id)


def step(conn: Connection, campaign_id: int, what: Step, *, version: int | None, staff_id: int | None,
         now: dt.datetime) -> State:  # fmt: skip
    """Starts, pauses, resumes or ends it, as it was seen. IllegalAction "campaign.not_now", NotFound, Stale."""
    state = after(get(conn, campaign_id).state, what)
    times = {Step.START: {"started_at": now}, Step.END: {"ended_at": now}}.get(what, {})
    edits.save(conn, campaign, campaign_id, version, {"state": state.value, **times}, now=now, staff_id=staff_id)
    return state


def history(conn: Connection, campaign_id: int, limit: int = 50) -> list[edits.Edit]:
    """Who changed it and when, the latest first."""
    return edits.recent(conn, {campaign.name}, limit, key=campaign_id)


# ── which confirmations ──────────────────────────────────────────────────────────────────────
def free() -> ColumnElement[bool]:
    """Of a callback: no open campaign has it."""
    its = campaign.alias()  # a query may have campaigns of its own
    over = select(its.c.id).where(its.c.state.not_in([state.value for state in OPEN]))
    return or_(callback.c.campaign_id.is_(None), callback.c.campaign_id.in_(over))


def matches(terms: Terms, now: dt.datetime) -> ColumnElement[bool]:
    """Of a callback: an appeal that it is still to ask about is one of these, and it may be asked so."""
    conditions: list[ColumnElement[bool]] = [
        callback_appeal.c.callback_id == callback.c.id, callback_appeal.c.result == "",
        asked_about(terms, now)]  # fmt: skip
    asks: ColumnElement[bool] = exists().where(appeal.c.id == callback_appeal.c.appeal_id, *conditions)
    if terms.mode is not Mode.AUTOMATIC:
        return asks
    consents = exists().where(citizen.c.id == callback.c.citizen_id, citizen.c.auto_confirm)
    return and_(callback.c.mode == AskedBy.AUTO.value, consents, asks)


def asked_about(terms: Terms, now: dt.datetime) -> ColumnElement[bool]:
    """Of an appeal: it is one of those that the campaign is about."""
    found: list[ColumnElement[bool]] = [true()]
    for column, value in ((appeal.c.department_id, terms.department_id), (appeal.c.district_id, terms.district_id)):
        if value is not None:
            found.append(column == value)
    if terms.subject_id is not None:
        found.append(appeal.c.subject_id.in_(_below(terms.subject_id)))
    if terms.older_days:
        found.append(appeal.c.executed_at <= now - dt.timedelta(days=terms.older_days))
    return and_(*found)


def _below(subject_id: int) -> Select[Any]:
    """The subject and all below it."""
    tree = select(subject.c.id).where(subject.c.id == subject_id).cte("below", recursive=True)
    tree = tree.union_all(select(subject.c.id).where(subject.c.parent_id == tree.c.id))
    return select(tree.c.id)


def take(conn: Connection, now: dt.datetime) -> int:
    """The running campaigns take what is due and theirs, the one started last first; how many callbacks. Two who take
    at once take different ones."""
    taken = 0
    for one in open_campaigns(conn):
        if one.state is not State.RUNNING:
            continue
        theirs = (select(callback.c.id).where(callback.c.state == "due", free(), matches(one.terms, now))
                  .order_by(callback.c.id).limit(AT_ONCE).with_for_update(of=callback, skip_locked=True))  # fmt: skip
        ids = list(conn.scalars(theirs))
        if ids:
            conn.execute(update(callback).where(callback.c.id.in_(ids)).values(campaign_id=one.id))
            taken += len(ids)
    return taken


# ── on whose terms one is called ─────────────────────────────────────────────────────────────
def open_campaigns(conn: Connection) -> list[Campaign]:
    """Running and paused, the one started last first."""
    return [_read(row) for row in conn.execute(_OPEN_ONES)]


def calling(conn: Connection, now: dt.datetime, rules: Rules) -> dict[int, str | None]:
    """The open campaigns, and why each of them calls nobody now; None for one that may."""
    found = open_campaigns(conn)
    placed = placed_today(conn, now) if any(one.terms.daily_cap is not None for one in found) else {}
    return {one.id: may_not_call(one.terms, one.state, placed_today=placed.get(one.id, 0), now=now, rules=rules)
            for one in found}  # fmt: skip


def placed_today(conn: Connection, now: dt.datetime) -> Mapping[int, int]:
    """How many calls each campaign has placed since midnight in Kyiv; one without is not there."""
    return {row[0]: row[1] for row in conn.execute(_PLACED, {"since": midnight(now)})}


def holder(conn: Connection, callback_id: int) -> Campaign | None:
    """The campaign that has the callback, held until the transaction ends, so that its caps hold whoever else claims;
    None if none has ever had it."""
    row = conn.execute(_HOLDER, {"callback": callback_id}).one_or_none()
    return None if row is None else _read(row)


def check(conn: Connection, one: Campaign, citizen_id: int, now: dt.datetime, rules: Rules) -> None:
    """BadInput why an open campaign does not call this citizen now."""
    if not one.is_open:
        return
    placed = placed_today(conn, now).get(one.id, 0) if one.terms.daily_cap is not None else 0
    tried = int(_TRIED.value(conn, {"since": midnight(now), "citizen": citizen_id}))
    why_not = (may_not_call(one.terms, one.state, placed_today=placed, now=now, rules=rules)
               or may_not_call_him(one.terms, tried_today=tried))  # fmt: skip
    if why_not:
        raise BadInput(why_not)


def take_turns(conn: Connection) -> None:
    """Until the transaction ends nobody else reserves a seat for a progressive campaign."""
    conn.execute(select(campaign.c.id).where(campaign.c.mode == Mode.PROGRESSIVE.value,
                                             campaign.c.state == State.RUNNING.value)
                 .order_by(campaign.c.id).with_for_update()).all()  # fmt: skip


def midnight(now: dt.datetime) -> dt.datetime:
    """When Kyiv's day began."""
    today = day_of(now)
    return Period(today, today).start
