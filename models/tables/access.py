"""What the store keeps of access: clients, accounts of the local directory, withdrawals of authenticators."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from models.tables.base import OfCase, instant
from models.tables.sealed import sealed_json, sealed_text


class ClientRow(SQLModel, table=True):
    """A client of the broker as loaded: who is told and who may ask; its life comes with a later issue."""

    __tablename__ = "client"

    client: str = Field(primary_key=True)
    organisation: str
    name: str = sealed_text(nullable=False)
    language: str = "lv"
    responsible: dict[str, Any] = sealed_json()
    """name, email: the responsible employee of the contract's annex."""
    requesters: list[dict[str, Any]] = sealed_json(list)
    """name, email, code: who may ask in the client's name."""
    login_data_agreed: bool = False
    """The parties agreed that users of an authenticator get login data too (BL-3-choice)."""

    @property
    def sealed_for(self) -> str:
        """Whose key seals it."""
        return f"client:{self.client}"


class AccountRow(SQLModel, table=True):
    """A user's access in the local directory. The secret is held as an argon2id hash only."""

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint("status IN ('active', 'ended')", name="account_status"),
        CheckConstraint("secret_hash IS NULL OR secret_hash LIKE '$argon2id$%'", name="account_secret_hashed"),
        Index("account_one_person", "client", "person", unique=True, postgresql_where=text("status = 'active'")),
    )

    client: str = Field(primary_key=True, foreign_key="client.client")
    username: str = Field(primary_key=True)
    """Made of the request and the line, so that it names nobody."""
    case: str
    """The access request that made it."""
    subject: str
    personal_code: str = sealed_text(nullable=False)
    person: bytes
    """Whose it is, by the personal code and without it (`security.index`): an account belongs to one person (BL-7)."""
    authenticator: str | None = None
    """The third-party authenticator the user signs in with."""
    secret_hash: str | None = None
    must_change: bool = False
    """At the next sign-in the user has to set an own password."""
    status: str = "active"
    limited: str | None = sealed_text()
    """What remains possible after a limit of the authenticator."""
    created_at: datetime = instant()
    mailed_at: datetime | None = instant(nullable=True)
    """When the newest login data or confirmation was accepted by the carrier."""
    ended_at: datetime | None = instant(nullable=True)
    withdrawn_by: str | None = None
    """The withdrawal that ended, took away or limited its authenticator."""

    @property
    def sealed_for(self) -> str:
        """Whose key seals it: the client's, for an account outlives the request that made it."""
        return f"client:{self.client}"


class WithdrawalRow(OfCase, table=True):
    """The end or limit of a third-party authenticator for one client, and the instant before which it cannot be."""

    __tablename__ = "withdrawal"
    __table_args__ = (
        CheckConstraint(
            "effective_at IS NULL OR (not_before IS NOT NULL AND effective_at >= not_before)",
            name="withdrawal_never_early",
        ),
        CheckConstraint("effective_at IS NULL OR withdrawn_at IS NULL", name="withdrawal_one_end"),
    )

    case: str = Field(primary_key=True, foreign_key="cases.case")
    client: str = Field(foreign_key="client.client")
    authenticator: str
    scope: str
    limitation: str | None = sealed_text()
    takes_effect_on: date | None = None
    told_at: datetime | None = instant(nullable=True)
    """The proven instant of the notice that counts; none while nobody is told."""
    not_before: datetime | None = instant(nullable=True)
    effective_at: datetime | None = instant(nullable=True)
    withdrawn_at: datetime | None = instant(nullable=True)
