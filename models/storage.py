"""The words of storage terms: purposes, records of personal data elsewhere, legal holds, and the nightly run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from models.case import Day, Instant
from models.common import Model
from models.keepable import MOST
from models.names import PERSONAL_CODE, split_case_id
from models.policy import Organisation, read_model

# ---- what the rulebook says -----------------------------------------------------------------------------------------

Ground = Literal["legal_duty", "legal_claim", "contract", "consent", "legitimate_interest"]
"""What a storage term rests on. Only the first two are a ground to refuse erasure (SE-17.4, DZ-14.5.5, GDPR 17(3))."""
Medium = Literal["system", "paper"]
Way = Literal["beyond_recovery", "shredded"]
"""How data were destroyed: electronic ones beyond recovery, backups included (SE-12.2); paper shredded (SE-12.3)."""
WAYS: Mapping[Medium, Way] = {"system": "beyond_recovery", "paper": "shredded"}
Own = Literal["claim", "recovery", "policy", "account", "journal"]
"""What of Termins' own store a purpose covers: cases of a kind, ended policies, accounts, the journal of sign-ins."""
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,39}$")]


class LineTerm(Model):
    """The controller's value for one line of business."""

    amount: Annotated[int, Field(ge=1)]
    unit: Literal["calendar_days", "months", "years"]


class Years(Model):
    """Between how many years the document leaves the choice to the controller."""

    least: Annotated[int, Field(ge=1)]
    most: Annotated[int, Field(ge=1)]


class Purpose(Model):
    """`[values.storage."DUTY"]` of a rulebook: what the data of a storage term are kept for, and on which ground."""

    purpose: Code
    ground: Ground
    law: Annotated[str, StringConstraints(min_length=3)] | None = None
    """The law or the clause that the ground is found in; needed where the term is a ground to refuse erasure."""
    own: Own | None = None
    """What of Termins' own store it covers, beside the records that are loaded."""
    own_line: Code | None = None
    """The line of business of Termins' own cases, where the document is about one line."""
    between: Years | None = None
    lines: dict[Code, LineTerm] = Field(default_factory=dict)
    """Line of business → the controller's value."""

    @property
    def refuses_erasure(self) -> bool:
        """True if the running term is a ground to keep data in spite of a request to erase them."""
        return self.ground in ("legal_duty", "legal_claim")


class CaseTerm(LineTerm):
    """How long the controller keeps closed cases of a kind for which its documents have no storage term."""

    document: Annotated[str, StringConstraints(min_length=3, max_length=100)]
    """Where the controller decided it. It rests on no law that is named, so it is no ground to refuse erasure."""


class Keeping(Model):
    """`[values.keeping]` of a rulebook: how destruction is proven, and by which clauses data are kept longer."""

    proof_within: Annotated[int, Field(ge=1, le=60)]
    """Calendar days from the night in which destruction was asked for; later it is reported as overdue."""
    hold: str
    """The clause by which a legal hold keeps data longer."""
    exception: str | None = None
    """The duty by which another term can be documented; none: the organisation has no exceptions."""
    cases: dict[str, CaseTerm] = Field(default_factory=dict)
    """Kind of case, or `policy` → the controller's value. What is not named, and no duty covers, is never erased."""


# ---- what is said ---------------------------------------------------------------------------------------------------


def _names_nobody(key: str) -> str:
    if PERSONAL_CODE.search(key):
        raise ValueError("looks like a personal code, and it stays readable for ever")
    return key


Reference = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$"), AfterValidator(_names_nobody)
]
"""A reference without personal data: it stays readable when everything else has gone."""


def _day_or_instant(value: Any) -> Any:
    """What is written as a day stays one: the term is counted from it, whatever the hour."""
    return date.fromisoformat(value) if isinstance(value, str) and len(value) == len("2026-12-24") else value


class Stated(Model):
    """For what a record is kept, and when the start event of that term was."""

    duty: Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,3}-[0-9A-Za-z.-]{1,40}$")]
    """The storage term, such as SE-11.2.3."""
    since: Annotated[Instant | Day, BeforeValidator(_day_or_instant)] | None = None
    """When the start event was: a day, or an instant with offset. None: it has not come, and the data are in use."""
    withdrawn_at: Instant | None = None
    """When the consent was withdrawn on which this purpose rests: its term is over then."""


