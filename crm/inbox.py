"""The specialists' inbox: what has come in writing and waits, whose work it is, and what it may belong to.

Nobody works on the same message: whoever takes it has it until he is done, gives it back, or has not touched it for
``CLAIM``; then another may take it over, saying why. Every change is on the version that was seen, so that of two at
once one is told.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select, true, update

from crm import appeals, confirmations, conversations, messages, notices, texts, written
from crm.appeals import AppealLine
from crm.confirmation_rules import Result
from crm.edits import log_edit
from crm.errors import BadInput, NotFound, Stale
from crm.life import OPEN, Action
from crm.life import State as AppealState
from crm.messages import ALSO, INTO, JOINED, State
from crm.notices import Kind
from crm.parts import part
from crm.recognised import Person
from crm.schema import appeal, citizen, citizen_address, citizen_phone, message, message_file, notice, staff

CLAIM = dt.timedelta(minutes=10)
MOST_COUNTED = 1000  # more is not counted, only said to be more
PREVIEW = 300  # characters of a text in a list
READ = 1000  # and of one that is looked through for danger
LATELY = 500  # messages that are looked through for what comes first: what is older has been looked at
FIRST_MOST = 10
CONVERSATION_MOST = 40
OFFERS_MOST = 8
NOTE_MOST = 2000
# The hand-written channels: what specialists enter themselves.
BY_HAND = ("visit", "tv", "paper")
CHANNELS = (*(each for each in appeals.CHANNELS if each not in BY_HAND), *BY_HAND)
# What somebody still has to act on, or its applicant is to be asked about.
OPEN_TO_SENDER = OPEN | {AppealState.EXECUTED, AppealState.AWAITING, AppealState.PLANNED, AppealState.UNCONFIRMED}
ASKED = frozenset({AppealState.AWAITING, AppealState.UNCONFIRMED})  # is it solved?

# Words after which nobody should wait for his turn; a false alarm costs a glance.
_DANGER = re.compile(
    r"запах\w* газ|газом|витік газ|вибух|пожеж|горить|заді?м|дим\b|диму\b|іскр|обірва\w* (?:дріт|дрот|провід|кабел)"
    r"|оголен\w* (?:дріт|дрот|провід|кабел)|б.є струм|прорв|прорив|затоплю|заливає|провал\w|обвал|завали|впал[оа] дерев"
    r"|застряг\w* (?:в|у) ліфт|непритомн|загроз\w* житт|smell of gas|gas leak|\bfire\b|smoke|explo|flood"
    r"|live wire|stuck in (?:the|a) lift|collaps")  # fmt: skip


class View(StrEnum):
    """A list of the inbox."""

    WAITING = "waiting"
    FREE = "free"  # of these, whose work is nobody's yet
    MINE = "mine"
    HELD = "held"  # looked at last: Held says why
    GOING = "going"  # conversations in which the service still asks
    DONE = "done"
    SPAM = "spam"


class Closed(StrEnum):
    """Why a message needs neither an appeal nor an answer."""

    THANKS = "thanks"
    NOTHING = "nothing"  # it asks for nothing
    TWICE = "twice"  # the same came by another way and is dealt with
    ELSEWHERE = "elsewhere"  # answered by telephone or in person
    NAMELESS = "nameless"  # it has no name, and nobody could be asked for it
    REPORTED = "reported"  # an emergency, told of by who gives no name
    OTHER = "other"  # the note says what


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which messages a list has. ``whose``: of MINE. ``since``, ``until``: when they came."""

    view: View = View.WAITING
    whose: int | None = None
    channel: str = ""
    reason: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A message in a list. ``text``: how it begins. ``danger``: words in it after which nobody should wait;
    ``privileged``: somebody known at its address is put first by law. ``staff``: who works on it, or has done so."""

    id: int
    channel: str
    address: str
    name: str
    title: str
    text: str
    state: State
    reason: str
    appeal: int | None  # the number
    staff_id: int | None
    staff: str
    claimed_at: dt.datetime | None
    received_at: dt.datetime
    done_at: dt.datetime | None
    files: int
    danger: bool
    privileged: bool

    def idle(self, now: dt.datetime) -> bool:
        return is_idle(self.claimed_at, now)


@dataclass(frozen=True, slots=True)
class File:
    """A file of a message. ``place``: where the photo was taken (latitude, longitude), as it said itself."""

    id: int
    message_id: int
    name: str
    media_type: str
    bytes: int
    sha256: str
    place: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it stands. ``said``: as ``messages.Incoming``. ``appeals``: the ids of what it became or belongs to.
    ``joined``: the ids of messages that go where it goes; ``into``: the message that it goes with. ``closed``: why it
    was done without an answer (Closed), and the note to it."""

    id: int
    channel: str
    external_id: str
    address: str
    name: str
    title: str
    text: str
    language: str
    said: dict[str, Any]
    state: State
    reason: str
    citizen_id: int | None
    appeals: list[int]
    staff_id: int | None
    staff: str
    claimed_at: dt.datetime | None
    received_at: dt.datetime
    done_at: dt.datetime | None
    version: int
    joined: list[int]
    into: int | None
    closed: str
    note: str

    @property
    def open(self) -> bool:
        return self.state in (State.NEW, State.GATHERING)

    @property
    def danger(self) -> bool:
        return danger(f"{self.title} {self.text}"[:READ])

    def idle(self, now: dt.datetime) -> bool:
        return is_idle(self.claimed_at, now)


