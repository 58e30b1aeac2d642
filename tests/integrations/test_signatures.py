"""Signed PDFs: what makes a person's valid qualified signature, what takes it away, and what is not known."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import datetime
from pathlib import Path

import pytest

from integrations.signatures import PadesValidator, TrustList, TrustListUnavailable
from models.signature import Verdict
from tests import pki
from tests.pki import DAY, NOW

OUT_OF_DATE = "what the trusted list says since"


@pytest.fixture(scope="module")
def validator() -> PadesValidator:
    return PadesValidator(TrustList([("lv.xml", pki.authority().trusted_list())]))


async def signed(**more: object) -> bytes:
    """A letter that a person signed three weeks ago, as services sign: with a time stamp and revocation answers."""
    return await pki.sign(pki.pdf(), pki.authority().person(), pki.authority(), **more)  # type: ignore[arg-type]


def faults(verdict: Verdict) -> list[str]:
    """Everything that stands against it."""
    assert not verdict.valid
    return [*verdict.faults, *(fault for s in verdict.signatures for fault in s.faults)]


@pytest.mark.parametrize("lasting", [False, True])
async def test_a_qualified_signature_says_who_when_and_by_whom(validator: PadesValidator, lasting: bool) -> None:
    verdict = await validator.validate(await signed(lasting=lasting))
    assert verdict.valid
    assert verdict.format == "PAdES"
    [one] = verdict.signatures
    assert (one.result, one.indication) == ("passed", "OK")
    assert (one.name, one.country, one.personal_code) == ("VALDIS APINIS", "LV", "320404-20040")
    assert (one.signed_at, one.time) == (NOW - 20 * DAY, "time_stamp")
    assert (one.qualified, one.qscd, one.type, one.revocation) == (True, True, "signature", "checked")
    assert (one.anchor, one.intact, one.whole_document) == ("Paraugs eID CA", True, True)
    assert verdict.not_verified == ("the trusted list's own signature: this installation vouches for the file",)


async def test_a_lithuanian_code_is_read_from_the_certificate(validator: PadesValidator) -> None:
    ca = pki.authority()
    verdict = await validator.validate(await pki.sign(pki.pdf(), ca.person("ONA JONĖ", "PNOLT-49001010001"), ca))
    assert (verdict.signatures[0].country, verdict.signatures[0].personal_code) == ("LT", "49001010001")
    assert verdict.signatures[0].name == "ONA JONĖ"


async def test_a_byte_that_is_altered_is_found(validator: PadesValidator) -> None:
    document = bytearray(await signed())
    document[document.index(b"stream\n") + 12] ^= 1
    verdict = await validator.validate(bytes(document))
    assert verdict.signatures[0].result == "failed"
    assert "altered: what was signed is not what is there" in faults(verdict)


async def test_what_was_added_after_the_signature_is_found(validator: PadesValidator) -> None:
    verdict = await validator.validate(pki.changed(await signed()))
    assert verdict.signatures[0].intact
    assert faults(verdict) == ["the document was changed after it was signed"]


async def test_a_second_signature_leaves_the_first_one_valid(validator: PadesValidator) -> None:
    ca = pki.authority()
    other = ca.person("JANA OZOLA", "PNOLV-010190-11111")
    twice = await pki.sign(await signed(), other, ca, at=NOW - 10 * DAY, field="Signature2")
    verdict = await validator.validate(twice)
    assert [(s.name, s.faults) for s in verdict.signatures] == [("VALDIS APINIS", ()), ("JANA OZOLA", ())]


async def test_an_unknown_authority_is_trusted_by_nobody(validator: PadesValidator) -> None:
    other = pki.Authority("Cits CA")
    verdict = await validator.validate(await pki.sign(pki.pdf(), other.person(), other))
    assert "its certificate leads to no trusted service of the trust list" in faults(verdict)
    assert (verdict.signatures[0].anchor, verdict.signatures[0].qualified) == (None, False)


async def test_a_certificate_that_issued_itself_is_trusted_by_nobody(validator: PadesValidator) -> None:
    alone = pki.Authority("VALDIS APINIS")
    verdict = await validator.validate(await pki.sign(pki.pdf(), alone.own, alone))
    assert "its certificate leads to no trusted service of the trust list" in faults(verdict)


async def test_an_expired_certificate_signs_nothing(validator: PadesValidator) -> None:
    ca = pki.authority()
    late = ca.person(ends=NOW - 20 * DAY)
    assert not (await validator.validate(await pki.sign(pki.pdf(), late, ca, at=NOW - 20 * DAY + DAY / 86400))).valid
    verdict = await validator.validate(await pki.sign(pki.pdf(), late, ca, at=NOW - 19 * DAY))
    assert "its certificate had expired when it was signed" in faults(verdict)


async def test_a_certificate_that_expired_since_needs_a_later_time_stamp(validator: PadesValidator) -> None:
    ca = pki.authority()
    former = ca.person(ends=NOW - DAY)
    verdict = await validator.validate(await pki.sign(pki.pdf(), former, ca))
    assert faults(verdict) == ["its certificate has expired since, and no later time stamp keeps what proved it"]
    assert (await validator.validate(await pki.sign(pki.pdf(), former, ca, lasting=True))).valid


async def test_a_revoked_certificate_signs_nothing_from_then_on() -> None:
    ca = pki.Authority("Atsauktais CA")
    validator = PadesValidator(TrustList([("ca.pem", ca.own.pem + ca.stamper.pem)]))
    person = ca.person()
    ca.revoke(person, NOW - 25 * DAY)
    before = await pki.sign(pki.pdf(), person, ca, at=NOW - 26 * DAY)
    after = await pki.sign(pki.pdf(), person, ca, at=NOW - 20 * DAY)
    assert (await validator.validate(before)).valid
    assert "its certificate was revoked" in faults(await validator.validate(after))


async def test_without_time_stamp_or_revocation_answers_that_is_said(validator: PadesValidator) -> None:
    unstamped = await validator.validate(await signed(stamped=False))
    assert "it has no time stamp: when it was signed is only claimed" in faults(unstamped)
    assert unstamped.signatures[0].time == "claimed"
    assert "when it was signed" in unstamped.signatures[0].not_verified
    unknown = await validator.validate(await signed(revocation=False))
    assert "whether its certificate was revoked is not known" in faults(unknown)
    assert (unknown.signatures[0].result, unknown.signatures[0].revocation) == ("indeterminate", "not_checked")


@pytest.mark.parametrize(
    ("statements", "kind", "fault"),
    [
        ((), None, "its certificate is not qualified"),
        (("qc_compliance",), "qct_esign", "its key is in no qualified device"),
        (("qc_compliance", "qc_sscd"), "qct_eseal", "it is no person's signature but a seal"),
        (("qc_compliance", "qc_sscd"), "qct_web", "its certificate is for websites"),
    ],
)
async def test_only_a_persons_qualified_certificate_counts(
    validator: PadesValidator, statements: tuple[str, ...], kind: str | None, fault: str
) -> None:
    ca = pki.authority()
    verdict = await validator.validate(await pki.sign(pki.pdf(), ca.person(statements=statements, kind=kind), ca))
    assert faults(verdict) == [fault]


@pytest.mark.parametrize("code", [None, "IDCLV-PA1234567", "320404-20040"])
async def test_a_certificate_without_a_national_code_names_nobody(validator: PadesValidator, code: str | None) -> None:
    ca = pki.authority()
    verdict = await validator.validate(await pki.sign(pki.pdf(), ca.person(code=code), ca))
    assert faults(verdict) == ["its certificate holds no national personal code"]


async def test_a_service_whose_status_was_withdrawn_is_not_trusted() -> None:
    ca = pki.Authority("Bijusī CA")
    listed = ("lv.xml", ca.trusted_list("withdrawn"))
    with pytest.raises(TrustListUnavailable, match="names no certificate authority"):
        TrustList([listed])
    both = PadesValidator(TrustList([listed, ("other.xml", pki.authority().trusted_list())]))
    verdict = await both.validate(await pki.sign(pki.pdf(), ca.person(), ca))
    assert "its certificate leads to no trusted service of the trust list" in faults(verdict)


async def test_a_list_out_of_date_and_a_word_of_our_own_are_said() -> None:
    ca = pki.authority()
    old = PadesValidator(TrustList([("lv.xml", ca.trusted_list(next_update=NOW - DAY))]))
    assert any(s.startswith(OUT_OF_DATE) for s in (await old.validate(await signed())).not_verified)
    own = PadesValidator(TrustList([("ca.pem", ca.own.pem + ca.stamper.pem)]))
    verdict = await own.validate(await signed())
    assert verdict.valid
    assert verdict.trusted_by == "ca.pem"
    [said] = verdict.signatures[0].not_verified
    assert "a PEM file of this installation says so" in said


async def test_what_is_no_signed_pdf_is_told_apart(validator: PadesValidator) -> None:
    container = io.BytesIO()
    with zipfile.ZipFile(container, "w") as file:
        file.writestr("mimetype", "application/vnd.etsi.asic-e+zip")
        file.writestr("META-INF/signatures0.xml", "<x/>")
    expected = {
        pki.pdf(): ("none", "the PDF is not signed; a scan is no signature"),
        b"\xff\xd8\xff\xe0 a photograph": ("unknown", "neither a PDF nor a container: nothing is signed here"),
        b"%PDF-1.7 and nothing": ("unknown", "the PDF is damaged: it is not validated"),
        b"": ("unknown", "neither a PDF nor a container: nothing is signed here"),
        container.getvalue(): ("ASiC", "a container (.asice, .edoc, .adoc) is not validated here"),
    }
    for document, (form, fault) in expected.items():
        verdict = await validator.validate(document)
        assert verdict.format == form
        assert faults(verdict)[0].startswith(fault)


async def test_no_cut_or_altered_file_is_taken_for_signed_or_stops_the_validator(validator: PadesValidator) -> None:
    """What lies outside of the signed bytes is the signature itself, and what was added to prove it later."""
    document = await signed()
    found = re.search(rb"/ByteRange \[(\d+) (\d+) (\d+) (\d+)", document)
    assert found is not None
    _, first, second, length = (int(n) for n in found.groups())
    for at in range(0, len(document), len(document) // 25):
        assert not (await validator.validate(document[: min(at, second + length - 1)])).valid
        altered = await validator.validate(document[:at] + b"\x00" * 7 + document[at + 7 :])
        if at < first or second <= at < second + length:
            assert not altered.valid


def test_a_trust_list_that_cannot_be_read_is_named_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(TrustListUnavailable, match="No such file"):
        TrustList.of(tmp_path / "nothing")
    bomb = b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'
    for name, content in (("a.xml", bomb), ("a.xml", b"<x/>"), ("a.xml", b"<x"), ("a.pem", b"nothing")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TrustListUnavailable) as refused:
            TrustList.of(tmp_path / name)
        assert str(tmp_path) not in str(refused.value)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(TrustListUnavailable, match="no certificate authority"):
        TrustList.of(empty)


def test_a_folder_is_read_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "lv.xml").write_bytes(pki.authority().trusted_list())
    (tmp_path / "own.pem").write_bytes(pki.Authority("Mūsu CA").own.pem)
    (tmp_path / "notes.txt").write_text("nothing of this")
    trust = TrustList.of(tmp_path)
    assert trust.name == "lv.xml, own.pem"
    assert trust.until is not None
    assert trust.until > datetime.now(trust.until.tzinfo)
