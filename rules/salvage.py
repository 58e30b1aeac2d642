"""Salvage: what becomes due when the owner of a destroyed thing hands over what is left of it (BTA 9.3.1)."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import TypeVar

from models.settlement import NONE, Proof, PropertyFacts, Settlement, SettlementInput
from rules.settlement import Cell, settle

P = TypeVar("P", bound=Proof)


def salvage_waits(case: SettlementInput) -> set[Cell]:
    """The heads whose owner agrees that the thing is destroyed and has not handed over what is left of it."""
    return {
        (loss.claimant, loss.head)
        for loss in case.losses
        if isinstance(loss.facts, PropertyFacts) and loss.facts.owner_agrees and not loss.facts.salvage_handed_over
    }


def handed(loss: P) -> P:
    """The same loss once what is left was handed over."""
    if not isinstance(loss.facts, PropertyFacts):
        return loss
    return loss.model_copy(update={"facts": loss.facts.model_copy(update={"salvage_handed_over": True})})


def due_by_salvage(case: SettlementInput, now: Settlement, waits: Collection[Cell]) -> dict[Cell, Decimal]:
    """What each of these heads would give more, in EUR, if what is left were handed over; `now` settles `case`.

    Together exactly as much as the whole settlement would grow: where a limit is shared, other heads get less; where a
    deductible is, they get more, and that counts with the largest.
    """
    if not waits:
        return {}
    losses = tuple(handed(loss) if (loss.claimant, loss.head) in waits else loss for loss in case.losses)
    then = settle(case.model_copy(update={"losses": losses}))
    left = max(then.payable + then.withheld - now.payable - now.withheld, NONE)
    before = _entitled(now)
    due = {}
    for cell, amount in _entitled(then).items():
        if cell in waits and (part := min(amount - before.get(cell, NONE), left)) > 0:
            due[cell] = part
            left -= part
    if due and left:
        due[max(due, key=lambda cell: (due[cell], cell))] += left
    return due


def _entitled(settlement: Settlement) -> dict[Cell, Decimal]:
    return {(c.claimant, h.head): h.payable + h.withheld for c in settlement.claimants for h in c.heads}
