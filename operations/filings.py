"""What may be filed: the checks of each kind of case, all faults in one answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from integrations.bank import iban_fault
from models.access import AccessFiling, AuthenticatorDecisionFiling, WithdrawalFiling
from models.breach import NOTIFY, REGISTER, TELL, BreachFiling
from models.case import Filing, Hearing, heard
from models.claim import read_claim
from models.client_change import ClientChangeFiling
from models.common import Model
from models.countable import COUNTABLE_FROM, TOO_EARLY
from models.coverage import CircumstanceFiling
from models.credential import CredentialFiling
from models.errors import Refusal
from models.keepable import in_words, path_of, printable, too_much, unkeepable
from models.late_premium import LatePremiumFiling
from models.names import KEPT, KINDS, PERSONAL_CODE, REFERENCE, case_id
from models.premium_refund import PremiumRefundFiling
from models.privacy import PrivacyFiling
from models.recovery import RecoveryFiling
from models.renewal import RenewalFiling
from models.sign_in import SignInReviewFiling
from models.task import TaskFiling
from rules.consent import purposes_on_consent
from rules.rulebook import books


class Checked(Model):
    """A filing that is kept: its case id, its faults, and whether a case runs for it."""

    filing: Filing
    case: str
    """Empty until `intake.named` gave it a name, as is the filing's reference."""
    sender_reference: str
    faults: tuple[str, ...] = ()
    result: str | None = None
    unnamed: str | None = None
    """What its reference is to be made of, where the sender's cannot be part of an id."""


def check(data: Any, now: datetime) -> Checked:
    """Check a filing of any kind.

    Raises:
        Refusal: It is refused; every fault is named. A claim is refused for no other fault of its form than what no
            store can keep.
    """
    if not isinstance(data, dict):
        raise Refusal("the filing is no JSON object")
    if unkept := unkeepable(data):
        raise Refusal(*unkept)
    if data.get("kind") == "claim":
        return _claim(data, now)
    if unkept := too_much(data):
        raise Refusal(*unkept)
    try:
        filing = Filing.model_validate(data)
    except ValidationError as e:
        raise Refusal(*faults_of(e), *_name_faults(data), *_content_faults(data, now)) from None
    faults = [*_name_faults(data), *_content_faults(data, now)]
    if filing.kind == "task" and not faults:
        faults += _task_faults(filing)
    if filing.kind == "privacy_request" and not faults:
        faults += _withdrawal_faults(filing)
    filing = filing.model_copy(update={"received_at": heard(filing.received_at, now)})
    if filing.received_at > now:
        faults.append("received_at: lies in the future")
    elif filing.received_at < COUNTABLE_FROM:
        faults.append(f"received_at: {TOO_EARLY}")
    if faults:
        raise Refusal(*faults)
    return Checked(
        filing=filing,
        case=case_id(filing.kind, filing.organisation, filing.reference),
        sender_reference=filing.reference,
        result=filing.kind if filing.kind in KEPT else None,
    )


def faults_of(error: ValidationError, within: str = "") -> list[str]:
    """Every fault of a validation, with its field and without its value."""
    return [
        ": ".join(filter(None, (f"{within}{path_of(e['loc'])}", in_words(e))))
        for e in error.errors(include_url=False, include_context=False, include_input=False)
    ]


MOST_FAULTS = 100
"""No answer, letter or step names more."""


def at_most(faults: Sequence[str]) -> tuple[str, ...]:
    """As many as somebody reads, and as fit into a step."""
    left = len(faults) - MOST_FAULTS
    return (*faults[:MOST_FAULTS], *([f"and {left} more"] if left > 0 else []))


CONTENT: dict[str, type[Model]] = {
    "access_request": AccessFiling,
    "authenticator_withdrawal": WithdrawalFiling,
    "authenticator_decision": AuthenticatorDecisionFiling,
    "privacy_request": PrivacyFiling,
    "late_premium": LatePremiumFiling,
    "circumstance": CircumstanceFiling,
    "renewal": RenewalFiling,
    "premium_refund": PremiumRefundFiling,
    "recovery": RecoveryFiling,
    "client_change": ClientChangeFiling,
    "credential": CredentialFiling,
    "sign_in_review": SignInReviewFiling,
    "task": TaskFiling,
    "breach": BreachFiling,
}
"""Kind → what the content of its filing must be; a claim is read leniently instead."""


