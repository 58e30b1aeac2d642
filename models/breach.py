"""The words of a personal data breach (GDPR 33 and 34): what is filed, what the case remembers, what people say to it.

Who was affected is never said in a message: the people are loaded into the store, and the case knows numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from models.case import Correction, Instant, Message, Text
from models.common import Model
from models.operator import Role
from models.settlement import Label

NOTIFY, TELL, REGISTER = "DZ-17.2", "DZ-17.3", "DZ-17.4"
"""The rows that hold for every controller (GDPR 33, 34 and 33(5)); only one document repeats them."""

LETTER = "breach-told"
"""The template of the letter to a data subject, and by it the letters of this sort among a case's notices."""
SUBJECT_ROLE = "affected"
"""What they are in the case; there can be thousands of them."""
BATCH = 50
"""Letters that are handed over together: an activity of this size ends within its time limit, and so does its step."""

Risk = Literal["none", "risk", "high"]
Sort = Literal["breach", "threat"]
Reader = Literal["officer", "responsible_employee", "manager", "controller"]
Language = Literal["lv", "lt", "en"]
Ground = Literal["encrypted", "measures_taken", "disproportionate"]

GROUNDS: dict[Ground, str] = {"encrypted": "34(3)(a)", "measures_taken": "34(3)(b)", "disproportionate": "34(3)(c)"}
"""Why people need not be told one by one → the letter of GDPR 34(3)."""

Count = Annotated[int, Field(ge=0, le=10**9)]
ListId = Annotated[str, StringConstraints(pattern=r"^L-[0-9a-f]{16}$")]
PartyCode = Annotated[str, StringConstraints(pattern=r"^P[1-9][0-9]{0,6}$")]


# ---- a report -------------------------------------------------------------------------------------------------------


class Report(Model):
    """What somebody on the staff noticed, and whom they told when."""

    sort: Sort = Field(default="breach", description="breach; or threat: weak security, nothing known to be lost")
    noticed_at: Instant = Field(description="when it was noticed, such as 2026-11-21T10:00+02:00")
    told: dict[Reader, Instant] = Field(
        default_factory=dict, description="who was told and when: officer, responsible_employee, manager, controller"
    )
    aware_at: Instant | None = Field(
        default=None, description="when it was certain enough, if not when the first of them was told"
    )
    text: Text = Field(description="what happened, in words; name no data subject")
    reporter: Text | None = Field(default=None, description="name of who noticed it")


class BreachFiling(Report):
    """A breach as it was first reported."""


class Reported(Model):
    """Of a report what the case counts by."""

    sort: Sort
    noticed_at: datetime
    received_at: datetime
    aware_at: datetime
    """When the controller knew: as said, else when the first was told or Termins had it, whichever came first."""
    told: dict[str, datetime] = Field(default_factory=dict)

    @classmethod
    def of(cls, report: Report | JoinReport, received_at: datetime) -> Reported:
        """Of a report received then."""
        told = {str(who): at for who, at in report.told.items()}
        return cls(
            sort=report.sort,
            noticed_at=report.noticed_at,
            received_at=received_at,
            aware_at=report.aware_at or min([*told.values(), received_at]),
            told=told,
        )


def report_faults(report: Report | JoinReport, received_at: datetime) -> tuple[str, ...]:
    """What cannot be: nobody was told of what was not noticed yet, and nothing lies after the receipt."""
    faults = []
    if report.noticed_at > received_at:
        faults.append("noticed_at: lies after the receipt of the report")
    said: dict[str, datetime | None] = {f"told.{who}": at for who, at in report.told.items()}
    for name, at in {**said, "aware_at": report.aware_at}.items():
        if at is not None and at > received_at:
            faults.append(f"{name}: lies after the receipt of the report")
        elif at is not None and at < report.noticed_at:
            faults.append(f"{name}: lies before it was noticed")
    return tuple(faults)


# ---- what the case remembers ----------------------------------------------------------------------------------------


class ReportTerms(Model):
    """The row under which staff report this sort, and how many of whom have to be told."""

    duty: str
    told: tuple[Reader, ...]
    enough: int


class BreachTerms(Model):
    """What the controller's rulebook says of breaches."""

    controller: str
    authority: str
    language: Language
    assess: str | None = None
    """The row by which a reported breach is assessed."""
    registers: tuple[str, ...] = (REGISTER,)
    """The rows by which it is kept in a register."""
    reports: dict[Sort, ReportTerms] = Field(default_factory=dict)


