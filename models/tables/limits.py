"""What the store keeps of the limits: what each claim reserves and takes, and every decision with its parts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from models.tables.base import Money, OfCase, instant
from models.tables.sealed import sealed_json


class LimitRow(SQLModel, table=True):
    """A claim in the limit ledger of its policy. Its place is by `filed_at`, `received_at`, `case` (9.6, 9.10).

    Amounts in EUR, one for each stage of the claim; the limits count `reserved` and `taken`.
    """

    __tablename__ = "limit_entry"
    __table_args__ = (
        CheckConstraint("taken >= 0", name="limit_taken"),
        CheckConstraint("reserved >= 0 AND withheld >= 0", name="limit_reserved"),
        CheckConstraint("paid <= taken", name="limit_paid"),
        Index("limit_policy", "policy", "occurrence"),
        Index("limit_occurrence", "occurrence"),
        Index("limit_withheld", "policy", postgresql_where=text("withheld > 0")),
    )

    case: str = Field(primary_key=True, foreign_key="cases.case")
    policy: str = Field(foreign_key="policy.policy")
    occurrence: str
    filed_at: datetime = instant()
    received_at: datetime = instant()
    claimed: Decimal = Field(sa_type=Money, default=Decimal(0), sa_column_kwargs={"server_default": "0"})
    proven: Decimal = Field(sa_type=Money, default=Decimal(0), sa_column_kwargs={"server_default": "0"})
    """As the last proposal says it."""
    proposed: Decimal = Field(sa_type=Money, default=Decimal(0), sa_column_kwargs={"server_default": "0"})
    """What the last proposal would pay now."""
    reserved: Decimal = Field(sa_type=Money, default=Decimal(0))
    """What the claim may still take: claimed and undecided, or withheld; a later claim leaves it alone (9.6, 9.10)."""
    taken: Decimal = Field(sa_type=Money, default=Decimal(0))
    """Approved: decided to be paid."""
    withheld: Decimal = Field(sa_type=Money, default=Decimal(0), sa_column_kwargs={"server_default": "0"})
    """Entitled to, but reserved by claims filed earlier (9.6)."""
    paid: Decimal = Field(sa_type=Money, default=Decimal(0), sa_column_kwargs={"server_default": "0"})
    """Executed, as the bank confirmed it."""
    deductible: Decimal = Field(sa_type=Money, default=Decimal(0))
    """How much of the occurrence's deductible this claim bore."""
    changed_at: datetime | None = instant(nullable=True)
    """When it last took, reserved or released: from then on others may have more."""

    @property
    def place(self) -> tuple[datetime, datetime, str]:
        """Its place in the order of filing: equal instants by receipt, then by id."""
        return self.filed_at, self.received_at, self.case


class DecisionRow(OfCase, table=True):
    """A decision on a claim: what was asked, what came of it, and the lines of its letters. 1 is the first.

    Later ones are supplementary: they decide what earlier claims released (9.6).
    """

    __tablename__ = "decision"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    n: int = Field(primary_key=True)
    asked: dict[str, Any] = sealed_json()
    """The `Assess` that it was worked out from: the frozen inputs."""
    lines: dict[str, Any] = sealed_json()
    """Claimant → language → the lines of the calculation, as its letter states them."""
    premium: Decimal = Field(sa_type=Money, default=Decimal(0))
    """Unpaid premium that it withheld (9.5)."""
    withheld: Decimal = Field(sa_type=Money, default=Decimal(0))
    """What of its entitlement claims filed earlier still hold (9.6); a supplementary decision lowers it."""
    proposed_at: datetime = instant()
    decided_at: datetime | None = instant(nullable=True)
    by: str | None = None
    """`system:rulebook` where no person decided; of people the timeline says it."""
    rulebook: str | None = None
    """The version of the rulebook that decided."""
    frozen: dict[str, Any] | None = sealed_json(nullable=True)
    """What it was decided from, as it was then (`models.automatic.Frozen`)."""


class DecisionPartRow(SQLModel, table=True):
    """What a decision gives for one head of one claimant, in EUR; with earlier decisions it adds up."""

    __tablename__ = "decision_part"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    n: int = Field(primary_key=True)
    claimant: str = Field(primary_key=True)
    head: str = Field(primary_key=True)
    payable: Decimal = Field(sa_type=Money)
    to_insured: Decimal = Field(sa_type=Money)
    """What of `payable` goes to the insured (10.1.2)."""
    deductible: Decimal = Field(sa_type=Money)
    """What of the deductible the claimant bore: with the first of its heads."""
    salvage: Decimal = Field(sa_type=Money, default=Decimal(0), sa_column_kwargs={"server_default": "0"})
    """Becomes due when the owner hands over what is left (9.3.1); reserved till then, 0 once it is settled."""
    cancelled: Decimal = Field(sa_type=Money, default=Decimal(0), sa_column_kwargs={"server_default": "0"})
    """What of `payable` fell away with the end of the right (9.2.3, 9.2.4): instalments that were not ordered."""
    person: bytes | None = Field(
        default=None, sa_type=LargeBinary, index=True, sa_column_kwargs={"info": {"personal": True}}
    )
    """By which the same person is found in another claim (`security.index`); none without a personal code."""
    deceased: str | None = None
    """By whose death, for death and funeral; the deceased of an occurrence are counted through."""

    @property
    def taken(self) -> Decimal:
        """What it takes from the limits."""
        return self.payable - self.cancelled
