"""The words of access: requests for it (BL 4) and the end or limit of a third-party authenticator (BL 3)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from models.case import Actor, AnsweredOutside, AskedOutside, Day, Instant, Message, Text
from models.common import Model

Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,40}$")]
"""A reason as a code, such as `client_asked`: it stands in the timeline, where no personal data may be."""

Authenticator = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,40}$")]
"""A third-party authenticator, such as `smart-id` or `ebank-one`."""

User = Annotated[str, StringConstraints(pattern=r"^U[1-9][0-9]*$")]
"""A user's line in an access request: U1 is the first."""

# ---- what is filed --------------------------------------------------------------------------------------------------


class Requester(Model):
    """Who asks in the client's name."""

    name: Text | None = None
    email: Text


Action = Literal["issue", "change", "cancel"]


class AccessFiling(Model):
    """A client's request for access, for another one, or for none any more.

    Its lines are read one by one: what is missing in one never refuses the others.
    """

    client: Text
    requester: Requester
    action: Action
    users: Annotated[tuple[Any, ...], Field(min_length=1)]
    """A line each: first_name, last_name, personal_code, phone, email, country (LV, LT, EE), authenticator.

    To change, it says how these shall be, and the access's last day as `valid_until`; `none` as the authenticator:
    login data in its place, as the last day: no such day. To cancel, it is enough
    that the person is certain.
    """
    for_case: Text | None = None
    """The withdrawal of an authenticator in which the client asked."""

    @model_validator(mode="after")
    def _for_login_data(self) -> Self:
        if self.for_case is not None and self.action != "issue":
            raise ValueError("for_case: said only with the action issue")
        return self


class AuthenticatorDecisionFiling(Model):
    """The decision to end or limit a third-party authenticator for every client that uses it."""

    authenticator: Authenticator
    scope: Literal["end", "limit"]
    limitation: Text | None = None
    """What remains possible, in words for the client; for `limit`."""
    decided_by: Actor
    takes_effect_on: Day | None = None
    """A later day than the ten days' notice allows."""

    @model_validator(mode="after")
    def _what_limit(self) -> Self:
        if (self.scope == "limit") != (self.limitation is not None):
            raise ValueError("limitation: said for the scope limit, and only then")
        return self


class WithdrawalFiling(AuthenticatorDecisionFiling):
    """The decision to end or limit a third-party authenticator for one client."""

    client: Text


# ---- what an access request remembers -------------------------------------------------------------------------------

LineStatus = Literal[
    "sending", "issued", "confirmed", "incomplete", "bounced", "dropped", "asked", "to_issue", "changed", "cancelled"
]
"""`asked`: a change or cancellation that is carried out in the next step; `to_issue`: a change by which new data go
out."""


IN_WORDS: dict[LineStatus, str] = {
    "sending": "being sent",
    "bounced": "the letter came back",
    "asked": "being carried out",
    "to_issue": "new login data are to go out",
}
"""What a line's status is called where its name does not say it."""


class Line(Model):
    """One user of a request, without a word about who it is."""

    user: str
    status: LineStatus
    authenticator: bool = False
    """Signs in with an authenticator and gets a confirmation instead of login data (BL-3-choice)."""
    agreed: bool = False
    """Has an authenticator, but the client agreed that login data are issued all the same."""
    faults: tuple[str, ...] = ()
    """What is missing or wrong, such as `phone:missing`."""
    doubts: tuple[str, ...] = ()
    """What was taken, but is worth a second look, such as `personal_code:sum`."""
    told: bool = False
    """The requester was told what is missing."""
    letters: int = 0
    """How many letters were queued to the user: login data or a confirmation."""
    received_at: datetime | None = None
    """When what was missing came; the days of a change that issues data run from here."""

    @property
    def letter(self) -> str:
        """The key of the newest letter to the user."""
        return f"BL-4:{self.user}:{self.letters}"

    @property
    def done(self) -> bool:
        """True once the line has its result."""
        return self.status in ("issued", "confirmed", "dropped", "changed", "cancelled") or (
            self.status == "incomplete" and self.told
        )


REFUSALS = {
    "not_authorised": "whoever asked is not on the client's list (BL-4)",
    "contract_ended": "the client's contract has ended (BL-11)",
}
"""Why nothing of a request is done, in words for people."""


class AccessBody(Model):
    """All of an access request that must survive its run."""

    received_at: datetime
    client: str
    action: Action = "issue"
    for_case: str | None = None
    refused: Literal["not_authorised", "contract_ended"] = "not_authorised"
    """Why nothing of it is done, where that is so."""
    lines: tuple[Line, ...] = ()
    announced: bool = False
    """The first step, which starts the clocks, is recorded."""
    notices: dict[str, Literal["queued", "sent", "refused"]] = Field(default_factory=dict)
    """Letters to the requester and to the responsible employee."""
    voided: tuple[str, ...] = ()
    """Letters that came back, whose secrets the identity provider has yet to forget."""
    outcome: str | None = None

    def line(self, user: str) -> Line | None:
        """The line of this user, if there is one."""
        return next((line for line in self.lines if line.user == user), None)

    def having(self, *lines: Line, **more: Any) -> AccessBody:
        """The body with these lines in the place of the former ones."""
        new = {line.user: line for line in lines}
        return self.model_copy(update={"lines": tuple(new.get(line.user, line) for line in self.lines), **more})


