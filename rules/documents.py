"""Which documents a claim needs, by head of loss (clauses 9.1.1 to 9.1.10, 9.2.5), and what each of them proves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from models.claim import Document, Proves
from models.common import Model
from models.settlement import Head, Label


class Asked(Model):
    """A document that is asked for: its clause, its title, and which of fact, amount, entitlement it proves."""

    document: Document
    clause: str
    title: Label
    proves: Proves


_TITLES: dict[Document, tuple[str, Literal["fact", "amount", "entitlement"], Label]] = {
    Document.notice_of_loss: (
        "9.1.1",
        "fact",
        Label(lv="paziņojums par zaudējumu", lt="pranešimas apie žalą", en="notice of loss"),
    ),
    Document.policy_copy: (
        "9.1.2",
        "entitlement",
        Label(lv="polises kopija", lt="poliso kopija", en="copy of the policy"),
    ),
    Document.court_ruling: (
        "9.1.3",
        "entitlement",
        Label(lv="tiesas nolēmums", lt="teismo sprendimas", en="court ruling"),
    ),
    Document.claim: (
        "9.1.4",
        "fact",
        Label(lv="trešās personas pretenzija", lt="trečiojo asmens pretenzija", en="the third party's claim"),
    ),
    Document.medical_opinion: (
        "9.1.5",
        "fact",
        Label(lv="ārstniecības iestādes atzinums", lt="gydymo įstaigos išvada", en="medical opinion"),
    ),
    Document.hospital_extract: (
        "9.1.6",
        "fact",
        Label(
            lv="izraksts no stacionāra medicīniskās kartes",
            lt="stacionaro ligos istorijos išrašas",
            en="hospital extract",
        ),
    ),
    Document.proof_of_entitlement: (
        "9.1.7",
        "entitlement",
        Label(
            lv="dokuments par tiesībām uz atlīdzību",
            lt="teisę į išmoką patvirtinantis dokumentas",
            en="proof of entitlement",
        ),
    ),
    Document.proof_of_amount: (
        "9.1.8",
        "amount",
        Label(
            lv="zaudējumu apmēru apliecinoši dokumenti",
            lt="žalos dydį patvirtinantys dokumentai",
            en="proof of the amount",
        ),
    ),
    Document.certificate_of_authority: (
        "9.1.9",
        "fact",
        Label(
            lv="kompetentas iestādes izziņa", lt="kompetentingos institucijos pažyma", en="certificate of an authority"
        ),
    ),
    Document.other: ("9.1.10", "fact", Label(lv="cits dokuments", lt="kitas dokumentas", en="another document")),
    Document.death_certificate: (
        "9.2.5",
        "fact",
        Label(lv="miršanas apliecības oriģināls", lt="mirties liudijimo originalas", en="original death certificate"),
    ),
    Document.proof_of_funeral: (
        "9.2.5",
        "amount",
        Label(
            lv="apbedīšanu apliecinoši dokumenti", lt="laidotuves patvirtinantys dokumentai", en="proof of the funeral"
        ),
    ),
}

_BODILY = {Head.treatment, Head.temporary_incapacity, Head.lost_capacity, Head.death}


def asked(document: Document) -> Asked:
    """Clause, title and purpose of a document."""
    clause, proves, title = _TITLES[document]
    return Asked(document=document, clause=clause, title=title, proves=proves)


def required(heads: Iterable[Head], *, in_court: bool) -> tuple[Asked, ...]:
    """What holds up the 30 days of 10.5: proof of fact, amount and entitlement for these heads.

    The notice of loss and the copy of the policy (9.1.1, 9.1.2) never do when a claim is there; the ruling (9.1.3)
    only while a court hears the claim; 9.1.10 only by a named request.
    """
    of = set(heads)
    kinds = {Document.proof_of_entitlement, Document.proof_of_amount, Document.certificate_of_authority}
    if of & _BODILY:
        kinds.add(Document.medical_opinion)
    if Head.lost_capacity in of:
        kinds.add(Document.hospital_extract)
    if Head.death in of:
        kinds.add(Document.death_certificate)
    if Head.funeral in of:
        kinds |= {Document.death_certificate, Document.proof_of_funeral}
    if in_court:
        kinds.add(Document.court_ruling)
    return tuple(asked(d) for d in Document if d in kinds)
