"""Expand: the limit ledger keeps an amount for each stage, and every decision with its parts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

AMOUNTS = ("claimed", "proven", "proposed", "withheld", "paid")


def upgrade() -> None:
    """Apply."""
    for name in AMOUNTS:
        op.add_column("limit_entry", sa.Column(name, sa.Numeric(14, 2), nullable=False, server_default="0"))
    op.add_column("limit_entry", sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint("limit_reserved", "limit_entry", "reserved >= 0 AND withheld >= 0")
    op.create_check_constraint("limit_paid", "limit_entry", "paid <= taken")
    op.create_index("limit_withheld", "limit_entry", ["policy"], postgresql_where=sa.text("withheld > 0"))
    op.create_table(
        "decision",
        sa.Column("case", sa.String(), sa.ForeignKey("cases.case"), primary_key=True),
        sa.Column("n", sa.Integer(), primary_key=True),
        sa.Column("asked", sa.LargeBinary(), nullable=False),
        sa.Column("lines", sa.LargeBinary(), nullable=False),
        sa.Column("premium", sa.Numeric(14, 2), nullable=False),
        sa.Column("withheld", sa.Numeric(14, 2), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_table(
        "decision_part",
        sa.Column("case", sa.String(), sa.ForeignKey("cases.case"), primary_key=True),
        sa.Column("n", sa.Integer(), primary_key=True),
        sa.Column("claimant", sa.String(), primary_key=True),
        sa.Column("head", sa.String(), primary_key=True),
        sa.Column("payable", sa.Numeric(14, 2), nullable=False),
        sa.Column("to_insured", sa.Numeric(14, 2), nullable=False),
        sa.Column("deductible", sa.Numeric(14, 2), nullable=False),
        sa.Column("person", sa.LargeBinary(), nullable=True),
        sa.Column("deceased", sa.String(), nullable=True),
    )
    op.create_index("ix_decision_part_person", "decision_part", ["person"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("decision_part")
    op.drop_table("decision")
    op.drop_index("limit_withheld", "limit_entry")
    op.drop_constraint("limit_paid", "limit_entry")
    op.drop_constraint("limit_reserved", "limit_entry")
    for name in ("changed_at", *AMOUNTS):
        op.drop_column("limit_entry", name)
