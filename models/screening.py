"""The words of sanctions screening: who is listed, who is to be paid, and what they have in common."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from models.common import Model


class BirthDate(Model):
    """When a listed person was born, as far as the list says it."""

    year: int
    day: date | None = None
    """None where only the year is known, or it is said to be about right."""


class Listed(Model):
    """A person or an organisation on the list."""

    id: str
    """The list's own number, such as `EU.27.28`."""
    names: tuple[str, ...]
    """All names and aliases, in every script."""
    births: tuple[BirthDate, ...] = ()
    """Every birth date that the list gives; empty for an organisation, or where it gives one without a year."""


class SanctionsList(Model):
    """A list as it was published."""

    made_at: datetime
    digest: str
    """SHA-256 of the file, in hexadecimal."""
    sample: bool
    """True for the sample of invented people that comes with Termins: nobody real is on it."""
    entries: tuple[Listed, ...]


SCREENED = "screened"
"""The reason of a bell: somebody who became known may be on the sanctions list."""

Standing = Literal["hit", "confirmed"]
"""Of somebody who was found early: a person must judge, or said that it is the listed one."""


class PartyHit(Model):
    """Somebody who became known and may be a listed one."""

    party: str
    list: str
    """The list by which that was found, for people."""
    hits: tuple[str, ...]
    """The list's numbers."""


class Hit(Model):
    """A payee who may be a listed one."""

    id: str
    name: str
    """The name on the list that is like the payee's."""
    likeness: int
    """Percent: of the two words that are least alike."""
