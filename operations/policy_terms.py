"""Ended policies by their storage term: when it is over, what keeps them nevertheless, and how they are erased.

What stays says that there was a contract: number, days, sums and the ledger of its claims. Whom it named, all that was
said of it and its key are gone; its number is never used again, since nobody can make a key for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import delete as deletes
from sqlalchemy import update as updates
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.errors import Refusal
from models.names import case_id
from models.now import Now
from models.policy import PolicyFacts, Registered
from models.tables import CaseRow, IntakeRow, LimitRow, PolicyEntryRow, PolicyRow
from models.tables.policy import NO_INDEX
from models.tables.sealed import Sealed
from operations.appending import append
from operations.erase import LEDGER, still_open
from operations.holds import Standing, none_is_placed, standing
from operations.intake import Sessions
from rules.policy import reporting
from rules.rulebook import Rulebook, book, books
from rules.storage import POLICY, policy_term, until_over
from security.keys import Keyring

CASES = ("renewal", "late_premium", "premium_refund")
"""Kinds of cases that are named by their policy."""
CIRCUMSTANCE = "circumstance"
AT_A_TIME = 200

_ENDS = func.coalesce(col(PolicyRow.covered_until), col(PolicyRow.ends_on))
"""The last day of cover: an early end, and every entry after it, is in it."""
COLUMNS = (
    col(PolicyRow.policy),
    col(PolicyRow.organisation),
    _ENDS,
    col(PolicyRow.policyholder_index),
    col(PolicyRow.insured_index),
)


class Contract(NamedTuple):
    """A policy without what is sealed: nobody's key is asked for."""

    policy: str
    organisation: str
    last_day: date
    """Of cover."""
    policyholder: bytes | None
    insured: bytes

    @property
    def key(self) -> str:
        """Under which its key lies, and by which a legal hold names it."""
        return f"{POLICY}:{self.policy}"

    @property
    def people(self) -> tuple[bytes, ...]:
        """Keyed hashes of the names by which it is found."""
        return tuple(index for index in (self.policyholder, self.insured) if index)

    def is_over(self, at: datetime) -> bool:
        """Whether its last day of cover is over, in the organisation's zone."""
        return self.organisation not in books() or until_over(book(self.organisation), self.last_day) <= at


def contracts() -> Any:
    """Policies that were not erased, by their number."""
    columns: Any = select
    return columns(*COLUMNS).where(col(PolicyRow.insured_index) != NO_INDEX).order_by(col(PolicyRow.policy))


def ended(at: datetime, after: str | None, organisation: str | None) -> Any:
    """Those whose cover may be over then, behind a number: a day in the organisation's zone is never before UTC's."""
    query = contracts().where(at.astimezone(UTC).date() >= _ENDS)
    if after is not None:
        query = query.where(col(PolicyRow.policy) > after)
    return query if organisation is None else query.where(col(PolicyRow.organisation) == organisation)


# ---- what keeps it --------------------------------------------------------------------------------------------------


async def kept_by(
    session: AsyncSession,
    row: Contract,
    rulebook: Rulebook,
    stands: Standing,
    circumstances: Mapping[str, str],
    at: datetime,
) -> tuple[str, str] | None:
    """What keeps a contract whose term is over, and which it is.

    Raises:
        NoKey: Its key is not here: until when third parties may claim cannot be read.
    """
    if keeps := stands.on_policy(row.key, row.people):
        return keeps
    claims = (
        select(LimitRow.case)
        .join(IntakeRow, col(IntakeRow.case) == col(LimitRow.case))
        .where(LimitRow.policy == row.policy, col(IntakeRow.erased_at).is_(None))
        .order_by(LimitRow.case)
    )
    if (claim := (await session.exec(claims)).first()) is not None:
        return "claim_not_erased", claim
    for kind in CASES:
        if open_ones := await still_open(session, case_id(kind, row.organisation, row.policy)):
            return "open_case", open_ones[0]
    if row.policy in circumstances:
        return "open_case", f"{circumstances[row.policy]} is open"
    until = await _reporting_until(session, row.policy)
    if until is not None and until_over(rulebook, until) > at:
        return "reporting_period", f"until {until}"
    return None


