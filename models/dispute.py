"""The words of a dispute with the policyholder or the insured: negotiation, then arbitration or a court (BTA 11.5)."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from models.case import Instant, Message, Text
from models.common import Model

By = Literal["policyholder", "insured", "insurer"]
"""The parties of the contract (11.6); a third party goes to court (9.1.3)."""
About = Literal["cover", "amount", "reduction", "premium", "reimbursement", "recovery", "other"]
Before = Literal["negotiation", "arbitration", "court"]


class Dispute(Model):
    """A dispute that is not over."""

    n: int
    by: By
    about: About
    received_at: datetime
    before: Before = "negotiation"


class ReportDispute(Message):
    """A party of the contract disputes what was decided: it is settled by negotiation first (11.5)."""

    by: By = Field(description="policyholder, insured or insurer: who disputes it")
    about: About = Field(description="cover, amount, reduction, premium, reimbursement, recovery or other")
    received_at: Instant = Field(description="when it was received or sent, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="where the letter is kept")


class ReferDispute(Message):
    """Negotiation led to no agreement: arbitration, or the court that policy or parties agreed on, decides (11.5)."""

    to: Literal["arbitration", "court"] = Field(
        description="arbitration; court only where the policy's special conditions or the parties say so"
    )
    referred_at: Instant = Field(description="when, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="where the claim to it is kept")


class EndDispute(Message):
    """The dispute is over: the decision stands, or is made anew within 30 days from then (11.5)."""

    outcome: Literal["stands", "anew", "dropped"] = Field(
        description="stands, anew (by agreement or by an award), or dropped by whoever disputed"
    )
    ended_at: Instant = Field(description="the day of the agreement or the award, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="where the agreement or the award is kept")
