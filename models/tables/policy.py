"""What the store keeps of policies: the contract as it stands, everything that was said of it, and objections."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from models.policy import PolicyFacts, Registered
from models.tables.base import instant, json
from models.tables.sealed import sealed_json

NO_INDEX = b""
"""Written where a name was erased and NULL is not allowed: no name has this keyed hash."""


class PolicyRow(SQLModel, table=True):
    """A liability policy as it stands: the sum of its entries, and its people.

    Once its storage term is over nobody is named in it any more: see `erased`.
    """

    __tablename__ = "policy"

    policy: str = Field(primary_key=True)
    organisation: str
    policyholder: dict[str, Any] = sealed_json()
    insured: dict[str, Any] = sealed_json()
    """name, email, language."""
    insured_index: bytes = Field(index=True)
    """By which the insured's name finds it without being readable (`security.index`); `NO_INDEX` once it is erased."""
    starts_on: date
    ends_on: date
    territory: str = "LV"
    terms: dict[str, Any] = json()
    """The `PolicyTerms` as registered."""
    co_insured: list[dict[str, Any]] | None = sealed_json(list, nullable=True)
    policyholder_index: bytes | None = Field(default=None, index=True)
    """As `insured_index`, of the policyholder: whose reminders stop with an objection."""
    covered_until: date | None = None
    """The last day of cover; before `ends_on` where the contract ended early or never took effect."""
    facts: dict[str, Any] | None = sealed_json(nullable=True)
    """The `PolicyFacts`. None where a worker of the version before wrote the row: see `known`."""

    @property
    def sealed_for(self) -> str:
        """Whose key seals it."""
        return f"policy:{self.policy}"

    @property
    def erased(self) -> bool:
        """Its storage term was over: number, days and sums are left, and the ledger of its claims."""
        return self.insured_index == NO_INDEX

    @property
    def known(self) -> PolicyFacts:
        """All that is known of the contract now."""
        if self.facts:
            return PolicyFacts.model_validate(self.facts)
        return PolicyFacts(registered=Registered.model_validate(self._as_loaded))

    @property
    def _as_loaded(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("starts_on", "ends_on", "territory", "terms")}


class PolicyEntryRow(SQLModel, table=True):
    """Something that was said of a policy. Never changed: what was known at an instant is what was recorded by then."""

    __tablename__ = "policy_entry"
    __table_args__ = (Index("policy_entry_act", "policy", "act", unique=True),)

    policy: str = Field(primary_key=True, foreign_key="policy.policy")
    n: int = Field(primary_key=True)
    act: str
    """The business act, such as `addendum:A1`: said again it is the same."""
    recorded_at: datetime = instant()
    said_by: str
    data: dict[str, Any] = sealed_json()
    """A `PolicyEntry`."""
    people: list[dict[str, Any]] = sealed_json(list)
    """Who was named in it: role, name, email, language."""

    @property
    def sealed_for(self) -> str:
        """Whose key seals it."""
        return f"policy:{self.policy}"


class ObjectionRow(SQLModel, table=True):
    """A client who wants no reminders of the end of a contract: of none (GJ-renewal-objection)."""

    __tablename__ = "renewal_objection"

    organisation: str = Field(primary_key=True)
    person: bytes = Field(primary_key=True)
    """By the name and without it (`security.index`)."""
    received_at: datetime = instant()
    stopped_at: datetime = instant()
    """From when nothing is sent."""
    said_by: str
