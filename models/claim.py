"""The words of a claim: what is filed, what a claim remembers between its steps, and what people say to it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from models.automatic import Automatic, Registered, Review, Ruled
from models.case import Correction, Day, Instant, Message, Text
from models.common import Model
from models.coverage import OF_CLAIMANT, AssignedBy, LearntFacts, Waiting
from models.dispute import Dispute
from models.instalments import Agreement, HeadByAgreement
from models.keepable import MOST, path_of, printable
from models.operator import Role
from models.screening import Standing
from models.settlement import Head, Money, OtherInsurer, Percent, Proof, Recommended, Reduction

# ---- what is filed --------------------------------------------------------------------------------------------------


class Document(StrEnum):
    """The documents of clauses 9.1.1 to 9.1.10 and 9.2.5."""

    notice_of_loss = "notice_of_loss"
    policy_copy = "policy_copy"
    court_ruling = "court_ruling"
    claim = "claim"
    medical_opinion = "medical_opinion"
    hospital_extract = "hospital_extract"
    proof_of_entitlement = "proof_of_entitlement"
    proof_of_amount = "proof_of_amount"
    certificate_of_authority = "certificate_of_authority"
    death_certificate = "death_certificate"
    proof_of_funeral = "proof_of_funeral"
    other = "other"


class Claimant(Model):
    """A third party who claims."""

    name: Text
    email: Text | None = None
    language: Literal["lv", "lt", "en"] = "lv"
    personal_code: Text | None = None
    iban: Text | None = None
    assigned_by: AssignedBy | None = None
    """Who assigned the right, where it is not the claimant's own (11.4)."""


class FiledLoss(Model):
    """A head of loss as claimed: by which claimant (1 is the first), how much."""

    claimant: Annotated[int, Field(ge=1)] = 1
    head: Head
    amount: Money


class DocumentReference(Model):
    """Which file a document is and where it is kept: a reference, never its bytes."""

    reference: Text | None = Field(default=None, description="where it is kept")
    file_name: Text | None = Field(default=None, description="of the file")
    media_type: Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-z0-9.+-]{1,80}$")] | None = Field(
        default=None, description="such as application/pdf"
    )
    size: Annotated[int, Field(ge=0, le=10**12)] | None = Field(default=None, description="bytes")
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="of its bytes, 64 hexadecimal digits in small letters"
    )


class FiledDocument(DocumentReference):
    """A document that came with the claim."""

    document: Document
    received_at: Instant | None = None


class ClaimFiling(LearntFacts):
    """A claim as far as it could be read. Nothing of it is compulsory: a claim is not refused for its form."""

    policy: Text | None = None
    insured_name: Text | None = None
    filed_by: Literal["third_party", "insured", "broker"] = "third_party"
    claimants: tuple[Claimant, ...] = ()
    occurrence: Text | None = None
    """The cause that claims share: all losses from one cause are one occurrence (5.4)."""
    place: Text | None = None
    description: Text | None = None
    losses: tuple[FiledLoss, ...] = ()
    documents: tuple[FiledDocument, ...] = ()
    in_court: bool = False
    registered: Registered | None = None
    """Online or by a health insurance partner; else a person wrote it down."""

    @property
    def is_claim(self) -> bool:
        """False for what is no claim at all: nobody claims and nothing was lost."""
        return bool(self.claimants or self.losses or self.description)

    @property
    def claimed(self) -> dict[tuple[str, Head], Decimal]:
        """Claimant and head → EUR; what is named more than once is claimed together."""
        total: dict[tuple[str, Head], Decimal] = {}
        for loss in self.losses:
            key = (f"C{loss.claimant}", loss.head)
            total[key] = total.get(key, Decimal(0)) + loss.amount
        return total


