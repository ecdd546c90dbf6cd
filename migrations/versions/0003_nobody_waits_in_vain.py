"""nobody waits in vain: promises, campaigns, announcements, surges, shifts, ratings

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shift",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "minute", name=op.f("pk_shift")),
    )
    op.create_table(
        "silenced",
        sa.Column("e164", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("e164", name=op.f("pk_silenced")),
    )
    op.create_table(
        "campaign",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("mode", sa.String(length=12), nullable=False),
        sa.Column("department_id", sa.Integer(), nullable=True),
        sa.Column("subject_id", sa.Integer(), nullable=True),
        sa.Column("district_id", sa.Integer(), nullable=True),
        sa.Column("older_days", sa.Integer(), server_default="0", nullable=False),
        sa.Column("call_from", sa.Integer(), nullable=True),
        sa.Column("call_to", sa.Integer(), nullable=True),
        sa.Column("daily_cap", sa.Integer(), nullable=True),
        sa.Column("citizen_daily_cap", sa.Integer(), server_default="2", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Integer(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["staff.id"], name=op.f("fk_campaign_created_by_staff")),
        sa.ForeignKeyConstraint(
            ["department_id"], ["department.id"], name=op.f("fk_campaign_department_id_department")
        ),
        sa.ForeignKeyConstraint(["district_id"], ["district.id"], name=op.f("fk_campaign_district_id_district")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_campaign_subject_id_subject")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign")),
    )
    op.create_table(
        "rating",
        sa.Column("linkedid", sa.String(length=64), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("seat", sa.String(length=20), server_default="", nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_rating_staff_id_staff")),
        sa.PrimaryKeyConstraint("linkedid", name=op.f("pk_rating")),
    )
    op.create_index(op.f("ix_rating_at"), "rating", ["at"], unique=False)

    op.create_table(
        "surge",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("began_by", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(length=200), server_default="", nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["began_by"], ["staff.id"], name=op.f("fk_surge_began_by_staff")),
        sa.ForeignKeyConstraint(["ended_by"], ["staff.id"], name=op.f("fk_surge_ended_by_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_surge")),
    )
    op.create_index(
        "uq_surge_on",
        "surge",
        ["kind"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )

    op.create_table(
        "announcement",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("incident_id", sa.Integer(), nullable=True),
        sa.Column("text_uk", sa.String(length=600), nullable=False),
        sa.Column("text_en", sa.String(length=600), server_default="", nullable=False),
        sa.Column("sound_uk", sa.String(length=60), server_default="", nullable=False),
        sa.Column("sound_en", sa.String(length=60), server_default="", nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.Integer(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["ended_by"], ["staff.id"], name=op.f("fk_announcement_ended_by_staff")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_announcement_incident_id_incident")),
        sa.ForeignKeyConstraint(["made_by"], ["staff.id"], name=op.f("fk_announcement_made_by_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announcement")),
    )
    op.create_index(
        "uq_announcement_live",
        "announcement",
        ["incident_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )

    op.create_table(
        "promise",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("e164", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("linkedid", sa.String(length=64), server_default="", nullable=False),
        sa.Column("language", sa.String(length=2), server_default="uk", nullable=False),
        sa.Column("priority", sa.String(length=10), server_default="ordinary", nullable=False),
        sa.Column("skill", sa.String(length=10), server_default="", nullable=False),
        sa.Column("incident_id", sa.Integer(), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("turn", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("met_by", sa.String(length=64), server_default="", nullable=False),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_promise_incident_id_incident")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promise")),
    )
    op.create_index(op.f("ix_promise_made_at"), "promise", ["made_at"], unique=False)
    op.create_index(
        "ix_promise_open",
        "promise",
        ["turn"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "uq_promise_open_e164",
        "promise",
        ["e164"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )

    op.create_table(
        "incident_caller",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("incident_id", sa.Integer(), nullable=False),
        sa.Column("e164", sa.String(length=16), nullable=False),
        sa.Column("language", sa.String(length=2), server_default="uk", nullable=False),
        sa.Column("linkedid", sa.String(length=64), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("appeal_id", sa.Integer(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", sa.String(length=12), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeal.id"], name=op.f("fk_incident_caller_appeal_id_appeal")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_incident_caller_incident_id_incident")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_caller")),
    )
    op.create_index(op.f("ix_incident_caller_incident_id"), "incident_caller", ["incident_id"], unique=False)
    op.create_index(
        "ix_incident_caller_unasked",
        "incident_caller",
        ["id"],
        unique=False,
        sqlite_where=sa.text("asked_at IS NULL AND appeal_id IS NULL"),
        postgresql_where=sa.text("asked_at IS NULL AND appeal_id IS NULL"),
    )
    op.create_index(
        "uq_incident_caller_e164",
        "incident_caller",
        ["incident_id", "e164"],
        unique=True,
        sqlite_where=sa.text("e164 != ''"),
        postgresql_where=sa.text("e164 != ''"),
    )
    with op.batch_alter_table("attempt") as batch_op:
        batch_op.add_column(sa.Column("promise_id", sa.Integer(), nullable=True))
        batch_op.alter_column("callback_id", existing_type=sa.INTEGER(), nullable=True)
        batch_op.alter_column("citizen_id", existing_type=sa.INTEGER(), nullable=True)
        batch_op.create_index(
            "ix_attempt_ringing",
            ["e164"],
            unique=False,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_index(
            "ix_attempt_promise_id",
            ["promise_id"],
            unique=False,
            sqlite_where=sa.text("promise_id IS NOT NULL"),
            postgresql_where=sa.text("promise_id IS NOT NULL"),
        )
        batch_op.create_index(
            "uq_attempt_open_promise",
            ["promise_id"],
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_foreign_key(batch_op.f("fk_attempt_promise_id_promise"), "promise", ["promise_id"], ["id"])

    with op.batch_alter_table("call") as batch_op:
        batch_op.add_column(sa.Column("told_low_s", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("priority", sa.String(length=10), server_default="ordinary", nullable=False))
        batch_op.add_column(sa.Column("skill", sa.String(length=10), server_default="", nullable=False))
        batch_op.create_index(
            "ix_call_citizen_id",
            ["citizen_id"],
            unique=False,
            sqlite_where=sa.text("citizen_id IS NOT NULL"),
            postgresql_where=sa.text("citizen_id IS NOT NULL"),
        )

    with op.batch_alter_table("callback") as batch_op:
        batch_op.add_column(sa.Column("campaign_id", sa.Integer(), nullable=True))
        batch_op.create_index(
            "ix_callback_campaign_id",
            ["campaign_id"],
            unique=False,
            sqlite_where=sa.text("campaign_id IS NOT NULL"),
            postgresql_where=sa.text("campaign_id IS NOT NULL"),
        )
        batch_op.create_foreign_key(batch_op.f("fk_callback_campaign_id_campaign"), "campaign", ["campaign_id"], ["id"])

    with op.batch_alter_table("staff") as batch_op:
        batch_op.add_column(sa.Column("skills", sa.String(length=60), server_default="", nullable=False))


def downgrade() -> None:
    op.execute("DELETE FROM attempt WHERE callback_id IS NULL")  # what was promised is not known to 0002
    with op.batch_alter_table("staff") as batch_op:
        batch_op.drop_column("skills")

    with op.batch_alter_table("callback") as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_callback_campaign_id_campaign"), type_="foreignkey")
        batch_op.drop_index(
            "ix_callback_campaign_id",
            sqlite_where=sa.text("campaign_id IS NOT NULL"),
            postgresql_where=sa.text("campaign_id IS NOT NULL"),
        )
        batch_op.drop_column("campaign_id")

    with op.batch_alter_table("call") as batch_op:
        batch_op.drop_index(
            "ix_call_citizen_id",
            sqlite_where=sa.text("citizen_id IS NOT NULL"),
            postgresql_where=sa.text("citizen_id IS NOT NULL"),
        )
        batch_op.drop_column("skill")
        batch_op.drop_column("priority")
        batch_op.drop_column("told_low_s")

    with op.batch_alter_table("attempt") as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_attempt_promise_id_promise"), type_="foreignkey")
        batch_op.drop_index(
            "uq_attempt_open_promise",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.drop_index(
            "ix_attempt_ringing",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.drop_index(
            "ix_attempt_promise_id",
            sqlite_where=sa.text("promise_id IS NOT NULL"),
            postgresql_where=sa.text("promise_id IS NOT NULL"),
        )
        batch_op.alter_column("citizen_id", existing_type=sa.INTEGER(), nullable=False)
        batch_op.alter_column("callback_id", existing_type=sa.INTEGER(), nullable=False)
        batch_op.drop_column("promise_id")

    op.drop_index(
        "uq_incident_caller_e164",
        table_name="incident_caller",
        sqlite_where=sa.text("e164 != ''"),
        postgresql_where=sa.text("e164 != ''"),
    )
    op.drop_index(
        "ix_incident_caller_unasked",
        table_name="incident_caller",
        sqlite_where=sa.text("asked_at IS NULL AND appeal_id IS NULL"),
        postgresql_where=sa.text("asked_at IS NULL AND appeal_id IS NULL"),
    )
    op.drop_index(op.f("ix_incident_caller_incident_id"), table_name="incident_caller")
    op.drop_table("incident_caller")
    op.drop_index(
        "uq_promise_open_e164",
        table_name="promise",
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.drop_index(
        "ix_promise_open",
        table_name="promise",
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.drop_index(op.f("ix_promise_made_at"), table_name="promise")

    op.drop_table("promise")
    op.drop_index(
        "uq_announcement_live",
        table_name="announcement",
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )

    op.drop_table("announcement")
    op.drop_index(
        "uq_surge_on",
        table_name="surge",
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )

    op.drop_table("surge")
    op.drop_index(op.f("ix_rating_at"), table_name="rating")

    op.drop_table("rating")
    op.drop_table("campaign")
    op.drop_table("silenced")
    op.drop_table("shift")
