"""What the store keeps of privacy requests: gathered archives, and the ledger of erasures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from models.tables.base import instant, json


class ArchiveRow(SQLModel, table=True):
    """What was gathered for a request: the personal data for the answer, kept here and never in a history."""

    __tablename__ = "archive"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    gathered_at: datetime = instant()
    systems: dict[str, Any] = json()
    """Per data system: what it holds, or that nothing is held."""


class ErasureRow(SQLModel, table=True):
    """The erasure ledger: written before the first deletion, keyed by a salted hash, so that it can be run again."""

    __tablename__ = "erasure"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    person: str
    """Salted hash of the personal code; names nobody."""
    salt: str
    begun_at: datetime = instant()
    done_at: datetime | None = instant(nullable=True)
    result: dict[str, Any] | None = json(nullable=True)
