"""What a settlement is computed from, and what it says: money, policy terms, losses, steps.

Money is `Decimal` in EUR, whole cents, never negative, never a float. A percentage runs from 0 to 100.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from models.case import Day
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
    if (amount := as_decimal(value, "money")) > LARGEST:
        msg = f"money must not exceed {LARGEST}"
        raise ValueError(msg)
    return as_amount(amount)


def as_amount(value: object) -> Decimal:
    """`value` as EUR with two decimals, however large: what is worked out of sums of money."""
    amount = as_decimal(value, "money")
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
Amount = Annotated[Decimal, BeforeValidator(as_amount)]
Percent = Annotated[Decimal, BeforeValidator(as_percent)]
ClaimantId = Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,3}[0-9]{1,6}$")]
DeceasedId = Annotated[str, StringConstraints(pattern=r"^D[0-9]{1,6}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=80, strip_whitespace=True)]
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

    name: Name
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
    death_is_one_person: bool = False
    """In a limit, sublimit or deductible per person, all who claim for one death (9.2.4, 9.2.5) are one person; if not,
    each of them is one."""
    instalments: bool = False
    """The policy lets the premium be paid in instalments: only then may an unpaid one be withheld (clause 9.5)."""
    unpaid_premium: Money = NONE
    """Instalments that are due and unpaid, in EUR; what a decision withholds is booked as paid."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> PolicyTerms:
        if twice := repeated(s.name for s in self.sublimits):
            msg = f"sublimits named more than once: {', '.join(twice)}"
            raise ValueError(msg)
        return self


class TakenByPerson(Model):
    """What earlier filings of the same occurrence already did for one claimant, in EUR.

    Where the policy counts a death as one person, the deceased (such as D1) stands for all who claim for that death.
    """

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
    """What open claims filed earlier hold of the limits, in EUR (clause 9.6: occurrence, 9.10: period).

    `deductible`: what they may still bear of the occurrence's, which is borne in the order of filing (9.5).
    """

    occurrence: Money = NONE
    aggregate: Money = NONE
    deductible: Money = NONE


class Payer(StrEnum):
    """Who else paid towards a loss."""

    state = "state"
    """State social insurance or the state budget: pensions, benefits."""
    municipality = "municipality"
    employer = "employer"
    """Of the person who suffered the loss: sick pay, earnings from work."""
    co_liable = "co_liable"
    """Another person who is liable for the same loss (clause 9.7)."""
    liability_insurer = "liability_insurer"
    """Another insurer of the same liability of the insured (clause 9.9)."""
    own_insurer = "own_insurer"
    """The insurer of whoever suffered the loss."""
    insured = "insured"
    """The policyholder or the insured."""
    other = "other"


class PaidSum(Model):
    """A sum that somebody else paid towards a loss, in EUR; it is used in one place only, and never twice."""

    payer: Payer
    paid_on: Day | None = None
    """None: not known."""
    amount: Money
    agreed: bool = False
    """Only of the insured: from own means, with the insurer's written agreement, and proven (clause 10.1.2). It is then
    paid back to the insured and is no compensation by others."""

    @model_validator(mode="after")
    def _only_the_insured_agrees(self) -> Self:
        if self.agreed and self.payer is not Payer.insured:
            msg = "agreed: 10.1.2 speaks of what the insured paid"
            raise ValueError(msg)
        return self


class TreatmentFacts(Model):
    """Documented costs of treatment (clause 9.2.1), in EUR."""

    costs: Money
    comfort: Money = NONE
    """What of the costs was for comfort only; it is not paid."""

    @model_validator(mode="after")
    def _part_of_the_costs(self) -> Self:
        if self.comfort > self.costs:
            msg = "comfort: more than the costs"
            raise ValueError(msg)
        return self


class LostIncomeFacts(Model):
    """Income lost by incapacity (clauses 9.2.2, 9.2.3), in EUR."""

    average: Money
    """Average earnings for a day or a month, reckoned as the law says."""
    per: Literal["day", "month"] = "day"
    count: Annotated[int, Field(ge=1, le=36525)]
    """How many certified days (of work) or months."""
    received: tuple[PaidSum, ...] = ()
    """Statutory benefits; for lost capacity also pensions and earnings from work. Each is taken off here, and nowhere
    else."""

    @model_validator(mode="after")
    def _only_such_payers(self) -> Self:
        own = (Payer.state, Payer.municipality, Payer.employer, Payer.other)
        if any(paid.payer not in own for paid in self.received):
            msg = (
                f"received: benefits, pensions and earnings come from {', '.join(own)}; others belong to compensations"
            )
            raise ValueError(msg)
        return self


