"""Why a head of loss is rejected or reduced: the closed list, decisions that add up, the line of the letter (10.5)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, get_args

import pytest

from models.claim import HeadReason
from models.coverage import POINTS
from models.settlement import Head, Language
from rules.coverage import label_of
from rules.reasons import ground_of, head_faults, in_letter, listed, reasons
from rules.wording import in_

CLAIMED = {("C1", Head.treatment): Decimal("500.00"), ("C1", Head.property_damaged): Decimal("900.00")}


def said(**more: Any) -> HeadReason:
    """A reason for treatment, rejected as not proven unless it is said otherwise."""
    first = {"claimant": "C1", "head": "treatment", "outcome": "reject", "code": "not_proven", "text": "no bill came"}
    return HeadReason.model_validate({**first, **more})


def faults(*heads: HeadReason, **accepted: str) -> list[str]:
    """What does not add up, with what is accepted by head."""
    return head_faults(heads, "BTA", CLAIMED, {("C1", Head(h)): Decimal(a) for h, a in accepted.items()})


def test_every_code_has_a_clause_and_a_title_in_three_languages() -> None:
    for code, reason in reasons("BTA").items():
        assert reason.clause, code
        assert all((reason.label.lv, reason.label.lt, reason.label.en)), code


def test_every_point_of_cover_but_that_of_the_exclusions_is_a_reason_by_its_clause() -> None:
    """An exclusion is named by its own code."""
    assert set(POINTS) - set(listed()) == {"no_exclusion"}
    assert all(listed()[code].clause == point.clause for code, point in POINTS.items() if code in listed())
    assert {"4.1.24", "4.1.42c", "7.1.1", "8.1.9"} <= set(reasons("BTA"))


def test_one_head_is_paid_and_another_rejected() -> None:
    assert faults(said(), property_damaged="900.00") == []


def test_one_head_can_be_reduced_for_several_reasons() -> None:
    reduced = said(outcome="reduce", code="comfort", text="a single room")
    other = said(outcome="reduce", code="amount_not_proven", text="two bills are missing")
    assert faults(reduced, other, treatment="300.00", property_damaged="900.00") == []


def test_every_fault_is_named_at_once() -> None:
    """No such code, a code of another head, a head that nobody claimed, one that is paid and rejected, one that is
    neither, and a part that is accepted without a reason."""
    assert faults(
        said(code="bad_luck"),
        said(head="funeral", code="not_natural_person"),
        said(code="pension"),
        property_damaged="800.00",
        treatment="500.00",
    ) == [
        *(f for f in faults(said(code="bad_luck"), treatment="500.00", property_damaged="900.00") if "no such" in f),
        "heads.0: C1 treatment is in losses too: pay it or reject it",
        "heads.1: C1 did not claim funeral, or it is not decided now",
        "heads.2.code: pension is a reason for death only",
        "heads.2: C1 treatment is in losses too: pay it or reject it",
        "heads: C1 property_damaged: 800.00 EUR of 900.00 EUR are accepted: say why it is reduced",
    ]
    assert faults(said(), said()) == [
        "heads.0: C1 treatment: not_proven is said more than once",
        "heads.1: C1 treatment: not_proven is said more than once",
        "heads: C1 property_damaged is neither in losses nor rejected",
    ]
    assert faults(said(outcome="reduce"), property_damaged="900.00") == [
        "heads.0: losses must say what of C1 treatment is proven"
    ]


@pytest.mark.parametrize(
    ("language", "line"),
    [
        (
            "lv",
            "Ārstniecība: noraidīts. Zaudējumu fakts nav pierādīts (noteikumu 9.1. punkts): no bill came",
        ),
        ("lt", "Gydymas: atmesta. Žalos faktas neįrodytas (taisyklių 9.1 punktas): no bill came"),
        ("en", "Treatment: rejected. The loss is not proven (clause 9.1): no bill came"),
    ],
)
def test_the_letter_says_head_outcome_reason_clause_and_words(language: Any, line: str) -> None:
    assert in_letter(said(), "BTA", language) == line


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("lv", "Plūdi un gruntsūdeņu līmeņa izmaiņas (noteikumu 4.1.24. punkts)"),
        ("lt", "Potvynis ir gruntinio vandens lygio pokyčiai (taisyklių 4.1.24 punktas)"),
        ("en", "Floods and changes of the groundwater level (clause 4.1.24)"),
    ],
)
def test_a_rejection_cites_title_and_clause_in_the_readers_language(language: Language, said: str) -> None:
    assert ground_of("BTA", "4.1.24", language) == said


def test_a_clause_without_a_finding_is_cited_alone() -> None:
    assert ground_of("BTA", "9.2.1", "en") == "clause 9.2.1"
    with pytest.raises(KeyError):
        label_of("BTA", "9.2.1")


@pytest.mark.parametrize("code", [code for code in POINTS if code != "no_exclusion"])
def test_a_rejection_says_of_a_point_of_cover_that_it_is_not_met(code: str) -> None:
    """Its own title says what is met; an exclusion that applies has a code of its own."""
    for language in get_args(Language):
        letter = ground_of("BTA", f"{code}:C1" if code == "third_party" else code, language)
        assert in_(listed()[code].label, language) in letter
        assert in_(POINTS[code].label, language) not in letter
