"""Expand: what was said of a policy, in order; who objects to reminders; a policy's facts, people and last day.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision, down_revision = "0003", "0002"
branch_labels = depends_on = None


def upgrade() -> None:
    """Add tables, and columns that may be empty."""
    op.add_column("policy", sa.Column("co_insured", sa.LargeBinary(), nullable=True))
    op.add_column("policy", sa.Column("policyholder_index", sa.LargeBinary(), nullable=True))
    op.add_column("policy", sa.Column("covered_until", sa.Date(), nullable=True))
    op.add_column("policy", sa.Column("facts", sa.LargeBinary(), nullable=True))
    op.create_index(op.f("ix_policy_policyholder_index"), "policy", ["policyholder_index"], unique=False)
    op.create_table(
        "policy_entry",
        sa.Column("policy", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("act", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("said_by", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("people", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["policy"], ["policy.policy"]),
        sa.PrimaryKeyConstraint("policy", "n"),
    )
    op.create_index("policy_entry_act", "policy_entry", ["policy", "act"], unique=True)
    op.create_table(
        "renewal_objection",
        sa.Column("organisation", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("person", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("said_by", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "person"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("renewal_objection")
    op.drop_index("policy_entry_act", table_name="policy_entry")
    op.drop_table("policy_entry")
    op.drop_index(op.f("ix_policy_policyholder_index"), table_name="policy")
    for column in ("facts", "covered_until", "policyholder_index", "co_insured"):
        op.drop_column("policy", column)