def _content_faults(data: dict[str, Any], now: datetime) -> list[str]:
    kind, value = data.get("kind"), data.get("content")
    if not isinstance(kind, str) or kind not in CONTENT or not isinstance(value, dict):
        return []
    try:
        filing = CONTENT[kind].model_validate(value, context=Hearing(now, new=True))
    except ValidationError as e:
        return faults_of(e, "content.")
    iban = filing.iban if isinstance(filing, LatePremiumFiling | PremiumRefundFiling) else None
    fault = iban_fault(iban) if iban is not None else None
    return [f"content.iban: {fault}"] if fault else []


NEEDS = {
    "claim": ("BTA-10.5a", "BTA-10.5b", "BTA-10.5c"),
    "access_request": ("BL-4",),
    "client_change": ("BL-4",),
    "authenticator_withdrawal": ("BL-3-notice",),
    "authenticator_decision": ("BL-3-notice",),
    "late_premium": ("BTA-6.5",),
    "circumstance": ("BTA-10.3",),
    "premium_refund": ("BTA-11.1", "BTA-11.2"),
    "recovery": ("BTA-11.3", "BTA-9.8", "GJ-debts", "GJ-recovery"),
    "renewal": ("GJ-renewal", "GJ-renewal-objection"),
    "credential": ("BL-8", "BL-9", "BL-10", "BL-16-erase", "SE-2.10", "SE-33.3.4.3", "GJ-portal"),
    "sign_in_review": ("SE-33.3.10", "SE-33.4.1", "SE-33.4.2"),
    "breach": (NOTIFY, TELL, REGISTER),
}
"""Kind → the duties without which it cannot be kept; an organisation that has no such rows of its own adopts them."""


def _rulebook_faults(organisation: Any, kind: str) -> list[str]:
    """Whether this organisation keeps cases of this kind at all."""
    if not isinstance(organisation, str) or organisation not in books() or organisation == "T":
        return ["organisation: it has no rulebook"]
    book = books()[organisation]
    if kind == "privacy_request" and "privacy" not in book.values:
        return ["organisation: its rulebook names no terms for privacy requests"]
    if kind == "task" and not book.tasks:
        return ["organisation: its rulebook names no tasks"]
    if kind == "breach" and "breach" not in book.values:
        return ["organisation: its rulebook does not say to whom breaches are notified"]
    has = {duty.id for duty in book.duty}
    lacking = [duty for duty in NEEDS.get(kind, ()) if duty not in has]
    return [f"organisation: its rulebook has no {duty}, which a {kind} needs" for duty in lacking]


def _name_faults(data: dict[str, Any]) -> list[str]:
    """Why a case cannot be named or kept by what the filing says; a field of another type is a fault of its own."""
    kind, organisation, reference = data.get("kind"), data.get("organisation"), data.get("reference")
    faults = []
    if isinstance(kind, str) and kind not in (*KINDS, *KEPT):
        faults.append(f"kind: {', '.join((*KINDS, *KEPT))}; not this one")
    if isinstance(reference, str) and not REFERENCE.match(reference):
        faults.append("reference: 1 to 64 of A-Z a-z 0-9 . _ -")
    elif isinstance(reference, str) and PERSONAL_CODE.search(reference):
        faults.append("reference: looks like a personal code, and references stay readable for ever")
    if isinstance(organisation, str):
        faults += _rulebook_faults(organisation, kind if isinstance(kind, str) else "")
    return faults


def turn_reference(duty: str, about: str, n: int) -> str:
    """What the case of a turn is called: `SE-3.2_reception_1`, or `SE-37.2_1` of the whole organisation."""
    return "_".join(filter(None, (duty, about, str(n))))


