"""Electronic signatures: a port that gives a validator's verdict on a document, and the adapter for PDF (PAdES).

Everything happens offline: what a document does not bring along (revocation answers, time stamps) was not verified,
and the verdict says so. Containers (.asice, .edoc, .adoc) are recognised and not validated: a person does that.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from asn1crypto import pem, x509
from asn1crypto.x509 import Certificate
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESStatus
from pyhanko.sign.diff_analysis import DiffResult, ModificationLevel
from pyhanko.sign.validation.ades import AdESLTAValidationResult, _dss_to_local_knowledge, ades_lta_validation
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.policy_decl import (
    CertificateFetchingRule,
    LocalKnowledge,
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.qualified.assess import UNQUALIFIED, QualificationAssessor
from pyhanko.sign.validation.qualified.eutl_parse import trust_list_to_registry_unsafe
from pyhanko.sign.validation.qualified.q_status import QualificationResult
from pyhanko.sign.validation.qualified.tsp import (
    CA_QC_URI,
    QTST_URI,
    BaseServiceInformation,
    CAServiceInformation,
    QcCertType,
    QTSTServiceInformation,
    TSPRegistry,
    TSPTrustManager,
)
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.errors import PathError, RevokedError, ValidationError
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import (
    NO_REVOCATION,
    REQUIRE_REVINFO,
    CertRevTrustPolicy,
    RevocationCheckingPolicy,
)

from models.signature import Result, Signature, Verdict

# its messages name the people of certificates
logging.getLogger("pyhanko").setLevel(logging.CRITICAL + 1)
logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL + 1)

LARGEST = 50_000_000
"""Bytes of a document that is read."""
MOST = 30
"""Signatures of a document that is validated."""
NATURAL_PERSON = re.compile(r"^PNO([A-Z]{2})-(.+)$")
"""The semantics identifier of a national personal number (EN 319 412-1, 5.1.3)."""
_TYPES: dict[QcCertType, Literal["signature", "seal", "website"]] = {
    QcCertType.QC_ESIGN: "signature",
    QcCertType.QC_ESEAL: "seal",
    QcCertType.QC_WEB: "website",
}
_CONTAINER = "a container (.asice, .edoc, .adoc) is not validated here: a person validates it elsewhere and enters that"
_OWN_WORD = "that the issuer is a qualified trust service: a PEM file of this installation says so, no trusted list"
_NO_REVOCATION = "whether the certificate was revoked: the document brings no answer that holds"
_LIST_SIGNATURE = "the trusted list's own signature: this installation vouches for the file"


class TrustListUnavailable(Exception):
    """Nothing that could be trusted was found; the text names no path."""


class SignatureValidator(Protocol):
    """Gives a verdict on the signatures of a document."""

    async def validate(self, document: bytes) -> Verdict:
        """The verdict as of now; a document that cannot be read gets one too."""
        ...


class TrustList:
    """The services that are trusted: EU trusted lists (ETSI TS 119 612, XML) and certificates (PEM) of a folder."""

    def __init__(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Takes the files with their names. Raises `TrustListUnavailable`."""
        self.registry = TSPRegistry()
        self.name = ", ".join(name for name, _ in files)
        self.own_word: set[bytes] = set()
        """Fingerprints of the certificates that stand here by the installation's word."""
        self.until: datetime | None = None
        """The earliest instant at which one of the lists is to be replaced."""
        self.listed = False
        for name, content in files:
            if content.lstrip()[:1] == b"<":
                self._take_list(name, content)
            else:
                self._take_certificates(name, content)
        if not [*self.registry.known_certificate_authorities]:
            raise TrustListUnavailable("the trust list names no certificate authority")

    @classmethod
    def of(cls, path: Path) -> TrustList:
        """Reads a file, or every .xml, .pem, .crt and .cer of a folder. Raises `TrustListUnavailable`."""
        try:
            files = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES) if path.is_dir() else [path]
            return cls([(p.name, p.read_bytes()) for p in files])
        except OSError as failure:
            raise TrustListUnavailable(f"there is no trust list: {failure.strerror}") from None

    def _take_list(self, name: str, content: bytes) -> None:
        try:
            root = fromstring(content, forbid_dtd=True)
            _, faults = trust_list_to_registry_unsafe(content.decode(), self.registry)
            update = root.find(".//{*}NextUpdate/{*}dateTime")
            if update is not None and update.text:
                until = datetime.fromisoformat(update.text)
                self.until = until if self.until is None else min(until, self.until)
        except (DefusedXmlException, SyntaxError, ValueError, LookupError, TypeError, AttributeError):
            # the names of what a parser stumbles over say nothing to whoever keeps the file
            raise TrustListUnavailable(f"{name} is no trusted list that can be read (ETSI TS 119 612)") from None
        if faults:
            raise TrustListUnavailable(f"{name} has {len(faults)} services that cannot be read")
        self.listed = True

    def _take_certificates(self, name: str, content: bytes) -> None:
        try:
            ders = [der for _, _, der in pem.unarmor(content, multiple=True)] if pem.detect(content) else [content]
            for certificate in (Certificate.load(der, strict=True) for der in ders):
                self._trust(certificate)
        except (ValueError, TypeError):
            raise TrustListUnavailable(f"{name} holds no certificates that can be read") from None

    def _trust(self, certificate: Certificate) -> None:
        stamps = certificate.extended_key_usage_value
        is_stamper = stamps is not None and "time_stamping" in stamps.native
        base = BaseServiceInformation(
            service_type=QTST_URI if is_stamper else CA_QC_URI,
            service_name=_named(certificate.subject),
            valid_from=certificate.not_valid_before,
            valid_until=None,
            provider_certs=(certificate,),
            additional_info_certificate_type=frozenset(),
            other_additional_info=frozenset(),
        )
        if is_stamper:
            self.registry.register_tst(QTSTServiceInformation(base_info=base, qualifications=frozenset()))
        else:
            self.registry.register_ca(
                CAServiceInformation(base_info=base, qualifications=frozenset(), expired_certs_revocation_info=None)
            )
        self.own_word.add(certificate.sha256)


