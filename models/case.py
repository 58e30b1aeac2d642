"""What every kind of case has: messages, transitions, clocks, and what goes between a workflow and its activities."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, ValidationInfo

from models.common import Model
from models.countable import uncountable
from models.keepable import in_words, path_of, printable, too_much, unkeepable
from models.names import ACTOR
from models.operator import Role
from models.screening import PartyHit

# ---- messages -------------------------------------------------------------------------------------------------------

MARK = "‹"
"""Opens a field of a template that is still to be filled in: `‹YYYY-MM-DD›`."""


def _with_zone(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("an instant needs an offset, such as 2026-11-21T10:00:00+02:00")
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise ValueError(f"an instant lies in the years {FIRST_YEAR} to {LAST_YEAR}")
    return at


def _countable(day: date) -> date:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"a day lies in the years {FIRST_YEAR} to {LAST_YEAR}")
    return day


FIRST_YEAR, LAST_YEAR = 1900, 2199
"""What people may say. At the ends of time itself a change of zone, or one more day, is an error."""

AHEAD = timedelta(minutes=1)
"""How far the clock of whoever says something may be ahead of the clock of whoever hears it."""


def heard(at: datetime, now: datetime) -> datetime:
    """An instant as it is heard at this one: what has come cannot have happened later, so a little ahead is now."""
    return now if now < at <= now + AHEAD else at


@dataclass
class Hearing:
    """The context in which what somebody says is validated; what a record holds was heard before, and is read without.

    `new`: it is not taken yet. A history holds what was taken before a bound was known, and takes it again.
    """

    at: datetime
    new: bool = False
    ahead: bool = False
    """Whether an instant in it was ahead of `at`."""


def _heard(at: datetime, info: ValidationInfo) -> datetime:
    if isinstance(info.context, Hearing) and (now := heard(at, info.context.at)) != at:
        info.context.ahead = True
        return now
    return at


def _counted_from(at: datetime, info: ValidationInfo) -> datetime:
    if isinstance(info.context, Hearing) and info.context.new and (fault := uncountable(at)) is not None:
        raise ValueError(fault)
    return at


OldInstant = Annotated[datetime, AfterValidator(_with_zone), AfterValidator(_heard)]
"""A date and time with an offset, from which nothing is counted: it may lie before the calendars."""
Instant = Annotated[OldInstant, AfterValidator(_counted_from)]
"""A date and time with an offset. A term may be counted from it, so whoever says it now stays in the calendars."""
Day = Annotated[date, AfterValidator(_countable)]

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Actor = Annotated[str, StringConstraints(pattern=ACTOR)]


class Correction(Model):
    """Why an instant that turns an overdue clock into kept is to be believed (time, point 13)."""

    reason: Text
    document: Text
    second_person: Actor


Seal = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""What the codec endpoint writes into a message: sealed once, taken once, however often the sealed bytes are sent."""


