"""Names that histories freeze: task queue, workflow types, search attributes, and how a case's id is built."""

from __future__ import annotations

import hashlib
import re

TASK_QUEUE = "termins"

KINDS = {
    "claim": "Claim",
    "access_request": "AccessRequest",
    "authenticator_withdrawal": "AuthenticatorWithdrawal",
    "authenticator_decision": "AuthenticatorDecision",
    "privacy_request": "PrivacyRequest",
    "late_premium": "LatePremium",
    "renewal": "Renewal",
    "premium_refund": "PremiumRefund",
    "recovery": "Recovery",
    "client_change": "ClientChange",
    "credential": "Credential",
    "sign_in_review": "SignInReview",
    "task": "Task",
    "breach": "Breach",
}
"""Kind of case → workflow type."""

KEPT = ("circumstance",)
"""Kinds of filings that are kept as evidence, with no case that runs."""

REFERENCE = re.compile(r"^[A-Za-z0-9._-]{1,64}\Z")
ORGANISATION = re.compile(r"^[A-Z]{1,3}\Z")
MESSAGE_ID = re.compile(r"^[A-Za-z0-9._:-]{1,100}\Z")
"""The id of an update: plain text in the engine and in the store, and never erased."""
EVENT_ID = "event-"
"""What the id of an update begins with that delivers an event; the sender's id follows."""
MESSAGE_NAME = re.compile(r"^[a-z][a-z_]{1,40}\Z")
PERSONAL_CODE = re.compile(r"(?<![0-9A-Za-z])[0-9]{6}-?[0-9]{5}(?![0-9A-Za-z])")
"""What looks like a personal code of one of the three countries. A hash or a UUID never does."""
ACTOR = r"^(system:)?[a-z][a-z0-9._-]{1,31}$"
"""A pseudonymous operator code (`janis` is a name, `op-17` is not), or `system:` and the name of a backend."""

CASE_KIND = "CaseKind"
ORGANISATION_ATTRIBUTE = "Organisation"
STAGE = "Stage"
HANDLER = "Handler"
DUTIES = "Duties"
DUE = "Due"
OVERDUE = "Overdue"


def case_id(kind: str, organisation: str, reference: str) -> str:
    """The workflow id of a case: `claim:BTA:2026-000123`.

    Raises:
        ValueError: A part is not of its form; nothing is mangled into shape.
    """
    if kind not in (*KINDS, *KEPT):
        raise ValueError(f"kind: {', '.join((*KINDS, *KEPT))}; not this one")
    if not ORGANISATION.match(organisation):
        raise ValueError("organisation: one to three capital letters")
    if not REFERENCE.match(reference):
        raise ValueError("reference: 1 to 64 of A-Z a-z 0-9 . _ -")
    return f"{kind}:{organisation}:{reference}"


def split_case_id(case: str) -> tuple[str, str, str]:
    """Kind, organisation and reference of a workflow id.

    Raises:
        ValueError: It is no case's id.
    """
    try:
        kind, organisation, reference = case.split(":")
    except ValueError:
        raise ValueError("a case is named kind:ORGANISATION:reference") from None
    case_id(kind, organisation, reference)
    return kind, organisation, reference


def id_fault(id: str) -> str | None:
    """Why this cannot be the id of an update; None if it can. What follows `event-` is meant where there is that."""
    own = id.removeprefix(EVENT_ID)
    if not MESSAGE_ID.match(id) or not own:
        return f"1 to {100 - len(id) + len(own)} of A-Z a-z 0-9 . _ : -"
    if PERSONAL_CODE.search(own):
        return "looks like a personal code, and ids stay readable for ever"
    return None


def shortened(sender_reference: str) -> str:
    """A short reference for one that Termins made itself and that is too long for an id; the same text, the same one.

    Without a key, as a workflow knows none: only for what is readable anyway. What a sender wrote is
    `security.index.reference_of`.
    """
    return "G-" + hashlib.sha256(sender_reference.encode()).hexdigest()[:12]
