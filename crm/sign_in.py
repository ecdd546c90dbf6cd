"""Signing in: the password, the second factor where there is one, and the session that comes of both.

A session that is made may still owe something (``people.owed``): its person chooses a password of his own, and sets up
his second factor, before anything else opens.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from crm import guessing, passwords, people, second_factor, texts
from crm.edits import log_edit
from crm.errors import BadInput, NotAllowed
from crm.guessing import Place, Tally
from crm.people import Staff
from crm.schema import session as sessions
from crm.schema import sign_in_failure as failures
from crm.schema import staff as accounts
from crm.store import Database


class Phone(StrEnum):
    """A seat's two telephones."""

    DESK = "desk"  # any SIP program, with the seat's lasting secret
    BROWSER = "browser"  # the page's


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long sessions last: ``hours`` at most, and ``idle_minutes`` after their last use; 0: use is not asked for.

    Who sits at a seat is at work, whatever he does at the pages.
    """

    hours: int = 12
    idle_minutes: int = 0

    def until(self, since: dt.datetime, now: dt.datetime, *, seated: bool) -> dt.datetime:
        """The end of a session that was made at ``since`` and is used now."""
        end = since + dt.timedelta(hours=self.hours)
        return end if seated or not self.idle_minutes else min(end, now + dt.timedelta(minutes=self.idle_minutes))

    def moved(self, session: Session, now: dt.datetime) -> dt.datetime | None:
        """The session's new end because it is used now; None while that differs too little to be written."""
        until = self.until(session.since, now, seated=session.seat is not None)
        worth = dt.timedelta(minutes=self.idle_minutes) / 20
        return until if abs(until - session.expires_at) > worth else None


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in. ``token`` is for the cookie and is known only when it was made. ``phone``: what he speaks by there."""

    staff: Staff
    csrf: str
    seat: str | None
    since: dt.datetime
    expires_at: dt.datetime
    token: str = ""
    phone: Phone = Phone.DESK


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A sign-in as it is shown. ``mark`` tells it from others and opens nothing; ``agent`` is the browser's word."""

    mark: str
    since: dt.datetime
    source: str
    agent: str
    seat: str | None


# ── proving who one is ───────────────────────────────────────────────────────────────────────
def prove_password(db: Database, login: str, password: str, *, place: Place, now: dt.datetime) -> Staff:
    """Whose password it is: reads, checks (slowly, with no transaction open), writes what failed.

    NotAllowed ``sign_in.wrong`` for a wrong login or password alike, and for a try that came too soon; where this
    person is known to sign in, that is told as ``sign_in.wait`` (details: seconds).
    """
    with db.read() as conn:
        person = people.by_login(conn, login)
        kept = "" if person is None else conn.execute(
            select(accounts.c.password_hash).where(accounts.c.id == person.id)).scalar_one()
        wait = 0.0 if person is None else wait_s(conn, person, place, now)
    right = passwords.matches(kept, password) and person is not None and person.active
    if person is None:
        raise NotAllowed("sign_in.wrong")
    if wait:
        # Whether a login exists, and so whether it must wait, is not told to those who do not know its password.
        raise _too_soon(wait) if place.browser else NotAllowed("sign_in.wrong")
    if not right:
        with db.write() as conn:
            failed(conn, person.id, place, now)
        raise NotAllowed("sign_in.wrong")
    return person


def prove_code(db: Database, staff_id: int, code: str, *, place: Place, now: dt.datetime) -> Staff:
    """The person whose second factor gave this code; it is not taken again.

    NotAllowed ``sign_in.wrong_code`` for a wrong one and one that was taken, ``sign_in.wait`` (details: seconds) for
    a try that came too soon.
    """
    with db.write() as conn:
        person = people.get(conn, staff_id)
        wait = wait_s(conn, person, place, now)
        right = not wait and person.active and _took(conn, staff_id, code, now)
        if not wait and not right:
            failed(conn, staff_id, place, now)
    if wait:
        raise _too_soon(wait)
    if not right:
        raise NotAllowed("sign_in.wrong_code")
    return person


