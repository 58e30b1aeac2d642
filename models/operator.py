"""Who an operator is, and what an operator may do: roles, organisations, and a limit for approvals."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, get_args

from models.common import Model

Role = Literal["see", "handle", "approve", "privacy", "compliance", "security"]

ROLES: dict[Role, str] = {
    "see": "read what is sealed: cases, messages and letters in the UI",
    "handle": "say what happened to a case and decide within the rules",
    "approve": "approve what another proposed, up to a limit in EUR",
    "compliance": "say whether a payee is the one on the sanctions list",
    "security": "open again what was suspended or locked, lift legal holds, and sign off the review of sign-ins",
    "privacy": "identify people, decide about their privacy requests and about breaches",
}
assert set(ROLES) == set(get_args(Role))

SYSTEM = "system:"
"""How the actor begins where no person speaks: a backend, which holds the keys itself."""


class Operator(Model):
    """One who was found in the table of operators, and has not left."""

    code: str
    organisations: tuple[str, ...]
    roles: tuple[Role, ...]
    limit: Decimal | None = None
    """EUR up to which this operator approves; none without the role."""

    def lacks(self, organisation: str, role: Role, amount: Decimal | None = None) -> tuple[str, ...]:
        """What this operator lacks to say something to a case of this organisation; empty if nothing."""
        if organisation not in self.organisations:
            return (f"actor: {self.code} does not work for {organisation}",)
        if role not in self.roles:
            return (f"actor: {self.code} lacks the role {role}",)
        if amount is not None and (self.limit is None or amount > self.limit):
            return (f"actor: {self.code} approves up to {self.limit or 0} EUR, not {amount} EUR",)
        return ()