class IssueAccess(AskedOutside):
    """What `access.issue` is asked: the letter, queued by a step, that gives a user the access."""

    case: str
    key: str


class Issued(AnsweredOutside):
    """The proof that login data or a confirmation went to the user, or why they never will. Holds no secret."""

    key: str
    user: str
    sent_at: datetime | None = None
    reference: str | None = None
    refused: str | None = None


class VoidSecret(Model):
    """What `access.void_secret` is asked: the letter that came back."""

    case: str
    key: str


class SecretVoided(Model):
    """The secret of a letter that came back opens nothing any more."""

    key: str


# ---- what a withdrawal remembers ------------------------------------------------------------------------------------


class WithdrawalBody(Model):
    """All of a withdrawal that must survive its run."""

    client: str
    authenticator: str
    scope: Literal["end", "limit"]
    limitation: str | None = None
    decided_by: str
    decision: str | None = None
    """The decision for everybody that it is a part of."""
    takes_effect_on: Day | None = None
    effect_anchor: datetime | None = None
    """The eve of the chosen day: what T-effect-day is counted from."""
    letters: dict[str, Literal["queued", "sent", "refused", "bounced"]] = Field(default_factory=dict)
    queued_at: datetime | None = None
    """When the newest notice was queued: none can have been sent before."""
    counting: str | None = None
    """The letter from which the ten days run, where a later one only told of a later day; none: the newest."""
    sent_at: datetime | None = None
    """When the newest of them was proven sent."""
    fallbacks: dict[str, Literal["open", "done"]] = Field(default_factory=dict)
    """Access requests for login data that the client made meanwhile."""
    regardless: bool = False
    """An operator decided that the effect does not wait for open requests."""
    effective_on: date | None = None
    without: tuple[str, ...] = ()
    """Users who had no other access when the effect came, each as `case/user` of their request; the first of them."""
    result: Literal["in_effect", "withdrawn", "contract_ended"] | None = None
    outcome: str | None = None

    @property
    def open_fallbacks(self) -> tuple[str, ...]:
        """The requests that have no result yet."""
        return tuple(case for case, status in self.fallbacks.items() if status == "open")


class TakeAway(Model):
    """What `access.withdraw_authenticator` is asked."""

    case: str
    n: int
    """Which clock of BL-3-notice has run: one that a bounce or a new notice has ended since counts no more."""
    day: int | None = None
    """Which clock of the chosen day has run, if there is one: the day may have been moved since."""
    at: datetime
    """The workflow's time, the first of the three clocks."""


class Withdrawn(Model):
    """The effect of a withdrawal: when it came, and the accounts it touched, each as `case/user` of its request."""

    effective_at: datetime | None = None
    effective_on: date | None = None
    ended: tuple[str, ...] = ()
    kept_login_data: tuple[str, ...] = ()
    """The authenticator is gone, login data stay: they had been issued meanwhile."""
    limited: tuple[str, ...] = ()
    refused: str | None = None


ASKED = "access_filed"
"""Why a withdrawal looks again: the client asked for login data by a filing of its own."""


class Fallbacks(Model):
    """Access requests: those asked about, or those of them that have a result by now."""

    cases: tuple[str, ...] = ()
    of: str | None = None
    """The withdrawal, if it also asks which requests there are."""
    found: tuple[str, ...] = ()
    """All that it has."""


# ---- what people say to an access request ---------------------------------------------------------------------------


class CompleteLine(Message):
    """What was missing or wrong in a line has come: its own two working days run from its receipt."""

    line: User = Field(description="U1, U2, …")
    received_at: Instant = Field(description="when it was received, such as 2026-11-21T10:00+02:00")
    first_name: Text | None = None
    last_name: Text | None = None
    personal_code: Text | None = None
    country: Literal["LV", "LT", "EE"] | None = None
    phone: Text | None = None
    email: Text | None = None
    authenticator: Text | None = Field(
        default=None, description="another authenticator in the place of one that was refused, or none: login data"
    )
    valid_until: Text | None = None

    @property
    def fields(self) -> dict[str, str]:
        """What was said, by field."""
        said = {name: getattr(self, name) for name in LINE_FIELDS}
        return {name: value for name, value in said.items() if value is not None}

    @property
    def by_login_data(self) -> bool:
        """Login data shall take the place of the authenticator that the line named."""
        return self.authenticator is not None and self.authenticator.strip().lower() == NO_AUTHENTICATOR


NO_AUTHENTICATOR = "none"
"""What a line says where login data shall take the place of an authenticator."""
LINE_FIELDS = ("first_name", "last_name", "personal_code", "country", "phone", "email", "authenticator", "valid_until")
"""What a completion may say of a user."""


