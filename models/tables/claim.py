"""What the store keeps of claims: policies and payment orders. The limit ledger is in `limits.py`."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from models.tables.base import Money, OfCase, instant, json
from models.tables.sealed import sealed_json, sealed_text


class PolicyRow(SQLModel, table=True):
    """A liability policy as loaded; its life comes with a later issue."""

    __tablename__ = "policy"

    policy: str = Field(primary_key=True)
    organisation: str
    policyholder: dict[str, Any] = sealed_json()
    insured: dict[str, Any] = sealed_json()
    """name, email, language."""
    insured_index: bytes = Field(index=True)
    """By which the insured's name finds it without being readable (`security.index`)."""
    starts_on: date
    ends_on: date
    territory: str = "LV"
    terms: dict[str, Any] = json()
    """The `PolicyTerms` of the settlement."""

    @property
    def sealed_for(self) -> str:
        """Whose key seals it."""
        return f"policy:{self.policy}"


class PaymentOrderRow(OfCase, table=True):
    """A payment: one per claim, claimant and purpose, for ever."""

    __tablename__ = "payment_order"
    __table_args__ = (
        CheckConstraint("amount > 0", name="payment_amount"),
        CheckConstraint("executed_on IS NULL OR issued_at IS NOT NULL", name="payment_issued_first"),
    )

    case: str = Field(primary_key=True, foreign_key="cases.case")
    key: str = Field(primary_key=True)
    """`C1:indemnity`; a repeated payment after a rejection is `C1:indemnity:2`."""
    party: str
    amount: Decimal = Field(sa_type=Money)
    remittance: str = sealed_text(nullable=False)
    queued_at: datetime = instant()
    issued_at: datetime | None = instant(nullable=True)
    reference: str | None = None
    executed_on: date | None = None
    rejected: str | None = sealed_text()
