"""Expand: what comes in by itself and waits for people; letters and payments by reference; sanctions screenings."""

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
    op.create_table(
        "screening",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("key", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("party", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("screened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("list_made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("list_digest", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("result", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("hits", sa.LargeBinary(), nullable=False),
        sa.Column("cleared", sa.LargeBinary(), nullable=False),
        sa.Column("judged_by", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["case"], ["cases.case"]),
        sa.PrimaryKeyConstraint("case", "key"),
    )
    op.create_index(
        "screening_open",
        "screening",
        ["case"],
        unique=False,
        postgresql_where=sa.text("result IN ('hit', 'confirmed')"),
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
    op.drop_index("screening_open", table_name="screening")
    op.drop_table("screening")
    op.drop_table("incoming")
