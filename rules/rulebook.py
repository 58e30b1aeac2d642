"""Rulebooks: every duty of an organisation as data, read from TOML and checked on load.

A fault names file, duty and field. A new organisation is a new file in `books/`, no code.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from models.automatic import Automation
from models.common import Model
from models.consent import ConsentTerms
from models.names import KINDS
from models.processing import ProcessingTerms
from models.storage import Keeping, Purpose
from models.task import TaskTerms
from rules.period import Period, Roll, Unit

BOOKS = Path(__file__).parent / "books"
REVIEW = "GJ-claims-review"
"""The row by which a person reviews an automatic decision on a claim."""
LEGAL_HOLD = "legal_hold_placed"
"""The start event of the one retention duty that is no term of a purpose, but holds them all."""
DUTY_ID = re.compile(r"^[A-Z]{1,3}-[0-9A-Za-z.-]+$")


class RulebookError(ValueError):
    """A rulebook that cannot be used; the text names file, duty and field of every fault."""


class Kind(StrEnum):
    """What a duty is; the kinds of `docs` register, see the glossary in README."""

    deadline = "deadline"
    not_before = "not_before"
    right_lapses = "right_lapses"
    retention = "retention"
    recurrence = "recurrence"
    gate = "gate"
    immediate = "immediate"
    rule = "rule"
    client = "client"


class Title(Model):
    """What the duty is called, in the three languages of the product."""

    lv: Annotated[str, StringConstraints(min_length=3)]
    lt: Annotated[str, StringConstraints(min_length=3)]
    en: Annotated[str, StringConstraints(min_length=3)]


class Hold(Model):
    """How a duty may be held. `restart`: void, a new clock at the new anchor; `extend`: held days are not counted."""

    mode: Literal["restart", "extend"]
    clause: str
    ground: str


Lead = Annotated[str, StringConstraints(pattern=r"^\d+(d|h|wd)$")]
"""When before the due instant: `3d` at 09:00 local, three days before the last day (`0d`: on it); `2wd` the same in
working days; `6h` that many hours before the due instant."""

KeptBy = Annotated[str, StringConstraints(pattern=r"^(workflow|schedule|rule):[A-Za-z0-9_.-]+$")]


class Duty(Model):
    """One duty of one organisation, as its document (or a row it adopted) says it."""

    id: Annotated[str, StringConstraints(pattern=DUTY_ID.pattern)]
    clause: str
    """The clause as cited: `10.5`, `GDPR 12(3)`."""
    kind: Kind
    title: Title
    anchor: str | None = None
    """The event that starts it, in snake_case; needed where there is a clock."""
    amount: Annotated[int, Field(ge=0)] | None = None
    unit: Unit | None = None
    roll: Roll = Roll.none
    latest: Period | None = None
    """The later reading, where there are two; for an immediate duty the delay from which it is called late."""
    minimum: bool = False
    """Retention: keep at least that long."""
    maximum: Period | None = None
    """Retention with a minimum: erase at the latest then."""
    amount_from: Literal["statute", "controller_by_line", "event", "rulebook"] | None = None
    """Where the value comes from when the document has none and this file cannot give it."""
    owner: str
    """The role that does it."""
    reminders: tuple[Lead, ...] = ()
    escalation: str | None = None
    """The role that is told at the due instant."""
    evidence: str | None = None
    """What stops the clock, in snake_case; needed for kinds that can be kept."""
    hold: Hold | None = None
    reopens: tuple[str, ...] = ()
    """Events that take the evidence back and reopen the same clock."""
    adopted_from: str | None = None
    """The id of another organisation's row that this one adopts."""
    same_as: str | None = None
    """This clause is one duty with that one, which has the clock."""
    product: bool = False
    """Ours, not the document's."""
    recommended: bool = False
    kept_by: tuple[KeptBy, ...] = ()
    """What keeps it in Termins; empty: nothing yet."""
    if_missed: str | None = None

    @property
    def period(self) -> Period | None:
        """The period to `due`, or None where there is nothing to count."""
        if self.amount is None or self.unit is None:
            return None
        return Period(amount=self.amount, unit=self.unit, roll=self.roll)

    @property
    def has_clock(self) -> bool:
        """True for the kinds that run as a clock."""
        return self.same_as is None and self.kind not in (Kind.gate, Kind.rule)

    @property
    def can_be_late(self) -> bool:
        """True if missing it is the organisation's lateness."""
        kinds = (Kind.client, Kind.not_before, Kind.right_lapses)
        # what a document only recommends is not followed, which is no lateness
        return self.has_clock and self.kind not in kinds and not self.recommended

    @model_validator(mode="after")
    def _complete(self) -> Duty:
        faults = []
        if (self.amount is None) != (self.unit is None):
            faults.append("amount and unit go together")
        if self.same_as is None and self.kind in (Kind.deadline, Kind.not_before, Kind.right_lapses, Kind.immediate):
            if self.amount is None and self.amount_from is None:
                faults.append("amount: missing; give amount and unit, or amount_from")
            if not self.anchor:
                faults.append("anchor: missing for a duty with a clock")
        if self.same_as is None and self.kind in (Kind.deadline, Kind.immediate):
            if not self.evidence:
                faults.append("evidence: missing; what stops the clock?")
            if not self.escalation:
                faults.append("escalation: missing; who is told at the due instant?")
        if self.kind in (Kind.gate, Kind.rule) and (self.amount is not None or self.reminders):
            faults.append("amount, reminders: a gate or a rule has no clock")
        if self.roll is not Roll.none and self.unit in (Unit.hours, Unit.working_days):
            faults.append("roll: hours and working days are never rolled")
        if self.minimum and self.kind is not Kind.retention:
            faults.append("minimum: only for retention")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class Rulebook(Model):
    """One organisation's duties and the readings and values it chose."""

    organisation: Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,3}$")]
    name: str
    document: str
    file: str | None = None
    zone: str
    calendar: str
    """Country, or country and profile: `LV`, `LT`, `LV-state`."""
    version: str
    """The day from which this text of the rulebook is used (ISO date; a suffix for a second one on a day)."""
    language: Literal["lv", "lt", "en"]
    """The language of its letters, unless a person asks for another."""
    values: dict[str, Any] = Field(default_factory=dict)
    """Rulebook values that are no duty: readings, limits, lists; each named in `docs/rulebooks.md`."""
    duty: tuple[Duty, ...]

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{zone!r} is not a time zone") from None
        return zone

    @model_validator(mode="after")
    def _coherent(self) -> Rulebook:
        faults = []
        ids = [d.id for d in self.duty]
        faults += [f"{i}: id: given twice" for i in sorted({i for i in ids if ids.count(i) > 1})]
        for d in self.duty:
            if d.same_as and d.same_as not in ids:
                faults.append(f"{d.id}: same_as: {d.same_as} is not in this file")
            own = d.id.startswith((self.organisation + "-", "T-"))
            if not own and d.adopted_from != d.id:
                faults.append(f"{d.id}: adopted_from: a row of another organisation is adopted by naming it here")
        faults += self._automatic_faults(ids)
        faults += self._task_faults()
        faults += self._storage_faults()
        faults += self._consent_faults()
        faults += self._processing_faults(ids)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _automatic_faults(self, ids: list[str]) -> list[str]:
        """Of `[values.automatic]`: no decision without a person where nobody could ask for one."""
        if "automatic" not in self.values:
            return []
        faults = []
        if REVIEW not in ids:
            faults.append(f"values.automatic: needs the row {REVIEW}, by which a person reviews such a decision")
        try:
            terms = Automation.model_validate(self.values["automatic"])
        except ValidationError as e:
            errors = e.errors(include_url=False, include_input=False)
            where = [(".".join(map(str, ("values.automatic", *err["loc"]))), err["msg"]) for err in errors]
            return [*faults, *(f"{field}: {text.removeprefix('Value error, ')}" for field, text in where)]
        if terms.up_to > (most := Decimal(str(self.values.get("second_approval_above", "0")))):
            faults.append(f"values.automatic.up_to: a second person approves more than {most}")
        return faults

    def _task_faults(self) -> list[str]:
        """Of `[values.tasks]`: each is a duty of this book, and what follows from it too."""
        faults = []
        rows = {d.id: d for d in self.duty}
        said = self.values.get("tasks", {})
        if not isinstance(said, dict):
            return ["values.tasks: a table for each duty"]
        for name, value in said.items():
            where = f"values.tasks.{name}"
            if name not in rows:
                faults.append(f"{where}: no duty of this file")
                continue
            try:
                terms = TaskTerms.model_validate(value)
            except ValidationError as e:
                errors = e.errors(include_url=False, include_input=False)
                paths = [(".".join(map(str, (where, *err["loc"]))), err["msg"]) for err in errors]
                faults += [f"{path}: {text.removeprefix('Value error, ')}" for path, text in paths]
                continue
            faults += [f"{where}.follows: {other} is not in this file" for other in terms.follows if other not in rows]
            if terms.recurs != (rows[name].kind is Kind.recurrence):
                faults.append(f"{where}.lead_days: needed for a recurrence, and only there")
            if rows[name].has_clock and rows[name].period is None:
                faults.append(f"{where}: {name} has no value to count")
        return faults

    @property
    def tasks(self) -> dict[str, TaskTerms]:
        """The duties that are kept as tasks, and how."""
        return {name: TaskTerms.model_validate(value) for name, value in self.values.get("tasks", {}).items()}

    def _storage_faults(self) -> list[str]:
        """Of `[values.storage]` and `[values.keeping]`: each storage term has its purpose, and nothing else has one."""
        table = self.values.get("storage")
        if table is None:
            return []
        faults = _misfits(Keeping, self.values.get("keeping", {}), "values.keeping")
        keeping = self.values.get("keeping")
        exception = keeping.get("exception") if isinstance(keeping, dict) else None
        if exception is not None and exception not in [d.id for d in self.duty]:
            faults.append(f"values.keeping.exception: {exception} is not in this file")
        if not isinstance(table, dict):
            return [*faults, "values.storage: no table"]
        cases = keeping.get("cases", {}) if isinstance(keeping, dict) else {}
        covered = {purpose.get("own") for purpose in table.values() if isinstance(purpose, dict)}
        for kind in cases if isinstance(cases, dict) else ():
            if kind not in (*KINDS, "policy"):
                faults.append(f"values.keeping.cases.{kind}: no kind of case, and not policy")
            elif kind in covered:
                faults.append(f"values.keeping.cases.{kind}: a duty gives its term already")
        terms = {d.id: d for d in self.duty if d.kind is Kind.retention and d.anchor != LEGAL_HOLD}
        faults += [f"values.storage: {duty} has no purpose" for duty in terms if duty not in table]
        owned: list[str] = []
        for duty, values in table.items():
            where = f"values.storage.{duty}"
            if duty not in terms:
                faults.append(f"{where}: no storage term of this file")
                continue
            if misfits := _misfits(Purpose, values, where):
                faults += misfits
                continue
            purpose = Purpose.model_validate(values)
            faults += [f"{where}: {fault}" for fault in _purpose_faults(purpose, terms[duty], owned)]
            owned += [purpose.own] if purpose.own in ("claim", "recovery", "policy") else []
        return faults

    def _consent_faults(self) -> list[str]:
        """Of `[values.consent]`: its purposes rest on consent in `[values.storage]`, and its rows are in this file."""
        storage = self.values.get("storage", {})
        tables = storage.values() if isinstance(storage, dict) else ()
        known = {one.get("purpose") for one in tables if isinstance(one, dict) and one.get("ground") == "consent"}
        said = self.values.get("consent")
        if said is None:
            return ["values.consent: missing; there are purposes that rest on consent"] if known else []
        if misfits := _misfits(ConsentTerms, said, "values.consent"):
            return misfits
        terms = ConsentTerms.model_validate(said)
        named = {*terms.gates, *terms.only, *terms.one_product, *terms.latest, *terms.marketing}
        faults = [f"values.consent: {one} is no purpose that rests on consent" for one in sorted(named - known)]
        rows = [d.id for d in self.duty]
        cited = {terms.proof, terms.information, terms.withdrawal, *terms.gates.values()}
        faults += [f"values.consent: {one} is not in this file" for one in sorted(cited) if _is_row(one, rows)]
        return faults

    def _processing_faults(self, ids: list[str]) -> list[str]:
        """Of `[values.processing]`: the row by which records of processing are kept is in this file."""
        if "processing" not in self.values:
            return []
        if misfits := _misfits(ProcessingTerms, self.values["processing"], "values.processing"):
            return misfits
        row = ProcessingTerms.model_validate(self.values["processing"]).records
        return [] if row in ids else [f"values.processing.records: {row} is not in this file"]

    @property
    def processing(self) -> ProcessingTerms | None:
        """What it says of records of processing; None where it says nothing."""
        return ProcessingTerms.model_validate(self.values["processing"]) if "processing" in self.values else None

    @property
    def consents(self) -> ConsentTerms | None:
        """What it says of consents; None where nothing rests on one."""
        return ConsentTerms.model_validate(self.values["consent"]) if "consent" in self.values else None

    @property
    def in_use_from(self) -> date:
        """The day from which this text of the rulebook is used."""
        return date.fromisoformat(self.version[:10])

    def find(self, duty: str) -> Duty:
        """The duty with this id.

        Raises:
            KeyError: This organisation has no such duty.
        """
        for d in self.duty:
            if d.id == duty:
                return d
        raise KeyError(f"{self.organisation} has no duty {duty}")


