"""Erase closed cases: everything personal in the store goes, then the key, and with it every history, dump and archive.

What stays says that there was a case: its id, kind, stages, clocks, clauses and instants.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Table
from sqlmodel import SQLModel, col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from models.common import Model
from models.errors import Refusal
from models.now import Now
from models.tables import CaseRow, ConsentRow, EventRow, IntakeRow, KeptRow, PartyRow, PolicyRow
from models.tables.consent import key_of
from models.tables.policy import NO_INDEX
from models.tables.sealed import Sealed
from operations.appending import append, read
from operations.holds import legal_hold_on
from operations.intake import Sessions
from security.keys import Keyring

OF_CLIENTS = ("account", "client_change")
"""Tables that name a case and are sealed for the client: they outlive the request and the change that wrote them."""


class Erased(Model):
    """What became of one case."""

    case: str
    erased: bool
    """False where it had been erased before."""


LEDGER = "erased"
"""The file beside the backups of keys that names the erased cases, consents and policies, an id a line, for ever.

Ids name nobody; a restore of an older backup destroys these keys again.
"""
ENDS_WITHIN = 30
"""Seconds in which the run of a closed case ends: a task that a death cost is given out again after ten."""


async def erase(sessions: Sessions, keyring: Keyring, case: str, backups: Path, now: Now) -> Erased:
    """Erase one closed case. Safe to repeat: after a crash the rest goes. `backups` is where backups of keys lie.

    Raises:
        Refusal: There is no such case, a legal hold stands on it, or it or one of its follow-ups is open; all of them
            are named.
    """
    async with sessions() as session, session.begin():
        intake = await session.get(IntakeRow, case, with_for_update=True)
        if intake is None:
            raise Refusal(f"case: there is no case {case}")
        new = intake.erased_at is None
        if new:
            if open_ones := await against(session, keyring, case):
                raise Refusal(*open_ones)
            for table in SQLModel.metadata.sorted_tables:
                await _empty(session, table, case)
            at = now()
            await session.exec(update(PartyRow).where(col(PartyRow.case) == case).values(erased_at=at))
            await session.exec(update(IntakeRow).where(col(IntakeRow.case) == case).values(erased_at=at))
    append(backups / LEDGER, lambda there: [] if case in there else [case])
    await keyring.destroy(case)
    return Erased(case=case, erased=new)


async def run_ended(engine: Client, case: str) -> None:
    """Wait for the end of a closed case's run: a case closes in the store first, and a run without key fails for ever.

    Raises:
        Refusal: It still runs.
        RPCError: The engine does not answer.
    """
    for _ in range(ENDS_WITHIN):
        try:
            described = await engine.get_workflow_handle(case).describe()
        except RPCError as e:
            if e.status is RPCStatusCode.NOT_FOUND:
                return
            raise
        if described.status is not WorkflowExecutionStatus.RUNNING:
            return
        await asyncio.sleep(1)
    raise Refusal(f"case: the run of {case} has not ended yet; a worker ends it")


async def check(sessions: Sessions, keyring: Keyring, case: str) -> None:
    """Whether a case can be erased.

    Raises:
        Refusal: As `erase`.
    """
    async with sessions() as session:
        intake = await session.get(IntakeRow, case)
        if intake is None:
            raise Refusal(f"case: there is no case {case}")
        if intake.erased_at is None and (open_ones := await against(session, keyring, case)):
            raise Refusal(*open_ones)


async def against(session: AsyncSession, keyring: Keyring, case: str) -> list[str]:
    """What stands against the erasure of a case: a legal hold, what of it is open, what it still has to see erased."""
    hold = await legal_hold_on(session, keyring, case)
    left = select(KeptRow.record).where(KeptRow.case == case, col(KeptRow.gone_at).is_(None)).order_by(KeptRow.record)
    return [
        *([f"the legal hold {hold} keeps it"] if hold is not None else []),
        *await still_open(session, case),
        *(f"{record} is kept by it and still to be erased" for record in (await session.exec(left)).all()),
    ]


async def still_open(session: AsyncSession, case: str) -> list[str]:
    """What of a case and its follow-ups, and theirs, is still open."""
    found, level = [], [case]
    while level:
        rows = (
            await session.exec(
                select(IntakeRow.case, IntakeRow.result, CaseRow.closed_at)
                .outerjoin(CaseRow, col(CaseRow.case) == IntakeRow.case)
                .where(col(IntakeRow.case).in_(level))
                .order_by(IntakeRow.case)
            )
        ).all()
        found += [f"{c} is open" for c, result, closed_at in rows if result is None and closed_at is None]
        waiting = select(EventRow.case, EventRow.event).where(
            col(EventRow.case).in_(level), col(EventRow.delivered_at).is_(None)
        )
        found += [f"{c}: event {event} is still to be delivered" for c, event in (await session.exec(waiting)).all()]
        children = await session.exec(select(IntakeRow.case).where(col(IntakeRow.parent).in_(level)))
        level = list(children.all())
    return found


async def _empty(session: AsyncSession, table: Table, case: str) -> None:
    """Empty the personal columns of a case's rows: NULL where that is allowed, else no bytes, which read as empty."""
    sealed = [c for c in table.c if isinstance(c.type, Sealed) or c.info.get("personal")]
    if not sealed or "case" not in table.c or table.name in OF_CLIENTS:
        return
    values = {c.name: None if c.nullable else Sealed.GONE for c in sealed}
    connection = await session.connection()
    await connection.execute(update(table).where(table.c.case == case).values(values))


async def destroy_again(sessions: Sessions, keyring: Keyring, erased: Sequence[str]) -> list[str]:
    """After a restore: destroy the keys of what was erased before, by the store or by this list."""
    async with sessions() as session:
        marked = set((await session.exec(select(IntakeRow.case).where(col(IntakeRow.erased_at).is_not(None)))).all())
        gone = select(ConsentRow.organisation, ConsentRow.consent).where(col(ConsentRow.erased_at).is_not(None))
        marked |= {key_of(organisation, consent or "") for organisation, consent in (await session.exec(gone)).all()}
        policies = select(PolicyRow.policy).where(PolicyRow.insured_index == NO_INDEX)
        marked |= {f"policy:{policy}" for policy in (await session.exec(policies)).all()}
    return [one for one in sorted({*marked, *erased}) if await keyring.destroy(one)]


def erased_before(backups: Path) -> list[str]:
    """The cases that were erased, as the ledger beside these backups knows them."""
    return read(backups / LEDGER)


BESIDE = ".new-"
"""How the name of a file begins that is not in its place yet, or was left by a death."""


def write_whole(path: Path, text: str) -> None:
    """Beside its place and flushed, then into its place: a file is always whole, and its owner's alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=BESIDE)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