def is_idle(claimed_at: dt.datetime | None, now: dt.datetime) -> bool:
    """Whether whoever took it then has left it."""
    return claimed_at is not None and now - claimed_at >= CLAIM


@lru_cache(maxsize=4096)
def danger(text: str) -> bool:
    """Whether it speaks of what cannot wait: gas, fire, a wire on the ground, somebody in a lift."""
    return _DANGER.search(text.lower()) is not None


# ── lists ────────────────────────────────────────────────────────────────────────────────────
_m = message.c
_WHOLE = _m.state != State.PART.value
_OPEN = and_(_m.done_at.is_(None), _m.state == State.NEW.value)  # along ix_message_open
_files = select(func.count()).where(message_file.c.message_id == _m.id).scalar_subquery()
# By whatever is known at its address: a letter's "From" proves nothing, but to be looked at first takes no proof.
_privileged = or_(
    exists().where(citizen.c.id == _m.citizen_id, citizen.c.privilege != ""),
    exists().where(citizen_phone.c.e164 == _m.address, citizen_phone.c.wrong.is_(False),
                   citizen.c.id == citizen_phone.c.citizen_id, citizen.c.privilege != ""),
    exists().where(citizen_address.c.channel.in_(["email", "facebook"]), citizen_address.c.address == _m.address,
                   citizen.c.id == citizen_address.c.citizen_id, citizen.c.privilege != ""),
)  # fmt: skip
_LINES: Select[Any] = (
    select(_m.id, _m.channel, _m.address, _m.name, _m.title, func.substr(_m.text, 1, READ).label("text"), _m.state,
           _m.reason, appeal.c.number, _m.staff_id, func.coalesce(staff.c.name, "").label("staff"), _m.claimed_at,
           _m.received_at, _m.done_at, _files.label("files"), _privileged.label("privileged"))
    .select_from(message.join(appeal, _m.appeal_id == appeal.c.id, isouter=True)
                 .join(staff, _m.staff_id == staff.c.id, isouter=True))
)  # fmt: skip


def find(conn: Connection, wanted: Wanted, *, limit: int, after_id: int | None = None) -> list[Line]:
    """What waits: the oldest first. What is over: the newest first. ``after_id`` continues a list."""
    ids = select(_m.id).where(*_conditions(wanted))
    if wanted.view in (View.DONE, View.SPAM):
        if after_id is not None:
            ids = ids.where(_m.id < after_id)
        ids = ids.order_by(_m.id.desc()).limit(limit)
    else:
        ids = part(conn, ids, _m.received_at, limit, after_id)
    return _lines(conn, conn.execute(ids).scalars().all())