async def _reporting_until(session: AsyncSession, policy: str) -> date | None:
    """The last day on which third parties may claim (BTA-1-ERP); None: the contract never took effect."""
    row = await session.get_one(PolicyRow, policy)
    if row.facts:
        return reporting(PolicyFacts.model_validate(row.facts)).until
    loaded = {"starts_on": row.starts_on, "ends_on": row.ends_on, "territory": row.territory, "terms": row.terms}
    return reporting(PolicyFacts(registered=Registered.model_validate(loaded))).until


async def open_circumstances(session: AsyncSession, keyring: Keyring, organisation: str) -> dict[str, str]:
    """Policy → an open case of a circumstance that was reported under it; what they say is sealed."""
    query = (
        select(IntakeRow.case)
        .outerjoin(CaseRow, col(CaseRow.case) == col(IntakeRow.case))
        .where(
            IntakeRow.kind == CIRCUMSTANCE,
            IntakeRow.organisation == organisation,
            col(IntakeRow.erased_at).is_(None),
            col(CaseRow.closed_at).is_(None),
        )
        .order_by(IntakeRow.case)
    )
    cases = list((await session.exec(query)).all())
    found: dict[str, str] = {}
    for start in range(0, len(cases), AT_A_TIME):
        batch = cases[start : start + AT_A_TIME]
        await keyring.load(batch)
        filed = select(IntakeRow).where(col(IntakeRow.case).in_(batch)).order_by(IntakeRow.case)
        for row in (await session.exec(filed)).all():
            found.setdefault(str(row.content.get("policy")), row.case)
    return found


# ---- erasing --------------------------------------------------------------------------------------------------------


async def erase_policy(sessions: Sessions, keyring: Keyring, record: str, backups: Path, now: Now) -> None:
    """Erase an ended policy whose term is over, and then its key. Safe to repeat: after a crash the rest goes.

    Raises:
        Refusal: There is none, or its term is not over any more, or something keeps it.
    """
    number = record.removeprefix(f"{POLICY}:")
    async with sessions() as session, session.begin():
        await none_is_placed(session)
        # what is written of it, and a claim that is being opened, comes before or finds it erased
        locked = select(PolicyRow.insured_index).where(PolicyRow.policy == number).with_for_update()
        index = (await session.exec(locked)).first()
        if index is None:
            raise Refusal(f"policy: there is none with the number {number}")
        if index != NO_INDEX:
            (found,) = (await session.exec(contracts().where(col(PolicyRow.policy) == number))).all()
            await _is_over(session, keyring, Contract(*found), now())
            await _empty(session, number)
    append(backups / LEDGER, lambda there: [] if record in there else [record])
    await keyring.destroy(record)


async def _is_over(session: AsyncSession, keyring: Keyring, row: Contract, at: datetime) -> None:
    """Judged anew in the transaction that erases it."""
    rulebook = book(row.organisation)
    one = policy_term(rulebook, row.last_day)
    if one is None or one.due is None or one.due > at:
        raise Refusal("policy: its storage term keeps it")
    stands = await standing(session, keyring, row.organisation)
    circumstances = await open_circumstances(session, keyring, row.organisation)
    if keeps := await kept_by(session, row, rulebook, stands, circumstances, at):
        raise Refusal(f"policy: {keeps[0].replace('_', ' ')} {keeps[1]} keeps it")


async def _empty(session: AsyncSession, number: str) -> None:
    """Take its people, what was said of it, and the hashes of names out of the store, in this transaction."""
    connection = await session.connection()
    table: Any = PolicyRow.__table__  # type: ignore[attr-defined]  # SQLModel's
    values = {c.name: None if c.nullable else Sealed.GONE for c in table.c if isinstance(c.type, Sealed)}
    await connection.execute(deletes(PolicyEntryRow).where(col(PolicyEntryRow.policy) == number))
    await connection.execute(
        updates(table).where(table.c.policy == number).values(**values, insured_index=NO_INDEX, policyholder_index=None)
    )


async def empty_policies_again(sessions: Sessions, keyring: Keyring, *, dry_run: bool) -> tuple[str, ...]:
    """After a restore: empty the policies that were erased since the dump, whose keys are gone; which they are.

    Until then a name would still find them.
    """
    async with sessions() as session:
        there = [Contract(*row).key for row in (await session.exec(contracts())).all()]
    gone = await keyring.erased_of(there)
    for record in () if dry_run else gone:
        async with sessions() as session, session.begin():
            await _empty(session, record.removeprefix(f"{POLICY}:"))
    return gone
