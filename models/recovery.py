"""The words of a recovery: of an unjustified payment (11.3), and of what others compensated after one (9.8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints

from models.case import Day, Instant, Message, Text
from models.claim import Payment
from models.common import Model
from models.names import split_case_id
from models.operator import Role
from models.policy import Number
from models.settlement import NONE, Money

DEBTOR = "debtor"
"""The party of a recovery: the claimant or the insured who was paid."""

Reason = Literal["unjustified", "compensated_by_others"]
CLAUSES: dict[Reason, str] = {"unjustified": "BTA-11.3", "compensated_by_others": "BTA-9.8"}
"""What a recovery rests on → the duty."""

Debtor = Annotated[str, StringConstraints(pattern=r"^(C[1-9][0-9]*|insured)$")]
DebtorData = Literal[
    "name", "personal_code", "birth_date", "address", "email", "phone", "account", "payments", "policy_number"
]
"""What may be handed to a collector (GJ, the lines before 188): who it is, how to reach them, what is owed and why."""
FIELDS: dict[DebtorData, dict[str, str]] = {
    "name": {"lv": "vārds, uzvārds vai nosaukums", "lt": "vardas, pavardė arba pavadinimas", "en": "name"},
    "personal_code": {"lv": "personas kods", "lt": "asmens kodas", "en": "personal code"},
    "birth_date": {"lv": "dzimšanas datums", "lt": "gimimo data", "en": "date of birth"},
    "address": {"lv": "adrese", "lt": "adresas", "en": "address"},
    "email": {"lv": "e-pasta adrese", "lt": "el. pašto adresas", "en": "e-mail address"},
    "phone": {"lv": "tālruņa numurs", "lt": "telefono numeris", "en": "phone number"},
    "account": {"lv": "bankas konta numurs", "lt": "banko sąskaitos numeris", "en": "account number"},
    "payments": {"lv": "ziņas par maksājumiem", "lt": "mokėjimų informacija", "en": "what was paid"},
    "policy_number": {"lv": "polises numurs", "lt": "poliso numeris", "en": "policy number"},
}
"""What the debtor reads of the data that a collector gets."""


def _something(amount: Decimal) -> Decimal:
    if not amount:
        raise ValueError("must be more than nothing")
    return amount


Sum = Annotated[Money, AfterValidator(_something)]


def _claim(case: str) -> str:
    if split_case_id(case)[0] != "claim":
        raise ValueError("not the name of a claim")
    return case


# ---- what is filed, and what is remembered --------------------------------------------------------------------------


class RecoveryFiling(Model):
    """What is demanded back of which payment, and why."""

    claim: Annotated[str, AfterValidator(_claim)]
    debtor: Debtor
    amount: Sum
    """EUR, no more than the bank paid this party and no other recovery demands."""
    reason: Reason
    text: Text
    """Why, in words for the debtor."""
    repay_by: Day | None = None
    """The last day of the debtor's term, if the demand names one: 11.3 has none."""


class PaidThen(Model):
    """A payment of the claim to the debtor."""

    paid_on: date
    amount: Money


class Repayment(Model):
    """What the debtor paid back."""

    received_on: date
    amount: Money
    reference: str


class RecoveryBody(Model):
    """All of a recovery that must survive its run."""

    claim: str
    owed_by: str
    """The debtor's code in the claim."""
    reason: Reason
    amount: Money
    paid: tuple[PaidThen, ...]
    payee: str
    account: str
    """Whom and where to pay, by the rulebook when the case was opened."""
    second_above: Money
    """EUR; a waiver of more needs a second person, by the rulebook when the case was opened."""
    text: str | None = None
    """Until the first letter is queued."""
    repay_by: date | None = None
    notices: dict[str, Literal["queued", "sent", "refused"]] = Field(default_factory=dict)
    repayments: tuple[Repayment, ...] = ()
    proposed_by: str | None = None
    """Who would waive the rest, while a second person is asked."""
    waived_at: datetime | None = None
    collector: str | None = None
    data: tuple[DebtorData, ...] = ()
    """What of the debtor's data a hand-over is planned for: names of fields only."""
    told_at: datetime | None = None
    """When the notice of the hand-over was proven sent; none: it was not, or came back."""
    handed_over_at: datetime | None = None
    suit_ended_on: date | None = None
    keep_until: date | None = None
    """The last day of the storage term (GJ-recovery), once it can be counted."""
    outcome: str | None = None

    @property
    def repaid(self) -> Decimal:
        """EUR that came back."""
        return sum((r.amount for r in self.repayments), NONE)

    @property
    def left(self) -> Decimal:
        """EUR that did not."""
        return self.amount - self.repaid


