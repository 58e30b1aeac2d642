"""The words of a task: a duty of the organisation itself that somebody does, by its term, with what proves it done.

Employees stand here by a number and departments by a code. Who took part stands in the list that is referred to.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from models.case import Correction, Day, Instant, Message, Text
from models.common import Model
from models.names import PERSONAL_CODE

Stage = Literal["doing", "training", "analysing", "assessing", "deciding", "informing"]
"""How a task begins: any deed with its proof, a training, an analysis of data, an impact assessment, a gate that is
decided, or information that a person is given."""
About = Literal[
    "department",
    "employee",
    "topic",
    "processing",
    "processor",
    "transfer",
    "contract",
    "collection",
    "application",
    "call",
]

FOLLOWS: dict[Stage, tuple[str, ...]] = {
    "doing": (),
    "training": ("the row by which a training is recorded",),
    "analysing": ("the row by which excess is reported", "the row by which it is remedied"),
    "assessing": ("the row by which the authority is consulted",),
    "deciding": (),
    "informing": (),
}
"""Stage → what its `follows` names, in this order; a training's may be left out."""

FIRST = "first"
"""Subject of the clock of a recurrence's first turn, where the rulebook gives that another start and term."""


def _nobody(value: str) -> str:
    if PERSONAL_CODE.search(value):
        raise ValueError("looks like a personal code")
    return value


Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,29}$"), AfterValidator(_nobody)]
"""What a task is about: a department, an employee's number, a processor's code, a topic.

Part of the case's name, so never a person's.
"""
Document = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:-]{0,99}$"), AfterValidator(_nobody)]
"""Where a document is found: its number in the organisation's own system."""
DutyId = Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,3}-[0-9A-Za-z.-]{1,20}$")]


Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{2,59}$")]
"""A condition or a ground, in snake_case."""
Clause = Annotated[str, StringConstraints(min_length=1, max_length=40)]


class TaskTerms(Model):
    """How a duty is kept as a task: `[values.tasks."SE-3.2"]` of a rulebook."""

    stage: Stage = "doing"
    about: About | None = None
    """What each task is about; None: the organisation."""
    lead_days: Annotated[int, Field(ge=0, le=400)] | None = None
    """Of a recurring one: so many days before its last day it is opened."""
    first_on: Day | None = None
    """Of a recurring one that is about the organisation: from when its first turn is counted, unless it was said when
    it was done last."""
    follows: tuple[str, ...] = ()
    """The rows that are kept by what follows; see `FOLLOWS`."""
    points: dict[Word, Clause] = Field(default_factory=dict)
    """Of a gate: all that must be there before what is planned may start; of information: what it must say. Each with
    its clause."""
    grounds: dict[Word, Clause] = Field(default_factory=dict)
    """Of a gate: one of them must carry it; each with its clause."""
    waivers: dict[Word, Clause] = Field(default_factory=dict)
    """Of information: on what ground nobody need be given it; each with its clause."""

    @property
    def recurs(self) -> bool:
        """Whether it is opened by itself, again and again."""
        return self.lead_days is not None

    @model_validator(mode="after")
    def _complete(self) -> TaskTerms:
        faults = []
        wanted = FOLLOWS[self.stage]
        if len(self.follows) != len(wanted) and not (self.stage == "training" and not self.follows):
            faults.append(f"follows: of {self.stage} {len(wanted)}: {', '.join(wanted) or 'nothing follows'}")
        if self.recurs and (self.about is None) != (self.first_on is not None):
            faults.append("first_on: needed for a recurring duty of the whole organisation, and only there")
        if not self.recurs and self.first_on is not None:
            faults.append("first_on: only for a duty that recurs (lead_days)")
        if self.stage not in ("deciding", "informing") and (self.points or self.grounds or self.waivers):
            faults.append("points, grounds, waivers: only of a gate that is decided, or of information")
        if self.stage == "informing" and self.grounds:
            faults.append("grounds: only of a gate that is decided")
        if self.stage == "deciding" and self.waivers:
            faults.append("waivers: only of information")
        if self.stage in ("deciding", "informing") and self.recurs:
            faults.append("lead_days: a gate and information do not recur")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class TaskFiling(Model):
    """A task: which duty, what it is about, and what started it."""

    duty: DutyId
    about: Code | None = None
    since: Instant
    """When that happened from which the term is counted: the last analysis, the first day of work."""
    n: Annotated[int, Field(ge=1, le=9999)] | None = None
    """Of a recurring duty: which turn it is."""
    first: bool = False
    """Its first turn, where the rulebook gives that another start: training when the work starts."""
    document: Document | None = None
    """What shows that it happened."""


class TaskBody(Model):
    """All of a task that must survive its run."""

    duty: str
    clause: str
    about: str | None
    what: str | None
    """What `about` is: a department, an employee."""
    owner: str
    """The role that does it."""
    since: datetime
    clocked: bool
    """Whether a term runs for it: not for a gate or a rule."""
    subject: str = ""
    """Of its clock: `first`, or nothing."""
    n: int | None = None
    movable: bool = False
    """A turn that may be counted from another day: not one that belongs to a calendar year."""
    follows: tuple[str, ...] = ()
    began: tuple[str, ...] = ()
    """The duties that have begun."""
    returns: tuple[str, ...] = ()
    """Its duties that are kept by a notification which can come back."""
    came_back: int = 0
    """How often one did."""
    found_at: datetime | None = None
    """From when the term is counted of what follows."""
    points: dict[str, str] = Field(default_factory=dict)
    grounds: dict[str, str] = Field(default_factory=dict)
    waivers: dict[str, str] = Field(default_factory=dict)
    notification: str = "authority"
    """The name of what it sends and what can come back."""
    decided_on: date | None = None
    ground: str | None = None
    """Of a gate that was decided."""
    outcome: str | None = None


