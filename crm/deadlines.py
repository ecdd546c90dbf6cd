"""Who is told, and when, that a deadline nears or has passed, that nobody acknowledges, that nobody is responsible.

The city says it (table ``escalation``), in working days. The policy is pure; ``watch`` does what it says. An appeal
keeps in ``watch_at`` when it must be looked at next, so that nothing else is read; every change of it asks for a look
(``crm.history.move``). What has been told stands in the appeal's history, in the transaction that tells it: so it is
told once, however often this runs, wherever it was killed and whatever the clock does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from crm import history, law, life, notices, questions, rulebook
from crm.calendar import Calendar
from crm.clock import KYIV
from crm.edits import log_edit
from crm.errors import BadInput, NotFound
from crm.life import Action, State
from crm.notices import Audience
from crm.people import Role
from crm.routing import Office
from crm.rulebook import Rulebook
from crm.schema import appeal, appeal_event, escalation, staff
from crm.store import insert_row

BATCH = 100  # appeals a transaction: a twentieth of a second, in which nothing else is written
MOST_DAYS = 60


class Event(StrEnum):
    """What is told; of which day the rule's days are counted."""

    WARNING = "warning"  # so many before the deadline
    OVERDUE = "overdue"  # after it
    UNACKNOWLEDGED = "unacknowledged"  # after it was passed to work
    UNROUTED = "unrouted"  # before it must be sent on, while it lies with the desk that takes what no rule routes


class Tell(StrEnum):
    """To whom."""

    DEPARTMENT = "department"
    SUPERIOR = "superior"  # the department above it; where there is none, the control desk
    CONTROL = "control"  # everybody of the control desk who can be written to
    OFFICIAL = "official"  # who has it under personal control
    STAFF = "staff"  # one person, by name


_KIND = {Event.WARNING: notices.Kind.WARNING, Event.OVERDUE: notices.Kind.OVERDUE,
         Event.UNACKNOWLEDGED: notices.Kind.UNACKNOWLEDGED, Event.UNROUTED: notices.Kind.WARNING}  # fmt: skip
