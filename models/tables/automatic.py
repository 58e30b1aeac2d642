"""What the store keeps of reviews: who asked for a person, when, and what came of it."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field

from models.tables.base import OfCase, instant
from models.tables.sealed import sealed_text


class ReviewRow(OfCase, table=True):
    """A review of an automatic decision by a person who took no part in it."""

    __tablename__ = "review"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    n: int = Field(primary_key=True)
    decision: int
    """The number of the decision that is reviewed."""
    received_at: datetime = instant()
    reference: str | None = sealed_text()
    """Where the request is kept."""
    view: str | None = sealed_text()
    """What the claimant says against the decision."""
    outcome: str | None = None
    """`uphold` or `anew`; None: it is under way."""
    reason: str | None = sealed_text()
    reviewed_by: str | None = None
    reviewed_at: datetime | None = instant(nullable=True)
