"""Records of processing (GDPR 30, SE-22.1): made at any time from what holds now, so that they are current.

Purposes, grounds and terms stand in the rulebook, what people are told of categories and recipients in its points;
transfers, processors and assessments are the gates that were decided, and the data systems those of the installation.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.breach import Language
from models.common import Model
from models.errors import Refusal
from operations.data_systems import Entry
from operations.duties import length
from operations.gates import Gate, gates
from operations.intake import Sessions
from operations.own_store import OwnStore
from operations.reading import local
from rules.points import Point, points
from rules.rulebook import Rulebook, books
from rules.storage import purposes
from rules.wording import in_

TRANSFER, PROCESSOR, ASSESSED = "third_country_transfer_planned", "processor_engaged", "high_risk_processing_planned"
"""The events that begin the gates whose decisions stand in the records."""


class Activity(Model):
    """One purpose: by which duty and how long its data are kept, and on what it rests."""

    purpose: str
    duty: str
    clause: str
    title: str
    ground: str
    law: str | None
    term: str
    """How long, from which event."""


class Measure(Model):
    """A security measure that the document asks for."""

    duty: str
    clause: str
    title: str


class System(Model):
    """A place where data lie."""

    name: str
    title: str
    safeguards: str | None
    """Where that is a third country."""


class Processing(Model):
    """The records of processing of one controller, as of an instant; points 1 to 7 of SE-22.1."""

    organisation: str
    controller: str
    document: str
    contact: str
    row: str
    clause: str
    keeper: str
    """The role that keeps them (SE-2.6)."""
    made_at: datetime
    made: str
    """The same for people, in the controller's zone."""
    rulebook_version: str
    purposes: str
    categories: str
    recipients: str
    activities: tuple[Activity, ...]
    processors: tuple[Gate, ...]
    transfers: tuple[Gate, ...]
    """Those that may start."""
    assessments: tuple[Gate, ...]
    systems: tuple[System, ...]
    security: tuple[Measure, ...]
    open: tuple[Gate, ...]
    """What was planned and is not decided: it stands in the records once it may start."""


async def records_of_processing(
    sessions: Sessions, systems: Sequence[Entry], now: datetime, organisation: str, language: Language | None = None
) -> Processing:
    """The records of a controller.

    Raises:
        Refusal: It has no rulebook, or that says nothing of such records.
    """
    rulebook = books().get(organisation) if organisation != "T" else None
    if rulebook is None:
        raise Refusal("organisation: it has no rulebook")
    terms = rulebook.processing
    if terms is None:
        has = ", ".join(code for code, one in sorted(books().items()) if one.processing is not None)
        raise Refusal(f"organisation: its rulebook names no records of processing; those that do: {has}")
    spoken: Language = language or rulebook.language
    row, told = rulebook.find(terms.records), points(organisation)
    stand = await gates(sessions, organisation)

    def of(anchor: str) -> tuple[Gate, ...]:
        return tuple(one for one in stand if one.may_start and rulebook.find(one.duty).anchor == anchor)

    return Processing(
        organisation=organisation,
        controller=rulebook.name,
        document=rulebook.document,
        contact=terms.contact,
        row=row.id,
        clause=row.clause,
        keeper=row.owner,
        made_at=now,
        made=local(now, organisation),
        rulebook_version=rulebook.version,
        purposes=_told(told.purposes, spoken),
        categories=_told(told.categories, spoken),
        recipients=_told(told.recipients, spoken),
        activities=tuple(_activity(rulebook, duty, spoken) for duty in purposes(rulebook)),
        processors=of(PROCESSOR),
        transfers=of(TRANSFER),
        assessments=of(ASSESSED),
        systems=(
            System(name=OwnStore.name, title=in_(OwnStore.title, spoken), safeguards=None),
            *(
                System(
                    name=one.name,
                    title=in_(one.title, spoken),
                    safeguards=in_(one.safeguards, spoken) if one.safeguards is not None else None,
                )
                for one in systems
                if organisation in one.organisations
            ),
        ),
        security=tuple(
            Measure(duty=duty.id, clause=duty.clause, title=getattr(duty.title, spoken))
            for duty in rulebook.duty
            if duty.clause.startswith(terms.security) and duty.same_as is None and duty.adopted_from is None
        ),
        open=tuple(one for one in stand if one.state == "open"),
    )


def _told(point: Point, language: Language) -> str:
    text: str = getattr(point, language)
    return f"{text} ({point.clause})"


def _activity(rulebook: Rulebook, name: str, language: Language) -> Activity:
    """A purpose with the term of its data; one by line has as many as the controller gave, or none yet."""
    duty, purpose = rulebook.find(name), purposes(rulebook)[name]
    since = (duty.anchor or "").replace("_", " ")
    if purpose.lines:
        each = (f"{line.replace('_', ' ')} {length(one.amount, one.unit)}" for line, one in purpose.lines.items())
        term = f"{', '.join(each)}, from: {since}"
    elif duty.amount == 0:
        term = f"to the end of the day: {since}"
    elif duty.amount is not None:
        longest = f", at most {length(duty.maximum.amount, duty.maximum.unit)}" if duty.maximum is not None else ""
        at_least = "at least " if duty.minimum else ""
        term = f"{at_least}{length(duty.amount, duty.unit)}{longest}, from: {since}"
    elif purpose.between is not None:
        term = f"{purpose.between.least} to {purpose.between.most} years by line: no value yet, so nothing is erased"
    else:
        term = f"until: {since}"
    return Activity(
        purpose=purpose.purpose.replace("_", " "),
        duty=duty.id,
        clause=duty.clause,
        title=getattr(duty.title, language),
        ground=purpose.ground.replace("_", " "),
        law=purpose.law,
        term=term,
    )


def page(records: Processing) -> str:
    """The records as one HTML file that needs nothing else, and prints."""
    return _HTML.get_template("processing.html").render(records=records)


_HTML = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
