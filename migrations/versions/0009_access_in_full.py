"""Expand: clients with their contract and history, accounts that are suspended or locked, sign-ins, the directory."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString()
INSTANT = sa.DateTime(timezone=True)
LIST = postgresql.JSONB(astext_type=sa.Text())


def upgrade() -> None:
    """Apply."""
    op.add_column("client", sa.Column("contract", TEXT, nullable=True))
    op.add_column("client", sa.Column("contract_from", sa.Date(), nullable=True))
    op.add_column("client", sa.Column("contract_until", sa.Date(), nullable=True))
    op.add_column("client", sa.Column("addresses", LIST, server_default="[]", nullable=False))
    op.add_column("client", sa.Column("any_address", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("client", sa.Column("any_address_agreed", sa.LargeBinary(), nullable=True))
    op.add_column("client", sa.Column("authenticators", LIST, server_default="[]", nullable=False))
    op.create_table(
        "client_change",
        sa.Column("client", TEXT, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("case", TEXT, nullable=True),
        sa.Column("fields", LIST, nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=False),
        sa.Column("after", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["client"], ["client.client"]),
        sa.PrimaryKeyConstraint("client", "n"),
    )
    op.alter_column("account", "personal_code", nullable=True)
    op.alter_column("account", "person", nullable=True)
    op.add_column("account", sa.Column("credential", TEXT, nullable=True))
    op.add_column("account", sa.Column("provider_id", TEXT, nullable=True))
    op.add_column("account", sa.Column("first_sign_in_at", INSTANT, nullable=True))
    op.add_column("account", sa.Column("failed", sa.Integer(), server_default="0", nullable=False))
    op.add_column("account", sa.Column("locked_at", INSTANT, nullable=True))
    op.add_column("account", sa.Column("ground", TEXT, nullable=True))
    op.add_column("account", sa.Column("erased_at", INSTANT, nullable=True))
    op.create_index("account_credential", "account", ["credential"])
    op.drop_constraint("account_status", "account")
    op.create_check_constraint("account_status", "account", "status IN ('active', 'suspended', 'ended')")
    op.drop_index("account_one_person", "account")
    op.create_index(
        "account_one_person", "account", ["client", "person"], unique=True, postgresql_where="status <> 'ended'"
    )
    op.create_table(
        "suspension",
        sa.Column("client", TEXT, nullable=False),
        sa.Column("username", TEXT, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("ground", TEXT, nullable=False),
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("ended_by", TEXT, nullable=True),
        sa.Column("outcome", TEXT, nullable=True),
        sa.CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="suspension_outcome"),
        sa.ForeignKeyConstraint(["client", "username"], ["account.client", "account.username"]),
        sa.PrimaryKeyConstraint("client", "username", "n"),
    )
    op.create_index(
        "suspension_one_open", "suspension", ["client", "username"], unique=True, postgresql_where="ended_at IS NULL"
    )
    op.create_table(
        "sign_in",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("client", TEXT, nullable=False),
        sa.Column("username", TEXT, nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("method", TEXT, nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=True),
        sa.Column("address_index", sa.LargeBinary(), nullable=True),
        sa.Column("result", TEXT, nullable=False),
        sa.Column("session", TEXT, nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("end_reason", TEXT, nullable=True),
        sa.ForeignKeyConstraint(["client"], ["client.client"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("sign_in_of", "sign_in", ["client", "username", "at"])
    op.create_index("sign_in_at", "sign_in", ["at"])
    op.create_index("sign_in_session", "sign_in", ["session"], unique=True, postgresql_where="session IS NOT NULL")
    op.create_index(
        "sign_in_live",
        "sign_in",
        ["client", "username"],
        postgresql_where="session IS NOT NULL AND ended_at IS NULL",
    )
    op.create_table(
        "opened",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("client", TEXT, nullable=False),
        sa.Column("username", TEXT, nullable=False),
        sa.Column("session", TEXT, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("file", sa.LargeBinary(), nullable=True),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("health", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["client"], ["client.client"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("opened_of", "opened", ["client", "username", "at"])
    op.create_index("opened_at", "opened", ["at"])
    op.create_table(
        "directory",
        sa.Column("external_id", TEXT, nullable=False),
        sa.Column("username", TEXT, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("secret_hash", TEXT, nullable=True),
        sa.Column("must_change", sa.Boolean(), nullable=False),
        sa.Column("earlier", LIST, nullable=False),
        sa.Column("set_at", INSTANT, nullable=True),
        sa.CheckConstraint("secret_hash IS NULL OR secret_hash LIKE '$argon2id$%'", name="directory_secret_hashed"),
        sa.PrimaryKeyConstraint("external_id"),
    )


def downgrade() -> None:
    """Take back; accounts that were suspended count as ended then."""
    for table in ("directory", "opened", "sign_in", "suspension"):
        op.drop_table(table)
    op.execute("UPDATE account SET status = 'ended', ended_at = coalesce(ended_at, now()) WHERE status = 'suspended'")
    op.drop_index("account_one_person", "account")
    op.create_index(
        "account_one_person", "account", ["client", "person"], unique=True, postgresql_where="status = 'active'"
    )
    op.drop_constraint("account_status", "account")
    op.create_check_constraint("account_status", "account", "status IN ('active', 'ended')")
    op.drop_index("account_credential", "account")
    for column in ("erased_at", "ground", "locked_at", "failed", "first_sign_in_at", "provider_id", "credential"):
        op.drop_column("account", column)
    op.execute("DELETE FROM account WHERE personal_code IS NULL OR person IS NULL")
    op.alter_column("account", "personal_code", nullable=False)
    op.alter_column("account", "person", nullable=False)
    op.drop_table("client_change")
    for column in ("authenticators", "any_address_agreed", "any_address", "addresses"):
        op.drop_column("client", column)
    for column in ("contract_until", "contract_from", "contract"):
        op.drop_column("client", column)
