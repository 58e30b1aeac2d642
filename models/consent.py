"""The words of consents: who consented to what, by which channels, informed by what; and how that ends (GDPR 7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from models.case import Instant, Text
from models.client import Email
from models.common import Model
from models.policy import Organisation, read_model
from models.storage import Code, Reference

ContactChannel = Literal["email", "sms", "phone", "post", "social_media"]

# ---- what the rulebook says -----------------------------------------------------------------------------------------


class ConsentTerms(Model):
    """`[values.consent]` of a rulebook: the clauses of a consent, and which purposes ask for channels."""

    proof: str
    """The row or the clause by which a consent has to be proven: without proof there is none (SE-23.2)."""
    information: str
    """The row or the clause by which information comes first: without it a consent is not valid (SE-15.12)."""
    withdrawal: str
    """The row of a withdrawal: by when what rests on the consent has stopped."""
    gates: dict[Code, str] = Field(default_factory=dict)
    """Purpose for which people are contacted → the row or clause that binds it to the channels consented to."""
    only: dict[Code, tuple[ContactChannel, ...]] = Field(default_factory=dict)
    """Purpose → the channels to which the document itself confines it."""
    one_product: tuple[Code, ...] = ()
    """Purposes for which people are contacted about one product only (GJ-purchase-contact)."""
    latest: tuple[Code, ...] = ()
    """Purposes whose term is counted from the latest consent, whichever channel it was for (GJ-marketing-term)."""
    marketing: tuple[Code, ...] = ()
    """Purposes that an objection to direct marketing stops."""


# ---- who, and by which channel --------------------------------------------------------------------------------------

NEEDS: Mapping[ContactChannel, tuple[str, ...]] = {
    "email": ("email",),
    "sms": ("phone",),
    "phone": ("phone",),
    "post": ("address",),
    "social_media": ("email", "phone"),
}
"""Channel → what of a person it needs: a channel is used with that channel's data and no other (GJ lines 313–320)."""
GivenBy = Literal["portal", "form", "link", "email", "phone", "sms", "post", "in_person"]
"""How somebody consented or withdrew: in the portal, on a signed form, by a link in a letter, …"""


def _dialled(value: str) -> str:
    plain = re.sub(r"[\s()-]", "", value)
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", plain):
        raise ValueError("a number with its country is needed, such as +370 612 34567")
    return plain


Phone = Annotated[str, StringConstraints(max_length=40), AfterValidator(_dialled)]
PersonalCode = Annotated[str, StringConstraints(strip_whitespace=True, min_length=5, max_length=40)]
Channels = Annotated[tuple[ContactChannel, ...], Field(max_length=len(NEEDS))]
IDENTIFIERS = ("personal_code", "email", "phone")
"""By which a person is found: each is kept as a keyed hash."""


class Identified(Model):
    """A person by what is known: any of these, and all that are given are meant."""

    personal_code: PersonalCode | None = None
    email: Email | None = None
    phone: Phone | None = None

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not any(getattr(self, name) for name in IDENTIFIERS):
            raise ValueError("a person is known by personal_code, email or phone; one of them is needed")
        return self


class Consenting(Identified):
    """Whoever consents: with a name, and the contact data of the channels."""

    name: Text
    address: Text | None = None


# ---- what is said ---------------------------------------------------------------------------------------------------

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$", to_lower=True)]


class ConsentFiling(Model):
    """A consent as it was given."""

    organisation: Organisation
    consent: Reference
    """Its reference, which names nobody and stays readable."""
    person: Consenting
    purpose: Code
    """As the rulebook names it: `marketing`."""
    channels: Channels = ()
    about: Code | None = None
    """The product, where the purpose is bound to one."""
    given_at: Instant
    given_by: GivenBy
    text_version: Reference
    """Which text was agreed to."""
    text_sha256: Sha256
    """Of that text, so that no other can be put in its place."""
    notice_version: Reference | None = None
    """Which information notice the person had been given before."""
    informed_at: Instant | None = None
    """When that was."""
    proof: Reference | None = None
    """Where the proof is kept; a consent without it is none until it is said."""


class Withdrawal(Model):
    """A consent is taken back: by its reference, or all that a person gave, for one purpose or for every one."""

    organisation: Organisation
    consent: Reference | None = None
    person: Identified | None = None
    purpose: Code | None = None
    channels: Channels = ()
    """Only these; none named: all of them."""
    received_at: Instant | None = None
    """When the person said so; now, if it is not said."""
    withdrawn_by: GivenBy
    document: Reference | None = None
    """Where that is kept."""


