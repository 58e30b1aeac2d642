"""A small public key infrastructure for tests: authority, time stamp service, people, trusted list, signed PDFs."""

from __future__ import annotations

import io
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from asn1crypto import crl
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fpdf import FPDF
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.ades import qualified_asn1
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
"""When the process began: the library takes the time of validation from the wall clock, so people sign before that."""
TSL = "http://uri.etsi.org/TrstSvc"


class Made:
    """A certificate with its key."""

    def __init__(self, certificate: x509.Certificate, key: Key) -> None:
        self.certificate, self.key = certificate, key
        self.der = certificate.public_bytes(Encoding.DER)
        self.asn1 = asn1.Certificate.load(self.der)
        self.asn1_key = asn1_keys.PrivateKeyInfo.load(
            key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        )

    @property
    def pem(self) -> bytes:
        """As a file."""
        return self.certificate.public_bytes(Encoding.PEM)


def _name(**of: str) -> x509.Name:
    oids = {
        "cn": NameOID.COMMON_NAME,
        "o": NameOID.ORGANIZATION_NAME,
        "serial": NameOID.SERIAL_NUMBER,
        "given": NameOID.GIVEN_NAME,
        "surname": NameOID.SURNAME,
        "c": NameOID.COUNTRY_NAME,
    }
    return x509.Name([x509.NameAttribute(oids[k], v) for k, v in of.items()])


class Authority:
    """A qualified trust service: it issues certificates, time stamps and lists of what it revoked."""

    def __init__(self, cn: str = "Paraugs eID CA", begins: datetime = NOW - 1000 * DAY) -> None:
        self.cn = cn
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(c="LV", o="Paraugs", cn=cn)
        certificate = (
            _builder(name, name, key, begins, begins + 7000 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.own = Made(certificate, key)
        self.revoked: list[tuple[int, datetime]] = []
        self.stamper = self._issue(
            _name(c="LV", o="Paraugs", cn=f"{cn} TSA"),
            begins,
            begins + 6000 * DAY,
            [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)],
            rsa.generate_private_key(65537, 2048),  # the stamper of the library signs with no other
        )

    def person(
        self,
        name: str = "VALDIS APINIS",
        code: str | None = "PNOLV-320404-20040",
        begins: datetime = NOW - 100 * DAY,
        ends: datetime = NOW + 1000 * DAY,
        statements: tuple[str, ...] = ("qc_compliance", "qc_sscd"),
        kind: str | None = "qct_esign",
    ) -> Made:
        """Somebody who can sign; the statements say what the certificate is qualified for."""
        given, _, surname = name.rpartition(" ")
        subject = _name(cn=name, given=given, surname=surname, **({"serial": code} if code else {}))
        said = [qualified_asn1.QcStatement({"statement_id": s}) for s in statements]
        if kind:
            said.append(qualified_asn1.QcStatement({"statement_id": "qc_type", "statement_info": [kind]}))
        der = qualified_asn1.QcStatements(said).dump()
        extensions: list[tuple[Any, bool]] = []
        if said:
            extensions.append((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.3"), der), False))
        return self._issue(subject, begins, ends, extensions, content_commitment=True)

    def _issue(
        self,
        subject: x509.Name,
        begins: datetime,
        ends: datetime,
        extensions: list[tuple[Any, bool]],
        key: Key | None = None,
        **usage: bool,
    ) -> Made:
        key = key or ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self.own.certificate.subject, key, begins, ends)
        builder = builder.add_extension(_usage(digital_signature=True, **usage), critical=True)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        builder = builder.add_extension(
            x509.CRLDistributionPoints(
                [
                    x509.DistributionPoint(
                        [x509.UniformResourceIdentifier("http://crl.example/ca.crl")], None, None, None
                    )
                ]
            ),
            critical=False,
        )
        return Made(builder.sign(self.own.key, hashes.SHA256()), key)

    def revoke(self, made: Made, at: datetime) -> None:
        """From now on the lists name this certificate."""
        self.revoked.append((made.certificate.serial_number, at))

    def crl(self, at: datetime, days: int = 1) -> bytes:
        """The list of what is revoked, as of an instant."""
        builder = x509.CertificateRevocationListBuilder(self.own.certificate.subject, at, at + days * DAY)
        builder = builder.add_extension(x509.CRLNumber(int(at.timestamp())), critical=False)
        for serial, when in self.revoked:
            if when <= at:
                builder = builder.add_revoked_certificate(
                    x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=when).build()
                )
        return builder.sign(self.own.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def trusted_list(self, status: str = "granted", next_update: datetime = NOW + 150 * DAY) -> bytes:
        """A list of ETSI TS 119 612 that names this authority and its time stamp service."""
        services = "".join(
            _SERVICE.format(
                type=f"{TSL}/Svctype/{kind}",
                name=name,
                certificate=b64encode(made.der).decode(),
                status=f"{TSL}/TrustedList/Svcstatus/{status}",
                since=f"{NOW - 900 * DAY:%Y-%m-%dT%H:%M:%SZ}",
            )
            for kind, name, made in (("CA/QC", self.cn, self.own), ("TSA/QTST", f"{self.cn} TSA", self.stamper))
        )
        return _LIST.format(services=services, next=f"{next_update:%Y-%m-%dT%H:%M:%SZ}").encode()


def _usage(**said: bool) -> x509.KeyUsage:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: said.get(name, False) for name in names})


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


