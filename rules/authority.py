"""Who has the authority to approve a sum: the smallest role of the rulebook whose limit suffices."""

from __future__ import annotations

from decimal import Decimal

from rules.rulebook import book


def authority_for(organisation: str, amount: Decimal) -> str | None:
    """The role that approves `amount` EUR; None where it is above every role's limit, or no role has one."""
    able = [(limit, role) for role, limit in limits(organisation).items() if amount <= limit]
    return min(able)[1] if able else None


def limits(organisation: str) -> dict[str, Decimal]:
    """Role → EUR up to which it approves; empty where the rulebook routes nothing."""
    table = book(organisation).values.get("authority", {})
    return {role: Decimal(str(limit)) for role, limit in table.items()}