class DropLine(Message):
    """A line is not pursued any more: nothing is issued for it."""

    example: ClassVar[dict[str, Any]] = {"reason": "client_asked"}

    line: User = Field(description="U1, U2, …")
    reason: Code = Field(description="a code such as client_asked")


# ---- what people say to a withdrawal --------------------------------------------------------------------------------


class RequestFallback(Message):
    """The client asks for login data for users of the authenticator: an access request of its own is opened."""

    users: Annotated[tuple[Any, ...], Field(min_length=1)] = Field(
        description="list of users: first_name, last_name, personal_code, phone, email"
    )
    received_at: Instant = Field(description="when the client asked, such as 2026-11-21T10:00+02:00")
    requester: Requester | None = Field(
        default=None, description="name and email of who asked, if not the responsible employee, who got the notice"
    )


class WithdrawDecision(Message):
    """The decision is withdrawn before its effect: everyone who was told is told again."""

    reason: Code = Field(description="a code such as decision_reversed")


class MoveEffect(Message):
    """The effect comes on another day: later, or earlier as far as a new notice allows; everyone is told anew."""

    takes_effect_on: Day = Field(description="YYYY-MM-DD, the day of the effect; never before the notice allows")
    reason: Code = Field(description="a code such as client_asked_for_time")


class TakeEffect(Message):
    """Let the effect come although requests for login data are open; never before the notice has run."""

    reason: Code = Field(description="a code such as client_does_not_answer")


# ---- what letters say of faults -------------------------------------------------------------------------------------

_FIELDS = {
    "first_name": {"lv": "vārds", "lt": "vardas", "en": "first name"},
    "last_name": {"lv": "uzvārds", "lt": "pavardė", "en": "surname"},
    "personal_code": {"lv": "personas kods", "lt": "asmens kodas", "en": "personal code"},
    "phone": {"lv": "tālrunis", "lt": "telefono numeris", "en": "phone number"},
    "email": {"lv": "e-pasta adrese", "lt": "el. pašto adresas", "en": "e-mail address"},
    "country": {
        "lv": "personas koda valsts (LV, LT vai EE)",
        "lt": "asmens kodo valstybė (LV, LT arba EE)",
        "en": "country of the personal code (LV, LT or EE)",
    },
    "authenticator": {
        "lv": "trešās personas autentifikators",
        "lt": "trečiojo asmens autentifikavimo priemonė",
        "en": "third-party authenticator",
    },
    "valid_until": {
        "lv": "piekļuves pēdējā diena (GGGG-MM-DD)",
        "lt": "paskutinė prieigos diena (MMMM-mm-dd)",
        "en": "last day of the access (YYYY-MM-DD)",
    },
    "account": {
        "lv": "šī darbinieka piekļuve klientu zonai",
        "lt": "šio darbuotojo prieiga prie klientų zonos",
        "en": "access of this employee to the client zone",
    },
    "line": {"lv": "ziņas par darbinieku", "lt": "darbuotojo duomenys", "en": "details of the employee"},
}
_WHAT = {
    "missing": {"lv": "trūkst ziņu: {}", "lt": "trūksta duomenų: {}", "en": "not given: {}"},
    "wrong": {"lv": "nederīgas ziņas: {}", "lt": "netinkami duomenys: {}", "en": "not valid: {}"},
    "repeated": {
        "lv": "šīs ziņas pieprasījumā jau norādītas par citu darbinieku: {}",
        "lt": "šie duomenys prašyme jau nurodyti kitam darbuotojui: {}",
        "en": "given for another employee of this request already: {}",
    },
    "none": {"lv": "nav atrasta: {}", "lt": "nerasta: {}", "en": "not found: {}"},
    "several": {"lv": "ir vairākas: {}", "lt": "yra kelios: {}", "en": "there are several: {}"},
    "unfit": {
        "lv": "neatbilst vārdam un uzvārdam: {}",
        "lt": "neatitinka vardo ir pavardės: {}",
        "en": "does not fit the name: {}",
    },
    "unlisted": {
        "lv": "klienta līgumā nav paredzēts: {}",
        "lt": "kliento sutartyje nenumatyta: {}",
        "en": "not in the client's contract: {}",
    },
    "ended": {
        "lv": "vairs nav izmantojams, tā vietā var pieprasīt pieslēgšanās datus: {}",
        "lt": "nebegali būti naudojama, vietoj jos galima prašyti prisijungimo duomenų: {}",
        "en": "can no longer be used, login data can be asked for instead: {}",
    },
    "unknown": {"lv": "nesaprotamas ziņas: {}", "lt": "nesuprantami duomenys: {}", "en": "not understood: {}"},
}


def say_fault(fault: str) -> dict[str, str]:
    """A fault such as `phone:missing` in words for the client, in the three languages."""
    field, _, what = fault.partition(":")
    return {language: _WHAT[what][language].format(_FIELDS[field][language]) for language in ("lv", "lt", "en")}
