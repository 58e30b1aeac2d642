"""Expand: the register of consents."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString()
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "consent",
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("organisation", TEXT, nullable=False),
        sa.Column("what", TEXT, nullable=False),
        sa.Column("consent", TEXT, nullable=True),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("channels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.Column("said_by", TEXT, nullable=False),
        sa.Column("by", TEXT, nullable=True),
        sa.Column("source", TEXT, nullable=True),
        sa.Column("person", sa.LargeBinary(), nullable=True),
        sa.Column("email", sa.LargeBinary(), nullable=True),
        sa.Column("phone", sa.LargeBinary(), nullable=True),
        sa.Column("who", sa.LargeBinary(), nullable=True),
        sa.Column("about", TEXT, nullable=True),
        sa.Column("text_version", TEXT, nullable=True),
        sa.Column("text_sha256", TEXT, nullable=True),
        sa.Column("notice_version", TEXT, nullable=True),
        sa.Column("informed_at", INSTANT, nullable=True),
        sa.Column("proof", TEXT, nullable=True),
        sa.Column("erased_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "what IN ('given', 'proved', 'withdrawn', 'objected', 'restricted', 'released', 'erased')",
            name="consent_what",
        ),
        sa.CheckConstraint("consent IS NOT NULL OR what IN ('withdrawn', 'objected')", name="consent_of_one"),
        sa.CheckConstraint(
            "what <> 'given' OR num_nonnulls(notice_version, informed_at, text_sha256) = 3 AND informed_at <= at",
            name="consent_informed",
        ),
        sa.CheckConstraint("erased_at IS NULL OR what = 'given'", name="consent_erased"),
        sa.PrimaryKeyConstraint("n"),
    )
    columns = ["organisation", "consent"]
    op.create_index("consent_of", "consent", columns, unique=False)
    op.create_index("consent_once", "consent", columns, unique=True, postgresql_where=sa.text("what = 'given'"))
    for name in ("person", "email", "phone"):
        known = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"consent_{name}", "consent", ["organisation", name], unique=False, postgresql_where=known)
    kept = sa.text("what = 'given' AND erased_at IS NULL")
    op.create_index("consent_kept", "consent", columns, unique=False, postgresql_where=kept)


def downgrade() -> None:
    """Take back."""
    op.drop_table("consent")