class Facts(Model):
    """What GDPR 33(3) asks for, as far as it is known."""

    nature: str | None = None
    subject_categories: str | None = None
    subjects: int | None = None
    record_categories: str | None = None
    records: int | None = None
    contact: str | None = None
    consequences: str | None = None
    measures: str | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of those that are not known."""
        return tuple(name for name in FACTS if getattr(self, name) is None)


FACTS: tuple[str, ...] = tuple(Facts.model_fields)
NEEDED: tuple[str, ...] = ("nature", "contact", "consequences", "measures")
"""Of them those that no notification ends without; categories and numbers are said where possible (33(3)(a))."""


class Phase(Model):
    """A notification of the authority; the first ends the 72 hours, the others add what was found since (33(4))."""

    sent_at: datetime
    reference: str
    facts: tuple[str, ...]
    """The names of the facts that were known then."""
    delay_reasons: str | None = None
    by: str


class People(Model):
    """The data subjects who are to be told, in numbers."""

    known: int = 0
    told: int = 0
    failed: int = 0
    """Their letter was refused or came back; another address, or post."""
    no_mail: int = 0
    """They have no e-mail address: post."""
    languages: dict[str, int] = Field(default_factory=dict)
    last_told_at: datetime | None = None
    by_person: bool = False
    """Whether somebody said that instant, and not a carrier."""

    @property
    def left(self) -> int:
        """Those who are not told."""
        return self.known - self.told

    def add(self, **numbers: int) -> People:
        """The same with these numbers changed by so much."""
        return self.model_copy(update={name: getattr(self, name) + by for name, by in numbers.items()})

    def told_at(self, at: datetime, *, by_person: bool = False) -> People:
        """Somebody was told then."""
        if self.last_told_at is not None and self.last_told_at > at:
            return self
        return self.model_copy(update={"last_told_at": at, "by_person": by_person})


class Exemption(Model):
    """Why people need not be told one by one (34(3))."""

    ground: Ground
    reason: str
    published_at: datetime | None = None
    where: str | None = None


class BreachBody(Model):
    """All of a breach that must survive its run; texts are those of facts and reasons, nobody's name."""

    terms: BreachTerms
    reports: dict[str, Reported]
    """`R1` the first, in the order of receipt."""
    announced: bool = False
    risk: Risk | None = None
    risk_reason: str | None = None
    assessed_at: datetime | None = None
    facts: Facts = Facts()
    unsaid: tuple[str, ...] = ()
    """Facts that the authority has not been told as they now stand."""
    phases: tuple[Phase, ...] = ()
    not_notified: str | None = None
    """Why the authority need not be notified: no risk (33(1))."""
    people: People = People()
    letter: int = 0
    """The number of the letter to the data subjects that goes out; 0: none yet."""
    written_in: tuple[str, ...] = ()
    """Its languages."""
    batch: tuple[str, ...] = ()
    """Letters that were queued and have no end yet."""
    queued_all: bool = False
    """Whether the store found nobody more to whom this letter is to be queued."""
    exemption: Exemption | None = None
    measures_at: datetime | None = None
    entries: int = 0
    """How often its register entry was written."""
    outcome: str | None = None

    @property
    def aware_at(self) -> datetime:
        """When the controller knew: the earliest of all reports."""
        return min(report.aware_at for report in self.reports.values())

    @property
    def authority_owed(self) -> bool:
        """Whether the authority is still to be notified, or it is to be decided that it need not be."""
        return not self.phases and (self.not_notified is None or self.risk != "none")

    @property
    def people_owed(self) -> bool:
        """Whether data subjects are still to be told."""
        if self.risk != "high" or self.exemption is not None:
            return False
        return self.people.known == 0 or self.people.left > 0

    @property
    def telling(self) -> bool:
        """Whether letters go out."""
        return self.people_owed and self.letter > 0

    @property
    def to_queue(self) -> bool:
        """Whether the next letters are to be queued: those before them have their end."""
        return self.telling and self.people.known > 0 and not self.batch and not self.queued_all

    @property
    def unwritten(self) -> tuple[str, ...]:
        """Languages of people in which the letter is not written."""
        return tuple(sorted(set(self.people.languages) - set(self.written_in)))

    @property
    def place(self) -> str:
        """The stage in which it stands, as long as it is not closed."""
        if self.risk is None:
            return "assessing"
        return "notifying" if self.authority_owed or self.people_owed else "registering"