def enrol(conn: Connection, staff_id: int, secret: str, code: str, *, now: dt.datetime) -> None:
    """Makes ``secret`` the person's second factor; ``code`` shows that his application has it.

    BadInput ``factor.wrong_code``. NotAllowed ``factor.present`` when he has one: only an administrator takes it away.
    """
    step = second_factor.step_of(secret, code, now, after=0)
    if step is None:
        raise BadInput("factor.wrong_code")
    free = update(accounts).where(accounts.c.id == staff_id, accounts.c.totp_secret == "")
    if conn.execute(free.values(totp_secret=secret, totp_step=step)).rowcount != 1:
        raise NotAllowed("factor.present")
    log_edit(conn, now=now, staff_id=staff_id, what="staff", key=staff_id, before=None, after={"second_factor": "new"})


def change_password(db: Database, staff: Staff, new: str, *, now: dt.datetime) -> None:
    """The person's own new password. BadInput as ``passwords.chosen``, and ``password.same`` for the present one."""
    with db.read() as conn:
        kept = conn.execute(select(accounts.c.password_hash).where(accounts.c.id == staff.id)).scalar_one()
    hashed = passwords.chosen(new, login=staff.login, name=staff.name)
    if passwords.matches(kept, new):
        raise BadInput("password.same")
    with db.write() as conn:
        conn.execute(update(accounts).where(accounts.c.id == staff.id)
                     .values(password_hash=hashed, password_given=False))  # fmt: skip
        log_edit(conn, now=now, staff_id=staff.id, what="staff", key=staff.id, before=None, after={"password": "own"})


def failed(conn: Connection, staff_id: int, place: Place, now: dt.datetime) -> None:
    """Counts a wrong password or code; those of more than a day ago are forgotten."""
    conn.execute(delete(failures).where(failures.c.last_at < now - guessing.FORGOTTEN_AFTER))
    dialect: Any = sqlite if conn.dialect.name == "sqlite" else postgresql
    first = dialect.insert(failures).values(staff_id=staff_id, source=place.key, failures=1, last_at=now)
    conn.execute(first.on_conflict_do_update(index_elements=["staff_id", "source"], set_={
        "failures": failures.c.failures + 1, "last_at": now}))


def wait_s(conn: Connection, staff: Staff, place: Place, now: dt.datetime) -> float:
    """Seconds until this person may try here (``crm.guessing``)."""
    here = _tally(conn, failures.c.staff_id == staff.id, failures.c.source == place.key)
    # A password that was given is random: nobody guesses it, so that the way back in cannot be obstructed.
    if place.apart or staff.password_given:
        return guessing.wait_s(here, Tally(), Tally(), apart=True, now=now)
    return guessing.wait_s(here, _tally(conn, failures.c.staff_id == staff.id),
                           _tally(conn, failures.c.source == place.key), apart=False, now=now)  # fmt: skip


def _tally(conn: Connection, *which: Any) -> Tally:
    count, last_at = conn.execute(select(func.coalesce(func.sum(failures.c.failures), 0),
                                         func.max(failures.c.last_at)).where(*which)).one()  # fmt: skip
    return Tally(int(count), last_at)


def _too_soon(wait: float) -> NotAllowed:
    return NotAllowed("sign_in.wait", seconds=int(wait) + 1)


def _took(conn: Connection, staff_id: int, code: str, now: dt.datetime) -> bool:
    """Whether the code is one of the person's that nobody has given yet; it is given now."""
    its = conn.execute(select(accounts.c.totp_secret, accounts.c.totp_step)
                       .where(accounts.c.id == staff_id).with_for_update()).one()  # fmt: skip
    step = second_factor.step_of(its.totp_secret, code, now, its.totp_step) if its.totp_secret else None
    if step is None:
        return False
    later = update(accounts).where(accounts.c.id == staff_id, accounts.c.totp_step < step)
    return conn.execute(later.values(totp_step=step)).rowcount == 1