class LongerBy(Model):
    """A documented exception from the term (SE-11.3), or the consent to be kept longer (SE-11.2.5)."""

    until: Day
    document: Reference


class RecordFacts(Model):
    """A record of personal data outside of Termins' own cases: a visit, a candidate, a recording, a file on paper.

    Said again with other facts it replaces what was said before: a moved visit moves its term.
    """

    organisation: Organisation
    record: Reference
    system: Code
    """The data system in which it lies; for paper the archive."""
    medium: Medium = "system"
    line: Code | None = None
    """The line of business, for terms that the controller gives by line."""
    purposes: Annotated[tuple[Stated, ...], Field(min_length=1, max_length=MOST)]
    """Every purpose for which it is kept: it goes when the longest term is over (DZ-14.5.3)."""
    person: Annotated[str, StringConstraints(strip_whitespace=True, min_length=5, max_length=40)] | None = None
    """The personal code of whom it is about, if known; only its keyed hash is kept."""
    longer: LongerBy | None = None


def _case_id(case: str) -> str:
    split_case_id(case)
    return case


Held = Annotated[
    str,
    StringConstraints(pattern=r"^(policy:[A-Za-z0-9._-]{1,64}|[A-Za-z0-9][A-Za-z0-9._/-]{0,99})$"),
    AfterValidator(_names_nobody),
]
"""A record that was loaded, or one of Termins' own policies: `policy:GJ-17`."""


class HoldFacts(Model):
    """A legal hold (SE-11.4): data that a legal claim needs are kept until it is lifted, and restricted meanwhile."""

    organisation: Organisation
    hold: Reference
    document: Reference
    """Where the claim is documented."""
    record: Held | None = None
    case: Annotated[str, AfterValidator(_case_id)] | None = None
    person: Annotated[str, StringConstraints(strip_whitespace=True, min_length=5, max_length=40)] | None = None
    """A personal code: everything of this person is held. Only its keyed hash is kept."""


class Destroyed(Model):
    """That the data of a record are destroyed, and what proves it."""

    proof: Reference
    """Where the act or protocol of destruction is kept."""
    way: Way
    destroyed_at: Instant


def read_record(data: Any) -> tuple[RecordFacts | None, list[str]]:
    """A record, or every fault of its fields."""
    return read_model(RecordFacts, data)


def read_hold(data: Any) -> tuple[HoldFacts | None, list[str]]:
    """A legal hold, or every fault of its fields."""

    def between(read: dict[str, Any]) -> list[str]:
        named = [name for name in ("record", "case", "person") if read.get(name) is not None]
        if len(named) != 1:
            return ["record, case, person: exactly one of them says what is held"]
        case, organisation = read.get("case"), read.get("organisation")
        if case is not None and organisation is not None and split_case_id(case)[1] != organisation:
            return ["case: is of another organisation"]
        return []

    return read_model(HoldFacts, data, between)


# ---- what the nightly run reports -----------------------------------------------------------------------------------

RUN_AT = timedelta(hours=2)
"""When it runs, after midnight UTC: past midnight in Riga and Vilnius the whole year, and after the checkpoint."""

Result = Literal["kept", "held", "unset", "fault", "asked", "waiting", "overdue", "erased"]
"""What becomes of one thing: its term runs; its term is over and something keeps it; it has no term, which is for the
controller to set; its end cannot be counted; its destruction is asked for tonight, was asked for, should be proven by
now; it is erased."""


class Line(Model):
    """How many came to what, by which term."""

    organisation: str
    duty: str
    what: str
    """`record`, `paper`, `consent`, `policy`, or the kind of Termins' own cases."""
    result: Result
    why: str = ""
    number: int


class ErasedCase(Model):
    """A case, a consent or a policy of Termins' own that a run erased: its key is gone."""

    case: str
    """The case's id, `consent:GJ:K-17` or `policy:GJ-17`."""
    duty: str
    due: datetime
    """When its term was over."""
    erased_at: datetime


class StorageReport(Model):
    """What a night's run over the storage terms came to."""

    n: int
    at: datetime
    """The instant for which it was judged."""
    ended_at: datetime | None
    lines: tuple[Line, ...] = ()
    erased: tuple[ErasedCase, ...] = ()


class StorageStep(Model):
    """One step of the run: which run it is."""

    n: int


class StorageTotals(Model):
    """What the UI shows of a run that ended; the report has it by term."""

    n: int
    results: dict[str, int]
