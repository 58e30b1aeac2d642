"""Expand: decisions about an authenticator for everybody, the clients they concern, and cases by who asked for them."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString()
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "authenticator_decision",
        sa.Column("case", TEXT, nullable=False),
        sa.Column("organisation", TEXT, nullable=False),
        sa.Column("authenticator", TEXT, nullable=False),
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("takes_effect_on", sa.Date(), nullable=True),
        sa.Column("withdrawn_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["case"], ["cases.case"]),
        sa.PrimaryKeyConstraint("case"),
    )
    op.create_table(
        "authenticator_decision_client",
        sa.Column("decision", TEXT, nullable=False),
        sa.Column("client", TEXT, nullable=False),
        sa.Column("withdrawal", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["decision"], ["authenticator_decision.case"]),
        sa.ForeignKeyConstraint(["client"], ["client.client"]),
        sa.ForeignKeyConstraint(["withdrawal"], ["intake.case"]),
        sa.PrimaryKeyConstraint("decision", "client"),
        sa.UniqueConstraint("withdrawal"),
    )
    op.create_index("intake_parent", "intake", ["parent"], postgresql_where="parent IS NOT NULL")


def downgrade() -> None:
    """Take back."""
    op.drop_index("intake_parent", "intake")
    op.drop_table("authenticator_decision_client")
    op.drop_table("authenticator_decision")
