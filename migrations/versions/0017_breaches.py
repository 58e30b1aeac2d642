"""Expand: breaches, with their register, the letters to data subjects, and the lists of who they are."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    text = sqlmodel.sql.sqltypes.AutoString()
    op.create_table(
        "breach_entry",
        sa.Column("case", text, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", text, nullable=False),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
        sa.Column("effects", sa.LargeBinary(), nullable=False),
        sa.Column("corrective_action", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["case"], ["cases.case"]),
        sa.PrimaryKeyConstraint("case", "n"),
    )
    op.create_table(
        "breach_letter",
        sa.Column("case", text, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("contact", sa.LargeBinary(), nullable=False),
        sa.Column("texts", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["case"], ["cases.case"]),
        sa.PrimaryKeyConstraint("case", "n"),
    )
    op.create_table(
        "recipient_list",
        sa.Column("case", text, nullable=False),
        sa.Column("code", text, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("loaded_by", text, nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("people", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["case"], ["intake.case"]),
        sa.PrimaryKeyConstraint("case", "code"),
    )


def downgrade() -> None:
    """Take back."""
    for table in ("recipient_list", "breach_letter", "breach_entry"):
        op.drop_table(table)
