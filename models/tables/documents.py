"""What the store keeps of a claim's documents: what was received, asked for, or not needed after all. Never bytes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field

from models.tables.base import OfCase, instant
from models.tables.sealed import sealed_text


class DocumentRow(OfCase, table=True):
    """One thing that happened to a document; never changed once written."""

    __tablename__ = "document"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    step: int = Field(primary_key=True)
    """The step that says it; 0: it came with the filing."""
    n: int = Field(primary_key=True, default=0)
    """Of several that came with the filing."""
    document: str
    """Which of clause 9.1 (`models.claim.Document`)."""
    event: str
    """received, required, waived."""
    at: datetime = instant()
    """When it was received, asked for or waived."""
    actor: str | None = None
    named: str | None = sealed_text()
    """What is asked for, in words for the claimant."""
    file_name: str | None = sealed_text()
    media_type: str | None = None
    size: int | None = Field(default=None, sa_type=BigInteger)
    """Bytes."""
    sha256: str | None = None
    reference: str | None = sealed_text()
    """Where it is kept."""
    proves: str | None = None
    reason: str | None = sealed_text()
