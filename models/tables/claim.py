"""What the store keeps of claims: payment orders. The limit ledger is in `limits.py`."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field

from models.tables.base import Money, OfCase, instant
from models.tables.sealed import sealed_text


class PaymentOrderRow(OfCase, table=True):
    """A payment: one per claim, claimant and purpose, for ever."""

    __tablename__ = "payment_order"
    __table_args__ = (
        CheckConstraint("amount > 0", name="payment_amount"),
        CheckConstraint("executed_on IS NULL OR issued_at IS NOT NULL", name="payment_issued_first"),
        Index("payment_reference", "reference"),
        Index("payment_waiting", "queued_at", postgresql_where=text("issued_at IS NULL")),
        # an order whose payee or sum was changed past the product does not open, and is not paid
        {"info": {"sealed_with": ("party", "amount")}},
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