def read_claim(content: dict[str, Any], received_on: date) -> tuple[ClaimFiling, list[str]]:
    """What can be read of a claim, and every fault of the rest; a fault holds back only what it touches."""
    faults: list[str] = []
    read: dict[str, Any] = {}
    faults += [f"{printable(name)}: unknown field" for name in sorted(set(content) - set(ClaimFiling.model_fields))]
    for name, field in ClaimFiling.model_fields.items():
        if name not in content:
            continue
        value = content[name]
        if name in ("claimants", "losses", "documents") and isinstance(value, list):
            item = {"claimants": Claimant, "losses": FiledLoss, "documents": FiledDocument}[name]
            if len(value) > MOST:
                faults.append(f"{name}: only the first {MOST} of {len(value)} are taken; file the others apart")
            kept = [_one(TypeAdapter(item), v, f"{name}.{i}", faults) for i, v in enumerate(value[:MOST])]
            read[name] = tuple(v for v in kept if v is not None)
        else:
            adapter: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]  # a field is built at run time
            one = _one(adapter, value, name, faults)
            if one is not None:
                read[name] = one
    filing = ClaimFiling.model_construct(**read)
    if filing.occurred_on is None:
        faults.append("occurred_on: not said; the claimant is asked")
    elif filing.occurred_on > received_on:
        faults.append("occurred_on: lies after the day of receipt; the claimant is asked")
        filing = filing.model_copy(update={"occurred_on": None})
    made = filing.first_made_at
    if made is not None and filing.filed_by == "third_party" and made.date() > received_on:
        faults.append("first_made_at: lies after the day of receipt; that day is taken")
        filing = filing.model_copy(update={"first_made_at": None, "first_made_to": None})
    documents = list(filing.documents)
    for i, document in enumerate(documents):
        if document.received_at is not None and document.received_at.date() > received_on:
            faults.append(f"documents.{i}.received_at: lies after the day of receipt; the receipt is taken")
            documents[i] = document.model_copy(update={"received_at": None})
    filing = filing.model_copy(update={"documents": tuple(documents)})
    if not filing.losses:
        faults.append("losses: no head of loss with an amount")
    if not filing.policy and not filing.insured_name:
        faults.append("policy: neither a policy number nor the insured's name")
    if not filing.claimants:
        faults.append("claimants: nobody is named")
    for i, loss in enumerate(filing.losses):
        if loss.claimant > max(len(filing.claimants), 1):
            faults.append(f"losses.{i}.claimant: there is no claimant {loss.claimant}")
    for i, claimant in enumerate(filing.claimants):
        if claimant.email is None:
            faults.append(f"claimants.{i}.email: not said; the letters of 10.5 need an address")
    return filing, faults


def _one(adapter: TypeAdapter[Any], value: Any, where: str, faults: list[str]) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as e:
        for error in e.errors(include_url=False, include_context=False, include_input=False):
            path = path_of([where, *error["loc"]])
            faults.append(f"{path}: {error['msg'].removeprefix('Value error, ')}")
        return None


RELEASED = "limit"
"""The reason of a bell: what claims filed earlier held of the limits is free, or used up (9.6, 9.12)."""
LIMITS_MOVED = "limits: they have given to another claim meanwhile"
"""How a refusal begins after which the same decision is worked out anew (9.6)."""

# ---- what a claim remembers -----------------------------------------------------------------------------------------

Proves = Literal["fact", "amount", "entitlement"]


class Requirement(Model):
    """A document that the claim waits for, or that it has."""

    document: Document
    clause: str
    title: str
    """In English, for those who handle claims."""
    proves: Proves
    status: Literal["not_asked", "missing", "received", "waived"]
    received_at: datetime | None = None
    asked_late: bool = False
    """Asked for after all that was asked before had arrived: moves `latest`, never `due`."""


class ClaimantDecision(Model):
    """What one claimant gets."""

    claimant: str
    payable: Money
    withheld: Money
    account: bool = True
    """False if no account is known that money can reach: the payment is held, nothing else."""
    to_insured: Money = Decimal(0)
    """What of `payable` goes to the insured, whose costs it is or who paid it from own means (10.1.2)."""
    by_agreement: tuple[HeadByAgreement, ...] = ()
    """What of `payable` is left to a written agreement on instalments (9.2.3, 9.2.4)."""


class HeadOutcome(Model):
    """That a head of a claimant is rejected, or only a part of it accepted, and the code of why."""

    claimant: Annotated[str, StringConstraints(pattern=r"^C[1-9][0-9]*$")]
    head: Head
    outcome: Literal["reject", "reduce"]
    code: Annotated[str, StringConstraints(pattern=r"^([a-z_]{3,40}|[478]\.1\.[1-9][0-9]?[a-i]?)$")]
    """One of the closed list of reasons: of its own, an exclusion of 4.1, or a breached duty (8.2)."""

    @property
    def finding(self) -> str:
        """The point of cover that the code would be."""
        return f"{self.code}:{self.claimant}" if self.code in OF_CLAIMANT else self.code