_ACTION = {Event.WARNING: Action.WARN, Event.OVERDUE: Action.ESCALATE, Event.UNACKNOWLEDGED: Action.ESCALATE,
           Event.UNROUTED: Action.WARN}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of what the city says. ``staff_id``: for STAFF."""

    id: int
    event: Event
    days: int
    tell: Tell
    staff_id: int | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """What it depends on. ``passed_at``: when it was last passed to somebody to act on."""

    state: State
    due_at: dt.datetime
    forward_by: dt.datetime
    passed_at: dt.datetime
    acknowledged_at: dt.datetime | None = None
    extended_at: dt.datetime | None = None
    at_desk: bool = False  # with the desk that takes what no rule routes
    merged: bool = False  # it is executed with another, and watched with that


@dataclass(frozen=True, order=True, slots=True)
class Alert:
    """What must be told from ``at`` on. ``of``: of which deadline or passing, so that it is told once of each."""

    at: dt.datetime
    event: Event
    days: int
    of: str

    @property
    def told(self) -> tuple[str, int, str]:
        """As history remembers it."""
        return self.event.value, self.days, self.of


# ── the policy ──
def alerts(watched: Watched, rules: Collection[Rule], now: dt.datetime, calendar: Calendar) -> list[Alert]:
    """All that must be told of the appeal, now or (if nothing changes) later, soonest first."""
    if watched.state not in life.OPEN or (watched.merged and watched.state is not State.RETURNED):
        return []
    steps = {(rule.event, rule.days) for rule in rules}
    return sorted(alert for event, days in steps if (alert := _alert(watched, event, days, now, calendar)) is not None)


def _alert(watched: Watched, event: Event, days: int, now: dt.datetime, calendar: Calendar) -> Alert | None:
    due_day = _day(watched.due_at)
    match event:
        case Event.WARNING:
            at = law.start_of(calendar.shift(due_day, -days))
            # Whoever was given it, or more time for it, on that day or later has been told the deadline then.
            known = at <= max(watched.passed_at, watched.extended_at or watched.passed_at)
            return None if known or now > watched.due_at else Alert(at, event, days, due_day.isoformat())
        case Event.OVERDUE:
            at = watched.due_at if days == 0 else law.end_of(calendar.shift(due_day, days))
            return Alert(at, event, days, due_day.isoformat())
        case Event.UNACKNOWLEDGED:
            if watched.acknowledged_at is not None or watched.state not in _TO_ACKNOWLEDGE:
                return None
            at = law.end_of(calendar.shift(_day(watched.passed_at), days))
            return Alert(at, event, days, str(int(watched.passed_at.timestamp())))
        case Event.UNROUTED:
            day = _day(watched.forward_by)
            at = law.start_of(calendar.shift(day, -days))
            return Alert(at, event, days, day.isoformat()) if watched.at_desk else None


_TO_ACKNOWLEDGE = life.TRANSITIONS[Action.ACKNOWLEDGE][0]


def _day(at: dt.datetime) -> dt.date:
    return at.astimezone(KYIV).date()


# ── what the city says ──
def rules(conn: Connection) -> list[Rule]:
    """All, as they happen: by event, then by days."""
    e = escalation.c
    rows = conn.execute(select(e.id, e.event, e.days, e.tell, e.staff_id)).all()
    found = [Rule(row.id, Event(row.event), row.days, Tell(row.tell), row.staff_id) for row in rows]
    return sorted(found, key=lambda rule: (list(Event).index(rule.event), rule.days, rule.id))


def add_rule(conn: Connection, event: Event, days: int, tell: Tell, person_id: int | None = None, *,
             now: dt.datetime, staff_id: int | None) -> int:
    """The new rule's id. It holds for what is open already too. ``person_id``: for STAFF, and for nobody else.

    BadInput for days beyond MOST_DAYS, for a person who is missing, superfluous or gone, and for what is said already.
    """
    if not 0 <= days <= MOST_DAYS:
        raise BadInput("escalation.days", most=MOST_DAYS)
    if (tell is Tell.STAFF) != (person_id is not None):
        raise BadInput("escalation.staff")
    if person_id is not None and not conn.execute(select(staff.c.active).where(staff.c.id == person_id)).scalar():
        raise BadInput("escalation.staff")
    if any((rule.event, rule.days, rule.tell, rule.staff_id) == (event, days, tell, person_id) for rule in rules(conn)):
        raise BadInput("escalation.known")
    said = {"event": event.value, "days": days, "tell": tell.value, "staff_id": person_id}
    rule_id = insert_row(conn, escalation, said)
    log_edit(conn, now=now, staff_id=staff_id, what="escalation", key=rule_id, before=None, after=said)
    conn.execute(update(appeal).where(appeal.c.state.in_(_OPEN)).values(watch_at=now))
    return rule_id


def remove_rule(conn: Connection, rule_id: int, *, now: dt.datetime, staff_id: int | None) -> None:
    """NotFound if there is none."""
    e = escalation.c
    row = conn.execute(select(e.event, e.days, e.tell, e.staff_id).where(e.id == rule_id)).one_or_none()
    if row is None:
        raise NotFound("escalation.unknown")
    conn.execute(delete(escalation).where(e.id == rule_id))
    log_edit(conn, now=now, staff_id=staff_id, what="escalation", key=rule_id, before=row._asdict(), after=None)


_OPEN = sorted(state.value for state in life.OPEN)


# ── doing it ──
_DUE = (select(*(appeal.c[name] for name in ("id", "state", "department_id", "due_at", "acknowledged_at", "extended_at",
                                             "official_id", "lead_id", "executed_at")))
        .where(appeal.c.watch_at <= bindparam("now")).order_by(appeal.c.watch_at).limit(BATCH)
        .with_for_update(skip_locked=True))  # fmt: skip
_TOLD = frozenset(_ACTION.values())
_PAST = (select(appeal_event.c.appeal_id, appeal_event.c.action, appeal_event.c.at, appeal_event.c.evidence)
         .where(appeal_event.c.appeal_id.in_(bindparam("ids", expanding=True)),
                appeal_event.c.action.in_(sorted(a.value for a in _TOLD | life.PASSES | life.BEGINS_TERM)))
         .order_by(appeal_event.c.id))  # fmt: skip
_NEXT = update(appeal).where(appeal.c.id == bindparam("of")).values(watch_at=bindparam("next"))


@dataclass(slots=True)
class _Past:
    """What an appeal's history says of it."""

    began_at: dt.datetime
    passed_at: dt.datetime
    told: set[tuple[str, int, str]]


