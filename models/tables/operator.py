"""The table of operators: who may read and say what, known by the hash of a token."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import LargeBinary
from sqlmodel import Field, SQLModel

from models.operator import Operator
from models.tables.base import Money, instant, json


class OperatorRow(SQLModel, table=True):
    """An operator, by a code that is no name; the row stays when the operator leaves."""

    __tablename__ = "operator"

    code: str = Field(primary_key=True)
    organisations: list[str] = json()
    roles: list[str] = json()
    limit: Decimal | None = Field(default=None, sa_type=Money, nullable=True)
    """EUR up to which this operator approves."""
    token_hash: bytes | None = Field(default=None, sa_type=LargeBinary, unique=True)
    """SHA-256 of the token: 256 random bits need no slower hash. None: this operator cannot sign in."""
    token_ends_at: datetime | None = instant(nullable=True)
    created_at: datetime = instant()
    ended_at: datetime | None = instant(nullable=True)
    """When the operator left; the code is not given again."""

    @property
    def operator(self) -> Operator:
        """What the rest of the house knows of this row."""
        return Operator.model_validate(
            {
                "code": self.code,
                "organisations": tuple(self.organisations),
                "roles": tuple(self.roles),
                "limit": self.limit,
            }
        )
