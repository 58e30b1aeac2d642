"""Sanctions: the EU's consolidated list of persons, groups and entities, read from the XML file that it publishes.

The file is fetched by whoever runs the installation, and replaced as a whole; it is read anew when it has changed.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from models.screening import BirthDate, Listed, SanctionsList

SAMPLE = Path(__file__).parent.parent / "samples" / "sanctions.xml"
"""Invented people, in the form of the real list."""

_NAMESPACE = {"": "http://eu.europa.ec/fpi/fsd/export"}


class ListUnavailable(Exception):
    """There is no list that could be read; the text names no path."""


class Sanctions(Protocol):
    """A source of the list."""

    async def listed(self) -> SanctionsList:
        """The list as it is now. Raises `ListUnavailable`."""
        ...


class SanctionsFile:
    """The list in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int], SanctionsList] | None = None

    async def listed(self) -> SanctionsList:
        """See `Sanctions`. A file that did not change is not read twice."""
        return await asyncio.to_thread(self._listed)

    def _listed(self) -> SanctionsList:
        try:
            facts = self._path.stat()
            mark = facts.st_mtime_ns, facts.st_size
            if self._read is None or self._read[0] != mark:
                self._read = mark, parse(self._path.read_bytes())
        except OSError as failure:
            raise ListUnavailable(f"there is no sanctions list: {failure.strerror}") from None
        return self._read[1]


def parse(content: bytes) -> SanctionsList:
    """A published list. Raises `ListUnavailable`."""
    try:
        export = fromstring(content, forbid_dtd=True)
        if export.tag != f"{{{_NAMESPACE['']}}}export":
            raise ListUnavailable("the sanctions list is no export of the EU's list")
        made_at = datetime.fromisoformat(export.attrib["generationDate"])
        entries = tuple(_entries(export))
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise ListUnavailable("the sanctions list cannot be read") from None
    if not entries:
        # a file cut short would clear everybody
        raise ListUnavailable("the sanctions list names nobody")
    return SanctionsList(
        made_at=made_at if made_at.tzinfo is not None else made_at.replace(tzinfo=UTC),
        digest=hashlib.sha256(content).hexdigest(),
        sample=export.get("globalFileId") == "SAMPLE",
        entries=entries,
    )


def _entries(export: Element) -> Iterator[Listed]:
    for entity in export.iterfind("sanctionEntity", _NAMESPACE):
        names = [_name(alias) for alias in entity.iterfind("nameAlias", _NAMESPACE)]
        births = [_birth(birth) for birth in entity.iterfind("birthdate", _NAMESPACE)]
        known = [birth for birth in births if birth is not None]
        if any(names):
            yield Listed(
                id=entity.get("euReferenceNumber") or entity.attrib["logicalId"],
                names=tuple(dict.fromkeys(name for name in names if name)),
                # one that cannot be read may be the right one
                births=tuple(known) if len(known) == len(births) else (),
            )


def _name(alias: Element) -> str:
    whole = alias.get("wholeName", "").strip()
    return whole or " ".join(
        part for name in ("firstName", "middleName", "lastName") if (part := alias.get(name, "").strip())
    )


def _birth(birth: Element) -> BirthDate | None:
    try:
        exact = birth.get("circa") != "true" and birth.get("calendarType", "GREGORIAN") == "GREGORIAN"
        day = date.fromisoformat(birth.attrib["birthdate"]) if exact and birth.get("birthdate") else None
        return BirthDate(year=day.year if day is not None else int(birth.attrib["year"]), day=day)
    except (ValueError, KeyError):
        return None
