"""Verdicts on electronic signatures: made where the document lies, and kept for the privacy request that needs them."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from models.common import Model
from models.errors import Refusal
from models.operator import SYSTEM
from models.signature import Report, Sha256, Validated, Verdict
from models.tables import CaseRow, IdentificationRow, IntakeRow, SignatureRow
from operations.filings import faults_of
from operations.intake import Sessions
from operations.operators import may_handle
from settings import Settings

if TYPE_CHECKING:
    from integrations.signatures import SignatureValidator

KIND = "privacy_request"
_SHA256: TypeAdapter[str] = TypeAdapter(Sha256)


class Kept(Model):
    """What was kept, and how the case asks for it."""

    case: str
    sha256: str
    by: str


def validator(settings: Settings) -> SignatureValidator:
    """The validator of this installation.

    Raises:
        Refusal: There is no trust list, or it cannot be read.
    """
    # a second to load, for this alone
    from integrations.signatures import PadesValidator, TrustList, TrustListUnavailable  # noqa: PLC0415

    if settings.trust_list is None:
        raise Refusal("TERMINS_TRUST_LIST is not set: there is nothing whose signatures could be trusted")
    try:
        return PadesValidator(TrustList.of(settings.trust_list))
    except TrustListUnavailable as e:
        raise Refusal(f"TERMINS_TRUST_LIST: {e}") from None


def sha256_of(document: bytes) -> str:
    """By which a verdict and its document find each other."""
    return hashlib.sha256(document).hexdigest()


class Signatures:
    """The verdicts of privacy requests."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def keep(self, case: str, verdict: Verdict, said_by: str) -> Kept:
        """Keep what Termins found of a document. A later verdict on it takes the place of the one before.

        Raises:
            Refusal: There is no such open privacy request, somebody is identified already, or the rights do not
                suffice.
        """
        return await self._keep(case, verdict.sha256, "termins", verdict, verdict.validated_at, said_by)

    async def enter(self, case: str, sha256: str, report: Report, said_by: str, at: datetime) -> Kept:
        """Keep what a person found in another validator's report.

        Raises:
            Refusal: As `keep`; or no person says it, an instant lies in the future, or Termins found that the document
                is not what was signed.
        """
        if said_by.startswith(SYSTEM):
            raise Refusal("actor: a person says what another validator found, with TERMINS_TOKEN")
        late = [name for name in ("validated_at", "signed_at") if getattr(report, name) > at]
        faults = [f"{name}: lies in the future" for name in late]
        if report.validated_at < report.signed_at:
            faults.append("validated_at: lies before signed_at")
        async with self._sessions() as session:
            own = await session.get(SignatureRow, (case, sha256, "termins"))
        if own is not None:
            found = Verdict.model_validate(own.verdict)
            if any(not s.intact or not s.whole_document for s in found.signatures):
                faults.append("Termins found that the document is not what was signed: no other report changes that")
        if faults:
            raise Refusal(*faults)
        validated = Validated(sha256=_SHA256.validate_python(sha256), **report.model_dump())
        return await self._keep(case, sha256, "person", validated, at, said_by)

    async def _keep(
        self, case: str, sha256: str, by: str, verdict: Verdict | Validated, at: datetime, said_by: str
    ) -> Kept:
        async with self._sessions() as session, session.begin():
            intake = await session.get(IntakeRow, case)
            row = await session.get(CaseRow, case, with_for_update=True)
            if intake is None or intake.kind != KIND:
                raise Refusal(f"case: there is no privacy request {case}")
            if row is not None and row.closed_at is not None:
                raise Refusal("case: it is closed")
            await may_handle(session, intake.organisation, said_by, "privacy")
            if await session.get(IdentificationRow, case) is not None:
                raise Refusal("case: the person is identified already")
            said = verdict.model_dump(mode="json")
            kept = await session.get(SignatureRow, (case, sha256, by))
            if kept is None:
                session.add(SignatureRow(case=case, sha256=sha256, by=by, actor=said_by, kept_at=at, verdict=said))
            else:
                kept.actor, kept.kept_at, kept.verdict = said_by, at, said
        return Kept(case=case, sha256=sha256, by=by)


def report_of(content: bytes) -> Report:
    """What another validator found, from JSON.

    Raises:
        Refusal: It is no such JSON; with every fault.
    """
    try:
        return Report.model_validate_json(content)
    except ValidationError as e:
        raise Refusal(*(f"report: {fault}" for fault in faults_of(e))) from None


def told(verdict: Verdict) -> list[str]:
    """A verdict for people, line by line."""
    lines = [
        f"{verdict.sha256}  {verdict.format}  {'valid' if verdict.valid else 'not valid'}",
        f"validated at {verdict.validated_at:%Y-%m-%d %H:%M %Z}, offline, trusting {verdict.trusted_by}",
        *(f"  fault: {fault}" for fault in verdict.faults),
    ]
    for n, one in enumerate(verdict.signatures, 1):
        code = f"{one.country} {one.personal_code}" if one.personal_code else "no personal code"
        at = f"{one.signed_at:%Y-%m-%d %H:%M %Z}" if one.signed_at else "at an unknown instant"
        how = {"time_stamp": "proved by a time stamp", "claimed": "only claimed", "none": "not said"}[one.time]
        kind = f"{'qualified ' if one.qualified else ''}{one.type or 'certificate of an unknown kind'}"
        lines += [
            f"signature {n}: {one.result.upper()} ({one.indication})",
            f"  by {one.name or 'nobody that is named'}, {code}",
            f"  {at}, {how}",
            f"  {kind}{', in a qualified device' if one.qscd else ''}; issued by {one.issuer}",
            f"  trusted service: {one.anchor or 'none'}; revocation: {one.revocation.replace('_', ' ')}",
            f"  intact: {_yes(one.intact)}; covers the whole document: {_yes(one.whole_document)}",
            *(f"  fault: {fault}" for fault in one.faults),
            *(f"  not verified: {what}" for what in one.not_verified),
        ]
    return [*lines, *(f"not verified: {what}" for what in verdict.not_verified)]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
