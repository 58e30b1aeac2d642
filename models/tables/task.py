"""What the store keeps of recurring duties: what was said of each, and its turns."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from models.tables.base import instant


class RecurrenceRow(SQLModel, table=True):
    """Something that was said of a recurring duty. Never changed: what is said later stands beside it."""

    __tablename__ = "recurrence"
    __table_args__ = (CheckConstraint("what IN ('done', 'begins', 'ends')", name="recurrence_what"),)

    organisation: str = Field(primary_key=True)
    duty: str = Field(primary_key=True)
    about: str = Field(primary_key=True)
    """A code of a department or an employee's number; empty: the organisation."""
    n: int = Field(primary_key=True)
    what: str
    said_on: date
    """The day of which it is said."""
    document: str
    said_by: str
    recorded_at: datetime = instant()


class TurnRow(SQLModel, table=True):
    """A turn of a recurring duty: written when its case opens, ended once with what it came to."""

    __tablename__ = "turn"
    __table_args__ = (
        CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="turn_ended"),
        CheckConstraint("outcome IS DISTINCT FROM 'done' OR done_on IS NOT NULL", name="turn_done"),
        CheckConstraint("outcome IN ('done', 'dropped')", name="turn_outcome"),
    )

    organisation: str = Field(primary_key=True)
    duty: str = Field(primary_key=True)
    about: str = Field(primary_key=True)
    n: int = Field(primary_key=True)
    case: str = Field(foreign_key="cases.case", unique=True)
    since: datetime = instant()
    """From when its term is counted."""
    ended_at: datetime | None = instant(nullable=True)
    """When its end was recorded."""
    outcome: str | None = None
    done_on: date | None = None
    """The day that the evidence proves; of a dropped one the last day on which it was due. The next turn is counted
    from it."""
