"""What the store keeps of what comes in by itself: when it was last read, and how much of it waits for people."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from models.tables.base import instant


class IncomingRow(SQLModel, table=True):
    """A source: the mailbox of reports, the bank's folder. As of the last time it was read."""

    __tablename__ = "incoming"

    source: str = Field(primary_key=True)
    """`mail`, `bank`."""
    looked_at: datetime = instant()
    aside: int
    """How much was not understood, or was refused, and waits for people."""
