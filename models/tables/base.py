"""What all tables share: instants in UTC, money, JSON, and whose key seals a row of a case."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

Money = Numeric(14, 2)
"""EUR in cents."""


def instant(*, nullable: bool = False, index: bool = False) -> Any:
    """An instant, stored as timestamptz."""
    if nullable:
        return Field(default=None, sa_type=DateTime(timezone=True), nullable=True, index=index)
    return Field(sa_type=DateTime(timezone=True), nullable=False, index=index)


def json(*, nullable: bool = False) -> Any:
    """A JSON value, stored as jsonb."""
    if nullable:
        return Field(default=None, sa_type=JSONB, nullable=True)
    return Field(default_factory=dict, sa_type=JSONB, nullable=False)


def utc(at: datetime) -> datetime:
    """The same instant in UTC, as every table holds it."""
    return at.astimezone(UTC)


class OfCase(SQLModel):
    """A row of a case; its sealed columns are under the case's key."""

    case: str

    @property
    def sealed_for(self) -> str:
        """Whose key seals it."""
        return self.case
