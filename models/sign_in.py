"""The words of signing in: what the client zone asks and is answered, what was opened, and the review of a month."""

from __future__ import annotations

import re
from datetime import date, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from models.case import Instant, Message, Text
from models.common import Model
from models.operator import Role

PASSWORD = "password"  # noqa: S105  # the name of a method, no password

MOST_TYPED = 200
"""Characters of a user name that are looked at; people type and paste anything there."""

Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,39}$")]
"""A word of a list that somebody keeps: never a sentence, never a person."""
Client = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def _one_form(value: object) -> object:
    """The address in the one form in which it is compared and known again: IPv4 in IPv6 is IPv4."""
    if not isinstance(value, str):
        return value
    try:
        found = ip_address(value.strip())
    except ValueError:
        raise ValueError("an IPv4 or IPv6 address, such as 192.0.2.7 or 2001:db8::7") from None
    if isinstance(found, IPv6Address) and found.scope_id is not None:
        raise ValueError("an address with a zone holds on one machine only")
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


Address = Annotated[IPv4Address | IPv6Address, BeforeValidator(_one_form)]

Result = Literal[
    "allowed",
    "change_password",
    "not_known",
    "wrong",
    "wrong_locks",
    "locked",
    "suspended",
    "ended",
    "no_contract",
    "authenticator",
    "limited",
    "portal_first",
    "address",
]
"""What a question came to, as the journal has it.

allowed          a session began
change_password  right, but only the change of the password is open (SE-33.3.4.4)
not_known        nobody has this user name at this client
wrong            the password was wrong, or is void: the letter with it came back, or another is on its way
wrong_locks      it was, once more than allowed: the account is locked since (SE-33.3.9)
locked           asked while the account was locked
suspended        BL-8, BL-10
ended            BL-9, BL-11
no_contract      the client's contract has not begun, or is over
authenticator    not the account's, or taken away
limited          the authenticator was limited (BL-3-notice)
portal_first     the first sign-in is by an authenticator, where the rulebook adopts GJ-portal-first
address          not one of the client's (BL-12)
"""

FAILED: tuple[Result, ...] = ("not_known", "wrong", "wrong_locks", "locked")
"""Those that count as failed in the review: somebody could not prove who they are."""


class SignInAsked(Model):
    """Somebody wants to sign in."""

    client: Client
    username: Annotated[str, StringConstraints(min_length=1, max_length=MOST_TYPED)]
    address: Address
    method: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,40}$")] = PASSWORD
    """`password`, or the authenticator that proved who it is."""


class SignInAnswer(Model):
    """May this user sign in from this address now?"""

    allowed: bool
    code: Result
    """For the one who asks. Before somebody has proven who they are there is one refusal only: `not_known`."""
    session: str | None = None
    """The number of the session that began: it opens nothing by itself."""


class Standing(Model):
    """All that decides whether somebody may sign in: an account with its client, in one read."""

    organisation: str
    status: str
    authenticator: str | None
    limited: bool
    must_change: bool
    login_data: bool
    """It has login data that did not come back, and none are on their way to the user."""
    locked: bool
    failed: int
    first: bool
    """Nobody has signed in with it yet."""
    credential: str | None
    contract_from: date | None
    contract_until: date | None
    addresses: tuple[str, ...]
    any_address: bool


class Opened(Model):
    """A user opened something of somebody (SE-33.4.1)."""

    session: str
    file: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    """Which file or record."""
    action: Literal["read", "entered", "changed", "copied", "erased", "searched"]
    purpose: Code
    """Why it was looked for (SE-33.3.11)."""
    health: bool = False
    """It holds health data."""


def _is_month(value: str) -> str:
    if not re.fullmatch(r"(19|20|21)\d\d-(0[1-9]|1[0-2])", value):
        raise ValueError("a month is written YYYY-MM")
    return value


Month = Annotated[str, AfterValidator(_is_month)]
"""A calendar month in the organisation's zone."""


class Counted(Model):
    """What a month's journal comes to, of one user or of all."""

    allowed: int = 0
    refused: int = 0
    """Questions that were answered with no, the failed among them."""
    failed: int = 0
    """Wrong passwords, unknown names, and attempts while locked."""
    locks: int = 0
    new_addresses: int = 0
    """Addresses from which a user signed in who had signed in before, from others."""
    odd_hours: int = 0
    """Sign-ins outside the hours that the rulebook names."""
    opened: int = 0
    """Files that were opened."""
    health: int = 0
    """Of these, those with health data (SE-33.4.1)."""

    def __add__(self, other: Counted) -> Counted:
        """Both together."""
        names = Counted.model_fields
        return Counted(**{name: getattr(self, name) + getattr(other, name) for name in names})


class UserLine(Model):
    """One user of one client in a month; no name, where nobody has the name that was typed."""

    client: str
    username: str | None = None
    counted: Counted


class MonthReport(Model):
    """The journal of a month, per client and user (SE-33.4.2)."""

    organisation: str
    month: Month
    begins: datetime
    ends: datetime
    """Exclusive; both are local midnights."""
    users: tuple[UserLine, ...] = Field(default=())

    @property
    def together(self) -> Counted:
        """All users of all clients."""
        return sum((line.counted for line in self.users), Counted())


# ---- the review of a month ------------------------------------------------------------------------------------------


class SignInReviewFiling(Model):
    """A month of an organisation's journal that is over."""

    month: Month
    since: Instant
    """When the journal was reviewed last; before the first review, from when on it was kept."""


class SignInReviewBody(Model):
    """All of a review that must survive its run: numbers, never who."""

    month: str
    since: datetime
    counted: Counted | None = None
    users: int = 0
    clients: int = 0
    outcome: str | None = None


class CountMonth(Model):
    """What `sign_in_review.count` is asked."""

    case: str


class MonthCounted(Model):
    """What a month came to, small enough for a history; who it was stays in the store."""

    counted: Counted
    users: int
    clients: int


class SignOffReview(Message):
    """The journal of the month was looked through: what was found, and what follows from it."""

    findings: Text = Field(description="what was found, or that nothing was")
    follows: Text = Field(description="what is done about it, or that nothing has to be")

    role: ClassVar[Role] = "security"
