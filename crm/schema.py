"""Every table of the centre, for SQLite and PostgreSQL alike.

Times are aware UTC datetimes in Python and in PostgreSQL; SQLite stores them as UTC text, which
sorts the same. History tables (``HISTORY``) are only ever added to: the migrations put triggers on
them that refuse anything else.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
    true,
)

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMES)

HISTORY = ("appeal_event", "call_event", "seat_event", "access_log", "listening", "taken")


class Instant(TypeDecorator[dt.datetime]):
    """An aware datetime, UTC inside. A naive one is a programming error: ValueError."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True)


def _ref(name: str, target: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, ForeignKey(target), nullable=nullable)


# ── places ───────────────────────────────────────────────────────────────────────────────────
district = Table(
    "district", metadata, _id(),
    Column("name_uk", String(80), nullable=False, unique=True),
    Column("name_en", String(80), nullable=False),
)

street = Table(
    "street", metadata, _id(),
    Column("name", String(120), nullable=False, unique=True),  # the current one, with its kind
)

# Every name a street is known by, the current one and the old ones, folded for search.
street_name = Table(
    "street_name", metadata, _id(),
    _ref("street_id", "street.id"),
    Column("name", String(120), nullable=False),
    Column("folded", String(120), nullable=False),
    Column("current", Boolean, nullable=False, server_default=true()),
    UniqueConstraint("street_id", "name"),
)

building = Table(
    "building", metadata, _id(),
    _ref("street_id", "street.id"),
    Column("number", String(20), nullable=False),  # "12-А", "7/9 к. 2"
    Column("folded", String(20), nullable=False),  # "12а", "7/9к2"
    _ref("district_id", "district.id"),
    UniqueConstraint("street_id", "folded"),
)

# ── people of the city ───────────────────────────────────────────────────────────────────────
citizen = Table(
    "citizen", metadata, _id(),
    Column("name", String(200), nullable=False, server_default=""),
    _ref("building_id", "building.id", nullable=True),
    Column("flat", String(20), nullable=False, server_default=""),
    Column("language", String(2), nullable=False, server_default="uk"),
    Column("auto_confirm", Boolean, nullable=False, server_default=false()),  # consent to be asked by a machine
    Column("do_not_call", Boolean, nullable=False, server_default=false()),  # at any number
    Column("call_from", Integer, nullable=True),  # minutes after midnight in Kyiv, else the centre's window
    Column("call_to", Integer, nullable=True),
    Column("created_at", Instant, nullable=False),
    Index(None, "building_id"),
)

citizen_phone = Table(
    "citizen_phone", metadata, _id(),
    _ref("citizen_id", "citizen.id"),
    Column("e164", String(16), nullable=False, index=True),  # "+380441234567"
    Column("wrong", Boolean, nullable=False, server_default=false()),  # somebody else answered there
    Column("do_not_call", Boolean, nullable=False, server_default=false()),  # who answers there asked for it
    Column("last_used_at", Instant, nullable=False),
    UniqueConstraint("citizen_id", "e164"),
)

# ── those who act ────────────────────────────────────────────────────────────────────────────
department = Table(
    "department", metadata, _id(),
    Column("name", String(200), nullable=False, unique=True),
    Column("email", String(200), nullable=False, server_default=""),
)

subject = Table(
    "subject", metadata, _id(),
    _ref("parent_id", "subject.id", nullable=True),
    Column("name_uk", String(120), nullable=False),
    Column("name_en", String(120), nullable=False),
    _ref("department_id", "department.id"),
    Column("term_days", Integer, nullable=False, server_default="30"),
    UniqueConstraint("parent_id", "name_uk"),
)