_SUFFIXES = (".xml", ".pem", ".crt", ".cer")


class PadesValidator:
    """Validates the signatures of PDF documents against a trust list, with what the document brings along."""

    def __init__(self, trust: TrustList) -> None:
        self._trust = trust
        self._assessor = QualificationAssessor(trust.registry)

    async def validate(self, document: bytes) -> Verdict:
        """See `SignatureValidator`."""
        at = datetime.now(UTC)  # the library knows no other clock for what is proved by validating
        sha256 = hashlib.sha256(document).hexdigest()
        about: dict[str, Any] = {"sha256": sha256, "validated_at": at, "trusted_by": self._trust.name}
        if len(document) > LARGEST:
            return Verdict(format="unknown", faults=(f"larger than {LARGEST} bytes",), **about)
        if not document.startswith(b"%PDF-"):
            if _is_container(document):
                return Verdict(format="ASiC", faults=(_CONTAINER,), **about)
            return Verdict(format="unknown", faults=("neither a PDF nor a container: nothing is signed here",), **about)
        try:
            reader = PdfFileReader(io.BytesIO(document))
            if reader.encrypted:
                return Verdict(format="unknown", faults=("the PDF is encrypted: it cannot be read",), **about)
            embedded = reader.embedded_regular_signatures
            if len(embedded) > MOST:
                return Verdict(format="unknown", faults=(f"more than {MOST} signatures",), **about)
            if not embedded:
                return Verdict(format="none", faults=("the PDF is not signed; a scan is no signature",), **about)
            names = {s.field_name for s in (*embedded, *reader.embedded_timestamp_signatures)}
            signatures = [await self._judge(one, names, at) for one in embedded]
        except Exception as failure:  # noqa: BLE001  # the file is a stranger's: its parser can stumble over anything
            kind = "is damaged" if isinstance(failure, PdfError) else "cannot be read"
            return Verdict(format="unknown", faults=(f"the PDF {kind}: it is not validated",), **about)
        return Verdict(format="PAdES", signatures=tuple(signatures), not_verified=self._list_faults(at), **about)

    def _list_faults(self, at: datetime) -> tuple[str, ...]:
        said = [_LIST_SIGNATURE] if self._trust.listed else []
        if self._trust.until is not None and self._trust.until < at:
            said.append(f"what the trusted list says since {self._trust.until:%Y-%m-%d}: it is out of date")
        return tuple(said)

    async def _judge(self, embedded: EmbeddedPdfSignature, names: set[str], at: datetime) -> Signature:
        found = await self._run(embedded, at)
        stamp = found.signature_timestamp_status
        passed = stamp is not None and stamp.ades_subindic.status is AdESStatus.PASSED
        stamped_at: datetime | None = stamp.api_status.timestamp if stamp and passed and stamp.api_status else None
        certificate = embedded.signer_cert
        # the chain and what is known of a revocation are looked for by themselves, to tell them apart
        moment = min(max(stamped_at or at, certificate.not_valid_before), certificate.not_valid_after)
        path = await self._path(embedded, moment, NO_REVOCATION)
        revocation: Literal["checked", "revoked", "not_checked"] = "not_checked"
        try:
            if stamped_at is not None and await self._path(embedded, moment, REQUIRE_REVINFO) is not None:
                revocation = "checked"
        except RevokedError:
            revocation = "revoked"
        return self._told(embedded, names, found, at, stamped_at, path, revocation)

    async def _path(
        self, embedded: EmbeddedPdfSignature, moment: datetime, revocation: RevocationCheckingPolicy
    ) -> ValidationPath | None:
        """The chain to a trusted service as of an instant; None if there is none. Raises `RevokedError`."""
        brought = _dss_to_local_knowledge(embedded.reader)
        context = ValidationContext(
            trust_manager=TSPTrustManager(self._trust.registry),
            moment=moment,
            best_signature_time=moment,
            other_certs=[*brought.known_certs, *embedded.other_embedded_certs],
            crls=[c.crl_data for c in brought.known_crls],
            ocsps=[o.ocsp_response_data for o in brought.known_ocsps],
            # an answer was fetched after the signature that it is about
            revinfo_policy=CertRevTrustPolicy(revocation, retroactive_revinfo=True),
            allow_fetching=False,
        )
        try:
            return await CertificateValidator(embedded.signer_cert, validation_context=context).async_validate_path()
        except RevokedError:
            raise
        except (PathError, ValidationError):
            return None

    async def _run(self, embedded: EmbeddedPdfSignature, at: datetime) -> AdESLTAValidationResult:
        brought = _dss_to_local_knowledge(embedded.reader)
        certificates = [*brought.known_certs, embedded.signer_cert, *embedded.other_embedded_certs]
        # that these exist is known as of now at the latest; the library takes an instant a moment after its own start
        known = LocalKnowledge(brought.known_ocsps, brought.known_crls, certificates)
        spec = SignatureValidationSpec(
            local_knowledge=LocalKnowledge(known_poes=[*known.assert_existence_known_at(at)]),
            cert_validation_policy=CertValidationPolicySpec(
                trust_manager=TSPTrustManager(self._trust.registry),
                revinfo_policy=CertRevTrustPolicy(REQUIRE_REVINFO),
            ),
            revinfo_gathering_policy=RevocationInfoGatheringSpec(
                online_fetching_rule=RevinfoOnlineFetchingRule.LOCAL_ONLY,
                certificate_fetching_rule=CertificateFetchingRule.NEVER_FETCH,
            ),
        )
        timing = ValidationTimingInfo(validation_time=at, best_signature_time=at, point_in_time_validation=True)
        return await ades_lta_validation(embedded, PdfSignatureValidationSpec(spec), timing_info=timing)

    def _told(
        self,
        embedded: EmbeddedPdfSignature,
        names: set[str],
        found: AdESLTAValidationResult,
        at: datetime,
        stamped_at: datetime | None,
        path: ValidationPath | None,
        revocation: Literal["checked", "revoked", "not_checked"],
    ) -> Signature:
        certificate = embedded.signer_cert
        country, code = _personal_code(certificate)
        claimed = embedded.self_reported_timestamp
        stamped = stamped_at is not None
        qualification = _NOTHING
        if path is not None:
            qualification = self._assessor.check_entity_cert_qualified(path, stamped_at or at)
        service, status = qualification.service_definition, qualification.status
        kind: Literal["signature", "seal", "website"] | None = _TYPES[status.qc_type] if service else None
        intact = found.api_status is not None and found.api_status.intact and found.api_status.valid
        whole = _covers_all(embedded, names)
        result = _RESULTS[found.ades_subindic.status]
        faults = [
            *([] if intact else ["altered: what was signed is not what is there"]),
            *([] if whole else ["the document was changed after it was signed"]),
            *(["its certificate leads to no trusted service of the trust list"] if path is None else []),
            *(["its certificate was revoked"] if revocation == "revoked" else []),
            *(_validity_faults(certificate, at, stamped_at, found.oldest_evidence_record_timestamp)),
            *(["whether its certificate was revoked is not known"] if revocation == "not_checked" else []),
            *([] if stamped else [_unstamped(embedded)]),
            *([] if status.qualified or path is None else ["its certificate is not qualified"]),
            *(["it is no person's signature but a seal"] if kind == "seal" else []),
            *(["its certificate is for websites"] if kind == "website" else []),
            *(["its key is in no qualified device"] if status.qualified and not status.qc_key_security.is_qscd else []),
            *([] if code else ["its certificate holds no national personal code"]),
        ]
        if not faults and result != "passed":
            faults.append(f"validation ends with {found.ades_subindic.standard_name}")
        return Signature(
            result=result if result != "passed" or not faults else "indeterminate",
            indication=found.ades_subindic.standard_name,
            intact=intact,
            whole_document=whole,
            name=_signer_name(certificate),
            personal_code=code,
            country=country,
            signed_at=stamped_at or claimed,
            time="time_stamp" if stamped else "claimed" if claimed else "none",
            issuer=_named(certificate.issuer),
            anchor=service.base_info.service_name if service is not None else None,
            qualified=status.qualified,
            qscd=status.qc_key_security.is_qscd,
            type=kind,
            revocation=revocation,
            faults=tuple(faults),
            not_verified=(
                *([_NO_REVOCATION] if revocation == "not_checked" else []),
                *([] if stamped else ["when it was signed"]),
                *([_OWN_WORD] if path is not None and self._by_own_word(path) else []),
            ),
        )

    def _by_own_word(self, path: ValidationPath) -> bool:
        return any(c.sha256 in self._trust.own_word for c in path.iter_certs(include_root=True))


