"""Expand: the hashes of secrets move from the accounts to the local directory, which is their identity provider.

`account.secret_hash` stays until workers that read it are gone.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.execute(
        "INSERT INTO directory (external_id, username, active, secret_hash, must_change, earlier) "
        "SELECT client || '/' || username, username, status = 'active', secret_hash, must_change, '[]' FROM account "
        "WHERE status <> 'ended' ON CONFLICT DO NOTHING"
    )
    op.execute("UPDATE account SET provider_id = client || '/' || username WHERE status <> 'ended'")


def downgrade() -> None:
    """Take back: the accounts kept their hashes."""
    op.execute("UPDATE account SET provider_id = NULL")
    op.execute("DELETE FROM directory")
