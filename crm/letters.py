"""Letters to departments and to people of the centre: what they must be told (``crm.notices``), many in one.

A letter's content is settled before it is first sent, so that a second copy of it says that it is one.
"""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, func, or_, select, update

from crm import texts
from crm.life import OPEN, TO_ACT
from crm.notices import OFFICE, Audience, over, words_of
from crm.schema import appeal, building, department, notice, staff, street, subject
from crm.telling import Kind, Way, pause_s

MOST = 200  # notices that one letter carries; the next ones come in another
GATHERED = 2000  # notices that are looked at in one go
LAST_TRY = 48


@dataclass(frozen=True, slots=True)
class Line:
    """One notice in a letter. ``note``: the words of the action that it tells of, "" if there were none.
    ``due_at`` … are the appeal's; it stands as it does now."""

    kind: Kind
    number: int
    subject_uk: str
    subject_en: str
    street: str
    building: str
    flat: str
    place: str
    due_at: dt.datetime
    note: str


@dataclass(frozen=True, slots=True)
class Mail:
    """A letter. ``id``: what its Message-ID is made of."""

    id: str
    name: str
    email: str
    language: str
    tries: int
    lines: tuple[Line, ...]


_n = notice.c
_OURS = _n.audience.in_([Audience.DEPARTMENT.value, Audience.STAFF.value])
_DUE = and_(_n.state == "due", _n.due_at <= bindparam("now"))
_email = func.coalesce(department.c.email, staff.c.email, "")
# What was told to act on, and has been taken note of, done or given to another since: that is told to nobody. Nor does
# a person tell what holds no longer.
_OVER = select(_n.id).join(appeal, _n.appeal_id == appeal.c.id).where(or_(
    and_(_DUE, _n.mail == "", or_(
        and_(_n.kind.in_([Kind.ASSIGNED.value, Kind.RETURNED.value, Kind.UNACKNOWLEDGED.value]),
             or_(appeal.c.acknowledged_at.is_not(None), appeal.c.state.not_in([state.value for state in TO_ACT]))),
        and_(_n.kind.in_([Kind.ASSIGNED.value, Kind.RETURNED.value]), appeal.c.department_id != _n.department_id),
        and_(_n.kind.in_([Kind.WARNING.value, Kind.OVERDUE.value]),
             appeal.c.state.not_in([state.value for state in OPEN])))),
    and_(_n.state == "due", _n.way == Way.PHONE.value, over),
)).limit(bindparam("limit"))  # fmt: skip
_LOOSE = (select(_n.id, _n.audience, _n.department_id, _n.staff_id, _n.created_at, _email.label("email"))
          .select_from(OFFICE).where(_DUE, _n.mail == "", _OURS)
          .order_by(_n.due_at, _n.id).limit(bindparam("limit")))  # fmt: skip
_IN_MAILS: Select[Any] = (
    select(_n.mail, func.coalesce(department.c.name, staff.c.name, "").label("name"), _email.label("email"),
           func.coalesce(staff.c.language, "uk").label("language"), _n.tries,
           _n.kind, appeal.c.number, subject.c.name_uk, subject.c.name_en, func.coalesce(street.c.name, ""),
           func.coalesce(building.c.number, ""), appeal.c.flat, appeal.c.place, appeal.c.due_at,
           func.coalesce(words_of, ""))
    .select_from(OFFICE.join(appeal, _n.appeal_id == appeal.c.id).join(subject, appeal.c.subject_id == subject.c.id)
                 .join(building, appeal.c.building_id == building.c.id, isouter=True)
                 .join(street, building.c.street_id == street.c.id, isouter=True))
    .where(_DUE, _n.mail != "", _OURS).order_by(_n.due_at, _n.mail, _n.id).limit(bindparam("limit"))
)  # fmt: skip
_OF_MAIL = update(notice).where(_n.mail == bindparam("of"), _n.state == "due")
_PUT = update(notice).where(_n.id == bindparam("of"))


def clear(conn: Connection, now: dt.datetime) -> int:
    """Ends what holds no longer and has not been put into a letter yet; how many."""
    ids = list(conn.execute(_OVER, {"now": now, "limit": GATHERED}).scalars())
    if ids:
        conn.execute(_PUT, [{"of": id, "state": "void"} for id in ids])
    return len(ids)


def gather(conn: Connection, now: dt.datetime, digest_s: float) -> int:
    """Puts what is due into letters, and says how many: to a department or a person of the centre one for all, once
    the oldest of them has waited for ``digest_s``. Who has no address gets none."""
    loose: dict[tuple[Any, ...], list[Any]] = {}
    for row in conn.execute(_LOOSE, {"now": now, "limit": GATHERED}):
        loose.setdefault((row.audience, row.department_id, row.staff_id), []).append(row)
    put: list[dict[str, Any]] = []
    letters = 0
    for rows in loose.values():
        if not rows[0].email:
            put += [{"of": row.id, "state": "void", "mail": "", "error": "no_address", "due_at": now} for row in rows]
        elif now - rows[0].created_at >= dt.timedelta(seconds=digest_s):
            for first in range(0, len(rows), MOST):
                letter, letters = secrets.token_hex(16), letters + 1
                put += [{"of": row.id, "state": "due", "mail": letter, "error": "", "due_at": now}
                        for row in rows[first : first + MOST]]  # fmt: skip
    if put:
        conn.execute(_PUT, put)
    return letters


def mails(conn: Connection, now: dt.datetime) -> list[Mail]:
    """Letters that may be sent now, the longest due first."""
    letters: dict[str, list[Any]] = {}
    rows = conn.execute(_IN_MAILS, {"now": now, "limit": GATHERED}).all()
    for row in rows:
        letters.setdefault(row[0], []).append(row)
    if len(rows) == GATHERED and len(letters) > 1:
        letters.popitem()  # it may go on beyond what was read
    return [Mail(id, its[0].name, its[0].email, its[0].language, its[0].tries,
                 tuple(Line(Kind(row[5]), *row[6:]) for row in its)) for id, its in letters.items()]  # fmt: skip


def sent(conn: Connection, mail_id: str, now: dt.datetime) -> None:
    """The letter has been taken by the mail server."""
    conn.execute(_OF_MAIL, {"of": mail_id, "state": "sent", "sent_at": now, "error": ""})


def failed(conn: Connection, mail: Mail, error: str, now: dt.datetime) -> None:
    """It has not: it is tried again after a pause that grows, and at last no more."""
    tries = mail.tries + 1
    again = now + dt.timedelta(seconds=pause_s(tries))
    conn.execute(_OF_MAIL, {"of": mail.id, "state": "void" if tries >= LAST_TRY else "due", "tries": tries,
                            "error": texts.remark(error), "due_at": again})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Post:
    """How the mail stands: what waits (of it tried in vain), since when, why not; departments that have no address."""

    waiting: int
    failing: int
    oldest: dt.datetime | None
    error: str
    silent: list[str]


def post(conn: Connection) -> Post:
    """For the control desk."""
    ours = and_(_n.state == "due", _OURS)
    waiting, failing, oldest = conn.execute(select(
        func.count(), func.count().filter(_n.error != ""), func.min(_n.created_at)).where(ours)).one()  # fmt: skip
    error = conn.execute(select(_n.error).where(ours, _n.error != "").order_by(_n.due_at).limit(1)).scalar()
    silent = select(department.c.name).where(department.c.active, department.c.email == "").order_by(department.c.name)
    return Post(waiting, failing, oldest, error or "", list(conn.execute(silent).scalars()))
