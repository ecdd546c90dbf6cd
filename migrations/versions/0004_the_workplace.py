"""the workplace: second factor, passwords to be changed, sign-ins told apart, phrases, the last answer found at once

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = {
    "staff": (
        sa.Column("password_given", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("totp_secret", sa.String(length=64), server_default="", nullable=False),
        sa.Column("totp_step", sa.BigInteger(), server_default="0", nullable=False),
    ),
    "session": (
        sa.Column("phone", sa.String(length=8), server_default="desk", nullable=False),
        sa.Column("source", sa.String(length=64), server_default="", nullable=False),
        sa.Column("agent", sa.String(length=200), server_default="", nullable=False),
    ),
    "subject": (sa.Column("phrases", sa.Text(), server_default="", nullable=False),),
}

# name: table, columns, of which rows
INDEXES = {
    "ix_appeal_event_noted": ("appeal_event", ["appeal_id", "id", "action"], sa.text("note <> ''")),
    "ix_attempt_citizen_id": ("attempt", ["citizen_id"], None),
    "ix_listening_recording_id": ("listening", ["recording_id"], None),
    "ix_notice_citizen_id": ("notice", ["citizen_id"], sa.text("citizen_id IS NOT NULL")),
    "ix_attempt_open": ("attempt", ["placed_at"], sa.text("ended_at IS NULL")),
    "ix_recording_started_at": ("recording", ["started_at"], None),
}


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for column in columns:
            op.add_column(table, column)
    for name, (table, names, which) in INDEXES.items():
        op.create_index(name, table, names, sqlite_where=which, postgresql_where=which)


def downgrade() -> None:
    for name, (table, _, which) in reversed(INDEXES.items()):
        op.drop_index(name, table, sqlite_where=which, postgresql_where=which)
    for table, columns in COLUMNS.items():
        for column in columns:
            op.drop_column(table, column.name)
