"""the appeal's whole life: routing, the calendar, incidents, knowledge, programmes, notices

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calendar_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("working", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(length=120), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_calendar_day")),
    )
    op.create_table(
        "law_setting",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_law_setting")),
    )
    op.create_table(
        "escalation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("tell", sa.String(length=12), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_escalation_staff_id_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_escalation")),
        sa.UniqueConstraint("event", "days", "tell", "staff_id", name=op.f("uq_escalation_event_days_tell_staff_id")),
    )
    op.create_table(
        "network",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network")),
        sa.UniqueConstraint("kind", "name", name=op.f("uq_network_kind_name")),
    )
    op.create_table(
        "contact",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name_uk", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), server_default="", nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("phone", sa.String(length=60), nullable=False),
        sa.Column("hours", sa.String(length=100), server_default="", nullable=False),
        sa.Column("district_id", sa.Integer(), nullable=True),
        sa.Column("keywords", sa.String(length=400), server_default="", nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["district_id"], ["district.id"], name=op.f("fk_contact_district_id_district")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact")),
    )
    op.create_table(
        "article",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("title_uk", sa.String(length=200), nullable=False),
        sa.Column("title_en", sa.String(length=200), server_default="", nullable=False),
        sa.Column("body_uk", sa.Text(), nullable=False),
        sa.Column("body_en", sa.Text(), server_default="", nullable=False),
        sa.Column("keywords", sa.String(length=400), server_default="", nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("source", sa.String(length=200), server_default="", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_article_subject_id_subject")),
        sa.ForeignKeyConstraint(["updated_by"], ["staff.id"], name=op.f("fk_article_updated_by_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_article")),
    )
    op.create_table(
        "bulletin",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("text_uk", sa.Text(), nullable=False),
        sa.Column("text_en", sa.Text(), server_default="", nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("building_id", sa.Integer(), nullable=True),
        sa.Column("network_id", sa.Integer(), nullable=True),
        sa.Column("district_id", sa.Integer(), nullable=True),
        sa.Column("made_by", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["building_id"], ["building.id"], name=op.f("fk_bulletin_building_id_building")),
        sa.ForeignKeyConstraint(["district_id"], ["district.id"], name=op.f("fk_bulletin_district_id_district")),
        sa.ForeignKeyConstraint(["made_by"], ["staff.id"], name=op.f("fk_bulletin_made_by_staff")),
        sa.ForeignKeyConstraint(["network_id"], ["network.id"], name=op.f("fk_bulletin_network_id_network")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulletin")),
    )
    op.create_index("ix_bulletin_ends_at", "bulletin", ["ends_at"], unique=False)

    op.create_table(
        "consultation",
        sa.Column("linkedid", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("record_id", sa.Integer(), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_consultation_staff_id_staff")),
        sa.PrimaryKeyConstraint("linkedid", "kind", "record_id", name=op.f("pk_consultation")),
    )
    op.create_index("ix_consultation_at", "consultation", ["at"], unique=False)

    op.create_table(
        "edit_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("what", sa.String(length=40), nullable=False),
        sa.Column("record_key", sa.String(length=64), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_edit_log_staff_id_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_edit_log")),
    )
    op.create_index("ix_edit_log_what_record_key", "edit_log", ["what", "record_key"], unique=False)

    op.create_table(
        "incident",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=False),
        sa.Column("building_id", sa.Integer(), nullable=True),
        sa.Column("network_id", sa.Integer(), nullable=True),
        sa.Column("place", sa.String(length=200), server_default="", nullable=False),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.Column("result", sa.Text(), server_default="", nullable=False),
        sa.Column("expected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_by", sa.Integer(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["building_id"], ["building.id"], name=op.f("fk_incident_building_id_building")),
        sa.ForeignKeyConstraint(["closed_by"], ["staff.id"], name=op.f("fk_incident_closed_by_staff")),
        sa.ForeignKeyConstraint(["network_id"], ["network.id"], name=op.f("fk_incident_network_id_network")),
        sa.ForeignKeyConstraint(["opened_by"], ["staff.id"], name=op.f("fk_incident_opened_by_staff")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_incident_subject_id_subject")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
    )
    op.create_index("ix_incident_building_id", "incident", ["building_id"], unique=False)
    op.create_index("ix_incident_network_id", "incident", ["network_id"], unique=False)
    op.create_index("ix_incident_state", "incident", ["state"], unique=False)
    live = sa.text("state IN ('proposed', 'open')")
    for place in ("building", "network"):
        op.create_index(f"uq_incident_live_{place}", "incident", [f"{place}_id", "subject_id"], unique=True,
                        sqlite_where=live, postgresql_where=live)

    op.create_table(
        "network_building",
        sa.Column("network_id", sa.Integer(), nullable=False),
        sa.Column("building_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["building_id"], ["building.id"], name=op.f("fk_network_building_building_id_building")
        ),
        sa.ForeignKeyConstraint(["network_id"], ["network.id"], name=op.f("fk_network_building_network_id_network")),
        sa.PrimaryKeyConstraint("network_id", "building_id", name=op.f("pk_network_building")),
    )
    op.create_index("ix_network_building_building_id", "network_building", ["building_id"], unique=False)

    op.create_table(
        "programme",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name_uk", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), server_default="", nullable=False),
        sa.Column("about_uk", sa.Text(), server_default="", nullable=False),
        sa.Column("about_en", sa.Text(), server_default="", nullable=False),
        sa.Column("ground", sa.String(length=300), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_programme_subject_id_subject")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_programme")),
        sa.UniqueConstraint("name_uk", name=op.f("uq_programme_name_uk")),
    )
    op.create_table(
        "routing_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("base_id", sa.Integer(), nullable=True),
        sa.Column("note", sa.String(length=200), server_default="", nullable=False),
        sa.Column("made_by", sa.Integer(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("live_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["base_id"], ["routing_version.id"], name=op.f("fk_routing_version_base_id_routing_version")
        ),
        sa.ForeignKeyConstraint(["made_by"], ["staff.id"], name=op.f("fk_routing_version_made_by_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routing_version")),
    )
    op.create_index(
        "uq_routing_version_live",
        "routing_version",
        ["state"],
        unique=True,
        sqlite_where=sa.text("state = 'live'"),
        postgresql_where=sa.text("state = 'live'"),
    )

    op.create_table(
        "incident_report",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("incident_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("linkedid", sa.String(length=64), server_default="", nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_incident_report_incident_id_incident")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_incident_report_staff_id_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_report")),
    )
    op.create_index("ix_incident_report_incident_id", "incident_report", ["incident_id"], unique=False)

    op.create_table(
        "programme_building",
        sa.Column("programme_id", sa.Integer(), nullable=False),
        sa.Column("building_id", sa.Integer(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(length=200), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["building_id"], ["building.id"], name=op.f("fk_programme_building_building_id_building")
        ),
        sa.ForeignKeyConstraint(
            ["programme_id"], ["programme.id"], name=op.f("fk_programme_building_programme_id_programme")
        ),
        sa.PrimaryKeyConstraint("programme_id", "building_id", name=op.f("pk_programme_building")),
    )
    op.create_index("ix_programme_building_building_id", "programme_building", ["building_id"], unique=False)

    op.create_table(
        "routing_rule",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=True),
        sa.Column("district_id", sa.Integer(), nullable=True),
        sa.Column("network_id", sa.Integer(), nullable=True),
        sa.Column("building_id", sa.Integer(), nullable=True),
        sa.Column("department_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["building_id"], ["building.id"], name=op.f("fk_routing_rule_building_id_building")),
        sa.ForeignKeyConstraint(
            ["department_id"], ["department.id"], name=op.f("fk_routing_rule_department_id_department")
        ),
        sa.ForeignKeyConstraint(["district_id"], ["district.id"], name=op.f("fk_routing_rule_district_id_district")),
        sa.ForeignKeyConstraint(["network_id"], ["network.id"], name=op.f("fk_routing_rule_network_id_network")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_routing_rule_subject_id_subject")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["routing_version.id"], name=op.f("fk_routing_rule_version_id_routing_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routing_rule")),
    )
    op.create_index("ix_routing_rule_version_id", "routing_rule", ["version_id"], unique=False)

    op.create_table(
        "attachment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("appeal_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=24), server_default="", nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeal.id"], name=op.f("fk_attachment_appeal_id_appeal")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_attachment_staff_id_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachment")),
    )
    op.create_index("ix_attachment_appeal_id", "attachment", ["appeal_id"], unique=False)
    op.create_index("ix_attachment_sha256", "attachment", ["sha256"], unique=False)

    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("audience", sa.String(length=10), nullable=False),
        sa.Column("appeal_id", sa.Integer(), nullable=True),
        sa.Column("department_id", sa.Integer(), nullable=True),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("citizen_id", sa.Integer(), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=8), server_default="due", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.String(length=200), server_default="", nullable=False),
        sa.Column("mail", sa.String(length=40), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeal.id"], name=op.f("fk_notice_appeal_id_appeal")),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_notice_citizen_id_citizen")),
        sa.ForeignKeyConstraint(["department_id"], ["department.id"], name=op.f("fk_notice_department_id_department")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_notice_staff_id_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint("key", name=op.f("uq_notice_key")),
    )
    op.create_index("ix_notice_appeal_id", "notice", ["appeal_id"], unique=False)
    op.create_index(
        "ix_notice_due",
        "notice",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'due'"),
        postgresql_where=sa.text("state = 'due'"),
    )

    for table, columns in _new_columns().items():
        for column in columns:
            _add(table, column)
    for name, where in PARTIAL.items():
        op.create_index(
            f"ix_appeal_{name}", "appeal", [name], sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )
    op.create_index("ix_appeal_registered_at", "appeal", ["registered_at"])
    known = sa.text("old_number IS NOT NULL")
    op.create_index("uq_appeal_old_number", "appeal", ["old_number"], unique=True, sqlite_where=known,
                    postgresql_where=known)  # fmt: skip
    op.create_index("ix_appeal_event_action_at", "appeal_event", ["action", "at"])
    op.create_index("ix_access_log_what_subject_key", "access_log", ["what", "subject_key"])
    _term_days("INTEGER", "CASE WHEN term_days_before >= 30 THEN NULL ELSE term_days_before END")
    op.execute("UPDATE appeal SET first_executed_at = executed_at")
    op.execute("UPDATE appeal SET watch_at = registered_at WHERE ended_at IS NULL")
    op.execute(
        "UPDATE appeal SET district_id = (SELECT district_id FROM building WHERE building.id = appeal.building_id)"
    )
    _kept("edit_log")
    _drop_kept("appeal_event")
    _kept("appeal_event", erasable="note")


def downgrade() -> None:
    _drop_kept("appeal_event")
    op.drop_index("ix_access_log_what_subject_key", "access_log")
    op.drop_index("ix_appeal_event_action_at", "appeal_event")
    op.drop_index("uq_appeal_old_number", "appeal")
    op.drop_index("ix_appeal_registered_at", "appeal")
    for name in PARTIAL:
        op.drop_index(f"ix_appeal_{name}", "appeal")
    _term_days("INTEGER NOT NULL DEFAULT '30'", "coalesce(term_days_before, 30)")
    for table, columns in _new_columns().items():
        for column in columns:
            op.drop_column(table, column.name)
    for table in reversed(TABLES):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION history_only_erased()")
    _kept("appeal_event")


PARTIAL = {name: f"{name} IS NOT NULL" for name in
           ("lead_id", "repeat_of", "incident_id", "official_id", "watch_at")}  # fmt: skip
TABLES = (
    "law_setting",
    "escalation",
    "calendar_day",
    "network",
    "contact",
    "article",
    "bulletin",
    "consultation",
    "edit_log",
    "incident",
    "network_building",
    "programme",
    "routing_version",
    "incident_report",
    "programme_building",
    "routing_rule",
    "attachment",
    "notice",
)


def _new_columns() -> dict[str, list[sa.Column[object]]]:
    def ref(name: str, table: str) -> sa.Column[object]:
        return sa.Column(name, sa.Integer(), sa.ForeignKey(f"{table}.id"), nullable=True)

    def text(name: str, length: int, default: str = "") -> sa.Column[object]:
        return sa.Column(name, sa.String(length=length), server_default=default, nullable=False)

    def moment(name: str) -> sa.Column[object]:
        return sa.Column(name, sa.DateTime(timezone=True), nullable=True)

    def flag(name: str, default: bool) -> sa.Column[object]:
        return sa.Column(name, sa.Boolean(), server_default=sa.true() if default else sa.false(), nullable=False)

    return {
        "appeal": [
            text("kind", 12, "application"), ref("against_id", "department"), ref("district_id", "district"),
            flag("priority", False), ref("repeat_of", "appeal"), ref("lead_id", "appeal"),
            ref("incident_id", "incident"), ref("official_id", "staff"), ref("routed_by", "routing_version"),
            moment("acknowledged_at"), moment("extended_at"), moment("watch_at"), moment("first_executed_at"),
            sa.Column("old_number", sa.String(length=40), nullable=True),
        ],
        "citizen": [text("email", 200), text("privilege", 20), moment("erased_at")],
        "department": [text("phone", 40), text("kind", 10, "city"), ref("superior_id", "department"),
                       flag("is_desk", False), flag("active", True)],
        "staff": [text("email", 200)],
        "subject": [text("kind", 12, "application"), flag("active", True)],
    }  # fmt: skip


def _add(table: str, column: sa.Column[object]) -> None:
    """Adds a column in place. Alembic's own way on SQLite is to copy the whole table for a reference."""
    if op.get_bind().dialect.name == "sqlite" and column.foreign_keys:
        target = next(iter(column.foreign_keys)).target_fullname.partition(".")[0]
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column.name} INTEGER REFERENCES {target} (id)")
    elif column.foreign_keys:
        target = next(iter(column.foreign_keys)).target_fullname.partition(".")[0]
        op.add_column(table, sa.Column(column.name, sa.Integer(), nullable=True))
        op.create_foreign_key(f"fk_{table}_{column.name}_{target}", table, target, [column.name], ["id"])
    else:
        op.add_column(table, column)


