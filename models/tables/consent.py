"""What the store keeps of consents: what was said of each, in order, and never changed; it names nobody once erased."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from models.tables.base import instant, json
from models.tables.sealed import sealed_json


def _hash() -> Any:
    """A keyed hash (`security.index`); gone with the person."""
    return Field(default=None, sa_type=LargeBinary, sa_column_kwargs={"info": {"personal": True}})


class ConsentRow(SQLModel, table=True):
    """One statement: a consent was given, proved, withdrawn; the person objected; its data were restricted, erased."""

    __tablename__ = "consent"
    __table_args__ = (
        CheckConstraint(
            "what IN ('given', 'proved', 'withdrawn', 'objected', 'restricted', 'released', 'erased')",
            name="consent_what",
        ),
        CheckConstraint("consent IS NOT NULL OR what IN ('withdrawn', 'objected')", name="consent_of_one"),
        # no consent without the information that came first (SE-15.12)
        CheckConstraint(
            "what <> 'given' OR num_nonnulls(notice_version, informed_at, text_sha256) = 3 AND informed_at <= at",
            name="consent_informed",
        ),
        CheckConstraint("erased_at IS NULL OR what = 'given'", name="consent_erased"),
        Index("consent_of", "organisation", "consent"),
        Index("consent_once", "organisation", "consent", unique=True, postgresql_where=text("what = 'given'")),
        Index("consent_person", "organisation", "person", postgresql_where=text("person IS NOT NULL")),
        Index("consent_email", "organisation", "email", postgresql_where=text("email IS NOT NULL")),
        Index("consent_phone", "organisation", "phone", postgresql_where=text("phone IS NOT NULL")),
        Index(
            "consent_kept",
            "organisation",
            "consent",
            postgresql_where=text("what = 'given' AND erased_at IS NULL"),
        ),
    )

    n: int | None = Field(default=None, primary_key=True)
    organisation: str
    what: str
    consent: str | None = None
    """Its reference. None: what a person took back or objected to as a whole, so also what is loaded later."""
    purpose: str
    channels: list[str] = json()
    """Those that it is about; empty: all of them."""
    at: datetime = instant()
    """When it happened: given, received."""
    recorded_at: datetime = instant()
    said_by: str
    by: str | None = None
    """By which way the person said it."""
    source: str | None = None
    """The document or the case from which it is known."""
    person: bytes | None = _hash()
    email: bytes | None = _hash()
    phone: bytes | None = _hash()
    who: dict[str, Any] | None = sealed_json(nullable=True)
    """Of what was given: the `Consenting`, under the consent's own key."""
    about: str | None = None
    text_version: str | None = None
    text_sha256: str | None = None
    notice_version: str | None = None
    informed_at: datetime | None = instant(nullable=True)
    proof: str | None = None
    erased_at: datetime | None = instant(nullable=True)
    """Of what was given: since when it names nobody."""

    @property
    def sealed_for(self) -> str:
        """Whose key seals it."""
        return key_of(self.organisation, self.consent or "")


def key_of(organisation: str, consent: str) -> str:
    """The owner of a consent's key, and its name as a record of the own store: `consent:GJ:K-17`."""
    return f"consent:{organisation}:{consent}"