class HeadReason(HeadOutcome):
    """The same with the reason in words for the claimant."""

    text: Text


class Proposal(Model):
    """A decision that was worked out and, above the limit, waits for a second person."""

    n: int = 0
    """Its number among the claim's decisions; 0 for one of a build that did not number them."""

    outcome: Literal["pay", "pay_reduced", "reject"]
    proposed_by: str
    reasons: tuple[str, ...] = ()
    """Reason codes."""
    heads: tuple[HeadOutcome, ...] = ()
    """What is rejected or reduced by itself; the words are in the store."""
    claimants: tuple[ClaimantDecision, ...]
    total: Money
    deductible: Money
    premium: Money = Decimal(0)
    """Unpaid premium that is withheld (9.5)."""
    withheld: Money = Decimal(0)
    """Entitled to, subject to 9.6: reserved by claims filed earlier."""
    salvage: Money = Decimal(0)
    """Becomes due when the owner hands over what is left (9.3.1); reserved until then."""
    needs_second: bool
    approver: str | None = None
    """The role with the authority, empty if the sum is above every limit; None where nothing is routed."""
    amounts: dict[str, Any] = Field(default_factory=dict)
    """What was worked out: the decision stands only if the limits still give the same."""
    occurrence_taken: Money = Decimal(0)
    aggregate_taken: Money = Decimal(0)
    letters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """These three belong to decisions that have no number."""

    @property
    def approved(self) -> Decimal:
        """What an approval lets go, in EUR: also what is withheld or waits for salvage, paid without asking again."""
        return self.total + self.withheld + self.salvage


class Payment(Model):
    """A payment order as the claim knows it."""

    key: str
    claimant: str
    amount: Money
    status: Literal["queued", "issued", "held", "paid", "rejected", "screening", "blocked"]
    """`screening`: the payee may be on the sanctions list; `blocked`: is."""
    n: int = 1
    """Which try this is: another account after a rejection."""
    decision: int = 1
    """The number of the decision that it pays."""
    duty: str | None = None
    """The duty that it keeps, if not that of the kind: what a court awarded has a term of its own (10.5)."""
    of: str | None = None
    """The subject of that duty's clock."""

    @property
    def subject(self) -> str:
        """The subject of its clock."""
        return self.of or subject_of(self.claimant, self.decision)


def subject_of(party: str, decision: int) -> str:
    """Whose clock a decision starts: of a supplementary one its own, for that of the one before can still run."""
    return party if decision == 1 else f"{party}.{decision}"


class Suit(Model):
    """A court hears the claim of these claimants (9.1.3)."""

    claimants: tuple[str, ...]
    undecided: bool
    """Nothing was decided on them when the suit came: without an award the 30 days begin anew (10.5)."""


class Award(Model):
    """What a ruling in force awards a claimant; to be decided and paid within 10 working days (10.5)."""

    claimant: str
    amount: Money
    subject: str = ""
    """The subject of its clock, written by the case."""


