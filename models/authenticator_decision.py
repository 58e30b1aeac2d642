"""The words of the decision to end or limit an authenticator for everybody (BL 3): what it remembers and looks at."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from models.case import Day
from models.common import Model

BATCH = 50
"""Clients, or withdrawals, of one step: as many as the store takes in a moment."""
PASSED_ON = "decision-"
"""What the ids of events begin with that a decision says to its withdrawals; a number follows."""
BELL = "withdrawal"
"""Why a decision looks again: something changed in one of its withdrawals, or a client came."""
NAMED = 10
"""Withdrawals that are named to people; the others are counted."""


class Progress(Model):
    """How the withdrawals of a decision stand: each is counted once in the first seven."""

    waiting: int = 0
    """Filed; their cases have not begun."""
    telling: int = 0
    unreached: int = 0
    """The notice came back or could not be sent: another address is needed."""
    running: int = 0
    held: int = 0
    """The notice has run, and there is no effect yet: most often a request for login data is open."""
    in_effect: int = 0
    withdrawn: int = 0
    fallbacks: int = 0
    """Requests for login data that have no result yet."""
    refused: int = 0
    """Did not take what was passed on last."""
    behind: tuple[str, ...] = ()
    """Those unreached, held, or that refused, by name; no more than `NAMED`."""

    @property
    def settled(self) -> int:
        """The withdrawals in which nothing more is to come."""
        return self.in_effect + self.withdrawn


class LookAtWithdrawals(Model):
    """What `authenticator_decision.look` is asked."""

    case: str
    at: datetime
    event: str | None = None
    """What was passed on last: who refused it?"""


class WithdrawalsSeen(Model):
    """The clients that are still to be told, no more than a batch, and how the withdrawals stand."""

    clients: tuple[str, ...] = ()
    progress: Progress = Progress()


class PassedOn(Model):
    """What was said for everybody, and how many of the withdrawals have it."""

    event: str
    """The id of the event in each of them."""
    name: str
    message: dict[str, Any]
    given: int = 0


class AuthenticatorDecisionBody(Model):
    """All of a decision that must survive its run; small, for it goes into each step."""

    authenticator: str
    scope: Literal["end", "limit"]
    decided_by: str
    takes_effect_on: Day | None = None
    clients: int = 0
    """How many are concerned, and have a withdrawal of their own."""
    progress: Progress = Progress()
    said: int = 0
    """How many things were said for everybody."""
    passed: PassedOn | None = None
    """What was said last."""
    withdrawn: bool = False
    outcome: str | None = None