NOTIFICATION = "authority"
"""The name of a task's notification to the authority, as that of a letter that can come back."""
INFORMATION = "information"
"""The name of the information that a person is given, as that of a letter that can come back."""

# ---- messages -------------------------------------------------------------------------------------------------------

_DOCUMENT = Field(description="number of the document that proves it, such as dms/2026-0117")
_CORRECTION = Field(
    default=None,
    description="reason, document and second_person, for a day before the due instant that is said after it",
)


class Done(Message):
    """What every proof has in common."""

    correction: Correction | None = _CORRECTION


class CompleteTask(Done):
    """Say that the task is done, with its proof."""

    done_on: Day = Field(description="the day on which it was done")
    document: Document = _DOCUMENT


class RecordTraining(Done):
    """Record that the training was held."""

    held_on: Day = Field(description="the day of the training")
    topic: Text = Field(description="the topic")
    participants: Annotated[int, Field(ge=1, le=100_000)] = Field(description="how many took part")
    attendance_list: Document = Field(description="number of the signed list of those who took part")


class CompleteAnalysis(Done):
    """Say that the department's data were analysed."""

    done_on: Day = Field(description="the day of the analysis")
    document: Document = _DOCUMENT
    excess: bool = Field(description="whether data were found that are excess, unused or without a ground")


class ReportExcess(Done):
    """Say that the excess data were reported."""

    reported_on: Day = Field(description="the day of the report")
    told: Literal["manager", "data_protection_officer"] = Field(description="manager or data_protection_officer")
    document: Document = _DOCUMENT


class RemedyExcess(Message):
    """Say that the excess data are gone and the records of processing corrected."""

    remedied_on: Day = Field(description="the day on which it was remedied")
    document: Document = _DOCUMENT
    records: Document = Field(description="number of the corrected records of processing")


class ApproveAssessment(Message):
    """The report of the impact assessment is approved."""

    approved_on: Day = Field(description="the day of the approval")
    document: Document = _DOCUMENT
    consult: bool = Field(description="whether the report calls for prior consultation of the authority")


class StartConsultation(Done):
    """The consultation of the authority was started, with its documents."""

    started_on: Day = Field(description="the day on which the authority was asked")
    document: Document = _DOCUMENT


class RecordAdvice(Message):
    """What the authority answered."""

    answered_on: Day = Field(description="the day of the answer")
    document: Document = _DOCUMENT
    may_start: bool = Field(description="whether the processing may start")


class DropProcessing(Message):
    """The head gives the planned processing up."""

    dropped_on: Day = Field(description="the day of the decision")
    document: Document = _DOCUMENT


Met = Annotated[tuple[Word, ...], Field(max_length=40)]


class DecideGate(Message):
    """Say whether what is planned may start."""

    decided_on: Day = Field(description="the day of the decision")
    document: Document = _DOCUMENT
    may_start: bool = Field(description="whether what is planned may start")
    met: Met = Field(default=(), description="the conditions that the document shows to be met; see the case")
    ground: Word | None = Field(default=None, description="the ground that carries it, where the clause asks for one")


class GiveInformation(Done):
    """Say that the person was given the information."""

    given_at: Instant = Field(description="when it was given, with its offset; also before the data came")
    version: Document = Field(description="which version of the text, such as privacy-notice/4")
    way: Literal["in_person", "e_mail", "portal", "post", "phone", "advertisement"] = Field(
        description="in_person, e_mail, portal, post, phone or advertisement"
    )
    document: Document = _DOCUMENT
    met: Met = Field(default=(), description="what it said, where the clause lists that; see the case")


class WaiveInformation(Message):
    """Say why the person need not be given the information."""

    decided_on: Day = Field(description="the day of the decision")
    ground: Word = Field(description="the ground, by its clause; see the case")
    document: Document = _DOCUMENT


class DropTurn(Message):
    """Leave this turn of a recurring duty out; the next one is counted from its last day."""

    correction: Correction = Field(description="reason, document and second_person who agrees")
    example: ClassVar[dict[str, Any]] = {
        "correction": {"reason": "‹why›", "document": "‹its number›", "second_person": "‹op-…›"}
    }


class MoveTurn(Message):
    """Count this turn of a recurring duty from another day."""

    since: Instant = Field(description="the instant from which it is counted, with its offset")
    correction: Correction = Field(description="reason, document and second_person who agrees")
    example: ClassVar[dict[str, Any]] = DropTurn.example


PROOFS: dict[str, str] = {
    "complete_task": "done_on",
    "record_training": "held_on",
    "complete_analysis": "done_on",
    "report_excess": "reported_on",
    "remedy_excess": "remedied_on",
    "approve_assessment": "approved_on",
    "start_consultation": "started_on",
    "record_advice": "answered_on",
    "drop_processing": "dropped_on",
    "decide_gate": "decided_on",
    "waive_information": "decided_on",
}
"""Message → its field with the day on which it happened."""


def happened_on(message: Message) -> date:
    """The day that a message says."""
    day: date = getattr(message, PROOFS[message.update_name()])
    return day


# ---- what recurs ----------------------------------------------------------------------------------------------------


class SayRecurrence(Model):
    """Something that is said of a recurring duty: when it was done last, that it begins, or that it ends."""

    duty: DutyId
    about: Code | None = None
    what: Literal["done", "begins", "ends"]
    """`done`: the last analysis, training or test; `begins`: an employee's work; `ends`: a department that is gone."""
    on: Day
    document: Document
