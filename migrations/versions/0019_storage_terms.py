"""Expand: records of personal data elsewhere, legal holds on them, and the nightly run over the storage terms."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString()
INSTANT = sa.DateTime(timezone=True)
JSON = postgresql.JSONB(astext_type=sa.Text())


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "record",
        sa.Column("organisation", TEXT, nullable=False),
        sa.Column("record", TEXT, nullable=False),
        sa.Column("system", TEXT, nullable=False),
        sa.Column("medium", TEXT, nullable=False),
        sa.Column("line", TEXT, nullable=True),
        sa.Column("purposes", JSON, nullable=False),
        sa.Column("longer", JSON, nullable=True),
        sa.Column("person", sa.LargeBinary(), nullable=True),
        sa.Column("facts", sa.Integer(), nullable=False),
        sa.Column("asked_at", INSTANT, nullable=True),
        sa.Column("proof_by", INSTANT, nullable=True),
        sa.Column("destroyed_at", INSTANT, nullable=True),
        sa.Column("destroyed_by", TEXT, nullable=True),
        sa.Column("way", TEXT, nullable=True),
        sa.Column("proof", TEXT, nullable=True),
        sa.CheckConstraint("medium IN ('system', 'paper')", name="record_medium"),
        sa.CheckConstraint("(destroyed_at IS NULL) = (proof IS NULL)", name="record_destroyed"),
        sa.CheckConstraint("(asked_at IS NULL) = (proof_by IS NULL)", name="record_asked"),
        sa.PrimaryKeyConstraint("organisation", "record"),
    )
    open_ = sa.text("proof_by IS NOT NULL AND destroyed_at IS NULL")
    op.create_index("record_overdue", "record", ["proof_by"], unique=False, postgresql_where=open_)
    op.create_table(
        "record_fact",
        sa.Column("organisation", TEXT, nullable=False),
        sa.Column("record", TEXT, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.Column("said_by", TEXT, nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.ForeignKeyConstraint(["organisation", "record"], ["record.organisation", "record.record"]),
        sa.PrimaryKeyConstraint("organisation", "record", "n"),
    )
    op.create_table(
        "record_hold",
        sa.Column("organisation", TEXT, nullable=False),
        sa.Column("hold", TEXT, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.Column("record", TEXT, nullable=True),
        sa.Column("held_case", TEXT, nullable=True),
        sa.Column("person", sa.LargeBinary(), nullable=True),
        sa.Column("placed_at", INSTANT, nullable=False),
        sa.Column("placed_by", TEXT, nullable=False),
        sa.Column("lifted_at", INSTANT, nullable=True),
        sa.Column("lifted_by", TEXT, nullable=True),
        sa.CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="record_hold_lifted"),
        sa.CheckConstraint(
            "num_nonnulls(record, held_case, person) = CASE WHEN lifted_at IS NULL THEN 1 "
            "ELSE num_nonnulls(record, held_case) END",
            name="record_hold_of_one",
        ),
        sa.PrimaryKeyConstraint("organisation", "hold"),
    )
    stands = sa.text("lifted_at IS NULL")
    op.create_index("record_hold_stands", "record_hold", ["organisation"], unique=False, postgresql_where=stands)
    op.create_table(
        "storage_run",
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("workflow", TEXT, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("part", TEXT, nullable=False),
        sa.Column("after", JSON, nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("n"),
        sa.UniqueConstraint("workflow"),
    )
    op.create_table(
        "storage_count",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("organisation", TEXT, nullable=False),
        sa.Column("duty", TEXT, nullable=False),
        sa.Column("what", TEXT, nullable=False),
        sa.Column("result", TEXT, nullable=False),
        sa.Column("why", TEXT, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["storage_run.n"]),
        sa.PrimaryKeyConstraint("run", "organisation", "duty", "what", "result", "why"),
    )
    op.create_table(
        "storage_item",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("organisation", TEXT, nullable=False),
        sa.Column("duty", TEXT, nullable=False),
        sa.Column("what", TEXT, nullable=False),
        sa.Column("due", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("result", TEXT, nullable=True),
        sa.Column("why", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["storage_run.n"]),
        sa.PrimaryKeyConstraint("run", "key"),
    )
    unfinished = sa.text("ended_at IS NULL")
    op.create_index("storage_item_open", "storage_item", ["run"], unique=False, postgresql_where=unfinished)


def downgrade() -> None:
    """Take back."""
    for table in ("storage_item", "storage_count", "storage_run", "record_hold", "record_fact", "record"):
        op.drop_table(table)