# ── sessions ─────────────────────────────────────────────────────────────────────────────────
def begin(conn: Connection, staff: Staff, *, place: Place, agent: str, lasting: Lasting, now: dt.datetime) -> Session:
    """A session for who has proven who he is; his failures at this place are forgotten."""
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    expires_at = lasting.until(now, now, seated=False)
    conn.execute(delete(failures).filter_by(staff_id=staff.id, source=place.key))
    conn.execute(delete(sessions).where(sessions.c.expires_at <= now))
    conn.execute(insert(sessions), {"token_sha256": _digest(token), "staff_id": staff.id, "csrf": csrf,
                                    "source": place.address[:64], "agent": texts.line(agent[:200], 200),
                                    "created_at": now, "expires_at": expires_at})
    return Session(staff, csrf, None, now, expires_at, token)


def session(conn: Connection, token: str, now: dt.datetime) -> Session | None:
    """The session of a cookie's token; None if unknown, over, or its person is no longer active."""
    row = conn.execute(
        people.STAFF.add_columns(sessions.c.csrf, sessions.c.seat, sessions.c.created_at, sessions.c.expires_at,
                                 sessions.c.phone)
        .join_from(sessions, accounts)
        .where(sessions.c.token_sha256 == _digest(token), sessions.c.expires_at > now, accounts.c.active)
    ).one_or_none()  # fmt: skip
    return None if row is None else Session(people.of_row(row), row.csrf, row.seat, row.created_at, row.expires_at,
                                            phone=Phone(row.phone))  # fmt: skip


def lasts_until(conn: Connection, token: str, expires_at: dt.datetime) -> None:
    """Moves the end of the session."""
    conn.execute(update(sessions).where(sessions.c.token_sha256 == _digest(token)).values(expires_at=expires_at))


def renewed(conn: Connection, token: str) -> str:
    """A new token for the session; the old one is nobody's. Pages that are open go on: their forms' token stays."""
    new = secrets.token_urlsafe(32)
    conn.execute(update(sessions).where(sessions.c.token_sha256 == _digest(token)).values(token_sha256=_digest(new)))
    return new


def sit(conn: Connection, token: str, seat: str | None, phone: Phone = Phone.DESK) -> None:
    """Says at which seat this session's person sits, and by what he speaks there; whoever sat there before sits nowhere
    now."""
    if seat is not None:
        stand_up(conn, seat)
    conn.execute(update(sessions).where(sessions.c.token_sha256 == _digest(token)).values(seat=seat, phone=phone))


def stand_up(conn: Connection, seat: str) -> None:
    """Whoever sat there sits nowhere now."""
    conn.execute(update(sessions).where(sessions.c.seat == seat).values(seat=None))


def speaking_by_browser(conn: Connection, now: dt.datetime) -> list[str]:
    """The seats whose people speak by their pages."""
    return list(conn.scalars(select(sessions.c.seat).where(
        sessions.c.seat.is_not(None), sessions.c.phone == Phone.BROWSER, sessions.c.expires_at > now)))  # fmt: skip


def open_sessions(conn: Connection, staff_id: int, now: dt.datetime) -> list[OpenSession]:
    """A person's, the latest first."""
    theirs = select(sessions).where(sessions.c.staff_id == staff_id, sessions.c.expires_at > now)
    return [_shown(row) for row in conn.execute(theirs.order_by(sessions.c.created_at.desc()))]


def end(conn: Connection, staff_id: int, *, mark: str = "", but: str = "") -> list[OpenSession]:
    """Ends a person's sessions: the one of that mark, else all, ``but`` the one of this token. Those that were open."""
    theirs = select(sessions).where(sessions.c.staff_id == staff_id).with_for_update()
    spared = _digest(but) if but else ""
    ended = [row for row in conn.execute(theirs)
             if row.token_sha256 != spared and mark in ("", _mark(row.token_sha256))]  # fmt: skip
    conn.execute(delete(sessions).where(sessions.c.token_sha256.in_([row.token_sha256 for row in ended])))
    return [_shown(row) for row in ended]


def mark_of(token: str) -> str:
    """By what the session of this token is told from others on a page."""
    return _mark(_digest(token))


def _shown(row: Row[Any]) -> OpenSession:
    return OpenSession(_mark(row.token_sha256), row.created_at, row.source, row.agent, row.seat)


def _mark(digest: str) -> str:
    return digest[:16]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
