"""Expand: who ended an account and by which event, when its secret was set, and what a suspension rests on."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString()
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply."""
    op.add_column("account", sa.Column("ended_by", TEXT, nullable=True))
    op.add_column("account", sa.Column("event_at", INSTANT, nullable=True))
    op.add_column("account", sa.Column("secret_set_at", INSTANT, nullable=True))
    op.execute("UPDATE account SET secret_set_at = coalesce(mailed_at, created_at) WHERE secret_hash IS NOT NULL")
    op.add_column("suspension", sa.Column("event_at", INSTANT, nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("suspension", "event_at")
    for column in ("secret_set_at", "event_at", "ended_by"):
        op.drop_column("account", column)