def _term_days(declared: str, value: str) -> None:
    """Declares the column anew, where it stands, with what it held."""
    op.execute("ALTER TABLE subject RENAME COLUMN term_days TO term_days_before")
    op.execute(f"ALTER TABLE subject ADD COLUMN term_days {declared}")
    op.execute(f"UPDATE subject SET term_days = {value}")  # noqa: S608  # one of the two above
    op.execute("ALTER TABLE subject DROP COLUMN term_days_before")


def _kept(table: str, erasable: str = "") -> None:
    """Triggers by which the database itself refuses to change or remove a line of history: all that may be done to it
    is to empty ``erasable``, words that may name a person who asked to be forgotten, and with it the evidence of a
    correction: where he lives, as it stood before."""
    refuse = "SELECT RAISE(ABORT, 'history is only added to')"
    columns = [column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)]
    if op.get_bind().dialect.name == "sqlite":
        same = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in columns if name not in (erasable, "evidence"))
        corrected = "(NEW.evidence IS OLD.evidence OR OLD.action = 'correct' AND NEW.evidence = '{}')"
        allowed = f" WHEN NOT (NEW.{erasable} = '' AND {corrected} AND {same})" if erasable else ""
        op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}{allowed} BEGIN {refuse}; END")
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} BEGIN {refuse}; END")
        return
    if not erasable:
        op.execute(
            f"CREATE TRIGGER {table}_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION history_is_kept()"
        )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION history_only_erased() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF to_jsonb(NEW) = to_jsonb(OLD) || jsonb_build_object(TG_ARGV[0], '') OR OLD.action = 'correct' AND "
        "to_jsonb(NEW) = to_jsonb(OLD) || jsonb_build_object(TG_ARGV[0], '', 'evidence', '{}'::jsonb) "
        "THEN RETURN NEW; END IF; "
        "RAISE EXCEPTION 'history is only added to' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_only_added_to BEFORE DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION history_is_kept()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_only_erased BEFORE UPDATE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION history_only_erased('{erasable}')"
    )


def _drop_kept(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for what in ("update", "delete"):
            op.execute(f"DROP TRIGGER {table}_no_{what}")
        return
    op.execute(f"DROP TRIGGER {table}_only_added_to ON {table}")
    op.execute(f"DROP TRIGGER IF EXISTS {table}_only_erased ON {table}")
