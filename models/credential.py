"""The words of a credential: one user's access at one client, for its life (BL 6 to 11)."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar, Literal

from pydantic import Field

from models.case import AskedOutside, Day, Instant, Message, Text
from models.common import Model
from models.operator import Role

SuspensionGround = Literal["BL-8", "BL-10"]
"""A leak that the responsible employee reported, or a suspicion."""
Scope = Literal["one", "several", "client"]
"""Whom one act suspends."""
EndGround = Literal["BL-3-notice", "BL-9", "BL-10", "BL-11", "BL-16-erase", "SE-2.10", "GJ-portal"]
"""By what an account ends: no authenticator left, asked or a breach, danger, the contract's end, no longer needed, a
leaver or mover, or the portal's term."""
Cause = Literal["client_asked", "breach", "danger", "left", "moved"]
"""Why an access is revoked."""
GROUNDS: dict[Cause, EndGround] = {
    "client_asked": "BL-9",
    "breach": "BL-9",
    "danger": "BL-10",
    "left": "SE-2.10",
    "moved": "SE-2.10",
}
USER, RESPONSIBLE = "user", "responsible"
"""The parties of a credential who are told."""

TOLD: dict[str, tuple[str, ...]] = {
    "BL-6": (USER,),
    "BL-8": (RESPONSIBLE, USER),
    "BL-9": (RESPONSIBLE,),
    "BL-10": (RESPONSIBLE,),
    "BL-16-erase": (USER, RESPONSIBLE),
}
"""Duty → who is told of what happened by it. The first proves the duty kept; a suspect is not warned (BL 10)."""

LEGAL_HOLD = "legal_hold"
"""What stands against an erasure, beside requests."""

FOUND_CAUSES = {"BL-9": "client_asked", "BL-10": "danger"}
"""Ground → what a letter says of an end that was not said to the case."""

# ---- what is filed --------------------------------------------------------------------------------------------------


class CredentialFiling(Model):
    """An account whose life a case is to live."""

    client: Text
    username: Text


# ---- what a credential remembers ------------------------------------------------------------------------------------


class Suspended(Model):
    """The suspension that lasts."""

    n: int
    ground: SuspensionGround
    by: str
    since: datetime


class CredentialBody(Model):
    """All of a credential that must survive its run."""

    client: str
    username: str
    request: str
    """The access request that made the account."""
    issued_at: datetime
    authenticator: str | None = None
    secret_set_at: datetime | None = None
    """When the present secret was set; none: there are no login data."""
    first_sign_in_at: datetime | None = None
    locked_at: datetime | None = None
    suspension: int = 0
    """The last suspension that is recorded here."""
    suspended: Suspended | None = None
    reviewed_at: datetime | None = None
    last_contract_ended_on: date | None = None
    """The day from which the portal's term is counted."""
    contract_again_on: date | None = None
    """The first day of a contract that was reported since; what the store knows to have ended before says nothing."""
    ended_at: datetime | None = None
    ended_by: str | None = None
    ground: str | None = None
    """The clause by which it ended."""
    begun: bool = False
    """The first step is recorded."""
    provider: Literal["behind", "told"] = "told"
    """Whether the identity provider knows how the account stands."""
    leaked: bool = False
    """The login data are void; new ones go to the user once the access is open."""
    erasure: Literal["none", "due", "done"] = "none"
    """Of the user's data, once the access has ended; `none` also where it ended before there was an erasure."""
    against: tuple[str, ...] = ()
    """What stands against it: `legal_hold`, an access request's line (`case/user`), a privacy request."""
    held_since: datetime | None = None
    """Since when a legal hold stands."""
    events: int = 0
    """How often somebody was told something; names letters and their clocks."""
    notices: dict[str, Literal["queued", "sent", "refused"]] = Field(default_factory=dict)
    """The newest letters: `duty:party:event:try` → what became of it."""
    outcome: str | None = None


class LookAtAccount(Model):
    """What `credential.look` is asked."""

    case: str
    after: int
    """The last suspension that the case knows."""


class SuspensionSeen(Model):
    """A suspension as the store holds it."""

    n: int
    ground: SuspensionGround
    scope: Scope
    by: str
    started_at: datetime
    event_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None
    outcome: Literal["reinstated", "revoked"] | None = None


