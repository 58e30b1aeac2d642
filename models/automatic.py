"""The words of decisions that the rulebook makes by itself, and of their review by a person (GJ lines 155-159)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from models.case import Instant, Message, Text
from models.common import Model
from models.operator import Role
from models.settlement import NONE, Head, Money

BY_RULEBOOK = "system:rulebook"
"""Who decided, where no person did."""

Registered = Literal["online", "health_partner"]
"""How a claim was registered, where no person of the insurer wrote it down."""


class Automation(Model):
    """`[values.automatic]` of a rulebook: which claims are decided without a person. Without it none are."""

    up_to: Money
    """EUR; what a decision pays at most."""
    heads: Annotated[tuple[Head, ...], Field(min_length=1)]
    """The heads of loss whose claimed amount counts as proven once every document that is asked for was received."""
    registered: Annotated[tuple[Registered, ...], Field(min_length=1)]


class Ruled(Model):
    """By which text of the rulebook a claim is decided. It travels with the decision: a later text changes nothing."""

    rulebook: str
    """Its version."""
    automation: Automation


class Automatic(Model):
    """What became of the automatic decision of a claim for which the rulebook allows one."""

    state: Literal["possible", "left", "decided", "reviewed"] = "possible"
    """`left`: a person decides; `reviewed`: a person decided anew after a review."""
    why: tuple[str, ...] = ()
    """Why it was left to a person."""
    rulebook: str = ""
    """The version of the rulebook that decided."""
    reviews: int = 0
    """How many reviews were asked for."""


class Review(Model):
    """A review of the automatic decision that is under way."""

    n: int
    received_at: datetime
    took_part: tuple[str, ...] = ()
    """The operators who did something for the decision: none of them reviews it. Only the store knows them."""
    by: str | None = None
    """Who reviewed it and said that it is to be decided anew."""


class AutomaticFacts(Model):
    """What the rulebook looks at before it decides by itself."""

    registered: Registered | None
    filing_faults: int
    """Faults of what was filed that were told to the claimant."""
    claimants: int
    heads: tuple[Head, ...]
    documents: dict[str, str]
    """Document → received, waived, missing or not_asked."""
    findings: dict[str, str]
    """Point of cover, exclusion or breach → what stands: met, not_met, open, possible."""
    accounts: bool
    """Everybody who is paid has an account that money can reach."""
    unpaid_premium: Decimal = NONE
    """EUR that are due and unpaid, and could be withheld (9.5)."""
    payable: Decimal = NONE
    """EUR."""
    lessened_by: tuple[str, ...] = ()
    """The clauses of the settlement by which less is paid than what is proven less the deductible."""
    needs_second: bool = False


# ---- what people say ------------------------------------------------------------------------------------------------


class DecideByPerson(Message):
    """A person decides this claim, whatever the rulebook could decide by itself."""

    reason: Text = Field(description="why, such as: the claimant wants no automatic decision")


class RequestReview(Message):
    """The claimant asks that a person reviews the automatic decision; possible at any time."""

    received_at: Instant = Field(description="when it was received, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="where the request is kept")
    view: Text | None = Field(default=None, description="what the claimant says against the decision")


class ReviewDecision(Message):
    """The automatic decision was reviewed: it is upheld, or is decided anew by the one who reviewed it."""

    role: ClassVar[Role] = "approve"

    outcome: Literal["uphold", "anew"] = Field(description="uphold or anew")
    reason: Text = Field(description="why; of one that is upheld in words for the claimant")


# ---- what is kept ---------------------------------------------------------------------------------------------------


class Frozen(Model):
    """What an automatic decision was made from, as it was then: for whoever reviews it."""

    automation: Automation
    facts: AutomaticFacts
    settlement: dict[str, Any]
    """The input of the settlement: terms of the policy, losses, what other claims had taken and reserved."""
    documents: tuple[dict[str, Any], ...]
    """What was received: which document, when, where it is kept, its SHA-256."""
    judged: dict[str, str]
    """Point of cover → the operator who judged it; the others are what the facts say."""
