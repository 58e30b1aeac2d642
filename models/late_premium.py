"""The words of a late first premium (6.5): what is filed, what the case remembers, and what people say to it."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar, Literal

from pydantic import Field

from models.case import Message, Text
from models.claim import Payment
from models.common import Model
from models.operator import Role
from models.policy import Key, Number
from models.screening import Standing
from models.settlement import Money


class LatePremiumFiling(Model):
    """The payment with which the only or first premium was paid in full, after its last day."""

    policy: Key
    premium: Number
    """The bank's reference of the payment."""
    iban: Text | None = None
    """Where the premium came from, and goes back to if it is refused."""


class LatePremiumBody(Model):
    """All of a late premium that must survive its run."""

    policy: str
    premium: str
    amount: Money
    """All that was paid of the premium: what goes back if it is refused."""
    due_on: date
    paid_on: date
    received_at: datetime
    account: bool = False
    """Whether it is known where the premium came from."""
    proposed_by: str | None = None
    """Who would refuse it, while a second person is asked."""
    reason: str | None = None
    """Until the letter is queued."""
    notices: dict[str, Literal["queued", "sent", "refused"]] = Field(default_factory=dict)
    payments: tuple[Payment, ...] = ()
    hits: dict[str, Standing] = Field(default_factory=dict)
    """Parties who were found on the sanctions list before any payment; whoever was cleared is none."""
    outcome: str | None = None


class LookForClaims(Model):
    """What `late_premium.claims` is asked."""

    policy: str


class ClaimsKnown(Model):
    """How many claims on the policy are known."""

    claims: int


# ---- what people say ------------------------------------------------------------------------------------------------


class RefusePremium(Message):
    """Refuse the late premium: the policy never took effect, and the premium goes back (6.5)."""

    reason: Text = Field(description="why, in words for the policyholder")


class ApproveRefusal(Message):
    """A second person approves the refusal, as a claim on this policy is known."""

    role: ClassVar[Role] = "approve"


class SendBackRefusal(Message):
    """The second person does not approve the refusal: the right runs on, unused."""

    role: ClassVar[Role] = "approve"

    reason: Text = Field(description="why")
