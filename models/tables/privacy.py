"""What the store keeps of privacy requests: identifications, archives, erasures, corrections, and what was kept."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, LargeBinary, text
from sqlmodel import Field

from models.tables.base import OfCase, instant
from models.tables.sealed import sealed_json, sealed_text


class RequestRow(OfCase, table=True):
    """A privacy request beside its case: by whom it can be found, and what it marked in other records."""

    __tablename__ = "privacy_request"
    __table_args__ = (Index("privacy_request_person", "organisation", "person"),)

    case: str = Field(primary_key=True, foreign_key="intake.case")
    organisation: str
    person: bytes | None = Field(default=None, sa_type=LargeBinary, sa_column_kwargs={"info": {"personal": True}})
    """Keyed hash of the personal code (`security.index`); gone with the person."""
    restricted_at: datetime | None = instant(nullable=True)
    """When the person's records were marked as restricted."""
    released_at: datetime | None = instant(nullable=True)
    """When that mark was taken away."""
    released: int | None = None
    """From how many records."""


class IdentificationRow(OfCase, table=True):
    """That the person behind a request is who they say; without this row nothing is gathered, answered or erased."""

    __tablename__ = "identification"

    case: str = Field(primary_key=True, foreign_key="cases.case")
    channel: str
    way: str
    identified_at: datetime = instant()
    document: str = sealed_text(nullable=False)
    """A reference to what was seen."""
    representation: str | None = sealed_text()
    """A representative: a reference to the proof of the right to represent."""


class SignatureRow(OfCase, table=True):
    """A verdict on the signatures of a document that came with a request; only its hash says which document."""

    __tablename__ = "signature"
    __table_args__ = (Index("signature_sha256", "sha256"),)

    case: str = Field(primary_key=True, foreign_key="intake.case")
    sha256: str = Field(primary_key=True)
    by: str = Field(primary_key=True)
    """`termins`, or `person`: validated elsewhere, and entered by an operator."""
    actor: str
    kept_at: datetime = instant()
    used_at: datetime | None = instant(nullable=True)
    """When somebody was identified by it."""
    verdict: dict[str, Any] = sealed_json()
    """`models.signature`: a Verdict of Termins, or what a person entered as Validated."""


class ArchiveRow(OfCase, table=True):
    """What was gathered for a request: the personal data for the answer, kept here and never in a history."""

    __tablename__ = "archive"

    case: str = Field(primary_key=True, foreign_key="identification.case")
    gathered_at: datetime = instant()
    systems: dict[str, Any] = sealed_json()
    """`files`: name → media_type and text, as the answer attaches them; `held`: data system → number of records."""


class ErasureRow(OfCase, table=True):
    """The erasure ledger: written before the first deletion, keyed by a salted hash, so that it can be run again."""

    __tablename__ = "erasure"
    __table_args__ = (CheckConstraint("done_at IS NULL OR done_at >= begun_at", name="erasure_begun_first"),)

    case: str = Field(primary_key=True, foreign_key="identification.case")
    person: str
    """Salted hash of the personal code; names nobody."""
    salt: str
    begun_at: datetime = instant()
    done_at: datetime | None = instant(nullable=True)
    plan: dict[str, Any] = sealed_json()
    """`erase`: data system → record → number of rows found; `keep`: record → ground. Written before the deletion that
    it names, so that a run after a crash ends with the same numbers."""


class RectificationRow(OfCase, table=True):
    """What a request had corrected in the systems: what was and what is, kept before the first change is made."""

    __tablename__ = "rectification"
    __table_args__ = (CheckConstraint("done_at IS NULL OR done_at >= begun_at", name="rectification_begun_first"),)

    case: str = Field(primary_key=True, foreign_key="identification.case")
    begun_at: datetime = instant()
    done_at: datetime | None = instant(nullable=True)
    """When a second look found nothing more to change."""
    plan: dict[str, Any] = sealed_json()
    """`data`: every `Datum`; `records`: record → the fields that say now what is right; `left`: records in which
    something wrong stays."""


class KeptRow(OfCase, table=True):
    """A record that an erasure left on a ground: restricted until that ends, and then erased by the night's run."""

    __tablename__ = "kept"
    __table_args__ = (
        CheckConstraint("gone_at IS NULL OR gone_at >= kept_at", name="kept_first"),
        Index("kept_stands", "case", postgresql_where=text("gone_at IS NULL")),
    )

    case: str = Field(primary_key=True, foreign_key="erasure.case")
    system: str = Field(primary_key=True)
    record: str = Field(primary_key=True)
    organisation: str
    ground: str
    """The ground of the controller's list that the person was told."""
    decided: bool
    """A person wanted it kept: without an end that is known it is never erased by itself."""
    until: date | None = None
    """The last day on which it is kept, as far as a person said one."""
    rows: int
    """How many rows it had: of another system's record with more, something came later that nobody asked to erase."""
    person: dict[str, Any] | None = sealed_json(nullable=True)
    """Who it is (`Subject`), so that it can be found; gone with the record."""
    kept_at: datetime = instant()
    gone_at: datetime | None = instant(nullable=True)
    run: int | None = Field(default=None, foreign_key="storage_run.n")
    """The night's run that looked at it last; of one that is gone, that erased it."""
