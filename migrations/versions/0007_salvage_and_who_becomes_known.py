"""Expand: what waits for salvage is reserved by head; who becomes known waits for screening."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "decision_part", sa.Column("salvage", sa.Numeric(precision=14, scale=2), nullable=False, server_default="0")
    )
    op.add_column("party", sa.Column("to_screen", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("party_to_screen", "party", ["case"], unique=False, postgresql_where=sa.text("to_screen"))


def downgrade() -> None:
    """Take back."""
    op.drop_index("party_to_screen", table_name="party")
    op.drop_column("party", "to_screen")
    op.drop_column("decision_part", "salvage")