# ---- messages -------------------------------------------------------------------------------------------------------


class Decides(Message):
    """What only those who decide about personal data may say."""

    role: ClassVar[Role] = "privacy"


class JoinReport(Message):
    """Another report of the same breach: the earliest awareness of all counts."""

    received_at: Instant = Field(description="when the report came in, such as 2026-11-21T10:00+02:00")
    sort: Sort = Field(default="breach", description="breach, or threat")
    noticed_at: Instant = Field(description="when it was noticed, such as 2026-11-21T09:30+02:00")
    told: dict[Reader, Instant] = Field(
        default_factory=dict, description="who was told and when: officer, responsible_employee, manager, controller"
    )
    aware_at: Instant | None = Field(
        default=None, description="when it was certain enough, if not when the first of them was told"
    )
    text: Text = Field(description="what was noticed, in words; name no data subject")
    reporter: Text | None = Field(default=None, description="name of who noticed it")


class JoinBreach(Decides):
    """This is the same breach as another case: its reports join that one, and this case ends."""

    into: Text = Field(description="the other case, such as breach:SE:2026-I07")


class ConfirmTold(Message):
    """Whoever must hear of a report at once was told of it."""

    report: Text = Field(description="code of the report, such as R1")
    who: Reader = Field(description="officer, responsible_employee, manager or controller")
    told_at: Instant = Field(description="when, such as 2026-11-21T10:00+02:00")
    correction: Correction | None = Field(
        default=None, description="where the term is over already: reason, document, second_person"
    )


class AssessRisk(Decides):
    """The risk for people's rights and freedoms: none, risk or high; it may be assessed again when more is known."""

    risk: Risk = Field(description="none, risk or high")
    assessed_at: Instant = Field(description="when it was found, such as 2026-11-21T10:00+02:00")
    reason: Text = Field(description="from what that follows: data, number, who has them, what can come of it")


