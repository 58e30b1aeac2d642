"""Expand: what is said of recurring duties, and their turns."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString()
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "recurrence",
        sa.Column("organisation", TEXT, nullable=False),
        sa.Column("duty", TEXT, nullable=False),
        sa.Column("about", TEXT, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("what", TEXT, nullable=False),
        sa.Column("said_on", sa.Date(), nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.Column("said_by", TEXT, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.CheckConstraint("what IN ('done', 'begins', 'ends')", name="recurrence_what"),
        sa.PrimaryKeyConstraint("organisation", "duty", "about", "n"),
    )
    op.create_table(
        "turn",
        sa.Column("organisation", TEXT, nullable=False),
        sa.Column("duty", TEXT, nullable=False),
        sa.Column("about", TEXT, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("case", TEXT, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("outcome", TEXT, nullable=True),
        sa.Column("done_on", sa.Date(), nullable=True),
        sa.CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="turn_ended"),
        sa.CheckConstraint("outcome IS DISTINCT FROM 'done' OR done_on IS NOT NULL", name="turn_done"),
        sa.CheckConstraint("outcome IN ('done', 'dropped')", name="turn_outcome"),
        sa.ForeignKeyConstraint(["case"], ["cases.case"]),
        sa.PrimaryKeyConstraint("organisation", "duty", "about", "n"),
        sa.UniqueConstraint("case"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("turn")
    op.drop_table("recurrence")
