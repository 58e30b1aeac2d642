"""Expand: what an erasure left on a ground, until the ground ends; records that a request ends before their term."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString()
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "kept",
        sa.Column("case", TEXT, nullable=False),
        sa.Column("system", TEXT, nullable=False),
        sa.Column("record", TEXT, nullable=False),
        sa.Column("organisation", TEXT, nullable=False),
        sa.Column("ground", TEXT, nullable=False),
        sa.Column("decided", sa.Boolean(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("person", sa.LargeBinary(), nullable=True),
        sa.Column("kept_at", INSTANT, nullable=False),
        sa.Column("gone_at", INSTANT, nullable=True),
        sa.Column("run", sa.Integer(), nullable=True),
        sa.CheckConstraint("gone_at IS NULL OR gone_at >= kept_at", name="kept_first"),
        sa.ForeignKeyConstraint(["case"], ["erasure.case"]),
        sa.ForeignKeyConstraint(["run"], ["storage_run.n"]),
        sa.PrimaryKeyConstraint("case", "system", "record"),
    )
    stands = sa.text("gone_at IS NULL")
    op.create_index("kept_stands", "kept", ["case"], unique=False, postgresql_where=stands)
    op.add_column("record", sa.Column("erase_for", TEXT, nullable=True))
    op.add_column("record", sa.Column("erase_at", INSTANT, nullable=True))
    op.create_check_constraint("record_erase", "record", "(erase_for IS NULL) = (erase_at IS NULL)")


def downgrade() -> None:
    """Take back."""
    op.drop_constraint("record_erase", "record")
    op.drop_column("record", "erase_at")
    op.drop_column("record", "erase_for")
    op.drop_table("kept")