def first(conn: Connection, wanted: Wanted) -> list[Line]:
    """Of what waits and nobody has taken, what should not wait for its turn: danger, then those whom the law puts
    first. Looked for among the latest LATELY; what is older has been looked at."""
    if wanted.view not in (View.WAITING, View.FREE):
        return []
    here = and_(*_conditions(wanted), _m.staff_id.is_(None))
    latest = (select(_m.id, func.substr(_m.text, 1, READ).label("text"), _m.title, _privileged.label("privileged"))
              .where(here).order_by(_m.received_at.desc(), _m.id.desc()).limit(LATELY))  # fmt: skip
    rows = [(danger(f"{row.title} {row.text}"), row.privileged, row.id) for row in conn.execute(latest)]
    urgent = sorted((not dangerous, id) for dangerous, privileged, id in rows if dangerous or privileged)
    return _lines(conn, [id for _, id in urgent[:FIRST_MOST]])


def counts(conn: Connection, whose: int) -> dict[View, int]:
    """How long each list of what is not over is, MOST_COUNTED at the most."""
    found = {}
    for view in (View.WAITING, View.FREE, View.MINE, View.HELD, View.GOING):
        some = select(_m.id).where(*_conditions(Wanted(view=view, whose=whose))).limit(MOST_COUNTED)
        found[view] = int(conn.execute(select(func.count()).select_from(some.subquery())).scalar_one())
    return found


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    of_view: dict[View, ColumnElement[bool]] = {
        View.WAITING: and_(_OPEN, _m.reason == ""),
        View.FREE: and_(_OPEN, _m.reason == "", _m.staff_id.is_(None)),
        View.MINE: and_(_OPEN, _m.staff_id == wanted.whose),
        View.HELD: and_(_OPEN, _m.reason == wanted.reason if wanted.reason else _m.reason != ""),
        View.GOING: and_(_m.done_at.is_(None), _m.state == State.GATHERING.value),
        View.DONE: _m.state == State.DONE.value,
        View.SPAM: _m.state == State.SPAM.value,
    }
    return [of_view[wanted.view],
            _m.channel == wanted.channel if wanted.channel else true(),
            _m.received_at >= wanted.since if wanted.since else true(),
            _m.received_at < wanted.until if wanted.until else true()]  # fmt: skip


def _lines(conn: Connection, ids: Sequence[int]) -> list[Line]:
    """These, in this order."""
    rows: dict[int, Any] = {row.id: row for row in conn.execute(_LINES.where(_m.id.in_(ids)))} if ids else {}
    return [Line(row.id, row.channel, row.address, row.name, row.title, row.text[:PREVIEW], State(row.state),
                 row.reason, row.number, row.staff_id, row.staff, row.claimed_at, row.received_at, row.done_at,
                 row.files, danger(f"{row.title} {row.text}"), bool(row.privileged))
            for row in (rows[id] for id in ids if id in rows)]  # fmt: skip


# ── one message ──────────────────────────────────────────────────────────────────────────────
_MESSAGE: Select[Any] = select(message, func.coalesce(staff.c.name, "").label("staff")).join_from(
    message, staff, _m.staff_id == staff.c.id, isouter=True)  # fmt: skip


def get(conn: Connection, message_id: int) -> Message:
    """NotFound ``message.unknown``."""
    row = conn.execute(_MESSAGE.where(_m.id == message_id, _WHOLE)).one_or_none()
    if row is None:
        raise NotFound("message.unknown")
    data: dict[str, Any] = row.data or {}
    own = {JOINED, INTO, ALSO, "closed", "note"}
    return Message(row.id, row.channel, row.external_id, row.address, row.name, row.title, row.text, row.language,
                   {key: value for key, value in data.items() if key not in own}, State(row.state), row.reason,
                   row.citizen_id, messages.became(row), row.staff_id, row.staff, row.claimed_at, row.received_at,
                   row.done_at, row.version, list(data.get(JOINED, ())), data.get(INTO), data.get("closed", ""),
                   data.get("note", ""))  # fmt: skip


