"""What the rulebook may decide by itself: each condition alone leaves a claim to a person."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from models.automatic import AutomaticFacts, Automation
from models.settlement import Head
from rules.automatic import against, automation, begun
from rules.rulebook import BOOKS, RulebookError, books, parse

TERMS = Automation(up_to=Decimal("500.00"), heads=(Head.property_damaged,), registered=("online",))
GOOD: dict[str, Any] = {
    "registered": "online",
    "filing_faults": 0,
    "claimants": 1,
    "heads": (Head.property_damaged,),
    "documents": {"proof_of_amount": "received", "court_ruling": "not_asked"},
    "findings": {"territory": "met", "liable": "met"},
    "accounts": True,
    "payable": Decimal("500.00"),
}


def test_a_small_fully_covered_and_proven_claim_needs_no_person() -> None:
    """The last cent that is still decided."""
    assert against(TERMS, AutomaticFacts(**GOOD)) == ()


def test_without_the_table_nothing_is_decided() -> None:
    assert against(None, AutomaticFacts(**GOOD)) == ("rulebook: it decides no claims by itself",)


@pytest.mark.parametrize(
    ("fact", "value", "named"),
    [
        ("registered", "health_partner", "registered"),
        ("registered", None, "registered"),
        ("filing_faults", 1, "faults"),
        ("claimants", 2, "claimants"),
        ("heads", (Head.property_damaged, Head.treatment), "losses: treatment"),
        ("documents", {"proof_of_amount": "missing"}, "documents: proof_of_amount is missing"),
        ("documents", {"proof_of_amount": "waived"}, "documents: proof_of_amount is waived"),
        ("findings", {"territory": "met", "liable": "open"}, "findings: liable"),
        ("findings", {"no_repetition": "possible"}, "findings: no_repetition"),
        ("findings", {"4.1.10": "not_met"}, "findings: 4.1.10"),
        ("findings", {"7.1.2": "not_met"}, "findings: 7.1.2"),
        ("findings", {}, "findings: nothing"),
        ("accounts", False, "payee"),
        ("unpaid_premium", Decimal("0.01"), "premium"),
        ("payable", Decimal("500.01"), "amount: 500.01 EUR, and 500.00 EUR is the most"),
        ("payable", Decimal("0.00"), "amount: nothing would be paid"),
        ("lessened_by", ("5.4",), "settlement: less is paid by clause 5.4"),
        ("needs_second", True, "amount: a second person"),
    ],
)
def test_each_condition_alone_leaves_it_to_a_person(fact: str, value: Any, named: str) -> None:
    """And is the only one that is named."""
    (reason,) = against(TERMS, AutomaticFacts(**{**GOOD, fact: value}))
    assert reason.startswith(named)


def test_all_reasons_are_named_at_once() -> None:
    assert len(against(TERMS, AutomaticFacts(**{**GOOD, "claimants": 0, "accounts": False, "registered": None}))) == 3


def test_only_a_book_with_the_table_begins_with_one() -> None:
    """Off, unless the book says otherwise; and only for claims that nobody wrote down."""
    assert [code for code in books() if automation(code) is not None] == ["BTA"]
    assert begun("BTA", "online") is not None
    assert begun("BTA", None) is None
    assert begun("GJ", "online") is None


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('up_to = "500.00"', 'up_to = "10000.01"', "values.automatic.up_to: a second person approves more"),
        ('up_to = "500.00"', 'up_to = "5.001"', "values.automatic.up_to"),
        ('heads = ["property_damaged"]', "heads = []", "values.automatic.heads"),
        ('heads = ["property_damaged"]', 'heads = ["roof"]', "values.automatic.heads.0"),
        ('registered = ["online", "health_partner"]', 'registered = ["by_post"]', "values.automatic.registered.0"),
        ('"GJ-claims-review"', '"GJ-claims-look"', "values.automatic: needs the row GJ-claims-review"),
    ],
)
def test_a_faulty_table_is_named_when_the_book_is_read(old: str, new: str, named: str) -> None:
    text = (BOOKS / "bta.toml").read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(RulebookError, match=named):
        parse(text.replace(old, new), "bta.toml")


def test_an_unknown_field_of_the_table_is_a_fault() -> None:
    with pytest.raises(ValidationError, match="most"):
        Automation.model_validate({"most": "1.00"})
