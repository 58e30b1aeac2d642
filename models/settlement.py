"""What a settlement is computed from, and what it says: money, policy terms, losses, steps.

Money is `Decimal` in EUR, whole cents, never negative, never a float. A percentage runs from 0 to 100.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from models.common import Model

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST = Decimal("999999999999.99")
"""The largest sum taken in; a slip of the keyboard is refused rather than paid."""
CENT = Decimal("0.01")
WHOLE = Decimal(100)
"""Percent."""


def as_decimal(value: object, what: str) -> Decimal:
    """`value` as a finite Decimal. A float is refused, as it has already lost what was written."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        msg = f"{what} must be a decimal or a text such as '12.50', not {type(value).__name__}"
        raise ValueError(msg)  # noqa: TRY004 - of a validator's errors pydantic reports only ValueError by field
    try:
        number = Decimal(value)
    except InvalidOperation:
        msg = f"{what} must be a number"
        raise ValueError(msg) from None
    if not number.is_finite():
        msg = f"{what} must be a finite number"
        raise ValueError(msg)
    if number < 0:
        msg = f"{what} must not be negative"
        raise ValueError(msg)
    return number


def as_money(value: object) -> Decimal:
    """`value` as EUR with two decimals; refuses what is negative, too large, or finer than a cent."""
    amount = as_decimal(value, "money")
    if amount > LARGEST:
        msg = f"money must not exceed {LARGEST}"
        raise ValueError(msg)
    if amount % CENT:
        msg = "money must be in whole cents"
        raise ValueError(msg)
    # `abs` turns a negative zero, which would print as -0.00, into zero
    return abs(amount).quantize(CENT)


def as_percent(value: object) -> Decimal:
    """`value` as a percentage from 0 to 100 with at most six decimals."""
    share = as_decimal(value, "a percentage")
    if share > WHOLE:
        msg = "a percentage must be from 0 to 100"
        raise ValueError(msg)
    if share % Decimal("0.000001"):
        msg = "a percentage must have at most six decimals"
        raise ValueError(msg)
    return abs(share)


Money = Annotated[Decimal, BeforeValidator(as_money)]
Percent = Annotated[Decimal, BeforeValidator(as_percent)]
ClaimantId = Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,3}[0-9]{1,6}$")]
Language = Literal["lv", "lt", "en"]
NONE = Decimal("0.00")


def repeated(names: Iterable[str]) -> list[str]:
    """The names that occur more than once, in order."""
    return sorted(name for name, times in Counter(names).items() if times > 1)


class Label(Model):
    """A text in the three languages of the product."""

    lv: str
    lt: str
    en: str


class Head(StrEnum):
    """The heads of loss of clauses 9.1 to 9.4."""

    treatment = "treatment"
    temporary_incapacity = "temporary_incapacity"
    lost_capacity = "lost_capacity"
    death = "death"
    funeral = "funeral"
    property_destroyed = "property_destroyed"
    property_damaged = "property_damaged"
    litigation_costs = "litigation_costs"
    rescue_costs = "rescue_costs"
    expert_costs = "expert_costs"


class DeductibleKind(StrEnum):
    """How the policy states its deductible (clause 1)."""

    amount = "amount"
    percent = "percent"


class Basis(StrEnum):
    """What a deductible or a sublimit counts for; a period is no basis for a deductible."""

    per_occurrence = "per_occurrence"
    per_person = "per_person"
    per_period = "per_period"


class Deductible(Model):
    """The part of the loss that stays with the insured (clauses 1 and 9.5): EUR or percent."""

    kind: DeductibleKind = DeductibleKind.amount
    value: Decimal = NONE
    basis: Literal[Basis.per_occurrence, Basis.per_person] = Basis.per_occurrence

    @model_validator(mode="before")
    @classmethod
    def _value_fits_its_kind(cls, data: object) -> object:
        if isinstance(data, dict) and "value" in data:
            check = as_percent if data.get("kind") == DeductibleKind.percent else as_money
            return {**data, "value": check(data["value"])}
        return data


class Sublimit(Model):
    """A separate limit for kinds of loss (clause 5.3.2); `name` is what the policy calls it."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=80, strip_whitespace=True)]
    heads: Annotated[tuple[Head, ...], Field(min_length=1)]
    limit: Money
    basis: Basis = Basis.per_occurrence


class PolicyTerms(Model):
    """The version of the policy's limits and deductible that applies to the event (clauses 5.2, 5.3, 5.8)."""

    limit_per_occurrence: Money
    limit_aggregate: Money
    limit_per_person: Money | None = None
    """For all the loss of one claimant (clauses 5.3.1, 5.5)."""
    sublimits: tuple[Sublimit, ...] = ()
    deductible: Deductible = Deductible()

    @model_validator(mode="after")
    def _names_are_unique(self) -> PolicyTerms:
        if twice := repeated(s.name for s in self.sublimits):
            msg = f"sublimits named more than once: {', '.join(twice)}"
            raise ValueError(msg)
        return self


class TakenByPerson(Model):
    """What earlier filings of the same occurrence already did for one claimant, in EUR."""

    claimant: ClaimantId
    paid: Money = NONE
    deductible: Money = NONE


