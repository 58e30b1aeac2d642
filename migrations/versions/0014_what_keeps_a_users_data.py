"""Expand: legal holds on what is known of an account's user, and since when it is restricted."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString()
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply."""
    op.add_column("account", sa.Column("restricted_at", INSTANT, nullable=True))
    op.create_table(
        "legal_hold",
        sa.Column("client", TEXT, nullable=False),
        sa.Column("username", TEXT, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("placed_by", TEXT, nullable=False),
        sa.Column("placed_at", INSTANT, nullable=False),
        sa.Column("lifted_by", TEXT, nullable=True),
        sa.Column("lifted_at", INSTANT, nullable=True),
        sa.CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="legal_hold_lifted"),
        sa.ForeignKeyConstraint(["client", "username"], ["account.client", "account.username"]),
        sa.PrimaryKeyConstraint("client", "username", "n"),
    )
    op.create_index(
        "legal_hold_one_stands",
        "legal_hold",
        ["client", "username"],
        unique=True,
        postgresql_where=sa.text("lifted_at IS NULL"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("legal_hold")
    op.drop_column("account", "restricted_at")
