"""What the store keeps of every case: intake, state, timeline, clocks, parties, notices, bells, events."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from models.tables.base import OfCase, instant, json
from models.tables.sealed import sealed_json, sealed_text


class IntakeRow(OfCase, table=True):
    """Everything that ever arrived, before any case runs."""

    __tablename__ = "intake"
    __table_args__ = (
        UniqueConstraint("kind", "organisation", "reference"),
        Index("intake_waiting", "case", postgresql_where=text("started_at IS NULL AND result IS NULL")),
        Index("intake_started", "started_at"),
        Index("intake_parent", "parent", postgresql_where=text("parent IS NOT NULL")),
    )

    case: str = Field(primary_key=True)
    kind: str
    organisation: str
    reference: str
    sender: str = sealed_text(nullable=False)
    sender_reference: str = sealed_text(nullable=False)
    """The reference as the sender wrote it; another one only where it could not be part of an id."""
    received_at: datetime = instant()
    recorded_at: datetime = instant()
    started_at: datetime | None = instant(nullable=True)
    content: dict[str, Any] = sealed_json()
    faults: list[str] = sealed_json(list)
    result: str | None = None
    """`not_a_claim` where what arrived is kept, but no case runs."""
    parent: str | None = None
    """The case that asked for this one."""
    erased_at: datetime | None = instant(nullable=True)
    """When all that was personal in it went, with its key."""


class CaseRow(OfCase, table=True):
    """A case as of its last recorded step."""

    __tablename__ = "cases"
    __table_args__ = (Index("case_unproven", "case", postgresql_where=text("unproven IS NOT NULL")),)

    case: str = Field(primary_key=True, foreign_key="intake.case")
    kind: str = Field(index=True)
    organisation: str = Field(index=True)
    stage: str
    step: int
    handler: str | None = None
    state: dict[str, Any] = sealed_json()
    waits_for: str = ""
    """What is waited for and from whom, for lists."""
    opened_at: datetime = instant()
    closed_at: datetime | None = instant(nullable=True)
    outcome: str | None = None
    diverged: bool = False
    unproven: int | None = None
    """Events of the run's history when its last step was asked by a message that nobody but its sender repeats. Until
    the sweep has seen that this task was completed, the run may know nothing of the step."""
    commitment: bytes = Field(sa_type=LargeBinary, nullable=False)
    """To the filing, its personal part too (`security/proof.py`)."""
    head: bytes = Field(sa_type=LargeBinary, nullable=False)
    """The link of the last step; of the filing before the first one."""


class TimelineRow(OfCase, table=True):
    """One recorded step of a case; never changed once written."""

    __tablename__ = "timeline"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    step: int = Field(primary_key=True)
    digest: str
    at: datetime = instant()
    """The case's time."""
    recorded_at: datetime = instant()
    """The store's time."""
    stage: str
    entry: str
    duty: str | None = None
    facts: dict[str, Any] = sealed_json()
    actor: str | None = None
    message: str | None = None
    message_id: str | None = None
    clocks: list[dict[str, Any]] = json()
    """Each clock that the step touched, before and after; of the evidence only its kind and when it happened."""
    details: list[dict[str, Any]] = sealed_json(list)
    """Of each change of a clock the reason and the evidence whole."""
    answer: dict[str, Any] = sealed_json()
    """What the step answered, for its repetition."""
    commitment: bytes = Field(sa_type=LargeBinary, nullable=False)
    """To all of this step, facts, details and answer too: it stays when they are erased."""
    link: bytes = Field(sa_type=LargeBinary, nullable=False)
    """The hash over the link before it and everything of this step that is not sealed."""


class ClockRow(OfCase, table=True):
    """The deadline ledger: one duty's clock, identified by case, duty, subject and n."""

    __tablename__ = "clock"
    __table_args__ = (
        CheckConstraint("status IN ('running', 'held', 'overdue', 'kept', 'late', 'void')", name="clock_status"),
        CheckConstraint("latest >= due", name="clock_latest"),
        CheckConstraint("(ended_at IS NULL) = (status IN ('running', 'held', 'overdue'))", name="clock_ended"),
        Index(
            "clock_one_open",
            "case",
            "duty",
            "subject",
            unique=True,
            postgresql_where=text("status IN ('running', 'held', 'overdue')"),
        ),
        Index("clock_due", "due", postgresql_where=text("status IN ('running', 'held', 'overdue')")),
    )

    case: str = Field(primary_key=True, foreign_key="cases.case")
    duty: str = Field(primary_key=True)
    subject: str = Field(primary_key=True, default="")
    n: int = Field(primary_key=True)
    organisation: str
    kind: str
    can_be_late: bool
    status: str
    anchor_at: datetime = instant()
    due: datetime = instant()
    latest: datetime = instant()
    last_day: date
    latest_day: date
    reminders: list[str] = json()
    """Instants of reminders still to come."""
    spans: list[dict[str, Any]] = json()
    """Days for which the clock was held."""
    held_since: datetime | None = instant(nullable=True)
    rulebook_version: str
    calendar_version: str
    derivation: list[str] = json()
    overdue_at: datetime | None = instant(nullable=True)
    ended_at: datetime | None = instant(nullable=True)
    """When the end was recorded."""
    happened_at: datetime | None = instant(nullable=True)
    happened_on: date | None = None
    """When that which ended it happened, by the evidence."""
    proof: str | None = None
    """The kind of evidence that ended it."""
    evidence: dict[str, Any] | None = sealed_json(nullable=True)
    """The evidence whole: references, and who says so."""
    reason: str | None = sealed_text()


