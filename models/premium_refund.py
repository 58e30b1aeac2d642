"""The words of a premium that goes back when a contract ends early (11.1, 11.2)."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from models.case import Text
from models.claim import Payment
from models.common import Model
from models.policy import Key
from models.screening import Standing
from models.settlement import Money


class PremiumRefundFiling(Model):
    """A contract that ended early, and where its refund goes."""

    policy: Key
    iban: Text | None = None


class PremiumRefundBody(Model):
    """All of a refund that must survive its run."""

    policy: str
    clause: str
    amount: Money
    covered_until: date
    account: bool = False
    """Whether it is known where the money goes."""
    payments: tuple[Payment, ...] = ()
    hits: dict[str, Standing] = Field(default_factory=dict)
    """Parties who were found on the sanctions list before any payment; whoever was cleared is none."""
    outcome: str | None = None