class TakenOfSublimit(Model):
    """What was already paid under one sublimit; `claimant` where the sublimit is per person, else none."""

    name: str
    claimant: ClaimantId | None = None
    paid: Money


class Taken(Model):
    """What earlier decisions have booked, in EUR.

    Paid within the occurrence and the period; the deductible taken so far for the occurrence (clause 9.5).
    """

    occurrence: Money = NONE
    aggregate: Money = NONE
    deductible: Money = NONE
    persons: tuple[TakenByPerson, ...] = ()
    sublimits: tuple[TakenOfSublimit, ...] = ()

    @model_validator(mode="after")
    def _each_is_said_once(self) -> Taken:
        if twice := repeated(p.claimant for p in self.persons):
            msg = f"taken by a person is given more than once: {', '.join(twice)}"
            raise ValueError(msg)
        if twice := repeated(f"{s.name} {s.claimant or ''}".strip() for s in self.sublimits):
            msg = f"taken of a sublimit is given more than once: {', '.join(twice)}"
            raise ValueError(msg)
        return self


class Reserved(Model):
    """What open claims filed earlier hold of the limits, in EUR (clause 9.6: occurrence, 9.10: period)."""

    occurrence: Money = NONE
    aggregate: Money = NONE


class Loss(Model):
    """One head of loss of one claimant, in EUR, after the deductions that belong to the head itself (clause 9.2)."""

    claimant: ClaimantId
    head: Head
    claimed: Money
    proven: Money
    compensated: Money = NONE
    """Paid by others for the same part of this loss (clause 9.8); never a benefit already taken off in `proven`,
    a co-liable person's own share, or another insurer's proportion."""
    own_costs: bool = False
    """The insured's own costs: they get of a limit only what the third parties leave."""


class Reduction(Model):
    """A decided reduction for one breached duty (clause 8.2), in percent of the indemnity after the limits."""

    clause: Annotated[str, StringConstraints(pattern=r"^(7\.1\.[1-5]|8\.1\.[1-9])$")]
    percent: Percent


class Readings(Model):
    """Where the clauses leave room: the reading to use. The steps name it."""

    liability_before_deductible: bool = True


class SettlementInput(Model):
    """All that one filing's settlement depends on: its losses, the policy, and what earlier filings took or hold."""

    policy: PolicyTerms
    losses: Annotated[tuple[Loss, ...], Field(min_length=1)]
    liability_share: Percent = WHOLE
    """The insured's degree of liability (clause 9.7)."""
    reductions: tuple[Reduction, ...] = ()
    taken: Taken = Taken()
    reserved_by_earlier: Reserved = Reserved()
    readings: Readings = Readings()

    @model_validator(mode="after")
    def _nothing_counts_twice(self) -> SettlementInput:
        if twice := repeated(f"{loss.claimant} {loss.head.value}" for loss in self.losses):
            msg = f"losses given more than once: {', '.join(twice)}"
            raise ValueError(msg)
        if twice := repeated(r.clause for r in self.reductions):
            msg = f"reductions for the same duty: {', '.join(twice)}"
            raise ValueError(msg)
        if (total := sum(r.percent for r in self.reductions)) > WHOLE:
            msg = f"reductions add up to {total} percent, more than 100"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _taken_sublimits_are_known(self) -> SettlementInput:
        basis = {s.name: s.basis for s in self.policy.sublimits}
        for part in self.taken.sublimits:
            if part.name not in basis:
                msg = f"taken of a sublimit that the policy does not have: {part.name}"
                raise ValueError(msg)
            if (part.claimant is not None) != (basis[part.name] is Basis.per_person):
                msg = (
                    f"taken of sublimit {part.name}: a claimant is given where, and only where, "
                    "the sublimit is per person"
                )
                raise ValueError(msg)
        return self


class Step(Model):
    """One step of one claimant's settlement, in EUR.

    The amounts are shown in cents; the reckoning between them is exact and is rounded in the last step only.
    """

    clause: str
    label: Label
    before: Money
    after: Money
    note: Label | None = None
    """The reading or the figures used."""


class HeadAmount(Model):
    """What of one head is payable now, and what is withheld for earlier claims, in EUR."""

    head: Head
    clause: str
    payable: Money
    withheld: Money


class ClaimantSettlement(Model):
    """What one claimant gets, and why, in EUR."""

    claimant: ClaimantId
    payable: Money
    withheld: Money
    """Entitled to besides `payable`, subject to clause 9.6: only a limit reserved by earlier claims holds it back."""
    uncompensated: Money
    """Of the accepted loss, what neither this entitlement nor anybody else's payment covers: for the handler (9.8)."""
    heads: tuple[HeadAmount, ...]
    steps: tuple[Step, ...]


class Settlement(Model):
    """The settlement of one filing: claimants by id, and totals, in EUR."""

    claimants: tuple[ClaimantSettlement, ...]
    payable: Money
    withheld: Money
    deductible: Money
    """Deducted in this filing; to be added to `Taken.deductible` before the next one of the occurrence."""
