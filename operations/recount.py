"""Recount: after a change of rulebook or calendar, every open clock that it concerns is counted anew, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy

from models.common import Model
from models.names import TASK_QUEUE
from models.now import Now
from models.tables import BellRow, CaseRow, ClockRow, TargetRow
from operations.intake import Sessions
from rules.calendar import load
from rules.rulebook import books

BATCH = 500
RECOUNT = "termins-recount"
LOOK_AGAIN = 0.5
"""Seconds between two looks at how many cases are left."""
PATIENCE = 180.0
"""Seconds: whoever waits is told what is left once no case has counted for so long. A bell is rung every minute."""


class Left(Model):
    """A case that has not counted anew, and how it stands."""

    case: str
    stage: str
    waits_for: str


class Recounted(Model):
    """What came of a recount."""

    targets: dict[str, str]
    cases: int
    """How many it concerns."""
    counted: int = 0
    """How many of them had counted when the waiting ended."""
    left: tuple[Left, ...] = ()
    """Those for which somebody waited in vain; the first of very many."""


async def set_targets(sessions: Sessions, now: Now, actor: str) -> dict[str, str]:
    """Make the versions of this installation the target; a worker with older tables then refuses to count."""
    targets = {f"rulebook:{code}": book.version for code, book in books().items()}
    targets |= {f"calendar:{book.calendar}": load(book.calendar).version for book in books().values()}
    async with sessions() as session, session.begin():
        for name, version in targets.items():
            values = {"name": name, "version": version, "set_at": now(), "set_by": actor}
            await session.exec(
                insert(TargetRow).values(values).on_conflict_do_update(index_elements=["name"], set_=values)
            )
    return targets


async def outdated_cases(session: AsyncSession) -> list[str]:
    """The cases with a running clock of another version of its rulebook or calendar."""
    outdated = or_(
        *(
            (col(ClockRow.organisation) == code)
            & (
                (col(ClockRow.rulebook_version) != book.version)
                | (col(ClockRow.calendar_version) != load(book.calendar).version)
            )
            for code, book in books().items()
        )
    )
    query = select(ClockRow.case).where(col(ClockRow.status) == "running", outdated).distinct().order_by(ClockRow.case)
    return list((await session.exec(query)).all())


async def ring_outdated(sessions: Sessions, now: Now) -> int:
    """Hang a bell for the next batch of cases with a running clock of another version; the number that are left."""
    async with sessions() as session, session.begin():
        cases = await outdated_cases(session)
        hung = set(
            (
                await session.exec(
                    select(BellRow.case).where(BellRow.reason == "recount", col(BellRow.heard_at).is_(None))
                )
            ).all()
        )
        for case in [c for c in cases if c not in hung][:BATCH]:
            session.add(BellRow(case=case, reason="recount", created_at=now()))
    return len(cases)


async def recount(
    sessions: Sessions,
    client: Client,
    now: Now,
    actor: str,
    progress: Callable[[int, int], None] | None,
    patience: float = PATIENCE,
) -> Recounted:
    """Set the targets and let every outdated case count anew.

    With `progress`, it is told (counted, all) until none is left, or until none counted for `patience` seconds: a case
    that stands still holds nobody up. The recount goes on by itself in any case, and takes that one when it can.
    """
    targets = await set_targets(sessions, now, actor)
    async with sessions() as session:
        left = await outdated_cases(session)
    total = len(left)
    handle = await client.start_workflow(
        "Recount", id=RECOUNT, task_queue=TASK_QUEUE, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING
    )
    if progress is None:
        return Recounted(targets=targets, cases=total)
    ended = asyncio.create_task(handle.result())
    counted_at = monotonic()
    try:
        while not ended.done():
            before = len(left)
            async with sessions() as session:
                left = await outdated_cases(session)
            progress(max(total - len(left), 0), total)
            if len(left) != before:
                counted_at = monotonic()
            elif monotonic() - counted_at >= patience:
                async with sessions() as session:
                    stand = await _standing(session, left)
                return Recounted(targets=targets, cases=total, counted=max(total - len(left), 0), left=stand)
            await asyncio.wait([ended], timeout=LOOK_AGAIN)
        await ended
    finally:
        ended.cancel()
    progress(total, total)
    return Recounted(targets=targets, cases=total, counted=total)


async def _standing(session: AsyncSession, cases: Sequence[str]) -> tuple[Left, ...]:
    """How the first of these cases stand."""
    rows = await session.exec(select(CaseRow).where(col(CaseRow.case).in_(cases[:BATCH])).order_by(CaseRow.case))
    return tuple(
        Left(case=row.case, stage="diverged" if row.diverged else row.stage, waits_for=row.waits_for)
        for row in rows.all()
    )
