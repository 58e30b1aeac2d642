"""Expand: verdicts on the electronic signatures of documents that came with privacy requests."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    text = sqlmodel.sql.sqltypes.AutoString()
    op.create_table(
        "signature",
        sa.Column("case", text, nullable=False),
        sa.Column("sha256", text, nullable=False),
        sa.Column("by", text, nullable=False),
        sa.Column("actor", text, nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verdict", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["case"], ["intake.case"]),
        sa.PrimaryKeyConstraint("case", "sha256", "by"),
    )
    op.create_index("signature_sha256", "signature", ["sha256"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index("signature_sha256", table_name="signature")
    op.drop_table("signature")