class ClaimBody(Model):
    """All of a claim that must survive its run."""

    received_at: datetime
    policy: str | None = None
    claimants: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    announced: bool = False
    """The receipt and what is missing were told."""
    proposal: Proposal | None = None
    decided_at: datetime | None = None
    notices: dict[str, Literal["queued", "sent", "refused"]] = Field(default_factory=dict)
    payments: tuple[Payment, ...] = ()
    hits: dict[str, Standing] = Field(default_factory=dict)
    """Parties who were found on the sanctions list before any payment; whoever was cleared is none."""
    agreements: tuple[Agreement, ...] = ()
    """What decisions left to written agreements (9.2.3, 9.2.4); their schedules are in the store."""
    settled: dict[str, Money] = Field(default_factory=dict)
    """EUR of instalments that were paid and have left `payments`, by claimant: over years there are many."""
    decisions: int = 0
    """How many decisions there were: 1, and the supplementary ones (9.6)."""
    withheld: Money = Decimal(0)
    """Entitled to, but reserved by claims filed earlier (9.6)."""
    withheld_by: dict[str, Money] = Field(default_factory=dict)
    """The same by the number of the decision that withheld it."""
    released: bool = False
    """Limit was released for what is withheld while the claim was being decided: asked for once that is done."""
    salvage: dict[str, int] = Field(default_factory=dict)
    """Claimant and head whose salvage the owner agreed to hand over → the decision that says so (9.3.1)."""
    suit: Suit | None = None
    awards: tuple[Award, ...] = ()
    """Awarded, and not decided yet."""
    finished_at: datetime | None = None
    outcome: str | None = None
    findings: dict[str, Waiting] | None = None
    """Points of cover that wait for the handler or stand against it; None: opened before there were findings."""
    exclusions: dict[str, str] = Field(default_factory=dict)
    """Exclusions that were raised, with title and, where they have an exception, its question; in English."""
    occurrence: tuple[str, ...] = ()
    """Other claims on the same occurrence, as of the last look; the first of them where there are many."""
    dispute: Dispute | None = None
    """With policyholder or insured, not over yet (11.5)."""
    disputes: int = 0
    """How many there were."""
    automatic: Automatic | None = None
    """What becomes of the rulebook's own decision; None: this claim is no case for one."""
    review: Review | None = None

    @property
    def missing(self) -> tuple[Requirement, ...]:
        """What is asked for and has not arrived."""
        return tuple(r for r in self.requirements if r.status == "missing")

    @property
    def complete_at(self) -> datetime:
        """When the claim and all that proves fact, amount and entitlement had arrived (10.5)."""
        arrived = [r.received_at for r in self.requirements if r.received_at is not None and not r.asked_late]
        return max([self.received_at, *arrived])


class Assess(Model):
    """What `claim.assess` is asked: what a decision would give, by the limits as they stand."""

    case: str
    policy: str
    n: int = 1
    """The number of the decision; from 2 on it is supplementary and gives what the ones before did not."""
    recorded: int = 0
    """The number of a recorded decision or proposal whose inputs count, instead of those below."""
    by: str = ""
    """Who proposes it, and so does not approve it."""
    losses: tuple[ProvenLoss, ...] = ()
    liability_share: Percent = Decimal(100)
    reductions: tuple[Reduction, ...] = ()
    reject: bool = False
    heads: tuple[HeadReason, ...] = ()
    salvage: tuple[str, ...] = ()
    """Whose salvage was handed over after that decision, by claimant and head (`C1:property_destroyed`; 9.3.1)."""
    other_insurers: tuple[OtherInsurer, ...] = ()
    recommended: tuple[Recommended, ...] = ()
    withhold_premium: bool = False
    in_suit: tuple[str, ...] = ()
    """Claimants before a court: not decided now, and what they claim stays reserved."""
    awards: tuple[Award, ...] = ()
    """What a court awarded: proven so far, also beyond what was claimed."""
    by_agreement: tuple[str, ...] = ()
    """Claimants whose lost capacity or death is paid by a written agreement (9.2.3, 9.2.4)."""
    automatic: bool = False
    """The rulebook decides: losses are those that were filed, and everything that a person would have to say is not."""


class Assessment(Model):
    """What `claim.assess` answers."""

    faults: tuple[str, ...] = ()
    claimants: tuple[ClaimantDecision, ...] = ()
    total: Money = Decimal(0)
    withheld: Money = Decimal(0)
    salvage: Money = Decimal(0)
    deductible: Money = Decimal(0)
    premium: Money = Decimal(0)
    needs_second: bool = False
    approver: str | None = None
    """See `Proposal`."""
    ruled: Ruled | None = None
    """Where the rulebook decides; `faults` then say why a person must."""
    used_up: bool = False
    """The limit leaves a part of the loss uncovered (9.12)."""
    released_at: datetime | None = None
    """When another claim of the policy last took or released something."""
    changed: bool = False
    """Something else is withheld than what is recorded."""
    amounts: dict[str, Any] = Field(default_factory=dict)
    """See `Proposal`."""
    occurrence_taken: Money = Decimal(0)
    aggregate_taken: Money = Decimal(0)
    letters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """These three in answers of builds that did not number decisions."""


# ---- what people say ------------------------------------------------------------------------------------------------


