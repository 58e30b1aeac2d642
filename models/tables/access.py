"""What the store keeps of access: clients, accounts of the local directory, withdrawals of authenticators."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from models.tables.base import instant, json


class ClientRow(SQLModel, table=True):
    """A client of the broker as loaded: who is told and who may ask; its life comes with a later issue."""

    __tablename__ = "client"

    client: str = Field(primary_key=True)
    organisation: str
    name: str
    language: str = "lv"
    responsible: dict[str, Any] = json()
    """name, email: the responsible employee of the contract's annex."""
    requesters: list[dict[str, Any]] = json()
    """name, email, code: who may ask in the client's name."""


class AccountRow(SQLModel, table=True):
    """A user's access in the local directory. The secret is held as an argon2id hash only."""

    __tablename__ = "account"

    client: str = Field(primary_key=True, foreign_key="client.client")
    username: str = Field(primary_key=True)
    case: str
    """The access request that made it."""
    subject: str
    authenticator: str | None = None
    """The third-party authenticator the user signs in with; then no login data are issued (BL-3-choice)."""
    secret_hash: str | None = None
    must_change: bool = True
    status: str = "active"
    created_at: datetime = instant()
    mailed_at: datetime | None = instant(nullable=True)
    limited: str | None = None


class WithdrawalRow(SQLModel, table=True):
    """The end or limit of a third-party authenticator for one client, and the day before which it cannot be."""

    __tablename__ = "withdrawal"
    __table_args__ = (
        CheckConstraint("effective_at IS NULL OR effective_at >= not_before", name="withdrawal_never_early"),
    )

    case: str = Field(primary_key=True, foreign_key="cases.case")
    client: str = Field(foreign_key="client.client")
    authenticator: str
    scope: str
    limitation: str | None = None
    not_before: datetime | None = instant(nullable=True)
    effective_at: datetime | None = instant(nullable=True)
    withdrawn_at: datetime | None = instant(nullable=True)
