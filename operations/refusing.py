"""Storage terms that refuse an erasure: those whose rulebook names a legal duty or claim (SE-17.4, DZ-14.5.5, GDPR 17).

A term that rests on consent, a contract or a legitimate interest gives way to the person's request.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.storage import Stated
from models.tables import CaseRow, RecordRow
from rules.rulebook import Rulebook, book, books
from rules.storage import POLICY, Term, longest, own_purpose, policy_term, purposes, term, until_over

RECOVERY = "recovery"
"""The kind whose term starts with what its case was told, not with its closing."""


TERM = "the storage term"
"""How the words begin by which a term keeps something."""


class Refusing(NamedTuple):
    """A storage term that keeps data in spite of a request to erase them."""

    duty: str
    until: date | None
    """Its last day; none where it has not begun, or cannot be counted."""

    @property
    def said(self) -> str:
        """Why it keeps them."""
        return f"{TERM} {self.duty} runs" + (f" until {self.until}" if self.until else "")


async def term_of_case(session: AsyncSession, case: str, at: datetime) -> Refusing | None:
    """The term that keeps a closed case of Termins' own now; one that cannot be counted lets nothing go."""
    row = (
        await session.exec(
            select(CaseRow.kind, CaseRow.organisation, CaseRow.closed_at).where(
                CaseRow.case == case, col(CaseRow.closed_at).is_not(None)
            )
        )
    ).one_or_none()
    if row is None or row[1] not in books():
        return None
    rulebook = book(row[1])
    found = own_purpose(rulebook, row[0])
    if found is None or not found[1].refuses_erasure:
        return None
    duty, purpose = found
    if row[0] == RECOVERY:
        state = (await session.get_one(CaseRow, case)).state
        day = state.get("body", {}).get("keep_until")
        if day is None:
            return Refusing(duty, None)
        last = date.fromisoformat(day)
        return Refusing(duty, last) if until_over(rulebook, last) > at else None
    return _running(term(rulebook, duty, purpose, row[2], purpose.own_line), at)


def term_of_policy(organisation: str, last_day: date, at: datetime) -> Refusing | None:
    """The term that keeps an ended policy of Termins' own now, if the controller has given its value."""
    if organisation not in books():
        return None
    rulebook = book(organisation)
    found = own_purpose(rulebook, POLICY)
    if found is None or not found[1].refuses_erasure:
        return None
    one = policy_term(rulebook, last_day)
    # without a value nothing could ever be erased at a person's request
    return _running(one, at) if one is not None and one.fault is None else None


async def term_in_system(
    session: AsyncSession, organisation: str, person: bytes | None, system: str, at: datetime
) -> Refusing | None:
    """The longest term that keeps what a system holds of a person, by the records that were loaded of it."""
    if person is None or organisation not in books():
        return None
    rows = (
        await session.exec(
            select(RecordRow).where(
                RecordRow.organisation == organisation,
                RecordRow.person == person,
                RecordRow.system == system,
                col(RecordRow.destroyed_at).is_(None),
            )
        )
    ).all()
    rulebook = book(organisation)
    found = [one for row in rows if (one := _running(refusing_term(rulebook, row), at)) is not None]
    endless = next((one for one in found if one.until is None), None)
    return endless or max(found, key=lambda one: one.until or date.max, default=None)


def refusing_term(rulebook: Rulebook, row: RecordRow) -> Term | None:
    """The longest of a record's terms that refuse an erasure; None where each of them gives way."""
    known = purposes(rulebook)
    said: Sequence[Stated] = [Stated.model_validate(one) for one in row.purposes]
    terms = []
    for one in said:
        purpose = known.get(one.duty)
        if purpose is None:
            terms.append(Term(duty=one.duty, clause="", fault=f"the rulebook has no storage term {one.duty}"))
        elif purpose.refuses_erasure:
            line = row.line or purpose.own_line
            terms.append(term(rulebook, one.duty, purpose, one.since, line, one.withdrawn_at))
    return longest(terms) if terms else None


def _running(one: Term | None, at: datetime) -> Refusing | None:
    if one is None or (one.fault is None and one.due is not None and one.due <= at):
        return None
    return Refusing(one.duty, None if one.fault is not None else one.last_day)