_NOTHING = QualificationResult(UNQUALIFIED, service_definition=None)
_RESULTS: dict[AdESStatus, Result] = {
    AdESStatus.PASSED: "passed",
    AdESStatus.INDETERMINATE: "indeterminate",
    AdESStatus.FAILED: "failed",
}


def _unstamped(embedded: EmbeddedPdfSignature) -> str:
    there = next(extract_tst_data_iter(embedded.signer_info, signed=False), None) is not None
    what = "its time stamp could not be validated" if there else "it has no time stamp"
    return f"{what}: when it was signed is only claimed"


def _validity_faults(
    certificate: Certificate, at: datetime, stamped_at: datetime | None, evidence: datetime | None
) -> list[str]:
    """What the days of a certificate say: valid when it was signed, and proved before it expired."""
    signed = stamped_at or at
    if signed < certificate.not_valid_before:
        return ["its certificate was not valid yet when it was signed"]
    if signed > certificate.not_valid_after:
        return ["its certificate had expired when it was signed"]
    if at > certificate.not_valid_after and (evidence is None or evidence > certificate.not_valid_after):
        return ["its certificate has expired since, and no later time stamp keeps what proved it"]
    return []


def _covers_all(embedded: EmbeddedPdfSignature, names: set[str]) -> bool:
    """Whether after this signature came only other signatures and what proves validity later."""
    # both are None in the library's types until it has looked, which it has
    coverage: Any = embedded.coverage
    changed: Any = embedded.diff_result
    if coverage is SignatureCoverageLevel.ENTIRE_FILE:
        return True
    if coverage is not SignatureCoverageLevel.ENTIRE_REVISION:
        return False
    if not isinstance(changed, DiffResult):
        return False
    if changed.modification_level <= ModificationLevel.LTA_UPDATES:
        return True
    # a form that was filled in is a document that says something else
    return changed.modification_level is ModificationLevel.FORM_FILLING and changed.changed_form_fields <= names


def _is_container(document: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(document)) as container:
            return "mimetype" in container.namelist() or any(
                name.startswith("META-INF/") for name in container.namelist()
            )
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def _personal_code(certificate: Certificate) -> tuple[str | None, str | None]:
    """Country and code, from the subject's serialNumber."""
    serial = _of(certificate.subject, "serial_number")
    found = NATURAL_PERSON.match(serial) if serial else None
    return (found[1], found[2]) if found else (None, None)


def _signer_name(certificate: Certificate) -> str | None:
    given, surname = _of(certificate.subject, "given_name"), _of(certificate.subject, "surname")
    return f"{given} {surname}" if given and surname else _of(certificate.subject, "common_name")


def _of(name: x509.Name, wanted: str) -> str | None:
    """One attribute of a distinguished name; None if there is none, or more than one."""
    values = [str(pair["value"].native) for pair in _pairs(name) if pair["type"].native == wanted]
    return values[0] if len(values) == 1 else None


def _pairs(name: x509.Name) -> Iterator[Any]:
    for relative in name.chosen:
        yield from relative


def _named(name: x509.Name) -> str:
    """An organisation that issues certificates, by its common name."""
    return _of(name, "common_name") or _of(name, "organization_name") or "without a name"
