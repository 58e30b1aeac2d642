"""The words of cover: the points of a liability claim, what is known of them, and what a handler says of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from models.case import Day, Message, OldInstant, Text
from models.common import Model
from models.settlement import Label

Outcome = Literal["met", "not_met", "open", "possible"]
"""`open`: nobody but the handler can say. `possible`: the facts hint at a fault and do not prove it."""
Waiting = Literal["not_met", "open", "possible"]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Code = Annotated[str, StringConstraints(pattern=r"^([a-z_]{3,20}(:C[1-9][0-9]{0,2})?|[478]\.1\.[1-9][0-9]?[a-i]?)$")]
"""`territory`, `third_party:C1`, an exclusion such as `4.1.24` or `4.1.42c`, a duty such as `7.1.2`."""
CircumstanceReference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


LOOK_AGAIN = "cover"
"""The reason of a bell: another claim on the same occurrence came, or the policy changed."""
UNDECIDED = ("collecting", "deciding", "approving")
"""The stages in which a claim is told that its findings can have changed; whatever comes back to be decided looks."""


class Point(Model):
    """One point of cover: its clause, what it is called, and what a handler is asked where the facts do not say it."""

    clause: str
    label: Label
    question: str


POINTS: Mapping[str, Point] = {
    "in_force": Point(
        clause="6.5",
        label=Label(lv="Līgums bija spēkā", lt="Sutartis galiojo", en="The contract was in force"),
        question="Was the contract in force at the event (premium, suspension, end: 6.5, 6.6, 8.2, 11)?",
    ),
    "in_period": Point(
        clause="10.2",
        label=Label(
            lv="Notikums ir līguma darbības laikā vai retroaktīvajā periodā",
            lt="Įvykis įvyko galiojant sutarčiai arba retroaktyviuoju laikotarpiu",
            en="The event lies in the insurance or the retroactive period",
        ),
        question="Does the event lie in the insurance period or the retroactive period?",
    ),
    "not_known": Point(
        clause="1",
        label=Label(
            lv="Slēdzot līgumu, par zaudējumiem nezināja",
            lt="Sudarant sutartį apie žalą nežinota",
            en="Nobody knew of the loss when the contract was made",
        ),
        question="Did neither policyholder nor insured know of the loss when the contract was made?",
    ),
    "territory": Point(
        clause="3.3",
        label=Label(
            lv="Notikums ir apdrošināšanas teritorijā",
            lt="Įvykis įvyko draudimo teritorijoje",
            en="The event lies in the territory",
        ),
        question="Does the event lie in the policy's territory?",
    ),
    "activity": Point(
        clause="1",
        label=Label(
            lv="Notikumu izraisīja apdrošinātā komercdarbība",
            lt="Įvykį sukėlė apdrausta veikla",
            en="The insured activity caused the event",
        ),
        question="Did the insured activity cause the event?",
    ),
    "in_time": Point(
        clause="10.2",
        label=Label(
            lv="Pretenzija pirmo reizi iesniegta laikus",
            lt="Pretenzija pirmą kartą pateikta laiku",
            en="First made in writing and in time",
        ),
        question="Was the claim first made in writing and in time, to the insurer or to the insured (10.2, 10.3)?",
    ),
    "right_policy": Point(
        clause="10.4",
        label=Label(
            lv="Atlīdzība maksājama pēc šīs polises",
            lt="Išmoka mokama pagal šį polisą",
            en="This policy is the one that pays",
        ),
        question="Is this the policy in whose period the claim, or its occurrence's first claim, was made (5.4, 10.4)?",
    ),
    "third_party": Point(
        clause="1",
        label=Label(
            lv="Pretenzijas iesniedzējs ir trešā persona",
            lt="Pretenzijos pareiškėjas yra trečiasis asmuo",
            en="The claimant is a third party",
        ),
        question="Is the claimant neither policyholder, insured, co-insured, one of their group, nor on duty for them?",
    ),
    "own_right": Point(
        clause="11.4",
        label=Label(
            lv="Prasījumu nav cedējis līguma dalībnieks",
            lt="Reikalavimo neperleido sutarties dalyvis",
            en="No party to the contract assigned the right",
        ),
        question="Is the right the claimant's own, not assigned by policyholder, insured or co-insured (11.4)?",
    ),
    "liable": Point(
        clause="2.1",
        label=Label(
            lv="Apdrošinātais ir civiltiesiski atbildīgs",
            lt="Apdraustasis yra civiliškai atsakingas",
            en="The insured is civilly liable",
        ),
        question="Is the insured civilly liable, by what it did or failed to do?",
    ),
    "direct_loss": Point(
        clause="2.1",
        label=Label(
            lv="Zaudējumi ir tieši un izriet no kaitējuma personai vai mantai",
            lt="Žala yra tiesioginė ir kyla iš žalos asmeniui ar turtui",
            en="The loss is direct and follows from injury or damage to a thing",
        ),
        question="Is the loss direct, and does it follow from injury to life or health or damage to a tangible thing?",
    ),
    "no_exclusion": Point(
        clause="4.1",
        label=Label(lv="Nav piemērojams neviens izņēmums", lt="Netaikoma nė viena išimtis", en="No exclusion applies"),
        question="Does none of 4.1.1 to 4.1.46 apply? One that does is judged by its own code, such as 4.1.24.",
    ),
    "no_repetition": Point(
        clause="9.11",
        label=Label(
            lv="Zaudējumi nav radušies atkārtoti no cēloņa, par kuru jau atlīdzināts",
            lt="Žala nepasikartojo dėl priežasties, dėl kurios žala jau atlyginta",
            en="No repetition of a loss that was already paid for",
        ),
        question="Has the insurer not yet paid for a loss from the same cause (another claimant of it is none)?",
    ),
}
"""The points that every claim has, in the order in which they are asked; those `OF_CLAIMANT` once for each claimant."""
OF_CLAIMANT = ("third_party", "own_right")
AssignedBy = Literal["policyholder", "insured", "co_insured", "third_party"]
"""Who assigned the right to a claimant who has it by an assignment (11.4)."""


class Term(Model):
    """One part of the rules with a code of its own: an exclusion of clause 4.1, or a duty of clauses 7.1 and 8.1."""

    code: Code
    clause: str
    label: Label
    group: str = ""
    exception: str | None = None
    """The exclusion's own exception, as the question that decides it."""


