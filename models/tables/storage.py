"""What the store keeps of storage terms: records of data elsewhere, legal holds, and what each night's run did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, text
from sqlmodel import Field, SQLModel

from models.tables.base import instant, json


class RecordRow(SQLModel, table=True):
    """A record of personal data outside of Termins' own cases, as it stands; it names nobody."""

    __tablename__ = "record"
    __table_args__ = (
        CheckConstraint("medium IN ('system', 'paper')", name="record_medium"),
        CheckConstraint("(destroyed_at IS NULL) = (proof IS NULL)", name="record_destroyed"),
        CheckConstraint("(asked_at IS NULL) = (proof_by IS NULL)", name="record_asked"),
        CheckConstraint("(erase_for IS NULL) = (erase_at IS NULL)", name="record_erase"),
        Index("record_overdue", "proof_by", postgresql_where=text("proof_by IS NOT NULL AND destroyed_at IS NULL")),
    )

    organisation: str = Field(primary_key=True)
    record: str = Field(primary_key=True)
    system: str
    medium: str
    line: str | None = None
    purposes: list[dict[str, Any]] = json()
    """Every `Stated` for which it is kept."""
    longer: dict[str, Any] | None = json(nullable=True)
    """A documented exception (SE-11.3)."""
    person: bytes | None = None
    """Keyed hash of the personal code, while the record stands: so that a hold or a request of the person is found."""
    facts: int
    """How many facts were said of it; each stays in `record_fact`."""
    erase_for: str | None = None
    """The privacy request by which it goes before its term, as far as no legal duty or claim keeps it."""
    erase_at: datetime | None = instant(nullable=True)
    """When that request's erasure was carried out."""
    asked_at: datetime | None = instant(nullable=True)
    """Since which night its destruction is asked for; none again where something keeps it."""
    proof_by: datetime | None = instant(nullable=True)
    """From here on the destruction is overdue."""
    destroyed_at: datetime | None = instant(nullable=True)
    destroyed_by: str | None = None
    way: str | None = None
    proof: str | None = None


class RecordFactRow(SQLModel, table=True):
    """Something that was said of a record; never changed."""

    __tablename__ = "record_fact"
    __table_args__ = (ForeignKeyConstraint(["organisation", "record"], ["record.organisation", "record.record"]),)

    organisation: str = Field(primary_key=True)
    record: str = Field(primary_key=True)
    n: int = Field(primary_key=True)
    recorded_at: datetime = instant()
    said_by: str
    data: dict[str, Any] = json()
    """`RecordFacts` without the person, or `Destroyed`."""


class RecordHoldRow(SQLModel, table=True):
    """A legal hold on a record or an own policy, on a case, or on all that is about a person (SE-11.4)."""

    __tablename__ = "record_hold"
    __table_args__ = (
        CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="record_hold_lifted"),
        CheckConstraint(
            "num_nonnulls(record, held_case, person) = CASE WHEN lifted_at IS NULL THEN 1 "
            "ELSE num_nonnulls(record, held_case) END",
            name="record_hold_of_one",
        ),
        Index("record_hold_stands", "organisation", postgresql_where=text("lifted_at IS NULL")),
    )

    organisation: str = Field(primary_key=True)
    hold: str = Field(primary_key=True)
    document: str
    record: str | None = None
    held_case: str | None = None
    person: bytes | None = None
    """Keyed hash of the personal code, while the hold stands."""
    placed_at: datetime = instant()
    placed_by: str
    lifted_at: datetime | None = instant(nullable=True)
    lifted_by: str | None = None


class StorageRunRow(SQLModel, table=True):
    """One night's run over the storage terms: how far it came, and what it counted."""

    __tablename__ = "storage_run"

    n: int | None = Field(default=None, primary_key=True)
    workflow: str = Field(unique=True)
    """The run of the engine that began it: begun twice it is the same."""
    at: datetime = instant()
    """The instant for which everything is judged."""
    part: str = "case"
    """What it is at: `case`, `record`, `consent`, `policy`, or `done`."""
    after: list[str] = json()
    """Behind which key of that part it goes on; empty at its beginning."""
    ended_at: datetime | None = instant(nullable=True)


class StorageCountRow(SQLModel, table=True):
    """How many came to what in a run, by which term; written in the same commit as the place where it goes on."""

    __tablename__ = "storage_count"
    __table_args__ = (ForeignKeyConstraint(["run"], ["storage_run.n"]),)

    run: int = Field(primary_key=True)
    organisation: str = Field(primary_key=True)
    duty: str = Field(primary_key=True)
    what: str = Field(primary_key=True)
    result: str = Field(primary_key=True)
    why: str = Field(primary_key=True)
    number: int


class StorageItemRow(SQLModel, table=True):
    """What of Termins' own a run erases: written before its key goes, so that a crash loses none."""

    __tablename__ = "storage_item"
    __table_args__ = (
        ForeignKeyConstraint(["run"], ["storage_run.n"]),
        Index("storage_item_open", "run", postgresql_where=text("ended_at IS NULL")),
    )

    run: int = Field(primary_key=True)
    key: str = Field(primary_key=True)
    """The case's id, or the key of the consent or policy."""
    organisation: str
    duty: str
    what: str
    due: datetime = instant()
    """When its term was over."""
    ended_at: datetime | None = instant(nullable=True)
    result: str | None = None
    """`erased`, or `held` where something came between."""
    why: str = ""