class Question(Model):
    """May this person be contacted for this purpose, by this channel?"""

    organisation: Organisation
    person: Identified
    purpose: Code
    channel: ContactChannel | None = None
    about: Code | None = None
    at: Instant | None = None
    """As of this instant; now, if it is not said."""


Reason = Literal[
    "given",
    "none",
    "objected",
    "restricted",
    "withdrawn",
    "expired",
    "without_proof",
    "other_product",
    "other_channel",
]


class Answer(Model):
    """Whether the person may be contacted, and why."""

    organisation: str
    purpose: str
    channel: ContactChannel | None
    at: datetime
    may: bool
    reason: Reason
    clause: str
    """The row or clause that decides."""
    consent: str | None = None
    """The consent that allows it, or the one that no longer does."""
    since: datetime | None = None
    """When it was given; of what ended, when it ended."""
    until: datetime | None = None
    """From this instant on it is over."""


# ---- what is kept ---------------------------------------------------------------------------------------------------

What = Literal["given", "proved", "withdrawn", "objected", "restricted", "released", "erased"]


class Statement(Model):
    """One thing that happened to a person's consents, as the register keeps it; without the person."""

    n: int
    what: What
    consent: str | None
    """None: a person took back or objected to every consent for the purpose that was given before."""
    purpose: str
    channels: tuple[ContactChannel, ...] = ()
    at: datetime
    proof: str | None = None
    about: str | None = None
    source: str | None = None
    """The document or case from which it is known."""


class Stopped(Model):
    """What became of a withdrawal or an objection: from `stopped_at` on nothing that rests on it is allowed."""

    organisation: str
    consents: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    """Records elsewhere that nothing but the consent carried: their term is over now."""
    received_at: datetime
    stopped_at: datetime
    due: datetime | None = None
    """By when it had to stop, where the rulebook counts that."""
    late: bool = False
    """It stopped later than the later reading of that row allows."""

    @property
    def anything(self) -> bool:
        """Whether there was something to stop."""
        return bool(self.consents or self.records)


class Over(Model):
    """When a consent's data are over: by which term, counted how."""

    duty: str
    due: datetime | None = None
    last_day: date | None = None
    derivation: tuple[str, ...] = ()


# ---- reading --------------------------------------------------------------------------------------------------------

Fit = Callable[[dict[str, Any]], list[str]]
"""Finds the faults between the fields that could be read."""


def read_consent(data: Any, fit: Fit = lambda _: []) -> tuple[ConsentFiling | None, list[str]]:
    """A consent as given, or every fault of its fields; `fit` finds those of the fields that could be read."""
    return read_model(ConsentFiling, data, lambda said: [*_of_channels(said), *fit(said)])


def is_reference(value: Any) -> bool:
    """Whether this can be a consent's reference; what cannot may be anything, a name too."""
    try:
        TypeAdapter(Reference).validate_python(value)
    except ValidationError:
        return False
    return True


def _of_channels(said: dict[str, Any]) -> list[str]:
    """What of the person a channel lacks, and channels named twice."""
    person, channels = said.get("person"), said.get("channels") or ()
    faults = ["channels: each once"] if len(set(channels)) != len(channels) else []
    if person is None:
        return faults
    known = person if isinstance(person, dict) else person.model_dump()
    return faults + [
        f"person.{field}: missing; the channel {channel} needs it"
        for channel in dict.fromkeys(channels)
        for field in NEEDS.get(channel, ())
        if not known.get(field)
    ]


def read_withdrawal(data: Any, fit: Fit = lambda _: []) -> tuple[Withdrawal | None, list[str]]:
    """A withdrawal, or every fault of its fields."""

    def between(said: dict[str, Any]) -> list[str]:
        faults = []
        read = "consent" in said and "person" in said
        if read and (said["consent"] is None) == (said["person"] is None):
            faults.append("consent, person: exactly one of them says what is withdrawn")
        if said.get("consent") is not None and said.get("purpose") is not None:
            faults.append("purpose: the consent has its own")
        return [*faults, *fit(said)]

    return read_model(Withdrawal, data, between)


def read_question(data: Any, fit: Fit = lambda _: []) -> tuple[Question | None, list[str]]:
    """A question, or every fault of its fields."""
    return read_model(Question, data, fit)