class Finding(Model):
    """What the facts say of one point; never personal data."""

    code: Code
    clause: str
    label: Label
    facts: dict[str, Any]
    """Names and values: days, countries, codes, ids of cases and numbers of policies."""
    outcome: Outcome


class Known(Model):
    """What the policy itself says of a point: whether the contract was in force, and why."""

    outcome: Outcome
    clause: str
    facts: dict[str, Any] = Field(default_factory=dict)


class Cover(Model):
    """What a policy says of cover, as it stood for the event."""

    policy: str
    starts_on: date
    ends_on: date
    """The last day of the insurance period, as agreed."""
    ended_on: date | None = None
    """The last day of a contract that was ended early."""
    retroactive_from: date | None = None
    reporting_until: date | None
    """The last day of the extended reporting period (1, 10.2); None: the contract never took effect."""
    territory: tuple[Country, ...] | None
    """None: described in words."""
    exclusions: dict[str, Literal["bought_back", "changed"]] = Field(default_factory=dict)
    """Code → how the policy departs from it (3.4)."""
    in_force: Known | None = None
    """None: the day of the event is not known."""


class Period(Model):
    """Another policy of the same insured."""

    policy: str
    starts_on: date
    ends_on: date
    retroactive_from: date | None = None


class FirstClaim(Model):
    """The first claim that was made on the same occurrence."""

    case: str
    policy: str


class PaidBefore(Model):
    """A claim on the same cause that was paid before."""

    case: str
    same_person: bool
    occurred_on: date | None


