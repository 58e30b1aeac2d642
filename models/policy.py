"""The words of a policy: what is registered and agreed later, what was paid, and what follows for an event day.

A policy is what was said about it, in order: `PolicyFacts` are folded from entries, which are never changed. People and
companies are kept apart from the facts, in columns of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from models.case import Day, Instant, Text
from models.common import Model
from models.keepable import path_of, printable
from models.names import PERSONAL_CODE
from models.settlement import Deductible, Language, Money, Percent, PolicyTerms, Sublimit

AUTOMATIC_DAYS = 30
"""The extended reporting period that every contract has (1)."""
MOST_REPORTING_DAYS = 3 * 366
"""More than three years cannot be agreed (1); the last day is capped exactly when it is counted."""
CONCLUSION_SHARE = Decimal(25)
"""Percent of the sum to be refunded that the conclusion costs may take, unless agreed otherwise (11.1)."""


def _names_nobody(key: str) -> str:
    if PERSONAL_CODE.search(key):
        raise ValueError("looks like a personal code, and it stays readable for ever")
    return key


M = TypeVar("M", bound=Model)
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Number = Annotated[Key, AfterValidator(_names_nobody)]
"""Of a policy, an addendum or a payment."""
Organisation = Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,3}$")]
ReportingDays = Annotated[int, Field(ge=0, le=MOST_REPORTING_DAYS)]
ExclusionCode = Annotated[str, StringConstraints(pattern=r"^4\.1\.([1-9]|[1-3][0-9]|4[0-6])[a-z]?$")]
"""4.1.1 to 4.1.46, with a letter where the clause has letters: `4.1.28a`."""


class Company(Model):
    """Policyholder, insured or co-insured of a policy; a policyholder can be a person."""

    name: Text
    email: Text | None = None
    language: Language = "lv"


class Exclusion(Model):
    """What a policy says of an exclusion of 4.1 (3.4)."""

    code: ExclusionCode
    state: Literal["applies", "bought_back", "changed"]
    text: Text | None = None

    @model_validator(mode="after")
    def _changed_says_how(self) -> Self:
        if self.state == "changed" and self.text is None:
            raise ValueError("text: a changed exclusion says how it reads")
        return self


class Instalment(Model):
    """A part of the premium and its last day; the only part, where it is paid at once."""

    due_on: Day
    amount: Money
    addendum: str | None = None
    """The addendum that asks for it; none: the contract itself."""

    @field_validator("amount")
    @classmethod
    def _above_zero(cls, amount: Decimal) -> Decimal:
        return _above_zero(amount)


def _above_zero(amount: Decimal) -> Decimal:
    if amount <= 0:
        raise ValueError("must be above 0")
    return amount


class PremiumPaid(Model):
    """A premium, or a part of it, that was paid."""

    kind: Literal["premium_paid"] = "premium_paid"
    reference: Number
    """The bank's; the same again is the same payment."""
    paid_on: Day
    amount: Money
    received_at: Instant | None = None
    """When the insurer received it; the 15 days of 6.5 are counted from here."""
    withheld_by: str | None = None
    """The claim whose decision withheld it (9.5)."""

    @field_validator("amount")
    @classmethod
    def _above_zero(cls, amount: Decimal) -> Decimal:
        return _above_zero(amount)


# ---- what is filed --------------------------------------------------------------------------------------------------


class PolicyFiling(Model):
    """A liability policy as it is registered."""

    policy: Number
    organisation: Organisation
    policyholder: Company
    insured: Company
    co_insured: tuple[Company, ...] = Field(default=(), max_length=100)
    insured_activity: Text | None = None
    starts_on: Day
    ends_on: Day | None = None
    """The last day of the period; none: one year (6.4)."""
    retroactive_from: Day | None = None
    """The first day of the retroactive period (1); none: there is no such period."""
    extended_reporting_days: ReportingDays = AUTOMATIC_DAYS
    """What was agreed (1); less than 30 changes nothing."""
    territory: Text = "LV"
    """Latvia unless the policy says otherwise (3.3)."""
    terms: PolicyTerms
    exclusions: tuple[Exclusion, ...] = Field(default=(), max_length=100)
    """Those that are bought back or changed; every other one applies."""
    premium: tuple[Instalment, ...] = Field(default=(), max_length=100)
    """The schedule; empty: the premium is not followed here, and counts as paid."""
    payments: tuple[PremiumPaid, ...] = Field(default=(), max_length=100)
    conclusion_share: Percent = CONCLUSION_SHARE
    """At most so many percent of a refund for conclusion costs, where the parties agreed otherwise (11.1)."""


def read_policy(data: Any) -> tuple[PolicyFiling | None, list[str]]:
    """A policy, or every fault of it; the texts name fields, never values."""
    return _read(PolicyFiling, data, _policy_faults)