class AccountSeen(Model):
    """An account as the store holds it."""

    status: Literal["active", "suspended", "ended"]
    authenticator: str | None = None
    secret_set_at: datetime | None = None
    first_sign_in_at: datetime | None = None
    locked_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None
    event_at: datetime | None = None
    ground: EndGround | None = None
    suspensions: tuple[SuspensionSeen, ...] = ()
    """The last that the case knows, and every later one."""
    insured_until: date | None = None
    """The last day of the client's last insurance contract, where the store knows its policies."""
    insured: bool = False
    """That day has not passed."""


class ApplyAccount(Model):
    """What `credential.apply` is asked."""

    case: str
    void: bool = False
    """The secret that the provider has is to open nothing any more, unless another was set since."""


class Applied(Model):
    """How the account stands with the identity provider now."""

    status: Literal["active", "suspended", "ended"]


class LookAtErasure(Model):
    """What `credential.look_at_erasure` is asked."""

    case: str


class ErasureSeen(Model):
    """What stands against the erasure of a user's data, and what goes with it."""

    at: datetime
    against: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    """The user's lines in access requests, each as `case/user`."""


class SendSecret(AskedOutside):
    """What `credential.send_secret` is asked: the letter, queued by a step, that gives the user other login data."""

    case: str
    key: str


# ---- what people and systems say ------------------------------------------------------------------------------------


class ReportLeak(Message):
    """Login data may have become known to others: suspended at once, by BL 8 or, from the user directly, by BL 10."""

    reported_by: Literal["responsible_employee", "user"] = Field(description="responsible_employee or user")
    reported_at: Instant = Field(description="when it was reported, such as 2026-11-21T10:00+02:00")
    reason: Text = Field(description="what was reported")


class SuspendCredential(Message):
    """The access is suspected to be insecure or dangerous: suspended while that is investigated (BL 10)."""

    reason: Text = Field(description="what is suspected")


class ReviewSuspension(Message):
    """The suspension was looked at and lasts; the next review is counted from here."""

    finding: Text = Field(description="why it lasts")


class ReinstateCredential(Message):
    """The investigation is over and the access is safe: the user may sign in again (BL 10)."""

    role: ClassVar[Role] = "security"

    finding: Text = Field(description="what the investigation found")


class RevokeCredential(Message):
    """The access ends for good; who needs one again gets another account by a new request (BL 9, 10; SE 2.10)."""

    cause: Cause = Field(description="client_asked, breach, danger, left or moved")
    happened_at: Instant = Field(
        description="when the client asked, the breach was found, or the user left, such as 2026-11-21T10:00+02:00"
    )
    reason: Text = Field(description="what happened, or the reference of the request")


class ChangeSecret(Message):
    """The login data are changed for security: another one-time secret goes straight to the user (BL 6)."""

    reason: Text = Field(description="why")


class GiveUp(Message):
    """The user gives up the own access: it ends, for it is no longer needed."""

    given_up_at: Instant = Field(description="when the user said so, such as 2026-11-21T10:00+02:00")


class ReleaseLock(Message):
    """The user was identified: the lock after too many failed sign-ins is taken off (SE 33.3.9)."""

    role: ClassVar[Role] = "security"

    reason: Text = Field(description="how the user was identified")


class ReportLastContract(Message):
    """The client's last insurance contract has ended: the term of its access to the portal runs from that day.

    For what the store does not know: of the policies in it the case hears by itself.
    """

    ended_on: Day = Field(description="its last day, such as 2026-12-31")
    reference: Text = Field(description="the contract")


class ReportNewContract(Message):
    """The client has an insurance contract again: the term of its access to the portal ends."""

    starts_on: Day = Field(description="its first day, such as 2027-01-01")
    reference: Text = Field(description="the contract")


class PlaceLegalHold(Message):
    """What is known of the user is needed for a claim or by an authority: nothing of it goes while that lasts."""

    reason: Text = Field(description="what it is needed for, and since when")


class LiftLegalHold(Message):
    """It is not needed any more: what should have gone meanwhile goes, and cannot be brought back."""

    role: ClassVar[Role] = "security"

    reason: Text = Field(description="what has ended")
