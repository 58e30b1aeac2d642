"""The words of a client: its contract, who may ask in its name, and from where and with what its users sign in."""

from __future__ import annotations

import re
from datetime import date
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from models.access import Authenticator
from models.case import Day, Instant, Text
from models.common import Model
from models.keepable import MOST
from models.policy import Number, Organisation, read_model
from models.settlement import Label, Language

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


def _plain(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError("one plain e-mail address in ASCII is needed, such as name@company.example")
    return value


Email = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254), AfterValidator(_plain)]
"""One address, without a name beside it: by it people are known."""


def _network(value: str) -> str:
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise ValueError("no network, such as 192.0.2.0/24 or 2001:db8::/32") from None
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("its host bits are set: the network begins at another address") from None


Network = Annotated[str, AfterValidator(_network)]
"""An address or a network of either version, written the one way that compares equal."""


class Person(Model):
    """A person of a client: the responsible employee of the contract's annex."""

    name: Text
    email: Email
    code: Text | None = None


ListedRole = Literal["requester", "deputy", "signatory"]
Role = Literal["responsible", "requester", "deputy", "signatory"]

ROLES: dict[Role, Label] = {
    "responsible": Label(lv="atbildīgais darbinieks", lt="atsakingas darbuotojas", en="responsible employee"),
    "requester": Label(
        lv="persona, kas klienta vārdā var lūgt piekļuvi",
        lt="asmuo, galintis kliento vardu prašyti prieigos",
        en="person who may ask for access in the client's name",
    ),
    "deputy": Label(
        lv="atbildīgā darbinieka vietnieks",
        lt="atsakingo darbuotojo pavaduotojas",
        en="deputy of the responsible employee",
    ),
    "signatory": Label(
        lv="persona ar paraksta tiesībām", lt="asmuo, turintis parašo teisę", en="person who may sign for the client"
    ),
}
"""What a person of a client is, in the words of its letters."""


class Listed(Person):
    """Somebody else who may ask in the client's name."""

    role: ListedRole = "requester"


class AnyAddress(Model):
    """The agreement that users sign in from any address, by which the client bears the risk (BL-12)."""

    by: Text
    """Who agreed for the client."""
    on: Day
    reference: Text


Requesters = Annotated[tuple[Listed, ...], Field(max_length=MOST)]
Networks = Annotated[tuple[Network, ...], Field(max_length=MOST)]
Authenticators = Annotated[tuple[Authenticator, ...], Field(max_length=MOST)]


class ClientFiling(Model):
    """A client as it is registered."""

    client: Number
    organisation: Organisation
    name: Text
    language: Language = "lv"
    responsible: Person
    requesters: Requesters = ()
    login_data_agreed: bool = False
    """Users of an authenticator get login data too (BL-3-choice)."""
    contract: Number | None = None
    contract_from: Day | None = None
    contract_until: Day | None = None
    """Its last day, once that is known (BL-11)."""
    addresses: Networks = ()
    any_address: AnyAddress | None = None
    authenticators: Authenticators = ()


class ClientFacts(Model):
    """What can be said of a client later; what is not named stays."""

    name: Text | None = None
    language: Language | None = None
    responsible: Person | None = None
    requesters: Requesters | None = None
    login_data_agreed: bool | None = None
    contract: Number | None = None
    contract_from: Day | None = None
    contract_until: Day | None = None
    addresses: Networks | None = None
    any_address: AnyAddress | None = None
    authenticators: Authenticators | None = None


PEOPLE = ("responsible", "requesters")
"""What changes by a case of its own, which tells the old and the new."""
MAY_BE_NONE = frozenset({"contract", "contract_from", "contract_until", "any_address"})


class AskedBy(Model):
    """Who of the client asked."""

    name: Text | None = None
    email: Email


class HowAsked(Model):
    """Who wants other people in a client's record, and under which number."""

    reference: Number | None = None
    """Of the client's letter, or of the document that the operator has."""
    asked_by: AskedBy | None = None
    reason: Text | None = None
    """Why an operator enters it, where nobody of the client asked."""
    received_at: Instant | None = None


def read_client(data: Any) -> tuple[ClientFiling | None, list[str]]:
    """A client as it is registered, or every fault."""
    return read_model(ClientFiling, data, between)


def read_facts(data: Any) -> tuple[dict[str, Any], HowAsked, list[str]]:
    """What is said of a client, as JSON by field, how it was asked for, and every fault."""
    if not isinstance(data, dict):
        return {}, HowAsked(), ["no JSON object"]
    about = {name: value for name, value in data.items() if name not in HowAsked.model_fields}
    facts, faults = read_model(ClientFacts, about)
    faults += [
        f"{name}: cannot be taken away, only replaced"
        for name, value in about.items()
        if value is None and name in ClientFacts.model_fields and name not in MAY_BE_NONE
    ]
    how, more = read_model(HowAsked, {name: value for name, value in data.items() if name not in about})
    said = facts.model_dump(mode="json", include=set(about)) if facts is not None else {}
    return said, how or HowAsked(), [*faults, *more]


def between(said: dict[str, Any]) -> list[str]:
    """The faults between a client's fields, as far as they could be read."""
    faults = []
    first, last = _day(said.get("contract_from")), _day(said.get("contract_until"))
    if first is not None and last is not None and last < first:
        faults.append("contract_until: lies before contract_from")
    if said.get("contract") is None and (first is not None or last is not None):
        faults.append("contract: its days are said, but not its number")
    networks = [ip_network(n) for n in said.get("addresses") or ()]
    if networks and said.get("any_address") is not None:
        faults.append("addresses: a list beside any_address; one of them holds")
    if any(network.prefixlen == 0 for network in _collapsed(networks)):
        faults.append("addresses: this is every address; any_address says who agreed to that")
    listed = [_email(person) for person in said.get("requesters") or ()]
    faults += [f"requesters.{n}.email: is given twice" for n, email in enumerate(listed) if email in listed[:n]]
    return faults


def _collapsed(networks: list[IPv4Network | IPv6Network]) -> list[IPv4Network | IPv6Network]:
    four = [n for n in networks if isinstance(n, IPv4Network)]
    six = [n for n in networks if isinstance(n, IPv6Network)]
    return [*collapse_addresses(four), *collapse_addresses(six)]


def _day(value: Any) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _email(person: Any) -> str:
    email: str = person["email"] if isinstance(person, dict) else person.email
    return email.casefold()