def read_addendum(data: Any) -> tuple[Addendum | None, list[str]]:
    """An addendum, or every fault of its own; what does not fit its policy is found where that is known."""
    return _read(Addendum, data, _addendum_faults)


def read_model(
    model: type[M], data: Any, between: Callable[[dict[str, Any]], list[str]] = lambda _: []
) -> tuple[M | None, list[str]]:
    """Any other model, or every fault of its fields; `between` finds those between the fields that could be read."""
    return _read(model, data, between)


def _read(model: Any, data: Any, more: Any) -> tuple[Any, list[str]]:
    """The model and its faults: those of single fields, and those between the fields that could be read."""
    if not isinstance(data, dict):
        return None, ["no JSON object"]
    faults: list[str] = []
    read: dict[str, Any] = {}
    faults += [f"{printable(name)}: unknown field" for name in sorted(set(data) - set(model.model_fields), key=str)]
    for name, field in model.model_fields.items():
        if name not in data:
            if field.is_required():
                faults.append(f"{name}: not said")
            else:
                read[name] = field.get_default(call_default_factory=True)
            continue
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]  # a field is built at run time
            read[name] = adapter.validate_python(data[name])
        except ValidationError as e:
            faults += [
                f"{path_of([name, *error['loc']])}: {error['msg'].removeprefix('Value error, ')}"
                for error in e.errors(include_url=False, include_context=False, include_input=False)
            ]
    faults += more(read)
    return (model(**read), faults) if not faults else (None, faults)


def _policy_faults(read: dict[str, Any]) -> list[str]:
    faults = []
    starts_on, ends_on = read.get("starts_on"), read.get("ends_on")
    if starts_on and ends_on and ends_on < starts_on:
        faults.append("ends_on: lies before starts_on")
    if starts_on and read.get("retroactive_from") and read["retroactive_from"] >= starts_on:
        faults.append("retroactive_from: must lie before starts_on")
    premium, payments = read.get("premium", ()), read.get("payments", ())
    if payments and "premium" in read and not premium:
        faults.append("payments: there is no premium that they pay")
    if premium and payments and sum(p.amount for p in payments) > sum(i.amount for i in premium):
        faults.append("payments: more than the premium")
    if any(i.addendum for i in premium):
        faults.append("premium: an instalment of an addendum comes with the addendum")
    faults += _twice("payments", [p.reference for p in payments])
    faults += _twice("exclusions", [x.code for x in read.get("exclusions", ())])
    if (terms := read.get("terms")) is not None and terms.unpaid_premium and premium:
        faults.append("terms.unpaid_premium: with a schedule it follows from premium and payments")
    return faults


def _twice(field: str, names: list[str]) -> list[str]:
    again = sorted({name for name in names if names.count(name) > 1})
    return [f"{field}: {name} is given twice" for name in again]


# ---- addenda --------------------------------------------------------------------------------------------------------


class LimitChanges(Model):
    """The limits that an addendum sets anew (5.8); what is not named stays."""

    limit_per_occurrence: Money | None = None
    limit_aggregate: Money | None = None
    limit_per_person: Money | None = None
    sublimits: tuple[Sublimit, ...] | None = None
    """All of them: they take the place of the former ones."""


class Addendum(Model):
    """What the parties agreed later (3.4, 5.7, 5.8)."""

    kind: Literal["addendum"] = "addendum"
    addendum: Number
    """Its number; the same again is the same addendum."""
    signed_on: Day
    effective_on: Day
    events_from: Day | None = None
    """The first event day that it applies to, where it says so; else the day after `effective_on`."""
    limits: LimitChanges | None = None
    deductible: Deductible | None = None
    restores: Money | None = None
    """By how much the aggregate is restored for the remaining period (5.7), once its premium is paid."""
    territory: Text | None = None
    insured_activity: Text | None = None
    extended_reporting_days: ReportingDays | None = None
    exclusions: tuple[Exclusion, ...] = Field(default=(), max_length=100)
    premium: tuple[Instalment, ...] = Field(default=(), max_length=100)
    policyholder: Company | None = None
    insured: Company | None = None
    co_insured: tuple[Company, ...] | None = Field(default=None, max_length=100)
    text: Text | None = None


def _addendum_faults(read: dict[str, Any]) -> list[str]:
    faults = _twice("exclusions", [x.code for x in read.get("exclusions", ())])
    changes = [name for name in Addendum.model_fields if name not in _SAYS_NOTHING and read.get(name)]
    if len(read) == len(Addendum.model_fields) and not changes:
        faults.append("addendum: it changes nothing")
    restores = read.get("restores")
    if restores is not None and not restores:
        faults.append("restores: must be above 0")
    if restores and "premium" in read and not read["premium"]:
        faults.append("premium: 5.7 restores the aggregate for a premium; say it")
    return faults


_SAYS_NOTHING = frozenset({"kind", "addendum", "signed_on", "effective_on", "events_from", "premium"})


# ---- what was said --------------------------------------------------------------------------------------------------