class AddDocument(Message, DocumentReference):
    """A document has arrived."""

    document: Document = Field(description="which: one of those that are missing")
    received_at: Instant = Field(description="when it was received, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="where it is kept")


class WaiveDocument(Message):
    """A document is not needed after all."""

    document: Document = Field(description="which one")
    reason: Text = Field(description="why the case is proven without it")


class RequireDocument(Message):
    """One more document is needed; it does not stop the 30 days."""

    document: Document = Field(description="which one")
    proves: Proves = Field(description="fact, amount or entitlement")
    reason: Text = Field(description="why, in words for the claimant")
    named: Text | None = Field(
        default=None, description="what it is, in words for the claimant; needed if document is other"
    )


class SetPolicy(Message):
    """Say which policy pays, where the claim did not or was wrong."""

    policy: Text = Field(description="policy number")


class ProvenLoss(Proof):
    """What of a claimed head is proven, and what others have already compensated."""

    claimant: Annotated[str, StringConstraints(pattern=r"^C[1-9][0-9]*$")]
    compensated: Money = Decimal(0)
    """By others in one sum, where neither payer nor day is told; else `compensations` (9.8)."""

    @model_validator(mode="after")
    def _compensated_in_one_way(self) -> Self:
        if self.compensated and self.compensations:
            msg = "compensated: say either one sum or the compensations"
            raise ValueError(msg)
        return self


class ProposeDecision(Message):
    """Pay, pay reduced, or reject (10.5); above the limit a second person approves."""

    outcome: Literal["pay", "pay_reduced", "reject"] = Field(description="pay, pay_reduced or reject")
    reasons: tuple[Text, ...] = ()
    """A reason for each reduction or rejection; it stands in the letter. Of a rejection `code: words`, the code that of
    a finding that is not met, or a clause of part 9."""
    losses: tuple[ProvenLoss, ...] = ()
    heads: tuple[HeadReason, ...] = Field(
        default=(),
        description="list of claimant, head, outcome (reject or reduce), code and text, for heads that are not paid as "
        "claimed; with it every head is paid, reduced or rejected; 10.5",
    )
    liability_share: Percent = Field(
        default=Decimal(100), description="the insured's share of the liability in percent, if not 100 (9.7)"
    )
    reductions: tuple[Reduction, ...] = Field(
        default=(), description="list of clause (the duty breached, such as 7.1.2) and percent; see 8.2"
    )
    other_insurers: tuple[OtherInsurer, ...] = Field(
        default=(), description="list of insurer and limit per occurrence, where others insure the same liability; 9.9"
    )
    recommended: tuple[Recommended, ...] = Field(
        default=(),
        description="list of claimant and amount that was recommended, if the insured promised or spent more; 8.1.9",
    )
    withhold_premium: bool = Field(
        default=False, description="true to withhold the instalments that are due and unpaid; 9.5"
    )
    by_agreement: tuple[Annotated[str, StringConstraints(pattern=r"^C[1-9][0-9]*$")], ...] = Field(
        default=(),
        description="claimants whose lost_capacity or death is paid in instalments by written agreement; 9.2.3, 9.2.4",
    )


class ApproveDecision(Message):
    """A second person approves what was proposed."""

    role: ClassVar[Role] = "approve"


class SendBackDecision(Message):
    """The second person does not approve: back to the handler."""

    role: ClassVar[Role] = "approve"

    reason: Text = Field(description="why")


class ConfirmPayment(Message):
    """The bank executed a payment."""

    payment: Text = Field(description="key of the payment, such as C1:indemnity")
    executed_on: Day = Field(description="YYYY-MM-DD, the execution date the bank confirms")
    bank_reference: Text = Field(description="the bank's reference")
    amount: Money | None = Field(default=None, description="EUR that were paid; refused if it is not the payment's sum")
    correction: Correction | None = Field(
        default=None, description="where the term is over already and was kept: reason, document, second_person"
    )


class RejectPayment(Message):
    """The bank rejected or returned a payment: it is still owed."""

    payment: Text = Field(description="key of the payment")
    reason: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}[0-9]{2}$")] = Field(
        description="ISO 20022 reason code, such as AC01"
    )
    rejected_on: Day = Field(description="YYYY-MM-DD")


