"""Data systems: places that hold personal data, and what a privacy request asks of each of them.

A system is asked side by side with all others of its controller. What it holds about a person is told as records,
named without personal data; a record is located, handed out, erased or marked as restricted as a whole.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import Any, Protocol

from models.common import Model
from models.rectification import Corrected, Datum
from models.settlement import Label


class SystemDown(Exception):
    """The system does not answer, or not as agreed: it is asked again. The text names no person."""


class DatasetFaults(Exception):
    """A dataset file that cannot be used, or does not fit its database; every fault."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Subject(Model):
    """The person a request is about, as identified; or somebody as a system knows them."""

    name: str
    """Empty where a system knows none."""
    personal_code: str
    """Empty where a system knows none: then nobody is found by it."""
    email: str | None = None


class Found(Model):
    """A record that names the person."""

    record: str
    """Its name in the whole house: a case's id, `client:K1`, or `clinic:visits` for the visits of system `clinic`."""
    rows: int
    in_use: str | None = None
    """Why it cannot be erased now."""
    until: date | None = None
    """The last day on which that keeps it, if it can be said."""


class DataSystem(Protocol):
    """A place that holds personal data. Everything may be asked again at any time; all raise `SystemDown`."""

    name: str
    title: Label
    safeguards: Label | None
    """Where its data are in a third country: the safeguards of the transfer (SE-16.11)."""

    async def locate(self, organisation: str, person: Subject, today: datetime) -> tuple[Found, ...]:
        """Every record of this controller that names the person; what was erased names nobody."""
        ...

    async def export(self, person: Subject, record: str) -> dict[str, Any]:
        """What a record holds about the person, with other people's data masked."""
        ...

    async def erase(self, person: Subject, record: str, at: datetime) -> bool:
        """Erase the person from a record, in one commit; False if it is in use and was left alone."""
        ...

    async def rectify(self, person: Subject, record: str, data: Sequence[Datum]) -> Corrected:
        """Put right what a record says of the person, in one commit; what is right already is not changed again."""
        ...

    async def restrict(self, person: Subject, record: str, ground: str, by: str | None = None) -> bool:
        """Mark a record as restricted; False if it is another system's, or cannot carry the mark: a person sees to it.

        What is kept in an erasure carries its ground; with `by` it carries the request that asked for it, until that
        releases it.
        """
        ...

    async def release(self, person: Subject, record: str, by: str) -> bool:
        """Take the mark of this request away; False if the record does not carry it."""
        ...

    def people(self, organisation: str) -> AsyncIterator[Sequence[Subject]]:
        """Whom it knows of this controller, in batches, somebody perhaps more than once.

        After a restore those are found among them by their keyed hashes who had been erased.
        """
        ...


def normal_code(code: str) -> str:
    """A personal code without the separators in which it is written."""
    return re.sub(r"[\s-]", "", code).casefold()


def normal_name(name: str) -> str:
    """A name as it is compared: small letters without diacritics, with single blanks."""
    apart = unicodedata.normalize("NFKD", name)
    return " ".join("".join(c for c in apart if not unicodedata.combining(c)).split()).casefold()
