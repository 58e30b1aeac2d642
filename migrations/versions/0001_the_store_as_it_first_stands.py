"""The store as it first stands."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    # the one clock of the database: tests put a virtual one in its place
    op.execute("CREATE FUNCTION termins_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT clock_timestamp()'")
    op.create_table(
        "bell",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("bell_waiting", "bell", ["case"], unique=False, postgresql_where=sa.text("heard_at IS NULL"))
    op.create_table(
        "client",
        sa.Column("client", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("organisation", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("language", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("responsible", sa.LargeBinary(), nullable=False),
        sa.Column("requesters", sa.LargeBinary(), nullable=False),
        sa.Column("login_data_agreed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("client"),
    )
    op.create_table(
        "intake",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("organisation", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("reference", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("sender", sa.LargeBinary(), nullable=False),
        sa.Column("sender_reference", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("faults", sa.LargeBinary(), nullable=False),
        sa.Column("result", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("parent", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("case"),
        sa.UniqueConstraint("kind", "organisation", "reference"),
    )
    op.create_index("intake_started", "intake", ["started_at"], unique=False)
    op.create_index(
        "intake_waiting",
        "intake",
        ["case"],
        unique=False,
        postgresql_where=sa.text("started_at IS NULL AND result IS NULL"),
    )
    op.create_table(
        "operator",
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("organisations", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("roles", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("limit", sa.Numeric(precision=14, scale=2), nullable=True),
        sa.Column("token_hash", sa.LargeBinary(), nullable=True),
        sa.Column("token_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("code"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_table(
        "policy",
        sa.Column("policy", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("organisation", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("policyholder", sa.LargeBinary(), nullable=False),
        sa.Column("insured", sa.LargeBinary(), nullable=False),
        sa.Column("insured_index", sa.LargeBinary(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("territory", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("policy"),
    )
    op.create_index(op.f("ix_policy_insured_index"), "policy", ["insured_index"], unique=False)
    op.create_table(
        "target",
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("version", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("set_by", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "account",
        sa.Column("client", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("username", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("subject", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("personal_code", sa.LargeBinary(), nullable=False),
        sa.Column("person", sa.LargeBinary(), nullable=False),
        sa.Column("authenticator", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("secret_hash", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("must_change", sa.Boolean(), nullable=False),
        sa.Column("status", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("limited", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_by", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.CheckConstraint("secret_hash IS NULL OR secret_hash LIKE '$argon2id$%'", name="account_secret_hashed"),
        sa.CheckConstraint("status IN ('active', 'ended')", name="account_status"),
        sa.ForeignKeyConstraint(
            ["client"],
            ["client.client"],
        ),
        sa.PrimaryKeyConstraint("client", "username"),
    )
    op.create_index(
        "account_one_person",
        "account",
        ["client", "person"],
        unique=True,
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_table(
        "cases",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("organisation", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("stage", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("handler", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("waits_for", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("diverged", sa.Boolean(), nullable=False),
        sa.Column("unproven", sa.Integer(), nullable=True),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case"],
            ["intake.case"],
        ),
        sa.PrimaryKeyConstraint("case"),
    )
    op.create_index(op.f("ix_cases_kind"), "cases", ["kind"], unique=False)
    op.create_index(op.f("ix_cases_organisation"), "cases", ["organisation"], unique=False)
    op.create_index("case_unproven", "cases", ["case"], unique=False, postgresql_where=sa.text("unproven IS NOT NULL"))
    op.create_table(
        "event",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("event", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("refused", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["case"],
            ["intake.case"],
        ),
        sa.PrimaryKeyConstraint("case", "event"),
    )
    op.create_index("event_waiting", "event", ["case"], unique=False, postgresql_where=sa.text("delivered_at IS NULL"))
    op.create_table(
        "clock",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("duty", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("subject", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("organisation", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("can_be_late", sa.Boolean(), nullable=False),
        sa.Column("status", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("anchor_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("latest_day", sa.Date(), nullable=False),
        sa.Column("reminders", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("spans", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("held_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rulebook_version", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("calendar_version", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("derivation", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("overdue_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("happened_on", sa.Date(), nullable=True),
        sa.Column("proof", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("evidence", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("(ended_at IS NULL) = (status IN ('running', 'held', 'overdue'))", name="clock_ended"),
        sa.CheckConstraint("status IN ('running', 'held', 'overdue', 'kept', 'late', 'void')", name="clock_status"),
        sa.CheckConstraint("latest >= due", name="clock_latest"),
        sa.ForeignKeyConstraint(
            ["case"],
            ["cases.case"],
        ),
        sa.PrimaryKeyConstraint("case", "duty", "subject", "n"),
    )
    op.create_index(
        "clock_due",
        "clock",
        ["due"],
        unique=False,
        postgresql_where=sa.text("status IN ('running', 'held', 'overdue')"),
    )
    op.create_index(
        "clock_one_open",
        "clock",
        ["case", "duty", "subject"],
        unique=True,
        postgresql_where=sa.text("status IN ('running', 'held', 'overdue')"),
    )
    op.create_table(
        "identification",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("channel", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("way", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("identified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("representation", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["case"],
            ["cases.case"],
        ),
        sa.PrimaryKeyConstraint("case"),
    )
    op.create_table(
        "limit_entry",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("policy", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("occurrence", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("filed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reserved", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("taken", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("deductible", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.CheckConstraint("taken >= 0", name="limit_taken"),
        sa.ForeignKeyConstraint(
            ["case"],
            ["cases.case"],
        ),
        sa.ForeignKeyConstraint(
            ["policy"],
            ["policy.policy"],
        ),
        sa.PrimaryKeyConstraint("case"),
    )
    op.create_index("limit_policy", "limit_entry", ["policy", "occurrence"], unique=False)
    op.create_table(
        "notice",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("key", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("template", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("party", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("internal", sa.Boolean(), nullable=False),
        sa.Column("duty", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("subject", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("carrier", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("reference", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("attempt", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("refused", sa.LargeBinary(), nullable=True),
        sa.Column("bounced_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["case"],
            ["cases.case"],
        ),
        sa.PrimaryKeyConstraint("case", "key"),
    )
    op.create_index(
        "notice_internal_waiting",
        "notice",
        ["case"],
        unique=False,
        postgresql_where=sa.text("internal AND sent_at IS NULL AND refused IS NULL"),
    )
    op.create_index(
        "notice_waiting",
        "notice",
        ["queued_at"],
        unique=False,
        postgresql_where=sa.text("sent_at IS NULL AND refused IS NULL"),
    )
    op.create_table(
        "party",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("party", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("role", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=True),
        sa.Column("email", sa.LargeBinary(), nullable=True),
        sa.Column("phone", sa.LargeBinary(), nullable=True),
        sa.Column("personal_code", sa.LargeBinary(), nullable=True),
        sa.Column("iban", sa.LargeBinary(), nullable=True),
        sa.Column("language", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("other", sa.LargeBinary(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["case"],
            ["cases.case"],
        ),
        sa.PrimaryKeyConstraint("case", "party"),
    )
    op.create_table(
        "payment_order",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("key", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("party", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("remittance", sa.LargeBinary(), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reference", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("executed_on", sa.Date(), nullable=True),
        sa.Column("rejected", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("amount > 0", name="payment_amount"),
        sa.CheckConstraint("executed_on IS NULL OR issued_at IS NOT NULL", name="payment_issued_first"),
        sa.ForeignKeyConstraint(
            ["case"],
            ["cases.case"],
        ),
        sa.PrimaryKeyConstraint("case", "key"),
    )
    op.create_table(
        "timeline",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("digest", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stage", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("entry", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("duty", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("message", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("message_id", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("clocks", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("details", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("link", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case"],
            ["cases.case"],
        ),
        sa.PrimaryKeyConstraint("case", "step"),
    )
    op.create_table(
        "withdrawal",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("client", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("authenticator", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("scope", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("limitation", sa.LargeBinary(), nullable=True),
        sa.Column("takes_effect_on", sa.Date(), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "effective_at IS NULL OR (not_before IS NOT NULL AND effective_at >= not_before)",
            name="withdrawal_never_early",
        ),
        sa.CheckConstraint("effective_at IS NULL OR withdrawn_at IS NULL", name="withdrawal_one_end"),
        sa.ForeignKeyConstraint(
            ["case"],
            ["cases.case"],
        ),
        sa.ForeignKeyConstraint(
            ["client"],
            ["client.client"],
        ),
        sa.PrimaryKeyConstraint("case"),
    )
    op.create_table(
        "archive",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("gathered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("systems", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case"],
            ["identification.case"],
        ),
        sa.PrimaryKeyConstraint("case"),
    )
    op.create_table(
        "erasure",
        sa.Column("case", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("person", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("salt", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("plan", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("done_at IS NULL OR done_at >= begun_at", name="erasure_begun_first"),
        sa.ForeignKeyConstraint(
            ["case"],
            ["identification.case"],
        ),
        sa.PrimaryKeyConstraint("case"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("erasure")
    op.drop_table("archive")
    op.drop_table("withdrawal")
    op.drop_table("timeline")
    op.drop_table("payment_order")
    op.drop_table("party")
    op.drop_index(
        "notice_waiting",
        table_name="notice",
        postgresql_where=sa.text("sent_at IS NULL AND refused IS NULL"),
    )
    op.drop_index(
        "notice_internal_waiting",
        table_name="notice",
        postgresql_where=sa.text("internal AND sent_at IS NULL AND refused IS NULL"),
    )
    op.drop_table("notice")
    op.drop_index("limit_policy", table_name="limit_entry")
    op.drop_table("limit_entry")
    op.drop_table("identification")
    op.drop_index(
        "clock_one_open", table_name="clock", postgresql_where=sa.text("status IN ('running', 'held', 'overdue')")
    )
    op.drop_index("clock_due", table_name="clock", postgresql_where=sa.text("status IN ('running', 'held', 'overdue')"))
    op.drop_table("clock")
    op.drop_index("event_waiting", table_name="event", postgresql_where=sa.text("delivered_at IS NULL"))
    op.drop_table("event")
    op.drop_index("case_unproven", table_name="cases", postgresql_where=sa.text("unproven IS NOT NULL"))
    op.drop_index(op.f("ix_cases_organisation"), table_name="cases")
    op.drop_index(op.f("ix_cases_kind"), table_name="cases")
    op.drop_table("cases")
    op.drop_index("account_one_person", table_name="account", postgresql_where=sa.text("status = 'active'"))
    op.drop_table("account")
    op.drop_table("target")
    op.drop_index(op.f("ix_policy_insured_index"), table_name="policy")
    op.drop_table("policy")
    op.drop_table("operator")
    op.drop_index("intake_started", table_name="intake")
    op.drop_index(
        "intake_waiting", table_name="intake", postgresql_where=sa.text("started_at IS NULL AND result IS NULL")
    )
    op.drop_table("intake")
    op.drop_table("client")
    op.drop_index("bell_waiting", table_name="bell", postgresql_where=sa.text("heard_at IS NULL"))
    op.drop_table("bell")
    op.execute("DROP FUNCTION termins_now()")