class ClearHit(Message):
    """The payee is not the one on the sanctions list: the payment goes out."""

    role: ClassVar[Role] = "compliance"

    payment: Text = Field(description="key of the payment, such as C1:indemnity; before one the party, such as C1")
    reason: Text = Field(description="how you know that it is somebody else")


class ConfirmHit(Message):
    """The payee is on the sanctions list: nothing is paid."""

    role: ClassVar[Role] = "compliance"

    payment: Text = Field(description="key of the payment, such as C1:indemnity; before one the party, such as C1")
    reason: Text = Field(description="how you know, and what was reported to whom")


class CorrectPayee(Message):
    """Another account for a claimant whose payment is held or was rejected; a new order follows."""

    claimant: Annotated[str, StringConstraints(pattern=r"^(C[1-9][0-9]*|insured|policyholder)$")] = Field(
        description="C1, C2, …; insured or policyholder, where a payment goes there"
    )
    iban: Text = Field(description="IBAN")


class SetReserve(Message):
    """Say what the claim may still come to: later claims get what is released (9.6); the reserve was reviewed."""

    amount: Money = Field(description="EUR, no more than is claimed")
    reason: Text = Field(description="why, such as what the documents prove so far")


class TakeOverHandling(Message):
    """Handle a claim or a suit in the insured's name: the insured then owes all information and help (8.1.10)."""

    what: Literal["claim", "suit"] = Field(description="claim, or suit if one is before a court")
    reference: Text = Field(description="where the decision to take it over is kept")


class ReportSuit(Message):
    """A court hears the claim: its ruling is a missing document (9.1.3); also after a rejection or the end."""

    claimants: tuple[Annotated[str, StringConstraints(pattern=r"^C[1-9][0-9]*$")], ...] = Field(
        default=(), description="whose claim is before the court, such as C1; all, if not said"
    )
    filed_at: Instant = Field(description="when the suit was filed, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="where the statement of claim is kept")


class Awarded(Model):
    """What a ruling awards a claimant."""

    claimant: Annotated[str, StringConstraints(pattern=r"^C[1-9][0-9]*$")]
    amount: Money


class ReportRuling(Message):
    """A ruling that awards something has entered into force: 10 working days from then, for what it awards (10.5)."""

    in_force_at: Instant = Field(description="when it entered into force, such as 2026-11-21T00:00+02:00")
    awards: tuple[Awarded, ...] = Field(min_length=1, description="list of claimant and amount in EUR")
    reference: Text = Field(description="where the ruling is kept")


class ReportSuitEnd(Message):
    """The suit ended without an award: what was not decided is to be decided within 30 days from then (10.5)."""

    ended_at: Instant = Field(description="when it ended, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="where the ruling or the notice of its end is kept")


class SalvageHandedOver(Message):
    """The owner handed over what is left of a destroyed thing: the rest of its value is due (9.3.1)."""

    claimant: Annotated[str, StringConstraints(pattern=r"^C[1-9][0-9]*$")] = Field(description="C1, C2, …")
    head: Head = Field(description="property_destroyed or property_damaged, as it was claimed")
    handed_over_at: Instant = Field(description="when, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="where the document that proves it is kept")

    @property
    def cell(self) -> str:
        """As the claim knows it."""
        return f"{self.claimant}:{self.head}"


class SalvageKept(Message):
    """The owner keeps what is left after all: nothing more becomes due for it (9.3.1)."""

    claimant: Annotated[str, StringConstraints(pattern=r"^C[1-9][0-9]*$")] = Field(description="C1, C2, …")
    head: Head = Field(description="property_destroyed or property_damaged, as it was claimed")
    reason: Text = Field(description="why, such as where the owner's letter is kept")

    @property
    def cell(self) -> str:
        """As the claim knows it."""
        return f"{self.claimant}:{self.head}"


class ReopenClaim(Message):
    """A claim that was decided is looked at again, for new evidence or an error: 30 days from its receipt."""

    reason: Literal["new_evidence", "error"] = Field(description="new_evidence or error")
    received_at: Instant = Field(description="when the evidence came or the error was reported")
    text: Text = Field(description="what is new, or what was wrong")


class WithdrawClaim(Message):
    """The claimants withdraw the claim before it is decided."""

    withdrawn_at: Instant = Field(description="when, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="where the withdrawal is kept")


Assess.model_rebuild()