def watch(conn: Connection, now: dt.datetime, written_days: int = 14) -> int:
    """Tells what is due; how many appeals were looked at: if BATCH, there may be more of them. ``written_days``: how
    long a resident's word that was asked for in writing is awaited.

    What another transaction is changing just now is left to the next time.
    """
    due = conn.execute(_DUE, {"now": now}).all()
    if not due:
        return 0
    said, book, desk = rules(conn), rulebook.current(conn), _control_desk(conn)
    past = _past(conn, [row.id for row in due])
    looks: list[dict[str, Any]] = []
    for row in due:
        if row.state == State.AWAITING.value:
            looks.append({"of": row.id, "next": questions.wait(conn, row.id, row.executed_at, now, written_days)})
            continue
        was, office = past[row.id], book.routing.offices.get(row.department_id)
        watched = Watched(State(row.state), row.due_at, law.forward_by(was.began_at, book.calendar, book.terms),
                          was.passed_at, row.acknowledged_at, row.extended_at,
                          office is not None and office.is_desk, row.lead_id is not None)  # fmt: skip
        left = [alert for alert in alerts(watched, said, now, book.calendar) if alert.told not in was.told]
        for alert in left:
            if alert.at <= now:
                _tell(conn, row, alert, said, book, desk, now)
        looks.append({"of": row.id, "next": min((alert.at for alert in left if alert.at > now), default=None)})
    conn.execute(_NEXT, looks)
    return len(due)


def _past(conn: Connection, ids: Sequence[int]) -> dict[int, _Past]:
    found: dict[int, _Past] = {}
    for row in conn.execute(_PAST, {"ids": ids}):
        action = Action(row.action)
        was = found.setdefault(row.appeal_id, _Past(row.at, row.at, set()))
        if action in _TOLD:
            was.told.add((row.evidence.get("event"), row.evidence.get("days"), row.evidence.get("of")))
        if action in life.BEGINS_TERM:
            was.began_at = row.at
        if action in life.PASSES:
            was.passed_at = row.at
    return found


def _tell(conn: Connection, row: Any, alert: Alert, said: Collection[Rule], book: Rulebook, desk: Sequence[int],
          now: dt.datetime) -> None:  # fmt: skip
    """A line of history, and a notice to each; who is told for two reasons has one key, and so one notice."""
    tells = [rule for rule in said if (rule.event, rule.days) == (alert.event, alert.days)]
    for audience, recipient in (one for rule in tells for one in _recipients(rule, row, book.routing.offices, desk)):
        whom = {"department_id": recipient} if audience is Audience.DEPARTMENT else {"staff_id": recipient}
        notices.tell(conn, key=f"{alert.event}:{row.id}:{alert.days}:{alert.of}:{audience[0]}{recipient}",
                     kind=_KIND[alert.event], audience=audience, now=now, appeal_id=row.id,
                     data={"event": alert.event.value, "days": alert.days}, **whom)  # fmt: skip
    state = State(row.state)
    history.add(conn, row.id, _ACTION[alert.event], state, state, now=now, staff_id=None,
                department_id=row.department_id, evidence={
                    "event": alert.event.value, "days": alert.days, "of": alert.of,
                    "told": list(dict.fromkeys(rule.tell.value for rule in tells))})  # fmt: skip


def _recipients(rule: Rule, row: Any, offices: Any, desk: Sequence[int]) -> Iterator[tuple[Audience, int]]:
    match rule.tell:
        case Tell.DEPARTMENT:
            yield Audience.DEPARTMENT, row.department_id
        case Tell.SUPERIOR:
            own: Office | None = offices.get(row.department_id)
            above = offices.get(own.superior_id) if own is not None and own.superior_id is not None else None
            if above is not None and above.active:
                yield Audience.DEPARTMENT, above.id
            else:
                yield from ((Audience.STAFF, person) for person in desk)
        case Tell.CONTROL:
            yield from ((Audience.STAFF, person) for person in desk)
        case Tell.OFFICIAL:
            if row.official_id is not None:
                yield Audience.STAFF, row.official_id
        case Tell.STAFF:
            if rule.staff_id is not None:
                yield Audience.STAFF, rule.staff_id


def _control_desk(conn: Connection) -> list[int]:
    """Who of it can be written to. Whoever cannot sees the same on the control desk's page."""
    theirs = select(staff.c.id).where(staff.c.role == Role.CONTROL.value, staff.c.active, staff.c.email != "")
    return list(conn.execute(theirs.order_by(staff.c.id)).scalars())
