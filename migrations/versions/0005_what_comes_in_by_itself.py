"""Expand: when mail and bank were last read and what of it waits for people; letters and payments by reference."""

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
    op.create_index("payment_reference", "payment_order", ["reference"], unique=False)
    op.create_index(
        "payment_waiting", "payment_order", ["queued_at"], unique=False, postgresql_where=sa.text("issued_at IS NULL")
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("payment_waiting", table_name="payment_order")
    op.drop_index("payment_reference", table_name="payment_order")
    op.drop_index("notice_reference", table_name="notice")
    op.drop_table("incoming")