class CoverageFacts(Model):
    """Everything that the findings of one claim depend on."""

    zone: str
    received_at: datetime
    filed_by: Literal["third_party", "insured", "broker"]
    claimants: tuple[str, ...]
    cover: Cover | None = None
    """None: which policy pays is not known yet."""
    occurred_on: date | None = None
    country: Country | None = None
    known_before: bool | None = None
    """Policyholder or insured knew of the loss when the contract was made."""
    first_made_at: datetime | None = None
    first_made_to: Literal["insured", "insurer"] | None = None
    notice_received_at: datetime | None = None
    """When the insured's notice of loss reached the insurer."""
    notice_days: int | None = None
    """The statutory term of 8.1.1 in calendar days; None: the rulebook does not have it."""
    circumstance: str | None = None
    circumstance_at: datetime | None = None
    """When the insured's written report of the circumstance was received, if it was for this policy."""
    named_as: dict[str, Literal["policyholder", "insured", "co_insured"]] = Field(default_factory=dict)
    """Claimants with the name of somebody who is no third party."""
    assigned_by: dict[str, AssignedBy] = Field(default_factory=dict)
    """Claimants who say that the right was assigned to them, and by whom."""
    others: tuple[Period, ...] = ()
    first_claim: FirstClaim | None = None
    """None: this one is."""
    paid_before: tuple[PaidBefore, ...] = ()


# ---- what is filed and said -----------------------------------------------------------------------------------------


class LearntFacts(Model):
    """What decides cover: filed with the claim, or learnt by the handler."""

    occurred_on: Day | None = Field(default=None, description="YYYY-MM-DD, the day of the event")
    country: Country | None = Field(default=None, description="where it happened: LV, LT, …")
    first_made_at: OldInstant | None = Field(
        default=None, description="when the written claim was first made, such as 2026-11-21T10:00+02:00"
    )
    first_made_to: Literal["insured", "insurer"] | None = Field(default=None, description="insured or insurer")
    notice_received_at: OldInstant | None = Field(
        default=None, description="when the insured's notice of loss reached us"
    )
    circumstance: CircumstanceReference | None = Field(
        default=None, description="reference of the circumstance that the insured reported earlier; 10.3"
    )
    known_before: bool | None = Field(
        default=None, description="true if policyholder or insured knew of the loss when the contract was made"
    )


class StateFacts(Message, LearntFacts):
    """State what was learnt about event, claim or notice; the findings are worked out anew."""

    @property
    def learnt(self) -> dict[str, Any]:
        """What is said, as JSON."""
        return self.model_dump(mode="json", include=set(LearntFacts.model_fields), exclude_none=True)


class Judgment(Model):
    """What the handler says of one point."""

    code: Code
    outcome: Literal["met", "not_met", "open"]
    """`open`: to be cleared up."""
    reason: Text | None = None
    """Needed wherever the facts do not say the same, or an open point is not met."""
    exception: bool | None = None
    """Of an exclusion with an exception of its own: whether that holds."""


class JudgeFindings(Message):
    """Say for each point of cover whether it is met; an exclusion or a breached duty is raised by its code."""

    findings: Annotated[tuple[Judgment, ...], Field(min_length=1)] = Field(
        description="list of code, outcome (met, not_met, open) and, where the facts do not say so, reason"
    )

    def after(self, findings: Mapping[str, Waiting]) -> dict[str, Waiting]:
        """What waits or stands against cover after this."""
        left = dict(findings)
        for judged in self.findings:
            if judged.outcome == "met":
                left.pop(judged.code, None)
            else:
                left[judged.code] = judged.outcome
        return left


class CircumstanceFiling(Model):
    """Something that may lead to a claim, reported in writing by the insured (8.1.2, 10.3)."""

    policy: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    occurred_on: Day | None = None
    description: Text
    reference: Text
    """Where the written report is kept."""


def is_duty(code: str) -> bool:
    """A duty of policyholder and insured: a breach has a share of the indemnity, or none (8.2)."""
    return code.startswith(("7.", "8."))


def title_of(code: str) -> str:
    """What a point is called in English; an exclusion or a duty by its clause."""
    point = POINTS.get(code.partition(":")[0])
    if point is None:
        return f"duty {code}" if is_duty(code) else f"exclusion {code}"
    claimant = code.partition(":")[2]
    return f"{point.label.en}{f' ({claimant})' if claimant else ''}"
