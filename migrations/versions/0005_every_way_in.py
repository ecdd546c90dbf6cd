"""the written channels: messages, addresses, notices by each way, keys and webhooks of other programs, counts

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answer_template",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("text_uk", sa.Text(), nullable=False),
        sa.Column("text_en", sa.Text(), server_default="", nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer_template")),
        sa.UniqueConstraint("name", name=op.f("uq_answer_template_name")),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("begins", sa.String(length=8), nullable=False),
        sa.Column("channel", sa.String(length=10), server_default="open311", nullable=False),
        sa.Column("hourly_cap", sa.Integer(), server_default="600", nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("name", name=op.f("uq_api_key_name")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_key_sha256")),
    )
    op.create_table(
        "rate_count",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", "since", name=op.f("pk_rate_count")),
    )
    op.create_index(op.f("ix_rate_count_since"), "rate_count", ["since"], unique=False)
    op.create_table(
        "stopped",
        sa.Column("way", sa.String(length=10), nullable=False),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("way", "address", name=op.f("pk_stopped")),
    )
    op.create_table(
        "visit_count",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("page", sa.String(length=40), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "page", "language", name=op.f("pk_visit_count")),
    )
    op.create_table(
        "webhook",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("secret", sa.String(length=64), nullable=False),
        sa.Column("department_id", sa.Integer(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["department_id"], ["department.id"], name=op.f("fk_webhook_department_id_department")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
        sa.UniqueConstraint("name", name=op.f("uq_webhook_name")),
    )
    op.create_table(
        "citizen_address",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("citizen_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_citizen_address_citizen_id_citizen")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_citizen_address")),
        sa.UniqueConstraint(
            "citizen_id", "channel", "address", name=op.f("uq_citizen_address_citizen_id_channel_address")
        ),
    )
    op.create_index(op.f("ix_citizen_address_channel_address"), "citizen_address", ["channel", "address"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("appeal_id", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=8), server_default="due", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.String(length=200), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeal.id"], name=op.f("fk_delivery_appeal_id_appeal")),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"], name=op.f("fk_delivery_webhook_id_webhook")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
    )
    op.create_index(op.f("ix_delivery_appeal_id"), "delivery", ["appeal_id"], unique=False)
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'due'"),
        postgresql_where=sa.text("state = 'due'"),
    )
    op.create_index(
        "ix_delivery_order",
        "delivery",
        ["webhook_id", "appeal_id", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'due'"),
        postgresql_where=sa.text("state = 'due'"),
    )
    op.create_table(
        "message",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=False),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), server_default="", nullable=False),
        sa.Column("title", sa.String(length=300), server_default="", nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("language", sa.String(length=2), server_default="uk", nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=20), server_default="", nullable=False),
        sa.Column("citizen_id", sa.Integer(), nullable=True),
        sa.Column("appeal_id", sa.Integer(), nullable=True),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeal.id"], name=op.f("fk_message_appeal_id_appeal")),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_message_citizen_id_citizen")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_message_staff_id_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint("channel", "external_id", name=op.f("uq_message_channel_external_id")),
    )
    op.create_index(
        "ix_message_appeal_id",
        "message",
        ["appeal_id"],
        unique=False,
        sqlite_where=sa.text("appeal_id IS NOT NULL"),
        postgresql_where=sa.text("appeal_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_message_channel_address_received_at"), "message", ["channel", "address", "received_at"], unique=False
    )
    op.create_index(
        "ix_message_citizen_id",
        "message",
        ["citizen_id"],
        unique=False,
        sqlite_where=sa.text("citizen_id IS NOT NULL"),
        postgresql_where=sa.text("citizen_id IS NOT NULL"),
    )
    op.create_index(
        "ix_message_open",
        "message",
        ["received_at"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "message_file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_message_file_message_id_message")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_file")),
    )
    op.create_index(op.f("ix_message_file_message_id"), "message_file", ["message_id"], unique=False)
    op.create_index(op.f("ix_message_file_sha256"), "message_file", ["sha256"], unique=False)
    op.create_table(
        "remote_file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(length=1500), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=8), server_default="due", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.String(length=200), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_remote_file_message_id_message")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remote_file")),
        sa.UniqueConstraint("message_id", "path", name=op.f("uq_remote_file_message_id_path")),
    )
    op.create_index(
        "ix_remote_file_due",
        "remote_file",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('due', 'kept')"),
        postgresql_where=sa.text("state IN ('due', 'kept')"),
    )
    op.add_column("appeal", sa.Column("tell_by", sa.String(length=10), server_default="", nullable=False))
    op.add_column("appeal", sa.Column("tell_to", sa.String(length=200), server_default="", nullable=False))
    op.create_index(
        "ix_appeal_tell_to",
        "appeal",
        ["tell_to"],
        sqlite_where=sa.text("tell_to <> ''"),
        postgresql_where=sa.text("tell_to <> ''"),
    )
    op.add_column("appeal", sa.Column("received_at", sa.DateTime(timezone=True), nullable=True))
    # Written out: SQLite takes a reference with a new column, and only so.
    op.execute(
        "ALTER TABLE notice ADD COLUMN message_id INTEGER "
        "CONSTRAINT fk_notice_message_id_message REFERENCES message (id)"
    )
    op.add_column("notice", sa.Column("way", sa.String(length=10), server_default="", nullable=False))
    op.add_column("notice", sa.Column("address", sa.String(length=200), server_default="", nullable=False))
    op.add_column("notice", sa.Column("sent_ref", sa.String(length=120), server_default="", nullable=False))
    op.add_column("notice", sa.Column("delivered", sa.String(length=12), server_default="", nullable=False))
    op.create_index(
        "ix_notice_message_id",
        "notice",
        ["message_id"],
        unique=False,
        sqlite_where=sa.text("message_id IS NOT NULL"),
        postgresql_where=sa.text("message_id IS NOT NULL"),
    )
    op.create_index(
        "ix_notice_sending",
        "notice",
        ["way"],
        unique=False,
        sqlite_where=sa.text("state = 'sending'"),
        postgresql_where=sa.text("state = 'sending'"),
    )
    op.create_index(
        "ix_notice_sent_ref",
        "notice",
        ["sent_ref"],
        unique=False,
        sqlite_where=sa.text("sent_ref <> ''"),
        postgresql_where=sa.text("sent_ref <> ''"),
    )

    # Those whose e-mail address is known are recognised by it.
    op.execute(
        "INSERT INTO citizen_address (citizen_id, channel, address, last_used_at) "
        "SELECT id, 'email', lower(email), created_at FROM citizen WHERE email <> ''"
    )


def downgrade() -> None:
    op.drop_index("ix_appeal_tell_to", "appeal")
    op.drop_index("ix_notice_sent_ref", "notice")
    op.drop_index("ix_notice_sending", "notice")
    op.drop_index("ix_notice_message_id", "notice")
    with op.batch_alter_table("notice") as notice:
        notice.drop_column("message_id")
    op.drop_column("notice", "delivered")
    op.drop_column("notice", "sent_ref")
    op.drop_column("notice", "address")
    op.drop_column("notice", "way")
    op.drop_column("appeal", "received_at")
    op.drop_column("appeal", "tell_to")
    op.drop_column("appeal", "tell_by")
    op.drop_table("remote_file")
    op.drop_table("message_file")
    op.drop_table("message")
    op.drop_table("delivery")
    op.drop_table("citizen_address")
    op.drop_table("webhook")
    op.drop_table("visit_count")
    op.drop_table("stopped")
    op.drop_table("rate_count")
    op.drop_table("api_key")
    op.drop_table("answer_template")
