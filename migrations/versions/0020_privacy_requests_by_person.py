"""Expand: privacy requests are found by a keyed hash of the person, and know what they marked as restricted."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    text = sqlmodel.sql.sqltypes.AutoString()
    op.create_table(
        "privacy_request",
        sa.Column("case", text, nullable=False),
        sa.Column("organisation", text, nullable=False),
        sa.Column("person", sa.LargeBinary(), nullable=True),
        sa.Column("restricted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["case"], ["intake.case"]),
        sa.PrimaryKeyConstraint("case"),
    )
    op.create_index("privacy_request_person", "privacy_request", ["organisation", "person"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index("privacy_request_person", table_name="privacy_request")
    op.drop_table("privacy_request")
