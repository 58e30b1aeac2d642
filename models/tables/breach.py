"""What the store keeps of breaches: the register's entries, the letters' texts, and lists of people on their way in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Field

from models.tables.base import OfCase, instant
from models.tables.sealed import sealed_json, sealed_text


class BreachEntryRow(OfCase, table=True):
    """An entry in the register of breaches (GDPR 33(5)); the newest counts, the others stay."""

    __tablename__ = "breach_entry"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    n: int = Field(primary_key=True)
    at: datetime = instant()
    by: str
    facts: str = sealed_text(nullable=False)
    effects: str = sealed_text(nullable=False)
    corrective_action: str = sealed_text(nullable=False)


class BreachLetterRow(OfCase, table=True):
    """What a letter to the data subjects says, once for all of them."""

    __tablename__ = "breach_letter"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    n: int = Field(primary_key=True)
    contact: str = sealed_text(nullable=False)
    texts: dict[str, Any] = sealed_json()
    """Language → nature, consequences, measures."""


class RecipientListRow(OfCase, table=True):
    """People who are to be told, as they were loaded; a step of the case makes parties of them and empties this."""

    __tablename__ = "recipient_list"

    case: str = Field(primary_key=True, foreign_key="intake.case")
    code: str = Field(primary_key=True)
    """Of its content, under the case's key: the same people are the same list."""
    size: int
    loaded_at: datetime = instant()
    loaded_by: str
    taken_at: datetime | None = instant(nullable=True)
    people: list[dict[str, Any]] = sealed_json(list)
