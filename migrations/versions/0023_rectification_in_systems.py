"""Expand: what a privacy request had corrected in the systems, with what was and what is."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "rectification",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("plan", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("done_at IS NULL OR done_at >= begun_at", name="rectification_begun_first"),
        sa.ForeignKeyConstraint(["case"], ["identification.case"]),
        sa.PrimaryKeyConstraint("case"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("rectification")