def _is_row(cited: str, rows: list[str]) -> bool:
    """Whether something cited is meant as a row, and is none; a clause of a law, `GDPR 7(1)`, is none either."""
    return DUTY_ID.match(cited) is not None and cited not in rows


def _misfits(model: type[Model], values: Any, where: str) -> list[str]:
    """The faults of a table of values, by the model that reads it."""
    try:
        model.model_validate(values)
    except ValidationError as e:
        errors = e.errors(include_url=False, include_input=False)
        return [
            f"{'.'.join(map(str, (where, *err['loc'])))}: {err['msg'].removeprefix('Value error, ')}" for err in errors
        ]
    return []


def _purpose_faults(purpose: Purpose, duty: Duty, owned: list[str]) -> list[str]:
    """What of a purpose does not fit its storage term."""
    faults = []
    if purpose.own in owned:
        faults.append(f"own: {purpose.own} has another term already")
    if purpose.refuses_erasure and purpose.law is None:
        faults.append("law: missing; a term that is a ground to refuse erasure names what it rests on")
    if (purpose.lines or duty.amount_from == "controller_by_line") and purpose.between is None:
        faults.append("between: missing; within which years does the document leave the value to the controller?")
    for line, value in purpose.lines.items():
        years = value.amount / {"years": 1, "months": 12}.get(value.unit, 365.25)
        if purpose.between is not None and not purpose.between.least <= years <= purpose.between.most:
            faults.append(f"lines.{line}: between {purpose.between.least} and {purpose.between.most} years")
    return faults