class Right(StrEnum):
    """On what ground a dependant has the right to support, and so how long (clause 9.2.4)."""

    minor = "minor"
    """Child, brother, sister or grandchild: until 18."""
    student = "student"
    """The same in secondary or full-time higher education: while studying, until 24."""
    disabled_before_18 = "disabled_before_18"
    """Without end."""
    unable_to_work = "unable_to_work"
    """Spouse, parent, grandparent: until able to work again."""
    spouse_with_child = "spouse_with_child"
    """A spouse able to work, until the youngest child is 8."""
    spouse_with_disabled_child = "spouse_with_disabled_child"
    """A spouse able to work, while the child is disabled."""
    by_law = "by_law"
    """Another member of the family whom the law on state pensions calls a dependant."""


AGE_LIMITS = {Right.minor: 18, Right.student: 24, Right.spouse_with_child: 8}
"""Where the right ends by age: of the dependant, or of the spouse's youngest child."""


class SupportFacts(Model):
    """What a dependant loses by a death (clause 9.2.4), in EUR for a month."""

    income: Money
    """The deceased's lost income for a month."""
    share: Percent
    """What of it was due to this dependant."""
    pension: Money = NONE
    """The dependant's survivor's pension for a month."""
    first_day: Day
    last_day: Day
    """The days for which support is settled, both included; part of a month counts by its days."""
    right: Right
    born_on: Day | None = None
    """Of the dependant, or of the spouse's youngest child: needed where the right ends by age."""
    until: Day | None = None
    """The last day of the right for another reason than age: the studies ended, able to work again."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        faults = []
        if not self.first_day <= self.last_day:
            faults.append("last_day: lies before first_day")
        if self.last_day.year - self.first_day.year > 100:  # noqa: PLR2004 - nobody is supported longer than a life
            faults.append("last_day: more than a hundred years after first_day")
        if self.right in AGE_LIMITS and self.born_on is None:
            faults.append(f"born_on: the right of {self.right} ends by age")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class FuneralFacts(Model):
    """Documented costs of a funeral (clause 9.2.5), in EUR."""

    costs: Money
    unreasonable: Money = NONE
    """What of the costs is beyond reason; it is not paid."""
    natural_person: bool = True
    """Whoever bore the costs is a natural person; nobody else has the right."""

    @model_validator(mode="after")
    def _part_of_the_costs(self) -> Self:
        if self.unreasonable > self.costs:
            msg = "unreasonable: more than the costs"
            raise ValueError(msg)
        return self


class PropertyFacts(Model):
    """What happened to a thing (clauses 9.3.1, 9.3.2), in EUR; whether it counts as destroyed follows from it."""

    repair: Money | None = None
    """What it costs to restore it; none: it cannot be repaired."""
    before: Money | None = None
    after: Money | None = None
    """Its actual value just before and just after the event."""
    owner_agrees: bool = False
    """The owner agrees that the thing counts as destroyed."""
    salvage_handed_over: bool = False
    """The owner handed what is left of it over to the insurer."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        faults = []
        if (self.before is None) != (self.after is None):
            faults.append("before, after: both values or neither")
        elif self.before is not None and self.after is not None and self.after > self.before:
            faults.append("after: more than before")
        if self.repair is None and self.before is None:
            faults.append("repair: what cannot be repaired needs its values before and after")
        if self.salvage_handed_over and not self.owner_agrees:
            faults.append("salvage_handed_over: only where the owner agrees that it counts as destroyed")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class LitigationFacts(Model):
    """Costs of litigation (clauses 1, 9.1), in EUR."""

    costs: Money
    agreed: Money
    """As agreed with the insurer; beyond it nothing is paid."""


class RescueFacts(Model):
    """Costs of averting or lessening the loss, successful or not (clauses 1, 8.1.3), in EUR."""

    costs: Money
    agreed: Money = NONE
    """As agreed with the insurer."""
    urgent: Money = NONE
    """Without agreement, as the insurer could not be reached for reasons beyond the insured's control."""


class ExpertFacts(Model):
    """Costs of an independent expert (clause 9.4), in EUR."""

    costs: Money


