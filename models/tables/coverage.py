"""What the store keeps of cover: a claim's findings, and the facts that were learnt after its filing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Field

from models.tables.base import OfCase, instant, json
from models.tables.sealed import sealed_json, sealed_text


class FindingRow(OfCase, table=True):
    """What the facts say of one point of cover, and what the handler said of it."""

    __tablename__ = "finding"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    code: str = Field(primary_key=True)
    clause: str
    facts: dict[str, Any] = json()
    outcome: str
    """What the facts say: met, not_met, open, possible."""
    judged: str | None = None
    """What the handler said of these facts; other facts need another judgment."""
    exception: bool | None = None
    """Of an exclusion with an exception of its own: whether that holds."""
    reason: str | None = sealed_text()
    judged_by: str | None = None
    judged_at: datetime | None = instant(nullable=True)

    @property
    def standing(self) -> str:
        """What counts: the handler's word, else the facts'."""
        return self.judged or self.outcome


class LearntRow(OfCase, table=True):
    """The facts that decide cover and that were learnt after the filing, which they replace."""

    __tablename__ = "learnt_facts"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    facts: dict[str, Any] = sealed_json()
    """A `LearntFacts`; what is not said is missing."""
