"""What a committed step owes to others: bells, letters to staff, cases it asked for; at once, and by the sweep."""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlmodel import col, select, update
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.notice import Post
from models.now import Now
from models.tables import BellRow, CaseRow, IntakeRow, NoticeRow
from operations.intake import Intake, Sessions

log = structlog.get_logger()

RING_AGAIN = timedelta(seconds=30)
"""A bell that was rung and not heard for so long is rung again."""

ON_ITS_WAY = timedelta(minutes=1)
"""For so long a sweep leaves a letter to staff to the step that queued it: both at once would send it twice."""


class Outbox:
    """Delivers what the store says is owed; safe to run at any time, by anybody, twice."""

    def __init__(self, sessions: Sessions, client: Client, intake: Intake, post: Post, now: Now) -> None:
        self._sessions = sessions
        self._client = client
        self._intake = intake
        self._post = post
        self._now = now

    async def flush(self, case: str | None = None) -> int:
        """Deliver what a case owes (or all cases): the number of deliveries. What fails waits for the next sweep."""
        return await self.ring() + await self.tell_staff(case) + await self._start_children(case)

    async def ring(self) -> int:
        """Ring every bell that waits; the number of cases that hear one."""
        now = self._now()
        async with self._sessions() as session, session.begin():
            query = select(BellRow).where(
                col(BellRow.heard_at).is_(None),
                col(BellRow.rung_at).is_(None) | (col(BellRow.rung_at) < now - RING_AGAIN),
            )
            bells = (await session.exec(query.with_for_update(skip_locked=True))).all()
            for bell in bells:
                bell.rung_at = now
            cases = sorted({bell.case for bell in bells})
        rung = 0
        for case in cases:
            try:
                await self._client.get_workflow_handle(case).signal("look_again")
                rung += 1
            except RPCError as e:
                log.info("nobody hears the bell", case=case, status=e.status.name)
                if e.status is RPCStatusCode.NOT_FOUND:
                    await self._silence(case)
        return rung

    async def _silence(self, case: str) -> None:
        """A case that has closed hears no bell: if it is opened again it asks the store anyway."""
        async with self._sessions() as session, session.begin():
            row = await session.get(CaseRow, case)
            if row is not None and row.closed_at is not None:
                await session.exec(
                    update(BellRow)
                    .where(col(BellRow.case) == case, col(BellRow.heard_at).is_(None))
                    .values(heard_at=self._now())
                )

    async def tell_staff(self, case: str | None) -> int:
        """Send the letters to staff that wait."""
        async with self._sessions() as session:
            query = select(NoticeRow.case, NoticeRow.key, NoticeRow.duty).where(
                NoticeRow.internal,
                col(NoticeRow.sent_at).is_(None),
                col(NoticeRow.refused).is_(None),
            )
            if case is not None:
                query = query.where(NoticeRow.case == case)
            else:
                query = query.where(NoticeRow.queued_at < self._now() - ON_ITS_WAY)
            waiting = (await session.exec(query)).all()
        sent = 0
        for owner, key, duty in waiting:
            try:
                await self._post.send(owner, key)
                sent += 1
            except Exception as e:  # noqa: BLE001  # one letter that fails must not keep the others back
                log.warning("letter to staff waits", case=owner, duty=duty, problem=type(e).__name__)
        return sent

    async def _start_children(self, parent: str | None) -> int:
        if parent is None:
            return await self._intake.start_waiting()
        async with self._sessions() as session:
            children = (
                await session.exec(
                    select(IntakeRow.case).where(IntakeRow.parent == parent, col(IntakeRow.started_at).is_(None))
                )
            ).all()
        return await self._intake.start_waiting(children) if children else 0