def parse(text: str, file: str) -> Rulebook:
    """Read one rulebook.

    Raises:
        RulebookError: Names file, duty and field of every fault.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise RulebookError(f"{file}: not TOML: {e}") from None
    try:
        return Rulebook.model_validate(data)
    except ValidationError as e:
        raise RulebookError("\n".join(_fault(file, data, dict(err)) for err in e.errors())) from None


def _fault(file: str, data: dict[str, Any], error: dict[str, Any]) -> str:
    where = list(error["loc"])
    name = ""
    if len(where) > 1 and where[0] == "duty" and isinstance(where[1], int):
        entry = data["duty"][where[1]]
        name = f" {entry.get('id', f'duty number {where[1] + 1}') if isinstance(entry, dict) else where[1] + 1}:"
        where = where[2:]
    field = ".".join(str(part) for part in where)
    return f"{file}:{name} {field + ': ' if field else ''}{error['msg'].removeprefix('Value error, ')}"


@cache
def books(folder: Path = BOOKS) -> dict[str, Rulebook]:
    """All rulebooks by organisation; the product's own terms under `T`.

    Raises:
        RulebookError: Any file of the folder is faulty.
    """
    faults, found = [], {}
    for path in sorted(folder.glob("*.toml")):
        try:
            book = parse(path.read_text(encoding="utf-8"), path.name)
        except UnicodeDecodeError:
            faults.append(f"{path.name}: not UTF-8")
            continue
        except RulebookError as e:
            faults.append(str(e))
            continue
        if book.organisation in found:
            faults.append(f"{path.name}: organisation: {book.organisation} has another file already")
        found[book.organisation] = book
    if faults:
        raise RulebookError("\n".join(faults))
    return found


def book(organisation: str) -> Rulebook:
    """The rulebook of an organisation.

    Raises:
        KeyError: There is none.
    """
    try:
        return books()[organisation]
    except KeyError:
        raise KeyError(f"no rulebook for {organisation}") from None


def duty_for(organisation: str, duty: str) -> Duty:
    """A duty as this organisation has it, or one of the product's own terms (`T-…`).

    Raises:
        KeyError: There is none.
    """
    return book("T" if duty.startswith("T-") else organisation).find(duty)
