"""Expand: the last day of one user's access, where the client asked for one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("account", sa.Column("valid_until", sa.Date(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("account", "valid_until")
