"""A person as a data system: who keeps paper and the rest, what a request asks of them, and what they answer.

What no machine can be asked for, a person is asked for, act by act: to search, and where something is found to hand it
out, correct, restrict, erase or release it. Each is a task with a proof and a clock of its own (DZ-6.1, SE-4.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from models.case import Correction, Day, Instant, Message, Text
from models.common import Model
from models.names import PERSONAL_CODE
from models.settlement import Label
from models.storage import WAYS, Medium, Way

ASKED = "T-person-system"
"""The duty whose clock runs for each system and act from the asking: `T-person-system archive:search`."""

PersonAct = Literal["search", "hand_out", "rectify", "restrict", "erase", "release"]
Handling = Literal["hand_out", "rectify", "restrict", "erase", "release"]

ACTS: Mapping[PersonAct, Label] = {
    "search": Label(
        lv="sameklēt, kas tiek glabāts par šo personu",
        lt="surasti, kas saugoma apie šį asmenį",
        en="search for what is kept about this person",
    ),
    "hand_out": Label(
        lv="sagatavot un izsniegt kopijas, aizklājot citu personu datus",
        lt="parengti ir išduoti kopijas, uždengus kitų asmenų duomenis",
        en="make the copies and hand them out, with other people's data masked",
    ),
    "rectify": Label(lv="izlabot datus", lt="ištaisyti duomenis", en="correct the data"),
    "restrict": Label(
        lv="atzīmēt, ka datus drīkst tikai glabāt",
        lt="pažymėti, kad duomenis galima tik saugoti",
        en="mark the data as only to be stored",
    ),
    "erase": Label(
        lv="iznīcināt: papīru sasmalcināt, pārējo izdzēst neatgriezeniski",
        lt="sunaikinti: popierių susmulkinti, kita ištrinti be galimybės atkurti",
        en="destroy: shred what is paper, erase the rest beyond recovery",
    ),
    "release": Label(
        lv="noņemt ierobežojuma atzīmi", lt="panaikinti apribojimo žymą", en="take the mark of the restriction away"
    ),
}
"""What a holder is asked for, as the letter to them says it."""

SystemName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Holder = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,39}$")]
"""The role or queue that is written to: a mailbox of the organisation, never somebody's name."""


def _nobody(value: str) -> str:
    if PERSONAL_CODE.search(value):
        raise ValueError("looks like a personal code")
    return value


Staff = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{1,31}$"), AfterValidator(_nobody)]
"""Who on the staff did it, by code."""
Reference = Annotated[Text, AfterValidator(_nobody)]


class PersonSystem(Model):
    """A place that only a person can search, as the file of data systems registers it."""

    name: SystemName
    title: Label
    organisations: tuple[str, ...]
    holder: Holder
    holds: Text
    """What it holds, for who looks at the case."""
    medium: Medium
    """`paper` is shredded (SE-12.3), anything else goes beyond recovery (SE-12.2)."""
    safeguards: Label | None = None
    """Where the data are in a third country: the safeguards of the transfer (SE-16.11)."""


class HeldItem(Model):
    """Something that a holder found, by its reference."""

    document: Reference
    """How it is called there: a file's number, never the person's name."""
    pages: Annotated[int, Field(ge=1, le=100_000)]
    where: Reference
    """Where it stands; the person is not told."""
    category: Text
    """Which data it holds."""
    since: Day | None = None
    until: Day | None = None

    @model_validator(mode="after")
    def _forward(self) -> HeldItem:
        if self.since is not None and self.until is not None and self.until < self.since:
            raise ValueError("until: lies before since")
        return self


class KeptItem(Model):
    """Something that was not destroyed, and on which ground of the controller's."""

    record: Text
    ground: Text


class Asked(Model):
    """One act that one system was asked for."""

    system: str
    act: PersonAct
    asked_at: datetime
    records: tuple[str, ...] = ()
    """What it is about, by the names that the search gave: `archive:2`. Of a search nothing yet."""
    answered_at: datetime | None = None
    """When it was done, as it was said."""
    pages: int = 0
    """Of a search: how many pages were found."""
    kept: dict[str, str] = Field(default_factory=dict)
    """Of an erasure: what stays → its ground."""

    @property
    def subject(self) -> str:
        """The subject of its clock."""
        return f"{self.system}:{self.act}"


class PeopleFound(Model):
    """What `privacy.people` answers: the people that the controller's data are to be asked of."""

    people: tuple[PersonSystem, ...]


# ---- messages -------------------------------------------------------------------------------------------------------

_CORRECTION = Field(default=None, description="where the term is over already: reason, document, second_person")


class ReportSearch(Message):
    """What a person who keeps data found there about the person who asks; an empty list says that nothing is held."""

    system: SystemName = Field(description="the data system that was searched")
    searched_at: Instant = Field(description="when, such as 2026-11-21T10:00+02:00")
    by: Staff = Field(description="code of who searched")
    reference: Reference = Field(description="reference to the proof")
    items: tuple[HeldItem, ...] = Field(
        max_length=100, description="list of document, pages, where, category; if known since, until. Name nobody"
    )
    correction: Correction | None = _CORRECTION

    example: ClassVar[dict[str, Any]] = {
        "items": [{"document": "‹number›", "pages": "‹how many›", "where": "‹place›", "category": "‹which data›"}]
    }


class ReportHandling(Message):
    """What a person who keeps data did with what was found: handed out, corrected, restricted, destroyed, released."""

    system: SystemName = Field(description="the data system")
    act: Handling = Field(description="hand_out, rectify, restrict, erase or release")
    done_at: Instant = Field(description="when, such as 2026-11-21T10:00+02:00")
    by: Staff = Field(description="code of who did it")
    reference: Reference = Field(description="reference to the proof, such as the record of destruction")
    way: Way | None = Field(default=None, description="erase: shredded for paper, beyond_recovery for the rest")
    kept: tuple[KeptItem, ...] = Field(
        default=(), max_length=100, description="erase: what is not destroyed and set apart, as list of record, ground"
    )
    correction: Correction | None = _CORRECTION


def way_of(medium: Medium) -> Way:
    """How what is kept there is destroyed (SE-12.2, SE-12.3)."""
    return WAYS[medium]