class Registered(Model):
    """The contract as it was registered, without its people."""

    kind: Literal["registered"] = "registered"
    starts_on: Day
    ends_on: Day
    retroactive_from: Day | None = None
    extended_reporting_days: int = AUTOMATIC_DAYS
    territory: str = "LV"
    insured_activity: str | None = None
    terms: PolicyTerms
    exclusions: tuple[Exclusion, ...] = ()
    premium: tuple[Instalment, ...] = ()
    payments: tuple[PremiumPaid, ...] = ()
    conclusion_share: Percent = CONCLUSION_SHARE


class Suspended(Model):
    """The contract is suspended for a later instalment that was not paid in full (6.6)."""

    kind: Literal["suspended"] = "suspended"
    from_day: Day
    """The first day without cover, as the insurer said."""
    allowed_from: Day
    """Before it the statute allows no suspension: one that was said earlier has no effect until then."""
    statute: Text | None = None
    reason: Text


class Resumed(Model):
    """A suspension ended."""

    kind: Literal["resumed"] = "resumed"
    from_day: Day
    """The first day with cover again."""
    reason: Text


class RefundStep(Model):
    """One step: its clause, what it is, and the amounts before and after it."""

    clause: str
    label: str
    before: Money
    after: Money


class Refund(Model):
    """What is paid back of a premium when a contract ends early (11.1, 11.2), step by step."""

    amount: Money
    clause: str
    steps: tuple[RefundStep, ...] = ()
    refused: str | None = None
    """Why nothing is paid back."""


EndedBy = Literal["policyholder", "insurer", "unpaid", "breach"]
"""By whom or for what: the policyholder (11.1), the insurer by statute (11.2), an unpaid instalment (6.6), a breach of
duties (8.2)."""
ENDED_BY: dict[EndedBy, str] = {"policyholder": "11.1", "insurer": "11.2", "unpaid": "6.6", "breach": "8.2"}


class Ended(Model):
    """The contract ends before its period does."""

    kind: Literal["ended"] = "ended"
    by: EndedBy
    last_day: Day
    """The last day with cover, as it was said."""
    allowed_from: Day | None = None
    """The first day on which the statute lets the end have effect (6.6); none: no statute delays it."""
    statute: Text | None = None
    reason: Text
    refund: Refund

    @property
    def covered_until(self) -> date:
        """The last day with cover: an earlier end than the statute allows has no effect until then."""
        if self.allowed_from is None:
            return self.last_day
        return max(self.last_day, date.fromordinal(self.allowed_from.toordinal() - 1))


class PremiumRefused(Model):
    """The insurer refused a late premium: the policy never took effect (6.5)."""

    kind: Literal["premium_refused"] = "premium_refused"
    refused_on: Day
    case: str


PolicyEntry = Annotated[
    Registered | Addendum | PremiumPaid | Suspended | Resumed | Ended | PremiumRefused, Field(discriminator="kind")
]
ENTRY: TypeAdapter[Any] = TypeAdapter(PolicyEntry)  # an annotation with its discriminator


class PolicyFacts(Model):
    """All that is known of a contract at an instant; no people."""

    registered: Registered
    addenda: tuple[Addendum, ...] = ()
    """In the order in which they were said."""
    paid: tuple[PremiumPaid, ...] = ()
    suspensions: tuple[tuple[Suspended, Resumed | None], ...] = ()
    ended: Ended | None = None
    refused: PremiumRefused | None = None


# ---- what follows ---------------------------------------------------------------------------------------------------


class Version(Model):
    """What holds for an event day."""

    terms: PolicyTerms
    territory: str
    insured_activity: str | None
    exclusions: tuple[Exclusion, ...]
    """Those that differ from the rules, by code; every other one applies."""
    addenda: tuple[str, ...]
    """The addenda that apply, in the order in which they take effect."""


class InForce(Model):
    """Whether the contract was in force on an event day, and why."""

    outcome: Literal["in_force", "retroactive", "not_in_force"]
    clause: str
    """The clause that decides."""
    reason: Literal[
        "in_period",
        "in_retroactive_period",
        "before_start",
        "after_end",
        "first_premium_unpaid",
        "premium_refused",
        "before_late_premium",
        "suspended",
        "ended",
    ]
    facts: dict[str, str]
    """The dates that were used, by name, as YYYY-MM-DD."""
    provisional: bool = False
    """The first premium is neither paid nor due: the contract can still turn out never to have taken effect (6.5)."""


class Reporting(Model):
    """Until when third parties may claim (1, BTA-1-ERP)."""

    until: date | None
    """The last day; none: the contract never took effect."""
    counted_from: date | None
    """The last day of cover."""
    days: int
    """The longer of 30 and what was agreed."""
    early: bool
    """Counted from an early end: a claim after `until` and not after `nominal_end` is a finding, no rejection."""
    nominal_end: date
    clause: str = "1"
