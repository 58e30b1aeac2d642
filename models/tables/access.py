"""What the store keeps of access: clients, accounts, suspensions, sign-ins, the local directory, withdrawals."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKeyConstraint, Identity, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from models.tables.base import OfCase, instant
from models.tables.sealed import sealed_json, sealed_text


class ClientRow(SQLModel, table=True):
    """A client of the broker as it stands now; how it came to be so is `ClientChangeRow`."""

    __tablename__ = "client"

    client: str = Field(primary_key=True)
    organisation: str
    name: str = sealed_text(nullable=False)
    name_index: bytes | None = None
    """By which the name finds its policies without being readable (`security.index`); none: the sweep makes it."""
    language: str = "lv"
    responsible: dict[str, Any] = sealed_json()
    """name, email: the responsible employee of the contract's annex."""
    requesters: list[dict[str, Any]] = sealed_json(list)
    """name, email, code, role: who may ask in the client's name, a deputy or whoever may sign."""
    login_data_agreed: bool = False
    """The parties agreed that users of an authenticator get login data too (BL-3-choice)."""
    contract: str | None = None
    """The number of the contract."""
    contract_from: date | None = None
    contract_until: date | None = None
    """Its last day, once that is known (BL-11)."""
    addresses: list[str] = Field(default_factory=list, sa_type=JSONB, sa_column_kwargs={"server_default": "[]"})
    """The agreed networks from which its users sign in, as CIDR, v4 and v6 (BL-12): of the contract, of no person."""
    any_address: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    any_address_agreed: dict[str, Any] | None = sealed_json(nullable=True)
    """by, on, reference: who agreed to any address, and so bears the risk (BL-12)."""
    authenticators: list[str] = Field(default_factory=list, sa_type=JSONB, sa_column_kwargs={"server_default": "[]"})
    """The third-party authenticators that its users may sign in with."""

    @property
    def sealed_for(self) -> str:
        """Whose key seals it."""
        return f"client:{self.client}"


class ClientChangeRow(SQLModel, table=True):
    """One change of a client, never changed once written; the first is its registration."""

    __tablename__ = "client_change"

    client: str = Field(primary_key=True, foreign_key="client.client")
    n: int = Field(primary_key=True)
    at: datetime = instant()
    """From when it holds."""
    recorded_at: datetime = instant()
    by: str
    case: str | None = None
    """The case in which it was told, if it was told."""
    fields: list[str] = Field(default_factory=list, sa_type=JSONB)
    """Which fields changed."""
    before: dict[str, Any] = sealed_json()
    after: dict[str, Any] = sealed_json()

    @property
    def sealed_for(self) -> str:
        """Whose key seals it."""
        return f"client:{self.client}"


class AccountRow(SQLModel, table=True):
    """A user's access, whoever the identity provider is: the row that closes and opens the sign-in check."""

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint("status IN ('active', 'suspended', 'ended')", name="account_status"),
        CheckConstraint("secret_hash IS NULL OR secret_hash LIKE '$argon2id$%'", name="account_secret_hashed"),
        Index("account_one_person", "client", "person", unique=True, postgresql_where=text("status <> 'ended'")),
        Index("account_credential", "credential"),
    )

    client: str = Field(primary_key=True, foreign_key="client.client")
    username: str = Field(primary_key=True)
    """Made of the request and the line, so that it names nobody."""
    case: str
    """The access request that made it."""
    subject: str
    personal_code: str | None = sealed_text()
    person: bytes | None = None
    """Whose it is, by the personal code and without it (`security.index`): an account belongs to one person (BL-7)."""
    authenticator: str | None = None
    """The third-party authenticator the user signs in with."""
    secret_hash: str | None = None
    """Of former versions: the identity provider keeps the secret, and its hash if it is the local directory."""
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
    credential: str | None = None
    """The case that lives its life."""
    provider_id: str | None = None
    """The identity provider's own id of it."""
    first_sign_in_at: datetime | None = instant(nullable=True)
    failed: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Failed sign-ins since the last one that succeeded (SE-33.3.9)."""
    locked_at: datetime | None = instant(nullable=True)
    """Too many sign-ins failed: locked until released."""
    ground: str | None = None
    """The clause by which it ended."""
    valid_until: date | None = None
    """Its last day, where the client asked for one (BL-9)."""
    ended_by: str | None = None
    """Who ended it: an operator, a backend, or the case in which it was decided."""
    event_at: datetime | None = instant(nullable=True)
    """When that happened by which it ended: the request, the leaving, the last day."""
    secret_set_at: datetime | None = instant(nullable=True)
    """When its present secret was set, a one-time one or the user's own (SE-33.3.4.3).

    None: it has no login data, or they came back, or others are on their way to the user.
    """
    restricted_at: datetime | None = instant(nullable=True)
    """Since when an open request or a legal hold keeps the user's data from being erased (BL-16-erase)."""
    erased_at: datetime | None = instant(nullable=True)
    """When all that named its user went (BL-16-erase)."""

    @property
    def sealed_for(self) -> str:
        """Whose key seals it: the client's, for an account outlives the request that made it."""
        return f"client:{self.client}"


