"""Expand: written agreements on instalments, their schedules, and what the end of a right cancels."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "agreement",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("claimant", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("head", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("decision", sa.Integer(), nullable=False),
        sa.Column("agreed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reference", sa.LargeBinary(), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["case"], ["cases.case"]),
        sa.PrimaryKeyConstraint("case", "claimant", "head", "decision"),
    )
    op.create_table(
        "instalment",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("claimant", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("head", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("decision", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("amount", sa.Numeric(14, 2), nullable=False),
        sa.Column("payment", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount > 0", name="instalment_amount"),
        sa.CheckConstraint("payment IS NULL OR cancelled_at IS NULL", name="instalment_once"),
        sa.ForeignKeyConstraint(["case"], ["cases.case"]),
        sa.PrimaryKeyConstraint("case", "claimant", "head", "decision", "n"),
    )
    op.add_column("decision_part", sa.Column("cancelled", sa.Numeric(14, 2), server_default="0", nullable=False))


def downgrade() -> None:
    """Take back."""
    op.drop_column("decision_part", "cancelled")
    op.drop_table("instalment")
    op.drop_table("agreement")
