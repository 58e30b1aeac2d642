"""The duty list: every duty of the rulebooks as they are counted today."""

from __future__ import annotations

from typing import Any

from models.common import Model
from rules.period import Period
from rules.rulebook import Duty, Hold, KeptBy, RulebookError, Title, books

PRODUCT = "T"
"""The rulebook of the product's own terms, which are nobody's duties."""


class DutyEntry(Model):
    """A duty of the register, under the organisation whose document says it."""

    id: str
    organisation: str
    clause: str
    kind: str
    title: Title
    anchor: str | None
    amount: int | None
    unit: str | None
    roll: str
    latest: Period | None
    """The later reading; for an immediate duty the delay from which it is late."""
    minimum: bool
    maximum: Period | None
    amount_from: str | None
    owner: str
    reminders: tuple[str, ...]
    escalation: str | None
    evidence: str | None
    hold: Hold | None
    reopens: tuple[str, ...]
    same_as: str | None
    recommended: bool
    product: bool
    kept_by: tuple[KeptBy, ...]
    if_missed: str | None
    adopted_by: tuple[str, ...]
    """The other organisations whose rulebooks adopt this row."""

    @property
    def within(self) -> str:
        """Amount and unit for people."""
        if self.amount is None:
            return f"from {self.amount_from}" if self.amount_from else "–"
        return length(self.amount, self.unit) + (" at least" if self.minimum else "")


def length(amount: int, unit: str | None) -> str:
    """A period for people: `15 working days`, `1 month`."""
    words = f"{amount} {unit or ''}".replace("_", " ")
    return words.removesuffix("s") if amount == 1 else words


def register(organisation: str | None = None) -> list[DutyEntry]:
    """Each id of the register once, under its own organisation; nothing else.

    Raises:
        KeyError: The organisation has no rulebook.
    """
    adopted: dict[str, list[str]] = {}
    for code, book in sorted(books().items()):
        for duty in book.duty:
            if duty.adopted_from:
                adopted.setdefault(duty.adopted_from, []).append(code)
    return [
        _entry(code, duty, adopted.get(duty.id, []))
        for code, book in _chosen(organisation)
        for duty in book.duty
        if not duty.adopted_from and not duty.id.startswith(f"{PRODUCT}-")
    ]


def adopted_rows(organisation: str) -> list[DutyEntry]:
    """The rows of others that an organisation adopts, as its rulebook has them."""
    return [_entry(code, d, []) for code, book in _chosen(organisation) for d in book.duty if d.adopted_from]


def _chosen(organisation: str | None) -> list[tuple[str, Any]]:
    if organisation is None:
        return sorted((code, book) for code, book in books().items() if code != PRODUCT)
    if organisation == PRODUCT or organisation not in books():
        raise KeyError(organisation)
    return [(organisation, books()[organisation])]


def _entry(organisation: str, duty: Duty, adopted_by: list[str]) -> DutyEntry:
    fields = {name: getattr(duty, name) for name in DutyEntry.model_fields if name in Duty.model_fields}
    return DutyEntry(organisation=organisation, adopted_by=tuple(adopted_by), **fields)


__all__ = ["DutyEntry", "RulebookError", "adopted_rows", "register"]
