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

NOTED = "ix_appeal_event_noted"


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for column in columns:
            op.add_column(table, column)
    op.create_index(NOTED, "appeal_event", ["appeal_id", "id", "action"],
                    sqlite_where=sa.text("note <> ''"), postgresql_where=sa.text("note <> ''"))
    op.create_index("ix_recording_started_at", "recording", ["started_at"])


def downgrade() -> None:
    op.drop_index("ix_recording_started_at", "recording")
    op.drop_index(NOTED, "appeal_event", sqlite_where=sa.text("note <> ''"), postgresql_where=sa.text("note <> ''"))
    for table, columns in COLUMNS.items():
        for column in columns:
            op.drop_column(table, column.name)
