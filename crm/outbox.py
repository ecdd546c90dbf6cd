"""What goes out to residents, one notice after another: claimed and committed, handed to what carries it, and what came
of it kept. ``intake.sending`` does the carrying; ``crm.notices`` says by which way.

A claim that nothing came of was left by a process that died: after PATIENCE whoever carries is asked whether it went.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import Connection, Select, and_, bindparam, func, or_, select, update

from crm import notices, texts
from crm.notices import EARLY, Audience, over, words_of
from crm.schema import appeal, citizen, department, message, notice, stopped, subject, taken
from crm.telling import WAKES, Kind, Way, pause_s

PATIENCE = dt.timedelta(minutes=2)  # longer than anything that carries takes to send one
LAST_TRY = 48  # then the way is closed to it


@dataclass(frozen=True, slots=True)
class About:
    """The appeal as it stands. ``department``: with which it lies now; ``words``: of the action that is told of."""

    number: int
    code: str
    subject_uk: str
    subject_en: str
    registered_at: dt.datetime
    due_at: dt.datetime
    department: str
    words: str


@dataclass(frozen=True, slots=True)
class Going:
    """A notice that has been claimed. ``tries``: this one included; ``began_at``: when it was first handed over by this
    way; ``text``, ``ref``: as they were settled then, "" before. ``answers``: the channel's own name of the message
    that it answers, ``title`` that one's; ``by_person``: a specialist wrote it."""

    id: int
    kind: Kind
    way: Way
    address: str
    name: str
    language: str
    tries: int
    began_at: dt.datetime
    data: Mapping[str, Any]
    about: About | None
    answers: str = ""
    title: str = ""
    by_person: bool = False
    text: str = ""
    ref: str = ""


class Words(Protocol):
    """Who knows the sentences."""

    def text(self, its: Going) -> str: ...

    def ref(self, its: Going) -> str:
        """The name that it has from the beginning, at most 40 characters; "" where the service names it."""
        ...


_n = notice.c
# An answer to a word that stops is still given; nothing that was written later is.
_STOPPED = select(stopped.c.at).where(
    stopped.c.way == _n.way, stopped.c.address == _n.address,
    or_(_n.kind != Kind.REPLY.value, stopped.c.at < _n.created_at)).exists()  # fmt: skip
_DUE: Select[Any] = (
    select(_n.id, _n.tries, _n.data, over.label("over"), _STOPPED.label("stopped"))
    .select_from(notice.join(appeal, _n.appeal_id == appeal.c.id, isouter=True))
    .where(_n.state == "due", _n.due_at <= bindparam("now"), _n.way == bindparam("by"))
    .order_by(_n.due_at, _n.id).limit(1)
)  # fmt: skip
# A conversation goes on whatever the hour: a machine answers what he has just written.
_TALK = and_(_n.kind == Kind.REPLY.value, _n.staff_id.is_(None))
_LEFT: Select[Any] = (
    select(_n.id, _n.tries, _n.sent_at)
    .where(_n.state == "sending", _n.way == bindparam("by"), _n.sent_at <= bindparam("before")).limit(1)  # whichever
)  # fmt: skip
_GOING: Select[Any] = (
    select(_n.id, _n.kind, _n.way, _n.address, _n.audience, _n.tries, _n.data, _n.mail, _n.staff_id, _n.sent_at,
           func.coalesce(citizen.c.name, message.c.name, "").label("name"),
           func.coalesce(citizen.c.language, message.c.language, "uk").label("language"),
           message.c.language.label("spoken"), message.c.name.label("sender"),
           message.c.external_id, message.c.title, appeal.c.number, appeal.c.code, subject.c.name_uk, subject.c.name_en,
           appeal.c.registered_at, appeal.c.due_at, department.c.name.label("department"),
           func.coalesce(words_of, "").label("words"))
    .select_from(notice.join(appeal, _n.appeal_id == appeal.c.id, isouter=True)
                 .join(subject, appeal.c.subject_id == subject.c.id, isouter=True)
                 .join(department, appeal.c.department_id == department.c.id, isouter=True)
                 .join(citizen, _n.citizen_id == citizen.c.id, isouter=True)
                 .join(message, _n.message_id == message.c.id, isouter=True))
    .where(_n.id == bindparam("notice"))
)  # fmt: skip
_PUT = update(notice).where(_n.id == bindparam("of"))


def is_due(conn: Connection, way: Way, now: dt.datetime, *, awake: bool) -> bool:
    """Whether there is anything to do by this way. ``awake``: it may be sent at this hour; a conversation always."""
    values = {"now": now, "by": way.value, "before": now - PATIENCE}
    return conn.execute(_due(awake), values).first() is not None or conn.execute(_LEFT, values).first() is not None


def _due(awake: bool) -> Select[Any]:
    return _DUE if awake else _DUE.where(_TALK)


