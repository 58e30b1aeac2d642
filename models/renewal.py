"""The words of a reminder that a contract nears its end (GJ-renewal): what is filed, remembered and said."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from models.case import Day, Message, Text
from models.common import Model
from models.policy import Key
from models.settlement import Money


class RenewalFiling(Model):
    """A contract whose end nears."""

    policy: Key
    ends_on: Day


class RenewalBody(Model):
    """All of a reminder that must survive its run."""

    policy: str
    insurer: str
    ends_on: date
    lead_reached_at: datetime
    next_from: date
    next_to: date
    premium: Money | None = None
    """What the term that ends costs in all; none: not followed here."""
    notices: dict[str, Literal["queued", "sent", "refused"]] = Field(default_factory=dict)
    objected: bool = False
    outcome: str | None = None


class LookAtPolicy(Model):
    """What `renewal.look` is asked."""

    case: str
    policy: str


class PolicySeen(Model):
    """What became of the contract, or of the wish to be reminded."""

    objection_received_at: datetime | None = None
    reminders_stopped_at: datetime | None = None
    ended: bool = False
    """It ended early, or never took effect: there is nothing to be renewed."""


class DropReminder(Message):
    """No reminder is sent any more: the contract was renewed, or nobody can be reached."""

    reason: Text = Field(description="why")
