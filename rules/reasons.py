"""Why a head of loss is rejected or reduced: the closed list of codes, whether a decision adds up, words for letters.

BTA rules No. 19.1: a decision is to pay, to reduce or to reject (10.5), said for each claimant and head.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path

from models.claim import HeadReason
from models.common import Model
from models.settlement import Head, Label, Language
from rules.coverage import clause_of, duties, exclusions, label_of
from rules.wording import HEADS, clause_in, in_, label

REASONS = Path(__file__).parent / "reasons.toml"
Cell = tuple[str, Head]
"""One head of one claimant."""
_SAID = {
    "reject": label("noraidīts", "atmesta", "rejected"),
    "reduce": label("samazināts", "sumažinta", "reduced"),
}


class _Entry(Model):
    clause: str
    lv: str
    lt: str
    en: str
    heads: tuple[Head, ...] = ()


class Reason(Model):
    """One code of the list: its clause, what it is called, and the heads that it fits; none named: all."""

    clause: str
    label: Label
    heads: tuple[Head, ...] = ()


@cache
def listed() -> Mapping[str, Reason]:
    """The codes of `reasons.toml`."""
    read = tomllib.loads(REASONS.read_text(encoding="utf-8"))
    entries = {code: _Entry.model_validate(entry) for code, entry in read.items()}
    return {
        code: Reason(clause=e.clause, label=Label(lv=e.lv, lt=e.lt, en=e.en), heads=e.heads)
        for code, e in entries.items()
    }


@cache
def reasons(organisation: str) -> Mapping[str, Reason]:
    """Every code that a head can be rejected or reduced by: the list, the exclusions, the duties (8.2)."""
    terms = {**exclusions(), **duties(organisation)}
    return {**listed(), **{code: Reason(clause=term.clause, label=term.label) for code, term in terms.items()}}


def head_faults(
    said: Sequence[HeadReason], organisation: str, claimed: Mapping[Cell, Decimal], accepted: Mapping[Cell, Decimal]
) -> list[str]:
    """What does not add up between what is claimed, what is accepted of it (in EUR), and the reasons that are said.

    `claimed` are the heads that the decision is about. Each is accepted whole, reduced for a reason, or rejected for
    one. Every fault is named.
    """
    known = reasons(organisation)
    faults = []
    times = Counter((one.claimant, one.head, one.code) for one in said)
    for i, one in enumerate(said):
        cell, reason = (one.claimant, one.head), known.get(one.code)
        if reason is None:
            faults.append(
                f"heads.{i}.code: no such reason; an exclusion (4.1.…), a breached duty (7.1.…, 8.1.…), or one of: "
                + ", ".join(listed())
            )
        elif reason.heads and one.head not in reason.heads:
            faults.append(f"heads.{i}.code: {one.code} is a reason for {', '.join(reason.heads)} only")
        if cell not in claimed:
            faults.append(f"heads.{i}: {one.claimant} did not claim {one.head}, or it is not decided now")
        elif one.outcome == "reject" and cell in accepted:
            faults.append(f"heads.{i}: {one.claimant} {one.head} is in losses too: pay it or reject it")
        elif one.outcome == "reduce" and cell not in accepted:
            faults.append(f"heads.{i}: losses must say what of {one.claimant} {one.head} is proven")
        if times[one.claimant, one.head, one.code] > 1:
            faults.append(f"heads.{i}: {one.claimant} {one.head}: {one.code} is said more than once")
    rejected = {(one.claimant, one.head) for one in said if one.outcome == "reject"}
    reduced = {(one.claimant, one.head) for one in said if one.outcome == "reduce"}
    for (claimant, head), amount in claimed.items():
        if (claimant, head) not in {*accepted, *rejected, *reduced}:
            faults.append(f"heads: {claimant} {head} is neither in losses nor rejected")
        elif (part := accepted.get((claimant, head), amount)) < amount and (claimant, head) not in reduced:
            faults.append(f"heads: {claimant} {head}: {part} EUR of {amount} EUR are accepted: say why it is reduced")
    return faults


def ground_of(organisation: str, code: str, language: str) -> str:
    """What a rejection of the whole rests on, for a letter: what is not met with its clause, or a clause alone."""
    said: Language = "lv" if language == "lv" else "lt" if language == "lt" else "en"
    try:
        clause = clause_in(clause_of(organisation, code), said)
        # a point of cover is called by what is met: a letter says what is not
        reason = listed().get(code.partition(":")[0])
        title = in_(reason.label if reason is not None else label_of(organisation, code), said)
    except KeyError:
        return clause_in(code, said)
    return f"{title} ({clause})"


def in_letter(one: HeadReason, organisation: str, language: Language, whose: str | None = None) -> str:
    """What became of a head, as a line of a letter: head, outcome, reason with its clause, and the handler's words."""
    reason = reasons(organisation)[one.code]
    head = in_(HEADS[one.head], language)
    first = f"{whose}: {head}" if whose is not None else head
    said = in_(_SAID[one.outcome], language)
    clause = clause_in(reason.clause, language)
    return f"{first}: {said}. {in_(reason.label, language)} ({clause}): {one.text}"