def claim(conn: Connection, way: Way, now: dt.datetime, words: Words, *, awake: bool) -> Going | None:
    """The next one that is due, for this process alone: commit before it is handed over. None when there is no more.

    What holds no longer ends here; what would go where he wants nothing more takes another way."""
    while (row := conn.execute(_due(awake).with_for_update(of=notice, skip_locked=True),
                               {"now": now, "by": way.value}).one_or_none()) is not None:  # fmt: skip
        if row.over:
            conn.execute(_PUT, {"of": row.id, "state": "void"})
        elif row.stopped:
            notices.close_way(conn, row.id, "stopped", now)
        else:
            data = {"began": now.isoformat(), **row.data}
            conn.execute(_PUT, {"of": row.id, "state": "sending", "sent_at": now, "tries": row.tries + 1})
            return _settled(conn, row.id, data, words)
    return None


def left(conn: Connection, way: Way, now: dt.datetime, words: Words) -> Going | None:
    """One that a process was sending when it died, taken over from it."""
    values = {"by": way.value, "before": now - PATIENCE}
    row = conn.execute(_LEFT.with_for_update(skip_locked=True), values).one_or_none()
    if row is None:
        return None
    conn.execute(_PUT, {"of": row.id, "sent_at": now, "tries": row.tries + 1})
    return _settled(conn, row.id, None, words)


def _settled(conn: Connection, notice_id: int, data: Mapping[str, Any] | None, words: Words) -> Going:
    """As it goes out, and goes out again if it must: what a service is asked for later is what it was given."""
    row = conn.execute(_GOING, {"notice": notice_id}).one()
    data = data or row.data
    about = None if row.number is None else About(row.number, row.code, row.name_uk, row.name_en, row.registered_at,
                                                  row.due_at, row.department, row.words)  # fmt: skip
    answer = row.audience == Audience.SENDER
    its = Going(row.id, Kind(row.kind), Way(row.way), row.address, row.sender if answer else row.name,
                row.spoken if answer else row.language, row.tries, dt.datetime.fromisoformat(data["began"]), data,
                about, row.external_id or "", row.title or "", row.staff_id is not None, data.get("body", ""),
                row.mail)  # fmt: skip
    if not its.text:
        its = replace(its, text=words.text(its))
    if not its.ref:
        its = replace(its, ref=words.ref(its))
    body = {"body": its.text} if its.way in WAKES else {}  # a letter is known by its name
    conn.execute(_PUT, {"of": its.id, "data": {**data, **body}, "mail": its.ref})
    return its


def _is_ours(conn: Connection, its: Going) -> bool:
    """Whether nobody has taken it over meanwhile; it is held until the transaction ends."""
    ours = select(_n.id).where(_n.id == its.id, _n.state == "sending", _n.tries == its.tries).with_for_update()
    return conn.execute(ours).first() is not None


def sent(conn: Connection, its: Going, ref: str, now: dt.datetime) -> None:
    """The service has taken it. ``ref``: its own name of it."""
    if not _is_ours(conn, its):
        return
    data = {name: value for name, value in its.data.items() if name not in ("began", "body")}
    conn.execute(_PUT, {"of": its.id, "state": "sent", "sent_at": now, "error": "", "sent_ref": ref[:120],
                        "delivered": "", "data": data})  # fmt: skip
    early = select(taken.c.key).where(taken.c.source == EARLY, taken.c.key == ref[:200])
    if ref and conn.execute(early).first() is not None:  # it had reported that before we had its name
        notices.delivered(conn, ref[:120], EARLY, now)


def later(conn: Connection, its: Going, error: str, now: dt.datetime, *, surely: bool = True) -> None:
    """It has not been taken, and may be later: after a pause that grows, and at last no more. ``surely``: False while
    nobody can tell whether it has been: it is asked for again then, not sent."""
    if not _is_ours(conn, its):
        return
    if its.tries >= LAST_TRY:
        notices.close_way(conn, its.id, error, now)
        return
    pause = dt.timedelta(seconds=pause_s(its.tries))
    conn.execute(_PUT, {"of": its.id, "error": texts.remark(error), **(
        {"state": "due", "due_at": now + pause, "sent_at": None} if surely else {"sent_at": now + pause - PATIENCE})})


def unsent(conn: Connection, its: Going, now: dt.datetime) -> None:
    """It surely did not go out before the process died: it is due again, whatever the hour allows."""
    if _is_ours(conn, its):
        conn.execute(_PUT, {"of": its.id, "state": "due", "due_at": now, "sent_at": None})


def refused(conn: Connection, its: Going, error: str, now: dt.datetime) -> None:
    """It never will be: the next way."""
    if _is_ours(conn, its):
        notices.close_way(conn, its.id, error, now)