_f = message_file.c
_FILE = select(_f.id, _f.message_id, _f.name, _f.media_type, _f.bytes, _f.sha256, _f.latitude, _f.longitude)


def files(conn: Connection, message_ids: Sequence[int]) -> list[File]:
    """Of these messages, in the order in which they came."""
    return [_file(row) for row in conn.execute(_FILE.where(_f.message_id.in_(message_ids)).order_by(_f.id))]


def file(conn: Connection, file_id: int) -> File:
    """NotFound ``attachment.unknown``."""
    row = conn.execute(_FILE.where(_f.id == file_id)).one_or_none()
    if row is None:
        raise NotFound("attachment.unknown")
    return _file(row)


def _file(row: Any) -> File:
    place = None if row.latitude is None else (row.latitude, row.longitude)
    return File(row.id, row.message_id, row.name, row.media_type, row.bytes, row.sha256, place)


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that was said in a conversation. ``message_id``: the message, or the one that is answered. ``ours``: an
    answer of ours; ``by``: whose, "" for the service; ``state``: how its sending stands, ``delivered``: what was
    reported of it. ``whole``: a message by itself, no part of a conversation's."""

    at: dt.datetime
    ours: bool
    message_id: int
    channel: str
    title: str = ""
    text: str = ""
    by: str = ""
    state: str = ""
    delivered: str = ""
    error: str = ""
    files: list[File] = field(default_factory=list)
    whole: bool = True


def conversation(conn: Connection, its: Message) -> list[Said]:
    """What this address has written by any channel, what is joined to the message, and what we answered: the last
    CONVERSATION_MOST messages, oldest first."""
    same = and_(_m.channel.in_(appeals.CHANNELS), _m.address == its.address) if its.address else _m.id == its.id
    columns = (_m.id, _m.channel, _m.title, _m.text, _m.received_at, _m.state, _m.external_id)
    rows = conn.execute(select(*columns).where(or_(same, _m.id.in_([its.id, *its.joined])))
                        .order_by(_m.received_at.desc(), _m.id.desc()).limit(CONVERSATION_MOST)).all()  # fmt: skip
    if its.id not in {row.id for row in rows}:  # an old one, of an address that has written much since
        rows = [*rows, *conn.execute(select(*columns).where(_m.id == its.id))]
    ids = [row.id for row in rows]
    came: dict[int, list[File]] = {id: [] for id in ids}
    for each in files(conn, ids):
        came[each.message_id].append(each)
    parts = any(row.state == State.PART.value for row in rows)  # then what was gathered of them need not be read twice
    said = [Said(row.received_at, False, row.id, row.channel, row.title,
                 "" if parts and row.external_id.startswith(conversations.TALK) else row.text, files=came[row.id],
                 whole=row.state != State.PART.value) for row in rows]  # fmt: skip
    n = notice.c
    answers = conn.execute(
        select(n.message_id, n.way, n.data, n.created_at, n.state, n.delivered, n.error,
               func.coalesce(staff.c.name, "").label("by"))
        .join_from(notice, staff, n.staff_id == staff.c.id, isouter=True)
        .where(n.message_id.in_(ids), n.kind == Kind.REPLY.value))  # fmt: skip
    said += [Said(row.created_at, True, row.message_id, row.way, text=row.data.get("text", ""), by=row.by,
                  state=row.state, delivered=row.delivered, error=row.error) for row in answers]  # fmt: skip
    return sorted(said, key=lambda each: (each.at, each.ours, each.message_id))


class Why(StrEnum):
    """Why an appeal is offered to a message, the strongest first."""

    NUMBER = "number"  # the message names it
    BEFORE = "before"  # an earlier message from this address belongs to it
    OPEN = "open"  # the sender's, and still open


@dataclass(frozen=True, slots=True)
class Offer:
    """``asked``: its applicant's word is awaited, and the message may be his: it may say it."""

    line: AppealLine
    why: Why
    asked: bool = False