class SuspensionRow(SQLModel, table=True):
    """One suspension of one account, from its ground to its outcome (BL-8, BL-10)."""

    __tablename__ = "suspension"
    __table_args__ = (
        ForeignKeyConstraint(["client", "username"], ["account.client", "account.username"]),
        CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="suspension_outcome"),
        Index("suspension_one_open", "client", "username", unique=True, postgresql_where=text("ended_at IS NULL")),
    )

    client: str = Field(primary_key=True)
    username: str = Field(primary_key=True)
    n: int = Field(primary_key=True)
    ground: str
    """`BL-8` or `BL-10`."""
    scope: str
    """`one`, `several` or `client`: whom the same act suspended."""
    by: str
    reason: str = sealed_text(nullable=False)
    started_at: datetime = instant()
    event_at: datetime | None = instant(nullable=True)
    """When what it rests on was reported (BL-8)."""
    ended_at: datetime | None = instant(nullable=True)
    ended_by: str | None = None
    outcome: str | None = None
    """`reinstated` or `revoked`."""

    @property
    def sealed_for(self) -> str:
        """Whose key seals it."""
        return f"client:{self.client}"


class LegalHoldRow(SQLModel, table=True):
    """A legal hold on what is known of one account's user: while it stands, nothing of it goes (BL-16-erase)."""

    __tablename__ = "legal_hold"
    __table_args__ = (
        ForeignKeyConstraint(["client", "username"], ["account.client", "account.username"]),
        CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="legal_hold_lifted"),
        Index("legal_hold_one_stands", "client", "username", unique=True, postgresql_where=text("lifted_at IS NULL")),
    )

    client: str = Field(primary_key=True)
    username: str = Field(primary_key=True)
    n: int = Field(primary_key=True)
    reason: str = sealed_text(nullable=False)
    placed_by: str
    placed_at: datetime = instant()
    lifted_by: str | None = None
    lifted_at: datetime | None = instant(nullable=True)

    @property
    def sealed_for(self) -> str:
        """Whose key seals it."""
        return f"client:{self.client}"


class SignInRow(SQLModel, table=True):
    """One question whether somebody may sign in, and the session that began with it (SE-33.3.10)."""

    __tablename__ = "sign_in"
    __table_args__ = (
        Index("sign_in_of", "client", "username", "at"),
        Index("sign_in_at", "at"),
        Index("sign_in_session", "session", unique=True, postgresql_where=text("session IS NOT NULL")),
        Index(
            "sign_in_live",
            "client",
            "username",
            postgresql_where=text("session IS NOT NULL AND ended_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    client: str = Field(foreign_key="client.client")
    username: str | None = None
    """The account's; none where nobody has this name, for people type their passwords there."""
    at: datetime = instant()
    method: str
    """`password`, or the authenticator."""
    address: str | None = sealed_text()
    address_index: bytes | None = None
    """The address without itself (`security.index`), to know a new one by."""
    result: str
    """`allowed`, or why not."""
    session: str | None = None
    ended_at: datetime | None = instant(nullable=True)
    """When the session ended; what is between is its duration."""
    end_reason: str | None = None

    @property
    def sealed_for(self) -> str:
        """Whose key seals it."""
        return f"client:{self.client}"


class OpenedRow(SQLModel, table=True):
    """What a user opened, and what was done with it (SE-33.4.1)."""

    __tablename__ = "opened"
    __table_args__ = (Index("opened_of", "client", "username", "at"), Index("opened_at", "at"))

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    client: str = Field(foreign_key="client.client")
    username: str
    session: str
    at: datetime = instant()
    file: str | None = sealed_text()
    action: str
    """`read`, `changed`, `copied`, `erased`."""
    purpose: str
    """Why it was looked for, as a code (SE-33.3.11)."""
    health: bool = False
    """It holds health data."""

    @property
    def sealed_for(self) -> str:
        """Whose key seals it."""
        return f"client:{self.client}"


class DirectoryRow(SQLModel, table=True):
    """An account of the local directory, the identity provider that comes with Termins; secrets as argon2id only."""

    __tablename__ = "directory"
    __table_args__ = (
        CheckConstraint("secret_hash IS NULL OR secret_hash LIKE '$argon2id$%'", name="directory_secret_hashed"),
    )

    external_id: str = Field(primary_key=True)
    """What Termins calls the account, the same at every provider."""
    username: str
    active: bool = True
    secret_hash: str | None = None
    must_change: bool = True
    """At the next sign-in the user has to set an own password (SE-33.3.4.4)."""
    earlier: list[str] = Field(default_factory=list, sa_type=JSONB)
    """Hashes of former passwords: none is taken again (SE-33.3.4.2)."""
    set_at: datetime | None = instant(nullable=True)
    """When the present secret was set (SE-33.3.4.3)."""


class AuthenticatorDecisionRow(OfCase, table=True):
    """The decision to end or limit a third-party authenticator for everybody, as it stands now."""

    __tablename__ = "authenticator_decision"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    organisation: str
    authenticator: str
    scope: str
    takes_effect_on: date | None = None
    withdrawn_at: datetime | None = instant(nullable=True)
    offered_again_at: datetime | None = instant(nullable=True)
    """From when on the broker grants the authenticator again, as if it had not been decided."""
    offered_again_by: str | None = None


class ConcernedRow(SQLModel, table=True):
    """A client whom such a decision concerns, and the withdrawal in which it is told."""

    __tablename__ = "authenticator_decision_client"

    decision: str = Field(primary_key=True, foreign_key="authenticator_decision.case")
    client: str = Field(primary_key=True, foreign_key="client.client")
    withdrawal: str = Field(unique=True, foreign_key="intake.case")


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