def _task_faults(filing: Filing) -> list[str]:
    """What the rulebook says of a task."""
    said, rulebook = TaskFiling.model_validate(filing.content), books()[filing.organisation]
    terms = rulebook.tasks.get(said.duty)
    if terms is None:
        return [f"content.duty: it is kept as no task here; those that are: {', '.join(rulebook.tasks)}"]
    faults = []
    if terms.about is not None and said.about is None:
        faults.append(f"content.about: missing; the code of the {terms.about}")
    if terms.about is None and said.about is not None:
        faults.append("content.about: this duty is about the whole organisation")
    if said.since > filing.received_at:
        faults.append("content.since: lies after received_at")
    if said.first and said.duty not in rulebook.values.get("recurrence", {}):
        faults.append("content.first: the rulebook gives its first turn no start of its own")
    if terms.recurs and said.n is None:
        faults.append("content.n: missing; this duty recurs, and it is said which turn it is")
    if not terms.recurs and said.n is not None:
        faults.append("content.n: this duty does not recur")
    if terms.recurs and said.n is not None:
        named = turn_reference(said.duty, said.about or "", said.n)
        if filing.reference != named:
            # two cases of one turn would each say that it was done
            faults.append("reference: the case of a turn is named by duty, about and number")
    return faults


def _withdrawal_faults(filing: Filing) -> list[str]:
    """What the rulebook says of the purposes for which consents are withdrawn."""
    withdrawn = PrivacyFiling.model_validate(filing.content).withdraw
    known = purposes_on_consent(books()[filing.organisation])
    if withdrawn is None or set(withdrawn.purposes) <= set(known):
        return []
    return [f"content.withdraw.purposes: on consent this organisation has: {', '.join(sorted(known)) or 'nothing'}"]


def _claim(data: dict[str, Any], now: datetime) -> Checked:
    """A claim: kept whatever its form; only an organisation that does not insure cannot have one."""
    faults: list[str] = []
    organisation = data.get("organisation")
    if lacking := _rulebook_faults(organisation, "claim"):
        raise Refusal(*lacking)
    assert isinstance(organisation, str)
    zone = ZoneInfo(books()[organisation].zone)
    received_at = now
    try:
        received_at = Filing.model_validate({**_WHOLE, "received_at": data.get("received_at")}).received_at
        received_at = heard(received_at, now)
        if received_at > now:
            faults.append("received_at: lies in the future; the instant of entry is taken")
            received_at = now
        elif received_at < COUNTABLE_FROM:
            faults.append(f"received_at: {TOO_EARLY}; the instant of entry is taken")
            received_at = now
    except ValidationError:
        faults.append("received_at: no instant with an offset; the instant of entry is taken")
    given = data.get("reference")
    said = given.strip() if isinstance(given, str) else "" if given is None else str(given)
    reference, unnamed = said, None
    if not REFERENCE.match(said) or PERSONAL_CODE.search(said):
        reference, unnamed = "", said or repr(sorted(data.items(), key=str))
        faults.append("reference: cannot be part of a case's name; this claim has one that Termins gave it")
    content_ = data.get("content")
    if not isinstance(content_, dict):
        content_ = {"unreadable": content_}
    claim, claim_faults = read_claim(content_, received_at.astimezone(zone).date())
    sender = data.get("sender")
    filing = Filing(
        kind="claim",
        organisation=organisation,
        reference=reference,
        received_at=received_at,
        sender=sender if isinstance(sender, str) else "unknown",
        content=content_,
    )
    faults += [f"{printable(name)}: unknown field" for name in sorted(set(data) - set(Filing.model_fields))]
    return Checked(
        filing=filing,
        case=case_id("claim", organisation, reference) if unnamed is None else "",
        sender_reference=said,
        faults=at_most((*faults, *(f"content.{f}" for f in claim_faults))),
        result=None if claim.is_claim else "not_a_claim",
        unnamed=unnamed,
    )


_WHOLE: dict[str, Any] = {"kind": "claim", "organisation": "BTA", "reference": "x", "sender": "x", "content": {}}
