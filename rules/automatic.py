"""What the rulebook may decide by itself: every condition of it, pure. One that fails leaves the claim to a person."""

from __future__ import annotations

from models.automatic import Automatic, AutomaticFacts, Automation
from models.coverage import title_of
from models.settlement import Settlement
from rules.rulebook import Rulebook, book

ALLOWED = ("9.5", "10.1")
"""The steps by which an automatic decision may pay less than what is proven: the deductible, and the cent."""
NOT_IN = ("missing", "waived")
"""A document that was waived: that the case is proven without it is a person's judgment."""


def automation(organisation: str) -> Automation | None:
    """Which claims of this organisation are decided without a person; None: none.

    Raises:
        KeyError: The organisation has no rulebook.
    """
    return automation_of(book(organisation))


def automation_of(rulebook: Rulebook) -> Automation | None:
    """The same of a rulebook; that it can be read was found when the book was loaded."""
    said = rulebook.values.get("automatic")
    return Automation.model_validate(said) if said is not None else None


def begun(organisation: str, registered: str | None) -> Automatic | None:
    """What a new claim remembers of it; None where the rulebook lets no claim like it be decided by itself."""
    terms = automation(organisation)
    return Automatic() if terms is not None and registered in terms.registered else None


def lessened_by(settlement: Settlement) -> tuple[str, ...]:
    """The clauses by which a settlement pays less than what is proven less the deductible."""
    steps = [step for claimant in settlement.claimants for step in claimant.steps]
    return tuple(dict.fromkeys(s.clause for s in steps if s.after < s.before and s.clause not in ALLOWED))


def against(terms: Automation | None, facts: AutomaticFacts) -> tuple[str, ...]:
    """Every reason why a person decides the claim; empty where the rulebook decides that it is paid."""
    if terms is None:
        return ("rulebook: it decides no claims by itself",)
    reasons = []
    if facts.registered not in terms.registered:
        reasons.append(f"registered: only {', '.join(terms.registered)}")
    if facts.filing_faults:
        reasons.append("faults: what was filed has faults")
    if facts.claimants != 1:
        reasons.append("claimants: there is not exactly one")
    reasons += [f"losses: {head} is assessed by a person" for head in facts.heads if head not in terms.heads]
    reasons += [f"documents: {name} is {status}" for name, status in facts.documents.items() if status in NOT_IN]
    reasons += [
        f"findings: {code} ({title_of(code)}) is {stands.replace('_', ' ')}"
        for code, stands in facts.findings.items()
        if stands != "met"
    ]
    if not facts.findings:
        reasons.append("findings: nothing was found of the cover")
    if facts.unpaid_premium:
        reasons.append(f"premium: {facts.unpaid_premium} EUR are due and unpaid (9.5)")
    reasons += [f"settlement: less is paid by clause {clause}" for clause in facts.lessened_by]
    if facts.payable > terms.up_to:
        reasons.append(f"amount: {facts.payable} EUR, and {terms.up_to} EUR is the most")
    elif not facts.payable:
        reasons.append("amount: nothing would be paid")
    if facts.needs_second:
        reasons.append("amount: a second person approves it")
    if not facts.accounts:
        reasons.append("payee: no account is known that money can reach")
    return tuple(reasons)
