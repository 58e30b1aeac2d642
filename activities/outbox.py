"""What a committed step owes to others: bells, letters to staff, cases it asked for; at once, and by the sweep."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog
from sqlmodel import col, select, update
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.notice import Post
from models.now import Now
from models.tables import CaseRow, IntakeRow, NoticeRow, TimelineRow
from operations.bells import ring
from operations.intake import Intake, Sessions

log = structlog.get_logger()

ON_ITS_WAY = timedelta(minutes=1)
"""For so long a sweep leaves a letter to staff to the step that queued it: both at once would send it twice."""

PAGE = 100
"""Events of a history at a time, the newest first: what is looked for is a minute old."""

SOON = 5.0
"""Seconds for what a step owes to others; the sweep delivers the rest."""


class Outbox:
    """Delivers what the store says is owed; safe to run at any time, by anybody, twice."""

    def __init__(self, sessions: Sessions, client: Client, intake: Intake, post: Post, now: Now) -> None:
        self._sessions = sessions
        self._client = client
        self._intake = intake
        self._post = post
        self._now = now
        self._soon: dict[str, asyncio.Task[None]] = {}

    def soon(self, case: str) -> None:
        """Deliver what a case owes, beside it and one delivery at a time; what fails waits for the next sweep."""
        delivery = asyncio.create_task(self._deliver(case, self._soon.get(case)))
        self._soon[case] = delivery
        delivery.add_done_callback(lambda done: self._forget(case, done))

    def _forget(self, case: str, delivery: asyncio.Task[None]) -> None:
        if self._soon.get(case) is delivery:
            del self._soon[case]

    async def ended(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._soon.values())

    async def _deliver(self, case: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            async with asyncio.timeout(SOON):
                await self.ring()
                await self.tell_staff(case)
                await self._start_children(case)
        except Exception as e:  # noqa: BLE001  # the step is committed: the sweep delivers what it owes
            log.warning("outbox waits for the sweep", case=case, problem=type(e).__name__)

    async def ring(self) -> int:
        """Ring every bell that waits; the number of cases that hear one."""
        return (await ring(self._sessions, self._client, self._now)).heard

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

    async def ring_the_behind(self) -> int:
        """Ring every case whose run does not know its last step; the number rung.

        A step is committed within a workflow task. If that task is lost together with the message that led to it (the
        engine keeps none that came to an idle case), nothing else tells the run.
        """
        async with self._sessions() as session:
            query = (
                select(CaseRow.case, CaseRow.unproven)
                .join(TimelineRow, (col(TimelineRow.case) == CaseRow.case) & (col(TimelineRow.step) == CaseRow.step))
                .where(col(CaseRow.unproven).is_not(None), TimelineRow.recorded_at < self._now() - ON_ITS_WAY)
            )
            unproven = (await session.exec(query)).all()
        rung = 0
        for case, events in unproven:
            assert events is not None
            try:
                if not await self._completed(case, events):
                    await self._client.get_workflow_handle(case).signal("look_again")
                    rung += 1
            except RPCError as e:
                # a run that is not there any more asks for its record when it is started again
                if e.status is not RPCStatusCode.NOT_FOUND:
                    log.info("nobody says what the run knows", case=case, status=e.status.name)
                    continue
            async with self._sessions() as session, session.begin():
                its = (col(CaseRow.case) == case) & (col(CaseRow.unproven) == events)
                await session.exec(update(CaseRow).where(its).values(unproven=None))
        return rung

    async def _completed(self, case: str, events: int) -> bool:
        """Whether the task that had seen so many events was completed: the next event says so.

        A longer history does not: a task that timed out makes it longer too.
        """
        page = b""
        while True:
            history = await self._client.workflow_service.get_workflow_execution_history_reverse(
                GetWorkflowExecutionHistoryReverseRequest(
                    namespace=self._client.namespace,
                    execution=WorkflowExecution(workflow_id=case),
                    maximum_page_size=PAGE,
                    next_page_token=page,
                )
            )
            for event in history.history.events:
                if event.event_id == events + 1:
                    return event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
                if event.event_id <= events:
                    return False
            page = history.next_page_token
            if not page:
                return False

    async def _start_children(self, parent: str) -> int:
        async with self._sessions() as session:
            children = (
                await session.exec(
                    select(IntakeRow.case).where(IntakeRow.parent == parent, col(IntakeRow.started_at).is_(None))
                )
            ).all()
        return await self._intake.start_waiting(children) if children else 0
