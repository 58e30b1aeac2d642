"""What a validator says of the electronic signatures of a document (ETSI EN 319 102-1), and what it did not look at."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import StringConstraints

from models.case import Instant, Text
from models.common import Model

Sha256 = Annotated[str, StringConstraints(to_lower=True, strip_whitespace=True, pattern=r"^[0-9a-fA-F]{64}$")]
"""SHA-256 of a document, as 64 hexadecimal digits: by it a verdict and its document find each other."""

Result = Literal["passed", "indeterminate", "failed"]
"""TOTAL-PASSED, INDETERMINATE and TOTAL-FAILED of EN 319 102-1."""


class Signature(Model):
    """One signature, with everything that its certificate and the trust list say of it."""

    result: Result
    indication: str
    """The sub-indication of the standard, such as HASH_FAILURE; OK where it passed."""
    intact: bool
    """True if what was signed is what is there."""
    whole_document: bool
    """True if it covers the document to its end, but for other signatures and what proves validity later."""
    name: str | None = None
    """Who signed, as the certificate writes it."""
    personal_code: str | None = None
    """From the certificate's serialNumber (EN 319 412-1), without country: PNOLV-… and PNOLT-…."""
    country: str | None = None
    """The country of that code, such as LV."""
    signed_at: datetime | None = None
    time: Literal["time_stamp", "claimed", "none"] = "none"
    """How that instant is known: proved by a time stamp, or only claimed by the signer's own clock."""
    issuer: str | None = None
    """Who issued the certificate."""
    anchor: str | None = None
    """The trusted service to which its chain leads; None if it leads to none."""
    qualified: bool = False
    """True if the certificate was qualified when it was signed, by its statements and the trust list."""
    qscd: bool = False
    """True if the key lies in a qualified signature creation device."""
    type: Literal["signature", "seal", "website"] | None = None
    """What the certificate is for; a seal is an organisation's and names no person."""
    revocation: Literal["checked", "revoked", "not_checked"] = "not_checked"
    faults: tuple[str, ...] = ()
    """Why it is not taken for a person's valid qualified signature; empty if it is. Names nobody."""
    not_verified: tuple[str, ...] = ()
    """What was not looked at, in words. Names nobody."""


class Verdict(Model):
    """What became of validating one document."""

    sha256: Sha256
    format: Literal["PAdES", "ASiC", "none", "unknown"]
    """Of the container: a PDF, a zip such as .asice, .edoc or .adoc, no signature at all, or something else."""
    validated_at: datetime
    trusted_by: str
    """What was trusted: the files of the installation's trust list."""
    signatures: tuple[Signature, ...] = ()
    faults: tuple[str, ...] = ()
    """Why the document as a whole was not validated."""
    not_verified: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether at least one signature is a person's valid qualified signature."""
        return not self.faults and any(not s.faults for s in self.signatures)


class Report(Model):
    """What a person found in another validator's report: for what Termins does not validate itself."""

    service: Text
    """Where it was validated, such as signatures.example."""
    report: Text
    """Reference to the report of that validation."""
    validated_at: Instant
    signed_at: Instant
    name: Text
    personal_code: Text
    statement: Literal["qualified signature, valid"]
    """What the report says, in these words; a report that says less identifies nobody."""


class Validated(Report):
    """The same, with the document that it is about."""

    sha256: Sha256


class Seen(Model):
    """What a case remembers of the signature by which somebody was identified: no name and no code."""

    sha256: str
    by: Literal["termins", "person"]
    service: str | None = None
    """Where a person validated it."""
    signed_at: datetime
    not_verified: tuple[str, ...] = ()