class Message(Model):
    """What somebody says to a case. The class name in snake_case is the update's name."""

    case: str = Field(description="the case this is meant for")
    actor: Actor
    """Who says it: written by the codec endpoint, which knows the operator, or by a backend that holds keys."""
    once: Seal | None = None
    """Written by the codec endpoint."""

    role: ClassVar[Role] = "handle"
    """What an operator needs to say it."""

    example: ClassVar[dict[str, Any]] = {}
    """Values for the template's fields; a field without one is marked as to be filled in."""

    @classmethod
    def update_name(cls) -> str:
        """The name of the update that takes this message."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def template(cls, case: str, known: dict[str, Any] | None = None) -> dict[str, Any]:
        """A ready JSON object: what is known is filled in, the rest marked with ‹…›; optional fields are left out."""
        values: dict[str, Any] = {"case": case, **cls.example, **(known or {})}
        out = {}
        for name, field in cls.model_fields.items():
            if name in BY_ENDPOINT:
                continue
            if name in values:
                out[name] = values[name]
            elif field.is_required():
                out[name] = f"{MARK}{field.description or name}›"
        return out

    @classmethod
    def optional(cls, known: dict[str, Any] | None = None) -> list[str]:
        """The fields that a template leaves out, each with its meaning."""
        filled = {*cls.template("", known), *BY_ENDPOINT}
        left_out = [name for name in cls.model_fields if name not in filled]
        return [f"{name} ({text})" if (text := cls.model_fields[name].description) else name for name in left_out]


BY_ENDPOINT = ("actor", "once")
"""The fields of a message that the codec endpoint writes, and nobody else who sends through it."""

M = TypeVar("M", bound=Model)

SPENT = "this was refused before: seal it again to say it again"
SEAL_IT = "the message came in clear: send it through the codec endpoint (/encode), which says who you are"


def parse(model: type[M], message: Any, *more: Any, context: Hearing | None = None) -> tuple[M | None, tuple[str, ...]]:
    """The message as this model, or all its faults at once. Texts name fields, never values."""
    if more:
        return None, (f"one JSON object is needed, not {1 + len(more)} arguments",)
    if message is None:
        return None, ("no message: one JSON object is needed",)
    if isinstance(message, model):
        return message, ()
    if not isinstance(message, dict):
        return None, ("the message is no JSON object",)
    if unkept := unkeepable(message) or (too_much(message) if issubclass(model, Message) else []):
        return None, tuple(unkept)
    faults = [f"{path}: still to be filled in" for path in _marked(message)]
    try:
        parsed = model.model_validate(message, context=context)
    except ValidationError as e:
        unfilled = {f.split(":")[0] for f in faults}
        for error in e.errors(include_url=False, include_context=False, include_input=False):
            where = path_of(error["loc"])
            if where not in unfilled:
                faults.append(f"{where}: {in_words(error)}")
        return None, tuple(faults)
    return (None, tuple(faults)) if faults else (parsed, ())


def _marked(value: Any, path: str = "") -> Iterable[str]:
    if isinstance(value, str) and value.lstrip().startswith(MARK):
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _marked(inner, f"{path}.{printable(key)}" if path else printable(key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _marked(inner, f"{path}.{i}")


# ---- clocks ---------------------------------------------------------------------------------------------------------

ClockStatus = Literal["running", "held", "overdue", "kept", "late", "void"]
OPEN = ("running", "held", "overdue")


class Evidence(Model):
    """What proves that a duty was kept, and when that happened: an instant, or only a date."""

    kind: str
    happened_at: Instant | None = None
    happened_on: date | None = None
    reference: str | None = None
    by_person: bool = False
    """Entered by a person, not proven by a system: what turns overdue into kept then needs a correction."""
    correction: Correction | None = None


class ClockState(Model):
    """A clock as its workflow holds it: (case, duty, subject, n), with absolute instants counted by an activity."""

    duty: str
    subject: str = ""
    n: int = 1
    kind: str
    status: ClockStatus
    clause: str
    title: str
    owner: str
    escalation: str | None = None
    can_be_late: bool
    """False for what is never the organisation's lateness: client, not_before, right_lapses."""
    anchor_at: datetime
    due: datetime
    latest: datetime
    reminders: tuple[datetime, ...] = ()
    """Those still to come."""
    shown: str
    """The last day (or hour) in the organisation's zone, for people."""
    day: date
    """The last day: evidence with only a date is compared with it."""
    latest_day: date

    @property
    def key(self) -> tuple[str, str]:
        """Duty and subject; at most one clock of a key is open."""
        return self.duty, self.subject

    @property
    def open(self) -> bool:
        """True until it ends."""
        return self.status in OPEN

    @property
    def label(self) -> str:
        """Duty and subject for people and timers: `BTA-10.5b C1`."""
        return f"{self.duty} {self.subject}".strip()


class Start(Model):
    """Start a clock: counted from the anchor by the activity, n is the next free one."""

    do: Literal["start"] = "start"

    duty: str
    subject: str = ""
    anchor_at: datetime


class Stop(Model):
    """Stop the open clock with evidence; kept or late is judged by the instant of the evidence."""

    do: Literal["stop"] = "stop"

    duty: str
    subject: str = ""
    evidence: Evidence


class Void(Model):
    """End the open clock without judging it."""

    do: Literal["void"] = "void"

    duty: str
    subject: str = ""
    reason: str


class Reopen(Model):
    """The evidence was taken back: the same clock runs again, with its due and latest."""

    do: Literal["reopen"] = "reopen"

    duty: str
    subject: str = ""
    reason: str


class HoldClock(Model):
    """Hold a clock whose rulebook entry names the mode `extend`."""

    do: Literal["hold"] = "hold"

    duty: str
    subject: str = ""
    since: datetime
    reason: str


class ReleaseClock(Model):
    """Release a held clock: its due instants are counted anew without the held days."""

    do: Literal["release"] = "release"

    duty: str
    subject: str = ""
    released: datetime


class Relate(Model):
    """Move the later reading (`latest`) to what counting from this anchor gives; `due` stays."""

    do: Literal["relate"] = "relate"

    duty: str
    subject: str = ""
    anchor_at: datetime


