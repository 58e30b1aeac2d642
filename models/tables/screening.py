"""What the store keeps of sanctions screening: by which list a payee was screened, who was found, and who judged it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Index, text
from sqlmodel import Field

from models.tables.base import OfCase, instant
from models.tables.sealed import sealed_json, sealed_text

Result = Literal["clear", "hit", "cleared", "confirmed"]


class ScreeningRow(OfCase, table=True):
    """The screening of one payment order, or of a party who became known, as it was done last."""

    __tablename__ = "screening"
    __table_args__ = (Index("screening_open", "case", postgresql_where=text("result IN ('hit', 'confirmed')")),)

    case: str = Field(primary_key=True, foreign_key="cases.case")
    key: str = Field(primary_key=True)
    """That of the payment order; of one who became known that of the party itself, such as `C1`."""
    party: str
    screened_at: datetime = instant()
    list_made_at: datetime = instant()
    list_digest: str
    """SHA-256 of the list's file."""
    result: str
    """`clear`: nobody was found; `hit`: a person must judge; `cleared`: all that were found are other people;
    `confirmed`: the payee is listed."""
    hits: list[dict[str, Any]] = sealed_json(list)
    """Whom of the list the payee may be (`Hit` as JSON)."""
    cleared: list[str] = sealed_json(list)
    """The list's numbers that a person said to be somebody else."""
    judged_by: str | None = None
    judged_at: datetime | None = instant(nullable=True)
    reason: str | None = sealed_text()