def offers(conn: Connection, its: Message, people: Sequence[Person]) -> list[Offer]:
    """The appeals that the message may belong to: what it names, what this address has written of before, what it is
    asked about, what is open of whoever it is from; without what it belongs to already."""
    found: dict[int, Why] = {}
    number = its.said.get("number")
    if isinstance(number, int) and (named := appeals.by_number(conn, number)) is not None:
        found[named.id] = Why.NUMBER
    if its.address:
        before = conn.execute(
            select(_m.appeal_id).where(_m.channel.in_(appeals.CHANNELS), _m.address == its.address, _m.id != its.id,
                                       _m.appeal_id.is_not(None))
            .order_by(_m.received_at.desc()).limit(OFFERS_MOST))  # fmt: skip
        for row in before:
            found.setdefault(row.appeal_id, Why.BEFORE)
    asked_here = {each.number for each in written.awaiting(conn, its.address)}
    for one in asked_here:
        if (awaited := appeals.by_number(conn, one)) is not None:
            found.setdefault(awaited.id, Why.OPEN)
    for person in people:
        for line in appeals.search(conn, citizen_id=person.citizen.id, states=tuple(OPEN_TO_SENDER), limit=OFFERS_MOST):
            found.setdefault(line.id, Why.OPEN)
    ids = [id for id in found if id not in its.appeals][:OFFERS_MOST]
    his = {person.citizen.id for person in people}  # a stranger may name any number: they are public
    return [Offer(line, found[line.id], line.state in ASKED and (line.number in asked_here or line.citizen_id in his))
            for line in appeals.lines(conn, ids)]  # fmt: skip


def others(conn: Connection, its: Message) -> list[Line]:
    """What else of this address waits: messages that may be of one matter with this one."""
    if not its.address:
        return []
    ids = select(_m.id).where(_m.channel.in_(appeals.CHANNELS), _m.address == its.address, _m.id != its.id,
                              _OPEN).order_by(_m.received_at).limit(OFFERS_MOST)  # fmt: skip
    return _lines(conn, conn.execute(ids).scalars().all())


# ── whose work it is ─────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Act:
    """Who does something with a message, when, and on which version of it."""

    staff_id: int
    now: dt.datetime
    version: int


def claim(conn: Connection, message_id: int, by: Act, *, why: str = "", at_once: bool = False) -> None:
    """Takes it. A conversation that the service leads goes on with a person. What another has taken is taken over with
    a reason, once he has left it for CLAIM or ``at_once``; that is kept in the log of changes.

    Taken by who has it, nothing changes. Stale ``message.claimed`` while another works on it; BadInput
    ``message.no_why``; Stale ``message.over`` for what is done.
    """
    row = _held(conn, message_id)
    if State(row.state) in messages.ENDED:
        raise Stale("message.over")
    if row.staff_id == by.staff_id:
        return
    why = texts.line(why, 200)
    if row.staff_id is not None:
        if not at_once and row.claimed_at is not None and not is_idle(row.claimed_at, by.now):
            raise Stale("message.claimed")
        if not why:
            raise BadInput("message.no_why")
        log_edit(conn, now=by.now, staff_id=by.staff_id, what="message", key=message_id,
                 before={"staff_id": row.staff_id}, after={"staff_id": by.staff_id, "why": why})  # fmt: skip
    _change(conn, row, staff_id=by.staff_id, claimed_at=by.now, state=State.NEW.value)


def next_free(conn: Connection, staff_id: int, now: dt.datetime) -> int | None:
    """Takes what waits and is nobody's: danger and those whom the law puts first, then the oldest. None if there is
    nothing. Two who ask at once get two."""
    free = [line.id for line in first(conn, Wanted(view=View.FREE))]
    oldest = select(_m.id).where(*_conditions(Wanted(view=View.FREE))).order_by(_m.received_at, _m.id).limit(1)
    for query in (*(select(_m.id).where(_m.id == id, _OPEN, _m.staff_id.is_(None)) for id in free), oldest):
        id: int | None = conn.execute(query.with_for_update(skip_locked=True)).scalar()
        if id is not None:
            _change(conn, _held(conn, id), staff_id=staff_id, claimed_at=now)
            return id
    return None


