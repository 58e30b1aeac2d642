"""Expand: decisions that no person made, with what they were made from, and their reviews."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("decision", sa.Column("by", sqlmodel.sql.sqltypes.AutoString(), nullable=True))
    op.add_column("decision", sa.Column("rulebook", sqlmodel.sql.sqltypes.AutoString(), nullable=True))
    op.add_column("decision", sa.Column("frozen", sa.LargeBinary(), nullable=True))
    op.create_table(
        "review",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("decision", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reference", sa.LargeBinary(), nullable=True),
        sa.Column("view", sa.LargeBinary(), nullable=True),
        sa.Column("outcome", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.Column("reviewed_by", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["case"], ["cases.case"]),
        sa.PrimaryKeyConstraint("case", "n"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("review")
    op.drop_column("decision", "frozen")
    op.drop_column("decision", "rulebook")
    op.drop_column("decision", "by")
