"""What the store keeps of instalments: written agreements and their schedules (9.2.3, 9.2.4)."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint
from sqlmodel import Field

from models.tables.base import Money, OfCase, instant
from models.tables.sealed import sealed_text


class AgreementRow(OfCase, table=True):
    """A written agreement on how a claimant is paid what a decision gives for a head."""

    __tablename__ = "agreement"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    claimant: str = Field(primary_key=True)
    head: str = Field(primary_key=True)
    decision: int = Field(primary_key=True)
    agreed_at: datetime = instant()
    reference: str = sealed_text(nullable=False)
    """Where it is kept."""
    ended_on: date | None = None
    """The last day of a right that ended before the schedule did."""
    reason: str | None = sealed_text()
    """Why it ended."""


class InstalmentRow(OfCase, table=True):
    """One instalment of an agreement. Ordered under the key of its payment; cancelled if the right ended before it."""

    __tablename__ = "instalment"
    __table_args__ = (
        CheckConstraint("amount > 0", name="instalment_amount"),
        CheckConstraint("payment IS NULL OR cancelled_at IS NULL", name="instalment_once"),
    )

    case: str = Field(primary_key=True, foreign_key="cases.case")
    claimant: str = Field(primary_key=True)
    head: str = Field(primary_key=True)
    decision: int = Field(primary_key=True)
    n: int = Field(primary_key=True)
    due_on: date
    amount: Decimal = Field(sa_type=Money)
    payment: str | None = None
    """The key of its first order; None: not ordered yet."""
    cancelled_at: datetime | None = instant(nullable=True)