# ---- what people say ------------------------------------------------------------------------------------------------


class RecoverPayment(Message):
    """Demand back what was paid without right (11.3) or was compensated by others since (9.8): a case of its own."""

    debtor: Debtor = Field(description="who was paid: C1, C2, … or insured")
    amount: Sum = Field(description="EUR, no more than was paid to the debtor")
    reason: Reason = Field(description="unjustified or compensated_by_others")
    text: Text = Field(description="why, in words for the debtor")
    reference: Number = Field(description="your number of the recovery; its case is named by it")
    repay_by: Day | None = Field(
        default=None, description="YYYY-MM-DD, the last day of the debtor's term, if one is set"
    )

    @property
    def recovery(self) -> dict[str, object]:
        """The content of the recovery's filing."""
        return self.model_dump(mode="json", include={*RecoveryFiling.model_fields}) | {"claim": self.case}

    def faults(self, payments: Iterable[Payment], settled: Mapping[str, Decimal]) -> tuple[str, ...]:
        """Why it cannot be, by the claim's payments and the instalments that have left them."""
        paid = sum((p.amount for p in payments if (p.claimant, p.status) == (self.debtor, "paid")), NONE)
        paid += settled.get(self.debtor, NONE)
        if not paid:
            return ("debtor: the bank paid nothing to this party",)
        return (f"amount: only {paid} EUR were paid to {self.debtor}",) if self.amount > paid else ()


class DemandAgain(Message):
    """Demand the rest once more, by a day; a planned hand-over is dropped."""

    repay_by: Day = Field(description="YYYY-MM-DD, the last day of the debtor's term")


class ReportRepayment(Message):
    """Money came back, all of it or a part."""

    amount: Sum = Field(description="EUR, no more than is left")
    received_on: Day = Field(description="YYYY-MM-DD, when the account was credited")
    reference: Number = Field(description="the bank's reference; each is taken once")


class WaiveRecovery(Message):
    """Give up what is left; above the rulebook's limit a second person approves."""

    reason: Text = Field(description="why")


class ApproveWaiver(Message):
    """A second person approves that the rest is given up."""

    role: ClassVar[Role] = "approve"


class SendBackWaiver(Message):
    """The second person does not approve: the demand stands."""

    role: ClassVar[Role] = "approve"

    reason: Text = Field(description="why")


class PlanHandover(Message):
    """Tell the debtor that the debt is to be handed to a collector: only then it can be (GJ-debts)."""

    collector: Text = Field(description="the collection company, as the debtor reads it")
    data: tuple[DebtorData, ...] = Field(
        min_length=1, description="list of the fields that the collection needs, such as name, address, payments"
    )


class ReportHandover(Message):
    """The debt was handed to the collector, with no other data than the debtor was told of."""

    handed_over_at: Instant = Field(description="when, such as 2026-11-21T10:00+02:00")
    data: tuple[DebtorData, ...] = Field(min_length=1, description="list of the fields that were handed over")
    reference: Text = Field(description="where the record of it is kept")


class ReportRecoverySuitEnd(Message):
    """A suit about the debt ended: the storage term is counted from then, unless the debt is paid later."""

    ended_on: Day = Field(description="YYYY-MM-DD")
    reference: Text = Field(description="where the ruling or the notice of its end is kept")
