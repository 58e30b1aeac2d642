"""Storage terms of closed cases: how long a claim file is kept, counted from its closing, and what is due (GJ-claims).

Nothing is written down when a case closes, and nothing runs for thirty years: the instant of closing and the rulebook
say it all. So a claim that is opened again has no term until it closes again, and a value that comes later holds for
all.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlmodel import col, select

from models.common import Model
from models.tables import CaseRow, IntakeRow
from operations.intake import Sessions
from rules.calendar import load
from rules.period import count
from rules.rulebook import book

TERMS = {"claim": "GJ-claims"}
"""Kind → the duty that says how long its file is kept once it closed."""


class StorageTerm(Model):
    """How long the file of a closed case is kept."""

    case: str
    duty: str
    clause: str
    title: str
    adopted_from: str | None
    owner: str
    closed_at: datetime
    last_day: date | None
    """The last day on which it is kept; None: see `fault`."""
    due_at: datetime | None
    derivation: tuple[str, ...] = ()
    fault: str | None = None
    """Why no end can be counted: nothing is erased then."""
    due: bool = False
    """The term is over: the file is to be erased."""


def term_of(case: str, kind: str, organisation: str, closed_at: datetime, now: datetime) -> StorageTerm | None:
    """The storage term of a case that closed then; None where no duty gives its kind one."""
    rulebook = book(organisation)
    duty = next((d for d in rulebook.duty if d.id == TERMS.get(kind)), None)
    if duty is None:
        return None
    term = StorageTerm(
        case=case,
        duty=duty.id,
        clause=duty.clause,
        title=duty.title.en,
        adopted_from=duty.adopted_from,
        owner=duty.owner,
        closed_at=closed_at,
        last_day=None,
        due_at=None,
    )
    if duty.period is None:
        source = (duty.amount_from or "").replace("_", " ")
        fault = f"no value (from {source}): nothing is erased until {organisation}'s rulebook has amount and unit"
        return term.model_copy(update={"fault": fault})
    counted = count(closed_at, duty.period, rulebook.zone, load(rulebook.calendar))
    return term.model_copy(
        update={
            "last_day": counted.last_day,
            "due_at": counted.due,
            "derivation": counted.derivation,
            "due": counted.due <= now,
        }
    )


async def terms(sessions: Sessions, now: datetime, organisation: str | None, *, due: bool) -> tuple[StorageTerm, ...]:
    """The storage terms of closed cases that were not erased, the earliest first; with `due` those that are over.

    A term without an end is never over, and is told all the same: it is an error of the rulebook.
    """
    query = (
        select(CaseRow.case, CaseRow.kind, CaseRow.organisation, CaseRow.closed_at)
        .join(IntakeRow, col(IntakeRow.case) == CaseRow.case)
        .where(col(CaseRow.kind).in_(TERMS), col(CaseRow.closed_at).is_not(None), col(IntakeRow.erased_at).is_(None))
        .order_by(col(CaseRow.closed_at), CaseRow.case)
    )
    if organisation is not None:
        query = query.where(CaseRow.organisation == organisation)
    async with sessions() as session:
        rows = (await session.exec(query)).all()
    found = [term_of(case, kind, of, closed, now) for case, kind, of, closed in rows if closed is not None]
    return tuple(t for t in found if t is not None and (t.due or t.fault is not None or not due))