def still(conn: Connection, message_id: int, staff_id: int, now: dt.datetime) -> bool:
    """This person still works on it, if it is his; whether another has it."""
    mine = (_m.id == message_id, _m.staff_id == staff_id, _m.done_at.is_(None))
    if conn.execute(update(message).where(*mine).values(claimed_at=now)).rowcount:
        return False
    return conn.execute(select(_m.staff_id).where(_m.id == message_id, _m.done_at.is_(None))).scalar() is not None


def release(conn: Connection, message_id: int, by: Act) -> None:
    """Gives it back: it is nobody's. One's own only (Stale ``message.claimed``)."""
    _change(conn, _working(conn, message_id, by), staff_id=None, claimed_at=None)


# ── what becomes of it ───────────────────────────────────────────────────────────────────────
def spam(conn: Connection, message_id: int, by: Act) -> None:
    """It is nothing: out of everybody's sight, and kept."""
    _end(conn, _working(conn, message_id, by), State.SPAM, by)


def ordinary(conn: Connection, message_id: int, by: Act) -> None:
    """What was held is looked at as any other."""
    _change(conn, _working(conn, message_id, by), reason="")


def close(conn: Connection, message_id: int, by: Act, why: Closed, note: str = "") -> None:
    """Done without an answer. BadInput ``message.no_note`` where the note must say why."""
    note = texts.text(note, NOTE_MOST)
    if why is Closed.OTHER and not note:
        raise BadInput("message.no_note")
    row = _working(conn, message_id, by)
    _end(conn, row, State.DONE, by, data={**row.data, "closed": why.value, "note": note})


def reopen(conn: Connection, message_id: int, by: Act) -> None:
    """It waits again, with who says so: for what was called spam, or was done and belongs to no appeal. What was joined
    to another message is by itself again. BadInput ``message.is_appeal`` for what belongs to an appeal."""
    row = _held(conn, message_id)
    if row.version != by.version or State(row.state) not in messages.ENDED:
        raise Stale("message.stale")
    if row.appeal_id is not None:
        raise BadInput("message.is_appeal")
    if (into := row.data.get(INTO)) is not None:
        other = _held(conn, into)
        _change(conn, other, data={**other.data, JOINED: [id for id in other.data.get(JOINED, ()) if id != message_id]})
    kept = {key: value for key, value in row.data.items() if key not in ("closed", "note", INTO)}
    _change(conn, row, state=State.NEW.value, reason="", done_at=None, staff_id=by.staff_id, claimed_at=by.now,
            data=kept)  # fmt: skip


def join(conn: Connection, message_id: int, into_id: int, by: Act) -> None:
    """Two messages of one matter: this one goes where the other goes. Is the other an appeal's already, it belongs to
    that; else its words and files come with the other's. BadInput ``message.itself``, ``message.joined_over`` for one
    that does not wait, without an appeal; of what was joined to another, the first one counts."""
    _, other = sorted((_held(conn, id) for id in sorted((message_id, into_id))), key=lambda row: row.id == into_id)
    if (first_of := other.data.get(INTO)) is not None:
        other = _held(conn, first_of)
    if other.id == message_id:
        raise BadInput("message.itself")
    row = _working(conn, message_id, by)
    if other.appeal_id is not None:
        messages.add_to(conn, message_id, other.appeal_id, now=by.now, staff_id=by.staff_id)
        return
    if State(other.state) is not State.NEW:
        raise BadInput("message.joined_over")
    mine = row.data.get(JOINED, [])  # what was joined to this one goes along: there are no chains
    for id in mine:
        each = _held(conn, id)
        _change(conn, each, data={**each.data, INTO: other.id})
    _change(conn, other, data={**other.data, JOINED: [*other.data.get(JOINED, ()), message_id, *mine]})
    data = {key: value for key, value in row.data.items() if key != JOINED}
    _end(conn, row, State.DONE, by, data={**data, INTO: other.id})


