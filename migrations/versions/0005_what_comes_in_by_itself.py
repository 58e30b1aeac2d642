"""Expand: when mail and bank were last read and what of it waits for people; letters by Message-ID."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "incoming",
        sa.Column("source", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("aside", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("source"),
    )
    op.create_index("notice_reference", "notice", ["reference"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index("notice_reference", table_name="notice")
    op.drop_table("incoming")