Change = Annotated[
    Start | Stop | Void | Reopen | HoldClock | ReleaseClock | Relate,
    Field(discriminator="do"),
]


class Tick(Model):
    """A reminder or the due instant of a clock has come."""

    duty: str
    subject: str = ""
    what: Literal["reminder", "due"]
    instant: datetime


# ---- one step -------------------------------------------------------------------------------------------------------


class NoticeDraft(Model):
    """A letter to queue. Addresses and names are looked up in the store by party; they never travel here."""

    key: str
    """Names the business act within the case: sent once, however often a step is repeated."""
    template: str
    party: str
    duty: str | None = None
    subject: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class OrderDraft(Model):
    """A payment order to write down: one per claimant and purpose, for ever."""

    key: str
    party: str
    amount: str
    """EUR, two decimals."""
    remittance: str


class BellDraft(Model):
    """Ring another case: it will look at the store again. Carries no facts."""

    case: str
    reason: str


class Act(Model):
    """Something of the case's kind that must happen in the same transaction, by name (`limit.take`)."""

    name: str
    data: dict[str, Any] = Field(default_factory=dict)


class Said(Model):
    """Which message a step answers."""

    id: str
    name: str
    actor: str
    role: Role = "handle"
    """What the actor needs, if an operator."""
    amount: str | None = None
    """EUR that this lets go, where the actor's limit counts."""
    second: str | None = None
    """The second person whom it names: an operator of this organisation too."""
    once: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """What it is known by when it comes again: its sender's id, and its seal."""
        return (self.id,) if self.once is None else (self.id, self.once)


class Transition(Model):
    """Everything one step changes, for `case.record`.

    The digest by which a repeated step is known covers all but `at`, `events`, `body`, `heard` and `waits_for`, which
    can differ when the step is repeated later, and `yields`, which older builds do not know.
    """

    case: str
    step: int
    at: datetime
    events: int = 0
    """Events of the run's history when it asked: unless the next one completes the task, the run lost this step."""
    stage: str
    entry: str
    duty: str | None = None
    facts: dict[str, Any] = Field(default_factory=dict)
    said: Said | None = None
    acts: tuple[Act, ...] = ()
    ticks: tuple[Tick, ...] = ()
    changes: tuple[Change, ...] = ()
    recount: bool = False
    notices: tuple[NoticeDraft, ...] = ()
    orders: tuple[OrderDraft, ...] = ()
    bells: tuple[BellDraft, ...] = ()
    heard: tuple[int, ...] = ()
    body: dict[str, Any] = Field(default_factory=dict)
    waits_for: str = ""
    """What is waited for after this step and from whom, for lists."""
    outcome: str | None = None
    """Set by the step that closes the case."""
    yields: bool = False
    """A step of the case's own that the store may refuse: then the case looks again, and has not diverged."""


class Recorded(Model):
    """What `case.record` answers, and all that a history holds of a step: it is asked within a workflow task.

    `behind`: the record is further on and this is not the step that it holds (a task that was lost, or a reset, repeats
    steps in another order): the case goes on from the record.
    """

    result: Literal["recorded", "refused", "behind"]
    step: int
    transition: dict[str, Any] = Field(default_factory=dict)
    """The step as it was recorded first (`Transition` as JSON); its repetition goes on from the same."""
    missed: tuple[dict[str, Any], ...] = ()
    """What the record answered to the steps that this run does not know (`Recorded` as JSON), oldest first."""
    recorded_at: datetime | None = None
    """The store's time of a step that was recorded: part of its link, so a restore must put back the same."""
    faults: tuple[str, ...] = ()
    clocks: tuple[ClockState, ...] = ()
    """All clocks that this step touched, ended ones too."""
    acts: dict[str, Any] = Field(default_factory=dict)


class Entry(Model):
    """The timeline entry that answers a message."""

    case: str
    step: int
    entry: str
    stage: str
    at: datetime
    clocks: tuple[str, ...] = ()
    """The clocks this step touched, a line each."""


class CaseState(Model):
    """All of a case that must survive its run; its clocks beside it come from the ledger."""

    case: str
    kind: str
    organisation: str
    stage: str
    step: int
    handler: str | None = None
    said: dict[str, int] = Field(default_factory=dict)
    """Message id → step: what was said once is not done twice."""
    spent: tuple[Seal, ...] = ()
    """The seals of messages that were refused: nobody may use them again, in no run."""
    body: dict[str, Any] = Field(default_factory=dict)


# ---- opening --------------------------------------------------------------------------------------------------------


