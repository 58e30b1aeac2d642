"""Column types that all tables share: instants in UTC, and JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field


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
