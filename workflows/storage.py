"""Storage: each night what is over by its storage term is erased, or its destruction is asked for; it is no case."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow

from workflows.sweep import PATIENT

with workflow.unsafe.imports_passed_through():
    from activities.storage import StorageActivities
    from models.storage import StorageStep, StorageTotals

STEP_TIMEOUT = timedelta(minutes=10)
SILENT = timedelta(seconds=30)
"""A worker that died is noticed after so long, and the step is given to another one."""


@workflow.defn(name="Storage")
class Storage:
    """Find what is due, honour holds and open requests, erase, ask for the rest, and report."""

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> StorageTotals:
        """Once; a schedule calls it every night."""
        n = await workflow.execute_activity_method(
            StorageActivities.begin, start_to_close_timeout=STEP_TIMEOUT, retry_policy=PATIENT
        )
        step = StorageStep(n=n)
        while await workflow.execute_activity_method(
            StorageActivities.step,
            step,
            start_to_close_timeout=STEP_TIMEOUT,
            heartbeat_timeout=SILENT,
            retry_policy=PATIENT,
            summary=f"judge and erase by storage terms, run {n}",
        ):
            pass
        return await workflow.execute_activity_method(
            StorageActivities.end, step, start_to_close_timeout=STEP_TIMEOUT, retry_policy=PATIENT
        )
