"""Clients: who of its people came, left or changed, and whether its contract is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from models.client_change import PersonChange

Row = Mapping[str, Any]


def is_over(contract_until: date | None, today: date) -> bool:
    """True from the day after the contract's last day (BL-11)."""
    return contract_until is not None and today > contract_until


def is_listed(responsible: Row, requesters: Sequence[Row], email: str) -> bool:
    """Only the responsible employee and those on the client's list ask in its name; a user as such does not (4)."""
    return email.strip().casefold() in {_email(person) for person in (responsible, *requesters)} - {""}


def changed_people(before: Row, after: Row) -> dict[str, tuple[PersonChange, Row]]:
    """Who is told of a change of people: party → what the person was and is, and who it is.

    A person is known by the address, for that is what lets somebody ask: another address is another person, and the
    former one is told too. Who is the responsible employee is that, also where the list has the same address.
    """
    was, now = _people(before), _people(after)
    changed: dict[str, tuple[PersonChange, Row]] = {}
    others = 0
    for email in {**was, **now}:
        former, new = was.get(email), now.get(email)
        if former == new:
            continue
        change = PersonChange(was=former and former[0], now=new and new[0])
        if change.now == "responsible":
            party = "responsible"
        elif change.was == "responsible":
            party = "former_responsible"
        else:
            others += 1
            party = f"R{others}"
        changed[party] = change, (new or former or ("", {}))[1]
    return changed


def _people(client: Row) -> dict[str, tuple[Any, Row]]:
    """Address → role and person."""
    people = {_email(p): (p.get("role", "requester"), p) for p in client["requesters"]}
    people[_email(client["responsible"])] = ("responsible", client["responsible"])
    people.pop("", None)
    return people


def _email(person: Row) -> str:
    return str(person.get("email") or "").strip().casefold()
