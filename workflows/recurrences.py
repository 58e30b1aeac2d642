"""Recurrences: opens the turns of recurring duties; a schedule starts it every day, and it is no case."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.task import RecurrenceActivities

OPENING_TIMEOUT = timedelta(minutes=10)
HEARTBEAT = timedelta(seconds=6)
"""What a worker had begun that died goes to another one after this: what was filed is not filed again."""
PATIENT = RetryPolicy(maximum_interval=timedelta(minutes=1))
"""For ever: a store that is down is waited for, and what an outage held up is opened after it."""


@workflow.defn(name="Recurrences")
class Recurrences:
    """Open every turn that must be open by now, however long nothing ran."""

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> int:
        """Once, and the number opened."""
        return await workflow.execute_activity_method(
            RecurrenceActivities.open,
            start_to_close_timeout=OPENING_TIMEOUT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=PATIENT,
            summary="open the turns that are due",
        )
