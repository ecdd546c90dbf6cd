"""Every table of the centre, for SQLite and PostgreSQL alike.

Times are aware UTC datetimes in Python and in PostgreSQL; SQLite stores them as UTC text, which
sorts the same. History tables (``HISTORY``) are only ever added to: the migrations put triggers on
them that refuse anything else.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
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

HISTORY = ("appeal_event", "call_event", "seat_event", "access_log", "listening", "taken", "edit_log")


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

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """None on PostgreSQL: the zone of a session is UTC (``crm.store``)."""
        return None if dialect.name == "postgresql" else super().result_processor(dialect, coltype)

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

# Buildings fed by one boiler house, one substation, one pump: what fails for one fails for all.
network = Table(
    "network", metadata, _id(),
    Column("kind", String(10), nullable=False),  # heat, water, power, lift, stairs
    Column("name", String(120), nullable=False),
    UniqueConstraint("kind", "name"),
)

network_building = Table(
    "network_building", metadata,
    Column("network_id", ForeignKey("network.id"), primary_key=True),
    Column("building_id", ForeignKey("building.id"), primary_key=True, index=True),
)

# The city's calendar where it differs from Monday to Friday: a holiday, or a Saturday worked in exchange.
calendar_day = Table(
    "calendar_day", metadata,
    Column("day", Date, primary_key=True),
    Column("working", Boolean, nullable=False),
    Column("name", String(120), nullable=False, server_default=""),
)

# Where the law leaves a choice: the city's own word, by the name of a field of crm.law.Terms.
law_setting = Table(
    "law_setting", metadata,
    Column("name", String(40), primary_key=True),
    Column("value", Integer, nullable=False),
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
    Column("email", String(200), nullable=False, server_default=""),
    Column("privilege", String(20), nullable=False, server_default=""),  # crm.law.Privilege, "" for none
    Column("erased_at", Instant, nullable=True),  # by his own wish: nothing of him is left but the row
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

# By what he is recognised besides telephones, verified or not: where he is written to stands in his own row.
citizen_address = Table(
    "citizen_address", metadata, _id(),
    _ref("citizen_id", "citizen.id"),
    Column("channel", String(10), nullable=False),  # email, facebook
    Column("address", String(200), nullable=False),  # in lower case; Facebook's: its id of him and our page
    Column("last_used_at", Instant, nullable=False),
    UniqueConstraint("citizen_id", "channel", "address"),
    Index(None, "channel", "address"),
)

# ── those who act ────────────────────────────────────────────────────────────────────────────
department = Table(
    "department", metadata, _id(),
    Column("name", String(200), nullable=False, unique=True),
    Column("email", String(200), nullable=False, server_default=""),
    Column("phone", String(40), nullable=False, server_default=""),
    Column("kind", String(10), nullable=False, server_default="city"),  # city, utility, district, outside
    _ref("superior_id", "department.id", nullable=True),  # to whom complaints about it go
    Column("is_desk", Boolean, nullable=False, server_default=false()),  # takes what no rule routes
    Column("active", Boolean, nullable=False, server_default=true()),
)

subject = Table(
    "subject", metadata, _id(),
    _ref("parent_id", "subject.id", nullable=True),
    Column("name_uk", String(120), nullable=False),
    Column("name_en", String(120), nullable=False),
    _ref("department_id", "department.id"),  # where no rule of routing says otherwise
    Column("kind", String(12), nullable=False, server_default="application"),  # crm.law.Kind
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("term_days", Integer, nullable=True),  # none: one month
    Column("phrases", Text, nullable=False, server_default=""),  # for the operator to take into the text, one a line
    UniqueConstraint("parent_id", "name_uk"),
)

# One edition of the rules that say who is responsible. A draft is edited and tried, at most one is live,
# and what was live is never changed: an appeal names the edition that routed it.
routing_version = Table(
    "routing_version", metadata, _id(),
    Column("state", String(8), nullable=False),  # draft, live, retired; a draft may be dropped
    _ref("base_id", "routing_version.id", nullable=True),  # the edition that was live when the draft was made
    Column("note", String(200), nullable=False, server_default=""),
    _ref("made_by", "staff.id", nullable=True),
    Column("made_at", Instant, nullable=False),
    Column("live_at", Instant, nullable=True),
    Index("uq_routing_version_live", "state", unique=True, sqlite_where=text("state = 'live'"),
          postgresql_where=text("state = 'live'")),
)

# A subject (with all below it; none: every subject) at a place (none: everywhere) goes to this department.
routing_rule = Table(
    "routing_rule", metadata, _id(),
    _ref("version_id", "routing_version.id"),
    _ref("subject_id", "subject.id", nullable=True),
    _ref("district_id", "district.id", nullable=True),
    _ref("network_id", "network.id", nullable=True),
    _ref("building_id", "building.id", nullable=True),
    _ref("department_id", "department.id"),
    Index(None, "version_id"),
)

staff = Table(
    "staff", metadata, _id(),
    Column("login", String(60), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("password_hash", String(200), nullable=False),
    Column("password_given", Boolean, nullable=False, server_default=false()),  # by another: to be changed at once
    Column("totp_secret", String(64), nullable=False, server_default=""),  # base32; "" has none
    Column("totp_step", BigInteger, nullable=False, server_default="0"),  # of the last code taken: none is taken twice
    Column("role", String(20), nullable=False),
    _ref("department_id", "department.id", nullable=True),  # an executor's
    Column("language", String(2), nullable=False, server_default="uk"),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("email", String(200), nullable=False, server_default=""),
    Column("skills", String(60), nullable=False, server_default=""),  # call_queue.order.Skill, by spaces: "en social"
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
    Column("phone", String(8), nullable=False, server_default="desk"),  # what he speaks by there: desk, browser
    Column("source", String(64), nullable=False, server_default=""),  # the address he signed in from
    Column("agent", String(200), nullable=False, server_default=""),  # what his browser calls itself
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
    Column("told_wait_s", Integer, nullable=True),  # the estimate that was announced: its upper end
    Column("told_low_s", Integer, nullable=True),  # and its lower one
    Column("priority", String(10), nullable=False, server_default="ordinary"),  # call_queue.order.Priority
    Column("skill", String(10), nullable=False, server_default=""),  # that he asked for: call_queue.order.Skill
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
    Index("ix_call_citizen_id", "citizen_id", sqlite_where=text("citizen_id IS NOT NULL"),
          postgresql_where=text("citizen_id IS NOT NULL")),
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
    Column("kind", String(12), nullable=False, server_default="application"),  # crm.law.Kind
    _ref("against_id", "department.id", nullable=True),  # whom a complaint is about
    _ref("district_id", "district.id", nullable=True),  # the building's, or said in words
    Column("priority", Boolean, nullable=False, server_default=false()),  # the applicant is privileged by law
    _ref("repeat_of", "appeal.id", nullable=True),  # his earlier one on the same question
    _ref("lead_id", "appeal.id", nullable=True),  # merged with it: executed when that is
    _ref("incident_id", "incident.id", nullable=True),
    _ref("official_id", "staff.id", nullable=True),  # under whose personal control
    _ref("routed_by", "routing_version.id", nullable=True),
    Column("returns", Integer, nullable=False, server_default="0"),
    Column("registered_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("planned_for", Instant, nullable=True),
    Column("acknowledged_at", Instant, nullable=True),  # by the department that it lies with now
    Column("extended_at", Instant, nullable=True),
    Column("watch_at", Instant, nullable=True),  # when crm.deadlines must look at it next
    Column("first_executed_at", Instant, nullable=True),
    Column("executed_at", Instant, nullable=True),  # the department's latest report
    Column("ended_at", Instant, nullable=True),
    Column("code_failures", Integer, nullable=False, server_default="0"),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("old_number", String(40), nullable=True),  # in the system it was brought over from
    Column("tell_by", String(10), nullable=False, server_default=""),  # crm.notices.Way: how he is told of it
    Column("tell_to", String(200), nullable=False, server_default=""),  # at which address or number of his
    Column("received_at", Instant, nullable=True),  # when it came, where that was before it was registered
    CheckConstraint("returns >= 0", name="returns"),
    Index(None, "citizen_id", "registered_at"),
    Index(None, "building_id", "registered_at"),
    Index(None, "department_id", "state", "due_at"),
    Index(None, "state", "due_at"),
    Index(None, "registered_at"),
    Index("ix_appeal_lead_id", "lead_id", sqlite_where=text("lead_id IS NOT NULL"),
          postgresql_where=text("lead_id IS NOT NULL")),
    Index("ix_appeal_repeat_of", "repeat_of", sqlite_where=text("repeat_of IS NOT NULL"),
          postgresql_where=text("repeat_of IS NOT NULL")),
    Index("ix_appeal_incident_id", "incident_id", sqlite_where=text("incident_id IS NOT NULL"),
          postgresql_where=text("incident_id IS NOT NULL")),
    Index("ix_appeal_official_id", "official_id", sqlite_where=text("official_id IS NOT NULL"),
          postgresql_where=text("official_id IS NOT NULL")),
    Index("ix_appeal_watch_at", "watch_at", sqlite_where=text("watch_at IS NOT NULL"),
          postgresql_where=text("watch_at IS NOT NULL")),
    Index("ix_appeal_tell_to", "tell_to", sqlite_where=text("tell_to <> ''"), postgresql_where=text("tell_to <> ''")),
    Index("ix_appeal_planned", "planned_for", sqlite_where=text("state = 'planned'"),
          postgresql_where=text("state = 'planned'")),
    Index("uq_appeal_old_number", "old_number", unique=True, sqlite_where=text("old_number IS NOT NULL"),
          postgresql_where=text("old_number IS NOT NULL")),
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
    Index(None, "action", "at"),
    # The last answer to each of a list of appeals, without reading through their histories.
    Index("ix_appeal_event_noted", "appeal_id", "id", "action", sqlite_where=text("note <> ''"),
          postgresql_where=text("note <> ''")),
)

# Which calls were about which appeal: one call may bring several, one appeal come by several.
appeal_call = Table(
    "appeal_call", metadata,
    Column("appeal_id", ForeignKey("appeal.id"), primary_key=True),
    Column("linkedid", String(64), primary_key=True, index=True),
)

# A photo, an act, a letter: the file itself lies under its SHA-256.
attachment = Table(
    "attachment", metadata, _id(),
    _ref("appeal_id", "appeal.id"),
    Column("action", String(24), nullable=False, server_default=""),  # with which it came: register, execute…
    _ref("staff_id", "staff.id", nullable=True),
    Column("name", String(200), nullable=False),
    Column("media_type", String(100), nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Index(None, "appeal_id"),
)

# ── what comes in writing ────────────────────────────────────────────────────────────────────
# A letter, an SMS, a conversation's message, a form that a person must look at first: taken once, on record before it
# is acknowledged, and on a specialist's screen until it is an appeal, belongs to one, or is nothing.
message = Table(
    "message", metadata, _id(),
    Column("channel", String(10), nullable=False),  # as an appeal's
    Column("external_id", String(200), nullable=False),  # the channel's own: Message-ID, Twilio's SID, Facebook's mid
    Column("address", String(200), nullable=False),  # from whom: in lower case, a number in E.164
    Column("name", String(200), nullable=False, server_default=""),  # as the sender calls himself
    Column("title", String(300), nullable=False, server_default=""),  # a letter's subject
    Column("text", Text, nullable=False, server_default=""),
    Column("language", String(2), nullable=False, server_default="uk"),
    Column("data", JSON, nullable=False, default=dict),  # crm.messages.Said: what the form or the conversation asked
    Column("state", String(10), nullable=False),  # crm.messages.State
    Column("reason", String(20), nullable=False, server_default=""),  # crm.messages.Held: why a person looks first
    _ref("citizen_id", "citizen.id", nullable=True),  # once somebody said so
    _ref("appeal_id", "appeal.id", nullable=True),  # that it became, or belongs to
    _ref("staff_id", "staff.id", nullable=True),  # whose work it is
    Column("claimed_at", Instant, nullable=True),
    Column("received_at", Instant, nullable=False),
    Column("done_at", Instant, nullable=True),
    Column("version", Integer, nullable=False, server_default="1"),
    UniqueConstraint("channel", "external_id"),
    Index(None, "channel", "address", "received_at"),
    Index("ix_message_open", "received_at", sqlite_where=text("done_at IS NULL"),
          postgresql_where=text("done_at IS NULL")),
    Index("ix_message_appeal_id", "appeal_id", sqlite_where=text("appeal_id IS NOT NULL"),
          postgresql_where=text("appeal_id IS NOT NULL")),
    Index("ix_message_citizen_id", "citizen_id", sqlite_where=text("citizen_id IS NOT NULL"),
          postgresql_where=text("citizen_id IS NOT NULL")),
)

# Its photos and documents, or its voice: the file itself lies under its SHA-256.
message_file = Table(
    "message_file", metadata, _id(),
    _ref("message_id", "message.id"),
    Column("name", String(200), nullable=False),
    Column("media_type", String(100), nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("latitude", Float, nullable=True),  # where the photo was taken, as it said itself before that was taken off
    Column("longitude", Float, nullable=True),
    Index(None, "message_id"),
)

# What of a message still lies at the service that brought it, and is fetched after the message: a photo of an MMS, a
# voice left by telephone.
remote_file = Table(
    "remote_file", metadata, _id(),
    _ref("message_id", "message.id"),
    Column("path", String(1500), nullable=False),  # at the service, whose host is the setting's, or the whole address
    Column("name", String(200), nullable=False),
    Column("state", String(8), nullable=False, server_default="due"),  # crm.remote_files.State
    Column("due_at", Instant, nullable=False),  # the next try
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("error", String(200), nullable=False, server_default=""),
    UniqueConstraint("message_id", "path"),
    Index("ix_remote_file_due", "due_at", sqlite_where=text("state IN ('due', 'kept')"),
          postgresql_where=text("state IN ('due', 'kept')")),
)

# What a specialist answers often.
answer_template = Table(
    "answer_template", metadata, _id(),
    Column("name", String(120), nullable=False, unique=True),
    Column("text_uk", Text, nullable=False),
    Column("text_en", Text, nullable=False, server_default=""),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("version", Integer, nullable=False, server_default="1"),
)

# How often somebody (a digest of his address, a number) did something in a span of time.
rate_count = Table(
    "rate_count", metadata,
    Column("key", String(64), primary_key=True),
    Column("since", Instant, primary_key=True),
    Column("count", Integer, nullable=False),
    Index(None, "since"),
)

# How often each page of the portal was opened on a day of Kyiv's: nobody's visits, only their number.
visit_count = Table(
    "visit_count", metadata,
    Column("day", Date, primary_key=True),
    Column("page", String(40), primary_key=True),
    Column("language", String(2), primary_key=True),
    Column("count", Integer, nullable=False),
)

# ── other programs ───────────────────────────────────────────────────────────────────────────
# Who may file appeals by Open311 and the API. The table holds the key's SHA-256 only.
api_key = Table(
    "api_key", metadata, _id(),
    Column("name", String(120), nullable=False, unique=True),  # whose program it is
    Column("sha256", String(64), nullable=False, unique=True),
    Column("begins", String(8), nullable=False),  # its first letters, to tell it by
    Column("channel", String(10), nullable=False, server_default="open311"),  # of what it files
    Column("hourly_cap", Integer, nullable=False, server_default="600"),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("created_at", Instant, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
)

# A department's own system, which is told what happens to the appeals that lie with it.
webhook = Table(
    "webhook", metadata, _id(),
    Column("name", String(120), nullable=False, unique=True),
    Column("url", String(500), nullable=False),
    Column("secret", String(64), nullable=False),  # signs what is sent: so it is kept as it is
    _ref("department_id", "department.id", nullable=True),  # of its appeals and those below it; none: of all
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("version", Integer, nullable=False, server_default="1"),
)

# What it is told, in the order of an appeal's history; written with the line of history that it tells of.
delivery = Table(
    "delivery", metadata, _id(),
    _ref("webhook_id", "webhook.id"),
    _ref("appeal_id", "appeal.id"),
    Column("body", JSON, nullable=False),
    Column("state", String(8), nullable=False, server_default="due"),  # due, sent, void
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),  # the next try
    Column("sent_at", Instant, nullable=True),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("error", String(200), nullable=False, server_default=""),
    Index("ix_delivery_due", "due_at", sqlite_where=text("state = 'due'"), postgresql_where=text("state = 'due'")),
    Index("ix_delivery_order", "webhook_id", "appeal_id", "id", sqlite_where=text("state = 'due'"),
          postgresql_where=text("state = 'due'")),
    Index(None, "appeal_id"),
)

# ── incidents ────────────────────────────────────────────────────────────────────────────────
# One failure that many suffer. Proposed by a rule, opened by a person, its appeals executed together.
incident = Table(
    "incident", metadata, _id(),
    Column("state", String(10), nullable=False),  # crm.incidents.State
    _ref("subject_id", "subject.id"),
    _ref("building_id", "building.id", nullable=True),  # one of the two
    _ref("network_id", "network.id", nullable=True),
    Column("place", String(200), nullable=False, server_default=""),
    Column("cause", Text, nullable=False, server_default=""),
    Column("result", Text, nullable=False, server_default=""),
    Column("expected_at", Instant, nullable=True),  # when it should be over
    Column("proposed_at", Instant, nullable=False),
    Column("opened_at", Instant, nullable=True),
    _ref("opened_by", "staff.id", nullable=True),
    Column("closed_at", Instant, nullable=True),
    _ref("closed_by", "staff.id", nullable=True),
    Column("version", Integer, nullable=False, server_default="1"),
    Index(None, "state"),
    Index(None, "building_id"),
    Index(None, "network_id"),
    # Never two at a time of one subject at one place, whoever proposes the second.
    Index("uq_incident_live_building", "building_id", "subject_id", unique=True,
          sqlite_where=text("state IN ('proposed', 'open')"), postgresql_where=text("state IN ('proposed', 'open')")),
    Index("uq_incident_live_network", "network_id", "subject_id", unique=True,
          sqlite_where=text("state IN ('proposed', 'open')"), postgresql_where=text("state IN ('proposed', 'open')")),
)

# What somebody who gave no name said of it: an anonymous emergency is kept here.
incident_report = Table(
    "incident_report", metadata, _id(),
    _ref("incident_id", "incident.id"),
    Column("at", Instant, nullable=False),
    Column("linkedid", String(64), nullable=False, server_default=""),
    _ref("staff_id", "staff.id", nullable=True),
    Column("text", Text, nullable=False),
    Index(None, "incident_id"),
)

# Who joined an incident by a key. One who is known has an appeal as well; all are asked when it is over.
incident_caller = Table(
    "incident_caller", metadata, _id(),
    _ref("incident_id", "incident.id"),
    Column("e164", String(16), nullable=False),
    Column("language", String(2), nullable=False, server_default="uk"),
    Column("linkedid", String(64), nullable=False, server_default=""),
    Column("at", Instant, nullable=False),
    _ref("appeal_id", "appeal.id", nullable=True),  # then its own confirmation asks him
    Column("asked_at", Instant, nullable=True),  # when a call to ask him was promised
    Column("result", String(12), nullable=False, server_default=""),  # solved, not_solved; "" until he has said
    # Once a number; whose number is not known is counted, and cannot be asked.
    Index("uq_incident_caller_e164", "incident_id", "e164", unique=True,
          sqlite_where=text("e164 != ''"), postgresql_where=text("e164 != ''")),
    Index(None, "incident_id"),
    Index("ix_incident_caller_unasked", "id", sqlite_where=text("asked_at IS NULL AND appeal_id IS NULL"),
          postgresql_where=text("asked_at IS NULL AND appeal_id IS NULL")),
)

# What callers hear before anything else, in a supervisor's own words or those made of what is on record, spoken by the
# machine: of an incident, its place's callers; or everybody (a surge, an air alert). No text at all: nothing is said of
# the incident; no English one: English speakers hear what is on record. ``sound_…``: the prompt it was built to.
announcement = Table(
    "announcement", metadata, _id(),
    _ref("incident_id", "incident.id", nullable=True),  # none: everybody hears it
    Column("text_uk", String(600), nullable=False),
    Column("text_en", String(600), nullable=False, server_default=""),
    Column("sound_uk", String(60), nullable=False, server_default=""),
    Column("sound_en", String(60), nullable=False, server_default=""),
    Column("made_at", Instant, nullable=False),
    _ref("made_by", "staff.id", nullable=True),  # none: made of what is on record
    Column("ended_at", Instant, nullable=True),  # replaced, or over
    _ref("ended_by", "staff.id", nullable=True),
    Index("uq_announcement_live", "incident_id", unique=True, sqlite_where=text("ended_at IS NULL"),
          postgresql_where=text("ended_at IS NULL")),
)

# ── what the operator knows ──────────────────────────────────────────────────────────────────
article = Table(
    "article", metadata, _id(),
    Column("title_uk", String(200), nullable=False),
    Column("title_en", String(200), nullable=False, server_default=""),
    Column("body_uk", Text, nullable=False),
    Column("body_en", Text, nullable=False, server_default=""),
    Column("keywords", String(400), nullable=False, server_default=""),
    _ref("subject_id", "subject.id", nullable=True),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("source", String(200), nullable=False, server_default=""),
    Column("updated_at", Instant, nullable=False),
    _ref("updated_by", "staff.id", nullable=True),
    Column("version", Integer, nullable=False, server_default="1"),
)

# What holds today: a planned outage, a closed street; for a building, a network, a district or the whole city.
bulletin = Table(
    "bulletin", metadata, _id(),
    Column("text_uk", Text, nullable=False),
    Column("text_en", Text, nullable=False, server_default=""),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    _ref("building_id", "building.id", nullable=True),
    _ref("network_id", "network.id", nullable=True),
    _ref("district_id", "district.id", nullable=True),
    _ref("made_by", "staff.id", nullable=True),
    Column("created_at", Instant, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Index(None, "ends_at"),
)

# Dispatchers and emergency services.
contact = Table(
    "contact", metadata, _id(),
    Column("name_uk", String(200), nullable=False),
    Column("name_en", String(200), nullable=False, server_default=""),
    Column("kind", String(12), nullable=False),  # emergency, dispatcher, office
    Column("phone", String(60), nullable=False),
    Column("hours", String(100), nullable=False, server_default=""),
    _ref("district_id", "district.id", nullable=True),
    Column("keywords", String(400), nullable=False, server_default=""),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("version", Integer, nullable=False, server_default="1"),
)

# A city programme: the buildings, and the year in which each is to be done.
programme = Table(
    "programme", metadata, _id(),
    Column("name_uk", String(200), nullable=False, unique=True),
    Column("name_en", String(200), nullable=False, server_default=""),
    Column("about_uk", Text, nullable=False, server_default=""),  # what the resident is told
    Column("about_en", Text, nullable=False, server_default=""),
    Column("ground", String(300), nullable=False),  # the decision by which it runs
    _ref("subject_id", "subject.id", nullable=True),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("version", Integer, nullable=False, server_default="1"),
)

programme_building = Table(
    "programme_building", metadata,
    Column("programme_id", ForeignKey("programme.id"), primary_key=True),
    Column("building_id", ForeignKey("building.id"), primary_key=True, index=True),
    Column("year", Integer, nullable=False),
    Column("note", String(200), nullable=False, server_default=""),
)

# Which answer was given in which call: an article, a bulletin, a contact or a programme.
consultation = Table(
    "consultation", metadata,
    Column("linkedid", String(64), primary_key=True),
    Column("kind", String(12), primary_key=True),
    Column("record_id", Integer, primary_key=True),
    _ref("staff_id", "staff.id", nullable=True),
    Column("at", Instant, nullable=False),
    Index(None, "at"),
)

# ── what must be told ────────────────────────────────────────────────────────────────────────
# To a department that it has an appeal, to an official that it is late, to the applicant that it takes
# longer. Written in the transaction of what it tells of; sent later, once.
notice = Table(
    "notice", metadata, _id(),
    Column("key", String(80), nullable=False, unique=True),  # what it tells, so that it is told once
    Column("kind", String(16), nullable=False),  # crm.notices.Kind
    Column("audience", String(10), nullable=False),  # department, staff, citizen, sender (of a message)
    _ref("appeal_id", "appeal.id", nullable=True),
    _ref("department_id", "department.id", nullable=True),
    _ref("staff_id", "staff.id", nullable=True),
    _ref("citizen_id", "citizen.id", nullable=True),
    Column("data", JSON, nullable=False, default=dict),
    Column("state", String(8), nullable=False, server_default="due"),  # due, sending, sent, told (by a person), void
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),  # the next try
    Column("sent_at", Instant, nullable=True),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("error", String(200), nullable=False, server_default=""),
    Column("mail", String(40), nullable=False, server_default=""),  # the letter that carries it, with others
    _ref("message_id", "message.id", nullable=True),  # that it answers
    Column("way", String(10), nullable=False, server_default=""),  # crm.notices.Way, once that is settled
    Column("address", String(200), nullable=False, server_default=""),  # and where to
    Column("sent_ref", String(120), nullable=False, server_default=""),  # the channel's own name of what was sent
    Column("delivered", String(12), nullable=False, server_default=""),  # what the channel reported of it since
    Index("ix_notice_due", "due_at", sqlite_where=text("state = 'due'"), postgresql_where=text("state = 'due'")),
    Index("ix_notice_citizen_id", "citizen_id", sqlite_where=text("citizen_id IS NOT NULL"),
          postgresql_where=text("citizen_id IS NOT NULL")),
    Index(None, "appeal_id"),
    Index("ix_notice_sent_ref", "sent_ref", sqlite_where=text("sent_ref <> ''"),
          postgresql_where=text("sent_ref <> ''")),
    Index("ix_notice_sending", "way", sqlite_where=text("state = 'sending'"),
          postgresql_where=text("state = 'sending'")),
    Index("ix_notice_message_id", "message_id", sqlite_where=text("message_id IS NOT NULL"),
          postgresql_where=text("message_id IS NOT NULL")),
)

# Who asked us to write no more: STOP by SMS, a letter that said so.
stopped = Table(
    "stopped", metadata,
    Column("way", String(10), primary_key=True),  # crm.notices.Way
    Column("address", String(200), primary_key=True),
    Column("at", Instant, nullable=False),
)

# To whom it is told, and when, that a deadline nears or has passed, or that nobody acknowledges.
escalation = Table(
    "escalation", metadata, _id(),
    Column("event", String(16), nullable=False),  # crm.deadlines.Event
    Column("days", Integer, nullable=False),  # working days: before the deadline, after it, after it was passed to work
    Column("tell", String(12), nullable=False),  # crm.deadlines.Tell
    _ref("staff_id", "staff.id", nullable=True),  # for "staff"
    UniqueConstraint("event", "days", "tell", "staff_id"),
)

# ── promised callbacks ───────────────────────────────────────────────────────────────────────
# A place in the queue without a telephone in the hand: we owe this number a call. One open at a time for a number.
promise = Table(
    "promise", metadata, _id(),
    Column("e164", String(16), nullable=False),
    Column("reason", String(10), nullable=False),  # crm.promise_rules.Reason
    Column("state", String(10), nullable=False),  # crm.promise_rules.State
    Column("linkedid", String(64), nullable=False, server_default=""),  # the call it was made in
    Column("language", String(2), nullable=False, server_default="uk"),
    Column("priority", String(10), nullable=False, server_default="ordinary"),
    Column("skill", String(10), nullable=False, server_default=""),
    _ref("incident_id", "incident.id", nullable=True),  # of which he is to be asked
    Column("since", Instant, nullable=False),  # when he began to wait
    Column("turn", Instant, nullable=False),  # whose place he has: call_queue.order
    Column("made_at", Instant, nullable=False),
    Column("told_at", Instant, nullable=True),  # by when we said that we would call
    Column("expires_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),  # not called before: hours, and tries that failed
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("met_by", String(64), nullable=False, server_default=""),  # his own call, that has taken his place
    Column("called_at", Instant, nullable=True),  # first
    Column("ended_at", Instant, nullable=True),
    Index("uq_promise_open_e164", "e164", unique=True,
          sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL")),
    Index("ix_promise_open", "turn", sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL")),
    Index(None, "made_at"),
)

# Numbers from which somebody asked not to be called back any more.
silenced = Table(
    "silenced", metadata,
    Column("e164", String(16), primary_key=True),
    Column("at", Instant, nullable=False),
)

# ── confirmation callbacks ───────────────────────────────────────────────────────────────────
# Which confirmations are called, how and when: a plan over those that are due.
campaign = Table(
    "campaign", metadata, _id(),
    Column("name", String(200), nullable=False),
    Column("state", String(10), nullable=False),  # crm.campaigns.State
    Column("mode", String(12), nullable=False),  # crm.campaigns.Mode
    _ref("department_id", "department.id", nullable=True),  # of these, none: any
    _ref("subject_id", "subject.id", nullable=True),  # with all below it
    _ref("district_id", "district.id", nullable=True),
    Column("older_days", Integer, nullable=False, server_default="0"),  # reported at least so long ago
    Column("call_from", Integer, nullable=True),  # minutes after midnight in Kyiv, else the centre's window
    Column("call_to", Integer, nullable=True),
    Column("daily_cap", Integer, nullable=True),
    Column("citizen_daily_cap", Integer, nullable=False, server_default="2"),
    Column("created_at", Instant, nullable=False),
    _ref("created_by", "staff.id", nullable=True),
    Column("started_at", Instant, nullable=True),
    Column("ended_at", Instant, nullable=True),
    Column("version", Integer, nullable=False, server_default="1"),
)

# One row for a citizen who is to be asked; at most one of a citizen's is open.
callback = Table(
    "callback", metadata, _id(),
    _ref("citizen_id", "citizen.id"),
    _ref("campaign_id", "campaign.id", nullable=True),  # that took it
    Column("mode", String(4), nullable=False),  # live, auto
    Column("state", String(10), nullable=False),  # due, calling, done, given_up
    Column("due_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=True),
    Index("uq_callback_open_citizen", "citizen_id", unique=True,
          sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL")),
    Index(None, "state", "due_at"),
    Index("ix_callback_campaign_id", "campaign_id", sqlite_where=text("campaign_id IS NOT NULL"),
          postgresql_where=text("campaign_id IS NOT NULL")),
)

callback_appeal = Table(
    "callback_appeal", metadata,
    Column("callback_id", ForeignKey("callback.id"), primary_key=True),
    Column("appeal_id", ForeignKey("appeal.id"), primary_key=True, index=True),
    Column("tries", Integer, nullable=False, server_default="0"),  # each appeal gets all of its own
    Column("result", String(12), nullable=False, server_default=""),  # solved, partly, not_solved, given_up, gone
)

# Committed before it is dialled; the id becomes the channel's, so that a second one is refused.
# Of a confirmation (``callback_id`` and ``citizen_id``) or of a promise.
attempt = Table(
    "attempt", metadata,
    Column("id", String(40), primary_key=True),
    _ref("callback_id", "callback.id", nullable=True),
    _ref("citizen_id", "citizen.id", nullable=True),
    _ref("promise_id", "promise.id", nullable=True),
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
    # Nor two of a promise's. (A number may be two citizens': who claims a call looks whether it is being rung.)
    Index("uq_attempt_open_promise", "promise_id", unique=True,
          sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL")),
    Index("ix_attempt_open", "placed_at", sqlite_where=text("ended_at IS NULL"),
          postgresql_where=text("ended_at IS NULL")),
    Index("ix_attempt_ringing", "e164", sqlite_where=text("ended_at IS NULL"),
          postgresql_where=text("ended_at IS NULL")),
    Index(None, "callback_id"),
    Index(None, "citizen_id"),
    Index("ix_attempt_promise_id", "promise_id", sqlite_where=text("promise_id IS NOT NULL"),
          postgresql_where=text("promise_id IS NOT NULL")),
    Index(None, "placed_at"),
)

# ── the worst day, and the plan for it ───────────────────────────────────────────────────────
# A switch of the supervisor's: from when to when, by whom, and why.
surge = Table(
    "surge", metadata, _id(),
    Column("kind", String(8), nullable=False),  # crm.surges.Kind: surge, alert
    Column("began_at", Instant, nullable=False),
    _ref("began_by", "staff.id", nullable=True),  # none: nobody but the proposal's own rule
    Column("reason", String(200), nullable=False, server_default=""),
    Column("ended_at", Instant, nullable=True),
    _ref("ended_by", "staff.id", nullable=True),
    Index("uq_surge_on", "kind", unique=True,
          sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL")),
)

# How many seats are to be taken, in each half-hour of a day.
shift = Table(
    "shift", metadata,
    Column("day", Date, primary_key=True),
    Column("minute", Integer, primary_key=True),  # after midnight in Kyiv: 0, 30, …
    Column("seats", Integer, nullable=False),
)

# What the caller pressed after the conversation: 1 (bad) to 5.
rating = Table(
    "rating", metadata,
    Column("linkedid", String(64), primary_key=True),
    Column("score", Integer, nullable=False),
    Column("seat", String(20), nullable=False, server_default=""),
    _ref("staff_id", "staff.id", nullable=True),
    Column("at", Instant, nullable=False, index=True),
)

# ── recordings ───────────────────────────────────────────────────────────────────────────────
recording = Table(
    "recording", metadata, _id(),
    Column("linkedid", String(64), nullable=False, index=True),
    Column("path", String(200), nullable=False, unique=True),  # relative to the recordings' folder
    Column("started_at", Instant, nullable=False),
    Column("state", String(8), nullable=False),  # open, ok, damaged, missing, erasing, expired
    Column("duration_s", Float, nullable=True),
    Column("bytes", Integer, nullable=True),
    Column("sha256", String(64), nullable=True),
    Index(None, "started_at"),
)

listening = Table(
    "listening", metadata, _id(),
    _ref("recording_id", "recording.id"),
    _ref("staff_id", "staff.id"),
    Column("at", Instant, nullable=False),
    Column("reason", String(200), nullable=False),
    Index(None, "recording_id"),
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
    Index(None, "what", "subject_key"),
)

# Who changed which rule, text or account of the centre, and from what to what.
edit_log = Table(
    "edit_log", metadata, _id(),
    Column("at", Instant, nullable=False),
    _ref("staff_id", "staff.id", nullable=True),
    Column("what", String(40), nullable=False),  # subject, department, article, calendar_day, staff…
    Column("record_key", String(64), nullable=False),
    Column("before", JSON, nullable=True),
    Column("after", JSON, nullable=True),
    Index(None, "what", "record_key"),
)