class AddFacts(Message):
    """Facts of GDPR 33(3) as they become known; what is said again replaces what was said."""

    nature: Text | None = Field(default=None, description="33(3)(a): what sort of breach")
    subject_categories: Text | None = Field(default=None, description="33(3)(a): whose data, such as patients")
    subjects: Count | None = Field(default=None, description="33(3)(a): about how many people")
    record_categories: Text | None = Field(default=None, description="33(3)(a): what sort of records")
    records: Count | None = Field(default=None, description="33(3)(a): about how many records")
    contact: Text | None = Field(default=None, description="33(3)(b): officer or other contact point, how to reach")
    consequences: Text | None = Field(default=None, description="33(3)(c): what is likely to come of it")
    measures: Text | None = Field(default=None, description="33(3)(d): what was done or is proposed")

    @property
    def said(self) -> dict[str, Any]:
        """The facts that it says."""
        return {name: value for name in FACTS if (value := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _something(self) -> AddFacts:
        if not self.said:
            raise ValueError(f"at least one of {', '.join(FACTS)}")
        return self


class NotifyAuthority(Decides):
    """The supervisory authority was notified: the whole, or a phase with what was found since."""

    phase: Annotated[int, Field(ge=1)] = Field(description="1 for the first notification, then 2, 3 and so on")
    sent_at: Instant = Field(description="when it was sent, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="the authority's number, or reference to the proof of sending")
    delay_reasons: Text | None = Field(default=None, description="why not within 72 hours, where it was later")
    correction: Correction | None = Field(
        default=None, description="where the 72 hours are over already: reason, document, second_person"
    )


class DecideNotToNotify(Decides):
    """No risk for people is likely: the authority is not notified (33(1)); the reasons are kept (33(5))."""

    reason: Text = Field(description="why a risk is unlikely")


class AddRecipients(Decides):
    """People who are to be told were loaded into the store."""

    list: ListId = Field(description="the list, as it was named when it was loaded")


class LetterText(Model):
    """What GDPR 34(2) asks for, in plain words of one language."""

    nature: Text
    consequences: Text
    measures: Text


class TellSubjects(Decides):
    """Write to everybody who is affected, in clear and plain language; those told already get nothing more."""

    letter: dict[Language, LetterText] = Field(
        min_length=1, description="language (lv, lt, en) to nature, consequences and measures, in that language"
    )
    contact: Text = Field(description="officer or other contact point, and how to reach it")

    example: ClassVar[dict[str, Any]] = {
        "letter": {"lv": {name: f"‹{name}›" for name in ("nature", "consequences", "measures")}}
    }


class DecideNotToTell(Decides):
    """People are not told one by one, on a ground of GDPR 34(3); a public communication takes its place under (c)."""

    ground: Ground = Field(description="encrypted, measures_taken or disproportionate")
    reason: Text = Field(description="why that holds here")
    published_at: Instant | None = Field(default=None, description="disproportionate: when it was made public")
    where: Text | None = Field(default=None, description="disproportionate: where it was made public")
    correction: Correction | None = Field(
        default=None, description="where the term is over already: reason, document, second_person"
    )

    @model_validator(mode="after")
    def _public(self) -> DecideNotToTell:
        published = self.published_at is not None and self.where is not None
        if (self.ground == "disproportionate") != published or (self.published_at is None) != (self.where is None):
            raise ValueError("published_at, where: both for disproportionate, and only then")
        return self


class ConfirmPosted(Decides):
    """People who could not be told by mail were told by post, or in person."""

    sent_at: Instant = Field(description="when it was handed over, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="reference to the proof of posting")
    people: tuple[PartyCode, ...] | None = Field(
        default=None, description="their codes, such as P3; everybody who is left, if not said"
    )
    correction: Correction | None = Field(
        default=None, description="where the term is over already: reason, document, second_person"
    )


class ConfirmMeasures(Message):
    """The measures against the breach and its effects are carried out."""

    done_at: Instant = Field(description="when they were carried out, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="reference to what shows it")


class EnterRegister(Decides):
    """The entry in the register of breaches (33(5)): facts, effects, corrective action; said again it is amended."""

    facts: Text = Field(description="what happened")
    effects: Text = Field(description="what came of it, or that nothing did")
    corrective_action: Text = Field(description="what was done about it")


class CloseBreach(Decides):
    """Everything that the breach asks for is done; what is missing is named."""


# ---- the store's answers --------------------------------------------------------------------------------------------


class Recipient(Model):
    """Somebody who is to be told, as a list says it."""

    name: Text
    email: Text | None = None
    address: Text | None = None
    language: Language | None = None
    """The controller's, if not said."""

    @model_validator(mode="after")
    def _reachable(self) -> Recipient:
        if self.email is None and self.address is None:
            raise ValueError("email or address: at least one is needed")
        return self


# ---- the form -------------------------------------------------------------------------------------------------------


def _label(lv: str, lt: str, en: str) -> Label:
    return Label(lv=lv, lt=lt, en=en)


ASKED: Mapping[str, tuple[str, Label]] = {
    "nature": (
        "33(3)(a)",
        _label("Pārkāpuma raksturs", "Pažeidimo pobūdis", "Nature of the breach"),
    ),
    "subject_categories": (
        "33(3)(a)",
        _label("Datu subjektu kategorijas", "Duomenų subjektų kategorijos", "Categories of data subjects"),
    ),
    "subjects": (
        "33(3)(a)",
        _label(
            "Datu subjektu aptuvenais skaits",
            "Apytikslis duomenų subjektų skaičius",
            "Approximate number of data subjects",
        ),
    ),
    "record_categories": (
        "33(3)(a)",
        _label(
            "Personas datu ierakstu kategorijas",
            "Asmens duomenų įrašų kategorijos",
            "Categories of personal data records",
        ),
    ),
    "records": (
        "33(3)(a)",
        _label(
            "Personas datu ierakstu aptuvenais skaits",
            "Apytikslis asmens duomenų įrašų skaičius",
            "Approximate number of personal data records",
        ),
    ),
    "contact": (
        "33(3)(b)",
        _label(
            "Datu aizsardzības speciālists vai cits kontaktpunkts",
            "Duomenų apsaugos pareigūnas arba kitas kontaktinis asmuo",
            "Data protection officer or other contact point",
        ),
    ),
    "consequences": (
        "33(3)(c)",
        _label("Pārkāpuma iespējamās sekas", "Tikėtinos pažeidimo pasekmės", "Likely consequences"),
    ),
    "measures": (
        "33(3)(d)",
        _label(
            "Veiktie vai ierosinātie pasākumi",
            "Priemonės, kurių imtasi arba siūloma imtis",
            "Measures taken or proposed",
        ),
    ),
}
"""What the authority's form asks for → its clause in the GDPR, and what it is called."""
assert tuple(ASKED) == FACTS