staff = Table(
    "staff", metadata, _id(),
    Column("login", String(60), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("password_hash", String(200), nullable=False),
    Column("role", String(20), nullable=False),
    _ref("department_id", "department.id", nullable=True),  # an executor's
    Column("language", String(2), nullable=False, server_default="uk"),
    Column("active", Boolean, nullable=False, server_default=true()),
)

# Wrong passwords, by account and by where they came from: a stranger's guessing keeps nobody else out.
sign_in_failure = Table(
    "sign_in_failure", metadata,
    Column("staff_id", ForeignKey("staff.id"), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),
    Index(None, "last_at"),
)

# A sign-in. The cookie holds the token, the table its SHA-256 only.
session = Table(
    "session", metadata,
    Column("token_sha256", String(64), primary_key=True),
    _ref("staff_id", "staff.id"),
    Column("csrf", String(64), nullable=False),
    Column("seat", String(20), nullable=True),  # where this person sits
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index(None, "staff_id"),
)

# ── calls ────────────────────────────────────────────────────────────────────────────────────
call = Table(
    "call", metadata, _id(),
    Column("linkedid", String(64), nullable=False, unique=True),
    Column("direction", String(8), nullable=False, server_default="in"),  # in, out
    Column("origin", String(10), nullable=False),  # landline, mobile, seat, centre; unknown until told
    Column("caller", String(16), nullable=False, server_default="", index=True),  # E.164, or "" when hidden
    _ref("citizen_id", "citizen.id", nullable=True),  # once somebody said so, never guessed
    Column("language", String(2), nullable=False, server_default="uk"),
    Column("choice", String(10), nullable=False, server_default=""),  # queue, status, confirm
    Column("arrived_at", Instant, nullable=False),
    Column("queued_at", Instant, nullable=True),
    Column("queue", String(40), nullable=True),
    Column("position", Integer, nullable=True),  # on entering
    Column("told_wait_s", Integer, nullable=True),  # the estimate that was announced
    Column("answered_at", Instant, nullable=True),
    Column("ended_at", Instant, nullable=True),
    Column("seat", String(20), nullable=True),  # the last that answered
    _ref("staff_id", "staff.id", nullable=True),
    Column("wait_s", Float, nullable=True),
    Column("talk_s", Float, nullable=True),
    Column("hold_s", Float, nullable=False, server_default="0"),
    Column("end_cause", String(20), nullable=False, server_default=""),  # crm.calls.EndCause
    Column("source", String(10), nullable=False, server_default="live"),  # live, spool, queue_log
    Column("outcome", String(20), nullable=False, server_default=""),  # crm.calls.Outcome
    _ref("outcome_by", "staff.id", nullable=True),
    Column("outcome_at", Instant, nullable=True),
    Index(None, "arrived_at"),
    Index("ix_call_unended", "arrived_at", sqlite_where=text("ended_at IS NULL"),
          postgresql_where=text("ended_at IS NULL")),
    Index("ix_call_unsettled", "answered_at", sqlite_where=text("outcome = ''"), postgresql_where=text("outcome = ''")),
)

# Entered, rang seat 101, answered, held, transferred…: what happened to the call, in order.
call_event = Table(
    "call_event", metadata, _id(),
    Column("linkedid", String(64), nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("seat", String(20), nullable=False, server_default=""),
    Column("data", JSON, nullable=False, default=dict),
)

seat_event = Table(
    "seat_event", metadata, _id(),
    Column("seat", String(20), nullable=False),
    _ref("staff_id", "staff.id", nullable=True),
    Column("at", Instant, nullable=False),
    Column("kind", String(20), nullable=False),  # login, logout, pause, unpause
    Column("reason", String(60), nullable=False, server_default=""),
    Index(None, "seat", "at"),
)

# ── appeals ──────────────────────────────────────────────────────────────────────────────────
# The last appeal number given in a year. The row's lock is what makes registrations take turns.
appeal_counter = Table(
    "appeal_counter", metadata,
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("last", Integer, nullable=False),
)

appeal = Table(
    "appeal", metadata, _id(),
    Column("number", Integer, nullable=False, unique=True),  # 26000123: year, then order
    Column("code", String(4), nullable=False),  # told at registration, asked by the machine
    _ref("citizen_id", "citizen.id", nullable=True),
    _ref("building_id", "building.id", nullable=True),
    Column("flat", String(20), nullable=False, server_default=""),
    Column("place", String(200), nullable=False, server_default=""),  # in words, where there is no building
    _ref("subject_id", "subject.id"),
    Column("text", Text, nullable=False),
    Column("channel", String(10), nullable=False),  # phone, web, email, facebook, sms, …
    Column("state", String(12), nullable=False),  # crm.life.State
    _ref("department_id", "department.id"),
    Column("returns", Integer, nullable=False, server_default="0"),
    Column("registered_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("planned_for", Instant, nullable=True),
    Column("executed_at", Instant, nullable=True),  # the department's latest report
    Column("ended_at", Instant, nullable=True),
    Column("code_failures", Integer, nullable=False, server_default="0"),
    Column("version", Integer, nullable=False, server_default="1"),
    CheckConstraint("returns >= 0", name="returns"),
    Index(None, "citizen_id", "registered_at"),
    Index(None, "building_id", "registered_at"),
    Index(None, "department_id", "state", "due_at"),
    Index(None, "state", "due_at"),
    Index("ix_appeal_planned", "planned_for", sqlite_where=text("state = 'planned'"),
          postgresql_where=text("state = 'planned'")),
)

# The appeal's history. ``evidence`` of a closing: which call, which key or which operator.
appeal_event = Table(
    "appeal_event", metadata, _id(),
    _ref("appeal_id", "appeal.id"),
    Column("at", Instant, nullable=False),
    Column("action", String(24), nullable=False),  # crm.life.Action
    Column("from_state", String(12), nullable=False),
    Column("to_state", String(12), nullable=False),
    _ref("staff_id", "staff.id", nullable=True),
    _ref("department_id", "department.id", nullable=True),
    Column("note", Text, nullable=False, server_default=""),
    Column("evidence", JSON, nullable=False, default=dict),
    Index(None, "appeal_id"),
)

# Which calls were about which appeal: one call may bring several, one appeal come by several.
appeal_call = Table(
    "appeal_call", metadata,
    Column("appeal_id", ForeignKey("appeal.id"), primary_key=True),
    Column("linkedid", String(64), primary_key=True, index=True),
)

# ── confirmation callbacks ───────────────────────────────────────────────────────────────────
# One row for a citizen who is to be asked; at most one of a citizen's is open.
callback = Table(
    "callback", metadata, _id(),
    _ref("citizen_id", "citizen.id"),
    Column("mode", String(4), nullable=False),  # live, auto
    Column("state", String(10), nullable=False),  # due, calling, done, given_up
    Column("due_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=True),
    Index("uq_callback_open_citizen", "citizen_id", unique=True,
          sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL")),
    Index(None, "state", "due_at"),
)

callback_appeal = Table(
    "callback_appeal", metadata,
    Column("callback_id", ForeignKey("callback.id"), primary_key=True),
    Column("appeal_id", ForeignKey("appeal.id"), primary_key=True, index=True),
    Column("tries", Integer, nullable=False, server_default="0"),  # each appeal gets all of its own
    Column("result", String(12), nullable=False, server_default=""),  # solved, partly, not_solved, given_up, gone
)

# Committed before it is dialled; the id becomes the channel's, so that a second one is refused.
attempt = Table(
    "attempt", metadata,
    Column("id", String(40), primary_key=True),
    _ref("callback_id", "callback.id"),
    _ref("citizen_id", "citizen.id"),
    Column("e164", String(16), nullable=False),
    Column("mode", String(4), nullable=False),
    Column("seat", String(20), nullable=True),  # a live one's
    _ref("staff_id", "staff.id", nullable=True),
    Column("placed_at", Instant, nullable=False),
    Column("answered_at", Instant, nullable=True),
    Column("ended_at", Instant, nullable=True),
    Column("outcome", String(14), nullable=False, server_default=""),  # crm.confirmation_rules.Reached
    Column("linkedid", String(64), nullable=False, server_default=""),
    # Never two calls to one citizen at a time, whoever asks for the second.
    Index("uq_attempt_open_citizen", "citizen_id", unique=True,
          sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL")),
    Index(None, "callback_id"),
    Index(None, "placed_at"),
)

# ── recordings ───────────────────────────────────────────────────────────────────────────────
recording = Table(
    "recording", metadata, _id(),
    Column("linkedid", String(64), nullable=False, index=True),
    Column("path", String(200), nullable=False, unique=True),  # relative to the recordings' folder
    Column("started_at", Instant, nullable=False),
    Column("state", String(8), nullable=False),  # open, ok, damaged, missing, expired
    Column("duration_s", Float, nullable=True),
    Column("bytes", Integer, nullable=True),
    Column("sha256", String(64), nullable=True),
)

listening = Table(
    "listening", metadata, _id(),
    _ref("recording_id", "recording.id"),
    _ref("staff_id", "staff.id"),
    Column("at", Instant, nullable=False),
    Column("reason", String(200), nullable=False),
)

# ── once-only ledgers and logs ───────────────────────────────────────────────────────────────
# What was read back from the spool or queue_log: the same line is never taken twice.
taken = Table(
    "taken", metadata,
    Column("source", String(20), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("at", Instant, nullable=False),
)

# How far each writing thread has come: crm.store.Writer asks after a lost connection.
writer_mark = Table(
    "writer_mark", metadata,
    Column("writer", String(32), primary_key=True),
    Column("batch", Integer, nullable=False),
)

access_log = Table(
    "access_log", metadata, _id(),
    Column("at", Instant, nullable=False),
    _ref("staff_id", "staff.id"),
    Column("what", String(40), nullable=False),  # appeal, caller, building, recording…
    Column("subject_key", String(64), nullable=False),  # whose: the record's id
    Column("why", String(200), nullable=False, server_default=""),
)