@cache
def authority() -> Authority:
    """The one that tests trust."""
    return Authority()


def pdf(text: str = "Lūdzu sniegt manu datu kopiju.") -> bytes:
    """A letter."""
    letter = FPDF()
    letter.add_page()
    letter.set_font("helvetica", size=12)
    letter.cell(text=text.encode("ascii", "ignore").decode())
    return bytes(letter.output())


async def sign(
    document: bytes,
    who: Made,
    by: Authority,
    at: datetime = NOW - 20 * DAY,
    *,
    stamped: bool = True,
    revocation: bool = True,
    lasting: bool = False,
    field: str = "Signature1",
) -> bytes:
    """A PAdES signature as an additional revision: with time stamp and revocation answers, as services make them."""
    store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    store.register(by.own.asn1)
    signer = SimpleSigner(signing_cert=who.asn1, signing_key=who.asn1_key, cert_registry=store)
    stamper = DummyTimeStamper(by.stamper.asn1, by.stamper.asn1_key, certs_to_embed=store, fixed_dt=at)
    context = ValidationContext(
        trust_roots=[by.own.asn1], crls=[by.crl(at)], allow_fetching=False, moment=at, revocation_mode="soft-fail"
    )
    meta = PdfSignatureMetadata(
        field_name=field,
        md_algorithm="sha256",
        subfilter=SigSeedSubFilter.PADES,
        embed_validation_info=lasting,
        use_pades_lta=lasting,
        validation_context=context if lasting else None,
    )
    writer = IncrementalPdfFileWriter(io.BytesIO(document))
    out = io.BytesIO()
    await PdfSigner(
        meta, signer, timestamper=stamper if stamped else None, new_field_spec=SigFieldSpec(sig_field_name=field)
    ).async_sign_pdf(writer, output=out)
    if revocation and not lasting:
        # by hand: the library would not sign with a certificate that is revoked or has expired
        lists = [crl.CertificateList.load(by.crl(at))]
        DocumentSecurityStore.add_dss(out, None, certs=[by.own.asn1, who.asn1], crls=lists)
    return out.getvalue()


def changed(document: bytes) -> bytes:
    """The same document with its page turned: an additional revision that is no signature."""
    writer = IncrementalPdfFileWriter(io.BytesIO(document))
    page = writer.root["/Pages"]["/Kids"][0].get_object()
    page["/Rotate"] = generic.NumberObject(180)  # type: ignore[no-untyped-call]
    writer.update_container(page)
    out = io.BytesIO()
    writer.write(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


_SERVICE = """<tsl:TSPService><tsl:ServiceInformation>
<tsl:ServiceTypeIdentifier>{type}</tsl:ServiceTypeIdentifier>
<tsl:ServiceName><tsl:Name xml:lang="en">{name}</tsl:Name></tsl:ServiceName>
<tsl:ServiceDigitalIdentity><tsl:DigitalId><tsl:X509Certificate>{certificate}</tsl:X509Certificate></tsl:DigitalId>
</tsl:ServiceDigitalIdentity>
<tsl:ServiceStatus>{status}</tsl:ServiceStatus>
<tsl:StatusStartingTime>{since}</tsl:StatusStartingTime>
</tsl:ServiceInformation></tsl:TSPService>"""
_LIST = """<?xml version="1.0" encoding="UTF-8"?>
<tsl:TrustServiceStatusList xmlns:tsl="http://uri.etsi.org/02231/v2#" TSLTag="http://uri.etsi.org/19612/TSLTag">
<tsl:SchemeInformation><tsl:TSLVersionIdentifier>5</tsl:TSLVersionIdentifier>
<tsl:TSLSequenceNumber>1</tsl:TSLSequenceNumber>
<tsl:SchemeTerritory>LV</tsl:SchemeTerritory>
<tsl:NextUpdate><tsl:dateTime>{next}</tsl:dateTime></tsl:NextUpdate></tsl:SchemeInformation>
<tsl:TrustServiceProviderList><tsl:TrustServiceProvider>
<tsl:TSPInformation><tsl:TSPName><tsl:Name xml:lang="en">Paraugs</tsl:Name></tsl:TSPName></tsl:TSPInformation>
<tsl:TSPServices>{services}</tsl:TSPServices>
</tsl:TrustServiceProvider></tsl:TrustServiceProviderList></tsl:TrustServiceStatusList>"""
