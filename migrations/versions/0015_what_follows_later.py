"""Expand: who offers an authenticator again that ended for everybody, and by what a client finds its policies."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    text = sqlmodel.sql.sqltypes.AutoString()
    op.add_column("authenticator_decision", sa.Column("offered_again_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("authenticator_decision", sa.Column("offered_again_by", text, nullable=True))
    op.add_column("client", sa.Column("name_index", sa.LargeBinary(), nullable=True))
    told = sa.text("reason LIKE 'insured:%'")
    op.create_index("bell_insured", "bell", ["case"], unique=False, postgresql_where=told)


def downgrade() -> None:
    """Take back."""
    op.drop_index("bell_insured", table_name="bell")
    op.drop_column("client", "name_index")
    for column in ("offered_again_by", "offered_again_at"):
        op.drop_column("authenticator_decision", column)