def add_to(conn: Connection, message_id: int, number: int, by: Act) -> int:
    """It belongs to the appeal with this number; the appeal's id. NotFound ``appeal.unknown``."""
    its = appeals.by_number(conn, number)
    if its is None:
        raise NotFound("appeal.unknown")
    _working(conn, message_id, by, also_done=True)
    messages.add_to(conn, message_id, its.id, now=by.now, staff_id=by.staff_id)
    _signed(conn, message_id, by)
    return its.id


def word(conn: Connection, message_id: int, number: int, by: Act, *, result: Result, remains: str,
         people: Sequence[Person]) -> None:  # fmt: skip
    """The resident's word, which a specialist has read in the message, on an appeal that is offered to it and awaits
    one; the message belongs to that. ``remains``: what is not solved yet. ``people``: as for ``offers``. BadInput
    ``message.no_remains``, ``message.not_asked``."""
    row = _working(conn, message_id, by, also_done=True)
    its = get(conn, message_id)
    if not any(one.asked and one.line.number == number for one in offers(conn, its, people)):
        raise BadInput("message.not_asked")
    note = texts.text(remains, appeals.LONGEST_NOTE) if result is not Result.SOLVED else (its.text or its.title)
    if result is not Result.SOLVED and not note:
        raise BadInput("message.no_remains")
    made = confirmations.answer(conn, number=number, result=result, now=by.now, staff_id=by.staff_id,
                                note=note[:appeals.LONGEST_NOTE], written=f"{row.channel}:{row.external_id}")
    messages.belongs(conn, message_id, made.id, now=by.now, staff_id=by.staff_id, action=Action.HEAR)
    _signed(conn, message_id, by)


def answer(conn: Connection, message_id: int, by: Act, *, text: str, key: str, done: bool) -> None:
    """Keeps an answer, to be sent back the way it came; ``done``: nothing more need be done. BadInput
    ``message.no_text``; else as ``notices.reply``."""
    if not text.strip():
        raise BadInput("message.no_text")
    row = _working(conn, message_id, by, also_done=True)
    notices.reply(conn, message_id=message_id, text=text, key=key, now=by.now, staff_id=by.staff_id)
    if State(row.state) in messages.ENDED:
        return
    if done:
        _end(conn, row, State.DONE, by)
    else:
        _change(conn, row, staff_id=by.staff_id, claimed_at=by.now)


def working(conn: Connection, message_id: int, by: Act) -> None:
    """For what is registered out of it: it is this person's now. Stale as the others."""
    _working(conn, message_id, by, also_done=True)
    _signed(conn, message_id, by)


def _signed(conn: Connection, message_id: int, by: Act) -> None:
    conn.execute(update(message).where(_m.id == message_id).values(staff_id=by.staff_id, claimed_at=by.now))


def _held(conn: Connection, message_id: int) -> Any:
    """Its row, until the transaction ends. NotFound ``message.unknown``."""
    row = messages.held(conn, message_id)
    if row.state == State.PART.value:
        raise NotFound("message.unknown")
    return row


def _working(conn: Connection, message_id: int, by: Act, *, also_done: bool = False) -> Any:
    """Its row, if this person may go on with it: it is his or nobody's, as he has seen it, and not over (unless
    ``also_done``: more may come of a message). Stale ``message.claimed``, ``message.stale``, ``message.over``."""
    row = _held(conn, message_id)
    over = State(row.state) in messages.ENDED
    if not over and row.staff_id not in (None, by.staff_id):
        raise Stale("message.claimed")
    if over and not also_done:
        raise Stale("message.over")
    if row.version != by.version or row.state == State.GATHERING.value:
        raise Stale("message.stale")
    return row


def _end(conn: Connection, row: Any, state: State, by: Act, **changes: Any) -> None:
    _change(conn, row, state=state.value, done_at=by.now, staff_id=by.staff_id, claimed_at=by.now, **changes)


def _change(conn: Connection, row: Any, **changes: Any) -> None:
    conn.execute(update(message).where(_m.id == row.id).values(version=row.version + 1, **changes))