class PartyRow(OfCase, table=True):
    """A person or company in a case. The one home of their data; workflows know the party's code only."""

    __tablename__ = "party"
    __table_args__ = (Index("party_to_screen", "case", postgresql_where=text("to_screen")),)

    case: str = Field(primary_key=True, foreign_key="cases.case")
    party: str = Field(primary_key=True)
    """`C1` a claimant, `insured`, `policyholder`, `requester`, `U1` a user, `responsible`, `subject`."""
    role: str
    name: str | None = sealed_text()
    email: str | None = sealed_text()
    phone: str | None = sealed_text()
    personal_code: str | None = sealed_text()
    iban: str | None = sealed_text()
    language: str = "lv"
    to_screen: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    """Became known, or was corrected, and waits for screening (GJ-sanctions)."""
    other: dict[str, Any] = sealed_json()
    erased_at: datetime | None = instant(nullable=True)


class NoticeRow(OfCase, table=True):
    """A letter: queued by a recorded step, sent once, with the proof."""

    __tablename__ = "notice"
    __table_args__ = (
        Index(
            "notice_internal_waiting",
            "case",
            postgresql_where=text("internal AND sent_at IS NULL AND refused IS NULL"),
        ),
        Index("notice_waiting", "queued_at", postgresql_where=text("sent_at IS NULL AND refused IS NULL")),
        Index("notice_reference", "reference"),
        # a letter that was turned to another party past the product does not open, and is not sent
        {"info": {"sealed_with": ("template", "party")}},
    )

    case: str = Field(primary_key=True, foreign_key="cases.case")
    key: str = Field(primary_key=True)
    template: str
    party: str
    """For letters to staff the role."""
    internal: bool = False
    duty: str | None = None
    subject: str = ""
    facts: dict[str, Any] = sealed_json()
    queued_at: datetime = instant()
    sent_at: datetime | None = instant(nullable=True)
    carrier: str | None = None
    reference: str | None = None
    attempt: str | None = None
    """The mark of the run of `access.issue` that began to hand it over last, until it has its end."""
    refused: str | None = sealed_text()
    bounced_at: datetime | None = instant(nullable=True)


class BellRow(SQLModel, table=True):
    """A case is to look at the store again; the reason is a code."""

    __tablename__ = "bell"
    __table_args__ = (
        Index("bell_waiting", "case", postgresql_where=text("heard_at IS NULL")),
        Index("bell_insured", "case", postgresql_where=text("reason LIKE 'insured:%'")),
    )

    id: int | None = Field(default=None, primary_key=True)
    case: str
    reason: str
    created_at: datetime = instant()
    rung_at: datetime | None = instant(nullable=True)
    heard_at: datetime | None = instant(nullable=True)


class EventRow(OfCase, table=True):
    """What happened to a case after filing, as a sender reported it: idempotent by the sender's event id."""

    __tablename__ = "event"
    __table_args__ = (Index("event_waiting", "case", postgresql_where=text("delivered_at IS NULL")),)

    case: str = Field(primary_key=True, foreign_key="intake.case")
    event: str = Field(primary_key=True)
    name: str
    message: dict[str, Any] = sealed_json()
    recorded_at: datetime = instant()
    delivered_at: datetime | None = instant(nullable=True)
    answer: dict[str, Any] | None = sealed_json(nullable=True)
    refused: list[str] | None = sealed_json(nullable=True)


class TargetRow(SQLModel, table=True):
    """The versions of rulebooks and calendars that open clocks are to be counted by; set by `recount`."""

    __tablename__ = "target"

    name: str = Field(primary_key=True)
    """`rulebook:BTA`, `calendar:LV`."""
    version: str
    set_at: datetime = instant()
    set_by: str
