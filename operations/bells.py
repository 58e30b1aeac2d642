"""Bells: ring the cases for which one waits. Who committed a bell may ring at once; the sweep rings what is left."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import structlog
from sqlmodel import col, select, update
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from models.common import Model
from models.now import Now
from models.tables import BellRow, CaseRow
from operations.intake import Sessions

log = structlog.get_logger()

RING_AGAIN = timedelta(seconds=30)
"""A bell that was rung and not heard for so long is rung again."""


class Rung(Model):
    """What became of the cases for which a bell waited."""

    heard: int = 0
    missed: int = 0
    """Nobody took the bell: it is rung again."""


async def ring(sessions: Sessions, client: Client, now: Now, cases: Collection[str] | None = None) -> Rung:
    """Ring every bell that waits, or those of these cases; safe at any time, by anybody, twice."""
    at = now()
    async with sessions() as session, session.begin():
        query = select(BellRow).where(
            col(BellRow.heard_at).is_(None),
            col(BellRow.rung_at).is_(None) | (col(BellRow.rung_at) < at - RING_AGAIN),
        )
        if cases is not None:
            query = query.where(col(BellRow.case).in_(cases))
        bells = (await session.exec(query.with_for_update(skip_locked=True))).all()
        for bell in bells:
            bell.rung_at = at
        waiting = sorted({bell.case for bell in bells})
    heard = missed = 0
    for case in waiting:
        try:
            await client.get_workflow_handle(case).signal("look_again")
            heard += 1
        except RPCError as e:
            log.info("nobody hears the bell", case=case, status=e.status.name)
            missed += e.status is not RPCStatusCode.NOT_FOUND or not await _silenced(sessions, case, now)
    return Rung(heard=heard, missed=missed)


async def _silenced(sessions: Sessions, case: str, now: Now) -> bool:
    """Whether it has closed: then it hears no bell, and if it is opened again it asks the store anyway."""
    async with sessions() as session, session.begin():
        row = await session.get(CaseRow, case)
        if row is None or row.closed_at is None:
            return False
        its = (col(BellRow.case) == case) & col(BellRow.heard_at).is_(None)
        await session.exec(update(BellRow).where(its).values(heard_at=now()))
    return True