Facts = (
    TreatmentFacts
    | LostIncomeFacts
    | SupportFacts
    | FuneralFacts
    | PropertyFacts
    | LitigationFacts
    | RescueFacts
    | ExpertFacts
)
FACTS: dict[Head, type[Facts]] = {
    Head.treatment: TreatmentFacts,
    Head.temporary_incapacity: LostIncomeFacts,
    Head.lost_capacity: LostIncomeFacts,
    Head.death: SupportFacts,
    Head.funeral: FuneralFacts,
    Head.property_destroyed: PropertyFacts,
    Head.property_damaged: PropertyFacts,
    Head.litigation_costs: LitigationFacts,
    Head.rescue_costs: RescueFacts,
    Head.expert_costs: ExpertFacts,
}
OF_INCOME = (Head.temporary_incapacity, Head.lost_capacity, Head.death)
"""The heads from which statutory benefits are taken off within the head itself."""
OF_DEATH = (Head.death, Head.funeral)


class Proof(Model):
    """What is proven of one head of loss of one claimant, and what others paid towards it."""

    claimant: ClaimantId
    head: Head
    proven: Money | None = None
    """EUR, after the deductions that belong to the head itself (clause 9.2); or else the facts."""
    facts: Facts | None = None
    """From which the proven amount is worked out; their fields are those of the head."""
    compensations: tuple[PaidSum, ...] = ()
    """Paid by others towards this head (clauses 9.7, 9.8, 9.9, 10.1.2); the settlement finds the one step of each.
    Never a benefit that was taken off within the head."""
    own_costs: bool = False
    """The insured's own costs: they get of a limit only what the third parties leave, and go to the insured."""
    deceased: DeceasedId = "D1"
    """By whose death, for death and funeral: those of one death can count as one person."""

    @field_validator("facts", mode="before")
    @classmethod
    def _facts_of_the_head(cls, value: object, info: ValidationInfo) -> object:
        head = info.data.get("head")
        # a head that is none is a fault of its own
        return FACTS[head].model_validate(value) if value is not None and head is not None else None

    @model_validator(mode="after")
    def _proven_in_one_way(self) -> Self:
        faults = []
        if (self.proven is None) == (self.facts is None):
            faults.append("proven: say either the proven amount or the facts")
        benefits = (Payer.state, Payer.municipality)
        if self.head in OF_INCOME and any(paid.payer in benefits for paid in self.compensations):
            faults.append(
                "compensations: statutory benefits are taken off within this head (9.2.2 to 9.2.4), not again"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def received(self) -> tuple[PaidSum, ...]:
        """What is taken off within the head."""
        return self.facts.received if isinstance(self.facts, LostIncomeFacts) else ()


class Loss(Proof):
    """One head of loss of one claimant, as claimed and as proven."""

    claimed: Money


class OtherInsurer(Model):
    """Another insurer of the same liability (clause 9.9)."""

    insurer: Name
    limit: Money
    """Its nominal limit per occurrence, in EUR."""


class Recommended(Model):
    """The sum for which the insurer had recommended to settle with a claimant, in EUR (clause 8.1.11).

    Given only where the insured promised or spent more, against the insurer's instructions (clause 8.1.9).
    """

    claimant: ClaimantId
    amount: Money


class Reduction(Model):
    """A decided reduction for one breached duty (clause 8.2), in percent of the indemnity after the limits."""

    clause: Annotated[str, StringConstraints(pattern=r"^(7\.1\.[1-5]|8\.1\.[1-9])$")]
    percent: Percent


class Readings(Model):
    """Where the clauses leave room: the reading to use. The steps name it."""

    liability_before_deductible: bool = True
    """9.7 comes before 9.5."""
    unpaid_premium_with_deductible: bool = True
    """An unpaid premium is withheld with the deductible (9.5); if not, in the last step."""


class SettlementInput(Model):
    """All that one filing's settlement depends on: its losses, the policy, and what earlier filings took or hold."""

    policy: PolicyTerms
    losses: tuple[Loss, ...]
    liability_share: Percent = WHOLE
    """The insured's degree of liability (clause 9.7)."""
    other_insurers: tuple[OtherInsurer, ...] = ()
    recommended: tuple[Recommended, ...] = ()
    withhold_premium: bool = False
    """The insurer uses its right to withhold the premium that is due and unpaid (clause 9.5)."""
    reductions: tuple[Reduction, ...] = ()
    taken: Taken = Taken()
    reserved_by_earlier: Reserved = Reserved()
    readings: Readings = Readings()

    @model_validator(mode="after")
    def _fits_together(self) -> SettlementInput:
        if faults := [*self._twice(), *self._strangers(), *self._taken_of_nothing()]:
            raise ValueError("; ".join(faults))
        return self

    def _twice(self) -> Iterable[str]:
        """What is given more than once would count more than once."""
        if not self.losses:
            yield "losses: there is none"
        if twice := repeated(f"{loss.claimant} {loss.head.value}" for loss in self.losses):
            yield f"losses given more than once: {', '.join(twice)}"
        if twice := repeated(r.clause for r in self.reductions):
            yield f"reductions for the same duty: {', '.join(twice)}"
        if (total := sum(r.percent for r in self.reductions)) > WHOLE:
            yield f"reductions add up to {total} percent, more than 100"
        if twice := repeated(r.claimant for r in self.recommended):
            yield f"recommended more than once: {', '.join(twice)}"
        names = [other.insurer for other in self.other_insurers]
        yield from (f"other_insurers.{i}: given already" for i, name in enumerate(names) if name in names[:i])
        seen: dict[tuple[object, ...], str] = {}
        for i, loss in enumerate(self.losses):
            for part, sums in (("facts.received", loss.received), ("compensations", loss.compensations)):
                for j, paid in enumerate(sums):
                    where = f"losses.{i}.{part}.{j}"
                    first = seen.setdefault((loss.claimant, paid.payer, paid.paid_on, paid.amount), where)
                    if first != where and paid.amount:
                        yield f"{where}: the same sum as {first}; a sum is used once"

    def _strangers(self) -> Iterable[str]:
        claimants = {loss.claimant for loss in self.losses}
        if strangers := sorted({r.claimant for r in self.recommended} - claimants):
            yield f"recommended for somebody who claims nothing: {', '.join(strangers)}"
        if self.policy.death_is_one_person and (
            both := sorted(claimants & {loss.deceased for loss in self.losses if loss.head in OF_DEATH})
        ):
            yield f"deceased and claimant have the same id: {', '.join(both)}"
        if self.withhold_premium and not self.policy.instalments:
            yield "withhold_premium: the policy allows no instalments (9.5)"

    def _taken_of_nothing(self) -> Iterable[str]:
        basis = {s.name: s.basis for s in self.policy.sublimits}
        for part in self.taken.sublimits:
            if part.name not in basis:
                yield f"taken of a sublimit that the policy does not have: {part.name}"
            elif (part.claimant is not None) != (basis[part.name] is Basis.per_person):
                yield (
                    f"taken of sublimit {part.name}: a claimant is given where, and only where, "
                    "the sublimit is per person"
                )


class Step(Model):
    """One step of one claimant's settlement, in EUR.

    The amounts are shown in cents; the reckoning between them is exact and is rounded in the last step only.
    """

    clause: str
    label: Label
    before: Amount
    after: Amount
    note: Label | None = None
    """The reading or the figures used."""


class HeadAmount(Model):
    """What of one head is payable now, and what is withheld for earlier claims, in EUR."""

    head: Head
    clause: str
    payable: Amount
    withheld: Amount
    to_insured: Amount
    """What of `payable` goes to the policyholder or insured: own costs, and what they paid for the third party from own
    means (clause 10.1.2). The third party's loss always comes first; the rest is the third party's (10.1.1)."""
    steps: tuple[Step, ...]
    """How the proven amount was found, from the facts to what is accepted."""


class UsedSum(Model):
    """A sum paid by others, and the one step that used it; what goes beyond that step's part is a line of its own.

    As it is in the end, once no earlier claim holds a limit back.
    """

    head: Head
    payer: Payer
    paid_on: Day | None
    amount: Amount
    """The whole sum, in EUR."""
    used: Amount
    """What of it this step used, in EUR."""
    clause: str
    """9.2.2, 9.2.3, 9.2.4: a benefit taken off within the head. 9.7: the payer's own share, which is not the insured's.
    9.9: the other insurer's proportion. 9.8: compensated. 10.1.2: goes back to the insured."""


class ClaimantSettlement(Model):
    """What one claimant gets, and why, in EUR."""

    claimant: ClaimantId
    payable: Amount
    withheld: Amount
    """Entitled to besides `payable`, subject to clause 9.6: only a limit reserved by earlier claims holds it back."""
    uncompensated: Amount
    """Of the accepted loss, what neither this entitlement nor anybody else's payment covers: for the handler (9.8)."""
    heads: tuple[HeadAmount, ...]
    steps: tuple[Step, ...]
    sums: tuple[UsedSum, ...]


class Settlement(Model):
    """The settlement of one filing: claimants by id, and totals, in EUR."""

    claimants: tuple[ClaimantSettlement, ...]
    payable: Amount
    withheld: Amount
    deductible: Amount
    """Deducted in this filing; to be added to `Taken.deductible` before the next one of the occurrence."""
    premium: Amount
    """Unpaid premium withheld in this filing, in EUR; to be booked as premium paid (clause 9.5)."""