class Filing(Model):
    """What a caller files: the envelope of every kind of case."""

    kind: str
    organisation: str
    reference: str
    received_at: Instant
    sender: str
    content: dict[str, Any]


class StartCase(Model):
    """The input of every case: the id of one that was filed, or a whole filing for one that was not."""

    case: str | None = None
    filing: dict[str, Any] | None = None
    event: str | None = None
    """The event for which a closed case is opened again."""
    actor: str | None = None
    once: str | None = None
    """These two are written by the codec endpoint; whoever starts a case says nothing by it."""
    spent: tuple[Seal, ...] = ()
    """The seals that the run before refused, which nobody may use again; only a case itself goes on with them."""


class OpenCase(Model):
    """What a run asks `case.open`."""

    workflow_id: str
    workflow_kind: str
    run_id: str
    at: datetime
    case: str | None = None
    event: str | None = None
    inline: bool = False
    """The run was started with a whole filing; `case.open` reads it from the run's first event."""


class Opened(Model):
    """What `case.open` answers: the state to go on from, or why this run ends at once."""

    result: Literal["opened", "refused", "duplicate", "closed"]
    faults: tuple[str, ...] = ()
    right_case: str | None = None
    state: CaseState | None = None
    reopened: bool = False
    """A closed case, opened for an event: it stays closed unless it takes that event."""
    filed_at: datetime | None = None
    """When the store wrote down the filing of a case that begins here: it is in the first link of the evidence."""
    clocks: tuple[ClockState, ...] = ()


class Outcome(Model):
    """How a run of a case ended."""

    case: str
    result: str
    faults: tuple[str, ...] = ()
    right_case: str | None = None


class SpentSeal(Model):
    """What a case that refused a sealed message says to `case.spend`."""

    case: str
    once: Seal


class Listen(Model):
    """What a case that was rung asks `case.listen`."""

    case: str
    step: int
    """The last one that it knows."""


class Bells(Model):
    """Bells that wait for a case: ids and reasons; and whether its record is further on than the case."""

    ids: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()
    behind: bool = False
    """Steps were committed while their workflow task was lost: the case goes on from the record."""
    missed: tuple[dict[str, Any], ...] = ()
    """See `Recorded`."""
    hits: tuple[PartyHit, ...] = ()
    """Who may be on the sanctions list and was not judged, where a bell is rung for that."""


class NoticeSent(Model):
    """The proof that a notice was sent, or why it never will be."""

    key: str
    sent_at: datetime | None = None
    carrier: str | None = None
    reference: str | None = None
    refused: str | None = None


class OrderIssued(Model):
    """The proof that a payment order went to the bank once, or why it did not."""

    key: str
    issued_at: datetime | None = None
    reference: str | None = None
    refused: str | None = None
    screened: str | None = None
    """The version of the sanctions list by which the payee was screened: its day, and the beginning of its digest."""
    screened_at: datetime | None = None
    list_made_at: datetime | None = None
    list_digest: str | None = None
    """SHA-256 of the list's file."""
    hits: tuple[str, ...] = ()
    """Whom on that list the payee may be, by its numbers: the order was not handed over."""


class SendNotices(Model):
    """Notices to send together: their keys in the store."""

    case: str
    keys: tuple[str, ...]


class AskedOutside(Model):
    """What an effect is asked that shows which system outside it waits for."""

    told: str | None = None
    """What the case shows already; None: its code is of before it could."""


class AnsweredOutside(Model):
    """The end of such an effect, or that it has none yet and why."""

    outage: str | None = None
    """Which system does not answer, in words: the effect is asked for again, and waits for it."""


class NoticesSent(AnsweredOutside):
    """What became of notices that were sent together; one that the carrier did not take now is missing."""

    notices: tuple[NoticeSent, ...]


class OrderRef(Model):
    """A payment order to issue."""

    case: str
    key: str


# ---- messages that every kind takes ---------------------------------------------------------------------------------


class AssignCase(Message):
    """Hand the case to a handler."""

    handler: Actor = Field(description="operator code of the handler")


class ReportBounce(Message):
    """A letter that was sent came back: its clock runs again until another address is given."""

    notice: Text = Field(description="key of the notice that came back")
    bounced_at: Instant = Field(description="when it came back, such as 2026-11-21T10:00+02:00")


class CorrectAddress(Message):
    """Another e-mail address for somebody whose letter could not be sent; it is sent again."""

    party: Text = Field(description="party code, such as C1 or insured")
    email: Text = Field(description="e-mail address")


class AdoptRecord(Message):
    """After a divergence: go on from what the timeline already holds."""

    reason: Text = Field(description="why the record is right")
